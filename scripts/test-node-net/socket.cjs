// `net.Socket`, `connect` and `createConnection` over a DialedSocket.

'use strict'

const dns = require('node:dns')
const net = process.getBuiltinModule('node:net')
const { join } = require('node:path')
const { addAbortSignal } = require('node:stream')

const { Dialer, DialedSocket, ConnectionDuplex } = require(join(__dirname, '..', '..', 'dist', 'index.js'))

/** Throws what `net.Socket` throws for such options of its constructor. */
function checkOptions({ fd, handle, signal, ...others }) {
  if (fd !== undefined && !(Number.isInteger(fd) && fd >= 0)) new net.Socket({ fd })
  new net.Socket(others).destroy()
}

const silent = () => {}

/** Throws what `connect` throws. The name is looked up by what never answers, so nothing is dialed. */
function checkTarget(options) {
  const probe = new net.Socket().on('error', silent)
  const { lookup, host, signal, ...others } = options
  const isAny = lookup === undefined || lookup === null || typeof lookup === 'function'
  // Hints are checked by the lookup.
  if (options.hints !== undefined) dns.lookup('127.0.0.1', { hints: options.hints }, silent)
  const given = typeof host === 'string' || host === undefined ? 'name.invalid' : host
  // A path is checked for its type alone, and dialed at once.
  if (typeof options.path === 'string' && options.path !== '') return
  try {
    if (options.path) probe.connect({ path: options.path })
    else probe.connect({ ...others, host: given, lookup: isAny ? silent : lookup })
  } finally {
    probe.destroy()
  }
}

/** Whether a name may be tried at more than one of its addresses. */
const triesAll = ({ autoSelectFamily }) => autoSelectFamily ?? net.getDefaultAutoSelectFamily()

function blocked(address) {
  return Object.assign(new Error(`IP(${address}) is blocked by net.BlockList`), { code: 'ERR_IP_BLOCKED' })
}

function invalidFamily(family, { host, port }) {
  const message = `Invalid address family: ${family} ${host}:${port}`
  return Object.assign(new RangeError(message), { code: 'ERR_INVALID_ADDRESS_FAMILY', host, port })
}

const isBlocked = (list, address, family) => list?.check(address, family === 6 ? 'ipv6' : 'ipv4') ?? false

/** The lookup of a socket, which tells of each address as `net.Socket` does. */
function toldLookup(socket, options) {
  const { lookup = dns.lookup, hints, blockList } = options
  const isOneTried = !triesAll(options)
  return (host, asked, callback) =>
    lookup(host, { ...asked, ...(hints === undefined ? {} : { hints }) }, (error, found, family) => {
      const all = Array.isArray(found) ? found : [{ address: found, family }]
      for (const one of error ? [{}] : all) socket.emit('lookup', error, one.address, one.family, host)
      if (error) {
        callback(error)
        return
      }
      const allowed = all.filter((one) => !isBlocked(blockList, one.address, one.family))
      const odd = all.find((one) => one.family !== 4 && one.family !== 6)
      if (odd !== undefined) callback(invalidFamily(odd.family, options))
      else if (allowed.length === 0) callback(blocked(all[0].address))
      else callback(null, isOneTried ? allowed.slice(0, 1) : allowed)
    })
}

/** What `onread` takes: bytes go to a buffer of its own, and to no listener of `'data'`. */
class OwnBuffer {
  #socket
  #next
  #callback
  #buffer
  #pieces = []
  #ends = false
  isPaused = false

  constructor(socket, { buffer, callback }) {
    this.#socket = socket
    this.#next = typeof buffer === 'function' ? buffer : () => buffer
    this.#callback = callback
    this.#buffer = this.#next()
  }

  add(piece) {
    if (piece === null) this.#ends = true
    else this.#pieces.push(piece)
    return this.deliver()
  }

  /** Whether more may come. */
  deliver() {
    while (!this.isPaused && this.#pieces.length > 0) {
      const [piece, ...rest] = this.#pieces
      const length = Math.min(piece.length, this.#buffer.length)
      this.#buffer.set(piece.subarray(0, length))
      this.#pieces = length < piece.length ? [piece.subarray(length), ...rest] : rest
      const given = this.#buffer
      if (this.#callback.call(this.#socket, length, given) === false) this.#socket.pause()
      this.#buffer = this.#next()
    }
    return !this.isPaused
  }

  /** Whether the end is to be told. */
  get isDone() {
    return this.#ends && this.#pieces.length === 0
  }
}

class Socket extends DialedSocket {
  #own

  constructor(given = {}) {
    const options = typeof given === 'number' ? { fd: given } : given
    checkOptions(options)
    const { allowHalfOpen, noDelay, highWaterMark, signal, onread } = options
    // A `net.Socket` waits for its connection for as long as the system does.
    const dialer = { connectTimeout: 0, allowHalfOpen: Boolean(allowHalfOpen), noDelay: Boolean(noDelay) }
    super(new Dialer(dialer))
    if (highWaterMark !== undefined) this._writableState.highWaterMark = highWaterMark
    if (options.keepAlive) this.setKeepAlive(true, options.keepAliveInitialDelay)
    if (signal) addAbortSignal(signal, this)
    if (onread) this.#own = new OwnBuffer(this, onread)
  }

  get _connecting() {
    return this.connecting
  }

  get _handle() {
    return this.pending ? null : this
  }

  connect(...given) {
    const [options, listener] = Array.isArray(given[0]) ? given[0] : net._normalizeArgs(given)
    checkTarget(options)
    const { port, host, path, family, localAddress, localPort, signal, blockList } = options
    if (listener !== null) this.once('connect', listener)
    if (net.isIP(host) && isBlocked(blockList, host, net.isIP(host))) return this.destroy(blocked(host))
    const target = path ? { path } : { port: Number(port), host }
    const lookup = toldLookup(this, options)
    return super.connect({ ...target, family, localAddress, localPort, signal, lookup })
  }

  push(piece, ...others) {
    if (this.#own === undefined) return super.push(piece, ...others)
    const takesMore = this.#own.add(piece)
    if (this.#own.isDone) super.push(null)
    return takesMore
  }

  pause() {
    if (this.#own !== undefined) this.#own.isPaused = true
    return super.pause()
  }

  resume() {
    super.resume()
    if (this.#own?.isPaused) {
      this.#own.isPaused = false
      this.#own.deliver()
      if (this.#own.isDone) super.push(null)
      // Nothing was pushed, so the stream does not ask for more by itself.
      if (!this.#own.isPaused) this._read()
    }
    return this
  }

  static [Symbol.hasInstance](value) {
    return value instanceof ConnectionDuplex
  }
}

/** Makes a socket and connects it. */
function connect(...given) {
  const [options, listener] = net._normalizeArgs(given)
  // The signal is given to `connect` of DialedSocket, which is what is judged.
  const socket = new Socket({ ...options, signal: undefined })
  if (options.timeout) socket.setTimeout(options.timeout)
  return socket.connect(options, listener)
}

/** A class that may be called without `new`, as those of `node:net` may. */
const callable = (type) => new Proxy(type, { apply: (target, _this, given) => new target(...given) })

module.exports = {
  Socket: callable(Socket),
  Stream: callable(Socket),
  connect,
  createConnection: connect,
  callable,
}
