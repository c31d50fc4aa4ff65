import test, { type ExecutionContext } from 'ava'

import { etcd, register, roundRobin } from '../../dist/cluster/index.mjs'
import { clusterOf, members, ready, say, sayAll } from '../support/cluster.mjs'
import { until } from '../support/deferred.mjs'
import { freePort } from '../support/listeners.mjs'
import { codeOf, rejection } from '../support/netpoll.mjs'
import { Etcd, isInstalled, startGateway } from '../support/registries.mjs'

const timeout = 60_000
const prefix = '/services/echo/'

test.serial('the time in which the process stands still is not that of an answer', async (t) => {
  const url = await startGateway()
  const errors: unknown[] = []
  // A slow machine may take all of the time once more: then it is tried again. Where a stall counts, no try succeeds.
  while (errors.length < 5) {
    const registering = register({ url, key: 'a', address: { port: 1 } })
    // Longer than an answer may take, from before it is asked for.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3_200)
    const registration = await registering.catch((error: unknown) => void errors.push(codeOf(error)))
    if (registration === undefined) continue
    await registration.close()
    t.pass()
    return
  }
  t.fail(errors.join())
})

/** An etcd and a cluster of what is registered there. */
async function registry(t: ExecutionContext) {
  if (!isInstalled(t, 'etcd', 'etcd')) return undefined
  const server = await Etcd.start(t)
  const errors: unknown[] = []
  const cluster = clusterOf(t, etcd({ url: server.url, prefix }), {
    balancer: roundRobin(),
    onError: (error) => void errors.push(error),
  })
  return { server, cluster, errors }
}

test('servers that are registered get calls, and those that leave get none', async (t) => {
  const found = await registry(t)
  if (found === undefined) return
  const { server, cluster } = found
  const all = await members(t, 3)
  const registrations = []
  for (const { endpoint, port } of all) {
    const { address } = endpoint
    registrations.push(await register({ url: server.url, key: `${prefix}${port}`, address, weight: 2 }))
  }
  await ready(cluster, 3)
  t.deepEqual(JSON.parse((await server.get(`${prefix}${all[0]?.port}`)) ?? ''), {
    network: 'tcp',
    address: `127.0.0.1:${all[0]?.port}`,
    weight: 2,
  })
  await sayAll(cluster, 6, { timeout })
  t.deepEqual(
    all.map(({ got }) => got.length),
    [2, 2, 2],
  )
  await registrations[0]?.close()
  await ready(cluster, 2)
  await sayAll(cluster, 6, { timeout })
  t.is(all[0]?.got.length, 2)
  // The last one that leaves stays in the list: an empty one is no news.
  await registrations[1]?.close()
  await ready(cluster, 1)
  await registrations[2]?.close()
  t.is(await say(cluster, 'last', { timeout }), 'last')
})

test('a watch goes on after etcd was killed, has compacted, and has stopped for a while', async (t) => {
  const found = await registry(t)
  if (found === undefined) return
  const { server, cluster } = found
  const all = await members(t, 4)
  const put = (index: number): Promise<void> => {
    const port = all[index]?.port
    return server.put(`${prefix}${index}`, `127.0.0.1:${port}`)
  }
  await put(0)
  await ready(cluster, 1)
  await server.kill()
  t.is(await say(cluster, 'without', { timeout }), 'without')
  await server.restart()
  await put(1)
  await ready(cluster, 2)
  server.signal('SIGSTOP')
  t.is(await say(cluster, 'stopped', { timeout }), 'stopped')
  server.signal('SIGCONT')
  await put(2)
  await ready(cluster, 3)
  await server.kill()
  await server.restart()
  for (let count = 0; count < 10; count += 1) await server.put(`${prefix}x`, `127.0.0.1:${count + 1}`)
  await server.remove(`${prefix}x`)
  await server.compact()
  await put(3)
  await ready(cluster, 4)
  await server.remove(`${prefix}0`)
  await ready(cluster, 3)
  t.pass()
})

test('a server that has died is forgotten when its lease ends', async (t) => {
  const found = await registry(t)
  if (found === undefined) return
  const { server, cluster } = found
  const all = await members(t, 2)
  await server.put(`${prefix}0`, `127.0.0.1:${all[0]?.port}`)
  const { ID: lease } = await server.call('/v3/lease/grant', { TTL: 1 })
  const key = Buffer.from(`${prefix}1`).toString('base64')
  const value = Buffer.from(`127.0.0.1:${all[1]?.port}`).toString('base64')
  await server.call('/v3/kv/put', { key, value, lease })
  await ready(cluster, 2)
  await ready(cluster, 1)
  t.is(cluster.stats().endpoints, 1)
})

test('a server is entered again after etcd has lost everything', async (t) => {
  if (!isInstalled(t, 'etcd', 'etcd')) return
  const server = await Etcd.start(t)
  const errors: unknown[] = []
  const registration = await register({
    url: server.url,
    key: `${prefix}a`,
    address: { path: '/run/a.sock' },
    ttl: 2,
    onError: (error) => void errors.push(error),
  })
  await server.lose()
  await until(() => errors.length > 0)
  await server.restart()
  let value: string | undefined
  while (value === undefined) value = await server.get(`${prefix}a`)
  t.deepEqual(JSON.parse(value), { network: 'unix', address: '/run/a.sock', weight: 1 })
  await registration.close()
  t.is(await server.get(`${prefix}a`), undefined)
  // Once is enough.
  await registration.close()
})

test('closing a registration does not depend on etcd', async (t) => {
  if (!isInstalled(t, 'etcd', 'etcd')) return
  const server = await Etcd.start(t)
  const errors: unknown[] = []
  const onError = (error: unknown): void => void errors.push(error)
  const registration = await register({ url: server.url, key: `${prefix}a`, address: { port: 1 }, onError })
  await server.kill()
  await registration.close()
  t.is(codeOf(errors.at(-1)), 'ECONNREFUSED')
})

test('a value that is no server is reported, and the others count', async (t) => {
  const found = await registry(t)
  if (found === undefined) return
  const { server, cluster, errors } = found
  const [one] = await members(t, 1)
  await server.put(`${prefix}a`, 'nonsense')
  await server.put(`${prefix}b`, '{"network":"tcp","address":"127.0.0.1","weight":1}')
  await server.put(`${prefix}c`, '{')
  await server.put(`${prefix}d`, `{"address":"127.0.0.1:${one?.port}","weight":0}`)
  await ready(cluster, 1)
  t.is(cluster.stats().endpoints, 1)
  await until(() => errors.length >= 3)
  for (const error of errors) t.is(codeOf(error), 'ERR_ETCD')
})

test('another member is asked where one does not answer', async (t) => {
  if (!isInstalled(t, 'etcd', 'etcd')) return
  const server = await Etcd.start(t)
  const [one] = await members(t, 1)
  await server.put(`${prefix}a`, `127.0.0.1:${one?.port}`)
  const url = [`http://127.0.0.1:${await freePort()}`, server.url]
  const cluster = clusterOf(t, etcd({ url, prefix }), { onError: () => {} })
  t.is(await say(cluster, 'a', { timeout }), 'a')
})

test('without etcd: calls learn why, and registering fails', async (t) => {
  const url = `http://127.0.0.1:${await freePort()}`
  const cluster = clusterOf(t, etcd({ url, prefix }), { onError: () => {} })
  const error = (await rejection(say(cluster, 'a'))) as Error
  t.is(codeOf(error), 'ERR_NO_ENDPOINT')
  t.is(codeOf(error.cause), 'ECONNREFUSED')
  const options = { url, key: 'a', address: { port: 1 } }
  t.is(codeOf(await rejection(register(options))), 'ECONNREFUSED')
})

test('options are checked', async (t) => {
  const url = 'http://127.0.0.1:1'
  const code = (options: object): unknown =>
    codeOf(t.throws(() => etcd(options as { url: string; prefix: string })))
  t.is(code({ url }), 'ERR_INVALID_ARG_TYPE')
  t.is(code({ url, prefix: '' }), 'ERR_INVALID_ARG_TYPE')
  for (const wrong of ['', 'ftp://a', 'a', []]) t.is(code({ url: wrong, prefix }), 'ERR_INVALID_ARG_VALUE')
  t.is(code({ url: 1, prefix }), 'ERR_INVALID_ARG_TYPE')
  t.is(code({ url, prefix, parse: 1 }), 'ERR_INVALID_ARG_TYPE')
  t.is(code({ url, prefix, prefxi: 1 }), 'ERR_INVALID_ARG_VALUE')
  for (const wrong of [null, 1, 'text', true]) {
    t.is(code({ url, prefix, tls: wrong }), 'ERR_INVALID_ARG_TYPE')
    t.is(code({ url, prefix, headers: wrong }), 'ERR_INVALID_ARG_TYPE')
  }
  for (const wrong of [null, 1, ['a']])
    t.is(code({ url, prefix, headers: { a: wrong } }), 'ERR_INVALID_ARG_TYPE')
  for (const headers of [{ 'a b': 'c' }, { '': 'c' }, { authorization: 'secret\n' }]) {
    const error = t.throws(() => etcd({ url, prefix, headers }))
    t.is(codeOf(error), 'ERR_INVALID_ARG_VALUE')
    t.false(error?.message.includes('secret'))
  }
  t.notThrows(() => etcd({ url, prefix, tls: undefined, headers: { authorization: 'a' } }))
  const wrong = async (options: object): Promise<unknown> =>
    codeOf(await rejection(register({ url, key: 'a', address: { port: 1 }, ...options })))
  for (const ttl of [0, 1, 1.5, 3_601, Number.NaN, Number.POSITIVE_INFINITY]) {
    t.is(await wrong({ ttl }), 'ERR_INVALID_ARG_VALUE')
  }
  t.is(await wrong({ key: '' }), 'ERR_INVALID_ARG_TYPE')
  t.is(await wrong({ address: { port: 0 } }), 'ERR_INVALID_ARG_VALUE')
  t.is(await wrong({ weight: 0 }), 'ERR_INVALID_ARG_VALUE')
  t.is(await wrong({ onError: 1 }), 'ERR_INVALID_ARG_TYPE')
  t.is(await wrong({ lease: 1 }), 'ERR_INVALID_ARG_VALUE')
})
