"""E8.5a, the reference answer."""


class Exchange:
    """One end of the exchange before a hole is punched."""

    def __init__(self, role, addrs):
        self.role, self.addrs = role, addrs
        self.state = "start"
        self.sent, self.theirs = 0.0, []

    def start(self, now):
        self.state, self.sent = "asked", now
        return ("CONNECT", self.addrs)

    def receive(self, message, now):
        kind = message[0]
        if kind == "CONNECT" and not message[1]:
            raise ValueError("nothing to dial")
        if (self.role, self.state, kind) == ("called", "asked", "CONNECT"):
            self.state = "done"
            return ("SYNC",), (now + (now - self.sent) / 2, message[1])
        if (self.role, self.state, kind) == ("caller", "start", "CONNECT"):
            self.state, self.theirs = "answered", message[1]
            return ("CONNECT", self.addrs), None
        if (self.role, self.state, kind) == ("caller", "answered", "SYNC"):
            self.state = "done"
            return None, (now, self.theirs)
        raise ValueError(f"{kind} is not due")


answer = Exchange
