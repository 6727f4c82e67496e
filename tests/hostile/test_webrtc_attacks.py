"""WebRTC peers that break the rules: garbage, half-open floods, a man in the middle, streams without end."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import asynccontextmanager

import pytest

from libp2p_lab import Host, WebRTCDirect
from libp2p_lab.errors import ConnectionLost, DialError, HandshakeFailed
from libp2p_lab.host import Echo, Identify, Ping
from libp2p_lab.host.events import ConnectionClosed, UpgradeFailed
from libp2p_lab.host.webrtc_ice import IceAgent, make_ufrag
from libp2p_lab.host.webrtc_streams import BINARY, CONTROL
from libp2p_lab.identity import Multiaddr
from libp2p_lab.limits import Limits
from tests.hostile.scene import bounded_memory

ANY = "/ip4/127.0.0.1/udp/0/webrtc-direct"
OPEN = bytes((3,)) + bytes(11)


def host(listen: tuple[str, ...] = (), **parts) -> Host:
    defaults = {"transports": [WebRTCDirect()], "services": [Identify(), Ping(), Echo()]}
    return Host(listen=listen, **(defaults | parts))


async def until(condition) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


def question() -> bytes:
    agent = IceAgent(make_ufrag(), is_dialer=True, interval=5.0)
    agent.handle_timer(0.0)
    return agent.datagrams_to_send()[0]


@asynccontextmanager
async def attack(**limits):
    """A host, an honest peer, and the link of one that says what it likes."""
    ended: list[str] = []
    async with host((ANY,), limits=Limits(**limits)) as target, host() as honest, host() as bad:
        target.trace.listen(
            lambda e: ended.append(e.what.reason) if isinstance(e.what, ConnectionClosed) else None
        )
        await honest.connect(target.addrs[0])
        connection = await bad.connect(target.addrs[0])
        await until(lambda: len(target.connections) == 2)
        yield target, honest, connection._link, ended
        assert await honest.ping(target.peer_id) >= 0


async def test_datagrams_of_garbage_cost_nothing() -> None:
    async with host((ANY,)) as target, host() as honest:
        await honest.connect(target.addrs[0])
        port = int(target.addrs[0].value_of("udp") or 0)
        with bounded_memory(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for number in range(1500):
                garbage = os.urandom(number % 1400)
                if number % 3 == 0:
                    garbage = b"\x00\x01" + garbage[2:]  # looks like STUN
                sock.sendto(garbage, ("127.0.0.1", port))
                if number % 50 == 0:
                    await asyncio.sleep(0)
            assert await honest.ping(target.peer_id) >= 0
        [endpoint] = target._swarm._listeners
        assert len(endpoint.links) == 1


async def test_s10_half_open_handshakes_are_bounded_and_dropped() -> None:
    """A hundred that ask and say nothing more: an honest peer gets in, and all of it is forgotten."""
    limits = Limits(handshake_timeout=1.0, webrtc_pending=4, max_pending_inbound_per_ip=8)
    async with host((ANY,), limits=limits) as target:
        [endpoint] = target._swarm._listeners
        port = int(target.addrs[0].value_of("udp") or 0)
        socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(100)]
        try:
            most = 0
            for sock in socks:
                sock.sendto(question(), ("127.0.0.1", port))
                await asyncio.sleep(0.001)
                most = max(most, len(endpoint.links))
            assert 0 < most <= 5
            async with host() as honest:
                await honest.connect(target.addrs[0])
                assert await honest.ping(target.peer_id) >= 0
            await until(lambda: not endpoint._proving)
            await until(lambda: not endpoint.links)
        finally:
            for sock in socks:
                sock.close()


class Relay(asyncio.DatagramProtocol):
    """Passes datagrams between whoever comes and one place: a man in the middle who changes nothing."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.client: tuple[str, int] | None = None

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if addr != self.target:
            self.client = addr
        destination = self.client if addr == self.target else self.target
        if destination is not None:
            self.transport.sendto(data, destination)


async def test_a_man_in_the_middle_with_a_certificate_of_his_own_fails() -> None:
    """He ends DTLS on both sides and passes on the Noise messages. The prologue differs, and so they do not fit."""
    async with host((ANY,)) as alice, host((ANY,)) as mallory, host() as bob:
        failed = []
        alice.trace.listen(
            lambda e: failed.append(e.what.cause) if isinstance(e.what, UpgradeFailed) else None
        )
        [inner] = mallory._swarm._listeners
        tasks = []

        async def pass_on(link) -> None:
            """Instead of mallory's own handshake: between bob and alice."""
            from libp2p_lab.host import webrtc_direct

            own = webrtc_direct._make_certificate(60.0)
            endpoint = await webrtc_direct._bind(link.parts, own, None, "127.0.0.1", 0)
            port = int(alice.addrs[0].value_of("udp") or 0)
            outward = type(link)(
                lambda data: endpoint._send(data, ("127.0.0.1", port)),
                endpoint._forget,
                link.parts,
                link.local_addr,
                alice.addrs[0],
                ("127.0.0.1", port),
                make_ufrag(),
                own,
                is_dialer=True,
            )
            endpoint.links[("127.0.0.1", port)] = outward
            outward.start()
            await link._established
            await outward._established

            async def pump(source, sink) -> None:
                while data := await source.read(65536):
                    await sink.write(data)

            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(pump(link._handshake, outward._handshake))
                    group.create_task(pump(outward._handshake, link._handshake))
            finally:
                outward.end()

        async def prove(link):
            task = asyncio.create_task(pass_on(link))
            tasks.append(task)
            await task
            raise HandshakeFailed("only passed on")

        inner._prove = prove
        where = mallory.addrs[0].without_peer().with_peer(alice.peer_id)
        with pytest.raises(DialError) as caught:
            await bob.connect(where)
        [(_, cause)] = caught.value.attempts
        assert isinstance(cause, HandshakeFailed | ConnectionLost), "alice may hang up first"
        await asyncio.gather(*tasks, return_exceptions=True)
        await until(lambda: failed)
        assert "HandshakeFailed" in failed[0]
        assert not alice.connections


async def test_a_relay_of_datagrams_is_only_a_relay() -> None:
    """He who passes on datagrams unchanged learns and changes nothing: that is what a router does."""
    async with host((ANY,)) as alice, host() as bob:
        port = int(alice.addrs[0].value_of("udp") or 0)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Relay(("127.0.0.1", port)), local_addr=("127.0.0.1", 0)
        )
        try:
            text = str(alice.addrs[0])
            mine = transport.get_extra_info("sockname")[1]
            connection = await bob.connect(
                Multiaddr(text.replace(f"/udp/{port}/", f"/udp/{mine}/"))
            )
            assert connection.remote_peer == alice.peer_id
            assert await bob.ping(alice.peer_id) >= 0
        finally:
            await bob.disconnect(alice.peer_id)
            transport.close()


async def test_s1_channels_without_end() -> None:
    async with attack(webrtc_streams=20) as (target, _, link, ended):
        with bounded_memory():
            for number in range(1, 200):
                link.sctp.send_message(2 * number + 100, CONTROL, OPEN)
                link.flush()
                if number % 10 == 0:
                    await asyncio.sleep(0.01)
            await until(lambda: ended)
        assert "webrtc_streams" in ended[0]
        assert len(target.connections) == 1


@pytest.mark.parametrize(
    ("protocol", "data", "word"),
    [
        (BINARY, b"\xff\xff\xff\xff\xff", "length of a WebRTC message"),
        (BINARY, b"\x03\xff\xff\xff", "does not parse"),
        (51, b"text", "kind 51"),
        (CONTROL, b"\x07", "DATA_CHANNEL_OPEN"),
    ],
)
async def test_broken_messages_end_the_connection(protocol, data, word) -> None:
    async with attack() as (target, _, link, ended):
        link.sctp.send_message(100, CONTROL, OPEN)
        link.sctp.send_message(100, protocol, data)
        link.flush()
        await until(lambda: ended)
        assert word in ended[0]
        assert len(target.connections) == 1


async def test_s59_a_reader_that_does_not_read_stops_the_writer() -> None:
    """Our write waits, and memory stays where it is."""
    done = asyncio.Event()

    async def idle(stream) -> None:
        await done.wait()

    limits = Limits(webrtc_window=128 * 1024)
    async with host((ANY,), limits=limits) as target, host() as writer:
        target.set_handler("/idle", idle)
        await writer.connect(target.addrs[0])
        stream = await writer.open_stream(target.peer_id, ["/idle"])
        with bounded_memory():
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(3):
                    while True:
                        await stream.write(bytes(16_000))
            [connection] = target.connections
            assert connection._link.streams.unread <= 160 * 1024
        done.set()


async def test_rapid_reset_leaves_nothing() -> None:
    async with host((ANY,)) as target, host() as attacker, host() as honest:
        await honest.connect(target.addrs[0])
        connection = await attacker.connect(target.addrs[0])
        with bounded_memory():
            for _ in range(200):
                stream = await connection.open_stream()
                await stream.write(b"\x13/multistream/1.0.0\n")
                await stream.reset()
        assert await honest.ping(target.peer_id) >= 0
        await until(
            lambda: not [s for c in target.connections_to(attacker.peer_id) for s in c.streams]
        )
