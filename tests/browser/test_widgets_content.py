"""ProviderMap and BlockTrail in the page: a clock runs, records age; a CID is taken apart, a lying peer is caught."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import LabServer
from tests.browser.lab_page import LabPage, write_notebook

MAP = "import libp2p_lab as lab\nlab.widgets.ProviderMap(peers=200)"
TRAIL = "import libp2p_lab as lab\nlab.widgets.BlockTrail()"
BOXES = (
    "[...document.querySelectorAll('.lab, .lab-bar, .lab-frame, .lab-prov-grid, .lab-block-dag')]"
)
WIDE = f"() => {BOXES}.filter(box => box.scrollWidth > box.clientWidth + 1).map(b => b.className)"


def narrow(lab: LabPage) -> None:
    """A window of 800 pixels; nothing sticks out."""
    lab.page.set_viewport_size({"width": 800, "height": 1000})
    lab.command("application:toggle-left-area")
    lab.page.wait_for_timeout(500)
    assert lab.page.evaluate(WIDE) == []


def test_records_age(lab: LabPage, lab_server: LabServer) -> None:
    assert lab.run_all(write_notebook(lab_server.root, "providers.ipynb", MAP)) == []
    page = lab.page
    status = page.locator(".lab-verdict")
    expect(status).to_contain_text("Day 0")
    page.locator("[data-day]").click()
    expect(status).to_contain_text("Day 1, 0 h")
    expect(page.locator(".lab-prov-record").first).to_be_attached()
    lab.screenshot_whole("provider-map-light")
    page.locator("[data-poke='provider leaves']").click()
    expect(page.locator(".lab-prov-list li[data-state=gone]")).to_have_count(1)
    page.locator("[data-poke=forge]").click()
    expect(page.get_by_text("0 of 20 took the forged record")).to_be_visible()
    page.locator("[data-poke=poison]").click()
    expect(page.locator(".lab-prov-record[data-state=liar]")).to_have_count(20)
    expect(status).to_contain_text("1 that have nothing")
    page.locator("[data-slider=quorum]").fill("5")
    page.locator("[data-slider=quorum]").dispatch_event("change")
    expect(status).to_contain_text("A finder that wants 5")
    page.locator("[data-play]").click()
    expect(status).to_contain_text("Day 2")
    page.locator("[data-play]").click()
    lab.use_theme("JupyterLab Dark")
    lab.screenshot_whole("provider-map-dark")
    lab.use_theme("JupyterLab Light")
    narrow(lab)
    lab.screenshot_whole("provider-map-800")
    assert lab.page_errors == []


def test_a_liar_is_caught(lab: LabPage, lab_server: LabServer) -> None:
    assert lab.run_all(write_notebook(lab_server.root, "blocks.ipynb", TRAIL)) == []
    page = lab.page
    status = page.locator(".lab-verdict")
    expect(status).to_contain_text("13 of 13 blocks")
    expect(page.locator(".lab-block-peers .lab-bad")).to_contain_text("asked no more")
    lab.screenshot_whole("block-trail-light")
    lab.use_theme("JupyterLab Dark")
    lab.screenshot_whole("block-trail-dark")
    lab.use_theme("JupyterLab Light")

    steps = page.locator("[data-steps]")
    steps.focus()
    page.keyboard.press("Home")
    expect(page.locator(".lab-block-node[data-state=unknown]")).to_have_count(12)
    page.locator("[data-forward]").click()
    page.locator("[data-forward]").click()
    expect(page.locator(".lab-xor-said")).to_contain_text("the root arrives")
    expect(page.locator(".lab-block-node[data-state=named]")).to_have_count(3)

    # A leaf by keyboard: its CID says raw.
    page.locator("[data-block='2']").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".lab-block-part")).to_contain_text("raw")
    expect(page.locator("[data-matches=true]")).to_be_visible()
    page.locator("[data-check]").click()
    expect(status).to_contain_text("were believed")
    page.locator("[data-slider=liars]").fill("3")
    page.locator("[data-check]").click()
    expect(status).to_contain_text("from nobody honest")
    narrow(lab)
    lab.screenshot_whole("block-trail-800")
    assert lab.page_errors == []
