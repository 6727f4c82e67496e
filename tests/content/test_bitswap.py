"""Bitswap: blocks, messages, who is asked next, and live hosts of whom some lie or say nothing."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import libp2p_lab as lab
from libp2p_lab.content.bitswap_messages import (
    MAX_INT32,
    PREFIX_V0,
    PROTOCOL_ID,
    Block,
    Message,
    Presence,
    PresenceType,
    Want,
    WantType,
)
from libp2p_lab.content.blocks import MemoryBlockStore
from libp2p_lab.content.cid import CID, Codec
from libp2p_lab.content.exchange import BlockNotFound, Hunt, Ledger, Question, Session
from libp2p_lab.errors import (
    LimitExceeded,
    LocalError,
    MalformedMessage,
    ProtocolViolation,
    RecordInvalid,
)
from libp2p_lab.limits import DEFAULT_LIMITS
from libp2p_lab.wire import varint

DATA = b"a block that somebody has"
NAME = CID.of(DATA)

int32 = st.integers(-MAX_INT32 - 1, MAX_INT32)
cids = st.builds(
    CID.of, st.binary(max_size=20), st.sampled_from([Codec.RAW, Codec.DAG_PB])
) | st.binary(max_size=9).map(
    lambda data: CID(0, Codec.DAG_PB, b"\x12\x20" + hashlib.sha256(data).digest())
)
wants = st.builds(Want, cids, st.sampled_from(WantType), st.booleans(), st.booleans(), int32)
messages = st.builds(
    Message,
    st.lists(wants, max_size=4).map(tuple),
    st.booleans(),
    st.lists(st.builds(Block, st.binary(max_size=8), st.binary(max_size=40)), max_size=3).map(
        tuple
    ),
    st.lists(st.builds(Presence, cids, st.sampled_from(PresenceType)), max_size=3).map(tuple),
    int32,
)


# -- messages -----------------------------------------------------------------------------------------------


@given(messages)
def test_every_message_survives_the_wire(message: Message) -> None:
    assert Message.decode(message.encode()) == message


@given(st.binary(max_size=200))
def test_garbage_is_refused_by_name(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        Message.decode(data)
    with contextlib.suppress(MalformedMessage):
        Block(data, b"x").cid()


@given(st.binary(max_size=100), st.sampled_from([Codec.RAW, Codec.DAG_PB]))
def test_a_block_is_named_by_its_receiver(data: bytes, codec: Codec) -> None:
    cid = CID.of(data, codec)
    assert Block.of(cid, data).cid() == cid
    assert Block.of(cid, data + b"!").cid() != cid
    zero = CID(0, Codec.DAG_PB, cid.multihash)
    assert Block.of(zero, data) == Block(PREFIX_V0, data)
    assert Block.of(zero, data).cid() == zero


def test_bytes_as_the_spec_draws_them() -> None:
    cid = NAME.encode().hex()
    want = Want(NAME, WantType.HAVE, send_dont_have=True)
    entry = "0a24" + cid + "1001" + "2001" + "2801"
    assert Message((want,)).encode().hex() == "0a2e" + "0a2c" + entry
    block = Message(blocks=(Block.of(NAME, b"abc"),))
    assert block.encode().hex() == "1a0b" + "0a0401551220" + "1203616263"
    presence = Message(presences=(Presence(NAME, PresenceType.DONT_HAVE),))
    assert presence.encode().hex() == "2228" + "0a24" + cid + "1001"
    old = Message.decode(bytes.fromhex("1203616263"))  # `blocks`, as in 1.0.0
    assert old.blocks == (Block(PREFIX_V0, b"abc"),)


def test_what_no_message_may_say() -> None:
    long = b"\x01\x55\x00" + varint.encode(600) + bytes(600)
    for bad in (
        bytes.fromhex("0a2a0a28" + "0a24" + NAME.encode().hex() + "2007"),  # a want of type 7
        bytes.fromhex("2228" + "0a24" + NAME.encode().hex() + "1007"),  # a presence of type 7
        bytes.fromhex("0a040a020a00"),  # a want without a CID
        b"\x22" + varint.encode(len(long) + 3) + b"\x0a" + varint.encode(len(long)) + long,
    ):
        with pytest.raises(MalformedMessage):
            Message.decode(bad)
    for prefix in (
        "",
        "015512",
        "0155122000",
        "01559a0820",
        "015500ff01",
        "0255122000",
        "01551221",
    ):
        with pytest.raises(MalformedMessage):
            Block(bytes.fromhex(prefix), b"x").cid()
    with pytest.raises(LocalError):
        Message(pending_bytes=1 << 31).encode()


# -- the store ----------------------------------------------------------------------------------------------


def test_a_store_keeps_what_hashes_to_its_name_up_to_its_limits() -> None:
    store = MemoryBlockStore(lab.Limits(block=100, blocks=3, blocks_memory=150))
    came: list[CID] = []
    store.watch(came.append)
    store.put(NAME, DATA)
    store.put(NAME, b"other bytes are not even looked at")
    assert store.get(CID(1, Codec.DAG_PB, NAME.multihash)) == DATA
    assert came == [NAME]
    with pytest.raises(RecordInvalid):
        store.put(CID.of(b"x"), b"y")
    for data in (bytes(101), bytes(50) + bytes(76)):
        with pytest.raises(LimitExceeded):
            store.put(CID.of(data), data)
    store.put(CID.of(b"2"), b"2")
    store.put(CID.of(b"3"), b"3")
    with pytest.raises(LimitExceeded):
        store.put(CID.of(b"4"), b"4")
    store.delete(NAME)
    store.delete(NAME)
    assert (len(store), store.size, store.has(NAME)) == (2, 2, False)


# -- what others want of us ---------------------------------------------------------------------------------


def test_a_ledger_answers_what_it_is_asked() -> None:
    store = MemoryBlockStore()
    ledger = Ledger(store, DEFAULT_LIMITS)
    other = CID.of(b"elsewhere")
    silent = CID.of(b"nobody has it")
    store.put(NAME, DATA)
    ledger.receive(
        Message((Want(NAME), Want(other, WantType.HAVE, send_dont_have=True), Want(silent)))
    )
    answer = ledger.next_message()
    assert answer == Message(
        blocks=(Block.of(NAME, DATA),), presences=(Presence(other, PresenceType.DONT_HAVE),)
    )
    assert ledger.next_message() is None
    store.put(other, b"elsewhere")
    assert ledger.arrived(other)
    assert ledger.next_message() == Message(presences=(Presence(other, PresenceType.HAVE),))
    ledger.receive(Message((Want(silent, cancel=True), Want(other, cancel=True))))
    assert len(ledger) == 0
    assert not ledger.arrived(silent)
    ledger.receive(Message((Want(silent),)))
    ledger.receive(Message((Want(NAME),), full=True))
    assert len(ledger) == 1


def test_what_is_more_wanted_comes_first_one_message_at_a_time() -> None:
    store = MemoryBlockStore()
    ledger = Ledger(store, lab.Limits(bitswap_message_target=100))
    data = [bytes([number]) * 60 for number in range(4)]
    for one in data:
        store.put(CID.of(one), one)
    ledger.receive(Message(tuple(Want(CID.of(one), priority=one[0]) for one in data)))
    first, second = ledger.next_message(), ledger.next_message()
    assert first is not None
    assert second is not None
    assert [block.data[0] for block in (*first.blocks, *second.blocks)] == [3, 2, 1, 0]
    assert (first.pending_bytes, second.pending_bytes) == (120, 0)
    assert ledger.next_message() is None


# -- who is asked next --------------------------------------------------------------------------------------

PEERS = [lab.PeerId.from_public_key(lab.KeyPair.generate().public) for _ in range(4)]


def hunt(count: int, **limits: Any) -> tuple[Hunt, Session]:
    settings = lab.Limits(**limits)
    found = Hunt(settings)
    for peer in PEERS[:count]:
        found.add_peer(peer)
    return found, Session(settings)


def says(kind: PresenceType, cid: CID = NAME) -> Message:
    return Message(presences=(Presence(cid, kind),))


def asked(questions: list[Question]) -> dict[lab.PeerId, str]:
    return {q.peer: "cancel" if q.want.cancel else q.want.type.name for q in questions}


def test_first_all_are_asked_whether_they_have_it_then_one_for_the_block() -> None:
    hunted, session = hunt(3)
    hunted.want(NAME, session)
    assert asked(hunted.questions(NAME, 0.0)) == dict.fromkeys(PEERS[:3], "HAVE")
    hunted.receive(PEERS[0], says(PresenceType.DONT_HAVE))
    hunted.receive(PEERS[1], says(PresenceType.HAVE))
    assert asked(hunted.questions(NAME, 1.0)) == {PEERS[1]: "BLOCK"}
    assert asked(hunted.questions(NAME, 2.0)) == {}
    came, over = hunted.receive(PEERS[1], Message(blocks=(Block.of(NAME, DATA),)))
    assert came == [NAME]
    assert asked(over) == {PEERS[2]: "cancel"}
    assert hunted.found(NAME) == DATA
    assert hunted.drop(NAME) == []
    more = CID.of(b"more")
    hunted.want(more, session)  # whoever was useful is asked for the block at once
    assert asked(hunted.questions(more, 3.0)) == {PEERS[1]: "BLOCK"}


def test_whoever_stalls_is_passed_over() -> None:
    hunted, session = hunt(2, bitswap_answer_timeout=5.0)
    hunted.want(NAME, session)
    hunted.questions(NAME, 0.0)
    for peer in PEERS[:2]:
        hunted.receive(peer, says(PresenceType.HAVE))
    [question] = hunted.questions(NAME, 1.0)
    [other] = [peer for peer in PEERS[:2] if peer != question.peer]
    assert hunted.deadline(NAME) == 6.0
    assert asked(hunted.questions(NAME, 6.0)) == {question.peer: "cancel", other: "BLOCK"}
    hunted.questions(NAME, 11.0)
    assert hunted.is_hopeless(NAME)
    hunted.add_peer(PEERS[2])
    assert asked(hunted.questions(NAME, 12.0)) == {PEERS[2]: "HAVE"}
    late, _ = hunted.receive(question.peer, Message(blocks=(Block.of(NAME, DATA),)))
    assert late == [NAME]  # better late than never


def test_a_block_that_was_not_asked_for_is_refused_and_a_late_one_is_not() -> None:
    hunted, session = hunt(2)
    hunted.want(NAME, session)
    hunted.questions(NAME, 0.0)
    lie = Message(blocks=(Block.of(NAME, b"other bytes"),))
    with pytest.raises(ProtocolViolation):
        hunted.receive(PEERS[0], lie)
    hunted.ban(PEERS[0])
    hunted.add_peer(PEERS[0])
    assert hunted.receive(PEERS[0], Message(blocks=(Block.of(NAME, DATA),))) == ([], [])
    assert hunted.found(NAME) is None
    hunted.drop(NAME)
    assert hunted.receive(PEERS[1], Message(blocks=(Block.of(NAME, DATA),))) == ([], [])


def test_what_is_wanted_and_remembered_is_bounded() -> None:
    hunted, session = hunt(4, bitswap_wants=2, bitswap_asked=3, bitswap_banned=2)
    hunted.want(NAME, session)
    hunted.want(NAME, session)
    hunted.want(CID.of(b"2"), session)
    with pytest.raises(LimitExceeded):
        hunted.want(CID.of(b"3"), session)
    assert len(hunted.questions(NAME, 0.0)) == 3
    assert hunted.drop(NAME) == []  # somebody else waits for it
    assert len(hunted.drop(NAME)) == 3
    for peer in PEERS[:3]:
        hunted.ban(peer)
    assert [hunted.is_banned(peer) for peer in PEERS] == [False, True, True, False]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 3)), max_size=40))
def test_whatever_happens_only_the_named_bytes_are_found(steps: list[tuple[int, int, int]]) -> None:
    hunted, session = hunt(3, bitswap_answer_timeout=3.0)
    blocks = [bytes([number]) for number in range(4)]
    for data in blocks:
        hunted.want(CID.of(data), session)
    for now, (who, what, which) in enumerate(steps):
        peer, data = PEERS[who], blocks[which]
        cid = CID.of(data)
        hunted.questions(cid, float(now))
        match what:
            case 0:
                hunted.receive(peer, says(PresenceType.HAVE, cid))
            case 1:
                hunted.receive(peer, says(PresenceType.DONT_HAVE, cid))
            case 2:
                with contextlib.suppress(ProtocolViolation):
                    hunted.receive(peer, Message(blocks=(Block.of(cid, data),)))
            case 3:
                hunted.remove_peer(peer)
            case _:
                hunted.add_peer(peer)
        assert hunted.found(cid) in (None, data)
    for data in blocks:
        cid = CID.of(data)
        before = hunted.found(cid)
        hunted.questions(cid, 1000.0)
        hunted.questions(cid, 2000.0)
        assert hunted.found(cid) == before
        hunted.drop(cid)


# -- live hosts ---------------------------------------------------------------------------------------------


def host(**options: Any) -> lab.Host:
    services = [lab.Identify(), lab.Bitswap(), *options.pop("services", [])]
    return lab.Host(listen=["/memory/0"], services=services, **options)


Script = Callable[[lab.Host, lab.PeerId, Message], Awaitable[None]]


def scripted(peer: lab.Host, script: Script) -> None:
    """Let `peer` answer every message by a script."""

    async def serve(stream: Any) -> None:
        while True:
            message = Message.decode(await stream.read_message(1 << 22))
            await script(peer, stream.connection.remote_peer, message)

    peer.set_handler(PROTOCOL_ID, serve)


async def tell(sender: lab.Host, peer: lab.PeerId, message: Message) -> None:
    stream = await sender.open_stream(peer, PROTOCOL_ID)
    await stream.write_message(message.encode())
    await stream.close()


async def test_a_block_comes_from_a_neighbour_and_is_kept() -> None:
    async with host() as alice, host() as bob, host() as carol:
        await bob.connect(alice.addrs[0])
        alice.bitswap.store.put(NAME, DATA)
        assert await asyncio.gather(bob.bitswap.get(NAME), bob.bitswap.get(NAME)) == [DATA, DATA]
        await alice.disconnect(bob.peer_id)
        assert await bob.bitswap.get(NAME) == DATA
        await carol.connect(bob.addrs[0])  # what was fetched is served
        assert await carol.bitswap.get(CID(1, Codec.DAG_PB, NAME.multihash)) == DATA
        inline = CID(1, Codec.RAW, b"\x00\x03abc")
        assert await carol.bitswap.get(inline) == b"abc"


async def test_a_store_of_ones_own() -> None:
    store = MemoryBlockStore()
    async with lab.Host(services=[lab.Bitswap(store)]) as alice:
        assert alice.bitswap.store is store, "though it is empty"


async def test_nobody_has_it() -> None:
    async with host() as alice, host() as bob, lab.Host(listen=["/memory/0"]) as mute:
        with pytest.raises(BlockNotFound):
            await bob.bitswap.get(NAME)
        await bob.connect(alice.addrs[0])
        await bob.connect(mute.addrs[0])  # who does not speak Bitswap
        with pytest.raises(BlockNotFound):
            await bob.bitswap.get(NAME)
        alice.bitswap.store.put(NAME, DATA)
        assert await bob.bitswap.get(NAME) == DATA


async def test_a_peer_that_comes_while_we_wait_is_asked() -> None:
    silent = lab.Host(listen=["/memory/0"])

    async def say_nothing(_host: lab.Host, _peer: lab.PeerId, _message: Message) -> None:
        pass

    async with silent, host() as alice, host() as bob:
        scripted(silent, say_nothing)
        alice.bitswap.store.put(NAME, DATA)
        await bob.connect(silent.addrs[0])
        waiting = asyncio.create_task(bob.bitswap.get(NAME))
        await asyncio.sleep(0)
        await alice.connect(bob.addrs[0])
        assert await waiting == DATA


async def test_a_liar_is_found_out_and_somebody_else_asked() -> None:
    async def lie(me: lab.Host, peer: lab.PeerId, message: Message) -> None:
        for want in message.wants:
            if want.type is WantType.HAVE and not want.cancel:
                await tell(me, peer, says(PresenceType.HAVE, want.cid))
            elif not want.cancel:
                await tell(me, peer, Message(blocks=(Block.of(want.cid, b"something else"),)))

    liar = lab.Host(listen=["/memory/0"])
    async with liar, host() as alice, host() as bob:
        scripted(liar, lie)
        await bob.connect(liar.addrs[0])
        with pytest.raises(BlockNotFound):
            await bob.bitswap.get(NAME)
        assert bob.bitswap.is_banned(liar.peer_id)
        assert not bob.bitswap.store.has(NAME)
        alice.bitswap.store.put(NAME, DATA)
        await bob.connect(alice.addrs[0])
        assert await bob.bitswap.get(NAME) == DATA


async def test_a_peer_that_promises_and_stalls_is_passed_over() -> None:
    async def promise(me: lab.Host, peer: lab.PeerId, message: Message) -> None:
        for want in message.wants:
            if want.type is WantType.HAVE and not want.cancel:
                await tell(me, peer, says(PresenceType.HAVE, want.cid))

    staller = lab.Host(listen=["/memory/0"])
    bob = host(limits=lab.Limits(bitswap_answer_timeout=0.5))
    async with staller, host() as alice, bob:
        scripted(staller, promise)
        await bob.connect(staller.addrs[0])
        with pytest.raises(BlockNotFound):
            await bob.bitswap.get(NAME)
        alice.bitswap.store.put(NAME, DATA)
        await bob.connect(alice.addrs[0])
        assert await bob.bitswap.get(NAME) == DATA


async def test_an_answer_on_the_very_stream_on_which_we_asked() -> None:
    """As py-libp2p answers. And where that stream is reset, we take another."""
    streams: list[Any] = []

    async def answer(stream: Any) -> None:
        streams.append(stream)
        message = Message.decode(await stream.read_message(1 << 22))
        wanted = [want.cid for want in message.wants if not want.cancel]
        blocks = tuple(Block.of(cid, known[cid]) for cid in wanted)
        await stream.write_message(Message(blocks=blocks).encode())
        await stream.read()

    known = {CID.of(data): data for data in (b"one", b"two", b"three")}
    terse = lab.Host(listen=["/memory/0"])
    async with terse, host() as bob:
        terse.set_handler(PROTOCOL_ID, answer)
        connection = await bob.connect(terse.addrs[0])
        for cid, data in known.items():
            assert await bob.bitswap.get(cid) == data
            await streams[-1].reset()
            async with asyncio.timeout(10):
                while any(stream.protocol == PROTOCOL_ID for stream in connection.streams.values()):
                    await asyncio.sleep(0)
        assert len(streams) == 3


async def test_a_stream_with_nothing_to_tell_is_closed_after_a_while() -> None:
    ended = asyncio.Event()

    async def listen(stream: Any) -> None:
        await stream.read()
        ended.set()
        await stream.close()

    silent = lab.Host(listen=["/memory/0"])
    limits = lab.Limits(bitswap_linger=0.05, bitswap_answer_timeout=0.2)
    async with silent, host(limits=limits) as bob:
        silent.set_handler(PROTOCOL_ID, listen)
        await bob.connect(silent.addrs[0])
        with pytest.raises(BlockNotFound):
            await bob.bitswap.get(NAME)
        async with asyncio.timeout(10):
            await ended.wait()


async def test_the_whole_wait_has_a_limit() -> None:
    async def say_nothing(_host: lab.Host, _peer: lab.PeerId, _message: Message) -> None:
        pass

    silent = lab.Host(listen=["/memory/0"])
    bob = host(limits=lab.Limits(bitswap_timeout=0.3))
    async with silent, bob:
        scripted(silent, say_nothing)
        await bob.connect(silent.addrs[0])
        with pytest.raises(TimeoutError):
            await bob.bitswap.get(NAME)
        assert await bob.bitswap.get(CID(1, Codec.RAW, b"\x00\x00")) == b""
        for unproven in (b"\x12\x02ab", b"\x1b\x20" + bytes(32)):  # too short, and keccak-256
            with pytest.raises(LocalError):
                await bob.bitswap.get(CID(1, Codec.RAW, unproven))


async def test_garbage_costs_its_sender_the_stream_and_our_questions() -> None:
    async with lab.Host(listen=["/memory/0"]) as rude, host() as bob:
        await bob.connect(rude.addrs[0])
        stream = await rude.open_stream(bob.addrs[0], PROTOCOL_ID)
        await stream.write_message(b"\xff\xff\xff")
        with pytest.raises(lab.StreamReset):
            await stream.read()
        assert bob.bitswap.is_banned(rude.peer_id)
        stream = await rude.open_stream(bob.addrs[0], PROTOCOL_ID)
        await stream.write(varint.encode(DEFAULT_LIMITS.bitswap_message + 1))
        with pytest.raises(lab.StreamReset):
            await stream.read()


async def test_a_provider_is_found_in_the_dht() -> None:
    async with contextlib.AsyncExitStack() as stack:
        first, alice, bob = [
            await stack.enter_async_context(host(services=[lab.KadDHT()])) for _ in range(3)
        ]
        for other in (alice, bob):
            await other.dht.bootstrap([first.addrs[0]])
        alice.bitswap.store.put(NAME, DATA)
        await alice.dht.provide(NAME)
        await bob.disconnect(alice.peer_id)
        assert await bob.bitswap.get(NAME) == DATA
