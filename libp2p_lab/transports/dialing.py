"""The race between a peer's addresses: which first, how long before the next, and the first that works wins.

Ranked as go-libp2p does it, for the same reasons. Private and public addresses race side by side. Within each: QUIC
before TCP, for it needs fewer round trips; IPv6 before IPv4, as in "happy eyeballs" (RFC 8305); low ports first, for a
high one is often a NAT's; WebRTC, the slowest, last. Each address gets a head start over the next; one that fails gives
its place to the next at once. Relayed addresses come last. The losers are cancelled.

An address that failed is left alone for a while, unless it was asked for by name.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from libp2p_lab.errors import DialError, LabError
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.limits import Limits
from libp2p_lab.transports.public import is_public

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Start:
    """One lane of the race.

    Attributes:
        addr: where to.
        delay: seconds after the race began, if nobody has won by then.
    """

    addr: Multiaddr
    delay: float


def rank(addrs: Sequence[Multiaddr], limits: Limits) -> list[Start]:
    """Which addresses to dial when, the earliest first; at most `limits.max_addresses_dialed`."""
    if len(addrs) == 1:
        return [Start(addrs[0], 0.0)]
    relayed = [addr for addr in addrs if "p2p-circuit" in addr.names]
    direct = [addr for addr in addrs if addr not in relayed]
    elsewhere = [addr for addr in direct if _ip(addr) is None]  # memory, names: nothing to wait for
    public = [addr for addr in direct if addr not in elsewhere and is_public(addr)]
    private = [addr for addr in direct if addr not in elsewhere and addr not in public]
    offset = limits.dial_relay_delay if direct else 0.0
    starts = [
        *(Start(addr, 0.0) for addr in elsewhere),
        *_rank_group(private, limits.dial_private_delay, 0.0, limits.dial_webrtc_delay),
        *_rank_group(public, limits.dial_attempt_delay, 0.0, limits.dial_webrtc_delay),
        *_rank_group(relayed, limits.dial_attempt_delay, offset, limits.dial_webrtc_delay),
    ]
    starts.sort(key=lambda start: start.delay)
    return starts[: limits.max_addresses_dialed]


def _rank_group(
    addrs: Sequence[Multiaddr], delay: float, offset: float, webrtc_delay: float
) -> list[Start]:
    """QUIC, then TCP; of each the best of IPv6, the best of IPv4, then all others together. WebRTC last."""
    webrtc = [addr for addr in addrs if "webrtc-direct" in addr.names]
    addrs = [addr for addr in addrs if addr not in webrtc]
    starts: list[Start] = []
    for kind in ("udp", "tcp"):
        lanes = sorted((addr for addr in addrs if kind in addr.names), key=_preference)
        if not lanes:
            continue
        for number, addr in enumerate(_alternate(lanes)):
            step = min(number, 2 if "ip6" in lanes[0].names and _has_ip4(lanes) else 1)
            starts.append(Start(addr, offset + step * delay))
        offset = starts[-1].delay + delay
    ranked = {start.addr for start in starts}
    starts += [Start(addr, offset) for addr in addrs if addr not in ranked]
    last = starts[-1].delay + webrtc_delay if starts else offset
    return starts + [Start(addr, last) for addr in webrtc]


def _alternate(lanes: list[Multiaddr]) -> list[Multiaddr]:
    """The best of IPv4 moves to the second place, behind the best of IPv6."""
    if "ip6" in lanes[0].names:
        for index, addr in enumerate(lanes):
            if "ip4" in addr.names:
                return [lanes[0], addr, *lanes[1:index], *lanes[index + 1 :]]
    return lanes


def _has_ip4(lanes: Sequence[Multiaddr]) -> bool:
    return any("ip4" in addr.names for addr in lanes)


def _preference(addr: Multiaddr) -> tuple[bool, bool, int, int]:
    port = addr.value_of("udp") or addr.value_of("tcp") or "0"
    return "webtransport" in addr.names, "ip4" in addr.names, int(port), len(addr.parts)


def _ip(addr: Multiaddr) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    text = addr.value_of("ip4") or addr.value_of("ip6")
    return ipaddress.ip_address(text) if text is not None else None


class Backoff:
    """Which addresses failed, how often, and until when they are left alone.

    Args:
        limits: how long, and how many are remembered.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._failed: dict[Multiaddr, tuple[int, float]] = {}  # times, until; the latest last

    def waits(self, addr: Multiaddr, now: float) -> float:
        """Seconds for which `addr` should still be left alone; 0 for not at all."""
        _, until = self._failed.get(addr, (0, 0.0))
        return max(until - now, 0.0)

    def failed(self, addr: Multiaddr, now: float) -> None:
        """It failed once more: each time it is left alone for longer."""
        times = self._failed.pop(addr, (0, 0.0))[0] + 1
        limits = self._limits
        wait = min(limits.dial_backoff + (times - 1) ** 2, limits.dial_backoff_max)
        self._failed[addr] = times, now + wait
        if len(self._failed) > limits.dial_backoff_addresses:
            del self._failed[next(iter(self._failed))]

    def worked(self, addr: Multiaddr) -> None:
        """It works again."""
        self._failed.pop(addr, None)


async def race(
    starts: Sequence[Start],
    dial: Callable[[Multiaddr], Awaitable[T]],
    *,
    timeout: float,
    on_failure: Callable[[Multiaddr, BaseException], None] | None = None,
) -> T:
    """Dial in the order of `starts` and return the first success.

    Args:
        starts: the addresses, the earliest first.
        dial: makes one attempt.
        timeout: time limit of each attempt, in seconds.
        on_failure: told of each attempt that fails.

    Raises: `DialError` with every address's cause when none works.
    """
    if len(starts) == 1:
        return await _attempt_only(starts[0].addr, dial, timeout, on_failure)
    attempts: list[tuple[str, BaseException]] = []
    running: dict[asyncio.Task[T], Multiaddr] = {}
    waiting = list(reversed(starts))
    clock = asyncio.get_running_loop().time
    began = clock()
    try:
        while waiting or running:
            while waiting and (not running or clock() - began >= waiting[-1].delay):
                start = waiting.pop()
                running[asyncio.create_task(_attempt(dial, start.addr, timeout))] = start.addr
            pause = max(began + waiting[-1].delay - clock(), 0.0) if waiting else None
            done, _ = await asyncio.wait(
                running, timeout=pause, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                addr = running.pop(task)
                cause = task.exception()
                if cause is None:
                    return task.result()
                if not isinstance(cause, LabError | OSError):
                    raise cause
                attempts.append((str(addr), cause))
                if on_failure is not None:
                    on_failure(addr, cause)
            if done and waiting:
                # A place is free: the next need not wait for its turn, nor those behind it as long.
                began = min(began, clock() - waiting[-1].delay)
        raise DialError("no address led to the peer:", attempts)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _attempt(dial: Callable[[Multiaddr], Awaitable[T]], addr: Multiaddr, timeout: float) -> T:
    try:
        async with asyncio.timeout(timeout):
            return await dial(addr)
    except TimeoutError:
        raise TimeoutError(f"no connection within {timeout:g} s") from None


async def _attempt_only(
    addr: Multiaddr,
    dial: Callable[[Multiaddr], Awaitable[T]],
    timeout: float,
    on_failure: Callable[[Multiaddr, BaseException], None] | None,
) -> T:
    """One address needs no race, and no task of its own."""
    try:
        return await _attempt(dial, addr, timeout)
    except (LabError, OSError) as cause:
        if on_failure is not None:
            on_failure(addr, cause)
        raise DialError("the peer's only address does not work:", [(str(addr), cause)]) from cause
