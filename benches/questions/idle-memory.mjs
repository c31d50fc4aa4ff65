// What idle connections cost in memory.

import { Bench } from '../runner/bench.mjs'
import { PEERS } from '../runner/peers.mjs'
import { progress } from '../runner/progress.mjs'
import { pool } from './scenarios.mjs'
import { row } from './section.mjs'

const COUNT = 10_000
const QUICK_COUNT = 200

/** @type {readonly import('./section.mjs').Column[]} */
const COLUMNS = [
  { key: 'each', label: 'each connection', unit: 'bytes' },
  { key: 'before', label: 'before', unit: 'bytes' },
  { key: 'after', label: 'with them', unit: 'bytes' },
]

/**
 * @param {readonly import('../runner/peers.mjs').PeerName[]} peers
 * @param {import('./options.mjs').Options} options
 * @returns {Promise<import('./section.mjs').Section>}
 */
export async function measureIdleMemory(peers, options) {
  const count = options.quick ? QUICK_COUNT : COUNT
  const rows = []
  for (const peer of peers) {
    const { label, family, inverted } = PEERS[peer]
    progress(`${count} idle connections · ${label}`)
    const bench = await Bench.start(peer, 'tcp', inverted)
    try {
      // Load first, so that what any load allocates is not charged to the idle ones.
      await bench.drive({ shape: pool(100), seconds: options.seconds, warmUp: options.warmUp })
      const before = await bench.collectedMemory()
      const holder = await bench.holdIdle(count, 'inverted')
      const after = await bench.collectedMemory()
      await holder.stop()
      const each = Math.max(0, after - before) / count
      rows.push(row({ peer, label, family }, [each], { each, before, after }))
    } finally {
      await bench.stop()
    }
  }
  return {
    id: 'idle-memory',
    group: 'Idle connections',
    title: `Memory of ${count.toLocaleString('en-US')} idle connections`,
    about:
      'Resident memory after a forced collection, with and without them, after a load of 100 connections.',
    columns: COLUMNS,
    rows,
    warnings: [],
  }
}
