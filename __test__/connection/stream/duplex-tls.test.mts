// TLS of Node.js over a duplex: what it tells, and when, is what it tells over a socket of `node:net`, at every place and
// whether the connection is half-open or not.

import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'

import test, { type ExecutionContext } from 'ava'

import { Inbox } from '../../support/deferred.mjs'
import { pattern } from '../../support/frames.mjs'
import { isOverTls } from '../../support/over-tls/record.mjs'
import { withoutHandle } from '../../support/over-tls/without-handle.mjs'
import { type Place, places, words } from '../../support/places.mjs'
import { type Kind, kindsAt, kindWords, socketAt } from '../../support/socket-kinds.mjs'
import { secure } from '../../support/tls.mjs'

interface Pair {
  /** TLS over what is tried. */
  readonly tls: TLSSocket
  /** What that stands on. */
  readonly socket: Socket
  /** TLS over `node:net`. */
  readonly peer: TLSSocket
  /** What that stands on. */
  readonly peerSocket: Socket
}

/** What happens to a socket from now on, and how it failed. */
function record(socket: Duplex): Inbox<string> {
  const seen = new Inbox<string>()
  for (const name of ['end', 'finish', 'close']) socket.on(name, () => seen.push(name))
  socket.on('error', (error: NodeJS.ErrnoException) => seen.push(`error ${error.code}`))
  return seen
}

async function securePair(
  t: ExecutionContext,
  kind: Kind,
  place: Place,
  options: { readonly allowHalfOpen?: boolean },
): Promise<Pair> {
  const { socket, peer: peerSocket } = await socketAt(t, kind, place, options)
  const isClient = place.side === 'dialed'
  const [tls, peer] = await Promise.all([
    secure(socket, isClient ? 'client' : 'server'),
    secure(isOverTls ? withoutHandle(peerSocket) : peerSocket, isClient ? 'server' : 'client'),
  ])
  peer.on('error', () => {})
  // What TLS 1.3 sends behind the handshake has come once this has.
  tls.write('a')
  peer.write('b')
  await Promise.all([once(tls, 'data'), once(peer, 'data')])
  return { tls, socket, peer, peerSocket }
}

/** Runs `program` over all kinds, half-open and not, at every place. */
function asOverNet(title: string, program: (pair: Pair, t: ExecutionContext) => Promise<unknown>): void {
  for (const place of places) {
    for (const allowHalfOpen of [false, true]) {
      for (const kind of kindsAt(place)) {
        const halfOpen = allowHalfOpen ? ', half-open' : ''
        test(`${title}: ${words(place)}${halfOpen}${kindWords(kind)}`, async (t) => {
          const expected = await program(await securePair(t, 'net', place, {}), t)
          const seen = await program(await securePair(t, kind, place, { allowHalfOpen }), t)
          t.deepEqual(seen, expected)
        })
      }
    }
  }
}

async function untilClosed(pair: Pair, act: () => unknown): Promise<readonly string[]> {
  const seen = record(pair.tls)
  const closed = new Promise((resolve) => pair.tls.once('close', resolve))
  await act()
  await closed
  return seen.all
}

const answer = pattern(20_000, 1)

/** Reads little at a time, with turns of the event loop between. */
async function readSlowly(socket: Duplex): Promise<number> {
  let length = 0
  let ended = false
  socket.once('end', () => {
    ended = true
  })
  while (!ended && !socket.destroyed) {
    const piece = socket.read(Math.min(1_000, socket.readableLength || 1_000)) as Buffer | null
    if (piece !== null) length += piece.length
    await turn()
  }
  return length
}

asOverNet('who ends and reads slowly gets the whole answer', async (pair) => {
  const { tls, peer } = pair
  tls.removeAllListeners('data').pause()
  peer.on('end', () => peer.end(answer))
  let length = 0
  const seen = await untilClosed(pair, async () => {
    tls.end('question')
    length = await readSlowly(tls)
  })
  return { length, seen: [...seen].sort() }
})

asOverNet('who reads slowly gets all that the peer wrote before it died', async (pair) => {
  const { tls, peer, peerSocket } = pair
  tls.removeAllListeners('data').pause()
  let length = 0
  const seen = await untilClosed(pair, async () => {
    peer.write(answer, () => peerSocket.end())
    length = await readSlowly(tls)
  })
  return { length, seen }
})

asOverNet('a peer that dies is noticed', (pair) => untilClosed(pair, () => pair.peerSocket.destroy()))

asOverNet('a peer that ends without close_notify is noticed', (pair) =>
  untilClosed(pair, () => pair.peerSocket.end()),
)

asOverNet('an orderly end of the peer', (pair) => untilClosed(pair, () => pair.peer.end()))

// Both sides end at the same time: what is told first is chance.
asOverNet('an orderly end of ours', async (pair) => {
  pair.peer.on('end', () => pair.peer.end())
  return [...(await untilClosed(pair, () => pair.tls.end()))].sort()
})

asOverNet('a peer that resets is noticed', (pair) =>
  untilClosed(pair, () => {
    if (pair.peerSocket.remoteAddress === undefined) pair.peerSocket.destroy()
    else pair.peerSocket.resetAndDestroy()
  }),
)

for (const place of places) {
  test(`TLS that is told to be half-open answers after the end of its peer: ${words(place)}`, async (t) => {
    const { tls, peer } = await securePair(t, 'netpoll', place, {})
    tls.allowHalfOpen = true
    tls.on('end', () => setImmediate(() => tls.end('the answer')))
    const closed = once(tls, 'close')
    peer.end()
    t.is(String((await once(peer, 'data'))[0]), 'the answer')
    await closed
  })
}

asOverNet('the addresses are those of what it stands on', async ({ tls, socket, peerSocket }) => {
  const { remoteAddress, remotePort, remoteFamily, localAddress, localPort, localFamily } = tls
  const seen = { remoteAddress, remotePort, remoteFamily, localAddress, localPort, localFamily }
  const same = Object.entries(seen).every(([name, value]) => value === socket[name as keyof Socket])
  tls.destroy()
  await once(tls, 'close')
  return { same, port: tls.remotePort === peerSocket.localPort, remoteAddress, remoteFamily, localFamily }
})

asOverNet('a library removes listeners of what TLS stands on', async ({ tls, peer, socket }) => {
  socket.removeAllListeners('data')
  peer.write('one')
  const first = String((await once(tls, 'data'))[0])
  socket.removeAllListeners()
  peer.write('two')
  const second = String((await once(tls, 'data'))[0])
  const closed = once(tls, 'close')
  peer.end()
  await closed
  return [first, second]
})

asOverNet('options of the socket may be set above it', async (pair) =>
  untilClosed(pair, () => {
    pair.tls.setNoDelay(false).setNoDelay(true).setKeepAlive(true, 5_000).setKeepAlive(false).unref().ref()
    pair.peer.end()
  }),
)
