// A js-libp2p peer that is driven by lines of JSON: requests on stdin, replies and events on stdout.
//
//   {"id": 1, "cmd": "start", "listen": ["/ip4/127.0.0.1/tcp/0"]}
//   {"id": 1, "result": {"peer_id": "12D3KooW…", "addrs": ["/ip4/127.0.0.1/tcp/40123/p2p/12D3KooW…"]}}
//   {"event": "connection:open", "peer_id": "…", "direction": "inbound", …}
//   {"id": 2, "error": {"name": "UnexpectedPeerError", "message": "…"}}
//
// Requests run side by side. The program ends with its stdin, so it never outlives its caller.
// libp2p_lab/foreign.py is the other end; peer.py in tests/interop/py speaks the same language with py-libp2p.

import { createHash, randomBytes } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { autoNAT } from '@libp2p/autonat'
import { autoNATv2 } from '@libp2p/autonat-v2'
import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import {
  generateKeyPair,
  privateKeyFromProtobuf,
  privateKeyToProtobuf
} from '@libp2p/crypto/keys'
import { dcutr } from '@libp2p/dcutr'
import { echo } from '@libp2p/echo'
import { fetch } from '@libp2p/fetch'
import { floodsub } from '@libp2p/floodsub'
import { gossipsub } from '@libp2p/gossipsub'
import { identify, identifyPush } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { mdns } from '@libp2p/mdns'
import { mplex } from '@libp2p/mplex'
import { noise } from '@libp2p/noise'
import { peerIdFromString } from '@libp2p/peer-id'
import { ping } from '@libp2p/ping'
import { preSharedKey } from '@libp2p/pnet'
import { plaintext } from '@libp2p/plaintext'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'

const ECHO = '/echo/1.0.0'
const PERF = '/perf/1.0.0'
const STREAMS = 512 // of one protocol at once, each way
const BLOCK = 64 * 1024
const NOISE = randomBytes(1024 * 1024) // what is sent is cut from this, never from the start

const KEY_TYPES = { ed25519: 'Ed25519', secp256k1: 'secp256k1', ecdsa: 'ECDSA', rsa: 'RSA' }
const SECURITY = { noise, tls, plaintext }
// Tests open more streams at once than the five a second after which mplex ends the connection.
const MUXERS = { yamux, mplex: () => mplex({ disconnectThreshold: 10_000 }) }
const PUBSUB = { gossipsub, floodsub }
const FULL_DUPLEX = { maxInboundStreams: STREAMS, maxOutboundStreams: STREAMS }

let node
let files // Helia's, if it runs
const identified = new Map() // peer id -> the newest result of identify
const identifying = new EventEmitter() // says the peer id when there is one

function say (line) {
  process.stdout.write(JSON.stringify(line) + '\n')
}

function pick (table, names, kind) {
  return names.map(name => {
    if (table[name] == null) throw new TypeError(`no ${kind} is called ${name}`)
    return table[name]()
  })
}

function describe (connection) {
  return {
    peer_id: connection.remotePeer.toString(),
    remote_addr: connection.remoteAddr.toString(),
    direction: connection.direction,
    security: connection.encryption,
    muxer: connection.multiplexer,
    limited: connection.limits != null
  }
}

function whom ({ peer_id: id, addr }) {
  return addr == null ? peerIdFromString(id) : multiaddr(addr)
}

// The n-th block of what we send: no two neighbours alike, so that lost or swapped blocks change the hash.
function block (n, length) {
  const start = 1 + (n * 4099) % (NOISE.length - BLOCK - 1)
  return NOISE.subarray(start, start + length)
}

async function send (stream, size, hash) {
  for (let sent = 0, n = 0; sent < size; n++) {
    const piece = block(n, Math.min(BLOCK, size - sent))
    hash?.update(piece)
    sent += piece.length
    if (!stream.send(piece)) await stream.onDrain()
  }
}

// Reads to the other side's half close and keeps nothing but the count and the hash.
function drain (stream, hash) {
  return new Promise((resolve, reject) => {
    let count = 0
    const finish = error => { error == null ? resolve(count) : reject(error) }
    stream.addEventListener('message', ({ data }) => {
      count += data.byteLength
      for (const piece of data instanceof Uint8Array ? [data] : data) hash?.update(piece)
    })
    // A reset is an 'end' too; its error comes with 'close', right after.
    stream.addEventListener('end', () => { if (!['reset', 'aborted'].includes(stream.status)) finish() })
    stream.addEventListener('close', ({ error }) => finish(error))
    if (stream.readableEnded) finish()
  })
}

async function echoOnce (stream, size) {
  const sent = createHash('sha256')
  const received = createHash('sha256')
  const answer = drain(stream, received)
  answer.catch(() => {}) // it is awaited below; until then a failure to send is the better story
  await send(stream, size, sent)
  await stream.close() // for writing
  const count = await answer
  return { count, sha256: received.digest('hex'), sent_sha256: sent.digest('hex') }
}

// Answers /echo/1.0.0. @libp2p/echo 3.1.0 stands beside it under another name: it reads with `for await`, which
// (in @libp2p/utils 7) waits for ever if the caller's half close arrived before the loop began.
async function serveEcho (stream) {
  try {
    let sent = Promise.resolve()
    const update = piece => {
      sent = sent.then(() => stream.send(piece) || stream.onDrain())
      sent.catch(() => {}) // awaited below, if the reading ends well
    }
    await drain(stream, { update })
    await sent
    await stream.close()
  } catch (error) {
    stream.abort(error)
  }
}

// Answers /perf/1.0.0: eight bytes say how many to send back once the caller has finished.
async function servePerf (stream) {
  try {
    const head = []
    stream.addEventListener('message', ({ data }) => {
      for (const byte of data.subarray(0, 8 - head.length)) head.push(byte)
    })
    await drain(stream)
    await send(stream, Number(Buffer.from(head).readBigUInt64BE()))
    await stream.close()
  } catch (error) {
    stream.abort(error)
  }
}

// The DHT with the records of one namespace more: /n/… holds a number in digits, and the highest is the best.
function numbersDHT () {
  const text = value => Buffer.from(value).toString()
  return kadDHT({
    protocol: '/ipfs/kad/1.0.0',
    clientMode: false,
    peerInfoMapper: passthroughMapper, // it would leave out the addresses of loopback
    validators: {
      n: (key, value) => { if (!/^[0-9]+$/.test(text(value))) throw new Error(`not a number: ${text(value)}`) }
    },
    selectors: { n: (key, values) => values.map(text).map(Number).reduce((b, v, i, all) => v > all[b] ? i : b, 0) }
  })
}

function cidOf (multihash) {
  return CID.createV1(0x55, Digest.decode(Buffer.from(multihash, 'hex')))
}

// Helia upon the peer that we are: blocks by Bitswap, found through the DHT where there is one.
async function startHelia () {
  const { createHeliaLight } = await import('helia')
  const { withBitswap } = await import('@helia/bitswap')
  const { unixfs } = await import('@helia/unixfs')
  const helia = withBitswap(Object.assign(createHeliaLight(), { libp2p: node }))
  if (node.services.dht != null) {
    helia.addRouter({
      name: 'dht',
      async * findProviders (cid, options) {
        for await (const { id, multiaddrs } of node.contentRouting.findProviders(cid, options)) {
          yield { id: id.toCID(), multiaddrs, router: 'dht', fallback: false }
        }
      }
    })
  }
  await helia.start()
  files = unixfs(helia)
}

function found (peer) {
  return { peer_id: peer.id.toString(), addrs: peer.multiaddrs.map(String) }
}

// mDNS that tells what it hears; libp2p's own event "peer:discovery" tells of whoever dials us as well.
function calling (components) {
  const discovery = mdns()(components)
  discovery.addEventListener('peer', ({ detail }) => say({ event: 'discovered', ...found(detail) }))
  return discovery
}

const commands = {
  async start ({
    key_type: type = 'ed25519',
    private_key: key,
    listen = ['/ip4/127.0.0.1/tcp/0'],
    security = ['noise'],
    muxers = ['yamux'],
    tls_key: tlsKey,
    tls_cert: tlsCert,
    swarm_key: swarmKey,
    pubsub,
    pubsub_options: pubsubOptions = {},
    dht = false,
    bitswap = false, // Helia
    circuit = false, // dials and listens through relays
    relay, // options of a relay; is none without
    punches = false, // by DCUtR
    calls = false, // out to the local network, by mDNS; whom it finds is told as events "discovered"
    autonat = [], // versions of the protocol that it asks by, and answers
    dial_timeout: dialTimeout, // in milliseconds
    announce = [] // addresses to tell besides those at which it listens
  }) {
    if (node != null) throw new Error('already started')
    if (KEY_TYPES[type] == null) throw new TypeError(`no key type is called ${type}`)
    const privateKey = key == null
      ? await generateKeyPair(KEY_TYPES[type])
      : privateKeyFromProtobuf(Buffer.from(key, 'hex'))
    const transports = [tcp(), webSockets(tlsKey == null ? {} : { https: { key: tlsKey, cert: tlsCert } })]
    // The code of these two is native and not made for every machine, so it is loaded only where asked for.
    if (listen.some(addr => addr.includes('/quic-v1'))) transports.push((await import('@chainsafe/libp2p-quic')).quic())
    if (listen.some(addr => addr.includes('/webrtc-direct'))) {
      // Without a list of its own it would ask servers of the public network where it is.
      transports.push((await import('@libp2p/webrtc')).webRTCDirect({ rtcConfiguration: { iceServers: [] } }))
    }
    if (circuit || listen.some(addr => addr.includes('/p2p-circuit'))) transports.push(circuitRelayTransport())
    node = await createLibp2p({
      privateKey,
      addresses: { listen, appendAnnounce: announce },
      transports,
      peerDiscovery: calls ? [calling] : [],
      connectionProtector: swarmKey == null ? undefined : preSharedKey({ psk: Buffer.from(swarmKey) }),
      connectionEncrypters: pick(SECURITY, security, 'secure channel'),
      streamMuxers: pick(MUXERS, muxers, 'muxer'),
      // Tests connect more often from one address than the five times a second that are let in otherwise.
      connectionManager: { inboundConnectionThreshold: 1000, ...(dialTimeout == null ? {} : { dialTimeout }) },
      services: {
        // one stream at a time is its default: too few for a peer that asks by itself and is told to ask
        identify: identify({ maxInboundStreams: 16 }),
        identifyPush: identifyPush(),
        ping: ping(),
        echo: echo({ protocolPrefix: 'package', timeout: 3_000 }),
        fetch: fetch(),
        ...(pubsub == null ? {} : { pubsub: PUBSUB[pubsub](pubsubOptions) }),
        ...(dht ? { dht: numbersDHT() } : {}),
        ...(relay == null ? {} : { relay: circuitRelayServer(relay) }),
        ...(punches ? { dcutr: dcutr() } : {}),
        ...(autonat.includes(1) ? { autonat: autoNAT() } : {}),
        ...(autonat.includes(2) ? { autonat2: autoNATv2() } : {})
      }
    })
    node.services.pubsub?.addEventListener('message', ({ detail }) => {
      say({
        event: 'message',
        topic: detail.topic,
        data: Buffer.from(detail.data).toString('hex'),
        author: detail.type === 'signed' ? detail.from.toString() : null
      })
    })
    node.addEventListener('connection:open', ({ detail }) => {
      say({ event: 'connection:open', ...describe(detail) })
    })
    node.addEventListener('connection:close', ({ detail }) => {
      say({ event: 'connection:close', ...describe(detail) })
    })
    node.addEventListener('peer:identify', ({ detail }) => {
      identified.set(detail.peerId.toString(), detail)
      identifying.emit(detail.peerId.toString())
    })
    await node.handle(ECHO, serveEcho, { ...FULL_DUPLEX, runOnLimitedConnection: true })
    await node.handle(PERF, servePerf, { ...FULL_DUPLEX, runOnLimitedConnection: true })
    if (bitswap) await startHelia()
    return { ...commands.addrs(), private_key: Buffer.from(privateKeyToProtobuf(privateKey)).toString('hex') }
  },

  // What runs here: the program's name, its version and the version of Node.
  version () {
    const manifest = new URL('./node_modules/libp2p/package.json', import.meta.url)
    const { version } = JSON.parse(readFileSync(manifest, 'utf8'))
    return { name: 'js-libp2p', version, runtime: `Node ${process.version}` }
  },

  addrs () {
    return {
      peer_id: node.peerId.toString(),
      addrs: node.getMultiaddrs().map(String),
      protocols: node.getProtocols()
    }
  },

  async dial ({ addr, peer_id: id }) {
    return describe(await node.dial(whom({ addr, peer_id: id })))
  },

  connections () {
    return node.getConnections().map(describe)
  },

  // What identify has told us of a peer; waits for it, for it runs by itself after each connection.
  async identify ({ peer_id: id }) {
    if (!identified.has(id)) await once(identifying, id, { signal: AbortSignal.timeout(15_000) })
    const result = identified.get(id)
    const record = result.signedPeerRecord
    return {
      agent: result.agentVersion ?? null,
      protocol_version: result.protocolVersion ?? null,
      protocols: result.protocols,
      listen_addrs: result.listenAddrs.map(String),
      observed_addr: result.observedAddr?.toString() ?? null,
      signed_record: record == null
        ? null
        : { seq: Number(record.seq), addrs: record.addresses.map(String) }
    }
  },

  // Serves one more protocol, by the echo. Whoever is connected is told of it by identify push.
  async serve ({ protocol }) {
    await node.handle(protocol, serveEcho, FULL_DUPLEX)
    return null
  },

  // What a peer speaks as far as is known by now.
  known_protocols ({ peer_id: id }) {
    return identified.get(id)?.protocols ?? []
  },

  async ping (target) {
    return { milliseconds: await node.services.ping.ping(whom(target)) }
  },

  // Sends `size` bytes, closes for writing, and reads them back. Without `negotiate_fully` the first bytes travel
  // with the proposal of the protocol, before the other side has agreed to it.
  async echo ({ size = 0, negotiate_fully: negotiateFully = true, limited = false, ...target }) {
    const stream = await node.dialProtocol(whom(target), ECHO, { negotiateFully, runOnLimitedConnection: limited })
    return echoOnce(stream, size)
  },

  // Opens `count` streams before the first byte goes over any of them, then echoes over all at once.
  async streams ({ count, size = 1024, ...target }) {
    const target_ = whom(target)
    const streams = await Promise.all(Array.from({ length: count }, () => node.dialProtocol(target_, ECHO)))
    const answers = await Promise.all(streams.map(stream => echoOnce(stream, size)))
    const echoed = answers.filter(a => a.count === size && a.sha256 === a.sent_sha256).length
    return { opened: streams.length, echoed }
  },

  serve_fetch ({ prefix, values }) {
    node.services.fetch.registerLookupFunction(prefix, async key => {
      const value = values[Buffer.from(key).toString()]
      return value == null ? undefined : Buffer.from(value, 'hex')
    })
    return null
  },

  async fetch ({ key, ...target }) {
    const value = await node.services.fetch.fetch(whom(target), key)
    return value == null ? null : Buffer.from(value).toString('hex')
  },

  async perf ({ upload, download, ...target }) {
    const stream = await node.dialProtocol(whom(target), PERF, { runOnLimitedConnection: true })
    const started = performance.now()
    const answer = drain(stream)
    answer.catch(() => {})
    const head = Buffer.alloc(8)
    head.writeBigUInt64BE(BigInt(download))
    stream.send(head)
    await send(stream, upload)
    await stream.close()
    const downloaded = await answer
    return { uploaded: upload, downloaded, seconds: (performance.now() - started) / 1000 }
  },

  // Asks for a protocol that may not be there; which one was agreed on.
  async negotiate ({ protocols, ...target }) {
    const stream = await node.dialProtocol(whom(target), protocols)
    const { protocol } = stream
    stream.abort(new Error('only the name was wanted'))
    return protocol
  },

  // Gets a place at a relay. The addresses that come of it.
  async reserve ({ addr }) {
    await node.components.transportManager.listen([multiaddr(`${addr}/p2p-circuit`)])
    return commands.addrs()
  },

  // What it knows of its own addresses: of which kind they are, and whether AutoNAT has found them reachable.
  own_addrs () {
    return node.components.addressManager.getAddressesWithMetadata()
      .map(({ multiaddr, type, verified }) => ({ addr: multiaddr.toString(), type, verified }))
  },

  // A router of ours passes a port on, it is told. Whether that is so is for AutoNAT to find out.
  map_port ({ inner_ip: ip, inner_port: port, outer_ip: outerIp, outer_port: outerPort }) {
    node.components.addressManager.addPublicAddressMapping(ip, port, outerIp, outerPort, 'tcp')
    return null
  },

  // Who has a place at the relay that we are.
  reservations () {
    return Array.from(node.services.relay.reservations.keys()).map(String)
  },

  subscribe ({ topic }) {
    node.services.pubsub.subscribe(topic)
    return null
  },

  unsubscribe ({ topic }) {
    node.services.pubsub.unsubscribe(topic)
    return null
  },

  // What arrives is told as events "message".
  async publish ({ topic, data }) {
    const { recipients } = await node.services.pubsub.publish(topic, Buffer.from(data, 'hex'))
    return recipients.map(String)
  },

  pubsub_peers () {
    return node.services.pubsub.getPeers().map(String)
  },

  subscribers ({ topic }) {
    return node.services.pubsub.getSubscribers(topic).map(String)
  },

  mesh ({ topic }) {
    return node.services.pubsub.getMeshPeers(topic).map(String)
  },

  // Connects, and waits until the other is in the routing table.
  async dht_join (target) {
    const { remotePeer } = await node.dial(whom(target))
    while (await node.services.dht.routingTable.find(remotePeer) == null) {
      await new Promise(resolve => setTimeout(resolve, 50))
    }
    return remotePeer.toString()
  },

  async find_peer ({ peer_id: id }) {
    for await (const event of node.services.dht.findPeer(peerIdFromString(id))) {
      if (event.name === 'FINAL_PEER') return found(event.peer)
    }
    return null
  },

  async closest_peers ({ key }) {
    const peers = []
    for await (const event of node.services.dht.getClosestPeers(Buffer.from(key, 'hex'))) {
      if (event.name === 'FINAL_PEER') peers.push(event.peer.id.toString())
    }
    return peers
  },

  async provide ({ multihash }) {
    for await (const event of node.services.dht.provide(cidOf(multihash))) void event
    return null
  },

  async find_providers ({ multihash }) {
    const providers = new Map()
    for await (const event of node.services.dht.findProviders(cidOf(multihash))) {
      if (event.name === 'PROVIDER') event.providers.forEach(p => providers.set(p.id.toString(), found(p)))
    }
    return [...providers.values()]
  },

  async put_value ({ key, value }) {
    for await (const event of node.services.dht.put(Buffer.from(key), Buffer.from(value, 'hex'))) void event
    return null
  },

  async get_value ({ key }) {
    let value = null
    for await (const event of node.services.dht.get(Buffer.from(key))) {
      if (event.name === 'VALUE') value = Buffer.from(event.value).toString('hex')
    }
    return value
  },

  // Cuts a file into blocks that Bitswap serves: its name. Without numbers Helia takes its own.
  async add_file ({ path, chunk_size: chunkSize, width }) {
    const { fixedSize } = await import('ipfs-unixfs-importer/chunker')
    const { balanced } = await import('ipfs-unixfs-importer/layout')
    const options = {
      ...(chunkSize == null ? {} : { chunker: fixedSize({ chunkSize }) }),
      ...(width == null ? {} : { layout: balanced({ maxChildrenPerNode: width }) })
    }
    return (await files.addBytes(readFileSync(path), options)).toString()
  },

  // Fetches a file from whoever has it.
  async fetch_file ({ cid, path }) {
    const pieces = []
    const started = performance.now()
    for await (const piece of files.cat(CID.parse(cid), { signal: AbortSignal.timeout(50_000) })) pieces.push(piece)
    const seconds = (performance.now() - started) / 1000
    writeFileSync(path, Buffer.concat(pieces))
    return { seconds }
  },

  async close_connection ({ peer_id: id }) {
    await node.hangUp(peerIdFromString(id))
    return null
  },

  async stop () {
    await node?.stop()
    return null
  }
}

function explain (error) {
  const causes = (error.errors ?? [error.cause]).filter(cause => cause instanceof Error)
  return { name: error.name, message: error.message, causes: causes.map(explain) }
}

async function answer (line) {
  const { id, cmd, ...args } = JSON.parse(line)
  try {
    const command = commands[cmd]
    if (command == null) throw new TypeError(`no command is called ${cmd}`)
    if (node == null && !['start', 'stop', 'version'].includes(cmd)) throw new Error('not started')
    say({ id, result: await command(args) })
  } catch (error) {
    say({ id, error: explain(error) })
  }
  if (cmd === 'stop') process.stdout.write('', () => process.exit(0))
}

process.stdout.on('error', () => process.exit(1)) // nobody listens any more
const requests = createInterface({ input: process.stdin })
requests.on('line', answer)
requests.on('close', async () => {
  setTimeout(() => process.exit(0), 2000).unref()
  await commands.stop().catch(() => {})
  process.exit(0)
})
