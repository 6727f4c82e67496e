"""E6.4, the reference answer."""


class Store:
    """Provider records, kept for 48 hours."""

    def __init__(self):
        self.records = {}  # key: provider: (when, addrs)

    def forget(self, now):
        for key, providers in list(self.records.items()):
            for provider, (at, _) in list(providers.items()):
                if now - at >= 48 * 3600:
                    del providers[provider]
            if not providers:
                del self.records[key]

    def add(self, key, sender, provider, addrs, now):
        if provider != sender:
            return
        self.forget(now)
        is_new = provider not in self.records.get(key, {})
        if is_new and sum(provider in providers for providers in self.records.values()) >= 100:
            return
        self.records.setdefault(key, {})[provider] = (now, list(addrs)[:32])

    def get(self, key, now):
        return [
            (provider, addrs if now - at < 1800 else [])
            for provider, (at, addrs) in self.records.get(key, {}).items()
            if now - at < 48 * 3600
        ]


answer = Store
