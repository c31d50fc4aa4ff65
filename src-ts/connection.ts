import { constants } from 'node:os'
import { type Address, toAddress } from './address'
import { Alarm } from './alarm'
import { type CallOptions, CallQueue, type Calls, PendingCall, refuseCall } from './call'
import { CallTable } from './call-table'
import { type Chunk, messageAs } from './chunk'
import type { Context } from './context'
import { ConnectionDuplex } from './duplex'
import { invalidType, NetpollError, reasonError, streamCall, systemError } from './errors'
import { Flow, Hold } from './flow'
import { checkInteger } from './framing'
import { guarded } from './hooks'
import { Lifecycle } from './lifecycle'
import type { Written } from './link-buffer/pieces'
import type { Reader } from './link-buffer/reader'
import { Writer } from './link-buffer/writer'
import type { BytesOption, MessageTypes } from './message-types'
import type { NativeId } from './native'
import { checkHandler, type DataHandler, type RequestHandler } from './options'
import { Operation } from './outbox'
import { Output, refusedOutput } from './output'
import type { ConnectionOwner } from './owner'
import { pace } from './pace'
import type { Payload } from './payload'
import type { Profile } from './profile'
import { Requests } from './requests'
import { StreamInput } from './stream-input'
import { requiredLimit } from './time-limits'

/** Where a connection is in its life, as far as JavaScript can tell. */
type Status =
  /** Dialed, and not established. */
  | 'connecting'
  | 'open'
  /** Our direction has ended, the peer's goes on. */
  | 'ending'
  /** The peer has ended its direction; what was asked before may still be answered. */
  | 'inactive'
  /** The peer has sent what is refused, so that nothing of it is taken any more; otherwise as `inactive`. */
  | 'refused'
  | 'closing'
  | 'closed'

/** Bytes that went through a connection. */
interface Totals {
  read: number
  written: number
}

/**
 * One connection, accepted by a server or made by a dialer. Not created by users.
 *
 * With a framing it exchanges messages: `onRequest`, {@link send}, {@link call}. Without one it is a stream of bytes:
 * `onData` and {@link reader}. Either is an async iterable of what arrives, for a connection without a handler.
 *
 * @typeParam Data what the user keeps in {@link data}
 * @typeParam Bytes the option `bytes`, which says what a message is
 */
export class Connection<Data = unknown, Bytes extends BytesOption = 'buffer'> {
  /** For the user to keep something by the connection. */
  data!: Data
  /** @internal */
  readonly slot: number
  /** @internal */
  readonly generation: number
  /** @internal The context that the user's code runs in. */
  readonly context: Context
  /** @internal The pool or mux that keeps it. */
  owner: ConnectionOwner | undefined
  readonly #profile: Profile
  readonly #lifecycle: Lifecycle
  readonly #stream: StreamInput | undefined
  // Made when they are first needed: an idle connection is to cost little.
  #flow: Flow | undefined
  #alarm: Alarm | undefined
  #output: Output | undefined
  #requests: Requests | undefined
  #onRequest: RequestHandler<Data, Bytes> | undefined
  #onData: DataHandler<Data, Bytes> | undefined
  #writer: Writer | undefined
  #duplex: ConnectionDuplex | undefined
  #status: Status
  #referenced = true
  #requestTimeout: number
  #error: NetpollError | undefined
  #calls: Calls | undefined
  #goneWaiters: (() => void)[] | undefined
  #remoteAddress: Address | undefined
  #totals: Totals | undefined

  /** @internal */
  constructor(id: NativeId, profile: Profile, status: 'connecting' | 'open', context: Context) {
    this.slot = id.slot
    this.generation = id.generation
    this.context = context
    this.#profile = profile
    this.#status = status
    this.#requestTimeout = profile.requestTimeout
    this.#onRequest = profile.hooks.onRequest as RequestHandler<Data, Bytes> | undefined
    this.#onData = profile.hooks.onData as DataHandler<Data, Bytes> | undefined
    this.#lifecycle = new Lifecycle(this as this & Connection, profile)
    this.#stream = profile.framing.isStream ? new StreamInput(this as this & Connection, profile) : undefined
    profile.loop.retain()
  }

  /**
   * Handles messages that answer no {@link call}, of a framed connection, and that no loop over the connection takes.
   * The server's or dialer's own handler, until it is replaced.
   *
   * @throws TypeError (when set) `ERR_INVALID_ARG_TYPE`; `ERR_INVALID_ARG_VALUE` without a framing
   */
  get onRequest(): RequestHandler<Data, Bytes> | undefined {
    return this.#onRequest
  }

  /** From the next message on. */
  set onRequest(handler: RequestHandler<Data, Bytes> | undefined) {
    checkHandler('onRequest', handler, this.#profile.framing)
    this.#onRequest = handler
    this.#requests?.handlerChanged()
  }

  /**
   * Called while unread bytes are there, of a connection without framing. As {@link onRequest}; set later, it is called
   * for what is there already.
   *
   * @throws TypeError (when set) `ERR_INVALID_ARG_TYPE`; `ERR_INVALID_ARG_VALUE` with a framing
   */
  get onData(): DataHandler<Data, Bytes> | undefined {
    return this.#onData
  }

  /** Replaces the handler. */
  set onData(handler: DataHandler<Data, Bytes> | undefined) {
    checkHandler('onData', handler, this.#profile.framing)
    this.#onData = handler
    this.#stream?.handlerChanged()
  }

  /**
   * Whether messages can still be exchanged: false once the connection is closing or the peer's end or
   * reset is seen, even before what it sent has been handled. With `allowHalfOpen`: once both sides have ended.
   */
  get isActive(): boolean {
    return this.#status === 'open' || this.#status === 'ending'
  }

  /** The other end; `undefined` when it was not asked for before the connection was gone. */
  get remoteAddress(): Address | undefined {
    this.#remoteAddress ??= toAddress(this.#profile.loop.native.peerAddress(this.#id()))
    return this.#remoteAddress
  }

  /** This end; `undefined` once the connection is gone. */
  get localAddress(): Address | undefined {
    return toAddress(this.#profile.loop.native.localAddress(this.#id()))
  }

  /** Bytes received so far, framing included. */
  get bytesRead(): number {
    return this.#totals?.read ?? this.#profile.loop.native.bytesRead(this.#id())
  }

  /** Bytes sent so far, framing included: what the system has taken, not what waits. */
  get bytesWritten(): number {
    return this.#totals?.written ?? this.#profile.loop.native.bytesWritten(this.#id())
  }

  /**
   * What has arrived and is unread, of a connection without framing.
   *
   * @throws NetpollError `ERR_UNSUPPORTED` with a framing, where messages are cut before anybody sees the bytes
   */
  get reader(): Reader {
    if (this.#stream === undefined) {
      throw new NetpollError('ERR_UNSUPPORTED', 'A connection with a framing has messages and no reader')
    }
    return this.#stream.reader
  }

  /** What is to be sent, until it is flushed. With a framing, everything between two flushes is one message. */
  get writer(): Writer {
    this.#writer ??= new Writer(this.#profile.loop.memory.arena, (written) => this.#flush(written))
    return this.#writer
  }

  /**
   * Whether more than `highWaterMark` waits to be sent, because the peer is slow. `onDrain` tells the end. Not whether
   * {@link send} and `flush` wait for the event loop.
   */
  get isCongested(): boolean {
    return this.#output?.isCongested ?? false
  }

  /**
   * `length` bytes to fill and send on this connection: a handler's reply, or for {@link send} and {@link call}. Up to
   * 32 KiB they are the memory that is sent from, where any other buffer is copied into it. What is in them before is
   * undefined; a shorter message is their `subarray` from 0. Once they were returned or sent, do not touch them: the next
   * messages may lie there. Never sent, they stay as they are.
   *
   * @throws TypeError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
   */
  allocate(length: number): Buffer {
    const { loop, framing } = this.#profile
    return loop.memory.arena.allocate(length, framing)
  }

  /**
   * Sends a message at once, outside the order of replies.
   *
   * @param message copied before this returns, unless it lies in memory of a received message: that is sent
   * from there, so do not change it afterwards
   * @returns a promise that resolves when more may be sent: at once; for a slow peer, when at most half of
   * `highWaterMark` waits to be sent; after the event loop has turned, where the connection has queued `highWaterMark`
   * since it last did, or its thread 4 MiB or 1,024 sends and flushes. While it waits it keeps the process alive
   * @throws NetpollError (as a rejection) `ERR_CONN_CLOSED` or the system's code when the connection is gone, which is
   * no unhandled rejection where nobody waits; `ERR_FRAME_TOO_LARGE`; TypeError `ERR_INVALID_ARG_TYPE`
   */
  send(message: Payload): Promise<void> {
    try {
      this.#checkOutput()
      this.#out().send(message)
    } catch (error) {
      return refusedOutput(error)
    }
    return this.#out().drained()
  }

  /**
   * Sends a request and waits for its reply. Replies are matched in the order of the requests. However many
   * calls are made, they are queued.
   *
   * @returns the reply, a view that stays valid as long as it is held
   * @throws NetpollError (as a rejection) `ERR_REQUEST_TIMEOUT`, `ERR_CONN_CLOSED`, the system's code when
   * the connection failed, the error of what was refused, `ERR_TOO_MANY_LOST_CALLS`, `ERR_UNSUPPORTED` on a server's connection (that needs ids in the protocol) and without a
   * framing; the signal's reason when it was aborted; as {@link send}
   */
  call(request: Payload, options?: CallOptions): Promise<MessageTypes[Bytes]> {
    return new Promise((resolve, reject) => {
      let call: PendingCall | undefined
      try {
        this.#checkCalls()
        call = new PendingCall(options, this.#requestTimeout, resolve, reject)
        this.submit(call, request)
      } catch (error) {
        if (call === undefined) pace.reject(reject, error)
        else refuseCall(call, error)
      }
    })
  }

  /** @internal Sends the request of a call, and waits for its reply. Throws what {@link call} rejects with. */
  submit(call: PendingCall, request: Payload): void {
    this.#checkOutput()
    if (this.#status === 'refused') throw this.#closedError()
    this.#calls ??= this.#newCalls()
    this.#calls.prepare(call, request)
    const output = this.#out()
    const startsAt = output.total
    output.send(request)
    call.startsAt = startsAt
    this.#profile.counts.calls += 1
    this.#calls.append(call)
    // Its signal may have been aborted within the user's function that finds ids.
    if (call.isSettled) this.#calls.gaveUp(call)
    if (this.#profile.startsHeld && this.#lifecycle.isOpening) this.#messages().holdBack()
    if (call.deadline !== Number.POSITIVE_INFINITY) this.alarm.arm(call.deadline)
  }

  /**
   * What arrives, one after the other: messages, or pieces of the stream. Ends when the peer ends, or the connection is
   * closed here; throws when it failed. Leaving the loop leaves the connection open. Meanwhile `onRequest` and `onData`
   * are not called; afterwards what is left is for them, or for the next loop.
   *
   * @throws NetpollError `ERR_CONCURRENT_ACCESS` when somebody else reads; the system's code
   */
  [Symbol.asyncIterator](): AsyncGenerator<MessageTypes[Bytes], void, undefined> {
    return this.#stream === undefined ? this.#messages().messages() : this.#stream.pieces()
  }

  /**
   * The connection as a stream of Node.js, for libraries that take a `net.Socket`. From then on it belongs to whoever
   * has the stream: nobody else reads, and it ends when the stream is ended or destroyed. `allowHalfOpen` says whether
   * the stream ends by itself when the peer does. Asked again, it is the same stream.
   *
   * @throws NetpollError `ERR_UNSUPPORTED` with a framing; `ERR_CONCURRENT_ACCESS` while somebody else reads;
   * `ERR_CONN_CLOSED` after {@link close} or {@link destroy}
   */
  toDuplex(): ConnectionDuplex {
    if (this.#duplex !== undefined) return this.#duplex
    const stream = this.#stream
    if (stream === undefined) {
      throw new NetpollError('ERR_UNSUPPORTED', 'A connection with a framing is no stream')
    }
    if (this.#status === 'closing') throw this.#closedError()
    const duplex = new ConnectionDuplex(this as this & Connection, this.#out(), this.#profile)
    const consumer = duplex.consumer()
    stream.takeOver(consumer)
    if (this.#status === 'closed') consumer.closed(stream.failure)
    this.#duplex = duplex
    return duplex
  }

  /**
   * Ends our direction once everything that was accepted before is sent. The peer's messages still come, and calls that
   * wait still get their replies; the connection closes when the peer ends, too.
   */
  end(): void {
    if (this.#status === 'open') {
      this.#status = 'ending'
      this.#profile.loop.outbox.command(Operation.End, this)
    } else if (this.#status === 'inactive') {
      this.#profile.loop.outbox.command(Operation.End, this)
    }
  }

  /**
   * Sends what was accepted before, then closes, in a way that the peer receives all of it. Messages
   * that are still being handled are not answered, and calls that wait reject with `ERR_CONN_CLOSED`.
   *
   * @returns a promise that resolves when the connection is gone: at the peer's end, or after
   * `closeTimeout`
   */
  close(): Promise<void> {
    if (this.#status !== 'closed' && this.#status !== 'closing') {
      this.#status = 'closing'
      this.#calls?.forgetLost()
      this.#profile.loop.outbox.command(Operation.Close, this)
      this.#inputEnded(closedHere())
    }
    return this.#gone()
  }

  /**
   * Closes at once. What was not sent yet is lost. Calls reject, and `onDisconnect` is told, with
   * `ERR_CONN_CLOSED`, whose `cause` is `error`.
   */
  destroy(error?: unknown): void {
    if (error !== undefined && this.#status !== 'closed') {
      this.#error ??= new NetpollError('ERR_CONN_CLOSED', 'The connection was destroyed', { cause: error })
    }
    this.#abandon(Operation.Destroy)
  }

  /** Closes at once and resets the peer (TCP only; a unix socket just closes). */
  resetAndDestroy(): void {
    this.#abandon(Operation.Reset)
  }

  /**
   * Gives the socket away: the connection is over here, and its descriptor, in non-blocking mode, belongs to the
   * caller, who has to close it. What is unread in {@link reader} belongs to what the new owner reads first.
   *
   * @throws NetpollError `EAGAIN` while bytes wait to be sent, or messages to be handed over; `ERR_CONN_CLOSED`
   */
  detach(): number {
    if (this.#status === 'connecting' || this.#status === 'closing' || this.#status === 'closed') {
      throw this.#closedError()
    }
    const { loop } = this.#profile
    // What is of this turn and was not handed over yet would be lost.
    if (loop.hasUndelivered(this as this & Connection)) throw systemError(constants.errno.EAGAIN, 'detach')
    const totals = { read: this.bytesRead, written: this.bytesWritten }
    const { fd, errno } = loop.native.detach(this.#id())
    if (fd === undefined) throw systemError(errno ?? 0, 'detach')
    this.#totals = totals
    loop.forget(this as this & Connection)
    this.closed(0)
    return fd
  }

  /**
   * Calls `callback` once the connection is gone, after `onDisconnect`; soon, when it is gone already.
   *
   * @throws TypeError `ERR_INVALID_ARG_TYPE`
   */
  onClose(callback: () => void): this {
    if (typeof callback !== 'function') throw invalidType('callback', 'of type function', callback)
    this.#lifecycle.onClose(callback)
    return this
  }

  /** Hands over nothing further until {@link resume}. What is of the current turn may still come. */
  pause(): this {
    this.flow.hold(Hold.User)
    return this
  }

  /** Undoes {@link pause}. */
  resume(): this {
    this.flow.release(Hold.User)
    return this
  }

  /**
   * Milliseconds that an unfinished message may take to arrive, or that a reader waits; 0 for ever. Counts from the
   * next message or wait on.
   */
  setReadTimeout(milliseconds: number): this {
    const limit = requiredLimit('milliseconds', milliseconds)
    if (this.#stream !== undefined) this.#stream.readTimeout = limit
    this.#profile.loop.outbox.command(Operation.ReadTimeout, this, limit)
    return this
  }

  /** Milliseconds that the peer may take nothing of what waits to be sent; 0 for ever. */
  setWriteTimeout(milliseconds: number): this {
    const limit = requiredLimit('milliseconds', milliseconds)
    this.#profile.loop.outbox.command(Operation.WriteTimeout, this, limit)
    return this
  }

  /** Milliseconds without a byte in either direction, nothing being handled, after which it closes; 0 for never. */
  setIdleTimeout(milliseconds: number): this {
    const limit = requiredLimit('milliseconds', milliseconds)
    this.#profile.loop.outbox.command(Operation.IdleTimeout, this, limit)
    return this
  }

  /** Milliseconds that a {@link call} without a timeout of its own waits; 0 for ever. */
  setRequestTimeout(milliseconds: number): this {
    this.#requestTimeout = requiredLimit('milliseconds', milliseconds)
    return this
  }

  /**
   * Whether small writes leave at once (`TCP_NODELAY`). On by default. Does nothing on a unix socket, or once
   * the connection is gone.
   *
   * @throws NetpollError the system's code
   */
  setNoDelay(on = true): this {
    this.#checkOption(this.#profile.loop.native.setNoDelay(this.#id(), on))
    return this
  }

  /**
   * Has the system probe an idle peer after so many seconds, a whole number; 0 turns it off, the default.
   * Does nothing on a unix socket, or once the connection is gone.
   *
   * @throws NetpollError the system's code
   */
  setKeepAlive(seconds: number): this {
    checkInteger('seconds', seconds, 0, 32_767)
    this.#checkOption(this.#profile.loop.native.setKeepAlive(this.#id(), seconds))
    return this
  }

  /** Keeps the process alive as long as this connection is open. The default. */
  ref(): this {
    if (!this.#referenced && this.#status !== 'closed') {
      this.#referenced = true
      this.#profile.loop.retain()
    }
    return this
  }

  /** Lets the process end although this connection is open, unless a {@link send} or `flush` of it waits. */
  unref(): this {
    if (this.#referenced && this.#status !== 'closed') {
      this.#referenced = false
      this.#profile.loop.release()
    }
    return this
  }

  /** As {@link destroy}. */
  [Symbol.dispose](): void {
    this.destroy()
  }

  /** As {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** @internal For what reasons nothing is read. */
  get flow(): Flow {
    this.#flow ??= new Flow(this.#profile.loop.outbox, this, this.#profile.startsHeld ? Hold.Hook : 0)
    return this.#flow
  }

  /** @internal The timer of its calls and reads. */
  get alarm(): Alarm {
    this.#alarm ??= new Alarm(this.#profile.loop, this)
    return this.#alarm
  }

  /** @internal Whether it is established and nobody has closed it. */
  get isOpen(): boolean {
    return this.#status !== 'connecting' && this.#status !== 'closing' && this.#status !== 'closed'
  }

  /** @internal Whether whoever gets it next finds nothing of those before: nothing asked, unread or unsent. */
  get isClean(): boolean {
    return (
      this.#status === 'open' &&
      (this.#calls === undefined || this.#calls.isClean) &&
      (this.#writer === undefined || this.#writer.mallocLength === 0) &&
      (this.#stream === undefined || this.#stream.isUntouched) &&
      (this.#requests === undefined || this.#requests.isUntouched) &&
      this.#flow?.isHeld(Hold.User) !== true
    )
  }

  /** @internal Whether it takes calls, as far as those go that were given up on it. */
  get takesCalls(): boolean {
    return this.#calls?.isWornOut !== true
  }

  /** @internal Whether the hooks that come before messages are still running. */
  get isOpening(): boolean {
    return this.#lifecycle.isOpening
  }

  /** @internal Whether what a handler returns is still sent. */
  get takesReplies(): boolean {
    return this.#status !== 'closing' && this.#status !== 'closed'
  }

  /** @internal Runs the hooks that come before messages; a promise while `onConnect` takes its time. */
  open(): void | Promise<void> {
    return this.#lifecycle.open()
  }

  /** @internal The hooks are done: messages may come. */
  begin(): void {
    this.#stream?.begin()
    this.#requests?.begin()
    if (this.#profile.startsHeld) this.flow.release(Hold.Hook)
  }

  /** @internal Answers what was read, then closes. */
  finish(): void {
    if (this.#status === 'closed' || this.#status === 'closing' || this.#status === 'refused') return
    // Whoever uses the stream ends it.
    if (this.#duplex !== undefined) return
    this.#status = 'inactive'
    this.#profile.loop.outbox.command(Operation.Finish, this)
    this.#stream?.finish()
  }

  /** @internal A message, or bytes of a stream, arrived. The hot path: one view for a message, none for a stream. */
  receive(chunk: Chunk, start: number, length: number): void {
    if (this.#status === 'closing' || this.#status === 'closed') return
    if (this.#stream !== undefined) {
      this.#stream.receive(chunk.bytes, start, length)
      return
    }
    const message = messageAs(this.#profile.bytes, chunk, start, length)
    if (this.#calls === undefined || !this.#answered(this.#calls, message)) this.#messages().receive(message)
    else if (this.#profile.countsMessages) this.#profile.loop.outbox.command(Operation.Acknowledge, this)
  }

  /** @internal The id of the message that is received next, in two words. */
  identify(low: number, high: number): void {
    this.#calls?.identify(low, high)
  }

  /** @internal */
  connected(): void {
    if (this.#status !== 'connecting') return
    this.#status = 'open'
    this.#profile.opened(this as this & Connection)
  }

  /** @internal The peer has gone, or was refused: `code` says why. */
  inactive(code: number): void {
    if (this.#status === 'open' || this.#status === 'ending') this.#status = 'inactive'
    this.owner?.inactive()
    const error = reasonError(code, 'read')
    // What the system says is told with the end, which follows at once.
    if (error === undefined || error.errno !== undefined) return
    if (this.#status === 'inactive') this.#status = 'refused'
    const isNews = this.#error === undefined
    this.#error ??= error
    this.#failCalls(error)
    this.#inputEnded(error, error)
    if (isNews) this.#profile.failed(error, this as this & Connection)
  }

  /** @internal Everything that the peer sent was handed over. */
  ended(): void {
    const failure = this.#error
    this.#inputEnded(failure ?? new NetpollError('ERR_EOF', 'The peer has ended the connection'), failure)
  }

  /** @internal */
  congested(): void {
    this.#out().congested()
  }

  /** @internal At most half of the high-water mark waits to be sent. */
  drained(): void {
    if (this.#output?.isCongested !== true) return
    this.#output.relieved()
    const { onDrain } = this.#profile.hooks
    if (onDrain === undefined) return
    guarded(
      () => this.context.run(onDrain, this as this & Connection, undefined),
      (error) => this.fail(error),
    )
  }

  /** @internal Our direction has ended, with everything sent. */
  endSent(): void {
    this.#stream?.consumer?.endSent()
  }

  /** @internal Nothing was read or written for the idle timeout, and the core knows of nothing in handling. */
  idle(): void {
    const consumer = this.#stream?.consumer
    if (consumer !== undefined) {
      consumer.idle()
      return
    }
    const waits = this.#calls?.isAwaited === true
    if (waits || this.#lifecycle.isOpening || this.#stream?.isBusy === true) return
    // The peer waits for us: what it has sent is here, and unread.
    if (this.#stream?.hasUnread === true || this.#requests?.hasUnread === true) return
    this.#error ??= new NetpollError('ERR_IDLE_TIMEOUT', 'Nothing was sent or received within idleTimeout')
    void this.close()
  }

  /** @internal The alarm has gone off. */
  alarmed(number: number, late: number): void {
    const due = this.alarm.fired(number, late)
    if (due === undefined) return
    const calls = this.#calls?.expire(due) ?? Number.POSITIVE_INFINITY
    const reads = this.#stream?.expire(due) ?? Number.POSITIVE_INFINITY
    this.alarm.arm(Math.min(calls, reads))
  }

  /** @internal How much went through it, told right before its last record. */
  totals(part: keyof Totals, bytes: number): void {
    this.#totals ??= { read: 0, written: 0 }
    this.#totals[part] = bytes
  }

  /** @internal The slot's last record. */
  closed(code: number): void {
    const wasConnecting = this.#status === 'connecting'
    if (this.#referenced) this.#profile.loop.release()
    this.#status = 'closed'
    const news = this.#error === undefined ? reasonError(code, wasConnecting ? 'connect' : 'read') : undefined
    const error = this.#error ?? news
    this.#error = error
    const gone = error ?? closedHere()
    this.#calls?.failAll(gone, this.#totals?.written)
    this.#output?.end(gone)
    this.#inputEnded(gone, error)
    this.#stream?.consumer?.closed(error)
    this.owner?.closed()
    if (this.#profile.closed(this as this & Connection, error)) this.#lifecycle.closed({ error, news })
    for (const resolve of this.#goneWaiters ?? []) resolve()
    this.#goneWaiters = undefined
  }

  /** @internal The peer has sent what is refused: tells so, and closes once the replies before it have left. */
  refuse(error: NetpollError): void {
    this.#error ??= error
    this.#profile.failed(error, this as this & Connection)
    void this.close()
    this.#failCalls(error)
  }

  /** @internal Reports `error`, and closes once the replies before it have left. */
  fail(error: unknown): void {
    // Who read until the end and let that be thrown has nothing to report: `onDisconnect` tells of it.
    if (this.#stream?.hasEndedBy(error) !== true) this.#profile.failed(error, this as this & Connection)
    void this.close()
    this.#failCalls(new NetpollError('ERR_CONN_CLOSED', 'The connection was closed', { cause: error }))
  }

  /** Nothing of the peer is taken any more, so no reply comes: whoever calls need not wait for the end. */
  #failCalls(error: NetpollError): void {
    if (this.#calls === undefined) return
    this.#calls.failAll(error)
    this.owner?.callsFailed()
  }

  #abandon(operation: typeof Operation.Destroy | typeof Operation.Reset): void {
    if (this.#status === 'closed') return
    this.#status = 'closing'
    this.#calls?.forgetLost()
    this.#profile.loop.outbox.command(operation, this)
    this.#inputEnded(this.#error ?? closedHere())
  }

  /** Whoever reads gets `error`; whoever iterates over messages gets `failure`, or just their end. */
  #inputEnded(error: NetpollError, failure?: NetpollError): void {
    if (this.#stream === undefined) this.#messages().end(failure)
    else this.#stream.end(error)
  }

  #flush(written: Written): Promise<void> {
    try {
      this.#checkOutput()
      this.#out().flush(written)
    } catch (error) {
      return refusedOutput(error)
    }
    return this.#out().drained()
  }

  /** Whether a message is the reply to a call. The user's function may fail to find its id. */
  #answered(calls: Calls, message: Buffer): boolean {
    try {
      return calls.reply(message)
    } catch (error) {
      this.fail(error)
      return true
    }
  }

  #newCalls(): Calls {
    const { ids, countsMessages, loop } = this.#profile
    // With ids a reply must not wait for handlers, which may wait for it.
    const allow = ids === undefined || !countsMessages ? undefined : Operation.AllowBeyond
    const listener = {
      waiting: () => {
        if (allow !== undefined) loop.outbox.command(allow, this, noBound)
      },
      idle: () => {
        if (allow !== undefined) loop.outbox.command(allow, this, 0)
      },
      lost: (change: number) => {
        loop.lostCalls += change
      },
      answeredLate: () => this.owner?.answeredLate(),
    }
    return ids === undefined ? new CallQueue(listener) : new CallTable(ids, listener)
  }

  #out(): Output {
    this.#output ??= new Output(this, this.#profile)
    return this.#output
  }

  #messages(): Requests {
    this.#requests ??= new Requests(this as this & Connection, this.#profile)
    return this.#requests
  }

  #checkOutput(): void {
    if (this.#status === 'open') return
    const answers = this.#status === 'inactive' || this.#status === 'refused'
    const accepts = answers && this.#profile.loop.native.acceptsOutput(this.#id())
    if (!accepts) throw this.#closedError()
  }

  #closedError(): NetpollError {
    return new NetpollError('ERR_CONN_CLOSED', 'The connection is closed', { cause: this.#error })
  }

  #checkCalls(): void {
    if (this.#stream !== undefined) throw streamCall()
    if (this.#profile.role === 'server' && this.#profile.ids === undefined) {
      const message = 'A server cannot call in order: its client sends requests'
      throw new NetpollError('ERR_UNSUPPORTED', message, { sent: false })
    }
  }

  #gone(): Promise<void> {
    if (this.#status === 'closed') return pace.pass() ?? resolved
    return new Promise((resolve) => {
      this.#goneWaiters ??= []
      this.#goneWaiters.push(resolve)
    })
  }

  #checkOption(errno: number): void {
    if (errno !== 0) throw systemError(errno, 'setsockopt')
  }

  #id(): NativeId {
    return { slot: this.slot, generation: this.generation }
  }
}

const resolved = Promise.resolve()

/** As many messages as a word can say. */
const noBound = 2 ** 32 - 1

function closedHere(): NetpollError {
  return new NetpollError('ERR_CONN_CLOSED', 'The connection was closed')
}
