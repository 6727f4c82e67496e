"""A JupyterLab server of the tests' own, and Debian's Chromium driven by Playwright."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.lab_page import WAIT, LabPage
from tests.support import REPOSITORY, require

CHROMIUM = Path("/usr/bin/chromium")
START_TIMEOUT = 120  # seconds
SETTINGS = {
    "notification": {"fetchNews": "false", "checkForUpdates": False},
    "kernels-settings": {"commsOverSubshells": "disabled"},
}


@dataclass(frozen=True)
class LabServer:
    """A running JupyterLab: where it is, and the copy of the notebooks that it serves."""

    url: str
    root: Path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.timeout(900))
            item.add_marker(pytest.mark.filterwarnings("default"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def lab_environment(home: Path) -> dict[str, str]:
    """Settings, caches and kernels' files of this run alone."""
    for name, values in SETTINGS.items():
        folder = home / "settings" / "@jupyterlab" / "apputils-extension"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.jupyterlab-settings").write_text(json.dumps(values), "utf-8")
    return {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
    }


def wait_until_up(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            urllib.request.urlopen(f"{url}/api/status", timeout=5).close()
            return
        except OSError:
            assert server.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < deadline, log.read_text("utf-8")
            time.sleep(0.2)


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """JupyterLab on a copy of notebooks/: running a notebook saves it, and ours stay clean."""
    home = tmp_path_factory.mktemp("jupyterlab")
    root = home / "root"
    notebooks = REPOSITORY / "notebooks"
    shutil.copytree(notebooks, root) if notebooks.is_dir() else root.mkdir()
    port = free_port()
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += ["--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"]
    command += ["--IdentityProvider.token=", "--expose-app-in-browser", "--LabApp.news_url=None"]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    command += [f"--ServerApp.root_dir={root}"]
    log = home / "server.log"
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, env=lab_environment(home), stdout=output, stderr=subprocess.STDOUT
        )
        try:
            wait_until_up(url, server, log)
            yield LabServer(url, root)
        finally:
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(30)


# Playwright keeps an event loop on this thread. The package's end is its end, so that asynchronous
# tests of other folders can run in the same process.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    require(CHROMIUM.exists(), f"{CHROMIUM} is missing (Debian: apt-get install chromium)")
    expect.set_options(timeout=WAIT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM),
            headless=True,
            timeout=WAIT,
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
        )
        yield browser
        browser.close()


@contextmanager
def open_page(server: LabServer, browser: Browser, name: str) -> Iterator[LabPage]:
    """A fresh page; afterwards a screenshot is saved and its kernel ended."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(WAIT)
    page = LabPage(context.new_page(), server.url)
    try:
        yield page
    finally:
        page.screenshot(f"end-of-{name}")
        page.shutdown_kernel()
        context.close()


@pytest.fixture
def lab(
    request: pytest.FixtureRequest, lab_server: LabServer, chromium: Browser
) -> Iterator[LabPage]:
    """A fresh page. The test fails when the page asks for anything outside its own origin."""
    with open_page(lab_server, chromium, request.node.name) as page:
        yield page
    assert page.foreign_requests == [], "the page asked for something outside its own origin"
