"""The one cell that leaves the machine: it does so only when asked, and says plainly when there is no network."""

from __future__ import annotations

import ast
import asyncio
import inspect
from collections.abc import Callable

import nbformat
import pytest

import libp2p_lab as lab
from tools.build_notebooks import NOTEBOOKS


def the_cell() -> str:
    notebook = nbformat.read(NOTEBOOKS / "02_transports.ipynb", as_version=4)
    [cell] = [cell.source for cell in notebook.cells if "lab.known_peers()" in cell.source]
    return str(cell)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., object]:
    """Run the cell with these peers in the place of the public ones; what it printed."""

    async def run(peers: list[lab.PeerInfo], go_out: bool) -> str:
        monkeypatch.setattr(lab, "known_peers", lambda: tuple(peers))
        source = the_cell().replace("go_out = False", f"go_out = {go_out}")
        code = compile(source, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        running = eval(code, {"lab": lab, "asyncio": asyncio})
        if inspect.isawaitable(running):
            await running
        await lab.close_all()
        return capsys.readouterr().out

    return run


def dead_peers() -> list[lab.PeerInfo]:
    ids = [lab.PeerId.from_public_key(lab.KeyPair.generate().public) for _ in range(3)]
    return [lab.PeerInfo(peer, [lab.Multiaddr("/ip4/127.0.0.1/tcp/1")]) for peer in ids]


async def test_nobody_is_called_unasked(run) -> None:
    async with lab.Host(listen=["/ip4/127.0.0.1/tcp/0"]) as alice:
        printed = await run([lab.PeerInfo(alice.peer_id, alice.addrs)], go_out=False)
        assert "Nothing has left this machine" in printed
        assert str(alice.addrs[0]) in printed
        assert alice.connections == []


async def test_without_a_network_it_says_so(run) -> None:
    printed = await run(dead_peers(), go_out=True)
    assert "No network: none of 3 public peers could be reached within 5 s." in printed


async def test_the_first_that_answers_is_told(run) -> None:
    async with lab.Host(listen=["/ip4/127.0.0.1/tcp/0"]) as alice:
        peers = [*dead_peers(), lab.PeerInfo(alice.peer_id, alice.addrs)]
        printed = await run(peers, go_out=True)
    assert "connected to /ip4/127.0.0.1/tcp/" in printed
    assert "it says that it is libp2p_lab" in printed
