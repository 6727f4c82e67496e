"""Being reached through a relay, and reaching others: the client's side, as a transport and a service.

    who wants to be reached                              who calls
    await host.relay_client.reserve(relay)               await host.connect("…/p2p/R/p2p-circuit/p2p/A")
    host.addrs  …/p2p/R/p2p-circuit/p2p/A

The relay gives a stream; what travels in it is upgraded like a TCP connection: a handshake end to end, then a muxer. So
the relay carries what it cannot read, and each end has proven itself to the other.

A connection through a relay that limits time or bytes is `.limited`. Heavy protocols are kept off it: `open_stream`
refuses unless it is told `allow_limited=True`.

Spec: relay/circuit-v2.md#interaction
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from libp2p_lab.errors import (
    DialError,
    LabError,
    LimitExceeded,
    LocalError,
    MalformedMessage,
    NegotiationError,
    ProtocolViolation,
    RecordInvalid,
)
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.multiplexing.muxed_stream import MuxedStream
from libp2p_lab.nat.events import RelayRefusal, ReservationLost, Reserved
from libp2p_lab.nat.relay_messages import (
    HOP_PROTOCOL,
    MAX_MESSAGE,
    STOP_PROTOCOL,
    V1_PROTOCOL,
    HopConnect,
    HopReserve,
    HopStatus,
    Limit,
    Reservation,
    Status,
    StopConnect,
    StopStatus,
    Voucher,
    decode_hop,
    decode_stop,
)
from libp2p_lab.trace import Probe
from libp2p_lab.transports.transport import OnConnection
from libp2p_lab.wire.byte_stream import Buffer

if TYPE_CHECKING:
    from libp2p_lab.host.host import Host, PeerRef

CIRCUIT = Multiaddr("/p2p-circuit")
LATEST_RENEWAL = (
    24 * 3600.0
)  # seconds; a relay that promises a longer time is asked again all the same


class RelayRefused(DialError):
    """The relay said no.

    Attributes:
        status: what it said.
    """

    def __init__(self, message: str, status: Status) -> None:
        super().__init__(message)
        self.status = status


class CircuitStream:
    """A circuit's end: a `RawConnection`, to be upgraded.

    Args:
        stream: to or from the relay.
        local, remote: the two ends, as far as each side knows.
        limited: whether the relay limits it.

    Attributes:
        over: set once it is closed or reset at our end.
    """

    __slots__ = (
        "_received",
        "_sent",
        "_stream",
        "limited",
        "local_addr",
        "over",
        "probe",
        "remote_addr",
    )

    def __init__(
        self, stream: MuxedStream, local: Multiaddr, remote: Multiaddr, limited: bool
    ) -> None:
        self._stream = stream
        self.local_addr = local
        self.remote_addr = remote
        self.limited = limited
        self.over = asyncio.Event()
        self.probe = Probe(layer="transport")
        self._received = self._sent = 0

    async def read(self, n: int = -1) -> bytes:
        """As `ByteStream.read`."""
        data = await self._stream.read(n)
        if self.probe.trace.listeners:
            self.probe.emit("received", data, self._received)
        self._received += len(data)
        return data

    async def write(self, data: Buffer) -> None:
        """As `ByteStream.write`."""
        if self.probe.trace.listeners:
            self.probe.emit("sent", bytes(data), self._sent)
        self._sent += len(data)
        await self._stream.write(data)

    async def close_write(self) -> None:
        """As `ByteStream.close_write`."""
        await self._stream.close_write()

    async def close(self) -> None:
        """As `ByteStream.close`."""
        await self._stream.close()
        self.over.set()

    async def reset(self) -> None:
        """As `ByteStream.reset`."""
        await self._stream.reset()
        self.over.set()


class CircuitListener:
    """A place at one relay, kept as long as this lives: a `Listener`.

    Attributes:
        relay: who relays.
        reservation: what we have; None while we have nothing.
    """

    def __init__(self, client: RelayClient, relay: PeerId, on_connection: OnConnection) -> None:
        self._client = client
        self.relay = relay
        self.on_connection = on_connection
        self.reservation: Reservation | None = None
        self.limit: Limit | None = None
        self.base: tuple[Multiaddr, ...] = ()  # where the relay is
        self.cut = asyncio.Event()  # the connection to the relay is gone
        self.keeper: asyncio.Task[None] | None = None

    @property
    def addrs(self) -> Sequence[Multiaddr]:
        """Where we can be reached through this relay."""
        if self.reservation is None:
            return ()
        return [addr.with_peer(self.relay) / CIRCUIT for addr in self.base]

    async def close(self) -> None:
        """Give the place up. The relay forgets it with the connection, or when it expires."""
        self.reservation = None
        self._client.forget(self.relay)
        if self.keeper is not None and self.keeper is not asyncio.current_task():
            self.keeper.cancel()


class RelayClient:
    """Uses relays: dials and listens at `/p2p-circuit` addresses.

    Args:
        check_vouchers: whether a place whose voucher is forged or missing is given up.
        clock: Unix time in seconds; None for the system's.

    Attributes:
        listeners: the relays at which we keep a place, or try to.
    """

    name = "relay_client"

    def __init__(
        self, *, check_vouchers: bool = True, clock: Callable[[], float] | None = None
    ) -> None:
        self._check_vouchers = check_vouchers
        # Not as a default above: simulations put another function in its place.
        self._clock = clock if clock is not None else time.time
        self._host: Host
        self.listeners: dict[PeerId, CircuitListener] = {}
        self.on_lost: list[Callable[[PeerId], None]] = []

    def attach(self, host: Host) -> None:
        """As `Service.attach`."""
        self._host = host
        host.add_transport(CircuitTransport(self))
        # Each circuit that reaches us keeps its stream until it ends, and all of them come from one peer.
        host.set_handler(STOP_PROTOCOL, self._answer, host.limits.relay_circuits_per_peer + 8)
        host.on_disconnect(self._on_disconnect)

    async def close(self) -> None:
        """As `Service.close`."""
        for listener in [*self.listeners.values()]:
            await listener.close()

    # -- places ---------------------------------------------------------------------------------------------

    @property
    def reservations(self) -> dict[PeerId, Reservation]:
        """The places that we have, by relay."""
        held = self.listeners.items()
        return {relay: one.reservation for relay, one in held if one.reservation is not None}

    async def reserve(self, relay: PeerRef) -> Reservation:
        """Get a place at `relay`, keep it, and tell others of the address that it gives us.

        Raises: `RelayRefused`; `DialError` if the relay cannot be reached; `RecordInvalid` for a forged voucher;
            `RemoteError`.
        """
        peer, addrs = self._host.resolve(relay)
        held = self.listeners.get(peer)
        if held is None or held.reservation is None:
            if held is not None:
                await self.release(peer)
            if addrs:
                self._host.peerstore.add_addrs(peer, reversed(addrs), provenance="given")
            await self._host.listen(Multiaddr.of(()).with_peer(peer) / CIRCUIT)
        reservation = self.listeners[peer].reservation
        assert reservation is not None
        return reservation

    async def renew(self, relay: PeerRef) -> Reservation:
        """Renew a place now; it happens by itself in time. Raises as `reserve`."""
        peer, _ = self._host.resolve(relay)
        listener = self.listeners.get(peer)
        if listener is None:
            raise LocalError(f"there is no place at {peer} to renew")
        await self._renew(listener, Multiaddr.of(()).with_peer(peer))
        assert listener.reservation is not None
        return listener.reservation

    def forget(self, relay: PeerId) -> None:
        """A listener is closed."""
        self.listeners.pop(relay, None)
        self._host.protect(relay, "relays for us", stands=False)

    async def release(self, relay: PeerRef) -> None:
        """Give the place at `relay` up, and take its address back."""
        listener = self.listeners.get(self._host.resolve(relay)[0])
        if listener is not None:
            await self._host.stop_listening(listener)

    async def listen(self, relay_addr: Multiaddr, on_connection: OnConnection) -> CircuitListener:
        """As `CircuitTransport.listen`, at the relay at `relay_addr`."""
        peer = relay_addr.peer_id
        if peer is None:
            raise LocalError(f"{relay_addr} names no relay: it must end in /p2p/<id>")
        if peer in self.listeners:
            raise LocalError(f"there is a place at {peer} already")
        listener = CircuitListener(self, peer, on_connection)
        self.listeners[peer] = listener
        try:
            await self._renew(listener, relay_addr)
        except BaseException:
            del self.listeners[peer]
            raise
        listener.keeper = self._host.create_task(self._keep(listener, relay_addr))
        return listener

    async def _renew(self, listener: CircuitListener, relay_addr: Multiaddr) -> None:
        """Ask for a place, or for the same once more."""
        connection = await self.connection_to(relay_addr)
        listener.cut.clear()
        status, _ = await self._ask_hop(connection, HopReserve(), keep=False)
        place, relay = status.reservation, listener.relay
        if place is None:
            raise ProtocolViolation("the relay grants a reservation and does not say which")
        if place.expire <= self._clock():
            raise ProtocolViolation("the relay grants a reservation that is over already")
        if self._check_vouchers and place.voucher:
            voucher = Voucher.open(place.voucher)
            if (voucher.relay, voucher.peer) != (relay, self._host.peer_id):
                raise RecordInvalid(f"the voucher of {relay} speaks of others")
        listener.reservation, listener.limit = place, status.limit
        self._host.protect(relay, "relays for us")
        base = [
            addr
            for addr in place.addrs
            if addr.peer_id in (None, relay) and "p2p-circuit" not in addr.names
        ]
        before = listener.base
        listener.base = tuple(base) or (connection.remote_addr,)
        if listener.base != before:
            self._host.addrs_changed()
        self._tell(Reserved(str(relay), place.expire))

    async def _keep(self, listener: CircuitListener, relay_addr: Multiaddr) -> None:
        """Renew the place in time; once it is lost, try to get it again, more and more rarely."""
        limits = self._host.limits
        failures = 0
        while self.listeners.get(listener.relay) is listener:
            place = listener.reservation
            if place is None:
                wait = limits.relay_retry * 2 ** min(failures, 16)
                await asyncio.sleep(min(wait, limits.relay_retry_max))
            else:
                left = place.expire - self._clock()
                wait = min(max(left - limits.relay_renew_before, left / 2), LATEST_RENEWAL)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await listener.cut.wait()
                    self._lost(listener, "disconnected")
                    continue
            try:
                await self._renew(listener, relay_addr)
                failures = 0
            except (LabError, OSError) as error:
                failures += 1
                if place is not None and (
                    isinstance(error, RelayRefused) or place.expire - self._clock() <= 1
                ):
                    self._lost(listener, f"{type(error).__name__}: {error}")

    def _lost(self, listener: CircuitListener, why: str) -> None:
        listener.reservation, listener.base = None, ()
        self._host.protect(listener.relay, "relays for us", stands=False)
        self._tell(ReservationLost(str(listener.relay), why))
        self._host.addrs_changed()
        for callback in self.on_lost:
            callback(listener.relay)

    def _on_disconnect(self, connection: MuxedConnection) -> None:
        listener = self.listeners.get(connection.remote_peer)
        others = self._host.connections_to(connection.remote_peer)
        if listener is not None and all(one.relayed for one in others):
            listener.cut.set()

    def _tell(self, event: object) -> None:
        probe = self._host.probe.on("circuit")
        if probe.trace.listeners:
            probe.emit("event", event)

    # -- asking a relay -------------------------------------------------------------------------------------

    async def connection_to(self, relay_addr: Multiaddr) -> MuxedConnection:
        """A direct connection to a relay: a circuit within a circuit leads nowhere.

        Raises: `DialError`.
        """
        relay = relay_addr.peer_id
        assert relay is not None
        direct = relay_addr.without_peer()
        connection = await self._host.connect(relay_addr if direct else relay)
        if connection.relayed:
            connection = next(
                (c for c in self._host.connections_to(relay) if not c.relayed), connection
            )
        if connection.relayed:
            raise DialError(f"the relay {relay} is itself reached through a relay only")
        return connection

    async def _ask_hop(
        self, connection: MuxedConnection, request: HopReserve | HopConnect, keep: bool
    ) -> tuple[HopStatus, MuxedStream]:
        """One request to a relay: its OK, and the stream, which stays open if `keep`.

        Raises: `RelayRefused`; `NegotiationError` if that is no relay; `RemoteError`; `DialError` if it is silent.
        """
        relay, limits = connection.remote_peer, self._host.limits
        stream = None
        try:
            async with asyncio.timeout(limits.relay_connect_timeout + limits.negotiation_timeout):
                stream = await self._host.open_stream_on(connection, (HOP_PROTOCOL,))
                probe = stream.probe.on("circuit")
                if probe.trace.listeners:
                    probe.emit("sent", request)
                await stream.write_message(request.encode())
                status = decode_hop(await stream.read_message(MAX_MESSAGE))
                if probe.trace.listeners:
                    probe.emit("received", status)
                if not isinstance(status, HopStatus):
                    raise ProtocolViolation("the relay answers by a request")
                if status.status is not Status.OK:
                    what = "a place" if isinstance(request, HopReserve) else "a circuit"
                    said = f"the relay {relay.short()} refuses {what}: {status.status.name}"
                    raise RelayRefused(said, status.status)
        except NegotiationError:
            if V1_PROTOCOL in self._host.peerstore.protocols(relay):
                raise RelayRefused(
                    f"{relay} relays by version 1 only, which knows no reservations and no limits: not used",
                    Status.PERMISSION_DENIED,
                ) from None
            raise
        except TimeoutError:
            if stream is not None:
                await stream.reset()
            raise DialError(f"the relay {relay} does not answer") from None
        except BaseException:
            if stream is not None:
                await stream.reset()
            raise
        if not keep:
            await stream.close()
        return status, stream

    async def dial(self, relay_addr: Multiaddr, target: PeerId) -> CircuitStream:
        """As `CircuitTransport.dial`, through the relay at `relay_addr`."""
        connection = await self.connection_to(relay_addr)
        status, stream = await self._ask_hop(connection, HopConnect(target), keep=True)
        relay = connection.remote_addr.with_peer(connection.remote_peer) / CIRCUIT
        limited = status.limit is not None and status.limit.is_any
        return CircuitStream(stream, connection.local_addr, relay, limited)

    # -- being called ---------------------------------------------------------------------------------------

    async def _answer(self, stream: MuxedStream) -> None:
        """A relay says that somebody calls. Spec: relay/circuit-v2.md#stop-protocol"""
        connection = stream.connection
        try:
            async with asyncio.timeout(self._host.limits.relay_handshake_timeout):
                message = decode_stop(await stream.read_message(MAX_MESSAGE))
        except (MalformedMessage, LimitExceeded) as error:
            await self._refuse(stream, Status.MALFORMED_MESSAGE, str(error))
            return
        probe = stream.probe.on("circuit")
        if probe.trace.listeners:
            probe.emit("received", message)
        listener = self.listeners.get(connection.remote_peer)
        if not isinstance(message, StopConnect):
            reason = "a STATUS that answers nothing"
            await self._refuse(stream, Status.UNEXPECTED_MESSAGE, reason)
        elif listener is None or listener.reservation is None or connection.relayed:
            await self._refuse(stream, Status.PERMISSION_DENIED, "it is no relay of ours")
        elif message.peer == self._host.peer_id:
            await self._refuse(stream, Status.CONNECTION_FAILED, "we do not call ourselves")
        else:
            await self._answer_stop(stream, Status.OK)
            end = connection.remote_addr.with_peer(connection.remote_peer) / CIRCUIT
            limited = message.limit is not None and message.limit.is_any
            circuit = CircuitStream(stream, connection.local_addr, end, limited)
            listener.on_connection(circuit)
            await circuit.over.wait()

    async def _refuse(self, stream: MuxedStream, status: Status, reason: str) -> None:
        self._tell(RelayRefusal(str(stream.connection.remote_peer), status.name, reason))
        await self._answer_stop(stream, status)

    async def _answer_stop(self, stream: MuxedStream, status: Status) -> None:
        message = StopStatus(status)
        probe = stream.probe.on("circuit")
        if probe.trace.listeners:
            probe.emit("sent", message)
        await stream.write_message(message.encode())


class CircuitTransport:
    """The transport `/p2p-circuit`: a `Transport` like any other to the layers above."""

    __slots__ = ("_client",)

    name = "p2p-circuit"

    def __init__(self, client: RelayClient) -> None:
        self._client = client

    def can_dial(self, addr: Multiaddr) -> bool:
        """Whether there is a relay before the one /p2p-circuit, and at most a peer behind."""
        names = addr.without_peer().names
        return names[-2:] == ("p2p", "p2p-circuit") and names.count("p2p-circuit") == 1

    can_listen = can_dial

    async def dial(self, addr: Multiaddr) -> CircuitStream:
        """As `Transport.dial`; but the peer at the end must be named, since the relay wants to know it.

        Raises: `LocalError`, `DialError`, `RemoteError`.
        """
        target = addr.peer_id
        if target is None or not self.can_dial(addr):
            raise LocalError(f"{addr} does not say which peer is behind the relay")
        relay_addr = addr.decapsulate(CIRCUIT)
        if relay_addr.peer_id == target:
            raise LocalError(f"{target} would be its own relay")
        return await self._client.dial(relay_addr, target)

    async def listen(self, addr: Multiaddr, on_connection: OnConnection) -> CircuitListener:
        """As `Transport.listen`: get a place at the relay.

        Raises: as `RelayClient.reserve`.
        """
        if not self.can_listen(addr):
            raise LocalError(f"not a relay's address: {addr}")
        return await self._client.listen(addr.decapsulate(CIRCUIT), on_connection)
