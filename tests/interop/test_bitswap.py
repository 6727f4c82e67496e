"""Bitswap and UnixFS with Helia (js) and py-libp2p: a file each way, and one name for the same bytes."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab.content import add_file, fetch_file
from libp2p_lab.content.bitswap_messages import Message
from libp2p_lab.content.cid import Codec
from libp2p_lab.content.dag import cut, encode_node
from libp2p_lab.foreign import ForeignPeer
from tests.interop.meeting import Meeting, MiB, meet, our_host
from tests.interop.peers import js_peer

pytestmark = pytest.mark.timeout(180)

KiB = 1024
HELIA = {"chunk_size": MiB, "width": 1024}  # @helia/unixfs 8.0.5, where nobody says otherwise


def some_bytes(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


@asynccontextmanager
async def exchange(kind: str, dialer: str = "we dial") -> AsyncIterator[Meeting]:
    parts: dict[str, Any] = {"services": [lab.Identify(), lab.Ping(), lab.Bitswap()]}
    async with meet(kind, parts=parts, bitswap=True) as m:
        await m.connect(dialer)
        yield m


async def cut_by_them(peer: ForeignPeer, data: bytes, folder: Path, **layout: int) -> str:
    path = folder / "theirs"
    path.write_bytes(data)
    name: str = await peer.call("add_file", path=str(path), **layout)
    return name


async def fetched_by_them(peer: ForeignPeer, cid: lab.CID, folder: Path) -> bytes:
    path = folder / "fetched"
    await peer.call("fetch_file", cid=str(cid), path=str(path))
    return path.read_bytes()


@pytest.mark.parametrize(
    ("kind", "dialer", "size"),
    [("js", "we dial", 16 * MiB), ("js", "they dial", 2 * MiB), ("py", "they dial", 4 * MiB)],
)
async def test_a_file_both_ways(kind, dialer, size, tmp_path):
    """Byte by byte the same, whoever dialled."""
    # The last leaf is a short one.
    ours, theirs = some_bytes(size + 321, 1), some_bytes(size + 321, 2)
    async with exchange(kind, dialer) as m:
        name = await cut_by_them(m.theirs, theirs, tmp_path, chunk_size=256 * KiB)
        assert await fetch_file(m.host, lab.CID.from_text(name)) == theirs

        cid = add_file(m.host.bitswap.store, ours)
        assert await fetched_by_them(m.theirs, cid, tmp_path) == ours
        messages = [e.what for e in m.entries if isinstance(e.what, Message)]
        assert max(len(block.data) for one in messages for block in one.blocks) == 256 * KiB
        assert not m.host.bitswap.is_banned(m.theirs.peer_id)


async def test_one_name_for_the_same_bytes_and_layout(tmp_path):
    """Trees of several levels, narrow and wide; our layout, and the one that Helia takes by itself."""
    async with exchange("js") as m:
        for size in (0, 1, 174 * 7, 174 * 7 + 1, 40_000):
            data = some_bytes(size, size)
            for chunk_size, width in ((7, 174), (7, 3), (256 * KiB, 174)):
                layout = {"chunk_size": chunk_size, "width": width}
                name = await cut_by_them(m.theirs, data, tmp_path, **layout)
                assert name == str(cut(data, **layout)[0]), (size, layout)

        theirs, ours = some_bytes(2 * MiB + 5, 3), some_bytes(2 * MiB + 5, 4)
        name = await cut_by_them(m.theirs, theirs, tmp_path)
        assert name == str(cut(theirs, **HELIA)[0]) != str(cut(theirs)[0])
        assert await fetch_file(m.host, lab.CID.from_text(name)) == theirs
        cid = add_file(m.host.bitswap.store, ours, **HELIA)
        assert await fetched_by_them(m.theirs, cid, tmp_path) == ours


async def test_py_names_the_leaves_as_we_do_and_the_root_otherwise(tmp_path):
    """py-libp2p 0.8.1 writes 0 for the bytes of all blocks below a link to a leaf."""
    data = some_bytes(1000, 5)
    leaves = [data[start : start + 100] for start in range(0, 1000, 100)]
    async with exchange("py") as m:
        name = await cut_by_them(m.theirs, data, tmp_path, chunk_size=100)
        zeros = encode_node([(lab.CID.of(leaf), len(leaf), 0) for leaf in leaves])
        assert name == str(lab.CID.of(zeros, Codec.DAG_PB)) != str(cut(data, 100)[0])


async def test_a_file_is_found_through_the_dht(tmp_path):
    """Neither knows the other: a third peer, to whom both are connected, tells who has the file."""
    ours, theirs = some_bytes(MiB, 6), some_bytes(MiB, 7)
    async with AsyncExitStack() as stack:
        third = await stack.enter_async_context(
            our_host(services=[lab.Identify(), lab.Ping(), lab.KadDHT()])
        )
        services = [lab.Identify(), lab.Ping(), lab.KadDHT(), lab.Bitswap()]
        host = await stack.enter_async_context(our_host(services=services))
        helia = await stack.enter_async_context(await js_peer(dht=True, bitswap=True))
        await host.dht.bootstrap([third.addrs[0]])
        await helia.call("dht_join", addr=str(third.addrs[0]))
        assert not host.is_connected(helia.peer_id)

        cid = add_file(host.bitswap.store, ours)
        await host.dht.provide(cid)
        assert await fetched_by_them(helia, cid, tmp_path) == ours

        await host.disconnect(helia.peer_id)
        name = lab.CID.from_text(await cut_by_them(helia, theirs, tmp_path))
        await helia.call("provide", multihash=name.multihash.hex())
        assert await fetch_file(host, name) == theirs
