"""Every byte stream of the library keeps the rules of `ByteStream`."""

from __future__ import annotations

import pytest

from tests.conformance.byte_stream import BYTE_STREAM_CHECKS
from tests.conformance.pairs import PAIRS


@pytest.mark.parametrize("make_pair", PAIRS.values(), ids=PAIRS.keys())
@pytest.mark.parametrize("check", BYTE_STREAM_CHECKS, ids=lambda check: check.__name__)
async def test_byte_stream(check, make_pair) -> None:
    await check(make_pair)
