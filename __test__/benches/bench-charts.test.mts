import test from 'ava'

import { benchModule, type Results, resultsOf, rowOf, type Section, sectionOf } from '../support/benches.mjs'

interface Drawing {
  readonly title: string
  readonly width: number
  readonly height: number
  readonly content: string
}

const { barChart } = await benchModule<{
  barChart(
    section: Section,
    chart: { key: string; title: string; better: 'more' | 'less'; width?: number; peers?: readonly string[] },
  ): Drawing
}>('report/bar-chart.mjs')
const { latencyChart } = await benchModule<{ latencyChart(section: Section): Drawing }>(
  'report/latency-chart.mjs',
)
const { overviewChart } = await benchModule<{ overviewChart(results: Results): Drawing | undefined }>(
  'report/overview-chart.mjs',
)
const { chartsOf } = await benchModule<{ chartsOf(section: Section): readonly { name: string }[] }>(
  'report/charts.mjs',
)
const { asFile } = await benchModule<{ asFile(drawing: Drawing): string }>('report/svg.mjs')
const { page } = await benchModule<{ page(results: Results): string }>('report/page.mjs')

const section = sectionOf('pool-100', [
  rowOf('node', [40, 50, 60], { label: 'node & <net>' }),
  rowOf('netpoll', [90, 100, 110]),
  rowOf('netpollStream', [80, 80, 80], { family: 'netpoll' }),
  rowOf('bare', [115, 120, 125]),
  rowOf('gone', []),
])
const rate = { key: 'rate', title: 'Requests', better: 'more' } as const

/** The numbers of an attribute of all elements of a kind, in their order. */
const numbers = (drawing: Drawing, kind: RegExp, attribute: string): readonly number[] =>
  [...drawing.content.matchAll(kind)].map(([element]) =>
    Number(new RegExp(`\\b${attribute}="([^"]+)"`).exec(element)?.[1]),
  )
const bars = /<rect class="bar [^>]+>/g
const names = (drawing: Drawing): readonly string[] =>
  [...drawing.content.matchAll(/<g><title>(.*?):/g)].map(([, name = '']) => name)

/** Whether every element is closed, in the right order. */
function isWellFormed(markup: string): boolean {
  const open: string[] = []
  for (const [, end, name = '', empty] of markup.matchAll(/<(\/?)([a-zA-Z0-9]+)(?:\s[^<>]*?)?(\/?)>/g)) {
    if (empty === '/') continue
    if (end === '') open.push(name)
    else if (open.pop() !== name) return false
  }
  return open.length === 0
}

test('bars are in order, best first, and as long as their figures', (t) => {
  const drawing = barChart(section, rate)
  t.deepEqual(names(drawing), ['bare', 'netpoll', 'netpollStream', 'node &amp; &lt;net&gt;'])
  const [bare = 0, netpoll = 0, stream = 0, node = 0] = numbers(drawing, bars, 'width')
  t.true(Math.abs(netpoll / bare - 100 / 120) < 0.001)
  t.true(Math.abs(stream / bare - 80 / 120) < 0.001)
  t.true(Math.abs(node / bare - 50 / 120) < 0.001)
})

test('where less is better, the least comes first', (t) => {
  const drawing = barChart(section, { key: 'cpu', title: 'CPU', better: 'less' })
  t.deepEqual(names(drawing).slice(0, 2), ['bare', 'netpoll'])
  const [first = 0, second = 0] = numbers(drawing, bars, 'width')
  t.true(first < second)
})

test('a bar with its longest round and its figure fits into the drawing', (t) => {
  const drawing = barChart(section, { ...rate, width: 400 })
  const ends = numbers(drawing, /<line class="whisker"[^>]+>/g, 'x2')
  t.is(ends.length, 4)
  t.true(Math.max(...ends) <= 400 - 90)
})

test('ours, its variants, peers and ceilings look different', (t) => {
  const looks = [...barChart(section, rate).content.matchAll(/class="bar (\w+)"/g)].map(([, look]) => look)
  t.deepEqual(looks, ['ceiling', 'ours', 'variant', 'peer'])
})

test('a chart may leave peers out', (t) => {
  t.deepEqual(names(barChart(section, { ...rate, peers: ['bare', 'netpoll'] })), ['bare', 'netpoll'])
})

test('latencies grow to the right, on one scale for all', (t) => {
  const drawing = latencyChart(section)
  const p50 = numbers(drawing, /<line class="range[^>]+>/g, 'x1')
  const p999 = numbers(drawing, /<line class="range[^>]+>/g, 'x2')
  t.is(p50.length, 4)
  for (const [index, start] of p50.entries()) t.true(start < (p999[index] ?? 0))
  t.deepEqual(
    p50,
    p50.toSorted((one, other) => one - other),
  )
  t.true(Math.max(...p999) <= drawing.width)
})

test('charts of sections without any figure are empty and no error', (t) => {
  const empty = sectionOf('empty', [rowOf('gone', [])])
  t.true(isWellFormed(asFile(barChart(empty, rate))))
  t.true(isWellFormed(asFile(latencyChart(empty))))
})

test('a file is whole by itself and well formed', (t) => {
  for (const drawing of [barChart(section, rate), latencyChart(section)]) {
    const file = asFile(drawing)
    t.true(isWellFormed(file))
    t.true(file.startsWith('<svg xmlns="http://www.w3.org/2000/svg"'))
    t.true(file.includes('prefers-color-scheme:dark'))
  }
})

test('the overview shows both loads, or nothing', (t) => {
  t.is(overviewChart(resultsOf([section])), undefined)
  const drawing = overviewChart(resultsOf([section, { ...section, id: 'mux-100' }]))
  t.is(names(drawing ?? { title: '', width: 0, height: 0, content: '' }).length, 6)
})

test('at half load the rate that was asked for is no chart', (t) => {
  const asked = { key: 'asked', label: 'asked/s', unit: 'rate' } as const
  const chartNames = (columns: Section['columns']) =>
    chartsOf({ ...section, columns }).map(({ name }) => name)
  t.deepEqual(chartNames(section.columns), ['rate', 'latency', 'cpu'])
  t.deepEqual(chartNames([...section.columns, asked]), ['cpu', 'latency'])
})

test('the page shows all sections and needs nothing from elsewhere', (t) => {
  const sections = [section, { ...section, id: 'mux-100', group: 'Another <group>', warnings: ['too noisy'] }]
  const text = page(resultsOf(sections, { problems: ['it broke'], warnings: ['expect noise'] }))
  t.true(isWellFormed(text.replace('<!doctype html>', '').replaceAll(/<(meta|input)[^>]*>/g, '')))
  for (const expected of [
    'Another &lt;group&gt;',
    'too noisy',
    'expect noise',
    'it broke',
    'node &amp; &lt;net&gt;',
  ]) {
    t.true(text.includes(expected), expected)
  }
  t.notRegex(text, /<script|src=|href="(?!#)|url\(|@import/)
})
