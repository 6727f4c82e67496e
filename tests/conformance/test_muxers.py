"""Every muxer of the library keeps the rules of `Muxer`."""

from __future__ import annotations

import pytest

from libp2p_lab.multiplexing import Yamux
from tests.conformance.muxer import MUXER_CHECKS

MUXERS = {"yamux": Yamux}


@pytest.mark.parametrize("make", MUXERS.values(), ids=MUXERS.keys())
@pytest.mark.parametrize("check", MUXER_CHECKS, ids=lambda check: check.__name__)
async def test_muxer(check, make) -> None:
    await check(make())
