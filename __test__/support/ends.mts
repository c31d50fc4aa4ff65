import type { Socket } from 'node:net'
import type { ExecutionContext } from 'ava'

import {
  type Address,
  type Connection,
  createServer,
  Dialer,
  type FramedServerOptions,
} from '../../dist/index.mjs'
import { Inbox } from './deferred.mjs'
import { netServerAt, placeOf } from './listeners.mjs'
import { framing, targetOf } from './netpoll.mjs'
import { Peer } from './peer.mjs'
import { type Place, places, words } from './places.mjs'

/** Places, and those where workers handle what a server gets. */
export type EndPlace = Place & { readonly threads?: number }

export const endPlaces: readonly EndPlace[] = [
  ...places,
  ...[1, 2, 3].map((threads) => ({ side: 'server', pollers: 0, transport: 'tcp', threads }) as const),
]

export const endWords = (place: EndPlace): string =>
  place.threads === undefined ? words(place) : `${words(place)}, ${place.threads} workers`

/** What a connection was told of its end. */
export interface End {
  readonly error: Error | undefined
  readonly remoteAddress: Address | undefined
}

/** A connection of ours whose other end is a `node:net` socket. */
export interface Ends {
  readonly connection: Connection
  readonly socket: Socket
  /** What `onError` and `onDisconnect` were told; nobody has asked for the address before. */
  readonly errors: Inbox<End>
  readonly gone: Inbox<End>
  /** Where our connection finds the socket. */
  readonly address: Address
}

/** Both ends of a connection at `place`. */
export async function ends(
  t: ExecutionContext,
  place: EndPlace,
  options: Partial<FramedServerOptions> = {},
): Promise<Ends> {
  const errors = new Inbox<End>()
  const gone = new Inbox<End>()
  const opened = new Inbox<Connection>()
  const hooks = {
    framing,
    pollers: place.pollers,
    onError: (error: unknown, connection: Connection | undefined) =>
      errors.push({ error: error as Error, remoteAddress: connection?.remoteAddress }),
    onDisconnect: (connection: Connection, error: Error | undefined) =>
      gone.push({ error, remoteAddress: connection.remoteAddress }),
    ...options,
  }
  if (place.side === 'server') {
    const module = new URL('../fixtures/handler.mjs', import.meta.url)
    const server = createServer({
      ...hooks,
      onConnect: opened.push,
      ...(place.threads === undefined
        ? { onRequest: (request) => request }
        : { workers: { module, threads: place.threads } }),
    } as FramedServerOptions)
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen(placeOf(t, place.transport))
    const peer = await Peer.connect(targetOf(server))
    t.teardown(() => peer.destroy())
    const { socket } = peer
    const port = socket.localPort ?? 0
    const address = place.transport === 'tcp' ? { address: '127.0.0.1', family: 'IPv4' as const, port } : ''
    return { connection: await opened.take(), socket, errors, gone, address }
  }
  const { target, sockets } = await netServerAt(t, place.transport, { allowHalfOpen: true })
  const connection = await new Dialer(hooks).dial(target)
  t.teardown(() => connection.destroy())
  const address =
    'path' in target ? target.path : { address: '127.0.0.1', family: 'IPv4' as const, port: target.port }
  return { connection, socket: await sockets.take(), errors, gone, address }
}
