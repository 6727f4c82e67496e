"""The rules of `SecureChannel`, checked on any implementation.

    async def test_my_channel() -> None:
        await check_secure_channel(MyChannel, MyChannel)

The two arguments make the dialer's and the listener's side; give the library's own as the one or the other to see
that both get along. `is_private=False` leaves out what only encryption gives (for plaintext).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from libp2p_lab.errors import ConnectionLost, LabError, PeerIdMismatch, ProtocolViolation
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.security.secure_channel import SecureChannel, SecureConnection
from libp2p_lab.trace import Probe
from libp2p_lab.wire.byte_stream import ByteStream, read_exactly
from tests.conformance.byte_stream import pattern
from tests.conformance.pairs import KEYS, PEERS, memory_pair, secure_both

Make = Callable[[], SecureChannel]
YAMUX = ("/yamux/1.0.0",)
SECRET = pattern(1000, 77)


async def check_secure_channel(dialer: Make, listener: Make, is_private: bool = True) -> None:
    """All the rules."""
    for check in SECURE_CHANNEL_CHECKS:
        await check(dialer, listener)
    if is_private:
        for check in PRIVACY_CHECKS:
            await check(dialer, listener)


class Wire:
    """Two sides joined by a wire on which somebody sits: sees every byte, may change them.

    Args:
        change: given the direction (0: from the dialer), the offset and the bytes; gives what goes on.
    """

    def __init__(self, change: Callable[[int, int, bytes], bytes] = lambda d, o, b: b) -> None:
        self.seen = [bytearray(), bytearray()]
        self._change = change
        self.outer: tuple[ByteStream, ByteStream]

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[tuple[ByteStream, ByteStream]]:
        async with memory_pair() as left, memory_pair() as right:
            pumps = [
                asyncio.create_task(self._pump(0, left[1], right[0])),
                asyncio.create_task(self._pump(1, right[0], left[1])),
            ]
            try:
                yield left[0], right[1]
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, direction: int, source: ByteStream, target: ByteStream) -> None:
        with contextlib.suppress(LabError):
            while data := await source.read(1 << 16):
                offset = len(self.seen[direction])
                self.seen[direction] += data
                await target.write(self._change(direction, offset, data))
            await target.close_write()


def flip(direction: int, position: int) -> Callable[[int, int, bytes], bytes]:
    """One bit of one byte is changed on the way."""

    def change(where: int, offset: int, data: bytes) -> bytes:
        if where == direction and offset <= position < offset + len(data):
            changed = bytearray(data)
            changed[position - offset] ^= 0x01
            return bytes(changed)
        return data

    return change


async def one_side(
    channel: SecureChannel, raw: ByteStream, n: int, expected: PeerId | None = None
) -> SecureConnection:
    return await channel.secure(
        raw,
        key=KEYS[n],
        is_dialer=n == 0,
        expected_peer=expected,
        muxers=YAMUX,
        probe=Probe(layer="security"),
    )


async def check_both_learn_who_the_other_is(dialer: Make, listener: Make) -> None:
    async with memory_pair() as raw:
        one, other = await secure_both(raw, (dialer(), listener()))
        assert (one.remote_peer, other.remote_peer) == (PEERS[1], PEERS[0])


async def check_the_muxer_is_agreed_or_left_open(dialer: Make, listener: Make) -> None:
    """Both ends name the same muxer, one that was offered, or both leave it open."""
    async with memory_pair() as raw:
        one, other = await secure_both(raw, (dialer(), listener()), ("/mplex/6.7.0", *YAMUX))
        assert one.muxer == other.muxer
        assert one.muxer in ("/mplex/6.7.0", *YAMUX, None)


async def check_every_key_type(dialer: Make, listener: Make) -> None:
    for kind in ("ed25519", "secp256k1", "ecdsa", "rsa"):
        key = KeyPair.generate(kind)
        who = PeerId.from_public_key(key.public)
        async with memory_pair() as raw, asyncio.TaskGroup() as tasks:
            theirs = tasks.create_task(
                listener().secure(
                    raw[1],
                    key=key,
                    is_dialer=False,
                    expected_peer=None,
                    muxers=YAMUX,
                    probe=Probe(layer="security"),
                )
            )
            ours = await one_side(dialer(), raw[0], 0, who)
            assert ours.remote_peer == who
            assert (await theirs).remote_peer == PEERS[0]


async def check_the_wrong_peer_is_refused(dialer: Make, listener: Make) -> None:
    """The dialer asked for somebody else: it says so, and the listener never has a connection."""
    async with memory_pair() as raw:
        listening = asyncio.create_task(one_side(listener(), raw[1], 1))
        with pytest.raises(PeerIdMismatch) as caught:
            await one_side(dialer(), raw[0], 0, expected=PEERS[0])
        assert caught.value.expected == str(PEERS[0])
        assert caught.value.actual == str(PEERS[1])
        await raw[0].reset()
        with pytest.raises(LabError):
            await listening


async def check_anybody_is_taken_if_nobody_is_named(dialer: Make, listener: Make) -> None:
    async with memory_pair() as raw, asyncio.TaskGroup() as tasks:
        tasks.create_task(one_side(listener(), raw[1], 1))
        assert (await one_side(dialer(), raw[0], 0, None)).remote_peer == PEERS[1]


async def check_a_remote_that_hangs_up(dialer: Make, listener: Make) -> None:
    """After any number of bytes of the handshake, cleanly or not: a typed error."""
    wire = Wire()
    async with wire.joined() as raw:
        await secure_both(raw, (dialer(), listener()))
    for direction in (0, 1):
        said = bytes(wire.seen[direction])
        for length in {0, 1, 2, 3, 33, len(said) // 2, len(said) - 1}:
            for cleanly in (True, False):
                async with memory_pair() as (ours, theirs):
                    await theirs.write(said[:length])
                    side = (listener if direction == 0 else dialer)()
                    working = asyncio.create_task(one_side(side, ours, 1 - direction))
                    await asyncio.sleep(0)
                    await (theirs.close() if cleanly else theirs.reset())
                    with pytest.raises(LabError):
                        await working


async def check_garbage_instead_of_a_handshake(dialer: Make, listener: Make) -> None:
    for n, make in enumerate((dialer, listener)):
        for garbage in (
            b"\x00" * 200_000,
            b"\xff" * 200_000,
            pattern(200_000),
            b"GET / HTTP/1.1\r\n\r\n",
        ):
            async with memory_pair() as (ours, theirs):
                sending = asyncio.create_task(send_and_close(theirs, garbage))
                with pytest.raises(LabError):
                    await one_side(make(), ours, n)
                await ours.reset()
                await sending


async def send_and_close(stream: ByteStream, data: bytes) -> None:
    with contextlib.suppress(LabError):
        await stream.write(data)
        await stream.close_write()


async def check_a_silent_remote_is_left_by_cancelling(dialer: Make, listener: Make) -> None:
    for n, make in enumerate((dialer, listener)):
        async with memory_pair() as (ours, _):
            working = asyncio.create_task(one_side(make(), ours, n))
            for _turn in range(20):
                await asyncio.sleep(0)
            assert not working.done()
            working.cancel()
            with pytest.raises(asyncio.CancelledError):
                await working


async def check_the_handshake_in_single_bytes(dialer: Make, listener: Make) -> None:
    """Nothing depends on how the bytes are cut, and nothing behind the handshake is lost."""
    async with memory_pair() as left, memory_pair() as right:

        async def drip(source: ByteStream, target: ByteStream) -> None:
            while data := await source.read(1):
                await target.write(data)

        pumps = [
            asyncio.create_task(drip(left[1], right[0])),
            asyncio.create_task(drip(right[0], left[1])),
        ]
        one, other = await secure_both((left[0], right[1]), (dialer(), listener()))
        await one.write(SECRET)
        assert await read_exactly(other, len(SECRET)) == SECRET
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def check_nothing_is_readable_on_the_wire(dialer: Make, listener: Make) -> None:
    wire = Wire()
    async with wire.joined() as raw:
        one, other = await secure_both(raw, (dialer(), listener()))
        for sender, receiver in ((one, other), (other, one)):
            await sender.write(SECRET)
            assert await read_exactly(receiver, len(SECRET)) == SECRET
    for seen in wire.seen:
        assert all(SECRET[n : n + 8] not in seen for n in range(0, len(SECRET) - 8, 8))


async def check_the_same_handshake_never_twice(dialer: Make, listener: Make) -> None:
    """Fresh keys each time: a recording is of no use."""
    wires = (Wire(), Wire())
    for wire in wires:
        async with wire.joined() as raw:
            one, other = await secure_both(raw, (dialer(), listener()))
            await one.write(SECRET)
            await read_exactly(other, len(SECRET))
    for direction in (0, 1):
        assert wires[0].seen[direction] != wires[1].seen[direction]
    assert wires[0].seen[0][-64:] != wires[1].seen[0][-64:]


async def check_a_replayed_handshake_fails(dialer: Make, listener: Make) -> None:
    wire = Wire()
    async with wire.joined() as raw:
        await secure_both(raw, (dialer(), listener()))
    for direction in (0, 1):
        async with memory_pair() as (ours, theirs):
            await theirs.write(bytes(wire.seen[direction]))
            await theirs.close_write()
            side = (listener if direction == 0 else dialer)()
            with pytest.raises(LabError):
                await one_side(side, ours, 1 - direction)


def nothing(_said: bytes) -> set[int]:
    return set()


def tls_unnoticed(said: bytes) -> set[int]:
    """Bytes of TLS's records that nobody may look at, and what the listener says behind the handshake."""
    records = []
    start = 0
    while start < len(said):
        records.append(start)
        start += 5 + int.from_bytes(said[start + 3 : start + 5], "big")
    found = {record + n for record in records for n in (1, 2)}  # the version: RFC 8446, 5.1
    is_listener = said[5] == 2  # ServerHello
    if is_listener:
        found |= set(
            range(records[-2], len(said))
        )  # two session tickets, noticed by the first read
    return found


async def check_one_changed_bit_of_the_handshake(
    dialer: Make,
    listener: Make,
    unnoticed: Callable[[bytes], set[int]] = nothing,
    step: int = 1,
) -> None:
    """Whichever it is, at least one side notices. (The dialer may be done before the listener does.)

    Args:
        unnoticed: gives the positions of bytes that mean nothing.
        step: 1 tries every byte, 7 every seventh: where there are many, and each takes its time.
    """
    wire = Wire()
    async with wire.joined() as raw:
        for unchanged in await both_sides_within(raw, dialer, listener):
            assert not isinstance(unchanged, BaseException), "given up too early"
    for direction in (0, 1):
        for position in range(0, len(wire.seen[direction]), step):
            tampered = Wire(flip(direction, position))
            async with tampered.joined() as raw:
                results = await both_sides_within(raw, dialer, listener)
                errors = [result for result in results if isinstance(result, BaseException)]
                # By what was said this time: a signature may be a byte shorter than it was the last time.
                said = bytes(tampered.seen[direction])
                assert errors or position >= len(said) or position in unnoticed(said), (
                    f"byte {position} of direction {direction} was changed unnoticed"
                )


async def both_sides_within(
    raw: tuple[ByteStream, ByteStream], dialer: Make, listener: Make
) -> list[SecureConnection | LabError | TimeoutError]:
    """As `both_sides`; a length that was changed may leave a side waiting for more: the host's time limit ends that."""

    async def run(channel: SecureChannel, n: int) -> SecureConnection | LabError | TimeoutError:
        working = asyncio.create_task(one_side(channel, raw[n], n, PEERS[1] if n == 0 else None))
        for _ in range(100):
            if working.done():
                break
            await asyncio.sleep(0)
        working.cancel()
        try:
            return await working
        except LabError as error:
            await raw[n].reset()
            return error
        except asyncio.CancelledError:
            await raw[n].reset()
            return TimeoutError()

    return list(await asyncio.gather(run(dialer(), 0), run(listener(), 1)))


async def check_one_changed_bit_of_the_data(dialer: Make, listener: Make) -> None:
    """Reading fails at the changed message, and what came before it was right."""
    for offset in (0, 1, 2, 3, 20, 60):
        change = Wire()
        async with change.joined() as raw:
            one, other = await secure_both(raw, (dialer(), listener()))
            start = len(change.seen[0])
            change._change = flip(0, start + offset)
            await one.write(SECRET[:50])
            await one.write(SECRET[50:])
            await one.close_write()
            received = bytearray()
            with pytest.raises((ProtocolViolation, ConnectionLost)):
                await gather_into(received, other)
            assert SECRET.startswith(received)


async def gather_into(received: bytearray, stream: ByteStream) -> None:
    while piece := await stream.read(1 << 16):
        received += piece


async def check_the_data_cut_short(dialer: Make, listener: Make) -> None:
    """Within a message, that is no clean end."""
    lengths = [0, 0]

    def swallow(direction: int, offset: int, data: bytes) -> bytes:
        return data[: max(0, lengths[0] - offset)] if direction == 0 and lengths[0] else data

    wire = Wire(swallow)
    async with wire.joined() as raw:
        one, other = await secure_both(raw, (dialer(), listener()))
        lengths[0] = len(wire.seen[0]) + 20
        await one.write(SECRET)
        await one.close_write()
        with pytest.raises((ProtocolViolation, ConnectionLost)):
            await other.read()


SECURE_CHANNEL_CHECKS: tuple[Callable[[Make, Make], Awaitable[None]], ...] = (
    check_both_learn_who_the_other_is,
    check_the_muxer_is_agreed_or_left_open,
    check_every_key_type,
    check_the_wrong_peer_is_refused,
    check_anybody_is_taken_if_nobody_is_named,
    check_a_remote_that_hangs_up,
    check_garbage_instead_of_a_handshake,
    check_a_silent_remote_is_left_by_cancelling,
    check_the_handshake_in_single_bytes,
)
PRIVACY_CHECKS: tuple[Callable[[Make, Make], Awaitable[None]], ...] = (
    check_nothing_is_readable_on_the_wire,
    check_the_same_handshake_never_twice,
    check_a_replayed_handshake_fails,
    check_one_changed_bit_of_the_handshake,
    check_one_changed_bit_of_the_data,
    check_the_data_cut_short,
)
