// A peer whose socket ends without the end of TLS, as where its process is killed: a stream tells of it, and hangs nowhere.

import { once } from 'node:events'
import http2 from 'node:http2'
import { connect as connectNet, type Socket } from 'node:net'
import nodeTls, { type TLSSocket } from 'node:tls'
import test, { type ExecutionContext } from 'ava'

import { type Connection, type ConnectionDuplex, createServer, Dialer } from '../../dist/index.mjs'
import { Authority, patient } from '../support/certificates.mjs'
import { deferred, Inbox, until } from '../support/deferred.mjs'
import { pattern } from '../support/frames.mjs'
import { netServerAt, placeOf } from '../support/listeners.mjs'
import { codeOf, gone, rejection, targetOf } from '../support/netpoll.mjs'
import type { Target } from '../support/peer.mjs'
import { type Place, places, words } from '../support/places.mjs'

const root = new Authority({ name: 'root' })
const identity = root.issue()
const trust = { ca: root.cert, servername: 'localhost' }

/** `close_notify` of TLS 1.3 as a record. */
const closeLength = 24

interface Pair {
  readonly connection: Connection
  /** What the connection has reported, and its server or dialer. */
  readonly reported: readonly unknown[]
  /** Sends the last bytes, and goes without the end of TLS. */
  readonly die: (last?: Buffer) => void
  /** The relay takes nothing more from the connection. */
  readonly stall: () => void
  /** The relay goes without a word. */
  readonly vanish: () => void
}

/** A connection of ours, and its peer behind a relay, which leaves out the end of TLS. */
async function pairAt(
  t: ExecutionContext,
  { side, pollers, transport }: Place,
  options: { readonly allowHalfOpen?: boolean } = {},
): Promise<Pair> {
  const reported: unknown[] = []
  const settings = { pollers, ...options, onError: (error: unknown) => void reported.push(codeOf(error)) }
  const connections = new Inbox<Connection>()
  const relay = await netServerAt(t, transport, { allowHalfOpen: true, noDelay: true })
  let peer: TLSSocket
  /** The relay's sockets. */
  let [ofPeer, ofOurs]: Socket[] = []
  if (side === 'server') {
    const server = createServer({
      ...settings,
      tls: { ...identity, ...patient },
      onPrepare: connections.push,
    })
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen(placeOf(t, transport))
    const raw = await connected(t, relay.target)
    ofPeer = await relay.sockets.take()
    ofOurs = await connected(t, targetOf(server))
    join(ofPeer, ofOurs)
    peer = nodeTls.connect({ socket: raw, ...trust })
    await once(peer, 'secureConnect')
  } else {
    const behind = await netServerAt(t, transport)
    const dialed = new Dialer({ ...settings, tls: trust }).dial(relay.target)
    ofOurs = await relay.sockets.take()
    ofPeer = await connected(t, behind.target)
    join(ofPeer, ofOurs)
    peer = new nodeTls.TLSSocket(await behind.sockets.take(), { isServer: true, ...identity })
    connections.push(await dialed)
  }
  peer.on('error', () => {})
  const connection = await connections.take()
  t.teardown(() => gone(connection))
  const [from, to] = [ofPeer, ofOurs]
  return {
    connection,
    reported,
    die: (last = Buffer.alloc(0)) => {
      const late: Buffer[] = []
      from.unpipe(to)
      from.on('data', (chunk: Buffer) => void late.push(chunk)).resume()
      from.once('end', () => to.end(Buffer.concat(late).subarray(0, -closeLength)))
      peer.resume().end(last)
    },
    stall: () => void to.unpipe().pause(),
    vanish: () => void (transport === 'tcp' ? to.resetAndDestroy() : to.destroy()),
  }
}

function join(one: Socket, other: Socket): void {
  one.pipe(other, { end: false })
  other.pipe(one, { end: false })
}

async function connected(t: ExecutionContext, target: Target): Promise<Socket> {
  const socket = connectNet({ ...target, noDelay: true, allowHalfOpen: true })
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

/** What a stream tells, in order. */
function record(duplex: ConnectionDuplex): Inbox<string> {
  const seen = new Inbox<string>()
  for (const name of ['end', 'finish', 'close']) duplex.on(name, () => seen.push(name))
  duplex.on('error', (error) => seen.push(String(codeOf(error))))
  return seen
}

for (const place of places) {
  for (const allowHalfOpen of [false, true]) {
    const title = `${words(place)}${allowHalfOpen ? ', half-open' : ''}`

    test(`a duplex fails where TLS did not end: ${title}`, async (t) => {
      const { connection, reported, die } = await pairAt(t, place, { allowHalfOpen })
      const duplex = connection.toDuplex()
      const seen = record(duplex.resume())
      die()
      t.deepEqual(await seen.reach(2), ['ERR_TLS_TRUNCATED', 'close'])
      t.deepEqual(reported, [])
    })

    test(`a writer that waits is told, although what has arrived is unread: ${title}`, async (t) => {
      const { connection, die, stall, vanish } = await pairAt(t, place, { allowHalfOpen })
      const duplex = connection.toDuplex()
      const seen = record(duplex)
      die(Buffer.from('unread'))
      await until(() => duplex.readableLength === 'unread'.length)
      stall()
      const [written, ended] = [deferred<unknown>(), deferred<unknown>()]
      duplex.write(pattern(8 * 2 ** 20), (error) => written.resolve(error))
      duplex.end((error?: Error | null) => ended.resolve(error))
      vanish()
      t.true((await written.promise) instanceof Error)
      t.true((await ended.promise) instanceof Error)
      await seen.reach(2)
      t.is(seen.all.at(-1), 'close')
    })

    test(`what has arrived is read before: ${title}`, async (t) => {
      const { connection, die } = await pairAt(t, place, { allowHalfOpen })
      const duplex = connection.toDuplex()
      const seen = record(duplex)
      const sent = pattern(1_000_000)
      die(sent)
      const read: Buffer[] = []
      const failed = await rejection(
        (async () => {
          for await (const chunk of duplex) {
            read.push(chunk as Buffer)
            // Slower than its peer: what has arrived waits.
            await until(() => duplex.readableLength > 0 || connection.bytesRead >= sent.length)
          }
        })(),
      )
      t.is(codeOf(failed), 'ERR_TLS_TRUNCATED')
      t.true(Buffer.concat(read).equals(sent))
      await until(() => seen.all.includes('close'))
      t.false(seen.all.includes('end'))
    })
  }

  test(`a stream that becomes a duplex behind that end: ${words(place)}`, async (t) => {
    const { connection, die } = await pairAt(t, place)
    die(Buffer.from('the last'))
    await once(connection.signal, 'abort')
    const duplex = connection.toDuplex()
    const seen = record(duplex)
    await once(duplex, 'readable')
    t.is(String(duplex.read()), 'the last')
    t.deepEqual(await seen.reach(2), ['ERR_TLS_TRUNCATED', 'close'])
  })

  test(`a reader gets what has arrived, and then the error: ${words(place)}`, async (t) => {
    const { connection, die } = await pairAt(t, place)
    die(Buffer.from('the last'))
    await connection.reader.fill(8)
    t.is(connection.reader.readString(8), 'the last')
    t.is(codeOf(await rejection(connection.reader.fill(1))), 'ERR_TLS_TRUNCATED')
  })

  test(`what is written behind that end changes nothing: ${words(place)}`, async (t) => {
    const { connection, die } = await pairAt(t, place)
    const duplex = connection.toDuplex()
    const seen = record(duplex)
    // Bytes and end may come in one batch, and then this is before the bytes can be read.
    const aborted = once(connection.signal, 'abort')
    die(Buffer.from('unread'))
    await once(duplex, 'readable')
    await aborted
    await new Promise((resolve) => duplex.write('late', resolve))
    t.deepEqual(seen.all, [])
    t.is(String(duplex.read()), 'unread')
    t.deepEqual(await seen.reach(2), ['ERR_TLS_TRUNCATED', 'close'])
  })
}

for (const pollers of [0, 1, 2]) {
  const place = { side: 'dialed', transport: 'tcp', pollers } as const

  test(`a session of HTTP/2 fails: pollers ${pollers}`, async (t) => {
    const { connection, die } = await pairAt(t, place)
    const session = http2.connect('https://localhost', { createConnection: () => connection.toDuplex() })
    const stream = session.request({ ':path': '/' })
    stream.on('error', () => {})
    die()
    t.is(codeOf(await rejection(once(session, 'close'))), 'ERR_TLS_TRUNCATED')
    await until(() => stream.destroyed)
  })
}
