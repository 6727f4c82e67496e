"""E2.2, the reference answer."""

from libp2p_lab.errors import MalformedMessage
from libp2p_lab.wire import varint

LONGEST = 1024  # bytes, newline included


def frame(text):
    """One line as bytes."""
    body = text.encode() + b"\n"
    return varint.encode(len(body)) + body


def deframe(chunks):
    """The text of each line, as soon as it is complete."""
    buffer = b""
    for chunk in chunks:
        buffer += chunk
        while (line := first_line(buffer)) is not None:
            text, used = line
            buffer = buffer[used:]
            yield text
    if buffer:
        raise ValueError("the last line is cut off")


def first_line(buffer):
    """(text, bytes used) of the line at the beginning; None if it is not complete."""
    end = next((n for n, byte in enumerate(buffer[:9]) if byte < 0x80), None)
    if end is None:
        if len(buffer) >= 9:
            raise ValueError("a length that does not end")
        return None
    try:
        length, start = varint.decode(buffer)
    except MalformedMessage as problem:
        raise ValueError(str(problem)) from problem
    if length > LONGEST:
        raise ValueError(f"a line of {length} bytes")
    body = buffer[start : start + length]
    if len(body) < length:
        return None
    if not body.endswith(b"\n"):
        raise ValueError("a line without a newline")
    return body[:-1].decode(), start + length


answer = (frame, deframe)
