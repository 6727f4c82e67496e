// A js-libp2p peer in a web page. test_browser.py bundles this, opens a page with it, and calls what is in `peer`.

import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { peerIdFromString } from '@libp2p/peer-id'
import { ping } from '@libp2p/ping'
import { webRTCDirect } from '@libp2p/webrtc'
import { webTransport } from '@libp2p/webtransport'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

const ECHO = '/echo/1.0.0'
const MANY = { maxInboundStreams: 512, maxOutboundStreams: 512 }

let node
const agents = new Map() // peer id -> what it says it is

function read (stream, take) {
  return new Promise((resolve, reject) => {
    stream.addEventListener('message', ({ data }) => { take(data.subarray()) })
    stream.addEventListener('end', () => { if (!['reset', 'aborted'].includes(stream.status)) resolve() })
    stream.addEventListener('close', ({ error }) => error == null ? resolve() : reject(error))
    if (stream.readableEnded) resolve() // all of it came before anybody listened
  })
}

async function serveEcho (stream) {
  try {
    let sent = Promise.resolve()
    await read(stream, piece => {
      sent = sent.then(() => stream.send(piece) || stream.onDrain())
      sent.catch(() => {})
    })
    await sent
    await stream.close()
  } catch (error) {
    stream.abort(error)
  }
}

// Each byte says where it stands, so that lost and swapped pieces show.
function piece (start, length) {
  return Uint8Array.from({ length }, (_, n) => (start + n) % 251)
}

async function echoOnce (id, size) {
  const stream = await node.dialProtocol(peerIdFromString(id), ECHO)
  let count = 0
  const answer = read(stream, data => {
    for (const byte of data) if (byte !== count++ % 251) count = NaN
  })
  answer.catch(() => {})
  for (let sent = 0; sent < size; sent += 50_000) {
    if (!stream.send(piece(sent, Math.min(50_000, size - sent)))) await stream.onDrain()
  }
  await stream.close()
  await answer
  return count === size
}

globalThis.peer = {
  async start () {
    node = await createLibp2p({
      connectionGater: { denyDialMultiaddr: () => false }, // or a page dials no loopback addresses
      transports: [webTransport(), webRTCDirect({ rtcConfiguration: { iceServers: [] } })],
      connectionEncrypters: [noise()],
      services: { identify: identify(), ping: ping() }
    })
    node.addEventListener('peer:identify', ({ detail }) => agents.set(detail.peerId.toString(), detail.agentVersion))
    await node.handle(ECHO, serveEcho, MANY)
    return node.peerId.toString()
  },
  async dial (addr) {
    const connection = await node.dial(multiaddr(addr))
    return connection.multiplexer
  },
  async identify (id) {
    while (!agents.has(id)) await new Promise(resolve => setTimeout(resolve, 20))
    return agents.get(id)
  },
  ping: id => node.services.ping.ping(peerIdFromString(id)),
  echo: echoOnce,
  async streams (id, count) {
    const answers = await Promise.all(Array.from({ length: count }, () => echoOnce(id, 1024)))
    return answers.filter(Boolean).length
  },
  async reset (id) {
    const stream = await node.dialProtocol(peerIdFromString(id), ECHO)
    stream.abort(new Error('on purpose'))
  },
  connections: () => node.getConnections().length,
  stop: () => node.stop()
}
