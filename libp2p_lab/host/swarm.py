"""The swarm: every connection of a host, made by dialing or by listening.

It upgrades what arrives, refuses what is too much, keeps one connection in use for each peer, and runs each in a task
of its own. What happens on the streams is not its business: it hands each one on.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from libp2p_lab.errors import (
    ConnectionLost,
    DialError,
    LabError,
    LimitExceeded,
    LocalError,
    PeerIdMismatch,
    RemoteError,
)
from libp2p_lab.host.events import (
    ConnectionClosed,
    ConnectionOpened,
    DialFailed,
    DialStarted,
    HandlerFailed,
    ListenerClosed,
    ListenerOpened,
    UpgradeFailed,
)
from libp2p_lab.host.gater import Gater
from libp2p_lab.host.own_streams import HostParts, OpensHoles, PeerTransport
from libp2p_lab.host.resources import ConnectionClaim, ResourceManager, StreamClaim
from libp2p_lab.host.upgrade import SecurityRefused, Upgrader
from libp2p_lab.identity.keys import PublicKey
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing.connection import ConnectionInfo, StreamDirection
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.multiplexing.muxed_stream import MuxedStream
from libp2p_lab.trace import Probe
from libp2p_lab.transports.dialing import Backoff, race, rank
from libp2p_lab.transports.dns import LookUpText, look_up_text, resolve
from libp2p_lab.transports.tcp import TCP
from libp2p_lab.transports.transport import Listener, MayBeLimited, RawConnection, Transport

ConnectionCallback = Callable[[MuxedConnection], None]


class _Crossed(LabError):
    """The handshake failed on a connection that may be two dials in one."""


class Swarm:
    """The connections of one host.

    Args:
        peer_id: who we are.
        transports: how we reach others.
        upgrader: makes raw connections usable.
        limits: how many, how long.
        gater: who is refused; None refuses nobody.
        probe: of the host.
        resources: counts connections and streams, and refuses what is too much.
        on_stream: called with each stream that a remote opens, and what it is counted as, which whoever takes the
            stream must close; it must return at once.
        on_stream_end: called with each stream that is over, and how it ended.
        on_addrs_change: called when a listener's addresses are not what they were.
        look_up: gives the text records for dnsaddr.
        peer_id_of: the name of the peer that holds a key.
    """

    def __init__(
        self,
        peer_id: PeerId,
        transports: Sequence[Transport | PeerTransport],
        upgrader: Upgrader,
        *,
        limits: Limits,
        gater: Gater | None,
        probe: Probe,
        resources: ResourceManager,
        on_stream: Callable[[MuxedStream, StreamClaim], None],
        on_stream_end: Callable[[MuxedStream, str], None],
        on_addrs_change: Callable[[], None],
        look_up: LookUpText = look_up_text,
        peer_id_of: Callable[[PublicKey], PeerId] = PeerId.from_public_key,
    ) -> None:
        self.connections: dict[int, MuxedConnection] = {}
        self._by_peer: dict[PeerId, list[MuxedConnection]] = {}
        self.on_connect: list[ConnectionCallback] = []
        self.on_disconnect: list[ConnectionCallback] = []
        self._peer_id = peer_id
        self._transports = [*transports]
        self._upgrader = upgrader
        self._limits = limits
        self._gater = gater
        self._probe = probe
        self._resources = resources
        self._hand_on_stream = on_stream
        self._report_stream_end = on_stream_end
        self._on_addrs_change = on_addrs_change
        self._look_up = look_up
        self._backoff = Backoff(limits)
        self._peer_id_of = peer_id_of
        self._listeners: list[Listener] = []
        self._numbers = itertools.count(1)
        self._dials: dict[PeerId, asyncio.Future[LabError | OSError | None]] = {}
        self._admitted: dict[Multiaddr, list[ConnectionClaim]] = {}  # not yet usable
        self._claims: dict[int, ConnectionClaim] = {}  # by connection
        self._stream_claims: dict[MuxedStream, StreamClaim] = {}  # of streams that we opened
        self._punchers: dict[
            str, PeerId
        ] = {}  # by IP address: who dials us, and is the server there
        self._tasks: asyncio.TaskGroup
        self._parts: HostParts
        self._clock: Callable[[], float]

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Begin; connections run as tasks of `tasks`."""
        self._tasks = tasks
        self._clock = asyncio.get_running_loop().time
        self._parts = HostParts(
            self._upgrader.key,
            self._limits,
            self._clock,
            self._probe,
            self._numbers.__next__,
            self._peer_id_of,
            self._on_stream,
            self._on_stream_end,
            self._on_addrs_change,
        )

    # -- listening ------------------------------------------------------------------------------------------

    async def listen(self, addr: Multiaddr) -> Listener:
        """Wait for connections at `addr`.

        Raises: `LocalError` if no transport can; `OSError` as the operating system gives it.
        """
        for transport in self._transports:
            if transport.can_listen(addr):
                if isinstance(transport, PeerTransport):
                    listener = await transport.listen_for_peers(addr, self._parts, self)
                else:
                    accept = partial(self._accept, transport.name)
                    listener = await transport.listen(addr, accept)
                self._listeners.append(listener)
                self._report_listener(listener, ListenerOpened)
                return listener
        have = ", ".join(transport.name for transport in self._transports) or "none"
        raise LocalError(f"no transport can listen at {addr} (this host has: {have})")

    def add_transport(self, transport: Transport) -> None:
        """One more way to reach others, behind those that there are."""
        self._transports.append(transport)

    async def stop_listening(self, listener: Listener) -> None:
        """Wait there no longer. Connections that have arrived stay open."""
        if listener in self._listeners:
            self._report_listener(listener, ListenerClosed)
            self._listeners.remove(listener)
        await listener.close()

    @property
    def listen_addrs(self) -> list[Multiaddr]:
        """Where we listen, without `/p2p`."""
        return [addr for listener in self._listeners for addr in listener.addrs]

    def _accept(self, transport: str, raw: RawConnection) -> None:
        """A connection arrived: take it to its handshake in a task of its own, or drop it at once."""
        refusal = self.admit(raw.remote_addr)
        if refusal is not None:
            self._tasks.create_task(raw.reset())
            return
        claim = self._admitted_claim(raw.remote_addr)
        self._tasks.create_task(self._run_inbound(raw, transport, claim))

    def admit(self, remote_addr: Multiaddr) -> str | None:
        """As `Door.admit`."""
        refusal = None
        if self._gater is not None and not self._gater.allow_accept(remote_addr):
            refusal = "refused by the gater"
        else:
            try:
                claim = self._resources.open_connection("inbound", _host_of(remote_addr))
            except LimitExceeded as error:
                refusal = f"LimitExceeded: {error}"
            else:
                self._admitted.setdefault(remote_addr, []).append(claim)
        if refusal is not None and self._probe.trace.listeners:
            self._probe.emit("event", UpgradeFailed(str(remote_addr), refusal))
        return refusal

    def _admitted_claim(self, remote_addr: Multiaddr) -> ConnectionClaim:
        """What a connection from there was counted as when it was admitted."""
        claims = self._admitted[remote_addr]
        claim = claims.pop()
        if not claims:
            del self._admitted[remote_addr]
        return claim

    def arrived(self, remote_addr: Multiaddr, connection: MuxedConnection) -> None:
        """As `Door.arrived`."""
        claim = self._admitted_claim(remote_addr)
        self._tasks.create_task(self._run_arrived(connection, claim))

    async def _run_arrived(self, connection: MuxedConnection, claim: ConnectionClaim) -> None:
        try:
            self._admit_proven(connection, claim)
        except LabError as error:
            claim.close()
            cause = f"{type(error).__name__}: {error}"
            self._report_upgrade(str(connection.id), connection.remote_addr, cause)
            await connection.refuse(str(error))
            return
        await self._run(connection)

    def failed(self, remote_addr: Multiaddr, cause: BaseException) -> None:
        """As `Door.failed`."""
        self._admitted_claim(remote_addr).close()
        self._report_upgrade("", remote_addr, f"{type(cause).__name__}: {cause}")

    async def _run_inbound(
        self, raw: RawConnection, transport: str, claim: ConnectionClaim
    ) -> None:
        link = str(number := next(self._numbers))
        try:
            async with asyncio.timeout(self._limits.handshake_timeout):
                is_tcp = transport == TCP.name
                puncher = self._punchers.get(_host_of(raw.remote_addr)) if is_tcp else None
                role: StreamDirection = "inbound" if puncher is None else "outbound"
                connection = await self._upgrade(raw, number, role, transport, puncher, claim)
        except (LabError, OSError) as error:
            self._report_upgrade(link, raw.remote_addr, f"{type(error).__name__}: {error}")
            return
        except Exception as error:  # noqa: BLE001 - as in `_run`: a bug in a handshake costs its own connection
            self._report_upgrade(link, raw.remote_addr, f"bug: {type(error).__name__}: {error}")
            return
        finally:
            if number not in self.connections:
                claim.close()
        await self._run(connection)

    # -- dialing --------------------------------------------------------------------------------------------

    async def dial(
        self, peer: PeerId | None, addrs: Sequence[Multiaddr], known: Sequence[Multiaddr] = ()
    ) -> MuxedConnection:
        """A connection to `peer`: the one that we have, or the first that works of `addrs`.

        Callers that want the same peer at the same time share one dial.

        Args:
            peer: who must answer; None for whoever does.
            addrs: where; names in them are looked up.
            known: where it was before: tried too, unless they failed lately.

        Raises: `DialError` with the cause of each address.
        """
        if peer is None:
            return await self._dial(None, addrs, known)
        while (existing := self.best(peer)) is None:
            under_way = self._dials.get(peer)
            if under_way is None:
                return await self._dial_for_all(peer, addrs, known)
            error = await asyncio.shield(under_way)
            if error is not None:
                raise error
        return existing

    async def _dial_for_all(
        self, peer: PeerId, addrs: Sequence[Multiaddr], known: Sequence[Multiaddr]
    ) -> MuxedConnection:
        """Dial, and tell those who wait for the same peer how it went. If we are cancelled, one of them dials."""
        outcome: asyncio.Future[LabError | OSError | None]
        outcome = self._dials[peer] = asyncio.get_running_loop().create_future()
        error: LabError | OSError | None = None
        try:
            return await self._dial(peer, addrs, known)
        except (LabError, OSError) as failure:
            error = failure
            raise
        finally:
            del self._dials[peer]
            outcome.set_result(error)

    async def _dial(
        self, peer: PeerId | None, addrs: Sequence[Multiaddr], known: Sequence[Multiaddr]
    ) -> MuxedConnection:
        if peer == self._peer_id:
            raise LocalError("a host does not dial itself")
        if self._gater is not None and peer is not None and not self._gater.allow_dial_peer(peer):
            raise DialError(f"the gater refuses to dial {peer}")
        targets: dict[Multiaddr, Transport | PeerTransport] = {}
        attempts: list[tuple[str, BaseException]] = []
        try:
            async with asyncio.timeout(self._limits.dial_timeout):
                for addr in addrs:
                    await self._add_targets(peer, addr, targets, attempts)
                for addr in known:
                    await self._add_known(peer, addr, targets, attempts)
        except TimeoutError:  # what is resolved by now must do
            slow = TimeoutError("names take too long to resolve")
            attempts.append((str(peer or "anybody"), slow))
        if not targets:
            raise DialError(f"no address to dial {peer or 'anybody'} at:", attempts)

        async def attempt(addr: Multiaddr) -> MuxedConnection:
            connection = await self._dial_one(peer, addr, targets[addr])
            self._backoff.worked(addr)
            return connection

        def failed(addr: Multiaddr, cause: BaseException) -> None:
            if not isinstance(cause, LimitExceeded):  # ours; the address is as good as before
                self._backoff.failed(addr, self._clock())
            self._report_failure(peer, addr, cause)

        limits = self._limits
        try:
            return await race(
                rank([*targets], limits), attempt, timeout=limits.dial_timeout, on_failure=failed
            )
        except DialError as error:
            raise DialError(
                f"cannot reach {peer or 'anybody'}:", (*attempts, *error.attempts)
            ) from None

    async def _add_known(
        self,
        peer: PeerId | None,
        addr: Multiaddr,
        targets: dict[Multiaddr, Transport | PeerTransport],
        attempts: list[tuple[str, BaseException]],
    ) -> None:
        """An address that we only remember: left alone for a while after it failed."""
        wait = self._backoff.waits(addr, self._clock())
        if addr in targets:
            return
        if wait:
            attempts.append((str(addr), LocalError(f"failed lately: left alone for {wait:.1f} s")))
        else:
            await self._add_targets(peer, addr, targets, attempts)

    async def _add_targets(
        self,
        peer: PeerId | None,
        addr: Multiaddr,
        targets: dict[Multiaddr, Transport | PeerTransport],
        attempts: list[tuple[str, BaseException]],
    ) -> None:
        """The dialable addresses that `addr` stands for, each with its transport."""
        try:
            resolved: list[Multiaddr] = []
            if peer is not None and addr.names == ("dnsaddr",):
                # Many may share the name; this one alone is meant.
                resolved = await resolve(addr.with_peer(peer), self._limits, self._look_up)
            if not resolved:
                resolved = await resolve(addr, self._limits, self._look_up)
        except DialError as error:
            attempts.extend(error.attempts or [(str(addr), error)])
            return
        for candidate in resolved:
            if candidate.peer_id not in (None, peer) and peer is not None:
                continue
            transport = next((t for t in self._transports if t.can_dial(candidate)), None)
            if transport is None:
                cause = LocalError("no transport of this host can dial it")
                attempts.append((str(candidate), cause))
            elif self._gater is not None and not self._gater.allow_dial_addr(peer, candidate):
                attempts.append((str(candidate), LocalError("refused by the gater")))
            else:
                targets[candidate] = transport

    async def _dial_one(
        self, peer: PeerId | None, addr: Multiaddr, transport: Transport | PeerTransport
    ) -> MuxedConnection:
        try:
            return await self._dial_once(peer, addr, transport)
        except SecurityRefused:
            return await self._dial_once(peer, addr, transport, ask_first=True)
        except _Crossed:
            return await self._dial_once(peer, addr, transport, fresh_port=True)

    async def _dial_once(
        self,
        peer: PeerId | None,
        addr: Multiaddr,
        transport: Transport | PeerTransport,
        ask_first: bool = False,
        fresh_port: bool = False,
    ) -> MuxedConnection:
        number = next(self._numbers)
        link = str(number)
        if self._probe.trace.listeners:
            self._probe.on("host", link).emit("event", DialStarted(str(peer or ""), str(addr)))
        expected = peer if peer is not None else addr.peer_id
        claim = self._resources.open_connection("outbound")
        try:
            # The race limits the time of each attempt.
            if isinstance(transport, PeerTransport):
                connection = await transport.dial_peer(addr, expected, number, self._parts)
                try:
                    self._admit_proven(connection, claim)
                except LabError as error:
                    await connection.refuse(str(error))
                    raise
            else:
                if fresh_port and isinstance(transport, TCP):
                    raw: RawConnection = await transport.dial_from(addr, None)
                else:
                    # A relay must be told who is called; to others the name at the end says nothing.
                    if expected is not None and "p2p-circuit" in addr.names:
                        addr = addr.with_peer(expected)
                    raw = await transport.dial(addr)
                try:
                    connection = await self._upgrade(
                        raw, number, "outbound", transport.name, expected, claim, ask_first
                    )
                except (RemoteError, ConnectionLost) as error:
                    if self._may_have_crossed(raw, error) and not fresh_port:
                        self._report_failure(peer, addr, error)
                        raise _Crossed(str(error)) from error
                    raise
        except BaseException:
            claim.close()
            raise
        self._tasks.create_task(self._run(connection))
        return connection

    def _may_have_crossed(self, raw: RawConnection, error: LabError) -> bool:
        """Whether two dials may have met halfway: each from a port that listens, they make one connection.

        Both ends take themselves for the dialer then, and neither understands the other.
        """
        return not isinstance(error, PeerIdMismatch) and raw.local_addr in self.listen_addrs

    # -- hole punching --------------------------------------------------------------------------------------

    def can_dial(self, addr: Multiaddr) -> bool:
        """Whether a transport of ours can dial this."""
        return any(transport.can_dial(addr) for transport in self._transports)

    def can_punch(self, addr: Multiaddr) -> bool:
        """Whether a hole can be punched with such an address: TCP and QUIC."""
        return any(isinstance(t, TCP | OpensHoles) and t.can_dial(addr) for t in self._transports)

    async def dial_direct(self, peer: PeerId, addrs: Sequence[Multiaddr]) -> MuxedConnection:
        """As `dial`, but a new connection, whatever there is.

        Raises: `DialError`.
        """
        return await self._dial(peer, addrs, ())

    async def punch(self, peer: PeerId, addr: Multiaddr, is_client: bool) -> MuxedConnection:
        """Dial while the other side dials us. The caller sets the time limit.

        Args:
            peer: who must answer.
            addr: where it is seen from outside.
            is_client: who we are on the connection, though both dial: over TCP the two dials make one connection.

        Raises: `LocalError` if we do not listen where that could be dialed from; what a dial raises.
        """
        if self._gater is not None and not (
            self._gater.allow_dial_peer(peer) and self._gater.allow_dial_addr(peer, addr)
        ):
            raise LocalError("refused by the gater")
        transport = next((t for t in self._transports if t.can_dial(addr)), None)
        if isinstance(transport, TCP):
            local = transport.listening_for(addr)
            if local is None and not is_client:
                raise LocalError(f"this host does not listen where {addr} could be dialed from")
            number, claim = next(self._numbers), self._resources.open_connection("outbound")
            try:
                raw = await transport.dial_from(addr, local)
                role: StreamDirection = "outbound" if is_client else "inbound"
                made = await self._upgrade(raw, number, role, transport.name, peer, claim)
            except BaseException:
                claim.close()
                raise
            self._tasks.create_task(self._run(made))
            return made
        if transport is None or not is_client:
            raise LocalError(f"nothing of this host can punch to {addr}")
        return await self._dial_once(peer, addr, transport)

    def expect_punch(
        self,
        peer: PeerId,
        ip: str,
        on_stray: Callable[[Multiaddr], None],
        *,
        is_server_there: bool = True,
    ) -> Callable[[], None]:
        """While holes are punched as the client: what comes from `ip` may be the other's dial.

        Over TCP its SYN may reach our listener, where it comes from another port than was said. It is the server
        there, too. Over UDP its datagrams mean nothing, but they show where it is.

        Args:
            peer: the other.
            ip: where it is.
            on_stray: called with the source of each datagram from there that means nothing.
            is_server_there: False where the other is thought to dial as any caller does.

        Returns: a function that ends it.
        """
        if is_server_there:
            self._punchers[ip] = peer
        stops = [
            transport.watch_strays(ip, on_stray, self._parts)
            for transport in self._transports
            if isinstance(transport, OpensHoles)
        ]

        def stop() -> None:
            self._punchers.pop(ip, None)
            for end in stops:
                end()

        return stop

    def open_hole(self, addr: Multiaddr, data: bytes) -> None:
        """Let our NAT expect datagrams from `addr`, by sending one there.

        Raises: `LocalError`.
        """
        for transport in self._transports:
            if isinstance(transport, OpensHoles) and transport.can_dial(addr):
                transport.open_hole(addr, data, self._parts)
                return
        raise LocalError(f"no transport of this host sends datagrams to {addr}")

    # -- life of a connection -------------------------------------------------------------------------------

    async def _upgrade(
        self,
        raw: RawConnection,
        number: int,
        direction: StreamDirection,
        transport: str,
        expected: PeerId | None,
        claim: ConnectionClaim,
        ask_first: bool = False,
    ) -> MuxedConnection:
        """From raw to registered; whatever goes wrong, `raw` is closed."""
        probe = self._probe.on("host", str(number))
        raw.probe = probe.on("transport")
        is_dialer = direction == "outbound"
        try:
            upgraded = await self._upgrader.upgrade(
                raw,
                is_dialer=is_dialer,
                expected_peer=expected,
                probe=probe,
                ask_first=ask_first,
            )
            info = ConnectionInfo(
                id=number,
                remote_peer=upgraded.channel.remote_peer,
                local_addr=raw.local_addr,
                remote_addr=raw.remote_addr,
                direction=direction,
                transport=transport,
                security=upgraded.security,
                muxer=upgraded.muxer.protocol,
                limited=isinstance(raw, MayBeLimited) and raw.limited,
                opened_at=self._clock(),
            )
            self._check(info, claim)
            connection = MuxedConnection(
                upgraded.channel,
                upgraded.muxer.session(
                    is_dialer=is_dialer, limits=self._limits_on(raw), probe=probe.on("muxer")
                ),
                info,
                limits=self._limits,
                clock=self._clock,
                probe=probe,
                on_stream=self._on_stream,
                on_stream_end=self._on_stream_end,
            )
            if self._gater is not None and not self._gater.allow_upgraded(connection):
                raise LocalError("refused by the gater")
        except BaseException:
            await raw.reset()
            raise
        self._register(connection, claim)
        return connection

    def _limits_on(self, raw: RawConnection) -> Limits:
        """A circuit's bytes travel in another connection's frames: one a little too long would need two of them."""
        if not isinstance(raw, MayBeLimited):
            return self._limits
        return replace(self._limits, yamux_max_frame=self._limits.yamux_max_frame_relayed)

    def _admit_proven(self, connection: MuxedConnection, claim: ConnectionClaim) -> None:
        """Check and register a connection that came with everything in it."""
        self._check(connection.info, claim)
        if self._gater is not None and not self._gater.allow_upgraded(connection):
            raise LocalError("refused by the gater")
        self._register(connection, claim)

    def _check(self, info: ConnectionInfo, claim: ConnectionClaim) -> None:
        """Last refusals, now that the peer is proven."""
        if info.remote_peer == self._peer_id:
            raise LocalError("the other end is this very host")
        claim.prove(info.remote_peer)
        if self._gater is not None and not self._gater.allow_secured(
            info.direction, info.remote_peer, info.remote_addr
        ):
            raise LocalError("refused by the gater")

    def _register(self, connection: MuxedConnection, claim: ConnectionClaim) -> None:
        info = connection.info
        self._claims[connection.id] = claim
        connection.use_account(claim)
        self.connections[connection.id] = connection
        self._by_peer.setdefault(info.remote_peer, []).append(connection)
        if connection.probe.trace.listeners:
            opened = ConnectionOpened(
                str(info.remote_peer),
                info.direction,
                str(info.local_addr),
                str(info.remote_addr),
                info.transport,
                info.security,
                info.muxer,
            )
            connection.probe.emit("event", opened)
        for callback in self.on_connect:
            callback(connection)
        if len(self.to(info.remote_peer)) > 1:
            loop = asyncio.get_running_loop()
            loop.call_later(self._limits.duplicate_grace, self._drop_duplicates, info.remote_peer)

    def _unregister(self, connection: MuxedConnection) -> None:
        del self.connections[connection.id]
        self._claims.pop(connection.id).close()
        held = self._by_peer[connection.remote_peer]
        held.remove(connection)
        if not held:
            del self._by_peer[connection.remote_peer]

    async def _run(self, connection: MuxedConnection) -> None:
        """Supervise one connection: whatever happens on it ends here and nowhere else."""
        reason = "closed"
        try:
            await connection.run()
        except (LabError, OSError) as error:
            reason = f"{type(error).__name__}: {error}"
        except Exception as error:  # noqa: BLE001 - one of the two supervisors: a bug on one connection stays there
            reason = f"bug: {type(error).__name__}: {error}"
        finally:
            self._unregister(connection)
            if connection.probe.trace.listeners:
                closed = ConnectionClosed(str(connection.remote_peer), reason)
                connection.probe.emit("event", closed)
            for callback in self.on_disconnect:
                callback(connection)

    # -- streams, counted -----------------------------------------------------------------------------------

    def _on_stream(self, stream: MuxedStream) -> None:
        """A remote opened a stream."""
        try:
            claim = self._claims[stream.connection.id].open_stream("inbound")
        except LimitExceeded as error:
            self._report_refused(stream, error)
            self._tasks.create_task(stream.reset())
            return
        self._hand_on_stream(stream, claim)

    def _on_stream_end(self, stream: MuxedStream, how: str) -> None:
        claim = self._stream_claims.pop(stream, None)
        if claim is not None:
            claim.close()
        self._report_stream_end(stream, how)

    async def open_stream(self, connection: MuxedConnection) -> MuxedStream:
        """As `MuxedConnection.open_stream`, within the limits.

        Raises: `LimitExceeded`, `ConnectionLost`. The caller sets the time limit.
        """
        held = self._claims.get(connection.id)
        if held is None:
            raise connection.loss()
        claim = held.open_stream("outbound")
        try:
            stream = await connection.open_stream()
        except BaseException:
            claim.close()
            raise
        self._stream_claims[stream] = claim
        return stream

    def agree(self, stream: MuxedStream, protocol: str) -> None:
        """A stream that we opened has its protocol.

        Raises: `LimitExceeded`.
        """
        claim = self._stream_claims.get(stream)
        if claim is not None:  # or else it is over already
            claim.agree(protocol)

    # -- which connection -----------------------------------------------------------------------------------

    def to(self, peer: PeerId) -> list[MuxedConnection]:
        """Every open connection to `peer`, the oldest first."""
        return self._by_peer.get(peer, [])

    def best(self, peer: PeerId) -> MuxedConnection | None:
        """The connection that new streams use; both ends choose the same: a direct one before a relayed one.

        When two peers dial each other at the same moment, each ends with two connections. The one that the peer with
        the smaller id dialed stays in use; the other is closed once nothing runs on it.
        """
        held = [c for c in self.to(peer) if c.is_open and not c.is_ending]
        if not held:
            return None
        preferred: StreamDirection = "outbound" if self._peer_id < peer else "inbound"
        return min(held, key=lambda c: (c.relayed, c.direction != preferred, c.id))

    def _drop_duplicates(self, peer: PeerId) -> None:
        """Close the connections to `peer` that lost, as soon as they are idle."""
        keep = self.best(peer)
        busy = False
        for connection in tuple(self.to(peer)):
            if (
                connection is keep
                or connection.relayed
                or connection.direction == (keep.direction if keep is not None else "")
            ):
                continue
            if connection.streams:
                busy = True
            else:
                self._tasks.create_task(connection.close())
        if busy:
            loop = asyncio.get_running_loop()
            loop.call_later(self._limits.duplicate_grace, self._drop_duplicates, peer)

    async def close(self) -> None:
        """Stop listening, then close every connection politely, all at once."""
        for listener in self._listeners:
            self._report_listener(listener, ListenerClosed)
            await listener.close()
        self._listeners.clear()
        await asyncio.gather(*(connection.close() for connection in [*self.connections.values()]))

    # -- telling --------------------------------------------------------------------------------------------

    def _report_listener(
        self, listener: Listener, kind: type[ListenerOpened] | type[ListenerClosed]
    ) -> None:
        if self._probe.trace.listeners:
            for addr in listener.addrs:
                self._probe.emit("event", kind(str(addr)))

    def _report_upgrade(self, link: str, remote_addr: Multiaddr, cause: str) -> None:
        if self._probe.trace.listeners:
            self._probe.on("host", link).emit("event", UpgradeFailed(str(remote_addr), cause))

    def _report_refused(self, stream: MuxedStream, error: LimitExceeded) -> None:
        if stream.connection.probe.trace.listeners:
            text = f"LimitExceeded: {error}"
            failed = HandlerFailed(str(stream.connection.remote_peer), "", text)
            stream.connection.probe.emit("event", failed)

    def _report_failure(self, peer: PeerId | None, addr: Multiaddr, cause: BaseException) -> None:
        if self._probe.trace.listeners:
            text = f"{type(cause).__name__}: {cause}"
            self._probe.emit("event", DialFailed(str(peer or ""), str(addr), text))


def _host_of(addr: Multiaddr) -> str:
    """The IP address in `addr`; "" if it has none."""
    return addr.value_of("ip4") or addr.value_of("ip6") or ""
