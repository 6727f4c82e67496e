// js-libp2p at the benchmark's tasks, both ends in this process. Prints the samples as one line of JSON.
//
// Of wall time and process time the smaller one counts: in doubt for js-libp2p.
// bench/others.py runs this text in the folder where js-libp2p is installed.

import { echo } from '@libp2p/echo'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'

const PIECE = 64 * 1024
const SINK = '/bench/sink/1.0.0'

function createNode (listen = true, services = {}) {
  return createLibp2p({
    addresses: { listen: listen ? ['/ip4/127.0.0.1/tcp/0'] : [] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionManager: { inboundConnectionThreshold: 100_000 },
    services: { identify: identify(), ping: ping(), echo: echo({ maxInboundStreams: 512 }), ...services }
  })
}

async function twoNodes () {
  const [alice, bob] = [await createNode(), await createNode(false)]
  await bob.dial(alice.getMultiaddrs()[0])
  await new Promise(resolve => setTimeout(resolve, 200)) // identify runs by itself
  return [alice, bob]
}

async function seconds (work) {
  globalThis.gc?.()
  const [cpu, wall] = [process.cpuUsage(), performance.now()]
  await work()
  const { user, system } = process.cpuUsage(cpu)
  return Math.min((user + system) / 1e6, (performance.now() - wall) / 1e3)
}

async function repeat (times, sample) {
  await sample() // warms up
  const values = []
  for (let n = 0; n < times; n++) values.push(await sample())
  return values
}

function resident () {
  globalThis.gc?.()
  return process.memoryUsage().rss
}

async function ring (nodes) {
  for (let n = 0; n < nodes.length; n++) {
    await nodes[n].dial(nodes[(n + 1) % nodes.length].getMultiaddrs()[0])
  }
}

async function createNodes (count) {
  const nodes = []
  for (let n = 0; n < count; n++) nodes.push(await createNode())
  return nodes
}

// Nodes that know one another: each has joined through the first, and looked for itself. The last is a client.
async function dhtNodes (count) {
  const nodes = []
  for (let n = 0; n < count; n++) {
    const clientMode = n === count - 1
    const dht = kadDHT({ protocol: '/ipfs/kad/1.0.0', clientMode, peerInfoMapper: passthroughMapper })
    nodes.push(await createNode(true, { dht }))
  }
  for (const node of nodes.slice(1)) await node.dial(nodes[0].getMultiaddrs()[0])
  await new Promise(resolve => setTimeout(resolve, 2000)) // identify, and then the table, fill by themselves
  for (const node of nodes) {
    for await (const event of node.services.dht.getClosestPeers(node.peerId.toMultihash().bytes)) void event
  }
  return nodes
}

let keys = 0
function newCid () {
  const digest = new Uint8Array(32)
  new DataView(digest.buffer).setUint32(0, ++keys * 2654435761 % 4294967296)
  return CID.createV1(0x55, Digest.create(0x12, digest))
}

async function provide (node) {
  const cid = newCid()
  for await (const event of node.services.dht.provide(cid)) void event
  return cid
}

async function heliaNode (listen) {
  const { createHeliaLight } = await import('helia')
  const { withBitswap } = await import('@helia/bitswap')
  const { unixfs } = await import('@helia/unixfs')
  const node = await createNode(listen)
  const helia = withBitswap(Object.assign(createHeliaLight(), { libp2p: node }))
  await helia.start()
  return { node, helia, files: unixfs(helia) }
}

const tasks = {
  async fetch (mebibytes, times) {
    const { fixedSize } = await import('ipfs-unixfs-importer/chunker')
    const size = mebibytes * 1024 * 1024
    const data = new Uint8Array(size)
    for (let n = 0; n < size; n += PIECE) globalThis.crypto.getRandomValues(data.subarray(n, n + PIECE))
    const alice = await heliaNode(true)
    const cid = await alice.files.addBytes(data, { chunker: fixedSize({ chunkSize: 256 * 1024 }) })
    return repeat(times, async () => {
      const bob = await heliaNode(false)
      await bob.node.dial(alice.node.getMultiaddrs()[0])
      await new Promise(resolve => setTimeout(resolve, 200)) // identify runs by itself
      let left = size
      const time = await seconds(async () => {
        for await (const piece of bob.files.cat(cid)) left -= piece.byteLength
      })
      if (left !== 0) throw new Error(`${left} bytes are missing`)
      await bob.helia.stop()
      await bob.node.stop()
      return size / 1e6 / time // MB/s
    })
  },

  async dht_provide (peers, count, times) {
    const nodes = await dhtNodes(peers)
    return repeat(times, async () => 1e3 / count * await seconds(async () => {
      for (let n = 0; n < count; n++) await provide(nodes[n % (peers - 1)])
    })) // ms
  },

  async dht_find (peers, count, times) {
    const nodes = await dhtNodes(peers)
    return repeat(times, async () => {
      const provided = []
      for (let n = 0; n < count; n++) provided.push(await provide(nodes[n % (peers - 1)]))
      await new Promise(resolve => setTimeout(resolve, 500))
      return 1e3 / count * await seconds(async () => {
        const { dht } = nodes[peers - 1].services
        for (const cid of provided) {
          for await (const event of dht.findProviders(cid)) if (event.name === 'PROVIDER' && event.providers.length > 0) break
        }
      })
    }) // ms
  },

  async throughput (mebibytes, times) {
    const [alice, bob] = await twoNodes()
    const size = mebibytes * 1024 * 1024
    let finished
    await alice.handle(SINK, stream => {
      let left = size
      stream.addEventListener('message', ({ data }) => {
        left -= data.byteLength
        if (left <= 0) finished()
      })
    })
    const piece = new Uint8Array(PIECE)
    return repeat(times, async () => {
      const stream = await bob.dialProtocol(alice.getMultiaddrs()[0], SINK)
      const arrived = new Promise(resolve => { finished = resolve })
      const time = await seconds(async () => {
        for (let sent = 0; sent < size; sent += PIECE) {
          if (!stream.send(piece)) await stream.onDrain()
        }
        await arrived
      })
      await stream.close()
      return size / 1e6 / time // MB/s
    })
  },

  async ping (count, times) {
    const [alice, bob] = await twoNodes()
    const stream = await bob.dialProtocol(alice.getMultiaddrs()[0], '/ipfs/ping/1.0.0')
    let answered
    stream.addEventListener('message', () => answered())
    const message = new Uint8Array(32)
    return repeat(times, async () => 1e6 / count * await seconds(async () => {
      for (let n = 0; n < count; n++) {
        const answer = new Promise(resolve => { answered = resolve })
        stream.send(message)
        await answer
      }
    })) // µs
  },

  async streams (count, times) {
    const [alice, bob] = await twoNodes()
    const addr = alice.getMultiaddrs()[0]
    const message = new Uint8Array(32)
    await bob.dial(addr)
    return repeat(times, async () => count / await seconds(async () => {
      for (let n = 0; n < count; n++) {
        const stream = await bob.dialProtocol(addr, '/echo/1.0.0')
        const answer = new Promise(resolve => { stream.addEventListener('message', resolve) })
        stream.send(message)
        await answer
        await stream.close()
      }
    })) // a second
  },

  async connections (count, times) {
    const alice = await createNode()
    const bob = await createNode(false)
    return repeat(times, async () => {
      let total = 0
      for (let n = 0; n < count; n++) {
        total += await seconds(() => bob.dial(alice.getMultiaddrs()[0]))
        await bob.hangUp(alice.peerId)
      }
      return count / total // a second
    })
  },

  async host_memory (count) {
    await createNodes(10)
    const before = resident()
    const nodes = await createNodes(count)
    return [(resident() - before) / nodes.length / 1024] // KiB
  },

  async connection_memory (count) {
    await ring(await createNodes(10))
    const nodes = await createNodes(count)
    const before = resident()
    await ring(nodes)
    await new Promise(resolve => setTimeout(resolve, 2000)) // identify runs by itself
    return [(resident() - before) / count / 1024] // KiB
  },

  // Each message of each node to all others; those that wait for one that was lost give up.
  async pubsub (count, rounds, size, times) {
    const [topic, chords] = ['bench', [1, 3, 7]]
    const nodes = []
    for (let n = 0; n < count; n++) nodes.push(await createNode(true, { pubsub: gossipsub() }))
    for (let n = 0; n < count; n++) {
      for (const step of chords) await nodes[n].dial(nodes[(n + step) % count].getMultiaddrs()[0])
    }
    let left = 0
    let finished
    for (const node of nodes) {
      node.services.pubsub.subscribe(topic)
      node.services.pubsub.addEventListener('message', ({ detail }) => {
        if (!node.peerId.equals(detail.from) && --left === 0) finished()
      })
    }
    await new Promise(resolve => setTimeout(resolve, 5000))
    const oneRound = async () => {
      left = count * (count - 1)
      const all = new Promise((resolve, reject) => {
        finished = resolve
        setTimeout(() => reject(new Error(`${left} deliveries are missing`)), 60_000).unref()
      })
      // A byte of its own for each: js-libp2p names messages by author and number, this is for the eye.
      for (const [n, node] of nodes.entries()) await node.services.pubsub.publish(topic, new Uint8Array(size).fill(n))
      await all
    }
    return repeat(times, async () => {
      const time = await seconds(async () => { for (let n = 0; n < rounds; n++) await oneRound() })
      return rounds * count * (count - 1) / time // a second
    })
  },

  async hosts (count, times) {
    const samples = []
    for (let n = 0; n < times; n++) {
      samples.push(await seconds(async () => ring(await createNodes(count))))
    }
    return samples // s
  }
}

const [name, ...numbers] = process.argv.slice(1) // there is no file name in it
console.log(JSON.stringify(await tasks[name](...numbers.map(Number))))
process.exit(0)
