"""The notebooks in a real JupyterLab: run from top to bottom, widgets drawn, and used as the prose says."""

from __future__ import annotations

import os

import pytest
from playwright.sync_api import expect

from tests.browser.lab_page import LabPage

# Boxes of our own that are wider than their place, and would be cut off.
OVERFLOWING = """() => [...document.querySelectorAll('.lab, .lab-bar, .lab-frame, .lab-stages')]
    .filter(box => box.scrollWidth > box.clientWidth + 1).map(box => box.className)"""
# JupyterLab draws only the cells near the window; a test looks at all of them.
DRAW_ALL = """() => { const notebook = window.jupyterapp.shell.currentWidget.content;
    notebook.notebookConfig = { ...notebook.notebookConfig, windowingMode: 'none' }; }"""
SIZES = (1280, 800)


def pictures(lab: LabPage, name: str) -> None:
    """The whole notebook in both widths and both themes; nothing may be wider than its place."""
    for width in SIZES:
        lab.page.set_viewport_size({"width": width, "height": 1000})
        if width < 1000:  # a narrow window, without the file browser
            lab.command("application:toggle-left-area")
        lab.page.locator(".jp-WindowedPanel-outer").first.evaluate("panel => panel.scrollTo(0, 0)")
        for theme in ("Dark", "Light"):
            lab.use_theme(f"JupyterLab {theme}")
            lab.page.wait_for_timeout(500)
            if (
                "PICTURES" in os.environ
            ):  # whole notebooks take their time: for who wants to look at them
                lab.screenshot_whole(f"{name}-{width}-{theme.lower()}")
        assert lab.page.evaluate(OVERFLOWING) == [], f"at {width} pixels"


def run_all(lab: LabPage, notebook: str) -> None:
    """Run all cells, and have all of them drawn."""
    assert lab.run_all(notebook) == []
    lab.page.evaluate(DRAW_ALL)


def test_notebook_00_is_used_as_it_says(lab: LabPage) -> None:
    run_all(lab, "00_intro.ipynb")
    page = lab.page
    expect(page.locator(".lab")).to_have_count(5)  # two maps, a chart, a lens, a stack
    pictures(lab, "notebook-00")

    first_map = page.locator(".lab").filter(has=page.locator(".lab-dot[aria-label^=alice]"))
    expect(first_map.locator(".lab-dot[aria-label^=bob]")).to_be_visible()
    first_map.locator(".lab-dot[aria-label^=alice]").click()
    card = first_map.locator(".lab-card")
    expect(card).to_contain_text("12D3KooW")
    expect(card).to_contain_text("/chat/1.0.0")  # the reader's own protocol, among the others
    card.get_by_label("the host that dials or pings").select_option(label="bob")
    card.locator("[data-act=ping]").click()
    expect(card.get_by_role("status")).to_contain_text("alice answered in")
    lab.screenshot("notebook-00-card")

    lens = page.locator(".lab").filter(has=page.get_by_role("button", name="step forward"))
    rows = lens.locator(".lab-row")
    expect(rows.filter(has_text="Noise handshake")).to_have_count(6)  # three, at two ends
    rows.first.click()
    lens.get_by_role("button", name="step forward").click()
    expect(rows.nth(1)).to_have_attribute("aria-selected", "true")
    rows.filter(has_text="handshake 1").first.click()
    expect(lens.locator(".lab-detail")).to_contain_text("e: ephemeral public key")
    lab.screenshot("notebook-00-lens")
    assert lab.page_errors == []


def test_notebook_01_is_used_as_it_says(lab: LabPage) -> None:
    run_all(lab, "01_identity.ipynb")
    page = lab.page
    expect(page.locator(".lab")).to_have_count(3)  # a map, KeyLab, a lens
    pictures(lab, "notebook-01")

    key_lab = page.locator(".lab").filter(has=page.locator("[data-id=base58]"))
    name, verdict = key_lab.locator("[data-id=base58]"), key_lab.locator(".lab-verdict")
    expect(name).to_contain_text("12D3KooW")
    for poke in ("length", "swap"):  # tasks 2 and 3
        key_lab.locator(f"[data-poke={poke}]").click()
        expect(verdict).to_contain_text("Refused")
        key_lab.get_by_role("button", name="Undo").click()
        expect(verdict).to_contain_text("canonical")
    key_lab.locator("[data-key-type=ecdsa]").click()  # task 4
    expect(name).to_contain_text("Qm")
    lab.screenshot("notebook-01-key-lab")

    lens = page.locator(".lab").filter(has=page.get_by_role("button", name="step forward"))
    lens.get_by_role("button", name="after protobuf").click()
    lens.get_by_label("filter by layer").select_option("identify")
    rows = lens.locator(".lab-row")
    expect(rows).to_have_count(8)  # four peers, each asked and asking
    rows.first.click()
    expect(lens.locator(".lab-detail")).to_contain_text("publicKey")
    lab.screenshot("notebook-01-lens")
    assert lab.page_errors == []


def test_notebook_02_is_used_as_it_says(lab: LabPage) -> None:
    run_all(lab, "02_transports.ipynb")
    page = lab.page
    expect(page.locator(".lab")).to_have_count(2)  # a race and a lens
    pictures(lab, "notebook-02")

    race = page.locator(".lab").filter(has=page.locator("[data-udp]"))
    status = race.locator(".lab-verdict")
    expect(status).to_contain_text("Connected in 101 ms")
    race.locator("[data-lane='QUIC, IPv6']").select_option("silent")  # task 1
    expect(status).to_contain_text("Connected in 351 ms")
    race.locator("[data-udp]").click()  # task 2
    expect(status).to_contain_text("/tcp/4001")
    expect(race.locator("[data-of='QUIC, IPv4']")).to_contain_text("called off")
    race.locator("[data-order='one by one']").click()  # task 3
    expect(race.locator("[data-of='QUIC, IPv6']")).to_contain_text("failed: TimeoutError")
    lab.screenshot("notebook-02-race")

    lens = page.locator(".lab").filter(has=page.get_by_role("button", name="step forward"))
    lens.get_by_label("filter by layer").select_option("negotiation")
    rows = lens.locator(".lab-row")
    rows.filter(has_text="na").first.click()
    expect(lens.locator(".lab-detail")).to_contain_text("length")
    lab.screenshot("notebook-02-lens")
    assert lab.page_errors == []


def test_notebook_03_is_used_as_it_says(lab: LabPage) -> None:
    run_all(lab, "03_security.ipynb")
    page = lab.page
    expect(page.locator(".lab")).to_have_count(2)  # HandshakeStepper, a lens
    pictures(lab, "notebook-03")

    stepper = page.locator(".lab").filter(has=page.locator("[data-go=next]"))
    now = stepper.locator(".lab-verdict")
    stepper.locator("[data-go=message]").click()  # task 1
    stepper.locator("[data-go=next]").click()
    expect(now).to_contain_text("bob · ee")
    attack = stepper.get_by_label("what mallory does")
    for name, says in (("replay", "at s"), ("signer", "at verify"), ("expected", "asked for peer")):
        attack.select_option(name)  # tasks 3 and 4
        stepper.locator("[data-go=end]").click()
        expect(now).to_contain_text(says)
        expect(now).to_contain_text("She has not said who she is")
    attack.select_option("")
    stepper.locator("[data-protocol=plaintext]").click()  # task 8
    expect(now).to_contain_text("a peer id and a public key")
    stepper.locator("[data-go=end]").click()
    expect(now).to_contain_text("no way to tell")
    lab.screenshot("notebook-03-stepper")

    lens = page.locator(".lab").filter(has=page.get_by_role("button", name="step forward"))
    lens.locator(".lab-row").filter(has_text="handshake 1").first.click()
    expect(lens.locator(".lab-detail")).to_contain_text("e: ephemeral public key")
    assert lab.page_errors == []


def test_notebook_04_is_used_as_it_says(lab: LabPage) -> None:
    run_all(lab, "04_multiplexing.ipynb")
    page = lab.page
    expect(page.locator(".lab")).to_have_count(4)  # two scopes, a lens, a timeline
    pictures(lab, "notebook-04")
    first = page.locator(".lab").first  # the slow reader's scope, live
    expect(first).to_contain_text("/steady/1.0.0")
    expect(first).to_contain_text("/mplex/6.7.0")
    assert lab.page_errors == []


def test_notebook_07_is_used_as_it_says(lab: LabPage) -> None:
    run_all(lab, "07_pubsub.ipynb")
    page = lab.page
    expect(page.locator(".lab")).to_have_count(4)  # the twenty, the twins, a lens, a score board
    pictures(lab, "notebook-07")
    twins = page.locator(".lab").nth(1)
    expect(twins).to_contain_text("FloodSub")
    expect(twins).to_contain_text("GossipSub")
    assert lab.page_errors == []


@pytest.mark.parametrize(("name", "widgets"), [("05_routing", 2), ("06_content", 4), ("08_nat", 2)])
def test_the_other_notebooks_run_as_they_are(lab: LabPage, name: str, widgets: int) -> None:
    run_all(lab, f"{name}.ipynb")
    expect(lab.page.locator(".lab").nth(widgets - 1)).to_be_visible()
    pictures(lab, f"notebook-{name[:2]}")
    assert lab.page_errors == []
