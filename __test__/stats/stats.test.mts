import { Worker } from 'node:worker_threads'
import test from 'ava'

import { Dialer, stats } from '../../dist/index.mjs'
import { deferred, Inbox, nextTurn } from '../support/deferred.mjs'
import { frame } from '../support/frames.mjs'
import { netServer } from '../support/listeners.mjs'
import { codeOf, connectPeer, dial, framing, gone, rejection, serve } from '../support/netpoll.mjs'
import { serveStream } from '../support/streams.mjs'

/** Waits until what is held by this thread is as it was. */
async function settled(connections: number): Promise<void> {
  while (stats().connections !== connections) await nextTurn()
}

test.serial('a thread counts its listeners and the connections of both ends', async (t) => {
  await settled(0)
  t.like(stats(), { connections: 0, listeners: 0 })
  const { server, port } = await serve(t, {}, (request) => request)
  const other = await serveStream(t)
  t.is(stats().listeners, 2)
  const connection = await dial(t, { port })
  await connection.call('x')
  t.is(stats().connections, 2)
  const peer = await connectPeer(t, { port: other.port })
  await other.connections.take()
  t.is(stats().connections, 3)
  peer.end()
  await settled(2)
  await server.close()
  t.is(stats().listeners, 1)
  await settled(0)
  await other.server.close()
  t.like(stats(), { connections: 0, listeners: 0 })
})

test.serial(
  'a connection that is being dialed counts for its thread, and not yet for its dialer',
  async (t) => {
    const { port } = await serve(t, {})
    const dialer = new Dialer({ framing })
    const dialing = dialer.dial({ host: '127.0.0.1', port })
    while (stats().connections === 0) await nextTurn()
    const before = dialer.stats()
    const connection = await dialing
    t.like(before, { dialed: 0, failed: 0 })
    t.deepEqual(dialer.stats(), { connections: 1, dialed: 1, failed: 0, calls: 0 })
    await gone(connection)
    t.deepEqual(dialer.stats(), { connections: 0, dialed: 1, failed: 0, calls: 0 })
  },
)

test.serial('chunk figures are those of the process, whoever is asked', async (t) => {
  const { server, port } = await serve(t, {}, (request) => request)
  const connection = await dial(t, { port })
  const kept = await connection.call('kept')
  const { chunks } = stats()
  t.true(chunks.live > 0)
  t.true(chunks.liveBytes >= chunks.live)
  t.true(chunks.pinned > 0)
  t.deepEqual(server.stats().chunks, chunks)
  t.is(kept.toString(), 'kept')
})

test.serial('a dialer counts calls, whatever becomes of them, and no sends', async (t) => {
  const { port } = await serve(t, {}, (request) => (request.length > 1 ? new Promise(() => {}) : request))
  const dialer = new Dialer({ framing })
  t.deepEqual(dialer.stats(), { connections: 0, dialed: 0, failed: 0, calls: 0 })
  const connections = await Promise.all([1, 2].map(() => dialer.dial({ host: '127.0.0.1', port })))
  const [first, second] = connections
  await Promise.all(connections.map((connection) => connection.call('x')))
  await rejection(first?.call('late', { timeout: 1 }) as Promise<Buffer>)
  await rejection(first?.call('wrong', { timeout: -1 }) as Promise<Buffer>)
  await second?.send('late')
  t.deepEqual(dialer.stats(), { connections: 2, dialed: 2, failed: 0, calls: 3 })
  for (const connection of connections) await gone(connection)
  await rejection(first?.call('x') as Promise<Buffer>)
  t.deepEqual(dialer.stats(), { connections: 0, dialed: 2, failed: 0, calls: 3 })
})

test.serial('a dialer counts dials that fail, however they do', async (t) => {
  const { sockets, port } = await netServer(t)
  const refusing = new Dialer({ framing, onPrepare: () => false })
  t.is(codeOf(await rejection(refusing.dial({ host: '127.0.0.1', port }))), 'ERR_CONN_CLOSED')
  t.like(refusing.stats(), { dialed: 0, failed: 1 })
  const throwing = new Dialer({
    framing,
    onConnect: () => Promise.reject(new Error('no')),
    onError: () => {},
  })
  await rejection(throwing.dial({ host: '127.0.0.1', port }))
  t.like(throwing.stats(), { dialed: 0, failed: 1 })

  const dialer = new Dialer({ framing })
  await rejection(dialer.dial({ path: '/nobody/listens/here' }))
  await rejection(dialer.fromFd(2 ** 31 - 1))
  const controller = new AbortController()
  const lookup = (): void => controller.abort()
  await rejection(dialer.dial({ host: 'a.name', port, lookup, signal: controller.signal }))
  t.deepEqual(dialer.stats(), { connections: 0, dialed: 0, failed: 3, calls: 0 })
  // Neither are dials.
  await rejection(dialer.dial({ port: -1 }))
  await rejection(dialer.fromFd(-1))
  t.is(dialer.stats().failed, 3)
  for (const socket of sockets.all) socket.destroy()
  await settled(0)
})

test.serial('connections that a dialer was given count, those that it gave away do not', async (t) => {
  const { port } = await serve(t, {}, (request) => request)
  const giving = new Dialer({ framing })
  const taking = new Dialer({ framing })
  const given = await giving.dial({ host: '127.0.0.1', port })
  const fd = given.detach()
  t.like(giving.stats(), { connections: 0, dialed: 1 })
  const taken = await taking.fromFd(fd)
  t.is((await taken.call('x')).toString(), 'x')
  t.deepEqual(taking.stats(), { connections: 1, dialed: 1, failed: 0, calls: 1 })
  await gone(taken)
  t.is(taking.stats().connections, 0)
  await settled(0)
})

test.serial('a peer that ends is no connection of the dialer any more', async (t) => {
  const { sockets, port } = await netServer(t)
  const dialer = new Dialer({ framing, onError: () => {} })
  const ended = deferred()
  const connection = await dialer.dial({ host: '127.0.0.1', port })
  connection.onClose(ended.resolve)
  ;(await sockets.take()).resetAndDestroy()
  await ended.promise
  t.deepEqual(dialer.stats(), { connections: 0, dialed: 1, failed: 0, calls: 0 })
})

test.serial(
  'a server counts what it has accepted, dropped and handled, also after it has closed',
  async (t) => {
    const { server, port } = await serve(t, { maxConnections: 1 }, (request) => request)
    const peer = await connectPeer(t, { port })
    await peer.write(frame('a'))
    await peer.read(5)
    const dropped = await connectPeer(t, { port })
    await dropped.readToEnd()
    t.like(server.stats(), { connections: 1, accepted: 1, dropped: 1, requests: 1 })
    const closing = server.close()
    peer.end()
    await closing
    t.like(server.stats(), { connections: 0, accepted: 1, dropped: 1, requests: 1 })
  },
)

test.serial('of streams a server counts the calls of onData', async (t) => {
  const calls = new Inbox<number>()
  const { server, port } = await serveStream(t, {}, ({ reader }) => {
    reader.skip(1)
    calls.push(reader.length)
  })
  const peer = await connectPeer(t, { port })
  await peer.write('abc')
  await calls.reach(3)
  t.is(server.stats().requests, 3)
})

test.serial('each worker counts its own', async (t) => {
  await settled(0)
  const { port } = await serve(t, {})
  const connection = await dial(t, { port })
  t.true(connection.isActive)
  const worker = new Worker(new URL('../fixtures/worker-stats.mjs', import.meta.url))
  const message = deferred<unknown>()
  worker.once('message', message.resolve)
  worker.once('error', message.reject)
  t.deepEqual(await message.promise, { before: [0, 0], listening: [0, 1], after: [0, 0] })
  t.is(stats().listeners, 1)
  await worker.terminate()
})
