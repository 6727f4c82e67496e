"""Our DHT with those of js-libp2p and py-libp2p: finding, storing and providing, each way and through others."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab.errors import RecordInvalid
from libp2p_lab.foreign import ForeignError, ForeignPeer
from libp2p_lab.routing import KadMessage, MessageType
from tests.content.test_cores import Newest
from tests.interop.meeting import Meeting, meet, our_host
from tests.interop.peers import PEERS

pytestmark = pytest.mark.timeout(120)


def services() -> list[Any]:
    # Namespaces of one's own need a validator everywhere: a DHT on /ipfs believes only "pk" and "ipns" by itself.
    return [lab.Identify(), lab.Ping(), lab.KadDHT(validators={"n": Newest()})]


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


def multihash(text: str) -> bytes:
    return b"\x12\x20" + hashlib.sha256(text.encode()).digest()


@asynccontextmanager
async def joined(kind: str) -> AsyncIterator[Meeting]:
    """Two peers, each in the other's table."""
    async with meet(kind, parts={"services": services()}, dht=True) as m:
        await m.theirs.call("dht_join", addr=str(m.host.addrs[0]))
        await until(lambda: m.theirs.peer_id in m.host.dht.table)
        yield m


def requests(m: Meeting, direction: str) -> list[str]:
    """The kinds of messages, in order."""
    return [
        e.what.type.name
        for e in m.entries
        if e.direction == direction and isinstance(e.what, KadMessage)
    ]


@pytest.mark.parametrize("kind", PEERS)
async def test_closest_peers(kind):
    async with joined(kind) as m:
        assert await m.host.dht.closest_peers(b"some key") == [m.theirs.peer_id]
        found = await m.theirs.call("closest_peers", key=b"some key".hex())
        assert str(m.host.peer_id) in found
        for direction in ("sent", "received"):
            assert "FIND_NODE" in requests(m, direction)


@pytest.mark.parametrize("kind", PEERS)
async def test_a_peer_found_through_a_third(kind):
    """We find one that only they know; they find one that only we know."""
    async with AsyncExitStack() as stack:
        m = await stack.enter_async_context(joined(kind))
        theirs_only = await stack.enter_async_context(our_host(services=services()))
        ours_only = await stack.enter_async_context(our_host(services=services()))
        await m.theirs.call("dht_join", addr=str(theirs_only.addrs[0]))
        found = await m.host.dht.find_peer(theirs_only.peer_id)
        assert theirs_only.addrs[0].without_peer() in [a.without_peer() for a in found.addrs]
        connection = await m.host.connect(theirs_only.peer_id)
        assert connection.remote_peer == theirs_only.peer_id

        await ours_only.dht.bootstrap([m.host.addrs[0]])
        await until(lambda: ours_only.peer_id in m.host.dht.table)
        told = await m.theirs.call("find_peer", peer_id=str(ours_only.peer_id))
        addrs = [lab.Multiaddr(addr).without_peer() for addr in told["addrs"]]
        assert ours_only.addrs[0].without_peer() in addrs


@pytest.mark.parametrize("kind", PEERS)
async def test_provide_and_find(kind):
    async with joined(kind) as m:
        ours, theirs = multihash("ours"), multihash("theirs")
        assert await m.host.dht.provide(ours) == [m.theirs.peer_id]
        told = await m.theirs.call("find_providers", multihash=ours.hex())
        assert str(m.host.peer_id) in [provider["peer_id"] for provider in told]

        await m.theirs.call("provide", multihash=theirs.hex())
        await until(lambda: m.host.dht.providers.get(theirs))
        found = [info.peer_id async for info in m.host.dht.find_providers(theirs)]
        assert found == [m.theirs.peer_id]
        asked = [info.peer_id async for info in m.host.dht.find_providers(ours)]
        assert m.host.peer_id not in asked, "we do not name ourselves"
        # ADD_PROVIDER has no answer: we send none, and take one as the end of a stream that we have closed.
        received = requests(m, "received")
        assert "ADD_PROVIDER" in received
        assert requests(m, "sent").count("ADD_PROVIDER") == 1, "only the one that we began"


@pytest.mark.parametrize("kind", PEERS)
async def test_many_keys_on_one_stream(kind):
    async with joined(kind) as m:
        keys = [multihash(f"ours {number}") for number in range(5)]
        swept = await m.host.dht.provide_many(keys)
        assert set(swept.told.values()) == {(m.theirs.peer_id,)}
        for key in keys:  # what they wrote down, asked of nobody else
            question = KadMessage(MessageType.GET_PROVIDERS, key)
            providers: list[lab.PeerId] = []
            async with asyncio.timeout(
                60
            ):  # py-libp2p may answer before it has written down the first
                while not providers:
                    answer = await m.host.dht.request(m.theirs.peer_id, question)
                    providers = [peer.peer_id for peer in answer.provider_peers]
            assert providers == [m.host.peer_id]


@pytest.mark.parametrize("kind", PEERS)
async def test_peers_of_a_namespace(kind):
    """They have no call for it: who provides the hash of its text is found, and so are we by who asks for it."""
    async with joined(kind) as m:
        assert await m.host.dht.advertise("ours") == [m.theirs.peer_id]
        told = await m.theirs.call("find_providers", multihash=multihash("ours").hex())
        assert str(m.host.peer_id) in [provider["peer_id"] for provider in told]
        await m.theirs.call("provide", multihash=multihash("theirs").hex())
        await until(lambda: m.host.dht.providers.get(multihash("theirs")))
        found = [info.peer_id async for info in m.host.dht.find_peers("theirs")]
        assert found == [m.theirs.peer_id]


@pytest.mark.parametrize("kind", PEERS)
async def test_put_and_get(kind):
    async with joined(kind) as m:
        assert await m.host.dht.put(b"/n/ours", b"41") == [m.theirs.peer_id]
        assert await m.theirs.call("get_value", key="/n/ours") == b"41".hex()
        await m.theirs.call("put_value", key="/n/theirs", value=b"7".hex())
        assert m.host.dht.values.get(b"/n/theirs").value == b"7"
        assert await m.host.dht.get(b"/n/theirs", quorum=0) == b"7"

        bad = m.theirs.call("put_value", key="/n/theirs", value=b"word".hex())
        if kind == "py":
            with pytest.raises(ForeignError, match="not a number"):
                await bad
        else:  # @libp2p/kad-dht 16.4.5 sends what its own validator would refuse; we refuse it
            await bad
        assert m.host.dht.values.get(b"/n/theirs").value == b"7"
        with pytest.raises(RecordInvalid):
            await m.host.dht.put(b"/n/ours", b"word")
        key = b"/pk/" + m.host.peer_id.multihash
        with pytest.raises(RecordInvalid):
            await m.host.dht.put(key, lab.KeyPair.generate().public.to_protobuf())


@pytest.mark.parametrize("kind", PEERS)
async def test_they_do_not_believe_what_their_validator_refuses(kind):
    """Our host, without rules for /n, stores whatever it is given; they take only what is a number."""

    class Anything(Newest):
        def validate(self, key: bytes, value: bytes) -> None: ...

        def select(self, key: bytes, values: Any) -> int:
            return 0

    dht = lab.KadDHT(validators={"n": Anything()})
    parts = {"services": [lab.Identify(), lab.Ping(), dht]}
    async with meet(kind, parts=parts, dht=True) as m:
        await m.theirs.call("dht_join", addr=str(m.host.addrs[0]))
        await until(lambda: m.theirs.peer_id in m.host.dht.table)
        assert await m.host.dht.put(b"/n/a", b"word") == [], "refused"
        assert await m.host.dht.put(b"/n/b", b"12") == [m.theirs.peer_id]


async def test_a_mixed_dht():
    """Two of each, joined in a chain: what one stores, provides or is called, every other finds."""
    async with AsyncExitStack() as stack:
        hosts = [await stack.enter_async_context(our_host(services=services())) for _ in range(2)]
        started = await asyncio.gather(*(PEERS[k](dht=True) for k in ("js", "py", "js", "py")))
        theirs = [await stack.enter_async_context(peer) for peer in started]
        chain: list[Any] = [hosts[0], theirs[0], theirs[1], hosts[1], theirs[2], theirs[3]]
        for one, other in zip(chain[1:], chain, strict=False):
            if isinstance(one, ForeignPeer):
                await one.call("dht_join", addr=str(other.addrs[0]))
            else:
                await one.dht.bootstrap([other.addrs[0]])
        for host in hosts:
            await host.dht.refresh()
            await until(lambda h=host: len(h.dht.table) >= 2)

        for n, peer in enumerate(chain):
            key, value, digest = f"/n/{n}", str(n).encode(), multihash(f"file {n}")
            if isinstance(peer, ForeignPeer):
                await peer.call("put_value", key=key, value=value.hex())
                await peer.call("provide", multihash=digest.hex())
            else:
                assert await peer.dht.put(key.encode(), value)
                assert await peer.dht.provide(digest)
        for peer in chain:
            for n, other in enumerate(chain):
                if other is peer:
                    continue
                key, digest = f"/n/{n}", multihash(f"file {n}")
                if isinstance(peer, ForeignPeer):
                    assert await peer.call("get_value", key=key) == str(n).encode().hex()
                    told = await peer.call("find_providers", multihash=digest.hex())
                    assert str(other.peer_id) in [provider["peer_id"] for provider in told]
                    assert (await peer.call("find_peer", peer_id=str(other.peer_id)))["addrs"]
                else:
                    assert await peer.dht.get(key.encode()) == str(n).encode()
                    found = [info.peer_id async for info in peer.dht.find_providers(digest)]
                    assert other.peer_id in found
                    assert (await peer.dht.find_peer(other.peer_id)).addrs
