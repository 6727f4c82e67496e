"""Writes the corpus to begin with: a few right inputs for each target. `python -m tests.fuzz.seeds`

The files' names are the hashes of what they hold, as libFuzzer has them, so that running it again changes nothing.
"""

from __future__ import annotations

import hashlib

from libp2p_lab.content import bitswap_messages, rendezvous_messages
from libp2p_lab.content.bitswap_messages import Block, Presence, PresenceType, Want, WantType
from libp2p_lab.content.cid import CID
from libp2p_lab.content.dag import encode_node
from libp2p_lab.content.mdns_records import encode_txt
from libp2p_lab.content.rendezvous_messages import (
    Discover,
    DiscoverResponse,
    Register,
    RegisterResponse,
    Unregister,
)
from libp2p_lab.host.fetch import FetchRequest, FetchResponse, Status
from libp2p_lab.host.identify import IdentifyMessage
from libp2p_lab.host.webrtc_messages import Flag as WebRtcFlag
from libp2p_lab.host.webrtc_messages import Message as WebRtcMessage
from libp2p_lab.identity import KeyPair, Multiaddr, PeerId, PeerRecord
from libp2p_lab.multiplexing.mplex_frames import Flag, MplexFrame
from libp2p_lab.multiplexing.yamux_frames import DataFrame, GoAway, Ping, WindowUpdate
from libp2p_lab.nat import autonat_messages, autonat_v1
from libp2p_lab.nat.dcutr_messages import Connect, Sync
from libp2p_lab.nat.nat_pmp_messages import PmpAddressResponse, PmpMapResponse
from libp2p_lab.nat.pcp_messages import PcpAnnounceResponse, PcpMapResponse
from libp2p_lab.nat.relay_messages import (
    HopConnect,
    HopReserve,
    HopStatus,
    Limit,
    Reservation,
    StopConnect,
    StopStatus,
    Voucher,
)
from libp2p_lab.nat.relay_messages import Status as RelayStatus
from libp2p_lab.pubsub.pubsub_messages import RPC, ControlGraft, ControlIHave, Message, SubOpts
from libp2p_lab.security.noise import HandshakePayload, NoiseChannel
from libp2p_lab.security.noise_xx import CipherState
from libp2p_lab.security.plaintext import Exchange
from libp2p_lab.security.private_network import encode_swarm_key
from libp2p_lab.security.tls_certificate import SignedKey, make_certificate
from libp2p_lab.wire import varint
from tests.fuzz.__main__ import CORPUS
from tests.fuzz.targets import NOW
from tests.support import load_vectors

VECTOR_KEY = bytes.fromhex(
    "080112407e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d"
    "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"
)


def seeds() -> dict[str, list[bytes]]:
    """Inputs by target; the same each time."""
    name = CID.of(b"abc")
    key = KeyPair.from_protobuf(VECTOR_KEY)
    who = PeerId.from_public_key(key.public)
    addrs = [Multiaddr("/ip4/192.0.2.1/tcp/4001"), Multiaddr("/dns4/example.org/udp/1/quic-v1")]
    sealed = PeerRecord(who, 7, tuple(addrs)).seal(key).encode()
    public = key.public.to_protobuf()
    multiaddrs = [row for row in load_vectors("multiaddr.json")["vectors"] if row.get("bytes")]
    yamux = (
        DataFrame(1, 1, b"hello").encode()
        + WindowUpdate(1, 0, 9).encode()
        + Ping(1, 3).encode()
        + DataFrame(1, 4, b"").encode()
    )
    mplex = (
        MplexFrame(0, Flag(0), b"name").encode()
        + MplexFrame(0, Flag(2), b"hello").encode()
        + MplexFrame(0, Flag(4), b"").encode()
    )
    channel = NoiseChannel(CipherState(bytes(32)), CipherState(bytes(32)))
    rpc = RPC(
        (SubOpts(True, "topic"),),
        (Message("topic", b"data", bytes(who), bytes(8), b"sig", public),),
        (ControlIHave("topic", (b"id",)),),
        graft=(ControlGraft("topic"),),
    )
    identify = IdentifyMessage(
        public, tuple(map(bytes, addrs)), ("/a", "/b"), bytes(addrs[0]), "v", "agent", sealed
    )
    hello, fin = WebRtcMessage(data=b"hello").encode(), WebRtcMessage(WebRtcFlag.FIN).encode()
    webrtc = (  # a channel is opened, used, half closed and closed
        bytes((2, 12 << 2)) + bytes((3,)) + bytes(11)
        + bytes((2, len(hello) << 2 | 1)) + hello
        + bytes((2 | 0x80, len(fin) << 2 | 1)) + fin
    )  # fmt: skip
    return {
        "varint": [varint.encode(n) for n in (0, 127, 128, 300, (1 << 63) - 1)],
        "protobuf": [public, sealed, rpc.encode()],
        "multibase": [b"zabc", b"bafkq", b"f00ff", b"mAA", b"k51qzi", b"9123"],
        "multihash": [bytes.fromhex("1202aabb"), bytes(who)],
        "multiaddr": [bytes.fromhex(row["bytes"]) for row in multiaddrs[:40]],
        "multiaddr_text": [str(addr).encode() for addr in addrs] + [b"/ip6zone/x/ip6/::1/tcp/1"],
        "peer_id": [bytes(who)],
        "peer_id_text": [str(who).encode(), b"QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb"],
        "cid": [b"\x01\x72" + bytes(who), b"\x01\x55\x12\x20" + bytes(32)],
        "public_key": [public],
        "envelope": [sealed],
        "peer_record": [sealed],
        "multistream_line": [b"/multistream/1.0.0\n", b"na\n"],
        "multistream_list": [b"\x03/a\n\x03/b\n"],
        "negotiation": [b"/multistream/1.0.0\n/x\n/a", b"/multistream/1.0.0\nna\n/b", b"ls"],
        "noise_payload": [HandshakePayload(public, b"sig", ("/yamux/1.0.0",), (b"h",)).encode()],
        "noise_handshake": [b"\0" + bytes(range(32)), b"\1" + bytes(96), b"\2" + bytes(64)],
        "noise_channel": [bytes(channel.seal(b"hello") + channel.seal(b"again"))],
        "tls_signed_key": [SignedKey(public, b"sig").encode()],
        "tls_certificate": [make_certificate(key, NOW).der],
        "plaintext": [Exchange(bytes(who), public).encode()],
        "swarm_key": [encode_swarm_key(bytes(range(32)))],
        "yamux_frame": [DataFrame(1, 1, b"x").encode(), GoAway(1).encode()],
        "yamux": [yamux, WindowUpdate(2, 1, 0).encode(), yamux.replace(b"hello", b"reset")],
        "yamux_dialer": [yamux, WindowUpdate(2, 1, 0).encode() + WindowUpdate(1, 2, 5).encode()],
        "mplex_frame": [MplexFrame(3, Flag(2), b"x").encode()],
        "mplex": [mplex],
        "webrtc_message": [hello[1:], fin[1:], b""],
        "webrtc_reader": [hello + fin + hello],
        "webrtc_streams": [webrtc, webrtc.replace(b"hello", b"reset"), webrtc + webrtc],
        "identify": [identify.encode()],
        "fetch_request": [FetchRequest(b"key").encode()],
        "fetch_response": [FetchResponse(Status.OK, b"value").encode()],
        "pubsub_message": [rpc.publish[0].encode()],
        "pubsub_rpc": [rpc.encode()],
        "autonat": [
            autonat_messages.DialRequest(tuple(addrs), 7).encode(),
            autonat_messages.DialDataResponse(bytes(5)).encode(),
        ],
        "autonat_v1": [
            autonat_v1.Dial(who, tuple(addrs)).encode(),
            autonat_v1.DialResponse(autonat_v1.Status.OK, "here", addrs[0]).encode(),
        ],
        "relay_hop": [
            HopReserve().encode(),
            HopConnect(who).encode(),
            HopStatus(
                RelayStatus.OK, Reservation(2**31, (addrs[0],), b"voucher"), Limit(120, 1 << 17)
            ).encode(),
        ],
        "relay_stop": [
            StopConnect(who, Limit(120, 1 << 17)).encode(),
            StopStatus(RelayStatus.OK).encode(),
        ],
        "relay_voucher": [Voucher(who, who, 2**31).seal(key)],
        "dcutr": [Connect(tuple(addrs)).encode(), Sync().encode()],
        "mdns": [
            encode_txt([Multiaddr("/ip4/192.168.1.7/tcp/4001").with_peer(who)]),
            b"\x02=x" + encode_txt([Multiaddr("/dns/a.local/udp/1/quic-v1").with_peer(who)]),
        ],
        "bitswap": [
            bitswap_messages.Message(
                (Want(name, WantType.HAVE, send_dont_have=True), Want(name, cancel=True)),
                blocks=(Block.of(name, b"abc"),),
                presences=(Presence(name, PresenceType.DONT_HAVE),),
                pending_bytes=7,
            ).encode(),
            b"\x12\x03abc",
        ],
        "dag": [
            encode_node([(name, 3, 3), (name, 3, 3)]),
            bytes.fromhex("0a0a08021204") + b"abcd" + bytes.fromhex("1804"),
        ],
        "rendezvous": [
            Register("app", sealed, 7200).encode(),
            RegisterResponse(rendezvous_messages.Status.OK, "", 7200).encode(),
            Unregister("app").encode(),
            Discover("app", 5, b"cookie").encode(),
            DiscoverResponse(
                rendezvous_messages.Status.OK, "", (Register("app", b"record", 9),), b"cookie"
            ).encode(),
        ],
        "nat_pmp": [
            PmpAddressResponse(0, 77, "192.0.2.1").encode(),
            PmpMapResponse("tcp", 0, 77, 4001, 4001, 3600).encode(),
        ],
        "pcp": [
            PcpAnnounceResponse(0, 0, 77).encode(),
            PcpMapResponse(0, 3600, 77, bytes(12), "udp", 4001, 4001, "192.0.2.1").encode(),
        ],
        "kad": [b"\x08\x04\x12\x03key", b"\x08\x00\x12\x01k\x1a\x08\x0a\x01k\x12\x03val"],
    }


def write() -> None:
    for name, inputs in seeds().items():
        folder = CORPUS / name
        folder.mkdir(parents=True, exist_ok=True)
        for data in inputs:
            (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


if __name__ == "__main__":
    write()
