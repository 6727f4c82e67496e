"""InternetMap in a real browser: played, stepped, broken from its card and by keyboard; a thousand machines."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import LabServer
from tests.browser.lab_page import LabPage, write_notebook

SMALL = """\
import asyncio
import libp2p_lab as lab

def build():
    net = lab.sim.Internet(seed=1, regions={("paris", "tokyo"): 0.24, ("paris", "lima"): 0.19, ("lima", "tokyo"): 0.3})
    home = net.nat("home", region="lima")
    alice, carol = net.host("alice", region="paris"), net.host("carol", region="paris")
    bob, dave, erin = net.host("bob", region="tokyo"), net.host("dave", nat=home), net.host("erin", nat=home)

    async def talk(one):
        while True:
            await one.ping(alice.addrs[0])
            await asyncio.sleep(0.1)

    for one in (bob, carol, dave, erin):
        net.at(0.1, talk, one)
    return net

lab.widgets.InternetMap(build, speed=0.3)
"""
LARGE = """\
import libp2p_lab as lab

big = lab.sim.Internet(seed=2, regions=lab.sim.WORLD)
hosts = big.hosts(1000, security="plaintext")
for number, host in enumerate(hosts[100:]):
    big.at(0.5 + number / 1000, host.connect, hosts[number % 100].addrs[0])
lab.widgets.InternetMap(big, speed=0.1)
"""
STATS = "document.querySelector('.lab').labStats"


def test_an_internet_is_played_stepped_and_broken(lab: LabPage, lab_server: LabServer) -> None:
    assert lab.run_all(write_notebook(lab_server.root, "internet.ipynb", SMALL)) == []
    page = lab.page
    bar = page.locator(".lab-bar").first
    expect(bar).to_contain_text("5 machines, 1 box")
    expect(bar).to_contain_text("0.000 s, paused")
    page.get_by_role("button", name="Step").click()
    expect(page.get_by_role("status")).to_contain_text("stepped to the next packet")
    page.get_by_role("button", name="Play").click()
    expect(bar).to_contain_text("0.3× real time")
    page.wait_for_function(f"{STATS}.flights > 60")
    lab.screenshot("internet-map-light")

    # Time stops, by keyboard; a machine is chosen, and its power is cut.
    stage = page.locator(".lab-stage")
    stage.focus()
    page.keyboard.press("Space")
    expect(bar).to_contain_text("paused")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    card = page.locator(".lab-card")
    expect(card.locator("h3")).to_have_text("erin")
    expect(card).to_contain_text("12D3KooW")
    card.locator("[data-act=crash]").focus()
    page.keyboard.press("Enter")
    expect(bar).to_contain_text("1 crashed")
    expect(card.locator("[data-act=restart]")).to_be_visible()
    card.locator("[data-act=cut]").click()
    mend = page.locator("[data-act=heal]")
    expect(mend).to_contain_text("erin | everybody else")
    page.locator("summary").click()
    expect(page.locator("tbody tr", has_text="erin")).to_contain_text("crashed")
    page.set_viewport_size({"width": 800, "height": 1000})
    lab.use_theme("JupyterLab Dark")
    page.wait_for_timeout(500)
    lab.screenshot("internet-map-dark-800")
    mend.click()
    expect(mend).to_have_count(0)
    card.locator("[data-act=restart]").press("Escape")
    expect(card).to_be_hidden()
    expect(stage).to_be_focused()

    # Back to a moment before all that.
    page.get_by_label("a moment, in seconds of virtual time").fill("0.25")
    page.keyboard.press("Enter")
    expect(bar).to_contain_text("0.250 s, paused")
    expect(bar).not_to_contain_text("crashed")
    expect(page.get_by_role("status")).to_contain_text("run again, to 0.25 s")
    lab.screenshot("internet-map-back-800")
    assert lab.page_errors == []


def test_a_thousand_machines_are_drawn(lab: LabPage, lab_server: LabServer) -> None:
    assert lab.run_all(write_notebook(lab_server.root, "thousand.ipynb", LARGE)) == []
    page = lab.page
    bar = page.locator(".lab-bar").first
    expect(bar).to_contain_text("1,000 machines")
    page.get_by_role("button", name="Play").click()
    page.wait_for_function(f"{STATS}.flights > 2000")
    page.get_by_role("button", name="Pause").click()
    expect(bar).to_contain_text("paused")
    page.wait_for_timeout(500)
    lab.screenshot("internet-map-thousand")
    assert lab.page_errors == []
