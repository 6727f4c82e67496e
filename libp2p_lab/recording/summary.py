"""One line of text for anything that a trace holds: what tables, Wireshark's packet list and the tour show."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import Enum

from libp2p_lab.multiplexing.mplex_frames import Flag as MplexFlag
from libp2p_lab.multiplexing.mplex_frames import MplexFrame
from libp2p_lab.multiplexing.yamux_frames import DataFrame, Flags, GoAway, Ping, WindowUpdate
from libp2p_lab.negotiation.multistream import Line
from libp2p_lab.security.noise import NoiseMessage
from libp2p_lab.security.noise_xx import HandshakeMessage
from libp2p_lab.security.tls_records import CONTENT_TYPES, TlsRecord

_LONGEST = 40  # characters of a text that is shown whole


def summary(what: object) -> str:
    """What an entry holds, in one line."""
    match what:
        case bytes() | bytearray() | memoryview():
            return _count(what)
        case Line(text):
            return text
        case HandshakeMessage(tokens=tokens):
            return f"handshake: {', '.join(tokens)}"
        case NoiseMessage(ciphertext=ciphertext, plaintext=plaintext):
            return f"{_count(plaintext)} in a ciphertext of {len(ciphertext)}"
        case TlsRecord(record=record, plaintext=plaintext):
            kind = CONTENT_TYPES.get(record[0], "unknown")
            inside = f"{_count(plaintext)} in " if plaintext else ""
            return f"{inside}a TLS record of {len(record)} ({kind})"
        case MplexFrame(stream_id, flag, data):
            return f"mplex {MplexFlag(flag).name} of stream {stream_id}: {_count(data)}"
        case DataFrame(stream_id, flags, data):
            return f"data on stream {stream_id}{_flags(flags)}: {_count(data)}"
        case WindowUpdate(stream_id, flags, delta):
            return f"window of stream {stream_id}{_flags(flags)}: +{delta}"
        case Ping(flags, value):
            return f"ping{_flags(flags)}: {value}"
        case GoAway(code):
            return f"go away: {code}"
        case _ if is_dataclass(what):
            shown = [(field.name, getattr(what, field.name)) for field in fields(what)]
            told = ", ".join(
                f"{name} {_short(value)}" for name, value in shown if value or value == 0
            )
            return f"{type(what).__name__}: {told}" if told else type(what).__name__
        case _:
            return str(what)


def _flags(flags: int) -> str:
    named = [flag.name for flag in Flags if flag and flags & flag]
    return f" ({', '.join(filter(None, named))})" if named else ""


def _short(value: object) -> str:
    match value:
        case bytes() | bytearray() | memoryview():
            return _count(value)
        case Enum(name=name):
            return name
        case str() if len(value) > _LONGEST:
            return f"{value[:8]}…{value[-6:]}"
        case tuple() | list() if len(value) > 3 or (value and isinstance(value[0], bytes)):
            return f"{len(value)} of them"
        case tuple() | list():
            return ", ".join(map(_short, value))
        case _:
            return str(value)


def _count(data: bytes | bytearray | memoryview) -> str:
    return f"{len(data):,} byte" + ("" if len(data) == 1 else "s")
