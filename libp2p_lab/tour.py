"""OPEN THIS FIRST: all of libp2p_lab in one small program.

    python -m libp2p_lab.tour

Two peers connect and talk; then each layer shows what it sent, from the wire upwards. `tour` is the table of contents:
each call stands for a layer, and its comment says which folder tells how it is done.
"""

from __future__ import annotations

import asyncio

from libp2p_lab.host import Echo, Host, Identify, Ping
from libp2p_lab.identity import KeyPair
from libp2p_lab.multiplexing import Yamux
from libp2p_lab.recording import Recording, record, summary
from libp2p_lab.security import Noise
from libp2p_lab.trace import Entry
from libp2p_lab.transports import TCP


async def tour() -> tuple[Recording, dict[str, str]]:
    """Run two peers through every layer; what they told, and their names by the text of their ids."""
    alice = Host(
        key=KeyPair.generate(),  # identity/: a key pair is a peer; the peer's id is made from its public key
        listen=[
            "/ip4/127.0.0.1/tcp/0"
        ],  # identity/multiaddr.py: an address names each protocol on the way
        transports=[TCP()],  # transports/: bytes get from one machine to another
        security=[
            Noise()
        ],  # security/: nobody else can read them, and each side knows who the other is
        muxers=[Yamux()],  # multiplexing/: many conversations share one connection
        services=[Identify(), Ping(), Echo()],  # host/: what a peer does by itself, and for others
    )
    bob = Host()  # host/host.py: these are the parts that a host has unless it is given others
    names = {str(alice.peer_id): "alice", str(bob.peer_id): "bob"}
    with record(alice, bob) as log:  # trace.py, recording/: every layer tells what it does
        async with alice, bob:
            # transports/, security/, multiplexing/: dial, find out who answers, get ready for streams.
            # negotiation/: between each two of them, which protocol do we speak now?
            await bob.connect(alice.addrs[0])
            # host/identify.py: who are you, where are you, what do you speak?
            await bob.identify_result(alice.peer_id)
            await alice.identify_result(bob.peer_id)
            # host/ping.py: are you there, and how far away?
            await bob.ping(alice.peer_id)
            # multiplexing/muxed_stream.py: a stream of one's own, for a protocol of one's own
            stream = await bob.open_stream(alice.peer_id, "/echo/1.0.0")
            await stream.write(b"hello")
            await stream.close_write()
            assert await stream.read() == b"hello"
    return log, names


#: The layers as they are shown: name, where it is written, what it is for.
LAYERS = (
    ("transport", "transports/tcp.py", "bytes, as they went over the wire"),
    ("negotiation", "negotiation/multistream.py", "which protocol do we speak now?"),
    ("security", "security/noise_xx.py, noise.py", "who are you? and from there on, a secret"),
    ("muxer", "multiplexing/yamux.py", "frames of many streams, inside the secret"),
    ("stream", "multiplexing/muxed_stream.py", "one stream's bytes, and nothing else"),
    ("identify", "host/identify.py", "where are you, and what do you speak?"),
    ("ping", "host/ping.py", "are you there?"),
    ("host", "host/host.py", "what happened, seen from above"),
)
WIDTH = 100  # columns
ROWS = 7  # of one layer; there are more in the recording
HEX = 11  # bytes of each item


def show(log: Recording, names: dict[str, str]) -> str:
    """The recording as text, layer by layer; `names` are the peers' names by the text of their ids."""
    people = [f"  {name:<6} {peer}" for peer, name in names.items()]
    people += [
        "",
        "Below: from → to, connection/stream, number (of bytes: offset), what, its first bytes.",
    ]
    sections = [heading("identity", "identity/peer_id.py", "who is it?") + people]
    for layer, file, question in LAYERS:
        entries = [pair.sent for pair in log.pairs() if pair.sent.layer == layer]
        entries = entries or log.filter(layer=layer).entries
        rows = [row(entry, names) for entry in entries[:ROWS]]
        more = [f"  … and {len(entries) - ROWS} more"] if len(entries) > ROWS else []
        sections.append(heading(layer, file, question) + rows + more)
    return "\n\n".join("\n".join(section) for section in sections)


def heading(layer: str, file: str, question: str) -> list[str]:
    """What a layer is for, and where it is written."""
    title = f"{layer}: {question}"
    return [f"{title}{file:>{WIDTH - len(title)}}", "─" * WIDTH]


def row(entry: Entry, names: dict[str, str]) -> str:
    """One item: from whom to whom, its connection/stream and number, what it is, its first bytes."""
    here = names[entry.node]
    text = summary(entry.what)
    if entry.direction == "event":
        return cut(f"  at {here:<8} {entry.link:<4} {text}", WIDTH)
    there = next(name for name in names.values() if name != here)
    data = entry.payload()
    digits = data[:HEX].hex(" ") + (" …" if len(data) > HEX else "")
    number = f"{entry.link:<4}{entry.number:>4}"
    return f"  {here:>5} → {there:<6} {number}   {cut(text, 37):<37} {digits}"


def cut(text: str, width: int) -> str:
    """At most `width` characters."""
    return text if len(text) <= width else text[: width - 1] + "…"


def main() -> None:
    """Run the tour and print it."""
    print(show(*asyncio.run(tour())))


if __name__ == "__main__":
    main()
