import { constants } from 'node:os'
import { type Address, toAddress } from '../native/address'
import { Alarm } from '../poller/deadline-timer'
import {
  type CallOptions,
  CallQueue,
  type Calls,
  PendingCall,
  refuseAtOnce,
  wornOut,
} from './calls/pending-call'
import { siteOf } from '../process/call-site'
import { CallTable } from './calls/calls-by-id'
import { type Chunk, messageAs } from '../memory/chunk'
import { Connection } from './connection'
import type { Context } from '../process/async-context'
import { ConnectionDuplex, consumerOf, type Line } from './stream/duplex'
import { EndSignal } from './end-signal'
import { invalidType, NetpollError, streamCall, systemError, withoutStack } from '../errors'
import type { Excerpt } from '../native/excerpt'
import { Flow, Hold } from './read-pause'
import { beginsCalls, type GoAway, type IsGoAway, Leave } from './go-away'
import { guarded, refusePromise } from '../process/report'
import { Lifecycle } from './lifecycle'
import type { Written } from '../link-buffer/pieces'
import type { Reader } from '../link-buffer/reader'
import { isEmptyWriter, Writer } from '../link-buffer/writer'
import type { NativeId } from '../native/binding'
import { Operation } from '../native/protocol-numbers'
import { checkHandler, type DataHandler, type RequestHandler } from './options'
import { Output, refusedOutput } from './send-queue'
import type { ConnectionOwner } from './owner'
import { pace } from '../time/pace'
import { type Payload, takeApart } from '../memory/payload'
import type { Profile } from './group'
import { Requests } from './messages/dispatcher'
import { StreamInput } from './stream/stream-input'
import { requiredLimit } from '../time/time-limits'
import { afterMicrotasks, clearTimeout, setImmediate, setTimeout } from '../time/timers'
import { checkInteger } from '../checks/arguments'
import { isOwnReason, reasonError, type Refused } from '../native/reasons'

/** Where a connection is in its life, as far as JavaScript can tell. */
type Status =
  /** Dialed, and not established. */
  | 'connecting'
  | 'open'
  /** The peer has ended its direction, ours goes on, with `allowHalfOpen`: nothing is answered any more. */
  | 'halfOpen'
  /** Our direction has ended, the peer's goes on. */
  | 'ending'
  /** The server closes: what was read is answered, and nothing more is read than replies. */
  | 'finishing'
  /** As `finishing`, where one direction has ended, and the peer's end alone does not mean that it has gone. */
  | 'answering'
  /** The peer has ended its direction; what was asked before may still be answered. */
  | 'inactive'
  /** The peer has sent what is refused, so that nothing of it is taken any more; otherwise as `inactive`. */
  | 'refused'
  /** Closed in this turn by the user: replies that are returned before it is over leave first. */
  | 'leaving'
  | 'closing'
  | 'closed'

/** Bytes that went through a connection. */
interface Totals {
  read: number
  written: number
}

/**
 * One connection, as the package has it; what users have of it, and what its public members mean, is {@link Connection}. Users
 * never get hold of it, so that nothing they set or replace comes between.
 */
export class ConnectionCore {
  /** What users have. */
  readonly facade: Connection
  readonly slot: number
  readonly generation: number
  /** The context that the user's code runs in. */
  readonly context: Context
  /** The pool or mux that keeps it. */
  owner: ConnectionOwner | undefined
  readonly #profile: Profile
  readonly #lifecycle: Lifecycle
  readonly #stream: StreamInput | undefined
  // Made when they are first needed: an idle connection is to cost little.
  #flow: Flow | undefined
  #alarm: Alarm | undefined
  #output: Output | undefined
  #requests: Requests | undefined
  #onRequest: RequestHandler | undefined
  #onData: DataHandler | undefined
  #writer: Writer | undefined
  #duplex: ConnectionDuplex | undefined
  #signal: EndSignal | undefined
  #status: Status
  #leave: Leave = Leave.None
  #referenced = true
  /** Whether something can still come of it: not of a stream that neither reads nor writes. */
  #isExpectant = true
  /** Whether it keeps the process alive. */
  #retains = true
  #requestTimeout: number
  #error: NetpollError | undefined
  /** Why it ends in order, if there is more to say than that somebody has closed it. */
  #ending: unknown
  #calls: Calls | undefined
  #goneWaiters: (() => void)[] | undefined
  #remoteAddress: Address | undefined
  #totals: Totals | undefined

  constructor(id: NativeId, profile: Profile, status: 'connecting' | 'open', context: Context) {
    this.facade = new Connection(this)
    this.slot = id.slot
    this.generation = id.generation
    this.context = context
    this.#profile = profile
    this.#status = status
    this.#requestTimeout = profile.requestTimeout
    this.#onRequest = profile.hooks.onRequest as RequestHandler | undefined
    this.#onData = profile.hooks.onData as DataHandler | undefined
    this.#lifecycle = new Lifecycle(this, profile)
    this.#stream = profile.framing.isStream ? new StreamInput(this, profile) : undefined
    profile.loop.retain()
  }

  get onRequest(): RequestHandler | undefined {
    return this.#onRequest
  }

  set onRequest(handler: RequestHandler | undefined) {
    checkHandler('onRequest', handler, this.#profile.framing)
    this.#onRequest = handler
    this.#requests?.handlerChanged()
  }

  get onData(): DataHandler | undefined {
    return this.#onData
  }

  set onData(handler: DataHandler | undefined) {
    checkHandler('onData', handler, this.#profile.framing)
    this.#onData = handler
    this.#stream?.handlerChanged()
  }

  get isActive(): boolean {
    return this.#exchanges && this.#leave !== Leave.Leaving
  }

  /** What a person wants to know of it, beside its public members. */
  get overview(): { readonly state: string; readonly calls: number; readonly error: string | undefined } {
    return { state: this.#readyState, calls: this.#calls?.waiting ?? 0, error: this.#error?.code }
  }

  /** In the words of `net.Socket`, as far as that has any. */
  get #readyState(): string {
    switch (this.#status) {
      case 'connecting':
        return 'opening'
      case 'open':
        return this.#leave === Leave.None ? 'open' : 'retiring'
      case 'halfOpen':
        return 'writeOnly'
      case 'ending':
        return 'readOnly'
      case 'closed':
        return 'closed'
      default:
        return 'closing'
    }
  }

  get signal(): AbortSignal {
    if (this.#signal === undefined) {
      this.#signal = new EndSignal()
      if (this.isGone) this.#abortSignal()
    }
    return this.#signal.signal
  }

  /** Whether the peer has gone or was refused, or the connection closes. A server that closes may still answer. */
  get isGone(): boolean {
    return this.#status === 'inactive' || this.#status === 'refused' || this.#isClosing
  }

  /** Runs code of users, so it comes last. A listener that throws is an uncaught exception, which Node.js tells later. */
  #abortSignal(): void {
    const signal = this.#signal
    if (signal === undefined) return
    this.#tryLast(() => this.context.run(abortSignal, signal, this.#error))
  }

  /** Whether messages can go at least one way, also where the peer has asked for no new calls. */
  get #exchanges(): boolean {
    return this.#status === 'open' || this.#status === 'halfOpen' || this.#status === 'ending'
  }

  /** Whether our direction alone has ended, or is about to: no call can be made any more. */
  get isEnding(): boolean {
    return this.#status === 'ending'
  }

  /** Whether it is open in our direction alone. */
  get isHalfOpen(): boolean {
    return this.#status === 'halfOpen'
  }

  get remoteAddress(): Address | undefined {
    this.#remoteAddress ??= toAddress(this.#profile.loop.native.peerAddress(this.#id()))
    return this.#remoteAddress
  }

  /** Asks where the peer is, or was: the core knows until whoever is told of the end has been told. */
  keepAddress(): void {
    void this.remoteAddress
  }

  get localAddress(): Address | undefined {
    return toAddress(this.#profile.loop.native.localAddress(this.#id()))
  }

  get bytesRead(): number {
    return this.#totals?.read ?? this.#profile.loop.native.bytesRead(this.#id())
  }

  get bytesWritten(): number {
    return this.#totals?.written ?? this.#profile.loop.native.bytesWritten(this.#id())
  }

  get reader(): Reader {
    if (this.#stream === undefined) {
      throw new NetpollError('ERR_UNSUPPORTED', 'A connection with a framing has messages and no reader')
    }
    return this.#stream.reader
  }

  get writer(): Writer {
    this.#writer ??= new Writer(this.#profile.loop.memory.arena, (written) => this.#flush(written))
    return this.#writer
  }

  get isCongested(): boolean {
    return this.#output?.isCongested ?? false
  }

  allocate(length: number): Buffer {
    const { loop, framing } = this.#profile
    return loop.memory.arena.allocate(length, framing)
  }

  send(message: Payload): Promise<void> {
    try {
      const pieces = takeApart(message)
      this.#checkOutput()
      this.#out().send(pieces)
    } catch (error) {
      return refusedOutput(error)
    }
    return this.#out().drained()
  }

  call(request: Payload, options?: CallOptions): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      let call: PendingCall | undefined
      try {
        this.#checkCalls()
        const message = takeApart(request)
        call = new PendingCall(options, this.#requestTimeout, resolve, reject, siteOf(entry))
        this.submit(call, message)
      } catch (error) {
        refuseAtOnce(call, error, reject, entry)
      }
    })
  }

  /**
   * Sends the request of a call, which was taken apart, and waits for its reply. One that was given up sends nothing.
   * Throws what {@link call} rejects with.
   */
  submit(call: PendingCall, request: Payload): void {
    this.#checkRequests()
    this.#calls ??= this.#newCalls()
    this.#calls.prepare(call, request)
    // The user's function that finds ids may have ended the connection, or aborted the call. From here on nothing of the
    // user's runs: whatever was checked holds until the call waits.
    this.#checkRequests()
    if (call.isSettled) return
    const output = this.#out()
    const startsAt = output.total
    output.send(request)
    call.startsAt = startsAt
    this.#profile.counts.calls += 1
    this.#calls.append(call)
    if (this.#profile.startsHeld && this.#lifecycle.isOpening) this.#messages().holdBack()
    if (call.deadline !== Number.POSITIVE_INFINITY) this.alarm.arm(call.deadline)
  }

  iterate(): AsyncGenerator<Buffer, void, undefined> {
    return this.#stream === undefined ? this.#messages().messages() : this.#stream.pieces()
  }

  /** `make` has the stream, where it was there before. */
  toDuplex(make: (line: Line) => ConnectionDuplex = newDuplex): ConnectionDuplex {
    if (this.#duplex !== undefined) return this.#duplex
    const stream = this.#stream
    if (stream === undefined) {
      throw new NetpollError('ERR_UNSUPPORTED', 'A connection with a framing is no stream')
    }
    if (this.#status === 'leaving' || this.#status === 'closing') throw this.#closedError()
    const line = { core: this, output: this.#out(), profile: this.#profile }
    const duplex = make(line)
    const consumer = consumerOf(duplex, line)
    stream.takeOver(consumer)
    if (this.#status === 'closed') consumer.closed(stream.failure)
    this.#duplex = duplex
    return duplex
  }

  end(): void {
    if (this.#status === 'open' || this.#status === 'halfOpen') {
      this.#status = 'ending'
      this.owner?.finishing()
    } else if (!this.#answers) return
    afterReplies(() => {
      if (this.isOpen) this.#profile.loop.outbox.command(Operation.End, this)
    })
  }

  /** Sends a message, then ends our direction. One that is refused ends nothing. */
  endWith(message: Payload): Promise<void> {
    try {
      this.#checkOutput()
      this.#out().send(message)
    } catch (error) {
      return refusedOutput(error)
    }
    this.end()
    return this.#out().drained()
  }

  close(): Promise<void> {
    if (this.isOpen) {
      this.#stopInput('leaving')
      afterReplies(() => {
        if (this.#status === 'leaving') this.#closeNow()
      })
    } else if (this.#status === 'connecting') {
      this.#closeNow()
    }
    return this.#gone()
  }

  destroy(error?: unknown): void {
    if (error !== undefined && this.#status !== 'closed') {
      this.#error ??= new NetpollError('ERR_CONN_CLOSED', 'The connection was destroyed', { cause: error })
    }
    this.#abandon(Operation.Destroy)
  }

  resetAndDestroy(): void {
    this.#abandon(Operation.Reset)
  }

  retire(): void {
    if (!this.isOpen || this.#leave !== Leave.None || this.#duplex !== undefined) return
    const { goAway, maxCloseTime } = this.#profile
    if (goAway === undefined) {
      this.#beginNoMoreCalls()
      return
    }
    this.#leave = Leave.Retired
    if (!this.#asksToLeave(goAway)) {
      this.finish()
      return
    }
    // A peer that does not leave keeps the connection no longer than one that a server closes.
    const grace = setTimeout(() => this.finish(), maxCloseTime)
    grace.unref()
    this.#lifecycle.onClose(() => clearTimeout(grace))
  }

  detach(): number {
    if (!this.isOpen || this.#status === 'refused') throw this.#closedError()
    // The next owner would take the reply of such a call for that of its own first one.
    if (this.#calls !== undefined && (this.#calls.isAwaited || this.#calls.lost > 0)) {
      throw systemError(constants.errno.EBUSY, 'detach')
    }
    const { loop } = this.#profile
    // What is of this turn and was not handed over yet would be lost.
    if (loop.hasUndelivered(this)) throw systemError(constants.errno.EAGAIN, 'detach')
    const totals = { read: this.bytesRead, written: this.bytesWritten }
    this.keepAddress()
    const { fd, errno } = loop.native.detach(this.#id())
    if (fd === undefined) throw systemError(errno ?? 0, 'detach')
    this.#totals = totals
    loop.forget(this)
    this.closed(0, 0, undefined)
    return fd
  }

  onClose(callback: () => void): void {
    if (typeof callback !== 'function') throw invalidType('callback', 'of type function', callback)
    this.#lifecycle.onClose(callback)
  }

  pause(): void {
    this.flow.hold(Hold.User)
  }

  resume(): void {
    this.flow.release(Hold.User)
  }

  setReadTimeout(milliseconds: number): void {
    const limit = requiredLimit('milliseconds', milliseconds)
    if (this.#stream !== undefined) this.#stream.readTimeout = limit
    this.#profile.loop.outbox.command(Operation.ReadTimeout, this, limit)
  }

  setWriteTimeout(milliseconds: number): void {
    const limit = requiredLimit('milliseconds', milliseconds)
    this.#profile.loop.outbox.command(Operation.WriteTimeout, this, limit)
  }

  setIdleTimeout(milliseconds: number): void {
    const limit = requiredLimit('milliseconds', milliseconds)
    this.#profile.loop.outbox.command(Operation.IdleTimeout, this, limit)
  }

  setRequestTimeout(milliseconds: number): void {
    this.#requestTimeout = requiredLimit('milliseconds', milliseconds)
  }

  setNoDelay(on = true): void {
    if (typeof on !== 'boolean') throw invalidType('on', 'of type boolean', on)
    this.#checkOption(this.#profile.loop.native.setNoDelay(this.#id(), on))
  }

  setKeepAlive(seconds: number): void {
    checkInteger('seconds', seconds, 0, 32_767)
    this.#checkOption(this.#profile.loop.native.setKeepAlive(this.#id(), seconds))
  }

  ref(): void {
    this.#referenced = true
    this.#retain()
  }

  unref(): void {
    this.#referenced = false
    this.#retain()
  }

  /** Of a stream: whether it reads, writes or closes. One that does not keeps no process alive. */
  set isExpectant(isExpectant: boolean) {
    this.#isExpectant = isExpectant
    this.#retain()
  }

  /** One that closes keeps it until it is gone, also where its stream expects nothing. */
  #retain(): void {
    const isExpectant = this.#isClosing ? this.#status !== 'closed' : this.#isExpectant
    const retains = this.#referenced && isExpectant
    if (retains === this.#retains) return
    this.#retains = retains
    if (retains) this.#profile.loop.retain()
    else this.#profile.loop.release()
  }

  /** For what reasons nothing is read. */
  get flow(): Flow {
    this.#flow ??= new Flow(this.#profile.loop.outbox, this, this.#profile.startsHeld ? Hold.Hook : 0)
    return this.#flow
  }

  /** The timer of its calls and reads. */
  get alarm(): Alarm {
    this.#alarm ??= new Alarm(this.#profile.loop, this)
    return this.#alarm
  }

  /** Whether it is established and nobody has closed it. */
  get isOpen(): boolean {
    return this.#status !== 'connecting' && !this.#isClosing
  }

  get #isClosing(): boolean {
    return this.#status === 'leaving' || this.#status === 'closing' || this.#status === 'closed'
  }

  /** Whether whoever gets it next finds nothing of those before: nothing asked, unread or unsent. */
  get isClean(): boolean {
    return (
      this.#status === 'open' &&
      this.#leave === Leave.None &&
      (this.#calls === undefined || this.#calls.isClean) &&
      (this.#writer === undefined || isEmptyWriter(this.#writer)) &&
      (this.#stream === undefined || this.#stream.isUntouched) &&
      (this.#requests === undefined || this.#requests.isUntouched) &&
      this.#flow?.isHeld(Hold.User) !== true
    )
  }

  /** Whether the system does not take now what was sent on it. */
  get hasUnsent(): boolean {
    const mayReply = this.#onRequest !== undefined
    if (this.#output === undefined && !mayReply) return false
    return this.#out().isBehind(mayReply)
  }

  /** Whether it takes calls, as far as those go that were given up on it. */
  get takesCalls(): boolean {
    return this.#calls?.isWornOut !== true
  }

  /** Whether the hooks that come before messages are still running. */
  get isOpening(): boolean {
    return this.#lifecycle.isOpening
  }

  /** Whether messages still go to handlers. */
  get takesReplies(): boolean {
    return !this.#isClosing
  }

  /** Whether what a handler has returned is still sent. */
  get sendsReplies(): boolean {
    return this.#status !== 'closing' && this.#status !== 'closed'
  }

  /** Runs the hooks that come before messages; a promise while `onConnect` takes its time. */
  open(): void | Promise<void> {
    return this.#lifecycle.open()
  }

  /** The hooks are done: messages may come. */
  begin(): void {
    this.#stream?.begin()
    this.#requests?.begin()
    if (this.#profile.startsHeld) this.flow.release(Hold.Hook)
  }

  /** Whether the peer or the user wants no new calls. It closes by itself, once the last call has ended. */
  get isLeaving(): boolean {
    return this.#leave === Leave.Leaving
  }

  /** Asks the peer to leave, which is served until it has. One that cannot be asked is answered what was read. */
  askToLeave(goAway: GoAway): void {
    // One that was retired has been asked.
    if (this.#leave !== Leave.None) return
    this.#leave = Leave.Asked
    if (!this.#asksToLeave(goAway)) this.finish()
  }

  /** Whether the peer was asked to leave. The user's function may close the connection, throw, or ask nobody. */
  #asksToLeave(goAway: GoAway): boolean {
    try {
      const message = this.#status === 'open' ? goAway(this) : undefined
      if (message === undefined || this.#status !== 'open') return false
      this.#out().send(message)
      return true
    } catch (error) {
      this.#profile.failed(error, this)
      return false
    }
  }

  /** From now on calls of ours go elsewhere, and the end of the last one closes it. */
  #beginNoMoreCalls(): void {
    if (this.#leave === Leave.Leaving) return
    this.#leave = Leave.Leaving
    this.owner?.leaving()
    if (this.#calls?.isAwaited !== true) this.#depart()
  }

  /** Nobody waits for anything here any more, but perhaps the peer, for answers of ours. */
  #depart(): void {
    if (this.#profile.countsMessages || this.#stream !== undefined) this.finish()
    else void this.close()
  }

  /** Answers what was read, then closes. */
  finish(): void {
    if (this.#isClosing || this.#status === 'refused') return
    // Whoever uses the stream ends it.
    if (this.#duplex !== undefined) return
    if (this.#status === 'open') this.#status = 'finishing'
    else if (this.#exchanges) this.#status = 'answering'
    this.#profile.loop.outbox.command(Operation.Finish, this)
    this.#stream?.finish()
  }

  /** A message, or bytes of a stream, arrived. The hot path: one view for a message, none for a stream. */
  receive(chunk: Chunk, start: number, length: number): void {
    if (this.#isClosing) return
    if (this.#stream !== undefined) {
      this.#stream.receive(chunk.bytes, start, length)
      return
    }
    const message = messageAs(this.#profile.bytes, chunk, start, length)
    if (this.#calls === undefined) this.#unasked(message)
    else if (!this.#answered(this.#calls, message)) this.#unanswering(message)
    else if (this.#profile.countsMessages) this.#profile.loop.outbox.command(Operation.Acknowledge, this)
  }

  /** A message that answers none of the calls. The user's function that has looked for its id may have closed it. */
  #unanswering(message: Buffer): void {
    if (this.takesReplies) this.#unasked(message)
  }

  /** A message that answers no call. */
  #unasked(message: Buffer): void {
    const { isGoAway, loop, countsMessages } = this.#profile
    if (isGoAway === undefined || !this.#saysGoAway(isGoAway, message)) {
      // The user's function may have closed the connection, or thrown.
      if (isGoAway === undefined || this.takesReplies) this.#messages().receive(message)
      return
    }
    if (countsMessages) loop.outbox.command(Operation.Acknowledge, this)
    this.#beginNoMoreCalls()
  }

  #saysGoAway(isGoAway: IsGoAway, message: Buffer): boolean {
    try {
      const says = this.context.run(
        isGoAway as (message: Buffer, _: undefined) => unknown,
        message,
        undefined,
      )
      refusePromise('isGoAway', says)
      return says === true
    } catch (error) {
      this.fail(error)
      return false
    }
  }

  /** The id of the message that is received next, in two words. */
  identify(low: number, high: number): void {
    this.#calls?.identify(low, high)
  }

  connected(): void {
    if (this.#status !== 'connecting') return
    this.#status = 'open'
    this.#profile.opened(this)
  }

  /** The peer has gone, or was refused: `code` says why, and `call` by which system call it was found. */
  inactive(code: number, call: number, excerpt: Excerpt | undefined): void {
    if (this.#exchanges) this.#status = 'inactive'
    // With `allowHalfOpen` the peer may have ended its direction, and wait for the answers.
    else if (this.#status === 'finishing')
      this.#status = this.#profile.allowHalfOpen ? 'answering' : 'inactive'
    this.owner?.inactive()
    // What the system says is told with the end, which follows at once.
    const error = isOwnReason(code) ? reasonError(code, call, this.#refused(excerpt)) : undefined
    if (error === undefined) {
      if (this.#signal !== undefined && this.isGone) setImmediate(() => this.#abortSignal())
      return
    }
    if (this.#answers) this.#status = 'refused'
    const isNews = this.#error === undefined
    this.#error ??= error
    this.#failCalls(error)
    this.#inputEnded(() => error, error)
    if (isNews) this.#profile.failed(error, this)
    this.#abortSignal()
  }

  /** Everything that the peer sent was handed over. */
  ended(): void {
    const failure = this.#error
    if (this.#status === 'open') {
      this.#status = 'halfOpen'
      this.owner?.inactive()
    }
    // Where it closes at once, its last record comes in the same batch, and says more. Promises run within a batch.
    if (this.isHalfOpen || this.#calls?.isAwaited === true) setImmediate(() => this.#unanswered())
    const end = peerEnded()
    this.#ending ??= end
    this.#inputEnded(() => failure ?? end, failure)
    // It has left, as it was asked to. With `allowHalfOpen` nothing else would end our direction.
    const isAsked = this.#leave === Leave.Asked || this.#leave === Leave.Retired
    if (isAsked && this.#profile.allowHalfOpen) this.finish()
  }

  congested(): void {
    this.#out().congested()
  }

  /** At most half of the high-water mark waits to be sent. */
  drained(): void {
    if (this.#output?.isCongested !== true) return
    this.#output.relieved()
    const { onDrain } = this.#profile.hooks
    if (onDrain === undefined) return
    guarded(
      () => this.context.run(onDrain, this.facade, undefined),
      (error) => this.fail(error),
    )
  }

  /** Our direction has ended, with everything sent. */
  endSent(): void {
    this.#stream?.consumer?.endSent()
  }

  /** Has a stream told, with `number`, when nothing waits to be sent. No N-API call. */
  tellFlushed(number: number): void {
    this.#profile.loop.outbox.command(Operation.TellFlushed, this, number)
  }

  /** Nothing waits to be sent any more. */
  flushed(number: number): void {
    this.#stream?.consumer?.flushed(number)
  }

  /** Nothing was read or written for the idle timeout, and the core knows of nothing in handling. */
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
    this.#error ??= withoutStack(
      () => new NetpollError('ERR_IDLE_TIMEOUT', 'Nothing was sent or received within idleTimeout'),
    )
    this.#closeNow()
  }

  /** The alarm has gone off. */
  alarmed(number: number, late: number): void {
    this.alarm.fired(number, late)
  }

  /** Gives up the calls and reads whose time is over at `due`, as {@link Alarm} asks for. */
  expire(due: number): number {
    const calls = this.#calls?.expire(due) ?? Number.POSITIVE_INFINITY
    const reads = this.#stream?.expire(due) ?? Number.POSITIVE_INFINITY
    return Math.min(calls, reads)
  }

  /** How much went through it, told right before its last record. */
  totals(part: keyof Totals, bytes: number): void {
    this.#totals ??= { read: 0, written: 0 }
    this.#totals[part] = bytes
  }

  /** The slot's last record. */
  closed(code: number, call: number, excerpt: Excerpt | undefined): void {
    // Its hooks are told later, and the core has forgotten it then.
    if (this.#lifecycle.isOpening) this.keepAddress()
    this.#status = 'closed'
    this.#retain()
    const news = this.#error === undefined ? reasonError(code, call, this.#refused(excerpt)) : undefined
    const error = this.#error ?? news
    this.#error = error
    // Made for those who wait alone: its stack costs more than the rest of closing, and mostly there are none.
    let made = error
    const gone = (): NetpollError => {
      made ??= closedHere(this.#ending)
      return made
    }
    // Whatever one of them throws, the others hear of the end: some of them wait for nothing else.
    this.#tryLast(() => this.#endCalls(gone))
    this.#tryLast(() => this.#output?.end(gone))
    this.#tryLast(() => this.#inputEnded(gone, error))
    this.#tryLast(() => this.#stream?.consumer?.closed(error))
    this.#tryLast(() => this.#stream?.gone())
    this.#tryLast(() => this.owner?.closed())
    this.#abortSignal()
    this.#tryLast(() => {
      if (this.#profile.closed(this, error)) this.#lifecycle.closed({ error, news })
    })
    for (const resolve of this.#goneWaiters ?? []) resolve()
    this.#goneWaiters = undefined
  }

  #endCalls(gone: () => NetpollError): void {
    const calls = this.#calls
    if (calls?.isAwaited === true) calls.failAll(gone(), this.#totals?.written)
    else calls?.forgetLost()
  }

  #refused(excerpt: Excerpt | undefined): Refused | undefined {
    return excerpt && { excerpt, maxLength: this.#profile.framing.native.maxLength }
  }

  /** Reports an error that does not end it. */
  tell(error: unknown): void {
    this.#profile.failed(error, this)
  }

  #tryLast(work: () => void): void {
    try {
      work()
    } catch (failure) {
      this.#profile.failed(failure, this)
    }
  }

  /** The peer has sent what is refused: tells so, and closes once the replies before it have left. */
  refuse(error: NetpollError): void {
    this.#error ??= error
    this.#profile.failed(error, this)
    this.#closeNow()
    this.#failCalls(error)
  }

  /** Reports `error`, and closes once the replies before it have left. */
  fail(error: unknown): void {
    // Who read until the end and let that be thrown has nothing to report: `onDisconnect` tells of it.
    const isTold = this.#stream?.hasEndedBy(error) === true || this.#signal?.isToldBy(error) === true
    if (!isTold) this.#profile.failed(error, this)
    this.#ending ??= error
    this.#closeNow()
    this.#failCalls(new NetpollError('ERR_CONN_CLOSED', 'The connection was closed', { cause: error }))
  }

  /** No reply comes. The connection may stay for long, also where it closes by itself: handlers may wait for such calls. */
  #unanswered(): void {
    if (this.#status === 'closed') return
    const cause = this.#error ?? this.#ending
    const error = new NetpollError('ERR_CONN_CLOSED', 'The peer has ended the connection', { cause })
    this.#tryLast(() => this.#failCalls(error))
  }

  /** Nothing of the peer is taken any more, so no reply comes: whoever calls need not wait for the end. */
  #failCalls(error: NetpollError): void {
    this.#calls?.failAll(error)
    this.owner?.callsFailed()
  }

  /** Takes nothing more from the peer, which counts for the answers that are still to be sent. */
  #stopInput(status: 'leaving' | 'closing'): void {
    this.#status = status
    this.#retain()
    this.#calls?.forgetLost()
    this.#inputEnded(closedHere)
    this.#abortSignal()
  }

  /** Sends what was accepted, and nothing else, then closes. */
  #closeNow(): void {
    if (this.#status === 'closing' || this.#status === 'closed') return
    this.#profile.loop.outbox.command(Operation.Close, this)
    if (this.#status === 'leaving') this.#status = 'closing'
    else this.#stopInput('closing')
  }

  #abandon(operation: typeof Operation.Destroy | typeof Operation.Reset): void {
    if (this.#status === 'closed') return
    this.#status = 'closing'
    this.#retain()
    this.#calls?.forgetLost()
    this.#profile.loop.outbox.command(operation, this)
    this.#inputEnded(() => this.#error ?? closedHere())
    this.#abortSignal()
  }

  /** Whoever reads gets `error`; whoever iterates over messages gets `failure`, or just their end. */
  #inputEnded(error: () => NetpollError, failure?: NetpollError): void {
    if (this.#stream === undefined) this.#messages().end(failure)
    else if (!this.#stream.hasEnded) this.#stream.end(error())
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
        if (this.#leave === Leave.Leaving) this.#depart()
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
    this.#requests ??= new Requests(this, this.#profile)
    return this.#requests
  }

  #checkOutput(): void {
    if (this.#status === 'open' || this.#status === 'halfOpen') return
    const answers = this.#answers || this.#status === 'refused'
    const accepts = answers && this.#profile.loop.native.acceptsOutput(this.#id())
    if (!accepts) throw this.#closedError()
  }

  /** Whether what was read is still answered, and nothing else is exchanged. */
  get #answers(): boolean {
    return this.#status === 'finishing' || this.#status === 'answering' || this.#status === 'inactive'
  }

  #checkRequests(): void {
    // A peer that has ended its direction, or was refused, replies to nothing that it had not been asked before.
    if (this.#status !== 'open' && this.#status !== 'finishing') throw this.#closedError()
    if (!beginsCalls(this.#leave)) throw leaving()
    this.#checkOutput()
  }

  #closedError(): NetpollError {
    return new NetpollError('ERR_CONN_CLOSED', 'The connection is closed', {
      cause: this.#error ?? this.#ending,
    })
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

const newDuplex = (line: Line): ConnectionDuplex => new ConnectionDuplex(line, line.profile.allowHalfOpen)

/** Where users call. */
const entry = Connection.prototype.call

/** As many messages as a word can say. */
const noBound = 2 ** 32 - 1

/** Why a call does not begin, or a dial has been in vain. */
export function leaving(): NetpollError {
  return wornOut(new NetpollError('ERR_CONN_CLOSED', 'The connection is to be used for no new calls'))
}

const abortSignal = (signal: EndSignal, error: NetpollError | undefined): void => signal.abort(error)

/** Does `work` behind the replies of handlers that return in this turn: once its promises have called back. */
const afterReplies = afterMicrotasks

function closedHere(cause?: unknown): NetpollError {
  return new NetpollError(
    'ERR_CONN_CLOSED',
    'The connection was closed',
    cause === undefined ? {} : { cause },
  )
}

function peerEnded(): NetpollError {
  return withoutStack(() => new NetpollError('ERR_EOF', 'The peer has ended the connection'))
}
