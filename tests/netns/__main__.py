"""Two homes and a relay in a real kernel, to watch: `sudo python -m tests.netns ["port restricted"] [symmetric] [tcp]`

The two NATs are "port restricted", "symmetric" or "full cone", and what is spoken is tcp or quic. Everything is taken
down at the end.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any, cast, get_args

from tests.netns.kernel import KernelLab, Kind, why_not

PEERS = "tests.netns.peers"


def line(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a peer says next."""
    assert process.stdout is not None
    said = process.stdout.readline()
    if not said:
        sys.exit(process.communicate()[1])
    return cast(dict[str, Any], json.loads(said))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.netns", description=__doc__)
    kinds = get_args(Kind)
    parser.add_argument("a", nargs="?", default=kinds[0], choices=kinds, help="alice's NAT")
    parser.add_argument("b", nargs="?", default=kinds[0], choices=kinds, help="bob's NAT")
    parser.add_argument("protocol", nargs="?", default="tcp", choices=("tcp", "quic"))
    asked = parser.parse_args()
    reason = why_not()
    if reason:
        sys.exit(reason)
    with KernelLab() as lab:
        lab.set_nat("A", asked.a, "nft")
        lab.set_nat("B", asked.b, "nft")
        print(f"alice 10.1.0.2 ── {asked.a} NAT 1.2.3.101 ─┐")
        print(f"bob   10.2.0.2 ── {asked.b} NAT 1.2.3.102 ─┴─ relay 1.2.3.10")
        with lab.running("relay", "relay", module=PEERS) as relay:
            addr = line(relay)[asked.protocol]
            with lab.running("hostA", "called", asked.protocol, addr, module=PEERS) as alice:
                circuit = line(alice)["addr"]
                print(f"alice has a place at the relay: {circuit}")
                words = ("caller", asked.protocol, circuit)
                with lab.running("hostB", *words, module=PEERS) as bob:
                    print("bob calls alice through the relay; they try to get rid of it …")
                    ended, told = line(alice), line(bob)
        print(f"{ended['outcome']} after {ended['attempts']} exchanges {ended['cause']}".rstrip())
        way = f"directly over {told['transport']}" if told["transport"] else "through the relay"
        print(f"an echo {way}: {'all came back' if told['echoed'] else 'bytes are missing'}")


if __name__ == "__main__":
    main()
