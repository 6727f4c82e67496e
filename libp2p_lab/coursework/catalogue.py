"""Every check, chapter by chapter: one explicit tuple."""

from __future__ import annotations

import difflib

from libp2p_lab.coursework import (
    chapter_00,
    chapter_01,
    chapter_02,
    chapter_03,
    chapter_04,
    chapter_05,
    chapter_06,
    chapter_07,
    chapter_08,
    lab_net,
    quiz_00,
    quiz_01,
    quiz_02,
    quiz_03,
    quiz_04,
    quiz_05,
    quiz_06,
    quiz_07,
    quiz_08,
)
from libp2p_lab.coursework.checks import Check
from libp2p_lab.coursework.questions import Question
from libp2p_lab.errors import LocalError

CHECKS: tuple[Check, ...] = (
    *chapter_00.CHECKS,
    *chapter_01.CHECKS,
    *chapter_02.CHECKS,
    *chapter_03.CHECKS,
    *chapter_04.CHECKS,
    *chapter_05.CHECKS,
    *chapter_06.CHECKS,
    *chapter_07.CHECKS,
    *chapter_08.CHECKS,
    *lab_net.CHECKS,
)
QUESTIONS: tuple[Question, ...] = (
    *quiz_00.QUESTIONS,
    *quiz_01.QUESTIONS,
    *quiz_02.QUESTIONS,
    *quiz_03.QUESTIONS,
    *quiz_04.QUESTIONS,
    *quiz_05.QUESTIONS,
    *quiz_06.QUESTIONS,
    *quiz_07.QUESTIONS,
    *quiz_08.QUESTIONS,
)


def find(check_id: str) -> Check:
    """The check with this id.

    Raises: `LocalError`, naming ids that look alike, if there is none.
    """
    by_id = {check.id: check for check in CHECKS}
    if check_id in by_id:
        return by_id[check_id]
    text = str(check_id)
    names = {check.id.partition(".")[2]: check.id for check in CHECKS}
    close = [names[name] for name in difflib.get_close_matches(text.rpartition(".")[2], names)]
    close += [found for found in difflib.get_close_matches(text, by_id) if found not in close]
    if not close:
        close = [found for found in by_id if found.startswith(text[:2])] or list(by_id)
    raise LocalError(f"no check is called {text!r}; did you mean {' or '.join(close)}?")
