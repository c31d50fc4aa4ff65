import test, { type ExecutionContext } from 'ava'

import { Cluster, dns, type Endpoint } from '../../dist/cluster/index.mjs'
import { createServer } from '../../dist/index.mjs'
import { clusterOf, members, ready, say } from '../support/cluster.mjs'
import { until } from '../support/deferred.mjs'
import { id } from '../support/leaving.mjs'
import { codeOf, framing, serve } from '../support/netpoll.mjs'
import { isInstalled, NameServer, startDnsmasq } from '../support/registries.mjs'

const timeout = 60_000

/** The lists that a resolver gives, until there are so many. */
async function lists(
  t: ExecutionContext,
  resolver: ReturnType<typeof dns>,
  count: number,
): Promise<readonly (readonly Endpoint[])[]> {
  const controller = new AbortController()
  t.teardown(() => controller.abort())
  const found: (readonly Endpoint[])[] = []
  for await (const list of resolver.watch(controller.signal)) {
    found.push(list)
    if (found.length === count) break
  }
  return found
}

const hosts = (list: readonly Endpoint[] | undefined): unknown[] =>
  (list ?? []).map(({ address }) => address.host)

test('addresses of a name are endpoints, with the name for TLS', async (t) => {
  const names = await NameServer.start(t, { addresses: ['127.0.0.1', '127.0.0.2'], ttl: 5 })
  const [list] = await lists(t, dns('service.test', { port: 80, servers: [names.address] }), 1)
  t.deepEqual(list, [
    { address: { host: '127.0.0.1', port: 80 }, servername: 'service.test' },
    { address: { host: '127.0.0.2', port: 80 }, servername: 'service.test' },
  ])
})

test('a name is asked for again when its time to live is over, but not more often than each second', async (t) => {
  const names = await NameServer.start(t, { addresses: ['127.0.0.1'], ttl: 0 })
  const resolver = dns('service.test', { port: 80, servers: [names.address] })
  const begin = performance.now()
  const found = await lists(t, resolver, 3)
  t.true(performance.now() - begin > 1_990)
  t.is(found.length, 3)
})

test('after a loss a name is asked for at once, which finds the new servers', async (t) => {
  const names = await NameServer.start(t, { addresses: ['127.0.0.1'], ttl: 3_600 })
  const { port, server } = await serve(t, { id }, (message) => message)
  const cluster = clusterOf(t, dns('service.test', { port, servers: [names.address] }), { onError: () => {} })
  t.is(await say(cluster, 'a', { timeout }), 'a')
  names.answer = { addresses: ['127.0.0.2'], ttl: 3_600 }
  const successor = createServer({ framing, id }, (message) => message)
  t.teardown(() => successor.close({ timeout: 0 }))
  await successor.listen({ host: '127.0.0.2', port })
  await server.close({ timeout: 0 })
  t.is(await say(cluster, 'b', { timeout }), 'b')
  t.deepEqual(
    cluster.stats().nodes.map(({ id: name }) => name),
    [`127.0.0.2:${port} service.test`],
  )
})

for (const answer of ['servfail', 'nothing', { addresses: [], ttl: 1 }] as const) {
  test(`the last list stays while the answer is ${JSON.stringify(answer)}, and the right one holds after it`, async (t) => {
    const names = await NameServer.start(t, { addresses: ['127.0.0.1'], ttl: 1 })
    const [one] = await members(t, 1)
    const port = one?.port ?? 0
    const errors: unknown[] = []
    const cluster = clusterOf(t, dns('service.test', { port, servers: [names.address] }), {
      onError: (error) => void errors.push(error),
    })
    await ready(cluster, 1)
    names.answer = answer
    const before = names.questions
    await until(() => names.questions > before)
    if (answer !== 'nothing') await until(() => names.questions > before + 1)
    t.is(await say(cluster, 'a', { timeout }), 'a')
    names.answer = { addresses: ['127.0.0.1', '127.0.0.3'], ttl: 1 }
    await until(() => cluster.stats().endpoints === 2)
    t.is(await say(cluster, 'b', { timeout }), 'b')
  })
}

test('localhost is found by the system', async (t) => {
  const [list] = await lists(t, dns('localhost', { port: 80 }), 1)
  t.true(hosts(list).includes('127.0.0.1'))
})

test('records of type SRV: ports and weights, of the lowest priority', async (t) => {
  if (!isInstalled(t, 'dnsmasq', 'SRV')) return
  const name = '_echo._tcp.service.test'
  const servers = [
    await startDnsmasq(t, [
      `--srv-host=${name},one.test,8001,10,5`,
      `--srv-host=${name},two.test,8002,10,0`,
      `--srv-host=${name},late.test,8003,20,5`,
      '--host-record=v4.test,127.0.0.1',
      '--host-record=v6.test,::1',
      '--local-ttl=7',
    ]),
  ]
  const [services] = await lists(t, dns(name, { type: 'SRV', servers }), 1)
  t.deepEqual(
    services?.toSorted((one, other) => Number(one.address.port) - Number(other.address.port)),
    [
      { address: { host: 'one.test', port: 8001 }, weight: 5, servername: name },
      { address: { host: 'two.test', port: 8002 }, weight: 1, servername: name },
    ],
  )
  t.deepEqual(hosts((await lists(t, dns('v4.test', { port: 1, servers }), 1))[0]), ['127.0.0.1'])
  t.deepEqual(hosts((await lists(t, dns('v6.test', { port: 1, type: 'AAAA', servers }), 1))[0]), ['::1'])
})

test('options are checked', (t) => {
  const code = (name: unknown, options: object): unknown =>
    codeOf(t.throws(() => dns(name as string, options as { port: number })))
  t.is(code('', { port: 1 }), 'ERR_INVALID_ARG_TYPE')
  t.is(code(1, { port: 1 }), 'ERR_INVALID_ARG_TYPE')
  t.is(code('a', {}), 'ERR_INVALID_ARG_TYPE')
  for (const port of [0, 65_536, 1.5, Number.NaN, Number.POSITIVE_INFINITY])
    t.is(code('a', { port }), 'ERR_INVALID_ARG_VALUE')
  for (const refresh of [0, 999, 1_000.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    t.is(code('a', { port: 1, refresh }), 'ERR_INVALID_ARG_VALUE')
  }
  t.is(code('a', { port: 1, refresh: null }), 'ERR_INVALID_ARG_TYPE')
  t.is(code('a', { port: 1, type: 'TXT' }), 'ERR_INVALID_ARG_VALUE')
  t.is(code('a', { port: 1, type: 'SRV' }), 'ERR_INVALID_ARG_VALUE')
  t.is(code('a', { port: 1, ttl: 1 }), 'ERR_INVALID_ARG_VALUE')
  t.throws(() => dns('a', { port: 1, servers: ['no address'] }))
  t.is(code('a', { port: 1, servers: [] }), 'ERR_INVALID_ARG_VALUE')
  for (const servers of [null, '127.0.0.1', 1, {}])
    t.is(code('a', { port: 1, servers }), 'ERR_INVALID_ARG_TYPE')
})

test('a cluster that is closed asks no more', async (t) => {
  const names = await NameServer.start(t, 'nothing')
  const cluster = new Cluster(dns('service.test', { port: 1, servers: [names.address] }), { framing, id })
  await until(() => names.questions > 0)
  await cluster.close()
  t.pass()
})
