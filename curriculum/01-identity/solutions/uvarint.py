"""E1.2, the reference answer."""


def uvarint_encode(number):
    """The shortest bytes for a number from 0 to 2**63 - 1; ValueError for any other."""
    if not 0 <= number < 1 << 63:
        raise ValueError(f"{number} does not fit into nine bytes of seven bits")
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F)
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def uvarint_decode(data):
    """(number, size): the number at the beginning of `data`, and how many bytes it took."""
    number = 0
    for position, byte in enumerate(data[:9]):
        number |= (byte & 0x7F) << 7 * position
        if byte < 0x80:
            if byte == 0 and position > 0:
                raise ValueError("not the shortest form")
            return number, position + 1
    raise ValueError("cut off, or longer than nine bytes")


answer = (uvarint_encode, uvarint_decode)
