"""E0.3, the reference answer: a ring of nine and five long chords."""

ring = [(node, (node + 1) % 9) for node in range(9)]
chords = [(0, 4), (1, 5), (2, 6), (3, 7), (8, 4)]

answer = ring + chords
