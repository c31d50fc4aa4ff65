// An object that says what it has in another way than by members is no options: it is refused, and not passed over.

import test, { type ExecutionContext } from 'ava'
import { runInNewContext } from 'node:vm'

import { etcd } from '../../dist/cluster/index.mjs'
import {
  type Connection,
  createServer,
  delimiter,
  Dialer,
  Mux,
  Pool,
  type ServerTlsOptions,
} from '../../dist/index.mjs'
import { certificate, key } from '../support/tls.mjs'
import { Inbox } from '../support/deferred.mjs'
import { codeOf, framing, gone, rejection, targetOf } from '../support/netpoll.mjs'
import { placeOf } from '../support/listeners.mjs'
import { places, words } from '../support/places.mjs'

const identity = { key, cert: certificate }

class Empty {}
class Private {
  readonly #secret = identity
  secret(): object {
    return this.#secret
  }
}

/** Objects that have no members, with the names of their kinds. */
const others: readonly (readonly [what: string, value: object])[] = [
  ['a map', new Map()],
  ['a full map', new Map([['a.test', identity]])],
  ['a set', new Set(['a.test'])],
  ['a weak map', new WeakMap()],
  ['an empty list', []],
  ['a promise', Promise.resolve(identity)],
  ['a date', new Date()],
  ['a pattern', /a/],
  ['an error', new Error('a')],
  ['headers', new Headers({ a: 'b' })],
  ['parameters', new URLSearchParams('a=b')],
  ['a buffer', new ArrayBuffer(1)],
  ['an instance without members', new Empty()],
  ['an instance that hides them', new Private()],
  ['a map of another realm', runInNewContext('new Map()') as object],
]
/** Numbers and what is absent or no object, as lists of names are checked elsewhere. */
const scalars: readonly unknown[] = [0, Number.POSITIVE_INFINITY, 1.5, Number.NaN, -1, null, 'a', true, 1n]

class Defaults {
  readonly 'a.test' = identity
}
/** What has members, whatever its kind. */
const taken: readonly (readonly [what: string, value: object, has: boolean])[] = [
  ['none', {}, false],
  ['none, without a prototype', Object.create(null) as object, false],
  ['none, above none', Object.create({}) as object, false],
  ['none, of another realm', runInNewContext('({})') as object, false],
  ['one', { 'a.test': identity }, true],
  ['one, inherited', Object.create({ 'a.test': identity }) as object, true],
  ['one, without a prototype', Object.assign(Object.create(null), { 'a.test': identity }) as object, true],
  ['one of a class', new Defaults(), true],
]

const contextTakers: Readonly<Record<string, (contexts: never) => unknown>> = {
  createServer: (contexts) => createServer({ framing, tls: { ...identity, contexts } }, (request) => request),
  'server.setSecureContext': (contexts) => {
    const server = createServer({ framing, tls: identity }, (request) => request)
    server.setSecureContext({ contexts })
  },
}

for (const [where, take] of Object.entries(contextTakers)) {
  test(`contexts of another kind are refused: ${where}`, (t) => {
    for (const [what, value] of [...others, ['a list', [identity]] as const]) {
      const error = t.throws(() => take(value as never), undefined, what)
      t.is(codeOf(error), 'ERR_INVALID_ARG_TYPE', what)
      t.regex(error?.message ?? '', /"options\.tls\.contexts" argument must be a plain object/, what)
      t.false(error?.message.includes('PRIVATE KEY'), what)
    }
    for (const value of scalars) {
      const error = t.throws(() => take(value as never), undefined, String(value))
      t.is(codeOf(error), 'ERR_INVALID_ARG_TYPE', String(value))
    }
    t.notThrows(() => take(undefined as never))
    for (const [what, value] of taken) t.notThrows(() => take(value as never), what)
  })
}

for (const { pollers, transport, side } of places) {
  if (side !== 'server') continue
  test(`startTls refuses them as well, and takes others: ${words({ side, pollers, transport })}`, async (t) => {
    const accepted = new Inbox<Connection>()
    const server = createServer({ pollers, onConnect: accepted.push, onError: () => {} })
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen(placeOf(t, transport))
    const dialed = await new Dialer({ pollers, onError: () => {} }).dial(targetOf(server))
    const served = await accepted.take()
    for (const [what, contexts] of others) {
      const error = await rejection(served.startTls({ ...identity, contexts: contexts as never }))
      t.is(codeOf(error), 'ERR_INVALID_ARG_TYPE', what)
    }
    const contexts = Object.create({ 'a.test': identity }) as NonNullable<ServerTlsOptions['contexts']>
    await Promise.all([
      served.startTls({ contexts }),
      dialed.startTls({ ca: certificate, servername: 'a.test', rejectUnauthorized: false }),
    ])
    t.is(served.tls?.servername, 'a.test')
    await gone(dialed)
  })
}

test('contexts that are changed later change nothing', (t) => {
  const contexts: Record<string, typeof identity> = { 'a.test': { ...identity } }
  const server = createServer({ framing, tls: { contexts } }, (request) => request)
  contexts['b.test'] = { key: 'none', cert: 'none' }
  ;(contexts['a.test'] as { key: string }).key = 'none'
  t.notThrows(() => server.addContext('c.test', identity))
})

const address = { host: '127.0.0.1', port: 1 }
const url = 'http://127.0.0.1:1'

/** Who takes options. */
const optionTakers: readonly (readonly [where: string, take: (value: never) => unknown])[] = [
  ['createServer', (value) => createServer(value)],
  ['tls of a server', (tls) => createServer({ framing, tls, onRequest: () => {} })],
  ['workers', (workers) => createServer({ framing, workers })],
  ['listen', (value) => createServer({ framing }, (request) => request).listen(value)],
  ['new Dialer', (value) => new Dialer(value)],
  ['tls of a dialer', (tls) => new Dialer({ framing, tls })],
  ['setSecureContext', (tls) => new Dialer({ framing, tls: {} }).setSecureContext(tls)],
  ['new Mux', (value) => new Mux(address, value)],
  ['backoff', (backoff) => new Mux(address, { framing, backoff })],
  ['new Pool', (value) => new Pool(address, value)],
  ['delimiter', (value) => delimiter('a', value)],
  ['etcd', (value) => etcd(value)],
  ['headers of etcd', (headers) => etcd({ url, prefix: 'a/', headers })],
  ['tls of etcd', (tls) => etcd({ url, prefix: 'a/', tls })],
]

for (const [where, take] of optionTakers) {
  test(`options of another kind are refused: ${where}`, async (t: ExecutionContext) => {
    for (const [what, value] of others) {
      const error = await rejection(Promise.resolve().then(() => take(value as never)))
      t.true(
        ['ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_VALUE'].includes(String(codeOf(error))),
        `${what}: ${String(error)}`,
      )
    }
  })
}
