import test from 'ava'

import type { Outcome } from '../fixtures/amplification.mjs'
import { attacks } from '../support/attacks.mjs'
import { runFixture } from '../support/system.mjs'

// What SECURITY.md says that a peer can cost at most. Milliseconds and resident memory are shown by
// `npm run test:amplification`, which prints all of it as a table.

/** Only there can descriptors be counted. One after the other: each has processes of its own. */
const testOnLinux = process.platform === 'linux' ? test.serial : test.skip

for (const pollers of ['0', '1']) {
  for (const attack of attacks) {
    testOnLinux(`hostile peers cost no more than is said: ${attack}, ${pollers} pollers`, async (t) => {
      const { code, stdout, stderr } = await runFixture(t, 'amplification', {
        args: [attack, pollers],
        flags: ['--expose-gc'],
      })
      t.deepEqual([code, stderr], [0, ''])
      const { heldBytes, maxHeldBytes, connectionsLeft, descriptorsLeft } = JSON.parse(stdout) as Outcome
      t.true(heldBytes <= maxHeldBytes, `${heldBytes} bytes are held, of at most ${maxHeldBytes}`)
      t.deepEqual([connectionsLeft, descriptorsLeft], [0, 0])
    })
  }
}
