import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import test from 'ava'

import {
  benchModule,
  type Claim,
  type Results,
  resultsOf,
  rowOf,
  type Section,
  sectionOf,
  type Unit,
} from '../support/benches.mjs'

const { format } = await benchModule<{ format(value: number | null | undefined, unit: Unit): string }>(
  'runner/format.mjs',
)
const { markdownTable, sectionMarkdown, sectionsMarkdown, claimsMarkdown } = await benchModule<{
  markdownTable(header: readonly string[], rows: readonly (readonly string[])[], texts?: number): string
  sectionMarkdown(section: Section): string
  sectionsMarkdown(sections: readonly Section[]): string
  claimsMarkdown(claims: readonly Claim[]): string
}>('report/markdown.mjs')
const { sectionText } = await benchModule<{ sectionText(section: Section): string }>('report/text.mjs')
const { fill, merge, updateDocuments } = await benchModule<{
  fill(document: string, name: string, text: string): string
  merge(before: Results, now: Results): Results
  updateDocuments(results: Results, folder: string, others?: 'kept' | 'gone'): Promise<readonly string[]>
}>('report/documents.mjs')
const { resultsText, writeResults } = await benchModule<{
  resultsText(results: Results): string
  writeResults(results: Results, folder: string): Promise<void>
}>('report/files.mjs')

const pool = sectionOf('pool-100', [
  rowOf('netpoll', [95_000, 96_000, 97_000], { spread: 0.02, remark: 'server (server 99 %, client 80 %)' }),
  rowOf('node', [], { label: 'a|b', remark: 'failed' }),
])

test('figures have units that fit them', (t) => {
  t.is(format(1_234_567.8, 'rate'), '1,234,568')
  t.is(format(9.876, 'microseconds'), '9.88 µs')
  t.is(format(98.76, 'microseconds'), '98.8 µs')
  t.is(format(9_876, 'microseconds'), '9,876 µs')
  t.is(format(98_765, 'microseconds'), '98.8 ms')
  t.is(format(500, 'bytes'), '500 B')
  t.is(format(5_500, 'bytes'), '5.50 kB')
  t.is(format(55_500_000, 'bytes'), '55.5 MB')
  t.is(format(0.128, 'share'), '13 %')
  t.is(format(1.854, 'ratio'), '1.85')
})

test('what is not known is a dash', (t) => {
  t.is(format(null, 'rate'), '–')
  t.is(format(undefined, 'bytes'), '–')
  t.is(format(Number.NaN, 'microseconds'), '–')
})

test('a Markdown table aligns figures to the right and escapes bars', (t) => {
  t.is(
    markdownTable(['', 'rate', 'remark'], [['a|b', '1', 'x']], 1),
    '|  | rate | remark |\n| --- | ---: | --- |\n| a\\|b | 1 | x |',
  )
})

test('a section in Markdown has its rows and warnings; the subject stands out', (t) => {
  const text = sectionMarkdown({ ...pool, warnings: ['too noisy'] })
  t.true(text.startsWith('### Title of pool-100\n\nAbout it.\n'))
  t.regex(
    text,
    /\| \*\*netpoll\*\* \| 96,000 \| 10.4 µs \|.*\| 2 % \| server \(server 99 %, client 80 %\) \|/,
  )
  t.regex(text, /\| a\\\|b \| – \| – \|.*\| failed \|/)
  t.true(text.endsWith('> too noisy\n'))
})

test('a section without remarks has no column for them', (t) => {
  const text = sectionMarkdown(sectionOf('a', [rowOf('netpoll', [1, 2, 3])]))
  t.false(text.includes('bottleneck'))
})

test('names that look like markup are shown as they are', (t) => {
  const text = sectionMarkdown(
    sectionOf('a', [rowOf('x', [1], { label: '<b> & c' })], { title: 'A <title>', warnings: ['<noisy>'] }),
  )
  for (const shown of ['### A &lt;title&gt;', '| &lt;b&gt; &amp; c |', '> &lt;noisy&gt;'])
    t.true(text.includes(shown), shown)
})

test('sizes are columns of tables', (t) => {
  const text = sectionsMarkdown(
    [64, 256].map((size) =>
      sectionOf(
        `sweep-tcp-${size}`,
        [
          rowOf('netpoll', [1], { values: { cpu: size / 10, toBare: 1.5, peak: 2e6 } }),
          rowOf('filling', [1], { values: { cpu: 0.5 } }),
        ],
        { size, title: `${size} B`, warnings: ['too noisy'] },
      ),
    ),
  )
  t.regex(text, /^## A group\n\nAbout it\.\n\n### Processor time/)
  t.regex(
    text,
    /\| {2}\| 64 B \| 256 B \|\n\| --- \| ---: \| ---: \|\n\| \*\*netpoll\*\* \| 6\.40 µs \| 25\.6 µs \|/,
  )
  t.regex(
    text,
    /### Peak of resident memory\n\n.*\n.*\n\| \*\*netpoll\*\* \| 2\.00 MB \| 2\.00 MB \|\n\| filling \| – \| – \|/,
  )
  // Once for all that say the same.
  t.is(text.split('> too noisy').length, 2)
})

test('what a group has in common is said once', (t) => {
  const run = 'Measured long ago.'
  const group = (...runs: readonly (string | undefined)[]) =>
    sectionsMarkdown(
      runs.map((each, index) => sectionOf(`a${index}`, [], each === undefined ? {} : { run: each })),
    )
  t.regex(group(run, run), /^## A group\n\n> Measured long ago\.\n\n### Title of a0/)
  t.is(group(run, run).split(run).length, 2)
  t.regex(
    group(run, undefined),
    /^## A group\n\n### Title of a0\n[\s\S]*> Measured long ago\.\n[\s\S]*### Title of a1/,
  )
})

test('sections stand under their groups', (t) => {
  const sections = [
    sectionOf('a', [], { group: 'One' }),
    sectionOf('b', [], { group: 'One' }),
    sectionOf('c', [], { group: 'Two' }),
  ]
  t.deepEqual(
    sectionsMarkdown(sections)
      .split('\n')
      .filter((line) => line.startsWith('#')),
    ['## One', '### Title of a', '### Title of b', '## Two', '### Title of c'],
  )
})

test('on the terminal, columns are aligned and warnings follow', (t) => {
  const lines = sectionText({ ...pool, warnings: ['too noisy'] }).split('\n')
  t.is(lines[1], 'A group · Title of pool-100')
  t.is(lines[2]?.indexOf('requests/s'), (lines[3]?.indexOf('96,000') ?? 0) - 4)
  t.is(lines[5], '  warning: too noisy')
})

test('claims are a table with their verdicts', (t) => {
  const claim = { text: 'fast', figure: '2.00 × other', needed: 'at least 1', verdict: 'reached' }
  t.regex(claimsMarkdown([claim]), /\| fast \| 2.00 × other \| at least 1 \| reached \|$/)
})

test('numbers in files have no digits that mean nothing', (t) => {
  const text = resultsText(resultsOf([sectionOf('a', [rowOf('netpoll', [1.23456789])])]))
  t.true(text.includes('1.2346'))
  t.false(text.includes('1.23456'))
})

test('text between marks is replaced, and nothing else', (t) => {
  const document = 'a\n<!-- run: begin -->\nold\n<!-- run: end -->\nb\n'
  const once = fill(document, 'run', 'new')
  t.is(once, 'a\n<!-- run: begin -->\n\nnew\n\n<!-- run: end -->\nb\n')
  t.is(fill(once, 'run', 'new'), once)
  t.throws(() => fill(document, 'other', 'new'), { message: 'the document has no marks for other' })
})

const marks = ['run', 'claims', 'tables']
  .map((name) => `<!-- ${name}: begin -->\n<!-- ${name}: end -->\n`)
  .join('')

test('the documentation gets tables, charts and figures', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'netpoll-docs-'))
  t.teardown(() => rm(folder, { recursive: true }))
  await mkdir(join(folder, 'docs'))
  const readme = join(folder, 'README.md')
  await writeFile(readme, 'a\n<!-- chart: begin -->\nold\n<!-- chart: end -->\nb\n')
  await writeFile(join(folder, 'docs', 'benchmarks.md'), marks)
  const sections = [pool, { ...pool, id: 'mux-100' }, { ...pool, id: 'pool-1000' }]
  await updateDocuments(
    resultsOf(sections, { warnings: ['expect noise'], skipped: ['go: not there'] }),
    folder,
  )
  const text = await readFile(join(folder, 'docs', 'benchmarks.md'), 'utf8')
  t.regex(text, /A machine; pinned; 3 rounds of 1 s each, 2026-01-02\. Node\.js 20\.0\.0\./)
  t.true(text.includes('> expect noise'))
  t.true(text.includes('> skipped: go: not there'))
  t.true(text.includes('### Title of pool-100'))
  const files = await readdir(join(folder, 'docs', 'benchmarks'))
  t.deepEqual(files.toSorted(), [
    'overview.svg',
    'pool-100-latency.svg',
    'pool-1000-rate.svg',
    'results.json',
  ])
  const later = resultsOf([sectionOf('new', [])], { date: '2026-02-03' })
  await updateDocuments(later, folder, 'kept')
  const kept = await readFile(join(folder, 'docs', 'benchmarks.md'), 'utf8')
  t.true(kept.includes('### Title of pool-100') && kept.includes('### Title of new'))
  t.true(kept.includes('> Measured on 2026-01-02'))
  await updateDocuments(later, folder)
  t.false((await readFile(join(folder, 'docs', 'benchmarks.md'), 'utf8')).includes('### Title of pool-100'))
  const shown = /^a\n<!-- chart: begin -->\n\n\[!\[.*overview\.svg.*\n\n<!-- chart: end -->\nb\n$/
  t.regex(await readFile(readme, 'utf8'), shown)
})

test('a table that is measured by itself leaves the others, which say when they were measured', async (t) => {
  const before = resultsOf([pool, sectionOf('mux-100', []), sectionOf('old', [], { run: 'long ago' })])
  const later = { date: '2026-02-03', versions: { 'Node.js': '24.0.0' } }
  const now = resultsOf([sectionOf('mux-100', [rowOf('node', [1])]), sectionOf('new', [])], later)
  const { sections, date, claims } = merge(before, now)
  t.deepEqual(
    sections.map(({ id, run }) => [id, run]),
    [
      ['pool-100', 'Measured on 2026-01-02 with Node.js 20.0.0: 3 rounds of 1 s, A machine; pinned.'],
      ['mux-100', undefined],
      ['old', 'long ago'],
      ['new', undefined],
    ],
  )
  t.is(sections[1]?.rows.length, 1)
  t.is(date, '2026-02-03')
  t.true(claims.length > 0)
  t.true(sectionsMarkdown(sections).includes('> long ago'))
  // The same run once more says nothing.
  t.is(merge(before, resultsOf([pool])).sections[1]?.run, undefined)
})

test('a quick run leaves the README alone', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'netpoll-docs-'))
  t.teardown(() => rm(folder, { recursive: true }))
  await mkdir(join(folder, 'docs'))
  await writeFile(join(folder, 'docs', 'benchmarks.md'), marks)
  const method = { rounds: 1, seconds: 0.2, quick: true }
  // There is no README, and writing to it would be an error.
  await updateDocuments(resultsOf([pool, { ...pool, id: 'mux-100' }], { method }), folder)
  t.regex(await readFile(join(folder, 'docs', 'benchmarks.md'), 'utf8'), /> A quick run/)
})

test('a run leaves figures, tables, a page and charts', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'netpoll-results-'))
  t.teardown(() => rm(folder, { recursive: true }))
  await writeResults(resultsOf([pool]), folder)
  t.deepEqual((await readdir(folder)).toSorted(), ['charts', 'index.html', 'results.json', 'results.md'])
  const charts = ['pool-100-cpu.svg', 'pool-100-latency.svg', 'pool-100-rate.svg']
  t.deepEqual((await readdir(join(folder, 'charts'))).toSorted(), charts)
  const { sections } = JSON.parse(await readFile(join(folder, 'results.json'), 'utf8')) as Results
  t.is(sections[0]?.rows[0]?.values['rate'], 96_000)
})
