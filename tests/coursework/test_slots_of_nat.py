"""The slots of chapter 08 in live peers: whatever can be punched is punched by the reference, under jitter too."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab.coursework.slot_punch import StudentDCUtR
from libp2p_lab.coursework.slots import swap
from libp2p_lab.nat.dcutr import DCUtR
from libp2p_lab.nat.relay_messages import Voucher
from libp2p_lab.sim.punching import NINE, Street, connects, meet
from tests.support import REPOSITORY

SOLUTIONS = REPOSITORY / "curriculum" / "08-nat" / "solutions"


def solution(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"solution_{name}", SOLUTIONS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.answer


@pytest.mark.timeout(120)
def test_every_pair_that_can_is_punched_under_jitter() -> None:
    make = solution("hole_punch")
    for number, (a, b) in enumerate((a, b) for a in NINE for b in NINE if connects(a, b)):
        alices = [lambda: StudentDCUtR(make), DCUtR][number % 2]
        met = meet(
            a, b, jitter=0.05, seed=number, dcutr=alices, bob_dcutr=lambda: StudentDCUtR(make)
        )
        assert met.worked, met
    for a, b in ((4, 6), (3, 6), (2, 2), (0, 8)):
        met = meet(NINE[a], NINE[b], kind="quic", jitter=0.05, dcutr=lambda: StudentDCUtR(make))
        assert met.worked, met


def test_two_that_cannot_stay_on_the_relay_after_three_tries() -> None:
    make = solution("hole_punch")
    met = meet(NINE[8], NINE[8], dcutr=lambda: StudentDCUtR(make))
    assert (met.outcome, met.attempts) == ("failed", 3)


class Breaks:
    async def called(self, call: Any) -> bool:
        raise ZeroDivisionError("by nothing")

    async def caller(self, call: Any, stream: Any) -> bool:
        return False


def test_a_puncher_that_breaks_is_named_and_the_relay_stays() -> None:
    with swap("hole_punch", Breaks) as stack:
        street = Street(NINE[2], NINE[2], dcutr=lambda: stack.services()[-1])  # type: ignore[arg-type,return-value]
        with street.net as net:
            met = net.run(street.meet())
            assert met.outcome == "failed"
            assert "ZeroDivisionError" in street.alice.dcutr.results[street.bob.peer_id].cause


async def test_a_students_relay_gives_a_voucher_that_everybody_can_open() -> None:
    parts = [lab.Identify(), lab.Ping(), lab.RelayClient()]
    with swap("relay", solution("relay")) as stack:
        async with (
            stack.host(listen=["/ip4/127.0.0.1/tcp/0"]) as relay,
            lab.Host(services=parts) as alice,
        ):
            place = await alice.relay_client.reserve(relay.addrs[0])
            voucher = Voucher.open(place.voucher)
            assert (voucher.relay, voucher.peer) == (relay.peer_id, alice.peer_id)
            assert list(relay.relay.places) == [alice.peer_id]
