"""`ProviderMap`: a key, the peers closest to it, and the records that they keep, getting older while a clock runs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from libp2p_lab.content.cid import CID
from libp2p_lab.errors import LocalError
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.routing.distance import BITS, position
from libp2p_lab.widgets.provider_bench import Answer, Plan, ProviderBench
from libp2p_lab.widgets.static_form import page, table, text_table
from libp2p_lab.widgets.view import Batch, View

SHOWN = 60  # peers beside those that hold a record
HEAD = ("peer", "place", "bits shared with the key", "records: provider and age")
NUMBERS = {
    "k": int,
    "providers": int,
    "republish": float,
    "expiry": float,
    "session": float,
    "quorum": int,
}
SLIDERS = ("k", "republish", "expiry", "session", "quorum")


class ProviderMap:
    """Provider records of one key, ageing.

    Args:
        plan: how records are kept alive.
        content: what the providers have.
    """

    def __init__(self, plan: Plan | None = None, content: bytes = b"hello") -> None:
        self.cid = CID.of(content)
        self._plan = plan if plan is not None else Plan()
        self._bench = ProviderBench(self._plan, self.cid.multihash)
        self._view = View("provider_map", on_open=self._snapshot, on_message=self._hear)
        self._is_busy = False

    # -- for programs -----------------------------------------------------------------------------

    @property
    def plan(self) -> Plan:
        """How records are kept alive."""
        return self._plan

    @property
    def hours(self) -> float:
        """The clock."""
        return self._bench.now / 3600

    @property
    def records(self) -> int:
        """How many records are held now."""
        return self._bench.records

    @property
    def liveness(self) -> float:
        """The share of hours in which a finder got a provider that it can fetch from."""
        return self._bench.liveness

    @property
    def messages_per_record_day(self) -> float:
        """Requests for announcements, for each provider and day."""
        days = max(self.hours / 24, 1 / 24)
        return self._bench.totals.messages / days / self._plan.providers

    def find(self) -> Answer:
        """What somebody who looks for providers gets now."""
        return self._bench.find()

    def pass_hours(self, hours: float) -> None:
        """Let the clock run; more than a week takes several calls."""
        self._bench.pass_hours(hours)
        self._show()

    def change(self, **changes: Any) -> None:
        """Begin again with another plan: k, providers, republish, expiry, session, quorum, peers, seed."""
        self._plan = replace(self._plan, **changes)
        self._bench = ProviderBench(self._plan, self.cid.multihash)
        self._show()

    def republish(self) -> None:
        """All providers that are up announce themselves now."""
        self._bench.announce_all()
        self._after()

    def provider_leaves(self) -> None:
        """One of the providers goes. Its records stay until they expire: no message takes a record back."""
        up = [p for p in self._bench.providers if p.is_up and not p.is_liar]
        if up:
            up[0].is_up = False
        self._after()

    def holder_leaves(self, polite: bool = False) -> None:
        """The closest holder goes, and its records with it; a polite one hands them on first: no spec asks for that."""
        holder = next((p for p in self._bench.closest() if self._bench.ages(p)), None)
        if holder is not None:
            self._bench.leave(holder, polite)
        self._after()

    def poison(self) -> None:
        """A peer that has nothing announces itself. Its record is taken, for it is its own word."""
        self._bench.poison()
        self._after()

    def forge(self) -> int:
        """A peer announces a provider in another's name. Returns how many holders took it."""
        taken = self._bench.forge()
        self._after()
        return taken

    def close(self) -> None:
        """Take it off the page."""
        self._view.close()

    @property
    def widget(self) -> object:
        """The ipywidgets widget, for putting it beside others in a box."""
        return self._view.front

    def summary(self) -> str:
        """The state of things in words."""
        answer, plan = self._bench.answer, self._plan
        days, hours = divmod(self.hours, 24)
        got = f"{answer.live} that can be fetched from, {answer.stale} that have left, {answer.false} that have nothing"
        return (
            f"Day {days:.0f}, {hours:.0f} h: {self.records} records at {len(self._holders())} peers. "
            f"A finder that wants {plan.quorum} asks {answer.asked} and gets {got}. "
            f"So far a live provider was found in {self.liveness:.1%} of the hours, "
            f"for {self.messages_per_record_day:.0f} messages a provider and day."
        )

    # -- with the page ----------------------------------------------------------------------------

    def _holders(self) -> list[PeerId]:
        return [peer for peer in self._bench.near(0) if self._bench.ages(peer)]

    def _after(self) -> None:
        self._bench.find()
        self._show()

    def _names(self) -> dict[PeerId, str]:
        names = {}
        for number, provider in enumerate(self._bench.providers):
            names[provider.peer] = (
                f"liar {number}" if provider.is_liar else f"provider {number + 1}"
            )
        return names

    def _snapshot(self) -> Batch:
        return self._record(), []

    def _show(self) -> None:
        self._view.send(self._record())

    def _record(self) -> dict[str, Any]:
        bench, names = self._bench, self._names()
        closest = set(bench.closest())
        kinds = {
            p.peer: "liar" if p.is_liar else "up" if p.is_up else "gone" for p in bench.providers
        }
        return {
            "type": "map",
            "cid": str(self.cid),
            "summary": self.summary(),
            "hours": self.hours,
            "plan": {name: getattr(self._plan, name) for name in NUMBERS},
            "refused": bench.totals.refused,
            "providers": [
                {
                    "name": names[p.peer],
                    "state": kinds[p.peer],
                    "due": None if p.due is None else p.due / 3600,
                }
                for p in bench.providers
            ],
            "peers": [
                self._peer(peer, peer in closest, names, kinds) for peer in bench.near(SHOWN)
            ],
            "samples": bench.totals.samples[-240:],
        }

    def _peer(
        self, peer: PeerId, is_close: bool, names: dict[PeerId, str], kinds: dict[PeerId, str]
    ) -> dict[str, Any]:
        at = position(peer.multihash)
        away = at ^ self._bench.target
        shared = BITS - away.bit_length()
        rest = away - (1 << (BITS - shared - 1)) if away else 0
        return {
            "name": f"{at >> (BITS - 20):05x}",
            "shared": shared,
            "turn": rest / float(1 << max(BITS - shared - 1, 1)),  # where within its ring
            "close": is_close,
            "records": [
                [names.get(who, "?"), round(age, 2), kinds.get(who, "gone")]
                for who, age in self._bench.ages(peer)
            ],
        }

    def _hear(self, content: dict[str, Any], view: str) -> None:
        match content:
            case {"type": "pass", "hours": int(hours) | float(hours)} if 0 <= hours <= 168:
                if not self._is_busy:
                    self._is_busy = True
                    self._view.start(self._pass(float(hours)), self._tell)
            case {"type": "plan", "changes": dict(changes)}:
                self._use(changes)
            case {"type": "poke", "what": "republish"}:
                self.republish()
            case {"type": "poke", "what": "provider leaves"}:
                self.provider_leaves()
            case {"type": "poke", "what": "holder crashes"}:
                self.holder_leaves()
            case {"type": "poke", "what": "holder leaves politely"}:
                self.holder_leaves(polite=True)
            case {"type": "poke", "what": "poison"}:
                self.poison()
            case {"type": "poke", "what": "forge"}:
                taken = self.forge()
                self._tell(
                    f"{taken} of {self._plan.k} took the forged record: it is not the sender's own"
                )
            case {"type": "poke", "what": "again"}:
                self.change(seed=self._plan.seed + 1)

    async def _pass(self, hours: float) -> None:
        try:
            await asyncio.to_thread(self._bench.pass_hours, hours)
        finally:
            self._is_busy = False
        self._show()

    def _use(self, changes: dict[str, Any]) -> None:
        found = {
            name: NUMBERS[name](value)
            for name, value in changes.items()
            if name in NUMBERS and isinstance(value, int | float)
        }
        try:
            if set(found) <= {"quorum"}:  # nothing that has happened would be different
                self._plan = replace(self._plan, **found)
                self._bench.plan = self._plan
                self._after()
            elif not self._is_busy:
                self.change(**found)
        except LocalError as problem:
            self._tell(str(problem))

    def _tell(self, text: str) -> None:
        self._view.send({"type": "told", "text": text})

    # -- without a page ---------------------------------------------------------------------------

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        names = self._names()
        target = self._bench.target
        rows = []
        for place, peer in enumerate(self._bench.near(self._plan.k), 1):
            at = position(peer.multihash)
            records = ", ".join(
                f"{names.get(p, '?')} {age:.0f} h" for p, age in self._bench.ages(peer)
            )
            shared = BITS - (at ^ target).bit_length()
            rows.append((f"{at >> (BITS - 20):05x}", str(place), str(shared), records or "none"))
        html = f"<p>{self.summary()}</p>{table('The peers closest to the key', HEAD, rows)}"
        text = f"{self.summary()}\n{text_table(HEAD, rows)}"
        return self._view.mimebundle(page(f"Providers of {self.cid}", html), text)
