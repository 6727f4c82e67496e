"""E8.5b, in words: what is handed out, the hints, and what each rule says."""

from __future__ import annotations

from libp2p_lab.coursework.checks import Rule

PROTOCOL = "relay/DCUtR.md#the-protocol"

STARTER = '''\
class HolePuncher:
    """DCUtR, both roles. `call` is one relayed connection, and the means to get rid of its relay:

    call.kind                "tcp" or "quic": what a hole is punched for
    call.addrs               where we can be seen, a list of texts
    call.now()               seconds, by our own clock
    await call.sleep(s)      wait
    await call.open()        a new stream to the other side, through the relay
    await call.dial(addrs, role)    dial all at once, as "client" or "server", until one works or call.patience is over
    call.knock(addr, data)   send one datagram (QUIC)
    call.is_direct           whether there is a direct connection
    call.patience            seconds that one try may take
    call.rng                 chance: .uniform(a, b), .randbytes(n)

    A stream has await stream.send(message) and await stream.receive(). Messages: ("CONNECT", addrs), ("SYNC",).
    """

    async def called(self, call):
        """We were called through the relay. Returns whether there is a direct connection in the end."""
        raise NotImplementedError

    async def caller(self, call, stream):
        """We called, and the other side has opened `stream`: one exchange. Whether we are connected directly."""
        raise NotImplementedError


await lab.check("08.hole_punch", HolePuncher)
'''

HINTS = (
    "Write `called` for TCP first, and for one try: four messages, one wait, one dial. Then put a loop around it. What "
    "must be measured again each time?",
    "The one that was called begins, measures the round trip of CONNECT, sends SYNC, waits for half of it and dials as "
    "server; the one that called dials as client when SYNC comes. Over QUIC only the client dials, and the server "
    "sends datagrams of random bytes, 10 to 200 ms apart. Three tries (DCUtR.md, the protocol).",
    "for _ in range(3): stream = await call.open(); began = call.now(); send CONNECT; _, theirs = await receive; rtt = "
    "call.now() - began; send SYNC; await call.sleep(rtt / 2); if tcp: await call.dial(theirs, 'server'), else: until "
    "call.is_direct or began + patience: knock at each of theirs, sleep call.rng.uniform(0.01, 0.2); if "
    "call.is_direct: return True. caller: receive, send CONNECT, receive, return await call.dial(theirs, 'client').",
)

RULES = (
    Rule(
        "who-begins",
        "The side that was called through the relay begins each exchange, and the other only answers.",
        PROTOCOL,
    ),
    Rule(
        "order",
        "CONNECT there, CONNECT back, SYNC there; on one stream, and nothing after it.",
        PROTOCOL,
    ),
    Rule("too-soon", "Before SYNC nobody dials: CONNECT only says where.", PROTOCOL),
    Rule(
        "no-dial",
        "Both sides must send something: each packet opens its own box for the other's.",
        PROTOCOL,
    ),
    Rule(
        "half-trip",
        "Half of the time between sending CONNECT and receiving CONNECT, counted from SYNC.",
        PROTOCOL,
    ),
    Rule(
        "whole-trip",
        "SYNC travels one way, not there and back: wait for half of the round trip.",
        PROTOCOL,
    ),
    Rule(
        "fresh",
        "Each try is a new exchange on a new stream, and its round trip is measured again: ways change.",
        PROTOCOL,
    ),
    Rule("caller-waits", "The caller dials at once when SYNC comes.", PROTOCOL),
    Rule(
        "roles",
        "Who called through the relay is client of the new connection, the other one server: both dial.",
        PROTOCOL,
    ),
    Rule("addresses", "All that the other side's CONNECT named, and nothing else.", PROTOCOL),
    Rule(
        "knocks",
        "Over QUIC the client dials, and the server only sends datagrams that open its box.",
        PROTOCOL,
    ),
    Rule("random", "Fill the datagrams with random bytes, each with its own.", PROTOCOL),
    Rule("pauses", "A datagram after another, with random pauses of 10 to 200 ms.", PROTOCOL),
    Rule(
        "stops",
        "Look at call.is_direct: as soon as there is a direct connection, all of it is over.",
        PROTOCOL,
    ),
    Rule("gives-up", "A try ends after call.patience, and after three tries it was in vain."),
    Rule("three", "Three tries, unless one of them works.", PROTOCOL),
    Rule("result", "True if there is a direct connection now, False if there is none."),
    Rule(
        "out-of-turn",
        "Look at each message before you act on it; what is not due is refused by ValueError.",
        PROTOCOL,
    ),
    Rule(
        "live",
        "Behind simulated boxes, with messages and dials that take their time, it does not come together.",
    ),
)
