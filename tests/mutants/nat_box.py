"""E8.2a: another right answer, and wrong ones."""

from tests.mutants import Mutant


class Another:
    """One list of mappings, looked through each time."""

    OUTER, LIMIT = "203.0.113.9", 120
    LOOKS = {"endpoint-independent": 0, "address-dependent": 1, "address-and-port-dependent": 2}

    def __init__(self, mapping, filtering):
        self.map_by, self.filter_by = self.LOOKS[mapping], self.LOOKS[filtering]
        self.mappings = []

    def alive(self, now):
        self.mappings = [m for m in self.mappings if now - m["last"] < self.LIMIT]
        return self.mappings

    def new_port(self):
        taken = {m["port"] for m in self.mappings}
        return next(port for port in range(1024, 65536) if port not in taken)

    def outbound(self, inside, remote, now):
        for m in self.alive(now):
            if m["inside"] == inside and m["remote"][: self.map_by] == remote[: self.map_by]:
                break
        else:
            m = {"inside": inside, "remote": remote, "port": self.new_port(), "asked": []}
            self.mappings.append(m)
        m["last"] = now
        m["asked"].append(remote)
        return self.OUTER, m["port"]

    def inbound(self, remote, outside, now):
        for m in self.alive(now):
            if (self.OUTER, m["port"]) == outside:
                looks = [asked[: self.filter_by] for asked in m["asked"]]
                return m["inside"] if remote[: self.filter_by] in looks else None
        return None


class InnerAddress(Another):
    def outbound(self, inside, remote, now):
        super().outbound(inside, remote, now)
        return inside


class AlwaysNew(Another):
    """A new port for every packet."""

    def outbound(self, inside, remote, now):
        m = {
            "inside": inside,
            "remote": remote,
            "port": self.new_port(),
            "asked": [remote],
            "last": now,
        }
        self.mappings.append(m)
        return self.OUTER, m["port"]


class AlwaysCone(Another):
    """Maps independently, whatever was asked for."""

    def __init__(self, mapping, filtering):
        super().__init__("endpoint-independent", filtering)


class KeepsPort(Another):
    """Gives each the port that it had inside."""

    def outbound(self, inside, remote, now):
        super().outbound(inside, remote, now)
        self.mappings[-1]["port"] = inside[1]
        return self.OUTER, inside[1]


class NeverForgets(Another):
    LIMIT = 10**9


class ForgetsSoon(Another):
    """Keeps a mapping for a minute only, when somebody wants in."""

    def inbound(self, remote, outside, now):
        for m in self.alive(now):
            if (self.OUTER, m["port"]) == outside and now - m["last"] > 60:
                return None
        return super().inbound(remote, outside, now)


class LetsAllIn(Another):
    def inbound(self, remote, outside, now):
        for m in self.alive(now):
            if (self.OUTER, m["port"]) == outside:
                return m["inside"]
        return None


class AddressOnly(Another):
    """Filters by the address at most."""

    def inbound(self, remote, outside, now):
        for m in self.alive(now):
            if (self.OUTER, m["port"]) == outside:
                by = min(1, self.filter_by)
                return m["inside"] if remote[:by] in [a[:by] for a in m["asked"]] else None
        return None


class Strict(Another):
    """Always filters by address and port."""

    def __init__(self, mapping, filtering):
        super().__init__(mapping, "address-and-port-dependent")


class Unknown(Another):
    """Gives what nobody asked for to the last that sent."""

    def inbound(self, remote, outside, now):
        known = {m["port"] for m in self.mappings}
        if self.mappings and outside[1] not in known and outside[1] == 7:
            return self.mappings[-1]["inside"]
        return super().inbound(remote, outside, now)


class WrongOwner(Another):
    def inbound(self, remote, outside, now):
        got = super().inbound(remote, outside, now)
        return self.mappings[0]["inside"] if got is not None else None


class Half:
    def __init__(self, mapping, filtering):
        pass


ANOTHER = Another
MUTANTS = [
    Mutant(InnerAddress, "outer-ip"),
    Mutant(AlwaysNew, "remaps"),
    Mutant(AlwaysCone, "shared"),
    Mutant(KeepsPort, "shared"),
    Mutant(NeverForgets, "expired"),
    Mutant(ForgetsSoon, "lets-in"),
    Mutant(LetsAllIn, "filter"),
    Mutant(AddressOnly, "filter"),
    Mutant(Strict, "lets-in"),
    Mutant(Unknown, "unknown"),
    Mutant(WrongOwner, "owner"),
    Mutant(Half, "wrong-type"),
]
