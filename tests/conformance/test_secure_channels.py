"""Every secure channel of the library keeps the rules of `SecureChannel`."""

from __future__ import annotations

from functools import partial

import pytest

from libp2p_lab.security import Noise
from tests.conformance.secure_channel import PRIVACY_CHECKS, SECURE_CHANNEL_CHECKS

CHANNELS = {
    "noise": (Noise, Noise),
    "noise without early muxers": (partial(Noise, early_muxers=False), Noise),
}


@pytest.mark.parametrize("sides", CHANNELS.values(), ids=CHANNELS.keys())
@pytest.mark.parametrize(
    "check", SECURE_CHANNEL_CHECKS + PRIVACY_CHECKS, ids=lambda check: check.__name__
)
async def test_secure_channel(check, sides) -> None:
    await check(*sides)
