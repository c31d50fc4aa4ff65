import { getEventListeners } from 'node:events'
import type { LookupFunction } from 'node:net'
import test from 'ava'

import { Dialer, NetpollError } from '../../dist/index.mjs'
import { deferred, nextTurn } from '../support/deferred.mjs'
import { lookupOf } from '../support/listeners.mjs'
import { codeOf, dial, framing, rejection, serve } from '../support/netpoll.mjs'

/** Whether anything is left of a dial. */
function listenersOf(controller: AbortController): number {
  return getEventListeners(controller.signal, 'abort').length
}

test('a lookup is called as node:net calls it, once for a dial', async (t) => {
  const { port } = await serve(t, {}, (request) => request)
  const asked: unknown[] = []
  const lookup: LookupFunction = (name, { all, family }, callback) => {
    asked.push([name, all, family])
    setImmediate(callback, null, [{ address: '127.0.0.1', family: 4 }])
  }
  const client = await dial(t, { host: 'some.name', port }, { lookup })
  t.is((await client.call('x')).toString(), 'x')
  t.deepEqual(asked, [['some.name', true, 0]])
})

test('a lookup may call back with one address, and before it returns', async (t) => {
  const { port } = await serve(t, {}, (request) => request)
  const client = await dial(
    t,
    { host: 'some.name', port },
    { lookup: (_name, _options, callback) => callback(null, '127.0.0.1', 4) },
  )
  t.is((await client.call('x')).toString(), 'x')
})

test('the lookup of a dial goes before that of its dialer', async (t) => {
  const { port } = await serve(t, {}, (request) => request)
  const dialer = new Dialer({ framing, lookup: () => t.fail() })
  const client = await dialer.dial({ host: 'some.name', port, lookup: lookupOf('127.0.0.1') })
  t.is((await client.call('x')).toString(), 'x')
  await client.close()
})

test('an IP address is not looked up', async (t) => {
  const { port } = await serve(t, {}, (request) => request)
  const client = await dial(t, { host: '127.0.0.1', port }, { lookup: () => t.fail() })
  t.is((await client.call('x')).toString(), 'x')
})

const reason = Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })
const failures: readonly { readonly how: string; readonly lookup: LookupFunction }[] = [
  { how: 'reports', lookup: (_name, _options, callback) => callback(reason, []) },
  {
    how: 'throws',
    lookup: () => {
      throw reason
    },
  },
]

for (const { how, lookup } of failures) {
  test(`a dial rejects with what its lookup ${how}`, async (t) => {
    const controller = new AbortController()
    const dialing = new Dialer({ framing, lookup }).dial({
      host: 'some.name',
      port: 1,
      signal: controller.signal,
    })
    t.is(await rejection(dialing), reason)
    t.is(listenersOf(controller), 0)
  })
}

const useless: readonly { readonly found: unknown; readonly code: string }[] = [
  { found: [], code: 'ENOTFOUND' },
  { found: [{ address: 'some.name', family: 4 }], code: 'ERR_INVALID_IP_ADDRESS' },
  { found: '', code: 'ERR_INVALID_IP_ADDRESS' },
  { found: undefined, code: 'ERR_INVALID_IP_ADDRESS' },
]

for (const { found, code } of useless) {
  test(`a lookup that finds ${JSON.stringify(found)} is ${code}`, async (t) => {
    const lookup: LookupFunction = (_name, _options, callback) => callback(null, found as string)
    const error = await rejection(new Dialer({ framing, lookup }).dial({ host: 'some.name', port: 1 }))
    t.true(error instanceof NetpollError)
    t.is(codeOf(error), code)
  })
}

test('a name that does not exist is Node’s own error', async (t) => {
  // A label of more than 63 letters is no name anywhere, and nobody is asked.
  const error = await rejection(new Dialer({ framing }).dial({ host: 'x'.repeat(64), port: 1 }))
  t.is((error as NodeJS.ErrnoException).syscall, 'getaddrinfo')
  t.false(error instanceof NetpollError)
})

test('a dial that is given up while its lookup waits rejects at once, and drops what is found', async (t) => {
  const asked = deferred<() => void>()
  const lookup: LookupFunction = (_name, _options, callback) =>
    asked.resolve(() => callback(null, [{ address: '127.0.0.1', family: 4 }]))
  const { port, server } = await serve(t, {}, (request) => request)
  const controller = new AbortController()
  const dialer = new Dialer({ framing, lookup, onError: () => t.fail(), onDisconnect: () => t.fail() })
  const dialing = dialer.dial({ host: 'some.name', port, signal: controller.signal })
  const find = await asked.promise
  const why = new Error('no longer')
  controller.abort(why)
  t.is(await rejection(dialing), why)
  t.is(listenersOf(controller), 0)
  find()
  await nextTurn()
  t.is(server.stats().accepted, 0)
})

test('a lookup that gives its dial up from within is obeyed', async (t) => {
  const { port, server } = await serve(t, {}, (request) => request)
  const controller = new AbortController()
  const why = new Error('no longer')
  const lookup: LookupFunction = (_name, _options, callback) => {
    callback(null, '127.0.0.1', 4)
    controller.abort(why)
  }
  const dialing = new Dialer({ framing, lookup }).dial({ host: 'a', port, signal: controller.signal })
  t.is(await rejection(dialing), why)
  t.is(server.stats().accepted, 0)
})

test('connectTimeout is for the lookup, too', async (t) => {
  const controller = new AbortController()
  const dialer = new Dialer({ framing, lookup: () => {}, connectTimeout: 1 })
  const error = await rejection(dialer.dial({ host: 'some.name', port: 1, signal: controller.signal }))
  t.true(error instanceof NetpollError)
  t.is(codeOf(error), 'ERR_DIAL_TIMEOUT')
  t.is(listenersOf(controller), 0)
})
