// The files of a run: figures for programs, tables and charts for people.

import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { print } from '../runner/progress.mjs'
import { chartsOf, chartsOfGroup } from './charts.mjs'
import { canDraw } from './drawing.mjs'
import { claimsMarkdown, groupsOf, sectionsMarkdown } from './markdown.mjs'
import { overviewChart } from './overview.mjs'
import { page } from './page.mjs'

/** More digits than any of these figures is worth. */
const DIGITS = 5

/** Results as JSON, without digits that mean nothing. @param {Results} results */
export const resultsText = (results) => `${JSON.stringify(results, round, 1)}\n`

/** @param {string} _key @param {unknown} value */
const round = (_key, value) => (typeof value === 'number' ? Number(value.toPrecision(DIGITS)) : value)

/**
 * All charts, by the name of their file.
 *
 * @param {Results} results
 * @returns {readonly { name: string, svg: string }[]}
 */
export function allCharts(results) {
  const overview = overviewChart(results)
  return [
    ...(overview === undefined ? [] : [{ name: 'overview', svg: overview }]),
    ...groupsOf(results.sections).flatMap(({ members }) => chartsOfGroup(members)),
    ...results.sections.flatMap((section) =>
      chartsOf(section).map(({ name, svg }) => ({ name: `${section.id}-${name}`, svg })),
    ),
  ]
}

/**
 * Writes `results.json`, `results.md`, and, where charts can be drawn, `index.html` and a file in `charts` for each.
 *
 * @param {Results} results
 * @param {string} folder
 */
export async function writeResults(results, folder) {
  const charts = join(folder, 'charts')
  await rm(charts, { recursive: true, force: true })
  await mkdir(charts, { recursive: true })
  await writeFile(join(folder, 'results.json'), resultsText(results))
  const markdown = `${claimsMarkdown(results.claims)}\n\n${sectionsMarkdown(results.sections)}`
  await writeFile(join(folder, 'results.md'), markdown)
  if (!canDraw) {
    print('no charts: they need @observablehq/plot, linkedom and marked')
    return
  }
  await writeFile(join(folder, 'index.html'), await page(results))
  for (const { name, svg } of allCharts(results)) await writeFile(join(charts, `${name}.svg`), svg)
}
