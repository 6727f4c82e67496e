"""Live hosts and their DHT: joining, finding, storing, providing, and what goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab.errors import DialError, LabError, LocalError, RecordInvalid
from libp2p_lab.routing import KadMessage, MessageType, Record, closest, position
from libp2p_lab.routing.kad import private_only, public_only
from libp2p_lab.wire import varint
from tests.content.test_cores import Newest

pytestmark = pytest.mark.timeout(150)


@asynccontextmanager
async def network(count: int, **options: Any) -> AsyncIterator[list[lab.Host]]:
    """So many hosts, each of which joined through the first."""
    limits = options.pop("limits", None)
    async with AsyncExitStack() as stack:
        hosts = []
        for _ in range(count):
            dht = lab.KadDHT(validators={"n": Newest()}, **options)
            services = [lab.Identify(), lab.Ping(), dht]
            host = lab.Host(listen=["/memory/0"], services=services, limits=limits)
            hosts.append(await stack.enter_async_context(host))
        for host in hosts[1:]:
            await host.dht.bootstrap([hosts[0].addrs[0]])
        yield hosts


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def test_everybody_finds_the_same_closest_peers() -> None:
    async with network(12, k=4) as hosts:
        for host in hosts:
            await host.dht.refresh()
        ids = [host.peer_id for host in hosts]
        for number in range(6):
            key, asker = b"key %d" % number, hosts[number]
            others = [peer for peer in ids if peer != asker.peer_id]
            assert await asker.dht.closest_peers(key) == closest(others, position(key), 4)


async def test_a_peer_is_dialed_by_its_name_alone() -> None:
    async with network(8) as hosts:
        first, last = hosts[1], hosts[-1]
        first.peerstore.forget(last.peer_id)
        await first.disconnect(last.peer_id)
        first.peerstore.forget(last.peer_id)
        connection = await first.connect(last.peer_id)
        assert connection.remote_peer == last.peer_id
        stranger = lab.PeerId.from_public_key(lab.KeyPair.generate().public)
        assert await first.dht.find_peer(stranger) is None
        with pytest.raises(DialError):
            await first.connect(stranger)


async def test_a_client_asks_and_is_in_no_table() -> None:
    async with network(4) as hosts:
        dht = lab.KadDHT(mode="client")
        async with lab.Host(services=[lab.Identify(), dht]) as client:
            await dht.bootstrap([hosts[0].addrs[0]])
            assert len(await dht.closest_peers(b"key")) == 4
            assert all(client.peer_id not in host.dht.table for host in hosts)
            dht.set_mode("server")
            await client.connect(hosts[1].addrs[0])
            assert "/ipfs/kad/1.0.0" in client.protocols


async def test_values_are_put_and_got_and_corrected() -> None:
    async with network(8, k=4) as hosts:
        took = await hosts[0].dht.put(b"/n/x", b"7")
        assert len(took) == 4
        assert await hosts[5].dht.get(b"/n/x", quorum=0) == b"7"
        old = next(host for host in hosts if host.peer_id in took)
        old.dht.values._values.pop(b"/n/x")
        old.dht.values.put(b"/n/x", b"3")
        asker = next(host for host in hosts if host.peer_id not in took)
        assert await asker.dht.get(b"/n/x", quorum=0) == b"7"
        await until(lambda: old.dht.values.get(b"/n/x").value == b"7")
        assert await hosts[1].dht.get(b"/n/nothing") is None
        for key, value in ((b"/n/x", b"nonsense"), (b"/other/x", b"1")):
            with pytest.raises(RecordInvalid):
                await hosts[0].dht.put(key, value)


async def test_providers_are_found_by_whoever_asks() -> None:
    async with network(8) as hosts:
        cid = lab.CID.of(b"a block")
        for host in hosts[:3]:
            assert len(await host.dht.provide(cid)) >= 3
        found = [info.peer_id async for info in hosts[6].dht.find_providers(cid)]
        assert set(found) == {host.peer_id for host in hosts[:3]}
        only = [info async for info in hosts[6].dht.find_providers(cid, count=1)]
        assert len(only) == 1
        assert only[0].addrs
        async for _ in hosts[5].dht.find_providers(cid.multihash):
            break  # an impatient caller leaves nothing behind
        hosts[0].dht.stop_providing(cid)
        assert [i async for i in hosts[7].dht.find_providers(lab.CID.of(b"other"))] == []


async def test_peers_of_one_namespace_find_each_other() -> None:
    async with network(6) as hosts:
        for host in hosts[:2]:
            assert len(await host.dht.advertise("chess")) >= 3
        found = {info.peer_id async for info in hosts[4].dht.find_peers("chess")}
        assert found == {host.peer_id for host in hosts[:2]}
        others = [info.peer_id async for info in hosts[0].dht.find_peers("chess")]
        assert others == [hosts[1].peer_id], "we do not find ourselves"
        assert [i async for i in hosts[4].dht.find_peers("Chess")] == []
        # What go-libp2p asks for when it looks for this namespace: the hash of its text, as a raw block.
        cid = lab.CID.from_text("bafkreifmooo4zujb64jgdwdumesw5hfhbwhdw3n3zsihnvptwughhjosfu")
        assert cid.matches(b"chess")
        assert {i.peer_id async for i in hosts[5].dht.find_providers(cid)} == found
        hosts[0].dht.stop_advertising("chess")
        for wrong in (hosts[0].dht.stop_advertising, hosts[0].dht.find_peers):
            with pytest.raises(LocalError):
                wrong("")


async def test_peers_that_die_leave_the_tables() -> None:
    limits = lab.Limits(kad_request_timeout=2.0)
    async with network(6, limits=limits) as hosts:
        dead = hosts[5]
        await dead.close()
        await hosts[0].dht.closest_peers(dead.peer_id.multihash)
        assert dead.peer_id not in hosts[0].dht.table


async def test_disjoint_paths_find_as_much() -> None:
    async with network(10, k=4, paths=3) as hosts:
        for host in hosts:
            await host.dht.refresh()
        found = await hosts[2].dht.closest_peers(b"key")
        others = [host.peer_id for host in hosts if host is not hosts[2]]
        assert found[0] == closest(others, position(b"key"), 1)[0]


async def test_bootstrap_without_anybody_says_so() -> None:
    async with network(1) as (alone,):
        await alone.dht.bootstrap()
        assert await alone.dht.closest_peers(b"key") == []
        assert await alone.dht.get(b"/n/x") is None
        with pytest.raises(DialError):
            await alone.dht.bootstrap(["/memory/999999"])
        async with lab.Host(listen=["/memory/0"]) as plain:
            with pytest.raises(DialError):
                await alone.dht.bootstrap([plain.addrs[0]])


@asynccontextmanager
async def raw(victim: lab.Host) -> AsyncIterator[Any]:
    """A stream to the victim's DHT, and somebody to write anything on it."""
    async with lab.Host() as mallory:
        await mallory.connect(victim.addrs[0])
        yield await mallory.open_stream(victim.peer_id, "/ipfs/kad/1.0.0")


async def test_several_requests_on_one_stream() -> None:
    async with network(2) as (alice, _), raw(alice) as stream:
        for number in range(3):
            request = KadMessage(MessageType.FIND_NODE, b"%d" % number)
            await stream.write_message(request.encode())
        for number in range(3):
            answer = KadMessage.decode(await stream.read_message(100_000))
            assert (answer.type, answer.key) == (MessageType.FIND_NODE, b"%d" % number)
            assert len(answer.closer_peers) == 1
        ping = KadMessage(MessageType.PING)
        await stream.write_message(ping.encode())
        assert KadMessage.decode(await stream.read_message(1000)) == ping


@pytest.mark.parametrize(
    "sent",
    [
        varint.encode(4 * 1024 * 1024 + 1),
        varint.encode(2**32),
        b"\xff" * 10,
        b"\x04\xff\xff\xff\xff",
        varint.encode(4) + b"\x08\x63\x50\x00",
    ],
    ids=["4 MiB and 1", "4 GiB", "endless varint", "garbage", "unknown type"],
)
async def test_s24_what_is_too_long_or_nonsense_costs_its_stream(sent: bytes) -> None:
    async with network(1) as (alice,), raw(alice) as stream:
        await stream.write(sent)
        with pytest.raises(LabError):
            await stream.read()
            await stream.write(b"x")


async def test_s27_values_that_are_not_valid_are_stored_nowhere() -> None:
    bad = [
        Record(b"/n/x", b"nonsense"),
        Record(b"/n/y", b"1"),
        Record(b"/n/x", b"1" * 2_000_000),
        None,
    ]
    async with network(1) as (alice,):
        for record in bad:
            async with raw(alice) as stream:
                message = KadMessage(MessageType.PUT_VALUE, b"/n/x", record)
                await stream.write_message(message.encode())
                with pytest.raises(LabError):
                    await stream.read_message(100)
        assert len(alice.dht.values) == 0


async def test_s25_records_for_others_are_not_taken() -> None:
    async with network(2) as (alice, bob), lab.Host() as mallory:
        await mallory.connect(alice.addrs[0])
        from libp2p_lab.routing.kad_messages import Peer

        message = KadMessage(
            MessageType.ADD_PROVIDER,
            b"key",
            provider_peers=(Peer(bob.peer_id), Peer(mallory.peer_id)),
        )
        stream = await mallory.open_stream(alice.peer_id, "/ipfs/kad/1.0.0")
        await stream.write_message(message.encode())
        request = KadMessage(MessageType.GET_PROVIDERS, b"key")
        await stream.write_message(request.encode())
        answer = KadMessage.decode(await stream.read_message(100_000))
        assert answer.type is MessageType.GET_PROVIDERS, "ADD_PROVIDER is not answered"
        assert [peer.peer_id for peer in answer.provider_peers] == [mallory.peer_id]


async def test_s30_answers_with_ourselves_and_ten_thousand_peers() -> None:
    from libp2p_lab.routing.kad_messages import Peer
    from tests.routing.test_cores import peer_id

    limits = lab.Limits(kad_request_timeout=20.0)
    async with network(1, limits=limits) as (alice,), lab.Host(listen=["/memory/0"]) as mallory:

        @mallory.handle("/ipfs/kad/1.0.0")
        async def lie(stream: Any) -> None:
            request = KadMessage.decode(await stream.read_message(100_000))
            crowd = tuple(Peer(peer_id(n), (lab.Multiaddr("/memory/77"),)) for n in range(10_000))
            closer = (Peer(alice.peer_id, tuple(alice.addrs)), *crowd)
            answer = KadMessage(request.type, request.key, closer_peers=closer)
            await stream.write_message(answer.encode())

        await alice.dht.bootstrap([mallory.addrs[0]])
        known = len(alice.peerstore)
        assert await alice.dht.closest_peers(b"key") == [mallory.peer_id]
        assert len(alice.peerstore) <= known + 25
        assert alice.peer_id not in alice.dht.table


def test_lan_and_wan_take_different_peers() -> None:
    public, private = lab.Multiaddr("/ip4/8.8.8.8/tcp/1"), lab.Multiaddr("/ip4/192.168.1.1/tcp/1")
    name = lab.Multiaddr("/dns4/example.org/tcp/1")
    assert [public_only([a]) for a in (public, private, name)] == [True, False, True]
    assert [private_only([a]) for a in (public, private, name)] == [False, True, False]
    assert not public_only([])
    assert not private_only([])


async def test_misuse() -> None:
    async with lab.Host() as plain:
        with pytest.raises(LocalError, match="KadDHT"):
            _ = plain.dht
    async with network(1) as (alice,):
        with pytest.raises(LocalError):
            await alice.dht.provide(b"")
