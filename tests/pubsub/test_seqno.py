"""Numbers of messages: each author's own, rising, remembered within bounds; and live, an old message sent again."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

import libp2p_lab as lab
from libp2p_lab.errors import LocalError
from libp2p_lab.pubsub import ReceivedMessage, SeqnoValidator, Verdict
from libp2p_lab.pubsub.pubsub_messages import Message
from libp2p_lab.pubsub.signing import sign

AUTHORS = [lab.PeerId.from_public_key(lab.KeyPair.generate().public) for _ in range(3)]


def message(author: lab.PeerId | None, seqno: int | None) -> ReceivedMessage:
    return ReceivedMessage("t", b"", author, seqno, AUTHORS[0], b"id")


@given(st.lists(st.tuples(st.sampled_from(AUTHORS), st.integers(0, 20))))
def test_accepted_are_exactly_the_new_maxima(told: list[tuple[lab.PeerId, int]]) -> None:
    validator, highest = SeqnoValidator(), dict[lab.PeerId, int]()
    for author, seqno in told:
        is_new = seqno > highest.get(author, -1)
        assert (validator(message(author, seqno)) is Verdict.ACCEPT) == is_new
        highest[author] = max(seqno, highest.get(author, -1))


def test_bounds_and_what_has_no_number() -> None:
    validator = SeqnoValidator(max_authors=2)
    for author in AUTHORS:
        assert validator(message(author, 5)) is Verdict.ACCEPT
    assert validator(message(AUTHORS[0], 1)) is Verdict.ACCEPT, "forgotten: three are too many"
    assert validator(message(AUTHORS[2], 5)) is Verdict.IGNORE
    for author, seqno in ((None, 1), (AUTHORS[0], None)):
        assert validator(message(author, seqno)) is Verdict.ACCEPT
    with pytest.raises(LocalError):
        SeqnoValidator(max_authors=0)


async def test_an_old_message_is_not_delivered_although_its_name_is_forgotten() -> None:
    def host() -> lab.Host:
        return lab.Host(listen=["/memory/0"], services=[lab.Identify(), lab.GossipSub()])

    async with host() as alice, host() as bob:
        await alice.connect(bob.addrs[0])
        bob.pubsub.add_validator("t", SeqnoValidator())
        subscription = await bob.pubsub.subscribe("t")
        await alice.pubsub.subscribe("t")
        async with asyncio.timeout(30):
            while bob.peer_id not in alice.pubsub.mesh("t"):
                await asyncio.sleep(0.05)
        for text in (b"one", b"two"):
            await alice.pubsub.publish("t", text)
        got = [await subscription.get(timeout=30) for _ in range(2)]
        assert [m.data for m in got] == [b"one", b"two"]
        old = sign(
            Message(
                "t", b"old", alice.peer_id.multihash, ((got[0].seqno or 1) - 1).to_bytes(8, "big")
            ),
            alice.key,
        )
        name = b"a name that nobody has seen"
        alice.pubsub.router.publish(name, old, asyncio.get_running_loop().time())
        await alice.pubsub.publish("t", b"three")
        assert (await subscription.get(timeout=30)).data == b"three"
