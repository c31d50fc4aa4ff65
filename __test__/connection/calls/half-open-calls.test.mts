// Whoever calls learns of the peer's end, also where our direction stays open: no reply comes any more.
import test from 'ava'

import { type Connection, Mux, type NetpollError, Pool } from '../../../dist/index.mjs'
import { deferred, Inbox, nextTurn } from '../../support/deferred.mjs'
import { frame, frames, numbered } from '../../support/frames.mjs'
import { codeOf, framing, rejection } from '../../support/netpoll.mjs'
import { connectionAt, rawServer } from '../../support/placed.mjs'
import { places, words } from '../../support/places.mjs'
import { quietTurns } from '../../support/streams.mjs'

const matchings = {
  'in order': {},
  'a field': { id: { offset: 0, size: 4 } },
  'a function': { id: (bytes: Buffer) => bytes.readUInt32BE(0) },
} as const

const closed = { code: 'ERR_CONN_CLOSED', sent: true }
const notSent = { code: 'ERR_CONN_CLOSED', sent: false }
const failed = (promise: Promise<unknown>) => rejection(promise) as Promise<NetpollError>

for (const place of places) {
  for (const [matching, options] of Object.entries(matchings)) {
    if (place.side === 'server' && matching === 'in order') continue
    for (const handles of [false, true]) {
      test(`calls end with the peer's direction: ${words(place)}, ${matching}, ${handles ? 'with' : 'without'} a handler`, async (t) => {
        const { connection, peer } = await connectionAt(t, place, {
          ...options,
          allowHalfOpen: true,
          ...(handles && { onRequest: () => {} }),
        })
        const calls = [1, 2, 3].map((id) => connection.call(numbered(id, 'x')))
        const waiting = calls.slice(1).map(failed)
        await peer.read(3 * frame(numbered(1, 'x')).length)
        // A reply that comes right before the end is one.
        peer.socket.end(frame(numbered(1, 'reply')))
        t.deepEqual(await calls[0], numbered(1, 'reply'))
        for (const error of await Promise.all(waiting)) t.like(error, closed)
        t.like(await failed(connection.call(numbered(4, 'late'))), notSent)
        // Our direction goes on.
        t.true(connection.isActive)
        await connection.send('still here')
        t.deepEqual(await peer.read(14), frame('still here'))
        connection.end()
        t.is((await peer.readToEnd()).length, 0)
        await new Promise<void>((resolve) => void connection.onClose(resolve))
      })
    }
  }

  for (const allowHalfOpen of [true, false]) {
    test(`a handler that calls back is not kept by a peer that has ended: ${words(place)}, allowHalfOpen ${allowHalfOpen}`, async (t) => {
      const errors = new Inbox<NetpollError>()
      const goOn = deferred()
      const { connection, peer } = await connectionAt(t, place, {
        id: { offset: 0, size: 4 },
        allowHalfOpen,
        onRequest: async (_request, to: Connection) => {
          errors.push(await failed(to.call(numbered(7, 'question'))))
          await goOn.promise
          // The peer's end is known by now.
          errors.push(await failed(to.call(numbered(8, 'another'))))
          return numbered(1, 'answer')
        },
      })
      peer.socket.end(frame(numbered(1, 'request')))
      t.like(await errors.take(), { code: 'ERR_CONN_CLOSED' })
      goOn.resolve()
      t.like(await errors.take(), notSent)
      if (allowHalfOpen) void connection.close()
      const all = await peer.readToEnd()
      if (!allowHalfOpen)
        t.deepEqual(all.subarray(-frame(numbered(1, 'answer')).length), frame(numbered(1, 'answer')))
      await new Promise<void>((resolve) => void connection.onClose(resolve))
    })
  }

  if (place.side === 'server') continue

  for (const [matching, options] of Object.entries(matchings)) {
    for (const kind of ['pool', 'mux'] as const) {
      test(`a ${kind} replaces a connection whose peer has ended: ${words(place)}, ${matching}`, async (t) => {
        const { target, peers } = await rawServer(t, place.transport)
        const common = { framing, pollers: place.pollers, allowHalfOpen: true, connections: 1, ...options }
        const keeper =
          kind === 'pool'
            ? new Pool(target as { path: string }, common)
            : new Mux(target as { path: string }, common)
        t.teardown(() => keeper.close({ timeout: 0 }))
        // With a call that waits, and then while nobody uses it.
        const waiting = failed(keeper.call(numbered(1, 'a')))
        const first = await peers.take()
        await first.read(frame(numbered(1, 'a')).length)
        first.end()
        t.like(await waiting, closed)
        t.is((await first.readToEnd()).length, 0, 'our direction has ended, too')
        t.like(keeper.stats(), { running: 0, pending: 0 })
        const answer = keeper.call(numbered(2, 'b'))
        const second = await peers.take()
        await second.read(frame(numbered(2, 'b')).length)
        await second.write(frame(numbered(2, 'B')))
        t.deepEqual(await answer, numbered(2, 'B'))
        second.end()
        t.is((await second.readToEnd()).length, 0)
        const other = keeper.call(numbered(3, 'c'))
        const third = await peers.take()
        await third.read(frame(numbered(3, 'c')).length)
        await third.write(frame(numbered(3, 'C')))
        t.deepEqual(await other, numbered(3, 'C'))
        await keeper.close({ timeout: 1 })
        t.like(keeper.stats(), { connected: 0, size: 0 })
      })
    }
  }

  test(`a lent connection whose peer has ended is its user's until it is put back: ${words(place)}`, async (t) => {
    const { target, peers } = await rawServer(t, place.transport)
    const options = { framing, pollers: place.pollers, allowHalfOpen: true, connections: 1 }
    const pool = new Pool(target as { path: string }, options)
    t.teardown(() => pool.close({ timeout: 0 }))
    const connection = await pool.get()
    const peer = await peers.take()
    const waiting = failed(connection.call('a'))
    await peer.read(5)
    peer.end()
    t.like(await waiting, closed)
    t.true(connection.isActive)
    const all = Buffer.alloc(4 * 1024 * 1024, 1)
    void connection.send(all)
    const next = pool.get()
    pool.put(connection)
    t.true((await peer.readToEnd()).equals(frame(all)), 'what was sent arrives')
    const other = await next
    t.not(other, connection)
    pool.put(other)
    t.is(codeOf(t.throws(() => pool.put(other))), 'ERR_POOL_NOT_LENT')
  })
}

for (const pollers of [0, 1, 2]) {
  test(`many waiting calls fail at once, each with an error of its own, ${pollers} pollers`, async (t) => {
    const { connection, peer } = await connectionAt(
      t,
      { side: 'dialed', pollers, transport: 'tcp' },
      { allowHalfOpen: true },
    )
    const errors = Array.from({ length: 1_000 }, (_, index) => failed(connection.call(`${index}`)))
    await peer.read(frames(...Array.from({ length: 1_000 }, (_, index) => `${index}`)).length)
    peer.end()
    const all = await Promise.all(errors)
    t.is(new Set(all).size, 1_000)
    for (const error of all) t.like(error, closed)
    await quietTurns()
    await nextTurn()
    t.true(connection.isActive)
  })
}
