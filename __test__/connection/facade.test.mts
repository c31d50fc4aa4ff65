import { readFileSync } from 'node:fs'
import { Duplex } from 'node:stream'

import test, { type ExecutionContext } from 'ava'

import { Connection, ConnectionDuplex, createServer, Dialer } from '../../dist/index.mjs'
import { dial, gone, portOf, serve } from '../support/netpoll.mjs'

const declarations = readFileSync(new URL('../../dist/connection/connection.d.ts', import.meta.url), 'utf8')

/** Makes an object of a class in spite of its types. */
const construct = (made: unknown, ...given: unknown[]): unknown => Reflect.construct(made as never, given)

async function dialStream(t: ExecutionContext): Promise<Connection> {
  const server = createServer({})
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  const connection = await new Dialer().dial({ host: '127.0.0.1', port: portOf(server) })
  t.teardown(() => gone(connection))
  return connection
}

test('users make no connections, whatever they have', async (t) => {
  const { port } = await serve(t, {}, (request) => request)
  const connection = await dial(t, { host: '127.0.0.1', port })
  const lookalike = new Proxy(connection, {})
  for (const given of [
    undefined,
    null,
    1,
    {},
    connection,
    Connection,
    lookalike,
    Object.create(connection),
  ]) {
    t.throws(() => construct(Connection, given), { instanceOf: TypeError, message: /servers and dialers/ })
  }
})

test('a connection has public members only', async (t) => {
  const { port } = await serve(t, {}, (request) => request)
  const connection = await dial(t, { host: '127.0.0.1', port })
  t.deepEqual(Reflect.ownKeys(connection), ['data'])
  t.deepEqual(Reflect.ownKeys(Connection), ['length', 'name', 'prototype'])
  for (const name of Object.getOwnPropertyNames(Connection.prototype)) {
    t.true(declarations.includes(`${name}(`) || declarations.includes(`get ${name}`), name)
  }
})

test('a duplex has of its own what a stream has, and its public members', async (t) => {
  const duplex = (await dialStream(t)).toDuplex()
  const ofStreams = new Set(Reflect.ownKeys(new Duplex()))
  const own = Reflect.ownKeys(duplex).filter((name) => typeof name === 'string' && !name.startsWith('_'))
  t.deepEqual(
    own.filter((name) => !ofStreams.has(name)),
    ['timeout'],
  )
  t.is(duplex.constructor, ConnectionDuplex)
})
