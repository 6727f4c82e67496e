"""S47 to S49: what may be tried with a relay, with who uses one, and with hole punching, and what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab.errors import (
    DialError,
    LabError,
    ProtocolViolation,
    RecordInvalid,
    StreamReset,
)
from libp2p_lab.host.events import HandlerFailed
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.limits import DEFAULT_LIMITS
from libp2p_lab.nat.circuit import RelayRefused
from libp2p_lab.nat.dcutr_messages import DCUTR_PROTOCOL, Connect, Sync
from libp2p_lab.nat.events import CircuitClosed, PunchDialStarted, RelayRefusal
from libp2p_lab.nat.relay_messages import (
    HOP_PROTOCOL,
    STOP_PROTOCOL,
    HopConnect,
    HopReserve,
    HopStatus,
    Reservation,
    Status,
    StopConnect,
    StopStatus,
    Voucher,
    decode_hop,
    decode_stop,
)
from libp2p_lab.sim import Internet
from libp2p_lab.wire import varint
from tests.hostile.scene import MIB, bounded_memory
from tests.nat.test_relay import parts, until

pytestmark = pytest.mark.timeout(150)
HERE = "/ip4/127.0.0.1/tcp/0"
ECHO = "/echo/1.0.0"


@asynccontextmanager
async def hosts(*services: list[Any], limits: lab.Limits | None = None) -> AsyncIterator[Any]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(lab.Host(listen=[HERE], services=one, limits=limits))
            for one in services
        ]


async def hop(host: Any, relay: Any, message: Any) -> tuple[HopStatus, Any]:
    """Say `message` to a relay: what it answers, and the stream."""
    connection = await host.connect(relay.addrs[0])
    stream = await host.open_stream_on(connection, (HOP_PROTOCOL,))
    await stream.write_message(message if isinstance(message, bytes) else message.encode())
    answer = decode_hop(await stream.read_message(4096))
    assert isinstance(answer, HopStatus)
    return answer, stream


def refusals(log: Any) -> list[str]:
    return [entry.what.error for entry in log if isinstance(entry.what, HandlerFailed)]


# -- S47: the relay ---------------------------------------------------------------------------------------------


def test_s47_the_limits_are_those_of_everybody():
    limits = DEFAULT_LIMITS
    assert limits.relay_reservations == 128
    assert limits.relay_reservations_per_ip == 8
    assert limits.relay_circuits_per_peer == 16
    assert (limits.relay_data, limits.relay_duration) == (128 * 1024, 120)


async def test_s47_what_a_relay_refuses_and_by_which_status():
    async with hosts(parts(lab.Relay()), parts(), parts()) as (relay, attacker, victim):
        await victim.connect(relay.addrs[0])
        for message, status in (
            (HopConnect(victim.peer_id), Status.NO_RESERVATION),
            (HopConnect(relay.peer_id), Status.PERMISSION_DENIED),
            (HopConnect(attacker.peer_id), Status.PERMISSION_DENIED),
            (HopStatus(Status.OK), Status.UNEXPECTED_MESSAGE),
            (b"\xff\xff", Status.MALFORMED_MESSAGE),
            (b"", Status.MALFORMED_MESSAGE),
        ):
            answer, _ = await hop(attacker, relay, message)
            assert answer == HopStatus(status), message
        assert not relay.relay.places
        assert not relay.relay.circuits


async def test_s47_an_endless_message_is_not_waited_for():
    async with hosts(parts(lab.Relay()), parts()) as (relay, attacker):
        connection = await attacker.connect(relay.addrs[0])
        with bounded_memory(4 * MIB):
            for _ in range(20):
                stream = await attacker.open_stream_on(connection, (HOP_PROTOCOL,))
                await stream.write(varint.encode(1 << 40) + bytes(5000))
                answer = decode_hop(await stream.read_message(4096))
                assert answer == HopStatus(Status.MALFORMED_MESSAGE)
                await stream.reset()


async def test_s47_nothing_over_a_relayed_connection():
    """The second relay is itself reached through the first one."""
    both = parts(lab.Relay(), lab.RelayClient())
    client = parts(lab.RelayClient())
    async with hosts(parts(lab.Relay()), both, client) as (first, second, attacker):
        await second.relay_client.reserve(first.addrs[0])
        relayed = await attacker.connect(first.addrs[0] / f"/p2p-circuit/p2p/{second.peer_id}")
        assert relayed.relayed
        for message in (HopReserve(), HopConnect(first.peer_id)):
            stream = await attacker.open_stream_on(relayed, (HOP_PROTOCOL,))
            await stream.write_message(message.encode())
            answer = decode_hop(await stream.read_message(4096))
            assert answer == HopStatus(Status.PERMISSION_DENIED)
        assert not second.relay.places
        with pytest.raises(DialError, match="through a relay only"):
            await attacker.relay_client.reserve(second.peer_id)


async def test_s47_a_flood_of_reservations_takes_eight_places():
    floods = [parts() for _ in range(11)]
    async with hosts(parts(lab.Relay()), *floods) as (relay, *attackers):
        answers = [(await hop(one, relay, HopReserve()))[0].status for one in attackers]
        assert answers == [Status.OK] * 8 + [Status.RESERVATION_REFUSED] * 3
        for _ in range(50):  # one peer has one, however often it asks
            await hop(attackers[0], relay, HopReserve())
        assert len(relay.relay.places) == 8
        await attackers[0].disconnect(relay.peer_id)
        await until(lambda: len(relay.relay.places) == 7)


async def test_s47_a_storm_of_calls_at_one_target_is_sixteen_circuits():
    async with hosts(parts(lab.Relay()), parts(lab.RelayClient()), parts(), parts()) as made:
        relay, victim, one, other = made
        await victim.relay_client.reserve(relay.addrs[0])
        call = HopConnect(victim.peer_id)
        answers = [await hop(one, relay, call) for _ in range(10)]
        answers += [await hop(other, relay, call) for _ in range(10)]
        assert [a.status for a, _ in answers].count(Status.OK) == 16
        assert answers[-1][0].status is Status.RESOURCE_LIMIT_EXCEEDED
        assert len(relay.relay.circuits) == 16
        for _, stream in answers:
            await stream.reset()
        await until(lambda: not relay.relay.circuits)
        assert (await hop(one, relay, call))[0].status is Status.OK


@pytest.mark.parametrize("way", ["there", "back"])
async def test_s47_bytes_are_cut_at_the_limit_each_way(way):
    """By hand, for the relay counts what it carries, and knows nothing of what that is."""
    received = asyncio.Queue()

    async def stop(stream: Any) -> None:
        decode_stop(await stream.read_message(4096))
        await stream.write_message(StopStatus(Status.OK).encode())
        received.put_nowait(stream)
        await asyncio.Event().wait()

    async with hosts(parts(lab.Relay()), parts(), parts()) as (relay, target, source):
        with lab.record(relay) as log:
            target.set_handler(STOP_PROTOCOL, stop)
            await hop(target, relay, HopReserve())
            answer, near = await hop(source, relay, HopConnect(target.peer_id))
            assert (answer.status, answer.limit.data) == (Status.OK, 128 * 1024)
            far = await received.get()
            writer, reader = (near, far) if way == "there" else (far, near)
            got = 0

            async def push() -> None:
                for _ in range(10):
                    await writer.write(bytes(50_000))

            pushing = asyncio.create_task(push())
            with pytest.raises(StreamReset):
                while True:
                    got += len(await reader.read(65536))
            with pytest.raises(LabError):
                await pushing
                await writer.read()
            assert got <= 128 * 1024
            await until(lambda: not relay.relay.circuits)
        [closed] = [entry.what for entry in log if isinstance(entry.what, CircuitClosed)]
        assert getattr(closed, way) == 128 * 1024, "to the byte"
        assert "relay_data" in closed.how


def test_s47_silence_costs_a_relay_a_minute_and_a_silent_target_half_a_one():
    async def mute(stream: Any) -> None:
        await asyncio.Event().wait()

    with Internet(seed=1) as net:
        relay = net.host("relay", services=lambda: parts(lab.Relay()))
        target, source = net.host("target"), net.host("source")

        async def scenario() -> None:
            await target.start()
            target.set_handler(STOP_PROTOCOL, mute)
            connection = await source.connect(relay.addrs[0])
            stream = await source.run(source.open_stream_on(connection, (HOP_PROTOCOL,)))
            await asyncio.sleep(59)
            assert len(relay.connections_to(source.peer_id)[0].streams) == 1
            await asyncio.sleep(2)
            assert not relay.connections_to(source.peer_id)[0].streams
            with pytest.raises(LabError):
                await stream.read()
            await target.run(hop(target, relay, HopReserve()))
            began = net.now
            answer, _ = await source.run(hop(source, relay, HopConnect(target.peer_id)))
            assert answer.status is Status.CONNECTION_FAILED
            assert net.now - began == pytest.approx(30, abs=1)
            assert not relay.relay.circuits

        net.run(scenario())


@pytest.mark.parametrize(
    "said", [b"\xff\xff", StopStatus(Status.OK).encode()[:1], StopStatus(Status.UNUSED).encode()]
)
async def test_s47_a_target_that_talks_nonsense_fails_the_call(said):
    async def stop(stream: Any) -> None:
        await stream.read_message(4096)
        await stream.write_message(said)

    async with hosts(parts(lab.Relay()), parts(), parts()) as (relay, target, source):
        target.set_handler(STOP_PROTOCOL, stop)
        await hop(target, relay, HopReserve())
        answer, _ = await hop(source, relay, HopConnect(target.peer_id))
        assert answer == HopStatus(Status.CONNECTION_FAILED)
        assert not relay.relay.circuits


# -- S48: who uses a relay --------------------------------------------------------------------------------------


async def reserve_at(answer: Callable[[Any, Any], HopStatus]) -> Any:
    """Reserve at a relay that answers so: (itself, the client) → its answer."""
    async with hosts(parts(), parts(lab.RelayClient())) as (liar, client):

        async def serve(stream: Any) -> None:
            await stream.read_message(4096)
            await stream.write_message(answer(liar, client).encode())

        liar.set_handler(HOP_PROTOCOL, serve)
        try:
            return await client.relay_client.reserve(liar.addrs[0])
        finally:
            assert not [a for a in client.addrs if "p2p-circuit" in a.names]
            assert not client.relay_client.listeners


LATER = 4_000_000_000


async def test_s48_a_forged_voucher_is_refused():
    forger = lab.KeyPair.generate()

    def forged(liar: Any, client: Any) -> HopStatus:
        voucher = Voucher(liar.peer_id, client.peer_id, LATER).seal(forger)
        return HopStatus(Status.OK, Reservation(LATER, (), voucher))

    with pytest.raises(RecordInvalid, match="signed a voucher"):
        await reserve_at(forged)


async def test_s48_a_voucher_for_somebody_else_is_refused():
    def stolen(liar: Any, client: Any) -> HopStatus:
        voucher = Voucher(liar.peer_id, liar.peer_id, LATER).seal(liar.key)
        return HopStatus(Status.OK, Reservation(LATER, (), voucher))

    with pytest.raises(RecordInvalid, match="others"):
        await reserve_at(stolen)


async def test_s48_reservations_that_are_none():
    for place, error in (
        (None, ProtocolViolation),
        (Reservation(1_000_000_000), ProtocolViolation),  # over since 2001
        (Reservation(LATER, (), b"rubbish"), LabError),
    ):
        with pytest.raises(error):
            await reserve_at(lambda liar, client, p=place: HopStatus(Status.OK, p))
    with pytest.raises(RelayRefused, match="PERMISSION_DENIED"):
        await reserve_at(lambda liar, client: HopStatus(Status.PERMISSION_DENIED))


async def test_s48_only_our_relays_may_say_that_somebody_calls():
    async with hosts(parts(lab.RelayClient()), parts()) as (victim, attacker):
        connection = await attacker.connect(victim.addrs[0])
        with lab.record(victim) as log:
            for message, status in (
                (StopConnect(attacker.peer_id).encode(), Status.PERMISSION_DENIED),
                (StopStatus(Status.OK).encode(), Status.UNEXPECTED_MESSAGE),
                (b"\xff", Status.MALFORMED_MESSAGE),
            ):
                stream = await attacker.open_stream_on(connection, (STOP_PROTOCOL,))
                await stream.write_message(message)
                assert decode_stop(await stream.read_message(4096)) == StopStatus(status)
            told = [entry.what for entry in log if isinstance(entry.what, RelayRefusal)]
        assert [one.reason for one in told][:2] == [
            "it is no relay of ours",
            "a STATUS that answers nothing",
        ]


async def test_s48_a_relay_cannot_say_who_calls():
    """It names somebody; the handshake inside proves who it is."""
    async with hosts(parts(lab.Relay()), parts(lab.RelayClient()), parts(lab.RelayClient())) as m:
        relay, alice, bob = m
        await alice.relay_client.reserve(relay.addrs[0])
        someone = lab.PeerId.from_public_key(lab.KeyPair.generate().public)
        call = relay.relay._call

        async def lie(circuit: Any) -> Any:
            circuit.source = someone
            try:
                return await call(circuit)
            finally:
                circuit.source = bob.peer_id

        relay.relay._call = lie
        [addr] = [a for a in alice.addrs if "p2p-circuit" in a.names]
        await bob.connect(addr)
        await until(lambda: alice.is_connected(bob.peer_id))
        assert not alice.is_connected(someone)


# -- S49: hole punching -----------------------------------------------------------------------------------------


@asynccontextmanager
async def called(victim_punches: Any) -> AsyncIterator[tuple[Any, Any, Any]]:
    """The victim has called the attacker through a relay, so it is A. The relayed connection, at the attacker's end."""
    victim_services = parts(lab.RelayClient(), victim_punches)
    async with hosts(parts(lab.Relay()), victim_services, parts(lab.RelayClient())) as made:
        relay, victim, attacker = made
        await attacker.relay_client.reserve(relay.addrs[0])
        [addr] = [a for a in attacker.addrs if "p2p-circuit" in a.names]
        await victim.connect(addr)
        await until(lambda: attacker.is_connected(victim.peer_id))
        [relayed] = attacker.connections_to(victim.peer_id)
        yield victim, attacker, relayed


async def ask(attacker: Any, relayed: Any, *messages: Any) -> Any:
    stream = await attacker.open_stream_on(relayed, (DCUTR_PROTOCOL,))
    for message in messages:
        await stream.write_message(message if isinstance(message, bytes) else message.encode())
    return stream


def dials(log: Any) -> list[str]:
    return [entry.what.addr for entry in log if isinstance(entry.what, PunchDialStarted)]


async def test_s49_three_times_and_no_more():
    nobody = Multiaddr("/ip4/127.0.0.1/tcp/1")
    async with called(lab.DCUtR(allow_private=True)) as (victim, attacker, relayed):
        with lab.record(victim) as log:
            for _ in range(6):
                stream = await ask(attacker, relayed, Connect((nobody,)), Sync())
                try:
                    await stream.read()
                except LabError:
                    continue
            await until(lambda: any("dcutr_attempts" in text for text in refusals(log)))
            assert len(dials(log)) == 3
        assert victim.is_connected(attacker.peer_id), "it costs the stream, not the connection"


async def test_s49_private_addresses_are_not_dialed_unless_asked_for():
    private = tuple(
        map(
            Multiaddr,
            ("/ip4/192.168.1.1/tcp/80", "/ip4/127.0.0.1/tcp/22", "/ip4/169.254.169.254/tcp/80"),
        )
    )
    punches = lab.DCUtR(predicted=["/ip4/1.2.3.4/tcp/4001"])
    async with called(punches) as (victim, attacker, relayed):
        with lab.record(victim) as log:
            stream = await ask(attacker, relayed, Connect(private), Sync())
            with pytest.raises(LabError):
                await stream.read_message(4096)
            await until(lambda: refusals(log))
            assert "no address that could be dialed" in refusals(log)[0]
            assert not dials(log)


async def test_s49_ten_thousand_addresses_are_sixteen():
    many = tuple(Multiaddr(f"/ip4/127.0.0.1/tcp/{port}") for port in range(1, 300))
    async with called(lab.DCUtR(allow_private=True)) as (victim, attacker, relayed):
        with lab.record(victim) as log:
            stream = await ask(attacker, relayed, Connect(many), Sync())
            await stream.read()
            await until(lambda: dials(log))
            await asyncio.sleep(0.05)
            assert len(dials(log)) <= DEFAULT_LIMITS.dcutr_addrs
            stream = await ask(attacker, relayed, varint.encode(100_000) + bytes(10))
            with pytest.raises(LabError):
                await stream.read()
                await stream.read_message(1)


async def test_s49_out_of_turn_and_out_of_place():
    async with called(lab.DCUtR(allow_private=True)) as (victim, attacker, relayed):
        with lab.record(victim) as log:
            await ask(attacker, relayed, Sync())
            await until(lambda: refusals(log))
            assert "SYNC in the state" in refusals(log)[-1]
            direct = await attacker.dial_direct(victim.peer_id, [victim.addrs[0].without_peer()])
            await ask(attacker, direct, Connect((Multiaddr("/ip4/1.2.3.4/tcp/1"),)))
            await until(lambda: len(refusals(log)) == 2)
            assert "called through a relay" in refusals(log)[-1]
            assert not dials(log)


def test_s49_a_peer_that_answers_late_is_given_up():
    """An absurd round trip: nobody waits half of it."""

    async def late(stream: Any) -> None:
        await asyncio.sleep(3600)

    with Internet(seed=2) as net:
        relay = net.host("relay", services=lambda: parts(lab.Relay()))
        victim = net.host(
            "victim", nat=net.nat("home"), services=lambda: parts(lab.RelayClient(), lab.DCUtR())
        )
        attacker = net.host(
            "attacker",
            nat=net.nat("cave"),
            services=lambda: parts(lab.RelayClient()),
            setup=lambda host: host.set_handler(DCUTR_PROTOCOL, late),
        )

        async def scenario() -> None:
            await victim.run(victim.relay_client.reserve(relay.addrs[0]))
            [addr] = [a for a in victim.addrs if "p2p-circuit" in a.names]
            await attacker.connect(addr)
            await asyncio.sleep(15)
            ended = victim.dcutr.results[attacker.peer_id]
            assert (ended.outcome, ended.attempts) == ("failed", 1)
            assert "TimeoutError" in ended.cause

        net.run(scenario())
