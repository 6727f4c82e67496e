"""What is installed: the package with its built widgets, and neither solutions nor tests."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile

import pytest

from libp2p_lab.coursework.release import MIN_TELLING, read_source, solution_lines
from tests.support import REPOSITORY
from tools.build_notebooks import CURRICULUM, written_chapters


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder)]
    subprocess.run([*pip, *options, str(REPOSITORY)], check=True, cwd=folder)
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"libp2p_lab"}
    bad = re.compile(r"(^|/)(tests?|mutants|solutions|curriculum|notebooks|node_modules)/|\.ipynb$")
    assert [name for name in wheel.namelist() if bad.search(name)] == []


def test_the_wheel_holds_every_module_and_the_built_widgets(wheel: zipfile.ZipFile) -> None:
    package = REPOSITORY / "libp2p_lab"
    wanted = {
        path.relative_to(REPOSITORY).as_posix()
        for pattern in ("**/*.py", "widgets/static/*", "py.typed")
        for path in package.glob(pattern)
        if "node_modules" not in path.parts
    }
    assert wanted <= set(wheel.namelist())
    assert "libp2p_lab/widgets/static/network_map.js" in wanted


def test_no_solution_is_installed(wheel: zipfile.ZipFile) -> None:
    """The library itself is open to read; what asks about it must not tell the answer."""
    names = [name for name in wheel.namelist() if name.startswith("libp2p_lab/coursework/")]
    assert names
    asking = [line.strip() for name in names for line in text_of(wheel, name).split("\n")]
    shown = runs([line for line in asking if is_telling(line)])
    for chapter in written_chapters():
        folder = CURRICULUM / chapter.folder
        sources = [solution_lines(read_source(CURRICULUM, chapter))]
        for path in sorted((folder / "solutions").glob("*.py")):
            sources.append([line.strip() for line in path.read_text("utf-8").split("\n")])
        for lines in sources:
            told = shown & runs([line for line in lines if is_telling(line)])
            assert not told, f"{chapter.folder}: solutions in the package"


def text_of(wheel: zipfile.ZipFile, name: str) -> str:
    return wheel.read(name).decode("utf-8") if name.endswith(".py") else ""


def is_telling(line: str) -> bool:
    """Whether a line can give something away: imports and the heads of functions are the interface."""
    return len(line) >= MIN_TELLING and not line.startswith(
        ("from ", "import ", "def ", "async def ")
    )


def runs(lines: list[str], length: int = 4) -> set[tuple[str, ...]]:
    """So many lines in a row: fewer may be alike by chance."""
    return {tuple(lines[at : at + length]) for at in range(len(lines) - length + 1)}
