// `connection.signal` is aborted once, when the peer has gone or the connection closes, whatever the reason.
import { AsyncLocalStorage } from 'node:async_hooks'
import { closeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'

import { type Connection, createServer, Dialer, type NetpollError } from '../../dist/index.mjs'
import { deferred, Inbox, nextTurn } from '../support/deferred.mjs'
import { endPlaces, ends, endWords } from '../support/ends.mjs'
import { frame } from '../support/frames.mjs'
import { codeOf, connectPeer, dial, framing, gone, rejection, serve } from '../support/netpoll.mjs'
import type { Peer } from '../support/peer.mjs'
import { connectionAt, type PlacedOptions } from '../support/placed.mjs'
import { places, words } from '../support/places.mjs'
import { inactive, quietTurns } from '../support/streams.mjs'
import { runFixture } from '../support/system.mjs'

/** Resolves with the reason once it is aborted. */
function aborted(signal: AbortSignal): Promise<unknown> {
  if (signal.aborted) return Promise.resolve(signal.reason)
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(signal.reason), { once: true })
  })
}

const nameOf = (reason: unknown): string => (reason as Error).name

/** What ends a connection, and the code that its error has; `undefined` where it ends in order. */
interface Ending {
  readonly end: (connection: Connection, peer: Peer) => unknown
  readonly code?: string
  readonly only?: 'tcp' | 'framed'
  /** Whether the peer's end may be seen before the error is known. */
  readonly isSeenEarly?: boolean
}

const endings: Readonly<Record<string, Ending>> = {
  'the peer ends': { end: (_connection, peer) => peer.end() },
  'the peer resets': { end: (_connection, peer) => peer.reset(), code: 'ECONNRESET', only: 'tcp' },
  'the peer sends what is refused': {
    end: (_connection, peer) => peer.write(Buffer.alloc(8, 0xff)),
    code: 'ERR_FRAME_TOO_LARGE',
    only: 'framed',
  },
  'the peer ends within a message': {
    end: (_connection, peer) => void peer.socket.end(Buffer.from([0, 0, 0, 9, 1])),
    code: 'ERR_EOF',
    only: 'framed',
    isSeenEarly: true,
  },
  'close()': { end: (connection) => void connection.close() },
  'destroy()': { end: (connection) => connection.destroy() },
  'destroy(error)': { end: (connection) => connection.destroy(new Error('x')), code: 'ERR_CONN_CLOSED' },
  'resetAndDestroy()': { end: (connection) => connection.resetAndDestroy() },
  'detach()': { end: (connection) => closeSync(connection.detach()) },
  idleTimeout: { end: (connection) => void connection.setIdleTimeout(1), code: 'ERR_IDLE_TIMEOUT' },
}

for (const place of places) {
  for (const kind of ['framed', 'stream'] as const) {
    for (const [title, { end, code, only, isSeenEarly }] of Object.entries(endings)) {
      if (only !== undefined && only !== place.transport && only !== kind) continue
      test(`a signal is aborted, with the reason: ${title}, ${kind}, ${words(place)}`, async (t) => {
        const told = new Inbox<Error | undefined>()
        const seen: boolean[] = []
        const options = {
          onDisconnect: (connection: Connection, error: Error | undefined) => {
            seen.push(connection.signal.aborted)
            told.push(error)
          },
          onError: () => {},
          ...(kind === 'framed' ? { onRequest: () => undefined } : { framing: undefined, onData: () => {} }),
        } as PlacedOptions
        const { connection, peer } = await connectionAt(t, place, options)
        const { signal } = connection
        t.is(connection.signal, signal)
        t.false(signal.aborted)
        let events = 0
        signal.addEventListener('abort', () => {
          events += 1
        })
        await nextTurn()
        end(connection, peer)
        const reason = await aborted(signal)
        t.false(connection.isActive)
        peer.end()
        const error = await told.take()
        t.is(codeOf(error), code)
        if (code === undefined || (isSeenEarly === true && reason !== error))
          t.is(nameOf(reason), 'AbortError')
        else t.is(reason, error)
        t.deepEqual([events, seen], [1, [true]])
      })
    }
  }

  test(`a signal that is asked for after the end is aborted, ${words(place)}`, async (t) => {
    for (const error of [undefined, new Error('gone')]) {
      const { connection, peer } = await connectionAt(t, place, { onRequest: () => undefined })
      await nextTurn()
      connection.destroy(error)
      const early = connection.signal
      t.true(early.aborted)
      await gone(connection)
      t.is(connection.signal, early)
      t.is((early.reason as Error).cause, error)
      peer.end()
      const late = await connectionAt(t, place, { onRequest: () => undefined })
      await nextTurn()
      late.connection.destroy(error)
      await gone(late.connection)
      const { reason } = late.connection.signal
      t.is(nameOf(reason), error === undefined ? 'AbortError' : 'NetpollError')
    }
  })

  test(`with allowHalfOpen a signal outlives the peer's end, ${words(place)}`, async (t) => {
    const ended = deferred()
    const { connection, peer } = await connectionAt(t, place, {
      framing: undefined,
      allowHalfOpen: true,
      onConnect: async (one: Connection) => {
        void (async () => {
          for await (const piece of one) void piece
          ended.resolve()
        })()
      },
    } as unknown as PlacedOptions)
    const { signal } = connection
    peer.end()
    await ended.promise
    await quietTurns()
    t.true(connection.isActive)
    t.false(signal.aborted)
    connection.end()
    t.is(nameOf(await aborted(signal)), 'AbortError')
  })

  test(`a stream that was taken over by toDuplex has the signal of its connection, ${words(place)}`, async (t) => {
    const taken = deferred()
    const { connection, peer } = await connectionAt(t, place, {
      framing: undefined,
      onConnect: (one: Connection) => {
        one.toDuplex().resume()
        taken.resolve()
      },
    } as unknown as PlacedOptions)
    await taken.promise
    const { signal } = connection
    t.false(signal.aborted)
    const duplex = connection.toDuplex()
    t.is(duplex.connection.signal, signal)
    peer.end()
    t.is(nameOf(await aborted(signal)), 'AbortError')
  })
}

for (const place of endPlaces.filter(({ side }) => side === 'server')) {
  test(`a server's signal outlives the beginning of its close, ${endWords(place)}`, async (t) => {
    const { connection, socket } = await ends(t, place)
    const { signal } = connection
    t.false(signal.aborted)
    socket.end()
    t.is(nameOf(await aborted(signal)), 'AbortError')
  })
}

test('a handler is told while it runs that its caller has gone, and what it rejects with is no error', async (t) => {
  const errors: unknown[] = []
  const began = new Inbox<Connection>()
  const over = new Inbox<string>()
  const kinds: Readonly<Record<string, (signal: AbortSignal) => Promise<unknown>>> = {
    reason: (signal) => aborted(signal).then((reason) => Promise.reject(reason)),
    cause: (signal) => sleep(60_000, undefined, { signal }),
  }
  const { server, port } = await serve(
    t,
    { onError: (error) => errors.push(error), onDisconnect: () => over.push('gone') },
    async (request, connection) => {
      began.push(connection)
      await kinds[String(request)]?.(connection.signal)
    },
  )
  for (const [index, kind] of Object.keys(kinds).entries()) {
    const peer = await connectPeer(t, { port })
    await peer.write(frame(kind))
    await began.reach(index + 1)
    peer.end()
    await over.reach(index + 1)
  }
  await server.close()
  t.deepEqual(errors, [])
})

test('a handler that throws ends the signal of its connection in order, and any other error is told', async (t) => {
  const errors: unknown[] = []
  const signals = new Inbox<AbortSignal>()
  const failure = new Error('from the handler')
  const { port } = await serve(
    t,
    {
      onConnect: ({ signal }) => signals.push(signal),
      onError: (error) => errors.push(error),
    },
    () => {
      throw failure
    },
  )
  const peer = await connectPeer(t, { port })
  const signal = await signals.take()
  await peer.write(frame('x'))
  t.is(nameOf(await aborted(signal)), 'AbortError')
  t.deepEqual(errors, [failure])
})

test('while a server closes handlers that still answer are not aborted', async (t) => {
  const gate = deferred()
  const began = new Inbox<AbortSignal>()
  const { server, port } = await serve(t, {}, async (_request, connection) => {
    began.push(connection.signal)
    await gate.promise
    return String(connection.signal.aborted)
  })
  const peer = await connectPeer(t, { port })
  await peer.write(frame('x'))
  const signal = await began.take()
  const closing = server.close()
  await quietTurns()
  t.false(signal.aborted)
  gate.resolve()
  t.deepEqual(await peer.read(9), frame('false'))
  peer.end()
  await closing
  t.true(signal.aborted)
})

for (const allowHalfOpen of [true, false]) {
  test(`while a server closes, a handler is asked by a peer that has ended: allowHalfOpen ${allowHalfOpen}`, async (t) => {
    const gate = deferred()
    const began = new Inbox<Connection>()
    const { server, port } = await serve(t, { allowHalfOpen }, async (_request, connection) => {
      began.push(connection)
      await gate.promise
      return String(connection.signal.aborted)
    })
    const peer = await connectPeer(t, { port })
    await peer.write(frame('x'))
    const connection = await began.take()
    peer.end()
    if (!allowHalfOpen) await inactive(connection)
    else await quietTurns()
    const closing = server.close()
    await quietTurns()
    gate.resolve()
    const answer = String(!allowHalfOpen)
    t.deepEqual(await peer.read(4 + answer.length), frame(answer))
    await closing
  })
}

test('listeners run in the context of listen and dial', async (t) => {
  const storage = new AsyncLocalStorage<string>()
  const stores: unknown[] = []
  const note = (signal: AbortSignal): void => {
    signal.addEventListener('abort', () => stores.push(storage.getStore()))
  }
  const accepted = new Inbox<AbortSignal>()
  const server = createServer({ framing, onConnect: ({ signal }) => accepted.push(signal) }, () => undefined)
  t.teardown(() => server.close({ timeout: 0 }))
  await storage.run('listen', () => server.listen({ host: '127.0.0.1', port: 0 }))
  const { port } = server.address() as { readonly port: number }
  const connection = await storage.run('dial', () => dial(t, { port }))
  note(connection.signal)
  const served = await accepted.take()
  note(served)
  storage.run('elsewhere', () => connection.destroy())
  await aborted(served)
  t.deepEqual(stores, ['dial', 'listen'])
})

test('a listener may end, close and call: the connection ends once', async (t) => {
  const over = new Inbox<Error | undefined>()
  const { port } = await serve(t, {}, () => undefined)
  const connection = await new Dialer({
    framing,
    onDisconnect: (_connection, error) => over.push(error),
  }).dial({ host: '127.0.0.1', port })
  const { signal } = connection
  const calls: Promise<unknown>[] = [rejection(connection.call('waits'))]
  signal.addEventListener('abort', () => {
    connection.destroy(new Error('again'))
    connection.end()
    calls.push(connection.close())
    calls.push(rejection(connection.call('late')))
    calls.push(rejection(connection.send('late')))
  })
  connection.destroy()
  const [waiting, , late, sent] = await Promise.all(calls)
  for (const error of [waiting, late, sent]) t.is((error as NetpollError).code, 'ERR_CONN_CLOSED')
  await over.reach(1)
  await quietTurns()
  t.is(over.all.length, 1)
})

test('calls that listen to the signal of a connection end with it, thousands of them', async (t: ExecutionContext) => {
  const { port } = await serve(t, {}, () => undefined)
  const [one, other] = await Promise.all([dial(t, { port }), dial(t, { port })])
  const { signal } = one
  const calls = Array.from({ length: 2_000 }, () => rejection(other.call('x', { signal })))
  one.destroy()
  for (const reason of await Promise.all(calls)) t.is(reason, signal.reason)
  t.true(other.isActive)
})

test('a signal that users break, and listeners that throw, cost nothing else', async (t) => {
  const { code, stdout, stderr } = await runFixture(t, 'throwing-signals')
  t.is(stderr, '')
  t.is(stdout, 'uncaught: from a listener\nuncaught: from onabort\nreported: from dispatchEvent\nserved: 3\n')
  t.is(code, 0)
})
