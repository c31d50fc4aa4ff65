import { type Address, toAddress } from './address'
import { type CallOptions, CallQueue } from './call'
import { bufferView, plainView } from './chunk'
import { invalidReply, NetpollError, reasonError, systemError } from './errors'
import { checkInteger } from './framing'
import { guarded, isThenable } from './hooks'
import type { NativeId } from './native'
import { checkSignal, checkTimeout } from './options'
import { Operation, type Payload } from './outbox'
import type { Profile } from './profile'
import { hasFailed, PendingReply, type Reply, ReplyQueue } from './reply'

/** Handles one message; what it returns is the reply. */
export type RequestHandler<Data = unknown> = (
  request: Buffer,
  connection: Connection<Data>,
) => Reply | PromiseLike<Reply>

/** Where a connection is in its life, as far as JavaScript can tell. */
type Status = 'connecting' | 'open' | 'inactive' | 'closing' | 'closed'

/** A `send` that waits until the peer has read. */
interface DrainWaiter {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/**
 * One connection, accepted by a server or made by a dialer. Not created by users.
 *
 * @typeParam Data what the user keeps in {@link data}
 */
export class Connection<Data = unknown> {
  /** For the user to keep something by the connection. */
  data!: Data
  /**
   * Handles messages that answer no {@link call}. The server's or dialer's own handler, until it is
   * replaced.
   */
  onRequest: RequestHandler<Data> | undefined
  /** @internal */
  readonly slot: number
  /** @internal */
  readonly generation: number
  readonly #profile: Profile
  #status: Status
  #referenced = true
  #congested = false
  #paused = false
  /** Bytes sent since the core was last asked whether it can keep up. */
  #burst = 0
  #error: NetpollError | undefined
  #replies: ReplyQueue | undefined
  #calls: CallQueue | undefined
  #closeCallbacks: (() => void)[] | undefined
  #drainWaiters: DrainWaiter[] | undefined
  #remoteAddress: Address | undefined

  /** @internal */
  constructor(id: NativeId, profile: Profile, status: 'connecting' | 'open') {
    this.slot = id.slot
    this.generation = id.generation
    this.#profile = profile
    this.#status = status
    this.onRequest = profile.onRequest as RequestHandler<Data> | undefined
    profile.loop.retain()
  }

  /**
   * Whether messages can still be exchanged: false once the connection is closing or the peer's end or
   * reset is seen, even before what it sent has been handled.
   */
  get isActive(): boolean {
    return this.#status === 'open'
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

  /**
   * Sends a message at once, outside the order of replies.
   *
   * @param message copied before this returns, unless it lies in memory of a received message: that is sent
   * from there, so do not change it afterwards
   * @returns a promise that resolves when more may be sent: at once, or, for a slow peer, when at most
   * half of `highWaterMark` waits to be sent
   * @throws NetpollError (as a rejection) `ERR_CONN_CLOSED`, `ERR_FRAME_TOO_LARGE`; TypeError
   * `ERR_INVALID_ARG_TYPE`
   */
  send(message: Payload): Promise<void> {
    try {
      this.#send(message)
    } catch (error) {
      return Promise.reject(error)
    }
    if (!this.#congested) return resolved
    return new Promise((resolve, reject) => {
      this.#drainWaiters ??= []
      this.#drainWaiters.push({ resolve, reject })
    })
  }

  /**
   * Sends a request and waits for its reply. Replies are matched in the order of the requests. However many
   * calls are made, they are queued.
   *
   * @returns the reply, a view that stays valid as long as it is held
   * @throws NetpollError (as a rejection) `ERR_REQUEST_TIMEOUT`, `ERR_CONN_CLOSED`, the system's code when
   * the connection failed, `ERR_UNSUPPORTED` on a server's connection (that needs ids in the protocol);
   * the signal's reason when it was aborted; as {@link send}
   */
  call(request: Payload, options?: CallOptions): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#profile.role === 'server') {
        throw new NetpollError('ERR_UNSUPPORTED', 'A server cannot call in order: its client sends requests')
      }
      checkTimeout(options?.timeout, 1)
      checkSignal(options?.signal)
      options?.signal?.throwIfAborted()
      this.#send(request)
      this.#calls ??= new CallQueue()
      this.#calls.append(options, resolve as (reply: Uint8Array) => void, reject)
    })
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
      this.#profile.loop.outbox.command(Operation.Close, this)
    }
    return this.#gone()
  }

  /**
   * Closes at once. What was not sent yet is lost. Calls reject, and `onDisconnect` is told, with
   * `ERR_CONN_CLOSED`, whose `cause` is `error`.
   */
  destroy(error?: unknown): void {
    if (this.#status === 'closed') return
    this.#status = 'closing'
    if (error !== undefined) {
      this.#error ??= new NetpollError('ERR_CONN_CLOSED', 'The connection was destroyed', { cause: error })
    }
    this.#profile.loop.outbox.command(Operation.Destroy, this)
  }

  /** Closes at once and resets the peer (TCP only; a unix socket just closes). */
  resetAndDestroy(): void {
    if (this.#status === 'closed') return
    this.#status = 'closing'
    this.#profile.loop.outbox.command(Operation.Reset, this)
  }

  /** Calls `callback` once the connection is gone; soon, when it is gone already. */
  onClose(callback: () => void): this {
    if (this.#status === 'closed') queueMicrotask(() => this.#run(callback))
    else {
      this.#closeCallbacks ??= []
      this.#closeCallbacks.push(callback)
    }
    return this
  }

  /** Hands over no further message until {@link resume}. Those of the current turn may still come. */
  pause(): this {
    this.#paused = true
    this.#profile.loop.outbox.command(Operation.Pause, this)
    return this
  }

  /** Undoes {@link pause}. */
  resume(): this {
    this.#paused = false
    this.#profile.loop.outbox.command(Operation.Resume, this)
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

  /** Lets the process end although this connection is open. */
  unref(): this {
    if (this.#referenced && this.#status !== 'closed') {
      this.#referenced = false
      this.#profile.loop.release()
    }
    return this
  }

  /** As {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** @internal The hook is done: messages may come, unless it paused them itself. */
  begin(): void {
    if (!this.#paused) this.resume()
  }

  /** @internal Answers what was read, then closes. */
  finish(): void {
    if (this.#status === 'closed' || this.#status === 'closing') return
    this.#status = 'inactive'
    this.#profile.loop.outbox.command(Operation.Finish, this)
  }

  /**
   * @internal A message arrived. The hot path: one view, the handler, and for an asynchronous one a
   * recycled place among the replies.
   */
  receive(chunk: Buffer, start: number, length: number): void {
    const profile = this.#profile
    const message =
      profile.bytes === 'buffer'
        ? bufferView(chunk, start, length)
        : (plainView(chunk, start, length) as Buffer)
    if (this.#calls !== undefined && !this.#calls.isEmpty) {
      this.#calls.reply(message)
      if (profile.onRequest !== undefined) profile.loop.outbox.command(Operation.Acknowledge, this)
    } else if (this.#status === 'open' || this.#status === 'inactive') {
      this.#handle(message)
    }
  }

  /** @internal A place among the replies has its result. */
  settled(place: PendingReply): void {
    if (!this.#profile.ordered) {
      this.#answer(place)
      return
    }
    const replies = this.#replies as ReplyQueue
    for (let next = replies.shiftSettled(); next !== undefined; next = replies.shiftSettled()) {
      this.#answer(next)
    }
  }

  /** @internal */
  connected(): void {
    if (this.#status !== 'connecting') return
    this.#status = 'open'
    this.#profile.opened(this as Connection)
  }

  /** @internal The peer has gone, or was refused: `code` says why. */
  inactive(code: number): void {
    if (this.#status === 'open') this.#status = 'inactive'
    const error = reasonError(code, 'read')
    // What the system says is told with the end, which follows at once.
    if (error === undefined || error.errno !== undefined || this.#error !== undefined) return
    this.#error = error
    this.#profile.failed(error, this as Connection)
  }

  /** @internal */
  congested(): void {
    this.#congested = true
  }

  /** @internal */
  drained(): void {
    this.#congested = false
    const waiters = this.#drainWaiters
    this.#drainWaiters = undefined
    for (const waiter of waiters ?? []) waiter.resolve()
  }

  /** @internal The slot's last record. */
  closed(code: number): void {
    const wasConnecting = this.#status === 'connecting'
    if (this.#referenced) this.#profile.loop.release()
    this.#status = 'closed'
    const news = this.#error === undefined ? reasonError(code, wasConnecting ? 'connect' : 'read') : undefined
    const error = this.#error ?? news
    const gone = error ?? new NetpollError('ERR_CONN_CLOSED', 'The connection was closed')
    this.#calls?.failAll(gone)
    for (const waiter of this.#drainWaiters ?? []) waiter.reject(gone)
    this.#drainWaiters = undefined
    this.#profile.closed(this as Connection, error, news)
    for (const callback of this.#closeCallbacks ?? []) this.#run(callback)
    this.#closeCallbacks = undefined
  }

  /** @internal Reports `error`, and closes once the replies before it have left. */
  fail(error: unknown): void {
    this.#profile.failed(error, this as Connection)
    void this.close()
  }

  #handle(message: Buffer): void {
    const handler = this.onRequest
    if (handler === undefined) {
      this.fail(new NetpollError('ERR_UNEXPECTED_MESSAGE', 'A message arrived that no call awaits'))
      return
    }
    this.#profile.requests += 1
    let result: unknown
    try {
      result = handler(message, this)
      // Other kinds of promises may settle twice or at once; one of our own does neither.
      if (!(result instanceof Promise) && isThenable(result)) result = Promise.resolve(result)
    } catch (error) {
      result = Promise.reject(error)
    }
    if (result instanceof Promise) {
      const place = PendingReply.take(this as Connection)
      this.#enqueue(place)
      result.then(place.fulfilled, place.rejected)
    } else if (this.#replies === undefined || this.#replies.isEmpty || !this.#profile.ordered) {
      this.#reply(result)
    } else {
      const place = PendingReply.take(this as Connection)
      this.#enqueue(place)
      place.fulfilled(result)
    }
  }

  #enqueue(place: PendingReply): void {
    if (!this.#profile.ordered) return
    this.#replies ??= new ReplyQueue()
    this.#replies.append(place)
  }

  #answer(place: PendingReply): void {
    const { value } = place
    const failed = hasFailed(place)
    place.recycle()
    if (failed) this.fail(value)
    else this.#reply(value)
  }

  #reply(value: unknown): void {
    if (this.#status === 'closing' || this.#status === 'closed') return
    const { loop, framing } = this.#profile
    try {
      if (typeof value === 'string' || value instanceof Uint8Array || Array.isArray(value)) {
        loop.outbox.message(Operation.Reply, this, framing, value)
      } else if (value === undefined || value === null) {
        loop.outbox.command(Operation.Acknowledge, this)
      } else {
        throw invalidReply(value)
      }
    } catch (error) {
      this.fail(error instanceof TypeError ? invalidReply(error) : error)
    }
  }

  #send(message: Payload): void {
    const { loop, framing, highWaterMark } = this.#profile
    const accepts =
      this.#status === 'open' || (this.#status === 'inactive' && loop.native.acceptsOutput(this.#id()))
    if (!accepts) {
      throw new NetpollError('ERR_CONN_CLOSED', 'The connection is closed', { cause: this.#error })
    }
    this.#burst += loop.outbox.message(Operation.Send, this, framing, message)
    if (this.#burst >= highWaterMark) {
      // Who sends in a loop without letting the event loop turn has to learn of a slow peer, too.
      this.#burst = 0
      loop.native.carryOut()
      this.#congested = loop.native.isCongested(this.#id())
    }
  }

  #gone(): Promise<void> {
    return this.#status === 'closed' ? resolved : new Promise((resolve) => void this.onClose(resolve))
  }

  #run(callback: () => void): void {
    guarded(callback, (failure) => this.#profile.failed(failure, this as Connection))
  }

  #checkOption(errno: number): void {
    if (errno !== 0) throw systemError(errno, 'setsockopt')
  }

  #id(): NativeId {
    return { slot: this.slot, generation: this.generation }
  }
}

const resolved = Promise.resolve()
