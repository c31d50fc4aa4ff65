import { setMaxListeners } from 'node:events'
import test from 'ava'

import {
  CallQueue,
  type Calls,
  type CallsListener,
  PendingCall,
} from '../../../dist/connection/calls/pending-call.js'
import { CallsById } from '../../../dist/connection/calls/calls-by-id.js'
import { checkIds, type Ids } from '../../../dist/framing/message-id.js'

import {
  type Connection,
  Mux,
  type MuxOptions,
  NetpollError,
  Pool,
  type PoolOptions,
  stats,
  type Writer,
} from '../../../dist/index.mjs'
import { type Codec, type Message, TransportClient, TransportServer } from '../../../dist/rpc/index.mjs'
import { deferred, Inbox, nextTurn } from '../../support/deferred.mjs'
import { frame, frames } from '../../support/frames.mjs'
import { JsonCodec, type Json } from '../../support/json-codec.mjs'
import { netServer } from '../../support/listeners.mjs'
import { codeOf, dial, framing, rejection, serve } from '../../support/netpoll.mjs'
import { Random } from '../../support/random.mjs'
import { portOfCalls } from '../../support/rpc.mjs'
import { openSockets, runFixture } from '../../support/system.mjs'

/** Of two bytes the second says whether it is answered. */
const answersOthers = (request: Buffer): Buffer | undefined => (request.at(-1) === 1 ? undefined : request)

/** So many calls of a Mux or Pool that never get a reply. */
const many = 3_000

interface Caller {
  call(request: Buffer, options: { readonly timeout: number }): Promise<Buffer>
  close(options: { readonly timeout: number }): Promise<void>
}

const callers: Readonly<
  Record<string, (port: number, options: Partial<MuxOptions & PoolOptions>) => Caller>
> = {
  mux: (port, options) => new Mux({ host: '127.0.0.1', port }, { framing, onError: () => {}, ...options }),
  pool: (port, options) => new Pool({ host: '127.0.0.1', port }, { framing, connections: 40, ...options }),
}

for (const [name, open] of Object.entries(callers)) {
  for (const pollers of [0, 1, 2]) {
    for (const kind of ['field', 'function'] as const) {
      test.serial(
        `calls that are lost are not noticed: ${name}, ids of a byte by a ${kind}, ${pollers} pollers`,
        async (t) => {
          const sockets = openSockets()
          const { server, port } = await serve(t, { pollers, ordered: false }, answersOthers)
          const id = kind === 'field' ? ({ offset: 0, size: 1 } as const) : (bytes: Buffer) => `${bytes[0]}`
          const caller = open(port, { pollers, id })
          let [number, lost, answered, most] = [0, 0, 0, 0]
          const run = async (): Promise<void> => {
            while (lost < many) {
              number += 1
              const isLost = number % 3 > 0
              const request = Buffer.from([number & 0xff, isLost ? 1 : 0])
              const calling = caller.call(request, { timeout: isLost ? 2 : 60_000 })
              if (isLost) {
                const code = codeOf(await rejection(calling))
                if (code !== 'ERR_REQUEST_TIMEOUT') throw new Error(`lost call ${lost} of ${number}: ${code}`)
                lost += 1
              } else {
                t.deepEqual(await calling, request)
                answered += 1
              }
              most = Math.max(most, stats().lostCalls)
            }
          }
          await Promise.all(Array.from({ length: 32 }, run))
          t.true(answered >= many / 3)
          t.true(server.stats().accepted > 1, 'connections were replaced')
          // Half of the ids of each connection in use, and what waited on those that are replaced.
          t.true(most <= 128 * 40 + 32, `${most} were lost at once`)
          await caller.close({ timeout: 0 })
          await server.close({ timeout: 0 })
          while (stats().connections > 0) await nextTurn()
          t.is(stats().lostCalls, 0)
          t.deepEqual(openSockets(), sockets)
        },
      )
    }
  }
}

/** JSON, with an id of one byte. */
class NarrowCodec implements Codec<Json> {
  readonly #codec = new JsonCodec()
  readonly framing = this.#codec.framing
  readonly id = { offset: 3, size: 1 } as const

  encode(message: Message<Json>, writer: Writer): void {
    this.#codec.encode({ ...message, id: message.id & 0xff }, writer)
  }

  decode(bytes: Buffer): Message<Json> {
    return this.#codec.decode(bytes)
  }
}

for (const kind of ['mux', 'pool'] as const) {
  test.serial(`an RPC client leaves out ids that are lost or taken: ${kind}`, async (t) => {
    const go = deferred()
    const server = new TransportServer<Json>(new NarrowCodec(), {
      onRequest: async ({ method, body }) => {
        if (method === 'patient') await go.promise
        if (method === 'lost') await new Promise(() => {})
        return body
      },
    })
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen({ host: '127.0.0.1', port: 0 })
    const target = { host: '127.0.0.1', port: portOfCalls(server) }
    const client = new TransportClient<Json>(target, new NarrowCodec(), {
      kind,
      connections: kind === 'mux' ? 1 : 40,
      onError: () => {},
    })
    t.teardown(() => client.close({ timeout: 0 }))
    // Their ids are in flight all the time.
    const patient = [1, 2, 3].map((body) => client.call('patient', body))
    for (let round = 0; round < 60; round += 1) {
      const lost = Array.from({ length: 8 }, () => rejection(client.call('lost', null, { timeout: 3 })))
      const answered = Array.from({ length: 8 }, (_, body) => client.call('echo', body))
      t.deepEqual(await Promise.all(answered), [0, 1, 2, 3, 4, 5, 6, 7])
      for (const error of await Promise.all(lost)) t.is(codeOf(error), 'ERR_REQUEST_TIMEOUT')
    }
    go.resolve()
    t.deepEqual(await Promise.all(patient), [1, 2, 3])
  })
}

function numbered(number: number): Buffer {
  return Buffer.from([number >> 8, number & 0xff])
}

for (const side of ['dialed', 'served'] as const) {
  test.serial(
    `a ${side} connection that has lost half of its ids takes no more calls, until replies come late`,
    async (t) => {
      const id = { offset: 1, size: 1 } as const
      const go = deferred()
      const onRequest = async (request: Buffer): Promise<Buffer> => {
        await go.promise
        return request
      }
      const accepted = new Inbox<Connection>()
      const { port } = await serve(t, { id, ordered: false, onConnect: accepted.push, onRequest })
      const client = await dial(t, { port }, { id, ordered: false, onRequest })
      const connection = side === 'dialed' ? client : await accepted.take()
      const before = stats().lostCalls
      const controller = new AbortController()
      setMaxListeners(0, controller.signal)
      const lost = Array.from({ length: 100 }, (_, number) =>
        connection.call(numbered(number), { timeout: 1 }),
      )
      const aborted = Array.from({ length: 28 }, (_, number) =>
        connection.call(numbered(100 + number), { signal: controller.signal }),
      )
      for (const call of lost) t.is(codeOf(await rejection(call)), 'ERR_REQUEST_TIMEOUT')
      const patient = connection.call(numbered(200))
      controller.abort()
      for (const call of aborted) t.is(await rejection(call), controller.signal.reason)
      t.is(stats().lostCalls - before, 128)
      t.is(codeOf(await rejection(connection.call(numbered(201)))), 'ERR_TOO_MANY_LOST_CALLS')
      go.resolve()
      t.deepEqual(await patient, numbered(200))
      while (stats().lostCalls > before) await nextTurn()
      t.deepEqual(await connection.call(numbered(5)), numbered(5))
    },
  )
}

test('an id is not used again while its late reply can still come', async (t) => {
  const { port, sockets } = await netServer(t)
  const client = await dial(t, { host: '127.0.0.1', port }, { id: { offset: 0, size: 1 } })
  const socket = await sockets.take()
  t.is(codeOf(await rejection(client.call('a', { timeout: 1 }))), 'ERR_REQUEST_TIMEOUT')
  t.is(codeOf(await rejection(client.call('a'))), 'ERR_DUPLICATE_ID')
  const other = client.call('b')
  socket.write(frames('a late', 'b'))
  t.is(String(await other), 'b')
  const again = client.call('a')
  socket.write(frame('a again'))
  t.is(String(await again), 'a again')
})

test('in order, replies that come late are nobody’s, whichever calls were given up', async (t) => {
  const { port, sockets } = await netServer(t)
  for (let seed = 1; seed <= 20; seed += 1) {
    const random = new Random(seed)
    const client = await dial(t, { host: '127.0.0.1', port })
    const socket = await sockets.take()
    const outcomes = new Map<number, Promise<string>>()
    const controllers = new Map<number, AbortController>()
    let [made, replied] = [0, 0]
    const expected = new Map<number, string>()
    for (let step = 0; step < 400; step += 1) {
      const kind = random.below(10)
      if (kind < 4) {
        const number = made
        made += 1
        const controller = new AbortController()
        controllers.set(number, controller)
        const call = client.call(`${number}`, { signal: controller.signal })
        outcomes.set(
          number,
          call.then(String, () => 'given up'),
        )
        expected.set(number, 'answered')
      } else if (kind < 7) {
        const waiting = [...controllers.keys()]
        const number = waiting[random.below(waiting.length)]
        if (number === undefined) continue
        controllers.get(number)?.abort()
        controllers.delete(number)
        expected.set(number, 'given up')
      } else if (replied < made) {
        // Its reply is there before anything else happens.
        const number = replied
        replied += 1
        socket.write(frame(`reply ${number}`))
        if (expected.get(number) === 'answered') {
          t.is(await outcomes.get(number), `reply ${number}`, `seed ${seed}`)
          controllers.delete(number)
        }
      }
    }
    for (; replied < made; replied += 1) socket.write(frame(`reply ${replied}`))
    for (const [number, outcome] of outcomes) {
      const is = expected.get(number) === 'answered' ? `reply ${number}` : 'given up'
      t.is(await outcome, is, `seed ${seed}, call ${number}`)
    }
    const last = client.call('last')
    socket.write(frame('last'))
    t.is(String(await last), 'last')
  }
})

for (const [name, make, bound] of [
  ['in order', (listener) => new CallQueue(listener), 2 ** 20],
  ['by ids', (listener) => new CallsById(checkIds({ offset: 0, size: 4 }) as Ids, listener), 2 ** 16],
  [
    'by ids of two bytes',
    (listener) => new CallsById(checkIds({ offset: 0, size: 2 }) as Ids, listener),
    2 ** 15,
  ],
] as readonly (readonly [string, (listener: CallsListener) => Calls, number])[]) {
  test(`so many calls may be lost ${name}, and no more`, (t) => {
    let lost = 0
    const ignore = (): void => {}
    const calls = make({
      waiting: ignore,
      idle: ignore,
      answeredLate: ignore,
      lost: (change) => {
        lost += change
      },
    })
    const request = Buffer.alloc(4)
    const lose = (number: number): void => {
      if (bound === 2 ** 15) request.writeUInt16BE(number)
      else request.writeUInt32BE(number)
      const settle = (reply: unknown): void => void Promise.resolve(reply).catch(ignore)
      const call = new PendingCall(undefined, 0, settle, ignore, undefined)
      calls.prepare(call, request)
      calls.append(call)
      call.expire()
    }
    for (let number = 0; number < bound; number += 1) lose(number)
    t.is(calls.lost, bound)
    t.is(lost, bound)
    t.is(codeOf(t.throws(() => lose(bound))), 'ERR_TOO_MANY_LOST_CALLS')
    t.false(calls.isAwaited)
    calls.identify(0, 0)
    t.true(calls.reply(Buffer.alloc(4)))
    lose(bound)
    calls.failAll(new NetpollError('ERR_CONN_CLOSED', 'gone'))
    t.is(lost, 0)
  })
}

test('a call that was given up and is never answered does not keep an idle connection', async (t) => {
  const gone = new Inbox<Error | undefined>()
  const { port } = await netServer(t)
  const client = await dial(
    t,
    { host: '127.0.0.1', port },
    { onError: () => {}, onDisconnect: (_connection, error) => gone.push(error) },
  )
  t.is(codeOf(await rejection(client.call('x', { timeout: 1 }))), 'ERR_REQUEST_TIMEOUT')
  client.setIdleTimeout(20)
  t.is(codeOf(await gone.take()), 'ERR_IDLE_TIMEOUT')
})

test('a call whose signal is aborted while its id is looked for is not sent', async (t) => {
  const controller = new AbortController()
  const { port } = await serve(t, { ordered: false }, (request) => request)
  const client = await dial(
    t,
    { port },
    {
      id: (bytes: Buffer) => {
        if (String(bytes) === 'abort') controller.abort()
        return String(bytes)
      },
    },
  )
  t.is(await rejection(client.call('abort', { signal: controller.signal })), controller.signal.reason)
  t.is(String(await client.call('x')), 'x')
})

for (const kind of ['mux-1', 'mux-4', 'mux-order', 'connection-4', 'connection-order'] as const) {
  test.serial(`calls that are lost cost little and stay cheap: ${kind}`, async (t) => {
    const { code, stdout, stderr } = await runFixture(t, 'lost-calls', {
      flags: ['--expose-gc'],
      args: [kind, '20000'],
    })
    t.is(stderr, '')
    t.is(code, 0, stdout)
  })
}
