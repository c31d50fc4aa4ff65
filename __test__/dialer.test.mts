import { createServer as createNetServer, type Socket } from 'node:net'
import test, { type ExecutionContext } from 'ava'

import { type Connection, Dialer, NetpollError } from '../dist/index.mjs'
import { deferred, Inbox } from './support/deferred.mjs'
import { frame, frames } from './support/frames.mjs'
import { codeOf, dial, framing, gone, rejection, serve } from './support/netpoll.mjs'
import { openSockets, socketPath } from './support/system.mjs'

/** A `node:net` server: what a dialer’s peer does is up to the test. */
async function netServer(
  t: ExecutionContext,
): Promise<{ readonly port: number; readonly sockets: Inbox<Socket> }> {
  const sockets = new Inbox<Socket>()
  const server = createNetServer((socket) => {
    socket.on('error', () => {})
    sockets.push(socket)
  })
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve))
  t.teardown(() => {
    for (const socket of sockets.all) socket.destroy()
    return new Promise<void>((resolve) => server.close(() => resolve()))
  })
  return { port: (server.address() as { port: number }).port, sockets }
}

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createNetServer()
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve))
  const { port } = server.address() as { port: number }
  await new Promise<void>((resolve) => server.close(() => resolve()))
  return port
}

test.serial('a refused dial rejects with the system’s code, and leaves nothing open', async (t) => {
  const port = await freePort()
  const dialer = new Dialer({ framing, onError: () => t.fail(), onDisconnect: () => t.fail() })
  const before = openSockets()
  const error = await rejection(dialer.dial({ host: '127.0.0.1', port }))
  t.true(error instanceof NetpollError)
  const { code, syscall, address, port: place } = error as NetpollError
  t.deepEqual([code, syscall, address, place], ['ECONNREFUSED', 'connect', '127.0.0.1', port])
  t.deepEqual(openSockets(), before)
})

test('a dial to a path where nothing is rejects with ENOENT', async (t) => {
  const path = socketPath(t)
  const error = await rejection(new Dialer({ framing }).dial({ path }))
  t.true(error instanceof NetpollError)
  const { code, syscall, address } = error as NetpollError
  t.deepEqual([code, syscall, address], ['ENOENT', 'connect', path])
})

test('a dial to a path that is too long rejects with its own error', async (t) => {
  const error = await rejection(new Dialer({ framing }).dial({ path: `/tmp/${'x'.repeat(200)}` }))
  t.true(error instanceof NetpollError)
  t.is((error as NetpollError).code, 'ENAMETOOLONG')
})

test('a dial tries each address of a name', async (t) => {
  const { port } = await serve(t, {}, (request) => request)
  const client = await dial(t, { host: 'localhost', port })
  t.is((await client.call('x')).toString(), 'x')
})

test('a dial that was given up before it began rejects with the reason', async (t) => {
  const { port, sockets } = await netServer(t)
  const reason = new Error('no longer')
  const dialing = new Dialer({ framing }).dial({ host: '127.0.0.1', port, signal: AbortSignal.abort(reason) })
  t.is(await rejection(dialing), reason)
  t.is(sockets.all.length, 0)
})

test('a dial that is given up on its way rejects with the reason', async (t) => {
  const { port } = await netServer(t)
  const controller = new AbortController()
  const dialer = new Dialer({ framing, onError: () => t.fail(), onDisconnect: () => t.fail() })
  const dialing = dialer.dial({ host: '127.0.0.1', port, signal: controller.signal })
  await Promise.resolve()
  await Promise.resolve()
  const reason = new Error('no longer')
  controller.abort(reason)
  t.is(await rejection(dialing), reason)
})

test('a signal that comes after the dial ends nothing', async (t) => {
  const { port } = await serve(t, {}, (request) => request)
  const controller = new AbortController()
  const connection = await new Dialer({ framing }).dial({
    host: '127.0.0.1',
    port,
    signal: controller.signal,
  })
  t.teardown(() => gone(connection))
  controller.abort()
  t.is((await connection.call('x')).toString(), 'x')
})

test('calls are matched in order', async (t) => {
  const { port } = await serve(t, {}, async (request) => `re: ${request}`)
  const client = await dial(t, { port, host: '127.0.0.1' })
  const answers = await Promise.all(Array.from({ length: 500 }, (_, index) => client.call(`${index}`)))
  t.deepEqual(
    answers.map(String),
    Array.from({ length: 500 }, (_, index) => `re: ${index}`),
  )
})

for (const bytes of ['buffer', 'uint8array'] as const) {
  test(`with bytes: '${bytes}' a reply is of that kind`, async (t) => {
    const { port } = await serve(t, {}, (request) => request)
    const client = await dial(t, { port, host: '127.0.0.1' }, { bytes })
    t.is(Buffer.isBuffer(await client.call('x')), bytes === 'buffer')
  })
}

test('a call whose time is over keeps its place, so that its late reply reaches no other', async (t) => {
  const { port, sockets } = await netServer(t)
  const client = await dial(t, { host: '127.0.0.1', port })
  const socket = await sockets.take()
  const first = client.call('first', { timeout: 1 })
  const error = await rejection(first)
  t.true(error instanceof NetpollError)
  t.is(codeOf(error), 'ERR_REQUEST_TIMEOUT')
  const second = client.call('second')
  socket.write(frames('late', 'mine'))
  t.is((await second).toString(), 'mine')
  t.true(client.isActive)
})

test('a call that was given up rejects with its signal’s reason, and keeps its place', async (t) => {
  const { port, sockets } = await netServer(t)
  const client = await dial(t, { host: '127.0.0.1', port })
  const socket = await sockets.take()
  const controller = new AbortController()
  const first = client.call('first', { signal: controller.signal })
  const second = client.call('second', { signal: controller.signal, timeout: 60_000 })
  const third = client.call('third')
  const reason = { why: 'no longer' }
  controller.abort(reason)
  t.is(await rejection(first), reason)
  t.is(await rejection(second), reason)
  socket.write(frames('1', '2', '3'))
  t.is((await third).toString(), '3')
})

test('a call with a signal that is aborted already sends nothing', async (t) => {
  const { port, sockets } = await netServer(t)
  const client = await dial(t, { host: '127.0.0.1', port })
  const reason = new Error('no longer')
  t.is(await rejection(client.call('never', { signal: AbortSignal.abort(reason) })), reason)
  const answered = client.call('sent')
  const socket = await sockets.take()
  const request = await new Promise<Buffer>((resolve) => socket.once('data', resolve))
  t.deepEqual(request, frame('sent'))
  socket.write(frame('answer'))
  t.is((await answered).toString(), 'answer')
})

test('a call that is answered leaves no listener at its signal', async (t) => {
  const { port } = await serve(t, {}, (request) => request)
  const client = await dial(t, { host: '127.0.0.1', port })
  const controller = new AbortController()
  t.is((await client.call('x', { signal: controller.signal, timeout: 60_000 })).toString(), 'x')
  controller.abort()
  t.is((await client.call('y')).toString(), 'y')
})

test('a call on a connection that is closed rejects', async (t) => {
  const { port } = await serve(t, {}, (request) => request)
  const client = await dial(t, { host: '127.0.0.1', port })
  const closing = client.close()
  t.is(codeOf(await rejection(client.call('x'))), 'ERR_CONN_CLOSED')
  await closing
  t.is(codeOf(await rejection(client.call('x'))), 'ERR_CONN_CLOSED')
  t.is(codeOf(await rejection(client.send('x'))), 'ERR_CONN_CLOSED')
})

for (const how of ['end', 'reset'] as const) {
  test(`calls that wait reject upon the server’s ${how}`, async (t) => {
    const { port, sockets } = await netServer(t)
    const errors = new Inbox<unknown>()
    const disconnects = new Inbox<Error | undefined>()
    const client = await dial(
      t,
      { host: '127.0.0.1', port },
      { onError: errors.push, onDisconnect: (_connection, error) => disconnects.push(error) },
    )
    const socket = await sockets.take()
    const calls = [client.call('a'), client.call('b', { timeout: 60_000 })].map(rejection)
    await new Promise((resolve) => socket.once('data', resolve))
    if (how === 'end') socket.end()
    else socket.resetAndDestroy()
    const expected = how === 'end' ? 'ERR_CONN_CLOSED' : 'ECONNRESET'
    t.deepEqual((await Promise.all(calls)).map(codeOf), [expected, expected])
    t.is(codeOf(await disconnects.take()), how === 'end' ? undefined : 'ECONNRESET')
    t.false(client.isActive)
  })
}

test('calls that wait reject with what destroyed the connection as the cause', async (t) => {
  const { port } = await netServer(t)
  const client = await dial(t, { host: '127.0.0.1', port }, { onError: () => {} })
  const calling = rejection(client.call('x'))
  const reason = new Error('enough')
  client.destroy(reason)
  const error = await calling
  t.is(codeOf(error), 'ERR_CONN_CLOSED')
  t.is((error as Error).cause, reason)
})

test('a message that no call awaits is an error, and closes the connection', async (t) => {
  const { port, sockets } = await netServer(t)
  const errors = new Inbox<[unknown, Connection | undefined]>()
  const client = await dial(
    t,
    { host: '127.0.0.1', port },
    { onError: (error, connection) => errors.push([error, connection]) },
  )
  const socket = await sockets.take()
  socket.resume()
  socket.write(frame('surprise'))
  const [error, connection] = await errors.take()
  t.is(codeOf(error), 'ERR_UNEXPECTED_MESSAGE')
  t.is(connection, client)
  await new Promise<void>((resolve) => client.onClose(resolve))
  t.is(errors.all.length, 1)
})

test('a message that no call awaits goes to onRequest, where there is one', async (t) => {
  const { port, sockets } = await netServer(t)
  const client = await dial(t, { host: '127.0.0.1', port }, { onRequest: (request) => `re: ${request}` })
  const socket = await sockets.take()
  const received = new Inbox<Buffer>()
  socket.on('data', received.push)
  socket.write(frame('hello'))
  t.deepEqual(await received.take(), frame('re: hello'))
  t.true(client.isActive)
})

test('a dialer makes many connections at once', async (t) => {
  const { port, server } = await serve(t, {}, (request) => request)
  const dialer = new Dialer({ framing })
  const connections = await Promise.all(
    Array.from({ length: 200 }, () => dialer.dial({ host: '127.0.0.1', port })),
  )
  t.teardown(() => Promise.all(connections.map(gone)))
  const answers = await Promise.all(connections.map((connection, index) => connection.call(`${index}`)))
  t.deepEqual(
    answers.map(String),
    connections.map((_, index) => `${index}`),
  )
  t.is(server.stats().connections, 200)
  await Promise.all(connections.map((connection) => connection.close()))
})

test('a dialed connection closes gracefully: the server gets everything first', async (t) => {
  const received = new Inbox<number>()
  const disconnected = deferred<Error | undefined>()
  const { port } = await serve(t, { onDisconnect: (_c, error) => disconnected.resolve(error) }, (request) =>
    received.push(request.length),
  )
  const client = await dial(t, { host: '127.0.0.1', port })
  for (let index = 1; index <= 5; index += 1) void client.send(Buffer.alloc(index * 1_000_000))
  await client.close()
  t.is(await disconnected.promise, undefined)
  t.deepEqual(
    received.all,
    [1, 2, 3, 4, 5].map((index) => index * 1_000_000),
  )
})
