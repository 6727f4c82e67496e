from __future__ import annotations

from io import BytesIO

from libp2p_lab.wire import varint
from tests.mutants import Mutant


def frame(text):
    """By adding up."""
    body = b"%s\n" % text.encode()
    head, size = [], len(body)
    while size >= 128:
        head.append(size % 128 + 128)
        size //= 128
    return bytes([*head, size]) + body


def deframe(chunks):
    """Byte by byte, with a state machine."""
    size = shift = 0
    body = None
    for chunk in chunks:
        for byte in chunk:
            if body is None:
                size |= (byte & 127) << shift
                shift += 7
                if size > 1024 or shift > 63:
                    raise ValueError("too long")
                if byte < 128:
                    body = bytearray()
                    if size == 0:
                        raise ValueError("an empty line has a newline")
                continue
            body.append(byte)
            if len(body) == size:
                if body.pop() != 10:
                    raise ValueError("no newline")
                yield body.decode()
                size = shift = 0
                body = None
    if body is not None or shift:
        raise ValueError("cut off")


def no_newline(text):
    return varint.encode(len(text.encode())) + text.encode()


def uncounted(text):
    return varint.encode(len(text.encode())) + text.encode() + b"\n"


def counts_characters(text):
    return varint.encode(len(text) + 1) + text.encode() + b"\n"


def one_byte(text):
    return bytes([len(text.encode()) + 1]) + text.encode() + b"\n"


def modulo(text):
    return bytes([(len(text.encode()) + 1) % 256]) + text.encode() + b"\n"


def carriage_return(text):
    return varint.encode(len(text.encode()) + 2) + text.encode() + b"\r\n"


def at_the_end(chunks):
    return list(deframe(chunks))


def one_line_a_chunk(chunks):
    for chunk in chunks:
        size, start = varint.decode(chunk)
        yield chunk[start : start + size - 1].decode()


def one_line_at_a_time(chunks):
    buffer = b""
    for chunk in chunks:
        buffer += chunk
        if buffer and len(buffer) > buffer[0]:
            yield buffer[1 : buffer[0]].decode()
            buffer = buffer[buffer[0] + 1 :]


def by_newline(chunks):
    buffer = b""
    for chunk in chunks:
        buffer += chunk
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            yield line[1 if len(line) < 127 else 2 :].decode()


def forgets_the_rest(chunks):
    yield from (line for line in guarded(chunks) if line is not None)


def guarded(chunks):
    lines = deframe(chunks)
    while True:
        try:
            yield next(lines)
        except StopIteration:
            return
        except ValueError as problem:
            if str(problem) == "cut off":
                return
            raise


def any_last_byte(chunks):
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        while buffer:
            end = next((n for n, byte in enumerate(buffer[:9]) if byte < 128), None)
            if end is None:
                break
            size, start = varint.decode(bytes(buffer))
            if size > 1024:
                raise ValueError("too long")
            if len(buffer) < start + size:
                break
            yield buffer[start : start + size - 1].decode()
            del buffer[: start + size]
    if buffer:
        raise ValueError("cut off")


def believes(chunks):
    data = BytesIO()
    for chunk in chunks:
        data.write(chunk)
        buffer = data.getvalue()
        while buffer:
            end = next((n for n, byte in enumerate(buffer) if byte < 128), None)
            if end is None:
                break
            size = sum((byte & 127) << 7 * n for n, byte in enumerate(buffer[: end + 1]))
            if len(buffer) <= end + size:
                break
            if buffer[end + size] != 10:
                raise ValueError("no newline")
            yield buffer[end + 1 : end + size].decode()
            buffer = buffer[end + 1 + size :]
            data = BytesIO()
            data.write(buffer)
    if data.getvalue():
        raise ValueError("cut off")


def gives_bytes(chunks):
    for text in deframe(chunks):
        yield text.encode()


ANOTHER = (frame, deframe)
MUTANTS = (
    Mutant((no_newline, deframe), "no-newline"),
    Mutant((uncounted, deframe), "uncounted", "03 6e 61 0a"),
    Mutant((counts_characters, deframe), "characters"),
    Mutant((one_byte, deframe), "one-byte-length"),
    Mutant((modulo, deframe), "one-byte-length"),
    Mutant((carriage_return, deframe), "frame"),
    Mutant((frame, at_the_end), "waits-for-more"),
    Mutant((frame, one_line_a_chunk), "lines"),
    Mutant((frame, one_line_at_a_time), "lines"),
    Mutant((frame, by_newline), "splits-at-newline"),
    Mutant((frame, forgets_the_rest), "cut-off"),
    Mutant((frame, any_last_byte), "no-end"),
    Mutant((frame, believes), "unbounded"),
    Mutant((frame, gives_bytes), "wrong-type"),
    Mutant(frame, "wrong-type"),
)
