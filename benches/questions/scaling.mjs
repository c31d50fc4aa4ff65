// Two cores: a handler that computes for about a millisecond, on a server with one core and with all. The
// client shares a core with it, and needs next to nothing of it.

import { withServers } from '../runner/fleet.mjs'
import { cores } from '../runner/processes.mjs'
import { interleave, runOf } from '../runner/rounds.mjs'
import { pool } from './scenarios.mjs'
import { COLUMNS, middle, ratioOfRounds, row, sectionOf, warningsAbout } from './section.mjs'

/** Rounds of computing for each request, which take a millisecond or less. */
const WORK = 500_000
const QUICK_WORK = 5_000

/** @type {readonly PeerName[]} */
const PEERS = [
  'netpoll',
  'netpollWorkers',
  'node',
  'nodeCluster',
  'goNet',
  'goNetMux',
  'goNetpoll',
  'goNetpollMux',
  'netty',
  'tokio',
]

const GROUP = 'Two cores'
const HOT = { ...pool(1), inFlight: 32, anyOrder: true }
const LOADS = [
  { id: 'hot', title: 'one connection × 32 requests', shape: HOT },
  { id: 'spread', title: '32 connections', shape: pool(32) },
]

/** @type {readonly Column[]} */
const SHOWN = [
  { key: 'both', label: 'requests/s, all cores', unit: 'rate' },
  { key: 'one', label: 'one core', unit: 'rate' },
  { key: 'factor', label: 'factor', unit: 'ratio' },
]

/** @param {Context} context @returns {Promise<readonly Section[]>} */
export async function measureScaling({ options, subjects }) {
  if (cores === undefined) return []
  const sections = []
  for (const { id, title, shape } of LOADS) {
    const rows = []
    for (const subject of subjects(PEERS)) rows.push(await measurePeer(subject, title, shape, options))
    sections.push({
      id: `scaling-${id}`,
      group: GROUP,
      title: `A handler that computes for a millisecond, ${title}`,
      about:
        'Each server on one core and on both; how fast it computes is its language, the factor is its own.',
      columns: SHOWN,
      rows,
      warnings: warningsAbout(rows),
    })
  }
  return sections
}

/** Our workers alone: two threads beside one, pinned to no core. @param {Context} context */
export async function measureTwoWorkers({ options, subjects }) {
  const ways = subjects(['netpollWorkers']).flatMap((subject) =>
    ['one', 'two'].map((name, index) => ({
      ...{ ...subject, id: `workers${index + 1}`, label: `${name} worker${index === 0 ? '' : 's'}` },
      ...{ words: ['--threads', String(index + 1)], place: /** @type {const} */ ('unpinned') },
    })),
  )
  const head = {
    id: 'two-workers',
    group: GROUP,
    title: 'Two workers beside one, one connection × 32 requests',
    about: 'Each request computes for a millisecond. The server is not pinned to a core.',
    columns: [COLUMNS.rate, COLUMNS.cpu, COLUMNS.p99],
  }
  return sectionOf(head, await measureComputing(ways, head.title, HOT, options))
}

/** @param {Subject} subject @param {string} title @param {Frames} shape @param {Options} options */
async function measurePeer(subject, title, shape, options) {
  const ways = /** @type {const} */ (['server', 'all']).map((place) => ({ ...subject, place }))
  const measured = await measureComputing(ways, title, shape, options)
  const [one = [], both = []] = measured.map(({ rounds }) =>
    rounds.map(({ figures }) => figures['rate'] ?? Number.NaN),
  )
  const named = { ...subject, peer: subject.id }
  const known = row(named, both, {})
  const values = {
    both: middle(both, (rate) => rate),
    one: middle(one, (rate) => rate),
    factor: ratioOfRounds(known, row(named, one, {})),
  }
  return { ...known, values }
}

/**
 * @param {readonly Subject[]} subjects
 * @param {string} title
 * @param {Frames} shape
 * @param {Options} options
 */
function measureComputing(subjects, title, shape, { quick, rounds, seconds, warmUp }) {
  const computing = ['--work', String(quick ? QUICK_WORK : WORK)]
  const ways = subjects.map((subject) => ({ ...subject, words: [...subject.words, ...computing] }))
  const load = { shape, seconds, warmUp, waiting: /** @type {const} */ ('sleep') }
  return withServers('tcp', ways, (benches) =>
    interleave(
      `two cores · ${title}`,
      benches.map((bench) => runOf(bench, load)),
      rounds,
    ),
  )
}
