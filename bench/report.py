"""What a part found, and how it is printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        what: what was measured.
        unit: of every figure in the row.
        ours: libp2p_lab's figure, a median.
        more_is_better: False for times and sizes.
        limit: the yardstick measured in the same run, or None.
        limit_is: what that yardstick is.
        js, py: the same of js-libp2p and py-libp2p; None where they were not measured.
    """

    what: str
    unit: str
    ours: float
    more_is_better: bool
    limit: float | None = None
    limit_is: str = ""
    js: float | None = None
    py: float | None = None

    def advantage(self, other: float) -> float:
        """How many times better than `other` ours is."""
        return self.ours / other if self.more_is_better else other / self.ours

    def cells(self) -> list[str]:
        """The row as text."""
        cells = [self.what, f"{number(self.ours)} {self.unit}"]
        if self.limit is None:
            cells.append("")
        elif self.more_is_better:
            share = f"{self.ours / self.limit:.0%}"
            cells.append(f"{share} of {number(self.limit)} ({self.limit_is})")
        else:
            cells.append(f"{self.ours / self.limit:.1f} x {number(self.limit)} ({self.limit_is})")
        for other in (self.js, self.py):
            if other is None:
                cells.append("")
            else:
                cells.append(f"{number(other)}: {self.advantage(other):.1f} x better")
        return cells


HEADINGS = ["what", "libp2p_lab", "against the limit", "js-libp2p", "py-libp2p"]


def table(rows: Sequence[Row]) -> str:
    """The rows under one another."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def number(value: float) -> str:
    """Three digits that mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
