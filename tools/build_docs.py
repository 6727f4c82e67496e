"""Build the documentation into site/: the course to read, and every module. No network, no CDN, nothing to serve.

    python -m tools.build_docs             into site/
    python -m tools.build_docs DIR         elsewhere
    … --without-sources                    quicker: the modules' pages do not show their source

The chapters' pages are their notebooks, lectures and objectives in curriculum/, solutions taken out. The modules'
pages are made by pdoc. Open site/index.html in a browser.
"""

from __future__ import annotations

import ast
import html
import re
import shutil
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pdoc
import pdoc.render
from markdown_it import MarkdownIt
from mdit_py_plugins.anchors import anchors_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_by_name
from pygments.util import ClassNotFound

from libp2p_lab.coursework.release import read_source, student_cells
from libp2p_lab.curriculum import CHAPTERS, Chapter

REPOSITORY = Path(__file__).resolve().parent.parent
CURRICULUM = REPOSITORY / "curriculum"
SITE = REPOSITORY / "site"
WITHOUT_SOURCES = "--without-sources"
SPECS = "https://github.com/libp2p/specs/blob/master/"
# Texts of a chapter beside its notebook. What is for instructors stays out, and so do answers.
TEXTS = {"lecture": "Lecture", "objectives": "Objectives"}
PAGES = {
    "README.md": "About",
    "docs/crawl.md": "Crawling",
    "docs/nat-lab.md": "NAT lab",
    "CONTRIBUTING.md": "Contributing",
    "CHANGELOG.md": "Changes",
}
LICENSES = ("LICENSE", "LICENSE-MIT", "LICENSE-APACHE")

STYLE = """\
:root { color-scheme: light dark; --line: #8884; --quiet: #767676; --code: #8881; --link: #0b65c2; }
@media (prefers-color-scheme: dark) { :root { --quiet: #a5a5a5; --link: #7ab8ff; } }
body { font: 17px/1.6 system-ui, sans-serif; max-width: 46rem; margin: 0 auto; padding: 1.5rem; }
a { color: var(--link); }
nav { font-size: 15px; color: var(--quiet); border-bottom: 1px solid var(--line); padding-bottom: .6rem; }
h1, h2, h3 { line-height: 1.25; }
pre { background: var(--code); padding: .8rem 1rem; overflow-x: auto; border-radius: 6px; }
pre { font-size: 14px; line-height: 1.45; }
code { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .9em; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .8rem .3rem 0; text-align: left; vertical-align: top; }
ol.chapters > li { margin-bottom: .8rem; }
.quiet { color: var(--quiet); }
"""


@dataclass(frozen=True)
class Page:
    """One page of the course.

    Attributes:
        path: below the site's folder.
        title: shown in lists.
        body: HTML.
    """

    path: str
    title: str
    body: str


def code_block(text: str, language: str, _attributes: str = "") -> str:
    """Code with its words coloured, by classes."""
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        lexer = TextLexer()
    return f"<pre><code>{highlight(text, lexer, HtmlFormatter(nowrap=True))}</code></pre>"


def markdown() -> MarkdownIt:
    """The renderer for all pages."""
    made = MarkdownIt("commonmark", {"highlight": code_block, "html": True}).enable("table")
    return made.use(anchors_plugin, max_level=3)


def render(text: str) -> str:
    """A page's Markdown as HTML; links to repository files lead to their pages, if there are such."""
    return relinked(str(markdown().render(text)))


def page_path(name: str) -> str:
    """Where the page of a text of the repository is, below the site's folder."""
    return f"{Path(name).stem.lower()}.html"


def relinked(body: str) -> str:
    """Links as they are in the repository, made to fit the site."""

    def replace(found: re.Match[str]) -> str:
        target = found[1]
        path, _, anchor = target.partition("#")
        anchor = f"#{anchor}" if anchor else ""
        name = path.rpartition("/")[2]
        if re.match(r"[a-z]+:", target) or not path:
            return found[0]
        if path in PAGES:
            return f'href="{page_path(path)}{anchor}"'
        if path in LICENSES:
            return f'href="{path}.txt"'
        if path.startswith("libp2p_lab/") and path.endswith(".py"):
            return f'href="api/{path.removesuffix(".py").removesuffix("/__init__")}.html"'
        for chapter in CHAPTERS:
            if name == chapter.notebook:
                return f'href="{chapter.folder}.html{anchor}"'
        return found[0]

    return re.sub(r'href="([^"]+)"', replace, body)


# -- the chapters -------------------------------------------------------------------------------------------------


def notebook_body(chapter: Chapter) -> str:
    """A chapter's notebook as a student reads it."""
    parts = []
    for cell in student_cells(read_source(CURRICULUM, chapter)):
        if cell.cell_type == "markdown":
            parts.append(render(cell.source))
        elif cell.cell_type == "code":
            parts.append(code_block(cell.source, "python"))
    return "\n".join(parts)


def chapter_pages(chapter: Chapter) -> list[Page]:
    """The pages of a chapter, its notebook first; none if nothing is written yet."""
    folder = CURRICULUM / chapter.folder
    pages = []
    if (folder / "notebook.md").is_file():
        body = notebook_body(chapter)
        pages.append(Page(f"{chapter.folder}.html", "Notebook", body))
    for name, title in TEXTS.items():
        path = folder / f"{name}.md"
        if path.is_file():
            body = render(path.read_text("utf-8"))
            pages.append(Page(f"{chapter.folder}-{name}.html", title, body))
    return pages


def index_body(pages: dict[Chapter, list[Page]]) -> str:
    """The list of chapters in the order of reading."""
    items = []
    for chapter in CHAPTERS:
        texts = [f'<a href="{page.path}">{page.title}</a>' for page in pages[chapter]]
        code = [
            f'<a href="api/libp2p_lab/{package}.html"><code>{package}</code></a>'
            for package in chapter.packages
            if (REPOSITORY / "libp2p_lab" / package / "__init__.py").is_file()
        ]
        specs = [f'<a href="{SPECS}{spec}">{html.escape(spec)}</a>' for spec in chapter.specs]
        lines = [
            ("Read: ", texts or ["not written yet"]),
            ("Code: ", code),
            ("Specs: ", specs),
        ]
        rows = "".join(f"<br>{name}{', '.join(links)}" for name, links in lines if links)
        question = html.escape(chapter.question)
        items.append(f"<li><b>{html.escape(chapter.title)}</b><br><i>{question}</i>{rows}</li>")
    return (
        "<h1>libp2p_lab</h1><p>libp2p peers that live in a notebook: wire-compatible, readable layer "
        'by layer, made for learning. To run what you read here, see <a href="readme.html">About</a>.</p>'
        '<p>The whole in one small program: <a href="api/libp2p_lab/tour.html"><code>tour</code></a>. '
        '<a href="modules.html">Every module</a> has a page.</p>'
        f'<h2>The chapters</h2><ol class="chapters" start="0">{"".join(items)}</ol>'
    )


def whole(page: Page, title: str, around: list[Page]) -> str:
    """The HTML file of a page."""
    links = ['<a href="index.html">libp2p_lab</a>']
    links += [
        f"<b>{other.title}</b>"
        if other.path == page.path
        else f'<a href="{other.path}">{other.title}</a>'
        for other in around
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{html.escape(title)}</title><link rel="stylesheet" href="style.css"></head>\n'
        f"<body><nav>{' · '.join(links)}</nav>\n<main>{page.body}</main></body></html>\n"
    )


# -- the modules --------------------------------------------------------------------------------------------------


def modules() -> list[str]:
    """The names of all modules that a reader may want, packages before what is in them."""
    package = REPOSITORY / "libp2p_lab"
    files = [path.relative_to(REPOSITORY) for path in package.rglob("*.py")]
    kept = [p for p in files if not {"pb", "foreign_js", "__pycache__"} & set(p.parts)]
    return sorted(".".join(p.with_suffix("").parts).removesuffix(".__init__") for p in kept)


def build_api(folder: Path, *, sources: bool) -> None:
    """A page for every module, by pdoc. All are named: it follows a package's `__all__` otherwise."""
    pdoc.render.configure(docformat="google", search=False, show_source=sources)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # types that only a type checker can evaluate
        pdoc.pdoc(*modules(), output_directory=folder)


def modules_body() -> str:
    """Every module with its first line."""
    rows = []
    for name in modules():
        path = REPOSITORY.joinpath(*name.split("."))
        file = (
            path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
        )
        told = (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").split("\n\n")[0]
        link = f'<a href="api/{name.replace(".", "/")}.html"><code>{name}</code></a>'
        rows.append(f"<tr><td>{link}</td><td>{html.escape(' '.join(told.split()))}</td></tr>")
    return f"<h1>Every module</h1><table>{''.join(rows)}</table>"


def build(site: Path, *, sources: bool = True) -> list[Path]:
    """Build the whole site anew.

    Args:
        site: where.
        sources: whether the modules' pages show their source too, which takes half of the time.

    Returns: its HTML files.
    """
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(parents=True)
    build_api(site / "api", sources=sources)
    colours: Any = HtmlFormatter(style="default")
    dark: Any = HtmlFormatter(style="monokai")
    in_dark = f"@media (prefers-color-scheme: dark) {{\n{dark.get_style_defs('pre')}\n}}"
    style = f"{colours.get_style_defs('pre')}\n{in_dark}\n{STYLE}"  # ours last: it counts
    (site / "style.css").write_text(style, "utf-8")
    for name in LICENSES:
        shutil.copyfile(REPOSITORY / name, site / f"{name}.txt")
    pages = {chapter: chapter_pages(chapter) for chapter in CHAPTERS}
    about = [
        Page(page_path(name), title, render((REPOSITORY / name).read_text("utf-8")))
        for name, title in PAGES.items()
    ]
    about.append(Page("modules.html", "Modules", modules_body()))
    index = Page("index.html", "Chapters", index_body(pages))
    files = [(page, f"{page.title}: libp2p_lab", about) for page in (index, *about)]
    for chapter, own in pages.items():
        files += [(page, f"{chapter.number:02d} {chapter.title}", own) for page in own]
    for page, title, around in files:
        (site / page.path).write_text(whole(page, title, around), "utf-8")
    return sorted(site.rglob("*.html"))


def main(arguments: list[str]) -> None:
    folders = [argument for argument in arguments if argument != WITHOUT_SOURCES]
    site = Path(folders[0]) if folders else SITE
    pages = build(site, sources=WITHOUT_SOURCES not in arguments)
    print(f"{len(pages)} pages: open {site / 'index.html'}")


if __name__ == "__main__":
    main(sys.argv[1:])
