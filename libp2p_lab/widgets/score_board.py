"""`ScoreBoard`: the score of one peer in the eyes of another, taken apart, over time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from libp2p_lab.errors import LocalError
from libp2p_lab.host.host import Host
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.pubsub import GossipSub, GossipSubRouter, ScoreParts, ScoreThresholds
from libp2p_lab.pubsub.events import Heartbeat
from libp2p_lab.sim.internet import Internet
from libp2p_lab.trace import Entry
from libp2p_lab.widgets.mesh_card import PARTS, parts_of, score_parts
from libp2p_lab.widgets.network_records import short
from libp2p_lab.widgets.score_form import number, static_form
from libp2p_lab.widgets.score_model import Sample, ScoreHistory
from libp2p_lab.widgets.view import Batch, View

INTERVAL = 0.2  # seconds: five pictures a second
MAX_JUDGES = 64
MAX_WAITING = 10_000  # heartbeats

#: A peer: the host itself, its peer id, or the name that it has here.
Peer = Host | PeerId | str


class ScoreBoard:
    """What one peer thinks of another: eight parts and their sum, at each heartbeat.

    Scores are looked up at the heartbeats of the peers that judge, from the moment that the board is made until
    `close`, shown or not: what counts is how they came about.

    Args:
        hosts: who judges: one host with GossipSub, several, a mapping from names to hosts, or a simulated internet.
        judge: whose opinion is shown first; None for the first host.
        peer: of whom; None for the one with the worst score.

    Raises: `LocalError` if none of the hosts runs GossipSub, or there are more than 64.
    """

    def __init__(
        self,
        hosts: Host | Internet | Mapping[str, Host] | Iterable[Host],
        judge: Peer | None = None,
        peer: Peer | None = None,
    ) -> None:
        self._names: dict[str, str] = {}
        self._judges = self._judges_of(hosts)
        self._history = ScoreHistory()
        self._waiting: deque[tuple[str, float, int, dict[str, ScoreParts]]] = deque(
            maxlen=MAX_WAITING
        )
        self._judge = self._id_of(judge) if judge is not None else next(iter(self._judges))
        if self._judge not in self._judges:
            raise LocalError("the judge is none of these hosts, or does not run GossipSub")
        self._peer = self._id_of(peer) if peer is not None else ""
        self._shown = ("", "", float("-inf"))  # judge, judged, the last moment
        self._view = View(
            "score_board",
            on_open=self._snapshot,
            on_flush=self._flush,
            on_message=self._hear,
            interval=INTERVAL,
        )
        self._stops = [self._listen(host) for host in self._judges.values()]

    def close(self) -> None:
        """Take it off the page and listen to nobody any more."""
        for stop in self._stops:
            stop()
        self._view.close()

    @property
    def widget(self) -> object:
        """The ipywidgets widget, for putting it beside others in a box."""
        return self._view.front

    def summary(self) -> str:
        """One sentence: who thinks what of whom."""
        judge, peer, samples = self._current()
        if not samples:
            return f"{self._name(judge)} has had no heartbeat yet since the board was made"
        last = samples[-1]
        return (
            f"{self._name(peer)} in the eyes of {self._name(judge)}: "
            f"{number(last.score.total)} at heartbeat {last.beat}"
        )

    def samples(self) -> list[tuple[float, ScoreParts]]:
        """The shown score at each heartbeat: time in seconds, and its parts."""
        return [(one.time, one.score) for one in self._current()[2]]

    # -- who --------------------------------------------------------------------------------------

    def _judges_of(
        self, hosts: Host | Internet | Mapping[str, Host] | Iterable[Host]
    ) -> dict[str, Host]:
        named: list[tuple[str, Host]]
        match hosts:
            case Internet():
                named = [(name, one) for name, one in hosts.hosts_by_name.items()]
            case Host():
                named = [("", hosts)]
            case Mapping():
                named = [(str(name), one) for name, one in hosts.items()]
            case _:
                named = [("", one) for one in hosts]
        judges: dict[str, Host] = {}
        for name, host in named:
            if not isinstance(host, Host):
                raise LocalError(f"hosts have opinions, {type(host).__name__} has none")
            self._names[str(host.peer_id)] = name or short(str(host.peer_id))
            if any(isinstance(service, GossipSub) for service in host.services):
                judges[str(host.peer_id)] = host
        if not 1 <= len(judges) <= MAX_JUDGES:
            raise LocalError(
                f"a board follows 1 to {MAX_JUDGES} hosts that run GossipSub, not {len(judges)}"
            )
        return judges

    def _id_of(self, peer: Peer) -> str:
        match peer:
            case Host():
                return str(peer.peer_id)
            case PeerId():
                return str(peer)
            case _:
                return next((one for one, name in self._names.items() if name == peer), str(peer))

    def _name(self, peer: str) -> str:
        return self._names.get(peer, short(peer))

    # -- following --------------------------------------------------------------------------------

    def _listen(self, host: Host) -> Callable[[], None]:
        judge = str(host.peer_id)

        def take(entry: Entry) -> None:
            """Called at the end of a heartbeat, in whichever thread runs the host: nothing changes meanwhile."""
            if isinstance(entry.what, Heartbeat):
                pubsub = host.service(GossipSub)
                scores = {str(peer): score_parts(pubsub, peer) for peer in host.peers}
                self._waiting.append((judge, entry.time, entry.what.number, scores))
                self._view.wake()

        return host.trace.listen(take)

    def _drain(self) -> None:
        for _ in range(len(self._waiting)):
            self._history.take(*self._waiting.popleft())

    def _current(self) -> tuple[str, str, list[Sample]]:
        """Judge, judged, and what has been noted."""
        self._drain()
        judged = self._history.judged(self._judge)
        peer = self._peer or (judged[0] if judged else "")
        return self._judge, peer, self._history.of(self._judge, peer)

    @property
    def _thresholds(self) -> ScoreThresholds:
        router = self._judges[self._judge].pubsub.router
        return router.thresholds if isinstance(router, GossipSubRouter) else ScoreThresholds()

    # -- to the page ------------------------------------------------------------------------------

    def _snapshot(self) -> Batch:
        return {"type": "snapshot", "parts": PARTS, **self._record(everything=True)}, []

    def _flush(self) -> Batch | None:
        return {"type": "update", **self._record()}, []

    def _record(self, *, everything: bool = False) -> dict[str, Any]:
        judge, peer, samples = self._current()
        if not self._peer and peer:
            self._peer = (
                peer  # the worst of the first heartbeat; it is not exchanged under one's eyes
            )
        last = samples[-1].time if samples else float("-inf")
        shown_judge, shown_peer, shown_last = self._shown
        if (shown_judge, shown_peer) != (judge, peer):
            everything = True
        new = samples if everything else [one for one in samples if one.time > shown_last]
        self._shown = judge, peer, last
        books = self._history.samples.get(judge, {})
        limits = self._thresholds
        return {
            "judges": [[one, self._name(one)] for one in self._judges],
            "judge": judge,
            "peer": peer,
            "judged": [
                [one, self._name(one), round(books[one][-1].score.total, 3)]
                for one in self._history.judged(judge)
            ],
            "whole": everything,
            "samples": [
                [round(one.time, 3), one.beat, round(one.score.total, 4), *parts_of(one.score)]
                for one in new
            ],
            "thresholds": {
                "opportunistic graft": limits.opportunistic_graft,
                "gossip": limits.gossip,
                "publish": limits.publish,
                "graylist": limits.graylist,
            },
            "summary": self.summary(),
        }

    # -- from the page ----------------------------------------------------------------------------

    def _hear(self, content: dict[str, Any], view: str) -> None:
        if content.get("type") != "show":
            return
        judge, peer = str(content.get("judge") or ""), str(content.get("peer") or "")
        if judge in self._judges and judge != self._judge:
            self._judge = judge
            if self._peer not in self._history.judged(judge):
                self._peer = ""
        if peer in self._history.judged(self._judge):
            self._peer = peer
        self._view.send({"type": "update", **self._record(everything=True)})

    # -- without a page ---------------------------------------------------------------------------

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        summary, samples = self.summary(), self._current()[2]
        books = self._history.samples.get(self._judge, {})
        others = [
            (self._name(one), books[one][-1].score) for one in self._history.judged(self._judge)
        ]
        html, text = static_form(summary, samples, others, self._thresholds)
        return self._view.mimebundle(html, text)
