"""The lens lists, opens, filters at the source, saves, and stops."""

from __future__ import annotations

import asyncio

import pytest

from libp2p_lab import Host, LocalError
from libp2p_lab.recording import record
from libp2p_lab.recording.recorder import Recording
from libp2p_lab.widgets import WireLens
from libp2p_lab.widgets.wire_lens import MAX_BATCH
from tests.widgets.conftest import Open
from tests.widgets.trace_samples import Conversation, ping_conversation

MEMORY = ("/memory/0",)


def test_a_recording_is_listed_whole_and_each_row_opens(open_page: Open) -> None:
    entries = ping_conversation().entries
    page = open_page(WireLens(entries))
    (snapshot,) = page.of("snapshot")
    assert len(snapshot["rows"]) == len(entries)
    assert snapshot["is_live"] is False
    assert len(snapshot["nodes"]) == 2
    for row in snapshot["rows"]:
        page.tell("open_row", number=row["seq"])
    opened = page.of("message")
    assert len(opened) == len(entries)
    assert all(message["message"]["title"] for message in opened)
    page.tell("open_row", number=10_000)
    assert page.of("message")[-1]["message"] is None


async def test_live_messages_arrive_in_batches(open_page: Open) -> None:
    async with Host(listen=MEMORY) as alice, Host() as bob:
        page = open_page(WireLens([alice, bob]))
        await bob.connect(alice.addrs[0])
        await bob.ping(alice.peer_id)
        async with asyncio.timeout(30):
            layers: set[str] = set()
            while not {"security", "muxer", "stream", "negotiation", "host"} <= layers:
                await asyncio.sleep(0.02)
                page.draw()
                layers = {row["layer"] for batch in page.of("rows") for row in batch["rows"]}
        protocols = {row["protocol"] for batch in page.of("rows") for row in batch["rows"]}
        assert "/ipfs/ping/1.0.0" in protocols
        page.tell("close")
        assert not alice.trace.listeners
        page.tell("open")
        assert alice.trace.listeners  # shown again: it goes on


async def test_only_one_connection() -> None:
    async with Host(listen=MEMORY) as alice, Host() as bob, Host() as carol:
        await bob.connect(alice.addrs[0])
        await bob.ping(alice.peer_id)  # by now alice knows of the connection too
        lens = WireLens(alice, alice.connections[0])
        await carol.ping((await carol.connect(alice.addrs[0])).remote_peer)
        await bob.ping(alice.peer_id)
        own = str(alice.connections[0].id)
        assert lens.entries
        assert {entry.link.split("/")[0] for entry in lens.entries} == {own}
        lens.close()
        assert not alice.trace.listeners


def test_what_is_too_fast_is_counted_and_kept(open_page: Open) -> None:
    lens = WireLens([])
    page = open_page(lens)
    conversation = Conversation()
    conversation.connect()
    for stream_id in range(1, 60, 2):
        conversation.ping(stream_id)
    for entry in conversation.entries:
        lens._take(entry)
    message, _ = lens._flush()
    assert len(message["rows"]) == MAX_BATCH
    assert message["skipped"] == len(conversation.entries) - MAX_BATCH
    assert lens.entries == conversation.entries
    assert lens._flush() is None
    page.tell("clear")
    assert lens.entries == []


def test_saving(open_page: Open, tmp_path) -> None:
    entries = ping_conversation().entries
    page = open_page(WireLens(Recording(entries, epoch=0.0)))
    for kind in ("jsonl", "pcapng"):
        page.tell("export", kind=kind)
    (lines, pcapng) = [buffers[0] for message, buffers in page.sent if message["type"] == "file"]
    (tmp_path / "trace.jsonl").write_bytes(lines)
    assert Recording.load(tmp_path / "trace.jsonl").entries == entries
    assert pcapng[:4] == bytes.fromhex("0a0d0d0a")


async def test_a_log_of_record_is_a_source() -> None:
    async with Host(listen=MEMORY) as alice, Host() as bob:
        with record(alice) as log:
            await bob.connect(alice.addrs[0])
        lens = WireLens(log)
        assert len(lens.entries) == len(log)
        lens.close()


def test_the_static_form_names_the_messages() -> None:
    bundle = WireLens(ping_conversation().entries)._repr_mimebundle_()
    assert "Noise handshake 1" in bundle["text/plain"]
    assert "lab-run" in bundle["text/html"]
    assert "ephemeral" in bundle["text/html"]


def test_something_else_is_refused() -> None:
    with pytest.raises(LocalError, match="hosts or at a recording"):
        WireLens(["alice"])  # type: ignore[list-item]
