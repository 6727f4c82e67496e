"""E6.8: ten situations. What is the thing to take: a value, provider records, mDNS, a rendezvous point?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown

WORDS = ("value", "provider", "mdns", "rendezvous")
ENOUGH = 8  # right ones of ten
PUT = "kad-dht/README.md#value-storage"
PROVIDE = "kad-dht/README.md#content-provider-advertisement"
CABLE = "discovery/mdns.md#overview"
POINT = "rendezvous/README.md#use-cases"

#: By letter: what it is about, in short, and what serves there.
SITUATIONS = {
    "a": ("the film on three machines", "provider"),
    "b": ("chess in the train", "mdns"),
    "c": ("the newsletter whose name stays", "value"),
    "d": ("players who are there right now", "rendezvous"),
    "e": ("the lamp, with the cable cut", "mdns"),
    "f": ("a data set with many mirrors", "provider"),
    "g": ("the key of a peer that is away", "value"),
    "h": ("a thousand rooms, forgotten after two hours", "rendezvous"),
    "i": ("one common word, and nobody who runs anything", "provider"),
    "j": ("the number of the newest version", "value"),
}


async def examine_which(exam: Exam, answer: Any) -> None:
    """E6.8: eight of ten are enough; of the others the first is talked about."""
    if not isinstance(answer, Mapping) or not set(answer) <= set(SITUATIONS):
        exam.reject(
            "wrong-type", "the answer is a dict from the letters a to j to words", got=shown(answer)
        )
    missing = [letter for letter in SITUATIONS if not answer.get(letter)]
    exam.require(not missing, "missing", f"nothing is chosen for {', '.join(missing)}")
    for letter, word in answer.items():
        exam.require(
            word in WORDS, "no-word", f"{letter}: one of {', '.join(WORDS)}", got=shown(word)
        )
    wrong = [letter for letter, (_, right) in SITUATIONS.items() if answer[letter] != right]
    count = len(SITUATIONS) - len(wrong)
    for letter in wrong:
        about, right = SITUATIONS[letter]
        if count < ENOUGH:
            exam.reject(
                f"is-{right}",
                f"{count} of {len(SITUATIONS)} serve, {ENOUGH} are needed. The first that does not is "
                f"{letter}, {about}: {answer[letter]}",
            )
        exam.note(f"Think again about {letter}, {about}: {answer[letter]} serves worse.")
    exam.count("situations", count)


WHICH = Check(
    id="06.which",
    exercise="E6.8",
    title="Which one, when?",
    level="L1",
    points=2,
    objectives=("1.33",),
    starter="""\
# For each situation of the exercise: "value", "provider", "mdns" or "rendezvous".
choices = dict.fromkeys("abcdefghij", "")
await lab.check("06.which", choices)
""",
    hints=(
        "Ask three things. Are they on one cable? Does one own it, or may many say so? Does anybody run a meeting "
        "point for them?",
        "One cable: mDNS. One owner, and the newest counts: a value. Many, and each says only of itself that it has "
        "something, or belongs to something: provider records. Somebody runs a point, and seconds count: rendezvous.",
        "Two are mDNS, two rendezvous, three provider records, three values. A word can be provided like a block: "
        "`dht.advertise` does nothing else.",
    ),
    rules=(
        Rule("missing", "Choose one for each letter; a guess costs nothing."),
        Rule("no-word", "Four words are possible."),
        Rule(
            "is-mdns",
            "Both are on one cable, and nothing beyond it can be asked. Who answers a question to everybody?",
            CABLE,
        ),
        Rule(
            "is-value",
            "One owner says what it is, and everybody must be able to tell the newest from older ones.",
            PUT,
        ),
        Rule(
            "is-provider",
            "Many may join in, each says so only of itself, and nobody runs anything for them.",
            PROVIDE,
        ),
        Rule(
            "is-rendezvous",
            "Somebody runs a place that all know, and who comes shall be seen at once and soon be forgotten.",
            POINT,
        ),
    ),
    examine=examine_which,
    seeds=(1,),
)
