"""Where a student's book meets others: in a relay on a simulated internet, with honest peers and hostile ones."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.slots import swap
from libp2p_lab.errors import DialError, LabError
from libp2p_lab.host.echo import Echo
from libp2p_lab.host.events import HandlerFailed
from libp2p_lab.host.identify import Identify
from libp2p_lab.host.ping import Ping
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.nat.circuit import RelayClient
from libp2p_lab.nat.events import CircuitClosed
from libp2p_lab.nat.relay import Relay
from libp2p_lab.nat.relay_messages import (
    HOP_PROTOCOL,
    MAX_MESSAGE,
    HopConnect,
    HopMessage,
    HopReserve,
    HopStatus,
    decode_hop,
)
from libp2p_lab.recording import record
from libp2p_lab.sim import Internet, SimHost

DATA, TTL = 32 * 1024, 600.0
ECHO = "/echo/1.0.0"
SECRET = b"nobody between us reads this sentence"


def _client() -> list[Any]:
    return [Identify(), Ping(), Echo(), RelayClient()]


async def examine(exam: Exam, make: Any) -> None:
    """The whole evening of one relay."""
    exam.sent = "a live relay with your book, on a simulated internet"
    limits = Limits(relay_data=DATA, relay_reservation_ttl=TTL)
    with Internet(seed=exam.seed) as net, swap("relay", make) as stack:
        relay = net.host("relay", services=stack.services, limits=limits)
        other = net.host("another relay", services=lambda: [*_client(), Relay()])
        alice, bob, mallory, stranger = (
            net.host(name, services=_client) for name in ("alice", "bob", "mallory", "stranger")
        )
        with record(relay) as log:
            await net.arun(_evening(exam, relay, alice, bob, mallory))
            await net.arun(_stacks(exam, relay, other, stranger))
        failed = [entry.what.error for entry in log if isinstance(entry.what, HandlerFailed)]
        exam.require(
            not failed, "live", "the relay stumbled over your book", got="; ".join(failed[:1])
        )
        seen = b"".join(entry.payload() for entry in log)
        exam.require(SECRET not in seen, "live", "the relay has read what it carried")
        exam.note(
            f"{len(seen):,} bytes passed before the eyes of your relay, and it could not read the message in them."
        )
        closed = [entry.what for entry in log if isinstance(entry.what, CircuitClosed)]
        most = max((max(one.there, one.back) for one in closed), default=0)
        exam.require(
            most == DATA,
            "live",
            "a peer sent twice what it may, and not all of what it may was carried, or more",
            got=f"{most} bytes one way",
            expected=f"{DATA}",
        )
    exam.count("live peers", 5)


async def _evening(
    exam: Exam, relay: SimHost, alice: SimHost, bob: SimHost, mallory: SimHost
) -> None:
    direct = await mallory.connect(relay.addrs[0])
    await alice.connect(relay.addrs[0])
    await _says(
        exam,
        mallory,
        direct,
        HopConnect(alice.peer_id),
        "NO_RESERVATION",
        "mallory calls alice, who has no place",
    )
    try:
        await alice.run(alice.relay_client.reserve(relay.addrs[0]))
        [circuit] = [addr for addr in alice.addrs if "p2p-circuit" in addr.names]
        await bob.connect(circuit)
        stream = await bob.open_stream(alice.peer_id, ECHO, allow_limited=True)
        await stream.write(SECRET)
        await stream.close_write()
        back = await stream.read()
    except (LabError, TimeoutError) as problem:
        exam.reject(
            "live",
            "alice reserved a place, and bob called her there",
            got=f"{type(problem).__name__}: {problem}",
        )
    exam.require(back == SECRET, "live", "bob's message came back changed", got=str(back))
    with contextlib.suppress(LabError):
        stream = await bob.open_stream(alice.peer_id, ECHO, allow_limited=True)
        await stream.write(bytes(2 * DATA))
        await stream.read()
    await asyncio.sleep(1)
    exam.require(
        not relay.relay.circuits,
        "live",
        "bob sent twice what he may, and the circuit is still there",
    )
    await _says(
        exam, mallory, direct, HopReserve(), "OK", "mallory reserves a place, and does not renew it"
    )
    await asyncio.sleep(TTL + 60)
    bobs = await bob.connect(relay.addrs[0])
    await _says(
        exam,
        bob,
        bobs,
        HopConnect(mallory.peer_id),
        "NO_RESERVATION",
        "mallory's place is over, and bob calls her",
    )
    await alice.disconnect(relay.peer_id)
    await asyncio.sleep(1)
    await _says(
        exam,
        bob,
        bobs,
        HopConnect(alice.peer_id),
        "NO_RESERVATION",
        "alice has gone, and bob calls her",
    )


async def _stacks(exam: Exam, relay: SimHost, other: SimHost, stranger: SimHost) -> None:
    """The student's relay is itself behind another, and somebody who knows no other way comes through that."""
    await relay.run(relay.relay_client.reserve(other.addrs[0]))
    way = other.addrs[0] / f"/p2p-circuit/p2p/{relay.peer_id}"
    try:
        relayed = await stranger.connect(way)
    except DialError as problem:
        exam.reject("live", "a stranger did not get through to the relay", got=str(problem))
    await _says(
        exam,
        stranger,
        relayed,
        HopReserve(),
        "PERMISSION_DENIED",
        "a stranger asks for a place over a relayed connection",
    )


async def _says(
    exam: Exam,
    host: SimHost,
    connection: MuxedConnection,
    message: HopMessage,
    status: str,
    what: str,
) -> None:
    """Say something to the relay, and hear what it should say."""
    exam.sent = f"live: {what}"
    if not connection.is_open:
        connection = await host.connect(connection.remote_addr.with_peer(connection.remote_peer))
    try:
        got = await host.run(_ask(host, connection, message))
    except (LabError, TimeoutError) as problem:
        exam.reject("live", "the relay did not answer", got=f"{type(problem).__name__}: {problem}")
    exam.require(
        got.status.name == status,
        "live",
        "the relay gave another answer",
        got=got.status.name,
        expected=status,
    )
    exam.count("live requests")


async def _ask(host: SimHost, connection: MuxedConnection, message: HopMessage) -> HopStatus:
    stream = await host.open_stream_on(connection, (HOP_PROTOCOL,))
    await stream.write_message(message.encode())
    async with asyncio.timeout(30):
        answer = decode_hop(await stream.read_message(MAX_MESSAGE))
    await stream.reset()
    assert isinstance(answer, HopStatus)
    return answer
