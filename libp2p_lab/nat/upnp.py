"""UPnP to the router of this house, by miniupnpc: a `Mapper`.

The library asks by multicast who is a gateway, reads its description by HTTP and sends it requests in XML. It has
sockets of its own and waits for the answers, so each call runs in a thread, and is not waited for without end. While
one hangs, no other begins: there is never more than one such thread.

UPnP has no epoch. How long the router's connection has been up does as well.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from libp2p_lab.errors import LabError, MalformedMessage, ProtocolViolation
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.nat.port_mapper import Grant, MappingRefused, NoRouter, Outside, Wish

T = TypeVar("T")
DESCRIPTION = "libp2p"  # stands in the router's list of open ports
_CONFLICT = "ConflictInMappingEntry"
_FOREVER_ONLY = "OnlyPermanentLeasesSupported"


def load_library() -> Any:
    """miniupnpc, which is imported when a router is looked for.

    Raises: `NoRouter` if it is not installed.
    """
    try:
        import miniupnpc
    except ImportError:
        raise NoRouter("miniupnpc is not installed") from None
    return miniupnpc.UPnP()


class Upnp:
    """Asks the router that answers to UPnP.

    Args:
        limits: how long a call may take.
        load: gives the library's object; tests have others.

    Attributes:
        name, router, own_ip: as `Mapper`.
    """

    name = "UPnP"

    def __init__(
        self, *, limits: Limits = DEFAULT_LIMITS, load: Callable[[], Any] = load_library
    ) -> None:
        self.router = ""
        self.own_ip = ""
        self._limits = limits
        self._load = load
        self._upnp: Any = None
        self._running: asyncio.Future[Any] | None = None

    async def external_address(self) -> Outside:
        """As `Mapper.external_address`. A router that was switched off and on may answer at another place."""
        if self._upnp is None:
            self._upnp = await self._call(self._discover)
        upnp = self._upnp
        try:
            ip, status = await self._call(lambda: (upnp.externalipaddress(), upnp.statusinfo()))
        except LabError:
            self._upnp = None  # to be found anew the next time
            raise
        return Outside(_checked_ip(ip), _uptime(status))

    def _discover(self) -> Any:
        """In the thread: find the router."""
        upnp = self._load()
        upnp.discoverdelay = int(self._limits.port_map_discover * 1000)
        if not upnp.discover():
            raise NoRouter("nothing in this network answers to UPnP")
        url = upnp.selectigd()
        host = urlsplit(str(url)).hostname or ""
        if not _is_local(host):
            raise ProtocolViolation(f"what calls itself the router would be asked at {url}")
        self.router, self.own_ip = host, upnp.lanaddr
        return upnp

    async def map(self, wish: Wish, port: int, lifetime: int) -> Grant:
        """As `Mapper.map`. Old routers know no end of a lease."""
        for seconds in (lifetime, 0):
            try:
                await self._call(lambda: self._add(wish, port, seconds))  # noqa: B023
            except MappingRefused as refused:
                if _FOREVER_ONLY not in str(refused) or not seconds:
                    raise
            else:
                return Grant(port, seconds)
        raise AssertionError("the second of the two returns or raises")

    def _add(self, wish: Wish, port: int, seconds: int) -> None:
        if self._upnp is None:
            raise NoRouter("the router does not answer by UPnP any more")
        family = wish.protocol.upper()
        arguments = port, family, self.own_ip, wish.port, DESCRIPTION, "", seconds
        if not self._upnp.addportmapping(*arguments):
            raise MappingRefused("the router opens no port, and does not say why")

    async def unmap(self, wish: Wish, port: int) -> None:
        """As `Mapper.unmap`."""
        upnp = self._upnp
        if upnp is not None:
            await self._call(lambda: upnp.deleteportmapping(port, wish.protocol.upper()))

    async def close(self) -> None:
        """As `Mapper.close`. A call that hangs ends by the library's own limits."""
        self._upnp = None

    async def _call(self, function: Callable[[], T]) -> T:
        """Run a call of the library in a thread.

        Raises: `NoRouter` if it takes too long; `MappingRefused` for the library's own errors; what `function` raises.
        """
        if self._running is not None and not self._running.done():
            raise NoRouter("the router has not answered the last question yet")
        running = asyncio.get_running_loop().run_in_executor(None, function)
        self._running = running
        limit = self._limits.port_map_upnp_timeout
        done, _ = await asyncio.wait({running}, timeout=limit)
        if not done:
            raise NoRouter(f"the router has not answered by UPnP within {limit:.0f} s")
        error = running.exception()
        if error is None:
            return running.result()
        if type(error) is Exception:  # all that the library ever raises
            reason = str(error)
            raise MappingRefused(f"the router says {reason}", is_conflict=_CONFLICT in reason)
        raise error


def _checked_ip(ip: object) -> str:
    """Raises: `MalformedMessage` for what is no IPv4 address."""
    try:
        found = ipaddress.IPv4Address(str(ip))
    except ValueError:
        raise MalformedMessage(f"the router's outer address is {str(ip)[:60]!r}") from None
    return "" if found.is_unspecified else str(found)


def _uptime(status: Any) -> int | None:
    """Seconds that the router's connection has been up; routers that do not count say 0."""
    if isinstance(status, tuple) and len(status) > 1 and isinstance(status[1], int) and status[1]:
        return int(status[1])
    return None


def _is_local(host: str) -> bool:
    """Whether this is in the house: a router is not somewhere in the Internet."""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return False
    return found.is_private or found.is_link_local
