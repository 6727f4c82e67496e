"""E5.3: a routing table. First by itself, then in twelve peers that know one another through nothing else."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.coursework.slot_routing import with_table
from libp2p_lab.host.host import Host
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.routing.distance import closest, common_prefix_length, position

METHODS = ("add", "remove", "closest", "peers")
TABLE = "kad-dht/README.md#kademlia-routing-table"
HOSTS, LIVE_K = 12, 4


def some_peers(exam: Exam, count: int) -> list[PeerId]:
    """Names of peers that nobody has."""
    return [PeerId(b"\x12\x20" + exam.rng.randbytes(32)) for _ in range(count)]


class _Table:
    """A student's table, and whose it is."""

    def __init__(self, exam: Exam, answer: Any, me: PeerId, k: int) -> None:
        self.exam, self.me, self.k = exam, me, k
        self.table = answer(me, k)
        missing = [m for m in METHODS if not callable(getattr(self.table, m, None))]
        if missing:
            exam.reject(
                "wrong-type",
                f"a table has the methods {', '.join(METHODS)}; missing: {', '.join(missing)}",
            )

    def peers(self) -> list[PeerId]:
        """Those in use, and that nobody is there twice."""
        found = self.table.peers()
        if not isinstance(found, list | tuple) or not all(isinstance(p, PeerId) for p in found):
            self.exam.reject("wrong-type", "peers() gives a list of peers", got=shown(found))
        self.exam.require(
            len(set(found)) == len(found), "twice", "a peer stands in the table twice"
        )
        return list(found)

    def bucket(self, peer: PeerId) -> int:
        return common_prefix_length(position(self.me.multihash), position(peer.multihash))

    def sizes(self) -> Counter[int]:
        return Counter(self.bucket(peer) for peer in self.peers())


def _fills(exam: Exam, answer: Any) -> None:
    """Many come; k of each prefix length stay."""
    k = exam.rng.choice((2, 3, 5))
    me, *others = some_peers(exam, 300)
    mine = _Table(exam, answer, me, k)
    exam.sent = f"k = {k}; three hundred peers are added, the table's owner among them"
    mine.table.add(me)
    exam.require(not mine.peers(), "oneself", "the table's owner stands in its own table")
    there: Counter[int] = Counter()
    first: dict[int, list[PeerId]] = {}
    for number, peer in enumerate(others):
        mine.table.add(peer)
        bucket = mine.bucket(peer)
        there[bucket] += 1
        first.setdefault(bucket, []).append(peer)
        if number % 30 == 0:
            mine.table.add(exam.rng.choice(others[: number + 1]))
    for bucket, size in mine.sizes().items():
        exam.require(
            size <= k,
            "too-many",
            f"{size} peers share a prefix of {bucket} bits with the owner",
            got=str(size),
            expected=f"at most {k}",
        )
    sizes, held = mine.sizes(), set(mine.peers())
    for bucket, count in sorted(there.items()):
        exam.require(
            sizes[bucket] == min(count, k),
            "too-few",
            f"{count} peers share a prefix of {bucket} bits with the owner, and {sizes[bucket]} are in the table",
            got=str(sizes[bucket]),
            expected=str(min(count, k)),
        )
        exam.require(
            set(first[bucket][:k]) <= held,
            "evicted",
            f"a peer with a prefix of {bucket} bits came early, has never failed, and is not in the table any more",
        )
    exam.count("buckets looked at", len(there))


def _replaces(exam: Exam, answer: Any) -> None:
    """One fails: somebody who waited takes its place."""
    k = 3
    me, *others = some_peers(exam, 120)
    mine = _Table(exam, answer, me, k)
    for peer in others:
        mine.table.add(peer)
    bucket = 0
    gone = next(peer for peer in mine.peers() if mine.bucket(peer) == bucket)
    exam.sent = f"k = {k}; a peer of bucket 0 is removed, and about sixty others belong there"
    mine.table.remove(gone)
    exam.require(gone not in mine.peers(), "stale", "a removed peer is still in the table")
    exam.require(
        mine.sizes()[bucket] == k,
        "no-replacement",
        "a place became free, and none of those who had waited took it",
        got=f"{mine.sizes()[bucket]} peers in the bucket",
        expected=str(k),
    )
    mine.table.remove(some_peers(exam, 1)[0])  # of whom it has never heard
    mine.table.remove(gone)
    exam.count("replacements", 1)


def _answers(exam: Exam, answer: Any) -> None:
    """Whom it names for a position."""
    me, *others = some_peers(exam, 60)
    mine = _Table(exam, answer, me, 20)
    for peer in others:
        mine.table.add(peer)
    held = mine.peers()
    for count in (1, 5, 20, 1000):
        target = position(exam.rng.randbytes(8))
        exam.sent = f"closest(…, {count}) of a table with {len(held)} peers"
        got = list(mine.table.closest(target, count))
        right = closest(held, target, count)
        if set(got) == set(right) and got != right:
            exam.reject("order", "the closest peers are named, and not in order")
        exam.require(
            got == right,
            "not-closest",
            "these are not the closest peers of the table",
            got=f"{len(got)} peers, {len(set(got) & set(right))} of them right",
            expected=f"{len(right)} peers",
        )
    exam.count("positions asked for", 4)


def _repeats(exam: Exam, answer: Any) -> None:
    """The same history gives the same table."""
    me, *others = some_peers(exam, 150)
    tables = [_Table(exam, answer, me, 4) for _ in range(2)]
    for mine in tables:
        for number, peer in enumerate(others):
            mine.table.add(peer)
            if number % 7 == 3:
                mine.table.remove(others[number // 2])
    exam.sent = "two tables, to which the same happened"
    exam.require(
        set(tables[0].peers()) == set(tables[1].peers()),
        "by-chance",
        "the same peers came and went in the same order, and two tables differ",
    )


async def _lives(exam: Exam, answer: Any) -> None:
    """Twelve peers with this table: each must find whom there is to find."""
    exam.sent = f"{HOSTS} live peers with your table, k = {LIVE_K}"
    async with AsyncExitStack() as stack:
        hosts = []
        for _ in range(HOSTS):
            services = with_table(answer, k=LIVE_K)
            hosts.append(
                await stack.enter_async_context(Host(listen=["/memory/0"], services=services))
            )
        async with asyncio.timeout(30):
            for host in hosts[1:]:
                await host.dht.bootstrap([hosts[0].addrs[0]])
            for host in hosts:
                await host.dht.refresh()
        ids = [host.peer_id for host in hosts]
        for number in range(4):
            asker, key = hosts[3 * number], b"key %d" % number
            found = await asker.dht.closest_peers(key)
            right = closest([p for p in ids if p != asker.peer_id], position(key), LIVE_K)
            exam.require(
                found == right,
                "live",
                f"peer {3 * number} looked for the {LIVE_K} peers closest to a key",
                got=f"{len(set(found) & set(right))} of them",
                expected=f"all {LIVE_K}",
            )
            exam.count("live lookups")


async def examine_table(exam: Exam, answer: Any) -> None:
    """E5.3: by itself, then alive."""
    make = exam.callable_answer(answer, "a class Table")
    for _ in range(3):
        _fills(exam, make)
    _replaces(exam, make)
    _answers(exam, make)
    _repeats(exam, make)
    if exam.seed == exam.check.seeds[0]:
        await _lives(exam, make)


ROUTING_TABLE = Check(
    id="05.routing_table",
    exercise="E5.3",
    title="A routing table",
    level="L4",
    points=4,
    objectives=("1.32", "X.9"),
    starter='''\
from libp2p_lab.routing import common_prefix_length, position


class Table:
    """The peers that `me` knows: at most k for each length of the prefix that they share with it."""

    def __init__(self, me, k):
        """me: a lab.PeerId. Where it stands: position(me.multihash)."""
        raise NotImplementedError

    def add(self, peer):
        """`peer` has just answered. It gets a place if there is one, and waits if there is none."""
        raise NotImplementedError

    def remove(self, peer):
        """`peer` did not answer. Somebody who waits takes its place."""
        raise NotImplementedError

    def closest(self, to, count):
        """The `count` peers in use that are closest to the position `to` (a number), the closest first."""
        raise NotImplementedError

    def peers(self):
        """Everybody in use."""
        raise NotImplementedError


await lab.check("05.routing_table", Table)
''',
    hints=(
        "One list of peers in use for each prefix length, and beside it one of peers that wait. What moves a peer from "
        "the one to the other?",
        "A bucket holds at most k; who is in it and answers is not pushed out by a newcomer, for who has been up for "
        "long is likely to stay (kad-dht/README.md, routing table).",
        "bucket = common_prefix_length(position(me.multihash), position(peer.multihash)). add: nothing if it is me or "
        "in use; else append to used[bucket] if len < k, else to waiting[bucket]. remove: take it out of both, "
        "and move waiting[bucket].pop() over. closest: sorted(all, key=lambda p: position(p.multihash) ^ to)[:count].",
    ),
    rules=(
        Rule("oneself", "You are nobody's way to yourself: leave `me` out.", TABLE),
        Rule(
            "twice", "A peer answers more than once, and has one place: look whether it is there."
        ),
        Rule(
            "too-many",
            "At most k peers share one prefix length: without that everybody would know everybody.",
            TABLE,
        ),
        Rule(
            "too-few",
            "Buckets are by the common prefix length of *positions* (hashes), 0 to 255, each with room for k.",
            TABLE,
        ),
        Rule(
            "evicted",
            "A newcomer does not push out who is there and answers: otherwise anybody could take over a table by "
            "arriving in numbers.",
            TABLE,
        ),
        Rule("stale", "remove: it failed, so it is not in use any more."),
        Rule(
            "no-replacement",
            "Keep those for whom there was no place, a few of each bucket; when a place is free, one of them takes it.",
            TABLE,
        ),
        Rule(
            "not-closest",
            "Look at all buckets: distance is position XOR position, and not the difference of the prefix lengths.",
            "kad-dht/README.md#distance",
        ),
        Rule("order", "The closest first: sort by the distance."),
        Rule("by-chance", "No chance in here: what is in the table follows from what happened."),
        Rule(
            "live",
            "Peers with this table do not find their way. Which bucket stays empty, or whom does closest leave out?",
            "kad-dht/README.md#bootstrap-process",
        ),
    ),
    examine=examine_table,
    time_limit=40.0,
)
