"""The quiz of chapter 00: two peers in one kernel."""

from __future__ import annotations

from libp2p_lab.coursework.questions import Choice, Question

QUESTIONS: tuple[Question, ...] = (
    Question(
        "00.q1",
        "Which of these can libp2p not give you?",
        (
            Choice("Encryption", "It does: the security layer encrypts every connection."),
            Choice(
                "Authentication",
                "It does: both sides prove their keys before the first byte of data.",
            ),
            Choice(
                "Authorisation",
                "Right. libp2p says who is there; what they may do is your program's decision.",
                True,
            ),
            Choice("Multiplexing", "It does: many streams share one connection."),
        ),
        ("1.0", "1.1"),
    ),
    Question(
        "00.q2",
        "A peer has no DNS name. What names it?",
        (
            Choice(
                "Its IP address",
                "That says where it is today. The same peer has another one tomorrow.",
            ),
            Choice("Its peer id", "Right. It is made from the peer's public key.", True),
            Choice(
                "A number that a server hands out",
                "Nobody hands out names here; each peer makes its own.",
            ),
        ),
        ("1.0",),
    ),
    Question(
        "00.q3",
        "Who is the server in a stream?",
        (
            Choice(
                "The peer that listens at an address",
                "It accepted the connection. Either side may open a stream on it.",
            ),
            Choice("The machine with more memory", "Roles have nothing to do with size."),
            Choice(
                "Whoever answers in that stream",
                "Right. The role belongs to the stream, not to the machine.",
                True,
            ),
        ),
        ("1.01",),
    ),
    Question(
        "00.q4",
        "Why would a peer-to-peer network still have well-known nodes?",
        (
            Choice(
                "A newcomer must know somebody to begin with",
                "Right. They introduce; afterwards the network does without them.",
                True,
            ),
            Choice("They store everybody's data", "Then it would be a server with many clients."),
            Choice("They decide who may join", "Nobody does, unless a network is made private."),
        ),
        ("1.01", "1.02"),
    ),
    Question(
        "00.q5",
        "The server of the star dies. What do the eight clients still have?",
        (
            Choice(
                "Every line between them", "There were none: each had a line to the server only."
            ),
            Choice(
                "Nothing: no pair can talk", "Right. One death took all thirty-six pairs.", True
            ),
            Choice("Half of their pairs", "A star has no half: all lines end in its centre."),
        ),
        ("1.01", "1.02"),
    ),
    Question(
        "00.q6",
        "Is libp2p one program?",
        (
            Choice(
                "Yes, written in Go",
                "There is one in Go, and others in Rust, JavaScript, Python, …",
            ),
            Choice("Yes, and it is called IPFS", "IPFS uses libp2p, and so do many others."),
            Choice(
                "No: it is a set of specifications with many implementations",
                "Right. They meet on the wire, where the bytes must agree.",
                True,
            ),
        ),
        ("1.0", "1.03"),
    ),
    Question(
        "00.q7",
        "Does peer-to-peer mean anonymous?",
        (
            Choice(
                "No: every peer you talk to learns your peer id and your address",
                "Right. Hiding that takes other tools.",
                True,
            ),
            Choice("Yes: there is no server to log you", "Every peer can keep a log."),
            Choice("Yes: it is all encrypted", "What you say is hidden; that you say it is not."),
        ),
        ("1.02",),
    ),
    Question(
        "00.q8",
        "Bob's host has no muxer. At which step does his dial end?",
        (
            Choice("When TCP connects", "TCP carries plain bytes and asks for no muxer."),
            Choice(
                "When the two agree on a muxer, after the handshake",
                "Right. They share none, and say so.",
                True,
            ),
            Choice(
                "When he sends his first message",
                "He never gets that far: no stream can be opened.",
            ),
        ),
        ("1.1",),
    ),
    Question(
        "00.q9",
        "A peer says that it speaks /ipfs/ping/1.0.0. Where is it written what that means?",
        (
            Choice(
                "In the source code of go-libp2p, which came first",
                "It is one implementation. Where two differ, neither is right because it is older.",
            ),
            Choice(
                "In ping/ping.md of the repository libp2p/specs",
                "Right. The id names the protocol, the spec says what its bytes mean, and anybody may implement it.",
                True,
            ),
            Choice(
                "Nowhere: the peers agree on it when they connect",
                "They agree on the name only. What follows it both must know beforehand.",
            ),
        ),
        ("1.03",),
    ),
)
