"""multistream-select: lines, the two sides as cores, and the driver on streams cut anyhow."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.errors import (
    LabError,
    LimitExceeded,
    LocalError,
    MalformedMessage,
    NegotiationError,
    ProtocolViolation,
)
from libp2p_lab.limits import Limits
from libp2p_lab.negotiation import (
    Initiator,
    Line,
    Negotiation,
    Responder,
    State,
    list_protocols,
    propose,
    respond,
)
from libp2p_lab.negotiation.multistream import (
    LIST,
    NOT_AVAILABLE,
    PROTOCOL_ID,
    decode_list,
    encode_list,
)
from libp2p_lab.negotiation.negotiate import AssumedStream
from libp2p_lab.trace import Entry, Probe, Trace
from libp2p_lab.wire import varint
from libp2p_lab.wire.byte_stream import read_exactly
from tests.conformance.pairs import memory_pair
from tests.support import load_vectors

VECTORS = load_vectors("multistream.json")["vectors"]
IDS = st.from_regex(r"/[a-z0-9./-]{0,30}", fullmatch=True).filter(lambda text: text != PROTOCOL_ID)
LISTS = st.lists(IDS, min_size=1, max_size=5, unique=True)
HELLO = Line(PROTOCOL_ID).encode()


# -- lines -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", VECTORS, ids=lambda row: row["id"])
def test_line_vectors(row) -> None:
    data = bytes.fromhex(row["hex"])
    assert Line(row["text"]).encode() == data
    length, offset = varint.decode(data)
    assert len(data) == offset + length
    assert Line.decode(data[offset:]) == Line(row["text"])


@given(st.text(max_size=300))
def test_lines_round_trip(text) -> None:
    data = Line(text).encode()
    length, offset = varint.decode(data)
    assert Line.decode(data[offset : offset + length]) == Line(text)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_line_or_malformed(data) -> None:
    try:
        line = Line.decode(data)
    except MalformedMessage:
        return
    assert line.encode()[-len(data) :] == data


# -- the cores -------------------------------------------------------------------------------------


def converse(initiator: Initiator, responder: Responder) -> None:
    """Hand the lines to and fro until both are done."""
    to_responder, to_initiator = initiator.start(), responder.start()
    while to_responder or to_initiator:
        answers = [answer for line in to_responder for answer in responder.receive(line)]
        to_responder = [answer for line in to_initiator for answer in initiator.receive(line)]
        to_initiator = answers


@given(LISTS, LISTS)
def test_both_sides_agree_on_the_first_common_proposal(ours, theirs) -> None:
    initiator, responder = Initiator(ours), Responder(theirs)
    common = [one for one in ours if one in theirs]
    if common:
        converse(initiator, responder)
        assert initiator.protocol == responder.protocol == common[0]
        assert initiator.state is responder.state is State.AGREED
    else:
        with pytest.raises(NegotiationError) as caught:
            converse(initiator, responder)
        assert caught.value.offered == tuple(ours)
        assert initiator.state is State.REFUSED
        assert responder.state is State.AWAIT_PROPOSAL


SAID = st.lists(
    st.one_of(st.sampled_from([PROTOCOL_ID, NOT_AVAILABLE, LIST, "/a", "/b"]), st.text(max_size=9)),
    max_size=8,
)


@given(SAID)
def test_whatever_is_said_ends_in_answers_or_a_typed_error(texts) -> None:
    for side in (Initiator(["/a", "/b"]), Responder(["/a", "/b"])):
        try:
            for text in texts:
                before = side.state
                answers = side.receive(Line(text))
                assert all(isinstance(answer, Line) for answer in answers)
                if before is State.AWAIT_HEADER:
                    assert text == PROTOCOL_ID
        except (ProtocolViolation, NegotiationError, LimitExceeded):
            continue
        if side.state is State.AGREED:
            assert side.protocol in ("/a", "/b")


def test_nothing_to_propose() -> None:
    with pytest.raises(LocalError):
        Initiator([])


def test_a_line_behind_the_agreement_is_a_violation() -> None:
    responder = Responder(["/a"])
    responder.receive(Line(PROTOCOL_ID))
    assert responder.receive(Line("/a")) == [Line("/a")]
    with pytest.raises(ProtocolViolation, match="after the end"):
        responder.receive(Line("/a"))


@pytest.mark.parametrize("answer", ["/b", "", PROTOCOL_ID])
def test_an_answer_that_was_not_proposed(answer) -> None:
    initiator = Initiator(["/a", "/b"])
    initiator.receive(Line(PROTOCOL_ID))
    with pytest.raises(ProtocolViolation):
        initiator.receive(Line(answer))


def test_proposals_are_counted() -> None:
    responder = Responder(["/a"], Limits(multistream_proposals=3))
    responder.receive(Line(PROTOCOL_ID))
    for _ in range(3):
        assert responder.receive(Line("/no")) == [Line(NOT_AVAILABLE)]
    with pytest.raises(LimitExceeded):
        responder.receive(Line(LIST))


# -- ls --------------------------------------------------------------------------------------------


@given(st.lists(IDS, max_size=20))
def test_lists_round_trip(protocols) -> None:
    assert decode_list(encode_list(protocols)) == protocols


@given(st.text(max_size=60))
def test_any_text_is_a_list_or_malformed(text) -> None:
    try:
        decode_list(text)
    except MalformedMessage:
        return


def test_the_answer_to_ls_is_bounded_and_is_text() -> None:
    responder = Responder([f"/p/{n:03}" for n in range(50)], Limits(multistream_ls=10))
    responder.receive(Line(PROTOCOL_ID))
    [answer] = responder.receive(Line(LIST))
    assert decode_list(answer.text) == [f"/p/{n:03}" for n in range(10)]
    assert encode_list(["/" + "x" * 200, "/short"]) == encode_list(["/short"])


async def test_ls_on_a_stream() -> None:
    async with memory_pair() as (one, other), asyncio.TaskGroup() as tasks:
        responding = tasks.create_task(respond(other, ["/a", "/b"]))
        assert await list_protocols(one) == ["/a", "/b"]
        await one.write(Line("/b").encode())  # and on it goes
        assert await responding == "/b"


async def test_a_remote_that_does_not_list() -> None:
    async with memory_pair() as (one, other):
        await other.write(HELLO + Line(NOT_AVAILABLE).encode())
        with pytest.raises(NegotiationError, match="does not list"):
            await list_protocols(one)


async def test_a_list_that_is_cut_off() -> None:
    async with memory_pair() as (one, other):
        await other.write(HELLO + Line("\x09/a\n").encode())
        with pytest.raises(MalformedMessage):
            await list_protocols(one)


# -- the driver ------------------------------------------------------------------------------------


@given(LISTS, LISTS)
async def test_agreeing_on_a_stream_consumes_nothing_behind_it(ours, theirs) -> None:
    common = [one for one in ours if one in theirs]
    async with memory_pair() as (one, other):

        async def responder() -> str:
            try:
                agreed = await respond(other, theirs)
            except LabError:
                return ""
            assert await read_exactly(other, 5) == b"hello"
            await other.write(b"there")
            return agreed

        responding = asyncio.create_task(responder())
        if not common:
            with pytest.raises(NegotiationError):
                await propose(one, ours)
            await one.close()
            assert await responding == ""
            return
        assert await propose(one, ours) == common[0]
        await one.write(b"hello")
        assert await read_exactly(one, 5) == b"there"
        assert await responding == common[0]


@pytest.mark.parametrize("piece", [1, 3, 1000])
async def test_in_pieces_and_with_data_right_behind(piece) -> None:
    """The optimistic dialer: header, proposal and first data in one go."""
    async with memory_pair() as (one, other):
        said = HELLO + Line("/a").encode() + b"data"
        responding = asyncio.create_task(respond(other, ["/a"]))
        for start in range(0, len(said), piece):
            await one.write(said[start : start + piece])
            await asyncio.sleep(0)
        assert await responding == "/a"
        assert await read_exactly(other, 4) == b"data"
        assert await read_exactly(one, len(said) - 4) == said[:-4]


@given(st.binary(max_size=80), st.booleans())
async def test_garbage_ends_in_a_typed_error(garbage, is_dialer) -> None:
    async with memory_pair() as (one, other):
        await other.write(garbage)
        await other.close_write()
        with pytest.raises((MalformedMessage, ProtocolViolation, LimitExceeded, NegotiationError)):
            await (propose(one, ["/a"]) if is_dialer else respond(one, ["/a"]))


async def test_a_line_beyond_the_limit_is_refused_by_its_length() -> None:
    async with memory_pair() as (one, other):
        await other.write(varint.encode(1025) + b"x")
        with pytest.raises(LimitExceeded) as caught:
            await respond(one, ["/a"])
        assert (caught.value.limit, caught.value.value) == ("multistream_line", 1025)
        assert await one.read(10) == b"x"


async def test_every_line_is_reported() -> None:
    told: list[Entry] = []
    trace = Trace("alice")
    trace.listen(told.append)
    async with memory_pair() as (one, other), asyncio.TaskGroup() as tasks:
        tasks.create_task(respond(other, ["/b"]))
        await propose(one, ["/a", "/b"], probe=Probe(trace, "negotiation"))
    sent = [(e.number, e.what) for e in told if e.direction == "sent"]
    received = [(e.number, e.what) for e in told if e.direction == "received"]
    assert sent == [(0, Line(PROTOCOL_ID)), (1, Line("/a")), (2, Line("/b"))]
    assert received == [(0, Line(PROTOCOL_ID)), (1, Line(NOT_AVAILABLE)), (2, Line("/b"))]


# -- taken as agreed -------------------------------------------------------------------------------


async def assumed(stream, protocol: str = "/a") -> AssumedStream:
    negotiation = Negotiation(stream, Initiator([protocol]), Limits(), Probe())
    await negotiation.start()
    return AssumedStream(stream, negotiation)


async def test_the_first_data_does_not_wait_for_the_answer() -> None:
    async with memory_pair() as (one, other):
        stream = await assumed(one)
        await stream.write(b"question")
        await stream.close_write()
        assert await respond(other, ["/a"]) == "/a"
        assert await other.read() == b"question"
        await other.write(b"answer")
        assert await stream.read(3) == b"ans"
        assert await stream.read(100) == b"wer"


async def test_a_refusal_shows_at_the_first_read() -> None:
    async with memory_pair() as (one, other):
        stream = await assumed(one)
        responding = asyncio.create_task(respond(other, ["/b"]))
        with pytest.raises(NegotiationError):
            await stream.read(1)
        await stream.close()
        with pytest.raises(LabError):
            await responding
        await stream.reset()
