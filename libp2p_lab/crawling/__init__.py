"""Who is there? A whole DHT visited peer by peer, and what that tells.

    crawler = lab.Crawler(host)
    async for found in crawler.crawl([address_of_some_peer]):
        print(found.peer_id, found.agent)
    crawler.progress.share                            # of those visited, how many could be reached

From the command line: `libp2p-lab crawl /dnsaddr/bootstrap.libp2p.io --report crawl.html`.

Read in this order:

    table_walk.py      which questions lay one peer's table open
    frontier.py        whom to visit next, and whom to leave alone
    findings.py        one peer found; the sum of all; two crawls beside each other
    crawler.py         the driver: dial, listen, ask, hang up
    crawl_store.py     crawls in a file, resumed and compared
    events.py          what crawls tell the trace
    crawl_tables.py    CSV, data frames, Parquet
    crawl_report.py    one page about a crawl
    crawl_metrics.py   Prometheus
    command.py         `libp2p-lab crawl`

Left out: where peers are on the map (that takes a database of addresses), peers behind relays, and visiting the same
peer again and again to measure how long it stays.

Spec pages: kad-dht/README.md
"""

from libp2p_lab.crawling.crawl_store import Crawl, CrawlStore
from libp2p_lab.crawling.crawler import Crawler
from libp2p_lab.crawling.findings import Churn, CrawledPeer, Progress, Reach, churn, tally
from libp2p_lab.crawling.frontier import Frontier, Visit
from libp2p_lab.crawling.table_walk import BucketKeys, TableWalk

__all__ = [
    "BucketKeys",
    "Churn",
    "Crawl",
    "CrawlStore",
    "CrawledPeer",
    "Crawler",
    "Frontier",
    "Progress",
    "Reach",
    "TableWalk",
    "Visit",
    "churn",
    "tally",
]
