"""A NAT box that opens ports when asked: UPnP, the service WANIPConnection:1 of an Internet gateway device.

A machine inside asks by multicast who is a gateway (SSDP, UDP port 1900). The box answers with the address of a
description, which the machine fetches by HTTP; it names the address to which requests go. Each is one XML message
(SOAP) in one HTTP POST:

    GetExternalIPAddress                 the box's outer address
    GetStatusInfo                        since how many seconds its connection is up
    AddPortMapping                       the outer port … leads to the inner address and port …, for so many seconds
    GetSpecificPortMappingEntry          where does an outer port lead?
    DeletePortMapping                    no further

A lease of 0 seconds never ends. The machine may open ports for itself only, as careful boxes do. Errors have numbers:
401 unknown action, 402 wrong arguments, 606 not yours, 714 no such mapping, 718 the port is taken.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from libp2p_lab.sim.nat_box import NatBox
from libp2p_lab.sim.nat_table import Mapping

GROUP, SSDP_PORT = "239.255.255.250", 1900
HTTP_PORT = 5000
MAX_REQUEST = 16 * 1024  # bytes of one HTTP request
READ_TIMEOUT = 10.0  # seconds for it
SERVICE = "urn:schemas-upnp-org:service:WANIPConnection:1"
DEVICE = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"
_SOUGHT = {"ssdp:all", "upnp:rootdevice", DEVICE, SERVICE}
_DESCRIPTION = f"""<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major><minor>0</minor></specVersion>
<device><deviceType>{DEVICE}</deviceType><friendlyName>NAT box</friendlyName><UDN>uuid:root</UDN><deviceList>
<device><deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType><UDN>uuid:wan</UDN><deviceList>
<device><deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType><UDN>uuid:ip</UDN><serviceList>
<service><serviceType>{SERVICE}</serviceType><serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId>
<controlURL>/control</controlURL><eventSubURL>/events</eventSubURL><SCPDURL>/service.xml</SCPDURL></service>
</serviceList></device></deviceList></device></deviceList></device></root>
"""
_ERRORS = {
    401: "Invalid Action",
    402: "Invalid Args",
    606: "Action not authorized",
    714: "NoSuchEntryInArray",
    718: "ConflictInMappingEntry",
}


class _Refused(Exception):
    """A request that the box does not follow: `args[0]` is the number of the error."""


class Ssdp(asyncio.DatagramProtocol):
    """Answers who asks for a gateway."""

    def __init__(self, box: NatBox) -> None:
        self._box = box
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: Any) -> None:
        """Join the group to which such questions go."""
        self._transport = transport
        member = socket.inet_aton(GROUP) + socket.inet_aton(self._box.gateway)
        transport.get_extra_info("socket").setsockopt(
            socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member
        )

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """A question; what is none, or asks for something else, is passed over in silence."""
        lines = data.decode("latin-1").split("\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:])
        }
        sought = headers.get("st", "")
        if lines[0] == "M-SEARCH * HTTP/1.1" and sought in _SOUGHT:
            answer = (
                "HTTP/1.1 200 OK",
                "CACHE-CONTROL: max-age=120",
                "EXT:",
                f"LOCATION: http://{self._box.gateway}:{HTTP_PORT}/device.xml",
                "SERVER: NAT UPnP/1.0 box/1",
                f"ST: {DEVICE if sought == 'ssdp:all' else sought}",
                f"USN: uuid:root::{sought}",
                "",
                "",
            )
            self._transport.sendto("\r\n".join(answer).encode(), addr)


class Upnp:
    """Follows the requests of the machines behind a box.

    Args:
        box: whose ports are opened.
        clock: gives the virtual time.
    """

    def __init__(self, box: NatBox, clock: Callable[[], float]) -> None:
        self._box = box
        self._clock = clock

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One HTTP connection: one request, one answer."""
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                head, body = await _read_request(reader)
            path = head[0].split(" ")[1]
            if head[0].startswith("GET ") and path == "/device.xml":
                status, text = "200 OK", _DESCRIPTION
            elif head[0].startswith("POST ") and path == "/control":
                status, text = self.answer(body, writer.get_extra_info("peername")[0])
            else:
                status, text = "404 Not Found", ""
            data = text.encode()
            writer.write(
                f"HTTP/1.1 {status}\r\nCONTENT-TYPE: text/xml\r\nCONTENT-LENGTH: {len(data)}\r\n"
                "CONNECTION: close\r\n\r\n".encode()
                + data
            )
            await writer.drain()
        except (OSError, EOFError, TimeoutError, ValueError, IndexError, asyncio.LimitOverrunError):
            pass  # no request of this kind: the connection ends, and that is the answer
        finally:
            writer.close()

    def answer(self, body: bytes, inner_ip: str) -> tuple[str, str]:
        """What one SOAP message of the machine `inner_ip` gets: the HTTP status, and the XML."""
        try:
            action, arguments = _parse(body)
            found = self._do(action, arguments, inner_ip)
        except _Refused as refused:
            code = int(refused.args[0])
            fault = (
                f"<errorCode>{code}</errorCode><errorDescription>{_ERRORS[code]}</errorDescription>"
            )
            detail = f'<UPnPError xmlns="urn:schemas-upnp-org:control-1-0">{fault}</UPnPError>'
            text = (
                "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring>"
                f"<detail>{detail}</detail></s:Fault>"
            )
            return "500 Internal Server Error", _envelope(text)
        values = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in found.items())
        return "200 OK", _envelope(
            f'<u:{action}Response xmlns:u="{SERVICE}">{values}</u:{action}Response>'
        )

    def _do(self, action: str, given: dict[str, str], inner_ip: str) -> dict[str, object]:
        if action == "GetExternalIPAddress":
            return {"NewExternalIPAddress": self._box.ips[0]}
        if action == "GetStatusInfo":
            return {
                "NewConnectionStatus": "Connected",
                "NewLastConnectionError": "ERROR_NONE",
                "NewUptime": int(self._clock() - self._box.started),
            }
        if action not in ("AddPortMapping", "DeletePortMapping", "GetSpecificPortMappingEntry"):
            raise _Refused(401)
        protocol = given.get("NewProtocol", "").lower()
        outer = _number(given, "NewExternalPort", 65_535)
        if protocol not in ("tcp", "udp") or not outer:
            raise _Refused(402)
        if action == "AddPortMapping":
            self._add(given, protocol, outer, inner_ip)
            return {}
        mapping = self._mapping(protocol, outer)
        if mapping is None:
            raise _Refused(714)
        if action == "GetSpecificPortMappingEntry":
            left = mapping.expires - self._clock()
            return {
                "NewInternalPort": mapping.inside[1],
                "NewInternalClient": mapping.inside[0],
                "NewEnabled": 1,
                "NewPortMappingDescription": "",
                "NewLeaseDuration": 0 if left == float("inf") else int(left),
            }
        if mapping.inside[0] != inner_ip:
            raise _Refused(606)
        self._box.table.remove_forward(protocol, mapping.inside)
        return {}

    def _add(self, given: dict[str, str], protocol: str, outer: int, inner_ip: str) -> None:
        inner = _number(given, "NewInternalPort", 65_535)
        lease = _number(given, "NewLeaseDuration", 1 << 32)
        client = given.get("NewInternalClient", "")
        if not inner:
            raise _Refused(402)
        if client != inner_ip:
            raise _Refused(606)
        expires = self._clock() + lease if lease else float("inf")
        if self._box.table.forward(protocol, outer, (client, inner), expires) is None:
            raise _Refused(718)

    def _mapping(self, protocol: str, outer: int) -> Mapping | None:
        for mapping in self._box.table.mappings(self._clock()):
            if mapping.is_static and (mapping.key[0], mapping.outside[1]) == (protocol, outer):
                return mapping
        return None


async def _read_request(reader: asyncio.StreamReader) -> tuple[list[str], bytes]:
    """The lines of the head, and the body.

    Raises: `ValueError` for one that is too long, `EOFError` for one that is cut off.
    """
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    length = 0
    for line in head[1:]:
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-length":
            length = int(value)
    if not 0 <= length <= MAX_REQUEST:
        raise ValueError("a body too long")
    return head, await reader.readexactly(length)


def _parse(body: bytes) -> tuple[str, dict[str, str]]:
    """The action and its arguments."""
    if b"<!" in body:  # no definitions of entities
        raise _Refused(402)
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        raise _Refused(402) from None
    action = next((e for e in root.iter() if e.tag.startswith("{" + SERVICE + "}")), None)
    if action is None:
        raise _Refused(401)
    return action.tag.partition("}")[2], {part.tag: (part.text or "").strip() for part in action}


def _number(given: dict[str, str], name: str, most: int) -> int:
    text = given.get(name, "")
    if not text.isascii() or not text.isdigit() or int(text) > most:
        raise _Refused(402)
    return int(text)


def _envelope(body: str) -> str:
    return (
        '<?xml version="1.0"?>\n<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
        f's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>{body}</s:Body></s:Envelope>\n'
    )
