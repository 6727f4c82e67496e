"""The DHT whole: what the k peers around a key keep for everybody.

    await host.dht.put(b"/pk/" + peer_id_bytes, key)       a value, at the k peers closest to its key
    value = await host.dht.get(key)                        the best that enough of them give
    await host.dht.provide(cid)                            "I have this", at the k peers closest to its multihash
    async for peer in host.dht.find_providers(cid): …      who says so
    await host.dht.advertise("my-app")                     "I am one of those", as a provider of the namespace's hash
    async for peer in host.dht.find_peers("my-app"): …     who else is

Misconceptions: the DHT stores files. It stores who has them; the bytes come from the provider. And a put does not
stop at the first peer that knows nobody closer: the k closest are found first, and all of them get it.

Spec: kad-dht/README.md#dht-operations
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from libp2p_lab.content.cid import CID
from libp2p_lab.content.ipns import IpnsValidator
from libp2p_lab.content.providers import MemoryProviderStore, ProviderStore
from libp2p_lab.content.records import Namespaces, PublicKeyValidator, Validator, ValueStore
from libp2p_lab.content.sweep import Coverage, Prefix, Swept, in_region
from libp2p_lab.errors import LabError, LocalError, MalformedMessage, RecordInvalid
from libp2p_lab.host.peerstore import PeerInfo
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.routing.distance import position
from libp2p_lab.routing.kad import MAX_REFRESHED_BUCKET, Kademlia
from libp2p_lab.routing.kad_messages import KadMessage, MessageType, Peer, Record

if TYPE_CHECKING:
    from libp2p_lab.host.host import Host


class KadDHT(Kademlia):
    """The DHT: peers, values, providers.

    Args:
        validators: by namespace, beside "pk" and "ipns".
        providers: where provider records are kept; None for memory.
        clock: Unix time in seconds; only simulations replace it.
        **options: as for `Kademlia`.
    """

    def __init__(
        self,
        *,
        validators: Mapping[str, Validator] | None = None,
        providers: ProviderStore | None = None,
        clock: Callable[[], float] = time.time,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        known: dict[str, Validator] = {"pk": PublicKeyValidator(), "ipns": IpnsValidator(clock)}
        self.namespaces = Namespaces({**known, **(validators or {})})
        self._clock = clock
        self._given_providers = providers
        self._provided: dict[bytes, None] = {}
        self._advertised: dict[bytes, None] = {}
        self._republishing: asyncio.Task[None] | None = None
        self._advertising: asyncio.Task[None] | None = None
        self.values: ValueStore
        self.providers: ProviderStore

    def attach(self, host: Host) -> None:
        """As `Service.attach`."""
        super().attach(host)
        self.values = ValueStore(self.namespaces, self._clock, host.limits)
        given = self._given_providers  # an empty one is false
        self.providers = MemoryProviderStore(self._clock, host.limits) if given is None else given

    # -- answering ------------------------------------------------------------------------------------------------

    async def answer(self, sender: PeerId, request: KadMessage) -> KadMessage | None:
        """As `Kademlia.answer`."""
        match request.type:
            case MessageType.GET_VALUE:
                held = self.values.get(request.key)
                record = (
                    Record(request.key, held.value, _rfc3339(held.received_at)) if held else None
                )
                closer = self.closer_to(request.key, sender)
                return KadMessage(request.type, request.key, record, closer)
            case MessageType.PUT_VALUE:
                record = request.record
                if record is None or record.key != request.key:
                    raise MalformedMessage("PUT_VALUE without a record of its key")
                self.values.put(record.key, record.value)
                return request
            case MessageType.GET_PROVIDERS:
                found = self.providers.get(request.key)
                peers = tuple(Peer(r.peer_id, r.addrs) for r in found)
                closer = self.closer_to(request.key, sender)
                return KadMessage(request.type, request.key, None, closer, peers)
            case MessageType.ADD_PROVIDER:
                for peer in request.provider_peers:
                    if self.providers.add(request.key, sender, peer.peer_id, peer.addrs):
                        self._host.peerstore.add_addrs(peer.peer_id, peer.addrs)
                return None
            case _:
                return await super().answer(sender, request)

    # -- values -----------------------------------------------------------------------------------------------------

    async def put(self, key: bytes, value: bytes) -> list[PeerId]:
        """Store `value` at the k peers closest to `key`.

        Returns: those that took it.

        Raises: `RecordInvalid` if nobody would believe it.

        Spec: kad-dht/README.md#value-storage
        """
        self.namespaces.validate(key, value)
        if self.mode == "server":
            with contextlib.suppress(RecordInvalid):  # something better is here already
                self.values.put(key, value)
        message = KadMessage(MessageType.PUT_VALUE, key, Record(key, value))
        return await self._send_to(await self.closest_peers(key), message)

    async def get(self, key: bytes, quorum: int = 1) -> bytes | None:
        """The best value under `key` of those that peers give; None if nobody has one.

        Peers close to the key that gave a worse one, or none, are sent the best (entry correction).

        Args:
            key: with its namespace.
            quorum: how many answers with a value are waited for; 0 for all that there are.

        Spec: kad-dht/README.md#value-retrieval
        """
        self.namespaces.of(key)
        values: dict[PeerId, bytes] = {}
        without: dict[PeerId, None] = {}
        held = self.values.get(key)
        if held is not None:
            values[self._host.peer_id] = held.value
            if quorum == 1:
                return held.value

        def look(sender: PeerId, answer: KadMessage) -> bool:
            record = answer.record
            if record is None or record.key != key:
                without[sender] = None
                return False
            try:
                self.namespaces.validate(key, record.value)
            except RecordInvalid:
                return False
            values[sender] = record.value
            return bool(quorum) and len(values) >= quorum

        lookups = await self.search(key, KadMessage(MessageType.GET_VALUE, key), look)
        if not values:
            return None
        best = self.namespaces.best(key, [*values.values()])
        close = {peer for lookup in lookups for peer in lookup.result}
        outdated = [p for p, v in values.items() if v != best and p != self._host.peer_id]
        outdated += [p for p in without if p in close]
        if outdated:
            message = KadMessage(MessageType.PUT_VALUE, key, Record(key, best))
            self._host.create_task(self._correct(outdated, message))
        return best

    async def _correct(self, peers: Sequence[PeerId], message: KadMessage) -> None:
        await self._send_to(peers, message)

    async def _send_to(self, peers: Sequence[PeerId], message: KadMessage) -> list[PeerId]:
        """Send a message to each; returns those that took it."""
        return await self._each(peers, lambda peer: self.request(peer, message))

    @staticmethod
    async def _each(
        peers: Iterable[PeerId], do: Callable[[PeerId], Awaitable[object]]
    ) -> list[PeerId]:
        """Do something with all of them at once; returns those with whom it went well."""
        took: dict[PeerId, None] = {}

        async def one(peer: PeerId) -> None:
            with contextlib.suppress(LabError, OSError):
                await do(peer)
                took[peer] = None

        listed = [*peers]
        async with asyncio.TaskGroup() as tasks:
            for peer in listed:
                tasks.create_task(one(peer))
        return [peer for peer in listed if peer in took]

    # -- providers ----------------------------------------------------------------------------------------------------

    async def provide(self, cid: CID | bytes) -> list[PeerId]:
        """Tell the k peers closest to a CID's multihash that we have it; again and again until `stop_providing`.

        Returns: whom we told.

        Spec: kad-dht/README.md#content-provider-advertisement
        """
        key = _multihash(cid)
        self._remember([key])
        return await self._announce(key)

    async def provide_many(self, cids: Iterable[CID | bytes]) -> Swept:
        """As `provide`, for many: region by region, each of which is searched once for all keys that lie there.

        Returns: by multihash, whom we told; and what it took.
        """
        keys = [*dict.fromkeys(_multihash(cid) for cid in cids)]
        self._remember(keys)
        return await self._sweep(keys)

    def stop_providing(self, cid: CID | bytes) -> None:
        """Say it no more; the records that are out there expire."""
        self._provided.pop(_multihash(cid), None)

    def _remember(self, keys: list[bytes]) -> None:
        """To be said again and again."""
        self._provided.update(dict.fromkeys(keys))
        if self._republishing is None:
            interval = self._host.limits.dht_republish_interval
            self._republishing = self._host.create_task(self._repeat(self._provided, interval))

    def _announcement(self, key: bytes) -> KadMessage:
        """That we have it; a server writes it down itself as well."""
        me = Peer(self._host.peer_id, tuple(a.without_peer() for a in self._host.addrs))
        if self.mode == "server":
            self.providers.add(key, me.peer_id, me.peer_id, me.addrs)
        return KadMessage(MessageType.ADD_PROVIDER, key, provider_peers=(me,))

    async def _announce(self, key: bytes) -> list[PeerId]:
        """That we have it, to the k peers closest to the key. Returns whom we told."""
        message = self._announcement(key)
        peers = await self.closest_peers(key)
        return await self._each(peers, lambda peer: self.tell(peer, [message]))

    async def _repeat(self, keys: Mapping[bytes, None], interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            await self._sweep([*keys])

    async def _sweep(self, keys: Sequence[bytes]) -> Swept:
        waiting = sorted(keys, key=position)
        coverage = Coverage(self.k)
        told: dict[bytes, tuple[PeerId, ...]] = {}
        regions = lookups = 0
        while waiting:
            lookups += await self._explore(coverage, waiting)
            count = in_region(waiting, coverage.region(position(waiting[0])))
            told.update(await self._tell_region(coverage, waiting[:count]))
            waiting = waiting[count:]
            regions += 1
        return Swept(told, regions, lookups)

    async def _explore(self, coverage: Coverage, keys: Sequence[bytes]) -> int:
        """Search until the k peers closest to the first of these sorted keys are known. Returns how often."""
        place = position(keys[0])
        following = position(keys[1]) if len(keys) > 1 else None
        for count in range(self._host.limits.dht_region_lookups):
            gap = coverage.gap(place, following)
            target = None if gap is None else self._key_below(gap, keys)
            if target is None:
                return count
            with contextlib.suppress(TimeoutError):
                coverage.add(position(target), await self.closest_peers(target))
        return self._host.limits.dht_region_lookups

    def _key_below(self, prefix: Prefix, keys: Sequence[bytes]) -> bytes | None:
        """A key whose position is below a prefix, if possible one of ours; None if that would be long to find."""
        for key in keys:
            if position(key) in prefix:
                return key
        if prefix.bits > MAX_REFRESHED_BUCKET:
            return None
        while True:
            key = b"\x12\x20" + self._host.rng.randbytes(32)
            if position(key) in prefix:
                return key

    async def _tell_region(
        self, coverage: Coverage, keys: Sequence[bytes]
    ) -> dict[bytes, tuple[PeerId, ...]]:
        """Each peer all that it is to keep, on one stream. Returns who was told of which key."""
        due = {key: coverage.closest(position(key)) for key in keys}
        announcements = {key: self._announcement(key) for key in keys}
        letters: dict[PeerId, list[KadMessage]] = {}
        for key, peers in due.items():
            for peer in peers:
                letters.setdefault(peer, []).append(announcements[key])
        took = await self._each(letters, lambda peer: self.tell(peer, letters[peer]))
        return {key: tuple(peer for peer in peers if peer in took) for key, peers in due.items()}

    async def find_providers(self, cid: CID | bytes, count: int = 20) -> AsyncGenerator[PeerInfo]:
        """Those who say that they have it, as they are found.

        Args:
            cid: what; or its multihash.
            count: how many are enough; 0 for all.

        Spec: kad-dht/README.md#content-provider-discovery
        """
        key = _multihash(cid)
        found: asyncio.Queue[PeerInfo | None] = asyncio.Queue()
        known: dict[PeerId, None] = {}

        def tell(peer: PeerId, addrs: Sequence[Any]) -> None:
            if peer not in known and peer != self._host.peer_id:
                known[peer] = None
                if addrs:
                    self._host.peerstore.add_addrs(peer, addrs)
                found.put_nowait(PeerInfo(peer, addrs or self._host.peerstore.addrs(peer)))

        def look(sender: PeerId, answer: KadMessage) -> bool:
            for peer in answer.provider_peers:
                tell(peer.peer_id, peer.addrs)
            return bool(count) and len(known) >= count

        for record in self.providers.get(key):
            tell(record.peer_id, record.addrs)

        async def walk() -> None:
            try:
                if not count or len(known) < count:
                    with contextlib.suppress(TimeoutError):
                        await self.search(key, KadMessage(MessageType.GET_PROVIDERS, key), look)
            finally:
                found.put_nowait(None)

        walking = self._host.create_task(walk())
        try:
            given = 0
            while (not count or given < count) and (provider := await found.get()) is not None:
                yield provider
                given += 1
        finally:
            walking.cancel()

    # -- peers of one mind --------------------------------------------------------------------------------------------

    async def advertise(self, namespace: str) -> list[PeerId]:
        """Say that we belong to a namespace; again and again until `stop_advertising`.

        There is no message for it: we are a provider of the namespace's own text, as if it were a block. go-libp2p
        does the same, so whoever agrees on a text finds each other across implementations.

        Returns: whom we told.

        Raises: `LocalError` for an empty namespace.
        """
        key = namespace_cid(namespace).multihash
        self._advertised[key] = None
        if self._advertising is None:
            interval = self._host.limits.dht_advertise_interval
            self._advertising = self._host.create_task(self._repeat(self._advertised, interval))
        return await self._announce(key)

    def stop_advertising(self, namespace: str) -> None:
        """Say it no more; the records that are out there expire."""
        self._advertised.pop(namespace_cid(namespace).multihash, None)

    def find_peers(self, namespace: str, count: int = 20) -> AsyncGenerator[PeerInfo]:
        """Who says that it belongs to a namespace, as they are found.

        Anybody can say so: what they are must show when we talk to them.

        Args:
            namespace: any text.
            count: how many are enough; 0 for all.

        Raises: `LocalError` for an empty namespace.
        """
        return self.find_providers(namespace_cid(namespace), count)


def namespace_cid(namespace: str) -> CID:
    """The content that stands for a namespace: its text, raw, as in go-libp2p's routing discovery.

    Raises: `LocalError` if it is empty.
    """
    if not namespace:
        raise LocalError("a namespace has a text")
    return CID.of(namespace.encode())


def _multihash(cid: CID | bytes) -> bytes:
    if isinstance(cid, CID):
        return cid.multihash
    if not cid:
        raise LocalError("an empty key")
    return bytes(cid)


def _rfc3339(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
