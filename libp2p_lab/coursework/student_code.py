"""Whose code is it? Reports point at the student's own lines, never at ours or Python's."""

from __future__ import annotations

import linecache
import sysconfig
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType, TracebackType

_INSTALLED = tuple(
    sorted({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
)
_PACKAGE = str(Path(__file__).resolve().parent.parent)
_GENERATED = ("<frozen", "<string>")
_SHOWN_LINES = 8  # of a traceback


@dataclass(frozen=True)
class StudentCode:
    """Tells the answer's code from everybody else's.

    Attributes:
        examiner: the file of the check, which may stand outside this package.
    """

    examiner: str = ""

    def is_in(self, filename: str) -> bool:
        """Whether a file is neither ours, nor Python's, nor an installed package's."""
        others = (_PACKAGE, *_INSTALLED, *_GENERATED)
        return filename != self.examiner and not filename.startswith(others)

    def frames(self, frame: FrameType | None) -> Iterator[FrameType]:
        """The student's frames on a stack, innermost first."""
        while frame is not None:
            if self.is_in(frame.f_code.co_filename):
                yield frame
            frame = frame.f_back

    def traceback(self, trace: TracebackType | None) -> str:
        """The student's own lines in a traceback, outermost first; empty if there are none."""
        entries = [
            f"line {number}, in {frame.f_code.co_name}:  {source_line(frame.f_code, number)}"
            for frame, number in traceback.walk_tb(trace)
            if self.is_in(frame.f_code.co_filename)
        ]
        if len(entries) > _SHOWN_LINES:
            entries = [*entries[:3], f"… {len(entries) - 6} more …", *entries[-3:]]
        return "\n".join(entries)


def source_line(code: CodeType, number: int) -> str:
    """One line of source, stripped; empty if the source is not known."""
    return linecache.getline(code.co_filename, number).strip()


def place(filename: str, number: int, function: str) -> str:
    """A place in code, in words: line 3 of f: `while True: pass`."""
    source = linecache.getline(filename, number).strip()
    return f"line {number} of {function}" + (f": `{source}`" if source else "")


def frame_place(frame: FrameType) -> str:
    """The same, for where a frame is."""
    return place(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
