import { constants } from 'node:os'

import { type Connection, ConnectionDuplex, coreOf } from '../connection/connection'
import type { DialOptions } from './dial-options'
import { checkedOf, dialAnyPort, Dialer, isDialer } from './dialer'
import { lateTransport } from '../connection/stream/duplex'
import { isNetpollError, errorOfStream, invalidType, NetpollError, systemError } from '../errors'
import { hostRealm } from '../checks/host-realm'
import { forgetSignal, isAborted, reasonOf, takeSignal } from '../abort'
import { byteLength, type StreamChunk } from '../connection/stream/duplex-write'
import { maxTimeout } from '../time/time-limits'
import { clearTimeout, setImmediate, setTimeout } from '../time/timers'

type Callback = (error?: Error | null) => void

/** What the stream has asked for before it was connected: it asks for one write, or its end, at a time. */
interface PendingOutput {
  readonly begin: () => void
  readonly callback: Callback
  readonly bytes: number
}

/** A {@link Dialer}, whatever its connections keep. */
export interface StreamDialer {
  /** Connects, as `Dialer.dial` does. */
  dial(options: DialOptions): Promise<object>
}

/** A dial that is under way. */
interface Dial {
  abandon(): void
}

/** What streams of Node.js have, so that a socket can be used again. */
interface Reusable {
  _undestroy(): void
}

/**
 * A {@link ConnectionDuplex} that is there before its connection, as a `net.Socket` is. It is for libraries that call
 * `stream.connect`, then or to connect again, and for agents, which count the streams that they have been given.
 *
 * What is written before it is connected is kept, up to what `write` says, and sent then. What is set before holds for
 * each of its connections. Of the events of `net.Socket` it has `'connect'` and `'ready'`, and not `'lookup'`.
 *
 * @example
 * ```ts
 * import { once } from 'node:events'
 * import { createServer, DialedSocket } from 'netpoll'
 *
 * const server = createServer({
 *   onData({ reader, writer }) {
 *     writer.writeBinary(reader.next(reader.length))
 *     void writer.flush()
 *   },
 * })
 * await server.listen({ host: '127.0.0.1', port: 8000 })
 *
 * const socket = new DialedSocket()
 * socket.connect({ host: '127.0.0.1', port: 8000 })
 * socket.write('hello')
 * console.log(String((await once(socket, 'data'))[0])) // hello
 * socket.destroy()
 * ```
 */
export class DialedSocket extends ConnectionDuplex {
  readonly #dialer: Dialer
  #dial: Dial | undefined
  #isConnected = false
  #waiting: PendingOutput | undefined
  /** The silence of a connection that is not there yet. */
  #silence: ReturnType<typeof setTimeout> | undefined
  // What was set, for connections to come.
  #noDelay: unknown
  #keepAlive: readonly [enable: unknown, initialDelay: number | undefined] | undefined
  #isReferenced = true

  /**
   * @param dialer the dialer whose options its connections have, without a framing; by default one of all such sockets,
   * which has none
   * @throws TypeError `ERR_INVALID_ARG_TYPE`
   */
  constructor(dialer: StreamDialer = defaultDialer()) {
    if (!isDialer(dialer)) throw invalidType('dialer', 'an instance of Dialer', dialer)
    super(undefined, checkedOf(dialer).allowHalfOpen)
    this.#dialer = dialer
  }

  /** Whether it dials. */
  override get connecting(): boolean {
    return #dial in this && this.#dial !== undefined
  }

  /** Whether there is no connection: it was not asked to connect, dials, or is destroyed. */
  override get pending(): boolean {
    return super.pending || !(#isConnected in this && this.#isConnected)
  }

  /** As of a duplex; `'opening'` while it dials. */
  override get readyState(): string {
    return this.connecting ? 'opening' : super.readyState
  }

  /** As of a duplex, with what waits to be connected. */
  override get bytesWritten(): number {
    return #waiting in this ? super.bytesWritten + (this.#waiting?.bytes ?? 0) : super.bytesWritten
  }

  /** As of a duplex; `undefined` before it is asked to connect. */
  override get bufferSize(): number | undefined {
    return this.connecting || !this.pending ? super.bufferSize : undefined
  }

  /**
   * Connects; one that was destroyed does so again. A failure is an `'error'`. While it dials it keeps the process alive,
   * whatever `unref` says.
   *
   * @param options the address to dial, and how
   * @param listener for the next `'connect'`
   * @throws TypeError `ERR_INVALID_ARG_TYPE`
   */
  connect(options: DialOptions, listener?: () => void): this
  /**
   * As the first form, to a port, or to the path of a unix socket.
   *
   * @param host `'localhost'` by default
   */
  connect(port: number | string, host?: string, listener?: () => void): this
  /**
   * As the second form, without a host.
   *
   * @param target a port, or the path of a unix socket
   */
  connect(target: number | string, listener?: () => void): this
  connect(target: DialOptions | number | string, ...more: readonly unknown[]): this {
    const [host] = more.filter((value) => typeof value === 'string')
    const options = targetOf(target, host)
    if (this.destroyed) {
      lateTransport.restart(this)
      this.#isConnected = false
      ;(this as unknown as Reusable)._undestroy()
    }
    const listener = more.find((value) => typeof value === 'function')
    if (listener !== undefined) this.once('connect', listener as () => void)
    if (this.connecting || this.#isConnected) {
      return this.destroy(connectedBefore(this.connecting, options))
    }
    this.#start(options)
    return this
  }

  /** As of a duplex; while it is not connected, the time counts from this call. */
  override setTimeout(milliseconds: number, callback?: () => void): this {
    super.setTimeout(milliseconds, callback)
    if (!this.#isConnected) this.#watchSilence()
    return this
  }

  /** As of a duplex, once it is connected; `ERR_SOCKET_CLOSED` of one that was not asked to connect. */
  override resetAndDestroy(): this {
    if (this.connecting) return this.once('connect', () => super.resetAndDestroy())
    if (!this.#isConnected) return this.destroy(notConnected())
    return super.resetAndDestroy()
  }

  /** As of a duplex, and for connections to come. */
  override setNoDelay(on: unknown = true): this {
    this.#noDelay = on
    return super.setNoDelay(on)
  }

  /** As of a duplex, and for connections to come. */
  override setKeepAlive(enable: unknown = false, initialDelay?: number): this {
    this.#keepAlive = [enable, initialDelay]
    return super.setKeepAlive(enable, initialDelay)
  }

  /** As of a duplex, and for connections to come. */
  override ref(): this {
    this.#isReferenced = true
    return super.ref()
  }

  /** As of a duplex, and for connections to come; a dial that is under way keeps the process alive. */
  override unref(): this {
    this.#isReferenced = false
    return super.unref()
  }

  /** @internal */
  override _write(chunk: Buffer | string, encoding: BufferEncoding, callback: Callback): void {
    if (this.#isConnected) {
      super._write(chunk, encoding, callback)
    } else {
      const bytes = byteLength({ chunk, encoding })
      this.#waiting = { begin: () => super._write(chunk, encoding, callback), callback, bytes }
    }
  }

  /** @internal */
  override _writev(chunks: readonly StreamChunk[], callback: Callback): void {
    if (this.#isConnected) {
      super._writev(chunks, callback)
    } else {
      const bytes = chunks.reduce((sum, one) => sum + byteLength(one), 0)
      this.#waiting = { begin: () => super._writev(chunks, callback), callback, bytes }
    }
  }

  /** @internal */
  override _final(callback: Callback): void {
    if (this.#isConnected) super._final(callback)
    else if (!this.connecting) callback()
    else this.#waiting = { begin: () => super._final(callback), callback, bytes: 0 }
  }

  /** @internal */
  override _destroy(error: Error | null, callback: Callback): void {
    this.#dial?.abandon()
    this.#dial = undefined
    clearTimeout(this.#silence)
    const waiting = this.#waiting
    this.#waiting = undefined
    // Between 'error' and 'close', as a socket of Node.js tells it. One that connects again has forgotten it.
    if (waiting !== undefined) {
      setImmediate(() => {
        if (this.destroyed) waiting.callback(error ?? neverConnected())
      })
    }
    super._destroy(error, callback)
  }

  #start(options: DialOptions): void {
    const abandonment = new hostRealm.AbortController()
    let signal: AbortSignal | undefined
    const aborted = (): void => void this.destroy(reasonOf(signal) as Error)
    const dial: Dial = {
      abandon: () => {
        forgetSignal(signal, aborted)
        abandonment.abort()
      },
    }
    this.#dial = dial
    this.#watchSilence()
    try {
      signal = takeSignal(options.signal)
      signal?.addEventListener('abort', aborted, { once: true })
    } catch (error) {
      this.destroy(error as Error)
      return
    }
    if (isAborted(signal)) {
      aborted()
      return
    }
    dialAnyPort(this.#dialer, { ...options, signal: abandonment.signal }).then(
      (connection) => {
        forgetSignal(signal, aborted)
        if (this.#dial === dial) this.#connected(connection)
        else connection.destroy()
      },
      (error: unknown) => {
        forgetSignal(signal, aborted)
        if (this.#dial === dial) this.destroy(asOfStream(error))
      },
    )
  }

  #connected(connection: Connection): void {
    this.#dial = undefined
    clearTimeout(this.#silence)
    try {
      this.#take(connection)
    } catch (error) {
      lateTransport.restart(this)
      connection.destroy()
      this.destroy(asOfStream(error))
      return
    }
    this.#isConnected = true
    this.#setAgain()
    lateTransport.announce(this, () => {
      this.emit('connect')
      this.emit('ready')
    })
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.begin()
    // Our direction has ended before there was a connection to tell.
    if (this.writableFinished) super._final(() => {})
  }

  #take(connection: Connection): void {
    const duplex = coreOf(connection)?.toDuplex((transport) => {
      lateTransport.join(this, transport)
      return this
    })
    if (duplex === this) return
    throw new NetpollError(
      'ERR_CONCURRENT_ACCESS',
      'A hook of the dialer has taken the stream of the connection',
    )
  }

  #setAgain(): void {
    if (this.#noDelay !== undefined) super.setNoDelay(this.#noDelay)
    if (this.#keepAlive !== undefined) super.setKeepAlive(...this.#keepAlive)
    if (this.timeout !== undefined) super.setTimeout(this.timeout)
    if (!this.#isReferenced) super.unref()
  }

  /** As of a socket of Node.js, silence counts before it is connected, too, and is told once. */
  #watchSilence(): void {
    clearTimeout(this.#silence)
    if (this.timeout === undefined || this.timeout === 0 || this.destroyed) return
    const milliseconds = Math.min(this.timeout, maxTimeout)
    this.#silence = setTimeout(() => this.emit('timeout'), milliseconds).unref()
  }
}

let ofAll: Dialer | undefined

function defaultDialer(): Dialer {
  ofAll ??= new Dialer()
  return ofAll
}

/** What `connect` is asked for, in the forms that `net.Socket` takes. */
function targetOf(target: DialOptions | number | string, host: string | undefined): DialOptions {
  checkTarget(target)
  if (typeof target === 'object') return target
  return Number(target) >= 0 ? { port: target, host } : { path: String(target) }
}

/** @throws TypeError `ERR_INVALID_ARG_TYPE` */
function checkTarget(target: unknown): void {
  const isNamed = typeof target === 'string' || typeof target === 'number'
  if (isNamed || (typeof target === 'object' && target !== null)) return
  throw invalidType('target', 'options, a port or a path', target)
}

function asOfStream(error: unknown): Error {
  if (!isNetpollError(error)) return error as Error
  // Node.js has a word of its own for a path that is too long.
  const { ENAMETOOLONG, EINVAL } = constants.errno
  const { address } = error as { readonly address?: string }
  if (error.errno !== -ENAMETOOLONG || address === undefined) return errorOfStream(error)
  return errorOfStream(systemError(EINVAL, 'connect', { address }))
}

/** As the system tells it of a socket. */
function connectedBefore(isConnecting: boolean, { host, path, port }: DialOptions): NetpollError {
  const { EALREADY, EISCONN } = constants.errno
  const where =
    typeof path === 'string' ? { address: path } : { address: host ?? 'localhost', port: Number(port) }
  return errorOfStream(systemError(isConnecting ? EALREADY : EISCONN, 'connect', where))
}

/** A reset without a connection, in the words of Node.js. */
function notConnected(): NetpollError {
  return errorOfStream(new NetpollError('ERR_SOCKET_CLOSED', 'Socket is closed'))
}

/** What a write that waits is told, in the words of Node.js. */
function neverConnected(): NetpollError {
  const message = 'Socket closed before the connection was established'
  return errorOfStream(new NetpollError('ERR_SOCKET_CLOSED_BEFORE_CONNECTION', message))
}
