from __future__ import annotations

import ipaddress

from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.wire.multibase import base58_decode, base58_encode
from tests.mutants import Mutant

IP4, IP6, NAME, PORT, PEER = range(5)
TABLE = [
    ("ip4", 4, 4, IP4),
    ("ip6", 41, 16, IP6),
    ("dns4", 54, -1, NAME),
    ("tcp", 6, 2, PORT),
    ("udp", 273, 2, PORT),
    ("quic-v1", 461, 0, None),
    ("ws", 477, 0, None),
    ("p2p", 421, -1, PEER),
    ("p2p-circuit", 290, 0, None),
]


class Codec:
    """A right answer, with one method for each step, so that each can be got wrong alone."""

    def number(self, value):
        head, rest = value % 128, value // 128
        return bytes([head]) if not rest else bytes([head + 128]) + self.number(rest)

    def take_number(self, data):
        value = 0
        for position, byte in enumerate(data[:9]):
            value |= (byte & 127) << 7 * position
            if byte < 128:
                if self.number(value) != data[: position + 1]:
                    raise ValueError("not the shortest form")
                return value, data[position + 1 :]
        raise ValueError("cut off")

    def pack(self, kind, text):
        if kind == IP4:
            return ipaddress.IPv4Address(text).packed
        if kind == IP6:
            return ipaddress.IPv6Address(text).packed
        if kind == PORT:
            return self.pack_port(text)
        if kind == PEER:
            value = base58_decode(text)
            if len(value) < 34:
                raise ValueError(text)
            return value
        return text.encode()

    def pack_port(self, text):
        if not 0 <= int(text) < 1 << 16:
            raise ValueError(text)
        return int(text).to_bytes(2)

    def unpack(self, kind, value):
        if kind in (IP4, IP6):
            return ipaddress.ip_address(value).compressed
        if kind == PORT:
            return str(value[0] << 8 | value[1])
        return base58_encode(value) if kind == PEER else value.decode()

    def row(self, column, wanted):
        for row in TABLE:
            if row[column] == wanted:
                return row
        raise ValueError(f"{wanted} is not in the table")

    def parts(self, text):
        if not text.startswith("/"):
            raise ValueError(text)
        words = iter(text[1:].split("/"))
        found = []
        for name in words:
            _, _, size, _ = self.row(0, name)
            value = next(words, None) if size else ""
            if value is None:
                raise ValueError(f"{name} needs a value")
            found.append((name, value))
        return found

    def text(self, parts):
        return "".join(f"/{name}/{value}".rstrip("/") for name, value in parts)

    def to_bytes(self, text):
        data = b""
        for name, value in self.parts(text):
            _, code, size, kind = self.row(0, name)
            data += self.code(code)
            if size:
                packed = self.pack(kind, value)
                data += (self.length(packed) if size < 0 else b"") + packed
        return data

    def code(self, code):
        return self.number(code)

    def length(self, packed):
        return self.number(len(packed))

    def to_text(self, data):
        if not data:
            raise ValueError("nothing")
        parts = []
        while data:
            code, data = self.take_number(data)
            name, _, size, kind = self.row(1, code)
            if size < 0:
                size, data = self.take_number(data)
            self.enough(data, size)
            parts.append((name, self.unpack(kind, data[:size]) if size else ""))
            data = data[size:]
        return self.text(parts)

    def enough(self, data, size):
        if len(data) < size:
            raise ValueError("cut off")

    def encapsulate(self, outer, inner):
        return outer + inner

    def decapsulate(self, addr, part):
        parts, wanted = self.parts(addr), self.parts(part)
        starts = range(len(parts) - len(wanted) + 1)
        found = [start for start in starts if parts[start : start + len(wanted)] == wanted]
        return self.text(parts[: found[-1]]) if found else addr


class OneByteCodes(Codec):
    def code(self, code):
        return code.to_bytes(2) if code > 127 else bytes([code])


class NoLengths(Codec):
    def length(self, packed):
        return b""


class WideLengths(Codec):
    def length(self, packed):
        return len(packed).to_bytes(2)


class LittlePorts(Codec):
    def pack_port(self, text):
        return int(text).to_bytes(2, "little")


class LettersOfPeers(Codec):
    def pack(self, kind, text):
        return text.encode() if kind == PEER else super().pack(kind, text)


class ShortLettersOfPeers(Codec):
    """The letters of the id, cut to the length of a real one."""

    def pack(self, kind, text):
        return text.encode()[:34] if kind == PEER else super().pack(kind, text)


class LettersOfAddresses(Codec):
    def pack(self, kind, text):
        return text.encode() if kind == IP4 else super().pack(kind, text)


class ZeroForNoValue(Codec):
    def to_bytes(self, text):
        data = super().to_bytes(text)
        return data + b"\0" if text.endswith(("/ws", "/quic-v1", "/p2p-circuit")) else data


class LongIp6(Codec):
    def unpack(self, kind, value):
        return ipaddress.ip_address(value).exploded if kind == IP6 else super().unpack(kind, value)


class SkipsTheUnknown(Codec):
    def parts(self, text):
        names = {row[0] for row in TABLE}
        if text.split("/")[1:2] and text.split("/")[1] not in names:
            return []
        return super().parts(text)


class GuessesTheUnknown(Codec):
    def row(self, column, wanted):
        try:
            return super().row(column, wanted)
        except ValueError:
            if column:
                return (str(wanted), wanted, 0, None)
            raise


class EmptyIsFine(Codec):
    def to_text(self, data):
        return super().to_text(data) if data else ""


class SlashIsOptional(Codec):
    def parts(self, text):
        return super().parts(text if not text or text.startswith("/") else f"/{text}")


class DefaultPort(Codec):
    def parts(self, text):
        return super().parts(f"{text}/80" if text.endswith("/tcp") else text)


class AnyPort(Codec):
    def pack_port(self, text):
        return (int(text) % 65536).to_bytes(2)


class Overflows(Codec):
    def pack_port(self, text):
        return int(text).to_bytes(2)


class TakesWhatIsThere(Codec):
    def enough(self, data, size):
        pass

    def unpack(self, kind, value):
        if kind in (IP4, IP6):
            value = value.ljust(4, b"\0")
        return super().unpack(kind, value)


class Indexes(Codec):
    def take_number(self, data):
        value = position = 0
        while data[position] > 127:
            value |= (data[position] & 127) << 7 * position
            position += 1
        return value | data[position] << 7 * position, data[position + 1 :]


class PaddedCodes(Codec):
    def take_number(self, data):
        value = 0
        for position, byte in enumerate(data[:9]):
            value |= (byte & 127) << 7 * position
            if byte < 128:
                return value, data[position + 1 :]
        raise ValueError("cut off")


class InnerFirst(Codec):
    def encapsulate(self, outer, inner):
        return inner + outer


class FirstOccurrence(Codec):
    def decapsulate(self, addr, part):
        return addr.partition(part)[0]


class ByLetters(Codec):
    def decapsulate(self, addr, part):
        return addr.rpartition(part)[0] if part in addr else addr


class ForgetsTheRest(Codec):
    def decapsulate(self, addr, part):
        parts, wanted = self.parts(addr), self.parts(part)
        return self.text([item for item in parts if item not in wanted])


class OnlyHashes(Codec):
    """Every id that it has seen had 34 bytes."""

    def length(self, packed):
        return b"\x22" if packed[:1] in (b"\x12", b"\x00") else super().length(packed)


class NoDecapsulate:
    to_bytes = to_text = encapsulate = lambda *_: b""


class EndlessWords(Codec):
    def parts(self, text):
        while text:
            text = text.strip()
        return []


def of_the_library(text):
    return Multiaddr(text).to_bytes()


ANOTHER = Codec
MUTANTS = (
    Mutant(OneByteCodes, "code", "in the code of /udp, which is 91 02"),
    Mutant(NoLengths, "length", "in the length of /dns4"),
    Mutant(WideLengths, "length"),
    Mutant(LittlePorts, "port", "which is 0f a1"),
    Mutant(LettersOfPeers, "length", "in the length of /p2p"),
    Mutant(ShortLettersOfPeers, "peer", "in the value of /p2p"),
    Mutant(LettersOfAddresses, "value", "which is 7f 00 00 01"),
    Mutant(ZeroForNoValue, "too-much", "after the end of /ws"),
    Mutant(LongIp6, "text"),
    Mutant(SkipsTheUnknown, "unknown-protocol", "carrier-pigeon"),
    Mutant(GuessesTheUnknown, "unknown-protocol", "05 01"),
    Mutant(EmptyIsFine, "no-address", "nothing is no address"),
    Mutant(SlashIsOptional, "no-address", "'ip4/127.0.0.1'"),
    Mutant(DefaultPort, "value-missing"),
    Mutant(AnyPort, "bad-value", "65536"),
    Mutant(Overflows, "bad-value", "OverflowError"),
    Mutant(TakesWhatIsThere, "truncated"),
    Mutant(Indexes, "truncated", "IndexError"),
    Mutant(PaddedCodes, "not-shortest", "84 00"),
    Mutant(InnerFirst, "encapsulate"),
    Mutant(FirstOccurrence, "decapsulate"),
    Mutant(ByLetters, "decapsulate", "/tcp/8"),
    Mutant(ForgetsTheRest, "decapsulate"),
    Mutant(OnlyHashes, "stranger"),
    Mutant(NoDecapsulate, "wrong-type", "missing: decapsulate"),
    Mutant(EndlessWords, "endless-loop"),
    Mutant(of_the_library, "wrong-type"),
)
