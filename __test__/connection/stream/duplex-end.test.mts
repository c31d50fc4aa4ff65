// The peer's end while the stream is not read: what `net.Socket` tells of it, in the same order, at every place.

import { once } from 'node:events'

import test from 'ava'

import { createServer } from '../../../dist/index.mjs'
import { Inbox } from '../../support/deferred.mjs'
import { connectPeer, portOf } from '../../support/netpoll.mjs'
import { alike, type SocketPair } from '../../support/socket-kinds.mjs'

const events = ['end', 'finish', 'error', 'close'] as const

/** The events of the socket's life from now on. */
function record({ socket }: SocketPair): Inbox<string> {
  const seen = new Inbox<string>()
  for (const name of events) socket.on(name, () => seen.push(name))
  return seen
}

/** Everything until the socket is closed. */
async function untilClosed(pair: SocketPair, act: (seen: Inbox<string>) => unknown): Promise<unknown> {
  const seen = record(pair)
  const closed = once(pair.socket, 'close')
  await act(seen)
  await closed
  return seen.all
}

const programs: readonly (readonly [string, (pair: SocketPair) => Promise<unknown>])[] = [
  ['idle, it ends with its peer', (pair) => untilClosed(pair, () => pair.peer.resume().end())],
  [
    'paused, it ends with its peer',
    (pair) => {
      pair.socket.pause()
      return untilClosed(pair, () => pair.peer.resume().end())
    },
  ],
  [
    'one that only writes ends with its peer, with what was written',
    async (pair) => {
      const got: Buffer[] = []
      pair.peer.on('data', (bytes: Buffer) => got.push(bytes))
      const seen = await untilClosed(pair, async () => {
        pair.socket.write('news')
        await once(pair.peer, 'data')
        pair.peer.end()
        await once(pair.peer, 'end')
      })
      return [seen, Buffer.concat(got).toString()]
    },
  ],
  [
    'with everything read by read(), it ends with its peer',
    (pair) =>
      untilClosed(pair, async () => {
        pair.peer.resume().write('question')
        await once(pair.socket, 'readable')
        const question = String(pair.socket.read())
        pair.socket.removeAllListeners('readable')
        pair.peer.end(question)
        await once(pair.socket, 'readable')
        pair.socket.read()
      }),
  ],
  [
    'unread bytes keep its end back until they are read',
    (pair) =>
      untilClosed(pair, async (seen) => {
        pair.peer.resume().end('unread')
        const state = pair.socket as unknown as { readonly _readableState: { readonly ended: boolean } }
        while (!state._readableState.ended) await new Promise((resolve) => setImmediate(resolve))
        seen.push(`${pair.socket.readableLength} unread`)
        pair.socket.resume()
      }),
  ],
  [
    'destroyed while its peer ends, it tells no end',
    (pair) =>
      untilClosed(pair, () => {
        pair.peer.resume().end()
        pair.socket.destroy()
      }),
  ],
]

for (const [title, program] of programs) {
  for (const [name, run] of alike(title, program)) test(name, run)
}

const halfOpen = alike(
  'half-open, it tells its peer’s end, and goes on',
  (pair) =>
    untilClosed(pair, async (seen) => {
      pair.peer.end()
      await seen.reach(1)
      pair.socket.end('the last word')
      pair.peer.resume()
    }),
  { allowHalfOpen: true },
)
for (const [name, run] of halfOpen) test(name, run)

for (const pollers of [0, 1, 2]) {
  test(`a server whose streams are not read closes once their peers have: ${pollers} pollers`, async (t) => {
    const server = createServer({
      pollers,
      onConnect: (connection) => void connection.toDuplex().write('hello'),
    })
    await server.listen({ host: '127.0.0.1', port: 0 })
    const peers = await Promise.all([1, 2, 3].map(() => connectPeer(t, { port: portOf(server) })))
    for (const peer of peers) {
      await peer.read(5)
      peer.end()
    }
    await server.close()
    t.is(server.stats().connections, 0)
  })
}
