import asyncio
import sys

sys.path.insert(0, ".")
from libp2p_lab.coursework import process
from libp2p_lab.coursework.catalogue import find
from tests.coursework.test_checks import reference


async def main():
    for name in sys.argv[1:]:
        c=find(name); a=reference(c)
        r=await process.examine(c,a,c.seeds,prediction=105)
        print(r)
asyncio.run(main())
