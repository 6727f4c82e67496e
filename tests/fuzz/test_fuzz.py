"""The corpus through every target; and, where atheris is, a few seconds more of it."""

from __future__ import annotations

import importlib.util

import pytest

from tests.fuzz.__main__ import ALL, CORPUS, run
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

INPUTS = [
    pytest.param(target, path, id=f"{name}/{path.name[:12]}")
    for name, target in TARGETS.items()
    for path in sorted((CORPUS / name).glob("*"))
]


@pytest.mark.parametrize(("target", "path"), INPUTS)
def test_the_corpus(target, path) -> None:
    target(path.read_bytes())


def test_every_target_has_seeds_that_are_taken() -> None:
    assert seeds().keys() == TARGETS.keys()
    for name in TARGETS:
        assert list((CORPUS / name).glob("*")), f"run python -m tests.fuzz.seeds: {name}"


@pytest.mark.parametrize("name", TARGETS)
def test_cut_and_changed_seeds(name) -> None:
    """What atheris does first: each prefix, each byte changed."""
    for data in seeds()[name][:3]:
        data = data[:400]
        for position in range(len(data)):
            TARGETS[name](data[:position])
            for change in (0x01, 0x80, 0xFF):
                changed = bytearray(data)
                changed[position] ^= change
                TARGETS[name](bytes(changed))


def test_a_target_can_fail() -> None:
    with pytest.raises(AssertionError):
        from tests.fuzz.targets import decoder

        decoder(lambda data: data, lambda value: value + b"x")(b"input")


@pytest.mark.timeout(600)  # instrumenting takes its time on a busy machine
def test_a_few_seconds_of_atheris() -> None:
    if importlib.util.find_spec("atheris") is None:
        return  # it exists for Linux and Python before 3.14; the tests above run everywhere
    assert run([ALL], seconds=5, keep=False) == []
