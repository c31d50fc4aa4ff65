import { getEventListeners } from 'node:events'
import { createServer as createNetServer, type Socket } from 'node:net'
import test, { type ExecutionContext } from 'ava'

import { createServer, type DialTarget, Mux, type MuxOptions, type NetpollError } from '../../dist/index.mjs'
import { deferred, Inbox, nextTurn, until } from '../support/deferred.mjs'
import { frame, frames } from '../support/frames.mjs'
import { freePort, fullListener, netServer } from '../support/listeners.mjs'
import { codeOf, echo, framing, rejection, serve } from '../support/netpoll.mjs'
import { openSockets, runFixture, socketPath } from '../support/system.mjs'

/** A mux, gone with the test. */
function muxed<Data = unknown>(
  t: ExecutionContext,
  target: DialTarget,
  options: Partial<MuxOptions<Data>> = {},
): Mux<Data> {
  const mux = new Mux<Data>(target, { framing, backoff: { min: 1, max: 20 }, ...options })
  t.teardown(() => mux.close({ timeout: 0 }))
  return mux
}

/** The messages that sockets of a `node:net` server get, whole. */
function requestsOf(socket: Socket): Inbox<string> {
  const requests = new Inbox<string>()
  let rest: Buffer = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE()) {
      const end = 4 + rest.readUInt32BE()
      requests.push(rest.toString('utf8', 4, end))
      rest = rest.subarray(end)
    }
  })
  return requests
}

const nothing = { connected: 0, free: 0, pending: 0, queued: 0, running: 0, size: 0 }
const numbers = (count: number): string[] => Array.from({ length: count }, (_, index) => `${index}`)

test('many calls at once go over few connections, and each gets its reply', async (t) => {
  const { target, accepted } = await echo(t, {}, async (request) => request)
  const mux = muxed(t, target, { connections: 3 })
  for (let round = 0; round < 3; round += 1) {
    const replies = await Promise.all(numbers(1_000).map((text) => mux.call(text, { timeout: 60_000 })))
    t.deepEqual(replies.map(String), numbers(1_000))
  }
  t.is(accepted.all.length, 3)
  t.deepEqual(mux.stats(), { ...nothing, connected: 3, free: 3 })
})

test('a mux’s connections may be those of a poller thread', async (t) => {
  const { target, accepted } = await echo(t, { pollers: 1 })
  const mux = muxed(t, target, { connections: 2, pollers: 1, onError: () => {} })
  for (let round = 0; round < 3; round += 1) {
    const replies = await Promise.all(numbers(300).map((text) => mux.call(text, { timeout: 60_000 })))
    t.deepEqual(replies.map(String), numbers(300))
    const open = (): number => accepted.all.filter(({ isActive }) => isActive).length
    await until(() => mux.stats().connected === 2 && open() === 2)
    for (const connection of accepted.all) connection.destroy()
    await until(() => mux.stats().connected === 0)
  }
  await mux.close()
})

test('a mux reaches a unix socket', async (t) => {
  const path = socketPath(t)
  const server = createServer({ framing }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ path })
  t.is(String(await muxed(t, { path }).call('x')), 'x')
})

test('nothing is dialed before the first call', async (t) => {
  const { target, accepted } = await echo(t)
  const mux = muxed(t, target, { connections: 2 })
  for (let turn = 0; turn < 20; turn += 1) await nextTurn()
  t.is(accepted.all.length, 0)
  t.is(String(await mux.call('x')), 'x')
  await accepted.reach(2)
})

test('no more than maxConcurrentCalls calls are on their way, others wait in order', async (t) => {
  const { port, sockets } = await netServer(t)
  const mux = muxed(t, { host: '127.0.0.1', port }, { connections: 1, maxConcurrentCalls: 3 })
  const order: string[] = []
  const calls = numbers(9).map(async (text) => {
    const reply = await mux.call(text)
    order.push(String(reply))
  })
  const socket = await sockets.take()
  const requests = requestsOf(socket)
  await requests.reach(3)
  t.deepEqual(mux.stats(), { ...nothing, connected: 1, pending: 6, queued: 6, running: 3, size: 9 })
  for (let index = 0; index < 9; index += 1) {
    t.deepEqual(requests.all, numbers(Math.min(9, index + 3)))
    socket.write(frame(`${index}`))
    await until(() => order.length === index + 1)
    await requests.reach(Math.min(9, index + 4))
  }
  await Promise.all(calls)
  t.deepEqual(order, numbers(9))
})

test('maxInFlight of a mux bounds the requests that a connection handles, as of a dialer', async (t) => {
  const { port, sockets } = await netServer(t)
  const handled = new Inbox<() => void>()
  let [running, most] = [0, 0]
  const onRequest = (): Promise<void> => {
    running += 1
    most = Math.max(most, running)
    return new Promise((resolve) =>
      handled.push(() => {
        running -= 1
        resolve()
      }),
    )
  }
  const mux = muxed(t, { host: '127.0.0.1', port }, { connections: 1, maxInFlight: 2, onRequest })
  await mux.send('hello')
  const socket = await sockets.take()
  socket.write(frames('1', '2', '3', '4', '5'))
  await handled.reach(2)
  for (let index = 0; index < 5; index += 1) (await handled.take())()
  t.is(most, 2)
})

test('a request that waits is as it was when the call was made', async (t) => {
  const { target } = await echo(t)
  const mux = muxed(t, target)
  const bytes = Buffer.from('before')
  const calls = [mux.call(bytes), mux.call([bytes, ' and ', bytes]), mux.call('text')]
  bytes.fill('x')
  t.deepEqual((await Promise.all(calls)).map(String), ['before', 'before and before', 'text'])
})

test('what cannot be sent is refused, with or without waiting, and the others go on', async (t) => {
  const { target } = await echo(t)
  const mux = muxed(t, target, { connections: 1 })
  t.is(codeOf(await rejection(mux.call(7 as never))), 'ERR_INVALID_ARG_TYPE')
  t.is(codeOf(await rejection(mux.send([7] as never))), 'ERR_INVALID_ARG_TYPE')
  const good = mux.call('x')
  t.is(codeOf(await rejection(mux.call('x', { timeout: -1 }))), 'ERR_OUT_OF_RANGE')
  t.is(String(await good), 'x')
  t.is(codeOf(await rejection(mux.call([7] as never))), 'ERR_INVALID_ARG_TYPE')
  t.is(codeOf(await rejection(mux.send(7 as never))), 'ERR_INVALID_ARG_TYPE')
  t.is(String(await mux.call('y')), 'y')
  t.deepEqual(mux.stats(), { ...nothing, connected: 1, free: 1 })
})

test('in order a late reply is dropped, and the calls after it get their own', async (t) => {
  const { port, sockets } = await netServer(t)
  const mux = muxed(t, { host: '127.0.0.1', port }, { connections: 1 })
  // With a connection there the request leaves before its time is over, however long a dial takes.
  await mux.connect()
  const lost = rejection(mux.call('lost', { timeout: 100 }))
  const socket = await sockets.take()
  const requests = requestsOf(socket)
  t.is(codeOf(await lost), 'ERR_REQUEST_TIMEOUT')
  const next = mux.call('next')
  await requests.reach(2)
  socket.write(frames('late', 'mine'))
  t.is(String(await next), 'mine')
  t.is(sockets.all.length, 1)
})

test('with ids replies come in any order, also late and twice, and reach nobody else', async (t) => {
  const { port, sockets } = await netServer(t)
  const strangers = new Inbox<string>()
  const mux = muxed(
    t,
    { host: '127.0.0.1', port },
    {
      connections: 1,
      id: { offset: 0, size: 1 },
      onRequest: (request) => void strangers.push(String(request)),
    },
  )
  await mux.connect()
  const lost = rejection(mux.call('a lost', { timeout: 100 }))
  const socket = await sockets.take()
  const requests = requestsOf(socket)
  await lost
  const calls = ['b', 'c', 'd'].map((text) => mux.call(text))
  t.is(codeOf(await rejection(mux.call('b'))), 'ERR_DUPLICATE_ID')
  await requests.reach(4)
  socket.write(frames('d 1', 'a late', 'd 2', 'b 1', 'c 1'))
  t.deepEqual((await Promise.all(calls)).map(String), ['b 1', 'c 1', 'd 1'])
  t.deepEqual(strangers.all, ['d 2'])
})

test('a connection that is lost fails its own calls, and no others', async (t) => {
  const { port, sockets } = await netServer(t)
  const mux = muxed(t, { host: '127.0.0.1', port }, { connections: 2, onError: () => {} })
  const calls = numbers(10).map((text) => mux.call(text).then(String, codeOf))
  const [first, second] = (await sockets.reach(2)) as [Socket, Socket]
  const [lost, kept] = [requestsOf(first), requestsOf(second)]
  await until(() => mux.stats().connected === 2)
  calls.push(...numbers(10).map((text) => mux.call(`${text} more`).then(String, codeOf)))
  await until(() => lost.all.length + kept.all.length === 20)
  t.true(lost.all.length > 0 && kept.all.length > 0)
  first.resetAndDestroy()
  second.write(frames(...kept.all))
  const outcomes = await Promise.all(calls)
  t.deepEqual(
    outcomes.filter((outcome) => outcome !== 'ECONNRESET'),
    [...kept.all],
  )
  t.is(outcomes.filter((outcome) => outcome === 'ECONNRESET').length, lost.all.length)
  t.is(mux.stats().running, 0)
})

test('after the loss of a connection others go on, and it is dialed again', async (t) => {
  const { target, accepted } = await echo(t)
  const mux = muxed(t, target, { connections: 2, onError: () => {} })
  await mux.call('x')
  await accepted.reach(2)
  await until(() => mux.stats().connected === 2)
  accepted.all[0]?.resetAndDestroy()
  await until(() => mux.stats().connected === 1)
  t.deepEqual((await Promise.all(numbers(20).map((text) => mux.call(text)))).map(String), numbers(20))
  await accepted.reach(3)
  await until(() => mux.stats().connected === 2)
})

test('calls that are made while there is no connection wait for one', async (t) => {
  const port = await freePort()
  const mux = muxed(t, { host: '127.0.0.1', port }, { onError: () => t.fail() })
  const calls = numbers(20).map((text) => mux.call(text, { timeout: 60_000 }))
  await until(() => mux.stats().pending === 20)
  const server = createServer({ framing }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port })
  t.deepEqual((await Promise.all(calls)).map(String), numbers(20))
})

test('calls wait for a connection as long as their timeout, whose error says why there was none', async (t) => {
  const port = await freePort()
  const mux = muxed(t, { host: '127.0.0.1', port })
  // On a machine that stalls, time may be over before the first dial tells why it fails.
  t.is(codeOf(await rejection(mux.call('x'))), 'ECONNREFUSED')
  for (const error of await Promise.all([50, 90].map((timeout) => rejection(mux.call('x', { timeout }))))) {
    t.is(codeOf(error), 'ERR_REQUEST_TIMEOUT')
    t.is(codeOf((error as NetpollError).cause), 'ECONNREFUSED')
  }
  t.deepEqual(mux.stats(), nothing)
})

test('a call without a timeout, and send, do not wait for a server that cannot be dialed', async (t) => {
  const port = await freePort()
  const mux = muxed(t, { host: '127.0.0.1', port })
  const waiting = [mux.call('x'), mux.send('x'), mux.call('x')].map(rejection)
  t.deepEqual((await Promise.all(waiting)).map(codeOf), Array(3).fill('ECONNREFUSED'))
})

test('a call that is aborted while it waits leaves, and nobody listens to its signal', async (t) => {
  const { port } = await fullListener(t)
  const mux = muxed(t, { host: '127.0.0.1', port })
  const controller = new AbortController()
  const waiting = rejection(mux.call('x', { signal: controller.signal }))
  t.is(mux.stats().pending, 1)
  controller.abort(new Error('no longer'))
  t.is(await waiting, controller.signal.reason)
  t.is(mux.stats().pending, 0)
  t.deepEqual(getEventListeners(controller.signal, 'abort'), [])
  t.is(await rejection(mux.call('x', { signal: controller.signal })), controller.signal.reason)
})

test('send waits for a connection, and what is sent arrives', async (t) => {
  const received = new Inbox<string>()
  const { target } = await echo(t, {}, (request) => void received.push(String(request)))
  const mux = muxed(t, target, { connections: 1 })
  await Promise.all([mux.send('one'), mux.send(['t', 'wo'])])
  await mux.send('three')
  t.deepEqual(await received.reach(3), ['one', 'two', 'three'])
})

test('a server that restarts fails what was on its way, and serves what comes after', async (t) => {
  const { server: first, target } = await echo(t)
  const mux = muxed(t, target, { connections: 2, onError: () => {} })
  t.is(String(await mux.call('x')), 'x')
  await first.close({ timeout: 0 })
  await until(() => mux.stats().connected === 0)
  const calls = numbers(10).map((text) => mux.call(text, { timeout: 60_000 }))
  for (let turn = 0; turn < 50; turn += 1) await nextTurn()
  const second = createServer({ framing }, (request) => request)
  t.teardown(() => second.close({ timeout: 0 }))
  await second.listen(target as { port: number })
  t.deepEqual((await Promise.all(calls)).map(String), numbers(10))
})

test('a server that accepts and closes at once fails each call, and is not dialed without pause', async (t) => {
  const dials: number[] = []
  const server = createNetServer((socket) => {
    dials.push(performance.now())
    socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  const mux = muxed(
    t,
    { host: '127.0.0.1', port },
    { connections: 1, onError: () => {}, backoff: { min: 40, max: 10_000 } },
  )
  for (let round = 0; round < 4; round += 1) {
    const code = codeOf(await rejection(mux.call('x')))
    t.true(['ERR_CONN_CLOSED', 'ECONNRESET', 'EPIPE'].includes(code as string), String(code))
  }
  // At least half of 40, 80 and 160 ms between one and the next: a timer is never early by more than a millisecond.
  const pauses = dials.slice(1).map((time, index) => time - (dials[index] as number))
  t.true(pauses.length >= 3)
  t.true((pauses[0] as number) >= 19, `${pauses}`)
  t.true((pauses[1] as number) >= 39, `${pauses}`)
  t.true((pauses[2] as number) >= 79, `${pauses}`)
})

test('a connection that answers nothing any more is replaced', async (t) => {
  const { port, sockets } = await netServer(t)
  const mux = muxed(t, { host: '127.0.0.1', port }, { connections: 1 })
  const first = mux.call('x')
  const dead = await sockets.take()
  const requests = requestsOf(dead)
  await requests.take()
  dead.write(frame('y'))
  t.is(String(await first), 'y')
  // It reads and says nothing, as behind a network that is gone.
  while (sockets.all.length === 1) {
    t.is(codeOf(await rejection(mux.call('x', { timeout: 100 }))), 'ERR_REQUEST_TIMEOUT')
    t.true(requests.all.length < 1_000)
  }
  const next = mux.call('alive', { timeout: 60_000 })
  const alive = await sockets.reach(2).then(([, socket]) => socket as Socket)
  const seen = requestsOf(alive)
  await until(() => seen.all.includes('alive'))
  alive.write(frames(...seen.all))
  t.is(String(await next), 'alive')
})

test('a call without a timeout keeps its connection, although that answers nobody else in time', async (t) => {
  const { port, sockets } = await netServer(t)
  const mux = muxed(t, { host: '127.0.0.1', port }, { connections: 1 })
  const patient = mux.call('patient')
  const socket = await sockets.take()
  const requests = requestsOf(socket)
  await requests.reach(1)
  while (sockets.all.length === 1) await rejection(mux.call('x', { timeout: 100 }))
  socket.write(frame('at last'))
  t.is(String(await patient), 'at last')
  // Nobody waits for anything more on it.
  await new Promise((resolve) => socket.once('close', resolve))
})

test('close waits for what is on its way and for what waits, then ends the connections', async (t) => {
  const ends = new Inbox<Error | undefined>()
  const release = deferred()
  const { target } = await echo(
    t,
    { onDisconnect: (_connection, error) => ends.push(error) },
    async (request) => {
      await release.promise
      return request
    },
  )
  const mux = muxed(t, target, { connections: 2, maxConcurrentCalls: 4 })
  const calls = numbers(10).map((text) => mux.call(text))
  await until(() => mux.stats().running === 4)
  const closing = mux.close()
  t.is(codeOf(await rejection(mux.call('x'))), 'ERR_MUX_CLOSED')
  t.is(codeOf(await rejection(mux.send('x'))), 'ERR_MUX_CLOSED')
  release.resolve()
  t.deepEqual((await Promise.all(calls)).map(String), numbers(10))
  await closing
  t.deepEqual(mux.stats(), nothing)
  for (const error of await ends.reach(1)) t.is(error, undefined)
  await mux.close()
})

test('close with a timeout destroys what is left, and tells those who wait', async (t) => {
  const { port } = await netServer(t)
  const mux = muxed(t, { host: '127.0.0.1', port }, { connections: 1, maxConcurrentCalls: 2 })
  const calls = numbers(4).map((text) => rejection(mux.call(text)))
  await until(() => mux.stats().running === 2)
  await mux.close({ timeout: 20 })
  t.deepEqual((await Promise.all(calls)).map(codeOf), [
    'ERR_CONN_CLOSED',
    'ERR_CONN_CLOSED',
    'ERR_MUX_CLOSED',
    'ERR_MUX_CLOSED',
  ])
  t.deepEqual(mux.stats(), nothing)
})

test('a mux that closes while it dials gives the dial up once nobody waits', async (t) => {
  const { port } = await fullListener(t)
  const mux = muxed(t, { host: '127.0.0.1', port }, { onError: () => t.fail() })
  const waiting = rejection(mux.call('x', { timeout: 50 }))
  await mux.close()
  t.is(codeOf(await waiting), 'ERR_REQUEST_TIMEOUT')
  t.deepEqual(mux.stats(), nothing)
  const other = muxed(t, { host: '127.0.0.1', port })
  const cut = rejection(other.call('x'))
  await other.close({ timeout: 20 })
  t.is(codeOf(await cut), 'ERR_MUX_CLOSED')
})

test('a mux that was never used, or is between two dials, closes at once', async (t) => {
  await muxed(t, { host: '127.0.0.1', port: 1 }).close()
  const port = await freePort()
  const mux = muxed(t, { host: '127.0.0.1', port }, { backoff: { min: 60_000, max: 60_000 } })
  t.is(codeOf(await rejection(mux.call('x'))), 'ECONNREFUSED')
  const waiting = rejection(mux.call('x', { timeout: 40 }))
  await mux.close()
  t.is(codeOf(await waiting), 'ERR_REQUEST_TIMEOUT')
})

test('await using closes a mux', async (t) => {
  const { target } = await echo(t)
  const mux = muxed(t, target)
  await mux.call('x')
  await mux[Symbol.asyncDispose]()
  t.deepEqual(mux.stats(), nothing)
})

test('hooks of a mux’s connections are those of a dialer', async (t) => {
  const { target } = await echo(t)
  const greeted: string[] = []
  const mux = muxed(t, target, {
    connections: 2,
    onConnect: async (connection) => {
      greeted.push(String(await connection.call('token')))
    },
  })
  t.is(String(await mux.call('x')), 'x')
  await until(() => greeted.length === 2)
})

for (const [name, args, code] of [
  ['no address', [undefined, { framing }], 'ERR_INVALID_ARG_TYPE'],
  ['no options', [{ port: 1 }], 'ERR_INVALID_ARG_TYPE'],
  ['no framing', [{ port: 1 }, {}], 'ERR_UNSUPPORTED'],
  ['no connections', [{ port: 1 }, { framing, connections: 0 }], 'ERR_INVALID_ARG_VALUE'],
  ['no call in flight', [{ port: 1 }, { framing, maxConcurrentCalls: 0 }], 'ERR_INVALID_ARG_VALUE'],
  ['a back-off that is none', [{ port: 1 }, { framing, backoff: 5 }], 'ERR_INVALID_ARG_TYPE'],
  ['no pause', [{ port: 1 }, { framing, backoff: { min: 0 } }], 'ERR_INVALID_ARG_VALUE'],
  [
    'less at most than at least',
    [{ port: 1 }, { framing, backoff: { min: 9, max: 8 } }],
    'ERR_INVALID_ARG_VALUE',
  ],
] as const) {
  test(`a mux is refused with ${name}`, (t) => {
    t.throws(() => new Mux(...(args as unknown as [DialTarget, MuxOptions])), { code })
  })
}

test('all requests of a turn leave in one system call for each connection', async (t) => {
  // V8 wakes its thread by a write when a collection is due, which it is not with so much room.
  const flags = ['--min-semi-space-size=16']
  const { code, stdout, stderr } = await runFixture(t, 'mux-writes', { flags })
  t.is(stderr, '')
  t.is(stdout, '2 connections: 2 writes for 50 calls\n3 connections: 3 writes for 90 calls\n')
  t.is(code, 0)
})

test.serial(
  'a mux whose connections die again and again leaves nothing open, and answers the rest',
  async (t) => {
    const before = openSockets()
    let requests = 0
    const { server, port } = await serve(t, {}, async (request, connection) => {
      requests += 1
      if (requests % 97 === 0) connection.resetAndDestroy()
      if (requests % 3 === 0) await nextTurn()
      return request
    })
    const mux = muxed(t, { host: '127.0.0.1', port }, { connections: 3, onError: () => {} })
    let answered = 0
    let lost = 0
    const caller = async (index: number): Promise<void> => {
      for (let round = 0; round < 100; round += 1) {
        const text = `${index}.${round}`
        try {
          t.is(String(await mux.call(text, { timeout: 60_000 })), text)
          answered += 1
        } catch (error) {
          t.true(['ECONNRESET', 'ERR_CONN_CLOSED', 'EPIPE'].includes(codeOf(error) as string), String(error))
          lost += 1
        }
      }
    }
    await Promise.all(numbers(30).map((_, index) => caller(index)))
    t.true(lost > 0 && answered > 1_000, `${answered} answered, ${lost} lost`)
    t.is(mux.stats().size, 0)
    await mux.close()
    await server.close({ timeout: 0 })
    t.deepEqual(openSockets(), before)
  },
)
