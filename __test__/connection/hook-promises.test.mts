// What a promise means that a hook returns: it is awaited, or refused with an error that names the hook. Unhandled
// rejections fail the file.
import type { LookupAddress } from 'node:dns'
import type { LookupFunction } from 'node:net'
import test from 'ava'

import { type Connection, configure, createServer, Dialer } from '../../dist/index.mjs'
import type { Codec } from '../../dist/rpc/index.mjs'
import { deferred, Inbox, nextTurn } from '../support/deferred.mjs'
import { frame } from '../support/frames.mjs'
import { type Json, JsonCodec } from '../support/json-codec.mjs'
import { placeOf } from '../support/listeners.mjs'
import { codeOf, connectPeer, dial, framing, rejection, serve, targetOf } from '../support/netpoll.mjs'
import { connectionAt, rawServer } from '../support/placed.mjs'
import { places, words } from '../support/places.mjs'
import { clientOf, serveCalls } from '../support/rpc.mjs'
import { quietTurns } from '../support/streams.mjs'

const failure = new Error('from the hook')

/** What an asynchronous function may return, and whether it has a failure of its own to tell. */
const promises: Readonly<Record<string, () => unknown>> = {
  'resolves with false': async () => false,
  'resolves with true': async () => true,
  'resolves with nothing': async () => {},
  rejects: async () => {
    throw failure
  },
  'rejects later': async () => {
    await nextTurn()
    throw failure
  },
  'never settles': () => new Promise(() => {}),
  // biome-ignore lint/suspicious/noThenProperty: a thenable counts as a promise
  'is a thenable of false': () => ({ then: (done: (value: unknown) => void) => done(false) }),
}

for (const place of places) {
  for (const [what, promise] of Object.entries(promises)) {
    test(`onPrepare lets nobody in by a promise that ${what}: ${words(place)}`, async (t) => {
      const errors = new Inbox<unknown>()
      const events: string[] = []
      const options = {
        pollers: place.pollers,
        onPrepare: promise as () => boolean,
        onConnect: () => void events.push('connected'),
        onRequest: () => void events.push('request'),
        onError: errors.push,
      }
      if (place.side === 'server') {
        const server = createServer({ framing, ...options })
        t.teardown(() => server.close({ timeout: 0 }))
        await server.listen(placeOf(t, place.transport))
        const peer = await connectPeer(t, targetOf(server))
        peer.socket.write(frame('x'))
        t.is((await peer.readToEnd()).length, 0)
        peer.end()
      } else {
        const { target } = await rawServer(t, place.transport)
        const dialing = new Dialer({ framing, closeTimeout: 1, ...options }).dial(target)
        t.is(codeOf(await rejection(dialing)), 'ERR_CONN_CLOSED')
      }
      const error = await errors.take()
      t.true(error instanceof TypeError)
      t.regex((error as Error).message, /onPrepare/)
      if (what.startsWith('rejects')) t.is(await errors.take(), failure)
      await quietTurns()
      t.deepEqual(events, [])
    })
  }

  for (const ending of ['resolves', 'rejects']) {
    test(`close callbacks wait for an onDisconnect that ${ending}: ${words(place)}`, async (t) => {
      const events = new Inbox<string>()
      const go = deferred()
      const { connection, peer } = await connectionAt(t, place, {
        onDisconnect: async (gone: Connection) => {
          gone.onClose(() => events.push('second'))
          events.push('begins')
          await go.promise
          events.push('ends')
          if (ending === 'rejects') throw failure
        },
        onError: (error) => events.push((error as Error).message),
      })
      connection.onClose(() => events.push('first'))
      peer.end()
      await events.reach(1)
      await quietTurns()
      t.deepEqual(events.all, ['begins'])
      go.resolve()
      const told = ending === 'rejects' ? [failure.message] : []
      await events.reach(4 + told.length)
      t.deepEqual(events.all, ['begins', 'ends', ...told, 'first', 'second'])
    })
  }

  test(`onConnect is awaited, whatever its promise resolves with: ${words(place)}`, async (t) => {
    const handled = new Inbox<string>()
    const go = deferred<unknown>()
    const opened = connectionAt(t, place, {
      onConnect: () => go.promise as Promise<void>,
      onRequest: (request) => handled.push(String(request)),
    })
    await quietTurns()
    t.deepEqual(handled.all, [])
    go.resolve(false)
    const { peer } = await opened
    await peer.write(frame('x'))
    t.is(await handled.take(), 'x')
  })

  test(`a rejection of onDrain and of a close callback is told: ${words(place)}`, async (t) => {
    const errors = new Inbox<unknown>()
    const { connection, peer } = await connectionAt(t, place, {
      highWaterMark: 1,
      onDrain: async () => {
        throw failure
      },
      onError: errors.push,
    })
    const second = new Error('from the callback')
    connection.onClose(async () => {
      throw second
    })
    peer.socket.pause()
    void connection.send(Buffer.alloc(8 * 1024 * 1024))
    while (!connection.isCongested) await nextTurn()
    peer.socket.resume()
    t.is(await errors.take(), failure)
    peer.end()
    t.is(await errors.take(), second)
  })
}

test('a rejection of onDrop is told', async (t) => {
  const errors = new Inbox<unknown>()
  const { port } = await serve(t, {
    maxConnections: 1,
    onDrop: async () => {
      throw failure
    },
    onError: errors.push,
  })
  await connectPeer(t, { port })
  await connectPeer(t, { port })
  t.is(await errors.take(), failure)
})

test.serial('what onError rejects with is logged, with what it was told', async (t) => {
  const lines = new Inbox<string>()
  configure({ logger: lines.push })
  const { port } = await serve(
    t,
    {
      onError: async () => {
        throw failure
      },
    },
    () => {
      throw new Error('from the handler')
    },
  )
  const peer = await connectPeer(t, { port })
  await peer.write(frame('x'))
  await lines.reach(2)
  t.deepEqual(lines.all, ['Error: from the handler', `Error: ${failure.message}`])
})

/** What asynchronous lookups may do. */
const lookups: Readonly<
  Record<string, (address: LookupAddress, back: (found: LookupAddress[]) => void) => unknown>
> = {
  'resolves with a list': async (address) => [address],
  'resolves with an address': async (address) => address,
  'resolves with text': async ({ address }) => address,
  'calls back, and resolves with nothing': async (address, back) => {
    await nextTurn()
    back([address])
  },
  'calls back after it has resolved with an object': async (address, back) => {
    setImmediate(() => back([address]))
    return { hostname: 'of a request' }
  },
  'calls back, and rejects': async (address, back) => {
    back([address])
    throw failure
  },
}

for (const [what, look] of Object.entries(lookups)) {
  test(`a lookup is awaited that ${what}`, async (t) => {
    const { port } = await serve(t, {}, (request) => request)
    const lookup = ((_host, _options, back) =>
      look({ address: '127.0.0.1', family: 4 }, (found) => back(null, found))) as LookupFunction
    const connection = await dial(t, { host: 'somewhere', port }, { lookup, connectTimeout: 30_000 })
    t.is(String(await connection.call('x')), 'x')
  })
}

test('a dial rejects with what a lookup rejects with, or finds', async (t) => {
  const by = (lookup: () => unknown): Promise<unknown> =>
    rejection(
      new Dialer({ lookup: lookup as LookupFunction, connectTimeout: 30_000 }).dial({
        host: 'somewhere',
        port: 1,
      }),
    )
  t.is(
    await by(async () => {
      throw failure
    }),
    failure,
  )
  t.is(codeOf(await by(async () => [])), 'ENOTFOUND')
  t.is(codeOf(await by(async () => [{ address: 'no address', family: 4 }])), 'ERR_INVALID_IP_ADDRESS')
})

for (const place of places) {
  test(`an asynchronous id function is refused: ${words(place)}`, async (t) => {
    const errors = new Inbox<unknown>()
    const id = (async () => {
      throw failure
    }) as unknown as () => number
    const { connection } = await connectionAt(t, place, { id, onError: errors.push })
    const error = await rejection(connection.call('x', { timeout: 30_000 }))
    t.true(error instanceof TypeError)
    t.regex((error as Error).message, /options\.id/)
    t.true(connection.isActive)
  })
}

for (const method of ['encode', 'decode', 'isGoAway'] as const) {
  for (const [what, promise] of Object.entries(promises)) {
    test(`a codec is refused whose ${method} ${what}, and spoils no other message`, async (t) => {
      const honest = new JsonCodec()
      let asynchronous = true
      const codec: Codec<Json> = {
        framing: honest.framing,
        id: honest.id,
        encode: (message, writer) => {
          if (method !== 'encode' || !asynchronous) return honest.encode(message, writer)
          writer.writeString('spoiled')
          queueMicrotask(() => writer.writeString('spoiled'))
          return promise() as undefined
        },
        decode: (bytes) =>
          method === 'decode' && asynchronous ? (promise() as never) : honest.decode(bytes),
        ...(method === 'isGoAway' && { isGoAway: promise as () => boolean }),
      }
      const errors = new Inbox<unknown>()
      const { port } = await serveCalls(t, {
        onRequest: () => 'done',
        onConnect: (connection) => {
          // It answers no call.
          if (method === 'isGoAway')
            void connection.send('\0\0\0\x63{"kind":"reply","method":"x","metadata":{}}')
        },
      })
      const client = clientOf(t, port, { onError: errors.push }, codec)
      const error = await client.call('method', 'x', { timeout: 30_000 }).catch((failed: unknown) => failed)
      if (method === 'isGoAway') {
        t.regex(((await errors.take()) as Error).message, /codec\.isGoAway/)
        return
      }
      t.true(error instanceof TypeError)
      t.regex((error as Error).message, new RegExp(`codec\\.${method}`))
      asynchronous = false
      t.is(await client.call('method', 'x', { timeout: 30_000 }), 'done')
    })
  }
}
