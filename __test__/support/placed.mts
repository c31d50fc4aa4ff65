import type { ExecutionContext } from 'ava'

import {
  type Connection,
  createServer,
  Dialer,
  type FramedDialerOptions,
  type FramedServerOptions,
} from '../../dist/index.mjs'
import { Inbox } from './deferred.mjs'
import { netServerAt, placeOf } from './listeners.mjs'
import { connectPeer, framing, gone, targetOf } from './netpoll.mjs'
import { Peer, type Target } from './peer.mjs'
import type { Place } from './places.mjs'

/** Options that mean the same to servers and dialers. */
export type PlacedOptions = Partial<FramedServerOptions> & Partial<FramedDialerOptions>

/** A `node:net` server whose peers end only when told to; gone with the test. */
export async function rawServer(
  t: ExecutionContext,
  transport: Place['transport'],
): Promise<{ readonly target: Target; readonly peers: Inbox<Peer> }> {
  const peers = new Inbox<Peer>()
  const { target } = await netServerAt(t, transport, { allowHalfOpen: true, noDelay: true }, (socket) =>
    peers.push(Peer.of(socket)),
  )
  return { target, peers }
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
