import test from 'ava'

import { buildNestedLoop, type NestedLoop } from '../support/nested-loop.mjs'
import { runFixture, socketPath } from '../support/system.mjs'

let addon: NestedLoop

test.before(() => {
  addon = buildNestedLoop()
})
test.after.always(() => addon.remove())

for (const [pollers, threads] of [
  [0, 0],
  [1, 0],
  [2, 0],
  [0, 1],
  [1, 1],
  [0, 2],
  [2, 3],
] as const) {
  for (const place of ['tcp', 'unix']) {
    for (const mode of ['', '1']) {
      const words = `${pollers} pollers, ${threads} workers, ${place}${mode && ', memory overwritten'}`
      test.serial(`handlers by cursor turn the event loop: ${words}`, async (t) => {
        const target = place === 'tcp' ? place : socketPath(t)
        const outcome = await runFixture(t, 'nested-cursors', {
          args: [addon.path, String(pollers), target, String(threads)],
          env: { NETPOLL_TEST_CURSORS: mode },
        })
        t.is(outcome.stdout, 'closed\n', outcome.stderr)
        t.is(outcome.code, 0)
      })
    }
  }
}
