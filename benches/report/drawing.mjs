// Drawings by Observable Plot, whose document comes from linkedom: both are there to develop, and whoever installs
// netpoll-bench has tables without charts unless they are installed, too.

const found = await Promise.all([import('@observablehq/plot'), import('linkedom')]).catch(() => undefined)

/** Whether charts can be drawn. */
export const canDraw = found !== undefined

/** Fonts that are there anyway: a file that carries everything carries no fonts. */
export const FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

/** By day and by night. */
const COLOURS = /** @type {const} */ ({
  page: ['#f6f7f9', '#0d1117'],
  surface: ['#ffffff', '#151b23'],
  edge: ['#e3e6eb', '#2a313c'],
  ink: ['#14181f', '#e8ecf2'],
  muted: ['#5b6472', '#98a3b3'],
  ours: ['#1f5eff', '#5c8dff'],
  variant: ['#8fb0ff', '#3f66c4'],
  peer: ['#a9b3c1', '#5d6878'],
  ceiling: ['#c9d0da', '#3d4654'],
  good: ['#137a4b', '#4cc38a'],
  bad: ['#b42318', '#ff8077'],
  doubt: ['#8a5a00', '#e0b050'],
})

/** The colours as variables of what a selector finds. @param {string} selector */
export function themes(selector) {
  const [day, night] = [0, 1].map((index) =>
    Object.entries(COLOURS)
      .map(([name, colours]) => `--${name}:${colours[index]}`)
      .join(';'),
  )
  return `${selector}{${day}}@media(prefers-color-scheme:dark){${selector}{${night}}}`
}

/** @typedef {keyof typeof COLOURS} Colour */

/** @param {Colour} name */
export const colour = (name) => `var(--${name})`

/**
 * Which marks stand out: ours do, and what shows the ceiling does not.
 *
 * @param {{ peer: string, family: string }} row
 * @returns {Colour}
 */
export function tone({ peer, family }) {
  if (peer === 'netpoll') return 'ours'
  if (family === 'netpoll') return 'variant'
  return family === 'bare' || family === 'tokio' ? 'ceiling' : 'peer'
}

/**
 * A chart as a file of its own, which follows the reader's theme.
 *
 * @param {string} title For those who cannot see it.
 * @param {(plot: typeof import('@observablehq/plot')) => import('@observablehq/plot').PlotOptions} describe
 */
export function draw(title, describe) {
  if (found === undefined) throw new Error('charts need @observablehq/plot and linkedom')
  const [plot, { parseHTML }] = found
  const { document } = parseHTML('<!doctype html><html><body></body></html>')
  const style = { fontFamily: FONTS, fontSize: '13px', background: colour('surface'), color: colour('ink') }
  const common = { className: 'chart', style, color: { type: /** @type {const} */ ('identity') } }
  const options = { ...common, ...describe(plot), document, ariaLabel: title }
  const svg = plot.plot(options)
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg')
  svg.setAttribute('role', 'img')
  // Plot's own style would have a chart within another take all of its height.
  for (const own of svg.querySelectorAll('style')) own.remove()
  const theme = document.createElement('style')
  theme.textContent = themes('.chart')
  svg.prepend(theme)
  // Without empty lines, which would end it within Markdown, and without digits that nobody sees.
  const text = /** @type {string} */ (svg.outerHTML).replaceAll(/\s*\n\s*/g, ' ')
  return `${text.replaceAll(/\d+\.\d{3,}/g, (digits) => String(Math.round(Number(digits) * 100) / 100))}\n`
}
