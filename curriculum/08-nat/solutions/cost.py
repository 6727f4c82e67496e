"""E8.4b, the reference answer."""

import math


def cost(load, ways, price):
    there, back, seconds = load
    total = (there + back) * seconds
    ends = (seconds / 120, there * seconds / 131072, back * seconds / 131072)
    return {
        "relay_bytes": total,
        "added_delay": ways[0] + ways[1] - ways[2],
        "circuits": math.ceil(max(ends)),
        "money": total / 1e9 * price,
    }


answer = cost
