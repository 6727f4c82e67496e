"""Names in addresses: `/dns4/…`, `/dns6/…`, `/dns/…` to IP addresses, `/dnsaddr/…` to whole addresses.

`/dnsaddr/example.org` stands for every `dnsaddr=…` text record of `_dnsaddr.example.org`; those may be names again, so
the depth and the number of answers are limited.

Spec: addressing/README.md#dnsaddr-links
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence

from libp2p_lab.errors import DialError, LabError
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.limits import DEFAULT_LIMITS, Limits

_FAMILIES = {"dns": socket.AF_UNSPEC, "dns4": socket.AF_INET, "dns6": socket.AF_INET6}

#: Gives the text records of a name.
LookUpText = Callable[[str], Awaitable[Sequence[str]]]


async def look_up_text(name: str) -> Sequence[str]:
    """The text records of `name`, by dnspython.

    Raises: `OSError` if the name has none or no server answers.
    """
    # Imported here: dnspython takes longer to import than all of the stack, and few programs need it.
    import dns.asyncresolver
    import dns.exception

    try:
        answer = await dns.asyncresolver.resolve(name, "TXT")
    except dns.exception.DNSException as error:
        raise OSError(f"no text records for {name}: {error}") from None
    return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]


async def resolve(
    addr: Multiaddr, limits: Limits = DEFAULT_LIMITS, look_up: LookUpText = look_up_text
) -> list[Multiaddr]:
    """The addresses that `addr` stands for: itself if there is no name in it.

    Args:
        addr: any address.
        limits: depth, number and time.
        look_up: gives text records; tests and simulations bring their own.

    Returns: at most `limits.max_addresses_dialed` addresses without names.

    Raises: `DialError` if a name does not resolve.
    """
    found: list[Multiaddr] = []
    await _resolve(addr, limits, look_up, limits.dns_recursion, found)
    return found


async def _resolve(
    addr: Multiaddr, limits: Limits, look_up: LookUpText, depth: int, found: list[Multiaddr]
) -> None:
    if len(found) >= limits.max_addresses_dialed:
        return
    first = addr.parts[0].name if addr.parts else ""
    if first == "dnsaddr":
        if depth == 0:
            raise DialError(f"{addr}: more than {limits.dns_recursion} names lead to each other")
        for target in await _dnsaddr(addr, limits, look_up):
            await _resolve(target, limits, look_up, depth - 1, found)
    elif first in _FAMILIES:
        for ip in await _ips(addr, first, limits):
            if len(found) < limits.max_addresses_dialed and ip not in found:
                found.append(ip)
    elif addr not in found:
        found.append(addr)


async def _dnsaddr(addr: Multiaddr, limits: Limits, look_up: LookUpText) -> list[Multiaddr]:
    """What the text records say; only what ends like the rest of `addr` counts (its `/p2p/…`, usually)."""
    name = f"_dnsaddr.{addr.parts[0].value}"
    try:
        async with asyncio.timeout(limits.dns_timeout):
            records = await look_up(name)
    except OSError as error:
        raise DialError(f"{addr} does not resolve:", [(str(addr), error)]) from error
    suffix = addr.parts[1:]
    targets = []
    for record in records:
        if not record.startswith("dnsaddr="):
            continue
        try:
            target = Multiaddr(record.removeprefix("dnsaddr="))
        except LabError:
            continue  # one bad record does not spoil the others
        if not suffix or target.parts[-len(suffix) :] == suffix:
            targets.append(target)
    return targets


async def _ips(addr: Multiaddr, kind: str, limits: Limits) -> list[Multiaddr]:
    host = addr.parts[0].value
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(limits.dns_timeout):
            infos = await loop.getaddrinfo(host, 0, family=_FAMILIES[kind], type=socket.SOCK_STREAM)
    except OSError as error:
        raise DialError(f"{addr} does not resolve:", [(str(addr), error)]) from error
    resolved = []
    for family, *_, sockaddr in infos:
        version = 4 if family == socket.AF_INET else 6
        ip = Multiaddr(f"/ip{version}/{sockaddr[0]}")
        resolved.append(Multiaddr.of(ip.parts + addr.parts[1:]))
    return resolved
