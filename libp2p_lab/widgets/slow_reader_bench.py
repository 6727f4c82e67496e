"""A reader that stops, under yamux and under mplex: two pairs of live peers, and the scope that shows them."""

from __future__ import annotations

import asyncio
from typing import Any

from libp2p_lab.errors import LabError, LocalError
from libp2p_lab.host.host import Host
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing.connection import Stream
from libp2p_lab.multiplexing.mplex import Mplex
from libp2p_lab.multiplexing.muxed_stream import MuxedStream
from libp2p_lab.multiplexing.muxer import Muxer
from libp2p_lab.multiplexing.yamux import Yamux
from libp2p_lab.widgets.stream_scope import StreamScope

BULK, STEADY = "/bulk/1.0.0", "/steady/1.0.0"
WINDOWS = (64 << 10, 256 << 10, 1 << 20)
FRAMES = (1 << 10, 4 << 10, 16 << 10, 64 << 10)
TICK = 0.05  # seconds between two writes
STEADY_TICKS = 5  # of them between two messages on the other stream
NAMES = (("alice", "bob"), ("carol", "dave"))  # writer and reader, over yamux and over mplex


class SlowReader:
    """Two writers that send without end, each beside a quiet conversation; and two readers that can be stopped.

    Args:
        window: bytes that a yamux stream may send at first.
        frame: bytes of one data frame.
        rate: bytes a second that each writer wants to write.

    Attributes:
        scope: shows both pairs.
        hosts: the four peers by name.
        heard: messages of the quiet conversation that came back, by the writer's name.

    Raises: `LocalError` for sizes that make no sense.
    """

    def __init__(
        self, *, window: int = WINDOWS[1], frame: int = FRAMES[2], rate: int = 320_000
    ) -> None:
        _check(window, frame)
        if not 1_000 <= rate <= 100_000_000:
            raise LocalError(f"a writer writes 1 kB to 100 MB a second, not {rate} bytes")
        self._window = window
        self._frame = frame
        self._rate = rate
        self.hosts: dict[str, Host] = {}
        self.heard: dict[str, int] = {}
        self._is_changing = False
        self.scope = StreamScope({}, bench=self)

    # -- life -------------------------------------------------------------------------------------

    async def start(self) -> SlowReader:
        """Start the peers, and let them talk."""
        limits = Limits(
            yamux_initial_window=self._window,
            yamux_max_window=self._window,  # it stays as it is: one thing at a time
            yamux_max_frame=self._frame,
        )
        muxers: tuple[Muxer, ...] = (Yamux(), Mplex())
        self.heard = {names[0]: 0 for names in NAMES}
        for names, muxer in zip(NAMES, muxers, strict=True):
            for name in names:
                host = Host(listen=["/memory/0"], muxers=[muxer], limits=limits, services=[])
                self.hosts[name] = await host.start()
            self.hosts[names[1]].set_handler(BULK, self._read)
            self.hosts[names[1]].set_handler(STEADY, _echo)
        self.scope.show(self.hosts)
        for writer, reader in NAMES:
            host, other = self.hosts[writer], self.hosts[reader]
            await host.connect(other.addrs[0])
            bulk = await host.open_stream(other.peer_id, BULK)
            steady = await host.open_stream(other.peer_id, STEADY)
            host.create_task(self._write(bulk))
            host.create_task(self._talk(steady, writer))
        return self

    async def close(self) -> None:
        """Take the scope off the page and stop the peers."""
        self.scope.close()
        await self._close_hosts()

    async def _close_hosts(self) -> None:
        hosts, self.hosts = list(self.hosts.values()), {}
        for host in hosts:
            await host.close()

    # -- what can be changed ----------------------------------------------------------------------

    @property
    def settings(self) -> dict[str, Any]:
        """As `Bench.settings`."""
        return {
            "window": self._window,
            "frame": self._frame,
            "windows": sorted({*WINDOWS, self._window}),
            "frames": sorted({*FRAMES, self._frame}),
        }

    async def change(self, window: int, frame: int) -> None:
        """As `Bench.change`.

        Raises: `LocalError` for sizes that make no sense.
        """
        _check(window, frame)
        if self._is_changing:
            return
        self._is_changing = True
        try:
            self._window, self._frame = window, frame
            await self._close_hosts()
            await self.start()
        finally:
            self._is_changing = False

    def stop(self) -> None:
        """Both readers stop: what arrives lies there."""
        self.scope.poke_all("stop", BULK)

    def go(self) -> None:
        """Both readers read on."""
        self.scope.poke_all("go", BULK)

    # -- what they do -----------------------------------------------------------------------------

    async def _read(self, stream: Stream) -> None:
        async for _ in stream:
            pass

    async def _write(self, stream: MuxedStream) -> None:
        """Pieces no longer than a frame, at the wanted rate, or as fast as the reader lets us."""
        piece = bytes(self._frame)
        owed = 0.0
        try:
            while True:
                owed += self._rate * TICK
                while owed > 0:
                    await stream.write(piece)
                    owed -= len(piece)
                await asyncio.sleep(TICK)
        except LabError:
            pass  # the stream was dropped: that is what there is to see

    async def _talk(self, stream: MuxedStream, writer: str) -> None:
        try:
            while True:
                await stream.write(b"are you still there?")
                await stream.read_exactly(20)
                self.heard[writer] += 1
                await asyncio.sleep(STEADY_TICKS * TICK)
        except LabError:
            pass

    def _repr_mimebundle_(self, **options: object) -> dict[str, Any]:
        return self.scope._repr_mimebundle_(**options)


async def _echo(stream: Stream) -> None:
    async for chunk in stream:
        await stream.write(chunk)


def _check(window: int, frame: int) -> None:
    if not 4096 <= window <= 16 << 20:
        raise LocalError(f"a window has 4 KiB to 16 MiB, not {window} bytes")
    if not 256 <= frame <= 1 << 20:
        raise LocalError(f"a frame carries 256 bytes to 1 MiB, not {frame}")
