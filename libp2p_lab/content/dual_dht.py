"""Two DHTs on one host: one of the whole internet, and one of the house that still works when the cable is cut.

    WAN   /ipfs/kad/1.0.0         peers with a public address
    LAN   /ipfs/lan/kad/1.0.0     peers without one

Tables are apart, so that nobody outside is told addresses that mean something else there (everybody has a
192.168.1.1). What is stored goes into the WAN, or into the LAN while we know nobody outside; what is looked for is
looked for in both.

Spec: kad-dht/README.md#client-and-server-mode
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from libp2p_lab.content.cid import CID
from libp2p_lab.content.dht import KadDHT, namespace_cid
from libp2p_lab.content.records import Validator
from libp2p_lab.content.sweep import Swept
from libp2p_lab.errors import DialError
from libp2p_lab.host.peerstore import PeerInfo
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.routing.kad import (
    LAN_PROTOCOL_ID,
    PROTOCOL_ID,
    Mode,
    private_only,
    public_only,
)

if TYPE_CHECKING:
    from libp2p_lab.host.host import Host


class DualDHT:
    """The WAN's DHT and the LAN's as one service, `host.dht`.

    Args:
        mode: whether we answer in the WAN, to begin with; in the LAN we always do.
        validators: by namespace, for both.
        **options: as for `KadDHT`, for both.

    Attributes:
        wan, lan: the two.
    """

    name = "dht"

    def __init__(
        self,
        *,
        mode: Mode = "client",
        validators: Mapping[str, Validator] | None = None,
        **options: Any,
    ) -> None:
        options = {"validators": validators, **options}
        self.wan = KadDHT(mode=mode, protocol=PROTOCOL_ID, accept=public_only, **options)
        self.lan = KadDHT(mode="server", protocol=LAN_PROTOCOL_ID, accept=private_only, **options)

    def attach(self, host: Host) -> None:
        """As `Service.attach`."""
        self.wan.attach(host)
        self.lan.attach(host)

    async def close(self) -> None:
        """As `Service.close`."""
        await self.wan.close()
        await self.lan.close()

    def set_mode(self, mode: Mode) -> None:
        """Answer in the WAN from now on, or no more."""
        self.wan.set_mode(mode)

    @property
    def _main(self) -> KadDHT:
        """Where things are stored."""
        return self.wan if len(self.wan.table) else self.lan

    async def bootstrap(self, peers: Iterable[PeerInfo | Multiaddr | str] = ()) -> None:
        """Join both, as far as these peers belong to them.

        Raises: `DialError` if peers are given and none of them serves either.
        """
        targets = list(peers)
        failures: list[tuple[str, BaseException]] = []
        for dht in (self.wan, self.lan):
            try:
                await dht.bootstrap(targets)
            except DialError as error:
                failures.extend(error.attempts)
                await dht.bootstrap()
        if targets and not len(self.wan.table) and not len(self.lan.table):
            raise DialError("no bootstrap peer serves the DHT of the WAN or of the LAN:", failures)

    async def find_peer(self, peer: PeerId) -> PeerInfo | None:
        """As `KadDHT.find_peer`, in both; the addresses of both together."""
        found = await asyncio.gather(self.wan.find_peer(peer), self.lan.find_peer(peer))
        addrs = [addr for info in found if info is not None for addr in info.addrs]
        return PeerInfo(peer, dict.fromkeys(addrs)) if addrs else None

    async def put(self, key: bytes, value: bytes) -> list[PeerId]:
        """As `KadDHT.put`, in the WAN if we know anybody there, else in the LAN."""
        return await self._main.put(key, value)

    async def get(self, key: bytes, quorum: int = 1) -> bytes | None:
        """As `KadDHT.get`, in both; the better one."""
        found = await asyncio.gather(self.wan.get(key, quorum), self.lan.get(key, quorum))
        values = [value for value in found if value is not None]
        return self.wan.namespaces.best(key, values) if values else None

    async def provide(self, cid: CID | bytes) -> list[PeerId]:
        """As `KadDHT.provide`, in the WAN if we know anybody there, else in the LAN."""
        return await self._main.provide(cid)

    async def provide_many(self, cids: Iterable[CID | bytes]) -> Swept:
        """As `KadDHT.provide_many`, in the WAN if we know anybody there, else in the LAN."""
        return await self._main.provide_many(cids)

    def stop_providing(self, cid: CID | bytes) -> None:
        """As `KadDHT.stop_providing`, in both."""
        self.wan.stop_providing(cid)
        self.lan.stop_providing(cid)

    async def advertise(self, namespace: str) -> list[PeerId]:
        """As `KadDHT.advertise`, in the WAN if we know anybody there, else in the LAN."""
        return await self._main.advertise(namespace)

    def stop_advertising(self, namespace: str) -> None:
        """As `KadDHT.stop_advertising`, in both."""
        self.wan.stop_advertising(namespace)
        self.lan.stop_advertising(namespace)

    def find_peers(self, namespace: str, count: int = 20) -> AsyncGenerator[PeerInfo]:
        """As `KadDHT.find_peers`, in both at once; each peer once."""
        return self.find_providers(namespace_cid(namespace), count)

    async def find_providers(self, cid: CID | bytes, count: int = 20) -> AsyncGenerator[PeerInfo]:
        """As `KadDHT.find_providers`, in both at once; each provider once."""
        found: asyncio.Queue[PeerInfo | None] = asyncio.Queue()

        async def ask(dht: KadDHT) -> None:
            try:
                async with contextlib.aclosing(dht.find_providers(cid, count)) as providers:
                    async for provider in providers:
                        found.put_nowait(provider)
            finally:
                found.put_nowait(None)

        asking = [asyncio.ensure_future(ask(dht)) for dht in (self.wan, self.lan)]
        given: set[PeerId] = set()
        try:
            waiting = len(asking)
            while waiting and (not count or len(given) < count):
                provider = await found.get()
                if provider is None:
                    waiting -= 1
                elif provider.peer_id not in given:
                    given.add(provider.peer_id)
                    yield provider
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
