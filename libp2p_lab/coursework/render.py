"""Results for people: text for a terminal, HTML for a notebook, and bytes drawn so that a difference is seen.

The HTML says in words what its colours say, takes its colours from JupyterLab's theme (light or dark), and scrolls
long lines instead of growing beyond the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from libp2p_lab.coursework.checks import CheckResult, Finding

MAX_SHOWN = 600  # characters of one value in a report
_ROW = 16  # bytes in a row of a hex dump


def shown(value: object, limit: int = MAX_SHOWN) -> str:
    """A value as text, cut in the middle when it is long."""
    if isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value[: limit // 2])
        rest = len(value) - len(data)
        more = f" … and {rest} bytes more" if rest else ""
        return f"{data.hex(' ') or '(nothing)'}{more}  ({len(value)} bytes)"
    text = repr(value)
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]} … {text[-limit // 4 :]}  ({len(text)} characters)"


def first_difference(got: Sequence[object], expected: Sequence[object]) -> int:
    """The index of the first element in which two sequences differ; the shorter one's length if it is a beginning."""
    for index, (one, other) in enumerate(zip(got, expected, strict=False)):
        if one != other:
            return index
    return min(len(got), len(expected))


def hex_difference(got: bytes, expected: bytes) -> str:
    """Both sides as hex around the first byte that differs, with a mark below it.

    byte 1 is the first that differs:
      expected  0000  00 24 08 01
      got       0000  00 25 08 01
                         ^^
    """
    if got == expected:
        return ""
    place = first_difference(got, expected)
    start = max(0, place // _ROW * _ROW)
    column = 2 + 10 + 6 + 3 * (place - start)
    lines = [f"byte {place} is the first that differs ({_lengths(got, expected)}):"]
    if start:
        lines.append(f"  (the {start} bytes before are equal)")
    for name, data in (("expected", expected), ("got", got)):
        row = data[start : start + _ROW]
        body = row.hex(" ") if row else ""
        end = " (end)" if len(data) <= start + _ROW else " …"
        lines.append(f"  {name:<10}{start:04x}  {body}{end}")
    lines.append(" " * column + "^^")
    return "\n".join(lines)


def text_difference(got: str, expected: str) -> str:
    """Both texts with a mark below the first character that differs."""
    if got == expected:
        return ""
    place = first_difference(got, expected)
    start = max(0, place - 40)
    lead = "…" if start else ""
    rows = [
        f"  {name:<10}{lead}{text[start : start + 80]}{'…' if len(text) > start + 80 else ''}"
        for name, text in (("expected", expected), ("got", got))
    ]
    mark = " " * (2 + 10 + len(lead) + place - start) + "^"
    return "\n".join([f"character {place} is the first that differs:", *rows, mark])


def difference(got: object, expected: object) -> str:
    """Where two values part, if that can be drawn."""
    if isinstance(got, bytes | bytearray | memoryview) and isinstance(expected, bytes):
        return hex_difference(bytes(got), expected)
    if isinstance(got, str) and isinstance(expected, str):
        return text_difference(got, expected)
    if isinstance(got, list | tuple) and isinstance(expected, list | tuple) and got != expected:
        return f"element {first_difference(got, expected)} is the first that differs"
    return ""


def _lengths(got: bytes, expected: bytes) -> str:
    if len(got) == len(expected):
        return f"both {len(got)} bytes"
    return f"{len(expected)} bytes expected, {len(got)} came"


# -- a check's result ---------------------------------------------------------------------------------------------


def _fields(finding: Finding) -> list[tuple[str, str]]:
    """The parts of a finding that have something to say, in the order in which they are read."""
    seed = "" if finding.seed is None else f"seed={finding.seed}"
    rows = [
        ("sent", finding.sent),
        ("came back", finding.got),
        ("expected", finding.expected),
        ("where", finding.departure),
        ("your lines", finding.traceback),
        ("hint", finding.hint),
        ("spec", finding.spec),
        ("to repeat", seed),
    ]
    return [(name, text) for name, text in rows if text]


def _headline(result: CheckResult) -> str:
    verdict = "Passed" if result.passed else "Not yet"
    points = f"{result.points:g} of {result.max_points} points"
    return f"{verdict}: {result.exercise} {result.title} ({result.check}, {result.level}), {points}"


def _tried(result: CheckResult) -> str:
    counts = ", ".join(f"{count} {what}" for what, count in result.tried.items())
    return f"Tried {counts}." if counts else ""


def _verdict_lines(result: CheckResult) -> list[str]:
    problem = [result.finding.problem] if result.finding else []
    return [line for line in (*problem, _tried(result), *result.notes) if line]


def result_as_text(result: CheckResult) -> str:
    """The report for a terminal."""
    lines = [_headline(result), *_verdict_lines(result)]
    for name, text in _fields(result.finding) if result.finding else []:
        first, *rest = text.split("\n")
        lines.append(f"  {name + ':':<12}{first}")
        lines += [f"  {'':<12}{line}" for line in rest]
    if result.printed:
        lines += ["  your code printed:", *(f"    {line}" for line in result.printed.split("\n"))]
    return "\n".join(lines)


_PRE = (
    "margin:0;white-space:pre;overflow-x:auto;font-family:var(--jp-code-font-family,monospace);"
    "font-size:var(--jp-code-font-size,13px);line-height:1.4;background:none;color:inherit"
)
_CELL = "padding:2px 12px 2px 0;vertical-align:top;text-align:left;background:none"


def result_as_html(result: CheckResult) -> str:
    """The report for a notebook."""
    colour = (
        "var(--jp-success-color1,#2e7d32)" if result.passed else "var(--jp-warn-color1,#b26a00)"
    )
    sign = "✓" if result.passed else "✗"
    parts = [
        f'<section aria-label="check {escape(result.check)}" style="max-width:100%;'
        f"border-left:4px solid {colour};padding:4px 12px;"
        f'color:var(--jp-content-font-color1,inherit)">',
        f'<strong><span aria-hidden="true">{sign} </span>{escape(_headline(result))}</strong>',
        *(f'<p style="margin:4px 0">{escape(line)}</p>' for line in _verdict_lines(result)),
    ]
    if result.finding:
        parts.append('<table style="border:0;table-layout:fixed;width:100%;margin:0">')
        for name, text in _fields(result.finding):
            is_prose = name in ("hint", "spec")
            body = escape(text) if is_prose else f'<pre style="{_PRE}">{escape(text)}</pre>'
            parts.append(
                f'<tr style="background:none"><th scope="row" style="{_CELL};width:7em">'
                f'{name}</th><td style="{_CELL}">{body}</td></tr>'
            )
        parts.append("</table>")
    if result.printed:
        parts.append(
            "<details><summary>what your code printed</summary>"
            f'<pre style="{_PRE}">{escape(result.printed)}</pre></details>'
        )
    parts.append("</section>")
    return "\n".join(parts)


def table_as_html(caption: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A plain table with a caption and headings that a screen reader announces."""
    cells = "".join(f'<th scope="col" style="{_CELL}">{escape(name)}</th>' for name in head)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(str(cell))}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    return (
        f'<table><caption style="text-align:left;font-weight:bold">{escape(caption)}</caption>'
        f"<thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"
    )


def table_as_text(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """The same table for a terminal."""
    lines = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
