// What V8 itself takes for a reply in a new `Buffer`: makes and fills one after the other, and prints the processor
// time of each as one line of JSON.

import { setImmediate } from 'node:timers/promises'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: { size: { type: 'string', default: '1024' }, seconds: { type: 'string', default: '1' } },
})
const size = Number(values.size)
const milliseconds = Number(values.seconds) * 1000
/** Bytes between two turns of the event loop, as many as a busy server's turn replies. */
const TURN = Math.max(20 * size, 64 * 1024)

let made = 0
/** The last one lives for a while, as a reply that is being sent does. */
let last = Buffer.alloc(0)

/** @param {number} duration */
async function run(duration) {
  const end = performance.now() + duration
  while (performance.now() < end) {
    for (let bytes = 0; bytes < TURN; bytes += size) {
      last = Buffer.allocUnsafe(size).fill(made)
      made += 1
    }
    await setImmediate()
  }
}

await run(milliseconds / 4)
made = 0
const before = process.cpuUsage()
await run(milliseconds)
const { user, system } = process.cpuUsage(before)
console.log(JSON.stringify({ cpuMicroseconds: (user + system) / made, last: last.length }))
