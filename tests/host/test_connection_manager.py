"""Trimming between the water marks, and peers that are kept."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab import ConnectionManager, Echo, Host, KeyPair, Limits, LocalError, PeerId
from libp2p_lab.host.connection_manager import Candidate, choose, redial_delay
from libp2p_lab.limits import DEFAULT_LIMITS

PEERS = [PeerId.from_public_key(KeyPair.generate().public) for _ in range(4)]
NOW = 100.0
GRACE = 20.0

candidates = st.lists(
    st.builds(
        Candidate,
        st.integers(1, 10_000),
        st.sampled_from(PEERS),
        st.sampled_from([0.0, 50.0, 79.0, 80.0, 81.0, 100.0]),
        st.integers(0, 3),
        st.integers(-5, 5),
        st.booleans(),
    ),
    max_size=30,
    unique_by=lambda candidate: candidate.id,
)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


@given(candidates, st.integers(0, 10), st.integers(0, 10))
def test_what_is_chosen(every: list[Candidate], low: int, more: int) -> None:
    high = low + more
    chosen = choose(every, low=low, high=high, grace=GRACE, now=NOW)
    closed = [c for c in every if c.id in chosen]
    left = [c for c in every if c.id not in chosen]
    assert len(set(chosen)) == len(chosen) == len(closed)
    if len(every) <= high:
        assert not chosen
        return
    assert len(left) >= low
    for one in closed:
        assert not one.protected
        assert NOW - one.opened_at >= GRACE
    spare = [c for c in left if not c.protected and NOW - c.opened_at >= GRACE]
    # What could be closed and was not: there is a reason for each.
    if any(not c.streams for c in spare):
        assert len(left) == low
        assert not any(c.streams for c in closed)
    if any(c.streams for c in spare):
        assert len(left) <= high
    for streams in (False, True):
        worst_left = min((c.value for c in spare if bool(c.streams) == streams), default=None)
        best_closed = max((c.value for c in closed if bool(c.streams) == streams), default=None)
        if worst_left is not None and best_closed is not None:
            assert best_closed <= worst_left


@given(st.integers(0, 10_000), st.integers(0, 1 << 32))
def test_the_wait_before_a_dial_grows_and_is_bounded(failures: int, seed: int) -> None:
    wait = redial_delay(failures, DEFAULT_LIMITS, random.Random(seed))
    most = DEFAULT_LIMITS.keep_backoff_max
    assert DEFAULT_LIMITS.keep_backoff <= wait <= 1.5 * most
    if failures > 10:
        assert wait >= most
    assert wait <= 1.5 * DEFAULT_LIMITS.keep_backoff * 2.0 ** min(failures, 30)


def test_tags_and_protection() -> None:
    manager, (one, other, *_) = ConnectionManager(), PEERS
    manager.tag(one, "dht", 5)
    manager.tag(one, "pubsub", 10)
    manager.tag(one, "dht", 7)
    assert manager.value(one) == 17
    assert manager.value(other) == 0
    manager.untag(one, "pubsub")
    manager.untag(one, "never given")
    assert manager.value(one) == 7
    manager.untag(one, "dht")
    assert not manager._tags
    manager.protect(one, "a")
    manager.protect(one, "b")
    assert manager.unprotect(one, "a")
    assert manager.is_protected(one)
    assert not manager.unprotect(one, "b")
    assert not manager.unprotect(one, "b")
    assert not manager.is_protected(one)


@pytest.mark.parametrize("wrong", [(5, 4, 1.0), (-1, 4, 1.0), (1, 2, -1.0)])
def test_marks_that_make_no_sense(wrong) -> None:
    with pytest.raises(LocalError):
        ConnectionManager(*wrong)


async def test_too_many_connections_are_trimmed_to_the_low_mark() -> None:
    manager = ConnectionManager(low=3, high=6, grace=0.0)
    async with (
        Host(listen=["/memory/0"], services=[Echo(), manager]) as alice,
        AsyncExitStack() as stack,
    ):
        others = [await stack.enter_async_context(Host(services=[])) for _ in range(7)]
        busy, valued, protected = others[:3]
        manager.tag(valued.peer_id, "friend", 10)
        manager.protect(protected.peer_id, "important")
        for other in others[:6]:
            await other.connect(alice.addrs[0])
        stream = await busy.open_stream(alice.peer_id, "/echo/1.0.0")
        await stream.write(b"x")
        assert await stream.read(1) == b"x"
        await until(lambda: len(alice.connections) == 6)
        await others[6].connect(alice.addrs[0])
        await until(lambda: len(alice.connections) == 3)
        assert set(alice.peers) == {busy.peer_id, valued.peer_id, protected.peer_id}
        await stream.write(b"still there")
        assert await stream.read_exactly(11) == b"still there"
        await stream.close()
        assert manager.trim() == []


async def test_the_young_are_spared_until_their_grace_is_over() -> None:
    manager = ConnectionManager(low=1, high=2, grace=3600.0)
    async with (
        Host(listen=["/memory/0"], services=[manager]) as alice,
        AsyncExitStack() as stack,
    ):
        for _ in range(4):
            other = await stack.enter_async_context(Host(services=[]))
            await other.connect(alice.addrs[0])
        await until(lambda: len(alice.connections) == 4)
        assert manager.trim() == []
        manager.grace = 0.0
        assert len(manager.trim()) == 3
        await until(lambda: len(alice.connections) == 1)


async def test_what_was_too_young_is_trimmed_by_itself_later() -> None:
    manager = ConnectionManager(low=1, high=2, grace=0.2)
    limits = Limits(trim_interval=0.05)
    async with (
        Host(listen=["/memory/0"], services=[manager], limits=limits) as alice,
        AsyncExitStack() as stack,
    ):
        for _ in range(4):
            other = await stack.enter_async_context(Host(services=[]))
            await other.connect(alice.addrs[0])
        await until(lambda: len(alice.connections) == 1)


async def test_a_kept_peer_is_dialed_again_when_it_is_lost_and_when_it_restarts() -> None:
    limits = Limits(keep_backoff=0.01, dial_backoff=0.01, keep_backoff_max=0.1)
    manager = ConnectionManager()
    key = KeyPair.generate()
    async with Host(services=[manager], limits=limits) as bob:
        alice = await Host(key=key, listen=["/ip4/127.0.0.1/tcp/0"]).start()
        addr = alice.addrs[0]
        bob.connection_manager.keep(addr)
        assert manager.kept == [alice.peer_id]
        await until(lambda: bob.is_connected(alice.peer_id) and alice.connections)
        first = bob.connections[0]
        await alice.disconnect(bob.peer_id)
        await until(lambda: bob.connections and bob.connections[0] is not first)
        assert manager.is_protected(alice.peer_id)
        await alice.close()
        await until(lambda: not bob.connections)
        async with Host(key=key, listen=[addr.without_peer()]) as again:
            await until(lambda: bob.is_connected(again.peer_id) and again.connections)
            manager.let_go(again.peer_id)
            assert not manager.is_protected(again.peer_id)
            assert bob.is_connected(again.peer_id)
            await bob.disconnect(again.peer_id)
            await until(lambda: not again.connections)
            for _ in range(20):
                await asyncio.sleep(0.01)
            assert not bob.connections


async def test_a_kept_peer_that_cannot_be_reached_is_tried_until_the_host_closes() -> None:
    limits = Limits(keep_backoff=0.01, dial_backoff=0.01, keep_backoff_max=0.02)
    failures: list[object] = []
    async with Host(services=[ConnectionManager()], limits=limits) as bob:
        bob.trace.listen(
            lambda entry: failures.append(entry) if "DialFailed" in repr(entry.what) else None
        )
        bob.connection_manager.keep(f"/ip4/127.0.0.1/tcp/1/p2p/{PEERS[0]}")
        bob.connection_manager.keep(PEERS[1])  # whose address nobody knows
        await until(lambda: len(failures) >= 3)


async def test_keeping_what_names_no_peer() -> None:
    async with Host(services=[ConnectionManager()]) as bob:
        with pytest.raises(LocalError, match="names no peer"):
            bob.connection_manager.keep("/ip4/127.0.0.1/tcp/1")
