"""DialRace in the page: an address is broken, UDP is blocked, and the race changes."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import LabServer
from tests.browser.lab_page import LabPage, write_notebook

RACE = "import libp2p_lab as lab\nlab.widgets.DialRace()"


def test_a_race_is_changed(lab: LabPage, lab_server: LabServer) -> None:
    assert lab.run_all(write_notebook(lab_server.root, "race.ipynb", RACE)) == []
    page = lab.page
    status = page.locator(".lab-verdict")
    expect(status).to_contain_text("Connected in 10")
    expect(page.locator(".lab-dial-track")).to_have_count(6)
    lab.screenshot("dial-race-light")
    lab.use_theme("JupyterLab Dark")
    lab.screenshot("dial-race-dark")
    lab.use_theme("JupyterLab Light")

    # By keyboard: the first address falls silent.
    choice = page.locator("[data-lane='QUIC, IPv6']")
    choice.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(status).to_contain_text("/ip4/11.0.0.1/udp/4001/quic-v1")
    expect(page.locator("[data-lane='QUIC, IPv6']")).to_be_focused()

    page.locator("[data-udp]").click()
    expect(status).to_contain_text("/tcp/4001")
    expect(page.locator("[data-track='TCP, IPv6']")).to_have_attribute("data-outcome", "won")
    lab.screenshot("dial-race-udp-blocked")
    page.locator("[data-order='one by one']").click()
    expect(page.locator("[data-of='QUIC, IPv4']")).to_contain_text("called off")
    expect(status).to_contain_text("5.")
    page.locator("[data-slider=delay]").fill("300")
    expect(page.locator(".lab-bar", has=page.locator("[data-slider=delay]"))).to_contain_text(
        "300 ms"
    )
    page.get_by_text("The race as a table").click()
    expect(page.locator(".lab-checks td", has_text="failed: TimeoutError").first).to_be_visible()

    page.set_viewport_size({"width": 800, "height": 1000})
    lab.command("application:toggle-left-area")
    page.wait_for_timeout(500)
    boxes = "[...document.querySelectorAll('.lab, .lab-bar, .lab-frame, .lab-dial')]"
    wide = (
        f"() => {boxes}.filter(box => box.scrollWidth > box.clientWidth + 1).map(b => b.className)"
    )
    assert page.evaluate(wide) == []
    lab.screenshot_whole("dial-race-800")
    page.locator("[data-reset]").click()
    expect(status).to_contain_text("Connected in 10")
    assert lab.page_errors == []
