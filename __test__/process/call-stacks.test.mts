import { once } from 'node:events'
import { types } from 'node:util'
import test, { type ExecutionContext } from 'ava'

import {
  type Connection,
  configure,
  type DialTarget,
  Dialer,
  Mux,
  NetpollError,
  Pool,
} from '../../dist/index.mjs'
import { fixed, type Resolver } from '../../dist/cluster/index.mjs'
import { RpcError, TransportClient } from '../../dist/rpc/index.mjs'
import { clusterOf, members, ready } from '../support/cluster.mjs'
import { freePort, fullListener } from '../support/listeners.mjs'
import { JsonCodec } from '../support/json-codec.mjs'
import { framing, gone } from '../support/netpoll.mjs'
import { connectionAt, rawServer } from '../support/placed.mjs'
import { places, words } from '../support/places.mjs'
import { clientOf, serveCalls } from '../support/rpc.mjs'
import {
  errorOf,
  errorUnawaited,
  type Failing,
  saysWhoAwaits,
  saysWhoCalls,
  saysWhoMadeIt,
} from '../support/stacks.mjs'
import { runFixture } from '../support/system.mjs'
import { serveThrift, thriftClient } from '../support/thrift.mjs'

/** Of servers that are none. */
const found: Resolver = fixed([{ address: { path: '/nowhere/no.sock' } }])
/** Finds nothing. */
const finding: Resolver = {
  async *watch(signal) {
    await once(signal, 'abort')
    yield []
  },
}

const nowhere = async (): Promise<DialTarget> => ({ host: '127.0.0.1', port: await freePort() })

/** Every way in, and what can go wrong there. */
const ways: Readonly<Record<string, (t: ExecutionContext) => Promise<Failing>>> = {
  'a dial that is refused': async () => {
    const target = await nowhere()
    return { call: () => new Dialer({ framing }).dial(target) }
  },
  'a dial of a name': async () => {
    const { port } = (await nowhere()) as { readonly port: number }
    return { call: () => new Dialer({ framing }).dial({ host: 'localhost', port }) }
  },
  'a dial that takes too long': async (t) => {
    const { port } = await fullListener(t)
    return { call: () => new Dialer({ framing }).dial({ host: '127.0.0.1', port, connectTimeout: 20 }) }
  },
  'a dial whose deadline has passed': async () => {
    const target = await nowhere()
    return { call: () => new Dialer({ framing }).dial({ ...target, deadline: 1 }) }
  },
  'fromFd of what is no socket': async () => ({ call: () => new Dialer({ framing }).fromFd(0x7fff_fff0) }),
  'a call of a pool that gets no reply': async (t) => {
    const pool = new Pool((await rawServer(t, 'tcp')).target, { framing, requestTimeout: 20 })
    t.teardown(() => pool.close({ timeout: 0 }))
    return { call: () => pool.call('x') }
  },
  'a call of a pool that connects to nobody': async (t) => {
    const pool = new Pool(await nowhere(), { framing })
    t.teardown(() => pool.close({ timeout: 0 }))
    return { call: () => pool.call('x') }
  },
  'a call of a pool that is closed': async () => {
    const pool = new Pool(await nowhere(), { framing })
    await pool.close()
    return { call: () => pool.call('x') }
  },
  'get of a pool that has none free': async (t) => {
    const { target } = await rawServer(t, 'tcp')
    const pool = new Pool(target, { framing, connections: 1 })
    t.teardown(() => pool.close({ timeout: 0 }))
    await pool.get()
    return { call: () => pool.get({ timeout: 20 }) }
  },
  'get of a pool that connects to nobody': async (t) => {
    const pool = new Pool(await nowhere(), { framing })
    t.teardown(() => pool.close({ timeout: 0 }))
    return { call: () => pool.get() }
  },
  'get of a pool that is closed': async () => {
    const pool = new Pool(await nowhere(), { framing })
    await pool.close()
    return { call: () => pool.get() }
  },
  'a call of a mux that gets no reply': async (t) => {
    const mux = new Mux((await rawServer(t, 'tcp')).target, { framing, requestTimeout: 20 })
    t.teardown(() => mux.close({ timeout: 0 }))
    return { call: () => mux.call('x') }
  },
  'a call of a mux that connects to nobody': async (t) => {
    const mux = new Mux(await nowhere(), { framing })
    t.teardown(() => mux.close({ timeout: 0 }))
    return { call: () => mux.call('x') }
  },
  'a call of a mux that is closed': async () => {
    const mux = new Mux(await nowhere(), { framing })
    await mux.close()
    return { call: () => mux.call('x') }
  },
  'a call of netpoll/rpc that gets no reply': async (t) => {
    const { port } = await serveCalls(t, () => new Promise(() => {}))
    const client = clientOf(t, port, { requestTimeout: 20 })
    return { call: () => client.call('x', null) }
  },
  'a call of netpoll/rpc by a pool, within middleware': async (t) => {
    const { port } = await serveCalls(t, () => new Promise(() => {}))
    const client = clientOf(t, port, {
      kind: 'pool',
      requestTimeout: 20,
      middleware: [(next) => async (call) => await next(call)],
    })
    return { call: () => client.call('x', null) }
  },
  'a call of netpoll/rpc that is answered by an error': async (t) => {
    const { port } = await serveCalls(t, () => {
      throw new RpcError('ERR_OF_THE_TEST', 'sent')
    })
    const client = clientOf(t, port)
    return { call: () => client.call('x', null) }
  },
  'a call of netpoll/rpc whose deadline has passed': async (t) => {
    const { port } = await serveCalls(t, () => null)
    const client = clientOf(t, port)
    return { call: () => client.call('x', null, { deadline: 1 }) }
  },
  'a call of netpoll/rpc whose deadline has passed, within middleware': async (t) => {
    const { port } = await serveCalls(t, () => null)
    const client = clientOf(t, port, {
      kind: 'pool',
      middleware: [(next) => async (call) => await next(call)],
    })
    return { call: () => client.call('x', null, { deadline: 1 }) }
  },
  'a call of a cluster that gets no reply': async (t) => {
    const servers = await members(t, 1, () => new Promise(() => {}))
    const cluster = clusterOf(t, fixed(servers.map(({ endpoint }) => endpoint)))
    await ready(cluster, 1)
    return { call: () => cluster.call('abcd', { timeout: 20 }) }
  },
  'a call of a cluster whose deadline has passed': async (t) => {
    const cluster = clusterOf(t, finding)
    return { call: () => cluster.call('abcd', { deadline: 1 }) }
  },
  'a call of a cluster that gets no server in time': async (t) => {
    const cluster = clusterOf(t, finding)
    return { call: () => cluster.call('abcd', { timeout: 20 }) }
  },
  'a call of a cluster that connects to nobody': async (t) => {
    const cluster = clusterOf(t, found, { onError: () => {} })
    return { call: () => cluster.call('abcd') }
  },
  'a call of a cluster beside as many as may wait': async (t) => {
    const cluster = clusterOf(t, finding, { maxWaiters: 0 })
    return { call: () => cluster.call('abcd') }
  },
  'a call of a cluster whose replies are looked at, beside as many as may wait': async (t) => {
    const cluster = clusterOf(t, finding, { maxWaiters: 0, isUnavailable: () => false })
    return { call: () => cluster.call('abcd') }
  },
  'a call of a cluster that is closed': async (t) => {
    const cluster = clusterOf(t, finding)
    await cluster.close()
    return { call: () => cluster.call('abcd') }
  },
  'a call of a cluster that waits while it is closed': async (t) => {
    const cluster = clusterOf(t, finding)
    return { call: () => cluster.call('abcd'), fail: () => cluster.close({ timeout: 0 }) }
  },
  'a call of netpoll/rpc that is closed': async (t) => {
    const { port } = await serveCalls(t, () => null)
    const client = clientOf(t, port)
    await client.close()
    return { call: () => client.call('x', null) }
  },
}

for (const place of places) {
  const options = place.side === 'server' ? { id: { offset: 0, size: 4 } as const } : {}
  const kinds: Readonly<Record<string, (t: ExecutionContext) => Promise<Failing>>> = {
    'that gets no reply': async (t) => {
      const { connection } = await connectionAt(t, place, options)
      return { call: () => connection.call('abcd', { timeout: 20 }) }
    },
    'whose peer has gone': async (t) => {
      const { connection, peer } = await connectionAt(t, place, options)
      const fail = async (): Promise<void> => {
        await peer.read(8)
        if (place.transport === 'tcp') peer.reset()
        else peer.destroy()
      }
      return { call: () => connection.call('abcd'), fail }
    },
    'that is destroyed': async (t) => {
      const { connection } = await connectionAt(t, place, options)
      return { call: () => connection.call('abcd'), fail: () => connection.destroy(new Error('of the test')) }
    },
    'that is gone': async (t) => {
      const { connection } = await connectionAt(t, place, options)
      await gone(connection)
      return { call: () => connection.call('abcd') }
    },
  }
  for (const [kind, begin] of Object.entries(kinds)) {
    test.serial(`a call on a connection ${kind} says who makes it: ${words(place)}`, async (t) => {
      const { call, fail } = await begin(t)
      const error = errorOf(call)
      await fail?.()
      saysWhoCalls(t, await error)
    })
  }
}

for (const [way, begin] of Object.entries(ways)) {
  test.serial(`${way} says who has made it`, (t) => saysWhoAwaits(t, begin))

  test.serial(`${way} says who has made it with callStacks, although nobody awaits it`, (t) =>
    saysWhoMadeIt(t, begin),
  )
}

test.serial('a call of netpoll/thrift says who has made it with callStacks', async (t) => {
  const { port } = await serveThrift(t, { wait: () => new Promise(() => {}) })
  const { service } = thriftClient(t, port, { requestTimeout: 20 })
  const withoutFrames = (await errorOf(() => service.wait(60_000))) as Error
  t.regex(String(withoutFrames.stack), /^NetpollError: No reply within \d+ ms$/)
  configure({ callStacks: true })
  t.teardown(() => configure({ callStacks: false }))
  const { stack } = (await errorUnawaited(() => service.wait(60_000))) as Error
  t.regex(String(stack), /\n {4}at theCaller /)
  t.notRegex(String(stack), /\/dist\//)
})

test.serial('of thousands that fail at once, a hundred say who awaits them', async (t) => {
  const { connection } = await connectionAt(t, { side: 'dialed', pollers: 0, transport: 'tcp' })
  const errors = Promise.all(Array.from({ length: 5_000 }, () => errorOf(() => connection.call('x'))))
  connection.destroy()
  const stacks = (await errors).map((error) => String((error as Error).stack))
  t.is(new Set(await errors).size, 5_000)
  t.is(stacks.filter((stack) => stack.includes('theCaller')).length, 100)
  t.is(stacks.filter((stack) => stack.includes('/dist/')).length, 0)
})

test.serial(
  'of hundreds that fail turn after turn, a hundred in ten milliseconds say who awaits them',
  async (t) => {
    const failing = []
    for (let turn = 0; turn < 30; turn += 1) {
      const { connection } = await connectionAt(t, { side: 'dialed', pollers: 0, transport: 'tcp' })
      const calls = Array.from({ length: 100 }, () => errorOf(() => connection.call('x')))
      failing.push({ connection, errors: Promise.all(calls) })
    }
    const began = performance.now()
    const stacks: string[] = []
    for (const { connection, errors } of failing) {
      await new Promise(setImmediate)
      connection.destroy()
      stacks.push(...(await errors).map((error) => String((error as Error).stack)))
    }
    const most = 100 * Math.ceil((performance.now() - began) / 10 + 1)
    const made = stacks.filter((stack) => stack.includes('theCaller')).length
    t.true(made <= most, `${made} of at most ${most}`)
  },
)

/** What fails many calls of a connection at once. */
const fails: Readonly<Record<string, (connection: Connection) => unknown>> = {
  'it is destroyed': (connection) => connection.destroy(),
  'it is destroyed by an error of its user': (connection) => connection.destroy(new Error('of the test')),
  'time is over': () => {},
}

for (const place of places) {
  for (const [how, fail] of Object.entries(fails)) {
    test.serial(`calls that fail together reject in order when ${how}: ${words(place)}`, async (t) => {
      const options = place.side === 'server' ? { id: { offset: 0, size: 4 } as const } : {}
      const { connection } = await connectionAt(t, place, options)
      t.teardown(() => configure({ callStacks: false }))
      const order: number[] = []
      const calls = Array.from({ length: 250 }, async (_, index) => {
        // Some note where they were made.
        configure({ callStacks: index % 3 === 0 })
        const call = connection.call(String(1_000 + index), { timeout: 50 })
        await t.throwsAsync(call)
        order.push(index)
      })
      fail(connection)
      await Promise.all(calls)
      t.deepEqual(
        order,
        calls.map((_, index) => index),
      )
    })
  }
}

for (const pollers of [0, 1, 2]) {
  test.serial(`a then of the user's that throws costs no call: ${pollers} pollers`, async (t) => {
    const { code, stdout, stderr } = await runFixture(t, 'patched-then', { args: [String(pollers)] })
    t.is(stderr, '')
    t.deepEqual(stdout.trimEnd().split('\n'), [
      'call: ERR_REQUEST_TIMEOUT',
      'dial: ECONNREFUSED',
      'send: ERR_CONN_CLOSED',
      'pool.get: ECONNREFUSED',
      'pool.call: ECONNREFUSED',
      'mux.call: hello',
      'unhandled: 0',
    ])
    t.is(code, 0)
  })
}

test.serial('a prepareStackTrace is given errors, and its text is kept', async (t) => {
  const { connection } = await connectionAt(t, { side: 'dialed', pollers: 0, transport: 'tcp' })
  const target = await nowhere()
  const { prepareStackTrace } = Error
  t.teardown(() => {
    Error.prepareStackTrace = prepareStackTrace
    configure({ callStacks: false })
  })
  const given: unknown[] = []
  Error.prepareStackTrace = (error, frames) => {
    given.push(error)
    return `<${error.message}> ${frames.map((frame) => frame.getFunctionName()).join(' < ')}`
  }
  const dialed = String(((await errorOf(() => new Dialer({ framing }).dial(target))) as Error).stack)
  configure({ callStacks: true })
  const called = String(((await errorOf(() => connection.call('x', { timeout: 10 }))) as Error).stack)
  Error.prepareStackTrace = prepareStackTrace
  t.regex(dialed, /^<connect ECONNREFUSED .*> .*theCaller/)
  t.regex(called, /^<No reply within 10 ms> .*theCaller/)
  t.true(given.length > 0)
  for (const error of given) t.true(types.isNativeError(error))
})

test.serial('a prepareStackTrace that makes no text leaves an error what it had', async (t) => {
  const target = await nowhere()
  const { prepareStackTrace } = Error
  t.teardown(() => {
    Error.prepareStackTrace = prepareStackTrace
  })
  Error.prepareStackTrace = (_error, frames) => frames
  const error = (await errorOf(() => new Dialer({ framing }).dial(target))) as Error
  const { stack } = error
  Error.prepareStackTrace = prepareStackTrace
  t.true(Array.isArray(stack), String(stack))
})

for (const [kind, prepare] of Object.entries({
  throws: () => {
    throw new Error('of prepareStackTrace')
  },
  'makes no text': () => ({}),
})) {
  test.serial(`a prepareStackTrace that ${kind} costs no call`, async (t) => {
    const { connection } = await connectionAt(t, { side: 'dialed', pollers: 0, transport: 'tcp' })
    const { prepareStackTrace } = Error
    t.teardown(() => {
      Error.prepareStackTrace = prepareStackTrace
      configure({ callStacks: false })
    })
    Error.prepareStackTrace = prepare
    const awaited = (await errorOf(() => connection.call('x', { timeout: 10 }))) as NetpollError
    configure({ callStacks: true })
    const noted = (await errorOf(() => connection.call('x', { timeout: 10 }))) as NetpollError
    Error.prepareStackTrace = prepareStackTrace
    t.is(awaited.code, 'ERR_REQUEST_TIMEOUT')
    t.is(noted.code, 'ERR_REQUEST_TIMEOUT')
  })
}

test.serial('what a call is aborted by stays as it is', async (t) => {
  const { connection } = await connectionAt(t, { side: 'dialed', pollers: 0, transport: 'tcp' })
  const controller = new AbortController()
  const reason = new NetpollError('ERR_OF_THE_TEST', 'of the user')
  const { stack } = reason
  const error = errorOf(() => connection.call('x', { signal: controller.signal }))
  controller.abort(reason)
  t.is(await error, reason)
  t.is(reason.stack, stack)
})

test.serial('what a call is aborted by before it is made stays as it is, too', async (t) => {
  const { connection } = await connectionAt(t, { side: 'dialed', pollers: 0, transport: 'tcp' })
  const address = { path: '/nowhere/no.sock' }
  const mux = new Mux(address, { framing })
  const pool = new Pool(address, { framing })
  const cluster = clusterOf(t, found)
  t.teardown(() => Promise.all([mux.close({ timeout: 0 }), pool.close({ timeout: 0 })]))
  const reason = new NetpollError('ERR_OF_THE_TEST', 'of the user')
  const { stack } = reason
  const options = { signal: AbortSignal.abort(reason) }
  for (const call of [
    () => connection.call('x', options),
    () => mux.call('x', options),
    () => mux.connect(options),
    () => pool.call('x', options),
    () => pool.get(options),
    () => cluster.call('x', options),
    () => new Dialer().dial({ ...address, ...options }),
  ]) {
    t.is(await errorOf(call), reason)
    t.is(reason.stack, stack, String(call))
  }
})

for (const callStacks of [false, true]) {
  test.serial(
    `middleware of a client of a cluster sees where it was called: call stacks ${callStacks}`,
    async (t) => {
      configure({ callStacks })
      t.teardown(() => configure({ callStacks: false }))
      const stacks: (string | undefined)[] = []
      const client = new TransportClient(finding, new JsonCodec(), {
        maxWaiters: 0,
        middleware: [
          (next) => async (call) => {
            try {
              return await next(call)
            } catch (error) {
              stacks.push((error as Error).stack)
              throw error
            }
          },
        ],
      })
      t.teardown(() => client.close({ timeout: 0 }))
      await errorOf(() => client.call('x', null, { timeout: 20 }))
      t.is(stacks.length, 1)
      t.true(String(stacks[0]).includes('call-stacks.test'), stacks[0])
    },
  )
}
