"""What the layers above see of a connection and its streams, whatever carries them.

Yamux on Noise on TCP gives such a connection, and so does QUIC, which brings all of that by itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.wire.byte_stream import Buffer, ByteStream

StreamDirection = Literal["inbound", "outbound"]


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """What is known of a connection once it is usable, and never changes.

    Attributes:
        id: this host's number for it.
        remote_peer: the proven peer.
        local_addr: our end.
        remote_addr: the other end, as we see it.
        direction: "outbound" if we dialed.
        transport: the transport's name, "tcp" for one.
        security: the security protocol's id.
        muxer: the muxer's id.
        limited: whether it runs over a relay that limits time or bytes.
        opened_at: seconds on the host's clock.
    """

    id: int
    remote_peer: PeerId
    local_addr: Multiaddr
    remote_addr: Multiaddr
    direction: StreamDirection
    transport: str
    security: str
    muxer: str
    limited: bool
    opened_at: float


class Stream(ByteStream, Protocol):
    """A stream as handlers get it: a `ByteStream` that knows its protocol and its connection."""

    @property
    def id(self) -> int:
        """Its number on the connection."""
        ...

    @property
    def protocol(self) -> str:
        """The protocol agreed on; "" until then."""
        ...

    @property
    def direction(self) -> StreamDirection:
        """ "outbound" if we opened it."""
        ...

    @property
    def connection(self) -> Connection:
        """The connection that carries it."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Pieces as they arrive, to the end."""
        ...

    async def read_exactly(self, n: int) -> bytes:
        """Exactly `n` bytes; `MalformedMessage` if the stream ends before."""
        ...

    async def read_message(self, limit: int) -> bytes:
        """One message with its length as a varint before it."""
        ...

    async def write_message(self, message: Buffer) -> None:
        """Write one message with its length as a varint before it."""
        ...


class Connection(Protocol):
    """A secure connection to one peer, with streams in it."""

    @property
    def info(self) -> ConnectionInfo:
        """The facts."""
        ...

    @property
    def streams(self) -> Mapping[int, Stream]:
        """Open streams by id."""
        ...

    async def open_stream(self) -> Stream:
        """A fresh stream, its protocol not yet negotiated."""
        ...

    async def close(self) -> None:
        """Say goodbye, send what is queued, and close."""
        ...
