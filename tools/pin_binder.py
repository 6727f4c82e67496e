"""Write binder/requirements.txt: every package that the notebooks need, each at one version.

    python -m tools.pin_binder

The versions are what pip chooses today for the Python of binder/runtime.txt.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tools import environment

REPOSITORY = Path(__file__).resolve().parent.parent
BINDER = REPOSITORY / "binder"
HEADER = """\
# Written by `python -m tools.pin_binder`: what the notebooks need, for Python 3.{minor}.
"""


def runtime_minor() -> int:
    """N of the Python 3.N that Binder is asked for."""
    return int((BINDER / "runtime.txt").read_text("ascii").strip().removeprefix("python-3."))


def resolve(python: str, *requirements: str) -> dict[str, str]:
    """What pip would install into an empty environment: name -> version."""
    options = ["--dry-run", "--ignore-installed", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [python, "-m", "pip", "install", *options, "--report", "-", *requirements],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    items = [item["metadata"] for item in json.loads(done.stdout)["install"]]
    return {item["name"].lower().replace("_", "-"): item["version"] for item in items}


def main() -> None:
    minor = runtime_minor()
    python = environment.pythons().get(minor)
    if python is None:
        sys.exit(f"Python 3.{minor} is needed here, to choose what suits it")
    chosen = resolve(python, ".[lab]")
    chosen.pop("libp2p-lab")
    lines = [f"{name}=={version}\n" for name, version in sorted(chosen.items())]
    text = HEADER.format(minor=minor) + "".join(lines)
    (BINDER / "requirements.txt").write_text(text, "ascii")


if __name__ == "__main__":
    main()
