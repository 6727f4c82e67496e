"""The script of a Noise XX handshake: the library's own handshake, watched token by token."""

from __future__ import annotations

import random
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from libp2p_lab.errors import LabError, PeerIdMismatch
from libp2p_lab.identity.keys import KeyPair, PublicKey
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.security.noise import SIGNATURE_PREFIX, HandshakePayload, NoiseMessage
from libp2p_lab.security.noise_xx import (
    XX,
    CipherState,
    HandshakeMessage,
    NoiseHandshake,
    SymmetricState,
)
from libp2p_lab.widgets.fields import Field, Message, opaque
from libp2p_lab.widgets.handshake_script import (
    FACTS,
    LETTER,
    Flight,
    Script,
    Setting,
    people_for,
    seal,
)
from libp2p_lab.widgets.noise_fields import handshake, noise_message

VARIABLES = {
    "e": "my fresh key (public half)",
    "s": "my lasting key (public half)",
    "re": "the other's fresh key",
    "rs": "the other's lasting key",
    "h": "a hash of all that was said",
    "ck": "what keys are made from",
    "k": "the key that encrypts now",
    "n": "how often k was used",
}
_BOB, _ALICE, _KEYS, _LETTER = FACTS


class WatchedState(SymmetricState):
    """A symmetric state that remembers what it was after each operation."""

    __slots__ = ("_is_inside", "seen")

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []
        self._is_inside = True
        super().__init__()
        self._is_inside = False

    def snapshot(self) -> dict[str, str]:
        """The four values, as hex."""
        cipher = self.cipher
        return {
            "h": self.h.hex(),
            "ck": self.ck.hex(),
            "k": cipher.key.hex() if cipher else "",
            "n": str(cipher.nonce) if cipher else "",
        }

    def mix_hash(self, data: bytes) -> None:
        """As `SymmetricState.mix_hash`."""
        super().mix_hash(data)
        if not self._is_inside:
            self.seen.append(self.snapshot())

    def mix_key(self, material: bytes) -> None:
        """As `SymmetricState.mix_key`."""
        super().mix_key(material)
        self.seen.append(self.snapshot())

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        """As `SymmetricState.encrypt_and_hash`."""
        self._is_inside = True
        sent = super().encrypt_and_hash(plaintext)
        self._is_inside = False
        self.seen.append(self.snapshot())
        return sent

    def decrypt_and_hash(self, received: bytes) -> bytes:
        """As `SymmetricState.decrypt_and_hash`."""
        self._is_inside = True
        plaintext = super().decrypt_and_hash(received)
        self._is_inside = False
        self.seen.append(self.snapshot())
        return plaintext


@dataclass(slots=True)
class Side:
    """One end of one line.

    Attributes:
        name: who it is; mallory has two, "mallory as bob" and "mallory as alice".
        claims: the identity key that it shows.
        signer: who signs its static key.
        expected: whom it wants at the other end; None for anybody.
        checks: whether it looks at signatures.
        known_as: the name that the other end should believe.
    """

    name: str
    claims: PublicKey
    signer: KeyPair
    noise: NoiseHandshake
    watched: WatchedState
    ephemeral: bytes
    expected: PeerId | None = None
    checks: bool = True
    has_said_e: bool = False
    remote_e: str = ""
    remote_s: str = ""

    def payload(self) -> bytes:
        """Who it says that it is."""
        signature = self.signer.sign(SIGNATURE_PREFIX + self.noise.static_public_key)
        return HandshakePayload(self.claims.to_protobuf(), signature).encode()

    def state(self, seen: dict[str, str] | None = None) -> dict[str, str]:
        """All eight values: those of the symmetric state now, or as `seen`."""
        return {
            "e": self.ephemeral.hex() if self.has_said_e else "",
            "s": self.noise.static_public_key.hex(),
            "re": self.remote_e,
            "rs": self.remote_s,
            **(seen if seen is not None else self.watched.snapshot()),
        }

    @property
    def person(self) -> str:
        """Whose knowledge it adds to."""
        return self.name.partition(" ")[0]


class Cast:
    """Everybody's keys, drawn from one seed: the same each time a script is written."""

    def __init__(self, alice: KeyPair, bob: KeyPair, seed: int) -> None:
        self.alice, self.bob = alice, bob
        self._rng = random.Random(seed)
        self.mallory = KeyPair.generate(rng=self._rng)

    def side(
        self,
        name: str,
        key: KeyPair,
        *,
        is_initiator: bool,
        claims: PublicKey | None = None,
        expected: PeerId | None = None,
        checks: bool = True,
    ) -> Side:
        """One end, with fresh Noise keys."""
        static, ephemeral = (
            X25519PrivateKey.from_private_bytes(self._rng.randbytes(32)) for _ in range(2)
        )
        noise = NoiseHandshake(is_initiator=is_initiator, static=static, ephemeral=ephemeral)
        watched = WatchedState()
        noise.symmetric = watched
        public = ephemeral.public_key().public_bytes_raw()
        shown = claims if claims is not None else key.public
        return Side(name, shown, key, noise, watched, public, expected, checks)


def noise_script(setting: Setting, alice: KeyPair, bob: KeyPair, seed: int) -> Script:
    """All steps of one handshake."""
    return _Writer(setting, Cast(alice, bob, seed)).write()


class _Writer:
    """Runs the handshake and writes down what happens."""

    def __init__(self, setting: Setting, cast: Cast) -> None:
        self.setting = setting
        self.cast = cast
        self.script = Script(setting, people_for(setting), VARIABLES)
        self._key = ""  # the writer's, after ee
        self.lines = self._lines()
        self.yesterday = self._yesterday()

    def _lines(self) -> list[tuple[Side, Side]]:
        cast, attack = self.cast, self.setting.attack
        bob_id = PeerId.from_public_key(cast.bob.public)
        wanted = PeerId.from_public_key(cast.mallory.public) if attack == "expected" else bob_id
        checks = attack != "careless"
        alice = cast.side("alice", cast.alice, is_initiator=True, expected=wanted, checks=checks)
        if attack in ("middle", "careless"):
            as_bob = cast.side(
                "mallory as bob", cast.mallory, is_initiator=False, claims=cast.bob.public
            )
            as_alice = cast.side(
                "mallory as alice", cast.mallory, is_initiator=True, claims=cast.alice.public
            )
            bob = cast.side("bob", cast.bob, is_initiator=False, checks=checks)
            return [(alice, as_bob), (as_alice, bob)]
        if attack == "signer":
            liar = cast.side(
                "mallory as bob", cast.mallory, is_initiator=False, claims=cast.bob.public
            )
            return [(alice, liar)]
        return [(alice, cast.side("bob", cast.bob, is_initiator=False))]

    def _yesterday(self) -> HandshakeMessage:
        """Message 1 of an earlier handshake of the same two."""
        alice = self.cast.side("alice", self.cast.alice, is_initiator=True)
        bob = self.cast.side("bob", self.cast.bob, is_initiator=False)
        bob.noise.read_message(alice.noise.write_message().encode())
        return bob.noise.write_message(bob.payload())

    def write(self) -> Script:
        """Everything, until somebody refuses or the letter is read."""
        for number in range(len(XX)):
            for left, right in self.lines:
                writer, reader = (left, right) if number % 2 == 0 else (right, left)
                message = self._send(number, writer, reader, (left, right))
                if not self._receive(number, writer, reader, (left, right), message):
                    return self.script
        for left, right in self.lines:
            self._split(left, right)
        self._letter()
        return self.script

    # -- one message ----------------------------------------------------------------------------------------------

    def _send(
        self, number: int, writer: Side, reader: Side, line: tuple[Side, Side]
    ) -> HandshakeMessage:
        start = len(writer.watched.seen)
        keys = [writer.watched.snapshot()["k"]]  # under which each token's part is encrypted
        message = writer.noise.write_message(writer.payload() if number else b"")
        keys += [seen["k"] for seen in writer.watched.seen[start:]]
        parts = dict(zip((*XX[number], "payload"), keys, strict=False))
        seals = tuple((part, seal(parts[part])) for part in ("e", "s", "payload") if part in parts)
        self._fly(number, writer, reader, message, seals)
        for position, token in enumerate((*XX[number], "payload")):
            seen = writer.watched.seen[start + position]
            writer.has_said_e = True
            if token == "ee":
                self._key = seen["k"]
            states = self._states(line, writer, seen)
            text = _written(token, number, writer.name.capitalize())
            self.script.add(writer.name, _names(line), token, text, states)
        return message

    def _share(self, one: Side, other: Side) -> None:
        self.script.learn(_KEYS, one.person, other.person)
        self.script.learn(_KEYS, other.person, one.person)

    def _fly(
        self,
        number: int,
        writer: Side,
        reader: Side,
        message: HandshakeMessage,
        seals: tuple[tuple[str, str], ...],
    ) -> None:
        shown = handshake(message, number)
        note, flipped = "", -1
        is_bobs = writer.name == "bob" and number == 1
        if is_bobs and self.setting.attack in ("replay", "payload"):
            shown, note = self._replaced(message)
        elif self.setting.attack == "relay":
            note = "Mallory passes it on as it is."
        if self.setting.flip and self.setting.flip[0] == len(self.script.flights):
            place = self.setting.flip[1]
            if 2 <= place < len(shown.data):
                flipped = place
        self.script.flights.append(Flight(writer.name, reader.name, shown, flipped, 2, note, seals))

    def _replaced(self, message: HandshakeMessage) -> tuple[Message, str]:
        """What mallory delivers instead of bob's message."""
        old = self.yesterday
        if self.setting.attack == "replay":
            return (
                handshake(old, 1),
                "Mallory keeps bob's message, and delivers his message of yesterday.",
            )
        mixed = HandshakeMessage(
            message.tokens,
            message.ephemeral,
            message.static,
            old.payload,
            message.static_key,
            old.plaintext,
        )
        return handshake(mixed, 1), "Mallory puts the payload of yesterday behind bob's e and s."

    def _receive(
        self,
        number: int,
        writer: Side,
        reader: Side,
        line: tuple[Side, Side],
        message: HandshakeMessage,
    ) -> bool:
        """The reader's tokens; whether it goes on."""
        flight = self.script.flights[-1]
        data = bytearray(flight.message.data[2:])
        if flight.flipped >= 0:
            data[flight.flipped - 2] ^= 1
        start = len(reader.watched.seen)
        problem: LabError | None = None
        told = message
        try:
            told = reader.noise.read_message(bytes(data))
        except LabError as error:
            problem = error
        tokens = (*XX[number], "payload")
        done = reader.watched.seen[start:]
        for token, seen in zip(tokens, done, strict=False):
            if token == "e":
                reader.remote_e = bytes(data[:32]).hex()
            if token == "s":
                public = reader.noise.remote_static
                reader.remote_s = public.public_bytes_raw().hex() if public else ""
            if token == "ee" and seen["k"] == self._key:
                self._share(reader, writer)
            states = self._states(line, reader, seen)
            text = _read(token, number, reader.name.capitalize())
            self.script.add(reader.name, _names(line), token, text, states, is_reading=True)
        if problem is not None:
            self._refuse(reader, line, tokens[len(done)], problem)
            return False
        return number == 0 or self._verify(number, reader, writer, line, told)

    def _verify(
        self,
        number: int,
        reader: Side,
        writer: Side,
        line: tuple[Side, Side],
        told: HandshakeMessage,
    ) -> bool:
        name = reader.name.capitalize()
        fact = _BOB if number == 1 else _ALICE
        try:
            payload = HandshakePayload.decode(told.plaintext)
            if not reader.checks or reader.person == "mallory":
                identity = PublicKey.from_protobuf(payload.identity_key)
            else:
                identity = payload.verify(told.static_key)
            peer = PeerId.from_public_key(identity)
            if reader.expected not in (None, peer):
                raise PeerIdMismatch(str(reader.expected), str(peer))
        except LabError as problem:
            self._refuse(reader, line, "verify", problem)
            return False
        word = "proven" if reader.checks else "believed"
        self.script.learn(fact, reader.person, word)
        if reader.checks:
            text = f"{name} checks the signature over rs. It holds: this is {peer.short()}."
        else:
            text = f"{name} reads the key in the payload and checks nothing: this must be {peer.short()}."
        states = self._states(line, reader, None)
        self.script.add(reader.name, _names(line), "verify", text, states, is_reading=True)
        return True

    def _refuse(self, side: Side, line: tuple[Side, Side], token: str, problem: LabError) -> None:
        said = f"{side.name.capitalize()} refuses, at {token}: {problem}."
        if side.name == "alice":
            said += " She has not said who she is."
        self.script.add(
            side.name,
            _names(line),
            token,
            said,
            self._states(line, side, None),
            is_reading=True,
            outcome="refused",
        )

    # -- afterwards -----------------------------------------------------------------------------------------------

    def _split(self, left: Side, right: Side) -> None:
        line = (left, right)
        text = "Two keys come out of ck, one for each direction; k is the dialer's. Fresh keys and ck are thrown away."
        states = {side.name: self._final(side) for side in line}
        self.script.add(left.name, _names(line), "split", text, states)
        self.script.add(right.name, _names(line), "split", "The same at this end.", states)

    def _final(self, side: Side, used: int = 0) -> dict[str, str]:
        """The state at the end: of the two keys, the one with which the dialer sends."""
        sending, receiving = side.noise.split()
        forth = sending if side.noise.is_initiator else receiving
        return {**side.state(), "ck": "", "k": forth.key.hex(), "n": str(used)}

    def _letter(self) -> None:
        text = LETTER
        last = len(self.lines) - 1
        for number, (left, right) in enumerate(self.lines):
            send, receive = left.noise.split()[0], right.noise.split()[1]
            sealed = send.encrypt(text)
            shown = noise_message(NoiseMessage(sealed, text), len(XX), _as_text)
            note = "Mallory passes it on as it is." if self.setting.attack == "relay" else ""
            place = self.setting.flip
            is_flipped = place is not None and place[0] == len(self.script.flights)
            flipped = place[1] if place and is_flipped and place[1] < len(shown.data) else -1
            self.script.flights.append(
                Flight(
                    left.name,
                    right.name,
                    shown,
                    flipped,
                    2,
                    note,
                    (("letter", seal(send.key.hex())),),
                )
            )
            states = {left.name: self._final(left, 1), right.name: self._final(right)}
            line = (left, right)
            words = f"{left.name.capitalize()} encrypts the letter: {text.decode()!r}."
            self.script.add(left.name, _names(line), "letter", words, states)
            if not self._read_letter(right, line, receive, sealed, flipped, number == last):
                return

    def _read_letter(
        self,
        side: Side,
        line: tuple[Side, Side],
        receive: CipherState,
        sealed: bytes,
        flipped: int,
        is_last: bool,
    ) -> bool:
        data = bytearray(sealed)
        if flipped >= 2:
            data[flipped - 2] ^= 1
        states = {one.name: self._final(one, 1) for one in line}
        try:
            text = receive.decrypt(bytes(data))
        except LabError as problem:
            words = f"{side.name.capitalize()} cannot open it: {problem}."
            outcome = "refused"
        else:
            self.script.learn(_LETTER, side.person, "read")
            words = f"{side.name.capitalize()} opens the letter and reads it: {text.decode()!r}."
            outcome = "done" if is_last else ""
            if is_last:
                words += " " + self._ending()
        self.script.add(
            side.name, _names(line), "letter", words, states, is_reading=True, outcome=outcome
        )
        return outcome != "refused"

    def _ending(self) -> str:
        match self.setting.attack:
            case "careless":
                return "So has mallory. Every byte was encrypted, on both lines."
            case "relay":
                return "Mallory has passed on every byte, and learned how many there were."
            case _:
                return "Nobody else can."

    def _states(
        self, line: tuple[Side, Side], acting: Side, seen: dict[str, str] | None
    ) -> dict[str, dict[str, str]]:
        return {side.name: side.state(seen if side is acting else None) for side in line}


def _names(line: tuple[Side, Side]) -> tuple[str, str]:
    return line[0].name, line[1].name


def _as_text(data: bytes) -> tuple[Field, ...]:
    return (opaque(data, 0, len(data), "letter", "What alice has to say.", layer="stream"),)


def _written(token: str, number: int, name: str) -> str:
    match token:
        case "e":
            return (
                f"{name} makes a fresh key and sends its public half, in the clear. It goes into h."
            )
        case "s":
            return f"{name} sends the lasting key, encrypted under k, with h as associated data."
        case "payload" if number == 0:
            return "Nothing is secret yet, so nothing is said: the payload is empty, and goes into h all the same."
        case "payload":
            return f"{name} sends an identity key and a signature over s, both encrypted."
        case _:
            return _MIXED[token]


def _read(token: str, number: int, name: str) -> str:
    match token:
        case "e":
            return f"{name} takes the fresh key as re. It goes into this h, too."
        case "s":
            return f"{name} opens the other's lasting key, which is now rs. If h differed, it would not open."
        case "payload" if number == 0:
            return f"{name} takes the empty payload into h. Both h are the same now."
        case "payload":
            return f"{name} opens the payload. Who stands in it, and does the signature hold?"
        case _:
            return f"The same at {name}'s end: {_MIXED[token][0].lower()}{_MIXED[token][1:]}"


_MIXED = {
    "ee": "Both fresh keys give one secret, which goes into ck. k is new, n begins at 0. Nothing is sent.",
    "es": "The initiator's fresh key and the responder's lasting one go into ck: only who holds s can go on.",
    "se": "The initiator's lasting key and the responder's fresh one go into ck. Now both are bound.",
}
