import test, { type ExecutionContext } from 'ava'
import { Cluster, dns, etcd, fixed, type Resolver, register } from '../../dist/cluster/index.mjs'
import {
  configure,
  createServer,
  Dialer,
  delimiter,
  lengthField,
  Mux,
  Pool,
  readerFrom,
  varint,
} from '../../dist/index.mjs'
import { TransportClient, TransportServer } from '../../dist/rpc/index.mjs'
import { createThriftClient, createThriftServer } from '../../dist/thrift/index.mjs'
import { JsonCodec } from '../support/json-codec.mjs'
import { codeOf, dial, framing, rejection, serve } from '../support/netpoll.mjs'
import { startGateway } from '../support/registries.mjs'
import { Interop } from '../support/thrift-service.mjs'
import { certificate, key } from '../support/tls.mjs'

/** Whoever takes options. */
interface Taker {
  readonly title: string
  /** All options that it has. */
  readonly names: string
  /** What it needs. */
  readonly base: object
  /** How its errors begin the names. */
  readonly argument?: string
  /** Gives it options; what it made of them is let go of. */
  readonly give: (t: ExecutionContext, options: never) => unknown
}

const nowhere = { host: '127.0.0.1', port: 1 }
const module = new URL('file:///nothing.mjs')
const limits = 'maxLength maxElements maxInflatedLength maxInflationRatio'
const common =
  'bytes ordered maxInFlight highWaterMark maxBufferedBytes closeTimeout maxCloseTime noDelay allowHalfOpen ' +
  'tls readTimeout writeTimeout idleTimeout keepAlive pollers loadBalance onPrepare onConnect onDrain onDisconnect onError'
const messages = 'framing id onRequest onMessage onData'
const dials = 'requestTimeout connectTimeout connectionAttemptDelay lookup localAddress localPort'
const ofMux = 'connections maxConcurrentCalls backoff failFast maxLifetime maxIdleTime onReadyChange'
const ofPool = 'connections minIdle maxIdleTime maxLifetime maxWaiters waitTimeout'
const ofCluster =
  'balancer retry hedge ejection slowStart subset clientId drainTimeout maxWaiters isUnavailable'
/** What a cluster decides of its muxes. */
const ofLinks = ['failFast', 'maxIdleTime', 'onReadyChange']
const decided = ['bytes', 'ordered', 'framing', 'id', 'onRequest', 'onMessage', 'onData', 'maxInFlight']
const ofHandler = ['onConnect', 'onDisconnect', 'onError']
const words = (...lists: readonly string[]): readonly string[] => lists.join(' ').split(' ')
const without = (names: readonly string[], others: readonly string[]): string =>
  names.filter((name) => !others.includes(name)).join(' ')
const ofTransportServer = without(words(common, 'middleware maxConnections onDrop'), ['bytes', ...ofHandler])
const ofMuxClient = without(words(common, dials, ofMux, 'kind middleware'), decided)
const ofPoolClient = without(words(common, dials, ofPool, 'kind middleware'), decided)

const ofClusterClient = without(words(ofMuxClient, ofCluster), [...ofLinks, 'isUnavailable'])

async function echo(t: ExecutionContext): Promise<typeof nowhere> {
  return { host: '127.0.0.1', port: (await serve(t, {}, (request) => request)).port }
}

/** Something that is there for as long as it is used. */
async function using<Thing extends AsyncDisposable, Result>(
  thing: Thing,
  work: (thing: Thing) => Result,
): Promise<Awaited<Result>> {
  try {
    return await work(thing)
  } finally {
    await thing[Symbol.asyncDispose]()
  }
}

/** Finds no server, so that nothing is dialed. */
const nobody: Resolver = {
  watch: () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) }),
}
const cluster = async (t: ExecutionContext): Promise<Cluster> =>
  new Cluster(fixed([{ address: await echo(t) }]), { framing })
const gateway = await startGateway()

const pool = async (t: ExecutionContext): Promise<Pool> => new Pool(await echo(t), { framing })
const mux = async (t: ExecutionContext): Promise<Mux> => new Mux(await echo(t), { framing })

const takers: readonly Taker[] = [
  {
    title: 'createServer',
    names: `${common} ${messages} maxConnections onDrop workers`,
    base: { framing },
    give: (_t, options) => createServer(options),
  },
  {
    title: 'createServer beside a handler',
    names: `${common} ${messages} maxConnections onDrop workers`,
    base: { framing },
    give: (_t, options) => createServer(options, (request) => request),
  },
  {
    title: 'new Dialer',
    names: `${common} ${messages} ${dials}`,
    base: { framing },
    give: (_t, options) => new Dialer(options),
  },
  {
    title: 'new Pool',
    names: `${common} ${messages} ${dials} ${ofPool}`,
    base: { framing },
    give: (_t, options) => new Pool(nowhere, options),
  },
  {
    title: 'new Mux',
    names: `${common} ${messages} ${dials} ${ofMux}`,
    base: { framing },
    give: (_t, options) => new Mux(nowhere, options),
  },
  {
    title: 'backoff',
    names: 'min max',
    base: {},
    argument: 'options.backoff',
    give: (_t, backoff) => new Mux(nowhere, { framing, backoff }),
  },
  {
    title: 'new Cluster',
    names: without(words(common, messages, dials, ofMux, ofCluster), ofLinks),
    base: { framing },
    give: (_t, options) => using(new Cluster(nobody, options), () => {}),
  },
  ...(
    [
      { member: 'retry', names: 'tries ratio perSecond', base: {} },
      { member: 'hedge', names: 'delay', base: { delay: 1 } },
      { member: 'ejection', names: 'failures min max share', base: {} },
      { member: 'backoff', names: 'min max', base: {} },
      { member: 'id', names: 'offset size endian', base: { offset: 0, size: 4 } },
    ] as const
  ).map(({ member, names, base }) => ({
    title: `${member} of a cluster`,
    names,
    base,
    argument: `options.${member}`,
    give: (_t: ExecutionContext, options: never): unknown =>
      using(new Cluster(nobody, { framing, [member]: options }), () => {}),
  })),
  {
    title: 'a call of a cluster',
    names: 'timeout deadline signal key idempotent',
    base: {},
    give: async (t, options) => using(await cluster(t), (own) => own.call('x', options)),
  },
  {
    title: 'send of a cluster',
    names: 'timeout deadline signal key',
    base: {},
    give: async (t, options) => using(await cluster(t), (own) => own.send('x', options)),
  },
  {
    title: 'cluster.close',
    names: 'timeout',
    base: {},
    give: async (t, options) => using(await cluster(t), (own) => own.close(options)),
  },
  {
    title: 'dns',
    names: 'port type refresh servers',
    base: { port: 1 },
    give: (_t, options) => dns('localhost', options),
  },
  {
    title: 'etcd',
    names: 'url prefix parse tls headers',
    base: { url: gateway, prefix: 'a' },
    give: (_t, options) => etcd(options),
  },
  {
    title: 'register',
    names: 'url key address weight servername ttl tls headers onError',
    base: { url: gateway, key: 'a', address: nowhere },
    give: async (_t, options) => using(await register(options), () => {}),
  },
  {
    title: 'an endpoint',
    names: 'address weight servername',
    base: { address: nowhere },
    argument: 'endpoint',
    give: (_t, endpoint) => fixed([endpoint]),
  },
  {
    title: 'the address of an endpoint',
    names: 'host port path',
    base: nowhere,
    argument: 'endpoint.address',
    give: (_t, address) => fixed([{ address }]),
  },
  {
    title: 'the address of a pool',
    names: 'host port path',
    base: nowhere,
    argument: 'address',
    give: (_t, address) => new Pool(address, { framing }),
  },
  {
    title: 'the address of a mux',
    names: 'host port path',
    base: nowhere,
    argument: 'address',
    give: (_t, address) => new Mux(address, { framing }),
  },
  {
    title: 'id',
    names: 'offset size endian',
    base: { offset: 0, size: 4 },
    argument: 'options.id',
    give: (_t, id) => createServer({ framing, id }),
  },
  {
    title: 'workers',
    names:
      'module threads minThreads maxThreads maxQueue concurrentTasksPerWorker idleTimeout loadBalance lostReply workerData',
    base: { module },
    argument: 'options.workers',
    give: (_t, workers) => createServer({ framing, workers }),
  },
  {
    title: 'lengthField',
    names: 'size offset adjustment strip endian maxLength',
    base: { size: 4 },
    give: (_t, options) => lengthField(options),
  },
  { title: 'delimiter', names: 'maxLength', base: {}, give: (_t, options) => delimiter('\n', options) },
  { title: 'varint', names: 'maxLength', base: {}, give: (_t, options) => varint(options) },
  {
    title: 'configure',
    names: 'pollers loadBalance chunkSize logger',
    base: {},
    give: (_t, options) => configure(options),
  },
  {
    title: 'listen',
    names: 'port host path fd backlog reusePort ipv6Only shared mode signal',
    base: { host: '127.0.0.1', port: 0 },
    give: (_t, options) => using(createServer({ framing }), (server) => server.listen(options)),
  },
  {
    title: 'server.close',
    names: 'timeout',
    base: {},
    give: (_t, options) => using(createServer({ framing }), (server) => server.close(options)),
  },
  {
    title: 'a call',
    names: 'timeout deadline signal',
    base: {},
    give: async (t, options) => (await dial(t, await echo(t))).call('x', options),
  },
  {
    title: 'a call of a pool',
    names: 'timeout deadline signal',
    base: {},
    give: async (t, options) => using(await pool(t), (own) => own.call('x', options)),
  },
  {
    title: 'a call of a mux',
    names: 'timeout deadline signal',
    base: {},
    give: async (t, options) => using(await mux(t), (own) => own.call('x', options)),
  },
  {
    title: 'pool.get',
    names: 'timeout deadline signal',
    base: {},
    give: async (t, options) => using(await pool(t), async (own) => own.put(await own.get(options))),
  },
  {
    title: 'pool.close',
    names: 'timeout',
    base: {},
    give: async (t, options) => using(await pool(t), (own) => own.close(options)),
  },
  {
    title: 'mux.close',
    names: 'timeout',
    base: {},
    give: async (t, options) => using(await mux(t), (own) => own.close(options)),
  },
  {
    title: 'fillUntil',
    names: 'maxLength',
    base: {},
    give: (_t, options) => readerFrom([Buffer.from('a\n')]).fillUntil('\n', options),
  },
  {
    title: 'new TransportServer',
    names: ofTransportServer,
    base: {},
    give: (_t, options) => new TransportServer(new JsonCodec(), { onRequest: () => null }, options),
  },
  {
    title: 'close of a TransportServer',
    names: 'timeout',
    base: {},
    give: (_t, options) => new TransportServer(new JsonCodec(), { onRequest: () => null }).close(options),
  },
  {
    title: 'new TransportClient',
    names: ofMuxClient,
    base: {},
    give: (_t, options) => new TransportClient(nowhere, new JsonCodec(), options),
  },
  {
    title: 'new TransportClient with a pool',
    names: ofPoolClient,
    base: { kind: 'pool' },
    give: (_t, options) => new TransportClient(nowhere, new JsonCodec(), options),
  },
  {
    title: 'new TransportClient with a resolver',
    names: ofClusterClient,
    base: {},
    give: (_t, options) => using(new TransportClient(nobody, new JsonCodec(), options), () => {}),
  },
  ...(['call', 'send'] as const).map((method) => ({
    title: `${method} of a TransportClient`,
    names: 'timeout deadline signal metadata key idempotent',
    base: {},
    give: async (t: ExecutionContext, options: never): Promise<unknown> => {
      const server = new TransportServer(new JsonCodec(), { onRequest: () => null })
      t.teardown(() => server.close({ timeout: 0 }))
      await server.listen({ host: '127.0.0.1', port: 0 })
      const { port } = server.address() as { readonly port: number }
      const client = new TransportClient({ host: '127.0.0.1', port }, new JsonCodec())
      return using(client, (own) => own[method]('x', null, options))
    },
  })),
  {
    title: 'close of a TransportClient',
    names: 'timeout',
    base: {},
    give: (_t, options) => new TransportClient(nowhere, new JsonCodec()).close(options),
  },
  {
    title: 'createThriftServer',
    names: `${ofTransportServer} ${limits} onConnect onDisconnect onError`,
    base: {},
    give: (_t, options) => createThriftServer(Interop, {}, options),
  },
  {
    title: 'createThriftClient',
    names: `${ofMuxClient} ${limits} transport protocol`,
    base: {},
    give: (_t, options) => createThriftClient(Interop, nowhere, options),
  },
  {
    title: 'createThriftClient with a resolver',
    names: `${ofClusterClient} ${limits} transport protocol`,
    base: {},
    give: (_t, options) => using(createThriftClient(Interop, nobody, options), () => {}),
  },
  {
    title: 'withOptions',
    names: 'timeout deadline signal metadata key idempotent',
    base: {},
    give: (_t, options) => createThriftClient(Interop, nowhere).withOptions(options),
  },
]

/** What giving options ends with, when and however it does. */
async function refusal({ give }: Taker, t: ExecutionContext, options: object): Promise<unknown> {
  return rejection(Promise.resolve().then(() => give(t, options as never)))
}

const accepts = async ({ give }: Taker, t: ExecutionContext, options: object): Promise<void> =>
  void (await t.notThrowsAsync(async () => void (await give(t, options as never))))

for (const taker of takers) {
  const { title, base, argument = 'options' } = taker
  const names = taker.names.split(' ')

  test(`${title} refuses what is no option`, async (t) => {
    for (const name of ['compression', 'constructor', 'toString', '', '\n', 'ключ', 'x'.repeat(1_000_000)]) {
      const error = await refusal(taker, t, { ...base, [name]: true })
      t.true(error instanceof TypeError, `${name.slice(0, 20)}: ${String(error)}`)
      t.is(codeOf(error), 'ERR_INVALID_ARG_VALUE')
      const { message } = error as Error
      t.true(message.startsWith(`The "${argument}.${name.slice(0, 64)}" argument is not an option`), message)
      t.true(message.length < 500)
    }
    const wrong = JSON.parse(`{"__proto__": {"size": 4}}`)
    t.is(
      codeOf(await refusal(taker, t, Object.defineProperties(wrong, Object.getOwnPropertyDescriptors(base)))),
      'ERR_INVALID_ARG_VALUE',
    )
  })

  test(`${title} names the nearest option`, async (t) => {
    for (const name of names) {
      // One letter too few, twice, of the other case, and in the wrong place.
      const [first = '', second = ''] = name
      const rest = name.slice(2)
      for (const wrong of [
        name.slice(0, -1),
        name + name.at(-1),
        name.toUpperCase(),
        first + rest,
        second + first + rest,
      ]) {
        if (wrong === '' || names.includes(wrong)) continue
        const { message = '' } = (await refusal(taker, t, { ...base, [wrong]: null })) as Error
        const [, near = ''] = /Did you mean "(.*)"\?/.exec(message) ?? []
        t.true(names.includes(near.slice(argument.length + 1)), `${wrong}: ${message}`)
        if (wrong.toLowerCase() === name.toLowerCase()) t.is(near, `${argument}.${name}`)
      }
    }
  })

  test(`${title} takes undefined as absent`, async (t) => {
    await accepts(taker, t, {
      ...Object.fromEntries(names.map((name) => [name, undefined])),
      compression: undefined,
      ...base,
    })
  })

  test(`${title} takes each option once, inherited ones as well`, async (t) => {
    const asked: string[] = []
    class Options {}
    for (const name of names) {
      Object.defineProperty(Options.prototype, name, {
        get: () => {
          asked.push(name)
          return (base as Readonly<Record<string, unknown>>)[name]
        },
      })
    }
    await accepts(taker, t, new Options())
    // The kind decides which options there are.
    const once = asked.filter((name) => name !== 'kind')
    t.deepEqual([...new Set(once)].toSorted(), names.filter((name) => name !== 'kind').toSorted())
    t.is(once.length, new Set(once).size, asked.join())
    await accepts(taker, t, Object.create(base))
    await accepts(taker, t, Object.assign(Object.create(null), base))
    const error = await refusal(taker, t, Object.create({ ...base, compression: true }))
    t.is(codeOf(error), 'ERR_INVALID_ARG_VALUE')
  })

  test(`${title} rejects with what a member throws`, async (t) => {
    const failure = new Error('from the options')
    const throws = (): never => {
      throw failure
    }
    for (const name of [...names, 'compression']) {
      const options = Object.defineProperty({ ...base }, name, { get: throws, enumerable: true })
      t.is(await refusal(taker, t, options), failure, name)
    }
    t.is(await refusal(taker, t, new Proxy({ ...base }, { ownKeys: throws })), failure)
    t.is(await refusal(taker, t, new Proxy({ ...base }, { get: throws })), failure)
    const { proxy, revoke } = Proxy.revocable({ ...base }, {})
    revoke()
    t.true((await refusal(taker, t, proxy)) instanceof TypeError)
    await accepts(taker, t, new Proxy({ ...base }, {}))
  })

  test(`${title} refuses what has no members`, async (t) => {
    for (const wrong of [null, 1, 'text', true, 1n, Symbol('options'), () => {}]) {
      // An id may be a function.
      if (argument === 'options.id' && typeof wrong === 'function') continue
      const error = await refusal(taker, t, wrong as object)
      t.is(codeOf(error), 'ERR_INVALID_ARG_TYPE', String(wrong))
    }
  })
}

test('null is no number', (t) => {
  const names = [
    'highWaterMark',
    'maxInFlight',
    'maxBufferedBytes',
    'maxCloseTime',
    'keepAlive',
    'pollers',
    'loadBalance',
  ]
  for (const name of names) {
    for (const act of [createServer, (options: never) => new Dialer(options)]) {
      t.throws(() => act({ framing, [name]: null } as never), { code: 'ERR_INVALID_ARG_TYPE' }, name)
    }
  }
  for (const name of ['pollers', 'loadBalance', 'chunkSize', 'logger']) {
    t.throws(() => configure({ [name]: null }), { code: 'ERR_INVALID_ARG_TYPE' }, name)
  }
  for (const name of ['threads', 'minThreads', 'maxThreads', 'maxQueue', 'concurrentTasksPerWorker']) {
    const workers = { module, [name]: null } as never
    t.throws(() => createServer({ framing, workers }), { code: 'ERR_INVALID_ARG_TYPE' }, name)
  }
  t.throws(() => lengthField({ size: 4, strip: null } as never), { code: 'ERR_INVALID_ARG_TYPE' })
  t.throws(() => varint({ maxLength: null } as never), { code: 'ERR_INVALID_ARG_TYPE' })
})

test('the argument of dial may have foreign members, as an agent passes them on', async (t) => {
  const foreign = {
    headers: { host: 'x' },
    method: 'GET',
    agent: null,
    servername: 'x',
    timeout: 5,
    compression: true,
  }
  const options = { ...foreign, ...(await echo(t)) }
  const connection = await dial(t, options)
  t.is((await connection.call('x')).toString(), 'x')
  t.is(
    codeOf(await rejection(new Dialer({ framing }).dial({ ...options, localPort: '1' } as never))),
    'ERR_INVALID_ARG_TYPE',
  )
})

test('what a library has added to all objects is not taken for an option', async (t) => {
  const target = await echo(t)
  const prototype = Object.prototype as { shout?: unknown }
  prototype.shout = () => 'HELLO'
  try {
    t.notThrows(() => new Dialer({ framing }))
    t.notThrows(() => new Dialer({ framing, tls: {} }))
    const contexts = { 'other.example': { key, cert: certificate } }
    t.notThrows(() => createServer({ framing, tls: { key, cert: certificate, contexts } }, () => {}))
    t.throws(() => new Dialer({ framing, tls: { shout: true } as never }), { code: 'ERR_INVALID_ARG_VALUE' })
    t.notThrows(() => createThriftServer(Interop, {}, {}))
    t.notThrows(() => createThriftClient(Interop, nowhere, {}))
    t.throws(() => new Dialer({ framing, shout: true } as never), { code: 'ERR_INVALID_ARG_VALUE' })
  } finally {
    delete prototype.shout
  }
  const connection = await dial(t, target)
  t.is((await connection.call('x', {})).toString(), 'x')
})
