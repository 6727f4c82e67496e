"""Recordings as text: a line of JSON for each entry, readable without this library.

    {"format": "libp2p_lab trace", "version": 1, "epoch": 1795500000.0, "dropped": 0}
    {"time": 12.5, "node": "12D3…", "layer": "muxer", "link": "1", "direction": "sent", "number": 0,
     "what": {"yamux_frames.DataFrame": {"stream_id": 1, "flags": 1, "data": {"hex": "13…"}}}}

An object with a single key is a value that JSON does not have: `hex` for bytes, else the name of the class (with the
file that defines it), and its fields.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from libp2p_lab.content import bitswap_events, bitswap_messages, cid
from libp2p_lab.errors import LocalError
from libp2p_lab.host import events, fetch, identify, perf
from libp2p_lab.multiplexing import mplex_frames, yamux_frames
from libp2p_lab.negotiation import multistream
from libp2p_lab.pubsub import events as pubsub_events
from libp2p_lab.pubsub import pubsub_messages
from libp2p_lab.routing import events as kad_events
from libp2p_lab.routing import kad_messages
from libp2p_lab.security import noise, noise_xx, plaintext, tls_records
from libp2p_lab.trace import Entry

FORMAT = "libp2p_lab trace"
VERSION = 1

#: Classes that are made again when a file is read. Anything else is read as `Unknown`.
CLASSES: tuple[type, ...] = (
    multistream.Line,
    noise_xx.HandshakeMessage,
    noise.NoiseMessage,
    noise.SessionKeys,
    tls_records.TlsRecord,
    tls_records.TlsSecret,
    plaintext.Exchange,
    yamux_frames.DataFrame,
    yamux_frames.WindowUpdate,
    yamux_frames.Ping,
    yamux_frames.GoAway,
    mplex_frames.MplexFrame,
    events.ListenerOpened,
    events.ListenerClosed,
    events.DialStarted,
    events.DialFailed,
    events.ConnectionOpened,
    events.ConnectionClosed,
    events.UpgradeFailed,
    events.StreamStarted,
    events.StreamEnded,
    events.HandlerFailed,
    events.AddrsObserved,
    events.Identified,
    identify.IdentifyMessage,
    fetch.FetchRequest,
    fetch.FetchResponse,
    perf.PerfRequest,
    perf.PerfResult,
    pubsub_messages.RPC,
    pubsub_messages.Message,
    pubsub_messages.SubOpts,
    pubsub_messages.ControlIHave,
    pubsub_messages.ControlIWant,
    pubsub_messages.ControlGraft,
    pubsub_messages.ControlPrune,
    pubsub_messages.PXPeer,
    pubsub_messages.ControlIDontWant,
    pubsub_messages.ControlExtensions,
    pubsub_events.PeerJoined,
    pubsub_events.PeerLeft,
    pubsub_events.Grafted,
    pubsub_events.Pruned,
    pubsub_events.GraftRefused,
    pubsub_events.FanoutChosen,
    pubsub_events.MessagePublished,
    pubsub_events.MessageArrived,
    pubsub_events.MessageDuplicate,
    pubsub_events.MessageRefused,
    pubsub_events.MessageForwarded,
    pubsub_events.PromiseBroken,
    pubsub_events.Heartbeat,
    pubsub_events.ValidatorFailed,
    kad_messages.KadMessage,
    kad_messages.Record,
    kad_messages.Peer,
    kad_events.LookupStarted,
    kad_events.PeerAsked,
    kad_events.PeerAnswered,
    kad_events.PeerFailed,
    kad_events.LookupEnded,
    kad_events.TableChanged,
    cid.CID,
    bitswap_messages.Message,
    bitswap_messages.Want,
    bitswap_messages.Block,
    bitswap_messages.Presence,
    bitswap_events.BlockAsked,
    bitswap_events.BlockArrived,
    bitswap_events.BlocksRefused,
)


@dataclass(frozen=True, slots=True)
class Unknown:
    """What this version of the library has no class for.

    Attributes:
        kind: the class's name.
        fields: its fields as JSON has them.
    """

    kind: str
    fields: Any


def save(path: str | Path, entries: Iterable[Entry], *, epoch: float, dropped: int) -> None:
    """Write a recording."""
    head = {"format": FORMAT, "version": VERSION, "epoch": epoch, "dropped": dropped}
    with Path(path).open("w", encoding="utf-8") as file:
        file.write(json.dumps(head) + "\n")
        for entry in entries:
            line = {field.name: getattr(entry, field.name) for field in fields(Entry)}
            line["what"] = to_json(entry.what)
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def load(path: str | Path) -> tuple[list[Entry], float, int]:
    """Read a recording.

    Returns: its entries, its epoch, and how many entries had been dropped.

    Raises: `LocalError`, with the line, if this is no recording; `OSError`.
    """
    entries: list[Entry] = []
    with Path(path).open(encoding="utf-8") as file:
        try:
            head = json.loads(file.readline())
            if head["format"] != FORMAT or head["version"] != VERSION:
                raise LocalError(f"{path}: not a recording of version {VERSION}")
            epoch, dropped = float(head["epoch"]), int(head["dropped"])
            for line in file:
                read = json.loads(line)
                entries.append(Entry(**{**read, "what": from_json(read["what"])}))
        except (ValueError, TypeError, KeyError) as error:
            bad = len(entries) + 2
            raise LocalError(f"{path}: not a recording, see line {bad}: {error}") from None
    return entries, epoch, dropped


def to_json(value: object) -> Any:
    """`value` as JSON has it."""
    match value:
        case Enum():
            return to_json(value.value)  # an IntEnum equals its number, which is what the wire has
        case None | bool() | int() | float() | str():
            return value
        case bytes() | bytearray() | memoryview():
            return {"hex": bytes(value).hex()}
        case tuple() | list():
            return [to_json(item) for item in value]
        case Unknown(kind, inner):
            return {kind: inner}
        case _ if is_dataclass(value):
            held = {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
            return {_kind(type(value)): held}
        case _:
            return {_kind(type(value)): str(value)}


def from_json(value: Any) -> Any:
    """The reverse of `to_json`. Lists become tuples, which is what messages hold."""
    match value:
        case {"hex": str(text)}:
            return bytes.fromhex(text)
        case dict() if len(value) == 1:
            [(kind, inner)] = value.items()
            found = _BY_KIND.get(kind)
            if found is None:
                return Unknown(kind, inner)
            return found(**{name: from_json(item) for name, item in inner.items()})
        case list():
            return tuple(from_json(item) for item in value)
        case _:
            return value


def _kind(of: type) -> str:
    return f"{of.__module__.rpartition('.')[2]}.{of.__name__}"


_BY_KIND = {_kind(one): one for one in CLASSES}
