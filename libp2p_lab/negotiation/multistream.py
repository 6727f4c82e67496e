"""multistream-select 1.0: two sides agree on a protocol, one line at a time.

A line is its length as a varint, its text, and a newline, which the length counts:

    | varint | text | \\n |            "na"  →  03 6e 61 0a

The initiator and the responder first tell each other `/multistream/1.0.0`, without waiting. Then the initiator
proposes; the responder repeats the proposal (agreed) or says `na` (propose another). The initiator may send its
header and its first proposal together, and even its first data behind them: that saves a round trip each.

The first negotiation of a connection is in the clear: nothing is encrypted yet.

This is the core: lines in, lines out. `negotiate.py` runs it on a stream.

Spec: connections/README.md#multistream-select
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum

from libp2p_lab.errors import (
    LimitExceeded,
    LocalError,
    MalformedMessage,
    NegotiationError,
    ProtocolViolation,
)
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.wire import varint

PROTOCOL_ID = "/multistream/1.0.0"
NOT_AVAILABLE = "na"
LIST = "ls"


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    Attributes:
        text: without length and newline.
    """

    text: str

    def encode(self) -> bytes:
        """The bytes on the wire."""
        body = self.text.encode() + b"\n"
        return varint.encode(len(body)) + body

    @classmethod
    def decode(cls, body: bytes) -> Line:
        """Read what stands behind the length, newline included.

        Raises: `MalformedMessage` if the newline is missing or the text is not UTF-8.
        """
        if not body.endswith(b"\n"):
            raise MalformedMessage("multistream line without a newline")
        try:
            return cls(body[:-1].decode())
        except UnicodeDecodeError:
            raise MalformedMessage("multistream line is not UTF-8") from None


class State(Enum):
    """Where a negotiation stands, as seen from one side."""

    AWAIT_HEADER = "the remote has not said /multistream/1.0.0 yet"
    AWAIT_PROPOSAL = "responder: the initiator proposes next"
    AWAIT_ANSWER = "initiator: a proposal is on its way"
    AGREED = "both use the same protocol from here on"
    REFUSED = "the initiator has nothing left to propose"


@dataclass(slots=True)
class Initiator:
    """The side that wants something.

    Args:
        protocols: what it would like, the best first.
    """

    protocols: Sequence[str]
    state: State = State.AWAIT_HEADER
    _next: int = 0

    def __post_init__(self) -> None:
        if not self.protocols:
            raise LocalError("propose at least one protocol")

    def start(self) -> list[Line]:
        """The header and the first proposal, which may leave together."""
        return [Line(PROTOCOL_ID), Line(self.protocols[0])]

    def receive(self, line: Line) -> list[Line]:
        """Take the responder's next line; give the lines to answer.

        Raises: `ProtocolViolation` for a line that fits nothing; `NegotiationError` when all proposals are refused.
        """
        match self.state, line.text:
            case State.AWAIT_HEADER, text if text == PROTOCOL_ID:
                self.state = State.AWAIT_ANSWER
                return []
            case State.AWAIT_ANSWER, text if text == self.protocols[self._next]:
                self.state = State.AGREED
                return []
            case State.AWAIT_ANSWER, text if text == NOT_AVAILABLE:
                self._next += 1
                if self._next < len(self.protocols):
                    return [Line(self.protocols[self._next])]
                self.state = State.REFUSED
                raise NegotiationError(
                    f"the remote speaks none of {', '.join(self.protocols)}", self.protocols
                )
            case state, text:
                raise ProtocolViolation(f"multistream: {text[:80]!r} while {state.value}")

    @property
    def protocol(self) -> str:
        """The protocol proposed last: agreed on once the state is AGREED."""
        return self.protocols[self._next]


@dataclass(slots=True)
class Responder:
    """The side that is asked.

    Args:
        protocols: what it offers.
        limits: how many proposals it listens to, and how long its answer to `ls` may be.
    """

    protocols: Collection[str]
    limits: Limits = DEFAULT_LIMITS
    state: State = State.AWAIT_HEADER
    protocol: str = ""
    _refused: list[str] = field(default_factory=list)

    def start(self) -> list[Line]:
        """The header."""
        return [Line(PROTOCOL_ID)]

    def receive(self, line: Line) -> list[Line]:
        """Take the initiator's next line; give the lines to answer.

        Raises: `ProtocolViolation` for a first line that is no header; `LimitExceeded` after too many proposals.
        """
        if self.state is State.AWAIT_HEADER:
            if line.text != PROTOCOL_ID:
                raise ProtocolViolation(f"multistream: {line.text[:80]!r} instead of the header")
            self.state = State.AWAIT_PROPOSAL
            return []
        if self.state is not State.AWAIT_PROPOSAL:
            raise ProtocolViolation(f"multistream: {line.text[:80]!r} after the end")
        if line.text in self.protocols:
            self.protocol = line.text
            self.state = State.AGREED
            return [line]
        self._refused.append(line.text)
        if len(self._refused) > self.limits.multistream_proposals:
            raise LimitExceeded(
                "multistream_proposals", len(self._refused), self.limits.multistream_proposals
            )
        if line.text == LIST:
            return [Line(encode_list(sorted(self.protocols)[: self.limits.multistream_ls]))]
        return [Line(NOT_AVAILABLE)]


def encode_list(protocols: Sequence[str]) -> str:
    """The text of an answer to `ls`: one whole line within the line for each protocol.

    Ids of 127 bytes and more are left out: their length would take two bytes, which are no text.
    """
    lines = (Line(protocol).encode() for protocol in protocols)
    return b"".join(line for line in lines if line[0] < 0x80).decode()


def decode_list(text: str) -> list[str]:
    """The protocols in an answer to `ls`.

    Raises: `MalformedMessage` if a line within does not parse.
    """
    data = text.encode()
    protocols = []
    offset = 0
    while offset < len(data):
        length, offset = varint.decode(data, offset)
        if length > len(data) - offset:
            raise MalformedMessage("multistream list is cut off")
        protocols.append(Line.decode(data[offset : offset + length]).text)
        offset += length
    return protocols
