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

interface Hooks {
  readonly onData?: (connection: Connection) => Promise<void>
  /** Gets the connection in the turn in which it is there. */
  readonly opened?: (connection: Connection) => void
}

/** A stream of ours, whose end is told, and its peer by `node:net`. */
export async function streamAt(
  t: ExecutionContext,
  { side, pollers, transport }: Place,
  limits: Limits = {},
  { onData, opened }: Hooks = {},
) {
  const connections = new Inbox<Connection>()
  const open = (connection: Connection): void => {
    opened?.(connection)
    connections.push(connection)
  }
  const ends = new Inbox<unknown>()
  const options = {
    ...{ pollers, ...limits, onError: () => {} },
    onDisconnect: (_connection: Connection, error: unknown) => void ends.push(error),
    ...(onData && { onData }),
  }
  let peer: Peer
  if (side === 'server') {
    const server = createServer({ ...options, onConnect: open })
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen(placeOf(t, transport))
    peer = await connectPeer(t, targetOf(server))
  } else {
    const { target, peers } = await rawServer(t, transport)
    open(await new Dialer(options).dial(target))
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

const hello = helloOf('TLSv1.3')

/** The peer goes as far as to have an answer of ours. */
export async function begins(peer: Peer, { side }: Place): Promise<void> {
  if (side === 'server') await peer.write(await hello)
  await peer.read(1)
}
