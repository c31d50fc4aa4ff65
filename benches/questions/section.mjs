// What one question comes to: a table that describes itself, so that whoever prints or draws it needs to
// know nothing of the question.

import { median, ratiosOfRounds, spread } from '../runner/statistics.mjs'

/**
 * How a figure is to be read.
 *
 * @typedef {'rate' | 'microseconds' | 'bytes' | 'share' | 'ratio' | 'count'} Unit
 */

/**
 * @typedef {object} Column
 * @property {string} key
 * @property {string} label
 * @property {Unit} unit
 */

/**
 * @typedef {object} Row
 * @property {string} peer
 * @property {string} label
 * @property {string} family
 * @property {Readonly<Record<string, number | null>>} values By the keys of columns; `null` is not known.
 * @property {readonly number[]} rounds The figure of the first column in each round.
 * @property {readonly (number | null)[]} [cpuRounds] Processor time for each request in each round, where it is no column's.
 * @property {number} spread Highest less lowest round, as a part of the median.
 * @property {string} remark
 */

/**
 * @typedef {object} Section
 * @property {string} id
 * @property {string} group
 * @property {string} title
 * @property {string} about
 * @property {readonly Column[]} columns The first is what the question is about.
 * @property {readonly Row[]} rows
 * @property {readonly string[]} warnings
 */

/** Of rounds that differ by more it is said. */
const NOISY = 0.15

/**
 * The middle of what `pick` finds in the rounds, or `null` where it is not known.
 *
 * @template Round
 * @param {readonly Round[]} rounds
 * @param {(round: Round) => number | null | undefined} pick
 */
export function middle(rounds, pick) {
  const value = median(rounds.map((round) => pick(round) ?? Number.NaN))
  return Number.isFinite(value) ? value : null
}

/**
 * A row, with what its rounds say of the first column.
 *
 * @param {{ peer: string, label: string, family: string }} peer
 * @param {readonly number[]} rounds
 * @param {Readonly<Record<string, number | null>>} values
 * @param {string} [remark]
 * @returns {Row}
 */
export function row({ peer, label, family }, rounds, values, remark = '') {
  const known = spread(rounds)
  return { peer, label, family, values, rounds, spread: Number.isFinite(known) ? known : 0, remark }
}

/**
 * What must be said about a section before anything is concluded from it.
 *
 * @param {readonly Row[]} rows
 * @param {'server' | 'client'} [measured] Which side is in question; the other should not be the bottleneck.
 * @returns {string[]}
 */
export function warningsAbout(rows, measured = 'server') {
  const warnings = []
  const noisy = rows.filter(({ spread }) => spread > NOISY).map(({ label }) => label)
  if (noisy.length > 0) {
    warnings.push(`rounds differ by more than ${NOISY * 100} %: ${noisy.join(', ')}`)
  }
  const other = measured === 'server' ? 'client' : 'server'
  const bound = rows.filter(({ remark }) => remark.startsWith(other)).map(({ label }) => label)
  if (bound.length > 0) {
    warnings.push(`the ${other} was the bottleneck, these could do more: ${bound.join(', ')}`)
  }
  return warnings
}

/**
 * The ratios of the rounds in which both figures are known.
 *
 * @param {readonly (number | null)[]} ones
 * @param {readonly (number | null)[]} others
 * @returns {readonly number[]}
 */
export const knownRatios = (ones, others) =>
  ratiosOfRounds(ones, others).filter((ratio) => Number.isFinite(ratio))

/**
 * A row's figure as a multiple of another's: the median of the rounds' ratios.
 *
 * @param {Row | undefined} one
 * @param {Row | undefined} other
 */
export function ratioOfRounds(one, other) {
  const value = median(knownRatios(one?.rounds ?? [], other?.rounds ?? []))
  return Number.isFinite(value) ? value : null
}
