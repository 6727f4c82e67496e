"""`KeyLab`: from a key to a peer id, byte by byte; and what happens when a byte is changed."""

from __future__ import annotations

import asyncio
from typing import Any

from libp2p_lab.errors import LocalError
from libp2p_lab.identity.keys import KeyPair, KeyType, PublicKey
from libp2p_lab.widgets.key_anatomy import (
    LENGTH_PADDED,
    SHORTEST,
    TYPE_PADDED,
    Anatomy,
    Pokes,
    anatomy,
    as_record,
    boundary,
)
from libp2p_lab.widgets.static_form import bytes_of, page, table, text_table
from libp2p_lab.widgets.view import Batch, View

MIN_LENGTH, MAX_LENGTH = 20, 100  # bytes, of the slider


class KeyLab:
    """The way from a key to its peer id, and pokes at it.

    Only public keys reach the page: a private key never leaves the kernel, and this widget does not
    keep one.

    Args:
        key: whose way to show; None makes a fresh Ed25519 key.
    """

    def __init__(self, key: KeyPair | PublicKey | None = None) -> None:
        self._key = _public(key if key is not None else KeyPair.generate())
        self._pokes = Pokes()
        self._length = len(self._key.to_protobuf())
        self._view = View("key_lab", on_open=self._snapshot, on_message=self._hear)

    @property
    def anatomy(self) -> Anatomy:
        """What is shown: the bytes of each stage, the id, the decoder's verdict."""
        return anatomy(self._key, self._pokes)

    def use(self, key: KeyPair | PublicKey) -> None:
        """Show another key, without any poke."""
        self._key = _public(key)
        self._pokes = Pokes()
        self._length = min(max(len(self._key.to_protobuf()), MIN_LENGTH), MAX_LENGTH)
        self._show()

    def poke(self, *, flip: int | None = None, varint: str = SHORTEST, swap: bool = False) -> None:
        """Spoil the encoded key.

        Args:
            flip: the position of a byte to turn over; None leaves all as they are.
            varint: "type" or "length" writes that number in one byte too many.
            swap: whether Data stands before Type.

        Raises: `LocalError` for another `varint`.
        """
        if varint not in (SHORTEST, TYPE_PADDED, LENGTH_PADDED):
            raise LocalError(f"varint is {SHORTEST!r}, {TYPE_PADDED!r} or {LENGTH_PADDED!r}")
        flipped = frozenset() if flip is None else frozenset({flip})
        self._pokes = Pokes(flipped, varint, swap)
        self._show()

    def close(self) -> None:
        """Take it off the page."""
        self._view.close()

    @property
    def widget(self) -> object:
        """The ipywidgets widget, for putting it beside others in a box."""
        return self._view.front

    # -- with the page ----------------------------------------------------------------------------

    def _record(self) -> dict[str, Any]:
        name = self._key.type.name.lower()
        return {"type": "key", **as_record(self.anatomy, self._pokes, name, self._length)}

    def _snapshot(self) -> Batch:
        return self._record(), []

    def _show(self) -> None:
        self._view.send(self._record())

    def _hear(self, content: dict[str, Any], view: str) -> None:
        match content:
            case {"type": "key_type", "name": str(name)} if name.upper() in KeyType.__members__:
                self._view.start(self._make(name), self._tell)
                return
            case {"type": "flip", "position": int(position)}:
                self._pokes = self._pokes.flip(position)
            case {"type": "varint", "which": "shortest" | "type" | "length" as which}:
                self._pokes = Pokes(frozenset(), which, self._pokes.is_swapped)
            case {"type": "swap", "value": bool(value)}:
                self._pokes = Pokes(frozenset(), self._pokes.varint, value)
            case {"type": "reset"}:
                self._pokes = Pokes()
            case {"type": "length", "value": int(value)}:
                self._length = min(max(value, MIN_LENGTH), MAX_LENGTH)
                self._view.send({"type": "boundary", "boundary": boundary(self._length)})
                return
            case _:
                return
        self._show()

    async def _make(self, name: str) -> None:
        # RSA keys take a good part of a second: not on the loop of the peers.
        self.use(await asyncio.to_thread(KeyPair.generate, name))

    def _tell(self, problem: str) -> None:
        self._view.send({"type": "problem", "text": problem})

    # -- without a page ---------------------------------------------------------------------------

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        found = self.anatomy
        stages = (
            ("Public key, as a protobuf", found.encoded),
            ("Multihash", found.multihash),
            ("CID", found.cid),
        )
        html = "".join(
            f"<p><b>{name}</b>, {len(stage.data)} bytes</p>"
            + bytes_of(stage.data, stage.fields, "identity")
            for name, stage in stages
        )
        head = ("what", "value")
        rows = [
            ("verdict", found.verdict),
            ("peer id (base58)", found.base58),
            ("peer id (CID)", found.cid_text),
            ("all of its kind begin with", found.prefix),
            ("the lowest", found.lowest),
            ("the highest", found.highest),
        ]
        hexes = [(name, stage.data[:48].hex(" ")) for name, stage in stages]
        text = text_table(head, [*hexes, *rows])
        return self._view.mimebundle(page("Key", html + table("", head, rows)), text)


def _public(key: KeyPair | PublicKey) -> PublicKey:
    match key:
        case KeyPair():
            return key.public
        case PublicKey():
            return key
        case _:
            raise LocalError(f"give a KeyPair or a PublicKey, not {type(key).__name__}")
