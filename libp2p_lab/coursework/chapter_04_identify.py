"""E4.6: the handler that answers identify, in a live peer whose own identify service was taken out."""

from __future__ import annotations

from typing import Any

from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.errors import LabError, MalformedMessage
from libp2p_lab.host.host import Host
from libp2p_lab.host.identify import PROTOCOL_ID, IdentifyMessage
from libp2p_lab.host.ping import Ping
from libp2p_lab.identity.keys import KeyPair, PublicKey
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.multiplexing.muxed_stream import MuxedStream
from libp2p_lab.wire import varint

PATIENCE = 5.0  # seconds for an answer that takes a right handler milliseconds
LONGEST = 8 * 1024  # bytes of one message: what others read
MESSAGE = "identify/README.md#the-identify-message"


async def _ask(exam: Exam, client: Host, server: Host) -> IdentifyMessage:
    """What the handler sends on one stream, taken apart; its outer form is checked here."""
    try:
        step = exam.step(PATIENCE, "no-end", "the stream is not ended", expected="close_write")
        async with step:
            stream = await client.open_stream(server.peer_id, PROTOCOL_ID)
            data = await stream.read()
            await stream.close()
    except LabError as problem:
        exam.reject("broke-off", f"the stream broke: {problem}")
    exam.require(data, "nothing", "the handler sent nothing")
    rest = data
    whole = b""
    while rest:
        try:
            size, used = varint.decode(rest)
        except LabError:
            size, used = -1, 0
        exam.require(
            0 <= size <= len(rest) - used,
            "no-length",
            "before the message stands no varint with its length",
            got=shown(data[:40]),
            expected=f"the length, {len(data)} say, then so many bytes",
        )
        exam.require(size <= LONGEST, "too-long", f"one message of {size} bytes", got=str(size))
        whole += rest[used : used + size]
        rest = rest[used + size :]
    try:
        return IdentifyMessage.decode(whole)
    except MalformedMessage as problem:
        exam.reject("malformed", str(problem), got=shown(whole[:60]))


def _check_key(exam: Exam, message: IdentifyMessage, server: Host) -> None:
    right, secret = server.key.public.to_protobuf(), server.key.to_protobuf()
    exam.require(message.public_key, "malformed", "field 1, the public key, is missing")
    exam.require(
        message.public_key != secret and secret not in message.public_key,
        "private-key",
        "this is the private key, and now everybody has it",
    )
    exam.require(
        message.public_key == right,
        "key",
        "this is not the key as a protobuf",
        got=shown(message.public_key),
        expected=shown(right),
    )
    PublicKey.from_protobuf(message.public_key)


def _check_addrs(exam: Exam, message: IdentifyMessage, server: Host) -> None:
    right = {bytes(addr.without_peer()) for addr in server.addrs}
    got = set(message.listen_addrs)
    texts = {str(addr).encode() for addr in server.addrs}
    texts |= {str(addr.without_peer()).encode() for addr in server.addrs}
    exam.require(not got & texts, "text-addrs", "addresses travel as bytes, not as text")
    with_peer = {bytes(addr) for addr in server.addrs}
    exam.require(
        got in (right, with_peer),
        "addrs",
        "these are not the addresses at which the peer listens",
        got=", ".join(map(_read, message.listen_addrs)) or "none",
        expected=", ".join(map(_read, sorted(right))),
    )


def _read(data: bytes) -> str:
    try:
        return str(Multiaddr(data))
    except LabError:
        return shown(data, 80)


def _check_observed(exam: Exam, message: IdentifyMessage, server: Host, client: Host) -> None:
    (connection,) = server.connections_to(client.peer_id)
    right = bytes(connection.remote_addr)
    exam.require(
        message.observed_addr == right,
        "observed",
        "field 4 is where the one who asks is seen to come from",
        got=_read(message.observed_addr) if message.observed_addr else "(nothing)",
        expected=_read(right),
    )


def _check_protocols(exam: Exam, message: IdentifyMessage, server: Host, rule: str) -> None:
    exam.require(
        sorted(message.protocols) == sorted(server.protocols),
        rule,
        "these are not the protocols that the peer serves now",
        got=shown(message.protocols),
        expected=shown(server.protocols),
    )


async def _served(stream: MuxedStream) -> None:
    await stream.read()


async def examine_identify_handler(exam: Exam, answer: Any) -> None:
    """E4.6: two who ask, a protocol that is added between two questions, an untouched identify that believes it."""
    identify = exam.callable_answer(answer, "an async function identify(host, stream)")
    keys = [KeyPair.generate(rng=exam.rng) for _ in range(3)]
    listen = ["/ip4/127.0.0.1/tcp/0", "/memory/0"]
    async with (
        Host(key=keys[0], listen=listen, services=[Ping()]) as server,
        Host(key=keys[1], services=[Ping()]) as client,
        Host(key=keys[2]) as believer,
    ):
        watched = exam.watched(identify)

        async def handler(stream: MuxedStream) -> None:
            await watched(server, stream)

        server.set_handler(PROTOCOL_ID, handler)
        addr = next(addr for addr in server.addrs if addr.value_of("tcp") is not None)
        await client.connect(addr)
        exam.sent = "a peer over TCP asks who you are"
        message = await _ask(exam, client, server)
        _check_key(exam, message, server)
        _check_addrs(exam, message, server)
        _check_protocols(exam, message, server, "protocols")
        _check_observed(exam, message, server, client)
        exam.require(message.agent_version, "agent", "field 6, the program, is missing")
        exam.require(message.protocol_version, "agent", "field 5, the protocol version, is missing")
        exam.sent = "the same peer asks again, after /lab/new/1.0.0 was added"
        server.set_handler("/lab/new/1.0.0", _served)
        message = await _ask(exam, client, server)
        _check_protocols(exam, message, server, "stale")
        exam.sent = "another peer asks, over memory; its own identify is the library's"
        memory = next(addr for addr in server.addrs if addr.value_of("memory") is not None)
        await believer.connect(memory)
        try:
            async with exam.step(PATIENCE, "no-end", "its identify never came to an end"):
                info = await believer.identify_result(server.peer_id)
        except LabError as problem:
            exam.reject("broke-off", f"it does not believe you: {problem}")
        message = await _ask(exam, believer, server)
        _check_observed(exam, message, server, believer)
        exam.require(
            set(info.protocols) == set(server.protocols), "stale", "it learned other protocols"
        )
        exam.count("introductions", 4)


IDENTIFY_HANDLER = Check(
    id="04.identify_handler",
    exercise="E4.6",
    title="Who are you?",
    level="L3",
    points=2,
    objectives=("X.8",),
    starter='''\
from libp2p_lab.wire.varint import encode as encode_varint
from libp2p_lab.wire.protobuf import bytes_field  # bytes_field(number, value): one field of a protobuf


async def identify(host, stream):
    """Answers /ipfs/id/1.0.0 on `stream`: who `host` is, in one message.

    host.key.public, host.addrs, host.protocols; stream.connection.remote_addr.
    """
    raise NotImplementedError


await lab.check("04.identify_handler", identify)
''',
    hints=(
        "Open an Identify message in the lens of section 4: each of its fields is one you have to write.",
        "publicKey 1, listenAddrs 2, protocols 3, observedAddr 4, protocolVersion 5, agentVersion 6. Addresses are "
        "bytes; one field for each of them (identify/README.md, the identify message).",
        "message = bytes_field(1, host.key.public.to_protobuf()); += bytes_field(2, bytes(addr.without_peer())) for "
        "each of host.addrs; += bytes_field(3, name.encode()) for each of host.protocols; += bytes_field(4, "
        "bytes(stream.connection.remote_addr)); 5 and 6 are text. write(encode_varint(len(message)) + message), then "
        "close_write().",
    ),
    rules=(
        Rule(
            "nothing",
            "The one who asks says nothing: write as soon as the stream is there.",
            MESSAGE,
        ),
        Rule(
            "no-length",
            "A stream has no message ends: the length stands in front, as a varint.",
            "identify/README.md#identify",
        ),
        Rule(
            "too-long",
            "Others read 8 KiB of one message and no more.",
            "identify/README.md#the-identify-message",
        ),
        Rule("malformed", "The fields have the numbers and types of the spec's protobuf.", MESSAGE),
        Rule(
            "private-key",
            "Never. host.key.public is what others may know.",
            "identify/README.md#publickey",
        ),
        Rule(
            "key",
            "The key travels as it goes into the peer id: its protobuf, 08 … 12 …",
            "identify/README.md#publickey",
        ),
        Rule(
            "text-addrs",
            "A multiaddr on the wire is its bytes: bytes(addr).",
            "identify/README.md#listenaddrs",
        ),
        Rule(
            "addrs",
            "All addresses at which the peer listens, a field 2 for each.",
            "identify/README.md#listenaddrs",
        ),
        Rule(
            "protocols",
            "What the peer is willing to serve: host.protocols, a field 3 for each. Not what it can ask of others.",
            "identify/README.md#protocols",
        ),
        Rule(
            "stale",
            "The list changes while the peer runs. Make the message when somebody asks, not before.",
            "identify/README.md#protocols",
        ),
        Rule(
            "observed",
            "Each who asks is told where they are seen to come from: the remote address of this connection. It is "
            "how they may learn of a NAT.",
            "identify/README.md#observedaddr",
        ),
        Rule(
            "agent",
            "Say which program you are, and which family of protocols: 'ipfs/0.1.0' is what most say.",
            "identify/README.md#agentversion",
        ),
        Rule("no-end", "When all is said, close_write: the reader waits for the end."),
        Rule("broke-off", "The answer was not accepted, or never came."),
    ),
    examine=examine_identify_handler,
    time_limit=60.0,
    seeds=(1,),
)
