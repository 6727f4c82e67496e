"""The table MATRIX.md: what works between our host and another implementation, and with which error the rest fails."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libp2p_lab as lab
from libp2p_lab.foreign import ForeignError
from tests.interop.peers import PEERS, VERSIONS

FILE = Path(__file__).parent / "MATRIX.md"
WORKS = "works"
HEAD = """\
# What works with what

Each line is a test: dial, identify, ping, a large transfer each way with half close, a hundred streams at once, reset.
`tests/interop/test_matrix.py` writes the lines anew and fails where one has changed.
py-libp2p dials /tls/ws under its older name, /wss; by the newer it fails to.
In a browser (Chromium) it is `tests/interop/test_browser.py`.

| peer | transport | security | muxer | we dial | they dial |
| --- | --- | --- | --- | --- | --- |
"""

#: Where a host listens.
TRANSPORTS = {
    "tcp": "/ip4/127.0.0.1/tcp/0",
    "ws": "/ip4/127.0.0.1/tcp/0/ws",
    "wss": "/ip4/127.0.0.1/tcp/0/tls/ws",
    "quic": "/ip4/127.0.0.1/udp/0/quic-v1",
    "webrtc-direct": "/ip4/127.0.0.1/udp/0/webrtc-direct",
    "webtransport": "/ip4/127.0.0.1/udp/0/quic-v1/webtransport",
}
# Security and streams, and who has them. WebTransport is for browsers alone.
OF_THEIR_OWN = {"quic": PEERS, "webrtc-direct": ("js",), "webtransport": ()}
SECURITY: dict[str, Any] = {"noise": lab.Noise, "tls": lab.TLS}
MUXERS: dict[str, Any] = {"yamux": lab.Yamux, "mplex": lab.Mplex}


@dataclass(frozen=True, slots=True)
class Row:
    """One combination."""

    kind: str
    transport: str
    security: str
    muxer: str

    def __str__(self) -> str:
        return "-".join((self.kind, self.transport, self.security, self.muxer)).replace(" ", "_")

    def line(self, we_dial: str, they_dial: str) -> str:
        peer = " ".join(VERSIONS[self.kind])
        return "| " + " | ".join(
            (peer, self.transport, self.security, self.muxer, we_dial, they_dial)
        ) + " |\n"  # fmt: skip

    @property
    def start(self) -> str:
        """How its line begins."""
        return self.line("", "").rstrip("\n |") + " |"


MET_ROWS = [
    Row(*row)
    for row in itertools.product(PEERS, TRANSPORTS, SECURITY, MUXERS)
    if row[1] not in OF_THEIR_OWN
] + [
    Row(kind, transport, "its own", "its own")
    for transport, kinds in OF_THEIR_OWN.items()
    for kind in kinds
]
# test_browser.py fills in these.
BROWSER_ROWS = [
    Row("browser", transport, "its own", "its own")
    for transport in ("webrtc-direct", "webtransport")
]
ROWS = MET_ROWS + BROWSER_ROWS


def expected(row: Row) -> str:
    """The line of `row` in the file, or nothing."""
    lines = FILE.read_text("utf-8").splitlines(keepends=True) if FILE.exists() else []
    return next((line for line in lines if line.startswith(row.start)), "")


def refresh(row: Row, line: str) -> None:
    """Put `line` in its place in the file."""
    lines = {other: expected(other) for other in ROWS} | {row: line}
    FILE.write_text(HEAD + "".join(lines.values()), "utf-8")


def describe(step: str, error: BaseException) -> str:
    """An error as a cell of the table: the innermost cause, without what differs from run to run."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, lab.DialError) and error.attempts:
        error = error.attempts[0][1]
    while isinstance(error, ForeignError) and error.causes:
        error = error.causes[0]
    if isinstance(error, TimeoutError):
        return f"{step}: no answer"
    text = str(error).splitlines()[0] if str(error) else ""
    if not isinstance(error, ForeignError):
        text = f"{type(error).__name__}: {text}"
    text = re.sub(r"\b(12D3Koo|Qm|16Uiu2HA)\w+", "…", text)
    text = re.sub(r"\b(tcp|udp)/\d+|127\.0\.0\.1:\d+", r"\1/…", text).replace("|", "/")
    text = re.sub(r"\b([Ss]tream) \d+", r"\1 …", text)
    return f"{step}: {text}"
