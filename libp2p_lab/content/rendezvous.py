"""Rendezvous, `/rendezvous/1.0.0`: peers that know one meeting point find each other there.

    await host.rendezvous.register(point, "my-app")         we stand on the list of the point
    found = await host.rendezvous.discover(point, "my-app")
    found.peers                                             who else does

    async for peer in host.rendezvous.watch(point, "my-app"): …      who does, and who comes
    await host.rendezvous.keep(point, "my-app")                      stand there for as long as we run

The same service answers, if it is given lists to keep: `Rendezvous(Registrations())`.

Misconception: nobody can register anybody else. The record is signed by the peer that it speaks of, and the point
takes it only from that peer.

Spec: rendezvous/README.md#interaction
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from libp2p_lab.content.events import Registered, RegistrationFailed
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
        self._kept: dict[tuple[PeerId, str], asyncio.Task[None]] = {}
        self._moved = asyncio.Event()  # our addresses are not what they were …
        self._told = b""  # … in this record
        self._host: Host

    def attach(self, host: Host) -> None:
        """As `Service.attach`."""
        self._host = host
        if self.registrations is not None:
            host.set_handler(PROTOCOL_ID, self._serve)
        host.on_change(self._on_change)

    async def close(self) -> None:
        """As `Service.close`."""
        for task in self._kept.values():
            task.cancel()
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

    # -- going on -----------------------------------------------------------------------------------------------

    async def keep(self, point: PeerRef, namespace: str, ttl: int | None = None) -> int:
        """As `register`, and again before the point forgets us, and when our addresses change; until `leave`.

        A point that cannot be reached is asked again, after longer and longer waits.

        Returns: whole seconds until the point would forget us.

        Raises: as `register`, if it goes wrong the first time: then nothing is kept.

        Spec: rendezvous/README.md#registration-lifetime
        """
        peer, addrs = self._host.resolve(point)
        self._host.peerstore.add_addrs(peer, reversed(addrs), provenance="given")
        self._stop_keeping(peer, namespace)
        self._told = self._host.signed_record
        left = await self.register(point, namespace, ttl)
        self._report(Registered(str(peer), namespace, left))
        again = self._register_again(peer, namespace, ttl, left)
        self._kept[peer, namespace] = self._host.create_task(again)
        return left

    async def leave(self, point: PeerRef, namespace: str) -> None:
        """Stand on a list no more. Raises: as `unregister`."""
        self._stop_keeping(self._host.resolve(point)[0], namespace)
        await self.unregister(point, namespace)

    def at(self, point: PeerRef) -> MeetingPoint:
        """This point alone, as something that advertises and finds namespaces: a DHT can take its place."""
        return MeetingPoint(self, point)

    def depart(self, point: PeerRef, namespace: str) -> None:
        """As `leave`, in the background; if the point cannot be told, the registration expires."""
        self._stop_keeping(self._host.resolve(point)[0], namespace)
        self._host.create_task(self._depart(point, namespace))

    async def _depart(self, point: PeerRef, namespace: str) -> None:
        with contextlib.suppress(LabError, OSError):
            await self.unregister(point, namespace)

    def _stop_keeping(self, point: PeerId, namespace: str) -> None:
        task = self._kept.pop((point, namespace), None)
        if task is not None:
            task.cancel()

    def _on_change(self) -> None:
        if self._kept and self._host.signed_record != self._told:
            self._told = self._host.signed_record
            self._moved.set()
            self._moved = asyncio.Event()

    async def _register_again(
        self, point: PeerId, namespace: str, ttl: int | None, left: int
    ) -> None:
        """For ever: some time before the end, and at different moments for those who came together."""
        limits, rng = self._host.limits, self._host.rng
        failures = 0
        while True:
            wait = left * (0.7 + 0.2 * rng.random())
            if failures:
                wait = min(limits.rendezvous_retry * 2.0 ** min(failures - 1, 30), wait)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(wait, limits.rendezvous_retry)):
                    await self._moved.wait()
            try:
                left = await self.register(point, namespace, ttl)
            except (LabError, OSError) as error:
                failures += 1
                why = f"{type(error).__name__}: {error}"
                self._report(RegistrationFailed(str(point), namespace, why))
            else:
                failures = 0
                self._report(Registered(str(point), namespace, left))

    async def watch(
        self, point: PeerRef, namespace: str, *, interval: float | None = None
    ) -> AsyncGenerator[PeerInfo]:
        """Everybody on a list of `point`, then everybody who comes to it or moves; it never ends by itself.

        The cookie of each answer is given with the next question, so that the point tells only what is new.

        Args:
            point: the meeting point.
            namespace: the list.
            interval: seconds between two questions; None for the limits' value.

        Raises: as `discover`, but only for the first question: afterwards a point that fails is asked again later.
        """
        limits = self._host.limits
        seen: dict[PeerId, PeerInfo] = {}
        pages = 0  # without a pause: a list that never ends is a lie
        ask = partial(self.discover, point, namespace)
        found = await ask()
        while True:
            for peer in found.peers:
                if seen.pop(peer.peer_id, None) != peer:  # who only renews is not told again
                    yield peer
                seen[peer.peer_id] = peer
                if len(seen) > limits.rendezvous_watched:
                    del seen[next(iter(seen))]
            pages += 1
            if not found.peers or pages * limits.rendezvous_discovered >= limits.rendezvous_watched:
                pages = 0
                await asyncio.sleep(limits.rendezvous_poll if interval is None else interval)
            try:
                found = await ask(cookie=found.cookie)
            except Refused as refused:
                invalid = refused.status == Status.E_INVALID_COOKIE  # a point that began anew
                found = Discovered((), b"" if invalid else found.cookie)
            except (LabError, OSError):
                found = Discovered((), found.cookie)

    def _report(self, event: object) -> None:
        probe = self._host.probe.on("rendezvous")
        if probe.trace.listeners:
            probe.emit("event", event)

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


class MeetingPoint:
    """One rendezvous point, asked as a DHT is: `KadDHT.advertise`, `stop_advertising`, `find_peers`.

    Args:
        rendezvous: the service of our host.
        point: the meeting point.
    """

    def __init__(self, rendezvous: Rendezvous, point: PeerRef) -> None:
        self._rendezvous = rendezvous
        self._point = point

    async def advertise(self, namespace: str) -> int:
        """As `Rendezvous.keep`."""
        return await self._rendezvous.keep(self._point, namespace)

    def stop_advertising(self, namespace: str) -> None:
        """As `Rendezvous.depart`, in the background."""
        self._rendezvous.depart(self._point, namespace)

    async def find_peers(self, namespace: str, count: int = 20) -> AsyncGenerator[PeerInfo]:
        """Who stands on the list, up to `count` of them; 0 for as many as the point names."""
        found = await self._rendezvous.discover(self._point, namespace, count or None)
        for peer in found.peers:
            yield peer
