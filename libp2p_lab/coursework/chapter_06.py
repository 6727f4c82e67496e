"""The checks of chapter 06: what travels, CIDs, believable records, a store, a quorum, how often to say it,
a liar, and what to take when.

Objectives: 1.33 the DHT's operations; X.11 validation, X.12 freshness.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from libp2p_lab.content.cid import CID, Codec
from libp2p_lab.coursework.chapter_06_fetch import FETCH
from libp2p_lab.coursework.chapter_06_records import QUORUM, RECORDS
from libp2p_lab.coursework.chapter_06_store import RECORD_STORE
from libp2p_lab.coursework.chapter_06_which import WHICH
from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.routing.kad_messages import KadMessage
from libp2p_lab.sim.records import availability, life
from libp2p_lab.trace import Entry

RPC_TEXT = "kad-dht/README.md#rpc-messages"
PROVIDERS_TEXT = "kad-dht/README.md#content-provider-advertisement-and-discovery"
CID_TEXT = "https://github.com/multiformats/cid"

# -- E6.1: what travels ---------------------------------------------------------------------------------------------

COUNTED = ("ADD_PROVIDER", "GET_PROVIDERS", "PUT_VALUE")


async def examine_capture(exam: Exam, answer: Any) -> None:
    """E6.1: how many of each kind were sent, and what stands in the key of a provider message."""
    if not isinstance(exam.run, Iterable):
        exam.reject("no-record", "there is no record of a run to compare with")
    sent = [
        entry.what
        for entry in exam.run
        if isinstance(entry, Entry)
        and entry.direction == "sent"
        and isinstance(entry.what, KadMessage)
    ]
    right = {name: sum(message.type.name == name for message in sent) for name in COUNTED}
    exam.require(
        all(right.values()), "no-record", "not all three kinds of messages are in this record"
    )
    if not isinstance(answer, tuple) or len(answer) != 2 or not isinstance(answer[0], Mapping):
        exam.reject(
            "wrong-type", "the answer is a pair: a dict of numbers, and a word", got=shown(answer)
        )
    counts, key = answer
    for name in COUNTED:
        got = counts.get(name)
        exam.require(got is not None, "missing", f"{name} is not counted")
        both = sum(
            isinstance(e, Entry) and isinstance(e.what, KadMessage) and e.what.type.name == name
            for e in exam.run
        )
        exam.require(
            got != both or both == right[name],
            "both-ways",
            f"{name}: what was received is counted too",
            got=str(got),
        )
        exam.equal(got, right[name], "count", f"messages of the kind {name} that were sent")
    exam.require(
        key in ("cid", "multihash"), "no-word", "the key is a cid or a multihash", got=shown(key)
    )
    exam.require(key == "multihash", "key", "that is not what stands in the key", got=shown(key))
    exam.count("messages in the record", len(sent))


CAPTURE = Check(
    id="06.capture_dht",
    exercise="E6.1",
    title="What travels",
    level="L1",
    points=1,
    objectives=("1.33",),
    starter="""\
# `log` is the record of one peer. How many of each kind did it send, and what stands in the key of ADD_PROVIDER?
counts = {"ADD_PROVIDER": 0, "GET_PROVIDERS": 0, "PUT_VALUE": 0}
key = ""  # "cid" or "multihash"
await lab.check("06.capture_dht", (counts, key), run=log)
""",
    hints=(
        "Entries of layer `kad` hold messages, in both directions. The type of a message is `entry.what.type.name`.",
        "The spec says in one place that the key is a CID, and in another that it is a multihash. Bytes do not lie: a "
        "CID of version 1 begins with 01, a sha2-256 multihash with 12 20 (kad-dht/README.md, RPC messages).",
        "sum(e.direction == 'sent' and isinstance(e.what, KadMessage) and e.what.type.name == 'ADD_PROVIDER' for e in "
        "log); and print(e.what.key.hex()) of one of them.",
    ),
    rules=(
        Rule("missing", "Count all three kinds."),
        Rule(
            "both-ways", "Only those that this peer sent: an answer has the type of its question."
        ),
        Rule(
            "count",
            "Count entries whose `what` is a KadMessage of this type, and whose direction is `sent`.",
            RPC_TEXT,
        ),
        Rule("no-word", "Say cid or multihash."),
        Rule(
            "key",
            "Several CIDs share one multihash, and name the same bytes: so the multihash is used.",
            PROVIDERS_TEXT,
        ),
    ),
    examine=examine_capture,
    seeds=(1,),
    place="kernel",
)

# -- CIDs -----------------------------------------------------------------------------------------------------------


async def examine_cid(exam: Exam, answer: Any) -> None:
    """A CID's bytes, taken apart; and whether some content is what it names."""
    if not isinstance(answer, tuple) or len(answer) != 2 or not all(map(callable, answer)):
        exam.reject(
            "wrong-type", "two functions are asked for: (parse, matches)", got=shown(answer)
        )
    parse, matches = answer
    content = exam.rng.randbytes(50)
    raw = CID.of(content)
    old = CID(0, Codec.DAG_PB, raw.multihash)
    for cid in (raw, CID.of(content, Codec.DAG_PB), CID(1, 0x0129, raw.multihash)):
        exam.equal(
            exam.call(parse, cid.encode()),
            (1, cid.codec, cid.multihash),
            "version-1",
            "a CID of version 1",
        )
        exam.count("CIDs")
    exam.equal(
        exam.call(parse, old.encode()),
        (0, int(Codec.DAG_PB), raw.multihash),
        "version-0",
        "a CID of version 0",
    )
    for name, bad in (
        ("version 2", b"\x02" + raw.encode()[1:]),
        ("nothing", b""),
        ("a version and no more", b"\x01"),
        ("a codec that never ends", b"\x01" + b"\xff" * 12),
        ("a digest that is cut", raw.encode()[:-1]),
        ("bytes behind the digest", raw.encode() + b"\x00"),
    ):
        exam.refuses(parse, bad, rule="broken", problem=f"{name} was taken for a CID")
    for cid in (raw, old):
        exam.equal(
            exam.call(matches, cid.encode(), content), True, "matches", "this content has this CID"
        )
        for wrong in (content[:-1], content + b"\0", b""):
            exam.equal(
                exam.call(matches, cid.encode(), wrong),
                False,
                "verifies",
                "other content was believed",
            )
    exam.count("contents", 8)


CID_CHECK = Check(
    id="06.cid",
    exercise="E6.2",
    title="A CID taken apart",
    level="L2",
    points=2,
    objectives=("X.11",),
    starter='''\
def parse(data):
    """The bytes of a CID, taken apart: (version, codec, multihash), two numbers and bytes. ValueError if it is none.

    version 0: 12 20 and 32 bytes, nothing in front; its codec is dag-pb, 0x70.
    version 1: 01, the codec as a varint, the multihash: 12 20 and 32 bytes.
    """
    raise NotImplementedError


def matches(data, content):
    """Whether `content` is what the CID names."""
    raise NotImplementedError


await lab.check("06.cid", (parse, matches))
''',
    hints=(
        "Look at the first byte. 12 is no version: it is the code of sha2-256, and 20 the length of its digest.",
        "A varint has seven bits in each byte, the low ones first; the highest bit says that more follow. You "
        "wrote one in chapter 01.",
        "if data[:2] == b'\\x12\\x20' and len(data) == 34: return 0, 0x70, data. Else data[0] == 1, read the varint "
        "from 1 on, the rest must be 34 bytes that begin with 12 20. matches: hashlib.sha256(content).digest() == "
        "multihash[2:].",
    ),
    rules=(
        Rule(
            "version-1",
            "01, then the codec (it may have two bytes), then everything else.",
            CID_TEXT,
        ),
        Rule(
            "version-0",
            "A bare multihash of 34 bytes is version 0, and its codec dag-pb.",
            CID_TEXT,
        ),
        Rule("broken", "Say no by ValueError: the length must be right to the byte.", CID_TEXT),
        Rule("matches", "The digest of the content, behind 12 20, is the multihash.", CID_TEXT),
        Rule(
            "verifies", "Whoever gives you content may lie. Hash it yourself, all of it.", CID_TEXT
        ),
    ),
    examine=examine_cid,
)

# -- E6.6: how often to say it --------------------------------------------------------------------------------------

LIVELY, MOST_MESSAGES = 0.995, 60.0
CHURN = (3.0, 5.0, 8.0)  # hours of a session
RUNS, DAYS = 3, 40.0


async def examine_tuned(exam: Exam, answer: Any) -> None:
    """E6.6: numbers for a given churn, tried out."""
    tune = exam.callable_answer(answer, "a function tune(session)")
    for session in CHURN:
        got = exam.call(tune, session)
        if not isinstance(got, tuple) or len(got) != 3:
            exam.reject("wrong-type", "tune gives (republish, expiry, k)", got=shown(got))
        republish, expiry, k = got
        exam.require(
            isinstance(k, int) and 1 <= k <= 40 and 0.5 <= republish <= 48 and 0 < expiry <= 96,
            "range",
            "half an hour to two days, at most four days, and 1 to 40 holders",
            got=shown(got),
        )
        exam.require(
            expiry > republish,
            "gap",
            f"records are forgotten after {expiry:g} h and said again after {republish:g} h",
        )
        runs = [
            life(
                session=session,
                republish=republish,
                expiry=expiry,
                k=k,
                days=DAYS,
                seed=exam.rng.randrange(1 << 30),
            )
            for _ in range(RUNS)
        ]
        found = sum(run.found for run in runs) / RUNS
        spent = sum(run.messages for run in runs) / RUNS
        expected = availability(session=session, republish=republish, expiry=expiry, k=k)
        exam.require(
            found >= LIVELY - 0.002,
            "lost",
            f"sessions of {session:g} h: the record is found at {found:.2%} of the looks",
            expected=f"{LIVELY:.1%}; calculated {expected:.2%}",
        )
        exam.require(
            spent <= MOST_MESSAGES * 24 / (session * 4),
            "dear",
            f"sessions of {session:g} h: {spent:.0f} messages a day",
            expected=f"{MOST_MESSAGES * 24 / (session * 4):.0f} at most",
        )
        exam.note(f"Sessions of {session:g} h: {found:.2%} found, {spent:.0f} messages a day.")
        exam.count("days of life", int(RUNS * DAYS))


TUNED = Check(
    id="06.tuned",
    exercise="E6.6",
    title="How often to say it",
    level="L5",
    points=3,
    objectives=("X.12",),
    starter='''\
def tune(session):
    """(republish, expiry, k) for peers that stay for `session` hours on average: two numbers of hours, and holders.

    The record must be found at 99.5 % of all looks, with at most 360 / session messages a day. Libp2p's own numbers
    are (22, 48, 20).
    """
    raise NotImplementedError


await lab.check("06.tuned", tune)
''',
    hints=(
        "Messages a day: 24 / republish · k. What remains after t hours: 1 − (1 − e^(−t/session))^k. Draw the second "
        "for a few k.",
        "More holders help much less than saying it more often, and cost as much. And records must not be forgotten "
        "before they are said again.",
        "Try republish = c · session: the same k then serves every churn. With `availability` of "
        "libp2p_lab.sim.records look for the smallest k that gives 0.997 at c = 1; it is below 15.",
    ),
    rules=(
        Rule("range", "Stay within what can be built."),
        Rule("gap", "Between forgetting and saying it again nobody knows of you.", PROVIDERS_TEXT),
        Rule(
            "lost",
            "At some moments all who were told are gone. Say it more often, or to more.",
            PROVIDERS_TEXT,
        ),
        Rule("dear", "Each announcement goes to k peers: fewer holders, said in time, do as well."),
    ),
    examine=examine_tuned,
    time_limit=40.0,
)

CHECKS: tuple[Check, ...] = (CAPTURE, CID_CHECK, RECORDS, RECORD_STORE, QUORUM, TUNED, FETCH, WHICH)
