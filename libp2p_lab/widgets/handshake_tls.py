"""The scripts of a TLS 1.3 handshake and of a plaintext exchange: the library's own sessions, flight by flight."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from libp2p_lab.errors import LabError, PeerIdMismatch
from libp2p_lab.identity.keys import KeyPair, PublicKey
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.security.plaintext import Exchange
from libp2p_lab.security.tls_records import TlsRecord, TlsSecret, record_length
from libp2p_lab.trace import Entry, Probe, Trace
from libp2p_lab.widgets.fields import Field, Message, count_of, opaque
from libp2p_lab.widgets.handshake_script import (
    CLEAR,
    FACTS,
    LETTER,
    Flight,
    Script,
    Setting,
    people_for,
    seal,
)
from libp2p_lab.widgets.tls_fields import exchange, tls_record
from libp2p_lab.wire import varint

if TYPE_CHECKING:
    from libp2p_lab.security.tls_session import TlsSession

_BOB, _ALICE, _KEYS, _LETTER = FACTS
MUXERS = ("/yamux/1.0.0",)

TLS_VARIABLES = {
    "e": "my key share",
    "re": "the other's key share",
    "client": "secret of what the dialer sends",
    "server": "secret of what the listener sends",
    "muxer": "agreed on by ALPN",
    "peer": "who the other proved to be",
}
PLAINTEXT_VARIABLES = {"peer": "who the other says it is"}

_FLIGHTS = (
    "ClientHello: a fresh key share, and the list of muxers (ALPN). All of it in the clear.",
    "ServerHello with a key share, in the clear; then, encrypted: the muxer, a certificate, proof that its key is "
    "held, and a hash of all that was said.",
    "Encrypted: the other certificate, proof that its key is held, and a hash of all that was said.",
)


@dataclass(frozen=True)
class _Liar:
    """Shows one key and signs with another: as far as a certificate is concerned, that is a key pair."""

    public: PublicKey
    signer: KeyPair

    def sign(self, data: bytes) -> bytes:
        """A signature by the other key."""
        return self.signer.sign(data)


class TlsSide:
    """One end of one line.

    Attributes:
        name: as in the script.
        session: the library's.
        values: the state that is shown.
    """

    def __init__(
        self, name: str, key: KeyPair | _Liar, is_dialer: bool, expected: PeerId | None = None
    ) -> None:
        from libp2p_lab.security.tls_certificate import make_certificate
        from libp2p_lab.security.tls_session import TlsSession, make_context

        self.name = name
        self.is_dialer = is_dialer
        self.values = dict.fromkeys(TLS_VARIABLES, "")
        trace = Trace()
        trace.listen(self._hear, secrets=True)
        now = time.time()
        certificate = make_certificate(cast(KeyPair, key), now)  # a liar will do
        self.session: TlsSession = TlsSession(
            make_context(certificate),
            is_dialer=is_dialer,
            expected_peer=expected,
            muxers=MUXERS,
            now=now,
            probe=Probe(trace, layer="security"),
        )

    @property
    def person(self) -> str:
        """Whose knowledge it adds to."""
        return self.name.partition(" ")[0]

    def _hear(self, entry: Entry) -> None:
        if not isinstance(entry.what, TlsSecret):
            return
        label, _, secret = entry.what.line.split(" ")
        if label.startswith(("CLIENT_HANDSHAKE", "CLIENT_TRAFFIC")):
            self.values["client"] = secret
        elif label.startswith(("SERVER_HANDSHAKE", "SERVER_TRAFFIC")):
            self.values["server"] = secret

    def note_hello(self, name: str, flight: bytes) -> None:
        """Remember the key share in a hello, as `e` or `re`."""
        self.values[name] = key_share(flight).hex()

    def state(self) -> dict[str, str]:
        """The values now."""
        peer = self.session.remote_peer
        self.values["peer"] = peer.short() if peer else ""
        if self.session.is_finished:
            self.values["muxer"] = self.session.muxer or ""
        return dict(self.values)


def key_share(flight: bytes) -> bytes:
    """The last key share in a ClientHello or ServerHello, the first 32 bytes of it; b"" if there is none.

    | record 5 | type 1, length 3 | version 2 | random 32 | session id | … | extensions |
    """
    start = 5 + 4 + 2 + 32
    is_client = flight[5:6] == b"\x01"
    try:
        start += 1 + flight[start]
        start += 2 + int.from_bytes(flight[start : start + 2], "big") if is_client else 2
        start += 1 + flight[start] if is_client else 1
        end = start + 2 + int.from_bytes(flight[start : start + 2], "big")
        start += 2
        while start < end:
            kind = int.from_bytes(flight[start : start + 2], "big")
            size = int.from_bytes(flight[start + 2 : start + 4], "big")
            if kind == 51:  # key_share
                return flight[start + 4 : start + 4 + size][-32:]
            start += 4 + size
    except IndexError:
        pass
    return b""


def records_of(data: bytes, plaintext: bytes = b"") -> Message:
    """A flight as fields: its records, one behind the other."""
    fields: list[Field] = []
    number = start = 0
    while start < len(data):
        end = start + record_length(data[start : start + 5])
        record = tls_record(TlsRecord(data[start:end], plaintext), number, _as_text)
        parts = tuple(item.moved(start) for item in record.fields)
        fields.append(Field(record.title, start, end, "", "", layer="security", parts=parts))
        start, number = end, number + 1
    return Message(count_of(number, "TLS record"), "security", data, tuple(fields))


def _as_text(data: bytes) -> tuple[Field, ...]:
    return (opaque(data, 0, len(data), "letter", "What alice has to say.", layer="stream"),)


class _Mitm:
    """Who stands on the line, in words."""

    relays = "Mallory passes it on as it is."
    replays = "Mallory keeps bob's answer, and delivers his answer of yesterday."


class _TlsWriter:
    """Runs the handshake and writes down what happens."""

    def __init__(self, setting: Setting, alice: KeyPair, bob: KeyPair, mallory: KeyPair) -> None:
        self.setting = setting
        self.script = Script(setting, people_for(setting), TLS_VARIABLES)
        self.alice, self.bob, self.mallory = alice, bob, mallory
        self.lines = self._lines()

    def _lines(self) -> list[tuple[TlsSide, TlsSide]]:
        bob_id = PeerId.from_public_key(self.bob.public)
        wanted = PeerId.from_public_key(self.mallory.public)
        wanted = wanted if self.setting.attack == "expected" else bob_id
        alice = TlsSide("alice", self.alice, True, wanted)
        as_bob = _Liar(self.bob.public, self.mallory)
        match self.setting.attack:
            case "middle":
                return [
                    (alice, TlsSide("mallory as bob", as_bob, False)),
                    (
                        TlsSide("mallory as alice", _Liar(self.alice.public, self.mallory), True),
                        TlsSide("bob", self.bob, False),
                    ),
                ]
            case "signer":
                return [(alice, TlsSide("mallory as bob", as_bob, False))]
            case _:
                return [(alice, TlsSide("bob", self.bob, False))]

    def write(self) -> Script:
        """Everything, until somebody refuses or the letter is read."""
        for number, text in enumerate(_FLIGHTS):
            for left, right in self.lines:
                writer, reader = (left, right) if number % 2 == 0 else (right, left)
                data = self._send(number, text, writer, reader, (left, right))
                if not self._receive(number, reader, (left, right), data):
                    return self.script
        for left, right in self.lines:
            if not self._letter(left, right):
                break
        return self.script

    def _send(
        self,
        number: int,
        text: str,
        writer: TlsSide,
        reader: TlsSide,
        line: tuple[TlsSide, TlsSide],
    ) -> bytes:
        data = writer.session.data_to_send()
        note = _Mitm.relays if self.setting.attack == "relay" else ""
        if number < 2:
            writer.note_hello("e", data)
        words = f"{writer.name.capitalize()} sends the {_ORDINALS[number]} flight. {text}"
        if self.setting.attack == "replay" and writer.name == "bob":
            data, note = self._yesterday(), _Mitm.replays
        delivered = self._fly(writer, reader, records_of(data), note)
        self.script.add(writer.name, _ends(line), _TOKENS[number], words, _states(line))
        return delivered

    def _yesterday(self) -> bytes:
        """Bob's answer in an earlier handshake of the same two."""
        alice, bob = TlsSide("alice", self.alice, True), TlsSide("bob", self.bob, False)
        bob.session.receive_data(alice.session.data_to_send())
        return bob.session.data_to_send()

    def _fly(self, writer: TlsSide, reader: TlsSide, message: Message, note: str) -> bytes:
        flip, flipped = self.setting.flip, -1
        if flip and flip[0] == len(self.script.flights):
            flipped = min(flip[1], len(message.data) - 1)  # some signatures are a byte shorter
        clear = [field.name for field in message.fields if message.data[field.start] in (20, 22)]
        secret = writer.state()["client" if writer.is_dialer else "server"]
        seals = [("records in the clear", str(len(clear)))] if clear else []
        if len(clear) < len(message.fields):
            seals.append((f"{len(message.fields) - len(clear)} encrypted", seal(secret)))
        flight = Flight(writer.name, reader.name, message, flipped, note=note, seals=tuple(seals))
        self.script.flights.append(flight)
        data = bytearray(message.data)
        if flipped >= 0:
            data[flipped] ^= 1
        return bytes(data)

    def _receive(
        self, number: int, reader: TlsSide, line: tuple[TlsSide, TlsSide], data: bytes
    ) -> bool:
        name = reader.name.capitalize()
        if number < 2:
            reader.note_hello("re", data)
        try:
            reader.session.receive_data(data)
        except LabError as problem:
            words = f"{name} refuses: {problem}."
            if reader.person == "alice":
                words += " She has not said who she is."
            elif number == 2:
                words += " Alice thought that she was done; bob's alert will tell her."
            self._end(reader, line, words, "refused", _TOKENS[number])
            return False
        if number == 0:
            words = f"{name} takes the key share, and can compute the first secrets."
        else:
            fact = _BOB if number == 1 else _ALICE
            peer = reader.session.remote_peer
            if peer is None or not reader.session.is_finished:
                self._end(
                    reader,
                    line,
                    f"{name} waits for more: a length was changed.",
                    "waits",
                    _TOKENS[number],
                )
                return False
            self.script.learn(fact, reader.person, "proven")
            other = _other(line, reader)
            self.script.learn(_KEYS, reader.person, other.person)
            self.script.learn(_KEYS, other.person, reader.person)
            words = (
                f"{name} opens it. The certificate is signed by its own key, the identity key in it has signed that "
                f"key: this is {peer.short()}. And both have heard the same."
            )
        self.script.add(
            reader.name, _ends(line), _TOKENS[number], words, _states(line), is_reading=True
        )
        return True

    def _end(
        self,
        side: TlsSide,
        line: tuple[TlsSide, TlsSide],
        words: str,
        outcome: str,
        token: str,
    ) -> None:
        self.script.add(
            side.name, _ends(line), token, words, _states(line), is_reading=True, outcome=outcome
        )

    def _letter(self, left: TlsSide, right: TlsSide) -> bool:
        line = (left, right)
        sealed = left.session.seal(LETTER)
        note = _Mitm.relays if self.setting.attack == "relay" else ""
        data = self._fly(left, right, records_of(sealed, LETTER), note)
        words = f"{left.name.capitalize()} encrypts the letter: {LETTER.decode()!r}."
        self.script.add(left.name, _ends(line), "letter", words, _states(line))
        try:
            told = b"".join(right.session.receive_data(data))
        except LabError as problem:
            self._end(right, line, f"Bob cannot open it: {problem}.", "refused", "letter")
            return False
        if not told:
            self._end(right, line, "Bob waits for more: a length was changed.", "waits", "letter")
            return False
        self.script.learn(_LETTER, right.person, "read")
        words = f"Bob opens the letter and reads it: {told.decode()!r}. Nobody else can."
        if self.setting.flip and any(flight.flipped >= 0 for flight in self.script.flights):
            words += " The byte that was changed means nothing in TLS: it is one that nobody may look at."
        self._end(right, line, words, "done", "letter")
        return True


_ORDINALS = ("first", "second", "third")
_TOKENS = ("hello", "answer", "finish")


def tls_script(setting: Setting, alice: KeyPair, bob: KeyPair, mallory: KeyPair) -> Script:
    """All flights of a TLS handshake, and a letter."""
    return _TlsWriter(setting, alice, bob, mallory).write()


def _ends(line: tuple[TlsSide, TlsSide]) -> tuple[str, str]:
    return line[0].name, line[1].name


def _states(line: tuple[TlsSide, TlsSide]) -> dict[str, dict[str, str]]:
    return {side.name: side.state() for side in line}


def _other(line: tuple[TlsSide, TlsSide], side: TlsSide) -> TlsSide:
    return line[1] if side is line[0] else line[0]


# -- plaintext ----------------------------------------------------------------------------------------------------


def plaintext_script(setting: Setting, alice: KeyPair, bob: KeyPair, mallory: KeyPair) -> Script:
    """Two names and a letter, in the clear."""
    script = Script(setting, people_for(setting), PLAINTEXT_VARIABLES)
    third = script.people[2]
    wanted = PeerId.from_public_key(mallory.public if setting.attack == "expected" else bob.public)
    lines = (
        [("alice", "mallory as bob"), ("mallory as alice", "bob")]
        if setting.attack == "middle"
        else [("alice", "bob")]
    )
    states: dict[str, dict[str, str]] = {name: {"peer": ""} for line in lines for name in line}

    def fly(sender: str, receiver: str, message: Message, fixed: int) -> bytes:
        flip, flipped = setting.flip, -1
        if flip and flip[0] == len(script.flights) and fixed <= flip[1] < len(message.data):
            flipped = flip[1]
        note = _Mitm.relays if setting.attack == "relay" else ""
        seals = (("everything", CLEAR),)
        script.flights.append(Flight(sender, receiver, message, flipped, fixed, note, seals))
        data = bytearray(message.data)
        if flipped >= 0:
            data[flipped] ^= 1
        return bytes(data)

    def held(line: tuple[str, str]) -> dict[str, dict[str, str]]:
        return {name: dict(states[name]) for name in line}

    def introduce(line: tuple[str, str], sender: str, key: PublicKey, check: Check) -> bool:
        receiver = line[1] if sender == line[0] else line[0]
        what = Exchange(bytes(PeerId.from_public_key(key)), key.to_protobuf())
        data = fly(sender, receiver, exchange(what), 1)
        script.learn(_BOB if key == bob.public else _ALICE, third, "read")
        words = f"{sender.capitalize()} says who it is: a peer id and a public key. No signature, no secret."
        script.add(sender, line, "exchange", words, held(line))
        try:
            peer = Exchange.decode(data[varint.decode(data)[1] :]).identify()
            check(receiver, peer)
        except LabError as problem:
            words = f"{receiver.capitalize()} refuses: {problem}."
            script.add(
                receiver, line, "exchange", words, held(line), is_reading=True, outcome="refused"
            )
            return False
        states[receiver]["peer"] = peer.short()
        person = receiver.partition(" ")[0]
        script.learn(_BOB if key == bob.public else _ALICE, person, "believed")
        words = (
            f"{receiver.capitalize()} believes it: {peer.short()}. The id fits the key, and that is all that can be "
            "checked."
        )
        script.add(receiver, line, "exchange", words, held(line), is_reading=True)
        return True

    def expect(receiver: str, peer: PeerId) -> None:
        if receiver == "alice" and peer != wanted:
            raise PeerIdMismatch(str(wanted), str(peer))

    for line in lines:
        if not introduce(line, line[0], alice.public, expect):
            return script
        if not introduce(line, line[1], bob.public, expect):
            return script
    letter = LETTER
    for line in lines:
        shown = Message("The letter", "stream", letter, _as_text(letter))
        letter = fly(line[0], line[1], shown, 0)
        script.learn(_LETTER, third, "read")
        words = f"{line[0].capitalize()} sends the letter as it is. Whoever stands on the line reads it."
        script.add(line[0], line, "letter", words, held(line))
        is_last = line is lines[-1]
        script.learn(_LETTER, line[1].partition(" ")[0], "read")
        text = letter.decode(errors="replace")
        words = f"{line[1].capitalize()} reads: {text!r}. Has anybody changed it? There is no way to tell."
        outcome = "done" if is_last else ""
        script.add(line[1], line, "letter", words, held(line), is_reading=True, outcome=outcome)
    return script


Check = Callable[[str, PeerId], None]
