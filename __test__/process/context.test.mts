import { AsyncLocalStorage } from 'node:async_hooks'
import test, { type ExecutionContext } from 'ava'

import {
  type Connection,
  type ConnectionOptions,
  createServer,
  Dialer,
  type NetpollError,
  type Server,
  type ServerOptions,
} from '../../dist/index.mjs'
import { deferred, Inbox, nextTurn } from '../support/deferred.mjs'
import { frame, frames } from '../support/frames.mjs'
import { codeOf, connectPeer, dial, framing, gone, portOf, rejection, serve } from '../support/netpoll.mjs'
import { serveStream } from '../support/streams.mjs'

const storage = new AsyncLocalStorage<string>()

/** Notes what the storage holds, before and after a wait, and enters something of its own that nobody may see. */
function probe(seen: Inbox<string>, name: string): () => Promise<void> {
  return async () => {
    seen.push(`${name} in ${storage.getStore()}`)
    storage.enterWith(`what ${name} entered`)
    await nextTurn()
    if (storage.getStore() !== `what ${name} entered`) seen.push(`${name} lost what it entered`)
  }
}

/** As {@link probe}, of a hook that nobody waits for. */
function probeNow(seen: Inbox<string>, name: string): () => void {
  return () => {
    seen.push(`${name} in ${storage.getStore()}`)
    storage.enterWith(`what ${name} entered`)
  }
}

/** A server that was made to listen in `context`, gone with the test. */
async function serveIn(
  t: ExecutionContext,
  context: string,
  options: ServerOptions,
): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer(options as ServerOptions & { framing: typeof framing })
  t.teardown(() => server.close({ timeout: 0 }))
  await storage.run(context, () => server.listen({ host: '127.0.0.1', port: 0 }))
  return { server, port: portOf(server) }
}

test('hooks and callbacks of a server run in the context of listen, whatever the others have entered', async (t) => {
  const seen = new Inbox<string>()
  const { port } = await serveIn(t, 'listen', {
    framing,
    onPrepare: (connection) => {
      probeNow(seen, 'onPrepare')()
      connection.onClose(probeNow(seen, 'onClose'))
    },
    onConnect: probe(seen, 'onConnect'),
    onRequest: async () => {
      await probe(seen, 'onRequest')()
      throw new Error('refused')
    },
    onError: probeNow(seen, 'onError'),
    onDisconnect: probeNow(seen, 'onDisconnect'),
  })
  for (let round = 1; round <= 3; round += 1) {
    const peer = await connectPeer(t, { port })
    await peer.write(frame('a'))
    await peer.readToEnd()
    peer.end()
    await seen.reach(6 * round)
  }
  const once = ['onPrepare', 'onConnect', 'onRequest', 'onError', 'onDisconnect', 'onClose']
  const expected = once.map((name) => `${name} in listen`)
  t.deepEqual(seen.all, [...expected, ...expected, ...expected])
})

test('hooks and callbacks of a dialer run in the context of dial', async (t) => {
  const { port } = await serve(t, {}, () => 'no call awaits this')
  const seen = new Inbox<string>()
  const dialer = new Dialer({
    framing,
    onPrepare: probeNow(seen, 'onPrepare'),
    onConnect: probe(seen, 'onConnect'),
    onRequest: async () => {
      await probe(seen, 'onRequest')()
      throw new Error('refused')
    },
    onError: probeNow(seen, 'onError'),
    onDisconnect: probeNow(seen, 'onDisconnect'),
  })
  for (const name of ['one', 'two']) {
    const connection = await storage.run(name, () => dialer.dial({ port, host: '127.0.0.1' }))
    const callback = deferred()
    connection.onClose(() => {
      probeNow(seen, 'onClose')()
      callback.resolve()
    })
    await storage.run('send', () => connection.send('x'))
    await callback.promise
  }
  const hooks = ['onPrepare', 'onConnect', 'onRequest', 'onError', 'onDisconnect', 'onClose']
  t.deepEqual(
    seen.all,
    ['one', 'two'].flatMap((context) => hooks.map((name) => `${name} in ${context}`)),
  )
})

for (const kind of ['synchronous', 'asynchronous'] as const) {
  test(`what a ${kind} handler enters ends with it`, async (t) => {
    const seen: (string | undefined)[] = []
    const { port } = await serveIn(t, 'listen', {
      framing,
      onRequest: (request) => {
        seen.push(storage.getStore())
        storage.enterWith(`message ${request}`)
        return kind === 'synchronous' ? 'ok' : nextTurn().then(() => storage.getStore() as string)
      },
    })
    const peers = await Promise.all([connectPeer(t, { port }), connectPeer(t, { port })])
    // Three of one batch, then those of another connection, then of a later batch.
    for (const name of ['1', '2', '3']) {
      await Promise.all(peers.map((peer) => peer.write(frames(name, name, name))))
      for (const peer of peers) {
        const reply = kind === 'synchronous' ? 'ok' : `message ${name}`
        t.deepEqual(await peer.read(3 * (4 + reply.length)), frames(reply, reply, reply))
      }
    }
    t.deepEqual(seen, new Array(18).fill('listen'))
  })
}

test('onData runs in the context of listen, also again for what it has left', async (t) => {
  const seen: (string | undefined)[] = []
  const done = deferred()
  const { port } = await storage.run('listen', () =>
    serveStream(t, {}, (connection) => {
      seen.push(storage.getStore())
      storage.enterWith('onData')
      connection.reader.skip(1)
      if (seen.length === 6) done.resolve()
    }),
  )
  const peer = await connectPeer(t, { port })
  await peer.write('abc')
  await peer.write('def')
  await done.promise
  t.deepEqual(seen, new Array(6).fill('listen'))
})

test('onData that is set on a connection runs in the context of the connection', async (t) => {
  const { port, connections } = await storage.run('listen', () => serveStream(t))
  const peer = await connectPeer(t, { port })
  await peer.write('ab')
  const connection = await connections.take()
  while (connection.bytesRead < 2) await nextTurn()
  const store = deferred<string | undefined>()
  storage.run('whoever sets it', () => {
    connection.onData = ({ reader }) => {
      reader.skip(2)
      store.resolve(storage.getStore())
    }
  })
  t.is(await store.promise, 'listen')
})

test('onDrain runs in the context of the connection', async (t) => {
  const drained = deferred<string | undefined>()
  const { port, connections } = await storage.run('listen', () =>
    serveStream(t, { highWaterMark: 1024, onDrain: () => drained.resolve(storage.getStore()) }),
  )
  const peer = await connectPeer(t, { port }, { reading: false })
  const connection = await connections.take()
  await storage.run('send', async () => {
    while (!connection.isCongested) {
      void connection.send(Buffer.alloc(1024 * 1024))
      await nextTurn()
    }
  })
  peer.startReading()
  t.is(await drained.promise, 'listen')
})

test('what onError enters reaches no message', async (t) => {
  const seen: (string | undefined)[] = []
  const failing = deferred()
  const { port } = await serveIn(t, 'listen', {
    framing,
    onRequest: (request) => {
      seen.push(storage.getStore())
      if (request.toString() === 'fail') throw new Error('as asked')
      return request
    },
    onError: () => {
      storage.enterWith('onError')
      failing.resolve()
    },
  })
  const [bad, good] = await Promise.all([connectPeer(t, { port }), connectPeer(t, { port })])
  // An orderly failure of a handler, and one that the framing finds within the turn.
  await bad.write(frame('fail'))
  await failing.promise
  await good.write(frame('a'))
  await good.read(5)
  const broken = await connectPeer(t, { port })
  await broken.write(frame('c'))
  await broken.read(5)
  await broken.write(Buffer.alloc(8, 0xff))
  await broken.readToEnd()
  await good.write(frame('b'))
  await good.read(5)
  t.deepEqual(seen, ['listen', 'listen', 'listen', 'listen'])
})

test('a call, a send, a fill and a loop go on in the context that they were awaited in', async (t) => {
  const { port } = await serve(t, {}, async (request) => {
    storage.enterWith('the server')
    await nextTurn()
    return request
  })
  const calling = await storage.run('dial', () => dial(t, { port }))
  const calls = Array.from({ length: 20 }, (_, index) =>
    storage.run(`caller ${index}`, async () => {
      await calling.call('x')
      return storage.getStore()
    }),
  )
  t.deepEqual(
    await Promise.all(calls),
    Array.from({ length: 20 }, (_, index) => `caller ${index}`),
  )
  const streams = await serveStream(t)
  const peer = await connectPeer(t, { port: streams.port })
  const { reader } = await streams.connections.take()
  const filled = storage.run('filler', async () => {
    await reader.fill(3)
    return storage.getStore()
  })
  await peer.write('abc')
  t.is(await filled, 'filler')
})

test('a call that is given up goes on in the context of its caller', async (t) => {
  const { port } = await serve(t, {}, () => new Promise<string>(() => {}))
  const connection = await storage.run('dial', () => dial(t, { port }))
  const givenUp = storage.run('caller', async () => {
    const error = await rejection(connection.call('x', { timeout: 1 }))
    return [codeOf(error), storage.getStore()]
  })
  t.deepEqual(await givenUp, ['ERR_REQUEST_TIMEOUT', 'caller'])
  const cut = storage.run('another', async () => {
    const error = (await rejection(connection.call('x'))) as NetpollError
    return [error.code, storage.getStore()]
  })
  await gone(connection)
  t.deepEqual(await cut, ['ERR_CONN_CLOSED', 'another'])
})

test('two servers keep their contexts apart, also where the handler of one ends a connection of the other', async (t) => {
  const seen: string[] = []
  let ofFirst: Connection | undefined
  const noteEnd: NonNullable<ConnectionOptions['onDisconnect']> = () => {
    seen.push(`disconnect in ${storage.getStore()}`)
  }
  const first = await serveIn(t, 'first', {
    onConnect: (connection) => {
      ofFirst = connection
    },
    onData: ({ reader }) => {
      seen.push(`first in ${storage.getStore()}`)
      reader.skip(reader.length)
    },
    onDisconnect: noteEnd,
  })
  let detached = -1
  const done = deferred()
  const second = await serveIn(t, 'second', {
    onData: ({ reader }) => {
      seen.push(`second in ${storage.getStore()}`)
      reader.skip(reader.length)
      // Ends it within this call, hooks included, while its bytes of this turn have been handed over.
      detached = (ofFirst as Connection).detach()
      seen.push(`second still in ${storage.getStore()}`)
      done.resolve()
    },
  })
  const one = await connectPeer(t, { port: first.port })
  const two = await connectPeer(t, { port: second.port })
  while (ofFirst === undefined) await nextTurn()
  const arrived = (ofFirst as Connection).bytesRead
  t.is(arrived, 0)
  // In one turn of the event loop: both come in one batch, that of the first server first.
  one.socket.write('a')
  two.socket.write('b')
  await done.promise
  const adopted = await new Dialer().fromFd(detached)
  t.teardown(() => gone(adopted))
  t.deepEqual(seen.slice(-3), ['second in second', 'disconnect in first', 'second still in second'])
})

test('a storage that is made after listen is empty in handlers, and entering it leaks nowhere', async (t) => {
  let late: AsyncLocalStorage<string> | undefined
  const seen: (string | undefined)[] = []
  const { port } = await serve(t, {}, (request) => {
    seen.push(late?.getStore())
    late?.enterWith('entered')
    return request
  })
  late = new AsyncLocalStorage()
  const peer = await connectPeer(t, { port })
  await peer.write(frames('a', 'b'))
  await peer.read(10)
  await peer.write(frame('c'))
  await peer.read(5)
  t.deepEqual(seen, [undefined, undefined, undefined])
})
