import { createServer as createNetServer } from 'node:net'
import test from 'ava'

import { type Connection, createServer, NetpollError, type Reply, type Server } from '../../dist/index.mjs'
import { deferred, Inbox } from '../support/deferred.mjs'
import { frame, frames, pattern, unframe } from '../support/frames.mjs'
import { codeOf, connectPeer, dial, framing, portOf, rejection, serve } from '../support/netpoll.mjs'
import { Peer } from '../support/peer.mjs'
import { openSockets, socketPath } from '../support/system.mjs'

const hosts = [
  { host: '127.0.0.1', family: 'IPv4' },
  { host: '::1', family: 'IPv6' },
] as const

for (const { host, family } of hosts) {
  test(`a server on ${host} answers, and knows its address and its peers'`, async (t) => {
    const addresses = new Inbox<Connection>()
    const server = createServer({ framing, onConnect: addresses.push as (c: Connection) => void }, (r) => r)
    t.teardown(() => server.close({ timeout: 0 }))
    t.is(server.address(), null)
    t.false(server.listening)
    t.is(await server.listen({ host, port: 0 }), server)
    t.true(server.listening)
    const port = portOf(server)
    t.deepEqual(server.address(), { address: host, family, port })
    const peer = await connectPeer(t, { host, port })
    await peer.write(frame('hello'))
    t.deepEqual(await peer.read(9), frame('hello'))
    const connection = await addresses.take()
    const { localPort } = peer.socket
    t.deepEqual(connection.remoteAddress, { address: host, family, port: localPort as number })
    t.deepEqual(connection.localAddress, { address: host, family, port })
    await server.close({ timeout: 0 })
    t.is(server.address(), null)
    t.false(server.listening)
  })
}

test('a server on a unix socket answers, and its address is the path', async (t) => {
  const path = socketPath(t)
  const server = createServer({ framing }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ path })
  t.is(server.address(), path)
  const peer = await connectPeer(t, { path })
  await peer.write(frame('hello'))
  t.deepEqual(await peer.read(9), frame('hello'))
})

test('without a host a server listens on IPv6 and IPv4', async (t) => {
  const server = createServer({ framing }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ port: 0 })
  const port = portOf(server)
  for (const host of ['127.0.0.1', '::1']) {
    const peer = await connectPeer(t, { host, port })
    await peer.write(frame(host))
    t.deepEqual(await peer.read(4 + host.length), frame(host))
  }
})

test('a name is a host, too', async (t) => {
  const server = createServer({ framing }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: 'localhost', port: 0 })
  const client = await dial(t, { host: 'localhost', port: portOf(server) })
  t.is((await client.call('hello')).toString(), 'hello')
})

const replies: readonly {
  readonly title: string
  readonly reply: (request: Uint8Array) => Reply
  readonly bytes: string
}[] = [
  { title: 'a Buffer', reply: () => Buffer.from('answer'), bytes: 'answer' },
  { title: 'a Uint8Array', reply: () => Uint8Array.of(65, 66), bytes: 'AB' },
  {
    title: 'a part of a larger array',
    reply: () => Uint8Array.of(65, 66, 67, 68).subarray(1, 3),
    bytes: 'BC',
  },
  { title: 'a string', reply: () => 'grüße €', bytes: 'grüße €' },
  { title: 'an empty string', reply: () => '', bytes: '' },
  { title: 'an empty Buffer', reply: () => Buffer.alloc(0), bytes: '' },
  { title: 'an empty list', reply: () => [], bytes: '' },
  { title: 'a list of empty pieces', reply: () => ['', Buffer.alloc(0)], bytes: '' },
  { title: 'the request itself', reply: (request) => request, bytes: 'request' },
  { title: 'the front of the request', reply: (request) => request.subarray(0, 3), bytes: 'req' },
  { title: 'the end of the request', reply: (request) => request.subarray(3), bytes: 'uest' },
  { title: 'nothing of the request', reply: (request) => request.subarray(2, 2), bytes: '' },
  {
    title: 'a list that mixes all',
    reply: (request) => ['<', request, Buffer.from('|'), request.subarray(2, 4), Uint8Array.of(62), '€'],
    bytes: '<request|qu>€',
  },
]

for (const bytes of ['buffer', 'uint8array'] as const) {
  for (const { title, reply, bytes: expected } of replies) {
    test(`with bytes: '${bytes}' a handler may return ${title}, at once or later`, async (t) => {
      for (const handler of [reply, async (request: Uint8Array) => reply(request)]) {
        const { port } = await serve(t, { bytes }, handler)
        const peer = await connectPeer(t, { port })
        // Twice, and among others, so that what is left over from one reply would show in the next.
        await peer.write(frames('request', 'request'))
        const answer = frame(expected)
        t.deepEqual(await peer.read(2 * answer.length), Buffer.concat([answer, answer]))
      }
    })
  }

  test(`with bytes: '${bytes}' a request is of that kind`, async (t) => {
    const requests = new Inbox<Uint8Array>()
    const { port } = await serve(t, { bytes }, requests.push)
    const peer = await connectPeer(t, { port })
    await peer.write(frame('hello'))
    const request = await requests.take()
    t.is(Buffer.isBuffer(request), bytes === 'buffer')
    t.true(request instanceof Uint8Array)
    t.is(Buffer.from(request).toString(), 'hello')
  })
}

for (const none of [undefined, null]) {
  test(`a handler that returns ${none} sends nothing, and the next request is answered`, async (t) => {
    const handlers = [
      (request: Buffer) => (request.length > 1 ? request : none),
      async (request: Buffer) => (request.length > 1 ? request : none),
    ]
    for (const handler of handlers) {
      const { port } = await serve(t, { maxInFlight: 2 }, handler)
      const peer = await connectPeer(t, { port })
      await peer.write(frames('1', '2', '3', '4', '5', 'six'))
      t.deepEqual(await peer.read(7), frame('six'))
    }
  })
}

test('messages of several megabytes come and go whole', async (t) => {
  const { port } = await serve(t, { maxInFlight: 2 }, (request) => request)
  const client = await dial(t, { port })
  const requests = [1, 2, 3, 4, 5].map((seed) => pattern(seed * 1_000_003, seed))
  const answers = await Promise.all(requests.map((request) => client.call(request)))
  for (const [index, answer] of answers.entries()) t.true(answer.equals(requests[index] as Buffer))
})

test('replies of several megabytes of the user’s own memory arrive whole', async (t) => {
  const bodies = [1, 2, 3].map((seed) => pattern(seed * 1_500_007, seed))
  const kinds = bodies.flatMap((body) => [body, [body.subarray(0, 70_000), 'é', body.subarray(70_000)]])
  const { port } = await serve(t, {}, (request) => kinds[request.readUInt8(0)])
  const client = await dial(t, { port })
  const answers = await Promise.all(kinds.map((_, index) => client.call(Uint8Array.of(index))))
  for (const [index, kind] of kinds.entries()) {
    const pieces = Array.isArray(kind) ? kind : [kind]
    const expected = Buffer.concat(pieces.map((piece) => Buffer.from(piece as string)))
    t.true((answers[index] as Buffer).equals(expected), `reply ${index}`)
  }
})

test('a large string is a reply, too', async (t) => {
  const text = 'grüße €'.repeat(300_000)
  const { port } = await serve(t, {}, () => text)
  const client = await dial(t, { port })
  t.is((await client.call('?')).toString(), text)
})

test.serial('a used port is refused with the system’s code, and nothing is left open', async (t) => {
  const { port } = await serve(t, {}, (request) => request)
  const second = createServer({ framing }, (request) => request)
  const before = openSockets()
  const error = await rejection(second.listen({ host: '127.0.0.1', port }))
  t.deepEqual(openSockets(), before)
  t.true(error instanceof NetpollError)
  const { code, syscall, address, port: place, message } = error as NetpollError
  t.like(
    { code, syscall, address, place },
    { code: 'EADDRINUSE', syscall: 'listen', address: '127.0.0.1', place: port },
  )
  t.is(message, `listen EADDRINUSE 127.0.0.1:${port}`)
  t.is(second.address(), null)
  // It is as new, and may listen elsewhere.
  await second.listen({ host: '127.0.0.1', port: 0 })
  await second.close()
})

test('a port that is used on IPv6 alone is refused, too, rather than served on IPv4 alone', async (t) => {
  const taken = createNetServer()
  await new Promise<void>((resolve) => taken.listen({ host: '::1', port: 0 }, resolve))
  t.teardown(() => taken.close())
  const { port } = taken.address() as { port: number }
  const server = createServer({ framing }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  t.is(codeOf(await rejection(server.listen({ port }))), 'EADDRINUSE')
})

test('a server listens once', async (t) => {
  const { server } = await serve(t, {}, (request) => request)
  const again = await rejection(server.listen({ host: '127.0.0.1', port: 0 }))
  t.is(codeOf(again), 'ERR_SERVER_ALREADY_LISTENING')
  await server.close()
  t.is(codeOf(await rejection(server.listen({ host: '127.0.0.1', port: 0 }))), 'ERR_SERVER_CLOSED')
})

test('a server that is closed while its name is looked up does not listen', async (t) => {
  const server = createServer({ framing }, (request) => request)
  const listening = server.listen({ host: 'localhost', port: 0 })
  await server.close()
  t.is(codeOf(await rejection(listening)), 'ERR_SERVER_CLOSED')
  t.is(server.address(), null)
})

test('a server that never listened closes, and closing twice is closing once', async (t) => {
  const server = createServer({ framing }, (request) => request)
  await server.close()
  await server.close()
  t.is(codeOf(await rejection(server.listen({ host: '127.0.0.1', port: 0 }))), 'ERR_SERVER_CLOSED')
})

test('a port is free again once its server is closed, also after connections', async (t) => {
  const { server, port } = await serve(t, {}, (request) => request)
  const client = await dial(t, { port })
  t.is((await client.call('a')).toString(), 'a')
  await Promise.all([server.close(), client.close()])
  const next = createServer({ framing }, () => 'next')
  t.teardown(() => next.close({ timeout: 0 }))
  await next.listen({ host: '127.0.0.1', port })
  t.is((await (await dial(t, { port })).call('a')).toString(), 'next')
})

test('close answers the requests that were read, then ends the connections', async (t) => {
  const started = new Inbox<Buffer>()
  const go = deferred()
  const { server, port } = await serve(t, {}, async (request) => {
    started.push(request)
    await go.promise
    return request
  })
  const peer = await connectPeer(t, { port })
  await peer.write(frames('one', 'two', 'three'))
  await started.reach(3)
  let closed = false
  const closing = server.close().then(() => {
    closed = true
  })
  t.false(server.listening)
  t.is(codeOf(await rejection(Peer.connect({ host: '127.0.0.1', port }))), 'ECONNREFUSED')
  t.false(closed)
  go.resolve()
  t.deepEqual(unframe(await peer.readToEnd()).map(String), ['one', 'two', 'three'])
  peer.end()
  await closing
  t.is(await peer.closed, undefined)
})

test('close ends idle connections without a reset', async (t) => {
  const { server, port } = await serve(t, {}, (request) => request)
  const peers = await Promise.all(Array.from({ length: 20 }, () => connectPeer(t, { port })))
  await Promise.all(peers.map((peer) => peer.write(frame('x'))))
  await Promise.all(peers.map((peer) => peer.read(5)))
  t.is(server.stats().connections, 20)
  const closing = server.close()
  for (const peer of peers) {
    t.is((await peer.readToEnd()).length, 0)
    peer.end()
    t.is(await peer.closed, undefined)
  }
  await closing
  t.is(server.stats().connections, 0)
})

test('close with a timeout destroys what is stuck', async (t) => {
  const started = deferred<Buffer>()
  const { server, port } = await serve(t, { closeTimeout: 60_000 }, (request) => {
    started.resolve(request)
    return new Promise(() => {})
  })
  const peer = await connectPeer(t, { port })
  await peer.write(frame('x'))
  await started.promise
  await server.close({ timeout: 1 })
  t.is(server.stats().connections, 0)
  t.is((await peer.readToEnd()).length, 0)
})

test('await using closes a server', async (t) => {
  const server: Server = createServer({ framing }, (request) => request)
  await server.listen({ host: '127.0.0.1', port: 0 })
  const port = portOf(server)
  await server[Symbol.asyncDispose]()
  t.is(codeOf(await rejection(Peer.connect({ host: '127.0.0.1', port }))), 'ECONNREFUSED')
})

test('stats count connections and requests', async (t) => {
  const { server, port } = await serve(t, {}, (request) => request)
  t.like(server.stats(), { connections: 0, accepted: 0, requests: 0 })
  const clients = await Promise.all([1, 2, 3].map(() => dial(t, { port })))
  await Promise.all(clients.map((client) => client.call('x')))
  t.like(server.stats(), { connections: 3, accepted: 3, requests: 3 })
  t.true(server.stats().chunks.live > 0)
})

test('messages wait until onConnect is done', async (t) => {
  const connected = new Inbox<Connection>()
  const go = deferred()
  const seen: string[] = []
  const { port } = await serve(
    t,
    {
      onConnect: async (connection) => {
        connection.data = 'prepared'
        connected.push(connection)
        await go.promise
        seen.push('connected')
      },
    },
    (request, connection) => {
      seen.push(`${request} ${connection.data}`)
      return request
    },
  )
  const peer = await connectPeer(t, { port })
  await peer.write(frames('a', 'b'))
  await connected.take()
  // Another connection gets as far as its hook, so the server has looked at the first one's input.
  await connectPeer(t, { port })
  await connected.take()
  t.deepEqual(seen, [])
  go.resolve()
  await peer.read(10)
  t.is(seen.filter((entry) => entry === 'connected').length, 2)
  t.deepEqual(
    seen.slice(seen.indexOf('a prepared')).filter((entry) => entry !== 'connected'),
    ['a prepared', 'b prepared'],
  )
})

test('what onConnect returns does not matter, unless it is a promise', async (t) => {
  const connections: Connection[] = []
  for (const onConnect of [
    (connection: Connection): void => connections.push(connection) as unknown as undefined,
    (connection: Connection): void => connection.setNoDelay() as unknown as undefined,
    (): void => null as unknown as undefined,
  ]) {
    const errors: unknown[] = []
    const onError = (error: unknown): void => void errors.push(error)
    const { port } = await serve(t, { onConnect, onError }, (request) => request)
    const peer = await connectPeer(t, { port })
    await peer.write(frame('x'))
    t.deepEqual(await peer.read(5).catch(() => errors), frame('x'))
  }
})

test('a connection that onConnect paused stays paused', async (t) => {
  const requests: string[] = []
  const connected = deferred<Connection>()
  const { port } = await serve(t, {
    onConnect: (connection) => {
      if (connection.data === undefined) connection.data = 1
      connection.pause()
      connected.resolve(connection)
    },
    onRequest: (request, connection) => {
      requests.push(`${request} ${connection.data}`)
      return request
    },
  })
  const peer = await connectPeer(t, { port })
  await peer.write(frame('x'))
  const connection = await connected.promise
  // A round trip on a connection that is not paused: time enough for the first one's request.
  const other = await serve(t, {}, (request) => request)
  await (await dial(t, { port: other.port })).call('turn')
  t.deepEqual(requests, [])
  connection.data = 2
  connection.resume()
  await peer.read(5)
  t.deepEqual(requests, ['x 2'])
})

for (const kind of ['throws', 'rejects'] as const) {
  test(`an onConnect that ${kind} closes that connection alone`, async (t) => {
    const errors = new Inbox<unknown>()
    let first = true
    const failure = new Error('not you')
    const { port } = await serve(
      t,
      {
        onConnect: () => {
          if (!first) return
          first = false
          if (kind === 'rejects') return Promise.reject(failure)
          throw failure
        },
        onError: errors.push,
      },
      (request) => request,
    )
    const refused = await connectPeer(t, { port })
    t.is((await refused.readToEnd()).length, 0)
    refused.end()
    t.is(await refused.closed, undefined)
    t.is(await errors.take(), failure)
    const peer = await connectPeer(t, { port })
    await peer.write(frame('x'))
    t.deepEqual(await peer.read(5), frame('x'))
    t.is(errors.all.length, 1)
  })
}

test('a server without a handler closes who sends it a message', async (t) => {
  const errors = new Inbox<unknown>()
  const { port } = await serve(t, { onError: errors.push })
  const peer = await connectPeer(t, { port })
  await peer.write(frame('x'))
  t.is((await peer.readToEnd()).length, 0)
  t.is(codeOf(await errors.take()), 'ERR_UNEXPECTED_MESSAGE')
})

test.serial('no descriptor is left open by connections and listeners that are gone', async (t) => {
  const before = openSockets()
  for (let round = 0; round < 3; round += 1) {
    const server = createServer({ framing }, (request) => request)
    await server.listen({ host: '127.0.0.1', port: 0 })
    const port = portOf(server)
    const peers = await Promise.all(Array.from({ length: 10 }, () => Peer.connect({ port })))
    await Promise.all(peers.map((peer) => peer.write(frame('x'))))
    await Promise.all(peers.map((peer) => peer.read(5)))
    for (const peer of peers) peer.destroy()
    await Promise.all(peers.map((peer) => peer.closed))
    await server.close()
  }
  t.deepEqual(openSockets(), before)
})

test('a listener that takes over in the middle of a turn gets its own connections alone', async (t) => {
  const strangers: Connection[] = []
  const successor = createServer({ framing, onConnect: (c) => void strangers.push(c) }, () => 'successor')
  t.teardown(() => successor.close({ timeout: 0 }))
  const listening = deferred()
  const { server, port } = await serve(t, {
    onConnect: () => {
      if (!server.listening) return
      void server.close({ timeout: 0 })
      void successor.listen({ host: '127.0.0.1', port: 0 }).then(() => listening.resolve())
    },
  })
  const peers = await Promise.all(
    Array.from({ length: 20 }, () => connectPeer(t, { port }).catch(() => undefined)),
  )
  await listening.promise
  await Promise.all(peers.map((peer) => peer?.readToEnd()))
  t.is(strangers.length, 0)
  const client = await dial(t, { port: portOf(successor) })
  t.is((await client.call('who')).toString(), 'successor')
})
