"""Every `Spec:` line names a page of libp2p/specs, and a heading that exists on it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from libp2p_lab.curriculum import CHAPTERS
from tests.support import REPOSITORY, repository_files

PAGES: dict[str, list[str]] = json.loads(
    Path(__file__).with_name("spec_headings.json").read_text("utf-8")
)["pages"]
SPEC_LINE = re.compile(r"\bSpec: ([^{\n].*)")  # not the pattern of a format string
LINK = re.compile(r"([\w./-]+\.md)(?:#([\w%-]+))?")
# Specs outside libp2p/specs (multiformats, RFCs, Yamux's original) are named by their full address.
ELSEWHERE = re.compile(r"https://\S+|RFC ?\d+")


def problems(text: str) -> list[str]:
    """What is wrong with the `Spec:` lines of one file."""
    found = []
    for line in SPEC_LINE.findall(text):
        inside = ELSEWHERE.sub("", line)
        links = LINK.findall(inside)
        if not links and inside == line:
            found.append(f"no link in {line!r}")
        for page, anchor in links:
            if page not in PAGES:
                found.append(f"no page {page} in libp2p/specs")
            elif anchor and anchor not in PAGES[page]:
                found.append(f"no heading #{anchor} in {page}")
    return found


def test_a_wrong_link_is_found() -> None:
    assert problems("Spec: noise/README.md#wire-format") == []
    assert problems("Spec: RFC 8305, section 5") == []
    assert problems("Spec: noise/README.md#wireformat") != []
    assert problems("Spec: noise/NOTES.md") != []
    assert problems("Spec: see there") != []


SOURCES = repository_files("libp2p_lab/*.py", "curriculum/*.md", "tests/*.py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_spec_links(path: Path) -> None:
    if path == Path(__file__):
        return  # holds wrong links on purpose
    assert problems(path.read_text("utf-8")) == []


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.folder)
def test_the_chapters_spec_pages_exist(chapter) -> None:
    assert set(chapter.specs) <= PAGES.keys()
