from __future__ import annotations

import asyncio

from libp2p_lab import sim
from tests.mutants import Mutant

KINDS = {
    "full-cone": sim.FULL_CONE,
    "port-restricted": sim.PORT_RESTRICTED,
    "symmetric": sim.SYMMETRIC,
}


class Builder:
    """A right answer, with one method for each step, so that each can be got wrong alone."""

    def __call__(self, plan):
        ways = {tuple(pair.split(" ")): self.way(way) for pair, way in plan["regions"].items()}
        self.net = sim.Internet("plan", ways)
        self.boxes = {b["name"]: self.box(b) for b in plan["boxes"]}
        self.hosts = {h["name"]: self.host(h) for h in self.chosen(plan["hosts"])}
        for event in plan["events"]:
            self.event(event)
        return self.end()

    def way(self, seconds):
        return seconds

    def chosen(self, hosts):
        return hosts

    def box(self, box):
        return self.net.nat(box["name"], KINDS[box["kind"]], region=box["region"])

    def rate(self, mbit):
        return mbit and mbit * 125_000

    def host(self, host):
        rate = self.rate(host["mbit"])
        box = self.boxes.get(host["behind"])
        return self.net.host(host["name"], nat=box, region=host["region"], up=rate, down=rate)

    def event(self, event):
        if event["do"] == "cut":
            self.net.at(event["at"], self.cut, event)
        else:
            self.net.at(event["at"], getattr(self.hosts[event["who"]], event["do"]))

    async def cut(self, event):
        heal = self.net.partition(self.hosts[event["from"]], self.hosts[event["who"]])
        await asyncio.sleep(event["for"])
        heal()

    def end(self):
        return self.net


class GivesNothing(Builder):
    def end(self):
        self.net.close()


class RunsIt(Builder):
    def end(self):
        self.net.run(until=90)
        return self.net


class ForgetsOne(Builder):
    def chosen(self, hosts):
        return hosts[:-1]

    def event(self, event):
        pass


class AddsOne(Builder):
    def end(self):
        self.net.host("zoe")
        return self.net


class OneRegion(Builder):
    def host(self, host):
        first = next(iter(self.net.network.geography.regions))
        box = self.boxes.get(host["behind"])
        rate = self.rate(host["mbit"])
        return self.net.host(host["name"], nat=box, region=first, up=rate, down=rate)


class OneWay(Builder):
    def way(self, seconds):
        return seconds / 2


class OneKind(Builder):
    def box(self, box):
        return self.net.nat(box["name"], sim.RESTRICTED_CONE, region=box["region"])


class AllPublic(Builder):
    def host(self, host):
        return super().host({**host, "behind": None})


class BitsForBytes(Builder):
    def rate(self, mbit):
        return mbit and mbit * 1_000_000


class NothingHappens(Builder):
    def event(self, event):
        pass


class NeverMends(Builder):
    async def cut(self, event):
        self.net.partition(self.hosts[event["from"]], self.hosts[event["who"]])


class MendsTooSoon(Builder):
    async def cut(self, event):
        await super().cut({**event, "for": event["for"] / 2})


ANOTHER = Builder()
MUTANTS = (
    Mutant(GivesNothing(), "no-internet"),
    Mutant(RunsIt(), "ran-already", "it is 90 s"),
    Mutant(ForgetsOne(), "missing", "there is no host"),
    Mutant(AddsOne(), "extra", "zoe"),
    Mutant(OneRegion(), "wrong-region"),
    Mutant(OneWay(), "wrong-distance"),
    Mutant(OneKind(), "wrong-kind"),
    Mutant(AllPublic(), "not-behind"),
    Mutant(BitsForBytes(), "wrong-rate"),
    Mutant(NothingHappens(), "no-event"),
    Mutant(NeverMends(), "not-mended"),
    Mutant(MendsTooSoon(), "wrong-time"),
)
