"""WebRTC-direct between hosts: one socket for all, who is believed, how connections end, and what goes wrong."""

from __future__ import annotations

import asyncio
import builtins
import contextlib

import pytest

from libp2p_lab import Host, WebRTCDirect
from libp2p_lab.errors import (
    ConnectionLost,
    DialError,
    HandshakeFailed,
    LocalError,
    PeerIdMismatch,
    StreamReset,
)
from libp2p_lab.host import Echo, Identify, PeerInfo, Ping
from libp2p_lab.identity import KeyPair, Multiaddr, PeerId
from libp2p_lab.limits import Limits
from libp2p_lab.wire import multibase, multihash

ANY = "/ip4/127.0.0.1/udp/0/webrtc-direct"
STRANGER = PeerId.from_public_key(KeyPair.generate().public)


def host(listen: tuple[str, ...] = (), **parts) -> Host:
    defaults = {"transports": [WebRTCDirect()], "services": [Identify(), Ping(), Echo()]}
    return Host(listen=listen, **(defaults | parts))


async def until(condition) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


async def test_many_peers_on_one_socket() -> None:
    async with host((ANY,)) as alice:
        hosts = [host() for _ in range(6)]
        try:
            async with asyncio.TaskGroup() as tasks:
                for one in hosts:
                    await one.start()
                    tasks.create_task(one.connect(alice.addrs[0]))
            await until(lambda: len(alice.peers) == 6)
            ports = {c.local_addr.value_of("udp") for c in alice.connections}
            assert ports == {alice.addrs[0].value_of("udp")}
            assert len({c.remote_addr for c in alice.connections}) == 6
            for one in hosts:
                assert await one.ping(alice.peer_id) >= 0
                assert await alice.ping(one.peer_id) >= 0
        finally:
            await asyncio.gather(*(one.close() for one in hosts))


async def test_what_a_connection_says_of_itself() -> None:
    async with host((ANY,)) as alice, host() as bob:
        connection = await bob.connect(alice.addrs[0])
        assert (connection.transport, connection.security) == ("webrtc-direct", "/noise")
        assert connection.remote_addr == alice.addrs[0].without_peer()
        assert alice.addrs[0].names[-2:] == ("certhash", "p2p")
        info = await bob.identify_result(alice.peer_id)
        assert info.observed_addr is not None
        assert info.observed_addr.names == ("ip4", "udp", "webrtc-direct")


async def test_listening_twice_shows_one_certificate() -> None:
    async with host((ANY, "/ip4/127.0.0.1/udp/0/webrtc-direct")) as alice:
        one, other = (addr.value_of("certhash") for addr in alice.addrs)
        assert one == other


@pytest.mark.parametrize("expected", ["by the address", "by the caller"])
async def test_somebody_else_answers(expected) -> None:
    async with host((ANY,)) as alice, host() as bob:
        addr = alice.addrs[0].without_peer()
        where = (
            addr.with_peer(STRANGER) if expected == "by the address" else PeerInfo(STRANGER, [addr])
        )
        with pytest.raises(DialError) as caught:
            await bob.connect(where)
        [(_, cause)] = caught.value.attempts
        assert isinstance(cause, PeerIdMismatch)
        await until(lambda: not alice.connections)
        await bob.connect(addr)  # whoever it is


async def test_nobody_is_there() -> None:
    async with host(limits=Limits(dial_timeout=1.0)) as bob:
        certhash = multibase.encode(multihash.digest("sha2-256", b""), "base64url")
        with pytest.raises(DialError):
            await bob.connect(f"/ip4/127.0.0.1/udp/1/webrtc-direct/certhash/{certhash}")


async def test_a_dial_that_is_given_up_leaves_nothing() -> None:
    async with host((ANY,)) as alice, host() as bob:
        for wait in (0.0, 0.01, 0.03):
            dial = asyncio.create_task(bob.connect(alice.addrs[0]))
            await asyncio.sleep(wait)
            dial.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await dial  # on a fast machine it may be done by now
    # and the fixture looks for tasks, sockets and timers


async def test_a_listener_that_closes_while_somebody_comes() -> None:
    alice = host((ANY,))
    await alice.start()
    async with host(limits=Limits(dial_timeout=2.0)) as bob:
        dial = asyncio.create_task(bob.connect(alice.addrs[0]))
        await asyncio.sleep(0.02)
        await alice.close()
        try:
            connection = await dial
            await until(lambda: not connection.is_open)
        except DialError:
            pass


@pytest.mark.parametrize("who", ["dialer", "listener"])
async def test_what_was_written_arrives_before_the_end(who) -> None:
    got = asyncio.Queue()

    async def take(stream) -> None:
        try:
            got.put_nowait(await stream.read())
        except ConnectionLost as error:
            got.put_nowait(error)

    async with host((ANY,)) as alice, host() as bob:
        await bob.connect(alice.addrs[0])
        await until(lambda: alice.connections)
        ours, theirs = (bob, alice) if who == "dialer" else (alice, bob)
        theirs.set_handler("/take", take)
        stream = await ours.open_stream(theirs.peer_id, ["/take"])
        await stream.write(bytes(200_000))
        await stream.close_write()
        await ours.disconnect(theirs.peer_id)
        assert await got.get() == bytes(200_000)
        await until(lambda: not (alice.connections or bob.connections))


async def test_silence_ends_a_connection() -> None:
    limits = Limits(webrtc_idle_timeout=0.5)
    async with host((ANY,), limits=limits) as alice, host(limits=limits) as bob:
        connection = await bob.connect(alice.addrs[0])
        await until(lambda: alice.connections)
        connection._link._send = lambda data: None  # the wire is cut
        await until(lambda: not (alice.connections or bob.connections))


async def test_questions_keep_a_silent_connection() -> None:
    limits = Limits(webrtc_idle_timeout=1.5, webrtc_consent_interval=0.1)
    async with host((ANY,), limits=limits) as alice, host(limits=limits) as bob:
        connection = await bob.connect(alice.addrs[0])
        await until(lambda: alice.connections)
        loop = asyncio.get_running_loop()
        later = loop.time() + 2.5
        await until(lambda: loop.time() > later)
        assert connection.is_open
        assert connection.rtt is not None
        assert alice.connections


async def test_a_stream_that_nobody_reads_does_not_hold_up_the_others_for_ever() -> None:
    """All have one window. Whoever fills it and is not read goes, after a while."""
    limits = Limits(webrtc_window=64 * 1024, webrtc_stalled_timeout=0.4)
    done = asyncio.Event()

    async def hoard(stream) -> None:
        await done.wait()

    async with host((ANY,), limits=limits) as alice, host() as bob:
        alice.set_handler("/hoard", hoard)
        await bob.connect(alice.addrs[0])
        stream = await bob.open_stream(alice.peer_id, ["/hoard"])
        with pytest.raises(StreamReset):
            while True:
                await stream.write(bytes(10_000))
        assert await bob.ping(alice.peer_id) >= 0
        done.set()


async def test_s51_a_wrong_certificate_is_refused() -> None:
    """S51: the certificate's hash must be the one in the address."""
    async with host((ANY,)) as alice, host() as bob:
        text = str(alice.addrs[0])
        wrong = multibase.encode(multihash.digest("sha2-256", b"another"), "base64url")
        right = alice.addrs[0].value_of("certhash") or ""
        with pytest.raises(DialError) as caught:
            await bob.connect(text.replace(right, wrong))
        [(_, cause)] = caught.value.attempts
        assert isinstance(cause, HandshakeFailed)
        assert "certificate" in str(cause)
        both = text.replace(f"/certhash/{right}", f"/certhash/{wrong}/certhash/{right}")
        await bob.connect(both)


async def test_without_the_extra(monkeypatch) -> None:
    real = builtins.__import__

    def missing(name, *args):
        if name == "aiortc":
            raise ImportError("no aiortc")
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(LocalError, match="webrtc"):
        async with host((ANY,)):
            pass


def test_addresses_of_others() -> None:
    for text in (
        "/ip4/1.2.3.4/udp/1/quic-v1",
        "/ip4/1.2.3.4/tcp/1",
        "/dns4/a.b/udp/1/webrtc-direct",
    ):
        assert not WebRTCDirect().can_dial(Multiaddr(text))
        assert not WebRTCDirect().can_listen(Multiaddr(text))
