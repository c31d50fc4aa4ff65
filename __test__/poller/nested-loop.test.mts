import test from 'ava'

import { buildNestedLoop, type NestedLoop } from '../support/nested-loop.mjs'
import { runFixture, socketPath } from '../support/system.mjs'

let addon: NestedLoop

test.before(() => {
  addon = buildNestedLoop()
})
test.after.always(() => addon.remove())

/** What each scenario prints. */
const scenarios = {
  batch: ['handled 20'],
  order: ['handled in order', 'answered in order'],
  call: ['a!!!!! b!!!!!'],
  deep: Array.from({ length: 3 }, () => `end${'.'.repeat(11)}`),
}

for (const [scenario, expected] of Object.entries(scenarios)) {
  for (const pollers of [0, 1, 2]) {
    for (const place of ['tcp', 'unix']) {
      test.serial(`a handler turns the event loop: ${scenario}, ${pollers} pollers, ${place}`, async (t) => {
        const target = place === 'tcp' ? place : socketPath(t)
        const outcome = await runFixture(t, 'nested-loop', {
          args: [addon.path, scenario, String(pollers), target],
        })
        t.deepEqual(outcome.stdout.trim().split('\n'), [...expected, 'closed'], outcome.stderr)
        t.is(outcome.code, 0)
      })
    }
  }
}

for (const threads of [1, 2, 3]) {
  for (const pollers of [0, 1]) {
    test.serial(
      `a handler turns the event loop of a worker: ${threads} workers, ${pollers} pollers`,
      async (t) => {
        const args = [addon.path, 'workers', String(pollers), 'tcp', String(threads)]
        const outcome = await runFixture(t, 'nested-loop', { args })
        t.deepEqual(outcome.stdout.trim().split('\n'), ['answered in order', 'closed'], outcome.stderr)
        t.is(outcome.code, 0)
      },
    )
  }
}

for (const pollers of [0, 1, 2]) {
  for (const place of ['tcp', 'unix']) {
    test.serial(`a hook of a timer turns the event loop: ${pollers} pollers, ${place}`, async (t) => {
      const target = place === 'tcp' ? place : socketPath(t)
      const outcome = await runFixture(t, 'nested-hooks', { args: [addon.path, String(pollers), target] })
      t.is(outcome.stdout, 'true first,second\n', outcome.stderr)
      t.is(outcome.code, 0)
    })
  }
}

for (const pollers of [0, 1, 2]) {
  test.serial(
    `what throws after a turn of the loop costs no later connection: ${pollers} pollers`,
    async (t) => {
      const outcome = await runFixture(t, 'thrown-late', { args: [addon.path, String(pollers)] })
      t.is(outcome.stdout, '["answered",[]]\n', outcome.stderr)
      t.regex(outcome.stderr, /^netpoll: Error: outside every guard$/m)
      t.is(outcome.code, 0)
    },
  )
}
