// A stream whose peer takes nothing costs nothing while it waits.

import { runHeldTimers } from '../../support/held-timers.mjs'

import test from 'ava'

import { deferred, nextTurn } from '../../support/deferred.mjs'
import { places, words } from '../../support/places.mjs'
import { socketAt } from '../../support/socket-kinds.mjs'

for (const length of [8_000_000, 300_000, 1]) {
  for (const place of places) {
    test.serial(`a stalled stream looks once: ${length} bytes, ${words(place)}`, async (t) => {
      const { socket, peer } = await socketAt(t, 'netpoll', place)
      // The test ends while both have more to write.
      socket.on('error', () => {})
      peer.pause().on('error', () => {})
      peer.write(Buffer.alloc(8_000_000))
      while (socket.readableLength < socket.readableHighWaterMark) await nextTurn()
      socket.write(Buffer.alloc(length))
      // Bytes that are on their way may have it look again. Then nothing does.
      let looks = 0
      let quiet = 0
      for (let turn = 0; quiet < 25 && turn < 2_000; turn += 1) {
        await nextTurn()
        const due = runHeldTimers()
        looks += due
        quiet = due === 0 && looks > 0 ? quiet + 1 : 0
      }
      t.is(quiet, 25)
      let got = 0
      const all = deferred()
      peer.on('data', (chunk: Buffer) => {
        got += chunk.length
        if (got === length) all.resolve()
      })
      peer.resume()
      await all.promise
    })
  }
}
