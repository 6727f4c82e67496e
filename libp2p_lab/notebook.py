"""Peers that live across the cells of a notebook, and the way to them from other threads.

A notebook's kernel runs an event loop already, so everything is top-level `await`:

    alice = await lab.spawn(listen=["/ip4/127.0.0.1/tcp/0"])
    …
    await lab.close_all()

Widgets may run their callbacks in another thread, with another loop; `submit` brings a coroutine home to the loop on
which the peers live.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import random
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from libp2p_lab.errors import LocalError
from libp2p_lab.host.host import Host
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.multiaddr import Multiaddr

T = TypeVar("T")


class Session:
    """The peers of one kernel, and the loop on which they live."""

    def __init__(self) -> None:
        self.hosts: list[Host] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the first peer that was started here.

        Raises: `LocalError` before that.
        """
        if self._loop is None or self._loop.is_closed():
            raise LocalError("no peer has been started yet: begin with `await lab.spawn()`")
        return self._loop

    def remember_loop(self) -> None:
        """Take the running loop as the peers' home, unless they have one that still lives."""
        if self._loop is None or self._loop.is_closed():
            self._loop = asyncio.get_running_loop()

    def add(self, host: Host) -> None:
        """Keep track of a running host."""
        self.hosts = [other for other in self.hosts if other.is_running]
        self.hosts.append(host)

    async def close_all(self) -> None:
        """Close every host that still runs."""
        hosts, self.hosts = self.hosts, []
        await asyncio.gather(*(host.close() for host in hosts if host.is_running))


#: This process's notebook session: one kernel, one session.
SESSION = Session()


async def spawn(*args: Any, **kwargs: Any) -> Host:
    """Start a peer that lives until `close`, `close_all` or the end of the kernel.

    Args: as `Host`. Without `listen` it listens on a free TCP port of this machine's loopback.
    """
    SESSION.remember_loop()
    if len(args) < 2 and "listen" not in kwargs:
        kwargs["listen"] = ["/ip4/127.0.0.1/tcp/0"]
    host = Host(*args, **kwargs)
    await host.start()
    SESSION.add(host)
    return host


async def close_all() -> None:
    """Close every peer that `spawn` started and that still runs."""
    await SESSION.close_all()


@asynccontextmanager
async def network(
    n: int = 2,
    seed: int | None = None,
    listen: Iterable[Multiaddr | str] = ("/ip4/127.0.0.1/tcp/0",),
    **kwargs: Any,
) -> AsyncIterator[list[Host]]:
    """`n` live peers, closed at the end.

        async with lab.network(n=5, seed=1) as peers:
            ...

    Args:
        n: how many.
        seed: makes their keys from this number, so that a run can be repeated. Such keys are no secret: use them
            for lessons and nothing else. None makes real ones.
        listen: where each listens.
        **kwargs: as `Host`; every peer gets the same, so leave out what belongs to one host alone.
    """
    if n < 1:
        raise LocalError(f"a network has one peer or more, not {n}")
    SESSION.remember_loop()
    rng = None if seed is None else random.Random(seed)
    hosts = [Host(key=KeyPair.generate(rng=rng), listen=tuple(listen), **kwargs) for _ in range(n)]
    try:
        for host in hosts:
            await host.start()
            SESSION.add(host)
        yield hosts
    finally:
        await asyncio.gather(*(host.close() for host in hosts))


def submit(coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
    """Run a coroutine on the peers' loop, from whichever thread this is; returns at once.

    Raises: `LocalError` if no peer has been started.
    """
    try:
        loop = SESSION.loop
    except LocalError:
        coroutine.close()
        raise
    return asyncio.run_coroutine_threadsafe(coroutine, loop)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end and return its result: for scripts and synchronous callbacks.

    In a notebook use `await` instead. Where a loop runs already (a callback in the kernel), the loop is patched by
    nest-asyncio so that it can be entered again; nowhere else.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    _patch(loop)
    return loop.run_until_complete(coroutine)


def _patch(loop: asyncio.AbstractEventLoop) -> None:
    try:
        import nest_asyncio  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        import nest_asyncio2 as nest_asyncio  # type: ignore[import-not-found, unused-ignore]
    nest_asyncio.apply(loop)
