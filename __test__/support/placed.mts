import { createServer as createNetServer } from 'node:net'
import type { ExecutionContext } from 'ava'

import {
  type Connection,
  createServer,
  Dialer,
  type FramedDialerOptions,
  type FramedServerOptions,
} from '../../dist/index.mjs'
import { Inbox } from './deferred.mjs'
import { connectPeer, framing, gone, targetOf } from './netpoll.mjs'
import { Peer, type Target } from './peer.mjs'
import type { Place } from './places.mjs'
import { socketPath } from './system.mjs'

/** Options that mean the same to servers and dialers. */
export type PlacedOptions = Partial<FramedServerOptions> & Partial<FramedDialerOptions>

/** Where a server of a test listens: a port or a path of its own. */
export function placeOf(
  t: ExecutionContext,
  transport: Place['transport'],
): { path: string } | { host: string; port: number } {
  return transport === 'unix' ? { path: socketPath(t) } : { host: '127.0.0.1', port: 0 }
}

/** A `node:net` server whose peers end only when told to; gone with the test. */
export async function rawServer(
  t: ExecutionContext,
  transport: Place['transport'],
): Promise<{ readonly target: Target; readonly peers: Inbox<Peer> }> {
  const peers = new Inbox<Peer>()
  const server = createNetServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
    peers.push(Peer.of(socket)),
  )
  const place = placeOf(t, transport)
  await new Promise<void>((resolve) => void server.listen(place, resolve))
  t.teardown(() => {
    for (const peer of peers.all) peer.destroy()
    return new Promise<void>((resolve) => void server.close(() => resolve()))
  })
  const port = (server.address() as { port: number }).port
  return { target: 'path' in place ? place : { host: '127.0.0.1', port }, peers }
}

/** A connection at `place`, framed by four bytes of length, and its peer by `node:net`; gone with the test. */
export async function connectionAt(
  t: ExecutionContext,
  { side, pollers, transport }: Place,
  options: PlacedOptions = {},
): Promise<{ readonly connection: Connection; readonly peer: Peer }> {
  if (side === 'dialed') {
    const { target, peers } = await rawServer(t, transport)
    const connection = await new Dialer({ framing, pollers, ...options }).dial(target)
    t.teardown(() => gone(connection))
    return { connection, peer: await peers.take() }
  }
  const accepted = new Inbox<Connection>()
  const server = createServer({
    framing,
    pollers,
    ...options,
    onPrepare: (connection) => {
      accepted.push(connection)
      return options.onPrepare?.(connection)
    },
  })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen(placeOf(t, transport))
  const peer = await connectPeer(t, targetOf(server))
  return { connection: await accepted.take(), peer }
}
