"""E7.6, the reference answer: 120 · 0.97 is 116.4."""

answer = (110.4, 116.4)
