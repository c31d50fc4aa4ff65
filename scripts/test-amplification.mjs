// What hostile peers cost: bytes that they sent, beside bytes held for them and milliseconds for which the event loop did not
// turn, as a table. What SECURITY.md says that they can cost at most is an error beyond that; so is resident memory that grows
// by much more than what is held.
//
//   npm run test:amplification

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

import { attacks } from '../.test/support/attacks.mjs'

const fixture = join('.test', 'fixtures', 'amplification.mjs')
/** Beside what is held: the pool's free chunks, the allocator's and JavaScript's own. */
const residentAllowance = 128 * 2 ** 20

const kibibytes = (bytes) => Math.round(bytes / 1024)
const table = {}
let passed = 0
let failed = 0
for (const pollers of ['0', '1']) {
  for (const attack of attacks) {
    const args = ['--expose-gc', fixture, attack, pollers]
    const { status, stdout, stderr } = spawnSync(process.execPath, args, {
      encoding: 'utf8',
      timeout: 600_000,
    })
    if (status !== 0) throw new Error(`${attack}: ${stderr}`)
    const outcome = JSON.parse(stdout)
    const { heldBytes, maxHeldBytes, residentBytes, connectionsLeft, descriptorsLeft } = outcome
    const isGood =
      heldBytes <= maxHeldBytes &&
      residentBytes <= maxHeldBytes + residentAllowance &&
      connectionsLeft === 0 &&
      descriptorsLeft <= 0
    if (isGood) passed += 1
    else failed += 1
    table[`${attack}, ${pollers} pollers`] = {
      'sent, KiB': kibibytes(outcome.sentBytes),
      'held, KiB': kibibytes(heldBytes),
      'at most': kibibytes(maxHeldBytes),
      'resident, KiB': kibibytes(residentBytes),
      'blocked, ms': Math.round(outcome.blockedMilliseconds),
      left: connectionsLeft + descriptorsLeft,
      '': isGood ? '' : 'FAILED',
    }
  }
}
console.table(table)
process.stdout.write(`\n${passed} passed, ${failed} failed\n`)
process.exitCode = failed > 0 ? 1 : 0
