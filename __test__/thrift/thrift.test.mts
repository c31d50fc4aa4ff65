import { createServer as createNetServer, type Socket } from 'node:net'
import test from 'ava'

import { type Connection, NetpollError } from '../../dist/index.mjs'
import { RpcError } from '../../dist/rpc/index.mjs'
import { createThriftClient, createThriftServer, type ThriftCall } from '../../dist/thrift/index.mjs'
import { binary } from '../../dist/thrift/binary.js'
import { deferred, Inbox, nextTurn } from '../support/deferred.mjs'
import { frame } from '../support/frames.mjs'
import { codeOf, connectPeer, rejection, serve } from '../support/netpoll.mjs'
import { portOfCalls } from '../support/rpc.mjs'
import { socketPath } from '../support/system.mjs'
import { fullValue, interopHandler, plain, serveThrift, thriftClient, ways } from '../support/thrift.mjs'
import {
  Interop,
  type InteropClient,
  TApplicationException,
  thrift,
  TProtocolException,
  types,
} from '../support/thrift-service.mjs'

const UNKNOWN_METHOD = 1
const WRONG_METHOD_NAME = 3
const MISSING_RESULT = 5
const INTERNAL_ERROR = 6
const PROTOCOL_ERROR = 7

/** The exception of Thrift that a call rejects with, checked to be one. */
async function applicationException(call: Promise<unknown>): Promise<{ type: number; message: string }> {
  const error = await rejection(call)
  if (!(error instanceof TApplicationException)) throw error
  return { type: error.type, message: error.message }
}

for (const { transport, protocol } of ways) {
  for (const kind of ['mux', 'pool'] as const) {
    test(`thrift ${transport} ${protocol} over a ${kind}: results, exceptions and one-way calls`, async (t) => {
      const { port } = await serveThrift(t)
      const { service } = thriftClient(t, port, { transport, protocol, kind, connections: 1 })
      const value = fullValue()
      const echo = await service.echo(value)
      t.true(echo instanceof types.Everything)
      t.deepEqual(plain(echo), plain(value))
      t.is(await service.ping(), undefined)
      const refused = await rejection(service.refuse(7, 'no'))
      t.true(refused instanceof types.Refused)
      t.like(refused, { code: 7, why: 'no' })
      t.deepEqual(await applicationException(service.crash('oops')), {
        type: INTERNAL_ERROR,
        message: 'oops',
      })
      t.is(await service.tell('the news'), undefined)
      t.deepEqual(await service.told(), ['the news'])
      t.deepEqual(await service.blob(100_000), Buffer.alloc(100_000, 'b'))
    })
  }

  test(`thrift ${transport} ${protocol}: a fast call overtakes a slow one on the same connection`, async (t) => {
    const slow = deferred<string>()
    const { port } = await serveThrift(t, { wait: (ms) => (ms === 1 ? slow.promise : 'fast') })
    const { service } = thriftClient(t, port, { transport, protocol, connections: 1 })
    const first = service.wait(1)
    t.is(await service.wait(2), 'fast')
    slow.resolve('slow')
    t.is(await first, 'slow')
  })
}

test('thrift: a server answers in the order of requests when it is told to', async (t) => {
  const slow = deferred<string>()
  const { port } = await serveThrift(
    t,
    { wait: (ms) => (ms === 1 ? slow.promise : 'fast'), tell: () => {} },
    { ordered: true },
  )
  const { service } = thriftClient(t, port, { connections: 1 })
  const order: string[] = []
  const calls = [service.wait(1), service.wait(2)].map((call) => call.then((text) => order.push(text)))
  for (let turn = 0; turn < 20; turn += 1) await nextTurn()
  slow.resolve('slow')
  await Promise.all(calls)
  t.deepEqual(order, ['slow', 'fast'])
})

test('thrift: methods may return, promise or call back, and fail in each way', async (t) => {
  const refused = () => new types.Refused({ code: 1, why: 'no' })
  type Back = (error: unknown, result?: unknown) => void
  const handlers: Record<string, { refuse: (...args: never[]) => unknown }> = {
    returns: { refuse: (_code: number, why: string) => why },
    promises: { refuse: async (_code: number, why: string) => why },
    'calls back': { refuse: (_code: number, why: string, back: Back) => back(null, why) },
    'calls back with undefined for no error': {
      refuse: (_code: number, why: string, back: Back) => back(undefined, why),
    },
    'calls back later': { refuse: (_code: number, why: string, back: Back) => setImmediate(back, null, why) },
  }
  for (const [name, handler] of Object.entries(handlers)) {
    const { port } = await serveThrift(t, handler as never)
    t.is(await thriftClient(t, port).service.refuse(1, 'because'), 'because', name)
  }
  const declared: typeof handlers = {
    throws: {
      refuse: (_code: number, _why: string) => {
        throw refused()
      },
    },
    rejects: {
      refuse: async (_code: number, _why: string) => {
        throw refused()
      },
    },
    'calls back': { refuse: (_code: number, _why: string, back: Back) => back(refused()) },
    'throws instead of calling back': {
      refuse: (_code: number, _why: string, _back: Back) => {
        throw refused()
      },
    },
    'rejects instead of calling back': {
      refuse: async (_code: number, _why: string, _back: Back) => {
        throw refused()
      },
    },
  }
  for (const [name, handler] of Object.entries(declared)) {
    const { port } = await serveThrift(t, handler as never)
    t.true((await rejection(thriftClient(t, port).service.refuse(1, 'x'))) instanceof types.Refused, name)
  }
})

test('thrift: what a handler throws that is not declared arrives as an exception with its text', async (t) => {
  type Back = (error: unknown, result?: unknown) => void
  const thrown: readonly [unknown, number, string][] = [
    [new Error('an error'), INTERNAL_ERROR, 'an error'],
    ['a text', INTERNAL_ERROR, 'a text'],
    [17, INTERNAL_ERROR, '17'],
    [new TApplicationException(42, 'with a type'), 42, 'with a type'],
    [new RpcError('ERR_RPC_UNKNOWN_METHOD', 'not here'), UNKNOWN_METHOD, 'not here'],
    [new TypeError('no function'), INTERNAL_ERROR, 'no function'],
  ]
  for (const [error, type, message] of thrown) {
    const handlers = [
      {
        crash: (_text: string) => {
          throw error
        },
      },
      { crash: (_text: string) => Promise.reject(error) },
      { crash: (_text: string, back: Back) => back(error) },
      {
        crash: (_text: string, _back: Back) => {
          throw error
        },
      },
    ]
    for (const handler of handlers) {
      const { port } = await serveThrift(t, handler as never)
      t.deepEqual(await applicationException(thriftClient(t, port).service.crash('x')), { type, message })
    }
  }
  const { port } = await serveThrift(t, { crash: () => Promise.reject(undefined) })
  t.like(await applicationException(thriftClient(t, port).service.crash('x')), { type: INTERNAL_ERROR })
})

test('thrift: `this` of a method is its handler', async (t) => {
  class Handler {
    readonly #prefix = 'said '
    crash(text: string): string {
      return this.#prefix + text
    }
  }
  const { port } = await serveThrift(t, new Handler())
  t.is(await thriftClient(t, port).service.crash('hello'), 'said hello')
})

test('thrift: a method that the handler lacks, or the service, is unknown', async (t) => {
  const lacking = await serveThrift(t, { ping: () => {} })
  const { service } = thriftClient(t, lacking.port, { connections: 1 })
  const expected = { type: UNKNOWN_METHOD, message: 'Unknown function crash' }
  t.deepEqual(await applicationException(service.crash('x')), expected)
  await service.ping()
  for (const name of ['constructor', 'toString', 'process', '__proto__', '', 'process_ping']) {
    const peer = await connectPeer(t, { port: lacking.port })
    await peer.write(request(name, 5, Buffer.from([0])))
    const { head, bytes } = await readReply(peer)
    t.deepEqual(head, { fname: name, mtype: 3, rseqid: 5 })
    t.true(bytes.includes(Buffer.from('Unknown function')))
  }
})

test('thrift: a result that is missing, or cannot be written, is an exception', async (t) => {
  const results: unknown[] = [undefined, null, 5, { text: 5 }]
  const { port } = await serveThrift(t, { crash: () => results.shift(), echo: () => results.shift() })
  const { service } = thriftClient(t, port, { connections: 1 })
  t.like(await applicationException(service.crash('x')), { type: MISSING_RESULT })
  t.like(await applicationException(service.crash('x')), { type: MISSING_RESULT })
  t.like(await applicationException(service.crash('x')), { type: INTERNAL_ERROR })
  t.like(await applicationException(service.echo({})), { type: INTERNAL_ERROR })
})

test('thrift: an argument that cannot be written rejects its call, and the next is whole', async (t) => {
  const { port } = await serveThrift(t)
  const { service } = thriftClient(t, port, { connections: 1 })
  t.true((await rejection(service.crash(5 as never))) instanceof TypeError)
  t.true((await rejection(service.tell({} as never))) instanceof TypeError)
  t.deepEqual(plain(await service.echo(fullValue())), plain(fullValue()))
})

test('thrift: a one-way call that fails is told to the server’s onError, and nobody crashes', async (t) => {
  const errors = new Inbox<[unknown, Connection | undefined]>()
  const failures: ((news: string) => unknown)[] = [
    () => {
      throw new Error('at once')
    },
    async () => {
      throw new Error('later')
    },
  ]
  const { port } = await serveThrift(
    t,
    { ping: () => {}, tell: (news) => failures.shift()?.(news) },
    { onError: (error, connection) => errors.push([error, connection]) },
  )
  const { service } = thriftClient(t, port, { connections: 1 })
  for (const text of ['at once', 'later']) {
    await service.tell('x')
    const [error, connection] = await errors.take()
    t.is((error as Error).message, text)
    t.true(connection?.isActive)
  }
  await service.ping()
})

test('thrift: a one-way call that cannot be sent is told to the client’s onError', async (t) => {
  const errors = new Inbox<unknown>()
  const client = thriftClient(t, 1, { onError: errors.push })
  t.is(await client.service.tell('x'), undefined)
  t.is(codeOf(await errors.take()), 'ECONNREFUSED')
})

test('thrift: a handler for each call knows its deadline, metadata and signal', async (t) => {
  for (const transport of ['theader', 'ttheader'] as const) {
    const calls = new Inbox<ThriftCall>()
    const { port } = await serveThrift(t, (call) => {
      calls.push(call)
      call.replyMetadata = { seen: call.metadata['trace'] ?? '' }
      return { crash: (text) => `${call.method} ${text}` }
    })
    const seen: unknown[] = []
    const client = thriftClient(t, port, {
      transport,
      middleware: [
        (next) => async (call) => {
          const result = await next(call)
          seen.push({ ...call.replyMetadata })
          return result
        },
      ],
    })
    const timed = client.withOptions({ timeout: 60_000, metadata: { trace: 'a1', __proto__: 'b' } as never })
    t.is(await timed.crash('x'), 'crash x')
    const call = await calls.take()
    t.is(call.metadata['trace'], 'a1')
    t.true(call.deadline - Date.now() > 30_000 && call.deadline - Date.now() <= 60_000)
    t.false(call.signal.aborted)
    t.is(await client.service.crash('y'), 'crash y')
    t.is((await calls.take()).deadline, Infinity)
    t.deepEqual(seen, [{ seen: 'a1' }, { seen: '' }])
  }
})

test('thrift: a call is given up after its timeout and by its signal, and its late reply reaches nobody', async (t) => {
  for (const kind of ['mux', 'pool'] as const) {
    const late = deferred<string>()
    const { port } = await serveThrift(t, {
      wait: (ms) => (ms === 0 ? late.promise : 'fine'),
      ping: () => {},
    })
    const client = thriftClient(t, port, { kind, connections: 1 })
    t.is(codeOf(await rejection(client.withOptions({ timeout: 10 }).wait(0))), 'ERR_REQUEST_TIMEOUT')
    const controller = new AbortController()
    const call = rejection(client.withOptions({ signal: controller.signal }).wait(0))
    controller.abort(new Error('enough'))
    t.is(((await call) as Error).message, 'enough')
    late.resolve('late')
    t.is(await client.service.wait(1), 'fine')
  }
})

test('thrift: generated clients with the same ids share a connection', async (t) => {
  const { port } = await serveThrift(t, { wait: (ms) => String(ms) })
  const client = thriftClient(t, port, { connections: 1 })
  const clients = Array.from({ length: 20 }, () => client.withOptions({}))
  const calls = clients.flatMap((service, index) => [1, 2, 3].map((call) => service.wait(100 * index + call)))
  t.deepEqual(
    await Promise.all(calls),
    clients.flatMap((_, index) => [1, 2, 3].map((call) => String(100 * index + call))),
  )
  t.is(client.stats().connected, 1)
})

for (const protocol of ['binary', 'compact'] as const) {
  const Library = protocol === 'binary' ? thrift.TBinaryProtocol : thrift.TCompactProtocol
  const options = { transport: thrift.TFramedTransport, protocol: Library }

  test(`thrift ${protocol}: the library’s client is served`, async (t) => {
    const { port } = await serveThrift(t)
    const connection = thrift.createConnection('127.0.0.1', port, options)
    t.teardown(() => connection.destroy())
    const service = thrift.createClient<InteropClient>(Interop, connection)
    const value = fullValue()
    // It reads booleans of lists and maps wrongly in the compact protocol.
    Object.assign(value, { flags: [false], marks: {} })
    t.deepEqual(plain(await service.echo(value)), plain(value))
    t.true((await rejection(service.refuse(1, 'no'))) instanceof types.Refused)
    t.deepEqual(await applicationException(service.crash('oops')), { type: INTERNAL_ERROR, message: 'oops' })
    await service.tell('x')
    t.deepEqual(await service.told(), ['x'])
  })

  test(`thrift ${protocol}: the library’s server is called`, async (t) => {
    const server = thrift.createServer(Interop, interopHandler(), options)
    server.on('error', () => {})
    await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve))
    t.teardown(() => server.close())
    const { port } = server.address() as { port: number }
    const { service } = thriftClient(t, port, { protocol })
    const value = fullValue()
    Object.assign(value, { flags: [false], marks: {} })
    t.deepEqual(plain(await service.echo(value)), plain(value))
    // It forgets the types of exceptions.
    t.is((await applicationException(service.crash('oops'))).message, 'oops')
    await service.tell('x')
    t.deepEqual(await service.told(), ['x'])
    const calls = Array.from({ length: 50 }, (_, index) => service.wait(index % 7))
    t.deepEqual(
      await Promise.all(calls),
      Array.from({ length: 50 }, (_, index) => String(index % 7)),
    )
  })
}

test('thrift: arguments that are cut off or no Thrift are answered with an exception, and the connection stays', async (t) => {
  const { port } = await serveThrift(t)
  const peer = await connectPeer(t, { port })
  const bodies = ['', '0b', '0b0001ffffffff', '0b000100000005', '630001', 'ff']
  for (const [index, body] of bodies.entries()) {
    await peer.write(request('crash', index, Buffer.from(body, 'hex')))
    const { head, bytes } = await readReply(peer)
    t.deepEqual(head, { fname: 'crash', mtype: 3, rseqid: index }, body)
    t.deepEqual(bytes.subarray(-5, -1), Buffer.from([0, 0, 0, PROTOCOL_ERROR]), body)
  }
  await peer.write(request('ping', 99, Buffer.from([0])))
  t.deepEqual((await readReply(peer)).head, { fname: 'ping', mtype: 2, rseqid: 99 })
})

test('thrift: frames that are no messages close their connection, and onError is told', async (t) => {
  const errors = new Inbox<unknown>()
  const { port } = await serveThrift(t, undefined, { onError: errors.push })
  const frames = [
    '',
    '80',
    '80010001',
    '8001000100000004',
    '47455420',
    '8221ffffffffff',
    '0fff',
    '1000',
    '80010009000000017800000001',
  ]
  for (const bytes of frames) {
    const peer = await connectPeer(t, { port })
    await peer.write(frame(Buffer.from(bytes, 'hex')))
    t.deepEqual(await peer.readToEnd(), Buffer.alloc(0), bytes)
    const error = await errors.take()
    t.true(
      error instanceof TProtocolException || error instanceof TApplicationException,
      `${bytes}: ${error}`,
    )
  }
  await thriftClient(t, port).service.ping()
})

test('thrift: a frame over maxLength is refused, and the call that sent it rejects', async (t) => {
  const errors = new Inbox<unknown>()
  const { port } = await serveThrift(t, undefined, { maxLength: 10_000, onError: errors.push })
  const client = thriftClient(t, port, { kind: 'pool' })
  t.true((await rejection(client.service.crash('x'.repeat(10_001)))) instanceof NetpollError)
  t.is(codeOf(await errors.take()), 'ERR_FRAME_TOO_LARGE')
  await client.service.ping()
})

test('thrift: a reply over the client’s maxLength rejects its call', async (t) => {
  const { port } = await serveThrift(t)
  const client = thriftClient(t, port, { maxLength: 10_000, onError: () => {} })
  t.is(codeOf(await rejection(client.service.blob(10_001))), 'ERR_FRAME_TOO_LARGE')
  await client.service.ping()
})

test('thrift: a reply of another method, of another kind or of nothing rejects its call', async (t) => {
  const replies: ((id: number) => Buffer)[] = [
    (id) => message('ping', 2, id, Buffer.from([0])),
    (id) => message('crash', 1, id, Buffer.from([0])),
    (id) => message('crash', 9, id, Buffer.from([0])),
    (id) => message('crash', 2, id, Buffer.from('0b0000000000', 'hex')),
    (id) => message('crash', 3, id, Buffer.from('0b0001', 'hex')),
    (id) => message('crash', 2, id, Buffer.from([0])),
  ]
  const { port } = await serve(t, {}, (bytes) => replies.shift()?.(binary.idOf(bytes) ?? -1))
  const { service } = thriftClient(t, port, { connections: 1 })
  t.like(await applicationException(service.crash('x')), { type: WRONG_METHOD_NAME })
  t.is(codeOf(await rejection(service.crash('x'))), 'ERR_RPC_INVALID_MESSAGE')
  t.like(await applicationException(service.crash('x')), { type: 2 })
  t.true((await rejection(service.crash('x'))) instanceof TProtocolException)
  t.true((await rejection(service.crash('x'))) instanceof TProtocolException)
  t.like(await applicationException(service.crash('x')), { type: MISSING_RESULT })
})

const deaths: readonly [string, (socket: Socket) => void, readonly string[]][] = [
  ['resets the connection', (socket) => socket.resetAndDestroy(), ['ECONNRESET']],
  ['ends the connection', (socket) => socket.end(), ['ERR_CONN_CLOSED']],
  [
    'ends in the middle of a reply',
    (socket) => socket.end(frame(Buffer.alloc(100)).subarray(0, 50)),
    ['ERR_EOF'],
  ],
]

for (const kind of ['mux', 'pool'] as const) {
  for (const [death, die, codes] of deaths) {
    test(`thrift: a server that ${death} in the middle of calls by a ${kind} rejects them`, async (t) => {
      const server = createNetServer((socket) => socket.once('data', () => die(socket)).on('error', () => {}))
      await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve))
      t.teardown(() => server.close())
      const { port } = server.address() as { port: number }
      const { service } = thriftClient(t, port, { kind, onError: () => {} })
      const calls = [service.ping(), service.crash('x'), service.blob(1)]
      for (const error of await Promise.all(calls.map(rejection))) {
        t.true(error instanceof NetpollError)
        t.true(codes.includes(String(codeOf(error))), String(error))
      }
    })
  }

  test(`thrift: a call by a ${kind} of a server that is not there rejects`, async (t) => {
    t.is(codeOf(await rejection(thriftClient(t, 1, { kind }).service.ping())), 'ECONNREFUSED')
  })
}

test('thrift: a server that is shut down answers what it has read', async (t) => {
  const arrived = deferred()
  const release = deferred<string>()
  const { server, port } = await serveThrift(t, {
    wait: () => {
      arrived.resolve()
      return release.promise
    },
  })
  const { service } = thriftClient(t, port)
  const call = service.wait(0)
  await arrived.promise
  const down = server.close()
  release.resolve('answered')
  t.is(await call, 'answered')
  await down
})

test('thrift: unix sockets', async (t) => {
  const path = socketPath(t)
  const server = createThriftServer(Interop, interopHandler())
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ path })
  await using client = createThriftClient(Interop, { path }, { connections: 1 })
  t.deepEqual(await client.service.told(), [])
  t.is(server.stats().connections, 1)
})

test('thrift: middleware of the server sees calls, and may answer them with an exception', async (t) => {
  const methods: string[] = []
  const server = createThriftServer(Interop, interopHandler(), {
    middleware: [
      (next) => (call) => {
        methods.push(call.method)
        if (call.method === 'crash') throw new TApplicationException(42, 'not today')
        return next(call)
      },
    ],
  })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  const { service } = thriftClient(t, portOfCalls(server))
  await service.ping()
  t.deepEqual(await applicationException(service.crash('x')), { type: 42, message: 'not today' })
  t.deepEqual(methods, ['ping', 'crash'])
})

test('thrift: arguments are checked', (t) => {
  const address = { host: '127.0.0.1', port: 1 }
  const type = { code: 'ERR_INVALID_ARG_TYPE' }
  const value = { code: 'ERR_INVALID_ARG_VALUE' }
  for (const wrong of [undefined, null, {}, { Client: class {} }, 'Interop']) {
    t.throws(() => createThriftClient(wrong as never, address), type)
    t.throws(() => createThriftServer(wrong as never, {}), type)
  }
  t.throws(() => createThriftServer(Interop, null as never), type)
  t.throws(() => createThriftServer(Interop, {}, null as never), type)
  t.throws(() => createThriftServer(Interop, {}, { maxLength: -1 }), value)
  t.throws(() => createThriftClient(Interop, address, null as never), type)
  t.throws(() => createThriftClient(Interop, address, { transport: 'buffered' as never }), value)
  t.throws(() => createThriftClient(Interop, address, { protocol: 'toString' as never }), value)
  t.throws(() => createThriftClient(Interop, address, { maxLength: 1.5 }), value)
  t.throws(() => createThriftClient(Interop, 7 as never), type)
})

/** A message of the binary protocol. */
function message(name: string, type: number, id: number, body: Buffer): Buffer {
  const head = Buffer.alloc(binary.headLength(name, id))
  binary.writeHead(head, 0, name, type, id)
  return Buffer.concat([head, body])
}

function request(name: string, id: number, body: Buffer): Buffer {
  return frame(message(name, 1, id, body))
}

async function readReply(peer: { read(length: number): Promise<Buffer> }) {
  const bytes = await peer.read((await peer.read(4)).readUInt32BE())
  return { head: binary.open(bytes, 0).readMessageBegin(), bytes }
}
