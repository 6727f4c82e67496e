"""Rendezvous, `/rendezvous/1.0.0`: peers that know one meeting point find each other there.

    await host.rendezvous.register(point, "my-app")         we stand on the list of the point
    found = await host.rendezvous.discover(point, "my-app")
    found.peers                                             who else does

The same service answers, if it is given lists to keep: `Rendezvous(Registrations())`.

Misconception: nobody can register anybody else. The record is signed by the peer that it speaks of, and the point
takes it only from that peer.

Spec: rendezvous/README.md#interaction
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from libp2p_lab.content.registrations import Refused, Registrations
from libp2p_lab.content.rendezvous_messages import (
    PROTOCOL_ID,
    Discover,
    DiscoverResponse,
    Message,
    Register,
    RegisterResponse,
    Status,
    Unregister,
    decode,
)
from libp2p_lab.errors import LabError, ProtocolViolation
from libp2p_lab.host.peerstore import PeerInfo
from libp2p_lab.identity.envelope import PeerRecord
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.multiplexing.muxed_stream import MuxedStream

if TYPE_CHECKING:
    from libp2p_lab.host.host import Host, PeerRef


@dataclass(frozen=True, slots=True)
class Discovered:
    """What a rendezvous point told.

    Attributes:
        peers: who stands on the list, with their own word on where they are.
        cookie: for the next question: only who came since.
        dropped: registrations that must not be believed.
    """

    peers: tuple[PeerInfo, ...]
    cookie: bytes
    dropped: int = 0


class Rendezvous:
    """Asks rendezvous points, and is one if it has lists to keep.

    Args:
        registrations: the lists; None not to answer. They are closed with the host.
    """

    name = "rendezvous"

    def __init__(self, registrations: Registrations | None = None) -> None:
        self.registrations = registrations
        self._host: Host

    def attach(self, host: Host) -> None:
        """As `Service.attach`."""
        self._host = host
        if self.registrations is not None:
            host.set_handler(PROTOCOL_ID, self._serve)

    async def close(self) -> None:
        """As `Service.close`."""
        if self.registrations is not None:
            self.registrations.close()

    # -- answering --------------------------------------------------------------------------------------------

    async def _serve(self, stream: MuxedStream) -> None:
        """One request, and its answer."""
        limits = self._host.limits
        probe = stream.probe.on("rendezvous")
        async with asyncio.timeout(limits.rendezvous_timeout):
            request = decode(await stream.read_message(limits.rendezvous_message))
            if probe.trace.listeners:
                probe.emit("received", request)
            answer = self.answer(stream.connection.remote_peer, request)
            if answer is not None:
                if probe.trace.listeners:
                    probe.emit("sent", answer)
                await stream.write_message(answer.encode())

    def answer(self, sender: PeerId, request: Message) -> Message | None:
        """What the point says to a request; None to UNREGISTER, which is not answered.

        Raises: `ProtocolViolation` for an answer that nobody asked for.
        """
        lists = self.registrations
        if lists is None:
            raise ProtocolViolation("a rendezvous request to a peer that keeps no lists")
        match request:
            case Register():
                try:
                    return RegisterResponse(Status.OK, ttl=lists.register(sender, request))
                except Refused as refused:
                    return RegisterResponse(refused.status, refused.reason)
            case Unregister(namespace):
                lists.unregister(sender, namespace)
                return None
            case Discover(namespace, limit, cookie):
                try:
                    page = lists.discover(namespace, limit, cookie)
                except Refused as refused:
                    return DiscoverResponse(refused.status, refused.reason)
                return DiscoverResponse(Status.OK, "", page.registrations, page.cookie)
            case RegisterResponse() | DiscoverResponse():
                raise ProtocolViolation("a rendezvous answer in the place of a request")

    # -- asking -----------------------------------------------------------------------------------------------

    async def register(self, point: PeerRef, namespace: str, ttl: int | None = None) -> int:
        """Stand on a list of `point`, with the addresses that we have now.

        Args:
            point: the meeting point.
            namespace: the list.
            ttl: whole seconds; None for what the point thinks right.

        Returns: whole seconds until the point forgets us: register again before that.

        Raises: `Refused` with the point's status; `MalformedMessage`; `TimeoutError`.
        """
        answer = await self._ask(point, Register(namespace, self._host.signed_record, ttl))
        if not isinstance(answer, RegisterResponse):
            raise ProtocolViolation(f"{type(answer).__name__} in answer to REGISTER")
        if answer.status != Status.OK:
            raise Refused(answer.status, answer.text)
        return answer.ttl

    async def unregister(self, point: PeerRef, namespace: str) -> None:
        """Be taken from a list of `point`. It does not answer."""
        await self._ask(point, Unregister(namespace))

    async def discover(
        self, point: PeerRef, namespace: str = "", limit: int | None = None, cookie: bytes = b""
    ) -> Discovered:
        """Who stands on a list of `point`. Their addresses go into the peer store.

        Args:
            point: the meeting point.
            namespace: the list; "" for all.
            limit: peers wanted at most.
            cookie: of an earlier answer, for who came since.

        Raises: as `register`.
        """
        answer = await self._ask(point, Discover(namespace, limit, cookie))
        if not isinstance(answer, DiscoverResponse):
            raise ProtocolViolation(f"{type(answer).__name__} in answer to DISCOVER")
        if answer.status != Status.OK:
            raise Refused(answer.status, answer.text)
        peers: dict[PeerId, PeerInfo] = {}
        dropped = 0
        for registration in answer.registrations[: self._host.limits.rendezvous_discovered]:
            try:
                record = PeerRecord.open(registration.record)
            except LabError:
                dropped += 1
                continue
            if record.peer_id != self._host.peer_id:
                self._host.peerstore.add_record(record, registration.record)
                peers[record.peer_id] = PeerInfo(record.peer_id, record.addrs)
        return Discovered(tuple(peers.values()), answer.cookie, dropped)

    async def _ask(self, point: PeerRef, request: Message) -> Message | None:
        """Say `request` on a stream of its own: the answer, or None after UNREGISTER."""
        limits = self._host.limits
        async with asyncio.timeout(limits.rendezvous_timeout):
            stream = await self._host.open_stream(point, PROTOCOL_ID)
            try:
                probe = stream.probe.on("rendezvous")
                if probe.trace.listeners:
                    probe.emit("sent", request)
                await stream.write_message(request.encode())
                await stream.close_write()
                if isinstance(request, Unregister):
                    await stream.read(1)  # to the end: then it has been done
                    return None
                answer = decode(await stream.read_message(limits.rendezvous_message))
                if probe.trace.listeners:
                    probe.emit("received", answer)
                return answer
            finally:
                await stream.close()
