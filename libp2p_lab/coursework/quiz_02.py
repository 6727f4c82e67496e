"""The quiz of chapter 02: transports."""

from __future__ import annotations

from libp2p_lab.coursework.questions import Choice, Question

QUESTIONS: tuple[Question, ...] = (
    Question(
        "02.q1",
        "What is the first byte of a proposal of /noise?",
        (
            Choice(
                "06: the text has six characters",
                "The length counts the newline behind the text too.",
            ),
            Choice(
                "07",
                "Right: six characters and a newline. The whole is 07 2f 6e 6f 69 73 65 0a.",
                True,
            ),
            Choice("2f: the slash", "Before the text stands its length."),
            Choice(
                "13",
                "That is how the header begins: /multistream/1.0.0 and a newline are 19 bytes, hex 13.",
            ),
        ),
        ("X.3",),
    ),
    Question(
        "02.q2",
        "And of /yamux/1.0.0?",
        (
            Choice("0c", "That is twelve, the characters alone. One more for the newline."),
            Choice("0d", "Right: twelve characters and a newline are thirteen.", True),
            Choice("13", "Thirteen in decimal, but this byte is written in hex: 0d."),
        ),
        ("X.3",),
    ),
    Question(
        "02.q3",
        "Who proposes a protocol?",
        (
            Choice("Whoever listens", "The listener answers: it repeats the proposal, or says na."),
            Choice(
                "The initiator: whoever opened the connection or the stream",
                "Right. On a stream that may be the one who was dialled: the role belongs to the stream.",
                True,
            ),
            Choice(
                "Both send a list, and the best wins",
                "multistream-select knows no lists: one proposal, one answer.",
            ),
        ),
        ("1.23", "X.3"),
    ),
    Question(
        "02.q4",
        "Two peers dial each other over TCP at the same moment, from and to the same two ports, and one connection "
        "comes out. What goes wrong?",
        (
            Choice(
                "Nothing: TCP joins the two dials into one connection",
                "TCP does. But each side believes that it dialled, so each proposes, and nobody answers.",
            ),
            Choice(
                "Both think that they are the initiator: two proposals, no answer",
                "Right. The roles must come from elsewhere: hole punching (DCUtR, chapter 08) says beforehand who is "
                "the server. An extension of multistream-select for it existed and was given up.",
                True,
            ),
            Choice("The connection is encrypted twice", "It never gets as far as encryption."),
        ),
        ("1.2", "1.23", "X.3"),
    ),
    Question(
        "02.q5",
        "QUIC is connected after half the round trips of TCP with Noise and yamux. Why keep TCP?",
        (
            Choice(
                "TCP is encrypted by libp2p, QUIC is not",
                "QUIC has TLS 1.3 built in; it cannot be spoken without.",
            ),
            Choice(
                "Some networks let no UDP through",
                "Right. Offices, hotels, Binder. A peer that listens on both can be reached from both.",
                True,
            ),
            Choice("QUIC loses packets", "UDP may; QUIC sends again what was lost, as TCP does."),
        ),
        ("1.11", "X.4"),
    ),
    Question(
        "02.q6",
        "A peer listens at /ip4/0.0.0.0/tcp/4001. What should it tell others?",
        (
            Choice(
                "/ip4/0.0.0.0/tcp/4001",
                "To everybody else 0.0.0.0 means nothing, or themselves. It says 'at all my addresses', without saying "
                "which.",
            ),
            Choice(
                "Each of its real addresses, with this port",
                "Right. host.addrs lists them: one for each interface.",
                True,
            ),
            Choice("Only its peer id", "That says who. Somebody has to know where."),
        ),
        ("1.14",),
    ),
    Question(
        "02.q7",
        "Alice sees bob call from TCP port 54321. He listens at 4001 only. May she send carol to him at /tcp/54321?",
        (
            Choice(
                "Yes: she is connected to him there",
                "She did not reach him there: he came to her. At 54321 nobody waits for connections.",
            ),
            Choice(
                "No: that port was for this one call; he has to say himself where he listens",
                "Right. Over QUIC it may well be the same port, since one UDP socket does both.",
                True,
            ),
            Choice(
                "Only if she uses WebSocket",
                "WebSocket runs over TCP: nobody waits at that port either.",
            ),
        ),
        ("1.14",),
    ),
    Question(
        "02.q8",
        "What does /ws add to /ip4/203.0.113.7/tcp/80?",
        (
            Choice(
                "Encryption",
                "It does not: the bytes can be read as they are. /tls/ws adds TLS, and Noise comes anyway.",
            ),
            Choice(
                "A beginning that looks like HTTP, and frames: what browsers and proxies understand",
                "Right. For the layers above it is one more stream of bytes.",
                True,
            ),
            Choice(
                "Message boundaries for the layers above",
                "It has frames, but the stream above must not rely on them.",
            ),
        ),
        ("1.11",),
    ),
    Question(
        "02.q9",
        "Somebody watches the cable. What can they read of the first negotiation over TCP?",
        (
            Choice(
                "Nothing: libp2p is encrypted",
                "Encryption must first be agreed on, and that happens in the clear.",
            ),
            Choice(
                "Everything: that it is libp2p, and which security protocol was chosen",
                "Right. What is negotiated later, the muxer and every stream's protocol, lies inside the channel.",
                True,
            ),
            Choice("Both peer ids", "Those are exchanged in the handshake, under encryption."),
        ),
        ("1.2", "1.23"),
    ),
    Question(
        "02.q10",
        "A peer has nine addresses. Why not dial all nine at once?",
        (
            Choice("It would be slower", "It would be the fastest for you. Who pays?"),
            Choice(
                "Eight attempts are thrown away, each at somebody's cost",
                "Right. A head start of a quarter of a second for the likely ones costs hardly any time and saves most "
                "of the attempts.",
                True,
            ),
            Choice("The operating system allows one dial at a time", "It allows thousands."),
        ),
        ("X.4",),
    ),
)
