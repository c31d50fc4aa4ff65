import test, { type ExecutionContext } from 'ava'

import { type CallOptions, type Connection, createServer, Dialer, Mux, Pool } from '../../../dist/index.mjs'
import { deferred, Inbox } from '../../support/deferred.mjs'
import { frames, numbered } from '../../support/frames.mjs'
import { netServer } from '../../support/listeners.mjs'
import { codeOf, dial, framing, gone, rejection, serve } from '../../support/netpoll.mjs'
import { dialStream, serveStream } from '../../support/streams.mjs'
import { socketPath } from '../../support/system.mjs'

const id = { offset: 0, size: 4 } as const
/** Milliseconds, where the timeout has to come. */
const short = 20
/** Calls at once. Were each given up by a look of its own, the last would wait for as many looks. */
const many = 2_000
/** So many times `short` pass meanwhile on connections beside: a stall of the machine stalls both. */
const waits = 40

type Call = (request: Buffer, options?: CallOptions) => Promise<Buffer>

/** Blocks the whole process, as a long computation would. */
function stall(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}

const silent = (): Promise<never> => new Promise(() => {})

const callers: Readonly<Record<string, (t: ExecutionContext, pollers: number) => Promise<Call>>> = {
  'a connection': async (t, pollers) => {
    const { port } = await serve(t, { pollers }, silent)
    const client = await dial(t, { port }, { pollers })
    return (request, options) => client.call(request, options)
  },
  'a connection with ids, by a unix socket': async (t, pollers) => {
    const path = socketPath(t)
    const server = createServer({ framing, pollers }, silent)
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen({ path })
    const client = await dial(t, { path }, { pollers, id })
    return (request, options) => client.call(request, options)
  },
  'a connection of a server': async (t, pollers) => {
    const accepted = new Inbox<Connection>()
    const { port } = await serve(t, { pollers, id, onConnect: accepted.push }, silent)
    await dial(t, { port }, { pollers, id, onRequest: silent })
    const connection = await accepted.take()
    return (request, options) => connection.call(request, options)
  },
  'a mux': async (t, pollers) => {
    const { port } = await serve(t, { pollers }, silent)
    const mux = new Mux({ host: '127.0.0.1', port }, { framing, pollers, id, onError: () => {} })
    t.teardown(() => mux.close({ timeout: 0 }))
    return (request, options) => mux.call(request, options)
  },
  'a mux whose calls wait for others': async (t, pollers) => {
    const { port } = await serve(t, { pollers }, silent)
    const options = { framing, pollers, maxConcurrentCalls: 1, connections: 1, onError: () => {} }
    const mux = new Mux({ host: '127.0.0.1', port }, options)
    t.teardown(() => mux.close({ timeout: 0 }))
    void mux.call('never answered').catch(() => {})
    return (request, options) => mux.call(request, options)
  },
  'a pool': async (t, pollers) => {
    const { port } = await serve(t, { pollers }, silent)
    const pool = new Pool({ host: '127.0.0.1', port }, { framing, pollers, connections: 4 })
    t.teardown(() => pool.close({ timeout: 0 }))
    return (request, options) => pool.call(request, options)
  },
}

/** Waits in vain on a connection of each poller. So each has had its turn: one that is a thread may stall alone. */
async function clock(t: ExecutionContext, pollers: number): Promise<() => Promise<unknown>> {
  const { port } = await serveStream(t)
  const dialer = new Dialer({ pollers, readTimeout: short })
  const beside: Connection[] = []
  while (beside.length < Math.max(pollers, 1)) beside.push(await dialer.dial({ host: '127.0.0.1', port }))
  t.teardown(() => Promise.all(beside.map(gone)))
  return () => Promise.all(beside.map(({ reader }) => rejection(reader.fill(1))))
}

for (const [who, caller] of Object.entries(callers)) {
  for (const pollers of [0, 1, 2]) {
    test(`whatever is due is given up at once: calls of ${who}, with ${pollers} pollers`, async (t) => {
      const call = await caller(t, pollers)
      const pass = await clock(t, pollers)
      let over = 0
      const calls = Array.from({ length: many }, async (_, index) => {
        // Each has a deadline of its own.
        const timeout = short + (index % short)
        t.is(codeOf(await rejection(call(numbered(index), { timeout }))), 'ERR_REQUEST_TIMEOUT')
        over += 1
      })
      for (let wait = 0; wait < waits && over < many; wait += 1) await pass()
      t.is(over, many)
      await Promise.all(calls)
    })
  }
}

for (const [who, caller] of Object.entries(callers)) {
  for (const pollers of [0, 1, 2]) {
    test.serial(
      `the event loop turns while thousands are given up: calls of ${who}, with ${pollers} pollers`,
      async (t) => {
        const call = await caller(t, pollers)
        let turn = 0
        let isOver = false
        const turned = (): void => {
          turn += 1
          if (!isOver) setImmediate(turned)
        }
        const turns = new Set<number>()
        const order: number[] = []
        // All are due when the process goes on.
        const calls = Array.from({ length: 5_000 }, async (_, index) => {
          t.is(codeOf(await rejection(call(numbered(index), { timeout: 500 }))), 'ERR_REQUEST_TIMEOUT')
          turns.add(turn)
          order.push(index)
        })
        setImmediate(turned)
        stall(700)
        await Promise.all(calls)
        isOver = true
        t.true(turns.size >= 8, `in ${turns.size} turns`)
        t.is(order.length, 5_000)
      },
    )
  }
}

/** Stalls until the time of calls is over whose replies have come. False where it was over before their requests had come. */
async function outlast(t: ExecutionContext, pollers: number): Promise<boolean> {
  const { port, sockets } = await netServer(t)
  const client = await dial(t, { host: '127.0.0.1', port }, { id, pollers })
  const socket = await sockets.take()
  const arrived = deferred()
  let bytes = 0
  const count = 3_000
  const half = 'x'.repeat(40)
  socket.on('data', (chunk) => {
    bytes += chunk.length
    if (bytes === count * (8 + half.length)) arrived.resolve()
  })
  const started = performance.now()
  const calls = Promise.all(
    Array.from({ length: count }, (_, index) =>
      client.call(numbered(index, half), { timeout: 2_000 + (index % 100) }),
    ),
  )
  calls.catch(() => {})
  await arrived.promise
  // The reply to the call whose time ends first comes last.
  const order = Array.from({ length: count }, (_, index) => count - 1 - index)
  socket.write(frames(...order.map((number) => numbered(number, half))))
  t.is(socket.writableLength, 0, 'the system has all of it')
  const passed = performance.now() - started
  if (passed >= 2_000) return false
  stall(2_200 - passed)
  t.is((await calls).length, count)
  return true
}

for (const pollers of [0, 1]) {
  test.serial(
    `replies that came while the process stalled win, however many, with ${pollers} pollers`,
    async (t) => {
      // A slow machine may need all of the time until the requests are there: then it is tried again.
      while (!(await outlast(t, pollers))) t.log('the requests came too late')
      t.pass()
    },
  )

  test.serial(
    `a timeout counts from the call, although the process stalls right after it, with ${pollers} pollers`,
    async (t) => {
      const { port } = await serve(t, {}, silent)
      const client = await dial(t, { port }, { pollers })
      const beside = await dialStream(t, { port: (await serveStream(t)).port }, { pollers })
      let ends: string[] = []
      // A machine that stalls once more comes to both at once. Where the stall gives the call more time, it is the later one.
      for (let tries = 0; tries < 5 && ends[0] !== 'call'; tries += 1) {
        ends = []
        const call = rejection(client.call('x', { timeout: 1_500 })).then(() => ends.push('call'))
        stall(1_400)
        beside.setReadTimeout(1_000)
        const read = rejection(beside.reader.fill(1)).then(() => ends.push('read'))
        await Promise.all([call, read])
      }
      t.deepEqual(ends, ['call', 'read'])
    },
  )

  test(`a peer that never stops sending does not put timeouts off, with ${pollers} pollers`, async (t) => {
    const { port, sockets } = await netServer(t)
    const client = await dial(t, { host: '127.0.0.1', port }, { id, pollers, onRequest: () => {} })
    const socket = await sockets.take()
    const noise = frames(...Array.from({ length: 2_000 }, () => numbered(7, 'noise')))
    const send = (): void => {
      while (!socket.destroyed && socket.write(noise));
    }
    socket.on('drain', send)
    send()
    t.is(codeOf(await rejection(client.call(numbered(1), { timeout: short }))), 'ERR_REQUEST_TIMEOUT')
    t.is(codeOf(await rejection(client.call(numbered(2), { timeout: short }))), 'ERR_REQUEST_TIMEOUT')
  })
}

test('an alarm that was replaced on its way gives up nobody early', async (t) => {
  const go = deferred()
  const { port } = await serve(t, {}, async (request) => {
    await go.promise
    return request
  })
  const client = await new Dialer({ framing, pollers: 1 }).dial({ host: '127.0.0.1', port })
  const patient = client.call('patient', { timeout: 600_000 })
  for (let round = 0; round < 50; round += 1) {
    const calls = [7, 5, 3, 1].map((timeout) => rejection(client.call('x', { timeout })))
    t.deepEqual((await Promise.all(calls)).map(codeOf), Array(4).fill('ERR_REQUEST_TIMEOUT'))
  }
  go.resolve()
  t.is(String(await patient), 'patient')
  await client.close()
})
