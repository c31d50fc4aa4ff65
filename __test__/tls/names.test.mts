// Which certificate a server shows for the name that a client asks for: the one that Node.js shows.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import nodeTls from 'node:tls'
import test, { type ExecutionContext } from 'ava'

import {
  createServer,
  Dialer,
  type FramedServerOptions,
  type ServerTlsOptions,
  type TlsCredentials,
} from '../../dist/index.mjs'
import { Authority, patient } from '../support/certificates.mjs'
import { Inbox } from '../support/deferred.mjs'
import { codeOf, framing, portOf } from '../support/netpoll.mjs'

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

test('a name that a server does not know, and that has nothing else to show, fails the handshake', async (t) => {
  const errors = new Inbox<Error>()
  const tls: ServerTlsOptions = { ...patient, contexts, onHandshakeError: errors.push }
  const server = createServer({ framing, tls }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host, port: 0 })
  for (const servername of ['other.test', undefined]) {
    t.not(await shown(portOf(server), servername), 'usual')
    t.is(codeOf(await errors.take()), 'ERR_TLS_PROTOCOL')
  }
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
