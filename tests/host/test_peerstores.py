"""One suite for both memories of other peers: the one in memory and the one in a file."""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from libp2p_lab import (
    ConnectionManager,
    Host,
    KeyPair,
    LimitExceeded,
    Limits,
    LocalError,
    Multiaddr,
    PeerId,
    PeerRecord,
    Peerstore,
    SqlitePeerstore,
)

KEYS = [KeyPair.generate() for _ in range(5)]
PEERS = [PeerId.from_public_key(key.public) for key in KEYS]
PEER = PEERS[0]
ADDRS = [Multiaddr(f"/ip4/192.0.2.{n}/tcp/4001") for n in range(10)]
TIGHT = Limits(
    identify_addresses=5,
    identify_addresses_after=3,
    peerstore_peers=3,
    identify_protocols=2,
    peerstore_notes=2,
    peerstore_note=10,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


Make = Callable[[Limits], Peerstore]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
def make(request, tmp_path, clock) -> Iterator[Make]:
    with ExitStack() as stack:

        def build(limits: Limits) -> Peerstore:
            if request.param == "memory":
                return Peerstore(limits, clock=clock)
            return stack.enter_context(SqlitePeerstore(tmp_path / "peers.db", limits, clock=clock))

        yield build


def sealed(key: KeyPair, seq: int) -> tuple[PeerRecord, bytes]:
    record = PeerRecord(PeerId.from_public_key(key.public), seq, (ADDRS[seq],))
    return record, record.seal(key).encode()


def test_addresses_expire_unless_their_peer_is_connected(make: Make, clock: Clock) -> None:
    store = make(Limits())
    store.add_addrs(PEER, ADDRS[:1], ttl=10)
    store.add_addrs(PEER, ADDRS[1:2])
    store.add_addrs(PEER, ADDRS[2:3], ttl=math.inf)
    clock.now += 10
    assert store.addrs(PEER) == (ADDRS[2], ADDRS[1])
    clock.now += 3600
    assert store.addrs(PEER) == (ADDRS[2],)
    store.set_connected(PEER, True)
    store.add_addrs(PEER, ADDRS[3:4], ttl=10)
    clock.now += 10_000
    assert store.addrs(PEER) == (ADDRS[3], ADDRS[2])
    store.set_connected(PEER, False)
    clock.now += 899
    assert store.addrs(PEER) == (ADDRS[3], ADDRS[2]), "where it was a moment ago"
    clock.now += 1
    assert store.addrs(PEER) == (ADDRS[2],)


def test_the_longer_life_and_the_stronger_word_stay(make: Make, clock: Clock) -> None:
    store = make(Limits())
    store.add_addrs(PEER, ADDRS[:1], ttl=100, provenance="signed")
    store.add_addrs(PEER, [ADDRS[0].with_peer(PEER)], ttl=10, provenance="told")
    [known] = store.known_addrs(PEER)
    assert (known.addr, known.expires, known.provenance) == (ADDRS[0], clock.now + 100, "signed")
    store.add_addrs(PEER, ADDRS[1:2], provenance="told")
    store.add_addrs(PEER, ADDRS[1:2], provenance="given")
    assert store.known_addrs(PEER)[0].provenance == "given"


def test_only_a_newer_record_is_taken(make: Make) -> None:
    store = make(Limits())
    assert store.add_record(*sealed(KEYS[0], 2))
    assert not store.add_record(*sealed(KEYS[0], 1))
    assert not store.add_record(*sealed(KEYS[0], 2))
    assert store.add_record(*sealed(KEYS[0], 3))
    assert store.record(PEER) == sealed(KEYS[0], 3)[0]
    assert {known.provenance for known in store.known_addrs(PEER)} == {"signed"}


def test_notes_are_bounded(make: Make) -> None:
    store = make(TIGHT)
    store.set_metadata(PEER, "a", "1")
    store.set_metadata(PEER, "b", "2")
    with pytest.raises(LimitExceeded, match="peerstore_notes"):
        store.set_metadata(PEER, "c", "3")
    with pytest.raises(LimitExceeded, match="peerstore_note"):
        store.set_metadata(PEER, "a", "1" * 10)
    store.set_metadata(PEER, "a", "")
    store.set_metadata(PEER, "c", "3")
    assert store.metadata(PEER) == {"b": "2", "c": "3"}
    assert store.metadata(PEERS[1]) == {}


class BothStores(RuleBasedStateMachine):
    """The same is done to both; they say the same, also after the file was closed and opened again."""

    peer = st.sampled_from(PEERS)

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "peers.db"
        self.clock = Clock()
        self.memory = Peerstore(TIGHT, clock=self.clock)
        self.file = SqlitePeerstore(self.path, TIGHT, clock=self.clock)

    @property
    def both(self) -> tuple[Peerstore, Peerstore]:
        return self.memory, self.file

    @rule(
        peer=peer,
        addrs=st.lists(st.sampled_from(ADDRS), max_size=6),
        ttl=st.sampled_from([None, 10.0, math.inf]),
        provenance=st.sampled_from(["told", "identify", "given", "signed"]),
    )
    def add_addrs(self, peer, addrs, ttl, provenance) -> None:
        for store in self.both:
            store.add_addrs(peer, addrs, ttl=ttl, provenance=provenance)

    @rule(peer=peer, protocols=st.lists(st.sampled_from(["/a", "/ä", "/'; --"]), max_size=3))
    def set_protocols(self, peer, protocols) -> None:
        for store in self.both:
            store.set_protocols(peer, protocols)

    @rule(peer=peer, agent=st.text(max_size=5).filter(lambda t: t.isprintable()))
    def set_agent(self, peer, agent) -> None:
        for store in self.both:
            store.set_agent(peer, agent)

    @rule(key=st.sampled_from(KEYS), seq=st.integers(0, 9))
    def add_record(self, key, seq) -> None:
        record, envelope = sealed(key, seq)
        assert len({store.add_record(record, envelope) for store in self.both}) == 1

    @rule(peer=peer, name=st.sampled_from("ab"), value=st.text("xy", max_size=3))
    def note(self, peer, name, value) -> None:
        for store in self.both:
            store.set_metadata(peer, name, value)

    @rule(peer=peer, connected=st.booleans())
    def set_connected(self, peer, connected) -> None:
        for store in self.both:
            store.set_connected(peer, connected)

    @rule(peer=peer)
    def forget(self, peer) -> None:
        for store in self.both:
            store.forget(peer)

    @rule(seconds=st.sampled_from([1.0, 10.0, 900.0, 3600.0]))
    def wait(self, seconds) -> None:
        self.clock.now += seconds

    @rule()
    def open_again(self) -> None:
        for peer in self.memory.peers:
            for store in self.both:
                store.set_connected(peer, False)
        self.file.close()
        self.file = SqlitePeerstore(self.path, TIGHT, clock=self.clock)

    @invariant()
    def they_say_the_same(self) -> None:
        if not hasattr(self, "file"):
            return
        memory, file = self.both
        assert memory.peers == file.peers
        for peer in PEERS:
            assert memory.known_addrs(peer) == file.known_addrs(peer)
            assert memory.protocols(peer) == file.protocols(peer)
            assert memory.agent(peer) == file.agent(peer)
            assert memory.record(peer) == file.record(peer)
            assert memory.envelope(peer) == file.envelope(peer)
            assert memory.metadata(peer) == file.metadata(peer)

    def teardown(self) -> None:
        if hasattr(self, "file"):
            self.file.close()
            self.folder.cleanup()


TestBothStores = BothStores.TestCase


def test_what_was_written_survives_a_process_that_dies(tmp_path) -> None:
    path = tmp_path / "peers.db"
    script = (
        "import os, sys, math\n"
        "from libp2p_lab import Multiaddr, PeerId, SqlitePeerstore\n"
        "store = SqlitePeerstore(sys.argv[1])\n"
        "peer = PeerId.from_text(sys.argv[2])\n"
        "store.add_addrs(peer, [Multiaddr(sys.argv[3])])\n"
        "store.set_agent(peer, 'last words')\n"
        "os._exit(7)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(path), str(PEER), str(ADDRS[0])],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        timeout=120,
        check=False,
    )
    assert run.returncode == 7
    with SqlitePeerstore(path) as store:
        assert store.addrs(PEER) == (ADDRS[0],)
        assert store.agent(PEER) == "last words"


def test_a_file_that_is_something_else_is_left_alone(tmp_path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear reader, " * 1000)
    with pytest.raises(LocalError, match="cannot be used"):
        SqlitePeerstore(path)
    assert path.read_text() == "Dear reader, " * 1000
    with pytest.raises(LocalError):
        SqlitePeerstore(tmp_path / "no such folder" / "peers.db")


def test_two_cannot_use_the_same_file_at_once(tmp_path) -> None:
    with SqlitePeerstore(tmp_path / "peers.db") as store:
        store.set_agent(PEER, "x")
        with pytest.raises(LocalError, match="cannot be used"):
            SqlitePeerstore(tmp_path / "peers.db")


async def test_a_host_that_restarts_finds_its_kept_peer_by_its_id(tmp_path) -> None:
    key = KeyPair.generate()
    path = tmp_path / "peers.db"
    async with Host(listen=["/ip4/127.0.0.1/tcp/0"]) as alice:
        with SqlitePeerstore(path) as store:
            services = [ConnectionManager()]
            async with Host(key=key, peerstore=store, services=services) as bob:
                bob.connection_manager.keep(alice.addrs[0])
                async with asyncio.timeout(60):
                    while not alice.is_connected(bob.peer_id):
                        await asyncio.sleep(0.01)
        with SqlitePeerstore(path) as store:
            services = [ConnectionManager()]
            assert math.inf in {known.expires for known in store.known_addrs(alice.peer_id)}
            async with Host(key=key, peerstore=store, services=services) as bob:
                bob.connection_manager.keep(alice.peer_id)
                async with asyncio.timeout(60):
                    while not alice.is_connected(bob.peer_id):
                        await asyncio.sleep(0.01)
