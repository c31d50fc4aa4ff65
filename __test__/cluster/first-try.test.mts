import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import test from 'ava'

import {
  type Balancer,
  type ClusterOptions,
  fixed,
  type Node,
  roundRobin,
} from '../../dist/cluster/index.mjs'
import type { Connection } from '../../dist/index.mjs'
import { clusterOf, endpointsOf, members, ready, ToldResolver } from '../support/cluster.mjs'
import { deferred, nextTurn, until } from '../support/deferred.mjs'
import { collect } from '../support/garbage.mjs'
import { request, textOf } from '../support/leaving.mjs'
import { codeOf, rejection } from '../support/netpoll.mjs'

const timeout = 60_000
const patient: Partial<ClusterOptions> = {
  ejection: { failures: Number.POSITIVE_INFINITY },
  retry: { ratio: 1, perSecond: 1_000_000, tries: 10 },
  onError: () => {},
}

test('further tries run in the context of the caller', async (t) => {
  const storage = new AsyncLocalStorage<number>()
  const all = await members(t, 2, (message, index) => {
    if (index === 1) return message
    all[0]?.accepted.all.at(-1)?.destroy()
    return deferred<Buffer>().promise
  })
  const seen = new Set<number | undefined>()
  const { pick } = roundRobin()
  const balancer: Balancer = {
    pick(nodes, call) {
      seen.add(storage.getStore())
      return pick(nodes, call)
    },
  }
  const told = (): void => void seen.add(storage.getStore())
  const cluster = clusterOf(t, fixed(endpointsOf(all)), { ...patient, balancer })
  await ready(cluster, 2)
  subscribe('netpoll.cluster.retry', told)
  t.teardown(() => unsubscribe('netpoll.cluster.retry', told))
  await storage.run(7, async () => {
    for (let count = 0; cluster.stats().retries < 5; count += 1) {
      t.true(count < 1_000)
      await cluster.call(request('x'), { idempotent: true, timeout })
    }
  })
  t.deepEqual([...seen], [7])
})

test('requestTimeout of a cluster is that of its connections as well', async (t) => {
  const failed = deferred<unknown>()
  const all = await members(t, 1, () => deferred<Buffer>().promise)
  clusterOf(t, fixed(endpointsOf(all)), {
    ...patient,
    requestTimeout: 1,
    onConnect: async (connection: Connection) => {
      failed.resolve(await rejection(connection.call(request('who is there'))))
    },
  })
  t.is(codeOf(await failed.promise), 'ERR_REQUEST_TIMEOUT')
})

test('a call without a limit has none, whatever requestTimeout is', async (t) => {
  const held = deferred<void>()
  const all = await members(t, 1, async (message) => {
    await held.promise
    return message
  })
  const cluster = clusterOf(t, fixed(endpointsOf(all)), { ...patient, requestTimeout: 20 })
  await ready(cluster, 1)
  const unlimited = cluster.call(request('x'), { timeout: 0 })
  t.is(codeOf(await rejection(cluster.call(request('y')))), 'ERR_REQUEST_TIMEOUT')
  held.resolve()
  t.is(textOf(await unlimited), 'x')
})

test('a balancer is asked once for a call that waits', async (t) => {
  const all = await members(t, 1)
  let asked = 0
  const balancer: Balancer = {
    pick(nodes: readonly Node[]) {
      asked += 1
      return asked === 1 ? undefined : nodes[0]
    },
  }
  const cluster = clusterOf(t, fixed(endpointsOf(all)), { ...patient, balancer })
  await ready(cluster, 1)
  const call = cluster.call(request('x'), { timeout })
  t.is(asked, 1)
  await until(() => cluster.stats().pending === 1)
  t.is(asked, 1)
  await cluster.close({ timeout: 0 })
  t.is(codeOf(await rejection(call)), 'ERR_CLUSTER_CLOSED')
})

test('a signal that tells of its end and throws ends its call once', async (t) => {
  const all = await members(t, 1)
  const cluster = clusterOf(t, fixed(endpointsOf(all)), patient)
  await ready(cluster, 1)
  const { signal } = new AbortController()
  const failure = new Error('no listeners')
  Object.defineProperty(signal, 'addEventListener', {
    value: (_type: string, listener: () => void) => {
      listener()
      throw failure
    },
  })
  t.not(await rejection(cluster.call(request('x'), { signal, timeout })), undefined)
  t.is(cluster.stats().running, 0)
  t.is(textOf(await cluster.call(request('x'), { timeout })), 'x')
  t.is(cluster.stats().running, 0)
})

test('a server that has gone keeps no other that has gone', async (t) => {
  const all = await members(t, 3)
  const [first, second, third] = endpointsOf(all)
  const seen: WeakRef<Node>[] = []
  let kept: Node | undefined
  const balancer: Balancer = {
    pick(nodes) {
      kept ??= nodes[0]
      seen.push(...nodes.map((node) => new WeakRef(node)))
      return nodes[0]
    },
  }
  const resolver = new ToldResolver()
  const cluster = clusterOf(t, resolver, { ...patient, balancer })
  for (const list of [[first, second], [third]] as const) {
    resolver.tell(list.filter((endpoint) => endpoint !== undefined))
    await until(() => cluster.stats().endpoints === list.length && cluster.stats().ready === list.length)
    await cluster.call(request('x'), { timeout })
  }
  const other = seen.find((node) => node.deref() !== kept)
  const isThere = async (): Promise<boolean> => {
    // A look keeps it until the end of its turn.
    await nextTurn()
    collect()
    return other?.deref() !== undefined
  }
  for (let round = 0; (await isThere()) && round < 100; round += 1);
  t.false(await isThere())
  t.not(kept, undefined)
})
