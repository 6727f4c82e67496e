"""E8.2c, the reference answer."""

FREE = "endpoint-independent"


def through(a, b):
    """Whether a packet from behind a is let in by b, which has sent to where a was seen."""
    if b[1] == FREE:
        return True
    if b[0] != FREE:
        return False
    return b[1] == "address-dependent" or a[0] == FREE


def punches(a, b):
    """One direction is enough."""
    return through(a, b) or through(b, a)


answer = punches
