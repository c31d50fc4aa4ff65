import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { connect, Socket } from 'node:net'
import test from 'ava'

import { type Connection, createServer, Dialer } from '../../dist/index.mjs'
import { Inbox } from '../support/deferred.mjs'
import { placeOf } from '../support/listeners.mjs'
import { codeOf, connectPeer, gone, rejection, targetOf } from '../support/netpoll.mjs'
import { dialStream, quietTurns, serveStream } from '../support/streams.mjs'

function echo({ reader, writer }: Connection): void {
  writer.writeBinary(reader.next(reader.length))
  void writer.flush()
}

test('a detached connection is over, and its socket goes on elsewhere', async (t) => {
  const { port } = await serveStream(t, {}, echo)
  const events = new Inbox<string>()
  const client = await dialStream(
    t,
    { port },
    {
      onDisconnect: (_connection, error) => events.push(`disconnect ${codeOf(error)}`),
      onError: () => t.fail(),
    },
  )
  await client.send('abc')
  await client.reader.fill(3)
  client.onClose(() => events.push('callback'))
  const reading = rejection(client.reader.fill(4))
  const fd = client.detach()
  t.is(codeOf(await reading), 'ERR_CONN_CLOSED')
  t.false(client.isActive)
  t.deepEqual([client.bytesRead, client.bytesWritten], [3, 3])
  t.is(client.reader.readString(3), 'abc')
  t.is(codeOf(await rejection(client.send('x'))), 'ERR_CONN_CLOSED')
  t.is(codeOf(t.throws(() => client.detach())), 'ERR_CONN_CLOSED')
  await client.close()
  await quietTurns()
  t.deepEqual(events.all, ['disconnect undefined', 'callback'])
  const socket = new Socket({ fd, readable: true, writable: true })
  const received = new Promise<Buffer>((resolve) => void socket.once('data', resolve))
  socket.write('def')
  t.is((await received).toString(), 'def')
  socket.destroy()
})

test('a descriptor that an accepted connection gave away becomes a connection of a dialer', async (t) => {
  const { port, connections, server } = await serveStream(t)
  const peer = await connectPeer(t, { port })
  const accepted = await connections.take()
  await peer.write('abc')
  await accepted.reader.fill(3)
  const connection = await new Dialer({ onData: echo }).fromFd(accepted.detach())
  t.teardown(() => gone(connection))
  t.is(server.stats().connections, 0)
  t.is(connection.remoteAddress !== undefined, true)
  await peer.write('def')
  t.is((await peer.read(3)).toString(), 'def', 'what was read before belongs to the old one')
  await server.close()
  await peer.write('ghi')
  t.is((await peer.read(3)).toString(), 'ghi')
  peer.end()
  t.is((await peer.readToEnd()).length, 0)
})

for (const hook of ['onPrepare', 'onConnect'] as const) {
  test(`a connection that is given away within ${hook} has its close callbacks called once`, async (t) => {
    const events = new Inbox<string>()
    const detach = (connection: Connection): void => {
      new Socket({ fd: connection.detach(), readable: true, writable: true }).end('by other means')
      events.push('detached')
    }
    const { port } = await serveStream(t, {
      onPrepare: (connection) => {
        connection.onClose(() => events.push('closed'))
        if (hook === 'onPrepare') detach(connection)
      },
      ...(hook === 'onConnect' && { onConnect: detach }),
      onError: () => t.fail(),
    })
    const peer = await connectPeer(t, { port })
    t.is((await peer.readToEnd()).toString(), 'by other means')
    await events.reach(2)
    await quietTurns()
    t.deepEqual(events.all, ['detached', 'closed'])
  })
}

test('a connection whose bytes wait to be sent is not given away', async (t) => {
  const { port, connections } = await serveStream(t)
  const peer = await connectPeer(t, { port }, { reading: false })
  const connection = await connections.take()
  const sent = Buffer.alloc(20_000_000, 1)
  const sending = connection.send(sent)
  await quietTurns()
  t.is(codeOf(t.throws(() => connection.detach())), 'EAGAIN')
  t.true((await peer.read(sent.length)).equals(sent))
  await sending
  while (connection.bytesWritten < sent.length) await quietTurns()
  closeSync(connection.detach())
  t.is((await peer.readToEnd()).length, 0)
})

test('what is no connected stream socket is refused, and left as it is', async (t) => {
  const dialer = new Dialer()
  for (const fd of [-1, 1.5, '1' as unknown as number]) {
    t.true((await rejection(dialer.fromFd(fd))) instanceof TypeError)
  }
  const file = openSync('/dev/null', 'r')
  t.is(codeOf(await rejection(dialer.fromFd(file))), 'ENOTSOCK')
  closeSync(file)
  t.is(codeOf(await rejection(dialer.fromFd(file))), 'EBADF')
})

for (const pollers of [0, 1, 2]) {
  for (const transport of ['tcp', 'unix'] as const) {
    for (const writes of [false, true]) {
      const what = writes ? 'a late write fails a stream' : 'a stream ends in order'
      const where = `${pollers} pollers, ${transport}`
      test(`${what} whose peer had ended before the stream was there: ${where}`, async (t) => {
        const connections = new Inbox<Connection>()
        const server = createServer({ allowHalfOpen: true, onConnect: connections.push })
        t.teardown(() => server.close({ timeout: 0 }))
        await server.listen(placeOf(t, transport))
        const peer = connect({ ...targetOf(server), allowHalfOpen: true })
        t.teardown(() => peer.destroy())
        const connection = await connections.take()
        await once(peer.end(), 'finish')
        const seen = new Inbox<string>()
        const closed = new Promise<void>((resolve) => {
          const listen = (given: Connection): void => {
            const stream = given.toDuplex().resume()
            stream.on('finish', () => seen.push('finish'))
            stream.on('error', (error) => seen.push(`error ${codeOf(error)}`))
            stream.on('close', (hadError: boolean) => seen.push(`close ${hadError}`)).on('close', resolve)
            const write = (): unknown =>
              stream.write('late', (error) => seen.push(`written ${codeOf(error)}`))
            // Once the ticks are done, in the same turn, by which our direction has ended with the peer's.
            if (writes) stream.once('end', () => process.nextTick(() => queueMicrotask(write)))
          }
          void new Dialer({ pollers, onPrepare: listen }).fromFd(connection.detach()).catch(() => {})
        })
        await closed
        t.deepEqual(
          seen.all,
          writes ? ['written EPIPE', 'error EPIPE', 'close true'] : ['finish', 'close false'],
        )
      })
    }
  }
}
