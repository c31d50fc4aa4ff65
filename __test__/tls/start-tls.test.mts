import { once } from 'node:events'
import { connect as connectNet, createServer as createNetServer, type AddressInfo } from 'node:net'
import nodeTls from 'node:tls'
import test, { type ExecutionContext } from 'ava'

import {
  type Connection,
  createServer,
  Dialer,
  type Server,
  type ServerStartTlsOptions,
} from '../../dist/index.mjs'
import { Authority, patient } from '../support/certificates.mjs'
import { Inbox } from '../support/deferred.mjs'
import { placeOf } from '../support/listeners.mjs'
import { codeOf, framing, portOf, rejection, targetOf } from '../support/netpoll.mjs'

const root = new Authority({ name: 'root' })
const identity = root.issue()
const ca = root.cert

/** Answers the first line by the switch to TLS, and everything behind it by the same bytes. */
async function switching(
  t: ExecutionContext,
  {
    pollers = 0,
    transport = 'tcp' as 'tcp' | 'unix',
    ...options
  }: Partial<ServerStartTlsOptions> & {
    readonly pollers?: number
    readonly transport?: 'tcp' | 'unix'
  } = {},
): Promise<{ readonly server: Server; readonly outcomes: Inbox<unknown> }> {
  const outcomes = new Inbox<unknown>()
  const server = createServer({
    pollers,
    onError: () => {},
    onData: async (connection) => {
      if (connection.tls === undefined) {
        if (connection.reader.indexOf('\n') < 0) return
        connection.reader.until('\n')
        await connection
          .startTls({ ...identity, ...patient, lastPlaintext: 'go ahead\n', ...options })
          .then(() => outcomes.push(connection.tls?.protocol), outcomes.push)
        return
      }
      connection.writer.writeBinary(connection.reader.next(connection.reader.length))
      await connection.writer.flush()
    },
  })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen(placeOf(t, transport))
  return { server, outcomes }
}

/** A server of Node.js that does the same. */
async function switchingPeer(
  t: ExecutionContext,
  between = '',
): Promise<{ readonly host: string; readonly port: number }> {
  const server = createNetServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => {
      socket.write(`go ahead\n${between}`)
      const secured = new nodeTls.TLSSocket(socket, { isServer: true, ...identity })
      secured.on('error', () => {})
      secured.on('data', (chunk) => secured.write(chunk))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
}

async function ask(connection: Connection): Promise<void> {
  connection.writer.writeString('may I\n')
  await connection.writer.flush()
  await connection.reader.fill(9)
}

async function echoed(t: ExecutionContext, connection: Connection, text: string): Promise<void> {
  connection.writer.writeString(text)
  await connection.writer.flush()
  await connection.reader.fill(text.length)
  t.is(connection.reader.readString(text.length), text)
}

for (const pollers of [0, 1, 2]) {
  for (const transport of ['tcp', 'unix'] as const) {
    test(`both ends go over to TLS: pollers ${pollers}, ${transport}`, async (t) => {
      const { server, outcomes } = await switching(t, { pollers, transport })
      for (let round = 0; round < 3; round += 1) {
        const connection = await new Dialer({ pollers }).dial(targetOf(server))
        t.teardown(() => connection.destroy())
        await ask(connection)
        t.is(connection.reader.until('\n').toString(), 'go ahead\n')
        const before = connection.tls
        await connection.startTls({ ...patient, ca, servername: 'localhost' })
        t.is(before, undefined)
        t.like(connection.tls, { protocol: 'TLSv1.3', authorized: true })
        await echoed(t, connection, 'x'.repeat(200_000))
        t.is(await outcomes.take(), 'TLSv1.3')
        await connection.close()
      }
      await server.close()
    })
  }

  test(`a client of node:tls is answered, also where it does not wait: pollers ${pollers}`, async (t) => {
    const { server } = await switching(t, { pollers })
    const socket = connectNet(portOf(server), '127.0.0.1')
    socket.write('may I\n')
    await once(socket, 'readable')
    t.is(String(socket.read(9)), 'go ahead\n')
    const secured = nodeTls.connect({ socket, ca, servername: 'localhost' })
    await once(secured, 'secureConnect')
    secured.write('hello')
    const [answer] = (await once(secured, 'data')) as [Buffer]
    t.is(String(answer), 'hello')
    secured.end()
    await once(secured, 'close')
  })

  test(`a server of node:tls is dialed: pollers ${pollers}`, async (t) => {
    const connection = await new Dialer({ pollers }).dial(await switchingPeer(t))
    await ask(connection)
    connection.reader.until('\n')
    await connection.startTls({ ...patient, ca, servername: 'localhost' })
    await echoed(t, connection, 'hello')
    await connection.close()
  })

  test(`commands behind the last plaintext are refused: pollers ${pollers}`, async (t) => {
    const { server, outcomes } = await switching(t, { pollers })
    const socket = connectNet(portOf(server), '127.0.0.1')
    socket.on('error', () => {})
    socket.write('may I\nRCPT TO:<everyone>\n')
    t.is(codeOf(await outcomes.take()), 'ERR_TLS_PROTOCOL')
    await once(socket.resume(), 'close')

    const connection = await new Dialer({ pollers }).dial(await switchingPeer(t, 'and obey\n'))
    connection.writer.writeString('may I\n')
    await connection.writer.flush()
    await connection.reader.fill(18)
    connection.reader.until('\n')
    t.is(
      codeOf(await rejection(connection.startTls({ ...patient, ca, servername: 'localhost' }))),
      'ERR_TLS_PROTOCOL',
    )
    t.false(connection.isActive)
  })

  for (const parts of [1, 2, 7]) {
    test(`a handshake begins with what was read: pollers ${pollers}, ${parts} parts`, async (t) => {
      const { server, outcomes } = await switching(t, { pollers, unread: 'handshake', lastPlaintext: '' })
      const target = { host: '127.0.0.1', port: portOf(server) }
      // As behind a proxy, which does not wait: what the client says first comes right behind the header.
      const proxy = createNetServer((socket) => {
        const other = connectNet(target)
        socket.once('data', (hello: Buffer) => {
          const all = Buffer.concat([Buffer.from('PROXY TCP4 1.2.3.4 5.6.7.8 9 10\n'), hello])
          other.setNoDelay()
          const size = Math.ceil(all.length / parts)
          for (let at = 0; at < all.length; at += size) other.write(all.subarray(at, at + size))
          socket.pipe(other).pipe(socket)
        })
        for (const one of [socket, other]) one.on('error', () => {})
      })
      proxy.listen(0, '127.0.0.1')
      await once(proxy, 'listening')
      t.teardown(() => proxy.close())
      const { port } = proxy.address() as AddressInfo
      const secured = nodeTls.connect({ host: '127.0.0.1', port, ca, servername: 'localhost' })
      await once(secured, 'secureConnect')
      secured.write('hello')
      t.is(String(((await once(secured, 'data')) as [Buffer])[0]), 'hello')
      t.is(await outcomes.take(), 'TLSv1.3')
      secured.end()
      await once(secured, 'close')
    })
  }
}

test('what was queued before leaves as plaintext, and nothing can be sent meanwhile', async (t) => {
  const got: Buffer[] = []
  const server = createNetServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => void got.push(chunk) as void)
    socket.resume()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const connection = await new Dialer().dial({
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
  })
  const plain = 'p'.repeat(3_000_000)
  connection.writer.writeString(plain)
  void connection.writer.flush()
  const switched = rejection(connection.startTls({ ca, lastPlaintext: 'last', ...patient }))
  t.is(codeOf(await rejection(connection.send('secret'))), 'ERR_CONCURRENT_ACCESS')
  t.is(codeOf(await rejection(connection.startTls({ ca }))), 'ERR_UNSUPPORTED')
  const length = (): number => got.reduce((sum, chunk) => sum + chunk.length, 0)
  // A record of the handshake comes behind the plaintext.
  while (length() <= plain.length + 4) await new Promise(setImmediate)
  const all = Buffer.concat(got)
  t.is(all.subarray(0, plain.length + 4).toString(), `${plain}last`)
  t.is(all[plain.length + 4], 22)
  t.false(all.includes('secret'))
  connection.destroy()
  t.is(codeOf(await switched), 'ERR_CONN_CLOSED')
})

test('a handshake that fails ends the connection, and tells', async (t) => {
  const connect = async (): Promise<Connection> => {
    const connection = await new Dialer().dial(await switchingPeer(t))
    await ask(connection)
    connection.reader.until('\n')
    return connection
  }
  const stranger = new Authority({ name: 'stranger' })
  const untrusted = await connect()
  t.is(
    codeOf(await rejection(untrusted.startTls({ ...patient, ca: stranger.cert, servername: 'localhost' }))),
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  )
  t.false(untrusted.isActive)
  const misnamed = await connect()
  t.is(
    codeOf(await rejection(misnamed.startTls({ ...patient, ca, servername: 'example.org' }))),
    'ERR_TLS_CERT_ALTNAME_INVALID',
  )
  t.false(misnamed.isActive)
  const accepted = await connect()
  await accepted.startTls({ ...patient, ca, servername: 'example.org', rejectUnauthorized: false })
  t.like(accepted.tls, { authorized: false, authorizationError: 'ERR_TLS_CERT_ALTNAME_INVALID' })
  await accepted.close()

  const { server, outcomes } = await switching(t, { handshakeTimeout: 1 })
  const silent = connectNet(portOf(server), '127.0.0.1')
  silent.on('error', () => {})
  silent.write('may I\n')
  t.is(codeOf(await outcomes.take()), 'ERR_TLS_HANDSHAKE_TIMEOUT')
  await once(silent.resume(), 'close')
  const gone = connectNet(portOf((await switching(t)).server), '127.0.0.1')
  gone.write('may I\n')
  gone.end()
  await once(gone.resume(), 'close')
})

test('who reads elsewhere, or has a framing or TLS, is refused', async (t) => {
  const { server } = await switching(t)
  const target = targetOf(server)
  const dial = async (): Promise<Connection> => {
    const connection = await new Dialer().dial(target)
    t.teardown(() => connection.destroy())
    return connection
  }
  const waiting = await dial()
  const fill = rejection(waiting.reader.fill(1))
  t.is(codeOf(await rejection(waiting.startTls({ ca }))), 'ERR_CONCURRENT_ACCESS')
  t.true(waiting.isActive)
  waiting.destroy()
  await fill
  const duplex = await dial()
  duplex.toDuplex().on('error', () => {})
  t.is(codeOf(await rejection(duplex.startTls({ ca }))), 'ERR_UNSUPPORTED')
  const framed = await new Dialer({ framing }).dial(target)
  t.is(codeOf(await rejection(framed.startTls({ ca }))), 'ERR_UNSUPPORTED')
  await framed.close()
  const closed = await dial()
  await closed.close()
  t.is(codeOf(await rejection(closed.startTls({ ca }))), 'ERR_CONN_CLOSED')
  const options = await dial()
  for (const wrong of [
    null,
    1,
    { unread: 'keep' },
    { unread: null },
    { handshakeTimeout: '1' },
    { lastPlaintext: 1 },
    { lastPlaintext: [1] },
  ]) {
    await t.throwsAsync(options.startTls(wrong as never), { instanceOf: TypeError })
  }
  for (const wrong of [{ requestCert: true }, { onHandshakeError: () => {} }, { pfx: 'x' }]) {
    t.is(codeOf(await rejection(options.startTls(wrong as never))), 'ERR_INVALID_ARG_VALUE')
  }
  t.true(options.isActive)
})

test('connections that are given the same options resume sessions', async (t) => {
  const { server } = await switching(t)
  const tls = { ...patient, ca, servername: 'localhost' }
  const reused: (boolean | undefined)[] = []
  for (let round = 0; round < 2; round += 1) {
    const connection = await new Dialer().dial({ host: '127.0.0.1', port: portOf(server) })
    await ask(connection)
    connection.reader.until('\n')
    await connection.startTls({ ...tls })
    await echoed(t, connection, 'hello')
    reused.push(connection.tls?.sessionReused)
    await connection.close()
  }
  t.deepEqual(reused, [false, true])
})
