"""A real fetch, as `BlockTrail` draws it: from the trace of the host that fetched."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from libp2p_lab.content.bitswap_events import BlockArrived, BlockAsked, BlocksRefused
from libp2p_lab.content.blocks import BlockStore
from libp2p_lab.content.cid import CID, Codec
from libp2p_lab.content.dag import MAX_BLOCKS, links_of
from libp2p_lab.trace import Entry
from libp2p_lab.widgets.block_bench import Move


def moves_of(entries: Iterable[Entry], node: str = "") -> tuple[list[Move], list[str]]:
    """What happened to blocks, and the peers in the order in which they were first asked.

    Args:
        entries: of a recording.
        node: of which host; the first that asks for a block if not given.

    What a liar sends hashes to no name that was asked for. It is drawn as the first block that it still owed.
    """
    moves: list[Move] = []
    peers: dict[str, int] = {}
    owed: dict[str, dict[CID, None]] = {}
    start = 0.0
    for entry in entries:
        event = entry.what
        if not isinstance(event, BlockAsked | BlockArrived | BlocksRefused):
            continue
        if not moves:
            if not isinstance(event, BlockAsked) or (node and entry.node != node):
                continue
            node, start = entry.node, entry.time
        if entry.node != node:
            continue
        time, peer = entry.time - start, peers.setdefault(event.peer, len(peers))
        open_blocks = owed.setdefault(event.peer, {})
        match event:
            case BlockAsked(cid=text):
                open_blocks[CID.from_text(text)] = None
                moves.append(Move(time, "wanted", peer, CID.from_text(text)))
            case BlockArrived(cid=text, size=size):
                open_blocks.pop(CID.from_text(text), None)
                moves.append(Move(time, "arrived", peer, CID.from_text(text), size))
            case BlocksRefused(size=size):
                for cid in [*open_blocks][:1]:
                    moves.append(Move(time, "refused", peer, cid, size))
                    moves.append(Move(time, "banned", peer, cid))
                open_blocks.clear()
    return moves, [*peers]


def blocks_of(root: CID, store: BlockStore) -> dict[CID, bytes]:
    """The blocks of a DAG that are in a store, from its root on.

    Raises: `MalformedMessage` for a node that cannot be read.
    """
    found: dict[CID, bytes] = {}
    waiting = deque([root])
    while waiting and len(found) < MAX_BLOCKS:
        cid = waiting.popleft()
        data = store.get(cid)
        if data is not None and cid not in found:
            found[cid] = data
            waiting += links_of(data) if cid.codec == Codec.DAG_PB else []
    return found
