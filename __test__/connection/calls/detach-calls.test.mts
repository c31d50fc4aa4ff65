// A connection is not given away while a reply can still come that is for a call of its own: the next owner would get it.
import { closeSync } from 'node:fs'
import test from 'ava'

import { type Connection, Dialer } from '../../../dist/index.mjs'
import { nextTurn } from '../../support/deferred.mjs'
import { frame, frames, numbered } from '../../support/frames.mjs'
import { codeOf, framing, gone, rejection } from '../../support/netpoll.mjs'
import { connectionAt } from '../../support/placed.mjs'
import { places, words } from '../../support/places.mjs'
import { arrived } from '../../support/streams.mjs'

/** What the id of a message is found by: the field that the core reads, a function, or nothing, in order. */
const matchings = {
  'in order': {},
  'a field': { id: { offset: 0, size: 4 } },
  'a function': { id: (bytes: Buffer) => bytes.readUInt32BE(0) },
} as const

/** How a call is given up. */
const ends = {
  'timed out': (connection: Connection) => rejection(connection.call(numbered(1, 'a'), { timeout: 1 })),
  aborted: (connection: Connection) => {
    const controller = new AbortController()
    const outcome = rejection(connection.call(numbered(1, 'a'), { signal: controller.signal }))
    controller.abort()
    return outcome
  },
} as const

const refusal = { code: 'EBUSY', syscall: 'detach' }

/** Waits until a connection may be given away. */
async function detached(connection: Connection): Promise<number> {
  for (;;) {
    try {
      return connection.detach()
    } catch (error) {
      if (codeOf(error) !== 'EBUSY') throw error
      await nextTurn()
    }
  }
}

for (const place of places) {
  for (const [matching, options] of Object.entries(matchings)) {
    // A server's connection can call only where replies have ids.
    if (place.side === 'server' && matching === 'in order') continue
    for (const [how, giveUp] of Object.entries(ends)) {
      test(`a late reply that can still come keeps the connection: ${words(place)}, ${matching}, ${how}`, async (t) => {
        const { connection, peer } = await connectionAt(t, place, options)
        await giveUp(connection)
        t.like(
          t.throws(() => connection.detach()),
          refusal,
        )
        await peer.read(frame(numbered(1, 'a')).length)
        const reply = frame(numbered(1, 'late'))
        await peer.write(reply.subarray(0, 5))
        await arrived(connection, 5)
        t.like(
          t.throws(() => connection.detach()),
          refusal,
          'half of the reply is here',
        )
        await peer.write(reply.subarray(5))
        // The connection is as it was before the call, and its next owner gets its own replies.
        const next = await new Dialer({ framing, ...options }).fromFd(await detached(connection))
        t.teardown(() => gone(next))
        const answer = next.call(numbered(1, 'b'))
        await peer.read(frame(numbered(1, 'b')).length)
        await peer.write(frame(numbered(1, 'own')))
        t.deepEqual(await answer, numbered(1, 'own'))
      })
    }

    test(`a call that waits keeps the connection, and is not given up: ${words(place)}, ${matching}`, async (t) => {
      const { connection, peer } = await connectionAt(t, place, options)
      const answers = [connection.call(numbered(1, 'a')), connection.call(numbered(2, 'b'))]
      await peer.read(frames(numbered(1, 'a'), numbered(2, 'b')).length)
      t.like(
        t.throws(() => connection.detach()),
        refusal,
      )
      await peer.write(frame(numbered(1, 'A')))
      t.deepEqual(await answers[0], numbered(1, 'A'))
      t.like(
        t.throws(() => connection.detach()),
        refusal,
      )
      await peer.write(frame(numbered(2, 'B')))
      t.deepEqual(await answers[1], numbered(2, 'B'))
      closeSync(connection.detach())
    })
  }
}

for (const place of places) {
  test(`what a peer sends after a refusal goes to no new owner: ${words(place)}`, async (t) => {
    const { connection, peer } = await connectionAt(t, place, { closeTimeout: 600_000, onError: () => {} })
    await peer.write(Buffer.from([0x7f, 0xff, 0xff, 0xff]))
    while (connection.isActive) await nextTurn()
    t.is(codeOf(t.throws(() => connection.detach())), 'ERR_CONN_CLOSED')
    await gone(connection)
  })
}
