import test from 'ava'

import {
  type Connection,
  delimiter,
  type Framing,
  lengthField,
  NetpollError,
  type Reply,
  varint,
} from '../../dist/index.mjs'
import { deferred, Inbox, until } from '../support/deferred.mjs'
import { frame, frames, pattern } from '../support/frames.mjs'
import { codeOf, connectPeer, serve } from '../support/netpoll.mjs'
import { runFixture } from '../support/system.mjs'

const refused: readonly {
  readonly title: string
  readonly framing: Framing
  readonly good: Buffer
  readonly bad: Buffer
  readonly code: string
}[] = [
  {
    title: 'a length over maxLength',
    framing: lengthField({ size: 4, maxLength: 100 }),
    good: frame(pattern(100)),
    bad: frame(pattern(101)).subarray(0, 4),
    code: 'ERR_FRAME_TOO_LARGE',
  },
  {
    title: 'a length of all ones in eight bytes',
    framing: lengthField({ size: 8 }),
    good: Buffer.concat([Buffer.alloc(7), Buffer.from('\x01a')]),
    bad: Buffer.alloc(8, 255),
    code: 'ERR_FRAME_TOO_LARGE',
  },
  {
    title: 'a length over the default of 16 MiB',
    framing: lengthField({ size: 4 }),
    good: frame('a'),
    bad: Buffer.from([1, 0, 0, 1]),
    code: 'ERR_FRAME_TOO_LARGE',
  },
  {
    title: 'a length that its adjustment makes negative',
    framing: lengthField({ size: 4, adjustment: -4 }),
    good: Buffer.from([0, 0, 0, 5, 65]),
    bad: Buffer.from([0, 0, 0, 3]),
    code: 'ERR_FRAME_INVALID',
  },
  {
    title: 'a varint over maxLength',
    framing: varint({ maxLength: 200 }),
    good: Buffer.concat([Buffer.from([200, 1]), pattern(200)]),
    bad: Buffer.from([201, 1]),
    code: 'ERR_FRAME_TOO_LARGE',
  },
  {
    title: 'a varint that never ends',
    framing: varint(),
    good: Buffer.from([1, 65]),
    bad: Buffer.alloc(10, 0x80),
    code: 'ERR_FRAME_INVALID',
  },
  {
    title: 'a delimiter that never comes',
    framing: delimiter('\r\n', { maxLength: 100 }),
    good: Buffer.concat([Buffer.alloc(100, 65), Buffer.from('\r\n')]),
    bad: Buffer.alloc(103, 65),
    code: 'ERR_FRAME_TOO_LARGE',
  },
]

for (const { title, framing, good, bad, code } of refused) {
  test(`${title} closes that connection, after the replies before it`, async (t) => {
    const errors = new Inbox<[unknown, Connection | undefined]>()
    const gone = new Inbox<[Connection, Error | undefined]>()
    const reply = deferred()
    const requests = new Inbox<Buffer>()
    const { port } = await serve(
      t,
      {
        framing,
        onError: (error, connection) => errors.push([error, connection]),
        onDisconnect: (connection, error) => gone.push([connection, error]),
      },
      async (request) => {
        requests.push(request)
        await reply.promise
        return request
      },
    )
    const other = await connectPeer(t, { port })
    const peer = await connectPeer(t, { port })
    await peer.write(Buffer.concat([good, good, bad]))
    await requests.reach(2)
    reply.resolve()
    t.deepEqual(await peer.readToEnd(), Buffer.concat([good, good]))
    // The other one is served while this one has not said goodbye.
    await other.write(good)
    t.deepEqual(await other.read(good.length), good)
    peer.end()
    t.is(await peer.closed, undefined, 'no reset')
    const [error, connection] = await errors.take()
    t.true(error instanceof NetpollError)
    t.is(codeOf(error), code)
    t.deepEqual(await gone.take(), [connection as Connection, error as Error])
    t.is(requests.all.length, 3)
    t.is(errors.all.length, 1)
  })
}

test('a refused peer that goes on sending gets its replies and no reset meanwhile', async (t) => {
  const { port } = await serve(
    t,
    { framing: lengthField({ size: 4, maxLength: 1000 }), onError: () => {} },
    (request) => request,
  )
  const peer = await connectPeer(t, { port })
  const earlier = frames(...Array.from({ length: 500 }, (_, seed) => pattern(1000, seed)))
  void peer.write(Buffer.concat([earlier, frame(pattern(4_000_000))]))
  t.true((await peer.readToEnd()).equals(earlier))
  peer.end()
  t.is(await peer.closed, undefined)
})

const request = frame('partial request')
for (const how of ['end', 'reset'] as const) {
  for (let cut = 0; cut < request.length; cut += 1) {
    test(`a peer’s ${how} after ${cut} bytes of a frame concerns that connection alone`, async (t) => {
      const errors = new Inbox<unknown>()
      const gone = new Inbox<Error | undefined>()
      const seen: string[] = []
      const { server, port } = await serve(
        t,
        { onError: errors.push, onDisconnect: (_connection, error) => gone.push(error) },
        (message) => {
          seen.push(message.toString())
          return message
        },
      )
      const other = await connectPeer(t, { port })
      const peer = await connectPeer(t, { port })
      await peer.write(Buffer.concat([frame('whole'), request.subarray(0, cut)]))
      if (how === 'end') {
        peer.end()
        t.deepEqual(await peer.readToEnd(), frame('whole'))
        t.is(await peer.closed, undefined)
      } else {
        await peer.read(9)
        peer.reset()
      }
      const expected = how === 'reset' ? 'ECONNRESET' : cut > 0 ? 'ERR_EOF' : undefined
      t.is(codeOf(await gone.take()), expected)
      t.deepEqual(errors.all.map(codeOf), expected === undefined ? [] : [expected])
      t.deepEqual(seen, ['whole'])
      await other.write(frame('still there'))
      await other.read(15)
      t.is(server.stats().connections, 1)
    })
  }
}

const failure = new Error('handler failed')
const badReplies: readonly {
  readonly title: string
  readonly handler: () => unknown
  readonly check: (error: unknown) => boolean
}[] = [
  {
    title: 'throws',
    handler: () => {
      throw failure
    },
    check: (error) => error === failure,
  },
  { title: 'rejects', handler: () => Promise.reject(failure), check: (error) => error === failure },
  {
    title: 'throws undefined',
    handler: () => {
      throw undefined
    },
    check: (error) => error === undefined,
  },
  { title: 'rejects with null', handler: () => Promise.reject(null), check: (error) => error === null },
  ...[
    42,
    true,
    10n,
    Symbol('reply'),
    {},
    () => 'reply',
    new ArrayBuffer(4),
    new Uint16Array(2),
    new Map(),
  ].flatMap((value) => {
    const name = typeof value === 'object' ? value.constructor.name : typeof value
    const check = (error: unknown): boolean =>
      error instanceof NetpollError && error.code === 'ERR_INVALID_REPLY'
    return [
      { title: `returns a ${name}`, handler: () => value, check },
      { title: `promises a ${name}`, handler: () => Promise.resolve(value), check },
      {
        title: `returns a list that ends with a ${name}`,
        handler: () => ['a', Buffer.from('b'), value],
        check,
      },
    ]
  }),
  {
    title: 'returns a list with a hole',
    handler: () => new Array(2),
    check: (error) => codeOf(error) === 'ERR_INVALID_REPLY',
  },
  {
    title: 'returns a list in a list',
    handler: () => [['a']],
    check: (error) => codeOf(error) === 'ERR_INVALID_REPLY',
  },
]

for (const { title, handler, check } of badReplies) {
  test(`a handler that ${title} closes that connection alone, after the replies before it`, async (t) => {
    const errors = new Inbox<[unknown, Connection | undefined]>()
    const { server, port } = await serve(
      t,
      { onError: (error, connection) => errors.push([error, connection]) },
      (message) => (message.toString() === 'bad' ? (handler() as Reply) : message),
    )
    const other = await connectPeer(t, { port })
    const peer = await connectPeer(t, { port })
    await peer.write(frames('good', 'bad', 'never'))
    await other.write(frames('good'))
    t.deepEqual(await peer.readToEnd(), frame('good'))
    peer.end()
    t.is(await peer.closed, undefined)
    const [error, connection] = await errors.take()
    t.true(check(error), String(error))
    t.truthy(connection)
    t.deepEqual(await other.read(8), frame('good'))
    await other.write(frames('good'))
    t.deepEqual(await other.read(8), frame('good'))
    await until(() => server.stats().connections === 1)
    t.is(errors.all.length, 1)
  })
}

test('a handler that rejects after its peer has gone is told to onError', async (t) => {
  const errors = new Inbox<unknown>()
  const gone = new Inbox<unknown>()
  const started = deferred()
  const reply = deferred<string>()
  const { port } = await serve(t, { onError: errors.push, onDisconnect: gone.push }, () => {
    started.resolve()
    return reply.promise
  })
  const peer = await connectPeer(t, { port })
  await peer.write(frame('x'))
  await started.promise
  peer.reset()
  await gone.take()
  const before = errors.all.length
  reply.reject(failure)
  await reply.promise.catch(() => {})
  await Promise.resolve()
  t.deepEqual(errors.all.slice(before), [failure])
})

test('a reply that its length field cannot say is an error, and nothing of it is sent', async (t) => {
  const errors = new Inbox<unknown>()
  for (const reply of [Buffer.alloc(256), 'a'.repeat(256), [Buffer.alloc(255), 'a']]) {
    const { port } = await serve(t, { framing: lengthField({ size: 1 }), onError: errors.push }, () => reply)
    const peer = await connectPeer(t, { port })
    await peer.write(Uint8Array.of(1, 65))
    t.is((await peer.readToEnd()).length, 0)
    t.is(codeOf(await errors.take()), 'ERR_FRAME_TOO_LARGE')
  }
})

test('unfinished messages of all connections together are bounded by maxBufferedBytes', async (t) => {
  const errors = new Inbox<unknown>()
  const { port } = await serve(t, { maxBufferedBytes: 1_000_000, onError: errors.push }, (message) => message)
  const kept = await connectPeer(t, { port })
  const half = frame(pattern(700_000))
  await kept.write(half.subarray(0, 600_000))
  const peer = await connectPeer(t, { port })
  // It is read before or after the other one: one of them is over the bound, and the other is served.
  void peer.write(half.subarray(0, 600_000)).catch(() => {})
  t.is(codeOf(await errors.take()), 'ERR_BUFFER_LIMIT')
  t.is(errors.all.length, 1)
})

test('a listener that throws is reported on stderr, and ends nothing', async (t) => {
  const { code, stdout, stderr } = await runFixture(t, 'throwing-listeners')
  t.is(stdout, 'served\n')
  t.is(code, 0)
  const lines = stderr.split('\n').filter((line) => line.startsWith('netpoll: '))
  t.deepEqual(
    lines.toSorted(),
    ['onClose', 'onDisconnect', 'onError', 'onError', 'onError', 'the handler']
      .map((place) => `netpoll: Error: from ${place}`)
      .toSorted(),
  )
})

for (const kind of ['too-large', 'eof', 'unexpected'] as const) {
  test(`without onError a failure of the kind ${kind}, which is the peer’s, is one line on stderr`, async (t) => {
    const { code, stdout, stderr } = await runFixture(t, 'silent-server', { args: [kind] })
    t.is(stdout, 'served\n')
    t.is(code, 0)
    t.regex(stderr, /^netpoll: ERR_[^\n]+\n$/)
  })
}

for (const kind of ['throw', 'reject', 'number', 'then', 'then-getter'] as const) {
  test(`without onError a failure of the kind ${kind} is on stderr with its stack`, async (t) => {
    const { code, stdout, stderr } = await runFixture(t, 'silent-server', { args: [kind] })
    t.is(stdout, 'served\n')
    t.is(code, 0)
    t.regex(stderr, kind === 'number' ? /^netpoll: ERR_INVALID_REPLY: / : /^netpoll: Error: broken\n/)
    t.regex(stderr, /\n {4}at [^\n]+silent-server\.mjs:|notPayload/)
    t.is(stderr.split('netpoll: ').length, 2)
  })
}

for (const kind of ['reset', 'end'] as const) {
  test(`without onError a peer’s ${kind} is no line on stderr`, async (t) => {
    const { code, stdout, stderr } = await runFixture(t, 'silent-server', { args: [kind] })
    t.is(stdout, 'served\n')
    t.is(stderr, '')
    t.is(code, 0)
  })
}

test('a callback given to onClose of a closed connection may throw, like any other', async (t) => {
  const { code, stdout, stderr } = await runFixture(t, 'late-close-callback')
  t.is(stdout, 'served\n')
  t.regex(stderr, /^netpoll: Error: from a late onClose\n {4}at [^\n]+late-close-callback\.mjs:/)
  t.is(code, 0)
})
