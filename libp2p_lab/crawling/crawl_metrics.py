"""How far a crawl is, as Prometheus reads it.

    with crawl_metrics.serve(lambda: crawler.progress, 9464):
        async for found in crawler.crawl(seeds): …                # http://127.0.0.1:9464/metrics meanwhile

Names that strangers give themselves become labels, and each label a series that Prometheus keeps for weeks: so the
most frequent few are shown, and the rest is one sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from libp2p_lab.crawling.findings import OTHERS, Progress, Reach

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

SERIES = 30  # names of one kind that get a series of their own


def expose(progress: Progress) -> str:
    """These numbers in Prometheus' text format."""
    from prometheus_client import generate_latest

    return generate_latest(_registry(lambda: progress)).decode()


@contextmanager
def serve(progress: Callable[[], Progress], port: int, address: str = "127.0.0.1") -> Iterator[int]:
    """Answer Prometheus at `http://address:port/metrics` until the block ends, in a thread of its own.

    Args:
        progress: gives the numbers at the moment when they are asked for.
        port: 0 for any that is free.

    Yields: the port.

    Raises: `OSError` if the port is taken.
    """
    from prometheus_client import start_http_server

    server, thread = start_http_server(port, address, _registry(progress))
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _registry(progress: Callable[[], Progress]) -> CollectorRegistry:
    from prometheus_client import CollectorRegistry

    registry = CollectorRegistry()
    registry.register(_Collector(progress))
    return registry


class _Collector:
    """Turns the numbers into metrics, in the server's thread: a `Progress` does not change, it is replaced."""

    def __init__(self, progress: Callable[[], Progress]) -> None:
        self._progress = progress

    def collect(self) -> Iterator[Metric]:
        """As prometheus-client calls it."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        now = self._progress()
        peers = GaugeMetricFamily(
            "libp2p_crawl_peers", "Peers found, by how far we got with them", labels=("reach",)
        )
        for reach in Reach:
            peers.add_metric((reach.value,), now.reach.get(reach, 0))
        yield peers
        for name, text, value in (
            ("heard", "Peers that somebody named", now.heard),
            ("waiting", "Peers that are still to be visited", now.waiting),
            ("visiting", "Visits going on", now.visiting),
            ("refused", "Peers that were not taken in because there were too many", now.refused),
            ("seconds", "Seconds since the crawl began", now.seconds),
            ("finished", "Whether the crawl is over", int(now.is_finished)),
        ):
            yield GaugeMetricFamily(f"libp2p_crawl_{name}", text, value=value)
        yield CounterMetricFamily(
            "libp2p_crawl_questions", "Questions that were asked", value=now.questions
        )
        for label, plural, counts in (
            ("program", "programs", now.programs),
            ("protocol", "protocols", now.protocols),
            ("transport", "transports", now.transports),
        ):
            family = GaugeMetricFamily(
                f"libp2p_crawl_{plural}", f"Peers reached, by {label}", labels=(label,)
            )
            for name, count in _most_frequent(counts).items():
                family.add_metric((name,), count)
            yield family


def _most_frequent(counts: Mapping[str, int]) -> dict[str, int]:
    shown: dict[str, int] = {}
    for place, (name, count) in enumerate(counts.items()):
        key = name if place < SERIES else OTHERS
        shown[key] = shown.get(key, 0) + count
    return shown
