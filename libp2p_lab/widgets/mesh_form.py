"""`MeshView` without a front end: a drawing of each network, and tables."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from html import escape

from libp2p_lab.widgets.mesh_card import decided
from libp2p_lab.widgets.mesh_model import STYLES, MeshModel
from libp2p_lab.widgets.mesh_world import World
from libp2p_lab.widgets.static_form import page, table, text_table

SIZE, REACH = 380, 124
MAX_DRAWN = 80  # peers
MAX_ROWS = 100
MESH = STYLES.index("mesh")
#: What a line of each style looks like.
STROKES = {
    "mesh": 'stroke="var(--lab-p0)" stroke-width="2.2"',
    "fanout": 'stroke="var(--lab-p3)" stroke-width="2" stroke-dasharray="9 4"',
    "gossip": 'stroke="var(--lab-p4)" stroke-width="1" stroke-dasharray="2 4"',
    "other": 'stroke="var(--lab-line)" stroke-width="1"',
}


def static_form(worlds: Sequence[World], topic: str) -> tuple[str, str]:
    """HTML and text of what there is now."""
    drawings, tables, texts = [], [], []
    for world in worlds:
        model = world.model
        drawings.append(
            f'<figure style="margin:0;flex:1 1 300px">{drawing(model, topic)}'
            f"<figcaption>{escape(world.title)}: {escape(model.summary(topic))}</figcaption></figure>"
        )
        for caption, head, rows in _tables(world, topic):
            tables.append(table(caption, head, rows[:MAX_ROWS]))
            texts.append(f"{caption}\n{text_table(head, rows[:MAX_ROWS])}")
    figures = f'<div style="display:flex;flex-wrap:wrap;gap:8px">{"".join(drawings)}</div>'
    body = f"{figures}<p>{_legend()}</p>{''.join(tables)}"
    return page(f"Topic {topic}", body), "\n\n".join(texts)


#: Caption, head, rows.
Table = tuple[str, tuple[str, ...], list[tuple[str, ...]]]


def _tables(world: World, topic: str) -> list[Table]:
    model, title = world.model, world.title
    waves: list[tuple[str, ...]] = [
        (
            _name(model, wave.origin),
            f"{wave.size:,} B",
            str(wave.reached),
            str(wave.depth),
            str(wave.copies),
            str(wave.duplicates),
            f"{wave.copies * wave.size:,} B",
            f"{wave.last * 1000:.0f} ms",
        )
        for wave in model.waves.values()
        if wave.topic == topic
    ]
    wave_head = ("from", "size", "reached", "hops", "copies", "duplicates", "bytes", "last after")
    whole = Counter(end for a, b, style in model.styles(topic) if style == MESH for end in (a, b))
    peers: list[tuple[str, ...]] = [
        (
            member.name,
            member.state if not member.is_silent else "silent",
            "yes" if topic in member.topics else "no",
            str(whole[member.index]),
            str(len(model.fanout.get(topic, {}).get(member.index, ()))),
            str(member.received),
            str(member.duplicates),
        )
        for member in model.members.values()
    ]
    peer_head = ("peer", "state", "wants it", "mesh links", "fan-out", "received", "duplicates")
    beats: list[tuple[str, ...]] = [
        (one["name"], str(one["beat"]), "; ".join([*one["lines"], one["verdict"]]))
        for one in decided(world, topic)
    ]
    beat_head = ("peer", "heartbeat", "what it decided, and why")
    found: list[Table] = [(f"{title}: peers", peer_head, peers)]
    if waves:
        found.insert(0, (f"{title}: messages", wave_head, waves))
    if beats:
        found.append((f"{title}: the last heartbeats", beat_head, beats))
    return found


def drawing(model: MeshModel, topic: str) -> str:
    """Peers in a circle, and the links in their styles: an SVG. Nothing for too many peers."""
    members = list(model.members.values())
    if len(members) > MAX_DRAWN:
        return ""
    middle, count = SIZE / 2, max(len(members), 1)
    spots = [
        (
            middle + REACH * math.sin(2 * math.pi * index / count),
            middle - REACH * math.cos(2 * math.pi * index / count),
        )
        for index in range(count)
    ]
    rows = sorted(model.styles(topic), key=lambda row: row[2])
    lines = "".join(
        f'<line x1="{spots[a][0]:.0f}" y1="{spots[a][1]:.0f}" x2="{spots[b][0]:.0f}" '
        f'y2="{spots[b][1]:.0f}" {STROKES[STYLES[style]]}/>'
        for a, b, style in rows
    )
    dots = []
    for member in members:
        x, y = spots[member.index]
        far = (x - middle) / REACH, (y - middle) / REACH
        side = "start" if far[0] > 0.3 else "end" if far[0] < -0.3 else "middle"
        fill = "var(--lab-identity)" if topic in member.topics else "var(--lab-back)"
        crossed = ' opacity="0.35"' if member.state == "gone" else ""
        dots.append(
            f'<g{crossed}><circle cx="{x:.0f}" cy="{y:.0f}" r="7" fill="{fill}" '
            f'stroke="var(--lab-identity)" stroke-width="1.5"/>'
            f'<text x="{x + 13 * far[0]:.0f}" y="{y + 16 * far[1] + 4:.0f}" text-anchor="{side}">'
            f"{escape(member.name)}</text></g>"
        )
    styles = Counter(STYLES[style] for _, _, style in rows)
    label = ", ".join(f"{styles[name]} {name}" for name in STYLES)
    return (
        f'<svg viewBox="0 0 {SIZE} {SIZE}" width="{SIZE}" role="img" '
        f'aria-label="{len(members)} peers; links: {label}">{lines}{"".join(dots)}</svg>'
    )


def _legend() -> str:
    words = {
        "mesh": "mesh: whole messages",
        "fanout": "fan-out: a publisher that does not want the topic",
        "gossip": "gossip only: names of messages",
        "other": "a connection, nothing of this topic",
    }
    return " ".join(
        f'<svg viewBox="0 0 40 10" width="40" height="10" aria-hidden="true">'
        f'<line x1="0" y1="5" x2="40" y2="5" {STROKES[name]}/></svg> {text}&emsp;'
        for name, text in words.items()
    )


def _name(model: MeshModel, index: int) -> str:
    return next((one.name for one in model.members.values() if one.index == index), "?")
