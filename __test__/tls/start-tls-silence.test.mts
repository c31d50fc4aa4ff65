// Silence ends a connection on its way to TLS, as it ends any connection with `idleTimeout`, however long a handshake may take.

import test from 'ava'

import type { Connection } from '../../dist/index.mjs'
import { deferred } from '../support/deferred.mjs'
import { codeOf, rejection } from '../support/netpoll.mjs'
import { places, words } from '../support/places.mjs'
import { begins, starts, streamAt } from '../support/start-tls.mjs'

for (const place of places) {
  for (const [when, limit] of [
    ['as an option', 'option'],
    ['set before', 'before'],
    ['set meanwhile', 'meanwhile'],
  ] as const) {
    test(`idleTimeout ends startTls with a peer that stops, ${when}: ${words(place)}`, async (t) => {
      const limits = limit === 'option' ? { idleTimeout: 50 } : {}
      const { connection, ends, peer } = await streamAt(t, place, limits)
      if (limit === 'before') connection.setIdleTimeout(50)
      const secured = rejection(starts(connection, place))
      await begins(peer, place)
      if (limit === 'meanwhile') connection.setIdleTimeout(50)
      t.is(codeOf(await secured), 'ERR_IDLE_TIMEOUT')
      t.is(codeOf(await ends.take()), 'ERR_IDLE_TIMEOUT')
      await peer.readToEnd()
    })
  }

  test(`idleTimeout ends startTls with a peer that says nothing at all: ${words(place)}`, async (t) => {
    const { connection, ends } = await streamAt(t, place, { idleTimeout: 50 })
    t.is(codeOf(await rejection(starts(connection, place))), 'ERR_IDLE_TIMEOUT')
    t.is(codeOf(await ends.take()), 'ERR_IDLE_TIMEOUT')
  })

  test(`readTimeout is for readers, and does not end startTls: ${words(place)}`, async (t) => {
    const { connection, ends } = await streamAt(t, place, { idleTimeout: 100, readTimeout: 5 })
    t.is(codeOf(await rejection(starts(connection, place))), 'ERR_IDLE_TIMEOUT')
    t.is(codeOf(await ends.take()), 'ERR_IDLE_TIMEOUT')
  })

  test(`a handler that waits for startTls does not hold the connection: ${words(place)}`, async (t) => {
    const secured = deferred<unknown>()
    const onData = async (connection: Connection): Promise<void> => {
      connection.reader.skip(connection.reader.length)
      secured.resolve(await rejection(starts(connection, place)))
    }
    const { ends, peer } = await streamAt(t, place, { idleTimeout: 50 }, onData)
    await peer.write('STARTTLS')
    t.is(codeOf(await secured.promise), 'ERR_IDLE_TIMEOUT')
    t.is(codeOf(await ends.take()), 'ERR_IDLE_TIMEOUT')
  })
}
