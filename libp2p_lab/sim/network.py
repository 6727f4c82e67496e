"""How a packet gets from one machine to another: the only place that knows of distance, loss and partitions.

    machine → its pipe up → the boxes that it is behind → the region's distance, jitter, loss
            → the boxes that the target is behind → the target's pipe down → machine

Each arrow is decided when the packet is there: a NAT box whose mapping has ended meanwhile drops what arrives late.
"""

from __future__ import annotations

import hashlib
import random
import zlib
from collections import Counter
from collections.abc import Callable, Iterable

from libp2p_lab.errors import LocalError
from libp2p_lab.sim.events import Event, Healed, PacketDropped, PacketSent, Partitioned
from libp2p_lab.sim.loop import SimLoop
from libp2p_lab.sim.machine import Machine
from libp2p_lab.sim.names import Names
from libp2p_lab.sim.nat_box import NatBox
from libp2p_lab.sim.packet import MTU, Packet, packets_in
from libp2p_lab.sim.regions import Geography
from libp2p_lab.trace import Probe, Trace

LOOPBACK_DELAY = 0.00002  # seconds
LAN_DELAY = 0.0005  # seconds between two machines behind the same box, or from one to its box

#: What a partition separates: machines, boxes with all behind them, regions by name.
Side = Machine | NatBox | str


class Cut:
    """A partition: no packet gets from `a` to `b` or back; `b` None stands for everybody else."""

    __slots__ = ("a", "b", "event", "number")

    def __init__(self, number: int, a: tuple[Side, ...], b: tuple[Side, ...] | None) -> None:
        self.number = number
        self.a = frozenset(a)
        self.b = None if b is None else frozenset(b)
        self.event = Partitioned(number, _names(a), _names(b or ()))

    def separates(self, one: Machine, other: Machine) -> bool:
        """Whether these two cannot talk."""
        in_a, other_in_a = _is_in(one, self.a), _is_in(other, self.a)
        if self.b is None:
            return in_a != other_in_a
        return (in_a and _is_in(other, self.b)) or (other_in_a and _is_in(one, self.b))


def _is_in(machine: Machine, side: frozenset[Side]) -> bool:
    if machine in side or machine.region in side:
        return True
    box = machine.box
    while box is not None:
        if box in side:
            return True
        box = box.outer
    return False


class Network:
    """Everything between the machines.

    Args:
        seed: of all chance in it.
        loop: whose time it is.
        geography: the regions and their distances.
        loss: the part of packets lost between regions.
        reorder: the part of datagrams that later ones may overtake.
        trace: where facts are told.

    Attributes:
        public: who has which address on the open Internet.
        counts: packets by kind, and drops by reason.
        drop_next: how many of the next packets are dropped on purpose.
        tcp_patience: how many times longer than usual the systems' TCP waits before it sends again or gives up.
        keeps_order: whether datagrams of different delay must be kept in order.
    """

    def __init__(
        self,
        seed: int | str,
        loop: SimLoop,
        geography: Geography,
        *,
        loss: float,
        reorder: float,
        trace: Trace,
    ) -> None:
        self.seed = seed
        self.loop = loop
        self.geography = geography
        self.loss = loss
        self.reorder = reorder
        self.names = Names()
        self.public: dict[str, Machine | NatBox] = {}
        self.machines: dict[str, Machine] = {}
        self.boxes: dict[str, NatBox] = {}
        self.cuts: tuple[Cut, ...] = ()
        self.counts: Counter[str] = Counter()
        self.drop_next = 0
        self.tcp_patience = 1.0
        self.keeps_order = bool(geography.jitter or reorder)
        self.probe = Probe(trace, "internet")
        self._rng = random.Random(f"{seed}/network")
        self._number = 0
        self._cut_number = 0
        self._facts = hashlib.blake2b(digest_size=16)
        self._contents = 0

    # -- sending --------------------------------------------------------------------------------------------

    def send(self, origin: Machine, packet: Packet, not_before: float = 0.0) -> float:
        """Take a packet from a machine. Returns when it arrives (at the next box, if there is one), or 0."""
        now = self.loop.time()
        self._number += 1
        packet.number = self._number
        packet.sent_at = now
        packet.cuts = self.cuts
        if origin.is_down or origin.is_frozen:
            return 0.0
        if packet.payload:
            self._contents = zlib.crc32(packet.payload, self._contents)
        ip = packet.dst[0]
        if origin.is_own(ip):
            arrival = max(now + LOOPBACK_DELAY, not_before)
            return self._forward(packet, origin.name, origin, arrival)
        if self.drop_next:
            self.drop_next -= 1
            return self._lose(packet, "", "dropped on purpose")
        if _is_multicast(ip):
            return self._send_to_group(origin, packet)
        return self._send_out(origin, packet, now, not_before)

    def _send_out(self, origin: Machine, packet: Packet, now: float, not_before: float) -> float:
        ip, at = packet.dst[0], now
        if origin.up is not None:
            through = origin.up.take(at, packet.size)
            if through is None:
                return self._lose(packet, origin.name, "queue full")
            at = through
        at += origin.delay
        box, sender = origin.box, origin.name
        while box is not None and ip not in box.inside:
            at += LAN_DELAY
            refusal = box.outbound(packet, self.loop.time())
            if refusal:
                return self._lose(packet, box.name, refusal)
            if ip in box.ips:
                return self._forward(packet, box.name, box, max(at, not_before))  # hairpin
            if box.up is not None:
                through = box.up.take(at, packet.size)
                if through is None:
                    return self._lose(packet, box.name, "queue full")
                at = through
            at += box.delay
            sender, box = box.name, box.outer
        target = (box.inside if box is not None else self.public).get(ip)
        if target is None:
            return self._nobody(packet, ip, at)
        loss = origin.loss
        if box is not None:
            at += LAN_DELAY
        else:
            at += self._distance(origin, target)
            loss = 1 - (1 - loss) * (1 - self.loss)
        at += self._jitter(origin, target, is_far=box is None)
        loss = 1 - (1 - loss) * (1 - target.loss)
        if loss and self._is_lost(packet, loss):
            return self._lose(packet, "", "lost")
        return self._forward(packet, sender, target, max(at + target.delay, not_before))

    def _distance(self, origin: Machine, target: Machine | NatBox) -> float:
        return self.geography.delay(origin.region, target.region)

    def _jitter(self, origin: Machine, target: Machine | NatBox, is_far: bool) -> float:
        most = origin.jitter + target.jitter
        if is_far and self.geography.jitter:
            most += self.geography.jitter * self._distance(origin, target)
        return self._rng.uniform(0, most) if most else 0.0

    def _is_lost(self, packet: Packet, loss: float) -> bool:
        """Draw for each packet on the wire; of those that travel together, the lost ones are sent again."""
        count = packets_in(len(packet.payload))
        lost = sum(self._rng.random() < loss for _ in range(count))
        if lost and count > 1:
            packet.size = min(packet.size, lost * MTU)
        return lost > 0

    def _forward(
        self, packet: Packet, sender: str, target: Machine | NatBox, arrival: float
    ) -> float:
        packet.target = target
        self.counts[packet.kind] += 1
        now = self.loop.time()
        src, dst = packet.src, packet.dst
        self._facts.update(
            f"{now!r} {arrival!r} {packet.kind} {src[0]} {src[1]} {dst[0]} {dst[1]} {packet.size}\n".encode()
        )
        if self.probe.trace.listeners:
            self.tell(
                PacketSent(
                    packet.number,
                    packet.kind,
                    sender,
                    target.name,
                    f"{src[0]}:{src[1]}",
                    f"{dst[0]}:{dst[1]}",
                    packet.size,
                    arrival,
                )
            )
        self.loop.at(arrival, target.tie, self._arrive, packet)
        return arrival

    def _nobody(self, packet: Packet, ip: str, at: float) -> float:
        """No such address. A router nearby knows that for private ones; elsewhere nobody says a word."""
        if packet.origin.box is not None or _is_private(ip):
            when = at + LAN_DELAY
            self.loop.at(when, packet.origin.tie, _say_unreachable, packet)
        return self._lose(packet, "", "nobody there")

    def _send_to_group(self, origin: Machine, packet: Packet) -> float:
        """Multicast stays on the local network: the machines behind the same box, or of the same LAN region."""
        members = origin.box.inside if origin.box is not None else self.public
        group, port = packet.dst
        for member in tuple(members.values()):
            if not isinstance(member, Machine) or port not in member.groups.get(group, ()):
                continue
            if origin.box is None and member.region != origin.region:
                continue
            delay = LOOPBACK_DELAY if member is origin else LAN_DELAY + origin.delay + member.delay
            copy = Packet(packet.kind, packet.src, packet.dst, packet.payload, packet.size, origin)
            copy.number, copy.sent_at, copy.cuts = packet.number, packet.sent_at, packet.cuts
            self._forward(copy, origin.name, member, self.loop.time() + delay)
        return 0.0

    # -- arriving -------------------------------------------------------------------------------------------

    def _arrive(self, packet: Packet) -> None:
        target, now = packet.target, self.loop.time()
        if target.down is not None and packet.origin is not target:
            through = target.down.take(now, packet.size)
            if through is None:
                self.drop(packet, "queue full", target.name)
                return
            if through > now:
                self.loop.at(through, target.tie, self._deliver, packet)
                return
        self._deliver(packet)

    def _deliver(self, packet: Packet) -> None:
        target = packet.target
        if isinstance(target, NatBox):
            self._pass_in(packet, target)
            return
        for cut in (*packet.cuts, *self.cuts) if packet.cuts is not self.cuts else self.cuts:
            if cut.separates(packet.origin, target):
                self.drop(packet, "partition", target.name)
                return
        if target.is_down or target.is_frozen:
            self.drop(
                packet, "machine is down" if target.is_down else "machine is frozen", target.name
            )
            return
        target.receive(packet)

    def _pass_in(self, packet: Packet, box: NatBox) -> None:
        """A packet from outside is at a NAT box."""
        found = box.inbound(packet, self.loop.time())
        if isinstance(found, str):
            self.drop(packet, found, box.name)
            if box.rejects and packet.kind in ("syn", "datagram"):
                self.tell_sender(packet, ConnectionRefusedError(111, "Connection refused"))
            return
        if found.loss and self._is_lost(packet, found.loss):
            self.drop(packet, "lost", "")
            return
        delay = LAN_DELAY + found.delay
        if found.jitter:
            delay += self._rng.uniform(0, found.jitter)
        self._forward(packet, box.name, found, self.loop.time() + delay)

    # -- losing ---------------------------------------------------------------------------------------------

    def _lose(self, packet: Packet, where: str, reason: str) -> float:
        self.drop(packet, reason, where)
        return 0.0

    def drop(self, packet: Packet, reason: str, where: str = "") -> None:
        """A packet goes no further; TCP finds out by itself."""
        self.counts[f"dropped: {reason}"] += 1
        self._facts.update(f"{self.loop.time()!r} drop {packet.kind} {where} {reason}\n".encode())
        if self.probe.trace.listeners:
            self.tell(PacketDropped(packet.number, where, reason))
        if packet.sender is not None:
            packet.sender.dropped(packet)

    def tell_sender(self, packet: Packet, error: OSError) -> None:
        """ICMP: word goes back to the machine that sent the packet."""
        when = self.loop.time() + self.path_delay(packet.target, packet.origin)
        self.loop.at(when, packet.origin.tie, _refuse, (packet, error))

    # -- how far --------------------------------------------------------------------------------------------

    def delay_back(self, packet: Packet) -> float:
        """Seconds from where the packet arrived back to where it came from."""
        return self.path_delay(packet.target, packet.origin)

    def path_delay(self, a: Machine | NatBox, b: Machine) -> float:
        """Seconds one way between two machines, without jitter and queues."""
        if a is b:
            return LOOPBACK_DELAY
        own = a.outer if isinstance(a, NatBox) else a.box
        if own is b.box and own is not None:
            return LAN_DELAY + a.delay + b.delay
        return (
            self.geography.delay(a.region, b.region)
            + a.delay
            + b.delay
            + _boxes_delay(own)
            + _boxes_delay(b.box)
        )

    def reorders(self) -> bool:
        """Draw whether a datagram may overtake those before it."""
        return bool(self.reorder) and self._rng.random() < self.reorder

    # -- partitions -----------------------------------------------------------------------------------------

    def partition(self, a: Iterable[Side], b: Iterable[Side] | None) -> Callable[[], None]:
        """Let no packet pass between two sides. Returns what mends it."""
        self._cut_number += 1
        cut = Cut(self._cut_number, tuple(a), None if b is None else tuple(b))
        self.cuts += (cut,)
        self.tell(cut.event)

        def heal() -> None:
            if cut in self.cuts:
                self.cuts = tuple(other for other in self.cuts if other is not cut)
                self.tell(Healed(cut.number))

        return heal

    # -- telling --------------------------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """Add a fact to the digest, and tell it to those who listen."""
        if not isinstance(event, PacketSent | PacketDropped):
            self._facts.update(f"{self.loop.time()!r} {event!r}\n".encode())
        if self.probe.trace.listeners:
            self.probe.emit("event", event)

    def digest(self, contents: bool) -> str:
        """A fingerprint of everything so far."""
        facts = self._facts.hexdigest()
        return f"{facts}{self._contents:08x}" if contents else facts

    def attach(self, node: Machine | NatBox, ips: Iterable[str], box: NatBox | None) -> None:
        """Give a machine or a box its addresses.

        Raises: `LocalError` if somebody has one of them.
        """
        self.keeps_order = self.keeps_order or bool(node.jitter)
        realm = self.public if box is None else box.inside
        for ip in ips:
            if ip in realm:
                raise LocalError(f"{ip} belongs to {realm[ip].name}")
            realm[ip] = node


def _names(side: Iterable[Side]) -> tuple[str, ...]:
    return tuple(one if isinstance(one, str) else one.name for one in side)


def _boxes_delay(box: NatBox | None) -> float:
    delay = 0.0
    while box is not None:
        delay += LAN_DELAY + box.delay
        box = box.outer
    return delay


def _is_multicast(ip: str) -> bool:
    return ip.startswith("ff") if ":" in ip else 224 <= int(ip.partition(".")[0]) < 240


def _is_private(ip: str) -> bool:
    a, _, rest = ip.partition(".")
    b = rest.partition(".")[0]
    return (
        a == "10"
        or (a == "192" and b == "168")
        or (a == "172" and 16 <= int(b) < 32)
        or (a == "100" and 64 <= int(b) < 128)
        or ip.startswith(("fd", "fc", "fe80"))
    )


def _say_unreachable(packet: Packet) -> None:
    packet.origin.refused(packet, OSError(113, "No route to host"))


def _refuse(both: tuple[Packet, OSError]) -> None:
    packet, error = both
    box = packet.origin.box
    while box is not None and box.outer is not None:
        box = box.outer
    if box is not None and packet.kind != "datagram":
        box.refused(packet)
    packet.origin.refused(packet, error)
