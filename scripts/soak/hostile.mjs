// Peers that do not behave, by node:net and node:tls, in a process of their own: they come, go, reset, stall and flood, and
// use up the descriptors of a server.

import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'

import { counts, obey } from './child.mjs'
import { framed, requestOf } from './messages.mjs'
import { Random, pause } from './random.mjs'

const [seed = '1', crowd = '300'] = process.argv.slice(2)
const random = new Random(Number(seed))
/** Peers that are there at once, of all kinds together. */
const lanes = 24
/** Milliseconds that they stall at most: longer than the servers allow. */
const longest = 7_000

const open = new Set()
let isStormy = false
Object.assign(counts, { peers: 0, crowds: 0 })

function peer(place, isTls = false) {
  const options = { ...place, servername: 'localhost', rejectUnauthorized: false }
  const socket = isTls ? connectTls(options) : connect(place)
  counts.peers += 1
  open.add(socket)
  socket.on('error', () => {})
  socket.on('close', () => open.delete(socket))
  return socket
}

/** Only TCP has a reset, and node:tls hides it. */
const reset = (socket) =>
  socket.remoteAddress && !socket.encrypted ? socket.resetAndDestroy() : socket.destroy()

const request = () => framed(requestOf(random, random.below(5_000)))

/** Each takes a socket, and does with it what it likes for a while. */
const kinds = {
  goes: async (socket) => {
    socket.write(request())
    await pause(random.below(50))
    socket.end()
    socket.resume()
  },
  resets: async (socket) => {
    for (let count = random.below(20); count > 0; count -= 1) socket.write(request())
    await pause(random.below(30))
    reset(socket)
  },
  resetsWithinAMessage: async (socket) => {
    const message = request()
    socket.write(message.subarray(0, random.below(message.length)))
    await pause(random.below(100))
    reset(socket)
  },
  stallsWithinAMessage: async (socket) => {
    socket.write(request().subarray(0, 6))
    await pause(random.below(longest))
  },
  readsNothing: async (socket) => {
    socket.pause()
    const large = framed(requestOf(random, 100_000))
    for (let count = 0; count < 30; count += 1) socket.write(large)
    await pause(random.below(longest))
  },
  floods: async (socket) => {
    socket.resume()
    const many = Buffer.concat(Array.from({ length: 200 }, () => framed(requestOf(random, 10))))
    for (const end = performance.now() + 300; performance.now() < end && !socket.destroyed; ) {
      if (!socket.write(many)) await pause(5)
      else await pause(0)
    }
  },
  sendsRubbish: async (socket) => {
    const rubbish = Buffer.from(Array.from({ length: 100 }, () => random.below(256)))
    socket.write(rubbish)
    await pause(random.below(200))
  },
  trickles: async (socket) => {
    for (const byte of request().subarray(0, 40)) {
      socket.write(Buffer.of(byte))
      await pause(random.below(40))
    }
  },
}

async function lane(places) {
  for (;;) {
    if (!isStormy) {
      await pause(20)
      continue
    }
    const { place, isTls } = random.of(places)
    // Half of those at a port of TLS do not speak it.
    const socket = peer(place, isTls && random.below(2) === 0)
    await kinds[random.of(Object.keys(kinds))](socket)
    socket.destroy()
    await pause(random.below(30))
  }
}

/** More at once than the server may have descriptors; they stay until it has noticed. */
async function comeTogether(places) {
  for (;;) {
    await pause(3_000 + random.below(3_000))
    if (!isStormy) continue
    const { place } = random.of(places)
    const sockets = Array.from({ length: Number(crowd) }, () => peer(place))
    counts.crowds += 1
    await pause(1_000)
    for (const socket of sockets) socket.destroy()
  }
}

function begin(modes) {
  const places = Object.values(modes).flatMap((named) =>
    Object.entries(named).map(([name, place]) => ({ place, isTls: name === 'tls' })),
  )
  for (let count = 0; count < lanes; count += 1) void lane(places)
  void comeTogether(places)
}

obey({
  begin,
  storm: () => {
    isStormy = true
  },
  lull: () => {
    isStormy = false
    for (const socket of open) socket.destroy()
  },
})
