"""What travels: one datagram, or one step of a TCP connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from libp2p_lab.sim.machine import Machine
    from libp2p_lab.sim.nat_box import NatBox
    from libp2p_lab.sim.network import Cut
    from libp2p_lab.sim.tcp import TcpConnection

#: An address on the network: IP (as text, in its shortest form) and port.
Endpoint = tuple[str, int]

#: "datagram" is UDP; the others are TCP. "data" may stand for several packets that travel together.
Kind = Literal["datagram", "syn", "synack", "ack", "data", "fin", "rst"]

MTU = 1500  # bytes of a packet on the wire, at most
TCP_HEADER = 52  # bytes of IPv4 and TCP with timestamps
UDP_HEADER = 28  # bytes of IPv4 and UDP
MSS = MTU - TCP_HEADER  # bytes of data in one TCP packet


class Packet:
    """A packet on its way. NAT boxes rewrite `src` and `dst`.

    Attributes:
        kind: what it is.
        src, dst: where from and where to, as the wire says now.
        payload: the data.
        size: bytes on the wire, headers included.
        seq: TCP: number of the first byte of `payload` in its direction.
        sender: TCP: the connection's end that sent it, which is told of a loss.
        origin: the machine that sent it.
        sent_at: when.
        first_src, first_dst: `src` and `dst` before any box touched them.
        cuts: partitions that held when it was sent.
        target: where it arrives next.
        number: counts all packets of the internet.
        is_repeat: TCP: it was sent before, and lost.
    """

    __slots__ = (
        "cuts",
        "dst",
        "first_dst",
        "first_src",
        "is_repeat",
        "kind",
        "number",
        "origin",
        "payload",
        "sender",
        "sent_at",
        "seq",
        "size",
        "src",
        "target",
    )

    def __init__(
        self,
        kind: Kind,
        src: Endpoint,
        dst: Endpoint,
        payload: bytes,
        size: int,
        origin: Machine,
        seq: int = 0,
        sender: TcpConnection | None = None,
    ) -> None:
        self.kind: Kind = kind
        self.src = self.first_src = src
        self.dst = self.first_dst = dst
        self.payload = payload
        self.size = size
        self.seq = seq
        self.sender = sender
        self.origin = origin
        self.sent_at = 0.0
        self.cuts: tuple[Cut, ...] = ()
        self.number = 0
        self.is_repeat = False
        self.target: Machine | NatBox = origin

    @property
    def protocol(self) -> Literal["udp", "tcp"]:
        """What a NAT box keeps apart."""
        return "udp" if self.kind == "datagram" else "tcp"

    def __repr__(self) -> str:
        return f"<{self.kind} {self.src} → {self.dst} {self.size} B>"


def packets_in(size: int) -> int:
    """How many packets on the wire carry `size` bytes of data."""
    return max(1, -(-size // MSS))
