"""Small programs that find out how a NAT behaves, and punch holes through it. They run on simulated machines and, as

    python -m tests.netns.probe relay
    python -m tests.netns.probe behaviour
    python -m tests.netns.probe udp|tcp NAME ROOM PORT

in network namespaces of a real kernel; there each prints one line of JSON. Nothing here knows which of the two it is:
only how a connection is dialed from a port that listens is handed in.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

RELAY, OTHER = "1.2.3.10", "1.2.3.11"  # two addresses of one machine
PORT = 4001
OBSERVERS = ((RELAY, 3478), (RELAY, 3479), (OTHER, 3478))
PATIENCE = 1.0  # seconds for an answer

#: Dial `remote` from the local port; the same port may listen.
Dial = Callable[[int, tuple[str, int]], Awaitable[tuple[asyncio.StreamReader, Any]]]
#: Listen at a port from which is also dialed.
Listen = Callable[[Any, int], Awaitable[Any]]


class Datagrams(asyncio.DatagramProtocol):
    """A port whose datagrams can be waited for."""

    def __init__(self, answer: Callable[[Any, bytes, Any], None] | None = None) -> None:
        self.arrived: asyncio.Queue[tuple[bytes, Any]] = asyncio.Queue()
        self.transport: Any = None
        self._answer = answer

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self._answer is not None:
            self._answer(self.transport, data, addr)
        else:
            self.arrived.put_nowait((data, addr))

    async def get(self, timeout: float = PATIENCE) -> tuple[bytes, Any] | None:
        try:
            return await asyncio.wait_for(self.arrived.get(), timeout)
        except TimeoutError:
            return None


async def open_port(local: tuple[str, int], answer: Any = None) -> Datagrams:
    _, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Datagrams(answer), local_addr=local
    )
    return protocol


# -- the relay: it sees where packets come from, and introduces two to each other ----------------------------


async def relay() -> None:
    observers: dict[tuple[str, int], Any] = {}
    rooms: dict[str, dict[str, Any]] = {}

    def answer(transport: Any, data: bytes, addr: Any) -> None:
        request = json.loads(data)
        if request["what"] == "observe":
            transport.sendto(json.dumps(addr[:2]).encode(), addr)
        elif request["what"] == "filter":
            for name, other in observers.items():
                other.sendto(json.dumps(name).encode(), addr)
        else:
            room = rooms.setdefault(request["room"], {})
            room[request["name"]] = addr
            if len(room) == 2:
                one, other = room.values()
                transport.sendto(json.dumps(one[:2]).encode(), other)
                transport.sendto(json.dumps(other[:2]).encode(), one)

    async def meet(reader: Any, writer: Any) -> None:
        request = json.loads(await reader.readline())
        if request["what"] == "observe":
            await tell(writer, writer.get_extra_info("peername")[:2])
            writer.close()
            return
        room = rooms.setdefault(request["room"], {})
        room[request["name"]] = writer
        if len(room) == 2:
            one, other = room.values()
            await tell(one, other.get_extra_info("peername")[:2])
            await tell(other, one.get_extra_info("peername")[:2])

    for where in OBSERVERS:
        observers[where] = (await open_port(where, answer)).transport
    for where in OBSERVERS:
        await asyncio.start_server(meet, *where)


async def tell(writer: Any, what: Any) -> None:
    writer.write(json.dumps(what).encode() + b"\n")
    await writer.drain()


# -- how does the NAT behave? ---------------------------------------------------------------------------------


async def behaviour(ip: str, dial: Dial) -> dict[str, Any]:
    """Mapping and filtering, as RFC 5780 finds them out."""
    port = await open_port((ip, PORT))
    seen = []
    for where in OBSERVERS:
        port.transport.sendto(b'{"what": "observe"}', where)
        answer = await port.get()
        assert answer is not None, f"no answer from {where}"
        seen.append(tuple(json.loads(answer[0])))
    port.transport.close()
    port = await open_port((ip, PORT + 7))
    port.transport.sendto(b'{"what": "filter"}', OBSERVERS[0])
    heard = set()
    while answer := await port.get():
        heard.add(tuple(json.loads(answer[0])))
    port.transport.close()
    tcp = []
    for where in OBSERVERS:
        reader, writer = await dial(PORT, where)
        await tell(writer, {"what": "observe"})
        tcp.append(tuple(json.loads(await reader.readline())))
        writer.close()
    return {
        "udp mapping": _dependence(*seen),
        "udp filtering": "endpoint-independent"
        if OBSERVERS[2] in heard
        else "address-dependent"
        if OBSERVERS[1] in heard
        else "address-and-port-dependent",
        "tcp mapping": _dependence(*tcp),
        "udp port kept": seen[0][1] == PORT,
        "tcp port kept": tcp[0][1] == PORT,
    }


def _dependence(first: Any, other_port: Any, other_ip: Any) -> str:
    if first == other_port == other_ip:
        return "endpoint-independent"
    return "address-dependent" if first == other_port else "address-and-port-dependent"


# -- punching holes -------------------------------------------------------------------------------------------


async def punch_udp(ip: str, name: str, room: str, number: int) -> dict[str, Any]:
    """Two meet at the relay, and send to each other until one hears the other."""
    port = await open_port((ip, number))
    request = {"what": "join", "name": name, "room": room}
    port.transport.sendto(json.dumps(request).encode(), OBSERVERS[0])
    heard = False
    while True:  # the other may have been introduced first, and its hello may come before what the relay says
        answer = await port.get(20)
        assert answer is not None, "the relay never introduced us"
        if answer[1] == OBSERVERS[0]:
            break
        heard = heard or answer[0].startswith(b"hello")
    peer = tuple(json.loads(answer[0]))
    for _ in range(10):
        port.transport.sendto(f"hello from {name}".encode(), peer)
        if answer := await port.get(0.2):
            heard = heard or answer[0].startswith(b"hello")
            peer = answer[1]
    port.transport.close()
    return {"punched": heard}


async def punch_tcp(
    ip: str, name: str, room: str, number: int, dial: Dial, listen: Listen
) -> dict[str, Any]:
    """Both dial each other at once, from the port at which they listen; either way will do."""
    ways: asyncio.Queue[tuple[str, Any, Any]] = asyncio.Queue()

    async def accepted(reader: Any, writer: Any) -> None:
        ways.put_nowait(("accepted", reader, writer))

    server = await listen(accepted, number)
    reader, writer = await dial(number, OBSERVERS[0])
    await tell(writer, {"what": "join", "name": name, "room": room})
    peer = tuple(json.loads(await asyncio.wait_for(reader.readline(), 20)))

    async def dialing() -> None:
        while True:
            try:
                ways.put_nowait(("dialed", *await asyncio.wait_for(dial(number, peer), 3)))
                return
            except (OSError, TimeoutError):
                await asyncio.sleep(0.05)

    task = asyncio.create_task(dialing())
    try:
        _, to_read, to_write = await asyncio.wait_for(ways.get(), 5)
        await tell(to_write, f"hello from {name}")
        said = json.loads(await asyncio.wait_for(to_read.readline(), 3))
        to_write.close()
        return {"punched": said.startswith("hello")}
    except (OSError, TimeoutError, ValueError):
        return {"punched": False}
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        server.close()
        writer.close()


# -- on a real kernel -----------------------------------------------------------------------------------------


def _socket(port: int) -> socket.socket:
    made = socket.socket()
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("0.0.0.0", port))
    return made


async def dial_really(port: int, remote: tuple[str, int]) -> tuple[asyncio.StreamReader, Any]:
    made = _socket(port)
    try:
        await asyncio.get_running_loop().sock_connect(made, remote)
    except BaseException:
        made.close()
        raise
    return await asyncio.open_connection(sock=made)


async def listen_really(accepted: Any, port: int) -> Any:
    return await asyncio.start_server(accepted, sock=_socket(port))


async def main(role: str, *arguments: str) -> None:
    match role:
        case "relay":
            await relay()
            print("ready", flush=True)
            await asyncio.Event().wait()
        case "behaviour":
            print(json.dumps(await behaviour("0.0.0.0", dial_really)))
        case "udp":
            name, room, number = arguments
            print(json.dumps(await punch_udp("0.0.0.0", name, room, int(number))))
        case "tcp":
            name, room, number = arguments
            more = int(number), dial_really, listen_really
            print(json.dumps(await punch_tcp("0.0.0.0", name, room, *more)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
