import test from 'ava'

import { placeOf } from '../support/listeners.mjs'
import { runFixture } from '../support/system.mjs'

/** The ways in which this Node.js can keep what an `AsyncLocalStorage` holds. */
const ways = [
  undefined,
  '--async-context-frame',
  '--no-async-context-frame',
  '--experimental-async-context-frame',
].filter((flag) => flag === undefined || process.allowedNodeEnvironmentFlags.has(flag))

for (const flag of ways) {
  for (const side of ['server', 'dialed']) {
    for (const kind of ['synchronous', 'asynchronous']) {
      for (const pollers of ['0', '1', '2']) {
        for (const transport of ['tcp', 'unix'] as const) {
          const words = [side, kind, `${pollers} pollers`, transport, flag ?? 'without a flag'].join(', ')
          test.serial(`what handlers enter is seen by no other: ${words}`, async (t) => {
            const where = placeOf(t, transport)
            const args = [side, kind, pollers, ...('path' in where ? [where.path] : [])]
            const flags = flag === undefined ? [] : [flag]
            const outcome = await runFixture(t, 'entered-stores', { args, flags })
            t.deepEqual(outcome, { code: 0, signal: null, stdout: '0\n', stderr: '' })
          })
        }
      }
    }
  }
}
