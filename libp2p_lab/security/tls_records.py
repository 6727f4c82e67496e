"""TLS's records, from outside: a header of five bytes, and a body.

    | type 1 | version 2 | length 2 | body: up to 2^14 + 256 |

    type 20  change cipher spec   a relic that only middle boxes look at
    type 21  alert                the end, or what went wrong
    type 22  handshake            in the clear: ClientHello and ServerHello
    type 23  application data     everything encrypted; what it really is stands inside

Specs: RFC 8446, section 5 and Spec: tls/tls.md#handshake-protocol
"""

from __future__ import annotations

from dataclasses import dataclass

from libp2p_lab.errors import ProtocolViolation

RECORD_HEADER = 5
MAX_PLAINTEXT = 1 << 14  # of one record
MAX_RECORD_BODY = MAX_PLAINTEXT + 256
OVERHEAD = RECORD_HEADER + 1 + 16  # header, the type inside, the tag
CONTENT_TYPES = {20: "change cipher spec", 21: "alert", 22: "handshake", 23: "application data"}


@dataclass(frozen=True, slots=True)
class TlsRecord:
    """One record, as sent.

    Attributes:
        record: header and body.
        plaintext: the application's bytes inside; b"" if TLS itself speaks in this record.
    """

    record: bytes
    plaintext: bytes = b""

    def encode(self) -> bytes:
        """The bytes on the wire."""
        return self.record


@dataclass(frozen=True, slots=True)
class TlsSecret:
    """A secret of one connection, as a line of the key log that Wireshark reads: told only to those who asked.

    Attributes:
        line: label, the ClientHello's random, the secret.
    """

    line: str


def record_length(data: bytes | memoryview) -> int:
    """How long a record is that begins with `data`, header included; 5 while the header is not whole.

    Raises: `ProtocolViolation` if it is no record.
    """
    if not data:
        return RECORD_HEADER
    if data[0] not in CONTENT_TYPES:
        raise ProtocolViolation(f"not TLS: there is no record of type {data[0]}")
    if len(data) < RECORD_HEADER:
        return RECORD_HEADER
    length = data[3] << 8 | data[4]
    if length > MAX_RECORD_BODY:
        raise ProtocolViolation(f"TLS record of {length} bytes: {MAX_RECORD_BODY} are the most")
    return RECORD_HEADER + length
