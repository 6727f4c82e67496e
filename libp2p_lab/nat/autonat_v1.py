"""AutoNAT version 1: the whole of me, please: can you call me at one of these?

    client ── Dial: who I am, where I might be ──▶ server
           ◀═══ a new connection ════════════════
           ◀── DialResponse: OK and where, or an error ──

What it lacks, version 2 (autonat.py) has. The server speaks of the peer, not of an address: so we ask about one address
at a time. And nobody proves anything: a server that says OK without dialing is believed, until others say otherwise.

A server dials only the IP address at which it sees the asker: or else anybody could have it call a victim. So it cannot
help somebody who asks through a relay, and does not.

Where implementations part: py-libp2p has a protocol of this name with messages of its own (`/ipfs/autonat/1.0.0`): that
is another protocol. js-libp2p 3.3.11 as a server takes the connection that there is for the one it was to make, and
closes it: whoever asks it loses the connection, and learns nothing.

On the stream each message stands behind its length as a varint.

Spec: autonat/autonat-v1.md
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from libp2p_lab.errors import LabError, LocalError, MalformedMessage, ProtocolViolation
from libp2p_lab.host.peerstore import PeerInfo
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.multiplexing.muxed_stream import MuxedStream
from libp2p_lab.nat.pb import autonat_v1_pb2 as pb
from libp2p_lab.nat.reachability import RateLimit, Verdict
from libp2p_lab.transports.public import is_public

if TYPE_CHECKING:
    from libp2p_lab.host.host import Host

PROTOCOL = "/libp2p/autonat/1.0.0"
DIAL, DIAL_RESPONSE = 0, 1  # the types of messages
MAX_MESSAGE = 8192  # bytes, without the length
MAX_ADDRS = 16  # of one request that are looked at
MAX_TEXT = 200  # characters of a reason that are kept


class Status(IntEnum):
    """What became of a question."""

    OK = 0
    E_DIAL_ERROR = 100
    E_DIAL_REFUSED = 101
    E_BAD_REQUEST = 200
    E_INTERNAL_ERROR = 300


@dataclass(frozen=True, slots=True)
class Dial:
    """Call me at one of these.

    Attributes:
        peer: who asks; it must be whose connection it is.
        addrs: those that parse, `MAX_ADDRS` at most.
    """

    peer: PeerId
    addrs: tuple[Multiaddr, ...]

    def encode(self) -> bytes:
        """The protobuf's bytes."""
        addrs = [addr.to_bytes() for addr in self.addrs]
        peer = pb.AutoNatV1Message.PeerInfo(id=bytes(self.peer), addrs=addrs)
        dial = pb.AutoNatV1Message.Dial(peer=peer)
        return pb.AutoNatV1Message(type=DIAL, dial=dial).SerializeToString()


@dataclass(frozen=True, slots=True)
class DialResponse:
    """What came of it.

    Attributes:
        addr: where the asker was reached; None if it was not, or if the server does not say.
    """

    status: Status
    text: str = ""
    addr: Multiaddr | None = None

    def encode(self) -> bytes:
        """The protobuf's bytes."""
        said = pb.AutoNatV1Message.DialResponse(status=self.status)
        if self.text:
            said.statusText = self.text
        if self.addr is not None:
            said.addr = self.addr.to_bytes()
        return pb.AutoNatV1Message(type=DIAL_RESPONSE, dialResponse=said).SerializeToString()


def decode(data: bytes) -> Dial | DialResponse:
    """Read a message.

    Raises: `MalformedMessage` if it does not parse, lacks what its type says, or has a status that is not known.
    """
    message = pb.AutoNatV1Message()
    try:
        message.ParseFromString(data)
        if message.type == DIAL and message.HasField("dial"):
            peer = PeerId(message.dial.peer.id)
            found = (_addr(addr) for addr in message.dial.peer.addrs[:MAX_ADDRS])
            return Dial(peer, tuple(addr for addr in found if addr is not None))
        if message.type == DIAL_RESPONSE and message.HasField("dialResponse"):
            said = message.dialResponse
            where = _addr(said.addr) if said.HasField("addr") else None
            return DialResponse(Status(said.status), said.statusText[:MAX_TEXT], where)
    except (DecodeError, ValueError) as error:
        raise MalformedMessage(f"AutoNAT message does not parse: {error}") from None
    raise MalformedMessage("an AutoNAT message of no kind")


def _addr(data: bytes) -> Multiaddr | None:
    try:
        return Multiaddr(data)
    except MalformedMessage:
        return None


def may_dial(addr: Multiaddr, seen_at: Multiaddr, allow_private: bool = False) -> bool:
    """Whether a server may dial an address for somebody that it sees at another: on the same IP address alone.

    Spec: autonat/autonat-v1.md#autonat-protocol
    """
    ip = addr.value_of("ip4") or addr.value_of("ip6")
    seen = seen_at.value_of("ip4") or seen_at.value_of("ip6")
    if ip is None or ip != seen or "p2p-circuit" in addr.names:
        return False
    return allow_private or is_public(addr)


class AutoNATv1:
    """Asks by version 1, and answers. `AutoNAT` has one of these, and puts together what several servers say.

    Args:
        serve: whether we try for others.
        allow_private: whether private addresses are dialed: for laboratories and houses.
        dialer: makes the host that dials back; None for one like ours, with a key of its own and without listening.
    """

    name = "autonat_v1"

    def __init__(
        self,
        *,
        serve: bool = True,
        allow_private: bool = False,
        dialer: Callable[[], Host] | None = None,
    ) -> None:
        self._serve = serve
        self._allow_private = allow_private
        self._make_dialer = dialer
        self._dialing = 0
        self._host: Host

    def attach(self, host: Host) -> None:
        """As `Service.attach`."""
        self._host = host
        self._rate = RateLimit(host.limits)
        if self._serve:
            host.set_handler(PROTOCOL, self._answer, max_streams_per_peer=2)

    async def close(self) -> None:
        """As `Service.close`."""

    async def ask(self, server: PeerId, addr: Multiaddr) -> Verdict:
        """Let a server that is connected try one address.

        Raises: `LocalError` if it did not try; `ProtocolViolation`, `MalformedMessage` if it breaks the rules;
            `NegotiationError`, `TimeoutError`.
        """
        async with asyncio.timeout(self._host.limits.autonat_timeout):
            stream = await self._host.open_stream(server, PROTOCOL)
            try:
                await self._send(stream, Dial(self._host.peer_id, (addr.without_peer(),)))
                response = await self._receive(stream)
            except BaseException:
                await stream.reset()
                raise
            await stream.close()
        if not isinstance(response, DialResponse):
            raise ProtocolViolation("a question in the place of a DialResponse")
        if response.status not in (Status.OK, Status.E_DIAL_ERROR):
            raise LocalError(
                f"{server.short()} did not try: {response.status.name} {response.text}"
            )
        reached = response.status is Status.OK
        if (
            reached
            and response.addr is not None
            and response.addr.without_peer() != addr.without_peer()
        ):
            raise ProtocolViolation("reached at an address that was not asked about")
        return Verdict(server, addr.without_peer(), reached)

    async def _answer(self, stream: MuxedStream) -> None:
        async with asyncio.timeout(self._host.limits.autonat_timeout):
            request = await self._receive(stream)
            if not isinstance(request, Dial):
                raise ProtocolViolation("a DialResponse in the place of a Dial")
            await self._send(stream, await self._try(stream.connection, request))
            await stream.close()

    async def _try(self, connection: MuxedConnection, request: Dial) -> DialResponse:
        peer, limits = connection.remote_peer, self._host.limits
        if request.peer != peer:
            return DialResponse(Status.E_BAD_REQUEST, "another peer than the one that asks")
        if connection.relayed:
            return DialResponse(
                Status.E_DIAL_REFUSED, "who asks through a relay has no address here"
            )
        now = asyncio.get_running_loop().time()
        if self._dialing >= limits.autonat_dials or not self._rate.allows(peer, now):
            return DialResponse(Status.E_DIAL_REFUSED, "too many questions")
        dialer = self._dialer()
        addrs = [
            addr.without_peer()
            for addr in request.addrs
            if may_dial(addr, connection.remote_addr, self._allow_private) and dialer.can_dial(addr)
        ]
        if not addrs:
            return DialResponse(Status.E_DIAL_REFUSED, "no address that may be dialed")
        self._dialing += 1
        try:
            async with dialer, asyncio.timeout(limits.autonat_dial_timeout):
                reached = await dialer.connect(PeerInfo(peer, addrs))
        except (LabError, OSError) as error:  # a time-out among them
            return DialResponse(Status.E_DIAL_ERROR, str(error)[:MAX_TEXT])
        finally:
            self._dialing -= 1
        where = reached.remote_addr.without_peer()
        return DialResponse(Status.OK, addr=where if where in addrs else None)

    def _dialer(self) -> Host:
        """Somebody else, without a listening port: a NAT's door that our connection has opened must not help."""
        if self._make_dialer is not None:
            return self._make_dialer()
        from libp2p_lab.host.host import Host

        return Host(services=[], limits=self._host.limits)

    async def _send(self, stream: MuxedStream, message: Dial | DialResponse) -> None:
        probe = stream.probe.on("autonat")
        if probe.trace.listeners:
            probe.emit("sent", message)
        await stream.write_message(message.encode())

    async def _receive(self, stream: MuxedStream) -> Dial | DialResponse:
        message = decode(await stream.read_message(MAX_MESSAGE))
        probe = stream.probe.on("autonat")
        if probe.trace.listeners:
            probe.emit("received", message)
        return message
