"""Hole punching: the exchange as a core, and whole hosts behind NAT boxes in the virtual internet."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import libp2p_lab as lab
from libp2p_lab.errors import DialError, LocalError, ProtocolViolation
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.limits import DEFAULT_LIMITS
from libp2p_lab.nat.coordination import Coordination
from libp2p_lab.nat.dcutr_messages import Connect, Sync
from libp2p_lab.nat.events import DirectDialTried, Migrated, PunchStarted, RoundTripMeasured
from libp2p_lab.sim import FULL_CONE, PORT_RESTRICTED, SYMMETRIC, Internet, NatBehaviour

pytestmark = pytest.mark.timeout(120)
MINE, THEIRS = Multiaddr("/ip4/1.1.1.1/tcp/1"), Multiaddr("/ip4/2.2.2.2/tcp/2")
ECHO = "/echo/1.0.0"


# -- the core ---------------------------------------------------------------------------------------------------


def pair(may_dial: Any = lambda addr: True) -> tuple[Coordination, Coordination]:
    return (
        Coordination("initiator", [MINE], may_dial=may_dial),
        Coordination("receiver", [THEIRS], may_dial=may_dial),
    )


@given(st.floats(0, 5), st.floats(0, 5), st.floats(0, 1000))
def test_both_dial_at_one_moment_if_the_way_there_is_as_long_as_the_way_back(there, back, began):
    b, a = pair()
    sent = b.start(began)
    answer, nothing = a.receive(sent, began + there)
    assert nothing is None
    assert answer == Connect((THEIRS,))
    now = began + there + back
    sync, punch = b.receive(answer, now)
    assert sync == Sync()
    assert punch.addrs == (THEIRS,)
    assert punch.rtt == pytest.approx(there + back, abs=1e-6)
    silence, theirs = a.receive(sync, now + there)
    assert silence is None
    assert (theirs.addrs, theirs.delay, theirs.rtt) == ((MINE,), 0.0, None)
    assert abs((now + punch.delay) - (now + there)) == pytest.approx(
        abs(there - back) / 2, abs=1e-6
    ), "the error of the guess"


@given(st.lists(st.sampled_from([Connect((MINE,)), Connect(()), Sync()]), max_size=5))
def test_any_other_order_is_a_violation(messages):
    for side in pair():
        if side.role == "initiator":
            side.start(0)
        for message in messages:
            before = side.state
            try:
                side.receive(message, 1)
            except ProtocolViolation:
                break
            assert (before, type(message)) in (
                ("connect sent", Connect),
                ("start", Connect),
                ("connect answered", Sync),
            )


def test_addresses_are_few_and_only_those_worth_a_dial():
    relayed = Multiaddr(f"{THEIRS}/p2p-circuit")
    named = Multiaddr("/ip4/3.3.3.3/tcp/3/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp")
    _, a = pair(may_dial=lambda addr: addr != THEIRS)
    many = [Multiaddr(f"/ip4/4.4.4.4/tcp/{port}") for port in range(1, 100)]
    a.receive(Connect((relayed, THEIRS, named, named, *many)), 0)
    _, punch = a.receive(Sync(), 1)
    assert len(punch.addrs) == DEFAULT_LIMITS.dcutr_addrs
    assert punch.addrs[:2] == (named.without_peer(), many[0])
    _, other = pair(may_dial=lambda addr: False)
    with pytest.raises(ProtocolViolation, match="no address"):
        other.receive(Connect((MINE,)), 0)


# -- whole hosts ------------------------------------------------------------------------------------------------


def listen_at(ip: str, kind: str) -> str:
    return f"/ip4/{ip}/tcp/4001" if kind == "tcp" else f"/ip4/{ip}/udp/4001/quic-v1"


def basics() -> list[Any]:
    return [lab.Identify(), lab.Ping(), lab.Echo(), lab.RelayClient()]


class Street:
    """A relay, and two homes."""

    def __init__(
        self,
        a: Any,
        b: Any,
        kind: str = "tcp",
        seed: int = 1,
        alice_punches: bool = True,
        **options: Any,
    ) -> None:
        self.net = Internet(seed=seed, **options)
        self.kind = kind
        relay_services = lambda: [lab.Identify(), lab.Ping(), lab.Relay()]  # noqa: E731
        transports = (lambda: [lab.TCP()]) if kind == "tcp" else (lambda: [lab.QUIC()])
        self.relay = self.net.host(
            "relay",
            ip="11.9.0.1",
            listen=[listen_at("11.9.0.1", kind)],
            services=relay_services,
            transports=transports,
        )
        self.transports = transports
        self.alice = self.home("alice", a, "11.9.0.2", alice_punches)
        self.bob = self.home("bob", b, "11.9.0.3")

    def home(self, name: str, behaviour: Any, ip: str, punches: bool = True) -> Any:
        box = None if behaviour is None else self.net.nat(f"router of {name}", behaviour)
        at = ip if box is None else "192.168.1.2"
        return self.net.host(
            name,
            nat=box,
            ip=at,
            listen=[listen_at(at, self.kind)],
            services=lambda: [*basics(), *([lab.DCUtR()] if punches else [])],
            transports=self.transports,
        )

    async def meet(self) -> Any:
        """Bob calls alice through the relay."""
        await self.alice.run(self.alice.relay_client.reserve(self.relay.addrs[0]))
        [addr] = [addr for addr in self.alice.addrs if "p2p-circuit" in addr.names]
        return await self.bob.connect(addr)


async def settled(street: Street) -> None:
    """Until alice, who begins, has an outcome."""
    async with asyncio.timeout(60):
        while street.bob.peer_id not in street.alice.dcutr.results:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("kind", ["tcp", "quic"])
def test_two_behind_home_routers_punch_and_move_over(kind):
    street = Street(PORT_RESTRICTED, PORT_RESTRICTED, kind)
    alice, bob = street.alice, street.bob

    async def scenario() -> None:
        relayed = await street.meet()
        assert relayed.relayed
        slow = await bob.ping(alice.peer_id)
        stream = await bob.open_stream(alice.peer_id, ECHO)  # waits until it need not be relayed
        assert not stream.connection.relayed
        assert await bob.ping(alice.peer_id) < 0.7 * slow
        direct = await bob.run(bob.dcutr.direct(alice.peer_id))
        assert (direct.direction, direct.limited) == ("outbound", False), "A is the client"
        [other] = [c for c in alice.connections_to(bob.peer_id) if not c.relayed]
        assert other.direction == "inbound"
        await stream.write(bytes(300_000))
        await stream.close_write()
        assert len(await stream.read()) == 300_000, "more than the relay would carry"
        await asyncio.sleep(5)
        for one, another in ((alice, bob), (bob, alice)):
            assert [c.relayed for c in one.connections_to(another.peer_id)] == [False]
        assert not street.relay.relay.circuits

    with street.net as net, lab.record(alice, bob) as log:
        net.run(scenario())
        told = [entry for entry in log if entry.layer == "dcutr"]
        [measured] = [e.what for e in told if isinstance(e.what, RoundTripMeasured)]
        assert measured.rtt == pytest.approx(0.042, abs=0.005)
        starts = [entry.time for entry in told if isinstance(entry.what, PunchStarted)]
        assert len(starts) == 2
        assert abs(starts[0] - starts[1]) < 0.002
        sides = {entry.node: [] for entry in told}
        for entry in told:
            if isinstance(entry.what, Connect | Sync):
                sides[entry.node].append((entry.direction, type(entry.what).__name__))
        assert sides[str(alice.peer_id)] == [
            ("sent", "Connect"),
            ("received", "Connect"),
            ("sent", "Sync"),
        ]
        assert sum(isinstance(entry.what, Migrated) for entry in told) == 2


@pytest.mark.parametrize("kind", ["tcp", "quic"])
def test_symmetric_to_symmetric_stays_on_the_relay_and_is_usable(kind):
    street = Street(SYMMETRIC, SYMMETRIC, kind)
    alice, bob = street.alice, street.bob

    async def scenario() -> None:
        await street.meet()
        with pytest.raises(DialError, match="no direct connection"):
            await bob.run(bob.dcutr.direct(alice.peer_id))
        [ended] = alice.dcutr.results.values()
        assert (ended.outcome, ended.attempts) == ("failed", 3)
        assert await bob.ping(alice.peer_id) > 0
        with pytest.raises(LocalError, match="limits time and bytes"):
            await bob.open_stream(alice.peer_id, ECHO)
        stream = await bob.open_stream(alice.peer_id, ECHO, allow_limited=True)
        await stream.write(b"still here")
        await stream.close_write()
        assert await stream.read() == b"still here"

    with street.net as net, lab.record(alice, bob) as log:
        net.run(scenario())
        assert sum(isinstance(entry.what, Sync) for entry in log) == 6, "three tries at two ends"


@pytest.mark.parametrize("kind", ["tcp", "quic"])
def test_a_public_caller_is_dialed_and_nothing_is_punched(kind):
    street = Street(SYMMETRIC, None, kind)

    async def scenario() -> None:
        await street.meet()
        await settled(street)
        assert street.alice.dcutr.results[street.bob.peer_id].outcome == "dialed"
        assert not street.bob.dcutr.direct_to(street.alice.peer_id).relayed

    with street.net as net, lab.record(street.alice) as log:
        net.run(scenario())
        assert [e.what.worked for e in log if isinstance(e.what, DirectDialTried)] == [True]
        assert not [e for e in log if isinstance(e.what, Connect)]


@pytest.mark.parametrize("kind", ["tcp", "quic"])
def test_jitter_and_a_far_relay(kind):
    """The guess of half a round trip is wrong by a lot, and it works all the same."""
    for seed in range(3):
        street = Street(PORT_RESTRICTED, PORT_RESTRICTED, kind, seed, jitter=0.1, delay=0.05)
        with street.net as net:
            net.run(street.meet())
            net.run(settled(street))
            assert street.alice.dcutr.results[street.bob.peer_id].outcome == "punched"


def test_tcp_needs_simultaneous_open_and_a_hole_in_one_box_is_enough_for_an_open_one():
    deaf = dataclasses.replace(PORT_RESTRICTED, simultaneous_open=False)
    for behaviour, outcome in ((deaf, "failed"), (FULL_CONE, "punched")):
        street = Street(behaviour, behaviour)
        with street.net as net:
            net.run(street.meet())
            net.run(settled(street))
            assert street.alice.dcutr.results[street.bob.peer_id].outcome == outcome


def test_a_box_that_rejects_is_tried_again():
    """A SYN that comes too early is answered by RST: that dial is over at once, and only a better moment helps."""
    rude = NatBehaviour(rejects=True)
    outcomes = []
    for seed in range(10):
        street = Street(rude, rude, seed=seed, jitter=0.1)
        with street.net as net:
            net.run(street.meet())
            net.run(settled(street))
            outcomes.append(street.alice.dcutr.results[street.bob.peer_id])
    tries = [one.attempts for one in outcomes if one.outcome == "punched"]
    assert len(tries) >= 8
    assert max(tries) > 1


def test_who_speaks_no_dcutr_is_not_waited_for():
    street = Street(PORT_RESTRICTED, PORT_RESTRICTED, alice_punches=False)

    async def scenario() -> None:
        await street.meet()
        began = street.net.now
        with pytest.raises(LocalError):
            await street.bob.open_stream(street.alice.peer_id, ECHO)
        assert street.net.now - began < 1

    with street.net as net:
        net.run(scenario())


def test_same_seed_same_punch():
    digests = set()
    for _ in range(2):
        street = Street(PORT_RESTRICTED, PORT_RESTRICTED, seed=7, jitter=0.02)
        with street.net as net:
            net.run(street.meet())
            net.run(settled(street))
            digests.add(net.digest(contents=True))
    assert len(digests) == 1


def test_a_symmetric_box_on_one_side_is_no_hindrance_if_the_other_lets_its_dials_in():
    """B's dials come from a port that nobody was told of. They are taken for what they are."""
    symmetric = NatBehaviour(mapping="address-and-port-dependent", ports="random", parity=False)
    for kind in ("tcp", "quic"):
        for a, b, outcome in (
            (symmetric, FULL_CONE, "punched"),
            (FULL_CONE, symmetric, "punched"),
            (symmetric, PORT_RESTRICTED, "failed"),
        ):
            street = Street(a, b, kind)
            with street.net as net:
                net.run(street.meet())
                net.run(settled(street))
                assert street.alice.dcutr.results[street.bob.peer_id].outcome == outcome
                held = street.bob.connections_to(street.alice.peer_id)[0]
                assert held.direction == "outbound"
