"""NetworkMap on live peers: drawn, walked by keyboard, a peer pinged from its card, and quiet when cleared."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import LabServer
from tests.browser.lab_page import LabPage, write_notebook

PEERS = """\
import asyncio
import libp2p_lab as lab

names = ["alice", "bob", "carol", "dave"]
hosts = {name: await lab.spawn(listen=["/memory/0"]) for name in names}
alice, bob, carol, dave = hosts.values()
net = lab.widgets.NetworkMap(hosts)
net
"""
TALK = """\
for host in (bob, carol, dave):
    await host.connect(alice.addrs[0])

async def talk():
    while True:
        await bob.ping(alice.peer_id)
        await asyncio.sleep(0.02)

talking = asyncio.create_task(talk())
"""
STATS = "document.querySelector('.lab').labStats.updates"
LISTENERS = "sum(len(host.trace.listeners) for host in hosts.values())"


def test_peers_are_drawn_clicked_and_pinged(lab: LabPage, lab_server: LabServer) -> None:
    assert lab.run_all(write_notebook(lab_server.root, "map.ipynb", PEERS, TALK)) == []
    page = lab.page
    expect(page.locator(".lab-dot")).to_have_count(4)
    expect(page.locator(".lab-bar")).to_contain_text("4 peers, 3 links")
    expect(page.locator(".lab-legend")).to_contain_text("/ipfs/ping/1.0.0")

    page.locator(".lab-dot[aria-label^=alice]").click()
    card = page.locator(".lab-card")
    expect(card).to_contain_text("12D3KooW")
    expect(card).to_contain_text("/memory/")
    expect(card).to_contain_text("libp2p_lab/")
    card.get_by_label("the host that dials or pings").select_option(label="carol")
    card.locator("[data-act=ping]").click()
    expect(card.get_by_role("status")).to_contain_text("alice answered in")
    lab.screenshot("network-map-light")
    lab.use_theme("JupyterLab Dark")
    page.wait_for_timeout(500)
    lab.screenshot("network-map-dark")
    lab.use_theme("JupyterLab Light")

    # Dial a pair that has no connection, by keyboard alone.
    card.locator("[data-act=ping]").press("Escape")  # changing the theme took the focus away
    expect(card).to_be_hidden()
    page.locator(".lab-dot[aria-label^=carol]").focus()
    page.keyboard.press("Enter")
    expect(card.locator("h3")).to_have_text("carol")
    card.get_by_label("the host that dials or pings").select_option(label="dave")
    card.locator("[data-act=dial]").focus()
    page.keyboard.press("Enter")
    expect(card.get_by_role("status")).to_contain_text("connected with carol over memory")
    expect(page.locator(".lab-bar")).to_contain_text("4 links")

    before = page.evaluate(STATS)
    page.wait_for_timeout(3000)
    assert page.evaluate(STATS) - before > 15  # it follows; how fast is measured elsewhere
    assert lab.page_errors == []


def test_arrow_keys_walk_from_peer_to_peer(lab: LabPage, lab_server: LabServer) -> None:
    assert lab.run_all(write_notebook(lab_server.root, "walk.ipynb", PEERS, TALK)) == []
    page = lab.page
    expect(page.locator(".lab-bar")).to_contain_text("3 links")
    page.locator(".lab-dot").first.focus()
    seen = set()
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "End", "Home"):
        page.keyboard.press(key)
        seen.add(page.evaluate("document.activeElement.getAttribute('aria-label')"))
    assert len(seen) >= 3
    assert all(", " in label for label in seen)  # the name, and how many links
    assert page.locator(".lab-dot[tabindex='0']").count() == 1
    page.get_by_text("Peers and links as a table").click()
    expect(page.locator(".lab table").first.locator("tbody tr")).to_have_count(4)


@pytest.mark.parametrize("way", ["cleared", "closed"])
def test_nobody_listens_afterwards(lab: LabPage, lab_server: LabServer, way: str) -> None:
    wait = (
        "while True:\n"
        f"    if {LISTENERS} == 0: break\n"
        "    await asyncio.sleep(0.05)\n"
        "print('nobody listens')"
    )
    name = write_notebook(lab_server.root, f"{way}.ipynb", PEERS, TALK, "", wait)
    lab.open(name)
    for _ in range(2):
        lab.command("notebook:run-cell-and-select-next")
    expect(lab.page.locator(".lab-legend")).to_contain_text("/ipfs/ping/1.0.0")
    if way == "cleared":
        lab.command("notebook:clear-all-cell-outputs")
    else:
        lab.page.evaluate(
            """() => { const cells = window.jupyterapp.shell.currentWidget.content.widgets;
                cells[2].model.sharedModel.setSource('net.close()'); }"""
        )
    for _ in range(2):
        lab.command("notebook:run-cell-and-select-next")
    expect(lab.page.locator(".jp-OutputArea-output").last).to_contain_text("nobody listens")
    assert lab.page.locator(".lab-stage").count() == 0
