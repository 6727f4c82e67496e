"""E3.4, the reference answer."""

import hashlib

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

import libp2p_lab as lab
from libp2p_lab.security.noise import NoiseChannel, NoiseStream
from libp2p_lab.security.noise_xx import CipherState, hkdf
from libp2p_lab.wire.byte_stream import read_exactly
from libp2p_lab.wire.protobuf import bytes_field, read_fields

PREFIX = b"noise-libp2p-static-key:"
NAME = b"Noise_XX_25519_ChaChaPoly_SHA256"


class Transcript:
    """What both sides compute in step."""

    def __init__(self):
        self.ck = self.h = NAME
        self.cipher = None
        self.mix_hash(b"")  # the prologue

    def mix_hash(self, data):
        self.h = hashlib.sha256(self.h + data).digest()

    def mix_key(self, secret):
        self.ck, key = hkdf(self.ck, secret)
        self.cipher = CipherState(key)

    def seal(self, data):
        sent = self.cipher.encrypt(data, self.h) if self.cipher else data
        self.mix_hash(sent)
        return sent

    def open(self, received):
        data = self.cipher.decrypt(received, self.h) if self.cipher else received
        self.mix_hash(received)
        return data


def raw_public(private):
    return private.public_key().public_bytes_raw()


class MyNoise:
    protocol = "/noise"

    def __init__(self, static=None, ephemeral=None):
        self.static = static or X25519PrivateKey.generate()
        self.ephemeral = ephemeral or X25519PrivateKey.generate

    def payload(self, key, muxers):
        signature = key.sign(PREFIX + raw_public(self.static))
        data = bytes_field(1, key.public.to_protobuf()) + bytes_field(2, signature)
        if muxers:
            data += bytes_field(4, b"".join(bytes_field(2, muxer.encode()) for muxer in muxers))
        return data

    def read_payload(self, data, static_key):
        """Who vouches for the static key, and their muxers."""
        fields = {number: value for number, _, value in read_fields(data)}
        identity = lab.PublicKey.from_protobuf(fields.get(1, b""))
        if not identity.verify(PREFIX + static_key, fields.get(2, b"")):
            raise lab.HandshakeFailed("nobody vouches for this key")
        muxers = [
            value.decode() for number, _, value in read_fields(fields.get(4, b"")) if number == 2
        ]
        return lab.PeerId.from_public_key(identity), muxers

    async def secure(self, raw, *, key, is_dialer, expected_peer, muxers, probe):
        """Shake hands on `raw`; return a NoiseStream."""
        noise, e = Transcript(), self.ephemeral()

        async def send(data):
            await raw.write(len(data).to_bytes(2, "big") + data)

        async def receive():
            return await read_exactly(raw, int.from_bytes(await read_exactly(raw, 2), "big"))

        def send_e():
            noise.mix_hash(raw_public(e))
            return raw_public(e)

        def mix(private, public):
            noise.mix_key(private.exchange(X25519PublicKey.from_public_bytes(public)))

        if is_dialer:
            await send(send_e() + noise.seal(b""))
            message = await receive()
            re = message[:32]
            noise.mix_hash(re)
            mix(e, re)
            rs = noise.open(message[32:80])
            mix(e, rs)
            peer, theirs = self.read_payload(noise.open(message[80:]), rs)
            if expected_peer is not None and peer != expected_peer:
                raise lab.PeerIdMismatch(str(expected_peer), str(peer))
            s = noise.seal(raw_public(self.static))
            mix(self.static, re)
            await send(s + noise.seal(self.payload(key, muxers)))
            first, second = muxers, theirs
        else:
            message = await receive()
            re = message[:32]
            noise.mix_hash(re)
            noise.open(message[32:])
            sent = send_e()
            mix(e, re)
            sent += noise.seal(raw_public(self.static))
            mix(self.static, re)
            await send(sent + noise.seal(self.payload(key, muxers)))
            message = await receive()
            rs = noise.open(message[:48])
            mix(e, rs)
            peer, theirs = self.read_payload(noise.open(message[48:]), rs)
            first, second = theirs, muxers
        forth, back = (CipherState(k) for k in hkdf(noise.ck, b""))
        channel = NoiseChannel(forth, back) if is_dialer else NoiseChannel(back, forth)
        muxer = next((muxer for muxer in first if muxer in second), None)
        return NoiseStream(raw, channel, peer, muxer, noise.h)


answer = MyNoise
