// Clusters of servers at every kind of place, called from the main thread, its pollers and a worker.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import test, { type ExecutionContext } from 'ava'

import { fixed, roundRobin } from '../../dist/cluster/index.mjs'
import { type Connection, createServer } from '../../dist/index.mjs'
import { clusterOf, EchoAt, ready, say, sayAll } from '../support/cluster.mjs'
import { Inbox, until } from '../support/deferred.mjs'
import { id, isGoAway } from '../support/leaving.mjs'
import { placeOf } from '../support/listeners.mjs'
import { framing, targetOf } from '../support/netpoll.mjs'

const timeout = 60_000
const module = new URL('../fixtures/handler.mjs', import.meta.url)
const workers = (threads: number): object => ({ workers: { module, threads } })

/** How servers run, and how many pollers their client has. */
const kinds: readonly (readonly [string, object, number])[] = [
  ['inline', {}, 0],
  ['inline, client with 1 poller', {}, 1],
  ['inline, client with 2 pollers', {}, 2],
  ['1 poller', { pollers: 1 }, 0],
  ['2 pollers', { pollers: 2 }, 2],
  ['1 worker', workers(1), 0],
  ['2 workers', workers(2), 0],
  ['3 workers, client with 1 poller', workers(3), 1],
]

function startAll(t: ExecutionContext, transport: 'tcp' | 'unix', options: object): Promise<EchoAt[]> {
  return Promise.all([1, 2, 3].map(() => EchoAt.start(t, transport, options)))
}

for (const transport of ['tcp', 'unix'] as const) {
  for (const [title, options, pollers] of kinds) {
    test(`calls are shared, and a restart loses none: ${transport}, servers ${title}`, async (t) => {
      const all = await startAll(t, transport, options)
      const cluster = clusterOf(t, fixed(all), { balancer: roundRobin(), pollers, isGoAway })
      await ready(cluster, 3)
      await sayAll(cluster, 30, { timeout })
      t.deepEqual(
        cluster.stats().nodes.map(({ calls }) => calls),
        [10, 10, 10],
      )
      for (const server of all) {
        let isOver = false
        const restarted = server.restart().then(() => {
          isOver = true
        })
        // Servers with workers do not ask their clients to leave.
        const idempotent = 'workers' in options
        while (!isOver) await Promise.all([1, 2, 3, 4].map(() => say(cluster, 'a', { timeout, idempotent })))
        await restarted
        await ready(cluster, 3)
      }
      await cluster.close()
      t.is(cluster.stats().connected, 0)
    })
  }

  for (const pollers of [0, 1]) {
    for (const [title, options] of kinds.filter(([, , ofClient]) => ofClient === 0)) {
      test(`a client in a worker: ${transport}, ${pollers} pollers, servers ${title}`, async (t) => {
        const all = await startAll(t, transport, options)
        const endpoints = all.map(({ address }) => ({ address }))
        const file = new URL('../fixtures/cluster-client.mjs', import.meta.url)
        const client = new Worker(file, { workerData: { endpoints, calls: 30, pollers } })
        const exit = once(client, 'exit')
        t.deepEqual((await once(client, 'message'))[0], [10, 10, 10])
        // Nothing keeps it alive once it has closed its cluster.
        t.deepEqual(await exit, [0])
      })
    }
  }

  test(`a client in a worker that is terminated leaves no connection: ${transport}`, async (t) => {
    const accepted = new Inbox<Connection>()
    let got = 0
    const server = createServer({ framing, id, ordered: false, onConnect: accepted.push }, (message) => {
      got += 1
      return message
    })
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen(placeOf(t, transport))
    const endpoints = [{ address: targetOf(server) }]
    const file = new URL('../fixtures/cluster-client.mjs', import.meta.url)
    const client = new Worker(file, { workerData: { endpoints, calls: 0, pollers: 0 } })
    await once(client, 'message')
    await until(() => got > 100)
    await client.terminate()
    for (const connection of accepted.all)
      await new Promise<void>((resolve) => void connection.onClose(resolve))
    t.is(accepted.all.length, 1)
  })
}
