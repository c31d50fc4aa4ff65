// Each option of TLS with values that it may not have, wherever it is taken, and names that are no options.

import test from 'ava'

import {
  type ClientTlsOptions,
  createServer,
  Dialer,
  Mux,
  Pool,
  type ServerTlsOptions,
} from '../../dist/index.mjs'
import { Authority } from '../support/certificates.mjs'
import { framing } from '../support/netpoll.mjs'

const root = new Authority({ name: 'root' })
const identity = root.issue()
const address = { host: '127.0.0.1', port: 1 }

type Taken = (tls: unknown) => unknown

const server = createServer({ framing, tls: identity }, (request) => request)
const dialer = new Dialer({ framing, tls: identity })
const ofServers: Readonly<Record<string, Taken>> = {
  createServer: (tls) => createServer({ framing, tls: tls as ServerTlsOptions }, (request) => request),
  'server.setSecureContext': (tls) => server.setSecureContext(tls as ServerTlsOptions),
}
const ofClients: Readonly<Record<string, Taken>> = {
  'new Dialer': (tls) => new Dialer({ framing, tls: tls as ClientTlsOptions }),
  'new Pool': (tls) => new Pool(address, { framing, tls: tls as ClientTlsOptions }),
  'new Mux': (tls) => new Mux(address, { framing, tls: tls as ClientTlsOptions }),
  'dialer.setSecureContext': (tls) => dialer.setSecureContext(tls as ClientTlsOptions),
}

const shared = ['key', 'cert', 'passphrase', 'ca', 'allowPartialTrustChain', 'ciphers', 'ALPNProtocols']
const all = [...shared, 'minVersion', 'maxVersion', 'rejectUnauthorized']
const sides = [
  {
    taken: ofServers,
    names: [...all, 'requestCert', 'contexts', 'handshakeTimeout', 'onHandshakeError'],
    others: ['servername', 'checkServerIdentity', 'maxCachedSessions'],
  },
  {
    taken: ofClients,
    names: [...all, 'servername', 'checkServerIdentity', 'maxCachedSessions'],
    others: ['requestCert', 'contexts', 'handshakeTimeout', 'onHandshakeError'],
  },
] as const

const values = [0, Number.POSITIVE_INFINITY, 1.5, Number.NaN, -1, null, true, 'x', {}, Symbol('x'), 1n]
/** What each option takes of them. */
const accepted: Readonly<Record<string, readonly unknown[]>> = {
  passphrase: ['x'],
  allowPartialTrustChain: [true],
  rejectUnauthorized: [true],
  requestCert: [true],
  contexts: [{}],
  handshakeTimeout: [0, Number.POSITIVE_INFINITY, 1.5],
  servername: ['x'],
  maxCachedSessions: [0],
}
const accepts = (name: string, value: unknown): boolean =>
  (accepted[name] ?? []).some(
    (one) => Object.is(one, value) || (typeof one === 'object' && one !== null && value === values[8]),
  )

const codes = new Set(['ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_VALUE', 'ERR_OUT_OF_RANGE'])

for (const { taken, names, others } of sides) {
  for (const [where, take] of Object.entries(taken)) {
    test(`values that options of TLS may not have are refused by their name: ${where}`, (t) => {
      for (const name of names) {
        for (const value of values) {
          const what = `${name}: ${String(value)}`
          const options = { ...identity, [name]: value }
          if (accepts(name, value)) {
            t.notThrows(() => take(options), what)
            continue
          }
          const error = t.throws(() => take(options), undefined, what) as Error & { readonly code: string }
          // What is in a key, node:crypto says.
          if (name !== 'key' || value !== 'x') {
            t.true(codes.has(error.code), `${what}: ${error.code}`)
            t.regex(error.message, new RegExp(`tls\\.${name}\\b`), what)
          }
          t.false(error.message.includes('PRIVATE KEY'), what)
        }
        // As if it were absent: a key needs its certificate, and a certificate its key.
        const options = { ...identity, [name]: undefined }
        const isOne = (name === 'key' || name === 'cert') && !where.endsWith('setSecureContext')
        if (isOne) t.throws(() => take(options), { code: 'ERR_INVALID_ARG_VALUE' }, name)
        else t.notThrows(() => take(options), name)
      }
    })

    test(`names that are no options of TLS are refused: ${where}`, (t) => {
      for (const name of [...others, ...foreign]) {
        const error = t.throws(() => take({ ...identity, [name]: 'SECRET' }), undefined, name)
        t.is((error as Error & { readonly code: string }).code, 'ERR_INVALID_ARG_VALUE', name)
        t.true(error?.message.includes(`options.tls.${name}`), error?.message)
        t.false(error?.message.includes('SECRET'), name)
        t.notThrows(() => take({ ...identity, [name]: undefined }), name)
      }
      for (const [wrong, right] of [
        ['minversion', 'minVersion'],
        ['rejectUnauthorised', 'rejectUnauthorized'],
        ['ALPNProtocol', 'ALPNProtocols'],
      ]) {
        t.throws(() => take({ ...identity, [wrong as string]: 'SECRET' }), {
          message: new RegExp(`Did you mean "options.tls.${right}"`),
        })
      }
    })

    test(`what is no options of TLS at all is refused: ${where}`, (t) => {
      for (const value of [null, 0, 'x', () => {}, Symbol('x')])
        t.throws(() => take(value), undefined, String(value))
    })
  }
}

/** Of `node:tls`, with what to do instead. */
const foreign = [
  ...['pfx', 'secureContext', 'secureProtocol', 'secureOptions', 'crl', 'dhparam', 'ecdhCurve', 'sigalgs'],
  ...['honorCipherOrder', 'ticketKeys', 'session', 'sessionTimeout', 'sessionIdContext', 'SNICallback'],
  ...['ALPNCallback', 'pskCallback', 'requestOCSP', 'enableTrace', 'privateKeyEngine', 'keylog'],
]

const withoutKey: readonly { readonly taken: Readonly<Record<string, Taken>>; readonly rest: object }[] = [
  { taken: ofServers, rest: { contexts: { 'a.test': identity } } },
  { taken: ofClients, rest: {} },
]

for (const { taken, rest } of withoutKey) {
  for (const [where, take] of Object.entries(taken)) {
    // There the key of before stays.
    if (where.endsWith('setSecureContext')) continue

    test(`a passphrase without a key is checked as with one: ${where}`, (t) => {
      for (const passphrase of values.filter((value) => typeof value !== 'string')) {
        t.throws(() => take({ ...rest, passphrase }), {
          code: 'ERR_INVALID_ARG_TYPE',
          message: /options\.tls\.passphrase/,
        })
      }
      t.notThrows(() => take({ ...rest, passphrase: 'x' }))
    })
  }
}

for (const [where, take] of [...Object.entries(ofServers), ...Object.entries(ofClients)]) {
  test(`of what is no PEM the kind is told, and nothing else: ${where}`, (t) => {
    for (const [value, kind] of [
      [5, 'type number'],
      [null, 'null'],
      [{ SECRET: 'SECRET' }, 'type object'],
      [Symbol('SECRET'), 'type symbol'],
    ] as const) {
      for (const name of ['key', 'cert', 'ca']) {
        t.throws(() => take({ ...identity, [name]: value }), {
          message: `The "options.tls.${name}" argument must be PEM, as a string or bytes. Received ${kind}`,
        })
      }
    }
  })
}

test('what lacks in the credentials of a name is told', (t) => {
  for (const [lacking, option] of [
    [{ cert: identity.cert }, 'key'],
    [{ key: identity.key }, 'cert'],
  ] as const) {
    t.throws(() => server.addContext('a.test', lacking as never), {
      code: 'ERR_INVALID_ARG_TYPE',
      message: new RegExp(`contexts\\["a.test"\\]\\.${option}" .* Received type undefined$`),
    })
  }
})
