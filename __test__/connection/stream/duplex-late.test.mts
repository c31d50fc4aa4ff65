// A stream that is read in any way gets what its peer sends later, as a socket of `node:net` does.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'

import test, { type ExecutionContext } from 'ava'

import { type Connection, createServer } from '../../../dist/index.mjs'
import { Inbox, nextTurn } from '../../support/deferred.mjs'
import { netServerAt, placeOf } from '../../support/listeners.mjs'
import { targetOf } from '../../support/netpoll.mjs'
import { type Place, places, words } from '../../support/places.mjs'
import { asSocket } from '../../support/socket-kinds.mjs'
import { dialStream } from '../../support/streams.mjs'

/** Ways to read all of a stream, each begun at once. */
const ways: Readonly<Record<string, (socket: Socket) => Promise<string>>> = {
  'a loop': async (socket) => {
    let all = ''
    for await (const chunk of socket) all += String(chunk)
    return all
  },
  'its iterator': async (socket) => {
    let all = ''
    for await (const chunk of socket.iterator({ destroyOnReturn: false })) all += String(chunk)
    return all
  },
  text: (socket) => text(socket),
  'a mapped stream': async (socket) => (await socket.map(String).toArray()).join(''),
  'a pipeline of a function': async (socket) => {
    let all = ''
    await pipeline(socket, async (source: AsyncIterable<Buffer>) => {
      for await (const chunk of source) all += String(chunk)
    })
    return all
  },
  'a pipe': (socket) => text(socket.pipe(new PassThrough())),
  "'readable'": async (socket) => {
    let all = ''
    socket.on('readable', () => {
      for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) all += String(chunk)
    })
    await once(socket, 'end')
    return all
  },
  "'readable', read before": async (socket) => {
    let all = String(socket.read() ?? '')
    socket.on('readable', () => {
      for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) all += String(chunk)
    })
    await once(socket, 'end')
    return all
  },
  "paused and read, then 'readable'": async (socket) => {
    let all = ''
    socket.pause().read(0)
    await nextTurn()
    socket.on('readable', () => {
      for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) all += String(chunk)
    })
    await once(socket, 'end')
    return all
  },
  "paused and read, then 'data'": async (socket) => {
    socket.pause().read()
    await nextTurn()
    return text(socket.pipe(new PassThrough()))
  },
  'paused, and a loop later': async (socket) => {
    socket.pause()
    await nextTurn()
    return text(socket)
  },
}

/** A connection at `place` of which no stream was made yet, and its peer; gone with the test. */
async function connectionAt(
  t: ExecutionContext,
  { side, pollers, transport }: Place,
): Promise<{ readonly connection: Connection; readonly peer: Socket }> {
  if (side === 'dialed') {
    const { target, sockets } = await netServerAt(t, transport, { allowHalfOpen: true })
    const connection = await dialStream(t, target, { pollers })
    return { connection, peer: await sockets.take() }
  }
  const connections = new Inbox<Connection>()
  const server = createServer({ pollers, onPrepare: connections.push })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen(placeOf(t, transport))
  const peer = connect({ ...targetOf(server), allowHalfOpen: true }).on('error', () => {})
  t.teardown(() => peer.destroy())
  return { connection: await connections.take(), peer }
}

for (const [name, read] of Object.entries(ways)) {
  for (const place of places) {
    test(`what comes late is read by ${name}: ${words(place)}`, async (t) => {
      const { connection, peer } = await connectionAt(t, place)
      const all = read(asSocket(connection.toDuplex()))
      // By then every way has asked for bytes.
      await nextTurn()
      await nextTurn()
      peer.write('late ')
      await nextTurn()
      peer.end('bytes')
      t.is(await all, 'late bytes')
    })
  }
}

for (const place of places) {
  test(`what comes late is read where a listener has asked for it and put bytes back: ${words(place)}`, async (t) => {
    const { connection, peer } = await connectionAt(t, place)
    const socket = asSocket(connection.toDuplex())
    const first = once(socket, 'data').then(([chunk]: Buffer[]) => {
      t.is(String(chunk), 'first')
    })
    socket.once('data', () => {
      socket.pause().read(0)
      socket.unshift(Buffer.alloc(socket.readableHighWaterMark))
    })
    peer.write('first')
    await first
    await nextTurn()
    const all = text(socket)
    await nextTurn()
    peer.end('late bytes')
    t.is((await all).replaceAll('\0', ''), 'late bytes')
  })
}
