import type { Socket } from 'node:net'
import test, { type ExecutionContext } from 'ava'

import { type DialTarget, type FramedDialerOptions, Pool, type PoolLimits } from '../../dist/index.mjs'
import { Inbox, nextTurn } from '../support/deferred.mjs'
import { frame } from '../support/frames.mjs'
import { netServerAt } from '../support/listeners.mjs'
import { codeOf, framing } from '../support/netpoll.mjs'
import { places } from '../support/places.mjs'

/** A server that treats each connection as the test says. */
async function treating(
  t: ExecutionContext,
  transport: 'tcp' | 'unix',
  treat: (socket: Socket) => void,
): Promise<{
  readonly target: DialTarget
  readonly sockets: Inbox<Socket>
  treat: (socket: Socket) => void
}> {
  const { target, sockets } = await netServerAt(t, transport, {}, (socket) => treated.treat(socket))
  const treated = { target, sockets, treat }
  return treated
}

function pooled(
  t: ExecutionContext,
  target: DialTarget,
  options: Partial<FramedDialerOptions & PoolLimits>,
): Pool {
  const pool = new Pool(target, { framing, ...options })
  t.teardown(() => pool.close({ timeout: 0 }))
  return pool
}

const minIdle = 4
/** So many times all of them are dialed, with pauses of at least 50, 100, 200 and 400 ms between. */
const rounds = 5
const minPause = 750

const endings = {
  'ends them': (socket: Socket) => socket.end(),
  'closes them': (socket: Socket) => socket.destroy(),
  'resets them': (socket: Socket) => socket.resetAndDestroy(),
  'says what no call awaits': (socket: Socket) => socket.write(frame('hello')),
  'sends what is refused': (socket: Socket) => socket.write(Buffer.alloc(4, 0xff)),
  'asks to leave': (socket: Socket) => socket.write(frame('\0leave')),
} as const

for (const [how, end] of Object.entries(endings)) {
  for (const { pollers, transport } of places.filter(({ side }) => side === 'dialed')) {
    if (how === 'resets them' && transport === 'unix') continue
    test(`a pool backs off where a server ${how}, and tells so once, ${pollers} pollers, ${transport}`, async (t) => {
      const { target, sockets } = await treating(t, transport, end)
      const errors = new Inbox<unknown>()
      const onError = (error: unknown): void => {
        const message = String(error)
        if (message.includes('of use')) errors.push(error)
      }
      const leaving =
        how === 'asks to leave'
          ? { id: { offset: 0, size: 1 } as const, isGoAway: (message: Buffer) => message.length === 6 }
          : {}
      const begun = performance.now()
      pooled(t, target, { minIdle, pollers, onError, ...leaving })
      await sockets.reach(rounds * minIdle)
      const took = performance.now() - begun
      t.true(took >= minPause, `${sockets.all.length} dials within ${took} ms`)
      t.is(errors.all.length, 1)
      t.is(codeOf(errors.all[0]), 'ERR_CONN_CLOSED')
    })
  }
}

for (const use of ['call', 'get'] as const) {
  test(`a connection that was of use by a ${use} ends the pause`, async (t) => {
    const server = await treating(t, 'tcp', (socket) => socket.destroy())
    const errors = new Inbox<unknown>()
    const pool = pooled(t, server.target, { minIdle, onError: (error) => errors.push(error) })
    await server.sockets.reach(3 * minIdle)
    const fresh = new Inbox<Socket>()
    server.treat = (socket) => {
      fresh.push(socket)
      socket.on('data', () => socket.write(frame('reply')))
    }
    // As many as the pool keeps: it knows by then that all those before have ended.
    await fresh.reach(minIdle)
    while (pool.stats().free < minIdle) await nextTurn()
    const told = errors.all.length
    t.true(told >= 1)
    if (use === 'call') t.is(String(await pool.call('x')), 'reply')
    else pool.put(await pool.get())
    // From then on it is as in the beginning: what ends unused is told anew.
    server.treat = (socket) => socket.destroy()
    for (const socket of server.sockets.all) socket.destroy()
    await errors.reach(told + 1)
    t.is(codeOf(errors.all[told]), 'ERR_CONN_CLOSED')
  })
}

test('a connection that ends after it was of use is replaced at once', async (t) => {
  const server = await treating(t, 'tcp', (socket) => {
    socket.on('data', () => socket.end(frame('reply')))
  })
  const pool = pooled(t, server.target, { minIdle: 1, onError: (error) => t.fail(String(error)) })
  for (let count = 1; count <= 50; count += 1) {
    t.is(String(await pool.call('x')), 'reply')
    while (pool.stats().free === 0) await nextTurn()
  }
})
