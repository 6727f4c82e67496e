"""The tree of a DHT's peers: its own network, lookups of hosts and recordings, what is done through the page."""

from __future__ import annotations

import hashlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import libp2p_lab as lab
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.routing.distance import BITS, common_prefix_length, position
from libp2p_lab.widgets.xor_bench import Net, Scene
from libp2p_lab.widgets.xor_live import key_near
from libp2p_lab.widgets.xor_model import Step, expected, lanes, trails_of
from tests.widgets.conftest import Open

KEY = position(b"hello")


# -- the bench --------------------------------------------------------------------------------------


def test_a_table_holds_up_to_k_of_every_bucket() -> None:
    net = Net(Scene(peers=300, k=5), KEY)
    own = net.peers[100]
    sizes = net.table(own).bucket_sizes
    at = position(own.multihash)
    for bucket in range(20):
        inside = [
            p
            for p in net.peers
            if p != own and common_prefix_length(at, position(p.multihash)) == bucket
        ]
        assert sizes.get(bucket, 0) == min(5, len(inside)), bucket


def test_a_lookup_finds_the_closest_and_keeps_to_alpha() -> None:
    net = Net(Scene(peers=1000, k=20, alpha=10), KEY)
    asker = net.peers[500]
    trail = net.lookup(asker)
    assert list(trail.closest) == net.closest(asker)
    assert {step.lane for step in trail.steps} <= set(range(10))
    in_flight = 0
    for step in trail.steps:
        in_flight += 1 if step.kind == "asked" else -1
        assert 0 <= in_flight <= 10
    times = [step.time for step in trail.steps]
    assert times == sorted(times)


def test_the_same_scene_the_same_lookup() -> None:
    scene = Scene(peers=150, gone=0.3, clients=0.2, seed=5)
    one, two = (Net(scene, KEY).lookup(Net(scene, KEY).servers[0]) for _ in range(2))
    assert one.steps == two.steps


def test_the_expectation_of_the_chapter() -> None:
    ideal = expected(10_000, 20, BITS)
    assert ideal[:8] == [20.0] * 8
    assert ideal[8:11] == pytest.approx([19.5, 9.8, 4.9], abs=0.05)
    assert sum(ideal) == pytest.approx(199, abs=0.5)


def test_whoever_is_gone_costs_the_time_out() -> None:
    net = Net(Scene(peers=200, gone=0.5), KEY)
    trail = net.lookup(net.servers[0])
    assert trail.failures > 0
    assert trail.seconds >= 5
    assert not net.gone & set(trail.closest)


def test_clients_are_in_no_table_unless_by_mistake() -> None:
    scene = Scene(peers=200, clients=0.5)
    net = Net(scene, KEY)
    assert not net.clients & set(net.table(net.servers[0]).peers)
    assert net.lookup(net.servers[0]).failures == 0
    wrong = Net(Scene(peers=200, clients=0.5, clients_in_tables=True), KEY)
    assert wrong.clients & set(wrong.table(wrong.servers[0]).peers)
    assert wrong.lookup(wrong.servers[0]).failures > 0


def test_sybils_take_over_a_key() -> None:
    net = Net(Scene(peers=200, k=8, sybils=16), KEY)
    nearest = min(position(p.multihash) ^ KEY for p in net.servers)
    assert all(position(p.multihash) ^ KEY < nearest for p in net.sybils)
    trail = net.lookup(net.servers[0])
    assert set(trail.closest) <= net.sybils


def test_a_ruler_sorts_otherwise() -> None:
    target = 1 << (BITS - 1)  # the first half of the key space ends here
    by_xor, by_ruler = (Net(Scene(peers=400, numeric=n), target) for n in (False, True))
    asker = by_xor.peers[7]
    halves = {position(p.multihash) >> (BITS - 1) for p in by_ruler.lookup(asker).closest}
    assert halves == {0, 1}  # neighbours by number, strangers by XOR
    assert {position(p.multihash) >> (BITS - 1) for p in by_xor.lookup(asker).closest} == {1}


def test_what_is_no_scene() -> None:
    for wrong in ({"peers": 9}, {"peers": 10_001}, {"k": 0}, {"alpha": 0}, {"gone": 0.95}):
        with pytest.raises(lab.LocalError):
            Scene(**wrong)  # type: ignore[arg-type]


@given(st.integers(0, 2**BITS - 1), st.integers(10, 60), st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=20, deadline=None)
def test_any_lookup_ends_well(target: int, peers: int, k: int, alpha: int) -> None:
    net = Net(Scene(peers=peers, k=k, alpha=alpha, gone=0.2), target)
    asker = net.servers[0]
    trail = net.lookup(asker)
    assert trail.why
    assert trail.requests == sum(s.kind != "asked" for s in trail.steps) or trail.closest
    assert asker not in trail.closest


# -- the model --------------------------------------------------------------------------------------


def some_peer(number: int) -> PeerId:
    return PeerId(b"\x12\x20" + hashlib.sha256(b"%d" % number).digest())


def test_lanes_are_reused() -> None:
    a, b, c = map(some_peer, range(3))
    steps = [Step(0, "asked", a), Step(0, "asked", b), Step(1, "answered", a), Step(1, "asked", c)]
    assert [step.lane for step in lanes(steps)] == [0, 1, 0, 0]


async def test_live_peers_and_their_recording(open_page: Open) -> None:
    async def host() -> lab.Host:
        services = [lab.Identify(), lab.Ping(), lab.KadDHT(k=4, alpha=2)]
        return lab.Host(listen=["/memory/0"], services=services)

    async with await host() as one, await host() as two, await host() as three:
        for other in (two, three):
            await other.dht.bootstrap([one.addrs[0]])
        tree = lab.widgets.XorTree({"one": one, "two": two, "three": three})
        assert tree.peers == sorted(
            (h.peer_id for h in (one, two, three)), key=lambda p: position(p.multihash)
        )
        page = open_page(tree)
        assert page.of("state")[-1]["scene"] is None
        assert set(page.of("state")[-1]["names"].values()) == {"one", "two", "three"}
        with lab.record(three) as log:
            tree.see_from(three)
            before = len(page.of("state"))
            page.tell("key", text="hello")
            told = await page.wait_for("state", before + 1)
            while told["trail"] is None or not told["trail"]["closest"]:
                before = len(page.of("state"))
                told = await page.wait_for("state", before + 1)
        assert tree.trail is not None
        assert tree.trail.target == KEY
        assert tree.trail.asker == three.peer_id
        assert (tree.trail.k, tree.trail.alpha) == (4, 2)
        again = lab.widgets.XorTree(log)
        assert [trail.target for trail in trails_of(log)] == [KEY]
        assert again.trail is not None
        assert again.trail.closest == tree.trail.closest
        assert "asked" in again._repr_mimebundle_()["text/plain"]
        with pytest.raises(lab.LocalError):
            again.change(k=2)
        tree.close()
        assert three.trace.listeners == ()


async def test_live_peers_are_poked(open_page: Open) -> None:
    services = [lab.Identify(), lab.Ping(), lab.KadDHT(k=4)]
    one = lab.Host(listen=["/memory/0"], services=services)
    services = [lab.Identify(), lab.Ping(), lab.KadDHT(k=4)]
    async with one, lab.Host(listen=["/memory/0"], services=services) as two:
        await two.dht.bootstrap([one.addrs[0]])
        tree = lab.widgets.XorTree([two, one])
        page = open_page(tree)
        at = tree.peers.index(one.peer_id)
        assert sorted(page.of("state")[-1]["ours"]) == [0, 1]
        page.tell("poke", peer=at, what="client")
        await page.wait_for("state", len(page.of("state")) + 1)
        assert one.dht.mode == "client"
        assert page.sent[-1][1][1][at] == 2
        page.tell("poke", peer=at, what="gone")
        while one.is_running:
            await page.wait_for("state", len(page.of("state")) + 1)
        tree.close()


async def test_an_internet_is_searched(open_page: Open) -> None:
    with lab.sim.Internet(seed=1) as net:
        for number in range(4):
            net.host(f"h{number}", services=[lab.Identify(), lab.Ping(), lab.KadDHT(k=3)])

        async def join() -> None:
            hosts = list(net.hosts_by_name.values())
            for host in hosts[1:]:
                await host.run(host.dht.bootstrap([hosts[0].addrs[0]]))

        net.run(join())
        tree = lab.widgets.XorTree(net)
        page = open_page(tree)
        assert set(page.of("state")[-1]["names"].values()) == {"h0", "h1", "h2", "h3"}
        page.tell("key", text="hello")
        for _ in range(50):
            await page.wait_for("state", len(page.of("state")) + 1)
            if tree.trail is not None and tree.trail.target == KEY and tree.trail.why:
                break
        assert tree.trail is not None
        assert tree.trail.target == KEY
        tree.close()


def test_without_a_dht() -> None:
    with pytest.raises(lab.LocalError):
        lab.widgets.XorTree(lab.Host())
    with pytest.raises(lab.LocalError):
        lab.widgets.XorTree([])


def test_a_key_near_a_place() -> None:
    for place in (0, 1 << 255, 2**BITS - 1):
        assert abs(position(key_near(place)) - place) < 2**BITS // 256


# -- the page ---------------------------------------------------------------------------------------


async def test_the_page_changes_the_world(open_page: Open) -> None:
    tree = lab.widgets.XorTree(peers=60, k=4)
    page = open_page(tree)
    first = page.of("state")[-1]
    buffers = page.sent[-1][1]
    spots = struct.unpack(f"{len(buffers[0]) // 8}d", buffers[0])
    assert list(spots) == sorted(spots)
    assert len(spots) == len(buffers[1]) == 60

    async def tell(kind: str, **content: object) -> dict[str, object]:
        before = len(page.of("state"))
        page.tell(kind, **content)
        return await page.wait_for("state", before + 1)

    assert (await tell("scene", changes={"k": 2}))["k"] == 2
    assert (await tell("target", at=0.25))["target"] == pytest.approx(0.25)
    assert (await tell("key", text="hello"))["target"] == pytest.approx(first["target"])
    assert (await tell("viewer", peer=3))["viewer"] == 3
    await tell("poke", peer=7, what="gone")
    assert page.sent[-1][1][1][7] == 1
    await tell("poke", peer=8, what="client")
    assert page.sent[-1][1][1][8] == 2
    await tell("scene", changes={"sybils": 4})
    assert sum(flag == 4 for flag in page.sent[-1][1][1]) == 4
    assert "sybils" in tree.summary()
    told = await tell("mend")
    assert set(page.sent[-1][1][1]) == {0}
    assert told["scene"]["k"] == 2  # type: ignore[index]
    page.tell("scene", changes={"peers": 1_000_000})
    assert page.of("problem")


async def test_what_the_page_may_not_say(open_page: Open) -> None:
    tree = lab.widgets.XorTree(peers=30)
    page = open_page(tree)
    before, scene = len(page.of("state")), tree.scene
    for kind, content in (
        ("viewer", {"peer": 99}),
        ("target", {"at": 1.5}),
        ("target", {"at": "here"}),
        ("poke", {"peer": -1, "what": "gone"}),
        ("scene", {"changes": 3}),
        ("dance", {}),
    ):
        page.tell(kind, **content)
    assert len(page.of("state")) == before
    assert tree.scene == scene


def test_from_python() -> None:
    tree = lab.widgets.XorTree(peers=100, k=5)
    trail = tree.look_up(b"other")
    assert trail is not None
    assert trail.target == position(b"other")
    assert tree.change(alpha=1).requests <= 100  # type: ignore[union-attr]
    tree.see_from(tree.peers[3])
    assert tree.viewer == tree.peers[3]
    assert tree.trail is not None
    assert tree.trail.asker == tree.peers[3]
    assert sum(tree.bucket_sizes.values()) > 5
    with pytest.raises(lab.LocalError):
        tree.see_from(some_peer(0))
    with pytest.raises(lab.LocalError):
        tree.look_up(-1)
    bundle = tree._repr_mimebundle_()
    assert 'role="img"' in bundle["text/html"]
    assert "bucket" in bundle["text/plain"]
