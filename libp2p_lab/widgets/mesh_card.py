"""What one peer of a mesh has, knows and thinks: read from its router, in words and numbers."""

from __future__ import annotations

from typing import Any

from libp2p_lab.errors import LocalError
from libp2p_lab.host.host import Host
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.pubsub import GossipSub, GossipSubParameters, GossipSubRouter, ScoreParts
from libp2p_lab.widgets.mesh_records import Member
from libp2p_lab.widgets.mesh_world import World
from libp2p_lab.widgets.network_records import short

MAX_ROWS = 40  # of each list of a card
PARTS = (
    ("P1", "time in the mesh"),
    ("P2", "first to deliver"),
    ("P3", "too few deliveries"),
    ("P3b", "the same, remembered"),
    ("P4", "invalid messages"),
    ("P5", "the application's opinion"),
    ("P6", "many peers on one address"),
    ("P7", "misbehaviour"),
)


def parts_of(score: ScoreParts) -> list[float]:
    """The eight numbers of a score, in the order of `PARTS`; no 0 is negative."""
    s = score
    return [round(part, 4) + 0.0 for part in (s.p1, s.p2, s.p3, s.p3b, s.p4, s.p5, s.p6, s.p7)]


def score_parts(pubsub: GossipSub, peer: PeerId) -> ScoreParts:
    """As `GossipSub.score_parts`; only the total where somebody else's scoring is in use."""
    try:
        return pubsub.score_parts(peer)
    except LocalError:
        return ScoreParts(pubsub.scores().get(peer, 0.0), 0, 0, 0, 0, 0, 0, 0, 0)


def verdict(member: Member, topic: str, parameters: GossipSubParameters | None) -> str:
    """What a peer's last heartbeat found, in a sentence."""
    if member.kind == "flood":
        return "FloodSub has no mesh: its heart only forgets old ids"
    size = member.sizes.get(topic)
    if size is None:
        return "no heartbeat yet, or it does not want this topic"
    if parameters is None:
        return f"{size} members"
    low, high = parameters.D_low, parameters.D_high
    if size < low:
        return f"{size} members, fewer than D_low = {low}: nobody was left to graft"
    if size > high:
        return f"{size} members, more than D_high = {high}"
    return f"{size} members, between D_low = {low} and D_high = {high}"


def decided(world: World, topic: str) -> list[dict[str, Any]]:
    """What each peer decided at its last heartbeat or since, and why."""
    parameters = {
        str(host.peer_id): service.parameters
        for host in world.hosts.values()
        for service in host.services
        if isinstance(service, GossipSub)
    }
    return [
        {
            "index": member.index,
            "name": member.name,
            "beat": member.beat,
            "verdict": verdict(member, topic, parameters.get(member.id)),
            "lines": [str(one) for one in member.latest],
        }
        for member in world.model.members.values()
        if member.beat and member.state == "up"
    ]


def card(world: World, name: str, topic: str) -> dict[str, Any] | None:
    """All of one peer; None if there is no such peer."""
    member = next((one for one in world.model.members.values() if one.name == name), None)
    if member is None:
        return None
    told: dict[str, Any] = {
        **member.told(topic),
        "topics": sorted(member.topics),
        "sent": member.bytes_sent,
        "beat": member.beat,
        "lines": [f"{one.beat}: {one}" for one in member.decisions][-MAX_ROWS:],
    }
    host = world.hosts.get(name)
    if host is not None and host.is_running:
        told |= _inside(world, host, member, topic)
    return told


def _inside(world: World, host: Host, member: Member, topic: str) -> dict[str, Any]:
    """What only the peer itself knows."""
    pubsub = host.pubsub
    router = pubsub.router
    names = {one.id: one.name for one in world.model.members.values()}

    def named(peer: PeerId) -> str:
        return names.get(str(peer), short(str(peer)))

    inside: dict[str, Any] = {
        "meshes": [[one, sorted(map(named, pubsub.mesh(one)))] for one in pubsub.topics],
        "knows": sorted(map(named, pubsub.peers(topic)))[:MAX_ROWS],
    }
    if not isinstance(pubsub, GossipSub) or not isinstance(router, GossipSubRouter):
        return inside
    now, parameters = host.trace.clock(), pubsub.parameters
    topics = list(dict.fromkeys((topic, *member.topics)))
    inside["fanouts"] = [[one, sorted(map(named, router.fanout(one)))] for one in topics]
    inside["backoffs"] = [
        [named(peer), one, round(max(0.0, end - now), 1)]
        for one in topics
        for peer, end in router.backoffs(one).items()
    ][:MAX_ROWS]
    windows = [[message_id.hex()[-6:] for message_id, _ in one] for one in router.windows]
    inside["windows"] = [[len(one), one[:8]] for one in windows]
    inside["gossip_windows"] = parameters.history_gossip
    inside["window_count"] = parameters.history_length
    inside["seen"] = router.seen
    inside["verdict"] = verdict(member, topic, parameters)
    scores = [(named(peer), score_parts(pubsub, peer)) for peer in host.peers]
    scores.sort(key=lambda row: row[1].total)
    inside["scores"] = [
        [name, round(score.total, 3), parts_of(score)] for name, score in scores[:MAX_ROWS]
    ]
    return inside
