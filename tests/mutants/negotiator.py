from __future__ import annotations

import asyncio

from libp2p_lab.negotiation.multistream import Initiator, Line, Responder
from libp2p_lab.wire.byte_stream import read_exactly, read_varint
from tests.mutants import Mutant

HEADER = "/multistream/1.0.0"


class ByCore:
    """The library's core, with a driver that speaks one line at a time."""

    async def drive(self, stream, side):
        for line in side.start()[:1]:
            await stream.write(line.encode())
        rest = side.start()[1:]
        while True:
            answers = side.receive(await self.line(stream))
            for line in [*rest, *answers]:
                await stream.write(line.encode())
            rest = []
            if side.state.name == "AGREED":
                return side.protocol

    async def line(self, stream):
        length = await read_varint(stream)
        if length > 1024:
            raise ValueError("too long")
        return Line.decode(await read_exactly(stream, length))

    async def propose(self, stream, protocols):
        return await self.drive(stream, Initiator(protocols))

    async def respond(self, stream, protocols):
        return await self.drive(stream, Responder(protocols))


class Base:
    """Right, and easily spoiled: each mutant replaces a method or an attribute."""

    header = HEADER
    longest = 1024

    def encode(self, text):
        return Line(text).encode()

    async def say(self, stream, text):
        await stream.write(self.encode(text))

    async def exactly(self, stream, count):
        data = b""
        while len(data) < count:
            part = await stream.read(count - len(data))
            if not part:
                raise ValueError("the end")
            data += part
        return data

    async def length(self, stream):
        number = shift = 0
        while shift < 63:
            byte = (await self.exactly(stream, 1))[0]
            number |= (byte & 127) << shift
            if byte < 128:
                return number
            shift += 7
        raise ValueError("no end")

    async def hear(self, stream):
        length = await self.length(stream)
        if length > self.longest:
            raise ValueError("too long")
        body = await self.exactly(stream, length)
        if body[-1:] != b"\n":
            raise ValueError("no newline")
        return body[:-1].decode()

    async def greet(self, stream):
        await self.say(stream, self.header)
        if await self.hear(stream) != self.header:
            raise ValueError("no header")

    def means_yes(self, answer, protocol):
        return answer == protocol

    def find(self, proposal, protocols):
        return proposal if proposal in protocols else None

    async def propose(self, stream, protocols):
        await self.greet(stream)
        for protocol in protocols:
            await self.say(stream, protocol)
            answer = await self.hear(stream)
            if self.means_yes(answer, protocol):
                return protocol
            if answer != "na":
                raise ValueError("no answer")
        raise ValueError("nothing left")

    async def respond(self, stream, protocols):
        await self.greet(stream)
        while (found := self.find(proposal := await self.hear(stream), protocols)) is None:
            await self.say(stream, "na")
        await self.say(stream, proposal)
        return found


class NoHeader(Base):
    async def greet(self, stream):
        if await self.hear(stream) != self.header:
            raise ValueError("no header")


class Uncounted(Base):
    def encode(self, text):
        return bytes([len(text)]) + text.encode() + b"\n"


class SaysNo(Base):
    async def respond(self, stream, protocols):
        await self.greet(stream)
        while (proposal := await self.hear(stream)) not in protocols:
            await self.say(stream, "no")
        await self.say(stream, proposal)
        return proposal


class SaysThanks(Base):
    async def propose(self, stream, protocols):
        agreed = await super().propose(stream, protocols)
        await self.say(stream, agreed)
        return agreed


class WaitsForHeader(Base):
    async def greet(self, stream):
        if await self.hear(stream) != self.header:
            raise ValueError("no header")
        await self.say(stream, self.header)


class ListensFirst(Base):
    async def propose(self, stream, protocols):
        await self.greet(stream)
        for protocol in protocols:
            answer = await self.hear(stream)
            await self.say(stream, protocol)
            if answer == protocol:
                return protocol
        raise ValueError("nothing left")


class Favourite(Base):
    async def respond(self, stream, protocols):
        await super().respond(stream, protocols)
        return protocols[0]


class ReadsAhead(Base):
    async def hear(self, stream):
        data = await stream.read(1024)
        if not data:
            raise ValueError("the end")
        return data[1 : data[0]].decode()


class ReadsAll(Base):
    async def exactly(self, stream, count):
        return (await stream.read())[:count]


class NeverGivesUp(Base):
    async def propose(self, stream, protocols):
        await self.greet(stream)
        for protocol in protocols:
            await self.say(stream, protocol)
            if await self.hear(stream) == protocol:
                break
        return protocol


class AnyHeader(Base):
    async def greet(self, stream):
        await self.say(stream, self.header)
        await self.hear(stream)


class AnyVersion(Base):
    async def greet(self, stream):
        await self.say(stream, self.header)
        if not (await self.hear(stream)).startswith("/multistream/"):
            raise ValueError("no header")


class Lenient(Base):
    def means_yes(self, answer, protocol):
        return answer.startswith(protocol)


class AnyAnswer(Base):
    def means_yes(self, answer, protocol):
        return answer != "na"


class NearEnough(Base):
    def find(self, proposal, protocols):
        return next((p for p in protocols if p.lower() == proposal.lower()), None)


class ByPrefix(Base):
    def find(self, proposal, protocols):
        return next((p for p in protocols if p.startswith(proposal)), None)


class Deaf(Base):
    async def exactly(self, stream, count):
        data = b""
        while len(data) < count:
            data += await stream.read(count - len(data))
        return data


class Believes(Base):
    longest = 1 << 62


class NoEnd(Base):
    async def length(self, stream):
        number = shift = 0
        while (byte := (await self.exactly(stream, 1))[0]) >= 128:
            number |= (byte & 127) << shift
            shift += 7
        return number | byte << shift


class AnyLastByte(Base):
    async def hear(self, stream):
        length = await self.length(stream)
        if length > self.longest:
            raise ValueError("too long")
        return (await self.exactly(stream, length))[:-1].decode()


class Shared(Base):
    """Keeps the line that is being read in an attribute."""

    def __init__(self):
        self.buffer = b""

    async def exactly(self, stream, count):
        self.buffer = b""
        while len(self.buffer) < count:
            part = await stream.read(count - len(self.buffer))
            if not part:
                raise ValueError("the end")
            self.buffer += part
        return self.buffer


class ShortNames(Base):
    longest = 64


class OneByteLength(Base):
    async def length(self, stream):
        length = (await self.exactly(stream, 1))[0]
        if length > 127:
            raise ValueError("too long")
        return length


class Closes(Base):
    async def respond(self, stream, protocols):
        agreed = await super().respond(stream, protocols)
        await stream.close_write()
        return agreed


class Plain(Base):
    def respond(self, stream, protocols):
        return protocols[0]


class HalfDone:
    async def propose(self, stream, protocols):
        return protocols[0]


class ForgetsAwait(Base):
    async def say(self, stream, text):
        stream.write(self.encode(text))


class Sleeps(Base):
    async def greet(self, stream):
        await asyncio.sleep(3600)


ANOTHER = ByCore
MUTANTS = (
    Mutant(NoHeader, "no-header"),
    Mutant(Uncounted, "lines"),
    Mutant(SaysNo, "lines", "na"),
    Mutant(SaysThanks, "talks-on"),
    Mutant(WaitsForHeader, "waits"),
    Mutant(ListensFirst, "waits"),
    Mutant(Favourite, "agreed"),
    Mutant(ReadsAhead, "reads-too-much"),
    Mutant(ReadsAll, "reads-too-much", "read() without a number"),
    Mutant(NeverGivesUp, "nothing-left"),
    Mutant(AnyHeader, "header-first"),
    Mutant(AnyVersion, "header-first", "another version"),
    Mutant(Lenient, "odd-answer"),
    Mutant(AnyAnswer, "odd-answer"),
    Mutant(NearEnough, "lines", "proposes"),
    Mutant(ByPrefix, "lines", "proposes"),
    Mutant(Deaf, "ignores-end"),
    Mutant(Believes, "unbounded"),
    Mutant(NoEnd, "unbounded"),
    Mutant(AnyLastByte, "no-newline"),
    Mutant(Shared(), "mixed-up"),
    Mutant(ShortNames, "stranger"),
    Mutant(OneByteLength, "stranger"),
    Mutant(Closes, "stranger"),
    Mutant(Plain, "not-async"),
    Mutant(HalfDone, "wrong-type", "respond"),
    Mutant(ForgetsAwait, "not-awaited"),
    Mutant(Sleeps, "waits"),
)
