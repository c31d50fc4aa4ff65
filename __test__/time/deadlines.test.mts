import test from 'ava'

import { Deadlines } from '../../dist/time/deadlines.js'
import { Random } from '../support/random.mjs'

interface Item {
  readonly deadline: number
  isSettled: boolean
}

test('a list of deadlines gives out what is due, the earliest first, whatever was settled meanwhile', (t) => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const source = new Random(seed)
    const next = (bound: number): number => source.below(bound)
    const deadlines = new Deadlines<Item>()
    let waiting: Item[] = []
    const settle = (item: Item): void => {
      item.isSettled = true
      waiting = waiting.filter((other) => other !== item)
      deadlines.settled()
    }
    for (let step = 0; step < 300; step += 1) {
      const kind = next(10)
      if (kind < 6) {
        const item = { deadline: next(50), isSettled: false }
        waiting.push(item)
        deadlines.add(item)
      } else if (kind < 9) {
        const item = waiting[next(waiting.length + 1)]
        if (item !== undefined) settle(item)
      } else {
        const due = next(60) - 5
        const expected = waiting.map(({ deadline }) => deadline).filter((deadline) => deadline <= due)
        const expired: number[] = []
        const rest = deadlines.expire(due, (item) => {
          expired.push(item.deadline)
          settle(item)
        })
        t.deepEqual(
          expired,
          expected.sort((a, b) => a - b),
          `seed ${seed}`,
        )
        t.is(
          rest,
          Math.min(Number.POSITIVE_INFINITY, ...waiting.map(({ deadline }) => deadline)),
          `seed ${seed}`,
        )
      }
    }
  }
})

test('what is settled is let go of before its deadline', (t) => {
  const deadlines = new Deadlines<Item>()
  const stays = { deadline: 1_000_000, isSettled: false }
  deadlines.add(stays)
  const looked: number[] = []
  for (let deadline = 0; deadline < 10_000; deadline += 1) {
    const item = { deadline, isSettled: false }
    deadlines.add(item)
    item.isSettled = true
    deadlines.settled()
    // Whoever is still held is looked at.
    Object.defineProperty(item, 'isSettled', {
      get: () => {
        looked.push(deadline)
        return true
      },
    })
  }
  looked.length = 0
  t.is(
    deadlines.expire(20_000, () => t.fail()),
    stays.deadline,
  )
  t.true(new Set(looked).size <= 64, `${new Set(looked).size} of 10,000 are held`)
})

test('of thousands that are due, a part is given out, the earliest first, and the next deadline is due', (t) => {
  const deadlines = new Deadlines<Item>()
  const count = 5_000
  for (let index = 0; index < count; index += 1) {
    deadlines.add({ deadline: (index * 7_919) % count, isSettled: false })
  }
  const given: number[] = []
  let parts = 0
  for (let next = 0; next < count; parts += 1) {
    const before = given.length
    next = deadlines.expire(count, (item) => {
      given.push(item.deadline)
      item.isSettled = true
      deadlines.settled()
    })
    t.true(given.length - before <= 500, `${given.length - before} at once`)
    t.is(next, given.length < count ? given.length : Number.POSITIVE_INFINITY)
  }
  t.true(parts >= 10)
  t.deepEqual(
    given,
    given.map((_, index) => index),
  )
})
