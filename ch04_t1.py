import asyncio

import libp2p_lab as lab


async def main():
    async with (
        lab.Host(listen=["/memory/0"], transports=[lab.Memory()]) as bob,
        lab.Host(transports=[lab.Memory()]) as alice,
    ):
        with lab.record(alice) as log:
            c = await alice.connect(bob.addrs[0])
            await alice.identify_result(bob.peer_id)
            await bob.identify_result(alice.peer_id)
            await alice.ping(bob.peer_id)

            @alice.handle("/x/1")
            async def h(stream):
                await stream.read_exactly(5)
                await asyncio.sleep(0.2)

            s = await bob.open_stream(alice.peer_id, "/x/1")
            await s.write(b"hello")
            await bob.ping(alice.peer_id)
            await s.close_write()
            await asyncio.sleep(0.1)
        for e in log:
            print(e.layer, e.link, e.direction, e.number, str(e.what)[:150])
        print(c.info)


asyncio.run(main())
