// Where `net.Socket` lets promises run between two events, so does the duplex: code that has awaited one hears the next.

import { once } from 'node:events'
import type { Socket } from 'node:net'

import test from 'ava'

import { type ConnectionDuplex, createServer, Dialer } from '../../../dist/index.mjs'
import { deferred, Inbox, nextTurn } from '../../support/deferred.mjs'
import { netServerAt } from '../../support/listeners.mjs'
import { codeOf, connectPeer, portOf } from '../../support/netpoll.mjs'
import { places } from '../../support/places.mjs'
import { alike, type SocketPair } from '../../support/socket-kinds.mjs'

const names = ['data', 'end', 'finish', 'timeout', 'error', 'close'] as const

interface Recorded {
  readonly seen: readonly string[]
  /** Resolves a turn after `'close'`. */
  readonly closed: Promise<void>
}

/** What happens to `socket`, with a `'·'` wherever a chain of promises has run to its end. */
function record(socket: Socket): Recorded {
  const seen: string[] = []
  const closed = deferred()
  const note = (what: string): void => {
    seen.push(what)
    void settled().then(() => seen.at(-1) !== '·' && seen.push('·'))
  }
  for (const name of names) {
    socket.on(name, (value: unknown) => {
      note(value instanceof Error ? `${name} ${codeOf(value)}` : name)
    })
  }
  socket.on('close', () => void nextTurn().then(closed.resolve))
  return { seen, closed: closed.promise }
}

/** As many promises one behind the other as whoever awaits through a few functions needs. */
async function settled(): Promise<void> {
  for (let step = 0; step < 10; step += 1) await undefined
}

async function untilClosed({ socket }: SocketPair, act: () => unknown): Promise<unknown> {
  const { seen, closed } = record(socket)
  await act()
  await closed
  return seen
}

/** Where a peer can be reset. */
const tcp = places.filter(({ transport }) => transport === 'tcp')

const programs = [
  ...alike('bytes and the end', (pair) =>
    untilClosed(pair, () => {
      pair.socket.resume()
      pair.peer.resume().end('last words')
    }),
  ),
  ...alike(
    'bytes, and then a reset',
    (pair) =>
      untilClosed(pair, () => {
        pair.socket.once('data', () => pair.peer.resetAndDestroy())
        pair.peer.write('last words')
      }),
    { at: tcp },
  ),
  ...alike('destroyed with an error', (pair) =>
    untilClosed(pair, () => void pair.socket.destroy(new Error('enough'))),
  ),
  ...alike('destroyed with an error by whoever gets bytes', (pair) =>
    untilClosed(pair, () => {
      pair.socket.once('data', () => pair.socket.destroy(new Error('enough')))
      pair.peer.end('one too many')
    }),
  ),
  ...alike('ended here first', (pair) =>
    untilClosed(pair, () => {
      pair.peer.once('end', () => pair.peer.end('bye')).resume()
      pair.socket.end('bye')
    }),
  ),
  ...alike('each event awaited before the next', async ({ socket, peer }) => {
    peer.resume().end('last words')
    const seen: unknown[] = []
    for (const name of ['data', 'end', 'finish', 'close']) {
      const [value] = (await once(socket, name)) as unknown[]
      seen.push([name, String(value)])
    }
    return seen
  }),
  ...alike(
    'each event awaited before the next, up to an error',
    async ({ socket, peer }) => {
      peer.write('last words')
      const [bytes] = (await once(socket, 'data')) as [Buffer]
      peer.resetAndDestroy()
      const error = await new Promise((resolve) => socket.once('error', resolve))
      const [hadError] = (await once(socket, 'close')) as [boolean]
      return [bytes.toString(), codeOf(error), hadError]
    },
    { at: tcp },
  ),
]
for (const [title, run] of programs) test(title, run)

for (const pollers of [0, 1, 2]) {
  test(`a stream that another destroys in the batch of its own end: ${pollers} pollers`, async (t) => {
    const duplexes = new Inbox<ConnectionDuplex>()
    const server = createServer({ pollers, onConnect: (one) => duplexes.push(one.toDuplex()) })
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen({ host: '127.0.0.1', port: 0 })
    const peers = [
      await connectPeer(t, { port: portOf(server) }),
      await connectPeer(t, { port: portOf(server) }),
    ]
    const streams = (await duplexes.reach(2)) as readonly [ConnectionDuplex, ConnectionDuplex]
    const logs = streams.map((duplex, index) => {
      duplex.once('data', () => streams[1 - index]?.destroy(new Error('enough')))
      return record(duplex as unknown as Socket)
    })
    for (const peer of peers) {
      peer.socket.write('bytes')
      peer.reset()
    }
    for (const { seen, closed } of logs) {
      await closed
      t.is(seen.filter((entry) => entry.startsWith('error')).length, 1)
      t.regex(seen.join(' '), /error \w+ · close/)
    }
  })

  test(`bytes and a reset that come together: ${pollers} pollers`, async (t) => {
    const { sockets, target } = await netServerAt(t, 'tcp')
    const connection = await new Dialer({ pollers }).dial(target)
    const duplex = connection.toDuplex()
    const peer = await sockets.take()
    peer.write('last words')
    peer.resetAndDestroy()
    t.is(String((await once(duplex, 'data'))[0]), 'last words')
    t.is(codeOf(await new Promise((resolve) => duplex.once('error', resolve))), 'ECONNRESET')
    t.deepEqual(await once(duplex, 'close'), [true])
  })

  test(`promises run between the pieces of a stream: ${pollers} pollers`, async (t) => {
    const duplexes = new Inbox<ConnectionDuplex>()
    const server = createServer({ pollers, onConnect: (one) => duplexes.push(one.toDuplex()) })
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen({ host: '127.0.0.1', port: 0 })
    const peer = await connectPeer(t, { port: portOf(server) })
    const duplex = await duplexes.take()
    const { seen, closed } = record(duplex as unknown as Socket)
    peer.socket.end(Buffer.alloc(3_000_000))
    await closed
    t.notRegex(seen.join(' '), /data (data|end)|end finish|finish close/)
    t.is(duplex.bytesRead, 3_000_000)
  })
}
