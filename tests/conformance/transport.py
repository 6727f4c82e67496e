"""The rules of `Transport`, checked on any implementation.

    async def test_my_transport() -> None:
        await check_transport(MyTransport(), "/memory/0")

The address is one to listen at where the implementation picks a free place (port 0, for one).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from libp2p_lab.errors import LocalError
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.trace import Entry, Probe, Trace
from libp2p_lab.transports.transport import Listener, RawConnection, Transport
from libp2p_lab.wire.byte_stream import read_exactly
from tests.conformance.byte_stream import pattern

PEER = "/p2p/QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb"
FOREIGN = ("/ip4/192.0.2.1/udp/1/quic-v1", "/onion3/" + "a" * 56 + ":80", "/p2p-circuit", "/unix/x")


async def check_transport(transport: Transport, addr: str) -> None:
    """All the rules."""
    for check in TRANSPORT_CHECKS:
        await check(transport, addr)


class Place:
    """A listener, and the connections that arrived at it."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[RawConnection] = asyncio.Queue()
        self.listener: Listener
        self.connections: list[RawConnection] = []

    @property
    def addr(self) -> Multiaddr:
        return self.listener.addrs[0]

    async def connect(
        self, transport: Transport, addr: Multiaddr | None = None
    ) -> tuple[RawConnection, RawConnection]:
        """Dial it: our end and theirs."""
        one = await transport.dial(addr or self.addr)
        self.connections.append(one)
        other = await self.arrived.get()
        self.connections.append(other)
        return one, other


@asynccontextmanager
async def listening(transport: Transport, addr: str) -> AsyncIterator[Place]:
    place = Place()
    place.listener = await transport.listen(Multiaddr(addr), place.arrived.put_nowait)
    try:
        yield place
    finally:
        await place.listener.close()
        for connection in place.connections:
            await connection.reset()


async def check_it_knows_its_addresses(transport: Transport, addr: str) -> None:
    """`can_dial` and `can_listen` say yes to its own addresses, and no to those of others."""
    assert transport.name
    assert transport.can_listen(Multiaddr(addr))
    async with listening(transport, addr) as place:
        for own in place.listener.addrs:
            assert transport.can_dial(own)
            assert transport.can_dial(Multiaddr(f"{own}{PEER}"))
    for text in FOREIGN:
        assert not transport.can_dial(Multiaddr(text)), text
        assert not transport.can_listen(Multiaddr(text)), text


async def check_other_addresses_are_refused(transport: Transport, addr: str) -> None:
    for text in FOREIGN:
        with pytest.raises(LocalError):
            await transport.dial(Multiaddr(text))
        with pytest.raises(LocalError):
            await transport.listen(Multiaddr(text), lambda connection: None)


async def check_the_listener_names_real_addresses(transport: Transport, addr: str) -> None:
    """Not the 0 that was asked for; two listeners get two places."""
    async with listening(transport, addr) as one, listening(transport, addr) as other:
        for place in (one, other):
            assert place.listener.addrs
            for found in place.listener.addrs:
                assert "0" not in {part.value for part in found.parts}, found
                assert found.peer_id is None
        assert one.addr != other.addr


async def check_bytes_flow_both_ways(transport: Transport, addr: str) -> None:
    async with listening(transport, addr) as place:
        one, other = await place.connect(transport)
        await one.write(b"question")
        assert await read_exactly(other, 8) == b"question"
        await other.write(b"answer")
        assert await read_exactly(one, 6) == b"answer"


async def check_both_ends_agree_on_the_addresses(transport: Transport, addr: str) -> None:
    """One's local address is the other's remote one: so two traces can be joined."""
    async with listening(transport, addr) as place:
        one, other = await place.connect(transport)
        assert one.remote_addr == place.addr
        assert (one.local_addr, one.remote_addr) == (other.remote_addr, other.local_addr)
        again, _ = await place.connect(transport)
        assert again.local_addr != one.local_addr, "two connections that cannot be told apart"


async def check_a_peer_id_in_the_address_is_ignored(transport: Transport, addr: str) -> None:
    async with listening(transport, addr) as place:
        one, _ = await place.connect(transport, Multiaddr(f"{place.addr}{PEER}"))
        assert one.remote_addr == place.addr


async def check_many_connections_at_once(transport: Transport, addr: str) -> None:
    async with listening(transport, addr) as place:
        dialed = await asyncio.gather(*(transport.dial(place.addr) for _ in range(50)))
        place.connections += dialed
        for number, connection in enumerate(dialed):
            await connection.write(bytes((number,)))
        seen = set()
        for _ in dialed:
            connection = await place.arrived.get()
            place.connections.append(connection)
            seen.add((await read_exactly(connection, 1))[0])
        assert seen == set(range(50))


async def check_a_closed_listener_refuses(transport: Transport, addr: str) -> None:
    """And the connections that arrived before stay open."""
    async with listening(transport, addr) as place:
        where = place.addr
        one, other = await place.connect(transport)
        await place.listener.close()
        with pytest.raises(OSError):
            place.connections.append(await transport.dial(where))
        await one.write(b"still there")
        assert await read_exactly(other, 11) == b"still there"
        again = await transport.listen(where, lambda connection: None)
        await again.close()  # the place is free again


async def check_one_place_one_listener(transport: Transport, addr: str) -> None:
    async with listening(transport, addr) as place:
        with pytest.raises(OSError):
            await transport.listen(place.addr, lambda connection: None)
        await place.connect(transport)


async def check_a_cancelled_dial_leaves_nothing(transport: Transport, addr: str) -> None:
    """Cancelled at each of its awaits; the leak fixture looks for what is left."""
    async with listening(transport, addr) as place:
        for turns in range(6):
            dialing = asyncio.create_task(transport.dial(place.addr))
            for _ in range(turns):
                await asyncio.sleep(0)
            dialing.cancel()
            with suppress(asyncio.CancelledError):
                place.connections.append(await dialing)
        await asyncio.sleep(0.02)
        while not place.arrived.empty():
            place.connections.append(place.arrived.get_nowait())


async def check_every_byte_is_reported(transport: Transport, addr: str) -> None:
    """The probes of both ends tell the same bytes, with offsets; also those that arrived before."""
    data = pattern(100_000)
    told: dict[str, list[Entry]] = {"one": [], "other": []}
    async with listening(transport, addr) as place:
        one, other = await place.connect(transport)
        for name, end in (("one", one), ("other", other)):
            if end is other:
                await one.write(data[:5])
                await asyncio.sleep(0.02)  # on the wire before anybody listens
            trace = Trace(name)
            trace.listen(told[name].append)
            end.probe = Probe(trace, "transport", "1")
        reading = asyncio.create_task(other.read())
        await one.write(data[5:])
        await one.close_write()
        assert await reading == data
    for name, direction in (("one", "sent"), ("other", "received")):
        entries = [entry for entry in told[name] if entry.direction == direction]
        offset = 0
        for entry in entries:
            assert entry.layer == "transport"
            assert entry.number == offset, f"{name}: offset {entry.number} instead of {offset}"
            offset += len(entry.payload())
        assert b"".join(entry.payload() for entry in entries) == data


TRANSPORT_CHECKS: tuple[Callable[[Transport, str], Awaitable[None]], ...] = (
    check_it_knows_its_addresses,
    check_other_addresses_are_refused,
    check_the_listener_names_real_addresses,
    check_bytes_flow_both_ways,
    check_both_ends_agree_on_the_addresses,
    check_a_peer_id_in_the_address_is_ignored,
    check_many_connections_at_once,
    check_a_closed_listener_refuses,
    check_one_place_one_listener,
    check_a_cancelled_dial_leaves_nothing,
    check_every_byte_is_reported,
)
