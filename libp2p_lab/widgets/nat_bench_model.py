"""What the bench of two homes is about: a plan, and what came of it, step by step.

Nothing here runs anything. `nat_bench_world` runs a plan; `nat_bench_steps` tells what happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from libp2p_lab.errors import LocalError
from libp2p_lab.limits import DEFAULT_LIMITS
from libp2p_lab.sim.events import PacketDropped, PacketSent
from libp2p_lab.sim.nat_table import NatBehaviour
from libp2p_lab.sim.punching import NINE

Speech = Literal["datagrams", "tcp", "quic"]
Level = Literal["hole", "one way", "relay", "nothing"]
Moment = Literal["leaves", "arrives", "dropped", "says"]

HOMES = ("alice", "bob")
ROUTERS = {f"router of {name}": name for name in HOMES}
RELAY, PUBLIC = "relay", "public peer"
RELAY_IP, PUBLIC_IP = "11.9.0.1", "11.9.0.9"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tried.

    Attributes:
        home_a, home_b: how the routers of alice and bob behave. Bob calls alice.
        speech: "datagrams": two small programs that send plain datagrams, and agree as DCUtR does; "tcp", "quic":
            the lab's ordinary hosts with relay and DCUtR.
        retries: exchanges before it is given up.
        reuse: whether they punch from the port that the relay has seen, or from another one.
        by_clock: whether they agree on a time of day, instead of measuring a round trip.
        skew: seconds that bob's clock is ahead; it matters with `by_clock` alone.
        slow: seconds that a packet from the relay to bob takes longer than one from bob to the relay.
        silence: seconds without a word after they have met; then they talk again.
        relay_seconds, relay_bytes: how long, and how many bytes each way, the relay serves two peers; 0: no limit.
        seed: of all chance.
    """

    home_a: NatBehaviour = NINE[2]
    home_b: NatBehaviour = NINE[2]
    speech: Speech = "datagrams"
    retries: int = 3
    reuse: bool = True
    by_clock: bool = False
    skew: float = 0.0
    slow: float = 0.1
    silence: float = 0.0
    relay_seconds: float = DEFAULT_LIMITS.relay_duration
    relay_bytes: int = DEFAULT_LIMITS.relay_data
    seed: int = 1

    def __post_init__(self) -> None:
        if self.speech not in ("datagrams", "tcp", "quic"):
            raise LocalError(f"they speak datagrams, tcp or quic, not {self.speech!r}")
        if not 1 <= self.retries <= 10:
            raise LocalError("1 to 10 exchanges")
        if not -3600 <= self.skew <= 3600:
            raise LocalError("clocks differ by at most an hour")
        if not (0 <= self.slow <= 10 and 0 <= self.silence <= 1800):
            raise LocalError("slow: 0 to 10 s; silence: 0 to 1800 s")
        if self.relay_seconds < 0 or self.relay_bytes < 0:
            raise LocalError("a relay's limits are 0 (none) or more")


@dataclass(frozen=True, slots=True)
class Row:
    """A mapping in a router's table.

    Attributes:
        inside, outside: its endpoints, "ip:port".
        protocol: "udp" or "tcp".
        remotes: whom the inside has called, each with the virtual time at which that is forgotten.
        expires: when the mapping itself is.
    """

    inside: str
    outside: str
    protocol: str
    remotes: tuple[tuple[str, float], ...]
    expires: float


Tables = Mapping[str, tuple[Row, ...]]  # by whose router it is


@dataclass(frozen=True, slots=True)
class Fact:
    """What was heard while it ran.

    Attributes:
        time: virtual seconds.
        what: a fact of the internet; or a text: who says what.
        who: of a text: whose; of a packet: what its sender says of it, "" if nothing.
        tables: as they were then.
    """

    time: float
    what: PacketSent | PacketDropped | str
    who: str
    tables: Tables


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens.

    Attributes:
        time: virtual seconds.
        moment: a packet "leaves", "arrives" or is "dropped"; or somebody "says" something.
        number: the packet's; 0 without one.
        kind: the packet's, or "".
        path: the places that it passes, from its sender on: "alice", "router of alice", "relay", …
        where: at which of them it is now; of what is said, who says it.
        src, dst: its addresses on the wire.
        words: it all, in a sentence or two.
        rule: the rule by which a router let it in or dropped it, or gave it its address; "" if none was asked.
        reason: of a drop, in a word or two: "filtered", "no mapping", …
        new: outer endpoint of the mapping that was made for it, or got a new remote; "" if none.
        is_key: whether it changes a table, is dropped, opens a connection, or is one of the first from home to home.
        tables: after it.
    """

    time: float
    moment: Moment
    number: int
    kind: str
    path: tuple[str, ...]
    where: str
    src: str
    dst: str
    words: str
    rule: str = ""
    reason: str = ""
    new: str = ""
    is_key: bool = True
    tables: Tables = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a plan.

    Attributes:
        plan: what was tried.
        level: "hole": both hear each other without the relay; "one way": a packet of one came through and no talk came
            of it; "relay": they have the relay alone; "nothing": not even that.
        attempts: exchanges that it took.
        seconds: from the call to the hole; None without one.
        relay_rtt, direct_rtt: round trips in seconds; None for those that were not made.
        carried: bytes that the relay passed on between the two.
        later: what became of a word after the silence: "heard", "not heard", or "" if there was none.
        cause: why not.
        steps: all of it.
    """

    plan: Plan
    level: Level
    attempts: int
    seconds: float | None
    relay_rtt: float | None
    direct_rtt: float | None
    carried: int
    later: str
    cause: str
    steps: tuple[Step, ...]

    @property
    def words(self) -> str:
        """How it went, in a few sentences."""
        tries = f"{self.attempts} exchange{'s' if self.attempts != 1 else ''}"
        said = ""
        match self.level:
            case "hole":
                said = f"A hole: they talk directly, after {tries}"
                if self.seconds is not None:
                    said += f" and {1000 * self.seconds:.0f} ms"
                if self.relay_rtt is not None and self.direct_rtt is not None:
                    said += (
                        f". A round trip takes {1000 * self.direct_rtt:.0f} ms; "
                        f"through the relay it takes {1000 * self.relay_rtt:.0f} ms"
                    )
            case "one way":
                said = f"A packet of one came through, but no talk came of it in {tries}: they stay on the relay"
            case "relay":
                said = f"No packet came through in {tries}: they stay on the relay"
            case "nothing":
                said = f"They do not even meet at the relay: {self.cause}"
        if self.later:
            said += f". After {self.plan.silence:g} s of silence a word is {self.later}"
        return said + "."
