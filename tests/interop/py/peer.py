"""A py-libp2p peer that is driven by lines of JSON, as its sibling libp2p_lab/foreign_js/peer.mjs.

It runs on trio, in a virtual environment of its own (requirements.txt): py-libp2p pins much, and the package is
called `libp2p` like go's wheel. Nothing of libp2p_lab is imported here.

The program ends with its stdin, so it never outlives its caller.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import random
import ssl
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import trio
from libp2p import new_host
from libp2p.abc import INetConn, INetStream
from libp2p.bitswap import BitswapClient
from libp2p.bitswap.cid import cid_to_text
from libp2p.bitswap.dag import MerkleDag
from libp2p.crypto import ecc, ed25519, rsa, secp256k1, x25519
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.serialization import deserialize_private_key
from libp2p.discovery.events.peerDiscovery import peerDiscovery
from libp2p.discovery.mdns import MDNSDiscovery
from libp2p.discovery.rendezvous.client import RendezvousClient
from libp2p.discovery.rendezvous.messages import create_discover_message
from libp2p.discovery.rendezvous.service import RendezvousService
from libp2p.host.ping import PingService
from libp2p.identity.identify.identify import ID as IDENTIFY
from libp2p.identity.identify.identify import parse_identify_response
from libp2p.identity.identify_push.identify_push import push_identify_to_peers
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.network.stream.exceptions import StreamEOF, StreamError, StreamReset
from libp2p.peer.envelope import consume_envelope
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.peer.peerstore import PeerStoreError
from libp2p.perf.perf_service import PerfService
from libp2p.pubsub.floodsub import FloodSub
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.records.validator import Validator
from libp2p.relay.circuit_v2.config import RelayConfig
from libp2p.relay.circuit_v2.protocol import CircuitV2Protocol
from libp2p.relay.circuit_v2.transport import CircuitV2Transport
from libp2p.security.insecure.transport import PLAINTEXT_PROTOCOL_ID, InsecureTransport
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.security.tls.transport import PROTOCOL_ID as TLS
from libp2p.security.tls.transport import TLSTransport
from libp2p.stream_muxer.mplex.mplex import MPLEX_PROTOCOL_ID, Mplex
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.tools.anyio_service import background_trio_service
from libp2p.transport.quic.exceptions import QUICStreamClosedError
from libp2p.utils.varint import encode_uvarint
from multiaddr import Multiaddr

ECHO = "/echo/1.0.0"
BLOCK = 64 * 1024
NOISE_BYTES = random.randbytes(1024 * 1024)  # what is sent is cut from this, never from the start

KEY_MAKERS: dict[str, Callable[[], KeyPair]] = {
    "ed25519": ed25519.create_new_key_pair,
    "secp256k1": secp256k1.create_new_key_pair,
    "rsa": rsa.create_new_key_pair,
    "ecdsa": lambda: ecc.create_new_key_pair("P-256"),
}
SECURITY: dict[str, Callable[[KeyPair], tuple[str, Any]]] = {
    "noise": lambda key: (
        NOISE,
        NoiseTransport(key, noise_privkey=x25519.create_new_key_pair().private_key),
    ),
    "tls": lambda key: (TLS, TLSTransport(key)),
    "plaintext": lambda key: (PLAINTEXT_PROTOCOL_ID, InsecureTransport(key)),
}
MUXERS = {"yamux": (YAMUX, Yamux), "mplex": (MPLEX_PROTOCOL_ID, Mplex)}


def say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def block(n: int, length: int) -> bytes:
    """The n-th block of what we send: no two neighbours alike, so that lost or swapped blocks show."""
    start = 1 + (n * 4099) % (len(NOISE_BYTES) - BLOCK - 1)
    return NOISE_BYTES[start : start + length]


async def send(stream: INetStream, size: int, digest: Any) -> None:
    for n, sent in enumerate(range(0, size, BLOCK)):
        piece = block(n, min(BLOCK, size - sent))
        digest.update(piece)
        await stream.write(piece)
    await stream.close_write()


async def read(stream: INetStream) -> bytes:
    """What came next; nothing at the end.

    An end over QUIC is told as a reset when the other side has stopped reading as well. Whether bytes are missing
    shows by their count and hash.
    """
    try:
        return await stream.read(BLOCK)
    except StreamEOF:
        return b""
    except StreamReset as error:
        if isinstance(error.__cause__, QUICStreamClosedError):
            return b""
        raise


async def receive(stream: INetStream, digest: Any) -> int:
    """Reads to the other side's half close and keeps nothing but the count and the hash."""
    count = 0
    while piece := await read(stream):
        count += len(piece)
        digest.update(piece)
    return count


async def serve_echo(stream: INetStream) -> None:
    with suppress(StreamError):  # over QUIC, what a handler raises would end the program
        while piece := await read(stream):
            await stream.write(piece)
        await stream.close()


async def echo_once(stream: INetStream, size: int) -> dict[str, Any]:
    sent, received = hashlib.sha256(), hashlib.sha256()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send, stream, size, sent)
        count = await receive(stream, received)
    await stream.close()
    return {"count": count, "sha256": received.hexdigest(), "sent_sha256": sent.hexdigest()}


def describe(connection: INetConn) -> dict[str, Any]:
    muxed = connection.muxed_conn
    return {
        "peer_id": str(muxed.peer_id),
        "remote_addr": next(map(str, connection.get_transport_addresses()), None),
        "direction": "outbound" if muxed.is_initiator else "inbound",
        "security": type(getattr(muxed, "secured_conn", None)).__name__,
        "muxer": type(muxed).__name__,
    }


def tls_contexts(
    key: str | None, cert: str | None
) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    """For /wss: a server's with this key and certificate (PEM), and a client's that trusts the same."""
    if key is None or cert is None:
        return None, None
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chain.pem"
        path.write_text(key + cert)
        server.load_cert_chain(path)
    return server, ssl.create_default_context(cadata=cert)


class Notify:
    """Tells of connections as they come and go."""

    async def connected(self, _network: Any, connection: INetConn) -> None:
        say({"event": "connection:open", **describe(connection)})

    async def disconnected(self, _network: Any, connection: INetConn) -> None:
        say({"event": "connection:close", **describe(connection)})

    async def opened_stream(self, _network: Any, _stream: Any) -> None: ...

    async def closed_stream(self, _network: Any, _stream: Any) -> None: ...

    async def listen(self, _network: Any, _addr: Any) -> None: ...

    async def listen_close(self, _network: Any, _addr: Any) -> None: ...


def found(info: Any) -> dict[str, Any] | None:
    if info is None:
        return None
    return {"peer_id": str(info.peer_id), "addrs": [str(addr) for addr in info.addrs]}


async def run_host(
    host: Any, addrs: list[Multiaddr], task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    async with host.run(listen_addrs=addrs):
        task_status.started()
        await trio.sleep_forever()


async def run_service(
    service: Any, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    async with background_trio_service(service):
        task_status.started()
        await trio.sleep_forever()


class Numbers(Validator):
    """The records of one namespace: /n/… holds a number in digits, and the highest is the best."""

    def validate(self, key: str, value: bytes) -> None:
        if not value.isdigit():
            raise ValueError(f"not a number: {value!r}")

    def select(self, key: str, values: list[bytes]) -> int:
        return max(range(len(values)), key=lambda index: int(values[index]))


def make_pubsub(host: Any, kind: str, options: dict[str, Any]) -> tuple[Any, Any]:
    """The router and the driver around it. Options: those of GossipSub, `graft_flood_threshold`, which it has as an
    attribute, and `strict_signing` of Pubsub."""
    strict, threshold = (
        options.pop("strict_signing", True),
        options.pop("graft_flood_threshold", 10),
    )
    if kind == "floodsub":
        router: Any = FloodSub(["/floodsub/1.0.0"])
    else:
        defaults = {"degree": 6, "degree_low": 4, "degree_high": 12, "heartbeat_interval": 1}
        router = GossipSub(**(defaults | options))
        router.graft_flood_threshold = threshold
    return router, Pubsub(host, router, strict_signing=strict)


class Peer:
    """The host and the commands, one method each."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._host: Any = None

    @property
    def host(self) -> Any:
        if self._host is None:
            raise RuntimeError("not started")
        return self._host

    async def version(self) -> dict[str, str]:
        python = f"Python {platform.python_version()}"
        return {"name": "py-libp2p", "version": version("libp2p"), "runtime": python}

    async def start(
        self,
        key_type: str = "ed25519",
        private_key: str | None = None,
        listen: list[str] | None = None,
        security: list[str] | None = None,
        muxers: list[str] | None = None,
        tls_key: str | None = None,
        tls_cert: str | None = None,
        swarm_key: str | None = None,
        pubsub: str | None = None,
        pubsub_options: dict[str, Any] | None = None,
        dht: bool = False,
        bitswap: bool = False,
        relay: dict[str, Any] | None = None,
        circuit: bool = False,
        calls: bool = False,
        rendezvous: bool = False,
    ) -> dict[str, Any]:
        if private_key is None:
            key = KEY_MAKERS[key_type]()
        else:
            private = deserialize_private_key(bytes.fromhex(private_key))
            key = KeyPair(private, private.get_public_key())
        addrs = [Multiaddr(text) for text in listen or ["/ip4/127.0.0.1/tcp/0"]]
        server, client = tls_contexts(tls_key, tls_cert)
        host = new_host(
            tls_server_config=server,
            tls_client_config=client,
            psk=None if swarm_key is None else swarm_key.split()[-1],
            key_pair=key,
            sec_opt=dict(SECURITY[name](key) for name in security or ["noise"]),
            muxer_opt=dict(MUXERS[name] for name in muxers or ["yamux"]),
            listen_addrs=addrs,
        )
        host.get_network().register_notifee(Notify())
        host.set_stream_handler(ECHO, serve_echo)
        perf = PerfService(host)
        await perf.start()
        services: list[Any] = []
        if pubsub is not None:
            self._router, self._pubsub = make_pubsub(host, pubsub, pubsub_options or {})
            self._topics: dict[str, trio.CancelScope] = {}
            services += [self._pubsub] + [self._router] * (pubsub == "gossipsub")
        if dht:
            self._dht = KadDHT(host, DHTMode.SERVER)
            self._dht.register_validator("n", Numbers())
            services.append(self._dht)
        if bitswap:
            client = BitswapClient(host)
            client.set_nursery(self._nursery)
            await client.start()
            self._dag = MerkleDag(client)
        if relay is not None:
            services.append(CircuitV2Protocol(host, allow_hop=True))
        if circuit:
            protocol = CircuitV2Protocol(host)
            services.append(protocol)
            self._circuit = CircuitV2Transport(host, protocol, RelayConfig())
        await self._nursery.start(run_host, host, addrs)
        for service in services:
            await self._nursery.start(run_service, service)
        if rendezvous:
            RendezvousService(host)
        if calls:  # out to the local network, by mDNS; whom it finds is told as events "discovered"
            peerDiscovery.register_peer_discovered_handler(
                lambda info: say({"event": "discovered", **(found(info) or {})})
            )
            self._mdns = MDNSDiscovery(host.get_network(), host=host)
            self._mdns.start()
        self._host, self._perf = host, perf
        return {**await self.addrs(), "private_key": key.private_key.serialize().hex()}

    async def addrs(self) -> dict[str, Any]:
        return {
            "peer_id": str(self.host.get_id()),
            "addrs": [str(addr) for addr in self.host.get_addrs()],
            "protocols": sorted(filter(None, map(str, self.host.get_mux().get_protocols()))),
        }

    async def _reach(self, addr: str | None, peer_id: str | None) -> ID:
        if addr is None:
            return ID.from_string(str(peer_id))
        # py-libp2p 0.8.1 fails to dial /tls/ws and dials the same under its older name.
        info = info_from_p2p_addr(Multiaddr(addr.replace("/tls/ws", "/wss")))
        await self.host.connect(info)
        return info.peer_id

    async def dial(self, addr: str | None = None, peer_id: str | None = None) -> dict[str, Any]:
        remote = await self._reach(addr, peer_id)
        return describe(self.host.get_network().get_connections(remote)[0])

    async def dial_relayed(self, addr: str) -> dict[str, Any]:
        """By hand: a host's own dial knows nothing of relays."""
        return describe(await self._circuit.dial(Multiaddr(addr)))

    async def connections(self) -> list[dict[str, Any]]:
        return [describe(connection) for connection in self.host.get_network().get_connections()]

    async def identify(self, peer_id: str) -> dict[str, Any]:
        """Asks anew: what the automatic run has read is only partly kept."""
        stream = await self.host.new_stream(ID.from_string(peer_id), [IDENTIFY])
        data = b""
        while piece := await read(stream):
            data += piece
        await stream.close()
        message = parse_identify_response(data)
        record = None
        if message.signedPeerRecord:
            _, peer_record = consume_envelope(message.signedPeerRecord, "libp2p-peer-record")
            record = {"seq": peer_record.seq, "addrs": [str(a) for a in peer_record.addrs]}
        return {
            "agent": message.agent_version,
            "protocol_version": message.protocol_version,
            "protocols": list(message.protocols),
            "listen_addrs": [str(Multiaddr(addr)) for addr in message.listen_addrs],
            "observed_addr": str(Multiaddr(message.observed_addr)),
            "signed_record": record,
            "framed": data.startswith(encode_uvarint(message.ByteSize())),
        }

    async def serve(self, protocol: str) -> None:
        """Serves one more protocol, by the echo, and tells whoever is connected: it does not by itself."""
        self.host.set_stream_handler(protocol, serve_echo)
        await push_identify_to_peers(self.host)

    async def known_protocols(self, peer_id: str) -> list[str]:
        """What a peer speaks as far as is known by now."""
        try:
            return list(self.host.get_peerstore().get_protocols(ID.from_string(peer_id)))
        except PeerStoreError:
            return []

    async def ping(self, addr: str | None = None, peer_id: str | None = None) -> dict[str, Any]:
        remote = await self._reach(addr, peer_id)
        times = await PingService(self.host).ping(remote, ping_amt=1)
        return {"milliseconds": times[0]}

    async def echo(
        self, size: int = 0, addr: str | None = None, peer_id: str | None = None
    ) -> dict[str, Any]:
        stream = await self.host.new_stream(await self._reach(addr, peer_id), [ECHO])
        return await echo_once(stream, size)

    async def streams(
        self,
        count: int,
        size: int = 1024,
        addr: str | None = None,
        peer_id: str | None = None,
    ) -> dict[str, int]:
        """Opens `count` streams before the first byte goes over any, then echoes over all at once."""
        remote = await self._reach(addr, peer_id)
        streams: list[INetStream] = []
        answers: list[dict[str, Any]] = []

        async def open_one() -> None:
            streams.append(await self.host.new_stream(remote, [ECHO]))

        async def echo_one(stream: INetStream) -> None:
            answers.append(await echo_once(stream, size))

        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(open_one)
        async with trio.open_nursery() as nursery:
            for stream in streams:
                nursery.start_soon(echo_one, stream)
        same = [a for a in answers if a["count"] == size and a["sha256"] == a["sent_sha256"]]
        return {"opened": len(streams), "echoed": len(same)}

    async def perf(
        self, upload: int, download: int, addr: str | None = None, peer_id: str | None = None
    ) -> dict[str, Any]:
        remote = await self._reach(addr, peer_id)
        target = Multiaddr(addr or f"/ip4/127.0.0.1/tcp/1/p2p/{remote}")  # only the id is used
        result: dict[str, Any] = {}
        async for report in self._perf.measure_performance(target, upload, download):
            if report["type"] == "final":
                result = {
                    "uploaded": report["upload_bytes"],
                    "downloaded": report["download_bytes"],
                    "seconds": report["time_seconds"],
                }
        return result

    async def negotiate(
        self, protocols: list[str], addr: str | None = None, peer_id: str | None = None
    ) -> str:
        stream = await self.host.new_stream(await self._reach(addr, peer_id), protocols)
        chosen = str(stream.get_protocol())
        await stream.reset()
        return chosen

    async def subscribe(self, topic: str) -> None:
        subscription = await self._pubsub.subscribe(topic)
        scope = self._topics[topic] = trio.CancelScope()

        async def read() -> None:
            with scope:
                async for message in subscription:
                    author = str(ID(message.from_id)) if message.from_id else None
                    told = {"topic": topic, "data": message.data.hex(), "author": author}
                    if author != str(self.host.get_id()):  # js does not tell a peer its own either
                        say({"event": "message", **told})

        self._nursery.start_soon(read)

    async def unsubscribe(self, topic: str) -> None:
        await self._pubsub.unsubscribe(topic)
        self._topics.pop(topic).cancel()

    async def publish(self, topic: str, data: str) -> None:
        await self._pubsub.publish(topic, bytes.fromhex(data))

    async def pubsub_peers(self) -> list[str]:
        return [str(peer) for peer in self._pubsub.peers]

    async def subscribers(self, topic: str) -> list[str]:
        return [str(peer) for peer in self._pubsub.peer_topics.get(topic, ())]

    async def mesh(self, topic: str) -> list[str]:
        return [str(peer) for peer in self._router.mesh.get(topic, ())]

    async def dht_join(self, addr: str | None = None, peer_id: str | None = None) -> str:
        """Connects, and puts the other into the routing table."""
        remote = await self._reach(addr, peer_id)
        if not await self._dht.add_peer(remote):
            raise RuntimeError(f"{remote} was not added to the routing table")
        return str(remote)

    async def find_peer(self, peer_id: str) -> dict[str, Any] | None:
        return found(await self._dht.find_peer(ID.from_string(peer_id)))

    async def closest_peers(self, key: str) -> list[str]:
        routing = self._dht.peer_routing
        return [str(p) for p in await routing.find_closest_peers_network(bytes.fromhex(key))]

    async def provide(self, multihash: str) -> bool:
        return await self._dht.provide(multihash)

    async def find_providers(self, multihash: str) -> list[dict[str, Any] | None]:
        return [found(info) for info in await self._dht.find_providers(multihash)]

    async def put_value(self, key: str, value: str) -> None:
        await self._dht.put_value(key, bytes.fromhex(value))

    async def get_value(self, key: str) -> str | None:
        value = await self._dht.get_value(key)
        return None if value is None else value.hex()

    async def rendezvous_register(self, addr: str, namespace: str, ttl: int) -> float:
        return await RendezvousClient(self.host, await self._reach(addr, None)).register(
            namespace, ttl
        )

    async def rendezvous_unregister(self, addr: str, namespace: str) -> None:
        await RendezvousClient(self.host, await self._reach(addr, None)).unregister(namespace)

    async def rendezvous_discover(
        self, addr: str, namespace: str, limit: int = 0, cookie: str = ""
    ) -> dict[str, Any]:
        """The answer as it was read, field by field."""
        client = RendezvousClient(self.host, await self._reach(addr, None))
        question = create_discover_message(namespace, limit, bytes.fromhex(cookie))
        answer = (await client._send_message(question)).discoverResponse
        return {
            "status": answer.status,
            "text": answer.statusText,
            "cookie": answer.cookie.hex(),
            "registrations": [
                {"ns": one.ns, "ttl": one.ttl, "record": one.peer.SerializeToString().hex()}
                for one in answer.registrations
            ],
        }

    async def add_file(self, path: str, chunk_size: int | None = None) -> str:
        """Cuts a file into blocks that Bitswap serves: its name."""
        return cid_to_text(await self._dag.add_file(path, chunk_size))

    async def fetch_file(self, cid: str, path: str) -> None:
        """Fetches a file from whoever has it."""
        data, _ = await self._dag.fetch_file(cid)
        await trio.Path(path).write_bytes(data)

    async def close_connection(self, peer_id: str) -> None:
        await self.host.disconnect(ID.from_string(peer_id))

    async def stop(self) -> None:
        if self._host is not None:
            await self._host.close()

    def command(self, name: str) -> Callable[..., Awaitable[Any]]:
        if name.startswith("_") or name in {"command", "host"} or not hasattr(Peer, name):
            raise NotImplementedError(f"py-libp2p has no {name}")
        found: Callable[..., Awaitable[Any]] = getattr(self, name)
        return found


def explain(error: BaseException) -> dict[str, Any]:
    if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        return explain(error.exceptions[0])  # a nursery's wrapping, not py-libp2p's
    inner = list(getattr(error, "exceptions", ())) or [error.__cause__]
    causes = [explain(cause) for cause in inner if cause is not None]
    return {"name": type(error).__name__, "message": str(error), "causes": causes}


async def answer(peer: Peer, request: dict[str, Any], done: trio.Event) -> None:
    number, name = request.pop("id"), request.pop("cmd")
    try:
        say({"id": number, "result": await peer.command(name)(**request)})
    except Exception as error:
        say({"id": number, "error": explain(error)})
    if name == "stop":
        done.set()


async def read_requests(peer: Peer, nursery: trio.Nursery, done: trio.Event) -> None:
    pending = b""
    async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as stdin:
        async for chunk in stdin:
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                nursery.start_soon(answer, peer, json.loads(line), done)
    done.set()


async def main() -> None:
    done = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read_requests, Peer(nursery), nursery, done)
        await done.wait()
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
