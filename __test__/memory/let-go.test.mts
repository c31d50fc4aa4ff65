// A call that has its reply, and bytes that were read, are not kept by others that wait. A connection that has ended is kept by
// nothing.
import test, { type ExecutionContext } from 'ava'

import { runFixture } from '../support/system.mjs'

async function kept(t: ExecutionContext, ...args: readonly (string | number)[]): Promise<number> {
  const { code, stdout, stderr } = await runFixture(t, 'let-go', {
    args: args.map(String),
    flags: ['--expose-gc'],
  })
  t.deepEqual([code, stderr], [0, ''])
  return Number(stdout)
}

for (const pollers of [0, 1, 2]) {
  for (const kind of ['queue', 'ids']) {
    test.serial(
      `replies of calls that overlap are collected as young ones: ${kind}, ${pollers} pollers`,
      async (t) => {
        const chunks = await kept(t, 'overlapping', pollers, kind)
        t.true(chunks <= 24, `${chunks} chunks`)
      },
    )

    test.serial(`a call that waits keeps no reply of another: ${kind}, ${pollers} pollers`, async (t) => {
      const replies = await kept(t, 'settled', pollers, kind)
      t.true(replies <= 2, `${replies} replies`)
    })
  }

  for (const kind of ['pool', 'mux']) {
    test.serial(`a call that waits keeps no request of another: ${kind}, ${pollers} pollers`, async (t) => {
      // One for each call that is not answered, and its copy.
      const requests = await kept(t, 'served', pollers, kind)
      t.true(requests <= 24, `${requests} MiB`)
    })
  }

  test.serial(
    `a reply that was left for later keeps no connection that has ended: ${pollers} pollers`,
    async (t) => {
      t.is(await kept(t, 'ended', pollers), 0)
    },
  )

  test.serial(`bytes that were read are collected as young ones: ${pollers} pollers`, async (t) => {
    const chunks = await kept(t, 'read', pollers)
    t.true(chunks <= 40, `${chunks} chunks`)
  })
}
