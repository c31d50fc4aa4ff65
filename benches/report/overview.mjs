// The chart of the README: the pool and multiplexing, side by side.

import { barChart } from './charts.mjs'
import { canDraw, colour, FONTS, themes } from './drawing.mjs'
import { escapeText } from './markdown.mjs'
import { FORM_PEERS } from '../runner/peers.mjs'

const PANEL = 480
const HEAD = 58
const FOOT = 30

const OTHERS = ['gnet', 'evio', 'netty', 'tokio', 'bare']
/** The ordinary handler, and what the faster forms reach. */
const PLAIN = [...FORM_PEERS, 'node', 'bun', 'goNet', 'goNetpoll', ...OTHERS]
/** With the batching by hand that makes the difference there. */
const MULTIPLEXED = [
  ...[...FORM_PEERS, 'node', 'nodeCorked', 'bun', 'bunBatched', 'goNet', 'goNetBatched', 'goNetpollMux'],
  ...OTHERS,
]

export const OVERVIEW = 'Requests per second, 1 KiB each way, server on one core'

/**
 * @param {Pick<Results, 'sections' | 'machine' | 'date'>} results
 * @returns {string | undefined} Nothing where the two were not measured.
 */
export function overviewChart({ sections, machine, date }) {
  const [pool, mux] = ['pool-100', 'mux-100'].map((wanted) => sections.find(({ id }) => id === wanted))
  if (!canDraw || pool === undefined || mux === undefined) return undefined
  const panels = [
    { section: pool, title: '100 connections × 1', peers: PLAIN },
    { section: mux, title: '4 connections × 25', peers: MULTIPLEXED },
  ].map(({ section, ...chart }) => barChart(section, { ...chart, key: 'rate', better: 'more', width: PANEL }))
  const tallest = Math.max(...panels.map((panel) => Number(/ height="(\d+)"/.exec(panel)?.[1])))
  const [width, height] = [2 * PANEL, HEAD + tallest + FOOT]
  const foot = pool.run ?? `${machine.split(';')[0]}; ${date}`
  const style = `${themes('.overview')}.overview{background:${colour('surface')};fill:${colour('ink')};font:12px ${FONTS}}`
  const texts = [
    `<text x="16" y="30" font-size="15" font-weight="650">${OVERVIEW}</text>`,
    '<text x="16" y="50">Replies are made anew, but for those by reference; lines reach from the lowest to the highest round.</text>',
    `<text x="16" y="${height - 12}">${escapeText(foot)}</text>`,
  ]
  const placed = panels.map((panel, index) =>
    panel.trim().replace('<svg ', `<svg x="${index * PANEL}" y="${HEAD}" `),
  )
  return `<svg xmlns="http://www.w3.org/2000/svg" class="overview" role="img" aria-label="${OVERVIEW}" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"><style>${style}</style>${texts.join('')}${placed.join('')}</svg>\n`
}
