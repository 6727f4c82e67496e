"""What do bytes on a wire look like, before anybody gives them a meaning?

Read in this order:

1. `byte_stream`: the one interface between all layers, and reading messages with a length in front;
2. `varint`: numbers in as few bytes as they need;
3. `multibase`: bytes as text; base58 and base32 are everywhere in libp2p;
4. `multihash`: digests that name their function;
5. `protobuf`: the encoding of nearly every libp2p message, by hand.

Specs: https://github.com/multiformats/unsigned-varint, https://github.com/multiformats/multibase,
https://github.com/multiformats/multihash, https://protobuf.dev/programming-guides/encoding/

Left out: CIDs stand in the content chapter, multiaddrs in the identity chapter; of protobuf only
what libp2p's messages use (no groups, no maps, no packed numbers), since Google's library does the
rest.
"""

from libp2p_lab.wire.byte_stream import (
    ByteStream,
    read_exactly,
    read_message,
    read_varint,
    write_message,
)

__all__ = ["ByteStream", "read_exactly", "read_message", "read_varint", "write_message"]
