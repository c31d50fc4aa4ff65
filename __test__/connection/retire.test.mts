// `connection.retire()` takes a connection out of use, and loses nothing.
import test, { type ExecutionContext } from 'ava'

import {
  type Connection,
  createServer,
  Dialer,
  type FramedServerOptions,
  Mux,
  type NetpollError,
  Pool,
  type RequestHandler,
  type Server,
} from '../../dist/index.mjs'
import { deferred, Inbox, nextTurn } from '../support/deferred.mjs'
import { endPlaces, endWords } from '../support/ends.mjs'
import { frame } from '../support/frames.mjs'
import { id, isGoAway, leave, request, textOf } from '../support/leaving.mjs'
import { placeOf } from '../support/listeners.mjs'
import { connectPeer, framing, rejection, targetOf } from '../support/netpoll.mjs'
import type { Target } from '../support/peer.mjs'
import { connectionAt, type PlacedOptions } from '../support/placed.mjs'
import { type Place, places, words } from '../support/places.mjs'
import { quietTurns } from '../support/streams.mjs'

/** Where a server listens, and what it has accepted. */
async function serveAt(
  t: ExecutionContext,
  { pollers, transport }: Pick<Place, 'pollers' | 'transport'>,
  options: Partial<FramedServerOptions> = {},
  handler: RequestHandler = (message) => message,
): Promise<{ readonly server: Server; readonly accepted: Inbox<Connection>; readonly target: Target }> {
  const accepted = new Inbox<Connection>()
  const server = createServer({ framing, pollers, onConnect: accepted.push, ...options }, handler)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen(placeOf(t, transport))
  return { server, accepted, target: targetOf(server) }
}

/** A handler that answers once it is told to. */
function holding(): {
  readonly handler: RequestHandler
  readonly held: Inbox<Buffer>
  readonly release: () => void
} {
  const held = new Inbox<Buffer>()
  const gate = deferred()
  const handler: RequestHandler = async (message) => {
    held.push(message)
    await gate.promise
    return message
  }
  return { handler, held, release: gate.resolve }
}

async function refused(t: ExecutionContext, connection: Connection, message: Buffer | string): Promise<void> {
  const error = (await rejection(connection.call(message))) as NetpollError
  t.is(error.code, 'ERR_CONN_CLOSED')
  t.is(error.sent, false)
}

/** Asks for the end before it comes. */
function endOf(connection: Connection): Promise<void> {
  return new Promise((resolve) => void connection.onClose(resolve))
}

for (const place of places.filter(({ side }) => side === 'dialed')) {
  const { pollers } = place
  for (const ids of [undefined, id]) {
    const kind = ids === undefined ? 'in order' : 'by ids'

    test(`a dialed connection takes no call, answers those that wait, and closes: ${kind}, ${words(place)}`, async (t) => {
      const { handler, held, release } = holding()
      const { target } = await serveAt(t, place, ids && { id: ids, ordered: false }, handler)
      const ended = new Inbox<Error | undefined>()
      const dialer = new Dialer({
        framing,
        pollers,
        ...(ids && { id: ids }),
        onDisconnect: (_connection, error) => ended.push(error),
      })
      const busy = await dialer.dial(target)
      const idle = await dialer.dial(target)
      const waiting = [busy.call(request('a')), busy.call(request('b'))]
      await held.reach(2)
      busy.retire()
      idle.retire()
      t.false(busy.isActive)
      t.false(idle.isActive)
      await refused(t, busy, request('c'))
      await refused(t, idle, request('c'))
      t.deepEqual(await ended.reach(1), [undefined])
      await quietTurns()
      t.is(ended.all.length, 1)
      t.false(busy.signal.aborted)
      busy.retire()
      release()
      t.deepEqual((await Promise.all(waiting)).map(textOf), ['a', 'b'])
      t.deepEqual(await ended.reach(2), [undefined, undefined])
    })
  }

  test(`a call that is given up lets a retired connection end, ${words(place)}`, async (t) => {
    const { handler, held, release } = holding()
    const { target } = await serveAt(t, place, {}, handler)
    const connection = await new Dialer({ framing, pollers }).dial(target)
    const ended = endOf(connection)
    const abortion = new AbortController()
    const call = connection.call('a', { signal: abortion.signal })
    await held.reach(1)
    connection.retire()
    abortion.abort('enough')
    t.is(await rejection(call), 'enough')
    release()
    await ended
  })

  test(`a retired connection whose peer never answers ends with its calls, ${words(place)}`, async (t) => {
    const { target } = await serveAt(t, place, {}, () => new Promise(() => {}))
    const connection = await new Dialer({ framing, pollers }).dial(target)
    const ended = endOf(connection)
    const call = rejection(connection.call('a', { timeout: 20 }))
    connection.retire()
    t.is(((await call) as NetpollError).code, 'ERR_REQUEST_TIMEOUT')
    await ended
  })

  test(`who is asked by its peer answers before it ends, ${words(place)}`, async (t) => {
    const { accepted, target } = await serveAt(t, place, { id, ordered: false })
    const { handler, held, release } = holding()
    const connection = await new Dialer({ framing, id, pollers, ordered: false, onRequest: handler }).dial(
      target,
    )
    const ended = endOf(connection)
    const reply = (await accepted.take()).call(request('a'))
    await held.reach(1)
    connection.retire()
    await quietTurns()
    release()
    t.is(textOf(await reply), 'a')
    await ended
  })

  test(`a mux and a pool replace what is retired, and lose no call, ${words(place)}`, async (t) => {
    const { target } = await serveAt(t, place)
    for (const kind of ['mux', 'pool'] as const) {
      const connected = new Inbox<Connection>()
      const options = { framing, pollers, connections: 1, onConnect: connected.push }
      const caller = kind === 'mux' ? new Mux(target, options) : new Pool(target, options)
      for (let round = 1; round <= 5; round += 1) {
        t.is(String(await caller.call('a')), 'a')
        const calls = ['b', 'c', 'd'].map((text) => caller.call(text))
        const connection = (await connected.reach(round))[round - 1] as Connection
        const ended = endOf(connection)
        connection.retire()
        calls.push(caller.call('e'))
        t.deepEqual((await Promise.all(calls)).map(String), ['b', 'c', 'd', 'e'])
        await ended
      }
      await caller.close()
    }
  })

  test(`a connection that a pool has lent is retired by its user, who gives it back as ever, ${words(place)}`, async (t) => {
    const { target } = await serveAt(t, place)
    const pool = new Pool(target, { framing, pollers, connections: 1 })
    for (let round = 0; round < 3; round += 1) {
      const connection = await pool.get()
      const ended = endOf(connection)
      const call = connection.call('a')
      connection.retire()
      await refused(t, connection, 'b')
      t.is(String(await call), 'a')
      pool.put(connection)
      await ended
      t.is(String(await pool.call('c')), 'c')
    }
    await pool.close()
  })
}

for (const place of places.filter(({ side }) => side === 'server')) {
  const { pollers } = place

  test(`a server with goAway asks the peer, and serves it until it has left, ${words(place)}`, async (t) => {
    const { handler, held, release } = holding()
    const options = { id, ordered: false, goAway: leave }
    const { server, accepted, target } = await serveAt(t, place, options, handler)
    const peer = await connectPeer(t, target)
    const connection = await accepted.take()
    const ended = endOf(connection)
    await peer.write(frame(request('a')))
    await held.reach(1)
    connection.retire()
    connection.retire()
    await refused(t, connection, request('x'))
    t.deepEqual(await peer.read(4 + leave.length), frame(leave))
    await peer.write(frame(request('b')))
    await held.reach(2)
    t.true(connection.isActive)
    // It was asked, and is not again.
    const closing = server.close()
    release()
    const replies = await peer.read(18)
    t.deepEqual([textOf(replies.subarray(4, 9)), textOf(replies.subarray(13))].sort(), ['a', 'b'])
    peer.end()
    await ended
    await closing
    t.is((await peer.readToEnd()).length, 0)
  })

  test(`clients leave a connection that its server retires, and lose no call, ${words(place)}`, async (t) => {
    const { accepted, target } = await serveAt(t, place, { id, ordered: false, goAway: leave })
    for (const kind of ['mux', 'pool'] as const) {
      const options = { framing, id, isGoAway, pollers, connections: 1 }
      const caller = kind === 'mux' ? new Mux(target, options) : new Pool(target, options)
      for (let round = 0; round < 5; round += 1) {
        const first = caller.call(request('a'))
        const connection = await accepted.take()
        await first
        const ended = endOf(connection)
        const calls = ['b', 'c'].map((text) => caller.call(request(text)))
        connection.retire()
        t.deepEqual((await Promise.all(calls)).map(textOf), ['b', 'c'])
        await ended
      }
      await caller.close()
    }
  })

  test(`a peer that does not leave is closed after maxCloseTime, once it is answered, ${words(place)}`, async (t) => {
    const options = { id, ordered: false, goAway: leave, maxCloseTime: 50 }
    const { accepted, target } = await serveAt(t, place, options)
    const peer = await connectPeer(t, target)
    const connection = await accepted.take()
    connection.retire()
    t.deepEqual(await peer.readToEnd(), frame(leave))
    peer.end()
    await endOf(connection)
  })

  for (const [title, goAway] of [
    ['says nothing', () => undefined],
    [
      'throws',
      () => {
        throw new Error('no')
      },
    ],
    ['retires it', (connection: Connection) => void connection.retire()],
  ] as const) {
    test(`a goAway that ${title} has its connection end as without, ${words(place)}`, async (t) => {
      const errors: unknown[] = []
      const options = { id, ordered: false, goAway, onError: (error: unknown) => errors.push(error) }
      const { accepted, target } = await serveAt(t, place, options)
      const peer = await connectPeer(t, target)
      ;(await accepted.take()).retire()
      t.is((await peer.readToEnd()).length, 0)
      t.is(errors.length, title === 'throws' ? 1 : 0)
    })
  }

  test(`a server without goAway waits for its own calls and for its handlers, ${words(place)}`, async (t) => {
    const { handler, held, release } = holding()
    const { accepted, target } = await serveAt(t, place, { id, ordered: false }, handler)
    const peer = await connectPeer(t, target)
    const connection = await accepted.take()
    const ended = endOf(connection)
    const asked = request('from the server')
    const call = connection.call(asked)
    await peer.read(4 + asked.length)
    await peer.write(frame(request('a')))
    await held.reach(1)
    connection.retire()
    await refused(t, connection, request('x'))
    await quietTurns()
    await peer.write(frame(asked))
    t.is(textOf(await call), 'from the server')
    await quietTurns()
    release()
    t.is(textOf((await peer.readToEnd()).subarray(4)), 'a')
    peer.end()
    await ended
  })
}

for (const place of endPlaces.filter(({ side }) => side === 'server')) {
  test(`what a server has read is answered before it ends, ${endWords(place)}`, async (t) => {
    const accepted = new Inbox<Connection>()
    const { handler, held, release } = holding()
    const gate = new Int32Array(new SharedArrayBuffer(64))
    const module = new URL('../fixtures/handler.mjs', import.meta.url)
    const handling =
      place.threads === undefined
        ? { onRequest: handler }
        : { workers: { module, threads: place.threads, workerData: { gate } } }
    const server = createServer({
      framing,
      pollers: place.pollers,
      onConnect: accepted.push,
      ...handling,
    } as FramedServerOptions)
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen(placeOf(t, place.transport))
    const peer = await connectPeer(t, targetOf(server))
    const connection = await accepted.take()
    await peer.write(frame('wait:1'))
    if (place.threads === undefined) await held.reach(1)
    else while (Atomics.load(gate, 0) < 1) await nextTurn()
    connection.retire()
    await quietTurns()
    Atomics.store(gate, 1, 1)
    Atomics.notify(gate, 1)
    release()
    t.is(String((await peer.readToEnd()).subarray(4)), place.threads === undefined ? 'wait:1' : '1')
    peer.end()
    await endOf(connection)
    t.is(server.stats().connections, 0)
  })
}

for (const place of places) {
  test(`a stream ends once onData is done, ${words(place)}`, async (t) => {
    const gate = deferred()
    const began = deferred()
    const { connection, peer } = await connectionAt(t, place, {
      framing: undefined,
      onData: async ({ reader, writer }: Connection) => {
        const text = reader.readString(reader.length)
        began.resolve()
        await gate.promise
        writer.writeString(text)
        await writer.flush()
      },
    } as unknown as PlacedOptions)
    await peer.write('one')
    await began.promise
    connection.retire()
    await quietTurns()
    gate.resolve()
    t.is(String(await peer.readToEnd()), 'one')
    peer.end()
    await endOf(connection)
  })

  test(`a stream that toDuplex has taken over stays, ${words(place)}`, async (t) => {
    const { connection, peer } = await connectionAt(t, place, {
      framing: undefined,
      onConnect: () => {},
    } as unknown as PlacedOptions)
    await nextTurn()
    const duplex = connection.toDuplex()
    connection.retire()
    await quietTurns()
    await peer.write('one')
    const bytes = await new Promise((resolve) => duplex.once('data', resolve))
    t.is(String(bytes), 'one')
    t.true(connection.isActive)
    duplex.end('two')
    t.is(String(await peer.readToEnd()), 'two')
    peer.end()
    await endOf(connection)
  })

  test(`retiring what has ended or closes does nothing, ${words(place)}`, async (t) => {
    const { connection, peer } = await connectionAt(t, place, { onRequest: (message) => message })
    const ended = endOf(connection)
    await nextTurn()
    void connection.close()
    connection.retire()
    peer.end()
    await ended
    connection.retire()
    t.false(connection.isActive)
  })

  test(`a hook may retire its connection, ${words(place)}`, async (t) => {
    for (const hook of ['onPrepare', 'onConnect'] as const) {
      const over = deferred()
      const attempt = connectionAt(t, place, {
        ...(place.side === 'server' && { onRequest: (message: Buffer) => message }),
        [hook]: (one: Connection) => {
          one.onClose(over.resolve)
          one.retire()
        },
      } as PlacedOptions)
      if (place.side === 'dialed') {
        const error = (await rejection(attempt)) as NetpollError
        t.is(error.code, 'ERR_CONN_CLOSED')
      } else {
        const { peer } = await attempt
        t.is((await peer.readToEnd()).length, 0)
        peer.end()
      }
      await over.promise
    }
  })
}
