"""A goodbye: what runs goes on, and what is new finds another connection."""

from __future__ import annotations

import asyncio

from libp2p_lab import TCP, Echo, Host, Noise


async def test_after_a_goodbye_open_streams_go_on_and_new_ones_dial_again() -> None:
    parts = {"security": [Noise()], "transports": [TCP()], "services": [Echo()]}
    async with (
        Host(listen=["/ip4/127.0.0.1/tcp/0"], **parts) as bob,
        Host(**parts) as alice,
    ):
        first = await alice.connect(bob.addrs[0])
        old = await alice.open_stream(bob.peer_id, "/echo/1.0.0")
        await old.write(b"before")
        assert await old.read_exactly(6) == b"before"

        (theirs,) = bob.connections
        theirs._session.go_away()
        theirs._wake_if_needed()
        async with asyncio.timeout(60):
            while not first.is_ending:
                await asyncio.sleep(0.005)
        assert first.is_open

        new = await alice.open_stream(bob.peer_id, "/echo/1.0.0")
        assert new.connection is not first
        for stream in (old, new):
            await stream.write(b"after")
            assert await stream.read_exactly(5) == b"after"
        assert len(alice.connections) == 2
