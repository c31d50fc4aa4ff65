import test from 'ava'

import { consistentHash, leastLoaded, type Node, roundRobin } from '../../dist/cluster/index.mjs'
import { ClusterNode } from '../../dist/cluster/cluster-node.js'
import { Ejection } from '../../dist/cluster/ejection.js'
import { checkEndpoint } from '../../dist/cluster/endpoint.js'
import { hashOf } from '../../dist/cluster/hashing.js'
import { PeakLatency } from '../../dist/cluster/latency.js'
import { RetryBudget } from '../../dist/cluster/retry-budget.js'

/** A node as a balancer sees it. */
function node(name: string, { weight = 1, load = 0 } = {}): Node {
  const endpoint = { address: { path: name }, weight }
  return { endpoint, id: name, hash: hashOf(name), weight, running: 0, latency: 0, load }
}

const nodes = (count: number): readonly Node[] =>
  Array.from({ length: count }, (_, index) => node(`10.0.0.${index}:80`))
const call = { tried: [] }

/** How often each was picked. */
function counts(times: number, pick: (index: number) => Node | undefined): Map<Node | undefined, number> {
  const found = new Map<Node | undefined, number>()
  for (let index = 0; index < times; index += 1) {
    const picked = pick(index)
    found.set(picked, (found.get(picked) ?? 0) + 1)
  }
  return found
}

test('latency follows a slow call at once, and forgets it in time', (t) => {
  const latency = new PeakLatency()
  t.false(latency.isKnown)
  for (const slow of [40, 20, 5, 2]) latency.observe(slow, 0)
  t.false(latency.isKnown)
  latency.observe(1, 0)
  t.true(latency.isKnown)
  latency.observe(100, 1_000)
  t.is(latency.at(1_000), 100)
  t.true(Math.abs(latency.at(11_000) - 100 / Math.E) < 1e-9)
  latency.observe(1, 1_010)
  t.true(latency.at(1_010) > 99 && latency.at(1_010) < 100)
  for (let now = 1_020; now < 61_000; now += 10) latency.observe(1, now)
  t.true(latency.at(61_000) < 1.5)
  latency.forget()
  t.false(latency.isKnown)
})

test('a server that fails at once counts as slow, and slower each time, up to a bound', (t) => {
  const latency = new PeakLatency()
  latency.observe(0.1, 0)
  latency.fail(0.01, 0)
  t.is(latency.at(0), 10)
  latency.fail(0.01, 0)
  t.is(latency.at(0), 100)
  for (let index = 0; index < 10; index += 1) latency.fail(0.01, 0)
  t.is(latency.at(0), 10_000)
  latency.exceed(5, 0)
  t.is(latency.at(0), 10_000)
})

test('a budget allows a share of the calls and some a second, over ten seconds', (t) => {
  const budget = new RetryBudget({ ratio: 0.2, perSecond: 10 })
  const allowed = (now: number): number => {
    let count = 0
    while (count < 10_000 && budget.withdraw(now)) count += 1
    return count
  }
  t.is(allowed(0), 100)
  t.is(allowed(9_999), 0)
  t.is(allowed(10_000), 100)
  for (let index = 0; index < 1_000; index += 1) budget.deposit(15_000)
  t.is(allowed(15_500), 200)
  t.is(allowed(19_999), 0)
  t.is(allowed(20_000), 100)
  t.is(allowed(25_000), 0)
  t.is(allowed(1_000_000), 100)
  t.is(new RetryBudget({ ratio: 0, perSecond: 0 }).withdraw(1), false)
})

test('what is retried never exceeds the budget of any ten seconds', (t) => {
  const budget = new RetryBudget({ ratio: 0.2, perSecond: 10 })
  const retries: number[] = []
  for (let now = 0; now < 60_000; now += 1) {
    budget.deposit(now)
    for (let tries = 0; tries < 2 && budget.withdraw(now); tries += 1) retries.push(now)
  }
  for (let end = 10_000; end <= 60_000; end += 500) {
    const within = retries.filter((at) => at >= end - 9_000 && at < end).length
    t.true(within <= 0.2 * 10_000 + 100, `${within} until ${end}`)
  }
  t.true(retries.length > 0.2 * 50_000)
})

test('five failures in a row eject, for longer each time, until a probe succeeds', (t) => {
  const ejection = new Ejection({ failures: 5, min: 1_000, max: 30_000, share: 0.5 })
  const fail = (count: number, began: number): boolean => {
    let isFailing = false
    for (let index = 0; index < count; index += 1) isFailing = ejection.failed(began)
    return isFailing
  }
  t.false(fail(4, 0))
  t.false(ejection.answered(0, 0))
  t.false(fail(4, 0))
  t.true(fail(1, 0))
  ejection.eject(0)
  t.is(ejection.due, 1_000)
  // Of calls that were made before.
  t.false(fail(100, 0))
  t.false(ejection.answered(0, 500))
  for (const pause of [2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
    const now = ejection.due
    ejection.probe(now)
    t.is(ejection.due, now + 30_000)
    t.true(ejection.failed(now))
    ejection.eject(now)
    t.is(ejection.due, now + pause)
  }
  const now = ejection.due
  ejection.probe(now)
  t.true(ejection.answered(now, now + 1))
  t.false(ejection.isOut)
  // Soon again: the pause goes on from where it was.
  fail(5, now + 2)
  ejection.eject(now + 2)
  t.is(ejection.due, now + 2 + 30_000)
  ejection.probe(ejection.due)
  t.true(ejection.answered(now + 40_000, now + 40_000))
  fail(5, now + 80_000)
  ejection.eject(now + 80_000)
  t.is(ejection.due, now + 81_000)
})

test('the less loaded of two: the slow one of ten gets nothing while others will do', (t) => {
  const all = nodes(10).map((each, index) => ({ ...each, load: index === 3 ? 25 : 1 }))
  const balancer = leastLoaded()
  t.is(counts(10_000, () => balancer.pick(all, call)).get(all[3]), undefined)
})

for (const [title, balancer] of [
  ['leastLoaded', leastLoaded()],
  ['roundRobin', roundRobin()],
  ['consistentHash without keys', consistentHash()],
] as const) {
  test(`each gets its share: ${title}`, (t) => {
    for (const weights of [
      [1, 1, 1],
      [1, 2, 3],
      [1, 100],
      [0.001, 0.002],
      [1, 1, 1, 1, 1, 1, 1, 1, 1, 1_000],
    ]) {
      const all = weights.map((weight, index) => node(`${index}`, { weight }))
      const sum = weights.reduce((left, right) => left + right)
      const found = counts(20_000, () => balancer.pick(all, call))
      for (const one of all) {
        const share = (found.get(one) ?? 0) / 20_000
        t.true(Math.abs(share - one.weight / sum) < 0.06, `${weights}: ${one.weight} has ${share}`)
      }
    }
  })
}

for (const [title, balancer] of [
  ['leastLoaded', leastLoaded()],
  ['roundRobin', roundRobin()],
  ['consistentHash', consistentHash()],
] as const) {
  test(`what was tried is not picked again: ${title}`, (t) => {
    const all = nodes(4)
    for (const key of ['a', undefined]) {
      let tried: readonly Node[] = []
      for (let left = 4; left > 0; left -= 1) {
        const picked = balancer.pick(all, { tried, ...(key !== undefined && { key }) })
        t.true(picked !== undefined && !tried.includes(picked))
        if (picked !== undefined) tried = [...tried, picked]
      }
      t.is(balancer.pick(all, { tried }), undefined)
    }
    t.is(balancer.pick([], call), undefined)
  })
}

const keys = Array.from({ length: 20_000 }, (_, index) => `user-${index}`)

for (const count of [2, 3, 10, 100]) {
  test(`consistent hash: of ${count} servers each has its share of the keys, and only those of one that goes move`, (t) => {
    const all = nodes(count)
    const balancer = consistentHash()
    const others = consistentHash()
    const before = keys.map((key) => balancer.pick(all, { key, tried: [] }))
    const found = counts(keys.length, (index) => before[index])
    for (const one of all) {
      const share = (found.get(one) ?? 0) / keys.length
      t.true(share < 2 / count && share > 0.5 / count, `${one.id} has ${share}`)
    }
    for (const gone of [all[0], all[count - 1]]) {
      const rest = all.filter((one) => one !== gone).toReversed()
      const after = keys.map((key) => others.pick(rest, { key, tried: [] }))
      const moved = after.filter((one, index) => one !== before[index]).length
      t.true(moved <= (2 / count) * keys.length, `${moved} moved`)
      for (const [index, one] of after.entries()) if (before[index] !== gone) t.is(one, before[index])
    }
  })
}

test('consistent hash: keys go by weight', (t) => {
  const all = [1, 2, 7].map((weight, index) => node(`${index}`, { weight }))
  const balancer = consistentHash()
  const found = counts(keys.length, (index) => balancer.pick(all, { key: keys[index] as string, tried: [] }))
  for (const one of all) {
    t.true(Math.abs((found.get(one) ?? 0) / keys.length - one.weight / 10) < 0.02)
  }
})

test('a hash is the same in every process', (t) => {
  t.is(hashOf(''), 2_872_998_923)
  t.not(hashOf('a'), hashOf('b'))
  t.not(hashOf('\u0100'), hashOf('\u0001'))
})

test('a server that has come gets more calls step by step, by its weight', (t) => {
  const moment = { now: 0 }
  const ejection = { failures: 5, min: 1, max: 1, share: 0 }
  const made = (weight: number): ClusterNode =>
    new ClusterNode(checkEndpoint({ address: { path: '/a' }, weight }), moment, 10_000, ejection)
  const old = made(4)
  const young = made(4)
  young.start(0)
  for (const [now, weight] of [
    [0, 0.4],
    [1_000, 0.4],
    [2_500, 1],
    [5_000, 2],
    [10_000, 4],
    [1e9, 4],
  ] as const) {
    moment.now = now
    t.is(young.weight, weight)
    t.is(old.weight, 4)
  }
  moment.now = 1_000
  for (const balancer of [leastLoaded(), roundRobin(), consistentHash()]) {
    const ready = [old, young, made(4), made(4)]
    const share = (counts(20_000, () => balancer.pick(ready, call)).get(young) ?? 0) / 20_000
    t.true(share > 0.01 && share < 0.08, `${share}`)
  }
})

test('of a server that has not answered yet no second answer is awaited where others answer', (t) => {
  const ejection = { failures: 5, min: 1, max: 1, share: 0 }
  const made = (path: string): ClusterNode =>
    new ClusterNode(checkEndpoint({ address: { path } }), { now: 0 }, 0, ejection)
  const [known, unknown] = [made('/a'), made('/b')]
  for (let count = 0; count < 5; count += 1) {
    known.began()
    known.answered(0, 5)
  }
  t.is(unknown.load, 0)
  unknown.began()
  for (let index = 0; index < 100; index += 1) {
    const picked = leastLoaded().pick([known, unknown], call) as ClusterNode
    t.is(picked, known)
    picked.began()
  }
})
