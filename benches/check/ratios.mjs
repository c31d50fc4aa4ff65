// Throughput as a multiple of the bare loop's in the same run, because the machine's speed drifts and both
// drift with it.

import { Fleet } from '../runner/fleet.mjs'
import { ratiosOfRounds, spread } from '../runner/statistics.mjs'
import { SCENARIOS } from '../runner/scenarios.mjs'
import { measureThroughput } from '../runner/throughput.mjs'

/**
 * @param {{ rounds: number, seconds: number, quick: boolean }} options
 * @returns {Promise<readonly import('./verdicts.mjs').Measured[]>}
 */
export async function measureRatios({ rounds, seconds, quick }) {
  const fleet = new Fleet()
  const measured = []
  try {
    for (const scenario of SCENARIOS.filter(({ main }) => main)) {
      const options = {
        ...{ experiments: [], servers: /** @type {const} */ (['netpoll', 'bare']), json: undefined },
        ...{ rounds, seconds, quick, warmUp: quick ? 0.05 : 0.3 },
      }
      const { name, peers, ratios } = await measureThroughput(scenario, options, fleet)
      const value = ratios.find(({ to }) => to === 'bare')?.value ?? Number.NaN
      measured.push({
        name,
        value,
        spread: spread(ratiosOfRounds(ratesOf('netpoll', peers), ratesOf('bare', peers))),
      })
    }
  } finally {
    await fleet.stop()
  }
  return measured
}

/**
 * @param {import('../runner/peers.mjs').PeerName} name
 * @param {readonly import('../runner/throughput.mjs').PeerResult[]} peers
 */
const ratesOf = (name, peers) =>
  peers.find(({ peer }) => peer === name)?.rounds.map(({ requestsPerSecond }) => requestsPerSecond) ?? []
