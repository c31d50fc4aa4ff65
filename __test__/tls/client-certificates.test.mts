// What servers say of the certificates of clients, and what clients learn of it: each with the code of Node.js.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import tls from 'node:tls'
import test, { type ExecutionContext } from 'ava'

import {
  type ClientTlsOptions,
  type Connection,
  createServer,
  Dialer,
  type FramedDialerOptions,
  Mux,
  Pool,
  type Server,
  type ServerTlsOptions,
} from '../../dist/index.mjs'
import { algorithms, Authority, type Identity, ofClient, patient } from '../support/certificates.mjs'
import { Inbox, nextTurn } from '../support/deferred.mjs'
import { codeOf, framing, portOf, rejection } from '../support/netpoll.mjs'

const root = new Authority({ name: 'root' })
const otherRoot = new Authority({ name: 'other root' })
const good = root.issue()
const ca = root.cert
const selfSigned = new Authority({ name: 'localhost', extensions: ['subjectAltName=DNS:localhost'] })
const client = { name: 'client', extensions: ofClient }
const chained = root.authority().issue(client)
const ofOther = otherRoot.issue(client)
const versions = ['TLSv1.2', 'TLSv1.3'] as const

/** The certificate alone, without those that lead to its root. */
const alone = ({ key, cert }: Identity): Identity => ({
  key,
  cert: cert.slice(0, cert.indexOf('-----END CERTIFICATE-----') + 26),
})

const clients: readonly (readonly [what: string, Partial<Identity>])[] = [
  ['trusted', root.issue(client)],
  ['trusted by way of an intermediate', chained],
  ['of RSA', root.issue({ ...client, algorithm: algorithms.RSA })],
  ['of Ed25519', root.issue({ ...client, algorithm: algorithms.Ed25519 })],
  ['for any usage', root.issue({ name: 'client', extensions: ['basicConstraints=CA:FALSE'] })],
  ['none', {}],
  ['without the intermediate', alone(chained)],
  ['of another root', otherRoot.issue(client)],
  ['of another root, which is shown', { ...ofOther, cert: ofOther.cert + otherRoot.cert }],
  ['self-signed', selfSigned],
  ['expired', root.issue({ ...client, days: [-10, -1] })],
  ['not yet valid', root.issue({ ...client, days: [1, 10] })],
  ['for servers', good],
  ['below an expired authority', root.authority('old', { days: [-10, -1] }).issue(client)],
  [
    'below an authority for servers',
    root
      .authority('other', {
        extensions: ['basicConstraints=critical,CA:TRUE', 'extendedKeyUsage=serverAuth'],
      })
      .issue(client),
  ],
  [
    'with a key that may only be wrapped',
    root.issue({ ...client, extensions: [...ofClient, 'keyUsage=critical,keyEncipherment'] }),
  ],
]

interface Verdict {
  readonly authorized: boolean
  readonly error: string | undefined
}

/** What Node.js's own server says of a client that it serves all the same; of none, what it says if it refuses. */
async function verdictOfNode(
  t: ExecutionContext,
  identity: Partial<Identity>,
  rejectUnauthorized: boolean,
): Promise<Verdict> {
  const server = tls.createServer({ ...good, ca, requestCert: true, rejectUnauthorized })
  t.teardown(() => server.close())
  const said = new Inbox<Verdict>()
  server.on('tlsClientError', (error: Error) =>
    said.push({ authorized: false, error: String(codeOf(error)) }),
  )
  server.on('secureConnection', (socket) => {
    const error = (socket.authorizationError ?? undefined) as unknown as string | undefined
    said.push({ authorized: socket.authorized, error })
    socket.on('error', () => {}).destroy()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const socket = tls.connect({ port, host: 'localhost', ca, ...identity })
  socket.on('error', () => {})
  t.teardown(() => socket.destroy())
  return await said.take()
}

async function listening(
  t: ExecutionContext,
  options: ServerTlsOptions,
  {
    pollers = 0,
    onConnect = () => {},
  }: { pollers?: number; onConnect?: (connection: Connection) => void } = {},
): Promise<Server> {
  const server = createServer(
    { framing, pollers, onConnect, tls: { ...good, ...patient, ca, requestCert: true, ...options } },
    (request) => request,
  )
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  return server
}

/** A dialer, and what its connections have ended with. */
class Caller {
  readonly #ends = new Inbox<Error | undefined>()
  readonly #dialer: Dialer

  constructor(options: ClientTlsOptions, others: Partial<FramedDialerOptions> = {}) {
    this.#dialer = new Dialer({
      framing,
      ...others,
      tls: options,
      onError: () => {},
      onDisconnect: (_connection, error) => this.#ends.push(error),
    })
  }

  /** `undefined` where it is served, else the code that its dial or its connection ends with. */
  async call(port: number): Promise<string | undefined> {
    try {
      const connection = await this.#dialer.dial({ host: 'localhost', port })
      const isServed = connection.call('served').then(
        () => true,
        () => false,
      )
      if (await isServed) await connection.close()
    } catch (error) {
      return String(codeOf(error))
    }
    const end = await this.#ends.take()
    return end === undefined ? undefined : String(codeOf(end))
  }
}

for (const [index, [what, identity]] of clients.entries()) {
  for (const version of versions) {
    const pollers = index % 3
    test(`a server says of clients what Node.js says: ${what}, ${version}, pollers ${pollers}`, async (t) => {
      const expected = await verdictOfNode(t, identity, false)
      const refused = identity.key === undefined ? await verdictOfNode(t, identity, true) : expected
      const dialer = new Caller({ ca, ...identity, minVersion: version, maxVersion: version })

      const seen = new Inbox<Verdict>()
      const asking = await listening(
        t,
        { rejectUnauthorized: false },
        {
          pollers,
          onConnect: ({ tls: agreed }) =>
            seen.push({ authorized: agreed?.authorized ?? false, error: agreed?.authorizationError }),
        },
      )
      // Once more with the session of before.
      for (const round of ['first', 'resumed']) {
        t.is(await dialer.call(portOf(asking)), undefined, round)
        t.deepEqual(await seen.take(), expected, round)
      }

      const errors = new Inbox<Error>()
      const requiring = await listening(t, { onHandshakeError: errors.push }, { pollers })
      const outcome = await dialer.call(portOf(requiring))
      t.is(outcome, refused.error === undefined ? undefined : 'ERR_TLS_ALERT')
      t.is(refused.error === undefined ? undefined : String(codeOf(await errors.take())), refused.error)
    })
  }
}

for (const version of versions) {
  test(`a server of Node.js refuses a client without a certificate, which learns of it: ${version}`, async (t) => {
    const server = tls.createServer({
      ...good,
      ca,
      requestCert: true,
      minVersion: version,
      maxVersion: version,
    })
    t.teardown(() => server.close())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    t.is(await new Caller({ ca }).call(port), 'ERR_TLS_ALERT')
  })

  test(`a pool and a mux do not dial on and on where their certificate is refused: ${version}`, async (t) => {
    const errors = new Inbox<Error>()
    const server = await listening(t, { onHandshakeError: errors.push })
    const target = { host: '127.0.0.1', port: portOf(server) }
    const shared = {
      framing,
      connections: 1,
      onError: () => {},
      tls: { ca, servername: 'localhost', minVersion: version, maxVersion: version },
    }
    const backoff = { min: 60_000, max: 60_000 }
    const pool = new Pool(target, shared)
    const mux = new Mux(target, { ...shared, backoff, failFast: true })
    t.teardown(() => Promise.all([pool.close({ timeout: 0 }), mux.close({ timeout: 0 })]))
    for (const [index, client] of [pool, mux].entries()) {
      t.is(codeOf(await rejection(client.call('refused'))), 'ERR_TLS_ALERT')
      await errors.reach(index + 1)
    }
    // The mux waits a minute, and the pool for its next caller.
    for (let turn = 0; turn < 200; turn += 1) await nextTurn()
    t.is(server.stats().tls?.failed, 2)
  })
}

test('who asks for certificates and accepts anyone is told who came', async (t) => {
  const seen = new Inbox<readonly [boolean, string | undefined]>()
  const server = createServer({
    framing,
    tls: { ...good, ...patient, ca, requestCert: true, rejectUnauthorized: false },
    onConnect: ({ tls: agreed }) => void seen.push([agreed?.authorized ?? false, agreed?.authorizationError]),
  })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  for (const identity of [root.issue({ extensions: ofClient }), selfSigned, {}]) {
    const dialer = new Dialer({ framing, tls: { ca, ...identity } })
    // Once more with the session of before.
    for (let round = 0; round < 2; round += 1) {
      const connection = await dialer.dial({ host: 'localhost', port: portOf(server) })
      await connection.close()
    }
  }
  const told = await seen.reach(6)
  t.deepEqual(
    told.map(([authorized]) => authorized),
    [true, true, false, false, false, false],
  )
  t.deepEqual([told[2]?.[1], told[3]?.[1]], ['DEPTH_ZERO_SELF_SIGNED_CERT', 'DEPTH_ZERO_SELF_SIGNED_CERT'])
})

for (const pollers of [0, 1, 2]) {
  test(`a certificate that is refused while onConnect runs is why the dial fails: pollers ${pollers}`, async (t) => {
    const port = portOf(await listening(t, {}))
    const target = { host: '127.0.0.1', port }
    const shared = {
      framing,
      pollers,
      onError: () => {},
      // The connection has gone when it is done.
      onConnect: async ({ signal }: Connection): Promise<void> => {
        while (!signal.aborted) await nextTurn()
        for (let turn = 0; turn < 20; turn += 1) await nextTurn()
      },
    }
    const options = { ca, servername: 'localhost' }
    t.is(await new Caller(options, shared).call(port), 'ERR_TLS_ALERT')
    const pool = new Pool(target, { ...shared, tls: options, connections: 1 })
    const mux = new Mux(target, { ...shared, tls: options, connections: 1 })
    t.teardown(() => Promise.all([pool.close({ timeout: 0 }), mux.close({ timeout: 0 })]))
    t.is(codeOf(await rejection(pool.call('refused'))), 'ERR_TLS_ALERT')
    t.is(codeOf(await rejection(mux.call('refused'))), 'ERR_TLS_ALERT')
  })
}
