// The members of a duplex take, return and throw what those of `net.Socket` do.

import type { Socket } from 'node:net'

import test from 'ava'

import { Dialer } from '../../../dist/index.mjs'
import { nextTurn } from '../../support/deferred.mjs'
import { codeOf, gone } from '../../support/netpoll.mjs'
import { netServerAt } from '../../support/listeners.mjs'
import { alike, type SocketPair } from '../../support/socket-kinds.mjs'

/** What comes of a call: the code of what it throws, or whether the socket itself is returned. */
function outcome(socket: Socket, call: (socket: Socket) => unknown): unknown {
  try {
    const result = call(socket)
    return result === socket ? 'itself' : result
  } catch (error) {
    return [(error as Error).name, codeOf(error)]
  }
}

const odd: readonly unknown[] = [
  undefined,
  null,
  true,
  false,
  0,
  1,
  -1,
  1.5,
  -5_000,
  5_000,
  4e9,
  2 ** 31,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  '',
  '1000',
  'yes',
  {},
  [],
  [2_000],
  () => 1,
]

/** Every call of a member with odd arguments. */
const calls: readonly (readonly [string, (socket: Socket) => unknown])[] = [
  ...odd.flatMap((value) => {
    const text = typeof value === 'string' ? `'${value}'` : String(value)
    return [
      [`setNoDelay(${text})`, (socket: Socket) => socket.setNoDelay(value as never)],
      [`setKeepAlive(${text})`, (socket: Socket) => socket.setKeepAlive(value as never)],
      [`setKeepAlive(true, ${text})`, (socket: Socket) => socket.setKeepAlive(true, value as never)],
      [`setTimeout(${text})`, (socket: Socket) => socket.setTimeout(value as never)],
      [`setTimeout(1e6, ${text})`, (socket: Socket) => socket.setTimeout(1e6, value as never)],
      [`setTimeout(0, ${text})`, (socket: Socket) => socket.setTimeout(0, value as never)],
    ] as const
  }),
  ['setNoDelay()', (socket) => socket.setNoDelay()],
  ['setKeepAlive()', (socket) => socket.setKeepAlive()],
  ['ref()', (socket) => socket.ref()],
  ['unref()', (socket) => socket.unref()],
  ['pause()', (socket) => socket.pause()],
  ['resume()', (socket) => socket.resume()],
]

function outcomes(socket: Socket): unknown {
  // A timeout that is too long for Node.js is said once for each, which is not what this is about.
  return calls.map(([name, call]) => [name, outcome(socket, call)])
}

/** What says where a socket is in its life. */
function state(socket: Socket): unknown {
  const { connecting, pending, readyState, destroyed, bytesRead, bytesWritten, bufferSize } = socket
  return { connecting, pending, readyState, destroyed, bytesRead, bytesWritten, bufferSize }
}

/** Whether an address is there, and of which family. */
function localEnd(socket: Socket): unknown {
  const { localAddress, localPort, localFamily } = socket
  return [localAddress, typeof localPort, localFamily, Object.keys(socket.address()).sort()]
}

/** Calls, and gives everything to a peer that is told nothing of it. */
async function withPeer({ socket, peer }: SocketPair, look: () => unknown): Promise<unknown> {
  socket.on('error', () => {})
  peer.resume()
  const seen = await look()
  peer.destroy()
  return seen
}

test.before(() => process.removeAllListeners('warning'))

const programs = [
  ...alike('open', (pair) => withPeer(pair, () => [outcomes(pair.socket), state(pair.socket)])),
  ...alike('destroyed', (pair) =>
    withPeer(pair, () => {
      pair.socket.destroy()
      return [outcomes(pair.socket), state(pair.socket), localEnd(pair.socket)]
    }),
  ),
  ...alike('gone', (pair) =>
    withPeer(pair, async () => {
      pair.socket.destroy()
      await new Promise((resolve) => pair.socket.once('close', resolve))
      return [outcomes(pair.socket), state(pair.socket), localEnd(pair.socket)]
    }),
  ),
  ...alike('its state, step by step', (pair) =>
    withPeer(pair, async () => {
      const { socket, peer } = pair
      const states = [state(socket)]
      socket.end()
      states.push(state(socket))
      socket.resume()
      peer.end()
      await new Promise((resolve) => socket.once('close', resolve))
      states.push(state(socket))
      return states
    }),
  ),
  ...alike('bytes of text', (pair) =>
    withPeer(pair, async () => {
      const { socket } = pair
      const counts: unknown[] = []
      const count = (): void => void counts.push(socket.bytesWritten)
      for (const [text, encoding] of [
        ['häß', 'utf8'],
        ['häß', 'latin1'],
        ['€', 'utf16le'],
        ['ffee', 'hex'],
        ['AAAA', 'base64'],
        ['𝄞', 'utf8'],
      ] as const) {
        socket.write(text, encoding)
        count()
        socket.cork()
        socket.write(text, encoding)
        socket.write(Buffer.from(text, encoding))
        count()
        socket.uncork()
        count()
      }
      return counts
    }),
  ),
  ...alike('bytes of text that waits behind what a peer does not read', async ({ socket, peer }) => {
    peer.pause()
    socket.on('error', () => {})
    socket.write('ö'.repeat(10_000_000))
    await nextTurn()
    socket.write('€€€')
    socket.write('ffee', 'hex')
    socket.write(Buffer.alloc(5))
    const waiting = [socket.bytesWritten, socket.bufferSize > 0]
    socket.end('ä')
    waiting.push(socket.bytesWritten)
    socket.destroy()
    peer.destroy()
    return [...waiting, socket.bytesWritten]
  }),
]
for (const [title, run] of programs) test(title, run)

test('setNoDelay of a connection takes a boolean, and says so', async (t) => {
  const { target } = await netServerAt(t, 'tcp')
  const connection = await new Dialer().dial(target)
  t.teardown(() => gone(connection))
  for (const value of [1, 0, 'yes', null, {}]) {
    t.throws(() => connection.setNoDelay(value as never), {
      code: 'ERR_INVALID_ARG_TYPE',
      instanceOf: TypeError,
    })
  }
  t.is(connection.setNoDelay(false).setNoDelay(), connection)
})
