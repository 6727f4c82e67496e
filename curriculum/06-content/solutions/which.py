"""E6.8, the reference answer."""

serve = {"provider": "afi", "mdns": "be", "value": "cgj", "rendezvous": "dh"}

answer = {letter: word for word, letters in serve.items() for letter in letters}
