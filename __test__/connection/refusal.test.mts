// After a refusal nothing of a connection is parsed, whatever waits, and its calls fail at once. No peer here ends its
// direction by itself: whoever waited for the end would wait for ever.
import { once } from 'node:events'
import test, { type ExecutionContext } from 'ava'

import {
  type Connection,
  createServer,
  Dialer,
  type FramedDialerOptions,
  type FramedServerOptions,
  lengthField,
  Mux,
  type NetpollError,
  Pool,
  type Server,
  type ServerOptions,
  varint,
} from '../../dist/index.mjs'
import { deferred, Inbox } from '../support/deferred.mjs'
import { frame, frames, unframe } from '../support/frames.mjs'
import { netServerAt } from '../support/listeners.mjs'
import { codeOf, connectPeer, gone, portOf, rejection } from '../support/netpoll.mjs'
import type { Target } from '../support/peer.mjs'
import { socketPath } from '../support/system.mjs'

type Transport = 'tcp' | 'unix'

const framing = lengthField({ size: 4, maxLength: 1_000 })
const id = { offset: 0, size: 4 } as const
const tooLong = Buffer.from([0, 0, 0x10, 0])
const never = 600_000
/** Which only a call that hangs reaches. */
const requestTimeout = 30_000

const places = [0, 1, 2].flatMap((pollers) =>
  (['tcp', 'unix'] as const).map((transport) => ({ pollers, transport })),
)

/** A message with an id of four bytes before its text. */
function message(number: number, text: string): Buffer {
  const bytes = Buffer.alloc(4 + text.length)
  bytes.writeUInt32BE(number)
  bytes.write(text, 4)
  return bytes
}

const textOf = (bytes: Buffer): string => bytes.toString('latin1', 4)

async function listen(t: ExecutionContext, server: Server, transport: Transport): Promise<Target> {
  t.teardown(() => server.close({ timeout: 0 }))
  if (transport === 'tcp') {
    await server.listen({ host: '127.0.0.1', port: 0 })
    return { host: '127.0.0.1', port: portOf(server) }
  }
  const path = socketPath(t)
  await server.listen({ path })
  return { path }
}

function serve(t: ExecutionContext, transport: Transport, options: Partial<FramedServerOptions>) {
  return listen(t, createServer({ framing, closeTimeout: never, ...options }), transport)
}

/** A `node:net` server, which never ends a connection, and its sockets. */
const rawServer = (t: ExecutionContext, transport: Transport = 'tcp') =>
  netServerAt(t, transport, { allowHalfOpen: true }, (socket) => socket.resume())

/** A dialed connection, and the socket of its peer. */
async function dialed(t: ExecutionContext, transport: Transport, options: Partial<FramedDialerOptions>) {
  const { target, sockets } = await rawServer(t, transport)
  const dialer = new Dialer({ framing, closeTimeout: never, requestTimeout, ...options })
  const connection = await dialer.dial(target)
  t.teardown(() => gone(connection))
  return { connection, socket: await sockets.take() }
}

for (const { pollers, transport } of places) {
  const on = `${pollers} pollers, ${transport}`

  for (const torn of [false, true]) {
    test(`a server answers what came before a refusal, and takes nothing behind it: ${on}, ${torn ? 'torn' : 'at once'}`, async (t) => {
      const handled: string[] = []
      const errors = new Inbox<unknown>()
      const failed = new Inbox<[unknown, Connection]>()
      const ended = new Inbox<unknown>()
      const release = deferred()
      const target = await serve(t, transport, {
        id,
        pollers,
        ordered: false,
        onError: errors.push,
        onDisconnect: (_, error) => ended.push(error),
        onRequest: async (request, connection) => {
          handled.push(textOf(request))
          if (textOf(request) !== 'ask me') return request
          failed.push([
            await rejection(connection.call(message(77, 'question'), { timeout: requestTimeout })),
            connection,
          ])
          await release.promise
          return message(2, 'sorry')
        },
      })
      const peer = await connectPeer(t, target)
      const before = frames(message(1, 'honest'), message(2, 'ask me'))
      const behind = frames(message(3, 'forged request'), message(77, 'forged reply'))
      const answered = frames(message(1, 'honest'), message(77, 'question'))
      let received: Buffer = Buffer.alloc(0)
      if (torn) {
        await peer.write(before)
        received = await peer.read(answered.length)
        await peer.write(tooLong.subarray(0, 3))
        await peer.write(tooLong.subarray(3))
        await peer.write(behind)
      } else {
        await peer.write(Buffer.concat([before, tooLong, behind]))
      }
      t.is(codeOf(await errors.take()), 'ERR_FRAME_TOO_LARGE')
      const [error, connection] = await failed.take()
      t.is(codeOf(error), 'ERR_FRAME_TOO_LARGE')
      t.is(ended.all.length, 0)
      t.false(connection.isActive)
      const late = (await rejection(connection.call(message(78, 'late')))) as NetpollError
      t.is(late.code, 'ERR_CONN_CLOSED')
      t.is(codeOf(late.cause), 'ERR_FRAME_TOO_LARGE')
      await peer.write(behind)
      release.resolve()
      received = Buffer.concat([received, await peer.readToEnd()])
      const texts = unframe(received).map(textOf)
      t.deepEqual([...texts.slice(0, 2).sort(), ...texts.slice(2)], ['honest', 'question', 'sorry'])
      await peer.write(behind)
      peer.end()
      t.is(codeOf(await ended.take()), 'ERR_FRAME_TOO_LARGE')
      t.deepEqual(handled, ['honest', 'ask me'])
      t.is(errors.all.length, 1)
    })
  }

  test(`a refusal fails the calls of a dialed connection at once: ${on}`, async (t) => {
    const handled: string[] = []
    const { connection, socket } = await dialed(t, transport, {
      id,
      pollers,
      onError: () => {},
      onRequest: (request) => void handled.push(textOf(request)),
    })
    const calls = [1, 2, 3].map((number) => connection.call(message(number, 'x')))
    const behind = frames(message(2, 'forged'), message(3, 'forged'), message(9, 'forged'))
    const before = frames(message(8, 'honest'), message(1, 'reply'))
    socket.write(Buffer.concat([before, tooLong, behind]))
    const outcomes = await Promise.allSettled(calls)
    t.deepEqual(
      outcomes.map((o) => (o.status === 'fulfilled' ? textOf(o.value) : codeOf(o.reason))),
      ['reply', 'ERR_FRAME_TOO_LARGE', 'ERR_FRAME_TOO_LARGE'],
    )
    t.deepEqual(handled, ['honest'])
  })

  test(`a refusal fails calls that are answered in order at once: ${on}`, async (t) => {
    const { connection, socket } = await dialed(t, transport, { pollers, onError: () => {} })
    const calls = ['a', 'b'].map((text) => connection.call(text))
    socket.write(Buffer.concat([frame('A'), tooLong, frame('forged')]))
    t.is(String(await calls[0]), 'A')
    t.is(codeOf(await rejection(calls[1] as Promise<Buffer>)), 'ERR_FRAME_TOO_LARGE')
  })
}

for (const [name, options, refused, code] of [
  ['a varint without an end', { framing: varint() }, Buffer.alloc(10, 0x80), 'ERR_FRAME_INVALID'],
  [
    'a length before the header',
    { framing: lengthField({ size: 1, adjustment: -1, strip: 0 }) },
    Buffer.from([0]),
    'ERR_FRAME_INVALID',
  ],
  [
    'too much of all connections together',
    { framing: lengthField({ size: 1, strip: 0, adjustment: -1 }), maxBufferedBytes: 4 },
    Buffer.from([0xff]),
    'ERR_BUFFER_LIMIT',
  ],
] as const) {
  test(`whatever is refused, nothing behind it is a reply: ${name}`, async (t) => {
    const { connection, socket } = await dialed(t, 'tcp', { id: () => 1, onError: () => {}, ...options })
    const call = rejection(connection.call('\x03ab'))
    socket.write(refused)
    socket.write('\x03forged'.repeat(20))
    t.is(codeOf(await call), code)
  })
}

test('an end within a message fails the calls that wait, although a handler still runs', async (t) => {
  const release = deferred()
  const { connection, socket } = await dialed(t, 'tcp', {
    id,
    onError: () => {},
    onRequest: () => release.promise,
  })
  const call = rejection(connection.call(message(1, 'x')))
  socket.end(Buffer.concat([frame(message(5, 'handle me')), tooLong.subarray(0, 2)]))
  t.is(codeOf(await call), 'ERR_EOF')
  release.resolve()
})

test('a loop over messages gets what came before a refusal, and then its error', async (t) => {
  const { connection, socket } = await dialed(t, 'tcp', { onError: () => {} })
  const got: string[] = []
  const loop = (async () => {
    for await (const each of connection) got.push(String(each))
  })()
  socket.write(Buffer.concat([frames('a', 'b'), tooLong, frame('forged')]))
  t.is(codeOf(await rejection(loop)), 'ERR_FRAME_TOO_LARGE')
  t.deepEqual(got, ['a', 'b'])
})

for (const [name, options, bad, code] of [
  ['a message that no call awaits', { id }, message(9, 'strange'), 'ERR_UNEXPECTED_MESSAGE'],
  [
    'an id function that throws',
    {
      id: (bytes: Buffer) => {
        if (bytes[0] === 0x21) throw Object.assign(new Error('no id'), { code: 'ERR_OF_USER' })
        return bytes[3]
      },
    },
    Buffer.from('!'),
    'ERR_OF_USER',
  ],
  [
    'a handler that throws',
    {
      id,
      onRequest: () => {
        throw Object.assign(new Error('thrown'), { code: 'ERR_OF_USER' })
      },
    },
    message(9, 'handle me'),
    'ERR_OF_USER',
  ],
] as const) {
  for (const pollers of [0, 1]) {
    test(`nothing of a batch is taken after ${name}, and calls fail at once: ${pollers} pollers`, async (t) => {
      const errors = new Inbox<unknown>()
      const { connection, socket } = await dialed(t, 'tcp', {
        ...(options as Partial<FramedDialerOptions>),
        pollers,
        onError: errors.push,
      })
      const calls = [1, 2].map((number) => connection.call(message(number, 'x')))
      socket.write(frames(message(1, 'reply'), bad, message(2, 'too late'), bad))
      t.is(textOf((await calls[0]) as Buffer), 'reply')
      const error = (await rejection(calls[1] as Promise<Buffer>)) as NetpollError
      t.is(error.code, 'ERR_CONN_CLOSED')
      t.is(codeOf(error.cause), code)
      t.is(errors.all.length, 1)
    })
  }
}

test('a mux gives the places of calls that a refusal has failed to others', async (t) => {
  const { target, sockets } = await rawServer(t)
  const mux = new Mux(target, {
    framing,
    id,
    connections: 1,
    maxConcurrentCalls: 2,
    closeTimeout: never,
    requestTimeout,
    onError: () => {},
  })
  t.teardown(() => mux.close({ timeout: 0 }))
  const calls = [1, 2].map((number) => rejection(mux.call(message(number, 'x'))))
  const waiting = mux.call(message(3, 'x'))
  const first = await sockets.take()
  await once(first, 'data')
  first.write(Buffer.concat([tooLong, frame(message(1, 'forged'))]))
  t.deepEqual((await Promise.all(calls)).map(codeOf), ['ERR_FRAME_TOO_LARGE', 'ERR_FRAME_TOO_LARGE'])
  const second = await sockets.take()
  // Accepted is not yet asked: a reply to nothing would be refused.
  await once(second, 'data')
  second.write(frame(message(3, 'reply')))
  t.is(textOf(await waiting), 'reply')
  t.like(mux.stats(), { running: 0, connected: 1 })
  first.destroy()
})

test('a pool takes a connection whose call a refusal has failed for none that is in use', async (t) => {
  const { target, sockets } = await rawServer(t)
  const pool = new Pool(target, {
    framing,
    connections: 2,
    closeTimeout: never,
    requestTimeout,
    onError: () => {},
  })
  t.teardown(() => pool.close({ timeout: 0 }))
  const call = rejection(pool.call('x'))
  const first = await sockets.take()
  await once(first, 'data')
  first.write(Buffer.concat([tooLong, frame('forged')]))
  t.is(codeOf(await call), 'ERR_FRAME_TOO_LARGE')
  t.is(pool.stats().running, 0)
  const other = pool.call('y')
  const second = await sockets.take()
  await once(second, 'data')
  second.write(frame('reply'))
  t.is(String(await other), 'reply')
  first.destroy()
})

for (const threads of [1, 2, 3]) {
  for (const transport of ['tcp', 'unix'] as const) {
    for (const besides of ['a peer', 'a dialer in this process'] as const) {
      test(`${threads} workers answer what came before a refusal, and get nothing behind it: ${transport}, ${besides}`, async (t) => {
        const module = new URL('../fixtures/handler.mjs', import.meta.url)
        const gate = new Int32Array(new SharedArrayBuffer(64))
        const open = (): void => {
          Atomics.store(gate, 1, 1)
          Atomics.notify(gate, 1)
        }
        t.teardown(open)
        const errors = new Inbox<unknown>()
        const server = createServer({
          framing,
          onError: errors.push,
          workers: { module, threads, workerData: { gate } },
        } as ServerOptions)
        const target = await listen(t, server, transport)
        const wire = Buffer.concat([frames('wait:1', 'a'), tooLong, frames('forged', 'forged')])
        let replies: Promise<Buffer>
        if (besides === 'a peer') {
          const peer = await connectPeer(t, target)
          await peer.write(wire)
          replies = peer.readToEnd()
        } else {
          const stream = await new Dialer().dial(target)
          t.teardown(() => gone(stream))
          stream.writer.writeBinary(wire)
          await stream.writer.flush()
          const { length } = frames('1', 'a')
          replies = stream.reader.fill(length).then(() => stream.reader.readBinary(length))
        }
        t.is(codeOf(await errors.take()), 'ERR_FRAME_TOO_LARGE')
        open()
        t.deepEqual(unframe(await replies).map(String), ['1', 'a'])
        t.is(server.stats().requests, 2)
      })
    }
  }
}
