"""HolePunchTimeline in the page: by keyboard from mark to mark; a symmetric router, and three tries in vain."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import LabServer
from tests.browser.lab_page import LabPage, write_notebook

TIMELINE = "import libp2p_lab as lab\nlab.widgets.HolePunchTimeline()"


def test_a_punch_is_read_and_spoilt(lab: LabPage, lab_server: LabServer) -> None:
    assert lab.run_all(write_notebook(lab_server.root, "punch.ipynb", TIMELINE)) == []
    page = lab.page
    status, said = page.locator(".lab-verdict"), page.locator(".lab-punch-said")
    expect(status).to_contain_text("Punched after 1 exchange")
    expect(page.locator("[data-mark=SYNC].lab-punch-mark")).to_have_count(1)
    lab.screenshot("hole-punch-light")
    lab.use_theme("JupyterLab Dark")
    lab.screenshot("hole-punch-dark")
    lab.use_theme("JupyterLab Light")

    page.locator("[data-at='0']").focus()
    expect(said).to_contain_text("CONNECT from B to A")
    page.keyboard.press("ArrowRight")
    expect(said).to_contain_text("2 of")
    page.keyboard.press("End")
    expect(said).to_contain_text("relayed connection is closed")

    page.locator("[data-choice=a]").select_option("symmetric")
    expect(status).to_contain_text("Not punched: 3 exchanges")
    page.locator("[data-try='2']").click()
    expect(page.locator("[data-try='2']")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("[data-mark=SYNC].lab-punch-mark")).to_have_count(1)
    page.get_by_text("All of it, in the order of time").click()
    expect(page.locator(".lab-checks td", has_text="filtered there").first).to_be_visible()

    page.set_viewport_size({"width": 800, "height": 1000})
    lab.command("application:toggle-left-area")
    page.wait_for_timeout(500)
    boxes = "[...document.querySelectorAll('.lab, .lab-bar, .lab-frame')]"
    wide = (
        f"() => {boxes}.filter(box => box.scrollWidth > box.clientWidth + 1).map(b => b.className)"
    )
    assert page.evaluate(wide) == []
    lab.screenshot_whole("hole-punch-800")
    page.locator("[data-reset]").click()
    expect(status).to_contain_text("Punched after 1 exchange")
    assert lab.page_errors == []
