// The documentation's part of the results: tables between marks of `docs/benchmarks.md`, its charts, and the
// chart of the README.

import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { claims } from '../questions/claims.mjs'
import { allCharts, resultsText } from './files.mjs'
import { claimsMarkdown, escapeText, sectionsMarkdown } from './markdown.mjs'
import { OVERVIEW } from './overview.mjs'

/** The charts that the text shows. */
const CHARTS = [
  'overview',
  'pool-1000-rate',
  'pool-100-latency',
  'mux-1000-rate',
  'half-pool-100-cpu',
  'idle-memory-each',
  'sweep-tcp-cpu',
  'sweep-tcp-peak',
  'sweep-unix-cpu',
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
 * New results with what was known before of what they do not measure, so that each table can be measured by itself. An
 * older section says when and how it was measured, where that differs.
 *
 * @param {Results} before
 * @param {Results} now
 * @returns {Results}
 */
export function merge(before, now) {
  const [then, today] = [describeRun(before), describeRun(now)]
  const known = before.sections.map((section) => {
    const run = section.run ?? then
    return run === today ? section : { ...section, run }
  })
  const measured = new Map(now.sections.map((section) => [section.id, section]))
  const ids = new Set(known.map(({ id }) => id))
  const kept = known.map((section) => measured.get(section.id) ?? section)
  const sections = [...kept, ...now.sections.filter(({ id }) => !ids.has(id))]
  return { ...now, sections, claims: claims(sections) }
}

/** When and how a run was measured. @param {Results} results */
const describeRun = ({ machine, date, method, versions }) =>
  `Measured on ${date} with Node.js ${versions['Node.js']}: ${method.rounds} rounds of ${method.seconds} s, ${machine.split(',')[0]}.`

/**
 * Updates `docs/benchmarks.md`, the folder `docs/benchmarks` and, unless the run was a quick one, `README.md`;
 * returns what was written.
 *
 * @param {Results} measured
 * @param {string} root
 * @param {'kept' | 'gone'} [others] What becomes of sections that were not measured.
 */
export async function updateDocuments(measured, root, others = 'gone') {
  const path = join(root, 'docs', 'benchmarks.md')
  const folder = join(root, 'docs', 'benchmarks')
  const file = join(folder, 'results.json')
  const isMerged = others === 'kept' && existsSync(file)
  const results = isMerged ? merge(JSON.parse(await readFile(file, 'utf8')), measured) : measured
  await mkdir(folder, { recursive: true })
  let text = await readFile(path, 'utf8')
  text = fill(text, 'run', runMarkdown(results))
  text = fill(text, 'claims', claimsMarkdown(results.claims))
  text = fill(text, 'tables', sectionsMarkdown(results.sections))
  await writeFile(path, text)
  await writeFile(file, resultsText(results))
  const written = [path, file]
  for (const { name, svg } of allCharts(results)) {
    if (!CHARTS.includes(name)) continue
    const chart = join(folder, `${name}.svg`)
    await writeFile(chart, svg)
    written.push(chart)
    if (name === 'overview' && !results.method.quick)
      written.push(await showInReadme(join(root, 'README.md')))
  }
  return written
}

/** @param {string} path */
async function showInReadme(path) {
  const picture = `[![${OVERVIEW}](docs/benchmarks/overview.svg)](docs/benchmarks.md)`
  await writeFile(path, fill(await readFile(path, 'utf8'), 'chart', picture))
  return path
}

/** @param {Results} results */
function runMarkdown({ machine, date, method, versions, warnings, problems, skipped }) {
  const rounds = `${method.rounds} rounds of ${method.seconds} s each`
  const quick = method.quick ? ['A quick run, to see that everything runs: no figure means anything.'] : []
  const told = [...quick, ...warnings, ...problems, ...skipped.map((line) => `skipped: ${line}`)]
  const list = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  const line = `${machine}; ${rounds}, ${date}. ${list.join(', ')}.`
  return [line, ...told.map((warning) => `> ${escapeText(warning)}`)].join('\n\n')
}
