"""E6.6: another right answer, and wrong ones."""

from libp2p_lab.sim.records import availability
from tests.mutants import Mutant


def tune(session):
    """Searches for the cheapest that is safe enough."""
    republish = 0.9 * session
    for k in range(6, 16):
        if availability(session=session, republish=republish, expiry=90, k=k) > 0.9985:
            return republish, 90.0, k
    return republish, 90.0, 15


ANOTHER = tune
MUTANTS = [
    Mutant(lambda session: (22, 48, 20), "lost"),
    Mutant(lambda session: (0.5, 48, 40), "dear"),
    Mutant(lambda session: (session, session / 2, 12), "gap"),
    Mutant(lambda session: (0.1, 48, 20), "range"),
    Mutant(lambda session: 12, "wrong-type"),
]
