"""A connection's streams as a picture without a front end: lanes, blocks and gauges in SVG."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from libp2p_lab.widgets.stream_model import Block, Lane, Panel, Way

WIDTH, LEFT, RIGHT = 780, 150, 170
LANE, HEAD = 40, 20
MAX_BLOCKS = 120  # the newest


def drawing(panel: Panel, title: str, max_lanes: int) -> str:
    """One connection: what its streams moved, frame by frame, and what is left of their windows."""
    lanes = list(panel.lanes.values())[-max_lanes:]
    if not lanes:
        return ""
    top = {lane.id: HEAD + at * LANE for at, lane in enumerate(lanes)}
    protocols = {
        name: at for at, name in enumerate(sorted({one.protocol for one in lanes if one.protocol}))
    }
    colours = {
        one.id: f"var(--lab-p{protocols[one.protocol] % 8})" if one.protocol else "var(--lab-text2)"
        for one in lanes
    }
    blocks = [block for block in panel.blocks if block.lane in top][-MAX_BLOCKS:]
    step = (WIDTH - LEFT - RIGHT) / max(len(blocks), 30)
    parts = [_lane(lane, top[lane.id]) for lane in lanes]
    parts += [
        _block(block, LEFT + at * step, step, top[block.lane], colours)
        for at, block in enumerate(blocks)
    ]
    bottom = HEAD + len(lanes) * LANE
    label = escape(f"{title}: {len(lanes)} streams, the last {len(blocks)} frames", quote=True)
    return (
        f'<svg viewBox="0 0 {WIDTH} {bottom + 4}" role="img" aria-label="{label}" '
        f'style="display:block;width:100%;max-width:{WIDTH}px;height:auto">'
        f"{_word(LEFT, 12, 'frames in the order of the wire: sent above, received below')}"
        f"{_word(WIDTH - RIGHT + 8, 12, 'window left, unread')}{''.join(parts)}</svg>"
    )


def _lane(lane: Lane, top: float) -> str:
    middle = top + LANE / 2
    name = f"stream {lane.id}" if lane.id else "session"
    return (
        f'<line x1="{LEFT}" y1="{middle}" x2="{WIDTH - RIGHT}" y2="{middle}" '
        f'style="stroke:var(--lab-line)"/>'
        f"{_word(4, middle - 3, f'{name}, {lane.state}')}"
        f"{_word(4, middle + 11, (lane.protocol or '')[:24])}"
        + "".join(_gauge(way, top + 8 + at * 14) for at, way in enumerate(lane.ways) if lane.id)
    )


def _gauge(way: Way, y: float) -> str:
    x, width = WIDTH - RIGHT + 8, 60
    total = max(way.window, 1)
    parts = ""
    if way.left is not None:
        parts += _bar(
            x, y, width, max(0, way.left) / total, "var(--lab-good)", f"{way.left:,} left"
        )
    if way.unread is not None:
        told = f"{way.unread:,} unread"
        parts += _bar(x + width + 10, y, width, way.unread / total, "var(--lab-bad)", told)
    return parts


def _bar(x: float, y: float, width: float, share: float, colour: str, told: str) -> str:
    filled = width * min(1.0, share)
    return (
        f'<g><title>{told}</title><rect x="{x}" y="{y}" width="{width}" height="8" '
        f'style="fill:none;stroke:var(--lab-text2)"/>'
        f'<rect x="{x}" y="{y}" width="{filled:.1f}" height="8" style="fill:{colour}"/></g>'
    )


def _block(block: Block, x: float, step: float, top: float, colours: Mapping[int, str]) -> str:
    middle = top + LANE / 2
    height = 14 if block.kind == "data" and block.size else 7
    y = middle - height - 1 if block.way == 0 else middle + 1
    colour = "var(--lab-bad)" if "RST" in block.flags else colours[block.lane]
    filled = block.kind in ("data", "open")
    paint = f"fill:{colour}" if filled else f"fill:var(--lab-back);stroke:{colour}"
    told = escape(f"{block.kind} {block.flags} {block.size:,}")
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(2.0, step - 1):.1f}" height="{height}" '
        f'style="{paint}"><title>{told}</title></rect>'
    )


def _word(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" style="fill:var(--lab-text)">{escape(text)}</text>'
