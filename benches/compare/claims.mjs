// What this package should show, and whether it does.

import { CONCURRENCIES } from './scenarios.mjs'
import { NOISY, ratioOfRounds } from './section.mjs'

/** @typedef {import('./section.mjs').Section} Section */
/** @typedef {import('./section.mjs').Row} Row */

/**
 * @typedef {object} Claim
 * @property {string} text
 * @property {string} figure What was measured.
 * @property {string} needed
 * @property {'reached' | 'NOT REACHED' | 'too noisy' | 'not measured'} verdict
 */

const SUBJECT = 'netpoll'
const COLLECTED = ['node', 'bun', 'goNet', 'goNetpoll', 'gnet', 'evio', 'netty']

/**
 * A figure of the subject as a multiple of another's.
 *
 * @typedef {object} Comparison
 * @property {string} to
 * @property {number} value
 * @property {boolean} noisy
 */

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
    ...CONCURRENCIES.map((concurrency) =>
      idleClaim(find(`pool-${concurrency}`), find(`idle-${concurrency}`), concurrency),
    ),
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
  const dearest = most(compareFigures(section, COLLECTED, 'cpu'))
  return [
    atLeast(`${scenario}: throughput, to the fastest garbage-collected peer`, nearest, 1),
    atMost(`${scenario}: CPU per request, to the thriftiest garbage-collected peer`, dearest, 1),
    atLeast(`${scenario}: throughput, to the bare loop`, least(compareRates(section, ['bare'])), 0.85),
  ]
}

/**
 * @param {Section | undefined} alone
 * @param {Section | undefined} beside
 * @param {number} concurrency
 */
function idleClaim(alone, beside, concurrency) {
  const [one, other] = [rowOf(alone, SUBJECT), rowOf(beside, SUBJECT)]
  const value = ratioOfRounds(other, one)
  const comparison =
    value === null ? undefined : { to: 'scenario 1', value, noisy: isNoisy(one) || isNoisy(other) }
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
  const dearest = most(compareFigures(section, COLLECTED, 'cpu'))
  return atMost('Half load: CPU per request, to the thriftiest garbage-collected peer', dearest, 1.1)
}

/** @param {Section | undefined} section */
function workersClaim(section) {
  const workers = rowOf(section, 'netpollWorkers')
  const value = ratioOfRounds(workers, rowOf(section, SUBJECT))
  const comparison = value === null ? undefined : { to: 'one thread', value, noisy: isNoisy(workers) }
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

/** @param {Row | undefined} row */
const isNoisy = (row) => row !== undefined && row.spread > NOISY

/**
 * @param {Section | undefined} section
 * @param {readonly string[]} peers
 * @returns {readonly Comparison[]}
 */
function compareRates(section, peers) {
  const own = rowOf(section, SUBJECT)
  return peers.flatMap((peer) => {
    const other = rowOf(section, peer)
    const value = ratioOfRounds(own, other)
    return value === null || other === undefined
      ? []
      : [{ to: other.label, value, noisy: isNoisy(own) || isNoisy(other) }]
  })
}

/**
 * @param {Section | undefined} section
 * @param {readonly string[]} peers
 * @param {string} key
 * @returns {readonly Comparison[]}
 */
function compareFigures(section, peers, key) {
  const own = rowOf(section, SUBJECT)
  return peers.flatMap((peer) => {
    const other = rowOf(section, peer)
    const [figure, others] = [own?.values[key], other?.values[key]]
    return figure && others && other !== undefined
      ? [{ to: other.label, value: figure / others, noisy: isNoisy(own) || isNoisy(other) }]
      : []
  })
}

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
  const { to, value, noisy } = comparison
  const verdict = noisy ? 'too noisy' : isReached(value) ? 'reached' : 'NOT REACHED'
  return { text, figure: `${value.toFixed(2)} × ${to}`, needed, verdict }
}
