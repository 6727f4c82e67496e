"""Every secure channel of the library keeps the rules of `SecureChannel`."""

from __future__ import annotations

from functools import partial

import pytest

from libp2p_lab.security import Noise
from libp2p_lab.security.tls import TLS
from tests.conformance.secure_channel import (
    PRIVACY_CHECKS,
    SECURE_CHANNEL_CHECKS,
    check_one_changed_bit_of_the_handshake,
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
