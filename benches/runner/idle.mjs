// Idle connections: what they cost in memory, and the active ones in speed.

import { Bench } from './bench.mjs'
import { PEERS } from './peers.mjs'
import { print, progress } from './progress.mjs'
import { TCP_100 } from './scenarios.mjs'
import { median } from './statistics.mjs'
import { megabytes, percent, table, whole } from './table.mjs'

const COUNT = 10_000
const QUICK_COUNT = 500
const MEMORY_LIMIT = 10e6
const LOSS_LIMIT = 0.1

/**
 * @typedef {object} IdleResult
 * @property {import('./peers.mjs').PeerName} peer
 * @property {number} connections
 * @property {number} memoryBefore Resident bytes after a collection, without idle connections.
 * @property {number} memoryAfter The same with them.
 * @property {readonly number[]} without Requests per second of each round without them.
 * @property {readonly number[]} beside The same beside them.
 */

/**
 * @param {import('./options.mjs').Options} options
 * @returns {Promise<readonly IdleResult[]>}
 */
export async function measureIdle(options) {
  const results = []
  for (const peer of options.servers) {
    const bench = await Bench.start(peer, 'tcp', PEERS[peer].collects ? ['--on-connect'] : [])
    try {
      results.push(await measurePeer(bench, options))
    } finally {
      await bench.stop()
    }
  }
  return results
}

/**
 * @param {Bench} bench
 * @param {import('./options.mjs').Options} options
 * @returns {Promise<IdleResult>}
 */
async function measurePeer(bench, options) {
  const count = options.quick ? QUICK_COUNT : COUNT
  const { label } = PEERS[bench.peer]
  const load = { shape: TCP_100.shape, seconds: options.seconds, warmUp: options.warmUp }

  progress(`${count} idle connections · ${label} · memory`)
  // Load first, so that what any load allocates is not charged to the idle ones.
  await bench.drive(load)
  const memoryBefore = await bench.collectedMemory()
  let holder = await bench.holdIdle(count)
  const memoryAfter = await bench.collectedMemory()

  /** @type {{ without: number[], beside: number[] }} */
  const rates = { without: [], beside: [] }
  /** @type {(kind: 'without' | 'beside', round: number) => Promise<void>} */
  const measure = async (kind, round) => {
    progress(`${count} idle connections · round ${round}/${options.rounds} · ${label} ${kind} them`)
    const report = await bench.drive(load)
    if (report !== undefined) rates[kind].push(report.requestsPerSecond)
  }
  // In the order beside, without, without, beside, …: drift meets both alike.
  for (let round = 1; round <= options.rounds; round += 1) {
    if (round % 2 === 1) {
      await measure('beside', round)
      await holder.stop()
      // The server has closed them all once it answers again at full speed.
      await bench.drive({ ...load, seconds: options.warmUp, warmUp: 0 })
      await measure('without', round)
    } else {
      await measure('without', round)
      holder = await bench.holdIdle(count)
      await measure('beside', round)
    }
  }
  await holder.stop()
  return { peer: bench.peer, connections: count, memoryBefore, memoryAfter, ...rates }
}

/** @param {readonly IdleResult[]} results */
export function printIdle(results) {
  const count = results[0]?.connections ?? COUNT
  const rows = results.map(({ peer, memoryBefore, memoryAfter, without, beside }) => {
    const added = memoryAfter - memoryBefore
    const loss = 1 - median(beside) / median(without)
    return [
      PEERS[peer].label,
      megabytes(memoryBefore),
      megabytes(memoryAfter),
      megabytes(added),
      whole(median(without)),
      whole(median(beside)),
      percent(loss),
      peer === 'netpoll' ? verdict(added, loss) : '',
    ]
  })
  print(`\n${whole(count)} idle connections beside TCP, 100 connections × 1 in flight, 1 KiB`)
  const header = ['', 'memory', 'with idle', 'added', 'requests/s', 'with idle', 'lost', '']
  print(table(header, rows))
}

/**
 * @param {number} added
 * @param {number} loss
 */
function verdict(added, loss) {
  const memory = added < MEMORY_LIMIT ? 'reached' : 'NOT REACHED'
  const speed = loss < LOSS_LIMIT ? 'reached' : 'NOT REACHED'
  return `under 10 MB: ${memory}; loses under 10 %: ${speed}`
}
