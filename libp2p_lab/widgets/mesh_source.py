"""Whose pubsub is to be looked at: hosts of all kinds, or a recording."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from libp2p_lab.errors import LocalError
from libp2p_lab.host.host import Host
from libp2p_lab.pubsub import FloodSub, GossipSub, PubSub
from libp2p_lab.sim.internet import Internet
from libp2p_lab.trace import Entry
from libp2p_lab.widgets.network_records import short

#: One host, several, a mapping from names to hosts, a simulated internet, or a recording's entries.
Source = Host | Internet | Mapping[str, Host] | Iterable[Host] | Iterable[Entry]


def hosts_of(source: Source, is_numbered: bool) -> tuple[dict[str, Host], list[Entry]]:
    """The hosts by name, or the entries of a recording.

    Args:
        source: whose.
        is_numbered: call hosts without names "peer1" and so on.

    Raises: `LocalError` if there is nobody, or something else among them.
    """
    entries: list[Entry] = []
    hosts: dict[str, Host]
    match source:
        case Internet():
            hosts = {n: host for n, host in source.hosts_by_name.items() if _has_pubsub(host)}
        case Host():
            hosts = {short(str(source.peer_id)): source}
        case Mapping():
            hosts = {str(name): host for name, host in source.items()}
        case _:
            several = list(source)
            entries = [one for one in several if isinstance(one, Entry)]
            found = [(short(str(one.peer_id)), one) for one in several if isinstance(one, Host)]
            numbered = [(f"peer{number}", one) for number, (_, one) in enumerate(found, 1)]
            hosts = dict(numbered if is_numbered else found)
            if len(entries) + len(hosts) != len(several):
                raise LocalError("this shows hosts, an Internet or a recording, nothing else")
    if not hosts and not entries:
        raise LocalError("there is no peer with pubsub to show")
    return hosts, entries


def _has_pubsub(host: Host) -> bool:
    return any(isinstance(service, PubSub) for service in host.services)


def pubsub_of(host: Host) -> PubSub:
    """The host's pubsub, whatever its router.

    Raises: `LocalError` if it has none.
    """
    if not isinstance(host, Host):
        raise LocalError(f"this shows hosts, not {type(host).__name__}")
    for service in host.services:
        if isinstance(service, PubSub):
            return service
    raise LocalError(
        f"{short(str(host.peer_id))} has no pubsub: give it services=[…, lab.GossipSub()]"
    )


def kind_of(host: Host) -> str:
    """ "gossip", "flood", or "router" for any other."""
    match pubsub_of(host):
        case GossipSub():
            return "gossip"
        case FloodSub():
            return "flood"
        case _:
            return "router"
