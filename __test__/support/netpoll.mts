import type { ExecutionContext } from 'ava'

import {
  type BytesOption,
  type Connection,
  createServer,
  Dialer,
  type DialTarget,
  type FramedDialerOptions,
  type FramedServerOptions,
  lengthField,
  type RequestHandler,
  type Server,
} from '../../dist/index.mjs'
import { Inbox } from './deferred.mjs'
import { Peer, type Target } from './peer.mjs'

export const framing = lengthField({ size: 4 })

/** A server on a port of its own, gone with the test. */
export async function serve<Bytes extends BytesOption = 'buffer'>(
  t: ExecutionContext,
  options: Partial<FramedServerOptions<unknown, Bytes>>,
  handler?: RequestHandler<unknown, Bytes>,
): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer({ framing, ...options }, handler)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  return { server, port: portOf(server) }
}

/** A server that echoes unless it has another handler, and its connections as they come. */
export async function echo(
  t: ExecutionContext,
  options: Partial<FramedServerOptions> = {},
  handler: RequestHandler = (request) => request,
): Promise<{ readonly target: DialTarget; readonly accepted: Inbox<Connection>; readonly server: Server }> {
  const accepted = new Inbox<Connection>()
  const { server, port } = await serve(t, { onConnect: accepted.push, ...options }, handler)
  return { target: { host: '127.0.0.1', port }, accepted, server }
}

export function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return address.port
}

/** What to dial to reach a server, wherever it listens. */
export function targetOf(server: Server): Target {
  const address = server.address()
  return typeof address === 'string' ? { path: address } : { host: '127.0.0.1', port: portOf(server) }
}

/** A connection to a server, gone with the test. */
export async function dial<Bytes extends BytesOption = 'buffer'>(
  t: ExecutionContext,
  target: Target,
  options: Partial<FramedDialerOptions<unknown, Bytes>> = {},
): Promise<Connection<unknown, Bytes>> {
  const connection = await new Dialer({ framing, ...options }).dial(target)
  t.teardown(() => gone(connection))
  return connection
}

/** Destroys a connection, and waits until it is gone. */
export function gone<Bytes extends BytesOption>(connection: Connection<unknown, Bytes>): Promise<void> {
  connection.destroy()
  return new Promise((resolve) => void connection.onClose(resolve))
}

/** A `node:net` connection, gone with the test. */
export async function connectPeer(
  t: ExecutionContext,
  target: Target,
  options: { readonly reading?: boolean } = {},
): Promise<Peer> {
  const peer = await Peer.connect(target, options)
  t.teardown(() => {
    peer.destroy()
    return peer.closed
  })
  return peer
}

/** The `code` of whatever was thrown. */
export function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

/** The error that `promise` rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('the promise was fulfilled')
}
