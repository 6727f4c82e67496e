"""What a transport is: a way to reach an address, and a way to wait at one.

A transport gives a raw `ByteStream` and nothing more: no security, no streams within. The host adds those
(`host/upgrade.py`). Transports that bring their own, such as QUIC, join one layer further up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, runtime_checkable

from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.trace import Probe
from libp2p_lab.wire.byte_stream import ByteStream


class RawConnection(ByteStream, Protocol):
    """A byte stream that knows its two ends and can be watched."""

    @property
    def local_addr(self) -> Multiaddr:
        """Our end, without `/p2p`."""
        ...

    @property
    def remote_addr(self) -> Multiaddr:
        """The other end as we see it, without `/p2p`."""
        ...

    @property
    def probe(self) -> Probe:
        """Where the bytes of this connection are reported, as they are sent and as they arrive.

        The host sets it once it has given the connection a number. Bytes may have arrived by then: they are reported
        at that moment.
        """
        ...

    @probe.setter
    def probe(self, probe: Probe) -> None: ...


@runtime_checkable
class MayBeLimited(Protocol):
    """What a raw connection is, besides, that may come with limits: a relay's circuit."""

    @property
    def limited(self) -> bool:
        """Whether somebody between limits its time or bytes."""
        ...


def report_earlier(probe: Probe, unread: Iterable[bytes], received: int) -> None:
    """Report what arrived before there was anybody to report it to.

    Args:
        probe: the new one.
        unread: the pieces that arrived and nobody has read yet.
        received: bytes that have arrived in all.
    """
    pieces = tuple(unread)
    offset = received - sum(map(len, pieces))
    for piece in pieces:
        probe.emit("received", piece, offset)
        offset += len(piece)


#: Called, on the event loop, with each connection that arrives. It must return at once.
OnConnection = Callable[[RawConnection], None]


class Listener(Protocol):
    """Waits for connections until it is closed."""

    @property
    def addrs(self) -> Sequence[Multiaddr]:
        """Where it listens, with the real port in place of 0 and each interface in place of 0.0.0.0."""
        ...

    async def close(self) -> None:
        """Stop listening. Connections that have arrived stay open."""
        ...


class Transport(Protocol):
    """One way to carry bytes between two addresses."""

    @property
    def name(self) -> str:
        """The name shown to people: "tcp", "memory", …"""
        ...

    def can_dial(self, addr: Multiaddr) -> bool:
        """Whether `dial` knows what to do with this address."""
        ...

    def can_listen(self, addr: Multiaddr) -> bool:
        """Whether `listen` knows what to do with this address."""
        ...

    async def dial(self, addr: Multiaddr) -> RawConnection:
        """Connect.

        Args:
            addr: where to; a `/p2p` at its end is ignored here.

        Raises: `OSError` as the operating system gives it; `LocalError` for an address of another transport.
            The caller sets the time limit.
        """
        ...

    async def listen(self, addr: Multiaddr, on_connection: OnConnection) -> Listener:
        """Wait for connections at `addr`; port 0 picks a free one.

        Raises: `OSError` (address in use, not ours, …); `LocalError` for an address of another transport.
        """
        ...
