"""Private networks: key files, the cipher, and who gets in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab import DialError, Host, LocalError, load_swarm_key
from libp2p_lab.errors import ConnectionLost
from libp2p_lab.limits import Limits
from libp2p_lab.security.private_network import (
    FORCE,
    NONCE_LENGTH,
    PrivateStream,
    decode_swarm_key,
    encode_swarm_key,
    fingerprint,
    hsalsa20,
    xsalsa20,
)
from libp2p_lab.transports import Memory
from libp2p_lab.wire.byte_stream import read_exactly
from tests.conformance.byte_stream import pattern
from tests.conformance.pairs import memory_pair
from tests.conformance.secure_channel import Wire
from tests.support import load_vectors

VECTORS = load_vectors("pnet.json")["vectors"]
KEY, OTHER = pattern(32, 1), pattern(32, 2)
AT = "/ip4/127.0.0.1/tcp/0"


@pytest.mark.parametrize("row", VECTORS, ids=lambda row: row["id"])
def test_vectors(row) -> None:
    file = bytes.fromhex(row["file_hex"]) if "file_hex" in row else row["file"].encode()
    if row["kind"] == "fingerprint":
        assert fingerprint(decode_swarm_key(file)).hex() == row["fingerprint"]
    elif row["valid"]:
        assert decode_swarm_key(file).hex() == row["psk"]
    else:
        with pytest.raises(LocalError):
            decode_swarm_key(file)


def test_the_cipher_is_that_of_its_inventor() -> None:
    """The numbers of NaCl's own tests: core1, core2 and stream3."""
    first = "1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389"
    nonce = "69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37"
    shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    assert hsalsa20(bytes.fromhex(shared), bytes(16)).hex() == first
    assert hsalsa20(bytes.fromhex(first), bytes.fromhex(nonce[:32])).hex() == (
        "dc908dda0b9344a953629b733820778880f3ceb421bb61b91cbd4c3e66256ce4"
    )
    assert xsalsa20(bytes.fromhex(first), bytes.fromhex(nonce)).encrypt(bytes(32)).hex() == (
        "eea6a7251c1e72916d11c2cb214d3c252539121d8e234e652d651fa4c8cff880"
    )


@given(st.binary(min_size=32, max_size=32))
def test_files_round_trip(key) -> None:
    assert decode_swarm_key(encode_swarm_key(key)) == key


@given(st.binary(max_size=200))
def test_garbage_is_no_key_file(data) -> None:
    for file in (
        data,
        b"/key/swarm/psk/1.0.0/\n" + data,
        b"/key/swarm/psk/1.0.0/\n/base16/\n" + data,
    ):
        with pytest.raises(LocalError):
            decode_swarm_key(file)


def test_files_are_loaded(tmp_path) -> None:
    path = tmp_path / "swarm.key"
    path.write_bytes(encode_swarm_key(KEY))
    assert load_swarm_key(path) == KEY
    with pytest.raises(LocalError):
        load_swarm_key(tmp_path / "nothing")
    with pytest.raises(LocalError):
        encode_swarm_key(KEY[:-1])
    with pytest.raises(LocalError, match="32"):
        Host(psk=KEY[:-1])


async def test_the_nonce_cut_short() -> None:
    async with memory_pair() as (one, other):
        await one.write(bytes(NONCE_LENGTH - 1))
        await one.close_write()
        with pytest.raises(ConnectionLost):
            await PrivateStream(other, KEY).read(10)


async def test_the_nonce_is_fresh_in_each_direction() -> None:
    wire = Wire()
    async with wire.joined() as raw:
        ends = PrivateStream(raw[0], KEY), PrivateStream(raw[1], KEY)
        for one, other in (ends, ends[::-1]):
            await one.write(b"the same words")
            assert await other.read(100) == b"the same words"
    assert wire.seen[0][:NONCE_LENGTH] != wire.seen[1][:NONCE_LENGTH]
    assert wire.seen[0][NONCE_LENGTH:] != wire.seen[1][NONCE_LENGTH:]


@pytest.mark.parametrize(
    ("ours", "theirs"), [(KEY, OTHER), (KEY, None), (None, KEY)], ids=["other key", "we", "they"]
)
async def test_nobody_else_gets_in(ours, theirs) -> None:
    soon = Limits(dial_timeout=2.0, handshake_timeout=1.0)
    async with (
        Host(listen=[AT], psk=theirs, limits=soon) as bob,
        Host(psk=ours, limits=soon) as alice,
    ):
        with pytest.raises(DialError):
            await alice.connect(bob.addrs[0])
        assert bob.connections == []


async def test_members_meet() -> None:
    async with Host(listen=[AT], psk=KEY) as bob, Host(psk=KEY) as alice:
        await alice.connect(bob.addrs[0])
        assert await alice.ping(bob.peer_id) > 0


async def test_s50_a_stranger_learns_nothing() -> None:
    """What a listener says to somebody without the key: 24 bytes of chance and noise, never the same twice."""
    heard = []
    for _ in range(2):
        async with Host(listen=["/memory/0"], psk=KEY) as bob:
            heard.append(await first_words_of(bob))
    for words in heard:
        assert len(words) > NONCE_LENGTH
        assert b"multistream" not in words
        assert b"noise" not in words
        clear = xsalsa20(KEY, words[:NONCE_LENGTH]).encrypt(words[NONCE_LENGTH:])
        assert clear.startswith(b"\x13/multistream/1.0.0\n")
    assert (
        all(a != b for a, b in zip(heard[0][:8], heard[1][:8], strict=True)) or heard[0] != heard[1]
    )
    assert heard[0][NONCE_LENGTH:] != heard[1][NONCE_LENGTH:]


async def first_words_of(host: Host) -> bytes:
    raw = await Memory().dial(host.addrs[0].without_peer())
    try:
        words = await read_exactly(raw, NONCE_LENGTH + 20)
        await raw.write(pattern(NONCE_LENGTH) + pattern(40))  # no stranger speaks first
        return words
    finally:
        await raw.reset()


def test_s50_without_a_key_where_one_is_demanded(monkeypatch) -> None:
    monkeypatch.setenv(FORCE, "1")
    with pytest.raises(LocalError, match=FORCE):
        Host()
    Host(psk=KEY)
    monkeypatch.setenv(FORCE, "0")
    Host()
