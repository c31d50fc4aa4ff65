import { AsyncLocalStorage } from 'node:async_hooks'
import test from 'ava'

import { type Connection, createServer, Dialer, stats } from '../../dist/index.mjs'
import { type Deferred, deferred, Inbox, nextTurn } from '../support/deferred.mjs'
import { frame, frames, pattern, unframe } from '../support/frames.mjs'
import { codeOf, connectPeer, dial, framing, gone, portOf, rejection, serve } from '../support/netpoll.mjs'
import { Peer } from '../support/peer.mjs'
import { quietTurns } from '../support/streams.mjs'
import { runFixture, socketPath } from '../support/system.mjs'

const host = '127.0.0.1'

/** Something that takes a turn of the poller. */
async function roundTrip(connection: Connection): Promise<void> {
  await connection.call('round trip', { timeout: 60_000 })
}

for (const pollers of [1, 2]) {
  const on = (title: string): string => `${title}, with ${pollers} poller${pollers === 1 ? '' : 's'}`

  test(on('messages of every size come back as they were'), async (t) => {
    const { port } = await serve(t, { pollers }, async (request) => request)
    const dialer = new Dialer({ framing, pollers })
    const sizes = [0, 1, 3, 100, 4_096, 65_535, 65_536, 131_073, 262_140, 262_144, 1_000_000, 6_000_000]
    const connections = await Promise.all([1, 2, 3].map(() => dialer.dial({ host, port })))
    await Promise.all(
      connections.map(async (connection, seed) => {
        t.teardown(() => gone(connection))
        const messages = sizes.map((size) => pattern(size, seed + size))
        const answers = await Promise.all(messages.map((message) => connection.call(message)))
        for (const [index, answer] of answers.entries()) t.true(answer.equals(messages[index] as Buffer))
      }),
    )
  })

  test(on('replies leave in the order of their requests, whatever finishes first'), async (t) => {
    const waiting: Deferred<void>[] = []
    const started = new Inbox<void>()
    const { port } = await serve(t, { pollers }, async (request) => {
      const go = deferred()
      waiting.push(go)
      started.push()
      await go.promise
      return request
    })
    const peer = await connectPeer(t, { port })
    const names = Array.from({ length: 200 }, (_, index) => `request ${index}`)
    await peer.write(frames(...names))
    await started.reach(names.length)
    for (const go of waiting.toReversed()) {
      go.resolve()
      // Each reply is in a task of its own.
      await nextTurn()
    }
    t.deepEqual(unframe(await peer.read(frames(...names).length)).map(String), names)
  })

  test(on('unordered replies leave as they are ready'), async (t) => {
    const slow = deferred()
    const { port } = await serve(t, { pollers, ordered: false }, async (request) => {
      if (request.toString() === 'slow') await slow.promise
      return request
    })
    const peer = await connectPeer(t, { port })
    await peer.write(frames('slow', 'quick'))
    t.deepEqual(await peer.read(frame('quick').length), frame('quick'))
    slow.resolve()
    t.deepEqual(await peer.read(frame('slow').length), frame('slow'))
  })

  test(on('more commands than fit into the shared words are carried out in order'), async (t) => {
    const { port } = await serve(t, { pollers }, (request, connection) => {
      if (request.toString() !== 'go') return request
      for (let number = 0; number < 10_000; number += 1) void connection.send(`message ${number}`)
      return undefined
    })
    const peer = await connectPeer(t, { port })
    await peer.write(frames('go', 'end'))
    const expected = Array.from({ length: 10_000 }, (_, number) => `message ${number}`)
    const all = frames(...expected, 'end')
    t.true((await peer.read(all.length)).equals(all))
  })

  test(on('a handler that keeps the thread busy loses nothing'), async (t) => {
    let busy = 20
    const { port } = await serve(t, { pollers }, (request) => {
      if (busy > 0) {
        busy -= 1
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
      }
      return request
    })
    const peers = await Promise.all(Array.from({ length: 8 }, () => connectPeer(t, { port })))
    const sent = frames(...Array.from({ length: 300 }, (_, index) => pattern(index, index)))
    for (const peer of peers) peer.socket.write(sent)
    for (const peer of peers) t.true((await peer.read(sent.length)).equals(sent))
  })

  test(on('a peer that does not read is not served, and is served again when it reads'), async (t) => {
    const reply = pattern(100_000)
    let handled = 0
    const congested = new Inbox<Connection>()
    const drained = new Inbox<Connection>()
    const { port } = await serve(
      t,
      { pollers, highWaterMark: 65_536, onDrain: drained.push },
      async (request, connection) => {
        if (request.toString() === 'round trip') return 'done'
        handled += 1
        if (connection.isCongested && congested.all.length === 0) congested.push(connection)
        return reply
      },
    )
    const other = await dial(t, { host, port }, { pollers })
    const peer = await connectPeer(t, { port }, { reading: false })
    const requests = 1_000
    peer.socket.write(frames(...Array.from({ length: requests }, () => 'x')))
    // Which of its handlers notices depends on the threads; that it stands still does not.
    let before = -1
    while (handled === 0 || handled !== before) {
      before = handled
      for (let round = 0; round < 50; round += 1) await roundTrip(other)
    }
    t.true(handled < requests, `${handled} were handled`)
    const one = frame(reply)
    for (let round = 0; round < requests; round += 1) t.true((await peer.read(one.length)).equals(one))
    t.is(handled, requests)
    await drained.take()
  })

  test(on('sending waits for a peer that does not read'), async (t) => {
    const connections = new Inbox<Connection>()
    const { port } = await serve(t, { pollers, highWaterMark: 65_536, onConnect: connections.push })
    const peer = await connectPeer(t, { port }, { reading: false })
    const connection = await connections.take()
    const message = pattern(50_000)
    let sent = 0
    const sending = (async () => {
      for (; sent < 1_000; sent += 1) await connection.send(message)
    })()
    while (!connection.isCongested) await nextTurn()
    t.true(sent < 1_000)
    const one = frame(message)
    for (let round = 0; round < 1_000; round += 1) t.true((await peer.read(one.length)).equals(one))
    await sending
    t.false(connection.isCongested)
  })

  test(on('onRequest waits for onConnect, and pause holds messages until resume'), async (t) => {
    const go = deferred()
    const handled = new Inbox<string>()
    const connections = new Inbox<Connection>()
    const { port } = await serve(
      t,
      {
        pollers,
        onConnect: (connection) => {
          connections.push(connection)
          return go.promise
        },
      },
      (request) => {
        handled.push(request.toString())
      },
    )
    const peer = await connectPeer(t, { port })
    await peer.write(frames('a', 'b'))
    const connection = await connections.take()
    await quietTurns()
    t.deepEqual(handled.all, [])
    go.resolve()
    t.deepEqual(await handled.reach(2), ['a', 'b'])
    connection.pause()
    await nextTurn()
    // The poller answers this after it was told to pause.
    t.is(connection.bytesRead, 10)
    await peer.write(frame('c'))
    await quietTurns()
    t.is(handled.all.length, 2)
    connection.resume()
    t.deepEqual(await handled.reach(3), ['a', 'b', 'c'])
  })

  test(on('close sends everything that was accepted before, also to a slow peer'), async (t) => {
    const message = pattern(8_000_000)
    const { server, port } = await serve(t, { pollers }, (_request, connection) => {
      void connection.send(message)
      void connection.close()
    })
    const peer = await connectPeer(t, { port }, { reading: false })
    await peer.write(frame('x'))
    while (server.stats().requests === 0) await nextTurn()
    const more = peer.write(pattern(1_000_000)).catch(() => {})
    t.true((await peer.readToEnd()).equals(frame(message)))
    peer.end()
    await more
    t.is(await peer.closed, undefined)
  })

  test(on('destroying ends a connection at once, and resetting resets its peer'), async (t) => {
    const ended = new Inbox<unknown>()
    const { port } = await serve(
      t,
      { pollers, onDisconnect: (_connection, error) => ended.push(codeOf(error)) },
      (request, connection) => {
        if (request.toString() === 'destroy') connection.destroy(new Error('as asked'))
        else connection.resetAndDestroy()
      },
    )
    const one = await connectPeer(t, { port })
    await one.write(frame('destroy'))
    t.is((await one.readToEnd()).length, 0)
    t.is(await ended.take(), 'ERR_CONN_CLOSED')
    const other = await connectPeer(t, { port })
    await other.write(frame('reset'))
    t.is((await other.closed)?.code, 'ECONNRESET')
    t.is(await ended.take(), undefined)
  })

  test(on('a reset of the peer is told, and calls that wait fail with it'), async (t) => {
    const errors = new Inbox<unknown>()
    const ended = new Inbox<unknown>()
    const { port } = await serve(t, {
      pollers,
      onError: (error) => errors.push(codeOf(error)),
      onDisconnect: (_connection, error) => ended.push(codeOf(error)),
      onRequest: (_request, connection) => connection.resetAndDestroy(),
    })
    const peer = await connectPeer(t, { port })
    peer.reset()
    t.is(await ended.take(), 'ECONNRESET')
    t.is(await errors.take(), 'ECONNRESET')
    const connection = await dial(t, { host, port }, { pollers })
    t.is(codeOf(await rejection(connection.call('x'))), 'ECONNRESET')
    t.false(connection.isActive)
  })

  test(on('isActive knows that the peer has ended, before anything is read'), async (t) => {
    const connections = new Inbox<Connection>()
    const handled = new Inbox<string>()
    const { port } = await serve(t, { pollers, onConnect: connections.push }, (request) => {
      handled.push(request.toString())
      return request
    })
    const peer = await connectPeer(t, { port })
    const connection = await connections.take()
    t.true(connection.isActive)
    peer.socket.end(frames('a', 'b'))
    while (connection.isActive) await nextTurn()
    t.deepEqual(await peer.readToEnd(), frames('a', 'b'))
    t.deepEqual(handled.all, ['a', 'b'])
  })

  test(on('time limits end connections with their code'), async (t) => {
    const ended = new Inbox<unknown>()
    const told = (_connection: Connection, error: Error | undefined): void => ended.push(codeOf(error))
    const quiet = { pollers, onError: () => {}, onDisconnect: told }
    const idle = await serve(t, { ...quiet, idleTimeout: 30 })
    await (await connectPeer(t, { port: idle.port })).readToEnd()
    t.is(await ended.take(), 'ERR_IDLE_TIMEOUT')
    const read = await serve(t, { ...quiet, readTimeout: 30 }, (request) => request)
    const unfinished = await connectPeer(t, { port: read.port })
    await unfinished.write(frame('unfinished').subarray(0, 7))
    await unfinished.readToEnd()
    t.is(await ended.take(), 'ERR_READ_TIMEOUT')
    const write = await serve(t, { ...quiet, writeTimeout: 30 }, () => Buffer.alloc(20_000_000))
    const deaf = await connectPeer(t, { port: write.port }, { reading: false })
    await deaf.write(frame('x'))
    t.is(await ended.take(), 'ERR_WRITE_TIMEOUT')
    const silent = await serve(t, { pollers }, () => {})
    const connection = await dial(t, { host, port: silent.port }, { pollers, requestTimeout: 30 })
    t.is(codeOf(await rejection(connection.call('x'))), 'ERR_REQUEST_TIMEOUT')
    const unused = await dial(t, { host, port: silent.port }, { pollers })
    unused.setIdleTimeout(30)
    await new Promise<void>((resolve) => void unused.onClose(resolve))
  })

  test(on('a late reply reaches no other call'), async (t) => {
    const late = deferred()
    const { port } = await serve(t, { pollers }, async (request) => {
      if (request.toString() === 'late') await late.promise
      return request
    })
    const connection = await dial(t, { host, port }, { pollers })
    const given = connection.call('late', { timeout: 20 })
    const next = connection.call('next', { timeout: 60_000 })
    t.is(codeOf(await rejection(given)), 'ERR_REQUEST_TIMEOUT')
    late.resolve()
    t.is((await next).toString(), 'next')
  })

  test(on('a handler that throws closes its own connection alone'), async (t) => {
    const errors = new Inbox<string>()
    const { port } = await serve(
      t,
      { pollers, onError: (error) => errors.push(String(error)) },
      async (request) => {
        if (request.toString() === 'throw') throw new Error('as asked')
        return request
      },
    )
    const [bad, good] = [await connectPeer(t, { port }), await connectPeer(t, { port })]
    await bad.write(frames('before', 'throw', 'after'))
    t.deepEqual(await bad.readToEnd(), frame('before'))
    t.is(await errors.take(), 'Error: as asked')
    await good.write(frame('x'))
    t.deepEqual(await good.read(5), frame('x'))
  })

  test(on('what is too long for its framing is refused'), async (t) => {
    const errors = new Inbox<unknown>()
    const { port } = await serve(t, { pollers, onError: (error) => errors.push(codeOf(error)) }, (r) => r)
    const peer = await connectPeer(t, { port })
    await peer.write(Buffer.concat([frame('before'), Buffer.from([0xff, 0, 0, 0])]))
    t.deepEqual(await peer.readToEnd(), frame('before'))
    t.is(await errors.take(), 'ERR_FRAME_TOO_LARGE')
  })

  test(on('handlers and hooks run in the context of listen, and see nothing of each other'), async (t) => {
    const storage = new AsyncLocalStorage<string>()
    const seen = new Inbox<string | undefined>()
    const server = createServer(
      { framing, pollers, onConnect: () => seen.push(storage.getStore()) },
      async () => {
        const before = storage.getStore()
        storage.enterWith('leaked')
        await nextTurn()
        seen.push(before)
        return storage.getStore()
      },
    )
    t.teardown(() => server.close({ timeout: 0 }))
    await storage.run('listen', () => server.listen({ host, port: 0 }))
    const peer = await connectPeer(t, { port: portOf(server) })
    await peer.write(frames('1', '2', '3'))
    t.deepEqual(await peer.read(30), frames('leaked', 'leaked', 'leaked'))
    t.deepEqual(seen.all, ['listen', 'listen', 'listen', 'listen'])
  })

  test(on('who comes beyond maxConnections is closed at once'), async (t) => {
    const dropped = new Inbox<unknown>()
    const { server, port } = await serve(
      t,
      { pollers, maxConnections: 2, onDrop: ({ localAddress }) => dropped.push(localAddress) },
      (request) => request,
    )
    const admitted = [await connectPeer(t, { port }), await connectPeer(t, { port })]
    for (const peer of admitted) {
      await peer.write(frame('x'))
      t.deepEqual(await peer.read(5), frame('x'))
    }
    await (await connectPeer(t, { port })).readToEnd()
    t.deepEqual(await dropped.take(), { address: host, family: 'IPv4', port })
    t.like(server.stats(), { connections: 2, accepted: 2, dropped: 1 })
  })

  test(on('unix sockets serve as well'), async (t) => {
    const path = socketPath(t)
    const server = createServer({ framing, pollers }, (request) => request)
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen({ path })
    t.is(server.address(), path)
    const dialer = new Dialer({ framing, pollers })
    const connections = await Promise.all([1, 2, 3, 4].map(() => dialer.dial({ path })))
    for (const connection of connections) {
      t.teardown(() => gone(connection))
      t.is((await connection.call('x')).toString(), 'x')
    }
  })

  test(on('addresses and counts of bytes are those of the connection'), async (t) => {
    const connections = new Inbox<Connection>()
    const { port } = await serve(t, { pollers, onConnect: connections.push }, (request) => request)
    const client = await dial(t, { host, port }, { pollers })
    t.is((await client.call('12345')).length, 5)
    const served = await connections.take()
    t.deepEqual(served.remoteAddress, client.localAddress)
    t.deepEqual(served.localAddress, client.remoteAddress)
    for (const connection of [served, client]) {
      t.deepEqual([connection.bytesRead, connection.bytesWritten], [9, 9])
    }
    client.setNoDelay(false).setKeepAlive(10_000)
    await client.close()
    t.deepEqual([client.bytesRead, client.bytesWritten], [9, 9])
    t.is(client.localAddress, undefined)
  })

  test(on('a dial that nobody answers, or that is refused, fails with its code'), async (t) => {
    const { server, port } = await serve(t, { pollers })
    await server.close()
    const dialer = new Dialer({ framing, pollers })
    t.is(codeOf(await rejection(dialer.dial({ host, port }))), 'ECONNREFUSED')
    t.is(codeOf(await rejection(dialer.dial({ path: '/nowhere/at/all' }))), 'ENOENT')
    const controller = new AbortController()
    const aborted = dialer.dial({ host, port, signal: controller.signal })
    controller.abort(new Error('given up'))
    t.true(/given up|ECONNREFUSED/.test(String(await rejection(aborted))))
    t.is(dialer.stats().failed, 3)
  })

  test(on('messages may be taken by a loop, and onRequest replaced'), async (t) => {
    const { port } = await serve(t, {
      pollers,
      onConnect: (connection) => {
        void (async () => {
          for await (const message of connection) {
            await connection.send(`loop ${message}`)
            if (message.toString() === 'last') break
          }
          connection.onRequest = (request) => `handler ${request}`
        })()
      },
    })
    const peer = await connectPeer(t, { port })
    await peer.write(frames('1', 'last'))
    const looped = frames('loop 1', 'loop last')
    t.deepEqual(await peer.read(looped.length), looped)
    await nextTurn()
    await peer.write(frame('2'))
    t.deepEqual(await peer.read(frame('handler 2').length), frame('handler 2'))
  })

  test(on('every request that a handler was given is answered when the server closes'), async (t) => {
    const handled = new Map<Connection, number>()
    const order: Connection[] = []
    let requests = 0
    let closing: Promise<void> | undefined
    const { server, port } = await serve(
      t,
      { pollers, maxInFlight: 16, onPrepare: (connection) => void order.push(connection) },
      async (request, connection) => {
        handled.set(connection, (handled.get(connection) ?? 0) + 1)
        requests += 1
        if (requests === 300) closing = server.close()
        for (let turn = 0; turn < requests % 3; turn += 1) await nextTurn()
        return request
      },
    )
    const peers: Peer[] = []
    for (let index = 0; index < 6; index += 1) {
      peers.push(await connectPeer(t, { port }))
      while (order.length <= index) await nextTurn()
    }
    const sent = Array.from({ length: 200 }, (_, index) => `request ${index}`)
    for (const peer of peers) peer.socket.write(frames(...sent))
    for (const [index, peer] of peers.entries()) {
      const replies = unframe(await peer.readToEnd()).map(String)
      peer.end()
      t.is(await peer.closed, undefined)
      t.deepEqual(replies, sent.slice(0, handled.get(order[index] as Connection) ?? 0))
    }
    await closing
    t.true(requests >= 300)
  })

  test(on('a server may close while connections are on their way to it'), async (t) => {
    for (let round = 0; round < 10; round += 1) {
      const hooks: string[] = []
      const { server, port } = await serve(
        t,
        {
          pollers,
          onPrepare: () => void hooks.push('prepare'),
          onDisconnect: () => void hooks.push('disconnect'),
        },
        (request) => request,
      )
      const outcomes = Array.from({ length: 40 }, async () => {
        const peer = await Peer.connect({ host, port }).catch(() => undefined)
        peer?.socket.end(frame('x'))
        peer?.startReading()
        return peer?.closed
      })
      for (let turn = 0; turn < round; turn += 1) await nextTurn()
      await server.close()
      t.is(server.stats().connections, 0)
      await Promise.all(outcomes)
      await quietTurns()
      t.is(server.stats().connections, 0)
      const count = (name: string): number => hooks.filter((hook) => hook === name).length
      t.is(count('prepare'), count('disconnect'))
    }
  })

  test(on('a server may listen, close, and be followed by another, many times'), async (t) => {
    for (let round = 0; round < 30; round += 1) {
      const server = createServer({ framing, pollers }, (request) => `${round} ${request}`)
      await server.listen({ host, port: 0 })
      const connection = await new Dialer({ framing, pollers }).dial({ host, port: portOf(server) })
      t.is((await connection.call('x')).toString(), `${round} x`)
      await Promise.all([connection.close(), server.close()])
    }
  })

  for (const loadBalance of ['roundRobin', 'random', 'leastConnections'] as const) {
    test.serial(on(`connections are shared out by ${loadBalance}, accepted and dialed`), async (t) => {
      const { livePollers } = (await import('../../dist/poller/pollers.js')) as {
        livePollers(): readonly { readonly connections: number }[]
      }
      const before = stats().connections
      const { port } = await serve(t, { pollers, loadBalance }, (request) => request)
      const dialer = new Dialer({ framing, pollers, loadBalance })
      const counts = (): readonly number[] => livePollers().map((loop) => loop.connections)
      const first = counts()
      const connections: Connection[] = []
      for (let index = 0; index < 20; index += 1) {
        const connection = await dialer.dial({ host, port })
        t.teardown(() => gone(connection))
        await connection.call('x')
        connections.push(connection)
      }
      const gained = counts()
        .map((count, index) => count - (first[index] ?? 0))
        .filter((count) => count > 0)
      t.is(stats().connections - before, 40)
      if (loadBalance === 'random') t.true(gained.length <= pollers)
      else t.deepEqual(gained, Array(pollers).fill(40 / pollers))
    })
  }
}

test('who only receives from a poller on a thread does not keep what was received', async (t) => {
  const preload = new URL('../fixtures/poller-thread.mjs', import.meta.url).href
  const { code, stdout, stderr } = await runFixture(t, 'trickling-peers', {
    args: ['reader'],
    flags: ['--expose-gc', '--import', preload],
  })
  t.deepEqual([code, stderr], [0, ''])
  const { held, isWhole } = JSON.parse(stdout) as { held: number; isWhole: boolean }
  t.true(isWhole)
  // 400 were received, and those of the last batches are kept until the next.
  t.true(held < 250, `${held} chunks are held`)
})

for (const scenario of [
  'server-closed',
  'dialer-closed',
  'server-unref',
  'connection-unref',
  'failed-dial',
]) {
  test(`a process with a poller on a thread ends when nothing is open: ${scenario}`, async (t) => {
    const preload = new URL('../fixtures/poller-thread.mjs', import.meta.url).href
    const outcome = await runFixture(t, 'exit', { args: [scenario], flags: ['--import', preload] })
    t.deepEqual(outcome, { code: 0, signal: null, stdout: 'done\n', stderr: '' })
  })
}

test('a process with a poller on a thread that lacks descriptors accepts again when it has some', async (t) => {
  const preload = new URL('../fixtures/poller-thread.mjs', import.meta.url).href
  const outcome = await runFixture(t, 'no-descriptors', { flags: ['--import', preload] })
  t.like(outcome, { code: 0, stderr: '' })
})
