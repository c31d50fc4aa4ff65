// Full speed: every server in turn, round after round, so that whatever else the
// machine does meets all of them alike.

import { PEERS, selectPeers } from './peers.mjs'
import { print, progress } from './progress.mjs'
import { printNoise, printRatios, ratios } from './ratios.mjs'
import { median, spread } from './statistics.mjs'
import { megabytes, microseconds, percent, table, whole } from './table.mjs'

/** A side that is busy for so much of the time has nothing left to give. */
const SATURATED = 0.9

/**
 * @typedef {object} PeerResult
 * @property {import('./peers.mjs').PeerName} peer
 * @property {readonly import('./bench.mjs').Report[]} rounds
 * @property {number} requestsPerSecond Median of the rounds.
 * @property {number} spread Highest less lowest, as a part of the median.
 */

/**
 * @typedef {object} Result
 * @property {string} name
 * @property {string} title
 * @property {readonly PeerResult[]} peers
 * @property {readonly import('./ratios.mjs').Ratio[]} ratios
 */

/**
 * @param {import('./scenarios.mjs').Scenario} scenario
 * @param {import('./options.mjs').Options} options
 * @param {import('./fleet.mjs').Fleet} fleet
 * @returns {Promise<Result>}
 */
export async function measureThroughput(scenario, options, fleet) {
  const { name, title, subject, shape, transport, targets } = scenario
  const benches = await fleet.benches(transport, selectPeers([subject, ...scenario.others], options.servers))
  const load = { shape, seconds: options.seconds, warmUp: options.warmUp }
  const peers = await measureRounds(title, benches, () => load, options)
  const rates = peers.map(({ peer, rounds }) => ({
    peer,
    rates: rounds.map(({ requestsPerSecond }) => requestsPerSecond),
  }))
  return { name, title, peers, ratios: ratios(subject, rates, targets) }
}

/**
 * Drives all servers in turn, round after round.
 *
 * @param {string} title
 * @param {readonly import('./bench.mjs').Bench[]} benches
 * @param {(bench: import('./bench.mjs').Bench) => import('./bench.mjs').Load} loadOf What each is asked.
 * @param {{ rounds: number, quick: boolean }} options
 * @returns {Promise<readonly PeerResult[]>}
 */
export async function measureRounds(title, benches, loadOf, { rounds, quick }) {
  if (!quick) {
    // Servers on a just-in-time compiler need a while to reach their speed.
    for (const bench of benches) {
      progress(`${title} · ${PEERS[bench.peer].label} · warm-up`)
      await bench.drive({ ...loadOf(bench), seconds: 0.5, warmUp: 0 })
    }
  }
  /** @type {Map<import('./peers.mjs').PeerName, import('./bench.mjs').Report[]>} */
  const reports = new Map(benches.map(({ peer }) => [peer, []]))
  for (let round = 1; round <= rounds; round += 1) {
    for (const bench of benches) {
      const { label } = PEERS[bench.peer]
      const earlier = reports.get(bench.peer)?.at(-1)
      const before = earlier === undefined ? '' : ` · ${whole(earlier.requestsPerSecond)}/s before`
      progress(`${title} · round ${round}/${rounds} · ${label}${before}`)
      const report = await bench.drive(loadOf(bench))
      if (report !== undefined) reports.get(bench.peer)?.push(report)
    }
  }
  return [...reports].map(([peer, rounds]) => summarize(peer, rounds))
}

/**
 * @param {import('./peers.mjs').PeerName} peer
 * @param {readonly import('./bench.mjs').Report[]} rounds
 * @returns {PeerResult}
 */
function summarize(peer, rounds) {
  const rates = rounds.map(({ requestsPerSecond }) => requestsPerSecond)
  return { peer, rounds, requestsPerSecond: median(rates), spread: spread(rates) }
}

/**
 * Which side kept the other waiting, from the shares of a core that both used.
 *
 * @param {readonly { server: { cpuShare: number | null }, client: { cpuShare: number } }[]} rounds
 */
export function bottleneck(rounds) {
  const server = median(rounds.map(({ server }) => server.cpuShare ?? Number.NaN))
  const client = median(rounds.map(({ client }) => client.cpuShare))
  return `${busySide(server, client)} (server ${percent(server)}, client ${percent(client)})`
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

/** @param {Result} result */
export function printThroughput({ title, peers, ratios }) {
  /** @type {(rounds: readonly import('./bench.mjs').Report[], pick: (report: import('./bench.mjs').Report) => number | null) => number} */
  const middle = (rounds, pick) => median(rounds.map((report) => pick(report) ?? Number.NaN))
  const rows = peers.map(({ peer, rounds, requestsPerSecond, spread }) => [
    PEERS[peer].label,
    whole(requestsPerSecond),
    percent(spread),
    microseconds(middle(rounds, ({ server }) => server.cpuMicrosecondsPerRequest)),
    microseconds(middle(rounds, (report) => report.latencyMicroseconds.p50)),
    microseconds(middle(rounds, (report) => report.latencyMicroseconds.p99)),
    microseconds(middle(rounds, (report) => report.latencyMicroseconds.p999)),
    megabytes(middle(rounds, ({ server }) => server.residentBytes)),
    bottleneck(rounds),
  ])
  const header = ['', 'requests/s', 'spread', 'CPU/request', 'p50', 'p99', 'p99.9', 'memory', 'bottleneck']
  print(`\n${title}\n${table(header, rows)}`)
  printRatios(ratios)
  printNoise(peers)
}
