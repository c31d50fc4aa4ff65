import { getEventListeners } from 'node:events'
import { type AddressInfo, createServer as createNetServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import test from 'ava'

import { type Connection, createServer, Dialer, NetpollError } from '../../dist/index.mjs'
import { deferred, Inbox, nextTurn } from '../support/deferred.mjs'
import { frame, frames } from '../support/frames.mjs'
import { descriptorLimit, freePort, fullListener, lookupOf, netServer } from '../support/listeners.mjs'
import { codeOf, dial, framing, gone, portOf, rejection, serve } from '../support/netpoll.mjs'
import { openSockets, socketPath } from '../support/system.mjs'

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

test.serial('thousands of dials at once succeed, and leave no descriptor behind', async (t) => {
  // Both ends of each connection are in this process.
  const count = Math.min(2_000, Math.floor((descriptorLimit() - 200) / 2))
  const before = openSockets()
  const disconnects = new Inbox<Error | undefined>()
  const server = createServer(
    { framing, onDisconnect: (_connection, error) => disconnects.push(error) },
    (request) => request,
  )
  await server.listen({ host: '127.0.0.1', port: 0, backlog: count })
  const dialer = new Dialer({ framing })
  const connections = await Promise.all(
    Array.from({ length: count }, () => dialer.dial({ host: '127.0.0.1', port: portOf(server) })),
  )
  const answers = await Promise.all(connections.map((connection, index) => connection.call(`${index}`)))
  t.deepEqual(
    answers.map(String),
    connections.map((_, index) => `${index}`),
  )
  t.is(server.stats().connections, count)
  await Promise.all(connections.map((connection) => connection.close()))
  t.deepEqual(new Set(await disconnects.reach(count)), new Set([undefined]))
  await server.close()
  t.deepEqual(openSockets(), before)
})

test.serial('a dial that hangs rejects with ERR_DIAL_TIMEOUT, and leaves nothing open', async (t) => {
  const { port, error } = await fullListener(t)
  t.true(error instanceof NetpollError)
  t.is(error.code, 'ERR_DIAL_TIMEOUT')
  const before = openSockets()
  const dialer = new Dialer({ framing, connectTimeout: 0, onDisconnect: () => t.fail() })
  const controller = new AbortController()
  const dialing = dialer.dial({ host: '127.0.0.1', port, connectTimeout: 1, signal: controller.signal })
  t.is(codeOf(await rejection(dialing)), 'ERR_DIAL_TIMEOUT')
  t.deepEqual(openSockets(), before)
  t.deepEqual(getEventListeners(controller.signal, 'abort'), [])
})

test.serial(
  'a dial that hangs and is given up rejects with the reason, and leaves nothing open',
  async (t) => {
    const { port } = await fullListener(t)
    const before = openSockets()
    const dialer = new Dialer({ framing, connectTimeout: 0, onDisconnect: () => t.fail() })
    const controller = new AbortController()
    const dialing = dialer.dial({ host: '127.0.0.1', port, signal: controller.signal })
    await nextTurn()
    t.is(openSockets().size, before.size + 1)
    const reason = new Error('no longer')
    controller.abort(reason)
    t.is(await rejection(dialing), reason)
    t.deepEqual(openSockets(), before)
    t.deepEqual(getEventListeners(controller.signal, 'abort'), [])
  },
)

test('an IPv6 address may name its interface, which has to be there', async (t) => {
  const ends = Object.entries(networkInterfaces()).flatMap(([name, all = []]) =>
    all.map((end) => ({ ...end, address: `${end.address.replace(/%.*/, '')}%${name}` })),
  )
  // Not every machine has such an address beside that of the loopback interface, which needs no name.
  const hosts = ends.filter((end) => end.family === 'IPv6' && (end.scopeid > 0 || end.internal))
  for (const { address: host } of hosts) {
    const server = createServer({ framing }, (_request, { remoteAddress }) => JSON.stringify(remoteAddress))
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen({ host, port: 0 })
    const client = await dial(t, { host, port: portOf(server) }, { localAddress: host })
    const seen = JSON.parse((await client.call('x')).toString()) as { address: string }
    // Only an address that means something on one link names it: as node:net says it.
    const named = await new Promise<string>((resolve) => {
      const other = createNetServer().listen({ host, port: 0 }, () => {
        const { address } = other.address() as AddressInfo
        other.close(() => resolve(address))
      })
    })
    t.is(seen.address, named)
    t.is((server.address() as AddressInfo).address, named)
    const again = await dial(t, { host: seen.address, port: portOf(server) })
    t.truthy(await again.call('x'))
  }
  const error = await rejection(new Dialer({ framing }).dial({ host: 'fe80::1%nowhere', port: 1 }))
  t.true(error instanceof NetpollError)
  t.is(codeOf(error), 'ENODEV')
  const listening = createServer({ framing }).listen({ host: 'fe80::1%nowhere', port: 0 })
  t.is(codeOf(await rejection(listening)), 'ENODEV')
})

test('a dial may be given up while its onConnect waits, which ends the connection', async (t) => {
  const { port } = await serve(t, {}, () => undefined)
  const reason = new Error('no longer')
  const controller = new AbortController()
  const { signal } = controller
  const disconnects = new Inbox<unknown>()
  const hook = deferred()
  const dialer = new Dialer({
    framing,
    onConnect: () => hook.promise,
    onDisconnect: (_connection, error) => disconnects.push(error?.cause),
  })
  const dialing = dialer.dial({ host: '127.0.0.1', port, signal })
  while (dialer.stats().connections === 0) await nextTurn()
  controller.abort(reason)
  t.is(await rejection(dialing), reason)
  t.deepEqual(getEventListeners(signal, 'abort'), [])
  t.deepEqual(disconnects.all, [], 'it waits for onConnect')
  hook.resolve()
  t.is(await disconnects.take(), reason)
  t.like(dialer.stats(), { connections: 0, dialed: 0, failed: 1 })
})

test.serial('a descriptor that one connection gave back serves the next', async (t) => {
  const { port } = await serve(t, {}, (_request, connection) => void connection.close())
  const dialer = new Dialer({ framing })
  const before = openSockets().size
  for (let round = 0; round < 100; round += 1) {
    const connection = await dialer.dial({ host: '127.0.0.1', port })
    t.true(connection.isActive)
    const closed = new Promise<void>((resolve) => void connection.onClose(resolve))
    void connection.send('hello world')
    await closed
    t.false(connection.isActive)
  }
  t.true(openSockets().size <= before + 1)
})

test('connections that come and go beside each other reach their own servers', async (t) => {
  const servers = await Promise.all(
    ['one', 'two'].map(async (name) => ({
      name,
      port: (await serve(t, {}, (request) => `${name} ${request}`)).port,
    })),
  )
  const dialer = new Dialer({ framing })
  const visit = async (visitor: number): Promise<void> => {
    for (let round = 0; round < 10; round += 1) {
      for (const { name, port } of servers) {
        const connection = await dialer.dial({ host: '127.0.0.1', port })
        t.is((await connection.call(`${visitor}.${round}`)).toString(), `${name} ${visitor}.${round}`)
        if (round % 2 === 0) await connection.close()
        else connection.destroy()
      }
    }
  }
  await Promise.all(Array.from({ length: 20 }, (_, visitor) => visit(visitor)))
})

test('a dial goes out from the local address and port that are asked for', async (t) => {
  const { port } = await serve(t, {}, (_request, { remoteAddress }) => JSON.stringify(remoteAddress))
  const localPort = await freePort()
  const dialer = new Dialer({ framing, localAddress: '127.0.0.2', localPort })
  const options = [
    { settings: {}, from: { address: '127.0.0.2', port: localPort } },
    { settings: { localAddress: '127.0.0.3' }, from: { address: '127.0.0.3', port: localPort } },
    { settings: { localPort: 0 }, from: { address: '127.0.0.2', port: undefined } },
  ]
  for (const { settings, from } of options) {
    const connection = await dialer.dial({ host: '127.0.0.1', port, ...settings })
    const seen = JSON.parse((await connection.call('who am I?')).toString()) as typeof from
    t.is(seen.address, from.address)
    if (from.port !== undefined) t.is(seen.port, from.port)
    t.deepEqual(connection.localAddress, seen as unknown as typeof connection.localAddress)
    connection.resetAndDestroy()
    await new Promise<void>((resolve) => void connection.onClose(resolve))
  }
})

test('a local port alone is taken at the address that the system chooses', async (t) => {
  const { port } = await serve(t, {}, (_request, { remoteAddress }) => JSON.stringify(remoteAddress))
  const localPort = await freePort()
  const connection = await dial(t, { host: '127.0.0.1', port }, { localPort })
  const seen = JSON.parse((await connection.call('who am I?')).toString()) as unknown
  t.deepEqual(seen, { address: '127.0.0.1', family: 'IPv4', port: localPort })
})

test('a local address that is not of this host is the system’s error, and says so', async (t) => {
  const error = await rejection(
    new Dialer({ framing }).dial({ host: '127.0.0.1', port: 1, localAddress: '192.0.2.1' }),
  )
  t.true(error instanceof NetpollError)
  t.is((error as NetpollError).message, 'connect EADDRNOTAVAIL 127.0.0.1:1 from 192.0.2.1:0')
})

test('only addresses of the local address’s family are tried', async (t) => {
  const port = await freePort()
  const lookup = lookupOf('::1', '127.0.0.1')
  const dialer = new Dialer({ framing, lookup, localAddress: '127.0.0.1' })
  const refused = (await rejection(dialer.dial({ host: 'some.name', port }))) as NetpollError
  t.deepEqual([refused.code, refused.address, refused.cause], ['ECONNREFUSED', '127.0.0.1', undefined])
  const none = await rejection(dialer.dial({ host: '::1', port }))
  t.deepEqual([codeOf(none), (none as NetpollError).address], ['EAFNOSUPPORT', '127.0.0.1'])
})

test('a local address means nothing to a unix socket', async (t) => {
  const path = socketPath(t)
  const server = createServer({ framing }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ path })
  const client = await dial(t, { path }, { localAddress: '127.0.0.1', localPort: 1 })
  t.is((await client.call('x')).toString(), 'x')
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
  t.deepEqual(getEventListeners(controller.signal, 'abort'), [])
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
