"""What a security protocol is: it turns a raw byte stream into one that is private and has a proven remote peer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.trace import Probe
from libp2p_lab.wire.byte_stream import ByteStream


class SecureConnection(ByteStream, Protocol):
    """A byte stream whose other end has proven who it is."""

    @property
    def remote_peer(self) -> PeerId:
        """The proven peer."""
        ...

    @property
    def muxer(self) -> str | None:
        """The muxer agreed on during the handshake (inlined muxer negotiation); None: negotiate it afterwards."""
        ...


class SecureChannel(Protocol):
    """A security protocol: Noise, TLS, plaintext, or a student's own."""

    @property
    def protocol(self) -> str:
        """Its protocol id, `/noise` for one."""
        ...

    async def secure(
        self,
        raw: ByteStream,
        *,
        key: KeyPair,
        is_dialer: bool,
        expected_peer: PeerId | None,
        muxers: Sequence[str],
        probe: Probe,
    ) -> SecureConnection:
        """Run the handshake. The caller sets the time limit and closes `raw` if this raises.

        Args:
            raw: the stream below.
            key: our identity.
            is_dialer: True on the side that dialed (the handshake's initiator).
            expected_peer: who must answer; None when listening.
            muxers: protocol ids of our muxers, the preferred one first.
            probe: where handshake messages are reported.

        Raises: `HandshakeFailed`, `PeerIdMismatch`, or what the stream below raises.
        """
        ...
