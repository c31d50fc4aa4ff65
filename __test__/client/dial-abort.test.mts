// A dial whose signal is aborted ends with its reason, in whatever hook of its own connection that happens.
import { getEventListeners } from 'node:events'
import test from 'ava'

import { type Connection, Dialer, Mux, Pool } from '../../dist/index.mjs'
import { deferred, Inbox, nextTurn } from '../support/deferred.mjs'
import { codeOf, framing, gone, rejection } from '../support/netpoll.mjs'
import { rawServer } from '../support/placed.mjs'
import { places, words } from '../support/places.mjs'
import { quietTurns } from '../support/streams.mjs'

const reason = new Error('called off')

/** Where in its hooks a dial is called off, which `abort` does; `over` is settled when the test has ended. */
const moments: Readonly<Record<string, (abort: () => void, over: Promise<void>) => object>> = {
  'in onPrepare': (abort) => ({ onPrepare: abort }),
  'in onPrepare, before an onConnect that never ends': (abort) => ({
    onPrepare: abort,
    onConnect: () => new Promise(() => {}),
  }),
  'in onConnect': (abort) => ({ onConnect: abort }),
  'in a microtask of onConnect': (abort) => ({ onConnect: () => queueMicrotask(abort) }),
  'in onConnect, which refuses as well': (abort) => ({
    onConnect: (connection: Connection) => {
      abort()
      connection.destroy()
    },
  }),
  'at the begin of an onConnect that never ends': (abort, over) => ({
    onConnect: () => {
      abort()
      return over
    },
  }),
  'within an asynchronous onConnect': (abort) => ({
    onConnect: async () => {
      await nextTurn()
      abort()
      await nextTurn()
    },
  }),
  'at the end of an asynchronous onConnect': (abort) => ({
    onConnect: async () => {
      await nextTurn()
      abort()
    },
  }),
  'right after an asynchronous onConnect': (abort) => ({
    onConnect: async () => {
      const done = deferred()
      void done.promise.then(abort)
      done.resolve()
      await done.promise
    },
  }),
  'in the promise of an onConnect that is asked for by a thenable': (abort) => ({
    onConnect: () => ({
      // biome-ignore lint/suspicious/noThenProperty: a thenable counts as a promise
      then: (done: () => void) => {
        abort()
        done()
      },
    }),
  }),
  'in an onConnect that throws': (abort) => ({
    onConnect: () => {
      abort()
      throw new Error('from the hook')
    },
    onError: () => {},
  }),
}

for (const place of places) {
  if (place.side === 'server') continue
  for (const [moment, hooks] of Object.entries(moments)) {
    for (const kind of ['framed', 'stream'] as const) {
      test(`called off ${moment}: ${words(place)}, ${kind}`, async (t) => {
        const { target, peers } = await rawServer(t, place.transport)
        const controller = new AbortController()
        const ends = new Inbox<unknown>()
        const over = deferred()
        t.teardown(() => over.resolve())
        const dialer = new Dialer({
          ...(kind === 'framed' ? { framing, onRequest: () => {} } : { onData: () => {} }),
          pollers: place.pollers,
          closeTimeout: 1,
          onDisconnect: (_connection: Connection, error: Error | undefined) => ends.push(error),
          ...hooks(() => controller.abort(reason), over.promise),
        } as object)
        t.is(await rejection(dialer.dial({ ...target, signal: controller.signal })), reason)
        t.deepEqual(getEventListeners(controller.signal, 'abort'), [])
        t.like(dialer.stats(), { dialed: 0, failed: 1 })
        const peer = await peers.take()
        await peer.readToEnd()
        while (dialer.stats().connections > 0) await nextTurn()
      })
    }
  }
}

for (const place of places) {
  if (place.side === 'server') continue
  test(`a signal that is aborted in the turn after the hooks ends no connection: ${words(place)}`, async (t) => {
    const { target } = await rawServer(t, place.transport)
    const controller = new AbortController()
    const { signal } = controller
    const connection = await new Dialer({ framing, pollers: place.pollers, onConnect: () => {} }).dial({
      ...target,
      signal,
    })
    t.teardown(() => gone(connection))
    controller.abort(reason)
    await quietTurns()
    t.true(connection.isActive)
  })

  test(`whoever waits at a pool or mux is called off in onConnect of its dial: ${words(place)}`, async (t) => {
    const { target } = await rawServer(t, place.transport)
    for (const kind of ['get', 'pool call', 'mux call'] as const) {
      const controller = new AbortController()
      const { signal } = controller
      const options = { framing, pollers: place.pollers, onConnect: () => controller.abort(reason) }
      const keeper =
        kind === 'mux call'
          ? new Mux(target as { path: string }, options)
          : new Pool(target as { path: string }, options)
      t.teardown(() => keeper.close({ timeout: 0 }))
      const waits = kind === 'get' ? (keeper as Pool).get({ signal }) : keeper.call('x', { signal })
      t.is(await rejection(waits), reason)
      await keeper.close({ timeout: 0 })
    }
    t.is(codeOf(reason), undefined)
  })
}
