import { dirname, join } from 'node:path'
import { Writable } from 'node:stream'
import test, { type ExecutionContext } from 'ava'

import {
  type Connection,
  createServer,
  createWriter,
  Dialer,
  type DialTarget,
  Mux,
  Pool,
  readerFrom,
  type Server,
  writerTo,
} from '../../dist/index.mjs'
import { TransportClient } from '../../dist/rpc/index.mjs'
import { deferred, Inbox, nextTurn } from '../support/deferred.mjs'
import { JsonCodec } from '../support/json-codec.mjs'
import { codeOf, connectPeer, framing, gone, portOf, rejection } from '../support/netpoll.mjs'
import { type Place, places, words } from '../support/places.mjs'
import { dialStream, inactive, serveStream } from '../support/streams.mjs'
import { runFixture, socketPath } from '../support/system.mjs'

/** Sends and flushes of a thread that may be over before its event loop has turned. */
const maxSteps = 1_024
/** Waits of a reader in a row that count for nothing, because a message may take some. */
const maxInVain = 8

/** Does a step, again and again, and counts how often the event loop turns. Returns the most steps between two turns. */
async function maxInTurn(step: (index: number) => unknown, steps = 5_000): Promise<number> {
  return maxBetweenTurns(async (stepped) => {
    for (let index = 0; index < steps; index += 1) {
      await step(index)
      stepped()
    }
  })
}

/** As above, of work that tells of each step. */
async function maxBetweenTurns(work: (stepped: () => void) => Promise<unknown>): Promise<number> {
  let [now, most] = [0, 0]
  let isOver = false
  const watch = (): void => {
    now = 0
    if (!isOver) setImmediate(watch)
  }
  await nextTurn()
  setImmediate(watch)
  await work(() => {
    now += 1
    most = Math.max(most, now)
  })
  isOver = true
  return most
}

/** A connection, our side of which is asked for, to a peer that reads. Without a framing where none is given. */
async function connected(t: ExecutionContext, place: Place, options: object): Promise<Connection> {
  const { side, pollers, transport } = place
  const accepted = new Inbox<Connection>()
  const own = side === 'server' ? { ...options, pollers } : options
  const server: Server = createServer({ ...own, onConnect: accepted.push, onError: () => {} })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen(transport === 'tcp' ? { host: '127.0.0.1', port: 0 } : { path: socketPath(t) })
  const address = server.address()
  const target: DialTarget =
    typeof address === 'string' ? { path: address } : { host: '127.0.0.1', port: portOf(server) }
  const dialer = new Dialer({ ...options, onError: () => {}, ...(side === 'dialed' && { pollers }) })
  const dialed = await dialer.dial(target)
  t.teardown(() => gone(dialed))
  const other = await accepted.take()
  const [ours, theirs] = side === 'server' ? [other, dialed] : [dialed, other]
  void (async () => {
    try {
      for await (const _ of theirs);
    } catch {
      // It is destroyed in the end.
    }
  })()
  return ours
}

/** Written by whoever awaits the callback. */
function written(duplex: Writable, chunk: Buffer): Promise<unknown> {
  return new Promise((resolve) => duplex.write(chunk, resolve))
}

const tiny = Buffer.from('x')
const nothing = Buffer.alloc(0)

/** What is over at once, by what it is done with: the steps of which there may be so many in a turn. */
const outputs: Readonly<
  Record<string, { readonly options: object; begin(connection: Connection): () => unknown }>
> = {
  'tiny sends': {
    options: { framing },
    begin: (connection) => () => connection.send(tiny),
  },
  'refused sends': {
    options: { framing },
    begin: (connection) => {
      connection.destroy()
      return () => connection.send(tiny).catch(() => {})
    },
  },
  'sends that are no payload': {
    options: { framing },
    begin: (connection) => () => connection.send(7 as unknown as string).catch(() => {}),
  },
  'empty flushes': {
    options: {},
    begin:
      ({ writer }) =>
      () =>
        writer.flush(),
  },
  'refused flushes': {
    options: {},
    begin: (connection) => {
      connection.destroy()
      return () => connection.writer.flush().catch(() => {})
    },
  },
  'writes of a stream': {
    options: {},
    begin: (connection) => {
      const duplex = connection.toDuplex().on('error', () => {})
      return () => written(duplex, tiny)
    },
  },
  'empty writes of a stream': {
    options: {},
    begin: (connection) => {
      const duplex = connection.toDuplex().on('error', () => {})
      return () => written(duplex, nothing)
    },
  },
  'refused calls': {
    options: { framing, id: { offset: 0, size: 4 } },
    begin: (connection) => {
      connection.destroy()
      return () => connection.call('12345').catch(() => {})
    },
  },
  'calls without an id': {
    options: { framing, id: { offset: 0, size: 4 } },
    begin: (connection) => () => connection.call('x').catch(() => {}),
  },
  'calls of a stream': {
    options: {},
    begin: (connection) => () => connection.call('x').catch(() => {}),
  },
  'waits for what is there': {
    options: {},
    begin:
      ({ reader }) =>
      () =>
        reader.fill(0),
  },
  'waits of a reader that has ended': {
    options: {},
    begin: (connection) => {
      connection.destroy()
      return () => connection.reader.fill(1).catch(() => {})
    },
  },
  'loops over a stream that has ended': {
    options: {},
    begin: (connection) => {
      connection.destroy()
      return () => iterated(connection)
    },
  },
  'loops over messages that have ended': {
    options: { framing },
    begin: (connection) => {
      connection.destroy()
      return () => iterated(connection)
    },
  },
}

async function iterated(connection: Connection): Promise<void> {
  try {
    for await (const _ of connection);
  } catch {
    // It has failed.
  }
}

// Serial: what other tests send in the same turn counts as well.
for (const place of places) {
  for (const [name, { options, begin }] of Object.entries(outputs)) {
    test.serial(`the event loop turns beside ${name}: ${words(place)}`, async (t) => {
      const step = begin(await connected(t, place, options))
      const most = await maxInTurn(step)
      t.true(most <= maxSteps + maxInVain, `${most} in a turn`)
    })
  }

  test.serial(
    `a connection sends its high-water mark in a turn, and others go on: ${words(place)}`,
    async (t) => {
      const options = { framing, highWaterMark: 100_000 }
      const connection = await connected(t, place, options)
      const most = await maxInTurn(() => connection.send(Buffer.alloc(10_000)), 200)
      t.true(most <= 10, `${most} in a turn`)
      await nextTurn()
      let turned = false
      setImmediate(() => {
        turned = true
      })
      const other = await connected(t, place, options)
      await nextTurn()
      turned = false
      const waiting = connection.send(Buffer.alloc(100_000))
      await other.send(Buffer.alloc(10_000))
      t.false(turned, 'another connection has a mark of its own')
      await waiting
    },
  )

  test.serial(
    `a stream sends four high-water marks in a turn if they leave at once: ${words(place)}`,
    async (t) => {
      const chunk = Buffer.alloc(16 * 1024)
      const connection = await connected(t, place, { highWaterMark: chunk.length })
      const duplex = connection.toDuplex().on('error', () => {})
      const most = await maxInTurn(() => written(duplex, chunk), 200)
      // Only a poller in this thread knows at once what has left.
      t.is(most, place.pollers === 0 ? 4 : 1)
    },
  )
}

test.serial('a thread sends 4 MiB in a turn, over all of its connections and event loops', async (t) => {
  const connections: Connection[] = []
  for (const pollers of [0, 1, 2]) {
    const place = { side: 'dialed', pollers, transport: 'tcp' } as const
    for (let made = 0; made < 2; made += 1) {
      connections.push(await connected(t, place, { framing, highWaterMark: 64 * 1024 * 1024 }))
    }
  }
  const message = Buffer.alloc(256 * 1024)
  const most = await maxInTurn((index) => connections[index % connections.length]?.send(message), 200)
  t.true(most <= 16, `${most} in a turn`)
})

test.serial('below the bounds nothing waits for the event loop', async (t) => {
  const connection = await connected(t, { side: 'dialed', pollers: 0, transport: 'tcp' }, { framing })
  for (let turn = 0; turn < 20; turn += 1) {
    await nextTurn()
    let hasTurned = false
    setImmediate(() => {
      hasTurned = true
    })
    for (let sent = 0; sent < maxSteps - 1; sent += 1) await connection.send(tiny)
    t.false(hasTurned)
  }
})

for (const pollers of [0, 1, 2]) {
  test.serial(`isCongested and onDrain speak of the peer alone, with ${pollers} pollers`, async (t) => {
    const drained = new Inbox<Connection>()
    const options = { framing, onDrain: drained.push }
    const connection = await connected(t, { side: 'dialed', pollers, transport: 'tcp' }, options)
    for (let sent = 0; sent < 5_000; sent += 1) {
      void connection.send(tiny)
      t.false(connection.isCongested)
    }
    await connection.send(tiny)
    t.deepEqual(drained.all, [])
  })

  test.serial(
    `what waits for the event loop learns of the connection’s end, with ${pollers} pollers`,
    async (t) => {
      const place = { side: 'dialed', pollers, transport: 'tcp' } as const
      for (const options of [{ framing }, {}]) {
        const connection = await connected(t, place, options)
        for (let sent = 0; sent < maxSteps; sent += 1) void connection.send(tiny)
        const waiting = connection.send(tiny)
        connection.destroy()
        // Either the loop has turned first, and the next is refused, or it learns it by itself.
        const end = waiting.then(() => connection.send(tiny))
        t.is(codeOf(await rejection(end)), 'ERR_CONN_CLOSED')
      }
    },
  )

  for (const condition of ['unreferenced', 'fake timers']) {
    for (const size of [1, 20_000]) {
      test.serial(
        `whoever waits for the event loop goes on: ${condition}, ${size} bytes, ${pollers} pollers`,
        async (t) => {
          const args = [condition, String(pollers), String(size)]
          const outcome = await runFixture(t, 'paced', { args })
          t.deepEqual(outcome, { code: 0, signal: null, stdout: 'done\n', stderr: '' })
        },
      )
    }
  }
}

test('a send that is refused after the connection has failed names the failure as its cause', async (t) => {
  const { port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  const over = deferred()
  connection.onClose(over.resolve)
  peer.reset()
  await over.promise
  const error = (await rejection(connection.send('late'))) as Error
  t.is(codeOf(error), 'ERR_CONN_CLOSED')
  t.is(codeOf(error.cause), 'ECONNRESET')
})

// What belongs to no connection, or to several.
test.serial('the event loop turns beside whoever takes from a pool and gives back', async (t) => {
  const server = createServer({ framing }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  const target = { host: '127.0.0.1', port: portOf(server) }
  const pool = new Pool(target, { framing })
  t.teardown(() => pool.close({ timeout: 0 }))
  t.true((await maxInTurn(async () => pool.put(await pool.get()))) <= maxSteps)
  const refused = async (): Promise<unknown> => pool.call(7 as unknown as string).catch(() => {})
  t.true((await maxInTurn(refused)) <= maxSteps)
  t.is((await pool.call('still')).toString(), 'still')
  t.is(pool.stats().running, 0)
})

test.serial('the event loop turns beside users of a pool who wait for each other', async (t) => {
  const server = createServer({ framing }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  for (const connections of [1, 2]) {
    const pool = new Pool({ host: '127.0.0.1', port: portOf(server) }, { framing, connections })
    t.teardown(() => pool.close({ timeout: 0 }))
    // One more than there are connections: each gets what another one has just given back.
    const users = Array.from({ length: connections + 1 })
    const most = await maxBetweenTurns((stepped) => {
      const use = async (): Promise<void> => {
        for (let step = 0; step < 5_000; step += 1) {
          const connection = await pool.get()
          stepped()
          pool.put(connection)
        }
      }
      return Promise.all(users.map(use))
    })
    // Those who have waited for the turn come first in it.
    t.true(most <= maxSteps + users.length, `${connections} connections: ${most} in a turn`)
    t.is(pool.stats().running, 0)
  }
})

test.serial('the event loop turns beside what is refused', async (t) => {
  const target = { host: '127.0.0.1', port: 9 }
  const pool = new Pool(target, { framing })
  const mux = new Mux(target, { framing, id: { offset: 0, size: 4 } })
  const server = createServer({ framing }, () => {})
  await Promise.all([pool.close(), mux.close(), server.close()])
  const directory = dirname(socketPath(t))
  const dialer = new Dialer({ framing })
  const attempts: Readonly<Record<string, () => Promise<unknown>>> = {
    'pool.get': () => pool.get(),
    'pool.call': () => pool.call('x'),
    'pool.close': () => pool.close(),
    'mux.call': () => mux.call('x'),
    'mux.send': () => mux.send('x'),
    'mux.close': () => mux.close(),
    'server.listen': () => server.listen({ host: '127.0.0.1', port: 0 }),
    'server.close': () => server.close(),
    'a place that is not there': () =>
      createServer({ framing }).listen({ path: join(directory, 'none', 'x') }),
    'dialer.dial': () => dialer.dial({ path: join(directory, 'none') }),
    'dialer.fromFd': () => dialer.fromFd(2 ** 31 - 1),
    'a writer of no connection': () => createWriter().flush(),
  }
  for (const [name, attempt] of Object.entries(attempts)) {
    const most = await maxInTurn(() => attempt().catch(() => {}))
    t.true(most <= maxSteps, `${name}: ${most} in a turn`)
  }
})

test.serial('the event loop turns beside what is over already', async (t) => {
  const connection = await connected(t, { side: 'dialed', pollers: 0, transport: 'tcp' }, {})
  connection.destroy()
  await inactive(connection)
  await connection.close()
  const reader = readerFrom([tiny])
  await reader.fill(1)
  const sink = new Writable({ write: (_chunk, _encoding, callback) => callback() })
  const attempts: Readonly<Record<string, () => unknown>> = {
    'connection.close': () => connection.close(),
    'connection.onClose': () => new Promise<void>((resolve) => connection.onClose(resolve)),
    'fillUntil of what is there': () => reader.fillUntil('x'),
    'fill beyond the end': () => reader.fill(2).catch(() => {}),
    'loops over a reader': async () => {
      for await (const _ of reader.slice(0));
    },
    'flushes to a stream': () => writerTo(sink).flush(),
  }
  for (const [name, attempt] of Object.entries(attempts)) {
    const most = await maxInTurn(attempt)
    t.true(most <= maxSteps + maxInVain, `${name}: ${most} in a turn`)
  }
})

test.serial('a message is read in as many waits as it takes, whatever comes in a turn', async (t) => {
  const { port, connections } = await serveStream(t)
  const client = await dialStream(t, { port })
  const connection = await connections.take()
  const messages = 20_000
  const bytes = Buffer.alloc(messages * 5, 1)
  void client.send(bytes)
  await connection.reader.fill(bytes.length)
  let hasTurned = false
  setImmediate(() => {
    hasTurned = true
  })
  for (let read = 0; read < messages; read += 1) {
    await connection.reader.fill(4)
    await connection.reader.fill(5)
    connection.reader.skip(5)
  }
  t.false(hasTurned)
})

test.serial('handlers that set each other let the event loop turn', async (t) => {
  let [runs, now, most] = [0, 0, 0]
  const run = (): boolean => {
    runs += 1
    now += 1
    most = Math.max(most, now)
    return runs < 10_000
  }
  const { port } = await serveStream(t, {
    onData: function swap(connection) {
      if (!run()) return
      connection.onData = (same) => {
        if (run()) same.onData = swap
      }
    },
  })
  const peer = await connectPeer(t, { port })
  await peer.write('x')
  while (runs < 10_000) {
    await nextTurn()
    now = 0
  }
  t.true(most <= maxSteps, `${most} in a turn`)
})

for (const place of places) {
  test.serial(`the event loop turns beside calls that are aborted: ${words(place)}`, async (t) => {
    const connection = await connected(t, place, { framing, id: { offset: 0, size: 4 } })
    const request = Buffer.alloc(4)
    const most = await maxInTurn((index) => {
      request.writeUInt32BE(index)
      return aborted((signal) => connection.call(request, { signal }))
    })
    t.true(most <= maxSteps, `${most} in a turn`)
  })
}

for (const pollers of [0, 1, 2]) {
  test.serial(`the event loop turns beside whoever aborts what waits, ${pollers} pollers`, async (t) => {
    const server = createServer({ framing }, (request) => request)
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen({ host: '127.0.0.1', port: 0 })
    const target = { host: '127.0.0.1', port: portOf(server) }
    const options = { framing, pollers, connections: 1 }
    const lines = {
      pool: new Pool(target, options),
      full: new Pool(target, options),
      mux: new Mux(target, options),
      client: new TransportClient(target, new JsonCodec(), { pollers }),
    }
    const lent = await lines.full.get()
    await lines.mux.call('x')
    const dialer = new Dialer({ framing, pollers })
    const attempts: Readonly<Record<string, (signal: AbortSignal) => Promise<unknown>>> = {
      'pool.call': (signal) => lines.pool.call('x', { signal }),
      'pool.call that waits': (signal) => lines.full.call('x', { signal }),
      'pool.get that waits': (signal) => lines.full.get({ signal }),
      'mux.call': (signal) => lines.mux.call('x', { signal }),
      'client.call': (signal) => lines.client.call('m', {}, { signal }),
      'dialer.dial': (signal) => dialer.dial({ ...target, signal }),
    }
    for (const [name, attempt] of Object.entries(attempts)) {
      const later = await maxInTurn(() => aborted(attempt), 2_000)
      t.true(later <= maxSteps, `${name}: ${later} in a turn`)
      const before = await maxInTurn(() => attempt(AbortSignal.abort()).catch(() => {}), 2_000)
      t.true(before <= maxSteps, `${name}, aborted before: ${before} in a turn`)
    }
    lines.full.put(lent)
    t.is(String(await lines.full.call('still')), 'still')
    let connection = await dialer.dial(target)
    const most = await maxInTurn(async () => {
      connection = await dialer.fromFd(connection.detach())
    }, 2_000)
    t.true(most <= maxSteps, `fromFd: ${most} in a turn`)
    await gone(connection)
    await Promise.all(Object.values(lines).map((line) => line.close({ timeout: 0 })))
  })
}

/** Begins something, and aborts it at once. */
async function aborted(begin: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
  const controller = new AbortController()
  const outcome = begin(controller.signal)
  controller.abort()
  await outcome.catch(() => {})
}

test.serial('the event loop turns beside RPC calls that are refused', async (t) => {
  const client = new TransportClient({ host: '127.0.0.1', port: 9 }, new JsonCodec())
  t.teardown(() => client.close({ timeout: 0 }))
  const late = { deadline: performance.now() - 1 }
  for (const attempt of [() => client.call('m', {}, late), () => client.send('m', {}, late)]) {
    const most = await maxInTurn(() => attempt().catch(() => {}))
    t.true(most <= maxSteps, `${most} in a turn`)
  }
})
