"""Messages are opened through the layers, also where frames and messages do not end together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.multiplexing.yamux_frames import DataFrame, WindowUpdate
from libp2p_lab.security.noise import NoiseMessage
from libp2p_lab.trace import Entry
from libp2p_lab.widgets.fields import Field, Message, covers
from libp2p_lab.widgets.wire_log import WireLog
from tests.widgets.test_annotate import walk
from tests.widgets.trace_samples import PING_ID, Conversation, ping_conversation


def log_of(conversation: Conversation, node: int = 0) -> WireLog:
    log = WireLog()
    for entry in conversation.of(node):
        log.take(entry)
    return log


def opened(log: WireLog, layer: str) -> list[Message]:
    return [log.open(row) for row in log.rows if row.entry.layer == layer]


def names(fields: tuple[Field, ...]) -> list[str]:
    return [item.name for item in fields]


@pytest.mark.parametrize("node", [0, 1])
def test_everything_is_covered(node: int) -> None:
    log = log_of(ping_conversation(), node)
    assert len(log) > 30
    for row in log.rows:
        message = log.open(row)
        assert covers(message.fields, 0, len(message.data))


def test_bytes_on_the_wire_are_opened_down_to_the_ping() -> None:
    log = log_of(ping_conversation())
    chunks = opened(log, "transport")
    assert names(chunks[0].fields) == ["line"]
    handshakes = [names(m.fields) for m in chunks if "handshake message" in names(m.fields)]
    assert len(handshakes) == 3
    (last_sent,) = [m for m in chunks if any(f.name == "ping" for f in walk(m.fields))][:1]
    path = {f.layer for f in walk(last_sent.fields)}
    assert {"security", "muxer", "stream"} <= path


def test_one_write_that_holds_several_messages() -> None:
    conversation = ping_conversation()
    log = WireLog()
    sent: list[Entry] = []
    for entry in conversation.of(0):
        if entry.layer == "transport" and entry.direction == "sent":
            sent.append(entry)
        else:
            log.take(entry)
    whole = b"".join(e.payload() for e in sent)
    first = sent[0]
    log.take(Entry(9.0, first.node, "transport", first.link, "sent", 0, whole))
    (chunk,) = [m for m in opened(log, "transport") if m.data == whole]
    assert names(chunk.fields)[:3] == ["line", "line", "handshake message"]
    assert names(chunk.fields).count("Noise message") == 2


def test_a_frame_that_spans_two_noise_messages() -> None:
    conversation = Conversation()
    conversation.connect()
    conversation.stream(1, PING_ID)
    data = DataFrame(1, 0, bytes(range(100)))
    conversation.pass_on(0, "stream", "1/1", data.data)
    conversation.pass_on(0, "muxer", "1", data)
    encoded = data.encode()
    conversation.seal(0, encoded[:40])
    conversation.seal(0, encoded[40:] + WindowUpdate(1, 0, 7).encode())
    for node in (0, 1):
        rest = opened(log_of(conversation, node), "security")[-2:]
        first, second = (m.fields[1].inside.fields for m in rest)
        assert names(first) == ["part of a frame"]
        assert names(second) == ["part of a frame", "window update"]
        assert second[0].meaning == "Bytes 40 to 112 of 112."


def test_a_log_that_begins_in_the_middle_still_reads_frames() -> None:
    conversation = ping_conversation()
    log = WireLog()
    late = False
    for entry in conversation.of(0):
        late = late or (isinstance(entry.what, NoiseMessage) and entry.direction == "received")
        if late:
            log.take(entry)
    for message in opened(log, "security"):
        inside = message.fields[1].inside
        assert inside is not None
        assert {f.name for f in inside.fields} <= {"frame", "data"}


def test_a_lane_that_does_not_fit_is_not_believed() -> None:
    conversation = ping_conversation()
    log = WireLog()
    for entry in conversation.of(0):
        if entry.layer != "muxer" or entry.direction == "received" or entry.number > 0:
            log.take(entry)  # the first frame sent is missing
    (first, *_) = [
        log.open(row)
        for row in log.rows
        if isinstance(row.entry.what, NoiseMessage) and row.entry.direction == "sent"
    ]
    assert names(first.fields[1].inside.fields) == ["data"]  # read by itself


def test_how_an_application_reads_does_not_cut_its_messages() -> None:
    conversation = Conversation()
    conversation.connect()
    conversation.stream(1, "/ipfs/id/1.0.0")
    message = b"\x03\x1a\x01/"
    conversation.tell(1, "stream", "1/1", "sent", message)
    for at in range(len(message)):  # read byte by byte
        conversation.tell(0, "stream", "1/1", "received", message[at : at + 1])
    conversation.frame(1, DataFrame(1, 0, message))
    for node in (0, 1):
        body = opened(log_of(conversation, node), "muxer")[-1].fields[-1].inside
        assert body is not None
        assert names(body.fields) == ["message length", "Identify"]
        assert names(body.fields[1].parts) == ["protocols"]


def test_the_protocol_of_each_row() -> None:
    log = log_of(ping_conversation())
    streams = {log.protocol_of(row) for row in log.rows if row.entry.layer in ("stream", "muxer")}
    assert streams == {PING_ID}
    pings = opened(log, "stream")
    assert [names(m.fields) for m in pings] == [["ping"], ["ping"]]


def test_memory_is_bounded_and_the_loss_is_counted() -> None:
    log = WireLog(max_rows=50)
    conversation = Conversation()
    conversation.connect()
    for stream_id in range(1, 200, 2):
        conversation.ping(stream_id)
    for entry in conversation.entries:
        log.take(entry)
    assert len(log) == 50
    assert log.dropped == len(conversation.entries) - 50
    assert len(log._lanes) <= 4 * 50 + 1
    assert len(log.protocols) < 50
    assert log.row(0) is None
    assert log.row(log.next_seq) is None
    assert log.row(log.next_seq - 1) is log.rows[-1]
    assert [row.seq for row in log.since(log.next_seq - 2)] == [log.next_seq - 2, log.next_seq - 1]
    for row in log.rows:
        message = log.open(row)
        assert covers(message.fields, 0, len(message.data))


def test_bytes_are_bounded_too() -> None:
    log = WireLog(max_bytes=1000)
    for number in range(100):
        log.take(Entry(0.0, "n", "transport", "1", "sent", number * 100, bytes(100)))
    assert len(log) == 10
    assert log.dropped == 90


@given(st.lists(st.sampled_from(range(60)), max_size=80), st.integers(1, 40))
def test_any_selection_of_entries_can_be_opened(picks: list[int], max_rows: int) -> None:
    entries = ENTRIES
    log = WireLog(max_rows=max_rows)
    for pick in picks:
        log.take(entries[pick % len(entries)])
    for row in log.rows:
        message = log.open(row)
        assert covers(message.fields, 0, len(message.data))


ENTRIES = ping_conversation().entries


def test_a_title_is_that_of_the_opened_message() -> None:
    log = log_of(ping_conversation())
    for row in log.rows:
        assert log.title(row) == log.open(row).title
