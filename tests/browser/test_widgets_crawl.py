"""CrawlBoard in the page: a crawl by button, filtered, chosen from by keyboard; then churn."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import LabServer
from tests.browser.lab_page import LabPage, write_notebook

PEERS = """
import libp2p_lab as lab

def parts(n):
    return [lab.Identify(("kubo/0.30.0", "kubo/0.29.0", "js-libp2p/2.0.0", "rust-libp2p/0.54")[n % 4]), lab.KadDHT()]

peers = [await lab.spawn(listen=["/memory/0"], services=parts(n)) for n in range(14)]
for peer in peers[1:]:
    await peer.dht.bootstrap([peers[0].addrs[0]])
guest = await lab.spawn(services=[lab.Identify()])
board = lab.widgets.CrawlBoard(lab.Crawler(guest), [peers[0].addrs[0]])
board
"""
GONE = """
for peer in peers[9:12]:
    await peer.close()
"""
BOXES = "[...document.querySelectorAll('.lab, .lab-bar, .lab-frame, .lab-crawl-grid, .lab-crawl-names')]"
WIDE = f"() => {BOXES}.filter(box => box.scrollWidth > box.clientWidth + 1).map(b => b.className)"


def test_a_crawl_is_begun_looked_at_and_repeated(lab: LabPage, lab_server: LabServer) -> None:
    name = write_notebook(
        lab_server.root, "crawl.ipynb", PEERS, "first = await board.crawl()", GONE
    )
    assert lab.run_all(name) == []
    page = lab.page
    status = page.locator(".lab-verdict")
    expect(status).to_contain_text("14 peers heard of, 14 visited, 14 reached (100%)")
    start = page.locator("[data-crawl]")
    expect(start).to_have_text("Crawl again")
    start.focus()
    page.keyboard.press("Enter")
    expect(status).to_contain_text("Crawl 2 is over")
    expect(status).to_contain_text("11 stayed, 0 came, 3 left")
    expect(page.locator(".lab-crawl-change li", has_text="left")).to_contain_text("3 left")
    expect(page.locator(".lab-crawl-chart polyline")).to_have_count(3)
    expect(page.locator(".lab-crawl-names caption", has_text="Programs")).to_be_visible()

    # Those that did not answer; one of them chosen by keyboard.
    page.locator("[data-kind=unreached]").click()
    expect(page.locator("[data-kind=unreached]")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("tr[data-reach]")).to_have_count(3)
    page.locator("[data-peer]").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("[data-peer]").nth(1)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("[data-peer]").nth(1)).to_be_focused()
    expect(page.locator(".lab-explain")).to_contain_text("unreached; did not say what it runs")
    page.locator("[data-kind=all]").click()
    page.locator("[data-peer]").first.click()

    start.focus()  # so that the picture begins at the top
    lab.screenshot_whole("crawl-board-light")
    lab.use_theme("JupyterLab Dark")
    lab.screenshot_whole("crawl-board-dark")
    lab.use_theme("JupyterLab Light")
    page.set_viewport_size({"width": 800, "height": 1000})
    lab.command("application:toggle-left-area")
    page.wait_for_timeout(500)
    assert page.evaluate(WIDE) == []
    lab.screenshot_whole("crawl-board-800")
    assert lab.page_errors == []
