"""py-libp2p at the benchmark's tasks, both ends in this process. Prints the samples as one line of JSON.

It runs on trio, in the environment of the interop tests; nothing of libp2p_lab is imported here.
"""

from __future__ import annotations

import gc
import hashlib
import json
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count as count_from
from itertools import pairwise
from pathlib import Path
from typing import Any

import trio
from libp2p import new_host
from libp2p.abc import INetStream
from libp2p.bitswap import BitswapClient
from libp2p.bitswap.dag import MerkleDag
from libp2p.crypto import ed25519, x25519
from libp2p.host.ping import handle_ping
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11 as MESHSUB
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

PIECE = 64 * 1024
ECHO, PING, SINK = "/echo/1.0.0", "/ipfs/ping/1.0.0", "/bench/sink/1.0.0"
MESSAGE = bytes(32)
LISTEN = [Multiaddr("/ip4/127.0.0.1/tcp/0")]
QUIC = [Multiaddr("/ip4/127.0.0.1/udp/0/quic-v1")]


async def serve_echo(stream: INetStream) -> None:
    try:
        while piece := await stream.read(PIECE):
            await stream.write(piece)
    except StreamEOF:
        pass
    await stream.close()


@asynccontextmanager
async def host(over_quic: bool = False) -> AsyncIterator[Any]:
    key = ed25519.create_new_key_pair()
    noise = NoiseTransport(key, noise_privkey=x25519.create_new_key_pair().private_key)
    listen = QUIC if over_quic else LISTEN
    made = new_host(
        key_pair=key, sec_opt={NOISE: noise}, muxer_opt={YAMUX: Yamux}, listen_addrs=listen
    )
    made.set_stream_handler(ECHO, serve_echo)
    made.set_stream_handler(PING, handle_ping)
    async with made.run(listen_addrs=listen):
        yield made


async def connect(one: Any, other: Any) -> None:
    await one.connect(info_from_p2p_addr(other.get_addrs()[0]))


@asynccontextmanager
async def two_hosts(over_quic: bool = False) -> AsyncIterator[tuple[Any, Any]]:
    async with host(over_quic) as alice, host(over_quic) as bob:
        await connect(bob, alice)
        yield alice, bob


async def read_exactly(stream: INetStream, n: int) -> None:
    while n:
        n -= len(await stream.read(n))


class Stopwatch:
    def __enter__(self) -> Stopwatch:
        gc.collect()
        self._started_at = time.process_time()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.seconds = time.process_time() - self._started_at


async def repeat(times: int, sample: Callable[[], Awaitable[float]]) -> list[float]:
    await sample()  # warms up
    return [await sample() for _ in range(times)]


async def throughput(mebibytes: int, times: int, over_quic: bool = False) -> list[float]:
    size = mebibytes * 1024 * 1024
    piece = bytes(PIECE)
    send, arrived = trio.open_memory_channel[None](1)

    async def sink(stream: INetStream) -> None:
        left = size
        while left:
            left -= len(await stream.read(PIECE))
        await send.send(None)

    async with two_hosts(over_quic) as (alice, bob):
        alice.set_stream_handler(SINK, sink)

        async def sample() -> float:
            stream = await bob.new_stream(alice.get_id(), [SINK])
            with Stopwatch() as watch:
                for _ in range(size // PIECE):
                    await stream.write(piece)
                await arrived.receive()
            await stream.close()
            return size / 1e6 / watch.seconds  # MB/s

        return await repeat(times, sample)


async def quic_throughput(mebibytes: int, times: int) -> list[float]:
    """QUIC has no half close in py-libp2p: the sink counts."""
    return await throughput(mebibytes, times, over_quic=True)


async def ping(count: int, times: int) -> list[float]:
    async with two_hosts() as (alice, bob):
        stream = await bob.new_stream(alice.get_id(), [PING])

        async def sample() -> float:
            with Stopwatch() as watch:
                for _ in range(count):
                    await stream.write(MESSAGE)
                    await read_exactly(stream, len(MESSAGE))
            return watch.seconds / count * 1e6  # µs

        return await repeat(times, sample)


async def streams(count: int, times: int) -> list[float]:
    async with two_hosts() as (alice, bob):

        async def sample() -> float:
            with Stopwatch() as watch:
                for _ in range(count):
                    stream = await bob.new_stream(alice.get_id(), [ECHO])
                    await stream.write(MESSAGE)
                    await read_exactly(stream, len(MESSAGE))
                    await stream.close()
            return count / watch.seconds  # a second

        return await repeat(times, sample)


async def connections(count: int, times: int) -> list[float]:
    async with host() as alice, host() as bob:

        async def sample() -> float:
            seconds = 0.0
            for _ in range(count):
                with Stopwatch() as watch:
                    await connect(bob, alice)
                seconds += watch.seconds
                await bob.disconnect(alice.get_id())
            return count / seconds  # a second

        return await repeat(times, sample)


async def hosts(count: int, times: int) -> list[float]:
    samples = []
    for _ in range(times):
        async with AsyncExitStack() as stack:
            with Stopwatch() as watch:
                made = [await stack.enter_async_context(host()) for _ in range(count)]
                for one, other in zip(made, [*made[1:], made[0]], strict=True):
                    await connect(one, other)
            samples.append(watch.seconds)
    return samples


def resident() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * 4096


async def host_memory(count: int, times: int) -> list[float]:
    async with AsyncExitStack() as stack:
        for _ in range(10):
            await stack.enter_async_context(host())
        before = resident()
        for _ in range(count):
            await stack.enter_async_context(host())
        return [(resident() - before) / count / 1024]  # KiB


async def connection_memory(count: int, times: int) -> list[float]:
    async with AsyncExitStack() as stack:
        made = [await stack.enter_async_context(host()) for _ in range(10 + count + 1)]
        for one, other in pairwise(made[:10]):
            await connect(one, other)
        before = resident()
        for one, other in pairwise(made[10:]):
            await connect(one, other)
        await trio.sleep(2)  # identify runs by itself
        return [(resident() - before) / count / 1024]  # KiB


async def pubsub(count: int, rounds: int, size: int, times: int) -> list[float]:
    """Each message of each host to all others. What is lost is waited for in vain, and then does not count."""
    topic, chords = "bench", (1, 3, 7)
    async with AsyncExitStack() as stack:
        made = [await stack.enter_async_context(host()) for _ in range(count)]
        services = []
        for one in made:
            router = GossipSub([MESHSUB], 6, 4, 12, heartbeat_interval=1)
            services.append(Pubsub(one, router, strict_signing=True))
            await stack.enter_async_context(background_trio_service(services[-1]))
            await stack.enter_async_context(background_trio_service(router))
        for n, one in enumerate(made):
            for step in chords:
                await connect(one, made[(n + step) % count])
        subscriptions = [await service.subscribe(topic) for service in services]
        await trio.sleep(5)
        got = 0

        async def read(subscription: Any) -> None:
            nonlocal got
            while True:
                await subscription.get()
                got += 1

        async def sample() -> float:
            nonlocal got
            got = 0
            with Stopwatch() as watch:
                for number in range(1, rounds + 1):
                    for service in services:
                        await service.publish(topic, bytes(size))
                    with trio.move_on_after(5):
                        while got < number * count * count:
                            await trio.sleep(0.01)
            print(f"lost: {1 - got / (rounds * count * count):.1%}", file=sys.stderr)
            return got * (count - 1) / count / watch.seconds  # a second; its own are no deliveries

        async with trio.open_nursery() as nursery:
            for subscription in subscriptions:
                nursery.start_soon(read, subscription)
            samples = await repeat(times, sample)
            nursery.cancel_scope.cancel()
        return samples


@asynccontextmanager
async def dht_hosts(count: int) -> AsyncIterator[list[Any]]:
    """DHTs that know one another: each has been told of all the others. The last is a client."""
    async with AsyncExitStack() as stack:
        made = [await stack.enter_async_context(host()) for _ in range(count)]
        services = []
        for n, one in enumerate(made):
            mode = DHTMode.CLIENT if n == count - 1 else DHTMode.SERVER
            services.append(KadDHT(one, mode))
            await stack.enter_async_context(background_trio_service(services[-1]))
        for n, one in enumerate(made):
            for other in made[n + 1 :]:
                await connect(one, other)
        for one, service in zip(made, services, strict=True):
            for other in made:
                if other is not one and other is not made[-1]:
                    await service.add_peer(other.get_id())
        yield services


KEYS = count_from(1)


def new_multihash() -> str:
    return (b"\x12\x20" + hashlib.sha256(next(KEYS).to_bytes(8, "big")).digest()).hex()


async def dht_provide(peers: int, count: int, times: int) -> list[float]:
    async with dht_hosts(peers) as services:

        async def sample() -> float:
            with Stopwatch() as watch:
                for n in range(count):
                    await services[n % (peers - 1)].provide(new_multihash())
            return watch.seconds / count * 1e3  # ms

        return await repeat(times, sample)


async def dht_find(peers: int, count: int, times: int) -> list[float]:
    async with dht_hosts(peers) as services:

        async def sample() -> float:
            keys = [new_multihash() for _ in range(count)]
            for n, key in enumerate(keys):
                await services[n % (peers - 1)].provide(key)
            await trio.sleep(0.5)
            with Stopwatch() as watch:
                for key in keys:
                    found = await services[-1].find_providers(key, 1)
                    assert found
            return watch.seconds / count * 1e3  # ms

        return await repeat(times, sample)


async def fetch(mebibytes: int, times: int) -> list[float]:
    data = random.randbytes(mebibytes * 1024 * 1024)

    async def dag(one: Any, nursery: trio.Nursery) -> MerkleDag:
        client = BitswapClient(one)
        client.set_nursery(nursery)
        await client.start()
        return MerkleDag(client)

    async with host() as alice, trio.open_nursery() as nursery:
        files = await dag(alice, nursery)
        root = await files.add_bytes(data, 256 * 1024)

        async def sample() -> float:
            async with host() as bob:
                await connect(bob, alice)
                fetcher = await dag(bob, nursery)
                with Stopwatch() as watch:
                    fetched, _ = await fetcher.fetch_file(root, alice.get_id(), timeout=120)
                assert fetched == data
                await fetcher.bitswap.stop()
            return len(data) / 1e6 / watch.seconds  # MB/s

        samples = await repeat(times, sample)
        nursery.cancel_scope.cancel()
    return samples


async def imports(times: int) -> list[float]:
    program = "import time; t = time.process_time(); import libp2p; print(time.process_time() - t)"
    command = [sys.executable, "-W", "ignore", "-c", program]
    samples = []
    for _ in range(times):
        done = await trio.run_process(command, capture_stdout=True, stderr=subprocess.DEVNULL)
        samples.append(float(done.stdout))
    return samples


TASKS: dict[str, Callable[..., Awaitable[list[float]]]] = {
    "throughput": throughput,
    "quic_throughput": quic_throughput,
    "ping": ping,
    "streams": streams,
    "connections": connections,
    "hosts": hosts,
    "host_memory": host_memory,
    "connection_memory": connection_memory,
    "pubsub": pubsub,
    "imports": imports,
    "dht_provide": dht_provide,
    "dht_find": dht_find,
    "fetch": fetch,
}

if __name__ == "__main__":
    name, *numbers = sys.argv[1:]
    print(json.dumps(trio.run(TASKS[name], *map(int, numbers))))
