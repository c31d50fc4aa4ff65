import test from 'ava'

import { hostile } from '../support/hostile.mjs'
import { codeOf } from '../support/netpoll.mjs'
import { serveThrift, thriftClient } from '../support/thrift.mjs'
import type { InteropHandler } from '../support/thrift-service.mjs'

type Callback = (error: unknown, result?: unknown) => void

/** Where a method's result goes, by the number of its parameters. */
const methods: Readonly<Record<string, (handle: () => unknown) => object>> = {
  'that returns it': (handle) => ({ wait: (_milliseconds: number) => handle() }),
  'that promises it': (handle) => ({ wait: async (_milliseconds: number) => handle() }),
  'without parameters': (handle) => ({ wait: () => handle() }),
  'that calls back with it': (handle) => ({
    wait: (_milliseconds: number, callback: Callback) => callback(null, handle()),
  }),
  'that calls back with it as an error': (handle) => ({
    wait: (_milliseconds: number, callback: Callback) => callback(handle()),
  }),
  'that calls back twice': (handle) => ({
    wait: (_milliseconds: number, callback: Callback) => {
      callback(null, 'once')
      callback(handle(), handle())
    },
  }),
  'that rejects with it': (handle) => ({
    wait: (_milliseconds: number) => {
      const value = handle()
      return new Promise((_, reject) => reject(value))
    },
  }),
  'one-way': (handle) => ({ tell: (_news: string) => handle() }),
}

/** What is left alone by a method of that kind, as it would be without this package. */
const unheard: Readonly<Record<string, RegExp>> = {
  'that promises it': /^a thenable whose member throws later$|promises which throw|constructor changes/,
  'that calls back with it': /^a promise of a revoked proxy$|rejected$/,
  'that calls back with it as an error': /^a promise of a revoked proxy$|rejected$/,
  'that calls back twice': /^a promise of a revoked proxy$|rejected$/,
  'that rejects with it': /^a promise of a revoked proxy$|rejected$/,
}

for (const [kind, methodOf] of Object.entries(methods)) {
  test(`no result of a method ${kind} costs more than its call`, async (t) => {
    const errors: unknown[] = []
    for (const [name, { handle }] of Object.entries(hostile)) {
      if (unheard[kind]?.test(name) === true) continue
      const handler = { ...methodOf(() => handle({})), ping: () => {} } as unknown as Partial<InteropHandler>
      const { port } = await serveThrift(t, handler, { onError: (error) => errors.push(error) })
      const { service } = thriftClient(t, port, { requestTimeout: 60_000, connections: 1 })
      const honest = thriftClient(t, port)
      const call: Promise<unknown> = kind === 'one-way' ? service.tell('x') : service.wait(1)
      const error = await call.then(
        () => undefined,
        (reason: unknown) => reason,
      )
      t.not(codeOf(error), 'ERR_REQUEST_TIMEOUT', name)
      t.is(await honest.service.ping(), undefined, name)
    }
  })
}
