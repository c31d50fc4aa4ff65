// A fixed rate, half of what each server reaches: the server sleeps and wakes between small batches, which
// costs more for each request than full speed. Latency counts from when a request was due, so that a stall
// is charged for all who had to wait in it (no coordinated omission).

import { PEERS } from '../runner/peers.mjs'
import { progress } from '../runner/progress.mjs'
import { whole } from '../runner/table.mjs'
import { TIMEOUT } from './scenarios.mjs'
import { row, warningsAbout } from './section.mjs'
import { loadRow } from './server-test.mjs'

/** @type {readonly import('./section.mjs').Column[]} */
const COLUMNS = [
  { key: 'cpu', label: 'CPU/request', unit: 'microseconds' },
  { key: 'asked', label: 'asked/s', unit: 'rate' },
  { key: 'rate', label: 'answered/s', unit: 'rate' },
  { key: 'p50', label: 'p50', unit: 'microseconds' },
  { key: 'p99', label: 'p99', unit: 'microseconds' },
  { key: 'p999', label: 'p99.9', unit: 'microseconds' },
]

/**
 * @param {import('./scenarios.mjs').ServerScenario} scenario Whose load it is.
 * @param {import('./section.mjs').Section} full What each server reaches at full speed.
 * @param {import('./options.mjs').Options} options
 * @param {import('../runner/fleet.mjs').Fleet} fleet
 * @returns {Promise<import('./section.mjs').Section>}
 */
export async function measureHalfLoad(scenario, full, options, fleet) {
  const reached = full.rows.flatMap(({ peer, values }) => {
    const { rate } = values
    // A server that failed at full speed has no rate to halve.
    return rate ? [{ peer: /** @type {import('../runner/peers.mjs').PeerName} */ (peer), rate }] : []
  })
  const benches = await fleet.benches(
    scenario.transport,
    reached.map(({ peer }) => peer),
  )
  const runs = benches.map((bench, index) => ({
    bench,
    rate: Math.round((reached[index]?.rate ?? 0) / 2),
    rounds: /** @type {import('../runner/bench.mjs').Report[]} */ ([]),
  }))
  const { seconds, warmUp } = options
  for (let round = 1; round <= options.rounds; round += 1) {
    for (const { bench, rate, rounds } of runs) {
      const { label } = PEERS[bench.peer]
      progress(`half load · round ${round}/${options.rounds} · ${label} at ${whole(rate)}/s`)
      const report = await bench.drive({ shape: scenario.shape, seconds, warmUp, rate, timeout: TIMEOUT })
      if (report !== undefined) rounds.push(report)
    }
  }
  const rows = runs.map(({ bench, rate, rounds }) => {
    const { peer, label, family, values } = loadRow(bench.peer, rounds)
    const cpu = rounds.map(({ server }) => server.cpuMicrosecondsPerRequest ?? Number.NaN)
    return row({ peer, label, family }, cpu, { ...values, asked: rate })
  })
  return {
    id: `half-${scenario.id}`,
    group: 'Half load',
    title: `${scenario.title} at half of what each server reaches`,
    about: 'Requests are due on a fixed schedule; latency counts from when they were due.',
    columns: COLUMNS,
    rows,
    warnings: warningsAbout(rows),
  }
}
