// What is returned in the turn in which a connection is closed or ended leaves first; closing waits for no handler.
import test from 'ava'

import type { Connection } from '../../../dist/index.mjs'
import { TransportServer } from '../../../dist/rpc/index.mjs'
import { deferred, Inbox, nextTurn } from '../../support/deferred.mjs'
import { frame, frames, pattern } from '../../support/frames.mjs'
import { JsonCodec } from '../../support/json-codec.mjs'
import { codeOf, rejection } from '../../support/netpoll.mjs'
import { connectionAt } from '../../support/placed.mjs'
import { places, words } from '../../support/places.mjs'
import { clientOf } from '../../support/rpc.mjs'

/** How a handler says that it is the last one. */
const endings: Readonly<Record<string, (connection: Connection) => void>> = {
  'close()': (connection) => void connection.close(),
  'end()': (connection) => connection.end(),
  'end(), then close()': (connection) => {
    connection.end()
    void connection.close()
  },
  'close(), twice': (connection) => {
    void connection.close()
    void connection.close()
  },
}

/** How a handler answers in the same turn. */
const answers: Readonly<Record<string, (end: () => void) => unknown>> = {
  'at once': (end) => {
    end()
    return 'BYE'
  },
  'by a promise': async (end) => {
    end()
    return 'BYE'
  },
  'after an await': async (end) => {
    await null
    end()
    return 'BYE'
  },
  'after awaits behind it': async (end) => {
    end()
    for (let index = 0; index < 20; index += 1) await null
    return 'BYE'
  },
  'by a chain of promises': (end) => {
    end()
    return Promise.resolve()
      .then(() => Promise.resolve())
      .then(async () => 'BYE')
  },
  'in a tick of its own': (end) =>
    new Promise((resolve) =>
      process.nextTick(() => {
        end()
        resolve('BYE')
      }),
    ),
  'in an immediate of its own': async (end) => {
    await nextTurn()
    end()
    return 'BYE'
  },
  'as a list': (end) => {
    end()
    return ['B', Buffer.from('YE')]
  },
  'by a thenable': (end) => {
    end()
    // biome-ignore lint/suspicious/noThenProperty: a thenable counts as a promise
    return { then: (done: (reply: string) => void) => done('BYE') }
  },
}

for (const place of places) {
  for (const [ending, end] of Object.entries(endings)) {
    for (const [how, answer] of Object.entries(answers)) {
      test(`a reply that comes with ${ending} leaves first: ${words(place)}, ${how}`, async (t) => {
        const { connection, peer } = await connectionAt(t, place, {
          onRequest: (request, from) =>
            (String(request) === 'bye' ? answer(() => end(from)) : request) as string,
        })
        await peer.write(frames('hello', 'bye'))
        t.deepEqual(await peer.readToEnd(), frames('hello', 'BYE'))
        peer.end()
        t.is(await peer.closed, undefined)
        await new Promise<void>((resolve) => void connection.onClose(resolve))
      })
    }
  }

  for (const ordered of [true, false]) {
    test(`replies of others that return in the same turn leave, too: ${words(place)}, ordered ${ordered}`, async (t) => {
      const go = deferred()
      const { peer } = await connectionAt(t, place, {
        ordered,
        onRequest: async (request, from) => {
          if (String(request) === 'last') {
            go.resolve()
            void from.close()
          } else {
            await go.promise
          }
          return request
        },
      })
      await peer.write(frames('first', 'second', 'last'))
      const all = await peer.readToEnd()
      t.is(all.length, frames('first', 'second', 'last').length)
      if (ordered) t.deepEqual(all, frames('first', 'second', 'last'))
      peer.end()
    })
  }

  test(`close() waits for no handler, and settles within one: ${words(place)}`, async (t) => {
    const events = new Inbox<string>()
    const { peer } = await connectionAt(t, place, {
      onRequest: async (request, from) => {
        if (String(request) === 'never') return new Promise<string>(() => {})
        await from.close()
        events.push('settled')
        return 'too late'
      },
    })
    await peer.write(frames('never', 'close'))
    // What waits in order behind a handler that is pending is not sent.
    t.is((await peer.readToEnd()).length, 0)
    peer.end()
    t.is(await events.take(), 'settled')
  })

  test(`nothing but replies is taken after close(): ${words(place)}`, async (t) => {
    const errors = new Inbox<unknown>()
    const handled: string[] = []
    const { peer } = await connectionAt(t, place, {
      onRequest: async (request, from) => {
        handled.push(String(request))
        void from.close()
        errors.push(await rejection(from.send('after')))
        return 'BYE'
      },
    })
    await peer.write(frames('bye', 'more'))
    t.deepEqual(await peer.readToEnd(), frame('BYE'))
    peer.end()
    t.is(codeOf(await errors.take()), 'ERR_CONN_CLOSED')
    t.deepEqual(handled, ['bye'])
  })

  test(`after a handler that fails no reply leaves, also in its turn: ${words(place)}`, async (t) => {
    const failed = deferred()
    const { peer } = await connectionAt(t, place, {
      ordered: false,
      onError: () => failed.resolve(),
      onRequest: async (request) => {
        if (String(request) === 'fails') throw new Error('as asked')
        await failed.promise
        return request
      },
    })
    await peer.write(frames('waits', 'fails'))
    t.is((await peer.readToEnd()).length, 0)
    peer.end()
  })

  test(`end(message) sends a last message, and goes on reading: ${words(place)}`, async (t) => {
    const requests = new Inbox<string>()
    const { connection, peer } = await connectionAt(t, place, {
      onRequest: (request) => requests.push(String(request)),
    })
    const large = pattern(3 * 1024 * 1024)
    void connection.send('before')
    const sent = connection.end(large)
    t.is(codeOf(await rejection(connection.send('after'))), 'ERR_CONN_CLOSED')
    t.is(codeOf(await rejection(connection.end('again'))), 'ERR_CONN_CLOSED')
    connection.end()
    t.true((await peer.readToEnd()).equals(Buffer.concat([frame('before'), frame(large)])))
    await sent
    t.true(connection.isActive)
    await peer.write(frame('still read'))
    t.is(await requests.take(), 'still read')
    peer.end()
    t.is(await peer.closed, undefined)
    await new Promise<void>((resolve) => void connection.onClose(resolve))
    t.is(codeOf(await rejection(connection.end('gone'))), 'ERR_CONN_CLOSED')
    connection.end()
  })

  test(`end(message) that is refused ends nothing: ${words(place)}`, async (t) => {
    const { connection, peer } = await connectionAt(t, place)
    for (const wrong of [null, 5, {}, [1]]) {
      t.true((await rejection(connection.end(wrong as never))) instanceof TypeError)
    }
    void connection.end(Buffer.alloc(5))
    t.deepEqual(await peer.readToEnd(), frame(Buffer.alloc(5)))
  })

  test(`end(message) in a handler leaves with its reply, and calls that wait are answered: ${words(place)}`, async (t) => {
    const outcome = deferred<Buffer>()
    const { peer } = await connectionAt(t, place, {
      id: { offset: 0, size: 1 },
      onRequest: (_request, from) => {
        from.call('1 question').then(outcome.resolve, outcome.reject)
        void from.end('2 last')
        return '3 reply'
      },
    })
    await peer.write(frame('0 request'))
    t.deepEqual(await peer.readToEnd(), frames('1 question', '2 last', '3 reply'))
    peer.socket.end(frame('1 answer'))
    t.is(String(await outcome.promise), '1 answer')
  })
}

test('a server of netpoll/rpc answers a call that closes its connection', async (t) => {
  const server = new TransportServer(new JsonCodec(), {
    onRequest: async (call) => {
      void call.connection.close()
      return 'BYE'
    },
  })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  const client = clientOf(t, (server.address() as { port: number }).port)
  t.is(await client.call('method', 'x', { timeout: 30_000 }), 'BYE')
})
