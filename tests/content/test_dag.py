"""Files as trees of blocks: cut, fetched by live hosts, and trees that were made to hurt."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import libp2p_lab as lab
from libp2p_lab.content.blocks import MemoryBlockStore
from libp2p_lab.content.cid import CID, Codec
from libp2p_lab.content.dag import (
    WIDTH,
    Assembly,
    Part,
    cut,
    encode_node,
    links_of,
    parts_of,
    walk,
)
from libp2p_lab.errors import LimitExceeded, LocalError, MalformedMessage
from libp2p_lab.wire import varint
from tests.content.test_bitswap import host


def assemble(root: CID, blocks: dict[CID, bytes], **limits: Any) -> bytes:
    assembly = Assembly(root, lab.Limits(**limits))
    while assembly.missing:
        for cid in [*assembly.missing]:
            assembly.add(cid, blocks[cid])
    return assembly.result


def node(blocks: dict[CID, bytes], *children: tuple[CID, int, int]) -> CID:
    """A node over these children, among the blocks."""
    block = encode_node([*children])
    cid = CID.of(block, Codec.DAG_PB)
    blocks[cid] = block
    return cid


@given(st.binary(max_size=400), st.integers(1, 50), st.integers(2, 6))
def test_what_was_cut_is_put_together(data: bytes, chunk_size: int, width: int) -> None:
    root, blocks = cut(data, chunk_size, width)
    assert assemble(root, blocks) == data
    assert all(cid.matches(block) for cid, block in blocks.items())


@given(st.binary(max_size=200))
def test_garbage_is_refused_by_name(data: bytes) -> None:
    for codec in (Codec.DAG_PB, Codec.DAG_CBOR):
        with contextlib.suppress(MalformedMessage):
            parts_of(CID.of(data, codec), data)
    with contextlib.suppress(MalformedMessage):
        links_of(data)


def test_names_that_the_public_network_knows() -> None:
    hello, _ = cut(b"hello world")
    assert str(hello) == "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
    empty = CID.from_text("QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH")
    assert assemble(empty, {empty: bytes.fromhex("0a0408021800")}) == b""
    folder = CID.from_text("QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn")
    block = bytes.fromhex("0a020801")
    assert folder.matches(block)
    with pytest.raises(MalformedMessage, match="no file"):
        parts_of(folder, block)


def test_the_tree_has_174_children_at_each_node_and_one_depth() -> None:
    data = b"".join(number.to_bytes(2) for number in range(WIDTH * 2 + 1))
    root, blocks = cut(data, 2)
    nodes = walk(root, blocks)
    assert [len(one.links) for one in nodes if one.links] == [3, WIDTH, WIDTH, 1]
    assert {one.depth for one in nodes if not one.links} == {2}
    with pytest.raises(LocalError):
        cut(data, 0)


def test_bytes_in_a_node_and_packed_sizes_are_read_too() -> None:
    """Older writers put bytes into nodes; a reader of protobuf takes repeated numbers in either form."""
    leaf = CID.of(b"cd")
    link = b"\x0a\x24" + leaf.encode()
    inner = bytes.fromhex("0802") + b"\x12\x02ab" + bytes.fromhex("1804") + bytes.fromhex("220102")
    block = b"\x12" + varint.encode(len(link)) + link + b"\x0a" + varint.encode(len(inner)) + inner
    root = CID.of(block, Codec.DAG_PB)
    assert parts_of(root, block) == [b"ab", Part(leaf, 2)]
    assert assemble(root, {root: block, leaf: b"cd"}) == b"abcd"


# -- bombs --------------------------------------------------------------------------------------------------


def test_a_bomb_that_is_deep_is_refused() -> None:
    blocks = {CID.of(b"x"): b"x"}
    cid = CID.of(b"x")
    for _ in range(40):
        cid = node(blocks, (cid, 1, 1))
    with pytest.raises(LimitExceeded, match="dag_depth"):
        assemble(cid, blocks)


def test_a_bomb_of_repeated_names_is_refused() -> None:
    """A dozen small blocks, each of which names the one before 174 times."""
    blocks = {CID.of(b""): b""}
    cid = CID.of(b"")
    for _ in range(12):
        cid = node(blocks, *[(cid, 0, 1)] * WIDTH)
    with pytest.raises(LimitExceeded, match="dag_blocks"):
        assemble(cid, blocks)
    blocks = {CID.of(b"x"): b"x"}
    cid, size = CID.of(b"x"), 1
    for _ in range(5):
        cid, size = node(blocks, *[(cid, size, 1)] * WIDTH), size * WIDTH
    with pytest.raises(LimitExceeded, match="dag_file"):
        assemble(cid, blocks)


def test_a_tree_that_contradicts_itself_is_refused() -> None:
    leaf = CID.of(b"xyz")
    blocks = {leaf: b"xyz"}
    for said in (0, 2, 4):
        root = node(blocks, (leaf, said, 3))
        with pytest.raises(MalformedMessage, match="said to have"):
            assemble(root, blocks)
    inner = bytes.fromhex("0802180920" + "03")
    link = b"\x0a\x24" + leaf.encode()
    block = b"\x12" + varint.encode(len(link)) + link + b"\x0a" + varint.encode(len(inner)) + inner
    with pytest.raises(MalformedMessage, match="whose parts"):
        parts_of(CID.of(block, Codec.DAG_PB), block)
    with pytest.raises(MalformedMessage, match="links with"):
        parts_of(CID.of(block, Codec.DAG_PB), block.replace(b"\x20\x03", b"\x28\x03"))


# -- live hosts ---------------------------------------------------------------------------------------------


async def test_a_file_comes_from_two_peers_that_have_a_half_each() -> None:
    data = bytes(range(256)) * 1000
    async with host() as alice, host() as bob, host() as carol:
        root, blocks = cut(data, 1000)
        for number, (cid, block) in enumerate(blocks.items()):
            (alice if number % 2 else bob).bitswap.store.put(cid, block)
        for other in (alice, bob):
            await carol.connect(other.addrs[0])
        assert await lab.fetch_file(carol, root) == data
        assert carol.bitswap.store.has(root)


async def test_a_file_of_a_megabyte_and_one_of_nothing() -> None:
    data = bytes(1 << 20) + b"end"
    async with host() as alice, host() as bob:
        root = lab.add_file(alice.bitswap.store, data)
        nothing = lab.add_file(alice.bitswap.store, b"")
        await bob.connect(alice.addrs[0])
        assert await lab.fetch_file(bob, root) == data
        assert await lab.fetch_file(bob, nothing) == b""


async def test_a_bomb_from_the_network_and_a_file_with_a_hole() -> None:
    async with host() as alice, host() as bob:
        blocks: dict[CID, bytes] = {CID.of(b""): b""}
        bomb = CID.of(b"")
        for _ in range(6):
            bomb = node(blocks, *[(bomb, 0, 1)] * WIDTH)
        for cid, block in blocks.items():
            alice.bitswap.store.put(cid, block)
        await bob.connect(alice.addrs[0])
        with pytest.raises(LimitExceeded):
            await lab.fetch_file(bob, bomb)
        root = lab.add_file(alice.bitswap.store, b"one hole in this", 4)
        alice.bitswap.store.delete(CID.of(b"hole"))
        with pytest.raises(lab.LabError, match="nobody"):
            await lab.fetch_file(bob, root)


async def test_the_lab_names_are_those_of_the_chapter() -> None:
    store = lab.MemoryBlockStore()
    assert isinstance(store, MemoryBlockStore)
    assert lab.add_file(store, b"hello world") == CID.of(b"hello world")
