// Options of TLS are replaced while servers and clients run: what begins from then on goes by the new ones.

import test, { type ExecutionContext } from 'ava'

import { Cluster, fixed } from '../../dist/cluster/index.mjs'
import {
  type ClientTlsOptions,
  type Connection,
  type ConnectionTls,
  createServer,
  Dialer,
  type FramedServerOptions,
  Mux,
  Pool,
  type Server,
  type ServerTlsOptions,
  type TlsCredentials,
} from '../../dist/index.mjs'
import { TransportClient, TransportServer } from '../../dist/rpc/index.mjs'
import { createThriftClient, createThriftServer } from '../../dist/thrift/index.mjs'
import { Authority, ofClient, patient } from '../support/certificates.mjs'
import { ToldResolver } from '../support/cluster.mjs'
import { Inbox, until } from '../support/deferred.mjs'
import { JsonCodec } from '../support/json-codec.mjs'
import { id, request } from '../support/leaving.mjs'
import { codeOf, framing } from '../support/netpoll.mjs'
import { portOfCalls } from '../support/rpc.mjs'
import { interopHandler } from '../support/thrift.mjs'
import { Interop } from '../support/thrift-service.mjs'

const root = new Authority({ name: 'root' })
const otherRoot = new Authority({ name: 'other root' })
const identity = root.issue()
const clients = ['first', 'second'].map((name) => root.issue({ name, extensions: ofClient }))
const [first, second] = clients as [(typeof clients)[0], (typeof clients)[0]]
const host = '127.0.0.1'
const tls: ClientTlsOptions = { ca: root.cert, servername: 'localhost', ...first }

/** What a server has learned of a client, and how to have it dial again. */
interface Seen {
  readonly subject: string | undefined
  readonly resumed: boolean
  readonly connection: Connection
}

function seenBy(seen: Inbox<Seen>): (connection: Connection) => void {
  return (connection) => {
    const { peerCertificate, sessionReused } = connection.tls as ConnectionTls
    seen.push({ subject: peerCertificate?.subject, resumed: sessionReused, connection })
  }
}

const asking: ServerTlsOptions = { ...identity, ...patient, ca: root.cert, requestCert: true }

/** What dials for calls. */
interface Caller {
  call(): Promise<unknown>
  setSecureContext(options: ClientTlsOptions): void
  close(options?: { readonly timeout?: number }): Promise<unknown>
}

type Made = (port: number, tls: ClientTlsOptions | undefined) => Caller

function asCaller<Client extends Omit<Caller, 'call'>>(
  client: Client,
  call: (client: Client) => Promise<unknown>,
): Caller {
  return {
    call: () => call(client),
    setSecureContext: (options) => client.setSecureContext(options),
    close: (options) => client.close(options),
  }
}

const given = (options: ClientTlsOptions | undefined): { readonly tls?: ClientTlsOptions } =>
  options === undefined ? {} : { tls: options }
const timeout = { timeout: 60_000 }
/** One connection at a time, whose end is told to no one. */
const quiet = { connections: 1, onError: (): void => {} }
const plain = (name: 'pool' | 'mux', pollers: number): Made => {
  const Client = name === 'pool' ? Pool : Mux
  return (port, options) =>
    asCaller<Pool | Mux>(
      new Client({ host, port }, { framing, id, pollers, ...quiet, ...given(options) }),
      (client) => client.call(request('a'), timeout),
    )
}

const callers: readonly (readonly [name: string, kind: 'plain' | 'rpc' | 'thrift', Made])[] = [
  ...[0, 1, 2].flatMap((pollers) =>
    (['pool', 'mux'] as const).map(
      (name) => [`${name}, pollers ${pollers}`, 'plain', plain(name, pollers)] as const,
    ),
  ),
  [
    'cluster',
    'plain',
    (port, options) =>
      asCaller(
        new Cluster(fixed([{ address: { host, port }, servername: 'localhost' }]), {
          framing,
          id,
          ...quiet,
          ...given(options),
        }),
        (client) => client.call(request('a'), timeout),
      ),
  ],
  ...(['mux', 'pool'] as const).map(
    (kind) =>
      [
        `rpc client over a ${kind}`,
        'rpc',
        (port: number, options: ClientTlsOptions | undefined) =>
          asCaller(
            new TransportClient({ host, port }, new JsonCodec(), { kind, ...quiet, ...given(options) }),
            (client) => client.call('echo', 'a', timeout),
          ),
      ] as const,
  ),
  [
    'rpc client over a cluster',
    'rpc',
    (port, options) =>
      asCaller(
        new TransportClient(fixed([{ address: { host, port } }]), new JsonCodec(), {
          ...quiet,
          ...given(options),
        }),
        (client) => client.call('echo', 'a', timeout),
      ),
  ],
  [
    'thrift client',
    'thrift',
    (port, options) =>
      asCaller(createThriftClient(Interop, { host, port }, { ...quiet, ...given(options) }), ({ service }) =>
        service.ping(),
      ),
  ],
]

async function listening(
  t: ExecutionContext,
  kind: 'plain' | 'rpc' | 'thrift',
  onConnect: (connection: Connection) => void,
): Promise<number> {
  const server =
    kind === 'plain'
      ? createServer({ framing, id, ordered: false, tls: asking, onConnect }, (message) => message)
      : kind === 'rpc'
        ? new TransportServer(new JsonCodec(), { onRequest: ({ body }) => body, onConnect }, { tls: asking })
        : createThriftServer(Interop, interopHandler(), { tls: asking, onConnect })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host, port: 0 })
  return portOfCalls(server)
}

for (const [name, kind, make] of callers) {
  test(`what is dialed after setSecureContext goes by it, without old sessions: ${name}`, async (t) => {
    const seen = new Inbox<Seen>()
    const port = await listening(t, kind, seenBy(seen))
    const client = make(port, tls)
    t.teardown(() => client.close({ timeout: 0 }))
    const again = async (): Promise<Omit<Seen, 'connection'>> => {
      // The one before has gone, as far as the client knows, once the next is there.
      const before = seen.all.at(-1)?.connection
      before?.destroy()
      const count = seen.all.length
      while (seen.all.length === count) await client.call().catch(() => {})
      const { subject, resumed } = seen.all.at(-1) as Seen
      return { subject, resumed }
    }
    t.deepEqual(await again(), { subject: 'CN=first', resumed: false })
    t.deepEqual(await again(), { subject: 'CN=first', resumed: true })
    // What cannot be used changes nothing.
    for (const wrong of [null, 1, { key: second.key, cert: first.cert }, { crl: 'x' }, { ca: 'x' }]) {
      t.throws(() => client.setSecureContext(wrong as never), undefined, JSON.stringify(wrong))
    }
    t.deepEqual(await again(), { subject: 'CN=first', resumed: true })
    const standing = seen.all.length
    client.setSecureContext(second)
    await client.call()
    t.is(seen.all.length, standing, 'the connection that stands goes on')
    t.deepEqual(await again(), { subject: 'CN=second', resumed: false })
    t.deepEqual(await again(), { subject: 'CN=second', resumed: true })
  })

  test(`without TLS there is nothing to replace: ${name}`, async (t) => {
    const client = make(1, undefined)
    t.teardown(() => client.close({ timeout: 0 }))
    t.is(codeOf(t.throws(() => client.setSecureContext({}))), 'ERR_UNSUPPORTED')
  })
}

test('a cluster goes by what was replaced for servers that are found later, too, each by its name', async (t) => {
  const seen = new Inbox<Seen>()
  const names = ['one.test', 'two.test', 'three.test']
  const all = await Promise.all(
    names.map(async (servername) => {
      const extensions = [`subjectAltName=DNS:${servername}`, 'extendedKeyUsage=serverAuth']
      const own = otherRoot.issue({ name: servername, extensions })
      const options: ServerTlsOptions = { ...own, ...patient, ca: root.cert, requestCert: true }
      const server = createServer(
        { framing, id, ordered: false, tls: options, onConnect: seenBy(seen) },
        (message) => message,
      )
      t.teardown(() => server.close({ timeout: 0 }))
      await server.listen({ host, port: 0 })
      return { address: { host, port: portOfCalls(server) }, servername }
    }),
  )
  const [one, two, three] = all as [(typeof all)[0], (typeof all)[0], (typeof all)[0]]
  const resolver = new ToldResolver([one])
  const errors = new Inbox<unknown>()
  const cluster = new Cluster(resolver, {
    framing,
    id,
    tls: { ca: root.cert, ...first },
    backoff: { min: 1, max: 1 },
    onError: errors.push,
  })
  t.teardown(() => cluster.close({ timeout: 0 }))
  t.is(codeOf(await errors.take()), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE')
  // One that is connected to already dials again; the others are new.
  cluster.setSecureContext({ ca: otherRoot.cert, ...second })
  t.is((await seen.take()).subject, 'CN=second')
  resolver.tell([one, two, three])
  await seen.reach(3)
  await until(() => cluster.stats().ready === 3)
  t.deepEqual(new Set(seen.all.map(({ subject }) => subject)), new Set(['CN=second']))
  t.deepEqual(seen.all.map(({ connection }) => connection.tls?.servername).sort(), [...names].sort())
  // A name that is given is asked of all of them.
  cluster.setSecureContext({ servername: 'two.test' })
  for (const { connection } of [...seen.all]) connection.destroy()
  await until(() => seen.all.length > 3 && errors.all.map(codeOf).includes('ERR_TLS_CERT_ALTNAME_INVALID'))
  t.is(await cluster.call(request('a'), timeout).then((reply) => String(reply.subarray(4))), 'a')
  await until(() => cluster.stats().ready === 1)
})

/** What is listening with TLS. */
interface Listening {
  setSecureContext(options: ServerTlsOptions): void
  addContext(name: string, credentials: TlsCredentials): void
  listen(options: { readonly host: string; readonly port: number }): Promise<unknown>
  close(options: { readonly timeout: number }): Promise<unknown>
  address(): ReturnType<Server['address']>
}

const servers: readonly (readonly [name: string, (tls?: ServerTlsOptions) => Listening])[] = [
  ...[0, 1, 2].map(
    (pollers) =>
      [
        `server, pollers ${pollers}`,
        (options?: ServerTlsOptions) =>
          createServer(
            { framing, pollers, ...(options && { tls: options }) } as FramedServerOptions,
            (message) => message,
          ),
      ] as const,
  ),
  [
    'rpc server',
    (options) =>
      new TransportServer(new JsonCodec(), { onRequest: ({ body }) => body }, options && { tls: options }),
  ],
  ['thrift server', (options) => createThriftServer(Interop, interopHandler(), options && { tls: options })],
]

for (const [name, make] of servers) {
  test(`clients that come after setSecureContext and addContext are shown others: ${name}`, async (t) => {
    const server = make({ ...identity, ...patient })
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen({ host, port: 0 })
    const port = portOfCalls(server)
    const dialer = new Dialer({ tls: { ca: root.cert, servername: 'localhost' } })
    const shown = async (): Promise<string | undefined> => {
      const connection = await dialer.dial({ host, port })
      t.teardown(() => connection.destroy())
      return connection.tls?.peerCertificate?.serialNumber
    }
    const before = await shown()
    for (const wrong of [null, 1, { key: second.key, cert: first.cert }, { crl: 'x' }, { contexts: 1 }]) {
      t.throws(() => server.setSecureContext(wrong as never), undefined, JSON.stringify(wrong))
    }
    for (const [named, wrong] of [
      ['', identity],
      [1, identity],
      ['a.test', undefined],
      ['a.test', { key: second.key, cert: first.cert }],
      ['a.test', { ...identity, ca: root.cert }],
    ] as const) {
      t.throws(() => server.addContext(named as never, wrong as never), undefined, String(named))
    }
    t.is(await shown(), before)
    server.setSecureContext(root.issue())
    t.not(await shown(), before)
    const wild = root.issue({ name: 'wild', extensions: ['subjectAltName=DNS:*.example.org'] })
    server.addContext('*.example.org', wild)
    const other = new Dialer({ tls: { ca: root.cert, servername: 'a.example.org' } })
    const connection = await other.dial({ host, port })
    t.is(connection.tls?.peerCertificate?.subject, 'CN=wild')
    connection.destroy()
  })

  test(`a server without TLS has nothing to replace: ${name}`, (t) => {
    const server = make()
    t.is(codeOf(t.throws(() => server.setSecureContext({}))), 'ERR_UNSUPPORTED')
    t.is(codeOf(t.throws(() => server.addContext('a.test', identity))), 'ERR_UNSUPPORTED')
  })
}

for (const pollers of [0, 1, 2]) {
  for (const threads of [0, 2]) {
    test(`certificates are replaced under load, and nothing is lost: pollers ${pollers}, ${threads} workers`, async (t) => {
      const others = root.issue()
      const module = 'data:text/javascript,export default (request) => request'
      const options = { framing, pollers, tls: asking, onError: (error: unknown) => t.fail(String(error)) }
      const server =
        threads === 0
          ? createServer(options, (message) => message)
          : createServer({ ...options, workers: { module, threads } })
      t.teardown(() => server.close({ timeout: 0 }))
      await server.listen({ host, port: 0 })
      const target = { host, port: portOfCalls(server) }
      const ofClients = { framing, pollers, tls, onError: options.onError }
      const dialer = new Dialer(ofClients)
      const pool = new Pool(target, { ...ofClients, connections: 3 })
      const mux = new Mux(target, { ...ofClients, connections: 2 })
      const standing = await dialer.dial(target)
      const isSame = async (called: Promise<Buffer>): Promise<void> => {
        if (String(await called) !== 'a') t.fail('the answer is another')
      }
      let isOver = false
      let dialed = 0
      const repeated = async (work: () => Promise<void>): Promise<void> => {
        try {
          while (!isOver) await work()
        } catch (error) {
          isOver = true
          t.fail(String(error))
        }
      }
      const load = [
        repeated(() => isSame(standing.call('a'))),
        ...[0, 1, 2, 3].map(() => repeated(() => isSame(pool.call('a')))),
        ...[0, 1, 2, 3].map(() => repeated(() => isSame(mux.call('a')))),
        ...[0, 1].map(() =>
          repeated(async () => {
            const connection = await dialer.dial(target)
            await isSame(connection.call('a'))
            await connection.close()
            dialed += 1
          }),
        ),
        // Connections of a pool, too, are made anew.
        repeated(async () => {
          const connection = await pool.get()
          await connection.close()
          pool.put(connection)
        }),
      ]
      for (let round = 0; round < 10; round += 1) {
        const isEven = round % 2 === 0
        server.setSecureContext(isEven ? others : identity)
        for (const each of [dialer, pool, mux]) each.setSecureContext(isEven ? second : first)
        const before = dialed
        await until(() => isOver || dialed >= before + 3)
      }
      isOver = true
      await Promise.all(load)
      t.true(standing.isActive)
      t.like(server.stats(), { dropped: 0, tls: { failed: 0 } })
      await Promise.all([standing.close(), pool.close(), mux.close()])
    })
  }
}
