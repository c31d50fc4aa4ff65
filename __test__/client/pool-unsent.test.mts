import type { Socket } from 'node:net'
import test, { type ExecutionContext } from 'ava'

import {
  type Connection,
  type DialTarget,
  type FramedDialerOptions,
  Pool,
  type PoolLimits,
} from '../../dist/index.mjs'
import { Inbox, nextTurn } from '../support/deferred.mjs'
import { frame } from '../support/frames.mjs'
import { netServerAt } from '../support/listeners.mjs'
import { codeOf, framing, rejection } from '../support/netpoll.mjs'
import { places } from '../support/places.mjs'
import { clientOf, serveCalls } from '../support/rpc.mjs'

/** More than a socket takes. */
const sizes = { tcp: 16_000_000, unix: 2_000_000 } as const

/** A server that reads nothing until it is told to. */
const silent = (t: ExecutionContext, transport: 'tcp' | 'unix') =>
  netServerAt(t, transport, { pauseOnConnect: true })

/** How many bytes come until the end. */
function drain(socket: Socket): Promise<number> {
  let length = 0
  socket.on('data', (bytes: Buffer) => {
    length += bytes.length
  })
  socket.resume()
  return new Promise((resolve) => socket.once('end', () => resolve(length)))
}

const ids = { id: { offset: 0, size: 4 } } as const
const framed = { framing, ...ids }
/** So that the core never says that too much waits. */
const uncongested = { highWaterMark: 2 ** 30 }

for (const { pollers, transport } of places.filter(({ side }) => side === 'dialed')) {
  const words = `${pollers} pollers, ${transport}`
  const much = sizes[transport]

  function pooled(
    t: ExecutionContext,
    target: DialTarget,
    options: Partial<FramedDialerOptions & PoolLimits> = {},
  ): Pool {
    const pool = new Pool(target, { pollers, closeTimeout: 60_000, ...options } as FramedDialerOptions)
    t.teardown(() => pool.close({ timeout: 0 }))
    return pool
  }

  const kinds: readonly (readonly [string, object, (connection: Connection) => Promise<void>])[] = [
    ['a message', framed, (connection) => connection.send(Buffer.alloc(much))],
    [
      'a message below highWaterMark',
      { ...framed, ...uncongested },
      (connection) => connection.send(Buffer.alloc(much)),
    ],
    [
      'bytes of a stream below highWaterMark',
      uncongested,
      (connection) => {
        connection.writer.writeBinary(Buffer.alloc(much))
        return connection.writer.flush()
      },
    ],
  ]
  for (const [what, options, send] of kinds) {
    for (const turns of [0, 5]) {
      test(`a connection on which ${what} is unsent after ${turns} turns is closed and not lent, ${words}`, async (t) => {
        const { target, sockets } = await silent(t, transport)
        const pool = pooled(t, target, options)
        const first = await pool.get()
        send(first).catch(() => {})
        for (let turn = 0; turn < turns; turn += 1) await nextTurn()
        pool.put(first)
        const second = await pool.get()
        t.not(second, first)
        t.false(first.isActive)
        pool.put(second)
        // It closes in order: what was accepted arrives.
        await sockets.reach(2)
        t.true((await drain(sockets.all[0] as Socket)) >= much)
      })
    }
  }

  test(`a connection on which a handler’s reply is unsent is closed and not lent, ${words}`, async (t) => {
    const { target, sockets } = await silent(t, transport)
    const ran = new Inbox<number>()
    const onRequest = ({ length }: Buffer): Buffer => {
      ran.push(length)
      return Buffer.alloc(much)
    }
    const pool = pooled(t, target, { ...framed, ...uncongested, onRequest })
    const first = await pool.get()
    ;(await sockets.take()).write(frame(Buffer.alloc(8)))
    await ran.take()
    pool.put(first)
    t.not(await pool.get(), first)
    t.true((await drain(sockets.all[0] as Socket)) >= much)
  })

  test(`a connection with a request unsent that was given up is not used again, ${words}`, async (t) => {
    const { target, sockets } = await silent(t, transport)
    const pool = pooled(t, target, { ...framed, ...uncongested, connections: 1 })
    const abortion = new AbortController()
    const call = pool.call(Buffer.alloc(much, 'a'), { signal: abortion.signal })
    while (pool.stats().running === 0) await nextTurn()
    abortion.abort('enough')
    t.is(await rejection(call), 'enough')
    const next = rejection(pool.call(Buffer.alloc(4, 'b')))
    await sockets.reach(2)
    const read = new Promise<Buffer>((resolve) => sockets.all[1]?.once('data', resolve))
    sockets.all[1]?.resume()
    t.is((await read).toString('utf8', 4), 'bbbb')
    await pool.close({ timeout: 0 })
    t.is(codeOf(await next), 'ERR_CONN_CLOSED')
  })

  test(`a connection whose peer takes what is sent is lent again and again, ${words}`, async (t) => {
    const { target, sockets } = await silent(t, transport)
    const pool = pooled(t, target, framed)
    for (let count = 0; count < 50; count += 1) {
      const connection = await pool.get()
      await connection.send(Buffer.alloc(100))
      pool.put(connection)
      if (count % 3 === 0) await nextTurn()
    }
    t.is(sockets.all.length, 1)
    t.is(pool.stats().connected, 1)
  })
}

test('rpc: one-way calls one after the other go by one connection of a pool', async (t) => {
  const began = new Inbox<unknown>()
  const { server, port } = await serveCalls(t, ({ body }) => {
    began.push(body)
    return null
  })
  const client = clientOf(t, port, { kind: 'pool' })
  for (let count = 0; count < 50; count += 1) await client.send('note', count)
  await began.reach(50)
  t.is(server.stats().connections, 1)
})
