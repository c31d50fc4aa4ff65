// Signals that are older than `reason` and `throwIfAborted`, or polyfills without them, end what they are given to.
import test, { type ExecutionContext } from 'ava'

import { createServer, Dialer, Mux, Pool } from '../../dist/index.mjs'
import { TransportServer } from '../../dist/rpc/index.mjs'
import { deferred } from '../support/deferred.mjs'
import { JsonCodec } from '../support/json-codec.mjs'
import { codeOf, framing, gone, rejection, targetOf } from '../support/netpoll.mjs'
import { rawServer } from '../support/placed.mjs'
import { clientOf, serveCalls } from '../support/rpc.mjs'

/** As of Node.js 15. */
class OldSignal extends EventTarget {
  aborted = false

  abort(): void {
    this.aborted = true
    this.dispatchEvent(new Event('abort'))
  }
}

/** What can be listened to, and asked, and no more. */
class LeastSignal {
  aborted = false
  readonly #listeners: (() => void)[] = []

  addEventListener(_type: string, listener: () => void): void {
    this.#listeners.push(listener)
  }

  abort(): void {
    this.aborted = true
    for (const listener of this.#listeners) listener()
  }
}

type ForeignSignal = OldSignal | LeastSignal

const kinds: Readonly<Record<string, new () => ForeignSignal>> = {
  'without reason and throwIfAborted': OldSignal,
  'that cannot forget, too': LeastSignal,
}

const given = (signal: ForeignSignal): { readonly signal: AbortSignal } => ({
  signal: signal as unknown as AbortSignal,
})

type Begin = (options: { readonly signal: AbortSignal | null }) => Promise<unknown>

/** What waits until its signal is aborted. */
const waits: Readonly<Record<string, (t: ExecutionContext) => Promise<Begin>>> = {
  call: async (t) => {
    const { target } = await rawServer(t, 'tcp')
    const connection = await new Dialer({ framing }).dial(target)
    t.teardown(() => gone(connection))
    return (options) => connection.call('x', options)
  },
  'dial of a name': async () => {
    const dialer = new Dialer({ framing, lookup: () => {} })
    return (options) => dialer.dial({ host: 'some.name', port: 1, ...options })
  },
  'dial whose hook waits': async (t) => {
    const { target } = await rawServer(t, 'tcp')
    const over = deferred()
    t.teardown(() => over.resolve())
    const dialer = new Dialer({ framing, onConnect: () => over.promise })
    return (options) => dialer.dial({ ...target, ...options })
  },
  'pool.get': async (t) => {
    const pool = new Pool((await rawServer(t, 'tcp')).target, { framing, connections: 1 })
    t.teardown(() => pool.close({ timeout: 0 }))
    await pool.get()
    return (options) => pool.get(options)
  },
  'pool.call': async (t) => {
    const pool = new Pool((await rawServer(t, 'tcp')).target, { framing })
    t.teardown(() => pool.close({ timeout: 0 }))
    return (options) => pool.call('x', options)
  },
  'mux.call': async (t) => {
    const mux = new Mux((await rawServer(t, 'tcp')).target, { framing })
    t.teardown(() => mux.close({ timeout: 0 }))
    return (options) => mux.call('x', options)
  },
  'call of netpoll/rpc': async (t) => {
    const { port } = await serveCalls(t, () => new Promise(() => {}))
    const client = clientOf(t, port)
    return (options) => client.call('x', null, options)
  },
}

const isAbortError = (t: ExecutionContext, error: unknown): void => {
  t.is((error as Error).name, 'AbortError', String(error))
  t.is(codeOf(error), 'ABORT_ERR')
}

for (const [kind, Signal] of Object.entries(kinds)) {
  for (const [way, prepare] of Object.entries(waits)) {
    test(`${way} ends with a signal ${kind}`, async (t) => {
      const begin = await prepare(t)
      const signal = new Signal()
      const waiting = rejection(begin(given(signal)))
      signal.abort()
      isAbortError(t, await waiting)
      isAbortError(t, await rejection(begin(given(signal))))
    })
  }

  test(`a one-way call does not begin with a signal ${kind} that is aborted`, async (t) => {
    const { port } = await serveCalls(t, () => null)
    const client = clientOf(t, port)
    const signal = new Signal()
    await client.send('x', null, given(signal))
    signal.abort()
    isAbortError(t, await rejection(client.send('x', null, given(signal))))
  })

  test(`a server ends with a signal ${kind}`, async (t) => {
    const place = { host: '127.0.0.1', port: 0 }
    const server = createServer({ framing }, (request) => request)
    t.teardown(() => server.close({ timeout: 0 }))
    const signal = new Signal()
    await server.listen({ ...place, ...given(signal) })
    t.true(server.listening)
    signal.abort()
    await server.close()
    t.false(server.listening)
    const other = createServer({ framing }, (request) => request)
    isAbortError(t, await rejection(other.listen({ ...place, ...given(signal) })))
    const calls = new TransportServer(new JsonCodec(), { onRequest: () => null })
    const serving = new Signal()
    const served = calls.serve({ ...place, ...given(serving) })
    while (calls.address() === null) await new Promise(setImmediate)
    serving.abort()
    await served
  })
}

test('a signal that is null is none, whoever takes it', async (t) => {
  const none = { signal: null }
  const server = createServer({ framing }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0, ...none })
  const target = targetOf(server)
  const connection = await new Dialer({ framing }).dial({ ...target, ...none })
  t.teardown(() => gone(connection))
  t.is(String(await connection.call('x', none)), 'x')
  const pool = new Pool(target, { framing })
  t.teardown(() => pool.close({ timeout: 0 }))
  t.is(String(await pool.call('x', none)), 'x')
  pool.put(await pool.get(none))
  const mux = new Mux(target, { framing })
  t.teardown(() => mux.close({ timeout: 0 }))
  t.is(String(await mux.call('x', none)), 'x')
  const { port } = await serveCalls(t, () => 'answer')
  const client = clientOf(t, port)
  t.is(await client.call('x', null, none), 'answer')
  await client.send('x', null, none)
})
