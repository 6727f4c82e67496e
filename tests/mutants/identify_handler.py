from __future__ import annotations

from libp2p_lab.host.pb import identify_pb2
from libp2p_lab.wire import varint
from libp2p_lab.wire.protobuf import bytes_field
from tests.mutants import Mutant


def message_of(host, stream):
    """By Google's protobuf."""
    return identify_pb2.Identify(
        publicKey=host.key.public.to_protobuf(),
        listenAddrs=[bytes(addr) for addr in host.addrs],
        protocols=host.protocols,
        observedAddr=bytes(stream.connection.remote_addr),
        protocolVersion="ipfs/0.1.0",
        agentVersion="another/1",
    )


async def say(stream, message):
    await stream.write_message(message.SerializeToString())


def but(change):
    """The right message, with a change."""

    async def identify(host, stream):
        message = message_of(host, stream)
        change(message, host, stream)
        await say(stream, message)

    return identify


async def another(host, stream):
    await say(stream, message_of(host, stream))


async def no_length(host, stream):
    await stream.write(message_of(host, stream).SerializeToString())


async def nothing(host, stream):
    pass


async def too_long(host, stream):
    message = message_of(host, stream)
    message.agentVersion = "x" * 9000
    await say(stream, message)


async def wrong_fields(host, stream):
    message = bytes_field(2, host.key.public.to_protobuf())
    await stream.write(varint.encode(len(message)) + message)


async def no_end(host, stream):
    await another(host, stream)
    await stream.read()


async def resets(host, stream):
    await another(host, stream)
    await stream.reset()


class Remembers:
    """Makes the message once."""

    def __init__(self):
        self.message = b""

    async def __call__(self, host, stream):
        self.message = self.message or message_of(host, stream)
        await say(stream, self.message)


def local_addr(message, host, stream):
    message.observedAddr = bytes(stream.connection.local_addr)


def as_text(message, host, stream):
    message.listenAddrs[:] = [str(addr).encode() for addr in host.addrs]


def first_only(message, host, stream):
    del message.listenAddrs[1:]


def private(message, host, stream):
    message.publicKey = host.key.to_protobuf()


def raw(message, host, stream):
    message.publicKey = host.key.public.raw


def less(message, host, stream):
    message.protocols[:] = ["/ipfs/ping/1.0.0"]


def nobody(message, host, stream):
    message.agentVersion = ""


ANOTHER = another
MUTANTS = (
    Mutant(nothing, "nothing"),
    Mutant(no_length, "no-length"),
    Mutant(too_long, "too-long"),
    Mutant(wrong_fields, "malformed", "field 1"),
    Mutant(but(private), "private-key"),
    Mutant(but(raw), "key"),
    Mutant(but(as_text), "text-addrs"),
    Mutant(but(first_only), "addrs", "/memory/"),
    Mutant(but(less), "protocols", "/ipfs/id/1.0.0"),
    Mutant(but(local_addr), "observed"),
    Mutant(but(nobody), "agent"),
    Mutant(Remembers(), "stale", "/lab/new/1.0.0"),
    Mutant(no_end, "no-end"),
    Mutant(resets, "broke-off"),
)
