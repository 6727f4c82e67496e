"""The quiz of chapter 05: distances, tables, lookups."""

from __future__ import annotations

from libp2p_lab.coursework.questions import Choice, Question

QUESTIONS: tuple[Question, ...] = (
    Question(
        "05.q1",
        "How far is 0b1010 from 0b0110?",
        (
            Choice(
                "4: ten less six",
                "That is the ruler of everyday life. Kademlia's marks where the bits differ.",
            ),
            Choice(
                "0b1100 = 12",
                "Right. The first two bits differ, and the marks are read as a number.",
                True,
            ),
            Choice(
                "2: two bits differ",
                "Which bits differ counts, not how many: the first one is worth eight.",
            ),
        ),
        ("1.31",),
    ),
    Question(
        "05.q2",
        "Two peers are near each other in the DHT. What does that say about their machines?",
        (
            Choice(
                "They are in the same region",
                "A place is a hash of a name. Neighbours may live on different continents.",
            ),
            Choice(
                "Packets between them are fast",
                "Nothing about the way between them went into the hash.",
            ),
            Choice("Nothing", "Right. It says that the hashes of their names begin alike.", True),
        ),
        ("1.31",),
    ),
    Question(
        "05.q3",
        "The network has twice as many peers as before. How does a lookup change?",
        (
            Choice(
                "It asks twice as many peers",
                "Then nobody could find anything among a million. Look at section 5.1 again.",
            ),
            Choice(
                "It becomes longer by about one round at most",
                "Right. One more bit has to be shared, and an answer often brings several bits at once.",
                True,
            ),
            Choice(
                "Not at all",
                "Nearly. There is one more halving to be done, so now and then there is one more hop.",
            ),
        ),
        ("1.3", "1.32"),
    ),
    Question(
        "05.q4",
        "Which bucket of your table is the fullest?",
        (
            Choice(
                "The nearest: I must know my neighbours best",
                "You know all of them, but they are few: the nearest buckets stand for a thousandth of the space.",
            ),
            Choice(
                "The farthest: half of all peers belong there, and there is room for k",
                "Right. It is full, and the next ones too, until there are fewer than k peers to choose from.",
                True,
            ),
            Choice(
                "All are equally full",
                "They have equal room. But behind each stands half as many peers as behind the one before.",
            ),
        ),
        ("1.32",),
    ),
    Question(
        "05.q5",
        "What do k and α stand for, with which values in libp2p?",
        (
            Choice(
                "k = 20 peers in a bucket, and copies; α = 10 questions at once",
                "Right. The Kademlia paper has α = 3; libp2p asks more at once because so many do not answer.",
                True,
            ),
            Choice(
                "k = 20 hops at most; α = 10 branches of a tree",
                "There is no limit on hops, and nothing branches: one list, several questions at once.",
            ),
            Choice(
                "k = 256 bits; α = 32 bytes",
                "Those are the sizes of a place. k and α say how safe and how fast.",
            ),
        ),
        ("1.32", "1.33"),
    ),
    Question(
        "05.q6",
        "Why does a peer look for its own id when it joins?",
        (
            Choice(
                "To see whether the id is taken", "Nobody else can have it: it comes from a key."
            ),
            Choice(
                "Whoever it asks on the way is close to itself, and both learn of each other",
                "Right. It ends among its future neighbours, and is in their tables from then on.",
                True,
            ),
            Choice(
                "To announce itself to all peers",
                "That would be a message to everybody. It asks a few dozen.",
            ),
        ),
        ("1.33",),
    ),
    Question(
        "05.q7",
        "What stands in the key of a FIND_NODE request?",
        (
            Choice(
                "The 256-bit place that is searched",
                "A place is what the other side computes from the key.",
            ),
            Choice(
                "The peer id in bytes",
                "Right. Whoever is asked hashes it, and looks into its table.",
                True,
            ),
            Choice(
                "The peer id as text, 12D3KooW…",
                "Text is for people. On the wire it is the multihash, in bytes.",
            ),
        ),
        ("1.33",),
    ),
    Question(
        "05.q8",
        "When is a lookup over?",
        (
            Choice(
                "When the target was found",
                "A key is a place where nobody needs to live. There may be nothing to find.",
            ),
            Choice(
                "When an answer brings nobody closer",
                "That one peer may be badly informed. Others among the closest have not been asked yet.",
            ),
            Choice(
                "When the k closest that were heard of have all answered",
                "Right: those that failed are left out. Then nobody is left who could know better.",
                True,
            ),
        ),
        ("1.33",),
    ),
    Question(
        "05.q9",
        "A bucket is full, and a new peer comes along. What happens?",
        (
            Choice(
                "The oldest makes room: the new one is surely alive",
                "Most that have just come leave soon. And anybody could empty your table by coming often.",
            ),
            Choice(
                "It waits. If one of the bucket fails, it gets the place",
                "Right. Who has been up for long is likely to stay.",
                True,
            ),
            Choice(
                "One of them is drawn by lot", "An attacker would only have to come often enough."
            ),
        ),
        ("1.32", "X.9"),
    ),
    Question(
        "05.q10",
        "Somebody has made twenty names closer to a key than anybody else. What helps?",
        (
            Choice(
                "To notice that so many cannot stand so close by chance, and to store farther out too",
                "Right. Searching along ways that share no peer helps as well.",
                True,
            ),
            Choice(
                "To sign the records",
                "A signature keeps others from forging. It does not keep them from saying nothing.",
            ),
            Choice(
                "To raise α",
                "Then the attacker's peers are asked sooner. It is whom you ask that is wrong.",
            ),
        ),
        ("X.10",),
    ),
)
