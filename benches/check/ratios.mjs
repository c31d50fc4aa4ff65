// Throughput as a multiple of the bare loop's in the same run, because the machine's speed drifts and both
// drift with it.

import { subjectOf } from '../runner/bench.mjs'
import { Fleet } from '../runner/fleet.mjs'
import { measureServers } from '../questions/server-test.mjs'
import { scenarioOf } from '../questions/scenarios.mjs'
import { knownRatios } from '../questions/section.mjs'
import { median, spread } from '../runner/statistics.mjs'

/** What is held to what is expected: replies made anew, by the ordinary handler and, of large ones, in `allocate`. */
const GUARDED = /** @type {const} */ ([
  { name: 'tcp-100x1', scenario: 'pool-100', peers: ['netpoll'] },
  { name: 'tcp-4x64', scenario: 'tcp-4x64', peers: ['netpoll'] },
  { name: 'unix-100x1', scenario: 'unix-pool-100', peers: ['netpoll'] },
  { name: 'tcp-20x32k', scenario: 'tcp-20x32k', peers: ['netpoll', 'netpollAllocate'] },
])

/**
 * @param {{ rounds: number, seconds: number, quick: boolean }} asked
 * @returns {Promise<readonly import('./verdicts.mjs').Measured[]>}
 */
export async function measureRatios({ rounds, seconds, quick }) {
  const node = process.execPath
  const fleet = new Fleet()
  const options = {
    ...{ rounds, seconds, quick, node, warmUp: quick ? 0.05 : 0.3, scope: /** @type {const} */ ('short') },
    ...{
      questions: [],
      peers: undefined,
      sizes: [],
      nodes: [],
      before: undefined,
      out: undefined,
      docs: false,
    },
  }
  const measured = []
  try {
    for (const { name, scenario, peers } of GUARDED) {
      const chosen = /** @type {const} */ ([...peers, 'bare']).map((peer) => subjectOf(peer, { node }))
      const context = { options, fleet, sections: [], subjects: () => chosen }
      const { rows } = await measureServers(scenarioOf(scenario), context)
      /** @param {string} wanted */
      const rates = (wanted) => rows.find(({ peer }) => peer === wanted)?.rounds ?? []
      for (const peer of peers) {
        const ratios = knownRatios(rates(peer), rates('bare'))
        const suffix = peer === 'netpoll' ? '' : '-allocate'
        measured.push({ name: `${name}${suffix}`, value: median(ratios), spread: spread(ratios) })
      }
    }
  } finally {
    await fleet.stop()
  }
  return measured
}
