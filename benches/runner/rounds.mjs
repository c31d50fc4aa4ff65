// Rounds: everything under measurement takes turns, so that what else the machine does meets all alike.

import { progress } from './progress.mjs'
import { whole } from './format.mjs'

/** A side that is busy for so much of the time has nothing left to give. */
const SATURATED = 0.9

/**
 * @param {string} title
 * @param {readonly Run[]} runs
 * @param {number} count
 * @returns {Promise<readonly Turns[]>}
 */
export async function interleave(title, runs, count) {
  const measured = runs.map(({ subject }) => ({ subject, rounds: /** @type {Round[]} */ ([]) }))
  for (let round = 1; round <= count; round += 1) {
    for (const [index, { subject, measure }] of runs.entries()) {
      const rounds = measured[index]?.rounds
      const rate = rounds?.at(-1)?.figures['rate']
      const before = rate === null || rate === undefined ? '' : ` · ${whole(rate)}/s before`
      progress(`${title} · round ${round}/${count} · ${subject.label}${before}`)
      const result = await measure()
      if (result !== undefined) rounds?.push(result)
    }
  }
  return measured
}

/** @param {LoadReport | undefined} report @returns {Round | undefined} */
export function roundOf(report) {
  if (report === undefined) return undefined
  const { requests, requestsPerSecond, latencyMicroseconds, server, client, errors } = report
  // Of a round that was too short for any reply nothing is known.
  const { p50 = null, p99 = null, p999 = null } = requests > 0 ? latencyMicroseconds : {}
  return {
    figures: {
      rate: requestsPerSecond,
      cpu: requests > 0 ? server.cpuMicrosecondsPerRequest : null,
      ...{ p50, p99, p999 },
      memory: server.residentBytes,
      peak: server.peakResidentBytes,
    },
    serverShare: server.cpuShare,
    clientShare: client.cpuShare,
    timedOut: errors.reduce((sum, { count }) => sum + count, 0),
  }
}

/** A server under a load. @param {import('./bench.mjs').Bench} bench @param {Load} load @returns {Run} */
export const runOf = (bench, load) => ({
  subject: bench.subject,
  measure: async () => roundOf(await bench.drive(load)),
})

/**
 * Lets each server take turns under its load.
 *
 * @param {string} title
 * @param {readonly import('./bench.mjs').Bench[]} benches
 * @param {(bench: import('./bench.mjs').Bench) => Load} loadOf What each is asked.
 * @param {{ rounds: number, quick: boolean }} options
 * @param {readonly Run[]} [others] What takes turns with them.
 */
export async function measureLoads(title, benches, loadOf, { rounds, quick }, others = []) {
  // Servers on a just-in-time compiler need a while to reach their speed.
  for (const bench of quick ? [] : benches) {
    progress(`${title} · ${bench.subject.label} · warm-up`)
    await bench.drive({ ...loadOf(bench), seconds: 0.5, warmUp: 0 })
  }
  const runs = benches.map((bench) => runOf(bench, loadOf(bench)))
  return interleave(title, [...runs, ...others], rounds)
}

/**
 * @param {number} server The share of a core that it used.
 * @param {number} client
 * @returns {'server' | 'client' | 'both' | 'neither'}
 */
export function busySide(server, client) {
  if (Math.max(server, client) < SATURATED || Number.isNaN(server)) return 'neither'
  if (Math.min(server, client) >= SATURATED) return 'both'
  return server > client ? 'server' : 'client'
}
