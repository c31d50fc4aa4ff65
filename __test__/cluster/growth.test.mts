import test from 'ava'

import { runFixture } from '../support/system.mjs'

for (const pollers of ['0', '1']) {
  test.serial(`nothing grows while servers come and go: ${pollers} pollers`, async (t) => {
    const result = await runFixture(t, 'cluster-growth', { flags: ['--expose-gc'], args: ['40000', pollers] })
    t.is(result.code, 0, JSON.stringify(result))
  })
}
