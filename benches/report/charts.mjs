// Which charts a section has.

import { barChart } from './bar-chart.mjs'
import { latencyChart } from './latency-chart.mjs'

/** @typedef {import('../questions/section.mjs').Section} Section */

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

/**
 * @param {Section} section
 * @returns {readonly { name: string, drawing: import('./svg.mjs').Drawing }[]}
 */
export function chartsOf(section) {
  const keys = section.columns.map(({ key }) => key)
  const bars = keys.flatMap((key) => {
    const chart = BARS[key]
    if (chart === undefined || isAside(section, key)) return []
    return [{ name: key, drawing: barChart(section, { key, ...chart }) }]
  })
  const hasLatency = ['p50', 'p99', 'p999'].every((key) => keys.includes(key))
  const [first, ...others] = bars
  if (first === undefined || !hasLatency) return bars
  return [first, { name: 'latency', drawing: latencyChart(section) }, ...others]
}

/**
 * At half load the rate was given, and says nothing.
 *
 * @param {Section} section
 * @param {string} key
 */
const isAside = (section, key) => key === 'rate' && section.columns.some((column) => column.key === 'asked')
