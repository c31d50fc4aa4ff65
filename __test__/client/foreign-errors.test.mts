// What calls reject with that fail together by an error which is not of this package, as by that of a lookup.
import type { LookupFunction } from 'node:net'
import test from 'ava'

import { Mux, Pool } from '../../dist/index.mjs'
import { framing, rejection } from '../support/netpoll.mjs'

class LookupError extends Error {
  override readonly name = 'LookupError'
  readonly code = 'ENOWHERE'
  readonly sent?: boolean
}

/** What four calls reject with that were made together. */
type Failing = (error: unknown) => Promise<readonly unknown[]>

const address = { host: 'some.name', port: 1 }
const optionsFor = (error: unknown) => {
  const lookup: LookupFunction = (_name, _options, callback) => callback(error as Error, [])
  return { framing, lookup, onError: () => {} }
}

const clients: Readonly<Record<string, Failing>> = {
  async mux(error) {
    const mux = new Mux(address, { ...optionsFor(error), id: { offset: 0, size: 4 } })
    const failed = await Promise.all(Array.from({ length: 4 }, () => rejection(mux.call('1234'))))
    await mux.close()
    return failed
  },
  async pool(error) {
    const pool = new Pool(address, { ...optionsFor(error), connections: 1 })
    const failed = await Promise.all(Array.from({ length: 4 }, () => rejection(pool.call('1234'))))
    await pool.close()
    return failed
  },
}

for (const [client, failing] of Object.entries(clients)) {
  test(`each call of a ${client} gets an error of its own, which is the same otherwise`, async (t) => {
    const cause = new Error('no network')
    const error = Object.assign(new LookupError('no such name', { cause }), { hostname: 'some.name' })
    const { stack } = error
    const failed = (await failing(error)) as readonly LookupError[]
    t.is(new Set(failed).size, 4)
    for (const one of failed) {
      t.true(one instanceof LookupError)
      t.like(one, { message: 'no such name', code: 'ENOWHERE', hostname: 'some.name', cause, stack })
      t.is(one.sent, false)
    }
  })

  const odd: readonly (readonly [what: string, error: unknown])[] = [
    ['a string', 'no such name'],
    ['no error', { message: 'no such name' }],
    ['a proxy', new Proxy(new LookupError('no such name'), {})],
    [
      'one whose members throw',
      Object.defineProperty(new LookupError('no such name'), 'message', {
        get() {
          throw new Error('not for you')
        },
      }),
    ],
    ['one that says itself what was sent', Object.freeze(Object.assign(new LookupError(''), { sent: true }))],
  ]
  for (const [what, error] of odd) {
    test(`what cannot be made once more is what all calls of a ${client} get: ${what}`, async (t) => {
      const failed = await failing(error)
      t.is(failed.length, 4)
      for (const one of failed) t.is(one, error)
    })
  }
}
