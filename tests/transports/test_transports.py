"""What the transports do beyond the rules that all keep: names, families, wildcards, races, ends."""

from __future__ import annotations

import asyncio
import socket

import pytest

from libp2p_lab.errors import ConnectionLost, DialError, ProtocolViolation
from libp2p_lab.identity import Multiaddr
from libp2p_lab.limits import Limits
from libp2p_lab.transports import TCP, Memory, MemoryNetwork
from libp2p_lab.transports.dialing import Start, race
from libp2p_lab.transports.dns import resolve
from libp2p_lab.transports.signal import Signal
from libp2p_lab.wire.byte_stream import read_exactly
from tests.conformance.transport import PEER, listening


def addresses(count: int) -> list[Multiaddr]:
    return [Multiaddr(f"/ip4/192.0.2.1/tcp/{n + 1}") for n in range(count)]


# -- tcp -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "dial", "listen"),
    [
        ("/ip4/127.0.0.1/tcp/1", True, True),
        ("/ip6/::1/tcp/1", True, True),
        ("/ip6zone/lo/ip6/fe80::1/tcp/1", True, True),
        ("/dns/localhost/tcp/1", True, False),
        ("/dns4/localhost/tcp/1", True, False),
        ("/dns6/localhost/tcp/1", True, False),
        ("/ip4/127.0.0.1/tcp/1" + PEER, True, True),
        ("/ip4/127.0.0.1/tcp/1/ws", False, False),
        ("/ip4/127.0.0.1/udp/1", False, False),
        ("/tcp/1", False, False),
        ("/ip4/127.0.0.1", False, False),
        ("/dnsaddr/example.org", False, False),
    ],
)
def test_which_addresses_are_tcps(text, dial, listen) -> None:
    addr = Multiaddr(text)
    assert (TCP().can_dial(addr), TCP().can_listen(addr)) == (dial, listen)


@pytest.mark.parametrize("name", ["dns", "dns4"])
async def test_names_are_looked_up(name) -> None:
    async with listening(TCP(), "/ip4/127.0.0.1/tcp/0") as place:
        port = place.addr.value_of("tcp")
        one, _ = await place.connect(TCP(), Multiaddr(f"/{name}/localhost/tcp/{port}"))
        assert one.remote_addr == place.addr


@pytest.mark.parametrize(("wildcard", "host"), [("/ip4/0.0.0.0", "ip4"), ("/ip6/::", "ip6")])
async def test_a_wildcard_stands_for_every_interface(wildcard, host) -> None:
    async with listening(TCP(), f"{wildcard}/tcp/0") as place:
        found = place.listener.addrs
        loopback = {"ip4": "127.0.0.1", "ip6": "::1"}[host]
        assert loopback in {addr.value_of(host) for addr in found}
        assert len({addr.value_of("tcp") for addr in found}) == 1
        assert not any(str(addr).startswith("/ip6/fe80") for addr in found)
        [dialable] = [addr for addr in found if addr.value_of(host) == loopback]
        await place.connect(TCP(), dialable)


async def test_both_families_at_one_port() -> None:
    async with listening(TCP(), "/ip4/127.0.0.1/tcp/0") as place:
        port = place.addr.value_of("tcp")
        async with listening(TCP(), f"/ip6/::1/tcp/{port}") as other:
            assert other.addr != place.addr
            await other.connect(TCP())


async def test_the_sockets_options() -> None:
    async with listening(TCP(), "/ip4/127.0.0.1/tcp/0") as place:
        for end in await place.connect(TCP()):
            sock = end._transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_a_reset_is_seen_as_lost() -> None:
    async with listening(TCP(), "/ip4/127.0.0.1/tcp/0") as place:
        one, other = await place.connect(TCP())
        await one.write(b"x")
        await one.reset()
        with pytest.raises(ConnectionLost):
            while await other.read(10):
                pass


async def test_nobody_there() -> None:
    with pytest.raises(OSError):
        await TCP().dial(Multiaddr("/ip4/127.0.0.1/tcp/1"))
    with pytest.raises(OSError):
        await Memory(MemoryNetwork()).dial(Multiaddr("/memory/1"))
    with pytest.raises(OSError):
        await TCP().listen(Multiaddr("/ip4/192.0.2.1/tcp/0"), lambda connection: None)


async def test_half_close_over_ip6() -> None:
    async with listening(TCP(), "/ip6/::1/tcp/0") as place:
        one, other = await place.connect(TCP())
        await one.write(b"question")
        await one.close_write()
        assert await other.read() == b"question"
        await other.write(b"answer")
        await other.close()
        assert await one.read() == b"answer"


# -- memory ----------------------------------------------------------------------------------------


async def test_a_number_that_is_asked_for() -> None:
    network = MemoryNetwork()
    async with listening(Memory(network), "/memory/7") as place:
        assert str(place.addr) == "/memory/7"
        with pytest.raises(OSError, match="in use"):
            await Memory(network).listen(Multiaddr("/memory/7"), lambda connection: None)


async def test_another_event_loop_is_not_reached() -> None:
    network = MemoryNetwork()
    async with listening(Memory(network), "/memory/7"):

        def elsewhere() -> None:
            with pytest.raises(ConnectionRefusedError, match="another event loop"):
                asyncio.run(Memory(network).dial(Multiaddr("/memory/7")))

        await asyncio.to_thread(elsewhere)


async def test_a_reset_behind_a_clean_end_takes_nothing_back() -> None:
    async with listening(Memory(MemoryNetwork()), "/memory/0") as place:
        one, other = await place.connect(place_transport(place))
        await one.write(b"all of it")
        await one.close()
        await one.reset()
        assert await read_exactly(other, 9) == b"all of it"


def place_transport(place) -> Memory:
    return Memory(place.listener._network)


# -- names -----------------------------------------------------------------------------------------


def records(**by_name: list[str]):
    """A fake resolver, and how often it was asked."""
    asked: list[str] = []

    async def look_up(name: str) -> list[str]:
        asked.append(name)
        key = name.removeprefix("_dnsaddr.").replace(".", "_")
        if key not in by_name:
            raise OSError(f"no such name: {name}")
        return by_name[key]

    return look_up, asked


async def test_addresses_without_names_are_themselves() -> None:
    look_up, asked = records()
    for addr in (*addresses(2), Multiaddr("/memory/1"), Multiaddr("/p2p-circuit")):
        assert await resolve(addr, look_up=look_up) == [addr]
    assert asked == []


async def test_dnsaddr_leads_to_addresses_that_end_alike() -> None:
    other = "/p2p/12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf"
    look_up, asked = records(
        a_example=[
            f"dnsaddr=/ip4/192.0.2.1/tcp/1{PEER}",
            f"dnsaddr=/ip4/192.0.2.2/tcp/1{other}",
            "dnsaddr=/nonsense",
            "something else",
            f"dnsaddr=/ip4/192.0.2.1/tcp/1{PEER}",
            f"dnsaddr=/dnsaddr/b.example{PEER}",
        ],
        b_example=[f"dnsaddr=/ip6/2001:db8::1/tcp/2{PEER}"],
    )
    found = await resolve(Multiaddr(f"/dnsaddr/a.example{PEER}"), look_up=look_up)
    assert [str(addr) for addr in found] == [
        f"/ip4/192.0.2.1/tcp/1{PEER}",
        f"/ip6/2001:db8::1/tcp/2{PEER}",
    ]
    assert asked == ["_dnsaddr.a.example", "_dnsaddr.b.example"]
    every = await resolve(Multiaddr("/dnsaddr/a.example"), look_up=look_up)
    assert len(every) == 3


async def test_a_name_that_does_not_exist() -> None:
    look_up, _ = records()
    with pytest.raises(DialError) as caught:
        await resolve(Multiaddr("/dnsaddr/nowhere.example"), look_up=look_up)
    assert "nowhere.example" in str(caught.value)


async def test_a_resolver_that_is_silent() -> None:
    async def silence(name: str) -> list[str]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(DialError):
        await resolve(Multiaddr("/dnsaddr/a.example"), Limits(dns_timeout=0.05), silence)


@pytest.mark.parametrize("name", ["dns", "dns4"])
async def test_a_name_becomes_addresses(name) -> None:
    found = await resolve(Multiaddr(f"/{name}/localhost/tcp/80{PEER}"))
    assert f"/ip4/127.0.0.1/tcp/80{PEER}" in [str(addr) for addr in found]


# -- the race --------------------------------------------------------------------------------------


class Dialer:
    """Answers each port as it was told: "ok", "fail", "hang", or an error."""

    def __init__(self, *answers: object) -> None:
        self.answers = answers
        self.started: list[int] = []
        self.cancelled: list[int] = []

    async def __call__(self, addr: Multiaddr) -> int:
        number = int(addr.value_of("tcp") or 0) - 1
        self.started.append(number)
        match self.answers[number]:
            case "ok":
                return number
            case "fail":
                raise ConnectionRefusedError(f"{number} refuses")
            case "hang":
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    self.cancelled.append(number)
                    raise
            case BaseException() as error:
                raise error
        raise AssertionError("unreachable")

    async def race(self, **options) -> int:
        delay = options.pop("delay", 0.02)
        starts = [Start(addr, n * delay) for n, addr in enumerate(addresses(len(self.answers)))]
        return await race(starts, self, **{"timeout": 30.0, **options})


async def test_the_first_that_works_wins_and_nobody_else_is_bothered() -> None:
    dialer = Dialer("ok", "ok")
    assert await dialer.race(delay=30) == 0
    assert dialer.started == [0]


async def test_a_failure_gives_its_place_to_the_next_at_once() -> None:
    dialer = Dialer("fail", "fail", "ok", "hang")
    failures = []
    assert await dialer.race(delay=30, on_failure=lambda addr, cause: failures.append(cause)) == 2
    assert dialer.started == [0, 1, 2]
    assert len(failures) == 2


async def test_a_slow_one_is_overtaken_and_cancelled() -> None:
    dialer = Dialer("hang", "hang", "ok")
    assert await dialer.race() == 2
    assert dialer.cancelled == [0, 1]


async def test_every_cause_is_told() -> None:
    with pytest.raises(DialError) as caught:
        await Dialer("fail", ProtocolViolation("no"), "hang").race(timeout=0.1)
    kinds = [type(cause) for _, cause in caught.value.attempts]
    assert kinds == [ConnectionRefusedError, ProtocolViolation, TimeoutError]
    for answer in ("fail", "hang"):
        with pytest.raises(DialError) as caught:
            await Dialer(answer).race(timeout=0.05)
        assert len(caught.value.attempts) == 1


async def test_a_bug_is_no_cause() -> None:
    dialer = Dialer("hang", ValueError("a bug"))
    with pytest.raises(ValueError, match="a bug"):
        await dialer.race()
    assert dialer.cancelled == [0]


async def test_a_cancelled_race_cancels_everybody() -> None:
    dialer = Dialer("hang", "hang", "hang")
    racing = asyncio.create_task(dialer.race(delay=0.001))
    while len(dialer.started) < 3:
        await asyncio.sleep(0.001)
    racing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await racing
    assert sorted(dialer.cancelled) == [0, 1, 2]


# -- the wake-up call ------------------------------------------------------------------------------


async def test_a_signal_wakes_all_who_wait_and_forgets() -> None:
    signal = Signal()
    signal.notify()  # nobody waits: nothing is remembered
    waiting = [asyncio.create_task(signal.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    assert len(signal._waiters) == 2
    signal.notify()
    signal.notify()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [
        asyncio.CancelledError,
        type(None),
        type(None),
    ]
    late = asyncio.create_task(signal.wait())
    await asyncio.sleep(0)
    assert not late.done()
    late.cancel()
