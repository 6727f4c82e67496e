"""S53, its bytes: what nobody reads is counted by peer and in all; who takes too much is refused, and nobody else.

The attackers keep every rule of their muxer: they fill the windows that they were given, on streams that nobody reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from libp2p_lab import (
    QUIC,
    TCP,
    Echo,
    Host,
    Identify,
    Limits,
    Mplex,
    Noise,
    Ping,
    StreamReset,
    Yamux,
)
from libp2p_lab.errors import LabError, LimitExceeded
from libp2p_lab.multiplexing import YamuxSession
from libp2p_lab.multiplexing.memory import SPARE, STEP, ReceiveMemory
from libp2p_lab.multiplexing.muxed_stream import MuxedStream
from tests.hostile.scene import PATIENCE, Bystander

KIB = 1024
FLOOR = 64 * KIB
SMALL = Limits(
    memory_floor=FLOOR, max_memory=1024 * KIB, max_memory_per_peer=512 * KIB, write_buffer=16 * KIB
)
STACKS = {"yamux": (TCP, Yamux), "mplex": (TCP, Mplex), "quic": (QUIC, Yamux)}
each_stack = pytest.mark.parametrize("stack", STACKS)


def parts(stack: str) -> dict[str, object]:
    transport, muxer = STACKS[stack]
    return {
        "transports": [transport()],
        "muxers": [muxer()],
        "security": [Noise()],
        "services": [Echo(), Identify(), Ping()],
    }


class Victim:
    """A host with a handler that never reads, and an honest peer at its echo.

    Attributes:
        errors: what the handlers that fell asleep met when they read at last.
    """

    def __init__(self, stack: str, host: Host) -> None:
        self.stack = stack
        self.host = host
        self.errors: list[str] = []
        self.awake = asyncio.Event()
        host.set_handler("/sleep", self._sleep)

    async def _sleep(self, stream: MuxedStream) -> None:
        await self.awake.wait()
        try:
            await stream.read()
        except StreamReset as error:
            self.errors.append(str(error))

    @asynccontextmanager
    async def attacked(self, streams: int, each: int = 192 * KIB) -> AsyncIterator[Host]:
        """A peer that writes `each` bytes on each of so many streams."""
        async with Host(**parts(self.stack)) as attacker:
            await attacker.connect(self.host.addrs[0])

            async def fill() -> None:
                try:
                    stream = await attacker.open_stream(self.host.peer_id, "/sleep")
                    for _ in range(each // (16 * KIB)):
                        await stream.write(bytes(16 * KIB))
                except LabError:
                    pass  # refused

            async with asyncio.TaskGroup() as tasks:
                for _ in range(streams):
                    tasks.create_task(fill())
            yield attacker


@asynccontextmanager
async def victim(stack: str, limits: Limits = SMALL) -> AsyncIterator[tuple[Victim, Bystander]]:
    addr = "/ip4/127.0.0.1/udp/0/quic-v1" if stack == "quic" else "/ip4/127.0.0.1/tcp/0"
    async with (
        Host(listen=[addr], limits=limits, **parts(stack)) as host,
        Host(**parts(stack)) as friend,
    ):
        await friend.connect(host.addrs[0])
        bystander = Bystander(friend, host.peer_id)
        try:
            yield Victim(stack, host), bystander
        finally:
            await bystander.stop()


async def until(condition) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)


def refused(host: Host, scope: str) -> int:
    return sum(n for (kind, _), n in host.resources.refused.items() if kind == scope)


@each_stack
async def test_s53_what_a_peer_leaves_unread_is_bounded(stack) -> None:
    async with victim(stack) as (asleep, bystander):
        host = asleep.host
        async with asleep.attacked(8) as attacker:
            await until(lambda: refused(host, "peer"))
            used = host.resources.usage("peer", str(attacker.peer_id)).memory
            assert 0 < used <= SMALL.max_memory_per_peer
            [connection] = host.connections_to(attacker.peer_id)
            assert connection.memory.held <= SMALL.max_memory_per_peer + FLOOR
            await bystander.goes_on()
            asleep.awake.set()
            await until(lambda: asleep.errors)
            assert "LimitExceeded" in asleep.errors[0]
            assert "max_memory_per_peer" in asleep.errors[0]
            assert await attacker.ping(host.peer_id) >= 0  # the connection did not pay for it
        await until(lambda: not host.resources.usage().memory)


@each_stack
async def test_s53_many_peers_together_cannot_starve_another(stack) -> None:
    """Four fill all the memory that there is. What the honest peer needs is below the floor."""
    async with victim(stack) as (asleep, bystander):
        host = asleep.host
        async with (
            asleep.attacked(3),
            asleep.attacked(3),
            asleep.attacked(3),
            asleep.attacked(3),
        ):
            await until(lambda: refused(host, "system"))
            assert host.resources.usage().memory <= SMALL.max_memory
            await bystander.goes_on()
            async with Host(**parts(stack)) as newcomer:
                await newcomer.connect(host.addrs[0])
                assert await newcomer.ping(host.peer_id) >= 0
        asleep.awake.set()
        await until(lambda: not host.resources.usage().memory)


@each_stack
async def test_s53_one_stream_holds_so_much(stack) -> None:
    limits = Limits(max_memory_per_stream=100 * KIB)
    async with victim(stack, limits) as (asleep, bystander), asleep.attacked(1) as attacker:
        [connection] = asleep.host.connections_to(attacker.peer_id)
        await until(
            lambda: not any(stream.protocol == "/sleep" for stream in connection.streams.values())
        )
        assert connection.memory.held <= 100 * KIB
        await bystander.goes_on()
        asleep.awake.set()
        await until(lambda: asleep.errors)
        assert "max_memory_per_stream" in asleep.errors[0]


@each_stack
async def test_what_is_read_closed_or_reset_is_given_back(stack) -> None:
    async with victim(stack) as (asleep, _), asleep.attacked(2, 128 * KIB) as attacker:
        host = asleep.host
        [connection] = host.connections_to(attacker.peer_id)
        await until(lambda: connection.memory.held >= 256 * KIB)
        assert host.resources.usage("peer", str(attacker.peer_id)).memory >= 256 * KIB - FLOOR
        one, other = [s for s in connection.streams.values() if s.protocol == "/sleep"]
        await one.read(100)
        assert connection.memory.held < 256 * KIB
        await one.close()
        await other.reset()
        await until(lambda: not connection.memory.held)
        assert not host.resources.usage().memory
        asleep.awake.set()


# -- the books themselves --------------------------------------------------------------------------


class Account:
    """So much, and no more."""

    def __init__(self, most: int) -> None:
        self.most, self.used = most, 0

    def reserve_memory(self, n: int) -> None:
        if self.used + n > self.most:
            raise LimitExceeded("max_memory", self.used + n, self.most)
        self.used += n

    def release_memory(self, n: int) -> None:
        self.used -= n
        assert self.used >= 0


def test_reserved_is_what_is_held_beyond_the_floor_in_steps() -> None:
    account, memory = Account(10 * STEP), ReceiveMemory(Limits(memory_floor=STEP))
    memory.open(account)
    assert memory.hold(STEP) is None
    assert account.used == 0
    assert memory.hold(1) is None
    assert account.used == STEP
    assert memory.hold(10 * STEP - 1) is None
    assert account.used == 10 * STEP
    assert isinstance(memory.hold(1), LimitExceeded)
    assert memory.held == 11 * STEP
    memory.free(10 * STEP)
    assert account.used <= SPARE
    memory.free(STEP)
    assert account.used == 0


def test_a_window_grows_only_as_far_as_memory_is_left() -> None:
    """And the remote is told of no more than that."""
    account = Account(512 * KIB)
    session = YamuxSession(is_dialer=False, limits=Limits(memory_floor=0))
    session.memory.open(account)
    peer = YamuxSession(is_dialer=True)

    stream = peer.open_stream()
    peer.receive_data((session.ping(0.0), session.data_to_send())[1], 0.0)
    session.receive_data(peer.data_to_send(), 1.0)
    assert session.rtt == 1.0
    for _ in range(10):  # a reader that is always fast enough for a larger window
        peer.send(stream, bytes(1024 * KIB))
        while data := peer.data_to_send():
            session.receive_data(data, 1.0)
            session.consumed(stream, session._streams[stream].unread, 1.0)
            peer.receive_data(session.data_to_send(), 1.0)
    assert session._streams[stream].window == 512 * KIB, "256 KiB more, and then no more"
    assert account.used == 256 * KIB
    session.reset(stream)
    assert account.used == 0
