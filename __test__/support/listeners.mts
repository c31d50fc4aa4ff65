import { execFileSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import {
  type AddressInfo,
  createServer as createNetServer,
  type LookupFunction,
  type ServerOpts,
  type Socket,
} from 'node:net'
import { Worker } from 'node:worker_threads'
import type { ExecutionContext } from 'ava'

import { Dialer, type NetpollError } from '../../dist/index.mjs'
import { Inbox } from './deferred.mjs'
import { framing, gone } from './netpoll.mjs'
import type { Place } from './places.mjs'
import { socketPath } from './system.mjs'

/** Where a `node:net` server listens. */
export type NetTarget = { readonly host: string; readonly port: number } | { readonly path: string }

/** Where a server of a test listens: a port or a path of its own. */
export function placeOf(
  t: ExecutionContext,
  transport: Place['transport'],
): { path: string } | { host: string; port: number } {
  return transport === 'unix' ? { path: socketPath(t) } : { host: '127.0.0.1', port: 0 }
}

/** A `node:net` server on a port of its own: what a dialer’s peer does is up to the test. */
export async function netServer(
  t: ExecutionContext,
): Promise<{ readonly port: number; readonly sockets: Inbox<Socket> }> {
  const { target, sockets } = await netServerAt(t, 'tcp')
  return { port: (target as { readonly port: number }).port, sockets }
}

/** The same at a port or a path; `accepted` is told of each socket before it is in `sockets`. */
export async function netServerAt(
  t: ExecutionContext,
  transport: Place['transport'],
  options: ServerOpts = {},
  accepted: (socket: Socket) => void = () => {},
): Promise<{ readonly target: NetTarget; readonly sockets: Inbox<Socket> }> {
  const sockets = new Inbox<Socket>()
  const server = createNetServer(options, (socket) => {
    socket.on('error', () => {})
    accepted(socket)
    sockets.push(socket)
  })
  const place = placeOf(t, transport)
  await new Promise<void>((resolve) => void server.listen(place, resolve))
  t.teardown(() => {
    for (const socket of sockets.all) socket.destroy()
    return new Promise<void>((resolve) => void server.close(() => resolve()))
  })
  return {
    target: 'path' in place ? place : { host: place.host, port: (server.address() as AddressInfo).port },
    sockets,
  }
}

/** A port that nobody listens on, and below those that systems give to whoever connects. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 30_000)
    const server = createNetServer()
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen({ host: '127.0.0.1', port }, () => server.close(() => resolve(true)))
    })
    if (free) return port
  }
}

/**
 * A TCP listener that accepts nobody and whose backlog is full, so that connecting hangs. Also returns the
 * error of the dial that noticed.
 */
export async function fullListener(
  t: ExecutionContext,
  { host = '127.0.0.1', port = 0 }: { readonly host?: string; readonly port?: number } = {},
): Promise<{ readonly port: number; readonly error: NetpollError }> {
  const file = new URL('../fixtures/never-accepts.mjs', import.meta.url)
  const worker = new Worker(file, { workerData: { host, port } })
  t.teardown(() => worker.terminate())
  const [listening] = (await once(worker, 'message')) as [number]
  const dialer = new Dialer({ framing, connectTimeout: 150, onError: () => t.fail() })
  for (let accepted = 0; accepted < 100; accepted += 1) {
    try {
      const connection = await dialer.dial({ host, port: listening })
      t.teardown(() => gone(connection))
    } catch (error) {
      return { port: listening, error: error as NetpollError }
    }
  }
  throw new Error('the backlog never fills')
}

/** A lookup that knows these addresses for every name. */
export function lookupOf(...addresses: readonly string[]): LookupFunction {
  const found = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
  return (_name, _options, callback) => callback(null, found)
}

/** How many descriptors this process may open. */
export function descriptorLimit(): number {
  const limit = execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim()
  return limit === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(limit)
}
