import type { Duplex } from 'node:stream'

import { bufferView } from '../../memory/chunk'
import type { Facade } from '../hooks'
import { errorOfStream, type NetpollError } from '../../errors'
import { PauseReason } from '../read-pause'
import { HandleReader } from './handle-reader'
import type { StreamConsumer } from './stream-input'
import type { Whereabouts } from '../../poller/command-queue'
import { byteLength, type SendBytes, type StreamChunk, sendChunk, sendChunks } from './duplex-write'
import { FlushQuestion } from './flush-question'
import { microtask, nextTick, setImmediate, setTimeout } from '../../time/timers'
import { callbackOf, type WriteCallback as Callback, WriteCallbacks } from './write-callbacks'
import type { LateTransport, StreamTransport, WithStates } from './transport'
import { EventQueue } from './event-queue'
import { transportOf, setTransport, SocketDuplex, tellSilence } from './socket-duplex'
import { brokenPipe, canceled, endedByPeer } from './duplex-errors'
import { whenRead } from './when-read'

/** Bytes that either direction buffers until it asks its source to wait. */
const highWaterMark = 64 * 1024

/** Milliseconds until a stream that does not read looks whether anything else keeps it. */
const lookAfter = 50

/** @internal What a duplex is told of its connection, each in the context of its `listen` or `dial`. */
export let consumerOf: (duplex: StreamDuplex, transport: StreamTransport) => StreamConsumer

/** @internal */
export let lateTransport: LateTransport<StreamDuplex>

/** What `ConnectionDuplex` is made of, which says what `Owner` is: the connection that users have. */
export class StreamDuplex<Owner extends Facade = Facade> extends SocketDuplex<Owner> {
  readonly #isHalfOpen: boolean
  readonly #events = new EventQueue(this)
  #callbacks: WriteCallbacks | undefined
  /** Bytes passed on to the connection. */
  #dispatched = 0
  /** Bytes that have reached the stream: the core may have read more, which is told later. */
  #read = 0
  /** Of a write that waits until more may be written, or until its bytes have left. */
  #written: Callback | undefined
  /** Whether bytes of that write wait in the memory of the writer, who gets it back with the callback. */
  #isReferred = false
  readonly #ready = (): void => {
    if (this.#written !== undefined) this.#events.tell(this.#writable, undefined)
  }
  readonly #writable = (): void => {
    const written = this.#written
    this.#written = undefined
    written?.()
  }
  /** Waits until our direction has ended. */
  #final: Callback | undefined
  #peerEnded = false
  /** Of a peer's end that was none in order: told once what has arrived is read. */
  #endFailure: NetpollError | undefined
  /** Whether the connection is gone. */
  #gone = false
  #isCloseDue = false
  /** Whether our direction ends by the next turn, although the connection is gone: that destroys the stream. */
  #endsLate = false
  /** Whether bytes or the peer's end are expected. */
  #reads = true
  /** Whether the stream has asked by {@link _read} since bytes were pushed last. It asks once, so reading must not stop then. */
  #hasAsked = false
  #isLookDue = false
  readonly #question = new FlushQuestion()
  /** TLS or HTTP/2 of Node.js on top, which says when the stream ends and goes, as it does for a socket's handle. */
  #reader: HandleReader | undefined

  static {
    consumerOf = (duplex, transport) => duplex.#consumer(transport)
    lateTransport = {
      join: (duplex, transport) => duplex.#join(transport),
      announce: (duplex, tell) => duplex.#announce(tell),
      restart: (duplex) => duplex.#restart(),
    }
  }

  /** @internal */
  constructor(transport: StreamTransport | undefined, allowHalfOpen: boolean) {
    super(transport, { allowHalfOpen, decodeStrings: false, emitClose: false, highWaterMark })
    this.#isHalfOpen = allowHalfOpen
    this.on('end', this.#endTold)
    // What the same call does with the stream, such as to pause it, comes before.
    if (transport !== undefined) microtask(this.#begin)
  }

  /** Bytes received so far. A listener of `'data'` finds those counted that it was given, and none that follow. */
  get bytesRead(): number {
    return #read in this ? this.#read : 0
  }

  /** Bytes written so far, those included that wait to be sent. */
  get bytesWritten(): number {
    // As of `net.Socket`, a prototype has none, and can be asked.
    if (!(#dispatched in this)) return undefined as unknown as number
    const { writableBuffer } = this as unknown as { readonly writableBuffer: readonly StreamChunk[] }
    return writableBuffer.reduce((bytes, one) => bytes + byteLength(one), this.#dispatched)
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
    const transport = transportOf(this)
    if (transport !== undefined) this.#callbacks ??= new WriteCallbacks(transport)
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

  /**
   * As `net.Socket`, it reads once it is there, unless a dialed one was paused before. A listener of `'readable'` and a loop
   * count as pauses; what has asked for bytes meanwhile reads.
   */
  readonly #begin = (): void => {
    if (this.#hasAsked) return
    if (transportOf(this)?.group.role === 'client' && this.isPaused()) this.#stopReading()
    else this.read(0)
  }

  #stopReading(): void {
    this.#reads = false
    transportOf(this)?.core.readPause.pause(PauseReason.Full)
    this.#lookLater()
  }

  /** Something is to be read, sent or closed. */
  #expect(core: StreamTransport['core']): void {
    core.retention.isExpectant = true
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
    const transport = transportOf(this)
    if (transport !== undefined) this.#question.ask(transport)
  }

  /** What was written after the question has made another look due, or another question. */
  #flushed(transport: StreamTransport, question: number): void {
    if (!this.#question.isAnsweredBy(question)) return
    if (this.#isReferred) this.#events.tell(this.#returned, transport)
    else if (!this.#isLookDue && !this.#isExpecting) transport.core.retention.isExpectant = false
  }

  /** The writer gets its memory back. */
  readonly #returned = (transport: StreamTransport): void => {
    const written = this.#written
    if (!this.#isReferred || written === undefined) return
    this.#written = undefined
    this.#passedOn(transport, written, 'copied')
    if (!this.#reads) this.#lookLater()
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
      return Reflect.apply(StreamDuplex.prototype.write, this, [chunk, encoding, told])
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
    const transport = transportOf(this)
    if (transport === undefined) return
    transport.core.readPause.resume(PauseReason.Full)
    if (this.#peerEnded) return
    this.#reads = true
    transport.core.retention.isExpectant = true
  }

  /** @internal */
  override _write(chunk: Buffer | string, encoding: BufferEncoding, callback: Callback): void {
    const transport = transportOf(this)
    if (this.#gone || transport === undefined) callback(brokenPipe())
    else
      this.#pass(transport, callback, (arena) => sendChunk(transport.sendQueue, arena, { chunk, encoding }))
  }

  /** @internal */
  override _writev(chunks: readonly StreamChunk[], callback: Callback): void {
    const transport = transportOf(this)
    if (this.#gone || transport === undefined) callback(brokenPipe())
    else this.#pass(transport, callback, (arena) => sendChunks(transport.sendQueue, arena, chunks))
  }

  /** @internal */
  override _final(callback: Callback): void {
    const transport = transportOf(this)
    if (transport === undefined) {
      callback()
    } else if (this.#gone) {
      // A turn later, as a socket has it, which is there until then for a writer that comes late.
      this.#endsLate = true
      setImmediate(() => {
        if (transportOf(this) !== transport) return
        this.#endsLate = false
        this.#events.run(callback, undefined)
      })
    } else {
      this.#final = callback
      transport.core.end()
      this.#expect(transport.core)
    }
  }

  /** @internal */
  override _destroy(error: Error | null, callback: Callback): void {
    const written = this.#written
    this.#written = undefined
    this.#isReferred = false
    // What a write fails by after the peer's end is told to that write alone, as it is by a handle.
    const isLate = this.#reader !== undefined && this.#peerEnded && this.#endFailure === undefined
    callback(isLate ? null : error)
    // Behind 'error', as a socket of Node.js tells it.
    const end = error ?? canceled()
    const transport = transportOf(this)
    if (written !== undefined) {
      setImmediate(() => {
        // Its callback is told by what has left: it may have waited for the loop alone.
        if (transportOf(this) === transport) this.#events.run(written, undefined)
      })
    }
    if (this.#gone || transport === undefined) {
      this.#closeLater()
    } else {
      this.#leave(transport, error)
      this.#expect(transport.core)
    }
    this.#callbacks?.over(end)
  }

  /** A duplex that has begun anew hears nothing more of the connection before. */
  #consumer(transport: StreamTransport): StreamConsumer {
    const push = (view: Buffer): void => this.#push(view)
    const end = (failure: NetpollError | undefined): void => this.#end(failure)
    const endSent = (): void => this.#endSent()
    const idle = (): void => tellSilence(this)
    const closed = (error: NetpollError | undefined): void => this.#closed(error)
    return {
      begins: (consumed) => {
        if (transportOf(this) === transport) this.#read = consumed
      },
      received: (chunk, start, length) => {
        if (transportOf(this) !== transport) return
        const view = bufferView(chunk, start, length)
        // A stream that does not flow calls no listener, so that nothing has to lie between its pieces.
        if (this.readableFlowing !== true && this.#events.isEmpty) this.#events.run(push, view)
        else this.#events.tell(push, view)
      },
      ended: (failure) => {
        if (transportOf(this) === transport) this.#events.tell(end, failure && errorOfStream(failure))
      },
      endSent: () => {
        if (transportOf(this) === transport) this.#events.tell(endSent, undefined)
      },
      flushed: (question) => {
        if (transportOf(this) === transport) this.#flushed(transport, question)
      },
      idle: () => {
        if (transportOf(this) === transport) this.#events.tell(idle, undefined)
      },
      closed: (error) => {
        if (transportOf(this) !== transport) return
        this.#gone = true
        this.#events.tell(closed, error && errorOfStream(error))
      },
    }
  }

  #push(view: Buffer): void {
    if (this.destroyed) return
    this.#read += view.length
    this.#hasAsked = false
    if (!this.push(view) && !this.#hasAsked) this.#stopReading()
  }

  /** Where nothing is left unread, the end is noticed although the user does not read: the connection of one that only writes would stay. */
  #end(failure: NetpollError | undefined): void {
    this.#peerEnded = true
    this.#endFailure = failure
    if (this.destroyed) return
    this.#reads = false
    this.#lookLater()
    if (failure !== undefined) {
      whenRead(this, () => {
        // Unless it has begun anew meanwhile.
        if (this.#endFailure === failure) this.destroy(failure)
      })
      return
    }
    this.push(null)
    this.read(0)
  }

  /** What cannot be sent destroys it: behind a gap nothing may follow. */
  #pass(transport: StreamTransport, callback: Callback, send: SendBytes): void {
    const before = transport.sendQueue.total
    let whereabouts: Whereabouts
    try {
      whereabouts = send(transport.group.poller.memory.arena)
    } catch (error) {
      callback(error as Error)
      return
    }
    this.#dispatched += transport.sendQueue.total - before
    this.#passedOn(transport, callback, whereabouts)
  }

  /** Not even its callback may be over at once for ever: a source that has its bytes at hand would never let the loop turn. */
  #passedOn(transport: StreamTransport, callback: Callback, whereabouts: Whereabouts): void {
    if (!this.#reads) this.#expect(transport.core)
    this.#isReferred = whereabouts === 'referred'
    const isOver = !this.#isReferred && transport.sendQueue.isReady
    if (!isOver) this.#written = callback
    if (isOver) callback()
    else if (this.#isReferred) this.#question.ask(transport)
    else transport.sendQueue.whenReady(this.#ready)
  }

  #endSent(): void {
    const final = this.#final
    this.#final = undefined
    this.#callbacks?.left()
    final?.()
    if (!this.#reads) this.#lookLater()
  }

  #closed(error: NetpollError | undefined): void {
    if (this.destroyed) {
      this.#closeLater()
      return
    }
    if (this.#endFailure !== undefined) {
      // What is unread can still be read, unless a writer waits for what never leaves.
      if (this.#written !== undefined || this.#final !== undefined) this.destroy(this.#endFailure)
      else this.#callbacks?.over(error ?? this.#endFailure)
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
      this.#refuseWaiting(brokenPipe())
      // What has arrived can still be read. Its end destroys the stream: by our own end, unless that need not come.
      if (this.#endsLate) return
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
    setImmediate(() => this.#events.run(this.#close, undefined))
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
    const late = error ?? brokenPipe()
    this.#callbacks?.over(late)
    this.#refuseWaiting(late)
    this.#endSent()
  }

  /** A write that waits has come too late, unless it waits for the loop alone. */
  #refuseWaiting(late: NetpollError): void {
    const written = this.#written
    this.#written = undefined
    const transport = transportOf(this)
    const hasLeft = transport !== undefined && transport.core.socket.bytesWritten >= transport.sendQueue.total
    written?.(hasLeft ? null : late)
  }

  /** The peer has ended the connection in order: an error where writes with a callback have come too late. */
  #lateWrites(): NetpollError | undefined {
    if (!this.#peerEnded) return undefined
    const late = brokenPipe()
    return this.#callbacks?.over(late) === true ? late : undefined
  }

  #leave({ core, group }: StreamTransport, error: Error | null): void {
    if (this.writableFinished) {
      // The peer has to receive all of it: closing while it still sends would reset it.
      void core.close()
    } else {
      // What was written goes to the system as far as that takes it, as it would from a socket of Node.js.
      group.poller.native.sendNow()
      core.destroy(error ?? undefined)
    }
  }

  #join(transport: StreamTransport): void {
    setTransport(this, transport)
    if (this.writableLength > 0) this.#callbacks = new WriteCallbacks(transport)
    this.#events.hold()
  }

  #announce(tell: () => void): void {
    this.#events.release(tell)
    microtask(this.#begin)
  }

  /** What the connection before has left is forgotten; its `'close'` is still told. */
  #restart(): void {
    const hadError = this.errored !== null
    if (this.destroyed && transportOf(this) !== undefined && !this.#isCloseDue) {
      setImmediate(() => this.emit('close', hadError))
    }
    for (const name of ['write', 'read']) Reflect.deleteProperty(this, name)
    this.removeListener('end', this.#destroyAtEnd)
    this.allowHalfOpen = this.#isHalfOpen
    ;(this as unknown as WithStates)._readableState.autoDestroy = true
    setTransport(this, undefined)
    this.#callbacks = undefined
    this.#dispatched = 0
    this.#read = 0
    this.#written = undefined
    this.#isReferred = false
    this.#final = undefined
    this.#peerEnded = false
    this.#endFailure = undefined
    this.#gone = false
    this.#events.forget()
    this.#isCloseDue = false
    this.#endsLate = false
    this.#reads = true
    this.#hasAsked = false
    this.#reader = undefined
  }
}
