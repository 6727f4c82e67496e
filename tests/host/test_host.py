"""A host as its users see it: connecting, streams, handlers, the end, and what each method says when it cannot."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest

from libp2p_lab import Host
from libp2p_lab.errors import (
    ConnectionLost,
    DialError,
    LabError,
    LocalError,
    NegotiationError,
    PeerIdMismatch,
    StreamClosed,
    StreamReset,
)
from libp2p_lab.host import BlockList, Echo, Fetch, Identify, PeerInfo, Perf, Ping
from libp2p_lab.host.events import (
    ConnectionClosed,
    ConnectionOpened,
    DialFailed,
    HandlerFailed,
    ListenerClosed,
    ListenerOpened,
    StreamEnded,
    StreamStarted,
)
from libp2p_lab.identity import KeyPair, Multiaddr, PeerId, PeerRecord
from libp2p_lab.limits import Limits
from libp2p_lab.transports import TCP, Memory, MemoryNetwork

TCP_ADDR = "/ip4/127.0.0.1/tcp/0"
EVERYWHERE = (TCP_ADDR, "/ip6/::1/tcp/0", "/memory/0")
NOBODY = PeerId.from_public_key(KeyPair.generate().public)
PATIENCE = 30.0


async def until(condition) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.002)


def events_of(host: Host) -> list[object]:
    found: list[object] = []
    host.trace.listen(lambda entry: found.append(entry.what) if entry.layer == "host" else None)
    return found


def kinds(events: list[object], kind: type) -> list:
    return [event for event in events if isinstance(event, kind)]


# -- connecting ------------------------------------------------------------------------------------


@pytest.mark.parametrize("addr", EVERYWHERE)
async def test_connect_by_everything_that_names_a_peer(addr) -> None:
    async with Host(listen=[addr]) as alice, Host() as bob:
        [where] = alice.addrs
        assert where.peer_id == alice.peer_id
        first = await bob.connect(where)
        for target in (
            str(where),
            alice.peer_id,
            str(alice.peer_id),
            PeerInfo(alice.peer_id, [where]),
            where.without_peer().with_peer(alice.peer_id),
        ):
            assert await bob.connect(target) is first
        assert first.remote_peer == alice.peer_id
        assert first.direction == "outbound"
        assert first.transport == ("memory" if "memory" in addr else "tcp")
        assert first.muxer == "/yamux/1.0.0"
        assert first.remote_addr == where.without_peer()
        await until(lambda: alice.connections)
        [theirs] = alice.connections
        assert theirs.direction == "inbound"
        assert theirs.remote_addr == first.local_addr
        assert (bob.peers, alice.peers) == ([alice.peer_id], [bob.peer_id])
        assert bob.is_connected(alice.peer_id)


async def test_connect_to_whoever_answers() -> None:
    async with Host(listen=[TCP_ADDR]) as alice, Host() as bob:
        connection = await bob.connect(alice.addrs[0].without_peer())
        assert connection.remote_peer == alice.peer_id


async def test_one_connection_carries_everything() -> None:
    async with Host(listen=[TCP_ADDR], services=[Echo(), Ping()]) as alice, Host() as bob:
        connections = await asyncio.gather(*(bob.connect(alice.addrs[0]) for _ in range(20)))
        assert len(set(map(id, connections))) == 1
        await asyncio.gather(*(bob.ping(alice.peer_id) for _ in range(2)))
        assert len(bob.connections) == len(alice.connections) == 1


async def test_dials_that_share_an_attempt_share_its_failure() -> None:
    async with Host(transports=[TCP()]) as bob:
        target = PeerInfo(NOBODY, ["/ip4/127.0.0.1/tcp/1"])
        outcomes = await asyncio.gather(
            *(bob.connect(target) for _ in range(5)), return_exceptions=True
        )
        assert {type(outcome) for outcome in outcomes} == {DialError}


async def test_a_cancelled_dial_does_not_take_the_others_with_it() -> None:
    async with Host(listen=[TCP_ADDR]) as alice, Host() as bob:
        dials = [asyncio.create_task(bob.connect(alice.addrs[0])) for _ in range(3)]
        await asyncio.sleep(0)
        dials[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await dials[0]
        assert await dials[1] is await dials[2]


@pytest.mark.parametrize("turns", range(12))
async def test_a_dial_cancelled_at_any_of_its_waits_leaves_nothing(turns) -> None:
    async with Host(listen=[TCP_ADDR]) as alice, Host() as bob:
        dialing = asyncio.create_task(bob.connect(alice.addrs[0]))
        for _ in range(turns * 2):
            await asyncio.sleep(0)
        dialing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await dialing
        await bob.connect(alice.addrs[0])
        assert await bob.ping(alice.peer_id) > 0


async def test_simultaneous_dials_settle_on_one() -> None:
    limits = Limits(duplicate_grace=0.05)
    for _ in range(5):
        async with (
            Host(listen=[TCP_ADDR], limits=limits) as alice,
            Host(listen=[TCP_ADDR], limits=limits) as bob,
        ):
            await asyncio.gather(alice.connect(bob.addrs[0]), bob.connect(alice.addrs[0]))
            await until(
                lambda: (
                    [c.local_addr for c in alice.connections]
                    == [c.remote_addr for c in bob.connections]
                    and len(alice.connections) == 1
                )
            )
            assert await alice.ping(bob.peer_id) > 0
            assert await bob.ping(alice.peer_id) > 0


async def test_the_wrong_peer_is_refused() -> None:
    async with Host(listen=[TCP_ADDR]) as alice, Host() as bob:
        with pytest.raises(DialError) as caught:
            await bob.connect(alice.addrs[0].without_peer().with_peer(NOBODY))
        [(addr, cause)] = caught.value.attempts
        assert addr == str(alice.addrs[0].without_peer())
        assert isinstance(cause, PeerIdMismatch)
        assert (cause.expected, cause.actual) == (str(NOBODY), str(alice.peer_id))
        assert not bob.connections
        await until(lambda: not alice.connections)


async def test_every_address_is_tried_and_each_cause_is_told() -> None:
    async with Host(listen=[TCP_ADDR]) as alice, Host(transports=[TCP()]) as bob:
        dead = ["/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/udp/1/quic-v1", "/memory/999999"]
        events = events_of(bob)
        with pytest.raises(DialError) as caught:
            await bob.connect(PeerInfo(NOBODY, dead))
        assert {addr for addr, _ in caught.value.attempts} == set(dead)
        assert all(addr in str(caught.value) for addr in dead)
        [failed] = kinds(events, DialFailed)
        assert (failed.peer, failed.addr) == (str(NOBODY), dead[0])
        connection = await bob.connect(PeerInfo(alice.peer_id, [*dead, *alice.addrs]))
        assert connection.remote_peer == alice.peer_id


async def test_disconnect_and_connect_again() -> None:
    async with Host(listen=[TCP_ADDR]) as alice, Host() as bob:
        first = await bob.connect(alice.addrs[0])
        await bob.disconnect(alice.peer_id)
        assert not first.is_open
        assert not bob.connections
        await until(lambda: not alice.connections)
        await bob.disconnect(alice.peer_id)  # nothing to do is no error
        assert await bob.connect(alice.peer_id) is not first  # its address is remembered


async def test_the_remotes_close_is_seen() -> None:
    async with Host() as bob:
        async with Host(listen=[TCP_ADDR]) as alice:
            connection = await bob.connect(alice.addrs[0])
        await until(lambda: not connection.is_open)
        with pytest.raises(ConnectionLost):
            await connection.open_stream()
        with pytest.raises(DialError):
            await bob.ping(alice.peer_id)


async def test_listening_later_and_at_several_places() -> None:
    async with Host() as alice, Host() as bob:
        assert alice.addrs == []
        for addr in EVERYWHERE:
            [found] = await alice.listen(addr)
            assert found.peer_id == alice.peer_id
            connection = await bob.connect(found)
            assert connection.remote_peer == alice.peer_id
        assert len(alice.addrs) == len(EVERYWHERE)


async def test_the_signed_record_follows_the_addresses() -> None:
    async with Host(listen=[TCP_ADDR]) as alice:
        first = PeerRecord.open(alice.signed_record)
        assert first.peer_id == alice.peer_id
        assert list(first.addrs) == [addr.without_peer() for addr in alice.addrs]
        assert alice.signed_record == alice.signed_record
        await alice.listen("/memory/0")
        second = PeerRecord.open(alice.signed_record)
        assert second.seq > first.seq
        assert len(second.addrs) == 2


# -- streams and handlers --------------------------------------------------------------------------


async def echo(stream) -> None:
    async for chunk in stream:
        await stream.write(chunk)


async def test_a_handler_by_decorator_and_the_first_common_protocol() -> None:
    async with Host(listen=[TCP_ADDR]) as alice, Host() as bob:

        @alice.handle("/echo/2.0.0")
        async def answer(stream) -> None:
            assert stream.protocol == "/echo/2.0.0"
            assert stream.direction == "inbound"
            assert stream.connection.remote_peer == bob.peer_id
            await echo(stream)

        stream = await bob.open_stream(
            alice.addrs[0], ["/echo/3.0.0", "/echo/2.0.0", "/echo/1.0.0"]
        )
        assert stream.protocol == "/echo/2.0.0"
        await stream.write(b"hello")
        await stream.close_write()
        assert await stream.read() == b"hello"
        assert stream.bytes_read == stream.bytes_written == 5


async def test_any_object_that_can_be_called_is_a_handler() -> None:
    class Greeter:
        async def __call__(self, stream) -> None:
            await stream.write(b"hi")

    async with Host(listen=[TCP_ADDR]) as alice, Host() as bob:
        alice.set_handler("/hi", Greeter())
        stream = await bob.open_stream(alice.addrs[0], "/hi")
        assert await stream.read() == b"hi"
        with pytest.raises(LocalError, match="async def"):
            alice.set_handler("/no", lambda stream: None)


async def test_no_common_protocol() -> None:
    async with Host(listen=[TCP_ADDR]) as alice, Host() as bob:
        with pytest.raises(NegotiationError) as caught:
            await bob.open_stream(alice.addrs[0], ["/a", "/b"])
        assert caught.value.offered == ("/a", "/b")
        assert bob.connections, "the connection does not pay for it"
        with pytest.raises(LocalError):
            await bob.open_stream(alice.peer_id, [])


async def test_a_handler_removed_and_replaced() -> None:
    async with Host(listen=[TCP_ADDR]) as alice, Host() as bob:
        alice.set_handler("/x", echo)
        assert "/x" in alice.protocols
        await bob.open_stream(alice.addrs[0], "/x")
        alice.remove_handler("/x")
        alice.remove_handler("/x")
        assert "/x" not in alice.protocols
        await until(lambda: "/x" not in bob.peerstore.protocols(alice.peer_id))
        with pytest.raises(NegotiationError):
            stream = await bob.open_stream(alice.peer_id, "/x")
            await stream.read(1)


@pytest.mark.parametrize("error", [ValueError("a bug"), LocalError("a rule"), OSError("a file")])
async def test_a_handler_that_raises_costs_its_stream_alone(error) -> None:
    async with Host(listen=[TCP_ADDR], services=[Echo(), Ping()]) as alice, Host() as bob:
        events = events_of(alice)

        @alice.handle("/bug")
        async def bug(stream) -> None:
            raise error

        with pytest.raises(StreamReset):
            stream = await bob.open_stream(alice.addrs[0], "/bug")
            await stream.read()
        [failed] = kinds(events, HandlerFailed)
        assert failed.protocol == "/bug"
        assert type(error).__name__ in failed.error
        assert await bob.ping(alice.peer_id) > 0


async def test_streams_of_one_protocol_and_peer_are_limited() -> None:
    limits = Limits(max_streams_per_protocol_and_peer=2)
    async with Host(listen=[TCP_ADDR], limits=limits) as alice, Host() as bob:
        alice.set_handler("/echo", echo)
        alice.set_handler("/one", echo, max_streams_per_peer=1)
        for protocol, most in (("/echo", 2), ("/one", 1)):
            held = [await bob.open_stream(alice.addrs[0], protocol) for _ in range(most)]
            with pytest.raises(StreamReset):
                await (await bob.open_stream(alice.peer_id, protocol)).read(1)
            async with Host() as carol:  # another peer has its own
                other = await carol.open_stream(alice.addrs[0], protocol)
                await other.write(b"x")
                assert await other.read(1) == b"x"
            await held[0].close()


async def test_many_streams_at_once_each_with_its_own_bytes() -> None:
    limits = Limits(max_streams_per_protocol_and_peer=1000)
    async with Host(listen=[TCP_ADDR], limits=limits, services=[Echo()]) as alice, Host() as bob:

        async def ask(number: int) -> None:
            stream = await bob.open_stream(alice.addrs[0], "/echo/1.0.0")
            data = number.to_bytes(4, "big") * 500
            await stream.write(data)
            await stream.close_write()
            assert await stream.read() == data

        await asyncio.gather(*(ask(number) for number in range(150)))
        await until(lambda: not any(c.streams for c in alice.connections + bob.connections))


async def test_streams_tell_how_they_ended() -> None:
    async with Host(listen=[TCP_ADDR]) as alice, Host() as bob:
        events = events_of(bob)
        alice.set_handler("/echo", echo)
        polite = await bob.open_stream(alice.addrs[0], "/echo")
        await polite.write(b"abc")
        await polite.close_write()
        assert await polite.read() == b"abc"
        rude = await bob.open_stream(alice.peer_id, "/echo")
        await rude.reset()
        with pytest.raises(StreamReset):
            await rude.write(b"x")
        lost = await bob.open_stream(alice.peer_id, "/echo")
        await bob.disconnect(alice.peer_id)
        with pytest.raises(ConnectionLost):
            await lost.read(1)
        ends = [e for e in kinds(events, StreamEnded) if e.protocol == "/echo"]
        assert [e.how for e in ends] == ["closed", "reset by us", "lost"]
        assert (ends[0].bytes_read, ends[0].bytes_written) == (3, 3)
        assert len([e for e in kinds(events, StreamStarted) if e.protocol == "/echo"]) == 3


# -- the optimistic first message ------------------------------------------------------------------


async def test_a_protocol_that_the_peer_told_is_taken_as_agreed() -> None:
    async with Host(listen=[TCP_ADDR], services=[Echo(), Identify()]) as alice, Host() as bob:
        await bob.connect(alice.addrs[0])
        await bob.identify_result(alice.peer_id)
        lines = []
        bob.trace.listen(
            lambda entry: lines.append(entry) if entry.layer == "negotiation" else None
        )
        stream = await bob.open_stream(alice.peer_id, "/echo/1.0.0")
        assert [entry.direction for entry in lines] == ["sent", "sent"]
        await stream.write(b"x")
        assert await stream.read(1) == b"x"
        assert len([entry for entry in lines if entry.direction == "received"]) == 2


async def test_a_refusal_of_what_was_taken_as_agreed_shows_at_the_first_read() -> None:
    async with Host(listen=[TCP_ADDR], services=[]) as alice, Host(services=[]) as bob:
        await bob.connect(alice.addrs[0])
        bob.peerstore.set_protocols(alice.peer_id, ["/gone"])
        stream = await bob.open_stream(alice.peer_id, "/gone")
        await stream.write(b"hello?")
        with pytest.raises(NegotiationError):
            await stream.read(1)
        with pytest.raises((StreamReset, StreamClosed)):
            await stream.write(b"x")


# -- telling, refusing -----------------------------------------------------------------------------


async def test_connections_and_listeners_are_told() -> None:
    async with Host() as bob:
        opened, closed = [], []
        bob.on_connect(opened.append)
        bob.on_disconnect(closed.append)
        events = events_of(bob)
        await bob.listen(TCP_ADDR)
        async with Host() as alice:
            await alice.connect(bob.addrs[0])
            await until(lambda: opened)
            assert opened[0].remote_peer == alice.peer_id
        await until(lambda: closed)
        assert closed == opened
        [told] = kinds(events, ConnectionOpened)
        assert (told.peer, told.direction) == (str(alice.peer_id), "inbound")
        assert kinds(events, ConnectionClosed)[0].reason == "closed"
        assert len(kinds(events, ListenerOpened)) == 1
    assert len(kinds(events, ListenerClosed)) == 1


class Doorman:
    """Asks itself every question; says no to one of them."""

    def __init__(self, refused: str = "") -> None:
        self.refused = refused
        self.asked: list[str] = []

    def _answer(self, question: str) -> bool:
        self.asked.append(question)
        return question != self.refused

    def allow_dial_peer(self, peer) -> bool:
        return self._answer("dial_peer")

    def allow_dial_addr(self, peer, addr) -> bool:
        return self._answer("dial_addr")

    def allow_accept(self, remote_addr) -> bool:
        return self._answer("accept")

    def allow_secured(self, direction, peer, addr) -> bool:
        return self._answer(f"secured {direction}")

    def allow_upgraded(self, connection) -> bool:
        return self._answer("upgraded")


async def test_a_gater_is_asked_in_order() -> None:
    ours, theirs = Doorman(), Doorman()
    async with Host(listen=[TCP_ADDR], gater=theirs) as alice, Host(gater=ours) as bob:
        await bob.connect(alice.addrs[0])
        await until(lambda: alice.connections)
    assert ours.asked == ["dial_peer", "dial_addr", "secured outbound", "upgraded"]
    assert theirs.asked == ["accept", "secured inbound", "upgraded"]


@pytest.mark.parametrize("hook", ["dial_peer", "dial_addr", "secured outbound", "upgraded"])
async def test_a_gater_that_refuses_a_dial(hook) -> None:
    async with Host(listen=[TCP_ADDR]) as alice, Host(gater=Doorman(hook)) as bob:
        with pytest.raises(DialError, match="gater"):
            await bob.connect(alice.addrs[0])
        assert not bob.connections


@pytest.mark.parametrize("hook", ["accept", "secured inbound", "upgraded"])
async def test_a_gater_that_refuses_an_arrival(hook) -> None:
    async with Host(listen=[TCP_ADDR], gater=Doorman(hook)) as alice, Host() as bob:
        with contextlib.suppress(DialError):
            connection = await bob.connect(alice.addrs[0])
            await until(lambda: not connection.is_open)
        assert not alice.connections


async def test_a_block_list_works_both_ways() -> None:
    blocked = BlockList()
    async with (
        Host(listen=[TCP_ADDR], gater=blocked) as alice,
        Host(listen=[TCP_ADDR]) as bob,
    ):
        blocked.blocked.add(bob.peer_id)
        with pytest.raises(DialError):
            await alice.connect(bob.addrs[0])
        with contextlib.suppress(DialError):
            connection = await bob.connect(alice.addrs[0])
            await until(lambda: not connection.is_open)
        assert not alice.connections
        blocked.blocked.clear()
        await alice.connect(bob.addrs[0])


async def test_too_many_connections_in_all_and_of_one_peer() -> None:
    limits = Limits(max_connections=2)
    async with (
        Host(listen=[TCP_ADDR], limits=limits) as alice,
        contextlib.AsyncExitStack() as stack,
    ):
        others = [await stack.enter_async_context(Host()) for _ in range(3)]
        for other in others[:2]:
            await other.connect(alice.addrs[0])
        await until(lambda: len(alice.connections) == 2)
        with contextlib.suppress(DialError):
            connection = await others[2].connect(alice.addrs[0])
            await until(lambda: not connection.is_open)
        assert len(alice.connections) == 2
    key = KeyPair.generate()
    limits = Limits(max_connections_per_peer=1)
    async with (
        Host(listen=[TCP_ADDR], limits=limits) as alice,
        Host(key=key) as one,
        Host(key=key) as other,
    ):
        await one.connect(alice.addrs[0])
        await until(lambda: alice.connections)
        with contextlib.suppress(DialError):
            connection = await other.connect(alice.addrs[0])
            await until(lambda: not connection.is_open)
        assert len(alice.connections) == 1
        assert await one.ping(alice.peer_id) > 0


# -- wrong calls -----------------------------------------------------------------------------------


async def test_a_host_that_does_not_run() -> None:
    host = Host()
    assert not host.is_running
    for call in (
        lambda: host.connect(NOBODY),
        lambda: host.listen(TCP_ADDR),
        lambda: host.open_stream(NOBODY, "/x"),
        lambda: host.ping(NOBODY),
    ):
        with pytest.raises(LocalError, match="not started"):
            await call()
    await host.close()
    assert "closed" in repr(host)
    with pytest.raises(LocalError, match="closed"):
        await host.connect(NOBODY)


async def test_a_host_is_started_once() -> None:
    async with Host() as host:
        assert "running" in repr(host)
        with pytest.raises(LocalError, match="started before"):
            await host.start()
    with pytest.raises(LocalError):
        await host.start()
    await host.close()


async def test_wrong_arguments() -> None:
    async with Host(transports=[TCP()], services=[]) as host:
        with pytest.raises(LocalError, match="no transport"):
            await host.listen("/memory/0")
        for nonsense in ("/ip4/1.2.3", "nonsense", ""):
            with pytest.raises(LocalError):
                await host.connect(nonsense)
        with pytest.raises(LocalError, match="itself"):
            await host.connect(PeerInfo(host.peer_id, ["/ip4/127.0.0.1/tcp/1"]))
        with pytest.raises(DialError):
            await host.connect(NOBODY)
        with pytest.raises(LocalError, match="names no peer"):
            await host.disconnect("/ip4/127.0.0.1/tcp/1")
        for missing in (lambda: host.ping(NOBODY), lambda: host.identify_result(NOBODY)):
            with pytest.raises(LocalError, match="this host has no"):
                await missing()
        for missing in (Fetch, Perf):
            with pytest.raises(LocalError, match=missing.__name__):
                host.service(missing)
    with pytest.raises(LocalError):
        Host(security=[])
    with pytest.raises(LocalError):
        Host(muxers=[])
    with pytest.raises(LocalError):
        PeerInfo(
            NOBODY,
            ["/ip4/1.2.3.4/tcp/1/p2p/" + str(PeerId.from_public_key(KeyPair.generate().public))],
        )


async def test_an_address_that_cannot_be_listened_at_closes_everything() -> None:
    async with Host(listen=[TCP_ADDR]) as alice:
        with pytest.raises(OSError):
            await Host(listen=[TCP_ADDR, alice.addrs[0].without_peer()]).start()


async def test_identify_of_a_stranger() -> None:
    async with Host(listen=[TCP_ADDR], services=[]) as alice, Host() as bob:
        with pytest.raises(LocalError, match="connect first"):
            await bob.identify_result(alice.peer_id)
        await bob.connect(alice.addrs[0])
        with pytest.raises(NegotiationError, match="did not identify"):
            await bob.identify_result(alice.peer_id)


async def test_a_peer_that_never_answers_a_proposal() -> None:
    limits = Limits(negotiation_timeout=0.2)
    async with Host(listen=[TCP_ADDR], services=[]) as alice, Host(limits=limits) as bob:
        alice._accept_stream = lambda stream: None
        alice._swarm._on_stream = lambda stream: None
        await bob.connect(alice.addrs[0])
        with pytest.raises(NegotiationError, match="does not answer"):
            await bob.open_stream(alice.peer_id, "/x")


# -- the end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("closer", ["listener", "dialer", "both"])
async def test_closing_while_everything_is_busy(closer) -> None:
    """Floods each way, handlers asleep, dials and pings under way: all ends, typed, and nothing is left."""
    limits = Limits(close_timeout=0.3)
    async with (
        Host(listen=[TCP_ADDR], limits=limits, services=[Echo(), Identify(), Ping()]) as alice,
        Host(limits=limits) as bob,
    ):

        @alice.handle("/sleep")
        async def sleep(stream) -> None:
            await asyncio.Event().wait()

        @alice.handle("/flood")
        async def flood(stream) -> None:
            while True:
                await stream.write(bytes(100_000))

        async def push() -> None:
            stream = await bob.open_stream(alice.addrs[0], "/sleep")
            while True:
                await stream.write(bytes(100_000))

        async def pull() -> None:
            stream = await bob.open_stream(alice.addrs[0], "/flood")
            while await stream.read(1000):
                await asyncio.sleep(0.001)

        async def keep_pinging() -> None:
            while True:
                await bob.ping(alice.peer_id)

        async def keep_dialing() -> None:
            while True:
                await bob.disconnect(NOBODY)
                with contextlib.suppress(DialError):
                    await bob.connect(PeerInfo(NOBODY, ["/ip4/127.0.0.1/tcp/1"]))
                await bob.connect(alice.peer_id)
                await asyncio.sleep(0)

        await bob.connect(alice.addrs[0])
        work = [push(), push(), pull(), pull(), keep_pinging(), keep_dialing()]
        busy = [asyncio.create_task(one) for one in work]
        await asyncio.sleep(0.1)
        closing = {"listener": [alice], "dialer": [bob], "both": [alice, bob]}[closer]
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(host.close() for host in closing))
            for task in busy:
                with pytest.raises((LabError, OSError)):
                    await task
        for host in closing:
            assert not host.connections


@pytest.mark.parametrize("turns", [0, 1, 2, 5, 10, 20])
async def test_a_close_that_is_cancelled_can_be_made_again(turns) -> None:
    async with Host(listen=[TCP_ADDR]) as alice:
        bob = await Host().start()
        await bob.connect(alice.addrs[0])
        closing = asyncio.create_task(bob.close())
        for _ in range(turns):
            await asyncio.sleep(0)
        closing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await closing
        await bob.close()
        async with asyncio.timeout(PATIENCE):
            assert bob._supervisor is not None
            await bob._supervisor
        assert not bob.connections


async def test_handlers_are_cancelled_with_their_host() -> None:
    ended = []
    async with Host() as bob:
        async with Host(listen=[TCP_ADDR]) as alice:

            @alice.handle("/sleep")
            async def sleep(stream) -> None:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    ended.append(stream.protocol)
                    raise

            stream = await bob.open_stream(alice.addrs[0], "/sleep")
            reading = asyncio.create_task(stream.read())
            await until(lambda: any(c.streams for c in alice.connections))
            await asyncio.sleep(0.01)
        assert ended == ["/sleep"]
        with pytest.raises((StreamReset, ConnectionLost)):
            await reading


async def test_cancelling_what_waits_on_a_stream_leaves_it_usable() -> None:
    async with Host(listen=[TCP_ADDR], services=[Echo()]) as alice, Host() as bob:
        stream = await bob.open_stream(alice.addrs[0], "/echo/1.0.0")
        for _ in range(3):
            reading = asyncio.create_task(stream.read(1))
            await asyncio.sleep(0.001)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        await stream.write(b"still here")
        assert await stream.read_exactly(10) == b"still here"


async def test_hosts_in_networks_of_their_own_do_not_meet() -> None:
    one, other = MemoryNetwork(), MemoryNetwork()
    async with (
        Host(listen=["/memory/5"], transports=[Memory(one)]) as alice,
        Host(transports=[Memory(other)]) as bob,
    ):
        with pytest.raises(DialError):
            await bob.connect(alice.addrs[0])


def test_keys_made_from_a_seed_are_the_same_again() -> None:
    keys = [KeyPair.generate(rng=random.Random(7)) for _ in range(2)]
    assert Host(key=keys[0]).peer_id == Host(key=keys[1]).peer_id
    assert isinstance(Host(listen=[Multiaddr(TCP_ADDR)]), Host)
