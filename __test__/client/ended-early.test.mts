// A dial whose connection ends before its caller has it says what has ended it.
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { inspect } from 'node:util'

import test from 'ava'

import { type Connection, Dialer, NetpollError } from '../../dist/index.mjs'
import { deferred, until } from '../support/deferred.mjs'
import { frame } from '../support/frames.mjs'
import { framing, rejection } from '../support/netpoll.mjs'
import { isOverTls } from '../support/over-tls/record.mjs'
import { rawServer } from '../support/placed.mjs'
import { places, words } from '../support/places.mjs'
import { certificate, secure } from '../support/tls.mjs'

/** Where the suite runs with TLS, what is called plain has it already. */
const secureOrNot = isOverTls ? [false] : [false, true]

/** More than the system takes for a peer that reads nothing. */
const large = Buffer.alloc(8 * 1024 * 1024)

/** Has messages come before the hooks are over. */
function listen(connection: Connection): void {
  connection[Symbol.asyncIterator]()
    .next()
    .catch(() => {})
}

interface Other {
  readonly socket: Socket
  /** The same, or TLS over it. */
  readonly stream: Duplex
}

interface Ending {
  readonly end: (peer: Other, connection: Connection) => unknown
  readonly text: string
  /** Its code, or those that it may have. */
  readonly cause: string | undefined | readonly unknown[]
  readonly transports?: readonly string[]
  /** None where it would hide the outcome on a machine that stalls. */
  readonly closeTimeout?: number
}

const endings: Readonly<Record<string, Ending>> = {
  'its peer ends': {
    end: ({ socket }) => socket.end(),
    text: 'The peer has ended the connection before it was used',
    cause: 'ERR_EOF',
  },
  'its peer ends within a message': {
    end: ({ stream }, connection) => {
      listen(connection)
      stream.end(frame('abcd').subarray(0, 6))
    },
    text: 'The peer has ended the connection before it was used',
    cause: 'ERR_EOF',
  },
  'its peer resets it': {
    end: ({ socket }, connection) => {
      listen(connection)
      socket.resetAndDestroy()
    },
    text: 'The peer has ended the connection before it was used',
    cause: 'ECONNRESET',
    transports: ['tcp'],
  },
  'its peer sends what is refused': {
    end: ({ stream }, connection) => {
      listen(connection)
      stream.write(Buffer.alloc(8, 0xff))
    },
    text: 'The connection was refused for what the peer has sent before it was used',
    cause: 'ERR_FRAME_TOO_LARGE',
    closeTimeout: 20,
  },
  'its peer does not finish a message': {
    end: ({ stream }, connection) => {
      connection.setReadTimeout(20)
      listen(connection)
      stream.write(frame('abcd').subarray(0, 6))
    },
    text: 'The connection has failed before it was used',
    cause: 'ERR_READ_TIMEOUT',
    closeTimeout: 20,
  },
  'its peer takes nothing': {
    end: ({ socket }, connection) => {
      socket.pause()
      connection.setWriteTimeout(20)
      void connection.send(large)
    },
    text: 'The connection has failed before it was used',
    cause: 'ERR_WRITE_TIMEOUT',
  },
  'the user destroys it': {
    end: (_peer, connection) => connection.destroy(),
    text: 'The connection was closed before it was used',
    cause: undefined,
  },
  'the user closes it, and its peer ends': {
    end: ({ stream }, connection) => {
      stream.once('end', () => stream.end())
      stream.resume()
      return connection.close()
    },
    text: 'The connection was closed before it was used',
    cause: undefined,
  },
  'the user closes it, and its peer does not end': {
    end: (_peer, connection) => connection.close(),
    text: 'The connection was closed before it was used',
    // Of a peer that has not taken our end in time.
    cause: [undefined, 'ERR_CLOSE_TIMEOUT'],
    closeTimeout: 20,
  },
  'the user closes it, and its peer takes nothing': {
    end: ({ socket }, connection) => {
      socket.pause()
      void connection.send(large)
      return connection.close()
    },
    text: 'The connection was closed before it was used',
    cause: 'ERR_CLOSE_TIMEOUT',
    closeTimeout: 20,
  },
}

for (const [name, { end, text, cause, transports, closeTimeout = 0 }] of Object.entries(endings)) {
  for (const place of places.filter(({ side }) => side === 'dialed')) {
    if (transports?.includes(place.transport) === false) continue
    for (const isSecure of secureOrNot) {
      test(`${name}: ${words(place)}${isSecure ? ', TLS' : ''}`, async (t) => {
        const { target, peers } = await rawServer(t, place.transport)
        const other = deferred<Other>()
        const dialer = new Dialer({
          framing,
          closeTimeout,
          pollers: place.pollers,
          ...(isSecure && { tls: { ca: certificate, servername: 'localhost' } }),
          onError: () => {},
          onConnect: async (connection) => {
            await end(await other.promise, connection)
            await until(() => !connection.isActive)
            // Its last record follows.
            await until(() => inspect(connection).includes("state: 'closed'"))
          },
        })
        const dialing = rejection(dialer.dial(target))
        const { socket } = await peers.take()
        const stream = isSecure ? await secure(socket, 'server') : socket
        stream.on('error', () => {})
        other.resolve({ socket, stream })
        const error = await dialing
        t.true(error instanceof NetpollError)
        const { code, message, cause: found } = error as NetpollError
        t.deepEqual([code, message], ['ERR_CONN_CLOSED', text])
        const reason = (found as NetpollError | undefined)?.code
        const causes: readonly unknown[] = Array.isArray(cause) ? cause : [cause]
        t.true(causes.includes(reason), reason)
      })
    }
  }
}
