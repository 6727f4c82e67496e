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
NAT_TOOLS = {
    "ip": "iproute2",
    "nft": "nftables",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "miniupnpd": "miniupnpd",
}  # command: package
SEPARATE = (
    "interop",
    "notebooks",
    "browser",
    "binder",
    "netns",
)  # folders of tests/ that are parts of their own
# Runs a command as root of namespaces of its own, for users who may.
ROOT_FOR_ITSELF = [
    *("unshare", "-Urnm", "--propagation", "slave", "sh", "-c"),
    'mount -t tmpfs t /run && mkdir -p /run/netns && exec "$@"',
    "_",
]
# What the newest Python runs too. The project's own checks need tools that are pinned for older ones;
# tests of tests, suites over the same code, and attacks at the wire find nothing there that the first run did not.
NEWEST_SKIPS = ("project", "bench", "conformance", "fuzz", "hostile", "mutants", *SEPARATE)


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


def on_all_cores(by: str, each: int = 2) -> list[str]:
    """Options that share the tests among processes; four at the most, for many tests take memory and sockets.

    Args:
        by: "worksteal" for tests that stand alone, "loadfile" to keep the tests of a file together.
        each: processes a core. Much of a test is waiting; a browser's is not.
    """
    return ["-n", str(min(each * (os.cpu_count() or 1), 4)), "--dist", by]


def unit() -> bool:
    return pytest("tests", *without(SEPARATE), *on_all_cores("worksteal"))


def newest() -> bool:
    """The unit tests under the newest Python of this machine, with fewer examples each."""
    python = environment.ensure("newest")
    minor = environment.minor_version(str(python))
    if minor == sys.version_info.minor:
        print(f"No Python newer than {platform.python_version()} here: its run is the newest's.")
        return True
    print(f"The newest Python of this machine is 3.{minor}.")
    quick = ["--hypothesis-profile=short", *on_all_cores("worksteal")]
    once = "--ignore=tests/coursework/test_checks.py"  # hundreds of processes; tests/coursework has others
    return pytest("tests", *without(NEWEST_SKIPS), once, *quick, python=python)


def interop() -> bool:
    installed = run(sys.executable, "-m", "tools.install_interop")
    install_chromium()
    # The other programs fail now and then by themselves: another try tells theirs from ours.
    tries = ("--reruns=2", "--reruns-delay=2")
    return pytest("tests/interop", *tries, *on_all_cores("loadfile")) and installed


def notebooks() -> bool:
    return pytest("tests/notebooks", *on_all_cores("worksteal"))


def browser() -> bool:
    install_chromium()
    # A browser on a busy machine can miss a moment. Each process has a JupyterLab of its own.
    return pytest("tests/browser", "--reruns=2", *on_all_cores("worksteal", each=1))


def binder() -> bool:
    return pytest("tests/binder")


def netns() -> bool:
    """NAT boxes against the kernel's, where this machine lets us have network namespaces."""
    install_nat_tools()
    is_root = getattr(os, "geteuid", lambda: 1)() == 0
    inside = [] if is_root or not shutil.which("unshare") else ROOT_FOR_ITSELF
    look = [*inside, sys.executable, "-m", "tests.netns.kernel"]
    looked = subprocess.run(look, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if looked.returncode:
        print(f"not run: {(looked.stdout + looked.stderr).strip()}")
        return True
    # Each process lays cables and routers of its own; their names tell whose they are.
    share = on_all_cores("loadfile", each=1)
    return run(*inside, sys.executable, "-m", "pytest", "-q", "tests/netns", *share)


def install_chromium() -> None:
    """Debian's Chromium, through apt-get, where that is possible; else a line that says what to do."""
    if not CHROMIUM.exists():
        apt_install("chromium")


def install_nat_tools() -> None:
    """What the tests of NAT boxes against the kernel's need, by the same way."""
    missing = [package for tool, package in NAT_TOOLS.items() if not shutil.which(tool)]
    if missing and sys.platform == "linux":
        apt_install(*missing)


def apt_install(*packages: str) -> None:
    is_root = getattr(os, "geteuid", lambda: 1)() == 0
    sudo = [] if is_root else ["sudo", "-n"]
    if not shutil.which("apt-get") or (sudo and not run(*sudo, "true")):
        names = " ".join(packages)
        print(f"Missing: {names}. Install it (Debian: sudo apt-get install {names}).")
        return
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    run(*sudo, *quiet, "update")
    run(*sudo, *quiet, "install", "--no-install-recommends", *packages)


PARTS: dict[str, Callable[[], bool]] = {
    part.__name__: part for part in (lint, unit, newest, interop, netns, notebooks, browser, binder)
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
