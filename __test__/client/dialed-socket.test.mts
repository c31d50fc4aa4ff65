// A socket that is there before its connection, for libraries that call `connect` and for agents that count.

import { getEventListeners, once } from 'node:events'
import * as http from 'node:http'
import { createRequire } from 'node:module'
import { type AddressInfo, Socket as Net, type Server, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'

import test, { type ExecutionContext } from 'ava'

import { DialedSocket, Dialer, varint } from '../../dist/index.mjs'
import { closed } from '../fixtures/support.mjs'
import { until } from '../support/deferred.mjs'
import { startExample } from '../support/examples.mjs'
import { netServerAt } from '../support/listeners.mjs'
import { codeOf } from '../support/netpoll.mjs'

const { DialedAgent } = (await import(new URL('../../examples/dialed-socket.mjs', import.meta.url).href)) as {
  readonly DialedAgent: new (options: http.AgentOptions) => http.Agent
}

/** Called as a socket of `node:net`. */
const newSocket = (): Socket => new DialedSocket() as unknown as Socket

test('it connects, and connects again once it is closed', async (t) => {
  const { target, sockets } = await netServerAt(t, 'tcp', {}, (socket) => socket.pipe(socket))
  const { host, port } = target as { readonly host: string; readonly port: number }
  const socket = newSocket()
  for (const word of ['first', 'second', 'third']) {
    let connected = 0
    t.is(
      socket.connect(port, host, () => {
        connected += 1
      }),
      socket,
    )
    // Before it is connected.
    socket.write(word)
    const [bytes] = (await once(socket, 'data')) as [Buffer]
    t.is(String(bytes), word)
    t.is(connected, 1)
    t.is(socket.remotePort, port)
    ;(await sockets.take()).destroy()
    await once(socket, 'close')
    t.true(socket.destroyed)
  }
})

test('a dial that fails is an error, and the callbacks of writes get it', async (t) => {
  const socket = newSocket().connect(1, '127.0.0.1')
  const written = new Promise((resolve) => socket.write('lost', resolve))
  const [error] = (await once(socket, 'error')) as [Error]
  t.is(codeOf(error), 'ECONNREFUSED')
  t.is(await written, error)
  t.deepEqual(await once(socket, 'close'), [true])
})

test('destroyed while it dials, it is closed', async (t) => {
  const { target } = await netServerAt(t, 'tcp')
  const socket = newSocket().connect(target as never)
  socket.destroy()
  t.deepEqual(await once(socket, 'close'), [false])
})

/** A server that answers each request with its path, a turn later; the most sockets that it had at once. */
async function serveHttp(
  t: ExecutionContext,
): Promise<{ readonly port: number; readonly most: () => number }> {
  let most = 0
  const open = new Set<Socket>()
  const server = http.createServer({ keepAliveTimeout: 0 }, (request, response) => {
    setImmediate(() => response.end(request.url))
  })
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    most = Math.max(most, open.size)
    socket.once('close', () => open.delete(socket))
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, most: () => most }
}

test('its agent keeps to maxSockets', async (t) => {
  const { port, most } = await serveHttp(t)
  const agent = new DialedAgent({ keepAlive: true, maxSockets: 2 })
  t.teardown(() => agent.destroy())
  const pages = Array.from({ length: 40 }, async (_, page) => {
    const request = http.get({ host: '127.0.0.1', port, path: `/${page}`, agent })
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    return text(response)
  })
  t.deepEqual(
    await Promise.all(pages),
    Array.from({ length: 40 }, (_, page) => `/${page}`),
  )
  t.is(most(), 2)
})

test('the example prints what its agent was answered', async (t) => {
  const { port, most } = await serveHttp(t)
  const { lines, ended } = startExample(t, 'dialed-socket', String(port))
  t.deepEqual(await ended, { code: 0, stderr: '' })
  t.deepEqual(
    lines.all,
    Array.from({ length: 10 }, (_, page) => `/${page}`),
  )
  t.is(most(), 2)
})

interface Echo {
  echo(request: { message: string }): Promise<{ message: string }>
}

interface ThriftConnection {
  on(event: string, listener: (value: unknown) => void): this
  end(): void
}

test('the connection of the Thrift library reconnects by it', async (t) => {
  const require = createRequire(import.meta.url)
  const thrift = require('thrift') as {
    readonly Connection: new (stream: Socket, options: object) => ThriftConnection
    createClient(service: object, connection: ThriftConnection): Echo
    createServer(service: object, handler: object): Server
  }
  const generated = '../../__test__/fixtures/documentation/gen-nodejs/'
  const service = require(`${generated}Echo`) as object
  const { Response } = require(`${generated}echo_types`) as {
    readonly Response: new (fields: object) => object
  }
  const sockets: Socket[] = []
  const server = thrift.createServer(service, {
    echo: ({ message }: { message: string }) => new Response({ message }),
  })
  server.on('connection', (socket: Socket) => sockets.push(socket))
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const stream = newSocket()
  const connection = new thrift.Connection(stream, { max_attempts: 10 })
  // As its own `createConnection` has it.
  Object.assign(connection, { host: '127.0.0.1', port })
  connection.on('error', () => {})
  stream.connect(port, '127.0.0.1')
  const client = thrift.createClient(service, connection)
  for (const message of ['before', 'after the server has gone', 'and again']) {
    t.is((await client.echo({ message })).message, message)
    const over = once(stream, 'close')
    sockets.at(-1)?.destroy()
    await over
  }
  await once(stream, 'connect')
  // With TLS the server is told later than its client.
  await until(() => sockets.length === 4)
  connection.end()
})

/** What says where a socket is in its life. */
function state(socket: Socket): unknown {
  const { connecting, pending, readyState, destroyed, writableLength, bufferSize, timeout } = socket
  return { connecting, pending, readyState, destroyed, writableLength, bufferSize, timeout }
}

type Target = { readonly host: string; readonly port: number } | { readonly path: string }

/** What a socket goes through that is used before it is connected, or is never. */
const lives: Readonly<Record<string, (socket: Socket, target: Target) => unknown>> = {
  'written to': (socket, target) => socket.connect(target).write('a word'),
  'written to and ended': (socket, target) => socket.connect(target).end('a word'),
  'written to in pieces': (socket, target) => {
    socket.connect(target)
    for (const piece of ['a', 'few', 'words']) socket.write(piece)
    socket.end()
  },
  corked: (socket, target) => {
    socket.connect(target).cork()
    socket.write('a')
    socket.write('word')
    socket.uncork()
    socket.end()
  },
  ended: (socket, target) => socket.connect(target).end(),
  destroyed: (socket, target) => socket.connect(target).destroy(),
  'destroyed with an error': (socket, target) => socket.connect(target).destroy(new Error('enough')),
  'destroyed soon': (socket, target) => {
    const connecting = socket.connect(target)
    socket.write('a word')
    return connecting.destroySoon()
  },
  'destroyed in its turn': (socket, target) =>
    socket.connect(target, () => {
      socket.destroy()
    }),
  'destroyed before it is asked to connect': (socket) => socket.destroy(),
  'told to be silent no longer': (socket, target) =>
    socket
      .connect(target)
      // Before, it would race with the dial.
      .once('connect', () => socket.setTimeout(1))
      .once('timeout', () => socket.destroy()),
  'given options': (socket, target) =>
    socket
      .connect(target)
      .setNoDelay()
      .setKeepAlive(true, 1_000)
      .setTimeout(60_000)
      .unref()
      .ref()
      .end('a word'),
  'given options before it is asked to connect': (socket, target) =>
    socket
      .setNoDelay()
      .setKeepAlive(true, 1_000)
      .setTimeout(60_000)
      .unref()
      .ref()
      .connect(target)
      .end('a word'),
}

for (const transport of ['tcp', 'unix'] as const) {
  for (const [name, live] of Object.entries(lives)) {
    test(`${name}, over ${transport}, as a socket of node:net`, async (t) => {
      const seenOf = async (make: () => Socket): Promise<unknown> => {
        const { target } = await netServerAt(t, transport, {}, (peer) => {
          peer.on('error', () => {})
          peer.pipe(peer)
        })
        const socket = make()
        const seen: unknown[] = []
        for (const event of ['connect', 'ready', 'end', 'finish', 'close'] as const) {
          socket.on(event, () => seen.push(event))
        }
        socket.on('error', (error: NodeJS.ErrnoException) => seen.push(['error', error.message, error.code]))
        let words = ''
        socket.on('data', (bytes: Buffer) => {
          words += String(bytes)
          if (words.length >= 6 && !socket.writableEnded) socket.end()
        })
        seen.push(state(socket))
        const over = new Promise((resolve) => socket.once('close', resolve))
        live(socket, target as Target)
        seen.push(state(socket))
        await over
        return [...seen, words, state(socket)]
      }
      t.deepEqual(await seenOf(newSocket), await seenOf(() => new Net()))
    })
  }
}

test('connected again before it is closed, it is told nothing of the connection before', async (t) => {
  const { target, sockets } = await netServerAt(t, 'tcp')
  const socket = newSocket().connect(target as never)
  await once(socket, 'connect')
  const first = await sockets.take()
  first.write('of the first')
  socket.write('lost', () => {})
  socket.destroy()
  socket.connect(target as never)
  const second = await sockets.take()
  second.write('of the second')
  t.is(String((await once(socket, 'data'))[0]), 'of the second')
  socket.write('back')
  t.is(String((await once(second, 'data'))[0]), 'back')
  socket.destroy()
  await once(socket, 'close')
})

test('asked to connect twice, it fails as the system does', async (t) => {
  const { target } = await netServerAt(t, 'tcp')
  const dials = newSocket().connect(target as never)
  dials.connect(target as never)
  t.is(codeOf((await once(dials, 'error'))[0] as Error), 'EALREADY')
  const connected = newSocket().connect(target as never)
  await once(connected, 'connect')
  connected.connect(target as never)
  t.is(codeOf((await once(connected, 'error'))[0] as Error), 'EISCONN')
  await once(connected, 'close')
})

test('a dialer with a framing, or whose hook takes the stream, is an error of the socket', async (t) => {
  const { target, sockets } = await netServerAt(t, 'tcp')
  const dialers = [
    new Dialer({ framing: varint() }),
    new Dialer({ onConnect: (connection) => void connection.toDuplex() }),
  ]
  const codes = await Promise.all(
    dialers.map(async (dialer) => {
      const socket = new DialedSocket(dialer).connect(target as never)
      const [error] = (await once(socket, 'error')) as [Error]
      await once(socket, 'close')
      return codeOf(error)
    }),
  )
  t.deepEqual(codes, ['ERR_UNSUPPORTED', 'ERR_CONCURRENT_ACCESS'])
  for (const peer of [await sockets.take(), await sockets.take()]) {
    // With TLS it has sent tickets that are not read, and may be reset.
    await closed(peer).catch(() => {})
  }
})

test('a signal gives up the dial, and is forgotten once it is connected', async (t) => {
  const { target } = await netServerAt(t, 'tcp')
  const reason = new Error('enough')
  const aborted = newSocket().connect({ ...target, signal: AbortSignal.abort(reason) } as never)
  t.is((await once(aborted, 'error'))[0], reason)
  const controller = new AbortController()
  const socket = newSocket().connect({ ...target, signal: controller.signal } as never)
  await once(socket, 'connect')
  t.is(getEventListeners(controller.signal, 'abort').length, 0)
  controller.abort()
  t.false(socket.destroyed)
  socket.destroy()
  await once(socket, 'close')
})

for (const odd of [undefined, null, true, () => 1, Symbol('port')]) {
  test(`it is not told to connect to ${String(odd)}`, (t) => {
    t.throws(() => newSocket().connect(odd as never), { code: 'ERR_INVALID_ARG_TYPE' })
  })
}

test('no dialer is refused', (t) => {
  for (const odd of [null, {}, 1, 'dialer', Dialer.prototype]) {
    t.throws(() => new DialedSocket(odd as never), { code: 'ERR_INVALID_ARG_TYPE' })
  }
})
