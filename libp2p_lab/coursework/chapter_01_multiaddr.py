"""E1.4: a codec for addresses, tried on text, on bytes, on rubbish, and by live peers that reach each other with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import first_difference, shown
from libp2p_lab.coursework.slots import swap
from libp2p_lab.errors import LabError
from libp2p_lab.host.host import Host
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.multiaddr import Multiaddr, Part
from libp2p_lab.identity.multiaddr_protocols import BY_CODE, VARIABLE
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.wire import varint

PATIENCE = 10.0  # seconds for a dial that takes a right answer milliseconds
METHODS = ("to_bytes", "to_text", "encapsulate", "decapsulate")
MULTIADDR_SPEC = "https://github.com/multiformats/multiaddr"
PROTOCOLS_TABLE = "https://github.com/multiformats/multiaddr/blob/master/protocols.csv"

_PEER = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"

#: One part each, so that a first mistake is found where it is; then the ways in which parts are put together.
FIXED = (
    "/ip4/127.0.0.1",
    "/tcp/4001",
    "/udp/80",
    "/ip6/::1",
    "/dns4/example.com",
    "/ws",
    "/quic-v1",
    "/p2p-circuit",
    f"/p2p/{_PEER}",
    "/ip4/198.51.100.7/udp/4001/quic-v1",
    "/ip6/2001:db8::7/tcp/443/ws",
    f"/ip4/198.51.100.7/tcp/4001/p2p/{_PEER}/p2p-circuit",
)

NO_TEXT = (
    ("/carrier-pigeon/7", "unknown-protocol"),
    ("", "no-address"),
    ("ip4/127.0.0.1", "no-address"),
    ("/ip4", "value-missing"),
    ("/ip4/127.0.0.1/tcp", "value-missing"),
    ("/ip4/127.0.0.256", "bad-value"),
    ("/tcp/65536", "bad-value"),
    ("/tcp/-1", "bad-value"),
    ("/tcp/http", "bad-value"),
    ("/ip6/127.0.0.1", "bad-value"),
    ("/p2p/alice", "bad-value"),
)

NO_BYTES = (
    (b"", "no-address"),
    (b"\x05\x01", "unknown-protocol"),
    (b"\xcd\x09\x00", "unknown-protocol"),
    (b"\x04\x7f\x00\x00", "truncated"),
    (b"\x04\x7f\x00\x00\x01\x06\x0f", "truncated"),
    (b"\x04\x7f\x00\x00\x01\x06", "truncated"),
    (b"\x36\x0bexample", "truncated"),
    (b"\xa5", "truncated"),
    (b"\x84\x00\x7f\x00\x00\x01", "not-shortest"),
)


def _peer(exam: Exam) -> str:
    return str(
        PeerId.from_public_key(
            KeyPair.generate(exam.rng.choice(("ed25519", "secp256k1", "ecdsa")), exam.rng).public
        )
    )


def _address(exam: Exam) -> str:
    """A random address of these protocols, put together as addresses are."""
    rng = exam.rng
    ip4 = "/ip4/" + ".".join(str(rng.randint(0, 255)) for _ in range(4))
    ip6 = str(Multiaddr(b"\x29" + rng.randbytes(rng.choice((1, 2))).ljust(16, b"\0")))
    dns = f"/dns4/{'x' * rng.choice((1, 7, 130))}.example.com"
    port = rng.choice((0, 1, 80, 255, 256, 4001, 65535))
    above = rng.choice((f"/tcp/{port}", f"/tcp/{port}/ws", f"/udp/{port}/quic-v1"))
    addr = rng.choice((ip4, ip6, dns)) + above
    if rng.random() < 0.6:
        addr += f"/p2p/{_peer(exam)}"
        if rng.random() < 0.4:
            addr += f"/p2p-circuit/p2p/{_peer(exam)}"
    return addr


# -- where do the bytes part? -------------------------------------------------------------------------------------


def _place(right: Multiaddr, got: bytes) -> tuple[str, str]:
    """Which rule the first wrong byte breaks, and where it stands, in words."""
    wrong = first_difference(got, right.to_bytes())
    start = 0
    for part in right.parts:
        encoded = part.encode()
        if wrong < start + len(encoded):
            return _inside(part, wrong - start)
        start += len(encoded)
    return "too-much", f"after the end of {right}"


def _inside(part: Part, offset: int) -> tuple[str, str]:
    protocol = BY_CODE[part.code]
    length = varint.encode(len(part.value_bytes)) if protocol.size == VARIABLE else b""
    if offset < len(protocol.prefix):
        return "code", f"in the code of /{part.name}, which is {protocol.prefix.hex(' ')}"
    if offset < len(protocol.prefix) + len(length):
        return "length", f"in the length of /{part.name}'s value, which is {length.hex(' ')}"
    rule = {"tcp": "port", "udp": "port", "p2p": "peer"}.get(part.name, "value")
    return rule, f"in the value of {part}, which is {part.value_bytes[:16].hex(' ')}"


def _check_encoding(exam: Exam, codec: Any, text: str) -> None:
    """Text to bytes and back; the first wrong byte says which rule is broken."""
    right = Multiaddr(text)
    got = exam.call(codec.to_bytes, text)
    rule, place = "value", ""
    if isinstance(got, bytes) and got != right.to_bytes():
        rule, place = _place(right, got)
    exam.equal(got, right.to_bytes(), rule, f"other bytes {place}" if place else "other bytes")
    back = exam.call(codec.to_text, right.to_bytes())
    exam.equal(back, str(right), "text", "these bytes have another text")
    exam.count("addresses, there and back")


# -- putting addresses together -----------------------------------------------------------------------------------


def _check_capsules(exam: Exam, codec: Any, outer: str, inner: str) -> None:
    both = outer + inner
    got = exam.call(codec.encapsulate, outer, inner)
    exam.equal(got, both, "encapsulate", "the second goes behind the first")
    got = exam.call(codec.decapsulate, both, inner)
    right = str(Multiaddr(both).decapsulate(inner))
    exam.equal(got, right, "decapsulate", f"{inner[:30]} and what follows it was to go")
    exam.count("addresses put together and taken apart")


def _check_decapsulate(exam: Exam, codec: Any) -> None:
    relayed = f"/ip4/7.7.7.7/tcp/1/p2p/{_PEER}/p2p-circuit/p2p/{_PEER}"
    cases = (
        (relayed, f"/p2p/{_PEER}"),  # the last occurrence, not the first
        ("/ip4/7.7.7.7/tcp/80/ws", "/tcp/8"),  # parts, not letters
        ("/ip4/7.7.7.7/tcp/80/ws", "/udp/80"),  # not there: nothing changes
        ("/ip4/7.7.7.7/tcp/80/ws", "/ws"),
    )
    for addr, part in cases:
        right = str(Multiaddr(addr).decapsulate(part))
        got = exam.call(codec.decapsulate, addr, part)
        exam.equal(got, right, "decapsulate", f"{part} is taken off otherwise")
        exam.count("addresses put together and taken apart")


# -- in live peers ------------------------------------------------------------------------------------------------


async def _meets(exam: Exam, codec: Any) -> None:
    """Listen, advertise and dial, each address as the codec writes and reads it; the other peer is untouched."""
    exam.sent = "two live peers over TCP; one of them writes and reads addresses by your codec"
    mine_key, their_key = (KeyPair.generate(rng=exam.rng) for _ in range(2))
    step = exam.step(PATIENCE, "stranger", "the two never met")
    try:
        with swap("multiaddr", codec) as stack:
            async with (
                stack.host(key=mine_key, listen=["/ip4/127.0.0.1/tcp/0"]) as mine,
                Host(key=their_key, listen=["/ip4/127.0.0.1/tcp/0"]) as theirs,
                step,
            ):
                advertised: Sequence[str] = stack.addrs(mine)
                exam.equal(
                    list(advertised), [str(a) for a in mine.addrs], "text", "another address"
                )
                await theirs.connect(advertised[0])
                await theirs.ping(mine.peer_id)
                told = await stack.told_addrs(mine, theirs.peer_id)
                exam.equal(told, [str(a.without_peer()) for a in theirs.addrs], "text", "another")
                await mine.disconnect(theirs.peer_id)
                await stack.connect(mine, f"{told[0]}/p2p/{theirs.peer_id}")
                await mine.ping(theirs.peer_id)
    except LabError as problem:
        exam.reject("stranger", "the two peers did not meet", got=str(problem))
    exam.count("connections with an untouched peer", 2)


async def examine_multiaddr(exam: Exam, answer: Any) -> None:
    """E1.4: one part at a time, live peers, random addresses, what must be refused, encapsulation."""
    codec = exam.methods(answer, METHODS)
    for text in FIXED:
        _check_encoding(exam, codec, text)
    await _meets(exam, codec)
    for _ in range(40):
        _check_encoding(exam, codec, _address(exam))
    for text, rule in NO_TEXT:
        exam.refuses(codec.to_bytes, text, rule=rule, problem=f"{shown(text)} is no address")
    exam.explain = {IndexError: "truncated", KeyError: "unknown-protocol"}
    for data, rule in NO_BYTES:
        problem = f"{data.hex(' ') or 'nothing'} is no address"
        exam.refuses(codec.to_text, data, rule=rule, problem=problem)
    exam.count("refusals", len(NO_TEXT) + len(NO_BYTES))
    exam.explain = {}
    for _ in range(20):
        _check_capsules(exam, codec, _address(exam), f"/p2p/{_peer(exam)}")
    _check_decapsulate(exam, codec)


MULTIADDR = Check(
    id="01.multiaddr",
    exercise="E1.4",
    title="Addresses as text and as bytes",
    level="L4",
    points=4,
    objectives=("1.14", "X.1"),
    starter='''\
from libp2p_lab.wire.multibase import base58_decode, base58_encode

# name: (code, bytes of the value; 0 for none, -1 where a varint with the length stands in front)
PROTOCOLS = {
    "ip4": (4, 4), "ip6": (41, 16), "dns4": (54, -1), "tcp": (6, 2), "udp": (273, 2),
    "quic-v1": (461, 0), "ws": (477, 0), "p2p": (421, -1), "p2p-circuit": (290, 0),
}


class Codec:
    def to_bytes(self, text):
        """The bytes of an address; ValueError if the text is none. Codes and lengths are varints."""
        raise NotImplementedError

    def to_text(self, data):
        """The text of an address; ValueError if the bytes are none."""
        raise NotImplementedError

    def encapsulate(self, outer, inner):
        """`inner` inside `outer`; all three are text."""
        raise NotImplementedError

    def decapsulate(self, addr, part):
        """What stands before the last occurrence of `part`; the whole of `addr` if there is none."""
        raise NotImplementedError


await lab.check("01.multiaddr", Codec)
''',
    hints=(
        "Take one part after another: a name and its value become a code and its value. Do /ip4 and /tcp first, and "
        "let the check say what is next.",
        "A part is the protocol's code as a varint, then, where the size is not fixed, a varint with the length, then "
        "the value. Ports are big-endian (addressing/README.md, multiaddr basics). Your varints of E1.2 do both.",
        "to_bytes: words = text.split('/')[1:]; while words: name = words.pop(0); code, size = PROTOCOLS[name]; add "
        "uvarint_encode(code); if size: value = ipaddress.ip_address(…).packed, int(…).to_bytes(2, 'big'), "
        "text.encode() or base58_decode(…); with size -1 its length first. to_text reads the same in the same order.",
    ),
    rules=(
        Rule("code", "The code is a varint: 421, say, is the two bytes a5 03.", PROTOCOLS_TABLE),
        Rule(
            "length",
            "Values whose length is not fixed (dns4, p2p) have it in front, as a varint. Values of fixed length have "
            "none.",
            MULTIADDR_SPEC,
        ),
        Rule("port", "A port is two bytes, the higher one first: 4001 is 0f a1.", MULTIADDR_SPEC),
        Rule(
            "peer",
            "The value of /p2p is the peer id as bytes: base58 decoded, not its letters.",
            "addressing/README.md#the-p2p-multiaddr",
        ),
        Rule(
            "value",
            "An IP address is its 4 or 16 bytes; a DNS name is its letters.",
            PROTOCOLS_TABLE,
        ),
        Rule(
            "too-much",
            "Nothing follows the last part, and a part without a value is its code only.",
        ),
        Rule(
            "text",
            "The way back: the names and values that went in, in the same form. IPv6 has a shortest form "
            "(ipaddress writes it).",
            MULTIADDR_SPEC,
        ),
        Rule(
            "unknown-protocol",
            "What is not in the table cannot be read on: nobody knows how long its value is. Refuse it by "
            "ValueError.",
            MULTIADDR_SPEC,
        ),
        Rule("no-address", "An address has one part or more, and its text begins with a slash."),
        Rule("value-missing", "This protocol needs a value, and the text ends before it."),
        Rule("bad-value", "The value does not fit its protocol: refuse it by ValueError."),
        Rule(
            "truncated",
            "The bytes end in the middle of a part. Count how many are left before you take them: a slice does not "
            "complain.",
        ),
        Rule(
            "not-shortest",
            "A code in a longer form than it needs is a second encoding of the same address. Refuse it, as in E1.2.",
            "https://github.com/multiformats/unsigned-varint",
        ),
        Rule(
            "encapsulate",
            "Encapsulating puts the second address behind the first: it runs inside it.",
            "addressing/README.md#encapsulation",
        ),
        Rule(
            "decapsulate",
            "Take off the last occurrence of the part, and what follows it. Compare parts, not letters; if it does "
            "not occur, nothing changes.",
            "addressing/README.md#decapsulation",
        ),
        Rule(
            "stranger",
            "The addresses before were right, and still two live peers did not meet. Their ids hold Ed25519 keys and "
            "are longer than the hashes before, and their ports come from the system: take lengths from what is there.",
            "addressing/README.md#multiaddr-in-libp2p",
        ),
    ),
    examine=examine_multiaddr,
    time_limit=60.0,
)
