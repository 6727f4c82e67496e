"""The race between a peer's addresses: start them one after another, keep the first that works.

Each address gets a head start over the next, as in "happy eyeballs" (RFC 8305); one that fails gives its place to
the next at once. The losers are cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from libp2p_lab.errors import DialError, LabError
from libp2p_lab.identity.multiaddr import Multiaddr

T = TypeVar("T")


async def race(
    addrs: Sequence[Multiaddr],
    dial: Callable[[Multiaddr], Awaitable[T]],
    *,
    delay: float,
    timeout: float,
    on_failure: Callable[[Multiaddr, BaseException], None] | None = None,
) -> T:
    """Dial `addrs` in their order and return the first success.

    Args:
        addrs: the addresses, the best first.
        dial: makes one attempt.
        delay: head start of one address over the next, in seconds.
        timeout: time limit of each attempt, in seconds.
        on_failure: told of each attempt that fails.

    Raises: `DialError` with every address's cause when none works.
    """
    if len(addrs) == 1:
        return await _attempt_only(addrs[0], dial, timeout, on_failure)
    attempts: list[tuple[str, BaseException]] = []
    running: dict[asyncio.Task[T], Multiaddr] = {}
    waiting = list(reversed(addrs))
    try:
        while waiting or running:
            if waiting:
                addr = waiting.pop()
                running[asyncio.create_task(_attempt(dial, addr, timeout))] = addr
            done, _ = await asyncio.wait(
                running, timeout=delay if waiting else None, return_when=asyncio.FIRST_COMPLETED
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
