"""E8.1, the reference answer."""


def read(addr):
    """Where packets are sent, the relay, the target."""
    before, circuit, after = addr.partition("/p2p-circuit")
    where, _, relay = before.rpartition("/p2p/")
    target = after.removeprefix("/p2p/")
    if not circuit or not where or not relay or not target:
        raise ValueError("no circuit address")
    return where, relay, target


def handshakes(addr, dialer):
    """Each of the two with the relay, and one with the other."""
    _, relay, target = read(addr)
    return {(dialer, relay), (target, relay), (dialer, target)}


answer = (read, handshakes)
