"""XorTree and LookupRace in the page: a lookup is stepped, the world is changed, lanes are kept."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import LabServer
from tests.browser.lab_page import LabPage, write_notebook

TREE = "import libp2p_lab as lab\nlab.widgets.XorTree(peers=100)"
RACE = "import libp2p_lab as lab\nlab.widgets.LookupRace(200, lookups=4)"
BOXES = "[...document.querySelectorAll('.lab, .lab-bar, .lab-frame, .lab-xor-grid, .lab-race')]"
WIDE = f"() => {BOXES}.filter(box => box.scrollWidth > box.clientWidth + 1).map(b => b.className)"


def narrow(lab: LabPage) -> None:
    """A window of 800 pixels; nothing sticks out."""
    lab.page.set_viewport_size({"width": 800, "height": 1000})
    lab.command("application:toggle-left-area")
    lab.page.wait_for_timeout(500)
    assert lab.page.evaluate(WIDE) == []


def test_a_lookup_is_stepped_and_the_world_changed(lab: LabPage, lab_server: LabServer) -> None:
    assert lab.run_all(write_notebook(lab_server.root, "tree.ipynb", TREE)) == []
    page = lab.page
    status = page.locator(".lab-verdict")
    expect(status).to_contain_text("8 of the 8 that are closest")
    lab.screenshot_whole("xor-tree-light")
    lab.use_theme("JupyterLab Dark")
    lab.screenshot_whole("xor-tree-dark")
    lab.use_theme("JupyterLab Light")

    # Back to the beginning, and one step by keyboard.
    steps = page.locator("[data-steps]")
    steps.focus()
    page.keyboard.press("Home")
    expect(page.locator(".lab-xor-said")).to_contain_text("begins with the 8 closest")
    expect(page.locator("tr[data-next]")).to_have_count(3)  # alpha
    page.keyboard.press("ArrowRight")
    expect(page.locator(".lab-xor-said")).to_contain_text("is asked")
    expect(page.locator("tr[data-state=waiting]")).to_have_count(1)
    page.locator("[data-forward]").click()
    expect(page.locator("tr[data-state=waiting]")).to_have_count(2)

    # The key is dragged to the right end; a click on the tree's foot chooses a peer.
    box = page.locator("canvas").bounding_box()
    assert box is not None
    at = int(page.locator("[data-place]").input_value()) / 1000
    foot = box["y"] + box["height"] - 74  # where the leaves stand
    page.mouse.move(box["x"] + 14 + at * (box["width"] - 28), foot + 44)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 40, foot + 44, steps=4)
    page.mouse.up()
    expect(page.locator("[data-place]")).to_have_value(re.compile("9[0-9][0-9]"))
    assert lab.page_errors == []

    # Another peer's world, by keyboard; then other worlds.
    page.locator("canvas").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-see]")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator(".lab-xor-card")).to_contain_text("you see the world from here")
    page.locator("[data-kill]").click()
    expect(status).to_contain_text("did not answer")
    page.locator("[data-slider=sybils]").fill("20")
    expect(status).to_contain_text("8 of those it found are sybils")
    page.locator("[data-mend]").click()
    expect(status).not_to_contain_text("sybils")
    page.locator("[data-switch=numeric]").click()
    expect(page.locator("[data-switch=numeric]")).to_have_attribute("aria-pressed", "true")
    page.locator("[data-slider=peers]").fill("9")
    expect(page.locator(".lab-xor-part", has_text="Buckets:")).to_contain_text("entries")
    page.locator("[data-spec]").click()
    expect(page.locator(".lab-xor-part", has_text="Buckets:")).to_contain_text("199 expected")
    steps.focus()
    page.keyboard.press("Home")
    for _ in range(16):
        page.keyboard.press("ArrowRight")
    lab.screenshot("xor-tree-10000")
    page.locator("[data-zoom=in]").click()
    narrow(lab)
    lab.screenshot_whole("xor-tree-800")
    assert lab.page_errors == []


def test_lanes_are_changed_and_kept(lab: LabPage, lab_server: LabServer) -> None:
    assert lab.run_all(write_notebook(lab_server.root, "lookups.ipynb", RACE)) == []
    page = lab.page
    expect(page.locator(".lab-verdict")).to_contain_text("Fastest")
    expect(page.locator(".lab-race-lane")).to_have_count(3)
    page.locator("[data-keep]").click()
    expect(page.locator(".lab-race-lane")).to_have_count(4)
    page.locator("[data-slider=gone]").fill("30")
    expect(page.locator("[data-lane='α = 10, k = 20, 30% gone']")).to_be_visible()
    expect(page.locator(".lab-xor-failed").first).to_be_attached()
    narrow(lab)
    lab.screenshot_whole("lookup-race-800")
    assert lab.page_errors == []
