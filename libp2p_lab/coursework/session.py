"""This kernel's workbook, and the functions with which a notebook writes in it.

One kernel is one learner's session, so there is one workbook; everything else takes a `Workbook` as an argument.
"""

from __future__ import annotations

from libp2p_lab.coursework.workbook import Workbook

#: The workbook of this process.
WORKBOOK = Workbook()

workbook = WORKBOOK
check = WORKBOOK.check
hint = WORKBOOK.hint
predict = WORKBOOK.predict
prediction = WORKBOOK.prediction
quiz = WORKBOOK.quiz
answer = WORKBOOK.answer
progress = WORKBOOK.progress


def enrol(student: str) -> None:
    """Say who works here, so that generated cases are this student's own."""
    WORKBOOK.student = student
