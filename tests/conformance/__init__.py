"""What every implementation of an interface must do, as functions that take the implementation.

Each file here holds the checks of one interface of the library. A check gets fresh objects and raises
`AssertionError` (or the error that the implementation itself raised) where the rule is not kept:

    byte_stream.py      `ByteStream`: takes a factory of two connected ends
    transport.py        `Transport`: takes a transport and an address to listen at
    secure_channel.py   `SecureChannel`: takes two of them, one for each side
    muxer.py            `Muxer`: its sessions alone, and at work on a stream

The tests run them on the library's own parts; `run_checks` runs them all on anybody else's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

Check = Callable[..., Awaitable[None]]


async def run_checks(
    checks: Sequence[Check], *subject: Any, time_limit: float = 60.0
) -> dict[str, BaseException | None]:
    """Run every check on `subject`, each by itself.

    Returns: for each check's name what it raised, or None where the rule is kept.
    """
    results: dict[str, BaseException | None] = {}
    before = asyncio.all_tasks()
    for check in checks:
        try:
            async with asyncio.timeout(time_limit):
                await check(*subject)
            results[check.__name__] = None
        except (Exception, pytest.fail.Exception) as error:
            results[check.__name__] = first_cause(error)
        left = asyncio.all_tasks() - before  # a check that failed leaves its tasks where they were
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
    return results


def first_cause(error: BaseException) -> BaseException:
    """What a task group wrapped."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
