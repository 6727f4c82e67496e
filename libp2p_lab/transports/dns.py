"""Names in addresses: `/dns4/…`, `/dns6/…`, `/dns/…` to IP addresses, `/dnsaddr/…` to whole addresses.

`/dnsaddr/example.org` stands for every `dnsaddr=…` text record of `_dnsaddr.example.org`; those may be names again, so
the depth and the number of answers are limited.

Spec: addressing/README.md#dnsaddr-links
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence

from libp2p_lab.errors import DialError, LabError, LimitExceeded
from libp2p_lab.identity.multiaddr import Multiaddr, Part
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
        limits: depth, numbers and time.
        look_up: gives text records; tests and simulations bring their own.

    Returns: at most `limits.max_addresses_dialed` addresses without names.

    Raises: `DialError` if names do not resolve, and nothing else was found.
    """
    found: list[Multiaddr] = []
    failures: list[tuple[str, BaseException]] = []
    asked: set[Multiaddr] = set()  # names may lead to each other in circles
    waiting = [(addr, 0)]
    while waiting and len(found) < limits.max_addresses_dialed:
        target, depth = waiting.pop(0)
        if not _has_name(target):
            if target not in found:
                found.append(target)
            continue
        if target in asked:
            continue
        asked.add(target)
        try:
            _check(depth, len(asked), limits)
            async with asyncio.timeout(limits.dns_timeout):
                answers = await _ask(target, limits, look_up)
        except (OSError, LimitExceeded) as error:
            failures.append((str(target), error))
            if len(asked) > limits.dns_look_ups:
                break
            continue
        waiting[:0] = [(answer, depth + 1) for answer in answers]
    if failures and not found:
        raise DialError(f"{addr} does not resolve:", failures)
    return found


def _has_name(addr: Multiaddr) -> bool:
    first = addr.parts[0].name if addr.parts else ""
    return first == "dnsaddr" or first in _FAMILIES


def _check(depth: int, look_ups: int, limits: Limits) -> None:
    if depth > limits.dns_recursion:
        raise LimitExceeded("dns_recursion", depth, limits.dns_recursion)
    if look_ups > limits.dns_look_ups:
        raise LimitExceeded("dns_look_ups", look_ups, limits.dns_look_ups)


async def _ask(addr: Multiaddr, limits: Limits, look_up: LookUpText) -> list[Multiaddr]:
    """What one look-up gives; `OSError` where it gives nothing."""
    kind = addr.parts[0].name
    if kind == "dnsaddr":
        return await _dnsaddr(addr, limits, look_up)
    return await _ips(addr, kind)


async def _dnsaddr(addr: Multiaddr, limits: Limits, look_up: LookUpText) -> list[Multiaddr]:
    """What the text records say; only what ends like the rest of `addr` counts (its `/p2p/…`, usually)."""
    name = f"_dnsaddr.{addr.parts[0].value}"
    records = await look_up(name)
    suffix = addr.parts[1:]
    targets = []
    for record in records[: limits.dns_records]:
        if not record.startswith("dnsaddr="):
            continue
        try:
            target = Multiaddr(record.removeprefix("dnsaddr="))
        except LabError:
            continue  # one bad record does not spoil the others
        if not suffix or target.parts[-len(suffix) :] == suffix:
            targets.append(target)
        if len(targets) == limits.dns_records:
            break
    return targets


async def _ips(addr: Multiaddr, kind: str) -> list[Multiaddr]:
    host = addr.parts[0].value
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(host, 0, family=_FAMILIES[kind], type=socket.SOCK_STREAM)
    behind = _keep_name(host, addr.parts[1:])
    resolved = []
    for family, *_, sockaddr in infos:
        version = 4 if family == socket.AF_INET else 6
        ip = Multiaddr(f"/ip{version}/{sockaddr[0]}")
        resolved.append(Multiaddr.of(ip.parts + behind))
    return resolved


def _keep_name(host: str, behind: tuple[Part, ...]) -> tuple[Part, ...]:
    """Where TLS will ask the server for its name, the name that is looked up stays in the address, as `/sni`."""
    names = [part.name for part in behind]
    if "sni" in names:
        return behind
    tls, sni = Multiaddr("/tls").parts, Multiaddr(f"/sni/{host}").parts
    if "wss" in names:
        at = names.index("wss")
        return behind[:at] + tls + sni + Multiaddr("/ws").parts + behind[at + 1 :]
    if "tls" in names:
        at = names.index("tls")
        return behind[: at + 1] + sni + behind[at + 1 :]
    return behind
