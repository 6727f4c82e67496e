"""Kademlia on a host: answering what others ask, and searching.

    await host.dht.bootstrap([known_peer])
    await host.dht.closest_peers(key)          the k peers around a key
    await host.dht.find_peer(peer_id)          where somebody is; `host.connect(peer_id)` asks by itself

This file finds peers; what is stored at them comes with the next chapter (`content/dht.py`). A *server* answers and is
in other peers' tables; a *client* only asks: a laptop behind a NAT would be a hole in everybody's table.

Misconception: every node must be in the tables. Clients are in none, and use the DHT as well as anybody.

Spec: kad-dht/README.md
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from libp2p_lab.errors import DialError, LabError, LocalError, MalformedMessage
from libp2p_lab.host.peerstore import PeerInfo
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.routing.distance import position
from libp2p_lab.routing.events import (
    LookupEnded,
    LookupStarted,
    PeerAnswered,
    PeerAsked,
    PeerFailed,
    TableChanged,
)
from libp2p_lab.routing.kad_messages import ConnectionType, KadMessage, MessageType, Peer
from libp2p_lab.routing.lookup import ALPHA, DisjointPeers, Lookup, disjoint_lookups
from libp2p_lab.routing.routing_table import K, RoutingTable
from libp2p_lab.trace import Probe
from libp2p_lab.transports.public import is_public
from libp2p_lab.wire.byte_stream import read_message_or_end

if TYPE_CHECKING:
    from libp2p_lab.host.host import Host

PROTOCOL_ID = "/ipfs/kad/1.0.0"
LAN_PROTOCOL_ID = "/ipfs/lan/kad/1.0.0"
MAX_REFRESHED_BUCKET = 15  # random keys for nearer buckets would take too long to find

Mode = Literal["server", "client"]
#: Looks at each answer of a lookup. Returns True once enough is known.
OnAnswer = Callable[[PeerId, KadMessage], bool]


class Kademlia:
    """The DHT as far as it finds peers. Use `KadDHT`, which stores things too.

    Args:
        mode: whether we answer others.
        protocol: which network this is.
        k: size of buckets and of results.
        alpha: requests in flight.
        paths: disjoint paths of a lookup; 1 for the plain one.
        accept: whether a peer at these addresses belongs into this network; None takes everybody.
        table: the routing table, made from our id; only exercises replace it.
        lookup: makes lookups; only exercises replace it.
    """

    name = "dht"

    def __init__(
        self,
        *,
        mode: Mode = "server",
        protocol: str = PROTOCOL_ID,
        k: int = K,
        alpha: int = ALPHA,
        paths: int = 1,
        accept: Callable[[Sequence[Multiaddr]], bool] | None = None,
        table: Callable[[PeerId], RoutingTable] | None = None,
        lookup: Callable[..., Lookup] = Lookup,
    ) -> None:
        if k < 1 or alpha < 1 or paths < 1:
            raise LocalError(f"k, alpha and paths are at least 1, not {k}, {alpha}, {paths}")
        self.mode = mode
        self.protocol = protocol
        self.k = k
        self.alpha = alpha
        self._paths = paths
        self._accept = accept
        self._make_table = table
        self._make_lookup = lookup
        self._numbers = itertools.count(1)
        self._refreshing: asyncio.Task[None] | None = None
        self._host: Host
        self._probe: Probe
        self.table: RoutingTable

    # -- a service ----------------------------------------------------------------------------------------------

    def attach(self, host: Host) -> None:
        """As `Service.attach`."""
        self._host = host
        self._probe = Probe(host.trace, "kad")
        make = self._make_table or (lambda me: RoutingTable(me, self.k))
        self.table = make(host.peer_id)
        if self.mode == "server":
            host.set_handler(self.protocol, self._serve)
        host.on_connect(self._connected)
        host.add_finder(self._find_addrs)

    async def close(self) -> None:
        """As `Service.close`."""

    def set_mode(self, mode: Mode) -> None:
        """Answer others from now on, or no more. Spec: kad-dht/README.md#client-and-server-mode"""
        if mode != self.mode:
            self.mode = mode
            if mode == "server":
                self._host.set_handler(self.protocol, self._serve)
            else:
                self._host.remove_handler(self.protocol)

    def _connected(self, connection: MuxedConnection) -> None:
        self._host.create_task(self._consider(connection.remote_peer))

    async def _consider(self, peer: PeerId) -> None:
        """Somebody is connected: into the table with it, if it serves."""
        with contextlib.suppress(LabError):
            await self._host.identify_result(peer)
        if self.protocol in self._host.peerstore.protocols(peer):
            self._add(peer)

    def _add(self, peer: PeerId) -> None:
        addrs = self._host.peerstore.addrs(peer)
        # Where it is for us counts, if we know: a peer's own 192.168.1.7 may be in any house.
        remote = [c.remote_addr for c in self._host.connections_to(peer)] or addrs
        if self._accept is not None and not self._accept(remote):
            return
        if peer not in self.table and self.table.add(peer, addrs):
            self._report_table(peer, added=True)

    def _remove(self, peer: PeerId) -> None:
        if peer in self.table:
            newcomer = self.table.remove(peer)
            self._report_table(peer, added=False)
            if newcomer is not None:
                self._report_table(newcomer, added=True)

    def _report_table(self, peer: PeerId, *, added: bool) -> None:
        if self._probe.trace.listeners:
            bucket = self.table.bucket_of(peer)
            self._probe.emit("event", TableChanged(str(peer), bucket, added))

    # -- answering ------------------------------------------------------------------------------------------------

    async def _serve(self, stream: Any) -> None:
        """Answer requests on one stream until it ends."""
        limits = self._host.limits
        sender = stream.connection.remote_peer
        probe, number = stream.probe.on("kad"), 0
        while True:
            async with asyncio.timeout(limits.kad_idle_timeout):
                data = await read_message_or_end(stream, limits.kad_message)
            if data is None:
                return
            request = KadMessage.decode(data)
            if probe.trace.listeners:
                probe.emit("received", request, number)
            answer = await self.answer(sender, request)
            if answer is not None:
                if probe.trace.listeners:
                    probe.emit("sent", answer, number)
                await stream.write_message(answer.encode())
            number += 1

    async def answer(self, sender: PeerId, request: KadMessage) -> KadMessage | None:
        """What we say to a request; None for one that is not answered.

        Raises: `MalformedMessage` for a request that is not ours to answer.
        """
        match request.type:
            case MessageType.FIND_NODE:
                closer = self.closer_to(request.key, sender, find_node=True)
                return KadMessage(request.type, request.key, closer_peers=closer)
            case MessageType.PING:
                return request
            case _:
                raise MalformedMessage(f"{request.type.name} is not answered here")

    def closer_to(self, key: bytes, sender: PeerId, *, find_node: bool = False) -> tuple[Peer, ...]:
        """The k closest peers to `key` that we know, for `sender`. A FIND_NODE's target comes first if we know it."""
        found = [p for p in self.table.closest(position(key), self.k + 1) if p != sender][: self.k]
        if find_node:
            target = _peer_id(key)
            known = target is not None and bool(self._host.peerstore.addrs(target))
            if target is not None and known and target not in (*found, sender):
                found = [target, *found[: self.k - 1]]
        return tuple(self.describe(peer) for peer in found)

    def describe(self, peer: PeerId) -> Peer:
        """A peer as it stands in a message."""
        connected = self._host.is_connected(peer)
        return Peer(
            peer,
            tuple(self._host.peerstore.addrs(peer))[:8],
            ConnectionType.CONNECTED if connected else ConnectionType.NOT_CONNECTED,
        )

    # -- asking ---------------------------------------------------------------------------------------------------

    async def request(self, peer: PeerId, message: KadMessage) -> KadMessage:
        """Ask one peer. Returns its answer.

        Raises: `DialError`, `NegotiationError`, `RemoteError`, `TimeoutError`, …: whatever goes wrong on the way.
        """
        async with asyncio.timeout(self._host.limits.kad_request_timeout):
            stream = await self._host.open_stream(peer, self.protocol)
            probe = stream.probe.on("kad")
            try:
                if probe.trace.listeners:
                    probe.emit("sent", message)
                await stream.write_message(message.encode())
                data = await stream.read_message(self._host.limits.kad_message)
                answer = KadMessage.decode(data)
            finally:
                await stream.close()
            if answer.type is not message.type:
                raise MalformedMessage(f"{message.type.name} answered by {answer.type.name}")
            if probe.trace.listeners:
                probe.emit("received", answer)
            return answer

    async def tell(self, peer: PeerId, messages: Sequence[KadMessage]) -> None:
        """Say things that are not answered, one after the other on one stream.

        Where there are several, a question comes last: whoever answers it has read the others. js-libp2p reads no
        further once we have ended the stream, whatever has arrived by then.

        Raises: as `request`.
        """
        limits = self._host.limits
        me = self._host.peer_id.multihash
        last = [KadMessage(MessageType.FIND_NODE, me)] if len(messages) > 1 else []
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(limits.kad_request_timeout) as limit:
            stream = await self._host.open_stream(peer, self.protocol)
            probe = stream.probe.on("kad")
            try:
                for number, message in enumerate((*messages, *last)):
                    if probe.trace.listeners:
                        probe.emit("sent", message, number)
                    await stream.write_message(message.encode())
                    limit.reschedule(loop.time() + limits.kad_request_timeout)
                if last:
                    await stream.read_message(limits.kad_message)
            finally:
                await stream.close()

    async def search(
        self, key: bytes, message: KadMessage, on_answer: OnAnswer | None = None
    ) -> list[Lookup]:
        """Walk towards `key`, asking `message` on the way.

        Args:
            key: the target, before hashing.
            message: what each peer is asked.
            on_answer: looks at each answer, and may end the search.

        Returns: the lookups, one for each disjoint path; each knows its result.
        """
        target = position(key)
        # Each path gets k of its own: were there k in all, sybils nearest to the target could be everybody's.
        seeds = self.table.closest(target, self.k * self._paths)
        without = {self._host.peer_id}
        if self._paths == 1:
            lookups = [
                self._make_lookup(target, seeds, k=self.k, alpha=self.alpha, without=without)
            ]
        else:
            lookups = disjoint_lookups(
                target, seeds, self._paths, k=self.k, alpha=self.alpha, without=without
            )
        shared = DisjointPeers()
        async with (
            asyncio.timeout(self._host.limits.kad_lookup_timeout),
            asyncio.TaskGroup() as tasks,
        ):
            for path, lookup in enumerate(lookups):
                claim = partial(shared.claim, path=path)
                tasks.create_task(self._walk(lookup, message, on_answer, claim, lookups))
        return lookups

    async def _walk(
        self,
        lookup: Lookup,
        message: KadMessage,
        on_answer: OnAnswer | None,
        claim: Callable[[PeerId], bool],
        together: Sequence[Lookup],
    ) -> None:
        """Drive one lookup to its end."""
        number = next(self._numbers)
        self._report(
            LookupStarted(
                number, f"{lookup.target:064x}", _texts(c.peer for c in lookup.candidates)
            )
        )
        answers: asyncio.Queue[tuple[PeerId, KadMessage | BaseException]] = asyncio.Queue()
        rounds = {c.peer: c.round for c in lookup.candidates}
        async with asyncio.TaskGroup() as tasks:
            asking: dict[PeerId, asyncio.Task[None]] = {}
            while True:
                for peer in lookup.next():
                    if not claim(peer):
                        lookup.failed(peer)
                        continue
                    self._report(PeerAsked(number, str(peer), rounds.get(peer, 1)))
                    asking[peer] = tasks.create_task(self._ask(peer, message, answers))
                if not asking or lookup.is_finished:
                    break
                peer, answer = await answers.get()
                del asking[peer]
                if isinstance(answer, KadMessage):
                    new = lookup.answered(peer, self._learn(peer, answer))
                    rounds.update((p, rounds.get(peer, 1) + 1) for p in new)
                    self._report(PeerAnswered(number, str(peer), _texts(new)))
                    if on_answer is not None and on_answer(peer, answer):
                        for other in together:
                            other.stop()
                else:
                    lookup.failed(peer)
                    self._remove(peer)
                    why = f"{type(answer).__name__}: {answer}"
                    self._report(PeerFailed(number, str(peer), why))
            for task in asking.values():
                task.cancel()
        self._report(
            LookupEnded(number, _texts(lookup.result), lookup.hops, lookup.requests, _why(lookup))
        )

    async def _ask(
        self,
        peer: PeerId,
        message: KadMessage,
        answers: asyncio.Queue[tuple[PeerId, KadMessage | BaseException]],
    ) -> None:
        try:
            answer: KadMessage | BaseException = await self.request(peer, message)
        except (LabError, OSError) as error:  # a TimeoutError is an OSError
            answer = error
        answers.put_nowait((peer, answer))

    def _learn(self, peer: PeerId, answer: KadMessage) -> list[PeerId]:
        """Who answered serves; whom it named can be found where it says, until we know better."""
        self._add(peer)
        named = []
        for closer in answer.closer_peers[: self.k + 1]:
            if closer.peer_id == self._host.peer_id:
                continue
            addrs = closer.addrs
            if self._accept is not None and not self._accept(addrs):
                continue
            if addrs and not self._host.is_connected(closer.peer_id):
                self._host.peerstore.add_addrs(closer.peer_id, addrs)
            named.append(closer.peer_id)
        return named

    def _report(self, event: object) -> None:
        if self._probe.trace.listeners:
            self._probe.emit("event", event)

    # -- what programs use ------------------------------------------------------------------------------------------

    async def closest_peers(self, key: bytes) -> list[PeerId]:
        """The k peers closest to `key` in the whole network, as far as they answer; the closest first."""
        lookups = await self.search(key, KadMessage(MessageType.FIND_NODE, key))
        target = position(key)
        found = {peer for lookup in lookups for peer in lookup.result}
        return sorted(found, key=lambda p: position(p.multihash) ^ target)[: self.k]

    async def find_peer(self, peer: PeerId) -> PeerInfo | None:
        """Where `peer` is, as others tell; None if nobody knows."""
        known = self._host.peerstore.addrs(peer)
        if known:
            return PeerInfo(peer, known)
        found: dict[Multiaddr, None] = {}

        def look(sender: PeerId, answer: KadMessage) -> bool:
            for named in answer.closer_peers:
                if named.peer_id == peer:
                    found.update(dict.fromkeys(named.addrs))
            return bool(found)

        await self.search(peer.multihash, KadMessage(MessageType.FIND_NODE, peer.multihash), look)
        return PeerInfo(peer, found) if found else None

    async def _find_addrs(self, peer: PeerId) -> Sequence[Multiaddr]:
        """For `host.connect(peer_id)`."""
        with contextlib.suppress(TimeoutError):
            found = await self.find_peer(peer)
            if found is not None:
                return found.addrs
        return ()

    async def bootstrap(self, peers: Iterable[PeerInfo | Multiaddr | str] = ()) -> None:
        """Join the network: connect to known peers, look ourselves up, then fill every bucket; and do it again
        from time to time.

        Raises: `DialError` if peers are given and none can be reached.

        Spec: kad-dht/README.md#bootstrap-process
        """
        targets = list(peers)
        failures: list[tuple[str, BaseException]] = []
        for target in targets:
            try:
                connection = await self._host.connect(target)
                await self._consider(connection.remote_peer)
            except DialError as error:
                failures.extend(error.attempts)
        if targets and not len(self.table):
            raise DialError("no bootstrap peer serves this DHT:", failures)
        await self.refresh()
        if self._refreshing is None:
            self._refreshing = self._host.create_task(self._refresh_for_ever())

    async def refresh(self) -> None:
        """Look for ourselves, then for a random key in each bucket."""
        with contextlib.suppress(TimeoutError):
            await self.closest_peers(self._host.peer_id.multihash)
        nearest = max(self.table.bucket_sizes, default=-1)
        for bucket in range(min(nearest, MAX_REFRESHED_BUCKET) + 1):
            with contextlib.suppress(TimeoutError):
                await self.closest_peers(self._key_in_bucket(bucket))

    def _key_in_bucket(self, bucket: int) -> bytes:
        """A random peer id whose position shares exactly `bucket` leading bits with ours."""
        mine = position(self._host.peer_id.multihash)
        while True:
            key = b"\x12\x20" + self._host.rng.randbytes(32)
            if (mine ^ position(key)).bit_length() == 256 - bucket:
                return key

    async def _refresh_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._host.limits.kad_refresh_interval)
            await self.refresh()


def public_only(addrs: Sequence[Multiaddr]) -> bool:
    """For `accept` of a WAN DHT: one of the addresses is public."""
    return any(is_public(addr) for addr in addrs)


def private_only(addrs: Sequence[Multiaddr]) -> bool:
    """For `accept` of a LAN DHT: there is an address, and one that is not public."""
    return any(not is_public(addr) for addr in addrs)


def _peer_id(key: bytes) -> PeerId | None:
    try:
        return PeerId(key)
    except MalformedMessage:
        return None


def _texts(peers: Iterable[PeerId]) -> tuple[str, ...]:
    return tuple(str(peer) for peer in peers)


def _why(lookup: Lookup) -> str:
    if not lookup.is_finished:
        return "nobody is left to ask"
    return "the closest have answered" if len(lookup.result) >= lookup.k else "enough is known"
