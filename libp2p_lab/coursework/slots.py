"""Swap slots: the places in a live peer where a student's part takes the library's place.

    with swap("peer_id", my_peer_id) as stack:
        async with stack.host(listen=["/memory/0"]) as mine, lab.Host() as theirs:
            await theirs.connect(stack.addrs(mine)[0])     # an untouched peer expects the name that my code gave

Nothing in the library is patched: hosts are handed the part when they are made, other hosts in the same kernel stay as
they are. Most slots are parts that `Host` takes anyway, or parts of its services (`slot_pubsub` and others). Two are
not: `peer_id` is handed to the host and to its Noise, and `multiaddr` stands at the host's edges, where people
write and read addresses as text: listening, advertising (identify), dialling. Between the edges addresses are bytes:
those that the student's codec made.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from libp2p_lab.coursework import slot_content, slot_pubsub, slot_punch, slot_relay, slot_routing
from libp2p_lab.errors import LocalError, NegotiationError
from libp2p_lab.host.host import Host
from libp2p_lab.host.identify import Identify
from libp2p_lab.host.ping import Ping
from libp2p_lab.host.service import Service
from libp2p_lab.identity.keys import PublicKey
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.multiplexing.muxer import Muxer
from libp2p_lab.negotiation.negotiate import Negotiator
from libp2p_lab.security.secure_channel import SecureChannel
from libp2p_lab.wire.byte_stream import ByteStream


@dataclass(frozen=True, slots=True)
class Slot:
    """One place where a part can be swapped.

    Attributes:
        name: what `swap` is given.
        chapter: where the part is built.
        part: what fits, in words.
    """

    name: str
    chapter: str
    part: str


SLOTS: tuple[Slot, ...] = (
    Slot("peer_id", "01", "a function: public key protobuf (bytes) to peer id (base58 text)"),
    Slot(
        "multiaddr", "01", "an object with to_bytes(text), to_text(bytes), encapsulate, decapsulate"
    ),
    Slot(
        "negotiator",
        "02",
        "an object with async propose(stream, protocols), respond(stream, protocols)",
    ),
    Slot("secure_channel", "03", "a `SecureChannel`"),
    Slot("muxer", "04", "a `Muxer`"),
    Slot(
        "routing_table",
        "05",
        "a class, called with (me, k), with add(peer), remove(peer), closest(position, count), peers()",
    ),
    Slot(
        "lookup",
        "05",
        "a class, called with (target, seeds, k, alpha), with next(), answered(peer, closer), failed(peer), "
        "is_finished, result",
    ),
    Slot(
        "record_store",
        "06",
        "a class, called without arguments, with add(key, sender, provider, addrs, now), get(key, now)",
    ),
    Slot("pubsub_router", "07", "a class, called with `rng`, whose objects are a pubsub `Router`"),
    Slot("peer_score", "07", "a function or class, called without arguments, that gives a `Score`"),
    Slot(
        "relay",
        "08",
        "a class, called with (own, ttl, places, seconds, data), with reserve(peer, addr, now), voucher(peer, expire, "
        "seal), connect(source, addr, target, now), take(circuit, way, n, now), end(circuit), leave(peer)",
    ),
    Slot(
        "hole_punch",
        "08",
        "a class, called without arguments, with async called(call), caller(call, stream)",
    ),
)

NameOf = Callable[[bytes], str]


class MultiaddrCodec(Protocol):
    """Addresses as text and as bytes: the slot `multiaddr`."""

    def to_bytes(self, text: str) -> bytes:
        """The bytes of an address; `ValueError` if the text is none."""
        ...

    def to_text(self, data: bytes) -> str:
        """The text of an address; `ValueError` if the bytes are none."""
        ...


class LibraryCodec:
    """The library's own `MultiaddrCodec`."""

    def to_bytes(self, text: str) -> bytes:
        """As `MultiaddrCodec.to_bytes`."""
        return Multiaddr(text).to_bytes()

    def to_text(self, data: bytes) -> str:
        """As `MultiaddrCodec.to_text`."""
        return str(Multiaddr(data))


class StudentNegotiator:
    """A student's negotiator as a host's part: its `ValueError` is a refusal like any other.

    Args:
        part: the student's.
    """

    def __init__(self, part: Negotiator) -> None:
        self._part = part

    async def propose(self, stream: ByteStream, protocols: Sequence[str]) -> str:
        """As `Negotiator.propose`."""
        try:
            agreed = await self._part.propose(stream, list(protocols))
        except ValueError as problem:
            raise NegotiationError(str(problem), protocols) from problem
        return _one_of(protocols, agreed)

    async def respond(self, stream: ByteStream, protocols: Collection[str]) -> str:
        """As `Negotiator.respond`."""
        try:
            agreed = await self._part.respond(stream, list(protocols))
        except ValueError as problem:
            raise NegotiationError(str(problem), list(protocols)) from problem
        return _one_of(protocols, agreed)


def _one_of(protocols: Collection[str], agreed: object) -> str:
    for protocol in protocols:
        if protocol == agreed:
            return protocol
    raise LocalError(
        f"the negotiator agreed on {agreed!r}, which is none of {', '.join(protocols)}"
    )


class Stack:
    """Makes hosts with swapped parts, and speaks to them in text.

    Args:
        name_of: the slot `peer_id`; None for the library's.
        codec: the slot `multiaddr`; None for the library's.
        negotiator: the slot `negotiator`; None for the library's.
        security: the slot `secure_channel`: the only one that hosts then speak; None for the library's.
        muxer: the slot `muxer`: the only one that hosts then speak; None for the library's.
        services: makes the services of one host with the swapped part among them; None for the library's.
    """

    def __init__(
        self,
        name_of: NameOf | None = None,
        codec: MultiaddrCodec | None = None,
        security: SecureChannel | None = None,
        negotiator: Negotiator | None = None,
        muxer: Muxer | None = None,
        services: Callable[[], list[Service]] | None = None,
    ) -> None:
        self._negotiator = StudentNegotiator(negotiator) if negotiator is not None else None
        self._name_of = name_of
        self._security = security
        self._muxer = muxer
        self._services = services
        self._codec: MultiaddrCodec = codec if codec is not None else LibraryCodec()
        self.is_open = True

    def host(self, *, listen: Iterable[str] = (), **parts: Any) -> Host:
        """A host with the swapped part in it.

        Args:
            listen: addresses as text.
            parts: what else `Host` takes.

        Raises: `LocalError` outside the `with`; `MalformedMessage` if the part gives bytes that are no address;
            what the part raises.
        """
        if not self.is_open:
            raise LocalError("this part was swapped back: make hosts inside the `with`")
        addrs = [self.encode(text) for text in listen]
        if self._security is not None:
            parts = {"security": [self._security], **parts}
        if self._muxer is not None:
            parts = {"muxers": [self._muxer], **parts}
        if self._services is not None:
            parts = {"services": self.services(), **parts}
        return Host(listen=addrs, peer_id_of=self.peer_id_of, negotiator=self._negotiator, **parts)

    def services(self) -> list[Service]:
        """The services of one host, with the swapped part among them: for hosts that are made elsewhere.

        net.host("alice", services=stack.services)     # on a simulated internet
        """
        return self._services() if self._services is not None else [Identify(), Ping()]

    def peer_id_of(self, key: PublicKey) -> PeerId:
        """The name of the peer that holds `key`.

        Raises: `LocalError` if the part gives text that names no peer.
        """
        if self._name_of is None:
            return PeerId.from_public_key(key)
        return PeerId.from_text(self._name_of(key.to_protobuf()))

    def encode(self, text: str) -> Multiaddr:
        """An address from text."""
        return Multiaddr(bytes(self._codec.to_bytes(text)))

    def addrs(self, host: Host) -> list[str]:
        """The addresses that a host advertises, as text."""
        return [self._codec.to_text(addr.to_bytes()) for addr in host.addrs]

    async def connect(self, host: Host, addr: str) -> MuxedConnection:
        """Let `host` dial an address given as text."""
        return await host.connect(self.encode(addr))

    async def told_addrs(self, host: Host, peer: PeerId) -> list[str]:
        """The addresses that `peer` told `host` by identify, as text."""
        info = await host.identify_result(peer)
        return [self._codec.to_text(addr.to_bytes()) for addr in info.listen_addrs]


@contextmanager
def swap(slot: str, part: Any) -> Iterator[Stack]:
    """Put a part into hosts made inside the `with`.

    Args:
        slot: one of `SLOTS`.
        part: what the slot's `part` says.

    Raises: `LocalError` for a slot that does not exist, or whose chapter is not part of this version.
    """
    match slot:
        case "peer_id":
            stack = Stack(name_of=part)
        case "multiaddr":
            stack = Stack(codec=part)
        case "negotiator":
            stack = Stack(negotiator=part)
        case "secure_channel":
            stack = Stack(security=part)
        case "muxer":
            stack = Stack(muxer=part)
        case "routing_table":
            stack = Stack(services=lambda: slot_routing.with_table(part))
        case "lookup":
            stack = Stack(services=lambda: slot_routing.with_lookup(part))
        case "record_store":
            stack = Stack(services=lambda: slot_content.with_store(part))
        case "pubsub_router":
            stack = Stack(services=lambda: slot_pubsub.with_router(part))
        case "peer_score":
            stack = Stack(services=lambda: slot_pubsub.with_score(part))
        case "relay":
            stack = Stack(services=lambda: slot_relay.with_book(part))
        case "hole_punch":
            stack = Stack(services=lambda: slot_punch.with_puncher(part))
        case _:
            chapter = next((s.chapter for s in SLOTS if s.name == slot), None)
            if chapter is None:
                names = ", ".join(s.name for s in SLOTS)
                raise LocalError(f"no slot is called {slot!r}; there are: {names}")
            raise LocalError(f"the slot {slot!r} comes with chapter {chapter}")
    try:
        yield stack
    finally:
        stack.is_open = False
