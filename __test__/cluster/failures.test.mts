import { channel } from 'node:diagnostics_channel'
import test, { type ExecutionContext } from 'ava'

import { type Balancer, type ClusterOptions, fixed, roundRobin } from '../../dist/cluster/index.mjs'
import {
  clusterOf,
  endpointsOf,
  type Member,
  members,
  ready,
  say,
  sayAll,
  ToldResolver,
} from '../support/cluster.mjs'
import { deferred, until } from '../support/deferred.mjs'
import { textOf } from '../support/leaving.mjs'
import { codeOf, rejection } from '../support/netpoll.mjs'

const timeout = 60_000
const unavailable = Buffer.from('unavailable')
const isUnavailable = (reply: Buffer): boolean => textOf(reply) === 'unavailable'
const sorry = (message: Buffer): Buffer => Buffer.concat([message.subarray(0, 4), unavailable])
const total = (all: readonly Member[]): number => all.reduce((sum, { got }) => sum + got.length, 0)

/** Three servers, of which the first does as it is told, and a cluster of them. */
async function threeWith(
  t: ExecutionContext,
  first: (message: Buffer) => Buffer | Promise<Buffer>,
  options: Partial<ClusterOptions> = {},
) {
  const all = await members(t, 3, (message, index) => (index === 0 ? first(message) : message))
  const cluster = clusterOf(t, fixed(endpointsOf(all)), {
    balancer: roundRobin(),
    isUnavailable,
    ejection: { min: 30, max: 100 },
    ...options,
  })
  await ready(cluster, 3)
  return { all, cluster, bad: all[0] as Member }
}

test('a server that fails five times in a row gets no calls, until a probe succeeds', async (t) => {
  let isSound = false
  const { cluster, bad } = await threeWith(t, (message) => (isSound ? message : sorry(message)))
  for (let count = 0; cluster.stats().ejected === 0; count += 1) {
    t.true(count < 15)
    await say(cluster, 'a')
  }
  t.is(bad.got.length, 5)
  t.is(cluster.stats().ready, 2)
  t.is(cluster.stats().nodes.filter(({ state }) => state === 'ejected').length, 1)
  while (bad.got.length === 5) await say(cluster, 'probe', { idempotent: true, timeout })
  t.is(cluster.stats().ejected, 1)
  isSound = true
  while (cluster.stats().ejected > 0) await say(cluster, 'b', { idempotent: true, timeout })
  t.is(cluster.stats().ready, 3)
})

test('timeouts eject a server that has stopped, and those who probe it do not wait for it', async (t) => {
  const held = deferred<void>()
  const stopped = async (message: Buffer): Promise<Buffer> => {
    await held.promise
    return message
  }
  const all = await members(t, 3, (message, index) => (index === 0 ? stopped(message) : message))
  const [bad] = all as [Member]
  const others = roundRobin()
  // Calls with a limit go to the stopped server alone: on a machine that is busy, others would run out of time as well.
  const chosen: Balancer = {
    pick: (nodes, call) =>
      call.key === 'stopped'
        ? nodes.find(({ endpoint }) => endpoint.address.port === bad.port)
        : others.pick(nodes, call),
  }
  const cluster = clusterOf(t, fixed(endpointsOf(all)), { balancer: chosen, ejection: { min: 30, max: 100 } })
  await ready(cluster, 3)
  while (cluster.stats().ejected === 0) await rejection(say(cluster, 'a', { key: 'stopped', timeout: 20 }))
  t.is(cluster.stats().ready, 2)
  // Each of these would wait for ever, if it were the probe.
  while (!bad.got.includes('b')) await say(cluster, 'b', { idempotent: true })
  held.resolve()
  while (cluster.stats().ejected > 0) await say(cluster, 'c', { idempotent: true })
  t.is(cluster.stats().ready, 3)
})

test('without idempotent calls, a probe is a call like any other', async (t) => {
  const { cluster, bad } = await threeWith(t, sorry)
  while (cluster.stats().ejected === 0) await say(cluster, 'a')
  const before = bad.got.length
  let reply = ''
  while (reply !== 'unavailable') reply = await say(cluster, 'b')
  t.is(bad.got.length, before + 1)
})

test('at most half of the servers are out, and bad input ejects none', async (t) => {
  const all = await members(t, 5, sorry)
  const cluster = clusterOf(t, fixed(endpointsOf(all)), { isUnavailable, balancer: roundRobin() })
  await ready(cluster, 5)
  await sayAll(cluster, 200)
  t.is(cluster.stats().ejected, 2)
  const others = await members(t, 3)
  const careless = clusterOf(t, fixed(endpointsOf(others)))
  await ready(careless, 3)
  for (let count = 0; count < 20; count += 1) await rejection(careless.call('no'))
  await Promise.all(
    Array.from({ length: 20 }, () => rejection(say(careless, 'gone', { signal: AbortSignal.abort() }))),
  )
  t.is(careless.stats().ejected, 0)
})

test('with all servers out or failing, calls go to them all the same', async (t) => {
  const all = await members(t, 2, sorry)
  const cluster = clusterOf(t, fixed(endpointsOf(all)), {
    isUnavailable,
    ejection: { share: 1, min: 60_000, max: 60_000 },
  })
  await ready(cluster, 2)
  while (cluster.stats().ejected < 2) await say(cluster, 'a')
  t.is(await say(cluster, 'b'), 'unavailable')
})

test('the load of servers that all fail is bounded by the budget', async (t) => {
  const all = await members(t, 4, sorry)
  const cluster = clusterOf(t, fixed(endpointsOf(all)), { isUnavailable, retry: { perSecond: 1 } })
  await ready(cluster, 4)
  const calls = 2_000
  const begin = performance.now()
  await sayAll(cluster, calls, { idempotent: true, timeout })
  const seconds = (performance.now() - begin) / 1_000
  const { retries, overBudget } = cluster.stats()
  // At any time what ten seconds may have, of which the first is there at once.
  const most = 0.2 * calls + seconds + 20
  t.true(retries <= most, `${retries} in ${seconds} s`)
  t.true(overBudget > 0)
  t.true(total(all) <= calls + most + 20, `${total(all)} in ${seconds} s`)
  // Those that are not idempotent are made once.
  const before = total(all)
  await sayAll(cluster, 10, { timeout })
  t.is(total(all), before + 10)
})

test('a second try beside the first: its reply counts, and the first is given up', async (t) => {
  const { cluster, bad } = await threeWith(t, () => new Promise(() => {}), { hedge: { delay: 5 } })
  await sayAll(cluster, 9, { idempotent: true, timeout })
  t.true(bad.got.length > 0)
  t.true(cluster.stats().hedges >= bad.got.length)
  t.is(cluster.stats().size, 0)
  t.true(cluster.stats().nodes.every(({ running }) => running === 0))
})

/** Chooses `member` first, and another only if it looks at what was tried. */
function preferring({ port }: Member, looks: boolean): Balancer {
  return {
    pick: (nodes, { tried }) => {
      const ranked = nodes.toSorted((left) => (left.endpoint.address.port === port ? -1 : 1))
      return looks ? ranked.find((node) => !tried.includes(node)) : ranked[0]
    },
  }
}

for (const looks of [true, false]) {
  test(`no server gets the tries of one call side by side: a balancer that ${looks ? '' : 'never '}looks at them`, async (t) => {
    const held = deferred<void>()
    const all = await members(t, 2, async (message) => {
      await held.promise
      return message
    })
    const [one, other] = all as [Member, Member]
    const cluster = clusterOf(t, fixed(endpointsOf(all)), {
      balancer: preferring(one, looks),
      hedge: { delay: 1 },
      onError: () => {},
    })
    await ready(cluster, 2)
    const call = say(cluster, 'a', { idempotent: true, timeout })
    await until(() => total(all) === 2)
    // The first try has to go to another now, and there is one server alone, which has the second try.
    await one.server.close({ timeout: 0 })
    await until(() => cluster.stats().running === 0)
    t.is(cluster.stats().pending, 1)
    held.resolve()
    t.is(await call, 'a')
    t.deepEqual(other.got, ['a'])
    t.is(cluster.stats().size, 0)
  })

  test(`a try that waits for the other goes to its server where that fails: a balancer that ${looks ? '' : 'never '}looks`, async (t) => {
    const all = await members(t, 2, (message) => (total(all) < 3 ? new Promise<Buffer>(() => {}) : message))
    const [one, other] = all as [Member, Member]
    const ejection = { failures: Number.POSITIVE_INFINITY }
    const cluster = clusterOf(t, fixed(endpointsOf(all)), {
      balancer: preferring(one, looks),
      ejection,
      hedge: { delay: 1 },
      onError: () => {},
    })
    await ready(cluster, 2)
    const call = say(cluster, 'a', { idempotent: true, timeout })
    await until(() => total(all) === 2)
    await one.server.close({ timeout: 0 })
    await until(() => cluster.stats().running === 0)
    for (const connection of other.accepted.all) connection.destroy()
    t.is(await call, 'a')
    t.deepEqual(other.got, ['a', 'a'])
  })
}

test('a call beside a probe goes to another server, whatever the balancer says', async (t) => {
  const all = await members(t, 2, sorry)
  const cluster = clusterOf(t, fixed(endpointsOf(all)), {
    isUnavailable,
    balancer: { pick: ([first]) => first },
    ejection: { share: 1, min: 1, max: 1 },
    retry: { tries: 0, perSecond: 1_000 },
  })
  await ready(cluster, 2)
  while (cluster.stats().ejected < 2) await say(cluster, 'a')
  const before = total(all)
  let calls = 0
  while (total(all) - before < calls + 20) {
    t.is(await say(cluster, 'b', { idempotent: true, timeout }), 'unavailable')
    calls += 1
  }
})

test('a balancer that throws at a second try is reported, and the first goes on', async (t) => {
  const held = deferred<void>()
  const all = await members(t, 2, async (message) => {
    await held.promise
    return message
  })
  const errors: unknown[] = []
  const balancer: Balancer = {
    pick: (nodes, { tried }) => {
      if (tried.length > 0) throw new Error('no idea')
      return nodes[0]
    },
  }
  const cluster = clusterOf(t, fixed(endpointsOf(all)), {
    balancer,
    hedge: { delay: 1 },
    onError: (error) => void errors.push(error),
  })
  await ready(cluster, 2)
  const calls = [1, 2].map(() => say(cluster, 'a', { idempotent: true, timeout }))
  await until(() => errors.length === 2)
  held.resolve()
  t.deepEqual(await Promise.all(calls), ['a', 'a'])
  t.is((errors[0] as Error).message, 'no idea')
  t.is(cluster.stats().hedges, 0)
})

test('only idempotent calls are hedged, and none beyond the budget', async (t) => {
  const all = await members(t, 2, () => new Promise<Buffer>(() => {}))
  const cluster = clusterOf(t, fixed(endpointsOf(all)), {
    hedge: { delay: 5 },
    retry: { ratio: 0, perSecond: 0 },
  })
  await ready(cluster, 2)
  const controller = new AbortController()
  const { signal } = controller
  const calls: Promise<unknown>[] = []
  // The next are made when a hedge was refused to those before.
  for (const round of [1, 2, 3]) {
    calls.push(rejection(say(cluster, 'a', { signal })))
    calls.push(rejection(say(cluster, 'a', { idempotent: true, signal })))
    await until(() => cluster.stats().overBudget >= round)
  }
  t.is(cluster.stats().overBudget, 3)
  t.is(cluster.stats().hedges, 0)
  await until(() => total(all) === 6)
  controller.abort()
  await Promise.all(calls)
  t.is(total(all), 6)
})

test('a call with a hedge is given up by its signal, and the reason is the user’s', async (t) => {
  const never = () => new Promise<Buffer>(() => {})
  const all = await members(t, 2, never)
  const cluster = clusterOf(t, fixed(endpointsOf(all)), { hedge: { delay: 1 } })
  await ready(cluster, 2)
  const controller = new AbortController()
  const call = rejection(say(cluster, 'a', { idempotent: true, signal: controller.signal }))
  await until(() => total(all) === 2)
  const reason = new Error('enough')
  controller.abort(reason)
  t.is(await call, reason)
  t.true(cluster.stats().nodes.every(({ running }) => running === 0))
})

test('where both tries fail, the error of the first is told', async (t) => {
  const all = await members(t, 2, () => new Promise(() => {}))
  const cluster = clusterOf(t, fixed(endpointsOf(all)), { hedge: { delay: 1 }, retry: { tries: 0 } })
  await ready(cluster, 2)
  const call = rejection(say(cluster, 'a', { idempotent: true, timeout }))
  await until(() => total(all) === 2)
  for (const { accepted } of all) for (const connection of accepted.all) connection.destroy()
  t.is(codeOf(await call), 'ERR_CONN_CLOSED')
})

test('a cluster connects to a subset, which is the same for the same client, and replaces what is down', async (t) => {
  const all = await members(t, 12)
  const chosen = (cluster: ReturnType<typeof clusterOf>): string =>
    cluster
      .stats()
      .nodes.filter(({ state }) => state === 'ready')
      .map(({ id }) => id)
      .sort()
      .join()
  const subset = async (clientId: string): Promise<string> => {
    const cluster = clusterOf(t, fixed(endpointsOf(all)), { clientId, subset: 4 })
    await ready(cluster, 4)
    return chosen(cluster)
  }
  const [one, same, other] = [await subset('a'), await subset('a'), await subset('b')]
  t.is(one, same)
  t.not(one, other)
  const accepted = (): number => all.reduce((sum, { accepted }) => sum + accepted.all.length, 0)
  // A server may learn of the end of a handshake later than its client.
  await until(() => accepted() >= 12)
  t.is(accepted(), 12)
  const cluster = clusterOf(t, fixed(endpointsOf(all)), { clientId: 'a', subset: 4, onError: () => {} })
  await ready(cluster, 4)
  const gone = all
    .filter(({ endpoint }) => one.includes(`:${(endpoint.address as { port: number }).port}`))
    .slice(0, 2)
  for (const { server } of gone) await server.close({ timeout: 0 })
  await until(() => cluster.stats().ready === 4 && chosen(cluster) !== one)
  await sayAll(cluster, 20, { timeout })
  t.pass()
})

test('what happens is published', async (t) => {
  const told = new Map<string, number>()
  const names = ['resolve', 'pick', 'eject', 'retry', 'hedge', 'drain'] as const
  const listeners = names.map((name) => {
    const listener = (): void => void told.set(name, (told.get(name) ?? 0) + 1)
    channel(`netpoll.cluster.${name}`).subscribe(listener)
    return () => channel(`netpoll.cluster.${name}`).unsubscribe(listener)
  })
  t.teardown(() => {
    for (const forget of listeners) forget()
  })
  const held = new Promise<Buffer>(() => {})
  const { cluster, all } = await threeWith(
    t,
    (message) => (textOf(message) === 'hold' ? held : sorry(message)),
    {
      hedge: { delay: 1 },
    },
  )
  await Promise.all([1, 2, 3].map(() => say(cluster, 'hold', { idempotent: true, timeout })))
  await sayAll(cluster, 20, { idempotent: true, timeout })
  const resolver = new ToldResolver(endpointsOf(all))
  const other = clusterOf(t, resolver)
  await ready(other, 3)
  resolver.tell(endpointsOf(all.slice(1)))
  await until(() => other.stats().endpoints === 2)
  t.deepEqual([...told.keys()].sort(), [...names].sort())
})
