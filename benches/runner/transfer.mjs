// One large stream over one connection, to the server and from it.

import { Bench } from './bench.mjs'
import { PEERS, selectPeers } from './peers.mjs'
import { print, progress } from './progress.mjs'
import { printNoise, printRatios, ratios } from './ratios.mjs'
import { median, spread } from './statistics.mjs'
import { megabytes, percent, table, whole } from './table.mjs'
import { bottleneck } from './throughput.mjs'

const GIBIBYTE = 2 ** 30
const QUICK_BYTES = 2 ** 24

const SUBJECT = 'netpollTransfer'
/** @type {readonly import('./peers.mjs').PeerName[]} */
const OTHERS = ['nodeTransfer', 'bareTransfer']

/** @type {readonly import('./ratios.mjs').Target[]} */
const TARGETS = [
  { to: 'bareTransfer', least: 0.8 },
  { to: 'nodeTransfer', least: 1.2 },
]

const DIRECTIONS = /** @type {const} */ (['upload', 'download'])

/**
 * @typedef {object} PeerTransfer
 * @property {import('./peers.mjs').PeerName} peer
 * @property {number} memoryBefore Resident bytes before anything was transferred.
 * @property {readonly import('./bench.mjs').TransferReport[]} rounds
 * @property {number} megabytesPerSecond Median of the rounds.
 * @property {number} spread Highest less lowest, as a part of the median.
 */

/**
 * @typedef {object} TransferResult
 * @property {'upload' | 'download'} direction
 * @property {number} bytes
 * @property {readonly PeerTransfer[]} peers
 * @property {readonly import('./ratios.mjs').Ratio[]} ratios
 */

/**
 * @param {import('./options.mjs').Options} options
 * @returns {Promise<readonly TransferResult[]>}
 */
export async function measureTransfer(options) {
  const results = []
  for (const direction of DIRECTIONS) results.push(await measureDirection(direction, options))
  return results
}

/**
 * @param {'upload' | 'download'} direction
 * @param {import('./options.mjs').Options} options
 * @returns {Promise<TransferResult>}
 */
async function measureDirection(direction, options) {
  const bytes = options.quick ? QUICK_BYTES : GIBIBYTE
  // Servers of its own for each direction: the peak of their memory is that direction's.
  /** @type {{ bench: Bench, memoryBefore: number, rounds: import('./bench.mjs').TransferReport[] }[]} */
  const runs = []
  try {
    for (const peer of selectPeers([SUBJECT, ...OTHERS], options.servers)) {
      const bench = await Bench.start(peer, 'tcp')
      runs.push({ bench, memoryBefore: bench.memory(), rounds: [] })
    }
    // The first is the warm-up.
    for (let round = 0; round <= options.rounds; round += 1) {
      for (const { bench, rounds } of runs) {
        const number = round === 0 ? 'warm-up' : `round ${round}/${options.rounds}`
        progress(`${direction} · ${number} · ${PEERS[bench.peer].label}`)
        const report = await bench.transfer({ direction, bytes })
        if (report !== undefined && round > 0) rounds.push(report)
      }
    }
  } finally {
    await Promise.all(runs.map(({ bench }) => bench.stop()))
  }
  const rates = runs.map(({ bench, rounds }) => ({
    peer: bench.peer,
    rates: rounds.map(({ megabytesPerSecond }) => megabytesPerSecond),
  }))
  const peers = runs.map(({ bench, memoryBefore, rounds }, index) => {
    const speeds = rates[index]?.rates ?? []
    return {
      peer: bench.peer,
      memoryBefore,
      rounds,
      megabytesPerSecond: median(speeds),
      spread: spread(speeds),
    }
  })
  return { direction, bytes, peers, ratios: ratios(SUBJECT, rates, TARGETS) }
}

/** @param {readonly TransferResult[]} results */
export function printTransfer(results) {
  for (const { direction, bytes, peers, ratios } of results) {
    const rows = peers.map(({ peer, memoryBefore, rounds, megabytesPerSecond, spread }) => [
      PEERS[peer].label,
      whole(megabytesPerSecond),
      percent(spread),
      `${whole(median(rounds.map(({ server }) => server.cpuMillisecondsPerGibibyte ?? Number.NaN)))} ms`,
      megabytes(memoryBefore),
      megabytes(rounds.at(-1)?.server.peakResidentBytes ?? Number.NaN),
      bottleneck(rounds),
    ])
    const header = ['', 'MB/s', 'spread', 'CPU/GiB', 'memory at start', 'at its peak', 'bottleneck']
    const size = megabytes(bytes)
    print(`\nTransfer: ${direction} of ${size} in writes of 64 KiB over one TCP connection`)
    print(table(header, rows))
    printRatios(ratios)
    printNoise(peers)
  }
}
