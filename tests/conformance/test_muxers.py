"""Every muxer of the library keeps the rules of `Muxer`; mplex those that it can."""

from __future__ import annotations

from functools import partial

import pytest

from libp2p_lab.multiplexing import Mplex, Yamux
from tests.conformance.byte_stream import (
    BYTE_STREAM_CHECKS,
    check_a_cancelled_write_is_made_once,
    check_a_waiting_writer_hears_of_a_reset,
    check_back_pressure,
    check_the_other_direction_moves_under_back_pressure,
)
from tests.conformance.muxer import (
    MUXER_CHECKS,
    check_a_reader_that_stops_holds_only_its_own_stream,
    check_a_stalled_stream_stops_alone,
    check_everything_ends_with_the_connection,
    check_garbage_ends_the_session,
    check_go_away_of_a_session,
    check_ping_and_pong,
    check_the_backlog,
)
from tests.conformance.pairs import memory_pair, muxed_pair, tcp_pair

# What mplex lacks: flow control, acknowledgements, pings, and a goodbye that says why.
NOT_FOR_MPLEX = (
    check_a_reader_that_stops_holds_only_its_own_stream,
    check_a_stalled_stream_stops_alone,
    check_everything_ends_with_the_connection,  # a flood must stand still first
    check_garbage_ends_the_session,  # but for the goodbye: tests/multiplexing/test_mplex.py
    check_go_away_of_a_session,
    check_ping_and_pong,
    check_the_backlog,
)
STREAMS_NOT_FOR_MPLEX = (  # a flood is no reason to wait, and ends in a reset
    check_back_pressure,
    check_the_other_direction_moves_under_back_pressure,
    check_a_cancelled_write_is_made_once,
    check_a_waiting_writer_hears_of_a_reset,
)


@pytest.mark.parametrize("check", MUXER_CHECKS, ids=lambda check: check.__name__)
async def test_yamux(check) -> None:
    await check(Yamux())


@pytest.mark.parametrize(
    "check",
    [check for check in MUXER_CHECKS if check not in NOT_FOR_MPLEX],
    ids=lambda check: check.__name__,
)
async def test_mplex(check) -> None:
    await check(Mplex())


@pytest.mark.parametrize("below", [memory_pair, tcp_pair], ids=["memory", "tcp"])
@pytest.mark.parametrize(
    "check",
    [check for check in BYTE_STREAM_CHECKS if check not in STREAMS_NOT_FOR_MPLEX],
    ids=lambda check: check.__name__,
)
async def test_streams_of_mplex(check, below) -> None:
    await check(partial(muxed_pair, below, Mplex()))
