"""Run the parts of the test suite, one after another, and say what each took.

    python -m tools.run_tests                 everything
    python -m tools.run_tests lint unit       these parts

A part that fails does not keep the others from running; the end of the output lists them all.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tools import environment

REPOSITORY = Path(__file__).resolve().parent.parent
CHROMIUM = Path("/usr/bin/chromium")
SEPARATE = (
    "interop",
    "notebooks",
    "browser",
    "binder",
)  # folders of tests/ that are parts of their own
# What the newest Python runs too. The project's own checks need tools that are pinned for older ones.
NEWEST_SKIPS = ("project", *SEPARATE)


def run(*command: str | Path, **environ: str) -> bool:
    print("+", *(str(word) for word in command), flush=True)
    done = subprocess.run(command, cwd=REPOSITORY, env={**os.environ, **environ}, check=False)
    return done.returncode == 0


def pytest(*arguments: str, python: str | Path = sys.executable) -> bool:
    return run(python, "-m", "pytest", "-q", *arguments)


def without(folders: tuple[str, ...]) -> list[str]:
    return [f"--ignore=tests/{folder}" for folder in folders]


def lint() -> bool:
    tool = Path(sys.executable).with_name
    steps = [
        [tool("ruff"), "format", "--check"],
        [tool("ruff"), "check"],
        [tool("mypy")],
        [tool("lint-imports"), "--no-logo", "--no-cache"],
    ]
    results = [run(*step) for step in steps]  # the later ones also after a failure
    return all(results)


def unit() -> bool:
    return pytest("tests", *without(SEPARATE))


def newest() -> bool:
    """The unit tests under the newest Python of this machine, with fewer examples each."""
    python = environment.ensure("newest")
    minor = environment.minor_version(str(python))
    if minor == sys.version_info.minor:
        print(f"No Python newer than {platform.python_version()} here: its run is the newest's.")
        return True
    print(f"The newest Python of this machine is 3.{minor}.")
    return pytest("tests", *without(NEWEST_SKIPS), "--hypothesis-profile=short", python=python)


def interop() -> bool:
    installed = run(sys.executable, "-m", "tools.install_interop")
    return pytest("tests/interop") and installed


def notebooks() -> bool:
    return pytest("tests/notebooks")


def browser() -> bool:
    install_chromium()
    return pytest("tests/browser")


def binder() -> bool:
    return pytest("tests/binder")


def install_chromium() -> None:
    """Debian's Chromium, through apt-get, where that is possible; else a line that says what to do."""
    if CHROMIUM.exists():
        return
    is_root = getattr(os, "geteuid", lambda: 1)() == 0
    sudo = [] if is_root else ["sudo", "-n"]
    if not shutil.which("apt-get") or (sudo and not run(*sudo, "true")):
        print(f"{CHROMIUM} is missing. Install it (Debian: sudo apt-get install chromium).")
        return
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    run(*sudo, *quiet, "update")
    run(*sudo, *quiet, "install", "--no-install-recommends", "chromium")


PARTS: dict[str, Callable[[], bool]] = {
    part.__name__: part for part in (lint, unit, newest, interop, notebooks, browser, binder)
}


def main(names: list[str]) -> int:
    if unknown := set(names) - PARTS.keys():
        sys.exit(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    lines = []
    failed = False
    for name in names or PARTS:
        print(f"\n== {name}", flush=True)
        started = time.monotonic()
        try:
            passed = PARTS[name]()
        except subprocess.CalledProcessError as error:  # an installation that failed
            print(error)
            passed = False
        failed = failed or not passed
        lines.append(
            f"{name:10} {'passed' if passed else 'FAILED'} {time.monotonic() - started:6.0f} s"
        )
    print("\n" + "\n".join(lines))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
