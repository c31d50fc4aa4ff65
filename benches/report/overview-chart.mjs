// The chart of the README: the pool and multiplexing, side by side.

import { barChart } from './bar-chart.mjs'
import { label, moved } from './svg.mjs'

/** @typedef {import('../questions/section.mjs').Section} Section */

const PANEL = 480
const HEAD = 58
const FOOT = 30

const PLAIN = ['netpoll', 'node', 'bun', 'goNet', 'goNetpoll', 'gnet', 'evio', 'netty', 'tokio', 'bare']
/** With the batching by hand that makes the difference there. */
const MULTIPLEXED = [
  ...['netpoll', 'node', 'nodeCorked', 'bun', 'bunBatched', 'goNet', 'goNetBatched', 'goNetpollMux'],
  ...['gnet', 'evio', 'netty', 'tokio', 'bare'],
]

/**
 * @param {object} results
 * @param {readonly Section[]} results.sections
 * @param {string} results.machine
 * @param {string} results.date
 * @returns {import('./svg.mjs').Drawing | undefined} Nothing where the two were not measured.
 */
export function overviewChart({ sections, machine, date }) {
  const pool = sections.find(({ id }) => id === 'pool-100')
  const mux = sections.find(({ id }) => id === 'mux-100')
  if (pool === undefined || mux === undefined) return undefined
  const panels = [
    barChart(pool, { key: 'rate', title: '100 connections × 1', better: 'more', width: PANEL, peers: PLAIN }),
    barChart(mux, {
      key: 'rate',
      title: '4 connections × 25',
      better: 'more',
      width: PANEL,
      peers: MULTIPLEXED,
    }),
  ]
  const width = 2 * PANEL
  const height = HEAD + Math.max(...panels.map((panel) => panel.height)) + FOOT
  const title = 'Requests per second, 1 KiB each way, server on one core'
  const heading =
    label(title, { x: 16, y: 30, class: 'title' }) +
    label('Every server makes each reply anew; lines on bars are lowest and highest round.', {
      ...{ x: 16, y: 50, class: 'note' },
    })
  const foot = label(`${machine.split(';')[0]}; ${date}`, { x: 16, y: height - 12, class: 'note' })
  const drawn = panels.map(({ content }, index) => moved(content, index * PANEL, HEAD))
  return { title, width, height, content: heading + drawn.join('') + foot }
}
