"""Publish and subscribe on a host: streams, validators and subscriptions around a router.

    sub = await host.pubsub.subscribe("news")
    await host.pubsub.publish("news", b"hello")
    async for message in sub:
        print(message.from_peer, message.data)

To each peer that speaks pubsub we open one stream and speak on it; it opens one to us, and speaks on that. Neither
ever answers on the other's. What arrives goes to the router, what is new goes through the topic's validator, what is
accepted goes to the subscribers and back to the router, which passes it on.

Misconception: whoever publishes must subscribe. It need not; its messages leave through a fanout.

Spec: pubsub/README.md#stream-management
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from libp2p_lab.errors import LabError, LimitExceeded, LocalError, MalformedMessage, StreamReset
from libp2p_lab.host.peerstore import PeerInfo
from libp2p_lab.identity.envelope import PeerRecord
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.multiplexing.muxed_stream import READ_SIZE, MuxedStream
from libp2p_lab.pubsub.discovery import Discovery, TopicSearch
from libp2p_lab.pubsub.events import ValidatorFailed
from libp2p_lab.pubsub.outbox import Outbox
from libp2p_lab.pubsub.pubsub_messages import RPC, Message, PXPeer
from libp2p_lab.pubsub.router import Arrival, Dial, Router, Send
from libp2p_lab.pubsub.score import Verdict
from libp2p_lab.pubsub.signing import (
    SEQNO_LENGTH,
    MessageId,
    SignaturePolicy,
    check,
    default_message_id,
    sign,
)
from libp2p_lab.pubsub.subscription import ReceivedMessage, Subscription
from libp2p_lab.trace import Probe
from libp2p_lab.wire import varint

if TYPE_CHECKING:
    from libp2p_lab.host.host import Host

#: Judges a message: a `Verdict`, or True for ACCEPT and False for REJECT; may be a coroutine function.
Validator = Callable[[ReceivedMessage], Verdict | bool | Awaitable[Verdict | bool]]


@dataclass(slots=True)
class _Validation:
    """The validator of one topic, and how much of it runs."""

    validator: Validator
    timeout: float
    concurrency: int
    running: int = 0


@dataclass(slots=True)
class _Link:
    """What we have with one peer."""

    outbox: Outbox
    known: asyncio.Event = field(
        default_factory=asyncio.Event
    )  # the router knows the peer, or never will
    task: asyncio.Task[None] | None = None


class PubSub:
    """The driver of a router. Use `GossipSub` or `FloodSub`, or hand in a router of your own.

    Args:
        make_router: makes the router of one host.
        policy: what is signed and accepted.
        message_id: names messages; everybody in a topic must use the same.
        explicit_peers: peers to stay connected to, and to send everything.
        heartbeat_interval: seconds between two heartbeats of the router.
        first_seqno: the number of our first message; only simulations replace it.
        discovery: where peers of topics are found; None for nowhere.
        enough: below how many peers of a topic more are looked for there.

    Attributes:
        is_paused: whether the router's heart stands still. `beat` makes it beat once.
    """

    name = "pubsub"

    def __init__(
        self,
        make_router: Callable[[Host, Probe], Router],
        *,
        policy: SignaturePolicy = SignaturePolicy.STRICT_SIGN,
        message_id: MessageId = default_message_id,
        explicit_peers: Iterable[PeerInfo] = (),
        heartbeat_interval: float = 1.0,
        first_seqno: Callable[[], int] = time.time_ns,
        discovery: Discovery | None = None,
        enough: Callable[[], int] = lambda: 1,
    ) -> None:
        if policy is SignaturePolicy.STRICT_NO_SIGN and message_id is default_message_id:
            raise LocalError("without authors messages need names of another kind: give message_id")
        self._make_router = make_router
        self.policy = policy
        self._message_id = message_id
        self._explicit = tuple(explicit_peers)
        self._interval = heartbeat_interval
        self._seqno = itertools.count(first_seqno())
        self._links: dict[PeerId, _Link] = {}
        self._subscriptions: dict[str, list[Subscription]] = {}
        self._validations: dict[str, _Validation] = {}
        self._validating = 0
        self._dialing = 0
        self._heart: asyncio.Task[None] | None = None
        self._search: TopicSearch | None = None
        if discovery is not None:
            self._search = TopicSearch(discovery, lambda: self.topics, self.peers, enough)
        self.is_paused = False
        self._host: Host
        self.router: Router

    # -- a service ----------------------------------------------------------------------------------------------

    def attach(self, host: Host) -> None:
        """As `Service.attach`."""
        self._host = host
        self.router = self._make_router(host, Probe(host.trace, "pubsub"))
        for protocol in self.router.protocols:
            host.set_handler(protocol, self._listen, max_streams_per_peer=2)
        host.on_connect(self._connected)
        host.on_disconnect(self._disconnected)
        if self._search is not None:
            search = self._search
            host.on_start(lambda: search.start(host))

    async def close(self) -> None:
        """As `Service.close`."""
        if self._search is not None:
            self._search.close()
        for subscriptions in [*self._subscriptions.values()]:
            for subscription in [*subscriptions]:
                subscription.cancel()

    # -- for applications ---------------------------------------------------------------------------------------

    async def subscribe(self, topic: str, size: int | None = None) -> Subscription:
        """Read the messages of `topic` from now on.

        Args:
            topic: which.
            size: messages that may wait to be read; None for the limits' value.
        """
        self._check_running()
        size = self._host.limits.pubsub_subscription_queue if size is None else size
        subscription = Subscription(topic, size, self._unsubscribe)
        readers = self._subscriptions.setdefault(topic, [])
        readers.append(subscription)
        if len(readers) == 1:
            self.router.join(topic, self._now())
            self._act()
            self._topics_changed()
        return subscription

    def _unsubscribe(self, subscription: Subscription) -> None:
        readers = self._subscriptions[subscription.topic]
        readers.remove(subscription)
        if not readers:
            del self._subscriptions[subscription.topic]
            if self._host.is_running:
                self.router.leave(subscription.topic, self._now())
                self._act()
                self._topics_changed()

    def _topics_changed(self) -> None:
        if self._search is not None:
            self._search.wake()

    @property
    def topics(self) -> list[str]:
        """What we are subscribed to."""
        return list(self._subscriptions)

    async def publish(self, topic: str, data: bytes) -> bytes:
        """Send `data` to everybody who wants `topic`, ourselves included if we do.

        Returns: the message's id.

        Raises: `LimitExceeded` if it is too long; `LocalError` if our own validator refuses it.
        """
        self._check_running()
        message = Message(topic, bytes(data))
        if self.policy is not SignaturePolicy.STRICT_NO_SIGN:
            seqno = next(self._seqno).to_bytes(SEQNO_LENGTH, "big")
            message = Message(topic, message.data, self._host.peer_id.multihash, seqno)
        if self.policy.signs:
            message = sign(message, self._host.key)
        size, most = len(RPC(publish=(message,)).encode()), self._host.limits.pubsub_rpc
        if size > most:
            raise LimitExceeded("pubsub_rpc", size, most)
        arrival = Arrival(self._message_id(message), message, self._host.peer_id)
        verdict = await self._verdict(arrival)
        if verdict is not Verdict.ACCEPT:
            raise LocalError(f"our own validator of {topic!r} says: {verdict.value}")
        self._deliver(arrival)
        self.router.publish(arrival.message_id, message, self._now())
        self._act()
        await asyncio.sleep(0)  # a publisher in a loop lets the others work too
        return arrival.message_id

    def peers(self, topic: str) -> list[PeerId]:
        """The peers that want `topic`, as far as we know."""
        return self.router.peers(topic)

    def mesh(self, topic: str) -> list[PeerId]:
        """Those of them that get each message from us at once."""
        return self.router.mesh(topic)

    def add_validator(
        self,
        topic: str,
        validator: Validator,
        *,
        timeout: float | None = None,
        concurrency: int = 128,
    ) -> None:
        """Have each message of `topic` judged before it is delivered or passed on.

        Args:
            topic: which; there is one validator a topic.
            validator: judges. If it raises, or takes too long, the message is ignored.
            timeout: seconds for one message; None for the limits' value.
            concurrency: messages judged at once; what comes beyond that is ignored.

        Raises: `LocalError` if the topic has one already.

        Spec: pubsub/gossipsub/gossipsub-v1.1.md#extended-validators
        """
        if topic in self._validations:
            raise LocalError(f"there is a validator of {topic!r} already: remove it first")
        seconds = self._host.limits.pubsub_validation_timeout if timeout is None else timeout
        self._validations[topic] = _Validation(validator, seconds, concurrency)

    def remove_validator(self, topic: str) -> None:
        """Judge messages of `topic` no more."""
        self._validations.pop(topic, None)

    def beat(self) -> None:
        """One heartbeat now: for those who set `is_paused` to go from one to the next."""
        self.router.heartbeat(self._now())
        self._act()

    def dropped(self) -> dict[PeerId, int]:
        """RPCs that connected peers were not sent because they read too slowly."""
        return {peer: link.outbox.dropped for peer, link in self._links.items()}

    # -- streams ------------------------------------------------------------------------------------------------

    def _connected(self, connection: MuxedConnection) -> None:
        self._start()
        self._link_to(connection.remote_peer)

    def _disconnected(self, connection: MuxedConnection) -> None:
        peer = connection.remote_peer
        if not self._host.is_connected(peer):
            link = self._links.pop(peer, None)
            if link is not None and link.task is not None:
                link.task.cancel()

    def _link_to(self, peer: PeerId) -> _Link:
        """Our link to `peer`; a new one begins to open its stream."""
        link = self._links.get(peer)
        if link is None or (link.task is not None and link.task.done()):
            link = self._links[peer] = _Link(Outbox(self._host.limits))
            link.task = self._host.create_task(self._speak(peer, link))
        return link

    async def _speak(self, peer: PeerId, link: _Link) -> None:
        """Own what we say to one peer, stream after stream, while it is connected."""
        try:
            with contextlib.suppress(LabError):
                await self._host.identify_result(peer)
            spoken = self._host.peerstore.protocols(peer)
            if spoken and not set(spoken) & set(self.router.protocols):
                return
            for _ in range(self._host.limits.pubsub_stream_tries):
                with contextlib.suppress(LabError, OSError, TimeoutError):
                    await self._speak_on_a_stream(peer, link)
                self.router.remove_peer(peer, self._now())
                if not self._host.is_connected(peer) or link.outbox.is_stuck:
                    return
        finally:
            self.router.remove_peer(peer, self._now())
            link.known.set()

    async def _speak_on_a_stream(self, peer: PeerId, link: _Link) -> None:
        stream = await self._host.open_stream(peer, self.router.protocols)
        try:
            ips = [
                ip
                for c in self._host.connections_to(peer)
                if (ip := c.remote_addr.value_of("ip4") or c.remote_addr.value_of("ip6"))
            ]
            outbound = stream.connection.direction == "outbound"
            self.router.add_peer(peer, stream.protocol, outbound=outbound, ips=ips, now=self._now())
            link.known.set()
            self._act()
            await self._write_all(stream, link.outbox)
        finally:
            await stream.reset()

    async def _write_all(self, stream: MuxedStream, outbox: Outbox) -> None:
        probe, number = stream.probe.on("pubsub"), 0
        while True:
            packed = await outbox.take()
            if outbox.is_stuck:
                raise StreamReset("the peer does not read what we say")
            if probe.trace.listeners:
                for rpc, _ in packed:
                    probe.emit("sent", rpc, number)
                    number += 1
            async with asyncio.timeout(self._host.limits.pubsub_write_timeout):
                await stream.write(b"".join(encoded for _, encoded in packed))

    async def _listen(self, stream: MuxedStream) -> None:
        """Read what one peer says, to the end."""
        peer = stream.connection.remote_peer
        self._start()
        link = self._link_to(peer)
        async with asyncio.timeout(self._host.limits.identify_timeout):
            await link.known.wait()
        probe, number = stream.probe.on("pubsub"), 0
        async for data in _frames(stream, self._host.limits.pubsub_rpc):
            rpc = RPC.decode(data)
            if probe.trace.listeners:
                probe.emit("received", rpc, number)
                number += 1
            for arrival in self.router.receive(peer, rpc, self._now()):
                self._validate(arrival)
            self._act()

    # -- messages -----------------------------------------------------------------------------------------------

    def screen(self, message: Message) -> None:
        """Hold a message that arrived to our policy; raises a `RemoteError`."""
        check(message, self.policy)
        if message.from_peer == self._host.peer_id.multihash:
            raise MalformedMessage("a message in our own name, which we did not write")

    def _validate(self, arrival: Arrival) -> None:
        """Find the verdict: at once if there is no validator, else in a task."""
        if arrival.message.topic not in self._validations:
            self._finish(arrival, Verdict.ACCEPT)
        elif self._validating >= self._host.limits.pubsub_validations:
            self._finish(arrival, Verdict.IGNORE)
        else:
            self._validating += 1
            self._host.create_task(self._validate_in_task(arrival))

    async def _validate_in_task(self, arrival: Arrival) -> None:
        try:
            verdict = await self._verdict(arrival)
        finally:
            self._validating -= 1
        self._finish(arrival, verdict)
        self._act()

    async def _verdict(self, arrival: Arrival) -> Verdict:
        validation = self._validations.get(arrival.message.topic)
        if validation is None:
            return Verdict.ACCEPT
        if validation.running >= validation.concurrency:
            return Verdict.IGNORE
        validation.running += 1
        try:
            async with asyncio.timeout(validation.timeout):
                said = validation.validator(_received(arrival))
                if inspect.isawaitable(said):
                    said = await said
        except Exception as error:  # noqa: BLE001 - a validator is the application's: its bug costs one message
            said = Verdict.IGNORE
            probe = Probe(self._host.trace, "pubsub")
            if probe.trace.listeners:
                probe.emit("event", ValidatorFailed(arrival.message.topic, repr(error)))
        finally:
            validation.running -= 1
        if isinstance(said, Verdict):
            return said
        return Verdict.ACCEPT if said else Verdict.REJECT

    def _finish(self, arrival: Arrival, verdict: Verdict) -> None:
        if verdict is Verdict.ACCEPT:
            self._deliver(arrival)
        self.router.decide(arrival, verdict, self._now())

    def _deliver(self, arrival: Arrival) -> None:
        readers = self._subscriptions.get(arrival.message.topic)
        if readers:
            message = _received(arrival)
            for reader in readers:
                reader.deliver(message)

    # -- what the router wants ----------------------------------------------------------------------------------

    def _act(self) -> None:
        """Do what the router has decided. An RPC for many is encoded once."""
        for action in self.router.take_actions():
            match action:
                case Send(rpc, peers, urgency):
                    data = rpc.encode()
                    framed = varint.encode(len(data)) + data
                    for peer in peers:
                        link = self._links.get(peer)
                        if link is not None:
                            link.outbox.put(rpc, framed, urgency)
                case Dial(peers):
                    for offered in peers:
                        self._dial_offered(offered)

    def _dial_offered(self, offered: PXPeer) -> None:
        """Dial a peer from a PRUNE, if its record is signed by itself. What does not fit is forgotten."""
        if self._dialing >= self._host.limits.pubsub_px_dials:
            return
        try:
            peer = PeerId(offered.peer_id)
            if self._host.is_connected(peer) or peer == self._host.peer_id:
                return
            if offered.signed_record:
                record = PeerRecord.open(offered.signed_record)
                if record.peer_id != peer:
                    return
                self._host.peerstore.add_record(record, offered.signed_record)
        except LabError:
            return
        if self._host.peerstore.addrs(peer):
            self._dialing += 1
            self._host.create_task(self._connect(PeerInfo(peer)))

    async def _connect(self, target: PeerInfo) -> None:
        try:
            with contextlib.suppress(LabError, OSError):
                await self._host.connect(target)
        finally:
            self._dialing -= 1

    # -- time -----------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._heart is None:
            self._heart = self._host.create_task(self._beat())

    async def _beat(self) -> None:
        """The heartbeats, and now and then a look at our explicit peers."""
        looked_at = -self._host.limits.pubsub_explicit_interval
        while True:
            await asyncio.sleep(self._interval)
            if self.is_paused:
                continue
            now = self._now()
            self.beat()
            if now - looked_at >= self._host.limits.pubsub_explicit_interval:
                looked_at = now
                for target in self._explicit:
                    if not self._host.is_connected(target.peer_id):
                        self._dialing += 1
                        self._host.create_task(self._connect(target))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _check_running(self) -> None:
        if not self._host.is_running:
            raise LocalError("this host is not running")
        self._start()


def _received(arrival: Arrival) -> ReceivedMessage:
    message = arrival.message
    author = None
    if message.from_peer is not None:
        with contextlib.suppress(MalformedMessage):
            author = PeerId(message.from_peer)
    seqno = int.from_bytes(message.seqno, "big") if message.seqno is not None else None
    return ReceivedMessage(
        message.topic, message.data, author, seqno, arrival.sender, arrival.message_id
    )


async def _frames(stream: MuxedStream, limit: int) -> AsyncIterator[bytes]:
    """The length-prefixed messages of a stream, to its end; many small ones cost one read.

    Raises: `LimitExceeded` for a length beyond `limit`, before it is read; `MalformedMessage`; what `read` raises.
    """
    buffer = b""
    while chunk := await stream.read(READ_SIZE):
        buffer = buffer + chunk if buffer else chunk
        offset = 0
        while (frame := _next_frame(buffer, offset, limit)) is not None:
            start, offset = frame
            yield buffer[start:offset]
        buffer = buffer[offset:]
    if buffer:
        raise MalformedMessage(f"the stream ended within an RPC, after {len(buffer)} bytes")


def _next_frame(buffer: bytes, offset: int, limit: int) -> tuple[int, int] | None:
    """Where the next message begins and ends; None if it is not there whole."""
    for length in range(1, varint.MAX_LENGTH + 1):
        if offset + length > len(buffer):
            return None
        if buffer[offset + length - 1] < 0x80:
            size, start = varint.decode(buffer, offset)
            if size > limit:
                raise LimitExceeded("pubsub_rpc", size, limit)
            return (start, start + size) if start + size <= len(buffer) else None
    raise MalformedMessage("varint longer than nine bytes")
