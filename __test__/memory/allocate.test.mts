import test, { type ExecutionContext } from 'ava'

import { type Connection, delimiter, lengthField, stats, varint } from '../../dist/index.mjs'
import { deferred, nextTurn } from '../support/deferred.mjs'
import { frame, frames, pattern, unframe } from '../support/frames.mjs'
import { codeOf, connectPeer, dial, framing, serve } from '../support/netpoll.mjs'

/** `bytes` in memory of the connection's. */
function allocated(connection: Connection, bytes: Uint8Array): Buffer {
  const memory = connection.allocate(bytes.length)
  memory.set(bytes)
  return memory
}

const framings = {
  'a length of 1 byte': lengthField({ size: 1 }),
  'a length of 4 bytes': framing,
  'a length of 8 bytes behind others, little-endian': lengthField({ size: 8, offset: 3, endian: 'little' }),
  'a header of more bytes than there is room for': lengthField({ size: 4, offset: 300 }),
  'a delimiter': delimiter('\r\n'),
  'a varint': varint(),
}

for (const [name, each] of Object.entries(framings)) {
  test(`what was allocated leaves framed, behind ${name}`, async (t) => {
    const { port } = await serve(t, { framing: each }, (request, connection) =>
      allocated(connection, request),
    )
    const client = await dial(t, { host: '127.0.0.1', port }, { framing: each })
    for (const length of [0, 1, 100, 127, 128, 255]) {
      const message = Buffer.alloc(length, 97 + (length % 7))
      const replies = await Promise.all([1, 2, 3].map(() => client.call(allocated(client, message))))
      for (const reply of replies) t.deepEqual(reply, message)
    }
  })
}

for (const pollers of [0, 1]) {
  test(`replies of all sizes, made where they leave or not, with pollers: ${pollers}`, async (t) => {
    const { port } = await serve(t, { pollers }, (request, connection) =>
      (request[0] as number) % 3 === 0 ? Buffer.from(request) : allocated(connection, request),
    )
    const peer = await connectPeer(t, { port })
    for (let round = 0; round < 20; round += 1) {
      const messages = Array.from({ length: 50 }, (_, place) => {
        const seed = 1 + place + 50 * round
        return pattern(1 + ((seed * 7_919) % (seed % 10 === 0 ? 70_000 : 3_000)), seed)
      })
      const sent = frames(...messages)
      await peer.write(sent)
      t.true((await peer.read(sent.length)).equals(sent))
    }
  })
}

/** Replies with what `answer` makes of each request; a plain message goes through after it. */
async function replies(
  t: ExecutionContext,
  answer: (request: Buffer, connection: Connection) => Uint8Array | (Uint8Array | string)[],
  ...requests: readonly (Buffer | string)[]
): Promise<Buffer[]> {
  const { port } = await serve(t, {}, answer)
  const client = await dial(t, { host: '127.0.0.1', port })
  return Promise.all(requests.map((request) => client.call(request)))
}

test('a message may be shorter than what was allocated', async (t) => {
  const got = await replies(t, (request, c) => allocated(c, request).subarray(0, 3), 'abcdef', 'ghijkl')
  t.deepEqual(got.map(String), ['abc', 'ghi'])
})

test('a part that is not the beginning is sent as any other bytes are', async (t) => {
  const got = await replies(t, (request, c) => allocated(c, request).subarray(2), 'abcdef', 'ghijkl')
  t.deepEqual(got.map(String), ['cdef', 'ijkl'])
})

test('pieces of a message may be allocated', async (t) => {
  const whole = pattern(5_000)
  const answer = (request: Buffer, connection: Connection): (Uint8Array | string)[] => {
    const [one, other] = [allocated(connection, request), allocated(connection, whole)]
    return ['[', other, one, ',', Buffer.from('copied'), ']']
  }
  const got = await replies(t, answer, 'abc', 'def')
  for (const [index, text] of ['abc', 'def'].entries()) {
    t.deepEqual(got[index], Buffer.concat([Buffer.from('['), whole, Buffer.from(`${text},copied]`)]))
  }
})

test('within a turn the same memory may be sent again, on any connection', async (t) => {
  const connections: Connection[] = []
  const other = lengthField({ size: 8 })
  const framed = await serve(t, { onConnect: (connection) => void connections.push(connection) })
  const otherwise = await serve(t, { framing: other, onConnect: (c) => void connections.push(c) })
  const peers = [
    await connectPeer(t, framed),
    await connectPeer(t, framed),
    await connectPeer(t, otherwise),
  ] as const
  while (connections.length < 3) await nextTurn()
  const message = pattern(1_000)
  const [first] = connections as [Connection]
  const kept = allocated(first, message)
  const memory = allocated(first, message)
  for (const connection of [first, ...connections]) void connection.send(memory)
  t.deepEqual(unframe(await peers[0].read(2 * 1_004)), [message, message])
  t.deepEqual(await peers[1].read(1_004), frame(message))
  t.deepEqual((await peers[2].read(1_008)).subarray(8), message)
  // Others find no room where something was allocated that was not sent.
  for (let round = 0; round < 3; round += 1) {
    void first.send(pattern(10_000, 7))
    await peers[0].read(10_004)
  }
  t.deepEqual(kept, message)
})

test('what is not sent yet stays as it is, whatever is sent meanwhile', async (t) => {
  const gate = deferred()
  const { port } = await serve(t, { ordered: false }, async (request, connection) => {
    const memory = allocated(connection, request)
    if (request[0] === 1) await gate.promise
    return memory
  })
  const peer = await connectPeer(t, { port })
  const held = Array.from({ length: 5 }, (_, index) =>
    Buffer.concat([Buffer.of(1), pattern(2_000, index + 1)]),
  )
  for (const message of held) {
    await peer.write(frame(message))
    // More than the memory that messages leave from holds.
    for (let round = 0; round < 10; round += 1) {
      const message = Buffer.concat([Buffer.of(2), pattern(20_000, round + 1)])
      await peer.write(frame(message))
      t.true((await peer.read(4 + message.length)).equals(frame(message)))
    }
  }
  gate.resolve()
  t.deepEqual(unframe(await peer.read(5 * 2_005)), held)
})

test('what is never sent takes nothing from other messages', async (t) => {
  const dropped: Buffer[] = []
  const answer = (request: Buffer, connection: Connection): Uint8Array => {
    dropped.push(allocated(connection, request))
    return allocated(connection, request)
  }
  const requests = Array.from({ length: 500 }, (_, index) => pattern(1_000, index + 1))
  t.deepEqual(await replies(t, answer, ...requests), requests)
  t.deepEqual(dropped, requests)
})

// What is counted is counted of the whole process, so nobody else is to be at work.
test.serial('memory is used again once it was sent', async (t) => {
  const { port } = await serve(t, {}, (request, connection) => allocated(connection, request))
  const client = await dial(t, { host: '127.0.0.1', port })
  const taken = (): number => stats().chunks.hits + stats().chunks.misses
  const before = taken()
  const rounds = 2_000
  const bytes = 1_000
  for (let round = 0; round < rounds; round += 1) {
    t.is((await client.call(allocated(client, pattern(bytes, round + 1)))).length, bytes)
  }
  // Received messages take chunks, each in both directions. Outgoing ones would take as many again.
  const received = (2 * rounds * (bytes + 4)) / (256 * 1024)
  t.true(
    taken() - before < 1.5 * received + 3,
    `${taken() - before} chunks, ${received} for what was received`,
  )
})

for (const [length, code] of [
  ['1', 'ERR_INVALID_ARG_TYPE'],
  [-1, 'ERR_INVALID_ARG_VALUE'],
  [1.5, 'ERR_INVALID_ARG_VALUE'],
  [Number.NaN, 'ERR_INVALID_ARG_VALUE'],
  [Number.POSITIVE_INFINITY, 'ERR_INVALID_ARG_VALUE'],
] as const) {
  test(`a length of ${typeof length} ${length} is refused`, async (t) => {
    const { port } = await serve(t, { framing: varint() }, () => '')
    const client = await dial(t, { host: '127.0.0.1', port }, { framing: varint() })
    const error = t.throws(() => client.allocate(length as number), { instanceOf: TypeError })
    t.is(codeOf(error), code)
  })
}
