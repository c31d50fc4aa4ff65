import test from 'ava'
import * as own from '../../dist/index.mjs'
import { whyNotLoaded } from '../../dist/native/platform.js'
import { describe } from '../../dist/process/describe.js'
import { type PostedError, postError, receiveError } from '../../dist/workers/posted-error.js'
import { everyday, everydayNotes, everydayPlaces } from '../support/everyday.mjs'
import { placeOf } from '../support/listeners.mjs'
import { codeOf, dial, portOf } from '../support/netpoll.mjs'
import { openRealm } from '../support/realm.mjs'

for (const { pollers, transport } of everydayPlaces) {
  test.serial(
    `a realm without timers of its own lacks nothing: ${pollers} pollers, ${transport}`,
    async (t) => {
      const { netpoll, run } = openRealm()
      t.is(run('typeof setImmediate'), 'undefined')
      t.deepEqual(await everyday(netpoll, { pollers, where: placeOf(t, transport) }), everydayNotes)
    },
  )
}

/** A value of a realm of its own. */
const foreign = (script: string): unknown => openRealm().run(script)

test('what users give may be of another realm, and so may the package', async (t) => {
  const realm = openRealm()
  const of = (script: string): never => realm.run(script) as never
  for (const { delimiter, createServer, Dialer, readerFrom, Pool, lengthField } of [realm.netpoll, own]) {
    t.truthy(delimiter(of('new Uint8Array([10])')))
    t.truthy(delimiter(Buffer.from('\n')))

    const reader = readerFrom([of('new Uint8Array([1, 2, 3])'), new Uint8Array([4]), Buffer.from([5])])
    await reader.fill(5)
    t.is(reader.indexOf(of('new Uint8Array([4, 5])')), 3)
    t.is(reader.indexOf(new Uint8Array([4, 5])), 3)
    t.deepEqual([...reader.next(5)], [1, 2, 3, 4, 5])

    const framing = lengthField({ size: 2 })
    for (const bytes of ['buffer', 'uint8array'] as const) {
      const server = createServer({ framing, bytes }, async (request) => [
        request,
        of('new Uint8Array([33])'),
      ])
      const controller = new AbortController()
      await server.listen({ host: '127.0.0.1', port: 0, signal: controller.signal })
      const target = { host: '127.0.0.1', port: portOf(server) }
      const { signal } = new AbortController()
      const connection = await new Dialer({ framing, bytes }).dial({ ...target, signal })
      const answer = await connection.call(of('new Uint8Array([104, 105])'), { signal })
      t.is(Buffer.from(answer).toString(), 'hi!')
      const pool = new Pool(target, { framing, bytes })
      t.is(Buffer.from(await pool.call('ho', { signal })).toString(), 'ho!')
      await pool.close()
      await connection.close()
      controller.abort()
      await server.close()
    }
  }
})

/** As of a polyfill or of jsdom: no instance of a class of Node.js. */
class ForeignSignal {
  aborted = false
  reason: unknown
  readonly #listeners = new Set<() => void>()

  addEventListener(_type: string, listener: () => void): void {
    this.#listeners.add(listener)
  }

  removeEventListener(_type: string, listener: () => void): void {
    this.#listeners.delete(listener)
  }

  throwIfAborted(): void {
    if (this.aborted) throw this.reason
  }

  abort(reason: unknown): void {
    this.aborted = true
    this.reason = reason
    for (const listener of this.#listeners) listener()
  }
}

test('a signal is what can be listened to as one', async (t) => {
  const { createServer, Dialer, lengthField } = own
  const framing = lengthField({ size: 2 })
  const server = createServer({ framing }, () => new Promise<string>(() => {}))
  t.teardown(() => server.close({ timeout: 0 }))
  const closing = new ForeignSignal()
  await server.listen({ host: '127.0.0.1', port: 0, signal: closing as unknown as AbortSignal })
  const connection = await dial(t, { port: portOf(server) }, { framing })
  const aborting = new ForeignSignal()
  const call = connection.call('never answered', { signal: aborting as unknown as AbortSignal })
  aborting.abort(new Error('enough'))
  await t.throwsAsync(call, { message: 'enough' })
  closing.abort(new Error('the end'))
  t.false(server.listening)
  for (const signal of [{}, { aborted: false }, 'aborted', () => {}]) {
    const options = { host: '127.0.0.1', port: 1, signal } as never
    await t.throwsAsync(() => new Dialer().dial(options), { code: 'ERR_INVALID_ARG_TYPE' })
  }
})

/** As of a browser's globals, which vitest puts in the place of those of Node.js. */
class ForeignController {
  readonly signal = new ForeignSignal()

  abort(reason: unknown): void {
    this.signal.abort(reason)
  }
}

test.serial('pools and muxes need no signals of Node.js', async (t) => {
  const { createServer, lengthField, Mux, Pool } = own
  const framing = lengthField({ size: 2 })
  const server = createServer({ framing }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  const target = { host: '127.0.0.1', port: portOf(server) }
  const { AbortController: before } = globalThis
  globalThis.AbortController = ForeignController as unknown as typeof AbortController
  try {
    for (const made of [new Pool(target, { framing }), new Mux(target, { framing })]) {
      t.is((await made.call('hello')).toString(), 'hello')
      await made.close()
    }
  } finally {
    globalThis.AbortController = before
  }
})

test('errors of another realm are told as errors', (t) => {
  const error = foreign("Object.assign(new RangeError('too far'), { code: 'E_FAR' })")
  t.is(describe(error), 'RangeError: too far')
  const taken = receiveError({
    value: error,
    code: 'E_FAR',
    ours: { errno: undefined, syscall: undefined },
    name: 'NetpollError',
  })
  t.true(taken instanceof own.NetpollError)
  t.is(codeOf(taken), 'E_FAR')
  let posted: PostedError | undefined
  postError(error, (what) => {
    posted = what
  })
  t.is(posted?.code, 'E_FAR')
})

test('an add-on that does not load is explained in every realm', (t) => {
  const script = "new Error('a library is missing')"
  const host = {
    platform: 'linux',
    arch: 'x64',
    isMusl: false,
    addonPath: undefined,
    bundle: undefined,
    version: undefined,
  }
  t.is(whyNotLoaded([foreign(script)], host), 'The add-on of netpoll cannot be loaded: a library is missing')
})

test('a module of workers may be a URL of another realm', async (t) => {
  const url = Object.assign(Object.create(null), {
    href: new URL('../fixtures/handler.mjs', import.meta.url).href,
    protocol: 'file:',
  }) as URL
  const server = own.createServer({ framing: own.lengthField({ size: 4 }), workers: { module: url } })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  t.true(server.listening)
})
