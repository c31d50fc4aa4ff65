// An object that says what it has in another way than by members is no options: it is refused, and not passed over.

import { fileURLToPath } from 'node:url'
import { runInNewContext } from 'node:vm'
import test, { type ExecutionContext } from 'ava'

import * as cluster from '../../dist/cluster/index.mjs'
import { Cluster, dns, etcd, fixed, register } from '../../dist/cluster/index.mjs'
import * as netpoll from '../../dist/index.mjs'
import {
  type Connection,
  configure,
  createServer,
  DialedSocket,
  delimiter,
  Dialer,
  lengthField,
  Mux,
  Pool,
  type Server,
  type ServerTlsOptions,
  varint,
} from '../../dist/index.mjs'
import * as rpc from '../../dist/rpc/index.mjs'
import {
  type ClientCall,
  type Middleware,
  noMetadata,
  TransportClient,
  TransportServer,
} from '../../dist/rpc/index.mjs'
import * as thrift from '../../dist/thrift/index.mjs'
import { createThriftClient, createThriftServer } from '../../dist/thrift/index.mjs'
import { Inbox } from '../support/deferred.mjs'
import { JsonCodec, type Json } from '../support/json-codec.mjs'
import { placeOf } from '../support/listeners.mjs'
import { codeOf, framing, gone, rejection, targetOf } from '../support/netpoll.mjs'
import { optionTakersIn } from '../support/option-takers.mjs'
import { connectionAt } from '../support/placed.mjs'
import { places, words } from '../support/places.mjs'
import { clientOf, portOfCalls, serveCalls } from '../support/rpc.mjs'
import { thriftClient } from '../support/thrift.mjs'
import { Interop } from '../support/thrift-service.mjs'
import { certificate, key } from '../support/tls.mjs'

const identity = { key, cert: certificate }

class Empty {}
class Private {
  readonly #secret = identity
  secret(): object {
    return this.#secret
  }
}

/** Objects that have no members, with the names of their kinds. */
const others: readonly (readonly [what: string, value: object])[] = [
  ['a map', new Map()],
  ['a full map', new Map([['a.test', identity]])],
  ['a set', new Set(['a.test'])],
  ['a weak map', new WeakMap()],
  ['an empty list', []],
  ['a promise', Promise.resolve(identity)],
  ['a date', new Date()],
  ['a pattern', /a/],
  ['an error', new Error('a')],
  ['headers', new Headers({ a: 'b' })],
  ['parameters', new URLSearchParams('a=b')],
  ['a buffer', new ArrayBuffer(1)],
  ['an instance without members', new Empty()],
  ['an instance that hides them', new Private()],
  ['a map of another realm', runInNewContext('new Map()') as object],
]
/** Numbers and what is absent or no object, as lists of names are checked elsewhere. */
const scalars: readonly unknown[] = [0, Number.POSITIVE_INFINITY, 1.5, Number.NaN, -1, null, 'a', true, 1n]

class Defaults {
  readonly 'a.test' = identity
}
/** What has members, whatever its kind. */
const taken: readonly (readonly [what: string, value: object, has: boolean])[] = [
  ['none', {}, false],
  ['none, without a prototype', Object.create(null) as object, false],
  ['none, above none', Object.create({}) as object, false],
  ['none, of another realm', runInNewContext('({})') as object, false],
  ['one', { 'a.test': identity }, true],
  ['one, inherited', Object.create({ 'a.test': identity }) as object, true],
  ['one, without a prototype', Object.assign(Object.create(null), { 'a.test': identity }) as object, true],
  ['one of a class', new Defaults(), true],
]

const contextTakers: Readonly<Record<string, (contexts: never) => unknown>> = {
  createServer: (contexts) => createServer({ framing, tls: { ...identity, contexts } }, (request) => request),
  'server.setSecureContext': (contexts) => {
    const server = createServer({ framing, tls: identity }, (request) => request)
    server.setSecureContext({ contexts })
  },
}

for (const [where, take] of Object.entries(contextTakers)) {
  test(`contexts of another kind are refused: ${where}`, (t) => {
    for (const [what, value] of [...others, ['a list', [identity]] as const]) {
      const error = t.throws(() => take(value as never), undefined, what)
      t.is(codeOf(error), 'ERR_INVALID_ARG_TYPE', what)
      t.regex(error?.message ?? '', /"options\.tls\.contexts" argument must be a plain object/, what)
      t.false(error?.message.includes('PRIVATE KEY'), what)
    }
    for (const value of scalars) {
      const error = t.throws(() => take(value as never), undefined, String(value))
      t.is(codeOf(error), 'ERR_INVALID_ARG_TYPE', String(value))
    }
    t.notThrows(() => take(undefined as never))
    for (const [what, value] of taken) t.notThrows(() => take(value as never), what)
  })
}

for (const { pollers, transport, side } of places) {
  if (side !== 'server') continue
  test(`startTls refuses them as well, and takes others: ${words({ side, pollers, transport })}`, async (t) => {
    const accepted = new Inbox<Connection>()
    const server = createServer({ pollers, onConnect: accepted.push, onError: () => {} })
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen(placeOf(t, transport))
    const dialed = await new Dialer({ pollers, onError: () => {} }).dial(targetOf(server))
    const served = await accepted.take()
    for (const [what, contexts] of others) {
      const error = await rejection(served.startTls({ ...identity, contexts: contexts as never }))
      t.is(codeOf(error), 'ERR_INVALID_ARG_TYPE', what)
    }
    const contexts = Object.create({ 'a.test': identity }) as NonNullable<ServerTlsOptions['contexts']>
    await Promise.all([
      served.startTls({ contexts }),
      dialed.startTls({ ca: certificate, servername: 'a.test', rejectUnauthorized: false }),
    ])
    t.is(served.tls?.servername, 'a.test')
    await gone(dialed)
  })
}

test('contexts that are changed later change nothing', (t) => {
  const contexts: Record<string, typeof identity> = { 'a.test': { ...identity } }
  const server = createServer({ framing, tls: { contexts } }, (request) => request)
  contexts['b.test'] = { key: 'none', cert: 'none' }
  ;(contexts['a.test'] as { key: string }).key = 'none'
  t.notThrows(() => server.addContext('c.test', identity))
})

const address = { host: '127.0.0.1', port: 1 }
const url = 'http://127.0.0.1:1'
const found = fixed([{ address }])
const quiet = { onError: () => {} }

type Take = (value: never, t: ExecutionContext) => unknown

const serverOf = (t: ExecutionContext, options: object = {}): Server => {
  const server = createServer({ framing, ...options }, (request: Buffer) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  return server
}
const callServerOf = (t: ExecutionContext, options: object = {}): TransportServer<Json> => {
  const server = new TransportServer(new JsonCodec(), { onRequest: () => null }, options)
  t.teardown(() => server.close({ timeout: 0 }))
  return server
}
const closedWith = <Closing extends { close(options: { readonly timeout: number }): Promise<void> }>(
  t: ExecutionContext,
  one: Closing,
): Closing => {
  t.teardown(() => one.close({ timeout: 0 }))
  return one
}
const muxOf = (t: ExecutionContext, options: object = {}): Mux =>
  closedWith(t, new Mux(address, { framing, ...options }))
const poolOf = (t: ExecutionContext, options: object = {}): Pool =>
  closedWith(t, new Pool(address, { framing, ...options }))
const clusterFor = (t: ExecutionContext, options: object = {}): Cluster =>
  closedWith(t, new Cluster(found, { framing, ...quiet, ...options }))
const callerOf = (t: ExecutionContext, options: object = {}): TransportClient<Json> =>
  closedWith(t, new TransportClient(address, new JsonCodec(), options))
const thriftOf = (t: ExecutionContext, options: object = {}) => thriftClient(t, 1, options)

async function streamOf(t: ExecutionContext): Promise<Connection> {
  const { connection } = await connectionAt(t, { side: 'dialed', pollers: 0, transport: 'tcp' }, {
    framing: undefined,
  } as never)
  return connection
}

/** All who take options, by what the declarations call them. */
const optionTakers: Readonly<Record<string, Take>> = {
  'AcceptOptions.tls': (tls, t) => serverOf(t, { tls }),
  'Cluster.call(options)': (value, t) => clusterFor(t).call('x', value),
  'Cluster.close(options)': (value, t) => clusterFor(t).close(value),
  'Cluster.constructor(options)': (value) => new Cluster(found, value),
  'Cluster.send(options)': (value, t) => clusterFor(t).send('x', value),
  'Cluster.setSecureContext(options)': (value, t) => clusterFor(t, { tls: {} }).setSecureContext(value),
  'ClusterLimits.ejection': (ejection, t) => clusterFor(t, { ejection }),
  'ClusterLimits.hedge': (hedge, t) => clusterFor(t, { hedge }),
  'ClusterLimits.retry': (retry, t) => clusterFor(t, { retry }),
  'ConnectOptions.tls': (tls) => new Dialer({ framing, tls }),
  'Connection.call(options)': async (value, t) => {
    const { connection } = await connectionAt(t, { side: 'dialed', pollers: 0, transport: 'tcp' })
    return connection.call('x', value)
  },
  'Connection.startTls(options)': async (value, t) => (await streamOf(t)).startTls(value),
  'DialedSocket.connect(options)': (value) =>
    new Promise((_resolve, reject) => {
      new DialedSocket(new Dialer()).on('error', reject).connect(value)
    }),
  'Dialer.constructor(options)': (value) => new Dialer(value),
  'Dialer.dial(options)': (value) => new Dialer({ framing }).dial(value),
  'Dialer.setSecureContext(options)': (value) => new Dialer({ framing, tls: {} }).setSecureContext(value),
  'Endpoint.address': (value) => register({ url, key: 'a', address: value, ...quiet }),
  'EtcdConnectionOptions.headers': (headers) => etcd({ url, prefix: 'a/', headers }),
  'EtcdConnectionOptions.tls': (tls) => etcd({ url, prefix: 'a/', tls }),
  'MessageOptions.id': (id) => new Dialer({ framing, id }),
  'Mux.call(options)': (value, t) => muxOf(t).call('x', value),
  'Mux.close(options)': (value, t) => muxOf(t).close(value),
  'Mux.connect(options)': (value, t) => muxOf(t).connect(value),
  'Mux.constructor(address)': (value) => new Mux(value, { framing }),
  'Mux.constructor(options)': (value) => new Mux(address, value),
  'Mux.setSecureContext(options)': (value, t) => muxOf(t, { tls: {} }).setSecureContext(value),
  'MuxOptions.backoff': (backoff) => new Mux(address, { framing, backoff }),
  'Pool.call(options)': (value, t) => poolOf(t).call('x', value),
  'Pool.close(options)': (value, t) => poolOf(t).close(value),
  'Pool.constructor(address)': (value) => new Pool(value, { framing }),
  'Pool.constructor(options)': (value) => new Pool(address, value),
  'Pool.get(options)': (value, t) => poolOf(t).get(value),
  'Pool.setSecureContext(options)': (value, t) => poolOf(t, { tls: {} }).setSecureContext(value),
  'Reader.fillUntil(options)': async (value, t) => (await streamOf(t)).reader.fillUntil('x', value),
  'RegisterOptions.address': (value) => register({ url, key: 'a', address: value, ...quiet }),
  'RpcCallOptions.metadata': (metadata, t) => callerOf(t).call('x', null, { metadata }),
  'Server.addContext(credentials)': (value, t) => serverOf(t, { tls: identity }).addContext('a.test', value),
  'Server.close(options)': (value, t) => serverOf(t).close(value),
  'Server.listen(options)': (value, t) => serverOf(t).listen(value),
  'Server.setSecureContext(options)': (value, t) => serverOf(t, { tls: identity }).setSecureContext(value),
  'ServerTlsOptions.contexts': (contexts, t) => serverOf(t, { tls: { ...identity, contexts } }),
  'ThriftClient.close(options)': (value, t) => thriftOf(t).close(value),
  'ThriftClient.setSecureContext(options)': (value, t) => thriftOf(t, { tls: {} }).setSecureContext(value),
  'ThriftClient.withOptions(options)': (value, t) => thriftOf(t).withOptions(value),
  'TransportClient.call(options)': (value, t) => callerOf(t).call('x', null, value),
  'TransportClient.close(options)': (value, t) => callerOf(t).close(value),
  'TransportClient.constructor(address)': (value) => new TransportClient(value, new JsonCodec()),
  'TransportClient.constructor(options)': (value) => new TransportClient(address, new JsonCodec(), value),
  'TransportClient.send(options)': (value, t) => callerOf(t).send('x', null, value),
  'TransportClient.setSecureContext(options)': (value, t) => callerOf(t, { tls: {} }).setSecureContext(value),
  'TransportServer.addContext(credentials)': (value, t) =>
    callServerOf(t, { tls: identity }).addContext('a.test', value),
  'TransportServer.close(options)': (value, t) => callServerOf(t).close(value),
  'TransportServer.constructor(options)': (value) =>
    new TransportServer(new JsonCodec(), { onRequest: () => null }, value),
  'TransportServer.listen(options)': (value, t) => callServerOf(t).listen(value),
  'TransportServer.serve(options)': (value, t) => callServerOf(t).serve(value),
  'TransportServer.setSecureContext(options)': (value, t) =>
    callServerOf(t, { tls: identity }).setSecureContext(value),
  'WorkerServerOptions.workers': (workers) => createServer({ framing, workers }),
  'configure(options)': (value) => configure(value),
  'createServer(options)': (value) => createServer(value),
  'createThriftClient(address)': (value) => createThriftClient(Interop, value),
  'createThriftClient(options)': (value) => createThriftClient(Interop, address, value),
  'createThriftServer(options)': (value) => createThriftServer(Interop, {}, value),
  'delimiter(options)': (value) => delimiter('a', value),
  'dns(options)': (value) => dns('localhost', value),
  'etcd(options)': (value) => etcd(value),
  'lengthField(options)': (value) => lengthField(value),
  'register(options)': (value) => register(value),
  'varint(options)': (value) => varint(value),
}

/** Those of `Error`, which takes them as JavaScript does. */
const asOfErrors = ['RpcError.constructor(options)']

test('all who take options are looked at here', (t) => {
  const names = new Set([netpoll, cluster, rpc, thrift].flatMap((entry) => Object.keys(entry)))
  const takers = optionTakersIn(fileURLToPath(new URL('../../dist/', import.meta.url)), names)
  t.deepEqual(
    takers.filter((taker) => !asOfErrors.includes(taker)),
    Object.keys(optionTakers).sort(),
  )
})

for (const [where, take] of Object.entries(optionTakers)) {
  test(`options of another kind are refused: ${where}`, async (t) => {
    for (const [what, value] of others) {
      const error = await rejection(Promise.resolve().then(() => take(value as never, t)))
      t.true(
        ['ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_VALUE'].includes(String(codeOf(error))),
        `${what}: ${String(error)}`,
      )
    }
  })
}

/** Options of calls, which have members or none, and are not looked at closely. */
const optionsOfCalls: readonly (readonly [what: string, value: object | undefined])[] = [
  ['absent', undefined],
  ['none', {}],
  ['none, without a prototype', Object.create(null) as object],
  ['none, above none', Object.create({}) as object],
  ['none, of another realm', runInNewContext('({})') as object],
  ['one that is undefined', { timeout: undefined }],
  ['one, inherited', Object.create({ timeout: 1_000 }) as object],
  [
    'a getter of a class',
    new (class {
      get timeout(): number {
        return 1_000
      }
    })(),
  ],
  ['a map with an option', Object.assign(new Map(), { timeout: 1_000 })],
]

test('metadata that is a list, or none, is refused, and stays the object that it is', async (t) => {
  const { server } = await serveCalls(t, () => null)
  const seen: unknown[] = []
  const noting: Middleware<ClientCall<Json>, Json | undefined> = (next) => (call) => {
    seen.push(call.metadata)
    return next(call)
  }
  const client = clientOf(t, portOfCalls(server), { middleware: [noting] })
  for (const metadata of [[['a', 'b']], ...scalars.filter((value) => value !== undefined)]) {
    const error = await rejection(client.call('x', null, { metadata: metadata as never }))
    t.is(codeOf(error), 'ERR_INVALID_ARG_TYPE', String(metadata))
  }
  const given = [{}, { a: 'b' }, Object.create(null), Object.create({ a: 'b' }), noMetadata] as const
  for (const metadata of given) await client.call('x', null, { metadata })
  t.true(seen.length === given.length && given.every((metadata, index) => metadata === seen[index]))
})

test('calls take options of all kinds that have them', async (t) => {
  const { server } = await serveCalls(t, () => null)
  const client = clientOf(t, portOfCalls(server))
  for (const [what, options] of optionsOfCalls) t.is(await client.call('x', null, options), null, what)
})

test('a member that a library has added to all objects is no option', (t) => {
  const { prototype } = Object as { readonly prototype: { ofALibrary?: number } }
  prototype.ofALibrary = 1
  try {
    t.throws(() => delimiter('a', new Map() as never), { code: 'ERR_INVALID_ARG_TYPE' })
    t.notThrows(() => delimiter('a', {}))
  } finally {
    delete prototype.ofALibrary
  }
})
