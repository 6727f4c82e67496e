"""The eight layers of a peer as data, and a dial that really lacks one of them.

Read from the bottom up, the way a connection is made. `dial_without` sets up what a peer without
one layer would do in good faith: leave the step out and go on with the next. What happens then
happens on the wire, and is in the trace.
"""

from __future__ import annotations

import asyncio
import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from libp2p_lab.errors import ConnectionLost, LabError, LocalError
from libp2p_lab.host.events import (
    DialStarted,
    Identified,
    UpgradeFailed,
)
from libp2p_lab.host.host import Host
from libp2p_lab.host.identify import Identify
from libp2p_lab.host.peerstore import PeerInfo
from libp2p_lab.host.ping import Ping
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import DEFAULT_LIMITS
from libp2p_lab.negotiation.multistream import NOT_AVAILABLE, Line
from libp2p_lab.negotiation.negotiate import propose
from libp2p_lab.security.noise import SIGNATURE_PREFIX, HandshakePayload, Noise
from libp2p_lab.security.noise_xx import HandshakeMessage, NoiseHandshake
from libp2p_lab.trace import Entry, Probe, Trace
from libp2p_lab.transports.memory import Memory
from libp2p_lab.transports.tcp import TCP
from libp2p_lab.transports.transport import RawConnection, Transport
from libp2p_lab.widgets.wire_log import Row, WireLog
from libp2p_lab.wire.byte_stream import ByteStream, read_exactly

TIMEOUT = 6.0  # seconds, for a whole dial
PING_ID = "/ipfs/ping/1.0.0"


@dataclass(frozen=True, slots=True)
class Slot:
    """One layer.

    Attributes:
        name: how it is called here; it gives the colour and names the slot.
        part: what fills it by default.
        task: what it is for.
        module: where to read it, below libp2p_lab.
        spec: the page of its spec.
        layer: under which layer's colour it is drawn.
    """

    name: str
    part: str
    task: str
    module: str
    spec: str
    layer: str


#: From the bottom up.
SLOTS: tuple[Slot, ...] = (
    Slot(
        "address",
        "multiaddr",
        "says where a peer is, and how to read that",
        "identity.multiaddr",
        "addressing/README.md",
        "address",
    ),
    Slot(
        "transport",
        "TCP, memory",
        "moves bytes there and back",
        "transports.tcp",
        "addressing/README.md#tcp",
        "transport",
    ),
    Slot(
        "negotiation",
        "multistream-select",
        "agrees on what to speak next",
        "negotiation.multistream",
        "connections/README.md#multistream-select",
        "negotiation",
    ),
    Slot(
        "security",
        "Noise",
        "keeps what is said secret and unchanged",
        "security.noise_xx",
        "noise/README.md",
        "security",
    ),
    Slot(
        "identity",
        "key and peer id",
        "proves who is at the other end",
        "identity.peer_id",
        "peer-ids/peer-ids.md",
        "identity",
    ),
    Slot(
        "muxer",
        "yamux",
        "makes many streams of one connection",
        "multiplexing.yamux",
        "yamux/README.md",
        "muxer",
    ),
    Slot(
        "identify",
        "identify",
        "tells what a peer speaks and where it listens",
        "host.identify",
        "identify/README.md",
        "host",
    ),
    Slot(
        "protocol",
        "ping",
        "does something: the reason for all the rest",
        "host.ping",
        "ping/ping.md",
        "stream",
    ),
)
BY_NAME = {slot.name: slot for slot in SLOTS}


def source_of(slot: Slot) -> tuple[str, str]:
    """The path of a slot's module, as the repository has it, and its text."""
    module: ModuleType = importlib.import_module(f"libp2p_lab.{slot.module}")
    path = Path(module.__file__ or "")
    root = Path(__file__).parents[2]
    return path.relative_to(root).as_posix(), path.read_text("utf-8")


# -- a dial ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """One layer of a dial.

    Attributes:
        slot: the layer.
        state: "done", "failed", "left out" or "not reached".
        text: what happened.
        row: the message that shows it, in the outcome's log; None where there is none.
    """

    slot: str
    state: str
    text: str
    row: Row | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a dial.

    Attributes:
        without: the layer that was left out; "" for none.
        steps: one for each slot, from the bottom up.
        log: the dialing side's trace, in which the steps' messages can be opened.
        error: what was raised; "" if nothing was.
        remote: what the other side noted; "" if nothing.
    """

    without: str
    steps: tuple[Step, ...]
    log: WireLog
    error: str
    remote: str


async def dial_without(host: Host, without: str = "") -> Outcome:
    """Dial `host` from a scratch peer that lacks one layer, then ping.

    Args:
        host: a running host that listens.
        without: a slot's name; "" for a whole stack.

    Raises: `LocalError` for an unknown slot, or a host that does not listen.
    """
    if without and without not in BY_NAME:
        raise LocalError(f"no slot is called {without!r}; there are {', '.join(BY_NAME)}")
    if not host.is_running or not host.addrs:
        raise LocalError("this host does not listen anywhere: give it an address to listen at")
    log = WireLog()
    noted: list[UpgradeFailed] = []

    def note(entry: Entry) -> None:
        if isinstance(entry.what, UpgradeFailed):
            noted.append(entry.what)

    stop = host.trace.listen(note)
    error = ""
    try:
        async with asyncio.timeout(TIMEOUT):
            dial = _dial_by_hand if without in _BY_HAND else _dial_by_host
            await dial(host, without, log)
    except (LabError, OSError) as problem:
        error = f"{type(problem).__name__}: {problem}"
    except TimeoutError:
        error = "TimeoutError: the other side waits for something that never comes"
    finally:
        await asyncio.sleep(0)  # what the other side noted in the same moment
        stop()
    # Other dials end on this side; what the host notes of them is only that we hung up.
    remote = noted[-1].cause if noted and without in ("negotiation", "identity") else ""
    return Outcome(without, _steps(log, without, error), log, error, remote)


async def _dial_by_host(host: Host, without: str, log: WireLog) -> None:
    """A whole host, or one that lacks a part which it can be built without."""
    services = [
        service
        for name, service in (("identify", Identify()), ("protocol", Ping()))
        if name != without
    ]
    trace = Trace()
    trace.listen(log.take)
    scratch = Host(
        transports=() if without == "transport" else (TCP(), Memory()),
        services=services,
        trace=trace,
    )
    async with scratch:
        if without == "address":
            await scratch.connect(host.peer_id)
        else:
            await scratch.connect(PeerInfo(host.peer_id, tuple(host.addrs)))
        if without == "identify":
            await scratch.ping(host.peer_id)
            await host.identify_result(scratch.peer_id)
            return
        await scratch.identify_result(host.peer_id)
        if without == "protocol":
            await host.ping(scratch.peer_id)  # now it is the host that asks, and nobody answers
        else:
            await scratch.ping(host.peer_id)


async def _dial_by_hand(host: Host, without: str, log: WireLog) -> None:
    """The upgrade, step by step, with one step left out."""
    key = KeyPair.generate()
    trace = Trace(str(PeerId.from_public_key(key.public)), asyncio.get_running_loop().time)
    trace.listen(log.take)
    probe = Probe(trace, "host", "1")
    addr, raw = await _dial(host)
    probe.emit("event", DialStarted(str(host.peer_id), str(addr)))
    raw.probe = probe.on("transport")
    try:
        await _upgrade(raw, host, without, key, probe)
    finally:
        await raw.reset()


async def _upgrade(
    raw: RawConnection, host: Host, without: str, key: KeyPair, probe: Probe
) -> None:
    lines = probe.on("negotiation")
    if without != "negotiation":
        # Without security the next thing to agree on would be the muxer, in the clear.
        wanted = "/yamux/1.0.0" if without == "security" else "/noise"
        await propose(raw, [wanted], DEFAULT_LIMITS, lines)
    if without == "identity":
        await _handshake_unsigned(raw, key, probe.on("security"))
        return
    channel = await Noise().secure(
        raw,
        key=key,
        is_dialer=True,
        expected_peer=host.peer_id,
        muxers=() if without == "muxer" else ("/yamux/1.0.0",),
        probe=probe.on("security"),
    )
    # Only the muxer is missing by now: the first protocol is proposed where streams should be.
    await propose(channel, [PING_ID], DEFAULT_LIMITS, lines)


async def _handshake_unsigned(raw: ByteStream, key: KeyPair, probe: Probe) -> None:
    """Noise as it is without libp2p: a static key, and nobody who vouches for it."""
    handshake = NoiseHandshake(
        is_initiator=True,
        static=X25519PrivateKey.generate(),
        ephemeral=X25519PrivateKey.generate(),
    )
    while not handshake.is_finished:
        if handshake.is_our_turn:
            payload = b""
            if handshake.index == 2:
                signature = key.sign(SIGNATURE_PREFIX + bytes(32))  # of some other static key
                payload = HandshakePayload(key.public.to_protobuf(), signature).encode()
            message = handshake.write_message(payload)
            probe.emit("sent", message, handshake.index - 1)
            body = message.encode()
            await raw.write(len(body).to_bytes(2, "big") + body)
        else:
            length = int.from_bytes(await read_exactly(raw, 2), "big")
            message = handshake.read_message(await read_exactly(raw, length))
            probe.emit("received", message, handshake.index - 1)
    if not await raw.read(1):
        raise ConnectionLost("the other side hung up")


async def _dial(host: Host) -> tuple[Multiaddr, RawConnection]:
    transports: tuple[Transport, ...] = (TCP(), Memory())
    for addr in host.addrs:
        for transport in transports:
            if transport.can_dial(addr.without_peer()):
                return addr, await transport.dial(addr.without_peer())
    raise LocalError("no transport here can dial this host's addresses")


_BY_HAND = ("negotiation", "security", "identity", "muxer")


# -- what the trace shows --------------------------------------------------------------------------


def _steps(log: WireLog, without: str, error: str) -> tuple[Step, ...]:
    steps = []
    for slot in SLOTS:
        row = _evidence(log, slot.name)
        if slot.name == without and error:
            steps.append(Step(slot.name, "failed", error, _culprit(log, without)))
        elif slot.name == without:
            steps.append(Step(slot.name, "left out", "not there, and not missed"))
        elif row is None and error and not without:
            steps.append(Step(slot.name, "failed", error, _culprit(log, "")))
            error = ""
        elif row is not None or slot.name == "address":
            steps.append(Step(slot.name, "done", _DONE[slot.name], row))
        else:
            steps.append(Step(slot.name, "not reached", ""))
    return tuple(steps)


_DONE = {
    "address": "an address to dial is known",
    "transport": "bytes leave",
    "negotiation": "both speak multistream-select and answer each other",
    "security": "both have the same keys",
    "identity": "each has signed its Noise key with its identity key",
    "muxer": "the first frame arrives",
    "identify": "the other side tells what it speaks",
    "protocol": "the ping comes back",
}


def _evidence(log: WireLog, slot: str) -> Row | None:
    """The first row that shows that this layer did its work."""
    for row in log.rows:
        entry = row.entry
        is_received = entry.direction == "received"
        match slot, entry.what:
            case ("address", DialStarted()) | ("identify", Identified()):
                return row
            case "transport", bytes() if entry.layer == "transport":
                return row
            case "negotiation", Line() if is_received and "/" not in entry.link:
                return row
            case "security", HandshakeMessage() if entry.number == 1:
                return row
            case "identity", HandshakeMessage() if entry.number == 2:
                return row
            case "muxer", _ if entry.layer == "muxer" and is_received:
                return row
            case "protocol", bytes() if entry.layer == "stream" and is_received:
                if log.protocol_of(row) == PING_ID:
                    return row
            case _:
                pass
    return None


def _culprit(log: WireLog, without: str) -> Row | None:
    """The very message at which it failed: a refusal, or else the last one there was."""
    if without in ("address", "transport"):
        return None
    rows = [row for row in log.rows if row.entry.layer not in ("transport", "host")]
    refusals = [row for row in rows if row.entry.what == Line(NOT_AVAILABLE)]
    found = refusals or rows
    return found[-1] if found else None
