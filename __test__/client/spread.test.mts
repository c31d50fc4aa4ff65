import type { LookupAddress } from 'node:dns'
import type { LookupFunction } from 'node:net'
import test, { type ExecutionContext } from 'ava'

import { type Connection, createServer, Mux, type MuxOptions, Pool, type Server } from '../../dist/index.mjs'
import { Inbox, until } from '../support/deferred.mjs'
import { freePort } from '../support/listeners.mjs'
import { framing } from '../support/netpoll.mjs'

interface Host {
  readonly address: string
  readonly accepted: Inbox<Connection>
  readonly server: Server
  /** Connections that are there. */
  readonly open: () => number
}

/** Echo servers on one port, each at an address of its own. */
async function hosts(
  t: ExecutionContext,
  addresses: readonly string[],
  pollers = 0,
): Promise<{ readonly port: number; readonly all: readonly Host[] }> {
  const port = await freePort()
  const all: Host[] = []
  for (const address of addresses) {
    const accepted = new Inbox<Connection>()
    const server = createServer({ framing, pollers, onConnect: accepted.push }, async (request) => request)
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen({ host: address, port })
    const open = (): number => accepted.all.filter(({ isActive }) => isActive).length
    all.push({ address, accepted, server, open })
  }
  return { port, all }
}

/** A name whose addresses the test decides, anew for each dial. */
class Name {
  lookups = 0
  addresses: readonly string[]

  constructor(addresses: readonly string[]) {
    this.addresses = addresses
  }

  readonly lookup: LookupFunction = (_name, _options, callback) => {
    this.lookups += 1
    const found: LookupAddress[] = this.addresses.map((address) => ({
      address,
      family: address.includes(':') ? 6 : 4,
    }))
    callback(null, found)
  }
}

/** Milliseconds: an address that answers late, on a machine that is busy, is no reason to try the next as well. */
const connectionAttemptDelay = 60_000

const three = ['127.0.0.1', '127.0.0.2', '127.0.0.3']
const counts = (all: readonly Host[]): number[] => all.map(({ open }) => open())

/** The addresses that connections lead to, in order. */
const peers = (connections: readonly Connection[]): string[] =>
  connections
    .map(({ remoteAddress }) => (typeof remoteAddress === 'object' ? `${remoteAddress?.address}` : ''))
    .sort()

function muxOf(t: ExecutionContext, port: number, name: Name, options: Partial<MuxOptions> = {}): Mux {
  const { lookup } = name
  const backoff = { min: 1, max: 20 }
  const mux = new Mux(
    { host: 'name', port },
    { framing, lookup, connectionAttemptDelay, backoff, onError: () => {}, ...options },
  )
  t.teardown(() => mux.close({ timeout: 0 }))
  return mux
}

for (const pollers of [0, 1, 2]) {
  test(`nine connections of a mux go to three addresses, three each, also after losses (${pollers} pollers)`, async (t) => {
    const { port, all } = await hosts(t, three, pollers)
    const name = new Name(three)
    const mux = muxOf(t, port, name, { connections: 9, pollers })
    await mux.connect()
    await until(() => mux.stats().connected === 9 && counts(all).join() === '3,3,3')
    t.is(name.lookups, 9)
    // Answered, so that the loss is no reason to go elsewhere.
    await Promise.all(Array.from({ length: 90 }, (_, index) => mux.call(`${index}`)))
    for (const connection of [...(all[1] as Host).accepted.all]) connection.destroy()
    await until(() => name.lookups === 12 && counts(all).join() === '3,3,3')
    t.deepEqual(
      all.map(({ accepted }) => accepted.all.length),
      [3, 6, 3],
    )
  })

  test(`connections of a pool go to all addresses of a name (${pollers} pollers)`, async (t) => {
    const { port, all } = await hosts(t, three, pollers)
    const { lookup } = new Name(three)
    const pool = new Pool(
      { host: 'name', port },
      { framing, lookup, connectionAttemptDelay, connections: 6, pollers },
    )
    t.teardown(() => pool.close({ timeout: 0 }))
    const lent = await Promise.all(Array.from({ length: 6 }, () => pool.get()))
    t.deepEqual(peers(lent), [...three, ...three].sort())
    await until(() => counts(all).join() === '2,2,2')
    for (const connection of lent) pool.discard(connection)
    const again = await Promise.all(Array.from({ length: 3 }, () => pool.get()))
    t.deepEqual(peers(again), three)
    for (const connection of again) pool.put(connection)
  })
}

test('each dial asks for the addresses of the name that it has now', async (t) => {
  const { port, all } = await hosts(t, three)
  const name = new Name(['127.0.0.1'])
  const mux = muxOf(t, port, name, { connections: 4 })
  await mux.connect()
  await until(() => counts(all).join() === '4,0,0')
  await Promise.all(Array.from({ length: 40 }, (_, index) => mux.call(`${index}`)))
  name.addresses = ['127.0.0.2', '127.0.0.3']
  for (const connection of [...(all[0] as Host).accepted.all]) connection.destroy()
  await until(() => counts(all).join() === '0,2,2')
  t.is(name.lookups, 8)
})

test('connections that get too old spread over addresses that came later', async (t) => {
  const { port, all } = await hosts(t, three)
  const name = new Name(['127.0.0.1'])
  const mux = muxOf(t, port, name, { connections: 6, maxLifetime: 300 })
  await mux.connect()
  await until(() => counts(all).join() === '6,0,0')
  name.addresses = three
  // They are replaced again and again.
  await until(() => mux.stats().connected === 6 && counts(all).join() === '2,2,2')
  t.pass()
})

test('what an address refuses goes to the others in turns, and comes back later', async (t) => {
  const { port, all } = await hosts(t, three.slice(0, 2))
  const name = new Name([...three].reverse())
  const mux = muxOf(t, port, name, { connections: 6 })
  await mux.connect()
  const total = (): number => counts(all).reduce((sum, count) => sum + count)
  // A server learns of a connection after its client, where both are in one thread.
  await until(() => mux.stats().connected === 6 && total() === 6)
  const [first = 0, second = 0] = counts(all)
  t.true(Math.abs(first - second) <= 2, `${first} ${second}`)
})

test('an address whose connections end unanswered is not dialed again and again', async (t) => {
  const { port, all } = await hosts(t, ['127.0.0.2'])
  const deaf = createServer({ framing, onConnect: (connection) => connection.destroy() }, () => undefined)
  t.teardown(() => deaf.close({ timeout: 0 }))
  await deaf.listen({ host: '127.0.0.1', port })
  const mux = muxOf(t, port, new Name(three.slice(0, 2)), { connections: 1 })
  await mux.connect()
  await until(() => counts(all).join() === '1')
  t.is(String(await mux.call('x')), 'x')
})

test('the second family is for what the first does not answer', async (t) => {
  const { port, all } = await hosts(t, ['127.0.0.1', '::1'])
  const mux = muxOf(t, port, new Name(['::1', '127.0.0.1']), { connections: 4 })
  await mux.connect()
  await until(() => mux.stats().connected === 4 && counts(all).join() === '0,4')
  t.pass()
})

test('dials that are called off, or find nothing, are not counted', async (t) => {
  const { port, all } = await hosts(t, three)
  const name = new Name(['127.0.0.9', ...three])
  const pool = new Pool(
    { host: 'name', port },
    { framing, lookup: name.lookup, connectionAttemptDelay, connections: 9, onError: () => {} },
  )
  t.teardown(() => pool.close({ timeout: 0 }))
  for (let round = 0; round < 3; round += 1) {
    const lent = await Promise.all(Array.from({ length: 9 }, () => pool.get()))
    t.is(lent.length, 9)
    for (const connection of lent) pool.discard(connection)
  }
  await until(() => counts(all).join() === '0,0,0')
  name.addresses = three
  const lent = await Promise.all(Array.from({ length: 9 }, () => pool.get()))
  await until(() => counts(all).join() === '3,3,3')
  for (const connection of lent) pool.put(connection)
})
