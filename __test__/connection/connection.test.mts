import test, { type ExecutionContext } from 'ava'

import {
  type Connection,
  createServer,
  Dialer,
  type FramedServerOptions,
  type Server,
} from '../../dist/index.mjs'
import { deferred, Inbox, nextTurn } from '../support/deferred.mjs'
import { frame, frames, pattern, unframe } from '../support/frames.mjs'
import { codeOf, connectPeer, dial, framing, rejection, serve } from '../support/netpoll.mjs'
import { Peer } from '../support/peer.mjs'
import { socketPath } from '../support/system.mjs'

/** A server that gives away its connections and what becomes of them. */
async function watch(
  t: ExecutionContext,
  options: Partial<FramedServerOptions> = {},
): Promise<{
  readonly connections: Inbox<Connection>
  readonly gone: Inbox<Error | undefined>
  readonly port: number
  readonly server: Server
}> {
  const connections = new Inbox<Connection>()
  const gone = new Inbox<Error | undefined>()
  const { port, server } = await serve(
    t,
    {
      onConnect: (connection) => void connections.push(connection),
      onDisconnect: (_connection, error) => gone.push(error),
      onError: () => {},
      ...options,
    },
    (request) => request,
  )
  return { connections, gone, port, server }
}

const megabytes = pattern(5_000_000)
/** The peer lives in this busy process: it may well make no progress for the default two seconds. */
const patient = { closeTimeout: 600_000 }

test('close sends everything that was accepted before', async (t) => {
  const { connections, gone, port } = await watch(t, patient)
  const peer = await connectPeer(t, { port }, { reading: false })
  const connection = await connections.take()
  for (let index = 0; index < 3; index += 1) void connection.send(megabytes).catch(() => {})
  const closing = connection.close()
  t.false(connection.isActive)
  t.is(codeOf(await rejection(connection.send('late'))), 'ERR_CONN_CLOSED')
  t.true((await peer.readToEnd()).equals(frames(megabytes, megabytes, megabytes)))
  peer.end()
  t.is(await peer.closed, undefined)
  await closing
  t.is(await gone.take(), undefined)
})

test('close resets nobody, although bytes are still on their way to us', async (t) => {
  const { connections, gone, port } = await watch(t, { ...patient, maxInFlight: 1 })
  const peer = await connectPeer(t, { port }, { reading: false })
  const connection = await connections.take()
  connection.onRequest = () => new Promise(() => {})
  const writing = peer.write(frames(...Array.from({ length: 300 }, (_, seed) => pattern(10_000, seed))))
  void connection.send(megabytes).catch(() => {})
  const closing = connection.close()
  t.true((await peer.readToEnd()).equals(frame(megabytes)))
  await writing
  peer.end()
  t.is(await peer.closed, undefined)
  await closing
  t.is(await gone.take(), undefined)
})

test('close on a unix socket sends everything, too', async (t) => {
  const path = socketPath(t)
  const connections = new Inbox<Connection>()
  const server = createServer({
    ...patient,
    framing,
    onConnect: (connection) => void connections.push(connection),
  })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ path })
  const peer = await connectPeer(t, { path }, { reading: false })
  const connection = await connections.take()
  void connection.send(megabytes).catch(() => {})
  const closing = connection.close()
  t.true((await peer.readToEnd()).equals(frame(megabytes)))
  peer.end()
  await closing
  t.is(await peer.closed, undefined)
})

test('closing twice is closing once', async (t) => {
  const { connections, gone, port } = await watch(t)
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  const both = [connection.close(), connection.close()]
  await peer.readToEnd()
  peer.end()
  await Promise.all(both)
  await connection.close()
  t.is(gone.all.length, 1)
})

test('destroy ends at once, and tells why', async (t) => {
  const { connections, gone, port } = await watch(t)
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  const reason = new Error('enough')
  connection.destroy(reason)
  t.false(connection.isActive)
  const error = await gone.take()
  t.is(codeOf(error), 'ERR_CONN_CLOSED')
  t.is(error?.cause, reason)
  connection.destroy(new Error('again'))
  t.is((await peer.readToEnd()).length, 0)
})

test('resetAndDestroy resets the peer', async (t) => {
  const { connections, gone, port } = await watch(t)
  const peer = await connectPeer(t, { port })
  ;(await connections.take()).resetAndDestroy()
  t.is((await peer.closed)?.code, 'ECONNRESET')
  t.is(await gone.take(), undefined)
})

for (const how of ['end', 'reset'] as const) {
  test(`isActive turns false upon the peer’s ${how}, and onDisconnect comes once`, async (t) => {
    const { connections, gone, port, server } = await watch(t)
    const peer = await connectPeer(t, { port })
    const connection = await connections.take()
    const callbacks: string[] = []
    connection.onClose(() => callbacks.push('first')).onClose(() => callbacks.push('second'))
    t.true(connection.isActive)
    if (how === 'end') peer.end()
    else peer.reset()
    t.is(codeOf(await gone.take()), how === 'end' ? undefined : 'ECONNRESET')
    await new Promise<void>((resolve) => connection.onClose(resolve))
    t.false(connection.isActive)
    t.deepEqual(callbacks, ['first', 'second'])
    connection.destroy()
    await connection.close()
    await nextTurn()
    t.is(gone.all.length, 1)
    t.is(server.stats().connections, 0)
  })
}

test('isActive is false already while requests of a peer that has ended are answered', async (t) => {
  const started = new Inbox<Connection>()
  const go = deferred()
  const { port } = await serve(t, {}, async (request, connection) => {
    started.push(connection)
    await go.promise
    return request
  })
  const peer = await connectPeer(t, { port })
  await peer.write(frames('a', 'b'))
  const connection = await started.take()
  t.true(connection.isActive)
  peer.end()
  // The end is seen within some turns; nothing tells the user, and only asking shows it.
  while (connection.isActive) await nextTurn()
  go.resolve()
  t.deepEqual(unframe(await peer.readToEnd()).map(String), ['a', 'b'])
  t.is(await peer.closed, undefined)
})

test('with allowHalfOpen a connection outlives its peer’s end', async (t) => {
  const { connections, gone, port } = await watch(t, { allowHalfOpen: true })
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  await peer.write(frame('a'))
  peer.end()
  t.deepEqual(await peer.read(5), frame('a'))
  await connection.send('b')
  t.deepEqual(await peer.read(5), frame('b'))
  t.is(gone.all.length, 0)
  t.true(connection.isActive)
  await connection.close()
  t.is((await peer.readToEnd()).length, 0)
  t.is(await peer.closed, undefined)
})

test('send to a peer that has stopped reading waits, and goes on when it reads', async (t) => {
  const { connections, port } = await watch(t, { highWaterMark: 100_000 })
  const peer = await connectPeer(t, { port }, { reading: false })
  const connection = await connections.take()
  const message = pattern(50_000)
  let sent = 0
  let pending = connection.send(message)
  // As long as the promise is settled within a turn, the system’s buffers are not full.
  for (;;) {
    sent += 1
    const settled = await Promise.race([pending.then(() => true), nextTurn().then(() => false)])
    if (!settled) break
    pending = connection.send(message)
  }
  let resolved = false
  void pending.then(() => {
    resolved = true
  })
  for (let turn = 0; turn < 20; turn += 1) await nextTurn()
  t.false(resolved)
  const expected = Buffer.concat(Array.from({ length: sent }, () => frame(message)))
  t.true((await peer.read(expected.length)).equals(expected))
  await pending
})

test('sending in a loop without a turn of the event loop learns of a slow peer', async (t) => {
  const { connections, port } = await watch(t, { highWaterMark: 100_000 })
  await connectPeer(t, { port }, { reading: false })
  const connection = await connections.take()
  const message = pattern(50_000)
  // Continuations of settled promises run before the event loop turns.
  let turned = false
  setImmediate(() => {
    turned = true
  })
  let sent = 0
  // 200 MB are more than any system buffers for a loopback connection.
  const sending = (async () => {
    for (; sent < 4_000 && !turned; sent += 1) await connection.send(message)
  })()
  await nextTurn()
  t.true(sent > 0)
  t.true(sent < 4_000, 'nothing told the sender to wait')
  connection.destroy()
  await sending.catch(() => {})
})

test('a send that waits rejects when the connection is gone', async (t) => {
  const { connections, port } = await watch(t, { highWaterMark: 1 })
  await connectPeer(t, { port }, { reading: false })
  const connection = await connections.take()
  const sending = connection.send(Buffer.alloc(50_000_000))
  connection.destroy()
  t.is(codeOf(await rejection(sending)), 'ERR_CONN_CLOSED')
})

test('who does not read its replies is not read from, and gets everything once it reads', async (t) => {
  let handled = 0
  const reply = pattern(10_000)
  const { port } = await serve(t, { highWaterMark: 50_000 }, () => {
    handled += 1
    return reply
  })
  const peer = await connectPeer(t, { port }, { reading: false })
  const count = 5_000
  const writing = peer.write(frames(...Array.from({ length: count }, () => 'x')))
  // Until a hundred turns of the event loop in a row bring no further request.
  for (let before = -1, quiet = 0; quiet < 100; quiet = handled === before ? quiet + 1 : 0) {
    before = handled
    await nextTurn()
  }
  t.true(handled > 0)
  t.true(handled < count, `${handled} of ${count} handled although nobody reads`)
  const expected = Buffer.concat(Array.from({ length: count }, () => frame(reply)))
  t.true((await peer.read(expected.length)).equals(expected))
  await writing
  t.is(handled, count)
})

test('two ends that both send more than the system buffers get along', async (t) => {
  const { port } = await serve(t, {}, (request) => request)
  const client = await dial(t, { port })
  const requests = Array.from({ length: 2_000 }, (_, seed) => pattern(10_000, seed))
  const answers = await Promise.all(requests.map((request) => client.call(request)))
  t.true(answers.every((answer, index) => answer.equals(requests[index] as Buffer)))
})

test('paused, a connection hands over nothing, and after resume everything', async (t) => {
  const seen = new Inbox<string>()
  const connections = new Inbox<Connection>()
  const { port } = await serve(
    t,
    { onConnect: (connection) => void connections.push(connection) },
    (request, connection) => {
      seen.push(request.toString())
      if (request.toString() === 'pause') connection.pause()
      return request
    },
  )
  const peer = await connectPeer(t, { port })
  await peer.write(frame('pause'))
  await peer.read(9)
  await peer.write(frames('a', 'b'))
  const other = await connectPeer(t, { port })
  await other.write(frame('other'))
  await other.read(9)
  t.deepEqual(seen.all, ['pause', 'other'])
  ;(await connections.take()).resume()
  t.deepEqual(await peer.read(10), frames('a', 'b'))
})

test('a handler can be replaced on one connection', async (t) => {
  const { connections, port } = await watch(t)
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  connection.onRequest = () => 'replaced'
  await peer.write(frame('x'))
  t.deepEqual(await peer.read(12), frame('replaced'))
  const other = await connectPeer(t, { port })
  await other.write(frame('x'))
  t.deepEqual(await other.read(5), frame('x'))
})

test('a server’s connection cannot call in order', async (t) => {
  const { connections, port } = await watch(t)
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  t.is(codeOf(await rejection(connection.call('x'))), 'ERR_UNSUPPORTED')
  await peer.write(frame('x'))
  t.deepEqual(await peer.read(5), frame('x'))
})

test('a callback for the end of a connection that is gone is called soon', async (t) => {
  const { connections, port } = await watch(t)
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  peer.end()
  await new Promise<void>((resolve) => connection.onClose(resolve))
  await new Promise<void>((resolve) => connection.onClose(resolve))
  t.is(connection.localAddress, undefined)
})

test('switches of a socket may be set at any time, also too late', async (t) => {
  const { connections, port } = await watch(t)
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  for (let round = 0; round < 2; round += 1) {
    t.is(
      connection.setNoDelay(false).setNoDelay().setKeepAlive(60_000).setKeepAlive(0).ref().unref().ref(),
      connection,
    )
    await peer.write(frame('x')).catch(() => {})
    if (round === 0) {
      t.deepEqual(await peer.read(5), frame('x'))
      connection.destroy()
      await new Promise<void>((resolve) => connection.onClose(resolve))
    }
  }
})

test('connections that are gone reach nobody who has their place now', async (t) => {
  const stale: Connection[] = []
  const { connections, port, server } = await watch(t)
  for (let round = 0; round < 20; round += 1) {
    const peers = await Promise.all(Array.from({ length: 50 }, () => Peer.connect({ port })))
    await connections.reach((round + 1) * 50)
    const fresh = connections.all.slice(-50)
    for (const connection of stale) {
      connection.send('stale').catch(() => {})
      connection.destroy()
      connection.resetAndDestroy()
      connection.pause()
      void connection.close()
    }
    await Promise.all(peers.map((peer, index) => peer.write(frame(`${round} ${index}`))))
    for (const [index, peer] of peers.entries()) {
      const expected = frame(`${round} ${index}`)
      t.deepEqual(await peer.read(expected.length), expected)
    }
    t.true(fresh.every((connection) => connection.isActive))
    for (const peer of peers) peer.destroy()
    await Promise.all(fresh.map((connection) => new Promise<void>((resolve) => connection.onClose(resolve))))
    stale.push(...fresh)
  }
  t.is(server.stats().connections, 0)
  t.is(server.stats().accepted, 1_000)
})

test('a reply that comes after its connection has gone reaches nobody else', async (t) => {
  const late: (() => void)[] = []
  const gone = new Inbox<Connection>()
  const started = new Inbox<string>()
  const { port } = await serve(t, { onDisconnect: gone.push }, (request) => {
    const name = request.toString()
    started.push(name)
    return name.startsWith('late') ? new Promise<string>((resolve) => late.push(() => resolve(name))) : name
  })
  const first = await Promise.all(Array.from({ length: 100 }, () => Peer.connect({ port })))
  await Promise.all(first.map((peer, index) => peer.write(frame(`late ${index}`))))
  await started.reach(100)
  for (const peer of first) peer.reset()
  await gone.reach(100)
  const second = await Promise.all(Array.from({ length: 100 }, () => connectPeer(t, { port })))
  for (const answer of late) answer()
  await Promise.all(second.map((peer) => peer.write(frame('mine'))))
  for (const peer of second) t.deepEqual(await peer.read(8), frame('mine'))
})

test('a send that waits rejects when the peer resets the connection', async (t) => {
  const { connections, gone, port } = await watch(t, { highWaterMark: 1 })
  const peer = await connectPeer(t, { port }, { reading: false })
  const connection = await connections.take()
  const sending = connection.send(Buffer.alloc(50_000_000)).then(
    () => 'resolved',
    (error: unknown) => codeOf(error),
  )
  peer.reset()
  const code = codeOf(await gone.take())
  t.true(code === 'ECONNRESET' || code === 'EPIPE', String(code))
  t.is(await sending, code)
})

test('a closing connection whose peer never reads ends with ERR_CLOSE_TIMEOUT', async (t) => {
  const errors = new Inbox<unknown>()
  const { connections, gone, port } = await watch(t, { closeTimeout: 1, onError: errors.push })
  await connectPeer(t, { port }, { reading: false })
  const connection = await connections.take()
  void connection.send(Buffer.alloc(50_000_000)).catch(() => {})
  await connection.close()
  t.is(codeOf(await gone.take()), 'ERR_CLOSE_TIMEOUT')
  t.deepEqual(errors.all.map(codeOf), ['ERR_CLOSE_TIMEOUT'])
})

test('thousands of short connections at once get their own replies', async (t) => {
  const { port, server } = await serve(t, {}, async (request) => request)
  const dialer = new Dialer({ framing })
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < 3_000) {
      const name = `connection ${next}`
      next += 1
      const connection = await dialer.dial({ host: '127.0.0.1', port })
      t.is((await connection.call(name)).toString(), name)
      await connection.close()
      t.is(codeOf(await rejection(connection.call('stale'))), 'ERR_CONN_CLOSED')
    }
  }
  await Promise.all(Array.from({ length: 200 }, lane))
  t.is(server.stats().accepted, 3_000)
})
