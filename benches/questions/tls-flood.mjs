// A flood of handshakes beside connections that are established: how long do these wait? The same load without the flood is
// the control, in turns with it.

import { performance } from 'node:perf_hooks'

import { withServer } from '../runner/fleet.mjs'
import { progress } from '../runner/progress.mjs'
import { roundOf } from '../runner/rounds.mjs'
import { pool, TIMEOUT, TLS } from './scenarios.mjs'
import { middle, row, warningsAbout } from './section.mjs'

/** @type {readonly PeerName[]} */
const PEERS = ['netpoll', 'node', 'bare', 'bun', 'goNet']

/** @type {readonly Column[]} */
const COLUMNS = [
  { key: 'p99', label: 'p99 in the flood', unit: 'microseconds' },
  { key: 'without', label: 'p99 without', unit: 'microseconds' },
  { key: 'times', label: 'times as long', unit: 'ratio' },
  { key: 'handshakes', label: 'handshakes/s begun', unit: 'rate' },
  { key: 'rate', label: 'requests/s in the flood', unit: 'rate' },
  { key: 'kept', label: 'kept', unit: 'share' },
]

/** @param {Context} context @returns {Promise<Section>} */
export async function measureTlsFlood({ options, subjects }) {
  const rows = []
  for (const subject of subjects(options.scope === 'full' ? PEERS : PEERS.slice(0, 3))) {
    rows.push(await withServer(subject, (bench) => measurePeer(bench, options), 'tls'))
  }
  return {
    ...TLS,
    id: 'tls-flood',
    title: '100 connections × 1 request beside a flood of handshakes',
    about:
      '64 clients at a time send the first message of a handshake, wait for the answer, reset the connection and begin anew.',
    columns: COLUMNS,
    rows,
    warnings: warningsAbout(rows),
  }
}

/** @param {import('../runner/bench.mjs').Bench} bench @param {Options} options */
async function measurePeer(bench, { seconds, warmUp, rounds }) {
  const { id, label, family } = bench.subject
  // The client leaves its core to the flood while it waits.
  const load = {
    shape: pool(100),
    seconds,
    warmUp,
    timeout: TIMEOUT,
    waiting: /** @type {const} */ ('sleep'),
  }
  /** @type {Record<'rate' | 'p99' | 'rateWithout' | 'without' | 'handshakes', number[]>} */
  const found = { rate: [], p99: [], rateWithout: [], without: [], handshakes: [] }
  const drive = async (/** @type {string} */ state) => {
    progress(`flood of handshakes · ${label} · ${state}`)
    return roundOf(await bench.drive(load))?.figures ?? {}
  }
  await drive('warm-up')
  for (let round = 1; round <= rounds; round += 1) {
    const quiet = await drive(`round ${round}/${rounds}, without it`)
    const flood = await bench.floodWithHandshakes()
    const begin = performance.now()
    const busy = await drive(`round ${round}/${rounds}, beside it`)
    const answered = Number(await flood.conclude('answered '))
    found.handshakes.push((answered / (performance.now() - begin)) * 1_000)
    found.rate.push(busy['rate'] ?? Number.NaN)
    found.p99.push(busy['p99'] ?? Number.NaN)
    found.rateWithout.push(quiet['rate'] ?? Number.NaN)
    found.without.push(quiet['p99'] ?? Number.NaN)
  }
  /** @param {readonly number[]} each */
  const middleOf = (each) => middle(each, (figure) => figure)
  const [rate, rateWithout] = [middleOf(found.rate), middleOf(found.rateWithout)]
  return row({ peer: id, label, family }, found.p99, {
    p99: middleOf(found.p99),
    without: middleOf(found.without),
    times: middleOf(found.p99.map((figure, at) => figure / (found.without[at] ?? Number.NaN))),
    handshakes: middleOf(found.handshakes),
    rate,
    kept: rate && rateWithout ? rate / rateWithout : null,
  })
}
