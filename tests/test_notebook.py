"""Peers across cells: spawn, network, run, submit, close_all."""

from __future__ import annotations

import asyncio
import threading

import pytest

import libp2p_lab as lab
from libp2p_lab import notebook
from libp2p_lab.errors import LocalError
from tests.support import run_python


@pytest.fixture(autouse=True)
def own_session(monkeypatch) -> notebook.Session:
    """Each test is a kernel of its own."""
    session = notebook.Session()
    monkeypatch.setattr(notebook, "SESSION", session)
    return session


async def test_a_spawned_peer_listens_and_lives_until_close(own_session) -> None:
    alice = await lab.spawn()
    bob = await lab.spawn(listen=[])
    assert own_session.hosts == [alice, bob]
    assert str(alice.addrs[0]).startswith("/ip4/127.0.0.1/tcp/")
    assert bob.addrs == []
    assert await bob.ping(alice.addrs[0]) > 0
    await alice.close()
    assert not alice.is_running
    carol = await lab.spawn()
    assert own_session.hosts == [bob, carol], "who is closed is forgotten"
    await lab.close_all()
    assert own_session.hosts == []
    assert not bob.is_running
    await lab.close_all()


async def test_a_peer_that_cannot_start_is_not_kept(own_session) -> None:
    with pytest.raises(LocalError):
        await lab.spawn(listen=["/ip4/127.0.0.1/udp/1"], transports=[])
    assert own_session.hosts == []


async def test_a_network_and_its_end(own_session) -> None:
    async with lab.network(n=3, seed=1) as peers:
        assert own_session.hosts == peers
        await asyncio.gather(*(peers[0].connect(peer.addrs[0]) for peer in peers[1:]))
        names = [peer.peer_id for peer in peers]
    assert not any(peer.is_running for peer in peers)
    async with lab.network(n=3, seed=1) as again:
        assert [peer.peer_id for peer in again] == names
    async with lab.network(n=1) as other:
        assert other[0].peer_id not in names
    with pytest.raises(LocalError, match="one peer or more"):
        async with lab.network(n=0):
            pass


async def test_a_network_ends_with_an_error_inside() -> None:
    with pytest.raises(ZeroDivisionError):
        async with lab.network() as peers:
            _ = 1 / 0
    assert not any(peer.is_running for peer in peers)


async def test_other_threads_reach_the_peers_loop() -> None:
    with pytest.raises(LocalError, match="no peer has been started"):
        notebook.submit(asyncio.sleep(0))
    async with lab.network() as (alice, bob):

        def press() -> float:
            assert threading.current_thread() is not threading.main_thread()
            return notebook.submit(bob.ping(alice.addrs[0])).result(30)

        assert await asyncio.to_thread(press) > 0


def test_run_without_a_loop() -> None:
    async def program() -> float:
        async with lab.network() as (alice, bob):
            return await bob.ping(alice.addrs[0])

    assert lab.run(program()) > 0


def test_run_where_a_loop_runs_already() -> None:
    """In a process of its own, for the loop is patched for good. Importing alone patches nothing."""
    program = """
import asyncio, libp2p_lab as lab
plain = asyncio.run
async def inner():
    await asyncio.sleep(0)
    return 7
def callback():
    return lab.run(inner())
async def main():
    assert asyncio.run is plain, "patched at import"
    assert callback() == 7
    return callback()
print(asyncio.run(main()))
"""
    assert run_python(program).strip() == "7"
