"""What the internet tells its trace: the facts from which maps, films and checks are made.

They come under the node `internet` and the layer `internet`, as events; `Film` puts them together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class PacketSent:
    """A packet left a machine, or a NAT box on the way.

    Attributes:
        number: of the packet; it keeps it through NAT boxes.
        kind: "datagram", "syn", "synack", "ack", "data", "fin" or "rst".
        source: the machine or box that it leaves.
        target: the machine or box where it arrives next.
        src, dst: the addresses on the wire, "ip:port".
        size: bytes on the wire.
        arrives_at: virtual time.
    """

    number: int
    kind: str
    source: str
    target: str
    src: str
    dst: str
    size: int
    arrives_at: float


@dataclass(frozen=True, slots=True)
class PacketDropped:
    """A packet goes no further.

    Attributes:
        number: of the packet.
        where: the machine or box; "" if it was lost on the way.
        reason: "lost", "queue full", "partition", "filtered", "no mapping", "nobody there", …
    """

    number: int
    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class MachineAdded:
    """A machine stands, with or without a peer on it.

    Attributes:
        name: what it is called.
        ips: its addresses.
        region: where it stands.
        box: the box that it is behind; "" for none.
        peer: the text of its peer's id; "" for none.
    """

    name: str
    ips: tuple[str, ...]
    region: str
    box: str
    peer: str


@dataclass(frozen=True, slots=True)
class BoxAdded:
    """A NAT box or firewall stands.

    Attributes:
        name: what it is called.
        ips: its addresses outside.
        region: where it stands.
        box: the box that it is behind itself; "" for none.
        behaviour: in words.
    """

    name: str
    ips: tuple[str, ...]
    region: str
    box: str
    behaviour: str


@dataclass(frozen=True, slots=True)
class MachineChanged:
    """A machine's state is another one now."""

    name: str
    state: Literal["up", "crashed", "frozen"]


@dataclass(frozen=True, slots=True)
class Partitioned:
    """A cable was cut.

    Attributes:
        number: of the cut.
        a, b: the names of what cannot talk any more; machines, boxes, regions.
    """

    number: int
    a: tuple[str, ...]
    b: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Healed:
    """A cut is mended."""

    number: int


@dataclass(frozen=True, slots=True)
class MappingMade:
    """A NAT box gave an inner address an outer one."""

    box: str
    protocol: str
    inside: str
    outside: str


@dataclass(frozen=True, slots=True)
class HostFailure:
    """Code on a machine raised what nobody caught."""

    host: str
    error: str


Event = (
    PacketSent
    | PacketDropped
    | MachineAdded
    | BoxAdded
    | MachineChanged
    | Partitioned
    | Healed
    | MappingMade
    | HostFailure
)
