"""Every objective of a written chapter can be seen live and is asked for; the table says so and is current."""

from __future__ import annotations

import re

import pytest

from libp2p_lab.coursework.catalogue import CHECKS, QUESTIONS
from libp2p_lab.coursework.release import SOURCE_NAME
from libp2p_lab.curriculum import CHAPTERS
from libp2p_lab.objectives import OBJECTIVES, Objective
from tools.build_notebooks import CURRICULUM, written_chapters
from tools.objectives_table import TARGET, table

WRITTEN = {chapter.number for chapter in written_chapters()}
# A chapter may open a subject that later ones treat: then its experiment is enough for now.
WHOLE = [o for o in OBJECTIVES if min(o.chapters) in WRITTEN]


def headings(number: int) -> set[str]:
    text = (CURRICULUM / CHAPTERS[number].folder / SOURCE_NAME).read_text("utf-8")
    return set(re.findall(r"^#+ (.+)$", text, re.MULTILINE))


def test_the_launchpads_objectives_are_there() -> None:
    ids = [o.id for o in OBJECTIVES]
    assert len(ids) == len(set(ids))
    launchpad = [o for o in OBJECTIVES if o.is_from_launchpad]
    assert sum(o.is_goal for o in launchpad) == 6
    assert sum(not o.is_goal for o in launchpad) == 19


@pytest.mark.parametrize("objective", WHOLE, ids=lambda o: o.id)
def test_an_objective_is_seen_and_asked_for(objective: Objective) -> None:
    assert objective.experiments, "no live experiment shows it"
    shown_by = [check.id for check in CHECKS if objective.id in check.objectives]
    shown_by += [question.id for question in QUESTIONS if objective.id in question.objectives]
    assert shown_by, "neither a check nor a question asks for it"


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: o.id)
def test_an_experiment_is_where_it_is_said_to_be(objective: Objective) -> None:
    for experiment in objective.experiments:
        assert experiment.chapter in WRITTEN
        assert experiment.heading in headings(experiment.chapter)


def test_checks_and_questions_name_known_objectives() -> None:
    known = {o.id for o in OBJECTIVES}
    named = {name for check in CHECKS for name in check.objectives}
    named |= {name for question in QUESTIONS for name in question.objectives}
    assert named <= known


@pytest.mark.parametrize("chapter", sorted(WRITTEN))
def test_a_written_chapter_has_its_papers(chapter: int) -> None:
    folder = CURRICULUM / CHAPTERS[chapter].folder
    for name in ("lecture.md", "objectives.md", "instructor.md"):
        assert (folder / name).is_file(), f"{folder.name} has no {name}"
    notes = (folder / "instructor.md").read_text("utf-8")
    exercises = {c.exercise for c in CHECKS if c.chapter == f"{chapter:02d}"}
    assert exercises <= set(re.findall(r"E\d+\.\d+[a-z]?", notes)), "an exercise without a note"


def test_the_table_is_current() -> None:
    assert TARGET.read_text("utf-8") == table(), "run `python -m tools.objectives_table`"
