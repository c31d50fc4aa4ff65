// What waits for a peer that reads nothing: each send that the end of its connection finds has an error of its own, which
// shows who waits.

import type { Socket } from 'node:net'
import test, { type ExecutionContext } from 'ava'

import { fixed } from '../../dist/cluster/index.mjs'
import { type Connection, configure, createWriter, Mux, type NetpollError } from '../../dist/index.mjs'
import { clusterOf } from '../support/cluster.mjs'
import { type Inbox, nextTurn } from '../support/deferred.mjs'
import { netServerAt } from '../support/listeners.mjs'
import { framing, gone, rejection } from '../support/netpoll.mjs'
import type { Peer } from '../support/peer.mjs'
import { connectionAt } from '../support/placed.mjs'
import { places, words } from '../support/places.mjs'
import { clientOf } from '../support/rpc.mjs'
import {
  errorOf,
  errorUnawaited,
  type Failing,
  saysWhoAwaits,
  saysWhoCalls,
  saysWhoMadeIt,
} from '../support/stacks.mjs'

/** More than a socket takes. */
const sizes = { tcp: 16_000_000, unix: 2_000_000 } as const

/** All that waits, the last message last. */
const sends: Readonly<Record<string, (connection: Connection) => Promise<void>>> = {
  send: (connection) => connection.send('x'),
  flush(connection) {
    connection.writer.writeString('x')
    return connection.writer.flush()
  },
  end: (connection) => connection.end('x'),
}

type End = (connection: Connection, peer: Peer) => void

const ends: Readonly<Record<string, End>> = {
  'is destroyed': (connection) => connection.destroy(),
  'is destroyed by an error of its user': (connection) => connection.destroy(new Error('of the test')),
  'is left by its peer': (_connection, peer) => peer.reset(),
}

function throughAll(t: ExecutionContext, errors: readonly unknown[]): void {
  t.is(new Set(errors).size, errors.length)
  for (const error of errors) saysWhoCalls(t, error)
  const told = new Set(
    errors.map((error) => `${(error as NetpollError).code} ${String((error as Error).cause)}`),
  )
  t.is(told.size, 1)
  t.deepEqual(
    errors.filter((error) => 'sent' in (error as object)),
    [],
  )
}

for (const place of places) {
  for (const [how, end] of Object.entries(ends)) {
    if (place.transport === 'unix' && how === 'is left by its peer') continue
    test.serial(`what waits says who waits when its connection ${how}: ${words(place)}`, async (t) => {
      const { connection, peer } = await connectionAt(t, place)
      peer.socket.pause()
      const first = errorOf(() => connection.send(Buffer.alloc(sizes[place.transport])))
      const errors = Object.values(sends).map((send) => errorOf(() => send(connection)))
      end(connection, peer)
      throughAll(t, await Promise.all([first, ...errors]))
    })

    test.serial(
      `what waits says so with callStacks, although nobody awaits it: ${how}, ${words(place)}`,
      async (t) => {
        const { connection, peer } = await connectionAt(t, place)
        peer.socket.pause()
        configure({ callStacks: true })
        t.teardown(() => configure({ callStacks: false }))
        const first = errorUnawaited(() => connection.send(Buffer.alloc(sizes[place.transport])))
        const errors = Object.values(sends).map((send) => errorUnawaited(() => send(connection)))
        end(connection, peer)
        throughAll(t, await Promise.all([first, ...errors]))
      },
    )
  }
}

/** A server that reads nothing. */
const silent = (t: ExecutionContext) => netServerAt(t, 'tcp', { pauseOnConnect: true })

const much = 'x'.repeat(sizes.tcp)

async function left(sockets: Inbox<Socket>): Promise<void> {
  const socket = await sockets.take()
  socket.resetAndDestroy()
}

const ways: Readonly<Record<string, (t: ExecutionContext) => Promise<Failing>>> = {
  'a mux': async (t) => {
    const { target, sockets } = await silent(t)
    const mux = new Mux(target, { framing })
    t.teardown(() => mux.close({ timeout: 0 }))
    await mux.connect()
    return { call: () => mux.send(much), fail: () => left(sockets) }
  },
  'a mux that connects meanwhile': async (t) => {
    const { target, sockets } = await silent(t)
    const mux = new Mux(target, { framing })
    t.teardown(() => mux.close({ timeout: 0 }))
    return { call: () => mux.send(much), fail: () => left(sockets) }
  },
  'a mux that is closed': async (t) => {
    const { target } = await silent(t)
    const mux = new Mux(target, { framing })
    await mux.connect()
    return { call: () => mux.send(much), fail: () => mux.close({ timeout: 0 }) }
  },
  'a cluster': async (t) => {
    const { target, sockets } = await silent(t)
    const cluster = clusterOf(t, fixed([{ address: target }]), { onError: () => {} })
    return { call: () => cluster.send(much), fail: () => left(sockets) }
  },
  ...Object.fromEntries(
    (['mux', 'pool'] as const).map((kind) => [
      `a one-way call of netpoll/rpc by a ${kind}`,
      async (t: ExecutionContext) => {
        const { target, sockets } = await silent(t)
        const client = clientOf(t, (target as { readonly port: number }).port, { kind })
        return { call: () => client.send(much, null), fail: () => left(sockets) }
      },
    ]),
  ),
}

for (const [way, begin] of Object.entries(ways)) {
  test.serial(`what waits says who waits: ${way}`, (t) => saysWhoAwaits(t, begin))

  test.serial(`what waits says who waits with callStacks, although nobody awaits it: ${way}`, (t) =>
    saysWhoMadeIt(t, begin),
  )
}

test.serial('of thousands that wait, a hundred have an error of their own', async (t) => {
  const { connection, peer } = await connectionAt(t, { side: 'dialed', pollers: 0, transport: 'tcp' })
  peer.socket.pause()
  const first = connection.send(Buffer.alloc(sizes.tcp))
  const promises = [first, ...Array.from({ length: 5_000 }, () => connection.send('x'))]
  t.is(new Set(promises).size, 100)
  connection.destroy()
  const errors = new Set(await Promise.all(promises.map((promise) => rejection(promise))))
  t.is(errors.size, 100)
  for (const error of errors) t.notRegex(String((error as Error).stack), /\/dist\//)
})

test.serial('however many wait, each says who waits with callStacks', async (t) => {
  const { connection, peer } = await connectionAt(t, { side: 'dialed', pollers: 0, transport: 'tcp' })
  peer.socket.pause()
  configure({ callStacks: true })
  t.teardown(() => configure({ callStacks: false }))
  void connection.send(Buffer.alloc(sizes.tcp))
  const sent = Array.from({ length: 300 }, () => errorUnawaited(() => connection.send('x')))
  connection.destroy()
  const errors = new Set(await Promise.all(sent))
  t.is(errors.size, 300)
  for (const error of errors) saysWhoCalls(t, error)
})

test.serial('what waits, and is awaited by nobody, is no unhandled rejection', async (t) => {
  const { connection, peer } = await connectionAt(t, { side: 'dialed', pollers: 0, transport: 'tcp' })
  peer.socket.pause()
  const unhandled: unknown[] = []
  const listener = (error: unknown): void => void unhandled.push(error)
  process.on('unhandledRejection', listener)
  t.teardown(() => process.off('unhandledRejection', listener))
  for (let count = 0; count < 300; count += 1) void connection.send(Buffer.alloc(sizes.tcp / 100))
  await gone(connection)
  await nextTurn()
  await nextTurn()
  t.deepEqual(unhandled, [])
})

test.serial('a writer of no connection says who flushes', async (t) => {
  const writer = createWriter()
  saysWhoCalls(t, await errorOf(() => writer.flush()))
})
