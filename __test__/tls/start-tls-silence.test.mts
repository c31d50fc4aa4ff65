// Silence ends a connection on its way to TLS, as it ends any connection with `idleTimeout`, however long a handshake may take.

import test from 'ava'

import type { Connection } from '../../dist/index.mjs'
import { deferred } from '../support/deferred.mjs'
import { codeOf, rejection } from '../support/netpoll.mjs'
import { places, words } from '../support/places.mjs'
import { begins, starts, streamAt } from '../support/start-tls.mjs'

const limit = 50

for (const place of places) {
  test(`idleTimeout ends startTls with a peer that stops, set meanwhile: ${words(place)}`, async (t) => {
    const { connection, ends, peer } = await streamAt(t, place)
    const secured = rejection(starts(connection, place))
    await begins(peer, place)
    connection.setIdleTimeout(limit)
    t.is(codeOf(await secured), 'ERR_IDLE_TIMEOUT')
    t.is(codeOf(await ends.take()), 'ERR_IDLE_TIMEOUT')
    await peer.readToEnd()
  })

  for (const [when, limits, before] of [
    ['as an option', { idleTimeout: limit }, () => {}],
    ['set before', {}, (connection: Connection) => connection.setIdleTimeout(limit)],
  ] as const) {
    test(`idleTimeout ends startTls with a peer that stops, ${when}: ${words(place)}`, async (t) => {
      const secured = deferred<unknown>()
      const opened = (connection: Connection): void => {
        before(connection)
        rejection(starts(connection, place)).then(secured.resolve)
      }
      const { ends, peer } = await streamAt(t, place, limits, { opened })
      // On a slow machine time is up before, and the peer says nothing at all.
      await begins(peer, place).catch(() => {})
      t.is(codeOf(await secured.promise), 'ERR_IDLE_TIMEOUT')
      t.is(codeOf(await ends.take()), 'ERR_IDLE_TIMEOUT')
    })
  }

  test(`idleTimeout ends startTls with a peer that says nothing at all: ${words(place)}`, async (t) => {
    const { connection, ends } = await streamAt(t, place)
    const secured = rejection(starts(connection, place))
    connection.setIdleTimeout(limit)
    t.is(codeOf(await secured), 'ERR_IDLE_TIMEOUT')
    t.is(codeOf(await ends.take()), 'ERR_IDLE_TIMEOUT')
  })

  test(`readTimeout is for readers, and does not end startTls: ${words(place)}`, async (t) => {
    const { connection, ends } = await streamAt(t, place, { readTimeout: 5 })
    const secured = rejection(starts(connection, place))
    connection.setIdleTimeout(100)
    t.is(codeOf(await secured), 'ERR_IDLE_TIMEOUT')
    t.is(codeOf(await ends.take()), 'ERR_IDLE_TIMEOUT')
  })

  test(`a handler that waits for startTls does not hold the connection: ${words(place)}`, async (t) => {
    const secured = deferred<unknown>()
    const onData = async (connection: Connection): Promise<void> => {
      connection.reader.skip(connection.reader.length)
      connection.setIdleTimeout(limit)
      secured.resolve(await rejection(starts(connection, place)))
    }
    const { ends, peer } = await streamAt(t, place, {}, { onData })
    await peer.write('STARTTLS')
    t.is(codeOf(await secured.promise), 'ERR_IDLE_TIMEOUT')
    t.is(codeOf(await ends.take()), 'ERR_IDLE_TIMEOUT')
  })
}
