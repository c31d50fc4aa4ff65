// Server test: one load client, every server, as fast as it can.

import { PEERS } from '../runner/peers.mjs'
import { bottleneck, measureRounds } from '../runner/throughput.mjs'
import { ALONE, TIMEOUT } from './scenarios.mjs'
import { middle, row, warningsAbout } from './section.mjs'

/** @typedef {import('../runner/bench.mjs').Report} Report */
/** @typedef {import('./section.mjs').Section} Section */

/** @type {readonly import('./section.mjs').Column[]} */
export const COLUMNS = [
  { key: 'rate', label: 'requests/s', unit: 'rate' },
  { key: 'cpu', label: 'CPU/request', unit: 'microseconds' },
  { key: 'p50', label: 'p50', unit: 'microseconds' },
  { key: 'p99', label: 'p99', unit: 'microseconds' },
  { key: 'p999', label: 'p99.9', unit: 'microseconds' },
  { key: 'memory', label: 'memory', unit: 'bytes' },
]

/**
 * @param {import('./scenarios.mjs').ServerScenario} scenario
 * @param {readonly import('../runner/peers.mjs').PeerName[]} peers Those that are there.
 * @param {import('./options.mjs').Options} options
 * @param {import('../runner/fleet.mjs').Fleet} fleet
 * @returns {Promise<Section>}
 */
export async function measureServers(scenario, peers, options, fleet) {
  const { id, group, title, about, shape, transport } = scenario
  const benches = await fleet.benches(transport, peers)
  // A connection that comes and goes is no request with a time limit.
  const timeout = shape.protocol === 'frames' ? TIMEOUT : undefined
  const { seconds, warmUp } = options
  /** @param {{ peer: import('../runner/peers.mjs').PeerName }} bench */
  const loadOf = ({ peer }) => ({
    shape: peer === ALONE ? withoutIdle(shape) : shape,
    seconds,
    warmUp,
    timeout,
  })
  const measured = await measureRounds(`${group} · ${title}`, benches, loadOf, options)
  const rows = measured.map(({ peer, rounds }) => loadRow(peer, rounds))
  return { id, group, title, about, columns: COLUMNS, rows, warnings: warningsAbout(rows) }
}

/**
 * The same without connections that send nothing.
 *
 * @param {import('../runner/bench.mjs').Shape} shape
 * @returns {import('../runner/bench.mjs').Shape}
 */
function withoutIdle(shape) {
  return 'idle' in shape ? { ...shape, idle: 0 } : shape
}

/**
 * What the rounds of one server come to.
 *
 * @param {import('../runner/peers.mjs').PeerName} peer
 * @param {readonly Report[]} rounds
 */
export function loadRow(peer, rounds) {
  const { label, family } = PEERS[peer]
  const rates = rounds.map(({ requestsPerSecond }) => requestsPerSecond)
  const known = row(
    { peer, label, family },
    rates,
    {
      rate: middle(rounds, ({ requestsPerSecond }) => requestsPerSecond),
      cpu: middle(rounds, ({ server }) => server.cpuMicrosecondsPerRequest),
      p50: middle(rounds, ({ latencyMicroseconds }) => latencyMicroseconds.p50),
      p99: middle(rounds, ({ latencyMicroseconds }) => latencyMicroseconds.p99),
      p999: middle(rounds, ({ latencyMicroseconds }) => latencyMicroseconds.p999),
      memory: middle(rounds, ({ server }) => server.residentBytes),
    },
    remarks(rounds),
  )
  return { ...known, cpuRounds: rounds.map(({ server }) => server.cpuMicrosecondsPerRequest ?? Number.NaN) }
}

/** @param {readonly Report[]} rounds */
function remarks(rounds) {
  if (rounds.length === 0) return 'failed'
  const failed = rounds.flatMap(({ errors }) => errors)
  const count = failed.reduce((sum, error) => sum + error.count, 0)
  return count === 0 ? bottleneck(rounds) : `${bottleneck(rounds)}; ${count} connections timed out`
}
