from __future__ import annotations

from tests.mutants import Mutant


def encode(number):
    """Recursion instead of a loop."""
    if not 0 <= number <= 2**63 - 1:
        raise ValueError(number)
    head, rest = number % 128, number // 128
    return bytes([head]) if not rest else bytes([head + 128]) + encode(rest)


def decode(data):
    """From the last byte to the first, and the shortest form by encoding again."""
    size = next((n for n, byte in enumerate(data[:9], 1) if byte < 128), 0)
    number = 0
    for byte in reversed(data[:size]):
        number = number * 128 + byte % 128
    if not size or encode(number) != data[:size]:
        raise ValueError(data)
    return number, size


def encode_nothing_for_zero(number):
    return encode(number) if number else b""


def encode_big_endian(number):
    groups = [byte & 127 for byte in encode(number)][::-1]
    return bytes([*(group | 128 for group in groups[:-1]), groups[-1]])


def encode_without_flags(number):
    return bytes(byte & 127 for byte in encode(number))


def encode_padded(number):
    right = encode(number)
    return right if len(right) == 1 else right[:-1] + bytes([right[-1] | 128, 0])


def encode_bytes(number):
    if number < 128:
        return bytes([number])
    return number.to_bytes((number.bit_length() + 7) // 8, "little")


def encode_anything(number):
    head, rest = number % 128, number // 128
    return bytes([head]) if rest in (0, -1) else bytes([head + 128]) + encode_anything(rest)


def encode_list(number):
    return list(encode(number))


def decode_unchecked(data):
    number = size = 0
    for size, byte in enumerate(data[:9], 1):
        number |= (byte & 127) << 7 * (size - 1)
        if byte < 128:
            break
    return number, size


def decode_padded(data):
    if not any(byte < 128 for byte in data[:9]):
        raise ValueError(data)
    return decode_unchecked(data)


def decode_all(data):
    number = 0
    for position, byte in enumerate(data):
        number |= (byte & 127) << 7 * position
    return number, len(data)


def decode_big_endian(data):
    number, size = 0, 0
    for byte in data:
        number, size = number << 7 | byte & 127, size + 1
        if byte < 128:
            break
    return number, size


def decode_wrong_size(data):
    number, size = decode(data)
    return number, max(size, 2)


def decode_long(data):
    number = 0
    for position, byte in enumerate(data):
        number |= (byte & 127) << 7 * position
        if byte < 128:
            if position and not byte:
                raise ValueError(data)
            return number, position + 1
    raise ValueError(data)


def decode_index(data):
    number, position = 0, 0
    while data[position] >= 128:
        number |= (data[position] & 127) << 7 * position
        position += 1
    return number | data[position] << 7 * position, position + 1


def decode_number_only(data):
    return decode(data)[0]


def decode_for_ever(data):
    number = shift = 0
    while data[0] >= 128:
        number |= (data[0] & 127) << shift
    return number | data[0], 1


ANOTHER = (encode, decode)
MUTANTS = (
    Mutant((encode_nothing_for_zero, decode), "zero", "encode_nothing_for_zero(0)"),
    Mutant((encode_big_endian, decode), "big-endian", "300"),
    Mutant((encode_without_flags, decode), "continuation", "byte 0 is the first"),
    Mutant((encode_padded, decode), "not-shortest"),
    Mutant((encode_bytes, decode), "groups"),
    Mutant((encode_anything, decode), "range", "was not refused"),
    Mutant((encode_list, decode), "wrong-type", "a list came back"),
    Mutant((encode, decode_unchecked), "truncated", "cut off after 0"),
    Mutant((encode, decode_padded), "not-shortest", "has a shorter form"),
    Mutant((encode, decode_all), "value"),
    Mutant((encode, decode_big_endian), "value", "is 300"),
    Mutant((encode, decode_wrong_size), "size"),
    Mutant((encode, decode_long), "too-long"),
    Mutant((encode, decode_index), "truncated", "IndexError"),
    Mutant((encode, decode_number_only), "wrong-type"),
    Mutant((encode, decode_for_ever), "endless-loop", "decode_for_ever"),
    Mutant(encode, "wrong-type", "two functions"),
)
