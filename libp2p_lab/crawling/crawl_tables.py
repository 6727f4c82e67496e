"""A crawl as a table: CSV with nothing but the standard library, Parquet and data frames where pandas is.

One row a peer. Lists (addresses, protocols) are joined by spaces, which neither can hold.
"""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from libp2p_lab.crawling.findings import CrawledPeer
from libp2p_lab.errors import LocalError

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "peer_id", "reach", "agent", "transport", "addr", "addrs", "protocols", "named", "questions", "seconds", "why",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@")  # what a spreadsheet would carry out


def row(found: CrawledPeer) -> tuple[Any, ...]:
    """One peer, in the order of `COLUMNS`."""
    return (
        str(found.peer_id),
        found.reach.value,
        found.agent,
        found.transport,
        str(found.addr) if found.addr is not None else "",
        " ".join(map(str, found.addrs)),
        " ".join(protocol.replace(" ", "\N{OPEN BOX}") for protocol in found.protocols),
        found.named,
        found.questions,
        round(found.seconds, 4),
        found.why,
    )


def write_csv(path: str | Path, peers: Iterable[CrawledPeer]) -> int:
    """Write a CSV file with a head line. Returns the number of peers.

    Texts of strangers that a spreadsheet would take for formulas get an apostrophe before them.
    """
    rows = [[_plain(cell) for cell in row(found)] for found in peers]
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return len(rows)


def _plain(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def to_frame(peers: Iterable[CrawledPeer]) -> pd.DataFrame:
    """A pandas data frame.

    Raises: `LocalError` if pandas is not installed.
    """
    _need("pandas")
    import pandas as pd

    return pd.DataFrame([row(found) for found in peers], columns=[*COLUMNS])


def write_parquet(path: str | Path, peers: Iterable[CrawledPeer]) -> int:
    """Write a Parquet file. Returns the number of peers.

    Raises: `LocalError` if pandas or pyarrow is not installed.
    """
    check_parquet()
    frame = to_frame(peers)
    frame.to_parquet(path, engine="pyarrow", index=False)
    return len(frame)


def check_parquet() -> None:
    """Better before a crawl of half an hour than after it.

    Raises: `LocalError` if pandas or pyarrow is not installed.
    """
    _need("pandas", "pyarrow")


def _need(*names: str) -> None:
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise LocalError(
            f"this needs {' and '.join(missing)}: pip install {' '.join(missing)}. CSV needs neither"
        )
