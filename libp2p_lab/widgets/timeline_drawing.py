"""A space-time diagram without a front end: peers as vertical lines, messages as slanted arrows, in SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from libp2p_lab.negotiation.multistream import PROTOCOL_ID
from libp2p_lab.widgets.timeline_model import Arrow, Scene

WIDTH, SIDE, HEAD, FOOT = 780, 130, 34, 14
MAX_LABEL = 64  # characters on an arrow
MAX_GROUPS = 60  # arrows that are drawn; messages that leave and arrive together share one
GAP, LONGEST, HEIGHT = (
    18,
    70,
    420,
)  # pixels between two moments: at least, at most, and of the whole

Group = tuple[int, int, float, float | None]


def drawing(scene: Scene, title: str, names: Sequence[str], span: float) -> str:
    """One diagram.

    Args:
        scene: what is drawn.
        title: what it is called.
        names: of the lanes.
        span: seconds from top to bottom, shared by diagrams that are compared.
    """
    groups = _groups(scene)
    used = sorted({lane for group in groups for lane in group[:2]})
    if not used:
        return ""
    places = _places(groups, span)
    bottom = max(places.values(), default=HEAD) + FOOT
    step = (WIDTH - 2 * SIDE) / max(1, len(used) - 1)
    columns = {lane: SIDE + at * step for at, lane in enumerate(used)}
    parts = [_lane(columns[lane], bottom, names[lane]) for lane in used]
    parts += [_arrow(group, arrows, columns, places) for group, arrows in groups.items()]
    parts += [
        _word(4, y + 4, f"{(time - scene.start) * 1000:.1f} ms", "start")
        for time, y in places.items()
    ]
    label = escape(f"{title} {len(used)} peers, {len(groups)} arrows".strip(), quote=True)
    return (
        f'<svg viewBox="0 0 {WIDTH} {bottom + FOOT}" role="img" aria-label="{label}" '
        f'style="display:block;width:100%;max-width:{WIDTH}px;height:auto">{"".join(parts)}</svg>'
    )


def _groups(scene: Scene) -> dict[Group, list[Arrow]]:
    """The arrows of the level that says most, those that leave and arrive together as one."""
    found: dict[Group, list[Arrow]] = {}
    for arrow in scene.arrows:
        if arrow.level == scene.main_level():
            key = (arrow.sender, arrow.receiver, arrow.time, arrow.received_at)
            if key not in found and len(found) >= MAX_GROUPS:
                break
            found.setdefault(key, []).append(arrow)
    return found


def _places(groups: Iterable[Group], span: float) -> dict[float, float]:
    """Where each moment is drawn: true to time where there is room, and never too close to read."""
    times = sorted({time for _, _, *both in groups for time in both if time is not None})
    places: dict[float, float] = {}
    y, before = float(HEAD + 14), times[0] if times else 0.0
    for time in times:
        if places:
            y += min(LONGEST, max(GAP, (time - before) / (span or 1.0) * HEIGHT))
        places[time], before = y, time
    return places


def _lane(x: float, bottom: float, name: str) -> str:
    return (
        _word(x, 20, name, "middle", 600)
        + f'<line x1="{x:.0f}" y1="{HEAD}" x2="{x:.0f}" y2="{bottom:.0f}" '
        + 'style="stroke:var(--lab-line);stroke-width:2"/>'
    )


def _arrow(
    group: Group, arrows: Sequence[Arrow], columns: dict[int, float], places: dict[float, float]
) -> str:
    sender, receiver, sent, received = group
    x1, x2, y1 = columns[sender], columns[receiver], places[sent]
    y2 = places[received] if received is not None else y1 + GAP
    if received is None:
        x2 = x1 + (x2 - x1) * 0.6  # nobody saw it arrive
    layer = next((one.layer for one in arrows if one.layer != "negotiation"), arrows[0].layer)
    name = {"transport": "address", "negotiation": "negotiation", "security": "security"}
    colour = f"var(--lab-{name.get(layer, 'stream')})"
    told = escape("; ".join(f"{one.title} {one.protocol}".strip() for one in arrows))
    shown = _label([one.title for one in arrows])
    way = 1 if x2 > x1 else -1
    slope = math.degrees(math.atan((y2 - y1) / (x2 - x1))) if x2 != x1 else 0.0
    head = f"M{x2 - 7 * way:.1f} {y2 - 4:.1f}L{x2:.1f} {y2:.1f}L{x2 - 7 * way:.1f} {y2 + 4:.1f}"
    return (
        f'<g><title>{told}</title><path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}{head}" '
        f'style="fill:none;stroke:{colour};stroke-width:1.6"/>'
        + f'<text transform="translate({(x1 + x2) / 2:.0f} {(y1 + y2) / 2:.0f}) rotate({slope:.1f}) '
        + f'translate(0 -5)" text-anchor="middle" style="fill:var(--lab-text)">{escape(shown)}</text>'
        + "</g>"
    )


def _label(titles: Sequence[str]) -> str:
    """As many of them as there is room for; the line with which every negotiation begins says least."""
    titles = [title for title in titles if title != PROTOCOL_ID] or titles
    shown = titles[0][:MAX_LABEL]
    for at, title in enumerate(titles[1:], 1):
        if len(shown) + len(title) > MAX_LABEL:
            return f"{shown} + {len(titles) - at} more"
        shown += f" · {title}"
    return shown


def _word(x: float, y: float, text: str, anchor: str, weight: int = 400) -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-weight="{weight}" '
        f'style="fill:var(--lab-text)">{escape(text)}</text>'
    )
