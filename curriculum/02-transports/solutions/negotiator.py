"""E2.3, the reference answer."""

HEADER = "/multistream/1.0.0"
LONGEST = 1024  # bytes, newline included


def frame(text):
    body = text.encode() + b"\n"
    size = len(body)
    return (bytes([size]) if size < 128 else bytes([size % 128 + 128, size // 128])) + body


async def read_exactly(stream, count):
    data = b""
    while len(data) < count:
        part = await stream.read(count - len(data))
        if not part:
            raise ValueError("the other side has hung up")
        data += part
    return data


async def read_line(stream):
    """One line, and not a byte more."""
    length = position = 0
    while True:
        byte = (await read_exactly(stream, 1))[0]
        length |= (byte & 0x7F) << 7 * position
        position += 1
        if byte < 0x80:
            break
        if position == 9:
            raise ValueError("a length that does not end")
    if length > LONGEST:
        raise ValueError(f"a line of {length} bytes")
    line = await read_exactly(stream, length)
    if not line.endswith(b"\n"):
        raise ValueError("a line without a newline")
    return line[:-1].decode()


class Negotiator:
    """multistream-select, both roles."""

    async def propose(self, stream, protocols):
        """The initiator."""
        await stream.write(frame(HEADER))
        await self.expect_header(stream)
        for protocol in protocols:
            await stream.write(frame(protocol))
            answer = await read_line(stream)
            if answer == protocol:
                return protocol
            if answer != "na":
                raise ValueError(f"{answer!r} is no answer")
        raise ValueError("nothing left to propose")

    async def respond(self, stream, protocols):
        """The responder."""
        await stream.write(frame(HEADER))
        await self.expect_header(stream)
        while True:
            proposal = await read_line(stream)
            if proposal in protocols:
                await stream.write(frame(proposal))
                return proposal
            await stream.write(frame("na"))

    async def expect_header(self, stream):
        if await read_line(stream) != HEADER:
            raise ValueError("this is not multistream-select")


answer = Negotiator
