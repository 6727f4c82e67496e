"""Relays and hole punching with js-libp2p: as relay, as the one that calls, and as the one that is called.

py-libp2p 0.8.1 relays and calls; as the one that is called its listener raises on each circuit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab.errors import DialError
from libp2p_lab.foreign import ForeignError
from libp2p_lab.nat.dcutr_messages import Connect, Sync
from libp2p_lab.nat.relay_messages import Voucher
from tests.interop.meeting import echo, our_host
from tests.interop.peers import js_peer, py_peer

pytestmark = pytest.mark.timeout(120)
ECHO = "/echo/1.0.0"
HERE = "/ip4/127.0.0.1/tcp/0"
SMALL = 10_000  # bytes that pass a relay with its usual limits


def services(*more: Any) -> list[Any]:
    return [lab.Identify(), lab.Ping(), lab.Echo(), *more]


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


def through(relay_addr: Any, peer: Any) -> str:
    return f"{relay_addr}/p2p-circuit/p2p/{peer}"


@asynccontextmanager
async def our_relay(**limits: Any) -> AsyncIterator[lab.Host]:
    async with our_host(services=services(lab.Relay()), limits=lab.Limits(**limits)) as host:
        yield host


# -- their relay, our ends --------------------------------------------------------------------------------------


async def test_js_relays_between_two_of_us():
    async with (
        await js_peer(relay={}) as relay,
        our_host(services=services(lab.RelayClient()), listen=[]) as alice,
        our_host(services=services(lab.RelayClient()), listen=[]) as bob,
    ):
        place = await alice.relay_client.reserve(relay.addrs[0])
        assert await relay.call("reservations") == [str(alice.peer_id)]
        if place.voucher:
            assert Voucher.open(place.voucher).peer == alice.peer_id
        [addr] = alice.addrs
        connection = await bob.connect(addr)
        assert (connection.limited, connection.relayed) == (True, True)
        stream = await bob.open_stream(alice.peer_id, ECHO, allow_limited=True)
        assert await echo(stream, SMALL)
        nobody = lab.PeerId.from_public_key(lab.KeyPair.generate().public)
        with pytest.raises(DialError, match="NO_RESERVATION"):
            await alice.connect(through(relay.addrs[0], nobody))


async def test_js_relays_and_js_is_called_and_calls():
    async with (
        await js_peer(relay={}) as relay,
        await js_peer(circuit=True, listen=[]) as js,
        our_host(services=services(lab.RelayClient()), listen=[]) as host,
    ):
        await js.call("reserve", addr=str(relay.addrs[0]))
        connection = await host.connect(through(relay.addrs[0], js.peer_id))
        assert connection.limited
        stream = await host.open_stream(js.peer_id, ECHO, allow_limited=True)
        assert await echo(stream, SMALL)
        await host.disconnect(js.peer_id)
        await until(lambda: not host.is_connected(js.peer_id))

        await host.relay_client.reserve(relay.addrs[0])
        told = await js.dial(host.addrs[0])
        assert told["limited"]
        answer = await js.call("echo", size=SMALL, limited=True, peer_id=str(host.peer_id))
        assert answer["sha256"] == answer["sent_sha256"]


# -- our relay, their ends --------------------------------------------------------------------------------------


async def test_we_relay_between_two_of_js():
    async with (
        our_relay() as relay,
        await js_peer(circuit=True, listen=[]) as one,
        await js_peer(circuit=True, listen=[]) as other,
    ):
        told = await one.call("reserve", addr=str(relay.addrs[0]))
        assert through(relay.addrs[0], one.peer_id) in told["addrs"]
        assert [*relay.relay.places] == [one.peer_id]
        seen = await other.dial(through(relay.addrs[0], one.peer_id))
        assert seen["limited"]
        answer = await other.call("echo", size=SMALL, limited=True, peer_id=str(one.peer_id))
        assert (answer["count"], answer["sha256"]) == (SMALL, answer["sent_sha256"])
        with pytest.raises(ForeignError):
            await other.call("echo", size=300_000, limited=True, peer_id=str(one.peer_id))
        await until(lambda: not relay.relay.circuits)


async def test_we_relay_and_they_may_carry_as_much_as_they_like():
    async with (
        our_relay(relay_data=0, relay_duration=0) as relay,
        await js_peer(circuit=True, listen=[]) as one,
        await js_peer(circuit=True, listen=[]) as other,
    ):
        await one.call("reserve", addr=str(relay.addrs[0]))
        seen = await other.dial(through(relay.addrs[0], one.peer_id))
        assert not seen["limited"]
        answer = await other.call("echo", size=1_000_000, peer_id=str(one.peer_id))
        assert (answer["count"], answer["sha256"]) == (1_000_000, answer["sent_sha256"])


async def test_we_relay_between_js_and_us():
    async with (
        our_relay() as relay,
        await js_peer(circuit=True, listen=[]) as js,
        our_host(services=services(lab.RelayClient()), listen=[]) as host,
    ):
        await host.relay_client.reserve(relay.addrs[0])
        await js.dial(host.addrs[0])
        answer = await js.call("echo", size=SMALL, limited=True, peer_id=str(host.peer_id))
        assert answer["sha256"] == answer["sent_sha256"]
        await js.call("reserve", addr=str(relay.addrs[0]))
        async with our_host(services=services(lab.RelayClient()), listen=[]) as third:
            await third.connect(through(relay.addrs[0], js.peer_id))
            assert await third.ping(js.peer_id) > 0


# -- hole punching ----------------------------------------------------------------------------------------------
# js dials public addresses only, and takes every name for one: so this machine is called by its name.


def by_name(addr: Any) -> str:
    return f"/dns4/localhost/tcp/{lab.Multiaddr(str(addr)).value_of('tcp')}"


class Puncher(lab.DCUtR):
    """Does not even try without an exchange."""

    async def _reverse(self, relayed: Any) -> bool:
        return False


def puncher() -> lab.Host:
    punches = Puncher(allow_private=True)
    return our_host(services=services(lab.RelayClient(), punches), listen=[HERE])


def exchange(entries: list[lab.Entry]) -> list[tuple[str, str]]:
    return [
        (e.direction, type(e.what).__name__) for e in entries if isinstance(e.what, Connect | Sync)
    ]


async def test_js_calls_us_and_we_begin():
    """We are B, and server on what comes of it."""
    async with our_relay() as relay, puncher() as host:
        entries: list[lab.Entry] = []
        host.trace.listen(entries.append)
        host.dcutr.predicted.append(lab.Multiaddr(by_name(host.addrs[0])))
        await host.relay_client.reserve(relay.addrs[0])
        [addr] = [a for a in host.addrs if "p2p-circuit" in a.names]
        async with await js_peer(circuit=True, punches=True, listen=[HERE]) as js:
            await js.dial(addr)
            await until(lambda: js.peer_id in host.dcutr.results)
            ended = host.dcutr.results[js.peer_id]
            assert (ended.outcome, ended.attempts) == ("punched", 1), ended
            direct = host.dcutr.direct_to(js.peer_id)
            assert direct.direction == "inbound", "A is the client"
            stream = await host.open_stream(js.peer_id, ECHO)
            assert await echo(stream, 300_000), "more than the relay carries"
            await until(lambda: len(host.connections_to(js.peer_id)) == 1)
        assert exchange(entries) == [
            ("sent", "Connect"),
            ("received", "Connect"),
            ("sent", "Sync"),
        ]


async def test_we_call_js_and_js_begins():
    """We are A: js sends CONNECT and SYNC, we dial as the client."""
    async with our_relay() as relay, puncher() as host:
        entries: list[lab.Entry] = []
        host.trace.listen(entries.append)
        host.dcutr.predicted.append(lab.Multiaddr(by_name(host.addrs[0])))
        async with await js_peer(circuit=True, punches=True, listen=[HERE]) as js:
            await js.call("reserve", addr=str(relay.addrs[0]))
            await host.connect(through(relay.addrs[0], js.peer_id))
            direct = await host.dcutr.direct(js.peer_id)
            assert direct.direction == "outbound"
            stream = await host.open_stream(js.peer_id, ECHO)
            assert await echo(stream, 300_000)
            await until(lambda: len(host.connections_to(js.peer_id)) == 1)
        # js counts a try as failed unless its own dial works, and begins another: ours has worked by then.
        assert exchange(entries)[:3] == [
            ("received", "Connect"),
            ("sent", "Connect"),
            ("received", "Sync"),
        ]


async def test_py_relays_between_two_of_us():
    async with (
        await py_peer(relay={}) as relay,
        our_host(services=services(lab.RelayClient()), listen=[]) as alice,
        our_host(services=services(lab.RelayClient()), listen=[]) as bob,
    ):
        place = await alice.relay_client.reserve(relay.addrs[0])
        assert Voucher.open(place.voucher).relay == relay.peer_id
        [addr] = alice.addrs
        connection = await bob.connect(addr)
        assert connection.relayed
        stream = await bob.open_stream(alice.peer_id, ECHO, allow_limited=True)
        assert await echo(stream, SMALL)


async def test_we_relay_and_py_calls():
    async with (
        our_relay() as relay,
        await py_peer(circuit=True) as py,
        our_host(services=services(lab.RelayClient()), listen=[]) as host,
    ):
        await host.relay_client.reserve(relay.addrs[0])
        await py.call("dial_relayed", addr=str(host.addrs[0]))
        await until(lambda: host.is_connected(py.peer_id))
        [held] = host.connections_to(py.peer_id)
        assert (held.relayed, held.direction) == (True, "inbound")
        answer = await py.call("echo", size=SMALL, peer_id=str(host.peer_id))
        assert answer["sha256"] == answer["sent_sha256"]
