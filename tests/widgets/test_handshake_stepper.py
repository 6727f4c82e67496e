"""Every handshake of the stepper: what both sides hold, who refuses and where, and who knows what in the end."""

from __future__ import annotations

import json

import pytest

from libp2p_lab import KeyPair, LocalError, PeerId
from libp2p_lab.security.noise_xx import XX
from libp2p_lab.widgets import HandshakeStepper
from libp2p_lab.widgets.fields import covers
from libp2p_lab.widgets.handshake_script import ATTACKS, FACTS, LETTER, PROTOCOLS, Script
from tests.widgets.conftest import Open

ALICE, BOB = KeyPair.generate(), KeyPair.generate()
BOBS_NAME, ALICES_NAME, KEYS, THE_LETTER = FACTS
EVERY = [(where, name) for name, (_, known) in ATTACKS.items() for where in known]


def script(protocol: str, attack: str = "", flip: tuple[int, int] | None = None) -> Script:
    stepper = HandshakeStepper(ALICE, BOB)
    stepper.use(protocol, attack, flip)
    return stepper.script


@pytest.mark.parametrize(("protocol", "attack"), EVERY)
def test_every_script_can_be_drawn(protocol: str, attack: str) -> None:
    found = script(protocol, attack)
    assert [step.outcome != "" for step in found.steps] == [False] * (len(found.steps) - 1) + [True]
    for flight in found.flights:
        assert covers(flight.message.fields, 0, len(flight.message.data))
    for step in found.steps:
        assert step.who in step.sides
        assert set(step.states) == set(step.sides)
        assert all(set(state) == set(found.variables) for state in step.states.values())
        assert 0 <= step.flight < len(found.flights)
    record = json.loads(json.dumps(found.as_record()))
    assert len(record["steps"]) == len(found.steps)


def test_noise_token_by_token() -> None:
    found = script("noise")
    assert [len(flight.message.data) - 2 for flight in found.flights[:3]] == [32, 200, 168]
    for number, tokens in enumerate(XX):
        own = [step for step in found.steps if step.flight == number and not step.is_reading]
        assert tuple(step.token for step in own[: len(tokens)]) == tokens
        for one in own[: len(tokens) + 1]:
            # After a token was read, the reader holds what the writer held after writing it.
            other = next(
                step
                for step in found.steps
                if step.is_reading and step.flight == number and step.token == one.token
            )
            for name in ("h", "ck", "k", "n"):
                assert one.states[one.who][name] == other.states[other.who][name]
    last = found.steps[-1]
    assert last.states["alice"]["e"] == last.states["bob"]["re"]
    assert last.states["alice"]["rs"] == last.states["bob"]["s"]
    assert last.states["alice"]["k"] == last.states["bob"]["k"]
    assert found.outcome == "done"


def test_before_ee_there_is_no_key_and_nothing_is_known_of_the_other() -> None:
    steps = script("noise").steps
    first = next(number for number, step in enumerate(steps) if step.token == "ee")
    assert all(step.states[step.who]["k"] == "" for step in steps[:first])
    assert steps[first].states["bob"]["k"]
    assert not steps[0].states["bob"]["e"]  # bob has not made his yet
    proven = [number for number, step in enumerate(steps) if step.token == "verify"]
    assert (BOBS_NAME, "alice") not in steps[proven[0] - 1].knows
    assert steps[proven[0]].knows[BOBS_NAME, "alice"] == "proven"
    assert steps[proven[1]].knows[ALICES_NAME, "bob"] == "proven"


@pytest.mark.parametrize(
    ("attack", "flight", "token", "says"),
    [
        ("replay", 1, "s", "tag does not fit"),
        ("payload", 1, "payload", "tag does not fit"),
        ("signer", 1, "verify", "did not sign"),
        ("expected", 1, "verify", "asked for peer"),
        ("middle", 2, "verify", "did not sign"),
    ],
)
def test_who_notices_under_noise_and_where(attack: str, flight: int, token: str, says: str) -> None:
    found = script("noise", attack)
    last = found.steps[-1]
    assert (last.who, last.token, last.outcome) == ("alice", token, "refused")
    assert says in last.text
    assert (ALICES_NAME, "bob") not in last.knows, "she has shown who she is"
    assert last.knows.get((THE_LETTER, "mallory")) is None
    if attack != "middle":
        assert last.flight == flight


def test_where_nobody_checks_mallory_reads_everything() -> None:
    found = script("noise", "careless")
    last = found.steps[-1]
    assert found.outcome == "done"
    assert last.knows[THE_LETTER, "mallory"] == "read"
    assert last.knows[BOBS_NAME, "alice"] == "believed"
    assert last.knows[KEYS, "alice"] == last.knows[KEYS, "bob"] == "mallory"
    letters = [flight.message.data for flight in found.flights[-2:]]
    assert letters[0] != letters[1], "two lines, two keys"
    assert all(LETTER not in data for data in letters)


def test_a_relay_learns_nothing() -> None:
    last = script("noise", "relay").steps[-1]
    assert last.knows[KEYS, "alice"] == "bob"
    assert not [fact for fact, who in last.knows if who == "mallory"]


def test_every_byte_of_the_noise_handshake_is_noticed() -> None:
    whole = script("noise")
    for number, flight in enumerate(whole.flights):
        for place in range(2, len(flight.message.data), 1 if number == 0 else 13):
            found = script("noise", "", (number, place))
            assert found.outcome == "refused", f"byte {place} of message {number}"
            who = "bob" if number >= 2 else "alice"
            assert found.steps[-1].who == who
            assert found.flights[number].flipped == place


def test_tls_shows_its_muxers_and_hides_its_names() -> None:
    found = script("tls")
    assert found.outcome == "done"
    assert b"/yamux/1.0.0" in found.flights[0].message.data
    names = [bytes(PeerId.from_public_key(key.public)) for key in (ALICE, BOB)]
    raw = [key.public.raw for key in (ALICE, BOB)]
    for flight in found.flights:
        assert not [name for name in (*names, *raw, LETTER) if name in flight.message.data]
    last = found.steps[-1].states
    for name in ("client", "server", "muxer"):
        assert last["alice"][name] == last["bob"][name] != ""
    assert (last["alice"]["e"], last["alice"]["re"]) == (last["bob"]["re"], last["bob"]["e"])
    assert len(last["alice"]["e"]) == 64


@pytest.mark.parametrize("attack", ["replay", "signer", "expected", "middle"])
def test_who_notices_under_tls(attack: str) -> None:
    last = script("tls", attack).steps[-1]
    assert (last.who, last.outcome) == ("alice", "refused")
    assert (ALICES_NAME, "bob") not in last.knows


def test_changed_bytes_under_tls() -> None:
    for number, flight in enumerate(script("tls").flights):
        size = len(flight.message.data)
        for place in (6, size // 2, size - 1):
            assert script("tls", "", (number, place)).outcome in ("refused", "waits")
    assert script("tls", "", (0, 2)).outcome == "done"  # the version, which means nothing


def test_under_plaintext_everybody_reads_and_nobody_notices() -> None:
    found = script("plaintext")
    assert found.flights[-1].message.data == LETTER
    assert found.steps[-1].knows[THE_LETTER, "onlooker"] == "read"
    changed = script("plaintext", "", (2, 12))
    assert changed.outcome == "done"
    assert LETTER.decode() not in changed.verdict
    middle = script("plaintext", "middle")
    assert middle.outcome == "done"
    assert middle.steps[-1].knows[BOBS_NAME, "alice"] == "believed"


async def test_the_page_chooses(open_page: Open) -> None:
    page = open_page(HandshakeStepper(ALICE, BOB))
    assert page.of("script")[-1]["protocol"] == "noise"
    page.tell("attack", name="careless")
    page.tell("protocol", name="tls")  # where nobody can be careless
    assert page.of("script")[-1]["attack"] == ""
    page.tell("attack", name="careless")
    assert page.of("script")[-1]["attack"] == ""
    page.tell("flip", flight=1, byte=60)
    assert page.of("script")[-1]["flights"][1]["flipped"] == 60
    page.tell("flip", flight=1, byte=60)
    assert page.of("script")[-1]["flip"] is None
    page.tell("attack", name="signer")
    page.tell("reset")
    assert page.of("script")[-1]["attack"] == ""
    for nonsense in ({"flight": "x", "byte": 1}, {"flight": 99, "byte": -4}):
        page.tell("flip", **nonsense)
    page.tell("protocol", name="secio")
    assert page.of("script")[-1]["protocol"] == "tls"


def test_no_private_key_reaches_the_page(open_page: Open) -> None:
    stepper = HandshakeStepper(ALICE, BOB)
    page = open_page(stepper)
    for protocol in PROTOCOLS:
        stepper.use(protocol)
    for key in (ALICE, BOB):
        assert key.to_protobuf()[4:36].hex() not in str(page.sent)


def test_what_does_not_exist_is_refused() -> None:
    stepper = HandshakeStepper(protocol="tls")
    with pytest.raises(LocalError, match="noise, tls, plaintext"):
        stepper.use("secio")
    with pytest.raises(LocalError, match="'relay'"):
        stepper.use("tls", "careless")


def test_the_static_form() -> None:
    bundle = HandshakeStepper(ALICE, BOB)._repr_mimebundle_()
    for text in ("Noise XX", "ee", "Alice checks the signature", "onlooker"):
        assert text in bundle["text/plain"]
        assert text in bundle["text/html"]
    assert "lab-run" in bundle["text/html"]
