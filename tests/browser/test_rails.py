"""The browser tests' own tools, on a notebook that is known to work and on two that do not."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from tests.browser.conftest import LabServer, open_page
from tests.browser.lab_page import LabPage, write_notebook

WIDGET = """\
import anywidget, traitlets

class Counter(anywidget.AnyWidget):
    _esm = '''
    function render({ model, el }) {
        const button = document.createElement("button");
        button.className = "rails-counter";
        const show = () => { button.textContent = "count " + model.get("count"); };
        button.onclick = () => model.send({ kind: "click" });
        model.on("change:count", show);
        show();
        el.append(button);
    }
    export default { render };
    '''
    count = traitlets.Int(0).tag(sync=True)

counter = Counter()
"""
CALLBACK = """\
import asyncio
home = asyncio.get_running_loop()

def clicked(widget, content, buffers):
    assert asyncio.get_running_loop() is home
    widget.count += 1

counter.on_msg(clicked)
counter
"""


def test_a_widget_is_drawn_and_answers_on_the_kernels_loop(
    lab: LabPage, lab_server: LabServer
) -> None:
    assert lab.run_all(write_notebook(lab_server.root, "rails.ipynb", WIDGET, "", CALLBACK)) == []
    button = lab.page.locator("button.rails-counter")
    expect(button).to_have_text("count 0")
    button.click()
    expect(button).to_have_text("count 1")
    lab.use_theme("JupyterLab Dark")
    assert lab.screenshot_whole("rails").stat().st_size > 10_000
    assert lab.page_errors == []


def test_errors_are_reported(lab: LabPage, lab_server: LabServer) -> None:
    errors = lab.run_all(write_notebook(lab_server.root, "broken.ipynb", "1 / 0", "2"))
    assert [error["ename"] for error in errors] == ["ZeroDivisionError"]


def test_a_request_that_leaves_is_seen(lab_server: LabServer, chromium: Browser) -> None:
    script = "from IPython.display import HTML\nHTML('<img src=\"http://127.0.0.1:9/x.png\">')"
    name = write_notebook(lab_server.root, "leaving.ipynb", script)
    with open_page(lab_server, chromium, "leaving") as lab:
        assert lab.run_all(name) == []
        lab.page.locator("img[src*='127.0.0.1:9']").wait_for(state="attached")
        assert set(lab.foreign_requests) == {"http://127.0.0.1:9/x.png"}
