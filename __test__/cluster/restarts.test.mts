import test from 'ava'

import { runFixture } from '../support/system.mjs'

for (const args of [
  ['goaway', '4', '300', '0.3'],
  ['silent', '4', '300', '0.3', 'idempotent'],
  ['kill', '4', '300', '0.3', 'idempotent'],
  ['kill', '4', '300', '0.3'],
]) {
  test.serial(`processes that are restarted one after the other: ${args.join(' ')}`, async (t) => {
    const result = await runFixture(t, 'cluster-restarts', { args })
    t.is(result.code, 0, JSON.stringify(result))
  })
}
