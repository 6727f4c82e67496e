"""Entries as the stack traces them, made by the protocols' own cores."""

from __future__ import annotations

import random
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from libp2p_lab.host.events import ConnectionClosed, ConnectionOpened, StreamEnded, StreamStarted
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.multiplexing.yamux_frames import DataFrame, Ping, WindowUpdate
from libp2p_lab.negotiation.multistream import Line
from libp2p_lab.security.noise import SIGNATURE_PREFIX, HandshakePayload, NoiseMessage
from libp2p_lab.security.noise_xx import HandshakeMessage, NoiseHandshake
from libp2p_lab.trace import Direction, Entry
from libp2p_lab.wire import varint

HEADER, NOISE = Line("/multistream/1.0.0"), Line("/noise")
PING_ID = "/ipfs/ping/1.0.0"


class Clock:
    """A millisecond passes with each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


class Conversation:
    """What two nodes trace while they connect and ping: the dialer's and the listener's entries."""

    def __init__(self, seed: int = 1) -> None:
        rng = random.Random(seed)
        self.rng = rng
        self.clock = Clock()
        self.keys = [KeyPair.generate("ed25519", rng) for _ in range(2)]
        self.names = [str(PeerId.from_public_key(key.public)) for key in self.keys]
        self.addrs = [f"/ip4/127.0.0.1/tcp/{port}" for port in (50001, 4001)]
        self.entries: list[Entry] = []
        self.counts: dict[tuple[int, str, str, str], int] = {}
        self.wire = [0, 0]

    def tell(
        self, node: int, layer: str, link: str, direction: Direction, what: object, number: int = -1
    ) -> None:
        key = (node, layer, link, direction)
        if number < 0:
            number = self.counts.get(key, 0)
            self.counts[key] = number + 1
        name = self.names[node]
        self.entries.append(Entry(self.clock(), name, layer, link, direction, number, what))

    def pass_on(self, sender: int, layer: str, link: str, what: object, number: int = -1) -> None:
        self.tell(sender, layer, link, "sent", what, number)
        self.tell(1 - sender, layer, link, "received", what, number)

    def on_the_wire(self, sender: int, data: bytes) -> None:
        self.pass_on(sender, "transport", "1", data, self.wire[sender])
        self.wire[sender] += len(data)

    def line(self, sender: int, text: str) -> None:
        what = Line(text)
        self.pass_on(sender, "negotiation", "1", what)
        self.on_the_wire(sender, what.encode())

    def handshake(self) -> None:
        statics = [X25519PrivateKey.from_private_bytes(self.rng.randbytes(32)) for _ in range(2)]
        sides = [
            NoiseHandshake(
                is_initiator=index == 0,
                static=statics[index],
                ephemeral=X25519PrivateKey.from_private_bytes(self.rng.randbytes(32)),
            )
            for index in range(2)
        ]
        for number, sender in enumerate((0, 1, 0)):
            key = self.keys[sender]
            signed = key.sign(SIGNATURE_PREFIX + statics[sender].public_key().public_bytes_raw())
            payload = HandshakePayload(key.public.to_protobuf(), signed, ("/yamux/1.0.0",)).encode()
            message = sides[sender].write_message(payload if number else b"")
            sides[1 - sender].read_message(message.encode())
            self.pass_on(sender, "security", "1", message, number)
            body = message.encode()
            self.on_the_wire(sender, len(body).to_bytes(2, "big") + body)
        self.ciphers = [side.split()[0] for side in sides]

    def seal(self, sender: int, plaintext: bytes) -> None:
        number = self.ciphers[sender].nonce + 3
        message = NoiseMessage(
            ciphertext=self.ciphers[sender].encrypt(plaintext), plaintext=plaintext
        )
        self.pass_on(sender, "security", "1", message, number)
        self.on_the_wire(sender, message.encode())

    def frame(self, sender: int, what: DataFrame | WindowUpdate | Ping) -> None:
        self.pass_on(sender, "muxer", "1", what)
        self.seal(sender, what.encode())

    def opened(self) -> None:
        for node in (0, 1):
            self.tell(
                node,
                "host",
                "1",
                "event",
                ConnectionOpened(
                    self.names[1 - node],
                    "outbound" if node == 0 else "inbound",
                    self.addrs[node],
                    self.addrs[1 - node],
                    "tcp",
                    "/noise",
                    "/yamux/1.0.0",
                ),
            )

    def connect(self) -> None:
        for sender in (0, 1):
            self.line(sender, HEADER.text)
            self.line(sender, NOISE.text)
        self.handshake()
        self.opened()

    def stream(self, stream_id: int, protocol: str, flags: tuple[int, int] = (1, 2)) -> None:
        link = f"1/{stream_id}"
        for sender in (0, 1):
            lines = (HEADER, Line(protocol))
            for what in lines:
                self.pass_on(sender, "negotiation", link, what)
            data = b"".join(what.encode() for what in lines)
            self.frame(sender, DataFrame(stream_id, flags[sender], data))
        for node in (0, 1):
            direction = "outbound" if node == 0 else "inbound"
            started = StreamStarted(self.names[1 - node], protocol, direction)
            self.tell(node, "host", link, "event", started)

    def say(self, sender: int, stream_id: int, data: bytes) -> None:
        self.pass_on(sender, "stream", f"1/{stream_id}", data)
        self.frame(sender, DataFrame(stream_id, 0, data))

    def ping(self, stream_id: int = 1) -> None:
        self.stream(stream_id, PING_ID)
        data = self.rng.randbytes(32)
        self.say(0, stream_id, data)
        self.say(1, stream_id, data)
        for node in (0, 1):
            ended = StreamEnded(self.names[1 - node], PING_ID, "closed", 32, 32)
            self.tell(node, "host", f"1/{stream_id}", "event", ended)

    def close(self) -> None:
        for node in (0, 1):
            closed = ConnectionClosed(self.names[1 - node], "closed by us")
            self.tell(node, "host", "1", "event", closed)

    def of(self, node: int) -> Iterator[Entry]:
        """The entries of one side."""
        return (entry for entry in self.entries if entry.node == self.names[node])


def ping_conversation(seed: int = 1) -> Conversation:
    """A connection with one ping on it."""
    conversation = Conversation(seed)
    conversation.connect()
    conversation.ping()
    return conversation


def handshake_messages(seed: int = 1) -> list[HandshakeMessage]:
    """The three messages of a handshake, as the sender traces them."""
    conversation = Conversation(seed)
    conversation.handshake()
    return [
        entry.what
        for entry in conversation.entries
        if isinstance(entry.what, HandshakeMessage) and entry.direction == "sent"
    ]


def prefixed(data: bytes) -> bytes:
    """`data` with its length as a varint before it."""
    return varint.encode(len(data)) + data
