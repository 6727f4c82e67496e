"""Answers to E3.3."""

from __future__ import annotations

import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from libp2p_lab.security.noise import NoiseChannel
from libp2p_lab.security.noise_xx import CipherState
from tests.mutants import Mutant


class ByTheLibrary:
    """With the library's own class."""

    def __init__(self, send_key, receive_key):
        self.channel = NoiseChannel(CipherState(send_key), CipherState(receive_key))

    def seal(self, data):
        return bytes(self.channel.seal(data))

    def open(self, data):
        return list(self.first(data))

    def first(self, data):
        plaintexts = self.channel.open(data)
        if self.channel.failure is not None:
            raise self.channel.failure
        return plaintexts

    def end(self):
        if self.channel.holds_partial_message:
            raise ValueError("cut off")


class Small:
    """Right too; its parts are what the mutants replace."""

    most = 60_000
    order = "big"
    counted = 0  # what the length counts beside the ciphertext
    nonce_format = "<4xQ"
    step = 1

    def __init__(self, send_key, receive_key):
        self.keys = {"send": send_key, "receive": receive_key}
        self.numbers = {"send": 0, "receive": 0}
        self.kept = bytearray()

    def crypt(self, way, data):
        nonce = struct.pack(self.nonce_format, self.numbers[way])
        cipher = ChaCha20Poly1305(self.keys[way])
        done = (cipher.encrypt if way == "send" else cipher.decrypt)(nonce, data, None)
        self.numbers[way] += self.step
        return done

    def seal(self, data):
        out = []
        for start in range(0, len(data), self.most):
            sealed = self.crypt("send", data[start : start + self.most])
            out.append((len(sealed) + self.counted).to_bytes(2, self.order) + sealed)
        return b"".join(out)

    def open(self, data):
        self.kept += data
        return list(self.complete())

    def complete(self):
        while len(self.kept) >= 2:
            length = int.from_bytes(self.kept[:2], "big")
            if len(self.kept) < 2 + length:
                return
            message = bytes(self.kept[2 : 2 + length])
            del self.kept[: 2 + length]
            try:
                yield self.opened(message)
            except InvalidTag:
                raise ValueError("does not open") from None

    def opened(self, message):
        return self.crypt("receive", message)

    def end(self):
        if self.kept:
            raise ValueError("cut off")


class LittleEndian(Small):
    order = "little"


class CountsWithoutTag(Small):
    counted = -16


class SwapsKeys(Small):
    def __init__(self, send_key, receive_key):
        super().__init__(receive_key, send_key)


class OneCounter(Small):
    """Sending and receiving share a count."""

    def crypt(self, way, data):
        done = super().crypt(way, data)
        self.numbers = dict.fromkeys(self.numbers, self.numbers[way])
        return done


class NeverCounts(Small):
    step = 0


class BigEndianNonce(Small):
    nonce_format = ">4xQ"


class OneLongMessage(Small):
    most = 1 << 30


class OffByOne(Small):
    most = 65535


class Impatient(Small):
    """Takes each piece for whole messages."""

    def open(self, data):
        found = super().open(data)
        if self.kept:
            raise ValueError("not whole")
        return found


class DropsTheRest(Small):
    """Forgets what was not whole."""

    def open(self, data):
        found = super().open(data)
        self.kept.clear()
        return found


class SkipsBad(Small):
    """What does not open is passed over."""

    def opened(self, message):
        try:
            return super().opened(message)
        except InvalidTag:
            return b"?"


class TriesAgain(Small):
    """Takes a message that is a few numbers off, too."""

    tries = (0, -1)

    def opened(self, message):
        now = self.numbers["receive"]
        for off in self.tries:
            self.numbers["receive"] = max(0, now + off)
            try:
                return self.crypt("receive", message)
            except InvalidTag:
                continue
        raise InvalidTag


class ToleratesReplay(TriesAgain):
    tries = (0, -1)


class ToleratesOrder(TriesAgain):
    """A window of numbers, each of which is taken once, as datagrams would need it."""

    def __init__(self, send_key, receive_key):
        super().__init__(send_key, receive_key)
        self.open_numbers = {0, 1, 2}

    def opened(self, message):
        for number in sorted(self.open_numbers):
            self.numbers["receive"] = number
            try:
                plaintext = self.crypt("receive", message)
            except InvalidTag:
                continue
            self.open_numbers = self.open_numbers - {number} | {max(self.open_numbers) + 1}
            return plaintext
        raise InvalidTag


class ToleratesLoss(TriesAgain):
    """Goes on with a later number, never with an earlier one."""

    tries = (0, 1)

    def complete(self):
        before = self.numbers["receive"]
        yield from super().complete()
        if self.numbers["receive"] == before + 4 and self.kept:
            raise ValueError


class TakesShort(Small):
    """A message shorter than its tag is an empty one."""

    def opened(self, message):
        return b"" if len(message) < 16 else super().opened(message)


class AlwaysBroken(Small):
    """No end is clean."""

    def end(self):
        raise ValueError("the end")


class NeverCutOff(Small):
    def end(self):
        pass


class LetsThrough(Small):
    """The library's error, not ours."""

    def complete(self):
        while len(self.kept) >= 2:
            length = int.from_bytes(self.kept[:2], "big")
            if len(self.kept) < 2 + length:
                return
            message = bytes(self.kept[2 : 2 + length])
            del self.kept[: 2 + length]
            yield self.crypt("receive", message)


ANOTHER = Small
MUTANTS = (
    Mutant(LittleEndian, "byte-order", "message 0"),
    Mutant(CountsWithoutTag, "length"),
    Mutant(SwapsKeys, "directions"),
    Mutant(OneCounter, "count", "reply 0 "),
    Mutant(NeverCounts, "count", "message 1"),
    Mutant(BigEndianNonce, "nonce", "message 1"),
    Mutant(OneLongMessage, "too-long"),
    Mutant(OffByOne, "too-long"),
    Mutant(Impatient, "pieces", "1 bytes at a time"),
    Mutant(DropsTheRest, "pieces"),
    Mutant(SkipsBad, "flip", "turned over"),
    Mutant(LetsThrough, "flip", "InvalidTag"),
    Mutant(ToleratesReplay, "replay", "comes twice"),
    Mutant(ToleratesOrder, "reorder", "before the second"),
    Mutant(ToleratesLoss, "lost", "is missing"),
    Mutant(TakesShort, "short"),
    Mutant(AlwaysBroken, "end"),
    Mutant(NeverCutOff, "truncated", "nobody minded"),
)
