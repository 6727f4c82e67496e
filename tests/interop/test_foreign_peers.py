"""The two programs by themselves and with each other, before anything is concluded from them about our own stack."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from libp2p_lab import foreign
from libp2p_lab.errors import ConnectionLost, LocalError
from libp2p_lab.foreign import ForeignError, ForeignPeer
from libp2p_lab.identity import KeyPair, PeerId
from tests.interop.peers import AGENTS, PEERS, VERSIONS, Refusal
from tools.install_interop import REQUIREMENTS

MiB = 1024 * 1024
UNREACHABLE = {
    "js": Refusal("Error", "connection error 127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1"),
    "py": Refusal(
        "SwarmDialAllFailedError",
        "unable to connect to …, no addresses established a successful connection (with exceptions)",
        Refusal("MultiError", "Error 1: fail to open connection to peer …"),
    ),
}
STRANGER = PeerId.from_public_key(KeyPair.generate().public)


@pytest.mark.parametrize("kind", PEERS)
async def test_version(kind):
    async with await PEERS[kind]() as peer:
        found = await peer.call("version")
        assert (found["name"], found["version"]) == VERSIONS[kind]


def test_pinned_versions_are_these():
    lock = (foreign.PROGRAM / "package-lock.json").read_text("utf-8")
    assert f'"libp2p": "{VERSIONS["js"][1]}"' in lock
    assert f"\nlibp2p=={VERSIONS['py'][1]}\n" in REQUIREMENTS.read_text("utf-8")
    assert '"resolved"' not in lock, "the lock file names the registry that it was made with"


@pytest.mark.parametrize("listener", PEERS)
@pytest.mark.parametrize("dialer", PEERS)
async def test_with_each_other(dialer, listener):
    async with await PEERS[dialer]() as alice, await PEERS[listener]() as bob:
        assert (await alice.dial(bob.addrs[0]))["peer_id"] == str(bob.peer_id)
        await bob.event("connection:open", peer_id=alice.peer_id)

        assert (await alice.identify(bob.peer_id))["agent"].startswith(AGENTS[listener])
        assert (await bob.identify(alice.peer_id))["agent"].startswith(AGENTS[dialer])
        for one, other in ((alice, bob), (bob, alice)):
            assert 0 <= await one.ping(other.peer_id) < 60
            for size in (0, 1, MiB):
                assert await one.echo(other.peer_id, size), f"{size} bytes"
            answer = await one.call("streams", count=100, peer_id=str(other.peer_id))
            assert answer == {"opened": 100, "echoed": 100}
            answer = await one.call(
                "perf", upload=MiB, download=2 * MiB, peer_id=str(other.peer_id)
            )
            assert (answer["uploaded"], answer["downloaded"]) == (MiB, 2 * MiB)

        with pytest.raises(ForeignError):
            await alice.dial(bob.addrs[0].without_peer().with_peer(STRANGER))
        await bob.disconnect(alice.peer_id)
        await alice.event("connection:close", peer_id=bob.peer_id)
        assert await alice.call("connections") == await bob.call("connections") == []


@pytest.mark.parametrize("kind", PEERS)
async def test_an_error_is_told_with_its_name_and_causes(kind):
    async with await PEERS[kind]() as peer:
        with pytest.raises(ForeignError) as caught:
            await peer.dial(f"/ip4/127.0.0.1/tcp/1/p2p/{STRANGER}")
        assert caught.value.name in (
            "ECONNREFUSED",
            "Error",
            "SwarmDialAllFailedError",
            "DialError",
        )
        with pytest.raises(ForeignError, match="no_such_command"):
            await peer.call("no_such_command")
        assert await peer.call("connections") == [], "it must still answer"


@pytest.mark.parametrize("kind", PEERS)
async def test_nothing_is_left_of_it(kind):
    async with await PEERS[kind]() as peer:
        process = psutil.Process(peer.pid)
        assert process.is_running()
    assert not process.is_running()
    await peer.close()  # a second time
    with pytest.raises(ConnectionLost):
        await peer.call("addrs")


async def test_a_program_that_dies_tells_its_last_words():
    dying = "import sys; sys.stdin.readline(); sys.exit('out of cheese')"
    async with await ForeignPeer.launch(sys.executable, "-c", dying) as peer:
        with pytest.raises(ConnectionLost, match="out of cheese"):
            await peer.start()


async def test_a_program_that_ignores_its_stdin_is_ended(monkeypatch):
    monkeypatch.setattr(foreign, "CLOSE_TIMEOUT", 0.2)
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        'print(\'{"event": "deaf"}\', flush=True); time.sleep(600)'
    )
    peer = await ForeignPeer.launch(sys.executable, "-c", deaf)
    await peer.event("deaf")
    process = psutil.Process(peer.pid)
    await peer.close()
    assert not process.is_running()


async def test_where_it_is_not_installed_one_is_told_what_to_do(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(foreign, "PROGRAM", tmp_path)
    for name in foreign.FILES:
        (tmp_path / name).write_text("{}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(LocalError, match="make interop-peers"):
        await foreign.js_peer()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LocalError, match="npm is not installed"):
        await foreign.js_peer(install=True)
