"""Chapter 04: how do many conversations share one connection?

Read in this order:

    muxer.py              the interface of a core: bytes in, events and bytes out
    yamux_frames.py       twelve bytes of header
    yamux_stream.py       what the core knows of one stream: windows, queue, ends
    yamux.py              the core: streams, windows, turns
    mplex_frames.py, mplex.py    its predecessor, without flow control: what yamux is for
    connection.py         what the layers above see
    memory.py             what nobody has read yet, counted
    muxed_stream.py       one stream, as the application has it
    muxed_connection.py   the driver: one task reads, one writes

Spec pages: yamux/README.md, mplex/README.md
"""

from libp2p_lab.multiplexing.connection import Connection, ConnectionInfo, Stream
from libp2p_lab.multiplexing.mplex import Mplex, MplexSession
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.multiplexing.muxed_stream import MuxedStream
from libp2p_lab.multiplexing.muxer import Muxer, MuxerEvent, MuxerSession
from libp2p_lab.multiplexing.yamux import Yamux, YamuxSession

__all__ = [
    "Connection",
    "ConnectionInfo",
    "Mplex",
    "MplexSession",
    "MuxedConnection",
    "MuxedStream",
    "Muxer",
    "MuxerEvent",
    "MuxerSession",
    "Stream",
    "Yamux",
    "YamuxSession",
]
