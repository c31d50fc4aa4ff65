import type { ExecutionContext } from 'ava'

import {
  type Connection,
  createServer,
  type DataHandler,
  Dialer,
  type DialerOptions,
  type Server,
  type StreamServerOptions,
} from '../../dist/index.mjs'
import { Inbox, nextTurn } from './deferred.mjs'
import { gone, portOf } from './netpoll.mjs'
import type { Target } from './peer.mjs'

/** A server without framing on a port of its own, and its connections; gone with the test. */
export async function serveStream(
  t: ExecutionContext,
  options: StreamServerOptions = {},
  handler?: DataHandler,
): Promise<{ readonly server: Server; readonly port: number; readonly connections: Inbox<Connection> }> {
  const connections = new Inbox<Connection>()
  const { onPrepare } = options
  const server = createServer(
    {
      ...options,
      onPrepare: (connection) => {
        connections.push(connection)
        return onPrepare?.(connection)
      },
    },
    handler,
  )
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  return { server, port: portOf(server), connections }
}

/** A dialed connection without framing, gone with the test. */
export async function dialStream(
  t: ExecutionContext,
  target: Target,
  options: DialerOptions = {},
): Promise<Connection> {
  const connection = await new Dialer(options).dial(target)
  t.teardown(() => gone(connection))
  return connection
}

/** Waits until `connection` has received so many bytes. */
export async function arrived(connection: Connection, bytes: number): Promise<void> {
  while (connection.bytesRead < bytes) await nextTurn()
  // What the core has read is handed over some turns later where other connections take long.
  await quietTurns()
}

/** Waits until `connection` has seen its peer's end. */
export async function inactive(connection: Connection): Promise<void> {
  while (connection.isActive) await nextTurn()
}

/** Enough turns for whatever wrongly happens to happen. */
export async function quietTurns(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await nextTurn()
}
