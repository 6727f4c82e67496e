"""Everything that can go wrong, as one short tree.

The first question about a failure is *who broke a rule*: the peer (`RemoteError`), our own caller
(`LocalError`), or nobody (a connection that went away, a limit that was reached). Each class answers it.

    LabError
    ├── RemoteError        the peer broke a rule
    │   ├── MalformedMessage     bytes that do not parse
    │   ├── ProtocolViolation    bytes that parse, at the wrong moment or with a forbidden value
    │   ├── HandshakeFailed      the secure channel could not be set up
    │   ├── PeerIdMismatch       somebody else answered
    │   └── RecordInvalid        a signed record that must not be believed
    ├── LocalError         our caller broke a rule
    │   └── NotSimulated         a real socket, thread or pause inside a simulation
    ├── DialError          no address led to the peer; `.attempts` says why, address by address
    ├── NegotiationError   no common protocol; `.offered` is what was proposed
    ├── StreamClosed       writing after close_write, reading after close
    ├── StreamReset        one side cut the stream short
    ├── ConnectionLost     the connection below is gone
    └── LimitExceeded      a limit was reached; `.limit` names it, `.value` is what was asked for
"""

from __future__ import annotations

from collections.abc import Sequence


class LabError(Exception):
    """The root: `except LabError` catches whatever this library raises on purpose."""


class RemoteError(LabError):
    """The peer broke a rule of the protocol. Nothing that we can change in our call will help."""


class MalformedMessage(RemoteError):
    """Bytes that do not parse: truncated, over-long, not minimal, unknown where it matters."""


class ProtocolViolation(RemoteError):
    """A message that parses, but is forbidden now: a frame for a stream that was never opened, say."""


class HandshakeFailed(RemoteError):
    """The secure channel could not be set up: a bad signature, a bad tag, silence."""


class PeerIdMismatch(RemoteError):
    """The peer proved an identity, but not the one that was asked for.

    Attributes:
        expected: the peer id that the caller named (text).
        actual: the peer id that the remote proved (text).
    """

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(
            f"asked for peer {expected}, but {actual} answered: the address is out of date, "
            "or somebody is in between"
        )
        self.expected = expected
        self.actual = actual


class RecordInvalid(RemoteError):
    """A signed record that must not be believed: wrong signature, wrong signer, wrong domain."""


class LocalError(LabError):
    """Our own caller broke a rule: a bad argument, a call at the wrong moment."""


class NotSimulated(LocalError):
    """Something real was used inside a simulation: a socket, a thread, a pause by the clock on the wall."""


class DialError(LabError):
    """No address led to the peer.

    Attributes:
        attempts: one `(address, cause)` for each address tried, in the order of their failure.
    """

    def __init__(self, message: str, attempts: Sequence[tuple[str, BaseException]] = ()) -> None:
        causes = "".join(
            f"\n  {address}: {type(cause).__name__}: {cause}" for address, cause in attempts
        )
        super().__init__(message + causes)
        self.attempts = tuple(attempts)


class NegotiationError(LabError):
    """The two sides share no protocol.

    Attributes:
        offered: the protocol ids that were proposed.
    """

    def __init__(self, message: str, offered: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.offered = tuple(offered)


class StreamClosed(LabError):
    """The stream was closed on our side: nothing more can be written (or, after `close`, read)."""


class StreamReset(LabError):
    """One side cut the stream short; data on the way may be lost."""


class ConnectionLost(LabError):
    """The connection that carried this is gone."""


class LimitExceeded(LabError):
    """A limit was reached, so the request was refused before it could cost anything.

    Attributes:
        limit: the limit's name, as in `libp2p_lab.limits`.
        value: what was asked for, in the limit's unit.
        scope: who was to pay for it, where several do: "system", "peer 12D3…"; "" where only one can be meant.
    """

    def __init__(
        self, limit: str, value: float, allowed: float | None = None, *, scope: str = ""
    ) -> None:
        bound = "" if allowed is None else f" (allowed: {allowed})"
        payer = f" of the scope {scope}" if scope else ""
        super().__init__(f"limit {limit}{payer} exceeded: {value}{bound}")
        self.limit = limit
        self.value = value
        self.scope = scope
