"""`XorTree` without a front end: the tree's top as a drawing, the steps and the buckets as tables."""

from __future__ import annotations

from collections.abc import Sequence

from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.routing.distance import BITS, common_prefix_length, position
from libp2p_lab.widgets.static_form import page, table, text_table
from libp2p_lab.widgets.xor_model import Trail, expected, seconds

WIDTH, ROW, TOP, EDGE = 760, 22, 14, 16
MAX_DEPTH = 9
MAX_ROWS = 120
STEP_HEAD = ("time", "what", "peer", "hop", "bits shared with the key", "new peers named")
BUCKET_HEAD = ("bucket", "share of all", "peers in it", "expected")


def name_of(at: int) -> str:
    """What a position is called: its first digits."""
    return f"{at >> (BITS - 20):05x}"


def static_form(
    peers: Sequence[PeerId],
    viewer: PeerId,
    known: Sequence[PeerId],
    trail: Trail | None,
    sizes: Sequence[int],
    k: int,
    summary: str,
) -> tuple[str, str]:
    """HTML and text of what there is now."""
    steps = [] if trail is None else _steps(trail)[:MAX_ROWS]
    ideal = expected(len(peers) - 1, k, len(sizes))
    buckets = [
        (str(n), f"1/{2 ** (n + 1):,}", str(size), f"{ideal[n]:.1f}")
        for n, size in enumerate(sizes)
    ]
    drawn = drawing([position(p.multihash) for p in peers], viewer, known, trail)
    title = f"{len(peers):,} peers, seen from {name_of(position(viewer.multihash))}"
    body = (
        f"<p>{summary}</p>{drawn}{table('The lookup', STEP_HEAD, steps)}"
        f"{table('Buckets', BUCKET_HEAD, buckets)}"
    )
    text = f"{title}\n{summary}\n\n{text_table(STEP_HEAD, steps)}\n\n{text_table(BUCKET_HEAD, buckets)}"
    return page(title, body), text


def _steps(trail: Trail) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for step in trail.steps:
        at = position(step.peer.multihash)
        rows.append(
            (
                seconds(step.time),
                f"{step.kind}: {step.why}" if step.why else step.kind,
                name_of(at),
                str(step.round),
                str(common_prefix_length(at, trail.target)),
                str(len(step.named)) if step.kind == "answered" else "",
            )
        )
    return rows


def drawing(
    positions: Sequence[int], viewer: PeerId, known: Sequence[PeerId], trail: Trail | None
) -> str:
    """The top of the tree, the way down to the viewer, and the key: an SVG."""
    own = position(viewer.multihash)
    lines: list[str] = []

    def walk(prefix: int, depth: int, inside: Sequence[int]) -> None:
        if depth == MAX_DEPTH or len(inside) < 2:
            return
        cut = ((prefix << 1) | 1) << (BITS - depth - 1)
        for bit, part in (
            (0, [p for p in inside if p < cut]),
            (1, [p for p in inside if p >= cut]),
        ):
            if part:
                child = (prefix << 1) | bit
                is_way = own >> (BITS - depth - 1) == child
                stroke = "var(--lab-brand)" if is_way else "var(--lab-text2)"
                lines.append(
                    f'<line x1="{_x(prefix, depth):.1f}" y1="{TOP + depth * ROW}" '
                    f'x2="{_x(child, depth + 1):.1f}" y2="{TOP + (depth + 1) * ROW}" '
                    f'stroke="{stroke}" stroke-width="{2.5 if is_way else 0.8}"/>'
                )
                walk(child, depth + 1, part)

    walk(0, 0, positions)
    floor = TOP + MAX_DEPTH * ROW + 10
    ours = {position(p.multihash) for p in known}
    dots = "".join(
        f'<circle cx="{_place(at):.1f}" cy="{floor}" r="{3 if at in ours else 1.5}" '
        f'fill="{"var(--lab-p0)" if at in ours else "var(--lab-text2)"}"/>'
        for at in positions[:2000]
    )
    dots += f'<circle cx="{_place(own):.1f}" cy="{floor}" r="6" fill="var(--lab-brand)"/>'
    if trail is not None:
        x = _place(trail.target)
        dots += (
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{floor + 12}" stroke="var(--lab-p1)" '
            f'stroke-dasharray="4 3"/><text x="{x:.1f}" y="{floor + 26}" '
            f'text-anchor="middle">key</text>'
        )
    label = (
        f"A binary tree of {len(positions)} peers; {len(ours)} of them are in the viewer's table"
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {floor + 32}" width="{WIDTH}" role="img" aria-label="{label}">'
        f"{''.join(lines)}{dots}</svg>"
    )


def _x(prefix: int, depth: int) -> float:
    return EDGE + (WIDTH - 2 * EDGE) * (prefix + 0.5) / float(2**depth)


def _place(at: int) -> float:
    return EDGE + (WIDTH - 2 * EDGE) * (at / float(2**BITS))
