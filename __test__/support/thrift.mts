import type { ExecutionContext } from 'ava'

import {
  createThriftClient,
  createThriftServer,
  type HandlerSource,
  type ThriftClient,
  type ThriftClientOptions,
  type ThriftServer,
  type ThriftServerOptions,
} from '../../dist/thrift/index.mjs'
import { portOfCalls } from './rpc.mjs'
import { Interop, type InteropClient, type InteropHandler, types } from './thrift-service.mjs'

export const transports = ['framed', 'theader', 'ttheader'] as const
export const protocols = ['binary', 'compact'] as const

/** Every way in which a client may speak. */
export const ways = transports.flatMap((transport) => protocols.map((protocol) => ({ transport, protocol })))

/** The handler that the programs in `interop/` have, too. */
export function interopHandler(): InteropHandler {
  const told: string[] = []
  return {
    echo: (value) => value,
    refuse: (code, why) => {
      throw new types.Refused({ code, why })
    },
    crash: async (text) => {
      throw new Error(text)
    },
    wait: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds, `${milliseconds}`)),
    blob: (size) => Buffer.alloc(size, 'b'),
    tell: (news) => {
      told.push(news)
    },
    told: () => told,
    ping: () => {},
  }
}

/** A server on a port of its own, gone with the test. */
export async function serveThrift(
  t: ExecutionContext,
  handler: HandlerSource<Partial<InteropHandler>> = interopHandler(),
  options: ThriftServerOptions = {},
): Promise<{ readonly server: ThriftServer; readonly port: number }> {
  const server = createThriftServer(Interop, handler, options)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  return { server, port: portOfCalls(server) }
}

/** A client, gone with the test. */
export function thriftClient(
  t: ExecutionContext,
  port: number,
  options: ThriftClientOptions = {},
): ThriftClient<InteropClient> {
  const client = createThriftClient(Interop, { host: '127.0.0.1', port }, options)
  t.teardown(() => client.close({ timeout: 0 }))
  return client
}

/** A value in which every field is set. */
export function fullValue(): InstanceType<typeof types.Everything> {
  const leaf = new types.Leaf({ name: 'leaf', weight: 3 })
  return new types.Everything({
    yes: true,
    no: false,
    tiny: -1,
    small: 300,
    middle: -70_000,
    large: 2 ** 40,
    real: 1.25,
    text: 'häuser 😀',
    bytes: Buffer.from([1, 2, 3, 255]),
    numbers: [1, -2],
    names: ['a', 'b'],
    leaves: { one: leaf },
    leaf,
    colour: 2,
    choice: new types.Choice({ text: 'this' }),
    flags: [true, false],
    grid: [[1], [2, 3]],
    far: 'far',
    marks: { x: true, y: false },
  })
}

/** Values without the classes that they are of. */
export function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_name, part: unknown) => {
      if (typeof part === 'number' && !Number.isFinite(part)) return String(part)
      const bytes = (part as { buffer?: unknown } | null)?.buffer
      return Buffer.isBuffer(bytes) ? Number(bytes.readBigInt64BE()) : part
    }),
  )
}
