"""Multiaddrs against every row of the vectors, which come from go, js and nim."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.errors import LocalError, MalformedMessage
from libp2p_lab.identity import Multiaddr, PeerId
from libp2p_lab.identity.multiaddr import MAX_BYTES
from libp2p_lab.identity.multiaddr_protocols import ALIASES, BY_NAME, PROTOCOLS, VARIABLE
from libp2p_lab.wire import multibase
from tests.support import load_vectors

VECTORS = load_vectors("multiaddr.json")["vectors"]
TABLE = load_vectors("multiaddr_protocols.json")["vectors"]
PEER = "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"
RELAY = "QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC"


def rows(kind: str):
    found = [row for row in VECTORS if row["kind"] == kind]
    assert found
    return pytest.mark.parametrize("row", found, ids=lambda row: row["id"])


def test_every_kind_of_row_is_tested() -> None:
    assert {row["kind"] for row in VECTORS} == {
        *("string-bytes", "valid", "invalid", "invalid-bytes", "no-crash-bytes", "split"),
        *("decapsulate", "encapsulate", "canonical", "roundtrip"),
    }


@rows("string-bytes")
def test_text_and_bytes(row) -> None:
    data = bytes.fromhex(row["bytes"])
    assert Multiaddr(row["text"]).to_bytes() == data
    assert str(Multiaddr(data)) == row["text"]


@rows("valid")
def test_valid(row) -> None:
    address = Multiaddr(row["text"])
    assert Multiaddr(bytes(address)) == address
    assert Multiaddr(str(address)) == address


@rows("invalid")
def test_invalid(row) -> None:
    with pytest.raises(LocalError):
        Multiaddr(row["text"])


@rows("invalid-bytes")
def test_invalid_bytes(row) -> None:
    with pytest.raises(MalformedMessage):
        Multiaddr(bytes.fromhex(row["bytes"]))


@rows("split")
def test_split(row) -> None:
    address = Multiaddr(row["text"])
    assert [str(part) for part in address.parts] == row["parts"]
    assert b"".join(part.encode() for part in address.parts) == bytes(address)
    assert Multiaddr.of(address.parts) == address


@rows("decapsulate")
def test_decapsulate(row) -> None:
    assert str(Multiaddr(row["left"]).decapsulate(row["right"])) == row["expected"]
    assert str(Multiaddr(row["left"]).decapsulate(Multiaddr(row["right"]))) == row["expected"]


@rows("encapsulate")
def test_encapsulate(row) -> None:
    assert str(Multiaddr(row["left"]).encapsulate(row["right"])) == row["expected"]
    assert str(Multiaddr(row["left"]) / Multiaddr(row["right"])) == row["expected"]


@rows("canonical")
def test_canonical(row) -> None:
    assert str(Multiaddr(row["text"])) == row["canonical"]


@rows("roundtrip")
def test_round_trip(row) -> None:
    assert str(Multiaddr(bytes(Multiaddr(row["text"])))) == row["text"]


def test_the_table_is_the_published_one() -> None:
    ours = {(p.code, p.name, "V" if p.size == VARIABLE else 8 * p.size) for p in PROTOCOLS}
    published = {(row["code"], row["name"], row["size_bits"]) for row in TABLE}
    assert published - ours == {(421, "ipfs", "V"), (777, "memory", "V")}
    assert ours - published == {(777, "memory", 64)}  # as go and rust have it
    assert ALIASES == {"ipfs": "p2p"}
    assert {row["code_varint"] for row in TABLE} == {p.prefix.hex() for p in PROTOCOLS}
    assert all((p.codec is None) == (p.size == 0) for p in PROTOCOLS)


# -- views -----------------------------------------------------------------------------------------


def test_looking_inside() -> None:
    address = Multiaddr(f"/ip4/127.0.0.1/tcp/4001/p2p/{PEER}")
    assert address.names == ("ip4", "tcp", "p2p")
    assert [part.value for part in address.parts] == ["127.0.0.1", "4001", PEER]
    assert address.parts[1].code == 6
    assert address.parts[1].value_bytes == b"\x0f\xa1"
    assert address.value_of("tcp") == "4001"
    assert address.value_of("udp") is None
    assert Multiaddr("/tcp/1/tls/ws").value_of("ws") == ""
    assert repr(Multiaddr("/tcp/1")) == "Multiaddr('/tcp/1')"
    assert address
    assert len({address, Multiaddr(bytes(address)), Multiaddr(str(address))}) == 1
    assert address != str(address)


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("/ip4/1.2.3.4/tcp/1", None),
        (f"/ip4/1.2.3.4/tcp/1/p2p/{PEER}", PEER),
        (f"/p2p/{PEER}", PEER),
        (f"/ip4/1.2.3.4/tcp/1/p2p/{RELAY}/p2p-circuit", None),  # the relay, not the peer behind it
        (f"/ip4/1.2.3.4/tcp/1/p2p/{RELAY}/p2p-circuit/p2p/{PEER}", PEER),
        (f"/p2p/{PEER}/http-path/foo", PEER),
    ],
)
def test_which_peer_answers(text, peer) -> None:
    found = Multiaddr(text).peer_id
    assert (None if found is None else str(found)) == peer


def test_with_and_without_a_peer() -> None:
    bare, peer = Multiaddr("/ip4/1.2.3.4/tcp/1"), PeerId.from_text(PEER)
    full = bare.with_peer(peer)
    assert str(full) == f"/ip4/1.2.3.4/tcp/1/p2p/{PEER}"
    assert full.with_peer(peer) == full
    assert full.without_peer() == bare == bare.without_peer()
    assert full.with_peer(PeerId.from_text(RELAY)).without_peer() == bare
    relayed = Multiaddr(f"/p2p/{RELAY}/p2p-circuit")
    assert str(relayed.with_peer(peer)) == f"/p2p/{RELAY}/p2p-circuit/p2p/{PEER}"
    assert relayed.without_peer() == relayed


def test_the_empty_address_is_only_what_is_left_over() -> None:
    empty = Multiaddr(f"/p2p/{PEER}").without_peer()
    assert not empty
    assert (str(empty), bytes(empty), empty.parts) == ("", b"", ())
    assert empty / "/tcp/1" == Multiaddr("/tcp/1")
    for nothing in ("", b""):
        with pytest.raises((LocalError, MalformedMessage)):
            Multiaddr(nothing)


# -- single values ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("/ip6/2001:DB8:0:0:0:0:0:1", "/ip6/2001:db8::1"),
        ("/ip6/::ffff:7f00:1", "/ip6/::ffff:127.0.0.1"),
        ("/tcp/0080", "/tcp/80"),
        ("/http-path/a+b%2bc%20", "/http-path/a%2Bb%2Bc%20"),
        (
            "/certhash/f1220" + "00" * 32,
            "/certhash/" + multibase.encode(b"\x12\x20" + bytes(32), "base64url"),
        ),
        ("/onion/AAIMAQ4YGG2IEGCI:80", "/onion/aaimaq4ygg2iegci:80"),
        ("/p2p/bafzaajaiaejcahwr5d5ofrfbis4l5d6uwr57hu5tjodrypfm6yaq6dsc2r2pzyt6", f"/p2p/{PEER}"),
        ("/memory/18446744073709551615", "/memory/18446744073709551615"),
    ],
)
def test_values_have_one_printed_form(text, canonical) -> None:
    assert str(Multiaddr(text)) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "/ip4/1.2.3",
        "/ip4/1.2.3.4.5",
        "/ip4/1.2.3.256",
        "/ip4/01.2.3.4",  # octal to some readers
        "/ip4/1.2.3.٤",
        "/ip6/fe80::1%eth0",
        "/ip6/1.2.3.4",
        "/tcp/+1",
        "/tcp/٤",
        "/tcp/1 ",
        "/tcp/" + "9" * 5000,
        "/http-path/%zz",
        "/dns/\ud800",
        "/onion3/ſww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1",
        "/p2p/" + RELAY[:-1],
        "tcp/1",
        "//tcp/1",
        "/TCP/1",
        "/tcp/1//udp/1",
        "/dns/" + "a" * MAX_BYTES,
        "/" * 100_000 + "x",
    ],
)
def test_bad_text(text) -> None:
    with pytest.raises(LocalError) as caught:
        Multiaddr(text)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "data",
    [
        "04",
        "047f0000",
        "06" + "01",
        "e807",  # 1000: no such protocol
        "3505" + "61",
        "3502" + "ff61",  # not UTF-8
        "3503" + "612f62",  # a slash in a name
        "9003" + "0161",  # a relative path
        "9003" + "022f2f",  # a path that ends in a slash
        "a50302" + "0000",
        "d20302" + "1220",
        "bc03" + "00" * 12,  # port 0
        "be0301" + "00",
        "8600" + "0001",  # tcp with a padded code
    ],
)
def test_bad_bytes(data) -> None:
    with pytest.raises(MalformedMessage):
        Multiaddr(bytes.fromhex(data))


# -- properties ------------------------------------------------------------------------------------

words = st.text(
    st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1, max_size=12
)
values = {
    "ip4": st.ip_addresses(v=4).map(str),
    "ip6": st.ip_addresses(v=6).map(str),
    "ipcidr": st.integers(0, 255).map(str),
    "memory": st.integers(0, (1 << 64) - 1).map(str),
    "unix": st.lists(words, min_size=1, max_size=3).map("/".join),
    "p2p": st.sampled_from([PEER, RELAY]),
    "certhash": st.binary(min_size=32, max_size=32).map(
        lambda digest: multibase.encode(b"\x12\x20" + digest, "base64url")
    ),
    "onion": st.integers(1, 65535).map("aaimaq4ygg2iegci:{}".format),
    "onion3": st.integers(1, 65535).map(
        "vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:{}".format
    ),
    "garlic64": st.just("A" * 516),
    "garlic32": st.just("566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzuq"),
    "http-path": st.sampled_from(["foo", "tmp%2Fbar", "%C3%A4"]),
    **{name: st.integers(0, 65535).map(str) for name in ("tcp", "udp", "dccp", "sctp")},
    **dict.fromkeys(("dns", "dns4", "dns6", "dnsaddr", "sni", "ip6zone"), words),
}


def test_every_protocol_with_a_value_is_generated() -> None:
    assert values.keys() == {protocol.name for protocol in PROTOCOLS if protocol.codec}


@st.composite
def texts(draw):
    names = draw(st.lists(st.sampled_from(sorted(BY_NAME)), min_size=1, max_size=6))
    names.sort(key="unix".__eq__)  # a path takes the rest of the text, so it comes last, once
    while names.count("unix") > 1:
        names.remove("unix")
    return "".join(f"/{n}/{draw(values[n])}" if n in values else f"/{n}" for n in names)


@given(texts())
def test_any_address_round_trips(text) -> None:
    address = Multiaddr(text)
    assert Multiaddr(bytes(address)) == address
    assert str(Multiaddr(str(address))) == str(address)
    assert str(Multiaddr(bytes(address))) == str(address)
    assert hash(Multiaddr(bytes(address))) == hash(address)


@given(texts(), texts())
def test_decapsulating_undoes_encapsulating(inner, outer) -> None:
    inner_address, outer_address = Multiaddr(inner), Multiaddr(outer)
    assert (inner_address / outer_address).decapsulate(outer_address) == inner_address
    assert bytes(inner_address / outer_address) == bytes(inner_address) + bytes(outer_address)


@st.composite
def nearly_addresses(draw):
    """Bytes that begin like an address, with a piece of them changed."""
    data = bytearray(bytes(Multiaddr(draw(texts()))))
    for _ in range(draw(st.integers(0, 2))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))])


@given(st.one_of(st.binary(max_size=60), nearly_addresses()))
def test_any_bytes_end_in_an_address_or_a_remote_error(data) -> None:
    try:
        address = Multiaddr(data)
    except MalformedMessage:
        return
    assert bytes(address) == data
    again = Multiaddr(str(address))
    assert bytes(again) == b"".join(part.encode() for part in address.parts)


@given(st.one_of(st.text(max_size=60), texts().map(lambda text: text.replace("1", "/"))))
def test_any_text_ends_in_an_address_or_a_local_error(text) -> None:
    try:
        address = Multiaddr(text)
    except LocalError:
        return
    assert Multiaddr(str(address)) == address
