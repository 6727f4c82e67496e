"""Every byte is named once, whatever the message; what the spec says is found in the fields."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.multiplexing.yamux_frames import DataFrame, GoAway, Ping, WindowUpdate
from libp2p_lab.negotiation.multistream import Line
from libp2p_lab.security.noise import NoiseMessage
from libp2p_lab.security.noise_xx import HandshakeMessage
from libp2p_lab.trace import Entry
from libp2p_lab.widgets.annotate import annotate
from libp2p_lab.widgets.fields import (
    Field,
    Message,
    covers,
    hex_of,
    message_as_json,
    text_or_hex,
)
from libp2p_lab.widgets.protobuf_fields import IDENTIFY, NOISE_PAYLOAD, dissect
from libp2p_lab.widgets.stream_fields import protocol_fields, stream_fields
from tests.support import REPOSITORY
from tests.widgets.trace_samples import handshake_messages, ping_conversation, prefixed

SPEC_PAGES: dict[str, list[str]] = json.loads(
    (REPOSITORY / "tests" / "project" / "spec_headings.json").read_text("utf-8")
)["pages"]


def entry(what: object, layer: str = "security", number: int = 0) -> Entry:
    return Entry(0.0, "node", layer, "1", "sent", number, what)


def whole(message: Message) -> bool:
    return covers(message.fields, 0, len(message.data))


def walk(fields: Iterable[Field]) -> Iterable[Field]:
    for item in fields:
        yield item
        yield from walk(item.parts)
        if item.inside:
            yield from walk(item.inside.fields)


def named(message: Message, name: str) -> Field:
    return next(item for item in walk(message.fields) if item.name == name)


# -- what the specs say ---------------------------------------------------------------------------


def test_a_line_is_length_text_and_newline() -> None:
    message = annotate(entry(Line("na"), "negotiation"))
    assert message.data == bytes.fromhex("036e610a")
    assert [(f.name, f.start, f.end, f.value) for f in message.fields] == [
        ("length", 0, 1, "3"),
        ("text", 1, 3, "na"),
        ("newline", 3, 4, "\\n"),
    ]


def test_handshake_messages_have_the_sizes_of_the_spec() -> None:
    first, second, third = (
        annotate(entry(what, number=number)) for number, what in enumerate(handshake_messages())
    )
    assert [f.name for f in first.fields] == ["length", "e: ephemeral public key"]
    assert first.fields[0].value == "32"
    assert len(first.data) == 34

    names = ["length", "e: ephemeral public key", "s: encrypted static key", "payload"]
    assert [f.name for f in second.fields] == names
    assert second.fields[2].end - second.fields[2].start == 48
    assert [f.name for f in third.fields] == [names[0], *names[2:]]
    assert "e, ee, s, es" in second.title
    assert all(map(whole, (first, second, third)))


def test_the_payload_of_a_handshake_is_opened_down_to_the_identity_key() -> None:
    message = annotate(entry(handshake_messages()[1], number=1))
    payload = message.fields[-1].inside
    assert payload is not None
    assert [f.name for f in payload.fields] == ["identity_key", "identity_sig", "extensions"]
    assert named(message, "Type").value == "1 (Ed25519)"
    assert named(message, "stream_muxers").value == '"/yamux/1.0.0"'
    tags = [f for f in walk(message.fields) if f.name == "tag" and f.end - f.start == 16]
    assert len(tags) == 2  # one behind the static key, one behind the payload


@pytest.mark.parametrize(
    ("frame", "title"),
    [
        (DataFrame(5, 1, b"hello"), "yamux data stream 5 SYN, 5 bytes"),
        (WindowUpdate(4, 2, 1000), "yamux window update stream 4 ACK, +1,000"),
        (Ping(1, 7), "yamux ping question 7"),
        (Ping(2, 7), "yamux ping answer 7"),
        (GoAway(1), "yamux go away protocol error"),
    ],
)
def test_yamux_frames_name_their_header(frame: DataFrame, title: str) -> None:
    message = annotate(entry(frame, "muxer"))
    assert message.title == title
    sizes = [f.end - f.start for f in message.fields[:5]]
    assert sizes == [1, 1, 2, 4, 4]
    assert [f.name for f in message.fields[:4]] == ["version", "type", "flags", "stream id"]
    assert whole(message)


def test_flags_are_spelled_out() -> None:
    message = annotate(entry(DataFrame(1, 0b100000000101, b""), "muxer"))
    assert named(message, "flags").value == "2053 (SYN FIN unknown 0x800)"


def test_a_noise_message_is_opened_to_frames_and_lines() -> None:
    body = Line("/multistream/1.0.0").encode() + Line("/ipfs/ping/1.0.0").encode()
    plaintext = DataFrame(1, 1, body).encode() + WindowUpdate(1, 0, 10).encode()
    message = annotate(entry(NoiseMessage(plaintext + bytes(16), plaintext), number=3))
    assert message.title.startswith("Noise message 0: data stream 1 SYN")
    opened = message.fields[1].inside
    assert opened is not None
    assert [f.name for f in opened.fields] == ["data", "window update"]
    lines = opened.fields[0].parts[-1].inside
    assert lines is not None
    assert [f.value for f in lines.fields] == ["/multistream/1.0.0", "/ipfs/ping/1.0.0"]
    assert whole(message)


def test_a_muxer_negotiated_after_noise_is_told_from_frames() -> None:
    plaintext = Line("/yamux/1.0.0").encode()
    message = annotate(entry(NoiseMessage(plaintext + bytes(16), plaintext), number=4))
    assert named(message, "line").value == "/yamux/1.0.0"


def test_an_identify_message_is_named_field_by_field() -> None:
    multiaddr = bytes.fromhex("047f000001060fa1")
    body = b"\x12" + prefixed(multiaddr) + b"\x1a" + prefixed(b"/ipfs/ping/1.0.0")
    found = protocol_fields(prefixed(body), "/ipfs/id/1.0.0", is_start=True)
    values = {item.name: item.value for item in walk(found)}
    assert values["listenAddrs"] == "/ip4/127.0.0.1/tcp/4001"
    assert values["protocols"] == '"/ipfs/ping/1.0.0"'
    assert values["message length"] == str(len(body))


def test_a_ping_is_32_bytes() -> None:
    found = protocol_fields(bytes(64), "/ipfs/ping/1.0.0")
    assert [(f.start, f.end) for f in found] == [(0, 32), (32, 64)]


def test_a_conversation_is_covered_and_speaks_of_existing_spec_pages() -> None:
    links = set()
    for item in ping_conversation().entries:
        message = annotate(item)
        assert whole(message), item
        assert message.title
        links |= {f.spec for f in walk(message.fields) if f.spec}
        json.dumps(message_as_json(message))
    for link in links:
        page, _, heading = link.partition("#")
        assert link.startswith("https://") or heading in SPEC_PAGES[page], link
    assert len(links) > 5


def test_events_show_their_values_and_have_no_bytes() -> None:
    (event, *_) = (e for e in ping_conversation().entries if e.layer == "host")
    message = annotate(event)
    assert message.title == "Connection opened: outbound, /ip4/127.0.0.1/tcp/4001"
    assert ("security", "/noise") in [(f.name, f.value) for f in message.fields]
    assert message.data == b""


# -- any input ------------------------------------------------------------------------------------

u32 = st.integers(0, 2**32 - 1)
u16 = st.integers(0, 2**16 - 1)
data = st.binary(max_size=200)
frames = st.one_of(
    st.builds(DataFrame, u32, u16, data),
    st.builds(WindowUpdate, u32, u16, u32),
    st.builds(Ping, u16, u32),
    st.builds(GoAway, u32),
)
# Plaintexts that begin like something real and end in anything.
plaintexts = st.one_of(
    data,
    st.builds(lambda parts, end: b"".join(p.encode() for p in parts) + end, st.lists(frames), data),
    st.builds(lambda f, cut: f.encode()[:cut], frames, st.integers(0, 40)),
)
messages = st.one_of(
    data,
    frames,
    st.builds(Line, st.text(max_size=80)),
    st.builds(
        HandshakeMessage,
        st.tuples(st.sampled_from(("e", "ee", "s", "es", "se", "x"))),
        data,
        data,
        data,
        data,
        data,
    ),
    st.builds(lambda p, tag: NoiseMessage(p + tag, p), plaintexts, st.binary(max_size=16)),
    st.text(),
    st.none(),
)
layers = st.sampled_from(("transport", "negotiation", "security", "muxer", "stream", "identify"))


@given(messages, layers, st.integers(-1, 2**64))
def test_any_entry_is_covered_exactly_once(what: object, layer: str, number: int) -> None:
    message = annotate(entry(what, layer, number))
    assert whole(message)
    json.dumps(message_as_json(message))


@given(data, st.sampled_from((IDENTIFY, NOISE_PAYLOAD)))
def test_any_bytes_are_dissected_as_protobuf(garbage: bytes, schema) -> None:
    assert covers(dissect(garbage, schema), 0, len(garbage))


@given(data, st.sampled_from(("", "/ipfs/id/1.0.0", "/ipfs/ping/1.0.0")), st.booleans())
def test_any_bytes_are_a_stream(garbage: bytes, protocol: str, is_start: bool) -> None:
    assert covers(stream_fields(garbage), 0, len(garbage))
    assert covers(protocol_fields(garbage, protocol, is_start=is_start), 0, len(garbage))


@given(st.binary(max_size=500))
def test_text_or_hex_shows_any_bytes_in_one_line(garbage: bytes) -> None:
    shown = text_or_hex(garbage)
    assert "\n" not in shown
    assert shown.isprintable() or "\t" in shown


def test_long_bytes_are_counted() -> None:
    assert hex_of(bytes(30), 2) == "00 00 … 28 more"
    assert text_or_hex("é".encode() * 1000).endswith("more bytes")
    assert text_or_hex(b"\xff" * 1000).startswith("ff ff")


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ((Field("a", 0, 2), Field("b", 2, 3)), True),
        ((Field("a", 0, 2), Field("b", 1, 3)), False),  # twice
        ((Field("a", 0, 1), Field("b", 2, 3)), False),  # a gap
        ((Field("a", 0, 3, parts=(Field("b", 0, 2),)),), False),  # parts that stop short
        ((Field("a", 0, 4),), False),  # beyond the end
    ],
)
def test_the_rule_itself_is_checked(fields: tuple[Field, ...], fits: bool) -> None:
    assert covers(fields, 0, 3) is fits
