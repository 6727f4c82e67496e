"""DCUtR, Direct Connection Upgrade through Relay: two peers behind NATs meet by a relay and punch through.

    bob   ── relay ──▶ alice            bob called: so bob is A of the spec, and alice, who was called, is B
    alice looks: has bob a public address? Then she dials it, and no hole is needed (connection reversal).
    alice ── CONNECT, SYNC ──▶ bob      else they agree on a moment (coordination.py)
    both dial                           up to three times, each with a round trip measured afresh
    both use the direct connection, and close the relayed one after a grace

Over TCP both dial from the port at which they listen: the one that their NATs map and others have seen. The two SYNs
cross, and make one connection (simultaneous open): A is its client. Over QUIC A dials, and B only sends datagrams of
random bytes that open its box: a QUIC server needs nothing more.

If B is behind a symmetric NAT, its dials come from another port than it said. Where A's box lets them in, they are not
in vain: a SYN that reaches A's listener makes a connection, of which A is the client as always; and from where a
datagram of random bytes came, there A dials too.

Misconception: who wants the connection punches first. It is the one who was called that begins, since it is the one
that nobody can call.

Spec: relay/DCUtR.md#the-protocol
Deviation: at the last try, A takes what comes in from B for a call like any other, where B is client. The spec's B is
never client; js-libp2p 3 always is, and go-libp2p at its third try, for its own versions before 0.41.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from libp2p_lab.errors import DialError, LabError, LimitExceeded, ProtocolViolation
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.multiplexing.muxed_stream import MuxedStream
from libp2p_lab.nat.coordination import Coordination, Punch, Role
from libp2p_lab.nat.dcutr_messages import DCUTR_PROTOCOL, MAX_MESSAGE, PunchMessage, decode
from libp2p_lab.nat.events import (
    DirectDialTried,
    Migrated,
    PunchDialEnded,
    PunchDialStarted,
    PunchEnded,
    PunchStarted,
    RoundTripMeasured,
)
from libp2p_lab.transports.public import is_public

if TYPE_CHECKING:
    from libp2p_lab.host.host import Host

KNOCK_SIZE = 64  # bytes of a datagram that opens the own box
KNOCK_PAUSE = (0.01, 0.2)  # seconds between two; the spec
MORE_ADDRS = 4  # dialed besides those that were said, because the other's datagrams come from there
RESULTS = 256  # outcomes that are remembered


class DCUtR:
    """Upgrades relayed connections to direct ones, by itself.

    Args:
        allow_private: whether private addresses are told and dialed too: for laboratories, and networks of one house.
        predicted: addresses to tell besides those at which others see us: where a NAT will let the other in, for who
            can guess its ports.
        retries: exchanges before it is given up; the spec: 3.
        coordination: the core that says what to send and when to dial; exercises bring their own.

    Attributes:
        results: how it went with each peer, the newest last.
    """

    name = "dcutr"

    def __init__(
        self,
        *,
        allow_private: bool = False,
        predicted: Sequence[Multiaddr | str] = (),
        retries: int = 3,
        coordination: type[Coordination] = Coordination,
    ) -> None:
        self.allow_private = allow_private
        self.retries = retries
        self._coordination = coordination
        self.predicted = [Multiaddr(a) if isinstance(a, str) else a for a in predicted]
        self.results: dict[PeerId, PunchEnded] = {}
        self._host: Host
        self._active: set[PeerId] = set()  # whom we try to reach directly now
        self._waiting: dict[PeerId, set[asyncio.Event]] = {}  # for a direct connection
        self._asked: dict[
            int, int
        ] = {}  # exchanges that the other side began, by relayed connection
        self._punches: dict[int, asyncio.Task[None]] = {}  # what came of the last such exchange
        self._over: set[int] = set()  # relayed connections about which nothing more will be tried
        self._migrating: set[PeerId] = set()

    def attach(self, host: Host) -> None:
        """As `Service.attach`."""
        self._host = host
        host.set_handler(DCUTR_PROTOCOL, self._answer, max_streams_per_peer=1)
        host.on_connect(self._on_connect)
        host.on_disconnect(self._on_disconnect)
        host.add_direct_seeker(self._seek)

    async def close(self) -> None:
        """As `Service.close`."""

    # -- looking --------------------------------------------------------------------------------------------

    def direct_to(self, peer: PeerId) -> MuxedConnection | None:
        """A connection to `peer` that no relay is in."""
        for connection in self._host.connections_to(peer):
            if connection.is_open and not connection.relayed:
                return connection
        return None

    async def direct(self, peer: PeerId) -> MuxedConnection:
        """The direct connection to `peer`, as soon as there is one: nothing is begun here, only awaited.

        Raises: `DialError` if there will be none, or none comes within `limits.dcutr_wait`.
        """
        await self._seek(peer)
        connection = self.direct_to(peer)
        if connection is None:
            ended = self.results.get(peer)
            raise DialError(
                f"no direct connection to {peer}: {ended.cause if ended else 'silence'}"
            )
        return connection

    async def _seek(self, peer: PeerId) -> None:
        """Wait while there is hope for a direct connection."""
        if self.direct_to(peer) is not None or not await self._is_hope(peer):
            return
        event = asyncio.Event()
        self._waiting.setdefault(peer, set()).add(event)
        try:
            async with asyncio.timeout(self._host.limits.dcutr_wait):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting[peer].discard(event)
            if not self._waiting[peer]:
                del self._waiting[peer]

    async def _is_hope(self, peer: PeerId) -> bool:
        """Whether anybody will still try: we, if we were called; the other, if it speaks DCUtR."""
        relayed = [
            c for c in self._host.connections_to(peer) if c.relayed and c.id not in self._over
        ]
        if any(c.direction == "inbound" for c in relayed):
            return True
        try:
            info = await self._host.identify_result(peer)
        except LabError:
            return False
        return bool(relayed) and DCUTR_PROTOCOL in info.protocols

    def _on_connect(self, connection: MuxedConnection) -> None:
        peer = connection.remote_peer
        if not connection.relayed:
            self._wake(peer)
        elif connection.direction == "inbound" and not (
            peer in self._active or self.direct_to(peer)
        ):
            self._active.add(peer)
            self._host.create_task(self._upgrade(connection))

    def _on_disconnect(self, connection: MuxedConnection) -> None:
        self._asked.pop(connection.id, None)
        self._punches.pop(connection.id, None)
        self._over.discard(connection.id)

    def _wake(self, peer: PeerId) -> None:
        for event in self._waiting.get(peer, ()):
            event.set()

    def _tell(self, connection: MuxedConnection, event: object) -> None:
        probe = connection.probe.on("dcutr")
        if probe.trace.listeners:
            probe.emit("event", event)

    # -- B: we were called ----------------------------------------------------------------------------------

    async def _upgrade(self, relayed: MuxedConnection) -> None:
        """Somebody reached us through a relay: get a direct connection, this way or that."""
        peer = relayed.remote_peer
        try:
            ended = await self._get_direct(relayed)
        except (LabError, OSError, TimeoutError) as error:
            cause = f"{type(error).__name__}: {error}"
            ended = PunchEnded(str(peer), "failed", 0, cause=cause)
        self._active.discard(peer)
        self._end(relayed, ended)

    def _end(self, relayed: MuxedConnection, ended: PunchEnded) -> None:
        peer = relayed.remote_peer
        if relayed.is_open:
            self._over.add(relayed.id)
        self.results.pop(peer, None)
        self.results[peer] = ended
        while len(self.results) > RESULTS:
            del self.results[next(iter(self.results))]
        self._tell(relayed, ended)
        self._wake(peer)
        if ended.outcome != "failed":
            self._host.create_task(self._migrate(peer))

    async def _get_direct(self, relayed: MuxedConnection) -> PunchEnded:
        peer, name = relayed.remote_peer, str(relayed.remote_peer)
        await self._host.identify_result(peer)
        if await self._reverse(relayed):
            return PunchEnded(name, "dialed", 0, self._where(peer))
        return await self._punch_hole(relayed)

    async def _punch_hole(self, relayed: MuxedConnection) -> PunchEnded:
        """Agree and dial, up to three times."""
        peer, name = relayed.remote_peer, str(relayed.remote_peer)
        cause = ""
        for attempt in range(1, self.retries + 1):
            if self.direct_to(peer) is not None:
                return PunchEnded(name, "punched", attempt - 1, self._where(peer))
            try:
                punch = await self._agree(relayed, attempt)
            except (LabError, OSError, TimeoutError) as error:
                cause = f"{type(error).__name__}: {error}"
                return PunchEnded(name, "failed", attempt, cause=cause)
            await asyncio.sleep(punch.delay)
            cause = await self._punch(relayed, punch, attempt, "initiator")
            if self.direct_to(peer) is not None:
                return PunchEnded(name, "punched", attempt, self._where(peer))
        return PunchEnded(name, "failed", self.retries, cause=cause)

    def _where(self, peer: PeerId) -> str:
        connection = self.direct_to(peer)
        return str(connection.remote_addr) if connection is not None else ""

    async def _reverse(self, relayed: MuxedConnection) -> bool:
        """Dial the caller, if it says that it has a public address. Spec: relay/DCUtR.md#the-protocol"""
        peer, host = relayed.remote_peer, self._host
        addrs = [
            addr
            for addr in host.peerstore.addrs(peer)
            if "p2p-circuit" not in addr.names and self._may_dial(addr) and host.can_dial(addr)
        ]
        if not addrs:
            return False
        cause = ""
        try:
            async with asyncio.timeout(host.limits.dcutr_dial_timeout):
                await host.dial_direct(peer, addrs)
        except (LabError, OSError, TimeoutError) as error:
            cause = f"{type(error).__name__}: {error}"
        worked = self.direct_to(peer) is not None
        self._tell(relayed, DirectDialTried(str(peer), worked, "" if worked else cause))
        return worked

    async def _agree(self, relayed: MuxedConnection, attempt: int) -> Punch:
        """One exchange, begun by us.

        Raises: `LabError`, `TimeoutError`.
        """
        exchange = self._exchange("initiator")
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._host.limits.dcutr_timeout):
            stream = await self._host.open_stream_on(relayed, (DCUTR_PROTOCOL,))
            try:
                # The answer to the proposal must not be a part of the round trip that is measured.
                await stream.flush()
                await self._send(stream, exchange.start(loop.time()))
                message = await self._read(stream)
                answer, punch = exchange.receive(message, loop.time())
                assert answer is not None
                assert punch is not None
                assert punch.rtt is not None
                await self._send(stream, answer)
            except BaseException:
                await stream.reset()
                raise
            await stream.close()
        self._tell(relayed, RoundTripMeasured(str(relayed.remote_peer), attempt, punch.rtt))
        return punch

    # -- A: we called ---------------------------------------------------------------------------------------

    async def _answer(self, stream: MuxedStream) -> None:
        relayed = stream.connection
        if not relayed.relayed or relayed.direction != "outbound":
            raise ProtocolViolation(
                "DCUtR is for who was called through a relay, and for nobody else"
            )
        attempt = self._asked.get(relayed.id, 0) + 1
        if attempt > self.retries:
            raise LimitExceeded("dcutr_attempts", attempt, self.retries)
        self._asked[relayed.id] = attempt
        exchange = self._exchange("receiver")
        loop = asyncio.get_running_loop()
        punch: Punch | None = None
        async with asyncio.timeout(self._host.limits.dcutr_timeout):
            while punch is None:
                answer, punch = exchange.receive(await self._read(stream), loop.time())
                if answer is not None:
                    await self._send(stream, answer)
        before = self._punches.get(relayed.id)
        if before is not None:  # the other has given that try up already
            before.cancel()
        task = self._host.create_task(self._punch_once(relayed, punch, attempt))
        self._punches[relayed.id] = task

    async def _punch_once(self, relayed: MuxedConnection, punch: Punch, attempt: int) -> None:
        peer = relayed.remote_peer
        if punch.delay:  # the spec's receiver has none
            await asyncio.sleep(punch.delay)
        cause = await self._punch(relayed, punch, attempt, "receiver")
        if self.direct_to(peer) is not None:
            where = self._where(peer)
            self._end(relayed, PunchEnded(str(peer), "punched", attempt, where))
        elif attempt == self.retries:
            self._end(relayed, PunchEnded(str(peer), "failed", attempt, cause=cause))

    # -- both -----------------------------------------------------------------------------------------------

    def _exchange(self, role: Role) -> Coordination:
        return self._coordination(
            role,
            self._own_addrs(),
            may_dial=lambda addr: self._may_dial(addr) and self._host.can_punch(addr),
            limits=self._host.limits,
        )

    def _own_addrs(self) -> list[Multiaddr]:
        """Where we can be seen. Raises: `DialError` if nobody knows."""
        own = [addr.without_peer() for addr in self.predicted] + [
            addr.without_peer()
            for addr in self._host.punchable_addrs
            if self.allow_private or is_public(addr)
        ]
        if not own:
            raise DialError(
                "nobody has told us where we are seen from outside: no hole can be punched"
            )
        return own

    def _may_dial(self, addr: Multiaddr) -> bool:
        return self.allow_private or is_public(addr)

    async def _send(self, stream: MuxedStream, message: PunchMessage) -> None:
        probe = stream.probe.on("dcutr")
        if probe.trace.listeners:
            probe.emit("sent", message)
        await stream.write_message(message.encode())

    async def _read(self, stream: MuxedStream) -> PunchMessage:
        message = decode(await stream.read_message(MAX_MESSAGE))
        probe = stream.probe.on("dcutr")
        if probe.trace.listeners:
            probe.emit("received", message)
        return message

    async def _punch(self, relayed: MuxedConnection, punch: Punch, attempt: int, role: Role) -> str:
        """Dial every address at once, until one works or the time is up. Returns why none did."""
        peer = relayed.remote_peer
        as_: Literal["client", "server"] = "client" if role == "receiver" else "server"
        self._tell(relayed, PunchStarted(str(peer), attempt, role, tuple(map(str, punch.addrs))))
        there = asyncio.Event()
        self._waiting.setdefault(peer, set()).add(there)
        causes: list[str] = []
        tasks: dict[Multiaddr, asyncio.Task[None]] = {}

        def dial(addr: Multiaddr) -> None:
            if addr not in tasks and len(tasks) < len(punch.addrs) + MORE_ADDRS:
                work = self._dial(relayed, addr, attempt, as_, causes)
                tasks[addr] = asyncio.create_task(work)

        ips = {addr.parts[0].value for addr in punch.addrs if as_ == "client"}
        # Some dial as client whatever their role is, and go's third try swaps the roles: so our last one lets them.
        by_role = attempt == 1 or attempt < self.retries
        stops = [self._host.expect_punch(peer, ip, dial, is_server_there=by_role) for ip in ips]
        arrived = asyncio.create_task(there.wait())
        try:
            async with asyncio.timeout(self._host.limits.dcutr_dial_timeout):
                for addr in punch.addrs:
                    dial(addr)
                while self.direct_to(peer) is None and not arrived.done():
                    running = [task for task in tasks.values() if not task.done()]
                    if not running:
                        break
                    await asyncio.wait((*running, arrived), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            pass
        finally:
            for stop in stops:
                stop()
            self._waiting[peer].discard(there)
            if not self._waiting[peer]:
                del self._waiting[peer]
            for task in (*tasks.values(), arrived):
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks.values(), arrived, return_exceptions=True)
        return "; ".join(causes) or "nothing came through"

    async def _dial(
        self,
        relayed: MuxedConnection,
        addr: Multiaddr,
        attempt: int,
        as_: Literal["client", "server"],
        causes: list[str],
    ) -> None:
        peer = relayed.remote_peer
        self._tell(relayed, PunchDialStarted(str(peer), attempt, str(addr), as_))
        cause = ""
        try:
            if as_ == "server" and "udp" in addr.names:
                await self._knock(addr)
            else:
                await self._host.punch(peer, addr, is_client=as_ == "client")
        except (LabError, OSError) as error:
            cause = f"{type(error).__name__}: {error}"
            causes.append(f"{addr}: {cause}")
        except asyncio.CancelledError:
            # Another one won, or the time is up.
            won = self.direct_to(peer)
            is_this = won is not None and won.remote_addr.parts[:2] == addr.parts[:2]
            cause = "" if is_this else "given up" if won is None else "another was first"
            self._tell(relayed, PunchDialEnded(str(peer), attempt, str(addr), cause))
            raise
        self._tell(relayed, PunchDialEnded(str(peer), attempt, str(addr), cause))

    async def _knock(self, addr: Multiaddr) -> None:
        """Open our own box for what will come from `addr`, again and again, until we are cancelled."""
        rng = self._host.rng
        while True:
            self._host.open_hole(addr, rng.randbytes(KNOCK_SIZE))
            await asyncio.sleep(rng.uniform(*KNOCK_PAUSE))

    async def _migrate(self, peer: PeerId) -> None:
        """Everything new goes over the direct connection already; close the others after a grace."""
        if peer in self._migrating:
            return
        self._migrating.add(peer)
        try:
            await asyncio.sleep(self._host.limits.dcutr_grace)
            direct = self.direct_to(peer)
            relayed: Sequence[MuxedConnection] = [
                c for c in self._host.connections_to(peer) if c.relayed and c.is_open
            ]
            for connection in relayed:
                if direct is None:
                    break
                await connection.close()
                self._tell(direct, Migrated(str(peer), connection.id, direct.id))
        finally:
            self._migrating.discard(peer)
