"""Where is the router? The system knows: its default route leads there."""

from __future__ import annotations

import ipaddress
import sys
from pathlib import Path

ROUTES = Path("/proc/net/route")
_UP, _GATEWAY = 0x1, 0x2  # flags of a route


def default_gateway() -> str:
    """The IPv4 address of the router that leads out; "" if there is none, or the system does not say (not Linux)."""
    return gateway_of(read_routes())


def read_routes() -> str:
    """The system's table of routes. Simulations put their own in its place."""
    try:
        return ROUTES.read_text("ascii")
    except OSError:
        return ""


def gateway_of(routes: str) -> str:
    """The gateway of the best default route in a table such as Linux's `/proc/net/route`.

    Addresses stand there as numbers in the processor's own order of bytes, in hexadecimal digits.
    """
    best = None
    for line in routes.splitlines()[1:]:
        fields = line.split()
        try:
            target, gateway, flags = (int(field, 16) for field in fields[1:4])
            metric, mask = int(fields[6]), int(fields[7], 16)
            packed = gateway.to_bytes(4, sys.byteorder)
        except (ValueError, IndexError, OverflowError):
            continue
        if target == mask == 0 and gateway and flags & (_UP | _GATEWAY) == _UP | _GATEWAY:
            best = min(best or (metric, packed), (metric, packed))
    return str(ipaddress.IPv4Address(best[1])) if best else ""
