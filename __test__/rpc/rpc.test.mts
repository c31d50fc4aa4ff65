import test from 'ava'

import { type Connection, NetpollError } from '../../dist/index.mjs'
import {
  type ClientCall,
  type Middleware,
  RpcError,
  type ServerCall,
  TransportClient,
  TransportServer,
} from '../../dist/rpc/index.mjs'
import { deferred, Inbox, nextTurn } from '../support/deferred.mjs'
import { frame } from '../support/frames.mjs'
import { JsonCodec, type Json, OrderedJsonCodec } from '../support/json-codec.mjs'
import { codeOf, connectPeer, rejection, serve } from '../support/netpoll.mjs'
import { clientOf, type JsonCall, portOfCalls, serveCalls } from '../support/rpc.mjs'

const kinds = ['mux', 'pool'] as const

for (const kind of kinds) {
  test(`rpc: calls over a ${kind} get their own replies, however many there are`, async (t) => {
    const { port } = await serveCalls(t, async ({ body }) => {
      await nextTurn()
      return body
    })
    const client = clientOf(t, port, { kind, connections: 3 })
    const bodies = Array.from({ length: 200 }, (_, index) => ({ index }))
    t.deepEqual(await Promise.all(bodies.map((body) => client.call('echo', body))), bodies)
    t.is(client.stats().connected, 3)
  })

  test(`rpc: a one-way call over a ${kind} is handled and not answered`, async (t) => {
    const calls = new Inbox<JsonCall>()
    const { server, port } = await serveCalls(t, (call) => {
      calls.push(call)
      return 'dropped'
    })
    const client = clientOf(t, port, { kind, connections: 1 })
    t.is(await client.send('tell', { news: 1 }, { metadata: { trace: 'a' } }), undefined)
    const call = await calls.take()
    t.is(call.request.kind, 'oneway')
    t.is(call.method, 'tell')
    t.deepEqual(call.body, { news: 1 })
    t.deepEqual(call.metadata, { trace: 'a' })
    // On the same connection: an answer to the one-way call would be taken for the reply to this one, or refused.
    t.is(await client.call('ask', null), 'dropped')
    t.is(server.stats().accepted, 1)
  })

  test(`rpc: an error of the handler arrives over a ${kind} as an error with its code`, async (t) => {
    const { port } = await serveCalls(t, ({ method }) => {
      if (method === 'known') throw new RpcError('OUT_OF_STOCK', 'there is none')
      throw new Error('oops')
    })
    const client = clientOf(t, port, { kind })
    const known = await rejection(client.call('known', null))
    t.true(known instanceof RpcError)
    t.is(codeOf(known), 'OUT_OF_STOCK')
    t.is((known as Error).message, 'there is none')
    const unknown = await rejection(client.call('unknown', null))
    t.is(codeOf(unknown), 'ERR_RPC_INTERNAL')
    t.is((unknown as Error).message, 'oops')
  })
}

test('rpc: a rejection of an async handler arrives as a thrown error does', async (t) => {
  const { port } = await serveCalls(t, async () => {
    await nextTurn()
    throw new RpcError('LATE', 'after a while')
  })
  t.is(codeOf(await rejection(clientOf(t, port).call('x', null))), 'LATE')
})

test('rpc: a codec without ids answers in the order of requests', async (t) => {
  const first = deferred()
  const handler = async ({ body }: JsonCall) => {
    if (body === 1) await first.promise
    return body
  }
  const { port } = await serveCalls(t, handler, {}, new OrderedJsonCodec())
  const client = clientOf(t, port, { connections: 1 }, new OrderedJsonCodec())
  const settled: Json[] = []
  const calls = [1, 2, 3].map((body) => client.call('x', body).then((reply) => settled.push(reply)))
  // The other two are done long before; their replies wait for the first.
  await client.send('y', null)
  await nextTurn()
  t.deepEqual(settled, [])
  first.resolve()
  await Promise.all(calls)
  t.deepEqual(settled, [1, 2, 3])
})

test('rpc: with ids a fast call overtakes a slow one on the same connection', async (t) => {
  const slow = deferred()
  const { port } = await serveCalls(t, async ({ body }) => {
    if (body === 'slow') await slow.promise
    return body
  })
  const client = clientOf(t, port, { connections: 1 })
  const waiting = client.call('x', 'slow')
  t.is(await client.call('x', 'fast'), 'fast')
  slow.resolve()
  t.is(await waiting, 'slow')
})

test('rpc: metadata travels with the request, and back with the reply and with an error', async (t) => {
  const { port } = await serveCalls(t, (call) => {
    call.replyMetadata = { saw: call.metadata['trace'] ?? '' }
    if (call.method === 'fail') throw new RpcError('NO', 'no')
    return null
  })
  const seen: unknown[] = []
  const look: Middleware<ClientCall<Json>, Json | undefined> = (next) => async (call) => {
    call.metadata = { ...call.metadata, trace: `${call.method}-1` }
    try {
      return await next(call)
    } finally {
      seen.push(call.replyMetadata)
    }
  }
  const client = clientOf(t, port, { middleware: [look] })
  await client.call('work', null, { metadata: { other: 'x' } })
  await rejection(client.call('fail', null))
  t.deepEqual(seen, [{ saw: 'work-1' }, { saw: 'fail-1' }])
})

test('rpc: the deadline of a call travels to its handler, and on to the calls that it makes', async (t) => {
  const deadlines: number[] = []
  const inner = await serveCalls(t, (call) => {
    deadlines.push(call.deadline - Date.now())
    return null
  })
  const innerClient = clientOf(t, inner.port)
  const outer = await serveCalls(t, async (call) => {
    deadlines.push(call.deadline - Date.now())
    return innerClient.call('inner', null, { deadline: call.deadline, signal: call.signal })
  })
  const client = clientOf(t, outer.port)
  await client.call('outer', null, { timeout: 50_000 })
  const [first, second] = deadlines as [number, number]
  t.true(first > 0 && first <= 50_000)
  t.true(second > 0 && second <= first + 1)
  deadlines.length = 0
  await client.call('outer', null)
  t.deepEqual(deadlines, [Infinity, Infinity])
})

test('rpc: requestTimeout is the deadline of calls that name none', async (t) => {
  const { port } = await serveCalls(t, (call) => call.request.timeout)
  const client = clientOf(t, port, { requestTimeout: 40_000 })
  const told = (await client.call('x', null)) as number
  t.true(told > 0 && told <= 40_000)
  t.is(await client.call('x', null, { timeout: 0 }), 0)
})

test('rpc: a call whose deadline has passed is not sent', async (t) => {
  let handled = 0
  const { port } = await serveCalls(t, () => {
    handled += 1
    return null
  })
  const client = clientOf(t, port)
  const late = { deadline: Date.now() - 1 }
  t.is(codeOf(await rejection(client.call('x', null, late))), 'ERR_REQUEST_TIMEOUT')
  t.is(codeOf(await rejection(client.send('x', null, late))), 'ERR_REQUEST_TIMEOUT')
  await client.call('y', null)
  t.is(handled, 1)
})

test('rpc: a call without a reply in time rejects, and the handler is told by its signal', async (t) => {
  const aborted = deferred<unknown>()
  const { port } = await serveCalls(t, async ({ method, signal }) => {
    if (method === 'first') return null
    signal.addEventListener('abort', () => aborted.resolve(signal.reason))
    if (signal.aborted) aborted.resolve(signal.reason)
    // An answer now may still come before the caller, whose time ends with ours, has looked at the clock.
    await new Promise(() => {})
    return null
  })
  const client = clientOf(t, port)
  // A dial takes time of the call as well, and one that is over before it is sent reaches no handler.
  await client.call('first', null)
  t.is(codeOf(await rejection(client.call('x', null, { timeout: 100 }))), 'ERR_REQUEST_TIMEOUT')
  t.is(codeOf(await aborted.promise), 'ERR_REQUEST_TIMEOUT')
})

test('rpc: a signal gives a call up with its reason, before and after it was sent', async (t) => {
  const arrived = deferred()
  const { port } = await serveCalls(t, async () => {
    arrived.resolve()
    await new Promise(() => {})
    return null
  })
  const client = clientOf(t, port)
  const controller = new AbortController()
  const call = rejection(client.call('x', null, { signal: controller.signal }))
  await arrived.promise
  const reason = new Error('changed my mind')
  controller.abort(reason)
  t.is(await call, reason)
  t.is(await rejection(client.call('x', null, { signal: controller.signal })), reason)
  t.is(await rejection(client.send('x', null, { signal: controller.signal })), reason)
})

test('rpc: the signal of a call aborts when its caller has gone, and not once the handler is done', async (t) => {
  const calls = new Inbox<JsonCall>()
  const release = deferred()
  const { port } = await serveCalls(t, async (call) => {
    t.false(call.signal.aborted)
    calls.push(call)
    if (call.body === 'wait') await release.promise
    return null
  })
  const client = clientOf(t, port)
  await client.call('x', 'done')
  const done = await calls.take()
  void rejection(client.call('x', 'wait'))
  const waiting = await calls.take()
  const aborted = deferred()
  waiting.signal.addEventListener('abort', () => aborted.resolve())
  await client.close({ timeout: 0 })
  await aborted.promise
  t.is(codeOf(waiting.signal.reason), 'ERR_CONN_CLOSED')
  t.false(done.signal.aborted)
  release.resolve()
})

test('rpc: a signal that is asked for while the server shuts down is aborted only once the caller has gone', async (t) => {
  const began = deferred()
  const gate = deferred()
  const { server, port } = await serveCalls(t, async (call) => {
    began.resolve()
    await gate.promise
    return call.signal.aborted
  })
  const call = clientOf(t, port).call('x', null)
  await began.promise
  const down = server.close()
  gate.resolve()
  t.false(await call)
  await down
})

test('rpc: a signal that is asked for after the caller has gone is aborted already', async (t) => {
  const arrived = new Inbox<JsonCall>()
  const gone = deferred()
  const finished = deferred<boolean>()
  const { port } = await serveCalls(t, async (call) => {
    arrived.push(call)
    await gone.promise
    finished.resolve(call.signal.aborted)
    return null
  })
  const client = clientOf(t, port)
  void rejection(client.call('x', null))
  const { connection } = await arrived.take()
  await client.close({ timeout: 0 })
  while (connection.isActive) await nextTurn()
  gone.resolve()
  t.true(await finished.promise)
})

test('rpc: middleware runs around calls, the first outermost, on both sides', async (t) => {
  const order: string[] = []
  const around =
    <Call, Result>(name: string): Middleware<Call, Result> =>
    (next) =>
    async (call) => {
      order.push(`${name} before`)
      try {
        return await next(call)
      } finally {
        order.push(`${name} after`)
      }
    }
  const handler = () => {
    order.push('handler')
    return null
  }
  const { port } = await serveCalls(t, handler, { middleware: [around('c'), around('d')] })
  const client = clientOf(t, port, { middleware: [around('a'), around('b')] })
  await client.call('x', null)
  const before = ['a before', 'b before', 'c before', 'd before']
  t.deepEqual(order, [...before, 'handler', 'd after', 'c after', 'b after', 'a after'])
})

test('rpc: middleware may answer, refuse or repeat a call', async (t) => {
  let handled = 0
  const cache: Middleware<ServerCall<Json>, Json> = (next) => (call) => {
    if (call.method === 'cached') return 'from the cache'
    if (call.method === 'forbidden') throw new RpcError('FORBIDDEN', 'not you')
    return next(call)
  }
  const flaky = () => {
    handled += 1
    if (handled === 1) throw new RpcError('BUSY', 'try again')
    return handled
  }
  const twice: Middleware<ClientCall<Json>, Json | undefined> = (next) => async (call) => {
    try {
      return await next(call)
    } catch (error) {
      if (codeOf(error) === 'BUSY') return next(call)
      throw error
    }
  }
  const { port } = await serveCalls(t, flaky, { middleware: [cache] })
  const client = clientOf(t, port, { middleware: [twice] })
  t.is(await client.call('cached', null), 'from the cache')
  t.is(codeOf(await rejection(client.call('forbidden', null))), 'FORBIDDEN')
  t.is(handled, 0)
  t.is(await client.call('work', null), 2)
})

test('rpc: connections are told of in order, and counted', async (t) => {
  const events: string[] = []
  const gone = deferred()
  const active = deferred()
  const { server, port } = await serveCalls(t, {
    onConnect: async () => {
      events.push('active')
      await active.promise
      events.push('ready')
    },
    onRequest: () => {
      events.push('read')
      return null
    },
    onDisconnect: (_connection, error) => {
      events.push(`inactive ${error}`)
      gone.resolve()
    },
  })
  const client = clientOf(t, port, { connections: 1 })
  t.is(server.stats().connections, 0)
  const call = client.call('x', null)
  while (events.length === 0) await nextTurn()
  active.resolve()
  await call
  t.is(server.stats().connections, 1)
  await client.close()
  await gone.promise
  t.deepEqual(events, ['active', 'ready', 'read', 'inactive undefined'])
  t.is(server.stats().connections, 0)
})

test('rpc: a server that is shut down answers what it has read, and its serve ends', async (t) => {
  const arrived = deferred()
  const release = deferred()
  const server = new TransportServer(new JsonCodec(), {
    onRequest: async () => {
      arrived.resolve()
      await release.promise
      return 'answered'
    },
  })
  t.teardown(() => server.close({ timeout: 0 }))
  let hasEnded = false
  const serving = server.serve({ host: '127.0.0.1', port: 0 }).then(() => {
    hasEnded = true
  })
  while (server.address() === null) await nextTurn()
  const client = clientOf(t, portOfCalls(server))
  const call = client.call('x', null)
  await arrived.promise
  const down = server.close()
  t.is(server.address(), null)
  await nextTurn()
  t.false(hasEnded)
  release.resolve()
  t.is(await call, 'answered')
  await Promise.all([down, serving])
  t.true(hasEnded)
})

test('rpc: an aborted signal ends serve', async (t) => {
  const server = new TransportServer(new JsonCodec(), { onRequest: () => null })
  const controller = new AbortController()
  const serving = server.serve({ host: '127.0.0.1', port: 0, signal: controller.signal })
  while (server.address() === null) await nextTurn()
  controller.abort()
  await serving
  t.is(server.address(), null)
  t.is(codeOf(await rejection(server.serve({ port: 0 }))), 'ERR_SERVER_CLOSED')
})

test('rpc: close with a timeout aborts what does not end', async (t) => {
  const arrived = deferred()
  const reason = deferred<unknown>()
  const { server, port } = await serveCalls(t, async ({ signal }) => {
    signal.addEventListener('abort', () => reason.resolve(signal.reason))
    arrived.resolve()
    await reason.promise
    return null
  })
  const call = rejection(clientOf(t, port).call('x', null))
  await arrived.promise
  await server.close({ timeout: 1 })
  t.is(codeOf(await reason.promise), 'ERR_CONN_CLOSED')
  t.true((await call) instanceof NetpollError)
})

test('rpc: bytes that are no message close their connection, and onError is told', async (t) => {
  const errors = new Inbox<[unknown, Connection | undefined]>()
  const { port } = await serveCalls(t, {
    onRequest: ({ body }) => body,
    onError: (error, connection) => errors.push([error, connection]),
  })
  const client = clientOf(t, port)
  t.is(await client.call('x', 1), 1)
  for (const bytes of ['', 'abc', '\0\0\0\x01{"kind":"reply"}', '\0\0\0\x01{"kind":"error","error":{}}']) {
    const peer = await connectPeer(t, { port })
    await peer.write(frame(bytes))
    t.deepEqual(await peer.readToEnd(), Buffer.alloc(0), bytes)
    const [error, connection] = await errors.take()
    t.true(error instanceof Error)
    t.not(connection, undefined)
    if (bytes.includes('kind')) t.is(codeOf(error), 'ERR_RPC_INVALID_MESSAGE')
  }
  t.is(await client.call('x', 2), 2)
})

test('rpc: a reply that is no message rejects its call', async (t) => {
  const replies = ['{', '{"kind":"call","method":"x","metadata":{},"timeout":0,"body":1}', '']
  const { port } = await serve(t, {}, (request) => [request.subarray(0, 4), replies.shift() ?? ''])
  const client = clientOf(t, port, { connections: 1 })
  t.true((await rejection(client.call('x', null))) instanceof SyntaxError)
  t.is(codeOf(await rejection(client.call('x', null))), 'ERR_RPC_INVALID_MESSAGE')
  t.true((await rejection(client.call('x', null))) instanceof SyntaxError)
})

test('rpc: what cannot be encoded rejects its call, and arrives as an error where it is a reply', async (t) => {
  const { port } = await serveCalls(t, ({ method }) => (method === 'big' ? (1n as unknown as Json) : 'fine'))
  const client = clientOf(t, port, { connections: 1 })
  t.true((await rejection(client.call('x', 1n as unknown as Json))) instanceof TypeError)
  t.true((await rejection(client.send('x', 1n as unknown as Json))) instanceof TypeError)
  const error = await rejection(client.call('big', null))
  t.is(codeOf(error), 'ERR_RPC_INTERNAL')
  t.regex((error as Error).message, /BigInt/)
  // Nothing of what was half written stands before the next message.
  t.is(await client.call('x', null), 'fine')
})

test('rpc: an error that cannot be encoded closes the connection, and onError is told', async (t) => {
  const errors = new Inbox<unknown>()
  class Mute extends JsonCodec {
    override encode(...args: Parameters<JsonCodec['encode']>): void {
      if (args[0].kind === 'error') throw new Error('no words')
      super.encode(...args)
    }
  }
  const handler = {
    onRequest: () => {
      throw new Error('oops')
    },
    onError: errors.push,
  }
  const { port } = await serveCalls(t, handler, {}, new Mute())
  t.true((await rejection(clientOf(t, port).call('x', null))) instanceof NetpollError)
  t.is(((await errors.take()) as Error).message, 'no words')
})

test('rpc: a one-way call that fails is told to onError, and its connection stays', async (t) => {
  const errors = new Inbox<[unknown, Connection | undefined]>()
  const { server, port } = await serveCalls(t, {
    onRequest: ({ method }) => {
      if (method === 'bad') throw new Error('oops')
      return 'fine'
    },
    onError: (error, connection) => errors.push([error, connection]),
  })
  const client = clientOf(t, port, { connections: 1 })
  await client.send('bad', null)
  const [error, connection] = await errors.take()
  t.is((error as Error).message, 'oops')
  t.true(connection?.isActive)
  t.is(await client.call('x', null), 'fine')
  t.is(server.stats().accepted, 1)
})

test('rpc: a server that dies in the middle of a call rejects it', async (t) => {
  const arrived = deferred<Connection>()
  const { port } = await serveCalls(t, async ({ connection }) => {
    arrived.resolve(connection)
    await new Promise(() => {})
    return null
  })
  const call = rejection(clientOf(t, port).call('x', null))
  ;(await arrived.promise).resetAndDestroy()
  const error = await call
  t.true(error instanceof NetpollError)
})

test('rpc: a message longer than the codec takes closes the connection', async (t) => {
  const errors = new Inbox<unknown>()
  const { port } = await serveCalls(t, { onRequest: () => 'x'.repeat(200_000), onError: errors.push })
  const client = clientOf(t, port, { onError: () => {} })
  t.true((await rejection(client.call('x', 'y'.repeat(200_000)))) instanceof NetpollError)
  t.is(codeOf(await errors.take()), 'ERR_FRAME_TOO_LARGE')
  t.is(codeOf(await rejection(client.call('x', null))), 'ERR_FRAME_TOO_LARGE')
})

test('rpc: messages larger than the memory that is taken at once arrive whole', async (t) => {
  const { port } = await serveCalls(t, ({ body }) => body)
  const client = clientOf(t, port, { connections: 1 })
  const bodies = [1, 65_000, 65_520, 65_536, 90_000, 2, 70_000].map((length) => 'z'.repeat(length))
  t.deepEqual(await Promise.all(bodies.map((body) => client.call('x', body))), bodies)
})

test('rpc: options and arguments are checked', async (t) => {
  const address = { host: '127.0.0.1', port: 1 }
  const codec = new JsonCodec()
  const wrong = (options: object) => () => new TransportClient(address, codec, options)
  t.throws(wrong({ kind: 'mesh' }), { code: 'ERR_INVALID_ARG_VALUE' })
  t.throws(wrong({ connections: 0 }), { code: 'ERR_INVALID_ARG_VALUE' })
  t.throws(() => new TransportServer(codec, { onRequest: () => null }, { maxInFlight: 0 }), {
    code: 'ERR_INVALID_ARG_VALUE',
  })
  const client = clientOf(t, 1)
  for (const options of [{ timeout: '1' }, { deadline: 'soon' }, null]) {
    const error = await rejection(client.call('x', null, options as never))
    t.true(error instanceof TypeError, JSON.stringify(options))
  }
  for (const options of [{ timeout: -1 }, { deadline: NaN }, { deadline: new Date(NaN) }]) {
    const error = await rejection(client.call('x', null, options))
    t.true(error instanceof RangeError, JSON.stringify(options))
  }
})

const wrongCodecs: readonly (readonly [string, unknown, RegExp])[] = [
  ['nothing', undefined, /"codec" argument/],
  ['a text', 'json', /"codec" argument/],
  [
    'one without a framing',
    { encode: () => {}, decode: () => {} },
    /"codec\.framing" argument must be made by lengthField/,
  ],
  [
    'one whose framing is options',
    { framing: { size: 4 }, encode: () => {}, decode: () => {} },
    /"codec\.framing" argument/,
  ],
  [
    'one that cannot encode',
    { framing: new JsonCodec().framing, decode: () => {} },
    /"codec\.encode" argument/,
  ],
  [
    'one that cannot decode',
    { framing: new JsonCodec().framing, encode: () => {}, decode: 1 },
    /"codec\.decode" argument/,
  ],
]

for (const [title, codec, message] of wrongCodecs) {
  test(`a codec that is ${title} is refused as that`, (t) => {
    const expected = { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE', message }
    const address = { host: '127.0.0.1', port: 1 }
    t.throws(() => new TransportServer(codec as JsonCodec, { onRequest: () => null }), expected)
    t.throws(() => new TransportClient(address, codec as JsonCodec), expected)
    t.throws(() => new TransportClient(address, codec as JsonCodec, { kind: 'pool' }), expected)
  })
}
