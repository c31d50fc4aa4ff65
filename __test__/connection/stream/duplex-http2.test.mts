// HTTPS and HTTP/2 of Node.js over duplexes: clients that vanish, connections that are used again, addresses.

import { once } from 'node:events'
import * as http2 from 'node:http2'
import * as https from 'node:https'
import { createServer as createNetServer, connect as connectNet, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { connect as connectTls } from 'node:tls'

import test, { type ExecutionContext } from 'ava'

import { createServer, Dialer } from '../../../dist/index.mjs'
import { Inbox } from '../../support/deferred.mjs'
import { portOf } from '../../support/netpoll.mjs'
import { certificate, key } from '../../support/tls.mjs'

type Kind = 'net' | 'netpoll'

interface Ways {
  readonly kind: Kind
  readonly pollers: number
  readonly allowHalfOpen: boolean
}

const ways: readonly Ways[] = [0, 1, 2].flatMap((pollers) =>
  [false, true].map((allowHalfOpen) => ({ kind: 'netpoll', pollers, allowHalfOpen }) as const),
)
const named = ({ pollers, allowHalfOpen }: Ways): string =>
  `${pollers} pollers${allowHalfOpen ? ', half-open' : ''}`
const overNet: Ways = { kind: 'net', pollers: 0, allowHalfOpen: false }

/** Has `use` take each connection of a server; its port. */
async function serve(t: ExecutionContext, way: Ways, use: (socket: Duplex) => void): Promise<number> {
  if (way.kind === 'net') {
    const server = createNetServer({ allowHalfOpen: way.allowHalfOpen }, use)
    t.teardown(() => server.close())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as { readonly port: number }).port
  }
  const { pollers, allowHalfOpen } = way
  const server = createServer({ pollers, allowHalfOpen, onConnect: (one) => use(one.toDuplex()) })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  return portOf(server)
}

async function dial({ kind, pollers, allowHalfOpen }: Ways, port: number): Promise<Duplex> {
  if (kind === 'netpoll')
    return (await new Dialer({ pollers, allowHalfOpen }).dial({ host: '127.0.0.1', port })).toDuplex()
  const socket = connectNet({ host: '127.0.0.1', port, allowHalfOpen })
  await once(socket, 'connect')
  return socket
}

/** An agent over connections by `way`. */
function agentOver(t: ExecutionContext, way: Ways, dialed: (socket: Duplex) => void): https.Agent {
  const agent = new https.Agent({ keepAlive: true })
  const made = agent as unknown as {
    createConnection(
      options: { readonly port: number },
      callback: (error: Error | null, socket?: Duplex) => void,
    ): void
  }
  made.createConnection = ({ port }, callback) => {
    dial(way, port).then((socket) => {
      dialed(socket)
      callback(null, connectTls({ socket, ca: certificate, servername: 'localhost' }))
    }, callback)
  }
  t.teardown(() => agent.destroy())
  return agent
}

/** What clients that go after their answer are told to be by an HTTPS server. */
async function disconnects(t: ExecutionContext, way: Ways): Promise<unknown> {
  const errors: unknown[] = []
  const server = https.createServer({ key, cert: certificate }, (_request, response) =>
    response.end('answer'),
  )
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    errors.push(error.code)
    socket.destroy()
  })
  const closed = new Inbox<true>()
  const port = await serve(t, way, (socket) => {
    socket.once('close', () => closed.push(true))
    server.emit('connection', socket)
  })
  for (let round = 0; round < 48; round += 1) {
    const socket = connectNet({ host: '127.0.0.1', port })
    const tls = connectTls({ socket, ca: certificate, servername: 'localhost' })
    tls.write('GET / HTTP/1.1\r\nHost: here\r\n\r\n')
    await once(tls, 'data')
    if (round % 4 === 0) socket.destroy()
    else if (round % 4 === 1) tls.destroy()
    else if (round % 4 === 2) tls.end()
    else socket.end()
    tls.on('error', () => {})
    await closed.reach(round + 1)
    socket.destroy()
  }
  return errors
}

/** An agent whose idle connections the server ends, without a word of TLS. */
async function usedAgain(t: ExecutionContext, way: Ways): Promise<unknown> {
  const sockets: Socket[] = []
  const server = https.createServer({ key, cert: certificate }, (_request, response) =>
    response.end('answer'),
  )
  const below = createNetServer((socket) => {
    sockets.push(socket)
    server.emit('connection', socket)
  })
  t.teardown(() => {
    below.close()
    for (const socket of sockets) socket.destroy()
  })
  below.listen(0, '127.0.0.1')
  await once(below, 'listening')
  const { port } = below.address() as { readonly port: number }
  const closed = new Inbox<true>()
  const agent = agentOver(t, way, (socket) => socket.once('close', () => closed.push(true)))
  const answers: string[] = []
  for (let round = 1; round <= 6; round += 1) {
    const [response] = await once(https.get({ agent, port, host: '127.0.0.1' }), 'response')
    answers.push(await text(response))
    const socket = sockets.at(-1)
    if (round % 2 === 0) socket?.destroy()
    else socket?.end()
    await closed.reach(round)
  }
  return { answers, connections: sockets.length }
}

type Session = http2.ServerHttp2Session

/** Clients of HTTP/2 that vanish, each with a stream open. */
async function vanish(t: ExecutionContext, way: Ways, isSecure: boolean): Promise<unknown> {
  const server = isSecure ? http2.createSecureServer({ key, cert: certificate }) : http2.createServer()
  const sessions = new Inbox<Session>()
  const closed = new Inbox<true>()
  const streams = new Inbox<unknown>()
  server.on('session', (session: Session) => {
    session.on('error', () => {})
    session.on('close', () => closed.push(true))
    sessions.push(session)
  })
  server.on('stream', (stream: http2.ServerHttp2Stream) => {
    stream.on('error', () => {})
    stream.respond()
    stream.write('the beginning')
    streams.push(stream)
  })
  const port = await serve(t, way, (socket) => server.emit('connection', socket))
  for (let round = 0; round < 10; round += 1) {
    const socket = connectNet({ host: '127.0.0.1', port })
    const client = http2.connect(`${isSecure ? 'https' : 'http'}://localhost`, {
      createConnection: () =>
        isSecure
          ? connectTls({ socket, ca: certificate, servername: 'localhost', ALPNProtocols: ['h2'] })
          : socket,
    })
    client.on('error', () => {})
    const stream = client.request({ ':path': '/' })
    stream.on('error', () => {})
    await once(stream, 'data')
    if (round % 2 === 0) socket.end()
    else socket.destroy()
    client.destroy()
  }
  await closed.reach(10)
  return sessions.all.every((session) => session.destroyed)
}

/** The addresses that a server of HTTP/2 sees are the client's. */
async function addresses(t: ExecutionContext, way: Ways, isSecure: boolean): Promise<unknown> {
  const server = isSecure ? http2.createSecureServer({ key, cert: certificate }) : http2.createServer()
  server.on('session', (session: Session) => session.on('error', () => {}))
  server.on('request', (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => {
    const { remoteAddress, remotePort, localPort } = request.socket
    response.end(JSON.stringify({ remoteAddress, remotePort, localPort }))
  })
  const port = await serve(t, way, (socket) => server.emit('connection', socket))
  const socket = (await dial(way, port)) as Socket
  const client = http2.connect(`${isSecure ? 'https' : 'http'}://localhost`, {
    createConnection: () =>
      isSecure
        ? connectTls({ socket, ca: certificate, servername: 'localhost', ALPNProtocols: ['h2'] })
        : socket,
  })
  const seen = JSON.parse(await text(client.request({ ':path': '/' }))) as Record<string, unknown>
  const ours = [client.socket.remoteAddress, client.socket.remotePort === port]
  const theirs = [seen['remoteAddress'], seen['remotePort'] === socket.localPort, seen['localPort'] === port]
  client.close()
  await once(client, 'close')
  return { ours, theirs }
}

const programs: readonly (readonly [string, (t: ExecutionContext, way: Ways) => Promise<unknown>])[] = [
  ['https: clients that go after their answer are no errors', disconnects],
  ['https: an agent does not use again what the server has ended', usedAgain],
  ['http2 over tls: the sessions of clients that vanish close', (t, way) => vanish(t, way, true)],
  ['http2: the sessions of clients that vanish close', (t, way) => vanish(t, way, false)],
  ['http2 over tls: addresses are known', (t, way) => addresses(t, way, true)],
  ['http2: addresses are known', (t, way) => addresses(t, way, false)],
]

for (const [title, program] of programs) {
  for (const way of ways) {
    test(`${title}: ${named(way)}`, async (t) => {
      t.deepEqual(await program(t, way), await program(t, overNet))
    })
  }
}

test('https: what a request shows of its client', async (t) => {
  const server = https.createServer({ key, cert: certificate }, ({ socket }, response) => {
    response.end(JSON.stringify([socket.remoteAddress, socket.remoteFamily, socket.remotePort]))
  })
  for (const way of ways) {
    const port = await serve(t, way, (socket) => server.emit('connection', socket))
    const raw = connectNet({ host: '127.0.0.1', port })
    const socket = connectTls({ socket: raw, ca: certificate, servername: 'localhost' })
    const [response] = await once(https.get({ createConnection: () => socket }), 'response')
    t.deepEqual(JSON.parse(await text(response)), ['127.0.0.1', 'IPv4', raw.localPort])
    socket.destroy()
  }
})
