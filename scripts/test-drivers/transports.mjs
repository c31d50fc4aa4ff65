// What a driver or server runs over: sockets of node:net, or streams of netpoll. Everything else is the same.

import { once } from 'node:events'
import { connect as connectNet } from 'node:net'
import { connect as connectTls } from 'node:tls'

import { createServer, DialedSocket, Dialer } from '../../dist/index.mjs'
import { certificate, key } from './certificate.mjs'

/** Answers of `dial` are connected sockets. `serve` has a server of Node.js, which does not listen, take connections. */
const net = {
  name: 'net',

  async dial({ host = '127.0.0.1', port }) {
    const socket = connectNet({ host, port })
    await once(socket, 'connect')
    return socket
  },

  async serve(server) {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return {
      port: server.address().port,
      close: () => new Promise((resolve) => server.close(resolve)),
    }
  },
}

const dialer = new Dialer()
/** Streams of ours that were given to a driver or server. */
let streams = 0

/** Streams of ours that Node's TLS may encrypt. */
const netpoll = {
  name: 'netpoll',

  async dial({ host = '127.0.0.1', port }) {
    streams += 1
    return (await dialer.dial({ host, port })).toDuplex()
  },

  /** For drivers that make their socket first, and have it connect. */
  socket() {
    streams += 1
    return new DialedSocket()
  },

  serve: (server) => serveOver(server, {}),
}

const trust = { ca: certificate, servername: 'localhost' }

/** Streams of ours that are encrypted already. */
const core = {
  ...netpoll,

  /** `upgrade` asks the server, in plain text, to go over to TLS; without it TLS comes first. */
  async connect({ host = '127.0.0.1', port }, options = {}, upgrade) {
    streams += 1
    const tls = { ...trust, ...options }
    if (upgrade === undefined) return (await new Dialer({ tls }).dial({ host, port })).toDuplex()
    const connection = await dialer.dial({ host, port })
    await upgrade(connection)
    await connection.startTls(tls)
    return connection.toDuplex()
  },

  serve: (server, options = {}) => serveOver(server, { tls: { key, cert: certificate, ...options } }),
}

async function serveOver(server, options) {
  // From then on an HTTP server keeps its time limits.
  server.emit('listening')
  const below = createServer({
    ...options,
    onConnect(connection) {
      streams += 1
      server.emit('connection', connection.toDuplex())
    },
  })
  await below.listen({ host: '127.0.0.1', port: 0 })
  return {
    port: below.address().port,
    async close() {
      server.closeIdleConnections?.()
      await below.close()
      // One that does not listen has nothing to close but time limits.
      server.close?.(() => {})
    },
  }
}

/** How many streams of netpoll the trials have used. */
export const streamsUsed = () => streams

/** How a run is encrypted: not at all, by Node's TLS over the stream, or by the core below it. */
export const securities = ['plain', 'tls', 'core']

/**
 * A transport by its name. `isSecure` says whether the other end expects TLS, and `addsTls` whether a driver or server has to
 * put it on top of a socket of `dial` or `serve`. Where `security` is `core`, `net` has Node's TLS to compare with.
 */
export function transportOf(name, security) {
  const isSecure = security !== 'plain'
  if (name === 'netpoll' && security === 'core') return { ...core, security, isSecure, addsTls: false }
  const transport = name === 'net' ? net : netpoll
  return {
    ...transport,
    security,
    isSecure,
    addsTls: isSecure,

    /** A connected socket, and where it is secure one that has shaken hands. */
    async connect(target, options = {}) {
      const socket = await transport.dial(target)
      if (!isSecure) return socket
      const secure = connectTls({ socket, ...trust, ...options })
      await once(secure, 'secureConnect')
      return secure
    },
  }
}

/** For drivers that open the socket which they are given: it is open, and says so. */
export function opened(socket) {
  if (socket.connect === undefined) {
    socket.connect = () => {
      process.nextTick(() => socket.emit('connect'))
      return socket
    }
  }
  return socket
}
