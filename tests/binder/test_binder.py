"""binder/ describes an image that can be built: pins that resolve, and a launch into the first notebook."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from libp2p_lab.curriculum import CHAPTERS
from tests.support import REPOSITORY, repository_files, require
from tools import environment
from tools.pin_binder import BINDER, resolve, runtime_minor

FIRST_PAGE = f"/lab/tree/notebooks/{CHAPTERS[0].notebook}"
PINS = dict(
    line.split("==")
    for line in (BINDER / "requirements.txt").read_text("ascii").splitlines()
    if not line.startswith("#")
)

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def binder_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A fresh, empty environment of the Python that Binder is asked for."""
    minor = runtime_minor()
    base = environment.pythons().get(minor)
    require(base, f"Python 3.{minor}, Binder's, is not on this machine")
    assert base is not None
    folder = tmp_path_factory.mktemp("binder") / "venv"
    subprocess.run([base, "-m", "venv", folder], check=True)
    return str(environment.inside(folder))


def test_the_kernel_is_new_enough() -> None:
    major, minor = map(int, PINS["ipykernel"].split(".")[:2])
    assert (major, minor) >= (7, 4), "callbacks of widgets would run in another thread"


def test_the_pins_resolve_and_are_complete(binder_python: str) -> None:
    # With the lab itself in the same resolution, its own lower bounds are held against the pins too.
    chosen = resolve(binder_python, "--requirement", "binder/requirements.txt", ".[lab]")
    del chosen["libp2p-lab"]
    assert chosen == PINS


def test_post_build_installs_the_lab_and_its_settings(binder_python: str, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    for source in repository_files():
        target = checkout / source.relative_to(REPOSITORY)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    prefix = Path(binder_python).parent.parent
    path = f"{prefix / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environ = {**os.environ, "NB_PYTHON_PREFIX": str(prefix), "PATH": path}
    done = subprocess.run(
        [checkout / "binder" / "postBuild"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    where = subprocess.run(
        [
            binder_python,
            "-c",
            "import importlib.util as u; print(u.find_spec('libp2p_lab').origin)",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(checkout)
    settings = json.loads((prefix / "share/jupyter/lab/settings/overrides.json").read_text())
    kernels = settings["@jupyterlab/apputils-extension:kernels-settings"]
    assert kernels["commsOverSubshells"] == "disabled"
    assert first_page_of_a_server(prefix / "etc" / "jupyter", tmp_path) == FIRST_PAGE


def first_page_of_a_server(config: Path, home: Path) -> str:
    """Where a JupyterLab with this configuration sends who asks for `/`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    own = {name: str(home / name.lower()) for name in names}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += ["--ip=127.0.0.1", f"--port={port}", "--IdentityProvider.token="]
    server = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={**os.environ, **own, "JUPYTER_CONFIG_PATH": str(config)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as page:
                    return str(page.url).removeprefix(f"http://127.0.0.1:{port}")
            except OSError:
                assert server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)
    finally:
        server.terminate()
        server.wait(30)


def test_repo2docker_accepts_the_repository() -> None:
    python = environment.ensure("binder")
    done = subprocess.run(
        [python, "-m", "repo2docker", "--no-build", "--debug", "."],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    dockerfile = done.stdout + done.stderr
    assert re.search(r"pip install .*-r .*binder/requirements\.txt", dockerfile)
    assert "RUN ./binder/postBuild" in dockerfile
    assert f"environment.py-3.{runtime_minor()}" in dockerfile.replace("-2epy-2d3-2e", ".py-3.")
    assert not re.search(r"npm (ci|install|run)", dockerfile), "no JavaScript is built on Binder"


def test_the_first_page_exists() -> None:
    assert (REPOSITORY / FIRST_PAGE.removeprefix("/lab/tree/")).is_file()
