"""The finished Noise channel: messages cut anyhow."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.errors import ProtocolViolation
from libp2p_lab.security.noise import NoiseChannel
from libp2p_lab.security.noise_xx import CipherState


def channels() -> tuple[NoiseChannel, NoiseChannel]:
    keys = bytes(32), b"\x01" * 32
    alice = NoiseChannel(CipherState(keys[0]), CipherState(keys[1]))
    return alice, NoiseChannel(CipherState(keys[1]), CipherState(keys[0]))


@given(st.lists(st.integers(0, 70_000), max_size=4), st.lists(st.integers(1, 3000), min_size=1))
def test_any_sizes_cut_anyhow(sizes, cuts) -> None:
    alice, bob = channels()
    data = [bytes([n]) * size for n, size in enumerate(sizes)]
    wire = b"".join(alice.seal(piece) for piece in data)
    received = b""
    for cut in itertools.cycle(cuts):
        received += b"".join(bob.open(wire[:cut]))
        wire = wire[cut:]
        if not wire:
            break
    assert received == b"".join(data)
    assert not bob.holds_partial_message


@pytest.mark.parametrize("cut", range(5))
def test_cut_within_a_length(cut) -> None:
    alice, bob = channels()
    wire = bytes(alice.seal(b"first") + alice.seal(b"second") + alice.seal(b"third"))
    length = 2 + 5 + 16 + cut
    assert bob.open(wire[:length]) + bob.open(wire[length:]) == [b"first", b"second", b"third"]


@given(st.binary(max_size=300))
def test_garbage_gives_typed_errors_only(data) -> None:
    _, whole = channels()
    _, cut = channels()
    results = []
    for bob, pieces in ((whole, [data]), (cut, [data[n : n + 1] for n in range(len(data))])):
        try:
            for piece in pieces:
                assert bob.open(piece) == []
            results.append(None)
        except ProtocolViolation as error:
            results.append(str(error))
    assert results[0] == results[1]
