"""E8.4a: a relay's book: who has a place, who is switched through, what each may carry. By itself, then in a relay."""

from __future__ import annotations

from typing import Any

from libp2p_lab.coursework import chapter_08_relay_live as live
from libp2p_lab.coursework.chapter_08_relay_text import HINTS, RULES, STARTER
from libp2p_lab.coursework.checks import Check
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.errors import MalformedMessage, RecordInvalid
from libp2p_lab.identity.envelope import Envelope
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import Limits
from libp2p_lab.nat.relay_book import Refused, RelayBook
from libp2p_lab.nat.relay_messages import VOUCHER_DOMAIN, VOUCHER_TYPE, Status, Voucher

METHODS = ("reserve", "voucher", "connect", "take", "end", "leave")
TTL, PLACES, SECONDS, DATA = 3600, 3, 120, 1000
START = 1_790_000_000.25  # Unix time
STEPS = 150


class _Desk:
    """The student's book with somebody before it who looks at each answer."""

    def __init__(self, exam: Exam, make: Any, places: int = PLACES, **limits: int) -> None:
        self.exam, self.now = exam, START
        self.own = _peer(exam)
        seconds, data = limits.get("seconds", SECONDS), limits.get("data", DATA)
        self.part = make(self.own, TTL, places, seconds, data)
        missing = [name for name in METHODS if not callable(getattr(self.part, name, None))]
        if missing:
            exam.reject(
                "wrong-type",
                f"a book has the methods {', '.join(METHODS)}; missing: {', '.join(missing)}",
            )

    def direct(self) -> str:
        """An address of somebody who is connected without a relay."""
        return f"/ip4/192.0.2.{self.exam.rng.randrange(1, 255)}/tcp/4001"

    def relayed(self) -> str:
        """An address of somebody who is connected through another relay."""
        return f"{self.direct()}/p2p/{_peer(self.exam)}/p2p-circuit"

    def reserve(self, peer: PeerId, addr: str | None = None) -> tuple[str, Any]:
        self.exam.sent = f"reserve(a peer, {addr or 'a direct address'}, {self.now - START:+g} s)"
        return self._pair(self.part.reserve(peer, addr or self.direct(), self.now))

    def connect(self, source: PeerId, target: PeerId, addr: str | None = None) -> tuple[str, Any]:
        self.exam.sent = (
            f"connect(a peer, {addr or 'a direct address'}, another, {self.now - START:+g} s)"
        )
        return self._pair(self.part.connect(source, addr or self.direct(), target, self.now))

    def take(self, circuit: Any, way: str, n: int) -> int:
        self.exam.sent = f"take(a circuit, {way!r}, {n}, {self.now - START:+g} s)"
        got = self.part.take(circuit, way, n, self.now)
        if not isinstance(got, int) or isinstance(got, bool) or not 0 <= got <= n:
            self.exam.reject(
                "wrong-type", f"take gives a number of bytes, 0 to {n}", got=shown(got)
            )
        return got

    def _pair(self, got: Any) -> tuple[str, Any]:
        known = [status.name for status in Status]
        if not isinstance(got, tuple) or len(got) != 2 or got[0] not in known:
            self.exam.reject(
                "wrong-type",
                "the answer is a pair: a status of the spec, and what is granted or None",
                got=shown(got),
            )
        return got


def _peer(exam: Exam) -> PeerId:
    return PeerId(b"\x12\x20" + exam.rng.randbytes(32))


def _keeps_places(exam: Exam, make: Any) -> None:
    desk = _Desk(exam, make)
    alice, *others = [_peer(exam) for _ in range(PLACES + 1)]
    status, expire = desk.reserve(alice)
    exam.equal(status, "OK", "reserves", "the first peer wants a place, and there are three")
    if not isinstance(expire, int) or isinstance(expire, bool):
        exam.reject("wrong-type", "expire is a whole second", got=shown(expire))
    exam.require(
        TTL - 1 <= expire - desk.now <= TTL,
        "expire",
        f"a place is kept for {TTL} s",
        got=f"now {expire - desk.now:+.2f} s",
        expected=f"now +{TTL} s, and not a second more",
    )
    status, _ = desk.reserve(others[0], desk.relayed())
    exam.equal(
        status, "PERMISSION_DENIED", "relayed", "a peer asks for a place over a relayed connection"
    )
    for other in others[:-1]:
        exam.equal(
            desk.reserve(other)[0],
            "OK",
            "reserves",
            "there is a place left, and a peer was refused",
        )
    full, _ = desk.reserve(others[-1])
    exam.equal(
        full,
        "RESERVATION_REFUSED",
        "full",
        f"{PLACES} places are taken, and a fourth peer wants one",
    )
    desk.now += TTL / 2
    status, later = desk.reserve(alice)
    exam.equal(
        status, "OK", "renews", "all places are taken, and a peer that has one wants to keep it"
    )
    exam.require(
        later - expire >= TTL / 2 - 1,
        "renews",
        "a place was renewed, and does not last longer",
        got=f"{later - expire:+} s",
    )
    desk.now = START + TTL + 1
    exam.equal(
        desk.reserve(others[-1])[0], "OK", "expired", "two places are over, and a peer was refused"
    )
    status, _ = desk.connect(others[0], others[1])
    exam.equal(status, "NO_RESERVATION", "expired", "the target's place is over")
    exam.equal(
        desk.connect(others[0], alice)[0],
        "OK",
        "renews",
        "the target has renewed its place, and nobody gets through",
    )
    desk.part.leave(alice)
    desk.part.leave(_peer(exam))  # nobody
    exam.equal(
        desk.connect(others[0], alice)[0], "NO_RESERVATION", "left", "the target has disconnected"
    )
    exam.count("places followed", 6)


def _switches(exam: Exam, make: Any) -> None:
    desk = _Desk(exam, make)
    alice, bob = _peer(exam), _peer(exam)
    exam.equal(
        desk.connect(bob, alice)[0], "NO_RESERVATION", "unreserved", "the target has no place"
    )
    desk.reserve(alice)
    exam.equal(
        desk.connect(bob, alice, desk.relayed())[0],
        "PERMISSION_DENIED",
        "relayed",
        "a peer calls over a relayed connection",
    )
    for source, target in ((alice, alice), (bob, desk.own)):
        exam.require(
            desk.connect(source, target)[0] != "OK",
            "itself",
            "a circuit to the caller itself, or to the relay",
        )
    status, one = desk.connect(bob, alice)
    exam.equal(
        status, "OK", "switches", "the target has a place, and is called by one that has none"
    )
    _, two = desk.connect(bob, alice)
    _carries(exam, desk, one, two)
    desk.now += SECONDS - 1
    _, three = desk.connect(bob, alice)
    exam.require(
        desk.take(two, "back", 10) == 10, "time", f"{SECONDS - 1} s old, and nothing passes"
    )
    desk.now += 1
    exam.require(
        desk.take(two, "back", 10) == 0 and desk.take(three, "back", 10) == 10,
        "time",
        f"one circuit is {SECONDS} s old, the other one second: the first is over, the second not",
    )
    desk.part.end(three)
    free = _Desk(exam, make, seconds=0, data=0)
    free.reserve(alice)
    _, circuit = free.connect(bob, alice)
    free.now += 10 * SECONDS
    exam.require(
        free.take(circuit, "there", 10 * DATA) == 10 * DATA,
        "unlimited",
        "limits of 0 are no limits, and something was held back",
    )
    exam.count("calls", 9)


def _carries(exam: Exam, desk: _Desk, one: Any, two: Any) -> None:
    """So many bytes there, as many back; and the other circuit has its own."""
    part = 600
    for way, n, allowed, rule in (
        ("there", part, part, "data"),
        ("back", part, part, "each-way"),
        ("there", part, DATA - part, "data"),
        ("there", 1, 0, "data"),
        ("back", DATA - part, DATA - part, "each-way"),
        ("back", 1, 0, "data"),
    ):
        got = desk.take(one, way, n)
        exam.require(
            got == allowed,
            rule,
            f"{DATA} bytes may pass each way",
            got=str(got),
            expected=str(allowed),
        )
    exam.require(
        desk.take(two, "there", part) == part,
        "each-circuit",
        "what passed on one circuit was counted on another",
    )


def _promises(exam: Exam, make: Any) -> None:
    """The voucher, opened as any peer would open it."""
    desk = _Desk(exam, make)
    key = KeyPair.generate(rng=exam.rng)
    desk.own = PeerId.from_public_key(key.public)
    desk.part = make(desk.own, TTL, PLACES, SECONDS, DATA)
    alice = _peer(exam)
    _, expire = desk.reserve(alice)
    used: list[tuple[str, bytes]] = []

    def seal(domain: str, payload_type: bytes, payload: bytes) -> bytes:
        used.append((domain, bytes(payload_type)))
        return Envelope.seal(key, domain, bytes(payload_type), bytes(payload)).encode()

    exam.sent = "voucher(a peer, expire, seal)"
    got = desk.part.voucher(alice, expire, seal)
    if not isinstance(got, bytes) or not used:
        exam.reject("wrong-type", "voucher gives the bytes that seal gave", got=shown(got))
    exam.require(
        used[-1] == (VOUCHER_DOMAIN, VOUCHER_TYPE),
        "domain",
        "an envelope of another purpose: nobody would take it for a voucher",
        got=shown(used[-1]),
        expected=shown((VOUCHER_DOMAIN, VOUCHER_TYPE)),
    )
    try:
        opened = Voucher.open(got)
    except (MalformedMessage, RecordInvalid) as problem:
        exam.reject("voucher", f"whoever opens the voucher finds: {problem}")
    right = Voucher(desk.own, alice, expire)
    exam.require(
        opened == right,
        "voucher",
        "the voucher says something else",
        got=shown(opened),
        expected=shown(right),
    )
    exam.count("vouchers opened")


def _any_history(exam: Exam, make: Any) -> None:
    """Places come and go at random, beside the library's book."""
    places = exam.rng.randrange(5, 9)
    desk = _Desk(exam, make, places)
    limits = Limits(
        relay_reservation_ttl=TTL,
        relay_reservations=places,
        relay_reservations_per_ip=STEPS,
        relay_circuits_per_peer=STEPS,
    )
    right = RelayBook(desk.own, limits)
    peers = [_peer(exam) for _ in range(places + 2)]
    for _ in range(STEPS):
        desk.now += exam.rng.choice((1, 60, TTL / 4))
        peer, other = exam.rng.sample(peers, 2)
        match exam.rng.randrange(5):
            case 0 | 1 | 2:
                expected = right.reserve(peer, Multiaddr("/ip4/192.0.2.1/tcp/1"), desk.now)
                got, _ = desk.reserve(peer)
            case 3:
                expected = right.connect(other, Multiaddr("/ip4/192.0.2.1/tcp/1"), peer, desk.now)  # type: ignore[assignment]
                got, _ = desk.connect(other, peer)
            case _:
                right.leave(peer)
                desk.part.leave(peer)
                continue
        name = expected.status.name if isinstance(expected, Refused) else "OK"
        exam.equal(got, name, "history", f"of {places} places {len(right.places)} are taken now")
        exam.count("requests")


async def examine_relay(exam: Exam, answer: Any) -> None:
    """E8.4a: places, circuits, the voucher, any history; and for the first seed a live relay."""
    make = exam.callable_answer(answer, "a class Book")
    _switches(exam, make)
    _keeps_places(exam, make)
    _promises(exam, make)
    _any_history(exam, make)
    if exam.seed == exam.check.seeds[0]:
        await live.examine(exam, make)


RELAY = Check(
    id="08.relay",
    exercise="E8.4a",
    title="A relay that gives, and not for ever",
    level="L4",
    points=4,
    objectives=("1.51",),
    starter=STARTER,
    hints=HINTS,
    rules=RULES,
    examine=examine_relay,
    time_limit=40.0,
)
