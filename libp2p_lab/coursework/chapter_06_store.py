"""E6.4: a store of provider records. By itself, against somebody who floods it, and in live peers."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack
from typing import Any

from libp2p_lab.content.cid import CID
from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import REFUSALS, Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.coursework.slot_content import with_store
from libp2p_lab.errors import StreamReset
from libp2p_lab.host.host import Host
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.routing.kad import PROTOCOL_ID
from libp2p_lab.routing.kad_messages import KadMessage, MessageType, Peer

ADVERTISEMENT = "kad-dht/README.md#content-provider-advertisement-and-discovery"
HOUR = 3600.0
RECORD_TTL, ADDRS_TTL = 48 * HOUR, HOUR / 2
PER_PEER = 100
ADDRS = ["/ip4/192.0.2.1/tcp/4001"]


def _peers(exam: Exam, count: int) -> list[PeerId]:
    return [PeerId(b"\x12\x20" + exam.rng.randbytes(32)) for _ in range(count)]


def _get(exam: Exam, store: Any, key: bytes, now: float) -> dict[PeerId, list[str]]:
    exam.sent = f"get(a key) at {now / HOUR:g} h"
    got = store.get(key, now)
    if not isinstance(got, list) or not all(
        isinstance(pair, tuple) and len(pair) == 2 for pair in got
    ):
        exam.reject("wrong-type", "get gives a list of pairs (peer, addrs)", got=shown(got))
    names = [peer for peer, _ in got]
    exam.require(len(set(names)) == len(names), "twice", "a provider is named twice")
    return {peer: list(addrs) for peer, addrs in got}


def _add(
    store: Any, key: bytes, sender: PeerId, provider: PeerId, addrs: list[str], now: float
) -> None:
    """Add; a store may refuse by ValueError."""
    try:
        store.add(key, sender, provider, addrs, now)
    except REFUSALS:
        return


def _keeps(exam: Exam, make: Any) -> None:
    """What is kept, and for how long."""
    store = make()
    missing = [name for name in ("add", "get") if not callable(getattr(store, name, None))]
    if missing:
        exam.reject(
            "wrong-type", f"a store has the methods add and get; missing: {', '.join(missing)}"
        )
    alice, bob, mallory = _peers(exam, 3)
    key = exam.rng.randbytes(34)
    exam.require(_get(exam, store, key, 0.0) == {}, "unasked", "an empty store gives providers")
    _add(store, key, alice, alice, ADDRS, 0.0)
    _add(store, key, bob, bob, ADDRS, HOUR / 4)
    got = _get(exam, store, key, HOUR / 4)
    exam.require(
        set(got) == {alice, bob},
        "lost",
        "two providers have announced themselves",
        got=f"{len(got)}",
        expected="2",
    )
    exam.require(
        got[alice] == ADDRS, "addrs", "a quarter of an hour later the addresses are still good"
    )
    exam.require(
        _get(exam, store, key + b"x", 0.0) == {},
        "unasked",
        "providers of one key are given for another",
    )
    _add(store, key, mallory, alice, ["/ip4/203.0.113.66/tcp/1"], HOUR / 4)
    _add(store, key + b"y", mallory, alice, ADDRS, HOUR / 4)
    exam.require(
        _get(exam, store, key, HOUR / 4)[alice] == ADDRS
        and not _get(exam, store, key + b"y", HOUR / 4),
        "for-others",
        "somebody announced another peer, and was believed",
    )
    got = _get(exam, store, key, HOUR / 2 + HOUR / 8)
    exam.require(alice in got, "lost", "after half an hour the record itself is gone")
    exam.require(got[alice] == [], "old-addrs", "addresses of more than half an hour ago are given")
    exam.require(got.get(bob) == ADDRS, "addrs", "bob's addresses are younger, and are not given")
    _add(store, key, alice, alice, ADDRS, 40 * HOUR)
    got = _get(exam, store, key, 49 * HOUR)
    exam.require(
        alice in got, "renewed", "alice said it again after 40 hours, and was forgotten after 49"
    )
    exam.require(bob not in got, "expired", "bob has not been heard of for more than 48 hours")
    exam.count("records followed", 4)


def _floods(exam: Exam, make: Any) -> None:
    """One peer announces everything; somebody else must still find room."""
    store = make()
    alice, mallory = _peers(exam, 2)
    first = exam.rng.randbytes(34)
    _add(store, first, alice, alice, ADDRS, 0.0)
    keys = [exam.rng.randbytes(34) for _ in range(3 * PER_PEER)]
    exam.sent = f"one peer announces {len(keys)} keys"
    for key in keys:
        _add(store, key, mallory, mallory, ADDRS, 1.0)
    held = sum(bool(_get(exam, store, key, 2.0)) for key in keys)
    exam.require(
        held <= PER_PEER,
        "flooded",
        f"{held} records of one peer are kept",
        expected=f"at most {PER_PEER}",
    )
    exam.require(
        held >= PER_PEER // 2,
        "lost",
        f"{held} records of one peer are kept",
        expected=f"up to {PER_PEER}",
    )
    exam.require(
        alice in _get(exam, store, first, 2.0),
        "pushed-out",
        "the flood has pushed out what another stored",
    )
    _add(store, keys[0], mallory, mallory, ADDRS * 500, 3.0)
    given = _get(exam, store, keys[0], 3.0).get(mallory, [])
    exam.require(
        len(given) <= 32,
        "many-addrs",
        f"{len(given)} addresses of one peer are kept",
        expected="32 at most",
    )
    exam.sent = "49 hours later another three hundred keys"
    late = [exam.rng.randbytes(34) for _ in range(PER_PEER)]
    for key in late:
        _add(store, key, mallory, mallory, ADDRS, 49 * HOUR)
    fresh = sum(bool(_get(exam, store, key, 49 * HOUR)) for key in late)
    exam.require(
        fresh >= PER_PEER // 2,
        "still-counted",
        f"{fresh} new records were taken: those that expired still count",
    )
    exam.count("keys flooded", len(keys))


async def _lie(hosts: list[Host], cid: CID, about: PeerId) -> None:
    """The third peer tells all others that somebody else has it."""
    named = Peer(about, (Multiaddr(ADDRS[0]),))
    message = KadMessage(MessageType.ADD_PROVIDER, cid.multihash, provider_peers=(named,))
    for host in hosts:
        if host is not hosts[2]:
            stream = await hosts[2].open_stream(host.peer_id, PROTOCOL_ID)
            await stream.write_message(message.encode())
            await stream.close_write()
            with contextlib.suppress(StreamReset):  # a store may refuse by ValueError
                await stream.read()  # no answer: the end says that it was looked at


async def _lives(exam: Exam, make: Any) -> None:
    """Four peers with this store, and one that announces others."""
    exam.sent = "four live peers with your store; one of them announces another"
    async with AsyncExitStack() as stack:
        hosts = [
            await stack.enter_async_context(Host(listen=["/memory/0"], services=with_store(make)))
            for _ in range(4)
        ]
        async with asyncio.timeout(20):
            for host in hosts[1:]:
                await host.dht.bootstrap([hosts[0].addrs[0]])
            await hosts[0].dht.refresh()
            cid = CID.of(b"something")
            await hosts[1].dht.provide(cid)
            await _lie(hosts, cid, about=hosts[0].peer_id)
            found = [info.peer_id async for info in hosts[3].dht.find_providers(cid)]
        exam.require(
            hosts[0].peer_id not in found,
            "for-others",
            "in live peers: one said that another has it, and whoever looks is sent there",
        )
        exam.require(
            found == [hosts[1].peer_id],
            "live",
            "one of four peers announced itself, and another looked for it",
            got=f"{len(found)} found",
            expected="1",
        )
        exam.count("live announcements")


async def examine_store(exam: Exam, answer: Any) -> None:
    """E6.4: kept, flooded, alive."""
    make = exam.callable_answer(answer, "a class Store")
    _keeps(exam, make)
    _floods(exam, make)
    if exam.seed == exam.check.seeds[0]:
        await _lives(exam, make)


RECORD_STORE = Check(
    id="06.record_store",
    exercise="E6.4",
    title="A store for what others say of themselves",
    level="L4",
    points=3,
    objectives=("1.33", "X.11", "X.12"),
    starter='''\
class Store:
    """Provider records: who says that it has what. Kept for others, never for ever, and never without end."""

    def __init__(self):
        raise NotImplementedError

    def add(self, key, sender, provider, addrs, now):
        """`sender` says that `provider` has the content named by `key` (bytes), and is at `addrs`.

        Only what a peer says of itself is kept; at most 100 records of one peer, 32 addresses in each.
        """
        raise NotImplementedError

    def get(self, key, now):
        """Pairs (provider, addrs) of records younger than 48 hours; addrs is [] once they are older than 30 minutes."""
        raise NotImplementedError


await lab.check("06.record_store", Store)
''',
    hints=(
        "A dict of dicts: for each key, for each provider, when it said so and where it was. What makes a record young "
        "again?",
        "A record ages in two steps: after half an hour peers have moved, and only the name is given; after 48 hours "
        "it is gone, unless it was said again (kad-dht/README.md, content provider advertisement).",
        "add: if provider != sender: return. Take out what is older than 48 h, count the records of `sender`, return "
        "if there are 100 and this is a new one; then records.setdefault(key, {})[provider] = (now, addrs[:32]). get: "
        "[(p, addrs if now - at < 1800 else []) for p, (at, addrs) in … if now - at < 48 * 3600].",
    ),
    rules=(
        Rule("unasked", "Give the providers of this key, and of no other."),
        Rule(
            "twice", "One record for each provider: a new announcement takes the old one's place."
        ),
        Rule(
            "lost",
            "What was announced must be found: half an hour later by name, for 48 hours.",
            ADVERTISEMENT,
        ),
        Rule(
            "addrs", "Addresses younger than half an hour are given with the name.", ADVERTISEMENT
        ),
        Rule(
            "for-others",
            "Everybody speaks for itself: otherwise anybody could send the world to a victim.",
            ADVERTISEMENT,
        ),
        Rule(
            "old-addrs",
            "After half an hour a peer may have moved: give its name alone.",
            ADVERTISEMENT,
        ),
        Rule("renewed", "Saying it again begins a new 48 hours.", ADVERTISEMENT),
        Rule(
            "expired",
            "Nobody deletes records of peers that left; so they must expire.",
            ADVERTISEMENT,
        ),
        Rule(
            "flooded",
            "A hundred records of one peer, and no more: memory is yours, and keys are free.",
        ),
        Rule(
            "pushed-out",
            "A limit for each peer, not the oldest out: otherwise one peer decides what you keep.",
        ),
        Rule("many-addrs", "Thirty-two addresses are plenty."),
        Rule("still-counted", "What has expired is gone, and does not count any more."),
        Rule("live", "In live peers it does not give what it was told."),
    ),
    examine=examine_store,
    time_limit=40.0,
)
