"""The quiz of chapter 06: names of content, records, and how old they may be."""

from __future__ import annotations

from libp2p_lab.coursework.questions import Choice, Question

QUESTIONS: tuple[Question, ...] = (
    Question(
        "06.q1",
        "What do the twenty peers around a CID's key keep?",
        (
            Choice(
                "The file, in twenty copies",
                "A DHT of strangers would soon be full. They keep who has it.",
            ),
            Choice(
                "Who has it, and where that peer was",
                "Right. A few dozen bytes, however large the file is.",
                True,
            ),
            Choice(
                "One twentieth of the file each",
                "Nobody cuts anything. The bytes come from the provider.",
            ),
        ),
        ("1.33",),
    ),
    Question(
        "06.q2",
        "Who must say again that something is there?",
        (
            Choice(
                "The provider", "Right, every 22 hours. It knows whether it still has it.", True
            ),
            Choice("The peers who keep the record", "They know only that somebody once said so."),
            Choice(
                "Whoever looked for it last",
                "Looking changes nothing, except that old values are corrected.",
            ),
        ),
        ("1.33", "X.12"),
    ),
    Question(
        "06.q3",
        "Why is the key of a provider record the multihash, and not the CID?",
        (
            Choice("It is shorter by two bytes", "It is, but that is not why."),
            Choice(
                "Several CIDs share one multihash, and name the same bytes",
                "Right: who has the bytes has them under each of those names.",
                True,
            ),
            Choice("A CID can be forged", "Neither can. Both are what the content hashes to."),
        ),
        ("1.33",),
    ),
    Question(
        "06.q4",
        "A provider gives you bytes for a CID. What do you do first?",
        (
            Choice(
                "See whether the provider has signed them",
                "Signed by whom? A liar can sign as well.",
            ),
            Choice(
                "Hash them, and compare with the name",
                "Right. Nothing else has to be trusted.",
                True,
            ),
            Choice(
                "Ask a second provider and compare",
                "Two may lie alike. The name itself is the proof.",
            ),
        ),
        ("X.11",),
    ),
    Question(
        "06.q5",
        "Two peers return different valid values for one key. Who decides?",
        (
            Choice(
                "The peer that is closer to the key",
                "Distance says who should have it, not who is right.",
            ),
            Choice(
                "The validator's select",
                "Right. It is a pure function, so that everybody decides alike.",
                True,
            ),
            Choice(
                "The majority",
                "Most may be behind. One newer record beats any number of older ones.",
            ),
        ),
        ("X.11",),
    ),
    Question(
        "06.q6",
        "Somebody who keeps your IPNS record is hostile. What can it do?",
        (
            Choice("Point your name elsewhere", "For that it would need your key."),
            Choice(
                "Give an older record, or none",
                "Right. So one asks several, and takes the highest number.",
                True,
            ),
            Choice("Make it last longer", "The expiry is signed as well."),
        ),
        ("X.11", "X.12"),
    ),
    Question(
        "06.q7",
        "Nobody renews a record; its twenty holders stay for twelve hours on average. After a day, how likely is it "
        "that one of them is left?",
        (
            Choice("About 14 %", "That is the chance of each single one: e^(−2)."),
            Choice("About 95 %: 1 − (1 − 0.135)^20", "Right. One of twenty is enough.", True),
            Choice("0 %: twelve hours are over", "On average. Some stay much longer."),
        ),
        ("X.12",),
    ),
    Question(
        "06.q8",
        "You delete a file that you had announced. What about its provider records?",
        (
            Choice(
                "They are deleted",
                "Nobody tells the twenty. They would not have to believe it either.",
            ),
            Choice(
                "They expire, 48 hours after you last said so",
                "Right. Until then people knock in vain.",
                True,
            ),
            Choice("They stay for ever", "Then the DHT would be full of ghosts."),
        ),
        ("X.12",),
    ),
    Question(
        "06.q9",
        "How long does a registration at a rendezvous point last, if nothing else is said?",
        (
            Choice("2 hours", "Right, and 72 hours at most.", True),
            Choice("48 hours", "That is a provider record in the DHT."),
            Choice("Until one disconnects", "Registrations outlive connections, but not by much."),
        ),
        ("1.33",),
    ),
    Question(
        "06.q10",
        "You want to find printers in your own house, with the cable to the internet cut. What do you take?",
        (
            Choice("The DHT", "Its first peers are out there."),
            Choice("A rendezvous point", "Somebody must run one, and you must know where."),
            Choice(
                "mDNS", "Right: a question to everybody in this network, and to nobody else.", True
            ),
        ),
        ("1.33",),
    ),
)
