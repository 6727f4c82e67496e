"""Identify, `/ipfs/id/1.0.0`, and its push: who are you, where are you, what do you speak, and whom do you see in me?

Each side asks as soon as a connection stands. The answer is one message, or several that add up; a change later on is
pushed to everybody connected. What a peer says of itself is taken down within limits; what it signed is believed only
if the signer is the peer.

Spec: identify/README.md
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from libp2p_lab.errors import (
    LabError,
    LimitExceeded,
    LocalError,
    MalformedMessage,
    NegotiationError,
    RecordInvalid,
)
from libp2p_lab.host.events import Identified
from libp2p_lab.identity.envelope import PeerRecord
from libp2p_lab.identity.keys import PublicKey
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.multiplexing.muxed_stream import MuxedStream
from libp2p_lab.wire import protobuf, varint
from libp2p_lab.wire.byte_stream import rest_of_varint

if TYPE_CHECKING:
    from libp2p_lab.host.host import Host

PROTOCOL_ID = "/ipfs/id/1.0.0"
PUSH_PROTOCOL_ID = "/ipfs/id/push/1.0.0"
PROTOCOL_VERSION = "ipfs/0.1.0"
_PART = 4096  # bytes of one message that we send; old implementations read no more


@dataclass(frozen=True, slots=True)
class IdentifyMessage:
    """What travels. Every field may be missing: b"", "" or ().

    Spec: identify/README.md#the-identify-message

    Attributes:
        public_key: the sender's key, as a protobuf.
        listen_addrs: where it listens, as bytes: one bad address must not spoil the others.
        protocols: what it speaks.
        observed_addr: where it sees the receiver.
        protocol_version: the family of protocols.
        agent_version: the program.
        signed_peer_record: the sender's record in an envelope.
    """

    public_key: bytes = b""
    listen_addrs: tuple[bytes, ...] = ()
    protocols: tuple[str, ...] = ()
    observed_addr: bytes = b""
    protocol_version: str = ""
    agent_version: str = ""
    signed_peer_record: bytes = b""

    def encode(self) -> bytes:
        """The protobuf's bytes, without a length."""
        from libp2p_lab.host.pb import identify_pb2

        message = identify_pb2.Identify(listenAddrs=self.listen_addrs, protocols=self.protocols)
        if self.public_key:
            message.publicKey = self.public_key
        if self.observed_addr:
            message.observedAddr = self.observed_addr
        if self.protocol_version:
            message.protocolVersion = self.protocol_version
        if self.agent_version:
            message.agentVersion = self.agent_version
        if self.signed_peer_record:
            message.signedPeerRecord = self.signed_peer_record
        return message.SerializeToString()

    @classmethod
    def decode(cls, data: bytes) -> IdentifyMessage:
        """Read the protobuf. Parts sent one after another are decoded together: protobufs add up.

        Raises: `MalformedMessage` if it does not parse.
        """
        from google.protobuf.message import DecodeError

        from libp2p_lab.host.pb import identify_pb2

        message = identify_pb2.Identify()
        try:
            message.ParseFromString(data)
            return cls(
                message.publicKey,
                tuple(message.listenAddrs),
                tuple(map(protobuf.text, message.protocols)),
                message.observedAddr,
                protobuf.text(message.protocolVersion),
                protobuf.text(message.agentVersion),
                message.signedPeerRecord,
            )
        except (DecodeError, UnicodeDecodeError) as error:
            raise MalformedMessage(f"identify message does not parse: {error}") from None

    def parts(self) -> list[IdentifyMessage]:
        """This message, or two that add up to it if the signed record makes it long."""
        if not self.signed_peer_record or len(self.encode()) <= _PART:
            return [self]
        bare = IdentifyMessage(
            self.public_key,
            self.listen_addrs,
            self.protocols,
            self.observed_addr,
            self.protocol_version,
            self.agent_version,
        )
        return [bare, IdentifyMessage(signed_peer_record=self.signed_peer_record)]


@dataclass(frozen=True, slots=True)
class IdentifyInfo:
    """What a peer said of itself, checked.

    Attributes:
        peer_id: who said it.
        agent: its program.
        protocol_version: its family of protocols.
        protocols: what it speaks.
        listen_addrs: where it listens; addresses that do not parse are left out.
        observed_addr: where it sees us, or None.
        record: its signed record, or None if it sent none that is valid.
    """

    peer_id: PeerId
    agent: str
    protocol_version: str
    protocols: tuple[str, ...]
    listen_addrs: tuple[Multiaddr, ...]
    observed_addr: Multiaddr | None
    record: PeerRecord | None


class Identify:
    """Asks each new connection's peer, answers, and pushes changes.

    Args:
        agent: the program that we say we are.
    """

    def __init__(self, agent: str = "libp2p_lab/0.1.0") -> None:
        self.agent = agent
        self._host: Host
        self._results: dict[PeerId, IdentifyInfo] = {}
        self._asking: dict[int, asyncio.Task[None]] = {}  # by connection
        self._pushes = asyncio.Semaphore(1)
        self._next_push: dict[PeerId, float] = {}  # when a peer may push again
        self._push_task: asyncio.Task[None] | None = None
        self._version = 0  # of what we say of ourselves
        self._told: dict[int, int] = {}  # by connection, the version that it was told last

    def attach(self, host: Host) -> None:
        """As `Service.attach`."""
        self._host = host
        self._pushes = asyncio.Semaphore(host.limits.identify_push_concurrency)
        host.set_handler(PROTOCOL_ID, self._answer)
        host.set_handler(PUSH_PROTOCOL_ID, self._receive_push)
        host.on_connect(self._connected)
        host.on_disconnect(self._disconnected)
        host.on_change(self._changed)

    async def close(self) -> None:
        """As `Service.close`."""

    # -- asking ---------------------------------------------------------------------------------------------

    def _connected(self, connection: MuxedConnection) -> None:
        self._asking[connection.id] = self._host.create_task(self._ask(connection))

    def _disconnected(self, connection: MuxedConnection) -> None:
        task = self._asking.pop(connection.id, None)
        if task is not None:
            task.cancel()
        self._told.pop(connection.id, None)
        if not self._host.is_connected(connection.remote_peer):
            self._results.pop(connection.remote_peer, None)
            self._next_push.pop(connection.remote_peer, None)

    async def _ask(self, connection: MuxedConnection) -> None:
        try:
            async with asyncio.timeout(self._host.limits.identify_timeout):
                stream = await self._host.open_stream_on(connection, (PROTOCOL_ID,))
                try:
                    message = await self._read(stream)
                finally:
                    await stream.close()
            self._take(connection, message)
        except (LabError, OSError):
            pass  # a peer that does not identify itself is still a peer
        finally:
            self._asking.pop(connection.id, None)

    async def result(self, peer: PeerId) -> IdentifyInfo:
        """What `peer` said, as soon as it has.

        Raises: `LocalError` if there is no connection; `NegotiationError` if it said nothing that can be read.
        """
        while peer not in self._results:
            connections = self._host.connections_to(peer)
            if not connections:
                raise LocalError(f"no connection to {peer}: connect first")
            asking = [self._asking[c.id] for c in connections if c.id in self._asking]
            pending = [task for task in asking if not task.done()]
            if not pending:
                raise NegotiationError(f"{peer} did not identify itself", [PROTOCOL_ID])
            await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        return self._results[peer]

    async def _read(self, stream: MuxedStream) -> IdentifyMessage:
        """All parts, to the end of the stream, within the limits."""
        limits = self._host.limits
        whole = bytearray()
        for _ in range(limits.identify_parts):
            first = await stream.read(1)
            if not first:
                break
            length = await rest_of_varint(stream, first)
            if length > limits.identify_part:
                raise LimitExceeded("identify_part", length, limits.identify_part)
            whole += await stream.read_exactly(length)
        else:
            if await stream.read(1):
                raise LimitExceeded(
                    "identify_parts", limits.identify_parts + 1, limits.identify_parts
                )
        message = IdentifyMessage.decode(bytes(whole))
        probe = stream.probe.on("identify")
        if probe.trace.listeners:
            probe.emit("received", message)
        return message

    def _take(self, connection: MuxedConnection, message: IdentifyMessage) -> None:
        """Check a message and remember what it says; fields that are missing leave things as they were."""
        host, peer = self._host, connection.remote_peer
        if message.public_key:
            claimed = PeerId.from_public_key(PublicKey.from_protobuf(message.public_key))
            if claimed != peer:
                raise RecordInvalid(f"{peer} identifies itself with the key of {claimed}")
        before = self._results.get(peer)
        record = self._take_record(peer, message.signed_peer_record)
        addrs = _parse_addrs(message.listen_addrs[: host.limits.identify_addresses])
        observed = _parse_addrs((message.observed_addr,))
        info = IdentifyInfo(
            peer,
            message.agent_version or (before.agent if before else ""),
            message.protocol_version or (before.protocol_version if before else ""),
            message.protocols[: host.limits.identify_protocols]
            or (before.protocols if before else ()),
            addrs or (before.listen_addrs if before else ()),
            observed[0] if observed else (before.observed_addr if before else None),
            record or (before.record if before else None),
        )
        self._results[peer] = info
        if observed:
            host.observe(connection, observed[0])
        host.peerstore.set_protocols(peer, info.protocols)
        host.peerstore.set_agent(peer, info.agent)
        if record is not None:
            host.peerstore.add_addrs(peer, record.addrs, provenance="signed")
        else:
            host.peerstore.add_addrs(peer, addrs, provenance="identify")
        if connection.probe.trace.listeners:
            connection.probe.emit("event", Identified(str(peer), info.agent, info.protocols))
        if self._is_behind(connection):  # we changed between our answer and this
            self._push_soon()

    def _take_record(self, peer: PeerId, envelope: bytes) -> PeerRecord | None:
        if not envelope:
            return None
        if envelope == self._host.peerstore.envelope(peer):
            return self._host.peerstore.record(peer)  # verified when it came first
        try:
            record = PeerRecord.open(envelope)
        except MalformedMessage:
            return None  # as py-libp2p 0.8.1 with an RSA key; the rest of what it says is of use
        if record.peer_id != peer:
            raise RecordInvalid(f"{peer} sent the signed record of {record.peer_id}")
        self._host.peerstore.add_record(record, envelope)
        return record

    # -- answering ------------------------------------------------------------------------------------------

    def _message(self, connection: MuxedConnection) -> IdentifyMessage:
        host = self._host
        return IdentifyMessage(
            host.key.public.to_protobuf(),
            tuple(bytes(addr.without_peer()) for addr in host.addrs),
            host.protocols,
            bytes(connection.remote_addr),
            PROTOCOL_VERSION,
            self.agent,
            host.signed_record,
        )

    async def _answer(self, stream: MuxedStream) -> None:
        async with asyncio.timeout(self._host.limits.identify_timeout):
            await self._send(stream)

    async def _send(self, stream: MuxedStream) -> None:
        probe = stream.probe.on("identify")
        self._told[stream.connection.id] = self._version
        message = self._message(stream.connection)
        if probe.trace.listeners:
            probe.emit("sent", message)
        encoded = [part.encode() for part in message.parts()]
        await stream.write(b"".join(varint.encode(len(part)) + part for part in encoded))
        await stream.close_write()

    # -- pushing --------------------------------------------------------------------------------------------

    def _changed(self) -> None:
        """Our protocols or addresses changed: tell everybody, once for all changes made in one go."""
        self._version += 1
        self._push_soon()

    def _push_soon(self) -> None:
        if self._push_task is None or self._push_task.done():
            self._push_task = self._host.create_task(self._push_to_all())

    async def _push_to_all(self) -> None:
        """Push to whoever is behind, until nobody is: things may change again while we push."""
        while True:
            await asyncio.sleep(0)  # let the caller finish what it is changing
            behind = [c for c in self._host.connections if self._is_behind(c)]
            if not behind:
                return
            async with asyncio.TaskGroup() as tasks:
                for connection in behind:
                    self._told[connection.id] = self._version
                    tasks.create_task(self._push(connection))
            # Whoever reads our pushes bounds their number, as we do: what changes meanwhile waits its turn.
            await asyncio.sleep(self._host.limits.identify_push_interval)

    def _is_behind(self, connection: MuxedConnection) -> bool:
        """Whether a peer was told something older, and takes pushes."""
        told = self._told.get(connection.id, self._version)
        spoken = self._host.peerstore.protocols(connection.remote_peer)
        return told < self._version and PUSH_PROTOCOL_ID in spoken

    async def _push(self, connection: MuxedConnection) -> None:
        try:
            async with self._pushes, asyncio.timeout(self._host.limits.identify_timeout):
                stream = await self._host.open_stream_on(connection, (PUSH_PROTOCOL_ID,))
                await self._send(stream)
                await stream.read(
                    1
                )  # to its end: closing at once would drop the other side's answer
                await stream.close()
        except (LabError, OSError):
            pass  # it will ask again, or is gone

    async def _receive_push(self, stream: MuxedStream) -> None:
        peer = stream.connection.remote_peer
        clock = asyncio.get_running_loop().time
        interval = self._host.limits.identify_push_interval
        # Each push earns its peer a wait; a few may come together, a storm may not.
        earliest = max(self._next_push.get(peer, 0.0), clock())
        if earliest - clock() > 10 * interval:
            raise LimitExceeded("identify_push_interval", 1, interval)
        self._next_push[peer] = earliest + interval
        async with self._pushes, asyncio.timeout(self._host.limits.identify_timeout):
            self._take(stream.connection, await self._read(stream))


def _parse_addrs(encoded: tuple[bytes, ...]) -> tuple[Multiaddr, ...]:
    """Those that parse."""
    addrs = []
    for data in encoded:
        try:
            if data:
                addrs.append(Multiaddr(data))
        except LabError:
            continue
    return tuple(addrs)
