import { type AddressInfo, createServer as createNetServer } from 'node:net'
import { type Duplex, PassThrough, Readable, Writable } from 'node:stream'
import test, { type ExecutionContext } from 'ava'

import { type Connection, type Reader, readerFrom, writerTo } from '../../dist/index.mjs'
import { pattern } from '../support/frames.mjs'
import { connectPeer } from '../support/netpoll.mjs'
import { Random } from '../support/random.mjs'
import { serveStream } from '../support/streams.mjs'

test('a reader over a stream gives its bytes, however they are torn, and its end', async (t) => {
  const random = new Random(1)
  const pieces = Array.from({ length: 300 }, () => random.bytes(50)).filter((piece) => piece.length > 0)
  const bytes = Buffer.concat(pieces)
  const reader = readerFrom(Readable.from(pieces))
  for (let at = 0; at < bytes.length; ) {
    const count = Math.min(random.below(120), bytes.length - at)
    await reader.fill(count)
    t.true(reader.next(count).equals(bytes.subarray(at, at + count)))
    at += count
  }
  await t.throwsAsync(reader.fill(1), { code: 'ERR_EOF' })
})

test('what had come before the end of a source can be read', async (t) => {
  const reader = readerFrom([Buffer.from('ab'), Buffer.from('c')])
  await t.throwsAsync(reader.fill(4), { code: 'ERR_EOF' })
  t.is(reader.readString(3), 'abc')
})

test('a source is asked for no more than somebody waits for', async (t) => {
  let given = 0
  function* endless(): Generator<Buffer> {
    for (;;) {
      given += 1
      yield Buffer.alloc(4096)
    }
  }
  const reader = readerFrom(endless())
  t.is(given, 0)
  await reader.fill(8192)
  t.is(reader.next(8192).length, 8192)
  t.is(given, 2)
  await reader.fill(1)
  t.is(reader.peek(4096).length, 4096)
  t.is(given, 3)
})

test("a source's own error reaches who waits, and who comes later", async (t) => {
  const failure = new Error('the source is broken')
  async function* broken(): AsyncGenerator<Buffer> {
    yield Buffer.from('a')
    throw failure
  }
  const reader = readerFrom(broken())
  t.is(await t.throwsAsync(reader.fill(2)), failure)
  t.is(await t.throwsAsync(reader.fill(2)), failure)
  t.is(reader.readString(1), 'a')
  const wrong = readerFrom(['text'] as unknown as Uint8Array[])
  await t.throwsAsync(wrong.fill(1), { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' })
})

/** Servers of half-open connections, each as a stream of Node.js. */
const streamServers: Readonly<
  Record<string, (t: ExecutionContext, served: (stream: Duplex) => void) => Promise<number>>
> = {
  'node:net': async (t, served) => {
    const server = createNetServer({ allowHalfOpen: true }, served)
    t.teardown(() => server.close())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return (server.address() as AddressInfo).port
  },
  toDuplex: async (t, served) => {
    const options = {
      allowHalfOpen: true,
      onConnect: (connection: Connection) => served(connection.toDuplex()),
    }
    return (await serveStream(t, options)).port
  },
}

for (const [name, serve] of Object.entries(streamServers)) {
  test(`the end of a reader leaves the writable side of a stream open: ${name}`, async (t) => {
    const failures: unknown[] = []
    const port = await serve(t, async (stream) => {
      stream.on('error', (error) => failures.push(error))
      const reader = readerFrom(stream)
      const writer = writerTo(stream)
      for (let count = 0; count < 2; count += 1) {
        await reader.fill(4)
        writer.writeString(`you said ${reader.readString(4)};`)
        // What is asked for last arrives with the end.
        if (count === 1) await t.throwsAsync(reader.fill(1), { code: 'ERR_EOF' })
        await writer.flush()
      }
      stream.end()
    })
    const peer = await connectPeer(t, { port })
    peer.socket.end('one.two.')
    t.is(String(await peer.readToEnd()), 'you said one.;you said two.;')
    await peer.closed
    t.deepEqual(failures, [])
  })
}

const readings: Readonly<Record<string, (reader: Reader) => unknown>> = {
  next: (reader) => reader.next(6),
  peek: (reader) => reader.peek(6),
  skip: (reader) => reader.skip(6),
  until: (reader) => reader.until('h'),
  indexOf: (reader) => reader.indexOf('zz'),
  readString: (reader) => reader.readString(6),
  readBinary: (reader) => reader.readBinary(6),
  readUint: (reader) => reader.readUint(6),
  peekUint: (reader) => reader.peekUint(3, 3),
  slice: (reader) => reader.slice(6),
}

for (const [method, read] of Object.entries(readings)) {
  test(`bytes that were transferred away are an error, and nothing else is read in their place: ${method}`, async (t) => {
    for (const taken of [0, 1]) {
      const pieces = ['abcd', 'efgh'].map((text) => new Uint8Array(Buffer.from(text)))
      const reader = readerFrom(pieces)
      await reader.fill(8)
      const buffer = (pieces[taken] as Uint8Array).buffer as ArrayBuffer
      structuredClone(buffer, { transfer: [buffer] })
      t.throws(() => read(reader), { code: 'ERR_BUFFER_DETACHED' }, `piece ${taken}`)
      t.is(reader.length, 8)
      if (taken === 1) t.is(reader.readString(4), 'abcd')
      t.throws(() => reader.readByte(), { code: 'ERR_BUFFER_DETACHED' })
      t.throws(() => reader.next(1), { code: 'ERR_BUFFER_DETACHED' })
      t.throws(() => reader.peekUint(1), { code: 'ERR_BUFFER_DETACHED' })
    }
  })
}

test('a writer to a stream writes everything in its order', async (t) => {
  const stream = new PassThrough()
  const writer = writerTo(stream)
  writer.writeString('what is written before, ')
  writer.writeDirect(Buffer.from('inserted, '))
  writer.writeString('and after')
  await writer.flush()
  t.is(writer.mallocLength, 0)
  writer.malloc(2).write(', ')
  writer.writeString('and again')
  await writer.flush()
  stream.end()
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  t.is(Buffer.concat(chunks).toString(), 'what is written before, inserted, and after, and again')
})

test('a flush to a slow stream waits until that takes more', async (t) => {
  const taken: Buffer[] = []
  const release: (() => void)[] = []
  const slow = new Writable({
    highWaterMark: 1,
    write(chunk: Buffer, _encoding, done) {
      taken.push(Buffer.from(chunk))
      release.push(done)
    },
  })
  const writer = writerTo(slow)
  const message = pattern(1000)
  writer.writeBinary(message)
  let isFlushed = false
  const flushed = writer.flush().then(() => {
    isFlushed = true
  })
  await new Promise(setImmediate)
  t.false(isFlushed)
  release.shift()?.()
  await flushed
  t.deepEqual(Buffer.concat(taken), message)
})

test('what a stream still holds does not change when the writer goes on', async (t) => {
  const held: Buffer[] = []
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      held.push(chunk)
      done()
    },
  })
  const writer = writerTo(stream)
  for (let round = 0; round < 100; round += 1) {
    writer.malloc(100).fill(round)
    await writer.flush()
  }
  t.true(held.every((chunk, round) => chunk.length === 100 && chunk.every((byte) => byte === round)))
})

test('a flush to a stream that is destroyed rejects, before and while it waits', async (t) => {
  const never = () => new Writable({ highWaterMark: 1, write: () => {} })
  const destroyed = never()
  const waiting = writerTo(destroyed)
  waiting.writeString('text')
  const flushed = waiting.flush()
  destroyed.destroy()
  await t.throwsAsync(flushed, { code: 'ERR_STREAM_PREMATURE_CLOSE' })
  waiting.writeString('later')
  await t.throwsAsync(waiting.flush())

  const failing = never()
  const failure = new Error('the disk is full')
  const told = writerTo(failing)
  told.writeString('text')
  const failed = told.flush()
  failing.destroy(failure)
  t.is(await t.throwsAsync(failed), failure)
  t.is(failing.listenerCount('drain'), 0)
})
