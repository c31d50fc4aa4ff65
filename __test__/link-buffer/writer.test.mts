import test from 'ava'

import { type Connection, createWriter, lengthField } from '../../dist/index.mjs'
import { Inbox, nextTurn } from '../support/deferred.mjs'
import { frame, frames, pattern } from '../support/frames.mjs'
import { codeOf, connectPeer, dial, framing, rejection, serve } from '../support/netpoll.mjs'
import { dialStream, inactive, quietTurns, serveStream } from '../support/streams.mjs'
import { runFixture } from '../support/system.mjs'

/** Takes the memory of `bytes` away, as `postMessage` does. */
function transferAway(bytes: Uint8Array<ArrayBuffer>): void {
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
}

/** Writes in every way there is; returns what that must be. */
function writeAll({ writer }: Connection, received: Uint8Array): Buffer {
  const direct = pattern(30_000, 7)
  writer.writeString('grüße ')
  writer.malloc(4).write('abcd')
  writer.writeByte(33)
  writer.writeUint(0x010203, 3)
  writer.writeUint(0x010203, 3, 'little')
  writer.writeBinary(received)
  writer.writeBinary(Buffer.from('copied'))
  const room = writer.malloc(10)
  room.write('0123456789')
  writer.writeDirect(direct, 4)
  const other = createWriter()
  other.writeString('appended')
  writer.append(other)
  writer.malloc(5).write('never')
  writer.mallocAck(writer.mallocLength - 5)
  return Buffer.concat([
    Buffer.from('grüße abcd!'),
    Buffer.from([1, 2, 3, 3, 2, 1]),
    received,
    Buffer.from('copied012345'),
    direct,
    Buffer.from('6789appended'),
  ])
}

test('what is written in all ways leaves in order, on a stream', async (t) => {
  const { port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  const sent = pattern(1_000, 3)
  await peer.write(sent)
  await connection.reader.fill(sent.length)
  const expected = writeAll(connection, connection.reader.next(sent.length))
  t.is(connection.writer.mallocLength, expected.length)
  await quietTurns()
  t.is(connection.bytesWritten, 0, 'nothing leaves before flush')
  await connection.writer.flush()
  t.is(connection.writer.mallocLength, 0)
  t.true((await peer.read(expected.length)).equals(expected))
})

test('memory of 4 GiB is sent, and what comes before it and after', async (t) => {
  const { port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port }, { reading: false })
  const { writer } = await connections.take()
  const bytes = new Uint8Array(2 ** 32)
  bytes.set(pattern(1_000, 1))
  writer.writeString('beforeafter')
  writer.writeDirect(bytes, 5)
  t.is(writer.mallocLength, 2 ** 32 + 11)
  void writer.flush().catch(() => {})
  t.true((await peer.read(1_006)).equals(Buffer.concat([Buffer.from('before'), pattern(1_000, 1)])))
})

test('with a framing everything between two flushes is one message', async (t) => {
  const expected: Buffer[] = []
  const { port } = await serve(t, {}, (request, connection) => {
    for (let round = 0; round < 3; round += 1) {
      expected.push(writeAll(connection, request))
      void connection.writer.flush()
    }
    return 'reply'
  })
  const peer = await connectPeer(t, { port })
  await peer.write(frame(pattern(1_000)))
  const received = await peer.read(3 * (4 + 31_043))
  t.true(received.equals(frames(...expected)))
  t.deepEqual(await peer.read(9), frame('reply'))
})

test('flushes that nobody waits for leave in order', async (t) => {
  const { port } = await serveStream(t, {
    onConnect: ({ writer }) => {
      for (let index = 0; index < 10_000; index += 1) {
        writer.writeUint(index, 4)
        void writer.flush()
      }
    },
  })
  const client = await dialStream(t, { port })
  await client.reader.fill(40_000)
  for (let index = 0; index < 10_000; index += 1) if (client.reader.readUint(4) !== index) t.fail()
  t.is(client.reader.length, 0)
})

test('a hundred megabytes in flushes of two leave whole, and close waits for them', async (t) => {
  const rounds = 50
  const size = 2 * 1024 * 1024
  const { port } = await serveStream(t, {
    closeTimeout: 600_000,
    onConnect: async (connection) => {
      for (let round = 0; round < rounds; round += 1) {
        connection.writer.malloc(size).fill(round)
        await connection.writer.flush()
      }
      void connection.close()
    },
  })
  const peer = await connectPeer(t, { port })
  for (let round = 0; round < rounds; round += 1) {
    t.true((await peer.read(size)).equals(Buffer.alloc(size, round)))
  }
  t.is((await peer.readToEnd()).length, 0)
})

test('a message of 64 MiB that a writer collected arrives as one', async (t) => {
  const size = 64 * 1024 * 1024
  const { port } = await serve(t, { framing: lengthField({ size: 4, maxLength: size }) }, (request) => {
    return `${request.length} ${request[0]} ${request[size - 1]}`
  })
  const client = await dial(t, { port })
  const { writer } = client
  const answers = client[Symbol.asyncIterator]()
  for (let round = 0; round < 16; round += 1) writer.malloc(size / 16).fill(round)
  await writer.flush()
  t.is((await answers.next()).value?.toString(), `${size} 0 15`)
})

for (const [how, close] of [
  ['closed', (connection: Connection) => void connection.close()],
  ['destroyed', (connection: Connection) => connection.destroy()],
  ['ended in our direction', (connection: Connection) => connection.end()],
] as const) {
  test(`a writer of a connection that is ${how} throws at nothing, and flush rejects`, async (t) => {
    const { port, connections } = await serveStream(t)
    const peer = await connectPeer(t, { port })
    const connection = await connections.take()
    const { writer } = connection
    writer.writeString('before')
    close(connection)
    writer.malloc(1)
    writer.mallocAck(6)
    writer.writeBinary(Buffer.from('hi'))
    writer.writeString('hi')
    writer.writeByte(1)
    writer.writeDirect(Buffer.from('hi'))
    t.is(codeOf(await rejection(writer.flush())), 'ERR_CONN_CLOSED')
    t.is(writer.mallocLength, 0)
    t.is(codeOf(await rejection(writer.flush())), 'ERR_CONN_CLOSED', 'also with nothing to send')
    t.is((await peer.readToEnd()).length, 0)
  })
}

test('a writer of a connection that is gone rejects, too', async (t) => {
  const { port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  peer.end()
  await inactive(connection)
  connection.writer.writeString('late')
  t.is(codeOf(await rejection(connection.writer.flush())), 'ERR_CONN_CLOSED')
})

test('flush waits for a slow peer, isCongested says so, and onDrain tells the end of it', async (t) => {
  const drained = new Inbox<Connection>()
  const { port, connections } = await serveStream(t, { highWaterMark: 100_000, onDrain: drained.push })
  const peer = await connectPeer(t, { port }, { reading: false })
  const connection = await connections.take()
  const { writer } = connection
  const piece = pattern(50_000)
  let flushed = 0
  let flushing: Promise<void>
  do {
    writer.writeBinary(piece)
    flushing = writer.flush()
    flushed += 1
  } while (await Promise.race([flushing.then(() => true), nextTurn().then(() => false)]))
  t.true(connection.isCongested)
  await quietTurns()
  // Within one turn as much again may be queued before the core is asked whether it can keep up.
  const waiting = flushed * piece.length - connection.bytesWritten
  t.true(waiting > 100_000 && waiting <= 250_000, `${waiting} bytes wait`)
  t.deepEqual(drained.all, [])
  const expected = Buffer.concat(Array.from({ length: flushed }, () => piece))
  t.true((await peer.read(expected.length)).equals(expected))
  await flushing
  t.is(await drained.take(), connection)
  t.false(connection.isCongested)
  t.is(drained.all.length, 1)
})

test('what onDrain throws closes that connection and is told', async (t) => {
  const errors = new Inbox<unknown>()
  const failure = new Error('not now')
  const { port, connections } = await serveStream(t, {
    highWaterMark: 1,
    onError: errors.push,
    onDrain: () => {
      throw failure
    },
  })
  const peer = await connectPeer(t, { port }, { reading: false })
  const connection = await connections.take()
  const sent = pattern(20_000_000)
  const sending = connection.send(sent)
  await quietTurns()
  t.true((await peer.readToEnd()).equals(sent))
  await sending
  t.is(await errors.take(), failure)
})

for (const kind of ['flushes', 'replies'] as const) {
  test(`a peer that never reads costs at most 1 MiB beside what the user insists on: ${kind}`, async (t) => {
    const { code, stdout, stderr } = await runFixture(t, 'slow-peers', {
      args: [kind],
      flags: ['--expose-gc'],
    })
    t.deepEqual([code, stderr], [0, ''])
    const { sent, held } = JSON.parse(stdout) as { sent: number; held: number }
    t.true(sent >= 100, 'each was sent something')
    t.true(held <= 1024 * 1024, `${held} bytes are held for each`)
  })
}

test('buffers that are sent from where they are live until they have left, and no longer', async (t) => {
  const { code, stdout, stderr } = await runFixture(t, 'direct-kept', { flags: ['--expose-gc'] })
  t.deepEqual([code, stdout, stderr], [0, 'intact, 0 held\n', ''])
})

for (const [when, spoil] of [
  ['transferred away before its flush', { before: transferAway, after: () => {} }],
  ['transferred away after its flush', { before: () => {}, after: transferAway }],
  ['shrunk after its flush', { before: () => {}, after: shrink }],
] as const) {
  test(`a buffer that is ${when} fails its connection with ERR_BUFFER_DETACHED, and no other`, async (t) => {
    const gone = new Inbox<Error | undefined>()
    const errors = new Inbox<unknown>()
    const { port, connections } = await serveStream(t, {
      onError: errors.push,
      onDisconnect: (_connection, error) => gone.push(error),
    })
    const other = await connectPeer(t, { port })
    const spared = await connections.take()
    const peer = await connectPeer(t, { port }, { reading: false })
    const { writer } = await connections.take()
    const bytes = new Uint8Array(resizable(20_000_000))
    writer.writeString('header')
    writer.writeDirect(bytes)
    spared.writer.writeDirect(pattern(20_000))
    spoil.before(bytes)
    void writer.flush().catch(() => {})
    if (when.endsWith('after its flush')) await quietTurns()
    spoil.after(bytes)
    const received = peer.readToEnd()
    t.is(codeOf(await gone.take()), 'ERR_BUFFER_DETACHED')
    t.true((await received).length < 20_000_006)
    await spared.writer.flush()
    t.true((await other.read(20_000)).equals(pattern(20_000)))
    t.true(spared.isActive)
    t.deepEqual(errors.all.map(codeOf), ['ERR_BUFFER_DETACHED'])
  })
}

function shrink(bytes: Uint8Array<ArrayBuffer>): void {
  ;(bytes.buffer as ArrayBuffer & { resize(length: number): void }).resize(1_000)
}

/** An `ArrayBuffer` whose length can be changed; TypeScript's library of this target knows none. */
function resizable(length: number): ArrayBuffer {
  const Constructor = ArrayBuffer as new (length: number, options: { maxByteLength: number }) => ArrayBuffer
  return new Constructor(length, { maxByteLength: length })
}

test('shared memory is sent like any other', async (t) => {
  const shared = new Uint8Array(new SharedArrayBuffer(50_000))
  shared.set(pattern(50_000))
  const expected = Buffer.concat([pattern(50_000), pattern(50_000), pattern(50_000)])
  const { port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  connection.writer.writeDirect(shared)
  connection.writer.writeBinary(shared)
  await connection.writer.flush()
  await connection.send(shared)
  t.true((await peer.read(expected.length)).equals(expected))
  const framed = await serve(t, { framing }, () => shared)
  const client = await dial(t, { port: framed.port })
  t.true((await client.call(shared)).equals(pattern(50_000)))
})

test('shared memory is sent as it was when it was written, whatever other threads write there later', async (t) => {
  const shared = new Uint8Array(new SharedArrayBuffer(50_000))
  shared.set(pattern(50_000))
  const { port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  connection.writer.writeDirect(shared)
  connection.writer.writeDirect(shared.subarray(10, 20_010))
  shared.fill(0)
  await connection.writer.flush()
  const expected = Buffer.concat([pattern(50_000), pattern(50_000).subarray(10, 20_010)])
  t.true((await peer.read(expected.length)).equals(expected))
})

test('a message that is too long for its length field is refused, and the next one goes', async (t) => {
  const { port } = await serve(t, { framing: lengthField({ size: 1 }) }, async (_request, { writer }) => {
    writer.writeBinary(Buffer.alloc(256))
    t.is(codeOf(await rejection(writer.flush())), 'ERR_FRAME_TOO_LARGE')
    t.is(writer.mallocLength, 0)
    writer.writeBinary(Buffer.alloc(255, 1))
    await writer.flush()
  })
  const peer = await connectPeer(t, { port })
  await peer.write(Buffer.from([0]))
  t.deepEqual(await peer.read(256), Buffer.alloc(256, 1).fill(255, 0, 1))
})
