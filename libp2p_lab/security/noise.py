"""libp2p's Noise, `/noise`: the XX handshake with libp2p identities inside, then encrypted messages.

Noise by itself proves that the remote holds *some* static key. libp2p wants to know *which peer* that is. So each
side puts into its payload its identity key, and a signature by it over the Noise static key:

    identity_sig = sign(identity_key, "noise-libp2p-static-key:" + static_key)

On the wire each message, in the handshake and after it, is

    | length: 2, big-endian | Noise message: 0 to 65535 |

Files: `noise_xx.py` first, then this one. Spec: noise/README.md
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from libp2p_lab.errors import (
    ConnectionLost,
    HandshakeFailed,
    LabError,
    LimitExceeded,
    MalformedMessage,
    PeerIdMismatch,
    ProtocolViolation,
)
from libp2p_lab.identity.keys import KeyPair, PublicKey
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.security.noise_xx import (
    MAX_MESSAGE,
    TAG_LENGTH,
    XX,
    CipherState,
    HandshakeMessage,
    NoiseHandshake,
)
from libp2p_lab.trace import Probe
from libp2p_lab.wire import protobuf
from libp2p_lab.wire.byte_stream import Buffer, ByteStream, read_exactly

PROTOCOL_ID = "/noise"
SIGNATURE_PREFIX = b"noise-libp2p-static-key:"
MAX_PLAINTEXT = MAX_MESSAGE - TAG_LENGTH
_READ_SIZE = 4 * (MAX_MESSAGE + 2)


# -- the payload ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HandshakePayload:
    """What libp2p says inside messages 1 and 2.

    Spec: noise/README.md#the-libp2p-handshake-payload

    Attributes:
        identity_key: the sender's public key, as a protobuf.
        identity_sig: its signature over the prefix and the Noise static key.
        stream_muxers: extension: the sender's muxers, the preferred first.
        webtransport_certhashes: extension: hashes of the certificates of a WebTransport server.
    """

    identity_key: bytes
    identity_sig: bytes
    stream_muxers: tuple[str, ...] = ()
    webtransport_certhashes: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """The protobuf's bytes."""
        from libp2p_lab.security.pb import noise_payload_pb2

        message = noise_payload_pb2.NoiseHandshakePayload(
            identity_key=self.identity_key, identity_sig=self.identity_sig
        )
        if self.stream_muxers or self.webtransport_certhashes:
            message.extensions.stream_muxers.extend(self.stream_muxers)
            message.extensions.webtransport_certhashes.extend(self.webtransport_certhashes)
        return message.SerializeToString()

    @classmethod
    def decode(cls, data: bytes) -> HandshakePayload:
        """Read the protobuf.

        Raises: `MalformedMessage` if it does not parse.
        """
        from google.protobuf.message import DecodeError

        from libp2p_lab.security.pb import noise_payload_pb2

        message = noise_payload_pb2.NoiseHandshakePayload()
        try:
            message.ParseFromString(data)
            return cls(
                message.identity_key,
                message.identity_sig,
                tuple(map(protobuf.text, message.extensions.stream_muxers)),
                tuple(message.extensions.webtransport_certhashes),
            )
        except (DecodeError, UnicodeDecodeError) as error:
            raise MalformedMessage(f"Noise payload does not parse: {error}") from None

    def verify(self, static_key: bytes) -> PublicKey:
        """The identity that vouches for `static_key`.

        Spec: noise/README.md#static-key-authentication

        Raises: `HandshakeFailed` if the key does not parse or the signature does not fit.
        """
        try:
            identity = PublicKey.from_protobuf(self.identity_key)
        except LabError as error:
            raise HandshakeFailed(f"identity key in the Noise payload: {error}") from error
        if not identity.verify(SIGNATURE_PREFIX + static_key, self.identity_sig):
            raise HandshakeFailed(
                "the identity key did not sign this Noise static key: "
                "whoever answers does not hold the identity that it claims"
            )
        return identity


def choose_muxer(initiator: Sequence[str], responder: Sequence[str]) -> str | None:
    """The first of the initiator's muxers that the responder has too; None where either sent no list.

    Spec: connections/inlined-muxer-negotiation.md#multiplexer-negotiation-over-noise

    Raises: `HandshakeFailed` if both sent a list and they have nothing in common.
    """
    if not initiator or not responder:
        return None
    for protocol in initiator:
        if protocol in responder:
            return protocol
    raise HandshakeFailed(f"no common muxer: {', '.join(initiator)} against {', '.join(responder)}")


# -- the channel ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NoiseMessage:
    """One message of the finished channel: 2 bytes of length, the ciphertext, of it 16 bytes of tag.

    Attributes:
        ciphertext: as sent, tag included.
        plaintext: what is inside.
    """

    ciphertext: bytes
    plaintext: bytes

    def encode(self) -> bytes:
        """The bytes on the wire, with the length prefix."""
        return len(self.ciphertext).to_bytes(2, "big") + self.ciphertext


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """What opens every message of one connection: told only to recordings that asked for secrets.

    Attributes:
        send: the ChaCha20-Poly1305 key of what we send, 32 bytes.
        receive: of what we receive.
    """

    send: bytes
    receive: bytes


class NoiseChannel:
    """The finished channel, without I/O: bytes in, plaintexts out, and the reverse.

    Args:
        encrypt: the cipher of what we send.
        decrypt: the cipher of what we receive.
    """

    __slots__ = ("_buffer", "_decrypt", "_encrypt", "failure", "probe")

    def __init__(
        self, encrypt: CipherState, decrypt: CipherState, probe: Probe | None = None
    ) -> None:
        self._encrypt = encrypt
        self._decrypt = decrypt
        self._buffer = b""  # an unfinished message
        self.failure: ProtocolViolation | LimitExceeded | None = None  # why nothing more is opened
        self.probe = probe if probe is not None else Probe(layer="security")

    def seal(self, data: Buffer) -> bytearray:
        """`data` as one or more messages, ready for the wire.

        Raises: `LimitExceeded` when the nonces are used up.
        """
        plaintext = memoryview(data)
        size = len(plaintext)
        count = (size + MAX_PLAINTEXT - 1) // MAX_PLAINTEXT
        sealed = bytearray(size + count * (2 + TAG_LENGTH))
        target = memoryview(sealed)
        position = 0
        for start in range(0, size, MAX_PLAINTEXT):
            part = plaintext[start : start + MAX_PLAINTEXT]
            length = len(part) + TAG_LENGTH
            target[position : position + 2] = length.to_bytes(2, "big")
            end = position + 2 + length
            number = self._encrypt.nonce
            self._encrypt.encrypt_into(part, target[position + 2 : end])
            if self.probe.trace.listeners:
                message = NoiseMessage(bytes(target[position + 2 : end]), bytes(part))
                self.probe.emit("sent", message, len(XX) + number)
            position = end
        return sealed

    def open(self, data: bytes) -> list[bytes]:
        """Take bytes from the wire, in pieces of any size; give the plaintexts that are complete.

        Raises: `ProtocolViolation` if a message is shorter than its tag, or the tag does not fit. What came before
            it in the same piece is given first: then it is the next call that raises.
        """
        if self.failure is not None:
            raise self.failure
        plaintexts: list[bytes] = []
        try:
            self._open_all(data, plaintexts)
        except (ProtocolViolation, LimitExceeded) as error:
            self.failure = error
            if not plaintexts:
                raise
        return plaintexts

    def _open_all(self, data: bytes, plaintexts: list[bytes]) -> None:
        view = memoryview(data)
        while self._buffer:
            # Complete the message that the last piece began; copy no more than that one.
            missing = self._length(self._buffer) - len(self._buffer)
            if not missing:
                message, self._buffer = self._buffer, b""
                plaintexts.append(self._open_one(memoryview(message)[2:]))
            elif view:
                self._buffer += view[:missing]
                view = view[missing:]
            else:
                return
        while len(view) >= 2 and len(view) >= (end := self._length(view)):
            plaintexts.append(self._open_one(view[2:end]))
            view = view[end:]
        self._buffer = bytes(view)

    @staticmethod
    def _length(data: bytes | memoryview) -> int:
        """How long a message is that begins with `data`, prefix included; 2 while the prefix is not whole."""
        if len(data) < 2:
            return 2
        length = data[0] << 8 | data[1]
        if length < TAG_LENGTH:
            raise ProtocolViolation(f"Noise message of {length} bytes: shorter than its tag")
        return 2 + length

    def _open_one(self, ciphertext: memoryview) -> bytes:
        number = self._decrypt.nonce
        try:
            plaintext = self._decrypt.decrypt(ciphertext)
        except HandshakeFailed:
            raise ProtocolViolation(
                f"Noise message {number} does not decrypt: changed, repeated, lost or out of order"
            ) from None
        if self.probe.trace.listeners:
            message = NoiseMessage(bytes(ciphertext), plaintext)
            self.probe.emit("received", message, len(XX) + number)
        return plaintext

    @property
    def holds_partial_message(self) -> bool:
        """Whether the bytes taken so far end within a message."""
        return bool(self._buffer)


class NoiseStream:
    """A `SecureConnection`: reads and writes plaintext, moves ciphertext.

    Attributes:
        remote_peer: who proved to be at the other end.
        muxer: what the handshake agreed on, or None.
        handshake_hash: the transcript hash, the same at both ends and for nobody else (a channel binding).
    """

    __slots__ = ("_channel", "_plaintexts", "_raw", "handshake_hash", "muxer", "remote_peer")

    def __init__(
        self,
        raw: ByteStream,
        channel: NoiseChannel,
        remote_peer: PeerId,
        muxer: str | None,
        handshake_hash: bytes,
    ) -> None:
        self._raw = raw
        self._channel = channel
        self._plaintexts: list[bytes] = []  # a few; an empty list takes a tenth of an empty deque
        self.remote_peer = remote_peer
        self.muxer = muxer
        self.handshake_hash = handshake_hash

    async def read(self, n: int = -1) -> bytes:
        """As `ByteStream.read`.

        Raises: `ConnectionLost` if the stream below ends within a message; `ProtocolViolation` for a bad one.
        """
        if n < 0:
            parts = []
            while part := await self.read(MAX_PLAINTEXT):
                parts.append(part)
            return b"".join(parts)
        while not self._plaintexts:
            if self._channel.failure is not None:
                raise self._channel.failure
            data = await self._raw.read(_READ_SIZE)
            if not data:
                if self._channel.holds_partial_message:
                    raise ConnectionLost("the stream ended within a Noise message")
                return b""
            self._plaintexts.extend(filter(None, self._channel.open(data)))  # not the empty ones
        plaintext = self._plaintexts.pop(0)
        if len(plaintext) > n:
            self._plaintexts.insert(0, plaintext[n:])
            return plaintext[:n]
        return plaintext

    async def write(self, data: Buffer) -> None:
        """As `ByteStream.write`."""
        await self._raw.write(self._channel.seal(data))

    async def close_write(self) -> None:
        """As `ByteStream.close_write`."""
        await self._raw.close_write()

    async def close(self) -> None:
        """As `ByteStream.close`."""
        await self._raw.close()

    async def reset(self) -> None:
        """As `ByteStream.reset`."""
        await self._raw.reset()


def _fresh_key() -> X25519PrivateKey:
    return X25519PrivateKey.generate()


class Noise:
    """The security protocol `/noise`.

    The static key is made once and used for every connection (as the spec allows), so that its signature is too.

    Args:
        static: the Noise static key; None makes a fresh one.
        ephemeral: gives the fresh key of each handshake; only simulations replace it.
        early_muxers: False leaves the list of muxers out of the handshake, as rust-libp2p does.
        prologue: what both sides must know beforehand; empty but for WebRTC.
        certhashes: as the responder on WebTransport, the hashes of our certificates, which we tell.
        known_certhash: as the initiator on WebTransport, one that the remote must tell.
        peer_id_of: the name of the peer that holds a key; only exercises replace it.
    """

    __slots__ = (
        "_certhashes",
        "_ephemeral",
        "_known_certhash",
        "_payloads",
        "_peer_id_of",
        "_prologue",
        "_static",
        "_static_public",
        "early_muxers",
    )

    protocol = PROTOCOL_ID

    def __init__(
        self,
        static: X25519PrivateKey | None = None,
        ephemeral: Callable[[], X25519PrivateKey] | None = None,
        early_muxers: bool = True,
        prologue: bytes = b"",
        certhashes: tuple[bytes, ...] = (),
        known_certhash: bytes | None = None,
        peer_id_of: Callable[[PublicKey], PeerId] = PeerId.from_public_key,
    ) -> None:
        self._ephemeral = ephemeral if ephemeral is not None else _fresh_key
        self._static = static if static is not None else self._ephemeral()
        self._static_public = self._static.public_key().public_bytes_raw()
        self.early_muxers = early_muxers
        self._prologue = prologue
        self._certhashes = certhashes
        self._known_certhash = known_certhash
        self._peer_id_of = peer_id_of
        self._payloads: dict[tuple[bytes, tuple[str, ...]], bytes] = {}

    async def secure(
        self,
        raw: ByteStream,
        *,
        key: KeyPair,
        is_dialer: bool,
        expected_peer: PeerId | None,
        muxers: Sequence[str],
        probe: Probe,
    ) -> NoiseStream:
        """As `SecureChannel.secure`."""
        offered = tuple(muxers) if self.early_muxers else ()
        ours = self._payload(key, offered)
        handshake = NoiseHandshake(
            is_initiator=is_dialer,
            static=self._static,
            static_public=self._static_public,
            ephemeral=self._ephemeral(),
            prologue=self._prologue,
        )
        if is_dialer:
            # Nothing is secret yet in message 0, so it carries no payload.
            await _send(raw, handshake, b"", probe)
            theirs, remote_peer = self._identify(await _receive(raw, handshake, probe))
            # The responder proves itself first: refuse the wrong one before we show who we are.
            if expected_peer is not None and remote_peer != expected_peer:
                raise PeerIdMismatch(str(expected_peer), str(remote_peer))
            if self._known_certhash not in (None, *theirs.webtransport_certhashes):
                raise HandshakeFailed(
                    "the remote does not call this connection's certificate its own: "
                    "somebody may sit in between"
                )
            await _send(raw, handshake, ours, probe)
            muxer = choose_muxer(offered, theirs.stream_muxers)
        else:
            await _receive(raw, handshake, probe)
            await _send(raw, handshake, ours, probe)
            theirs, remote_peer = self._identify(await _receive(raw, handshake, probe))
            if expected_peer is not None and remote_peer != expected_peer:
                raise PeerIdMismatch(str(expected_peer), str(remote_peer))
            muxer = choose_muxer(theirs.stream_muxers, offered)
        encrypt, decrypt = handshake.split()
        if probe.trace.confidants:
            probe.confide(SessionKeys(encrypt.key, decrypt.key))
        channel = NoiseChannel(encrypt, decrypt, probe)
        return NoiseStream(raw, channel, remote_peer, muxer, handshake.symmetric.h)

    def _payload(self, key: KeyPair, muxers: tuple[str, ...]) -> bytes:
        identity = key.public.to_protobuf()
        payload = self._payloads.get((identity, muxers))
        if payload is None:
            signature = key.sign(SIGNATURE_PREFIX + self._static_public)
            payload = HandshakePayload(identity, signature, muxers, self._certhashes).encode()
            self._payloads[identity, muxers] = payload
        return payload

    def _identify(self, message: HandshakeMessage) -> tuple[HandshakePayload, PeerId]:
        """Who vouches for the static key that `message` brought."""
        try:
            payload = HandshakePayload.decode(message.plaintext)
        except MalformedMessage as error:
            raise HandshakeFailed(str(error)) from None
        return payload, self._peer_id_of(payload.verify(message.static_key))


async def _send(raw: ByteStream, handshake: NoiseHandshake, payload: bytes, probe: Probe) -> None:
    message = handshake.write_message(payload)
    if probe.trace.listeners:
        probe.emit("sent", message, handshake.index - 1)
    encoded = message.encode()
    await raw.write(len(encoded).to_bytes(2, "big") + encoded)


async def _receive(raw: ByteStream, handshake: NoiseHandshake, probe: Probe) -> HandshakeMessage:
    try:
        length = int.from_bytes(await read_exactly(raw, 2), "big")
        message = handshake.read_message(await read_exactly(raw, length))
    except MalformedMessage:
        raise HandshakeFailed(
            f"the remote hung up before Noise message {handshake.index} was complete"
        ) from None
    if probe.trace.listeners:
        probe.emit("received", message, handshake.index - 1)
    return message
