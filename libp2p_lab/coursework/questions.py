"""Questions with a reply of its own for every choice: a wrong answer is told what it got wrong."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

LETTERS = "abcdef"


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer that can be chosen.

    Attributes:
        text: what it says.
        reply: what somebody who chooses it should hear.
        is_right: whether it is the answer.
    """

    text: str
    reply: str
    is_right: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        id: chapter and number: "01.q3".
        text: the question.
        choices: lettered a, b, c, … in this order; one of them is right.
        objectives: ids of learning objectives.
    """

    id: str
    text: str
    choices: tuple[Choice, ...]
    objectives: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Quiz:
    """Some questions to be shown; answer with `lab.answer("01.q3", "b")`."""

    title: str
    questions: tuple[Question, ...]
    chosen: dict[str, str]  # letters by question id, as far as answered

    def __str__(self) -> str:
        lines = [self.title]
        for question in self.questions:
            lines += ["", f"{question.id}  {question.text}"]
            for letter, choice in zip(LETTERS, question.choices, strict=False):
                mark = "*" if self.chosen.get(question.id) == letter else " "
                lines.append(f"  {mark} {letter}  {choice.text}")
        return "\n".join([*lines, "", 'Answer with lab.answer("01.q1", "a").'])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        items = []
        for question in self.questions:
            choices = "".join(
                f"<li>{escape(choice.text)}"
                f"{' (your answer)' if self.chosen.get(question.id) == letter else ''}</li>"
                for letter, choice in zip(LETTERS, question.choices, strict=False)
            )
            items.append(
                f"<p><strong><code>{question.id}</code> {escape(question.text)}</strong></p>"
                f'<ol style="list-style-type:lower-alpha">{choices}</ol>'
            )
        how = "Answer with <code>lab.answer(&quot;01.q1&quot;, &quot;a&quot;)</code>."
        return (
            f'<section aria-label="{escape(self.title)}"><h4>{escape(self.title)}</h4>'
            f"{''.join(items)}<p>{how}</p></section>"
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """What an answer hears."""

    question: Question
    letter: str
    is_right: bool
    text: str

    def __str__(self) -> str:
        verdict = "Right" if self.is_right else "Not quite"
        return f"{self.question.id} {self.letter}: {verdict}. {self.text}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f'<p role="status">{escape(str(self))}</p>'
