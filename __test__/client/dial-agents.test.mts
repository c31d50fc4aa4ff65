// `dial` takes what `net.connect` takes of agents and their users, and reaches the same peer.

import { once } from 'node:events'
import * as http from 'node:http'
import { connect, type LookupFunction } from 'node:net'

import test, { type ExecutionContext } from 'ava'

import { type Connection, type DialOptions, Dialer, Mux, Pool } from '../../dist/index.mjs'
import { netServerAt } from '../support/listeners.mjs'
import { codeOf, framing, gone, rejection } from '../support/netpoll.mjs'
import type { Place } from '../support/places.mjs'

type Options = Readonly<Record<string, unknown>>

const local: LookupFunction = (_name, options, callback) => {
  if (options.all === true) callback(null, [{ address: '127.0.0.1', family: 4 }])
  else callback(null, '127.0.0.1', 4)
}

/** What an agent passes, whatever of it means something here. */
const agents: readonly (readonly [string, Place['transport'], (target: Options) => Options])[] = [
  ['a port as text', 'tcp', ({ port, host }) => ({ host, port: String(port) })],
  ['a port as text with blanks', 'tcp', ({ port, host }) => ({ host, port: ` ${port} ` })],
  [
    'a port as hexadecimal text',
    'tcp',
    ({ port, host }) => ({ host, port: `0x${Number(port).toString(16)}` }),
  ],
  ['a path that is null', 'tcp', (target) => ({ ...target, path: null })],
  ['a path that is undefined', 'tcp', (target) => ({ ...target, path: undefined })],
  ['a path that is empty', 'tcp', (target) => ({ ...target, path: '' })],
  ['a host that is null', 'tcp', ({ port }) => ({ port, host: null, lookup: local })],
  ['a host that is empty', 'tcp', ({ port }) => ({ port, host: '', lookup: local })],
  ['a local address that is empty', 'tcp', (target) => ({ ...target, localAddress: '' })],
  ['a host that is undefined', 'tcp', ({ port }) => ({ port, host: undefined, lookup: local })],
  ['null for all that may be absent', 'tcp', (target) => ({ ...target, ...nulls })],
  ['a family', 'tcp', ({ port }) => ({ port, host: 'name', lookup: local, family: 4 })],
  ['a family as text', 'tcp', ({ port }) => ({ port, host: 'name', lookup: local, family: 'IPv4' })],
  [
    'options of requests and sockets',
    'tcp',
    (target) => ({
      ...target,
      path: null,
      method: 'GET',
      headers: { accept: '*/*' },
      servername: '',
      keepAlive: true,
      keepAliveInitialDelay: 1_000,
      noDelay: true,
      timeout: 5_000,
      agentKey: 'x',
      encoding: null,
      agent: undefined,
    }),
  ],
  ['a path beside host and port', 'unix', (target) => ({ ...target, host: 'localhost', port: 80 })],
  ['a path beside null', 'unix', (target) => ({ ...target, host: null, port: null })],
]
const nulls = { path: null, localAddress: null, localPort: null, lookup: null, family: null, signal: null }

for (const [title, transport, change] of agents) {
  test(`dial takes ${title}, as net.connect does`, async (t) => {
    const { target, sockets } = await netServerAt(t, transport)
    const options = change(target as unknown as Options)
    const socket = connect(options as never)
    t.teardown(() => socket.destroy())
    await once(socket, 'connect')
    await sockets.take()
    const connection = await new Dialer().dial(options as unknown as DialOptions)
    t.teardown(() => gone(connection))
    await sockets.take()
    t.true(connection.isActive)
  })
}

test('the lookup is asked for the family', async (t) => {
  const asked: unknown[] = []
  const lookup: LookupFunction = (_name, { family }, callback) => {
    asked.push(family)
    callback(Object.assign(new Error('not found'), { code: 'ENOTFOUND' }), '')
  }
  for (const family of [0, 4, 6, 'IPv4', 'IPv6', null, undefined] as const) {
    await rejection(new Dialer().dial({ host: 'name', port: 1, lookup, family }))
  }
  t.deepEqual(asked, [0, 4, 6, 4, 6, 0, 0])
})

test('pools and muxes take a port as text', async (t) => {
  const { target, sockets } = await netServerAt(t, 'tcp')
  const { host, port } = target as { readonly host: string; readonly port: number }
  const pool = new Pool({ host, port: String(port) }, { framing })
  t.teardown(() => pool.close({ timeout: 0 }))
  await pool.get()
  await sockets.take()
  const mux = new Mux({ host, port: String(port), path: null }, { framing })
  t.teardown(() => mux.close({ timeout: 0 }))
  void mux.call('anybody?').catch(() => {})
  await sockets.take()
  t.pass()
})

/** A request by an agent that dials with whatever it is given. */
async function request(t: ExecutionContext, target: Options): Promise<string> {
  const given: Options[] = []
  const agent = new http.Agent()
  agent.createConnection = ((options: Options, done: (error: Error | null, stream?: unknown) => void) => {
    given.push(options)
    new Dialer().dial(options as unknown as DialOptions).then(
      (connection: Connection) => done(null, connection.toDuplex()),
      (error) => done(error as Error),
    )
  }) as never
  t.teardown(() => agent.destroy())
  const sent = http.get({ ...target, agent })
  const [response] = (await once(sent, 'response')) as [http.IncomingMessage]
  let body = ''
  for await (const piece of response) body += String(piece)
  t.is(given.length, 1)
  return body
}

for (const transport of ['tcp', 'unix'] as const) {
  test(`an agent of http dials with all of its options: ${transport}`, async (t) => {
    const server = http.createServer((_request, response) => response.end('hello'))
    const { target } = await netServerAt(t, transport, {}, (socket) => server.emit('connection', socket))
    const options = 'path' in target ? { socketPath: target.path } : { ...target, port: String(target.port) }
    t.is(await request(t, options), 'hello')
  })
}

test('what is no port is refused', async (t) => {
  for (const port of ['', 'http', '1e9', '-1', '80.5', Number.NaN, Number.POSITIVE_INFINITY]) {
    const error = await rejection(new Dialer().dial({ host: '127.0.0.1', port }))
    t.is(codeOf(error), 'ERR_INVALID_ARG_VALUE', String(port))
    t.true((error as Error).message.endsWith(`Received ${port}`), (error as Error).message)
  }
})

test('a dialer that has a local address keeps it where a dial has an empty one', async (t) => {
  const { target } = await netServerAt(t, 'tcp')
  const connection = await new Dialer({ localAddress: '127.0.0.2' }).dial({ ...target, localAddress: '' })
  t.teardown(() => gone(connection))
  t.is((connection.localAddress as { address: string }).address, '127.0.0.2')
})
