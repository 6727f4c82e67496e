"""What happened, kept: record the traces of live hosts, look at them, join them, save them.

    with lab.record(alice, bob) as log:
        await bob.ping(alice.peer_id)
    log.filter(layer="muxer")
    log.save_pcapng("ping.pcapng")    # for Wireshark

Read in this order:

    recorder.py     a bounded recording, and `record`
    summary.py      one line of text for anything that a trace holds
    pairs.py        what one node sent, joined with what the other received
    json_lines.py   recordings as text that can be read without this library
    pcapng.py       recordings as Wireshark opens them

Written by hand because the format is three kinds of blocks: pcapng. The tests read its files with two programs that
others wrote.
"""

from libp2p_lab.recording.pairs import Pair
from libp2p_lab.recording.recorder import Recording, record
from libp2p_lab.recording.summary import summary

__all__ = ["Pair", "Recording", "record", "summary"]
