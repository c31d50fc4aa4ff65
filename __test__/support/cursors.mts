// Connections whose handler has a cursor, and their peers.
import type { ExecutionContext } from 'ava'

import {
  type Connection,
  type CursorHandler,
  createServer,
  Dialer,
  type FramedDialerOptions,
  type FramedServerOptions,
} from '../../dist/index.mjs'
import { Inbox } from './deferred.mjs'
import { placeOf } from './listeners.mjs'
import { connectPeer, framing, gone, targetOf } from './netpoll.mjs'
import type { Place } from './places.mjs'

type Options = Partial<FramedServerOptions> & Partial<FramedDialerOptions>

/** Whom a handler answers: written to and read from without the code under test. */
export interface Line {
  readonly peer: { write(bytes: Buffer): unknown; read(length: number): Promise<Buffer> }
  readonly connection: Connection
  readonly errors: Inbox<unknown>
}

/** A connection at `place` with this handler, and its peer. */
export async function line(
  t: ExecutionContext,
  { side, pollers, transport }: Place,
  onMessage: CursorHandler,
  options: Options = {},
): Promise<Line> {
  const errors = new Inbox<unknown>()
  // Some peers do not end.
  const common = {
    framing,
    pollers,
    closeTimeout: 50,
    onError: (error: unknown) => errors.push(error),
    ...options,
    onMessage,
  }
  const connections = new Inbox<Connection>()
  if (side === 'server') {
    const server = createServer({ ...common, onConnect: connections.push } as FramedServerOptions)
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen(placeOf(t, transport))
    const peer = await connectPeer(t, targetOf(server))
    return { peer, connection: await connections.take(), errors }
  }
  // The other side is a stream of its own.
  const server = createServer({ onConnect: connections.push })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen(placeOf(t, transport))
  const connection = await new Dialer(common as FramedDialerOptions).dial(targetOf(server))
  t.teardown(() => gone(connection))
  const other = await connections.take()
  const { reader } = other
  const peer = {
    write: (bytes: Buffer) => other.send(bytes),
    read: async (length: number) => {
      await reader.fill(length)
      return Buffer.from(reader.next(length))
    },
  }
  return { peer, connection, errors }
}
