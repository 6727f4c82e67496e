"""Presets, churn, films, sweeps, playing in the background."""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
import time
from typing import Any

import pytest

from libp2p_lab.errors import DialError, LocalError
from libp2p_lab.host import Echo, Identify, Ping
from libp2p_lab.sim import (
    Internet,
    churn,
    exponential,
    film,
    lan,
    limits_broken,
    lossy_wifi,
    mars,
    patient,
    sweep,
    weibull,
    world,
)
from tests.sim.support import ask_echo, echo_setup


@pytest.mark.parametrize("preset", [lan, world, lossy_wifi])
def test_presets_carry_an_echo(preset) -> None:
    with preset(seed=3) as net:
        one, other = net.host("one", setup=echo_setup), net.host("other")
        assert net.run(ask_echo(other, one, b"x" * 50_000)) == b"x" * 50_000


def test_on_mars_the_limits_end_first_and_patience_helps() -> None:
    broken = limits_broken(600)
    assert "dial_timeout" in broken
    assert list(broken.values()) == sorted(broken.values())
    for limits, patience, works in (
        (None, 1, False),  # libp2p gives up
        (patient(600), 1, False),  # TCP gives up
        (None, 2000, False),
        (patient(600), 2000, True),
    ):
        with mars(seed=1, one_way=600, tcp_patience=patience) as net:
            earth = net.host("earth", region="earth", limits=limits)
            there = net.host("there", region="mars", limits=limits)
            if works:
                assert net.run(earth.ping(there.addrs[0])) == pytest.approx(1200, rel=0.01)
            else:
                with pytest.raises(DialError):
                    net.run(earth.ping(there.addrs[0]))
    with pytest.raises(LocalError, match="182"):
        mars(one_way=1)


def test_churn_has_the_lengths_that_were_set() -> None:
    with Internet(seed=2) as net:
        hosts = net.hosts(30)
        up = []

        async def watch() -> None:
            for _ in range(200):
                await asyncio.sleep(60)
                up.append(sum(host.state == "up" for host in hosts))

        end = churn(net, hosts, session=exponential(600), pause=exponential(300))
        net.run(watch())
        end()
        share = sum(up[20:]) / len(up[20:]) / len(hosts)
        assert share == pytest.approx(600 / 900, abs=0.08)


def test_weibull_has_the_mean_that_was_asked_for() -> None:
    import random

    draw, rng = weibull(1000, shape=0.5), random.Random(1)
    assert sum(draw(rng) for _ in range(50_000)) / 50_000 == pytest.approx(1000, rel=0.05)


def test_churn_refuses_hosts_that_cannot_come_back() -> None:
    with Internet(seed=2) as net:
        host = net.host("one", services=[Identify(), Ping(), Echo()])
        with pytest.raises(LocalError, match="services=lambda"):
            churn(net, [host], session=exponential(1), pause=exponential(1))


def test_a_film_shows_packets_in_flight_and_what_became_of_hosts() -> None:
    with Internet(seed=1) as net:
        alice, home = net.host("alice"), net.nat("home")
        bob = net.host("bob", nat=home)
        with film(net) as recording:
            net.at(1, alice.crash)
            net.at(2, lambda: net.partition(bob) and None)
            net.run(bob.ping(alice.addrs[0]))
            net.run_for(5)
        frame = recording.frame(0.005)
        [flight] = frame.packets
        assert (flight.kind, flight.source, flight.target) == ("syn", "home", "alice")
        assert 0 < flight.progress < 1
        assert frame.states == {"alice": "up", "bob": "up"}
        assert frame.machines["bob"].box == "home"
        later = recording.frame(3)
        assert later.states["alice"] == "crashed"
        assert later.cuts
        assert later.links["alice", "home"] > 1000
        assert recording.times[1] > recording.times[0]


def test_a_film_is_bounded() -> None:
    with Internet(seed=1) as net:
        alice, bob = net.host("alice"), net.host("bob")
        recording = film(net, max_packets=10)
        net.run(bob.ping(alice.addrs[0]))
        recording.stop()
        assert len(recording) == 10
        assert recording.dropped == net.counts.total() - 10
        assert sum(recording.frame(net.now).links.values()) > 1000


def reach(seed: int, loss: float) -> dict[str, Any]:
    if seed == 2 and loss:
        raise ValueError("this seed is unlucky")
    with Internet(seed=seed, loss=loss) as net:
        alice, bob = net.host("alice"), net.host("bob")
        net.run(bob.ping(alice.addrs[0]))
        return {"seconds": net.now, "digest": net.digest()}


def test_a_sweep_keeps_its_failures_with_their_seed() -> None:
    told: list[tuple[int, int, int]] = []
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        runs = sweep(
            reach, range(4), {"loss": [0.0, 0.05]}, executor, lambda *row: told.append(row)
        )
    assert told[-1] == (8, 1, 8)
    [failure] = runs.failures
    assert (failure.seed, failure.settings) == (2, {"loss": 0.05})
    assert "this seed is unlucky" in failure.error
    with pytest.raises(ValueError, match="unlucky"):
        failure.replay()
    assert runs[0].replay() == runs[0].result
    frame = runs.to_frame()
    assert list(frame["loss"]) == [0.0] * 4 + [0.05] * 4


def test_a_sweep_in_processes_of_its_own_gives_the_same() -> None:
    runs = sweep(reach, range(2), {"loss": [0.05]}, progress=lambda *row: None)
    assert [run.result for run in runs] == [reach(seed, 0.05) for seed in range(2)]


def test_a_sweep_on_dask() -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        runs = sweep(reach, range(3), {"loss": [0.0]}, client.get_executor(), lambda *row: None)
    assert [run.result for run in runs] == [reach(seed, 0.0) for seed in range(3)]


def wait_until(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_plays_in_the_background_pauses_and_steps() -> None:
    with Internet(seed=1) as net:
        alice, bob = net.host("alice"), net.host("bob")
        net.run(bob.connect(alice.addrs[0]))
        net.play(math.inf)
        wait_until(lambda: net.now > 1000)
        net.partition(bob)
        wait_until(lambda: not alice.connections)
        net.pause()
        assert net.speed == 0
        paused_at = net.run(now(net))
        time.sleep(0.05)
        assert net.now == paused_at
        net.play(100)
        wait_until(lambda: net.now > paused_at + 1)
        net.pause()
        net.at(net.now + 50, alice.crash)
        wait_until(lambda: net.step(1) and alice.state == "crashed")
        with pytest.raises(LocalError, match="speed"):
            net.play(-1)


async def now(net: Internet) -> float:
    return net.now


async def test_a_notebooks_loop_goes_on_beside_it() -> None:
    with Internet(seed=1) as net:
        hosts = net.hosts(20)

        async def scenario() -> None:
            await asyncio.gather(*(host.connect(hosts[0].addrs[0]) for host in hosts[1:]))

        await net.arun(scenario())
        turns = 0

        async def beat() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beating = asyncio.create_task(beat())
        await net.arun_for(600)
        beating.cancel()
        assert turns > 10


def test_dropping_the_next_packet_costs_a_second() -> None:
    with Internet(seed=1) as net:
        alice, bob = net.host("alice"), net.host("bob")
        net.drop_next()
        net.run(bob.connect(alice.addrs[0]))
        assert 1 < net.now < 1.2
        assert net.counts["dropped: dropped on purpose"] == 1


def test_plaintext_hosts() -> None:
    with Internet(seed=1) as net:
        hosts = net.hosts(3, security="plaintext")
        assert net.run(hosts[0].ping(hosts[1].addrs[0])) < 0.1
        assert hosts[0].connections[0].security == "/plaintext/2.0.0"
        with pytest.raises(LocalError, match="plaintext"):
            net.host(security="rot13")
