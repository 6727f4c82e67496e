"""A CID taken apart, a file cut into blocks, and a peer that sends other ones."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import libp2p_lab as lab
from libp2p_lab.content import CID
from libp2p_lab.content.cid import Codec
from libp2p_lab.content.dag import cut, links_of, walk
from libp2p_lab.errors import LabError
from libp2p_lab.widgets.block_bench import Fetch, fetch, lie
from libp2p_lab.widgets.block_model import anatomy, forms
from tests.widgets.conftest import Open


def test_a_cid_taken_apart() -> None:
    cid = CID.of(b"hello")
    parts = anatomy(cid)
    assert b"".join(part.data for part in parts) == cid.encode()
    assert [part.value for part in parts][:4] == ["1", "raw", "sha2-256", "32 bytes"]
    old = CID.from_text("QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn")
    assert b"".join(part.data for part in anatomy(old)) == old.encode()
    assert len(anatomy(old)) == 3
    assert dict(forms(old))["version 0"] == str(old)
    for name, text in forms(old):
        if name.startswith("version"):
            assert CID.from_text(text).multihash == old.multihash


def file_of(blocks: dict[CID, bytes], cid: CID) -> bytes:
    links = links_of(blocks[cid]) if cid.codec == Codec.DAG_PB else []
    return b"".join(file_of(blocks, link) for link in links) if links else blocks[cid]


@given(st.binary(max_size=300), st.integers(1, 40), st.integers(2, 5))
@settings(max_examples=40)
def test_a_file_is_its_blocks(data: bytes, chunk: int, width: int) -> None:
    root, blocks = cut(data, chunk, width)
    assert all(cid.matches(block) for cid, block in blocks.items())
    assert file_of(blocks, root) == data
    dag = walk(root, blocks)
    assert dag[0].covers == len(data)
    assert all(len(block.links) <= width for block in dag)


def test_the_bytes_of_a_node() -> None:
    # Two leaves of one byte: links before data, names empty, sizes as told.
    root, blocks = cut(b"ab", 1, 2)
    a, b = CID.of(b"a").encode(), CID.of(b"b").encode()
    link = b"\x12\x2a\x0a\x24%b\x12\x00\x18\x01"
    unixfs = b"\x08\x02\x18\x02\x20\x01\x20\x01"
    assert blocks[root] == link % a + link % b + b"\x0a\x08" + unixfs


@given(st.binary(max_size=60))
def test_garbage_has_no_links(data: bytes) -> None:
    with contextlib.suppress(LabError):
        assert isinstance(links_of(data), list)


@given(st.integers(1, 5), st.integers(0, 5), st.integers(0, 99))
@settings(max_examples=30)
def test_whatever_arrives_is_what_it_is_called(peers: int, liars: int, seed: int) -> None:
    plan = Fetch(peers, min(liars, peers), seed=seed)
    root, blocks = cut(bytes(range(200)), 10, 3)
    moves, taken = fetch(root, blocks, plan)
    assert all(cid.matches(data) for cid, data in taken.items())
    if plan.liars < peers:
        assert taken == blocks
    banned = [move.peer for move in moves if move.kind == "banned"]
    assert all(peer >= peers - plan.liars for peer in banned)
    assert len(banned) == len(set(banned))
    for place, move in enumerate(moves):
        later = moves[place + 1 :] if move.kind == "banned" else []
        assert not any(m.kind == "wanted" and m.peer == move.peer for m in later)


def test_without_a_check_lies_are_believed() -> None:
    root, blocks = cut(bytes(200), 10, 3)
    _, taken = fetch(root, blocks, Fetch(2, 2, check=False))
    assert set(taken) == set(blocks)
    assert any(not cid.matches(data) for cid, data in taken.items())
    assert lie(b"") != b""


def test_a_cid_alone() -> None:
    trail = lab.widgets.BlockTrail(str(CID.of(b"x")))
    assert "not here" in trail.summary()
    assert len(trail.dag) == 1
    with pytest.raises(lab.LocalError):
        trail.fetch(peers=2)
    for wrong in ("nonsense", 7):
        with pytest.raises(lab.LocalError):
            lab.widgets.BlockTrail(wrong)  # type: ignore[arg-type]
    with pytest.raises(lab.LocalError):
        lab.widgets.BlockTrail(b"x" * 5000, chunk_size=1)


def test_blocks_from_elsewhere() -> None:
    root, blocks = cut(b"0123456789", 2, 2)
    trail = lab.widgets.BlockTrail(root, blocks=blocks, peers=2, liars=0)
    assert len(trail.moves) == 2 * len(blocks)
    del blocks[CID.of(b"89")]
    assert "not here" in lab.widgets.BlockTrail(root, blocks=blocks).summary()


async def test_the_page(open_page: Open) -> None:
    trail = lab.widgets.BlockTrail()
    page = open_page(trail)
    first = page.of("trail")[-1]
    assert [part[0] for part in first["parts"]] == [
        "version",
        "codec",
        "hash function",
        "length",
        "digest",
    ]
    assert first["matches"] is True
    leaf = next(block for block in first["blocks"] if not block["links"])
    page.tell("show", text=leaf["cid"])
    assert page.of("trail")[-1]["cid"] == leaf["cid"]
    page.tell("show", text="nonsense")
    assert page.of("told")
    page.tell("plan", peers=2, liars=9)
    assert page.of("trail")[-1]["plan"] == {"peers": 2, "liars": 2, "check": True}
    assert "nobody honest" in trail.summary()
    page.tell("check", on=False)
    assert "believed" in trail.summary()
    page.tell("again")
    count = len(page.of("trail"))
    page.tell("plan", peers=99, liars=0)
    page.tell("plan", peers="all")
    page.tell("dance")
    assert len(page.of("trail")) == count


def test_the_static_form() -> None:
    bundle = lab.widgets.BlockTrail()._repr_mimebundle_()
    assert "refused" in bundle["text/plain"]
    assert "hash function" in bundle["text/html"]


# -- a real fetch ---------------------------------------------------------------------------------------------


class Backwards(lab.MemoryBlockStore):
    def get(self, cid: CID) -> bytes | None:
        data = super().get(cid)
        return data[::-1] if data is not None and cid.codec == Codec.RAW else data


async def test_a_real_fetch_is_drawn_from_the_trace() -> None:
    data = b"".join(b"%04d" % n for n in range(5000))

    def host(store: lab.MemoryBlockStore | None = None) -> lab.Host:
        return lab.Host(listen=["/memory/0"], services=[lab.Identify(), lab.Bitswap(store)])

    async with host() as alice, host(Backwards()) as liar, host() as bob:
        for one in (alice, liar):
            root = lab.add_file(one.bitswap.store, data, chunk_size=1000)
            await bob.connect(one.addrs[0])
        with lab.record(bob) as log:
            assert await lab.fetch_file(bob, root) == data
        trail = lab.widgets.BlockTrail(root, blocks=bob.bitswap.store, log=log)
    moves = trail.moves
    assert moves[0].kind == "wanted"
    assert moves[0].cid == root
    arrived = [move.cid for move in moves if move.kind == "arrived"]
    assert len(arrived) == len({*arrived}) == len(trail.dag) == 21
    assert [move.time for move in moves] == sorted(move.time for move in moves)
    assert bob.bitswap.is_banned(liar.peer_id)
    [banned] = [move.peer for move in moves if move.kind == "banned"]
    assert all(move.peer != banned for move in moves if move.kind == "arrived" and move.cid != root)
    assert "21 of 21 blocks came from 2 peers" in trail.summary()
    assert "1 was refused" in trail.summary()
    record = trail._record()
    assert record["names"][banned] == str(liar.peer_id)[-5:]
    assert record["plan"]["peers"] == 2
    with pytest.raises(lab.LocalError, match="recorded"):
        trail.fetch(liars=0)
    with pytest.raises(lab.LocalError, match="asked for"):
        lab.widgets.BlockTrail(root, blocks=bob.bitswap.store, log=[])
    trail.close()
