import test from 'ava'

import { type Address, Dialer, type Connection } from '../../dist/index.mjs'
import { deferred, Inbox } from '../support/deferred.mjs'
import { type Ends, endPlaces, ends, endWords } from '../support/ends.mjs'
import { frame } from '../support/frames.mjs'
import { codeOf, connectPeer, framing, serve } from '../support/netpoll.mjs'

const acts: Readonly<Record<string, readonly [(given: Ends) => void, string | undefined]>> = {
  'a reset': [({ socket }) => void socket.resetAndDestroy(), 'ECONNRESET'],
  'an end within a message': [({ socket }) => void socket.end(frame('cut off').subarray(0, 6)), 'ERR_EOF'],
  'what is too long': [({ socket }) => void socket.end(Buffer.alloc(4, 255)), 'ERR_FRAME_TOO_LARGE'],
  'an end in order': [({ socket }) => void socket.end(), undefined],
  'our own end': [({ connection }) => connection.destroy(), undefined],
}

for (const place of endPlaces) {
  for (const [title, [act, code]] of Object.entries(acts)) {
    // A unix socket cannot be reset.
    if (code === 'ECONNRESET' && place.transport === 'unix') continue
    test(`after ${title} the peer’s address is known to the hooks: ${endWords(place)}`, async (t) => {
      const given = await ends(t, place)
      act(given)
      const end = await given.gone.take()
      t.is(codeOf(end.error), code)
      t.deepEqual(end.remoteAddress, given.address)
      t.deepEqual(
        given.errors.all.map(({ error, remoteAddress }) => [codeOf(error), remoteAddress]),
        code === undefined ? [] : [[code, given.address]],
      )
      // Whoever has asked in time has it for good.
      t.deepEqual(given.connection.remoteAddress, given.address)
    })
  }
}

for (const pollers of [0, 1, 2]) {
  const address = ({ localPort }: { readonly localPort?: number }): Address => ({
    address: '127.0.0.1',
    family: 'IPv4',
    port: localPort ?? 0,
  })

  test(`an async onDisconnect knows the peer’s address after a pause: ${pollers} pollers`, async (t) => {
    const told = new Inbox<Address | undefined>()
    const pause = deferred()
    const { port } = await serve(t, {
      pollers,
      onDisconnect: (async (connection: Connection) => {
        await pause.promise
        told.push(connection.remoteAddress)
      }) as (connection: Connection) => void,
    })
    const peer = await connectPeer(t, { port })
    const expected = address(peer.socket)
    peer.reset()
    await peer.closed
    // Until its slot has another.
    const next = await connectPeer(t, { port })
    const others = address(next.socket)
    next.reset()
    await next.closed
    pause.resolve()
    // Pollers tell of their connections in no order.
    const sorted = (known: readonly (Address | undefined)[]): readonly string[] =>
      known.map((one) => JSON.stringify(one)).sort()
    t.deepEqual(sorted(await told.reach(2)), sorted([expected, others]))
  })

  test(`the peer’s address is known after an end while onConnect runs: ${pollers} pollers`, async (t) => {
    const told = new Inbox<Address | undefined>()
    const begun = deferred()
    const hook = deferred()
    const { server, port } = await serve(t, {
      pollers,
      onConnect: () => {
        begun.resolve()
        return hook.promise
      },
      onError: () => {},
      onDisconnect: (connection) => told.push(connection.remoteAddress),
    })
    const peer = await connectPeer(t, { port })
    await begun.promise
    const expected = address(peer.socket)
    peer.reset()
    await peer.closed
    while (server.stats().connections > 0) await new Promise((resolve) => setImmediate(resolve))
    await new Promise((resolve) => setImmediate(resolve))
    hook.resolve()
    t.deepEqual(await told.take(), expected)
  })

  test(`the peer’s address is known after a detach: ${pollers} pollers`, async (t) => {
    const told = new Inbox<Address | undefined>()
    const { port } = await serve(t, {}, (request) => request)
    const dialer = new Dialer({
      framing,
      pollers,
      onDisconnect: (connection) => told.push(connection.remoteAddress),
    })
    const connection = await dialer.dial({ host: '127.0.0.1', port })
    const taken = await new Dialer({ framing }).fromFd(connection.detach())
    t.deepEqual(await told.take(), { address: '127.0.0.1', family: 'IPv4', port })
    t.deepEqual(connection.remoteAddress, { address: '127.0.0.1', family: 'IPv4', port })
    taken.destroy()
  })
}
