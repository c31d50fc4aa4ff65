// `net.Server` and `createServer` over a server of netpoll. Up to where the socket is opened it is Node's own.

'use strict'

const { chmodSync } = require('node:fs')
const net = process.getBuiltinModule('node:net')
const { join } = require('node:path')
const { getSystemErrorMap } = require('node:util')

const netpoll = require(join(__dirname, '..', '..', 'dist', 'index.js'))
const { callable } = require('./socket.cjs')

// Of what Node.js passes to the function that opens a socket.
const onlyIpv6 = 1
const reusePort = 2

/** What a `net.Server` asks of the handle that it listens by. */
class ListeningHandle {
  #server

  constructor(server) {
    this.#server = server
  }

  getsockname(out) {
    Object.assign(out, this.#server.address())
    return 0
  }

  /** For `readableAll` and `writableAll`. */
  fchmod(mode) {
    const path = this.#server.address()
    if (path !== null) chmodSync(path, 0o700 | (mode & 1 ? 0o055 : 0) | (mode & 2 ? 0o022 : 0))
    return 0
  }

  close() {
    // Streams are closed by whoever has them.
    this.#server.close()
  }

  ref() {
    this.#server.ref()
  }

  unref() {
    this.#server.unref()
  }

  hasRef() {
    return true
  }
}

/** An error of listening, which is no matter of streams, as Node.js words it. */
function inWordsOfNode(error) {
  const code = error.code === 'ENAMETOOLONG' ? 'EINVAL' : error.code
  const [, words] = Array.from(getSystemErrorMap().values()).find(([name]) => name === code) ?? []
  return words === undefined
    ? error
    : Object.assign(error, { code, message: error.message.replace(error.code, `${code}: ${words}`) })
}

class Server extends net.Server {
  #options

  constructor(options, listener) {
    super(options, listener)
    this.#options = typeof options === 'function' || options == null ? {} : options
  }

  /** Opens the socket, in the place of Node's own function of that name. */
  _listen2(address, port, addressType, _backlog, fd, flags = 0) {
    const server = netpoll.createServer({
      allowHalfOpen: Boolean(this.#options.allowHalfOpen),
      noDelay: Boolean(this.#options.noDelay),
      onConnect: (connection) => this.#accept(connection),
    })
    const isPath = port === -1 && addressType === -1
    const ofPort = { port, ipv6Only: (flags & onlyIpv6) !== 0, reusePort: (flags & reusePort) !== 0 }
    const host = address ?? undefined
    const place = fd >= 0 ? { fd } : isPath ? { path: address } : { ...ofPort, host }
    this._handle = new ListeningHandle(server)
    if (this._unref) this.unref()
    // A tick of its own, so that what a listener throws is no rejection.
    server.listen(place).then(
      () => process.nextTick(() => this._handle && this.emit('listening')),
      (error) => {
        this._handle = null
        process.nextTick(() => this.emit('error', inWordsOfNode(error)))
      },
    )
  }

  address() {
    if (this._handle === null) return null
    const out = {}
    this._handle.getsockname(out)
    return out
  }

  #accept(connection) {
    const { remoteAddress: remote, localAddress: local } = connection
    if (this.maxConnections != null && this._connections >= this.maxConnections) {
      connection.destroy()
      this.emit('drop', {
        localAddress: local?.address,
        localPort: local?.port,
        localFamily: local?.family,
        remoteAddress: remote?.address,
        remotePort: remote?.port,
        remoteFamily: remote?.family,
      })
      return
    }
    if (remote?.address && this.blockList?.check(remote.address, remote.family.toLowerCase())) {
      connection.destroy()
      return
    }
    const { pauseOnConnect } = this.#options
    // A stream of a server reads before it is given away. What is not to be read is held back before.
    if (pauseOnConnect) connection.pause()
    const duplex = connection.toDuplex()
    if (pauseOnConnect) duplex.pause().once('resume', () => connection.resume())
    if (this.#options.keepAlive) duplex.setKeepAlive(true, this.#options.keepAliveInitialDelay)
    this._connections += 1
    duplex.server = this
    duplex._server = this
    duplex.on('close', () => {
      this._connections -= 1
      this._emitCloseIfDrained()
    })
    // What a listener throws is nobody's but the program's.
    try {
      this.emit('connection', duplex)
    } catch (error) {
      process.nextTick(() => {
        throw error
      })
    }
  }
}

module.exports = {
  Server: callable(Server),
  createServer: (options, listener) => new Server(options, listener),
}
