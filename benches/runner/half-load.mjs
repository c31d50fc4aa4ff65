// Half load: a fixed rate, half of what each server can do. The server sleeps and
// wakes between small batches, which costs more for each request than full speed.

import { PEERS } from './peers.mjs'
import { print, progress } from './progress.mjs'
import { TCP_100 } from './scenarios.mjs'
import { median } from './statistics.mjs'
import { microseconds, percent, table, whole } from './table.mjs'

/**
 * @typedef {object} HalfLoadResult
 * @property {import('./peers.mjs').PeerName} peer
 * @property {number} rate Requests per second that were asked for.
 * @property {readonly import('./bench.mjs').Report[]} rounds
 */

/**
 * @param {import('./throughput.mjs').Result} full What each server reaches at full speed.
 * @param {import('./options.mjs').Options} options
 * @param {import('./fleet.mjs').Fleet} fleet
 * @returns {Promise<readonly HalfLoadResult[]>}
 */
export async function measureHalfLoad(full, options, fleet) {
  const benches = await fleet.benches(TCP_100.transport, options.servers)
  const results = benches.map(({ peer }) => {
    const reached = full.peers.find((result) => result.peer === peer)?.requestsPerSecond ?? Number.NaN
    return {
      peer,
      rate: Math.round(reached / 2),
      rounds: /** @type {import('./bench.mjs').Report[]} */ ([]),
    }
  })
  for (let round = 1; round <= options.rounds; round += 1) {
    for (const [index, { peer, rate, rounds }] of results.entries()) {
      // A server that failed at full speed has no rate to halve.
      if (!(rate > 0)) continue
      progress(`half load · round ${round}/${options.rounds} · ${PEERS[peer].label} at ${whole(rate)}/s`)
      const { seconds, warmUp } = options
      const report = await benches[index]?.drive({ shape: TCP_100.shape, seconds, warmUp, rate })
      if (report !== undefined) rounds.push(report)
    }
  }
  return results
}

/** @param {readonly HalfLoadResult[]} results */
export function printHalfLoad(results) {
  const rows = results.map(({ peer, rate, rounds }) => {
    /** @type {(pick: (report: import('./bench.mjs').Report) => number | null) => number} */
    const middle = (pick) => median(rounds.map((report) => pick(report) ?? Number.NaN))
    return [
      PEERS[peer].label,
      whole(rate),
      whole(middle(({ requestsPerSecond }) => requestsPerSecond)),
      microseconds(middle(({ server }) => server.cpuMicrosecondsPerRequest)),
      percent(middle(({ server }) => server.cpuShare)),
      microseconds(middle((report) => report.latencyMicroseconds.p50)),
      microseconds(middle((report) => report.latencyMicroseconds.p99)),
      microseconds(middle((report) => report.latencyMicroseconds.p999)),
    ]
  })
  const header = ['', 'asked/s', 'answered/s', 'CPU/request', 'server CPU', 'p50', 'p99', 'p99.9']
  print('\nHalf load: TCP, 100 connections, 1 KiB, half of what each server reaches, on a fixed schedule')
  print(table(header, rows))
}
