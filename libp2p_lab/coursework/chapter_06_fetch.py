"""E6.7: a file from several providers, of whom one lies, one is silent, and one has nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from libp2p_lab.content.cid import CID, Codec
from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import REFUSALS, Exam
from libp2p_lab.coursework.render import shown

PATIENCE = 0.2  # seconds; a silent provider takes for ever


class _Providers:
    """Who answers how, and what was asked."""

    def __init__(self, kinds: list[str], blocks: dict[CID, bytes], lie: bytes) -> None:
        self.kinds, self.blocks, self.lie = kinds, blocks, lie
        self.asked: list[str] = []

    async def ask(self, provider: str, cid: CID) -> bytes:
        """One block from one provider."""
        self.asked.append(provider)
        kind = provider.split(" ", maxsplit=1)[0]
        match kind:
            case "silent":
                await asyncio.Event().wait()
            case "empty":
                raise LookupError("I do not have that")
            case "liar":
                return self.lie
        await asyncio.sleep(0)
        return self.blocks[cid]


async def _fetch(
    exam: Exam, fetch: Any, kinds: list[str], expected: bytes | None, old: bool
) -> None:
    data = exam.rng.randbytes(200) if expected is None else expected
    cid = CID.of(data)
    if old:
        cid = CID(0, Codec.DAG_PB, cid.multihash)
    names = [f"{kind} {number}" for number, kind in enumerate(kinds)]
    there = _Providers(names, {cid: data}, data[:-1] + bytes([data[-1] ^ 1]))
    exam.sent = f"fetch {str(cid)[:12]}… from {', '.join(names)}"
    async with exam.step(
        PATIENCE * (len(names) + 5), "hangs", "a silent provider holds everything up"
    ):
        try:
            got = await exam.watched(fetch)(list(names), cid, there.ask, PATIENCE)
        except REFUSALS:
            exam.raised.clear()
            exam.require("good" not in kinds, "gave-up", "one provider had the right bytes")
            exam.count("honest failures")
            return
    exam.require("good" in kinds, "believed", "nobody had it, and bytes came back", got=shown(got))
    exam.require(got != there.lie, "believed", "the liar's bytes were returned")
    exam.equal(got, data, "bytes", "other bytes than the file's came back")
    exam.count("fetches")


async def examine_fetch(exam: Exam, answer: Any) -> None:
    """Fetch, whoever lies."""
    fetch = exam.callable_answer(answer, "a coroutine function fetch")
    for kinds in (
        ["good"],
        ["liar", "good"],
        ["empty", "good"],
        ["silent", "good"],
        ["liar", "silent", "empty", "good"],
        ["liar"],
        ["liar", "empty"],
        [],
    ):
        await _fetch(exam, fetch, kinds, None, old=False)
    await _fetch(exam, fetch, ["liar", "good"], None, old=True)


FETCH = Check(
    id="06.liar",
    exercise="E6.7",
    title="Fetch a file although one provider lies",
    level="L3",
    points=2,
    objectives=("X.11", "1.33"),
    starter='''\
async def fetch(providers, cid, ask, patience):
    """The bytes that `cid` (a lab.CID) names, from one of these providers. ValueError if nobody has them.

    await ask(provider, cid) gives bytes, or raises LookupError, or never comes back: wait `patience` seconds.
    cid.matches(data) says whether these are the bytes.
    """
    raise NotImplementedError


await lab.check("06.liar", fetch)
''',
    hints=(
        "Go through the providers one by one. What can each of them do to you?",
        "The name is the hash: whatever comes is hashed and compared, and a wrong answer costs no more than the next "
        "question. A provider that does not answer is left after `patience`.",
        "for p in providers: try: async with asyncio.timeout(patience): data = await ask(p, cid); except "
        "(LookupError, TimeoutError): continue; if cid.matches(data): return data. After the loop: raise ValueError.",
    ),
    rules=(
        Rule("believed", "Nothing is returned that does not hash to the CID: cid.matches(data)."),
        Rule("gave-up", "A lie, a refusal or silence is no reason to stop: ask the next one."),
        Rule("hangs", "Wait `patience` seconds at most: asyncio.timeout(patience)."),
        Rule("bytes", "Return the bytes as they came, when they match."),
    ),
    examine=examine_fetch,
)
