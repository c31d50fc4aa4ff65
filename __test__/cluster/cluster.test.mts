import { isDeepStrictEqual } from 'node:util'
import test from 'ava'

import {
  type BalancedCall,
  type Balancer,
  Cluster,
  type ClusterOptions,
  consistentHash,
  fixed,
  leastLoaded,
  type Node,
  roundRobin,
} from '../../dist/cluster/index.mjs'
import type { NetpollError } from '../../dist/index.mjs'
import { clusterOf, endpointsOf, members, ready, say, sayAll, ToldResolver } from '../support/cluster.mjs'
import { deferred, until } from '../support/deferred.mjs'
import { id, request, textOf } from '../support/leaving.mjs'
import { freePort, netServer } from '../support/listeners.mjs'
import { codeOf, framing, rejection } from '../support/netpoll.mjs'
import { openSockets } from '../support/system.mjs'

const timeout = 60_000
const at = (port: number) => ({ address: { host: '127.0.0.1', port } })

for (const pollers of [0, 1, 2]) {
  test(`each server has its share of the calls, one after the other: ${pollers} pollers`, async (t) => {
    const all = await members(t, 3, undefined, { pollers })
    const cluster = clusterOf(t, fixed(endpointsOf(all)), { balancer: roundRobin(), pollers })
    await ready(cluster, 3)
    await sayAll(cluster, 30)
    t.deepEqual(
      all.map(({ got }) => got.length),
      [10, 10, 10],
    )
  })
}

test('calls wait until a server is ready, and go to no other', async (t) => {
  const port = await freePort()
  const resolver = new ToldResolver([at(port)])
  const cluster = clusterOf(t, resolver, { onError: () => {} })
  const waiting = say(cluster, 'early', { timeout })
  await until(() => cluster.stats().pending === 1)
  const [one] = await members(t, 1)
  if (one === undefined) return
  resolver.tell([at(port), one.endpoint])
  t.is(await waiting, 'early')
  await sayAll(cluster, 20)
  t.is(one.got.length, 21)
  t.is(cluster.stats().ready, 1)
})

test('without a server a call without a limit learns why, and one with a limit waits for that', async (t) => {
  const cluster = clusterOf(t, fixed([at(await freePort())]), { onError: () => {} })
  const error = (await rejection(cluster.call(request('a')))) as NetpollError
  t.is(error.code, 'ERR_NO_ENDPOINT')
  t.is(error.sent, false)
  t.is(codeOf(error.cause), 'ECONNREFUSED')
  const late = (await rejection(cluster.call(request('a'), { timeout: 20 }))) as NetpollError
  t.is(late.code, 'ERR_REQUEST_TIMEOUT')
  t.is(late.sent, false)
})

test('a call that waits is given up by its signal', async (t) => {
  const cluster = clusterOf(t, new ToldResolver())
  const controller = new AbortController()
  const call = cluster.call(request('a'), { signal: controller.signal })
  await until(() => cluster.stats().pending === 1)
  controller.abort(new Error('no longer'))
  t.is(((await rejection(call)) as Error).message, 'no longer')
  t.is(cluster.stats().size, 0)
})

test('no more calls wait than may', async (t) => {
  const cluster = clusterOf(t, new ToldResolver(), { maxWaiters: 2 })
  const waiting = [1, 2].map(() => rejection(cluster.call(request('a'), { timeout })))
  await until(() => cluster.stats().pending === 2)
  t.is(codeOf(await rejection(cluster.call(request('a'), { timeout }))), 'ERR_NO_ENDPOINT')
  await cluster.close({ timeout: 0 })
  for (const error of await Promise.all(waiting)) t.is(codeOf(error), 'ERR_CLUSTER_CLOSED')
})

test('what was never sent goes to another server, and what may have been sent does not', async (t) => {
  const { port, sockets } = await netServer(t)
  const [good] = await members(t, 1)
  if (good === undefined) return
  const resolver = new ToldResolver([at(port)])
  const cluster = clusterOf(t, resolver, { maxBufferedBytes: 2 ** 28, onError: () => {} })
  await ready(cluster, 1)
  const socket = await sockets.take()
  socket.pause()
  const texts = Array.from({ length: 64 }, (_, index) => `${index}`.padEnd(400_000, '.'))
  const calls = texts.map((text) => say(cluster, text, { timeout }))
  const results = Promise.allSettled(calls)
  resolver.tell([at(port), good.endpoint])
  await ready(cluster, 2)
  socket.resetAndDestroy()
  const ended = await results
  const failed = ended.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[]
  t.true(failed.length > 0)
  for (const { reason } of failed) t.true((reason as NetpollError).sent)
  t.is(good.got.length, texts.length - failed.length)
  t.true(good.got.length > 0)
  t.is(cluster.stats().retries, good.got.length)
})

test('a call that is idempotent is made again where it may have been carried out; others are not', async (t) => {
  const all = await members(t, 2, (message, index) => {
    if (index === 1) return message
    all[0]?.accepted.all.at(-1)?.destroy()
    return new Promise(() => {})
  })
  const [bad, good] = all
  if (bad === undefined || good === undefined) return
  const badFirst: Balancer = {
    pick: (nodes, { tried }) =>
      nodes.find(
        ({ endpoint }) => isDeepStrictEqual(endpoint.address, bad.endpoint.address) === (tried.length === 0),
      ),
  }
  const ejection = { failures: Number.POSITIVE_INFINITY }
  const cluster = clusterOf(t, fixed(endpointsOf(all)), { balancer: badFirst, ejection })
  await ready(cluster, 2)
  t.is(await say(cluster, 'again', { idempotent: true, timeout }), 'again')
  await ready(cluster, 2)
  const error = (await rejection(say(cluster, 'once', { timeout }))) as NetpollError
  t.true(error.sent)
  t.deepEqual(bad.got, ['again', 'once'])
  t.deepEqual(good.got, ['again'])
})

test('a server that is in the list no longer ends its calls, and gets no others', async (t) => {
  const held = deferred<void>()
  const all = await members(t, 2, async (message, index) => {
    if (index === 0) await held.promise
    return message
  })
  const [leaving, staying] = all
  if (leaving === undefined || staying === undefined) return
  const resolver = new ToldResolver([leaving.endpoint])
  const cluster = clusterOf(t, resolver)
  const call = say(cluster, 'held', { timeout })
  await until(() => leaving.got.length === 1)
  resolver.tell([staying.endpoint])
  await until(() => cluster.stats().draining === 1)
  await sayAll(cluster, 10, { timeout })
  t.deepEqual(leaving.got, ['held'])
  held.resolve()
  t.is(await call, 'held')
  await until(() => cluster.stats().draining === 0)
  t.is(staying.got.length, 10)
})

test('calls to a server that is in the list no longer have a limit', async (t) => {
  const [one, other] = await members(t, 2, (message, index) =>
    index === 0 ? new Promise(() => {}) : message,
  )
  if (one === undefined || other === undefined) return
  const resolver = new ToldResolver([one.endpoint])
  const cluster = clusterOf(t, resolver, { drainTimeout: 10 })
  const call = rejection(say(cluster, 'held'))
  await until(() => one.got.length === 1)
  resolver.tell([other.endpoint])
  t.is(codeOf(await call), 'ERR_CONN_CLOSED')
})

test('an empty list, one of no endpoints and an error keep the last one, and are told', async (t) => {
  const all = await members(t, 1)
  const errors: unknown[] = []
  const resolver = new ToldResolver(endpointsOf(all))
  const cluster = clusterOf(t, resolver, { onError: (error) => void errors.push(error) })
  await ready(cluster, 1)
  resolver.tell([])
  resolver.tell([{ address: { port: 0 } }])
  resolver.tell(new Error('the registry is away'))
  await until(() => errors.length === 2 && resolver.watches === 2)
  t.is(codeOf(errors[0]), 'ERR_INVALID_ARG_VALUE')
  t.is((errors[1] as Error).message, 'the registry is away')
  t.is(await say(cluster, 'still'), 'still')
})

test('after a loss the resolver is asked again, and the server is dialed again', async (t) => {
  const all = await members(t, 1)
  const resolver = new ToldResolver(endpointsOf(all))
  const cluster = clusterOf(t, resolver)
  await ready(cluster, 1)
  const connection = await all[0]?.accepted.take()
  connection?.destroy()
  await all[0]?.accepted.reach(2)
  await until(() => resolver.refreshes > 0)
  await ready(cluster, 1)
  t.is(await say(cluster, 'again'), 'again')
})

test('close waits for the calls, and refuses others', async (t) => {
  const before = openSockets()
  const held = deferred<void>()
  const all = await members(t, 2, async (message) => {
    await held.promise
    return message
  })
  const cluster = clusterOf(t, fixed(endpointsOf(all)))
  const call = say(cluster, 'last')
  await until(() => all.some(({ got }) => got.length > 0))
  const closed = cluster.close()
  t.is(codeOf(await rejection(say(cluster, 'late'))), 'ERR_CLUSTER_CLOSED')
  held.resolve()
  t.is(await call, 'last')
  await closed
  await Promise.all(all.map(({ server }) => server.close()))
  t.true(openSockets() <= before)
})

test('close with a time ends what is left', async (t) => {
  const all = await members(t, 2, () => new Promise(() => {}))
  const cluster = clusterOf(t, fixed(endpointsOf(all)))
  const call = rejection(say(cluster, 'never', { idempotent: true }))
  await until(() => all.some(({ got }) => got.length > 0))
  await cluster.close({ timeout: 0 })
  t.is(codeOf(await call), 'ERR_CONN_CLOSED')
})

test('send goes to one of the servers', async (t) => {
  const all = await members(t, 2, () => undefined)
  const cluster = clusterOf(t, fixed(endpointsOf(all)))
  for (const text of ['a', 'b', 'c']) await cluster.send(request(text))
  await until(() => all.reduce((sum, { got }) => sum + got.length, 0) === 3)
  t.pass()
})

test('a request may be changed once call has returned: a retry sends what was given', async (t) => {
  const { port, sockets } = await netServer(t)
  const [good] = await members(t, 1)
  if (good === undefined) return
  const resolver = new ToldResolver([at(port)])
  const cluster = clusterOf(t, resolver)
  await ready(cluster, 1)
  const message = request('kept')
  const call = cluster.call(message, { idempotent: true, timeout })
  message.fill('x', 4)
  const socket = await sockets.take()
  resolver.tell([at(port), good.endpoint])
  await ready(cluster, 2)
  socket.destroy()
  t.is((await call).toString('utf8', 4), 'kept')
  t.deepEqual(good.got, ['kept'])
})

test('balancers get of a call its key and where it has gone, and can change nothing', async (t) => {
  const all = await members(t, 3, (message, index) => {
    if (index === 2) return message
    all[index]?.accepted.all.at(-1)?.destroy()
    return new Promise(() => {})
  })
  const seen: { readonly ready: readonly Node[]; readonly call: BalancedCall }[] = []
  const inOrder: Balancer = {
    pick: (ready, call) => {
      seen.push({ ready, call })
      const ports = all.map(({ port }) => port)
      const untried = ready.filter((node) => !call.tried.includes(node))
      const rank = (node: Node): number => ports.indexOf(Number(node.endpoint.address.port))
      return untried.toSorted((one, other) => rank(one) - rank(other))[0]
    },
  }
  const hedge = { delay: 1 }
  for (const options of [{}, { hedge }]) {
    const cluster = clusterOf(t, fixed(endpointsOf(all)), { balancer: inOrder, ...options })
    for (const key of [undefined, '', 'a']) {
      await ready(cluster, 3)
      seen.length = 0
      await say(cluster, 'a', { key, idempotent: true, timeout })
      t.true(seen.some(({ call }) => call.tried.length > 0))
      for (const { ready: nodes, call } of seen) {
        t.deepEqual(Reflect.ownKeys(call), ['key', 'tried'])
        t.is(Object.getPrototypeOf(call), Object.prototype)
        t.is(call.key, key)
        for (const one of [call, call.tried, nodes]) t.true(Object.isFrozen(one))
      }
      // What one was given stays as it was.
      t.deepEqual(seen[0]?.call.tried, [])
    }
    await cluster.close({ timeout: 0 })
  }
})

test('a balancer that answers nonsense, or throws, costs that call', async (t) => {
  const all = await members(t, 1)
  let answer: unknown = 'nonsense'
  const balancer = {
    pick: (nodes: readonly unknown[]) => {
      if (answer instanceof Error) throw answer
      return answer === 'right' ? nodes[0] : answer
    },
  }
  const cluster = clusterOf(t, fixed(endpointsOf(all)), { balancer: balancer as never })
  await ready(cluster, 1)
  t.is(codeOf(await rejection(say(cluster, 'a'))), 'ERR_INVALID_ARG_VALUE')
  answer = new Error('no idea')
  t.is(((await rejection(say(cluster, 'a'))) as Error).message, 'no idea')
  answer = 'right'
  t.is(await say(cluster, 'a'), 'a')
  t.is(cluster.stats().size, 0)
})

test('options are refused that are none, or have no meaning', async (t) => {
  const resolver = fixed([at(1)])
  const refused = (options: object, code = 'ERR_INVALID_ARG_VALUE'): void => {
    const error = t.throws(() => new Cluster(resolver, { framing, id, ...options } as ClusterOptions))
    t.is(codeOf(error), code, JSON.stringify(options))
  }
  for (const [name, members] of [
    ['retry', ['tries', 'perSecond']],
    ['ejection', ['min', 'max']],
  ] as const) {
    for (const member of members) {
      for (const value of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])
        refused({ [name]: { [member]: value } })
      refused({ [name]: { [member]: '1' } }, 'ERR_INVALID_ARG_TYPE')
    }
  }
  for (const value of [-0.1, 1.1, Number.NaN, Number.POSITIVE_INFINITY]) {
    refused({ retry: { ratio: value } })
    refused({ ejection: { share: value } })
  }
  for (const value of [0, -1, 0.5, Number.NaN]) refused({ ejection: { failures: value } })
  for (const value of [0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) refused({ hedge: { delay: value } })
  refused({ hedge: {} }, 'ERR_INVALID_ARG_TYPE')
  for (const value of [-1, 0.5, Number.NaN]) refused({ subset: value })
  for (const value of [-1, Number.NaN]) {
    refused({ slowStart: value }, 'ERR_OUT_OF_RANGE')
    refused({ drainTimeout: value }, 'ERR_OUT_OF_RANGE')
  }
  for (const value of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) refused({ maxWaiters: value })
  for (const name of ['retry', 'hedge', 'ejection', 'balancer'])
    refused({ [name]: null }, 'ERR_INVALID_ARG_TYPE')
  refused({ clientId: '' }, 'ERR_INVALID_ARG_TYPE')
  refused({ isUnavailable: true }, 'ERR_INVALID_ARG_TYPE')
  refused({ retries: 1 })
  refused({ retry: { try: 1 } })
  refused({ framing: undefined, id: undefined }, 'ERR_UNSUPPORTED')
  for (const value of [undefined, null, {}, [], 'dns', { port: 1 }]) {
    t.is(codeOf(t.throws(() => new Cluster(value as never, { framing, id }))), 'ERR_INVALID_ARG_TYPE')
  }
})

test('0, Infinity and nothing mean what they say', async (t) => {
  const resolver = fixed([at(1)])
  for (const options of [
    { subset: 0 },
    { subset: Number.POSITIVE_INFINITY },
    { slowStart: 0, drainTimeout: 0, maxWaiters: 0 },
    { slowStart: Number.POSITIVE_INFINITY, drainTimeout: 0.5 },
    { ejection: { failures: Number.POSITIVE_INFINITY, share: 0 } },
    { retry: { tries: 0, ratio: 0, perSecond: 0 } },
    { retry: undefined, hedge: undefined, balancer: undefined, subset: undefined, clientId: undefined },
  ]) {
    const cluster = new Cluster(resolver, { framing, id, onError: () => {}, ...options })
    await cluster.close({ timeout: 0 })
  }
  t.pass()
})

test('members of options that are changed later change nothing', async (t) => {
  const all = await members(t, 2)
  const [backoff, field] = [
    { min: 1, max: 20 },
    { offset: 0, size: 4 as 4 | 3 },
  ]
  const resolver = new ToldResolver(endpointsOf(all.slice(1)))
  const cluster = clusterOf(t, resolver, { backoff, id: field as { offset: 0; size: 4 } })
  await ready(cluster, 1)
  backoff.min = -1
  field.size = 3
  resolver.tell(endpointsOf(all))
  await ready(cluster, 2)
  t.is(await say(cluster, 'a'), 'a')
})

test('endpoints are checked', (t) => {
  for (const weight of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e7, '1', null]) {
    const error = t.throws(() => fixed([{ ...at(1), weight: weight as number }]))
    t.is(codeOf(error), 'ERR_INVALID_ARG_VALUE')
  }
  for (const list of [null, undefined, 'a', {}]) {
    t.is(codeOf(t.throws(() => fixed(list as never))), 'ERR_INVALID_ARG_TYPE')
  }
  for (const endpoint of [null, {}, { address: null }, { ...at(1), servername: '' }]) {
    t.is(codeOf(t.throws(() => fixed([endpoint as never]))), 'ERR_INVALID_ARG_TYPE')
  }
  t.is(codeOf(t.throws(() => fixed([{ ...at(1), port: 1 } as never]))), 'ERR_INVALID_ARG_VALUE')
  t.notThrows(() => fixed([{ address: { path: '/run/a.sock' }, weight: 0.5, servername: 'a' }]))
})

/** Values that numbers may be by mistake, and those that mean absence. */
const oddValues = [0, Number.POSITIVE_INFINITY, 0.5, Number.NaN, -1, undefined, null, '1', 1n, {}]

/** What becomes of each of them: the code of an error, or nothing. */
type Verdicts = readonly (string | undefined)[]

const [type, value, range] = ['ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_VALUE', 'ERR_OUT_OF_RANGE']
const fine = undefined
const noNumbers = [type, type, type, type, type, fine, type, type, type, type]
const limits: Verdicts = [fine, fine, fine, range, range, fine, type, type, type, type]
const wholes: Verdicts = [fine, value, value, value, value, fine, type, type, type, type]
const positives: Verdicts = [value, value, value, value, value, fine, type, type, type, type]
const shares: Verdicts = [fine, value, fine, value, value, fine, type, type, type, type]

const optionVerdicts: readonly (readonly [string, Verdicts])[] = [
  ['slowStart', limits],
  ['drainTimeout', limits],
  ['requestTimeout', limits],
  ['connectTimeout', limits],
  ['maxLifetime', limits],
  ['subset', [fine, fine, value, value, value, fine, type, type, type, type]],
  ['maxWaiters', wholes],
  ['connections', positives],
  ['maxConcurrentCalls', positives],
  ['retry.tries', wholes],
  ['retry.perSecond', wholes],
  ['retry.ratio', shares],
  ['ejection.failures', [value, fine, value, value, value, fine, type, type, type, type]],
  ['ejection.min', positives],
  ['ejection.max', positives],
  ['ejection.share', shares],
  ['hedge.delay', positives.with(5, type)],
  ['backoff.min', positives],
  ['backoff.max', positives],
  ['clientId', noNumbers.with(7, fine)],
  ['isUnavailable', noNumbers],
  ['onError', noNumbers],
  ['balancer', noNumbers],
  ['retry', noNumbers.with(9, fine)],
  ['ejection', noNumbers.with(9, fine)],
  ['hedge', noNumbers],
  ['backoff', noNumbers.with(9, fine)],
]

for (const [name, verdicts] of optionVerdicts) {
  test(`the option ${name} of a cluster: what it may be`, async (t) => {
    const [outer = '', inner] = name.split('.')
    for (const [index, odd] of oddValues.entries()) {
      const options = { [outer]: inner === undefined ? odd : { [inner]: odd } }
      const make = (): Cluster =>
        new Cluster(new ToldResolver(), { framing, id, ...options } as unknown as ClusterOptions)
      let code: unknown
      try {
        await make().close({ timeout: 0 })
      } catch (error) {
        code = codeOf(error) ?? error
      }
      t.is(code, verdicts[index], `${typeof odd} ${String(odd)}`)
    }
  })
}

const callVerdicts: readonly (readonly [string, Verdicts])[] = [
  ['timeout', limits],
  ['deadline', [late(), fine, late(), range, late(), fine, type, type, type, type]],
  ['key', noNumbers.with(7, fine)],
  ['idempotent', noNumbers],
  ['signal', noNumbers.with(6, fine)],
]

/** Of a time in the year 1970. */
function late(): string {
  return 'ERR_REQUEST_TIMEOUT'
}

for (const [name, verdicts] of callVerdicts) {
  test(`the option ${name} of a call and of send: what it may be`, async (t) => {
    const all = await members(t, 1, (message) => (textOf(message) === 'news' ? undefined : message))
    const cluster = clusterOf(t, fixed(endpointsOf(all)))
    await ready(cluster, 1)
    for (const [index, odd] of oddValues.entries()) {
      // Half a millisecond is rounded up to one, which may be too short.
      const settled = async (promise: Promise<unknown>): Promise<unknown> => {
        try {
          await promise
          return undefined
        } catch (error) {
          const code = codeOf(error)
          return odd === 0.5 && name === 'timeout' && code === 'ERR_REQUEST_TIMEOUT' ? undefined : code
        }
      }
      const options = { [name]: odd } as object
      t.is(
        await settled(cluster.call(request('a'), options)),
        verdicts[index],
        `${typeof odd} ${String(odd)}`,
      )
      // It is no option of what is not answered.
      const ofSend = name === 'idempotent' && odd !== undefined ? value : verdicts[index]
      t.is(await settled(cluster.send(request('news'), options)), ofSend, `${typeof odd} ${String(odd)}`)
    }
    t.is(cluster.stats().pending, 0)
  })
}

test('options of calls are checked', async (t) => {
  const all = await members(t, 1)
  const cluster = clusterOf(t, fixed(endpointsOf(all)))
  const code = async (options: object): Promise<unknown> =>
    codeOf(await rejection(cluster.call(request('a'), options as never)))
  t.is(await code({ idempotnt: true }), 'ERR_INVALID_ARG_VALUE')
  t.is(await code({ deadline: 1 }), 'ERR_REQUEST_TIMEOUT')
  t.is(codeOf(await rejection(cluster.call(1 as never))), 'ERR_INVALID_ARG_TYPE')
  t.is(
    codeOf(await rejection(cluster.send(request('a'), { idempotent: true } as never))),
    'ERR_INVALID_ARG_VALUE',
  )
  t.is(await say(cluster, 'a', { key: '', idempotent: undefined, timeout: Number.POSITIVE_INFINITY }), 'a')
  t.is(cluster.stats().size, 0)
})

test('each kind of balancer serves a cluster', async (t) => {
  const all = await members(t, 3)
  for (const balancer of [leastLoaded(), roundRobin(), consistentHash()]) {
    const cluster = clusterOf(t, fixed(endpointsOf(all)), { balancer })
    await ready(cluster, 3)
    await sayAll(cluster, 10, { key: 'a' })
    await sayAll(cluster, 10)
  }
  t.is(
    all.reduce((sum, { got }) => sum + got.length, 0),
    60,
  )
})
