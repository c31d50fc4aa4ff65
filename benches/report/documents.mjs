// The documentation's part of the results: tables between marks of `docs/benchmarks.md`, its charts, and the
// chart of the README.

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { chartsOf } from './charts.mjs'
import { resultsText } from './files.mjs'
import { claimsMarkdown, sectionsMarkdown } from './markdown.mjs'
import { overviewChart } from './overview-chart.mjs'
import { asFile } from './svg.mjs'

/** @typedef {import('../questions/suite.mjs').Results} Results */

/** The charts that the text shows, by section and name. */
const CHARTS = [
  'pool-1000-rate',
  'pool-100-latency',
  'mux-1000-rate',
  'half-pool-100-cpu',
  'idle-memory-each',
]

/**
 * Puts text between the marks of that name.
 *
 * @param {string} document
 * @param {string} name
 * @param {string} text
 */
export function fill(document, name, text) {
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`]
  const [start, stop] = [document.indexOf(begin), document.indexOf(end)]
  if (start < 0 || stop < start) throw new Error(`the document has no marks for ${name}`)
  return `${document.slice(0, start + begin.length)}\n\n${text.trim()}\n\n${document.slice(stop)}`
}

/**
 * Updates `docs/benchmarks.md`, the folder `docs/benchmarks` and, unless the run was a quick one, `README.md`;
 * returns what was written.
 *
 * @param {Results} results
 * @param {string} root
 */
export async function updateDocuments(results, root) {
  const path = join(root, 'docs', 'benchmarks.md')
  const charts = join(root, 'docs', 'benchmarks')
  await mkdir(charts, { recursive: true })
  let text = await readFile(path, 'utf8')
  text = fill(text, 'run', runMarkdown(results))
  text = fill(text, 'claims', claimsMarkdown(results.claims))
  text = fill(text, 'tables', sectionsMarkdown(results.sections))
  await writeFile(path, text)
  const written = [path]
  /** @type {(name: string, content: string) => Promise<void>} */
  const write = async (name, content) => {
    await writeFile(join(charts, name), content)
    written.push(join(charts, name))
  }
  await write('results.json', resultsText(results))
  const overview = overviewChart(results)
  if (overview !== undefined) {
    await write('overview.svg', asFile(overview))
    if (!results.method.quick) written.push(await showInReadme(overview.title, join(root, 'README.md')))
  }
  for (const section of results.sections) {
    for (const { name, drawing } of chartsOf(section)) {
      const file = `${section.id}-${name}`
      if (CHARTS.includes(file)) await write(`${file}.svg`, asFile(drawing))
    }
  }
  return written
}

/**
 * @param {string} title
 * @param {string} path
 */
async function showInReadme(title, path) {
  const picture = `[![${title}](docs/benchmarks/overview.svg)](docs/benchmarks.md)`
  await writeFile(path, fill(await readFile(path, 'utf8'), 'chart', picture))
  return path
}

/** @param {Results} results */
function runMarkdown({ machine, date, method, versions, warnings, problems, skipped }) {
  const rounds = `${method.rounds} rounds of ${method.seconds} s each`
  const quick = method.quick ? ['A quick run, to see that everything runs: no figure means anything.'] : []
  const told = [...quick, ...warnings, ...problems, ...skipped.map((line) => `skipped: ${line}`)]
  const list = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  return [`${machine}; ${rounds}, ${date}. ${list.join(', ')}.`, ...told.map((line) => `> ${line}`)].join(
    '\n\n',
  )
}
