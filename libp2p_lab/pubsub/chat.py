"""A chat room that others are in too: the topics and messages of libp2p's demonstration app, universal-connectivity.

    room = await Chat.join(host)
    await room.say("hello")
    async for said in room:
        print(said.nick, said.text)

The app has peers in Go, Rust, Nim and JavaScript, in browsers and out of them. What they agree on is little: three
topics, and what the data of a message is in each.

    universal-connectivity                          the text itself, in UTF-8
    universal-connectivity-file                     the id of a file; ask the author for it on a stream
    universal-connectivity-browser-peer-discovery   a protobuf: 1 public key, 2 addresses

Each message is signed, so who says it stands in `from`; the app shows the last eight letters of the peer id.

Misconception: the room is a server. It is a word that some peers have said they want.

Deviation: the apps name messages differently (Go by author and number, browsers by a hash of the number, Rust
by one of the data). We do as Go does;
a message that reaches a browser on two ways is one message all the same, since both names follow from the message.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from libp2p_lab.errors import LocalError, MalformedMessage
from libp2p_lab.identity.keys import PublicKey
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.pubsub.subscription import Subscription
from libp2p_lab.wire import protobuf

if TYPE_CHECKING:
    from libp2p_lab.host.host import Host
    from libp2p_lab.multiplexing.muxed_stream import MuxedStream

CHAT_TOPIC = "universal-connectivity"
FILE_TOPIC = "universal-connectivity-file"
DISCOVERY_TOPIC = "universal-connectivity-browser-peer-discovery"
FILE_PROTOCOL = "/universal-connectivity-file/1"

MAX_FILE_ID = 1024  # bytes; the app's are 36
NICK_LENGTH = 8  # letters of the peer id's text, from its end


def nick_of(peer: PeerId) -> str:
    """What the app calls a peer."""
    return str(peer)[-NICK_LENGTH:]


@dataclass(frozen=True, slots=True)
class Said:
    """Something that somebody said in the room.

    Attributes:
        author: who, proved by the message's signature.
        text: what.
    """

    author: PeerId
    text: str

    @property
    def nick(self) -> str:
        """The author, as the app shows it."""
        return nick_of(self.author)


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a peer says of itself in the discovery topic.

    Attributes:
        public_key: as a protobuf, the form from which the peer id is made.
        addrs: where it can be reached.
    """

    public_key: bytes
    addrs: tuple[Multiaddr, ...] = ()

    @property
    def peer_id(self) -> PeerId:
        """Whom it speaks of; `MalformedMessage` if the key is none."""
        return PeerId.from_public_key(PublicKey.from_protobuf(self.public_key))

    def encode(self) -> bytes:
        """The protobuf's bytes."""
        addrs = (protobuf.bytes_field(2, addr.to_bytes()) for addr in self.addrs)
        return b"".join((protobuf.bytes_field(1, self.public_key), *addrs))

    @classmethod
    def decode(cls, data: bytes) -> Announcement:
        """Read the protobuf; addresses of kinds that we do not know are left out.

        Raises: `MalformedMessage` if it does not parse, or holds no key.
        """
        key: bytes | None = None
        addrs: list[Multiaddr] = []
        for number, _, value in protobuf.read_fields(data):
            if number == 1 and isinstance(value, bytes):
                key = value
            elif number == 2 and isinstance(value, bytes):
                try:
                    addrs.append(Multiaddr(value))
                except MalformedMessage:
                    continue  # WebTransport, say
        if key is None:
            raise MalformedMessage("an announcement without a public key")
        return cls(key, tuple(addrs))


@dataclass(slots=True)
class Chat:
    """One peer in the room. `Chat.join` makes it.

    Attributes:
        host: the peer.
        files: what it has to give, by id.
    """

    host: Host
    _inbox: Subscription
    _file_inbox: Subscription
    files: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    async def join(cls, host: Host) -> Chat:
        """Enter the room. The host must have `host.pubsub`."""
        inbox = await host.pubsub.subscribe(CHAT_TOPIC)
        room = cls(host, inbox, await host.pubsub.subscribe(FILE_TOPIC))
        host.set_handler(FILE_PROTOCOL, room._give)
        return room

    def leave(self) -> None:
        """Leave it. What was said before can be read to its end."""
        self._inbox.cancel()
        self._file_inbox.cancel()
        self.host.remove_handler(FILE_PROTOCOL)

    @property
    def peers(self) -> Sequence[PeerId]:
        """Who is in the room, as far as we are connected."""
        peers: Sequence[PeerId] = self.host.pubsub.peers(CHAT_TOPIC)
        return peers

    async def say(self, text: str) -> None:
        """Say something to everybody."""
        await self.host.pubsub.publish(CHAT_TOPIC, text.encode())

    async def hear(self, timeout: float | None = None) -> Said:
        """What somebody else says next; `TimeoutError` after so many seconds."""
        while True:
            message = await self._inbox.get(timeout)
            if message.from_peer not in (None, self.host.peer_id):
                assert message.from_peer is not None
                return Said(message.from_peer, message.data.decode(errors="replace"))

    async def __aiter__(self) -> AsyncIterator[Said]:
        async for message in self._inbox:
            if message.from_peer is not None and message.from_peer != self.host.peer_id:
                yield Said(message.from_peer, message.data.decode(errors="replace"))

    async def announce(self) -> None:
        """Tell the discovery topic who we are and where."""
        addrs = tuple(addr.without_peer() for addr in self.host.addrs)
        told = Announcement(self.host.key.public.to_protobuf(), addrs)
        await self.host.pubsub.publish(DISCOVERY_TOPIC, told.encode())

    # -- files ----------------------------------------------------------------------------------------------------

    async def offer_file(self, file_id: str, body: bytes) -> None:
        """Tell everybody of a file; whoever wants it asks us."""
        most = self.host.limits.chat_file
        if len(body) > most or len(file_id.encode()) > MAX_FILE_ID:
            raise LocalError(f"a file has {most} bytes at most, and its id {MAX_FILE_ID}")
        self.files[file_id] = body
        await self.host.pubsub.publish(FILE_TOPIC, file_id.encode())

    async def next_file(self, timeout: float | None = None) -> tuple[PeerId, str]:
        """Who offers a file next, and its id."""
        while True:
            message = await self._file_inbox.get(timeout)
            if message.from_peer is not None and message.from_peer != self.host.peer_id:
                return message.from_peer, message.data.decode(errors="replace")

    async def fetch_file(self, author: PeerId, file_id: str) -> bytes:
        """Ask `author` for a file. Both the id and the body stand behind their lengths."""
        stream = await self.host.open_stream(author, FILE_PROTOCOL)
        try:
            await stream.write_message(file_id.encode())
            await stream.close_write()
            return await stream.read_message(self.host.limits.chat_file)
        finally:
            await stream.close()

    async def _give(self, stream: MuxedStream) -> None:
        file_id = (await stream.read_message(MAX_FILE_ID)).decode(errors="replace")
        body = self.files.get(file_id)
        if body is not None:
            await stream.write_message(body)
        await stream.close()
