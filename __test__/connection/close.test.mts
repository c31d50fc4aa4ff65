import test from 'ava'

import { type Connection, createServer, type ServerOptions } from '../../dist/index.mjs'
import { deferred, Inbox, nextTurn } from '../support/deferred.mjs'
import { frame, frames, unframe } from '../support/frames.mjs'
import { codeOf, connectPeer, framing, portOf, rejection, serve } from '../support/netpoll.mjs'
import { Peer } from '../support/peer.mjs'
import { quietTurns, serveStream } from '../support/streams.mjs'
import { runFixture, socketPath } from '../support/system.mjs'

test('every request that a handler was given is answered, whichever of them closes the server', async (t) => {
  const handled = new Map<Connection, number>()
  const order: Connection[] = []
  let requests = 0
  let closing: Promise<void> | undefined
  const { server, port } = await serve(
    t,
    { onConnect: (connection) => void order.push(connection), maxInFlight: 16 },
    async (request, connection) => {
      handled.set(connection, (handled.get(connection) ?? 0) + 1)
      requests += 1
      if (requests === 500) closing = server.close()
      for (let turn = 0; turn < requests % 3; turn += 1) await nextTurn()
      return request
    },
  )
  const peers: Peer[] = []
  for (let index = 0; index < 10; index += 1) peers.push(await connectPeer(t, { port }))
  const sent = Array.from({ length: 200 }, (_, index) => `request ${index}`)
  for (const peer of peers) peer.socket.write(frames(...sent))
  for (const [index, peer] of peers.entries()) {
    const replies = unframe(await peer.readToEnd()).map(String)
    peer.end()
    t.is(await peer.closed, undefined)
    t.deepEqual(replies, sent.slice(0, handled.get(order[index] as Connection) ?? 0))
  }
  await closing
  t.is(server.stats().connections, 0)
  t.true(requests >= 500)
})

test('the body of a loop over messages answers after close', async (t) => {
  const taken = new Inbox<string>()
  const go = deferred()
  const over = deferred()
  const { server, port } = await serve(t, {
    onConnect: (connection) => {
      void (async () => {
        for await (const message of connection) {
          taken.push(message.toString())
          await go.promise
          await connection.send(message)
        }
        over.resolve()
      })()
    },
  })
  const peer = await connectPeer(t, { port })
  await peer.write(frames('a', 'b'))
  await taken.take()
  const closing = server.close()
  await quietTurns()
  go.resolve()
  t.deepEqual(await peer.readToEnd(), frames('a', 'b'))
  peer.end()
  await Promise.all([closing, over.promise])
})

/** Ways to converse on a stream: each answers a byte with a byte, once it may go on. */
const conversations: Record<string, (connection: Connection, turn: () => Promise<void>) => Promise<void>> = {
  'a loop': async (connection, turn) => {
    for await (const piece of connection) {
      await turn()
      await connection.send(piece)
    }
  },
  'a reader': async (connection, turn) => {
    for (;;) {
      await connection.reader.fill(1)
      const byte = connection.reader.next(1)
      await turn()
      await connection.send(byte)
    }
  },
}

for (const [name, converse] of Object.entries(conversations)) {
  for (const awaited of ['awaited by onConnect', 'on its own']) {
    const options = (
      turn: () => Promise<void>,
      ended: (error?: unknown) => void,
    ): Pick<ServerOptions, 'onConnect'> => ({
      onConnect: (connection) => {
        const conversation = converse(connection, turn).then(() => ended(), ended)
        return awaited === 'on its own' ? undefined : conversation
      },
    })

    test(`${name} ${awaited}: busy, it answers after close`, async (t) => {
      const taken = new Inbox<void>()
      const go = deferred()
      const ended = deferred<unknown>()
      const turn = (): Promise<void> => {
        taken.push()
        return go.promise
      }
      const { server, port } = await serveStream(t, options(turn, ended.resolve) as object)
      const peer = await connectPeer(t, { port })
      await peer.write('a')
      await taken.take()
      const closing = server.close()
      await quietTurns()
      go.resolve()
      t.is((await peer.readToEnd()).toString(), 'a')
      peer.end()
      await closing
      t.true([undefined, 'ERR_CONN_CLOSED'].includes(codeOf(await ended.promise) as undefined))
    })

    test(`${name} ${awaited}: idle, it is closed at once`, async (t) => {
      const ended = deferred<unknown>()
      const { server, port } = await serveStream(t, options(async () => {}, ended.resolve) as object)
      const peers = [await connectPeer(t, { port }), await connectPeer(t, { port })]
      // One of them has had a conversation before.
      await peers[0]?.write('a')
      await peers[0]?.read(1)
      const closing = server.close()
      for (const peer of peers) {
        t.is((await peer.readToEnd()).length, 0)
        peer.end()
        t.is(await peer.closed, undefined)
      }
      await Promise.all([closing, ended.promise])
    })
  }
}

test('a stream that was read and is not waited for is forced after the timeout', async (t) => {
  const { server, port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port })
  await peer.write('abc')
  const { reader } = await connections.take()
  await reader.fill(3)
  reader.skip(3)
  let closed = false
  const closing = server.close().then(() => {
    closed = true
  })
  await quietTurns()
  t.false(closed)
  await server.close({ timeout: 1 })
  await closing
  t.is((await peer.readToEnd()).length, 0)
})

test('a connection that was read and is closed by its owner keeps the server no longer', async (t) => {
  const { server, port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port })
  await peer.write('abc')
  const connection = await connections.take()
  await connection.reader.fill(3)
  const closing = server.close()
  connection.reader.skip(3)
  await connection.send('def')
  void connection.close()
  t.is((await peer.readToEnd()).toString(), 'def')
  peer.end()
  await closing
})

test('while onConnect is pending, close ends the connection, and the hooks keep their order', async (t) => {
  const events = new Inbox<string>()
  const go = deferred()
  const { server, port } = await serve(
    t,
    {
      onConnect: async () => {
        events.push('connecting')
        await go.promise
        events.push('connected')
      },
      onDisconnect: () => events.push('disconnected'),
    },
    () => {
      events.push('request')
    },
  )
  const peer = await connectPeer(t, { port })
  await peer.write(frame('never handled'))
  await events.take()
  const closing = server.close()
  await peer.readToEnd()
  peer.end()
  await closing
  t.deepEqual(events.all, ['connecting'])
  go.resolve()
  await events.reach(3)
  t.deepEqual(events.all, ['connecting', 'connected', 'disconnected'])
})

test('a second close with a timeout forces what the first waits for', async (t) => {
  const started = deferred()
  const { server, port } = await serve(t, {}, () => {
    started.resolve()
    return new Promise(() => {})
  })
  const peer = await connectPeer(t, { port })
  await peer.write(frame('x'))
  await started.promise
  const first = server.close()
  await Promise.all([first, server.close({ timeout: 0 }), server.close({ timeout: 60_000 })])
  t.is(server.stats().connections, 0)
  await peer.readToEnd()
  t.is(codeOf(await rejection(server.listen({ port: 0 }))), 'ERR_SERVER_CLOSED')
})

test('a handler that is done after the force answers nobody, and fails nothing', async (t) => {
  const errors: unknown[] = []
  const started = deferred()
  const go = deferred()
  const { server, port } = await serve(t, { onError: (error) => errors.push(error) }, async (request) => {
    started.resolve()
    await go.promise
    return request
  })
  const peer = await connectPeer(t, { port })
  await peer.write(frame('x'))
  await started.promise
  await server.close({ timeout: 1 })
  go.resolve()
  await quietTurns()
  t.is((await peer.readToEnd()).length, 0)
  t.deepEqual(errors, [])
})

const places = ['onPrepare', 'onConnect', 'onRequest', 'onDisconnect', 'onClose', 'onError'] as const
for (const place of places) {
  test(`a server may be closed from within ${place}`, async (t) => {
    const closed = deferred()
    const close = (name: string): void => {
      if (name === place) server.close().then(closed.resolve, closed.reject)
    }
    const { server, port } = await serve(t, {
      onPrepare: (connection) => {
        connection.onClose(() => close('onClose'))
        close('onPrepare')
      },
      onConnect: () => close('onConnect'),
      onRequest: (request) => {
        close('onRequest')
        if (place === 'onError') throw new Error('as asked')
        return request
      },
      onError: () => close('onError'),
      onDisconnect: () => close('onDisconnect'),
    })
    const peers = await Promise.all([1, 2, 3].map(() => connectPeer(t, { port }).catch(() => undefined)))
    for (const peer of peers) peer?.socket.end(frame('x'))
    await closed.promise
    await Promise.all(peers.map((peer) => peer?.readToEnd()))
    t.is(server.stats().connections, 0)
    t.is(server.address(), null)
  })
}

test('close while connections arrive: each is ended or refused, and none is left', async (t) => {
  for (let round = 0; round < 10; round += 1) {
    const { server, port } = await serve(t, {}, (request) => request)
    const outcomes = Array.from({ length: 40 }, async () => {
      const peer = await Peer.connect({ host: '127.0.0.1', port }).catch(() => undefined)
      peer?.socket.end(frame('x'))
      return peer?.closed
    })
    for (let turn = 0; turn < round; turn += 1) await nextTurn()
    await server.close()
    t.is(server.stats().connections, 0)
    await Promise.all(outcomes)
    t.is(server.stats().connections, 0)
  }
})

test('connections that end in the turn in which they are accepted leave nothing behind', async (t) => {
  const ended = new Inbox<void>()
  const { server, port } = await serve(
    t,
    { onConnect: (connection) => void connection.onClose(ended.push as () => void) },
    (request) => request,
  )
  const count = 200
  for (let index = 0; index < count; index += 1) {
    const peer = await Peer.connect({ host: '127.0.0.1', port })
    if (index % 2 === 0) peer.reset()
    else peer.socket.end(frame('x'))
    peer.startReading()
  }
  await ended.reach(count)
  t.like(server.stats(), { connections: 0, accepted: count, requests: count / 2 })
})

test('a server that is closed within the turn in which it listens lets nobody in', async (t) => {
  const path = socketPath(t)
  const server = createServer({ framing }, () => {})
  const listening = server.listen({ path })
  const closing = server.close()
  await Promise.allSettled([listening, closing])
  t.false(server.listening)
  t.is(codeOf(await rejection(Peer.connect({ path }))), 'ENOENT')
})

test('an aborted signal closes as close does: what was read is answered', async (t) => {
  const controller = new AbortController()
  const started = deferred()
  const go = deferred()
  const server = createServer({ framing }, async (request) => {
    started.resolve()
    await go.promise
    return request
  })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0, signal: controller.signal })
  const peer = await connectPeer(t, { port: portOf(server) })
  await peer.write(frame('x'))
  await started.promise
  controller.abort()
  t.false(server.listening)
  go.resolve()
  t.deepEqual(await peer.readToEnd(), frame('x'))
  peer.end()
  await server.close()
})

test('a wrong timeout is refused, and closes nothing', async (t) => {
  const { server } = await serve(t, {})
  for (const timeout of [-1, Number.NaN, 'soon', null]) {
    const error = await rejection(server.close({ timeout: timeout as number }))
    t.true(error instanceof (typeof timeout === 'number' ? RangeError : TypeError))
  }
  t.true(server.listening)
})

test('ten thousand connections and a hundred servers leave no object behind', async (t) => {
  const { code, stdout, stderr } = await runFixture(t, 'ten-thousand-closes', { flags: ['--expose-gc'] })
  t.is(stderr, '')
  t.is(stdout.trim(), 'all collected')
  t.is(code, 0)
})
