// Which charts there are, and how each is drawn.

import { format } from '../runner/format.mjs'
import { canDraw, colour, draw, tone } from './drawing.mjs'

/** @typedef {import('@observablehq/plot').Markish} Mark */

/** Columns worth a chart of their own, and what to call it. */
const BARS = /** @type {Readonly<Record<string, { title: string, better: 'more' | 'less' }>>} */ ({
  rate: { title: 'Requests per second', better: 'more' },
  cpu: { title: 'Processor time per request', better: 'less' },
  memory: { title: 'Resident memory', better: 'less' },
  each: { title: 'Memory of each connection', better: 'less' },
  before: { title: 'Memory without them', better: 'less' },
  beside: { title: 'Requests per second beside slow peers', better: 'more' },
  kept: { title: 'Throughput kept', better: 'more' },
  both: { title: 'Requests per second on all cores', better: 'more' },
  factor: { title: 'All cores as a multiple of one', better: 'more' },
})

const ROW = 27
const HEAD = 46
const NAMES = 168
const FIGURES = 96
const QUANTILES = /** @type {const} */ (['p50', 'p99', 'p999'])

/** The charts of one section. @param {Section} section @returns {readonly { name: string, svg: string }[]} */
export function chartsOf(section) {
  // Of many sizes one chart tells more than one for each.
  if (!canDraw || section.size !== undefined) return []
  const keys = section.columns.map(({ key }) => key)
  const bars = keys.flatMap((key) => {
    const chart = BARS[key]
    return chart === undefined || isAside(section, key)
      ? []
      : [{ name: key, svg: barChart(section, { key, ...chart }) }]
  })
  if (!QUANTILES.every((key) => keys.includes(key))) return bars
  return bars.toSpliced(1, 0, { name: 'latency', svg: latencyChart(section) })
}

/** At half load the rate was given, and says nothing. @param {Section} section @param {string} key */
const isAside = (section, key) => key === 'rate' && section.columns.some((column) => column.key === 'asked')

/**
 * The charts over the sections of a group.
 *
 * @param {readonly Section[]} sections
 * @returns {readonly { name: string, svg: string }[]}
 */
export function chartsOfGroup(sections) {
  const sized = sections.filter(({ size }) => size !== undefined)
  if (!canDraw || sized.length < 2) return []
  const name = /^sweep-\w+/.exec(sized[0]?.id ?? '')?.[0] ?? 'sizes'
  return [
    { name: `${name}-cpu`, svg: sizesChart(sized, 'toBare', 'CPU per request ÷ that of the bare loop') },
    { name: `${name}-peak`, svg: sizesChart(sized, 'peak', 'Peak of resident memory') },
  ]
}

/**
 * What stands over a chart.
 *
 * @param {typeof import('@observablehq/plot')} plot
 * @param {string} title
 * @param {string} note
 * @param {number} height How far over it.
 * @returns {readonly Mark[]}
 */
const heading = (plot, title, note, height) => [
  plot.text([title], {
    frameAnchor: 'top-left',
    dx: -NAMES + 16,
    dy: -height,
    fontSize: 15,
    fontWeight: 650,
  }),
  plot.text([note], { frameAnchor: 'top-right', dx: FIGURES - 16, dy: -height, fill: colour('muted') }),
]

/**
 * The figures of one column of a section, best first: each has its name before it and its figure behind it, so that no
 * axis is needed.
 *
 * @param {Section} section
 * @param {object} chart
 * @param {string} chart.key The column.
 * @param {string} chart.title
 * @param {'more' | 'less'} chart.better
 * @param {number} [chart.width]
 * @param {readonly string[]} [chart.peers] Only these.
 */
export function barChart(section, { key, title, better, width = 620, peers }) {
  const unit = section.columns.find((column) => column.key === key)?.unit ?? 'count'
  // Rounds are known of the first column alone.
  const hasRounds = section.columns[0]?.key === key
  const bars = section.rows
    .filter(({ peer }) => peers?.includes(peer) ?? true)
    .flatMap((row) => {
      const value = row.values[key]
      if (value === null || value === undefined) return []
      const rounds = hasRounds && row.rounds.length > 1 ? row.rounds : [value]
      const [low, high] = [Math.min(...rounds), Math.max(...rounds)]
      const text = format(value, unit)
      return [{ ...row, value, low, high, end: Math.max(value, high), text, fill: colour(tone(row)) }]
    })
    .toSorted((one, other) => (better === 'more' ? other.value - one.value : one.value - other.value))
  return draw(`${section.title}: ${title}`, (plot) => ({
    ...{ width, height: HEAD + bars.length * ROW + 12 },
    ...{ marginLeft: NAMES, marginRight: FIGURES, marginTop: HEAD, marginBottom: 12 },
    x: { axis: null, domain: [0, Math.max(...bars.map(({ end }) => end), Number.MIN_VALUE)] },
    y: { label: null, tickSize: 0, domain: bars.map(({ label }) => label), padding: 0.4 },
    marks: [
      ...heading(plot, title, `${better} is better`, 20),
      plot.barX(bars, {
        ...{ x: 'value', y: 'label', fill: 'fill', rx: 2, className: 'bars' },
        title: (/** @type {(typeof bars)[number]} */ bar) => `${bar.label}: ${bar.text}`,
      }),
      plot.ruleY(
        bars.filter(({ low, high }) => low < high),
        {
          ...{ x1: 'low', x2: 'high', y: 'label', strokeOpacity: 0.45, strokeWidth: 1.5 },
          className: 'rounds',
        },
      ),
      plot.text(bars, {
        x: 'end',
        y: 'label',
        text: 'text',
        textAnchor: 'start',
        dx: 8,
        fill: colour('muted'),
      }),
      plot.ruleX([0], { stroke: colour('muted'), strokeOpacity: 0.5 }),
    ],
  }))
}

/**
 * Latencies on a logarithmic scale: half of all requests, 99 %, and 99.9 % took no longer.
 *
 * @param {Section} section
 */
export function latencyChart(section) {
  const rows = section.rows
    .flatMap((row) => {
      const [p50, p99, p999] = QUANTILES.map((quantile) => row.values[quantile] ?? 0)
      const look = { stroke: colour(tone(row)), text: '' }
      return p50 && p99 && p999 ? [{ ...row, ...look, p50, p99, p999 }] : []
    })
    .toSorted((one, other) => one.p99 - other.p99)
  return draw(`${section.title}: latency`, (plot) => ({
    ...{ width: 620, height: HEAD + 32 + rows.length * ROW + 6 },
    ...{ marginLeft: NAMES, marginRight: 24, marginTop: HEAD + 32, marginBottom: 6 },
    x: { type: 'log', label: null, axis: 'top', tickFormat: (/** @type {number} */ each) => duration(each) },
    y: { label: null, tickSize: 0, domain: rows.map(({ label }) => label), padding: 0.4 },
    marks: [
      plot.gridX({ strokeOpacity: 0.15 }),
      plot.text(['Latency: ● p50 ■ p99 ○ p99.9'], {
        ...{ frameAnchor: 'top-left', dx: -NAMES + 16, dy: -52, fontSize: 15, fontWeight: 650 },
      }),
      plot.ruleY(rows, {
        ...{ x1: 'p50', x2: 'p999', y: 'label', stroke: 'stroke', strokeWidth: 3, className: 'ranges' },
      }),
      plot.dot(rows, {
        ...{ x: 'p50', y: 'label', fill: 'stroke', r: 4.5 },
        title: (/** @type {(typeof rows)[number]} */ { label, p50, p99, p999 }) =>
          `${label}: p50 · p99 · p99.9 = ${[p50, p99, p999].map((each) => format(each, 'microseconds')).join(' · ')}`,
      }),
      plot.dot(rows, { x: 'p99', y: 'label', fill: 'stroke', r: 4.5, symbol: 'square' }),
      plot.dot(rows, {
        x: 'p999',
        y: 'label',
        stroke: 'stroke',
        fill: colour('surface'),
        strokeWidth: 2,
        r: 4,
      }),
    ],
  }))
}

/** @param {number} microseconds */
const duration = (microseconds) =>
  microseconds >= 1e6
    ? `${microseconds / 1e6} s`
    : microseconds >= 1e3
      ? `${microseconds / 1e3} ms`
      : `${microseconds} µs`

/**
 * One column of sections that differ in their size, on logarithmic scales.
 *
 * @param {readonly Section[]} sections
 * @param {string} key
 * @param {string} title
 */
export function sizesChart(sections, key, title) {
  const unit = key === 'peak' ? 'bytes' : 'ratio'
  const points = sections.flatMap(({ size = 0, title: sizeName, rows }) =>
    rows.flatMap((row) => {
      const value = row.values[key]
      return value ? [{ label: row.label, family: row.family, size, value, sizeName }] : []
    }),
  )
  const lines = [...new Set(points.map(({ label }) => label))]
  const [lowest, highest] = [Math.min, Math.max].map((pick) => pick(...points.map(({ value }) => value)))
  const [height, room] = [420, 15]
  // Names stand behind the ends of their lines, and no closer to each other than a line of text is high.
  const step = ((highest ?? 1) / (lowest ?? 1)) ** (room / (height - HEAD - 40))
  const last = Math.max(...sections.map(({ size = 0 }) => size))
  /** @type {{ label: string, size: number, place: number }[]} */
  const ends = []
  const lasting = points.filter(({ size }) => size === last)
  for (const { label, value } of lasting.toSorted((one, other) => one.value - other.value)) {
    ends.push({ label, size: last, place: Math.max(value, (ends.at(-1)?.place ?? 0) * step) })
  }
  return draw(`${sections[0]?.group ?? ''}: ${title}`, (plot) => ({
    ...{ width: 760, height, marginLeft: 64, marginRight: 190, marginTop: HEAD, marginBottom: 40 },
    x: {
      ...{ type: 'log', base: 4, label: null, ticks: sections.map(({ size = 0 }) => size) },
      tickFormat: (/** @type {number} */ size) => points.find((point) => point.size === size)?.sizeName ?? '',
    },
    y: { type: 'log', label: null, tickFormat: (/** @type {number} */ value) => format(value, unit) },
    color: { type: 'categorical', domain: lines, scheme: 'observable10' },
    marks: [
      plot.gridY({ strokeOpacity: 0.15 }),
      plot.text([title], { frameAnchor: 'top-left', dx: -48, dy: -28, fontSize: 15, fontWeight: 650 }),
      ...[true, false].map((own) =>
        plot.line(
          points.filter(({ family }) => (family === 'netpoll') === own),
          {
            ...{ x: 'size', y: 'value', stroke: 'label', z: 'label', strokeWidth: own ? 2.5 : 1.5 },
            ...(own ? {} : { strokeDasharray: '5 3' }),
          },
        ),
      ),
      plot.dot(points, {
        ...{ x: 'size', y: 'value', fill: 'label', r: 2.5 },
        title: (/** @type {(typeof points)[number]} */ { label, sizeName, value }) =>
          `${label}, ${sizeName}: ${format(value, unit)}`,
      }),
      plot.text(ends, { x: 'size', y: 'place', text: 'label', fill: 'label', textAnchor: 'start', dx: 8 }),
    ],
  }))
}
