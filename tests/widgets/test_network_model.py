"""Two halves are one connection; what moves is counted once; nothing grows."""

from __future__ import annotations

from libp2p_lab.host.events import Identified, ListenerOpened, StreamEnded
from libp2p_lab.trace import Entry
from libp2p_lab.widgets.network_model import MAX_PEERS, MAX_PROTOCOLS, Network
from libp2p_lab.widgets.network_records import Changes
from tests.widgets.trace_samples import PING_ID, Conversation, ping_conversation


def network_of(conversation: Conversation, hosts: tuple[int, ...] = (0, 1)) -> Network:
    network = Network()
    for node in hosts:
        network.add_host(conversation.names[node], f"host {node}", (conversation.addrs[node],))
    for entry in conversation.entries:
        if entry.node in [conversation.names[node] for node in hosts]:
            network.take(entry)
    return network


def flights_of(network: Network, changes: Changes) -> dict[tuple[str, int], tuple[int, int]]:
    """(protocol, direction) → messages, bytes."""
    found = {}
    for at in range(0, len(changes.flights), 4):
        link, code, messages, size = changes.flights[at : at + 4]
        assert link == 0
        found[network.protocols[code // 2]["name"], code % 2] = (messages, size)
    return found


def test_two_halves_make_one_connection() -> None:
    changes = network_of(ping_conversation()).changes()
    assert [peer["kind"] for peer in changes.peers] == ["host", "host"]
    (link,) = changes.links
    assert (link["ends"], link["connections"], link["streams"]) == ((0, 1), 1, [])


def test_messages_are_counted_once_in_each_direction() -> None:
    network = network_of(ping_conversation())
    flights = flights_of(network, network.changes())
    assert flights[PING_ID, 0] == (1, 32)
    assert flights[PING_ID, 1] == (1, 32)
    assert flights["Noise handshake", 0][0] == 2
    assert flights["Noise handshake", 1][0] == 1
    assert flights["multistream-select", 0][0] == 4  # header and proposal, twice


def test_a_peer_that_is_not_followed_is_counted_by_the_other() -> None:
    whole = network_of(ping_conversation())
    half = network_of(ping_conversation(), hosts=(0,))
    assert flights_of(half, half.changes()) == flights_of(whole, whole.changes())
    assert [peer.kind for peer in half.peers.values()] == ["host", "remote"]


def test_a_second_look_shows_only_what_is_new() -> None:
    conversation = ping_conversation()
    network = network_of(conversation)
    network.changes()
    assert not network.changes()
    seen = len(conversation.entries)
    conversation.stream(3, "/chat/1.0.0")
    conversation.say(1, 3, b"hello")
    for entry in conversation.entries[seen:]:
        network.take(entry)
    changes = network.changes()
    assert changes.peers == []
    assert changes.links[0]["streams"] == [(network._numbers["/chat/1.0.0"], 1)]
    assert [record["name"] for record in changes.protocols] == ["/chat/1.0.0"]
    assert flights_of(network, changes)["/chat/1.0.0", 1] == (1, 5)


def test_a_connection_that_closes_takes_its_streams_along() -> None:
    conversation = Conversation()
    conversation.connect()
    conversation.stream(1, "/chat/1.0.0")
    network = network_of(conversation)
    assert network.changes().links[0]["streams"]
    seen = len(conversation.entries)
    conversation.say(0, 1, b"last words")
    conversation.close()
    for entry in conversation.entries[seen:]:
        network.take(entry)
    changes = network.changes()
    assert changes.links == [{"index": 0, "ends": (0, 1), "connections": 0, "streams": []}]
    assert flights_of(network, changes)["/chat/1.0.0", 0] == (1, 10)  # told although it is over
    assert network._halves == {}
    assert network._stream_protocol == {}


def test_a_stream_that_ends_before_it_has_a_protocol_adds_none() -> None:
    conversation = Conversation()
    conversation.connect()
    conversation.stream(1, "/chat/1.0.0")
    for stream_id in (1, 3):
        ended = StreamEnded(conversation.names[1], "", "reset by peer", 0, 0)
        conversation.tell(0, "host", f"1/{stream_id}", "event", ended)
    network = network_of(conversation)
    assert network.changes().links[0]["streams"] == [(network._numbers["/chat/1.0.0"], 1)]
    assert "" not in network._numbers


def test_a_connection_stays_while_one_half_is_open() -> None:
    conversation = ping_conversation()
    network = network_of(conversation)
    conversation.close()
    network.take(conversation.entries[-2])
    assert network.changes().links[0]["connections"] == 1
    network.take(conversation.entries[-1])
    assert network.changes().links[0]["connections"] == 0


def test_a_closed_host_turns_grey_and_loses_its_connections() -> None:
    conversation = ping_conversation()
    network = network_of(conversation)
    network.changes()
    for name in conversation.names:
        network.close_host(name)
    changes = network.changes()
    assert {peer["kind"] for peer in changes.peers} == {"closed"}
    assert changes.links[0]["connections"] == 0
    assert network.summary() == "0 peers, 0 links, 0 open streams, 2 closed"


def test_the_card_joins_what_is_known() -> None:
    conversation = ping_conversation()
    network = network_of(conversation)
    one, other = conversation.names
    told = Identified(other, "js-libp2p/3", ("/ipfs/ping/1.0.0",))
    network.take(Entry(1.0, one, "host", "1", "event", 9, told))
    network.take(Entry(1.0, other, "host", "", "event", 9, ListenerOpened("/ip4/1.2.3.4/tcp/1")))
    network.changes()
    card = network.card(other)
    assert card is not None
    assert card["agent"] == "js-libp2p/3"
    assert card["addrs"] == [conversation.addrs[1], "/ip4/1.2.3.4/tcp/1"]
    assert card["sent"] == conversation.wire[1]
    assert card["received"] == conversation.wire[0]
    (connection,) = card["connections"]
    assert (connection["peer"], connection["direction"]) == (0, "inbound")
    assert network.card("nobody") is None


def test_the_card_of_a_peer_that_is_not_followed() -> None:
    conversation = ping_conversation()
    network = network_of(conversation, hosts=(0,))
    card = network.card(conversation.names[1])
    assert card is not None
    assert card["connections"][0]["direction"] == "inbound"
    assert card["followed"] is False


def test_numbers_stay_bounded() -> None:
    network = Network()
    for number in range(MAX_PEERS + 10):
        network.add_host(f"peer {number}", "", ())
    assert len(network.peers) == MAX_PEERS
    conversation = Conversation()
    conversation.connect()
    for number in range(MAX_PROTOCOLS + 10):
        conversation.stream(2 * number + 1, f"/p/{number}")
    network = network_of(conversation)
    network.changes()
    assert len(network.protocols) == MAX_PROTOCOLS


def test_everything_is_what_a_new_view_needs() -> None:
    network = network_of(ping_conversation())
    network.changes()
    whole = network.everything()
    assert (len(whole.peers), len(whole.links)) == (2, 1)
    assert [p["kind"] for p in whole.protocols] == ["protocol", "negotiation", "security"]
