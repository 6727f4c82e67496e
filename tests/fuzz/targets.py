"""One function for each decoder and core. It takes any bytes; only a typed error may come out of what it calls.

A decoder whose input was taken must encode it again to something that decodes to the same. A core must give the same
whether its input comes whole or in pieces.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from libp2p_lab.content import bitswap_messages, mdns_records, rendezvous_messages
from libp2p_lab.content.cid import CID, Codec
from libp2p_lab.content.dag import parts_of, size_of
from libp2p_lab.errors import (
    HandshakeFailed,
    LimitExceeded,
    LocalError,
    MalformedMessage,
    NegotiationError,
    RemoteError,
)
from libp2p_lab.host.fetch import FetchRequest, FetchResponse
from libp2p_lab.host.identify import IdentifyMessage
from libp2p_lab.host.webrtc_messages import Message as WebRtcMessage
from libp2p_lab.host.webrtc_messages import MessageReader
from libp2p_lab.host.webrtc_streams import BINARY, CONTROL, WebRtcStreams
from libp2p_lab.identity import Envelope, Multiaddr, PeerId, PeerRecord, PublicKey
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing import YamuxSession, mplex_frames, yamux_frames
from libp2p_lab.multiplexing.mplex import MplexSession
from libp2p_lab.multiplexing.muxer import (
    DataReceived,
    MuxerSession,
    SessionFailed,
    StreamOpened,
)
from libp2p_lab.nat import (
    autonat_messages,
    autonat_v1,
    dcutr_messages,
    nat_pmp_messages,
    pcp_messages,
    relay_messages,
)
from libp2p_lab.negotiation.multistream import Initiator, Line, Responder, decode_list
from libp2p_lab.pubsub.pubsub_messages import RPC, Message
from libp2p_lab.routing.kad_messages import KadMessage
from libp2p_lab.security.noise import HandshakePayload, NoiseChannel
from libp2p_lab.security.noise_xx import CipherState, NoiseHandshake
from libp2p_lab.security.plaintext import Exchange
from libp2p_lab.security.private_network import decode_swarm_key
from libp2p_lab.security.tls_certificate import SignedKey, verify_certificate
from libp2p_lab.wire import multibase, multihash, protobuf, varint

Target = Callable[[bytes], None]
REFUSED = (RemoteError, LimitExceeded)
NOW = 1_700_000_000.0


def decoder(decode: Callable[[bytes], object], encode: Callable[[object], bytes]) -> Target:
    """A target: what is taken survives a round trip."""

    def target(data: bytes) -> None:
        try:
            value = decode(data)
        except REFUSED:
            return
        assert decode(encode(value)) == value

    return target


def encode_it(value: object) -> bytes:
    return value.encode()


def without_length(value: object) -> bytes:
    encoded = value.encode()
    return encoded[varint.decode(encoded)[1] :]


def _list(value: object) -> bytes:
    return b"".join(Line(protocol).encode() for protocol in value)


def text(parse: Callable[[str], object]) -> Target:
    """A target that takes text: bad text is the caller's fault."""

    def target(data: bytes) -> None:
        try:
            parse(data.decode("utf-8", "surrogateescape"))
        except (LocalError, *REFUSED):
            return

    return target


def protobuf_fields(data: bytes) -> None:
    try:
        total = sum(
            len(value) if isinstance(value, bytes) else 1
            for _, _, value in protobuf.read_fields(data)
        )
    except REFUSED:
        return
    assert total <= len(data)


def varints(data: bytes) -> None:
    try:
        value, end = varint.decode(data)
    except REFUSED:
        return
    assert varint.encode(value) == data[:end]


def multihashes(data: bytes) -> None:
    try:
        multihash.decode(data)
    except REFUSED:
        return


def peer_records(data: bytes) -> None:
    try:
        PeerRecord.open(data)
    except REFUSED:
        return


def mdns_announcements(data: bytes) -> None:
    """What is believed of it can be announced again, if it is anything."""
    try:
        who, addrs = mdns_records.read_announcement([data])
    except REFUSED:
        return
    again = mdns_records.announcement(who, addrs)
    assert len(addrs) <= Limits().mdns_addrs
    if again:
        read = mdns_records.read_announcement([mdns_records.encode_txt(again)])
        assert read == (who, tuple(addr.without_peer() for addr in again))


def noise_handshake(data: bytes) -> None:
    """The first byte says whose turn it is, the rest is what the other side sends."""
    keys = [X25519PrivateKey.from_private_bytes(bytes((n,)) * 32) for n in range(1, 5)]
    initiator = NoiseHandshake(is_initiator=True, static=keys[0], ephemeral=keys[1])
    responder = NoiseHandshake(is_initiator=False, static=keys[2], ephemeral=keys[3])
    sides = (initiator, responder)
    turn = data[0] % 3 if data else 0
    for index in range(turn):
        sides[1 - index % 2].read_message(sides[index % 2].write_message().encode())
    try:
        message = sides[1 - turn % 2].read_message(data[1:])
    except HandshakeFailed:
        return
    assert message.encode() == data[1:]


def noise_channel(data: bytes) -> None:
    def run(pieces: list[bytes]) -> object:
        channel = NoiseChannel(CipherState(bytes(32)), CipherState(bytes(32)))
        found = []
        try:
            for piece in pieces:
                found += channel.open(piece)
        except REFUSED as error:
            return found, str(error)
        return found, str(channel.failure or channel.holds_partial_message)

    assert run([data]) == run(cut(data))


def cut(data: bytes) -> list[bytes]:
    """Pieces whose sizes come from the data itself."""
    pieces, position = [], 0
    while position < len(data):
        size = 1 + data[position] % 13
        pieces.append(data[position : position + size])
        position += size
    return pieces


FEW = Limits(yamux_accept_backlog=4, yamux_max_streams=6, yamux_max_queued_replies=8)
LITTLE = replace(FEW, mplex_stream_buffer=64, mplex_connection_buffer=256)


def session(make: Callable[[Limits], MuxerSession]) -> Target:
    """A muxer's core: the same whole and in pieces; and then with streams that are answered, read and dropped."""

    def run(pieces: list[bytes]) -> object:
        core = make(FEW)
        core.send(core.open_stream(), b"ours")
        core.data_to_send()
        data: dict[int, bytes] = {}
        told: list[object] = []
        for piece in pieces:
            for event in core.receive_data(piece, 1.0):
                match event:
                    case DataReceived(stream_id, part):
                        data[stream_id] = data.get(stream_id, b"") + part
                    case StreamOpened(stream_id):
                        told.append(event)
                    case SessionFailed(error):
                        told.append(str(error))
                    case _:
                        told.append(event)
        return told, data, core.data_to_send(1 << 20), core.has_data_to_send()

    def target(data: bytes) -> None:
        assert run([data]) == run(cut(data))
        core = make(LITTLE)
        for piece in cut(data):
            for event in core.receive_data(piece, 1.0):
                match event:
                    case StreamOpened(stream_id):
                        core.accept(stream_id)
                        core.send(stream_id, b"answer")
                    case DataReceived(stream_id, part):
                        core.consumed(stream_id, len(part), 1.0)
                        if part[:1] == b"r":
                            core.reset(stream_id)
                        elif part[:1] == b"s":
                            core.stop_reading(stream_id)
                            core.close_write(stream_id)
                    case _:
                        pass
            core.data_to_send()

    return target


def vouchers(data: bytes) -> None:
    """Whatever opens was signed by the relay that it speaks of."""
    try:
        voucher = relay_messages.Voucher.open(data)
    except REFUSED:
        return
    assert voucher.relay == PeerId.from_public_key(Envelope.decode(data).public_key)


def webrtc_reader(data: bytes) -> None:
    def run(pieces: list[bytes]) -> object:
        reader = MessageReader()
        found: list[object] = []
        try:
            for piece in pieces:
                found += reader.feed(piece)
        except REFUSED as error:
            return type(error)  # what came before it in the same piece is lost with the connection
        return found

    assert run([data]) == run(cut(data))


def webrtc_streams(data: bytes) -> None:
    """Of each message the first byte says on which channel, the second what it is and how long."""
    core = WebRtcStreams(is_dialer=False, limits=Limits(webrtc_streams=4))
    core.send(core.open_stream(), b"ours")
    while len(data) >= 2:
        on, kind = data[0], data[1]
        piece, data = data[2 : 2 + (kind >> 2)], data[2 + (kind >> 2) :]
        protocol = (CONTROL, BINARY, BINARY, 51)[kind % 4]
        stream_id = on % 8
        for event in core.receive(stream_id, protocol, piece):
            match event:
                case StreamOpened(stream_id):
                    core.send(stream_id, b"answer")
                case DataReceived(stream_id, part):
                    core.consumed(stream_id, len(part))
                    if part[:1] == b"r":
                        core.reset(stream_id)
                    elif part[:1] == b"s":
                        core.stop_reading(stream_id)
                        core.close_write(stream_id)
                case _:
                    pass
        if on & 0x80:
            core.channel_reset(on % 8)
        core.next_command()
        assert core.unread >= 0


def negotiation(data: bytes) -> None:
    """Lines are what newlines part; both sides take them until they refuse."""
    for side in (Initiator(["/a", "/b"]), Responder(["/a", "/b"])):
        try:
            for body in data.split(b"\n"):
                for line in side.receive(Line.decode(body + b"\n")):
                    line.encode()
        except (NegotiationError, *REFUSED):
            continue


def certificates(data: bytes) -> None:
    try:
        verify_certificate([data], NOW)
    except REFUSED:
        return


def autonat(data: bytes) -> None:
    """Addresses that do not parse keep their places, so such a request has no bytes of its own."""
    with contextlib.suppress(MalformedMessage):
        message = autonat_messages.decode(data)
        if None not in getattr(message, "addrs", ()):
            assert autonat_messages.decode(message.encode()) == message


def autonat_first(data: bytes) -> None:
    """Version 1. What does not parse is left out, so what is read once is read the same again."""
    with contextlib.suppress(MalformedMessage):
        message = autonat_v1.decode(data)
        assert autonat_v1.decode(message.encode()) == message


def blocks(data: bytes) -> None:
    """Bitswap: whatever a block says of itself, its name is that of its bytes."""
    try:
        message = bitswap_messages.Message.decode(data)
        assert bitswap_messages.Message.decode(message.encode()) == message
        for block in message.blocks:
            assert block.cid().matches(block.data)
    except REFUSED:
        return


def dag_node(data: bytes) -> None:
    with contextlib.suppress(*REFUSED):
        assert size_of(parts_of(CID.of(data, Codec.DAG_PB), data)) >= 0


TARGETS: dict[str, Target] = {
    "varint": varints,
    "protobuf": protobuf_fields,
    "multibase": text(multibase.decode),
    "multihash": multihashes,
    "multiaddr": decoder(Multiaddr, lambda value: bytes(Multiaddr(str(value)))),
    "multiaddr_text": text(Multiaddr),
    "peer_id": decoder(PeerId, bytes),
    "peer_id_text": text(PeerId.from_text),
    "cid": decoder(CID.decode, encode_it),
    "public_key": decoder(PublicKey.from_protobuf, lambda value: value.to_protobuf()),
    "envelope": decoder(Envelope.decode, encode_it),
    "peer_record": peer_records,
    "multistream_line": decoder(Line.decode, lambda value: value.text.encode() + b"\n"),
    "multistream_list": decoder(lambda data: decode_list(Line.decode(data + b"\n").text), _list),
    "negotiation": negotiation,
    "noise_payload": decoder(HandshakePayload.decode, encode_it),
    "noise_handshake": noise_handshake,
    "noise_channel": noise_channel,
    "tls_signed_key": decoder(SignedKey.decode, encode_it),
    "tls_certificate": certificates,
    "plaintext": decoder(Exchange.decode, without_length),
    "swarm_key": text(lambda value: decode_swarm_key(value.encode("utf-8", "surrogateescape"))),
    "yamux_frame": decoder(yamux_frames.decode, encode_it),
    "yamux": session(lambda limits: YamuxSession(is_dialer=False, limits=limits)),
    "yamux_dialer": session(lambda limits: YamuxSession(is_dialer=True, limits=limits)),
    "mplex_frame": decoder(lambda data: mplex_frames.decode(data)[0], encode_it),
    "mplex": session(lambda limits: MplexSession(is_dialer=False, limits=limits)),
    "webrtc_message": decoder(WebRtcMessage.decode, without_length),
    "webrtc_reader": webrtc_reader,
    "webrtc_streams": webrtc_streams,
    "identify": decoder(IdentifyMessage.decode, encode_it),
    "fetch_request": decoder(FetchRequest.decode, encode_it),
    "fetch_response": decoder(FetchResponse.decode, encode_it),
    "pubsub_message": decoder(Message.decode, encode_it),
    "pubsub_rpc": decoder(RPC.decode, encode_it),
    "kad": decoder(KadMessage.decode, encode_it),
    "mdns": mdns_announcements,
    "bitswap": blocks,
    "dag": dag_node,
    "rendezvous": decoder(rendezvous_messages.decode, encode_it),
    "autonat": autonat,
    "autonat_v1": autonat_first,
    "relay_hop": decoder(relay_messages.decode_hop, encode_it),
    "relay_stop": decoder(relay_messages.decode_stop, encode_it),
    "relay_voucher": vouchers,
    "dcutr": decoder(dcutr_messages.decode, encode_it),
    "nat_pmp": decoder(nat_pmp_messages.decode_response, encode_it),
    "pcp": decoder(pcp_messages.decode_response, encode_it),
}
