"""Edit and resend in the page, with the keyboard: a line is changed, and a scratch peer says no."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import LabServer
from tests.browser.lab_page import LabPage, write_notebook

RUN = """\
import libp2p_lab as lab
alice, bob = await lab.spawn(), await lab.spawn()
with lab.record(bob) as log:
    await bob.connect(alice.addrs[0])
    await bob.ping(alice.peer_id)
lab.widgets.WireLens(log)
"""


def test_a_changed_line_is_refused_by_a_scratch_peer(lab: LabPage, lab_server: LabServer) -> None:
    assert lab.run_all(write_notebook(lab_server.root, "resend.ipynb", RUN)) == []
    page = lab.page
    page.locator(".lab-row").filter(has_text="/noise").first.click()
    editor = page.locator(".lab-resend")
    editor.locator("summary").first.focus()
    page.keyboard.press("Enter")
    text = editor.get_by_label("the bytes of the copy")
    expect(text).to_have_value("07 2f 6e 6f 69 73 65 0a")
    expect(editor.locator("[role=status]")).to_have_text("unchanged")

    send = editor.get_by_role("button", name="Send the copy")
    page.keyboard.press("Tab")
    expect(text).to_be_focused()
    text.fill("07 2f 6e 6f 69 73 6")
    expect(send).to_be_disabled()
    text.fill("07 2f 6e 6f 69 73 66 0a")  # /noisf
    expect(editor.locator("[role=status]")).to_have_text("1 byte changed")
    page.keyboard.press("Tab")
    expect(send).to_be_focused()
    page.keyboard.press("Enter")
    answers = editor.locator(".lab-answer[data-direction=sent]")
    expect(answers.filter(has_text="na").first).to_be_visible()
    answers.last.locator("summary").click()
    expect(answers.last.locator(".lab-hex")).to_be_visible()
    lab.screenshot("resend-light")

    editor.get_by_role("button", name="Undo changes").click()
    send.click()
    expect(answers.filter(has_text="/noise").first).to_be_visible()
    lab.page.set_viewport_size({"width": 800, "height": 1000})
    lab.use_theme("JupyterLab Dark")
    lab.screenshot("resend-dark-800")
    assert lab.page_errors == []
