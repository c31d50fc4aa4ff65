// Two cores: a handler that computes for about a millisecond, on a server with one core and with all. The
// client shares a core with it, and needs next to nothing of it.

import { Bench } from '../runner/bench.mjs'
import { PEERS } from '../runner/peers.mjs'
import { cores } from '../runner/processes.mjs'
import { progress } from '../runner/progress.mjs'
import { pool } from './scenarios.mjs'
import { middle, ratioOfRounds, row, warningsAbout } from './section.mjs'

/** Rounds of computing for each request, which take a millisecond or less. */
const WORK = 500_000
const QUICK_WORK = 5_000

/** @typedef {import('../runner/peers.mjs').PeerName} PeerName */

/** @type {readonly PeerName[]} */
const ON_GO = ['goNet', 'goNetMux', 'goNetpoll', 'goNetpollMux']
/** @type {readonly PeerName[]} */
export const SCALING_PEERS = ['netpoll', 'netpollWorkers', 'node', 'nodeCluster', ...ON_GO, 'netty', 'tokio']

/** @type {readonly { id: string, title: string, shape: import('../runner/bench.mjs').Frames }[]} */
const LOADS = [
  { id: 'hot', title: 'one connection × 32 requests', shape: { ...pool(1), inFlight: 32, anyOrder: true } },
  { id: 'spread', title: '32 connections', shape: pool(32) },
]

/** @type {readonly import('./section.mjs').Column[]} */
const COLUMNS = [
  { key: 'both', label: 'requests/s, all cores', unit: 'rate' },
  { key: 'one', label: 'one core', unit: 'rate' },
  { key: 'factor', label: 'factor', unit: 'ratio' },
]

/**
 * @param {readonly PeerName[]} peers
 * @param {import('./options.mjs').Options} options
 * @returns {Promise<readonly import('./section.mjs').Section[]>}
 */
export async function measureScaling(peers, options) {
  if (cores === undefined) return []
  const sections = []
  for (const { id, title, shape } of LOADS) {
    const rows = []
    for (const peer of peers) rows.push(await measurePeer(peer, title, shape, options))
    sections.push({
      id: `scaling-${id}`,
      group: 'Two cores',
      title: `A handler that computes for a millisecond, ${title}`,
      about:
        'Each server on one core and on both; how fast it computes is its language, the factor is its own.',
      columns: COLUMNS,
      rows,
      warnings: warningsAbout(rows),
    })
  }
  return sections
}

/**
 * @param {PeerName} peer
 * @param {string} title
 * @param {import('../runner/bench.mjs').Frames} shape
 * @param {import('./options.mjs').Options} options
 */
async function measurePeer(peer, title, shape, options) {
  const { label, family, inverted } = PEERS[peer]
  const words = [...inverted, '--work', String(options.quick ? QUICK_WORK : WORK)]
  /** @type {Record<'server' | 'all', number[]>} */
  const rates = { server: [], all: [] }
  const benches = {
    server: await Bench.start(peer, 'tcp', words, 'server'),
    all: await Bench.start(peer, 'tcp', words, 'all'),
  }
  try {
    const { seconds, warmUp } = options
    for (let round = 1; round <= options.rounds; round += 1) {
      for (const place of /** @type {const} */ (['server', 'all'])) {
        progress(`two cores · ${title} · round ${round}/${options.rounds} · ${label}`)
        const report = await benches[place].drive({ shape, seconds, warmUp, waiting: 'sleep' })
        if (report !== undefined) rates[place].push(report.requestsPerSecond)
      }
    }
  } finally {
    await Promise.all(Object.values(benches).map((bench) => bench.stop()))
  }
  const named = { peer, label, family }
  const one = row(named, rates.server, {})
  const both = row(named, rates.all, {})
  return {
    ...both,
    values: {
      both: middle(rates.all, (rate) => rate),
      one: middle(rates.server, (rate) => rate),
      factor: ratioOfRounds(both, one),
    },
  }
}
