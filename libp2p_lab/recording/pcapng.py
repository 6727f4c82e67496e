"""Recordings for Wireshark, with what was encrypted in the clear: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-04.html

A file is a row of blocks: one that says what the file is, one for each interface, one for each packet.

    | type 4 | length 4 | body, padded to 4 | length 4 |        all little-endian here

    section header        | magic 4 | version 2 + 2 | section length 8 | options |
    interface             | link type 2 | 0 2 | longest packet 4 | options |
    enhanced packet       | interface 4 | time 8 | bytes here 4 | bytes in all 4 | data, padded | options |

    options               | code 2 | length 2 | value, padded | … | 0 4 |

Each layer is an interface, so that `frame.interface_name == "muxer"` shows one layer. A packet is what Wireshark calls
an exported PDU: tags that say who sent it to whom and what to show in the list, then the bytes. The comment of each
packet says it all once more, for other programs.

    tags                  | code 2 | length 2 | value, padded | … | 0 4 |        all big-endian
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, ip_address
from pathlib import Path

from libp2p_lab.errors import LabError
from libp2p_lab.host.events import ConnectionOpened
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.recording.summary import summary
from libp2p_lab.security.noise import NoiseMessage
from libp2p_lab.security.noise_xx import HandshakeMessage
from libp2p_lab.security.tls_records import TlsRecord
from libp2p_lab.trace import LAYERS, Entry

SECTION, INTERFACE, PACKET = 0x0A0D0D0A, 1, 6  # types of blocks
BYTE_ORDER = 0x1A2B3C4D
UPPER_PDU = 252  # the link type of exported PDUs
LONGEST = 262_144  # bytes; Wireshark refuses files with longer packets

# Options, by the kind of their block.
COMMENT, APPLICATION = 1, 4
IF_NAME, IF_DESCRIPTION, IF_TIME_RESOLUTION = 2, 3, 9
PACKET_FLAGS = 2

# Tags of an exported PDU.
DISSECTOR, PROTOCOL_TEXT, INFO_TEXT = 12, 33, 36
IPV4_SOURCE, IPV4_DESTINATION, IPV6_SOURCE, IPV6_DESTINATION = 20, 21, 22, 23
PORT_TYPE, SOURCE_PORT, DESTINATION_PORT = 24, 25, 26
PORTS_OF_TCP = 2

#: What Wireshark takes the bytes of a layer for, where it knows better than "data".
DISSECTORS = {"identify": "protobuf", "fetch": "protobuf", "host": "data-text-lines"}

DESCRIPTIONS = {
    "transport": "bytes on the wire, as they went",
    "negotiation": "multistream-select, line by line",
    "security": "handshake messages and decrypted messages",
    "muxer": "frames inside the secure channel",
    "stream": "what applications wrote and read",
    "host": "events inside the node, as text",
}

#: The two ends of a connection: local, remote.
Ends = tuple[Multiaddr, Multiaddr]


def save(path: str | Path, entries: Iterable[Entry], *, epoch: float) -> None:
    """Write a recording.

    Args:
        path: the file.
        entries: the oldest first.
        epoch: seconds between 1970 and the zero of their clock.
    """
    entries = tuple(entries)
    layers = sorted({entry.layer for entry in entries}, key=_place)
    ends = _ends(entries)
    with Path(path).open("wb") as file:
        file.write(section_header())
        for layer in layers:
            file.write(interface(layer, DESCRIPTIONS.get(layer, "messages of this protocol")))
        for entry in entries:
            data = tags(entry, ends.get(_connection(entry))) + contents(entry)
            nanoseconds = max(0, round(epoch * 1e9) + round(entry.time * 1e9))
            file.write(packet(layers.index(entry.layer), nanoseconds, data, entry))


# -- blocks -----------------------------------------------------------------------------------------------------


def section_header() -> bytes:
    """The first block."""
    body = struct.pack("<IHHq", BYTE_ORDER, 1, 0, -1)
    return _block(SECTION, body + _options("<", (APPLICATION, b"libp2p_lab")))


def interface(name: str, description: str) -> bytes:
    """One layer."""
    body = struct.pack("<HHI", UPPER_PDU, 0, LONGEST)
    options = _options(
        "<",
        (IF_NAME, name.encode()),
        (IF_DESCRIPTION, description.encode()),
        (IF_TIME_RESOLUTION, b"\x09"),  # nanoseconds
    )
    return _block(INTERFACE, body + options)


def packet(number: int, nanoseconds: int, data: bytes, entry: Entry) -> bytes:
    """One entry on interface `number`; what is too long is cut off."""
    kept = data[:LONGEST]
    body = struct.pack(
        "<IIIII", number, nanoseconds >> 32, nanoseconds & 0xFFFFFFFF, len(kept), len(data)
    )
    inbound = {"received": 1, "sent": 2}.get(entry.direction, 0)
    options = _options(
        "<", (COMMENT, comment(entry).encode()), (PACKET_FLAGS, struct.pack("<I", inbound))
    )
    return _block(PACKET, body + _padded(kept) + options)


def _block(kind: int, body: bytes) -> bytes:
    length = len(body) + 12
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def _options(order: str, *options: tuple[int, bytes]) -> bytes:
    parts = [
        struct.pack(f"{order}HH", code, len(value)) + _padded(value) for code, value in options
    ]
    return b"".join(parts) + bytes(4)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


# -- what a packet says -----------------------------------------------------------------------------------------


def contents(entry: Entry) -> bytes:
    """The bytes to show: of the security layer what is inside, of an event its text."""
    match entry.what:
        case NoiseMessage(plaintext=plaintext):
            return plaintext
        case TlsRecord(record=record, plaintext=plaintext):
            return plaintext or record
        case HandshakeMessage() as message:
            return message.ephemeral + message.static_key + message.plaintext
        case what:
            return entry.payload() or summary(what).encode()


def comment(entry: Entry) -> str:
    """Layer, link, direction, number, summary; who tells it stands in front."""
    return f"{entry.node}: {entry.layer} {place(entry)}: {summary(entry.what)}"


def place(entry: Entry) -> str:
    """`3/5 sent #0`, or `3` for an event there."""
    if entry.direction == "event":
        return entry.link or "-"
    return f"{entry.link} {entry.direction} #{entry.number}"


def tags(entry: Entry, ends: Ends | None) -> bytes:
    """What stands before the bytes."""
    info = f"…{entry.node[-6:]} {place(entry)}: {summary(entry.what)}"
    found = [
        (DISSECTOR, DISSECTORS.get(entry.layer, "data").encode()),
        (PROTOCOL_TEXT, entry.layer.encode()),
        (INFO_TEXT, info.encode()),
    ]
    if ends is not None and entry.direction != "event":
        local, remote = ends
        source, destination = (local, remote) if entry.direction == "sent" else (remote, local)
        found += _address(source, (IPV4_SOURCE, IPV6_SOURCE, SOURCE_PORT))
        found += _address(destination, (IPV4_DESTINATION, IPV6_DESTINATION, DESTINATION_PORT))
    return _options(">", *((code, _padded(value)) for code, value in found))


def _address(addr: Multiaddr, codes: tuple[int, int, int]) -> list[tuple[int, bytes]]:
    """The tags for one end, if it has an IP address."""
    text = addr.value_of("ip4") or addr.value_of("ip6")
    port = addr.value_of("tcp") or addr.value_of("udp")
    if text is None or port is None:
        return []
    ip = ip_address(text)
    code = codes[0] if isinstance(ip, IPv4Address) else codes[1]
    return [
        (code, ip.packed),
        (PORT_TYPE, struct.pack(">I", PORTS_OF_TCP)),
        (codes[2], struct.pack(">I", int(port))),
    ]


def _ends(entries: Iterable[Entry]) -> dict[tuple[str, str], Ends]:
    """The addresses of each connection, by node and link."""
    found = {}
    for entry in entries:
        if isinstance(entry.what, ConnectionOpened):
            try:
                ends = Multiaddr(entry.what.local_addr), Multiaddr(entry.what.remote_addr)
            except LabError:
                continue  # a name that is no address stays out of the columns
            found[entry.node, entry.link] = ends
    return found


def _connection(entry: Entry) -> tuple[str, str]:
    return entry.node, entry.link.partition("/")[0]


def _place(layer: str) -> tuple[int, str]:
    """From the wire upwards, then the protocols, then the host."""
    order = [name for name in LAYERS if name != "host"]
    if layer in order:
        return order.index(layer), ""
    return (len(order) + (layer == "host")), layer
