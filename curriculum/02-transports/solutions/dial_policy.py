"""E2.5, the reference answer."""

PRIVATE = ("/ip4/10.", "/ip4/192.168.", "/ip4/172.")


def plan(addrs):
    """The likely ones first, each with a head start of a quarter of a second."""

    def last_is_worst(addr):
        return "/p2p-circuit" in addr, addr.startswith(PRIVATE), "/tcp/" in addr, "/ip4/" in addr

    return [(0.25 * number, addr) for number, addr in enumerate(sorted(addrs, key=last_is_worst))]


answer = plan
