"""Widgets without a front end: plain tables and drawings, for saved notebooks and headless runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from html import escape
from pathlib import Path

from libp2p_lab.widgets.fields import Field, Message

MAX_HEX = 512  # bytes of one level that are printed


@lru_cache(maxsize=1)
def _style() -> str:
    css = (Path(__file__).parent / "static" / "lab.css").read_text("utf-8")
    return f"<style>{css}</style>"


def page(title: str, body: str) -> str:
    """A static form, in the widgets' own colours."""
    heading = f'<p class="lab-title">{escape(title)}</p>'
    return f'{_style()}<div class="lab lab-static">{heading}{body}</div>'


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are plain text."""
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table>"
    )


def text_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The same for a terminal."""
    lines = [list(head), *([*row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def ring(names: Sequence[tuple[str, str]], links: Iterable[tuple[int, int]]) -> str:
    """Peers in a circle, with their links: an SVG.

    Args:
        names: (name, kind) of each peer.
        links: pairs of positions in `names`.
    """
    size, reach = 420, 150
    middle = size / 2
    count = max(len(names), 1)
    spots = [
        (
            middle + reach * math.sin(2 * math.pi * index / count),
            middle - reach * math.cos(2 * math.pi * index / count),
        )
        for index in range(count)
    ]
    lines = "".join(
        f'<line x1="{spots[a][0]:.0f}" y1="{spots[a][1]:.0f}" '
        f'x2="{spots[b][0]:.0f}" y2="{spots[b][1]:.0f}" stroke="#8a8a8a" stroke-width="1.4"/>'
        for a, b in links
    )
    fills = {"host": "#a8558a", "remote": "none", "closed": "#bdbdbd"}
    dots = "".join(
        f'<circle cx="{x:.0f}" cy="{y:.0f}" r="10" fill="{fills[kind]}" stroke="#a8558a" '
        f'stroke-width="1.5"/><text x="{x:.0f}" y="{y + 25:.0f}" text-anchor="middle">'
        f"{escape(name)}</text>"
        for (name, kind), (x, y) in zip(names, spots, strict=False)
    )
    label = f"{len(names)} peers"
    return (
        f'<svg viewBox="0 0 {size} {size}" width="{size}" role="img" aria-label="{label}">'
        f"{lines}{dots}</svg>"
    )


def bytes_of(data: bytes, fields: Sequence[Field], layer: str) -> str:
    """Hex digits, coloured by field."""
    runs = []
    for item in _leaves(fields):
        if item.start >= min(len(data), MAX_HEX) or item.end == item.start:
            continue
        shown = data[item.start : min(item.end, MAX_HEX)].hex(" ")
        title = escape(f"{item.name}: {item.value}", quote=True)
        runs.append(
            f'<span class="lab-run" data-layer="{escape(item.layer or layer)}" '
            f'title="{title}"> {shown} </span>'
        )
    rest = f" … {len(data) - MAX_HEX:,} more bytes" if len(data) > MAX_HEX else ""
    return f'<div class="lab-hex lab-flow lab-mono">{" ".join(runs)}{rest}</div>'


def opened(message: Message) -> str:
    """A message with its bytes and all its fields, folded up behind its title."""
    rows: list[tuple[str, str]] = []

    def walk(fields: Sequence[Field], depth: int) -> None:
        for item in fields:
            rows.append(("\u2003" * depth + item.name, item.value))
            walk(item.parts, depth + 1)
            if item.inside is not None:
                walk(item.inside.fields, depth + 1)

    walk(message.fields, 0)
    return (
        f"<details><summary>{escape(message.title)}</summary>"
        f"{bytes_of(message.data, message.fields, message.layer)}"
        f"{table('', ('field', 'value'), rows)}</details>"
    )


def _leaves(fields: Sequence[Field]) -> Iterable[Field]:
    for item in fields:
        if item.parts:
            yield from _leaves(item.parts)
        else:
            yield item
