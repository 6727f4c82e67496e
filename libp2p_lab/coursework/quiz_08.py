"""The quiz of chapter 08: boxes, relays, holes."""

from __future__ import annotations

from libp2p_lab.coursework.questions import Choice, Question

QUESTIONS: tuple[Question, ...] = (
    Question(
        "08.q1",
        "Why does a packet from a stranger not reach a peer behind a home router?",
        (
            Choice(
                "The router has no public address",
                "It has one, and shares it. That is what it was made for.",
            ),
            Choice(
                "The router finds nobody who has called that stranger",
                "Right. It remembers who may answer to whom, and drops the rest.",
                True,
            ),
            Choice("The provider forbids it", "Some do. But the router alone is enough."),
        ),
        ("1.12",),
    ),
    Question(
        "08.q2",
        "In …/p2p/R/p2p-circuit/p2p/A: to whom does the dialler send its packets?",
        (
            Choice(
                "To A", "Nobody can: A is behind its router. That is why R stands in the address."
            ),
            Choice(
                "To R, which passes on what it cannot read",
                "Right. R sees who talks to whom, and how much.",
                True,
            ),
            Choice(
                "To both at once",
                "That comes later, when they punch. The circuit goes through R alone.",
            ),
        ),
        ("1.51",),
    ),
    Question(
        "08.q3",
        "Which handshakes has such a connection seen?",
        (
            Choice(
                "One: dialler and target",
                "And who is the relay? Each of the two has a connection to it, with a handshake of its own.",
            ),
            Choice(
                "Two: each with the relay",
                "Then the relay could read everything, and pretend to be anybody.",
            ),
            Choice("Three: each with the relay, and one inside", "Right.", True),
        ),
        ("1.51",),
    ),
    Question(
        "08.q4",
        "Who begins the exchange of DCUtR?",
        (
            Choice(
                "The peer that called through the relay",
                "It can be answered, but not called. The other one knows first that a hole is needed.",
            ),
            Choice(
                "The peer that was called",
                "Right: the inbound side of the relayed connection.",
                True,
            ),
            Choice("The relay", "It knows nothing of it. It carries bytes."),
        ),
        ("1.52", "X.17"),
    ),
    Question(
        "08.q5",
        "SYNC has been sent. How long does its sender wait before it dials?",
        (
            Choice(
                "Not at all",
                "Then its packet is there half a round trip before the other side has opened its box.",
            ),
            Choice(
                "Half of the round trip that it measured", "Right: so long does SYNC take.", True
            ),
            Choice("A whole round trip", "SYNC travels one way only, and nothing comes back."),
        ),
        ("X.17",),
    ),
    Question(
        "08.q6",
        "And who is client on the punched TCP connection, when both have dialled?",
        (
            Choice(
                "Whose SYN was first",
                "Each side would see its own first, and both would wait for the other to speak.",
            ),
            Choice(
                "The peer that called through the relay",
                "Right. It must be settled beforehand.",
                True,
            ),
            Choice(
                "The peer with the smaller id",
                "That is how some protocols settle it. This one goes by who called.",
            ),
        ),
        ("1.52",),
    ),
    Question(
        "08.q7",
        "How many exchanges are tried, and how much do the later ones help?",
        (
            Choice(
                "Three; nearly every success is the first one's",
                "Right: 97.6 % in the public network.",
                True,
            ),
            Choice(
                "Three; each helps about as much as the one before",
                "What fails has a reason, and the next exchange finds the same boxes.",
            ),
            Choice("As many as it takes", "Two symmetric boxes would try for ever."),
        ),
        ("1.52",),
    ),
    Question(
        "08.q8",
        "A symmetric NAT on one side. Is a hole impossible?",
        (
            Choice(
                "Yes: its port is another for each remote",
                "The other side cannot call it. But it can call the other side.",
            ),
            Choice(
                "No: if the other box lets in whoever comes, or does not look at ports, it works",
                "Right. Between two symmetric boxes nothing gets through.",
                True,
            ),
            Choice(
                "No: the relay tells the right port",
                "The relay knows the port that was opened for the relay.",
            ),
        ),
        ("X.16",),
    ),
    Question(
        "08.q9",
        "Is UPnP hole punching?",
        (
            Choice(
                "Yes: it opens a port",
                "It asks the router to open one. Punching makes the router open one without asking.",
            ),
            Choice(
                "No: it asks the router for a door; a hole is opened by calling out",
                "Right. And many routers do not answer, or lie.",
                True,
            ),
        ),
        ("1.5",),
    ),
    Question(
        "08.q10",
        "What ends a reservation, besides its time?",
        (
            Choice(
                "Disconnecting from the relay",
                "Right. The relay calls through the connection that is there.",
                True,
            ),
            Choice("Being called too often", "That is limited as well, but the place stays."),
            Choice("A direct connection to somebody", "Others may still want to call."),
        ),
        ("1.51",),
    ),
)
