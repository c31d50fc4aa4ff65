// The forms of a handler, and `node:net`, on several versions of Node.js in the same rounds.

import { subjectOf } from '../runner/bench.mjs'
import { withServers } from '../runner/fleet.mjs'
import { FORM_PEERS } from '../runner/peers.mjs'
import { measureLoads } from '../runner/rounds.mjs'
import { median } from '../runner/statistics.mjs'
import { scenarioOf, TIMEOUT } from './scenarios.mjs'
import { row, warningsAbout } from './section.mjs'

export const VERSIONED = /** @type {const} */ (['tcp-4x64', 'pool-100'])

/**
 * @param {(typeof VERSIONED)[number]} load
 * @param {Context} context
 * @returns {Promise<readonly Section[]>}
 */
export async function measureNodeVersions(load, { options, subjects }) {
  const { nodes, seconds, warmUp } = options
  if (nodes.length === 0) return []
  const { transport, shape, group, title } = scenarioOf(load)
  const peers = subjects([...FORM_PEERS, 'node']).filter(({ build }) => build === undefined)
  const ways = peers.flatMap(({ peer, label }) =>
    nodes.map(({ version, program }) =>
      subjectOf(peer, { id: `${peer} ${version}`, label: `${label} on ${version}`, node: program }),
    ),
  )
  const asked = { shape, seconds, warmUp, timeout: TIMEOUT }
  return withServers(transport, [...ways, ...subjects(['bare'])], async (benches) => {
    const measured = await measureLoads(`Node.js versions · ${load}`, benches, () => asked, options)
    return [versionsSection(load, `${group}, ${title}`, nodes, measured)]
  })
}

/**
 * One row for each form, one column for each version.
 *
 * @param {string} load
 * @param {string} title
 * @param {readonly Options['nodes'][number][]} nodes
 * @param {readonly Turns[]} measured
 * @returns {Section}
 */
export function versionsSection(load, title, nodes, measured) {
  const names = [...new Set(measured.map(({ subject }) => subject.id.split(' ')[0] ?? ''))]
  const rows = names.map((peer) => {
    const own = measured.filter(({ subject }) => subject.id.split(' ')[0] === peer)
    /** @param {string} version */
    const costs = (version) =>
      // The bare loop runs on none.
      (own.find(({ subject }) => subject.id === `${peer} ${version}`) ?? own[0])?.rounds.map(
        ({ figures }) => figures['cpu'] ?? Number.NaN,
      ) ?? []
    const values = nodes.map(({ version }) => [version, known(median(costs(version)))])
    const { label = '', family = '' } = own[0]?.subject ?? {}
    const named = { peer, label: label.split(' on ')[0] ?? label, family }
    return row(named, costs(nodes[0]?.version ?? ''), Object.fromEntries(values))
  })
  return {
    id: `nodes-${load}`,
    group: 'Versions of Node.js',
    title,
    about: 'Processor time of the server for each request; all versions take turns in the same rounds.',
    columns: nodes.map(({ version }) => ({ key: version, label: version, unit: 'microseconds' })),
    rows,
    warnings: warningsAbout(rows),
  }
}

/** @param {number} value */
const known = (value) => (Number.isFinite(value) ? value : null)
