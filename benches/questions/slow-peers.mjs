// Slow peers beside fast ones: they send requests as fast as the server takes them and read replies at a
// trickle. What do the fast ones lose, and where do the replies stay?

import { withServer } from '../runner/fleet.mjs'
import { progress } from '../runner/progress.mjs'
import { interleave, runOf } from '../runner/rounds.mjs'
import { ONE_AT_A_TIME, pool, TIMEOUT } from './scenarios.mjs'
import { middle, row, warningsAbout } from './section.mjs'

const SLOW_PEERS = 4
/** Bytes that each sends at most, in case the server keeps them all. */
const LIMIT = 64 * 1024 * 1024

/** Where handlers run matters little here. */
const PEERS = ONE_AT_A_TIME.filter((peer) => peer !== 'netpollPollers' && peer !== 'netpollWorkers')

/** @type {readonly Column[]} */
const COLUMNS = [
  { key: 'beside', label: 'requests/s', unit: 'rate' },
  { key: 'without', label: 'without slow peers', unit: 'rate' },
  { key: 'kept', label: 'kept', unit: 'share' },
  { key: 'p99', label: 'p99', unit: 'microseconds' },
  { key: 'p99Without', label: 'p99 without', unit: 'microseconds' },
  { key: 'memory', label: 'memory added', unit: 'bytes' },
]

/** @param {Context} context @returns {Promise<Section>} */
export async function measureSlowPeers({ options, subjects }) {
  const rows = []
  for (const subject of subjects(PEERS)) {
    try {
      rows.push(await withServer(subject, (bench) => measurePeer(bench, options)))
    } catch (error) {
      // A server that keeps every reply may not get through them in time; the others are measured all the same.
      const nothing = Object.fromEntries(COLUMNS.map(({ key }) => [key, null]))
      const reason = error instanceof Error ? error.message : error
      rows.push(row({ ...subject, peer: subject.id }, [], nothing, `failed: ${reason}`))
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

/** @param {import('../runner/bench.mjs').Bench} bench @param {Options} options */
async function measurePeer(bench, { seconds, warmUp, rounds, quick }) {
  const { subject } = bench
  const load = { shape: pool(100), seconds, warmUp, timeout: TIMEOUT }
  /** @param {string} state */
  const measure = async (state) => {
    const [measured] = await interleave(`slow peers · ${state}`, [runOf(bench, load)], rounds)
    const found = measured?.rounds ?? []
    /** @param {string} key */
    const each = (key) => found.map(({ figures }) => figures[key] ?? Number.NaN)
    return { rates: each('rate'), p99: middle(each('p99'), (figure) => figure) }
  }
  if (!quick) await bench.drive(load)
  const without = await measure('without')
  const memory = await bench.collectedMemory()
  progress(`slow peers · ${subject.label} · filling it`)
  const holder = await bench.holdSlow({ count: SLOW_PEERS, limit: LIMIT })
  const beside = await measure('beside')
  const added = Math.max(0, bench.memory() - memory)
  await holder.stop()
  const [rate, rateWithout] = [beside.rates, without.rates].map((rates) => middle(rates, (each) => each))
  return row({ ...subject, peer: subject.id }, beside.rates, {
    beside: rate ?? null,
    without: rateWithout ?? null,
    kept: rate && rateWithout ? rate / rateWithout : null,
    p99: beside.p99,
    p99Without: without.p99,
    memory: added,
  })
}
