"""WireLens on a live connection: every layer of a message, the toggle, step, pause, filter, save."""

from __future__ import annotations

import json

from playwright.sync_api import expect

from tests.browser.conftest import LabServer
from tests.browser.lab_page import LabPage, write_notebook

LENS = """\
import libp2p_lab as lab
alice, bob = await lab.spawn(), await lab.spawn()
lab.widgets.WireLens(bob)
"""
PING = "await bob.connect(alice.addrs[0])\nawait bob.ping(alice.peer_id)"


def test_messages_are_opened_layer_by_layer(lab: LabPage, lab_server: LabServer) -> None:
    assert lab.run_all(write_notebook(lab_server.root, "lens.ipynb", LENS, PING)) == []
    page = lab.page
    rows = page.locator(".lab-row")
    expect(rows.filter(has_text="Noise handshake")).to_have_count(3)

    rows.filter(has_text="handshake 1").click()
    detail = page.locator(".lab-detail")
    for name in ("e: ephemeral public key", "s: encrypted static key", "payload", "tag"):
        expect(detail).to_contain_text(name)
    for name in ("identity_key", "identity_sig", "extensions", "1 (Ed25519)", "/yamux/1.0.0"):
        expect(detail).to_contain_text(name)
    lab.screenshot("wire-lens-light")
    lab.use_theme("JupyterLab Dark")
    lab.screenshot("wire-lens-dark")
    lab.use_theme("JupyterLab Light")

    # A field's meaning, by pointer and by key.
    detail.locator("tr", has_text="e: ephemeral public key").hover()
    explanation = page.locator(".lab-explain")
    expect(explanation).to_contain_text("X25519")
    expect(explanation.locator("a")).to_have_attribute(
        "href", "https://github.com/libp2p/specs/blob/master/noise/README.md#xx"
    )
    detail.locator("tr").first.focus()
    page.keyboard.press("ArrowDown")
    expect(explanation).to_contain_text("X25519")

    # From the wire down to the ping's 32 bytes.
    page.get_by_role("button", name="as sent").click()
    expect(rows.filter(has_text="on the wire").first).to_be_visible()
    page.get_by_role("button", name="after mux").click()
    rows.filter(has_text="data stream").first.click()
    expect(detail).to_contain_text("stream id")
    page.get_by_role("button", name="after protobuf").click()
    page.get_by_label("filter by protocol").select_option("/ipfs/ping/1.0.0")
    page.get_by_label("filter by layer").select_option("stream")
    expect(rows).to_have_count(2)  # the question and its echo
    rows.first.click()
    expect(detail).to_contain_text("32 bytes")
    page.get_by_label("filter by text").fill("nothing says this")
    expect(rows).to_have_count(0)
    assert lab.page_errors == []


def test_step_pause_and_save(lab: LabPage, lab_server: LabServer) -> None:
    name = write_notebook(
        lab_server.root, "step.ipynb", LENS, PING, "await bob.ping(alice.peer_id)"
    )
    lab.open(name)
    for _ in range(2):
        lab.command("notebook:run-cell-and-select-next")
    page = lab.page
    rows = page.locator(".lab-row")
    expect(rows.filter(has_text="Stream ended").first).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    paused = rows.count()
    page.evaluate(  # the click made the lens's own cell the active one
        "() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 2; }"
    )
    lab.command("notebook:run-cell-and-select-next")
    expect(page.locator(".lab-bar [role=status]").first).to_contain_text("waiting")
    assert rows.count() == paused

    rows.last.click()
    page.get_by_role("button", name="step forward").click()  # one that waits comes out
    expect(rows).to_have_count(paused + 1)
    expect(rows.last).to_have_attribute("aria-selected", "true")
    page.get_by_role("button", name="step back").click()
    expect(rows.nth(paused - 1)).to_have_attribute("aria-selected", "true")
    page.locator(".lab-list").focus()
    page.keyboard.press("Home")
    expect(rows.first).to_have_attribute("aria-selected", "true")
    page.keyboard.press(" ")  # go on
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    assert rows.count() > paused + 1

    with page.expect_download() as download:
        page.locator("[data-export=jsonl]").click()
    lines = download.value.path().read_text("utf-8").splitlines()
    assert len(lines) > 20
    assert json.loads(lines[0])
    with page.expect_download() as download:
        page.locator("[data-export=pcapng]").click()
    assert download.value.path().read_bytes()[:4] == bytes.fromhex("0a0d0d0a")
    assert lab.page_errors == []
