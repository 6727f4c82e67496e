"""A peer, assembled from its parts.

    async with Host(listen=["/ip4/127.0.0.1/tcp/0"]) as alice, Host() as bob:
        await bob.connect(alice.addrs[0])
        print(await bob.ping(alice.peer_id))

A host is handed its parts: transports, security, muxers, services. Whatever fits a part's interface will do.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Literal, TypeVar

from libp2p_lab.errors import LocalError, NegotiationError
from libp2p_lab.host.connection_manager import ConnectionManager
from libp2p_lab.host.events import AddrsObserved
from libp2p_lab.host.fetch import Fetch
from libp2p_lab.host.gater import Gater
from libp2p_lab.host.handlers import Handler, Handlers, report_end, report_start
from libp2p_lab.host.identify import Identify, IdentifyInfo
from libp2p_lab.host.observed_addrs import NatKind, ObservedAddrs
from libp2p_lab.host.own_streams import PeerTransport
from libp2p_lab.host.peerstore import PeerInfo, Peerstore
from libp2p_lab.host.perf import Perf
from libp2p_lab.host.ping import Ping
from libp2p_lab.host.quic import QUIC
from libp2p_lab.host.resources import ResourceManager, StreamClaim
from libp2p_lab.host.service import Service
from libp2p_lab.host.swarm import Swarm
from libp2p_lab.host.upgrade import Upgrader
from libp2p_lab.identity.envelope import PeerRecord
from libp2p_lab.identity.keys import KeyPair, PublicKey
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.multiplexing.muxed_stream import MuxedStream
from libp2p_lab.multiplexing.muxer import Muxer
from libp2p_lab.multiplexing.yamux import Yamux
from libp2p_lab.negotiation.multistream import Initiator
from libp2p_lab.negotiation.negotiate import Negotiation, Negotiator
from libp2p_lab.security.noise import Noise
from libp2p_lab.security.private_network import check_forced, fingerprint
from libp2p_lab.security.secure_channel import SecureChannel
from libp2p_lab.security.tls import TLS
from libp2p_lab.trace import Probe, Trace
from libp2p_lab.transports.dns import LookUpText, look_up_text
from libp2p_lab.transports.memory import Memory
from libp2p_lab.transports.tcp import TCP
from libp2p_lab.transports.transport import Listener, Transport
from libp2p_lab.transports.websocket import WebSocket

#: Whatever names a peer: its id (or the id's text), an address that ends in its id, or both together.
PeerRef = PeerId | PeerInfo | Multiaddr | str

S = TypeVar("S", bound=Service)


class _Closing(Exception):
    """Raised inside the host's task group to end every task in it."""


class Host:
    """A libp2p peer.

    Use it as `async with Host(…) as host`, or call `start` and `close`.

    Args:
        key: the identity; None makes a fresh Ed25519 key.
        listen: addresses to wait at from the start, as text or `Multiaddr`.
        transports: None for TCP, QUIC, WebSocket and memory.
        security: None for Noise and TLS. The preferred one first.
        muxers: None for yamux. The preferred one first.
        services: None for identify and ping. A service belongs to one host.
        limits: None for the defaults.
        gater: who is refused; None refuses nobody.
        peerstore: the memory of other peers; None makes an empty one.
        psk: the key of a private network, 32 bytes (see `load_swarm_key`): nobody without it is understood.
        trace: where facts are told; None makes one.
        rng: chance for everything that is no secret; None for a fresh one.
        peer_id_of: the name of the peer that holds a key; only exercises replace it.
        look_up: gives the text records of a name, for dnsaddr; simulations bring their own.
        optimistic: False awaits the answer to every proposal, even where it is all but certain: for lessons, since it
            costs round trips.
        negotiator: agrees on protocols in the place of multistream-select as it is here; only exercises replace it.

    Attributes:
        peer_id: who we are.
        key: our key pair.
        limits, peerstore, trace, services: as given.
        network_fingerprint: of the private network's key; b"" for the public network.
        resources: what others use of this host, counted.

    Raises: `LocalError` if the parts do not make a host.
    """

    def __init__(
        self,
        key: KeyPair | None = None,
        listen: Iterable[Multiaddr | str] = (),
        transports: Sequence[Transport | PeerTransport] | None = None,
        security: Sequence[SecureChannel] | None = None,
        muxers: Sequence[Muxer] | None = None,
        services: Sequence[Service] | None = None,
        limits: Limits | None = None,
        gater: Gater | None = None,
        peerstore: Peerstore | None = None,
        psk: bytes | None = None,
        trace: Trace | None = None,
        rng: random.Random | None = None,
        peer_id_of: Callable[[PublicKey], PeerId] = PeerId.from_public_key,
        look_up: LookUpText = look_up_text,
        optimistic: bool = True,
        negotiator: Negotiator | None = None,
    ) -> None:
        check_forced(psk)
        if transports is None:
            # What brings its own security cannot be wrapped in a private network's cipher.
            own = (QUIC(),) if psk is None else ()
            transports = (TCP(), *own, WebSocket(), Memory())
        elif psk is not None and any(isinstance(part, PeerTransport) for part in transports):
            raise LocalError("QUIC cannot carry a private network: nothing can be put around it")
        self.key = key if key is not None else KeyPair.generate()
        self.peer_id = peer_id_of(self.key.public)
        self.limits = limits if limits is not None else DEFAULT_LIMITS
        self.peerstore = peerstore if peerstore is not None else Peerstore(self.limits)
        self.trace = trace if trace is not None else Trace()
        self.trace.node = self.trace.node or str(self.peer_id)
        self.rng = rng if rng is not None else random.Random()
        self._probe = Probe(self.trace, "host")
        self._optimistic = optimistic
        self._listen_at = tuple(Multiaddr(a) if isinstance(a, str) else a for a in listen)
        self._change_callbacks: list[Callable[[], None]] = []
        self._start_callbacks: list[Callable[[], None]] = []
        self._finders: list[Callable[[PeerId], Awaitable[Sequence[Multiaddr]]]] = []
        self._seekers: list[Callable[[PeerId], Awaitable[None]]] = []
        self.resources = ResourceManager(self.limits)
        self._observations = ObservedAddrs(self.limits)
        self._observed: tuple[Multiaddr, ...] = ()  # confirmed
        self._found_out: dict[str, tuple[Multiaddr, ...]] = {}  # by services
        self._withheld: dict[str, frozenset[Multiaddr]] = {}  # by services
        self._handlers = Handlers(self.limits, self._changed, negotiator)
        self._negotiator = negotiator
        self._swarm = Swarm(
            self.peer_id,
            transports,
            Upgrader(
                self.key,
                security
                if security is not None
                else (Noise(peer_id_of=peer_id_of), TLS(peer_id_of=peer_id_of)),
                muxers if muxers is not None else (Yamux(),),
                self.limits,
                psk,
                optimistic,
                negotiator,
            ),
            limits=self.limits,
            gater=gater,
            probe=self._probe,
            resources=self.resources,
            on_stream=self._accept_stream,
            on_stream_end=report_end,
            on_addrs_change=self._changed,
            peer_id_of=peer_id_of,
            look_up=look_up,
        )
        self.network_fingerprint = fingerprint(psk) if psk is not None else b""
        self.services = tuple(services) if services is not None else (Identify(), Ping())
        self._record_seq = 0
        self._signed_record = b""
        self._signed_addrs: tuple[Multiaddr, ...] = ()
        self._tasks: asyncio.TaskGroup | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._stop: asyncio.Event | None = None
        self._started = self._closed = self._is_ending = False
        self.on_connect(lambda c: self.peerstore.set_connected(c.remote_peer, True))
        self.on_disconnect(self._note_disconnect)
        for service in self.services:
            service.attach(self)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "running" if self._started else "new"
        return f"<Host {self.peer_id.short()} {state}, {len(self._swarm.connections)} connections>"

    # -- life -------------------------------------------------------------------------------------------------

    async def start(self) -> Host:
        """Begin to listen. Returns the host, ready to use.

        Raises: `LocalError` if it was started before, or an address is no address to listen at; `OSError`.
        """
        if self._started:
            raise LocalError("this host was started before: make another one")
        self._started = True
        ready = asyncio.Event()
        self._stop = asyncio.Event()
        self._supervisor = asyncio.create_task(self._live(ready))
        await ready.wait()
        try:
            for addr in self._listen_at:
                await self._swarm.listen(addr)
        except BaseException:
            await self.close()
            raise
        for callback in self._start_callbacks:
            callback()
        return self

    async def _live(self, ready: asyncio.Event) -> None:
        """Own every task of this host, from start to close."""
        assert self._stop is not None
        self.trace.use_clock(asyncio.get_running_loop().time)
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._swarm.start(self._tasks)
                ready.set()
                try:
                    await self._stop.wait()
                finally:
                    self._is_ending = True  # cancelled: it stops without `close`
                raise _Closing
        except* _Closing:
            pass
        finally:
            ready.set()

    async def close(self) -> None:
        """Say goodbye to everybody and stop. Can be called again."""
        if self._closed or self._supervisor is None or self._stop is None:
            self._closed = True
            return
        self._closed = True
        try:
            await self._swarm.close()
            for service in self.services:
                await service.close()
        finally:
            self._stop.set()
            await self._supervisor

    async def __aenter__(self) -> Host:
        return await self.start()

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    @property
    def probe(self) -> Probe:
        """Where facts about the host as a whole are told; services tell theirs on layers of their own."""
        return self._probe

    @property
    def is_running(self) -> bool:
        """Whether it was started and not closed."""
        return self._started and not self._closed

    # -- where ------------------------------------------------------------------------------------------------

    async def listen(self, addr: Multiaddr | str) -> list[Multiaddr]:
        """Wait for connections at one more address.

        Returns: where it listens now because of that, each ending in `/p2p/<our id>`.

        Raises: `LocalError` if no transport can listen there; `OSError`.
        """
        self._check_running()
        listener = await self._swarm.listen(Multiaddr(addr) if isinstance(addr, str) else addr)
        self.addrs_changed()
        return [found.with_peer(self.peer_id) for found in listener.addrs]

    @property
    def addrs(self) -> list[Multiaddr]:
        """Where others can reach us, each ending in `/p2p/<our id>`.

        That is where we listen, what services have found out, and `observed_addrs`; without what services withhold.
        """
        return [addr.with_peer(self.peer_id) for addr in self._advertised()]

    def _advertised(self) -> list[Multiaddr]:
        withheld = frozenset().union(*self._withheld.values())
        return [addr for addr in self._candidates() if addr not in withheld]

    @property
    def candidate_addrs(self) -> list[Multiaddr]:
        """Where others might reach us: `addrs`, and what services withhold. As in `addrs`."""
        return [addr.with_peer(self.peer_id) for addr in self._candidates()]

    def _candidates(self) -> list[Multiaddr]:
        found_out = (addr for addrs in self._found_out.values() for addr in addrs)
        return list(dict.fromkeys((*self._swarm.listen_addrs, *found_out, *self._observed)))

    @property
    def listen_addrs(self) -> list[Multiaddr]:
        """Where we listen, and nothing else. As in `addrs`."""
        return [addr.with_peer(self.peer_id) for addr in self._swarm.listen_addrs]

    def advertise(self, source: str, addrs: Sequence[Multiaddr]) -> None:
        """A service has found out that others can reach us there: at a port that a router opened, say.

        Args:
            source: the service's name. What it said before is replaced.
            addrs: without our id; more than the limit allows are left out.
        """
        before = self._found_out.pop(source, ())
        found = tuple(dict.fromkeys(addrs))[: self.limits.advertised_addrs]
        if found:
            self._found_out[source] = found
        if found != before:
            self._changed()

    def withhold(self, source: str, addrs: Sequence[Multiaddr]) -> None:
        """A service has found out that nobody reaches us there: others are not told to try.

        Args:
            source: the service's name. What it said before is replaced.
            addrs: without our id.
        """
        before = self._advertised()
        self._withheld[source] = frozenset(addrs)
        if self._advertised() != before:
            self._changed()

    @property
    def observed_addrs(self) -> list[Multiaddr]:
        """Where several others see us though we do not listen there: the outside of a NAT. As in `addrs`."""
        return [addr.with_peer(self.peer_id) for addr in self._observed]

    @property
    def punchable_addrs(self) -> list[Multiaddr]:
        """Where somebody who is told may try to punch through to us: where we listen, and where anybody sees us.

        As in `addrs`, but without relays.
        """
        listening = [a for a in self._swarm.listen_addrs if "p2p-circuit" not in a.names]
        found_out = (addr for addrs in self._found_out.values() for addr in addrs)
        found = dict.fromkeys((*self._observations.candidates(listening), *found_out, *listening))
        return [addr.with_peer(self.peer_id) for addr in found]

    def nat_kind(self, protocol: Literal["tcp", "udp"]) -> NatKind:
        """How the NAT before us gives out ports, as far as others' observations tell: see `ObservedAddrs.nat_kind`."""
        return self._observations.nat_kind(protocol)

    async def stop_listening(self, listener: Listener) -> None:
        """Wait no longer where a transport of ours does. Connections that have arrived stay open."""
        await self._swarm.stop_listening(listener)
        self.addrs_changed()

    def addrs_changed(self) -> None:
        """A listener's addresses are not what they were. Transports of services call this."""
        self._update_observed()
        self._changed()

    def observe(self, connection: MuxedConnection, seen: Multiaddr) -> None:
        """The remote of a connection says where it sees our end. Identify calls this."""
        listening = self._swarm.listen_addrs
        if self._observations.observe(
            connection.id, connection.local_addr, connection.remote_addr, seen, listening
        ):
            self._update_observed()

    def _update_observed(self) -> None:
        observed = tuple(self._observations.confirmed(self._swarm.listen_addrs))
        if observed != self._observed:
            self._observed = observed
            if self._probe.trace.listeners:
                self._probe.emit("event", AddrsObserved(tuple(map(str, observed))))
            self._changed()

    @property
    def signed_record(self) -> bytes:
        """Our addresses in an envelope that anybody can verify; signed anew when they change."""
        addrs = tuple(self._advertised())
        if not self._signed_record or addrs != self._signed_addrs:
            self._record_seq += 1
            record = PeerRecord(self.peer_id, self._record_seq, addrs)
            self._signed_record = record.seal(self.key).encode()
            self._signed_addrs = addrs
        return self._signed_record

    # -- connections ------------------------------------------------------------------------------------------

    async def connect(self, target: PeerRef) -> MuxedConnection:
        """A connection to `target`: the one that we have, or a new one.

        Args:
            target: an address (ending in `/p2p/<id>`, so that we know who must answer), a `PeerInfo`, or the id of
                a peer. Where its addresses are not known, services that can find peers are asked.

        Raises: `DialError` with the cause of each address; `LocalError` for something that names no peer.
        """
        self._check_running()
        peer, addrs = self._resolve_ref(target)
        if peer is not None and addrs:
            self.peerstore.add_addrs(peer, reversed(addrs), provenance="given")
        known = self.peerstore.addrs(peer) if peer is not None else ()
        if peer is not None and not addrs and not known and not self.is_connected(peer):
            for find in self._finders:
                known = (*known, *(await find(peer)))
        return await self._swarm.dial(peer, addrs, known)

    def can_dial(self, addr: Multiaddr) -> bool:
        """Whether a transport of ours can dial this."""
        return self._swarm.can_dial(addr)

    def can_punch(self, addr: Multiaddr) -> bool:
        """Whether a hole can be punched with such an address: TCP and QUIC."""
        return self._swarm.can_punch(addr)

    async def dial_direct(self, peer: PeerId, addrs: Sequence[Multiaddr]) -> MuxedConnection:
        """A new connection to `peer`, whatever there is. Raises: `DialError`."""
        return await self._swarm.dial_direct(peer, addrs)

    async def punch(self, peer: PeerId, addr: Multiaddr, *, is_client: bool) -> MuxedConnection:
        """Dial while the other side dials us: see `Swarm.punch`."""
        return await self._swarm.punch(peer, addr, is_client)

    def expect_punch(
        self,
        peer: PeerId,
        ip: str,
        on_stray: Callable[[Multiaddr], None],
        *,
        is_server_there: bool = True,
    ) -> Callable[[], None]:
        """What comes from `ip` now may be the other side's dial: see `Swarm.expect_punch`."""
        return self._swarm.expect_punch(peer, ip, on_stray, is_server_there=is_server_there)

    def open_hole(self, addr: Multiaddr, data: bytes) -> None:
        """Let our NAT expect datagrams from `addr`, by sending one there. Raises: `LocalError`."""
        self._swarm.open_hole(addr, data)

    def add_transport(self, transport: Transport) -> None:
        """One more way to reach others: a service that is a transport as well calls this from `attach`."""
        self._swarm.add_transport(transport)

    def add_direct_seeker(self, seek: Callable[[PeerId], Awaitable[None]]) -> None:
        """Before a stream is refused because its connection is a limited one, let `seek` find a direct one.

        It returns as soon as there is one, or when there will be none.
        """
        self._seekers.append(seek)

    def add_finder(self, find: Callable[[PeerId], Awaitable[Sequence[Multiaddr]]]) -> None:
        """Ask `find` for the addresses of peers that we know none of. It returns () for "I do not know"."""
        self._finders.append(find)

    def _resolve_ref(self, ref: PeerRef) -> tuple[PeerId | None, list[Multiaddr]]:
        match ref:
            case PeerId():
                return ref, []
            case PeerInfo(peer_id=peer, addrs=addrs):
                return peer, [addr.without_peer() for addr in addrs]
            case Multiaddr():
                return ref.peer_id, [ref.without_peer()] if ref.peer_id is not None else [ref]
            case str():
                return self._resolve_ref(
                    Multiaddr(ref) if ref.startswith("/") else PeerId.from_text(ref)
                )

    async def disconnect(self, peer: PeerRef) -> None:
        """Close every connection to `peer`."""
        connections = self.connections_to(self._peer_of(peer))
        async with asyncio.TaskGroup() as tasks:
            for connection in connections[1:]:
                tasks.create_task(connection.close())
            if connections:
                await connections[0].close()

    @property
    def connections(self) -> list[MuxedConnection]:
        """Every open connection, the oldest first."""
        return list(self._swarm.connections.values())

    def connections_to(self, peer: PeerId) -> list[MuxedConnection]:
        """Every open connection to `peer`, the oldest first."""
        return list(self._swarm.to(peer))

    def is_connected(self, peer: PeerId) -> bool:
        """Whether there is a connection to `peer`."""
        return bool(self._swarm.to(peer))

    @property
    def peers(self) -> list[PeerId]:
        """Everybody we are connected to."""
        return list(dict.fromkeys(c.remote_peer for c in self._swarm.connections.values()))

    def on_connect(self, callback: Callable[[MuxedConnection], None]) -> None:
        """Call `callback` with each connection that becomes usable."""
        self._swarm.on_connect.append(callback)

    def on_disconnect(self, callback: Callable[[MuxedConnection], None]) -> None:
        """Call `callback` with each connection that is gone."""
        self._swarm.on_disconnect.append(callback)

    def _note_disconnect(self, connection: MuxedConnection) -> None:
        if self._observations.forget(connection.id):
            self._update_observed()
        if not self.is_connected(connection.remote_peer):
            self.peerstore.set_connected(connection.remote_peer, False)

    def resolve(self, ref: PeerRef) -> tuple[PeerId, list[Multiaddr]]:
        """Whom `ref` names, and the addresses in it.

        Raises: `LocalError` for something that names no peer.
        """
        peer, addrs = self._resolve_ref(ref)
        if peer is None:
            raise LocalError(f"{ref} names no peer: it must end in /p2p/<id>")
        return peer, addrs

    def _peer_of(self, ref: PeerRef) -> PeerId:
        return self.resolve(ref)[0]

    # -- streams ----------------------------------------------------------------------------------------------

    async def open_stream(
        self, peer: PeerRef, protocols: str | Sequence[str], *, allow_limited: bool = False
    ) -> MuxedStream:
        """A stream to `peer`, which is dialed if need be.

        Args:
            peer: whoever shall answer.
            protocols: one protocol id, or several in order of preference.
            allow_limited: whether a connection will do that a relay limits. For protocols of a few bytes.

        Raises: `NegotiationError` if the peer speaks none of them; `DialError`; `ConnectionLost`; `LocalError` if
            there is a limited connection only.
            With one protocol the peer's answer is awaited only if it has not told yet that it speaks it; a
            refusal then shows at the first `read`.
        """
        self._check_running()
        wanted = (protocols,) if isinstance(protocols, str) else tuple(protocols)
        connection = None
        if isinstance(peer, PeerId):
            connection = self._swarm.best(peer)
        if connection is None:
            connection = await self.connect(peer)
        if connection.limited and not allow_limited:
            connection = await self._direct(connection.remote_peer)
        return await self.open_stream_on(connection, wanted)

    async def _direct(self, peer: PeerId) -> MuxedConnection:
        """A connection without limits, if one comes of what is under way."""
        for seek in self._seekers:
            await seek(peer)
        connection = self._swarm.best(peer)
        if connection is None or connection.limited:
            raise LocalError(
                f"{peer.short()} is reached through a relay that limits time and bytes: "
                "wait for a direct connection, or say allow_limited=True if the protocol needs little"
            )
        return connection

    async def open_stream_on(
        self, connection: MuxedConnection, protocols: Sequence[str]
    ) -> MuxedStream:
        """As `open_stream`, on a given connection."""
        try:
            async with asyncio.timeout(self.limits.negotiation_timeout):
                stream = await self._swarm.open_stream(connection)
                try:
                    await self._negotiate(stream, protocols)
                except BaseException:
                    await stream.reset()
                    raise
        except TimeoutError:
            raise NegotiationError("the peer does not answer the proposal", protocols) from None
        if stream.is_open:  # or else it was agreed on and reset in one go: the first read says so
            report_start(stream)
        return stream

    async def _negotiate(self, stream: MuxedStream, protocols: Sequence[str]) -> None:
        if self._negotiator is not None:
            protocol = await self._negotiator.propose(stream, protocols)
            self._swarm.agree(stream, protocol)
            stream.protocol = protocol
            return
        probe = stream.probe.on("negotiation")
        negotiation = Negotiation(stream, Initiator(protocols), self.limits, probe)
        await negotiation.start()
        peer = stream.connection.remote_peer
        is_known = len(protocols) == 1 and protocols[0] in self.peerstore.protocols(peer)
        if is_known and self._optimistic:
            # The peer said that it speaks this: no need to wait until it says so again.
            stream.expect(negotiation)
            self._swarm.agree(stream, protocols[0])
            stream.protocol = protocols[0]
        else:
            protocol = await negotiation.finish()
            self._swarm.agree(stream, protocol)
            stream.protocol = protocol

    def _accept_stream(self, stream: MuxedStream, claim: StreamClaim) -> None:
        self.create_task(self._handlers.serve(stream, claim))

    def handle(
        self, protocol: str, max_streams_per_peer: int | None = None
    ) -> Callable[[Handler], Handler]:
        """Answer a protocol by the function below: `@host.handle("/echo/1.0.0")`."""

        def decorate(handler: Handler) -> Handler:
            self.set_handler(protocol, handler, max_streams_per_peer)
            return handler

        return decorate

    def set_handler(
        self, protocol: str, handler: Handler, max_streams_per_peer: int | None = None
    ) -> None:
        """Answer `protocol` by `handler(stream)`, in place of any other.

        The stream is closed when the handler returns, and reset when it raises.

        Args:
            protocol: the protocol id.
            handler: a coroutine function.
            max_streams_per_peer: how many of one peer run at once; None for the limits' value.
        """
        is_async = inspect.iscoroutinefunction
        if not (is_async(handler) or is_async(getattr(handler, "__call__", None))):  # noqa: B004
            raise LocalError(f"the handler of {protocol} must be an `async def` function")
        self._handlers.set(protocol, handler, max_streams_per_peer)

    def remove_handler(self, protocol: str) -> None:
        """Answer `protocol` no more."""
        self._handlers.remove(protocol)

    @property
    def protocols(self) -> tuple[str, ...]:
        """What we answer, sorted."""
        return self._handlers.protocols

    def on_start(self, callback: Callable[[], None]) -> None:
        """Call `callback` once we listen: services that do something by themselves begin there."""
        self._start_callbacks.append(callback)

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` when our addresses or protocols change while we run."""
        self._change_callbacks.append(callback)

    def _changed(self) -> None:
        if self.is_running and self._tasks is not None and not self._is_ending:
            for callback in self._change_callbacks:
                callback()

    # -- services ---------------------------------------------------------------------------------------------

    async def ping(self, peer: PeerRef) -> float:
        """One round trip to `peer`, in seconds."""
        return await self.service(Ping).ping(peer)

    async def identify_result(self, peer: PeerRef) -> IdentifyInfo:
        """What a connected peer told about itself, as soon as it has."""
        return await self.service(Identify).result(self._peer_of(peer))

    @property
    def fetch(self) -> Fetch:
        """The fetch service."""
        return self.service(Fetch)

    @property
    def perf(self) -> Perf:
        """The perf service."""
        return self.service(Perf)

    @property
    def connection_manager(self) -> ConnectionManager:
        """The service that keeps the number of connections within its marks."""
        return self.service(ConnectionManager)

    def protect(self, peer: PeerId, reason: str, *, stands: bool = True) -> None:
        """Let the connection manager, if there is one, leave `peer` alone as long as this reason stands."""
        for service in self.services:
            if isinstance(service, ConnectionManager):
                if stands:
                    service.protect(peer, reason)
                else:
                    service.unprotect(peer, reason)

    # Services of later chapters, by name: a host knows no chapter after its own.

    @property
    def dht(self) -> Any:
        """The Kademlia service (chapter 05)."""
        return self._named("dht", "KadDHT")

    @property
    def bootstrap(self) -> Any:
        """The first peers of all (chapter 05)."""
        return self._named("bootstrap", "Bootstrap")

    @property
    def bitswap(self) -> Any:
        """The block exchange (chapter 06)."""
        return self._named("bitswap", "Bitswap")

    @property
    def rendezvous(self) -> Any:
        """The rendezvous service (chapter 06)."""
        return self._named("rendezvous", "Rendezvous")

    @property
    def mdns(self) -> Any:
        """Discovery in the local network (chapter 06)."""
        return self._named("mdns", "MDNS")

    @property
    def pubsub(self) -> Any:
        """Publish and subscribe (chapter 07)."""
        return self._named("pubsub", "GossipSub")

    @property
    def relay(self) -> Any:
        """The relay that we are (chapter 08)."""
        return self._named("relay", "Relay")

    @property
    def relay_client(self) -> Any:
        """The relays that we use (chapter 08)."""
        return self._named("relay_client", "RelayClient")

    @property
    def auto_relay(self) -> Any:
        """The search for relays (chapter 08)."""
        return self._named("auto_relay", "AutoRelay")

    @property
    def autonat(self) -> Any:
        """Whether we can be reached (chapter 08)."""
        return self._named("autonat", "AutoNAT")

    @property
    def port_mapping(self) -> Any:
        """The ports that a router opens for us (chapter 08)."""
        return self._named("port_mapping", "PortMapping")

    @property
    def dcutr(self) -> Any:
        """Hole punching (chapter 08)."""
        return self._named("dcutr", "DCUtR")

    def _named(self, name: str, kind: str) -> Any:
        for service in self.services:
            if getattr(service, "name", "") == name:
                return service
        raise LocalError(f"this host has no {kind}: give it one, Host(services=[…, {kind}()])")

    def service(self, kind: type[S]) -> S:
        """The service of this kind.

        Raises: `LocalError` if the host was not given one.
        """
        for service in self.services:
            if isinstance(service, kind):
                return service
        name = kind.__name__
        raise LocalError(f"this host has no {name}: give it one, Host(services=[…, {name}()])")

    def create_task(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a service's coroutine as a task that ends with the host. It must handle its own errors."""
        if self._tasks is None:
            coroutine.close()
            raise LocalError("this host is not running")
        return self._tasks.create_task(coroutine)

    def _check_running(self) -> None:
        if not self.is_running:
            state = "closed" if self._closed else "not started: use `async with` or lab.spawn"
            raise LocalError(f"this host is {state}")
