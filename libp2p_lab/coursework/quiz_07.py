"""The quiz of chapter 07: publish and subscribe."""

from __future__ import annotations

from libp2p_lab.coursework.questions import Choice, Question

QUESTIONS: tuple[Question, ...] = (
    Question(
        "07.q1",
        "200 peers, 2,050 connections, FloodSub. How often is one message sent?",
        (
            Choice(
                "199 times: once to each of the others",
                "That would be enough, if somebody knew the way. A flood knows none, and tries each.",
            ),
            Choice(
                "4,100 times: each connection both ways",
                "Nearly. Over N − 1 of the connections somebody hears it first, and sends nothing back there.",
            ),
            Choice(
                "3,901 times: 2E − (N − 1)",
                "Right. 199 of these are needed, and the other 3,702 are duplicates.",
                True,
            ),
            Choice(
                "For ever, if there is a circle",
                "What was seen is not passed on again: each connection carries it at most once each way.",
            ),
        ),
        ("1.4", "1.41"),
    ),
    Question(
        "07.q2",
        "The specs' defaults for D, D_low, D_high and the heartbeat?",
        (
            Choice(
                "6, 4, 12 and 1 s",
                "Right. Implementations differ a little: go-libp2p takes 5 for D_low, and so does this library.",
                True,
            ),
            Choice(
                "20, 16, 32 and 10 s",
                "With twenty members a mesh comes near a flood. Six are enough for a message to reach everybody.",
            ),
            Choice(
                "3, 2, 4 and 0.1 s",
                "With three members a few failures cut the mesh, and ten heartbeats a second are dear.",
            ),
        ),
        ("1.42", "X.13"),
    ),
    Question(
        "07.q3",
        "Each heartbeat tells a quarter of the peers outside the mesh. How likely is it that one of them hears of a "
        "message within three heartbeats?",
        (
            Choice(
                "75 %: three times a quarter",
                "Then five heartbeats would give 125 %. Ask for the opposite: how likely is it that it never hears?",
            ),
            Choice(
                "58 %: 1 − 0.75³",
                "Right. It is not told with a chance of 0.75 each time. And it has other neighbours that gossip too.",
                True,
            ),
            Choice(
                "1.6 %: a quarter of a quarter of a quarter",
                "That is how likely it is to be told all three times.",
            ),
        ),
        ("1.43", "X.13"),
    ),
    Question(
        "07.q4",
        "What does IDONTWANT save, and when does it cost more than it saves?",
        (
            Choice(
                "It saves duplicates of big messages; for small ones the IDONTWANT itself is as big as what it saves",
                "Right. So it is sent only from a kilobyte on, and it helps only if it overtakes the message.",
                True,
            ),
            Choice(
                "It saves gossip, and costs nothing",
                "Gossip tells of names, and is cheap. IDONTWANT is about the messages themselves.",
            ),
            Choice(
                "It keeps topics away that a peer does not want",
                "For that a peer simply does not subscribe. IDONTWANT names single messages that it has already.",
            ),
        ),
        ("1.43", "X.15"),
    ),
    Question(
        "07.q5",
        "A peer was sent a PRUNE. What now?",
        (
            Choice(
                "The connection is closed",
                "The connection stays. Gossip goes over it, other topics do, and every other protocol.",
            ),
            Choice(
                "It grafts again at the next heartbeat",
                "That is refused, and held against it: the back-off is a minute, unless the PRUNE says otherwise.",
            ),
            Choice(
                "It may graft again after the back-off, usually a minute",
                "Right. Without it two peers could graft and prune each other every second.",
                True,
            ),
        ),
        ("1.42", "X.13"),
    ),
    Question(
        "07.q6",
        "Why must a mesh hold some members that we dialled ourselves?",
        (
            Choice(
                "Their connections are faster",
                "Who dialled makes no difference to the speed.",
            ),
            Choice(
                "An attacker can dial us as often as it likes, but not make us dial it",
                "Right. D_out keeps at least two places for peers of our own choice, so that nobody can surround us.",
                True,
            ),
            Choice(
                "Only the dialer may send a GRAFT",
                "Either side may. Who dialled is forgotten by most protocols.",
            ),
        ),
        ("X.14",),
    ),
    Question(
        "07.q7",
        "Alice publishes in a topic that she has not joined. What happens?",
        (
            Choice(
                "An error: whoever publishes must subscribe",
                "You saw it work. She keeps no mesh, but a fanout of D peers that want the topic.",
            ),
            Choice(
                "It goes to a fanout: D peers that want the topic",
                "Right. She remembers them for a minute after her last message, and takes them first if she joins.",
                True,
            ),
            Choice(
                "The message waits until she joins",
                "Nobody would wait for that. The message leaves at once.",
            ),
        ),
        ("1.42",),
    ),
    Question(
        "07.q8",
        "Bob's score of eve is −90. What is carol's?",
        (
            Choice(
                "−90: scores are shared in the mesh",
                "They are never sent. If they were, liars could ruin anybody's name.",
            ),
            Choice(
                "Nobody knows: each peer judges by what it has seen itself",
                "Right. Eve may be charming to carol. Two peers may disagree, and both be right.",
                True,
            ),
            Choice(
                "0, until bob tells her",
                "Bob tells nobody. He offers no peers in a PRUNE that he thinks badly of; that is all.",
            ),
        ),
        ("1.43", "X.14"),
    ),
    Question(
        "07.q9",
        "In the mesh a link is missing, and a message does not arrive over it. How does it come all the same?",
        (
            Choice(
                "It does not: GossipSub has no repetition",
                "Look at the section where two fifths of the mesh were cut: it came with the next heartbeat.",
            ),
            Choice(
                "Gossip carries the whole message to peers outside the mesh",
                "Gossip carries names only. Whole messages to everybody would be a flood.",
            ),
            Choice(
                "Somebody outside the mesh tells its name by IHAVE; the peer asks by IWANT and is sent it",
                "Right. Names are cheap, so they may travel often. The price is the wait for a heartbeat.",
                True,
            ),
        ),
        ("1.42", "1.43"),
    ),
    Question(
        "07.q10",
        "Flood publishing sends one's own messages to all peers that want the topic. Is that FloodSub again?",
        (
            Choice(
                "Yes, with another name",
                "In FloodSub everybody passes on to everybody. Here only the author does; the others keep to the mesh.",
            ),
            Choice(
                "No: only the author does it; all others pass on in the mesh",
                "Right. It costs one fan of copies, and a mesh full of attackers cannot swallow it at its source.",
                True,
            ),
            Choice(
                "No: it is for messages with high priority",
                "There are no priorities among messages. Nor is there an order: two messages may overtake each other.",
            ),
        ),
        ("1.42", "X.14"),
    ),
)
