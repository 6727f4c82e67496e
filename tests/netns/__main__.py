"""Two homes and a relay in this machine's own kernel, to watch: `make natlab`, or `python -m tests.netns [A] [B] [tcp]`

A and B are the NATs of alice and bob: "port restricted", "symmetric" or "full cone". What is spoken is tcp or quic.
Everything is taken down at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from typing import Any, cast, get_args

from tests.netns.kernel import KernelLab, Kind, remove_leftovers, why_no_upnp, why_not
from tools.run_tests import ROOT_FOR_ITSELF

PEERS = "tests.netns.peers"


def line(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a peer says next."""
    assert process.stdout is not None
    said = process.stdout.readline()
    if not said:
        sys.exit(process.communicate()[1])
    return cast(dict[str, Any], json.loads(said))


def punch(lab: KernelLab, protocol: str) -> None:
    """Bob calls alice through the relay, and they try to do without it."""
    with lab.running("relay", "relay", module=PEERS) as relay:
        addr = line(relay)[protocol]
        with lab.running("hostA", "called", protocol, addr, module=PEERS) as alice:
            circuit = line(alice)["addr"]
            print(f"alice has a place at the relay: {circuit}")
            with lab.running("hostB", "caller", protocol, circuit, module=PEERS) as bob:
                print("bob calls alice through the relay; they try to get rid of it …")
                ended, told = line(alice), line(bob)
    print(f"{ended['outcome']} after {ended['attempts']} exchanges {ended['cause']}".rstrip())
    way = f"directly over {told['transport']}" if told["transport"] else "through the relay"
    print(f"an echo {way}: {'all came back' if told['echoed'] else 'bytes are missing'}")


def open_ports(lab: KernelLab) -> None:
    """Alice asks her router for open ports, and bob calls without any relay."""
    with ExitStack() as stack:
        relay = stack.enter_context(lab.running("relay", "relay", module=PEERS))
        helper = line(relay)["tcp"]
        stack.enter_context(lab.opening_ports("A"))
        words = ("mapped", "any", "4001", helper)
        alice = stack.enter_context(lab.running("hostA", *words, module=PEERS))
        told = line(alice)
        print(f"alice's router opens ports by {told['how']}:", *told["addrs"], sep="\n    ")
        print("its rules now:", *lab.open_ports("A"), sep="\n    ")
        print(f"AutoNAT at the public peer says: {line(alice)['reachability']}")
        with lab.running("hostB", "direct", *told["addrs"], module=PEERS) as bob:
            for _ in told["addrs"]:
                said = line(bob)
                came = "all came back" if said["echoed"] else "bytes are missing"
                print(f"bob calls her directly over {said['transport']}, and an echo: {came}")


def shell(lab: KernelLab) -> None:
    """A shell among the machines."""
    print("the machines, as `ip netns exec NAME COMMAND` knows them:", *lab.machines, sep="\n    ")
    print("the network stands until this shell ends: exit")
    subprocess.run([os.environ.get("SHELL", "/bin/sh")], check=False)


def become_root() -> None:
    """Start again as root of namespaces of its own, where this user may; else say what to do."""
    if os.geteuid() == 0:
        return
    if not shutil.which("unshare") or subprocess.call([*ROOT_FOR_ITSELF, "true"]):
        sys.exit("root is needed for network namespaces: say sudo before the command")
    os.execvp("unshare", [*ROOT_FOR_ITSELF, sys.executable, "-m", "tests.netns", *sys.argv[1:]])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.netns", description=__doc__)
    kinds = get_args(Kind)
    parser.add_argument("a", nargs="?", default=kinds[0], choices=kinds, help="alice's NAT")
    parser.add_argument("b", nargs="?", default=kinds[0], choices=kinds, help="bob's NAT")
    parser.add_argument("protocol", nargs="?", default="tcp", choices=("tcp", "quic"))
    more = parser.add_mutually_exclusive_group()
    more.add_argument("--ports", action="store_true", help="alice asks her router for open ports")
    more.add_argument("--shell", action="store_true", help="a shell among the machines instead")
    more.add_argument("--clean", action="store_true", help="remove what a killed run has left")
    asked = parser.parse_args()
    become_root()
    if asked.clean:
        print("removed:", *(remove_leftovers() or ["nothing"]))
        return
    reason = why_not() or (why_no_upnp() if asked.ports else "")
    if reason:
        sys.exit(reason)
    with KernelLab() as lab:
        lab.set_nat("A", asked.a, "nft")
        lab.set_nat("B", asked.b, "nft")
        print(f"alice 10.1.0.2 ── {asked.a} NAT 1.2.3.101 ─┐")
        print(f"bob   10.2.0.2 ── {asked.b} NAT 1.2.3.102 ─┴─ relay 1.2.3.10", flush=True)
        if asked.shell:
            shell(lab)
        elif asked.ports:
            open_ports(lab)
        else:
            punch(lab, asked.protocol)


if __name__ == "__main__":
    main()
