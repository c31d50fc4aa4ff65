import { constants } from 'node:os'
import { Duplex } from 'node:stream'

import type { Address, TcpAddress } from '../../native/address'
import type { Arena } from '../../memory/arena'
import { bufferView } from '../../memory/chunk'
import type { ConnectionCore } from '../core'
import type { Connection } from '../connection'
import { invalidType, NetpollError, systemError } from '../../errors'
import { Hold } from '../read-pause'
import { HandleReader } from './handle-reader'
import { errnoOf } from '../../process/report'
import type { Output } from '../send-queue'
import type { Profile } from '../group'
import type { Consumer } from './stream-input'
import { byteLength, type StreamChunk, sendChunk, sendChunks } from './duplex-write'
import { largestTimeout, outOfRange } from '../../time/time-limits'
import { microtask, nextTick, setImmediate, setTimeout } from '../../time/timers'
import { throwLater, WriteCallbacks } from './write-callbacks'

/** Bytes that either direction buffers until it asks its source to wait. */
const highWaterMark = 64 * 1024

/** Seconds after which `setKeepAlive` has a silent peer probed, where no time is named: what systems come with. */
const usualKeepAlive = 7_200
/** Seconds of silence that systems take at most. */
const longestKeepAlive = 32_767

/** Milliseconds until a stream that does not read looks whether anything else keeps it. */
const lookAfter = 50

/** Questions to the core have numbers up to here, and begin again at 0. */
const largestQuestion = 2 ** 31 - 1

/** Of the state that every stream of Node.js keeps, what has no other name once the stream is made. */
interface WithStates {
  readonly _readableState: { autoDestroy: boolean }
}

type Callback = (error?: Error | null) => void

/** The connection of a duplex, and what it sends by. */
export interface Line {
  readonly core: ConnectionCore
  readonly output: Output
  readonly profile: Profile
}

/** @internal What a duplex is told of its connection, each in the context of its `listen` or `dial`. */
export let consumerOf: (duplex: ConnectionDuplex, line: Line) => Consumer

/** For a duplex that is there before its connection. */
export interface LateLine {
  /** Gives it its connection. What that tells waits until it is announced. */
  readonly join: (duplex: ConnectionDuplex, line: Line) => void
  /** Says that it is connected, by `tell`, before all else that it is told. */
  readonly announce: (duplex: ConnectionDuplex, tell: () => void) => void
  /** Makes it as new, without a connection. */
  readonly restart: (duplex: ConnectionDuplex) => void
}

/** @internal */
export let lateLine: LateLine

/**
 * A connection without framing as a `stream.Duplex`, with the members that libraries use of `net.Socket`. Made by
 * {@link Connection.toDuplex}.
 *
 * What arrives is pushed as views of pooled memory, without a copy, but for pieces of up to 1 KiB. What is written is copied before `write` returns,
 * so that its callback comes as soon as the system was given it and more may be written: for a slow peer when it has read, and for a fast one once
 * the event loop has turned, where much was sent in this turn. A chunk that lies in memory of something received is sent
 * from there instead, so do not change it afterwards. `'finish'` comes once the system has everything and our
 * direction has ended.
 *
 * Errors have the system's code, such as `ECONNRESET`. A listener that throws is an uncaught exception, as with the
 * streams of Node.js.
 */
export class ConnectionDuplex extends Duplex {
  /** Milliseconds of silence after which `'timeout'` is emitted, as {@link setTimeout} has set them. */
  timeout: number | undefined
  /** Of one that dials, there is none until it is connected. */
  #line: Line | undefined
  readonly #isHalfOpen: boolean
  #callbacks: WriteCallbacks | undefined
  /** Bytes passed on to the connection. */
  #dispatched = 0
  /** Of a write that waits until more may be written. */
  #written: Callback | undefined
  readonly #ready = (): void => {
    if (this.#written !== undefined) this.#tell(this.#writable, undefined)
  }
  readonly #writable = (): void => {
    const written = this.#written
    this.#written = undefined
    written?.()
  }
  /** Waits until our direction has ended. */
  #final: Callback | undefined
  #peerEnded = false
  /** Whether the connection is gone. */
  #gone = false
  /** The batch of which something was told last. */
  #toldBatch = 0
  /** What has come behind that, in its order. */
  readonly #untold: (() => void)[] = []
  #isCloseDue = false
  /** Whether bytes or the peer's end are expected. */
  #reads = true
  /** Whether the stream has asked by {@link _read} since bytes were pushed last. It asks once, so reading must not stop then. */
  #hasAsked = false
  #isLookDue = false
  /** The number of the last question to the core when nothing is unsent. */
  #question = 0
  /** Bytes that had gone either way when `'timeout'` was last emitted: a silence is told once. */
  #silentAt = -1
  /** TLS or HTTP/2 of Node.js on top, which says when the stream ends and goes, as it does for a socket's handle. */
  #reader: HandleReader | undefined

  static {
    consumerOf = (duplex, line) => duplex.#consumer(line)
    lateLine = {
      join: (duplex, line) => duplex.#join(line),
      announce: (duplex, tell) => duplex.#announce(tell),
      restart: (duplex) => duplex.#restart(),
    }
  }

  /** @internal */
  constructor(line: Line | undefined, allowHalfOpen: boolean) {
    super({ allowHalfOpen, decodeStrings: false, emitClose: false, highWaterMark })
    this.#line = line
    this.#isHalfOpen = allowHalfOpen
    this.on('end', this.#endTold)
    // What the same call does with the stream, such as to pause it, comes before.
    if (line !== undefined) microtask(this.#begin)
  }

  /**
   * The connection that this is the stream of, for its `data` and limits. Do not send or close by it.
   *
   * @throws NetpollError `ERR_CONN_CLOSED` of a {@link DialedSocket} that is not connected yet
   */
  get connection(): Connection {
    if (this.#line === undefined) throw new NetpollError('ERR_CONN_CLOSED', 'The socket is not connected')
    return this.#line.core.facade
  }

  /** Always false: a connection is established before the user has it. */
  get connecting(): boolean {
    return false
  }

  /** Whether there is no connection: from `destroy` on. */
  get pending(): boolean {
    return this.destroyed
  }

  /** `'open'`, `'readOnly'`, `'writeOnly'` or `'closed'`. */
  get readyState(): string {
    if (this.readable) return this.writable ? 'open' : 'readOnly'
    return this.writable ? 'writeOnly' : 'closed'
  }

  /** As `writableLength`; `undefined` once it is destroyed. */
  get bufferSize(): number | undefined {
    return this.destroyed ? undefined : this.writableLength
  }

  /** Bytes received so far. */
  get bytesRead(): number {
    return this.#line?.core.bytesRead ?? 0
  }

  /** Bytes written so far, those included that wait to be sent. */
  get bytesWritten(): number {
    const { writableBuffer } = this as unknown as { readonly writableBuffer: readonly StreamChunk[] }
    return writableBuffer.reduce((bytes, one) => bytes + byteLength(one), this.#dispatched)
  }

  /** The peer's IP address; `undefined` on a unix socket. */
  get remoteAddress(): string | undefined {
    return host(this.#line?.core.remoteAddress)?.address
  }

  /** The peer's port; `undefined` on a unix socket. */
  get remotePort(): number | undefined {
    return host(this.#line?.core.remoteAddress)?.port
  }

  /** `'IPv4'` or `'IPv6'`; `undefined` on a unix socket. */
  get remoteFamily(): 'IPv4' | 'IPv6' | undefined {
    return host(this.#line?.core.remoteAddress)?.family
  }

  /** This end's IP address; `undefined` on a unix socket, and once the stream is destroyed. */
  get localAddress(): string | undefined {
    return this.#localHost?.address
  }

  /** This end's port; as {@link localAddress}. */
  get localPort(): number | undefined {
    return this.#localHost?.port
  }

  /** This end's family; as {@link localAddress}. */
  get localFamily(): 'IPv4' | 'IPv6' | undefined {
    return this.#localHost?.family
  }

  /** This end's address, family and port; `{}` where there is none. */
  address(): Partial<TcpAddress> {
    return { ...this.#localHost }
  }

  get #localHost(): TcpAddress | undefined {
    return this.destroyed ? undefined : host(this.#line?.core.localAddress)
  }

  /**
   * Has `'timeout'` emitted after `milliseconds` without a byte in either direction; 0 turns it off. The connection
   * stays open. It takes the place of the connection's `idleTimeout`.
   *
   * @param callback a listener for the next `'timeout'`; with 0 it is removed instead
   * @throws RangeError `ERR_OUT_OF_RANGE` for what is negative or not finite; TypeError `ERR_INVALID_ARG_TYPE`
   */
  setTimeout(milliseconds: number, callback?: () => void): this {
    if (this.destroyed) return this
    if (typeof milliseconds !== 'number') throw invalidType('msecs', 'of type number', milliseconds)
    if (!(milliseconds >= 0 && Number.isFinite(milliseconds))) {
      throw outOfRange('msecs', 'a non-negative finite number', milliseconds)
    }
    if (callback !== undefined && typeof callback !== 'function') {
      throw invalidType('callback', 'of type function', callback)
    }
    this.timeout = milliseconds
    this.#silentAt = -1
    this.#line?.core.setIdleTimeout(Math.min(Math.ceil(milliseconds), largestTimeout))
    if (callback !== undefined) {
      if (milliseconds === 0) this.removeListener('timeout', callback)
      else this.once('timeout', callback)
    }
    return this
  }

  /** See {@link Connection.setNoDelay}. As of `net.Socket`, anything says yes or no, and what the system refuses is no error. */
  setNoDelay(on: unknown = true): this {
    return this.#setOption((core) => core.setNoDelay(Boolean(on)))
  }

  /**
   * Has the system probe a silent peer, or no longer. As of `net.Socket`, anything says yes or no, and what the system
   * refuses is no error.
   *
   * @param initialDelay milliseconds of silence before it does, rounded down to seconds; below 1,000: two hours
   */
  setKeepAlive(enable: unknown = false, initialDelay = 0): this {
    // As Node.js reads it: whatever is no number is 0.
    const seconds = Math.min(~~(initialDelay / 1_000), longestKeepAlive)
    return this.#setOption((core) => core.setKeepAlive(enable ? (seconds > 0 ? seconds : usualKeepAlive) : 0))
  }

  #setOption(set: (core: ConnectionCore) => void): this {
    try {
      if (this.#line !== undefined) set(this.#line.core)
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
    }
    return this
  }

  /** See {@link Connection.ref}. */
  ref(): this {
    this.#line?.core.ref()
    return this
  }

  /** See {@link Connection.unref}. */
  unref(): this {
    this.#line?.core.unref()
    return this
  }

  /** @internal */
  override resume(): this {
    if (this.#reader === undefined) this.#readByHandle()
    return super.resume()
  }

  /**
   * @internal The callback gets the error of this write, or that by which the connection has ended meanwhile. One that comes
   * too late fails alone, and leaves the stream to its reader.
   */
  override write(chunk: unknown, encoding?: unknown, told?: unknown): boolean {
    const callback = callbackOf(encoding, told)
    if (this.#gone && this.#reader !== undefined && !this.destroyed) {
      if (callback !== undefined) nextTick(callback, brokenPipe())
      return false
    }
    if (callback === undefined) return super.write(chunk, encoding as BufferEncoding)
    if (this.#callbacks === undefined && this.#line !== undefined) {
      this.#callbacks = new WriteCallbacks(this.#line)
    }
    const confirmed = this.#confirmed(callback)
    if (typeof encoding === 'function') return super.write(chunk, confirmed)
    return super.write(chunk, encoding as BufferEncoding, confirmed)
  }

  /** What the stream calls back, which knows no more than that the core has the bytes. */
  #confirmed(callback: Callback): Callback {
    return (error) => {
      const failure = error ?? this.errored
      if (failure === null && this.#callbacks !== undefined) this.#callbacks.taken(callback)
      else callback(failure)
    }
  }

  /** @internal */
  override removeAllListeners(...names: [event?: string | symbol]): this {
    if (this.#reader === undefined) super.removeAllListeners(...names)
    else this.#reader.keepListeners(() => super.removeAllListeners(...names))
    return this
  }

  /** Destroys it once everything that was written is sent. */
  destroySoon(): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', this.destroy)
  }

  /** Destroys it and resets the peer (TCP only; a unix socket just closes). */
  resetAndDestroy(): this {
    if (!this.destroyed) this.#line?.core.resetAndDestroy()
    return this.destroy()
  }

  /**
   * As `net.Socket`, it reads once it is there, unless a dialed one was paused before. A listener of `'readable'` and a loop
   * count as pauses; what has asked for bytes meanwhile reads.
   */
  readonly #begin = (): void => {
    if (this.#hasAsked) return
    if (this.#line?.profile.role === 'client' && this.isPaused()) this.#stopReading()
    else this.read(0)
  }

  #stopReading(): void {
    this.#reads = false
    this.#line?.core.flow.hold(Hold.Full)
    this.#lookLater()
  }

  /** Something is to be read, sent or closed. */
  #expect(core: ConnectionCore): void {
    core.isExpectant = true
    if (!this.#reads) this.#lookLater()
  }

  #lookLater(): void {
    if (this.#isLookDue) return
    this.#isLookDue = true
    setTimeout(this.#look, lookAfter).unref()
  }

  /**
   * As a socket of Node.js, one that neither reads nor has anything to send or close keeps no process alive. Back-pressure
   * comes and goes, so the look waits. The core is asked once, and tells when nothing is unsent: a stalled peer costs nothing.
   */
  readonly #look = (): void => {
    this.#isLookDue = false
    if (this.#isExpecting) return
    this.#question = (this.#question + 1) & largestQuestion
    this.#line?.core.tellFlushed(this.#question)
  }

  /** What was written after the question has made another look due, or another question. */
  #flushed(core: ConnectionCore, question: number): void {
    if (question !== this.#question || this.#isLookDue || this.#isExpecting) return
    core.isExpectant = false
  }

  get #isExpecting(): boolean {
    return this.#reads || this.destroyed || this.#final !== undefined
  }

  /** Without `allowHalfOpen` our direction ends with the peer's, and not by a mistake of a later writer. */
  readonly #endTold = (): void => {
    if (!this.allowHalfOpen) this.write = this.#writeAfterEnd as Duplex['write']
  }

  readonly #writeAfterEnd = (chunk: unknown, encoding?: unknown, told?: unknown): boolean => {
    // It ends a tick later.
    if (!this.writableEnded) {
      return Reflect.apply(ConnectionDuplex.prototype.write, this, [chunk, encoding, told])
    }
    const callback = callbackOf(encoding, told)
    const error = endedByPeer()
    if (callback !== undefined) nextTick(callback, error)
    this.destroy(error)
    return false
  }

  /** @internal */
  override _read(): void {
    this.#hasAsked = true
    const line = this.#line
    if (line === undefined) return
    line.core.flow.release(Hold.Full)
    if (this.#peerEnded) return
    this.#reads = true
    line.core.isExpectant = true
  }

  /** @internal */
  override _write(chunk: Buffer | string, encoding: BufferEncoding, callback: Callback): void {
    const line = this.#line
    if (this.#gone || line === undefined) callback(brokenPipe())
    else this.#pass(line, callback, (arena) => sendChunk(line.output, arena, { chunk, encoding }))
  }

  /** @internal */
  override _writev(chunks: readonly StreamChunk[], callback: Callback): void {
    const line = this.#line
    if (this.#gone || line === undefined) callback(brokenPipe())
    else this.#pass(line, callback, (arena) => sendChunks(line.output, arena, chunks))
  }

  /** @internal */
  override _final(callback: Callback): void {
    const core = this.#line?.core
    if (this.#gone || core === undefined) callback()
    else {
      this.#final = callback
      core.end()
      this.#expect(core)
    }
  }

  /** @internal */
  override _destroy(error: Error | null, callback: Callback): void {
    const written = this.#written
    this.#written = undefined
    // What a write fails by after the peer's end is told to that write alone, as it is by a handle.
    callback(this.#reader !== undefined && this.#peerEnded ? null : error)
    // Behind 'error', as a socket of Node.js tells it.
    const end = error ?? canceled()
    const line = this.#line
    if (written !== undefined) {
      setImmediate(() => {
        if (this.#line === line) this.#run(written, end)
      })
    }
    if (this.#gone || line === undefined) {
      this.#closeLater()
    } else {
      this.#leave(line, error)
      this.#expect(line.core)
    }
    this.#callbacks?.over(end)
  }

  /** A duplex that has begun anew hears nothing more of the connection before. */
  #consumer(line: Line): Consumer {
    const push = (view: Buffer): void => this.#push(view)
    const end = (): void => this.#end()
    const endSent = (): void => this.#endSent()
    const idle = (): void => this.#idle()
    const closed = (error: NetpollError | undefined): void => this.#closed(error)
    return {
      received: (chunk, start, length) => {
        if (this.#line !== line) return
        const view = bufferView(chunk, start, length)
        // A stream that does not flow calls no listener, so that nothing has to lie between its pieces.
        if (this.readableFlowing !== true && this.#untold.length === 0) this.#run(push, view)
        else this.#tell(push, view)
      },
      ended: () => {
        if (this.#line === line) this.#tell(end, undefined)
      },
      endSent: () => {
        if (this.#line === line) this.#tell(endSent, undefined)
      },
      flushed: (question) => {
        if (this.#line === line) this.#flushed(line.core, question)
      },
      idle: () => {
        if (this.#line === line) this.#tell(idle, undefined)
      },
      closed: (error) => {
        if (this.#line !== line) return
        this.#gone = true
        this.#tell(closed, error && NetpollError.ofStream(error))
      },
    }
  }

  /**
   * Tells one thing: at once, unless another of the same batch was told already. A socket of Node.js enters JavaScript for
   * each, so that promises run in between, and code that has awaited one event may then listen to the next.
   */
  #tell<News>(work: (news: News) => void, news: News): void {
    const batch = this.#line?.profile.loop.batch ?? 0
    if (this.#untold.length === 0 && (batch === 0 || batch !== this.#toldBatch)) {
      this.#toldBatch = batch
      this.#run(work, news)
    } else {
      this.#untold.push(() => this.#run(work, news))
      // One for each: promises run between immediates.
      setImmediate(this.#tellNext)
    }
  }

  readonly #tellNext = (): void => this.#untold.shift()?.()

  /** The other connections of the same batch must not suffer from a listener that throws. */
  #run<News>(work: (news: News) => void, news: News): void {
    const line = this.#line
    try {
      if (line === undefined) work(news)
      else line.core.context.run(work, news, undefined)
    } catch (error) {
      throwLater(error)
    }
  }

  #push(view: Buffer): void {
    if (this.destroyed) return
    this.#hasAsked = false
    if (!this.push(view) && !this.#hasAsked) this.#stopReading()
  }

  /** Where nothing is left unread, the end is noticed although the user does not read: the connection of one that only writes would stay. */
  #end(): void {
    this.#peerEnded = true
    if (this.destroyed) return
    this.#reads = false
    this.#lookLater()
    this.push(null)
    this.read(0)
  }

  /** What cannot be sent destroys it: behind a gap nothing may follow. */
  #pass(line: Line, callback: Callback, send: (arena: Arena) => number): void {
    try {
      this.#dispatched += send(line.profile.loop.memory.arena)
    } catch (error) {
      callback(error as Error)
      return
    }
    this.#passedOn(line, callback)
  }

  /** Not even its callback may be over at once for ever: a source that has its bytes at hand would never let the loop turn. */
  #passedOn({ core, output }: Line, callback: Callback): void {
    if (!this.#reads) this.#expect(core)
    if (output.isReady) {
      callback()
    } else {
      this.#written = callback
      output.whenReady(this.#ready)
    }
  }

  #endSent(): void {
    const final = this.#final
    this.#final = undefined
    this.#callbacks?.left()
    final?.()
    if (!this.#reads) this.#lookLater()
  }

  #idle(): void {
    const core = this.#line?.core
    if (core === undefined) return
    const moved = core.bytesRead + core.bytesWritten
    if (moved === this.#silentAt) return
    this.#silentAt = moved
    this.emit('timeout')
  }

  #closed(error: NetpollError | undefined): void {
    if (this.destroyed) {
      this.#closeLater()
      return
    }
    if (this.#reader !== undefined && this.#peerEnded) {
      this.#leaveToReader(error)
      return
    }
    const failure = error ?? this.#lateWrites()
    if (failure !== undefined || !this.#peerEnded || this.#final !== undefined) {
      this.destroy(failure)
    } else {
      // A write that waits has come too late.
      const written = this.#written
      this.#written = undefined
      written?.(brokenPipe())
      // What has arrived can still be read. Its end destroys the stream: by our own end, unless that need not come.
      if (this.readableEnded) this.destroy()
      else if (this.allowHalfOpen) this.once('end', this.#destroyAtEnd)
    }
  }

  readonly #destroyAtEnd = (): void => {
    this.destroy()
  }

  /** A turn of the loop after what led to it, such as `'error'`, and behind all else that is told. */
  #closeLater(): void {
    if (this.#isCloseDue) return
    this.#isCloseDue = true
    setImmediate(() => this.#run(this.#close, undefined))
  }

  readonly #close = (): void => {
    this.emit('close', this.errored !== null)
  }

  /**
   * Whether TLS or HTTP/2 takes the stream over. Then the stream neither ends nor goes after its peer's end: TLS has
   * `close_notify` to write, and may hold what was not read yet. TLS copies `allowHalfOpen`, and is never half-open by
   * ours: else it would not notice a peer that is gone.
   */
  #readByHandle(): void {
    this.#reader = HandleReader.asking(this)
    if (this.#reader === undefined) return
    this.allowHalfOpen = false
    nextTick(() => {
      this.allowHalfOpen = true
    })
    // Errors destroy the stream nevertheless: the writable side says so.
    ;(this as unknown as WithStates)._readableState.autoDestroy = false
  }

  /** The connection is gone, after its peer's end: what has arrived is the reader's, and it learns of the rest when it writes. */
  #leaveToReader(error: NetpollError | undefined): void {
    const written = this.#written
    this.#written = undefined
    const late = error ?? brokenPipe()
    this.#callbacks?.over(late)
    written?.(late)
    this.#endSent()
  }

  /** The peer has ended the connection in order: an error where writes with a callback have come too late. */
  #lateWrites(): NetpollError | undefined {
    if (!this.#peerEnded) return undefined
    const late = brokenPipe()
    return this.#callbacks?.over(late) === true ? late : undefined
  }

  #leave({ core, profile }: Line, error: Error | null): void {
    if (this.writableFinished) {
      // The peer has to receive all of it: closing while it still sends would reset it.
      void core.close()
    } else {
      // What was written goes to the system as far as that takes it, as it would from a socket of Node.js.
      profile.loop.native.sendNow()
      core.destroy(error ?? undefined)
    }
  }

  #join(line: Line): void {
    this.#line = line
    if (this.writableLength > 0) this.#callbacks = new WriteCallbacks(line)
    this.#untold.push(nothing)
  }

  #announce(tell: () => void): void {
    this.#untold[0] = () => this.#run(tell, undefined)
    this.#tellNext()
    microtask(this.#begin)
  }

  /** What the connection before has left is forgotten; its `'close'` is still told. */
  #restart(): void {
    const hadError = this.errored !== null
    if (this.destroyed && this.#line !== undefined && !this.#isCloseDue) {
      setImmediate(() => this.emit('close', hadError))
    }
    Reflect.deleteProperty(this, 'write')
    this.removeListener('end', this.#destroyAtEnd)
    this.allowHalfOpen = this.#isHalfOpen
    const { _readableState: readable } = this as unknown as WithStates
    readable.autoDestroy = true
    this.#line = undefined
    this.#callbacks = undefined
    this.#dispatched = 0
    this.#written = undefined
    this.#final = undefined
    this.#peerEnded = false
    this.#gone = false
    this.#untold.length = 0
    this.#isCloseDue = false
    this.#reads = true
    this.#hasAsked = false
    this.#silentAt = -1
    this.#reader = undefined
  }
}

/** Keeps the place before all that is told. */
function nothing(): void {}

/** The callback of a write, which may take the place of its encoding. */
function callbackOf(encoding: unknown, told: unknown): Callback | undefined {
  if (typeof encoding === 'function') return encoding as Callback
  return typeof told === 'function' ? (told as Callback) : undefined
}

function host(address: Address | undefined): TcpAddress | undefined {
  return typeof address === 'string' ? undefined : address
}

/** The connection is gone. */
function brokenPipe(): NetpollError {
  return NetpollError.ofStream(systemError(constants.errno.EPIPE, 'write'))
}

/** The stream was destroyed. */
function canceled(): NetpollError {
  return NetpollError.ofStream(systemError(constants.errno.ECANCELED, 'write'))
}

/** The peer has ended, and we with it. Libraries look for this code, and for the words of Node.js. */
function endedByPeer(): NetpollError {
  return NetpollError.ofStream(new NetpollError('EPIPE', 'This socket has been ended by the other party'))
}
