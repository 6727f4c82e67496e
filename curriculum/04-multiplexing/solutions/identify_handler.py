"""E4.6, the reference answer."""

from libp2p_lab.wire import varint
from libp2p_lab.wire.protobuf import bytes_field


async def identify(host, stream):
    """Answers /ipfs/id/1.0.0 on `stream`: who `host` is, in one message."""
    message = bytes_field(1, host.key.public.to_protobuf())
    for addr in host.addrs:
        message += bytes_field(2, bytes(addr.without_peer()))
    for protocol in host.protocols:
        message += bytes_field(3, protocol.encode())
    message += bytes_field(4, bytes(stream.connection.remote_addr))
    message += bytes_field(5, b"ipfs/0.1.0")
    message += bytes_field(6, b"my-own-peer/0.1.0")
    await stream.write(varint.encode(len(message)) + message)
    await stream.close_write()


answer = identify
