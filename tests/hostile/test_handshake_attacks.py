"""What a hostile peer may try before a connection is usable: S9 to S14 of the list, and silence at every step."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from libp2p_lab import Host
from libp2p_lab.errors import (
    DialError,
    HandshakeFailed,
    LabError,
    NegotiationError,
    PeerIdMismatch,
)
from libp2p_lab.host.events import UpgradeFailed
from libp2p_lab.identity import KeyPair, PeerId
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.multiplexing.yamux_frames import DataFrame, Flags
from libp2p_lab.negotiation import propose, respond
from libp2p_lab.security import Noise
from libp2p_lab.security.noise import SIGNATURE_PREFIX, HandshakePayload
from libp2p_lab.trace import Probe
from libp2p_lab.transports import TCP
from libp2p_lab.wire import varint
from libp2p_lab.wire.byte_stream import ByteStream, read_exactly
from tests.hostile.scene import HELLO, LOOPBACK, PATIENCE, Stage, bounded_memory, line, scene

SHORT = Limits(handshake_timeout=0.5, dial_timeout=0.5, negotiation_timeout=0.5, close_timeout=0.5)


async def until_hung_up(stream: ByteStream) -> bytes:
    """All that the victim says until it hangs up."""
    said = b""
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(LabError, OSError):
            while data := await stream.read(1 << 16):
                said += data
    return said


async def say(stream: ByteStream, data: bytes) -> None:
    with contextlib.suppress(LabError, OSError):
        await stream.write(data)


# -- S9: multistream -------------------------------------------------------------------------------

LONG_LINES = {
    "a line of 1 MiB": varint.encode(1 << 20) + b"x" * (1 << 20),
    "a length of 2^40": varint.encode(1 << 40),
    "one byte too long": varint.encode(1025) + b"x" * 1024 + b"\n",
    "no newline": HELLO + b"\x05/abcd",
    "an endless varint": b"\x80" * 1000,
    "a padded varint": b"\x93\x80\x00",
    "an empty line": b"\x00",
    "no text": b"\x03\xff\xfe\n",
    "no header": line("/noise"),
    "another header": line("/multistream/2.0.0"),
    "10,000 proposals": HELLO + b"".join(line(f"/no/{n}") for n in range(10_000)),
    "10,000 lists": HELLO + line("ls") * 10_000,
    "http": b"GET / HTTP/1.1\r\nHost: example.org\r\nUser-Agent: something that asks for the web\r\n\r\n",
    "garbage": bytes(range(256)) * 10,
}
S9_ERRORS = ("LimitExceeded", "MalformedMessage", "ProtocolViolation")


@pytest.mark.parametrize("said", LONG_LINES.values(), ids=LONG_LINES.keys())
@pytest.mark.parametrize("piece", [1 << 20, 7])
async def test_s9_bad_lines_end_the_connection(said, piece) -> None:
    async with scene() as stage:
        raw = await stage.raw()
        with bounded_memory():
            sending = asyncio.create_task(_in_pieces(raw, said, piece))
            answer = await until_hung_up(raw)
            await sending
        assert len(answer) < 100_000
        [reason] = stage.reasons()
        assert reason.startswith(S9_ERRORS), reason


async def _in_pieces(raw: ByteStream, said: bytes, piece: int) -> None:
    for start in range(0, min(len(said), 20_000 * piece), piece):
        await say(raw, said[start : start + piece])


@pytest.mark.parametrize("said", LONG_LINES.values(), ids=LONG_LINES.keys())
async def test_s9_bad_lines_on_a_stream_cost_the_stream_alone(said) -> None:
    async with scene() as stage:
        attacker = await stage.muxed()
        room = DEFAULT_LIMITS.yamux_initial_window
        flags = Flags.SYN
        with bounded_memory():
            for start in range(0, min(len(said), room), 32_000):
                part = said[:room][start : start + 32_000]
                await attacker.send(DataFrame(1, flags, part).encode())
                flags = Flags.NONE
            while not any(which == 1 and f & Flags.RST for _, f, which, _ in attacker.frames):
                assert await attacker.receive()
        assert (await stage.refused("")).startswith(S9_ERRORS)
        assert len(stage.host.connections) == 2, "the connection paid for its stream"


async def test_s9_proposals_are_counted() -> None:
    async with scene() as stage:
        raw = await stage.raw()
        await raw.write(HELLO)
        assert await read_exactly(raw, len(HELLO)) == HELLO
        for _ in range(DEFAULT_LIMITS.multistream_proposals):
            await raw.write(line("/no"))
            assert await read_exactly(raw, 4) == line("na")
        await raw.write(line("/no"))
        assert await until_hung_up(raw) == b""
        await stage.refused("LimitExceeded", "multistream_proposals")


# -- S10: half-open connections --------------------------------------------------------------------


def pending(stage: Stage) -> int:
    return stage.host.resources.usage("transient").connections_inbound


@pytest.mark.parametrize(
    "said",
    [b"", HELLO + line("/noise"), HELLO + line("/tls/1.0.0")],
    ids=["nothing said", "noise agreed", "tls agreed"],
)
async def test_s10_half_open_connections_are_bounded_and_dropped(said) -> None:
    """However far they are: a peer that does not prove who it is costs a place for ten seconds at most."""
    limits = Limits(handshake_timeout=1.0, max_pending_inbound_per_ip=16, max_pending_inbound=32)
    async with scene(limits) as stage:
        with bounded_memory(6 << 20):
            for _ in range(100):
                raw = await stage.raw()
                await say(raw, said)
                assert pending(stage) <= 16
            await stage.bystander.goes_on()
            while pending(stage):
                await asyncio.sleep(0.01)
        await stage.refused("TimeoutError")
        await stage.muxed()


async def test_s10_a_thousand_connections_that_say_nothing() -> None:
    limits = Limits(handshake_timeout=1.0, max_pending_inbound_per_ip=32, max_pending_inbound=64)
    async with scene(limits) as stage:
        with bounded_memory(6 << 20):  # the other ends are in this process too
            for _ in range(20):
                opened = await asyncio.gather(
                    *(TCP().dial(stage.host.addrs[0]) for _ in range(50)), return_exceptions=True
                )
                await asyncio.sleep(0)
                assert pending(stage) <= 32
                for one in opened:
                    if not isinstance(one, BaseException):
                        stage._raw.append(one)
                await stage.bystander.goes_on()
            while pending(stage):  # dropped when their time is up
                await asyncio.sleep(0.01)
        silent = [reason for reason in stage.reasons() if reason.startswith("TimeoutError")]
        assert len(silent) >= 32
        assert not stage.host.resources.usage("source", "127.0.0.1").connections
        await stage.muxed()  # there is room again


async def test_s10_the_next_one_may_come_in_when_another_fails() -> None:
    async with scene(Limits(max_pending_inbound_per_ip=1, handshake_timeout=5)) as stage:
        for _ in range(5):
            raw = await stage.raw()
            await raw.write(b"\x00")
            await until_hung_up(raw)
        await stage.muxed()
        assert len(stage.reasons()) == 5


# -- silence at every step -------------------------------------------------------------------------


async def noise_step(raw: ByteStream, messages: int) -> None:
    """As a dialer, up to so many messages of the handshake."""
    await propose(raw, ["/noise"])
    if messages == 0:
        return
    with contextlib.suppress(asyncio.CancelledError, HandshakeFailed):
        handshake = Noise().secure(
            _StopsAfter(raw, messages),
            key=KeyPair.generate(),
            is_dialer=True,
            expected_peer=None,
            muxers=["/yamux/1.0.0"],
            probe=Probe(),
        )
        await handshake


class _StopsAfter:
    """Lets so many writes through."""

    def __init__(self, raw: ByteStream, writes: int) -> None:
        self.raw, self.left = raw, writes

    async def read(self, n: int = -1) -> bytes:
        return await self.raw.read(n)

    async def write(self, data) -> None:
        if self.left:
            self.left -= 1
            await self.raw.write(data)

    async def close_write(self) -> None: ...
    async def close(self) -> None: ...
    async def reset(self) -> None: ...


async def silent_before_muxer(raw: ByteStream) -> None:
    """Noise without the early muxer, and then no negotiation."""
    await propose(raw, ["/noise"])
    await Noise(early_muxers=False).secure(
        raw,
        key=KeyPair.generate(),
        is_dialer=True,
        expected_peer=None,
        muxers=["/yamux/1.0.0"],
        probe=Probe(),
    )


STEPS: dict[str, Callable[[ByteStream], object]] = {
    "nothing": lambda raw: asyncio.sleep(0),
    "half a header": lambda raw: raw.write(HELLO[:9]),
    "the header": lambda raw: raw.write(HELLO),
    "half a proposal": lambda raw: raw.write(HELLO + b"\x07/no"),
    "a proposal that is refused": lambda raw: raw.write(HELLO + line("/nothing")),
    "noise agreed": lambda raw: noise_step(raw, 0),
    "a length": lambda raw: raw.write(HELLO + line("/noise") + b"\x00"),
    "S11: a message of 65535 announced": lambda raw: raw.write(
        HELLO + line("/noise") + b"\xff\xff" + bytes(100)
    ),
    "noise message 0": lambda raw: noise_step(raw, 1),
    "the handshake, no muxer": silent_before_muxer,
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
async def test_silence_is_cut_off_at_the_limit(step) -> None:
    async with scene(SHORT) as stage:
        raw = await stage.raw()
        await step(raw)
        await until_hung_up(raw)
        await stage.refused("TimeoutError")


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
async def test_a_byte_now_and_then_does_not_help(step) -> None:
    """The limit is for the whole, not for each wait."""
    async with scene(SHORT) as stage:
        raw = await stage.raw()
        await step(raw)
        dripping = asyncio.create_task(_drip(raw))
        await until_hung_up(raw)
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
        await stage.refused("")
        await stage.alone()


async def _drip(raw: ByteStream) -> None:
    while True:
        await say(raw, b"\x01")
        await asyncio.sleep(0.05)


# -- S11: noise frames -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [b"\x00\x00", b"\x00\x0f" + bytes(15), b"\x00\x20" + bytes(32), b"\xff\xff" + bytes(65535)],
    ids=["no length", "shorter than a tag", "a bad tag", "a bad tag on 65535"],
)
async def test_s11_bad_frames_end_the_connection(frame) -> None:
    async with scene() as stage:
        channel = await stage.secured()
        with bounded_memory():
            await say(channel._raw, frame)
            await until_hung_up(channel._raw)
        await stage.refused("ProtocolViolation", "Noise message")
        await stage.alone()


@pytest.mark.parametrize("replayed", [True, False], ids=["replayed", "reordered"])
async def test_s11_frames_out_of_their_order_end_the_connection(replayed) -> None:
    async with scene() as stage:
        channel = await stage.secured()
        first, second = (
            bytes(channel._channel.seal(DataFrame(1, 1, HELLO).encode())) for _ in "ab"
        )
        await say(channel._raw, first + first if replayed else second + first)
        await until_hung_up(channel._raw)
        await stage.refused("ProtocolViolation", "repeated, lost or out of order")


async def test_s11_half_a_frame_and_silence_is_found_out_by_the_keepalive() -> None:
    limits = Limits(keepalive_interval=0.3, keepalive_timeout=0.3)
    async with scene(limits) as stage:
        channel = await stage.secured()
        await say(channel._raw, b"\xff\xff" + bytes(1000))
        await until_hung_up(channel._raw)
        await stage.refused("ConnectionLost", "pings")


@pytest.mark.parametrize(
    "message",
    [b"\x00\x00", b"\x00\x1f" + bytes(31), b"\xff\xff" + bytes(65535), b"\x00\x20" + bytes(32)],
    ids=["empty", "too short", "a key of low order, and a payload", "a key of low order"],
)
async def test_s11_bad_handshake_messages_end_the_connection(message) -> None:
    async with scene() as stage:
        raw = await stage.raw()
        await say(raw, HELLO + line("/noise") + message)
        await until_hung_up(raw)
        await stage.refused("HandshakeFailed")


# -- S12 to S14: who is there ----------------------------------------------------------------------


class Liar(Noise):
    """A Noise whose payload is what `lie` makes of key and static key."""

    def __init__(self, lie: Callable[[KeyPair, bytes], bytes]) -> None:
        super().__init__()
        self._lie = lie

    def _payload(self, key, muxers) -> bytes:
        return self._lie(key, self._static_public)


OTHER = KeyPair.generate()


def payload(key: KeyPair, signature: bytes) -> bytes:
    return HandshakePayload(key.public.to_protobuf(), signature, ("/yamux/1.0.0",)).encode()


LIES = {
    "signed by another key": lambda key, s: payload(key, OTHER.sign(SIGNATURE_PREFIX + s)),
    "the identity of another": lambda key, s: payload(OTHER, key.sign(SIGNATURE_PREFIX + s)),
    "another static key": lambda key, s: payload(key, key.sign(SIGNATURE_PREFIX + bytes(32))),
    "no prefix": lambda key, s: payload(key, key.sign(s)),
    "no signature": lambda key, s: payload(key, b""),
    "a signature of zeros": lambda key, s: payload(key, bytes(64)),
    "no key": lambda key, s: HandshakePayload(b"", key.sign(SIGNATURE_PREFIX + s)).encode(),
    "a broken key": lambda key, s: HandshakePayload(b"\x08\x01\x12\x01x", b"x").encode(),
    "no payload": lambda key, s: b"",
    "no protobuf": lambda key, s: b"\xff\xff\xff",
    "muxers that are no text": lambda key, s: (
        HandshakePayload(key.public.to_protobuf(), key.sign(SIGNATURE_PREFIX + s)).encode()
        + b"\x22\x04\x12\x02\xff\xfe"
    ),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
async def test_s12_s14_a_dialer_that_proves_nothing(lie) -> None:
    """Its early data, sent right behind, reaches nobody: no stream, no muxer byte of ours."""
    async with scene() as stage:
        before = list(stage.host.connections)
        channel = await stage.secured(Liar(lie))
        await say(channel, DataFrame(1, Flags.SYN, HELLO + line("/echo/1.0.0")).encode())
        assert await until_hung_up(channel._raw) == b""
        await stage.refused("HandshakeFailed")
        assert list(stage.host.connections) == before
        assert [type(e) for e in stage.events if isinstance(e, UpgradeFailed)] == [UpgradeFailed]


@asynccontextmanager
async def lying_listener(
    security: Noise, key: KeyPair, early: bytes = b""
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A scripted peer that is dialed: where, and what it was sent behind its handshake."""
    heard: list[bytes] = []
    tasks: list[asyncio.Task[None]] = []

    async def serve(raw) -> None:
        try:
            await respond(raw, ["/noise"])
            channel = await security.secure(
                raw,
                key=key,
                is_dialer=False,
                expected_peer=None,
                muxers=["/yamux/1.0.0"],
                probe=Probe(),
            )
            heard.append(await until_hung_up(channel))
        except (LabError, OSError):
            pass
        finally:
            await raw.reset()

    def take(raw) -> None:
        tasks.append(asyncio.create_task(serve(raw)))

    from libp2p_lab.identity import Multiaddr

    listener = await TCP().listen(Multiaddr(LOOPBACK), take)
    try:
        yield str(listener.addrs[0]), heard
    finally:
        await listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
async def test_s12_a_listener_that_proves_nothing(lie) -> None:
    key = KeyPair.generate()
    who = PeerId.from_public_key(key.public)
    async with scene() as stage, lying_listener(Liar(lie), key) as (addr, heard):
        with pytest.raises(DialError) as caught:
            await stage.host.connect(f"{addr}/p2p/{who}")
        [(_, cause)] = caught.value.attempts
        assert isinstance(cause, HandshakeFailed)
        assert not any(heard)
        await stage.alone()


async def test_s13_somebody_else_answers() -> None:
    asked = PeerId.from_public_key(OTHER.public)
    async with scene() as stage, lying_listener(Noise(), KeyPair.generate()) as (addr, heard):
        with pytest.raises(DialError) as caught:
            await stage.host.connect(f"{addr}/p2p/{asked}")
        [(_, cause)] = caught.value.attempts
        assert isinstance(cause, PeerIdMismatch)
        assert cause.expected == str(asked)
        assert not stage.host.is_connected(asked)
        assert not any(heard)
        await stage.alone()


@pytest.mark.parametrize("silent_after", [b"", HELLO, HELLO + line("/noise"), HELLO + line("na")])
async def test_a_listener_that_falls_silent_is_given_up(silent_after) -> None:
    from libp2p_lab.identity import Multiaddr

    arrived = []

    def take(raw) -> None:
        arrived.append(raw)
        sending.append(asyncio.create_task(say(raw, silent_after)))

    sending: list[asyncio.Task[None]] = []
    listener = await TCP().listen(Multiaddr(LOOPBACK), take)
    async with Host(limits=SHORT) as host:
        with pytest.raises(DialError) as caught:
            await host.connect(listener.addrs[0])
        [(_, cause)] = caught.value.attempts
        assert isinstance(cause, TimeoutError | NegotiationError)
    await asyncio.gather(*sending)
    await listener.close()
    for raw in arrived:
        await raw.reset()
