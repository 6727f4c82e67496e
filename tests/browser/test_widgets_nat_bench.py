"""NatBench in the page: a hole is punched step by step, a rule flashes, a router is changed, the pairs are tried."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import LabServer
from tests.browser.lab_page import LabPage, write_notebook

BENCH = "import libp2p_lab as lab\nlab.widgets.NatBench()"
BOXES = (
    "[...document.querySelectorAll('.lab, .lab-bar, .lab-frame, .lab-nat-homes, .lab-nat-pairs')]"
)
WIDE = f"() => {BOXES}.filter(box => box.scrollWidth > box.clientWidth + 1).map(b => b.className)"


def test_a_hole_is_punched(lab: LabPage, lab_server: LabServer) -> None:
    assert lab.run_all(write_notebook(lab_server.root, "nat_bench.ipynb", BENCH)) == []
    page = lab.page
    status = page.locator("[data-summary]")
    expect(status).to_contain_text("A hole")
    # It begins at the packet that is dropped, and at the rule that dropped it.
    expect(page.locator(".lab-nat-said")).to_contain_text("Bob's router drops")
    expect(page.locator("[data-router=bob] .lab-nat-guilty")).to_contain_text("Filtering")
    expect(page.locator(".lab-nat-reason")).to_have_text("filtered")
    # By keyboard: to the beginning, where nobody has called; the first packet makes a mapping.
    page.locator(".lab-nat-stage").focus()
    page.keyboard.press("Home")
    expect(page.locator("[data-router=alice] tbody")).to_contain_text("nobody has called out")
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-router=alice] tr.lab-nat-new")).to_contain_text("192.168.1.2:4001")
    expect(page.locator("[data-router=alice] tbody")).to_contain_text("11.9.0.1:4001 relay")
    page.locator("[data-drop]").click()
    expect(page.locator(".lab-nat-guilty")).to_have_count(1)

    page.locator("[data-home='alice.mapping']").select_option("address-and-port-dependent")
    expect(status).to_contain_text("stay on the relay")
    page.locator("[data-cell='2,2']").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(status).to_contain_text("A hole")
    expect(page.locator("[data-cell='2,1']")).to_have_attribute("aria-pressed", "true")
    page.locator("[data-all]").click()
    counts = page.locator("[data-counts]")
    expect(counts).to_contain_text(
        "81 of 81 pairs tried: in 57 a packet comes through, in 45 they can talk"
    )
    lab.screenshot_whole("nat-bench-light")

    page.locator("[data-speech=tcp]").click()
    expect(status).to_contain_text("A hole")
    expect(counts).to_contain_text("1 of 81")
    lab.use_theme("JupyterLab Dark")
    lab.screenshot_whole("nat-bench-dark")
    lab.use_theme("JupyterLab Light")
    page.set_viewport_size({"width": 800, "height": 1000})
    lab.command("application:toggle-left-area")
    page.wait_for_timeout(500)
    assert page.evaluate(WIDE) == []
    lab.screenshot_whole("nat-bench-800")
    assert lab.page_errors == []
