"""What is going on? Widgets that draw it from the trace.

    NetworkMap(peers)      peers, connections, and what moves between them
    InternetMap(net)       a simulated internet: its machines and packets, stopped and broken at will
    MeshView(peers)        pubsub: mesh, fan-out and gossip, and the way of each message
    XorTree()              the peers of a DHT as a tree, the buckets of one, a lookup step by step
    LookupRace()           the same lookups with other alpha, k and churn: hops, messages, time
    CrawlBoard(crawler)    a crawl of a DHT as it goes on: who is there, what they run, who came and left
    ProviderMap()          the records of a key's providers, ageing while a clock runs
    BlockTrail()           a CID taken apart, a file as blocks, their way here from several peers
    NatBench()             two homes behind routers of your choice: their tables, the packets, the hole; 81 pairs tried
    HolePunchTimeline()    relay, CONNECT, SYNC and both dials in three lanes, against the measured round trip
    ScoreBoard(peers)      the score of one peer in the eyes of another, part by part, over time
    WireLens(peer)         the messages of a connection, opened layer by layer down to the bytes
    StreamScope(peer)      the streams of a connection as lanes, their frames, their windows
    Timeline(peers)        peers side by side, an arrow for each message, round trips counted
    slow_reader()          two pairs of peers for it: a reader that stops, under yamux and under mplex
    first_byte()           a recorded connection for a timeline, from its first packet on
    DialRace()             one dial to many addresses as a race; break one and see it change
    ResourceMeter(peer)    what others use of a peer, scope by scope, and what its limits refused
    KeyLab()               from a key to a peer id, byte by byte
    HandshakeStepper()     Noise, TLS and plaintext, one message at a time, on live bytes
    StackBuilder(peer)     the layers of a peer as tiles; take one out and see what fails
    CheckPanel(workbook)   what has been solved, objective by objective; hints
    Chart(series)          a few rows of numbers as bars

Where there is no front end (a notebook run headless, a saved page) each shows a plain table
instead.

Each widget's module, and Jupyter with it, is imported when the first one is made: `import
libp2p_lab` is quick and does without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from libp2p_lab.content import CID, BlockStore
    from libp2p_lab.crawling import Crawler
    from libp2p_lab.crawling.crawler import Seed
    from libp2p_lab.host import Host
    from libp2p_lab.identity import KeyPair, PublicKey
    from libp2p_lab.limits import Limits
    from libp2p_lab.multiplexing.connection import Connection
    from libp2p_lab.recording import Recording
    from libp2p_lab.sim import Internet, NatBehaviour
    from libp2p_lab.trace import Entry
    from libp2p_lab.widgets import (
        block_trail,
        chart,
        check_panel,
        crawl_board,
        dial_bench,
        dial_race,
        handshake_stepper,
        hole_punch_timeline,
        internet_map,
        key_lab,
        lookup_race,
        mesh_source,
        mesh_view,
        nat_bench,
        network_map,
        provider_map,
        punch_bench,
        resource_meter,
        score_board,
        slow_reader_bench,
        sources,
        stack_builder,
        stream_scope,
        timeline,
        wire_lens,
        xor_live,
        xor_tree,
    )


def NetworkMap(hosts: network_map.Hosts = ()) -> network_map.NetworkMap:
    """A map of live hosts: who is connected with whom, and what moves.

    Args:
        hosts: one host, several, or a mapping from names to hosts (the names are shown).
    """
    from libp2p_lab.widgets.network_map import NetworkMap as Widget

    return Widget(hosts)


def InternetMap(net: Internet, speed: float = 0.1) -> internet_map.InternetMap:
    """A map of a simulated internet: regions, machines, NAT boxes, and the packets on their way.

    Args:
        net: the internet.
        speed: virtual seconds in a real one, for the button that plays.
    """
    from libp2p_lab.widgets.internet_map import InternetMap as Widget

    return Widget(net, speed)


def MeshView(
    source: mesh_source.Source | None = None,
    topic: str = "",
    *,
    beside: mesh_source.Source | None = None,
    speed: float = 1.0,
) -> mesh_view.MeshView:
    """Peers with pubsub: mesh links, fan-out, links for gossip only, and the way of each message.

    Args:
        source: one host, several, a mapping from names to hosts, a simulated internet, or a recording. None makes
            two internets that are the same but for this: one runs GossipSub, the other FloodSub.
        topic: which topic; "" for the first that anybody wants.
        beside: a second network, drawn next to the first; what a peer publishes in one, the peer of the same name
            (or, of two lists, in the same place) publishes in the other.
        speed: virtual seconds in a real one, for simulated internets that are played.
    """
    from libp2p_lab.widgets.mesh_view import MeshView as Widget

    return Widget(source, topic, beside=beside, speed=speed)


def HolePunchTimeline(
    source: Recording | Host | Iterable[Host] | None = None,
    scene: punch_bench.Scene | None = None,
    names: Mapping[str, str] | None = None,
) -> hole_punch_timeline.HolePunchTimeline:
    """How two peers got rid of their relay: three lanes, what was said, measured and dialed when.

    Args:
        source: a recording of both peers, and of the relay and the internet (`net.trace`) if they are at hand; or live
            hosts, whose last hole punching is shown; None for two homes of its own in a simulated internet.
        scene: what those are up against at first: distances, routers, jitter, how long B waits after SYNC.
        names: what peers are called, by the text of their ids.
    """
    from libp2p_lab.widgets.hole_punch_timeline import HolePunchTimeline as Widget

    return Widget(source, scene, names)


def NatBench(
    home_a: NatBehaviour | None = None,
    home_b: NatBehaviour | None = None,
    *,
    speech: Literal["datagrams", "tcp", "quic"] = "datagrams",
    retries: int = 3,
    reuse: bool = True,
    silence: float = 0.0,
    seed: int = 1,
) -> nat_bench.NatBench:
    """Two homes, two routers with their tables, a relay, a stranger; step by step, and all 81 pairs of behaviours.

    Args:
        home_a, home_b: how the routers of alice and of bob behave, `lab.sim.NatBehaviour(mapping=…, filtering=…)`; None
            for the usual kind: one mapping for all, filtered by address and port.
        speech: what is sent: plain datagrams of two small programs; or what two hosts say by "tcp" or "quic".
        retries: how often they agree on a moment, and punch.
        reuse: whether they punch from the port that the relay has seen.
        silence: seconds without a word after they have met; then bob says one again.
        seed: of all chance.
    """
    from libp2p_lab.widgets.nat_bench import NatBench as Widget
    from libp2p_lab.widgets.nat_bench_model import Plan

    usual = Plan()
    plan = Plan(
        home_a if home_a is not None else usual.home_a,
        home_b if home_b is not None else usual.home_b,
        speech,
        retries=retries,
        reuse=reuse,
        silence=silence,
        seed=seed,
    )
    return Widget(plan)


def ScoreBoard(
    hosts: Host | Internet | Mapping[str, Host] | Iterable[Host],
    judge: score_board.Peer | None = None,
    peer: score_board.Peer | None = None,
) -> score_board.ScoreBoard:
    """The score of one peer in the eyes of another: eight parts and their sum, at each heartbeat.

    Args:
        hosts: who judges: one host with GossipSub, several, a mapping from names to hosts, or a simulated internet.
        judge: whose opinion is shown first (a host, a peer id, a name); None for the first host.
        peer: of whom; None for the one with the worst score.
    """
    from libp2p_lab.widgets.score_board import ScoreBoard as Widget

    return Widget(hosts, judge, peer)


def WireLens(
    source: wire_lens.Source, connection: Connection | int | str | None = None
) -> wire_lens.WireLens:
    """The messages of one or more hosts' connections, live, or those of a recording.

    Args:
        source: a host, several hosts, or a recording.
        connection: only this one; a `Connection` or its number.
    """
    from libp2p_lab.widgets.wire_lens import WireLens as Widget

    return Widget(source, connection)


def StreamScope(
    source: sources.Source,
    connection: Connection | int | str | None = None,
    *,
    names: Mapping[str, object] | None = None,
    limits: Limits | None = None,
) -> stream_scope.StreamScope:
    """The streams of one or more connections as lanes of frames, with their windows; live ones can be poked.

    Args:
        source: a host, several hosts, a mapping from names to hosts, a simulated internet, or a recording.
        connection: only this one; a `Connection` or its number.
        names: what else to call peers: names to hosts or peer ids, for a recording.
        limits: what the peers were given, if not the defaults: how large a window is at first.
    """
    from libp2p_lab.widgets.stream_scope import StreamScope as Widget

    return Widget(source, connection, names=names, limits=limits)


async def slow_reader(
    *, window: int = 256 * 1024, frame: int = 16 * 1024, rate: int = 320_000
) -> slow_reader_bench.SlowReader:
    """Two pairs of live peers, one over yamux and one over mplex, with a reader that can be stopped; and their scope.

        bench = await lab.widgets.slow_reader()
        bench               # in a cell: the scope
        bench.stop()        # both readers stop
        await bench.close()

    Args:
        window: bytes that a yamux stream may send at first.
        frame: bytes of one data frame.
        rate: bytes a second that each writer wants to write.
    """
    from libp2p_lab.widgets.slow_reader_bench import SlowReader

    return await SlowReader(window=window, frame=frame, rate=rate).start()


def first_byte(
    *,
    early_muxers: bool = True,
    optimistic: bool = True,
    known: bool = True,
    transport: Literal["tcp", "quic"] = "tcp",
    security: Literal["noise", "tls"] = "noise",
    rtt: float = 0.1,
    seed: int = 1,
) -> Recording:
    """Let bob dial alice in a simulated internet and say hello, and record every packet and message of it.

        lab.widgets.Timeline({
            "as it is": lab.widgets.first_byte(),
            "without early muxers": lab.widgets.first_byte(early_muxers=False),
        })

    Args:
        early_muxers: whether the muxer is settled within the security handshake.
        optimistic: whether proposals are taken as agreed before the answer is there.
        known: whether bob knows beforehand which protocols alice speaks, from an earlier meeting.
        transport: "tcp", or "quic", which has security and muxer of its own.
        security: on TCP.
        rtt: seconds for the way there and back.
        seed: of all chance.
    """
    from libp2p_lab.widgets.first_byte_bench import first_byte as make

    return make(
        early_muxers=early_muxers,
        optimistic=optimistic,
        known=known,
        transport=transport,
        security=security,
        rtt=rtt,
        seed=seed,
    )


def Timeline(
    source: sources.Source | Mapping[str, Recording],
    connection: Connection | int | str | None = None,
    *,
    names: Mapping[str, object] | None = None,
) -> timeline.Timeline:
    """A space-time diagram: a lane for each peer, an arrow for each message; and the round trips, counted.

    Args:
        source: a host, several hosts, a mapping from names to hosts, a simulated internet, or a recording. A mapping
            from titles to recordings is shown as several diagrams on one scale, to be compared.
        connection: only this one; a `Connection` or its number.
        names: what else to call peers: names to hosts or peer ids, for a recording.
    """
    from libp2p_lab.widgets.timeline import Timeline as Widget

    return Widget(source, connection, names=names)


def DialRace(
    source: Host | Recording | None = None, scene: dial_bench.Scene | None = None
) -> dial_race.DialRace:
    """One dial, a lane for each address: whose turn it was when, who failed, who won.

    Args:
        source: a host, whose last dial is shown, live; or a recording. None for peers of its own in a simulated
            internet, where everything can be changed.
        scene: what those are up against at first.
    """
    from libp2p_lab.widgets.dial_race import DialRace as Widget

    return Widget(source, scene)


def XorTree(
    source: xor_live.Source | None = None,
    key: str | bytes | int = "hello",
    *,
    peers: int = 200,
    k: int = 8,
    alpha: int = 3,
    gone: float = 0.0,
    clients: float = 0.0,
    sybils: int = 0,
    numeric: bool = False,
    seed: int = 1,
) -> xor_tree.XorTree:
    """The peers of a DHT as a binary tree: the buckets of one of them, and a lookup that is stepped hop by hop.

    Args:
        source: hosts with a DHT, a mapping from names to them, a simulated internet, or a recording. None makes a
            network of its own, of the lab's own tables and lookups, in which everything can be changed.
        key: what is searched at first: a text or bytes, which are hashed, or a position.
        peers: of its own network, 10 to 10,000.
        k, alpha: places in a bucket, requests in flight; small at first, so that there is something to see. The spec
            says 20 and 10.
        gone: the share of peers that have left, and are in tables still.
        clients: the share that only ask, and are in no table.
        sybils: peers whose ids were made until they were closest to the key.
        numeric: measure distance by subtraction, which is an error.
        seed: of all chance.
    """
    from libp2p_lab.widgets.xor_bench import Scene
    from libp2p_lab.widgets.xor_tree import XorTree as Widget

    scene = Scene(peers, k, alpha, gone, clients, sybils=sybils, numeric=numeric, seed=seed)
    return Widget(source, key, scene)


def LookupRace(
    peers: int = 1000,
    *,
    k: int = 20,
    alphas: tuple[int, ...] = (1, 3, 10),
    gone: float = 0.0,
    lookups: int = 12,
    seed: int = 1,
) -> lookup_race.LookupRace:
    """The same lookups side by side with other numbers of requests in flight, other buckets, other churn.

    Args:
        peers: how many there are, 10 to 10,000.
        k: places in a bucket, and how many are wanted.
        alphas: a lane for each number of requests in flight; the last is the one that sliders change.
        gone: the share of peers that are in tables still and have left.
        lookups: how many searches each lane makes.
        seed: of all chance.
    """
    from libp2p_lab.widgets.lookup_race import LookupRace as Widget

    return Widget(peers, k=k, alphas=alphas, gone=gone, lookups=lookups, seed=seed)


def ProviderMap(
    content: bytes = b"hello",
    *,
    peers: int = 500,
    k: int = 20,
    providers: int = 3,
    republish: float = 22.0,
    expiry: float = 48.0,
    session: float = 8.0,
    quorum: int = 1,
    seed: int = 1,
) -> provider_map.ProviderMap:
    """A key, the peers closest to it, and the provider records that they keep, getting older while a clock runs.

    Args:
        content: what the providers have.
        peers: how many there are.
        k: how many keep a record.
        providers: how many have the content.
        republish: hours between two announcements of a provider.
        expiry: hours that a record is kept.
        session: hours that a peer stays, on average; 0 for ever.
        quorum: how many providers a finder wants.
        seed: of all chance.
    """
    from libp2p_lab.widgets.provider_bench import Plan
    from libp2p_lab.widgets.provider_map import ProviderMap as Widget

    return Widget(Plan(peers, k, providers, republish, expiry, session, quorum, seed), content)


def BlockTrail(
    source: CID | str | bytes | None = None,
    *,
    blocks: Mapping[CID, bytes] | BlockStore | None = None,
    log: Iterable[Entry] | None = None,
    chunk_size: int = 2048,
    width: int = 3,
    peers: int = 3,
    liars: int = 1,
    seed: int = 1,
) -> block_trail.BlockTrail:
    """A CID taken apart, the DAG that it names, and the blocks arriving from several peers, of whom some lie.

    Args:
        source: a CID or its text; or the bytes of a file, which is cut into blocks. None for a file of its own.
        blocks: for a CID: the blocks that are here, by name, so that its DAG can be drawn and fetched; or a store.
        log: for a CID: a recording of the host that fetched it by Bitswap. That fetch is drawn then.
        chunk_size, width: how a file is cut: bytes of a leaf, children of a node. Small, so that there is something to
            see; files on IPFS use 262,144 and 174.
        peers, liars: how many have the file, and how many of them send other bytes.
        seed: of all chance.
    """
    from libp2p_lab.widgets.block_bench import Fetch
    from libp2p_lab.widgets.block_trail import BlockTrail as Widget

    plan = Fetch(peers, liars, seed=seed)
    return Widget(source, blocks=blocks, log=log, chunk_size=chunk_size, width=width, plan=plan)


def ResourceMeter(source: sources.Source) -> resource_meter.ResourceMeter:
    """What others use of live hosts, scope by scope, beside what they may; and whom the limits refused.

    Args:
        source: a host, several, a mapping from names to hosts, or a simulated internet.
    """
    from libp2p_lab.widgets.resource_meter import ResourceMeter as Widget

    return Widget(source)


def KeyLab(key: KeyPair | PublicKey | None = None) -> key_lab.KeyLab:
    """The way from a key to its peer id, byte by byte, and pokes at it.

    Args:
        key: whose way to show; None makes a fresh Ed25519 key.
    """
    from libp2p_lab.widgets.key_lab import KeyLab as Widget

    return Widget(key)


def HandshakeStepper(
    alice: KeyPair | None = None, bob: KeyPair | None = None, protocol: str = "noise"
) -> handshake_stepper.HandshakeStepper:
    """A handshake one message at a time: what both sides hold, who knows what, and what mallory may try.

    Args:
        alice: who dials; None makes a fresh key.
        bob: who is dialed.
        protocol: "noise", "tls" or "plaintext".
    """
    from libp2p_lab.widgets.handshake_stepper import HandshakeStepper as Widget

    return Widget(alice, bob, protocol)


def StackBuilder(host: Host) -> stack_builder.StackBuilder:
    """The eight layers of a live peer: look into each; take one out, and dial.

    Args:
        host: the peer; it must listen somewhere to be dialed.
    """
    from libp2p_lab.widgets.stack_builder import StackBuilder as Widget

    return Widget(host)


def CrawlBoard(crawler: Crawler, seeds: Iterable[Seed] = ()) -> crawl_board.CrawlBoard:
    """A crawl as it goes on: counts over time, what peers run and speak, the latest of them, who came and left.

    Args:
        crawler: who crawls: `lab.Crawler(host)`.
        seeds: whom to begin with, for the board's button and its `crawl`.
    """
    from libp2p_lab.widgets.crawl_board import CrawlBoard as Widget

    return Widget(crawler, seeds)


def CheckPanel(book: check_panel.Book) -> check_panel.CheckPanel:
    """Progress by learning objective, the exercises with their hints, and all of it as CSV.

    Args:
        book: the workbook to show; in a notebook `lab.workbook`.
    """
    from libp2p_lab.widgets.check_panel import CheckPanel as Widget

    return Widget(book)


def Chart(
    series: Mapping[str, Sequence[float]],
    *,
    title: str = "",
    x_label: str = "",
    percent: bool = False,
    reference: float | None = None,
) -> chart.Chart:
    """One panel of bars for each series, one above the other, on one scale.

    Args:
        series: a name and its values, for each panel; all of one length.
        title: what is shown.
        x_label: what the positions are; they are counted from 1.
        percent: the values are shares from 0 to 1.
        reference: a value to draw as a dashed line in each panel, such as an expectation.
    """
    from libp2p_lab.widgets.chart import Chart as Widget

    return Widget(series, title=title, x_label=x_label, percent=percent, reference=reference)
