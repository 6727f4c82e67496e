"""TCP, as far as its users can feel it: an asyncio transport on the simulated network.

    connecting     SYN, SYN-ACK, ACK as in RFC 9293, simultaneous open included; a lost SYN is sent again after
                   1, 2, 4, … s; a RST refuses
    sending        the congestion window starts at 10 packets (RFC 6928), doubles each round trip, and grows by one
                   packet a round trip once it has been halved (RFC 5681); the receiver's window is 4 MiB
    a loss         is seen when three packets have arrived behind the gap (fast retransmit: window halved), else when
                   the retransmission timer ends (RFC 6298, at least 0.2 s as in Linux: window back to one packet); the
                   timer doubles each time, and after 15 times the connection is lost (Linux: 15)
    ending         FIN each way, or RST; data for a closed end is answered by RST

What is simplified: up to 16 packets that leave together travel as one event, and only those of them that were lost
are sent again. Acknowledgements are not packets: they take the way back without being lost or queued. There is no
keepalive and no TIME-WAIT.
"""

from __future__ import annotations

import asyncio
import contextvars
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from libp2p_lab.sim.packet import MSS, TCP_HEADER, Endpoint, Kind, Packet, packets_in
from libp2p_lab.sim.sockets import SimSocket, sockname

if TYPE_CHECKING:
    from libp2p_lab.sim.machine import Machine
    from libp2p_lab.sim.sockets import SimServer

State = Literal["syn_sent", "syn_received", "established", "closed"]

TRAIN = 16 * MSS  # bytes that travel as one event
INITIAL_WINDOW = 10 * MSS  # RFC 6928
RECEIVE_WINDOW = 4 << 20  # bytes that may wait for the reader; Linux: up to 6 MiB
SEND_BUFFER = 4 << 20  # bytes that the system takes from the application, at most; Linux: 4 MiB
SYN_TIMEOUT = 1.0  # seconds; RFC 6298
SYN_TRIES = 7  # Linux: 1 and 6 more, together 127 s
MIN_RTO = 0.2  # seconds; Linux
MAX_RTO = 120.0
RETRIES = 15  # Linux: tcp_retries2
ORPHAN_TIMEOUT = 60.0  # seconds that a closed end waits for the other's FIN; Linux: tcp_fin_timeout

_LINGER_NOT = struct.pack("ii", 1, 0)


class _Sending:
    """What only a connection on which data waits or was lost needs."""

    __slots__ = ("backoff", "lost", "timer", "unsent", "unsent_size")

    def __init__(self) -> None:
        self.unsent: deque[bytes] = deque()
        self.unsent_size = 0
        self.lost: dict[int, Packet] = {}  # by number of the first byte
        self.timer = 0  # which of the retransmission timers counts; 0: none
        self.backoff = 0  # times that the timer has ended in a row


class TcpConnection(asyncio.Transport):
    """One end of a connection.

    Args:
        machine: where it is.
        local, remote: the two ends, as this machine sees them.
        server: the listener that it came to; None for the end that dialed.
    """

    __slots__ = (
        "_ack_wanted",
        "_acks",
        "_context",
        "_cwnd",
        "_early",
        "_eof",
        "_fin_acked",
        "_fin_sent",
        "_high",
        "_in_flight",
        "_last_arrival",
        "_low",
        "_next_in",
        "_next_out",
        "_paused",
        "_peer",
        "_peer_closed",
        "_peer_window",
        "_protocol",
        "_rtt",
        "_rtt_var",
        "_sending",
        "_server",
        "_ssthresh",
        "_timers",
        "_tries",
        "_unread",
        "_unread_size",
        "_write_paused",
        "closing",
        "established",
        "local",
        "machine",
        "remote",
        "socket",
        "state",
    )

    def __init__(
        self, machine: Machine, local: Endpoint, remote: Endpoint, server: SimServer | None = None
    ) -> None:
        self.machine = machine
        self.local = local
        self.remote = remote
        self.state: State = "syn_sent" if server is None else "syn_received"
        self.socket = SimSocket(machine, socket.SOCK_STREAM, local, remote)
        super().__init__(
            {"socket": self.socket, "sockname": sockname(local), "peername": sockname(remote)}
        )
        self._server = server
        self._context = contextvars.copy_context() if server is None else server.context.copy()
        self._protocol: Any = None
        self.established: asyncio.Future[None] | None = None  # awaited by the end that dials
        self.closing = False
        self._tries = 0
        self._timers = 0
        # sending
        self._next_out = 0  # number of the next byte that we send
        self._in_flight = 0
        self._cwnd = float(INITIAL_WINDOW)
        self._ssthresh = float("inf")
        self._rtt = self._rtt_var = 0.0
        self._acks: deque[tuple[float, float, int, int]] | None = None  # (when, rtt, bytes, window)
        self._ack_wanted = False  # somebody wants to be told of the next one
        self._peer_window = RECEIVE_WINDOW
        self._sending: _Sending | None = None
        self._last_arrival = 0.0
        self._high, self._low = 65536, 16384
        self._write_paused = self._fin_sent = self._fin_acked = self._eof = False
        # receiving
        self._next_in = 0
        self._early: dict[int, Packet] | None = None  # arrived before what is missing
        self._unread: deque[bytes] | None = None  # while the protocol is paused
        self._unread_size = 0
        self._paused = self._peer_closed = False
        self._peer: TcpConnection | None = None  # whose window we open

    def __repr__(self) -> str:
        return f"<TCP {self.machine.name} {self.local} → {self.remote} {self.state}>"

    # -- connecting -----------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Send the SYN, or the SYN-ACK, and again until something comes back."""
        if self.state not in ("syn_sent", "syn_received"):
            return
        if self._tries == SYN_TRIES:
            self._fail(TimeoutError(110, "Connection timed out"))
            return
        timeout = SYN_TIMEOUT * self.machine.network.tcp_patience * 2**self._tries
        self._tries += 1
        self._signal("syn" if self.state == "syn_sent" else "synack")
        loop = self.machine.loop
        loop.at(loop.time() + timeout, self.machine.tie, _again, self)

    def receive(self, packet: Packet) -> None:
        """A packet of this connection arrived at the machine."""
        kind = packet.kind
        if kind == "rst":
            self._reset_by_peer()
        elif self.state == "closed":
            self._after_the_end(packet)
        elif kind == "syn":
            if self.state == "syn_sent":  # both dial at once
                self.state = "syn_received"
            if self.state == "syn_received":
                self._signal("synack")
            else:
                self._signal("ack")
        elif kind == "synack":
            if self.state in ("syn_sent", "syn_received"):
                self._signal("ack")
                self._establish()
            else:
                self._signal("ack")  # our first one was lost
        else:
            if self.state == "syn_received":
                self._establish()
            if kind != "ack":
                self._receive_data(packet)

    def _establish(self) -> None:
        self.state = "established"
        if self._server is not None:
            self._server.waiting -= 1
            self.machine.loop.call_soon(self._server.accept, self, context=self._context)
        elif self.established is not None and not self.established.done():
            self.established.set_result(None)

    def start(self, protocol: Any) -> None:
        """Hand the connection to its user."""
        self._protocol = protocol
        protocol.connection_made(self)
        self._deliver()

    def refused(self, error: OSError) -> None:
        """The network says that nobody can be reached there."""
        if self.state in ("syn_sent", "syn_received"):
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        """The connection never came about."""
        self.state = "closed"
        self.machine.forget(self)
        if self._server is not None:
            self._server.waiting -= 1
        if self.established is not None and not self.established.done():
            self.established.set_exception(error)

    def give_up(self) -> None:
        """Whoever dialed does not want it any more. As in Linux a lone SYN is not taken back."""
        if self.state == "syn_sent":
            self.machine.forget(self)
            self.vanish()
        else:
            self.abort(reset=True)

    def _signal(self, kind: Kind) -> None:
        packet = Packet(kind, self.local, self.remote, b"", TCP_HEADER, self.machine, sender=self)
        self.machine.send(packet)

    # -- sending --------------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """As in asyncio."""
        if self._eof:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self.closing or not data:
            return
        self._collect_acks()
        whole = bytes(data)
        waits = self._sending is not None and self._sending.unsent
        if not waits and len(whole) <= min(self._room(), TRAIN):
            self._transmit("data", whole)
        else:
            self._queue(whole)
            self._pump()
        if not self._write_paused and self.get_write_buffer_size() > self._high:
            self._write_paused = True
            self._protocol.pause_writing()

    def _queue(self, data: bytes) -> None:
        sending = self._sending
        if sending is None:
            sending = self._sending = _Sending()
        sending.unsent.append(data)
        sending.unsent_size += len(data)

    def _room(self) -> int:
        """Bytes that may leave now."""
        return int(min(self._cwnd, self._peer_window)) - self._in_flight

    def _pump(self) -> None:
        """Send what waits, as far as the windows allow."""
        sending = self._sending
        if sending is None:
            return
        while sending.unsent:
            room = self._room()
            if room <= 0 or (room < min(MSS, sending.unsent_size) and self._in_flight):
                break  # a small gap is not worth a packet; a closed window will be opened by the reader
            self._transmit("data", _take(sending, min(room, TRAIN)))
        if sending.unsent or sending.lost:
            self._want_ack()
        elif self._eof and not self._fin_sent:
            self._send_fin()
        if self._write_paused and self.get_write_buffer_size() <= self._low:
            self._write_paused = False
            if self._protocol is not None:
                self.machine.loop.call_soon(self._protocol.resume_writing, context=self._context)

    def _transmit(self, kind: Kind, data: bytes) -> None:
        count = packets_in(len(data))
        size = len(data) + count * TCP_HEADER
        packet = Packet(
            kind, self.local, self.remote, data, size, self.machine, self._next_out, self
        )
        length = len(data) or 1  # a FIN has a number of its own
        self._next_out += length
        self._in_flight += length
        self._last_arrival = self.machine.send(packet, self._last_arrival)

    def _send_fin(self) -> None:
        self._fin_sent = True
        self._transmit("fin", b"")
        self._want_ack()

    # -- acknowledgements and losses ------------------------------------------------------------------------

    def acknowledged(self, when: float, rtt: float, size: int, window: int) -> None:
        """The other end has `size` more bytes of ours, which we know from `when` on."""
        if self._acks is None:
            self._acks = deque()
        self._acks.append((when, rtt, size, window))
        if self._ack_wanted:
            self._want_ack()

    def _want_ack(self) -> None:
        """Be woken by the next acknowledgement."""
        self._ack_wanted = True
        if self._acks:
            self._ack_wanted = False
            self.machine.loop.at(self._acks[0][0], self.machine.tie, _on_ack, self)

    def on_ack(self) -> None:
        """An acknowledgement that somebody waits for has arrived."""
        if self.state == "closed":
            return
        if self.machine.is_frozen:
            self._later(_on_ack, self)
            return
        self._collect_acks()
        sending = self._sending
        if sending is not None and sending.lost and not sending.timer:
            self._retransmit(self._cwnd)  # the way is open again
        self._pump()
        self._end_if_done()

    def _later(self, action: Callable[[Any], None], argument: object) -> None:
        """While the machine is frozen nothing happens on it."""
        loop = self.machine.loop
        loop.at(loop.time() + 1.0, self.machine.tie, action, argument)

    def _collect_acks(self) -> None:
        acks, now = self._acks, self.machine.loop.time()
        while acks and acks[0][0] <= now:
            _, rtt, size, self._peer_window = acks.popleft()
            if not size:
                continue
            self._in_flight -= size
            if self._sending is not None:
                self._sending.backoff = 0
            if rtt:
                self._measure(rtt)
            if self._cwnd < self._ssthresh:
                self._cwnd += size
            else:
                self._cwnd += MSS * size / self._cwnd
            if self._fin_sent and not self._in_flight:
                self._fin_acked = True
        if not acks:
            self._acks = None

    def _measure(self, rtt: float) -> None:
        """RFC 6298."""
        if not self._rtt:
            self._rtt, self._rtt_var = rtt, rtt / 2
        else:
            self._rtt_var = 0.75 * self._rtt_var + 0.25 * abs(self._rtt - rtt)
            self._rtt = 0.875 * self._rtt + 0.125 * rtt

    @property
    def rto(self) -> float:
        """Seconds after which a packet without an answer is sent again."""
        patience = self.machine.network.tcp_patience
        if not self._rtt:
            return SYN_TIMEOUT * patience
        return min(max(self._rtt + 4 * self._rtt_var, MIN_RTO), MAX_RTO * patience)

    def dropped(self, packet: Packet) -> None:
        """A packet of ours was lost somewhere. We are not told, but our timer will end."""
        if packet.kind not in ("data", "fin") or self.state == "closed":
            return
        sending = self._sending
        if sending is None:
            sending = self._sending = _Sending()
        sending.lost[packet.seq] = packet
        if not sending.timer:
            loop = self.machine.loop
            timeout = self.rto * 2**sending.backoff
            timeout = min(timeout, MAX_RTO * self.machine.network.tcp_patience)
            self._timers += 1
            sending.timer = self._timers
            when = max(loop.time(), packet.sent_at + timeout)
            loop.at(when, self.machine.tie, _on_timer, (self, sending.timer))

    def on_timer(self, timer: int) -> None:
        """The retransmission timer has ended, if it still counts."""
        sending = self._sending
        if sending is None or sending.timer != timer or self.state == "closed":
            return
        if self.machine.is_frozen:
            self._later(_on_timer, (self, timer))
            return
        sending.timer = 0
        if not sending.lost:
            return
        if sending.backoff >= RETRIES:
            self._lose(TimeoutError(110, "Connection timed out"))
            return
        sending.backoff += 1
        self._ssthresh = max(self._in_flight / 2, 2.0 * MSS)
        self._cwnd = float(MSS)
        self._retransmit(self._cwnd)

    def gap_seen(self, seq: int) -> None:
        """Three packets have arrived behind the gap at `seq`, and so have their acknowledgements."""
        sending = self._sending
        if sending is None or seq not in sending.lost or self.machine.is_frozen:
            return
        sending.timer = 0
        self._ssthresh = self._cwnd = max(self._cwnd / 2, 2.0 * MSS)
        self._retransmit(self._cwnd)

    def _retransmit(self, budget: float) -> None:
        """Send again what was lost, the first byte first, up to `budget` bytes but one packet at least."""
        sending = self._sending
        assert sending is not None
        self._want_ack()
        for seq in sorted(sending.lost):
            packet = sending.lost.pop(seq)
            again = Packet(
                packet.kind,
                self.local,
                self.remote,
                packet.payload,
                packet.size,
                self.machine,
                seq,
                self,
            )
            again.is_repeat = True
            self._last_arrival = self.machine.send(again, self._last_arrival)
            budget -= packet.size
            if budget <= 0 or sending.timer:  # enough, or lost once more
                return

    # -- receiving ------------------------------------------------------------------------------------------

    def _receive_data(self, packet: Packet) -> None:
        seq = packet.seq
        if seq != self._next_in:
            if seq > self._next_in:
                self._keep_for_later(packet)
            return
        if self.closing and packet.kind == "data":
            self._signal("rst")  # nobody will read it
            self._lose_silently()
            return
        self._take(packet, is_fresh=not packet.is_repeat)
        early = self._early
        while early and self._next_in in early:
            self._take(early.pop(self._next_in), is_fresh=False)
        if not early:
            self._early = None
        self._deliver()

    def _keep_for_later(self, packet: Packet) -> None:
        if self._early is None:
            self._early = {}
        self._early[packet.seq] = packet
        waiting = sum(packets_in(len(early.payload)) for early in self._early.values())
        if waiting >= 3 and packet.sender is not None:
            machine = self.machine
            when = machine.loop.time() + machine.network.delay_back(packet)
            machine.loop.at(when, machine.tie, _on_gap, (packet.sender, self._next_in))

    def _take(self, packet: Packet, is_fresh: bool) -> None:
        """The next in order. A round trip is measured only where it is clear which packet was answered."""
        if packet.kind == "fin":
            self._next_in += 1
            self._peer_closed = True
            self._keep(b"")
            size = 1
        else:
            size = len(packet.payload)
            self._next_in += size
            self._keep(packet.payload)
        self._peer = packet.sender
        if packet.sender is not None:
            network, now = self.machine.network, self.machine.loop.time()
            back = network.delay_back(packet)
            rtt = now - packet.sent_at + back if is_fresh else 0.0
            packet.sender.acknowledged(now + back, rtt, size, self._window())

    def _keep(self, data: bytes) -> None:
        if self._unread is None:
            self._unread = deque()
        self._unread.append(data)
        self._unread_size += len(data)

    def _window(self) -> int:
        return max(0, RECEIVE_WINDOW - self._unread_size)

    def _deliver(self) -> None:
        """Hand the protocol what has arrived, in its own context."""
        if self._unread and not self._paused and self._protocol is not None:
            self.machine.loop.call_soon(self._hand_over, context=self._context)

    def _hand_over(self) -> None:
        unread, protocol = self._unread, self._protocol
        was_closed = self._window() < MSS
        while unread and not self._paused and not self.closing:
            data = unread.popleft()
            self._unread_size -= len(data)
            if not data:
                if not protocol.eof_received():
                    self.close()
            elif isinstance(protocol, asyncio.BufferedProtocol):
                _feed(protocol, data)
            else:
                protocol.data_received(data)
        if not unread:
            self._unread = None
        peer = self._peer
        if was_closed and self._window() >= MSS and peer is not None:
            machine = self.machine
            delay = machine.network.path_delay(machine, peer.machine)
            peer.acknowledged(machine.loop.time() + delay, 0.0, 0, self._window())

    def pause_reading(self) -> None:
        """As in asyncio."""
        self._paused = True

    def resume_reading(self) -> None:
        """As in asyncio."""
        if self._paused:
            self._paused = False
            self._deliver()

    def is_reading(self) -> bool:
        """As in asyncio."""
        return not self._paused and not self.closing

    # -- ending ---------------------------------------------------------------------------------------------

    def can_write_eof(self) -> bool:
        """As in asyncio."""
        return True

    def write_eof(self) -> None:
        """As in asyncio: FIN behind what was written."""
        if self._eof or self.closing:
            return
        self._eof = True
        if self._sending is None or not (self._sending.unsent or self._sending.lost):
            self._send_fin()

    def close(self) -> None:
        """As in asyncio: what was written still arrives."""
        if self.closing:
            return
        if self._unread:  # as in Linux: who closes with data unread, resets
            self.abort(reset=True)
            return
        self.write_eof()
        self.closing = True
        self.machine.loop.call_soon(self._lost, None, context=self._context)
        self._end_if_done()

    def abort(self, reset: bool = False) -> None:
        """As in asyncio: what waits here is dropped. A RST follows if SO_LINGER says so, else a FIN."""
        if self.closing:
            return
        if self._sending is not None:
            self._sending.unsent.clear()
            self._sending.unsent_size = 0
        linger = self.socket.options.get((socket.SOL_SOCKET, socket.SO_LINGER))
        if not (reset or linger == _LINGER_NOT or self._unread):
            self.close()
            return
        self._signal("rst")
        self._lose_silently()

    def _lose_silently(self) -> None:
        """Gone by our own wish."""
        self.state = "closed"
        self.machine.forget(self)
        if not self.closing:
            self.closing = True
            self.machine.loop.call_soon(self._lost, None, context=self._context)

    def _lose(self, error: OSError) -> None:
        """Gone against our wish."""
        self.state = "closed"
        self.machine.forget(self)
        self._sending = None
        if not self.closing:
            self.closing = True
            if self._protocol is not None:
                self.machine.loop.call_soon(self._lost, error, context=self._context)

    def _reset_by_peer(self) -> None:
        if self.state in ("syn_sent", "syn_received"):
            self._fail(ConnectionRefusedError(111, "Connection refused"))
        else:
            self._lose(ConnectionResetError(104, "Connection reset by peer"))

    def _lost(self, error: OSError | None) -> None:
        protocol, self._protocol = self._protocol, None
        self._unread = None
        if protocol is not None:
            protocol.connection_lost(error)
        self._server = None

    def _end_if_done(self) -> None:
        """Closed by us, and everything has arrived: only the other end's FIN may be missing."""
        self._collect_acks()
        if not self.closing or self.state == "closed":
            return
        if self._fin_acked and self._peer_closed:
            self.state = "closed"
            self.machine.forget(self)
        elif self._fin_acked:
            loop = self.machine.loop
            loop.at(loop.time() + ORPHAN_TIMEOUT, self.machine.tie, _orphan, self)
        else:
            self._want_ack()

    def _after_the_end(self, packet: Packet) -> None:
        if packet.kind == "data":
            self._signal("rst")

    def orphaned(self) -> None:
        """The other end never closed: forget the connection."""
        if self.closing and self.state != "closed":
            self.state = "closed"
            self.machine.forget(self)

    def vanish(self) -> None:
        """The machine has crashed: nothing is sent, nobody is told."""
        self.state = "closed"
        self.closing = True
        self._protocol = None
        self._sending = self._unread = self._acks = None
        if self.established is not None and not self.established.done():
            self.established.cancel()

    # -- the rest of asyncio's interface --------------------------------------------------------------------

    def is_closing(self) -> bool:
        """As in asyncio."""
        return self.closing

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """As in asyncio."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """As in asyncio."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def get_write_buffer_size(self) -> int:
        """As in asyncio: bytes that the system has not taken yet."""
        sending = self._sending
        if sending is None:
            return 0
        system = max(65536, min(int(2 * self._cwnd), SEND_BUFFER))
        return max(0, sending.unsent_size + self._in_flight - system)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """As in asyncio."""
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """As in asyncio."""
        if high is None:
            high = 65536 if low is None else 4 * low
        self._high, self._low = high, high // 4 if low is None else low

    def get_sending_state(self) -> tuple[float, int]:
        """For experiments: the congestion window and what is in flight, in bytes."""
        return self._cwnd, self._in_flight


def _take(sending: _Sending, n: int) -> bytes:
    """Up to `n` bytes of what waits."""
    parts = []
    while n and sending.unsent:
        part = sending.unsent[0]
        if len(part) <= n:
            sending.unsent.popleft()
        else:
            sending.unsent[0] = part[n:]
            part = part[:n]
        parts.append(part)
        n -= len(part)
        sending.unsent_size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _feed(protocol: asyncio.BufferedProtocol, data: bytes) -> None:
    view = memoryview(data)
    while view:
        buffer = memoryview(protocol.get_buffer(len(view)))
        n = min(len(buffer), len(view))
        buffer[:n] = view[:n]
        protocol.buffer_updated(n)
        view = view[n:]


def _again(connection: TcpConnection) -> None:
    connection.begin()


def _on_ack(connection: TcpConnection) -> None:
    connection.on_ack()


def _on_timer(both: tuple[TcpConnection, int]) -> None:
    both[0].on_timer(both[1])


def _on_gap(both: tuple[TcpConnection, int]) -> None:
    both[0].gap_seen(both[1])


def _orphan(connection: TcpConnection) -> None:
    connection.orphaned()


Factory = Callable[[], asyncio.BaseProtocol]
