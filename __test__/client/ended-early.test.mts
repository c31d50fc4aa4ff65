// A dial whose connection ends before its caller has it says what has ended it.
import test from 'ava'

import { type Connection, Dialer, NetpollError } from '../../dist/index.mjs'
import { nextTurn, until } from '../support/deferred.mjs'
import { framing, rejection } from '../support/netpoll.mjs'
import type { Peer } from '../support/peer.mjs'
import { rawServer } from '../support/placed.mjs'
import { places, words } from '../support/places.mjs'
import { certificate, secure } from '../support/tls.mjs'

interface Ending {
  readonly end: (peer: Peer, connection: Connection) => unknown
  readonly text: string
  readonly cause: string | undefined
}

const endings: Readonly<Record<string, Ending>> = {
  'its peer ends': {
    end: ({ socket }) => socket.end(),
    text: 'The peer has ended the connection before it was used',
    cause: 'ERR_EOF',
  },
  'the user closes it': {
    end: (_peer, connection) => connection.destroy(),
    text: 'The connection was closed before it was used',
    cause: undefined,
  },
}

for (const [name, { end, text, cause }] of Object.entries(endings)) {
  for (const place of places.filter(({ side }) => side === 'dialed')) {
    for (const isSecure of [false, true]) {
      test(`${name}: ${words(place)}${isSecure ? ', TLS' : ''}`, async (t) => {
        const { target, peers } = await rawServer(t, place.transport)
        const dialer = new Dialer({
          framing,
          pollers: place.pollers,
          ...(isSecure && { tls: { ca: certificate, servername: 'localhost' } }),
          onError: () => {},
          onConnect: async (connection) => {
            end(await peer, connection)
            await until(() => !connection.isActive)
            // Its last record follows.
            for (let turn = 0; turn < 100; turn += 1) await nextTurn()
          },
        })
        const dialing = rejection(dialer.dial(target))
        const peer = peers.take()
        if (isSecure) await secure((await peer).socket, 'server')
        const error = await dialing
        t.true(error instanceof NetpollError)
        const { code, message, cause: found } = error as NetpollError
        t.deepEqual([code, message], ['ERR_CONN_CLOSED', text])
        t.is((found as NetpollError | undefined)?.code, cause)
      })
    }
  }
}
