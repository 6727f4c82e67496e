"""The map follows live hosts, acts for the card's buttons, and leaves no listener behind."""

from __future__ import annotations

import asyncio
from array import array

import pytest

from libp2p_lab import Host, LocalError
from libp2p_lab.widgets import NetworkMap
from tests.widgets.conftest import Open

MEMORY = ("/memory/0",)


async def test_a_live_network_appears_and_moves(open_page: Open) -> None:
    async with Host(listen=MEMORY) as alice, Host(listen=MEMORY) as bob:
        widget = NetworkMap({"alice": alice, "bob": bob})
        assert not alice.trace.listeners
        page = open_page(widget)
        names = [peer["name"] for peer in page.of("snapshot")[0]["peers"]]
        assert names == ["alice", "bob"]
        await bob.connect(alice.addrs[0])
        await bob.ping(alice.peer_id)
        seen: set[str] = set()
        links = []
        async with asyncio.timeout(30):
            while "/ipfs/ping/1.0.0" not in seen or not links:
                await asyncio.sleep(0.02)
                page.draw()
                for message in page.of("update"):
                    seen |= {protocol["name"] for protocol in message["protocols"]}
                    links += message["links"]
        assert links[0]["ends"] == (0, 1)
        flights = [array("I", b[0]) for m, b in page.sent if m["type"] == "update"]
        assert sum(len(found) for found in flights) % 4 == 0
        page.tell("close")
        assert not alice.trace.listeners
        assert not bob.trace.listeners


async def test_ping_and_dial_from_the_card(open_page: Open) -> None:
    async with Host(listen=MEMORY) as alice, Host() as bob:
        page = open_page(NetworkMap([alice, bob]))
        a, b = str(alice.peer_id), str(bob.peer_id)
        page.tell("select", peer=a)
        card = page.of("card")[0]["card"]
        assert card["addrs"] == [str(alice.addrs[0])]
        assert "/ipfs/ping/1.0.0" in card["protocols"]
        assert card["agent"].startswith("libp2p_lab/")
        page.tell("dial", **{"from": b}, peer=a)
        assert (await page.wait_for("result"))["ok"]
        assert bob.peers == [alice.peer_id]
        page.tell("ping", **{"from": b}, peer=a)
        result = await page.wait_for("result", 2)
        assert result["ok"]
        assert "answered in" in result["text"]
        page.tell("dial", **{"from": a}, peer=b)  # connected already: that connection is used
        assert (await page.wait_for("result", 3))["ok"]
        page.tell("ping", **{"from": "nobody"}, peer=a)
        assert not (await page.wait_for("result", 4))["ok"]
        await bob.disconnect(alice.peer_id)
        page.tell("ping", **{"from": a}, peer=b)  # bob listens nowhere
        refused = await page.wait_for("result", 5)
        assert not refused["ok"]
        assert "DialError" in refused["text"]


async def test_what_was_open_before_is_on_the_map() -> None:
    async with Host(listen=MEMORY) as alice, Host() as bob:
        await bob.connect(alice.addrs[0])
        stream = await bob.open_stream(alice.peer_id, "/ipfs/ping/1.0.0")
        widget = NetworkMap([bob])
        assert widget.summary() == "2 peers, 1 links, 1 open streams"
        await stream.reset()
        widget.close()


async def test_a_closed_host_is_shown_as_closed(open_page: Open) -> None:
    async with Host(listen=MEMORY) as alice, Host() as bob:
        page = open_page(NetworkMap([alice, bob]))
        await bob.connect(alice.addrs[0])
        await bob.ping(alice.peer_id)
        await alice.close()
        async with asyncio.timeout(30):
            kinds: dict[int, str] = {}
            while kinds.get(0) != "closed":
                await asyncio.sleep(0.02)
                page.draw()
                for message in page.of("update"):
                    kinds |= {peer["index"]: peer["kind"] for peer in message["peers"]}


async def test_hosts_can_be_added_later(open_page: Open) -> None:
    async with Host(listen=MEMORY) as alice, Host() as bob:
        widget = NetworkMap(alice)
        page = open_page(widget)
        widget.add({"bob": bob})
        update = await page.wait_for("update")
        assert [peer["name"] for peer in update["peers"]] == ["bob"]
        with pytest.raises(LocalError, match="shows hosts"):
            widget.add([3])  # type: ignore[list-item]


async def test_the_static_form_has_everybody() -> None:
    async with Host(listen=MEMORY) as alice, Host() as bob:
        await bob.connect(alice.addrs[0])
        widget = NetworkMap({"<alice>": alice, "bob": bob})
        bundle = widget._repr_mimebundle_()
        assert "application/vnd.jupyter.widget-view+json" in bundle
        assert "<svg" in bundle["text/html"]
        assert "&lt;alice&gt;" in bundle["text/html"]
        assert "<alice>" not in bundle["text/html"]
        assert str(bob.peer_id) in bundle["text/plain"]
        assert not alice.trace.listeners
        widget.close()
