"""What hosts count, as Prometheus reads it.

    print(metrics.expose([alice, bob]))

The names follow go-libp2p's resource manager where it counts the same. Peers are counted, not listed: each would be a
series of its own, and whoever connects would decide how many there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from libp2p_lab.host.host import Host


def expose(hosts: Iterable[Host]) -> str:
    """What these hosts use and refused, in Prometheus' text format.

    Args:
        hosts: each becomes a value of the label `host`, its peer id.
    """
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_Collector([*hosts]))
    return generate_latest(registry).decode()


class _Collector:
    """Reads the counters of hosts at the moment when they are asked for."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self._hosts = hosts

    def collect(self) -> Iterator[Metric]:
        """As prometheus-client calls it."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        used = GaugeMetricFamily(
            "libp2p_rcmgr_usage",
            "Connections, streams and bytes in use, by scope",
            labels=("host", "scope", "name", "resource"),
        )
        peers = GaugeMetricFamily("libp2p_peers", "Peers that are connected", labels=("host",))
        refused = CounterMetricFamily(
            "libp2p_rcmgr_blocked_resources",
            "Requests that a limit refused, by scope and limit",
            labels=("host", "scope", "limit"),
        )
        for host in self._hosts:
            who = str(host.peer_id)
            peers.add_metric((who,), len(host.peers))
            for scope, name, usage in host.resources.scopes():
                if scope in ("system", "transient", "protocol"):
                    for resource, amount in asdict(usage).items():
                        used.add_metric((who, scope, name, resource), amount)
            for (kind, limit), times in sorted(host.resources.refused.items()):
                refused.add_metric((who, kind, limit), times)
        yield from (used, peers, refused)
