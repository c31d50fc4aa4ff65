import { once } from 'node:events'
import { type AddressInfo, connect as connectNet } from 'node:net'
import nodeTls from 'node:tls'
import test, { type ExecutionContext } from 'ava'

import {
  type Connection,
  createServer,
  Dialer,
  type FramedServerOptions,
  Mux,
  Pool,
  type TlsOptions,
} from '../../dist/index.mjs'
import { Authority, patient } from '../support/certificates.mjs'
import { Inbox } from '../support/deferred.mjs'
import { frame, pattern, unframe } from '../support/frames.mjs'
import { placeOf } from '../support/listeners.mjs'
import { codeOf, framing, portOf, rejection, targetOf } from '../support/netpoll.mjs'

const root = new Authority({ name: 'root' })
const identity = root.issue()
const ca = root.cert
const client = { ca, servername: 'localhost' }
const versions = ['TLSv1.2', 'TLSv1.3'] as const
const only = (version: (typeof versions)[number]): TlsOptions => ({
  minVersion: version,
  maxVersion: version,
})

async function serveAt(
  t: ExecutionContext,
  options: Partial<FramedServerOptions> = {},
  transport: 'tcp' | 'unix' = 'tcp',
) {
  const server = createServer({ framing, tls: { ...identity, ...patient }, ...options }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen(placeOf(t, transport))
  return server
}

for (const pollers of [0, 1, 2]) {
  for (const transport of ['tcp', 'unix'] as const) {
    test(`calls, pools and muxes are encrypted: pollers ${pollers}, ${transport}`, async (t) => {
      const target = targetOf(await serveAt(t, { pollers }, transport))
      const options = { framing, pollers, tls: client }
      const connection = await new Dialer(options).dial(target)
      for (const size of [0, 1, 16_384, 300_000]) {
        const message = pattern(size)
        t.deepEqual(Buffer.from(await connection.call(message)), message)
      }
      t.like(connection.tls, { protocol: 'TLSv1.3', authorized: true, servername: 'localhost' })
      t.is(codeOf(t.throws(() => connection.detach())), 'ERR_UNSUPPORTED')
      await connection.close()
      const pool = new Pool(target, options)
      const mux = new Mux(target, options)
      t.teardown(() => Promise.all([pool.close({ timeout: 0 }), mux.close({ timeout: 0 })]))
      const calls = Array.from({ length: 50 }, (_, index) => [pool.call(`${index}`), mux.call(`${index}`)])
      const replies = await Promise.all(calls.flat())
      t.deepEqual(
        replies.map(String),
        calls.flatMap((_, index) => [`${index}`, `${index}`]),
      )
    })
  }
}

test('the payload is not on the wire', async (t) => {
  const secret = 'nobody else is to read this'
  const target = targetOf(await serveAt(t))
  const seen: Buffer[] = []
  const { createServer: createNetServer } = await import('node:net')
  const between = createNetServer((socket) => {
    const other = connectNet(target as { port: number })
    for (const [from, to] of [
      [socket, other],
      [other, socket],
    ] as const) {
      from
        .on('data', (chunk: Buffer) => void seen.push(chunk) as void)
        .on('error', () => {})
        .pipe(to)
    }
  })
  between.listen(0, '127.0.0.1')
  await once(between, 'listening')
  t.teardown(() => between.close())
  const { port } = between.address() as AddressInfo
  const connection = await new Dialer({ framing, tls: client }).dial({ host: '127.0.0.1', port })
  t.is(String(await connection.call(secret)), secret)
  await connection.close()
  t.false(Buffer.concat(seen).includes(secret))
  t.true(Buffer.concat(seen).length > 2 * secret.length)
})

for (const version of versions) {
  test(`a client of node:tls is served: ${version}`, async (t) => {
    const port = portOf(
      await serveAt(t, { tls: { ...identity, ...patient, ...only(version), ALPNProtocols: ['one', 'two'] } }),
    )
    const socket = nodeTls.connect({ port, host: 'localhost', ca, ALPNProtocols: ['two'] })
    await once(socket, 'secureConnect')
    t.is(socket.getProtocol(), version)
    t.is(socket.alpnProtocol, 'two')
    const message = pattern(200_000)
    socket.write(frame(message))
    let got = Buffer.alloc(0)
    for await (const chunk of socket) {
      got = Buffer.concat([got, chunk as Buffer])
      if (got.length === message.length + 4) break
    }
    t.deepEqual(unframe(got), [message])
  })

  test(`a server of node:tls is called, and its session resumed: ${version}`, async (t) => {
    const server = nodeTls.createServer({ ...identity, minVersion: version, maxVersion: version }, (socket) =>
      socket.on('error', () => {}).pipe(socket),
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    const { port } = server.address() as AddressInfo
    const dialer = new Dialer({ framing, tls: client })
    for (const sessionReused of [false, true]) {
      const connection = await dialer.dial({ host: '127.0.0.1', port })
      t.deepEqual(Buffer.from(await connection.call(pattern(100_000))), pattern(100_000))
      t.like(connection.tls, { protocol: version, sessionReused })
      await connection.close()
    }
    dialer.setSecureContext(client)
    const connection = await dialer.dial({ host: '127.0.0.1', port })
    t.false(connection.tls?.sessionReused)
    await connection.close()
  })
}

test('the certificate is replaced while the server listens, and contexts are added', async (t) => {
  const server = await serveAt(t)
  const target = { host: '127.0.0.1', port: portOf(server) }
  const name = async (servername: string): Promise<string | undefined> => {
    const dialer = new Dialer({ framing, tls: { ca, servername } })
    const connection = await dialer.dial(target)
    await connection.close()
    return connection.tls?.peerCertificate?.serialNumber
  }
  const standing = await new Dialer({ framing, tls: client }).dial(target)
  const first = await name('localhost')
  server.setSecureContext(root.issue())
  t.not(await name('localhost'), first)
  server.addContext(
    '*.example.org',
    root.issue({ name: 'x', extensions: ['subjectAltName=DNS:*.example.org'] }),
  )
  await t.notThrowsAsync(name('a.example.org'))
  t.is(codeOf(await rejection(name('example.org'))), 'ERR_TLS_CERT_ALTNAME_INVALID')
  t.is(String(await standing.call('still here')), 'still here')
  await standing.close()
})

test('what only connects costs no hook, and is told', async (t) => {
  const errors = new Inbox<unknown>()
  const tls = { ...identity, handshakeTimeout: 1, onHandshakeError: errors.push }
  const server = await serveAt(t, { tls, onPrepare: () => t.fail(), onConnect: () => t.fail() })
  const socket = connectNet(portOf(server), '127.0.0.1')
  t.teardown(() => socket.destroy())
  t.is(codeOf(await errors.take()), 'ERR_TLS_HANDSHAKE_TIMEOUT')
  t.is(server.stats().accepted, 0)
})

test('a handshake that fails rejects a dial at once, and tries no other address', async (t) => {
  const port = portOf(await serveAt(t))
  const dialer = new Dialer({
    framing,
    tls: { ca: new Authority({ name: 'other' }).cert },
    connectionAttemptDelay: 60_000,
    lookup: (_host, _options, callback) =>
      callback(null, [
        { address: '127.0.0.1', family: 4 },
        { address: '127.0.0.2', family: 4 },
      ]),
  })
  const error = await rejection(dialer.dial({ host: 'localhost', port }))
  t.is(codeOf(error), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE')
})

test('a descriptor that was given away shakes hands on what it is given', async (t) => {
  const target = targetOf(await serveAt(t))
  const plain = await new Dialer().dial(target)
  const connection = await new Dialer({ framing, tls: client }).fromFd(plain.detach())
  t.is(String(await connection.call('hello')), 'hello')
  await connection.close()
})

test('workers get what was decrypted', async (t) => {
  const server = createServer({
    framing,
    tls: identity,
    workers: { module: new URL('../fixtures/handler.mjs', import.meta.url), threads: 2 },
  })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  const connection: Connection = await new Dialer({ framing, tls: client }).dial(targetOf(server))
  t.regex(String(await connection.call('thread')), /^[0-9]+$/)
  await connection.close()
})

test('wrong options are refused, and no error shows a key', (t) => {
  const refuse = (tls: unknown): Error => t.throws(() => createServer({ framing, tls } as never)) as Error
  const { key, cert } = identity
  for (const tls of [
    ...[null, 1, 'x', {}, { key }, { cert }, { key, cert: key }, { key: [key], cert }, { kye: key, cert }],
    ...[
      { key, cert, pfx: key },
      { key, cert, minVersion: 'TLSv1.1' },
      { key, cert, ciphers: 'AES128-SHA' },
    ],
    ...[
      { key, cert, secureContext: {} },
      { key, cert, ALPNProtocols: [''] },
      { key: 'x', cert },
      { key: 1, cert },
    ],
    ...[Number.NaN, -1, null, '1'].map((handshakeTimeout) => ({ key, cert, handshakeTimeout })),
    ...[1, null, 'x'].map((requestCert) => ({ key, cert, requestCert })),
    { key: root.issue().key, cert },
  ]) {
    const { message } = refuse(tls)
    t.false(message.includes('PRIVATE KEY'), message)
  }
  for (const handshakeTimeout of [0, Number.POSITIVE_INFINITY, 1.5, undefined]) {
    t.notThrows(() => createServer({ framing, tls: { key, cert, handshakeTimeout } }))
  }
  for (const maxCachedSessions of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, null]) {
    t.throws(() => new Dialer({ framing, tls: { maxCachedSessions } } as never))
  }
})
