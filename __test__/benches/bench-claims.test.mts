import test from 'ava'

import { benchModule, type Claim, rowOf, type Section, sectionOf } from '../support/benches.mjs'

const { claims } = await benchModule<{
  claims(sections: readonly Section[], scope?: string): readonly Claim[]
}>('questions/claims.mjs')

const find = (sections: readonly Section[], start: string): Claim => {
  const claim = claims(sections).find(({ text }) => text.startsWith(start))
  if (claim === undefined) throw new Error(`there is no claim ${start}`)
  return claim
}

const pool = (own: number): Section =>
  sectionOf('pool-100', [
    rowOf('netpoll', [own, own, own]),
    rowOf('node', [50, 50, 50]),
    rowOf('goNet', [90, 90, 90]),
    rowOf('bare', [100, 100, 100]),
  ])

test('what was not measured is not judged', (t) => {
  t.true(claims([]).length > 20)
  t.deepEqual([...new Set(claims([]).map(({ verdict }) => verdict))], ['not measured'])
})

test('being ahead of every peer is being ahead of the best', (t) => {
  const claim = find([pool(95)], 'Scenario 1, 100: throughput, to the fastest')
  t.deepEqual([claim.figure, claim.verdict], ['1.06 × goNet', 'reached'])
  t.is(find([pool(80)], 'Scenario 1, 100: throughput, to the fastest').verdict, 'NOT REACHED')
})

test('less processor time is better', (t) => {
  t.is(find([pool(95)], 'Scenario 1, 100: CPU').verdict, 'reached')
  t.is(find([pool(80)], 'Scenario 1, 100: CPU').verdict, 'NOT REACHED')
})

test('the bare loop may be a little ahead', (t) => {
  t.is(find([pool(85)], 'Scenario 1, 100: throughput, to the bare').verdict, 'reached')
  t.is(find([pool(84)], 'Scenario 1, 100: throughput, to the bare').verdict, 'NOT REACHED')
})

test('scenario 2 is held to scenario 1', (t) => {
  const idle = (alone: number): Section =>
    sectionOf('idle-100', [rowOf('netpoll', [89, 89, 89]), rowOf('netpollAlone', [alone, alone, alone])])
  const claim = find([idle(100)], 'Scenario 2, 100')
  t.deepEqual([claim.figure, claim.verdict], ['0.89 × no idle ones', 'NOT REACHED'])
  t.is(find([idle(95)], 'Scenario 2, 100').verdict, 'reached')
})

test('nothing is concluded from rounds that do not agree', (t) => {
  const verdict = (...rounds: readonly number[]): string => {
    const section = sectionOf('pool-100', [
      rowOf('netpoll', rounds),
      rowOf(
        'goNet',
        rounds.map(() => 10),
      ),
    ])
    return find([section], 'Scenario 1, 100: throughput, to the fastest').verdict
  }
  t.is(verdict(11, 9, 12, 13, 14), 'reached')
  t.is(verdict(11, 9, 12, 13, 9), 'too close')
  t.is(verdict(11, 9, 9, 13, 9), 'too close')
  t.is(verdict(9, 9, 9, 13, 9), 'NOT REACHED')
})

test('rounds are compared with those of the same time', (t) => {
  const section = sectionOf('pool-100', [rowOf('netpoll', [20, 11, 5]), rowOf('goNet', [19, 10, 4])])
  const claim = find([section], 'Scenario 1, 100: throughput, to the fastest')
  t.deepEqual([claim.figure, claim.verdict], ['1.10 × goNet', 'reached'])
})

test('workers are compared with one thread', (t) => {
  const hot = sectionOf('scaling-hot', [rowOf('netpoll', [10, 10]), rowOf('netpollWorkers', [19, 19])])
  const claim = find([hot], 'One hot connection')
  t.deepEqual([claim.figure, claim.verdict], ['1.90 × one thread', 'reached'])
})

/** A size of the sweep, with what each server needs for a request in each of three rounds. */
const sized = (size: number, costs: Readonly<Record<string, readonly number[]>>): Section =>
  sectionOf(
    `sweep-tcp-${size}`,
    Object.entries(costs).map(([peer, cpuRounds]) => rowOf(peer, cpuRounds, { cpuRounds })),
    { title: `${size} B`, size },
  )

test('where a goal goes beyond what is needed, both are told apart', (t) => {
  const verdict = (cost: number) =>
    find([sized(4096, { netpollAllocate: [cost, cost, cost], bare: [10, 10, 10] })], '4 KiB: CPU').verdict
  t.is(verdict(13), 'goal reached')
  t.is(verdict(14), 'reached')
  t.is(verdict(17), 'NOT REACHED')
  const { needed } = find([sized(4096, {})], '4 KiB: CPU')
  t.is(needed, 'at most 1.6, goal 1.3')
})

test('a new Buffer is held to the bare loop with what V8 itself takes', (t) => {
  const section = sized(32768, { netpoll: [40, 50, 60], bare: [20, 25, 30], filling: [12, 15, 18] })
  const claim = find([section], '32 KiB: CPU per request, new Buffer')
  t.deepEqual([claim.figure, claim.verdict], ['1.25 × bare loop with allocUnsafe and filling', 'reached'])
})

test('the steps between sizes are judged by the largest rise', (t) => {
  const section = (size: number, cost: number) =>
    sized(size, { netpollAllocate: [cost, cost, cost], bare: [10, 10, 10] })
  const steps = (...costs: readonly number[]) =>
    find(
      costs.map((cost, index) => section(64 * 4 ** index, cost)),
      'Sizes by powers of four, allocate',
    )
  t.deepEqual([steps(11, 14, 12).figure, steps(11, 14, 12).verdict], ['0.30 at 256 B', 'reached'])
  t.deepEqual([steps(11, 12, 17).figure, steps(11, 12, 17).verdict], ['0.50 at 1024 B', 'NOT REACHED'])
  t.is(steps(11).verdict, 'not measured')
})

test('of the forms of our handler the best counts', (t) => {
  const rows = (forms: Readonly<Record<string, number>>) =>
    Object.entries({ ...forms, bare: 1 }).map(([peer, cost]) =>
      rowOf(peer, [cost, cost], { cpuRounds: [cost, cost] }),
    )
  const judge = (forms: Readonly<Record<string, number>>) =>
    find([sectionOf('tcp-4x64', rows(forms))], 'TCP 4 × 64, best form: CPU per request, to the bare loop')
  t.deepEqual([judge({ netpoll: 3 }).figure, judge({ netpoll: 3 }).verdict], ['3.00 × bare', 'NOT REACHED'])
  const both = judge({ netpoll: 3, netpollByReference: 1.5 })
  t.deepEqual([both.figure, both.verdict], ['1.50 × bare', 'reached'])
})

test('a figure of its own is judged as it is printed', (t) => {
  const columns = [
    { key: 'growth', label: 'last ÷ second', unit: 'ratio' },
    { key: 'peak', label: 'peak', unit: 'bytes' },
  ] as const
  const growth = (peak: number) =>
    sectionOf('growth', [rowOf('large', [1.05], { values: { growth: 1.05, peak } })], { columns })
  const claim = find([growth(140e6)], 'Replies of 32 KiB: peak')
  t.deepEqual([claim.figure, claim.needed, claim.verdict], ['140 MB', 'at most 150 MB', 'reached'])
  t.is(find([growth(160e6)], 'Replies of 32 KiB: peak').verdict, 'NOT REACHED')
  t.is(find([growth(160e6)], 'Replies of 32 KiB: memory').verdict, 'reached')
})

test('a build is compared with the one before', (t) => {
  const calls = sectionOf('client-mux-32k', [
    rowOf('netpoll', [10, 10], { cpuRounds: [7, 7] }),
    rowOf('netpollBefore', [10, 10], { cpuRounds: [10, 10] }),
  ])
  const claim = find([calls], 'Calls of 32 KiB, Mux')
  t.deepEqual([claim.figure, claim.verdict], ['0.70 × netpollBefore', 'reached'])
})

test('the short run claims nothing about the best of peers that it leaves out', (t) => {
  const texts = claims([pool(95)], 'short').map(({ text }) => text)
  t.false(texts.some((text) => text.includes('garbage-collected')))
  t.true(texts.includes('Scenario 1, 100: throughput, to the bare loop'))
})
