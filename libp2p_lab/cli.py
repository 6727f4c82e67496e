"""The program `libp2p-lab`: what can be done without writing Python.

libp2p-lab tour       two peers connect and talk; each layer shows what it sent
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import libp2p_lab
from libp2p_lab import tour


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; `arguments` are those of the command line unless given."""
    parser = argparse.ArgumentParser(prog="libp2p-lab", description="libp2p, layer by layer")
    parser.add_argument("--version", action="version", version=libp2p_lab.__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("tour", help="two peers connect and talk; each layer shows what it sent")
    match parser.parse_args(arguments).command:
        case "tour":
            tour.main()


if __name__ == "__main__":
    main()
