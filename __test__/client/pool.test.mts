import { getEventListeners } from 'node:events'
import { createServer as createNetServer, type Socket } from 'node:net'
import test, { type ExecutionContext } from 'ava'

import {
  type Connection,
  createServer,
  type DialTarget,
  type FramedDialerOptions,
  NetpollError,
  Pool,
  type PoolLimits,
} from '../../dist/index.mjs'
import { Inbox, nextTurn, until } from '../support/deferred.mjs'
import { frame, frames } from '../support/frames.mjs'
import { freePort, fullListener, netServer } from '../support/listeners.mjs'
import { codeOf, echo, framing, rejection, serve } from '../support/netpoll.mjs'
import { openSockets, runFixture, socketPath } from '../support/system.mjs'

/** A pool, gone with the test. */
function pooled<Data = unknown>(
  t: ExecutionContext,
  target: DialTarget,
  options: Partial<FramedDialerOptions<Data> & PoolLimits> = {},
): Pool<Data> {
  const pool = new Pool<Data>(target, { framing, ...options })
  t.teardown(() => pool.close({ timeout: 0 }))
  return pool
}

/** Answers the next request that a socket of a `node:net` server gets. */
async function answer(sockets: Inbox<Socket>, ...replies: readonly string[]): Promise<void> {
  const socket = await sockets.take()
  await new Promise((resolve) => socket.once('data', resolve))
  socket.write(frames(...replies))
}

const nothing = { connected: 0, free: 0, pending: 0, queued: 0, running: 0, size: 0 }

test('calls go over no more connections than allowed, which are used again', async (t) => {
  const { target, accepted } = await echo(t, {}, async (request) => request)
  const pool = pooled(t, target, { connections: 4 })
  for (let round = 0; round < 3; round += 1) {
    const replies = await Promise.all(Array.from({ length: 100 }, (_, index) => pool.call(`${index}`)))
    t.deepEqual(
      replies.map(String),
      Array.from({ length: 100 }, (_, index) => `${index}`),
    )
  }
  t.is(accepted.all.length, 4)
  t.deepEqual(pool.stats(), { ...nothing, connected: 4, free: 4 })
})

test('a pool’s connections may be those of a poller thread', async (t) => {
  const { target } = await echo(t, { pollers: 1 })
  const pool = pooled(t, target, { connections: 4, pollers: 1, onError: () => {} })
  const replies = await Promise.all(
    Array.from({ length: 100 }, (_, index) => pool.call(`${index}`, { timeout: 60_000 })),
  )
  t.deepEqual(
    replies.map(String),
    Array.from({ length: 100 }, (_, index) => `${index}`),
  )
  const held = await pool.get()
  held.resetAndDestroy()
  await until(() => pool.stats().connected === 3)
  pool.put(held)
  await pool.close()
  t.deepEqual(pool.stats(), nothing)
})

test('a pool reaches a unix socket', async (t) => {
  const path = socketPath(t)
  const server = createServer({ framing }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ path })
  t.is(String(await pooled(t, { path }).call('x')), 'x')
})

test('stats tell who waits for a dial, who waits for others, and who runs', async (t) => {
  const { target } = await echo(t)
  const pool = pooled(t, target, { connections: 2 })
  t.deepEqual(pool.stats(), nothing)
  const gets = [pool.get(), pool.get(), pool.get()]
  t.deepEqual(pool.stats(), { ...nothing, pending: 3, queued: 1, size: 3 })
  const [first, second] = (await Promise.all(gets.slice(0, 2))) as [Connection, Connection]
  t.deepEqual(pool.stats(), { ...nothing, connected: 2, pending: 1, queued: 1, running: 2, size: 3 })
  pool.put(first)
  t.is(await gets[2], first)
  pool.put(second)
  t.deepEqual(pool.stats(), { ...nothing, connected: 2, free: 1, running: 1, size: 1 })
  pool.put(first)
  t.deepEqual(pool.stats(), { ...nothing, connected: 2, free: 2 })
})

test('no more is dialed than is waited for, whatever the room', async (t) => {
  const { target, accepted } = await echo(t)
  const pool = pooled(t, target, { connections: 100 })
  const held = await Promise.all([pool.get(), pool.get()])
  const waiting = pool.get()
  // Served before its dial is done: what was dialed for it stays for the next.
  pool.put(held[0] as Connection)
  t.is(await waiting, held[0])
  await until(() => pool.stats().free === 1)
  t.is(String(await pool.call('x')), 'x')
  t.is(accepted.all.length, 3)
})

test('those who wait are served in order, calls and users alike', async (t) => {
  const { target } = await echo(t)
  const pool = pooled(t, target, { connections: 1 })
  const order: number[] = []
  const held = await pool.get()
  const work = Array.from({ length: 30 }, async (_, index) => {
    if (index % 3 === 0) await pool.call(`${index}`)
    else {
      const connection = await pool.get()
      await nextTurn()
      pool.put(connection)
    }
    order.push(index)
  })
  pool.put(held)
  await Promise.all(work)
  t.deepEqual(
    order,
    Array.from({ length: 30 }, (_, index) => index),
  )
})

test('a request that waits is as it was when the call was made', async (t) => {
  const { target } = await echo(t)
  const pool = pooled(t, target, { connections: 1 })
  const bytes = Buffer.from('before')
  const calls = [pool.call(bytes), pool.call([bytes, ' and ', bytes])]
  bytes.fill('x')
  t.deepEqual((await Promise.all(calls)).map(String), ['before', 'before and before'])
})

test('what cannot be sent is refused, with or without waiting, and the connection goes on', async (t) => {
  const { target, accepted } = await echo(t)
  const pool = pooled(t, target, { connections: 1 })
  t.is(codeOf(await rejection(pool.call(7 as never))), 'ERR_INVALID_ARG_TYPE')
  t.is(String(await pool.call('x')), 'x')
  t.is(codeOf(await rejection(pool.call([7] as never))), 'ERR_INVALID_ARG_TYPE')
  t.is(codeOf(await rejection(pool.call('x', { timeout: -1 }))), 'ERR_OUT_OF_RANGE')
  t.is(codeOf(await rejection(pool.call('x', { signal: 7 as never }))), 'ERR_INVALID_ARG_TYPE')
  t.is(codeOf(await rejection(pool.get({ timeout: -0.5 }))), 'ERR_OUT_OF_RANGE')
  t.is(String(await pool.call('y')), 'y')
  t.is(accepted.all.length, 1)
  t.deepEqual(pool.stats(), { ...nothing, connected: 1, free: 1 })
})

test('a connection that dies while it is free leaves at once, and nobody gets it', async (t) => {
  const { target, accepted } = await echo(t)
  const pool = pooled(t, target, { connections: 3 })
  const held = await Promise.all([pool.get(), pool.get(), pool.get()])
  for (const connection of held) pool.put(connection)
  t.is(pool.stats().free, 3)
  for (const end of await accepted.reach(3)) end.resetAndDestroy()
  await until(() => pool.stats().connected === 0)
  t.deepEqual(pool.stats(), nothing)
  const next = await pool.get()
  t.true(next.isActive)
  t.false(held.includes(next))
  pool.put(next)
})

test('of a free connection whose peer has just ended nobody gets anything', async (t) => {
  const { port, sockets } = await netServer(t)
  const pool = pooled(t, { host: '127.0.0.1', port })
  const first = await pool.get()
  pool.put(first)
  const socket = await sockets.take()
  socket.end()
  await until(() => !first.isActive)
  t.is(pool.stats().free, 0)
  const second = await pool.get()
  t.not(second, first)
  pool.put(second)
})

test('what a server says first is for whoever gets the new connection, and no connection is given out with it later', async (t) => {
  // A pool that does not read it resets the socket.
  const server = createNetServer((socket) => void socket.on('error', () => {}).write('welcome'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const pool = new Pool({ host: '127.0.0.1', port }, { minIdle: 1 })
  t.teardown(() => pool.close({ timeout: 0 }).then(() => server.close()))
  await until(() => pool.stats().free === 1)
  for (let round = 0; round < 3; round += 1) {
    const connection = await pool.get()
    await connection.reader.fill(7)
    t.is(connection.reader.readString(7), 'welcome')
    pool.discard(connection)
  }
})

test('one that is put back dead is replaced', async (t) => {
  const { target, accepted } = await echo(t)
  const pool = pooled(t, target, { connections: 1 })
  const first = await pool.get()
  const waiting = pool.get()
  ;(await accepted.take()).resetAndDestroy()
  await until(() => !first.isActive)
  pool.put(first)
  const second = await waiting
  t.not(second, first)
  t.is(String(await second.call('x')), 'x')
  pool.put(second)
})

test('one that its user closes gives its place to the next, although it is not given back', async (t) => {
  const { target } = await echo(t)
  const pool = pooled(t, target, { connections: 1 })
  const first = await pool.get()
  const waiting = pool.get()
  await first.close()
  const second = await waiting
  t.deepEqual(pool.stats(), { ...nothing, connected: 1, running: 1, size: 1 })
  // Also late, and only once.
  pool.put(first)
  t.throws(() => pool.put(first), { code: 'ERR_POOL_NOT_LENT' })
  t.deepEqual(pool.stats(), { ...nothing, connected: 1, running: 1, size: 1 })
  pool.put(second)
})

test('a connection is discarded with its error', async (t) => {
  const { target } = await echo(t)
  const pool = pooled(t, target, { connections: 1, onError: () => {} })
  const first = await pool.get()
  const waiting = pool.get()
  const call = rejection(first.call('x'))
  const reason = new Error('confused')
  pool.discard(first, reason)
  t.is(((await call) as Error).cause, reason)
  t.throws(() => pool.discard(first), { code: 'ERR_POOL_NOT_LENT' })
  pool.put(await waiting)
  t.is(pool.stats().free, 1)
})

test('only what the pool has lent can be given back, and once', async (t) => {
  const { target } = await echo(t)
  const pool = pooled(t, target)
  const other = pooled(t, target)
  const connection = await pool.get()
  t.throws(() => other.put(connection), { instanceOf: NetpollError, code: 'ERR_POOL_NOT_LENT' })
  t.throws(() => other.discard(connection), { code: 'ERR_POOL_NOT_LENT' })
  t.throws(() => pool.put(undefined as never), { code: 'ERR_POOL_NOT_LENT' })
  t.throws(() => pool.put({} as never), { code: 'ERR_POOL_NOT_LENT' })
  pool.put(connection)
  t.throws(() => pool.put(connection), { code: 'ERR_POOL_NOT_LENT' })
  t.throws(() => pool.discard(connection), { code: 'ERR_POOL_NOT_LENT' })
  const again = await pool.get()
  t.is(again, connection)
  pool.put(again)
  t.deepEqual(pool.stats(), { ...nothing, connected: 1, free: 1 })
})

test('of a call’s connection nobody may say that it is given back', async (t) => {
  const { port, sockets } = await netServer(t)
  const pool = pooled(t, { host: '127.0.0.1', port })
  const connection = await pool.get()
  pool.put(connection)
  const call = pool.call('x')
  t.throws(() => pool.put(connection), { code: 'ERR_POOL_NOT_LENT' })
  await answer(sockets, 'y')
  t.is(String(await call), 'y')
})

for (const [name, spoil] of [
  ['an unanswered call', (connection: Connection) => void rejection(connection.call('x'))],
  [
    'a call that was given up',
    async (connection: Connection) => {
      await rejection(connection.call('x', { timeout: 1 }))
    },
  ],
  ['bytes that were not flushed', (connection: Connection) => connection.writer.writeString('half')],
  ['a pause', (connection: Connection) => void connection.pause()],
  ['an ended direction', (connection: Connection) => connection.end()],
  ['a loop over its messages', (connection: Connection) => void connection[Symbol.asyncIterator]().next()],
] as const) {
  test(`a connection with ${name} is replaced when it is put back`, async (t) => {
    const { port, sockets } = await netServer(t)
    const pool = pooled(t, { host: '127.0.0.1', port }, { connections: 1, onError: () => {} })
    const first = await pool.get()
    await spoil(first)
    const waiting = pool.call('for the next')
    pool.put(first)
    const sent = await Promise.race([
      waiting,
      sockets.reach(2).then(([, second]) => new Promise((resolve) => second?.once('data', resolve))),
    ])
    t.deepEqual(sent, frame('for the next'))
    sockets.all[1]?.write(frame('reply'))
    t.is(String(await waiting), 'reply')
    t.false(first.isActive)
  })
}

test('a stream with unread bytes is replaced, when it is put back and when they come later', async (t) => {
  const { port, sockets } = await netServer(t)
  const pool = new Pool({ host: '127.0.0.1', port }, { connections: 1 })
  t.teardown(() => pool.close({ timeout: 0 }))
  const first = await pool.get()
  ;(await sockets.take()).write('unasked')
  await first.reader.fill(3)
  pool.put(first)
  const second = await pool.get()
  t.not(second, first)
  pool.put(second)
  const socket = await sockets.take()
  socket.write('for nobody')
  await until(() => second.reader.length > 0)
  const third = await pool.get()
  t.not(third, second)
  // Read to the last byte it is as good as new.
  ;(await sockets.take()).write('all')
  t.is(String(await third.reader.fill(3).then(() => third.reader.next(3))), 'all')
  pool.put(third)
  t.is(await pool.get(), third)
  pool.put(third)
  t.is(codeOf(await rejection(pool.call('x'))), 'ERR_UNSUPPORTED')
})

for (const how of ['times out', 'is aborted'] as const) {
  test(`the connection of a call that ${how} is replaced, and its late reply reaches nobody`, async (t) => {
    const { port, sockets } = await netServer(t)
    const pool = pooled(t, { host: '127.0.0.1', port }, { connections: 1 })
    // With a connection there the request leaves before its time is over, however long a dial takes.
    pool.put(await pool.get())
    const controller = new AbortController()
    const lost = rejection(
      pool.call('lost', how === 'times out' ? { timeout: 200 } : { signal: controller.signal }),
    )
    const next = pool.call('next')
    const first = await sockets.take()
    await new Promise((resolve) => first.once('data', resolve))
    controller.abort(new Error('no longer'))
    const error = await lost
    if (how === 'times out') t.is(codeOf(error), 'ERR_REQUEST_TIMEOUT')
    else t.is(error, controller.signal.reason)
    first.write(frame('late'))
    await answer(sockets, 'mine')
    t.is(String(await next), 'mine')
    t.deepEqual(pool.stats(), { ...nothing, connected: 1, free: 1 })
  })
}

test('with ids the connection of a call that timed out goes on', async (t) => {
  const { port, sockets } = await netServer(t)
  const pool = pooled(t, { host: '127.0.0.1', port }, { connections: 1, id: { offset: 0, size: 1 } })
  // What is unsent would cost the connection. Where there is one, nothing is, however long a dial takes.
  pool.put(await pool.get())
  const lost = rejection(pool.call('1 lost', { timeout: 200 }))
  await new Promise((resolve) => void sockets.reach(1).then(([socket]) => socket?.once('data', resolve)))
  t.is(codeOf(await lost), 'ERR_REQUEST_TIMEOUT')
  const next = pool.call('2 next')
  const socket = await sockets.take()
  socket.write(frames('1 late', '2 mine'))
  t.is(String(await next), '2 mine')
  t.is(sockets.all.length, 1)
})

test('a server that never answers holds up each call only as long as its timeout', async (t) => {
  const { port, sockets } = await netServer(t)
  const pool = pooled(t, { host: '127.0.0.1', port }, { connections: 2 })
  const calls = Array.from({ length: 6 }, () => rejection(pool.call('x', { timeout: 100 })))
  t.deepEqual((await Promise.all(calls)).map(codeOf), Array(6).fill('ERR_REQUEST_TIMEOUT'))
  await until(() => pool.stats().connected === 0)
  t.true(sockets.all.length <= 6)
})

test('a server that dies within a call fails that call, and the next is served by another connection', async (t) => {
  const { port, sockets } = await netServer(t)
  const pool = pooled(t, { host: '127.0.0.1', port }, { connections: 1, onError: () => {} })
  const first = rejection(pool.call('first'))
  const second = pool.call('second')
  ;(await sockets.take()).resetAndDestroy()
  t.is(codeOf(await first), 'ECONNRESET')
  await answer(sockets, 'reply')
  t.is(String(await second), 'reply')
})

test('a reply that comes twice ends that connection, and no call gets what is another’s', async (t) => {
  const { port, sockets } = await netServer(t)
  const errors = new Inbox<unknown>()
  const pool = pooled(t, { host: '127.0.0.1', port }, { connections: 1, onError: errors.push })
  const first = pool.call('first')
  await answer(sockets, 'reply', 'reply')
  t.is(String(await first), 'reply')
  t.is(codeOf(await errors.take()), 'ERR_UNEXPECTED_MESSAGE')
  await until(() => pool.stats().free === 0)
  const second = pool.call('second')
  await answer(sockets, 'mine')
  t.is(String(await second), 'mine')
})

test('a dial that fails fails the one it was for, and those after it get their own', async (t) => {
  const port = await freePort()
  const pool = pooled(t, { host: '127.0.0.1', port }, { connections: 1, onError: () => t.fail() })
  const waiting = [pool.get(), pool.call('x'), pool.get()].map(rejection)
  t.deepEqual((await Promise.all(waiting)).map(codeOf), Array(3).fill('ECONNREFUSED'))
  t.deepEqual(pool.stats(), nothing)
  const server = createServer({ framing }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port })
  t.is(String(await pool.call('x')), 'x')
})

test('who waits is served by whoever gives back, and the dial for it, which hangs, then fails nobody', async (t) => {
  const { port } = await serve(t, {}, (request) => request)
  await fullListener(t, { host: '127.0.0.2', port })
  const errors = new Inbox<unknown>()
  let lookups = 0
  const pool = pooled(
    t,
    { host: 'a.name', port },
    {
      connections: 2,
      connectTimeout: 2_000,
      onError: errors.push,
      lookup: (_name, _options, callback) => {
        lookups += 1
        callback(null, [{ address: lookups === 1 ? '127.0.0.1' : '127.0.0.2', family: 4 }])
      },
    },
  )
  const first = await pool.get()
  const waiting = pool.get()
  t.deepEqual(pool.stats(), { ...nothing, connected: 1, pending: 1, running: 1, size: 2 })
  pool.put(first)
  t.is(await waiting, first)
  t.is(codeOf(await errors.take()), 'ERR_DIAL_TIMEOUT')
  t.is(String(await first.call('x')), 'x')
  pool.put(first)
  t.deepEqual(pool.stats(), { ...nothing, connected: 1, free: 1 })
})

test('who waits for a dial that hangs is failed by its end, or by the end of its own patience', async (t) => {
  const { port } = await fullListener(t)
  const pool = pooled(
    t,
    { host: '127.0.0.1', port },
    { connections: 2, connectTimeout: 2_000, onError: () => {} },
  )
  const [patient, other] = [rejection(pool.get()), rejection(pool.get({ timeout: 50 }))]
  t.is(codeOf(await other), 'ERR_POOL_TIMEOUT')
  t.is(codeOf(await patient), 'ERR_DIAL_TIMEOUT')
  t.deepEqual(pool.stats(), nothing)
})

test('a server that accepts and closes at once fails each call, and nobody waits for ever', async (t) => {
  const server = createNetServer((socket) => socket.destroy())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  const pool = pooled(t, { host: '127.0.0.1', port }, { connections: 2, onError: () => {} })
  const calls = Array.from({ length: 20 }, () => rejection(pool.call('x')))
  for (const error of await Promise.all(calls)) {
    t.true(['ERR_CONN_CLOSED', 'ECONNRESET', 'EPIPE'].includes(codeOf(error) as string), String(error))
  }
  await until(() => pool.stats().connected === 0)
})

test('those who wait too long get ERR_POOL_TIMEOUT, and leave their place to others', async (t) => {
  const { target } = await echo(t)
  const pool = pooled(t, target, { connections: 1, waitTimeout: 100 })
  const held = await pool.get({ timeout: 0 })
  const patient = pool.get({ timeout: 0 })
  const waiting = [pool.get(), pool.get({ timeout: 50 }), pool.call('x')].map(rejection)
  t.deepEqual((await Promise.all(waiting)).map(codeOf), Array(3).fill('ERR_POOL_TIMEOUT'))
  t.deepEqual(pool.stats(), { ...nothing, connected: 1, pending: 1, queued: 1, running: 1, size: 2 })
  pool.put(held)
  pool.put(await patient)
})

test('the timeout of a call is for waiting, too', async (t) => {
  const { target } = await echo(t)
  const pool = pooled(t, target, { connections: 1, requestTimeout: 60 })
  const held = await pool.get()
  for (const options of [undefined, { timeout: 50 }]) {
    const error = (await rejection(pool.call('x', options))) as NetpollError
    t.is(error.code, 'ERR_REQUEST_TIMEOUT')
    t.is(codeOf(error.cause), 'ERR_POOL_TIMEOUT')
  }
  pool.put(held)
  t.is(String(await pool.call('x', { timeout: 0 })), 'x')
})

test('who is aborted while waiting leaves, and nobody listens to the signal any more', async (t) => {
  const { target } = await echo(t)
  const pool = pooled(t, target, { connections: 1 })
  const held = await pool.get()
  const controller = new AbortController()
  const { signal } = controller
  const served = pool.get({ signal })
  const given = [pool.get({ signal }), pool.call('x', { signal })]
  pool.put(held)
  pool.put(await served)
  const lent = (await given[0]) as Connection
  pool.put(lent)
  t.is(String(await given[1]), 'x')
  t.deepEqual(getEventListeners(signal, 'abort'), [])
  const last = await pool.get()
  const waiting = [pool.get({ signal }), pool.call('x', { signal })].map(rejection)
  t.is(pool.stats().pending, 2)
  const reason = { why: 'no longer' }
  controller.abort(reason)
  t.deepEqual(await Promise.all(waiting), [reason, reason])
  t.is(pool.stats().pending, 0)
  t.deepEqual(getEventListeners(signal, 'abort'), [])
  t.is(await rejection(pool.get({ signal })), reason)
  t.is(await rejection(pool.call('x', { signal })), reason)
  pool.put(last)
})

test('too many who wait get ERR_POOL_FULL; there is always room for those whose dial there is room for', async (t) => {
  const { target } = await echo(t)
  for (const maxWaiters of [0, 2]) {
    const pool = pooled(t, target, { connections: 2, maxWaiters })
    const gets = [pool.get(), pool.get()]
    const waiting = Array.from({ length: maxWaiters }, () => pool.get())
    const controller = new AbortController()
    const refused = [pool.get({ signal: controller.signal }), pool.call('x', { signal: controller.signal })]
    t.deepEqual((await Promise.all(refused.map(rejection))).map(codeOf), ['ERR_POOL_FULL', 'ERR_POOL_FULL'])
    t.deepEqual(getEventListeners(controller.signal, 'abort'), [])
    for (const get of [...gets, ...waiting]) pool.put(await get)
    t.is(String(await pool.call('x')), 'x')
  }
})

test('minIdle connections are kept ready: from the start, when some are taken, and when some die', async (t) => {
  const { target, accepted } = await echo(t)
  const pool = pooled(t, target, { connections: 5, minIdle: 2 })
  await until(() => pool.stats().free === 2)
  const held = await pool.get()
  await until(() => pool.stats().free === 2)
  t.is((await accepted.reach(3)).length, 3)
  const all = await Promise.all([pool.get(), pool.get(), pool.get(), pool.get()])
  t.deepEqual(pool.stats(), { ...nothing, connected: 5, running: 5, size: 5 })
  for (const connection of [held, ...all]) pool.put(connection)
  for (const end of [...(await accepted.reach(5))]) end.destroy()
  await until(() => accepted.all.length === 7 && pool.stats().free === 2)
  t.deepEqual(pool.stats(), { ...nothing, connected: 2, free: 2 })
})

test('connections that are to be kept ready are dialed again after a while, and onError is told', async (t) => {
  const port = await freePort()
  const errors = new Inbox<[unknown, Connection | undefined]>()
  const pool = pooled(t, { host: '127.0.0.1', port }, { minIdle: 1, onError: (...told) => errors.push(told) })
  const [error, connection] = await errors.take()
  t.is(codeOf(error), 'ECONNREFUSED')
  t.is(connection, undefined)
  const server = createServer({ framing }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port })
  // Its timer keeps no process alive; this one is kept alive by the server.
  while (pool.stats().free === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  t.is(String(await pool.call('x')), 'x')
})

test('who is free for maxIdleTime is closed, down to minIdle', async (t) => {
  const ends = new Inbox<Error | undefined>()
  const { target } = await echo(t, { onDisconnect: (_connection, error) => ends.push(error) })
  const pool = pooled(t, target, { minIdle: 1, maxIdleTime: 50 })
  const all = await Promise.all([pool.get(), pool.get(), pool.get()])
  for (const connection of all) pool.put(connection)
  await ends.reach(all.length - 1)
  await until(() => pool.stats().connected === 1)
  t.is(String(await pool.call('x')), 'x')
  t.deepEqual(
    ends.all.filter((error) => error !== undefined),
    [],
  )
})

test('who is used within maxIdleTime is kept', async (t) => {
  const { target, accepted } = await echo(t)
  const pool = pooled(t, target, { maxIdleTime: 10_000 })
  for (let round = 0; round < 20; round += 1) await pool.call('x')
  t.is(accepted.all.length, 1)
})

test('who is older than maxLifetime is used no more: put back, and while free', async (t) => {
  const ends = new Inbox<Error | undefined>()
  const { target } = await echo(t, { onDisconnect: (_connection, error) => ends.push(error) })
  const pool = pooled(t, target, { maxLifetime: 40 })
  const held = await pool.get()
  const free = await pool.get()
  pool.put(free)
  await ends.reach(1)
  t.false(free.isActive)
  t.true(held.isActive)
  pool.put(held)
  t.false(held.isActive)
  await ends.reach(2)
  const next = await pool.get()
  t.true(next !== held && next !== free)
  pool.put(next)
})

test('close waits for those who have a connection and for those who wait, then ends all connections', async (t) => {
  const ends = new Inbox<Error | undefined>()
  const { target } = await echo(
    t,
    { onDisconnect: (_connection, error) => ends.push(error) },
    async (request) => {
      await nextTurn()
      return request
    },
  )
  const pool = pooled(t, target, { connections: 2 })
  const held = await pool.get()
  const calls = Array.from({ length: 10 }, (_, index) => pool.call(`${index}`))
  let closed = false
  const closing = pool.close().then(() => {
    closed = true
  })
  t.is(codeOf(await rejection(pool.call('x'))), 'ERR_POOL_CLOSED')
  t.is(codeOf(await rejection(pool.get())), 'ERR_POOL_CLOSED')
  t.deepEqual(
    (await Promise.all(calls)).map(String),
    Array.from({ length: 10 }, (_, index) => `${index}`),
  )
  t.false(closed)
  t.is(String(await held.call('still mine')), 'still mine')
  pool.put(held)
  await closing
  t.deepEqual(pool.stats(), nothing)
  t.deepEqual(await ends.reach(2), [undefined, undefined])
  await pool.close()
})

test('close with a timeout destroys what is left, and tells those who wait', async (t) => {
  const { port } = await netServer(t)
  const pool = pooled(t, { host: '127.0.0.1', port }, { connections: 2 })
  const held = await pool.get()
  const call = rejection(pool.call('never answered'))
  const waiting = [pool.get(), pool.call('x')].map(rejection)
  await until(() => pool.stats().running === 2)
  await pool.close({ timeout: 20 })
  t.is(codeOf(await call), 'ERR_CONN_CLOSED')
  t.deepEqual((await Promise.all(waiting)).map(codeOf), ['ERR_POOL_CLOSED', 'ERR_POOL_CLOSED'])
  t.false(held.isActive)
  pool.put(held)
  t.throws(() => pool.put(held), { code: 'ERR_POOL_NOT_LENT' })
})

test('a pool that closes while it dials gives the dial up', async (t) => {
  const { port } = await fullListener(t)
  const ready = pooled(t, { host: '127.0.0.1', port }, { minIdle: 3, onError: () => t.fail() })
  await ready.close()
  t.deepEqual(ready.stats(), nothing)
  const pool = pooled(t, { host: '127.0.0.1', port }, { onError: () => t.fail() })
  const waiting = [pool.get(), pool.call('x')].map(rejection)
  const controller = new AbortController()
  const aborted = rejection(pool.get({ signal: controller.signal }))
  const closing = pool.close({ timeout: 30 })
  controller.abort(new Error('no longer'))
  t.is(await aborted, controller.signal.reason)
  await closing
  t.deepEqual((await Promise.all(waiting)).map(codeOf), ['ERR_POOL_CLOSED', 'ERR_POOL_CLOSED'])
  t.deepEqual(pool.stats(), nothing)
})

test('a closing pool gives its dials up once the last one who waits is aborted', async (t) => {
  const { port } = await fullListener(t)
  const pool = pooled(t, { host: '127.0.0.1', port }, { connectTimeout: 0 })
  const controller = new AbortController()
  const waiting = rejection(pool.get({ signal: controller.signal }))
  const closing = pool.close()
  controller.abort(new Error('no longer'))
  t.is(await waiting, controller.signal.reason)
  await closing
  t.deepEqual(pool.stats(), nothing)
})

test('with close the last one to give up waiting ends the dials', async (t) => {
  const { port } = await fullListener(t)
  const pool = pooled(t, { host: '127.0.0.1', port })
  const controller = new AbortController()
  const waiting = rejection(pool.get({ signal: controller.signal }))
  const timed = rejection(pool.get({ timeout: 40 }))
  const closing = pool.close()
  controller.abort()
  await waiting
  t.is(codeOf(await timed), 'ERR_POOL_TIMEOUT')
  await closing
  t.deepEqual(pool.stats(), nothing)
})

test('what was sent before a connection was put back and its pool closed arrives', async (t) => {
  const received = new Inbox<number>()
  const { target } = await echo(t, {}, (request) => received.push(request.length))
  const pool = pooled(t, target)
  const connection = await pool.get()
  void connection.send(Buffer.alloc(5_000_000))
  pool.put(connection)
  await pool.close()
  t.deepEqual(await received.reach(1), [5_000_000])
})

test('await using closes a pool', async (t) => {
  const { target } = await echo(t)
  const pool = pooled(t, target)
  await pool.call('x')
  await pool[Symbol.asyncDispose]()
  t.deepEqual(pool.stats(), nothing)
})

test('hooks of a pool’s connections are those of a dialer: onConnect logs in before anybody gets one', async (t) => {
  const { target } = await echo(t)
  const pool = pooled<string>(t, target, {
    connections: 3,
    onConnect: async (connection) => {
      connection.data = String(await connection.call('token'))
    },
  })
  const all = await Promise.all([pool.get(), pool.get(), pool.get()])
  t.deepEqual(
    all.map(({ data }) => data),
    ['token', 'token', 'token'],
  )
  for (const connection of all) pool.put(connection)
})

test('a hook that fails fails who waits for that dial', async (t) => {
  const { target } = await echo(t)
  let dials = 0
  const pool = pooled(t, target, {
    connections: 1,
    onError: () => {},
    onConnect: () => {
      dials += 1
      if (dials === 1) throw new Error('not yet')
    },
  })
  const first = rejection(pool.call('x'))
  const second = pool.call('y')
  t.is(codeOf(await first), 'ERR_CONN_CLOSED')
  t.is(String(await second), 'y')
})

for (const [name, args, code] of [
  ['no address', [undefined], 'ERR_INVALID_ARG_TYPE'],
  ['an address without a port', [{ host: 'x' }], 'ERR_INVALID_ARG_TYPE'],
  ['options that are none', [{ port: 1 }, null], 'ERR_INVALID_ARG_TYPE'],
  ['no connections', [{ port: 1 }, { framing, connections: 0 }], 'ERR_INVALID_ARG_VALUE'],
  [
    'more idle than there may be',
    [{ port: 1 }, { framing, connections: 2, minIdle: 3 }],
    'ERR_INVALID_ARG_VALUE',
  ],
  ['half a waiter', [{ port: 1 }, { framing, maxWaiters: 0.5 }], 'ERR_INVALID_ARG_VALUE'],
  ['a wait that is none', [{ port: 1 }, { framing, waitTimeout: '1' }], 'ERR_INVALID_ARG_TYPE'],
  ['an idle time that is none', [{ port: 1 }, { framing, maxIdleTime: -1 }], 'ERR_OUT_OF_RANGE'],
  ['an age that is none', [{ port: 1 }, { framing, maxLifetime: Number.NaN }], 'ERR_OUT_OF_RANGE'],
] as const) {
  test(`a pool is refused with ${name}`, (t) => {
    t.throws(() => new Pool(...(args as unknown as [DialTarget])), { code })
  })
}

test.serial('a pool that many used, aborted and lost leaves nothing open', async (t) => {
  const before = openSockets()
  const { server, port } = await serve(t, {}, async (request) => {
    await nextTurn()
    return request
  })
  const pool = pooled(t, { host: '127.0.0.1', port }, { connections: 8, onError: () => {} })
  let served = 0
  const user = async (index: number): Promise<void> => {
    for (let round = 0; round < 50; round += 1) {
      const what = (index * 7 + round) % 5
      const text = `${index}.${round}`
      try {
        if (what === 0) {
          const connection = await pool.get({ timeout: 100_000 })
          if (round % 2 === 0) t.is(String(await connection.call(text)), text)
          if (round % 3 === 0) pool.discard(connection)
          else pool.put(connection)
        } else if (what === 1) {
          const controller = new AbortController()
          const call = pool.call(text, { signal: controller.signal })
          void nextTurn().then(() => controller.abort(new Error('aborted')))
          t.is(String(await call), text)
        } else {
          t.is(String(await pool.call(text, { timeout: 100_000 })), text)
        }
        served += 1
      } catch (error) {
        t.is((error as Error).message, 'aborted')
      }
    }
  }
  await Promise.all(Array.from({ length: 40 }, (_, index) => user(index)))
  t.true(served > 1_000, `${served}`)
  t.is(pool.stats().size, 0)
  await pool.close()
  await server.close({ timeout: 0 })
  t.deepEqual(openSockets(), before)
})

test('a soak of connects and disconnects leaves no descriptor and little memory behind', async (t) => {
  const { code, stdout, stderr } = await runFixture(t, 'pool-soak', {
    args: ['3000'],
    flags: ['--expose-gc'],
  })
  t.is(stderr, '')
  t.regex(stdout, /^3000 connects/)
  t.is(code, 0)
})
