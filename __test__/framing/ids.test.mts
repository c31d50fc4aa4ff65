import type { Socket } from 'node:net'
import test, { type ExecutionContext } from 'ava'

import {
  type Connection,
  createServer,
  Dialer,
  delimiter,
  type FramedDialerOptions,
  lengthField,
  varint,
} from '../../dist/index.mjs'
import { deferred, Inbox, nextTurn } from '../support/deferred.mjs'
import { frame, frames, numbered } from '../support/frames.mjs'
import { netServer } from '../support/listeners.mjs'
import { codeOf, dial, framing, gone, portOf, rejection, serve } from '../support/netpoll.mjs'

const id = { offset: 0, size: 4 } as const

/** What is behind the id. */
function textOf(bytes: Buffer): string {
  return bytes.toString('utf8', 4)
}

/** A client with ids, and the socket of the `node:net` server that it has dialed. */
async function pair(
  t: ExecutionContext,
  options: Partial<FramedDialerOptions> = {},
): Promise<{ readonly client: Connection; readonly socket: Socket; readonly received: Inbox<Buffer> }> {
  const { port, sockets } = await netServer(t)
  const client = await dial(t, { host: '127.0.0.1', port }, { id, ...options })
  const socket = await sockets.take()
  const received = new Inbox<Buffer>()
  let rest: Buffer = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE()) {
      const end = 4 + rest.readUInt32BE()
      received.push(rest.subarray(4, end))
      rest = rest.subarray(end)
    }
  })
  return { client, socket, received }
}

test('replies reach their calls in whatever order they come', async (t) => {
  const { client, socket, received } = await pair(t)
  const calls = Array.from({ length: 200 }, (_, index) => client.call(numbered(index, `q${index}`)))
  const requests = await received.reach(200)
  const answers = requests.map((request) => numbered(request.readUInt32BE(), `a${textOf(request)}`))
  socket.write(frames(...answers.reverse()))
  const replies = await Promise.all(calls)
  t.deepEqual(
    replies.map(textOf),
    Array.from({ length: 200 }, (_, index) => `aq${index}`),
  )
})

for (const [name, field, largest] of [
  ['one byte', { offset: 3, size: 1 }, 0xffn],
  ['two bytes', { offset: 0, size: 2, endian: 'little' }, 0xfffen],
  ['four bytes, little-endian', { offset: 1, size: 4, endian: 'little' }, 0xffff_fffen],
  ['eight bytes', { offset: 0, size: 8 }, 2n ** 53n - 1n],
  ['eight bytes, little-endian', { offset: 5, size: 8, endian: 'little' }, 2n ** 53n - 1n],
  ['eight bytes, beyond numbers', { offset: 2, size: 8 }, 2n ** 64n - 1n],
  ['eight bytes, beyond numbers, little-endian', { offset: 2, size: 8, endian: 'little' }, 2n ** 63n + 7n],
] as const) {
  test(`an id of ${name} is read alike of what is sent and of what comes`, async (t) => {
    const { client, socket, received } = await pair(t, { id: field })
    const little = 'endian' in field
    const build = (value: bigint): Buffer => {
      const bytes = Buffer.alloc(field.offset + field.size + 1, 0xee)
      for (let index = 0; index < field.size; index += 1) {
        const place = little ? index : field.size - 1 - index
        bytes[field.offset + place] = Number((value >> BigInt(8 * index)) & 0xffn)
      }
      return bytes
    }
    const values = [0n, 1n, largest >> 1n, largest - 1n, largest]
    const calls = values.map((value) => client.call(build(value)))
    t.is(codeOf(await rejection(client.call(build(largest)))), 'ERR_DUPLICATE_ID')
    const requests = await received.reach(values.length)
    socket.write(frames(...[...requests].reverse()))
    t.deepEqual(await Promise.all(calls), values.map(build))
  })
}

for (const [name, request] of [
  ['bytes', numbered(7, 'äöü')],
  ['a plain array', Uint8Array.from(numbered(7, 'äöü'))],
  ['pieces torn within the id', [numbered(7).subarray(0, 1), numbered(7).subarray(1, 3), '\x07', 'äöü']],
  ['an empty piece first', [Buffer.alloc(0), '', numbered(7), 'äöü']],
] as const) {
  test(`the id of a request is found in ${name}`, async (t) => {
    const { client, socket, received } = await pair(t)
    const call = client.call(request)
    t.is(codeOf(await rejection(client.call(numbered(7)))), 'ERR_DUPLICATE_ID')
    socket.write(frame(await received.take()))
    t.deepEqual(await call, numbered(7, 'äöü'))
  })
}

test('the id of a request is found in text, also where characters take several bytes', async (t) => {
  const { client, socket, received } = await pair(t, { id: { offset: 3, size: 2 } })
  const first = client.call('a€😀')
  const second = client.call('a😀')
  t.is(codeOf(await rejection(client.call(Buffer.from('a€😀 again')))), 'ERR_DUPLICATE_ID')
  t.is(codeOf(await rejection(client.call(['a', '😀 again']))), 'ERR_DUPLICATE_ID')
  const requests = await received.reach(2)
  socket.write(frames(...[...requests].reverse()))
  t.deepEqual([await first, await second].map(String), ['a€😀', 'a😀'])
})

test('ids that are neighbours where numbers are no longer exact are different ids', async (t) => {
  const { client, socket, received } = await pair(t, { id: { offset: 0, size: 8 } })
  const build = (value: bigint): Buffer => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64BE(value)
    return bytes
  }
  const values = [-1n, 0n, 1n, 2n].map((step) => build(2n ** 53n + step))
  const calls = values.map((request) => client.call(request))
  const requests = await received.reach(values.length)
  socket.write(frames(...[...requests].reverse()))
  t.deepEqual(await Promise.all(calls), values)
})

test('a message without an id is not taken for one with the id that came before it', async (t) => {
  const strangers = new Inbox<Buffer>()
  const { client, socket } = await pair(t, { onRequest: strangers.push })
  const first = client.call(numbered(1))
  socket.write(frame(numbered(1, 'first')))
  t.is(textOf(await first), 'first')
  const second = client.call(numbered(1))
  socket.write(frames('abc', numbered(1, 'second')))
  t.is(textOf(await second), 'second')
  t.deepEqual((await strangers.reach(1)).map(String), ['abc'])
})

test('a request without an id is refused, and nothing is sent', async (t) => {
  const { client, socket, received } = await pair(t, { id: { offset: 2, size: 4 } })
  for (const short of [Buffer.alloc(5), '', 'abcde', ['ab', Buffer.alloc(3)], []]) {
    t.is(codeOf(await rejection(client.call(short))), 'ERR_NO_ID')
  }
  for (const wrong of [7, null, [7], { length: 9 }]) {
    t.is(codeOf(await rejection(client.call(wrong as never))), 'ERR_INVALID_ARG_TYPE')
  }
  const call = client.call('abcdef')
  t.is(String(await received.take()), 'abcdef')
  socket.write(frame('xxcdef'))
  t.is(String(await call), 'xxcdef')
})

test('an id that is in flight is refused, and free again once its reply has come', async (t) => {
  const { client, socket, received } = await pair(t)
  const first = client.call(numbered(1, 'first'))
  t.is(codeOf(await rejection(client.call(numbered(1, 'second')))), 'ERR_DUPLICATE_ID')
  socket.write(frame(numbered(1, 'one')))
  t.is(textOf(await first), 'one')
  const third = client.call(numbered(1, 'third'))
  t.deepEqual((await received.reach(2)).map(textOf), ['first', 'third'])
  socket.write(frame(numbered(1, 'three')))
  t.is(textOf(await third), 'three')
})

for (const how of ['timed out', 'was aborted'] as const) {
  test(`the id of a call that ${how} stays reserved until its late reply, which reaches nobody`, async (t) => {
    const strangers = new Inbox<Buffer>()
    const { client, socket } = await pair(t, { onRequest: strangers.push })
    const controller = new AbortController()
    const options = how === 'timed out' ? { timeout: 1 } : { signal: controller.signal }
    const lost = rejection(client.call(numbered(5, 'lost'), options))
    controller.abort(new Error('no longer'))
    const error = await lost
    t.is(
      how === 'timed out' ? codeOf(error) : error,
      how === 'timed out' ? 'ERR_REQUEST_TIMEOUT' : controller.signal.reason,
    )
    t.is(codeOf(await rejection(client.call(numbered(5, 'again')))), 'ERR_DUPLICATE_ID')
    const other = client.call(numbered(6))
    socket.write(frames(numbered(5, 'late'), numbered(6, 'mine')))
    t.is(textOf(await other), 'mine')
    const again = client.call(numbered(5, 'again'))
    socket.write(frame(numbered(5, 'for you')))
    t.is(textOf(await again), 'for you')
    t.deepEqual(strangers.all, [])
    t.true(client.isActive)
  })
}

test('a second reply to a call goes to onRequest, as any message that no call awaits', async (t) => {
  const strangers = new Inbox<Buffer>()
  const { client, socket } = await pair(t, { onRequest: strangers.push })
  const call = client.call(numbered(1))
  const other = client.call(numbered(2))
  socket.write(
    frames(numbered(1, 'once'), numbered(1, 'twice'), numbered(3, 'unasked'), 'abc', numbered(2, 'other')),
  )
  t.is(textOf(await call), 'once')
  t.is(textOf(await other), 'other')
  await strangers.reach(3)
  t.deepEqual(
    strangers.all.map(String),
    [numbered(1, 'twice'), numbered(3, 'unasked'), Buffer.from('abc')].map(String),
  )
  t.true(client.isActive)
})

for (const [name, stranger] of [
  ['whose id no call awaits', numbered(9, 'unasked')],
  ['that is too short for an id', Buffer.from('abc')],
] as const) {
  test(`without onRequest a message ${name} is an error, and closes the connection`, async (t) => {
    const errors = new Inbox<unknown>()
    const { client, socket } = await pair(t, { onError: errors.push })
    const call = rejection(client.call(numbered(1)))
    socket.write(frame(stranger))
    t.is(codeOf(await errors.take()), 'ERR_UNEXPECTED_MESSAGE')
    t.is(codeOf(await call), 'ERR_CONN_CLOSED')
  })
}

test('a connection that breaks fails its calls, and only those that wait', async (t) => {
  const { client, socket } = await pair(t)
  const answered = client.call(numbered(1))
  const lost = rejection(client.call(numbered(2), { timeout: 1 }))
  t.is(codeOf(await lost), 'ERR_REQUEST_TIMEOUT')
  const waiting = rejection(client.call(numbered(3)))
  socket.write(frame(numbered(1, 'done')))
  t.is(textOf(await answered), 'done')
  socket.resetAndDestroy()
  t.is(codeOf(await waiting), 'ECONNRESET')
  t.is(codeOf(await rejection(client.call(numbered(4)))), 'ERR_CONN_CLOSED')
})

test('a function finds ids that are no field: in text, of numbers and bigints', async (t) => {
  const ids = (bytes: Buffer): string | number | bigint | undefined => {
    const word = bytes.toString().split(' ')[0] ?? ''
    if (word.startsWith('#')) return BigInt(word.slice(1))
    return word === '' ? undefined : word
  }
  const { client, socket, received } = await pair(t, { id: ids, framing: lengthField({ size: 4 }) })
  const calls = [
    client.call('one a'),
    client.call(['#', '7 b']),
    client.call(Buffer.from('#9007199254740993 c')),
  ]
  t.is(codeOf(await rejection(client.call('#7 again'))), 'ERR_DUPLICATE_ID')
  t.is(codeOf(await rejection(client.call(' nothing'))), 'ERR_NO_ID')
  await received.reach(3)
  socket.write(frames('#9007199254740993 C', '#7 B', 'one A'))
  t.deepEqual((await Promise.all(calls)).map(String), ['one A', '#7 B', '#9007199254740993 C'])
})

test('numbers and bigints of a function are the same ids where they are equal', async (t) => {
  let next: number | bigint = 5
  const { client, socket } = await pair(t, { id: () => next })
  const call = client.call('x')
  next = 5n
  t.is(codeOf(await rejection(client.call('x'))), 'ERR_DUPLICATE_ID')
  socket.write(frame('reply'))
  t.is(String(await call), 'reply')
})

test('a function that throws for a request rejects that call; for a reply it fails the connection', async (t) => {
  const errors = new Inbox<unknown>()
  const ids = (bytes: Buffer): string => {
    if (bytes[0] === 0x21) throw new Error(String(bytes))
    return String(bytes)
  }
  const { client, socket } = await pair(t, { id: ids, onError: errors.push })
  t.is(((await rejection(client.call('!request'))) as Error).message, '!request')
  t.true(client.isActive)
  const call = rejection(client.call('x'))
  socket.write(frame('!reply'))
  t.is(((await errors.take()) as Error).message, '!reply')
  t.is(codeOf(await call), 'ERR_CONN_CLOSED')
})

test('a function that returns no id at all is told so', async (t) => {
  const { client } = await pair(t, { id: (() => ({})) as never })
  t.is(codeOf(await rejection(client.call('x'))), 'ERR_INVALID_ARG_VALUE')
})

for (const [name, other, sent] of [
  ['delimiter', delimiter('\n'), Buffer.from('0001 x\n')],
  ['varint', varint(), Buffer.concat([Buffer.from([6]), Buffer.from('0001 x')])],
  ['whole frames', lengthField({ size: 1, strip: 0, adjustment: -1 }), Buffer.from('\x060001x')],
] as const) {
  test(`the offset of an id counts from where the handler sees the message begin: ${name}`, async (t) => {
    const { port, sockets } = await netServer(t)
    const offset = name === 'whole frames' ? 1 : 0
    const client = await dial(t, { host: '127.0.0.1', port }, { framing: other, id: { offset, size: 4 } })
    const socket = await sockets.take()
    const call = client.call(name === 'whole frames' ? '\x060001x' : '0001 x')
    const received = await new Promise<Buffer>((resolve) => socket.once('data', resolve))
    t.deepEqual(received, sent)
    socket.write(received)
    t.is((await call).toString('latin1', offset, offset + 4), '0001')
  })
}

// Alone: it takes the memory of whatever else arrives in this process meanwhile.
test.serial('ids of messages whose chunk the user has taken away are right, too', async (t) => {
  const { client, socket } = await pair(t)
  const first = client.call(numbered(1))
  socket.write(frame(numbered(1, 'first')))
  const reply = await first
  // Node.js 20 has no `transfer`; a structured clone with a transfer list does the same where it is allowed.
  const memory = reply.buffer as ArrayBuffer & { transfer?: () => ArrayBuffer }
  if (memory.transfer === undefined) {
    t.pass('this Node.js cannot take a chunk away')
    return
  }
  memory.transfer()
  const calls = [2, 3].map((number) => client.call(numbered(number)))
  socket.write(frames(numbered(3, 'three'), numbered(2, 'two')))
  t.deepEqual((await Promise.all(calls)).map(textOf), ['two', 'three'])
})

for (const pollers of [0, 1]) {
  test(`with ids a server’s handler calls back on its own connection, also with maxInFlight 1: ${pollers} pollers`, async (t) => {
    const { port } = await serve(t, { id, pollers, maxInFlight: 1 }, async (request, connection) => {
      const answer = await connection.call(numbered(1_000 + request.readUInt32BE(), 'who?'))
      return numbered(request.readUInt32BE(), `hello ${textOf(answer)}`)
    })
    const onRequest = (request: Buffer): Buffer =>
      numbered(request.readUInt32BE(), `n${request.readUInt32BE()}`)
    const client = await dial(t, { host: '127.0.0.1', port }, { id, pollers, onRequest })
    const calls = Array.from({ length: 100 }, (_, index) => client.call(numbered(index)))
    t.deepEqual(
      (await Promise.all(calls)).map(textOf),
      Array.from({ length: 100 }, (_, index) => `hello n${1_000 + index}`),
    )
  })
}

test('handlers that call back are never more than maxInFlight, and take their requests in order', async (t) => {
  const begun: number[] = []
  let running = 0
  let most = 0
  const { port } = await serve(t, { id, maxInFlight: 3 }, async (request, connection) => {
    begun.push(request.readUInt32BE())
    running += 1
    most = Math.max(most, running)
    await connection.call(numbered(1_000 + request.readUInt32BE()))
    running -= 1
    return request
  })
  const client = await dial(t, { host: '127.0.0.1', port }, { id, onRequest: (request) => request })
  await Promise.all(Array.from({ length: 50 }, (_, index) => client.call(numbered(index))))
  t.is(most, 3)
  t.deepEqual(
    begun,
    Array.from({ length: 50 }, (_, index) => index),
  )
})

test('replies leave in the order of requests although handlers call back, unless ordered is false', async (t) => {
  for (const ordered of [true, false]) {
    const { port } = await serve(t, { id, ordered, maxInFlight: 2 }, async (request, connection) => {
      if (request.readUInt32BE() % 2 === 0) await connection.call(numbered(1_000 + request.readUInt32BE()))
      return request
    })
    const arrived: number[] = []
    const client = await dial(t, { host: '127.0.0.1', port }, { id, onRequest: (request) => request })
    const calls = [0, 1].map(async (number) => {
      await client.call(numbered(number))
      arrived.push(number)
    })
    await Promise.all(calls)
    t.deepEqual(arrived, ordered ? [0, 1] : [1, 0])
  }
})

test('while calls of a server wait it reads on, but no more than highWaterMark bytes of requests', async (t) => {
  const release = deferred()
  const handled = new Inbox<number>()
  const connections = new Inbox<Connection>()
  const { port } = await serve(
    t,
    { id, maxInFlight: 1, highWaterMark: 64 * 1024, onConnect: connections.push },
    async (request, connection) => {
      handled.push(request.readUInt32BE())
      // Never answered by this client: the handler goes on when the test says so.
      if (request.readUInt32BE() === 0) {
        const asking = rejection(connection.call(numbered(9_999)))
        await release.promise
        connection.data = asking
      }
      return request
    },
  )
  const replies = new Inbox<Buffer>()
  const client = await dial(
    t,
    { host: '127.0.0.1', port },
    { id, onRequest: (request) => replies.push(request) },
  )
  const count = 4_000
  const calls = Array.from({ length: count }, (_, index) => client.call(numbered(index, 'x'.repeat(1020))))
  const server = await connections.take()
  await handled.reach(1)
  // Reading has stopped once the server's end has got nothing for a while of turns.
  for (let before = -1; before !== server.bytesRead; ) {
    before = server.bytesRead
    for (let turn = 0; turn < 50; turn += 1) await nextTurn()
  }
  t.deepEqual(handled.all, [0])
  // One read more than the mark may have been under way.
  t.true(server.bytesRead < 64 * 1024 + 2 * 128 * 1024, `${server.bytesRead} bytes`)
  release.resolve()
  await Promise.all(calls)
  t.is(handled.all.length, count)
})

test('a server’s hook calls, and messages that come meanwhile wait for it', async (t) => {
  const order: string[] = []
  const { port } = await serve(
    t,
    {
      id,
      maxInFlight: 1,
      onConnect: async (connection) => {
        order.push(`hook ${textOf(await connection.call(numbered(1, 'token?')))}`)
      },
    },
    (request) => {
      order.push(textOf(request))
      return request
    },
  )
  const client = await dial(
    t,
    { host: '127.0.0.1', port },
    {
      id,
      onRequest: async (request) => {
        // Its own requests are on their way before the answer is.
        await nextTurn()
        return numbered(request.readUInt32BE(), 'secret')
      },
    },
  )
  await Promise.all([7, 8, 9].map((number) => client.call(numbered(number, `request ${number}`))))
  t.deepEqual(order, ['hook secret', 'request 7', 'request 8', 'request 9'])
})

for (const ids of [id, undefined]) {
  test(`a dialer’s onConnect calls although it has onRequest, ${ids ? 'with' : 'without'} ids`, async (t) => {
    const { port, sockets } = await netServer(t)
    const order: string[] = []
    const dialing = dial(
      t,
      { host: '127.0.0.1', port },
      {
        ...(ids && { id: ids }),
        onConnect: async (connection) => {
          order.push(textOf(await connection.call(numbered(1, 'hello'))))
        },
        onRequest: (request) => {
          order.push(textOf(request))
        },
      },
    )
    const socket = await sockets.take()
    socket.once('data', () => socket.write(frames(numbered(1, 'welcome'), numbered(2, 'news'))))
    await dialing
    while (order.length < 2) await nextTurn()
    t.deepEqual(order, ['welcome', 'news'])
  })
}

test('a server that closes lets its handlers call back until they are done', async (t) => {
  const asked = deferred()
  const server = createServer({ framing, id }, async (request, connection) => {
    const first = await connection.call(numbered(1))
    const second = await connection.call(numbered(2))
    return numbered(request.readUInt32BE(), textOf(first) + textOf(second))
  })
  await server.listen({ host: '127.0.0.1', port: 0 })
  const answer = deferred()
  const client = await new Dialer({
    framing,
    id,
    onRequest: async (request) => {
      asked.resolve()
      await answer.promise
      return numbered(request.readUInt32BE(), `${request.readUInt32BE()}`)
    },
  }).dial({ host: '127.0.0.1', port: portOf(server) })
  const call = client.call(numbered(100))
  await asked.promise
  const closing = server.close()
  await nextTurn()
  answer.resolve()
  t.is(textOf(await call), '12')
  await closing
  await gone(client)
})

test('a server without ids cannot call', async (t) => {
  const outcome = deferred<unknown>()
  const { port } = await serve(t, {
    onConnect: async (connection) => outcome.resolve(await rejection(connection.call('x'))),
  })
  await dial(t, { host: '127.0.0.1', port })
  t.is(codeOf(await outcome.promise), 'ERR_UNSUPPORTED')
})

test('a loop over messages may call although more than maxInFlight messages wait', async (t) => {
  const { port } = await serve(t, {
    id,
    maxInFlight: 2,
    onConnect: async (connection) => {
      for await (const request of connection) {
        const answer = await connection.call(numbered(1_000 + request.readUInt32BE()))
        await connection.send(numbered(request.readUInt32BE(), textOf(answer)))
      }
    },
  })
  const client = await dial(
    t,
    { host: '127.0.0.1', port },
    {
      id,
      onRequest: (request) => numbered(request.readUInt32BE(), `${request.readUInt32BE()}`),
    },
  )
  const calls = Array.from({ length: 20 }, (_, index) => client.call(numbered(index)))
  t.deepEqual(
    (await Promise.all(calls)).map(textOf),
    Array.from({ length: 20 }, (_, index) => `${1_000 + index}`),
  )
})

test('a handler that fails while requests wait for their turn closes the connection, and they are dropped', async (t) => {
  const errors = new Inbox<unknown>()
  const handled: number[] = []
  const { port } = await serve(
    t,
    { id, maxInFlight: 1, onError: errors.push },
    async (request, connection) => {
      handled.push(request.readUInt32BE())
      await connection.call(numbered(1_000))
      throw new Error('broken')
    },
  )
  const client = await dial(t, { host: '127.0.0.1', port }, { id, onRequest: (request) => request })
  const calls = [1, 2, 3].map((number) => rejection(client.call(numbered(number))))
  t.deepEqual((await Promise.all(calls)).map(codeOf), [
    'ERR_CONN_CLOSED',
    'ERR_CONN_CLOSED',
    'ERR_CONN_CLOSED',
  ])
  t.is(((await errors.take()) as Error).message, 'broken')
  t.deepEqual(handled, [1])
})

test('both sides call each other at once, thousands of times, and each reply finds its call', async (t) => {
  const count = 2_000
  const answer = (request: Buffer): Buffer => numbered(request.readUInt32BE(), `re ${textOf(request)}`)
  const accepted = deferred<Connection>()
  const { port } = await serve(
    t,
    { id, maxInFlight: 8, ordered: false, onConnect: accepted.resolve },
    async (request) => {
      if (request.readUInt32BE() % 3 === 0) await nextTurn()
      return answer(request)
    },
  )
  const client = await dial(t, { host: '127.0.0.1', port }, { id, maxInFlight: 8, onRequest: answer })
  const server = await accepted.promise
  const callAll = async (connection: Connection, name: string, from: number): Promise<void> => {
    const calls = Array.from({ length: count }, (_, index) =>
      connection.call(numbered(from + index, `${name}${index}`), { timeout: 60_000 }),
    )
    const replies = await Promise.all(calls)
    t.true(replies.every((reply, index) => textOf(reply) === `re ${name}${index}`))
  }
  await Promise.all([callAll(client, 'c', 0), callAll(server, 's', 1_000_000)])
})

for (const [name, value, code] of [
  ['no field', 7, 'ERR_INVALID_ARG_TYPE'],
  ['null', null, 'ERR_INVALID_ARG_TYPE'],
  ['an offset that is none', { offset: -1, size: 4 }, 'ERR_INVALID_ARG_VALUE'],
  ['an offset that is missing', { size: 4 }, 'ERR_INVALID_ARG_TYPE'],
  ['a size that is none', { offset: 0, size: 3 }, 'ERR_INVALID_ARG_VALUE'],
  ['a size that is missing', { offset: 0 }, 'ERR_INVALID_ARG_VALUE'],
  ['a byte order that is none', { offset: 0, size: 4, endian: 'middle' }, 'ERR_INVALID_ARG_VALUE'],
] as const) {
  test(`the option id is refused: ${name}`, (t) => {
    t.throws(() => new Dialer({ framing, id: value as never }), { code })
    t.throws(() => createServer({ framing, id: value as never }), { code })
  })
}

test('a stream has no messages, so it has no ids', (t) => {
  t.throws(() => new Dialer({ id } as never), { code: 'ERR_INVALID_ARG_VALUE' })
  t.throws(() => createServer({ id: () => 1 } as never), { code: 'ERR_INVALID_ARG_VALUE' })
})
