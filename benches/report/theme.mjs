// The colours and letters of charts and page, by day and by night.

/** Fonts that are there anyway: a page that carries everything carries no fonts. */
export const FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

const LIGHT = {
  page: '#f6f7f9',
  surface: '#ffffff',
  edge: '#e3e6eb',
  ink: '#14181f',
  muted: '#5b6472',
  grid: '#e6e9ee',
  ours: '#1f5eff',
  variant: '#8fb0ff',
  peer: '#a9b3c1',
  ceiling: '#c9d0da',
  good: '#137a4b',
  bad: '#b42318',
  doubt: '#8a5a00',
}

/** @type {typeof LIGHT} */
const DARK = {
  page: '#0d1117',
  surface: '#151b23',
  edge: '#2a313c',
  ink: '#e8ecf2',
  muted: '#98a3b3',
  grid: '#262d38',
  ours: '#5c8dff',
  variant: '#3f66c4',
  peer: '#5d6878',
  ceiling: '#3d4654',
  good: '#4cc38a',
  bad: '#ff8077',
  doubt: '#e0b050',
}

/** @param {typeof LIGHT} colours */
const variables = (colours) =>
  Object.entries(colours)
    .map(([name, colour]) => `--${name}:${colour}`)
    .join(';')

/**
 * The variables of both themes, for the elements that a selector finds.
 *
 * @param {string} selector
 */
export const themes = (selector) =>
  `${selector}{${variables(LIGHT)}}@media(prefers-color-scheme:dark){${selector}{${variables(DARK)}}}`

/** How the parts of a chart look. */
export const CHART_STYLE = `
.chart{font-family:${FONTS};font-size:13px;fill:var(--ink)}
.chart .title{font-size:15px;font-weight:650}
.chart .note,.chart .tick{fill:var(--muted);font-size:12px}
.chart .value{fill:var(--muted);font-variant-numeric:tabular-nums}
.chart .own{font-weight:650;fill:var(--ink)}
.chart .ours{fill:var(--ours)}.chart .variant{fill:var(--variant)}
.chart .peer,.chart .ceiling{fill:var(--peer)}
.chart .bar.ceiling{fill:var(--ceiling);stroke:var(--peer);stroke-dasharray:3 2}
.chart .whisker{stroke:var(--ink);stroke-opacity:.45;stroke-width:1.5}
.chart .base{stroke:var(--muted);stroke-opacity:.5}.chart .grid{stroke:var(--grid)}
.chart .range{stroke-width:3;stroke-linecap:round;stroke:var(--peer);stroke-opacity:.55}
.chart .range.ours{stroke:var(--ours)}.chart .range.variant{stroke:var(--variant)}
.chart .hollow{fill:var(--surface);stroke-width:2;stroke:var(--peer)}
.chart .hollow.ours{stroke:var(--ours)}.chart .hollow.variant{stroke:var(--variant)}
`.replaceAll('\n', '')
