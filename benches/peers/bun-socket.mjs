// What Bun leaves to its users: keeping what a socket does not take.

/**
 * A connection, as its server sees it.
 *
 * @typedef {{ output: BunOutput, receive(chunk: Buffer): void }} Receiver
 */

/**
 * What a socket is for its output.
 *
 * @typedef {Pick<BunSocket<unknown>, 'write'>} Sink
 */

/** What one connection sends. */
export class BunOutput {
  /** @type {Uint8Array[]} */
  #waiting = []
  #socket

  /** @param {Sink} socket */
  constructor(socket) {
    this.#socket = socket
  }

  /** @param {Uint8Array} bytes */
  write(bytes) {
    if (this.#waiting.length > 0) {
      this.#waiting.push(bytes)
      return
    }
    const taken = this.#socket.write(bytes)
    // Less than nothing says that the peer has gone.
    if (taken >= 0 && taken < bytes.length) this.#waiting.push(bytes.subarray(taken))
  }

  /** Goes on once the socket takes more. */
  drain() {
    const waiting = this.#waiting
    this.#waiting = []
    for (const bytes of waiting) this.write(bytes)
  }
}

/**
 * Listens, and returns where.
 *
 * @template {Receiver} Connection
 * @param {{ host: string, port: number } | { path: string }} endpoint
 * @param {{ key: string, cert: string } | undefined} tls
 * @param {(socket: Sink) => Connection} connect
 */
export function listen(endpoint, tls, connect) {
  const handlers = /** @type {BunHandlers<Connection>} */ ({
    open(socket) {
      socket.data = connect(socket)
    },
    data: (socket, chunk) => socket.data.receive(chunk),
    drain: (socket) => socket.data.output.drain(),
    close() {},
    error: (socket) => socket.end(),
  })
  const common = { socket: handlers, ...(tls === undefined ? {} : { tls }) }
  if ('path' in endpoint) {
    Bun.listen({ unix: endpoint.path, ...common })
    return endpoint.path
  }
  const { port } = Bun.listen({ hostname: endpoint.host, port: endpoint.port, ...common })
  return `${endpoint.host}:${port}`
}
