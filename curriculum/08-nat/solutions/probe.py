"""E8.2b, the reference answer."""

WAYS = ("endpoint-independent", "address-dependent", "address-and-port-dependent")


def classify(probe):
    first, same_ip, other_ip, _ = probe.servers
    seen = [probe.ask(5000, server) for server in (first, same_ip, other_ip)]
    mapping = WAYS[0] if seen[0] == seen[2] else WAYS[1] if seen[0] == seen[1] else WAYS[2]
    if probe.ask(5001, first, answer_from=other_ip):
        return mapping, WAYS[0]
    if probe.ask(5002, first, answer_from=same_ip):
        return mapping, WAYS[1]
    return mapping, WAYS[2]


answer = classify
