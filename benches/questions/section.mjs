// What one question comes to: a table that describes itself, so that what prints or draws it needs to know nothing of
// the question.

import { busySide } from '../runner/rounds.mjs'
import { median, ratiosOfRounds, spread } from '../runner/statistics.mjs'
import { format } from '../runner/format.mjs'

/** Columns that several questions have. */
export const COLUMNS = /** @type {const} */ ({
  rate: { key: 'rate', label: 'requests/s', unit: 'rate' },
  cpu: { key: 'cpu', label: 'CPU/request', unit: 'microseconds' },
  p50: { key: 'p50', label: 'p50', unit: 'microseconds' },
  p99: { key: 'p99', label: 'p99', unit: 'microseconds' },
  p999: { key: 'p999', label: 'p99.9', unit: 'microseconds' },
  memory: { key: 'memory', label: 'memory', unit: 'bytes' },
  peak: { key: 'peak', label: 'peak memory', unit: 'bytes' },
})

/** Whom others are compared with in a column of their own. */
const COMPARED = /** @type {const} */ ({
  bare: { key: 'toBare', unit: 'ratio' },
  node: { key: 'toNode', unit: 'ratio' },
})

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
 * A section of what took turns.
 *
 * @param {Head} head
 * @param {readonly Turns[]} measured
 * @param {'server' | 'client'} [side] Which is in question; the other should not be the bottleneck.
 * @returns {Section}
 */
export function sectionOf(head, measured, side = 'server') {
  const rows = measured.map(({ subject, rounds }) => rowOf(head.columns, subject, rounds, side))
  return { ...head, rows, warnings: warningsAbout(rows, side) }
}

/**
 * @param {readonly Column[]} columns
 * @param {{ id: string, label: string, family: string }} subject
 * @param {readonly Round[]} rounds
 * @param {'server' | 'client'} side
 * @returns {Row}
 */
function rowOf(columns, { id, label, family }, rounds, side) {
  /** @param {string} key */
  const each = (key) => rounds.map(({ figures }) => figures[key] ?? Number.NaN)
  const values = Object.fromEntries(columns.map(({ key }) => [key, middle(each(key), (figure) => figure)]))
  const known = row({ peer: id, label, family }, each(columns[0]?.key ?? ''), values, remarkOn(rounds, side))
  return each('cpu').some(Number.isFinite) ? { ...known, cpuRounds: each('cpu') } : known
}

/**
 * Which side kept the other waiting, from the shares of a core that both used.
 *
 * @param {readonly Round[]} rounds
 * @param {'server' | 'client'} side
 */
function remarkOn(rounds, side) {
  if (rounds.length === 0) return 'failed'
  const server = middle(rounds, ({ serverShare }) => serverShare)
  const client = middle(rounds, ({ clientShare }) => clientShare)
  if (server === null && client === null) return ''
  const shares = { server: server ?? Number.NaN, client: client ?? Number.NaN }
  const told = Object.entries(shares).map(([name, share]) => `${name} ${format(share, 'share')}`)
  const order = side === 'server' ? told : told.toReversed()
  const timedOut = rounds.reduce((sum, round) => sum + (round.timedOut ?? 0), 0)
  const late = timedOut === 0 ? '' : `; ${timedOut} connections timed out`
  return `${busySide(shares.server, shares.client)} (${order.join(', ')})${late}`
}

/**
 * The section with the first column of each row as a multiple of that of the bare loop and of `node:net`, where they
 * were measured.
 *
 * @param {Section} section
 * @returns {Section}
 */
export function withRatios(section) {
  const others = Object.entries(COMPARED).flatMap(([peer, column]) => {
    const other = section.rows.find((row) => row.peer === peer)
    return other === undefined ? [] : [{ other, column: { ...column, label: `÷ ${other.label}` } }]
  })
  const rows = section.rows.map((row) => {
    const ratios = others.map(({ other, column }) => [column.key, ratioOfRounds(row, other)])
    return { ...row, values: { ...row.values, ...Object.fromEntries(ratios) } }
  })
  const [first, ...rest] = section.columns
  const added = others.map(({ column }) => column)
  return { ...section, columns: first === undefined ? [] : [first, ...added, ...rest], rows }
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
