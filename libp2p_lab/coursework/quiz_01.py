"""The quiz of chapter 01: identity."""

from __future__ import annotations

from libp2p_lab.coursework.questions import Choice, Question

QUESTIONS: tuple[Question, ...] = (
    Question(
        "01.q1",
        "A public key takes 36 bytes as a protobuf. Is it hashed on its way into the peer id?",
        (
            Choice(
                "Yes: an id is always a hash",
                "Read the first byte of such an id: it is 00, identity. The key stands in it as it is.",
            ),
            Choice(
                "No: up to 42 bytes the id holds the key itself",
                "Right. Whoever knows the name can check a signature without asking anybody for the key.",
                True,
            ),
            Choice(
                "It depends on the implementation",
                "Then one key would have several names, and peers could not agree on whom they talk of.",
            ),
        ),
        ("1.22",),
    ),
    Question(
        "01.q2",
        "Why must the bytes of a key be the same in every program?",
        (
            Choice(
                "Two encodings of one key would be two peer ids",
                "Right. Protobuf allows many encodings of the same message; for keys libp2p allows one.",
                True,
            ),
            Choice(
                "Otherwise the signature would not hold",
                "A signature is made with the key, not over it: its protobuf may look as it likes.",
            ),
            Choice(
                "To save bytes",
                "The one allowed form is also the shortest, but that is not why the others are refused.",
            ),
        ),
        ("1.22", "X.1"),
    ),
    Question(
        "01.q3",
        "What does /p2p/12D3KooW… add to /ip4/203.0.113.7/tcp/4001?",
        (
            Choice(
                "Where to go",
                "That was said before it. The id contains no IP address and no port.",
            ),
            Choice(
                "The password of the peer",
                "A peer id is as public as a name. What proves it is the private key, which is never sent.",
            ),
            Choice(
                "Whom to expect: if another key answers, the dial fails",
                "Right. You saw it fail in section 2, with the name of who answered instead.",
                True,
            ),
        ),
        ("1.14", "1.21"),
    ),
    Question(
        "01.q4",
        "Which of these is never sent to anybody?",
        (
            Choice("The public key", "It is sent in every handshake, and again by identify."),
            Choice("The peer id", "It stands in addresses and in the DHT for all to see."),
            Choice(
                "The private key",
                "Right. It signs, and only the signature travels. Whoever has the key is the peer.",
                True,
            ),
            Choice(
                "The signature over the handshake's key",
                "It must be sent: it is the proof that the sender holds the private key.",
            ),
        ),
        ("1.21", "1.22"),
    ),
    Question(
        "01.q5",
        "Two texts: 12D3KooWBtg3… and bafzaajaiaejc…. Two peers?",
        (
            Choice(
                "Yes: the texts have nothing in common",
                "The texts have not, the bytes have. Read both: from_text gives the same id.",
            ),
            Choice(
                "Not necessarily: base58 and CID are two ways to write the same bytes",
                "Right. Compare ids as bytes, never as text.",
                True,
            ),
            Choice(
                "Yes: a CID names a file",
                "A CID names content by a hash or a key. Its codec says which; here it says libp2p-key.",
            ),
        ),
        ("1.22",),
    ),
    Question(
        "01.q6",
        "A machine is restarted, and its peer has another id than before. Why?",
        (
            Choice(
                "Every new process needs a new id",
                "It needs a key. If it loads the old one, it has the old name.",
            ),
            Choice(
                "Its IP address has changed",
                "The address is no part of the id.",
            ),
            Choice(
                "Its key was not saved, so it made a new one",
                "Right. KeyPair.save and KeyPair.load keep a peer the same peer.",
                True,
            ),
        ),
        ("1.21", "1.22"),
    ),
    Question(
        "01.q7",
        "Mallory carries a signed peer record of alice to bob. What can she change?",
        (
            Choice(
                "The addresses, if she signs again with her own key",
                "Then the signer is mallory, and the record speaks of alice: bob compares the two and refuses.",
            ),
            Choice(
                "Nothing, without bob noticing",
                "Right. She can withhold it or bring an old one; the sequence number tells which is newer.",
                True,
            ),
            Choice(
                "The sequence number, which is not signed",
                "It stands in the payload, and the payload is signed.",
            ),
        ),
        ("X.2",),
    ),
    Question(
        "01.q8",
        "Ten leading bits of a position cost about a thousand keys. What do twenty cost?",
        (
            Choice(
                "Two thousand", "Each further bit doubles the work; ten more double it ten times."
            ),
            Choice(
                "A million",
                "Right. 2 ** 20. Cheap enough that a good place in a network proves nothing about who sits there.",
                True,
            ),
            Choice(
                "Nobody can do that",
                "Measure it: a thousand keys took well under a second. A thousand times that is no obstacle.",
            ),
        ),
        ("1.22",),
    ),
)
