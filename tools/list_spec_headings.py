"""Write tests/project/spec_headings.json: the anchor of every heading in libp2p/specs.

    git clone https://github.com/libp2p/specs ../specs
    python -m tools.list_spec_headings ../specs

Docstrings say `Spec: noise/README.md#wire-format`; a test looks each of them up in that file.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import subprocess
from pathlib import Path

from markdown_it import MarkdownIt

OUTPUT = Path(__file__).resolve().parent.parent / "tests" / "project" / "spec_headings.json"


def heading_texts(markdown: str) -> list[str]:
    """The text of each heading, without its markup, in order."""
    tokens = MarkdownIt("commonmark").parse(markdown)
    texts = []
    for opening, inline in itertools.pairwise(tokens):
        if opening.type == "heading_open":
            children = inline.children or []
            texts.append("".join(child.content for child in children))
    return texts


def anchors(markdown: str) -> list[str]:
    """The anchors that GitHub gives to headings: lower case, hyphens, a number when repeated."""
    seen: dict[str, int] = {}
    found = []
    for text in heading_texts(markdown):
        base = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
        repeats = seen.get(base, 0)
        seen[base] = repeats + 1
        found.append(f"{base}-{repeats}" if repeats else base)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("specs", type=Path, help="a checkout of libp2p/specs")
    specs: Path = parser.parse_args().specs
    git = ["git", "-C", str(specs)]
    listed = subprocess.run([*git, "ls-files", "*.md"], check=True, capture_output=True, text=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    pages = {
        name: anchors((specs / name).read_text("utf-8"))
        for name in sorted(listed.stdout.splitlines())
        if not name.startswith("_archive/") and (specs / name).is_file()
    }
    lines = [f"  {json.dumps(page)}: {json.dumps(found)}" for page, found in pages.items()]
    OUTPUT.write_text(  # one line a page, so that a difference can be read
        f'{{"repository": "libp2p/specs", "commit": "{commit.stdout.strip()}",\n "pages": {{\n'
        + ",\n".join(lines)
        + "\n}}\n",
        "utf-8",
    )


if __name__ == "__main__":
    main()
