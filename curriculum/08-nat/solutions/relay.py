"""E8.4a, the reference answer."""

from libp2p_lab.wire.protobuf import bytes_field, varint_field


class Book:
    """Places by peer, and circuits as small lists: when they began, and what passed each way."""

    def __init__(self, own, ttl, places, seconds, data):
        self.own, self.ttl, self.most, self.seconds, self.data = own, ttl, places, seconds, data
        self.kept = {}

    def forget(self, now):
        self.kept = {peer: expire for peer, expire in self.kept.items() if expire > now}

    def reserve(self, peer, addr, now):
        if "/p2p-circuit" in addr:
            return "PERMISSION_DENIED", None
        self.forget(now)
        if peer not in self.kept and len(self.kept) >= self.most:
            return "RESERVATION_REFUSED", None
        self.kept[peer] = int(now + self.ttl)
        return "OK", self.kept[peer]

    def voucher(self, peer, expire, seal):
        names = bytes_field(1, self.own.multihash) + bytes_field(2, peer.multihash)
        return seal("libp2p-relay-rsvp", b"\x03\x02", names + varint_field(3, expire))

    def connect(self, source, addr, target, now):
        if "/p2p-circuit" in addr or target in (source, self.own):
            return "PERMISSION_DENIED", None
        self.forget(now)
        if target not in self.kept:
            return "NO_RESERVATION", None
        return "OK", {"began": now, "there": 0, "back": 0}

    def take(self, circuit, way, n, now):
        if self.seconds and now - circuit["began"] >= self.seconds:
            return 0
        if self.data:
            n = min(n, self.data - circuit[way])
        circuit[way] += n
        return n

    def end(self, circuit):
        pass

    def leave(self, peer):
        self.kept.pop(peer, None)


answer = Book
