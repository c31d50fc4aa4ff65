import test from 'ava'

import { everyday, everydayNotes, everydayPlaces } from './support/everyday.mjs'
import { placeOf } from './support/listeners.mjs'
import { openRealm } from './support/realm.mjs'

for (const { pollers, transport } of everydayPlaces) {
  test.serial(
    `a realm without timers of its own lacks nothing: ${pollers} pollers, ${transport}`,
    async (t) => {
      const { netpoll, run } = openRealm()
      t.is(run('typeof setImmediate'), 'undefined')
      t.deepEqual(await everyday(netpoll, { pollers, where: placeOf(t, transport) }), everydayNotes)
    },
  )
}
