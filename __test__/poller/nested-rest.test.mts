import test from 'ava'

import { buildNestedLoop, type NestedLoop } from '../support/nested-loop.mjs'
import { runFixture, socketPath } from '../support/system.mjs'

let addon: NestedLoop

test.before(() => {
  addon = buildNestedLoop()
})
test.after.always(() => addon.remove())

/** What each scenario prints, by when handlers do their work. */
const scenarios = {
  ticks: { when: ['sync', 'await'], expected: ['answered in order', 'begun in order', 'closed'] },
  bare: { when: ['sync', 'await'], expected: ['answered in order', 'begun in order', 'closed'] },
  call: { when: ['sync'], expected: ['answered in order', '1', 'closed'] },
  ended: {
    when: ['sync', 'await'],
    expected: ['answered, ended', 'answered in order', '0 of a connection that was closed', 'closed'],
  },
  exits: { when: ['sync', 'await'], expected: ['closed'] },
}

for (const [scenario, { when, expected }] of Object.entries(scenarios)) {
  for (const pollers of [0, 1, 2]) {
    for (const place of ['tcp', 'unix']) {
      for (const work of when) {
        const title = `a slow handler turns the event loop: ${scenario}, ${work}, ${pollers} pollers, ${place}`
        test.serial(title, async (t) => {
          const target = place === 'tcp' ? place : socketPath(t)
          const args = [addon.path, scenario, work, String(pollers), target]
          const outcome = await runFixture(t, 'nested-rest', { args })
          t.deepEqual(outcome.stdout.trim().split('\n'), expected, outcome.stderr)
          t.is(outcome.code, 0)
        })
      }
    }
  }
}

for (const threads of [1, 2, 3]) {
  for (const work of ['sync', 'await']) {
    const title = `a slow handler turns the event loop of a worker: ${work}, ${threads} workers`
    test.serial(title, async (t) => {
      const args = [addon.path, 'workers', work, '0', 'tcp', String(threads)]
      const outcome = await runFixture(t, 'nested-rest', { args })
      const answered = Array.from({ length: 3 }, () => 'answered in order')
      t.deepEqual(outcome.stdout.trim().split('\n'), [...answered, 'closed'], outcome.stderr)
      t.is(outcome.code, 0)
    })
  }
}
