import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer as createNetServer, type Socket } from 'node:net'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

import test, { type ExecutionContext } from 'ava'

import {
  type Connection,
  ConnectionDuplex,
  createServer,
  type StreamServerOptions,
} from '../../../dist/index.mjs'
import { deferred, Inbox, nextTurn } from '../../support/deferred.mjs'
import { pattern } from '../../support/frames.mjs'
import { codeOf, connectPeer, dial, serve } from '../../support/netpoll.mjs'
import type { Peer } from '../../support/peer.mjs'
import { arrived, dialStream, inactive, quietTurns, serveStream } from '../../support/streams.mjs'

/** Both ends of a connection: a stream of the server's, and a peer by `node:net`. */
async function pair(
  t: ExecutionContext,
  options: StreamServerOptions = {},
): Promise<{ readonly duplex: ConnectionDuplex; readonly connection: Connection; readonly peer: Peer }> {
  const { port, connections } = await serveStream(t, options)
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  return { duplex: connection.toDuplex(), connection, peer }
}

/** The events of `names`, in order, with the code of an error or the arguments. */
function record(duplex: ConnectionDuplex, names: readonly string[]): Inbox<string> {
  const events = new Inbox<string>()
  for (const name of names) {
    duplex.on(name, (...values: unknown[]) => {
      const [value] = values
      const detail = value instanceof Error ? codeOf(value) : value
      events.push(detail === undefined ? name : `${name} ${String(detail)}`)
    })
  }
  return events
}

const lifeEvents = ['end', 'finish', 'error', 'close']

test('a connection with a framing is no stream', async (t) => {
  const { port } = await serve(t, {}, () => undefined)
  const connection = await dial(t, { port })
  t.throws(() => connection.toDuplex(), { code: 'ERR_UNSUPPORTED' })
})

test('asked twice, it is the same stream, and nobody else reads', async (t) => {
  const { duplex, connection, peer } = await pair(t)
  t.is(connection.toDuplex(), duplex)
  t.true(duplex instanceof ConnectionDuplex)
  const { reader } = connection
  const readings = [
    () => connection[Symbol.asyncIterator]().next(),
    () => reader[Symbol.asyncIterator]().next(),
    () => reader.fill(1),
    () => reader.fillUntil('.'),
  ]
  for (const read of readings) await t.throwsAsync(read, { code: 'ERR_CONCURRENT_ACCESS' })
  await peer.write('for the stream')
  const [bytes] = (await once(duplex, 'data')) as [Buffer]
  t.is(bytes.toString(), 'for the stream')
})

test('whoever waits in the reader keeps the stream from being taken over', async (t) => {
  const { port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  const filled = connection.reader.fill(3)
  t.throws(() => connection.toDuplex(), { code: 'ERR_CONCURRENT_ACCESS' })
  await peer.write('abc')
  await filled
  const duplex = connection.toDuplex()
  t.is(String(duplex.read()), 'abc')
})

test('a connection that was closed here becomes no stream', async (t) => {
  const { port, connections } = await serveStream(t)
  await connectPeer(t, { port })
  const connection = await connections.take()
  connection.destroy()
  t.throws(() => connection.toDuplex(), { code: 'ERR_CONN_CLOSED' })
})

test('what arrived before the peer ended can still be read', async (t) => {
  const { port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  await peer.write('last words')
  await arrived(connection, 10)
  peer.end()
  await inactive(connection)
  const duplex = connection.toDuplex()
  const events = record(duplex, lifeEvents)
  const pieces: Buffer[] = []
  duplex.on('data', (piece: Buffer) => pieces.push(piece))
  t.deepEqual(await events.reach(3), ['end', 'finish', 'close false'])
  t.is(Buffer.concat(pieces).toString(), 'last words')
})

test('a connection that has failed becomes a stream that says so', async (t) => {
  const { port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port })
  const connection = await connections.take()
  const gone = deferred()
  connection.onClose(gone.resolve)
  await peer.write('unread')
  await arrived(connection, 6)
  peer.reset()
  await gone.promise
  const events = record(connection.toDuplex(), lifeEvents)
  t.deepEqual(await events.reach(2), ['error ECONNRESET', 'close true'])
})

test('a write that waits when its connection goes learns it, although what has arrived was not read', async (t) => {
  const { server, port, connections } = await serveStream(t, { allowHalfOpen: true })
  const peer = await connectPeer(t, { port }, { reading: false })
  const connection = await connections.take()
  const duplex = connection.toDuplex()
  await peer.write('unread')
  peer.end()
  const state = duplex as unknown as { readonly _readableState: { readonly ended: boolean } }
  while (!state._readableState.ended) await nextTurn()
  const failed = once(duplex, 'error')
  const written = new Promise((resolve) => duplex.write(Buffer.alloc(50_000_000), resolve))
  while (!connection.isCongested) await nextTurn()
  void server.close({ timeout: 0 })
  t.is(codeOf(await written), 'EPIPE')
  t.is(codeOf((await failed)[0]), 'EPIPE')
})

test('without allowHalfOpen the stream ends when its peer does, with what was written before', async (t) => {
  const { duplex, peer } = await pair(t)
  const events = record(duplex, lifeEvents)
  const answer = pattern(3_000_000, 1)
  duplex.write(answer)
  duplex.resume()
  peer.end()
  t.true((await peer.readToEnd()).equals(answer))
  t.deepEqual(await events.reach(3), ['end', 'finish', 'close false'])
})

test('with allowHalfOpen the stream goes on after its peer has ended', async (t) => {
  const { duplex, peer } = await pair(t, { allowHalfOpen: true })
  const events = record(duplex, lifeEvents)
  duplex.resume()
  peer.end()
  t.is(await events.take(), 'end')
  await quietTurns()
  t.is(duplex.readyState, 'writeOnly')
  duplex.write('still ')
  duplex.end('here')
  t.is((await peer.readToEnd()).toString(), 'still here')
  t.deepEqual(await events.reach(3), ['end', 'finish', 'close false'])
  t.is(duplex.readyState, 'closed')
})

test('ending leaves the peer time to send', async (t) => {
  const { duplex, peer } = await pair(t)
  const events = record(duplex, lifeEvents)
  duplex.end('over to you')
  t.is((await peer.readToEnd()).toString(), 'over to you')
  t.is(duplex.readyState, 'readOnly')
  await peer.write('thanks')
  peer.end()
  const pieces: Buffer[] = []
  for await (const piece of duplex) pieces.push(piece)
  t.is(Buffer.concat(pieces).toString(), 'thanks')
  t.deepEqual(await events.reach(3), ['finish', 'end', 'close false'])
})

test('a write after the end is an error of the stream', async (t) => {
  const { duplex } = await pair(t)
  const events = record(duplex, lifeEvents)
  duplex.end()
  duplex.write('late')
  t.is(await events.take(), 'error ERR_STREAM_WRITE_AFTER_END')
})

test('a reset by the peer is ECONNRESET', async (t) => {
  const { duplex, peer } = await pair(t)
  const events = record(duplex, lifeEvents)
  duplex.resume()
  peer.reset()
  t.deepEqual(await events.reach(2), ['error ECONNRESET', 'close true'])
})

test('resetAndDestroy resets the peer', async (t) => {
  const { duplex, peer } = await pair(t)
  const events = record(duplex, lifeEvents)
  duplex.resetAndDestroy()
  t.is(codeOf(await peer.closed), 'ECONNRESET')
  t.deepEqual(await events.reach(1), ['close false'])
})

test('destroyed with an error before anything came, it says so once', async (t) => {
  const { duplex, connection, peer } = await pair(t)
  const events = record(duplex, lifeEvents)
  const gone = deferred()
  connection.onClose(gone.resolve)
  duplex.destroy(Object.assign(new Error('enough'), { code: 'ENOUGH' }))
  await gone.promise
  await peer.readToEnd()
  t.deepEqual(await events.reach(2), ['error ENOUGH', 'close true'])
})

test('what was written right before destroy leaves, as far as the system takes it', async (t) => {
  const { duplex, peer } = await pair(t)
  duplex.write('HTTP/1.1 400 Bad Request\r\n\r\n')
  duplex.destroy()
  t.is((await peer.readToEnd()).toString(), 'HTTP/1.1 400 Bad Request\r\n\r\n')
})

test('destroySoon sends everything first, however slow the peer', async (t) => {
  const { port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port }, { reading: false })
  const duplex = (await connections.take()).toDuplex()
  const bytes = pattern(5_000_000, 2)
  duplex.write(bytes)
  duplex.destroySoon()
  await quietTurns()
  t.false(duplex.destroyed)
  t.true((await peer.readToEnd()).equals(bytes))
  peer.end()
  await once(duplex, 'close')
})

test('a write whose peer reads nothing gets its error when the stream is destroyed', async (t) => {
  const { port, connections } = await serveStream(t)
  await connectPeer(t, { port }, { reading: false })
  const duplex = (await connections.take()).toDuplex()
  const failed = deferred<unknown>()
  duplex.write(pattern(20_000_000, 3), failed.resolve)
  await quietTurns()
  duplex.destroy()
  t.is(codeOf(await failed.promise), 'ECANCELED')
})

test('timeout is emitted once for a silence, and the connection stays', async (t) => {
  const { duplex, peer } = await pair(t)
  const silences = new Inbox<number>()
  duplex.setTimeout(20, () => silences.push(duplex.timeout ?? 0))
  t.is(await silences.take(), 20)
  duplex.on('timeout', () => silences.push(-1))
  duplex.resume()
  await peer.write('a')
  t.is(await silences.take(), -1)
  duplex.setTimeout(0)
  duplex.write('b')
  t.is((await peer.read(1)).toString(), 'b')
  t.false(duplex.destroyed)
  t.throws(() => duplex.setTimeout(-1), { code: 'ERR_OUT_OF_RANGE' })
  t.throws(() => duplex.setTimeout('1' as never), { code: 'ERR_INVALID_ARG_TYPE' })
})

test('it has the members of a socket', async (t) => {
  const { duplex, peer } = await pair(t)
  const { socket } = peer
  t.deepEqual(
    [duplex.remoteAddress, duplex.remotePort, duplex.remoteFamily],
    [socket.localAddress, socket.localPort, socket.localFamily as 'IPv4'],
  )
  t.deepEqual(duplex.address(), {
    address: socket.remoteAddress ?? '',
    port: socket.remotePort ?? 0,
    family: 'IPv4',
  })
  t.deepEqual(
    [duplex.localAddress, duplex.localPort, duplex.localFamily],
    ['127.0.0.1', socket.remotePort, 'IPv4'],
  )
  t.deepEqual(
    [duplex.connecting, duplex.pending, duplex.readyState, duplex.bufferSize],
    [false, false, 'open', 0],
  )
  t.is(
    duplex.setNoDelay().setNoDelay(false).setKeepAlive(true).setKeepAlive(true, 3_500).setKeepAlive(),
    duplex,
  )
  t.is(duplex.unref().ref(), duplex)
  duplex.cork()
  duplex.write('häß', 'latin1')
  duplex.write('häß')
  duplex.write('686578', 'hex')
  duplex.write(Buffer.from('!'))
  duplex.uncork()
  t.is(duplex.bytesWritten, 3 + 5 + 3 + 1)
  const expected = Buffer.concat([Buffer.from('häß', 'latin1'), Buffer.from('häßhex!')])
  t.true((await peer.read(12)).equals(expected))
  await peer.write('1234')
  await once(duplex, 'readable')
  t.is(duplex.bytesRead, 4)
})

test('nothing is read while it is paused, and everything comes after', async (t) => {
  const { duplex, connection, peer } = await pair(t)
  const bytes = pattern(20_000_000, 4)
  void peer.write(bytes).then(() => peer.end())
  duplex.pause()
  await once(duplex, 'readable')
  await quietTurns()
  t.true(connection.bytesRead < 4_000_000)
  const pieces: Buffer[] = []
  for await (const piece of duplex) pieces.push(piece)
  t.true(Buffer.concat(pieces).equals(bytes))
})

test('fifty megabytes go both ways at once', async (t) => {
  const size = 50_000_000
  const { port, connections } = await serveStream(t, { allowHalfOpen: true })
  const client = (await dialStream(t, { port }, { allowHalfOpen: true })).toDuplex()
  const server = (await connections.take()).toDuplex()
  const block = randomBytes(1_000_003)
  const transfer = async (from: ConnectionDuplex, to: ConnectionDuplex): Promise<void> => {
    const [sent, received] = [createHash('sha256'), createHash('sha256')]
    function* source(): Generator<Buffer> {
      for (let left = size; left > 0; left -= block.length) {
        const piece = block.subarray(0, Math.min(left, block.length))
        sent.update(piece)
        yield piece
      }
    }
    const sink = new Writable({
      write(piece: Buffer, _encoding, done) {
        received.update(piece)
        done()
      },
    })
    await Promise.all([pipeline(Readable.from(source()), from), pipeline(to, sink)])
    t.is(received.digest('hex'), sent.digest('hex'))
  }
  await Promise.all([transfer(client, server), transfer(server, client)])
  t.is(client.bytesRead, size)
  t.is(client.bytesWritten, size)
})

test.serial('a listener that throws is uncaught, and another connection of the turn is served', async (t) => {
  const { port, connections } = await serveStream(t)
  const [one, other] = [await connectPeer(t, { port }), await connectPeer(t, { port })]
  const [first, second] = [(await connections.take()).toDuplex(), (await connections.take()).toDuplex()]
  const uncaught = deferred<unknown>()
  const before = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.once('uncaughtException', uncaught.resolve)
  t.teardown(() => {
    for (const listener of before) process.on('uncaughtException', listener)
  })
  const failure = new Error('thrown by a listener')
  for (const duplex of [first, second]) {
    duplex.once('data', () => {
      duplex.write('seen')
      if (duplex === first) throw failure
    })
  }
  await Promise.all([one.write('a'), other.write('b')])
  for (const peer of [one, other]) t.is((await peer.read(4)).toString(), 'seen')
  t.is(await uncaught.promise, failure)
})

test('closing a server waits for its streams, and goes on reading them', async (t) => {
  const { port, connections, server } = await serveStream(t)
  const peer = await connectPeer(t, { port })
  const duplex = (await connections.take()).toDuplex()
  const closed = server.close()
  await peer.write('a question')
  const [question] = (await once(duplex, 'data')) as [Buffer]
  duplex.end(`answer to ${question.toString()}`)
  t.is((await peer.readToEnd()).toString(), 'answer to a question')
  peer.end()
  await closed
  t.is(server.stats().connections, 0)
})

test('closing a server by force destroys its streams', async (t) => {
  const server = createServer({
    onConnect: (connection) => events.push(record(connection.toDuplex(), lifeEvents)),
  })
  const events = new Inbox<Inbox<string>>()
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  await connectPeer(t, { port: address.port })
  const stream = await events.take()
  await server.close({ timeout: 0 })
  t.is(await stream.take(), 'close false')
})

test('streams of both kinds behave alike at the end', async (t) => {
  const sockets = new Inbox<Socket>()
  const plain = createNetServer(sockets.push)
  t.teardown(() => plain.close())
  await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve))
  const address = plain.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const duplex = (await dialStream(t, { port: address.port })).toDuplex()
  const socket = await sockets.take()
  const socketEvents = new Inbox<string>()
  for (const name of lifeEvents) socket.on(name, (value) => socketEvents.push(`${name} ${String(value)}`))
  const events = record(duplex, lifeEvents)
  socket.resume()
  duplex.resume()
  duplex.end('bye')
  t.deepEqual(await socketEvents.reach(3), ['end undefined', 'finish undefined', 'close false'])
  t.deepEqual(await events.reach(3), ['finish', 'end', 'close false'])
})
