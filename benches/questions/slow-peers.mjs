// Slow peers beside fast ones: they send requests as fast as the server takes them and read replies at a
// trickle. What do the fast ones lose, and where do the replies stay?

import { Bench } from '../runner/bench.mjs'
import { PEERS } from '../runner/peers.mjs'
import { progress } from '../runner/progress.mjs'
import { pool, TIMEOUT } from './scenarios.mjs'
import { middle, row, warningsAbout } from './section.mjs'

const SLOW_PEERS = 4
/** Bytes that each sends at most, in case the server keeps them all. */
const LIMIT = 64 * 1024 * 1024

/** @type {readonly import('./section.mjs').Column[]} */
const COLUMNS = [
  { key: 'beside', label: 'requests/s', unit: 'rate' },
  { key: 'without', label: 'without slow peers', unit: 'rate' },
  { key: 'kept', label: 'kept', unit: 'share' },
  { key: 'p99', label: 'p99', unit: 'microseconds' },
  { key: 'p99Without', label: 'p99 without', unit: 'microseconds' },
  { key: 'memory', label: 'memory added', unit: 'bytes' },
]

/** @typedef {import('../runner/bench.mjs').Report} Report */

/**
 * @param {readonly import('../runner/peers.mjs').PeerName[]} peers
 * @param {import('./options.mjs').Options} options
 * @returns {Promise<import('./section.mjs').Section>}
 */
export async function measureSlowPeers(peers, options) {
  const rows = []
  for (const peer of peers) {
    const bench = await Bench.start(peer, 'tcp', PEERS[peer].inverted)
    try {
      rows.push(await measurePeer(bench, options))
    } catch (error) {
      // A server that keeps every reply may not get through them in time; the others are measured all the same.
      rows.push(failedRow(peer, error))
    } finally {
      await bench.stop()
    }
  }
  return {
    id: 'slow-peers',
    group: 'Slow peers',
    title: `100 connections beside ${SLOW_PEERS} slow ones`,
    about:
      'Slow peers send up to 64 MiB of requests as fast as the server takes them and read 1 MiB of replies a second.',
    columns: COLUMNS,
    rows,
    warnings: warningsAbout(rows),
  }
}

/**
 * @param {import('../runner/peers.mjs').PeerName} peer
 * @param {unknown} error
 */
function failedRow(peer, error) {
  const { label, family } = PEERS[peer]
  const nothing = Object.fromEntries(COLUMNS.map(({ key }) => [key, null]))
  return row(
    { peer, label, family },
    [],
    nothing,
    `failed: ${error instanceof Error ? error.message : error}`,
  )
}

/**
 * @param {Bench} bench
 * @param {import('./options.mjs').Options} options
 */
async function measurePeer(bench, options) {
  const { peer } = bench
  const { label, family } = PEERS[peer]
  const load = { shape: pool(100), seconds: options.seconds, warmUp: options.warmUp, timeout: TIMEOUT }
  /** @type {(state: string) => Promise<Report[]>} */
  const measure = async (state) => {
    const reports = []
    for (let round = 1; round <= options.rounds; round += 1) {
      progress(`slow peers · round ${round}/${options.rounds} · ${label} ${state}`)
      const report = await bench.drive(load)
      if (report !== undefined) reports.push(report)
    }
    return reports
  }
  if (!options.quick) await bench.drive(load)
  const without = await measure('without')
  const memory = await bench.collectedMemory()
  progress(`slow peers · ${label} · filling it`)
  const holder = await bench.holdSlow({ count: SLOW_PEERS, limit: LIMIT, reply: 'inverted' })
  const beside = await measure('beside')
  const added = Math.max(0, bench.memory() - memory)
  await holder.stop()
  const rate = middle(beside, ({ requestsPerSecond }) => requestsPerSecond)
  const rateWithout = middle(without, ({ requestsPerSecond }) => requestsPerSecond)
  return row(
    { peer, label, family },
    beside.map(({ requestsPerSecond }) => requestsPerSecond),
    {
      beside: rate,
      without: rateWithout,
      kept: rate === null || rateWithout === null ? null : rate / rateWithout,
      p99: middle(beside, ({ latencyMicroseconds }) => latencyMicroseconds.p99),
      p99Without: middle(without, ({ latencyMicroseconds }) => latencyMicroseconds.p99),
      memory: added,
    },
  )
}
