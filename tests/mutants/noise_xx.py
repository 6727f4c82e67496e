"""Answers to E3.4."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

import libp2p_lab as lab
from libp2p_lab.security.noise import HandshakePayload, Noise, NoiseChannel, NoiseStream
from libp2p_lab.security.noise_xx import CipherState, hkdf
from libp2p_lab.wire.byte_stream import read_exactly
from tests.mutants import Mutant

NAME = b"Noise_XX_25519_ChaChaPoly_SHA256"
PREFIX = b"noise-libp2p-static-key:"


class ByTheLibrary(Noise):
    """The library's own class."""


class Small:
    """Right too; its parts are what the mutants replace."""

    protocol = "/noise"
    name = NAME
    prologue = True
    associated = True
    prefix = PREFIX
    is_order_right = True  # of es and se
    first_payload = b""

    def __init__(self, static=None, ephemeral=None):
        self.s = static or X25519PrivateKey.generate()
        self.fresh = ephemeral or X25519PrivateKey.generate

    # -- what both sides compute

    def begin(self, state):
        state.update(ck=self.name, h=self.name, cipher=None)
        if self.prologue:
            self.mix(state, b"")

    def mix(self, state, data):
        state["h"] = hashlib.sha256(state["h"] + data).digest()

    def dh(self, state, private, public):
        secret = private.exchange(X25519PublicKey.from_public_bytes(public))
        state["ck"], key = hkdf(state["ck"], secret)
        state["cipher"] = self.new_cipher(state, key)

    def new_cipher(self, state, key):
        return CipherState(key)

    def seal(self, state, data):
        sent = data
        if state["cipher"]:
            sent = state["cipher"].encrypt(data, state["h"] if self.associated else b"")
        self.mix(state, self.mixed(data, sent))
        return sent

    def mixed(self, data, sent):
        return sent

    def open(self, state, sent):
        data = (
            state["cipher"].decrypt(sent, state["h"] if self.associated else b"")
            if state["cipher"]
            else sent
        )
        self.mix(state, self.mixed(data, sent))
        return data

    # -- what libp2p says

    def payload(self, key, muxers):
        public = self.s.public_key().public_bytes_raw()
        signature = key.sign(self.prefix + public)
        return HandshakePayload(key.public.to_protobuf(), signature, self.listed(muxers)).encode()

    def listed(self, muxers):
        return tuple(muxers)

    def check(self, data, static, expected):
        payload = HandshakePayload.decode(data)
        peer = self.who(payload, static)
        if expected is not None and peer != expected:
            raise lab.PeerIdMismatch(str(expected), str(peer))
        return peer, payload.stream_muxers

    def who(self, payload, static):
        return lab.PeerId.from_public_key(payload.verify(static))

    def choose(self, initiator, responder, is_dialer):
        return next((one for one in initiator if one in responder), None)

    # -- the messages

    async def write(self, raw, data):
        await raw.write(len(data).to_bytes(2, "big") + data)

    async def read(self, raw):
        return await read_exactly(raw, int.from_bytes(await read_exactly(raw, 2), "big"))

    async def secure(self, raw, *, key, is_dialer, expected_peer, muxers, probe):
        state = self.state()
        self.begin(state)
        run = self.dial if is_dialer else self.listen
        peer, muxer = await run(state, raw, key, expected_peer, muxers)
        keys = [CipherState(k) for k in hkdf(state["ck"], b"")]
        return self.stream(raw, keys if is_dialer else keys[::-1], peer, muxer, state["h"])

    def state(self):
        return {}

    def stream(self, raw, keys, peer, muxer, h):
        return NoiseStream(raw, NoiseChannel(*keys), peer, muxer, h)

    async def dial(self, state, raw, key, expected, muxers):
        e = self.fresh()
        own = e.public_key().public_bytes_raw()
        self.mix(state, own)
        await self.write(raw, own + self.seal(state, self.first_payload))
        message = await self.read(raw)
        re = message[:32]
        self.mix(state, re)
        self.dh(state, e, re)
        rs = self.open(state, message[32:80])
        self.dh(state, e, rs)
        data = self.open(state, message[80:])
        peer, theirs = self.check(data, rs, expected)
        sent = self.seal(state, self.s.public_key().public_bytes_raw())
        self.dh(state, self.s, re)
        await self.write(raw, sent + self.seal(state, self.payload(key, muxers)))
        return peer, self.choose(muxers, theirs, True)

    async def listen(self, state, raw, key, expected, muxers):
        message = await self.read(raw)
        re, e = message[:32], self.fresh()
        self.mix(state, re)
        self.open(state, message[32:])
        sent = e.public_key().public_bytes_raw()
        self.mix(state, sent)
        self.dh(state, e, re)
        sent += self.seal(state, self.s.public_key().public_bytes_raw())
        self.dh(state, *((self.s, re) if self.is_order_right else (e, re)))
        await self.write(raw, sent + self.seal(state, self.payload(key, muxers)))
        message = await self.read(raw)
        rs = self.open(state, message[:48])
        self.dh(state, e, rs)
        peer, theirs = self.check(self.open(state, message[48:]), rs, expected)
        return peer, self.choose(theirs, muxers, False)


class NoLength(Small):
    async def write(self, raw, data):
        await raw.write(data)


class TalksInFirst(Small):
    first_payload = b"hello"


class OneForAll(Small):
    """The static key does for the fresh one, too."""

    async def dial(self, state, raw, key, expected, muxers):
        self.fresh = lambda: self.s
        return await super().dial(state, raw, key, expected, muxers)


class HashesName(Small):
    name = hashlib.sha256(NAME).digest()


class NoPrologue(Small):
    prologue = False


class MixesPlaintext(Small):
    def mixed(self, data, sent):
        return data


class NoAssociated(Small):
    associated = False


class NoEs(Small):
    is_order_right = False


class KeepsCounting(Small):
    def new_cipher(self, state, key):
        return CipherState(key, state["cipher"].nonce if state["cipher"] else 0)


class StartsAtZero(Small):
    """As initiator: the count of what is sent, apart from what was received."""

    async def dial(self, state, raw, key, expected, muxers):
        plain = self.check

        def check(data, static, expected):
            state["cipher"].nonce = 0
            return plain(data, static, expected)

        self.check = check
        return await super().dial(state, raw, key, expected, muxers)


class WrongPrefix(Small):
    prefix = b"libp2p-tls-handshake:"


class NoList(Small):
    def listed(self, muxers):
        return ()


class OwnPreference(Small):
    def choose(self, initiator, responder, is_dialer):
        ours, theirs = (initiator, responder) if is_dialer else (responder, initiator)
        return super().choose(ours, theirs, is_dialer)


class AlwaysOurs(Small):
    def choose(self, initiator, responder, is_dialer):
        return initiator[0] if is_dialer else super().choose(initiator, responder, is_dialer)


class ExpectedIsWho(Small):
    def check(self, data, static, expected):
        _, muxers = super().check(data, static, None)
        return expected or lab.PeerId(b"\x00\x24\x08\x01\x12\x20" + static), muxers


class OneKey(Small):
    """The same direction for both."""

    def stream(self, raw, keys, peer, muxer, h):
        return NoiseStream(raw, NoiseChannel(*keys[::-1]), peer, muxer, h)


class BothWait(Small):
    async def dial(self, state, raw, key, expected, muxers):
        await self.read(raw)


class Trusting(Small):
    def check(self, data, static, expected):
        return super().check(data, static, None)


class ChecksLater(Small):
    """Compares after message 2 is out."""

    async def dial(self, state, raw, key, expected, muxers):
        peer, muxer = await super().dial(state, raw, key, None, muxers)
        if expected is not None and peer != expected:
            raise lab.PeerIdMismatch(str(expected), str(peer))
        return peer, muxer


class Gullible(Small):
    def who(self, payload, static):
        return lab.PeerId.from_public_key(lab.PublicKey.from_protobuf(payload.identity_key))


class Remembers(Small):
    """One transcript for all handshakes."""

    def __init__(self, static=None, ephemeral=None):
        super().__init__(static, ephemeral)
        self.transcript = {}

    def state(self):
        return self.transcript

    def begin(self, state):
        if not state:
            super().begin(state)


ANOTHER = Small
MUTANTS = (
    Mutant(NoLength, "framing"),
    Mutant(TalksInFirst, "first", "message 0"),
    Mutant(OneForAll, "first"),
    Mutant(HashesName, "start", "name"),
    Mutant(NoPrologue, "start", "prologue"),
    Mutant(MixesPlaintext, "transcript", "plaintext"),
    Mutant(NoAssociated, "transcript", "associated data"),
    Mutant(NoEs, "tokens", "es mixes"),
    Mutant(KeepsCounting, "counter", "begin at 0"),
    Mutant(StartsAtZero, "counter", "message 2"),
    Mutant(WrongPrefix, "signature"),
    Mutant(NoList, "extension"),
    Mutant(OwnPreference, "muxer"),
    Mutant(AlwaysOurs, "muxer", "None"),
    Mutant(ExpectedIsWho, "who"),
    Mutant(OneKey, "split"),
    Mutant(BothWait, "silent", "message 0"),
    Mutant(Trusting, "expected", "went on"),
    Mutant(ChecksLater, "expected", "went on"),
    Mutant(Gullible, "forged"),
    Mutant(Remembers, "stranger"),
)
