"""`BlockTrail`: a CID taken apart, the blocks that it is the root of, and their way here from several peers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from libp2p_lab.content.blocks import BlockStore
from libp2p_lab.content.cid import CID
from libp2p_lab.content.dag import Node, cut, walk
from libp2p_lab.errors import LabError, LocalError
from libp2p_lab.trace import Entry
from libp2p_lab.widgets.block_bench import Fetch, Move, fetch
from libp2p_lab.widgets.block_live import blocks_of, moves_of
from libp2p_lab.widgets.block_model import anatomy, forms, parse, place
from libp2p_lab.widgets.static_form import page, table, text_table
from libp2p_lab.widgets.view import Batch, View

MAX_DATA = 4 * 1024 * 1024  # bytes of a file
MAX_CHUNKS = 1000
ANATOMY = ("part", "bytes", "value", "what for")
DAG = ("block", "depth", "bytes", "of the file", "children")
MOVES = ("time", "what", "peer", "block", "bytes")
MAX_ROWS = 60
SAMPLE = b"".join(b"line %04d of a file that is cut into blocks\n" % n for n in range(400))


class BlockTrail:
    """What a CID says, and how a file comes together.

    Args:
        source: a CID or its text; or the bytes of a file, which are cut into blocks and fetched from peers of its own.
            None for a file of its own.
        blocks: for a CID: the blocks that are here, by name, so that its DAG can be drawn; or a store that has them.
        log: for a CID: the recording of the host that fetched it by Bitswap; then this fetch is drawn, and no other.
        chunk_size, width: how a file is cut: bytes of a leaf, children of a node.
        plan: from whom it is fetched.

    Raises: `LocalError` for what is no CID, or a file that is too large to be drawn.
    """

    def __init__(
        self,
        source: CID | str | bytes | None = None,
        *,
        blocks: Mapping[CID, bytes] | BlockStore | None = None,
        log: Iterable[Entry] | None = None,
        chunk_size: int = 2048,
        width: int = 3,
        plan: Fetch | None = None,
    ) -> None:
        self._plan = plan if plan is not None else Fetch()
        self._blocks: dict[CID, bytes] = dict(blocks) if isinstance(blocks, Mapping) else {}
        match source:
            case CID():
                self._root = source
            case str():
                self._root = CID.from_text(source)
            case bytes() | None:
                data = SAMPLE if source is None else source
                if len(data) > MAX_DATA or len(data) > MAX_CHUNKS * chunk_size:
                    raise LocalError(
                        f"at most {MAX_CHUNKS} chunks and {MAX_DATA:,} bytes are drawn"
                    )
                self._root, self._blocks = cut(data, chunk_size, width)
            case _:
                raise LocalError(f"give a CID, its text, or bytes, not {type(source).__name__}")
        if blocks is not None and not isinstance(blocks, Mapping):
            self._blocks = blocks_of(self._root, blocks)
        self._shown = self._root
        self._dag = walk(self._root, self._blocks)
        self._moves: list[Move] = []
        self._taken: dict[CID, bytes] = {}
        self._names: list[str] = []  # of the peers of a real fetch
        if log is not None:
            self._draw_real(log)
        elif all(block.cid in self._blocks for block in self._dag):
            self._moves, self._taken = fetch(self._root, self._blocks, self._plan)
        self._view = View("block_trail", on_open=self._snapshot, on_message=self._hear)

    def _draw_real(self, log: Iterable[Entry]) -> None:
        names = {block.cid for block in self._dag}
        moves, self._names = moves_of(log)
        self._moves = [move for move in moves if move.cid in names]
        if not self._moves:
            raise LocalError("no block of this CID was asked for in that recording")
        self._taken = {m.cid: self._blocks[m.cid] for m in self._moves if m.kind == "arrived"}

    # -- for programs -----------------------------------------------------------------------------

    @property
    def root(self) -> CID:
        """The name of the whole."""
        return self._root

    @property
    def dag(self) -> list[Node]:
        """The blocks, depth first."""
        return list(self._dag)

    @property
    def moves(self) -> list[Move]:
        """What happened when they were fetched."""
        return list(self._moves)

    def fetch(self, **changes: Any) -> list[Move]:
        """Fetch once more from others; arguments: peers, liars, check, seed.

        Raises: `LocalError` if the blocks are not here, or a recording is shown.
        """
        if self._names:
            raise LocalError("this was recorded: what has happened does not happen otherwise")
        if not self._moves:
            raise LocalError(
                "the blocks of this CID are not here: give blocks=…, or the bytes of a file"
            )
        self._plan = replace(self._plan, **changes)
        self._moves, self._taken = fetch(self._root, self._blocks, self._plan)
        self._show()
        return self.moves

    def show(self, cid: CID | str) -> None:
        """Take another CID apart."""
        self._shown = CID.from_text(cid) if isinstance(cid, str) else cid
        self._show()

    def summary(self) -> str:
        """The transfer in words."""
        if not self._moves:
            return f"{self._root}: the block is not here."
        count = {
            kind: sum(m.kind == kind for m in self._moves)
            for kind in ("arrived", "refused", "lost")
        }
        wrong = [cid for cid, data in self._taken.items() if not cid.matches(data)]
        peers = len(self._names) or self._plan.peers
        words = (
            f"{count['arrived']} of {len({b.cid for b in self._dag})} blocks came from {peers} peers "
            f"in {self._moves[-1].time:.{3 if self._names else 2}f} s"
        )
        if count["refused"]:
            one = count["refused"] == 1
            words += f"; {count['refused']} {'was' if one else 'were'} refused, for "
            words += "its hash was not its name" if one else "their hash was not their name"
        if count["lost"]:
            words += f"; {count['lost']} could be had from nobody honest"
        if wrong:
            words += f"; {len(wrong)} wrong ones were believed, for nobody checked"
        return f"{words}."

    def close(self) -> None:
        """Take it off the page."""
        self._view.close()

    @property
    def widget(self) -> object:
        """The ipywidgets widget, for putting it beside others in a box."""
        return self._view.front

    # -- with the page ----------------------------------------------------------------------------

    def _snapshot(self) -> Batch:
        return self._record(), []

    def _show(self) -> None:
        self._view.send(self._record())

    def _record(self) -> dict[str, Any]:
        cid, held = self._shown, self._taken.get(self._shown, self._blocks.get(self._shown))
        names = {block.cid: n for n, block in reversed([*enumerate(self._dag)])}
        plan = self._plan
        return {
            "type": "trail",
            "summary": self.summary(),
            "cid": str(cid),
            "parts": [
                [part.name, part.data.hex(" "), part.value, part.meaning] for part in anatomy(cid)
            ],
            "forms": forms(cid),
            "place": place(cid),
            "matches": None if held is None else cid.matches(held),
            "preview": "" if held is None else held[:96].hex(" "),
            "blocks": [
                {
                    "cid": str(block.cid),
                    "codec": "dag-pb" if block.links else "raw",
                    "size": block.size,
                    "depth": block.depth,
                    "offset": block.offset,
                    "covers": block.covers,
                    "links": [names[link] for link in block.links],
                    "name": names[block.cid],
                }
                for block in self._dag
            ],
            "moves": [
                [round(move.time, 4), move.kind, move.peer, names.get(move.cid, -1), move.size]
                for move in self._moves
            ],
            "plan": {
                "peers": len(self._names) or plan.peers,
                "liars": plan.liars,
                "check": plan.check or bool(self._names),
            },
            "names": [name[-5:] for name in self._names],
        }

    def _hear(self, content: dict[str, Any], view: str) -> None:
        changes: dict[str, Any] = {}
        match content:
            case {"type": "show", "text": str(text)}:
                found = parse(text.strip())
                if found is None:
                    self._tell("this is no CID")
                    return
                self._shown = found
            case {"type": "plan", "peers": int(peers), "liars": int(liars)}:
                changes = {"peers": peers, "liars": min(liars, peers)}
            case {"type": "check", "on": bool(on)}:
                changes = {"check": on}
            case {"type": "again"}:
                changes = {"seed": self._plan.seed + 1}
            case _:
                return
        try:
            if changes:
                self.fetch(**changes)
            else:
                self._show()
        except LabError as problem:
            self._tell(str(problem))

    def _tell(self, text: str) -> None:
        self._view.send({"type": "told", "text": text})

    # -- without a page ---------------------------------------------------------------------------

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        parts = [
            (part.name, part.data.hex(" "), part.value, part.meaning)
            for part in anatomy(self._shown)
        ]
        blocks = [
            (
                "\u2003" * block.depth + str(block.cid)[:16] + "…",
                str(block.depth),
                f"{block.size:,}",
                f"{block.offset:,} to {block.offset + block.covers:,}",
                str(len(block.links)),
            )
            for block in self._dag[:MAX_ROWS]
        ]
        moves = [
            (
                f"{move.time:.3f} s",
                move.kind,
                f"peer {move.peer + 1}" if move.peer >= 0 else "",
                f"{str(move.cid)[:16]}…",
                f"{move.size:,}" if move.size else "",
            )
            for move in self._moves[:MAX_ROWS]
        ]
        tables = (
            (f"{self._shown}", ANATOMY, parts),
            ("Blocks", DAG, blocks),
            ("Their way here", MOVES, moves),
        )
        html = "".join(table(caption, head, rows) for caption, head, rows in tables)
        text = "\n\n".join(f"{caption}\n{text_table(head, rows)}" for caption, head, rows in tables)
        summary = self.summary()
        return self._view.mimebundle(
            page("Blocks", f"<p>{summary}</p>{html}"), f"{summary}\n\n{text}"
        )
