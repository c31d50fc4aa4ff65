// An option that is there and undefined is as one that is absent, whoever takes it. Names are read from the declarations.

import { fileURLToPath } from 'node:url'
import test from 'ava'

import {
  configure,
  createServer,
  Dialer,
  delimiter,
  lengthField,
  Mux,
  Pool,
  readerFrom,
  stats,
  varint,
} from '../../dist/index.mjs'
import { allUndefined, declarationsIn } from '../support/declarations.mjs'
import { deferred } from '../support/deferred.mjs'
import { JsonCodec } from '../support/json-codec.mjs'
import { dial, framing, gone, portOf, serve } from '../support/netpoll.mjs'
import { clientOf, serveCalls } from '../support/rpc.mjs'
import { socketPath } from '../support/system.mjs'
import { serveThrift, thriftClient } from '../support/thrift.mjs'

const declarations = declarationsIn(fileURLToPath(new URL('../../dist/', import.meta.url)))
const undefinedOf = (name: string, ...except: readonly string[]): object =>
  allUndefined(declarations, name, except)
const host = '127.0.0.1'
/** What a codec decides, and no user of it. */
const decided = ['framing', 'bytes', 'id', 'onRequest', 'onData'] as const
const hooks = ['onConnect', 'onDisconnect'] as const
/** Ends what would hang. */
const limit = 100_000

test('undefined options: of servers with a framing, of dialers, of calls', async (t) => {
  const options = undefinedOf('FramedServerOptions')
  t.true(Object.keys(options).length > 20)
  const { port } = await serve(t, options, (request) => request)
  const connection = await dial(t, { port }, undefinedOf('FramedDialerOptions'))
  t.is(String(await connection.call('hello', undefinedOf('CallOptions'))), 'hello')
})

test('undefined options: of servers of a stream, and of dials', async (t) => {
  const server = createServer({ ...undefinedOf('StreamServerOptions') }, ({ reader, writer }) => {
    writer.writeBinary(reader.next(reader.length))
    return writer.flush()
  })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ ...undefinedOf('ListenPortOptions'), host, port: 0 })
  const port = portOf(server)
  const dialer = new Dialer(undefinedOf('StreamDialerOptions'))
  const connection = await dialer.dial({ ...undefinedOf('DialOptions'), port })
  t.teardown(() => gone(connection))
  await connection.send('hello\n')
  t.is(await connection.reader.fillUntil('\n', { maxLength: undefined }), 6)
})

test('undefined options: of servers with workers', async (t) => {
  const module = new URL('../fixtures/handler.mjs', import.meta.url)
  const server = createServer({
    ...undefinedOf('WorkerServerOptions'),
    framing,
    workers: { ...undefinedOf('WorkersOptions'), module, threads: 1 },
  })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ ...undefinedOf('ListenPortOptions'), port: 0 })
  t.like(server.stats(), { workers: { queued: 0 } })
})

test('undefined options: of places to listen', async (t) => {
  const path = socketPath(t, 'undefined.sock')
  for (const place of [{ port: 0 }, { path }]) {
    const server = createServer({})
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen({ ...undefinedOf('ListenOptions'), ...place })
    t.not(server.address(), null)
    await server.close({ timeout: undefined })
  }
})

test('undefined options: of a pool and a mux', async (t) => {
  const { port } = await serve(t, {}, (request) => request)
  const pool = new Pool({ host: undefined, port }, { ...undefinedOf('PoolOptions'), framing })
  t.teardown(() => pool.close({ timeout: 0 }))
  t.is(String(await pool.call('hello', undefinedOf('CallOptions'))), 'hello')
  pool.put(await pool.get(undefinedOf('GetOptions')))
  await pool.close({ timeout: undefined })
  const options = { ...undefinedOf('MuxOptions'), framing, backoff: undefinedOf('BackoffOptions') }
  const mux = new Mux({ host: undefined, port }, options)
  t.teardown(() => mux.close({ timeout: 0 }))
  t.is(String(await mux.call('hello', undefinedOf('CallOptions'))), 'hello')
  await mux.close({ timeout: undefined })
})

test('undefined options: of framings and ids', async (t) => {
  const framings = [
    lengthField({ ...undefinedOf('LengthFieldOptions'), size: 4 }),
    delimiter('\n', undefinedOf('MaxLengthOptions')),
    varint(undefinedOf('MaxLengthOptions')),
  ]
  for (const each of framings) {
    const { port } = await serve(t, { framing: each }, (request) => request)
    const id = { ...undefinedOf('IdField'), offset: 0, size: 1 } as const
    const connection = await dial(t, { port }, { framing: each, id })
    t.is(String(await connection.call('hello')), 'hello')
  }
})

test('undefined options: of the process', (t) => {
  const before = stats()
  configure(undefinedOf('ProcessOptions'))
  t.deepEqual(Object.keys(stats()), Object.keys(before))
})

test('undefined options: of a reader', async (t) => {
  const reader = readerFrom([Buffer.from('line\n')])
  t.is(await reader.fillUntil('\n', { maxLength: undefined }), 5)
})

test('undefined options: of transports, whose codec has ids: replies overtake each other', async (t) => {
  const slow = deferred()
  const onRequest = async ({ method }: { readonly method: string }): Promise<string> => {
    if (method === 'slow') await slow.promise
    return method
  }
  const codec = Object.assign(new JsonCodec(), undefinedOf('Codec', 'id'))
  const handler = { ...undefinedOf('TransportHandler'), onRequest }
  const { port } = await serveCalls(
    t,
    handler,
    undefinedOf('TransportServerOptions', ...decided, ...hooks, 'onError'),
    codec,
  )
  const client = clientOf(
    t,
    port,
    { ...undefinedOf('TransportClientOptions', ...decided, 'ordered'), connections: 1 },
    codec,
  )
  const first = client.call('slow', null, undefinedOf('RpcCallOptions'))
  t.is(await client.call('quick', null, { ...undefinedOf('RpcCallOptions'), timeout: limit }), 'quick')
  slow.resolve()
  t.is(await first, 'slow')
  await client.close({ timeout: undefined })
})

test('undefined options: of Thrift, whose messages have ids: replies overtake each other', async (t) => {
  const slow = deferred()
  const handler = { ping: () => slow.promise, told: () => ['quick'] }
  const { port } = await serveThrift(t, handler, undefinedOf('ThriftServerOptions', ...decided, ...hooks))
  const client = thriftClient(t, port, {
    ...undefinedOf('ThriftClientOptions', ...decided, 'ordered'),
    connections: 1,
  })
  const first = client.withOptions(undefinedOf('RpcCallOptions')).ping()
  t.deepEqual(await client.withOptions({ timeout: limit }).told(), ['quick'])
  slow.resolve()
  t.is((await first) ?? undefined, undefined)
  await client.close({ timeout: undefined })
})
