"""The accounts of a host: against a model, and on real connections."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from libp2p_lab import DialError, Echo, Host, LimitExceeded, Limits, LocalError, StreamReset
from libp2p_lab.host import metrics
from libp2p_lab.host.resources import ConnectionClaim, ResourceManager, StreamClaim, Usage
from libp2p_lab.identity import KeyPair, PeerId
from libp2p_lab.multiplexing.connection import StreamDirection

PEERS = [PeerId.from_public_key(KeyPair.generate().public) for _ in range(3)]
TIGHT = Limits(
    max_connections=6,
    max_connections_inbound=4,
    max_connections_outbound=5,
    max_connections_per_peer=3,
    max_pending=3,
    max_pending_inbound=2,
    max_pending_outbound=2,
    max_pending_inbound_per_ip=1,
    max_streams=9,
    max_streams_inbound=7,
    max_streams_outbound=6,
    max_streams_per_peer=6,
    max_streams_per_peer_inbound=5,
    max_streams_per_peer_outbound=4,
    max_streams_per_connection=4,
    max_streams_per_protocol=5,
    max_streams_per_protocol_inbound=4,
    max_streams_per_protocol_outbound=3,
    max_streams_per_protocol_and_peer=2,
    max_pending_streams=4,
    max_pending_streams_inbound=3,
    max_pending_streams_outbound=2,
    max_pending_streams_per_peer=3,
    max_memory=60,
    max_pending_memory=20,
    max_memory_per_peer=40,
    max_memory_per_protocol=30,
    max_memory_per_connection=25,
    max_memory_per_stream=15,
)
DIRECTIONS = st.sampled_from(["inbound", "outbound"])


class Model:
    """What is held, as plain facts; each sum is made anew from all of them."""

    def __init__(self) -> None:
        self.connections: dict[ConnectionClaim, dict] = {}
        self.streams: dict[StreamClaim, dict] = {}

    def connections_where(self, **wanted) -> int:
        return sum(wanted.items() <= facts.items() for facts in self.connections.values())

    def streams_where(self, **wanted) -> int:
        return sum(wanted.items() <= facts.items() for facts in self.streams.values())

    def memory_where(self, **wanted) -> int:
        held = [*self.connections.values(), *self.streams.values()]
        return sum(facts["memory"] for facts in held if wanted.items() <= facts.items())

    def fits(self) -> bool:
        """Whether every sum is within its limit."""
        limits, conns, streams, memory = (
            TIGHT,
            self.connections_where,
            self.streams_where,
            self.memory_where,
        )
        sums = [
            (conns(), limits.max_connections),
            (conns(direction="inbound"), limits.max_connections_inbound),
            (conns(direction="outbound"), limits.max_connections_outbound),
            (conns(peer=None), limits.max_pending),
            (conns(peer=None, direction="inbound"), limits.max_pending_inbound),
            (conns(peer=None, direction="outbound"), limits.max_pending_outbound),
            (streams(), limits.max_streams),
            (streams(direction="inbound"), limits.max_streams_inbound),
            (streams(direction="outbound"), limits.max_streams_outbound),
            (streams(protocol=""), limits.max_pending_streams),
            (streams(protocol="", direction="inbound"), limits.max_pending_streams_inbound),
            (streams(protocol="", direction="outbound"), limits.max_pending_streams_outbound),
            (memory(), limits.max_memory),
            (memory(pending=True), limits.max_pending_memory),
        ]
        for source in "ab":
            sums.append((conns(peer=None, source=source), limits.max_pending_inbound_per_ip))
        for peer in PEERS:
            sums += [
                (conns(peer=peer), limits.max_connections_per_peer),
                (streams(peer=peer), limits.max_streams_per_peer),
                (streams(peer=peer, direction="inbound"), limits.max_streams_per_peer_inbound),
                (streams(peer=peer, direction="outbound"), limits.max_streams_per_peer_outbound),
                (streams(peer=peer, protocol=""), limits.max_pending_streams_per_peer),
                (memory(peer=peer), limits.max_memory_per_peer),
            ]
        for name in ("/a", "/b"):
            inbound = streams(protocol=name, direction="inbound")
            outbound = streams(protocol=name, direction="outbound")
            sums += [
                (inbound + outbound, limits.max_streams_per_protocol),
                (inbound, limits.max_streams_per_protocol_inbound),
                (outbound, limits.max_streams_per_protocol_outbound),
                (memory(protocol=name), limits.max_memory_per_protocol),
            ]
            for peer in PEERS:
                of_peer = streams(protocol=name, direction="inbound", peer=peer)
                sums.append((of_peer, limits.max_streams_per_protocol_and_peer))
        for number in {facts["number"] for facts in self.streams.values()}:
            sums.append((streams(number=number), limits.max_streams_per_connection))
        for number in {facts["number"] for facts in self.connections.values()}:
            sums.append((memory(number=number), limits.max_memory_per_connection))
        for facts in self.streams.values():
            sums.append((facts["memory"], limits.max_memory_per_stream))
        return all(used <= allowed for used, allowed in sums)


class Accounts(RuleBasedStateMachine):
    """Whatever is asked in whatever order: it is granted exactly when the model has room for it."""

    waiting = Bundle("waiting")
    proven = Bundle("proven")
    streams = Bundle("streams")

    @initialize()
    def begin(self) -> None:
        self.manager = ResourceManager(TIGHT)
        self.model = Model()
        self.numbers = 0
        self.refusals: Counter[tuple[str, str]] = Counter()

    def refused(self, error: LimitExceeded) -> None:
        assert error.limit in str(error)
        assert error.scope
        assert error.scope in str(error)
        assert error.value > getattr(TIGHT, error.limit)

    @rule(target=waiting, direction=DIRECTIONS, source=st.sampled_from(["", "a", "b"]))
    def dial_or_accept(self, direction: StreamDirection, source: str) -> ConnectionClaim | None:
        source = source if direction == "inbound" else ""
        self.numbers += 1
        facts = {
            "direction": direction,
            "source": source,
            "peer": None,
            "memory": 0,
            "number": self.numbers,
            "pending": True,
        }
        key = object()
        self.model.connections[key] = facts  # type: ignore[index]
        fits = self.model.fits()
        del self.model.connections[key]  # type: ignore[arg-type]
        try:
            claim = self.manager.open_connection(direction, source)
        except LimitExceeded as error:
            assert not fits
            self.refused(error)
            return None
        assert fits
        self.model.connections[claim] = facts
        return claim

    @rule(target=proven, claim=consumes(waiting), peer=st.sampled_from(PEERS))
    def prove(self, claim: ConnectionClaim | None, peer: PeerId) -> ConnectionClaim | None:
        if claim is None or not claim.is_open:
            return None
        facts = self.model.connections[claim]
        facts |= {"peer": peer, "pending": False}
        fits = self.model.fits()
        try:
            claim.prove(peer)
        except LimitExceeded as error:
            assert not fits
            self.refused(error)
            facts |= {"peer": None, "pending": True}
            self.close_one(claim)
            return None
        assert fits
        return claim

    @rule(target=streams, claim=proven, direction=DIRECTIONS)
    def open_stream(
        self, claim: ConnectionClaim | None, direction: StreamDirection
    ) -> StreamClaim | None:
        if claim is None or not claim.is_open:
            return None
        of = self.model.connections[claim]
        facts = {
            "direction": direction,
            "peer": of["peer"],
            "number": of["number"],
            "protocol": "",
            "memory": 0,
            "pending": True,
        }
        key = object()
        self.model.streams[key] = facts  # type: ignore[index]
        fits = self.model.fits()
        del self.model.streams[key]  # type: ignore[arg-type]
        try:
            stream = claim.open_stream(direction)
        except LimitExceeded as error:
            assert not fits
            self.refused(error)
            return None
        assert fits
        self.model.streams[stream] = facts
        return stream

    @rule(stream=streams, protocol=st.sampled_from(["/a", "/b"]))
    def agree(self, stream: StreamClaim | None, protocol: str) -> None:
        if stream is None or not stream.is_open or stream.protocol:
            return
        facts = self.model.streams[stream]
        facts |= {"protocol": protocol, "pending": False}
        fits = self.model.fits()
        try:
            stream.agree(protocol)
        except LimitExceeded as error:
            assert not fits
            self.refused(error)
            facts |= {"protocol": "", "pending": True}
        else:
            assert fits

    @rule(claim=st.one_of(waiting, proven, streams), n=st.integers(1, 20))
    def reserve(self, claim: ConnectionClaim | StreamClaim | None, n: int) -> None:
        if claim is None or not claim.is_open:
            return
        held = self.model.connections if isinstance(claim, ConnectionClaim) else self.model.streams
        facts = held[claim]  # type: ignore[index]
        facts["memory"] += n
        fits = self.model.fits()
        try:
            claim.reserve_memory(n)
        except LimitExceeded as error:
            assert not fits
            self.refused(error)
            facts["memory"] -= n
        else:
            assert fits

    @rule(claim=st.one_of(waiting, proven, streams), n=st.integers(1, 20))
    def release(self, claim: ConnectionClaim | StreamClaim | None, n: int) -> None:
        if claim is None or not claim.is_open:
            return
        held = self.model.connections if isinstance(claim, ConnectionClaim) else self.model.streams
        facts = held[claim]  # type: ignore[index]
        if n > facts["memory"]:
            with pytest.raises(LocalError):
                claim.release_memory(n)
        else:
            claim.release_memory(n)
            facts["memory"] -= n

    @rule(claim=st.one_of(waiting, proven, streams))
    def close(self, claim: ConnectionClaim | StreamClaim | None) -> None:
        if claim is not None:
            self.close_one(claim)

    def close_one(self, claim: ConnectionClaim | StreamClaim) -> None:
        claim.close()
        self.model.connections.pop(claim, None)  # type: ignore[arg-type]
        self.model.streams.pop(claim, None)  # type: ignore[arg-type]
        with pytest.raises(LocalError):
            claim.reserve_memory(1)

    @invariant()
    def counts_are_right(self) -> None:
        if not hasattr(self, "model"):
            return
        model = self.model
        assert self.manager.usage() == Usage(
            model.connections_where(),
            model.connections_where(direction="inbound"),
            model.connections_where(direction="outbound"),
            model.streams_where(),
            model.streams_where(direction="inbound"),
            model.streams_where(direction="outbound"),
            model.memory_where(),
        )
        transient = self.manager.usage("transient")
        assert transient.connections == model.connections_where(peer=None)
        assert transient.streams == model.streams_where(protocol="")
        assert transient.memory == model.memory_where(pending=True)
        for peer in PEERS:
            usage = self.manager.usage("peer", str(peer))
            assert usage.connections == model.connections_where(peer=peer)
            assert usage.streams == model.streams_where(peer=peer)
            assert usage.memory == model.memory_where(peer=peer)

    def teardown(self) -> None:
        if not hasattr(self, "model"):
            return
        for claim in [*self.model.connections, *self.model.streams]:
            claim.close()
        assert [usage for _, _, usage in self.manager.scopes()] == [Usage(), Usage()]


TestAccounts = Accounts.TestCase


def test_wrong_calls() -> None:
    claim = ResourceManager().open_connection("inbound")
    with pytest.raises(LocalError, match="before the peer is proven"):
        claim.open_stream("inbound")
    claim.prove(PEERS[0])
    with pytest.raises(LocalError, match="proven already"):
        claim.prove(PEERS[1])
    stream = claim.open_stream("outbound")
    stream.agree("/a")
    with pytest.raises(LocalError, match="has its protocol already"):
        stream.agree("/b")


def test_the_error_names_the_scope_and_the_limit() -> None:
    manager = ResourceManager(Limits(max_connections_per_peer=1))
    manager.open_connection("inbound").prove(PEERS[0])
    with pytest.raises(LimitExceeded) as caught:
        manager.open_connection("inbound").prove(PEERS[0])
    assert caught.value.limit == "max_connections_per_peer"
    assert caught.value.scope == f"peer {PEERS[0]}"
    assert manager.refused == {("peer", "max_connections_per_peer"): 1}


# -- on real connections ---------------------------------------------------------------------------


@pytest.mark.parametrize("listen", ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"])
async def test_a_host_counts_what_is_open_and_returns_to_zero(listen) -> None:
    async with Host(listen=[listen], services=[Echo()]) as alice, Host(services=[]) as bob:
        streams = [await bob.open_stream(alice.addrs[0], "/echo/1.0.0") for _ in range(5)]
        for stream in streams:
            await stream.write(b"x")
            assert await stream.read(1) == b"x"
        here, there = alice.resources, bob.resources
        assert there.usage() == Usage(1, 0, 1, 5, 0, 5)
        assert here.usage() == Usage(1, 1, 0, 5, 5, 0)
        assert here.usage("peer", str(bob.peer_id)) == Usage(1, 1, 0, 5, 5, 0)
        assert here.usage("protocol", "/echo/1.0.0") == Usage(streams=5, streams_inbound=5)
        assert here.usage("transient") == there.usage("transient") == Usage()
        for stream in streams:
            await stream.close()
        await zero_streams(alice, bob)
        await bob.disconnect(alice.peer_id)
        async with asyncio.timeout(60):
            while alice.connections:
                await asyncio.sleep(0.005)
        assert [usage for _, _, usage in here.scopes()] == [Usage(), Usage()]
        assert [usage for _, _, usage in there.scopes()] == [Usage(), Usage()]


async def zero_streams(*hosts: Host) -> None:
    async with asyncio.timeout(60):
        while any(host.resources.usage().streams for host in hosts):
            await asyncio.sleep(0.005)


async def test_our_own_dials_and_streams_are_bounded_too() -> None:
    limits = Limits(max_connections_outbound=1, max_streams_per_protocol_outbound=2)
    async with (
        Host(listen=["/memory/0"], services=[Echo()]) as alice,
        Host(listen=["/memory/0"]) as carol,
        Host(services=[], limits=limits) as bob,
    ):
        held = [await bob.open_stream(alice.addrs[0], "/echo/1.0.0") for _ in range(2)]
        with pytest.raises(LimitExceeded, match="max_streams_per_protocol_outbound"):
            await bob.open_stream(alice.peer_id, "/echo/1.0.0")
        with pytest.raises(DialError, match="max_connections_outbound"):
            await bob.connect(carol.addrs[0])
        await bob.disconnect(alice.peer_id)
        await bob.connect(carol.addrs[0])  # the refusal was ours: no back-off for the address
        assert bob.resources.usage().streams == 0
        for stream in held:
            await stream.close()


async def test_a_dial_that_fails_is_counted_no_more() -> None:
    async with Host() as bob:
        with contextlib.suppress(DialError):
            await bob.connect("/ip4/127.0.0.1/tcp/1/p2p/" + str(PEERS[0]))
        assert bob.resources.usage() == Usage()


async def test_the_counters_in_the_text_format_of_prometheus() -> None:
    from prometheus_client.parser import text_string_to_metric_families

    limits = Limits(max_streams_per_protocol_and_peer=1)
    async with (
        Host(listen=["/memory/0"], services=[Echo()], limits=limits) as alice,
        Host(services=[]) as bob,
    ):
        stream = await bob.open_stream(alice.addrs[0], "/echo/1.0.0")
        with contextlib.suppress(StreamReset):
            refused = await bob.open_stream(alice.peer_id, "/echo/1.0.0")
            await refused.read(1)
        await stream.write(b"x")
        await stream.read(1)
        text = metrics.expose([alice, bob])
        samples = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

        def value(metric: str, **labels: str) -> float:
            return samples[metric, tuple(sorted(labels.items()))]

        a, b = str(alice.peer_id), str(bob.peer_id)
        usage = "libp2p_rcmgr_usage"
        assert value(usage, host=a, scope="system", name="", resource="connections_inbound") == 1
        assert value(usage, host=b, scope="system", name="", resource="connections_outbound") == 1
        assert value(usage, host=b, scope="protocol", name="/echo/1.0.0", resource="streams") == 1
        assert value("libp2p_peers", host=a) == 1
        blocked = "libp2p_rcmgr_blocked_resources_total"
        limit = "max_streams_per_protocol_and_peer"
        assert value(blocked, host=a, scope="protocol peer", limit=limit) == 1
        assert not any(
            str(bob.peer_id) in str(key) for key in samples if str(alice.peer_id) in str(key)
        )
