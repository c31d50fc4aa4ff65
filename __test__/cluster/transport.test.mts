import test from 'ava'

import { consistentHash, fixed, roundRobin } from '../../dist/cluster/index.mjs'
import { RpcError, TransportClient } from '../../dist/rpc/index.mjs'
import { createThriftClient } from '../../dist/thrift/index.mjs'
import { until } from '../support/deferred.mjs'
import { JsonCodec, type Json } from '../support/json-codec.mjs'
import { codeOf, rejection } from '../support/netpoll.mjs'
import { serveCalls } from '../support/rpc.mjs'
import { serveThrift } from '../support/thrift.mjs'
import { Interop } from '../support/thrift-service.mjs'

const timeout = 60_000
const at = (port: number) => ({ address: { host: '127.0.0.1', port } })

for (const pollers of [0, 1]) {
  test(`a client of several servers: ${pollers} pollers`, async (t) => {
    const servers = await Promise.all(
      [1, 2, 3].map((name) => serveCalls(t, ({ body }) => [name, body], { pollers })),
    )
    const resolver = fixed(servers.map(({ port }) => at(port)))
    const client = new TransportClient<Json>(resolver, new JsonCodec(), { balancer: roundRobin(), pollers })
    t.teardown(() => client.close({ timeout: 0 }))
    await until(() => client.stats().cluster?.ready === 3)
    const replies = await Promise.all(
      [1, 2, 3, 4, 5, 6].map((body) => client.call('echo', body, { timeout })),
    )
    t.deepEqual(replies.map((reply) => (reply as number[])[0]).sort(), [1, 1, 2, 2, 3, 3])
    await client.send('tell', 'news')
    t.is(client.stats().connected, 3)
  })
}

test('calls with a key go to one server, and idempotent ones to another where that fails', async (t) => {
  const servers = await Promise.all([1, 2, 3].map((name) => serveCalls(t, () => name)))
  const resolver = fixed(servers.map(({ port }) => at(port)))
  const client = new TransportClient<Json>(resolver, new JsonCodec(), {
    balancer: consistentHash(),
    onError: () => {},
  })
  t.teardown(() => client.close({ timeout: 0 }))
  await until(() => client.stats().cluster?.ready === 3)
  const name = (await client.call('who', null, { key: 'a', timeout })) as number
  for (let count = 0; count < 10; count += 1)
    t.is(await client.call('who', null, { key: 'a', timeout }), name)
  await servers[name - 1]?.server.close({ timeout: 0 })
  t.not(await client.call('who', null, { key: 'a', idempotent: true, timeout }), name)
})

test('a codec says which replies mean that a server cannot serve', async (t) => {
  class Busy extends JsonCodec {
    isUnavailable(bytes: Buffer): boolean {
      return bytes.includes('ERR_BUSY')
    }
  }
  const bad = await serveCalls(t, () => {
    throw new RpcError('ERR_BUSY', 'later')
  })
  const good = await serveCalls(t, () => 'fine')
  const resolver = fixed([at(bad.port), at(good.port)])
  const client = new TransportClient<Json>(resolver, new Busy(), { balancer: roundRobin() })
  t.teardown(() => client.close({ timeout: 0 }))
  await until(() => client.stats().cluster?.ready === 2)
  for (let count = 0; count < 4; count += 1)
    t.is(await client.call('a', null, { idempotent: true, timeout }), 'fine')
  t.true((client.stats().cluster?.retries ?? 0) > 0)
  const codes = new Set<unknown>()
  for (let count = 0; count < 4; count += 1) {
    codes.add(await client.call('a', null, { timeout }).catch((error) => codeOf(error)))
  }
  t.deepEqual([...codes].sort(), ['ERR_BUSY', 'fine'])
})

test('middleware sees what a call says of its server', async (t) => {
  const { port } = await serveCalls(t, () => null)
  const seen: unknown[] = []
  const client = new TransportClient<Json>(fixed([at(port)]), new JsonCodec(), {
    middleware: [
      (next) => (call) => {
        seen.push(call.key, call.idempotent)
        return next(call)
      },
    ],
  })
  t.teardown(() => client.close({ timeout: 0 }))
  await client.call('a', null, { key: 'k', idempotent: true })
  await client.call('a', null)
  t.deepEqual(seen, ['k', true, undefined, false])
})

test('options are checked by what finds the servers', async (t) => {
  const resolver = fixed([at(1)])
  const code = (address: unknown, options: object): unknown =>
    codeOf(t.throws(() => new TransportClient(address as never, new JsonCodec(), options)))
  t.is(code(resolver, { kind: 'pool' }), 'ERR_INVALID_ARG_VALUE')
  t.is(code(resolver, { isUnavailable: () => true }), 'ERR_INVALID_ARG_VALUE')
  t.is(code(resolver, { minIdle: 1 }), 'ERR_INVALID_ARG_VALUE')
  t.is(code({ port: 1 }, { balancer: roundRobin() }), 'ERR_INVALID_ARG_VALUE')
  const client = new TransportClient(resolver, new JsonCodec(), { onError: () => {} })
  t.is(codeOf(await rejection(client.call('a', null, { key: 1 } as never))), 'ERR_INVALID_ARG_TYPE')
  t.is(codeOf(await rejection(client.call('a', null, { idempotent: 1 } as never))), 'ERR_INVALID_ARG_TYPE')
  t.is(codeOf(await rejection(client.call('a', null))), 'ERR_NO_ENDPOINT')
  await client.close()
})

test('a Thrift client of several servers', async (t) => {
  const servers = await Promise.all([1, 2].map(() => serveThrift(t)))
  const resolver = fixed(servers.map(({ port }) => at(port)))
  const client = createThriftClient(Interop, resolver, { transport: 'ttheader', balancer: roundRobin() })
  t.teardown(() => client.close({ timeout: 0 }))
  await client.service.ping()
  await until(() => client.stats().cluster?.ready === 2)
  const safe = client.withOptions({ idempotent: true, timeout })
  for (let count = 0; count < 4; count += 1) await safe.ping()
  t.true(client.stats().cluster?.nodes.every(({ calls }) => calls >= 2))
})
