"""A crawl as one page of HTML: nothing to load, light or dark as the reader's screen is.

Every number stands there as text; the bar behind it only repeats it. What peers say of themselves is escaped.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from libp2p_lab.crawling.crawl_store import Crawl
from libp2p_lab.crawling.findings import Churn, CrawledPeer, Reach, tally, transport_of

SHOWN = 40  # rows of a table of names
PEERS = 2000  # rows of the table of peers
NUMBERS = ("peers", "share", "named")  # columns of them
_RIGHT = ' class="number"'
MEANING = {
    Reach.ANSWERED: "told us whom they know",
    Reach.CONNECTED: "are there, but do not serve this DHT, or did not answer",
    Reach.UNREACHED: "no address led to them",
    Reach.UNDIALED: "nobody named an address that may be dialed",
}
_STYLE = """
:root{color-scheme:light dark;--text:#1b1b1b;--quiet:#595959;--line:#d5d5d5;--back:#fff;--bar:#bcdcf3;--bad:#b3261e}
@media (prefers-color-scheme:dark){:root{--text:#ececec;--quiet:#b5b5b5;--line:#454545;--back:#181818;--bar:#1f4f72;
--bad:#ff8a80}}
body{margin:0 auto;padding:1.5rem;max-width:60rem;font:15px/1.5 system-ui,sans-serif;color:var(--text);
background:var(--back)}
h1{font-size:1.5rem;margin:0 0 .3rem}h2{font-size:1.1rem;margin:2rem 0 .4rem}p{margin:.3rem 0}.quiet{color:var(--quiet)}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}
caption{text-align:left;color:var(--quiet);padding:.2rem 0}
th,td{text-align:left;vertical-align:top;padding:.2rem .6rem .2rem 0;border-bottom:1px solid var(--line)}
th{color:var(--quiet);font-weight:600}
.number{width:1%;text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td.bar{width:38%;min-width:8rem}
td.bar span{display:block;height:.85rem;margin-top:.3rem;background:var(--bar);min-width:1px}
code{font:12.5px ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere}summary{cursor:pointer}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.6rem;margin:1rem 0;padding:0}
.figures div{border:1px solid var(--line);border-radius:8px;padding:.5rem .8rem}
.figures dt{color:var(--quiet);font-size:.85rem}.figures dd{margin:0;font-size:1.4rem;font-weight:600}
"""


def html(crawl: Crawl, peers: Sequence[CrawledPeer], changed: Churn | None = None) -> str:
    """The page.

    Args:
        crawl: when, from where.
        peers: whom it found.
        changed: since the crawl before; None if there was none.
    """
    now = tally(peers)
    there = [found for found in peers if found.reach.is_there]
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(crawl.began))
    state = "" if crawl.ended is not None else " It was interrupted, or stopped before its end."
    title = f"Crawl of {crawl.protocol}"
    offered = Counter(
        name for found in peers for name in dict.fromkeys(map(transport_of, found.addrs))
    )
    failures = Counter(
        found.why.partition(":")[0] for found in peers if found.reach is Reach.UNREACHED
    )
    figures = {
        "peers heard of": f"{now.heard:,}",
        "visited": f"{now.visited:,}",
        "reached": f"{now.there:,}",
        "share reached": f"{now.share:.1%}",
        "questions": f"{now.questions:,}",
        "seconds": f"{crawl.seconds:,.0f}",
    }
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="quiet">Begun {when}, from {_codes(crawl.seeds)}.{state}</p>',
        _figures(figures),
        _changes(changed),
        _reach(now.reach),
        _names("Programs", "What reached peers say that they are, without the version", now.programs),
        _names("Agents", "The same with the version", now.agents),
        _names("Protocols", "What reached peers speak", now.protocols, of=now.there),
        _names("Transports used", "How they were reached", now.transports),
        _names("Transports named", "In the addresses that others gave", dict(offered.most_common()), of=now.heard),
        _names("Failures", "Why no address led there", dict(failures.most_common())),
        _tables(there),
        _peers(peers),
    ]  # fmt: skip
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}, {when}</title><style>{_STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _figures(figures: Mapping[str, str]) -> str:
    cells = "".join(
        f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in figures.items()
    )
    return f'<dl class="figures">{cells}</dl>'


def _changes(changed: Churn | None) -> str:
    if changed is None:
        return ""
    rows = "".join(
        f"<tr><td><code>{peer}</code></td><td>{escape(old)}</td><td>{escape(new)}</td></tr>"
        for peer, old, new in changed.changed[:SHOWN]
    )
    table = _table("Who runs another program now", ("peer", "before", "now"), rows) if rows else ""
    return f"<h2>Since the crawl before</h2><p>{changed}.</p>{table}"


def _reach(counts: Mapping[Reach, int]) -> str:
    whole = sum(counts.values())
    rows = "".join(
        f"<tr><td>{reach.value}</td><td>{MEANING[reach]}</td>{_share(counts.get(reach, 0), whole)}</tr>"
        for reach in Reach
    )
    head = ("reach", "meaning", "peers", "share", "")
    return f"<h2>Reached or not</h2>{_table('All peers heard of', head, rows)}"


def _names(title: str, caption: str, counts: Mapping[str, int], of: int = 0) -> str:
    """A table of names by how often they come; shares `of` a number, or of their sum."""
    if not counts:
        return ""
    whole = of or sum(counts.values())
    rows = "".join(
        f"<tr><td>{escape(name)}</td>{_share(count, whole)}</tr>"
        for name, count in [*counts.items()][:SHOWN]
    )
    rest = len(counts) - SHOWN
    more = f'<p class="quiet">and {rest:,} more names</p>' if rest > 0 else ""
    return f"<h2>{title}</h2>{_table(caption, ('name', 'peers', 'share', ''), rows)}{more}"


def _share(count: int, whole: int) -> str:
    share = count / whole if whole else 0.0
    return (
        f'<td class="number">{count:,}</td><td class="number">{share:.1%}</td>'
        f'<td class="bar" aria-hidden="true"><span style="width:{share * 100:.1f}%"></span></td>'
    )


def _tables(there: Sequence[CrawledPeer]) -> str:
    """How many peers the peers know: five numbers."""
    sizes = sorted(found.named for found in there if found.reach is Reach.ANSWERED)
    if not sizes:
        return ""
    names = (
        "fewest",
        "a quarter know no more than",
        "the middle one",
        "three quarters know no more than",
        "most",
    )
    places = (round(part * (len(sizes) - 1)) for part in (0, 0.25, 0.5, 0.75, 1))
    rows = "".join(
        f'<tr><td>{name}</td><td class="number">{sizes[place]:,}</td></tr>'
        for name, place in zip(names, places, strict=True)
    )
    return f"<h2>Routing tables</h2>{_table('Peers that one peer named', ('', 'peers'), rows)}"


def _peers(peers: Sequence[CrawledPeer]) -> str:
    rows = "".join(
        f"<tr><td><code>{found.peer_id}</code></td><td>{found.reach.value}</td><td>{escape(found.agent)}</td>"
        f'<td><code>{escape(str(found.addr or ""))}</code></td><td class="number">{found.named}</td>'
        f"<td>{escape(found.why)}</td></tr>"
        for found in peers[:PEERS]
    )
    caption = f"{min(len(peers), PEERS):,} of {len(peers):,}"
    table = _table(caption, ("peer", "reach", "agent", "address", "named", "what went wrong"), rows)
    return f"<h2>Peers</h2><details><summary>All of them</summary>{table}</details>"


def _table(caption: str, head: Iterable[str], rows: str) -> str:
    columns = "".join(
        f'<th scope="col"{_RIGHT if name in NUMBERS else ""}>{escape(name)}</th>' for name in head
    )
    return (
        f'<div class="wide"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{columns}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _codes(texts: Iterable[str]) -> str:
    return ", ".join(f"<code>{escape(text)}</code>" for text in texts) or "nowhere"
