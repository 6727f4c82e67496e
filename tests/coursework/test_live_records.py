"""Checks about a live run: the answer is compared with the run's own record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab.coursework.workbook import Workbook
from libp2p_lab.host.events import StreamStarted
from tests.mutants import Mutant, capture, key_types, trace

FIELDS = ("peer_id", "addr", "protocols")


@pytest.fixture
async def run() -> AsyncIterator[tuple[Any, dict[str, Any]]]:
    """A record of one dial, and the truth about it."""
    async with lab.Host(listen=["/ip4/127.0.0.1/tcp/0"]) as alice, lab.Host() as bob:
        with lab.record(bob) as log:
            connection = await bob.connect(alice.addrs[0])
            await bob.ping(alice.peer_id)
            await bob.identify_result(alice.peer_id)
        streams = [entry.what.protocol for entry in log if isinstance(entry.what, StreamStarted)]
        right = {
            "peer_id": str(alice.peer_id),
            "addr": str(connection.remote_addr),
            "protocols": sorted({connection.security, connection.muxer, *streams}),
            "own_id": str(bob.peer_id),
            "local_addr": str(connection.local_addr),
        }
        yield log, right


async def examine(run: tuple[Any, dict[str, Any]], given: dict[str, Any]) -> Any:
    log, _ = run
    answer = {name: given[name] for name in FIELDS}
    return await Workbook().check("00.trace", answer, run=log)


async def test_two_right_answers_pass(run: tuple[Any, dict[str, Any]]) -> None:
    for given in (run[1], trace.ANOTHER(run[1])):
        result = await examine(run, given)
        assert result.passed, result.feedback


@pytest.mark.parametrize("mutant", trace.MUTANTS, ids=lambda mutant: mutant.rule)
async def test_a_mutant_is_rejected(run: tuple[Any, dict[str, Any]], mutant: Mutant) -> None:
    result = await examine(run, mutant.answer(run[1]))
    assert not result.passed
    assert result.finding is not None
    assert result.finding.rule == mutant.rule, result.feedback
    assert mutant.seen in result.feedback
    assert result.finding.hint in result.feedback


@pytest.mark.parametrize("check_id", ["00.trace", "01.key_types", "02.capture", "04.stream_six"])
async def test_without_a_record_nothing_is_compared(check_id: str) -> None:
    result = await Workbook().check(check_id, {}, run=None)
    assert not result.passed
    assert result.finding is not None
    assert result.finding.rule == "no-record"


@pytest.fixture
async def strangers() -> AsyncIterator[tuple[Any, dict[str, str]]]:
    """A record in which a peer of each kind of key identifies itself, and the truth about it."""
    kinds = ("ed25519", "secp256k1", "ecdsa", "rsa")
    async with AsyncExitStack() as stack:
        bob = await stack.enter_async_context(lab.Host())
        right = {}
        with lab.record(bob) as log:
            for kind in kinds:
                key = lab.KeyPair.generate(kind)
                peer = await stack.enter_async_context(lab.Host(key=key, listen=["/memory/0"]))
                await bob.connect(peer.addrs[0])
                await bob.identify_result(peer.peer_id)
                right[str(peer.peer_id)] = kind
        yield log, right


async def test_two_right_answers_about_keys_pass(strangers: tuple[Any, dict[str, str]]) -> None:
    log, right = strangers
    for answer in (right, key_types.ANOTHER(right)):
        result = await Workbook().check("01.key_types", answer, run=log)
        assert result.passed, result.feedback
        assert result.tried == {"keys compared with the record": 4}


@pytest.mark.parametrize("mutant", key_types.MUTANTS, ids=lambda mutant: mutant.rule)
async def test_a_mutant_about_keys_is_rejected(
    strangers: tuple[Any, dict[str, str]], mutant: Mutant
) -> None:
    log, right = strangers
    result = await Workbook().check("01.key_types", mutant.answer(right), run=log)
    assert not result.passed
    assert result.finding is not None
    assert result.finding.rule == mutant.rule, result.feedback
    assert mutant.seen in result.feedback
    assert result.finding.hint in result.feedback


@pytest.fixture
async def tapped() -> AsyncIterator[tuple[Any, dict[str, Any]]]:
    """A record of a dial in which the first proposal is refused, and the truth about its first bytes."""
    parts: dict[str, Any] = {"security": [lab.TLS(), lab.Noise()], "services": ()}
    async with (
        lab.Host(listen=["/ip4/127.0.0.1/tcp/0"], security=[lab.Noise()], services=()) as alice,
        lab.Host(**parts) as bob,
    ):
        with lab.record(bob) as log:
            await bob.connect(alice.addrs[0])
        sent = b"\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n\x07/noise\n"
        heard = b"\x13/multistream/1.0.0\n\x03na\n\x07/noise\n"
        yield log, capture.sliced(len(sent), len(heard))


async def test_two_right_answers_about_a_capture_pass(tapped: tuple[Any, dict[str, Any]]) -> None:
    log, right = tapped
    for answer in (right, capture.ANOTHER(right)):
        result = await Workbook().check("02.capture", answer, run=log)
        assert result.passed, result.feedback
        assert result.tried == {"bytes compared": 192}


@pytest.mark.parametrize("mutant", capture.MUTANTS, ids=lambda mutant: mutant.rule)
async def test_a_mutant_about_a_capture_is_rejected(
    tapped: tuple[Any, dict[str, Any]], mutant: Mutant
) -> None:
    log, right = tapped
    result = await Workbook().check("02.capture", mutant.answer(right), run=log)
    assert not result.passed
    assert result.finding is not None
    assert result.finding.rule == mutant.rule, result.feedback
    assert mutant.seen in result.feedback
    assert result.finding.hint in result.feedback
