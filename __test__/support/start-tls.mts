import type { ExecutionContext } from 'ava'

import { type Connection, createServer, Dialer } from '../../dist/index.mjs'
import { Authority, patient } from './certificates.mjs'
import { Inbox } from './deferred.mjs'
import { placeOf } from './listeners.mjs'
import { connectPeer, gone, targetOf } from './netpoll.mjs'
import type { Peer } from './peer.mjs'
import { rawServer } from './placed.mjs'
import type { Place } from './places.mjs'
import { helloOf } from './tls.mjs'

const root = new Authority({ name: 'root' })
export const identity = root.issue()
export const trust = { ca: root.cert, servername: 'localhost' }

interface Limits {
  readonly idleTimeout?: number
  readonly readTimeout?: number
}

/** A stream of ours, whose end is told, and its peer by `node:net`. */
export async function streamAt(
  t: ExecutionContext,
  { side, pollers, transport }: Place,
  limits: Limits = {},
  onData?: (connection: Connection) => Promise<void>,
) {
  const connections = new Inbox<Connection>()
  const ends = new Inbox<unknown>()
  const options = {
    ...{ pollers, ...limits, onError: () => {} },
    onDisconnect: (_connection: Connection, error: unknown) => void ends.push(error),
    ...(onData && { onData }),
  }
  let peer: Peer
  if (side === 'server') {
    const server = createServer({ ...options, onConnect: connections.push })
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen(placeOf(t, transport))
    peer = await connectPeer(t, targetOf(server))
  } else {
    const { target, peers } = await rawServer(t, transport)
    connections.push(await new Dialer(options).dial(target))
    peer = await peers.take()
  }
  const connection = await connections.take()
  t.teardown(() => gone(connection))
  return { connection, ends, peer }
}

/** Goes over to TLS, for as long as that takes. */
export function starts(connection: Connection, { side }: Place): Promise<void> {
  const own = side === 'server' ? { ...identity, unread: 'handshake' as const } : trust
  return connection.startTls({ ...own, ...patient })
}

/** The peer goes as far as to have an answer of ours. */
export async function begins(peer: Peer, { side }: Place): Promise<void> {
  if (side === 'server') await peer.write(await helloOf('TLSv1.3'))
  await peer.read(1)
}
