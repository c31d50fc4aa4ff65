import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import * as http from 'node:http'
import { type AddressInfo, connect as connectNet, type createServer as createNetServer } from 'node:net'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import * as tls from 'node:tls'

import test, { type ExecutionContext } from 'ava'

import { type ConnectionDuplex, createServer, Dialer } from '../../../dist/index.mjs'
import { pattern } from '../../support/frames.mjs'
import { portOf } from '../../support/netpoll.mjs'

// A key pair of its own for these tests, made once by
// openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj /CN=localhost
// -addext subjectAltName=DNS:localhost,IP:127.0.0.1
const pem = (name: string): string =>
  readFileSync(new URL(`../../../__test__/fixtures/tls/${name}.pem`, import.meta.url), 'utf8')
const key = pem('key')
const certificate = pem('certificate')

/** A server of ours that makes a stream of each connection; its port. */
async function serveStreams(
  t: ExecutionContext,
  use: (duplex: ConnectionDuplex) => void,
  options: { readonly allowHalfOpen?: boolean } = {},
): Promise<number> {
  const server = createServer({ ...options, onConnect: (connection) => use(connection.toDuplex()) })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  return portOf(server)
}

/** Node's HTTP server over our connections; its port. */
async function serveHttp(t: ExecutionContext, server: http.Server): Promise<number> {
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  // Where the process stands still, a client would find closed what it keeps.
  server.keepAliveTimeout = 0
  // From then on it keeps its list of connections, and its time limits.
  server.emit('listening')
  return serveStreams(t, (duplex) => server.emit('connection', duplex))
}

/** A server of Node.js on a port of its own; the port. */
async function listen(
  t: ExecutionContext,
  server: http.Server | ReturnType<typeof createNetServer>,
): Promise<number> {
  t.teardown(() => {
    if ('closeAllConnections' in server) server.closeAllConnections()
    server.close()
  })
  if ('keepAliveTimeout' in server) server.keepAliveTimeout = 0
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

async function dialDuplex(t: ExecutionContext, port: number): Promise<ConnectionDuplex> {
  const duplex = (await new Dialer().dial({ host: '127.0.0.1', port })).toDuplex()
  t.teardown(() => void duplex.destroy())
  return duplex
}

/** An agent over `node:net`. */
function netAgent(t: ExecutionContext): http.Agent {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 2 })
  t.teardown(() => agent.destroy())
  return agent
}

/** An agent whose sockets are streams of ours; `dialed` is told of each. */
function duplexAgent(t: ExecutionContext, dialed: (duplex: ConnectionDuplex) => void = () => {}): http.Agent {
  const dialer = new Dialer()
  class DialingAgent extends http.Agent {
    override createConnection(
      options: http.ClientRequestArgs,
      callback?: (error: Error | null, stream: Duplex) => void,
    ): undefined {
      dialer.dial({ host: '127.0.0.1', port: Number(options.port) }).then(
        (connection) => {
          const duplex = connection.toDuplex()
          dialed(duplex)
          callback?.(null, duplex)
        },
        (error: Error) => callback?.(error, undefined as never),
      )
    }
  }
  const agent = new DialingAgent({ keepAlive: true, maxSockets: 2 })
  t.teardown(() => agent.destroy())
  return agent
}

interface Answer {
  readonly status: number | undefined
  readonly body: string
}

/** Sends a request, and waits for the whole answer. */
async function ask(options: http.RequestOptions, body: Buffer | string = ''): Promise<Answer> {
  const request = http.request({ host: '127.0.0.1', ...options })
  const answered = once(request, 'response') as Promise<[http.IncomingMessage]>
  if (request.getHeader('expect') !== undefined) {
    request.flushHeaders()
    await once(request, 'continue')
  }
  request.end(body)
  const [response] = await answered
  return { status: response.statusCode, body: await text(response) }
}

/** Answers with the length and hash of the body, then with the body. */
function createEcho(): http.Server {
  return http.createServer((request, response) => {
    response.setHeader('x-path', request.url ?? '')
    request.pipe(response)
  })
}

function digest(bytes: Buffer | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}

const largeBody = pattern(5_000_000, 1).toString('base64')

for (const [name, run] of [
  [
    'a server of Node.js over our streams',
    async (t: ExecutionContext) => ({ port: await serveHttp(t, createEcho()), agent: netAgent(t) }),
  ],
  [
    'an agent of Node.js over our streams',
    async (t: ExecutionContext) => ({ port: await listen(t, createEcho()), agent: duplexAgent(t) }),
  ],
  [
    'both over our streams',
    async (t: ExecutionContext) => ({ port: await serveHttp(t, createEcho()), agent: duplexAgent(t) }),
  ],
] as const) {
  test(`http: ${name}`, async (t) => {
    const target = { ...(await run(t)), method: 'POST' }
    for (let round = 0; round < 20; round += 1) {
      t.deepEqual(await ask(target, `round ${round}`), { status: 200, body: `round ${round}` })
    }
    const answers = await Promise.all(Array.from({ length: 6 }, () => ask(target, largeBody)))
    for (const { body } of answers) t.is(digest(body), digest(largeBody))
    const expecting = { ...target, headers: { expect: '100-continue' } }
    t.is((await ask(expecting, 'asked for')).body, 'asked for')
  })
}

test('http: an agent uses a stream again', async (t) => {
  const dialed: ConnectionDuplex[] = []
  const agent = duplexAgent(t, (duplex) => dialed.push(duplex))
  const port = await listen(t, createEcho())
  for (let round = 0; round < 5; round += 1) await ask({ agent, port })
  t.is(dialed.length, 1)
})

test('http: pipelined requests are answered in order', async (t) => {
  const port = await serveHttp(
    t,
    http.createServer((request, response) => {
      const send = (): void => void response.end(`${request.url} `)
      if (request.url === '/0') setImmediate(send)
      else send()
    }),
  )
  const socket = connectNet({ host: '127.0.0.1', port, allowHalfOpen: true })
  t.teardown(() => socket.destroy())
  for (let index = 0; index < 10; index += 1) {
    const connection = index === 9 ? 'close' : 'keep-alive'
    socket.write(`GET /${index} HTTP/1.1\r\nHost: here\r\nConnection: ${connection}\r\n\r\n`)
  }
  const received = await text(socket)
  t.deepEqual(
    received.match(/\/\d /g),
    Array.from({ length: 10 }, (_, index) => `/${index} `),
  )
  socket.end()
})

test('http: an upgrade hands the stream on, on both sides', async (t) => {
  const server = http.createServer()
  server.on('upgrade', (_request, socket: Duplex, head: Buffer) => {
    t.is(head.toString(), '')
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
    socket.pipe(socket)
  })
  const port = await serveHttp(t, server)
  const request = http.request({
    host: '127.0.0.1',
    port,
    agent: duplexAgent(t),
    headers: { connection: 'Upgrade', upgrade: 'echo' },
  })
  request.end()
  const [response, socket] = (await once(request, 'upgrade')) as [http.IncomingMessage, Duplex]
  t.is(response.statusCode, 101)
  socket.end('through the tunnel')
  t.is(await text(socket), 'through the tunnel')
})

test('http: closeAllConnections ends requests that wait', async (t) => {
  const server = http.createServer()
  const port = await serveHttp(t, server)
  const request = http.request({ host: '127.0.0.1', port, agent: netAgent(t) })
  server.once('request', () => server.closeAllConnections())
  request.end()
  await t.throwsAsync(once(request, 'response'), { code: 'ECONNRESET' })
})

test('http: what is no request is answered with 400', async (t) => {
  const port = await serveHttp(t, createEcho())
  const socket = connectNet({ host: '127.0.0.1', port })
  socket.write('this is no request\r\n\r\n')
  t.true((await text(socket)).startsWith('HTTP/1.1 400 Bad Request\r\n'))
})

test('tls: a client over our stream', async (t) => {
  const server = tls.createServer({ key, cert: certificate }, (socket) => socket.pipe(socket))
  const port = await listen(t, server)
  const duplex = await dialDuplex(t, port)
  const socket = tls.connect({ socket: duplex, ca: certificate, servername: 'localhost' })
  await once(socket, 'secureConnect')
  t.true(socket.authorized)
  socket.end(largeBody)
  t.is(digest(await text(socket)), digest(largeBody))
})

test('tls: a server over our streams', async (t) => {
  const secureContext = tls.createSecureContext({ key, cert: certificate })
  const echo = (duplex: ConnectionDuplex): void => {
    const socket = new tls.TLSSocket(duplex, { isServer: true, secureContext })
    socket.pipe(socket)
  }
  // TLS has things to write when the peer of the stream below has ended.
  const port = await serveStreams(t, echo, { allowHalfOpen: true })
  const socket = tls.connect({ host: '127.0.0.1', port, ca: certificate, servername: 'localhost' })
  await once(socket, 'secureConnect')
  t.true(socket.authorized)
  socket.end(largeBody)
  t.is(digest(await text(socket)), digest(largeBody))
})
