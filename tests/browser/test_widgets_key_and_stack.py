"""KeyLab and StackBuilder in the page: pokes that are refused, and a dial that lacks a layer."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import LabServer
from tests.browser.lab_page import LabPage, write_notebook

KEY = """\
import libp2p_lab as lab
key = "080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"
lab.widgets.KeyLab(lab.PublicKey.from_protobuf(bytes.fromhex(key)))
"""
STACK = """\
import libp2p_lab as lab
alice, bob = await lab.spawn(), await lab.spawn()
lab.widgets.StackBuilder(bob)
"""
PEER = "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"


def test_pokes_at_a_key(lab: LabPage, lab_server: LabServer) -> None:
    assert lab.run_all(write_notebook(lab_server.root, "key.ipynb", KEY)) == []
    page = lab.page
    base58 = page.locator("[data-id=base58]")
    verdict = page.locator(".lab-verdict")
    expect(base58).to_have_text(PEER)
    expect(page.locator("[data-id=cid]")).to_contain_text("bafzaaj")
    expect(page.locator(".lab")).to_contain_text("Why does every Ed25519 id begin with 12D3KooW?")
    lab.screenshot("key-lab-light")
    lab.use_theme("JupyterLab Dark")
    lab.screenshot("key-lab-dark")
    lab.use_theme("JupyterLab Light")
    for poke in ("type", "length", "swap"):
        page.locator(f"[data-poke={poke}]").click()
        expect(verdict).to_contain_text("Refused")
        expect(verdict).to_contain_text("two names")
        page.get_by_role("button", name="Undo").click()
        expect(verdict).to_contain_text("canonical")

    # A byte of the key itself, by keyboard: another key, another peer.
    byte = page.locator("[data-key-byte='10']").first
    byte.focus()
    page.keyboard.press("Enter")
    expect(verdict).to_contain_text("another key")
    expect(base58).not_to_have_text(PEER)
    page.keyboard.press("Enter")  # the focus is still there: turned back
    expect(base58).to_have_text(PEER)

    slider = page.get_by_label("length of the encoded key in bytes")
    for length, says in ((42, "holds the key itself"), (43, "holds its SHA-256")):
        slider.fill(str(length))
        expect(page.locator(".lab-stages")).to_contain_text(f"{length} bytes: ")
        expect(page.locator(".lab-stages")).to_contain_text(says)
    page.locator("[data-key-type=ecdsa]").click()
    expect(base58).to_contain_text("Qm")
    page.locator("[data-key-type=rsa]").click()
    expect(page.locator(".lab-stages")).to_contain_text("299 bytes")
    assert lab.page_errors == []


@pytest.mark.parametrize(("layer", "message"), [("muxer", "na"), ("negotiation", "handshake 0")])
def test_a_dial_without_a_layer(
    lab: LabPage, lab_server: LabServer, layer: str, message: str
) -> None:
    assert lab.run_all(write_notebook(lab_server.root, "stack.ipynb", STACK)) == []
    page = lab.page
    expect(page.locator(".lab-tile")).to_have_count(8)
    page.locator("[data-slot=muxer]").click()
    expect(page.locator(".lab-pane")).to_contain_text("libp2p_lab/multiplexing/yamux.py")
    expect(page.locator(".lab-pane pre")).to_contain_text("class YamuxSession")
    page.locator(f"[data-take={layer}]").click()
    page.get_by_role("button", name=f"Dial without {layer}").click()
    expect(page.locator(".lab-verdict")).to_contain_text(f"It ends at {layer}.")
    expect(page.locator(".lab-fail")).to_contain_text(message)
    expect(page.locator(".lab-pane .lab-level").first).to_be_visible()  # that message, opened
    lab.screenshot(f"stack-builder-without-{layer}")
    page.locator(f"[data-take={layer}]").click()
    page.get_by_role("button", name="Dial", exact=True).click()
    expect(page.locator(".lab-verdict")).to_contain_text("All steps work")
    page.locator("[data-slot=muxer]").click()
    expect(page.locator(".lab-pane .lab-fields")).to_contain_text("stream id")
    assert lab.page_errors == []


@pytest.mark.parametrize("width", [1280, 800])
def test_nothing_is_cut_off(lab: LabPage, lab_server: LabServer, width: int) -> None:
    cells = (STACK, "lab.widgets.NetworkMap([alice, bob])", "lab.widgets.WireLens(bob)", KEY)
    lab.page.set_viewport_size({"width": width, "height": 1000})
    assert lab.run_all(write_notebook(lab_server.root, f"wide-{width}.ipynb", *cells)) == []
    if width < 1000:
        lab.command("application:toggle-left-area")
    expect(lab.page.locator(".lab")).to_have_count(4)
    lab.page.wait_for_timeout(500)
    overflowing = lab.page.evaluate(
        """() => [...document.querySelectorAll('.lab, .lab-bar, .lab-frame, .lab-stages')]
            .filter(box => box.scrollWidth > box.clientWidth + 1).map(box => box.className)"""
    )
    assert overflowing == []
    lab.screenshot_whole(f"widgets-{width}")
    assert lab.page_errors == []
