import test from 'ava'

import { benchModule, type Claim, rowOf, type Section, sectionOf } from '../support/benches.mjs'

const { claims } = await benchModule<{ claims(sections: readonly Section[]): readonly Claim[] }>(
  'questions/claims.mjs',
)

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
