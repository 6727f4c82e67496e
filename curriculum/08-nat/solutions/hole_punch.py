"""E8.5b, the reference answer."""


class HolePuncher:
    """DCUtR, both roles."""

    async def called(self, call):
        for _ in range(3):
            stream = await call.open()
            began = call.now()
            await stream.send(("CONNECT", call.addrs))
            kind, *rest = await stream.receive()
            rtt = call.now() - began
            if kind != "CONNECT" or not rest[0]:
                raise ValueError("CONNECT with addresses is due")
            await stream.send(("SYNC",))
            await call.sleep(rtt / 2)
            if call.kind == "tcp":
                await call.dial(rest[0], "server")
            else:
                await self.knock(call, rest[0])
            if call.is_direct:
                return True
        return False

    async def knock(self, call, addrs):
        end = call.now() + call.patience
        while call.now() < end and not call.is_direct:
            for addr in addrs:
                call.knock(addr, call.rng.randbytes(64))
            await call.sleep(call.rng.uniform(0.01, 0.2))

    async def caller(self, call, stream):
        kind, *rest = await stream.receive()
        if kind != "CONNECT" or not rest[0]:
            raise ValueError("CONNECT with addresses is due")
        await stream.send(("CONNECT", call.addrs))
        if await stream.receive() != ("SYNC",):
            raise ValueError("SYNC is due")
        return await call.dial(rest[0], "client")


answer = HolePuncher
