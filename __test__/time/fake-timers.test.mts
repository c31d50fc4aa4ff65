import test from 'ava'

import { everyday, everydayNotes, everydayPlaces } from '../support/everyday.mjs'
import { fakes } from '../support/fake-timers.mjs'
import { placeOf } from '../support/listeners.mjs'
import { openRealm } from '../support/realm.mjs'
import { runFixture } from '../support/system.mjs'

/** A `process` as jest makes one for each test file: what is set there is not seen by Node.js itself. */
const ownProcess = (): NodeJS.Process => Object.create(process) as NodeJS.Process

for (const { pollers, transport } of everydayPlaces) {
  const place = `${pollers} pollers, ${transport}`

  test.serial(
    `nothing hangs under fake timers in a realm of their own, installed before: ${place}`,
    async (t) => {
      const { nextTick, ...others } = fakes()
      const { netpoll } = openRealm({ ...others, process: Object.assign(ownProcess(), { nextTick }) })
      t.deepEqual(await everyday(netpoll, { pollers, where: placeOf(t, transport) }), everydayNotes)
    },
  )

  test.serial(
    `nothing hangs under fake timers in a realm of their own, installed after: ${place}`,
    async (t) => {
      const realmProcess = ownProcess()
      const realm = openRealm({ ...globalThis, process: realmProcess })
      const { nextTick, ...others } = fakes()
      Object.assign(realmProcess, { nextTick })
      Object.assign(realm.run('globalThis') as object, others)
      t.deepEqual(await everyday(realm.netpoll, { pollers, where: placeOf(t, transport) }), everydayNotes)
    },
  )

  for (const time of ['before', 'after']) {
    for (const ticks of ['with ticks', 'without ticks']) {
      test.serial(
        `nothing hangs under fake timers of sinon, installed ${time}, ${ticks}: ${place}`,
        async (t) => {
          const where = placeOf(t, transport)
          const args = [time, ticks, String(pollers), ...('path' in where ? [where.path] : [])]
          const outcome = await runFixture(t, 'fake-timers', { args })
          const notes = everydayNotes.filter(
            (note) => ticks === 'without ticks' || !note.startsWith('duplex'),
          )
          t.deepEqual(outcome, { code: 0, signal: null, stdout: `${notes.join('\n')}\n`, stderr: '' })
        },
      )
    }
  }
}
