"""The quiz of chapter 03: security."""

from __future__ import annotations

from libp2p_lab.coursework.questions import Choice, Question

QUESTIONS: tuple[Question, ...] = (
    Question(
        "03.q1",
        "In Noise XX, who proves first who they are?",
        (
            Choice(
                "The initiator, in message 0",
                "Message 0 is one fresh key in the clear. Nothing could be proven with it, and nothing hidden.",
            ),
            Choice(
                "The responder, in message 1",
                "Right. The initiator can hang up before it has said anything about itself: its proof is in message 2.",
                True,
            ),
            Choice(
                "Both at once",
                "Somebody has to go first, and pays for it: whoever dials can learn the responder's name.",
            ),
        ),
        ("1.23", "X.5"),
    ),
    Question(
        "03.q2",
        "A connection is encrypted, and nobody has checked a signature. What do you know about the other side?",
        (
            Choice(
                "That it is who it says",
                "Mallory can agree on keys as well as anybody. Encryption keeps out everybody but the one you talk to.",
            ),
            Choice(
                "That nobody else reads along, whoever it is",
                "Right, and if it is mallory, that is of little use. Encryption and authentication are two things.",
                True,
            ),
            Choice(
                "Nothing at all",
                "A little: nobody but the holder of that fresh key reads along. Only you do not know who holds it.",
            ),
        ),
        ("X.5", "X.6"),
    ),
    Question(
        "03.q3",
        "Why is noise-libp2p-static-key: put in front of what is signed?",
        (
            Choice(
                "So that a signature that was made for something else is worth nothing here",
                "Right. Without it, whoever gets alice to sign 32 bytes anywhere can be alice here: that is E3.5.",
                True,
            ),
            Choice(
                "To make the signature harder to break",
                "A signature does not get stronger by a text that everybody knows.",
            ),
            Choice(
                "So that the receiver knows of which kind the key is",
                "The kind stands in the key's protobuf. The prefix says what the signature is for.",
            ),
        ),
        ("X.5",),
    ),
    Question(
        "03.q4",
        "Mallory records a whole connection, and a year later steals alice's identity key. What can she read?",
        (
            Choice(
                "Everything that alice sent",
                "The identity key only signed. The messages were encrypted under keys that both sides threw away.",
            ),
            Choice(
                "The handshake, but not the data",
                "Not even that: its payloads are encrypted under fresh keys too.",
            ),
            Choice(
                "Nothing: the fresh keys are gone",
                "Right. That is forward secrecy. What she can do from now on is to pass for alice.",
                True,
            ),
        ),
        ("X.6",),
    ),
    Question(
        "03.q5",
        "Where can somebody on the way read which muxers you have, if they are agreed on in the handshake?",
        (
            Choice(
                "In Noise: the list is in message 0",
                "Message 0 carries nothing, for this reason. The lists are in the payloads, which are encrypted.",
            ),
            Choice(
                "In TLS: the list is in the ClientHello, in the clear",
                "Right. ALPN goes out before there is any key. In Noise the lists travel encrypted.",
                True,
            ),
            Choice(
                "In neither",
                "Look at the TLS handshake in the stepper again, and search its first message for yamux.",
            ),
        ),
        ("1.23", "X.6"),
    ),
    Question(
        "03.q6",
        "A browser would refuse a libp2p certificate: it is self-signed. Why is that no problem here?",
        (
            Choice(
                "Because TLS inside libp2p does not look at certificates",
                "It looks very closely: the throw-away key must have signed it, and the identity key must vouch for "
                "that.",
            ),
            Choice(
                "Because an extension holds the identity key and its signature over the certificate's key",
                "Right. The name is the key, so no authority is needed to say whose key it is.",
                True,
            ),
            Choice(
                "Because all peers trust the same authority",
                "There is none. Who would pay it, and who would keep it honest?",
            ),
        ),
        ("X.5", "1.23"),
    ),
    Question(
        "03.q7",
        "Your connection with bob runs through a relay (chapter 08). What can the relay read?",
        (
            Choice(
                "Everything: it passes every byte on",
                "It passes them on encrypted. The handshake runs between you and bob, over the relay.",
            ),
            Choice(
                "Nothing but who talks to whom, when and how much",
                "Right. The relay is in the middle, and that is all: it can cut the line, but not listen or forge.",
                True,
            ),
            Choice(
                "The first message, because it sets the connection up",
                "It sets up a line. The handshake begins after that, and is between the two ends.",
            ),
        ),
        ("X.6", "1.23"),
    ),
    Question(
        "03.q8",
        "The negotiation before the handshake (multistream-select) is in the clear. What can somebody on the way do?",
        (
            Choice(
                "Strike out both /noise and /tls/1.0.0, so that you talk in the clear",
                "A peer that has no insecure protocol hangs up then. That is why plaintext must be asked for by name.",
            ),
            Choice(
                "Make you use another of the security protocols that you both have",
                "Right: nothing protects that choice. So a peer must offer nothing that it would not want to be given.",
                True,
            ),
            Choice(
                "Nothing: the handshake would notice",
                "The handshake protects what is said in it. What was said before is not in its transcript.",
            ),
        ),
        ("1.23", "X.6"),
    ),
)
