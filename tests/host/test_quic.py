"""QUIC: the core on its own, what it reaches into aioquic for, one socket for all, and how connections end."""

from __future__ import annotations

import asyncio
import time

import pytest

from libp2p_lab import QUIC, Host
from libp2p_lab.errors import ConnectionLost, DialError, LocalError, PeerIdMismatch, StreamReset
from libp2p_lab.host import Identify, PeerInfo, Ping
from libp2p_lab.identity import KeyPair, Multiaddr, PeerId
from libp2p_lab.limits import Limits

ANY = "/ip4/127.0.0.1/udp/0/quic-v1"
STRANGER = PeerId.from_public_key(KeyPair.generate().public)


async def until(condition) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


def sessions(limits: Limits):
    """Client and server, and a function that carries their datagrams until neither has any."""
    from libp2p_lab.host.own_streams import HostParts
    from libp2p_lab.host.quic import _configure
    from libp2p_lab.host.quic_session import QuicSession
    from libp2p_lab.trace import Probe

    settings = []
    for _ in range(2):
        parts = HostParts(
            KeyPair.generate(),
            limits,
            time.monotonic,
            Probe(),
            lambda: 1,
            PeerId.from_public_key,
            lambda stream: None,
            lambda stream, how: None,
            lambda: None,
        )
        settings.append(_configure(parts))
    client = QuicSession(settings[0][0], limits)
    client.connect(("server", 1), 0.0)
    first = client.datagrams_to_send(0.0)
    # The connection id that the client made up stands behind the version and its own length.
    original = first[0][0][6 : 6 + first[0][0][5]]
    server = QuicSession(settings[1][1], limits, original)
    found = ([], [])
    clock = [0.0]

    def settle() -> None:
        pending = list(first)
        first.clear()
        for data, _ in pending:
            found[1].extend(server.receive_datagram(data, ("client", 1), clock[0]))
        while True:
            clock[0] += 0.001
            moved = False
            for n, (one, other, name) in enumerate(
                ((server, client, "server"), (client, server, "client"))
            ):
                for data, _ in one.datagrams_to_send(clock[0]):
                    moved = True
                    found[n].extend(other.receive_datagram(data, (name, 1), clock[0]))
            if not moved:
                return

    return client, server, settle, found


def test_both_sides_see_the_others_certificate() -> None:
    """aioquic's server asks for it only through `_request_client_certificate`."""
    client, server, settle, _ = sessions(Limits())
    settle()
    assert client.alpn == server.alpn == "libp2p"
    assert len(client.remote_chain) == len(server.remote_chain) == 1
    assert client.remote_chain != server.remote_chain


def test_the_window_opens_only_as_the_application_reads() -> None:
    """aioquic would double it each time half of it has arrived, read or not."""
    from libp2p_lab.multiplexing.muxer import DataReceived

    window = 64 * 1024
    limits = Limits(quic_stream_window=window, quic_connection_window=4 * window)
    client, server, settle, found = sessions(limits)
    settle()
    stream_id = client.open_stream()
    client.send(stream_id, bytes(10 * window))

    def arrived() -> int:
        return sum(len(event.data) for event in found[1] if isinstance(event, DataReceived))

    for _ in range(20):
        settle()
    assert arrived() == window
    server.consumed(stream_id, window // 2)
    for _ in range(20):
        settle()
    assert arrived() == window + window // 2
    server.stop_reading(stream_id)
    for _ in range(20):
        settle()
    assert client.unsent(stream_id) == 0, "after STOP_SENDING nothing more is sent"


def test_as_many_streams_as_the_limit_says() -> None:
    client, _, settle, _ = sessions(Limits(quic_streams=5))
    assert not client.can_open_stream(), "nothing is known of the remote yet"
    settle()
    opened = 0
    while client.can_open_stream():
        client.send(client.open_stream(), b"x")
        opened += 1
    assert opened == 5


def test_garbage_in_a_session_ends_nothing_and_raises_nothing() -> None:
    client, server, settle, _ = sessions(Limits())
    settle()
    for garbage in (b"", b"\x00", b"\xff" * 1200, b"\x40" + bytes(1199), bytes(range(256)) * 5):
        server.receive_datagram(garbage, ("client", 1), 1.0)
        client.receive_datagram(garbage, ("server", 1), 1.0)
    assert client.ended is None
    assert server.ended is None


async def test_one_socket_for_listening_and_dialing() -> None:
    async with Host(listen=[ANY]) as alice, Host(listen=[ANY]) as bob:
        await alice.connect(bob.addrs[0])
        await until(lambda: bob.connections)
        assert bob.connections[0].remote_addr == alice.addrs[0].without_peer()


async def test_many_peers_on_one_socket() -> None:
    async with Host(listen=[ANY]) as alice:
        hosts = [Host() for _ in range(20)]
        try:
            async with asyncio.TaskGroup() as tasks:
                for host in hosts:
                    await host.start()
                    tasks.create_task(host.connect(alice.addrs[0]))
            await until(lambda: len(alice.peers) == 20)
            assert all([await host.ping(alice.peer_id) >= 0 for host in hosts])
        finally:
            await asyncio.gather(*(host.close() for host in hosts))


async def test_addresses_are_validated_under_load() -> None:
    """From the first handshake on, in this test: a retry costs a round trip, and all is well."""
    limits = Limits(quic_retry_above=0)
    async with Host(listen=[ANY], limits=limits) as alice, Host() as bob:
        await bob.connect(alice.addrs[0])
        assert await bob.ping(alice.peer_id) >= 0


async def test_somebody_else_answers() -> None:
    async with Host(listen=[ANY]) as alice, Host() as bob:
        with pytest.raises(DialError) as caught:
            await bob.connect(PeerInfo(STRANGER, [alice.addrs[0].without_peer()]))
        [(_, cause)] = caught.value.attempts
        assert isinstance(cause, PeerIdMismatch)
        await until(lambda: not alice.connections)


async def test_nobody_answers() -> None:
    limits = Limits(dial_timeout=0.3)
    async with Host(limits=limits) as host:
        with pytest.raises(DialError, match="no connection within"):
            await host.connect(f"/ip4/127.0.0.1/udp/9/quic-v1/p2p/{STRANGER}")


async def test_a_clean_end_is_told_to_the_other_side_at_once() -> None:
    async with Host(listen=[ANY]) as alice, Host() as bob:
        connection = await bob.connect(alice.addrs[0])
        await until(lambda: alice.connections)
        stream = await bob.open_stream(alice.peer_id, "/ipfs/ping/1.0.0")
        await alice.disconnect(bob.peer_id)
        await until(lambda: not bob.connections)
        with pytest.raises((ConnectionLost, StreamReset)):
            await stream.write(b"x")
        assert not connection.is_open


async def test_a_silent_connection_is_kept_alive_and_a_dead_one_is_not() -> None:
    limits = Limits(quic_idle_timeout=1.0, quic_keepalive=0.2)
    async with Host(listen=[ANY], limits=limits) as alice, Host(limits=limits) as bob:
        connection = await bob.connect(alice.addrs[0])
        await asyncio.sleep(1.6)
        assert connection.is_open
        connection._link._endpoint._transport.abort()  # bob's machine is gone
        await until(lambda: not alice.connections)


async def test_a_reset_goes_both_ways_and_the_others_stay() -> None:
    arrived: asyncio.Queue = asyncio.Queue()
    done = asyncio.Event()

    async def keep(stream) -> None:
        arrived.put_nowait(stream)
        await done.wait()

    async with Host(listen=[ANY]) as alice, Host() as bob:
        alice.set_handler("/keep", keep)
        await bob.connect(alice.addrs[0])
        one = await bob.open_stream(alice.peer_id, ["/keep"])
        theirs = await arrived.get()
        await theirs.reset()
        with pytest.raises(StreamReset):
            await one.read(1)
        assert await bob.ping(alice.peer_id) >= 0
        done.set()


async def test_the_listener_closes_and_its_connections_stay() -> None:
    from libp2p_lab.host.own_streams import PeerTransport

    assert isinstance(QUIC(), PeerTransport)
    async with Host(listen=[ANY], services=[Identify(), Ping()]) as alice, Host() as bob:
        await bob.connect(alice.addrs[0])
        await until(lambda: alice.connections)
        for listener in alice._swarm._listeners:
            await listener.close()
        assert await bob.ping(alice.peer_id) >= 0


@pytest.mark.parametrize(
    "text", ["/ip4/1.2.3.4/udp/1", "/ip4/1.2.3.4/tcp/1/quic-v1", "/ip4/1.2.3.4/udp/1/quic"]
)
async def test_other_addresses_are_not_its_own(text: str) -> None:
    assert not QUIC().can_dial(Multiaddr(text))
    async with Host() as host:
        with pytest.raises(LocalError):
            await host.listen(text)


async def test_a_private_network_has_no_quic() -> None:
    async with Host(psk=bytes(32)) as host:
        with pytest.raises(LocalError):
            await host.listen(ANY)
    with pytest.raises(LocalError, match="private network"):
        Host(psk=bytes(32), transports=[QUIC()])
