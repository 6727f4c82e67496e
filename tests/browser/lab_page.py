"""One JupyterLab page in a real browser: open a notebook, run it, look at it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Page, TimeoutError

from tests.support import REPOSITORY
from tools.build_notebooks import METADATA

SCREENSHOTS = REPOSITORY / "artifacts" / "screenshots"
WAIT = 90_000  # milliseconds, for anything that the browser waits for: machines are loaded
RUN_WAIT = 150_000  # for a whole notebook, which takes a minute at the most

KERNEL_IDLE = """() => {
    const notebook = window.jupyterapp.shell.currentWidget;
    return notebook?.sessionContext?.session?.kernel?.status === 'idle';
}"""
# Done: every code cell that holds something has run, or one of them failed: the rest never run.
RUN_DONE = """() => {
    const notebook = window.jupyterapp.shell.currentWidget;
    const cells = notebook.content.widgets.filter(
        cell => cell.model.type === 'code' && cell.model.sharedModel.getSource().trim());
    const failed = cells.some(cell =>
        cell.model.outputs.toJSON().some(output => output.output_type === 'error'));
    return notebook.sessionContext.session?.kernel?.status === 'idle'
        && (failed || cells.every(cell => cell.model.executionCount !== null));
}"""
# What a run has come to, for the message of one that never ends.
PROGRESS = """() => {
    const notebook = window.jupyterapp.shell.currentWidget;
    const kernel = notebook.sessionContext?.session?.kernel;
    return {
        status: kernel?.status, connection: kernel?.connectionStatus,
        cells: notebook.content.widgets.filter(cell => cell.model.type === 'code')
            .map(cell => cell.model.executionCount),
    };
}"""
OUTPUTS = """() => window.jupyterapp.shell.currentWidget.content.widgets
    .filter(cell => cell.model.type === 'code').map(cell => cell.model.outputs.toJSON())"""


def write_notebook(root: Path, name: str, *cells: str) -> str:
    """Write a notebook of code cells for a test's own use. Returns its name."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        metadata=METADATA,  # without a kernel's name JupyterLab asks for one
    )
    nbformat.write(notebook, root / name)
    return name


@dataclass
class LabPage:
    """A browser page on one JupyterLab server.

    Attributes:
        page: Playwright's page, for everything that is not here.
        url: the server's address.
        foreign_requests: addresses outside the server that the page asked for. The fixture fails
            the test where there are any.
        page_errors: JavaScript errors that nothing caught.
    """

    page: Page
    url: str
    foreign_requests: list[str] = field(default_factory=list)
    page_errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        socket_url = self.url.replace("http:", "ws:", 1)
        home = (f"{self.url}/", f"{socket_url}/", "data:", "blob:", "about:")

        def note(address: str) -> None:
            if not address.startswith(home):
                self.foreign_requests.append(address)

        self.page.on("request", lambda request: note(request.url))
        self.page.on("websocket", lambda socket: note(socket.url))
        self.page.on("pageerror", lambda error: self.page_errors.append(str(error)))

    def open(self, notebook: str) -> None:
        """Open a notebook, named relative to the server's root, and wait for its kernel."""
        self.page.goto(f"{self.url}/lab/tree/{notebook}?reset", timeout=WAIT)
        self.page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=WAIT)
        self.page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for(timeout=WAIT)
        self.page.wait_for_function(KERNEL_IDLE, timeout=WAIT)

    def run_all(self, notebook: str) -> list[dict[str, Any]]:
        """Open `notebook`, run all its cells, wait until the kernel is idle.

        Returns: the error outputs, each with `ename`, `evalue`, `traceback`; none when all is well.
        """
        self.open(notebook)
        self.command("notebook:run-all-cells")
        try:
            self.page.wait_for_function(RUN_DONE, timeout=RUN_WAIT)
        except TimeoutError as error:
            progress = self.page.evaluate(PROGRESS)
            raise AssertionError(f"not all cells ran: {progress}") from error
        return self.error_outputs()

    def command(self, name: str, arguments: dict[str, Any] | None = None) -> None:
        """Run one of JupyterLab's commands, without waiting for its result."""
        self.page.evaluate(
            "([name, args]) => { void window.jupyterapp.commands.execute(name, args); }",
            [name, arguments or {}],
        )

    def outputs(self) -> list[list[dict[str, Any]]]:
        """The outputs of each code cell of the current notebook."""
        found: list[list[dict[str, Any]]] = self.page.evaluate(OUTPUTS)
        return found

    def error_outputs(self) -> list[dict[str, Any]]:
        return [
            output for cell in self.outputs() for output in cell if output["output_type"] == "error"
        ]

    def use_theme(self, name: str) -> None:
        """Switch to "JupyterLab Light" or "JupyterLab Dark", and wait until it shows."""
        self.command("apputils:change-theme", {"theme": name})
        self.page.wait_for_function(
            "name => document.body.dataset.jpThemeName === name", arg=name, timeout=WAIT
        )
        self.page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=WAIT)

    def screenshot(self, name: str) -> Path:
        """Save what the window shows as artifacts/screenshots/<name>.png."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', name)}.png"
        self.page.screenshot(path=str(path), timeout=WAIT)
        return path

    def screenshot_whole(self, name: str) -> Path:
        """Save the whole notebook: the window grows to its height for the picture."""
        before = self.page.viewport_size
        assert before is not None
        height = self.page.evaluate(
            """() => Math.max(...[...document.querySelectorAll(
                '.jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-outer')]
                .map(panel => panel.scrollHeight))"""
        )
        self.page.set_viewport_size(
            {"width": before["width"], "height": min(int(height) + 200, 16_000)}
        )
        self.page.wait_for_timeout(1_000)  # canvases redraw at their new place
        try:
            return self.screenshot(name)
        finally:
            self.page.set_viewport_size(before)

    def shutdown_kernel(self) -> None:
        """End the kernel of the current notebook."""
        self.page.evaluate(
            "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.shutdown()"
        )
