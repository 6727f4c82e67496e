"""A peer on a machine of its own: our ordinary `Host`, and the power switch."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Literal, TypeVar

from libp2p_lab.errors import ConnectionLost, LocalError
from libp2p_lab.host.host import Host, PeerRef
from libp2p_lab.host.identify import Identify
from libp2p_lab.host.ping import Ping
from libp2p_lab.host.service import Service
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.multiplexing.muxed_stream import MuxedStream
from libp2p_lab.multiplexing.muxer import Muxer
from libp2p_lab.security.noise import Noise
from libp2p_lab.security.secure_channel import SecureChannel
from libp2p_lab.sim.events import MachineChanged
from libp2p_lab.sim.machine import Machine
from libp2p_lab.trace import Trace
from libp2p_lab.transports.tcp import TCP
from libp2p_lab.transports.transport import Transport

T = TypeVar("T")

#: Parts of which each start needs fresh ones: a list for a single start, or a function that makes them.
Parts = Callable[[], Sequence[T]] | Sequence[T] | None

PORT = 4001  # where a simulated host listens unless told otherwise

#: Called with a host each time that it has started: sets its handlers, joins its topics.
Setup = Callable[["SimHost"], Coroutine[Any, Any, None] | None]


class SimHost(Host):
    """A libp2p host on a simulated machine. Everything of `Host` is there; get one from `Internet.host`.

    Whatever it does, it does on its machine: `await alice.connect(…)` in a scenario dials from alice's address.

    Args:
        machine: where it runs.
        key: who it is; None draws one from the seed, which is no secret.
        listen: addresses; None for TCP port 4001 on each address of the machine.
        transports, security, muxers, services: as `Host`; or functions that make them, which `restart` needs where
            it gets others than the defaults. Default: TCP, Noise, yamux, identify and ping. security="plaintext"
            is for large numbers: nothing is encrypted, and nobody proves who it is.
        setup: called after each start.
        others: further arguments of `Host`.

    Attributes:
        machine: the machine.
        name: the machine's name.
    """

    def __init__(
        self,
        machine: Machine,
        *,
        key: KeyPair | None = None,
        listen: Iterable[Multiaddr | str] | None = None,
        transports: Parts[Transport] = None,
        security: Parts[SecureChannel] | Literal["plaintext"] = None,
        muxers: Parts[Muxer] = None,
        services: Parts[Service] = None,
        limits: Limits | None = None,
        setup: Setup | None = None,
        **others: Any,
    ) -> None:
        self.machine = machine
        self.name = machine.name
        self._recipe: dict[str, Any] = {
            "key": key if key is not None else KeyPair.generate(rng=machine.rng),
            "listen": tuple(_default_addrs(machine) if listen is None else listen),
            "transports": _always(transports, lambda: (TCP(),)),
            "security": _always(_security(security), lambda: (Noise(),)),
            "muxers": _always(muxers, lambda: None),
            "services": _always(services, lambda: (Identify(), Ping())),
            "limits": limits,
            "look_up": machine.network.names.look_up_text,
            **others,
        }
        self._setup = setup
        self._starting: asyncio.Task[None] | None = None
        self._watch = Trace()
        self._assemble(self._watch)

    def _assemble(self, trace: Trace) -> None:
        """Make the parts and the host of them: at the beginning, and again after each crash."""
        recipe = self._recipe
        super().__init__(
            trace=trace,
            rng=self.machine.rng,
            **{
                name: value() if callable(value) and name in _PARTS else value
                for name, value in recipe.items()
            },
        )

    def __repr__(self) -> str:
        return f"<SimHost {self.name} {' '.join(self.machine.ips)} {super().__repr__()}>"

    # -- everything happens on the machine ------------------------------------------------------------------

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run any coroutine as a program on this host's machine, and return its result.

        Raises: whatever it raises, with a note that names the host and the moment; `ConnectionLost` if the machine
            crashes meanwhile.
        """
        task = self.machine.create_task(coroutine)
        try:
            return await task  # type: ignore[no-any-return]
        except asyncio.CancelledError:
            if self.machine.is_down and task.cancelled():
                raise ConnectionLost(f"{self.name} crashed meanwhile") from None
            raise
        except Exception as error:
            error.add_note(
                f"on host {self.name!r} at {self.machine.loop.time():.6f} s of virtual time"
            )
            raise

    def begin(self) -> asyncio.Task[None]:
        """Start in a task of the machine; `start` waits for it."""
        if self._starting is None:
            self._starting = self.machine.create_task(self._start(), name=f"start of {self.name}")
        return self._starting

    async def _start(self) -> None:
        await super().start()
        if self._setup is not None:
            done = self._setup(self)
            if inspect.isawaitable(done):
                await done

    async def start(self) -> SimHost:
        """As `Host.start`; a host of an internet starts by itself, and this waits until it has."""
        if self.machine.is_down:
            raise LocalError(f"{self.name} has crashed: restart it")
        if asyncio.get_running_loop() is not self.machine.loop:
            raise LocalError("a simulated host runs in its own internet only: its key is no secret")
        await asyncio.shield(self.begin())
        return self

    async def __aenter__(self) -> SimHost:
        return await self.start()

    async def close(self) -> None:
        """As `Host.close`."""
        if self._starting is not None and not self.machine.is_down:
            await self.run(super().close())

    async def listen(self, addr: Multiaddr | str) -> list[Multiaddr]:
        """As `Host.listen`."""
        await self.start()
        return await self.run(super().listen(addr))

    async def connect(self, target: PeerRef) -> MuxedConnection:
        """As `Host.connect`."""
        if self._starting is None or not self._starting.done():
            await self.start()
        return await self.run(super().connect(target))

    async def open_stream(
        self, peer: PeerRef, protocols: str | Sequence[str], *, allow_limited: bool = False
    ) -> MuxedStream:
        """As `Host.open_stream`."""
        if self._starting is None or not self._starting.done():
            await self.start()
        return await self.run(super().open_stream(peer, protocols, allow_limited=allow_limited))

    async def disconnect(self, peer: PeerRef) -> None:
        """As `Host.disconnect`."""
        await self.run(super().disconnect(peer))

    def create_task(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """As `Host.create_task`."""
        return self.machine.context.copy().run(super().create_task, coroutine)

    # -- misfortune -----------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """ "up", "frozen" or "crashed"."""
        return "crashed" if self.machine.is_down else "frozen" if self.machine.is_frozen else "up"

    def crash(self) -> None:
        """Cut the power: no goodbye, no FIN; what it knew is gone. Others find out by silence."""
        machine = self.machine
        if machine.is_down:
            return
        machine.crash()
        for task in machine.loop.tasks_of(machine):
            task.cancel()
        self._closed = True
        machine.network.tell(MachineChanged(self.name, "crashed"))

    def restart(self) -> asyncio.Task[None]:
        """Switch on again: the same key and addresses, and nothing of what it knew.

        Handlers that were set from outside are gone as well; `setup` is called again. Returns the start, which may
        be awaited.

        Raises: `LocalError` if it runs, or was given parts that cannot be made anew.
        """
        machine = self.machine
        if not machine.is_down:
            raise LocalError(f"{self.name} is running: crash it first")
        self.check_restartable()
        machine.is_down = False
        self._starting = None
        self._assemble(self._watch)
        machine.network.tell(MachineChanged(self.name, "up"))
        return self.begin()

    def check_restartable(self) -> None:
        """Raises: `LocalError` if it was given parts that cannot be made anew."""
        for name in _PARTS:
            if isinstance(self._recipe[name], _Once):
                raise LocalError(
                    f"{name} of {self.name} were given as objects, and served one life: "
                    f"give a function that makes them, {name}=lambda: […]"
                )

    def freeze(self) -> None:
        """Close the lid: nothing runs and nothing is heard until `thaw`."""
        if not self.machine.is_down and not self.machine.is_frozen:
            self.machine.freeze()
            self.machine.network.tell(MachineChanged(self.name, "frozen"))

    def thaw(self) -> None:
        """Open the lid again."""
        if self.machine.is_frozen:
            self.machine.thaw()
            self.machine.network.tell(MachineChanged(self.name, "up"))


_PARTS = ("transports", "security", "muxers", "services")


class _Once:
    """Parts that were given as objects: good for one start."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self._parts = parts

    def __call__(self) -> Sequence[Any]:
        return self._parts


def _always(parts: Parts[Any], default: Callable[[], Any]) -> Callable[[], Any]:
    """A function that makes the parts."""
    if parts is None:
        return default
    return parts if callable(parts) else _Once(parts)


def _security(given: Parts[SecureChannel] | str) -> Parts[SecureChannel]:
    if not isinstance(given, str):
        return given
    if given != "plaintext":
        raise LocalError(f'security is a list of parts, or "plaintext", not {given!r}')
    from libp2p_lab.security.plaintext import Plaintext

    return lambda: (Plaintext(),)


def _default_addrs(machine: Machine) -> list[str]:
    return [f"/ip{6 if ':' in ip else 4}/{ip}/tcp/{PORT}" for ip in machine.ips]
