"""Every limit and every time limit in one readable place, each with its unit and where the number comes from.

A host is given a `Limits`; change one with `Limits(dial_timeout=60.0)`. Sizes are bytes, times are seconds.
Numbers that a spec fixes for good (a frame's header length, say) stand in the protocol's own file instead.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one host allows, and how long it waits."""

    # -- connecting -----------------------------------------------------------------------------------------
    dial_timeout: float = 15.0  # one address, until the connection is usable; go-libp2p: 15 s
    dial_attempt_delay: float = 0.25  # head start of one address over the next; RFC 8305: 250 ms
    max_addresses_dialed: int = 25  # of one peer; js-libp2p MAX_PEER_ADDRS_TO_DIAL
    dns_timeout: float = 10.0  # one look-up
    dns_recursion: int = 32  # dnsaddr inside dnsaddr; js-libp2p
    dns_look_ups: int = 64  # for one address, whatever its names lead to
    dns_records: int = 100  # of one dnsaddr that are looked at
    dial_private_delay: float = 0.03  # head start within the local network; go-libp2p: 30 ms
    dial_webrtc_delay: float = 1.0  # head start of all others over WebRTC-direct; go-libp2p: 1 s
    dial_relay_delay: float = 0.5  # head start of what is direct over what is relayed; go-libp2p
    dial_backoff: float = 5.0  # before a known address that failed is tried again; go-libp2p: 5 s
    dial_backoff_max: float = 300.0  # after many failures; go-libp2p: 5 min
    dial_backoff_addresses: int = 1024  # failures remembered
    handshake_timeout: float = (
        10.0  # inbound: from accept to usable; js-libp2p inboundUpgradeTimeout
    )
    max_pending_inbound_per_ip: int = (
        32  # connections not yet usable from one address: one flooder cannot take them all
    )
    close_timeout: float = 2.0  # for a polite goodbye, then the connection is cut
    keep_backoff: float = 1.0  # before a peer that shall be kept is dialed again; doubled each time
    keep_backoff_max: float = 300.0  # the longest such wait; go-libp2p: 5 min
    trim_interval: float = 1.0  # between two looks at connections too young to be trimmed
    duplicate_grace: float = (
        0.5  # how long the losing one of two simultaneous dials stays open, idle
    )

    # -- resources ------------------------------------------------------------------------------------------
    # go-libp2p's resource manager has a base and an increase for each GiB that it may use; "go, 7 GiB" is its base
    # and seven increases, "go" its base alone.
    max_connections: int = 1024  # in all; go, 7 GiB
    max_connections_inbound: int = 512  # go, 7 GiB: half, so that a crowd at the door lets us dial
    max_connections_outbound: int = 1024  # go, 7 GiB
    max_connections_per_peer: int = 8  # go: 8
    max_pending: int = 288  # connections not yet usable; go's transient scope, 7 GiB
    max_pending_inbound: int = 64  # of them inbound
    max_pending_outbound: int = 288  # of them outbound; go, 7 GiB
    max_streams: int = 16_384  # open at once, on all connections; go, 7 GiB
    max_streams_inbound: int = 8192  # go, 7 GiB
    max_streams_outbound: int = 16_384  # go, 7 GiB
    max_streams_per_peer: int = 2304  # on all its connections; go, 7 GiB
    max_streams_per_peer_inbound: int = 1152  # go, 7 GiB
    max_streams_per_peer_outbound: int = 2304  # go, 7 GiB
    max_streams_per_connection: int = 2048  # yamux_max_streams in each direction
    max_streams_per_protocol: int = 5632  # of all peers; go, 7 GiB
    max_streams_per_protocol_inbound: int = 2304  # go, 7 GiB
    max_streams_per_protocol_outbound: int = 5632  # go, 7 GiB
    max_streams_per_protocol_and_peer: int = 64  # inbound, until the handler is done; go: 64
    max_pending_streams: int = 2048  # without a protocol yet; go's transient scope, 7 GiB
    max_pending_streams_inbound: int = 1024  # go, 7 GiB
    max_pending_streams_outbound: int = 2048  # go, 7 GiB
    max_pending_streams_per_peer: int = 512  # half of the inbound ones: others have the rest
    max_memory: int = 1 << 30  # bytes that are reserved, in all; go: 128 MiB and 1 GiB for each GiB
    max_pending_memory: int = 32 << 20  # for what is not proven or has no protocol yet; go
    max_memory_per_peer: int = 64 << 20  # go
    max_memory_per_protocol: int = 64 << 20  # that handlers reserve for themselves; go
    max_memory_per_connection: int = 32 << 20  # go
    max_memory_per_stream: int = 16 << 20  # go
    memory_floor: int = 256 * 1024  # unread bytes that a connection may always have: one window

    # -- negotiation ----------------------------------------------------------------------------------------
    negotiation_timeout: float = 10.0  # one stream's multistream-select; go-libp2p: 10 s
    multistream_line: int = 1024  # one line, newline included; go-multistream
    multistream_proposals: int = 64  # protocols that one dialer may try on one stream
    multistream_ls: int = 1000  # protocol ids in our answer to `ls`

    # -- yamux ----------------------------------------------------------------------------------------------
    yamux_initial_window: int = 256 * 1024  # fixed by the spec
    yamux_max_window: int = 16 * 1024 * 1024  # one stream; go-yamux MaxStreamWindowSize
    yamux_max_frame: int = 65507  # body of one data frame that we send; go-libp2p MaxMessageSize
    yamux_max_frame_relayed: int = 65477  # in a circuit: sealed by Noise, it fills one frame
    yamux_accept_backlog: int = 256  # inbound streams that no handler has taken yet; spec: 256
    yamux_max_streams: int = 1024  # inbound streams open at once on one connection
    yamux_max_queued_replies: int = 512  # pongs, resets and acks that wait for the socket
    yamux_connection_memory: int = (
        64 * 1024 * 1024
    )  # sum of the receive windows beyond the initial ones
    mplex_stream_buffer: int = 1 << 20  # unread bytes of one stream, then it is reset; js: 4 MiB
    mplex_connection_buffer: int = 16 << 20  # of all streams; whoever goes beyond it is reset
    keepalive_interval: float = (
        30.0  # between pings on an otherwise silent connection; go-yamux: 30 s
    )
    keepalive_timeout: float = 10.0  # for the pong, then the connection is lost; go-yamux: 10 s

    # -- quic -----------------------------------------------------------------------------------------------
    quic_idle_timeout: float = 30.0  # without a datagram; go-libp2p: 30 s
    quic_keepalive: float = 15.0  # between pings on a silent connection; go-libp2p: 15 s
    quic_streams: int = 256  # that the remote may have open at once; go-libp2p: 256
    quic_stream_window: int = 1024 * 1024  # unread bytes of one stream; aioquic: 1 MiB at first
    quic_connection_window: int = 16 * 1024 * 1024  # of all streams; go-libp2p: 15 MB
    quic_retry_above: int = 16  # handshakes under way; from then on addresses are validated first
    webtransport_http: int = 64 * 1024  # bytes of HTTP/3 itself on one connection

    # -- webrtc-direct --------------------------------------------------------------------------------------
    webrtc_idle_timeout: float = 30.0  # without a datagram; go-libp2p DefaultFailedTimeout: 30 s
    webrtc_consent_interval: float = 5.0  # between two questions whether the remote is still there
    webrtc_streams: int = 256  # open at once, each way
    webrtc_window: int = 5 * 512 * 1024  # unread bytes of all streams; go-libp2p: 2.5 MiB
    webrtc_under_way: int = 80 * 1024  # sent and not acknowledged; Linux's UDP sockets hold 208 KiB
    webrtc_stalled_timeout: float = 10.0  # nothing fits in: then the stream with most unread goes
    webrtc_fin_ack_timeout: float = 10.0  # then a channel is closed without; go-libp2p: 10 s
    webrtc_certificate: float = 365 * 86_400.0  # validity of a listener's; it ends with the process
    webrtc_pending: int = 32  # handshakes under way at one socket; half of max_pending_inbound

    # -- streams --------------------------------------------------------------------------------------------
    write_buffer: int = 256 * 1024  # bytes that one stream may queue before `write` waits

    # -- identify -------------------------------------------------------------------------------------------
    identify_timeout: float = 30.0  # go-libp2p: 30 s; js-libp2p: 5 s
    identify_part: int = 8 * 1024  # one message; go-libp2p signedIDSize
    identify_parts: int = 10  # messages read before the sender is refused; go-libp2p maxMessages
    identify_protocols: int = 128  # stored of one peer; go-libp2p maxProtocols
    identify_addresses: int = 500  # stored of a connected peer; go-libp2p connectedPeerMaxAddrs
    identify_addresses_after: int = (
        20  # kept after it left; go-libp2p recentlyConnectedPeerMaxAddrs
    )
    identify_push_concurrency: int = (
        32  # pushes worked on or sent at once; go-libp2p maxPushConcurrency
    )
    identify_push_interval: float = (
        1.0  # between two pushes that one peer may make us read, on average
    )
    observed_addr_confirmations: int = (
        4  # observers, each at an IP of its own, until an address counts; go-libp2p: 4
    )
    observed_addrs_per_listener: int = 3  # of them advertised, the best observed; go-libp2p: 3
    peerstore_peers: int = 4096  # peers remembered after they left
    peerstore_addr_ttl: float = 3600.0  # until an address expires; go-libp2p AddressTTL: 1 h
    peerstore_addr_ttl_recent: float = (
        900.0  # at least, after its peer left; go-libp2p RecentlyConnectedAddrTTL: 15 min
    )
    peerstore_notes: int = 64  # of our own about one peer
    peerstore_note: int = 4096  # characters of one, its name included

    # -- small protocols ------------------------------------------------------------------------------------
    ping_timeout: float = 10.0  # one round trip; js-libp2p 10 s
    ping_streams_per_peer: int = 2  # inbound at once; ping.md: two
    ping_idle_timeout: float = 60.0  # between two pings on one stream; go-libp2p: 60 s
    fetch_timeout: float = 10.0  # request and response; js-libp2p: 10 s
    fetch_message: int = 4 * 1024 * 1024  # one request or response
    http_auth_challenge: float = 300.0  # peer-id auth: from challenge to answer; go-libp2p: 5 min
    http_auth_challenges: int = 10_000  # answered and remembered within that time
    http_auth_bearer: float = 3600.0  # a token's life; go-libp2p: 1 h
    perf_idle_timeout: float = 30.0  # without a byte
    # -- the DHT --------------------------------------------------------------------------------------------
    kad_message: int = 4 * 1024 * 1024  # one request or answer; go-libp2p MessageSizeMax
    kad_request_timeout: float = 10.0  # one request, dial included; kad-dht: 10 s
    kad_lookup_timeout: float = 60.0  # a whole search; go-libp2p-kad-dht: 1 min
    kad_idle_timeout: float = 60.0  # between two requests on one stream
    kad_refresh_interval: float = 600.0  # of the routing table; kad-dht: 10 min
    dht_value: int = 64 * 1024  # one stored value with its key
    dht_values: int = 10_000  # values stored for others
    dht_value_ttl: float = 48 * 3600.0  # seconds that a value is kept; go-libp2p-kad-dht: 48 h
    dht_provider_key: int = 80  # bytes of a key that providers are stored under; go-libp2p-kad-dht
    dht_provider_records: int = 100_000  # in all
    dht_provider_records_per_peer: int = 10_000  # that one peer may have stored
    dht_providers_per_key: int = 100  # given in one answer, and kept
    dht_provider_ttl: float = 48 * 3600.0  # kad-dht: 48 h
    dht_provider_addrs_ttl: float = 30 * 60.0  # after which only the id is given; kad-dht: 30 min
    dht_region_lookups: int = 16  # of one region in a sweep; two or three are usual
    dht_republish_interval: float = 22 * 3600.0  # of our own provider records; kad-dht: 22 h
    dht_advertise_interval: float = 3 * 3600.0  # of namespaces that we advertise; go-libp2p: 3 h

    # -- bootstrap ------------------------------------------------------------------------------------------
    bootstrap_interval: float = (
        30.0  # between two looks whether connections are missing; boxo: 30 s
    )
    bootstrap_backoff: float = 10.0  # a peer that failed is left alone; doubled each time
    bootstrap_backoff_max: float = 600.0  # the longest

    # -- the local network ----------------------------------------------------------------------------------
    mdns_peers: int = 256  # names that are remembered, and neighbours
    mdns_addrs: int = 16  # of one peer, told or believed
    mdns_txt: int = 4096  # bytes of TXT records of one peer that are read
    mdns_txt_sent: int = 1300  # bytes of our own: they fit into one packet; RFC 6763: 1300
    mdns_dials: int = 8  # at once, where whoever is found is dialed

    # -- crawling -------------------------------------------------------------------------------------------
    crawl_at_once: int = 32  # visits going on; go-libp2p-kad-dht's crawler: 1000
    crawl_at_once_per_ip: int = 4  # of them at one IPv4 address, or /64 of IPv6
    crawl_failures_per_ip: int = 64  # visits without an answer, then the address is left alone
    crawl_peers: int = 100_000  # heard of in one crawl; more are only counted
    crawl_addrs: int = 8  # of one peer that are dialed
    crawl_addr: int = 512  # bytes of one address; webtransport's with two hashes: about 100
    crawl_questions: int = 16  # to one peer: buckets; go-libp2p-kad-dht's crawler: 16
    crawl_dial_timeout: float = 10.0  # all addresses of one peer; go-libp2p-kad-dht's crawler: 5 s
    crawl_pause: float = 0.05  # between two questions to one peer
    crawl_answer: int = 256 * 1024  # bytes of one answer: 20 peers with addresses in plenty
    crawl_identify_timeout: float = 5.0  # then the peer is asked without; nebula: 5 s
    crawl_visit_timeout: float = 60.0  # one peer, from its dial to its last answer
    crawl_agent: int = 128  # characters of what a peer calls its program
    crawl_names: int = 512  # agents, and protocols, that are counted apart; the rest is one sum

    # -- rendezvous -----------------------------------------------------------------------------------------
    rendezvous_timeout: float = 10.0  # one request with its answer, dial included
    rendezvous_message: int = 1024 * 1024  # one request or answer; rust-libp2p: 1 MiB
    rendezvous_namespace: int = 255  # bytes; rendezvous: 255
    rendezvous_record: int = 16 * 1024  # bytes of one signed peer record
    rendezvous_ttl: float = 2 * 3600.0  # of a registration that does not say; rendezvous: 2 h
    rendezvous_ttl_min: float = 2 * 3600.0  # accepted; rendezvous: 2 h
    rendezvous_ttl_max: float = 72 * 3600.0  # accepted; rendezvous: 72 h
    rendezvous_registrations: int = 10_000  # kept in all
    rendezvous_registrations_per_peer: int = 32  # lists that one peer stands on; rust-libp2p: 32
    rendezvous_discovered: int = 1000  # registrations in one answer; rendezvous: 1000
    rendezvous_poll: float = 60.0  # between two questions of a client that watches a list
    rendezvous_watched: int = 4096  # peers of one list that a watching client remembers
    rendezvous_retry: float = 10.0  # before a point that failed is asked again; doubled each time

    # -- block exchange -------------------------------------------------------------------------------------
    block: int = 2 * 1024 * 1024  # bytes of one block; bitswap: 2 MiB
    blocks: int = 65_536  # kept in memory
    blocks_memory: int = 256 * 1024 * 1024  # bytes of them
    bitswap_message: int = 4 * 1024 * 1024  # one message; bitswap: 4 MiB
    bitswap_message_target: int = 512 * 1024  # bytes of blocks after which we begin another message
    bitswap_wants_per_message: int = 4096  # entries of one want list that are looked at
    bitswap_wants_per_peer: int = 1024  # of one peer that we remember; boxo: 1024
    bitswap_wants: int = 1024  # blocks that we want at once
    bitswap_asked: int = 32  # peers that are asked at once whether they have one block
    bitswap_remembered: int = 4096  # questions to one peer, so that a late block is no lie
    bitswap_banned: int = 1024  # peers who sent what nobody asked for, remembered
    bitswap_answer_timeout: float = 10.0  # one question, then another peer is asked
    bitswap_write_timeout: float = 20.0  # one message, its stream included
    bitswap_linger: float = (
        5.0  # our stream stays open with nothing to tell; Helia gives up at 10 s
    )
    bitswap_idle_timeout: float = 600.0  # between two messages on one stream
    bitswap_timeout: float = 60.0  # one block, whoever is asked
    dag_in_flight: int = 16  # blocks of one file that are asked for at once
    dag_depth: int = 32  # of a file's tree
    dag_blocks: int = 65_536  # of one file, repeated ones counted again
    dag_links: int = 8192  # of one node; kubo writes 174, Helia 1024
    dag_nodes: int = 16 * 1024 * 1024  # bytes of all its blocks, beyond the file's own
    dag_file: int = 256 * 1024 * 1024  # bytes of one file, which is held in memory

    # -- pubsub ---------------------------------------------------------------------------------------------
    pubsub_rpc: int = 1024 * 1024  # one RPC; go-libp2p-pubsub DefaultMaxMessageSize
    pubsub_queue_rpcs: int = 4096  # RPCs that wait for one peer
    pubsub_queue_bytes: int = 8 * 1024 * 1024  # the same in bytes
    pubsub_write_timeout: float = (
        20.0  # without any progress of one write, then the stream is given up
    )
    pubsub_stream_tries: int = 4  # streams opened to one peer while its connection lasts; go: 4
    pubsub_validations: int = 1024  # messages that are being validated at once; go: 1024 throttle
    pubsub_validation_timeout: float = 10.0  # one validator, one message; then it is ignored
    pubsub_subscription_queue: int = (
        1024  # messages that one subscriber has not taken; newer are dropped
    )
    pubsub_px_dials: int = 8  # peers from a PRUNE dialed at once; go-libp2p-pubsub Connectors
    pubsub_search_interval: float = 5.0  # between two looks for peers of topics; doubled in vain
    pubsub_search_interval_max: float = 300.0  # the longest
    pubsub_search_peers: int = 20  # named in one look that are looked at
    chat_file: int = 4 * 1024 * 1024  # a file in the chat room; it is held in memory
    pubsub_explicit_interval: float = 300.0  # between two looks at explicit peers; v1.1: 5 minutes

    # -- reachability ---------------------------------------------------------------------------------------

    autonat_timeout: float = 60.0  # one question, its price and the dial included
    autonat_dial_timeout: float = 15.0  # dialing back; go-libp2p
    autonat_dials: int = 8  # that a server does at once
    autonat_requests: int = 60  # in a minute, of all; go-libp2p: 60
    autonat_requests_per_peer: int = 12  # in a minute; go-libp2p: 12
    autonat_recheck: float = 900.0  # until what is settled is asked about again; go-libp2p: 15 min
    autonat_recheck_servers: int = 8  # that are asked then

    # -- ports that a router opens --------------------------------------------------------------------------
    port_map_lease: float = 3600.0  # asked for, renewed at its half; RFC 6886 recommends 2 h
    port_map_lease_min: float = (
        60.0  # shorter ones are refused; RFC 6887: routers give 2 min at least
    )
    port_map_lease_max: float = (
        86_400.0  # longer ones are renewed as if they ended then; RFC 6887: 1 d
    )
    port_map_ports: int = 16  # that we ask for
    port_map_look: float = 60.0  # between two looks whether the router is the same; go-libp2p: 30 s
    port_map_restart: float = 60.0  # between two restarts of the router that we believe
    port_map_first_wait: float = 0.25  # for an answer, doubled each time; RFC 6886: 250 ms
    port_map_tries: int = 5  # of one question, so 7.75 s in all; RFC 6886: up to 9
    port_map_strays: int = 64  # datagrams from the router that are no answer to one question
    port_map_retry: float = 30.0  # after a refusal, doubled each time; RFC 6887: 30 s
    port_map_retry_max: float = 1800.0  # the longest such wait; RFC 6887: 30 min
    port_map_search: float = 300.0  # between two searches where no router opens ports
    port_map_discover: float = 2.0  # for answers to UPnP's multicast
    port_map_upnp_timeout: float = 15.0  # one call of the UPnP library, whatever it does
    port_map_close_timeout: float = 3.0  # for giving ports back at the end
    advertised_addrs: int = 32  # that services find out for us, each

    # -- relays and hole punching ---------------------------------------------------------------------------
    relay_duration: float = 120.0  # whole seconds of one circuit; 0: no limit; go-libp2p: 2 min
    relay_data: int = 128 * 1024  # bytes of one circuit each way; 0: no limit; go-libp2p: 128 KiB
    relay_reservation_ttl: float = 3600.0  # until a place expires; go-libp2p: 1 h
    relay_reservations: int = 128  # places in all; go-libp2p: 128
    relay_reservations_per_ip: int = 8  # IPv4 address, or /56 of IPv6; go-libp2p: 8
    relay_reservations_per_network: int = 32  # autonomous system; go-libp2p: 32
    relay_circuits_per_peer: int = 16  # that a peer takes part in; go-libp2p: 16
    relay_handshake_timeout: float = 60.0  # one message of hop or stop; go-libp2p: 1 min
    relay_connect_timeout: float = 30.0  # from CONNECT to the target's yes; go-libp2p: 30 s
    relay_renew_before: float = 120.0  # a place is renewed before it expires; go-libp2p: 2 min
    relay_retry: float = 5.0  # until a place that was lost is asked for again; doubled each time
    relay_retry_max: float = 300.0  # the longest such wait
    autorelay_interval: float = 30.0  # between two looks whether there are relays enough; go: 30 s
    autorelay_backoff: float = 60.0  # a relay that failed is left alone; doubled each time
    autorelay_backoff_max: float = 3600.0  # the longest; go-libp2p: 1 h
    autorelay_candidates: int = 256  # that failed, remembered
    dcutr_timeout: float = 10.0  # one exchange of CONNECT and SYNC; js-libp2p: 5 s, go-libp2p: 60 s
    dcutr_dial_timeout: float = 5.0  # the dials of one try; go-libp2p: 5 s
    dcutr_addrs: int = 16  # of one CONNECT that are dialed
    dcutr_grace: float = 2.0  # how long the relayed connection stays beside the direct one
    dcutr_wait: float = 30.0  # of a stream for a direct connection: the other side's three tries

    message: int = 4 * 1024 * 1024  # any other length-prefixed message; go-libp2p MessageSizeMax


DEFAULT_LIMITS = Limits()
