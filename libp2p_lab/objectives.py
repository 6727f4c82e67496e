"""What a learner can do afterwards: the objectives, and where each is met.

Those with a number follow the libp2p module of the Protocol Labs Launchpad; those with an X are our own. This list
names the experiments; checks and questions name the objectives that they show, and `tools/objectives_table.py` joins
the two into `curriculum/OBJECTIVES.md`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Experiment:
    """A live run that shows an objective.

    Attributes:
        chapter: the chapter's number.
        heading: of the notebook's section where it runs, without the marks in front.
    """

    chapter: int
    heading: str


@dataclass(frozen=True, slots=True)
class Objective:
    """One thing to be able to do.

    Attributes:
        id: "1.21", or "X.1" for our own.
        text: what, in one line.
        chapters: the numbers of the chapters that serve it.
        experiments: where it can be seen, in the chapters that are written.
    """

    id: str
    text: str
    chapters: tuple[int, ...]
    experiments: tuple[Experiment, ...] = ()

    @property
    def is_goal(self) -> bool:
        """Whether it sums up others: 1.2 for 1.21 to 1.24."""
        return self.id[0].isdigit() and len(self.id) == 3

    @property
    def is_from_launchpad(self) -> bool:
        """Whether it is one of the Launchpad's."""
        return self.id[0].isdigit()


_STAR_AND_MESH = Experiment(0, "Nine of them, as a star and as a mesh")
_TEN_FAILURES = Experiment(0, "Ten failures")
_FOUR_KINDS = Experiment(1, "Four peers, four kinds of key")
_WRONG_NAME = Experiment(1, "Taking somebody's name")
_ADDRESSES = Experiment(1, "Addresses are bytes, too")
_LETTER = Experiment(1, "A letter that a stranger believes")
_HOW_FAR = Experiment(5, "How far is it from here?")
_THOUSANDS = Experiment(5, "5.1 · Ten thousand peers")
_NO_WAY_IN = Experiment(8, "Nobody can call alice")
_HOLE = Experiment(8, "A hole")
_LAYERS = Experiment(0, "4 · Wire")
_FOUR_TRANSPORTS = Experiment(2, "One ping, four transports")
_STEPS = Experiment(2, "Counting round trips")
_ON_THE_CABLE = Experiment(2, "Which bytes are readable?")
_ADDRESS_RACE = Experiment(2, "3 · Look")
_THREE_MESSAGES = Experiment(3, "Three messages")
_MIDDLE = Experiment(3, "The woman in the middle")
_THREE_AT_ONCE = Experiment(4, "Three conversations, one connection")
_STOPPED = Experiment(4, "A reader that stops")
_TWELVE_STEPS = Experiment(4, "Twelve steps in order")
_FLOOD = Experiment(7, "Twenty peers, and everybody passes on everything")
_GOSSIP = Experiment(7, "The same twenty, with gossip")
_HUNDREDS = Experiment(7, "5.1 · Two hundred peers")
_CUT = Experiment(7, "5.2 · Cut two fifths of the mesh")
_HOSTILE = Experiment(7, "5.6 · Thirty peers, nine of them hostile")

OBJECTIVES: tuple[Objective, ...] = (
    Objective(
        "1.0",
        "know what libp2p is for and what it buys you",
        (0,),
        (Experiment(0, "Two peers"),),
    ),
    Objective(
        "1.01",
        "tell peer-to-peer and client-server apart",
        (0,),
        (Experiment(0, "A protocol of your own"), _STAR_AND_MESH),
    ),
    Objective(
        "1.02",
        "name technical and political gains and costs of peer-to-peer",
        (0, 9),
        (_STAR_AND_MESH, _TEN_FAILURES),
    ),
    Objective(
        "1.03",
        "know where to find long-term aims, use cases and specs",
        (0, 9),
        (Experiment(0, "3 · Look"),),
    ),
    Objective(
        "1.1",
        "know the main building blocks",
        (0, 1, 2, 3, 4, 5, 6, 7, 8),
        (_LAYERS, Experiment(0, "Take a layer out")),
    ),
    Objective(
        "1.11",
        "list the principal transports of the stack",
        (2,),
        (_FOUR_TRANSPORTS, Experiment(2, "Twelve situations")),
    ),
    Objective("1.12", "know the several ways through NATs", (8,), (_NO_WAY_IN,)),
    Objective(
        "1.13",
        "say what stream multiplexing is and why it helps",
        (4,),
        (_THREE_AT_ONCE, _STOPPED, Experiment(4, "Lose some packets")),
    ),
    Objective(
        "1.14",
        "explain what multiaddresses are good for",
        (1, 2),
        (_ADDRESSES, _WRONG_NAME, Experiment(2, "Where do you live?"), _ADDRESS_RACE),
    ),
    Objective("1.2", "understand how connections come about", (2, 3, 4), (_LAYERS, _STEPS)),
    Objective(
        "1.21",
        "define node, peer, peer identity",
        (1,),
        (_WRONG_NAME, Experiment(1, "Moving house"), Experiment(1, "A new process")),
    ),
    Objective(
        "1.22",
        "understand how an identity is derived",
        (1,),
        (_FOUR_KINDS, Experiment(1, "3 · Look")),
    ),
    Objective(
        "1.23",
        "describe the steps of opening a connection",
        (2, 3, 4),
        (_LAYERS, _STEPS, _ON_THE_CABLE, _TWELVE_STEPS),
    ),
    Objective(
        "1.24",
        "see why muxing lets many protocols share a connection",
        (4,),
        (_THREE_AT_ONCE, Experiment(4, "Lose some packets")),
    ),
    Objective("1.3", "understand content routing in a DHT", (5, 6), (_THOUSANDS,)),
    Objective("1.31", "describe the distance measure", (5,), (_HOW_FAR,)),
    Objective(
        "1.32",
        "understand what the routing table does for finding peers",
        (5,),
        (Experiment(5, "Whom does one peer know?"), _THOUSANDS),
    ),
    Objective(
        "1.33",
        "describe the DHT's basic operations",
        (5, 6),
        (Experiment(5, "One lookup, step by step"), Experiment(6, "2 · Run")),
    ),
    Objective("1.4", "understand pub/sub and its implementations", (7,), (_FLOOD, _GOSSIP)),
    Objective("1.41", "say what FloodSub is and how it sends", (7,), (_FLOOD,)),
    Objective("1.42", "analyse where FloodSub and GossipSub differ", (7,), (_GOSSIP, _HUNDREDS)),
    Objective("1.43", "say what GossipSub improves", (7,), (_HUNDREDS, _CUT)),
    Objective(
        "1.5", "learn what NAT traversal is and which methods exist", (8,), (_NO_WAY_IN, _HOLE)
    ),
    Objective("1.51", "describe circuit relay", (8,), (Experiment(8, "A way around: the relay"),)),
    Objective("1.52", "contrast relay and hole punching", (8,), (_HOLE,)),
    Objective(
        "X.1",
        "say why a key has one encoding, and refuse the others",
        (1,),
        (Experiment(1, "3 · Look"), Experiment(1, "7 · Swap")),
    ),
    Objective("X.2", "seal an envelope that a stranger can verify", (1,), (_LETTER,)),
    Objective(
        "X.3",
        "write a multistream-select exchange, to the byte",
        (2,),
        (_ON_THE_CABLE, Experiment(2, "By hand")),
    ),
    Objective(
        "X.4",
        "say in which order a peer's addresses are dialed, and why",
        (2,),
        (_ADDRESS_RACE, Experiment(2, "When UDP is blocked")),
    ),
    Objective(
        "X.5",
        "bind a connection's key to an identity, and say what that proves",
        (3,),
        (_THREE_MESSAGES, _MIDDLE),
    ),
    Objective(
        "X.6",
        "name the attacks on a handshake, and the line that stops each",
        (3,),
        (
            _MIDDLE,
            Experiment(3, "Every byte of the handshake"),
            Experiment(3, "A word that nobody protects"),
        ),
    ),
    Objective(
        "X.7",
        "bound what a slow reader costs, and starve nobody",
        (4,),
        (_STOPPED, Experiment(4, "3 · Look")),
    ),
    Objective(
        "X.8",
        "say what identify tells, and what it does not prove",
        (4,),
        (Experiment(4, "What identify does not prove"),),
    ),
    Objective(
        "X.9",
        "say what churn costs, and what a table does about it",
        (5,),
        (Experiment(5, "5.2 · When many are gone"),),
    ),
    Objective(
        "X.10",
        "take over a key by Sybils, and say what helps",
        (5,),
        (Experiment(5, "5.5 · Somebody sits on the key"),),
    ),
    Objective(
        "X.11",
        "say why a stranger's record may be believed, and write the rule",
        (6,),
        (Experiment(6, "5.1 · Why believe a stranger?"),),
    ),
    Objective(
        "X.12",
        "calculate how long a record lives, and choose how often to renew it",
        (6,),
        (Experiment(6, "5.3 · Days go by"),),
    ),
    Objective(
        "X.13", "choose GossipSub's parameters, and say what each costs", (7,), (_HUNDREDS, _CUT)
    ),
    Objective("X.14", "name the attacks on a mesh, and what stops each", (7,), (_HOSTILE,)),
    Objective(
        "X.15",
        "say what GossipSub 1.2 saves",
        (7,),
        (Experiment(7, "5.3 · Big messages, and IDONTWANT"),),
    ),
    Objective(
        "X.16",
        "say how NAT boxes map and filter, and which pairs can punch",
        (8,),
        (Experiment(8, "5.1 · Nine kinds of boxes"),),
    ),
    Objective("X.17", "say when each side dials, and why", (8,), (Experiment(8, "4 · Wire"),)),
)
