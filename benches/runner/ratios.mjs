// How one server compares with the others.

import { PEERS } from './peers.mjs'
import { print } from './progress.mjs'
import { median, ratiosOfRounds } from './statistics.mjs'

const NOISY = 0.15

/**
 * A ratio of throughputs that is aimed at.
 *
 * @typedef {object} Target
 * @property {import('./peers.mjs').PeerName} to The server that the subject is compared with.
 * @property {number} least
 * @property {number} [goal]
 */

/**
 * The throughput of a server in each round.
 *
 * @typedef {object} Rates
 * @property {import('./peers.mjs').PeerName} peer
 * @property {readonly number[]} rates
 */

/**
 * @typedef {object} Ratio
 * @property {import('./peers.mjs').PeerName} of
 * @property {import('./peers.mjs').PeerName} to
 * @property {number} value
 * @property {number} [least]
 * @property {number} [goal]
 * @property {string} reached
 */

/**
 * Compares the subject, where it was measured, with each of the others. Without
 * a target the ratio is still worth knowing.
 *
 * @param {import('./peers.mjs').PeerName} subject
 * @param {readonly Rates[]} peers
 * @param {readonly Target[]} targets
 * @returns {readonly Ratio[]}
 */
export function ratios(subject, peers, targets) {
  const own = peers.find(({ peer }) => peer === subject)
  if (own === undefined) return []
  const others = peers.filter((rates) => rates !== own).toReversed()
  return others.map(({ peer, rates }) => {
    const { least, goal } = targets.find(({ to }) => to === peer) ?? {}
    const value = median(ratiosOfRounds(own.rates, rates))
    return { of: subject, to: peer, value, least, goal, reached: verdict(value, least, goal) }
  })
}

/**
 * @param {number} value
 * @param {number | undefined} least
 * @param {number | undefined} goal
 */
function verdict(value, least, goal) {
  if (least === undefined) return ''
  if (!(value >= least)) return 'NOT REACHED'
  if (goal === undefined) return 'reached'
  return value >= goal ? 'goal reached' : 'least reached'
}

/** @param {readonly Ratio[]} ratios */
export function printRatios(ratios) {
  const width = Math.max(...ratios.map(({ to }) => PEERS[to].label.length))
  for (const { of, to, value, least, goal, reached } of ratios) {
    const aim = goal === undefined ? '' : `, goal ${goal}`
    const target = least === undefined ? '' : `   least ${least}${aim}: ${reached}`
    print(`  ${PEERS[of].label} ÷ ${PEERS[to].label.padEnd(width)}  ${value.toFixed(2)}${target}`)
  }
}

/**
 * Says which rounds differ too much to be trusted.
 *
 * @param {readonly { peer: import('./peers.mjs').PeerName, spread: number }[]} peers
 */
export function printNoise(peers) {
  const noisy = peers.filter(({ spread }) => spread > NOISY).map(({ peer }) => PEERS[peer].label)
  if (noisy.length > 0) {
    print(`  warning: rounds of ${noisy.join(', ')} differ by more than 15 %: the machine is too noisy`)
  }
}
