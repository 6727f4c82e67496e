"""E4.7, the reference answer."""

import ipaddress
from collections import deque


class FloodGater:
    """Lets in at most `most` connections from one address within any `seconds`; refuses nobody else."""

    def __init__(self, most, seconds, clock):
        self.most = most
        self.seconds = seconds
        self.clock = clock
        self.seen = {}  # by address, when its last connections were let in
        self.clean_at = 0.0

    def key(self, addr):
        """An IPv4 address, or the network of an IPv6 one."""
        six = addr.value_of("ip6")
        return ipaddress.IPv6Address(six).packed[:8] if six else addr.value_of("ip4")

    def allow_accept(self, remote_addr):
        """May a connection from there go on to its handshake?"""
        now = self.clock()
        self.clean(now)
        times = self.seen.setdefault(self.key(remote_addr), deque())
        while times and times[0] <= now - self.seconds:
            times.popleft()
        if len(times) >= self.most:
            return False
        times.append(now)
        return True

    def clean(self, now):
        """Forget, every `seconds`, those whose last connection is too old to count."""
        if now >= self.clean_at:
            self.clean_at = now + self.seconds
            self.seen = {
                key: times
                for key, times in self.seen.items()
                if times and times[-1] > now - self.seconds
            }

    def allow_dial_peer(self, peer):
        return True

    def allow_dial_addr(self, peer, addr):
        return True

    def allow_secured(self, direction, peer, addr):
        return True

    def allow_upgraded(self, connection):
        return True


answer = FloodGater
