"""Who is asked for which block, and what others want of us: Bitswap without I/O.

    Ledger    what one peer wants of us            message in ─▶ remembered ─▶ next message out
    Hunt      what we want, and of whom            want ─▶ next questions ─▶ message in ─▶ block, or another peer

A hunt for one block: ask several peers whether they have it; ask the first that says yes for the block; if it has not
come in time, ask the next. A *session* is for blocks that belong together: of those who had one, who has the fewest
questions before it is asked for the next at once.

Each block is hashed when it comes. If that gives a name that its sender was never asked for, the sender made it up: it
is asked no more.

Spec: https://specs.ipfs.tech/bitswap-protocol/
"""

from __future__ import annotations

from dataclasses import dataclass, field

from libp2p_lab.content.bitswap_messages import (
    Block,
    Message,
    Presence,
    PresenceType,
    Want,
    WantType,
)
from libp2p_lab.content.blocks import BlockStore
from libp2p_lab.content.cid import CID
from libp2p_lab.errors import LabError, LimitExceeded, ProtocolViolation
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import Limits


class BlockNotFound(LabError):
    """Everybody who could be asked has been, and nobody gave the block."""


class Ledger:
    """What one peer wants of us.

    Args:
        store: what we have.
        limits: how many wants, how long a message.
    """

    def __init__(self, store: BlockStore, limits: Limits) -> None:
        self._store = store
        self._limits = limits
        self._wants: dict[bytes, Want] = {}  # by multihash
        self._to_answer: dict[bytes, None] = {}

    def __len__(self) -> int:
        return len(self._wants)

    def receive(self, message: Message) -> None:
        """The peer told what it wants, and what no more. Wants beyond the limit are forgotten."""
        if message.full:
            self._wants.clear()
            self._to_answer.clear()
        for want in message.wants:
            key = want.cid.multihash
            if want.cancel:
                self._wants.pop(key, None)
                self._to_answer.pop(key, None)
            elif key in self._wants or len(self._wants) < self._limits.bitswap_wants_per_peer:
                self._wants[key] = want
                self._to_answer[key] = None

    def arrived(self, cid: CID) -> bool:
        """We have a block now. Returns whether the peer waits for it."""
        if cid.multihash in self._wants:
            self._to_answer[cid.multihash] = None
        return cid.multihash in self._wants

    def next_message(self) -> Message | None:
        """What the peer is to be told now; None for nothing.

        Only so much as one message holds: call again once it has left. So a peer that reads slowly costs one message.
        """
        blocks: list[Block] = []
        presences: list[Presence] = []
        size = 0
        by_priority = sorted(self._to_answer, key=lambda key: -self._wants[key].priority)
        for key in by_priority:
            if size >= self._limits.bitswap_message_target:
                break
            del self._to_answer[key]
            want = self._wants[key]
            data = self._store.get(want.cid)
            if data is None:
                if want.send_dont_have:  # and if it comes later, it is sent after all
                    presences.append(Presence(want.cid, PresenceType.DONT_HAVE))
                continue
            del self._wants[key]
            if want.type is WantType.HAVE:
                presences.append(Presence(want.cid, PresenceType.HAVE))
            else:
                blocks.append(Block.of(want.cid, data))
                size += len(data)
        if not blocks and not presences:
            return None
        pending = sum(self._size(key) for key in self._to_answer)
        return Message(blocks=tuple(blocks), presences=tuple(presences), pending_bytes=pending)

    def _size(self, key: bytes) -> int:
        want = self._wants[key]
        return 0 if want.type is WantType.HAVE else len(self._store.get(want.cid) or b"")


@dataclass(slots=True, eq=False)
class Session:
    """Blocks that belong together.

    Attributes:
        limits: of the host.
        useful: who gave how many of them; 0 of who only said that it has one.
    """

    limits: Limits
    useful: dict[PeerId, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """What a peer shall be told that we want, or want no more.

    Attributes:
        peer: who.
        want: what.
    """

    peer: PeerId
    want: Want


@dataclass(slots=True)
class _Asked:
    type: WantType
    deadline: float


@dataclass(slots=True)
class _Wanted:
    """One block that is hunted."""

    cid: CID
    session: Session
    hunters: int = 1
    data: bytes | None = None
    asked: dict[PeerId, _Asked] = field(default_factory=dict)
    has: dict[PeerId, None] = field(default_factory=dict)  # said so
    without: dict[PeerId, None] = field(default_factory=dict)  # said so, or was silent

    def strike(self, peer: PeerId) -> None:
        """Not from this one."""
        self.asked.pop(peer, None)
        self.has.pop(peer, None)
        self.without[peer] = None

    def forget(self, peer: PeerId) -> None:
        """It is gone; if it comes back, it may be asked again."""
        self.strike(peer)
        del self.without[peer]


@dataclass(slots=True)
class _Standing:
    """What we know of one peer."""

    stalls: int = 0  # questions that it left without an answer, since its last block
    in_flight: int = 0  # blocks that it has been asked for and has not sent
    asked_for: dict[bytes, None] = field(default_factory=dict)  # multihashes; the newest are kept


class Hunt:
    """What we want, and of whom. The caller says what time it is, and carries the questions out.

    Args:
        limits: how many wants, how many peers asked at once, how long each has.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._wanted: dict[bytes, _Wanted] = {}  # by multihash
        self._peers: dict[PeerId, _Standing] = {}
        self._banned: dict[PeerId, None] = {}

    # -- peers ------------------------------------------------------------------------------------------------

    def add_peer(self, peer: PeerId) -> None:
        """Somebody may be asked."""
        if peer not in self._banned:
            self._peers.setdefault(peer, _Standing())

    def remove_peer(self, peer: PeerId) -> None:
        """Somebody is gone."""
        self._peers.pop(peer, None)
        for wanted in self._wanted.values():
            wanted.forget(peer)
            wanted.session.useful.pop(peer, None)

    def ban(self, peer: PeerId) -> None:
        """Ask somebody no more, even if it comes back."""
        self.remove_peer(peer)
        self._banned[peer] = None
        while len(self._banned) > self._limits.bitswap_banned:
            del self._banned[next(iter(self._banned))]

    def is_banned(self, peer: PeerId) -> bool:
        """Whether it once sent what nobody asked it for."""
        return peer in self._banned

    # -- wants ------------------------------------------------------------------------------------------------

    def want(self, cid: CID, session: Session) -> None:
        """Begin to hunt a block; to be followed by `drop`.

        Raises: `LimitExceeded`.
        """
        wanted = self._wanted.get(cid.multihash)
        if wanted is not None:
            wanted.hunters += 1
            return
        if len(self._wanted) >= self._limits.bitswap_wants:
            raise LimitExceeded("bitswap_wants", len(self._wanted) + 1, self._limits.bitswap_wants)
        self._wanted[cid.multihash] = _Wanted(cid, session)

    def drop(self, cid: CID) -> list[Question]:
        """One hunter less. Returns whom to tell that it is over, if that was the last."""
        wanted = self._wanted[cid.multihash]
        wanted.hunters -= 1
        if wanted.hunters:
            return []
        cancels = self._end(wanted)
        del self._wanted[cid.multihash]
        return cancels

    def is_wanted(self, cid: CID) -> bool:
        """Whether anybody hunts it."""
        return cid.multihash in self._wanted

    def found(self, cid: CID) -> bytes | None:
        """The block, if it has come."""
        return self._wanted[cid.multihash].data

    def is_hopeless(self, cid: CID) -> bool:
        """Nobody who is connected is left to ask. `questions` first."""
        wanted = self._wanted[cid.multihash]
        return wanted.data is None and not wanted.asked

    def deadline(self, cid: CID) -> float | None:
        """When to call `questions` again, whatever comes or does not."""
        asked = self._wanted[cid.multihash].asked.values()
        return min((one.deadline for one in asked), default=None)

    def questions(self, cid: CID, now: float) -> list[Question]:
        """Whom to ask now. Whoever has not answered in time is asked no more for this block."""
        wanted = self._wanted[cid.multihash]
        if wanted.data is not None:
            return []
        late = [peer for peer, asked in wanted.asked.items() if asked.deadline <= now]
        for peer in late:
            self._release(wanted, peer)
            self._peers[peer].stalls += 1
            wanted.session.useful.pop(peer, None)
            wanted.strike(peer)
        found = [Question(peer, Want(cid, cancel=True)) for peer in late]
        if any(asked.type is WantType.BLOCK for asked in wanted.asked.values()):
            return found
        candidates = [*wanted.has, *(p for p in wanted.session.useful if p not in wanted.without)]
        known = [peer for peer in candidates if peer in self._peers]
        if known:
            best = min(known, key=self._burden)
            self._peers[best].in_flight += 1
            return [*found, self._ask(wanted, best, WantType.BLOCK, now)]
        fresh = [p for p in self._peers if p not in wanted.asked and p not in wanted.without]
        room = self._limits.bitswap_asked - len(wanted.asked)
        chosen = sorted(fresh, key=self._burden)[: max(room, 0)]
        return [*found, *(self._ask(wanted, peer, WantType.HAVE, now) for peer in chosen)]

    def _burden(self, peer: PeerId) -> tuple[int, int]:
        standing = self._peers[peer]
        return standing.stalls, standing.in_flight

    def _ask(self, wanted: _Wanted, peer: PeerId, kind: WantType, now: float) -> Question:
        wanted.asked[peer] = _Asked(kind, now + self._limits.bitswap_answer_timeout)
        remembered = self._peers[peer].asked_for
        remembered.pop(wanted.cid.multihash, None)
        remembered[wanted.cid.multihash] = None
        while len(remembered) > self._limits.bitswap_remembered:
            del remembered[next(iter(remembered))]
        return Question(peer, Want(wanted.cid, kind, send_dont_have=True))

    def _release(self, wanted: _Wanted, peer: PeerId) -> None:
        """It owes us this block no more."""
        asked = wanted.asked.get(peer)
        if asked is not None and asked.type is WantType.BLOCK and peer in self._peers:
            self._peers[peer].in_flight -= 1

    def _end(self, wanted: _Wanted) -> list[Question]:
        cancel = Want(wanted.cid, cancel=True)
        for peer in wanted.asked:
            self._release(wanted, peer)
        cancels = [Question(peer, cancel) for peer in wanted.asked]
        wanted.asked.clear()
        return cancels

    # -- what comes -------------------------------------------------------------------------------------------

    def receive(self, peer: PeerId, message: Message) -> tuple[list[CID], list[Question]]:
        """Blocks and presences from a peer.

        Returns: the names of the blocks that were hunted and are here now; and whom to tell that it is over.

        Raises: `MalformedMessage`, `ProtocolViolation` for a block that its sender was not asked for. Nothing of such
            a message counts.
        """
        standing = self._peers.get(peer)
        if standing is None:
            return [], []
        named = [(block.cid(), block.data) for block in message.blocks]
        for cid, _ in named:
            if cid.multihash not in standing.asked_for:
                raise ProtocolViolation(
                    f"{cid} was not asked for: those bytes hash to another name"
                )
        for presence in message.presences:
            self._note(peer, presence)
        came: list[CID] = []
        over: list[Question] = []
        for cid, data in named:
            wanted = self._wanted.get(cid.multihash)
            if wanted is None or wanted.data is not None:
                continue  # late, and somebody else was faster
            self._release(wanted, peer)
            wanted.asked.pop(peer, None)
            wanted.data = data
            wanted.session.useful[peer] = wanted.session.useful.get(peer, 0) + 1
            standing.stalls = 0
            over += self._end(wanted)
            came.append(wanted.cid)
        return came, over

    def _note(self, peer: PeerId, presence: Presence) -> None:
        wanted = self._wanted.get(presence.cid.multihash)
        if wanted is None or wanted.data is not None or peer not in wanted.asked:
            return
        if presence.type is PresenceType.DONT_HAVE:
            self._release(wanted, peer)
            wanted.strike(peer)
        elif wanted.asked[peer].type is WantType.HAVE:
            del wanted.asked[peer]
            wanted.has[peer] = None
            wanted.session.useful.setdefault(peer, 0)  # who has one may have the others
