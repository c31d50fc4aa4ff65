import { readFileSync } from 'node:fs'
import { runInNewContext } from 'node:vm'
import test, { type ExecutionContext } from 'ava'

import { type Connection, createServer, Dialer, Mux, Pool } from '../../dist/index.mjs'
import { TransportClient } from '../../dist/rpc/index.mjs'
import {
  deadlineOf,
  endOf,
  keepAliveSeconds,
  patience,
  timeLimit,
  timeLimits,
} from '../../dist/time/time-limits.js'
import { Inbox, nextTurn } from '../support/deferred.mjs'
import { JsonCodec } from '../support/json-codec.mjs'
import { fullListener, netServer } from '../support/listeners.mjs'
import { codeOf, connectPeer, dial, framing, rejection, serve } from '../support/netpoll.mjs'
import { dialStream, serveStream } from '../support/streams.mjs'

/** Gives a value to whoever takes that limit; a promise of what was made of it, where that is a promise. */
type Taker = (t: ExecutionContext, name: string, value: never) => unknown
type Takers = Readonly<Record<keyof typeof timeLimits, readonly Taker[]>>

/** Nobody listens here, and nothing is dialed before somebody calls. */
const nowhere = { host: '127.0.0.1', port: 1 }

async function echo(t: ExecutionContext): Promise<{ readonly host: string; readonly port: number }> {
  return { host: '127.0.0.1', port: (await serve(t, {}, (request) => request)).port }
}

const setter: Taker = async (t, name, value) => {
  const client = await dial(t, await echo(t))
  const set = Object.getPrototypeOf(client)[name] as (milliseconds: unknown) => unknown
  t.is(set.call(client, value), client)
}

/** Everyone who takes a limit of that group. A setter's group is its name. */
const takers: Takers = {
  connection: [
    (_t, name, value) => void new Dialer({ framing, [name]: value }),
    (_t, name, value) => void (name !== 'requestTimeout' && createServer({ framing, [name]: value })),
    (_t, name, value) => void new Pool(nowhere, { framing, [name]: value }),
    (_t, name, value) => void new Mux(nowhere, { framing, [name]: value }),
    (_t, name, value) => void new TransportClient(nowhere, new JsonCodec(), { [name]: value }),
  ],
  dial: [
    (_t, name, value) => void new Dialer({ framing, [name]: value }),
    async (t, name, value) => {
      const connection = await new Dialer({ framing }).dial({ ...(await echo(t)), [name]: value })
      connection.destroy()
    },
  ],
  pool: [(_t, name, value) => void new Pool(nowhere, { framing, [name]: value })],
  mux: [(_t, name, value) => void new Mux(nowhere, { framing, [name]: value })],
  workers: [
    (_t, name, value) =>
      void createServer({ framing, workers: { module: new URL('file:///nothing.mjs'), [name]: value } }),
  ],
  call: [
    async (t, name, value) => (await dial(t, await echo(t))).call('x', { [name]: value }),
    async (t, name, value) => {
      const mux = new Mux(await echo(t), { framing })
      t.teardown(() => mux.close({ timeout: 0 }))
      return mux.call('x', { [name]: value })
    },
    async (t, name, value) => {
      const pool = new Pool(await echo(t), { framing })
      t.teardown(() => pool.close({ timeout: 0 }))
      return pool.call('x', { [name]: value })
    },
  ],
  get: [
    async (t, name, value) => {
      const pool = new Pool(await echo(t), { framing })
      t.teardown(() => pool.close({ timeout: 0 }))
      pool.put(await pool.get({ [name]: value }))
    },
  ],
  connect: [
    async (t, name, value) => {
      const mux = new Mux(await echo(t), { framing })
      t.teardown(() => mux.close({ timeout: 0 }))
      await mux.connect({ [name]: value })
    },
  ],
  setReadTimeout: [setter],
  setWriteTimeout: [setter],
  setIdleTimeout: [setter],
  setRequestTimeout: [setter],
  setKeepAlive: [setter],
}

for (const [group, limits] of Object.entries(timeLimits)) {
  for (const [name, otherwise] of Object.entries(limits)) {
    test(`the rule is for ${group}: ${name}`, async (t) => {
      const isSetter = name === 'milliseconds'
      for (const take of takers[group as keyof Takers]) {
        const giving = async (value: unknown): Promise<void> =>
          void (await take(t, isSetter ? group : name, value as never))
        if (group === 'connection' && name === 'requestTimeout' && take === takers.connection[1]) continue
        for (const value of [0, 1e-9 + 60_000, 90_000.5, 2 ** 31 - 1, 2 ** 31, 2 ** 60, Infinity]) {
          await t.notThrowsAsync(giving(value), `${value}`)
        }
        if (!isSetter) await t.notThrowsAsync(giving(undefined))
        for (const value of [-1, -0.5, -Infinity, NaN]) {
          const error = (await rejection(giving(value))) as RangeError
          t.true(error instanceof RangeError, `${value}: ${error}`)
          t.is(codeOf(error), 'ERR_OUT_OF_RANGE')
          t.true(error.message.includes(name), error.message)
        }
        for (const value of [null, '1', 1n, true, {}, new Date(), ...(isSetter ? [undefined] : [])]) {
          const error = await rejection(giving(value))
          t.true(error instanceof TypeError, `${typeof value}: ${error}`)
          t.is(codeOf(error), 'ERR_INVALID_ARG_TYPE')
        }
      }
      t.true(otherwise === undefined || Number.isInteger(otherwise))
    })
  }
}

test('absent is the default, 0 and Infinity are none, and fractions are rounded up', (t) => {
  const cases: readonly (readonly [unknown, number])[] = [
    [undefined, 7],
    [0, 0],
    [-0, 0],
    [Infinity, 0],
    [2 ** 31, 0],
    [2 ** 31 - 1, 2 ** 31 - 1],
    [0.001, 1],
    [12.5, 13],
    [12, 12],
  ]
  for (const [value, expected] of cases) t.is(timeLimit('x', value, 7), expected, `${value}`)
  t.is(endOf(0), Infinity)
  t.is(patience('x', undefined), undefined)
  t.is(patience('x', Infinity), undefined)
  t.is(patience('x', 0), 0)
  t.is(patience('x', 0.5), 1)
  t.throws(() => patience('x', -1), { instanceOf: RangeError })
})

test('keepAlive is in milliseconds, and the system is told whole seconds, rounded up', (t) => {
  const cases = [
    [0, 0],
    [1, 1],
    [1_000, 1],
    [1_001, 2],
    [30_000, 30],
    [32_767_000, 32_767],
    [2 ** 31 - 1, 32_767],
  ] as const
  for (const [limit, seconds] of cases) t.is(keepAliveSeconds(limit), seconds, `${limit}`)
})

/** How a connection from one port to another is told of in `/proc/net/tcp`: its timer, and when that is due. */
function timerOf({ localAddress, remoteAddress }: Connection): readonly [string, number] | undefined {
  const at = (address: unknown): string => {
    const { port } = address as { readonly port: number }
    return `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`
  }
  const [local, remote] = [at(localAddress), at(remoteAddress)]
  const lines = readFileSync('/proc/net/tcp', 'utf8').split('\n')
  const fields = lines.map((line) => line.trim().split(/\s+/))
  const found = fields.find((each) => each[1] === local && each[2] === remote)
  const [timer, due] = found?.[5]?.split(':') ?? []
  return timer === undefined ? undefined : [timer, Number.parseInt(due as string, 16)]
}

/** Seconds until the system probes the peer, at most; `undefined` for never. */
async function probed(connection: Connection, expected: boolean): Promise<number | undefined> {
  for (;;) {
    const [timer, due] = timerOf(connection) ?? []
    if (timer === '02') return Math.ceil((due as number) / 100)
    // The system may be about to set the timer again, or may skip lines while others connect.
    if (timer !== undefined && !expected) return undefined
    await nextTurn()
  }
}

const testOnLinux = process.platform === 'linux' ? test : test.skip

for (const pollers of [0, 1]) {
  testOnLinux(`keepAlive and setKeepAlive reach the socket as seconds, ${pollers} pollers`, async (t) => {
    const target = await echo(t)
    for (const [keepAlive, least, most] of [
      [undefined, 0, undefined],
      [0, 0, undefined],
      [Infinity, 0, undefined],
      [0.5, 0, 1],
      [500, 0, 1],
      [600_000, 300, 600],
    ] as const) {
      const given = await dial(t, target, { keepAlive, pollers })
      const set = await dial(t, target, { pollers })
      if (keepAlive !== undefined) set.setKeepAlive(keepAlive)
      for (const connection of [given, set]) {
        const seconds = await probed(connection, most !== undefined)
        if (most === undefined) t.is(seconds, undefined, `${keepAlive}`)
        else t.true((seconds as number) >= least && (seconds as number) <= most, `${keepAlive}: ${seconds}`)
      }
    }
  })
}

test('a deadline is a time of the system’s, from whatever realm, or it throws', (t) => {
  const now = performance.now()
  const elsewhere = runInNewContext('new Date(Date.now() + 60_000)') as Date
  for (const value of [Date.now() + 60_000, new Date(Date.now() + 60_000), elsewhere]) {
    const left = deadlineOf('x', value) - now
    t.true(left > 50_000 && left <= 120_000, `${left}`)
  }
  t.is(deadlineOf('x', undefined), Infinity)
  t.is(deadlineOf('x', Infinity), Infinity)
  t.true(deadlineOf('x', -1) < now)
  t.true(deadlineOf('x', 0) < now)
  for (const value of [NaN, new Date(NaN)]) {
    t.throws(() => deadlineOf('options.deadline', value), {
      instanceOf: RangeError,
      message: /options\.deadline/,
    })
  }
  const dressed = Object.assign(Object.create(Date.prototype), {})
  for (const value of [null, '1', 1n, true, {}, dressed, { getTime: () => 1 }]) {
    t.throws(() => deadlineOf('x', value), { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' })
  }
})

type WithDeadline = (t: ExecutionContext, deadline: Date | number) => Promise<unknown>

const silent = async (t: ExecutionContext) => ({ host: '127.0.0.1', port: (await netServer(t)).port })

const patients: Readonly<Record<string, readonly [code: string, make: WithDeadline]>> = {
  'a call': [
    'ERR_REQUEST_TIMEOUT',
    async (t, deadline) => (await dial(t, await silent(t))).call('x', { deadline }),
  ],
  'a call of a mux': [
    'ERR_REQUEST_TIMEOUT',
    async (t, deadline) => {
      const mux = new Mux(await silent(t), { framing })
      t.teardown(() => mux.close({ timeout: 0 }))
      return mux.call('x', { deadline, timeout: 600_000 })
    },
  ],
  'a call of a pool': [
    'ERR_REQUEST_TIMEOUT',
    async (t, deadline) => {
      const pool = new Pool(await silent(t), { framing })
      t.teardown(() => pool.close({ timeout: 0 }))
      return pool.call('x', { deadline })
    },
  ],
  'who waits for a connection of a pool': [
    'ERR_POOL_TIMEOUT',
    async (t, deadline) => {
      const pool = new Pool(await silent(t), { framing, connections: 1 })
      t.teardown(() => pool.close({ timeout: 0 }))
      const taken = await pool.get()
      t.teardown(() => pool.discard(taken))
      return pool.get({ deadline })
    },
  ],
  'an RPC': [
    'ERR_REQUEST_TIMEOUT',
    async (t, deadline) => {
      const client = new TransportClient(await silent(t), new JsonCodec(), { requestTimeout: 600_000 })
      t.teardown(() => client.close({ timeout: 0 }))
      return client.call('x', null, { deadline })
    },
  ],
  'a dial': [
    'ERR_DIAL_TIMEOUT',
    async (t, deadline) => {
      const { port } = await fullListener(t)
      return new Dialer({ framing }).dial({ host: '127.0.0.1', port, deadline })
    },
  ],
}

for (const [who, [code, make]] of Object.entries(patients)) {
  test(`${who} waits no longer than its deadline`, async (t) => {
    t.is(codeOf(await rejection(make(t, Date.now() + 20))), code)
    t.is(codeOf(await rejection(make(t, new Date(Date.now() + 20)))), code)
  })

  test(`${who} whose deadline has passed is refused at once, and an invalid one throws`, async (t) => {
    for (const deadline of [Date.now() - 1, new Date(0), 0, -1, -Infinity]) {
      t.is(codeOf(await rejection(make(t, deadline))), code, `${deadline}`)
    }
    t.true((await rejection(make(t, NaN))) instanceof RangeError)
    t.true((await rejection(make(t, new Date(NaN)))) instanceof RangeError)
    t.true((await rejection(make(t, 'soon' as never))) instanceof TypeError)
  })
}

test('of a call whose deadline has passed nothing is sent', async (t) => {
  const requests = new Inbox<string>()
  const { port } = await serve(t, {}, (request) => {
    requests.push(String(request))
    return request
  })
  const client = await dial(t, { port })
  t.is(codeOf(await rejection(client.call('late', { deadline: Date.now() - 1 }))), 'ERR_REQUEST_TIMEOUT')
  t.is(String(await client.call('right', { deadline: Date.now() + 600_000, timeout: Infinity })), 'right')
  t.deepEqual(requests.all, ['right'])
})

test('the earlier of timeout and deadline counts', async (t) => {
  const client = await dial(t, await silent(t))
  const byTimeout = rejection(client.call('x', { timeout: 20, deadline: Date.now() + 600_000 }))
  t.regex(String(await byTimeout), /within 20 ms/)
  const byDeadline = rejection(client.call('x', { timeout: 600_000, deadline: Date.now() + 20 }))
  t.regex(String(await byDeadline), /by the deadline/)
})

test('closeTimeout of 0 destroys nobody who is slow to read', async (t) => {
  const reply = Buffer.alloc(8_000_000, 'x')
  const closing = new Inbox<void>()
  const { port } = await serve(t, { closeTimeout: 0 }, (_request, connection) => {
    setImmediate(() => {
      void connection.close()
      closing.push()
    })
    return reply
  })
  const beside = await dialStream(t, { port: (await serveStream(t)).port }, { readTimeout: 20 })
  const peer = await connectPeer(t, { port }, { reading: false })
  await peer.write(Buffer.from([0, 0, 0, 1, 1]))
  await closing.take()
  for (let wait = 0; wait < 5; wait += 1) await rejection(beside.reader.fill(1))
  peer.socket.resume()
  t.is((await peer.readToEnd()).length, reply.length + 4)
  peer.end()
})
