"""Delay, loss, bandwidth and queues come out as they were set, over many seeds."""

from __future__ import annotations

import asyncio
import statistics
from typing import Any

import pytest

from libp2p_lab.sim import WORLD, Internet, mbit, one_place
from libp2p_lab.sim.machine import Machine
from libp2p_lab.sim.pipe import Pipe

SEEDS = range(8)


class Sink(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.arrived: list[tuple[float, bytes]] = []

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.arrived.append((asyncio.get_running_loop().time(), data))


async def send_datagrams(a: Machine, b: Machine, n: int, size: int, gap: float) -> Sink:
    loop = asyncio.get_running_loop()

    async def listen() -> Sink:
        _, sink = await loop.create_datagram_endpoint(Sink, local_addr=(b.ips[0], 7))
        return sink

    async def send() -> None:
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=(b.ips[0], 7)
        )
        for number in range(n):
            transport.sendto(number.to_bytes(4) + bytes(size - 4))
            await asyncio.sleep(gap)
        transport.close()

    sink = await b.create_task(listen())
    await a.create_task(send())
    await asyncio.sleep(10)
    return sink


async def send_stream(a: Machine, b: Machine, size: int) -> float:
    """Seconds from the first byte written to the last byte read."""
    done: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def listen() -> None:
        async def serve(reader: Any, writer: Any) -> None:
            got = 0
            while data := await reader.read(1 << 16):
                got += len(data)
            assert got == size
            done.set_result(asyncio.get_running_loop().time())
            writer.close()

        await asyncio.start_server(serve, b.ips[0], 7)

    async def send() -> tuple[float, Any]:
        _, writer = await asyncio.open_connection(b.ips[0], 7)
        started = asyncio.get_running_loop().time()
        for _ in range(size // 10_000):
            writer.write(bytes(10_000))
            await writer.drain()
        writer.write_eof()
        return started, writer

    await b.create_task(listen())
    started, writer = await a.create_task(send())
    ended = await done
    writer.close()
    return ended - started


def test_delays_are_those_of_the_regions() -> None:
    with Internet(seed=1, regions=WORLD) as net:
        a, b = net.machine("a", region="europe"), net.machine("b", region="australia")
        sink = net.run(send_datagrams(a, b, 500, 100, 1.0))
        delays = [when - number for number, (when, _) in enumerate(sink.arrived)]
        assert min(delays) >= 0.165
        assert max(delays) <= 0.165 * 1.1 + 1e-9
        assert statistics.mean(delays) == pytest.approx(0.165 * 1.05, rel=0.01)


@pytest.mark.parametrize("loss", [0.01, 0.1, 0.5])
def test_loss_is_what_was_set(loss: float) -> None:
    n, lost = 2000, []
    for seed in SEEDS:
        with Internet(seed=seed, loss=loss) as net:
            sink = net.run(send_datagrams(net.machine("a"), net.machine("b"), n, 100, 0.01))
            lost.append(1 - len(sink.arrived) / n)
    deviation = (loss * (1 - loss) / (n * len(SEEDS))) ** 0.5
    assert abs(statistics.mean(lost) - loss) < 4 * deviation


def test_datagrams_keep_their_order_unless_told_otherwise() -> None:
    for reorder, kept in ((0.0, True), (0.2, False)):
        regions = one_place(0.01, jitter=5.0)
        with Internet(seed=1, regions=regions, reorder=reorder) as net:
            sink = net.run(send_datagrams(net.machine("a"), net.machine("b"), 500, 100, 0.001))
            numbers = [data[:4] for _, data in sink.arrived]
            assert len(numbers) == 500
            assert (numbers == sorted(numbers)) == kept


def test_a_queue_delays_and_then_drops() -> None:
    """1000 bytes each millisecond into half of that: the queue grows until it is full."""
    rate = 500_000.0
    with Internet(seed=1) as net:
        a, b = net.machine("a", up=rate), net.machine("b")
        sink = net.run(send_datagrams(a, b, 2000, 972, 0.001))
        took = sink.arrived[-1][0] - sink.arrived[0][0]
        assert (len(sink.arrived) - 1) * 1000 / took == pytest.approx(rate, rel=0.02)
        queue = Pipe(rate).queue
        delays = [when - int.from_bytes(data[:4]) * 0.001 for when, data in sink.arrived]
        assert max(delays) == pytest.approx(0.01 + queue / rate, rel=0.05)
        assert net.counts["dropped: queue full"] == 2000 - len(sink.arrived)


@pytest.mark.parametrize("where", ["up", "down"])
def test_tcp_fills_the_pipe(where: str) -> None:
    size, took = 5_000_000, []
    for seed in range(3):
        with Internet(seed=seed) as net:
            a = net.machine("a", up=mbit(10) if where == "up" else None)
            b = net.machine("b", down=mbit(10) if where == "down" else None)
            took.append(net.run(send_stream(a, b, size)))
    at_best = size * 1.036 / mbit(10)  # headers included
    assert at_best < statistics.mean(took) < 1.35 * at_best


def test_tcp_starts_slowly() -> None:
    """10 packets, then 20, 40, …: the number of round trips is the logarithm of the size."""
    with Internet(seed=1, regions=one_place(0.1)) as net:
        a, b = net.machine("a"), net.machine("b")
        for packets, trips in ((10, 0), (30, 1), (70, 2), (150, 3)):
            size = packets * 1448 // 10_000 * 10_000
            with Internet(seed=1, regions=one_place(0.1)) as fresh:
                took = fresh.run(send_stream(fresh.machine("a"), fresh.machine("b"), size))
            assert took == pytest.approx(0.1 + 0.2 * trips, abs=0.21 if trips else 0.01)
        assert a is not b


def test_loss_slows_tcp_down_as_mathis_says() -> None:
    """Throughput is about MSS/RTT · 1.22/√p (Mathis et al. 1997), here within a factor of two."""
    size, rates = 3_000_000, []
    for seed in range(4):
        with Internet(seed=seed, loss=0.01, regions=one_place(0.05)) as net:
            took = net.run(send_stream(net.machine("a"), net.machine("b"), size))
            rates.append(size / took)
    expected = 1448 / 0.1 * 1.22 / 0.01**0.5
    assert expected / 2 < statistics.mean(rates) < expected * 2


def test_a_slow_reader_stops_the_writer() -> None:
    """Back pressure reaches through: nobody holds more than the two buffers."""

    async def scenario(a: Machine, b: Machine) -> int:
        accepted: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def listen() -> None:
            async def serve(reader: Any, writer: Any) -> None:
                accepted.set_result(writer)
                await asyncio.sleep(1000)

            await asyncio.start_server(serve, b.ips[0], 7)

        written = 0

        async def send() -> None:
            nonlocal written
            _, writer = await asyncio.open_connection(b.ips[0], 7)
            while True:
                writer.write(bytes(65536))
                written += 65536
                await writer.drain()

        await b.create_task(listen())
        task = a.create_task(send())
        await asyncio.sleep(500)
        task.cancel()
        for connection in tuple(a.connections.values()):
            connection.close()
        (await accepted).close()
        return written

    with Internet(seed=1) as net:
        written = net.run(scenario(net.machine("a"), net.machine("b")))
        assert 1 << 20 < written < 20 << 20
