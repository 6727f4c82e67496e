"""The quiz of chapter 04: multiplexing."""

from __future__ import annotations

from libp2p_lab.coursework.questions import Choice, Question

QUESTIONS: tuple[Question, ...] = (
    Question(
        "04.q1",
        "A frame opens stream 1 by a window update of 0. Which twelve bytes?",
        (
            Choice(
                "00 01 00 01 00 00 00 01 00 00 00 00",
                "Right. Version 0, type 1, flag SYN, stream 1, length 0.",
                True,
            ),
            Choice(
                "00 00 00 01 00 00 00 01 00 00 00 00",
                "That is type 0: a data frame with no data. It opens the stream as well, but it is no window update.",
            ),
            Choice(
                "01 00 01 00 01 00 00 00 00 00 00 00",
                "All is big-endian, and the version is 0: a reader would hang up at the first byte.",
            ),
            Choice(
                "00 01 00 02 00 00 00 01 00 00 00 00",
                "Flag 2 is ACK: it accepts a stream that the other side has opened.",
            ),
        ),
        ("1.13",),
    ),
    Question(
        "04.q2",
        "Which frames count against a stream's window?",
        (
            Choice(
                "All of them, headers included",
                "Then a full window could not even be opened again: the update would not fit.",
            ),
            Choice(
                "Data frames only, and of those the body",
                "Right. Everything else passes at any time, so a window that is full can always be opened.",
                True,
            ),
            Choice(
                "Data and window updates",
                "A window update has no body: its length field is a number, not a length.",
            ),
        ),
        ("1.13", "X.7"),
    ),
    Question(
        "04.q3",
        "A protocol is missing from a peer's identify list. May you open a stream for it?",
        (
            Choice(
                "No: the list says all that the peer speaks",
                "It says what the peer is willing to serve. What it asks of others does not stand there.",
            ),
            Choice(
                "Yes: expect na, and be ready to be surprised",
                "Right. The list may be old or cut short. Negotiation decides, and costs one round trip.",
                True,
            ),
            Choice(
                "Only after asking identify again",
                "A push would have come if the list had changed. Asking is allowed, and decides nothing.",
            ),
        ),
        ("X.8",),
    ),
    Question(
        "04.q4",
        "Why does identify tell you observedAddr, your own address?",
        (
            Choice(
                "So that you can check whether the other side knows you",
                "It knows you by your key, since the handshake. The address is no proof of anything.",
            ),
            Choice(
                "Because only others see from which address you really come",
                "Right. Behind a NAT a machine does not know its public address. Chapter 08 builds on that.",
                True,
            ),
            Choice(
                "To dial you back there, at once",
                "Often nobody listens there: it is the port of one outgoing connection.",
            ),
        ),
        ("X.8",),
    ),
    Question(
        "04.q5",
        "One reader stops reading its stream. What happens to the other streams, under yamux?",
        (
            Choice(
                "They stop as well, once the socket's buffers are full",
                "That happens without windows. A yamux sender stops before: it may not send what nobody has room for.",
            ),
            Choice(
                "Nothing: each stream has a window of its own",
                "Right. The stalled one stands still with 256 KiB on its way; the connection is free for the others.",
                True,
            ),
            Choice(
                "The stalled one is reset, so that the others can go on",
                "That is what mplex has to do. With a window there is no need: the sender waits.",
            ),
        ),
        ("1.13", "X.7"),
    ),
    Question(
        "04.q6",
        "A TCP packet is lost. Its bytes belong to stream 3. Which streams wait?",
        (
            Choice(
                "Stream 3 only: the streams are independent",
                "To yamux they are. TCP knows of no streams: it hands over no later byte before the lost one is there.",
            ),
            Choice(
                "All on this connection",
                "Right. Muxing does not take TCP's head-of-line blocking away. QUIC does, since there each stream is "
                "put in order by itself.",
                True,
            ),
            Choice(
                "None: yamux sends the frame again",
                "Yamux sends nothing again. Below it TCP does, and until then it hands nothing over.",
            ),
        ),
        ("1.13", "1.24"),
    ),
    Question(
        "04.q7",
        "What does a new stream on an open connection cost before the first data can leave?",
        (
            Choice(
                "A TCP handshake and a security handshake",
                "Those belong to the connection. It has them behind it, and all streams share them.",
            ),
            Choice(
                "One round trip, for the ACK",
                "Nobody waits for the ACK. Data may follow the SYN in the same packet.",
            ),
            Choice(
                "Nothing: SYN, the protocol's name and the data may leave together",
                "Right. Twelve bytes of header. You saw it in the lens: the first frame carries all three.",
                True,
            ),
        ),
        ("1.23", "1.24"),
    ),
    Question(
        "04.q8",
        "You send FIN on a stream. What may still happen on it?",
        (
            Choice(
                "Nothing: it is closed",
                "That would be RST. A FIN closes the direction in which you speak, and no other.",
            ),
            Choice(
                "The other side may go on sending, as long as it likes",
                "Right. A question, FIN, and then a long answer: most protocols work like this.",
                True,
            ),
            Choice(
                "You may send once more, after the other side's FIN",
                "Your FIN is final. The other side may have forgotten you by then.",
            ),
        ),
        ("1.13",),
    ),
    Question(
        "04.q9",
        "A window update says 131072, and another one a moment later says 131072. How large is the window now?",
        (
            Choice(
                "131072 bytes: the second repeats the first",
                "They are differences. Each one adds.",
            ),
            Choice(
                "262144 bytes more than before, less what was sent meanwhile",
                "Right. Updates add up, and so they need no order and no answer.",
                True,
            ),
            Choice(
                "262144 bytes, whatever was sent",
                "What was sent and not yet given back is still missing.",
            ),
        ),
        ("1.13", "X.7"),
    ),
    Question(
        "04.q10",
        "In which order does a TCP connection of libp2p come about?",
        (
            Choice(
                "TCP, multistream, muxer, multistream, security, streams",
                "The muxer comes last: its frames are to be encrypted as well.",
            ),
            Choice(
                "TCP, security, multistream, muxer, streams",
                "Which security? Somebody has to say so first, in clear text.",
            ),
            Choice(
                "TCP, multistream, security, multistream or not, muxer, then multistream on each stream",
                "Right. The second negotiation falls away where the handshake has named the muxer already.",
                True,
            ),
        ),
        ("1.2", "1.23"),
    ),
)
