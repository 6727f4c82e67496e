"""Edit and resend: a changed copy of a traced message, told to a scratch peer that lives for that moment only.

The live peers hear nothing of it. The scratch peer has a key of its own, listens in memory, and gets what came before
the message as it was (the lines that were agreed on, the frame that opened the stream), then the changed copy. What it
makes of that is read from its own trace.

    as sent      lines, handshake messages, raw bytes       go over a fresh raw connection as they are
    inside       a Noise message's plaintext, muxer frames  are sealed anew: only the old connection had the old keys
    of a stream  lines and bytes of a stream                are put into a frame first
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from libp2p_lab.errors import LabError
from libp2p_lab.host.echo import Echo
from libp2p_lab.host.events import ConnectionClosed, ConnectionOpened, UpgradeFailed
from libp2p_lab.host.host import Host
from libp2p_lab.host.identify import Identify
from libp2p_lab.host.ping import Ping as PingService
from libp2p_lab.host.upgrade import Upgrader
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing.yamux import Yamux
from libp2p_lab.multiplexing.yamux_frames import DataFrame, Flags, GoAway, Ping, WindowUpdate
from libp2p_lab.negotiation.multistream import Line
from libp2p_lab.security.noise import Noise, NoiseMessage
from libp2p_lab.security.noise_xx import HandshakeMessage
from libp2p_lab.trace import Entry, Probe
from libp2p_lab.transports.memory import Memory
from libp2p_lab.transports.transport import RawConnection
from libp2p_lab.widgets.wire_log import Row, WireLog
from libp2p_lab.wire.byte_stream import ByteStream

MAX_EDITED = 4096  # bytes of a message that can be changed by hand
WHOLE = 6.0  # seconds for one resending, the scratch peer's start included
QUIET = 0.5  # seconds without news from the scratch peer: it has said what it has to say
MAX_NEWS = 400  # entries of its trace
READ_SIZE = 65536


@dataclass(frozen=True, slots=True)
class Copy:
    """A message that can be changed and sent again.

    Attributes:
        how: "raw" on a fresh connection, or "sealed" inside a fresh secure channel.
        data: its bytes: what is changed.
        before: what is sent first, as it was.
        is_dialer: whether its sender had dialled.
        frame: the stream and flags of the frame that the bytes go into; None if they go as they are.
    """

    how: Literal["raw", "sealed"]
    data: bytes
    before: bytes
    is_dialer: bool
    frame: tuple[int, int] | None = None

    @property
    def note(self) -> str:
        """What happens to the copy, in a sentence."""
        if self.how == "raw":
            return "The copy goes over a fresh connection, behind the bytes that its sender had sent before."
        if self.frame is not None:
            return "The copy is put into a frame of a stream like this one, and sealed with fresh keys."
        return "The copy is sealed with the keys of a fresh connection: the old ones died with the old connection."

    def with_data(self, data: bytes) -> bytes:
        """All that is sent, with the message changed to `data`."""
        if self.frame is None:
            return self.before + data
        stream_id, flags = self.frame
        return DataFrame(stream_id, flags, self.before + data).encode()


def copy_of(log: WireLog, row: Row) -> Copy | None:
    """What can be changed in a row; None for an event, or what is too large."""
    entry = row.entry
    if entry.direction == "event" or not 0 < row.size <= MAX_EDITED:
        return None
    is_dialer = _is_dialer(log, entry) == (entry.direction == "sent")
    on_wire = "/" not in entry.link
    match entry.what:
        case HandshakeMessage():
            data = log.open(row).data
            return Copy("raw", data, _before(log, row), is_dialer)
        case Line() as line if on_wire and not _is_secured(log, row):
            return Copy("raw", line.encode(), _before(log, row), is_dialer)
        case bytes() as data if entry.layer == "transport":
            return Copy("raw", data, _before(log, row), is_dialer)
        case NoiseMessage(plaintext=data):
            return Copy("sealed", data, b"", is_dialer) if data else None
        case (DataFrame() | WindowUpdate() | Ping() | GoAway()) as frame:
            return Copy("sealed", frame.encode(), _before(log, row), is_dialer)
        case Line() as line if not on_wire:
            data = line.encode()
        case bytes() as data if entry.layer == "stream":
            pass
        case _:
            return None
    number = entry.link.partition("/")[2]
    if not number.isdecimal():
        return None
    has_opened = (int(number) % 2 == 1) == is_dialer  # Spec: yamux/README.md#streamid-field
    flags = Flags.SYN if has_opened else Flags.ACK
    return Copy("sealed", data, _before(log, row), is_dialer, (int(number), flags))


def _is_dialer(log: WireLog, entry: Entry) -> bool:
    """Whether the node that told of this entry had dialled the connection."""
    link = entry.link.partition("/")[0]
    for row in log.rows:
        other = row.entry
        if other.node != entry.node or other.link.partition("/")[0] != link:
            continue
        match other.what:
            case ConnectionOpened(direction=direction):
                return direction == "outbound"
            case HandshakeMessage():
                return (other.number != 1) == (other.direction == "sent")
            case _:
                pass
    return True


def _same_lane(row: Row, entry: Entry) -> bool:
    other = row.entry
    return other.node == entry.node and other.direction == entry.direction


def _is_secured(log: WireLog, row: Row) -> bool:
    """Whether a handshake message of the same sender came before."""
    return any(
        isinstance(other.entry.what, HandshakeMessage) and other.entry.link == row.entry.link
        for other in log.rows
        if other.seq < row.seq and _same_lane(other, row.entry)
    )


def _before(log: WireLog, row: Row) -> bytes:
    """What the same sender had sent before, as far as this message needs it to be understood."""
    entry = row.entry
    parts: list[bytes] = []
    for other in log.rows:
        if other.seq >= row.seq:
            break
        if not _same_lane(other, entry):
            continue
        what, link = other.entry.what, other.entry.link
        match entry.what:
            case bytes() if entry.layer == "transport":
                wanted = link == entry.link and other.entry.layer == "transport"
            case DataFrame() | WindowUpdate():
                wanted = (
                    link == entry.link
                    and isinstance(what, DataFrame | WindowUpdate)
                    and what.stream_id == entry.what.stream_id
                )
            case Ping() | GoAway():
                wanted = False
            case bytes():
                wanted = link == entry.link and isinstance(what, Line | bytes)
            case _:
                wanted = link == entry.link and isinstance(what, Line | HandshakeMessage)
        if wanted:
            parts.append(_bytes_of(log, other))
    return b"".join(parts)


def _bytes_of(log: WireLog, row: Row) -> bytes:
    return row.entry.what if isinstance(row.entry.what, bytes) else log.open(row).data


# -- sending ----------------------------------------------------------------------------------------------------------


async def resend(copy: Copy, data: bytes) -> list[Entry]:
    """Tell a scratch peer a changed copy.

    Args:
        copy: the message as it was.
        data: what stands in its place.

    Returns: the scratch peer's trace from the moment on in which the copy could reach it.
    """
    news: list[Entry] = []
    stirred = asyncio.Event()

    def take(entry: Entry) -> None:
        if len(news) < MAX_NEWS:
            news.append(entry)
        stirred.set()

    scratch = Host(
        listen=("/memory/0",),
        transports=[Memory()],
        security=[Noise()],
        muxers=[Yamux()],
        services=[Identify(), PingService(), Echo()],
    )
    with suppress(TimeoutError):  # what it has told until then is the answer
        async with asyncio.timeout(WHOLE), scratch, asyncio.TaskGroup() as group:
            scratch.trace.listen(take)
            await _quietly(_tell(scratch, copy, data, group, news, stirred))
    return news


async def _tell(
    scratch: Host,
    copy: Copy,
    data: bytes,
    group: asyncio.TaskGroup,
    news: list[Entry],
    stirred: asyncio.Event,
) -> None:
    """Say it, and wait until the scratch peer has answered."""
    async with _line_to(scratch, copy, group) as stream:
        if copy.how == "sealed" and copy.is_dialer:
            news.clear()  # the handshake went as always
        reading = group.create_task(_drain(stream, stirred))
        try:
            await _quietly(stream.write(copy.with_data(data)))
            await _until_quiet(news, stirred)
        finally:
            reading.cancel()


@asynccontextmanager
async def _line_to(
    scratch: Host, copy: Copy, group: asyncio.TaskGroup
) -> AsyncIterator[ByteStream]:
    """A connection with the scratch peer in which we play the message's sender."""
    key = KeyPair.generate()
    calls: asyncio.Queue[RawConnection] = asyncio.Queue()
    listener = await Memory().listen(Multiaddr("/memory/0"), calls.put_nowait)
    calling: asyncio.Task[None] | None = None
    raw: RawConnection
    if copy.is_dialer:
        raw = await Memory().dial(scratch.addrs[0])
    else:
        address = Multiaddr(f"{listener.addrs[0]}/p2p/{PeerId.from_public_key(key.public)}")
        calling = group.create_task(_quietly(scratch.connect(address)))
        raw = await calls.get()
    try:
        stream: ByteStream = raw
        if copy.how == "sealed":
            upgrader = Upgrader(key, [Noise()], [Yamux()], Limits())
            made = await upgrader.upgrade(
                raw,
                is_dialer=copy.is_dialer,
                expected_peer=scratch.peer_id if copy.is_dialer else None,
                probe=Probe(),
            )
            stream = made.channel
            if not copy.is_dialer:
                await stream.read(READ_SIZE)  # its first stream: now there is something to answer
        yield stream
    finally:
        await raw.reset()
        await listener.close()
        if calling is not None:
            calling.cancel()


async def _quietly(work: Awaitable[object]) -> None:
    """Await; that the scratch peer breaks off is an answer, and its trace says so."""
    with suppress(LabError, OSError):
        await work


async def _drain(stream: ByteStream, stirred: asyncio.Event) -> None:
    """Take what the scratch peer sends, so that it never waits for us."""
    with suppress(LabError, OSError):
        while await stream.read(READ_SIZE):
            stirred.set()


async def _until_quiet(news: list[Entry], stirred: asyncio.Event) -> None:
    """Wait until the scratch peer has nothing more to say."""
    while not any(isinstance(e.what, ConnectionClosed | UpgradeFailed) for e in news):
        stirred.clear()
        try:
            async with asyncio.timeout(QUIET):
                await stirred.wait()
        except TimeoutError:
            return
