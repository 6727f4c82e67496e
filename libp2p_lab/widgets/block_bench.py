"""A file fetched block by block from several peers, of whom some lie: each block is checked against its name.

    want the root ─▶ check it ─▶ it names its children ─▶ want those, each from the peer with the fewest questions ─▶ …

A lying peer sends other bytes under the name. Their hash is another: the block is refused, the peer is asked no more,
and somebody else is asked for the block.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from libp2p_lab.content.cid import CID, Codec
from libp2p_lab.content.dag import links_of
from libp2p_lab.errors import LocalError

RATE = 400_000.0  # bytes a second of each peer
IN_FLIGHT = 2  # questions that one peer has before it


@dataclass(frozen=True, slots=True)
class Move:
    """One thing that happened in the transfer.

    Attributes:
        time: seconds since its beginning.
        kind: "wanted"; "arrived"; "refused": the hash is another; "banned": asked no more; "lost": nobody has it.
        peer: whose number; -1 for nobody.
        cid: which block.
        size: bytes that came.
    """

    time: float
    kind: Literal["wanted", "arrived", "refused", "banned", "lost"]
    peer: int
    cid: CID
    size: int = 0


@dataclass(frozen=True, slots=True)
class Fetch:
    """What is fetched from whom.

    Attributes:
        peers: how many have the file.
        liars: how many of them send other bytes; the last ones.
        check: compare each block's hash with its name. Without it, whatever comes is believed.
        seed: of all chance.
    """

    peers: int = 3
    liars: int = 1
    check: bool = True
    seed: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.peers <= 8 or not 0 <= self.liars <= self.peers:
            raise LocalError("1 to 8 peers, of whom some or all or none lie")


def lie(data: bytes) -> bytes:
    """Other bytes of the same length."""
    return bytes([data[0] ^ 1]) + data[1:] if data else b"?"


def fetch(
    root: CID, blocks: Mapping[CID, bytes], plan: Fetch
) -> tuple[list[Move], dict[CID, bytes]]:
    """Fetch a file. Returns what happened, and the blocks as they were taken."""
    rng = random.Random(plan.seed)
    round_trips = [rng.uniform(0.02, 0.15) for _ in range(plan.peers)]
    free_at = [0.0] * plan.peers  # when each is done with what it was asked for
    asked = [0] * plan.peers
    banned: set[int] = set()
    moves: list[Move] = []
    taken: dict[CID, bytes] = {}
    wanted = [root]
    tried: dict[CID, set[int]] = {root: set()}
    coming: list[tuple[float, int, int, CID]] = []
    now, order = 0.0, 0
    while wanted or coming:
        for cid in [*wanted]:
            able = [p for p in range(plan.peers) if p not in banned and p not in tried[cid]]
            if not able:
                wanted.remove(cid)
                moves.append(Move(now, "lost", -1, cid))
                continue
            peer = min(able, key=lambda p: (asked[p], free_at[p], round_trips[p]))
            if asked[peer] >= IN_FLIGHT:
                break
            wanted.remove(cid)
            tried[cid].add(peer)
            asked[peer] += 1
            order += 1
            moves.append(Move(now, "wanted", peer, cid))
            starts = max(free_at[peer], now + round_trips[peer])
            free_at[peer] = starts + len(blocks[cid]) / RATE
            heapq.heappush(coming, (free_at[peer], order, peer, cid))
        if not coming:
            continue
        now, _, peer, cid = heapq.heappop(coming)
        asked[peer] -= 1
        is_liar = peer >= plan.peers - plan.liars and cid.codec == Codec.RAW
        data = lie(blocks[cid]) if is_liar else blocks[cid]
        if plan.check and not cid.matches(data):
            moves.append(Move(now, "refused", peer, cid, len(data)))
            if peer not in banned:
                banned.add(peer)
                moves.append(Move(now, "banned", peer, cid))
            wanted.insert(0, cid)
            continue
        moves.append(Move(now, "arrived", peer, cid, len(data)))
        taken[cid] = data
        if cid.codec == Codec.DAG_PB:
            for link in links_of(data):
                if link not in tried:
                    tried[link] = set()
                    wanted.append(link)
    return moves, taken
