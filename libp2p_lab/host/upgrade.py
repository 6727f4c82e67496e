"""From a raw byte stream to a secure one with an agreed muxer: the upgrade, step by step.

    negotiate the security protocol   in the clear (or, in a private network, for its members only)
    run its handshake                 now both know who the other is
    negotiate the muxer               inside the secure channel, unless the handshake settled it already

Two round trips are saved on the way. The handshake settles the muxer (both sides put their lists into it). And the
dialer takes its first security protocol as agreed: the handshake begins right behind the proposal, without waiting for
the answer. Nearly everybody speaks Noise. Whoever does not says so (`SecurityRefused`), but the bytes of the
handshake are on their way by then, and nothing can be negotiated behind them: the swarm dials once more, and asks.

Spec: connections/README.md#upgrading-connections
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from libp2p_lab.errors import LabError, LocalError, NegotiationError
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing.muxer import Muxer
from libp2p_lab.negotiation.multistream import Initiator, State
from libp2p_lab.negotiation.negotiate import (
    AssumedStream,
    Negotiation,
    Negotiator,
    propose,
    respond,
)
from libp2p_lab.security.private_network import KEY_LENGTH, PrivateStream
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


class SecurityRefused(NegotiationError):
    """The remote does not speak our first security protocol, which we took as agreed. Dial again, and ask."""


class Upgrader:
    """Upgrades raw connections with the parts of one host.

    Args:
        key: our identity.
        security: our security protocols, the preferred first.
        muxers: our muxers, the preferred first.
        limits: of the negotiations. The time limit of the whole is the caller's.
        psk: the key of our private network; None for the public one.
        optimistic: False awaits every answer, and so takes the way with the most round trips.
        negotiator: agrees on protocols in the place of ours; None for ours.
    """

    __slots__ = ("_limits", "_muxers", "_negotiator", "_optimistic", "_psk", "_security", "key")

    def __init__(
        self,
        key: KeyPair,
        security: Sequence[SecureChannel],
        muxers: Sequence[Muxer],
        limits: Limits,
        psk: bytes | None = None,
        optimistic: bool = True,
        negotiator: Negotiator | None = None,
    ) -> None:
        if not security or not muxers:
            raise LocalError("a host needs at least one security protocol and one muxer")
        if psk is not None and len(psk) != KEY_LENGTH:
            raise LocalError(f"the key of a private network has {KEY_LENGTH} bytes, not {len(psk)}")
        self._psk = psk
        self._optimistic = optimistic and negotiator is None
        self._negotiator = negotiator
        self.key = key
        self._security = {part.protocol: part for part in security}
        self._muxers = {part.protocol: part for part in muxers}
        self._limits = limits

    async def upgrade(
        self,
        raw: ByteStream,
        *,
        is_dialer: bool,
        expected_peer: PeerId | None,
        probe: Probe,
        ask_first: bool = False,
    ) -> Upgraded:
        """Make `raw` a secure stream with an agreed muxer.

        Args:
            raw: the stream below; the caller closes it if this raises.
            is_dialer: True on the side that dialed.
            expected_peer: who must answer; None for anybody.
            probe: of the connection.
            ask_first: True awaits the remote's answer before the handshake begins; False, where we dialed, takes our
                first security protocol as agreed.

        Raises: `SecurityRefused` if it was not; `NegotiationError`, `RemoteError`, `LimitExceeded`, or what the
            stream raises.
        """
        lines = probe.on("negotiation")
        if self._psk is not None:
            raw = PrivateStream(raw, self._psk)
        guess = None
        ask_first = ask_first and len(self._security) > 1
        if is_dialer and self._optimistic and not ask_first:
            security = next(iter(self._security))
            guess = Negotiation(raw, Initiator([security]), self._limits, lines)
            await guess.start()
        else:
            security = await self._agree(raw, tuple(self._security), is_dialer, lines)
        try:
            channel = await self._security[security].secure(
                raw if guess is None else AssumedStream(raw, guess),
                key=self.key,
                is_dialer=is_dialer,
                expected_peer=expected_peer,
                muxers=tuple(self._muxers),
                probe=probe.on("security"),
            )
        except LabError as error:
            if guess is None or guess.side.state is State.AGREED or len(self._security) == 1:
                raise
            # It said no, or hung up on what it could not read: then the no may be lost on the way.
            raise SecurityRefused(str(error), [security]) from error
        muxer = channel.muxer
        if muxer is None:
            muxer = await self._agree(channel, tuple(self._muxers), is_dialer, lines)
        return Upgraded(channel, security, self._muxers[muxer])

    async def _agree(
        self, stream: ByteStream, ours: Sequence[str], is_dialer: bool, probe: Probe
    ) -> str:
        if self._negotiator is not None:
            agree = self._negotiator.propose if is_dialer else self._negotiator.respond
            return await agree(stream, ours)
        if is_dialer:
            return await propose(stream, ours, self._limits, probe)
        return await respond(stream, ours, self._limits, probe)
