import test from 'ava'

import { benchModule, type Row, rowOf } from '../support/benches.mjs'

const { median, spread } = await benchModule<{
  median(values: readonly number[]): number
  spread(values: readonly number[]): number
}>('runner/statistics.mjs')

const { middle, ratioOfRounds, row, warningsAbout } = await benchModule<{
  middle<Round>(rounds: readonly Round[], pick: (round: Round) => number | null | undefined): number | null
  ratioOfRounds(one: Row | undefined, other: Row | undefined): number | null
  row(
    peer: { peer: string; label: string; family: string },
    rounds: readonly number[],
    values: Readonly<Record<string, number | null>>,
    remark?: string,
  ): Row
  warningsAbout(rows: readonly Row[], measured?: 'server' | 'client'): readonly string[]
}>('questions/section.mjs')

const { busySide } = await benchModule<{ busySide(server: number, client: number): string }>(
  'runner/rounds.mjs',
)

const { Latencies } = await benchModule<{
  Latencies: new () => {
    add(milliseconds: number): void
    summary(): Readonly<Record<'mean' | 'p50' | 'p90' | 'p99' | 'p999' | 'max', number>>
  }
}>('clients/latencies.mjs')

const named = { peer: 'a', label: 'A', family: 'a' }

test('the median is the middle value, or the mean of the two in the middle', (t) => {
  t.is(median([9, 1, 5]), 5)
  t.is(median([9, 1, 5, 7]), 6)
  t.is(median([]), Number.NaN)
})

test('the spread is the distance of lowest and highest as a part of the median', (t) => {
  t.is(spread([90, 100, 120]), 0.3)
  t.is(spread([]), Number.NaN)
})

test('what no round knows is null, and no number', (t) => {
  t.is(
    middle([{ value: 3 }, { value: 1 }, { value: 2 }], ({ value }) => value),
    2,
  )
  t.is(
    middle([{ value: null }], ({ value }) => value),
    null,
  )
  t.is(
    middle([], () => 1),
    null,
  )
})

test('a row without rounds has no spread', (t) => {
  t.is(row(named, [], {}).spread, 0)
  t.is(row(named, [90, 100, 110], {}).spread, 0.2)
})

test('a ratio is the median of the ratios of rounds, so that drift of the machine cancels out', (t) => {
  const [one, other] = [rowOf('one', [200, 100, 50]), rowOf('other', [100, 50, 25])]
  t.is(ratioOfRounds(one, other), 2)
  t.is(ratioOfRounds(one, rowOf('fewer', [100])), 2)
  t.is(ratioOfRounds(one, rowOf('none', [])), null)
  t.is(ratioOfRounds(undefined, other), null)
})

test('rounds that differ too much, and a bottleneck on the wrong side, are warned of', (t) => {
  const quiet = rowOf('quiet', [100], { spread: 0.15, remark: 'server (server 99 %, client 50 %)' })
  const noisy = rowOf('noisy', [100], { spread: 0.16 })
  const bound = rowOf('bound', [100], { remark: 'client (server 60 %, client 99 %)' })
  t.deepEqual(warningsAbout([quiet]), [])
  t.regex(warningsAbout([quiet, noisy])[0] ?? '', /differ by more than 15 %: noisy$/)
  t.regex(warningsAbout([quiet, bound])[0] ?? '', /^the client was the bottleneck.*: bound$/)
  t.regex(warningsAbout([quiet, bound], 'client')[0] ?? '', /^the server was the bottleneck.*: quiet$/)
})

test('the side that had no processor time left is the bottleneck', (t) => {
  t.is(busySide(0.95, 0.5), 'server')
  t.is(busySide(0.5, 0.95), 'client')
  t.is(busySide(0.95, 0.95), 'both')
  t.is(busySide(0.5, 0.5), 'neither')
  t.is(busySide(Number.NaN, 0.95), 'neither')
})

test('quantiles of latencies are right to two percent', (t) => {
  const latencies = new Latencies()
  for (let count = 1; count <= 1000; count += 1) latencies.add(count / 1000)
  const { mean, p50, p90, p99, p999, max } = latencies.summary()
  t.is(Math.round(mean), 501)
  for (const [figure, expected] of [
    [p50, 500],
    [p90, 900],
    [p99, 990],
    [p999, 999],
  ] as const) {
    t.true(Math.abs(figure / expected - 1) < 0.02, `${figure} for ${expected}`)
  }
  t.is(Math.round(max), 1000)
})

test('no latencies have no quantiles', (t) => {
  t.deepEqual(new Latencies().summary(), { mean: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0 })
})
