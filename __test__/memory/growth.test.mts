import test from 'ava'

import type { Held } from '../fixtures/growth.mjs'
import { runFixture } from '../support/system.mjs'

// What takes time, and more traffic, `npm run test:long` looks at: scripts/test-growth.mjs. These are counts.

const requests = 8_000
/** However much was received: a few for each environment that reads, until it collects. */
const maxLiveChunks = 64
/** Sends of a thread after which the rest waits for a turn of the loop. */
const sendsOfTurn = 1_024

/** Only there can descriptors be counted. One after the other: each has processes of its own. */
const testOnLinux = process.platform === 'linux' ? test.serial : test.skip

async function grown(
  t: Parameters<typeof runFixture>[0],
  mode: string,
  transport: string,
): Promise<{ readonly first: Held; readonly later: Held }> {
  const { code, stdout, stderr } = await runFixture(t, 'growth', {
    args: [mode, transport, String(requests)],
    flags: ['--expose-gc'],
  })
  t.deepEqual([code, stderr], [0, ''])
  return JSON.parse(stdout) as { readonly first: Held; readonly later: Held }
}

for (const transport of ['tcp', 'unix']) {
  for (const mode of [
    'server-inline',
    'server-pollers-1',
    'server-pollers-2',
    'server-workers-1',
    'server-workers-2',
    'server-workers-3',
    'dialer-inline',
    'dialer-pollers-1',
    'dialer-pollers-2',
    'worker-beside-dialer',
    'worker-beside-server',
  ]) {
    testOnLinux(`chunks and descriptors do not grow with requests: ${mode}, ${transport}`, async (t) => {
      const { first, later } = await grown(t, mode, transport)
      const live = `${first.liveChunks} live chunks after ${requests} requests, ${later.liveChunks} after 5 times as many`
      t.log(live)
      t.true(later.liveChunks <= maxLiveChunks, live)
      t.true(
        later.descriptors <= first.descriptors,
        `${first.descriptors}, then ${later.descriptors} descriptors`,
      )
    })
  }

  for (const mode of [
    'writing-server-inline',
    'writing-server-pollers-1',
    'writing-dialer-inline',
    'writing-dialer-pollers-1',
  ]) {
    testOnLinux(`the loop turns while somebody sends and awaits each: ${mode}, ${transport}`, async (t) => {
      const { later } = await grown(t, mode, transport)
      const least = Math.floor((4 * requests) / sendsOfTurn) - 4
      t.true(later.writingTurns >= least, `${later.writingTurns} turns, of at least ${least}`)
    })
  }
}
