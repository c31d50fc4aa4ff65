import { createServer as createNetServer } from 'node:net'
import test, { type ExecutionContext } from 'ava'

import {
  type Connection,
  createServer,
  type DialTarget,
  Mux,
  type MuxOptions,
  NetpollError,
  type ReadyChange,
} from '../../dist/index.mjs'
import { deferred, Inbox, nextTurn, until } from '../support/deferred.mjs'
import { freePort, netServerAt, placeOf } from '../support/listeners.mjs'
import { codeOf, framing, rejection, targetOf } from '../support/netpoll.mjs'
import { runFixture } from '../support/system.mjs'

type Change = readonly [boolean, ReadyChange]

/** A mux, gone with the test, and what it tells of its readiness. */
function muxed(
  t: ExecutionContext,
  target: DialTarget,
  options: Partial<MuxOptions> = {},
): { readonly mux: Mux; readonly changes: Inbox<Change> } {
  const changes = new Inbox<Change>()
  const mux = new Mux(target, {
    framing,
    backoff: { min: 1, max: 20 },
    onReadyChange: (...change) => changes.push(change),
    ...options,
  })
  t.teardown(() => mux.close({ timeout: 0 }))
  return { mux, changes }
}

/** Lets a `maxIdleTime` of 1 ms pass: another mux with it tells, whose timer is younger and so acts later. */
async function idleTimePasses(t: ExecutionContext, target: DialTarget): Promise<void> {
  const { mux, changes } = muxed(t, target, { connections: 1, maxIdleTime: 1 })
  // From its end on the time counts, however long the dial takes.
  t.is(String(await mux.call('a')), 'a')
  t.deepEqual(await changes.take(), [true, 'connected'])
  t.deepEqual(await changes.take(), [false, 'idle'])
}

interface Place {
  readonly transport: 'tcp' | 'unix'
  readonly pollers: number
}

const places: readonly Place[] = [
  { transport: 'tcp', pollers: 0 },
  { transport: 'unix', pollers: 0 },
  { transport: 'tcp', pollers: 1 },
  { transport: 'unix', pollers: 2 },
]

/** A server that echoes, and its connections as they come. */
async function echoAt(t: ExecutionContext, { transport, pollers }: Place) {
  const accepted = new Inbox<Connection>()
  const server = createServer({ framing, pollers, onConnect: accepted.push }, async (request) =>
    String(request) === 'not answered' ? undefined : request,
  )
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen(placeOf(t, transport))
  return { server, target: targetOf(server), accepted }
}

const [inline] = places as readonly [Place]

for (const place of places) {
  const where = `${place.transport}, ${place.pollers} pollers`

  test(`connect dials without a call, and what is lost is dialed again (${where})`, async (t) => {
    const { target, accepted } = await echoAt(t, place)
    const { mux, changes } = muxed(t, target, { connections: 1, pollers: place.pollers, onError: () => {} })
    t.false(mux.isReady)
    t.is(await mux.connect(), undefined)
    t.true(mux.isReady)
    t.deepEqual(await changes.take(), [true, 'connected'])
    for (let round = 2; round <= 4; round += 1) {
      await accepted.reach(round - 1)
      for (const connection of accepted.all) connection.destroy()
      t.deepEqual(await changes.take(), [false, 'lost'])
      t.deepEqual(await changes.take(), [true, 'connected'])
    }
    await mux.close()
    t.false(mux.isReady)
    t.deepEqual(await changes.take(), [false, 'closed'])
    await nextTurn()
    t.is(changes.all.length, 8)
  })

  test(`a connection that is too old is replaced while it serves, and no call is lost (${where})`, async (t) => {
    const { target, accepted } = await echoAt(t, place)
    const { mux, changes } = muxed(t, target, {
      connections: 2,
      maxLifetime: 20,
      pollers: place.pollers,
    })
    await mux.connect()
    while (accepted.all.length < 12) {
      const replies = await Promise.all(['a', 'b', 'c'].map((text) => mux.call(text)))
      t.is(replies.join(''), 'abc')
    }
    t.deepEqual(changes.all, [[true, 'connected']])
    await until(() => accepted.all.filter(({ isActive }) => isActive).length <= 4)
    t.true(mux.stats().connected <= 3)
  })

  test(`connections that no call uses are closed after maxIdleTime, and the next call dials (${where})`, async (t) => {
    const { target, accepted } = await echoAt(t, place)
    // One alone: a second one that is dialed slowly would come after the first has gone, and be told of anew.
    const { mux, changes } = muxed(t, target, { connections: 1, maxIdleTime: 20, pollers: place.pollers })
    for (let round = 1; round <= 3; round += 1) {
      if (round === 2) await mux.connect()
      else if (round === 3) await mux.send('not answered')
      else t.is(String(await mux.call('a')), 'a')
      t.deepEqual(await changes.take(), [true, 'connected'])
      t.deepEqual(await changes.take(), [false, 'idle'])
      await until(() => accepted.all.every(({ isActive }) => !isActive))
    }
    await until(() => mux.stats().connected === 0)
  })

  for (const use of ['connect', 'send', 'call'] as const) {
    if (place.transport === 'unix') continue
    test(`a dial that takes longer than maxIdleTime leaves its connection to it: ${use} (${where})`, async (t) => {
      const { server } = await echoAt(t, place)
      const { port } = targetOf(server) as { port: number }
      const asked = deferred<() => void>()
      const { mux, changes } = muxed(
        t,
        { host: 'name', port },
        {
          connections: 1,
          maxIdleTime: 1,
          pollers: place.pollers,
          lookup: (_name, _options, callback) => asked.resolve(() => callback(null, '127.0.0.1', 4)),
        },
      )
      const controller = new AbortController()
      const connected = mux.connect({ signal: controller.signal })
      const used = use === 'send' ? mux.send('not answered') : use === 'call' ? mux.call('a') : connected
      if (use !== 'connect') {
        controller.abort(new Error('enough'))
        await rejection(connected)
      }
      const answer = await asked.promise
      await idleTimePasses(t, targetOf(server))
      answer()
      await used
      t.deepEqual(await changes.take(), [true, 'connected'])
      t.deepEqual(await changes.take(), [false, 'idle'])
      await until(() => mux.stats().connected === 0)
    })
  }

  test(`with failFast a call without a connection gets the dial’s error at once (${where})`, async (t) => {
    const port = await freePort()
    const path = placeOf(t, 'unix')
    const target = place.transport === 'unix' ? (path as { path: string }) : { host: '127.0.0.1', port }
    const { mux } = muxed(t, target, {
      failFast: true,
      pollers: place.pollers,
      backoff: { min: 600_000, max: 600_000 },
    })
    const code = place.transport === 'unix' ? 'ENOENT' : 'ECONNREFUSED'
    const attempts = ['call', 'again', 'send'].map((text) => async () => {
      const begun = text === 'send' ? mux.send(text) : mux.call(text, { timeout: 3_600_000 })
      return (await rejection(begun)) as NetpollError
    })
    const errors: NetpollError[] = []
    for (const attempt of attempts) errors.push(await attempt())
    const together = await Promise.all(attempts.map((attempt) => attempt()))
    for (const error of [...errors, ...together]) {
      t.is(codeOf(error), code)
      t.true(error instanceof NetpollError)
      t.is(error.sent ?? false, false)
    }
    t.is(new Set([...errors, ...together]).size, 6)
    t.is(mux.stats().size, 0)
  })
}

test('connect rejects as the dial does, and with a time waits for a server', async (t) => {
  const port = await freePort()
  const target = { host: '127.0.0.1', port }
  const { mux, changes } = muxed(t, target, { onError: () => {} })
  t.is(codeOf(await rejection(mux.connect())), 'ECONNREFUSED')
  const late = (await rejection(mux.connect({ timeout: 30 }))) as NetpollError
  t.is(late.code, 'ERR_DIAL_TIMEOUT')
  t.is(codeOf(late.cause), 'ECONNREFUSED')
  const patient = mux.connect({ timeout: 3_600_000 })
  const server = createServer({ framing }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen(target)
  await patient
  t.deepEqual(await changes.take(), [true, 'connected'])
  t.is(String(await mux.call('x')), 'x')
})

test('with failFast connect still waits as long as its time allows', async (t) => {
  const target = { host: '127.0.0.1', port: await freePort() }
  const { mux } = muxed(t, target, { failFast: true, onError: () => {} })
  const patient = mux.connect({ timeout: 3_600_000 })
  t.is(codeOf(await rejection(mux.call('x', { timeout: 3_600_000 }))), 'ECONNREFUSED')
  const server = createServer({ framing }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen(target)
  await patient
  t.is(String(await mux.call('x')), 'x')
})

test('connect is given up by a signal, a past deadline and the end of the mux, and refuses what is no option', async (t) => {
  const { target } = await netServerAt(t, 'tcp')
  const never = { ...target, host: 'nowhere' } as DialTarget
  const { mux } = muxed(t, never, { lookup: () => {}, onError: () => {} })
  const controller = new AbortController()
  const aborted = mux.connect({ signal: controller.signal })
  const reason = new Error('enough')
  controller.abort(reason)
  t.is(await rejection(aborted), reason)
  t.is(await rejection(mux.connect({ signal: controller.signal })), reason)
  t.is(codeOf(await rejection(mux.connect({ deadline: Date.now() - 1 }))), 'ERR_DIAL_TIMEOUT')
  t.is(codeOf(await rejection(mux.connect({ timeout: -1 }))), 'ERR_OUT_OF_RANGE')
  t.is(codeOf(await rejection(mux.connect({ time: 1 } as never))), 'ERR_INVALID_ARG_VALUE')
  t.is(codeOf(await rejection(mux.connect(null as never))), 'ERR_INVALID_ARG_TYPE')
  const waiting = rejection(mux.connect())
  await mux.close({ timeout: 0 })
  t.is(codeOf(await waiting), 'ERR_MUX_CLOSED')
  t.is(codeOf(await rejection(mux.connect())), 'ERR_MUX_CLOSED')
})

test('with failFast a lookup’s error is each caller’s own, and what succeeds ends it', async (t) => {
  const { server } = await echoAt(t, inline)
  const { port } = targetOf(server) as { port: number }
  const unknown = new Error('no such name')
  let isKnown = false
  const { mux, changes } = muxed(
    t,
    { host: 'name', port },
    {
      failFast: true,
      connections: 1,
      lookup: (_name, _options, callback) => {
        if (isKnown) callback(null, '127.0.0.1', 4)
        else callback(unknown, '', 4)
      },
    },
  )
  await rejection(mux.call('x', { timeout: 3_600_000 }))
  const errors = (await Promise.all(['a', 'b'].map((text) => rejection(mux.call(text))))) as Error[]
  t.deepEqual(
    errors.map(({ message }) => message),
    ['no such name', 'no such name'],
  )
  t.not(errors[0], errors[1])
  isKnown = true
  await mux.connect({ timeout: 3_600_000 })
  t.deepEqual(await changes.take(), [true, 'connected'])
  t.is(String(await mux.call('x')), 'x')
})

test('with failFast no call waits for a peer that ends each connection unanswered', async (t) => {
  const { target } = await netServerAt(t, 'tcp', {}, (socket) => socket.once('data', () => socket.destroy()))
  const { mux } = muxed(t, target as DialTarget, {
    failFast: true,
    connections: 1,
    backoff: { min: 600_000, max: 600_000 },
  })
  await rejection(mux.call('x', { timeout: 3_600_000 }))
  await until(() => !mux.isReady)
  const error = (await rejection(mux.call('x', { timeout: 3_600_000 }))) as NetpollError
  t.is(error.code, 'ERR_CONN_CLOSED')
  t.is(error.sent, false)
})

test('calls that outlast maxIdleTime and maxLifetime are not disturbed', async (t) => {
  const held = new Inbox<() => void>()
  const accepted = new Inbox<Connection>()
  const server = createServer({ framing, ordered: false, onConnect: accepted.push }, async (request) => {
    const { promise, resolve } = deferred()
    held.push(resolve)
    await promise
    return request
  })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  const id = { offset: 0, size: 4 } as const
  const { mux, changes } = muxed(t, targetOf(server), { id, connections: 1, maxIdleTime: 5, maxLifetime: 5 })
  const long = mux.call('long')
  const release = await held.take()
  // Connections that a short call keeps coming: old ones stay for the long call alone.
  for (let round = 0; accepted.all.length < 3; round = (round + 1) % 10) {
    const short = mux.call(`000${round}`)
    ;(await held.take())()
    await short
  }
  release()
  t.is(String(await long), 'long')
  while ((await changes.take())[0]);
  await until(() => !mux.isReady)
  t.is(mux.stats().running, 0)
})

test('a connection that is too old and has no calls goes, and is dialed again by the next call', async (t) => {
  const { target, accepted } = await echoAt(t, inline)
  const { mux, changes } = muxed(t, target, { connections: 1, maxLifetime: 10 })
  await mux.call('x')
  t.deepEqual(await changes.take(), [true, 'connected'])
  t.deepEqual(await changes.take(), [false, 'leaving'])
  await until(() => accepted.all.every(({ isActive }) => !isActive))
  t.is(mux.stats().connected, 0)
  t.is(String(await mux.call('x')), 'x')
})

test('an old connection serves on where no other can be had', async (t) => {
  const { server, target, accepted } = await echoAt(t, inline)
  let failed = 0
  let isKnown = true
  const { port } = target as { readonly port: number }
  const { mux } = muxed(
    t,
    { host: 'name', port },
    {
      connections: 1,
      maxLifetime: 10,
      lookup: (_name, _options, callback) => {
        if (isKnown) callback(null, '127.0.0.1', 4)
        else {
          failed += 1
          callback(new Error('unknown for now'), '', 4)
        }
      },
    },
  )
  await mux.connect()
  isKnown = false
  while (failed < 3) t.is(String(await mux.call('x')), 'x')
  t.is(accepted.all.length, 1)
  isKnown = true
  while (accepted.all.length < 2) t.is(String(await mux.call('x')), 'x')
  await server.close({ timeout: 0 })
})

test('what onReadyChange throws is told, and it may close the mux', async (t) => {
  const { target } = await echoAt(t, inline)
  const errors = new Inbox<unknown>()
  const thrown = new Error('not ready for that')
  const first: Mux = new Mux(target, {
    framing,
    onError: errors.push,
    onReadyChange: () => {
      throw thrown
    },
  })
  t.teardown(() => first.close({ timeout: 0 }))
  await first.connect()
  t.is(await errors.take(), thrown)
  t.is(String(await first.call('x')), 'x')
  const closed = deferred()
  const second: Mux = new Mux(target, {
    framing,
    onReadyChange: (isReady) => {
      if (isReady) void second.close().then(closed.resolve)
    },
  })
  await second.connect()
  await closed.promise
  t.false(second.isReady)
})

const bad: readonly (readonly [Partial<Record<keyof MuxOptions, unknown>>, string])[] = [
  [{ failFast: 1 }, 'ERR_INVALID_ARG_TYPE'],
  [{ failFast: null }, 'ERR_INVALID_ARG_TYPE'],
  [{ onReadyChange: null }, 'ERR_INVALID_ARG_TYPE'],
  [{ onReadyChange: 'x' }, 'ERR_INVALID_ARG_TYPE'],
]
for (const [options, code] of bad) {
  test(`a mux refuses ${JSON.stringify(options)}`, (t) => {
    t.throws(() => new Mux({ port: 1 }, { framing, ...options } as MuxOptions), { code })
  })
}

test('a mux that keeps its connections keeps no process', async (t) => {
  const net = createNetServer((socket) => void socket.on('error', () => {}))
  const { port } = await new Promise<{ port: number }>((resolve) =>
    net.listen(0, '127.0.0.1', () => resolve(net.address() as { port: number })),
  )
  t.teardown(() => net.close())
  const { code, stdout, stderr } = await runFixture(t, 'eager-mux', {
    args: [`${port}`, `${await freePort()}`],
  })
  t.is(stderr, '')
  t.is(stdout, 'ready\nECONNREFUSED\n')
  t.is(code, 0)
})
