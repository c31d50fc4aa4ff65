// Memory over a long run: resident memory after each of ten parts, when handlers
// keep their request across an `await`.

import { Bench } from './bench.mjs'
import { PEERS } from './peers.mjs'
import { print, progress } from './progress.mjs'
import { megabytes, table, whole } from './table.mjs'

const PARTS = 10
const PART = 1_000_000
const QUICK_PART = 2_000
const LIMIT = 1.1

/**
 * How long requests are held, and a load that keeps a server busy all the same:
 * requests that wait 100 ms need many of them in flight.
 */
const HOLDS = /** @type {const} */ ([
  { milliseconds: 0, shape: { protocol: 'frames', connections: 4, inFlight: 64, size: 1024 } },
  { milliseconds: 100, shape: { protocol: 'frames', connections: 200, inFlight: 64, size: 1024 } },
])

/**
 * @typedef {object} MemoryResult
 * @property {import('./peers.mjs').PeerName} peer
 * @property {number} hold Milliseconds.
 * @property {number} requestsPerPart
 * @property {readonly number[]} resident Bytes after each part.
 * @property {number} growth The last as a multiple of the second.
 */

/**
 * @param {import('./options.mjs').Options} options
 * @returns {Promise<readonly MemoryResult[]>}
 */
export async function measureMemory(options) {
  // Only what this package does to memory is in question; the others stand in for tests.
  const peer = options.servers.includes('netpoll') ? 'netpoll' : options.servers[0]
  if (peer === undefined || !PEERS[peer].collects) return []
  const results = []
  for (const { milliseconds, shape } of HOLDS) {
    const bench = await Bench.start(peer, 'tcp', ['--hold', String(milliseconds)])
    try {
      const count = options.quick ? QUICK_PART : PART
      const resident = []
      for (let part = 1; part <= PARTS; part += 1) {
        const requests = `${whole((part - 1) * count)} of ${whole(PARTS * count)}`
        progress(`memory · ${PEERS[peer].label} holding requests ${milliseconds} ms · ${requests}`)
        await bench.drive({ shape, count })
        resident.push(bench.memory())
      }
      const growth = (resident.at(-1) ?? Number.NaN) / (resident[1] ?? Number.NaN)
      results.push({ peer, hold: milliseconds, requestsPerPart: count, resident, growth })
    } finally {
      await bench.stop()
    }
  }
  return results
}

/** @param {readonly MemoryResult[]} results */
export function printMemory(results) {
  if (results.length === 0) return
  const part = whole(results[0]?.requestsPerPart ?? PART)
  const header = ['', ...Array.from({ length: PARTS }, (_, index) => String(index + 1)), 'last ÷ second']
  const rows = results.map(({ peer, hold, resident, growth }) => [
    `${PEERS[peer].label}, held ${hold} ms`,
    ...resident.map(megabytes),
    `${growth.toFixed(2)}   at most ${LIMIT}: ${growth <= LIMIT ? 'reached' : 'NOT REACHED'}`,
  ])
  print(`\nResident memory after each ${part} requests\n${table(header, rows)}`)
}
