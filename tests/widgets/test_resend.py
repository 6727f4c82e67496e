"""A changed copy goes to a scratch peer; the live ones hear nothing of it."""

from __future__ import annotations

import pytest

from libp2p_lab import Host
from libp2p_lab.host.events import ConnectionOpened, DialStarted
from libp2p_lab.multiplexing.yamux_frames import DataFrame
from libp2p_lab.negotiation.multistream import Line
from libp2p_lab.recording import record
from libp2p_lab.security.noise import NoiseMessage
from libp2p_lab.security.noise_xx import HandshakeMessage
from libp2p_lab.trace import Entry
from libp2p_lab.widgets import WireLens
from libp2p_lab.widgets.resend import Copy, copy_of, resend
from libp2p_lab.widgets.wire_log import Row, WireLog
from tests.widgets.conftest import Open

MEMORY = ("/memory/0",)
PING = "/ipfs/ping/1.0.0"


@pytest.fixture
async def log() -> WireLog:
    """What bob, who dialled, saw of a connection and a ping; the peers are gone."""
    taken = WireLog()
    async with Host(listen=MEMORY) as alice, Host() as bob:
        with record(bob) as entries:
            await bob.connect(alice.addrs[0])
            await bob.ping(alice.peer_id)
    for entry in entries:
        taken.take(entry)
    return taken


def find(log: WireLog, kind: type, direction: str = "sent", **like: object) -> Row:
    for row in log.rows:
        entry = row.entry
        is_like = all(getattr(entry, name) == value for name, value in like.items())
        if isinstance(entry.what, kind) and entry.direction == direction and is_like:
            return row
    raise AssertionError(f"no {kind.__name__} was {direction}")


def copy(log: WireLog, row: Row) -> Copy:
    found = copy_of(log, row)
    assert found is not None
    return found


def said(news: list[Entry], layer: str, direction: str = "sent") -> list[object]:
    return [e.what for e in news if e.layer == layer and e.direction == direction]


def told(news: list[Entry]) -> str:
    return " ".join(str(entry.what) for entry in news if entry.layer == "host")


async def test_an_unchanged_line_is_answered_and_a_changed_one_refused(log: WireLog) -> None:
    row = next(r for r in log.rows if r.entry.what == Line("/noise"))
    again = copy(log, row)
    assert (again.how, again.is_dialer) == ("raw", True)
    assert again.before == Line("/multistream/1.0.0").encode()
    assert Line("/noise") in said(await resend(again, again.data), "negotiation")
    changed = Line("/nolse").encode()
    assert Line("na") in said(await resend(again, changed), "negotiation")


async def test_garbage_ends_the_connection(log: WireLog) -> None:
    row = next(r for r in log.rows if r.entry.layer == "negotiation")
    news = await resend(copy(log, row), b"\xff" * 40)
    assert "UpgradeFailed" in told(news)


async def test_a_first_handshake_message_is_answered(log: WireLog) -> None:
    again = copy(log, find(log, HandshakeMessage, number=0))
    news = await resend(again, again.data)
    assert len(said(news, "security")) == 1
    short = await resend(again, b"\x00\x03abc")
    assert said(short, "security") == []
    assert "UpgradeFailed" in told(short)


async def test_a_last_handshake_message_was_for_another(log: WireLog) -> None:
    again = copy(log, find(log, HandshakeMessage, number=2))
    assert "UpgradeFailed" in told(await resend(again, again.data))


async def test_an_answer_goes_to_a_scratch_peer_that_dials(log: WireLog) -> None:
    again = copy(log, find(log, HandshakeMessage, "received"))
    assert not again.is_dialer
    news = await resend(again, again.data)
    assert "DialFailed" in told(news) or "ConnectionClosed" in told(news)


async def test_a_ping_with_other_bytes_is_echoed(log: WireLog) -> None:
    row = next(
        r
        for r in log.rows
        if r.entry.layer == "stream" and r.entry.direction == "sent" and log.protocol_of(r) == PING
    )
    again = copy(log, row)
    assert again.how == "sealed"
    changed = bytes(reversed(again.data))
    assert changed in said(await resend(again, changed), "stream")


async def test_a_frame_of_a_wrong_version_ends_the_connection(log: WireLog) -> None:
    row = find(log, DataFrame)
    again = copy(log, row)
    news = await resend(again, b"\x09" + again.data[1:])
    assert "ConnectionClosed" in told(news)
    assert said(news, "muxer"), "a go-away with its code"


async def test_a_noise_message_is_sealed_anew(log: WireLog) -> None:
    again = copy(log, find(log, NoiseMessage))
    assert again.how == "sealed"
    assert said(await resend(again, again.data), "muxer")


def test_events_have_no_bytes_to_change(log: WireLog) -> None:
    events = [row for row in log.rows if row.entry.direction == "event"]
    assert events
    assert all(copy_of(log, row) is None for row in events)


async def test_every_row_can_be_sent_again_or_says_that_it_cannot(log: WireLog) -> None:
    for row in list(log.rows)[::6]:
        again = copy_of(log, row)
        if again is not None:
            assert again.note
            await resend(again, bytes(byte ^ 1 for byte in again.data))


async def test_the_lens_offers_sends_and_leaves_the_live_peers_alone(open_page: Open) -> None:
    async with Host(listen=MEMORY) as alice, Host() as bob:
        lens = WireLens(bob)
        page = open_page(lens)
        await bob.connect(alice.addrs[0])
        await bob.ping(alice.peer_id)
        with record(alice, bob) as live:
            number = next(r.seq for r in lens._log.rows if r.entry.what == Line("/noise"))
            page.tell("open_row", number=number)
            offer = page.of("message")[-1]["resend"]
            assert bytes.fromhex(offer["hex"]) == Line("/noise").encode()
            changed = Line("/nolse").encode().hex()
            page.tell("resend", number=number, hex=changed)
            answer = await page.wait_for("answer")
            assert answer["number"] == number
            titles = [row["title"] for row in answer["rows"] if row["direction"] == "sent"]
            assert any("na" in title for title in titles)
            heard = [entry.what for entry in live]
            assert not [what for what in heard if isinstance(what, ConnectionOpened | DialStarted)]
            assert Line("/nolse") not in heard
        assert len(alice.connections) == 1
        for bad in ("zz", "0", "00" * 5000):
            page.tell("resend", number=number, hex=bad)
            assert page.of("answer")[-1]["problem"]
        page.tell("resend", number=10_000, hex="00")
        assert page.of("answer")[-1]["problem"]
