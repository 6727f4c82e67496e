"""The exchange before a hole is punched: who says what when, and when each must dial. A core.

Both peers are behind boxes that let in only what was asked for. So both must ask, at about the same moment: the first
packet of each opens its own box, and the next one of the other passes.

    B, who was called                       A, who called through the relay
    CONNECT, starts a clock ─────relay────▶ CONNECT
            stops it: one round trip  ◀────
    SYNC ────────────────relay────────────▶ dials at once
    waits for half a round trip
    dials                                   so the two dials begin together

No clock is compared with another: B measures a time, and A does nothing but answer at once. Half of the round trip is
a guess that the way there takes as long as the way back. It need not be exact: a TCP that hears nothing asks again
after a second, and so does QUIC, sooner.

Who is client on the connection is settled beforehand: A. In TCP both dial, and somebody must answer.

Spec: relay/DCUtR.md#the-protocol
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from libp2p_lab.errors import ProtocolViolation
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.nat.dcutr_messages import Connect, PunchMessage, Sync

Role = Literal["initiator", "receiver"]
State = Literal["start", "connect sent", "connect answered", "done"]

#: state, what comes → state, what is sent. Whatever is not here is a violation.
INITIATOR = {("connect sent", "Connect"): ("done", "Sync")}
RECEIVER = {
    ("start", "Connect"): ("connect answered", "Connect"),
    ("connect answered", "Sync"): ("done", ""),
}


@dataclass(frozen=True, slots=True)
class Punch:
    """What to do now.

    Attributes:
        addrs: where to dial.
        delay: seconds from now.
        rtt: the measured round trip over the relay; None at the receiver, who measures nothing.
    """

    addrs: tuple[Multiaddr, ...]
    delay: float
    rtt: float | None


class Coordination:
    """One exchange, at one end.

    Args:
        role: "initiator" for the peer that was called through the relay, "receiver" for the one that called.
        own: where we can be seen.
        may_dial: whether we would dial an address that the other names.
        limits: how many addresses count.

    Raises: `ProtocolViolation` by `receive`.
    """

    def __init__(
        self,
        role: Role,
        own: Sequence[Multiaddr],
        *,
        may_dial: Callable[[Multiaddr], bool],
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.role = role
        self.state: State = "start"
        self._own = tuple(own)[: limits.dcutr_addrs]
        self._may_dial = may_dial
        self._limits = limits
        self._sent_at = 0.0
        self._theirs: tuple[Multiaddr, ...] = ()

    def start(self, now: float) -> Connect:
        """The initiator begins. Returns what to send."""
        self.state, self._sent_at = "connect sent", now
        return Connect(self._own)

    def receive(
        self, message: PunchMessage, now: float
    ) -> tuple[PunchMessage | None, Punch | None]:
        """A message came. Returns what to send, and what to do once it is sent.

        Raises: `ProtocolViolation` for a message out of turn, and if no address of the other's is worth a dial.
        """
        table = INITIATOR if self.role == "initiator" else RECEIVER
        kind = "Connect" if isinstance(message, Connect) else "Sync"
        step = table.get((self.state, kind))
        if step is None:
            raise ProtocolViolation(
                f"{kind.upper()} in the state {self.state!r} of the {self.role}"
            )
        if isinstance(message, Connect):
            self._theirs = self._worth_dialing(message.addrs)
            if not self._theirs:
                raise ProtocolViolation("CONNECT names no address that could be dialed")
        self.state = "done" if step[0] == "done" else "connect answered"
        if step[1] == "Connect":
            return Connect(self._own), None
        if step[1] == "Sync":
            rtt = now - self._sent_at
            return Sync(), Punch(self._theirs, rtt / 2, rtt)
        return None, Punch(self._theirs, 0.0, None)

    def _worth_dialing(self, addrs: Sequence[Multiaddr]) -> tuple[Multiaddr, ...]:
        """No relays, nothing twice, nothing that we would not dial, and few."""
        found: dict[Multiaddr, None] = {}
        for addr in addrs:
            plain = addr.without_peer()
            if plain and "p2p-circuit" not in plain.names and self._may_dial(plain):
                found[plain] = None
        return tuple(found)[: self._limits.dcutr_addrs]
