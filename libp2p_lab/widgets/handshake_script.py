"""A handshake as a script: what each side does, step by step, what it holds then, and who knows what.

`handshake_noise` and `handshake_tls` write such scripts, by running the library's own code on real keys.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from libp2p_lab.widgets.fields import Message, message_as_json

#: What alice tells bob when the handshake is over.
LETTER = b"meet me at noon, under the old oak"

PROTOCOLS = {"noise": "Noise XX", "tls": "TLS 1.3", "plaintext": "Plaintext"}

#: What mallory may do, in words, and under which protocols.
ATTACKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "": ("Nothing: an onlooker", ("noise", "tls", "plaintext")),
    "relay": ("Relay: pass on every byte", ("noise", "tls", "plaintext")),
    "replay": ("Replay bob's answer of yesterday", ("noise", "tls")),
    "payload": ("Swap the payload for yesterday's", ("noise",)),
    "signer": ("Answer as bob, sign with another key", ("noise", "tls")),
    "expected": ("Alice expects another peer", ("noise", "tls", "plaintext")),
    "middle": ("In the middle, with keys of her own", ("noise", "tls", "plaintext")),
    "careless": ("In the middle, and nobody checks", ("noise",)),
}

CLEAR = "in the clear"
FACTS = ("bob's name", "alice's name", "keys in common with", "the letter")


@dataclass(frozen=True, slots=True)
class Setting:
    """What is shown.

    Attributes:
        protocol: a key of `PROTOCOLS`.
        attack: a key of `ATTACKS`.
        flip: (message, byte) in which one bit is turned over on the way; None for none.
    """

    protocol: str = "noise"
    attack: str = ""
    flip: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Flight:
    """What travels in one go.

    Attributes:
        sender, receiver: names of sides.
        message: the bytes, and what they mean.
        flipped: the byte that was changed on the way, or -1.
        fixed: how many bytes at the beginning say where the message ends: to change them only stops the line.
        note: what became of it on the way, if anything did.
        seals: its parts, and who can read each: ("s", "under k 9f3a…").
    """

    sender: str
    receiver: str
    message: Message
    flipped: int = -1
    fixed: int = 0
    note: str = ""
    seals: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that one side does.

    Attributes:
        who: the side.
        sides: the two ends of the line on which it happens, the dialer first.
        token: "e", "ee", "payload", "verify", …
        flight: the position of what is sent or read in the script's flights; -1 for none.
        is_reading: whether the side reads it.
        text: what happens, in a sentence or two.
        states: what each of the two sides holds afterwards: name of a variable to its value.
        changed: the variables of `who` that are new.
        knows: afterwards: (fact, who) to a word.
        outcome: "" while it goes on, "refused", "waits", "done".
    """

    who: str
    sides: tuple[str, str]
    token: str
    flight: int
    is_reading: bool
    text: str
    states: dict[str, dict[str, str]]
    changed: tuple[str, ...]
    knows: dict[tuple[str, str], str]
    outcome: str = ""


@dataclass(slots=True)
class Script:
    """All steps of one handshake.

    Attributes:
        setting: what was asked for.
        people: those whose knowledge is told, in order.
        variables: the names of the state's columns, in order, with what they mean.
        steps, flights: in order.
    """

    setting: Setting
    people: tuple[str, ...]
    variables: dict[str, str]
    steps: list[Step] = field(default_factory=list)
    flights: list[Flight] = field(default_factory=list)
    known: dict[tuple[str, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.known[FACTS[0], "bob"] = self.known[FACTS[1], "alice"] = "own"
        self.known[FACTS[3], "alice"] = "own"

    @property
    def verdict(self) -> str:
        """How it ended, in one sentence: the text of the last step."""
        return self.steps[-1].text

    @property
    def outcome(self) -> str:
        """The last step's outcome."""
        return self.steps[-1].outcome

    def learn(self, fact: str, who: str, word: str) -> None:
        """From the next step on `who` knows `fact`."""
        self.known[fact, who] = word

    def add(
        self,
        who: str,
        sides: tuple[str, str],
        token: str,
        text: str,
        states: dict[str, dict[str, str]],
        *,
        is_reading: bool = False,
        outcome: str = "",
        flight: int | None = None,
    ) -> None:
        """One more step; what is new in `who`'s state is found by itself."""
        before = next((s.states[who] for s in reversed(self.steps) if who in s.states), {})
        now = states[who]
        changed = tuple(name for name, value in now.items() if before.get(name, "") != value)
        at = len(self.flights) - 1 if flight is None else flight
        self.steps.append(
            Step(
                who, sides, token, at, is_reading, text, states, changed, dict(self.known), outcome
            )
        )

    def as_record(self) -> dict[str, Any]:
        """For the front end."""
        return {
            "protocol": self.setting.protocol,
            "attack": self.setting.attack,
            "flip": self.setting.flip,
            "people": list(self.people),
            "facts": list(FACTS),
            "variables": self.variables,
            "flights": [
                {
                    "sender": flight.sender,
                    "receiver": flight.receiver,
                    "flipped": flight.flipped,
                    "fixed": flight.fixed,
                    **message_as_json(flight.message),
                    "note": flight.note,
                    "seals": [list(seal) for seal in flight.seals],
                }
                for flight in self.flights
            ],
            "steps": [
                {
                    "who": step.who,
                    "sides": list(step.sides),
                    "token": step.token,
                    "flight": step.flight,
                    "reading": step.is_reading,
                    "text": step.text,
                    "states": step.states,
                    "changed": list(step.changed),
                    "knows": [
                        [step.knows.get((fact, who), "") for who in self.people] for fact in FACTS
                    ],
                    "outcome": step.outcome,
                }
                for step in self.steps
            ],
        }


def seal(key: str) -> str:
    """Under which key something is encrypted, in short."""
    return f"under {key[:8]}…" if key else CLEAR


def people_for(setting: Setting) -> tuple[str, ...]:
    """Whose knowledge is told: an onlooker's, or mallory's."""
    third = "mallory" if setting.attack not in ("", "expected") else "onlooker"
    return ("alice", "bob", third)
