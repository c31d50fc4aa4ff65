// What this package should show, and whether it does.

import { median } from '../runner/statistics.mjs'
import { ALONE, CONCURRENCIES } from './scenarios.mjs'
import { knownRatios } from './section.mjs'

/** @typedef {import('./section.mjs').Section} Section */
/** @typedef {import('./section.mjs').Row} Row */

/**
 * @typedef {object} Claim
 * @property {string} text
 * @property {string} figure What was measured.
 * @property {string} needed
 * @property {'reached' | 'NOT REACHED' | 'too close' | 'not measured'} verdict
 */

const SUBJECT = 'netpoll'
const COLLECTED = ['node', 'bun', 'goNet', 'goNetpoll', 'gnet', 'evio', 'netty']

/**
 * A figure of the subject as a multiple of another's.
 *
 * @typedef {object} Comparison
 * @property {string} to
 * @property {readonly number[]} ratios Round by round.
 * @property {number} value Their median.
 */

/** So many of the rounds have to say the same: four of five. */
const AGREED = 0.8

/**
 * Judges all claims.
 *
 * @param {readonly Section[]} sections
 * @returns {readonly Claim[]}
 */
export function claims(sections) {
  /** @param {string} id */
  const find = (id) => sections.find((section) => section.id === id)
  return [
    ...[100, 1000].flatMap((concurrency) => poolClaims(find(`pool-${concurrency}`), concurrency)),
    ...CONCURRENCIES.map((concurrency) => idleClaim(find(`idle-${concurrency}`), concurrency)),
    ...CONCURRENCIES.flatMap((concurrency) => muxClaims(find(`mux-${concurrency}`), concurrency)),
    halfLoadClaim(find('half-pool-100')),
    workersClaim(find('scaling-hot')),
  ]
}

/**
 * @param {Section | undefined} section
 * @param {number} concurrency
 * @returns {readonly Claim[]}
 */
function poolClaims(section, concurrency) {
  const scenario = `Scenario 1, ${concurrency}`
  const nearest = least(compareRates(section, COLLECTED))
  const dearest = most(compareCosts(section, COLLECTED))
  return [
    atLeast(`${scenario}: throughput, to the fastest garbage-collected peer`, nearest, 1),
    atMost(`${scenario}: CPU per request, to the thriftiest garbage-collected peer`, dearest, 1),
    atLeast(`${scenario}: throughput, to the bare loop`, least(compareRates(section, ['bare'])), 0.85),
  ]
}

/**
 * @param {Section | undefined} section
 * @param {number} concurrency
 */
function idleClaim(section, concurrency) {
  const comparison = compare(rowOf(section, SUBJECT)?.rounds, rowOf(section, ALONE)?.rounds, 'no idle ones')
  return atLeast(`Scenario 2, ${concurrency}: throughput, to scenario 1`, comparison, 0.9)
}

/**
 * @param {Section | undefined} section
 * @param {number} concurrency
 * @returns {readonly Claim[]}
 */
function muxClaims(section, concurrency) {
  /** @type {(peers: readonly string[], needed: number, what: string) => Claim} */
  const rate = (peers, needed, what) =>
    atLeast(`Scenario 3, ${concurrency}: throughput, to ${what}`, least(compareRates(section, peers)), needed)
  return [
    rate(['node', 'bun', 'goNet', 'goNetpoll'], 5, 'the fastest of node:net, Bun, Go net and Netpoll'),
    rate(['goNetpollMux'], 5, "Netpoll's own way of multiplexing"),
    rate(['nodeCorked'], 1.8, 'node:net corked by hand'),
    rate(['gnet', 'evio', 'netty'], 1, 'the fastest of gnet, evio and Netty'),
  ]
}

/** @param {Section | undefined} section */
function halfLoadClaim(section) {
  const dearest = most(compareCosts(section, COLLECTED))
  return atMost('Half load: CPU per request, to the thriftiest garbage-collected peer', dearest, 1.1)
}

/** @param {Section | undefined} section */
function workersClaim(section) {
  const [workers, one] = [rowOf(section, 'netpollWorkers'), rowOf(section, SUBJECT)]
  const comparison = compare(workers?.rounds, one?.rounds, 'one thread')
  return atLeast(
    'One hot connection, computing handler: workers on two cores, to one thread',
    comparison,
    1.8,
  )
}

/**
 * @param {Section | undefined} section
 * @param {string} peer
 */
const rowOf = (section, peer) => section?.rows.find((row) => row.peer === peer)

/**
 * @param {readonly (number | null)[] | undefined} own
 * @param {readonly (number | null)[] | undefined} others
 * @param {string} to
 * @returns {Comparison | undefined}
 */
function compare(own, others, to) {
  const ratios = knownRatios(own ?? [], others ?? [])
  return ratios.length === 0 ? undefined : { to, ratios, value: median(ratios) }
}

/**
 * @param {Section | undefined} section
 * @param {readonly string[]} peers
 * @param {(row: Row) => readonly (number | null)[] | undefined} figures
 * @returns {readonly Comparison[]}
 */
function compareAll(section, peers, figures) {
  const own = rowOf(section, SUBJECT)
  if (own === undefined) return []
  return peers.flatMap((peer) => {
    const other = rowOf(section, peer)
    const comparison = other === undefined ? undefined : compare(figures(own), figures(other), other.label)
    return comparison ?? []
  })
}

/** @type {(section: Section | undefined, peers: readonly string[]) => readonly Comparison[]} */
const compareRates = (section, peers) => compareAll(section, peers, ({ rounds }) => rounds)

/** @type {(section: Section | undefined, peers: readonly string[]) => readonly Comparison[]} */
const compareCosts = (section, peers) =>
  compareAll(section, peers, ({ rounds, cpuRounds }) => cpuRounds ?? rounds)

/** @param {readonly Comparison[]} comparisons */
const least = (comparisons) => comparisons.toSorted((one, other) => one.value - other.value)[0]

/** @param {readonly Comparison[]} comparisons */
const most = (comparisons) => comparisons.toSorted((one, other) => other.value - one.value)[0]

/**
 * @param {string} text
 * @param {Comparison | undefined} comparison
 * @param {number} needed
 * @returns {Claim}
 */
const atLeast = (text, comparison, needed) =>
  claim(text, comparison, `at least ${needed}`, (value) => value >= needed)

/**
 * @param {string} text
 * @param {Comparison | undefined} comparison
 * @param {number} needed
 * @returns {Claim}
 */
const atMost = (text, comparison, needed) =>
  claim(text, comparison, `at most ${needed}`, (value) => value <= needed)

/**
 * @param {string} text
 * @param {Comparison | undefined} comparison
 * @param {string} needed
 * @param {(value: number) => boolean} isReached
 * @returns {Claim}
 */
function claim(text, comparison, needed, isReached) {
  if (comparison === undefined) return { text, figure: '', needed, verdict: 'not measured' }
  const { to, ratios, value } = comparison
  return { text, figure: `${value.toFixed(2)} × ${to}`, needed, verdict: verdictOf(ratios, isReached) }
}

/**
 * Whether nearly all rounds say the same.
 *
 * @param {readonly number[]} ratios
 * @param {(ratio: number) => boolean} isReached
 */
function verdictOf(ratios, isReached) {
  const agreeing = ratios.filter(isReached).length / ratios.length
  if (agreeing >= AGREED) return 'reached'
  return 1 - agreeing >= AGREED ? 'NOT REACHED' : 'too close'
}
