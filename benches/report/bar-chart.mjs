// Horizontal bars, each with its name before it and its figure behind it, so that no axis is needed.

import { format } from './format.mjs'
import { element, escapeText, label } from './svg.mjs'
import { tone } from './tone.mjs'

/** @typedef {import('../questions/section.mjs').Section} Section */
/** @typedef {import('../questions/section.mjs').Row} Row */

const ROW = 27
const BAR = 15
const HEAD = 46
const NAMES = 158
const FIGURES = 96

/**
 * The figures of one column of a section, best first.
 *
 * @param {Section} section
 * @param {object} chart
 * @param {string} chart.key The column.
 * @param {string} chart.title
 * @param {'more' | 'less'} chart.better
 * @param {number} [chart.width]
 * @param {readonly string[]} [chart.peers] Only these.
 * @returns {import('./svg.mjs').Drawing}
 */
export function barChart(section, { key, title, better, width = 620, peers }) {
  const unit = section.columns.find((column) => column.key === key)?.unit ?? 'count'
  const rows = section.rows
    .filter((row) => peers?.includes(row.peer) ?? true)
    .flatMap((row) => {
      const value = row.values[key]
      return value === null || value === undefined ? [] : [{ row, value }]
    })
    .toSorted((one, other) => (better === 'more' ? other.value - one.value : one.value - other.value))
  // Rounds are known of the first column alone.
  const hasRounds = section.columns[0]?.key === key
  const most = Math.max(...rows.map(({ row, value }) => Math.max(value, ...(hasRounds ? row.rounds : []))), 0)
  const scale = (/** @type {number} */ value) => (most > 0 ? (value / most) * (width - NAMES - FIGURES) : 0)
  const bars = rows.map(({ row, value }, index) =>
    bar({ row, value, text: format(value, unit), rounds: hasRounds ? row.rounds : [] }, index, scale),
  )
  const height = HEAD + rows.length * ROW + 12
  const base = element('line', { class: 'base', x1: NAMES, x2: NAMES, y1: HEAD - 4, y2: height - 8 })
  const heading =
    label(title, { x: 16, y: 26, class: 'title' }) +
    label(`${better} is better`, { x: width - 16, y: 26, class: 'note', 'text-anchor': 'end' })
  return { title: `${section.title}: ${title}`, width, height, content: heading + bars.join('') + base }
}

/**
 * @param {{ row: Row, value: number, text: string, rounds: readonly number[] }} what
 * @param {number} index
 * @param {(value: number) => number} scale
 */
function bar({ row, value, text, rounds }, index, scale) {
  const top = HEAD + index * ROW
  const baseline = top + BAR / 2 + 4.5
  const own = row.peer === 'netpoll' ? 'own' : undefined
  const whisker = rounds.length > 1 ? whiskerOf(rounds, top + BAR / 2, scale) : ''
  const end = NAMES + Math.max(scale(value), ...rounds.map(scale))
  const tip = `<title>${escapeText(`${row.label}: ${text}`)}</title>`
  return element(
    'g',
    {},
    tip +
      label(row.label, { x: NAMES - 10, y: baseline, class: own, 'text-anchor': 'end' }) +
      element('rect', {
        ...{
          class: `bar ${tone(row)}`,
          x: NAMES,
          y: top,
          width: Math.max(1, scale(value)),
          height: BAR,
          rx: 2,
        },
      }) +
      whisker +
      label(text, { x: end + 8, y: baseline, class: `value ${own ?? ''}`.trim() }),
  )
}

/**
 * From the lowest round to the highest.
 *
 * @param {readonly number[]} rounds
 * @param {number} y
 * @param {(value: number) => number} scale
 */
const whiskerOf = (rounds, y, scale) =>
  element('line', {
    ...{ class: 'whisker', x1: NAMES + scale(Math.min(...rounds)), x2: NAMES + scale(Math.max(...rounds)) },
    ...{ y1: y, y2: y },
  })
