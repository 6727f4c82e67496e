"""Provider stores, in memory and in a file: the same in all but where it stands."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import libp2p_lab as lab
from libp2p_lab.content.providers import MemoryProviderStore, pack_addrs, unpack_addrs
from libp2p_lab.content.providers_sqlite import SqliteProviderStore
from libp2p_lab.errors import LimitExceeded, LocalError
from libp2p_lab.limits import Limits
from tests.content.test_cores import ADDR, Clock
from tests.routing.test_cores import peer_id

Store = MemoryProviderStore | SqliteProviderStore
Make = Callable[..., Store]


@pytest.fixture(params=["memory", "file"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Makes a store for a clock and limits."""
    opened: list[SqliteProviderStore] = []

    def new(*arguments: Any) -> Store:
        if request.param == "memory":
            return MemoryProviderStore(*arguments)
        opened.append(SqliteProviderStore(tmp_path / f"{len(opened)}.db", *arguments))
        return opened[-1]

    yield new
    for store in opened:
        store.close()


def test_s25_only_the_sender_is_stored_and_caps_hold(make: Make) -> None:
    limits = Limits(
        dht_provider_records=50, dht_provider_records_per_peer=20, dht_providers_per_key=10
    )
    store = make(Clock(), limits)
    a, b = peer_id(1), peer_id(2)
    assert not store.add(b"key", a, b, [ADDR])
    assert store.add(b"key", a, a, [ADDR])
    for bad in (b"", b"x" * 81):
        with pytest.raises(LimitExceeded):
            store.add(bad, a, a, [])
    stored = 0
    for number in range(10_000):
        try:
            store.add(b"%d" % number, a, a, [])
            stored += 1
        except LimitExceeded:
            pass
    assert (stored, len(store)) == (19, 20)
    with pytest.raises(LimitExceeded):
        for number in range(20):
            store.add(b"one key", peer_id(100 + number), peer_id(100 + number), [])
    assert len(store.get(b"one key")) == 10
    with pytest.raises(LimitExceeded):
        for number in range(100):
            store.add(b"k%d" % number, peer_id(500 + number), peer_id(500 + number), [])
    assert len(store) == 50
    assert store.add(b"key", a, a, [ADDR]), "what is there may be said again"


def test_s26_the_addresses_of_a_record_are_capped(make: Make) -> None:
    store = make(Clock())
    store.add(b"key", peer_id(1), peer_id(1), [ADDR] * 10_000)
    assert len(store.get(b"key")[0].addrs) <= 8


def test_records_age_in_two_steps(make: Make) -> None:
    clock, limits = Clock(), Limits()
    store = make(clock)
    store.add(b"key", peer_id(1), peer_id(1), [ADDR])
    clock.now += limits.dht_provider_addrs_ttl
    store.add(b"key", peer_id(2), peer_id(2), [ADDR])
    assert [(r.peer_id, r.addrs) for r in store.get(b"key")] == [
        (peer_id(2), (ADDR,)),
        (peer_id(1), ()),
    ]
    clock.now += limits.dht_provider_ttl - limits.dht_provider_addrs_ttl
    assert [r.peer_id for r in store.get(b"key")] == [peer_id(2)]
    clock.now += limits.dht_provider_ttl
    store.expire_all()
    assert (len(store), store.get(b"key")) == (0, [])


def test_what_is_too_old_makes_room(make: Make) -> None:
    clock, limits = Clock(), Limits(dht_provider_records=3)
    store = make(clock, limits)
    for number in range(3):
        store.add(b"%d" % number, peer_id(number), peer_id(number), [ADDR])
    with pytest.raises(LimitExceeded):
        store.add(b"more", peer_id(9), peer_id(9), [ADDR])
    clock.now += limits.dht_provider_ttl
    assert store.add(b"more", peer_id(9), peer_id(9), [ADDR])
    assert len(store) == 1


OTHER = lab.Multiaddr("/dns4/example.org/udp/4001/quic-v1")
KEYS, NUMBERS = st.sampled_from([b"a", b"b", b"c"]), st.integers(0, 3)
ADDRS = st.lists(st.sampled_from([ADDR, OTHER]), max_size=10)
STEPS = st.lists(
    st.tuples(st.just("add"), KEYS, NUMBERS, ADDRS)
    | st.tuples(st.just("wait"), st.sampled_from([1, 1800, 40_000, 180_000]))
    | st.tuples(st.just("get"), KEYS)
    | st.tuples(st.just("sweep")),
    max_size=30,
)


@given(STEPS)
@settings(max_examples=30)
def test_the_two_are_one(steps: list[tuple[Any, ...]]) -> None:
    """Whatever is asked of them in whatever order, both answer the same."""
    clock, limits = Clock(), Limits(dht_provider_records=6, dht_provider_records_per_peer=3)
    memory, file = (
        MemoryProviderStore(clock, limits),
        SqliteProviderStore(":memory:", clock, limits),
    )

    def answer(store: Store, step: tuple[Any, ...]) -> Any:
        match step:
            case ("add", key, number, addrs):
                try:
                    return store.add(key, peer_id(number), peer_id(number), addrs)
                except LimitExceeded as error:
                    return error.limit
            case ("get", key):
                return store.get(key)
            case _:
                store.expire_all()
                return len(store)

    for step in steps:
        if step[0] == "wait":
            clock.now += step[1]
        else:
            assert answer(memory, step) == answer(file, step), step
    file.close()


@given(st.lists(st.sampled_from([ADDR, OTHER]), max_size=8))
def test_packed_addresses_come_back(addrs: list[lab.Multiaddr]) -> None:
    assert unpack_addrs(pack_addrs(addrs)) == tuple(addrs)


# -- the file -------------------------------------------------------------------------------------------------


def test_a_file_is_read_again(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "providers.db"
    with SqliteProviderStore(path, clock) as store:
        for number in (1, 2):
            store.add(b"key", peer_id(number), peer_id(number), [ADDR])
        store.add(b"key", peer_id(1), peer_id(1), [OTHER])
    clock.now += 60
    with SqliteProviderStore(path, clock) as store:
        assert [(r.peer_id, r.addrs) for r in store.get(b"key")] == [
            (peer_id(1), (OTHER,)),
            (peer_id(2), (ADDR,)),
        ]
        assert len(store) == 2
    clock.now += Limits().dht_provider_ttl
    with SqliteProviderStore(path, clock) as store:
        assert len(store) == 0


def test_what_is_no_provider_store_is_left_alone(tmp_path: Path) -> None:
    text, other = tmp_path / "text", tmp_path / "other.db"
    text.write_text("not a database, but long enough to be looked at as one " * 20)
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE mine (x)")
    db.close()
    for path in (text, other, tmp_path / "no" / "such" / "folder"):
        with pytest.raises(LocalError):
            SqliteProviderStore(path)
    assert text.read_text().startswith("not a database")


def test_rows_that_somebody_else_wrote_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "providers.db"
    with SqliteProviderStore(path) as store:
        store.add(b"key", peer_id(1), peer_id(1), [ADDR])
    db = sqlite3.connect(path)
    row = (b"key", b"no peer", b"", time.time())
    db.execute("INSERT INTO records (key, peer, addrs, received) VALUES (?, ?, ?, ?)", row)
    db.commit()
    db.close()
    with SqliteProviderStore(path) as store:
        assert [r.peer_id for r in store.get(b"key")] == [peer_id(1)]


async def test_a_server_that_restarts_still_knows(tmp_path: Path) -> None:
    key = b"\x12\x20" + bytes(32)

    def host(*parts: Any) -> lab.Host:
        return lab.Host(listen=["/memory/0"], services=[lab.Identify(), *parts])

    async with host(lab.KadDHT()) as alice:
        for _ in range(2):
            with SqliteProviderStore(tmp_path / "providers.db") as store:
                async with host(lab.KadDHT(providers=store)) as server, host(lab.KadDHT()) as bob:
                    if not len(store):
                        await alice.dht.bootstrap([server.addrs[0]])
                        assert await alice.dht.provide(key) == [server.peer_id]
                        async with asyncio.timeout(30):  # it has no answer to wait for
                            while not len(store):
                                await asyncio.sleep(0.01)
                    await bob.dht.bootstrap([server.addrs[0]])
                    found = [peer.peer_id async for peer in bob.dht.find_providers(key)]
                    assert found == [alice.peer_id]
