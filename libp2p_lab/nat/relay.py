"""The relay: a public peer that passes bytes on between two who cannot meet.

    async with lab.Host(listen=["/ip4/0.0.0.0/tcp/4001"], services=[…, lab.Relay()]) as host:
        host.relay.places, host.relay.circuits

It sees who talks to whom, when and how much, and no word of it: the two encrypt end to end inside of the circuit.

Misconception: a relay is a server that others depend on. Anybody public can be one, for a few others, for two minutes
and 128 KiB each: enough to agree on a hole to punch.

The decisions are `relay_book.py`'s. Spec: relay/circuit-v2.md#hop-protocol
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from libp2p_lab.errors import LabError, LimitExceeded, MalformedMessage, ProtocolViolation
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import DEFAULT_LIMITS
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.multiplexing.muxed_stream import MuxedStream
from libp2p_lab.nat.events import (
    CircuitClosed,
    CircuitOpened,
    RelayRefusal,
    ReservationEnded,
    ReservationMade,
)
from libp2p_lab.nat.relay_book import Book, Circuit, Place, Refused, RelayBook, Way
from libp2p_lab.nat.relay_messages import (
    HOP_PROTOCOL,
    MAX_MESSAGE,
    STOP_PROTOCOL,
    HopConnect,
    HopMessage,
    HopReserve,
    HopStatus,
    Reservation,
    Status,
    StopConnect,
    StopMessage,
    StopStatus,
    decode_hop,
    decode_stop,
)
from libp2p_lab.transports.public import is_public

if TYPE_CHECKING:
    from libp2p_lab.host.host import Host

CHUNK = 64 * 1024  # bytes passed on at once


class Relay:
    """The relay service.

    How much it gives is the host's `limits`: `Limits(relay_data=…, relay_duration=…, relay_reservations=…)`, where 0
    bytes or seconds are no limit.

    Args:
        allow: whether a peer may reserve, or call another: (who asks, who is called or None). None allows everybody.
        network_of: which network (ASN) an IP address belongs to, so that none takes every place; None if nobody knows.
        clock: Unix time in seconds; None for the system's.
        book: makes the core that decides, called as `RelayBook`; exercises bring their own.
    """

    name = "relay"

    def __init__(
        self,
        *,
        allow: Callable[[PeerId, PeerId | None], bool] | None = None,
        network_of: Callable[[str], int | None] | None = None,
        clock: Callable[[], float] | None = None,
        book: Callable[..., Book] = RelayBook,
    ) -> None:
        self._allow = allow
        self._make_book = book
        self._network_of = network_of
        # Not as a default above: simulations put another function in its place.
        self._clock = clock if clock is not None else time.time
        self._limits = DEFAULT_LIMITS
        self._host: Host
        self.book: Book

    def attach(self, host: Host) -> None:
        """As `Service.attach`."""
        self._host = host
        self._limits = host.limits
        self.book = self._make_book(
            host.peer_id, host.limits, network_of=self._network_of, allow=self._allow
        )
        per_peer = host.limits.relay_circuits_per_peer + 8  # requests come beside the circuits
        host.set_handler(HOP_PROTOCOL, self._answer, max_streams_per_peer=per_peer)
        host.on_disconnect(self._on_disconnect)

    async def close(self) -> None:
        """As `Service.close`. Circuits end with their streams."""

    @property
    def places(self) -> Mapping[PeerId, Place]:
        """Who has a place."""
        return self.book.places

    @property
    def circuits(self) -> Mapping[int, Circuit]:
        """Who is switched through to whom, by number."""
        return self.book.circuits

    def _on_disconnect(self, connection: MuxedConnection) -> None:
        peer = connection.remote_peer
        if not any(not c.relayed for c in self._host.connections_to(peer)) and self.book.leave(
            peer
        ):
            self._end(peer, "disconnected")

    # -- answering ------------------------------------------------------------------------------------------

    async def _answer(self, stream: MuxedStream) -> None:
        probe = stream.probe.on("relay")
        try:
            async with asyncio.timeout(self._limits.relay_handshake_timeout):
                message = decode_hop(await stream.read_message(MAX_MESSAGE))
        except (MalformedMessage, LimitExceeded) as error:
            # To raise would reset the stream, and take the answer with it.
            await self._refuse(stream, Refused(Status.MALFORMED_MESSAGE, str(error)))
            return
        if probe.trace.listeners:
            probe.emit("received", message)
        match message:
            case HopReserve():
                await self._reserve(stream)
            case HopConnect(target):
                await self._connect(stream, target)
            case HopStatus():
                no = Refused(Status.UNEXPECTED_MESSAGE, "a STATUS that answers nothing")
                await self._refuse(stream, no)

    async def _send(self, stream: MuxedStream, message: HopMessage | StopMessage) -> None:
        probe = stream.probe.on("relay")
        if probe.trace.listeners:
            probe.emit("sent", message)
        await stream.write_message(message.encode())

    async def _refuse(self, stream: MuxedStream, refused: Refused) -> None:
        peer = str(stream.connection.remote_peer)
        self._tell(RelayRefusal(peer, refused.status.name, refused.reason))
        await self._send(stream, HopStatus(refused.status))

    async def _reserve(self, stream: MuxedStream) -> None:
        peer, now = stream.connection.remote_peer, self._clock()
        self._expire(now)
        renewed = peer in self.book.places
        place = self.book.reserve(peer, stream.connection.remote_addr, now)
        if isinstance(place, Refused):
            await self._refuse(stream, place)
            return
        self._host.protect(peer, "has a place")
        self._tell(ReservationMade(str(peer), place.expire, renewed))
        voucher = self.book.voucher(peer, place, self._host.key)
        reservation = Reservation(place.expire, tuple(self._own_addrs()), voucher)
        await self._send(stream, HopStatus(Status.OK, reservation, self.book.limit))

    def _own_addrs(self) -> list[Multiaddr]:
        """Where we are, for others to build their addresses upon: the public ones, if there are any."""
        direct = [addr for addr in self._host.addrs if "p2p-circuit" not in addr.names]
        return [addr for addr in direct if is_public(addr)] or direct

    def _expire(self, now: float) -> None:
        for peer in self.book.expire(now):
            self._end(peer, "expired")

    def _end(self, peer: PeerId, why: str) -> None:
        self._host.protect(peer, "has a place", stands=False)
        self._tell(ReservationEnded(str(peer), why))

    def _tell(self, event: object) -> None:
        probe = self._host.probe.on("relay")
        if probe.trace.listeners:
            probe.emit("event", event)

    # -- switching through ----------------------------------------------------------------------------------

    async def _connect(self, stream: MuxedStream, target: PeerId) -> None:
        source, now = stream.connection.remote_peer, self._clock()
        self._expire(now)
        circuit = self.book.connect(source, stream.connection.remote_addr, target, now)
        if isinstance(circuit, Refused):
            await self._refuse(stream, circuit)
            return
        try:
            called = await self._call(circuit)
        except (LabError, TimeoutError) as error:
            self.book.end(circuit)
            reason = f"{type(error).__name__}: {error}"
            await self._refuse(stream, Refused(Status.CONNECTION_FAILED, reason))
            return
        except BaseException:
            self.book.end(circuit)
            raise
        self._tell(CircuitOpened(circuit.number, str(source), str(target)))
        how = "cut"
        try:
            await self._send(stream, HopStatus(Status.OK, limit=circuit.limit))
            how = await self._forward(stream, called, circuit)
        finally:
            self.book.end(circuit)
            there, back = circuit.carried["there"], circuit.carried["back"]
            self._tell(CircuitClosed(circuit.number, there, back, how))
            await called.reset()  # nothing happens to one that ended well

    async def _call(self, circuit: Circuit) -> MuxedStream:
        """Tell the target that somebody calls; the stream on which it said yes.

        Spec: relay/circuit-v2.md#stop-protocol

        Raises: `LabError`, `TimeoutError`.
        """
        direct = [c for c in self._host.connections_to(circuit.target) if not c.relayed]
        if not direct:
            raise ProtocolViolation("the target is not connected")
        async with asyncio.timeout(self._limits.relay_connect_timeout):
            stream = await self._host.open_stream_on(direct[0], (STOP_PROTOCOL,))
            try:
                await self._send(stream, StopConnect(circuit.source, circuit.limit))
                answer = decode_stop(await stream.read_message(MAX_MESSAGE))
                probe = stream.probe.on("relay")
                if probe.trace.listeners:
                    probe.emit("received", answer)
                if not isinstance(answer, StopStatus):
                    raise ProtocolViolation("CONNECT was answered by CONNECT")
                if answer.status is not Status.OK:
                    raise ProtocolViolation(f"the target says {answer.status.name}")
            except BaseException:
                await stream.reset()
                raise
        return stream

    async def _forward(self, source: MuxedStream, target: MuxedStream, circuit: Circuit) -> str:
        """Pass bytes on until both sides have finished, or the limit cuts them off. Returns how it ended."""
        duration = circuit.limit.duration if circuit.limit is not None else 0
        try:
            async with asyncio.timeout(duration or None), asyncio.TaskGroup() as pumps:
                pumps.create_task(_pump(source, target, circuit, "there"))
                pumps.create_task(_pump(target, source, circuit, "back"))
            return "closed"
        except* TimeoutError:
            how = f"LimitExceeded: {LimitExceeded('relay_duration', duration)}"
        except* LabError as group:
            error = group.exceptions[0]
            how = f"{type(error).__name__}: {error}"
        await source.reset()
        await target.reset()
        return how


async def _pump(source: MuxedStream, target: MuxedStream, circuit: Circuit, way: Way) -> None:
    """One direction.

    Raises: `LimitExceeded` once the limit is reached, behind its last byte; what the streams raise.
    """
    while data := await source.read(CHUNK):
        allowed = circuit.take(way, len(data))
        await target.write(data if allowed == len(data) else data[:allowed])
        if allowed < len(data):
            await target.flush()  # what was within the limit still arrives
            raise LimitExceeded("relay_data", circuit.carried[way] + len(data) - allowed)
    await target.close_write()
