"""mDNS on a host: peers on the same cable find each other without anybody's help.

    host = lab.Host(services=[…, lab.MDNS()])
    async for peer in host.mdns.watch(): …        each neighbour, those known already first
    host.mdns.neighbours                          all that are there now

Each peer asks "who is here?" (multicast, UDP port 5353) when it starts and again from time to time, and answers when
others ask. A question goes to everybody, and so does an answer: whoever listens learns from answers to others.

Nobody is dialed because of it, unless `dial=True`. Who was found is in the peer store: `host.connect(peer_id)` works.

Misconception: mDNS finds peers across the Internet. No router carries these packets on.

The records are `mdns_records.py`; packets, timers and the cache of DNS are zeroconf's.

Spec: discovery/mdns.md#overview
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from libp2p_lab.content.events import (
    Announced,
    LinkFailed,
    NeighbourFound,
    NeighbourLost,
    NeighbourRefused,
)
from libp2p_lab.content.mdns_records import (
    announcement,
    draw_peer_name,
    encode_txt,
    read_announcement,
    service_name,
)
from libp2p_lab.errors import LabError, LocalError
from libp2p_lab.host.peerstore import PeerInfo
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.trace import Probe

if TYPE_CHECKING:
    from zeroconf import ServiceStateChange, Zeroconf
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

    from libp2p_lab.host.host import Host

GROUP = "224.0.0.251"
TXT, INTERNET, A_QUESTION = 16, 1, 0  # numbers of DNS: RFC 1035


class MDNS:
    """Finds peers in the local network, and is found.

    Args:
        interfaces: IP addresses of the interfaces to call out on; None for all. ("127.0.0.1",) stays on this machine.
        dial: whether to connect to whoever is found.
        announce: False only listens.
    """

    name = "mdns"

    def __init__(
        self, interfaces: Sequence[str] | None = None, *, dial: bool = False, announce: bool = True
    ) -> None:
        self._interfaces = interfaces
        self._dial = dial
        self._announce = announce
        self._found: dict[str, PeerInfo] = {}  # by name
        self._asked: dict[str, None] = {}  # names that we know nothing of yet
        self._watchers: list[asyncio.Queue[PeerInfo]] = []
        self._dialing: set[PeerId] = set()
        self._changed = asyncio.Event()
        self._is_up = asyncio.Event()
        self._failure = ""
        self._task: asyncio.Task[None] | None = None
        self._host: Host
        self._probe: Probe
        self.peer_name = ""
        self.service = ""

    def attach(self, host: Host) -> None:
        """As `Service.attach`."""
        self._host = host
        self._probe = Probe(host.trace, "mdns")
        self.peer_name = draw_peer_name(host.rng)
        self.service = service_name(host.network_fingerprint)
        host.on_start(self._start)
        host.on_change(self._changed.set)

    async def close(self) -> None:
        """As `Service.close`. Says goodbye to the local network."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    # -- what programs use ------------------------------------------------------------------------------------

    @property
    def neighbours(self) -> list[PeerInfo]:
        """Who is in the local network now, as far as we have heard."""
        merged: dict[PeerId, dict[Multiaddr, None]] = {}
        for info in self._found.values():
            merged.setdefault(info.peer_id, {}).update(dict.fromkeys(info.addrs))
        return [PeerInfo(peer, addrs) for peer, addrs in merged.items()]

    async def ready(self) -> None:
        """Wait until we listen and have called out for the first time.

        Raises: `LocalError` if this machine, or the interface, has no multicast.
        """
        await self._is_up.wait()
        if self._failure:
            raise LocalError(f"no mDNS here: {self._failure}")

    async def watch(self) -> AsyncGenerator[PeerInfo]:
        """Everybody who is there, and everybody who comes or moves from now on; it never ends by itself."""
        queue: asyncio.Queue[PeerInfo] = asyncio.Queue(self._host.limits.mdns_peers)
        self._watchers.append(queue)
        try:
            for info in self.neighbours:
                yield info
            while True:
                yield await queue.get()
        finally:
            self._watchers.remove(queue)

    # -- what is heard ------------------------------------------------------------------------------------------

    def hear(self, name: str, records: Sequence[bytes]) -> None:
        """The TXT records that stand under a peer's name now.

        Bounded: as many names as `mdns_peers`. Those that are known stay, so that a flood of names drives nobody out.
        """
        limits = self._host.limits
        if name not in self._found and len(self._found) >= limits.mdns_peers:
            return self._refuse(name, f"{limits.mdns_peers} neighbours are known already")
        try:
            info = PeerInfo(*read_announcement(records, limits))
        except LabError as error:
            return self._refuse(name, str(error))
        if info.peer_id == self._host.peer_id:
            return None
        if not info.addrs:
            return self._refuse(name, "no address in the local network")
        if self._found.get(name) == info:
            return None
        self._found[name] = info
        self._host.peerstore.add_addrs(info.peer_id, reversed(info.addrs))
        self._report(NeighbourFound(str(info.peer_id), tuple(map(str, info.addrs)), name))
        for queue in self._watchers:
            with contextlib.suppress(asyncio.QueueFull):  # a watcher that does not watch
                queue.put_nowait(info)
        if self._dial:
            self._connect(info)
        return None

    def lose(self, name: str) -> None:
        """Nothing stands under a peer's name any more."""
        info = self._found.pop(name, None)
        if info is not None:
            self._report(NeighbourLost(str(info.peer_id), name))

    def _refuse(self, name: str, why: str) -> None:
        self._report(NeighbourRefused(name, why))

    def _report(self, event: object) -> None:
        if self._probe.trace.listeners:
            self._probe.emit("event", event)

    def _connect(self, info: PeerInfo) -> None:
        peer, busy = info.peer_id, len(self._dialing) >= self._host.limits.mdns_dials
        if not busy and peer not in self._dialing and not self._host.is_connected(peer):
            self._dialing.add(peer)
            self._host.create_task(self._connect_to(info))

    async def _connect_to(self, info: PeerInfo) -> None:
        try:
            await self._host.connect(info)
        except (LabError, OSError):
            pass  # the trace tells; it may call out again
        finally:
            self._dialing.discard(info.peer_id)

    # -- the local network ----------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._task = self._host.create_task(self._run())

    async def _run(self) -> None:
        """Own zeroconf from start to close."""
        try:
            async with _multicast(self._interfaces) as zeroconf:
                await self._live(zeroconf)
        except (OSError, LabError) as error:
            self._failure = f"{type(error).__name__}: {error}"
            self._report(LinkFailed(self._failure))
        finally:
            self._is_up.set()

    async def _live(self, zeroconf: AsyncZeroconf) -> None:
        from zeroconf.asyncio import AsyncServiceBrowser

        browser = AsyncServiceBrowser(
            zeroconf.zeroconf, f"{self.service}.", handlers=[self._on_change]
        )
        said: AsyncServiceInfo | None = None
        addrs: tuple[Multiaddr, ...] | None = None
        try:
            while True:
                self._changed.clear()
                now = announcement(self._host.peer_id, self._host.addrs, self._host.limits)
                if self._announce and now != addrs:
                    addrs = now
                    said = await self._call_out(zeroconf, addrs, said)
                self._is_up.set()
                await self._changed.wait()
        finally:
            await browser.async_cancel()

    async def _call_out(
        self, zeroconf: AsyncZeroconf, addrs: tuple[Multiaddr, ...], said: AsyncServiceInfo | None
    ) -> AsyncServiceInfo | None:
        """Announce these addresses in place of what was `said`; returns what is said now."""
        self._report(Announced(self.peer_name, tuple(map(str, addrs))))
        if not addrs:
            if said is not None:
                await (await zeroconf.async_unregister_service(said))
            return None
        info = _service_info(self.peer_name, self.service, addrs)
        if said is not None:
            await (await zeroconf.async_update_service(info))
        else:
            # Nobody else draws the same name: there is no need to ask whether it is free.
            how = {"cooperating_responders": True, "strict": False}
            await (await zeroconf.async_register_service(info, **how))
        return info

    def _on_change(
        self,
        zeroconf: Zeroconf,
        service_type: str,
        name: str,
        state_change: ServiceStateChange,
    ) -> None:
        """zeroconf has new records of a peer, or dropped them."""
        label = name.removesuffix(f".{service_type}").lower()
        if label == self.peer_name:
            return
        if state_change.name == "Removed":
            self._asked.pop(label, None)
            self.lose(label)
            return
        records = _newest(zeroconf.cache.async_all_by_details(name, TXT, INTERNET))
        if records:
            self._asked.pop(label, None)
            self.hear(label, records)
        elif label not in self._asked and len(self._asked) < self._host.limits.mdns_peers:
            self._asked[label] = None
            _ask(zeroconf, name)


@contextlib.asynccontextmanager
async def _multicast(interfaces: Sequence[str] | None) -> AsyncIterator[AsyncZeroconf]:
    """zeroconf on these interfaces.

    Raises: `LocalError` if there are none; `OSError`.
    """
    from zeroconf import InterfaceChoice
    from zeroconf.asyncio import AsyncZeroconf

    for interface in interfaces or ():
        _try_multicast(interface)
    try:
        zeroconf = AsyncZeroconf(list(interfaces) if interfaces else InterfaceChoice.All)
    except RuntimeError as error:  # how it says that there is no interface to use
        raise LocalError(str(error)) from None
    try:
        yield zeroconf
    finally:
        await zeroconf.async_close()


def _try_multicast(interface: str) -> None:
    """Join the group of mDNS on an interface, and leave it: zeroconf would leave a socket open where that fails.

    Raises: `OSError`.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trying:
        who = socket.inet_aton(GROUP) + socket.inet_aton(interface)
        trying.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, who)


def _service_info(name: str, service: str, addrs: Sequence[Multiaddr]) -> AsyncServiceInfo:
    """What zeroconf answers: PTR and TXT for peers, SRV, A and AAAA for the tools of administrators.

    Spec: discovery/mdns.md#dns-service-discovery
    """
    from zeroconf.asyncio import AsyncServiceInfo

    ports = [addr.value_of("tcp") or addr.value_of("udp") for addr in addrs]
    ips = dict.fromkeys(addr.value_of("ip4") or addr.value_of("ip6") for addr in addrs)
    return AsyncServiceInfo(
        f"{service}.",
        f"{name}.{service}.",
        port=int(next((port for port in ports if port), "4001")),
        properties=encode_txt(addrs),
        server=f"{name}.p2p.local.",
        parsed_addresses=[ip for ip in ips if ip],
    )


def _newest(records: Iterable[Any]) -> list[bytes]:
    """What stands in a name's TXT records: one that says that it is the only one replaces all before it."""
    found = [record for record in records if not record.is_expired(_milliseconds())]
    replaced = max((record.created for record in found if record.unique), default=0.0)
    return [record.text for record in found if record.created >= replaced]


def _ask(zeroconf: Zeroconf, name: str) -> None:
    """For the TXT records of a name that came without. Spec: discovery/mdns.md#gotchas"""
    from zeroconf import DNSOutgoing, DNSQuestion  # type: ignore[attr-defined]

    question = DNSOutgoing(A_QUESTION)
    question.add_question(DNSQuestion(name, TXT, INTERNET))
    zeroconf.async_send(question)


def _milliseconds() -> float:
    from zeroconf import current_time_millis

    return current_time_millis()
