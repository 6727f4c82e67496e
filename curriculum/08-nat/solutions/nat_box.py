"""E8.2a, the reference answer."""


class NatBox:
    """A NAT box for datagrams."""

    def __init__(self, mapping, filtering):
        self.mapping, self.filtering = mapping, filtering
        self.held = {}  # (inside, what the mapping looks at): [outside, when it was last used]
        self.sent = {}  # outside: what the filter looks at, of everybody who was sent to
        self.next_port = 20_000

    def key(self, way, remote):
        return {"endpoint-independent": (), "address-dependent": remote[:1]}.get(way, remote)

    def outbound(self, inside, remote, now):
        key = (inside, self.key(self.mapping, remote))
        if key not in self.held or now - self.held[key][1] >= 120:
            self.next_port += 1
            self.held[key] = [("203.0.113.9", self.next_port), now]
        mapping = self.held[key]
        mapping[1] = now
        self.sent.setdefault(mapping[0], set()).add(self.key(self.filtering, remote))
        return mapping[0]

    def inbound(self, remote, outside, now):
        for (inside, _), (at, last) in self.held.items():
            if at == outside and now - last < 120:
                asked = self.key(self.filtering, remote) in self.sent[outside]
                return inside if asked or self.filtering == "endpoint-independent" else None
        return None


answer = NatBox
