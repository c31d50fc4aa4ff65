// A connection on its way to TLS is active, and its signal not aborted, until it ends.

import test from 'ava'

import { type Connection, createServer, Dialer } from '../../dist/index.mjs'
import { patient } from '../support/certificates.mjs'
import { deferred, Inbox } from '../support/deferred.mjs'
import { placeOf } from '../support/listeners.mjs'
import { codeOf, gone, rejection, targetOf } from '../support/netpoll.mjs'
import { places, words } from '../support/places.mjs'
import { begins, identity, starts, streamAt, trust } from '../support/start-tls.mjs'

for (const place of places) {
  test(`a connection that goes over to TLS is active, and its signal says the same: ${words(place)}`, async (t) => {
    const { connection, peer } = await streamAt(t, place)
    const { signal } = connection
    const stands = (isActive: boolean): void => {
      t.is(connection.isActive, isActive)
      t.is(signal.aborted, !isActive)
      t.is(connection.signal.aborted, !isActive)
    }
    const secured = rejection(starts(connection, place))
    stands(true)
    await begins(peer, place)
    stands(true)
    const aborted = deferred()
    signal.addEventListener('abort', () => {
      t.false(connection.isActive)
      aborted.resolve()
    })
    peer.destroy()
    t.is(codeOf(await secured), 'ECONNRESET')
    await aborted.promise
    stands(false)
  })

  test(`a connection that has gone over is active as before: ${words(place)}`, async (t) => {
    const { pollers, transport, side } = place
    const accepted = new Inbox<Connection>()
    const server = createServer({ pollers, onConnect: accepted.push, onError: () => {} })
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen(placeOf(t, transport))
    const dialed = await new Dialer({ pollers, onError: () => {} }).dial(targetOf(server))
    const served = await accepted.take()
    const asked = side === 'server' ? served : dialed
    const secured = Promise.all([
      served.startTls({ ...identity, ...patient }),
      dialed.startTls({ ...trust, ...patient }),
    ])
    // Asked for by then for the first time.
    const { signal } = asked
    t.true(asked.isActive)
    await secured
    t.true(asked.isActive)
    t.false(signal.aborted)
    asked.destroy()
    t.false(asked.isActive)
    await gone(asked)
    t.true(signal.aborted)
  })
}
