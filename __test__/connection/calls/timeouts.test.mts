import type { Socket } from 'node:net'
import test, { type ExecutionContext } from 'ava'

import { type Connection, createServer, Dialer } from '../../../dist/index.mjs'
import { deferred, Inbox, nextTurn, until } from '../../support/deferred.mjs'
import { frame, frames, pattern } from '../../support/frames.mjs'
import { netServer } from '../../support/listeners.mjs'
import { codeOf, connectPeer, dial, framing, rejection, serve, targetOf } from '../../support/netpoll.mjs'
import { isOverTls } from '../../support/over-tls/record.mjs'
import { arrived, dialStream, serveStream } from '../../support/streams.mjs'
import { socketPath } from '../../support/system.mjs'

/** Milliseconds, where the timeout has to come. */
const short = 20
/** Milliseconds, where it must not come although more time passes: a stall of the machine is no failure. */
const long = 1_000
/** Milliseconds between events of a test: where the machine keeps them apart for longer, the test begins anew. */
const ample = 2_000
/** Milliseconds, shorter than a stall of ours. */
const brief = 100

/**
 * Lets time pass, told by timeouts of the same kind as those under test: on a connection that nothing comes on, each
 * wait ends after `milliseconds`.
 */
async function clock(t: ExecutionContext): Promise<(milliseconds: number, times?: number) => Promise<void>> {
  const { port } = await serveStream(t)
  const silent = await dialStream(t, { port })
  return async (milliseconds, times = 1) => {
    silent.setReadTimeout(milliseconds)
    for (let time = 0; time < times; time += 1) {
      t.is(codeOf(await rejection(silent.reader.fill(1))), 'ERR_READ_TIMEOUT')
    }
  }
}

/** Blocks the whole process, as a long computation would. */
function stall(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}

/** What a socket, or TLS of one, writes by. */
interface Handle {
  readonly bytesWritten: number
  readonly writeQueueSize: number
  /** What TLS writes to. */
  readonly _parent?: Handle
}

const handleOf = (socket: Socket): Handle => (socket as unknown as { readonly _handle: Handle })._handle

/** Waits until nothing holds up what is written next: with TLS that is what was written before, or the turn of the handshake. */
async function nothingWaits(socket: Socket): Promise<void> {
  await nextTurn()
  await until(() => socket.writableLength === 0 && handleOf(socket).writeQueueSize === 0)
}

/** Writes, so that the system has it when this returns. */
function writeNow(t: ExecutionContext, socket: Socket, bytes: Uint8Array | string): void {
  const handle = handleOf(socket)
  const below = isOverTls ? (handle._parent as Handle) : handle
  const before = below.bytesWritten
  socket.write(bytes)
  t.true(below.bytesWritten >= before + bytes.length)
  t.is(below.writeQueueSize, 0)
}

/** The only connection of a server with these options, its peer, and how it ends. */
async function stream(
  t: ExecutionContext,
  options: Parameters<typeof serveStream>[1],
  handler?: Parameters<typeof serveStream>[2],
) {
  const gone = new Inbox<Error | undefined>()
  const { port, connections } = await serveStream(
    t,
    { onError: () => {}, onDisconnect: (_connection, error) => gone.push(error), ...options },
    handler,
  )
  const peer = await connectPeer(t, { port })
  peer.socket.once('end', () => peer.end())
  return { peer, connection: await connections.take(), gone }
}

const readers: Readonly<Record<string, (t: ExecutionContext) => Promise<Connection>>> = {
  server: async (t) => (await stream(t, { readTimeout: short })).connection,
  dialer: async (t) => {
    const { port } = await serveStream(t)
    return dialStream(t, { port }, { readTimeout: short })
  },
  connection: async (t) => (await stream(t, { readTimeout: 600_000 })).connection.setReadTimeout(short),
}

for (const [where, connect] of Object.entries(readers)) {
  test(`readTimeout of a ${where}: a reader that waits for too little gets ERR_READ_TIMEOUT`, async (t) => {
    const connection = await connect(t)
    t.is(codeOf(await rejection(connection.reader.fill(1))), 'ERR_READ_TIMEOUT')
    t.is(codeOf(await rejection(connection.reader.fillUntil('\n'))), 'ERR_READ_TIMEOUT')
    t.is(codeOf(await rejection(connection[Symbol.asyncIterator]().next())), 'ERR_READ_TIMEOUT')
    t.true(connection.isActive, 'the connection goes on')
  })
}

test('after a read timeout what has come is still there, and the next fill gets the rest', async (t) => {
  const { connection, peer } = await stream(t, { readTimeout: short })
  const { reader } = connection
  await peer.write('abc')
  await arrived(connection, 3)
  t.is(codeOf(await rejection(reader.fill(6))), 'ERR_READ_TIMEOUT')
  t.is(reader.length, 3)
  connection.setReadTimeout(0)
  const filling = reader.fill(6)
  await peer.write('def')
  await filling
  t.is(reader.readString(6), 'abcdef')
})

test('a read timeout counts for each wait from its own start', async (t) => {
  const pass = await clock(t)
  const { connection, peer } = await stream(t, {})
  const { reader } = connection
  // Together they are longer than the limit.
  for (let round = 0; round < 3; round += 1) {
    connection.setReadTimeout(ample)
    const began = performance.now()
    let waited = Number.POSITIVE_INFINITY
    const filled = reader.fill(1).catch((error: unknown) => {
      waited = performance.now() - began
      return codeOf(error)
    })
    await pass(0.4 * ample)
    await peer.write('x')
    if ((await filled) === 'ERR_READ_TIMEOUT') {
      t.true(waited >= ample, `after ${waited} ms`)
      connection.setReadTimeout(0)
      await reader.fill(1)
      round = -1
    }
    t.is(reader.readString(1), 'x')
  }
  t.true(connection.isActive)
})

test('a read timeout that was turned off does not come', async (t) => {
  const pass = await clock(t)
  const { connection, peer } = await stream(t, { readTimeout: short })
  t.is(codeOf(await rejection(connection.reader.fill(1))), 'ERR_READ_TIMEOUT')
  connection.setReadTimeout(0)
  const filling = connection.reader.fill(1)
  await pass(short, 3)
  await peer.write('x')
  await filling
  t.is(connection.reader.length, 1)
})

test('readTimeout does not end a connection that nobody reads from', async (t) => {
  const pass = await clock(t)
  const { connection, peer } = await stream(t, { readTimeout: short })
  await peer.write('x')
  await pass(short, 3)
  t.true(connection.isActive)
  t.is(connection.reader.length, 1)
})

for (const where of ['server', 'connection'] as const) {
  test(`readTimeout of a ${where}: an unfinished message ends its connection, idleness does not`, async (t) => {
    const pass = await clock(t)
    const gone = new Inbox<Error | undefined>()
    const errors = new Inbox<unknown>()
    const accepted = new Inbox<Connection>()
    const { port } = await serve(
      t,
      {
        readTimeout: where === 'server' ? short : 0,
        onConnect: (connection) => {
          if (where === 'connection') connection.setReadTimeout(short)
          accepted.push(connection)
        },
        onError: errors.push,
        onDisconnect: (_connection, error) => gone.push(error),
      },
      (request) => request,
    )
    const peer = await connectPeer(t, { port })
    await peer.write(frame('a'))
    await peer.read(5)
    await pass(short, 3)
    t.is(gone.all.length, 0, 'nothing is unfinished')
    // A process that comes to its handler late might be over the limit before the reply.
    const connection = await accepted.take()
    if (where === 'connection') connection.setReadTimeout(0)
    const begun = where === 'connection' ? 6 : 0
    await peer.write(frames('b', 'unfinished').subarray(0, 5 + begun))
    t.deepEqual(await peer.read(5), frame('b'))
    if (where === 'connection') connection.setReadTimeout(short)
    else await peer.write(frame('unfinished').subarray(0, 6))
    t.is((await peer.readToEnd()).length, 0)
    peer.end()
    t.is(codeOf(await gone.take()), 'ERR_READ_TIMEOUT')
    t.deepEqual(errors.all.map(codeOf), ['ERR_READ_TIMEOUT'])
  })
}

test('readTimeout of a dialer: an unfinished reply fails its call and its loop', async (t) => {
  const { port } = await serveStream(t, {}, ({ reader, writer }) => {
    reader.skip(reader.length)
    writer.writeBinary(frame('unfinished').subarray(0, 7))
    void writer.flush()
  })
  const client = await dial(t, { port }, { readTimeout: short, onError: () => {} })
  t.is(codeOf(await rejection(client.call('x'))), 'ERR_READ_TIMEOUT')
  const other = await dial(t, { port }, { readTimeout: short, onError: () => {} })
  const next = rejection(other[Symbol.asyncIterator]().next())
  await other.send('x')
  t.is(codeOf(await next), 'ERR_READ_TIMEOUT')
})

for (const where of ['server', 'connection'] as const) {
  test(`writeTimeout of a ${where}: a peer that takes nothing fails its connection`, async (t) => {
    const { connection, gone, peer } = await stream(t, { writeTimeout: where === 'server' ? short : 0 })
    if (where === 'connection') connection.setWriteTimeout(short)
    peer.socket.pause()
    connection.writer.malloc(50_000_000)
    t.is(
      codeOf(await rejection(connection.writer.flush().then(() => connection.send('x')))),
      'ERR_WRITE_TIMEOUT',
    )
    t.is(codeOf(await gone.take()), 'ERR_WRITE_TIMEOUT')
  })
}

test('writeTimeout of a dialer: a server that takes nothing fails the connection and its calls', async (t) => {
  const { port, connections } = await serveStream(t)
  const client = await dial(t, { port }, { writeTimeout: short, onError: () => {} })
  ;(await connections.take()).pause()
  t.is(codeOf(await rejection(client.call(Buffer.alloc(10_000_000)))), 'ERR_WRITE_TIMEOUT')
})

/** A connection whose peer took something now and then, and got everything; none where the machine came between them. */
async function takesNowAndThen(
  t: ExecutionContext,
  pass: (milliseconds: number) => Promise<void>,
): Promise<Connection | undefined> {
  const { connection, peer } = await stream(t, { writeTimeout: ample })
  peer.socket.pause()
  const sent = Buffer.concat(Array.from({ length: 24 }, (_, seed) => pattern(1_000_000, seed)))
  let taken = performance.now()
  let longest = 0
  const take = (): void => {
    longest = Math.max(longest, performance.now() - taken)
    taken = performance.now()
  }
  peer.socket.on('data', take)
  const sending = connection.send(sent)
  const failed = new Promise<unknown>((resolve) => {
    sending.catch((error: unknown) => {
      take()
      resolve(codeOf(error))
    })
  })
  const taking = (length: number): Promise<unknown> =>
    Promise.race([peer.read(length).catch(() => failed), failed])
  for (let round = 0; round < 8; round += 1) {
    peer.socket.resume()
    const bytes = await taking(1_000_000)
    peer.socket.pause()
    if (!Buffer.isBuffer(bytes)) {
      t.is(bytes, 'ERR_WRITE_TIMEOUT')
      // Without pauses of the machine a wait is much shorter.
      t.true(longest > 0.5 * ample, `after ${longest} ms`)
      return undefined
    }
    t.true(bytes.equals(sent.subarray(round * 1_000_000, (round + 1) * 1_000_000)))
    // In all, longer than the limit.
    await pass(0.15 * ample)
  }
  connection.setWriteTimeout(0)
  peer.socket.resume()
  // There is no limit any more.
  const rest = await taking(16_000_000)
  // `deepEqual` looks at each byte of a Buffer by itself.
  t.true(Buffer.isBuffer(rest) && rest.equals(sent.subarray(8_000_000)))
  await sending
  return connection
}

test('writeTimeout does not end a connection whose peer takes something now and then', async (t) => {
  const pass = await clock(t)
  let connection = await takesNowAndThen(t, pass)
  while (connection === undefined) connection = await takesNowAndThen(t, pass)
  connection.setWriteTimeout(short)
  await pass(short, 3)
  t.true(connection.isActive, 'nothing waits to be sent')
})

const idlers: Readonly<Record<string, (t: ExecutionContext) => Promise<Inbox<Error | undefined>>>> = {
  server: async (t) => (await stream(t, { idleTimeout: short })).gone,
  connection: async (t) => {
    const { connection, gone } = await stream(t, {})
    connection.setIdleTimeout(short)
    return gone
  },
  dialer: async (t) => {
    const gone = new Inbox<Error | undefined>()
    const { port } = await serve(t, {}, (request) => request)
    const onDisconnect = (_connection: Connection, error: Error | undefined): void => gone.push(error)
    // In the hook, before whose end nothing counts.
    const onConnect = async (client: Connection): Promise<void> => void (await client.call('x'))
    await dial(t, { port }, { idleTimeout: short, onConnect, onDisconnect, onError: () => {} })
    return gone
  },
}

for (const [where, connect] of Object.entries(idlers)) {
  test(`idleTimeout of a ${where} closes a connection that nothing goes over`, async (t) => {
    t.is(codeOf(await (await connect(t)).take()), 'ERR_IDLE_TIMEOUT')
  })
}

test('idleTimeout closes in order: the peer gets everything and no reset', async (t) => {
  const { peer } = await stream(t, { idleTimeout: short, onConnect: ({ writer }) => sendAll(writer) })
  t.is((await peer.readToEnd()).length, 100_000)
  t.is(await peer.closed, undefined)
})

function sendAll(writer: Connection['writer']): void {
  writer.malloc(100_000)
  void writer.flush()
}

test('idleTimeout does not close a connection over which messages go', async (t) => {
  const pass = await clock(t)
  const gone = new Inbox<Error | undefined>()
  const { port } = await serve(
    t,
    { idleTimeout: long, onDisconnect: (_connection, error) => gone.push(error), onError: () => {} },
    (request) => request,
  )
  const idle = await dial(t, { port })
  const closed = new Promise<void>((resolve) => void idle.onClose(resolve))
  const busy = await dial(t, { port })
  let over = false
  const passing = closed
    .then(() => pass(Math.round(0.5 * long)))
    .then(() => {
      over = true
    })
  let answers = 0
  for (; !over; answers += 1) await busy.call('x')
  await passing
  t.deepEqual(gone.all.map(codeOf), ['ERR_IDLE_TIMEOUT'], `after ${answers} answers`)
  t.true(busy.isActive)
})

test('idleTimeout does not close a connection while its requests are handled', async (t) => {
  const pass = await clock(t)
  const [handled, go] = [deferred(), deferred()]
  const gone = new Inbox<Error | undefined>()
  const { port } = await serve(
    t,
    { onDisconnect: (_connection, error) => gone.push(error), onError: () => {} },
    async (_request, connection) => {
      connection.setIdleTimeout(short)
      handled.resolve()
      await go.promise
      return 'done'
    },
  )
  const client = await dial(t, { port })
  const calling = client.call('x')
  await handled.promise
  await pass(short, 4)
  t.deepEqual(gone.all, [])
  go.resolve()
  t.is((await calling).toString(), 'done')
  t.is(codeOf(await gone.take()), 'ERR_IDLE_TIMEOUT')
})

test('idleTimeout does not close a connection while onConnect or onData runs', async (t) => {
  const pass = await clock(t)
  const steps = [deferred(), deferred()]
  const { gone, peer } = await stream(
    t,
    { idleTimeout: short, onConnect: () => steps[0]?.promise },
    async ({ reader }) => {
      await steps[1]?.promise
      reader.skip(reader.length)
    },
  )
  await pass(short, 4)
  t.deepEqual(gone.all, [])
  await peer.write('x')
  // With input that waits, the core tells of no silence. None is on its way when the hook ends.
  await pass(short, 4)
  steps[0]?.resolve()
  await pass(short, 4)
  t.deepEqual(gone.all, [])
  steps[1]?.resolve()
  t.is(codeOf(await gone.take()), 'ERR_IDLE_TIMEOUT')
})

for (const pollers of [0, 1, 2]) {
  for (const place of ['port', 'path'] as const) {
    const where = `${place}, pollers: ${pollers}`
    const target = (t: ExecutionContext) =>
      place === 'port' ? { host: '127.0.0.1', port: 0 } : { path: socketPath(t) }

    test(`idleTimeout does not close a connection whose unread input waits for us, ${where}`, async (t) => {
      const pass = await clock(t)
      const gone = new Inbox<Error | undefined>()
      const options = {
        pollers,
        onDisconnect: (_connection: Connection, error: Error | undefined) => gone.push(error),
        onError: () => {},
      }
      // A reader that works for longer than the limit between two fills, on both sides.
      const work = deferred()
      const read = async ({ reader }: Connection): Promise<string> => {
        await reader.fill(4)
        const first = reader.readString(4)
        await work.promise
        await reader.fill(4)
        return first + reader.readString(4)
      }
      const accepted = new Inbox<Connection>()
      const server = createServer({ ...options, onConnect: accepted.push })
      t.teardown(() => server.close({ timeout: 0 }))
      await server.listen(target(t))
      const dialed = await new Dialer(options).dial(targetOf(server))
      t.teardown(() => dialed.destroy())
      const both = [dialed, await accepted.take()]
      const texts = both.map(read)
      for (const { writer } of both) {
        writer.writeString('onetwo..')
        await writer.flush()
      }
      for (const connection of both) {
        await arrived(connection, 8)
        connection.setIdleTimeout(short)
      }
      await pass(short, 4)
      t.deepEqual(gone.all, [])
      work.resolve()
      t.deepEqual(await Promise.all(texts), ['onetwo..', 'onetwo..'])
      // Whichever is first; the other may learn of that before its own time is over.
      const ends = [await gone.take(), await gone.take()].map(codeOf)
      t.true(ends.includes('ERR_IDLE_TIMEOUT'))
    })

    test(`idleTimeout does not close a paused connection with a request waiting, ${where}`, async (t) => {
      const pass = await clock(t)
      const gone = new Inbox<Error | undefined>()
      const connections = new Inbox<Connection>()
      const server = createServer(
        {
          framing,
          pollers,
          onConnect: (connection) => connections.push(connection.pause()),
          onDisconnect: (_connection, error) => gone.push(error),
          onError: () => {},
        },
        (request) => request,
      )
      t.teardown(() => server.close({ timeout: 0 }))
      await server.listen(target(t))
      const client = await dial(t, targetOf(server))
      const calling = client.call('x')
      const connection = await connections.take()
      while (client.bytesWritten < 5) await nextTurn()
      connection.setIdleTimeout(short)
      await pass(short, 4)
      t.deepEqual(gone.all, [])
      connection.resume()
      t.is(String(await calling), 'x')
      t.is(codeOf(await gone.take()), 'ERR_IDLE_TIMEOUT')
    })
  }
}

test('idleTimeout does not close a dialed connection whose call waits', async (t) => {
  const pass = await clock(t)
  const go = deferred()
  const { port } = await serve(t, {}, async () => {
    await go.promise
    return 'late'
  })
  const client = await dial(t, { port }, { onError: () => {} })
  const calling = client.call('x')
  client.setIdleTimeout(short)
  await pass(short, 4)
  go.resolve()
  t.is((await calling).toString(), 'late')
  await new Promise<void>((resolve) => void client.onClose(resolve))
})

test('an idleTimeout that was turned off does not come', async (t) => {
  const pass = await clock(t)
  const { connection, gone } = await stream(t, { idleTimeout: 600_000 })
  connection.setIdleTimeout(short).setIdleTimeout(0)
  await pass(short, 3)
  t.deepEqual(gone.all, [])
  t.true(connection.isActive)
})

const callers: Readonly<Record<string, (t: ExecutionContext, port: number) => Promise<Buffer>>> = {
  dialer: async (t, port) => (await dial(t, { port }, { requestTimeout: short })).call('x'),
  connection: async (t, port) => (await dial(t, { port })).setRequestTimeout(short).call('x'),
  call: async (t, port) =>
    (await dial(t, { port }, { requestTimeout: 600_000 })).call('x', { timeout: short }),
}

for (const [where, call] of Object.entries(callers)) {
  test(`the request timeout of a ${where} rejects with ERR_REQUEST_TIMEOUT`, async (t) => {
    const { port } = await serve(t, {}, () => new Promise(() => {}))
    t.is(codeOf(await rejection(call(t, port))), 'ERR_REQUEST_TIMEOUT')
  })
}

test('calls with less time are given up while those before and after them wait', async (t) => {
  const pass = await clock(t)
  const go = deferred()
  const { port } = await serve(t, {}, async (request) => {
    await go.promise
    return request
  })
  const client = await dial(t, { port })
  const first = client.call('first', { timeout: 600_000 })
  const second = client.call('second', { timeout: short })
  const third = client.call('third', { timeout: 600_000 })
  t.is(codeOf(await rejection(second)), 'ERR_REQUEST_TIMEOUT')
  await pass(short)
  go.resolve()
  t.deepEqual((await Promise.all([first, third])).map(String), ['first', 'third'])
})

test('a timeout of 0 lets a call wait, whatever the dialer says', async (t) => {
  const pass = await clock(t)
  const go = deferred()
  const { port } = await serve(t, {}, async (request) => {
    await go.promise
    return request
  })
  const client = await dial(t, { port }, { requestTimeout: short })
  const [timed, untimed] = [client.call('timed'), client.call('untimed', { timeout: 0 })]
  t.is(codeOf(await rejection(timed)), 'ERR_REQUEST_TIMEOUT')
  await pass(short, 3)
  go.resolve()
  t.is((await untimed).toString(), 'untimed')
})

// What comes is written in the turn in which the wait begins. So it is there before the loop looks at the clock again, however
// long the machine takes from one line to the next.

test.serial('a process that stalls does not take what came meanwhile for late: reader', async (t) => {
  const { connection, gone, peer } = await stream(t, {})
  connection.setReadTimeout(brief).setIdleTimeout(2 * brief)
  // The alarm of one wait comes in the next one but one.
  for (let round = 0; round < 5; round += 1) {
    await nothingWaits(peer.socket)
    const filling = connection.reader.fill(1)
    writeNow(t, peer.socket, 'x')
    stall(3 * brief)
    await filling
    connection.reader.skip(1)
  }
  t.deepEqual(gone.all, [])
})

test.serial('a process that stalls does not take what came meanwhile for late: messages', async (t) => {
  const gone = new Inbox<Error | undefined>()
  const accepted = new Inbox<Connection>()
  const { port } = await serve(
    t,
    { onConnect: accepted.push, onDisconnect: (_connection, error) => gone.push(error), onError: () => {} },
    (request) => request,
  )
  const peer = await connectPeer(t, { port })
  const connection = await accepted.take()
  for (let round = 0; round < 3; round += 1) {
    await peer.write(frame('halves').subarray(0, 7))
    await arrived(connection, 10 * round + 7)
    await nothingWaits(peer.socket)
    connection.setReadTimeout(brief).setIdleTimeout(2 * brief)
    // The limits count from this turn on.
    await nextTurn()
    writeNow(t, peer.socket, frame('halves').subarray(7))
    stall(3 * brief)
    t.deepEqual(await peer.read(10), frame('halves'))
    connection.setReadTimeout(0).setIdleTimeout(0)
  }
  t.deepEqual(gone.all, [])
})

test.serial('a process that stalls does not take what came meanwhile for late: calls', async (t) => {
  const { port, sockets } = await netServer(t)
  const client = await dial(t, { port }, { requestTimeout: brief })
  const socket = await sockets.take()
  for (let round = 0; round < 3; round += 1) {
    await nothingWaits(socket)
    const calling = client.call('request')
    writeNow(t, socket, frame('reply'))
    stall(3 * brief)
    t.is(String(await calling), 'reply')
  }
})
