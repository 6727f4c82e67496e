"""Every secure channel of the library keeps the rules of `SecureChannel`."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from libp2p_lab.errors import PeerIdMismatch
from libp2p_lab.security import TLS, Noise, Plaintext
from tests.conformance.pairs import PEERS, memory_pair
from tests.conformance.secure_channel import (
    PRIVACY_CHECKS,
    SECURE_CHANNEL_CHECKS,
    check_one_changed_bit_of_the_handshake,
    check_the_wrong_peer_is_refused,
    one_side,
    tls_unnoticed,
)

CHANNELS = {
    "noise": (Noise, Noise),
    "noise without early muxers": (partial(Noise, early_muxers=False), Noise),
    "tls": (TLS, TLS),
    "tls without early muxers": (TLS, partial(TLS, early_muxers=False)),
}


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize(
    "check", SECURE_CHANNEL_CHECKS + PRIVACY_CHECKS, ids=lambda check: check.__name__
)
async def test_secure_channel(check, name) -> None:
    if check is check_one_changed_bit_of_the_handshake and "tls" in name:
        check = partial(check, unnoticed=tls_unnoticed, step=7)
    await check(*CHANNELS[name])


@pytest.mark.parametrize("check", SECURE_CHANNEL_CHECKS, ids=lambda check: check.__name__)
async def test_plaintext(check) -> None:
    """What does not need a secret. That the wrong peer is refused is no secret, but the listener may not hear of it."""
    if check is check_the_wrong_peer_is_refused:
        async with memory_pair() as raw:
            listening = asyncio.create_task(one_side(Plaintext(), raw[1], 1))
            with pytest.raises(PeerIdMismatch):
                await one_side(Plaintext(), raw[0], 0, expected=PEERS[0])
            assert (await listening).remote_peer == PEERS[0]
        return
    await check(Plaintext, Plaintext)
