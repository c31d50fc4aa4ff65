// Memory over a long run: resident memory after each of ten parts, while handlers keep their requests across an
// `await` or make large replies.

import { withServer } from '../runner/fleet.mjs'
import { progress } from '../runner/progress.mjs'
import { whole } from '../runner/format.mjs'
import { pool } from './scenarios.mjs'
import { row } from './section.mjs'

const PARTS = 10
const PART = 1_000_000
const QUICK_PART = 2_000

/** What is asked, with a load that keeps a server busy all the same: requests that wait 100 ms need many in flight. */
const LOADS = [
  { id: 'turn', label: 'held over a turn', words: ['--hold', '0'], shape: { ...pool(4), inFlight: 64 } },
  { id: 'long', label: 'held for 100 ms', words: ['--hold', '100'], shape: { ...pool(200), inFlight: 64 } },
  { id: 'large', label: 'replies of 32 KiB', words: [], shape: pool(20, 32 * 1024) },
]

/** @type {readonly Column[]} */
const COLUMNS = [
  { key: 'growth', label: 'last ÷ second', unit: 'ratio' },
  { key: 'peak', label: 'peak', unit: 'bytes' },
  ...Array.from({ length: PARTS }, (_, index) => ({
    ...{ key: `part${index + 1}`, label: `after ${index + 1}`, unit: /** @type {const} */ ('bytes') },
  })),
]

/** @param {Context} context @returns {Promise<readonly Section[]>} */
export async function measureGrowth({ options, subjects }) {
  const count = options.quick ? QUICK_PART : PART
  const rows = []
  for (const subject of subjects(['netpoll']).slice(0, 1)) {
    for (const load of LOADS) {
      rows.push(
        await withServer({ ...subject, words: load.words }, (bench) => measureLoad(bench, load, count)),
      )
    }
  }
  if (rows.length === 0) return []
  const title = `Resident memory after each ${whole(count)} requests`
  const about = 'Requests are held by an async function, or answered with a new `Buffer` of 32 KiB.'
  return [{ id: 'growth', group: 'Memory over time', title, about, columns: COLUMNS, rows, warnings: [] }]
}

/**
 * @param {import('../runner/bench.mjs').Bench} bench
 * @param {(typeof LOADS)[number]} load
 * @param {number} count Requests of each part.
 */
async function measureLoad(bench, { id, label, shape }, count) {
  const resident = []
  let peak = null
  for (let part = 1; part <= PARTS; part += 1) {
    progress(`growth · ${label} · ${whole((part - 1) * count)} of ${whole(PARTS * count)}`)
    const report = await bench.drive({ shape, count })
    peak = report?.server.peakResidentBytes ?? peak
    resident.push(bench.memory())
  }
  const growth = (resident.at(-1) ?? Number.NaN) / (resident[1] ?? Number.NaN)
  const parts = Object.fromEntries(resident.map((bytes, index) => [`part${index + 1}`, bytes]))
  const named = { peer: id, label: `netpoll, ${label}`, family: bench.subject.family }
  return row(named, [growth], { growth, peak, ...parts })
}
