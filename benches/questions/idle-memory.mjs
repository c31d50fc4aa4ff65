// What idle connections cost: memory, and the speed of the busy ones.

import { withServer } from '../runner/fleet.mjs'
import { progress } from '../runner/progress.mjs'
import { roundOf } from '../runner/rounds.mjs'
import { ONE_AT_A_TIME, pool, TIMEOUT, TLS } from './scenarios.mjs'
import { middle, row } from './section.mjs'

const COUNT = 10_000
/** Each takes a handshake. */
const COUNT_OF_TLS = 4_000
const QUICK_COUNT = 200

/** @type {readonly PeerName[]} */
const SHORT = ['netpoll', 'netpollOnConnect', 'node', 'bare']
/** @type {readonly PeerName[]} */
const OF_TLS = [...SHORT, 'bun', 'goNet']

/** @type {readonly Column[]} */
const COLUMNS = [
  { key: 'each', label: 'each connection', unit: 'bytes' },
  { key: 'before', label: 'before', unit: 'bytes' },
  { key: 'after', label: 'with them', unit: 'bytes' },
  { key: 'without', label: 'requests/s without them', unit: 'rate' },
  { key: 'kept', label: 'kept beside them', unit: 'share' },
]

/** @param {Context} context @returns {Promise<Section>} */
export function measureIdleMemory(context) {
  const peers = [...SHORT, ...ONE_AT_A_TIME.filter((peer) => !SHORT.includes(peer))]
  const named = { id: 'idle-memory', group: 'Idle connections' }
  return measureIdle(context, { ...named, transport: 'tcp', count: COUNT, peers })
}

/** The same of encrypted ones. @param {Context} context @returns {Promise<Section>} */
export const measureIdleTls = (context) =>
  measureIdle(context, { ...TLS, id: 'tls-idle', transport: 'tls', count: COUNT_OF_TLS, peers: OF_TLS })

/**
 * @param {Context} context
 * @param {{ id: string, group: string, transport: Transport, count: number, peers: readonly PeerName[] }} what
 * @returns {Promise<Section>}
 */
async function measureIdle({ options, subjects }, { id, group, transport, count: usual, peers }) {
  const count = options.quick ? QUICK_COUNT : usual
  const rows = []
  for (const subject of subjects(options.scope === 'full' ? peers : SHORT)) {
    const measure = (/** @type {import('../runner/bench.mjs').Bench} */ bench) =>
      measurePeer(bench, count, options)
    rows.push(await withServer(subject, measure, transport))
  }
  return {
    id,
    group,
    title: `Memory of ${count.toLocaleString('en-US')} idle connections`,
    about:
      'Resident memory after a forced collection, with and without them, after a load of 100 connections, whose speed is compared, too.',
    columns: COLUMNS,
    rows,
    warnings: [],
  }
}

/** @param {import('../runner/bench.mjs').Bench} bench @param {number} count @param {Options} options */
async function measurePeer(bench, count, { seconds, warmUp, rounds }) {
  const { id, label, family } = bench.subject
  const load = { shape: pool(100), seconds, warmUp, timeout: TIMEOUT }
  /** @type {{ without: number[], beside: number[] }} */
  const rates = { without: [], beside: [] }
  /** @type {(state: 'without' | 'beside', round: number) => Promise<void>} */
  const measure = async (state, round) => {
    progress(`${count} idle connections · round ${round}/${rounds} · ${label} ${state} them`)
    const rate = roundOf(await bench.drive(load))?.figures['rate']
    if (rate) rates[state].push(rate)
  }
  progress(`${count} idle connections · ${label} · memory`)
  // Load first, so that what any load allocates is not charged to the idle ones.
  await bench.drive(load)
  const before = await bench.collectedMemory()
  let holder = await bench.holdIdle(count)
  const after = await bench.collectedMemory()
  // In the order beside, without, without, beside, …: drift meets both alike.
  for (let round = 1; round <= rounds; round += 1) {
    if (round % 2 === 1) {
      await measure('beside', round)
      await holder.stop()
      // The server has closed them all once it answers again at full speed.
      await bench.drive({ ...load, seconds: warmUp, warmUp: 0 })
      await measure('without', round)
    } else {
      await measure('without', round)
      holder = await bench.holdIdle(count)
      await measure('beside', round)
    }
  }
  await holder.stop()
  const each = Math.max(0, after - before) / count
  const without = middle(rates.without, (rate) => rate)
  const kept = middle(rates.beside, (rate) => without && rate / without)
  return row({ peer: id, label, family }, [each], { each, before, after, without, kept })
}
