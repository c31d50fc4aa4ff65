// The stream of `examples/dialed-socket.mjs`, for libraries that call `connect` and for agents that count.

import { once } from 'node:events'
import * as http from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo, Server, Socket } from 'node:net'
import { text } from 'node:stream/consumers'

import test, { type ExecutionContext } from 'ava'

import { startExample } from './support/examples.mjs'
import { netServerAt } from './support/listeners.mjs'
import { codeOf } from './support/netpoll.mjs'

const { DialedSocket, DialedAgent } = (await import(
  new URL('../examples/dialed-socket.mjs', import.meta.url).href
)) as {
  readonly DialedSocket: new () => Socket
  readonly DialedAgent: new (options: http.AgentOptions) => http.Agent
}

test('it connects, and connects again once it is closed', async (t) => {
  const { target, sockets } = await netServerAt(t, 'tcp', {}, (socket) => socket.pipe(socket))
  const { host, port } = target as { readonly host: string; readonly port: number }
  const socket = new DialedSocket()
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
  const socket = new DialedSocket().connect(1, '127.0.0.1')
  const written = new Promise((resolve) => socket.write('lost', resolve))
  const [error] = (await once(socket, 'error')) as [Error]
  t.is(codeOf(error), 'ECONNREFUSED')
  t.is(await written, error)
  t.deepEqual(await once(socket, 'close'), [true])
})

test('destroyed while it dials, it is closed', async (t) => {
  const { target } = await netServerAt(t, 'tcp')
  const socket = new DialedSocket().connect(target as never)
  socket.destroy()
  t.deepEqual(await once(socket, 'close'), [false])
})

/** A server that answers each request with its path, a turn later; the most sockets that it had at once. */
async function serveHttp(
  t: ExecutionContext,
): Promise<{ readonly port: number; readonly most: () => number }> {
  let most = 0
  const open = new Set<Socket>()
  const server = http.createServer((request, response) => {
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
  const generated = '../__test__/fixtures/documentation/gen-nodejs/'
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
  const stream = new DialedSocket()
  const connection = new thrift.Connection(stream, { max_attempts: 10 })
  // As its own `createConnection` has it.
  Object.assign(connection, { host: '127.0.0.1', port })
  connection.on('error', () => {})
  stream.connect(port, '127.0.0.1')
  const client = thrift.createClient(service, connection)
  for (const message of ['before', 'after the server has gone', 'and again']) {
    t.is((await client.echo({ message })).message, message)
    const closed = once(stream, 'close')
    sockets.at(-1)?.destroy()
    await closed
  }
  await once(stream, 'connect')
  t.is(sockets.length, 4)
  connection.end()
})
