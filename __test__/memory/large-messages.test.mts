// Memory of large messages is used again, and given back where nothing uses it.
import test, { type ExecutionContext } from 'ava'

import { places, words } from '../support/places.mjs'
import { runFixture } from '../support/system.mjs'

/** Messages, of two thirds of a megabyte on average. */
const total = 240
/** The sizes of the messages, and one more: so many chunks are made anew after a pause. */
const madeAnew = 4
/** Bytes of free large chunks that are kept. */
const bound = 32 * 1024 * 1024

interface Outcome {
  readonly misses: number
  readonly pauses: number
  readonly most: number
  readonly left: number
  readonly isIntact: boolean
}

async function check(t: ExecutionContext, ...args: readonly (string | number)[]): Promise<void> {
  const { code, stdout, stderr } = await runFixture(t, 'large-messages', {
    args: args.map(String),
    flags: ['--expose-gc'],
  })
  t.deepEqual([code, stderr], [0, ''])
  const { misses, pauses, most, left, isIntact } = JSON.parse(stdout) as Outcome
  t.true(isIntact)
  // For half of the messages. A machine that is very busy makes a pause out of a moment.
  t.true(misses <= (total * 3) / 8 + madeAnew * pauses, `${misses} chunks were allocated, ${pauses} pauses`)
  t.true(most > 0 && most <= bound, `${most} bytes were kept`)
  t.is(left, 0)
}

for (const place of places) {
  test.serial(`memory of large messages is used again, and then let go of: ${words(place)}`, async (t) => {
    await check(t, place.side, place.transport, place.pollers, 0, total)
  })
}

for (const threads of [1, 2, 3]) {
  for (const pollers of [0, 1]) {
    test.serial(
      `memory of large messages is used again: ${threads} workers, ${pollers} pollers`,
      async (t) => {
        await check(t, 'server', 'tcp', pollers, threads, total)
      },
    )
  }
}
