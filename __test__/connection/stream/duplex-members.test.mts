// What Node's own tests of `net` have found, asked at every place beside `node:net`.

import { once } from 'node:events'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'

import { ConnectionDuplex, DialedSocket } from '../../../dist/index.mjs'
import { netServerAt } from '../../support/listeners.mjs'
import { places, words } from '../../support/places.mjs'
import { kindsAt, kindWords, socketAt } from '../../support/socket-kinds.mjs'

/** Called as a socket of `node:net`. */
const newSocket = (): Socket => new DialedSocket() as unknown as Socket

for (const place of places) {
  for (const kind of ['net', ...kindsAt(place)] as const) {
    const name = kind === 'net' ? ', of node:net' : kindWords(kind)
    test(`bytesRead counts what its listener was given, ${words(place)}${name}`, async (t) => {
      const { socket, peer } = await socketAt(t, kind, place)
      const length = 4_000_000
      peer.end(Buffer.alloc(length))
      let given = 0
      const counts: number[] = []
      socket.on('data', (bytes: Buffer) => {
        given += bytes.length
        counts.push(socket.bytesRead - given)
      })
      await once(socket, 'end')
      t.deepEqual(new Set(counts), new Set([0]))
      t.is(socket.bytesRead, length)
      socket.destroy()
      await once(socket, 'close')
      t.is(socket.bytesRead, length)
    })
  }
}

/** The getters of a class, its own and inherited, up to those of streams. */
function getters(prototype: object): string[] {
  if (!(prototype instanceof ConnectionDuplex) && prototype !== ConnectionDuplex.prototype) {
    const { constructor: type } = prototype
    if (!['StreamDuplex', 'SocketDuplex'].includes(type.name)) return []
  }
  const own = Object.entries(Object.getOwnPropertyDescriptors(prototype))
  const names = own.filter(([, { get }]) => get !== undefined).map(([name]) => name)
  return [...names, ...getters(Object.getPrototypeOf(prototype) as object)]
}

for (const type of [ConnectionDuplex, DialedSocket]) {
  test(`members of ${type.name} can be read of its prototype, as those of net.Socket can`, (t) => {
    const names = [...new Set(getters(type.prototype))]
    t.true(names.length > 10, names.join())
    for (const name of names) {
      if (name === 'connection')
        t.throws(() => Reflect.get(type.prototype, name), { code: 'ERR_CONN_CLOSED' })
      else t.notThrows(() => Reflect.get(type.prototype, name), name)
    }
    t.is(type.prototype.bytesWritten, Socket.prototype.bytesWritten)
  })
}

for (const [kind, make] of [
  ['netpoll', newSocket],
  ['net', () => new Socket()],
] as const) {
  test(`reset without a connection, it says that it is closed, of ${kind}`, async (t) => {
    const socket = make()
    t.is(socket.resetAndDestroy(), socket)
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
    t.like(error, { code: 'ERR_SOCKET_CLOSED', name: 'Error', message: 'Socket is closed' })
    t.true(socket.destroyed)
    // Once more changes nothing.
    socket.resetAndDestroy()
  })

  test(`reset while it connects, it resets its peer, of ${kind}`, async (t) => {
    const { target, sockets } = await netServerAt(t, 'tcp')
    const socket = make().connect(target as never)
    socket.resetAndDestroy()
    const peer = await sockets.take()
    const [error] = (await once(peer, 'error')) as [NodeJS.ErrnoException]
    t.is(error.code, 'ECONNRESET')
    if (!socket.closed) await once(socket, 'close')
    t.true(socket.destroyed)
  })

  test(`silence without a connection is told, of ${kind}`, async (t) => {
    const socket = make()
    socket.setTimeout(1)
    // What waits keeps no process, so something else has to.
    const kept = setInterval(() => {}, 1_000)
    t.teardown(() => clearInterval(kept))
    await once(socket, 'timeout')
    t.is(socket.timeout, 1)
    socket.setTimeout(0)
    socket.destroy()
  })
}

test('ended without a connection, it has ended', async (t) => {
  const socket = newSocket()
  await new Promise<void>((resolve) => socket.end(resolve))
  t.false(socket.writable)
  t.true(socket.writableFinished)
  socket.destroy()
})

test('silence is not told of a socket that was destroyed before', async (t) => {
  // The timers of sockets keep no process alive, and other tests may have ended.
  const alive = setInterval(() => {}, 60_000)
  t.teardown(() => clearInterval(alive))
  const socket = newSocket()
  socket.on('timeout', () => t.fail())
  socket.setTimeout(1)
  socket.destroy()
  socket.setTimeout(1)
  await once(socket, 'close')
  // One that lives is told of as much silence, from now on.
  const other = newSocket()
  other.setTimeout(1)
  await once(other, 'timeout')
  other.destroy()
  t.pass()
})

for (const transport of ['tcp', 'unix'] as const) {
  test(`an end from before it connects reaches the peer, over ${transport}`, async (t) => {
    const { target, sockets } = await netServerAt(t, transport, { allowHalfOpen: true })
    const socket = newSocket()
    await new Promise<void>((resolve) => socket.end(resolve))
    socket.connect(target as never)
    socket.resume()
    const peer = await sockets.take()
    peer.resume()
    await once(peer, 'end')
    peer.end('answer')
    await once(socket, 'close')
    t.is(socket.bytesRead, 6)
  })
}

for (const [what, target] of [
  ['port 0', { host: '127.0.0.1', port: 0 }],
  ['port 0, as text', { host: '127.0.0.1', port: '0' }],
  ['port 0 of a name', { host: 'somewhere', port: 0, lookup: lookUp }],
] as const) {
  test(`it fails to connect as a socket of node:net: ${what}`, async (t) => {
    const errors = [new Socket(), newSocket()].map(async (socket) => {
      socket.connect(target as never)
      const [error] = (await once(socket, 'error')) as [Error]
      const { name, message } = error
      return { ...error, name, message }
    })
    const [nodes, ours] = await Promise.all(errors)
    // What they do not have, one leaves out and the other sets to undefined.
    t.deepEqual(JSON.parse(JSON.stringify(ours)), JSON.parse(JSON.stringify(nodes)))
  })
}

test('a path that is too long is told as Node.js 22 tells it', async (t) => {
  const path = join(tmpdir(), 'x'.repeat(10_000))
  const [error] = (await once(newSocket().connect(path), 'error')) as [NodeJS.ErrnoException]
  const { code, errno, message } = error
  t.deepEqual({ code, errno, message }, { code: 'EINVAL', errno: -22, message: `connect EINVAL ${path}` })
})

/** Knows one address for every name. */
function lookUp(_name: string, { all }: { all?: boolean }, callback: (...found: unknown[]) => void): void {
  if (all) callback(null, [{ address: '127.0.0.1', family: 4 }])
  else callback(null, '127.0.0.1', 4)
}
