// Which name a client asks for: what Node.js would ask for where TLS can carry it, and nothing is passed over in silence.

import type { ExecutionContext } from 'ava'
import test from 'ava'
import { once } from 'node:events'
import { createServer as createTlsServer } from 'node:tls'

import { type Connection, createServer, Dialer } from '../../dist/index.mjs'
import { fixed, register } from '../../dist/cluster/index.mjs'
import { Authority, patient } from '../support/certificates.mjs'
import { Inbox } from '../support/deferred.mjs'
import { lookupOf, placeOf } from '../support/listeners.mjs'
import { codeOf, framing, gone, portOf, rejection, targetOf } from '../support/netpoll.mjs'
import { places, words } from '../support/places.mjs'

const root = new Authority({ name: 'root' })
const host = '127.0.0.1'
const letters = (count: number): string => `${'a.'.repeat((count - 1) / 2)}a`
/** Names that a server is asked for, and as what. */
const askable: readonly (readonly [name: string, asked: string])[] = [
  ['localhost', 'localhost'],
  ['a_b.test', 'a_b.test'],
  ['0x7f.test', '0x7f.test'],
  [`${'a'.repeat(63)}.test`, `${'a'.repeat(63)}.test`],
  [letters(253), letters(253)],
  // A dot at the end stands for the root.
  ['localhost.', 'localhost'],
  [`${letters(253)}.`, letters(253)],
  // Other scripts, as DNS has them.
  ['b\u00fccher.example', 'xn--bcher-kva.example'],
  ['B\u00dcCHER.example.', 'xn--bcher-kva.example'],
  ['fa\u00df.example', 'xn--fa-hia.example'],
  ['a\u3002b', 'a.b'],
]
/** Names that are asked for by nobody. */
const none: readonly string[] = ['', '127.0.0.1', '::1', 'fe80::1%lo']
/** What is no name of a server. */
const impossible: readonly string[] = [
  ...['a..b', '.a', 'a..', '.', ' ', 'a b', 'a/b', 'a:443', '[::1]', '*.test', '-a.test', 'a-.test', 'a\0b'],
  ...[
    '1',
    '1.2.3',
    '1.2.3.4.',
    '0x7f.1',
    'a.0x7F',
    `${'a'.repeat(64)}.test`,
    `${letters(253)}a`,
    letters(301),
  ],
  // What the conversion would cut, decode, or make an address of.
  ...['b\u00fccher.test/a', 'b\u00fccher.test:443', 'b\u00fc%2e.test', '\u00fc b', '\u00fc.1', '\ud800.test'],
  ...['\u00fc'.repeat(300), '\u00fc..test'],
]

/** What a server by OpenSSL is asked for, as it came. */
async function asking(t: ExecutionContext, alternative: string) {
  const asked = new Inbox<string | undefined>()
  const server = createTlsServer(
    root.issue({ extensions: [`subjectAltName=${alternative}`] }) as object,
    (socket) => {
      socket.on('error', () => {})
      asked.push((socket as unknown as { readonly servername: string | false }).servername || undefined)
      socket.resume()
    },
  )
  server.on('tlsClientError', () => {})
  server.listen(0, host)
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as { readonly port: number }
  return { asked, port }
}

for (const by of ['dial', 'startTls'] as const) {
  for (const pollers of [0, 1]) {
    test(`a server is asked for the name that is given: by ${by}, pollers ${pollers}`, async (t) => {
      const { asked, port } = await asking(t, 'DNS:localhost')
      for (const [servername, expected] of [...askable, ...none.map((name) => [name, undefined] as const)]) {
        const tls = { ca: root.cert, rejectUnauthorized: false, servername }
        const dialer = new Dialer({ pollers, ...(by === 'dial' && { tls }), onError: () => {} })
        const connection = await dialer.dial({ host, port })
        if (by === 'startTls') await connection.startTls({ ...patient, ...tls })
        t.is(await asked.take(), expected, servername)
        t.is(connection.tls?.servername, expected, servername)
        await gone(connection)
      }
    })

    test(`a server is asked for the host that is dialed, where that is a name: by ${by}, pollers ${pollers}`, async (t) => {
      const { asked, port } = await asking(t, 'DNS:localhost')
      const names = [...askable, ...impossible.map((name) => [name, undefined] as const)]
      const tls = { ca: root.cert, rejectUnauthorized: false }
      const dialer = new Dialer({
        ...{ pollers, onError: () => {}, lookup: lookupOf(host) },
        ...(by === 'dial' && { tls }),
      })
      for (const [name, expected] of names) {
        const connection = await dialer.dial({ host: name, port })
        if (by === 'startTls') await connection.startTls({ ...patient, ...tls })
        t.is(await asked.take(), expected, name)
        t.is(connection.tls?.servername, expected, name)
        await gone(connection)
      }
    })
  }
}

test('the certificate is to be for the name that was asked for, however it is written', async (t) => {
  const { port } = await asking(t, 'DNS:xn--bcher-kva.example')
  const lookup = lookupOf(host)
  for (const name of ['b\u00fccher.example', 'B\u00fccher.Example.', 'xn--bcher-kva.example']) {
    for (const [tls, target] of [
      [
        { ca: root.cert, servername: name },
        { host, port },
      ],
      [{ ca: root.cert }, { host: name, port }],
    ] as const) {
      const connection = await new Dialer({ tls, lookup, onError: () => {} }).dial(target)
      t.true(connection.tls?.authorized, name)
      await gone(connection)
      const other = new Dialer({ tls: { ...tls, servername: 'buecher.example' }, lookup, onError: () => {} })
      t.is(codeOf(await rejection(other.dial(target))), 'ERR_TLS_CERT_ALTNAME_INVALID')
    }
  }
})

const refused = { code: 'ERR_INVALID_ARG_VALUE', message: /servername" argument must be a host name/ }

test('what is no name of a server is refused where it is given', async (t) => {
  const dialer = new Dialer({ framing, tls: {} })
  const address = { host, port: 1 }
  for (const servername of impossible) {
    t.throws(() => new Dialer({ framing, tls: { servername } }), refused, servername)
    t.throws(() => dialer.setSecureContext({ servername }), refused, servername)
    t.throws(() => fixed([{ address, servername }]), refused, servername)
    const registering = rejection(register({ url: 'http://127.0.0.1:1', key: 'a', address, servername }))
    t.is(codeOf(await registering), 'ERR_INVALID_ARG_VALUE', servername)
  }
})

for (const place of places.filter(({ side }) => side === 'dialed')) {
  const { pollers, transport } = place

  test(`startTls refuses what is no name, and the connection goes on: ${words(place)}`, async (t) => {
    const accepted = new Inbox<Connection>()
    const server = createServer({ pollers, onConnect: accepted.push, onError: () => {} })
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen(placeOf(t, transport))
    const dialed = await new Dialer({ pollers, onError: () => {} }).dial(targetOf(server))
    const served = await accepted.take()
    for (const servername of impossible) {
      t.is(codeOf(await rejection(dialed.startTls({ servername }))), 'ERR_INVALID_ARG_VALUE', servername)
    }
    const [name, expected] = ['b\u00fccher.example.', 'xn--bcher-kva.example']
    await Promise.all([
      dialed.startTls({ ...patient, ca: root.cert, servername: name, rejectUnauthorized: false }),
      served.startTls({ ...patient, ...root.issue() }),
    ])
    t.is(served.tls?.servername, expected)
    t.is(dialed.tls?.servername, expected)
    t.is(dialed.tls?.authorizationError, 'ERR_TLS_CERT_ALTNAME_INVALID')
    await gone(dialed)
  })
}

test('our own server is told the same', async (t) => {
  const accepted = new Inbox<Connection>()
  const tls = { ...root.issue(), ...patient }
  const server = createServer({ tls, onConnect: accepted.push, onError: () => {} })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host, port: 0 })
  for (const [servername, expected] of askable) {
    const options = { ca: root.cert, rejectUnauthorized: false, servername }
    const dialed = await new Dialer({ tls: options, onError: () => {} }).dial({ host, port: portOf(server) })
    t.is((await accepted.take()).tls?.servername, expected, servername)
    await gone(dialed)
  }
})
