"""E6.5, the reference answer."""


def settle(answers, quorum, best):
    """The best of enough values, and everybody who did not give it."""
    values = [value for _, value in answers if value is not None]
    if not values or len(values) < quorum:
        return None
    value = best(values)
    return value, [peer for peer, given in answers if given != value]


answer = settle
