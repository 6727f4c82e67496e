"""CheckPanel in the page: it follows checks, gives hints by keyboard, and saves."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import LabServer
from tests.browser.lab_page import LabPage, write_notebook

PANEL = "import libp2p_lab as lab\nlab.widgets.CheckPanel(lab.workbook)"
CHECKS = """\
ring = [(n, (n + 1) % 9) for n in range(9)]
await lab.check("00.nine_nodes", ring)
await lab.check("00.nine_nodes", ring + [(0, 4), (1, 5), (2, 6), (3, 7), (8, 4)])
await lab.check("00.survivors", lambda adjacency, dead: 1.0)
"""


def test_it_follows_gives_hints_and_saves(lab: LabPage, lab_server: LabServer) -> None:
    name = write_notebook(lab_server.root, "panel.ipynb", PANEL, CHECKS)
    assert lab.run_all(name) == []
    page = lab.page
    panel = page.locator(".lab-frame")
    solved = panel.locator("[data-check='00.nine_nodes']")
    expect(solved).to_contain_text("✓ solved")
    expect(solved.locator("td").nth(2)).to_have_text("2")
    expect(panel.locator("[data-check='00.survivors']")).to_contain_text("not yet")

    hint = panel.get_by_role("button", name="hint for E0.4")
    hint.focus()
    page.keyboard.press("Enter")
    expect(panel.locator(".lab-hint:visible")).to_contain_text("Hint 1 of 3")
    expect(hint).to_be_focused()
    page.keyboard.press("Enter")
    expect(panel.locator(".lab-hint:visible")).to_contain_text("Hint 2 of 3")
    lab.screenshot("check-panel-light")

    objective = panel.locator("[data-objective='1.24'] button")
    objective.click()
    expect(objective).to_have_attribute("aria-pressed", "true")
    expect(solved).to_be_hidden()
    objective.click()
    expect(solved).to_be_visible()

    with page.expect_download() as download:
        panel.get_by_role("button", name="Save CSV").click()
    assert download.value.path().read_text("utf-8").startswith("objective,checks passed")
    assert lab.page_errors == []


@pytest.mark.parametrize("theme", ["JupyterLab Dark"])
def test_it_fits_a_narrow_window(lab: LabPage, lab_server: LabServer, theme: str) -> None:
    name = write_notebook(lab_server.root, "narrow-panel.ipynb", PANEL)
    assert lab.run_all(name) == []
    lab.page.set_viewport_size({"width": 800, "height": 1000})
    lab.use_theme(theme)
    panel = lab.page.locator(".lab-frame")
    expect(panel.locator("[data-objective]").first).to_be_visible()
    lab.screenshot("check-panel-dark-800")
    box, frame = panel.bounding_box(), panel.locator("..").bounding_box()
    assert box is not None
    assert frame is not None
    assert box["width"] <= frame["width"] + 1
