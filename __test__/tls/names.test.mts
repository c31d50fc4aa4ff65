// Which certificate a server shows for the name that a client asks for: the one that Node.js shows.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import nodeTls from 'node:tls'
import test, { type ExecutionContext } from 'ava'

import {
  type Connection,
  createServer,
  Dialer,
  type FramedServerOptions,
  type ServerTlsOptions,
  type TlsCredentials,
  type TlsVersion,
} from '../../dist/index.mjs'
import { Authority, patient } from '../support/certificates.mjs'
import { Inbox } from '../support/deferred.mjs'
import { placeOf } from '../support/listeners.mjs'
import { codeOf, framing, portOf, rejection, targetOf } from '../support/netpoll.mjs'
import { Peer, type Target } from '../support/peer.mjs'
import { places, words } from '../support/places.mjs'
import { helloOf } from '../support/tls.mjs'

const root = new Authority({ name: 'root' })
const host = '127.0.0.1'
const usual = root.issue({ name: 'usual' })
/** The name of each is its subject. What is added last comes first for Node.js. */
const names = ['*.example.org', '*.a.example.org', 'example.org', 'exact.example.org', 'UPPER.test']
const contexts = Object.fromEntries(
  names.map((name) => {
    const alternative = [`subjectAltName=DNS:${name}`]
    return [name, root.issue({ name: name.replace('*', 'any'), extensions: alternative })] as const
  }),
)
const asked = [
  ...['example.org', 'a.example.org', 'A.Example.ORG', 'exact.example.org', 'b.a.example.org'],
  ...['c.b.a.example.org', 'upper.test', 'Upper.Test', 'other.test', 'notexample.org', 'org', undefined],
]

/** The subject of what a client is shown that asks for `servername`, or the code of what it rejects with. */
async function shown(port: number, servername: string | undefined): Promise<string> {
  const socket = nodeTls.connect({
    port,
    host,
    rejectUnauthorized: false,
    ...(servername !== undefined && { servername }),
  })
  try {
    await once(socket, 'secureConnect')
    return String(socket.getPeerCertificate().subject.CN)
  } catch (error) {
    return String(codeOf(error))
  } finally {
    socket.destroy()
  }
}

async function nodeServer(
  t: ExecutionContext,
  own: TlsCredentials | undefined,
  named: Readonly<Record<string, TlsCredentials>>,
): Promise<number> {
  const server = nodeTls.createServer({ ...(own as nodeTls.TlsOptions) }, (socket) => {
    socket.on('error', () => {})
  })
  for (const [name, context] of Object.entries(named)) {
    server.addContext(name.toLowerCase(), context as nodeTls.SecureContextOptions)
  }
  server.listen(0, host)
  await once(server, 'listening')
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

for (const pollers of [0, 1, 2]) {
  for (const given of ['contexts', 'addContext'] as const) {
    test(`a server shows what Node.js shows for a name: by ${given}, pollers ${pollers}`, async (t) => {
      const server = createServer(
        {
          framing,
          pollers,
          tls: { ...usual, ...patient, ...(given === 'contexts' && { contexts }) },
        } satisfies FramedServerOptions,
        (request) => request,
      )
      t.teardown(() => server.close({ timeout: 0 }))
      await server.listen({ host, port: 0 })
      if (given === 'addContext') {
        for (const [name, context] of Object.entries(contexts)) server.addContext(name, context)
      }
      const port = await nodeServer(t, usual, contexts)
      for (const servername of asked) {
        // Names of hosts have no case. Node.js compares it.
        const expected = await shown(port, servername?.toLowerCase())
        t.is(await shown(portOf(server), servername), expected, servername)
        if (servername === undefined || servername === 'org') continue
        // A dialer of ours asks for the same, and is shown the same.
        const tls = { ca: root.cert, servername, rejectUnauthorized: false }
        const connection = await new Dialer({ framing, tls }).dial({ host, port: portOf(server) })
        t.is(connection.tls?.peerCertificate?.subject, `CN=${expected}`, servername)
        t.is(connection.tls?.authorized, expected !== 'usual', servername)
        await connection.close()
      }
    })
  }
}

/** What a client asks for, and what its server says of it. */
const unknown: readonly (readonly [servername: string, said: string])[] = [
  ['other.test', 'the name "other.test"'],
  ['Another.TEST', 'the name "another.test"'],
  [`${'a'.repeat(59)}.test`, `the name "${'a'.repeat(59)}.test"`],
  [`${'a'.repeat(60)}.test`, `the name "${'a'.repeat(60)}.tes"…`],
  ['', 'no name'],
]

for (const place of places.filter(({ side }) => side === 'server')) {
  const { pollers, transport } = place
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const title = `${words(place)}, ${version}`

    test(`a server says which name it does not know: ${title}`, async (t) => {
      const errors = new Inbox<Error>()
      const tls: ServerTlsOptions = { ...patient, contexts, onHandshakeError: errors.push }
      const server = createServer({ framing, pollers, tls }, (request) => request)
      t.teardown(() => server.close({ timeout: 0 }))
      await server.listen(placeOf(t, transport))
      for (const [servername, said] of unknown) {
        const dialed = new Dialer({
          framing,
          pollers,
          tls: { ca: root.cert, servername, maxVersion: version },
        })
        isUnknown(t, await rejection(dialed.dial(targetOf(server))), servername)
        isToldUnknown(t, await errors.take(), said)
        t.is(await alertFor(targetOf(server), servername, version), alertOf(servername))
        isToldUnknown(t, await errors.take(), said)
      }
    })

    test(`a stream that goes over says which name it does not know: ${title}`, async (t) => {
      const accepted = new Inbox<Connection>()
      const server = createServer({ pollers, onConnect: accepted.push, onError: () => {} })
      t.teardown(() => server.close({ timeout: 0 }))
      await server.listen(placeOf(t, transport))
      for (const [servername, said] of unknown) {
        const dialed = await new Dialer({ pollers, onError: () => {} }).dial(targetOf(server))
        const served = await accepted.take()
        const [refused, told] = await Promise.all([
          rejection(dialed.startTls({ ca: root.cert, servername, maxVersion: version, ...patient })),
          rejection(served.startTls({ contexts, ...patient, unread: 'handshake' })),
        ])
        isUnknown(t, refused, servername)
        isToldUnknown(t, told, said)
      }
    })
  }
}

const alertOf = (servername: string): string =>
  servername === '' ? 'missing_extension (109)' : 'unrecognized_name (112)'

function isUnknown(t: ExecutionContext, error: unknown, servername: string): void {
  const meaning =
    servername === ''
      ? 'it may want a name, which `servername` gives'
      : 'it has no certificate for the name that it was asked for'
  t.is(codeOf(error), 'ERR_TLS_ALERT')
  t.is((error as Error).message, `The peer has sent the TLS alert ${alertOf(servername)}: ${meaning}`)
}

function isToldUnknown(t: ExecutionContext, error: unknown, said: string): void {
  t.is(codeOf(error), 'ERR_TLS_PROTOCOL')
  t.is((error as Error).message, `The client asks for ${said}, for which there is no certificate`)
}

/** The alert by which a server ends the handshake of a client by OpenSSL. */
async function alertFor(target: Target, servername: string, maxVersion: TlsVersion): Promise<string> {
  const peer = await Peer.connect(target)
  try {
    const hello = await helloOf(maxVersion, servername)
    await peer.write(hello)
    const [type, , , , , level, alert] = await peer.readToEnd()
    if (type !== 21 || level !== 2) throw new Error('this is no alert')
    return alert === 112 ? 'unrecognized_name (112)' : `missing_extension (${alert})`
  } finally {
    peer.destroy()
    await peer.closed
  }
}

test('a server without a certificate of its own serves the names that it knows', async (t) => {
  const server = createServer({ framing, tls: { ...patient, contexts } }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host, port: 0 })
  t.is(await shown(portOf(server), 'example.org'), 'example.org')
})

test('what no client can ask for is no name of a context', (t) => {
  const server = createServer({ framing, tls: usual }, (request) => request)
  for (const name of [
    '*',
    '*.',
    'a*.test',
    '*.*.test',
    'a.*.test',
    '127.0.0.1',
    'b\u00fccher.test',
    'a..b',
    ' ',
  ]) {
    const expected = { code: 'ERR_INVALID_ARG_VALUE', message: /name/ }
    t.throws(() => server.addContext(name, usual), expected, name)
    t.throws(() => server.setSecureContext({ contexts: { [name]: usual } }), expected, name)
    t.throws(
      () => createServer({ framing, tls: { contexts: { [name]: usual } } }, (request) => request),
      expected,
      name,
    )
  }
  for (const name of ['a.test', '*.test', 'a.test.', '*.a.b.test', 'xn--bcher-kva.test', 'a_b.test']) {
    t.notThrows(() => server.addContext(name, usual), name)
  }
})
