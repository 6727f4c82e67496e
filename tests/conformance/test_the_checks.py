"""A check that nobody has seen fail is no check: each kind of defect is caught by the check that is meant for it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from libp2p_lab.errors import ConnectionLost, LabError, StreamClosed
from libp2p_lab.multiplexing import Yamux, YamuxSession
from libp2p_lab.multiplexing.muxer import DataReceived
from libp2p_lab.security import Noise, NoiseStream
from libp2p_lab.transports import Memory, MemoryNetwork, MemoryStream
from tests.conformance import byte_stream, muxer, run_checks, secure_channel, transport
from tests.conformance.byte_stream import BYTE_STREAM_CHECKS
from tests.conformance.pairs import memory_pair

# -- byte streams ----------------------------------------------------------------------------------


class Wrapped:
    """A memory stream in other clothes: the base of the broken ones."""

    def __init__(self, inner: MemoryStream) -> None:
        self.inner = inner

    async def read(self, n: int = -1) -> bytes:
        return await self.inner.read(n)

    async def write(self, data) -> None:
        await self.inner.write(data)

    async def close_write(self) -> None:
        await self.inner.close_write()

    async def close(self) -> None:
        await self.inner.close()

    async def reset(self) -> None:
        await self.inner.reset()


class ReadsMoreThanAsked(Wrapped):
    async def read(self, n: int = -1) -> bytes:
        return await self.inner.read(n if n < 0 else 1 << 16)


class WaitsForAll(Wrapped):
    async def read(self, n: int = -1) -> bytes:
        return await self.inner.read()


class ResetLooksLikeTheEnd(Wrapped):
    async def read(self, n: int = -1) -> bytes:
        try:
            return await self.inner.read(n)
        except ConnectionLost:
            return b""


class NoBackPressure(Wrapped):
    def __init__(self, inner: MemoryStream) -> None:
        super().__init__(inner)
        self.tasks: set[asyncio.Task[None]] = set()

    async def write(self, data) -> None:
        task = asyncio.create_task(self.inner.write(bytes(data)))
        self.tasks.add(task)
        task.add_done_callback(lambda done: (self.tasks.discard(done), done.exception()))
        await asyncio.sleep(0)


class HalfCloseClosesAll(Wrapped):
    async def close_write(self) -> None:
        await self.inner.close()


class WritesAfterTheEnd(Wrapped):
    async def write(self, data) -> None:
        try:
            await self.inner.write(data)
        except StreamClosed:
            return


class LosesACancelledWrite(Wrapped):
    """Waits for room first, and then hands over."""

    async def write(self, data) -> None:
        peer = self.inner._peer
        while peer._size >= peer._capacity and peer._state == "open":
            await peer._writable.wait()
        await self.inner.write(data)


class LosesWhatACancelledReadTook(Wrapped):
    async def read(self, n: int = -1) -> bytes:
        data = await self.inner.read(n)
        for _ in range(3):
            await asyncio.sleep(0)
        return data


class KeepsTheBuffer(Wrapped):
    """Hands on the caller's buffer a little later."""

    def __init__(self, inner: MemoryStream) -> None:
        super().__init__(inner)
        self.waiting: list[bytearray | bytes | memoryview] = []

    async def write(self, data) -> None:
        self.waiting.append(data)
        if not isinstance(data, bytearray):
            for one in self.waiting:
                await self.inner.write(one)
            self.waiting.clear()


class TakesAnEmptyWriteForAnEnd(Wrapped):
    async def write(self, data) -> None:
        await (self.inner.write(data) if data else self.inner.close_write())


class SwapsPieces(Wrapped):
    held: bytes = b""

    async def write(self, data) -> None:
        if len(data) == 31:
            self.held = bytes(data)
            return
        await self.inner.write(data)
        held, self.held = self.held, b""
        await self.inner.write(held)


class ForgetsWaitingReaders(Wrapped):
    """Looks for news now and then, but not for our own reset."""

    async def read(self, n: int = -1) -> bytes:
        try:
            return await self.inner.read(n)
        except LabError:
            await asyncio.Event().wait()
        return b""


BROKEN_STREAMS = {
    ReadsMoreThanAsked: byte_stream.check_reading_gives_no_more_than_asked,
    WaitsForAll: byte_stream.check_reading_does_not_wait_for_more,
    ResetLooksLikeTheEnd: byte_stream.check_a_reset_is_no_clean_end,
    NoBackPressure: byte_stream.check_back_pressure,
    HalfCloseClosesAll: byte_stream.check_half_close,
    WritesAfterTheEnd: byte_stream.check_no_write_after_close_write,
    LosesACancelledWrite: byte_stream.check_a_cancelled_write_is_made_once,
    LosesWhatACancelledReadTook: byte_stream.check_a_read_cancelled_as_data_arrives_loses_nothing,
    KeepsTheBuffer: byte_stream.check_every_kind_of_buffer,
    TakesAnEmptyWriteForAnEnd: byte_stream.check_an_empty_write_is_not_an_end,
    SwapsPieces: byte_stream.check_bytes_arrive_in_order,
    ForgetsWaitingReaders: byte_stream.check_a_reset_ends_our_own_reading,
}


def pair_of(wrap):
    @asynccontextmanager
    async def make():
        async with memory_pair() as ends:
            wrapped = [wrap(end) for end in ends]
            yield tuple(wrapped)
            for end in wrapped:
                for task in getattr(end, "tasks", ()):
                    task.cancel()

    return make


@pytest.mark.parametrize("broken", BROKEN_STREAMS, ids=lambda broken: broken.__name__)
async def test_a_broken_stream_is_caught(broken) -> None:
    check = BROKEN_STREAMS[broken]
    [outcome] = (await run_checks([check], pair_of(broken), time_limit=1)).values()
    assert isinstance(outcome, AssertionError | pytest.fail.Exception | LabError | TimeoutError)


async def test_the_wrapper_itself_is_in_order() -> None:
    """What the broken ones are blamed for is their own."""
    outcomes = await run_checks(BYTE_STREAM_CHECKS, pair_of(Wrapped))
    assert set(outcomes.values()) == {None}


# -- transports ------------------------------------------------------------------------------------


class SaysYesToEverything(Memory):
    def can_dial(self, addr) -> bool:
        return True


class NamesNoPlace(Memory):
    async def listen(self, addr, on_connection):
        listener = await super().listen(addr, on_connection)
        numbers = self._network._listeners
        numbers[0] = numbers[listener._number]
        listener._network.unbind(listener._number)
        listener._number = 0
        return listener


class KeepsThePlace(Memory):
    async def listen(self, addr, on_connection):
        listener = await super().listen(addr, on_connection)

        class Stubborn:
            addrs = listener.addrs

            async def close(self) -> None: ...

        return Stubborn()


BROKEN_TRANSPORTS = {
    SaysYesToEverything: transport.check_it_knows_its_addresses,
    NamesNoPlace: transport.check_the_listener_names_real_addresses,
    KeepsThePlace: transport.check_a_closed_listener_refuses,
}


@pytest.mark.parametrize("broken", BROKEN_TRANSPORTS, ids=lambda broken: broken.__name__)
async def test_a_broken_transport_is_caught(broken) -> None:
    check = BROKEN_TRANSPORTS[broken]
    subject = broken(MemoryNetwork()), "/memory/0"
    [outcome] = (await run_checks([check], *subject, time_limit=1)).values()
    assert isinstance(outcome, AssertionError | pytest.fail.Exception | OSError)


# -- secure channels -------------------------------------------------------------------------------


class TakesAnybody(Noise):
    async def secure(self, raw, *, expected_peer, **rest):
        return await super().secure(raw, expected_peer=None, **rest)


class Plain(NoiseStream):
    """Shakes hands, and then sends in the clear."""

    async def read(self, n: int = -1) -> bytes:
        return await self._raw.read(n)

    async def write(self, data) -> None:
        await self._raw.write(data)


class SendsInTheClear(Noise):
    async def secure(self, raw, **rest):
        stream = await super().secure(raw, **rest)
        return Plain(raw, stream._channel, stream.remote_peer, stream.muxer, stream.handshake_hash)


class OldKeys(Noise):
    """Uses the same "ephemeral" key every time, as a simulation may."""

    key = Noise()._static

    def __init__(self) -> None:
        super().__init__(static=self.key, ephemeral=lambda: self.key)


BROKEN_CHANNELS = {
    TakesAnybody: secure_channel.check_the_wrong_peer_is_refused,
    SendsInTheClear: secure_channel.check_nothing_is_readable_on_the_wire,
    OldKeys: secure_channel.check_the_same_handshake_never_twice,
}


@pytest.mark.parametrize("broken", BROKEN_CHANNELS, ids=lambda broken: broken.__name__)
async def test_a_broken_channel_is_caught(broken) -> None:
    [outcome] = (await run_checks([BROKEN_CHANNELS[broken]], broken, broken, time_limit=1)).values()
    assert isinstance(outcome, AssertionError | pytest.fail.Exception | TimeoutError)


async def test_plaintext_after_the_handshake_fails_every_privacy_check_on_data() -> None:
    checks = (
        secure_channel.check_one_changed_bit_of_the_data,
        secure_channel.check_the_data_cut_short,
    )
    outcomes = await run_checks(checks, SendsInTheClear, SendsInTheClear, time_limit=1)
    assert None not in outcomes.values()


# -- muxers ----------------------------------------------------------------------------------------


class BrokenYamux(Yamux):
    """Its sessions have the defect that a method below gives them."""

    def session(self, *, is_dialer, limits, probe):
        return self.Session(is_dialer=is_dialer, limits=limits, probe=probe)

    class Session(YamuxSession):
        pass


class NoWindow(BrokenYamux):
    """Lets the remote send what it likes, read or not."""

    class Session(YamuxSession):
        def receive_data(self, data, now=0.0):
            events = super().receive_data(data, now)
            for event in events:
                if isinstance(event, DataReceived):
                    self.consumed(event.stream_id, len(event.data), now)
            return events


class NeverOpensTheWindow(BrokenYamux):
    class Session(YamuxSession):
        def consumed(self, stream_id, n, now=0.0) -> None:
            pass


class ForgetsTheEnd(BrokenYamux):
    class Session(YamuxSession):
        def close_write(self, stream_id) -> None:
            pass


class LosesPartialFrames(BrokenYamux):
    class Session(YamuxSession):
        def receive_data(self, data, now=0.0):
            self._partial = b""
            return super().receive_data(data, now)


class SilentReset(BrokenYamux):
    class Session(YamuxSession):
        def reset(self, stream_id) -> None:
            if stream_id in self._streams:
                self._forget(self._streams[stream_id])


class FirstComeFirstServed(BrokenYamux):
    """A stream keeps its turn until it has nothing more to say."""

    class Session(YamuxSession):
        def _give_turn(self, stream) -> None:
            super()._give_turn(stream)
            if self._turns and self._turns[-1] is stream and stream.id == 1:
                self._turns.rotate(1)


class SameIds(BrokenYamux):
    class Session(YamuxSession):
        def __init__(self, *, is_dialer, **rest) -> None:
            super().__init__(is_dialer=True, **rest)
            self._remote_parity = 1


class NoBacklog(BrokenYamux):
    class Session(YamuxSession):
        def can_open_stream(self) -> bool:
            return True


class DropsGarbage(BrokenYamux):
    class Session(YamuxSession):
        def receive_data(self, data, now=0.0):
            return [] if bytes(data[:1]) != b"\x00" else super().receive_data(data, now)


BROKEN_MUXERS = {
    NoWindow: muxer.check_a_reader_that_stops_holds_only_its_own_stream,
    NeverOpensTheWindow: muxer.check_a_reader_that_stops_holds_only_its_own_stream,
    ForgetsTheEnd: muxer.check_half_close_of_a_session,
    LosesPartialFrames: muxer.check_the_cut_of_the_wire_does_not_matter,
    SilentReset: muxer.check_reset_of_a_session,
    FirstComeFirstServed: muxer.check_streams_take_turns,
    SameIds: muxer.check_ids_are_never_used_twice,
    NoBacklog: muxer.check_the_backlog,
    DropsGarbage: muxer.check_garbage_ends_the_session,
}


@pytest.mark.parametrize("broken", BROKEN_MUXERS, ids=lambda broken: broken.__name__)
async def test_a_broken_muxer_is_caught(broken) -> None:
    [outcome] = (await run_checks([BROKEN_MUXERS[broken]], broken(), time_limit=5)).values()
    assert isinstance(outcome, AssertionError | pytest.fail.Exception | LabError | KeyError)
