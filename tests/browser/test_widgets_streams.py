"""StreamScope and Timeline in a real browser: readers stopped, streams poked, frames opened, time scrubbed."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import LabServer
from tests.browser.lab_page import LabPage, write_notebook

SLOW = """\
import libp2p_lab as lab

bench = await lab.widgets.slow_reader(rate=400_000)
bench
"""
LINES = """\
import libp2p_lab as lab

timeline = lab.widgets.Timeline({
    "as it is": lab.widgets.first_byte(),
    "without early muxers, and without optimism": lab.widgets.first_byte(early_muxers=False, optimistic=False),
})
timeline
"""


def test_a_slow_reader_under_yamux_and_under_mplex(lab: LabPage, lab_server: LabServer) -> None:
    assert lab.run_all(write_notebook(lab_server.root, "slow.ipynb", SLOW)) == []
    page = lab.page
    yamux = page.locator(".lab-scope", has_text="/yamux/1.0.0")
    mplex = page.locator(".lab-scope", has_text="/mplex/6.7.0")
    expect(yamux.locator(".lab-lane", has_text="/bulk/1.0.0")).to_be_visible()
    expect(page.locator(".lab-legend")).to_contain_text("/steady/1.0.0")
    page.locator("[data-bench=stop]").click()
    expect(mplex.locator(".lab-lane", has_text="/bulk/1.0.0")).to_contain_text("reset")
    stuck = yamux.locator(".lab-lane", has_text="/bulk/1.0.0")
    expect(stuck).to_contain_text("open, nobody reads")
    expect(stuck.locator("[data-kind=window]").first).to_contain_text("0 B")
    lab.screenshot("stream-scope-light")

    # By keyboard: the first stream, its newest frame, the frame's header; then on.
    lanes = yamux.locator(".lab-lanes")
    lanes.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    detail = page.locator(".lab-detail")
    expect(detail.locator("table.lab-fields").first).to_contain_text("stream id")
    page.set_viewport_size({"width": 800, "height": 1000})
    lab.use_theme("JupyterLab Dark")
    lab.screenshot("stream-scope-dark-800")
    detail.get_by_role("button", name="Close").click()
    expect(detail).to_be_hidden()
    page.locator("[data-bench=go]").click()
    expect(stuck).not_to_contain_text("nobody reads")

    # A stream is closed on one side, and dropped; many are opened at once.
    lanes.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    yamux.locator("[data-poke=fin]").click()
    expect(yamux.get_by_role("status")).to_contain_text("stream 3 at alice sends no more")
    lanes.focus()
    page.keyboard.press("Home")
    yamux.locator("[data-poke=rst]").click()
    expect(stuck).to_contain_text("reset")
    yamux.locator("[data-poke=burst]").click()
    expect(yamux.get_by_role("status")).to_contain_text("44 were reset by the other side")
    yamux.locator("summary").click()
    expect(yamux.locator("details tbody tr").first).to_contain_text("/bulk/1.0.0")
    lab.screenshot("stream-scope-burst")

    page.get_by_label("window of a yamux stream").select_option("65536")
    fresh = page.locator(".lab-scope", has_text="/yamux/1.0.0").locator(
        ".lab-lane", has_text="/bulk/1.0.0"
    )
    expect(fresh.locator(".lab-meter").first).to_have_attribute(
        "title", re.compile("wait at alice")
    )
    assert lab.page_errors == []


def test_a_timeline_is_compared_scrubbed_and_opened(lab: LabPage, lab_server: LabServer) -> None:
    assert lab.run_all(write_notebook(lab_server.root, "lines.ipynb", LINES)) == []
    page = lab.page
    expect(page.locator(".lab-diagram")).to_have_count(2)
    first = page.locator("tr[data-stage='first byte leaves'] td")
    expect(first.nth(0)).to_contain_text("2 after 200.0 ms")
    expect(first.nth(1)).to_contain_text("5 after 500.0 ms")
    arrows = page.locator(".lab-diagram").first.locator(".lab-arrow-of")
    expect(arrows).to_have_count(6)
    expect(arrows.first).to_contain_text("syn, by the system")
    lab.screenshot_whole("timeline-light")

    # Time goes back to a moment at which one message is on its way.
    slider = page.get_by_label("moment that is shown")
    slider.focus()
    page.keyboard.press("Home")
    expect(arrows.nth(1)).to_have_class("lab-arrow-of lab-later")
    slider.fill("300")
    expect(page.get_by_role("status")).to_contain_text("180.0 of 600.0 ms")
    expect(page.locator("circle.lab-head").first).to_be_visible()

    page.get_by_role("button", name="true to time").click()
    arrows.first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    detail = page.locator(".lab-detail")
    expect(detail.locator("table.lab-fields").first).to_contain_text("/multistream/1.0.0")
    page.set_viewport_size({"width": 800, "height": 1000})
    lab.use_theme("JupyterLab Dark")
    lab.screenshot_whole("timeline-dark-800")
    page.keyboard.press("Escape")
    expect(detail).to_be_hidden()
    page.get_by_role("button", name="packets").click()
    expect(page.locator(".lab-diagram").first).to_contain_text("syn, 52 bytes")
    lab.screenshot_whole("timeline-packets")
    page.locator("summary").click()
    expect(page.locator("details tbody tr").first).to_contain_text("bob")
    assert lab.page_errors == []


METER = """\
import libp2p_lab as lab

limits = lab.Limits(max_connections_inbound=2)
alice = await lab.spawn(limits=limits)
crowd = [await lab.spawn(listen=[]) for _ in range(3)]
meter = lab.widgets.ResourceMeter({"alice": alice, "ben": crowd[0]})
display(meter)
for one in crowd:
    try:
        await one.ping(alice.addrs[0])
    except lab.DialError:
        pass
"""


def test_a_meter_shows_what_is_used_and_who_was_refused(
    lab: LabPage, lab_server: LabServer
) -> None:
    assert lab.run_all(write_notebook(lab_server.root, "meter.ipynb", METER)) == []
    page = lab.page
    system = page.locator("table", has_text="alice").first.locator("tr[data-kind=system]")
    expect(system).to_contain_text("2 of 1,024")
    expect(page.locator(".lab-refused")).to_contain_text(
        re.compile("[1-9] times? by max_connections_inbound of the system scope")
    )
    expect(page.locator("tr[data-kind=peer]").first).to_contain_text("ben")
    lab.screenshot("resource-meter-light")
    page.get_by_label("inbound and outbound apart").focus()
    page.keyboard.press("Space")
    expect(system).to_contain_text("2 of 2")
    page.set_viewport_size({"width": 800, "height": 1000})
    lab.use_theme("JupyterLab Dark")
    lab.screenshot("resource-meter-dark-800")
    assert lab.page_errors == []
