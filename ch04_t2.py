import runpy
import time

from libp2p_lab.coursework.chapter_04_turns import *

T = runpy.run_path("curriculum/04-multiplexing/solutions/turns.py")["answer"]
for seed in (1,2):
    for name, ch in (("naive", None), ("ref", T(RATE, ROUND_TRIP).next)):
        t=time.time(); m = measure(f"turns/{seed}", ch)
        print(name, seed, len(m.pings), "p50 %.1f p95 %.1f max %.1f"%(1000*m.pings[len(m.pings)//2], 1000*m.p95, 1000*m.pings[-1]), m.bulk/RATE, m.longest, m.ping_wait, time.time()-t)
