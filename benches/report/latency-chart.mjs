// Latencies on a logarithmic scale: half of all requests, 99 %, and 99.9 % took no longer.

import { format } from './format.mjs'
import { element, escapeText, label } from './svg.mjs'
import { tone } from './tone.mjs'

/** @typedef {import('../questions/section.mjs').Section} Section */
/** @typedef {import('../questions/section.mjs').Row} Row */

const ROW = 27
const HEAD = 78
const NAMES = 158
const MARGIN = 24
const QUANTILES = /** @type {const} */ (['p50', 'p99', 'p999'])

/**
 * @param {Section} section
 * @param {{ width?: number }} [chart]
 * @returns {import('./svg.mjs').Drawing}
 */
export function latencyChart(section, { width = 620 } = {}) {
  const rows = section.rows
    .flatMap((row) => {
      const figures = QUANTILES.map((quantile) => row.values[quantile])
      return figures.every(isPositive) ? [{ row, figures: /** @type {readonly number[]} */ (figures) }] : []
    })
    .toSorted((one, other) => (one.figures[1] ?? 0) - (other.figures[1] ?? 0))
  const all = rows.flatMap(({ figures }) => figures)
  const [first, last] = [decade(Math.min(...all), Math.floor), decade(Math.max(...all), Math.ceil)]
  const span = Math.max(1, last - first)
  const scale = (/** @type {number} */ value) =>
    NAMES + ((Math.log10(value) - first) / span) * (width - NAMES - MARGIN)
  const height = HEAD + rows.length * ROW + 6
  const grid = rows.length === 0 ? '' : gridLines(first, last, scale, height)
  const lines = rows.map(({ row, figures }, index) => range(row, figures, HEAD + index * ROW + 8, scale))
  const heading = label('Latency', { x: 16, y: 26, class: 'title' }) + legend(width)
  return { title: `${section.title}: latency`, width, height, content: heading + grid + lines.join('') }
}

/** @param {number | null | undefined} value */
const isPositive = (value) => value !== null && value !== undefined && value > 0

/**
 * @param {number} value
 * @param {(value: number) => number} round
 */
const decade = (value, round) => (Number.isFinite(value) ? round(Math.log10(value)) : 0)

/**
 * @param {number} first
 * @param {number} last
 * @param {(value: number) => number} scale
 * @param {number} height
 */
function gridLines(first, last, scale, height) {
  const powers = Array.from({ length: last - first + 1 }, (_, index) => 10 ** (first + index))
  return powers
    .map((power) => {
      const x = scale(power)
      const line = element('line', { class: 'grid', x1: x, x2: x, y1: HEAD - 12, y2: height })
      return line + label(tick(power), { x, y: HEAD - 18, class: 'tick', 'text-anchor': 'middle' })
    })
    .join('')
}

/** @param {number} microseconds */
const tick = (microseconds) =>
  microseconds >= 1e6
    ? `${microseconds / 1e6} s`
    : microseconds >= 1e3
      ? `${microseconds / 1e3} ms`
      : `${microseconds} µs`

/**
 * @param {Row} row
 * @param {readonly number[]} figures
 * @param {number} y
 * @param {(value: number) => number} scale
 */
function range(row, figures, y, scale) {
  const [p50 = 0, p99 = 0, p999 = 0] = figures.map(scale)
  const text = figures.map((figure) => format(figure, 'microseconds')).join(' · ')
  const own = row.peer === 'netpoll' ? 'own' : undefined
  const look = tone(row)
  return element(
    'g',
    {},
    `<title>${escapeText(`${row.label}: p50 · p99 · p99.9 = ${text}`)}</title>` +
      label(row.label, { x: NAMES - 10, y: y + 4.5, class: own, 'text-anchor': 'end' }) +
      element('line', { class: `range ${look}`, x1: p50, x2: p999, y1: y, y2: y }) +
      element('circle', { class: look, cx: p50, cy: y, r: 4.5 }) +
      element('rect', { class: look, x: p99 - 4, y: y - 6.5, width: 8, height: 13, rx: 2 }) +
      element('circle', { class: `hollow ${look}`, cx: p999, cy: y, r: 4 }),
  )
}

/** @param {number} width */
function legend(width) {
  const y = 22
  const mark = (/** @type {number} */ x, /** @type {string} */ text, /** @type {string} */ drawn) =>
    drawn + label(text, { x: x + 10, y: y + 4, class: 'note' })
  const [first, second, third] = [width - 196, width - 130, width - 64]
  return (
    mark(first, 'p50', element('circle', { class: 'peer', cx: first, cy: y, r: 4.5 })) +
    mark(
      second,
      'p99',
      element('rect', { class: 'peer', x: second - 4, y: y - 6.5, width: 8, height: 13, rx: 2 }),
    ) +
    mark(third, 'p99.9', element('circle', { class: 'hollow', cx: third, cy: y, r: 4 }))
  )
}
