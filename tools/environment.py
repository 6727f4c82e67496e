"""Virtual environments, made when they are missing and brought up to date when pyproject.toml has changed.

    python3 tools/environment.py lab       .venv with what the notebooks need
    python3 tools/environment.py test      .venv with what all tests need
    python3 tools/environment.py newest    .venvs/newest: the newest Python of this machine, for the unit tests
    python3 tools/environment.py binder    .venvs/binder: repo2docker, which wants packages of its own

Any Python 3 runs this file; it looks for one that suits. Prints the environment's Python, last line.
A stamp holds the hash of what was installed, so that the second call takes a moment.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
OLDEST, NEWEST = 11, 19  # minor versions of Python 3 that are looked for
FOLDERS = {"lab": ".venv", "test": ".venv", "newest": ".venvs/newest", "binder": ".venvs/binder"}
EXTRAS = {"lab": "lab", "test": "lab,test,docs", "newest": "lab,unit"}
REPO2DOCKER = ["jupyter-repo2docker==2026.4.0"]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def minor_version(python: str) -> int | None:
    """N of Python 3.N, if this is one that runs and can make environments."""
    code = (
        "import sys, venv, ensurepip; print(*sys.version_info[:2], sys.version_info.releaselevel)"
    )
    try:
        done = subprocess.run(
            [python, "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
    except OSError:
        return None
    words = done.stdout.split()
    return int(words[1]) if done.returncode == 0 and words[::2] == ["3", "final"] else None


def pythons() -> dict[int, str]:
    """The Pythons of this machine that suit, by minor version: from PATH, and those of pyenv."""
    candidates = [sys.executable, *(shutil.which(n) or "" for n in ("python3", "python"))]
    for minor in range(OLDEST, NEWEST + 1):
        candidates.append(shutil.which(f"python3.{minor}") or "")
        candidates += map(str, Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python3.{minor}"))
    found: dict[int, str] = {}
    for candidate in filter(None, dict.fromkeys(candidates)):
        minor = minor_version(candidate)
        if minor is not None and minor >= OLDEST:
            found.setdefault(minor, candidate)
    return found


def inside(folder: Path) -> Path:
    """The environment's own Python."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def create(folder: Path, minor: int | None) -> None:
    """Make the environment with Python 3.`minor`, or with the oldest that suits."""
    found = pythons()
    if not found:
        sys.exit(
            f"No Python 3.{OLDEST} or newer with venv was found. Install one "
            "(Debian and Ubuntu: apt-get install python3 python3-venv) and try again."
        )
    chosen = found[min(found) if minor is None else minor]
    say(f"making {folder.relative_to(REPOSITORY)} with {chosen}")
    subprocess.run([chosen, "-m", "venv", "--clear", str(folder)], check=True)


def wanted(name: str) -> str:
    """A hash of what is to be installed."""
    asked = hashlib.sha256((REPOSITORY / "pyproject.toml").read_bytes())
    asked.update(repr((EXTRAS.get(name), REPO2DOCKER if name == "binder" else [])).encode())
    return asked.hexdigest()


def stamp(name: str) -> Path:
    """Where the hash of what was installed is kept: in the environment, so that both go together."""
    return REPOSITORY / FOLDERS[name] / f".installed-{name}"


def is_installed(name: str) -> bool:
    return stamp(name).is_file() and stamp(name).read_text() == wanted(name)


def pip_arguments(name: str) -> list[str]:
    if name == "binder":
        return REPO2DOCKER
    return ["--editable", f".[{EXTRAS[name]}]"]


def ensure(name: str) -> Path:
    """Bring the environment up to date. Returns its Python."""
    folder = REPOSITORY / FOLDERS[name]
    python = inside(folder)
    newest = max(pythons(), default=OLDEST) if name == "newest" else None
    current = minor_version(str(python)) if python.exists() else None
    if current is None or current < OLDEST or (newest is not None and current != newest):
        create(folder, newest)
    # What the tests need includes what the lab needs, in the same folder.
    if not any(is_installed(n) for n in ({"lab", "test"} if name == "lab" else {name})):
        say(f"installing into {folder.relative_to(REPOSITORY)}")
        asked = wanted(name)  # before pip reads it: what is edited meanwhile is not installed
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *pip_arguments(name)], check=True, cwd=REPOSITORY)
        stamp(name).write_text(asked)
    return python


if __name__ == "__main__":
    if sys.argv[1:] not in [[name] for name in FOLDERS]:
        sys.exit(__doc__)
    print(ensure(sys.argv[1]))
