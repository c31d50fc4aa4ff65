// A peer that resets behind what only TLS reads: the connection tells of the reset, and not first that its peer has gone.

import { once } from 'node:events'
import { connect as connectNet, type Socket } from 'node:net'
import { connect, TLSSocket } from 'node:tls'
import test, { type ExecutionContext } from 'ava'

import { type Connection, createServer, Dialer } from '../../dist/index.mjs'
import { Authority, patient } from '../support/certificates.mjs'
import { deferred, Inbox, until } from '../support/deferred.mjs'
import { netServerAt, placeOf } from '../support/listeners.mjs'
import { codeOf, framing, gone, targetOf } from '../support/netpoll.mjs'
import type { Target } from '../support/peer.mjs'
import { type Place, places, words } from '../support/places.mjs'

const root = new Authority({ name: 'root' })
const identity = root.issue()
const trust = { ca: root.cert, servername: 'localhost' }

interface Relayed {
  readonly connection: Connection
  /** The relay's socket to it. */
  readonly ofOurs: Socket
  /** What the peer has sent since its handshake, which the relay keeps. */
  readonly kept: Buffer[]
}

/** A connection of ours, and its peer behind a relay. */
async function relayedAt(t: ExecutionContext, place: Place, framed: boolean): Promise<Relayed> {
  const { side, pollers, transport } = place
  const options = { pollers, onError: () => {} }
  const relay = await netServerAt(t, transport)
  const connections = new Inbox<Connection>()
  const kept: Buffer[] = []
  if (side === 'server') {
    const arrived = deferred()
    const secured = { ...options, tls: { ...identity, ...patient }, onConnect: connections.push }
    const server = framed
      ? createServer({ ...secured, framing }, () => arrived.resolve())
      : createServer({ ...secured, onData: () => arrived.resolve() })
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen(placeOf(t, transport))
    const raw = await reached(t, relay.target)
    const [ofPeer, ofOurs] = [await relay.sockets.take(), await reached(t, targetOf(server))]
    ofPeer.pipe(ofOurs)
    ofOurs.pipe(ofPeer)
    const peer = connect({ socket: raw, ...trust }).on('error', () => {})
    await once(peer, 'secureConnect')
    // The connection is read once its hooks have run.
    peer.write(Buffer.from([0, 0, 0, 1, 7]))
    await arrived.promise
    return { connection: await taken(t, connections), ofOurs, kept }
  }
  const behind = await netServerAt(t, transport)
  const dialed = new Dialer({ ...options, ...(framed && { framing }), tls: trust }).dial(relay.target)
  const [ofOurs, ofPeer] = [await relay.sockets.take(), await reached(t, behind.target)]
  // Ours answers a whole flight of the peer, and tickets come behind that answer.
  const [hello] = (await once(ofOurs, 'data')) as [Buffer]
  ofPeer.write(hello)
  const onward = (chunk: Buffer): void => void ofOurs.write(chunk)
  ofPeer.on('data', onward)
  ofOurs.once('data', () => {
    ofPeer.off('data', onward)
    ofPeer.on('data', (chunk: Buffer) => void kept.push(chunk))
  })
  ofOurs.on('data', (chunk: Buffer) => void ofPeer.write(chunk))
  const own = { isServer: true, ...identity }
  new TLSSocket(await behind.sockets.take(), own).on('error', () => {})
  connections.push(await dialed)
  await until(() => kept.length > 0)
  return { connection: await taken(t, connections), ofOurs, kept }
}

async function taken(t: ExecutionContext, connections: Inbox<Connection>): Promise<Connection> {
  const connection = await connections.take()
  t.teardown(() => gone(connection))
  return connection
}

async function reached(t: ExecutionContext, target: Target): Promise<Socket> {
  const socket = connectNet({ ...target, noDelay: true })
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

/** What comes last, where it is known. */
const lasts: { readonly [name: string]: (relayed: Relayed) => Buffer } = {
  tickets: ({ kept }) => Buffer.concat(kept),
  'the beginning of a record': () => Buffer.from([23, 3, 3]),
}

// A unix socket cannot be reset.
for (const place of places.filter(({ transport }) => transport === 'tcp')) {
  for (const framed of [false, true]) {
    for (const [name, lastOf] of Object.entries(lasts)) {
      // Clients send no tickets.
      if (place.side === 'server' && name === 'tickets') continue

      test(`a reset behind ${name}: ${words(place)}${framed ? ', framed' : ''}`, async (t) => {
        const relayed = await relayedAt(t, place, framed)
        const { connection, ofOurs } = relayed
        const aborted = once(connection.signal, 'abort')
        ofOurs.write(lastOf(relayed))
        ofOurs.resetAndDestroy()
        await aborted
        t.is(codeOf(connection.signal.reason), 'ECONNRESET')
      })
    }
  }
}
