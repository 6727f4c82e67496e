"""The first file that a reader opens: it runs, and every layer is there."""

from __future__ import annotations

import inspect

import pytest

from libp2p_lab import tour
from libp2p_lab.cli import main
from libp2p_lab.trace import LAYERS

SECTIONS = ("identity", *LAYERS, "identify", "ping")


@pytest.fixture
async def printed() -> str:
    return tour.show(*await tour.tour())


def section(printed: str, layer: str) -> list[str]:
    [found] = [part for part in printed.split("\n\n") if part.startswith(f"{layer}: ")]
    return found.splitlines()[2:]


async def test_every_layer_shows_something(printed: str) -> None:
    for layer in SECTIONS:
        rows = section(printed, layer)
        assert rows, layer
        assert all("alice" in row or "bob" in row or "… and" in row for row in rows), layer


async def test_what_is_shown_is_what_went_over_the_wire(printed: str) -> None:
    assert b"\x13/multistre".hex(" ") in section(printed, "transport")[0]
    assert "/noise" in "".join(section(printed, "negotiation"))
    assert "handshake: e, ee, s, es" in section(printed, "security")[1]
    assert "data on stream 1 (SYN)" in section(printed, "muxer")[0]
    assert b"hello".hex(" ") in section(printed, "stream")[-1]
    assert "ConnectionOpened" in "".join(section(printed, "host"))


async def test_it_fits_into_100_columns(printed: str) -> None:
    assert max(map(len, printed.splitlines())) <= 100


def test_it_stays_a_table_of_contents() -> None:
    assert len(inspect.getsource(tour).splitlines()) < 120


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    main(["tour"])
    assert "bob" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["nonsense"])
