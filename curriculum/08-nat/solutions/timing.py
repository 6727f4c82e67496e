"""E8.6, the reference answer."""

SHIFTS = {1: 0.0, 2: 0.08, 3: -0.08}  # seconds


def wait(rtt, attempt):
    return max(0.0, rtt / 2 + SHIFTS.get(attempt, 0.0))


answer = (0.13, wait)
