"""The documentation builds without a network, its links lead somewhere, and it gives no solution away."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from libp2p_lab.coursework.release import leaks, read_source, solution_lines
from libp2p_lab.curriculum import CHAPTERS
from tests.support import REPOSITORY
from tools.build_docs import modules
from tools.build_notebooks import CURRICULUM, written_chapters

pytestmark = pytest.mark.timeout(600)


class Links(HTMLParser):
    """What a page links to, loads, and can be linked at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            if name == "href" and value and tag == "a":
                self.links.append(value)
            if value and (name == "src" or (name == "href" and tag == "link")):
                self.loaded.append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "tools.build_docs", str(folder), "--without-sources"]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Links]:
    return {path: Links(path.read_text("utf-8")) for path in site.rglob("*.html")}


def test_internal_links_lead_somewhere(site: Path, pages: dict[Path, Links]) -> None:
    broken = []
    checked = 0
    for path, page in pages.items():
        for link in page.links:
            if re.match(r"[a-z]+:", link):
                continue
            target, _, anchor = unquote(link).partition("#")
            aim = (path.parent / target).resolve() if target else path
            checked += 1
            if not aim.is_file() or not aim.is_relative_to(site):
                broken.append(f"{path.relative_to(site)} → {link}")
            elif anchor and aim in pages and anchor not in pages[aim].ids:
                broken.append(f"{path.relative_to(site)} → {link} (no such place)")
    assert broken == []
    assert checked > 100


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Links]) -> None:
    for path, page in pages.items():
        for source in page.loaded:
            assert source.startswith("data:") or (path.parent / source).is_file(), (path, source)
    for path in [*pages, *site.rglob("*.css")]:
        text = re.sub(
            r"<pre.*?</pre>|<code.*?</code>", "", path.read_text("utf-8"), flags=re.DOTALL
        )
        assert not re.search(r"@import\s+[\"'u]|url\(\s*[\"']?(https?:)?//", text), path


def test_the_chapters_stand_in_their_order(site: Path) -> None:
    index = (site / "index.html").read_text("utf-8")
    places = [index.index(chapter.title.replace("'", "&#x27;")) for chapter in CHAPTERS]
    assert places == sorted(places)
    for chapter in written_chapters():
        assert f'href="{chapter.folder}.html"' in index


def test_every_module_has_a_page(site: Path) -> None:
    for name in modules():
        assert (site / "api" / f"{name.replace('.', '/')}.html").is_file(), name


def test_no_solution_is_published(site: Path) -> None:
    for chapter in written_chapters():
        page = (site / f"{chapter.folder}.html").read_text("utf-8")
        assert "SOLUTION" not in page
        plain = re.sub(r"<[^>]+>", "", page)
        telling = solution_lines(read_source(CURRICULUM, chapter))
        assert leaks(plain, [line for line in telling if not re.search("[<>&\"']", line)]) == []
