"""Chapter 03: who is at the other end, and who else can read this?

Read in this order:

    secure_channel.py   the interface: a raw stream in, a private one with a proven peer out
    noise_xx.py         the handshake, token by token, without libp2p in it
    noise.py            libp2p's identities inside the handshake, and the channel that follows
    tls_certificate.py  the certificate by which TLS (and QUIC) learn a peer's identity
    tls_records.py      what TLS looks like from outside
    tls_session.py      TLS 1.3 without I/O: records in, plaintexts out
    tls.py              libp2p's TLS on a stream
    plaintext.py        no security, for comparison
    private_network.py  a key for all: strangers understand nothing

Left out: IK and the other patterns (the spec has dropped them); secio (broken and withdrawn).

Spec pages: noise/README.md, tls/tls.md, plaintext/README.md, pnet/Private-Networks-PSK-V1.md
"""

from libp2p_lab.security.noise import Noise, NoiseChannel, NoiseMessage, NoiseStream
from libp2p_lab.security.noise_xx import CipherState, HandshakeMessage, NoiseHandshake
from libp2p_lab.security.plaintext import Plaintext, PlaintextStream
from libp2p_lab.security.private_network import (
    PrivateStream,
    decode_swarm_key,
    encode_swarm_key,
    load_swarm_key,
)
from libp2p_lab.security.secure_channel import SecureChannel, SecureConnection
from libp2p_lab.security.tls import TLS, TlsStream

__all__ = [
    "TLS",
    "CipherState",
    "HandshakeMessage",
    "Noise",
    "NoiseChannel",
    "NoiseHandshake",
    "NoiseMessage",
    "NoiseStream",
    "Plaintext",
    "PlaintextStream",
    "PrivateStream",
    "SecureChannel",
    "SecureConnection",
    "TlsStream",
    "decode_swarm_key",
    "encode_swarm_key",
    "load_swarm_key",
]
