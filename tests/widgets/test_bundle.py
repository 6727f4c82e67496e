"""The built front end is what the sources say, needs no network, and can be read by everybody."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import REPOSITORY, require

JS = REPOSITORY / "js"
STATIC = REPOSITORY / "libp2p_lab" / "widgets" / "static"
BUILT = sorted(path.name for path in STATIC.iterdir())
STYLE = (JS / "src" / "lab.css").read_text("utf-8")


@pytest.mark.timeout(300)
def test_the_built_files_are_current(tmp_path: Path) -> None:
    npm = shutil.which("npm")
    require(npm, "npm is missing: the widgets' JavaScript cannot be built")
    work = tmp_path / "js"  # a copy: other tests may read the sources meanwhile
    shutil.copytree(JS, work, ignore=shutil.ignore_patterns("node_modules"))
    install = [str(npm), "ci", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(install, cwd=work, check=True)
    built = tmp_path / "static"
    subprocess.run(["node", "build.mjs", str(built)], cwd=work, check=True)
    assert sorted(path.name for path in built.iterdir()) == BUILT
    for name in BUILT:
        same = (built / name).read_bytes() == (STATIC / name).read_bytes()
        assert same, f"{name} is not what js/src gives: run `make widgets`"


def test_the_lock_names_no_host() -> None:
    lock = (JS / "package-lock.json").read_text("utf-8")
    assert "://" not in re.sub(r'"(url|funding)":.*', "", lock)
    packages = json.loads(lock)["packages"]
    assert all("integrity" in package for name, package in packages.items() if name)


@pytest.mark.parametrize("name", BUILT)
def test_nothing_is_fetched(name: str) -> None:
    text = (STATIC / name).read_text("utf-8")
    assert not re.search(r"\bfetch\(|XMLHttpRequest|WebSocket|importScripts|\bimport\(", text)
    assert not re.search(r"@import|url\(", text)
    # Addresses that a person may follow, and the name of SVG, which nobody asks for.
    for address in re.findall(r"https?://[\w./-]+", text):
        assert address.startswith(("https://github.com/libp2p/specs/", "http://www.w3.org/")) or (
            address == "https://"
        )


def test_widgets_are_imported_without_jupyter() -> None:
    script = (
        "import sys, libp2p_lab.widgets\n"
        "assert not {'anywidget', 'ipywidgets', 'IPython'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, check=True)


# -- colours --------------------------------------------------------------------------------------


def colours(selector: str) -> dict[str, tuple[int, int, int]]:
    """The plain colours that a rule of the style sheet defines."""
    body = STYLE.split(selector + " {", 1)[1].split("}", 1)[0]
    found = re.findall(r"--lab-([\w-]+): #([0-9a-f]{6});", body)
    return {name: tuple(bytes.fromhex(value)) for name, value in found}  # type: ignore[misc]


def linear(colour: tuple[int, int, int]) -> list[float]:
    shares = [value / 255 for value in colour]
    return [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in shares]


def contrast(a: tuple[int, int, int], b: tuple[int, int, int]) -> float:
    """As WCAG defines it."""
    light, dark = sorted(
        (sum(w * x for w, x in zip((0.2126, 0.7152, 0.0722), linear(c), strict=True)) + 0.05)
        for c in (a, b)
    )[::-1]
    return light / dark


THEMES = [
    pytest.param(".lab", (255, 255, 255), id="light"),
    pytest.param('[data-jp-theme-light="false"] .lab', (17, 17, 17), id="dark"),
]


@pytest.mark.parametrize(("selector", "background"), THEMES)
def test_colours_stand_out(selector: str, background: tuple[int, int, int]) -> None:
    found = colours(selector)
    assert len(found) >= 18
    weak = {name: contrast(c, background) for name, c in found.items()}
    assert {name for name, value in weak.items() if value < 3} == set()  # WCAG 1.4.11
    assert min(weak["good"], weak["bad"]) >= 4.5  # these are text


@pytest.mark.parametrize(("selector", "background"), THEMES)
def test_layers_differ_for_colour_blind_eyes(
    selector: str, background: tuple[int, int, int]
) -> None:
    # Machado et al. 2009, full deuteranopia, on linear values.
    deuteranopia = (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    )
    layers = ("identity", "transport", "negotiation", "security", "muxer", "stream", "host")
    seen = {}
    for name in layers:
        rgb = linear(colours(selector)[name])
        mixed = [sum(m * x for m, x in zip(row, rgb, strict=True)) for row in deuteranopia]
        seen[name] = [max(x, 0) ** (1 / 2.2) for x in mixed]
    for at, one in enumerate(layers):
        for other in layers[at + 1 :]:
            distance = sum((a - b) ** 2 for a, b in zip(seen[one], seen[other], strict=True))
            assert distance**0.5 > 0.06, (one, other, distance**0.5)
