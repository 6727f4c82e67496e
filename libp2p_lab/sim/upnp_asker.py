"""UPnP from inside: what a library does on sockets of its own elsewhere, on the sockets of a simulated machine.

    lab.PortMapping(mappers=[lab.sim.UpnpAsker()])

It is found by multicast, asked for its description, and asked in XML, as `upnp.py` answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Any
from urllib.parse import urljoin, urlsplit

from libp2p_lab.nat.port_mapper import Grant, MappingRefused, NoRouter, Outside, Wish
from libp2p_lab.sim.upnp import DEVICE, GROUP, SERVICE, SSDP_PORT

PATIENCE = 3.0  # seconds for one answer
_QUESTION = (
    f"M-SEARCH * HTTP/1.1\r\nHOST: {GROUP}:{SSDP_PORT}\r\n"
    f'MAN: "ssdp:discover"\r\nMX: 2\r\nST: {DEVICE}\r\n\r\n'
)
_TAKEN = "718"


class UpnpAsker:
    """A `Mapper` for simulated hosts."""

    name = "UPnP"

    def __init__(self) -> None:
        self.router = self.own_ip = ""
        self._control = ""

    async def external_address(self) -> Outside:
        """As `Mapper.external_address`."""
        if not self._control:
            url = await _search()
            description = await self._http("GET", url, "")
            path = _between(description, "<controlURL>", "</controlURL>")
            self._control = urljoin(url, path)
        answer = await self._ask("GetExternalIPAddress")
        ip = _between(answer, "<NewExternalIPAddress>", "</NewExternalIPAddress>")
        up = _between(await self._ask("GetStatusInfo"), "<NewUptime>", "</NewUptime>")
        return Outside(ip, int(up))

    async def map(self, wish: Wish, port: int, lifetime: int) -> Grant:
        """As `Mapper.map`."""
        await self._ask(
            "AddPortMapping",
            NewRemoteHost="",
            NewExternalPort=port,
            NewProtocol=wish.protocol.upper(),
            NewInternalPort=wish.port,
            NewInternalClient=self.own_ip,
            NewEnabled=1,
            NewPortMappingDescription="libp2p",
            NewLeaseDuration=lifetime,
        )
        return Grant(port, lifetime)

    async def unmap(self, wish: Wish, port: int) -> None:
        """As `Mapper.unmap`."""
        family = wish.protocol.upper()
        await self._ask(
            "DeletePortMapping", NewRemoteHost="", NewExternalPort=port, NewProtocol=family
        )

    async def close(self) -> None:
        """As `Mapper.close`."""
        self._control = ""

    async def _ask(self, action: str, **arguments: object) -> str:
        values = "".join(f"<{name}>{value}</{name}>" for name, value in arguments.items())
        body = (
            '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">'
            f'<s:Body><u:{action} xmlns:u="{SERVICE}">{values}</u:{action}></s:Body></s:Envelope>'
        )
        answer = await self._http("POST", self._control, body)
        if "<errorCode>" in answer:
            code = _between(answer, "<errorCode>", "</errorCode>")
            raise MappingRefused(f"the router says error {code}", is_conflict=code == _TAKEN)
        return answer

    async def _http(self, method: str, url: str, body: str) -> str:
        where = urlsplit(url)
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection(where.hostname, where.port)
                with contextlib.closing(writer):
                    self.router = str(where.hostname)
                    self.own_ip = writer.get_extra_info("sockname")[0]
                    head = f"{method} {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\n"
                    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
                    return (await reader.read()).decode()
        except (OSError, TimeoutError) as error:
            raise NoRouter(f"the router does not answer by UPnP: {error}") from None


async def _search() -> str:
    """Where the description of a router is."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()

    class Seeker(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            found = re.search(r"(?im)^location: *(\S+)", data.decode("latin-1"))
            if found and not answer.done():
                answer.set_result(found[1])

    transport, _ = await loop.create_datagram_endpoint(Seeker, local_addr=("0.0.0.0", 0))
    try:
        transport.sendto(_QUESTION.encode(), (GROUP, SSDP_PORT))
        async with asyncio.timeout(PATIENCE):
            return await answer
    except TimeoutError:
        raise NoRouter("nothing in this network answers to UPnP") from None
    finally:
        transport.close()


def _between(text: str, before: str, after: str) -> str:
    _, found, rest = text.partition(before)
    if not found:
        raise MappingRefused(f"an answer without {before}")
    return rest.partition(after)[0]
