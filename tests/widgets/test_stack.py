"""Each layer taken out, for real: the step and the very message at which a dial ends."""

from __future__ import annotations

import pytest

from libp2p_lab import Host, LocalError
from libp2p_lab.curriculum import CHAPTERS
from libp2p_lab.negotiation.multistream import Line
from libp2p_lab.security.noise_xx import HandshakeMessage
from libp2p_lab.widgets import StackBuilder
from libp2p_lab.widgets.fields import covers
from libp2p_lab.widgets.stack import SLOTS, Outcome, dial_without, source_of
from libp2p_lab.widgets.stack_builder import address_message
from tests.support import REPOSITORY
from tests.widgets.conftest import Open
from tests.widgets.test_annotate import SPEC_PAGES

TCP = ("/ip4/127.0.0.1/tcp/0",)
NAMES = [slot.name for slot in SLOTS]


def states(outcome: Outcome) -> dict[str, str]:
    return {step.slot: step.state for step in outcome.steps}


async def dialed(without: str, listen: tuple[str, ...] = TCP) -> Outcome:
    async with Host(listen=listen) as host:
        outcome = await dial_without(host, without)
        assert not host.trace.listeners
        return outcome


@pytest.mark.parametrize("listen", [TCP, ("/memory/0",)])
async def test_a_whole_stack_takes_every_step(listen: tuple[str, ...]) -> None:
    outcome = await dialed("", listen)
    assert set(states(outcome).values()) == {"done"}
    assert outcome.error == ""


@pytest.mark.parametrize("without", NAMES)
async def test_it_fails_at_the_layer_that_is_missing(without: str) -> None:
    outcome = await dialed(without)
    found = states(outcome)
    assert found[without] == "failed"
    before = NAMES[: NAMES.index(without)]
    assert [found[name] for name in before] == ["done"] * len(before)
    after = {found[name] for name in NAMES[NAMES.index(without) + 1 :]}
    assert after <= ({"done"} if without == "identify" else {"not reached"})


@pytest.mark.parametrize("without", ["security", "muxer", "identify", "protocol"])
async def test_the_message_is_a_refusal(without: str) -> None:
    (step,) = [step for step in (await dialed(without)).steps if step.state == "failed"]
    assert step.row is not None
    assert step.row.entry.what == Line("na")


async def test_without_negotiation_the_first_message_is_a_handshake() -> None:
    outcome = await dialed("negotiation")
    (step,) = [step for step in outcome.steps if step.state == "failed"]
    assert step.row is not None
    assert isinstance(step.row.entry.what, HandshakeMessage)
    assert step.row.entry.number == 0
    assert "multistream" in outcome.remote


async def test_without_an_identity_the_other_side_hangs_up() -> None:
    outcome = await dialed("identity")
    (step,) = [step for step in outcome.steps if step.state == "failed"]
    assert step.row is not None
    assert step.row.entry.number == 2
    assert "did not sign" in outcome.remote


async def test_bad_calls() -> None:
    async with Host() as host:
        with pytest.raises(LocalError, match="no slot"):
            await dial_without(host, "glue")
        with pytest.raises(LocalError, match="does not listen"):
            await dial_without(host)
        with pytest.raises(LocalError, match="give a host"):
            StackBuilder("host")  # type: ignore[arg-type]


@pytest.mark.parametrize("slot", SLOTS, ids=NAMES)
def test_each_slot_has_its_source_and_its_spec(slot) -> None:
    path, text = source_of(slot)
    assert (REPOSITORY / path).read_text("utf-8") == text
    page, _, heading = slot.spec.partition("#")
    assert not heading or heading in SPEC_PAGES[page]
    assert page in {spec for chapter in CHAPTERS for spec in chapter.specs}


async def test_the_page_looks_and_dials(open_page: Open) -> None:
    async with Host(listen=TCP) as host:
        page = open_page(StackBuilder(host))
        assert len(page.of("stack")[0]["slots"]) == 8
        page.tell("look", slot="muxer")
        assert page.of("slot")[-1]["message"] is None  # nothing has moved yet
        page.tell("dial", without="muxer")
        outcome = await page.wait_for("outcome")
        assert outcome["without"] == "muxer"
        page.tell("open_step", without="muxer", slot="muxer")
        assert page.of("message")[-1]["message"]["title"] == "na"
        page.tell("dial", without="")
        await page.wait_for("outcome", 2)
        for slot in NAMES:
            page.tell("look", slot=slot)
            assert page.of("slot")[-1]["message"] is not None, slot
        page.tell("open_step", without="nothing", slot="muxer")
        page.tell("dial", without="glue")
        assert "no slot" in (await page.wait_for("problem"))["text"]
        page.tell("close")
        assert not host.trace.listeners


async def test_the_static_form_tells_of_dials() -> None:
    async with Host(listen=TCP) as host:
        builder = StackBuilder(host)
        await builder.dial("muxer")
        bundle = builder._repr_mimebundle_()
        assert "Dialed without muxer" in bundle["text/html"]
        assert "libp2p_lab.multiplexing.yamux" in bundle["text/plain"]
        builder.close()


async def test_an_address_is_taken_apart() -> None:
    async with Host(listen=TCP) as host:
        message = address_message(host.addrs[0])
        assert message.data == bytes(host.addrs[0])
        assert covers(message.fields, 0, len(message.data))
        assert [field.name for field in message.fields] == ["ip4", "tcp", "p2p"]
        assert [part.name for part in message.fields[2].parts] == ["code", "length", "value"]
