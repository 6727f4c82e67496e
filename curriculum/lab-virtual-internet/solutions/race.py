answer = {"seed": 2, "share": 0.25}
