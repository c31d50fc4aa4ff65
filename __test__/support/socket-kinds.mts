import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { ExecutionContext } from 'ava'

import {
  type Connection,
  type ConnectionDuplex,
  createServer,
  DialedSocket,
  Dialer,
} from '../../dist/index.mjs'
import { Inbox } from './deferred.mjs'
import { netServerAt, placeOf } from './listeners.mjs'
import { gone, targetOf } from './netpoll.mjs'
import type { Target } from './peer.mjs'
import { type Place, places, words } from './places.mjs'

/** What one program runs over: a stream of ours, or the socket of `node:net` that it is compared with. */
export type AnySocket = Socket | ConnectionDuplex

/** What `net.Socket` and our duplex have in common, called as for the one. */
export const asSocket = (socket: AnySocket): Socket => socket as Socket

export interface SocketPair {
  readonly socket: Socket
  /** The other end, by `node:net`, which ends its direction only when told to. */
  readonly peer: Socket
}

export interface PairOptions {
  readonly allowHalfOpen?: boolean
}

/** A socket of `node:net`, a stream of an established connection, or one that was there before its connection. */
export type Kind = 'net' | 'netpoll' | 'late'

/** What is compared with `node:net` at `place`. */
export const kindsAt = ({ side }: Place): readonly Kind[] =>
  side === 'dialed' ? ['netpoll', 'late'] : ['netpoll']

/** As tests name it. */
export const kindWords = (kind: Kind): string => (kind === 'late' ? ', there before' : '')

/** A socket at `place`, and its peer; gone with the test. */
export function socketAt(
  t: ExecutionContext,
  kind: Kind,
  place: Place,
  options: PairOptions = {},
): Promise<SocketPair> {
  return place.side === 'dialed' ? dialed(t, kind, place, options) : accepted(t, kind, place, options)
}

async function dialed(
  t: ExecutionContext,
  kind: Kind,
  { pollers, transport }: Place,
  options: PairOptions,
): Promise<SocketPair> {
  const { target, sockets } = await netServerAt(t, transport, { allowHalfOpen: true, noDelay: true })
  let socket: AnySocket
  if (kind === 'net') {
    socket = await connected(t, target, options)
  } else if (kind === 'late') {
    const late = new DialedSocket(new Dialer({ pollers, ...options })).connect(target)
    t.teardown(() => gone(late.connection))
    await once(late, 'connect')
    socket = late
  } else {
    const connection = await new Dialer({ pollers, ...options }).dial(target)
    t.teardown(() => gone(connection))
    socket = connection.toDuplex()
  }
  return { socket: asSocket(socket), peer: await sockets.take() }
}

async function accepted(
  t: ExecutionContext,
  kind: Kind,
  { pollers, transport }: Place,
  options: PairOptions,
): Promise<SocketPair> {
  if (kind === 'net') {
    const { target, sockets } = await netServerAt(t, transport, options)
    const peer = await connected(t, target, { allowHalfOpen: true })
    const socket = await sockets.take()
    // A test listens itself.
    socket.removeAllListeners('error')
    return { socket, peer: peer.on('error', () => {}) }
  }
  const connections = new Inbox<Connection>()
  const server = createServer({ pollers, ...options, onPrepare: connections.push })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen(placeOf(t, transport))
  const peer = await connected(t, targetOf(server), { allowHalfOpen: true })
  const connection = await connections.take()
  return { socket: asSocket(connection.toDuplex()), peer: peer.on('error', () => {}) }
}

async function connected(t: ExecutionContext, target: Target, options: PairOptions): Promise<Socket> {
  const socket = connect({ ...target, noDelay: true, ...options })
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

/** Runs `program` over both kinds at every place, and compares what it returns. */
export function alike(
  title: string,
  program: (pair: SocketPair, t: ExecutionContext, place: Place) => Promise<unknown>,
  { at = places, ...options }: PairOptions & { readonly at?: readonly Place[] } = {},
): readonly [string, (t: ExecutionContext) => Promise<void>][] {
  return at.flatMap((place) =>
    kindsAt(place).map((kind) => [
      `${title}: ${words(place)}${kindWords(kind)}`,
      async (t) => {
        const expected = await program(await socketAt(t, 'net', place, options), t, place)
        const seen = await program(await socketAt(t, kind, place, options), t, place)
        t.deepEqual(seen, expected)
      },
    ]),
  )
}
