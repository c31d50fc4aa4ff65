import { once } from 'node:events'
import { pipeline } from 'node:stream/promises'
import test, { type ExecutionContext } from 'ava'

import type { ConnectionDuplex } from '../../../dist/index.mjs'
import { deferred, nextTurn } from '../../support/deferred.mjs'
import { codeOf, rejection } from '../../support/netpoll.mjs'
import type { Peer } from '../../support/peer.mjs'
import { connectionAt, type PlacedOptions } from '../../support/placed.mjs'
import { type Place, places, words } from '../../support/places.mjs'

const large = Buffer.alloc(8 * 1024 * 1024)

/** Both ends of a stream at `place`. */
async function streamAt(
  t: ExecutionContext,
  place: Place,
): Promise<{ readonly duplex: ConnectionDuplex; readonly peer: Peer }> {
  const options = { framing: undefined } as unknown as PlacedOptions
  const { connection, peer } = await connectionAt(t, place, options)
  peer.socket.pause()
  return { duplex: connection.toDuplex(), peer }
}

/** The peer goes without a word, within this call. */
function vanish(peer: Peer, { transport }: Place): void {
  if (transport === 'tcp') peer.reset()
  else peer.destroy()
}

/** What the stream's writes are told, and its error, which must be the same object. */
async function toldOf(duplex: ConnectionDuplex, writes: readonly Promise<unknown>[]): Promise<unknown[]> {
  const [error] = await once(duplex, 'error')
  return [error, ...(await Promise.all(writes))]
}

const callbackOf = (begin: (callback: (error?: Error | null) => void) => void): Promise<unknown> => {
  const called = deferred<unknown>()
  begin((error) => called.resolve(error ?? undefined))
  return called.promise
}

for (const place of places) {
  test(`a write to a peer that has gone is told its error: ${words(place)}`, async (t) => {
    const { duplex, peer } = await streamAt(t, place)
    vanish(peer, place)
    const writes = ['a', Buffer.from('b'), ''].map((chunk) =>
      callbackOf((callback) => duplex.write(chunk, callback)),
    )
    const encoded = callbackOf((callback) => duplex.write('63', 'hex', callback))
    const ended = callbackOf((callback) => duplex.end('d', callback))
    const [error, ...told] = await toldOf(duplex, [...writes, encoded, ended])
    t.regex(String(codeOf(error)), /^(ECONNRESET|EPIPE)$/)
    for (const one of told) t.is(one, error)
  })

  test(`writes that wait are told why their peer has gone: ${words(place)}`, async (t) => {
    const { duplex, peer } = await streamAt(t, place)
    const writes = [large, Buffer.from('x')].map((chunk) =>
      callbackOf((callback) => duplex.write(chunk, callback)),
    )
    const ended = callbackOf((callback) => duplex.end(callback))
    while (!duplex.connection.isCongested) await nextTurn()
    const told = toldOf(duplex, [...writes, ended])
    vanish(peer, place)
    const [error, ...others] = await told
    t.regex(String(codeOf(error)), /^(ECONNRESET|EPIPE)$/)
    for (const one of others) t.is(one, error)
  })

  test(`a pipeline is told why its peer has gone: ${words(place)}`, async (t) => {
    const { duplex, peer } = await streamAt(t, place)
    async function* source(): AsyncGenerator<Buffer> {
      for (;;) yield large.subarray(0, 65_536)
    }
    const over = rejection(pipeline(source, duplex))
    // Inline, the write that waits is less than the high-water mark.
    while (!duplex.connection.isCongested && !duplex.writableNeedDrain) await nextTurn()
    vanish(peer, place)
    t.regex(String(codeOf(await over)), /^(ECONNRESET|EPIPE)$/)
  })

  test(`writes are told by what their stream was destroyed: ${words(place)}`, async (t) => {
    const { duplex } = await streamAt(t, place)
    const reason = new Error('destroyed by the test')
    const writes = ['a', large, 'b'].map((chunk) => callbackOf((callback) => duplex.write(chunk, callback)))
    const ended = callbackOf((callback) => duplex.end(callback))
    duplex.destroy(reason)
    for (const told of await toldOf(duplex, [...writes, ended])) t.is(told, reason)
  })

  test(`what has left has no error, whatever comes then: ${words(place)}`, async (t) => {
    const { duplex, peer } = await streamAt(t, place)
    const few = await callbackOf((callback) => duplex.write('few', callback))
    t.is(few, undefined)
    const last = callbackOf((callback) => duplex.write('last', callback))
    duplex.destroy()
    t.is(await last, undefined)
    peer.socket.resume()
    t.is(String(await peer.readToEnd()), 'fewlast')
  })

  test(`what has left has no error, although its callback waits for the loop: ${words(place)}`, async (t) => {
    const [{ duplex: busy }, { duplex, peer }] = [await streamAt(t, place), await streamAt(t, place)]
    const told: unknown[] = []
    duplex.on('error', (error) => told.push(error))
    // Where a peer has TLS its tickets stand before that. Whoever is destroyed without having read them resets the peer.
    const first = once(duplex, 'data')
    await peer.write('first')
    t.is(String((await first)[0]), 'first')
    // More than a thread may queue before its loop turns.
    busy.write(large)
    // The peer of this one goes with the test.
    busy.on('error', () => {})
    const last = callbackOf((callback) => duplex.write('last', callback))
    const closed = once(duplex, 'close')
    duplex.destroy()
    t.is(await last, undefined)
    t.deepEqual(await closed, [false])
    peer.socket.resume()
    t.is(String(await peer.readToEnd()), 'last')
    t.deepEqual(told, [])
  })

  test(`what cannot leave fails, although its callback waits for the loop: ${words(place)}`, async (t) => {
    const { duplex } = await streamAt(t, place)
    const failed = callbackOf((callback) => duplex.write(large, callback))
    duplex.destroy()
    t.is(codeOf(await failed), 'ECANCELED')
  })
}

test.serial('a callback that throws is uncaught, and the others are told', async (t) => {
  const { duplex, peer } = await streamAt(t, { side: 'dialed', pollers: 0, transport: 'tcp' })
  const uncaught = deferred<unknown>()
  const listeners = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  t.teardown(() => {
    for (const listener of listeners) process.on('uncaughtException', listener)
  })
  process.once('uncaughtException', uncaught.resolve)
  peer.reset()
  duplex.write('a', () => {
    throw new Error('of the callback')
  })
  const told = callbackOf((callback) => duplex.write('b', callback))
  const [error, other] = await toldOf(duplex, [told])
  t.is(other, error)
  t.is(((await uncaught.promise) as Error).message, 'of the callback')
})
