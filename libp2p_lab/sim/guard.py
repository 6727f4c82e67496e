"""What is real stays outside, and chance comes from the seed: the fence around the code that runs in a simulation.

Inside, and only inside, and only in the thread that runs the simulation at that moment:

    os.urandom, secrets, uuid4, fresh X25519, Ed25519 and P-256 keys    from the seed
    ECDSA signatures, by keys and in certificates                       by RFC 6979, the same each time
    random.random() and its sisters             from the seed too; afterwards the generator is put back
    time.time(), monotonic(), perf_counter() …  the virtual time
    network interfaces (ifaddr), routes         those of the simulated machine
    a real socket, a thread, a process, time.sleep                      `NotSimulated`

Outside, the originals are in their places: no key can come from a seed by accident. What cannot be reached from here
are OpenSSL's own secrets (TLS session keys by pyOpenSSL), `datetime.now()`, and what a library keeps in the order of
addresses in memory, as aioquic does with its streams: runs with QUIC are alike, and not the same to the packet.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519

from libp2p_lab.errors import NotSimulated
from libp2p_lab.nat import gateway

#: 2026-01-01 00:00 UTC: what `time.time()` says when a simulation begins.
EPOCH = 1_767_225_600.0

_P256_ORDER = 0xFFFFFFFF_00000000_FFFFFFFF_FFFFFFFF_BCE6FAAD_A7179E84_F3B9CAC2_FC632551

_REFUSED = {
    "socket.__new__": "a real socket",
    "socket.connect": "a real connection",
    "socket.getaddrinfo": "a real look-up of a name (await loop.getaddrinfo instead)",
    "socket.gethostbyname": "a real look-up of a name (await loop.getaddrinfo instead)",
    "time.sleep": "time.sleep, which stops the whole internet (await asyncio.sleep instead)",
    "_thread.start_new_thread": "a thread",
    "_thread.start_joinable_thread": "a thread",
    "subprocess.Popen": "a process",
    "os.fork": "a process",
    "os.posix_spawn": "a process",
    "os.system": "a process",
}


class Simulation(Protocol):
    """What the fence asks of the simulation that runs."""

    @property
    def now(self) -> float:
        """The virtual time."""
        ...

    def random_bytes(self, n: int) -> bytes:
        """Chance for the code that runs now."""
        ...

    def adapters(self) -> list[Any]:
        """The network interfaces of the machine whose code runs now, as `ifaddr` describes them."""
        ...

    def routes(self) -> str:
        """Its table of routes, as Linux describes them."""
        ...


class _Here(threading.local):
    """Which simulation runs in this thread at this moment."""

    simulation: Simulation | None = None


_here = _Here()


class _Fence:
    """Replaces the functions of this process, once for however many simulations run in however many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._watched = False
        self._originals: list[tuple[Any, str, Any]] = []

    def enter(self) -> None:
        with self._lock:
            if not self._watched:
                self._watched = True
                sys.addaudithook(_refuse_what_is_real)
            self._inside += 1
            if self._inside == 1:
                for owner, name, replacement in _replacements():
                    self._originals.append((owner, name, vars(owner)[name]))
                    setattr(owner, name, replacement)

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                for owner, name, original in reversed(self._originals):
                    setattr(owner, name, original)
                self._originals.clear()


_fence = _Fence()  # of the process, as the functions that it replaces are


@contextlib.contextmanager
def inside(simulation: Simulation, rng: random.Random) -> Iterator[None]:
    """Run the block inside the fence.

    Args:
        simulation: whose time and chance it gets.
        rng: holds the state of the global generator between two blocks.
    """
    outer, state = _here.simulation, random.getstate()
    _fence.enter()
    random.setstate(rng.getstate())
    _here.simulation = simulation
    try:
        yield
    finally:
        _here.simulation = outer
        rng.setstate(random.getstate())
        random.setstate(state)
        _fence.leave()


def is_inside() -> bool:
    """Whether a simulation runs in this thread now."""
    return _here.simulation is not None


@contextlib.contextmanager
def outside() -> Iterator[None]:
    """Step out for a moment: for what the simulator itself does with the real world."""
    simulation, _here.simulation = _here.simulation, None
    try:
        yield
    finally:
        _here.simulation = simulation


def _refuse_what_is_real(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook: Python calls it before each of these, wherever the call comes from."""
    if _here.simulation is not None and event in _REFUSED:
        raise _refusal(_REFUSED[event])


def _refusal(what: str) -> NotSimulated:
    return NotSimulated(
        f"{what} inside a simulation: it depends on the real world, and no run would be as the last"
    )


def _refused(original: Callable[..., Any], what: str) -> Callable[..., Any]:
    def refuse(*args: Any) -> Any:
        if _here.simulation is not None:
            raise _refusal(what)
        return original(*args)

    return refuse


def _replacements() -> Iterator[tuple[Any, str, Any]]:
    """(owner, name, replacement) of every function that gives chance, time or interfaces."""
    for owner, name, what in (
        (time, "sleep", _REFUSED["time.sleep"]),
        (threading.Thread, "start", _REFUSED["_thread.start_new_thread"]),
    ):  # these tell no audit hook before Python 3.12 and 3.13
        yield owner, name, _refused(vars(owner)[name], what)
    yield os, "urandom", _drawn(os.urandom)
    yield random, "_urandom", _drawn(vars(random)["_urandom"])
    for module_clock in ("time", "monotonic", "perf_counter"):
        start = EPOCH if module_clock == "time" else 0.0
        yield time, module_clock, _told(vars(time)[module_clock], start)
        nanoseconds = f"{module_clock}_ns"
        yield time, nanoseconds, _told_ns(vars(time)[nanoseconds], start)
    x, ed = x25519.X25519PrivateKey, ed25519.Ed25519PrivateKey
    yield x, "generate", _made(x.generate, x.from_private_bytes)
    yield ed, "generate", _made(ed.generate, ed.from_private_bytes)
    yield ec, "generate_private_key", _made_on_a_curve(ec.generate_private_key)
    yield ec.ECDSA, "__init__", _signed_alike(vars(ec.ECDSA)["__init__"])
    yield x509.CertificateBuilder, "sign", _certified_alike(x509.CertificateBuilder.sign)
    yield gateway, "read_routes", _routes(gateway.read_routes)
    with contextlib.suppress(ImportError):
        import ifaddr

        yield ifaddr, "get_adapters", _adapters(ifaddr.get_adapters)


def _drawn(original: Callable[[int], bytes]) -> Callable[[int], bytes]:
    def urandom(n: int) -> bytes:
        simulation = _here.simulation
        return original(n) if simulation is None else simulation.random_bytes(n)

    return urandom


def _told(original: Callable[[], float], start: float) -> Callable[[], float]:
    def clock() -> float:
        simulation = _here.simulation
        return original() if simulation is None else start + simulation.now

    return clock


def _told_ns(original: Callable[[], int], start: float) -> Callable[[], int]:
    def clock_ns() -> int:
        simulation = _here.simulation
        return original() if simulation is None else round((start + simulation.now) * 1e9)

    return clock_ns


def _made(original: Callable[[], Any], make: Callable[[bytes], Any]) -> Any:
    def generate(cls: type) -> Any:
        simulation = _here.simulation
        return original() if simulation is None else make(simulation.random_bytes(32))

    return classmethod(generate)


def _made_on_a_curve(original: Callable[..., Any]) -> Callable[..., Any]:
    def generate_private_key(curve: ec.EllipticCurve, backend: Any = None) -> Any:
        simulation = _here.simulation
        if simulation is None or not isinstance(curve, ec.SECP256R1):
            return original(curve, backend)
        number = int.from_bytes(simulation.random_bytes(40)) % (_P256_ORDER - 1) + 1
        return ec.derive_private_key(number, curve)

    return generate_private_key


def _signed_alike(original: Callable[..., None]) -> Callable[..., None]:
    """RFC 6979: the same signature for the same message, where else its very length is drawn anew each time."""

    def init(self: ec.ECDSA, algorithm: Any, deterministic_signing: bool = False) -> None:
        original(self, algorithm, deterministic_signing or _here.simulation is not None)

    return init


def _certified_alike(original: Callable[..., x509.Certificate]) -> Callable[..., x509.Certificate]:
    def sign(
        builder: x509.CertificateBuilder, private_key: Any, *args: Any, **options: Any
    ) -> x509.Certificate:
        if _here.simulation is not None and isinstance(private_key, ec.EllipticCurvePrivateKey):
            options.setdefault("ecdsa_deterministic", True)
        return original(builder, private_key, *args, **options)

    return sign


def _routes(original: Callable[[], str]) -> Callable[[], str]:
    def read_routes() -> str:
        simulation = _here.simulation
        return original() if simulation is None else simulation.routes()

    return read_routes


def _adapters(original: Callable[..., Any]) -> Callable[..., Any]:
    def get_adapters(include_unconfigured: bool = False) -> Any:
        simulation = _here.simulation
        return original(include_unconfigured) if simulation is None else simulation.adapters()

    return get_adapters
