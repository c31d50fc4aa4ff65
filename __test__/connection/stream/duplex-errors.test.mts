// What goes wrong with a duplex has the fields of the errors of `net.Socket`, comes in the same order, and is a NetpollError.

import { once } from 'node:events'
import type { Socket } from 'node:net'

import test, { type ExecutionContext } from 'ava'

import { Dialer, NetpollError } from '../../../dist/index.mjs'
import { deferred, nextTurn } from '../../support/deferred.mjs'
import { rejection } from '../../support/netpoll.mjs'
import { places } from '../../support/places.mjs'
import { alike, type SocketPair } from '../../support/socket-kinds.mjs'

const tcp = places.filter(({ transport }) => transport === 'tcp')

/** What libraries look at. */
function fields(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { name, message, code, errno, syscall, address, port } = error as NodeJS.ErrnoException & {
    readonly address?: string
    readonly port?: number
  }
  return [name, message, code, errno, syscall, address, port, String(error)]
}

/** What `act` leads to, until the socket is closed: events, and the callbacks that it is given names of. */
async function seen(
  { socket }: SocketPair,
  act: (callback: (name: string) => (error?: unknown) => void) => unknown,
): Promise<readonly unknown[]> {
  const log: unknown[] = []
  const closed = deferred()
  socket.on('error', (error) => log.push(['error', fields(error)]))
  socket.on('close', (hadError) => {
    log.push(['close', hadError])
    closed.resolve()
  })
  await act((name) => (error) => log.push([name, fields(error)]))
  await closed.promise
  return log
}

/** Waits for the peer's end, up to where our direction has ended with it. */
async function endedWithPeer({ socket, peer }: SocketPair): Promise<void> {
  socket.resume()
  peer.end()
  await new Promise<void>((resolve) => socket.once('end', () => process.nextTick(resolve)))
}

const programs = [
  ...alike('a write after the peer’s end', (pair) =>
    seen(pair, async (callback) => {
      await endedWithPeer(pair)
      callback('taken')(pair.socket.write('late', callback('written')))
    }),
  ),
  ...alike('a write after the peer’s end, with an encoding', (pair) =>
    seen(pair, async (callback) => {
      await endedWithPeer(pair)
      callback('taken')(pair.socket.write('late', 'latin1', callback('written')))
    }),
  ),
  ...alike('a write after the peer’s end, without a callback', (pair) =>
    seen(pair, async (callback) => {
      await endedWithPeer(pair)
      callback('taken')(pair.socket.write(Buffer.from('late')))
    }),
  ),
  ...alike('a write in the turn of the peer’s end', (pair) =>
    seen(pair, async (callback) => {
      const { socket, peer } = pair
      socket.resume()
      socket.once('end', () => callback('taken')(socket.write('in time', callback('written'))))
      peer.end()
      await once(peer, 'data')
    }),
  ),
  ...alike('a write after the own end', (pair) =>
    seen(pair, (callback) => {
      pair.peer.resume().end()
      pair.socket.end()
      callback('taken')(pair.socket.write('late', callback('written')))
    }),
  ),
  ...alike('a write after destroy', (pair) =>
    seen(pair, (callback) => {
      pair.peer.resume().end()
      pair.socket.destroy()
      callback('taken')(pair.socket.write('late', callback('written')))
    }),
  ),
  ...alike(
    'a reset',
    (pair) =>
      seen(pair, () => {
        pair.socket.resume()
        pair.peer.resetAndDestroy()
      }),
    { at: tcp },
  ),
  ...alike('destroyed with an error, the callbacks behind it', (pair) =>
    seen(pair, async (callback) => {
      pair.peer.pause()
      // What an unfinished write is told, Node.js has changed.
      pair.socket.write(Buffer.alloc(8_000_000), () => callback('first')('called'))
      pair.socket.write('more', callback('second'))
      pair.socket.end(callback('end'))
      await nextTurn()
      pair.socket.destroy(Object.assign(new Error('enough'), { code: 'ENOUGH' }))
      pair.peer.destroy()
    }),
  ),
  ...alike(
    'half-open, the answer is sent after the peer’s end',
    (pair) =>
      seen(pair, async (callback) => {
        await endedWithPeer(pair)
        callback('taken')(pair.socket.write('in time', callback('written')))
        pair.socket.end()
        await once(pair.peer, 'data')
      }),
    { allowHalfOpen: true },
  ),
]
for (const [title, run] of programs) test(title, run)

async function failed(t: ExecutionContext, act: (pair: SocketPair) => unknown): Promise<void> {
  for (const [, run] of alike(
    '',
    async (pair, _t, place) => {
      const error = new Promise((resolve) => pair.socket.once('error', resolve))
      await act(pair)
      t.true(!isOurs(pair.socket) || (await error) instanceof NetpollError, place.side)
      await error
    },
    { at: tcp },
  )) {
    await run(t)
  }
}

const isOurs = (socket: Socket): boolean => 'connection' in socket

test('a reset is a NetpollError', (t) => failed(t, ({ peer }) => peer.resetAndDestroy()))

test('a write after the peer’s end is a NetpollError', (t) =>
  failed(t, async (pair) => {
    await endedWithPeer(pair)
    pair.socket.write('late')
  }))

test('a dial to several addresses has the error of each', async (t) => {
  const addresses = ['127.0.0.1', '127.0.0.2', '127.0.0.3'].map((address) => ({ address, family: 4 }))
  const error = await rejection(
    new Dialer().dial({
      host: 'name',
      port: 1,
      lookup: (_name, _options, callback) => callback(null, addresses),
    }),
  )
  t.true(error instanceof NetpollError)
  const { code, errors } = error as NetpollError
  t.is(code, 'ECONNREFUSED')
  t.deepEqual(
    errors?.map((one) => (one as Error).message),
    addresses.map(({ address }) => `connect ECONNREFUSED ${address}:1`),
  )
  for (const one of errors ?? []) t.true(one instanceof NetpollError)
  // What users had before.
  t.deepEqual((error as NetpollError & { readonly cause: AggregateError }).cause.errors, errors)
})

test('a dial to one address has no errors beside its own', async (t) => {
  const error = (await rejection(new Dialer().dial({ host: '127.0.0.1', port: 1 }))) as NetpollError
  t.false('errors' in error)
  t.is(error.message, 'connect ECONNREFUSED 127.0.0.1:1')
})
