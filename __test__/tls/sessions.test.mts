// Which sessions are resumed: those of the same destination by the same options, and no others.

import { once } from 'node:events'
import { type AddressInfo, connect as connectNet, createServer as createNetServer } from 'node:net'
import nodeTls from 'node:tls'
import test, { type ExecutionContext } from 'ava'

import {
  type ClientStartTlsOptions,
  type ClientTlsOptions,
  type Connection,
  type ConnectionTls,
  createServer,
  Dialer,
  type Server,
  type ServerStartTlsOptions,
  type ServerTlsOptions,
} from '../../dist/index.mjs'
import { Authority, ofClient, patient } from '../support/certificates.mjs'
import { Inbox } from '../support/deferred.mjs'
import { placeOf } from '../support/listeners.mjs'
import { codeOf, framing, portOf, targetOf } from '../support/netpoll.mjs'

const root = new Authority({ name: 'root' })
const otherRoot = new Authority({ name: 'other root' })
const identity = root.issue()
const ca = root.cert
const own = root.issue({ name: 'client', extensions: ofClient })
const versions = ['TLSv1.2', 'TLSv1.3'] as const
const host = '127.0.0.1'

async function serving(
  t: ExecutionContext,
  tls: ServerTlsOptions,
  { pollers = 0, transport = 'tcp' }: { readonly pollers?: number; readonly transport?: 'tcp' | 'unix' } = {},
): Promise<{ readonly server: Server; readonly seen: Inbox<ConnectionTls> }> {
  const seen = new Inbox<ConnectionTls>()
  const server = createServer(
    {
      framing,
      pollers,
      tls: { ...tls, ...patient },
      onConnect: (connection) => void seen.push(connection.tls as ConnectionTls),
    },
    (request) => request,
  )
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen(placeOf(t, transport))
  return { server, seen }
}

/** Whether a session was resumed. Its successor has come once a call is answered. */
async function exchange(dialer: Dialer, target: Parameters<Dialer['dial']>[0]): Promise<ConnectionTls> {
  const connection = await dialer.dial(target)
  await connection.call('')
  const { tls } = connection
  await connection.close()
  return tls as ConnectionTls
}

for (const version of versions) {
  for (const pollers of [0, 1, 2]) {
    for (const transport of ['tcp', 'unix'] as const) {
      const name = `${version}, pollers ${pollers}, ${transport}`
      const only = { minVersion: version, maxVersion: version }

      test(`tickets of before a change of ca, requestCert or rejectUnauthorized are worth nothing: ${name}`, async (t) => {
        const asking = { ...identity, ca, requestCert: true, rejectUnauthorized: false }
        const errors = new Inbox<Error>()
        const tls = { ...asking, onHandshakeError: errors.push }
        const { server, seen } = await serving(t, tls, { pollers, transport })
        const client = { ca, servername: 'localhost', ...own, ...only }
        const ends = new Inbox<readonly [Connection, Error | undefined]>()
        const dialer = new Dialer({
          framing,
          pollers,
          onError: () => {},
          onDisconnect: (connection, error) => ends.push([connection, error]),
          tls: client,
        })
        const dial = async (): Promise<Partial<ConnectionTls>> => {
          const ours = await exchange(dialer, targetOf(server))
          const { sessionReused, authorized, authorizationError, peerCertificate } = await seen.take()
          t.is(ours.sessionReused, sessionReused)
          return { sessionReused, authorized, authorizationError, peerCertificate }
        }
        t.like(await dial(), { sessionReused: false, authorized: true })
        t.like(await dial(), { sessionReused: true, authorized: true })
        for (const [change, authorizationError] of [
          [{ ca: otherRoot.cert }, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
          [{ ca: [otherRoot.cert, ca] }, undefined],
          [{ rejectUnauthorized: true }, undefined],
          [{ rejectUnauthorized: false }, undefined],
        ] as const) {
          server.setSecureContext(change)
          const expected = { authorized: authorizationError === undefined, authorizationError }
          t.like(await dial(), { sessionReused: false, ...expected })
          t.like(await dial(), { sessionReused: true, ...expected })
        }
        server.setSecureContext({ requestCert: false })
        t.like(await dial(), { sessionReused: false, authorized: false, peerCertificate: undefined })
        t.like(await dial(), { sessionReused: true, authorized: false, peerCertificate: undefined })
        // What is no longer trusted does not come in by the ticket that it was given.
        server.setSecureContext({ requestCert: true, rejectUnauthorized: true, ca: otherRoot.cert })
        const refused = await dialer.dial(targetOf(server)).then(
          async (connection) => {
            await new Promise<void>((resolve) => void connection.onClose(resolve))
            while (ends.all.at(-1)?.[0] !== connection) await ends.reach(ends.all.length + 1)
            return ends.all.at(-1)?.[1]
          },
          (error: unknown) => error,
        )
        t.is(codeOf(refused), 'ERR_TLS_ALERT')
        t.is(codeOf(await errors.take()), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE')
      })
    }
  }

  test(`tickets that a client of Node.js kept are worth nothing, either: ${version}`, async (t) => {
    const { server, seen } = await serving(t, {
      ...identity,
      ca,
      requestCert: true,
      rejectUnauthorized: false,
    })
    let session: Buffer | undefined
    const dial = async (): Promise<boolean> => {
      const socket = nodeTls.connect({
        port: portOf(server),
        host,
        ca,
        servername: 'localhost',
        ...own,
        minVersion: version,
        maxVersion: version,
        ...(session !== undefined && { session }),
      })
      // With TLS 1.3 tickets come behind the handshake.
      const told = session === undefined ? once(socket, 'session') : undefined
      await once(socket, 'secureConnect')
      const reused = socket.isSessionReused()
      if (told !== undefined) session = ((await told) as [Buffer])[0]
      t.is((await seen.take()).sessionReused, reused)
      socket.destroy()
      return reused
    }
    t.false(await dial())
    t.true(await dial())
    server.setSecureContext({ ca: otherRoot.cert })
    t.false(await dial())
    // Node.js shows the root as well.
    t.is(seen.all.at(-1)?.authorizationError, 'SELF_SIGNED_CERT_IN_CHAIN')
  })

  test(`a dialer keeps sessions apart by host and port, and by nothing more: ${version}`, async (t) => {
    const only = { minVersion: version, maxVersion: version }
    const { server } = await serving(t, { ...identity, ...only })
    const port = portOf(server)
    // The same server, with the same keys for tickets, at another port.
    const between = createNetServer((socket) => {
      const other = connectNet(port, host)
      for (const end of [socket, other]) end.on('error', () => {})
      socket.pipe(other).pipe(socket)
    })
    between.listen(0, host)
    await once(between, 'listening')
    t.teardown(() => between.close())
    const asked: string[] = []
    const dialer = new Dialer({
      framing,
      lookup: (_host, _options, callback) => callback(null, [{ address: host, family: 4 }]),
      tls: { ca, ...only, checkServerIdentity: (name) => void asked.push(name) },
    })
    const targets = [
      { host: 'localhost', port },
      { host: 'other.test', port },
      { host, port },
      { host: 'localhost', port: (between.address() as AddressInfo).port },
    ]
    for (const sessionReused of [false, true, true]) {
      for (const target of targets) {
        t.is((await exchange(dialer, target)).sessionReused, sessionReused, JSON.stringify(target))
      }
    }
    // The name is compared for resumed sessions, too.
    t.deepEqual(
      asked,
      [1, 2, 3].flatMap(() => targets.map((target) => target.host)),
    )
  })

  test(`a dialer forgets its sessions with every change of its options: ${version}`, async (t) => {
    const only = { minVersion: version, maxVersion: version }
    const alternative = ['subjectAltName=DNS:localhost,DNS:other.test', 'extendedKeyUsage=serverAuth']
    const { server } = await serving(t, {
      ...root.issue({ extensions: alternative }),
      ca,
      requestCert: true,
      rejectUnauthorized: false,
      ALPNProtocols: ['a', 'b'],
      ...only,
    })
    const dialer = new Dialer({ framing, tls: { ca, servername: 'localhost', ...only } })
    const dial = async (): Promise<boolean> => (await exchange(dialer, targetOf(server))).sessionReused
    for (const change of changes) {
      t.is(await dial(), false)
      t.is(await dial(), true)
      dialer.setSecureContext(change)
    }
    t.is(await dial(), false)
  })

  test(`connections that go over to TLS by other options resume no session: ${version}`, async (t) => {
    const alternative = ['subjectAltName=DNS:localhost,DNS:other.test', 'extendedKeyUsage=serverAuth']
    const shown = root.issue({ extensions: alternative })
    const ofServer: ServerStartTlsOptions = {
      ...shown,
      ca,
      requestCert: true,
      rejectUnauthorized: false,
      ALPNProtocols: ['a', 'b'],
      minVersion: version,
      maxVersion: version,
    }
    const server = createServer({
      onError: () => {},
      onConnect: async (connection) => {
        await connection.startTls(ofServer)
        connection.writer.writeString('x')
        await connection.writer.flush()
      },
    })
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen({ host, port: 0 })
    const upgrade = async (options: ClientStartTlsOptions): Promise<boolean | undefined> => {
      const connection = await new Dialer().dial(targetOf(server))
      await connection.startTls(options)
      await connection.reader.fill(1)
      const { tls } = connection
      connection.destroy()
      return tls?.sessionReused
    }
    const first: ClientTlsOptions = { ca, servername: 'localhost' }
    t.false(await upgrade(first))
    for (const change of changes) {
      t.false(await upgrade({ ...first, ...change }), JSON.stringify(change))
      t.true(await upgrade({ ...first, ...change }), JSON.stringify(change))
      t.true(await upgrade(first), JSON.stringify(change))
    }
  })
}

/** Each of these decides whether a server is trusted, or what it is told. */
const changes: readonly ClientTlsOptions[] = [
  { servername: 'other.test' },
  { ALPNProtocols: ['b'] },
  own,
  { ca: [ca, otherRoot.cert] },
  { rejectUnauthorized: false },
  { checkServerIdentity: () => undefined },
  { allowPartialTrustChain: true },
]
