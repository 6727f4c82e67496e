"""What README says is so: its code runs, its commands exist, its links lead somewhere, its chapters are all."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib

import pytest

from libp2p_lab import cli
from libp2p_lab.curriculum import CHAPTERS
from tests.support import REPOSITORY
from tools import run_tests

PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/crawl.md", "docs/nat-lab.md")
TEXT = {name: (REPOSITORY / name).read_text("utf-8") for name in PAGES}
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT[name], re.DOTALL)


COMMANDS = [
    line.split(" #")[0].strip()
    for name in PAGES
    for block in blocks(name, "sh")
    for line in block.splitlines()
] + [
    command
    for name in PAGES
    for command in re.findall(r"`((?:make|libp2p-lab|python) [^`]+)`", TEXT[name])
]


def test_the_code_runs() -> None:
    (code,) = blocks("README.md", "python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 11
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "b'HELLO'\n"


def test_the_crawl_runs() -> None:
    (code,) = blocks("docs/crawl.md", "python")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *found, last = done.stdout.splitlines()
    assert last == "100% of 8 were reached"
    assert all(" answered example/1 " in line for line in found)


def test_there_are_commands() -> None:
    assert {command.split()[0] for command in COMMANDS} >= {"make", "libp2p-lab", "python"}


@pytest.mark.parametrize("command", dict.fromkeys(COMMANDS))
def test_a_command_exists(command: str) -> None:
    program, *words = shlex.split(command.removeprefix("sudo "))
    match program, words:
        case "make", [target, *_]:
            makefile = (REPOSITORY / "Makefile").read_text("utf-8")
            assert re.search(rf"^([\w -]* )?{target}( [\w -]*)?:", makefile, re.MULTILINE)
        case "libp2p-lab", [name]:
            with pytest.raises(SystemExit) as end:
                cli.main([name, "--help"])
            assert end.value.code == 0
        case "libp2p-lab", [_, *_]:
            cli._parser().parse_args(words)  # exits where an option or a command is unknown
        case (("python" | ".venv/bin/python"), ["-m", "pip", "install", "-e", what]):
            extras = re.fullmatch(r"\.\[([\w,]+)\]", what)
            assert extras is not None
            assert set(extras[1].split(",")) <= PROJECT["optional-dependencies"].keys()
        case (("python" | ".venv/bin/python"), ["-m", "jupyterlab", notebook]):
            assert (REPOSITORY / notebook).is_file()
        case (("python" | ".venv/bin/python"), ["-m", "pytest", path]):
            assert (REPOSITORY / path).exists()
        case (("python" | ".venv/bin/python"), ["-m", module, *_]):
            path = REPOSITORY.joinpath(*module.split("."))
            assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()
        case "pip", ["install", *_]:
            pass
        case _:
            pytest.fail(f"what is {command!r}?")


def test_the_pip_lines_install_what_make_installs() -> None:
    from tools.environment import EXTRAS

    for extras in (EXTRAS["lab"], EXTRAS["test"]):
        assert f'pip install -e ".[{extras}]"' in TEXT["README.md"]


def test_every_chapter_is_listed_in_order() -> None:
    rows = re.findall(r"^\| (\d\d) (.+?) \| (.+?) \|", TEXT["README.md"], re.MULTILINE)
    assert rows == [(f"{c.number:02d}", c.title, c.question) for c in CHAPTERS]


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT[name]):
        assert target.startswith("https://") or (REPOSITORY / target).exists(), target


def test_the_parts_that_contributing_names_exist() -> None:
    named = set(re.findall(r"`make ([\w-]+)`", TEXT["CONTRIBUTING.md"]))
    parts = {"notebooks" if name == "notebooks-test" else name for name in named}
    assert {"lint", "unit", "interop", "notebooks", "browser", "binder"} <= parts
    assert set(run_tests.PARTS) - {"newest"} <= parts


def test_hooks_are_local() -> None:
    text = (REPOSITORY / ".pre-commit-config.yaml").read_text("utf-8")
    assert re.findall(r"repo: (.+)", text) == ["local"]
    assert set(re.findall(r"language: (.+)", text)) == {"system"}
    for entry in re.findall(r"entry: (\S+)", text):
        assert entry.startswith(".venv/bin/")
