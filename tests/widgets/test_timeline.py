"""Timeline: what a page is told of live hosts, of a recording, and of several that are compared."""

from __future__ import annotations

import asyncio

import pytest

from libp2p_lab import Host, LocalError, Recording, record
from libp2p_lab.sim import Internet
from libp2p_lab.widgets import Timeline, first_byte
from libp2p_lab.widgets.timeline import MAX_ENTRIES
from tests.widgets.conftest import Open


def test_recordings_are_compared() -> None:
    timeline = Timeline({"as it is": first_byte(), "<slow>": first_byte(optimistic=False)})
    assert timeline.round_trips == {"as it is": 2, "<slow>": 4}
    assert [setup.security for setup in timeline.setups] == ["/noise", "/noise"]
    assert timeline.summary() == "2 peers, 30 messages"
    bundle = timeline._repr_mimebundle_()
    assert "first byte leaves" in bundle["text/plain"]
    assert "4, 400.0 ms" in bundle["text/plain"]
    assert "*" not in bundle["text/plain"]
    assert "<slow>" not in bundle["text/html"]
    assert bundle["text/html"].count("<svg") == 2
    assert "bob" in bundle["text/html"]
    timeline.close()


async def test_live_hosts_are_followed_while_somebody_looks(open_page: Open) -> None:
    async with Host(listen=["/ip4/127.0.0.1/tcp/0"]) as alice, Host() as bob:
        timeline = Timeline({"alice": alice, "bob": bob})
        page = open_page(timeline)
        assert page.of("snapshot")[0]["panels"][0]["arrows"] == []
        await bob.ping(alice.addrs[0])
        async with asyncio.timeout(60):
            while (
                not page.of("update")
                or len(page.of("update")[-1]["panels"][0]["setups"]) < 1
                or not any(
                    stage[0] == "first answer"
                    for stage in page.of("update")[-1]["panels"][0]["setups"][0]["stages"]
                )
            ):
                await asyncio.sleep(0.02)
                page.draw()
        (panel,) = page.of("update")[-1]["panels"]
        assert sorted(panel["lanes"]) == ["alice", "bob"]
        assert panel["level"] == "messages"
        assert panel["setups"][panel["main"]]["title"] == "bob → alice: tcp, /noise, /yamux/1.0.0"
        line = next(arrow for arrow in panel["arrows"] if arrow[8] == "/noise")
        page.tell("open_arrow", panel=0, arrow=line[0])
        assert page.of("message")[0]["message"]["fields"][1]["value"] == "/noise"
        page.tell("open_arrow", panel=3, arrow=0)
        assert page.of("message")[1]["message"] is None
        text = timeline._repr_mimebundle_()["text/plain"]
        assert "1*" in text
        assert "left no trace" in text
        page.tell("clear")
        await page.wait_for("update", len(page.of("update")) + 1)
        assert page.of("update")[-1]["panels"][0]["arrows"] == []
        page.tell("close")
        assert not bob.trace.listeners


def test_a_simulated_internet_with_its_packets() -> None:
    with Internet(seed=1) as net:
        alice, bob = net.host("alice"), net.host("bob")
        timeline = Timeline(net)
        net.run(bob.ping(alice.addrs[0]))
        (setup,) = timeline.setups
        assert setup.round_trips == 3
        assert all(stage.is_measured for stage in setup.stages)
        text = timeline._repr_mimebundle_()["text/plain"]
        assert "syn, by the system" in text
        assert "alice" in text
        timeline.close()
        assert not net.trace.listeners


def test_only_one_connection_and_names() -> None:
    log = first_byte()
    peers = {entry.node for entry in log if entry.node != "internet"}
    named = Timeline(log, connection="1", names={"someone": min(peers)})
    assert "someone" in named._repr_mimebundle_()["text/plain"]
    assert Timeline(log, connection=9).setups == []


async def test_other_things_are_refused() -> None:
    async with Host() as host:
        with pytest.raises(LocalError, match="not both"):
            Timeline({"a": host, "b": Recording()})  # type: ignore[dict-item]
    with pytest.raises(LocalError, match="hosts or a recording"):
        Timeline([3])  # type: ignore[list-item]


async def test_what_is_kept_is_bounded() -> None:
    async with Host() as host:
        timeline = Timeline(host)
        with record(host):
            for _ in range(MAX_ENTRIES + 5):
                host._probe.on("stream", "1/1").emit("sent", b"x")
        (panel,) = timeline._panels
        assert (len(panel.entries), panel.dropped) == (MAX_ENTRIES, 5)
        timeline.close()
