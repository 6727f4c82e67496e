"""MeshView and ScoreBoard in a real browser: published, replayed, stepped by heartbeats, broken, tuned."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import LabServer
from tests.browser.lab_page import LabPage, write_notebook

TWINS = """\
import libp2p_lab as lab

view = lab.widgets.MeshView()
view
"""
LIVE = """\
import libp2p_lab as lab

few = lab.GossipSubParameters(D=3, D_low=2, D_high=4, D_score=2, D_out=1, flood_publish=False)
peers = {
    name: await lab.spawn(listen=["/memory/0"], services=[lab.Identify(), lab.GossipSub(few)])
    for name in ("ada", "ben", "cleo", "dan", "eve", "fay", "gus", "hal")
}
hosts = list(peers.values())
for number, host in enumerate(hosts):
    for other in hosts[number + 1 :]:
        await host.connect(other.addrs[0])
for host in hosts[:-1]:
    await host.pubsub.subscribe("news")
lab.widgets.MeshView(peers)
"""
SCORES = """\
import libp2p_lab as lab
from libp2p_lab.pubsub import GossipSub, ScoreParameters, TopicScoreParameters

net = lab.sim.Internet(seed=3)

def services():
    score = ScoreParameters(topics={"t": TopicScoreParameters(first_message_deliveries_decay=0.9)})
    return [lab.Identify(), GossipSub(score=score, first_seqno=lambda: 1)]

alice, bob, mallory = (net.host(name, services=services, security="plaintext") for name in ("alice", "bob", "mallory"))

async def begin():
    for host, others in ((alice, []), (bob, [alice]), (mallory, [alice, bob])):
        await host.run(host.pubsub.subscribe("t"))
        for other in others:
            await host.connect(other.addrs[0])
    for host in (alice, bob):
        host.pubsub.add_validator("t", lambda message: not message.data.startswith(b"bad"))

net.run(begin())
board = lab.widgets.ScoreBoard(net, judge="alice", peer="mallory")
for data in (b"good", b"good", b"good", b"bad", b"bad", b"bad"):
    net.run_for(3)
    for _ in range(3):
        net.run(mallory.run(mallory.pubsub.publish("t", data)))
net.run_for(12)
board
"""


def test_a_message_by_mesh_and_by_flood(lab: LabPage, lab_server: LabServer) -> None:
    assert lab.run_all(write_notebook(lab_server.root, "mesh.ipynb", TWINS)) == []
    lab.use_theme("JupyterLab Light")
    page = lab.page
    panels = page.locator(".lab-panel")
    expect(panels).to_have_count(2)
    expect(panels.first).to_contain_text("for gossip only")
    expect(panels.last).to_contain_text("links that flood")
    page.get_by_role("button", name="Publish").click()
    numbers = page.locator(".lab-numbers tbody tr")
    expect(numbers.first).to_contain_text("19")
    expect(numbers.last).to_contain_text("19")
    copies = [int(row.locator("td").nth(2).inner_text()) for row in numbers.all()]
    assert copies[0] < copies[1]
    page.wait_for_timeout(900)
    lab.screenshot("mesh-view-wave")

    # The wave again, hop by hop.
    page.get_by_role("button", name="Next hop").click()
    place = page.locator(".lab-top .lab-num")
    expect(place).to_contain_text("hop")
    page.get_by_role("slider", name="hops of the wave").focus()
    page.keyboard.press("Home")
    expect(place).to_contain_text("hop 0")
    page.keyboard.press("End")
    expect(place).to_contain_text("19 reached")

    # A peer's drawer, by keyboard; it publishes too.
    dot = panels.first.locator(".lab-dot").first
    dot.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    drawer = page.locator(".lab-drawer")
    expect(drawer).to_be_visible()
    expect(drawer).to_contain_text("Message cache")
    expect(drawer).to_contain_text("P7")
    page.get_by_role("button", name="Next heartbeat").click()
    expect(page.locator("span[role=status]")).to_contain_text("one heartbeat of everybody")
    expect(drawer).to_contain_text("between D_low")
    drawer.scroll_into_view_if_needed()
    lab.screenshot("mesh-view-drawer")

    # Silent, then gone; the neighbours graft others at the next heartbeats.
    name = drawer.locator("h3").inner_text()
    drawer.locator("[data-act=silence]").click()
    expect(drawer).to_contain_text("silent")
    drawer.locator("[data-act=kill]").click()
    expect(panels.first).to_contain_text("1 gone")
    expect(panels.last).to_contain_text("1 gone")
    expect(drawer.locator("[data-act=kill]")).to_have_count(0)
    page.keyboard.press("Escape")

    # Another D: refused while it contradicts D_high, taken otherwise.
    page.locator("summary", has_text="Parameters").click()
    degree = page.locator("[data-parameter=D]")
    degree.fill("12")
    expect(page.locator("span[role=status]")).to_contain_text("D_low ≤ D ≤ D_high")
    expect(degree).to_have_value("4")
    page.locator("[data-parameter=D_high]").fill("9")
    expect(page.locator("span[role=status]")).to_contain_text("in force")
    page.locator("summary", has_text="decided at its last heartbeat").click()
    page.get_by_role("button", name="Next heartbeat").click()
    expect(page.locator("details[open] table").last).to_contain_text("D_high = 9")
    page.locator("summary", has_text="as a table").click()
    row = page.get_by_role("row").filter(has=page.get_by_role("button", name=name, exact=True))
    expect(row.first).to_contain_text("gone")
    page.set_viewport_size({"width": 800, "height": 1000})
    lab.use_theme("JupyterLab Dark")
    panels.first.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    lab.screenshot("mesh-view-dark-800")
    assert lab.page_errors == []


def test_live_peers_publish_through_a_fan_out(lab: LabPage, lab_server: LabServer) -> None:
    assert lab.run_all(write_notebook(lab_server.root, "live.ipynb", LIVE)) == []
    lab.use_theme("JupyterLab Light")
    page = lab.page
    panel = page.locator(".lab-panel").first
    clock = page.locator(".lab-bar").first
    expect(panel).to_contain_text("8 peers")
    expect(clock).to_contain_text("hearts beat")
    panel.locator(".lab-dot").last.focus()
    page.keyboard.press("p")  # hal publishes, and wants nothing himself
    expect(page.locator(".lab-numbers tbody tr td").first).to_have_text("7")
    expect(panel).to_contain_text("3 for fan-out")
    lab.screenshot("mesh-view-live")

    page.get_by_role("button", name="Pause").click()
    expect(clock).to_contain_text("hearts stand still")
    page.locator("summary", has_text="decided at its last heartbeat").click()
    page.get_by_role("button", name="Next heartbeat").click()
    expect(page.locator("details[open] tbody tr")).to_have_count(8)
    expect(page.locator("details[open]")).to_contain_text("between D_low = 2 and D_high = 4")
    page.get_by_role("button", name="Let hearts beat").click()
    expect(clock).to_contain_text("hearts beat")
    assert lab.page_errors == []


def test_a_score_is_taken_apart(lab: LabPage, lab_server: LabServer) -> None:
    assert lab.run_all(write_notebook(lab_server.root, "score.ipynb", SCORES)) == []
    lab.use_theme("JupyterLab Light")
    page = lab.page
    board = page.get_by_role("region", name="Score of a peer")
    expect(board).to_contain_text("mallory in the eyes of alice")
    lab.screenshot("score-board-light")
    chart = board.locator(".lab-score")
    last = chart.get_attribute("aria-valuenow")
    chart.focus()
    for _ in range(14):
        page.keyboard.press("ArrowLeft")
    expect(chart).to_have_attribute("aria-valuenow", str(int(last or 0) - 14))
    expect(board.locator("tr", has_text="invalid messages")).to_contain_text("-")
    board.get_by_label("compress large values").check()
    page.set_viewport_size({"width": 800, "height": 1000})
    lab.use_theme("JupyterLab Dark")
    page.wait_for_timeout(300)
    lab.screenshot("score-board-dark-800")
    board.get_by_label("who judges").select_option(label="bob")
    expect(board).to_contain_text("in the eyes of bob")
    board.locator("summary").click()
    expect(board.locator("details th", has_text="P3b")).to_be_visible()
    assert lab.page_errors == []
