"""Multibase: bytes as text, with a first character that says which alphabet was used.

    b afzaajaiaejc…      b = base32, lower case
    z 6MkhaXg…           z = base58btc
    f 00ff…              f = base16

Two ways of writing bytes hide behind the twenty-odd bases. Where the alphabet's size is a power of
two, every character stands for a fixed number of bits, and text can be read piece by piece.
Everywhere else (10, 36, 58) the bytes are one large number, written in that base; each zero byte in
front becomes one zero digit in front.

Misconception: base58 is not "base64 without the ugly characters". It is a number, so one changed
byte changes all digits before it, and its cost grows with the square of the length. It is for short
things: keys and ids.

Spec: https://github.com/multiformats/multibase
"""

from __future__ import annotations

from dataclasses import dataclass

from libp2p_lab.errors import LocalError

MAX_BIG_NUMBER_TEXT = (
    4096  # characters; reading a big number takes quadratic time, so its length is bounded
)

_DIGITS = "0123456789"
_LOWER = "abcdefghijklmnopqrstuvwxyz"
_UPPER = _LOWER.upper()
_HEX32 = _DIGITS + _LOWER[:22]
_RFC4648_32 = _LOWER + "234567"
_RFC4648_64 = _UPPER + _LOWER + _DIGITS
_BITCOIN = _DIGITS[1:] + _UPPER.replace("I", "").replace("O", "") + _LOWER.replace("l", "")
_FLICKR = _DIGITS[1:] + _LOWER.replace("l", "") + _UPPER.replace("I", "").replace("O", "")
_EMOJI = (
    "🚀🪐☄🛰🌌🌑🌒🌓🌔🌕🌖🌗🌘🌍🌏🌎🐉☀💻🖥💾💿😂❤😍🤣😊🙏💕😭😘👍😅👏😁🔥🥰💔💖💙😢🤔😆🙄💪😉☺👌🤗💜😔😎😇🌹🤦🎉💞✌✨🤷😱😌🌸🙌😋"
    "💗💚😏💛🙂💓🤩😄😀🖤😃💯🙈👇🎶😒🤭❣😜💋👀😪😑💥🙋😞😩😡🤪👊🥳😥🤤👉💃😳✋😚😝😴🌟😬🙃🍀🌷😻😓⭐✅🥺🌈😈🤘💦✔😣🏃💐☹🎊💘😠☝😕🌺🎂🌻😐🖕"
    "💝🙊😹🗣💫💀👑🎵🤞😛🔴😤🌼😫⚽🤙☕🏆🤫👈😮🙆🍻🍃🐶💁😲🌿🧡🎁⚡🌞🎈❌✊👋😰🤨😶🤝🚶💰🍓💢🤟🙁🚨💨🤬✈🎀🍺🤓😙💟🌱😖👶🥴▶➡❓💎💸⬇😨🌚🦋"
    "😷🕺⚠🙅😟😵👎🤲🤠🤧📌🔵💅🧐🐾🍒😗🤑🌊🤯🐷☎💧😯💆👆🎤🙇🍑❄🌴💣🐸💌📍🥀🤢👅💡💩👐📸👻🤐🤮🎼🥵🚩🍎🍊👼💍📣🥂"
)


@dataclass(frozen=True, slots=True)
class Base:
    """One row of the multibase table.

    Attributes:
        name: as in the table, "base58btc" say.
        prefix: the character in front.
        alphabet: the digits, from zero upwards.
        pad: pad with "=" to whole groups of bytes.
        any_case: reading accepts both cases.
    """

    name: str
    prefix: str
    alphabet: str
    pad: bool = False
    any_case: bool = False


BASES = (
    Base("base2", "0", "01"),
    Base("base8", "7", "01234567"),
    Base("base10", "9", _DIGITS),
    Base("base16", "f", _DIGITS + "abcdef", any_case=True),
    Base("base16upper", "F", _DIGITS + "ABCDEF", any_case=True),
    Base("base32hex", "v", _HEX32, any_case=True),
    Base("base32hexupper", "V", _HEX32.upper(), any_case=True),
    Base("base32hexpad", "t", _HEX32, pad=True, any_case=True),
    Base("base32hexpadupper", "T", _HEX32.upper(), pad=True, any_case=True),
    Base("base32", "b", _RFC4648_32, any_case=True),
    Base("base32upper", "B", _RFC4648_32.upper(), any_case=True),
    Base("base32pad", "c", _RFC4648_32, pad=True, any_case=True),
    Base("base32padupper", "C", _RFC4648_32.upper(), pad=True, any_case=True),
    Base("base32z", "h", "ybndrfg8ejkmcpqxot1uwisza345h769"),
    Base("base36", "k", _DIGITS + _LOWER, any_case=True),
    Base("base36upper", "K", _DIGITS + _UPPER, any_case=True),
    Base("base58btc", "z", _BITCOIN),
    Base("base58flickr", "Z", _FLICKR),
    Base("base64", "m", _RFC4648_64 + "+/"),
    Base("base64pad", "M", _RFC4648_64 + "+/", pad=True),
    Base("base64url", "u", _RFC4648_64 + "-_"),
    Base("base64urlpad", "U", _RFC4648_64 + "-_", pad=True),
    Base("base256emoji", "🚀", _EMOJI),
)


def _values(base: Base) -> dict[str, int]:
    values = {digit: value for value, digit in enumerate(base.alphabet)}
    if base.any_case:
        values |= {digit.swapcase(): value for digit, value in values.items()}
    return values


_BY_NAME = {base.name: base for base in BASES}
_BY_PREFIX = {base.prefix: base for base in BASES}
_VALUES = {base.name: _values(base) for base in BASES}


def encode(data: bytes, base: str = "base32") -> str:
    """`data` as text with its prefix.

    Args:
        data: any bytes.
        base: a name from `BASES`.

    Raises: `LocalError` if there is no such base.
    """
    found = _BY_NAME.get(base)
    if found is None:
        raise LocalError(f"no base is called {base!r}; there are {', '.join(_BY_NAME)}")
    return found.prefix + encode_digits(data, found)


def decode(text: str) -> bytes:
    """The bytes that `text` (with its prefix) stands for.

    Raises: `LocalError` if the prefix is unknown or a character does not belong.
    """
    base = _BY_PREFIX.get(text[:1])
    if base is None:
        raise LocalError(f"no multibase begins with {text[:1]!r}")
    return decode_digits(text[1:], base)


def encode_digits(data: bytes, base: Base) -> str:
    """`data` in the digits of `base`, without the prefix."""
    if len(base.alphabet) & (len(base.alphabet) - 1):
        return _encode_number(data, base.alphabet)
    return _encode_bits(data, base)


def decode_digits(text: str, base: Base) -> bytes:
    """The bytes behind digits of `base` without a prefix.

    Raises: `LocalError` if a character does not belong, or the length cannot be.
    """
    if len(base.alphabet) & (len(base.alphabet) - 1):
        return _decode_number(text, base)
    return _decode_bits(text, base)


def base58_encode(data: bytes) -> str:
    """`data` in Bitcoin's base58 without a prefix, as peer ids are usually written."""
    return _encode_number(data, _BITCOIN)


def base58_decode(text: str) -> bytes:
    """The bytes behind base58 without a prefix.

    Raises: `LocalError` if a character does not belong.
    """
    return _decode_number(text, _BY_NAME["base58btc"])


# -- alphabets whose size is a power of two: a fixed number of bits for each character -------------


def _encode_bits(data: bytes, base: Base) -> str:
    width = len(base.alphabet).bit_length() - 1
    digits: list[str] = []
    bits = held = 0  # `held` is the value of the `bits` bits that do not fill a digit yet
    for byte in data:
        held = held << 8 | byte
        bits += 8
        while bits >= width:
            bits -= width
            digits.append(base.alphabet[held >> bits])
            held &= (1 << bits) - 1
    if bits:
        digits.append(base.alphabet[held << width - bits])
    return "".join(digits) + "=" * (_padding(len(digits), width) if base.pad else 0)


def _decode_bits(text: str, base: Base) -> bytes:
    width = len(base.alphabet).bit_length() - 1
    digits = text.rstrip("=") if base.pad else text
    if base.pad and len(text) - len(digits) != _padding(len(digits), width):
        raise LocalError(f"wrong padding in {base.name}")
    values = _VALUES[base.name]
    decoded = bytearray()
    bits = held = 0  # `held` is the value of the `bits` bits that do not fill a byte yet
    for digit in digits:
        value = values.get(digit)
        if value is None:
            raise LocalError(f"{digit!r} is no digit of {base.name}")
        held = held << width | value
        bits += width
        if bits >= 8:
            bits -= 8
            decoded.append(held >> bits)
            held &= (1 << bits) - 1
    if bits >= width or held:
        raise LocalError(f"{base.name} text ends within a byte")
    return bytes(decoded)


def _padding(length: int, width: int) -> int:
    """How many "=" complete the last group: 8 characters in base32, 4 in base64."""
    return -length % (8 if width == 5 else 4)


# -- all other alphabets: one large number ---------------------------------------------------------


def _encode_number(data: bytes, alphabet: str) -> str:
    size = len(alphabet)
    chunk = size**10  # ten digits at a time: few divisions of the large number, many of small ones
    number = int.from_bytes(data)
    digits: list[str] = []
    while number:
        number, rest = divmod(number, chunk)
        for _ in range(10):
            rest, value = divmod(rest, size)
            digits.append(alphabet[value])
    text = "".join(reversed(digits)).lstrip(alphabet[0])
    return alphabet[0] * (len(data) - len(data.lstrip(b"\0"))) + text


def _decode_number(text: str, base: Base) -> bytes:
    if len(text) > MAX_BIG_NUMBER_TEXT:
        raise LocalError(
            f"{len(text)} characters of {base.name} are more than {MAX_BIG_NUMBER_TEXT}"
        )
    values, size = _VALUES[base.name], len(base.alphabet)
    number = 0
    for digit in text:
        value = values.get(digit)
        if value is None:
            raise LocalError(f"{digit!r} is no digit of {base.name}")
        number = number * size + value
    zeros = len(text) - len(text.lstrip(base.alphabet[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8)
