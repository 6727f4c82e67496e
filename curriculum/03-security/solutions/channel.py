"""E3.3, the reference answer."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

MOST = 65535 - 16  # bytes of plaintext in one message


def nonce(number):
    return bytes(4) + number.to_bytes(8, "little")


class Channel:
    """What follows the handshake: plaintexts in, bytes for the wire out, and the reverse."""

    def __init__(self, send_key, receive_key):
        self.sending, self.receiving = ChaCha20Poly1305(send_key), ChaCha20Poly1305(receive_key)
        self.sent = self.received = 0
        self.rest = b""  # of a message that is not whole

    def seal(self, data):
        """The bytes to send for `data`."""
        out = b""
        for start in range(0, len(data), MOST):
            sealed = self.sending.encrypt(nonce(self.sent), data[start : start + MOST], b"")
            self.sent += 1
            out += len(sealed).to_bytes(2, "big") + sealed
        return out

    def open(self, data):
        """The plaintexts that are complete."""
        self.rest += data
        plaintexts = []
        while len(self.rest) >= 2:
            end = 2 + int.from_bytes(self.rest[:2], "big")
            if end < 2 + 16:
                raise ValueError("a message shorter than its tag")
            if len(self.rest) < end:
                break
            sealed, self.rest = self.rest[2:end], self.rest[end:]
            try:
                plaintexts.append(self.receiving.decrypt(nonce(self.received), sealed, b""))
            except InvalidTag:
                raise ValueError(f"message {self.received} does not open") from None
            self.received += 1
        return plaintexts

    def end(self):
        """The stream has ended."""
        if self.rest:
            raise ValueError("in the middle of a message")


answer = Channel
