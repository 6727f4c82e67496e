"""The room of universal-connectivity: what is said, offered and announced."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

import libp2p_lab as lab
from libp2p_lab.errors import LabError, LocalError, MalformedMessage
from libp2p_lab.pubsub.chat import (
    CHAT_TOPIC,
    DISCOVERY_TOPIC,
    FILE_TOPIC,
    MAX_FILE_ID,
    Announcement,
    Chat,
)

pytestmark = pytest.mark.timeout(120)


async def test_two_in_a_room() -> None:
    async with AsyncExitStack() as stack:
        services = [[lab.Identify(), lab.Ping(), lab.GossipSub()] for _ in range(2)]
        alice, bob = [
            await stack.enter_async_context(lab.Host(listen=["/memory/0"], services=parts))
            for parts in services
        ]
        rooms = [await Chat.join(host) for host in (alice, bob)]
        announced = await bob.pubsub.subscribe(DISCOVERY_TOPIC)
        await bob.connect(alice.addrs[0])
        async with asyncio.timeout(60):
            while not all(
                host.pubsub.mesh(topic)
                for host in (alice, bob)
                for topic in (CHAT_TOPIC, FILE_TOPIC)
            ) or not alice.pubsub.peers(DISCOVERY_TOPIC):
                await asyncio.sleep(0.02)
        assert rooms[0].peers == [bob.peer_id]
        await rooms[0].say("grüezi")
        await rooms[1].say("hello")
        heard = await rooms[1].hear(30)
        assert (heard.author, heard.text) == (alice.peer_id, "grüezi")
        assert heard.nick == str(alice.peer_id)[-8:]
        assert (await rooms[0].hear(30)).text == "hello", "one's own words are not heard"

        await rooms[0].offer_file("map.txt", b"here be dragons")
        author, file_id = await rooms[1].next_file(30)
        assert await rooms[1].fetch_file(author, file_id) == b"here be dragons"
        with pytest.raises(LabError):
            await rooms[1].fetch_file(author, "no such file")
        with pytest.raises(LocalError):
            await rooms[0].offer_file("x" * (MAX_FILE_ID + 1), b"")

        await rooms[0].announce()
        told = Announcement.decode((await announced.get(30)).data)
        assert told.peer_id == alice.peer_id
        assert [addr.with_peer(alice.peer_id) for addr in told.addrs] == alice.addrs

        await rooms[0].say("bye")
        async with asyncio.timeout(60):
            async for said in rooms[1]:
                assert said.text == "bye"
                break
        for room in rooms:
            room.leave()


@given(st.binary(min_size=1), st.lists(st.integers(1, 65535)))
def test_an_announcement_comes_back(key: bytes, ports: list[int]) -> None:
    told = Announcement(key, tuple(lab.Multiaddr(f"/ip4/192.0.2.1/tcp/{port}") for port in ports))
    assert Announcement.decode(told.encode()) == told


@given(st.binary(max_size=200))
def test_garbage_ends_in_a_typed_error(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        Announcement.decode(data)
