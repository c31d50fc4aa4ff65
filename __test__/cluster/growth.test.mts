import test from 'ava'

import { runFixture } from '../support/system.mjs'

const flags = ['--expose-gc']

for (const pollers of ['0', '1']) {
  test.serial(`nothing grows while servers come and go: ${pollers} pollers`, async (t) => {
    const result = await runFixture(t, 'cluster-growth', { flags, args: ['40000', pollers] })
    t.is(result.code, 0, JSON.stringify(result))
  })
}

test.serial('nothing grows while servers come and go: in a worker', async (t) => {
  const result = await runFixture(t, 'in-worker', { flags, args: ['cluster-growth', '10000', '0'] })
  t.is(result.code, 0, JSON.stringify(result))
})
