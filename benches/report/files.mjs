// The files of a run: figures for programs, tables and charts for people.

import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { chartsOf } from './charts.mjs'
import { claimsMarkdown, sectionsMarkdown } from './markdown.mjs'
import { overviewChart } from './overview-chart.mjs'
import { page } from './page.mjs'
import { asFile } from './svg.mjs'

/** @typedef {import('../questions/suite.mjs').Results} Results */

/** More digits than any of these figures is worth. */
const DIGITS = 5

/**
 * Results as JSON, without digits that mean nothing.
 *
 * @param {Results} results
 */
export const resultsText = (results) => `${JSON.stringify(results, round, 1)}\n`

/**
 * @param {string} _key
 * @param {unknown} value
 */
const round = (_key, value) => (typeof value === 'number' ? Number(value.toPrecision(DIGITS)) : value)

/**
 * Writes `results.json`, `results.md`, `index.html` and a file in `charts` for each chart.
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
  await writeFile(join(folder, 'index.html'), page(results))
  const overview = overviewChart(results)
  if (overview !== undefined) await writeFile(join(charts, 'overview.svg'), asFile(overview))
  for (const section of results.sections) {
    for (const { name, drawing } of chartsOf(section)) {
      await writeFile(join(charts, `${section.id}-${name}.svg`), asFile(drawing))
    }
  }
}
