"""E3.3: the channel after the handshake: frames, nonces, and what an attacker on the way may try."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import REFUSALS, Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.errors import LabError, ProtocolViolation
from libp2p_lab.security.noise import MAX_PLAINTEXT, NoiseChannel
from libp2p_lab.security.noise_xx import MAX_MESSAGE, TAG_LENGTH, CipherState

METHODS = ("seal", "open", "end")
FORMAT = "noise/README.md#wire-format"
IO = "noise/README.md#encryption-and-io"
NOISE = "https://noiseprotocol.org/noise.html#the-cipherstate-object"

Make = Callable[[bytes, bytes], Any]


class _Scene:
    """A student's channel, and the library's at the other end."""

    def __init__(self, exam: Exam, make: Make) -> None:
        forth, back = exam.rng.randbytes(32), exam.rng.randbytes(32)
        self.keys = forth, back
        self.exam = exam
        self.mine = exam.methods(make(forth, back), METHODS)
        self.theirs = NoiseChannel(CipherState(back), CipherState(forth))
        self._back = CipherState(back)

    def message(self, plaintext: bytes) -> bytes:
        """The next message for the student's side, with its length before it."""
        sealed = self._back.encrypt(plaintext)
        return len(sealed).to_bytes(2, "big") + sealed


# -- sealing ------------------------------------------------------------------------------------------------------


def _seal(exam: Exam, channel: Any, data: bytes) -> bytes:
    got = exam.call(channel.seal, data)
    if not isinstance(got, bytes | bytearray):
        exam.reject("wrong-type", "what is sent is bytes", got=shown(got))
    return bytes(got)


def _seal_mistake(scene: _Scene, number: int, data: bytes, got: bytes) -> str:
    """Which mistake gives these bytes for a short plaintext."""
    size = len(data) + TAG_LENGTH
    if got[:2] != size.to_bytes(2, "big"):
        if got[:2] == size.to_bytes(2, "little"):
            return "byte-order"
        return "length"
    forth, back = (CipherState(key) for key in scene.keys)
    back.nonce = number
    if got[2:] == back.encrypt(data):
        return "directions"
    for wrong in (0, 1, number + 1, 2 * number):
        forth.nonce = wrong
        if wrong != number and got[2:] == forth.encrypt(data):
            return "count"
    return "nonce"


def _check_seal(exam: Exam, scene: _Scene) -> None:
    for number, size in enumerate((5, 1, 300, 17)):
        data = exam.rng.randbytes(size)
        cipher = CipherState(scene.keys[0], number)
        sealed = cipher.encrypt(data)
        right = len(sealed).to_bytes(2, "big") + sealed
        got = _seal(exam, scene.mine, data)
        rule = _seal_mistake(scene, number, data, got) if got != right else "nonce"
        exam.equal(got, right, rule, f"message {number} is sealed otherwise")
        assert scene.theirs.open(got) == [data]
        exam.count("messages sealed")
        try:  # which must not disturb the count of what is sent
            scene.mine.open(scene.message(b"a reply"))
        except REFUSALS as problem:
            exam.reject("count", f"reply {number} does not open: {problem}")


def _check_long(exam: Exam, scene: _Scene) -> None:
    """What does not fit into one message is sent as several."""
    for size in (MAX_PLAINTEXT, MAX_PLAINTEXT + 1, 200_000):
        data = exam.rng.randbytes(size)
        exam.sent = f"seal({size} bytes)"
        try:
            got = scene.mine.seal(data)
        except (*REFUSALS, OverflowError) as problem:
            exam.reject("too-long", f"{size} bytes were refused: {problem}")
        try:
            opened = b"".join(scene.theirs.open(bytes(got)))
        except LabError as problem:
            exam.reject("too-long", f"{size} bytes cannot be opened again: {problem}")
        exam.equal(opened, data, "too-long", f"of {size} bytes others arrived")
        exam.count("messages sealed")


# -- opening ------------------------------------------------------------------------------------------------------


def _open(exam: Exam, channel: Any, data: bytes) -> list[bytes]:
    got = exam.call(channel.open, data)
    if not isinstance(got, list | tuple) or not all(isinstance(part, bytes) for part in got):
        exam.reject("wrong-type", "open gives a list of plaintexts", got=shown(got))
    return list(got)


def _check_open(exam: Exam, make: Make) -> None:
    """Messages cut anywhere, and several at once."""
    for cut in (1, 2, 3, 7, 50, 10_000):
        scene = _Scene(exam, make)
        told = [exam.rng.randbytes(size) for size in (3, 1, 40, 0, 200)]
        wire = b"".join(scene.message(part) for part in told)
        got: list[bytes] = []
        for start in range(0, len(wire), cut):
            piece = wire[start : start + cut]
            try:
                got += _open(exam, scene.mine, piece)
            except REFUSALS as problem:
                exam.reject("pieces", f"a right message, {cut} bytes at a time: {problem}")
        exam.equal(
            b"|".join(part for part in got if part),
            b"|".join(part for part in told if part),
            "pieces",
            f"five messages, {cut} bytes at a time, were opened otherwise",
        )
        try:
            scene.mine.end()
        except REFUSALS as problem:
            exam.reject("end", f"the stream ended between two messages, and still: {problem}")
        exam.count("streams opened")


def _attacks(scene: _Scene, exam: Exam) -> dict[str, tuple[str, bytes]]:
    """What somebody on the way may deliver in place of four messages: rule, in words, the bytes."""
    one, two, three, four = (scene.message(exam.rng.randbytes(30)) for _ in range(4))
    bit = exam.rng.randrange(16, 8 * len(two))
    flipped = bytearray(two)
    flipped[bit // 8] ^= 1 << bit % 8
    short = (TAG_LENGTH - 1).to_bytes(2, "big") + bytes(TAG_LENGTH - 1)
    return {
        "replay": ("the second message comes twice", one + two + two + three),
        "reorder": ("the third message comes before the second", one + three + two + four),
        "lost": ("the second message is missing", one + three + four),
        "flip": ("a bit of the second message is turned over", one + bytes(flipped)),
        "short": ("a message is shorter than its tag", one + short),
    }


def _check_attacks(exam: Exam, make: Make) -> None:
    for rule in ("flip", "replay", "reorder", "lost", "short"):
        scene = _Scene(exam, make)
        words, wire = _attacks(scene, exam)[rule]
        exam.refuses(scene.mine.open, wire, rule=rule, problem=f"{words}, and nobody minded")
        exam.count("attacks noticed")
    for missing in (1, 20):
        scene = _Scene(exam, make)
        wire = scene.message(b"the first") + scene.message(b"transfer 100 apples to bob")
        try:
            scene.mine.open(wire[:-missing])
        except (*REFUSALS, ProtocolViolation) as problem:
            exam.reject("pieces", f"the rest of a message has not come yet, and: {problem}")
        exam.refuses(
            scene.mine.end,
            rule="truncated",
            problem=f"the stream ended {missing} byte(s) before the message did, and nobody minded",
        )
        exam.count("attacks noticed")


async def examine_channel(exam: Exam, answer: Any) -> None:
    """E3.3: sealed messages byte by byte, long ones, messages in pieces, and five attacks."""
    make = exam.callable_answer(answer, "a class Channel(send_key, receive_key)")
    _check_seal(exam, _Scene(exam, make))
    _check_open(exam, make)
    _check_long(exam, _Scene(exam, make))
    _check_attacks(exam, make)


assert MAX_PLAINTEXT + TAG_LENGTH == MAX_MESSAGE

CHANNEL = Check(
    id="03.channel",
    exercise="E3.3",
    title="A channel that counts",
    level="L3",
    points=3,
    objectives=("1.23", "X.6"),
    starter='''\
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
# ChaCha20Poly1305(key).encrypt(nonce, data, b"") gives the ciphertext and its tag of 16 bytes;
# .decrypt(nonce, data, b"") raises InvalidTag if anything was changed. A nonce is 12 bytes.


class Channel:
    """What follows the handshake: plaintexts in, bytes for the wire out, and the reverse."""

    def __init__(self, send_key, receive_key):
        """Two keys of 32 bytes."""

    def seal(self, data):
        """The bytes to send for `data`: one message, or several if it is long."""
        raise NotImplementedError

    def open(self, data):
        """The plaintexts that are complete, a list. `data` may be any piece of the stream. ValueError for a bad one."""
        raise NotImplementedError

    def end(self):
        """The stream has ended: ValueError if that was in the middle of a message."""
        raise NotImplementedError


await lab.check("03.channel", Channel)
''',
    hints=(
        "Each message is two bytes of length and a ciphertext. Keep what is not whole yet, and count in each "
        "direction.",
        "The length is big-endian and counts the tag; 65535 is the most, so 65519 bytes of plaintext. The nonce is "
        "four zero bytes and the number of the message, 8 bytes little-endian (noise/README.md, wire format; Noise, "
        "section 5.1 and 12.3).",
        "seal: for each 65519 bytes: sealed = aead.encrypt(bytes(4) + number.to_bytes(8, 'little'), part, b''); number "
        "+= 1; out += len(sealed).to_bytes(2, 'big') + sealed. open: buffer += data; while there are two bytes and as "
        "many as they say: decrypt with the other key and the other count. InvalidTag becomes ValueError.",
    ),
    rules=(
        Rule("byte-order", "The length is written with its greater byte first.", FORMAT),
        Rule(
            "length",
            "Two bytes of length come first; they count the ciphertext with its tag.",
            FORMAT,
        ),
        Rule(
            "directions",
            "What you send is encrypted with send_key; receive_key is for what comes.",
            IO,
        ),
        Rule(
            "count",
            "The first message of each direction has the number 0, and each further one the next. Sending and "
            "receiving count by themselves.",
            NOISE,
        ),
        Rule(
            "nonce",
            "The nonce is four zero bytes and then the number, eight bytes with the lowest first. The associated data "
            "is empty.",
            "https://noiseprotocol.org/noise.html#the-chachapoly-cipher-functions",
        ),
        Rule(
            "too-long",
            "A message holds 65535 bytes with its tag: 65519 of plaintext. What is longer is cut into several.",
            FORMAT,
        ),
        Rule(
            "pieces",
            "A stream has no borders: half a length may come, or three messages at once. Keep what is not whole.",
            FORMAT,
        ),
        Rule("flip", "If the tag does not fit, say so: ValueError.", IO),
        Rule(
            "replay",
            "A message that comes twice must fail the second time: each is decrypted with the next number.",
            NOISE,
        ),
        Rule(
            "reorder", "Messages out of order must fail: the number is counted, not guessed.", NOISE
        ),
        Rule(
            "lost",
            "A message that was taken out must be noticed at the next: do not try other numbers.",
            NOISE,
        ),
        Rule(
            "short", "A message shorter than its tag of 16 bytes cannot be one: ValueError.", FORMAT
        ),
        Rule(
            "end",
            "When everything was whole, the end is a clean one.",
        ),
        Rule(
            "truncated",
            "Whoever cuts the line in the middle of a message must not go unnoticed: remember what was not whole.",
            IO,
        ),
    ),
    examine=examine_channel,
)
