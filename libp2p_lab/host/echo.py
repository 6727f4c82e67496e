"""Echo, `/echo/1.0.0`: every byte comes back. The smallest protocol there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libp2p_lab.multiplexing.muxed_stream import MuxedStream

if TYPE_CHECKING:
    from libp2p_lab.host.host import Host

PROTOCOL_ID = "/echo/1.0.0"


class Echo:
    """Sends back what it reads, as it comes, until the remote has said everything."""

    def attach(self, host: Host) -> None:
        """As `Service.attach`."""
        host.set_handler(PROTOCOL_ID, answer)

    async def close(self) -> None:
        """As `Service.close`."""


async def answer(stream: MuxedStream) -> None:
    """The handler: a slow reader at the other end slows our reading too, so nothing piles up."""
    async for chunk in stream:
        await stream.write(chunk)
