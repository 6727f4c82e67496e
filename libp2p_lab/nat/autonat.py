"""AutoNAT version 2: can I be called? Nobody can find out alone. So one asks others to try.

    verdict = await host.autonat.ask(server)        one server tries one address
    host.autonat.reachability                       "unknown", "public" or "private", after several
    host.autonat.per_address                        the same for each address

The server dials from a port at which it does not listen, and as another peer: a NAT that lets it in through the door
that our own connection to it has opened would prove nothing. And it dials where it sees us; for any other IP address
it wants to be paid first, 30 to 100 thousand bytes, so that nobody has it call a victim for nothing.

The client believes a dial only if its own nonce arrives, and an address only if more than three servers agree.

What is found to be unreachable we no longer tell others (`host.withhold`), and it is asked about again every quarter
of an hour.

Who knows only version 1 (autonat_v1.py) is asked by that, and answered.

Misconception: AutoNAT opens ports. It only looks.

Spec: autonat/autonat-v2.md
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from libp2p_lab.errors import LabError, LocalError, ProtocolViolation
from libp2p_lab.host.peerstore import PeerInfo
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.multiplexing.muxed_stream import MuxedStream
from libp2p_lab.nat.autonat_messages import (
    BACK_PROTOCOL,
    DIAL_PROTOCOL,
    MAX_DATA,
    MAX_MESSAGE,
    DialDataRequest,
    DialDataResponse,
    DialRequest,
    DialResponse,
    DialStatus,
    Message,
    ResponseStatus,
    decode,
    decode_dial_back,
    encode_dial_back,
)
from libp2p_lab.nat.autonat_v1 import PROTOCOL as DIAL_V1_PROTOCOL
from libp2p_lab.nat.autonat_v1 import AutoNATv1
from libp2p_lab.nat.events import AddrJudged, ReachabilityChanged
from libp2p_lab.nat.reachability import SERVERS, Judge, RateLimit, Reachability, Verdict
from libp2p_lab.transports.public import is_public
from libp2p_lab.wire.byte_stream import read_message_or_end

if TYPE_CHECKING:
    from libp2p_lab.host.host import Host, PeerRef

CHEAPEST, DEAREST = 30_000, 100_000  # bytes that a dial elsewhere costs the asker; the spec
ASKED_AT_ONCE = 4  # servers, when we ask by ourselves
REMEMBERED = 64  # nonces


class AutoNAT:
    """Asks others whether we can be called, and tries for others.

    Args:
        serve: whether we try for others.
        allow_private: whether private addresses are asked about and dialed: for laboratories and houses.
        servers: how many must agree.
        automatic: whether it asks by itself whoever can try, and is connected.
        dialer: makes the host that dials back; None for one like ours, with a key of its own and without listening.

    Attributes:
        reachability: of us as a whole.
    """

    name = "autonat"

    def __init__(
        self,
        *,
        serve: bool = True,
        allow_private: bool = False,
        servers: int = SERVERS,
        automatic: bool = True,
        dialer: Callable[[], Host] | None = None,
    ) -> None:
        self._serve = serve
        self._automatic = automatic
        self._allow_private = allow_private
        self._judge = Judge(servers)
        self._make_dialer = dialer
        self._version_1 = AutoNATv1(serve=serve, allow_private=allow_private, dialer=dialer)
        self._callbacks: list[Callable[[Reachability], None]] = []
        self._nonces: OrderedDict[int, asyncio.Event] = OrderedDict()  # of questions that are open
        self._dialing = 0
        self._asking = asyncio.Semaphore(ASKED_AT_ONCE)
        self._known: frozenset[Multiaddr] = frozenset()
        self.reachability: Reachability = "unknown"
        self._host: Host

    def attach(self, host: Host) -> None:
        """As `Service.attach`."""
        self._host = host
        self._rate = RateLimit(host.limits)
        self._version_1.attach(host)
        host.set_handler(BACK_PROTOCOL, self._take_dial_back, max_streams_per_peer=2)
        if self._serve:
            host.set_handler(DIAL_PROTOCOL, self._answer, max_streams_per_peer=2)
        if self._automatic:
            host.on_connect(self._on_connect)
            host.on_change(self._on_change)
            host.on_start(lambda: self._begin(host))

    async def close(self) -> None:
        """As `Service.close`."""

    def on_change(self, callback: Callable[[Reachability], None]) -> None:
        """Call `callback` with each change of `reachability`."""
        self._callbacks.append(callback)

    @property
    def per_address(self) -> dict[Multiaddr, Reachability]:
        """What is known of each of our addresses."""
        return {addr: self._judge.of(addr) for addr in self._own_addrs()}

    # -- asking -------------------------------------------------------------------------------------------------------

    def _own_addrs(self) -> list[Multiaddr]:
        plain = [addr.without_peer() for addr in self._host.candidate_addrs]
        return [
            addr for addr in plain if "p2p-circuit" not in addr.names and self._may_be_asked(addr)
        ]

    def _may_be_asked(self, addr: Multiaddr) -> bool:
        return self._allow_private or is_public(addr)

    def _on_connect(self, connection: MuxedConnection) -> None:
        if not connection.relayed:
            self._host.create_task(self._ask_newcomer(connection.remote_peer))

    def _on_change(self) -> None:
        """Where we can be called shows late, by what others see: those who are here by then are asked about it."""
        addrs = frozenset(self._own_addrs())
        if addrs - self._known:
            for server in {c.remote_peer for c in self._host.connections if not c.relayed}:
                self._host.create_task(self._ask_newcomer(server))
        self._known = addrs

    def _begin(self, host: Host) -> None:
        host.create_task(self._recheck())

    async def _recheck(self) -> None:
        """A router is replaced, a port closed: what was so a quarter of an hour ago is asked about again.

        Spec: autonat/autonat-v1.md#autonat-protocol
        """
        host = self._host
        while True:
            await asyncio.sleep(host.limits.autonat_recheck * host.rng.uniform(0.9, 1.1))
            connected = list({c.remote_peer: None for c in host.connections if not c.relayed})
            host.rng.shuffle(connected)
            asked = 0
            for server in connected:
                with contextlib.suppress(LabError, OSError):
                    if not await self._can_try(server):
                        continue
                    asked += 1
                    addrs = self._own_addrs()
                    host.rng.shuffle(addrs)  # a server tries the first
                    await self.ask(server, addrs)
                if asked >= host.limits.autonat_recheck_servers:
                    break

    async def _can_try(self, server: PeerId) -> bool:
        protocols = (await self._host.identify_result(server)).protocols
        return DIAL_PROTOCOL in protocols or DIAL_V1_PROTOCOL in protocols

    async def _ask_newcomer(self, server: PeerId) -> None:
        """Somebody is connected that could try: an address that is not settled, and that it has not tried."""
        with contextlib.suppress(LabError, OSError):
            if not await self._can_try(server):
                return
            async with self._asking:
                open_questions = [
                    addr
                    for addr in self._own_addrs()
                    if self._judge.of(addr) == "unknown" and not self._judge.has_heard(addr, server)
                ]
                if open_questions:
                    await self.ask(server, open_questions)

    async def ask(self, server: PeerRef, addrs: Sequence[Multiaddr | str] | None = None) -> Verdict:
        """Let one server try one of these addresses: the first that it is willing to dial.

        One that knows version 1 alone is asked about the first.

        Args:
            server: who.
            addrs: the most important first; our own that are not private if not given.

        Raises: `LocalError` if there is nothing to ask about, or the server refuses; `ProtocolViolation` if it breaks
            the rules; `DialError`, `NegotiationError`, `TimeoutError`.

        Spec: autonat/autonat-v2.md
        """
        asked = self._own_addrs()
        if addrs is not None:
            asked = [Multiaddr(addr) if isinstance(addr, str) else addr for addr in addrs]
        if not asked:
            raise LocalError(
                "no address of ours could be reached from outside: there is nothing to ask"
            )
        connection = await self._host.connect(server)
        if await self._knows_version_1_alone(connection.remote_peer):
            verdict = await self._version_1.ask(connection.remote_peer, asked[0])
            self._take(verdict)
            return verdict
        nonce = self._host.rng.getrandbits(64)
        arrived = self._nonces[nonce] = asyncio.Event()
        if len(self._nonces) > REMEMBERED:
            self._nonces.popitem(last=False)
        try:
            async with asyncio.timeout(self._host.limits.autonat_timeout):
                stream = await self._host.open_stream(connection.remote_peer, DIAL_PROTOCOL)
                try:
                    response = await self._talk(stream, DialRequest(tuple(asked), nonce))
                except BaseException:
                    await stream.reset()
                    raise
                await stream.close()
        finally:
            self._nonces.pop(nonce, None)
        if response.status is not ResponseStatus.OK:
            raise LocalError(
                f"{connection.remote_peer.short()} did not try: {response.status.name}"
            )
        if response.index >= len(asked):
            raise ProtocolViolation("a verdict on an address that was not asked about")
        if response.dial is DialStatus.OK and not arrived.is_set():
            raise ProtocolViolation("the server says that it reached us, and our nonce never came")
        verdict = Verdict(connection.remote_peer, asked[response.index], arrived.is_set())
        if response.dial is not DialStatus.E_DIAL_BACK_ERROR or verdict.reached:
            self._take(verdict)
        return verdict

    async def _knows_version_1_alone(self, server: PeerId) -> bool:
        with contextlib.suppress(LabError, OSError):
            protocols = (await self._host.identify_result(server)).protocols
            return DIAL_V1_PROTOCOL in protocols and DIAL_PROTOCOL not in protocols
        return False

    async def _talk(self, stream: MuxedStream, request: DialRequest) -> DialResponse:
        """The request, what it costs, the response.

        js-libp2p refuses address by address, and goes on to the next: its refusal of the last one counts.
        """
        await self._send(stream, request)
        response = await self._hear(stream, request)
        for _ in request.addrs[1:]:
            if response.status is not ResponseStatus.E_DIAL_REFUSED:
                break
            message = await read_message_or_end(stream, MAX_MESSAGE)
            if message is None:  # others refuse once, and that is all
                break
            response = await self._hear(stream, request, decode(message))
        return response

    async def _hear(
        self, stream: MuxedStream, request: DialRequest, first: Message | None = None
    ) -> DialResponse:
        """A response, after what it costs."""
        message = first if first is not None else await self._receive(stream)
        if isinstance(message, DialDataRequest):
            if message.index >= len(request.addrs) or not 0 < message.size <= DEAREST:
                raise ProtocolViolation(
                    f"asked for {message.size} bytes: {DEAREST} at most are given"
                )
            piece = DialDataResponse(bytes(MAX_DATA)).encode()
            for _ in range(-(-message.size // MAX_DATA)):
                await stream.write_message(piece)
            message = await self._receive(stream)
        if not isinstance(message, DialResponse):
            raise ProtocolViolation(f"{type(message).__name__} in the place of a DialResponse")
        return message

    async def _take_dial_back(self, stream: MuxedStream) -> None:
        """Somebody has reached us: is it for a question of ours?

        On a connection that we dialed, or over a relay, a nonce shows nothing: nobody has come in by that.
        """
        if stream.connection.direction != "inbound" or stream.connection.relayed:
            raise ProtocolViolation("a dial-back on a connection that did not reach us by itself")
        async with asyncio.timeout(self._host.limits.autonat_timeout):
            nonce = decode_dial_back(await stream.read_message(64))
            arrived = self._nonces.get(nonce)
            if arrived is None:
                raise ProtocolViolation("a dial-back with a nonce that is not ours")
            arrived.set()
            await stream.write_message(b"")  # a DialBackResponse whose status is OK
            await stream.close()

    def _take(self, verdict: Verdict) -> None:
        self._judge.add(verdict)
        probe = self._host.probe.on("autonat")
        if probe.trace.listeners:
            probe.emit("event", AddrJudged(str(verdict.server), str(verdict.addr), verdict.reached))
        own = self._own_addrs()
        self._host.withhold(self.name, [addr for addr in own if self._judge.of(addr) == "private"])
        now = self._judge.overall(own)
        if now == self.reachability or now == "unknown":
            return
        self.reachability = now
        if probe.trace.listeners:
            probe.emit("event", ReachabilityChanged(now))
        for service in self._host.services:  # in a DHT those answer who can be called
            if getattr(service, "name", "") == "dht":
                dht: Any = service
                dht.set_mode("server" if now == "public" else "client")
        for callback in self._callbacks:
            callback(now)

    # -- trying for others --------------------------------------------------------------------------------------------

    async def _answer(self, stream: MuxedStream) -> None:
        limits = self._host.limits
        async with asyncio.timeout(limits.autonat_timeout):
            request = await self._receive(stream)
            if not isinstance(request, DialRequest):
                raise ProtocolViolation(f"{type(request).__name__} in the place of a DialRequest")
            response = await self._serve_request(stream, request)
            await self._send(stream, response)
            await stream.close()

    async def _serve_request(self, stream: MuxedStream, request: DialRequest) -> DialResponse:
        connection, limits = stream.connection, self._host.limits
        now = asyncio.get_running_loop().time()
        if self._dialing >= limits.autonat_dials or not self._rate.allows(
            connection.remote_peer, now
        ):
            return DialResponse(ResponseStatus.E_REQUEST_REJECTED)
        dialer = self._dialer()
        index = next(
            (
                n
                for n, addr in enumerate(request.addrs)
                if addr is not None and self._would_dial(addr) and dialer.can_dial(addr)
            ),
            None,
        )
        if index is None or connection.relayed:
            return DialResponse(ResponseStatus.E_DIAL_REFUSED)
        addr = request.addrs[index]
        assert addr is not None
        self._dialing += 1
        try:
            if _ip(addr) is None or _ip(addr) != _ip(connection.remote_addr):
                await self._be_paid(stream, index)
            back = PeerInfo(connection.remote_peer, [addr.without_peer()])
            dial = await self._dial_back(dialer, back, request.nonce)
        finally:
            self._dialing -= 1
        return DialResponse(ResponseStatus.OK, index, dial)

    def _would_dial(self, addr: Multiaddr) -> bool:
        """Only IP addresses: a name could lead anywhere, and would have to be looked up first."""
        return (
            "p2p-circuit" not in addr.names and _ip(addr) is not None and self._may_be_asked(addr)
        )

    async def _be_paid(self, stream: MuxedStream, index: int) -> None:
        """Spec: autonat/autonat-v2.md#amplification-attack-prevention"""
        wanted = self._host.rng.randint(CHEAPEST, DEAREST)
        await self._send(stream, DialDataRequest(index, wanted))
        while wanted > 0:
            message = await self._receive(stream)
            if not isinstance(message, DialDataResponse) or not 0 < len(message.data) <= MAX_DATA:
                raise ProtocolViolation("data were asked for, in pieces of 4096 bytes at most")
            wanted -= len(message.data)

    async def _dial_back(self, dialer: Host, back: PeerInfo, nonce: int) -> DialStatus:
        """As another peer, from a port of its own."""
        async with dialer:
            try:
                async with asyncio.timeout(self._host.limits.autonat_dial_timeout):
                    await dialer.connect(back)
            except (LabError, OSError):
                return DialStatus.E_DIAL_ERROR
            try:
                async with asyncio.timeout(self._host.limits.autonat_dial_timeout):
                    stream = await dialer.open_stream(back.peer_id, BACK_PROTOCOL)
                    await stream.write_message(encode_dial_back(nonce))
                    await stream.read_message(64)
                    await stream.close()
            except (LabError, OSError):
                return DialStatus.E_DIAL_BACK_ERROR
        return DialStatus.OK

    def _dialer(self) -> Host:
        if self._make_dialer is not None:
            return self._make_dialer()
        from libp2p_lab.host.host import Host

        return Host(services=[], limits=self._host.limits)

    async def _send(self, stream: MuxedStream, message: Message) -> None:
        probe = stream.probe.on("autonat")
        if probe.trace.listeners:
            probe.emit("sent", message)
        await stream.write_message(message.encode())

    async def _receive(self, stream: MuxedStream) -> Message:
        message = decode(await stream.read_message(MAX_MESSAGE))
        probe = stream.probe.on("autonat")
        if probe.trace.listeners:
            probe.emit("received", message)
        return message


def _ip(addr: Multiaddr) -> str | None:
    return addr.value_of("ip4") or addr.value_of("ip6")
