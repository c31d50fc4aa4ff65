import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { connect, createServer as createNetServer, type Socket } from 'node:net'
import test, { type ExecutionContext } from 'ava'

import {
  Connection,
  configure,
  createServer,
  Dialer,
  delimiter,
  lengthField,
  Pool,
  type RequestHandler,
  type Server,
  varint,
} from '../../dist/index.mjs'
import { TransportClient, TransportServer } from '../../dist/rpc/index.mjs'
import { frame, unframe } from '../support/frames.mjs'
import { hostile } from '../support/hostile.mjs'
import { JsonCodec } from '../support/json-codec.mjs'
import { connectPeer, dial, framing, serve } from '../support/netpoll.mjs'
import { socketPath } from '../support/system.mjs'

/** Peers without any fault, and one for each fault between them. */
const honest = 'honest'
const texts = [honest, ...Object.keys(hostile).flatMap((name) => [name, honest])]
const expected = texts.map((text) => [text, hostile[text]?.answer ?? text] as const)

/** The message that a peer gets, or 'closed'. */
function answer(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let received = Buffer.alloc(0)
    socket.on('data', (data: Buffer) => {
      received = Buffer.concat([received, data])
      if (received.length < 4 || received.length < 4 + received.readUInt32BE(0)) return
      resolve(received.toString('utf8', 4))
    })
    socket.on('error', () => {})
    // Half a message is no end of a connection that was refused one.
    socket.once('end', () =>
      resolve(received.length === 0 ? 'closed' : `half of a message: ${received.length}`),
    )
  })
}

type Target = { readonly path: string } | { readonly port: number; readonly host: string }

function placeOf(
  t: ExecutionContext,
  place: string,
): { readonly path: string } | { readonly host: string; readonly port: number } {
  return place === 'unix' ? { path: socketPath(t) } : { host: '127.0.0.1', port: 0 }
}

function targetOf(address: unknown): Target {
  return typeof address === 'string'
    ? { path: address }
    : { host: '127.0.0.1', ...(address as { readonly port: number }) }
}

async function connectAll(t: ExecutionContext, target: Target, count: number): Promise<readonly Socket[]> {
  const sockets = Array.from({ length: count }, () => connect({ ...target, noDelay: true }))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
  })
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  return sockets
}

/** Lets the first handler write for everybody: what is written then comes in one batch, or few. */
class Gathering {
  readonly uncaught: unknown[] = []
  sockets: readonly Socket[] = []

  readonly handle: RequestHandler = (request, connection) => {
    const text = request.toString()
    if (text === 'begin') this.writeAll()
    return (hostile[text]?.handle(connection) ?? (text === honest ? text : undefined)) as string
  }

  writeAll(): void {
    for (const [index, socket] of this.sockets.entries()) socket.write(frame(texts[index] as string))
  }

  /** What each of them got, after the first one's message. */
  async answers(first: Socket): Promise<readonly (readonly [string, string])[]> {
    const answers = this.sockets.map(answer)
    first.write(frame('begin'))
    const got = await Promise.all(answers)
    return got.map((text, index) => [texts[index] as string, text] as const)
  }
}

async function closesInTime(t: ExecutionContext, server: Server, sockets: readonly Socket[]): Promise<void> {
  for (const socket of sockets) socket.destroy()
  await server.close()
  t.is(server.stats().connections, 0)
}

const failures = Object.values(hostile).filter((one) => one.answer === 'closed').length

for (const pollers of [0, 1, 2]) {
  for (const place of ['tcp', 'unix']) {
    test(`odd results cost their own connections alone: server, ${pollers} pollers, ${place}`, async (t) => {
      const gathering = new Gathering()
      let reported = 0
      const server = createServer(
        {
          framing,
          pollers,
          onError: () => {
            reported += 1
          },
        },
        gathering.handle,
      )
      t.teardown(() => server.close({ timeout: 0 }))
      await server.listen(placeOf(t, place))
      const address = server.address()
      const [first, ...sockets] = await connectAll(t, targetOf(address), texts.length + 1)
      gathering.sockets = sockets
      t.deepEqual(await gathering.answers(first as Socket), expected)
      t.is(reported, failures)
      await closesInTime(t, server, [first as Socket, ...sockets])
    })

    test(`odd results cost their own connections alone: dialed, ${pollers} pollers, ${place}`, async (t) => {
      const gathering = new Gathering()
      const sockets: Socket[] = []
      const net = createNetServer((socket) => sockets.push(socket))
      t.teardown(() => {
        for (const socket of sockets) socket.destroy()
        net.close()
      })
      net.listen(place === 'unix' ? { path: socketPath(t) } : { host: '127.0.0.1', port: 0 })
      await once(net, 'listening')
      const address = net.address()
      let reported = 0
      const dialer = new Dialer({
        framing,
        pollers,
        onRequest: gathering.handle,
        onError: () => {
          reported += 1
        },
      })
      const dial = () => dialer.dial(targetOf(address))
      const connections = await Promise.all(Array.from({ length: texts.length + 1 }, dial))
      while (sockets.length < connections.length) await once(net, 'connection')
      const [first, ...others] = sockets
      gathering.sockets = others
      t.deepEqual(await gathering.answers(first as Socket), expected)
      t.is(reported, failures)
      const gone = connections.map(
        (connection) => new Promise<void>((resolve) => void dialerOnClose(connection, resolve)),
      )
      for (const socket of sockets) socket.destroy()
      await Promise.all(gone)
      t.is(dialer.stats().connections, 0)
    })
  }
}

/** The methods of a connection that a handler may have replaced. */
const { onClose } = Connection.prototype

function dialerOnClose(connection: object, callback: () => void): void {
  onClose.call(connection as never, callback)
}

for (const threads of [1, 2, 3]) {
  test(`odd results cost their own connections alone: ${threads} workers`, async (t) => {
    let reported = 0
    const server = createServer({
      framing,
      onError: () => {
        reported += 1
      },
      workers: {
        module: new URL('../fixtures/hostile-handler.mjs', import.meta.url),
        threads,
        concurrentTasksPerWorker: 100,
      },
    })
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen({ host: '127.0.0.1', port: 0 })
    const { port } = server.address() as { readonly port: number }
    const sockets = await connectAll(t, { host: '127.0.0.1', port }, texts.length)
    const gathering = new Gathering()
    gathering.sockets = sockets
    const answers = sockets.map(answer)
    gathering.writeAll()
    const got = await Promise.all(answers)
    t.deepEqual(
      got.map((text, index) => [texts[index] as string, text] as const),
      expected,
    )
    await closesInTime(t, server, sockets)
    t.is(reported, failures)
  })
}

/** What throws, at once or later, where anything else may be returned. */
const throwing = Object.entries(hostile).filter(
  ([name]) => /throws|promise|revoked/.test(name) && !/list/.test(name),
)
const failing = throwing.filter(([, one]) => one.answer === 'closed')

for (const pollers of [0, 1]) {
  test.serial(
    `odd results of hooks, onError and the logger cost one connection, ${pollers} pollers`,
    async (t) => {
      const lines: string[] = []
      configure({
        logger: (line) => {
          lines.push(line)
          throw new Error('from the logger')
        },
      })
      for (const hook of ['onPrepare', 'onConnect', 'onDisconnect'] as const) {
        let next = 0
        const server = createServer(
          {
            framing,
            pollers,
            // Every other connection does what is odd.
            [hook]: (connection: Connection) => {
              const turn = next
              next += 1
              return turn % 2 === 0 ? (failing[turn / 2]?.[1].handle(connection) as undefined) : undefined
            },
            onError: () => hostile['throws a revoked proxy']?.handle({}),
          },
          (request) => request,
        )
        await server.listen({ host: '127.0.0.1', port: 0 })
        const { port } = server.address() as { readonly port: number }
        for (let turn = 0; turn < 2 * failing.length; turn += 1) {
          const [socket] = (await connectAll(t, { host: '127.0.0.1', port }, 1)) as [Socket]
          const got = answer(socket)
          socket.write(frame(honest))
          const isOdd = turn % 2 === 0 && hook !== 'onDisconnect'
          t.is(await got, isOdd ? 'closed' : honest, `${hook}: ${failing[turn >> 1]?.[0]}`)
          socket.destroy()
        }
        await server.close()
        t.is(next, 2 * failing.length)
      }
      t.true(lines.length > 0)
    },
  )
}

test('a promise of onConnect that calls back twice opens the connection once', async (t) => {
  let told = 0
  const listener = (message: unknown): void => {
    if ((message as { readonly connection: Connection }).connection.data === t) told += 1
  }
  subscribe('netpoll.connect', listener)
  t.teardown(() => unsubscribe('netpoll.connect', listener))
  const { port } = await serve(
    t,
    {
      onConnect: (connection) => {
        connection.data = t
        return Object.assign(Promise.resolve(), {
          // biome-ignore lint/suspicious/noThenProperty: what thenables may do is what is tested
          then: (done: () => void) => [done(), done()],
        }) as unknown as Promise<void>
      },
    },
    (request) => request,
  )
  const [socket] = (await connectAll(t, { host: '127.0.0.1', port }, 1)) as [Socket]
  const got = answer(socket)
  socket.write(frame(honest))
  t.is(await got, honest)
  t.is(told, 1)
})

test('a list that sends when it is asked leaves whole messages', async (t) => {
  const { port } = await serve(
    t,
    {},
    (_request, connection) =>
      Object.defineProperty(['a'], 1, {
        get: () => {
          void connection.send(['x', 'y'])
          return 'b'
        },
      }) as string[],
  )
  const peer = await connectPeer(t, { port })
  await peer.write(frame('go'))
  t.deepEqual(unframe(await peer.read(12)).map(String), ['xy', 'ab'])
})

for (const pollers of [0, 1, 2]) {
  test(`a signal that will not forget costs no other reply, ${pollers} pollers`, async (t) => {
    const net = createNetServer((socket) => {
      // All replies in one segment, once all requests are there.
      let length = 0
      socket.on('data', (data: Buffer) => {
        length += data.length
        if (length === 3 * 5) socket.write(Buffer.concat(['a', 'b', 'c'].map(frame)))
      })
    })
    t.teardown(() => net.close())
    net.listen({ host: '127.0.0.1', port: 0 })
    await once(net, 'listening')
    const { port } = net.address() as { readonly port: number }
    const connection = await dial(t, { host: '127.0.0.1', port }, { pollers })
    const signal = Object.defineProperty(new AbortController().signal, 'removeEventListener', {
      get: () => {
        throw new Error('hostile')
      },
    })
    const calls = [connection.call('1', { signal }), connection.call('2'), connection.call('3', { signal })]
    t.deepEqual((await Promise.all(calls)).map(String), ['a', 'b', 'c'])
  })

  test(`what users set on reader, writer and connection is theirs alone, ${pollers} pollers`, async (t) => {
    const server = createServer({
      pollers,
      onData: (connection) => {
        const { reader, writer } = connection
        const { next } = Object.getPrototypeOf(reader) as typeof reader
        const length = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(reader), 'length')?.get
        const bytes = next.call(reader, length?.call(reader) as number)
        for (const name of [
          'push',
          'endsAt',
          'end',
          'interrupt',
          'length',
          'consumed',
          'awaited',
          'contiguous',
        ]) {
          if (Object.hasOwn(reader, name)) continue
          Object.defineProperty(reader, name, {
            get: () => {
              throw new Error('hostile')
            },
          })
        }
        writer.writeBinary(bytes)
        return writer.flush()
      },
    })
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen({ host: '127.0.0.1', port: 0 })
    const { port } = server.address() as { readonly port: number }
    const peers = await Promise.all([connectPeer(t, { port }), connectPeer(t, { port })])
    for (const text of ['first', 'again', 'third']) {
      for (const peer of peers) {
        await peer.write(text)
        t.is(String(await peer.read(5)), text)
      }
    }
    for (const peer of peers) peer.end()
    await server.close()
    t.is(server.stats().connections, 0)
  })
}

test('a pool knows its connections by what users cannot set', async (t) => {
  const { port } = await serve(t, {}, (request) => request)
  const pool = new Pool({ host: '127.0.0.1', port }, { framing, connections: 1 })
  for (let round = 0; round < 3; round += 1) {
    const connection = await pool.get()
    for (const name of ['owner', 'slot', 'context', 'isClean', 'close', 'destroy', 'ref', 'unref']) {
      Object.defineProperty(connection, name, { value: 'user', configurable: true })
    }
    Object.defineProperty(connection.writer, 'mallocLength', { value: 'user', configurable: true })
    pool.put(connection)
    t.is(String(await pool.call('a')), 'a')
  }
  t.is(pool.stats().connected, 1)
  for (const other of [{}, undefined, new Proxy({}, {})]) {
    t.throws(() => pool.put(other as Connection), { code: 'ERR_POOL_NOT_LENT' })
  }
  await pool.close()
})

test('a framing cannot be changed once it is made', (t) => {
  for (const one of [lengthField({ size: 4 }), delimiter('\n'), varint()]) {
    for (const name of ['headerLength', 'writeHeader', 'hasHeader', 'trailer', 'isStream']) {
      t.false(
        Reflect.set(one, name, () => 1_000_000),
        name,
      )
      t.false(
        Reflect.set(Object.getPrototypeOf(one) as object, name, () => 1_000_000),
        name,
      )
    }
  }
})

test('a handler of netpoll/rpc may make what it likes of its call', async (t) => {
  const server = new TransportServer(new JsonCodec(), {
    onRequest: (call) => {
      const { signal, body } = call
      for (const name of ['connection', 'finish', 'abandon', 'request', 'signal', 'method']) {
        Object.defineProperty(call, name, {
          get: () => {
            throw new Error('hostile')
          },
        })
      }
      return { body, aborted: signal.aborted }
    },
  })
  await server.listen({ host: '127.0.0.1', port: 0 })
  const { port } = server.address() as { readonly port: number }
  const client = new TransportClient({ host: '127.0.0.1', port }, new JsonCodec())
  t.deepEqual(await client.call('a', 1), { body: 1, aborted: false })
  t.deepEqual(await client.call('a', 2), { body: 2, aborted: false })
  await client.close()
  await server.close()
})
