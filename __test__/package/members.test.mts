// What users can reach of the objects that they get is what the types say: each member of an object, of its prototypes and of
// its class is asked for in a program that the compiler checks.

import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { Duplex } from 'node:stream'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import test, { type ExecutionContext } from 'ava'

import * as netpoll from '../../dist/index.mjs'
import * as cluster from '../../dist/cluster/index.mjs'
import * as rpc from '../../dist/rpc/index.mjs'
import * as thrift from '../../dist/thrift/index.mjs'
import { JsonCodec } from '../support/json-codec.mjs'
import { dial, framing, gone, portOf, serve } from '../support/netpoll.mjs'
import { clientOf, serveCalls } from '../support/rpc.mjs'
import { serveThrift, thriftClient } from '../support/thrift.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
const folder = join(root, '.test', 'members')

const packages = { netpoll, cluster, rpc, thrift }
type PackageName = keyof typeof packages

/** An object that users get, and its type as they write it. */
interface Sample {
  readonly type: string
  readonly value: object
}

/** Classes of which users make objects. */
const madeByUsers = [
  ...['netpoll.Dialer', 'netpoll.Mux', 'netpoll.Pool', 'netpoll.DialedSocket', 'netpoll.NetpollError'],
  'cluster.Cluster',
  ...['rpc.TransportServer', 'rpc.TransportClient', 'rpc.RpcError'],
]

const classes = (Object.keys(packages) as PackageName[]).flatMap((name) =>
  Object.entries(packages[name]).flatMap(([member, value]) =>
    typeof value === 'function' && String(value).startsWith('class ')
      ? [{ type: `${name}.${member}`, value }]
      : [],
  ),
)

/** Where what is of the package ends. */
const foreign = new Set<object>(
  [Object, Error, Duplex, Function].flatMap((one) => [one, one.prototype as object]),
)
/** What every stream has of its own. */
const ofStreams = new Set(Reflect.ownKeys(new Duplex().on('end', () => {})))

/** Symbols that users can write, as they write them. Node.js itself asks by the last, which users do not call. */
const symbols = new Map<symbol, string | undefined>([
  [Symbol.asyncIterator, 'Symbol.asyncIterator'],
  [Symbol.asyncDispose, 'Symbol.asyncDispose'],
  [Symbol.dispose, 'Symbol.dispose'],
  [inspect.custom, undefined],
])

/** The members that can be reached, each as it is asked for. */
function membersOf({ type, value }: Sample): readonly string[] {
  const members = new Set<string>()
  for (let one: object | null = value; one !== null && !foreign.has(one); one = Object.getPrototypeOf(one)) {
    for (const key of Reflect.ownKeys(one)) {
      if (key === 'constructor' || (value instanceof Duplex && ofStreams.has(key))) continue
      if (typeof value === 'function' && ['length', 'name', 'prototype'].includes(String(key))) continue
      if (typeof key === 'string') members.add(`(${type}).${key}`)
      else if (!symbols.has(key)) members.add(`(${type}).unknown_symbol /* ${String(key)} */`)
      else if (symbols.get(key) !== undefined) members.add(`(${type})[${symbols.get(key)}]`)
    }
  }
  return [...members]
}

/** What the compiler says of lines of a program, in which `types` are values. */
function refusedLines(name: string, types: readonly string[], lines: readonly string[]): readonly string[] {
  const path = join(folder, `${name}.mts`)
  rmSync(path, { force: true })
  mkdirSync(folder, { recursive: true })
  const imports = [
    "import * as netpoll from 'netpoll'",
    "import * as cluster from 'netpoll/cluster'",
    "import * as rpc from 'netpoll/rpc'",
    "import * as thrift from 'netpoll/thrift'",
    ...types.map((type, index) => `declare const value${index}: ${type}`),
  ]
  writeFileSync(path, [...imports, ...lines].join('\n'))
  const options = ['--noEmit', '--strict', '--target', 'es2023', '--lib', 'es2023,esnext.disposable']
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [tsc, ...options, '--module', 'nodenext', '--types', 'node', '--ignoreConfig', path],
    { encoding: 'utf8', cwd: root },
  )
  const said = `${stdout}${stderr}`
  const found = [...said.matchAll(/\.mts[(:](\d+)[,:]\d+\)?[ :-]+error TS(\d+)/g)]
  if (found.length === 0 && said !== '') throw new Error(said)
  return [...new Set(found.map(([, line]) => lines[Number(line) - 1 - imports.length] ?? said))]
}

/** What the members of samples come to: those that the types do not have. */
function undeclared(name: string, samples: readonly Sample[]): readonly string[] {
  const types = [...new Set(samples.map(({ type }) => type))]
  const asked = new Set(
    samples.flatMap(({ type, value }) =>
      membersOf({ type, value }).map(
        (member) =>
          // The value is what is asked, and the type tells which it was.
          `void ${member.replace(`(${type})`, `value${types.indexOf(type)}`)} // ${member}`,
      ),
    ),
  )
  return refusedLines(name, types, [...asked]).map((line) => line.replace(/^void .*? \/\/ /, ''))
}

test('classes have the static members that their types say', (t) => {
  t.true(classes.length > 15)
  const samples = classes.map(({ type, value }) => ({ type: `typeof ${type}`, value }))
  t.deepEqual(undeclared('statics', samples), [])
})

test('users make objects of the classes that are theirs to make, and of no other', (t) => {
  const others = classes.map(({ type }) => type).filter((type) => !madeByUsers.includes(type))
  t.is(others.length + madeByUsers.length, classes.length)
  const line = (type: string, made: boolean): string =>
    `{ const made: typeof ${type} extends new (...given: never[]) => unknown ? true : false = ${made} } // ${type}`
  const lines = [...others.map((type) => line(type, false)), ...madeByUsers.map((type) => line(type, true))]
  t.deepEqual(
    refusedLines('constructors', [], lines).map((refused) => refused.replace(/.* \/\/ /, '')),
    [],
  )
})

test('what users cannot make refuses to be made without types, too', (t) => {
  const made = classes
    // A duplex without a connection is a stream that was destroyed.
    .filter(({ type }) => !madeByUsers.includes(type) && type !== 'netpoll.ConnectionDuplex')
    .filter(({ value }) => {
      for (const given of [[], [{}, {}, {}], [{ framing }], [undefined, {}, {}, {}]]) {
        try {
          Reflect.construct(value, given)
          return true
        } catch (error) {
          t.true(error instanceof TypeError, String(error))
        }
      }
      return false
    })
  t.deepEqual(
    made.map(({ type }) => type),
    [],
  )
})

test('objects that users get have the members that their types say', async (t) => {
  const samples = [
    ...(await ofConnections(t)),
    ...(await ofHandlers(t)),
    ...(await ofFrameworks(t)),
    ...errors(),
    ...framings(),
  ]
  const shown = new Set(samples.map(({ type }) => type.replace(/<.*/, '')))
  // Of each class there has to be one.
  t.deepEqual(
    classes.map(({ type }) => type).filter((type) => !shown.has(type)),
    [],
  )
  t.deepEqual(undeclared('objects', samples), [])
})

test('what workers get has the members that its type says', async (t) => {
  const names = `[...Reflect.ownKeys(one), ...Reflect.ownKeys(Object.getPrototypeOf(one))].map(String).sort().join()`
  const module = `data:text/javascript,export default (request, one) => ${names}`
  const server = netpoll.createServer({ framing, workers: { module } })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  const connection = await dial(t, { host: '127.0.0.1', port: portOf(server) })
  t.is(String(await connection.call('')), 'allocate,connectionId,constructor')
})

/** What a handler gets in the place of a view and a promise. */
async function ofHandlers(t: ExecutionContext): Promise<readonly Sample[]> {
  const samples: Sample[] = []
  const server = netpoll.createServer({
    framing,
    onMessage(reader, writer) {
      const later = writer.later()
      samples.push(
        { type: 'netpoll.MessageReader', value: reader },
        { type: 'netpoll.MessageWriter', value: writer },
        { type: 'netpoll.LaterReply', value: later },
      )
      later.send('a')
    },
  })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  const connection = await dial(t, { host: '127.0.0.1', port: portOf(server) })
  t.is(String(await connection.call('')), 'a')
  return samples
}

async function ofConnections(t: ExecutionContext): Promise<readonly Sample[]> {
  const { server, port } = await serve(t, {}, (request) => request)
  const target = { host: '127.0.0.1', port }
  const connection = await dial(t, target)
  t.is(String(await connection.call('a')), 'a')
  const pool = new netpoll.Pool(target, { framing })
  const mux = new netpoll.Mux(target, { framing })
  const dialer = new netpoll.Dialer({ framing })
  t.teardown(() => Promise.all([pool.close({ timeout: 0 }), mux.close({ timeout: 0 })]))
  await Promise.all([pool.call('a'), mux.call('a')])
  const streams = netpoll.createServer({ onData: ({ reader }) => reader.skip(reader.length) })
  t.teardown(() => streams.close({ timeout: 0 }))
  await streams.listen({ host: '127.0.0.1', port: 0 })
  const stream = await new netpoll.Dialer().dial({ host: '127.0.0.1', port: portOf(streams) })
  t.teardown(() => gone(stream))
  const { reader, writer } = stream
  const duplex = stream.toDuplex()
  const socket = new netpoll.DialedSocket()
  t.teardown(() => void socket.destroy())
  return [
    { type: 'netpoll.Server', value: server },
    { type: 'netpoll.Server', value: streams },
    { type: 'netpoll.ServerStats', value: server.stats() },
    { type: 'netpoll.Connection', value: connection },
    { type: 'netpoll.Connection', value: stream },
    { type: 'netpoll.Reader', value: reader },
    { type: 'netpoll.Reader', value: reader.slice(0) },
    { type: 'netpoll.Reader', value: netpoll.readerFrom([]) },
    { type: 'netpoll.Writer', value: writer },
    { type: 'netpoll.Writer', value: netpoll.createWriter() },
    { type: 'netpoll.ConnectionDuplex', value: duplex },
    { type: 'netpoll.DialedSocket', value: socket },
    { type: 'netpoll.Dialer', value: dialer },
    { type: 'netpoll.DialerStats', value: dialer.stats() },
    { type: 'netpoll.Pool', value: pool },
    { type: 'netpoll.PoolStats', value: pool.stats() },
    { type: 'netpoll.Mux', value: mux },
    { type: 'netpoll.PoolStats', value: mux.stats() },
    { type: 'netpoll.ThreadStats', value: netpoll.stats() },
    { type: 'netpoll.ChunkStats', value: netpoll.stats().chunks },
  ]
}

async function ofFrameworks(t: ExecutionContext): Promise<readonly Sample[]> {
  const calls: Sample[] = []
  const { server, port } = await serveCalls(t, (call) => {
    calls.push({ type: 'rpc.ServerCall', value: call })
    void call.signal
    return call.body
  })
  const client = clientOf(t, port, {
    middleware: [
      (next) => async (call) => {
        const reply = await next(call)
        calls.push({ type: 'rpc.ClientCall', value: call })
        return reply
      },
    ],
  })
  t.is(await client.call('a', 1), 1)
  t.is(calls.length, 2)
  const nodes: (readonly cluster.Node[])[] = []
  const first: cluster.Balancer = {
    pick: (ready, call) => {
      nodes.push(ready)
      calls.push({ type: 'cluster.BalancedCall', value: call })
      return ready[0]
    },
  }
  const endpoint = { address: { host: '127.0.0.1', port } }
  const { framing, id } = new JsonCodec()
  const service = new cluster.Cluster(cluster.fixed([endpoint]), { framing, id, balancer: first })
  t.teardown(() => service.close({ timeout: 0 }))
  const request = { kind: 'call', method: 'a', metadata: {}, timeout: 0, body: 1 }
  for (const key of [undefined, 'a']) {
    await service.call(Buffer.from(`0001${JSON.stringify(request)}`), { key, timeout: 60_000 })
  }
  const thriftServer = await serveThrift(t)
  const ofThrift = thriftClient(t, thriftServer.port)
  return [
    ...calls,
    { type: 'cluster.Cluster', value: service },
    { type: 'cluster.ClusterStats', value: service.stats() },
    { type: 'cluster.NodeStats', value: service.stats().nodes[0] as object },
    { type: 'cluster.Node', value: nodes.at(-1)?.[0] as object },
    { type: 'rpc.TransportServer', value: server },
    { type: 'rpc.TransportServerStats', value: server.stats() },
    { type: 'rpc.TransportClient', value: client },
    { type: 'rpc.TransportClientStats', value: client.stats() },
    { type: 'thrift.ThriftClient<object>', value: ofThrift },
    { type: 'thrift.ThriftServer', value: thriftServer.server },
  ]
}

function errors(): readonly Sample[] {
  return [
    { type: 'netpoll.NetpollError', value: new netpoll.NetpollError('ERR_EOF', 'the end', { sent: true }) },
    { type: 'rpc.RpcError', value: new rpc.RpcError('ERR_RPC_INTERNAL', 'a failure') },
  ]
}

function framings(): readonly Sample[] {
  return [
    netpoll.lengthField({ size: 4 }),
    netpoll.delimiter('\n'),
    netpoll.varint(),
    new JsonCodec().framing,
  ].map((value) => ({ type: 'netpoll.Framing', value }))
}
