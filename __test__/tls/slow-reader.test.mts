// What was written before a connection closes arrives, however slowly its peer reads.

import { once } from 'node:events'
import nodeTls, { type TLSSocket } from 'node:tls'
import test, { type ExecutionContext } from 'ava'

import { type Connection, createServer, Dialer } from '../../dist/index.mjs'
import { Authority, patient } from '../support/certificates.mjs'
import { Inbox, nextTurn } from '../support/deferred.mjs'
import { pattern } from '../support/frames.mjs'
import { placeOf } from '../support/listeners.mjs'
import { targetOf } from '../support/netpoll.mjs'

const root = new Authority({ name: 'root' })
const identity = root.issue()
const all = pattern(20_000_000)

/** A connection of ours, and its peer by `node:tls`. */
interface Ends {
  readonly connection: Connection
  readonly peer: TLSSocket
}

type Transport = 'tcp' | 'unix'

/** No limit for the end: the peer is in the same process, which others may keep for longer. */
async function accepted(t: ExecutionContext, pollers: number, transport: Transport): Promise<Ends> {
  const connections = new Inbox<Connection>()
  const server = createServer({
    pollers,
    closeTimeout: 0,
    tls: { ...identity, ...patient },
    onConnect: connections.push,
    onData: () => {},
  })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen(placeOf(t, transport))
  const peer = nodeTls.connect({ ...targetOf(server), ca: root.cert, servername: 'localhost' })
  return { connection: await connections.take(), peer }
}

async function dialed(t: ExecutionContext, pollers: number, transport: Transport): Promise<Ends> {
  const peers = new Inbox<TLSSocket>()
  const server = nodeTls.createServer(identity, peers.push)
  t.teardown(() => server.close())
  server.listen(placeOf(t, transport))
  await once(server, 'listening')
  const address = server.address()
  const target =
    typeof address === 'string' ? { path: address } : { host: '127.0.0.1', port: address?.port ?? 0 }
  const dialer = new Dialer({ pollers, closeTimeout: 0, tls: { ca: root.cert, servername: 'localhost' } })
  const connection = await dialer.dial(target)
  return { connection, peer: await peers.take() }
}

for (const [side, ends, pollers, transport] of [
  ['a server', accepted, 0, 'tcp'],
  ['a server', accepted, 2, 'unix'],
  ['a dialer', dialed, 0, 'unix'],
  ['a dialer', dialed, 1, 'tcp'],
] as const) {
  test(`20 MB and the end of ${side} at once are read slowly: pollers ${pollers}, ${transport}`, async (t) => {
    const { connection, peer } = await ends(t, pollers, transport)
    connection.writer.writeBinary(all)
    const sent = connection.writer.flush()
    const closed = connection.close()
    const ended = once(peer, 'end')
    let isOver = false
    void ended.then(() => {
      isOver = true
    })
    const pieces: Buffer[] = []
    while (!isOver) {
      const piece = peer.read() as Buffer | null
      if (piece !== null) pieces.push(piece)
      // Others come between two pieces of 16 KiB.
      await nextTurn()
    }
    t.true(Buffer.concat(pieces).equals(all))
    peer.end()
    await Promise.all([sent, closed])
  })
}
