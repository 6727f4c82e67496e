"""E8.3: AutoNAT version 2, both sides: which address a server dials and what that costs, and whom a client believes."""

from __future__ import annotations

import itertools
from typing import Any

from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import REFUSALS, Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.nat.autonat import CHEAPEST, DEAREST
from libp2p_lab.nat.reachability import Judge, Verdict

TEXT = "autonat/autonat-v2.md#autonat-v2-protocol"
PAYING = "autonat/autonat-v2.md#amplification-attack-prevention"
PIECE = 4096  # bytes of data in one message
METHODS = ("ask", "pay", "dial_back", "answer", "verdict")
HERE, THERE = "/ip4/45.33.32.7/tcp/4001", "/ip4/8.8.4.4/tcp/4001"
NOT_DIALED = (
    "/ip4/192.168.1.7/tcp/4001",
    "/ip4/127.0.0.1/tcp/4001",
    "/ip4/10.1.2.3/udp/4001/quic-v1",
    "/dns4/victim.example/tcp/4001",
)


# -- the server -----------------------------------------------------------------------------------------------------


def _serves(exam: Exam, serve: Any) -> None:
    relayed = f"{THERE}/p2p/{PeerId(bytes([18, 32]) + exam.rng.randbytes(32))}/p2p-circuit"
    hopeless = [*NOT_DIALED, relayed]
    quic = "/ip4/45.33.32.7/udp/4001/quic-v1"
    for addrs, seen, speaks, right, what in (
        ([HERE], "45.33.32.7", ("tcp",), 0, "one address, where it is seen"),
        ([HERE, THERE], "45.33.32.7", ("tcp",), 0, "two addresses that could be dialed"),
        (
            [quic, HERE],
            "45.33.32.7",
            ("tcp",),
            1,
            "the first by QUIC, which the server does not speak",
        ),
        (
            [*hopeless, HERE],
            "45.33.32.7",
            ("tcp", "quic-v1"),
            5,
            "five that nobody should dial, and one",
        ),
    ):
        got = _plan(exam, serve, addrs, seen, speaks)
        if got is None:
            exam.reject("refuses", f"{what}: nothing is dialed", expected=f"number {right}")
        exam.require(
            got[0] == right,
            "one",
            f"{what}: another one is dialed",
            got=str(got[0]),
            expected=str(right),
        )
        exam.require(
            got[1] == 0,
            "free",
            "the address is where the asker is seen, and it must pay",
            got=f"{got[1]} bytes",
        )
    for addr in hopeless:
        got = _plan(exam, serve, [addr], "45.33.32.7", ("tcp", "quic-v1"))
        exam.require(
            got is None,
            "private",
            "an address is dialed that must not be",
            got=shown(got),
            expected="None",
        )
    prices = []
    for _ in range(12):
        got = _plan(exam, serve, [THERE], "45.33.32.7", ("tcp",))
        if got is None:
            exam.reject("refuses", "an address elsewhere may be dialed, once it is paid for")
        exam.require(
            CHEAPEST <= got[1] <= DEAREST,
            "price",
            "the address is not where the asker is seen: somebody else may live there",
            got=f"{got[1]} bytes",
            expected=f"{CHEAPEST} to {DEAREST}",
        )
        prices.append(got[1])
    exam.require(
        len(set(prices)) > 1,
        "price",
        "it always asks for the same number of bytes",
        got=str(prices[0]),
    )
    exam.count("requests served", 5 + len(hopeless) + 12)


def _plan(
    exam: Exam, serve: Any, addrs: list[str], seen: str, speaks: tuple[str, ...]
) -> tuple[int, int] | None:
    exam.sent = f"serve({addrs}, {seen!r}, {speaks}, rng)"
    got = serve(list(addrs), seen, speaks, exam.rng)
    if got is None:
        return None
    if not isinstance(got, tuple) or len(got) != 2 or not all(isinstance(n, int) for n in got):
        exam.reject("wrong-type", "serve gives (index, bytes), or None", got=shown(got))
    if not 0 <= got[0] < len(addrs):
        exam.reject("wrong-type", "the index is that of an address in the list", got=shown(got))
    return got


# -- the client -----------------------------------------------------------------------------------------------------


def _client(exam: Exam, make: Any) -> Any:
    client = make([HERE, THERE], exam.rng)
    missing = [name for name in METHODS if not callable(getattr(client, name, None))]
    if missing:
        exam.reject(
            "wrong-type", f"a client has {', '.join(METHODS)}; missing: {', '.join(missing)}"
        )
    return client


def _says(exam: Exam, client: Any, server: str, index: int, reached: bool, arrives: bool) -> None:
    """One question, honestly answered or not."""
    nonce = client.ask(server)
    if arrives:
        exam.sent = f"dial_back(the nonce of {server})"
        got = client.dial_back(nonce)
        exam.require(
            got is True, "nonce", "its own nonce came back, and was not taken", got=shown(got)
        )
    exam.sent = f"answer({server!r}, {index}, {reached})"
    client.answer(server, index, reached)


def _refuses(exam: Exam, rule: str, problem: str, call: Any, *args: Any) -> None:
    try:
        got = call(*args)
    except REFUSALS:
        exam.count("lies refused")
        return
    exam.reject(rule, problem, got=shown(got), expected="ValueError")


def _asks(exam: Exam, make: Any) -> None:
    client = _client(exam, make)
    nonces = [client.ask(f"server {n}") for n in range(20)]
    exam.sent = "ask, twenty times"
    if not all(isinstance(nonce, int) and not isinstance(nonce, bool) for nonce in nonces):
        exam.reject("wrong-type", "a nonce is an int of 64 bits", got=shown(nonces[0]))
    steps = {after - before for before, after in itertools.pairwise(nonces)}
    random = len(set(nonces)) == 20 and len(steps) > 15 and 2**58 < max(nonces) < 2**64
    exam.require(random, "guessable", "nonces that a server could guess", got=f"{nonces[:3]} …")
    exam.sent = "dial_back(a number that nobody was given)"
    exam.require(
        client.dial_back(12345) is False,
        "nonce",
        "a nonce came that is not its own, and it was taken",
    )
    client = _client(exam, make)
    client.ask("honest")
    other = client.ask("liar")
    client.dial_back(other)
    exam.sent = "the nonce of one question arrived; another server says that it has reached us"
    _refuses(
        exam,
        "cheats",
        "a server says that it got through, and its nonce never came",
        client.answer,
        "honest",
        0,
        True,
    )
    client = _client(exam, make)
    for number in range(6):
        client.ask(f"server {number}")
        exam.sent = f"server {number} says that it reached us; no nonce has come"
        _refuses(
            exam,
            "cheats",
            "a server says that it got through, and no nonce came",
            client.answer,
            f"server {number}",
            0,
            True,
        )
    exam.require(
        client.verdict(HERE) == "unknown",
        "cheats",
        "only liars have spoken, and they are believed",
        got=client.verdict(HERE),
    )
    client.ask("server")
    exam.sent = "a verdict about address number 7 of 2"
    _refuses(
        exam,
        "index",
        "a server speaks of an address that was not in the list",
        client.answer,
        "server",
        7,
        False,
    )


def _pays(exam: Exam, make: Any) -> None:
    client = _client(exam, make)
    for size in (CHEAPEST, DEAREST, exam.rng.randrange(CHEAPEST, DEAREST)):
        exam.sent = f"pay(0, {size})"
        pieces = client.pay(0, size)
        if not isinstance(pieces, list) or not all(isinstance(piece, int) for piece in pieces):
            exam.reject("wrong-type", "pay gives a list of sizes", got=shown(pieces))
        exam.require(
            sum(pieces) >= size and all(0 < piece <= PIECE for piece in pieces),
            "pieces",
            f"{sum(pieces)} bytes in pieces of up to {max(pieces, default=0)}",
            expected=f"{size} at least, in pieces of {PIECE} at most",
        )
        exam.require(
            sum(pieces) < size + PIECE,
            "pieces",
            "more is paid than was asked for",
            got=str(sum(pieces)),
            expected=str(size),
        )
    for index, size in ((0, DEAREST + 1), (0, 10**9), (0, 0), (2, CHEAPEST)):
        exam.sent = f"pay({index}, {size})"
        _refuses(
            exam,
            "dear",
            f"{size} bytes for address number {index}: nobody may ask for that",
            client.pay,
            index,
            size,
        )


def _believes(exam: Exam, make: Any) -> None:
    """Step by step, then any history beside the library's judge."""
    client = _client(exam, make)
    for number in range(4):
        got = client.verdict(HERE)
        exam.sent = f"{number} servers have reached us"
        exam.require(
            got == "unknown",
            "four",
            "it is settled before more than three have spoken",
            got=shown(got),
        )
        _says(exam, client, f"server {number}", 0, reached=True, arrives=True)
    exam.sent = "four servers have reached us"
    exam.equal(client.verdict(HERE), "public", "four", "more than three agree")
    exam.equal(
        client.verdict(THERE), "unknown", "per-address", "nobody has spoken of the other address"
    )
    client = _client(exam, make)
    for _ in range(6):
        _says(exam, client, "one server", 1, reached=False, arrives=False)
    exam.sent = "one server has said no six times"
    exam.equal(client.verdict(THERE), "unknown", "voices", "each server has one voice")
    client, judge = _client(exam, make), Judge()
    names = {f"server {n}": PeerId(b"\x12\x20" + exam.rng.randbytes(32)) for n in range(9)}
    for step in range(60):
        name = exam.rng.choice(list(names))
        index, reached = exam.rng.randrange(2), exam.rng.random() < 0.6
        _says(exam, client, name, index, reached=reached, arrives=reached)
        addr = Multiaddr((HERE, THERE)[index])
        judge.add(Verdict(names[name], addr, reached))
        exam.sent = f"after {step + 1} answers of nine servers that do not agree"
        exam.equal(
            client.verdict(str(addr)), judge.of(addr), "votes", "they are counted in another way"
        )
        exam.count("answers weighed")


async def examine_autonat(exam: Exam, answer: Any) -> None:
    """E8.3: the server, then the client."""
    if not isinstance(answer, tuple) or len(answer) != 2 or not all(map(callable, answer)):
        exam.reject("wrong-type", "two things are asked for: (serve, Client)", got=shown(answer))
    serve, make = answer
    _serves(exam, serve)
    _asks(exam, make)
    _pays(exam, make)
    _believes(exam, make)


AUTONAT = Check(
    id="08.autonat",
    exercise="E8.3",
    title="Can I be called?",
    level="L3",
    points=4,
    objectives=("1.12", "1.5"),
    starter='''\
import ipaddress


def serve(addrs, seen_ip, speaks, rng):
    """A server's part: which of these addresses it dials, and what the asker pays for it first.

    addrs: a list of texts, the most important first. seen_ip: where the server sees the asker.
    speaks: what the server can dial: "tcp", "quic-v1" or both, as they stand in an address.
    Returns (index, bytes), with 0 bytes where the asker is seen, else 30000 to 100000; None if it dials nothing:
    private addresses, names and relays are left alone.
    """
    raise NotImplementedError


class Client:
    """A client's part. addrs: our addresses, a list of texts; rng: chance."""

    def __init__(self, addrs, rng):
        raise NotImplementedError

    def ask(self, server):
        """We ask a server about all our addresses. Returns the nonce, an int of 64 bits, another one each time."""
        raise NotImplementedError

    def pay(self, index, size):
        """It wants `size` bytes for address number `index`. Returns the sizes of what is sent, 4096 at most each.

        ValueError for what nobody may ask for.
        """
        raise NotImplementedError

    def dial_back(self, nonce):
        """Somebody has reached us with a nonce. Returns whether it is one of ours."""
        raise NotImplementedError

    def answer(self, server, index, reached):
        """The server says whether it has reached address number `index`. ValueError for a lie that shows."""
        raise NotImplementedError

    def verdict(self, addr):
        """"public", "private" or "unknown": what more than three servers say, if more say it than do not."""
        raise NotImplementedError


await lab.check("08.autonat", (serve, Client))
''',
    hints=(
        "Server: go through the list until an address is fit to be dialed; then compare one IP with another. Client: "
        "remember for each server the nonce that it was given, and whether that one has come back.",
        "Exactly one address is dialed, the first that can be. Elsewhere than where the asker is seen it costs 30 to "
        "100 kB, or anybody could have a victim called (AutoNAT v2, amplification attack prevention). A success "
        "without the nonce is a lie.",
        "serve: for n, addr in enumerate(addrs): parts = addr.split('/'); skip if parts[1] not in ('ip4', 'ip6'), not "
        "ipaddress.ip_address(parts[2]).is_global, 'p2p-circuit' in parts, or none of speaks in parts (udp needs "
        "quic-v1); return n, 0 if parts[2] == seen_ip else rng.randint(30000, 100000). Client: open[server] = nonce; "
        "said[addr][server] = reached; public if yes >= 4 and yes > no.",
    ),
    rules=(
        Rule(
            "refuses",
            "Something in this list can be dialed: go on to the next if one cannot.",
            TEXT,
        ),
        Rule(
            "one",
            "The first one that the server can dial: the list is in the order of importance.",
            TEXT,
        ),
        Rule(
            "private",
            "Private addresses, names and relays are never dialed: they lead into other people's houses.",
        ),
        Rule("free", "Where the asker is seen there is no victim: it costs nothing.", PAYING),
        Rule("price", "30000 to 100000 bytes, at random, for any other IP address.", PAYING),
        Rule("guessable", "64 random bits: whoever can guess a nonce need not come through.", TEXT),
        Rule("nonce", "Only a nonce of an open question is ours.", TEXT),
        Rule(
            "cheats",
            "Believe a success only if the nonce came that this very server was given.",
            TEXT,
        ),
        Rule("index", "Only addresses of the list were asked about."),
        Rule(
            "pieces", "4096 bytes at most in a message, until what was asked for is there.", PAYING
        ),
        Rule(
            "dear",
            "More than 100000 bytes, or none, or for an address that is not in the list: refuse.",
            PAYING,
        ),
        Rule("four", "More than three servers must agree.", TEXT),
        Rule("per-address", "Each address is judged for itself."),
        Rule("voices", "One server, one voice; the last word counts."),
        Rule(
            "votes",
            "Four at least say the same, and more than say the contrary; a server may change its mind.",
        ),
    ),
    examine=examine_autonat,
)
