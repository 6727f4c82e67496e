"""E8.3, the reference answer."""

import ipaddress


def serve(addrs, seen_ip, speaks, rng):
    for index, addr in enumerate(addrs):
        _, name, ip, transport, *rest = addr.split("/")
        if name not in ("ip4", "ip6") or "p2p-circuit" in rest:
            continue
        how = "quic-v1" if transport == "udp" else transport
        if how in speaks and ipaddress.ip_address(ip).is_global:
            return index, 0 if ip == seen_ip else rng.randint(30_000, 100_000)
    return None


class Client:
    """Open questions by server, voices by address."""

    def __init__(self, addrs, rng):
        self.addrs, self.rng = addrs, rng
        self.open, self.came = {}, set()
        self.said = {addr: {} for addr in addrs}

    def ask(self, server):
        self.open[server] = self.rng.getrandbits(64)
        return self.open[server]

    def pay(self, index, size):
        if index >= len(self.addrs) or not 0 < size <= 100_000:
            raise ValueError("too dear")
        return [4096] * (size // 4096) + [size % 4096] * bool(size % 4096)

    def dial_back(self, nonce):
        if nonce not in self.open.values():
            return False
        self.came.add(nonce)
        return True

    def answer(self, server, index, reached):
        nonce = self.open.pop(server)
        if index >= len(self.addrs):
            raise ValueError("never asked")
        if reached and nonce not in self.came:
            raise ValueError("it never came")
        self.said[self.addrs[index]][server] = reached

    def verdict(self, addr):
        said = list(self.said[addr].values())
        yes, no = said.count(True), said.count(False)
        if max(yes, no) < 4 or yes == no:
            return "unknown"
        return "public" if yes > no else "private"


answer = (serve, Client)
