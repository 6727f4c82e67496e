"""Two hundred hosts that use everything: the same digest in every process, whatever the hash seed."""

from __future__ import annotations

from tests.sim.support import in_process

SCENARIO = """
import asyncio, random, socket
from libp2p_lab.sim import *
from libp2p_lab.transports import TCP
from libp2p_lab.transports.websocket import WebSocket

class Hears(asyncio.DatagramProtocol):
    def datagram_received(self, data, addr):
        pass

def setup(host):
    @host.handle("/echo/1.0.0")
    async def echo(stream):
        async for chunk in stream:
            await stream.write(chunk)
        await stream.close()

def build(seed):
    net = Internet(seed=seed, regions=WORLD, loss=0.005, reorder=0.01)
    boxes = [net.nat(behaviour=b) for b in (FULL_CONE, RESTRICTED_CONE, PORT_RESTRICTED, SYMMETRIC)]
    boxes.append(net.nat("inner", outer=boxes[3]))
    boxes.append(net.firewall("wall"))
    hosts = net.hosts(120, setup=setup)
    hosts += net.hosts(20, prefix="slow", setup=setup, up=mbit(2), down=mbit(4), jitter=0.02, loss=0.01)
    hosts += net.hosts(20, prefix="plain", security="plaintext", setup=setup)
    hosts += net.hosts(10, prefix="six", ipv6=True, setup=setup)
    for number in range(10):
        ip = f"11.200.0.{number + 1}"
        where = [f"/ip4/{ip}/tcp/1/ws" if number % 2 else f"/ip4/{ip}/tcp/1"]
        hosts.append(net.host(f"web{number}", ip=ip, setup=setup, listen=where,
                              transports=lambda: [TCP(), WebSocket()]))
    private = [net.host(f"home{number}", nat=boxes[number % 6], setup=setup) for number in range(20)]
    return net, hosts, private

async def talk(net, hosts, private, rng):
    async def one(host):
        other = rng.choice(hosts)
        if other is host:
            return
        try:
            stream = await host.open_stream(other.addrs[0], "/echo/1.0.0")
            await stream.write(bytes(rng.randrange(1, 20_000)))
            await stream.close_write()
            await stream.read()
        except Exception as error:
            errors.append(type(error).__name__)
    errors = []
    for _ in range(2):
        await asyncio.gather(*(one(host) for host in hosts + private))
        await asyncio.sleep(20)
    return errors

def main(seed):
    net, hosts, private = build(seed)
    net.names.add("example.org", hosts[0].machine.ips[0])
    rng = random.Random(seed)
    net.at(5, hosts[3].freeze)
    net.at(15, hosts[3].thaw)
    net.at(7, lambda: net.at(12, net.partition("europe", "na_east")))
    net.at(9, lambda: net.at(14, net.partition(hosts[:20])))
    end = churn(net, hosts[30:60], session=weibull(30), pause=exponential(10))
    async def named():
        try:
            await hosts[1].connect(f"/dns4/example.org/tcp/4001/p2p/{hosts[0].peer_id}")
        except Exception:
            pass
    net.at(11, named)
    with film(net) as recording:
        errors = net.run(talk(net, hosts, private, rng))
    end()
    print(len(net.hosts_by_name), len(errors), len(recording), net.digest(contents=True))
    net.close()

main(SEED)
"""


def test_the_same_digest_in_every_process() -> None:
    digests = {in_process(SCENARIO.replace("SEED", "11"), hash_seed) for hash_seed in (0, 1)}
    assert len(digests) == 1, digests
    hosts, _, packets, _ = digests.pop().split()
    assert int(hosts) == 200
    assert int(packets) > 5_000
    assert in_process(SCENARIO.replace("SEED", "12"), 0).split()[3] not in digests
