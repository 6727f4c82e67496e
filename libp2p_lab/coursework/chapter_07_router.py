"""E7.4: a GossipSub router: first each rule by itself, then any history, then strangers.

`chapter_07_meetings` holds the strangers: the library's routers on one table, live peers, and js-libp2p.
"""

from __future__ import annotations

import random
from typing import Any

from libp2p_lab.coursework import chapter_07_meetings as meetings
from libp2p_lab.coursework.chapter_07_network import (
    Network,
    Solo,
    made_router,
    only,
    random_links,
    told,
)
from libp2p_lab.coursework.chapter_07_router_text import HINTS, RULES, STARTER
from libp2p_lab.coursework.checks import Check
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.pubsub.floodsub import PROTOCOL_ID as FLOODSUB
from libp2p_lab.pubsub.gossipsub import V11
from libp2p_lab.pubsub.pubsub_messages import (
    RPC,
    ControlGraft,
    ControlIHave,
    ControlIWant,
    ControlPrune,
    Message,
    SubOpts,
)
from libp2p_lab.pubsub.score import Verdict
from libp2p_lab.pubsub.signing import default_message_id

TOPIC, OTHER = "harbour", "market"
D, D_LOW, D_HIGH, D_LAZY = 6, 4, 12, 6
BACKOFF = 60
DELIVERY = 0.999
DUPLICATES = 0.5  # of those of a flood on the same links

Sent = dict[PeerId, list[RPC]]


def _grafted(sent: Sent) -> set[PeerId]:
    return {peer for peer, rpcs in sent.items() if only(rpcs, lambda rpc: rpc.graft)}


def _pruned(sent: Sent) -> dict[PeerId, ControlPrune]:
    return {p: prunes[0] for p, rpcs in sent.items() if (prunes := only(rpcs, lambda r: r.prune))}


def _given(sent: Sent, message: Message) -> set[PeerId]:
    def has(rpc: RPC) -> bool:
        return any(one.seqno == message.seqno for one in rpc.publish)

    return {peer for peer, rpcs in sent.items() if any(has(rpc) for rpc in rpcs)}


def _told_of(sent: Sent, message: Message) -> set[PeerId]:
    """Who was sent an IHAVE with this message's id."""
    wanted = default_message_id(message)
    return {
        peer
        for peer, rpcs in sent.items()
        if any(wanted in ihave.message_ids for ihave in only(rpcs, lambda rpc: rpc.ihave))
    }


def _joined(exam: Exam, answer: Any, peers: int) -> tuple[Solo, list[PeerId]]:
    """A router among so many peers that want the topic, after it has joined."""
    solo = Solo(exam, answer, V11)
    wanting = solo.add(peers, [TOPIC])
    solo.join(TOPIC)
    return solo, wanting


# -- rule by rule -----------------------------------------------------------------------------------------------------


def _joins(exam: Exam, answer: Any) -> None:
    solo = Solo(exam, answer, V11)
    wanting = solo.add(20, [TOPIC])
    others = solo.add(3, [OTHER])
    solo.join(TOPIC)
    sent = solo.taken()
    for peer in (*wanting, *others):
        changes = only(sent.get(peer, ()), lambda rpc: rpc.subscriptions)
        exam.require(
            changes == [SubOpts(True, TOPIC)],
            "tells",
            "it joined, and a connected peer was not told so",
            got=", ".join(map(told, sent.get(peer, ()))) or "nothing",
            expected=f"+{TOPIC}",
        )
    mesh = set(solo.mesh(TOPIC))
    exam.require(
        mesh <= set(wanting), "subscribed", "its mesh holds a peer that does not want the topic"
    )
    exam.require(
        len(mesh) == D,
        "join",
        f"20 peers want the topic, and after JOIN the mesh has {len(mesh)} members",
        expected=f"{D} (D)",
    )
    exam.require(
        _grafted(sent) == mesh,
        "graft-sent",
        f"{len(mesh)} members, and {len(_grafted(sent) & mesh)} of them were sent a GRAFT",
    )
    (late,) = solo.add(1, [TOPIC])
    greeting = only(solo.taken().get(late, ()), lambda rpc: rpc.subscriptions)
    exam.require(
        greeting == [SubOpts(True, TOPIC)],
        "tells",
        "a peer came later, and was not greeted with the topic",
    )
    few, three = _joined(exam, answer, 3)
    exam.require(set(few.mesh(TOPIC)) == set(three), "join", "of three peers not all were taken")
    exam.count("rules", 4)


def _is_grafted_and_pruned(exam: Exam, answer: Any) -> None:
    """What GRAFT and PRUNE of others do, and that back-off is kept on both sides."""
    solo, _ = _joined(exam, answer, 20)
    outside = next(peer for peer in solo.peers if peer not in solo.mesh(TOPIC))
    solo.taken()
    solo.say(outside, RPC(graft=(ControlGraft(TOPIC), ControlGraft(OTHER))))
    exam.require(
        outside in solo.mesh(TOPIC) and not _pruned(solo.taken()).get(outside, None),
        "graft",
        "a peer that wants the topic grafted it, and is no member afterwards",
    )
    solo, peers = _joined(exam, answer, 5)
    told_20, told_none, *_ = gone = peers[:3]
    for peer, seconds in zip(gone, (20, None, 20), strict=True):
        solo.say(peer, RPC(prune=(ControlPrune(TOPIC, (), seconds),)))
        exam.require(
            peer not in solo.mesh(TOPIC), "prune", "a member pruned it, and is a member still"
        )
    solo.taken()
    solo.beat(15)
    exam.require(
        not _grafted(solo.taken()) & set(gone),
        "backoff",
        "a peer had pruned it, and it grafted that peer again before the back-off was over",
        expected="no GRAFT for 20 s, the back-off that stood in the PRUNE",
    )
    solo.say(told_20, RPC(graft=(ControlGraft(TOPIC),)))
    exam.require(
        told_20 not in solo.mesh(TOPIC) and told_20 in _pruned(solo.taken()),
        "refuses",
        "a peer in back-off grafted it, and was let in",
        expected="no member, and a PRUNE as answer",
    )
    solo.beat(40)
    sent = solo.taken()
    exam.require(
        told_none not in _grafted(sent),
        "backoff",
        "a PRUNE named no back-off, and 55 s later the peer was grafted",
        expected=f"{BACKOFF} s",
    )
    solo.beat(BACKOFF + 15)
    exam.require(
        set(gone) & set(solo.mesh(TOPIC)),
        "backoff-ends",
        "all back-offs are over, and the mesh has still not grown",
        got=f"{len(solo.mesh(TOPIC))} members, fewer than D_low = {D_LOW}",
        expected="the peers that had pruned it are candidates again",
    )
    exam.count("rules", 5)


def _keeps_its_size(exam: Exam, answer: Any) -> None:
    solo, peers = _joined(exam, answer, 20)
    solo.taken()
    for peer in peers:
        if peer not in solo.mesh(TOPIC):
            solo.say(peer, RPC(graft=(ControlGraft(TOPIC),)))
    before = set(solo.mesh(TOPIC))
    solo.beat()
    sent, mesh = solo.taken(), set(solo.mesh(TOPIC))
    wanted = len(mesh) == D if len(before) > D_HIGH else D <= len(mesh) <= D_HIGH
    exam.require(
        wanted,
        "too-many",
        f"20 peers grafted it, and it had {len(before)} members; after the heartbeat {len(mesh)}",
        expected=f"{D} (D), if there were more than {D_HIGH} (D_high)",
    )
    prunes = _pruned(sent)
    exam.require(
        set(prunes) == set(peers) - mesh,
        "prune-sent",
        f"{len(peers) - len(mesh)} were refused or taken out, and {len(prunes)} were sent a PRUNE",
    )
    named = {prune.backoff for prune in prunes.values()}
    exam.require(
        named == {BACKOFF},
        "prune-sent",
        "the PRUNE names another back-off",
        got=str(named),
        expected=f"{BACKOFF}",
    )
    knocks = next(iter(prunes))
    solo.say(knocks, RPC(graft=(ControlGraft(TOPIC),)))
    exam.require(
        knocks not in solo.mesh(TOPIC) and knocks in _pruned(solo.taken()),
        "refuses",
        "a peer that had just been pruned grafted it, and was let in",
        expected="no member, and a PRUNE as answer",
    )
    *gone, leaver = sorted(mesh, key=str)[2:]
    for peer in gone:
        solo.router.remove_peer(peer, solo.now)
        exam.require(
            peer not in solo.mesh(TOPIC), "gone", "a member is gone, and is a member still"
        )
    solo.say(leaver, RPC(subscriptions=(SubOpts(False, TOPIC),)))
    exam.require(
        leaver not in solo.mesh(TOPIC),
        "gone",
        "a member no longer wants the topic, and is a member still",
    )
    fresh = solo.add(10, [TOPIC])
    solo.taken()
    solo.beat()
    mesh = set(solo.mesh(TOPIC))
    exam.require(
        len(mesh) == D and _grafted(solo.taken()) == mesh & set(fresh),
        "too-few",
        f"2 members, fewer than D_low = {D_LOW}; after the heartbeat {len(mesh)}",
        expected=f"{D} (D), each of the new ones with a GRAFT",
    )
    solo.leave(TOPIC)
    sent = solo.taken()
    exam.require(
        set(_pruned(sent)) == mesh and not solo.mesh(TOPIC),
        "leave",
        f"it left the topic with {len(mesh)} members, and sent {len(_pruned(sent))} PRUNEs",
    )
    exam.require(
        all(
            SubOpts(False, TOPIC) in only(sent.get(p, ()), lambda r: r.subscriptions) for p in fresh
        ),
        "tells",
        "it left the topic, and a connected peer was not told so",
    )
    exam.count("rules", 6)


def _passes_on(exam: Exam, answer: Any) -> None:
    solo, _ = _joined(exam, answer, 20)
    mesh = solo.mesh(TOPIC)
    sender = mesh[0]
    solo.taken()
    message = solo.message(TOPIC)
    arrivals = solo.say(sender, RPC(publish=(message,)))
    exam.require(len(arrivals) == 1, "new", "a new message came, and receive did not return it")
    given = _given(solo.taken(), message)
    exam.require(
        set(mesh) - {sender} <= given and sender not in given,
        "forward",
        f"the message went to {len(given & set(mesh))} of the {len(mesh) - 1} other members",
        expected="all of them, and not back",
    )
    exam.require(
        given <= set(mesh),
        "floods",
        f"the message went to {len(given - set(mesh))} peers outside the mesh as well",
        expected="the mesh only: the others hear of it by gossip",
    )
    again = solo.say(mesh[1], RPC(publish=(message,)))
    exam.require(not again, "new", "the same message came again, and was taken as new")
    exam.require(
        not _given(solo.taken(), message), "loops", "the same message came again, and was passed on"
    )
    bad = solo.message(TOPIC)
    for arrival in solo.hear(sender, RPC(publish=(bad, solo.message(OTHER)))):
        exam.require(
            arrival.message.topic == TOPIC,
            "new",
            "a message of a topic that it has not joined was taken",
        )
        solo.router.decide(arrival, Verdict.REJECT, solo.now)
    solo.collect()
    exam.require(
        not _given(solo.taken(), bad), "refused", "a message was rejected, and it was passed on"
    )
    own = solo.publish(TOPIC)
    exam.require(
        set(mesh) <= _given(solo.taken(), own),
        "forward",
        "it published, and not all members were sent it",
    )
    exam.require(
        not solo.say(sender, RPC(publish=(own,))),
        "new",
        "its own message came back, and was taken as new",
    )
    solo.beat()
    exam.require(
        not _told_of(solo.taken(), bad),
        "refused",
        "a message was rejected, and it gossips about it",
    )
    exam.count("rules", 6)


def _gossips(exam: Exam, answer: Any) -> None:
    solo, _ = _joined(exam, answer, 20)
    mesh = set(solo.mesh(TOPIC))
    message = solo.message(TOPIC)
    solo.say(next(iter(mesh)), RPC(publish=(message,)))
    solo.taken()
    heard: list[int] = []
    for beat in range(1, 7):
        solo.beat()
        who = _told_of(solo.taken(), message)
        heard.append(len(who))
        exam.require(
            not who & mesh,
            "gossip",
            "members of the mesh were sent an IHAVE: they have the message",
        )
        if beat == 1:
            exam.require(
                len(who) == D_LAZY,
                "gossip",
                f"14 peers outside the mesh want the topic, and {len(who)} were sent an IHAVE",
                expected=f"{D_LAZY} (D_lazy)",
            )
        if beat == 3:  # it is in the cache still
            _asks(exam, solo, message, is_kept=True)
    history = ", ".join(map(str, heard))
    exam.require(
        heard[1] and not any(heard[3:]),
        "windows",
        "it does not gossip about the last three heartbeats",
        got=f"peers told in heartbeats 1 to 6: {history}",
        expected=f"{D_LAZY}, {D_LAZY}, {D_LAZY}, 0, 0, 0",
    )
    _asks(exam, solo, message, is_kept=False)
    _is_told(exam, answer)
    exam.count("rules", 5)


def _asks(exam: Exam, solo: Solo, message: Message, *, is_kept: bool) -> None:
    asker = next(peer for peer in solo.peers if peer not in solo.mesh(TOPIC))
    wanted = (default_message_id(message), b"nobody knows this one")
    solo.say(asker, RPC(iwant=(ControlIWant(wanted),)))
    given = asker in _given(solo.taken(), message)
    exam.require(
        given or not is_kept,
        "iwant",
        "a peer asked for a message of three heartbeats ago, and did not get it",
    )
    exam.require(
        is_kept or not given,
        "cache",
        "a message of six heartbeats ago was still there",
        expected="the cache keeps five windows, one for each heartbeat",
    )


def _is_told(exam: Exam, answer: Any) -> None:
    solo, peers = _joined(exam, answer, 8)
    known, unknown, alien = (solo.message(topic) for topic in (TOPIC, TOPIC, OTHER))
    solo.say(peers[0], RPC(publish=(known,)))
    solo.taken()
    ids = tuple(map(default_message_id, (known, unknown)))
    other = ControlIHave(OTHER, (default_message_id(alien),))
    solo.say(peers[1], RPC(ihave=(ControlIHave(TOPIC, ids), other)))
    wants = only(solo.taken().get(peers[1], ()), lambda rpc: rpc.iwant)
    asked = [message_id for iwant in wants for message_id in iwant.message_ids]
    exam.require(
        asked == [ids[1]],
        "ihave",
        "an IHAVE named a message that it has, one that it has not, and one of a topic that it has not joined",
        got=f"an IWANT for {len(asked)} of the three",
        expected="an IWANT for the second, to the peer that told",
    )


def _fans_out(exam: Exam, answer: Any) -> None:
    """Publishing in a topic that it has not joined; then peers that only flood."""
    solo = Solo(exam, answer, V11)
    solo.add(20, [TOPIC])
    solo.taken()
    first = _given(solo.sent, solo.publish(TOPIC))
    exam.require(
        len(first) == D,
        "fanout",
        f"it published in a topic that it has not joined, and {len(first)} of 20 peers were sent the message",
        expected=f"{D} (D)",
    )
    second = _given(solo.sent, solo.publish(TOPIC))
    exam.require(
        second == first, "fanout", "its next message went to other peers: a fanout is kept"
    )
    solo.join(TOPIC)
    exam.require(
        set(solo.mesh(TOPIC)) == first,
        "fanout",
        "it joined, and the mesh is not made of the fanout",
    )
    solo = Solo(exam, answer, V11)
    meshed, flooding = solo.add(3, [TOPIC]), solo.add(2, [TOPIC], FLOODSUB)
    solo.join(TOPIC)
    message = solo.message(TOPIC)
    solo.say(meshed[0], RPC(publish=(message,)))
    solo.beat(3)
    sent = solo.taken()
    exam.require(
        set(flooding) <= _given(sent, message),
        "floodsub",
        "a peer that speaks FloodSub was not sent a message",
    )
    exam.require(
        not any(rpc.graft or rpc.prune or rpc.ihave for peer in flooding for rpc in sent[peer]),
        "floodsub",
        "a peer that speaks FloodSub was sent control messages, which it does not know",
    )
    exam.count("rules", 3)


# -- whole networks ---------------------------------------------------------------------------------------------------


def _network(exam: Exam, answer: Any, count: int, degree: int) -> Network:
    net = Network(exam, in_order=False)
    for _ in range(count):
        net.add(made_router(exam, answer, random.Random(exam.rng.random())))
    for a, b in random_links(exam.rng, count, degree):
        net.connect(a, b)
    return net


def _any_history(exam: Exam, answer: Any) -> None:
    """Joins, leaves, cuts, messages in any order; then quiet, and the mesh must be in order."""
    net = _network(exam, answer, 12, 6)
    history = []
    for _ in range(60):
        what, a, b = exam.rng.choice("jjlcdpb"), exam.rng.randrange(12), exam.rng.randrange(12)
        history.append(f"{what}{a}")
        exam.sent = f"joins, leaves, connects, disconnects, publishes, beats: {' '.join(history)}"
        match what:
            case "j":
                net.join(a, TOPIC)
            case "l":
                net.leave(a, TOPIC)
            case "c":
                net.connect(a, b)
            case "d":
                net.disconnect(a, b)
            case "p":
                net.publish(a, TOPIC)
            case _:
                net.beat()
    for number in range(12):
        net.join(number, TOPIC)
    net.beat(BACKOFF + 10)
    exam.sent += "; then all join, and 70 quiet heartbeats"
    for number, node in enumerate(net.nodes):
        _is_in_order(exam, net, number, set(node.router.mesh(TOPIC)))
    exam.count("histories")


def _is_in_order(exam: Exam, net: Network, number: int, mesh: set[PeerId]) -> None:
    node = net.nodes[number]
    near = {net.nodes[other].peer for other in node.links}
    exam.require(
        mesh <= near,
        "subscribed",
        f"the mesh of router {number} holds a peer that is not connected",
    )
    wanted = min(D_LOW, len(near))
    exam.require(
        wanted <= len(mesh) <= D_HIGH,
        "bounds",
        f"router {number} has {len(near)} peers that want the topic, and {len(mesh)} members",
        expected=f"{wanted} to {D_HIGH}",
    )
    for other in node.links:
        peer = net.nodes[other].peer
        theirs = node.peer in net.nodes[other].router.mesh(TOPIC)
        exam.require(
            (peer in mesh) == theirs,
            "mutual",
            f"router {number if theirs else other} is a member at {other if theirs else number}, but not the other "
            "way round",
        )


def _delivers(exam: Exam, answer: Any) -> None:
    """Everybody hears it, and at half of what a flood costs in duplicates."""
    count, messages = 40, 20
    net = _network(exam, answer, count, 20)
    for number in range(count):
        net.join(number, TOPIC)
    net.beat(3)
    before, ids = net.copies, []
    for _ in range(messages):
        ids.append(net.publish(exam.rng.randrange(count), TOPIC))
        if len(ids) % 4 == 0:
            net.beat()
    net.beat(3)
    exam.sent = f"{messages} messages among {count} of your routers, {net.edges} links"
    times = [node.got[message_id] for node in net.nodes for message_id in ids]
    exam.require(max(times) == 1, "new", f"a message was delivered {max(times)} times")
    share = sum(times) / len(times)
    exam.require(
        share >= DELIVERY,
        "delivery",
        f"{share:.1%} were delivered",
        expected=f"{DELIVERY:.1%} or more",
    )
    flood = (2 * net.edges - 2 * (count - 1)) * messages
    duplicates = net.copies - before - (count - 1) * messages
    exam.require(
        duplicates <= DUPLICATES * flood,
        "duplicates",
        f"{duplicates} duplicates; a flood would cost {flood}",
        expected=f"at most {DUPLICATES * flood:.0f}",
    )
    exam.count("messages delivered", len(ids))
    exam.note(f"Duplicates: {duplicates / flood:.0%} of those of a flood on the same links.")


async def examine_router(exam: Exam, answer: Any) -> None:
    """E7.4: the rules one by one, any history, a large network, and those who do not know this code."""
    for rule in (_joins, _is_grafted_and_pruned, _keeps_its_size, _passes_on, _gossips, _fans_out):
        rule(exam, answer)
    _any_history(exam, answer)
    _delivers(exam, answer)
    meetings.on_one_table(exam, answer)
    if exam.seed == exam.check.seeds[0]:
        await meetings.live(exam, answer)
    if exam.seed == exam.check.seeds[-1]:
        await meetings.with_js(exam, answer)


PUBSUB_ROUTER = Check(
    id="07.pubsub_router",
    exercise="E7.4",
    title="A GossipSub router",
    level="L4",
    points=6,
    objectives=("1.42", "1.43", "X.13"),
    starter=STARTER,
    hints=HINTS,
    rules=RULES,
    examine=examine_router,
    time_limit=120.0,
)
