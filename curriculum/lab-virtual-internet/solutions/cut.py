answer = {
    "20 s, nobody speaks": "stands, and all arrives",
    "20 s, somebody speaks": "stands, and all arrives",
    "10 min, nobody speaks": "is gone",
    "10 min, somebody speaks": "is gone",
}
