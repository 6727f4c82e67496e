"""E8.2b: another right answer, and wrong ones."""

from tests.mutants import Mutant

WAYS = ["endpoint-independent", "address-dependent", "address-and-port-dependent"]


def backwards(probe):
    """Filtering first, each test on a port of its own, all from the last server's point of view."""
    ports = iter(range(40_000, 40_100))
    *_, (ip, port) = probe.servers
    home = (ip, port)
    near = next(s for s in probe.servers if s[0] == ip and s[1] != port)
    far = next(s for s in probe.servers if s[0] != ip)
    answers = [probe.ask(next(ports), home, other) is not None for other in (near, far)]
    filtering = {(True, True): 0, (True, False): 1, (False, False): 2}[tuple(answers)]
    inner = next(ports)
    seen = [probe.ask(inner, server)[1] for server in (home, near, far)]
    mapping = {1: 0, 2: 1, 3: 2}[len(set(seen))]
    return WAYS[mapping], WAYS[filtering]


def one_port(probe):
    """All from one inner port: those who were asked before may answer."""
    a, b, c, _ = probe.servers
    seen = [probe.ask(5000, server) for server in (a, b, c)]
    mapping = 0 if seen[0] == seen[2] else 1 if seen[0] == seen[1] else 2
    if probe.ask(5000, a, c):
        return WAYS[mapping], WAYS[0]
    return WAYS[mapping], WAYS[1 if probe.ask(5000, a, b) else 2]


def two_addresses(probe):
    """Symmetric or not: never asks the other port."""
    a, b, c, _ = probe.servers
    mapping = 0 if probe.ask(1, a) == probe.ask(1, c) else 2
    filtering = 0 if probe.ask(2, a, c) else 1 if probe.ask(3, a, b) else 2
    return WAYS[mapping], WAYS[filtering]


def fresh_ports(probe):
    """Another inner port for each question: nothing can be compared."""
    a, b, c, _ = probe.servers
    seen = [probe.ask(port, server) for port, server in ((1, a), (2, b), (3, c))]
    mapping = 0 if seen[0] == seen[2] else 1 if seen[0] == seen[1] else 2
    filtering = 0 if probe.ask(4, a, c) else 1 if probe.ask(5, a, b) else 2
    return WAYS[mapping], WAYS[filtering]


def as_it_maps(probe):
    mapping, _ = backwards(probe)
    return mapping, mapping


def patient(probe):
    for port in range(1, 20):
        probe.ask(port, probe.servers[0])
    return backwards(probe)


def one_word(probe):
    return "symmetric"


ANOTHER = backwards
MUTANTS = [
    Mutant(one_port, "filtering"),
    Mutant(two_addresses, "mapping"),
    Mutant(fresh_ports, "mapping"),
    Mutant(as_it_maps, "filtering"),
    Mutant(patient, "many"),
    Mutant(one_word, "wrong-type"),
]
