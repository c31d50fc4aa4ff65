import test from 'ava'

import { createServer, type Drop } from '../../dist/index.mjs'
import { Inbox } from '../support/deferred.mjs'
import { frame, frames } from '../support/frames.mjs'
import { connectPeer, framing, serve } from '../support/netpoll.mjs'
import { socketPath } from '../support/system.mjs'

type FramedOptions = Parameters<typeof serve>[1] & { readonly framing: typeof framing }

const host = '127.0.0.1'

for (const [maxConnections, code] of [
  ['1', 'ERR_INVALID_ARG_TYPE'],
  [null, 'ERR_INVALID_ARG_TYPE'],
  [0, 'ERR_INVALID_ARG_VALUE'],
  [1.5, 'ERR_INVALID_ARG_VALUE'],
  [Number.POSITIVE_INFINITY, 'ERR_INVALID_ARG_VALUE'],
] as const) {
  test(`a maxConnections of ${typeof maxConnections} ${maxConnections} is refused`, (t) => {
    const options: unknown = { framing, maxConnections }
    t.throws(() => createServer(options as FramedOptions), { instanceOf: TypeError, code })
  })
}

test('an onDrop that is no function is refused', (t) => {
  const options: unknown = { framing, onDrop: 1 }
  t.throws(() => createServer(options as FramedOptions), {
    instanceOf: TypeError,
    code: 'ERR_INVALID_ARG_TYPE',
  })
})

test('who comes beyond maxConnections is closed at once, and none of the hooks but onDrop learns of it', async (t) => {
  const drops = new Inbox<Drop>()
  const told: string[] = []
  const { server, port } = await serve(
    t,
    {
      maxConnections: 2,
      onDrop: drops.push,
      onPrepare: () => void told.push('prepare'),
      onConnect: () => void told.push('connect'),
      onDisconnect: () => void told.push('disconnect'),
      onError: (error) => void told.push(String(error)),
    },
    (request) => {
      told.push(request.toString())
      return request
    },
  )
  const admitted = [await connectPeer(t, { host, port }), await connectPeer(t, { host, port })]
  for (const peer of admitted) {
    await peer.write(frame('x'))
    t.deepEqual(await peer.read(5), frame('x'))
  }
  const stranger = await connectPeer(t, { host, port })
  const { localPort } = stranger.socket
  stranger.socket.write(frames('not', 'heard'))
  await stranger.readToEnd()
  t.deepEqual(await drops.take(), {
    remoteAddress: { address: host, family: 'IPv4', port: localPort as number },
    localAddress: { address: host, family: 'IPv4', port },
  })
  t.deepEqual(told.sort(), ['connect', 'connect', 'prepare', 'prepare', 'x', 'x'])
  const { connections, accepted, dropped, requests } = server.stats()
  t.deepEqual([connections, accepted, dropped, requests], [2, 2, 1, 2])
})

test('a place that becomes free is given to the next', async (t) => {
  const gone = new Inbox<unknown>()
  const { server, port } = await serve(
    t,
    { maxConnections: 1, onDisconnect: gone.push },
    (request) => request,
  )
  for (let round = 1; round <= 3; round += 1) {
    const peer = await connectPeer(t, { host, port })
    await peer.write(frame('x'))
    t.deepEqual(await peer.read(5), frame('x'))
    const stranger = await connectPeer(t, { host, port })
    await stranger.readToEnd()
    t.is(server.stats().dropped, round)
    peer.destroy()
    await gone.take()
  }
})

test('many who come at once: as many as there are places are served', async (t) => {
  const path = socketPath(t)
  const drops: Drop[] = []
  const server = createServer({ framing, maxConnections: 10, onDrop: (drop) => drops.push(drop) }, (r) => r)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ path })
  const peers = await Promise.all(Array.from({ length: 50 }, () => connectPeer(t, { path })))
  const answers = await Promise.all(
    peers.map((peer) => {
      peer.socket.write(frame('x'))
      return peer.read(5).then(
        () => 'served',
        () => 'dropped',
      )
    }),
  )
  t.is(answers.filter((answer) => answer === 'served').length, 10)
  t.is(server.stats().dropped, 40)
  t.deepEqual(drops, Array(40).fill({ remoteAddress: '', localAddress: path }))
})

test('what onDrop throws goes to onError, and the server goes on', async (t) => {
  const errors = new Inbox<unknown>()
  const { port } = await serve(
    t,
    {
      maxConnections: 1,
      onDrop: () => {
        throw new Error('of onDrop')
      },
      onError: (error, connection) => errors.push([String(error), connection]),
    },
    (request) => request,
  )
  const peer = await connectPeer(t, { host, port })
  await peer.write(frame('x'))
  await peer.read(5)
  const stranger = await connectPeer(t, { host, port })
  await stranger.readToEnd()
  t.deepEqual(await errors.take(), ['Error: of onDrop', undefined])
  await peer.write(frame('y'))
  t.deepEqual(await peer.read(5), frame('y'))
})
