"""E8.4a, in words: what is handed out, the hints, and what each rule says."""

from __future__ import annotations

from libp2p_lab.coursework.checks import Rule

RESERVATION = "relay/circuit-v2.md#reservation"
INITIATION = "relay/circuit-v2.md#connection-initiation"
VOUCHERS = "relay/circuit-v2.md#reservation-vouchers"

STARTER = '''\
class Book:
    """What a relay grants. Peers are `PeerId`s, addresses texts, times Unix seconds.

    own: the relay itself. ttl: for how many seconds a place is kept. places: how many there are.
    seconds, data: what a circuit may have: seconds, and bytes each way; 0 is no limit.
    """

    def __init__(self, own, ttl, places, seconds, data):
        raise NotImplementedError

    def reserve(self, peer, addr, now):
        """`peer` wants a place, or wants to keep its own; `addr` is the other end of its connection.

        Returns ("OK", the whole second at which the place expires), or a status and None: "PERMISSION_DENIED" over a
        relayed connection, "RESERVATION_REFUSED" if there is no room.
        """
        raise NotImplementedError

    def voucher(self, peer, expire, seal):
        """The relay's signed word for a place: what seal(domain, payload_type, payload) returns.

        The type is the bytes 03 02. The payload is a protobuf: relay = 1 and peer = 2 (each a `.multihash`),
        expiration = 3 (a varint).
        """
        raise NotImplementedError

    def connect(self, source, addr, target, now):
        """`source` wants to be switched through to `target`.

        Returns ("OK", a circuit: any object, another for each call), or a status and None: "NO_RESERVATION" if the
        target has no place, "PERMISSION_DENIED" over a relayed connection, to the relay itself, to the caller itself.
        """
        raise NotImplementedError

    def take(self, circuit, way, n, now):
        """`n` bytes want to pass, "there" or "back". How many may? Fewer than n: the relay cuts the circuit off."""
        raise NotImplementedError

    def end(self, circuit):
        """A circuit is over: forget it."""
        raise NotImplementedError

    def leave(self, peer):
        """The last connection to `peer` is gone; perhaps it had a place."""
        raise NotImplementedError


await lab.check("08.relay", Book)
'''

HINTS = (
    "Two dicts will do: places, from peer to the second at which it expires; and for each circuit when it began and "
    "how much has passed each way. Which of the requests must throw out old places first?",
    "Only the target needs a place, and only over a connection without a relay in it (circuit-v2.md, reservation and "
    "connection initiation). A place ends in two ways: by its time, and with its peer's connection. The voucher is an "
    "envelope of the domain libp2p-relay-rsvp (reservation vouchers).",
    "relayed: '/p2p-circuit' in addr. First in reserve and connect: places = {p: e for p, e in places.items() if e > "
    "now}. reserve: refuse if peer not in places and len(places) >= most. take: 0 if seconds and now - began >= "
    "seconds; n = min(n, data - passed[way]) if data; passed[way] += n. voucher: bytes_field(1, own.multihash) + "
    "bytes_field(2, peer.multihash) + varint_field(3, expire), from libp2p_lab.wire.protobuf.",
)

RULES = (
    Rule("reserves", "While there is room, whoever asks directly gets a place.", RESERVATION),
    Rule(
        "expire",
        "int(now + ttl): a place ends, or it would be kept for peers long gone.",
        RESERVATION,
    ),
    Rule(
        "relayed",
        "Nothing is granted over a relayed connection: otherwise relays would be stacked upon relays. The address of "
        "such a connection holds /p2p-circuit.",
        RESERVATION,
    ),
    Rule("full", "So many places, and no more: the status is RESERVATION_REFUSED.", RESERVATION),
    Rule(
        "renews",
        "Who has a place keeps it by asking again, even if all are taken, and gets a new time.",
        RESERVATION,
    ),
    Rule(
        "expired",
        "What is over does not count: not as a place that is taken, and not as one to be called at.",
        RESERVATION,
    ),
    Rule(
        "left",
        "A place ends with its peer's connection: the relay calls through that one.",
        RESERVATION,
    ),
    Rule("unreserved", "Nobody is called who has not asked for it: NO_RESERVATION.", INITIATION),
    Rule(
        "itself",
        "A circuit leads to another peer: not to the relay, and not back to who called.",
        INITIATION,
    ),
    Rule(
        "switches",
        "The target has asked for it by its reservation. Who calls needs none.",
        INITIATION,
    ),
    Rule(
        "data",
        "The limit is a sum: what has passed before counts, and what passes now is cut to the rest.",
        RESERVATION,
    ),
    Rule("each-way", "Each direction has the whole limit for itself.", RESERVATION),
    Rule("each-circuit", "Each circuit counts for itself."),
    Rule(
        "time", "A circuit that is `seconds` old is over: from then on nothing passes.", RESERVATION
    ),
    Rule("unlimited", "0 means as much as it likes.", "relay/circuit-v2.md#reservation"),
    Rule(
        "domain",
        "The domain is part of what is signed, so that a signature for one purpose is worth nothing for another: "
        "libp2p-relay-rsvp, and the type 03 02.",
        VOUCHERS,
    ),
    Rule(
        "voucher",
        "relay = 1, peer = 2, expiration = 3: who keeps a place for whom, and until when.",
        VOUCHERS,
    ),
    Rule(
        "history",
        "After a longer history your book and a right one part. What does it still remember, or no longer?",
    ),
    Rule(
        "live",
        "In a live relay, among peers that do not know your book, one of them got what it should not, or did not get "
        "what it should.",
    ),
)
