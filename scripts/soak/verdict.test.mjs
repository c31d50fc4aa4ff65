// What the monitor of a soak lets pass, and what not.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { growthOf, isGap, mayBeGivenUp, partsOf } from './verdict.mjs'

const looks = (count, figures) =>
  Array.from({ length: count }, (_, index) => ({
    chunks: 10,
    descriptors: 40,
    resident: 100 * 2 ** 20,
    ...figures(index),
  }))

test('the second sixth is compared with the last', () => {
  const { first, last } = partsOf([...Array(12).keys()])
  assert.deepEqual(
    [first, last],
    [
      [2, 3],
      [10, 11],
    ],
  )
})

test('what only warms up has not grown', () => {
  const { problems } = growthOf(looks(12, (index) => (index < 2 ? { chunks: 0, resident: 0 } : {})))
  assert.deepEqual(problems, [])
})

test('each figure may exceed its first part by the larger of its limits, and not by more', () => {
  const limits = { chunks: [18, 19], descriptors: [48, 49], resident: [116 * 2 ** 20, 117 * 2 ** 20] }
  for (const [figure, [most, more]] of Object.entries(limits)) {
    const found = (value) => growthOf(looks(18, (index) => (index > 14 ? { [figure]: value } : {}))).problems
    assert.deepEqual(found(most), [])
    assert.equal(found(more).length, 1)
    assert.match(found(more)[0], new RegExp(`^${figure} have grown`))
  }
  const share = (value) =>
    growthOf(looks(12, (index) => ({ chunks: index > 9 ? value : 1_000 }))).problems.length
  assert.deepEqual([share(1_050), share(1_051)], [0, 1])
})

test('resident memory is compared once there are enough looks, and all else from the first', () => {
  const grown = (count) =>
    growthOf(looks(count, (index) => (index === 0 ? {} : { resident: index * 2 ** 30 }))).problems
  assert.deepEqual([grown(12).length, grown(18).length], [0, 1])
})

test('a loop may stand still by itself for a second, and as long as the machine does', () => {
  assert.equal(isGap(900, 0), false)
  assert.equal(isGap(1_100, 0), true)
  assert.equal(isGap(5_900, 5_000), false)
  assert.equal(isGap(6_100, 5_000), true)
})

test('a client that stands still is given up as any other is', () => {
  assert.equal(mayBeGivenUp(2_400), false)
  assert.equal(mayBeGivenUp(2_600), true)
})
