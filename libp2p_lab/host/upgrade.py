"""From a raw byte stream to a secure one with an agreed muxer: the upgrade, step by step.

    negotiate the security protocol   in the clear
    run its handshake                 now both know who the other is
    negotiate the muxer               inside the secure channel, unless the handshake settled it already

Spec: connections/README.md#upgrading-connections
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from libp2p_lab.errors import LocalError
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing.muxer import Muxer
from libp2p_lab.negotiation.multistream import Initiator
from libp2p_lab.negotiation.negotiate import AssumedStream, Negotiation, propose, respond
from libp2p_lab.security.secure_channel import SecureChannel, SecureConnection
from libp2p_lab.trace import Probe
from libp2p_lab.wire.byte_stream import ByteStream


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What an upgrade yields.

    Attributes:
        channel: the secure stream.
        security: the protocol that made it.
        muxer: what will run on it.
    """

    channel: SecureConnection
    security: str
    muxer: Muxer


class Upgrader:
    """Upgrades raw connections with the parts of one host.

    Args:
        key: our identity.
        security: our security protocols, the preferred first.
        muxers: our muxers, the preferred first.
        limits: of the negotiations. The time limit of the whole is the caller's.
    """

    __slots__ = ("_key", "_limits", "_muxers", "_security")

    def __init__(
        self,
        key: KeyPair,
        security: Sequence[SecureChannel],
        muxers: Sequence[Muxer],
        limits: Limits,
    ) -> None:
        if not security or not muxers:
            raise LocalError("a host needs at least one security protocol and one muxer")
        self._key = key
        self._security = {part.protocol: part for part in security}
        self._muxers = {part.protocol: part for part in muxers}
        self._limits = limits

    async def upgrade(
        self, raw: ByteStream, *, is_dialer: bool, expected_peer: PeerId | None, probe: Probe
    ) -> Upgraded:
        """Make `raw` a secure stream with an agreed muxer.

        Args:
            raw: the stream below; the caller closes it if this raises.
            is_dialer: True on the side that dialed.
            expected_peer: who must answer; None for anybody.
            probe: of the connection.

        Raises: `NegotiationError`, `RemoteError`, `LimitExceeded`, or what the stream raises.
        """
        lines = probe.on("negotiation")
        if is_dialer and len(self._security) == 1:
            # Nothing else to propose: the handshake begins without waiting for the answer.
            (security,) = self._security
            negotiation = Negotiation(raw, Initiator([security]), self._limits, lines)
            await negotiation.start()
            below: ByteStream = AssumedStream(raw, negotiation)
        else:
            security = await self._agree(raw, tuple(self._security), is_dialer, lines)
            below = raw
        channel = await self._security[security].secure(
            below,
            key=self._key,
            is_dialer=is_dialer,
            expected_peer=expected_peer,
            muxers=tuple(self._muxers),
            probe=probe.on("security"),
        )
        muxer = channel.muxer
        if muxer is None:
            muxer = await self._agree(channel, tuple(self._muxers), is_dialer, lines)
        return Upgraded(channel, security, self._muxers[muxer])

    async def _agree(
        self, stream: ByteStream, ours: Sequence[str], is_dialer: bool, probe: Probe
    ) -> str:
        if is_dialer:
            return await propose(stream, ours, self._limits, probe)
        return await respond(stream, ours, self._limits, probe)
