"""E6.6, the reference answer."""


def tune(session):
    """As often as holders leave, to twelve of them."""
    return session, 4 * session, 12


answer = tune
