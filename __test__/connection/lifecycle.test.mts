import test, { type ExecutionContext } from 'ava'

import {
  type Connection,
  type ConnectionOptions,
  createServer,
  type DataHandler,
  Dialer,
  type DialerOptions,
  type FramedServerOptions,
  lengthField,
  type NetpollError,
  type RequestHandler,
  type StreamDialerOptions,
  type StreamServerOptions,
} from '../../dist/index.mjs'
import { type Deferred, deferred, Inbox } from '../support/deferred.mjs'
import { frame } from '../support/frames.mjs'
import { codeOf, connectPeer, portOf, rejection, serve } from '../support/netpoll.mjs'
import type { Peer } from '../support/peer.mjs'
import { arrived, inactive, quietTurns, serveStream } from '../support/streams.mjs'

const failure = new Error('no')

/** What hooks do beside being noted. */
type Hooks = Pick<ConnectionOptions, 'onPrepare' | 'onConnect' | 'onDisconnect'> & {
  readonly onRequest?: RequestHandler
  readonly onData?: DataHandler
}

/** Options whose hooks are noted in `events`, close callbacks included. */
function noting<Options extends ConnectionOptions>(events: Inbox<string>, hooks: Hooks): Options {
  const noted: Hooks & Pick<ConnectionOptions, 'onError'> = {
    onPrepare: (connection) => {
      events.push('prepare')
      connection.onClose(() => events.push('callback 1')).onClose(() => events.push('callback 2'))
      return hooks.onPrepare?.(connection)
    },
    onConnect: (connection) => {
      events.push('connect')
      return hooks.onConnect?.(connection)
    },
    ...(hooks.onRequest && {
      onRequest: (request, connection) => {
        events.push('request')
        return hooks.onRequest?.(request, connection)
      },
    }),
    ...(hooks.onData && {
      onData: (connection) => {
        events.push('data')
        return hooks.onData?.(connection)
      },
    }),
    onDisconnect: (connection, error) => {
      events.push(`disconnect ${codeOf(error) ?? 'in order'}`)
      return hooks.onDisconnect?.(connection, error)
    },
    onError: (error) => events.push(`error ${codeOf(error) ?? (error as Error).message}`),
  }
  return noted as object as Options
}

const callbacks = ['callback 1', 'callback 2']

interface Scenario {
  readonly hooks: Hooks
  /** What the peer does once it is connected; it ends when the server has. */
  readonly peer?: (peer: Peer) => void
  readonly events: readonly string[]
}

const send = (peer: Peer): void => void peer.write(frame('x'))
const sendAndEnd = (peer: Peer): void => {
  send(peer)
  peer.end()
}
const readAll = ({ reader }: Connection): void => reader.skip(reader.length)

const scenarios: Readonly<Record<string, Scenario>> = {
  'a peer that sends a message and ends': {
    hooks: { onRequest: (request) => request },
    peer: sendAndEnd,
    events: ['prepare', 'connect', 'request', 'disconnect in order', ...callbacks],
  },
  'a peer that sends bytes and ends': {
    hooks: { onData: readAll },
    peer: sendAndEnd,
    events: ['prepare', 'connect', 'data', 'disconnect in order', ...callbacks],
  },
  'an onConnect that takes its time while the peer sends and ends': {
    hooks: { onConnect: quietTurns, onData: readAll },
    peer: sendAndEnd,
    events: ['prepare', 'connect', 'data', 'disconnect in order', ...callbacks],
  },
  'onPrepare refuses': {
    hooks: { onPrepare: () => false, onData: readAll },
    events: ['prepare', ...callbacks],
  },
  'onPrepare throws': {
    hooks: {
      onPrepare: () => {
        throw failure
      },
    },
    events: ['prepare', 'error no', 'disconnect in order', ...callbacks],
  },
  'onPrepare destroys': {
    hooks: { onPrepare: (connection) => connection.destroy() },
    events: ['prepare', ...callbacks],
  },
  'onConnect closes': {
    hooks: { onConnect: (connection) => void connection.close(), onData: readAll },
    peer: send,
    events: ['prepare', 'connect', 'disconnect in order', ...callbacks],
  },
  'onConnect destroys': {
    hooks: { onConnect: (connection) => connection.destroy(failure), onData: readAll },
    events: ['prepare', 'connect', 'disconnect ERR_CONN_CLOSED', ...callbacks],
  },
  'onConnect throws': {
    hooks: {
      onConnect: () => {
        throw failure
      },
      onRequest: (request) => request,
    },
    peer: send,
    events: ['prepare', 'connect', 'error no', 'disconnect in order', ...callbacks],
  },
  'onConnect rejects': {
    hooks: { onConnect: () => Promise.reject(failure), onData: readAll },
    peer: send,
    events: ['prepare', 'connect', 'error no', 'disconnect in order', ...callbacks],
  },
  'onRequest closes': {
    hooks: { onRequest: (_request, connection) => void connection.close() },
    peer: send,
    events: ['prepare', 'connect', 'request', 'disconnect in order', ...callbacks],
  },
  'onRequest throws': {
    hooks: {
      onRequest: () => {
        throw failure
      },
    },
    peer: send,
    events: ['prepare', 'connect', 'request', 'error no', 'disconnect in order', ...callbacks],
  },
  'onData closes with bytes unread': {
    hooks: { onData: (connection) => void connection.close() },
    peer: send,
    events: ['prepare', 'connect', 'data', 'disconnect in order', ...callbacks],
  },
  'onData throws': {
    hooks: {
      onData: () => {
        throw failure
      },
    },
    peer: send,
    events: ['prepare', 'connect', 'data', 'error no', 'disconnect in order', ...callbacks],
  },
  'onData rejects': {
    hooks: { onData: () => Promise.reject(failure) },
    peer: send,
    events: ['prepare', 'connect', 'data', 'error no', 'disconnect in order', ...callbacks],
  },
  'onDisconnect throws': {
    hooks: {
      onData: readAll,
      onDisconnect: () => {
        throw failure
      },
    },
    peer: sendAndEnd,
    events: ['prepare', 'connect', 'data', 'disconnect in order', 'error no', ...callbacks],
  },
}

for (const [what, { hooks, peer: act, events: expected }] of Object.entries(scenarios)) {
  test(`hooks come in order and once: ${what}`, async (t) => {
    const events = new Inbox<string>()
    const framed = hooks.onRequest !== undefined
    const server = framed
      ? createServer({ ...noting<FramedServerOptions>(events, hooks), framing: lengthField({ size: 4 }) })
      : createServer(noting<StreamServerOptions>(events, hooks))
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen({ host: '127.0.0.1', port: 0 })
    const peer = await connectPeer(t, { port: portOf(server) })
    peer.socket.once('end', () => peer.end())
    act?.(peer)
    await events.reach(expected.length)
    await quietTurns()
    t.deepEqual(events.all, expected)
    t.is(server.stats().connections, 0)
  })
}

test('hooks come in order and once on the dialed side, and dial resolves after onConnect', async (t) => {
  const { port } = await serveStream(
    t,
    { onConnect: (connection) => connection.send('ping') },
    (connection) => {
      t.is(connection.reader.readString(4), 'pong')
      void connection.close()
    },
  )
  const events = new Inbox<string>()
  const dialer = new Dialer(
    noting<StreamDialerOptions>(events, {
      onConnect: quietTurns,
      onData: ({ reader, writer }) => {
        t.is(reader.readString(4), 'ping')
        writer.writeString('pong')
        return writer.flush()
      },
    }),
  )
  const connection = await dialer.dial({ port, host: '127.0.0.1' })
  events.push('dialed')
  await events.reach(7)
  await quietTurns()
  t.deepEqual(events.all, ['prepare', 'connect', 'dialed', 'data', 'disconnect in order', ...callbacks])
  t.false(connection.isActive)
})

const refusals: Readonly<Record<string, { readonly hooks: Hooks; readonly events: readonly string[] }>> = {
  'is refused by onPrepare': {
    hooks: { onPrepare: () => false },
    events: ['prepare', ...callbacks],
  },
  'is closed by onConnect': {
    hooks: { onConnect: (connection) => void connection.close() },
    events: ['prepare', 'connect', 'disconnect in order', ...callbacks],
  },
  'has an onConnect that rejects': {
    hooks: { onConnect: () => Promise.reject(failure) },
    events: ['prepare', 'connect', 'error no', 'disconnect in order', ...callbacks],
  },
}

for (const [what, { hooks, events: expected }] of Object.entries(refusals)) {
  test(`a dialed connection that ${what} rejects its dial`, async (t) => {
    const { port } = await serveStream(t)
    const events = new Inbox<string>()
    const dialing = new Dialer(noting<StreamDialerOptions>(events, hooks)).dial({ port, host: '127.0.0.1' })
    t.is(codeOf(await rejection(dialing)), 'ERR_CONN_CLOSED')
    await events.reach(expected.length)
    await quietTurns()
    t.deepEqual(events.all, expected)
  })
}

test('peers that are gone at once get each hook once, or none', async (t) => {
  const count = 100
  const each = new Map<Connection, string[]>()
  const over = new Inbox<Connection>()
  const note = (connection: Connection, event: string): void => {
    each.set(connection, [...(each.get(connection) ?? []), event])
  }
  const { port, server } = await serveStream(t, {
    onPrepare: (connection) => {
      note(connection, 'prepare')
      connection.onClose(() => {
        note(connection, 'callback')
        over.push(connection)
      })
    },
    onConnect: async (connection) => {
      await quietTurns()
      note(connection, 'connected')
    },
    onDisconnect: (connection) => note(connection, 'disconnect'),
    onError: () => {},
  })
  for (let index = 0; index < count; index += 1) {
    const peer = await connectPeer(t, { port })
    if (index % 2 === 0) peer.reset()
    else peer.destroy()
  }
  await over.reach(server.stats().accepted)
  await quietTurns()
  t.is(each.size, server.stats().accepted)
  for (const events of each.values()) t.deepEqual(events, ['prepare', 'connected', 'disconnect', 'callback'])
})

test('onDisconnect waits for onConnect, whose work it finds done', async (t) => {
  const go = deferred()
  const gone = new Inbox<unknown>()
  const { port, connections } = await serveStream(t, {
    onPrepare: (connection) => {
      connection.data = ['prepared']
    },
    onConnect: async (connection) => {
      await go.promise
      ;(connection.data as string[]).push('connected')
    },
    onDisconnect: (connection) => gone.push(connection.data),
    onError: () => {},
  })
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  peer.reset()
  await inactive(connection)
  await quietTurns()
  t.deepEqual(gone.all, [])
  go.resolve()
  t.deepEqual(await gone.take(), ['prepared', 'connected'])
})

test('a handler that waits for onDisconnect of a reset connection is woken by it', async (t) => {
  const finished = new Inbox<Connection>()
  const { port } = await serve(
    t,
    {
      onPrepare: (connection) => {
        connection.data = deferred()
      },
      onDisconnect: (connection) => (connection.data as Deferred<void>).resolve(),
      onError: () => {},
    },
    async (_request, connection) => {
      started.push(connection)
      await (connection.data as Deferred<void>).promise
      finished.push(connection)
    },
  )
  const started = new Inbox<Connection>()
  for (let index = 0; index < 100; index += 1) {
    const peer = await connectPeer(t, { port })
    await peer.write(frame('ping'))
    await started.take()
    peer.reset()
  }
  t.is((await finished.reach(100)).length, 100)
})

test('onConnect may have the whole conversation, and onData does not see it', async (t) => {
  const ended = new Inbox<unknown>()
  const { port } = await serveStream(
    t,
    {
      onConnect: async ({ reader, writer }) => {
        try {
          for (;;) {
            await reader.fill(4)
            t.is(reader.readString(4), 'ping')
            writer.writeString('pong')
            await writer.flush()
          }
        } catch (error) {
          ended.push(codeOf(error))
        }
      },
    },
    () => t.fail(),
  )
  const client = await dialed(t, port)
  for (let index = 0; index < 1_024; index += 1) {
    await client.send('ping')
    await client.reader.fill(4)
    t.is(client.reader.readString(4), 'pong')
  }
  await client.close()
  t.is(await ended.take(), 'ERR_EOF')
})

test('onConnect may write before anything comes', async (t) => {
  const { port } = await serveStream(t, { onConnect: (connection) => connection.send('hello') })
  const client = await dialed(t, port)
  await client.reader.fill(5)
  t.is(client.reader.readString(5), 'hello')
})

test('onData waits until onConnect is done, and a reader does not', async (t) => {
  const go = deferred()
  const first = deferred<string>()
  const { port } = await serveStream(
    t,
    {
      onConnect: async ({ reader }) => {
        await reader.fill(3)
        first.resolve(reader.readString(3))
        await go.promise
      },
    },
    ({ reader, writer }) => {
      writer.writeString(`onData: ${reader.readString(reader.length)}`)
      void writer.flush()
    },
  )
  const peer = await connectPeer(t, { port })
  await peer.write('abcdef')
  t.is(await first.promise, 'abc')
  await quietTurns()
  go.resolve()
  t.is((await peer.read(11)).toString(), 'onData: def')
})

for (const where of ['onConnect', 'onRequest'] as const) {
  test(`a close callback that was added in ${where} is called when the peer closes`, async (t) => {
    const added = new Inbox<Connection>()
    const closed = new Inbox<Connection>()
    const add = (connection: Connection): void => {
      connection.onClose(() => closed.push(connection))
      added.push(connection)
    }
    const { port } = await serve(t, {
      ...(where === 'onConnect' && { onConnect: add }),
      onRequest: (_request, connection) => (where === 'onRequest' ? add(connection) : undefined),
    })
    const peer = await connectPeer(t, { port })
    await peer.write(frame('hello'))
    const connection = await added.take()
    t.deepEqual(closed.all, [])
    peer.end()
    t.is(await closed.take(), connection)
  })
}

test('who is closed in onConnect gets the end and nothing else', async (t) => {
  const { port } = await serveStream(t, { onConnect: (connection) => void connection.close() })
  const clients = await Promise.all(Array.from({ length: 10 }, () => dialed(t, port)))
  for (const client of clients) {
    t.is(codeOf(await rejection(client.reader.fill(1))), 'ERR_EOF')
    t.false(client.isActive)
  }
})

test('a client sees that the server has read and closed, before it reads, and cannot send', async (t) => {
  const { port } = await serveStream(t, {}, (connection) => {
    t.is(connection.reader.readString(5), 'hello')
    void connection.close()
  })
  const client = await dialed(t, port)
  await client.send('hello')
  await inactive(client)
  t.is(codeOf(await rejection(client.send('hello'))), 'ERR_CONN_CLOSED')
  client.writer.writeString('hello')
  t.is(codeOf(await rejection(client.writer.flush())), 'ERR_CONN_CLOSED')
})

test('what clients wrote before they closed is all received', async (t) => {
  const count = 100
  let received = 0
  const gone = new Inbox<Error | undefined>()
  const { port } = await serveStream(
    t,
    { onDisconnect: (_connection, error) => gone.push(error) },
    ({ reader }) => {
      received += reader.length
      reader.skip(reader.length)
    },
  )
  const clients = await Promise.all(Array.from({ length: count }, () => dialed(t, port)))
  await Promise.all(
    clients.map((client) => {
      client.writer.writeBinary(Buffer.alloc(5_000))
      void client.writer.flush()
      return client.close()
    }),
  )
  t.deepEqual(new Set(await gone.reach(count)), new Set([undefined]))
  t.is(received, count * 5_000)
})

test('closing a server waits for onData and answers what was read', async (t) => {
  const go = deferred()
  const started = new Inbox<Connection>()
  const { port, server } = await serveStream(t, {}, async (connection) => {
    const { reader, writer } = connection
    started.push(connection)
    await go.promise
    writer.writeBinary(reader.next(reader.length))
    await writer.flush()
  })
  const [busy, idle] = [await connectPeer(t, { port }), await connectPeer(t, { port })]
  await busy.write('abc')
  const connection = await started.take()
  await busy.write('def')
  await arrived(connection, 6)
  const closing = server.close()
  t.is((await idle.readToEnd()).length, 0)
  idle.end()
  go.resolve()
  t.is((await busy.readToEnd()).toString(), 'abcdef')
  busy.end()
  await closing
  t.deepEqual([await busy.closed, await idle.closed], [undefined, undefined])
})

for (const kind of ['messages', 'pieces'] as const) {
  test(`closing a server waits for loops over ${kind} that have one`, async (t) => {
    const go = deferred()
    const started = new Inbox<Buffer>()
    const ended = deferred()
    const options: ConnectionOptions = {
      onConnect: async (connection) => {
        for await (const piece of connection) {
          started.push(piece)
          await go.promise
          await connection.send(piece)
        }
        ended.resolve()
      },
    }
    const framed = kind === 'messages' ? await serve(t, options) : await serveStream(t, options)
    const peer = await connectPeer(t, { port: framed.port })
    await peer.write(frame('abc'))
    await started.take()
    const closing = framed.server.close()
    await quietTurns()
    go.resolve()
    t.deepEqual(await peer.readToEnd(), frame('abc'))
    peer.end()
    await ended.promise
    await closing
  })
}

test('closing a server ends a reader that waits for the rest of something', async (t) => {
  const started = new Inbox<Connection>()
  const ended = new Inbox<unknown>()
  const { port, server } = await serveStream(t, {}, async (connection) => {
    started.push(connection)
    await connection.reader.fill(100).catch((error: unknown) => ended.push(codeOf(error)))
  })
  const peer = await connectPeer(t, { port })
  await peer.write('half')
  await started.take()
  const closing = server.close()
  t.is((await peer.readToEnd()).length, 0)
  peer.end()
  t.is(await ended.take(), 'ERR_CONN_CLOSED')
  await closing
})

test('with allowHalfOpen a stream may be answered after its end', async (t) => {
  const { port } = await serveStream(t, {
    allowHalfOpen: true,
    onConnect: async (connection) => {
      const pieces: Buffer[] = []
      for await (const piece of connection) pieces.push(piece)
      t.true(connection.isActive)
      await connection.send(`${Buffer.concat(pieces).length} bytes`)
      connection.end()
      await inactive(connection)
    },
  })
  const client = await dialed(t, port)
  await client.send(Buffer.alloc(1_000_000))
  client.end()
  t.is(codeOf(await rejection(client.send('late'))), 'ERR_CONN_CLOSED')
  await client.reader.fill(13)
  t.is(client.reader.readString(13), '1000000 bytes')
  t.is(codeOf(await rejection(client.reader.fill(1))), 'ERR_EOF')
  await new Promise<void>((resolve) => void client.onClose(resolve))
})

test('calls that wait get their replies after end()', async (t) => {
  const go = deferred()
  const { port } = await serve(t, {}, async (request) => {
    await go.promise
    return request
  })
  const client = await dialed(t, port, { framing: lengthField({ size: 4 }) })
  const calls = ['a', 'b'].map((name) => client.call(name))
  client.end()
  client.end()
  t.is(codeOf(await rejection(client.call('c'))), 'ERR_CONN_CLOSED')
  go.resolve()
  t.deepEqual((await Promise.all(calls)).map(String), ['a', 'b'])
  await new Promise<void>((resolve) => void client.onClose(resolve))
})

test('destroy tells whoever reads or flushes, with its reason as the cause', async (t) => {
  const { port, connections } = await serveStream(t, { highWaterMark: 1, onError: () => {} })
  const peer = await connectPeer(t, { port }, { reading: false })
  const connection = await connections.take()
  const reading = rejection(connection.reader.fill(1))
  connection.writer.malloc(50_000_000)
  const flushing = rejection(connection.writer.flush())
  await quietTurns()
  connection.destroy(failure)
  for (const error of await Promise.all([reading, flushing])) {
    t.is(codeOf(error), 'ERR_CONN_CLOSED')
    t.is((error as NetpollError).cause, failure)
  }
  t.true((await peer.readToEnd()).length < 50_000_000)
})

test('resetAndDestroy of a dialed connection resets the server’s', async (t) => {
  const gone = new Inbox<Error | undefined>()
  const { port } = await serveStream(t, { onDisconnect: (_connection, error) => gone.push(error) })
  const client = await dialed(t, port)
  client.resetAndDestroy()
  t.is(codeOf(await gone.take()), 'ECONNRESET')
})

test('a disposed connection is destroyed, one that is disposed asynchronously is closed', async (t) => {
  const { port, connections } = await serveStream(t)
  const first = await connectPeer(t, { port })
  const destroyed = await connections.take()
  void destroyed.send(Buffer.alloc(50_000_000)).catch(() => {})
  destroyed[Symbol.dispose]()
  t.true((await first.readToEnd()).length < 50_000_000)
  const second = await connectPeer(t, { port })
  const closed = await connections.take()
  void closed.send(Buffer.alloc(5_000_000))
  second.socket.once('end', () => second.end())
  await closed[Symbol.asyncDispose]()
  t.is((await second.readToEnd()).length, 5_000_000)
})

/** A dialed connection, destroyed with the test. */
async function dialed(t: ExecutionContext, port: number, options: DialerOptions = {}): Promise<Connection> {
  const connection = await new Dialer(options).dial({ host: '127.0.0.1', port })
  t.teardown(() => connection.destroy())
  return connection
}
