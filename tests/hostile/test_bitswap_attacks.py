"""Attacks on the block exchange: false bytes, floods of wants and blocks, promises, slow readers, exploding trees."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab.content import BlockNotFound, add_file, fetch_file
from libp2p_lab.content.bitswap_messages import (
    PROTOCOL_ID,
    Block,
    Message,
    Presence,
    PresenceType,
    Want,
    WantType,
)
from libp2p_lab.content.cid import CID, Codec
from libp2p_lab.content.dag import CHUNK_SIZE, encode_node
from libp2p_lab.errors import LabError, LimitExceeded, MalformedMessage
from libp2p_lab.limits import DEFAULT_LIMITS
from libp2p_lab.wire import varint
from tests.hostile.scene import LOOPBACK, MIB, PATIENCE, Stage, bounded_memory, scene

DATA = b"the block that is wanted"
NAME = CID.of(DATA)

Script = Callable[[lab.Host, lab.PeerId, Want], Awaitable[None]]


@asynccontextmanager
async def stage_with_bitswap(**limits: Any) -> AsyncIterator[Stage]:
    services = (lab.Echo(), lab.Identify(), lab.Ping(), lab.Bitswap())
    async with scene(limits=lab.Limits(**limits), services=services) as stage:
        yield stage


async def both_connected(stage: Stage, host: lab.Host) -> None:
    await stage.host.connect(host.addrs[0])
    async with asyncio.timeout(PATIENCE):
        while not host.is_connected(stage.host.peer_id):
            await asyncio.sleep(0.002)


@asynccontextmanager
async def attacker(stage: Stage, script: Script | None = None) -> AsyncIterator[lab.Host]:
    """A peer that the victim knows; it answers each want by a script, or does not even read it."""

    async def serve(stream: Any) -> None:
        if script is None:
            await asyncio.Event().wait()
        with contextlib.suppress(LabError):
            while True:
                message = Message.decode(await stream.read_message(1 << 23))
                for want in message.wants:
                    if not want.cancel and script is not None:
                        await script(host, stream.connection.remote_peer, want)

    host = lab.Host(listen=[LOOPBACK], services=[lab.Identify()])
    async with host:
        host.set_handler(PROTOCOL_ID, serve)
        await both_connected(stage, host)
        yield host


@asynccontextmanager
async def honest(stage: Stage) -> AsyncIterator[lab.Host]:
    async with lab.Host(listen=[LOOPBACK], services=[lab.Identify(), lab.Bitswap()]) as host:
        await both_connected(stage, host)
        yield host


async def send(sender: lab.Host, peer: lab.PeerId, *messages: bytes) -> None:
    """Write; that the victim resets the stream meanwhile is what we are here for."""
    with contextlib.suppress(LabError):
        async with asyncio.timeout(PATIENCE):
            stream = await sender.open_stream(peer, PROTOCOL_ID)
            for message in messages:
                await stream.write_message(message)
            await stream.close_write()
            await stream.read()


async def promise(me: lab.Host, peer: lab.PeerId, want: Want) -> None:
    if want.type is WantType.HAVE:
        presence = Presence(want.cid, PresenceType.HAVE)
        await send(me, peer, Message(presences=(presence,)).encode())


async def lie(me: lab.Host, peer: lab.PeerId, want: Want) -> None:
    await promise(me, peer, want)
    if want.type is WantType.BLOCK:
        await send(me, peer, Message(blocks=(Block.of(want.cid, b"something else"),)).encode())


# -- bytes that are not what was asked for --------------------------------------------------------------------


async def test_block_bytes_that_do_not_hash_to_their_cid() -> None:
    async with stage_with_bitswap() as stage, attacker(stage, lie) as liar:
        with pytest.raises(BlockNotFound):
            await stage.host.bitswap.get(NAME)
        await stage.refused("ProtocolViolation", "hash to another name")
        assert stage.host.bitswap.is_banned(liar.peer_id)
        async with honest(stage) as friend:
            friend.bitswap.store.put(NAME, DATA)
            assert await stage.host.bitswap.get(NAME) == DATA
        assert len(stage.host.bitswap.store) == 1


async def test_blocks_that_nobody_asked_for() -> None:
    blocks = tuple(Block.of(NAME, bytes([n]) * MIB) for n in range(3))
    flood = Message(blocks=blocks).encode()
    async with stage_with_bitswap() as stage, attacker(stage) as flooder:
        with bounded_memory(16 * MIB):
            for _ in range(5):  # each on a stream of its own: the first ends with the first message
                await send(flooder, stage.host.peer_id, flood, flood)
        await stage.refused("ProtocolViolation", "not asked for")
        assert stage.host.bitswap.is_banned(flooder.peer_id)
        assert len(stage.host.bitswap.store) == 0


async def test_a_message_of_four_gigabytes() -> None:
    async with stage_with_bitswap() as stage, attacker(stage) as liar:
        stream = await liar.open_stream(stage.host.peer_id, PROTOCOL_ID)
        with bounded_memory(2 * MIB):
            await stream.write(varint.encode(1 << 32) + b"x")
            await stage.refused("LimitExceeded", "message_length")


# -- floods of names ------------------------------------------------------------------------------------------


def names(start: int, count: int, head: bytes) -> bytes:
    """`count` names as short as they can be, each in an entry of its own."""
    return b"".join(
        head + b"\x0a\x08\x01\x55\x00\x04" + n.to_bytes(4) for n in range(start, start + count)
    )


async def test_a_want_list_of_a_million_entries() -> None:
    lists = []
    for start in range(0, 1_000_000, 200_000):
        entries = names(start, 200_000, b"\x0a\x0a")
        lists.append(b"\x0a" + varint.encode(len(entries)) + entries)
    async with stage_with_bitswap() as stage, attacker(stage) as flooder:
        with bounded_memory(32 * MIB):
            await send(flooder, stage.host.peer_id, *lists)
        ledger = stage.host.bitswap.ledger(flooder.peer_id)
        assert len(ledger) == DEFAULT_LIMITS.bitswap_wants_per_peer
        stage.host.bitswap.store.put(NAME, DATA)
        async with honest(stage) as friend:
            assert await friend.bitswap.get(NAME) == DATA
    assert stage.host.bitswap.ledger(flooder.peer_id) is None, "forgotten with its connection"


async def test_a_million_answers_to_no_question() -> None:
    floods = [names(start, 200_000, b"\x22\x0a") for start in range(0, 1_000_000, 200_000)]
    async with stage_with_bitswap() as stage, attacker(stage) as flooder:
        with bounded_memory(32 * MIB):
            await send(flooder, stage.host.peer_id, *floods)
        assert not stage.host.bitswap.is_banned(flooder.peer_id)


# -- those who wait for us, and those we wait for -------------------------------------------------------------


async def test_peers_that_promise_and_never_send() -> None:
    async with contextlib.AsyncExitStack() as stack:
        stage = await stack.enter_async_context(stage_with_bitswap(bitswap_answer_timeout=0.1))
        for _ in range(5):
            await stack.enter_async_context(attacker(stage, promise))
        friend = await stack.enter_async_context(honest(stage))
        root = add_file(friend.bitswap.store, bytes(1000), 100)
        assert await fetch_file(stage.host, root) == bytes(1000)
        for peer in stage.host.peers:  # an empty promise is a fault and no crime
            assert not stage.host.bitswap.is_banned(peer)


async def test_a_promise_is_not_waited_for_for_ever() -> None:
    limits = {"bitswap_answer_timeout": 0.1}
    async with stage_with_bitswap(**limits) as stage, attacker(stage, promise):
        with pytest.raises(BlockNotFound):
            await stage.host.bitswap.get(NAME)


async def test_a_reader_that_asks_for_much_and_reads_nothing() -> None:
    """What waits for it are names; of bytes no more than one message and one window."""
    async with stage_with_bitswap(bitswap_write_timeout=0.5) as stage:
        cids = [CID.of(bytes([n]) * CHUNK_SIZE) for n in range(128)]
        for n, cid in enumerate(cids):
            stage.host.bitswap.store.put(cid, bytes([n]) * CHUNK_SIZE)
        async with attacker(stage) as sloth:
            wants = Message(tuple(Want(cid) for cid in cids)).encode()
            with bounded_memory(5 * MIB):
                await send(sloth, stage.host.peer_id, wants)
                await stage.bystander.goes_on()
                await asyncio.sleep(0.2)
            async with honest(stage) as friend:
                assert len(await friend.bitswap.get(cids[-1])) == CHUNK_SIZE


# -- trees that explode ---------------------------------------------------------------------------------------


def node(store: lab.MemoryBlockStore, *children: tuple[CID, int, int]) -> CID:
    block = encode_node([*children])
    cid = CID.of(block, Codec.DAG_PB)
    store.put(cid, block)
    return cid


def deep(store: lab.MemoryBlockStore) -> CID:
    """Forty nodes, each with one child."""
    cid = CID.of(b"x")
    store.put(cid, b"x")
    for _ in range(40):
        cid = node(store, (cid, 1, 1))
    return cid


def wide(store: lab.MemoryBlockStore) -> CID:
    """One block of two megabytes: forty thousand links."""
    return node(store, *[(CID.of(b"x"), 1, 1)] * 40_000)


def repeated(store: lab.MemoryBlockStore) -> CID:
    """Three nodes over one leaf, a hundred links each: the same child a million times."""
    cid = CID.of(b"")
    store.put(cid, b"")
    for _ in range(3):
        cid = node(store, *[(cid, 0, 1)] * 100)
    return cid


def huge(store: lab.MemoryBlockStore) -> CID:
    """A leaf of one byte, said to have 2^60."""
    store.put(CID.of(b"x"), b"x")
    return node(store, (CID.of(b"x"), 1 << 60, 1))


def longer(store: lab.MemoryBlockStore) -> CID:
    """Leaves of two megabytes, said to have one byte each."""
    children = []
    for n in range(3):
        leaf = bytes([n]) * (2 * MIB)
        store.put(CID.of(leaf), leaf)
        children.append((CID.of(leaf), 1, 1))
    return node(store, *children)


def padded(store: lab.MemoryBlockStore) -> CID:
    """Nodes over a leaf of one byte, whose links have names of two megabytes."""
    leaf, name = CID.of(b"x"), b"n" * (2 * MIB - 200)
    store.put(leaf, b"x")
    children = []
    for n in range(12):
        link = b"\x0a\x24" + leaf.encode() + b"\x12" + varint.encode(len(name)) + name
        unixfs = b"\x08\x02\x20\x01" + b"\x28" + varint.encode(n)
        block = (
            b"\x12"
            + varint.encode(len(link))
            + link
            + b"\x0a"
            + varint.encode(len(unixfs))
            + unixfs
        )
        store.put(CID.of(block, Codec.DAG_PB), block)
        children.append((CID.of(block, Codec.DAG_PB), 1, 1))
    return node(store, *children)


@pytest.mark.parametrize(
    ("bomb", "error", "text"),
    [
        (deep, LimitExceeded, "dag_depth"),
        (wide, LimitExceeded, "dag_links"),
        (repeated, LimitExceeded, "dag_blocks"),
        (huge, LimitExceeded, "dag_file"),
        (longer, MalformedMessage, "said to have 1"),
        (padded, LimitExceeded, "dag_nodes"),
    ],
)
async def test_a_dag_bomb(bomb: Any, error: type[LabError], text: str) -> None:
    async with stage_with_bitswap() as stage, honest(stage) as bomber:
        root = bomb(bomber.bitswap.store)
        with bounded_memory(64 * MIB), pytest.raises(error, match=text):
            await fetch_file(stage.host, root)
