// The sweep of sizes: what a request costs a server, from 64 B to 4 MiB, and the most memory that it took.

import { fromRoot } from '../runner/paths.mjs'
import { withServers } from '../runner/fleet.mjs'
import { runToEnd } from '../runner/processes.mjs'
import { measureLoads } from '../runner/rounds.mjs'
import { OF_ALL_SIZES, pool, SHORT } from './scenarios.mjs'
import { COLUMNS, sectionOf, withRatios } from './section.mjs'

const CONNECTIONS = 20
/** Seconds for a request: 20 of 4 MiB are under way. */
const PATIENCE = 10
/** Seconds of a round from that size, so that it has enough replies to tell something. */
const LONGER = 1.5
const LARGE = 2 ** 20

export const TRANSPORTS = /** @type {const} */ (['tcp', 'unix'])

/** Powers of four, from 64 B to 4 MiB. */
export const SIZES = Array.from({ length: 9 }, (_, power) => 64 * 4 ** power)

/** The row for what V8 itself takes for a reply in a new `Buffer`. */
export const FILLING = { id: 'filling', label: 'allocUnsafe and filling', family: 'node' }

/** @type {(transport: 'tcp' | 'unix', size: number) => string} */
export const sweepId = (transport, size) => `sweep-${transport}-${size}`

/** @param {number} size */
export const sizeText = (size) =>
  size >= 2 ** 20 ? `${size / 2 ** 20} MiB` : size >= 1024 ? `${size / 1024} KiB` : `${size} B`

/**
 * One size. Each server is started for it, so that the peak of its memory is that of this size.
 *
 * @param {'tcp' | 'unix'} transport
 * @param {number} size
 * @param {Context} context
 * @returns {Promise<Section>}
 */
export async function measureSize(transport, size, { options, subjects }) {
  const { warmUp, node, quick } = options
  const seconds = size >= LARGE && !quick ? Math.max(LONGER, options.seconds) : options.seconds
  const head = {
    id: sweepId(transport, size),
    group: transport === 'tcp' ? 'Sizes over TCP' : 'Sizes over unix sockets',
    title: sizeText(size),
    about: `${CONNECTIONS} connections have one request each under way.`,
    columns: [COLUMNS.cpu, COLUMNS.rate, COLUMNS.p50, COLUMNS.p99, COLUMNS.peak],
    size,
  }
  const load = { shape: pool(CONNECTIONS, size), seconds, warmUp, timeout: PATIENCE }
  const filling = { subject: FILLING, measure: () => measureFilling(node, size, seconds) }
  const peers = subjects(options.scope === 'full' ? OF_ALL_SIZES : SHORT)
  const others = peers.some(({ peer }) => peer === 'netpoll') ? [filling] : []
  return withServers(transport, peers, async (benches) => {
    const title = `${head.group} · ${head.title}`
    return withRatios(sectionOf(head, await measureLoads(title, benches, () => load, options, others)))
  })
}

/** @param {string} node @param {number} size @param {number} seconds */
async function measureFilling(node, size, seconds) {
  const words = ['--size', String(size), '--seconds', String(seconds)]
  const { code, output } = await runToEnd([node, fromRoot('benches/servers/filling.mjs'), ...words], 'server')
  return code === 0 ? { figures: { cpu: JSON.parse(output).cpuMicroseconds } } : undefined
}
