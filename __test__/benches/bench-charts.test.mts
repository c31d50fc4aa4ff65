import test from 'ava'

import { benchModule, type Results, resultsOf, rowOf, type Section, sectionOf } from '../support/benches.mjs'

const { barChart, chartsOf, chartsOfGroup, latencyChart, sizesChart } = await benchModule<{
  barChart(
    section: Section,
    chart: { key: string; title: string; better: 'more' | 'less'; width?: number; peers?: readonly string[] },
  ): string
  chartsOf(section: Section): readonly { name: string; svg: string }[]
  chartsOfGroup(sections: readonly Section[]): readonly { name: string; svg: string }[]
  latencyChart(section: Section): string
  sizesChart(sections: readonly Section[], key: string, title: string): string
}>('report/charts.mjs')
const { overviewChart } = await benchModule<{ overviewChart(results: Results): string | undefined }>(
  'report/overview.mjs',
)
const { page } = await benchModule<{ page(results: Results): Promise<string> }>('report/page.mjs')

const section = sectionOf('pool-100', [
  rowOf('node', [40, 50, 60], { label: 'node & <net>' }),
  rowOf('netpoll', [90, 100, 110]),
  rowOf('netpollStream', [80, 80, 80], { family: 'netpoll' }),
  rowOf('bare', [115, 120, 125]),
  rowOf('gone', []),
])
const rate = { key: 'rate', title: 'Requests', better: 'more' } as const

/** The numbers of an attribute of all elements of a kind, in their order. */
const numbers = (drawing: string, kind: RegExp, attribute: string): readonly number[] =>
  [...drawing.matchAll(kind)].map(([element]) =>
    Number(new RegExp(`\\b${attribute}="([^"]+)"`).exec(element)?.[1]),
  )
const bars = /<rect [^>]+>/g
const names = (drawing: string): readonly string[] =>
  [...drawing.matchAll(/<title>(.*?):/g)].map(([, name = '']) => name)
/** The lines in a group of marks. */
const linesOf = (drawing: string, group: string): string =>
  new RegExp(`<g [^>]*class="${group}"[^>]*>.*?</g>`).exec(drawing)?.[0] ?? ''
const lines = /<line [^>]+>/g

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
  const ends = numbers(linesOf(drawing, 'rounds'), lines, 'x2')
  // Rounds that are all alike need no line.
  t.is(ends.length, 3)
  t.true(Math.max(...ends) <= 400 - 90)
})

test('ours, its variants, peers and ceilings look different', (t) => {
  const looks = [...barChart(section, rate).matchAll(/<rect [^>]*fill="var\(--(\w+)\)"/g)].map(
    ([, look]) => look,
  )
  t.deepEqual(looks, ['ceiling', 'ours', 'variant', 'peer'])
})

test('a chart may leave peers out', (t) => {
  t.deepEqual(names(barChart(section, { ...rate, peers: ['bare', 'netpoll'] })), ['bare', 'netpoll'])
})

test('latencies grow to the right, on one scale for all', (t) => {
  const drawing = latencyChart(section)
  const p50 = numbers(linesOf(drawing, 'ranges'), lines, 'x1')
  const p999 = numbers(linesOf(drawing, 'ranges'), lines, 'x2')
  t.is(p50.length, 4)
  for (const [index, start] of p50.entries()) t.true(start < (p999[index] ?? 0))
  t.deepEqual(
    p50,
    p50.toSorted((one, other) => one - other),
  )
  t.true(Math.max(...p999) <= (numbers(drawing, /<svg [^>]+>/g, 'width')[0] ?? 0))
})

test('charts of sections without any figure are empty and no error', (t) => {
  const empty = sectionOf('empty', [rowOf('gone', [])])
  t.true(isWellFormed(barChart(empty, rate)))
  t.true(isWellFormed(latencyChart(empty)))
})

test('a file is whole by itself and well formed', (t) => {
  const overview = overviewChart(resultsOf([section, { ...section, id: 'mux-100' }])) ?? ''
  for (const file of [barChart(section, rate), latencyChart(section), overview]) {
    t.true(isWellFormed(file))
    t.regex(file, /^<svg [^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"/)
    t.true(file.includes('prefers-color-scheme:dark'))
    // Which would be its height within another, too.
    t.false(file.includes('height: auto'))
  }
})

test('the overview shows both loads, or nothing', (t) => {
  t.is(overviewChart(resultsOf([section])), undefined)
  const drawing = overviewChart(resultsOf([section, { ...section, id: 'mux-100' }]))
  t.is(names(drawing ?? '').length, 6)
})

test('at half load the rate that was asked for is no chart', (t) => {
  const asked = { key: 'asked', label: 'asked/s', unit: 'rate' } as const
  const chartNames = (columns: Section['columns']) =>
    chartsOf({ ...section, columns }).map(({ name }) => name)
  t.deepEqual(chartNames(section.columns), ['rate', 'latency', 'cpu'])
  t.deepEqual(chartNames([...section.columns, asked]), ['cpu', 'latency'])
})

const sized = [64, 256, 1024].map((size) =>
  sectionOf(
    `sweep-tcp-${size}`,
    [
      rowOf('netpoll', [1], { values: { toBare: size / 64, peak: 1e6 } }),
      rowOf('bare', [1], { values: { toBare: 1, peak: 1e5 } }),
      rowOf('filling', [1], { values: { toBare: 0.5, peak: null } }),
    ],
    { size, title: `${size} B` },
  ),
)

test('sections of several sizes have charts together and none of their own', (t) => {
  t.deepEqual(
    chartsOfGroup(sized).map(({ name }) => name),
    ['sweep-tcp-cpu', 'sweep-tcp-peak'],
  )
  for (const each of sized) t.deepEqual(chartsOf(each), [])
  t.deepEqual(chartsOfGroup([section]), [])
  t.deepEqual(chartsOfGroup(sized.slice(0, 1)), [])
})

test('a chart of sizes has a point for each size that is known, and grows to the right', (t) => {
  const drawing = sizesChart(sized, 'toBare', 'CPU')
  t.true(isWellFormed(drawing))
  const points = numbers(drawing, /<circle [^>]+>/g, 'cx')
  t.is(points.length, 9)
  const [first = 0, , , second = 0, , , third = 0] = points
  t.true(first < second && second < third)
  t.true(drawing.includes('<title>netpoll, 256 B: 4.00</title>'))
  t.is(numbers(sizesChart(sized, 'peak', 'Peak'), /<circle [^>]+>/g, 'cx').length, 6)
})

test('the page shows all sections and needs nothing from elsewhere', async (t) => {
  const sections = [section, { ...section, id: 'mux-100', group: 'Another <group>', warnings: ['too noisy'] }]
  const text = await page(
    resultsOf([...sections, ...sized], { problems: ['it broke'], warnings: ['expect noise'] }),
  )
  t.true(isWellFormed(text.replace('<!doctype html>', '').replaceAll(/<(meta|input)[^>]*>/g, '')))
  for (const expected of [
    'Another &lt;group&gt;',
    'too noisy',
    'expect noise',
    'it broke',
    'node &amp; &lt;net&gt;',
    'Peak of resident memory',
  ]) {
    t.true(text.includes(expected), expected)
  }
  t.notRegex(text, /<script|src=|href="(?!#)|url\(|@import/)
})
