"""No security at all, `/plaintext/2.0.0`: to see what the others are for.

Both sides say at once who they are, and then speak in the clear:

    | length: varint | protobuf { 1: peer id, 2: public key } |

Nothing proves that the speaker holds the key it names: whoever has heard a name may use it. And everybody on the way
reads along, or changes what they like. So no host speaks this unless it was asked for by name, as in
`Host(security=[Plaintext()])`; and a host that has it beside others has none, for an attacker may always propose it.

Spec: plaintext/README.md
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from libp2p_lab.errors import (
    HandshakeFailed,
    LabError,
    LimitExceeded,
    MalformedMessage,
    PeerIdMismatch,
)
from libp2p_lab.identity.keys import KeyPair, PublicKey
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.trace import Probe
from libp2p_lab.wire import protobuf, varint
from libp2p_lab.wire.byte_stream import Buffer, ByteStream, read_message

PROTOCOL_ID = "/plaintext/2.0.0"
MAX_EXCHANGE = 16 * 1024  # bytes; with an RSA key of 8192 bits it takes 1.2 KB
_ID, _PUBLIC_KEY = 1, 2


@dataclass(frozen=True, slots=True)
class Exchange:
    """What each side says of itself.

    Spec: plaintext/README.md#messages

    Attributes:
        id: the peer id's bytes.
        public_key: the public key, as a protobuf.
    """

    id: bytes
    public_key: bytes

    def encode(self) -> bytes:
        """The bytes on the wire, with their length before them."""
        message = protobuf.bytes_field(_ID, self.id)
        message += protobuf.bytes_field(_PUBLIC_KEY, self.public_key)
        return varint.encode(len(message)) + message

    @classmethod
    def decode(cls, data: bytes) -> Exchange:
        """Read the protobuf, which stands behind the length.

        Raises: `MalformedMessage` if it does not parse; a field that is missing is empty.
        """
        fields = {_ID: b"", _PUBLIC_KEY: b""}
        for number, _, value in protobuf.read_fields(data):
            if number in fields:
                if not isinstance(value, bytes):
                    raise MalformedMessage(f"field {number} of an exchange is no byte string")
                fields[number] = value
        return cls(fields[_ID], fields[_PUBLIC_KEY])

    def identify(self) -> PeerId:
        """The peer id, which must be that of the key. It is claimed, not proven.

        Raises: `HandshakeFailed` if it is not, or there is no key.
        """
        try:
            peer = PeerId.from_public_key(PublicKey.from_protobuf(self.public_key))
        except LabError as error:
            raise HandshakeFailed(f"public key in the plaintext exchange: {error}") from error
        if bytes(peer) != self.id:
            raise HandshakeFailed("the plaintext exchange names a peer id and the key of another")
        return peer


class PlaintextStream:
    """A `SecureConnection` that is not secure: the raw stream, with a name to it.

    Attributes:
        remote_peer: who the remote says it is.
        muxer: always None: it is negotiated afterwards.
    """

    __slots__ = ("_raw", "muxer", "remote_peer")

    def __init__(self, raw: ByteStream, remote_peer: PeerId) -> None:
        self._raw = raw
        self.remote_peer = remote_peer
        self.muxer: str | None = None

    async def read(self, n: int = -1) -> bytes:
        """As `ByteStream.read`."""
        return await self._raw.read(n)

    async def write(self, data: Buffer) -> None:
        """As `ByteStream.write`."""
        await self._raw.write(data)

    async def close_write(self) -> None:
        """As `ByteStream.close_write`."""
        await self._raw.close_write()

    async def close(self) -> None:
        """As `ByteStream.close`."""
        await self._raw.close()

    async def reset(self) -> None:
        """As `ByteStream.reset`."""
        await self._raw.reset()


class Plaintext:
    """The "security" protocol `/plaintext/2.0.0`: for lessons and experiments on one's own machine."""

    __slots__ = ()

    protocol = PROTOCOL_ID

    async def secure(
        self,
        raw: ByteStream,
        *,
        key: KeyPair,
        is_dialer: bool,
        expected_peer: PeerId | None,
        muxers: Sequence[str],
        probe: Probe,
    ) -> PlaintextStream:
        """As `SecureChannel.secure`.

        Spec: plaintext/README.md#exchange
        """
        ours = Exchange(bytes(PeerId.from_public_key(key.public)), key.public.to_protobuf())
        if probe.trace.listeners:
            probe.emit("sent", ours)
        await raw.write(ours.encode())
        try:
            theirs = Exchange.decode(await read_message(raw, MAX_EXCHANGE))
        except (MalformedMessage, LimitExceeded) as error:
            raise HandshakeFailed(f"plaintext exchange: {error}") from None
        if probe.trace.listeners:
            probe.emit("received", theirs)
        remote_peer = theirs.identify()
        if expected_peer not in (None, remote_peer):
            raise PeerIdMismatch(str(expected_peer), str(remote_peer))
        return PlaintextStream(raw, remote_peer)
