import test from 'ava'

import type { Connection } from '../../../dist/index.mjs'
import { deferred, Inbox, nextTurn } from '../../support/deferred.mjs'
import { frame, frames, pattern } from '../../support/frames.mjs'
import { codeOf, connectPeer, rejection } from '../../support/netpoll.mjs'
import { Random } from '../../support/random.mjs'
import { arrived, dialStream, inactive, quietTurns, serveStream } from '../../support/streams.mjs'

/** Takes what is there and sends it back. */
function echo({ reader, writer }: Connection): void {
  writer.writeBinary(reader.next(reader.length))
  void writer.flush()
}

/** Every whole message behind four bytes of length, parsed from what is there. */
function* parse({ reader }: Connection): Generator<Buffer> {
  while (reader.length >= 4) {
    const length = reader.peekUint(4)
    if (reader.length < 4 + length) return
    reader.skip(4)
    yield reader.next(length)
  }
}

test('ten thousand small writes arrive, whatever pieces they come in', async (t) => {
  const { port } = await serveStream(t, {}, echo)
  const peer = await connectPeer(t, { port })
  const sent = Array.from({ length: 10_000 }, (_, seed) => pattern(256, seed))
  for (const message of sent) void peer.write(message)
  t.true((await peer.read(2_560_000)).equals(Buffer.concat(sent)))
})

test('onData is called again while it takes something and something is left', async (t) => {
  const taken: number[] = []
  const done = deferred()
  const { port } = await serveStream(t, {}, ({ reader }) => {
    taken.push(reader.readByte())
    if (taken.length === 6) done.resolve()
  })
  const peer = await connectPeer(t, { port })
  await peer.write('abcdef')
  await done.promise
  await quietTurns()
  t.is(Buffer.from(taken).toString(), 'abcdef')
})

test('onData that took nothing is called again only when more has come', async (t) => {
  const lengths = new Inbox<number>()
  const { port } = await serveStream(t, {}, ({ reader }) => {
    lengths.push(reader.length)
  })
  const peer = await connectPeer(t, { port })
  await peer.write('abc')
  t.is(await lengths.take(), 3)
  await quietTurns()
  t.deepEqual(lengths.all, [3])
  await peer.write('de')
  t.is(await lengths.take(), 5)
  await quietTurns()
  t.deepEqual(lengths.all, [3, 5])
})

test('onData is never called twice at once, and sees what came meanwhile afterwards', async (t) => {
  const calls = new Inbox<{ readonly length: number; readonly go: () => void }>()
  let running = 0
  const { port, connections } = await serveStream(t, {}, async ({ reader }) => {
    running += 1
    t.is(running, 1)
    const go = deferred()
    calls.push({ length: reader.length, go: go.resolve })
    await go.promise
    reader.skip(reader.length)
    running -= 1
  })
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  await peer.write('abc')
  const first = await calls.take()
  await peer.write('de')
  await arrived(connection, 5)
  await quietTurns()
  t.deepEqual([first.length, calls.all.length], [3, 1])
  first.go()
  await quietTurns()
  t.is(calls.all.length, 1, 'nothing is left of the five bytes')
  await peer.write('f')
  const second = await calls.take()
  t.is(second.length, 1)
  second.go()
})

test('asynchronous onData that took nothing is called for what came while it ran', async (t) => {
  const lengths = new Inbox<number>()
  const go = deferred()
  const { port, connections } = await serveStream(t, {}, async ({ reader }) => {
    lengths.push(reader.length)
    await go.promise
  })
  const peer = await connectPeer(t, { port })
  await peer.write('abc')
  t.is(await lengths.take(), 3)
  await peer.write('de')
  await arrived(await connections.take(), 5)
  go.resolve()
  t.is(await lengths.take(), 5)
  await quietTurns()
  t.deepEqual(lengths.all, [3, 5])
})

test('onData may wait for more than highWaterMark without reading any of it', async (t) => {
  const body = pattern(3_000_000)
  const { port } = await serveStream(t, { highWaterMark: 10_000 }, (connection) => {
    for (const message of parse(connection)) void connection.send(`${message.equals(body)}`)
  })
  const peer = await connectPeer(t, { port })
  await peer.write(frames(body, body))
  t.is((await peer.read(8)).toString(), 'truetrue')
})

test('unread bytes over highWaterMark of all connections together are bounded by maxBufferedBytes', async (t) => {
  const errors = new Inbox<unknown>()
  const options = { highWaterMark: 1_000, maxBufferedBytes: 1_000_000, onError: errors.push }
  const { port, connections } = await serveStream(t, options, ({ reader }) => {
    if (reader.length >= 900_000) reader.skip(reader.length)
  })
  for (let round = 0; round < 3; round += 1) {
    const peer = await connectPeer(t, { port })
    await peer.write(Buffer.alloc(900_000))
    await arrived(await connections.take(), 900_000)
    if (round === 1) peer.destroy()
  }
  t.deepEqual(errors.all, [], 'what was read counts no longer')
  const kept = await connectPeer(t, { port })
  await kept.write(Buffer.alloc(600_000))
  await arrived(await connections.take(), 600_000)
  const peer = await connectPeer(t, { port })
  void peer.write(Buffer.alloc(600_000)).catch(() => {})
  const tooMuch = await connections.take()
  t.is(codeOf(await errors.take()), 'ERR_BUFFER_LIMIT')
  t.false(tooMuch.isActive)
  t.is((await peer.readToEnd()).length, 0)
  await kept.write(Buffer.alloc(300_000))
  const next = await connectPeer(t, { port })
  await next.write(Buffer.alloc(900_000))
  await arrived(await connections.take(), 900_000)
  t.is(errors.all.length, 1)
})

test('what a reader waits for counts, too, until it is read or nobody waits', async (t) => {
  const errors = new Inbox<unknown>()
  const options = { highWaterMark: 1_000, maxBufferedBytes: 1_000_000, onError: errors.push }
  const { port, connections } = await serveStream(t, options)
  const peer = await connectPeer(t, { port })
  const { reader } = await connections.take()
  const filled = reader.fill(3_000_000)
  void peer.write(Buffer.alloc(3_000_000)).catch(() => {})
  t.is(codeOf(await rejection(filled)), 'ERR_BUFFER_LIMIT')
  t.is(codeOf(await errors.take()), 'ERR_BUFFER_LIMIT')
})

test('onData that is set on a connection is called for what is there already', async (t) => {
  const { port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  await peer.write('abc')
  await arrived(connection, 3)
  connection.onData = echo
  t.is((await peer.read(3)).toString(), 'abc')
  connection.onData = ({ reader, writer }) => {
    writer.writeString(reader.readString(reader.length).toUpperCase())
    void writer.flush()
  }
  await peer.write('abc')
  t.is((await peer.read(3)).toString(), 'ABC')
})

test('onData of a dialed connection gets what the server sent first', async (t) => {
  const { port } = await serveStream(t, { onConnect: ({ writer }) => sendLine(writer, 'welcome') }, echo)
  const client = await dialStream(t, { port })
  const lines = new Inbox<string>()
  client.onData = ({ reader }) => void lines.push(reader.readString(reader.length))
  t.is(await lines.take(), 'welcome\n')
  await client.send('hello')
  t.is(await lines.take(), 'hello')
})

function sendLine(writer: Connection['writer'], line: string): void {
  writer.writeString(`${line}\n`)
  void writer.flush()
}

const halves = frames('first', '', pattern(40), 'last')

for (const [how, handler] of [
  ['parsed from what is there', parseWhatIsThere],
  ['waited for with fill', parseWithFill],
] as const) {
  test(`messages torn at any byte are put together: ${how}`, async (t) => {
    const { port, connections } = await serveStream(t, {}, handler)
    for (let offset = 0; offset <= halves.length; offset += 1) {
      const peer = await connectPeer(t, { port })
      await peer.write(halves.subarray(0, offset))
      await arrived(await connections.take(), offset)
      await peer.write(halves.subarray(offset))
      t.true((await peer.read(halves.length)).equals(halves), `torn at ${offset}`)
      peer.end()
      await peer.closed
    }
  })
}

function parseWhatIsThere(connection: Connection): void {
  for (const message of parse(connection)) void connection.send([frame(message)])
}

async function parseWithFill(connection: Connection): Promise<void> {
  const { reader, writer } = connection
  await reader.fill(4)
  const length = reader.readUint(4)
  await reader.fill(length)
  writer.writeUint(length, 4)
  writer.writeBinary(reader.next(length))
  await writer.flush()
}

test('lines torn at any byte, also within their ends, are found', async (t) => {
  const text = Buffer.from('one\r\n\r\ntwo\r\rthree\r\n')
  const { port, connections } = await serveStream(t, {}, async ({ reader, writer }) => {
    writer.writeBinary(reader.next(await reader.fillUntil('\r\n')))
    writer.writeString('|')
    await writer.flush()
  })
  for (let offset = 0; offset <= text.length; offset += 1) {
    const peer = await connectPeer(t, { port })
    await peer.write(text.subarray(0, offset))
    await arrived(await connections.take(), offset)
    await peer.write(text.subarray(offset))
    t.is((await peer.read(text.length + 3)).toString(), 'one\r\n|\r\n|two\r\rthree\r\n|', `torn at ${offset}`)
    peer.end()
    await peer.closed
  }
})

test('half a packet does not satisfy fill, the whole does', async (t) => {
  const { port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  const { reader } = connection
  const packet = pattern(16_384)
  await peer.write(packet.subarray(0, 8_192))
  await arrived(connection, 8_192)
  let filled = false
  const filling = reader.fill(packet.length).then(() => {
    filled = true
  })
  await quietTurns()
  t.false(filled)
  t.is(codeOf(t.throws(() => reader.next(packet.length))), 'ERR_NOT_ENOUGH_DATA')
  t.is(reader.length, 8_192)
  await peer.write(packet.subarray(8_192))
  await filling
  t.true(reader.next(packet.length).equals(packet))
})

test('a dialed connection reads what it waits for, a thousand times', async (t) => {
  const { port } = await serveStream(t, {}, echo)
  const client = await dialStream(t, { port })
  const message = pattern(256)
  for (let index = 0; index < 1_000; index += 1) {
    await client.send(message)
    await client.reader.fill(message.length)
    t.true(client.reader.next(message.length).equals(message))
  }
  t.deepEqual([client.bytesRead, client.bytesWritten], [256_000, 256_000])
})

test('what the peer sent before it closed can be read afterwards, then ERR_EOF', async (t) => {
  const { port, connections } = await serveStream(t, { onError: () => t.fail() })
  const peer = await connectPeer(t, { port })
  const { reader } = await connections.take()
  const message = pattern(256)
  const filling = reader.fill(message.length)
  await peer.write(message)
  peer.end()
  await filling
  await inactive(connections.all[0] as Connection)
  t.is(reader.length, message.length)
  t.is(codeOf(await rejection(reader.fill(message.length + 1))), 'ERR_EOF')
  t.is(reader.length, message.length, 'a fill that fails consumes nothing')
  t.true(reader.next(message.length).equals(message))
  t.is(codeOf(await rejection(reader.fill(1))), 'ERR_EOF')
  await reader.fill(0)
  t.is((await peer.readToEnd()).length, 0)
})

test('views stay as they are after their connection has gone', async (t) => {
  const { port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  const message = pattern(64)
  await peer.write(message)
  await connection.reader.fill(64)
  const peeked = connection.reader.peek(16)
  const copy = connection.reader.readBinary(64)
  connection.destroy()
  await new Promise<void>((resolve) => void connection.onClose(resolve))
  const others = await Promise.all(Array.from({ length: 20 }, () => connectPeer(t, { port })))
  await Promise.all(others.map((other) => other.write(Buffer.alloc(10_000, 1))))
  for (const { reader } of (await connections.reach(21)).slice(1)) await reader.fill(10_000)
  t.true(peeked.equals(message.subarray(0, 16)))
  t.true(copy.equals(message))
})

test('lines are read one after the other; the end within one is ERR_EOF and loses nothing', async (t) => {
  const { port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port })
  const { reader } = await connections.take()
  const line = Buffer.alloc(501)
  line[500] = 10
  const count = 20_000
  void peer.write(Buffer.concat(Array.from({ length: count }, () => line)))
  void peer.write(line.subarray(0, 100))
  peer.end()
  for (let index = 0; index < count; index += 1) {
    const length = await reader.fillUntil('\n')
    if (length !== 501) t.fail(`line ${index} has ${length} bytes`)
    reader.skip(length)
  }
  t.is(codeOf(await rejection(reader.fillUntil('\n'))), 'ERR_EOF')
  t.is(codeOf(t.throws(() => reader.until('\n'))), 'ERR_NOT_ENOUGH_DATA')
  t.is(reader.length, 100)
  t.true(reader.next(100).equals(line.subarray(0, 100)))
})

test('a delimiter that does not come within maxLength is refused', async (t) => {
  const { port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port })
  const { reader } = await connections.take()
  await peer.write('123456789')
  t.is(codeOf(await rejection(reader.fillUntil('\n', { maxLength: 9 }))), 'ERR_FRAME_TOO_LARGE')
  const finding = reader.fillUntil('\n', { maxLength: 10 })
  await peer.write('\n')
  t.is(await finding, 10)
  t.is(reader.until('\n').toString(), '123456789\n')
})

test('packets from 16 MiB down to a byte are read whole, one after the other', async (t) => {
  const { port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port })
  const { reader } = await connections.take()
  const sizes = Array.from({ length: 25 }, (_, power) => 2 ** (24 - power))
  for (const size of sizes) void peer.write(Buffer.alloc(size, size % 251))
  for (const size of sizes) {
    await reader.fill(size)
    t.true(reader.next(size).equals(Buffer.alloc(size, size % 251)), `${size} bytes`)
  }
  t.is(reader.length, 0)
})

test('64 MiB go through a reader that never holds more than highWaterMark and one read', async (t) => {
  const highWaterMark = 100_000
  const { port, connections } = await serveStream(t, { highWaterMark })
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  const { reader } = connection
  const piece = pattern(65_536)
  for (let index = 0; index < 1_024; index += 1) void peer.write(piece)
  let most = 0
  for (let index = 0; index < 1_024; index += 1) {
    await reader.fill(piece.length)
    if (index % 128 === 0) await quietTurns()
    most = Math.max(most, reader.length)
    if (!reader.next(piece.length).equals(piece)) t.fail(`piece ${index} has changed`)
  }
  t.is(reader.length, 0)
  t.true(most <= highWaterMark + 131_072, `${most} bytes were held`)
})

test('who reads nothing is sent no more than highWaterMark and one read', async (t) => {
  const { port, connections } = await serveStream(t, { highWaterMark: 100_000 })
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  const sent = pattern(5_000_000)
  void peer.write(sent)
  await arrived(connection, 100_000)
  await quietTurns()
  const { length } = connection.reader
  t.true(length >= 100_000 && length <= 100_000 + 131_072, `${length} bytes were read`)
  t.is(connection.bytesRead, length)
  await connection.reader.fill(sent.length)
  t.true(connection.reader.next(sent.length).equals(sent))
})

test('paused, a stream takes in nothing more, and after resume everything', async (t) => {
  const { port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  connection.pause()
  await peer.write('abc')
  await quietTurns()
  t.is(connection.reader.length, 0)
  connection.resume()
  await connection.reader.fill(3)
  t.is(connection.reader.readString(3), 'abc')
})

test('a second reader is refused with ERR_CONCURRENT_ACCESS, and the first goes on', async (t) => {
  const { port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  const { reader } = connection
  const first = reader.fill(3)
  t.is(codeOf(await rejection(reader.fill(1))), 'ERR_CONCURRENT_ACCESS')
  t.is(codeOf(await rejection(reader.fillUntil('x'))), 'ERR_CONCURRENT_ACCESS')
  t.is(codeOf(await rejection(connection[Symbol.asyncIterator]().next())), 'ERR_CONCURRENT_ACCESS')
  await peer.write('abc')
  await first
  t.is(reader.readString(3), 'abc')
  const pieces = connection[Symbol.asyncIterator]()
  const piece = pieces.next()
  t.is(codeOf(await rejection(connection[Symbol.asyncIterator]().next())), 'ERR_CONCURRENT_ACCESS')
  t.is(codeOf(await rejection(reader.fill(1))), 'ERR_CONCURRENT_ACCESS')
  await peer.write('d')
  t.is((await piece).value?.toString(), 'd')
})

test('one fill after another is no concurrent access, also from within onData', async (t) => {
  const { port } = await serveStream(t, {}, async ({ reader, writer }) => {
    await reader.fill(2)
    await reader.fill(4)
    writer.writeBinary(reader.next(4))
    await writer.flush()
  })
  const peer = await connectPeer(t, { port })
  await peer.write('a')
  await peer.write('bcdefgh')
  t.is((await peer.read(8)).toString(), 'abcdefgh')
})

test('whatever onData takes and however it waits, every byte comes once and in order', async (t) => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const random = new Random(seed)
    const sent = pattern(400_000, seed)
    let received = 0
    const done = deferred()
    const take = (reader: Connection['reader'], count: number): void => {
      if (!reader.next(count).equals(sent.subarray(received, received + count))) {
        t.fail(`seed ${seed}: the bytes after ${received} are wrong`)
      }
      received += count
      if (received === sent.length) done.resolve()
    }
    const { port } = await serveStream(
      t,
      { highWaterMark: 1 + random.below(20_000), onError: (error) => t.fail(String(error)) },
      ({ reader }) => {
        const rest = sent.length - received
        const kind = random.below(5)
        if (kind === 0) return take(reader, reader.length)
        if (kind === 1) return take(reader, 1 + random.below(reader.length))
        // Takes nothing; at the end nothing more would come.
        if (kind === 2) return rest === reader.length ? take(reader, rest) : undefined
        return (async () => {
          if (kind === 3) await nextTurn()
          const wanted = 1 + random.below(Math.min(rest, 50_000))
          await reader.fill(wanted)
          take(reader, wanted)
        })()
      },
    )
    const peer = await connectPeer(t, { port })
    for (let at = 0; at < sent.length; ) {
      const length = Math.min(1 + random.below(30_000), sent.length - at)
      await peer.write(sent.subarray(at, at + length))
      if (random.below(2) === 0) await nextTurn()
      at += length
    }
    await done.promise
    t.is(received, sent.length)
    peer.destroy()
  }
})

test('a handler that reads on at the end of its connection reports nothing', async (t) => {
  const errors = new Inbox<unknown>()
  const over = deferred<Error | undefined>()
  const { port } = await serveStream(
    t,
    { onError: errors.push, onDisconnect: (_connection, error) => over.resolve(error) },
    async ({ reader }) => {
      for (;;) {
        reader.skip(4)
        await reader.fill(4)
      }
    },
  )
  const peer = await connectPeer(t, { port })
  await peer.write('12345678')
  peer.socket.end()
  t.is(await over.promise, undefined)
  t.deepEqual(errors.all, [])
})
