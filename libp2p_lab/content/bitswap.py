"""Bitswap, `/ipfs/bitswap/1.2.0`: blocks from whoever has them, and to whoever wants them.

    data = await host.bitswap.get(cid)       from the peers we are connected to, then from those that the DHT names
    host.bitswap.store.put(cid, data)        to be had by others from now on

What a peer is told leaves in one message at a time, and the next is made only when that one is gone: wants, blocks and
"do not have" of a peer that reads slowly wait as names, not as bytes. Messages go out on a stream that we opened, which
is closed when there has been nothing to tell for a while. What comes, comes on streams that the others opened; but some
(py-libp2p) answer on the very stream on which they were asked, so we listen there too.

Spec: https://specs.ipfs.tech/bitswap-protocol/
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from libp2p_lab.content.bitswap_events import BlockArrived, BlockAsked, BlocksRefused
from libp2p_lab.content.bitswap_messages import PROTOCOL_ID, Block, Message, Want, WantType
from libp2p_lab.content.blocks import BlockStore, MemoryBlockStore
from libp2p_lab.content.cid import CID
from libp2p_lab.content.exchange import BlockNotFound, Hunt, Ledger, Question, Session
from libp2p_lab.errors import (
    LabError,
    LimitExceeded,
    LocalError,
    MalformedMessage,
    RemoteError,
    StreamClosed,
    StreamReset,
)
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.multiplexing.muxed_stream import MuxedStream
from libp2p_lab.trace import Probe
from libp2p_lab.wire import multihash
from libp2p_lab.wire.byte_stream import read_message_or_end

if TYPE_CHECKING:
    from libp2p_lab.host.host import Host


@dataclass(slots=True, eq=False)
class _Link:
    """One connected peer.

    Attributes:
        ledger: what it wants of us.
        wants: what it is to be told that we want, by multihash.
        stream: on which we tell it.
        news: there may be something to tell.
        is_telling: whether a task does.
    """

    ledger: Ledger
    wants: dict[bytes, Want] = field(default_factory=dict)
    stream: MuxedStream | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)
    is_telling: bool = False


class Bitswap:
    """Gets blocks and gives them.

    Args:
        store: what we give, and where what we got is kept; None for one in memory.
    """

    name = "bitswap"

    def __init__(self, store: BlockStore | None = None) -> None:
        self._given_store = store
        self._links: dict[PeerId, _Link] = {}
        self._changed: dict[bytes, asyncio.Event] = {}  # by multihash, of what is hunted
        self._host: Host
        self._probe: Probe
        self._hunt: Hunt
        self.store: BlockStore

    def attach(self, host: Host) -> None:
        """As `Service.attach`."""
        self._host = host
        self._probe = Probe(host.trace, "bitswap")
        self._hunt = Hunt(host.limits)
        given = self._given_store  # an empty one is false
        self.store = MemoryBlockStore(host.limits) if given is None else given
        self.store.watch(self._arrived)
        host.set_handler(PROTOCOL_ID, self._serve)
        host.on_connect(self._connected)
        host.on_disconnect(self._disconnected)

    async def close(self) -> None:
        """As `Service.close`."""

    def session(self) -> Session:
        """For `get`: who gave one block of it is asked first for the next."""
        return Session(self._host.limits)

    def is_banned(self, peer: PeerId) -> bool:
        """Whether `peer` is asked no more, because it once sent what nobody asked it for."""
        return self._hunt.is_banned(peer)

    def ledger(self, peer: PeerId) -> Ledger | None:
        """What a connected peer wants of us."""
        link = self._links.get(peer)
        return None if link is None else link.ledger

    # -- getting ----------------------------------------------------------------------------------------------

    async def get(self, cid: CID, session: Session | None = None) -> bytes:
        """The block that `cid` names, checked against it. It is kept in the store if there is room.

        Args:
            cid: which.
            session: of blocks that belong together.

        Raises: `BlockNotFound` if nobody gives it; `LimitExceeded` if too much is wanted; `LocalError` for a hash that
            we cannot check; `TimeoutError`.
        """
        named = multihash.decode(cid.multihash)
        if named.code == multihash.IDENTITY:
            return named.digest  # the name holds the bytes themselves
        held = self.store.get(cid)
        if held is not None:
            return held
        try:
            Block.of(cid, b"").cid()
        except MalformedMessage as error:
            raise LocalError(f"nobody could prove that it gave {cid}: {error}") from None
        self._hunt.want(cid, session or self.session())
        changed = self._changed.setdefault(cid.multihash, asyncio.Event())
        try:
            async with (
                asyncio.timeout(self._host.limits.bitswap_timeout),
                contextlib.aclosing(self._providers(cid)) as providers,
            ):
                return await self._get(cid, changed, providers)
        finally:
            cancels = self._hunt.drop(cid)
            self._tell(cancels)
            if not self._hunt.is_wanted(cid):
                self._changed.pop(cid.multihash, None)

    async def _get(
        self, cid: CID, changed: asyncio.Event, providers: AsyncGenerator[PeerId]
    ) -> bytes:
        loop = asyncio.get_running_loop()
        while True:
            changed.clear()
            self._tell(self._hunt.questions(cid, loop.time()))
            data = self._hunt.found(cid)
            if data is not None:
                return data
            if self._hunt.is_hopeless(cid):
                provider = await anext(providers, None)
                if provider is None:
                    raise BlockNotFound(f"nobody who could be asked has {cid}")
                self._hunt.add_peer(provider)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._hunt.deadline(cid)):
                    await changed.wait()

    async def _providers(self, cid: CID) -> AsyncGenerator[PeerId]:
        """Those who say in the DHT that they have it, once we are connected to them."""
        if not any(getattr(service, "name", "") == "dht" for service in self._host.services):
            return
        async with contextlib.aclosing(self._host.dht.find_providers(cid)) as found:
            async for provider in found:
                if self._hunt.is_banned(provider.peer_id):
                    continue
                try:
                    await self._host.connect(provider)
                except (LabError, OSError):
                    continue
                yield provider.peer_id

    # -- telling ----------------------------------------------------------------------------------------------

    def _tell(self, questions: list[Question]) -> None:
        for question in questions:
            link = self._links.get(question.peer)
            if link is not None:
                want = question.want
                if self._probe.trace.listeners and want.type is WantType.BLOCK and not want.cancel:
                    self._probe.emit("event", BlockAsked(str(question.peer), str(want.cid)))
                link.wants[want.cid.multihash] = want
                self._send(question.peer, link)

    def _arrived(self, cid: CID) -> None:
        """There is a block in the store that was not."""
        for peer, link in self._links.items():
            if link.ledger.arrived(cid):
                self._send(peer, link)

    def _send(self, peer: PeerId, link: _Link) -> None:
        link.news.set()
        if not link.is_telling and self._host.is_running:
            link.is_telling = True
            self._host.create_task(self._tell_all(peer, link))

    async def _tell_all(self, peer: PeerId, link: _Link) -> None:
        """Tell a peer all that there is to tell, one message at a time, until there has been nothing for a while."""
        try:
            while (message := await self._next_message(link)) is not None:
                async with asyncio.timeout(self._host.limits.bitswap_write_timeout):
                    await self._write(peer, link, message)
            if link.stream is not None:
                await link.stream.close_write()
        except (LabError, OSError):
            # It does not speak this, or is gone: nothing is to be had from it.
            self._hunt.remove_peer(peer)
            self._wake()
            if link.stream is not None:
                await link.stream.reset()
        finally:
            link.stream = None
            link.is_telling = False

    async def _next_message(self, link: _Link) -> Message | None:
        """What is to be told next, as soon as there is something; None if there has been nothing for a while."""
        while True:
            link.news.clear()
            wants = tuple(link.wants.values())
            link.wants.clear()
            answer = link.ledger.next_message()
            if answer is not None:
                return replace(answer, wants=wants)
            if wants:
                return Message(wants=wants)
            try:
                async with asyncio.timeout(self._host.limits.bitswap_linger):
                    await link.news.wait()
            except TimeoutError:
                return None

    async def _write(self, peer: PeerId, link: _Link, message: Message) -> None:
        """One message on the stream that we have, or on a new one."""
        data = message.encode()
        if link.stream is not None:
            try:
                await self._write_on(link.stream, message, data)
                return
            except (StreamReset, StreamClosed):
                pass  # the other side wanted this stream no more; that says nothing about the next
        link.stream = await self._host.open_stream(peer, PROTOCOL_ID)
        self._host.create_task(self._listen(link.stream))
        await self._write_on(link.stream, message, data)

    @staticmethod
    async def _write_on(stream: MuxedStream, message: Message, data: bytes) -> None:
        probe = stream.probe.on("bitswap")
        if probe.trace.listeners:
            probe.emit("sent", message)
        await stream.write_message(data)

    async def _listen(self, stream: MuxedStream) -> None:
        """What a peer answers on our own stream."""
        try:
            await self._serve(stream)
        except (LabError, OSError):
            await stream.reset()

    # -- hearing ----------------------------------------------------------------------------------------------

    def _connected(self, connection: MuxedConnection) -> None:
        peer = connection.remote_peer
        self._links.setdefault(peer, _Link(Ledger(self.store, self._host.limits)))
        self._hunt.add_peer(peer)
        self._wake()

    def _disconnected(self, connection: MuxedConnection) -> None:
        peer = connection.remote_peer
        if not self._host.is_connected(peer):
            self._links.pop(peer, None)
            self._hunt.remove_peer(peer)
            self._wake()

    def _wake(self) -> None:
        for changed in self._changed.values():
            changed.set()

    async def _serve(self, stream: MuxedStream) -> None:
        """What a peer tells, until it ends the stream."""
        limits = self._host.limits
        peer = stream.connection.remote_peer
        probe = stream.probe.on("bitswap")
        while True:
            async with asyncio.timeout(limits.bitswap_idle_timeout):
                data = await read_message_or_end(stream, limits.bitswap_message)
            if data is None:
                return
            try:
                message = Message.decode(data, limits.bitswap_wants_per_message)
                if probe.trace.listeners:
                    probe.emit("received", message)
                self._hear(peer, message)
            except RemoteError as error:
                self._hunt.ban(peer)
                self._wake()
                if probe.trace.listeners:
                    refused = BlocksRefused(str(peer), len(data), str(error))
                    self._probe.emit("event", refused)
                raise

    def _hear(self, peer: PeerId, message: Message) -> None:
        came, over = self._hunt.receive(peer, message)
        self._tell(over)
        for cid in came:
            data = self._hunt.found(cid)
            if data is not None:
                if self._probe.trace.listeners:
                    self._probe.emit("event", BlockArrived(str(peer), str(cid), len(data)))
                # If the store is full, whoever waits gets it anyway.
                with contextlib.suppress(LimitExceeded):
                    self.store.put(cid, data, is_named=True)
        for name in (*came, *(presence.cid for presence in message.presences)):
            if changed := self._changed.get(name.multihash):
                changed.set()
        link = self._links.get(peer)
        if link is not None and (message.wants or message.full):
            link.ledger.receive(message)
            self._send(peer, link)
