"""Install the foreign peers of the interop tests: js-libp2p (with its own Node) and py-libp2p, where out of date.

    python -m tools.install_interop [js] [py]

js-libp2p goes to libp2p_lab/foreign_js/node_modules, py-libp2p to .venvs/py-libp2p; both are ignored by git. A stamp
with the hash of what was asked for makes the second run a matter of a moment.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from libp2p_lab.foreign import install_js, js_folder

REPOSITORY = Path(__file__).resolve().parent.parent
REQUIREMENTS = REPOSITORY / "tests" / "interop" / "py" / "requirements.txt"
ENVIRONMENT = REPOSITORY / ".venvs" / "py-libp2p"
STAMP = ENVIRONMENT / "installed"


def py_python() -> Path | None:
    """The Python of py-libp2p's environment if that is as requirements.txt asks; else None."""
    if not STAMP.is_file() or STAMP.read_text("ascii") != _wanted():
        return None
    return _python()


def install_py() -> Path:
    """Make py-libp2p's environment anew."""
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    venv.create(ENVIRONMENT, with_pip=True, symlinks=os.name != "nt")
    pip = [_python(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--requirement", REQUIREMENTS], check=True)
    STAMP.write_text(_wanted(), "ascii")
    return _python()


def _python() -> Path:
    inside = "Scripts/python.exe" if os.name == "nt" else "bin/python"
    return ENVIRONMENT / inside


def _wanted() -> str:
    asked = REQUIREMENTS.read_bytes() + f"{sys.version_info[:2]}".encode()
    return hashlib.sha256(asked).hexdigest()


def main(names: list[str]) -> None:
    if "js" in names:
        print("js-libp2p:", js_folder() or asyncio.run(install_js()))
    if "py" in names:
        print("py-libp2p:", py_python() or install_py())


if __name__ == "__main__":
    main(sys.argv[1:] or ["js", "py"])
