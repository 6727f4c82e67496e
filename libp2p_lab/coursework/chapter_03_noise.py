"""E3.4: the whole handshake: against a transcript with fixed keys, against liars, and in live peers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cryptography.exceptions import InvalidTag

from libp2p_lab import foreign
from libp2p_lab.coursework.chapter_03_meeting import MUXERS, PATIENCE, Make, Meeting
from libp2p_lab.coursework.chapter_03_suspects import Keys, initiator_mistake, responder_mistake
from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import REFUSALS, Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.coursework.slots import swap
from libp2p_lab.errors import HandshakeFailed, LabError, MalformedMessage
from libp2p_lab.host.echo import PROTOCOL_ID as ECHO
from libp2p_lab.host.echo import Echo
from libp2p_lab.host.host import Host
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.security.noise import (
    HandshakePayload,
    NoiseChannel,
    choose_muxer,
)
from libp2p_lab.wire.byte_stream import read_exactly

BINDING = "noise/README.md#static-key-authentication"
XX_PAGE = "noise/README.md#xx"
FORMAT = "noise/README.md#wire-format"
INLINED = "connections/inlined-muxer-negotiation.md#multiplexer-negotiation-over-noise"
NOISE = "https://noiseprotocol.org/noise.html#the-symmetricstate-object"


# -- the transcript -----------------------------------------------------------------------------------------------


def _check_first(meeting: Meeting, got: bytes) -> None:
    """Message 0: e, and nothing else."""
    exam, right = meeting.exam, meeting.ephemeral.public_key().public_bytes_raw()
    if got != right:
        exam.equal(got, right, "first", "message 0 is the ephemeral key that was given, 32 bytes")


def _check_body(meeting: Meeting, got: bytes, ephemeral: bytes) -> HandshakePayload:
    """Message 1 or 2: e where it belongs, s encrypted, a payload that proves who speaks."""
    exam, ours, number = meeting.exam, meeting.ours, meeting.ours.index
    exam.equal(got[: len(ephemeral)], ephemeral, "first", f"message {number} begins with e")
    symmetric = ours.symmetric
    before = symmetric.ck, symmetric.h, symmetric.cipher.key if symmetric.cipher else b""
    try:
        message = ours.read_message(got)
    except HandshakeFailed as problem:
        keys = Keys(meeting.static, meeting.ephemeral, meeting.remote_ephemeral)
        rule, words = (
            responder_mistake(keys, got) if number == 1 else initiator_mistake(keys, before, got)
        )
        exam.reject(rule, f"message {number}: {words}", got=shown(got), expected=str(problem))
    try:
        payload = HandshakePayload.decode(message.plaintext)
        identity = payload.verify(message.static_key)
    except LabError as problem:
        exam.reject("signature", f"message {number}: {problem}", got=shown(message.plaintext))
    exam.equal(
        identity, meeting.key.public, "signature", "the payload names another key than yours"
    )
    exam.equal(
        payload.stream_muxers,
        meeting.muxers,
        "extension",
        f"the payload of message {number} lists other muxers",
    )
    return payload


async def _check_stream(meeting: Meeting, muxer: str | None) -> None:
    """The channel that `secure` gives: who, which muxer, and bytes in both directions."""
    exam = meeting.exam
    stream = await meeting.stream()
    for name in ("read", "write", "remote_peer", "muxer"):
        if not hasattr(stream, name):
            exam.reject("wrong-type", f"what `secure` gives has no {name}", got=shown(stream))
    exam.equal(
        str(stream.remote_peer), str(meeting.their_peer), "who", "somebody else is at the other end"
    )
    if stream.muxer != muxer:
        exam.reject(
            "muxer",
            f"your muxers: {', '.join(meeting.muxers)}; yours is the "
            f"{'initiator' if meeting.is_dialer else 'responder'}'s side",
            got=shown(stream.muxer),
            expected=shown(muxer),
        )
    encrypt, decrypt = meeting.ours.split()
    channel = NoiseChannel(encrypt, decrypt)
    async with exam.step(PATIENCE, "split", "what is written does not arrive"):
        await stream.write(b"hello")
        try:
            head = await read_exactly(meeting.wire, 2)
            body = await read_exactly(meeting.wire, int.from_bytes(head, "big"))
            heard = channel.open(head + body)
        except LabError as problem:
            exam.reject("split", f"what your side writes does not open: {problem}")
        exam.equal(heard, [b"hello"], "split", "other bytes arrived")
        await meeting.wire.write(channel.seal(b"and back"))
        try:
            heard_back = await stream.read(100)
        except LabError as problem:
            exam.reject("split", f"your side cannot open what it is sent: {problem}")
        exam.equal(heard_back, b"and back", "split", "your side reads other bytes")


async def _respond(exam: Exam, make: Make) -> None:
    """The student listens."""
    exam.sent = "your side listens; the keys of both sides are fixed"
    async with Meeting(exam, make, is_dialer=False) as meeting:
        await meeting.say(b"")
        got = await meeting.hear()
        _check_body(meeting, got, meeting.ephemeral.public_key().public_bytes_raw())
        exam.explain = {InvalidTag: "tokens", HandshakeFailed: "tokens"}
        theirs = ("/mplex/6.7.0", "/yamux/1.0.0")
        await meeting.say(meeting.payload(muxers=theirs))
        await _check_stream(meeting, choose_muxer(theirs, meeting.muxers))
    exam.explain = {}
    exam.count("transcripts compared")


async def _initiate(exam: Exam, make: Make) -> None:
    """The student dials."""
    exam.sent = "your side dials; the keys of both sides are fixed"
    for theirs in (tuple(reversed(MUXERS)), ()):
        async with Meeting(exam, make, is_dialer=True) as meeting:
            first = await meeting.hear()
            _check_first(meeting, first)
            meeting.ours.read_message(first)
            exam.explain = {InvalidTag: "tokens", HandshakeFailed: "tokens"}
            await meeting.say(meeting.payload(muxers=theirs))
            _check_body(meeting, await meeting.hear(), b"")
            exam.explain = {}
            await _check_stream(meeting, choose_muxer(meeting.muxers, theirs))
        exam.count("transcripts compared")


# -- liars --------------------------------------------------------------------------------------------------------


async def _refuses(meeting: Meeting, rule: str, problem: str) -> None:
    """`secure` must raise, and a dialer must do so before it shows who it is."""
    exam = meeting.exam
    reading = asyncio.ensure_future(meeting.frame())
    await asyncio.wait(
        (reading, meeting.task), timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED
    )
    said = reading.done()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    exam.raised.clear()  # it was asked to raise
    if said and meeting.is_dialer:
        exam.reject(rule, f"{problem}, and your side went on and sent message 2")
    if not meeting.task.done():
        exam.reject(rule, f"{problem}, and your side waits for more")
    error = meeting.task.exception()
    if error is None:
        exam.reject(rule, f"{problem}, and `secure` gave a stream all the same")
    if not isinstance(error, REFUSALS):
        exam.must_refuse = next(r for r in exam.check.rules if r.name == rule)
        raise error
    exam.count("lies noticed")


async def _meet_liars(exam: Exam, make: Make) -> None:
    mallory = KeyPair.generate(rng=exam.rng)
    exam.sent = "your side dials alice, and somebody else answers"
    alice = PeerId.from_public_key(KeyPair.generate(rng=exam.rng).public)
    async with Meeting(exam, make, is_dialer=True, expected=alice) as meeting:
        meeting.ours.read_message(await meeting.hear())
        await meeting.say(meeting.payload())
        await _refuses(meeting, "expected", "the peer that answered proved another name")
    exam.sent = "your side dials; who answers names a key that is not theirs"
    async with Meeting(exam, make, is_dialer=True) as meeting:
        meeting.ours.read_message(await meeting.hear())
        await meeting.say(meeting.payload(mallory))
        await _refuses(meeting, "forged", "the signature is not by the key that is named")
    exam.sent = "your side listens; who dials names a key that is not theirs"
    async with Meeting(exam, make, is_dialer=False) as meeting:
        await meeting.say(b"")
        meeting.ours.read_message(await meeting.hear())
        await meeting.say(meeting.payload(mallory))
        await _refuses(meeting, "forged", "the signature is not by the key that is named")


# -- live ---------------------------------------------------------------------------------------------------------

_LONG = 150_000  # bytes: more than two messages


async def _talk(dialer: Host, listener: Host) -> None:
    await dialer.connect(listener.addrs[0])
    stream = await dialer.open_stream(listener.peer_id, ECHO)
    sent = bytes(_LONG)
    await stream.write(sent)
    await stream.close_write()
    if await stream.read() != sent:
        raise MalformedMessage("other bytes came back")
    await dialer.disconnect(listener.peer_id)


async def _meet_hosts(exam: Exam, make: Make) -> None:
    exam.sent = "two live peers; one of them shakes hands by your code"
    try:
        with swap("secure_channel", make()) as stack:
            async with (
                stack.host(listen=["/memory/0"], services=[Echo()]) as mine,
                Host(listen=["/memory/0"], services=[Echo()]) as theirs,
                exam.step(2 * PATIENCE, "stranger", "the two never met"),
            ):
                await _talk(theirs, mine)
                await _talk(mine, theirs)
                await _talk(mine, theirs)
    except LabError as problem:
        exam.reject("stranger", "a live peer of another make was met", got=str(problem))
    exam.count("connections with an untouched peer", 3)


@contextmanager
def _whole_address_space() -> Iterator[None]:
    """Node reserves far more addresses than it uses: what limits the answer's must not limit Node's."""
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


async def _meet_js(exam: Exam, make: Make) -> None:
    """The student's side dials js-libp2p, and is dialled by it, where that is installed."""
    if foreign.js_folder() is None:
        exam.note("js-libp2p is not installed here, so it was not asked.")
        return
    exam.sent = "your side and js-libp2p, over TCP"
    with _whole_address_space():
        peer = await foreign.js_peer(
            listen=["/ip4/127.0.0.1/tcp/0"], security=["noise"], muxers=["yamux"]
        )
    async with peer:
        try:
            with swap("secure_channel", make()) as stack:
                async with stack.host(listen=["/ip4/127.0.0.1/tcp/0"]) as mine:
                    await mine.connect(peer.addrs[0])
                    await mine.ping(peer.peer_id)
                    await mine.disconnect(peer.peer_id)
                    await peer.dial(mine.addrs[0])
                    await peer.ping(mine.peer_id)
        except LabError as problem:
            exam.reject("stranger", "js-libp2p was met", got=str(problem))
    exam.count("connections with js-libp2p", 2)


async def examine_noise_xx(exam: Exam, answer: Any) -> None:
    """E3.4: both roles against fixed keys, three liars, a host of the library, and js-libp2p where it is installed."""
    make = exam.callable_answer(answer, "a class with the method `secure`")
    await _respond(exam, make)
    await _initiate(exam, make)
    await _meet_liars(exam, make)
    await _meet_hosts(exam, make)
    if exam.seed == exam.check.seeds[0]:
        await _meet_js(exam, make)


NOISE_XX = Check(
    id="03.noise_xx",
    exercise="E3.4",
    title="The handshake, whole",
    level="L4",
    points=5,
    objectives=("1.23", "X.5"),
    starter='''\
import hashlib

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
# X25519PrivateKey.generate(); .public_key().public_bytes_raw(); .exchange(X25519PublicKey.from_public_bytes(data))

from libp2p_lab.security.noise import NoiseChannel, NoiseStream
from libp2p_lab.security.noise_xx import CipherState, hkdf
# hkdf(ck, material): the new ck and a new key
# CipherState(key): .encrypt(data, associated), .decrypt(data, associated); it counts its nonce from 0
# NoiseStream(raw, NoiseChannel(sending, receiving), peer, muxer, h): the stream that `secure` gives
from libp2p_lab.wire.byte_stream import read_exactly  # await read_exactly(raw, n); await raw.write(data)


class MyNoise:
    protocol = "/noise"

    def __init__(self, static=None, ephemeral=None):
        """static: our X25519PrivateKey. ephemeral: a function that gives a fresh one. None: make your own."""
        self.static = static or X25519PrivateKey.generate()
        self.ephemeral = ephemeral or X25519PrivateKey.generate

    async def secure(self, raw, *, key, is_dialer, expected_peer, muxers, probe):
        """Shake hands on `raw`; return a NoiseStream.

        key: our lab.KeyPair. is_dialer: whether we are the initiator. expected_peer: the lab.PeerId that must answer,
        or None. muxers: protocol ids of ours, the preferred first; they go into field 4.2 of our payload.
        """
        raise NotImplementedError


await lab.check("03.noise_xx", MyNoise)
''',
    hints=(
        "Keep ck, h and a cipher. Begin with message 0: it is e and an empty payload, and both are mixed into h. Then "
        "let the check say where you depart.",
        "h = ck = the name (32 bytes as it stands); then the empty prologue is mixed in. e: send, mix into h. ee, es, "
        "se: ck, k = hkdf(ck, DH), a new CipherState. s and the payload: encrypt with h as associated data once there "
        "is a key, then mix what was sent into h (Noise, section 5; noise/README.md, XX).",
        "encrypt_and_hash(data): sent = cipher.encrypt(data, h) if cipher else data; h = sha256(h + sent). Message 1 "
        "as responder: e, mix_key(e·re), s, mix_key(s·re), payload. As initiator the same keys from the other side: "
        "e·re, e·rs. Message 2: s, mix_key(s·re), payload. At the end forth, back = hkdf(ck, b''); the initiator sends "
        "with forth. The muxer: the first of the initiator's that the responder has too.",
    ),
    rules=(
        Rule("framing", "Before each message stand two bytes with its length, big-endian.", FORMAT),
        Rule(
            "first",
            "Message 0 is the fresh e, 32 bytes, and nothing behind it: no payload and no muxers, for nothing is "
            "secret yet. Take e from self.ephemeral().",
            XX_PAGE,
        ),
        Rule(
            "start",
            "Both sides begin with the same h: the protocol's name as it stands, then the prologue, which is empty, "
            "mixed in; then e, and the empty payload of message 0.",
            NOISE,
        ),
        Rule(
            "transcript",
            "Everything that is sent or received goes into h, as it was on the wire: e in the clear, s and payloads "
            "encrypted. And h is the associated data of every encryption.",
            NOISE,
        ),
        Rule(
            "tokens",
            "ee, es, se: the first letter is the initiator's key, the second the responder's, whichever you are. Each "
            "makes a new key, where it stands.",
            XX_PAGE,
        ),
        Rule(
            "counter",
            "A new key counts from 0. As long as the key is the same, the count goes on.",
            NOISE,
        ),
        Rule(
            "signature",
            "The payload holds your identity key, and its signature over noise-libp2p-static-key: and your static key: "
            "E3.2.",
            BINDING,
        ),
        Rule(
            "extension",
            "The muxers go into your payload: field 4, and in it each as field 2. Both sides send them.",
            "noise/README.md#noise-extensions",
        ),
        Rule(
            "muxer",
            "The first of the initiator's muxers that the responder has too, whichever side you are. None where one "
            "side sent no list.",
            INLINED,
        ),
        Rule("who", "remote_peer is made from the identity key in their payload.", BINDING),
        Rule(
            "split",
            "After message 2: forth, back = hkdf(ck, b''). The initiator sends with the first and receives with the "
            "second; the responder the other way.",
            NOISE,
        ),
        Rule(
            "silent",
            "Whose turn is it? The initiator writes 0 and 2, the responder 1; each waits for the other's in between.",
            XX_PAGE,
        ),
        Rule(
            "expected",
            "Compare before you write message 2: with it you would show a stranger who you are.",
            BINDING,
        ),
        Rule(
            "forged",
            "Check the signature over the static key that came encrypted in this message. If it does not hold, nobody "
            "has proven anything: raise.",
            BINDING,
        ),
        Rule(
            "stranger",
            "Single handshakes were right. Here one object of your class makes several: keep nothing of a handshake in "
            "`self`.",
            XX_PAGE,
        ),
    ),
    examine=examine_noise_xx,
    time_limit=90.0,
)
