"""The virtual internet: how does a network of thousands behave, when a laptop has only itself?

The same hosts, unmodified, on an event loop whose time is virtual and whose network is simulated. Nothing is modelled
twice: each protocol has its one implementation, and only what is below the sockets is made up.

    net = lab.sim.Internet(seed=1)                       # the same seed gives the same run, to the byte
    alice, bob = net.host("alice"), net.host("bob")      # ordinary hosts, each on a machine of its own
    net.run(bob.ping(alice.addrs[0]))                    # 0.02: a round trip of virtual time
    net.close()

For the tests of a chapter: they are ordinary functions, `async def` only within.

    def test_a_lookup_finds_its_target() -> None:
        with Internet(seed=7, regions=WORLD) as net:
            peers = net.hosts(200, services=lambda: [Identify(), KadDHT()])   # functions: each host gets its own parts

            async def scenario() -> None:
                await peers[1].connect(peers[0].addrs[0])        # on peers[1]'s machine, as all that it does
                await asyncio.sleep(3600)                        # an hour, at once
                await peers[3].run(some_program())               # any coroutine, as a program on that machine

            net.at(60, peers[5].crash)                           # … .restart(), .freeze(), .thaw()
            heal = net.partition(peers[:100], peers[100:])       # heal() mends it
            home = net.nat("home", SYMMETRIC)                    # net.host(…, nat=home): behind it
            net.run(scenario(), until=4000)

In a notebook `await net.arun_for(60)`, `await net.arun(coroutine)` and `net.play(speed)` run it in a thread beside the
kernel's loop.

Read in this order:

    loop.py         time that jumps, and the order of what happens at one moment
    guard.py        what is real stays outside
    packet.py       what travels
    udp.py, tcp.py  what programs know as sockets; sockets.py, machine.py: names, options, ports
    pipe.py, regions.py, network.py      bandwidth and queues; distances; how a packet gets there, or is lost
    nat_table.py, nat_box.py             what a NAT remembers, and the box around it
    nat_pmp.py, pcp.py, upnp.py          ports opened when asked; upnp_asker.py: who asks by UPnP
    names.py        DNS
    host.py, internet.py, player.py      our hosts on machines; the whole; threads and speed
    events.py, waiting.py, film.py       what is told; who waits for what; what a map is drawn from
    presets.py, churn.py, sweep.py       internets ready to use; hosts that come and go; many seeds at once
    routers.py                           a thousand pubsub routers, as cores, without hosts around them
    punching.py                          homes behind NAT boxes that meet by a relay, one by one and by the hundred
    timing.py                            homes that meet at the wrong moment
    attacks.py                           what the authors of GossipSub tried on it, with scores and without
    lookups.py                           ten thousand routing tables, and lookups over them
    lookup_survey.py                     what lookups cost, and whether records are found, beside published figures

Left out: routing tables, congestion of the core, fragments, TCP keepalive and urgent data.
"""

from libp2p_lab.sim.churn import churn, exponential, fixed, weibull
from libp2p_lab.sim.film import Film, Flight, Frame, film
from libp2p_lab.sim.host import SimHost
from libp2p_lab.sim.internet import Internet
from libp2p_lab.sim.nat_table import (
    FIREWALL,
    FULL_CONE,
    PORT_RESTRICTED,
    RESTRICTED_CONE,
    SYMMETRIC,
    NatBehaviour,
)
from libp2p_lab.sim.pipe import mbit
from libp2p_lab.sim.presets import lan, limits_broken, lossy_wifi, mars, patient, world
from libp2p_lab.sim.regions import WORLD, Geography, Region, from_round_trips, one_place
from libp2p_lab.sim.routers import RouterNetwork
from libp2p_lab.sim.sweep import Run, Runs, sweep
from libp2p_lab.sim.upnp_asker import UpnpAsker
from libp2p_lab.sim.waiting import Deadlock, Unfinished

__all__ = [
    "FIREWALL",
    "FULL_CONE",
    "PORT_RESTRICTED",
    "RESTRICTED_CONE",
    "SYMMETRIC",
    "WORLD",
    "Deadlock",
    "Film",
    "Flight",
    "Frame",
    "Geography",
    "Internet",
    "NatBehaviour",
    "Region",
    "RouterNetwork",
    "Run",
    "Runs",
    "SimHost",
    "Unfinished",
    "UpnpAsker",
    "churn",
    "exponential",
    "film",
    "fixed",
    "from_round_trips",
    "lan",
    "limits_broken",
    "lossy_wifi",
    "mars",
    "mbit",
    "one_place",
    "patient",
    "sweep",
    "weibull",
    "world",
]
