import test from 'ava'

import { type Connection, Mux } from '../../dist/index.mjs'
import { Inbox } from '../support/deferred.mjs'
import { frame } from '../support/frames.mjs'
import { codeOf, framing, rejection } from '../support/netpoll.mjs'
import { rawServer } from '../support/placed.mjs'
import type { Peer } from '../support/peer.mjs'

const id = { offset: 0, size: 4 } as const

/** Answers one request of four bytes with itself. */
async function answer(peer: Peer): Promise<string> {
  const request = (await peer.read(8)).subarray(4)
  await peer.write(frame(request))
  return request.toString()
}

/** The peer of a connection that is dialed for `call`. */
async function nextPeer(peers: Inbox<Peer>, call: Promise<unknown>): Promise<Peer> {
  return Promise.race([peers.take(), call.then(() => Promise.reject(new Error('answered by nobody')))])
}

for (const transport of ['tcp', 'unix'] as const) {
  for (const pollers of [0, 1, 2]) {
    for (const [way, options] of [
      ['in order', {}],
      ['by ids', { id }],
    ] as const) {
      const where = `${way}, ${pollers} pollers, ${transport}`

      test(`a mux replaces a connection that its user ends: ${where}`, async (t) => {
        const { target, peers } = await rawServer(t, transport)
        const opened = new Inbox<Connection>()
        const mux = new Mux(target, { framing, pollers, connections: 1, onConnect: opened.push, ...options })
        t.teardown(() => mux.close({ timeout: 0 }))
        const first = mux.call('1111')
        const connection = await opened.take()
        const peer = await peers.take()
        t.is(await answer(peer), '1111')
        t.is(String(await first), '1111')
        const waiting = mux.call('2222')
        connection.end()
        const next = mux.call('3333')
        t.is(await answer(await nextPeer(peers, next)), '3333')
        t.is(String(await next), '3333')
        t.is(await answer(peer), '2222')
        t.is(String(await waiting), '2222')
        // Its peer gets the end that it was told, and closes it.
        t.is(String(await peer.readToEnd()), '')
        peer.end()
        await new Promise<void>((resolve) => void connection.onClose(resolve))
        t.is(mux.stats().connected, 1)
      })

      test(`a mux does not use a connection that onConnect ends: ${where}`, async (t) => {
        const { target, peers } = await rawServer(t, transport)
        let begun = 0
        const mux = new Mux(target, {
          framing,
          pollers,
          connections: 1,
          backoff: { min: 1, max: 1 },
          onConnect: (connection) => {
            begun += 1
            if (begun === 1) connection.end()
          },
          ...options,
        })
        t.teardown(() => mux.close({ timeout: 0 }))
        const refused = rejection(mux.call('1111'))
        await peers.take()
        t.is(codeOf(await refused), 'ERR_CONN_CLOSED')
        const next = mux.call('2222')
        t.is(await answer(await nextPeer(peers, next)), '2222')
        t.is(String(await next), '2222')
      })
    }
  }
}
