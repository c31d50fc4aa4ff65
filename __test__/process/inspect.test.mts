// What `util.inspect` shows of servers, dialers, connections, pools and muxes: what a person wants to know, at any time.
import { inspect } from 'node:util'
import test from 'ava'

import { Connection, createServer, Dialer, Mux, Pool, Server } from '../../dist/index.mjs'
import { deferred, Inbox, nextTurn } from '../support/deferred.mjs'
import { endPlaces, ends, endWords } from '../support/ends.mjs'
import { frame } from '../support/frames.mjs'
import { placeOf } from '../support/listeners.mjs'
import { connectPeer, framing, gone, portOf, serve } from '../support/netpoll.mjs'
import { connectionAt, rawServer } from '../support/placed.mjs'
import { places, words } from '../support/places.mjs'
import { runFixture } from '../support/system.mjs'

const line = (value: unknown): string => inspect(value, { breakLength: Number.POSITIVE_INFINITY })

/** The names of the members that are shown. */
const membersOf = (text: string): readonly string[] =>
  Array.from(text.matchAll(/(?<=[{,] )(\w+)(?=:)/g), ([name]) => name)

for (const place of places) {
  test(`a connection is shown from its beginning to its end, ${words(place)}`, async (t) => {
    const { connection, peer } = await connectionAt(t, place, { onRequest: (message) => message })
    await nextTurn()
    const text = line(connection)
    const end = /^Connection \{ state: 'open', peer: '([^']+)', bytesRead: 0, bytesWritten: 0, calls: 0 \}$/
    const address = end.exec(text)?.[1] ?? text
    if (place.transport === 'tcp') t.regex(address, /^127\.0\.0\.1:\d+$/)
    else if (place.side === 'dialed') t.regex(address, /^\/.*\.sock$/)
    else t.is(address, 'an unnamed unix socket')
    await peer.write(frame('five!'))
    await peer.read(9)
    t.regex(line(connection), /bytesRead: 9, bytesWritten: 9, calls: 0 \}$/)
    connection.data = { user: 'me' }
    t.regex(line(connection), /calls: 0, data: \{ user: 'me' \} \}$/)
    connection.retire()
    t.regex(line(connection), /state: '(retiring|closing)'/)
    connection.destroy(new Error('enough'))
    t.regex(line(connection), /state: 'closing'/)
    await gone(connection)
    t.regex(line(connection), /state: 'closed', .*error: 'ERR_CONN_CLOSED', data: /)
    t.deepEqual(membersOf(line(connection)), [
      'state',
      'peer',
      'bytesRead',
      'bytesWritten',
      'calls',
      'error',
      'data',
      'user',
    ])
  })

  test(`states of half of a connection, and of one that was detached, are shown, ${words(place)}`, async (t) => {
    const options = { onRequest: () => undefined, allowHalfOpen: true }
    const { connection, peer } = await connectionAt(t, place, options)
    await nextTurn()
    peer.end()
    while (!line(connection).includes('writeOnly')) await nextTurn()
    connection.end()
    await gone(connection)
    const other = (await connectionAt(t, place, options)).connection
    await nextTurn()
    other.end()
    t.regex(line(other), /state: 'readOnly'/)
    const detached = (await connectionAt(t, place, options)).connection
    await nextTurn()
    await t.notThrowsAsync(async () => new Dialer({ framing }).fromFd(detached.detach()).then(gone))
    t.regex(line(detached), /state: 'closed', peer: '[^']+', bytesRead: 0, bytesWritten: 0, calls: 0 \}$/)
  })
}

for (const place of endPlaces.filter(({ side, pollers }) => side === 'server' && pollers < 2)) {
  test(`connections whose requests are handled are shown, ${endWords(place)}`, async (t) => {
    const { connection } = await ends(t, place)
    t.regex(line(connection), /^Connection \{ state: 'open', .* calls: 0 \}$/)
  })
}

for (const id of [undefined, { offset: 0, size: 4 } as const]) {
  test(`calls that wait are counted: ${id === undefined ? 'in order' : 'by ids'}`, async (t) => {
    const { target, peers } = await rawServer(t, 'tcp')
    const connection = await new Dialer({ framing, ...(id && { id }) }).dial(target)
    const calls = ['0001', '0002', '0003'].map((text) => connection.call(text).catch(() => {}))
    t.regex(line(connection), /calls: 3/)
    const peer = await peers.take()
    await peer.write(frame('0001'))
    await calls[0]
    t.regex(line(connection), /calls: 2/)
    await gone(connection)
    t.regex(line(connection), /state: 'closed', .*calls: 0/)
  })
}

test('a server is shown in each of its states', async (t) => {
  const gate = deferred()
  const began = deferred()
  const server = createServer({ framing }, async () => {
    began.resolve()
    await gate.promise
  })
  t.is(line(server), "Server { state: 'idle', connections: 0, accepted: 0, dropped: 0, requests: 0 }")
  await server.listen({ host: '127.0.0.1', port: 0 })
  const address = `address: '127.0.0.1:${portOf(server)}'`
  t.is(
    line(server),
    `Server { state: 'listening', ${address}, connections: 0, accepted: 0, dropped: 0, requests: 0 }`,
  )
  const peer = await connectPeer(t, { port: portOf(server) })
  await peer.write(frame('x'))
  await began.promise
  const closing = server.close()
  t.is(line(server), "Server { state: 'closing', connections: 1, accepted: 1, dropped: 0, requests: 1 }")
  gate.resolve()
  peer.end()
  await closing
  t.is(line(server), "Server { state: 'closed', connections: 0, accepted: 1, dropped: 0, requests: 1 }")
})

test('a server at a path, at an IPv6 address and one with workers are shown', async (t) => {
  const byPath = createServer({ framing }, () => undefined)
  t.teardown(() => byPath.close())
  await byPath.listen(placeOf(t, 'unix'))
  t.regex(line(byPath), /address: '\/.*\.sock'/)
  const six = createServer({ framing }, () => undefined)
  t.teardown(() => six.close())
  await six.listen({ host: '::1', port: 0 })
  t.regex(line(six), /address: '\[::1\]:\d+'/)
  const module = new URL('../fixtures/handler.mjs', import.meta.url)
  const working = createServer({ framing, workers: { module, threads: 2 } })
  await working.listen(placeOf(t, 'tcp'))
  t.regex(line(working), /requests: 0, workers: [12] \}$/)
  await working.close()
  t.regex(line(working), /state: 'closed', .*requests: 0 \}$/)
})

test('a dialer, a pool and a mux are shown', async (t) => {
  const { server, port } = await serve(t, {}, (message) => message)
  const target = { host: '127.0.0.1', port }
  const dialer = new Dialer({ framing })
  t.is(line(dialer), 'Dialer { connections: 0, dialed: 0, failed: 0, calls: 0 }')
  await gone(await dialer.dial(target))
  t.is(line(dialer), 'Dialer { connections: 0, dialed: 1, failed: 0, calls: 0 }')
  for (const one of [
    new Pool(target, { framing, connections: 1 }),
    new Mux(target, { framing, connections: 1 }),
  ]) {
    const { name } = one.constructor
    const shown = (state: string, counts: string): string =>
      `${name} { state: '${state}', address: '127.0.0.1:${port}', ${counts} }`
    const none = 'connected: 0, free: 0, pending: 0, queued: 0, running: 0, size: 0'
    t.is(line(one), shown('open', none))
    await one.call('x')
    t.is(line(one), shown('open', none.replace('connected: 0, free: 0', 'connected: 1, free: 1')))
    const closing = one.close()
    t.regex(line(one), /state: 'closing'/)
    await closing
    t.is(line(one), shown('closed', none))
  }
  t.regex(line(new Pool({ path: '/nowhere' }, { framing })), /address: '\/nowhere'/)
  t.regex(line(new Mux({ host: 'some.name', port: 1 }, { framing })), /address: 'some\.name:1'/)
  await server.close()
})

test('depth, compact, colours and breakLength are respected', async (t) => {
  const { target } = await rawServer(t, 'tcp')
  const connection = await new Dialer({ framing }).dial(target)
  t.teardown(() => gone(connection))
  const all = [connection, createServer({ framing }), new Dialer({ framing }), new Mux(target, { framing })]
  for (const one of all) {
    const { name } = one.constructor
    t.is(inspect({ one }, { depth: 0 }), `{ one: [${name}] }`)
    t.is(inspect(one, { depth: -1 }), `[${name}]`)
    t.is(inspect({ one }, { depth: 0, colors: true }), `{ one: \u001b[36m[${name}]\u001b[39m }`)
    t.regex(inspect(one, { depth: 0 }), new RegExp(`^${name} \\{`))
    t.regex(inspect(one, { compact: false }), new RegExp(`^${name} \\{\n {2}\\w+: .*,\n`))
    t.regex(inspect({ one }, { compact: false }), new RegExp(`^\\{\n {2}one: ${name} \\{\n {4}\\w+: .*,\n`))
    t.true(inspect(one, { colors: true }).includes('\u001b[33m0\u001b[39m'))
    t.is(inspect(one, { breakLength: 20 }).split('\n').length, membersOf(line(one)).length + 2)
  }
  connection.data = { a: { b: { c: { d: 1 } } } }
  t.regex(line(connection), /data: \{ a: \{ b: \[Object\] \} \} \}$/)
  t.regex(inspect({ connection }, { depth: 1, breakLength: 999 }), /data: \[Object\] \} \}$/)
  t.regex(inspect(connection, { depth: null, breakLength: 999 }), /c: \{ d: 1 \}/)
})

test('nothing of the package is seen, whatever is asked for', async (t) => {
  const { target } = await rawServer(t, 'tcp')
  const connection = await new Dialer({ framing }).dial(target)
  t.teardown(() => gone(connection))
  const all = [connection, createServer({ framing }), new Dialer({ framing }), new Mux(target, { framing })]
  all.push(new Pool(target, { framing }) as never)
  for (const one of all) {
    for (const customInspect of [true, false]) {
      const text = inspect(one, {
        showHidden: true,
        getters: customInspect,
        depth: null,
        customInspect,
        breakLength: 999,
      })
      t.notRegex(text, /core|profile|native|loop|Buffer|facade|#|owner/i)
    }
  }
})

test('data that leads back to its connection ends, whatever the depth', async (t) => {
  const { target } = await rawServer(t, 'tcp')
  const connection = await new Dialer({ framing }).dial(target)
  t.teardown(() => gone(connection))
  connection.data = { connection, list: [connection] }
  for (const depth of [null, Number.POSITIVE_INFINITY, 100]) {
    const text = inspect(connection, { depth, breakLength: 999 })
    t.regex(text, /data: \{ connection: \[Circular\], list: \[ \[Circular\] \] \} \}$/)
  }
  // It is no circle where both stand beside each other, or where showing it has failed before.
  t.is(line([connection, connection]).split('state').length, 3)
  connection.data = {
    [inspect.custom]: () => {
      throw new Error("the user's")
    },
  }
  t.throws(() => line(connection), { message: "the user's" })
  connection.data = 1
  t.regex(line(connection), /data: 1/)
})

test('prototypes, proxies, heirs and what users make of an object are shown as well', async (t) => {
  const { target } = await rawServer(t, 'tcp')
  const connection = await new Dialer({ framing }).dial(target)
  t.teardown(() => gone(connection))
  const all = [connection, createServer({ framing }), new Dialer({ framing }), new Mux(target, { framing })]
  for (const kind of [Connection, Server, Dialer, Mux, Pool]) t.is(typeof inspect(kind.prototype), 'string')
  for (const one of all) {
    t.is(typeof inspect(new Proxy(one, {})), 'string')
    t.is(typeof inspect(new Proxy(one, {}), { showProxy: true }), 'string')
    t.is(typeof inspect(Object.create(one)), 'string')
    const before = line(one)
    for (const name of ['stats', 'address', 'state', 'remoteAddress', 'bytesRead', 'data']) {
      Object.defineProperty(one, name, {
        get: () => {
          throw new Error('hostile')
        },
      })
    }
    t.is(line(one), before)
    const method = (one as unknown as Record<symbol, () => unknown>)[Symbol.for('nodejs.util.inspect.custom')]
    t.is(typeof method?.call(one), 'string')
  }
})

test('connections that hooks refuse, and dials that fail, are shown', async (t) => {
  const seen = new Inbox<Connection>()
  const { port } = await serve(
    t,
    {
      onPrepare: (connection) => {
        seen.push(connection)
        return false
      },
    },
    () => undefined,
  )
  const peer = await connectPeer(t, { port })
  const connection = await seen.take()
  await new Promise<void>((resolve) => void connection.onClose(resolve))
  t.regex(line(connection), /state: 'closed'/)
  peer.end()
})

test('connections are shown although the poller has gone that had them', async (t) => {
  const outcome = await runFixture(t, 'inspected')
  t.deepEqual(outcome, { code: 0, signal: null, stdout: 'closed\nclosed\n', stderr: '' })
})
