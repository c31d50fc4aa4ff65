import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import tls from 'node:tls'
import test, { type ExecutionContext } from 'ava'

import { type ClientTlsOptions, createServer, Dialer, type ServerTlsOptions } from '../../dist/index.mjs'
import { Authority, type Identity, ofClient, ofServer } from '../support/certificates.mjs'
import { Inbox } from '../support/deferred.mjs'
import { codeOf, framing, portOf } from '../support/netpoll.mjs'

const root = new Authority({ name: 'root' })
const otherRoot = new Authority({ name: 'other root' })
const intermediate = root.authority()
const good = root.issue()
const chained = intermediate.issue()
const selfSigned = new Authority({ name: 'localhost', extensions: ['subjectAltName=DNS:localhost'] })
const selfIssued = new Authority({
  name: 'localhost',
  extensions: ['subjectAltName=DNS:localhost', 'basicConstraints=critical,CA:FALSE'],
})

/** The certificate alone, without those that lead to its root. */
const alone = ({ key, cert }: Identity): Identity => ({
  key,
  cert: cert.slice(0, cert.indexOf('-----END CERTIFICATE-----') + 26),
})

interface Case {
  readonly what: string
  readonly identity: Identity
  readonly client?: ClientTlsOptions & { readonly ca?: string | readonly string[] }
}

const ca = root.cert
const cases: readonly Case[] = [
  { what: 'trusted', identity: good },
  { what: 'trusted by way of an intermediate', identity: chained },
  {
    what: 'an intermediate that only the client has',
    identity: alone(chained),
    client: { ca: [ca, intermediate.cert] },
  },
  { what: 'a missing intermediate', identity: alone(chained) },
  { what: 'another root', identity: good, client: { ca: otherRoot.cert } },
  { what: 'another root, by way of an intermediate', identity: chained, client: { ca: otherRoot.cert } },
  {
    what: 'the root is shown, and not trusted',
    identity: { ...good, cert: good.cert + ca },
    client: { ca: otherRoot.cert },
  },
  { what: 'an intermediate in the place of a root', identity: chained, client: { ca: intermediate.cert } },
  {
    what: 'the same, which is allowed',
    identity: chained,
    client: { ca: intermediate.cert, allowPartialTrustChain: true },
  },
  { what: 'self-signed', identity: selfSigned },
  { what: 'self-signed and listed', identity: selfSigned, client: { ca: selfSigned.cert } },
  { what: 'self-signed, listed, and no authority', identity: selfIssued, client: { ca: selfIssued.cert } },
  { what: 'expired', identity: root.issue({ days: [-10, -1] }) },
  { what: 'not yet valid', identity: root.issue({ days: [1, 10] }) },
  {
    what: 'expired and of another root',
    identity: root.issue({ days: [-10, -1] }),
    client: { ca: otherRoot.cert },
  },
  { what: 'for clients', identity: root.issue({ extensions: ofClient }) },
  { what: 'of another name', identity: good, client: { servername: 'other.example' } },
  { what: 'issued by a leaf', identity: new Authority({ name: 'leaf', extensions: ofServer }, root).issue() },
]

/** What Node.js's own client says. */
async function codeOfNode(port: number, options: ClientTlsOptions): Promise<string | undefined> {
  const socket = tls.connect({ port, host: 'localhost', ...(options as tls.ConnectionOptions) })
  try {
    await once(socket, 'secureConnect')
    return undefined
  } catch (error) {
    return String(codeOf(error))
  } finally {
    socket.destroy()
  }
}

async function dialCode(port: number, options: ClientTlsOptions): Promise<string | undefined> {
  try {
    const connection = await new Dialer({ framing, tls: options }).dial({ host: 'localhost', port })
    await connection.close()
    return undefined
  } catch (error) {
    return String(codeOf(error))
  }
}

async function serveTls(t: ExecutionContext, options: ServerTlsOptions): Promise<number> {
  const server = createServer({ framing, tls: options }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  return portOf(server)
}

for (const { what, identity, client } of cases) {
  test(`a dialer says of a server what Node.js says: ${what}`, async (t) => {
    const port = await serveTls(t, identity)
    const options = { ca, ...client }
    t.is(await dialCode(port, options), await codeOfNode(port, options))
    // What is no reason to end is told.
    const connection = await new Dialer({
      framing,
      tls: { ...options, rejectUnauthorized: false },
    }).dial({ host: 'localhost', port })
    const expected = await dialCode(port, options)
    t.is(connection.tls?.authorizationError, expected)
    t.is(connection.tls?.authorized, expected === undefined)
    await connection.close()
  })
}

/** What Node.js's own server says of a client; `undefined` where it takes it. */
async function serverCodeOfNode(
  t: ExecutionContext,
  identity: Partial<Identity>,
): Promise<string | undefined> {
  const server = tls.createServer({ ...good, ca, requestCert: true })
  t.teardown(() => server.close())
  const said = new Inbox<string | undefined>()
  server.on('tlsClientError', (error: Error) => said.push(String(codeOf(error))))
  server.on('secureConnection', (socket) => {
    said.push(undefined)
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

const clients: readonly (readonly [string, Partial<Identity>])[] = [
  ['trusted', root.issue({ name: 'client', extensions: ofClient })],
  ['none', {}],
  ['of another root', otherRoot.issue({ name: 'client', extensions: ofClient })],
  ['self-signed', selfSigned],
  ['expired', root.issue({ name: 'client', extensions: ofClient, days: [-10, -1] })],
  ['for servers', good],
]

for (const [what, identity] of clients) {
  test(`a server takes the clients that Node.js takes: ${what}`, async (t) => {
    const said = new Inbox<string | undefined>()
    const server = createServer({
      framing,
      tls: { ...good, ca, requestCert: true, onHandshakeError: (error) => said.push(String(codeOf(error))) },
      onConnect: () => said.push(undefined),
    })
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen({ host: '127.0.0.1', port: 0 })
    const dialer = new Dialer({ framing, onError: () => {}, tls: { ca, ...identity } })
    const dialing = dialer.dial({ host: 'localhost', port: portOf(server) })
    const ended = dialing.then(
      (connection) =>
        new Promise<void>((resolve) => {
          if (what === 'trusted') void connection.close()
          connection.onClose(resolve)
        }),
      () => {},
    )
    const ours = await said.take()
    const nodes = await serverCodeOfNode(t, identity)
    t.is(ours === undefined, nodes === undefined, `${ours} ${nodes}`)
    if (what === 'none') t.is(ours, nodes)
    await ended
  })
}

test('who asks for certificates and accepts anyone is told who came', async (t) => {
  const seen = new Inbox<readonly [boolean, string | undefined]>()
  const server = createServer({
    framing,
    tls: { ...good, ca, requestCert: true, rejectUnauthorized: false },
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
