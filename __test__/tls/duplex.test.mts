import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import { type AddressInfo, connect as connectNet } from 'node:net'
import nodeTls from 'node:tls'
import test, { type ExecutionContext } from 'ava'

import { type ConnectionDuplex, createServer, Dialer, type ServerTlsOptions } from '../../dist/index.mjs'
import { Authority, ofClient, patient } from '../support/certificates.mjs'
import { Inbox } from '../support/deferred.mjs'
import { pattern } from '../support/frames.mjs'
import { codeOf, portOf } from '../support/netpoll.mjs'

const root = new Authority({ name: 'root' })
const identity = root.issue()
const ofAda = root.issue({ name: 'ada', extensions: ofClient })
const ca = root.cert

/** Each connection of the port as a stream. */
async function streams(
  t: ExecutionContext,
  options: Partial<ServerTlsOptions> & { readonly pollers?: number },
  use: (duplex: ConnectionDuplex) => void,
): Promise<number> {
  const { pollers = 0, ...tls } = options
  const server = createServer({
    pollers,
    tls: { ...identity, ...patient, ...tls },
    onConnect: (connection) => use(connection.toDuplex()),
  })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  return portOf(server)
}

async function bodyOf(stream: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

for (const pollers of [0, 1, 2]) {
  test(`https clients are served by a plain http server: pollers ${pollers}`, async (t) => {
    const seen = new Inbox<ConnectionDuplex>()
    // A stall of more than the default closes what the client keeps for its next request.
    const server = http.createServer({ keepAliveTimeout: 0 }, (request, response) => {
      seen.push(request.socket as unknown as ConnectionDuplex)
      response.setHeader('x-peer', String(request.socket.remoteAddress))
      request.pipe(response)
    })
    const port = await streams(t, { pollers, ca, requestCert: true, ALPNProtocols: ['http/1.1'] }, (duplex) =>
      server.emit('connection', duplex),
    )
    const agent = new https.Agent({ keepAlive: true, ca, ...ofAda, servername: 'localhost', maxSockets: 1 })
    t.teardown(() => agent.destroy())
    for (const size of [0, 10, 1_000_000]) {
      const request = https.request({ host: '127.0.0.1', port, agent, method: 'POST' })
      request.end(pattern(size))
      const [response] = (await once(request, 'response')) as [http.IncomingMessage]
      t.is(response.headers['x-peer'], '127.0.0.1')
      t.true((await bodyOf(response)).equals(pattern(size)), `${size} bytes`)
      const socket = await seen.take()
      t.true(socket.encrypted)
      t.true(socket.authorized)
      t.is(socket.authorizationError, null)
      t.is(socket.servername, 'localhost')
      t.is(socket.getProtocol?.(), 'TLSv1.3')
      t.like(socket.getPeerCertificate?.(), { subject: { CN: 'ada' }, issuer: { CN: 'root' } })
    }
  })

  test(`a request that keeps no connection is answered: pollers ${pollers}`, async (t) => {
    const server = http.createServer((_request, response) => response.end('hello'))
    const port = await streams(t, { pollers }, (duplex) => server.emit('connection', duplex))
    const request = https.get({ host: '127.0.0.1', port, ca, servername: 'localhost', agent: false })
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    t.is(String(await bodyOf(response)), 'hello')
  })

  test(`http2 clients are served by a plain http2 server: pollers ${pollers}`, async (t) => {
    const server = http2.createServer()
    const protocols = new Inbox<unknown>()
    server.on('session', (session) => protocols.push([session.alpnProtocol, session.encrypted]))
    server.on('stream', (stream, headers) => {
      stream.respond({ ':status': 200, 'x-path': headers[':path'] })
      stream.pipe(stream)
    })
    const port = await streams(t, { pollers, ALPNProtocols: ['h2'] }, (duplex) =>
      server.emit('connection', duplex),
    )
    const session = http2.connect(`https://localhost:${port}`, { ca, host: '127.0.0.1' } as never)
    t.teardown(() => session.destroy())
    const bodies = await Promise.all(
      [0, 100, 300_000].map(async (size) => {
        const stream = session.request({ ':method': 'POST', ':path': `/${size}` })
        stream.end(pattern(size))
        return bodyOf(stream)
      }),
    )
    t.deepEqual(
      bodies.map((body) => body.length),
      [0, 100, 300_000],
    )
    t.deepEqual(await protocols.take(), ['h2', true])
    session.close()
    await once(session, 'close')
  })

  test(`https and http2 servers are called over it: pollers ${pollers}`, async (t) => {
    const server = http2.createSecureServer({ ...identity, allowHTTP1: true }, (request, response) => {
      response.end(request.httpVersion)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    const { port } = server.address() as AddressInfo
    const dial = async (protocol: string): Promise<ConnectionDuplex> => {
      const tls = { ca, servername: 'localhost', ALPNProtocols: [protocol] }
      const connection = await new Dialer({ pollers, tls }).dial({ host: '127.0.0.1', port })
      return connection.toDuplex()
    }
    const plain = await dial('http/1.1')
    t.is(plain.alpnProtocol, 'http/1.1')
    const request = http.get({ createConnection: () => plain as never })
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    t.is(String(await bodyOf(response)), '1.1')
    const duplex = await dial('h2')
    t.deepEqual(duplex.getCipher?.(), {
      name: 'TLS_AES_256_GCM_SHA384',
      standardName: 'TLS_AES_256_GCM_SHA384',
      version: 'TLSv1.3',
    })
    const session = http2.connect(`https://localhost:${port}`, { createConnection: () => duplex })
    const stream = session.request({ ':path': '/' })
    t.is(String(await bodyOf(stream.end())), '2.0')
    t.is(session.alpnProtocol, 'h2')
    session.close()
    await once(session, 'close')
    plain.destroy()
  })
}

test('a stream without TLS has none of its members, and one with TLS 1.2 says so', async (t) => {
  const plain = createServer({ onConnect: (connection) => void connection.toDuplex() })
  t.teardown(() => plain.close({ timeout: 0 }))
  await plain.listen({ host: '127.0.0.1', port: 0 })
  const duplex = (await new Dialer().dial({ host: '127.0.0.1', port: portOf(plain) })).toDuplex()
  for (const name of ['encrypted', 'authorized', 'alpnProtocol', 'getPeerCertificate'])
    t.false(name in duplex)
  duplex.destroy()
  const seen = new Inbox<ConnectionDuplex>()
  const port = await streams(t, {}, seen.push)
  const socket = nodeTls.connect({
    port,
    host: '127.0.0.1',
    ca,
    servername: 'localhost',
    maxVersion: 'TLSv1.2',
  })
  await once(socket, 'secureConnect')
  const secured = await seen.take()
  t.is(secured.getProtocol?.(), 'TLSv1.2')
  t.like(secured.getCipher?.(), { version: 'TLSv1.2', ...without(socket.getCipher()) })
  t.false(secured.alpnProtocol)
  t.false(secured.authorized)
  t.deepEqual(secured.getPeerCertificate?.(), {})
  t.false(secured.isSessionReused?.())
  t.is(codeOf(t.throws(() => secured.connection.detach())), 'ERR_UNSUPPORTED')
  socket.end()
  await once(socket, 'close')
})

test('a plain peer of such a port is no stream', async (t) => {
  const port = await streams(t, {}, () => t.fail())
  const socket = connectNet(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write('GET / HTTP/1.1\r\n\r\n')
  await once(socket.resume(), 'close')
  t.pass()
})

function without({ name, standardName }: nodeTls.CipherNameAndProtocol): object {
  return { name, standardName }
}
