"""An internet: the machines, what is between them, and the time that passes there."""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import random
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Literal, TypeVar

from libp2p_lab.errors import LocalError
from libp2p_lab.sim.events import BoxAdded, HostFailure, MachineAdded, MachineChanged, Partitioned
from libp2p_lab.sim.host import Setup, SimHost
from libp2p_lab.sim.loop import MACHINE, SimLoop
from libp2p_lab.sim.machine import Machine, check_part
from libp2p_lab.sim.names import Names
from libp2p_lab.sim.nat_box import NatBox
from libp2p_lab.sim.nat_pmp import PORT as nat_pmp_port
from libp2p_lab.sim.nat_pmp import NatPmp
from libp2p_lab.sim.nat_table import FIREWALL, PORT_RESTRICTED, NatBehaviour
from libp2p_lab.sim.network import Network, Side
from libp2p_lab.sim.pcp import Pcp
from libp2p_lab.sim.pipe import Pipe
from libp2p_lab.sim.player import Player
from libp2p_lab.sim.regions import Geography, from_round_trips, one_place
from libp2p_lab.sim.sockets import is_v6, plain_ip
from libp2p_lab.sim.upnp import HTTP_PORT, MAX_REQUEST, SSDP_PORT, Ssdp, Upnp
from libp2p_lab.trace import Trace

T = TypeVar("T")

Regions = Geography | Mapping[tuple[str, str], float] | None


class Internet:
    """A simulated internet.

        net = lab.sim.Internet(seed=1)
        alice, bob = net.host("alice"), net.host("bob")
        rtt = net.run(bob.ping(alice.addrs[0]))

    Args:
        seed: of all chance. The same seed gives the same run.
        regions: a `Geography` (`lab.sim.WORLD`), or round-trip times in seconds: {("paris", "tokyo"): 0.24};
            None for one region in which a packet takes 10 ms one way.
        loss: the part of packets lost between regions and within one.
        reorder: the part of datagrams that later ones may overtake.
        tcp_patience: how many times longer than usual the systems' TCP waits before it sends again or gives up: for
            places further away than a real system's two minutes.
        delay, jitter, host_loss, up, down: what each host gets unless told otherwise; see `host`.

    Attributes:
        hosts_by_name: every peer.
        names: DNS: `net.names.add("example.org", "11.0.0.1")`.
        failures: what code on hosts raised and nobody caught: (host, time, error).
    """

    def __init__(
        self,
        seed: int | str = 0,
        regions: Regions = None,
        *,
        loss: float = 0.0,
        reorder: float = 0.0,
        delay: float = 0.0,
        jitter: float = 0.0,
        host_loss: float = 0.0,
        tcp_patience: float = 1.0,
        up: float | None = None,
        down: float | None = None,
    ) -> None:
        match regions:
            case None:
                geography = one_place()
            case Geography():
                geography = regions
            case _:
                geography = from_round_trips(regions)
        self.seed = seed
        self.rng = random.Random(f"{seed}/scenario")
        self.loop = SimLoop(random.Random(f"{seed}/order"))
        self.loop.set_exception_handler(self._on_failure)
        self.trace = Trace("internet", self.loop.time)
        self.network = Network(
            seed,
            self.loop,
            geography,
            loss=check_part("loss", loss),
            reorder=check_part("reorder", reorder),
            trace=self.trace,
        )
        self.network.tcp_patience = tcp_patience
        self.player = Player(self.loop, self)
        self.hosts_by_name: dict[str, SimHost] = {}
        self.failures: list[tuple[str, float, BaseException]] = []
        self._defaults = {
            "delay": delay,
            "jitter": jitter,
            "loss": host_loss,
            "up": up,
            "down": down,
        }
        self._public_v4 = itertools.count(int(ipaddress.IPv4Address("11.0.0.1")))
        self._public_v6 = itertools.count(int(ipaddress.IPv6Address("2a00:11::1")))
        self._place = random.Random(f"{seed}/places")

    def __repr__(self) -> str:
        return (
            f"<Internet at {self.now:.3f} s, {len(self.hosts_by_name)} hosts, seed {self.seed!r}>"
        )

    def __enter__(self) -> Internet:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # -- building -------------------------------------------------------------------------------------------

    def host(
        self,
        name: str | None = None,
        *,
        region: str | None = None,
        nat: NatBox | None = None,
        ip: str | None = None,
        ipv6: bool | str = False,
        delay: float | None = None,
        jitter: float | None = None,
        loss: float | None = None,
        up: float | None = None,
        down: float | None = None,
        setup: Setup | None = None,
        **host: Any,
    ) -> SimHost:
        """A machine with a peer on it, which starts at once.

        Outside of the simulation (in a test, in a cell) it has started when this returns. In a scenario's coroutine
        it has as soon as `await host.start()` returns; connecting waits for that by itself.

        Args:
            name: what to call it; None numbers it.
            region: where it stands; None draws one by the regions' weights, or takes the NAT box's.
            nat: the box that it is behind.
            ip: its IPv4 address; None for a free one; "" for none.
            ipv6: whether it has an IPv6 address too, or which.
            delay: seconds from it to its first router, one way.
            jitter: seconds that a packet may take longer.
            loss: the part of its packets that is lost, each way.
            up, down: bandwidth in bytes a second (`lab.sim.mbit(20)`); None for no limit.
            setup: called with the host after each start: `async def setup(host)`, or a plain function.
            **host: as `Host`: key, listen, transports, security, muxers, services, limits, gater, … Parts may be
                functions that make them (`services=lambda: [Identify(), KadDHT()]`), which a restart needs.
                security="plaintext" is short for no encryption at all, which is much cheaper.
        """
        with self.player.paused():
            machine = self.machine(
                name,
                region=region,
                nat=nat,
                ip=ip,
                ipv6=ipv6,
                delay=delay,
                jitter=jitter,
                loss=loss,
                up=up,
                down=down,
            )
            made = self._put_host(machine, setup, host)
            self._let_start([made])
        return made

    def hosts(self, n: int, prefix: str = "host", **options: Any) -> list[SimHost]:
        """`n` hosts, numbered; arguments as `host`. Parts must be functions that make them."""
        with self.player.paused():
            made = []
            for _ in range(n):
                machine = self.machine(
                    self._next_name(prefix),
                    **{key: value for key, value in options.items() if key in _MACHINE_OPTIONS},
                )
                rest = {k: v for k, v in options.items() if k not in _MACHINE_OPTIONS}
                setup = rest.pop("setup", None)
                made.append(self._put_host(machine, setup, rest))
            self._let_start(made)
        return made

    def machine(
        self,
        name: str | None = None,
        *,
        region: str | None = None,
        nat: NatBox | None = None,
        ip: str | None = None,
        ipv6: bool | str = False,
        delay: float | None = None,
        jitter: float | None = None,
        loss: float | None = None,
        up: float | None = None,
        down: float | None = None,
    ) -> Machine:
        """A machine without a peer, for programs that use asyncio's network themselves; arguments as `host`."""
        name = name if name is not None else self._next_name("host")
        if name in self.network.machines or name in self.network.boxes:
            raise LocalError(f"{name!r} is taken")
        ips = tuple(filter(None, (self._v4(ip, nat), self._v6(ipv6, nat))))
        if not ips:
            raise LocalError(f"{name!r} has no address: give it ip or ipv6")
        machine = Machine(
            self.network,
            name,
            ips,
            self._region(region, nat),
            nat,
            delay=_or(delay, self._defaults["delay"]) or 0.0,
            jitter=_or(jitter, self._defaults["jitter"]) or 0.0,
            loss=check_part("loss", _or(loss, self._defaults["loss"]) or 0.0),
            up=_pipe(_or(up, self._defaults["up"])),
            down=_pipe(_or(down, self._defaults["down"])),
        )
        self.network.attach(machine, ips, nat)
        box = nat
        while (
            box is not None
        ):  # addresses that are the same outside: the way there goes through the box
            outer = self.network.public if box.outer is None else box.outer.inside
            outer.update({ip: box for ip in ips if is_v6(ip) or not box.behaviour.translates})
            box = box.outer
        self.network.machines[name] = machine
        return machine

    def nat(
        self,
        name: str | None = None,
        behaviour: NatBehaviour = PORT_RESTRICTED,
        *,
        outer: NatBox | None = None,
        ip: str | None = None,
        ips: Iterable[str] | None = None,
        region: str | None = None,
        delay: float = 0.0,
        up: float | None = None,
        down: float | None = None,
        nat_pmp: bool = False,
        pcp: bool = False,
        upnp: bool = False,
    ) -> NatBox:
        """A NAT box: put hosts behind it with `net.host(…, nat=box)`.

        Args:
            name: what to call it; None numbers it.
            behaviour: `lab.sim.FULL_CONE`, `RESTRICTED_CONE`, `PORT_RESTRICTED` (the default), `SYMMETRIC`, or any
                `NatBehaviour(mapping=…, filtering=…, …)`.
            outer: the box that it is behind itself: carrier-grade NAT.
            ip, ips: its outer address, or several; None for a free one.
            region: where it stands.
            delay: seconds to the next router outside, one way.
            up, down: bandwidth in bytes a second, shared by all behind it.
            nat_pmp: whether it opens ports when asked by NAT-PMP at its inner address, `box.gateway`.
            pcp: whether it does by PCP, its successor, at the same port.
            upnp: whether it does by UPnP.
        """
        with self.player.paused():
            name = name if name is not None else self._next_name("nat")
            if name in self.network.machines or name in self.network.boxes:
                raise LocalError(f"{name!r} is taken")
            outside = tuple(ips) if ips is not None else (self._v4(ip, outer),)
            inner = "10.0.0." if outer is None and behaviour.translates and ips else "192.168.1."
            box = NatBox(
                name,
                tuple(plain_ip(one) for one in outside),
                self._region(region, outer),
                behaviour,
                outer=outer,
                rng=random.Random(f"{self.seed}/box/{name}"),
                tell=self.network.tell,
                clock=self.loop.time,
                delay=delay,
                up=_pipe(up),
                down=_pipe(down),
                network=inner,
            )
            self.network.attach(box, box.ips, outer)
            self.network.boxes[name] = box
            within = outer.name if outer is not None else ""
            self.network.tell(BoxAdded(name, box.ips, box.region, within, str(behaviour)))
            if nat_pmp or pcp or upnp:
                self._answer_inside(box, nat_pmp, pcp, upnp)
        return box

    def _answer_inside(self, box: NatBox, nat_pmp: bool, pcp: bool, upnp: bool) -> None:
        """Put a machine at the box's inner address that opens ports when asked."""
        gateway = self.machine(f"{box.name} gateway", nat=box, ip=box.gateway)

        async def listen() -> None:
            if nat_pmp or pcp:
                made = NatPmp(
                    box, self.loop.time, Pcp(box, self.loop.time) if pcp else None, nat_pmp
                )
                await self.loop.create_datagram_endpoint(
                    lambda: made, local_addr=(box.gateway, nat_pmp_port)
                )
            if upnp:
                serve = Upnp(box, self.loop.time).serve
                await asyncio.start_server(serve, box.gateway, HTTP_PORT, limit=MAX_REQUEST)
                await self.loop.create_datagram_endpoint(
                    lambda: Ssdp(box), local_addr=("0.0.0.0", SSDP_PORT)
                )

        task = gateway.create_task(listen())
        if not self.loop.is_running():
            self.player.run_until([task], self.now)
            task.result()

    def firewall(self, name: str | None = None, **options: Any) -> NatBox:
        """A firewall: lets in what was asked for, and translates nothing. Arguments as `nat`."""
        options.setdefault("behaviour", FIREWALL)
        return self.nat(name, **options)

    def _put_host(self, machine: Machine, setup: Setup | None, options: dict[str, Any]) -> SimHost:
        with self.player.inside(machine):
            made = SimHost(machine, setup=setup, **options)
        self.hosts_by_name[machine.name] = made
        self.network.tell(self._describe(machine))
        return made

    def _let_start(self, hosts: Iterable[SimHost]) -> None:
        """Start hosts; outside of the simulation, wait for it: no time passes there meanwhile."""
        if self.loop.is_running():
            for made in hosts:
                made.begin()
            return
        tasks = [made.begin() for made in hosts]
        self.player.run_until(tasks, self.now)
        for task in tasks:
            task.result()

    # -- addresses and places -------------------------------------------------------------------------------

    def _next_name(self, prefix: str) -> str:
        taken = self.network.machines.keys() | self.network.boxes.keys()
        number = len([name for name in taken if name.startswith(prefix)]) + 1
        while f"{prefix}{number}" in taken:
            number += 1
        return f"{prefix}{number}"

    def _v4(self, ip: str | None, nat: NatBox | None) -> str:
        if ip is not None:
            return plain_ip(ip) if ip else ""
        if nat is None or not nat.behaviour.translates:
            taken = self.network.public
            return next(
                address
                for number in self._public_v4
                if (address := str(ipaddress.IPv4Address(number))) not in taken
            )
        taken = nat.inside
        return next(
            address
            for number in range(2, 255)
            if (address := f"{nat.network}{number}") not in taken
        )

    def _v6(self, wanted: bool | str, nat: NatBox | None) -> str:
        if isinstance(wanted, str):
            return plain_ip(wanted)
        return str(ipaddress.IPv6Address(next(self._public_v6))) if wanted else ""

    def _region(self, name: str | None, nat: NatBox | None) -> str:
        geography = self.network.geography
        if name is not None:
            return geography.region(name).name
        if nat is not None:
            return nat.region
        regions = list(geography.regions.values())
        if len(regions) == 1:
            return regions[0].name
        return self._place.choices(regions, [region.weight for region in regions])[0].name

    # -- time -----------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds of virtual time since the beginning."""
        return self.loop.time()

    def run(self, coro: Coroutine[Any, Any, T] | None = None, *, until: float | None = None) -> T:
        """Run a scenario to its end, and return its result; or, without one, everything up to the moment `until`.

        Args:
            coro: the scenario. What it does on hosts runs on their machines.
            until: the virtual time at which the scenario must be over; None: a day from now.

        Raises: what the scenario raises; `Unfinished` if it is not over at `until`, and `Deadlock` if it never can
            be, each with a list of who waits for what; an error that nobody caught on a host, with a note that
            says where and when.
        """
        if coro is None:
            if until is None:
                raise LocalError("run what, or until when? net.run(coroutine) or net.run(until=60)")
            if until < self.now:
                raise LocalError(f"it is {self.now:g} s already")
            self.player.run_until(None, until)
            return None  # type: ignore[return-value]
        return self.player.run_coroutine(coro, until)

    def run_for(self, dt: float) -> None:
        """Let `dt` seconds of virtual time pass."""
        self.run(until=self.now + dt)

    async def arun_for(self, dt: float) -> None:
        """Let `dt` seconds of virtual time pass, in a thread beside this event loop: for notebooks."""
        await self.player.run_beside(None, self.now + dt)

    async def arun(self, coro: Coroutine[Any, Any, T], *, until: float | None = None) -> T:
        """As `run`, in a thread beside this event loop: for notebooks."""
        result: T = await self.player.run_beside(coro, until)
        return result

    def play(self, speed: float = 1.0) -> None:
        """Let time pass in the background, `speed` virtual seconds in each real one; `math.inf` for as fast as
        possible, 0 to pause. Called again, it changes the speed."""
        self.player.play(speed)

    def pause(self) -> None:
        """Stop playing. Nothing is lost: `play` goes on."""
        self.player.play(0)

    def step(self, n: int = 1) -> float:
        """While paused: run to the moment of the next event, `n` times. Returns the time."""
        return self.player.step(n)

    @property
    def speed(self) -> float:
        """How fast it plays; 0 when paused."""
        return self.player.speed

    def at(self, t: float, fn: Callable[..., Any], *args: Any) -> None:
        """At the virtual time `t` call `fn(*args)`; what it returns is run as a task if it is a coroutine.

        Raises: `LocalError` if that is over.
        """
        with self.player.paused():
            if t < self.now:
                raise LocalError(f"it is {self.now:g} s already: {t:g} is over")
            self.player.at(t, fn, args)

    # -- misfortune -----------------------------------------------------------------------------------------

    def partition(
        self, a: SimHost | Side | Iterable[Any], b: SimHost | Side | Iterable[Any] | None = None
    ) -> Callable[[], None]:
        """Cut the cable between `a` and `b`: hosts, boxes with all behind them, regions by name, or several.

        Args:
            a: one side.
            b: the other; None for everybody else.

        Returns: the function that mends it.
        """
        with self.player.paused():
            heal = self.network.partition(_sides(a), None if b is None else _sides(b))

        def mend() -> None:
            with self.player.paused():
                heal()

        return mend

    def drop_next(self, n: int = 1) -> None:
        """Lose the next `n` packets that leave any machine."""
        with self.player.paused():
            self.network.drop_next += n

    # -- looking --------------------------------------------------------------------------------------------

    @property
    def names(self) -> Names:
        """DNS."""
        return self.network.names

    @property
    def counts(self) -> Mapping[str, int]:
        """Packets by kind, and how many were dropped for each reason."""
        return self.network.counts

    def digest(self, contents: bool = False) -> str:
        """A fingerprint of every packet, drop and event so far: equal digests, equal runs.

        Args:
            contents: whether the packets' bytes count too. They do not depend on the seed alone where TLS or QUIC
                are used, whose libraries keep their secrets to themselves.
        """
        return self.network.digest(contents)

    def scene(self) -> list[MachineAdded | BoxAdded | MachineChanged | Partitioned]:
        """What there is now, as the events that would tell it. Callable while another thread runs the internet."""
        network = self.network
        events: list[MachineAdded | BoxAdded | MachineChanged | Partitioned] = []
        for box in tuple(network.boxes.values()):
            outer = box.outer.name if box.outer is not None else ""
            events.append(BoxAdded(box.name, box.ips, box.region, outer, str(box.behaviour)))
        for machine in tuple(network.machines.values()):
            events.append(self._describe(machine))
            if machine.is_down or machine.is_frozen:
                state: Literal["crashed", "frozen"] = "crashed" if machine.is_down else "frozen"
                events.append(MachineChanged(machine.name, state))
        events.extend(cut.event for cut in network.cuts)
        return events

    def _describe(self, machine: Machine) -> MachineAdded:
        peer = self.hosts_by_name.get(machine.name)
        return MachineAdded(
            machine.name,
            machine.ips,
            machine.region,
            machine.box.name if machine.box is not None else "",
            str(peer.peer_id) if peer is not None else "",
        )

    def _on_failure(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An error that nobody caught."""
        error = context.get("exception") or RuntimeError(context.get("message", "unknown"))
        source = context.get("future") or context.get("task")
        machine = getattr(source, "machine", None) or MACHINE.get()
        handle = context.get("handle")
        if machine is None and handle is not None:
            machine = handle._context.get(MACHINE)
        name = machine.name if machine is not None else ""
        error.add_note(
            f"on host {name!r} at {self.now:.6f} s of virtual time: {context.get('message')}"
        )
        self.failures.append((name, self.now, error))
        self.network.tell(HostFailure(name, f"{type(error).__name__}: {error}"))
        self.player.fail(error)

    # -- the end --------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop everything. Can be called again."""
        self.player.close()


_MACHINE_OPTIONS = frozenset(
    ("region", "nat", "ip", "ipv6", "delay", "jitter", "loss", "up", "down")
)


def _or(value: float | None, default: float | None) -> float | None:
    return default if value is None else value


def _pipe(rate: float | None) -> Pipe | None:
    return None if rate is None else Pipe(rate)


def _sides(given: Any) -> list[Side]:
    """What a partition is told, one by one."""
    several = given if isinstance(given, list | tuple | set | frozenset) else (given,)
    sides: list[Side] = []
    for one in several:
        side = one.machine if isinstance(one, SimHost) else one
        if not isinstance(side, Machine | NatBox | str):
            raise LocalError(f"{one!r} is no host, box or region")
        sides.append(side)
    return sides
