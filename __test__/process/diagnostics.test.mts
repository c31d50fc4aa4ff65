import { AsyncLocalStorage } from 'node:async_hooks'
import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel'
import test, { type ExecutionContext } from 'ava'

import { type Connection, createServer, Dialer, type Server } from '../../dist/index.mjs'
import { deferred, Inbox } from '../support/deferred.mjs'
import { frame, frames } from '../support/frames.mjs'
import { codeOf, connectPeer, dial, framing, gone, portOf, rejection, serve } from '../support/netpoll.mjs'
import { serveStream } from '../support/streams.mjs'
import { runFixture } from '../support/system.mjs'

const names = ['listen', 'connect', 'request', 'error', 'close'] as const

type Name = (typeof names)[number]

interface Message {
  readonly server?: Server
  readonly connection?: Connection
  readonly request?: Buffer
  readonly error?: unknown
}

/** What the channels tell until the end of the test: the tests of this file run one after the other. */
function watch(t: ExecutionContext, only: readonly Name[] = names): Inbox<[Name, Message]> {
  const events = new Inbox<[Name, Message]>()
  for (const name of only) {
    const listener = (message: unknown): void => events.push([name, message as Message])
    subscribe(`netpoll.${name}`, listener)
    t.teardown(() => unsubscribe(`netpoll.${name}`, listener))
  }
  return events
}

test.serial('listen, connect, request and close are told with whom they are about', async (t) => {
  const events = watch(t)
  const connections: Connection[] = []
  const { server, port } = await serve(
    t,
    { onConnect: (c) => void connections.push(c) },
    (request) => request,
  )
  t.deepEqual(events.all, [['listen', { server }]])
  const peer = await connectPeer(t, { port })
  await peer.write(frames('one', 'two'))
  await peer.read(14)
  peer.end()
  await events.reach(5)
  const [connection] = connections
  t.like(events.all[1], { 0: 'connect' })
  t.is(events.all[1]?.[1].connection, connection)
  for (const [at, text] of [
    [2, 'one'],
    [3, 'two'],
  ] as const) {
    const [name, message] = events.all[at] as [Name, Message]
    t.is(name, 'request')
    t.is(message.connection, connection)
    t.is(message.request?.toString(), text)
  }
  t.deepEqual(events.all[4], ['close', { connection, error: undefined }])
})

test.serial('a dialed connection is told, too; dials that fail are no connections', async (t) => {
  const { port } = await serve(t, { onPrepare: () => true }, () => 'reply')
  const events = watch(t, ['connect', 'close', 'error'])
  const connection = await dial(t, { port })
  await connection.call('x')
  await gone(connection)
  const told = await events.reach(4)
  t.deepEqual(
    told.filter(([, message]) => message.connection === connection),
    [
      ['connect', { connection }],
      ['close', { connection, error: undefined }],
    ],
  )
  await rejection(new Dialer({ framing }).dial({ path: '/nobody/listens/here' }))
  t.is(events.all.length, 4)
})

test.serial('an error is told before close, which has it, too', async (t) => {
  const events = watch(t, ['error', 'close'])
  const { port } = await serve(t, { onError: () => {} }, () => {
    throw new Error('from the handler')
  })
  const peer = await connectPeer(t, { port })
  await peer.write(frame('x'))
  await peer.readToEnd()
  peer.end()
  await events.reach(2)
  const broken = await connectPeer(t, { port })
  await broken.write(Buffer.alloc(8, 0xff))
  await broken.readToEnd()
  broken.end()
  await events.reach(4)
  t.deepEqual(
    events.all.map(([name, { error }]) => [name, codeOf(error) ?? (error as Error | undefined)?.message]),
    [
      ['error', 'from the handler'],
      ['close', undefined],
      ['error', 'ERR_FRAME_TOO_LARGE'],
      ['close', 'ERR_FRAME_TOO_LARGE'],
    ],
  )
  t.is(events.all[2]?.[1].connection, events.all[3]?.[1].connection)
})

test.serial('what onPrepare refuses is neither connected nor closed', async (t) => {
  const events = watch(t, ['connect', 'close', 'error'])
  const { port } = await serve(t, { onPrepare: () => false }, () => {})
  const peer = await connectPeer(t, { port })
  await peer.readToEnd()
  t.deepEqual(events.all, [])
})

test.serial('streams connect and close; what onData reads are no requests', async (t) => {
  const events = watch(t, ['connect', 'request', 'close'])
  const { port } = await serveStream(t, {}, ({ reader }) => reader.skip(reader.length))
  const peer = await connectPeer(t, { port })
  await peer.write('abc')
  peer.end()
  await events.reach(2)
  await peer.readToEnd()
  t.deepEqual(
    events.all.map(([name]) => name),
    ['connect', 'close'],
  )
})

test.serial('a subscriber may end the connection that it is told of', async (t) => {
  const handled: string[] = []
  const { port } = await serve(t, {}, (request) => {
    handled.push(request.toString())
    return request
  })
  const closed = watch(t, ['close'])
  const enders: Record<string, (connection: Connection) => void> = {
    connect: (connection) => connection.destroy(),
    request: (connection) => void connection.close(),
  }
  for (const [index, name] of ['connect', 'request'].entries()) {
    const end = (message: unknown): void => enders[name]?.((message as { connection: Connection }).connection)
    subscribe(`netpoll.${name}`, end)
    const peer = await connectPeer(t, { port })
    peer.socket.end(frames('a', 'b'))
    await closed.reach(index + 1)
    unsubscribe(`netpoll.${name}`, end)
    peer.destroy()
  }
  // The message that was told of goes to its handler; the one after it does not.
  t.deepEqual(handled, ['a'])
  const peer = await connectPeer(t, { port })
  await peer.write(frame('c'))
  t.deepEqual(await peer.read(5), frame('c'))
})

test.serial(
  'subscribers run in the context of listen; what one of requests enters is its handler’s',
  async (t) => {
    const storage = new AsyncLocalStorage<string>()
    const seen: string[] = []
    const end = deferred()
    const listener =
      (name: Name, then = (): void => {}) =>
      (): void => {
        seen.push(`${name} in ${storage.getStore()}`)
        storage.enterWith(`what ${name} entered`)
        then()
      }
    const listeners = names.map(
      (name) => [name, listener(name, name === 'close' ? end.resolve : undefined)] as const,
    )
    for (const [name, told] of listeners) subscribe(`netpoll.${name}`, told)
    t.teardown(() => {
      for (const [name, told] of listeners) unsubscribe(`netpoll.${name}`, told)
    })
    const { port } = await storage.run('listen', () =>
      serve(t, { onError: () => {} }, (request) => {
        seen.push(`handler in ${storage.getStore()}`)
        if (request.toString() === 'fail') throw new Error('as asked')
        return request
      }),
    )
    const peer = await connectPeer(t, { port })
    await peer.write(frame('a'))
    await peer.read(5)
    await peer.write(frame('fail'))
    await peer.readToEnd()
    peer.end()
    await end.promise
    const request = ['request in listen', 'handler in what request entered']
    t.deepEqual(seen, [
      'listen in listen',
      'connect in listen',
      ...request,
      ...request,
      'error in listen',
      'close in listen',
    ])
  },
)

test.serial('a channel without subscribers stays so, and its messages are not made', async (t) => {
  const { port } = await serve(t, {}, (request) => request)
  const connection = await dial(t, { port })
  for (const name of names) {
    t.false(channel(`netpoll.${name}`).hasSubscribers, name)
  }
  const listener = (): void => t.fail()
  subscribe('netpoll.request', listener)
  unsubscribe('netpoll.request', listener)
  t.is((await connection.call('x')).toString(), 'x')
})

test.serial('who subscribes in the middle of a connection is told from then on', async (t) => {
  const { port } = await serve(t, {}, (request) => request)
  const connection = await dial(t, { port })
  await connection.call('before')
  const events = watch(t, ['request'])
  await connection.call('after')
  t.deepEqual(
    events.all.map(([, { request }]) => request?.toString()),
    ['after'],
  )
})

test.serial('a failed listen is not told', async (t) => {
  const { port } = await serve(t, {}, () => {})
  const events = watch(t, ['listen'])
  const second = createServer({ framing })
  await rejection(second.listen({ host: '127.0.0.1', port }))
  t.deepEqual(events.all, [])
  t.teardown(() => second.close())
  await second.listen({ host: '127.0.0.1', port: 0 })
  t.true(portOf(second) > 0)
  t.is(events.all.length, 1)
})

test.serial('a subscriber that throws is an uncaught exception, and breaks nothing else', async (t) => {
  const { code, stdout, stderr } = await runFixture(t, 'throwing-subscribers')
  t.is(stderr, '')
  t.deepEqual(stdout.trim().split('\n'), [
    'uncaught: from listen',
    'uncaught: from connect',
    'uncaught: from request',
    'reply: a',
    'uncaught: from request',
    'reply: b',
    'uncaught: from close',
    'closed',
  ])
  t.is(code, 0)
})
