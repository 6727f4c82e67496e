"""Relay and client, on hosts in memory, on loopback and in the virtual internet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab.errors import DialError, LabError, LocalError
from libp2p_lab.multiplexing import YamuxSession
from libp2p_lab.multiplexing.yamux_frames import HEADER_LENGTH, DataFrame, decode_header
from libp2p_lab.nat.circuit import RelayRefused
from libp2p_lab.nat.events import CircuitClosed, CircuitOpened, ReservationLost, ReservationMade
from libp2p_lab.nat.relay_book import Refused, RelayBook
from libp2p_lab.nat.relay_messages import V1_PROTOCOL, Status, Voucher
from libp2p_lab.security.noise import NoiseChannel
from libp2p_lab.security.noise_xx import CipherState
from libp2p_lab.sim import Internet

pytestmark = pytest.mark.timeout(120)
ECHO = "/echo/1.0.0"


def parts(*more: Any) -> list[Any]:
    return [lab.Identify(), lab.Ping(), lab.Echo(), *more]


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


@dataclass
class Meeting:
    """A relay; alice, who has a place there; bob, who calls."""

    relay: lab.Host
    alice: lab.Host
    bob: lab.Host


@asynccontextmanager
async def meeting(
    limits: lab.Limits | None = None, relay: lab.Relay | None = None
) -> AsyncIterator[Meeting]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        at = ["/ip4/127.0.0.1/tcp/0"]
        services = parts(relay or lab.Relay())
        made = await enter(lab.Host(listen=at, services=services, limits=limits))
        alice = await enter(lab.Host(services=parts(lab.RelayClient())))
        bob = await enter(lab.Host(services=parts(lab.RelayClient())))
        yield Meeting(made, alice, bob)


async def test_a_place_an_address_and_a_call():
    async with meeting() as m:
        place = await m.alice.relay_client.reserve(m.relay.addrs[0])
        assert m.alice.relay_client.reservations == {m.relay.peer_id: place}
        voucher = Voucher.open(place.voucher)
        assert (voucher.relay, voucher.peer) == (m.relay.peer_id, m.alice.peer_id)
        [addr] = m.alice.addrs
        assert str(addr) == f"{m.relay.addrs[0]}/p2p-circuit/p2p/{m.alice.peer_id}"

        connection = await m.bob.connect(addr)
        assert connection.remote_peer == m.alice.peer_id
        assert (connection.limited, connection.relayed) == (True, True)
        assert connection.transport == "p2p-circuit"
        assert await m.bob.ping(m.alice.peer_id) > 0
        assert await m.alice.ping(m.bob.peer_id) > 0
        [seen] = [c for c in m.alice.connections if c.remote_peer == m.bob.peer_id]
        assert (seen.limited, seen.direction) == (True, "inbound")
        told = await m.bob.identify_result(m.alice.peer_id)
        assert addr.without_peer() in told.listen_addrs
        with pytest.raises(LocalError, match="allow_limited"):
            await m.bob.open_stream(m.alice.peer_id, ECHO)
        stream = await m.bob.open_stream(m.alice.peer_id, ECHO, allow_limited=True)
        await stream.write(b"hello")
        await stream.close_write()
        assert await stream.read() == b"hello"

        [circuit] = m.relay.relay.circuits.values()
        assert (circuit.source, circuit.target) == (m.bob.peer_id, m.alice.peer_id)
        await m.bob.disconnect(m.alice.peer_id)
        await until(lambda: not m.relay.relay.circuits)
        await until(lambda: not m.alice.is_connected(m.bob.peer_id))


async def test_the_relay_sees_ciphertext_only():
    secret = b"the relay must not read this sentence"
    async with meeting() as m:
        await m.alice.relay_client.reserve(m.relay.addrs[0])
        with lab.record(m.relay) as log:
            await m.bob.connect(m.alice.addrs[0])
            stream = await m.bob.open_stream(m.alice.peer_id, ECHO, allow_limited=True)
            await stream.write(secret)
            await stream.close_write()
            assert await stream.read() == secret
        carried = b"".join(entry.payload() for entry in log)
        assert len(carried) > 500
        assert secret not in carried


async def test_listen_at_a_relay_from_the_start_and_unlimited():
    async with meeting(lab.Limits(relay_data=0, relay_duration=0)) as m:
        at = [m.relay.addrs[0] / "/p2p-circuit"]
        async with lab.Host(listen=at, services=parts(lab.RelayClient())) as carol:
            connection = await m.bob.connect(carol.addrs[0])
            assert (connection.limited, connection.relayed) == (False, True)
            stream = await m.bob.open_stream(carol.peer_id, ECHO)
            data = bytes(1 << 20)
            reading = asyncio.create_task(stream.read())
            await stream.write(data)
            await stream.close_write()
            assert await reading == data


async def test_calls_without_a_place_are_refused_with_the_status():
    async with meeting() as m:
        target = m.relay.addrs[0] / f"/p2p-circuit/p2p/{m.alice.peer_id}"
        await m.alice.connect(m.relay.addrs[0])
        with pytest.raises(DialError, match="NO_RESERVATION"):
            await m.bob.connect(target)
        with pytest.raises(DialError, match="which peer"):
            await m.bob.connect(m.relay.addrs[0] / "/p2p-circuit")
        nobody = lab.PeerId.from_public_key(lab.KeyPair.generate().public)
        with pytest.raises(DialError):
            await m.bob.connect(f"/ip4/127.0.0.1/tcp/1/p2p/{nobody}/p2p-circuit/p2p/{nobody}")


async def test_who_is_no_relay_and_who_relays_by_version_1():
    async with meeting() as m:
        async with lab.Host(listen=["/ip4/127.0.0.1/tcp/0"], services=parts()) as plain:
            with pytest.raises(LabError, match="speaks none of"):
                await m.alice.relay_client.reserve(plain.addrs[0])
            plain.set_handler(V1_PROTOCOL, lab_echo)
            await m.bob.connect(plain.addrs[0])
            await m.bob.identify_result(plain.peer_id)
            await until(lambda: V1_PROTOCOL in m.bob.peerstore.protocols(plain.peer_id))
            with pytest.raises(RelayRefused, match="version 1 only"):
                await m.bob.relay_client.reserve(plain.peer_id)
        assert not m.alice.relay_client.listeners
        assert not m.alice.addrs


async def lab_echo(stream: Any) -> None:
    await stream.read()


async def test_reservations_that_are_refused_leave_nothing():
    async with meeting(lab.Limits(relay_reservations=1)) as m:
        await m.alice.relay_client.reserve(m.relay.addrs[0])
        with pytest.raises(RelayRefused, match="RESERVATION_REFUSED") as refused:
            await m.bob.relay_client.reserve(m.relay.addrs[0])
        assert refused.value.status is Status.RESERVATION_REFUSED
        assert not m.bob.addrs
        await m.alice.relay_client.release(m.relay.peer_id)
        assert not m.alice.addrs
        await m.alice.disconnect(m.relay.peer_id)
        await until(lambda: not m.relay.relay.places)
        await m.bob.relay_client.reserve(m.relay.addrs[0])


async def test_both_ends_see_where_the_bytes_went():
    async with meeting() as m:
        with lab.record(m.relay) as log:
            await m.alice.relay_client.reserve(m.relay.addrs[0])
            await m.bob.connect(m.alice.addrs[0])
            await m.bob.ping(m.alice.peer_id)
            await m.bob.disconnect(m.alice.peer_id)
            await until(lambda: not m.relay.relay.circuits)
        told = [entry.what for entry in log if entry.layer == "relay"]
        assert [e.renewed for e in told if isinstance(e, ReservationMade)] == [False]
        assert [type(e) for e in told if isinstance(e, CircuitOpened | CircuitClosed)] == [
            CircuitOpened,
            CircuitClosed,
        ]
        [closed] = [e for e in told if isinstance(e, CircuitClosed)]
        assert closed.there > 300
        assert closed.back > 300


async def test_the_cores_are_parts_and_others_fit():
    class Stingy(RelayBook):
        def reserve(self, *_: Any) -> Refused:
            return Refused(Status.RESERVATION_REFUSED, "nothing for nobody")

    async with meeting(relay=lab.Relay(book=Stingy)) as m:
        with pytest.raises(RelayRefused, match="RESERVATION_REFUSED"):
            await m.alice.relay_client.reserve(m.relay.addrs[0])


async def test_connections_with_a_place_are_not_trimmed():
    managers = [lab.ConnectionManager(low=1, high=2, grace=0) for _ in range(2)]
    at = ["/ip4/127.0.0.1/tcp/0"]
    async with (
        lab.Host(listen=at, services=parts(lab.Relay(), managers[0])) as relay,
        lab.Host(listen=at, services=parts(lab.RelayClient(), managers[1])) as alice,
    ):
        await alice.relay_client.reserve(relay.addrs[0])
        assert managers[0].is_protected(alice.peer_id)
        assert managers[1].is_protected(relay.peer_id)
        await alice.relay_client.release(relay.peer_id)
        assert not managers[1].is_protected(relay.peer_id)
        await alice.disconnect(relay.peer_id)
        await until(lambda: not managers[0].is_protected(alice.peer_id))


# -- time, in the virtual internet ------------------------------------------------------------------------------


def three(net: Internet, **limits: Any) -> tuple[Any, Any, Any]:
    relay = net.host(
        "relay",
        services=lambda: parts(lab.Relay()),
        limits=lab.Limits(**limits),
    )
    clients = {"services": lambda: parts(lab.RelayClient())}
    alice = net.host("alice", nat=net.nat("home a"), listen=[], **clients)
    bob = net.host("bob", nat=net.nat("home b"), listen=[], **clients)
    return relay, alice, bob


def test_a_place_is_renewed_in_time():
    with Internet(seed=3) as net:
        relay, alice, bob = three(net, relay_reservation_ttl=300.0)

        async def scenario() -> list[int]:
            await alice.run(alice.relay_client.reserve(relay.addrs[0]))
            seen = []
            for _ in range(10):
                seen.append(alice.relay_client.reservations[relay.peer_id].expire)
                await asyncio.sleep(100)
            await bob.connect(alice.addrs[0])
            return seen

        expiries = net.run(scenario())
        assert expiries == sorted(expiries)
        assert len(set(expiries)) > 3


def test_a_lost_place_is_taken_from_the_addresses_and_got_again():
    with Internet(seed=4) as net:
        relay, alice, bob = three(net)

        async def scenario() -> None:
            await alice.run(alice.relay_client.reserve(relay.addrs[0]))
            assert alice.addrs
            relay.crash()
            await asyncio.sleep(300)
            assert not alice.addrs
            relay.restart()
            await asyncio.sleep(600)
            assert relay.relay.places
            assert alice.addrs
            await bob.connect(alice.addrs[0])

        with lab.record(alice) as log:
            net.run(scenario())
        assert any(isinstance(entry.what, ReservationLost) for entry in log)


def test_time_cuts_a_circuit():
    with Internet(seed=5) as net:
        relay, alice, bob = three(net)

        async def scenario() -> None:
            await alice.run(alice.relay_client.reserve(relay.addrs[0]))
            await bob.connect(alice.addrs[0])
            await asyncio.sleep(119)
            assert bob.is_connected(alice.peer_id)
            await asyncio.sleep(2)
            assert not bob.is_connected(alice.peer_id)
            assert not alice.is_connected(bob.peer_id)
            assert not relay.relay.circuits

        net.run(scenario())


def test_a_frame_of_a_circuit_fills_one_frame_of_the_connection_below():
    """One a little longer would travel as a full frame and a tiny one, and a tiny one costs the relay as much."""
    limits = lab.Limits()
    inner = YamuxSession(
        is_dialer=True,
        limits=replace(limits, yamux_max_frame=limits.yamux_max_frame_relayed),
    )
    outer = YamuxSession(is_dialer=True, limits=limits)
    key = CipherState(bytes(32)), CipherState(bytes(32))
    inner.send(inner.open_stream(), bytes(3 * limits.yamux_max_frame))
    circuit = outer.open_stream()
    outer.send(circuit, NoiseChannel(*key).seal(inner.data_to_send()))
    sent, lengths = b"".join(iter(outer.data_to_send, b"")), []
    while sent:
        length = decode_header(sent)[3]
        lengths.append(length)
        sent = sent[HEADER_LENGTH + length :]
    assert lengths == [limits.yamux_max_frame] * 2


async def test_a_circuit_has_frames_of_its_own_length():
    async with meeting(lab.Limits(relay_data=0, relay_duration=0)) as m:
        await m.alice.relay_client.reserve(m.relay.addrs[0])
        await m.bob.connect(m.alice.addrs[0])
        stream = await m.bob.open_stream(m.alice.peer_id, ECHO)
        with lab.record(m.bob) as log:
            reading = asyncio.create_task(stream.read())
            await stream.write(bytes(200_000))
            await stream.close_write()
            assert len(await reading) == 200_000
        [relayed] = [c for c in m.bob.connections if c.relayed]
        longest = max(
            len(entry.what.data)
            for entry in log
            if (entry.direction, entry.link) == ("sent", str(relayed.info.id))
            and isinstance(entry.what, DataFrame)
        )
        assert longest == lab.Limits().yamux_max_frame_relayed
