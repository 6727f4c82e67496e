"""Our own hosts, unmodified, on the simulated network."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time

import pytest

from libp2p_lab import QUIC, WebSocket
from libp2p_lab.errors import ConnectionLost, DialError, LocalError, NotSimulated
from libp2p_lab.identity import KeyPair
from libp2p_lab.sim import Deadlock, Internet, Unfinished
from tests.sim.support import ECHO, ask_echo, echo_setup, in_process


def test_two_hosts_ping() -> None:
    with Internet(seed=1) as net:
        alice, bob = net.host("alice"), net.host("bob")
        assert net.run(bob.ping(alice.addrs[0])) == pytest.approx(0.02)
        assert net.now == pytest.approx(0.08)  # TCP, Noise, negotiation and ping: four round trips


def test_the_addresses_are_the_machines_own() -> None:
    with Internet(seed=1) as net:
        alice, bob = net.host(ip="11.9.9.9"), net.host()

        async def scenario() -> str:
            connection = await bob.connect(alice.addrs[0])
            return str(connection.local_addr)

        assert str(alice.addrs[0]).startswith("/ip4/11.9.9.9/tcp/4001/p2p/")
        assert net.run(scenario()).startswith(f"/ip4/{bob.machine.ips[0]}/tcp/")


def test_a_wildcard_stands_for_the_machines_interfaces() -> None:
    with Internet(seed=1) as net:
        alice = net.host("alice", listen=["/ip4/0.0.0.0/tcp/5"])
        assert f"/ip4/{alice.machine.ips[0]}/tcp/5" in [
            str(addr.without_peer()) for addr in net.run(_addrs(alice))
        ]


async def _addrs(host):
    async def inner():
        return host.addrs

    return await host.run(inner())


def test_large_data_arrives_whole() -> None:
    data = os.urandom(3_000_000)
    with Internet(seed=2, loss=0.01) as net:
        alice, bob = net.host("alice", setup=echo_setup), net.host("bob")
        assert net.run(ask_echo(bob, alice, data)) == data
        assert net.counts["dropped: lost"] > 10


def test_an_hour_passes_at_once() -> None:
    with Internet(seed=1) as net:
        alice, bob = net.host("alice"), net.host("bob")
        net.run(bob.connect(alice.addrs[0]))
        net.run_for(3600)
        assert net.now == pytest.approx(3600, abs=1)
        assert len(alice.connections) == 1  # kept alive by yamux's pings


def test_nobody_listens_there() -> None:
    with Internet(seed=1) as net:
        alice, bob = net.host("alice", listen=()), net.host("bob")
        with pytest.raises(DialError, match="Connection refused"):
            net.run(bob.connect(f"/ip4/{alice.machine.ips[0]}/tcp/4001/p2p/{alice.peer_id}"))


def test_a_partition_delays_and_then_ends_a_connection() -> None:
    with Internet(seed=1) as net:
        alice, bob = net.host("alice"), net.host("bob")
        net.run(bob.connect(alice.addrs[0]))
        net.run_for(1)
        heal = net.partition(alice, bob)
        net.run_for(20)
        assert alice.connections, "20 seconds are not long enough for anybody to notice"
        heal()
        net.run_for(60)
        assert alice.connections, "the data that was lost is sent again"
        heal = net.partition(alice)
        net.run_for(60)
        assert not alice.connections, "the keepalive gives up after 40 seconds"
        assert not bob.connections
        heal()
        assert net.run(bob.ping(alice.addrs[0])) == pytest.approx(0.02)


def test_crash_and_restart() -> None:
    with Internet(seed=1) as net:
        alice, bob = net.host("alice", setup=echo_setup), net.host("bob")
        assert net.run(ask_echo(bob, alice, b"before")) == b"before"
        before = alice.addrs
        alice.crash()
        net.run_for(1)
        assert bob.connections, "a crash says nothing to anybody"
        alice.restart()
        net.run_for(60)
        assert alice.addrs == before
        assert net.run(ask_echo(bob, alice, b"after")) == b"after"


def test_a_task_on_a_crashed_host_learns_of_it() -> None:
    with Internet(seed=1) as net:
        alice, bob = net.host("alice"), net.host("bob")
        net.at(0.01, bob.crash)
        with pytest.raises(ConnectionLost, match="bob crashed"):
            net.run(bob.connect(alice.addrs[0]))


def test_frozen_hosts_sleep_and_go_on() -> None:
    with Internet(seed=1) as net:
        alice, bob = net.host("alice", setup=echo_setup), net.host("bob")
        net.run(bob.connect(alice.addrs[0]))
        net.at(1, alice.freeze)
        net.at(6, alice.thaw)

        async def scenario() -> float:
            await asyncio.sleep(2)
            started = net.now
            assert await ask_echo(bob, alice, b"good morning") == b"good morning"
            return net.now - started

        assert 4 < net.run(scenario()) < 10  # the next retransmission after the thaw


def test_what_cannot_be_restarted_says_so() -> None:
    with Internet(seed=1) as net:
        alice = net.host("alice", services=[])
        with pytest.raises(LocalError, match="crash it first"):
            alice.restart()
        alice.crash()
        with pytest.raises(LocalError, match="services=lambda"):
            alice.restart()


def test_a_deadlock_names_who_waits_for_what() -> None:
    with Internet(seed=1) as net:
        alice = net.host("alice")

        async def stuck() -> None:
            await asyncio.get_running_loop().create_future()

        with pytest.raises(Deadlock) as caught:
            net.run(alice.run(stuck()))
        assert any(row.host == "alice" and "stuck" in row.where for row in caught.value.waiting)
        assert "stuck" in str(caught.value)


def test_a_scenario_that_is_not_over_in_time() -> None:
    with Internet(seed=1) as net, pytest.raises(Unfinished, match="sleep"):
        net.run(asyncio.sleep(100), until=50)


async def _open_socket() -> None:
    socket.socket()


async def _look_up() -> None:
    socket.getaddrinfo("localhost", 1)


async def _sleep() -> None:
    time.sleep(0.01)  # noqa: ASYNC251


async def _start_thread() -> None:
    threading.Thread(target=print).start()


async def _use_executor() -> None:
    await asyncio.to_thread(print)


@pytest.mark.parametrize("what", [_open_socket, _look_up, _sleep, _start_thread, _use_executor])
def test_what_is_real_is_refused(what) -> None:
    with Internet(seed=1) as net:
        alice = net.host("alice")
        with pytest.raises(NotSimulated) as caught:
            net.run(alice.run(what()))
        assert "'alice'" in "".join(caught.value.__notes__)


def test_outside_everything_is_real() -> None:
    originals = os.urandom, time.time, KeyPair.generate().public
    with Internet(seed=1) as net:
        alice = net.host("alice")
        net.run(asyncio.sleep(5))
        assert (os.urandom, time.time) == originals[:2]
        assert KeyPair.generate().public not in (originals[2], alice.key.public)
        socket.socket().close()

        async def told() -> float:
            return time.time()

        assert net.run(told()) < 1_767_225_600 + 60


async def test_a_simulated_host_does_not_run_elsewhere() -> None:
    with Internet(seed=1) as net:
        alice = net.host("alice")
        with pytest.raises(LocalError, match="no secret"):
            await alice.start()


def test_an_error_that_nobody_caught_surfaces_with_host_and_time() -> None:
    with Internet(seed=1) as net:
        alice = net.host("alice")

        def bad() -> None:
            raise ValueError("a bug")

        async def program() -> None:
            asyncio.get_running_loop().call_later(3, bad)
            await asyncio.sleep(10)

        with pytest.raises(ValueError, match="a bug") as caught:
            net.run(alice.run(program()))
        assert "'alice' at 3.0" in "".join(caught.value.__notes__)
        assert net.failures[0][:2] == ("alice", 3.0)


def test_a_hosts_methods_can_be_used_in_a_scenario_that_adds_hosts() -> None:
    with Internet(seed=1) as net:
        alice = net.host("alice")

        async def scenario() -> float:
            late = net.host("late")
            return await late.ping(alice.addrs[0])

        assert net.run(scenario()) == pytest.approx(0.02)


PROGRAM = """
import asyncio, os
from libp2p_lab.sim import Internet, WORLD
net = Internet(seed=SEED, regions=WORLD, loss=0.01)
hosts = net.hosts(12)
async def scenario():
    await asyncio.gather(*(a.connect(b.addrs[0]) for a, b in zip(hosts, hosts[1:] + hosts[:1])))
    hosts[3].crash()
    await asyncio.sleep(30)
    hosts[3].restart()
    await asyncio.gather(*(h.ping(hosts[0].peer_id) for h in (hosts[1], hosts[11])))
net.run(scenario())
print(net.digest(contents=True))
net.close()
"""


def test_the_same_seed_gives_the_same_run_in_every_process() -> None:
    same = {in_process(PROGRAM.replace("SEED", "5"), hash_seed) for hash_seed in (0, 1, 2)}
    assert len(same) == 1
    assert in_process(PROGRAM.replace("SEED", "6"), 0) not in same


def test_a_stream_to_a_protocol_nobody_speaks() -> None:
    with Internet(seed=1) as net:
        alice, bob = net.host("alice"), net.host("bob")

        async def scenario() -> None:
            stream = await bob.open_stream(alice.addrs[0], ECHO)
            await stream.read()

        with pytest.raises(Exception, match="echo"):
            net.run(scenario())


async def test_it_runs_within_a_running_loop() -> None:
    with Internet(seed=1) as net:
        alice, bob = net.host("alice"), net.host("bob")
        assert net.run(bob.ping(alice.addrs[0])) == pytest.approx(0.02)
        before = net.now
        await net.arun_for(5)
        assert net.now == before + 5
        assert await net.arun(bob.ping(alice.peer_id)) == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("listen", "part"),
    [("/ip4/11.9.9.9/udp/4001/quic-v1", QUIC), ("/ip4/11.9.9.9/tcp/4001/ws", WebSocket)],
)
def test_quic_and_websocket_run_on_simulated_links_too(listen: str, part: type) -> None:
    """QUIC's datagrams are lost here as elsewhere, and sent again by the simulated clock."""
    data = bytes(range(256)) * 400
    with Internet(seed=3, loss=0.02) as net:
        alice = net.host(
            "alice", ip="11.9.9.9", listen=[listen], transports=lambda: (part(),), setup=echo_setup
        )
        bob = net.host("bob", listen=(), transports=lambda: (part(),))
        assert net.run(ask_echo(bob, alice, data)) == data
