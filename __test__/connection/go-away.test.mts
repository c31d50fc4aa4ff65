import { connect, type NetConnectOpts } from 'node:net'
import { inspect } from 'node:util'
import test, { type ExecutionContext } from 'ava'

import {
  type Connection,
  createServer,
  Dialer,
  type DialTarget,
  type FramedDialerOptions,
  type FramedServerOptions,
  Mux,
  type MuxOptions,
  type NetpollError,
  Pool,
  type PoolLimits,
  type RequestHandler,
  type Server,
  type Writer,
} from '../../dist/index.mjs'
import { TransportClient, TransportServer } from '../../dist/rpc/index.mjs'
import { deferred, Inbox, nextTurn } from '../support/deferred.mjs'
import { frame } from '../support/frames.mjs'
import { JsonCodec, type Json, OrderedJsonCodec } from '../support/json-codec.mjs'
import { id, isGoAway, leave, request, textOf } from '../support/leaving.mjs'
import { netServer } from '../support/listeners.mjs'
import { codeOf, connectPeer, framing, rejection, targetOf } from '../support/netpoll.mjs'
import type { Target } from '../support/peer.mjs'
import { places } from '../support/places.mjs'
import { runFixture, socketPath } from '../support/system.mjs'

// What is idle keeps no process alive: a test that waits for its end may be the only one left.
const alive = setInterval(() => {}, 60_000)
test.after.always(() => clearInterval(alive))

interface Setting {
  readonly pollers: number
  readonly transport: 'tcp' | 'unix'
}

const settings: readonly Setting[] = places.filter(({ side }) => side === 'dialed')
const words = ({ pollers, transport }: Setting): string => `${pollers} pollers, ${transport}`

/** A server that answers by its name, and what its connections are. */
async function serveAt(
  t: ExecutionContext,
  place: Target | 'tcp' | 'unix',
  options: Partial<FramedServerOptions> = {},
  handler: RequestHandler = (message) => message,
): Promise<{ readonly server: Server; readonly accepted: Inbox<Connection>; readonly target: Target }> {
  const accepted = new Inbox<Connection>()
  const server = createServer(
    { framing, id, ordered: false, goAway: leave, onConnect: accepted.push, ...options },
    handler,
  )
  t.teardown(() => server.close({ timeout: 0 }))
  if (place === 'tcp') await server.listen({ host: '127.0.0.1', port: 0 })
  else if (place === 'unix') await server.listen({ path: socketPath(t) })
  else await server.listen(place as { readonly path: string })
  return { server, accepted, target: targetOf(server) }
}

/** A handler that answers once it is told to, by a name. */
function holding(name: string): {
  readonly handler: RequestHandler
  readonly held: Inbox<string>
  readonly release: () => void
} {
  const held = new Inbox<string>()
  const gate = deferred()
  const handler: RequestHandler = async (message) => {
    held.push(textOf(message))
    await gate.promise
    return [message, ` by ${name}`]
  }
  return { handler, held, release: gate.resolve }
}

const naming =
  (name: string): RequestHandler =>
  (message) => [message, ` by ${name}`]

/** What clients hear of the ends of their connections. */
function endings(): {
  readonly ended: Inbox<Error | undefined>
  readonly onDisconnect: NonNullable<FramedDialerOptions['onDisconnect']>
} {
  const ended = new Inbox<Error | undefined>()
  return { ended, onDisconnect: (_connection, error) => ended.push(error) }
}

function muxed(t: ExecutionContext, target: DialTarget, options: Partial<MuxOptions> = {}): Mux {
  const mux = new Mux(target, { framing, id, isGoAway, connections: 1, ...options })
  t.teardown(() => mux.close({ timeout: 0 }))
  return mux
}

function pooled(
  t: ExecutionContext,
  target: DialTarget,
  options: Partial<FramedDialerOptions & PoolLimits> = {},
): Pool {
  const pool = new Pool(target, { framing, id, isGoAway, ...options })
  t.teardown(() => pool.close({ timeout: 0 }))
  return pool
}

for (const setting of settings) {
  const { pollers, transport } = setting

  for (const kind of ['mux', 'pool'] as const) {
    test(`a ${kind} leaves a server that goes away: what waits is answered, the next server gets the rest, ${words(setting)}`, async (t) => {
      const { handler, held, release } = holding('old')
      const old = await serveAt(t, transport, { pollers }, handler)
      const { ended, onDisconnect } = endings()
      const caller = (kind === 'mux' ? muxed : pooled)(t, old.target, { pollers, onDisconnect })
      const waiting = ['a', 'b', 'c'].map((text) => caller.call(request(text)))
      await held.reach(3)
      const closing = old.server.close()
      await serveAt(t, old.target, { pollers }, naming('new'))
      const connections = kind === 'mux' ? 1 : 3
      // Until the announcement has come a call may still go to the old one, which serves it once it is told to.
      const next: Promise<Buffer>[] = []
      let isServedByNew = false
      while (!isServedByNew) {
        const call = caller.call(request('d'))
        void call.then((reply) => {
          isServedByNew ||= textOf(reply) === 'd by new'
        })
        next.push(call)
        await nextTurn()
      }
      release()
      t.deepEqual((await Promise.all(waiting)).map(textOf), ['a by old', 'b by old', 'c by old'])
      await Promise.all(next)
      await closing
      await ended.reach(connections)
      t.deepEqual(new Set(ended.all), new Set([undefined]))
      t.is(textOf(await caller.call(request('e'))), 'e by new')
    })

    test(`an idle ${kind} leaves a server that goes away, which then is closed, ${words(setting)}`, async (t) => {
      const old = await serveAt(t, transport, { pollers }, naming('old'))
      const { ended, onDisconnect } = endings()
      const caller = (kind === 'mux' ? muxed : pooled)(t, old.target, { pollers, onDisconnect })
      t.is(textOf(await caller.call(request('a'))), 'a by old')
      await old.server.close()
      t.deepEqual(await ended.reach(1), [undefined])
      await serveAt(t, old.target, { pollers }, naming('new'))
      t.is(textOf(await caller.call(request('b'))), 'b by new')
      t.is(old.server.stats().connections, 0)
    })
  }

  test(`a dialed connection takes no call once its server goes away, and closes with its last, ${words(setting)}`, async (t) => {
    const { handler, held, release } = holding('old')
    const { server, target } = await serveAt(t, transport, { pollers }, handler)
    const { ended, onDisconnect } = endings()
    const dialer = new Dialer({ framing, id, isGoAway, pollers, onDisconnect })
    const busy = await dialer.dial(target)
    const idle = await dialer.dial(target)
    const waiting = [busy.call(request('a')), busy.call(request('b'))]
    await held.reach(2)
    t.true(busy.isActive)
    const closing = server.close()
    // The idle one closes at once, the busy one does not.
    await ended.reach(1)
    while (busy.isActive) await nextTurn()
    t.false(idle.isActive)
    const error = (await rejection(busy.call(request('c')))) as NetpollError
    t.is(error.code, 'ERR_CONN_CLOSED')
    t.is(error.sent, false)
    release()
    t.deepEqual((await Promise.all(waiting)).map(textOf), ['a by old', 'b by old'])
    await closing
    t.deepEqual(await ended.reach(2), [undefined, undefined])
  })

  test(`a call that is given up lets its connection leave, ${words(setting)}`, async (t) => {
    const { handler, held, release } = holding('old')
    const { server, target } = await serveAt(t, transport, { pollers }, handler)
    const { ended, onDisconnect } = endings()
    const mux = muxed(t, target, { pollers, onDisconnect })
    const abortion = new AbortController()
    const call = mux.call(request('a'), { signal: abortion.signal })
    await held.reach(1)
    const closing = server.close()
    while (mux.stats().connected > 0) await nextTurn()
    abortion.abort('enough')
    t.is(await rejection(call), 'enough')
    release()
    await closing
    t.deepEqual(await ended.reach(1), [undefined])
  })

  test(`who is asked by its peer answers before it leaves, ${words(setting)}`, async (t) => {
    const { server, accepted, target } = await serveAt(t, transport, { pollers })
    const { handler, held, release } = holding('client')
    const { ended, onDisconnect } = endings()
    const own = { ordered: false, onRequest: handler, onDisconnect }
    await new Dialer({ framing, id, isGoAway, pollers, ...own }).dial(target)
    const reply = (await accepted.take()).call(request('a'))
    await held.reach(1)
    const closing = server.close()
    await nextTurn()
    release()
    t.is(textOf(await reply), 'a by client')
    await closing
    t.deepEqual(await ended.reach(1), [undefined])
  })

  for (const kind of ['mux', 'pool'] as const) {
    test(`rpc: a ${kind} leaves a server that is shut down, ${words(setting)}`, async (t) => {
      const gate = deferred()
      const began = new Inbox<string>()
      const server = new TransportServer<Json>(
        new EndingCodec(),
        {
          onRequest: async ({ body }) => {
            began.push(String(body))
            if (body === 'slow') await gate.promise
            return body
          },
        },
        { pollers },
      )
      t.teardown(() => server.close({ timeout: 0 }))
      await server.listen(transport === 'tcp' ? { host: '127.0.0.1', port: 0 } : { path: socketPath(t) })
      const { ended, onDisconnect } = endings()
      const client = new TransportClient<Json>(targetOf(server as unknown as Server), new EndingCodec(), {
        kind,
        pollers,
        onDisconnect,
      } as object)
      t.teardown(() => client.close({ timeout: 0 }))
      t.is(await client.call('echo', 'fast'), 'fast')
      const slow = client.call('echo', 'slow')
      await began.reach(2)
      const down = server.close()
      while (client.stats().connected > (kind === 'mux' ? 0 : 1)) await nextTurn()
      gate.resolve()
      t.is(await slow, 'slow')
      await down
      t.true((await ended.reach(1)).every((error) => error === undefined))
      t.is(server.stats().connections, 0)
    })
  }
}

for (const kind of ['mux', 'pool'] as const) {
  test(`rpc: an idle connection of a ${kind} is closed by the client that gets the announcement`, async (t) => {
    const { port, sockets } = await netServer(t)
    const codec = new EndingCodec()
    const client = new TransportClient<Json>({ host: '127.0.0.1', port }, codec, { kind, connections: 1 })
    t.teardown(() => client.close({ timeout: 0 }))
    const call = client.call('echo', 'a')
    const socket = await sockets.take()
    const bytes = await new Promise<Buffer>((resolve) => socket.once('data', resolve))
    const reply = (callId: number, method: string): Buffer => {
      const body = JSON.stringify({ kind: 'reply', method, metadata: {}, body: method })
      return frame(Buffer.concat([Buffer.from([0, 0, 0, callId]), Buffer.from(body)]))
    }
    socket.write(reply(bytes.readUInt32BE(4), 'echo'))
    t.is(await call, 'echo')
    const ended = new Promise((resolve) => socket.once('end', resolve))
    socket.write(reply(0, 'end'))
    await ended
    t.like(client.stats(), { connected: 0, running: 0 })
  })
}

for (const setting of settings) {
  const { pollers, transport } = setting
  test(`who waits to be accepted while a server goes away is served, ${words(setting)}`, async (t) => {
    const { server, target } = await serveAt(t, transport, { pollers })
    // All of them are connected before the server gets to accept any of them.
    const sockets = Array.from({ length: 100 }, () => connect({ ...target } as NetConnectOpts))
    const replies = sockets.map(async (socket) => {
      const bytes: Buffer[] = []
      socket.on('data', (chunk: Buffer) => bytes.push(chunk))
      socket.write(frame(Buffer.from('1234')))
      const reply = 8 + 4 + leave.length
      while (Buffer.concat(bytes).length < reply) {
        await new Promise((resolve, reject) => {
          socket.once('data', resolve)
          socket.once('error', reject)
          socket.once('end', () => reject(new Error('turned away')))
        })
      }
      socket.end()
    })
    const closing = new Promise((resolve) => process.nextTick(() => resolve(server.close())))
    t.is((await Promise.allSettled(replies)).filter(({ status }) => status === 'fulfilled').length, 100)
    await closing
    t.is(server.stats().accepted, 100)
  })
}

/** Says by a reply with id 0 that a server ends. */
class EndingCodec extends JsonCodec {
  encodeGoAway(writer: Writer): void {
    this.encode({ kind: 'reply', id: 0, method: 'end', metadata: {}, body: null }, writer)
  }

  isGoAway({ method }: { readonly method: string }): boolean {
    return method === 'end'
  }
}

test('a client that does not leave is served until the time is up', async (t) => {
  const { server, target } = await serveAt(t, 'tcp')
  const peer = await connectPeer(t, target)
  peer.write(frame(request('a')))
  await peer.read(9)
  const closing = server.close()
  t.deepEqual(await peer.read(4 + leave.length), frame(leave))
  peer.write(frame(request('b')))
  t.is(textOf((await peer.read(9)).subarray(4)), 'b')
  await server.close({ timeout: 0 })
  await closing
  t.is((await peer.readToEnd()).length, 0)
})

test('without a timeout a client that does not leave is closed after maxCloseTime, once it is answered', async (t) => {
  const { handler, held, release } = holding('old')
  const { server, accepted, target } = await serveAt(t, 'tcp', { maxCloseTime: 100 }, handler)
  const peer = await connectPeer(t, target)
  const idle = await connectPeer(t, target)
  await accepted.reach(2)
  peer.write(frame(request('a')))
  await held.reach(1)
  const closing = server.close()
  await idle.read(4 + leave.length)
  t.is((await idle.readToEnd()).length, 0)
  idle.end()
  release()
  const reply = frame(Buffer.concat([request('').subarray(0, 4), Buffer.from('a by old')]))
  await peer.read(4 + leave.length + reply.length)
  peer.end()
  await closing
})

test('with allowHalfOpen a server that goes away ends with its clients', async (t) => {
  const { server, target } = await serveAt(t, 'tcp', { allowHalfOpen: true })
  const { ended, onDisconnect } = endings()
  const mux = muxed(t, target, { onDisconnect, allowHalfOpen: true })
  t.is(textOf(await mux.call(request('a'))), 'a')
  await server.close()
  t.deepEqual(await ended.reach(1), [undefined])
})

test('goAway may be a function of the connection: nothing asks nobody, what it throws costs one connection', async (t) => {
  const errors = new Inbox<unknown>()
  const failure = new Error('no')
  const { server, accepted, target } = await serveAt(t, 'tcp', {
    onError: (error) => errors.push(error),
    goAway: (connection) => {
      switch (accepted.all.indexOf(connection)) {
        case 0:
          return undefined
        case 1:
          throw failure
        case 2:
          return 5 as never
        default:
          return leave
      }
    },
  })
  const peers = []
  for (let count = 1; count <= 4; count += 1) {
    peers.push(await connectPeer(t, target))
    await accepted.reach(count)
  }
  const [nothing, throwing, wrong, asked] = peers as [(typeof peers)[0], ...(typeof peers)[0][]]
  const closing = server.close()
  for (const peer of [nothing, throwing, wrong]) {
    t.is((await peer?.readToEnd())?.length, 0)
    peer?.end()
  }
  t.deepEqual(await asked?.read(4 + leave.length), frame(leave))
  asked?.end()
  await closing
  t.is(errors.all[0], failure)
  t.is(codeOf(errors.all[1]), 'ERR_INVALID_ARG_TYPE')
  t.is(errors.all.length, 2)
})

for (const [title, broken, code] of [
  [
    'throws',
    () => {
      throw new TypeError('broken')
    },
    undefined,
  ],
  ['returns a promise', async () => true, 'ERR_INVALID_ARG_TYPE'],
] as const) {
  test(`an isGoAway that ${title} costs its connection, and is told`, async (t) => {
    const { port, sockets } = await netServer(t)
    const errors = new Inbox<unknown>()
    const mux = muxed(
      t,
      { host: '127.0.0.1', port },
      {
        isGoAway: broken as unknown as () => boolean,
        onError: (error) => errors.push(error),
      },
    )
    const call = mux.call(request('a'))
    const socket = await sockets.take()
    socket.write(frame(leave))
    t.is(codeOf(await rejection(call)), 'ERR_CONN_CLOSED')
    t.is(errors.all.length, 1)
    t.true(errors.all[0] instanceof TypeError)
    t.is(codeOf(errors.all[0]), code)
  })
}

test('a message that is no announcement is what it was before: unexpected, or for onRequest', async (t) => {
  const { server, accepted, target } = await serveAt(t, 'tcp')
  const errors = new Inbox<unknown>()
  await new Dialer({ framing, id, isGoAway, onError: (error) => errors.push(error) }).dial(target)
  await (await accepted.take()).send(request('x'))
  await errors.reach(1)
  t.is(codeOf(errors.all[0]), 'ERR_UNEXPECTED_MESSAGE')
  const requests = new Inbox<Buffer>()
  const dialer = new Dialer({ framing, id, isGoAway, onRequest: (message) => requests.push(message) })
  await dialer.dial(target)
  await (await accepted.take()).send(request('y'))
  await requests.reach(1)
  t.is(textOf(requests.all[0] as Buffer), 'y')
  await server.close()
  t.is(requests.all.length, 1)
})

for (const kind of ['mux', 'pool'] as const) {
  test(`a server that asks everyone to leave at once is not dialed without pause by a ${kind}`, async (t) => {
    const { port, sockets } = await netServer(t)
    const caller =
      kind === 'mux'
        ? muxed(t, { host: '127.0.0.1', port }, { connections: 2, backoff: { min: 60_000, max: 60_000 } })
        : pooled(t, { host: '127.0.0.1', port }, { connections: 4 })
    const calls: Promise<unknown>[] = []
    const start = performance.now()
    let asked = 0
    for (let count = 0; count < 100; count += 1) {
      calls.push(rejection(caller.call(request('a'))))
      for (; asked < sockets.all.length; asked += 1) sockets.all[asked]?.write(frame(leave))
      await nextTurn()
    }
    // Four, and four more after each pause of a pool, which is at least 50 ms and twice as long each time.
    const pauses = Math.ceil(Math.log2(1 + (performance.now() - start) / 50))
    t.true(sockets.all.length <= 4 * (1 + pauses), `${sockets.all.length} connections`)
    await caller.close({ timeout: 0 })
    await Promise.all(calls)
  })
}

test('connections of a mux that answer one call, ask to leave and keep the others are bounded', async (t) => {
  const { port, sockets } = await netServer(t)
  const mux = muxed(t, { host: '127.0.0.1', port }, { backoff: { min: 60_000, max: 60_000 } })
  const calls: Promise<unknown>[] = []
  for (let count = 1; count <= 3; count += 1) {
    const first = request('a')
    const answered = mux.call(first)
    calls.push(rejection(mux.call(request('b'))))
    await sockets.reach(count)
    const socket = sockets.all[count - 1]
    await new Promise((resolve) => socket?.once('data', resolve))
    socket?.write(Buffer.concat([frame(first), frame(leave)]))
    await answered
    while (mux.stats().connected > 0) await nextTurn()
  }
  calls.push(rejection(mux.call(request('c'))))
  for (let turn = 0; turn < 50; turn += 1) await nextTurn()
  t.is(sockets.all.length, 3)
  await mux.close({ timeout: 0 })
  await Promise.all(calls)
})

const value = 'ERR_INVALID_ARG_VALUE'
const type = 'ERR_INVALID_ARG_TYPE'
for (const [title, act, code] of [
  ['goAway without id', () => createServer({ framing, goAway: leave }), value],
  ['goAway without a framing', () => createServer({ goAway: leave } as never), value],
  [
    'goAway of a server with workers',
    () => createServer({ framing, workers: { module: '/x.mjs' }, goAway: leave } as never),
    value,
  ],
  ...[0, null, true, {}, [1], Number.NaN].map(
    (wrong) =>
      [
        `goAway that is ${inspect(wrong)}`,
        () => createServer({ framing, id, goAway: wrong } as never),
        type,
      ] as const,
  ),
  ['isGoAway without id', () => new Dialer({ framing, isGoAway }), value],
  ['isGoAway without a framing', () => new Dialer({ isGoAway } as never), value],
  ['isGoAway of a server', () => createServer({ framing, id, isGoAway } as never), value],
  ['isGoAway of a mux without id', () => new Mux({ path: '/x' }, { framing, isGoAway }), value],
  ['isGoAway of a pool without id', () => new Pool({ path: '/x' }, { framing, isGoAway }), value],
  ...[0, null, true, {}, 'f', leave].map(
    (wrong) =>
      [
        `isGoAway that is ${inspect(wrong)}`,
        () => new Dialer({ framing, id, isGoAway: wrong } as never),
        type,
      ] as const,
  ),
  [
    'encodeGoAway of a codec without ids',
    () =>
      new TransportServer(Object.assign(new OrderedJsonCodec(), { encodeGoAway() {} }), {
        onRequest: () => null,
      }),
    value,
  ],
] as const) {
  test(`refused: ${title}`, (t) => {
    t.is(codeOf(t.throws(act, { any: true } as object)), code)
  })
}

test('goAway is as it was when the server was made', async (t) => {
  const message = Buffer.from(leave)
  const { server, accepted, target } = await serveAt(t, 'tcp', { goAway: [message] })
  const peer = await connectPeer(t, target)
  await accepted.take()
  message.fill('x')
  const closing = server.close()
  t.deepEqual(await peer.read(4 + leave.length), frame(leave))
  peer.end()
  await closing
})

for (const kind of ['mux', 'pool', 'dialer', 'rpc']) {
  test(`servers that restart behind one port lose no call of a ${kind}`, async (t) => {
    const pollers = kind === 'mux' ? '1' : '0'
    const args = ['goaway', kind, pollers, '3000', '2', '32']
    const { code, stdout, stderr } = await runFixture(t, 'restarts', { args })
    t.regex(stdout, /lost 0: \{\}/)
    t.is(stderr, '')
    t.is(code, 0)
  })
}
