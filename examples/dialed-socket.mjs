// A stream that connects by netpoll when it is asked to, as `net.Socket` does: for libraries that call `stream.connect`, now
// or to reconnect, and for agents, which count the streams that they have been given. `node examples/dialed-socket.mjs 8080`
// has an agent of Node's `http` with two sockets ask the server of that port for ten pages.

import { Agent, get } from 'node:http'
import { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { Dialer } from 'netpoll'

const dialer = new Dialer({ allowHalfOpen: true })

export class DialedSocket extends Duplex {
  connecting = false
  /** @type {import('netpoll').ConnectionDuplex | undefined} */
  #stream
  #dial = new AbortController()
  /** @type {{ work: () => void, abandon: (error: Error) => void }[]} What waits for the stream. */
  #waiting = []
  #timeout = 0
  #isReferenced = true

  constructor() {
    super({ allowHalfOpen: false, decodeStrings: false, emitClose: false })
  }

  /**
   * Connects; one that is closed does so again.
   *
   * @param {number | string | import('netpoll').DialOptions} target port, path of a unix socket, or options
   * @param {unknown[]} more the host of a port, a listener for `'connect'`
   */
  connect(target, ...more) {
    if (this.destroyed) /** @type {() => void} */ (Reflect.get(Object(this), '_undestroy')).call(this)
    const [host = 'localhost'] = more.filter((value) => typeof value === 'string')
    const listener = more.find((value) => typeof value === 'function')
    if (listener !== undefined) this.once('connect', /** @type {() => void} */ (listener))
    this.connecting = true
    this.#dial = new AbortController()
    dialer.dial({ ...targetOf(target, host), signal: this.#dial.signal }).then(
      (connection) => this.#connected(connection.toDuplex()),
      (error) => this.destroy(error),
    )
    return this
  }

  get remoteAddress() {
    return this.#stream?.remoteAddress
  }

  get remotePort() {
    return this.#stream?.remotePort
  }

  setNoDelay(on = true) {
    return this.#set((stream) => stream.setNoDelay(on))
  }

  setKeepAlive(enable = false, initialDelay = 0) {
    return this.#set((stream) => stream.setKeepAlive(enable, initialDelay))
  }

  /** @param {number} milliseconds @param {(() => void)=} listener */
  setTimeout(milliseconds, listener) {
    this.#timeout = milliseconds
    if (listener !== undefined) this.once('timeout', listener)
    return this.#set((stream) => stream.setTimeout(this.#timeout))
  }

  ref() {
    this.#isReferenced = true
    return this.#set((stream) => stream.ref())
  }

  unref() {
    this.#isReferenced = false
    return this.#set((stream) => this.#isReferenced || stream.unref())
  }

  destroySoon() {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', () => this.destroy())
  }

  /** @override */
  _read() {
    this.#set((stream) => stream.resume())
  }

  /** @override @param {Buffer | string} chunk @param {BufferEncoding} encoding @param {(error?: Error | null) => void} done */
  _write(chunk, encoding, done) {
    this.#set((stream) => stream.write(chunk, encoding, done), done)
  }

  /** @override @param {() => void} done */
  _final(done) {
    this.#set((stream) => stream.end(done))
  }

  /** @override @param {Error | null} error @param {(error: Error | null) => void} done */
  _destroy(error, done) {
    const stream = this.#stream
    const waiting = this.#waiting
    this.#stream = undefined
    this.#waiting = []
    this.connecting = false
    for (const { abandon } of waiting) abandon(error ?? new Error('The socket was destroyed'))
    this.#dial.abort()
    done(error)
    const closed = () => this.emit('close', error !== null)
    if (stream === undefined || stream.closed) setImmediate(closed)
    else stream.destroy().once('close', closed)
  }

  /**
   * Does it now, or as soon as there is a stream.
   *
   * @param {(stream: import('netpoll').ConnectionDuplex) => unknown} work
   * @param {(error: Error) => void} abandon
   */
  #set(work, abandon = () => {}) {
    const stream = this.#stream
    if (stream !== undefined) work(stream)
    else this.#waiting.push({ work: () => this.#stream && work(this.#stream), abandon })
    return this
  }

  /** @param {import('netpoll').ConnectionDuplex} stream */
  #connected(stream) {
    if (this.destroyed) return void stream.destroy()
    this.#stream = stream.pause()
    this.connecting = false
    stream.on('error', (error) => this.destroy(error))
    stream.on('data', (bytes) => this.push(bytes) || stream.pause())
    stream.on('end', () => {
      this.push(null)
      this.read(0)
    })
    stream.on('timeout', () => this.emit('timeout'))
    stream.on('close', () => this.#stream === stream && this.destroy())
    const waiting = this.#waiting
    this.#waiting = []
    for (const { work } of waiting) work()
    this.emit('connect')
    this.emit('ready')
    // As a socket of Node.js, it reads although nobody does, so that it hears of its peer's end.
    if (!this.isPaused()) this.read(0)
  }
}

/** @param {number | string | import('netpoll').DialOptions} target @param {string} host @returns {import('netpoll').DialOptions} */
function targetOf(target, host) {
  if (typeof target === 'object') return target
  return Number(target) >= 0 ? { port: target, host } : { path: String(target) }
}

/** An agent whose connections are netpoll's. It has the stream at once, and so keeps to `maxSockets`. */
export class DialedAgent extends Agent {
  /** @override @param {object} options */
  createConnection(options) {
    return /** @type {never} */ (
      new DialedSocket().connect(/** @type {import('netpoll').DialOptions} */ (options))
    )
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const agent = new DialedAgent({ keepAlive: true, maxSockets: 2 })
  const pages = Array.from({ length: 10 }, (_, page) => {
    const { promise, resolve, reject } = withResolvers()
    get({ port: process.argv[2] ?? 8080, host: '127.0.0.1', path: `/${page}`, agent }, resolve).on(
      'error',
      reject,
    )
    return promise.then(text)
  })
  for (const page of await Promise.all(pages)) console.log(page)
  agent.destroy()
}

/** `Promise.withResolvers`, which Node.js 20 lacks. */
function withResolvers() {
  /** @type {(response: import('node:http').IncomingMessage) => void} */
  let resolve = () => {}
  /** @type {(error: Error) => void} */
  let reject = () => {}
  const promise = new Promise((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise: /** @type {Promise<import('node:http').IncomingMessage>} */ (promise), resolve, reject }
}
