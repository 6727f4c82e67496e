"""The internet's own names: what DNS would say."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from libp2p_lab.errors import LocalError
from libp2p_lab.sim.sockets import is_v6, plain_ip

if TYPE_CHECKING:
    from libp2p_lab.sim.machine import Machine

DELAY = 0.02  # seconds for an answer, unless told otherwise


class Names:
    """Names and what they stand for.

    Attributes:
        delay: seconds for an answer.
        is_up: while False nobody answers, and look-ups fail after `delay`.
    """

    def __init__(self) -> None:
        self.delay = DELAY
        self.is_up = True
        self._ips: dict[str, tuple[str, ...]] = {}
        self._texts: dict[str, tuple[str, ...]] = {}

    def add(self, name: str, *ips: str) -> None:
        """Let `name` stand for these addresses (A and AAAA records)."""
        self._ips[name.lower()] = tuple(plain_ip(ip) for ip in ips)

    def add_text(self, name: str, *texts: str) -> None:
        """Text records, as dnsaddr has them: `_dnsaddr.example.org`, "dnsaddr=/ip4/…"."""
        self._texts[name.lower()] = texts

    async def look_up(self, machine: Machine, name: str) -> Sequence[str]:
        """The addresses of a name; an address stands for itself.

        Raises: `socket.gaierror` if there are none.
        """
        if name in ("", "localhost"):
            return ["127.0.0.1", "::1"] if machine.ip(v6=True) else ["127.0.0.1"]
        try:
            return [plain_ip(name)]
        except LocalError:
            pass
        await asyncio.sleep(self.delay)
        found = self._ips.get(name.lower()) if self.is_up else None
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, f"Name or service not known: {name}")
        kinds = [ip for ip in found if machine.ip(is_v6(ip)) is not None]
        return kinds or found

    async def look_up_text(self, name: str) -> Sequence[str]:
        """The text records of a name.

        Raises: `OSError` if there are none.
        """
        await asyncio.sleep(self.delay)
        if not self.is_up or name.lower() not in self._texts:
            raise OSError(f"no text records for {name}")
        return self._texts[name.lower()]
