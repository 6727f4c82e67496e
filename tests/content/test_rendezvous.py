"""Rendezvous: messages, lists, and live hosts that meet."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import libp2p_lab as lab
from libp2p_lab.content.events import Registered, RegistrationFailed
from libp2p_lab.content.registrations import Refused, Registrations
from libp2p_lab.content.rendezvous_messages import (
    MAX_NUMBER,
    PROTOCOL_ID,
    Discover,
    DiscoverResponse,
    Register,
    RegisterResponse,
    Status,
    Unregister,
    decode,
)
from libp2p_lab.errors import LocalError, MalformedMessage, NegotiationError, ProtocolViolation

HOUR = 3600
numbers = st.integers(0, MAX_NUMBER)
texts = st.text(max_size=40)
registers = st.builds(Register, texts, st.binary(max_size=80), st.none() | numbers)
statuses = st.sampled_from(Status)
messages = st.one_of(
    registers,
    st.builds(RegisterResponse, statuses, texts, numbers),
    st.builds(Unregister, texts),
    st.builds(Discover, texts, st.none() | numbers, st.binary(max_size=40)),
    st.builds(
        DiscoverResponse, statuses, texts, st.lists(registers, max_size=4).map(tuple), st.binary()
    ),
)


@given(messages)
def test_every_message_survives_the_wire(message: Any) -> None:
    assert decode(message.encode()) == message


@given(st.binary(max_size=200))
def test_garbage_is_refused_by_name(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        decode(data)


def test_bytes_as_the_spec_draws_them() -> None:
    request = Register("app", b"rec", 7200)
    assert request.encode().hex() == "0800" + "120d" + "0a03617070" + "1203726563" + "18a038"
    assert (
        Discover("app", 5, b"c").encode().hex()
        == "0803" + "2a0a" + "0a03617070" + "1005" + "1a0163"
    )
    assert decode(bytes.fromhex("0801" + "1a03" + "08c803")) == RegisterResponse(
        Status.E_INTERNAL_ERROR
    )  # 456 is no status that anybody knows
    for unknown in ("0807", "", "2a0a"):
        with pytest.raises(MalformedMessage):
            decode(bytes.fromhex(unknown))
    # Written by proto3, which leaves zeros out: the type of REGISTER is 0.
    assert decode(bytes.fromhex("120d" + "0a03617070" + "1203726563" + "18a038")) == Register(
        "app", b"rec", 7200
    )
    with pytest.raises(LocalError):
        Discover(limit=-1).encode()


class Peer:
    """A key with its id, which says where it is."""

    def __init__(self) -> None:
        self.key = lab.KeyPair.generate("ed25519")
        self.id = lab.PeerId.from_public_key(self.key.public)
        addr = lab.Multiaddr("/ip4/10.0.0.1/tcp/4001")
        self.record = lab.PeerRecord(self.id, 1, (addr,)).seal(self.key).encode()

    def ask(self, namespace: str = "app", ttl: int | None = None) -> Register:
        return Register(namespace, self.record, ttl)


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def refusal(lists: Registrations, peer: Peer, request: Register) -> Status:
    with pytest.raises(Refused) as caught:
        lists.register(peer.id, request)
    return caught.value.status


@pytest.mark.parametrize("kept", ["memory", "file"])
def test_lists_are_read_in_pages_and_only_what_is_new(kept: str, tmp_path: Path) -> None:
    lists = Registrations(":memory:" if kept == "memory" else tmp_path / "lists.db", Clock())
    peers = [Peer() for _ in range(5)]
    for peer in peers:
        assert lists.register(peer.id, peer.ask()) == 2 * HOUR
    first = lists.discover("app", 3)
    rest = lists.discover("app", 3, first.cookie)
    assert [one.record for one in (*first.registrations, *rest.registrations)] == [
        peer.record for peer in peers
    ]
    assert lists.discover("app", cookie=rest.cookie).registrations == ()
    lists.register(peers[0].id, peers[0].ask(ttl=3 * HOUR))  # one that is renewed is news
    [again] = lists.discover("app", cookie=rest.cookie).registrations
    assert again == Register("app", peers[0].record, 3 * HOUR)
    lists.register(peers[1].id, peers[1].ask("other"))
    assert len(lists.discover("").registrations) == 6
    lists.unregister(peers[0].id, "app")
    lists.unregister(peers[0].id, "never there")
    assert len(lists.discover("app", limit=0).registrations) == 4
    lists.close()


def test_registrations_expire_and_a_new_ttl_counts() -> None:
    clock = Clock()
    lists = Registrations(clock=clock)
    short, long = Peer(), Peer()
    lists.register(short.id, short.ask())
    lists.register(long.id, long.ask())
    lists.register(long.id, long.ask(ttl=72 * HOUR))
    clock.now += 2 * HOUR
    [left] = lists.discover("app").registrations
    assert (left.record, left.ttl) == (long.record, 70 * HOUR)
    assert len(lists) == 1
    lists.close()


def test_lists_and_cookies_outlive_the_program_in_a_file(tmp_path: Path) -> None:
    path, peer, clock = tmp_path / "lists.db", Peer(), Clock()
    lists = Registrations(path, clock)
    lists.register(peer.id, peer.ask())
    cookie = lists.discover("app").cookie
    lists.close()
    lists = Registrations(path, clock)
    assert len(lists.discover("app").registrations) == 1
    assert lists.discover("app", cookie=cookie).registrations == ()
    lists.close()
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(LocalError):
        Registrations(path)


def test_every_refusal_has_its_status() -> None:
    clock = Clock()
    lists, peer, other = Registrations(clock=clock), Peer(), Peer()
    assert refusal(lists, peer, peer.ask("")) == Status.E_INVALID_NAMESPACE
    assert refusal(lists, peer, peer.ask("é" * 128)) == Status.E_INVALID_NAMESPACE
    assert refusal(lists, peer, peer.ask(ttl=HOUR)) == Status.E_INVALID_TTL
    assert refusal(lists, peer, peer.ask(ttl=72 * HOUR + 1)) == Status.E_INVALID_TTL
    assert refusal(lists, peer, other.ask()) == Status.E_NOT_AUTHORIZED
    for record in (b"", b"x", peer.record[:-1] + b"?"):
        bad = Register("app", record)
        assert refusal(lists, peer, bad) == Status.E_INVALID_SIGNED_PEER_RECORD
    cookie = lists.discover("app").cookie
    clock.now += 1
    younger = Registrations(clock=clock)
    for wrong_lists, namespace, wrong in (
        (lists, "app", b"x"),
        (lists, "other", cookie),
        (lists, "", cookie),
        (lists, "app", cookie[:8] + b"\xff" * 8 + cookie[16:]),
        (younger, "app", cookie),
    ):
        with pytest.raises(Refused) as caught:
            wrong_lists.discover(namespace, cookie=wrong)
        assert caught.value.status == Status.E_INVALID_COOKIE
    assert len(lists) == 0
    lists.close()
    younger.close()


@given(st.binary(max_size=60))
def test_a_made_up_cookie_is_refused(cookie: bytes) -> None:
    lists = Registrations(clock=Clock())
    answer = parts(lists)[-1].answer(Peer().id, Discover("app", cookie=cookie))
    assert answer.status == (Status.E_INVALID_COOKIE if cookie else Status.OK)
    lists.close()


def parts(registrations: Registrations | None = None) -> list[Any]:
    return [lab.Identify(), lab.Ping(), lab.Rendezvous(registrations)]


async def test_two_that_know_a_third_meet() -> None:
    async with (
        lab.Host(listen=["/ip4/127.0.0.1/tcp/0"], services=parts(Registrations())) as point,
        lab.Host(listen=["/ip4/127.0.0.1/tcp/0"], services=parts()) as alice,
        lab.Host(listen=["/ip4/127.0.0.1/tcp/0"], services=parts()) as bob,
    ):
        where = point.addrs[0]
        assert await alice.rendezvous.register(where, "app") == 2 * HOUR
        found = await bob.rendezvous.discover(where, "app")
        assert [peer.peer_id for peer in found.peers] == [alice.peer_id]
        assert await bob.ping(alice.peer_id) > 0  # by its name alone: the addresses are known now
        assert await bob.rendezvous.register(where, "app", 3 * HOUR) == 3 * HOUR
        new = await bob.rendezvous.discover(where, "app", cookie=found.cookie)
        assert new.peers == ()  # only itself
        await alice.rendezvous.unregister(where, "app")
        assert (await bob.rendezvous.discover(where)).peers == ()
        with pytest.raises(Refused) as caught:
            await alice.rendezvous.register(where, "app", 1)
        assert caught.value.status == Status.E_INVALID_TTL
        with pytest.raises(Refused) as caught:
            await alice.rendezvous.discover(where, "other", cookie=found.cookie)
        assert caught.value.status == Status.E_INVALID_COOKIE
        with pytest.raises(NegotiationError):
            await bob.rendezvous.discover(alice.peer_id)
        service = point.rendezvous
        with pytest.raises(ProtocolViolation):
            service.answer(alice.peer_id, RegisterResponse(Status.OK))


# -- going on, in virtual time ------------------------------------------------------------------------------------


class Scene:
    """A point whose lists forget within minutes, and peers that come and go."""

    def __init__(self, seed: int) -> None:
        self.net = lab.sim.Internet(seed=seed)
        self.limits = lab.Limits(
            rendezvous_ttl_min=10.0, rendezvous_ttl=120.0, rendezvous_poll=20.0
        )
        self.lists = Registrations(clock=self.net.loop.time, limits=self.limits)
        self.point = self.host("point", self.lists)
        self.where = self.point.addrs[0]

    def host(self, name: str, lists: Registrations | None = None) -> Any:
        def services() -> list[Any]:
            return [lab.Identify(), lab.Rendezvous(lists)]

        return self.net.host(name, services=services, limits=self.limits)

    def run(self, story: Any) -> None:
        self.net.run(story, until=10_000.0)
        self.net.close()
        self.lists.close()


def test_a_registration_is_kept_until_its_peer_leaves() -> None:
    scene = Scene(seed=1)
    alice, bob = scene.host("alice"), scene.host("bob")
    times: list[float] = []
    alice.trace.listen(lambda e: times.append(e.time) if isinstance(e.what, Registered) else None)

    async def story() -> None:
        assert await alice.rendezvous.keep(scene.where, "app") == 120
        for _ in range(40):
            await asyncio.sleep(30)
            [peer] = (await bob.rendezvous.discover(scene.where, "app")).peers
            assert peer.peer_id == alice.peer_id
        addr, *_ = await alice.listen("/ip4/0.0.0.0/tcp/4002")
        await asyncio.sleep(5)
        [peer] = (await bob.rendezvous.discover(scene.where, "app")).peers
        assert addr.without_peer() in peer.addrs, "who moves says so at once"
        await alice.rendezvous.leave(scene.where, "app")
        await asyncio.sleep(300)
        assert (await bob.rendezvous.discover(scene.where, "app")).peers == ()

    scene.run(story())
    waits = [later - time for time, later in itertools.pairwise(times[:-1])]
    assert len(waits) > 9
    assert all(0.7 * 120 <= wait <= 0.9 * 120 + 1 for wait in waits[:-1])
    assert len({round(wait, 3) for wait in waits}) > 5, "by chance"


def test_a_point_that_was_away_is_asked_again() -> None:
    scene = Scene(seed=2)
    alice, bob = scene.host("alice"), scene.host("bob")
    failed: list[RegistrationFailed] = []
    alice.trace.listen(
        lambda e: failed.append(e.what) if isinstance(e.what, RegistrationFailed) else None
    )
    seen: list[lab.PeerId] = []

    async def watch() -> None:
        async for peer in bob.rendezvous.watch(scene.where, "app"):
            seen.append(peer.peer_id)

    async def story() -> None:
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch())
            await alice.rendezvous.keep(scene.where, "app")
            await asyncio.sleep(60)
            assert seen == [alice.peer_id]
            scene.point.crash()
            await asyncio.sleep(600)
            assert len(failed) >= 4
            lists = Registrations(clock=scene.net.loop.time, limits=scene.limits)
            away = (
                scene.point
            )  # the same machine and key; what it knew is gone, and so are its cookies
            await away.restart()
            away.rendezvous.registrations = lists
            away.set_handler(PROTOCOL_ID, away.rendezvous._serve)
            await asyncio.sleep(400)
            carol = scene.host("carol")
            await carol.rendezvous.keep(scene.where, "app")
            await asyncio.sleep(100)
            assert [*dict.fromkeys(seen)] == [alice.peer_id, carol.peer_id]
            watching.cancel()
            lists.close()

    scene.run(story())


def test_who_watches_is_told_of_each_once_page_by_page() -> None:
    scene = Scene(seed=3)
    bob = scene.host("bob")
    seen: list[lab.PeerId] = []
    crowd = [Peer() for _ in range(30)]
    scene.lists._limits = replace(scene.limits, rendezvous_discovered=7)

    async def story() -> None:
        for peer in crowd[:25]:
            scene.lists.register(peer.id, peer.ask())
        async with asyncio.timeout(1000):
            async for info in bob.rendezvous.watch(scene.where, "app", interval=10.0):
                seen.append(info.peer_id)
                if len(seen) == 25:
                    for peer in crowd[:10]:
                        scene.lists.register(peer.id, peer.ask())  # renewed: not told again
                    for peer in crowd[25:]:
                        scene.lists.register(peer.id, peer.ask())
                if len(seen) == 30:
                    break

    scene.run(story())
    assert seen == [peer.id for peer in crowd]


def test_what_cannot_be_kept_says_so_at_once() -> None:
    scene = Scene(seed=4)
    alice, bob = scene.host("alice"), scene.host("bob")

    async def story() -> None:
        with pytest.raises(Refused):
            await alice.rendezvous.keep(scene.where, "app", ttl=5)
        with pytest.raises(NegotiationError):
            await alice.rendezvous.keep(bob.addrs[0], "app")
        with pytest.raises(NegotiationError):
            await anext(alice.rendezvous.watch(bob.addrs[0], "app"))
        assert len(scene.lists) == 0

    scene.run(story())
