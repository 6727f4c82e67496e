"""HandshakeStepper in the page: by mouse and by key; a byte turned over, mallory in the middle, three protocols."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import LabServer
from tests.browser.lab_page import LabPage, write_notebook
from tests.browser.test_notebooks import OVERFLOWING

STEPPER = """\
import libp2p_lab as lab
lab.widgets.HandshakeStepper()
"""


def test_a_handshake_is_stepped_and_broken(lab: LabPage, lab_server: LabServer) -> None:
    assert lab.run_all(write_notebook(lab_server.root, "stepper.ipynb", STEPPER)) == []
    page = lab.page
    box = page.locator(".lab").first
    now, place = box.get_by_role("status"), box.locator(".lab-bar .lab-num")
    expect(now).to_contain_text("alice · e")
    expect(place).to_have_text("step 1 of 26")
    box.locator("[data-go=next]").click()
    expect(now).to_contain_text("payload")
    box.locator("[data-go=message]").click()
    expect(now).to_contain_text("bob · e")

    # By key: on to ee, where both get a key; then all the way, and back.
    box.locator('[aria-current="step"]').focus()
    page.keyboard.press("ArrowRight")
    expect(now).to_contain_text("bob · ee")
    expect(box.locator("[data-value='bob.k']")).to_contain_text("●")
    page.keyboard.press("End")
    expect(now).to_contain_text("Nobody else can")
    expect(box.locator("[data-knows='the letter/onlooker']")).to_have_text("–")
    page.keyboard.press("ArrowLeft")
    expect(now).to_contain_text("alice · letter")
    page.keyboard.press("Home")
    expect(place).to_have_text("step 1 of 26")
    box.locator("[data-go=message]").click()
    for width in (1280, 800):
        page.set_viewport_size({"width": width, "height": 1000})
        for theme in ("Dark", "Light"):
            lab.use_theme(f"JupyterLab {theme}")
            lab.screenshot(f"handshake-{width}-{theme.lower()}")
        assert page.evaluate(OVERFLOWING) == []

    # A byte of bob's answer, turned over by key: alice notices.
    byte = box.locator("[data-place='2']")
    byte.focus()
    page.keyboard.press("Enter")
    expect(box.locator(".lab-poked")).to_have_count(1)
    box.locator("[data-go=end]").click()
    expect(now).to_contain_text("Alice refuses, at s")
    lab.screenshot("handshake-flipped")
    box.get_by_role("button", name="Mallory does nothing").click()
    expect(place).to_contain_text("of 26")

    attack = box.get_by_label("what mallory does")
    attack.select_option("middle")
    box.locator("[data-go=end]").click()
    expect(now).to_contain_text("did not sign")
    attack.select_option("careless")
    box.locator("[data-go=end]").click()
    expect(now).to_contain_text("So has mallory")
    expect(box.locator("[data-knows='the letter/mallory']")).to_have_text("read")
    lab.screenshot("handshake-careless")

    box.locator("[data-protocol=tls]").click()
    expect(now).to_contain_text("ClientHello")
    expect(box.locator(".lab-shake-track > li")).to_have_count(4)
    box.locator("[data-go=end]").click()
    expect(box.locator("[data-value='bob.muxer']")).to_contain_text("/yamux/1.0.0")
    lab.screenshot("handshake-tls")
    box.locator("[data-protocol=plaintext]").click()
    box.locator("[data-go=end]").click()
    expect(box.locator("[data-knows='the letter/onlooker']")).to_have_text("read")
    lab.screenshot("handshake-plaintext")
    assert lab.page_errors == []
