"""A crawl on a host: visit a peer, ask it for every bucket, visit everybody that it named.

    crawler = lab.Crawler(host, store=lab.CrawlStore("crawls.db"))
    async for found in crawler.crawl(["/dnsaddr/bootstrap.libp2p.io"]):
        print(found.peer_id, found.reach, found.agent)

Each visit is one connection: dial, hear what the peer says of itself (identify), ask, hang up. A crawler is a guest:
it asks one question at a time with a pause between, at most sixteen of each peer, and dials no more than a few peers
at once at one IP address. And it does not believe what it is told: see `frontier.py`.

Misconception: a crawl shows the network. It shows the peers that stand in tables: servers. Clients, most of the people
who use the network, are in none.

Spec: kad-dht/README.md#rpc-messages
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from libp2p_lab.crawling.events import CrawlEnded, CrawlStarted, PeerVisited
from libp2p_lab.crawling.findings import CrawledPeer, Progress, Reach, Tally
from libp2p_lab.crawling.frontier import Frontier, Visit
from libp2p_lab.crawling.table_walk import BucketKeys, TableWalk
from libp2p_lab.errors import DialError, LabError, LocalError, MalformedMessage
from libp2p_lab.host.identify import IdentifyInfo
from libp2p_lab.host.peerstore import PeerInfo
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.routing.kad import PROTOCOL_ID
from libp2p_lab.routing.kad_messages import KadMessage, MessageType, Peer
from libp2p_lab.trace import Probe
from libp2p_lab.transports.dns import LookUpText, look_up_text, resolve
from libp2p_lab.transports.public import is_public

if TYPE_CHECKING:
    from libp2p_lab.crawling.crawl_store import CrawlStore
    from libp2p_lab.host.host import Host

Seed = PeerInfo | Multiaddr | str


@dataclass(slots=True)
class _Talk:
    """What one visit has brought so far.

    Attributes:
        walk: the questions.
        tried: where the peer was dialed.
        connection: once there is one.
        is_guest: whether the connection was made for this visit, and ends with it.
        info: what the peer says of itself.
        answers: how many came.
        heard: whom it named.
        seconds: until there was a connection.
        why: what went wrong.
    """

    walk: TableWalk
    tried: tuple[Multiaddr, ...] = ()
    connection: MuxedConnection | None = None
    is_guest: bool = True
    info: IdentifyInfo | None = None
    answers: int = 0
    heard: list[Peer] = field(default_factory=list)
    seconds: float = 0.0
    why: str = ""


class Crawler:
    """Walks a whole DHT from the outside. It need not be in it: an ordinary host with identify will do.

    Args:
        host: who dials.
        protocol: which DHT.
        private: whether private addresses are dialed; None if one of the seeds has one. Names in addresses are
            looked up first, so that none of them leads into a private network unseen.
        store: where everything is written down as it comes, so that a crawl can be resumed; None for nowhere.
        most: visits after which it stops; 0 for all.
        look_up: gives the text records of a name, for dnsaddr.

    Attributes:
        progress: how far it is; a new one after each visit.
        runs: crawls that it has begun, counted.
        number: of the crawl in the store; 0 without.
    """

    def __init__(
        self,
        host: Host,
        *,
        protocol: str = PROTOCOL_ID,
        private: bool | None = None,
        store: CrawlStore | None = None,
        most: int = 0,
        look_up: LookUpText = look_up_text,
    ) -> None:
        if most < 0:
            raise LocalError(f"a number of visits is 0 or more, not {most}")
        self.protocol = protocol
        self.progress = Progress()
        self.runs = 0
        self.number = 0
        self._host = host
        self._private = private
        self._store = store
        self._most = most
        self._look_up = look_up
        self._probe = Probe(host.trace, "crawl")
        self._keys = BucketKeys()
        self._frontier = Frontier()
        self._tally = Tally()
        self._talks: dict[PeerId, _Talk] = {}  # visits that are over, until they are told
        self._before = 0.0  # seconds of this crawl before it was interrupted
        self._began = 0.0
        self._is_crawling = False
        self._callbacks: list[Callable[[CrawledPeer | None], None]] = []

    @property
    def is_crawling(self) -> bool:
        """Whether it is at work."""
        return self._is_crawling

    def on_found(self, callback: Callable[[CrawledPeer | None], None]) -> Callable[[], None]:
        """Call `callback` with each peer as it is found, and with None as a crawl begins and as it ends.

        Returns: a function that ends this; it can be called again.
        """
        self._callbacks.append(callback)

        def stop() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return stop

    def _tell(self, found: CrawledPeer | None) -> None:
        for callback in [*self._callbacks]:
            callback(found)

    # -- the crawl --------------------------------------------------------------------------------------------------

    async def crawl(
        self, seeds: Iterable[Seed] = (), *, resume: bool = False
    ) -> AsyncGenerator[CrawledPeer]:
        """Every peer, as it is found; last those that nobody could say how to dial.

        Nobody new is visited while the caller is busy with a peer. Whoever leaves the loop early ends the crawl
        (`contextlib.aclosing` does so at once); with a store it can be resumed.

        Args:
            seeds: whom to begin with; names are looked up.
            resume: go on with the last crawl of this DHT in the store, if it is not over.

        Raises: `DialError` if none of the seeds can be used; `LocalError` if there are none, this crawler is busy,
            or its host is closed meanwhile; `OSError` if the store cannot be written.
        """
        if self._is_crawling:
            raise LocalError("this crawler is at work: make another one")
        self._is_crawling = True
        visits: dict[asyncio.Task[None], Visit] = {}
        try:
            await self._begin([*seeds], resume)
            visited = 0
            while True:
                if not self._host.is_running:
                    raise LocalError(_CLOSED)
                room = self._most - visited - len(visits) if self._most else None
                for visit in self._frontier.next(room):
                    visits[self._host.create_task(self._visit(visit))] = visit
                self._report_progress()
                if not visited:
                    self._tell(None)
                if not visits:
                    break
                done, _ = await asyncio.wait(visits, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    visited += 1
                    yield self._finish(visits.pop(task))
            for found in self._end():
                yield found
        finally:
            self._is_crawling = False
            for task in visits:
                task.cancel()
            if visits:
                await asyncio.wait(visits)
            self._talks.clear()
            self._tell(None)

    async def _begin(self, seeds: Sequence[Seed], resume: bool) -> None:
        limits = self._host.limits
        self._began, self._before = asyncio.get_running_loop().time(), 0.0
        self._tally = Tally(limits)
        store = self._store
        number = store.unfinished(self.protocol) if store is not None and resume else None
        if number is None and not seeds:
            raise LocalError("a crawl needs somebody to begin with: give it the address of a peer")
        found = await self._find_seeds(seeds) if seeds else {}
        private = self._private
        if store is not None and number is not None:
            terms = store.crawl(number)
            self._before = terms.seconds
            private = terms.private if private is None else private
        if private is None:
            private = any(not is_public(addr) for addrs in found.values() for addr in addrs)
        self._frontier = Frontier(
            limits,
            allowed=partial(self._may_dial, private=private),
            without=(self._host.peer_id,),
        )
        if store is not None and number is not None:
            for peer in store.peers(number):
                self._frontier.skip(peer.peer_id)
                self._tally.add(peer)
            for peer_id, addrs in store.waiting(number):
                self._frontier.hear(peer_id, addrs)
        elif store is not None:
            number = store.begin(self.protocol, [str(seed) for seed in seeds], private)
        self.number = number or 0
        new = [(p, tuple(addrs)) for p, addrs in found.items() if self._frontier.hear(p, addrs)]
        if store is not None:
            store.heard(self.number, new)
        if self._probe.trace.listeners:
            visited = sum(self._tally.reach.values())
            self._probe.emit("event", CrawlStarted(tuple(map(str, found)), visited))
        self.runs += 1

    async def _find_seeds(self, seeds: Sequence[Seed]) -> dict[PeerId, list[Multiaddr]]:
        """Who the seeds are, and where."""
        found: dict[PeerId, list[Multiaddr]] = {}
        failures: list[tuple[str, BaseException]] = []
        for seed in seeds:
            if isinstance(seed, PeerInfo):
                found.setdefault(seed.peer_id, []).extend(seed.addrs)
                continue
            try:
                addr = Multiaddr(seed) if isinstance(seed, str) else seed
                for one in await resolve(addr, self._host.limits, self._look_up):
                    peer = one.peer_id if one.peer_id is not None else await self._who_is_at(one)
                    found.setdefault(peer, []).append(one.without_peer())
            except DialError as error:
                failures.extend(error.attempts or [(str(seed), error)])
        if not found:
            raise DialError("no seed leads anywhere:", failures)
        return found

    async def _who_is_at(self, addr: Multiaddr) -> PeerId:
        """Whoever answers there; the visit dials it again, by name."""
        before = {*self._host.peers}
        peer = (await self._host.connect(addr)).remote_peer
        if peer not in before:
            await self._host.disconnect(peer)
        return peer

    def _may_dial(self, addr: Multiaddr, *, private: bool) -> bool:
        if "p2p-circuit" in addr.names:  # its relay would pay for us
            return False
        if not _has_name(addr) and not self._host.can_dial(addr):
            return False
        return private or is_public(addr)

    def _finish(self, visit: Visit) -> CrawledPeer:
        """A visit is over: who was named is in line, and what was found is written down."""
        talk = self._talks.pop(visit.peer, None)
        if talk is None:  # its task was cancelled, and not by us
            raise LocalError(_CLOSED)
        found = self._describe(visit, talk)
        self._frontier.finished(visit.peer, found.addr, talk.tried)
        self._tally.add(found)
        frontier = self._frontier
        new = [
            (p.peer_id, frontier.addrs(p.peer_id))
            for p in talk.heard
            if frontier.hear(p.peer_id, p.addrs)
        ]
        self._report_progress()
        if self._store is not None:
            self._store.visited(self.number, found, new, self.progress.seconds)
        if self._probe.trace.listeners:
            self._probe.emit(
                "event",
                PeerVisited(
                    str(found.peer_id),
                    found.reach.value,
                    found.agent,
                    found.named,
                    len(new),
                    found.why,
                ),
            )
        self._tell(found)
        return found

    def _describe(self, visit: Visit, talk: _Talk) -> CrawledPeer:
        limits, connection, info = self._host.limits, talk.connection, talk.info
        if connection is None:
            reach = Reach.UNREACHED
        else:
            reach = Reach.ANSWERED if talk.answers else Reach.CONNECTED
        return CrawledPeer(
            visit.peer,
            reach,
            visit.addrs,
            connection.remote_addr.without_peer() if connection is not None else None,
            _printable(info.agent, limits.crawl_agent) if info is not None else "",
            tuple(_printable(p, limits.crawl_agent) for p in info.protocols) if info else (),
            len(talk.walk.named),
            talk.walk.questions,
            talk.seconds,
            talk.why,
        )

    def _end(self) -> list[CrawledPeer]:
        """Nobody is left to visit, or enough were."""
        if self._frontier.is_finished:
            left = [
                CrawledPeer(peer, Reach.UNDIALED, tuple(addrs), why=_LEFT if addrs else _UNDIALED)
                for peer, addrs in self._frontier.undialed()
            ]
        else:
            left = []
        for found in left:
            self._tally.add(found)
        self._report_progress(is_finished=True)
        if self._store is not None:
            for found in left:
                self._store.visited(self.number, found, (), self.progress.seconds)
            if self._frontier.is_finished:
                self._store.end(self.number)
        if self._probe.trace.listeners:
            now = self.progress
            self._probe.emit("event", CrawlEnded(now.heard, now.visited, now.there, now.questions))
        for found in left:
            self._tell(found)
        return left

    def _report_progress(self, *, is_finished: bool = False) -> None:
        seconds = self._before + asyncio.get_running_loop().time() - self._began
        frontier = self._frontier
        self.progress = self._tally.progress(
            seconds=seconds,
            heard=len(frontier),
            waiting=frontier.waiting,
            visiting=frontier.visiting,
            refused=frontier.refused,
            is_finished=is_finished,
        )

    # -- one visit ----------------------------------------------------------------------------------------------

    async def _visit(self, visit: Visit) -> None:
        """Dial, listen, ask, hang up."""
        limits = self._host.limits
        talk = _Talk(TableWalk(visit.peer, self._keys, most=limits.crawl_questions))
        try:
            async with asyncio.timeout(limits.crawl_visit_timeout):
                connection = await self._connect(visit, talk)
                talk.info = await self._identify(visit.peer)
                if talk.info is None or self.protocol in talk.info.protocols:
                    await self._ask_all(connection, talk)
                else:
                    talk.why = f"does not speak {self.protocol}"
        except (LabError, OSError) as error:  # a TimeoutError is an OSError
            talk.why = _why(error)
        finally:
            if talk.connection is not None and talk.is_guest:
                await talk.connection.close()
        self._talks[visit.peer] = talk

    async def _connect(self, visit: Visit, talk: _Talk) -> MuxedConnection:
        """The connection that there is, or a new one, at addresses that were named for this peer and no others."""
        there = self._host.connections_to(visit.peer)
        if there:
            talk.is_guest = False
            talk.connection = there[0]
            return there[0]
        clock = asyncio.get_running_loop().time
        began = clock()
        async with asyncio.timeout(self._host.limits.crawl_dial_timeout):
            talk.tried = await self._resolve(visit.addrs)
            talk.connection = await self._host.dial_direct(visit.peer, talk.tried)
        talk.seconds = clock() - began
        return talk.connection

    async def _resolve(self, addrs: Sequence[Multiaddr]) -> tuple[Multiaddr, ...]:
        """Without names, and without what may not be dialed once it is known where it leads."""
        found: dict[Multiaddr, None] = {}
        for addr in addrs:
            if not _has_name(addr):
                found[addr] = None
                continue
            try:
                resolved = await resolve(addr, self._host.limits, self._look_up)
            except DialError:
                continue
            for one in resolved[: self._host.limits.crawl_addrs]:
                bare = one.without_peer()
                if self._frontier.may_dial(bare):
                    found[bare] = None
        return tuple(found)[: self._host.limits.crawl_addrs]

    async def _identify(self, peer: PeerId) -> IdentifyInfo | None:
        """What a peer says of itself; None if it does not in time."""
        try:
            async with asyncio.timeout(self._host.limits.crawl_identify_timeout):
                return await self._host.identify_result(peer)
        except (LabError, TimeoutError):
            return None

    async def _ask_all(self, connection: MuxedConnection, talk: _Talk) -> None:
        """Question after question, until the table is laid open."""
        while (key := talk.walk.next_key()) is not None:
            if talk.answers:
                await asyncio.sleep(self._host.limits.crawl_pause)
            answer = await self._ask(connection, key)
            talk.answers += 1
            talk.heard += talk.walk.answered(answer.closer_peers)

    async def _ask(self, connection: MuxedConnection, key: bytes) -> KadMessage:
        limits = self._host.limits
        async with asyncio.timeout(limits.kad_request_timeout):
            stream = await self._host.open_stream_on(connection, (self.protocol,))
            probe = stream.probe.on("kad")
            request = KadMessage(MessageType.FIND_NODE, key)
            try:
                if probe.trace.listeners:
                    probe.emit("sent", request)
                await stream.write_message(request.encode())
                answer = KadMessage.decode(await stream.read_message(limits.crawl_answer))
            finally:
                await stream.close()
            if answer.type is not MessageType.FIND_NODE:
                raise MalformedMessage(f"FIND_NODE answered by {answer.type.name}")
            if probe.trace.listeners:
                probe.emit("received", answer)
            return answer


_CLOSED = "the host was closed while it crawled"
_UNDIALED = "nobody named an address that we may dial"
_LEFT = "too many others did not answer at its address"


def _has_name(addr: Multiaddr) -> bool:
    return bool(addr.parts) and addr.parts[0].name.startswith("dns")


def _printable(text: str, most: int) -> str:
    """What a stranger says, as one line without anything that a terminal obeys."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:most])


def _why(error: BaseException) -> str:
    """The cause in one line: of several addresses the last."""
    if isinstance(error, DialError) and error.attempts:
        error = error.attempts[-1][1]
    text = str(error).split("\n", 1)[0]
    return _printable(f"{type(error).__name__}: {text}" if text else type(error).__name__, 200)
