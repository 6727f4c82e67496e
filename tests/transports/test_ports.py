"""TCP from a listening port, fast shutdown, and unix sockets."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from pathlib import Path

import pytest

from libp2p_lab import Host, PeerInfo
from libp2p_lab.errors import LocalError
from libp2p_lab.host.events import DialFailed
from libp2p_lab.identity import Multiaddr
from libp2p_lab.sim import Internet
from libp2p_lab.trace import Entry
from libp2p_lab.transports import TCP, Unix
from libp2p_lab.transports.transport import RawConnection

LOOPBACK = "/ip4/127.0.0.1/tcp/0"
real_ports = pytest.mark.skipif(
    not hasattr(socket, "SO_REUSEPORT"), reason="this system has no SO_REUSEPORT"
)


class Meeting:
    """Two listeners, of two transports, and what arrives at the second."""

    def __init__(self, one: TCP, other: TCP) -> None:
        self.one, self.other = one, other
        self.arrived: asyncio.Queue[RawConnection] = asyncio.Queue()
        self.ends: list[RawConnection] = []

    async def __aenter__(self) -> Meeting:
        self.ours = await self.one.listen(Multiaddr(LOOPBACK), lambda raw: None)
        self.theirs = await self.other.listen(Multiaddr(LOOPBACK), self.arrived.put_nowait)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for end in self.ends:
            await end.reset()
        await self.ours.close()
        await self.theirs.close()

    async def dial(self) -> RawConnection:
        raw = await self.one.dial(self.theirs.addrs[0])
        self.ends += [raw, await self.arrived.get()]
        assert self.ends[-1].remote_addr == raw.local_addr
        return raw


async def dialed_from_the_listener() -> None:
    async with Meeting(TCP(), TCP()) as meeting:
        raw = await meeting.dial()
        assert raw.local_addr == meeting.ours.addrs[0]
        await raw.write(b"hello")
        assert await meeting.ends[-1].read(5) == b"hello"
        # While this connection stands, the same two ports cannot have another: that one comes from a fresh port.
        assert (await meeting.dial()).local_addr not in meeting.ours.addrs


@real_ports
async def test_a_dial_comes_from_the_listening_port() -> None:
    await dialed_from_the_listener()


def test_in_the_simulation_too() -> None:
    with Internet(seed=1) as net:
        machine = net.machine("one")

        async def scenario() -> None:
            await machine.create_task(dialed_from_the_listener())

        net.run(scenario())


async def test_unless_it_is_switched_off() -> None:
    async with Meeting(TCP(reuse_port=False), TCP()) as meeting:
        assert (await meeting.dial()).local_addr not in meeting.ours.addrs


@real_ports
async def test_from_a_given_port_or_not_at_all() -> None:
    """What hole punching needs: no other port will do."""
    async with Meeting(TCP(reuse_port=False), TCP()) as meeting:
        free = Multiaddr(LOOPBACK)
        listener = await TCP().listen(free, lambda raw: None)
        [bound] = listener.bound
        await listener.close()
        for _ in "ab":
            dialing = meeting.one.dial_from(meeting.theirs.addrs[0], bound)
            if len(meeting.ends):
                with pytest.raises(OSError):
                    await dialing
            else:
                raw = await dialing
                meeting.ends += [raw, await meeting.arrived.get()]
                assert raw.local_addr == listener_addr(bound)


def listener_addr(bound: tuple[str, int]) -> Multiaddr:
    return Multiaddr(f"/ip4/{bound[0]}/tcp/{bound[1]}")


@real_ports
async def test_a_socket_does_not_connect_to_itself() -> None:
    transport = TCP()
    arrived: asyncio.Queue[RawConnection] = asyncio.Queue()
    listener = await transport.listen(Multiaddr(LOOPBACK), arrived.put_nowait)
    raw = await transport.dial(listener.addrs[0])
    other = await arrived.get()
    assert raw.local_addr != raw.remote_addr
    for end in (raw, other):
        await end.reset()
    await listener.close()


@pytest.mark.parametrize(
    ("listening", "target", "expected"),
    [
        (["127.0.0.1"], "/ip4/127.0.0.9/tcp/1", 0),
        (["127.0.0.1"], "/ip4/192.0.2.1/tcp/1", None),
        (["127.0.0.1", "127.0.0.2"], "/ip4/127.0.0.1/tcp/1", None),
        (["0.0.0.0"], "/ip4/192.0.2.1/tcp/1", 0),
        (["0.0.0.0", "127.0.0.1"], "/ip4/127.0.0.1/tcp/1", 1),
        (["127.0.0.1"], "/ip6/::1/tcp/1", None),
        (["127.0.0.1"], "/dns4/localhost/tcp/1", None),
        ([], "/ip4/127.0.0.1/tcp/1", None),
    ],
)
async def test_which_listener_is_dialed_from(listening, target, expected) -> None:
    transport = TCP()
    listeners = [
        await transport.listen(Multiaddr(f"/ip4/{ip}/tcp/0"), lambda raw: None) for ip in listening
    ]
    found = transport.listening_for(Multiaddr(target))
    assert found == (None if expected is None else listeners[expected].bound[0])
    for listener in listeners:
        await listener.close()
    assert transport.listening_for(Multiaddr(target)) is None


def test_two_hosts_that_dial_each_other_from_their_ports_at_once() -> None:
    """Their two SYNs make one connection with two dialers; each then dials again from a fresh port."""
    failures: list[Entry] = []
    with Internet(seed=3) as net:
        alice, bob = net.host("alice"), net.host("bob")
        for host in (alice, bob):
            host.trace.listen(failures.append)

        async def scenario() -> None:
            await asyncio.gather(alice.connect(bob.addrs[0]), bob.connect(alice.addrs[0]))
            await bob.ping(alice.peer_id)

        net.run(scenario())
    assert [entry for entry in failures if isinstance(entry.what, DialFailed)], "they never met"


async def test_fast_shutdown_ends_by_reset() -> None:
    async with Meeting(TCP(fast_shutdown=True), TCP(fast_shutdown=True)) as meeting:
        await meeting.dial()
        for end in meeting.ends:
            sock = end._socket
            assert struct.unpack("ii", sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)) == (
                1,
                0,
            )


async def test_fast_shutdown_leaves_the_port_free_at_once() -> None:
    """By FIN the two ports would wait in TIME-WAIT, and the second dial come from a fresh one."""
    async with (
        Host(listen=[LOOPBACK], transports=[TCP(fast_shutdown=True)]) as alice,
        Host(listen=[LOOPBACK], transports=[TCP(fast_shutdown=True)]) as bob,
    ):
        for _ in range(3):
            connection = await bob.connect(alice.addrs[0])
            assert connection.local_addr.with_peer(bob.peer_id) == bob.addrs[0]
            await bob.ping(alice.peer_id)
            await bob.disconnect(alice.peer_id)
            while alice.connections:
                await asyncio.sleep(0.01)


@pytest.mark.skipif(sys.platform == "win32", reason="asyncio has no unix sockets there")
class TestUnix:
    async def test_hosts_meet_at_a_file(self, tmp_path: Path) -> None:
        where = f"/unix{tmp_path}/peer.sock"
        async with (
            Host(listen=[where], transports=[Unix()]) as alice,
            Host(transports=[Unix()]) as bob,
        ):
            connection = await bob.connect(alice.addrs[0])
            assert (connection.transport, str(connection.remote_addr)) == ("unix", where)
            assert await bob.ping(alice.peer_id) > 0
            told = await bob.identify_result(alice.peer_id)
            assert told.listen_addrs == (Multiaddr(where),)
            await bob.disconnect(alice.peer_id)
            # In text, the path would take the peer id for one more folder.
            assert await bob.connect(PeerInfo(alice.peer_id, (Multiaddr(where),)))
        assert not (tmp_path / "peer.sock").exists()

    async def test_a_file_in_use_is_left_alone_and_a_stale_one_replaced(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "peer.sock"
        addr = Multiaddr(f"/unix{path}")
        asked: asyncio.Queue[RawConnection] = asyncio.Queue()
        listener = await Unix().listen(addr, asked.put_nowait)
        with pytest.raises(OSError, match="somebody listens"):
            await Unix().listen(addr, lambda raw: None)
        await (await asked.get()).reset()
        await listener.close()
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(path))
        again = await Unix().listen(addr, lambda raw: None)
        await again.close()

    async def test_a_path_that_is_too_long_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(LocalError, match="107 bytes"):
            await Unix().dial(Multiaddr(f"/unix{tmp_path}/{'x' * 107}"))
