"""E8.5b: another right answer, and wrong ones."""

import asyncio

from tests.mutants import Mutant


class Another:
    """Small steps, each of which can be got wrong alone."""

    TRIES, PART, ROLE = 3, 0.5, "server"

    async def called(self, call):
        for _ in range(self.TRIES):
            theirs, rtt = await self.agree(call, await call.open())
            await call.sleep(self.wait(rtt))
            await self.punch(call, self.chosen(theirs))
            if self.is_over(call):
                break
        return self.said(call)

    def is_over(self, call):
        return call.is_direct

    def said(self, call):
        return call.is_direct

    def chosen(self, theirs):
        return theirs

    def wait(self, rtt):
        return rtt * self.PART

    async def agree(self, call, stream):
        sent = call.now()
        await stream.send(("CONNECT", call.addrs))
        theirs = self.named(await stream.receive())
        rtt = call.now() - sent
        await stream.send(("SYNC",))
        return theirs, rtt

    def named(self, message):
        match message:
            case ("CONNECT", [_, *_] as addrs):
                return addrs
        raise ValueError(f"not due: {message}")

    async def punch(self, call, theirs):
        if call.kind == "tcp":
            await call.dial(theirs, self.ROLE)
            return
        until = call.now() + call.patience
        while not self.is_over(call) and call.now() <= until:
            for addr in theirs:
                call.knock(addr, self.data(call))
            await self.pause(call)

    def data(self, call):
        return call.rng.randbytes(40)

    async def pause(self, call):
        await call.sleep(0.01 + 0.19 * call.rng.random())

    async def caller(self, call, stream):
        theirs = self.named(await stream.receive())
        await stream.send(("CONNECT", call.addrs))
        await self.until_sync(call, stream, theirs)
        return await call.dial(self.chosen(theirs), "client")

    async def until_sync(self, call, stream, theirs):
        if await stream.receive() != ("SYNC",):
            raise ValueError("not due")


class CallerBegins(Another):
    async def caller(self, call, stream):
        return await self.called(call)


class Silent(Another):
    async def called(self, call):
        return False


class SyncFirst(Another):
    async def agree(self, call, stream):
        await stream.send(("SYNC",))
        return await super().agree(call, stream)


class WaitsForAnAnswer(Another):
    async def agree(self, call, stream):
        got = await super().agree(call, stream)
        await stream.receive()
        return got


class DialsOnConnect(Another):
    async def until_sync(self, call, stream, theirs):
        await call.dial(theirs, "client")


class OnlyOne(Another):
    """The side that was called leaves the dialing to the other."""

    async def punch(self, call, theirs):
        await call.sleep(call.patience)


class WholeTrip(Another):
    PART = 1


class AtOnce(Another):
    PART = 0


class FirstTrip(Another):
    """Measured once, used three times."""

    rtt = None

    def wait(self, rtt):
        self.rtt = self.rtt or rtt
        return self.rtt / 2


class SameStream(Another):
    async def called(self, call):
        stream = await call.open()
        for _ in range(3):
            theirs, rtt = await self.agree(call, stream)
            await call.sleep(rtt / 2)
            await self.punch(call, theirs)
            if call.is_direct:
                break
        return call.is_direct


class CallerWaits(Another):
    async def until_sync(self, call, stream, theirs):
        await super().until_sync(call, stream, theirs)
        await call.sleep(0.1)


class TwoClients(Another):
    ROLE = "client"


class FirstAddress(Another):
    def chosen(self, theirs):
        return theirs[:1]


class DialsQuic(Another):
    async def punch(self, call, theirs):
        await call.dial(theirs, "server")


class Knows(Another):
    def data(self, call):
        return b"open sesame"


class Hurries(Another):
    async def pause(self, call):
        await call.sleep(0.001)


class Beats(Another):
    async def pause(self, call):
        await call.sleep(0.1)


class NeverLooks(Another):
    def is_over(self, call):
        return False


class KnocksForEver(Another):
    async def punch(self, call, theirs):
        while call.kind == "quic" and not call.is_direct:
            for addr in theirs:
                call.knock(addr, self.data(call))
            await self.pause(call)
        await super().punch(call, theirs)


class Once(Another):
    TRIES = 1


class Five(Another):
    TRIES = 5


class SaysNothing(Another):
    def said(self, call):
        return None


class Believes(Another):
    def named(self, message):
        return message[1] if len(message) > 1 else ["/ip4/192.0.2.9/tcp/9"]

    async def until_sync(self, call, stream, theirs):
        await stream.receive()


class NotAwake(Another):
    """Sleeps by asyncio: an hour before each dial, where time is real."""

    async def until_sync(self, call, stream, theirs):
        await super().until_sync(call, stream, theirs)
        if "203.0.113." not in call.addrs[0]:
            await asyncio.sleep(3600)


class Half:
    async def called(self, call):
        return False


ANOTHER = Another
MUTANTS = [
    Mutant(CallerBegins, "who-begins"),
    Mutant(Silent, "who-begins"),
    Mutant(SyncFirst, "order"),
    Mutant(WaitsForAnAnswer, "order"),
    Mutant(DialsOnConnect, "too-soon"),
    Mutant(OnlyOne, "no-dial"),
    Mutant(WholeTrip, "whole-trip"),
    Mutant(AtOnce, "half-trip"),
    Mutant(FirstTrip, "fresh"),
    Mutant(SameStream, "fresh"),
    Mutant(CallerWaits, "caller-waits"),
    Mutant(TwoClients, "roles"),
    Mutant(FirstAddress, "addresses"),
    Mutant(DialsQuic, "knocks"),
    Mutant(Knows, "random"),
    Mutant(Hurries, "pauses"),
    Mutant(Beats, "pauses"),
    Mutant(NeverLooks, "stops"),
    Mutant(KnocksForEver, "gives-up"),
    Mutant(Once, "three"),
    Mutant(Five, "three"),
    Mutant(SaysNothing, "result"),
    Mutant(Believes, "out-of-turn"),
    Mutant(NotAwake, "live"),
    Mutant(Half, "wrong-type"),
]
