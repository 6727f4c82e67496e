"""Runs multistream-select on a byte stream: the driver of `multistream.py`.

It reads a line's length byte by byte and then exactly the line, so that nothing behind the negotiation is consumed:
whatever comes next belongs to the protocol agreed on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from libp2p_lab.errors import LimitExceeded, NegotiationError
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.negotiation.multistream import (
    LIST,
    NOT_AVAILABLE,
    Initiator,
    Line,
    Responder,
    State,
    decode_list,
)
from libp2p_lab.trace import Probe
from libp2p_lab.wire.byte_stream import Buffer, ByteStream, read_exactly, read_varint


class Negotiator(Protocol):
    """Agrees on protocols: what a host can be given in the place of this file, without its shortcuts."""

    async def propose(self, stream: ByteStream, protocols: Sequence[str]) -> str:
        """Agree on one of `protocols`, the best first, as the initiator. Raises: `LabError` if there is none."""
        ...

    async def respond(self, stream: ByteStream, protocols: Collection[str]) -> str:
        """Agree on one of `protocols` as the responder. Raises: `LabError` if the initiator breaks a rule."""
        ...


class Negotiation:
    """One side's negotiation on one stream.

    Args:
        stream: where the lines travel.
        side: the core that decides: `Initiator` or `Responder`.
        limits: the longest line accepted.
        probe: where lines are reported.
    """

    __slots__ = ("_limits", "_probe", "_received", "_sent", "_stream", "side")

    def __init__(
        self, stream: ByteStream, side: Initiator | Responder, limits: Limits, probe: Probe
    ) -> None:
        self._stream = stream
        self._limits = limits
        self._probe = probe
        self._sent = self._received = 0
        self.side = side

    async def start(self) -> None:
        """Send our opening lines, without waiting for anything."""
        await self._send(self.side.start())

    async def finish(self) -> str:
        """Exchange lines until both agree, and return the protocol.

        Raises: `NegotiationError`, `RemoteError`, `LimitExceeded`, or what the stream raises.
        """
        while self.side.state is not State.AGREED:
            await self._send(self.side.receive(await self._read_line()))
        return self.side.protocol

    async def ask_for_list(self) -> list[str]:
        """Send `ls` and read the answer, which is one line with lines in it."""
        await self.start()
        self.side.receive(await self._read_line())  # the header
        answer = await self._read_line()
        if answer.text == NOT_AVAILABLE:
            raise NegotiationError("the remote does not list its protocols", [LIST])
        return decode_list(answer.text)

    async def _read_line(self) -> Line:
        length = await read_varint(self._stream)
        if length > self._limits.multistream_line:
            raise LimitExceeded("multistream_line", length, self._limits.multistream_line)
        line = Line.decode(await read_exactly(self._stream, length))
        if self._probe.trace.listeners:
            self._probe.emit("received", line, self._received)
        self._received += 1
        return line

    async def _send(self, lines: Sequence[Line]) -> None:
        if not lines:
            return
        if self._probe.trace.listeners:
            for number, line in enumerate(lines, self._sent):
                self._probe.emit("sent", line, number)
        self._sent += len(lines)
        await self._stream.write(b"".join(line.encode() for line in lines))


class AssumedStream:
    """A byte stream on which the only proposal is taken as agreed: the remote's answer is awaited by the first read.

    So the first data of the next protocol leaves together with the proposal, and a round trip is saved. It is safe
    because there was nothing else to propose: a refusal ends the stream either way.

    Args:
        stream: the stream below.
        negotiation: started, not finished.
    """

    __slots__ = ("_negotiation", "_stream")

    def __init__(self, stream: ByteStream, negotiation: Negotiation) -> None:
        self._stream = stream
        self._negotiation: Negotiation | None = negotiation

    async def read(self, n: int = -1) -> bytes:
        """As `ByteStream.read`; the first one raises what `Negotiation.finish` raises."""
        if self._negotiation is not None:
            negotiation, self._negotiation = self._negotiation, None
            await negotiation.finish()
        return await self._stream.read(n)

    async def write(self, data: Buffer) -> None:
        """As `ByteStream.write`."""
        await self._stream.write(data)

    async def close_write(self) -> None:
        """As `ByteStream.close_write`."""
        await self._stream.close_write()

    async def close(self) -> None:
        """As `ByteStream.close`."""
        await self._stream.close()

    async def reset(self) -> None:
        """As `ByteStream.reset`."""
        await self._stream.reset()


async def propose(
    stream: ByteStream,
    protocols: Sequence[str],
    limits: Limits = DEFAULT_LIMITS,
    probe: Probe | None = None,
) -> str:
    """Agree on one of `protocols` as the initiator; the first that the remote has wins.

    Raises: `NegotiationError` if it has none; `RemoteError` or `LimitExceeded` if it breaks a rule.
    """
    negotiation = Negotiation(stream, Initiator(protocols), limits, probe or Probe())
    await negotiation.start()
    return await negotiation.finish()


async def respond(
    stream: ByteStream,
    protocols: Collection[str],
    limits: Limits = DEFAULT_LIMITS,
    probe: Probe | None = None,
) -> str:
    """Agree on one of `protocols` as the responder.

    Raises: `RemoteError` or `LimitExceeded` if the initiator breaks a rule; it hangs up when it has nothing left.
    """
    negotiation = Negotiation(stream, Responder(protocols, limits), limits, probe or Probe())
    await negotiation.start()
    return await negotiation.finish()


async def list_protocols(
    stream: ByteStream, limits: Limits = DEFAULT_LIMITS, probe: Probe | None = None
) -> list[str]:
    """Ask the responder what it speaks (`ls`). go and js do not answer this any more; rust and py do.

    Raises: `NegotiationError` if it says `na`; `MalformedMessage` for an answer that does not parse.
    """
    negotiation = Negotiation(stream, Initiator([LIST]), limits, probe or Probe())
    return await negotiation.ask_for_list()
