"""E4.1: the answer is compared with the frames of a live run's record, whichever side recorded it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab.coursework.workbook import Workbook
from libp2p_lab.multiplexing.yamux_frames import DataFrame, WindowUpdate
from tests.mutants import Mutant, stream_six


@pytest.fixture(params=[True, False], ids=["dialer", "listener"])
async def stream_of_six(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Any, Any, Any]]:
    """A record with a stream 6 as seen by either side, the truth about it, and what else is in it."""
    limits = lab.Limits(yamux_max_window=256 * 1024)
    async with (
        lab.Host(listen=["/memory/0"], limits=limits) as listener,
        lab.Host(limits=limits) as dialer,
    ):
        seen = dialer if request.param else listener

        @dialer.handle("/half/1.0.0")
        async def half(stream: Any) -> None:
            await stream.read_exactly(150_000)
            await stream.write(b"x" * 1000)
            await stream.read()

        with lab.record(seen) as log:
            await dialer.connect(listener.addrs[0])
            await dialer.identify_result(listener.peer_id)
            await listener.identify_result(dialer.peer_id)  # stream 2
            await listener.ping(dialer.peer_id)  # stream 4
            stream = await listener.open_stream(dialer.peer_id, "/half/1.0.0")
            await stream.write(b"y" * 190_000)
            await stream.read_exactly(1000)
            await listener.ping(dialer.peer_id)  # what was sent before it has arrived
        frames = [
            entry
            for entry in log
            if isinstance(entry.what, DataFrame | WindowUpdate) and entry.what.stream_id == 6
        ]
        ours = "received" if request.param else "sent"
        data = {
            by: [
                len(e.what.data)
                for e in frames
                if isinstance(e.what, DataFrame) and (e.direction == ours) is by
            ]
            for by in (True, False)
        }
        deltas = [
            e.what.delta
            for e in frames
            if isinstance(e.what, WindowUpdate) and e.what.delta and e.direction != ours
        ]
        assert deltas
        assert stream.id == 6
        told = {
            "sent": sum(data[True]),
            "frames": len(data[True]),
            "others": sum(data[False]),
            "granted": sum(deltas),
            "last": deltas[-1],
        }
        right = {"opener": "listener", "left": 256 * 1024 - told["sent"] + told["granted"]}
        yield log, right, told


async def test_two_right_answers_about_stream_six(stream_of_six: tuple[Any, Any, Any]) -> None:
    log, right, told = stream_of_six
    for answer in (right, stream_six.ANOTHER(right, told)):
        result = await Workbook().check("04.stream_six", answer, run=log)
        assert result.passed, result.feedback
        assert result.tried == {"data frames added up": told["frames"]}


@pytest.mark.parametrize("mutant", stream_six.MUTANTS, ids=lambda mutant: mutant.rule)
async def test_a_mutant_about_stream_six(
    stream_of_six: tuple[Any, Any, Any], mutant: Mutant
) -> None:
    log, right, told = stream_of_six
    result = await Workbook().check("04.stream_six", mutant.answer(right, told), run=log)
    assert not result.passed
    assert result.finding is not None
    assert result.finding.rule == mutant.rule, result.feedback
    assert mutant.seen in result.feedback
    assert result.finding.hint in result.feedback
