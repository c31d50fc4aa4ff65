import test from 'ava'

import type { Connection } from '../../../dist/index.mjs'
import { deferred, Inbox } from '../../support/deferred.mjs'
import { frame, frames, pattern } from '../../support/frames.mjs'
import { codeOf, connectPeer, dial, rejection, serve } from '../../support/netpoll.mjs'
import { arrived, dialStream, inactive, quietTurns, serveStream } from '../../support/streams.mjs'

test('pieces of a stream come in order, and end when the peer does', async (t) => {
  const sent = pattern(3_000_000)
  const received = deferred<Buffer>()
  const { port } = await serveStream(t, {
    highWaterMark: 50_000,
    onConnect: async (connection) => {
      const pieces: Buffer[] = []
      for await (const piece of connection) pieces.push(piece)
      received.resolve(Buffer.concat(pieces))
    },
  })
  const peer = await connectPeer(t, { port })
  void peer.write(sent)
  peer.end()
  t.true((await received.promise).equals(sent))
  t.is((await peer.readToEnd()).length, 0)
  t.is(await peer.closed, undefined)
})

test('leaving the loop over a stream leaves the connection open, and the next goes on', async (t) => {
  const { port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  await peer.write('abc')
  for await (const piece of connection) {
    t.is(piece.toString(), 'abc')
    break
  }
  t.true(connection.isActive)
  await peer.write('def')
  await connection.reader.fill(3)
  t.is(connection.reader.readString(1), 'd')
  for await (const piece of connection) {
    t.is(piece.toString(), 'ef')
    break
  }
  await connection.send('still open')
  t.is((await peer.read(10)).toString(), 'still open')
})

test('a loop over a stream throws what the connection failed with', async (t) => {
  const { port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  const pieces = connection[Symbol.asyncIterator]()
  await peer.write('abc')
  t.is((await pieces.next()).value?.toString(), 'abc')
  const next = pieces.next()
  peer.reset()
  t.is(codeOf(await rejection(next)), 'ECONNRESET')
})

test('a loop over a stream ends when the connection is closed here', async (t) => {
  const { port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  const next = connection[Symbol.asyncIterator]().next()
  void connection.close()
  t.true((await next).done)
  peer.end()
})

test('what came before the end is iterated over after it', async (t) => {
  const { port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  await peer.write('abc')
  peer.end()
  await inactive(connection)
  const pieces: string[] = []
  for await (const piece of connection) pieces.push(piece.toString())
  t.is(pieces.join(''), 'abc')
  t.is((await peer.readToEnd()).length, 0)
})

test('while somebody iterates onData is not called, and afterwards for what is left', async (t) => {
  const handled = new Inbox<string>()
  const { port, connections } = await serveStream(t, {}, ({ reader }) => {
    handled.push(reader.readString(reader.length))
  })
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  const pieces = connection[Symbol.asyncIterator]()
  const first = pieces.next()
  await peer.write('abc')
  t.is((await first).value?.toString(), 'abc')
  await peer.write('def')
  await arrived(connection, 6)
  await quietTurns()
  t.deepEqual(handled.all, [])
  await pieces.return()
  t.is(await handled.take(), 'def')
  await peer.write('ghi')
  t.is(await handled.take(), 'ghi')
})

test('a reader is iterated over as its connection is', async (t) => {
  const { port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  await peer.write('abc')
  peer.end()
  const pieces: string[] = []
  for await (const piece of connection.reader) pieces.push(piece.toString())
  t.is(pieces.join(''), 'abc')
})

test('messages are iterated over, one whole message each', async (t) => {
  const sent = Array.from({ length: 3_000 }, (_, index) => pattern(index, index + 1))
  const { port } = await serve(t, {
    maxInFlight: 10,
    onConnect: async (connection) => {
      for await (const message of connection) await connection.send(message)
    },
  })
  const peer = await connectPeer(t, { port })
  void peer.write(frames(...sent))
  const expected = frames(...sent)
  t.true((await peer.read(expected.length)).equals(expected))
  peer.end()
  t.is(await peer.closed, undefined)
})

test('messages wait in the loop’s queue while it is busy, no more of them than maxInFlight', async (t) => {
  const connections = new Inbox<Connection>()
  const { port } = await serve(t, { maxInFlight: 4, onConnect: (c) => void iterate(c) })
  const taken = new Inbox<string>()
  const steps = Array.from({ length: 100 }, () => deferred())
  const iterate = async (connection: Connection): Promise<void> => {
    connections.push(connection)
    for await (const message of connection) {
      taken.push(message.toString())
      await steps[taken.all.length - 1]?.promise
    }
  }
  const peer = await connectPeer(t, { port })
  const names = Array.from({ length: 100 }, (_, index) => `${index}`.padStart(20_000))
  void peer.write(frames(...names))
  t.is(await taken.take(), names[0] as string)
  await quietTurns()
  t.is(taken.all.length, 1)
  const { bytesRead } = await connections.take()
  t.true(bytesRead < 2_000_000, `${bytesRead} bytes were read although nobody takes them`)
  for (const step of steps) step.resolve()
  t.deepEqual(await taken.reach(100), names)
})

test('leaving the loop over messages leaves the connection open, and the next goes on', async (t) => {
  const ready = new Inbox<Connection>()
  const { port } = await serve(t, {
    onConnect: async (connection) => {
      for await (const message of connection) if (message.toString() === 'b') break
      ready.push(connection)
    },
  })
  const peer = await connectPeer(t, { port })
  await peer.write(frames('a', 'b', 'c'))
  const connection = await ready.take()
  t.true(connection.isActive)
  const rest: string[] = []
  for await (const message of connection) {
    rest.push(message.toString())
    if (rest.length === 2) break
    await peer.write(frame('d'))
  }
  t.deepEqual(rest, ['c', 'd'])
  await connection.send('e')
  t.deepEqual(await peer.read(5), frame('e'))
})

test('a loop within onConnect takes messages from the handler, which gets what the loop has left', async (t) => {
  const handled = new Inbox<string>()
  const { port } = await serve(
    t,
    {
      onConnect: async (connection) => {
        for await (const message of connection) {
          await connection.send(`hello ${message}`)
          break
        }
      },
    },
    (request) => {
      handled.push(request.toString())
      return request
    },
  )
  const peer = await connectPeer(t, { port })
  await peer.write(frames('a', 'b', 'c'))
  t.deepEqual(await peer.read(21), frames('hello a', 'b', 'c'))
  await peer.write(frame('d'))
  t.deepEqual(await peer.read(5), frame('d'))
  t.deepEqual(handled.all, ['b', 'c', 'd'])
})

test('a handler that is set after a loop gets what the loop has left, and everything after', async (t) => {
  const { port } = await serve(t, {
    onConnect: (connection) => {
      for (const text of ['a', 'b', 'c']) void connection.send(text)
    },
    onRequest: (request) => request,
  })
  const client = await dial(t, { port })
  const messages = client[Symbol.asyncIterator]()
  t.is((await messages.next()).value?.toString(), 'a')
  const handled = new Inbox<string>()
  client.onRequest = (message) => handled.push(message.toString())
  await quietTurns()
  t.deepEqual(handled.all, [], 'somebody still iterates')
  await messages.return(undefined)
  t.deepEqual(await handled.reach(2), ['b', 'c'])
  await client.send('d')
  t.deepEqual(await handled.reach(3), ['b', 'c', 'd'])
})

test('a loop that begins after the end has come ends', async (t) => {
  const { port } = await serve(t, {}, () => 'reply')
  const client = await dial(t, { port }, { onRequest: () => {} })
  await client.close()
  t.true((await client[Symbol.asyncIterator]().next()).done)
})

test('a loop over messages throws what the connection failed with, after the messages before', async (t) => {
  const connections = new Inbox<Connection>()
  const { port } = await serve(t, { onPrepare: (c) => void connections.push(c), onError: () => {} })
  const peer = await connectPeer(t, { port })
  const messages = (await connections.take())[Symbol.asyncIterator]()
  const first = messages.next()
  await peer.write(frame('a'))
  t.is((await first).value?.toString(), 'a')
  const next = messages.next()
  peer.reset()
  t.is(codeOf(await rejection(next)), 'ECONNRESET')
})

test('a peer that ends within a message fails the loop over messages', async (t) => {
  const connections = new Inbox<Connection>()
  const { port } = await serve(t, { onPrepare: (c) => void connections.push(c), onError: () => {} })
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  const messages = connection[Symbol.asyncIterator]()
  await peer.write(Buffer.concat([frame('a'), frame('abc').subarray(0, 6)]))
  t.is((await messages.next()).value?.toString(), 'a')
  await arrived(connection, 11)
  const next = messages.next()
  peer.end()
  t.is(codeOf(await rejection(next)), 'ERR_EOF')
})

test('two that wait for the next message at once: the second gets ERR_CONCURRENT_ACCESS', async (t) => {
  const connections = new Inbox<Connection>()
  const { port } = await serve(t, { onPrepare: (c) => void connections.push(c) })
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  const first = connection[Symbol.asyncIterator]().next()
  t.is(codeOf(await rejection(connection[Symbol.asyncIterator]().next())), 'ERR_CONCURRENT_ACCESS')
  await peer.write(frame('a'))
  t.is((await first).value?.toString(), 'a')
})

test('an iterator that is asked for within onConnect gets the messages, whenever it is first used', async (t) => {
  const iterators = new Inbox<AsyncGenerator<Buffer>>()
  const { port } = await serve(t, { onConnect: (c) => void iterators.push(c[Symbol.asyncIterator]()) })
  const peer = await connectPeer(t, { port })
  await peer.write(frame('a'))
  const messages = await iterators.take()
  await quietTurns()
  t.is((await messages.next()).value?.toString(), 'a')
})

test('a dialed connection is iterated over, what the server sent at once included', async (t) => {
  const { port } = await serve(t, {
    onConnect: async (connection) => {
      for (let index = 0; index < 100; index += 1) await connection.send(`${index}`)
      await connection.close()
    },
  })
  const received: string[] = []
  for await (const message of await dial(t, { port })) received.push(message.toString())
  t.deepEqual(
    received,
    Array.from({ length: 100 }, (_, index) => `${index}`),
  )
  const stream = await serveStream(t, { onConnect: async (c) => c.send('abc').then(() => c.close()) })
  const pieces: Buffer[] = []
  for await (const piece of await dialStream(t, { port: stream.port })) pieces.push(piece)
  t.is(Buffer.concat(pieces).toString(), 'abc')
})

test('a handler that means nothing to its connection is refused, and changes nothing', async (t) => {
  const framed = await serve(t, {}, (request) => request)
  const client = await dial(t, { port: framed.port })
  t.throws(() => (client.onData = () => {}), { instanceOf: TypeError, code: 'ERR_INVALID_ARG_VALUE' })
  t.throws(() => (client.onRequest = 'x' as never), { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' })
  t.is(client.onRequest, undefined)
  client.onData = undefined
  const streams = await serveStream(t)
  const stream = await dialStream(t, { port: streams.port })
  t.throws(() => (stream.onRequest = () => 'x'), { instanceOf: TypeError, code: 'ERR_INVALID_ARG_VALUE' })
  t.throws(() => (stream.onData = null as never), { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' })
  t.throws(() => stream.onClose(undefined as never), { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' })
  t.true(stream.isActive)
})

test('a stream has no messages to call for, and a framed connection no reader', async (t) => {
  const framed = await serve(t, {}, (request) => request)
  const client = await dial(t, { port: framed.port })
  t.is(codeOf(t.throws(() => client.reader)), 'ERR_UNSUPPORTED')
  const streams = await serveStream(t)
  const stream = await dialStream(t, { port: streams.port })
  t.is(codeOf(await rejection(stream.call('x'))), 'ERR_UNSUPPORTED')
})
