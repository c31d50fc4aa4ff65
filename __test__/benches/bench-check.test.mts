import test from 'ava'

import { benchModule } from '../support/benches.mjs'

interface Measured {
  readonly name: string
  readonly value: number
  readonly spread: number
}

const { judge, exitCodeOf } = await benchModule<{
  judge(
    measured: Measured,
    expectation: { readonly value: number; readonly tolerance: number } | undefined,
    better: 'more' | 'less',
  ): string
  exitCodeOf(verdicts: readonly string[]): number
}>('check/verdicts.mjs')
const { collectedIn } = await benchModule<{ collectedIn(output: string): number | undefined }>(
  'check/instructions.mjs',
)

const measured = (value: number, spread = 0): Measured => ({ name: 'a', value, spread })
const expectation = { value: 100, tolerance: 0.1 }

test('a figure within its tolerance is as expected, whichever way is better', (t) => {
  for (const better of ['more', 'less'] as const) {
    for (const value of [91, 100, 109]) t.is(judge(measured(value), expectation, better), 'as expected')
  }
})

test('a figure beyond its tolerance is worse or better', (t) => {
  t.is(judge(measured(89), expectation, 'more'), 'WORSE')
  t.is(judge(measured(111), expectation, 'more'), 'better: expect more')
  t.is(judge(measured(111), expectation, 'less'), 'WORSE')
  t.is(judge(measured(89), expectation, 'less'), 'better: expect more')
})

test('rounds that differ by more than the tolerance tell nothing', (t) => {
  t.is(judge(measured(50, 0.11), expectation, 'more'), 'too noisy')
  t.is(judge(measured(Number.NaN, Number.NaN), expectation, 'more'), 'too noisy')
})

test('what is new is not expected yet', (t) => {
  t.is(judge(measured(1), undefined, 'more'), 'not expected yet')
})

test('only what became worse fails the check', (t) => {
  t.is(exitCodeOf(['as expected', 'too noisy', 'not expected yet', 'better: expect more']), 0)
  t.is(exitCodeOf(['as expected', 'WORSE']), 1)
})

test('the count is found in what callgrind prints', (t) => {
  t.is(collectedIn('==1== \n==1== Events    : Ir\n==1== Collected : 12345\n'), 12_345)
  t.is(collectedIn('==1== nothing'), undefined)
})
