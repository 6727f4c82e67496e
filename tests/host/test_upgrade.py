"""The upgrade: whatever the two sides prefer, they meet; and no round trip is made that could be spared."""

from __future__ import annotations

import asyncio

import pytest

from libp2p_lab import TLS, DialError, Host, Noise, Yamux
from libp2p_lab.errors import NegotiationError
from libp2p_lab.host.events import DialStarted
from libp2p_lab.host.upgrade import SecurityRefused, Upgrader
from libp2p_lab.limits import DEFAULT_LIMITS
from libp2p_lab.negotiation.multistream import Line
from libp2p_lab.trace import Entry, Probe, Trace
from tests.conformance.pairs import KEYS, PEERS, memory_pair
from tests.conformance.secure_channel import Wire

HEADER = b"\x13/multistream/1.0.0\n"
NOISE, TLS_ = "/noise", "/tls/1.0.0"
PARTS = {"noise": (Noise,), "tls": (TLS,), "noise, tls": (Noise, TLS), "tls, noise": (TLS, Noise)}
PING_LINE = Line("/ipfs/ping/1.0.0")
TCP = "/ip4/127.0.0.1/tcp/0"


@pytest.mark.parametrize(
    ("dialer", "listener", "agreed", "dials"),
    [
        ("noise, tls", "noise, tls", NOISE, 1),
        ("noise, tls", "tls, noise", NOISE, 1),
        ("tls, noise", "noise, tls", TLS_, 1),
        ("noise", "tls, noise", NOISE, 1),
        ("noise, tls", "tls", TLS_, 2),  # the guess was wrong
        ("tls, noise", "noise", NOISE, 2),
    ],
)
@pytest.mark.parametrize("at", [TCP, "/memory/0"])
async def test_the_dialers_preference_decides(dialer, listener, agreed, dials, at) -> None:
    entries: list[Entry] = []
    trace = Trace()
    trace.listen(entries.append)
    async with (
        Host(listen=[at], security=[part() for part in PARTS[listener]]) as bob,
        Host(security=[part() for part in PARTS[dialer]], trace=trace) as alice,
    ):
        connection = await alice.connect(bob.addrs[0])
        assert connection.security == agreed
        assert connection.muxer == "/yamux/1.0.0"
        assert await alice.ping(bob.peer_id) > 0
    assert sum(isinstance(entry.what, DialStarted) for entry in entries) == dials


async def test_by_default_a_host_speaks_noise_and_tls() -> None:
    for part in (Noise, TLS):
        async with Host(listen=[TCP]) as bob, Host(security=[part()]) as alice:
            assert (await alice.connect(bob.addrs[0])).security == part.protocol
            await bob.disconnect(alice.peer_id)


@pytest.mark.parametrize("dialer", ["noise", "tls"])
async def test_nothing_in_common(dialer) -> None:
    (other,) = {"noise", "tls"} - {dialer}
    async with (
        Host(listen=[TCP], security=[PARTS[other][0]()]) as bob,
        Host(security=[PARTS[dialer][0]()]) as alice,
    ):
        with pytest.raises(DialError) as caught:
            await alice.connect(bob.addrs[0])
        ((_, cause),) = caught.value.attempts
        assert isinstance(cause, NegotiationError)
        assert not isinstance(cause, SecurityRefused)


class Flights:
    """Who spoke, in turns: bytes that go the same way without an answer in between are one flight."""

    def __init__(self) -> None:
        self.turns: list[int] = []

    def note(self, direction: int, _offset: int, data: bytes) -> bytes:
        # The listener's header is on its way before it has heard anything: it is no answer.
        if data != HEADER and self.turns[-1:] != [direction]:
            self.turns.append(direction)
        return data


def upgrader(n: int, *security) -> Upgrader:
    return Upgrader(KEYS[n], [part() for part in security], [Yamux()], DEFAULT_LIMITS)


@pytest.mark.parametrize(
    ("parts", "ask_first", "turns"),
    [
        ((Noise, TLS), False, [0, 1, 0]),  # proposal and message 0; answer and message 1; message 2
        ((TLS, Noise), False, [0, 1, 0]),
        ((Noise,), True, [0, 1, 0]),  # nothing else to propose: nothing to wait for
        ((Noise, TLS), True, [0, 1, 0, 1, 0]),
    ],
)
async def test_round_trips(parts, ask_first, turns) -> None:
    flights = Flights()
    async with Wire(flights.note).joined() as raw, asyncio.TaskGroup() as tasks:
        dialing = tasks.create_task(
            upgrader(0, *parts).upgrade(
                raw[0],
                is_dialer=True,
                expected_peer=PEERS[1],
                probe=Probe(),
                ask_first=ask_first,
            )
        )
        listening = tasks.create_task(
            upgrader(1, *parts).upgrade(raw[1], is_dialer=False, expected_peer=None, probe=Probe())
        )
        assert (await dialing).security == (await listening).security == parts[0].protocol
        await asyncio.sleep(0)
    assert flights.turns[: len(turns)] == turns
    assert len(flights.turns) <= len(turns) + 1, flights.turns  # TLS sends tickets behind


@pytest.mark.parametrize("optimistic", [True, False])
async def test_a_host_may_await_every_answer(optimistic) -> None:
    entries: list[Entry] = []
    trace = Trace()
    trace.listen(entries.append)
    async with (
        Host(listen=[TCP], security=[Noise()]) as bob,
        Host(security=[Noise()], trace=trace, optimistic=optimistic) as alice,
    ):
        await alice.connect(bob.addrs[0])
        await alice.identify_result(bob.peer_id)
        assert await alice.ping(bob.peer_id) > 0
    told = [
        entry
        for entry in entries
        if entry.link == "1" and entry.layer in ("negotiation", "security")
    ]
    at = [entry.direction for entry in told if entry.layer == "security"].index("sent")
    message = [entry for entry in told if entry.layer == "security"][at]
    answered = [
        entry
        for entry in told[: told.index(message)]
        if entry.direction == "received" and entry.what.text == NOISE
    ]
    assert bool(answered) is not optimistic
    ping = [
        entry
        for entry in entries
        if entry.layer in ("stream", "negotiation") and entry.what == PING_LINE
    ]
    assert ping[0].direction == "sent"
    link = ping[0].link
    talk = [entry for entry in entries if entry.link == link]
    data = next(entry for entry in talk if entry.layer == "stream" and entry.direction == "sent")
    agreed = [
        entry
        for entry in talk[: talk.index(data)]
        if entry.what == PING_LINE and entry.direction == "received"
    ]
    assert bool(agreed) is not optimistic


async def test_a_refused_guess_says_so() -> None:
    async with memory_pair() as raw:
        listening = asyncio.create_task(
            upgrader(1, TLS).upgrade(raw[1], is_dialer=False, expected_peer=None, probe=Probe())
        )
        with pytest.raises(SecurityRefused) as caught:
            await upgrader(0, Noise, TLS).upgrade(
                raw[0], is_dialer=True, expected_peer=None, probe=Probe()
            )
        assert caught.value.offered == (NOISE,)
        await raw[0].reset()
        await asyncio.gather(listening, return_exceptions=True)
