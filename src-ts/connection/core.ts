import { DeadlineTimer } from '../poller/deadline-timer'
import type { Calls } from './calls/pending-call'
import { createCalls, endCalls } from './calls/connection-calls'
import { type Chunk, messageAs } from '../memory/chunk'
import type { Context } from '../process/async-context'
import { consumerOf, type StreamDuplex } from './stream/duplex'
import type { StreamTransport } from './stream/transport'
import { NetpollError } from '../errors'
import type { Excerpt } from '../native/excerpt'
import { ReadPause, PauseReason } from './read-pause'
import { askToLeave, retire, saysGoAway } from './go-away'
import { EndSignal } from './end-signal'
import { afterReplies, Closing } from './closing'
import { type FirstStatus, Life } from './life'
import { Retention } from './retention'
import { Silence } from './silence'
import { Socket } from './socket'
import type { GroupOf } from './group-settings'
import { originOf } from '../leaks/origin'
import { leaks } from '../leaks/watch-list'
import type { Look } from '../leaks/watched'
import { guarded } from '../process/report'
import { Lifecycle } from './lifecycle'
import type { Reader } from '../link-buffer/reader'
import { isEmptyWriter, newWriter, type Writer } from '../link-buffer/writer'
import type { NativeId } from '../native/binding'
import { checkHandler, type Facade, type GoAway, type MessageHandler, type StreamHandler } from './hooks'
import { Operation } from '../native/protocol-numbers'
import { SendQueue } from './send-queue'
import { flush } from './sending'
import type { ConnectionOwner } from './owner'
import { Dispatcher } from './messages/dispatcher'
import { StreamInput } from './stream/stream-input'
import type { Upgrade } from './upgrade'
import { setImmediate } from '../time/timers'
import { enderOf, isOwnReason, reasonError, type RefusedOfConnection } from '../native/reasons'

/** What all connections of one server or dialer in one event loop have in common, and what is told of them. */
export type ConnectionGroup = GroupOf<ConnectionCore>

/** Makes what users have of a connection that is a stream of Node.js. */
export type NewDuplex = (transport: StreamTransport) => StreamDuplex

/**
 * One connection, as the package has it; what users have of it, and what its public members mean, is `Connection`. Users
 * never get hold of it, so that nothing they set or replace comes between.
 */
export class ConnectionCore {
  /** What users have. */
  readonly facade: Facade
  readonly slot: number
  readonly generation: number
  /** The context that the user's code runs in. */
  readonly context: Context
  readonly life: Life
  /** Milliseconds that a call waits which says nothing else; 0 for ever. */
  requestTimeout: number
  /** The pool or mux that keeps it. */
  owner: ConnectionOwner | undefined
  /** What was dialed, where that is a host. */
  dialedHost: string | undefined
  /** Its way from plaintext to TLS, while it goes on. */
  upgrade: Upgrade | undefined
  readonly group: ConnectionGroup
  /** Whether the core counts its messages as in flight, and is told of each that is done with. */
  #countsMessages: boolean
  readonly #lifecycle: Lifecycle
  readonly #stream: StreamInput | undefined
  /** Only with an `idleTimeout`. */
  #silence: Silence | undefined
  // Made when they are first needed: an idle connection is to cost little.
  #readPause: ReadPause | undefined
  #deadlineTimer: DeadlineTimer | undefined
  #sendQueue: SendQueue | undefined
  #dispatcher: Dispatcher | undefined
  #onRequest: MessageHandler | undefined
  #onData: StreamHandler | undefined
  #writer: Writer | undefined
  #duplex: StreamDuplex | undefined
  #calls: Calls | undefined
  #socket: Socket | undefined
  #retention: Retention | undefined
  #closing: Closing | undefined
  #signal: EndSignal | undefined

  constructor(
    id: NativeId,
    group: ConnectionGroup,
    status: FirstStatus,
    context: Context,
    newFacade: (core: ConnectionCore) => Facade,
  ) {
    this.facade = newFacade(this)
    this.slot = id.slot
    this.generation = id.generation
    this.context = context
    this.group = group
    this.#countsMessages = group.countsMessages
    this.life = new Life(status)
    this.requestTimeout = group.requestTimeout
    this.#onRequest = group.hooks.onRequest
    this.#onData = group.hooks.onData
    this.#lifecycle = new Lifecycle(this, group)
    if (group.watchesSilence) this.#silence = new Silence(group.poller)
    this.#stream = group.framing.isStream ? new StreamInput(this, group) : undefined
    group.poller.retain()
    if (leaks === undefined) return
    const stack = group.role === 'server' ? group.madeAt : originOf(group.madeAt)
    leaks.watch<ConnectionCore>('connection', this, ConnectionCore.#look, stack)
  }

  static #look(core: ConnectionCore): Look {
    const { life, group } = core
    // A hook that is waited for is watched by itself.
    if (core.#lifecycle.isWaiting) return 'fine'
    if (life.isClosed) return { what: 'has ended, and is still held', certainty: 'unlessGarbage' }
    if (!life.isClosing) return 'fine'
    return { what: 'is being closed', certainty: 'certain', allowance: group.maxCloseTime }
  }

  /** Whether it is one: users cannot make any. */
  static isOne(value: unknown): boolean {
    return typeof value === 'object' && value !== null && #lifecycle in value
  }

  get onRequest(): MessageHandler | undefined {
    return this.#onRequest
  }

  set onRequest(handler: MessageHandler | undefined) {
    checkHandler('onRequest', handler, this.group.framing)
    this.#onRequest = handler
    if (handler !== undefined && !this.#countsMessages) this.#countMessages()
    this.#dispatcher?.handlerChanged()
  }

  /** From now on there may be replies, for which the core waits before it closes. */
  #countMessages(): void {
    if (this.life.isClosed) return
    this.#countsMessages = true
    this.group.poller.commandQueue.command(Operation.CountMessages, this)
  }

  get onData(): StreamHandler | undefined {
    return this.#onData
  }

  set onData(handler: StreamHandler | undefined) {
    checkHandler('onData', handler, this.group.framing)
    this.#onData = handler
    this.#stream?.handlerChanged()
  }

  get isActive(): boolean {
    return this.life.isActive
  }

  /** How many calls wait for their replies. They may have to be counted. */
  get waitingCalls(): number {
    return this.#calls?.waiting ?? 0
  }

  get endSignal(): EndSignal {
    this.#signal ??= new EndSignal(this)
    return this.#signal
  }

  /** The peer has gone, or the connection closes. */
  abortSignal(): void {
    this.#signal?.abort()
  }

  get reader(): Reader {
    if (this.#stream === undefined) {
      throw new NetpollError('ERR_UNSUPPORTED', 'A connection with a framing has messages and no reader')
    }
    return this.#stream.reader
  }

  /** What arrives on a stream; `undefined` with a framing. */
  get input(): StreamInput | undefined {
    return this.#stream
  }

  get writer(): Writer {
    this.#writer ??= newWriter(this.group.poller.memory.arena, (written) => flush(this, written))
    return this.#writer
  }

  get isCongested(): boolean {
    return this.#sendQueue?.isCongested ?? false
  }

  iterate(): AsyncGenerator<Buffer, void, undefined> {
    if (this.#stream !== undefined) return this.#stream.pieces()
    if (!this.#countsMessages) this.#countMessages()
    return this.#messages().messages()
  }

  /** `create` has the stream, where it was there before. */
  toDuplex(create: NewDuplex): StreamDuplex {
    if (this.#duplex !== undefined) return this.#duplex
    const stream = this.#stream
    if (stream === undefined) {
      throw new NetpollError('ERR_UNSUPPORTED', 'A connection with a framing is no stream')
    }
    if (this.life.isClosing && !this.life.isClosed) throw this.closing.closedError()
    if (this.upgrade !== undefined) {
      throw new NetpollError('ERR_CONCURRENT_ACCESS', 'No duplex can take over before startTls is done')
    }
    const transport = { core: this, sendQueue: this.sendQueue, group: this.group }
    const duplex = create(transport)
    const consumer = consumerOf(duplex, transport)
    stream.takeOver(consumer)
    if (this.life.isClosed) consumer.closed(stream.failure)
    this.#duplex = duplex
    return duplex
  }

  end(): void {
    if (this.upgrade !== undefined) {
      this.upgrade.afterwards('end')
      return
    }
    if (this.life.end()) this.owner?.finishing()
    else if (!this.life.isAnswering) return
    // The core hears of the end later.
    this.wasBusy()
    afterReplies(() => {
      if (this.life.isOpen) this.group.poller.commandQueue.command(Operation.End, this)
    })
  }

  close(): Promise<void> {
    return this.closing.close()
  }

  destroy(error?: unknown): void {
    this.closing.destroy(error)
  }

  retire(): void {
    if (this.upgrade !== undefined) this.upgrade.afterwards('retire')
    // The user of the stream ends it.
    else if (this.#duplex === undefined) retire(this, this.life, this.group)
  }

  /** Whether the reply of a call can still come, also of one that was given up. */
  get awaitsReplies(): boolean {
    return this.#calls !== undefined && (this.#calls.isAwaited || this.#calls.lost > 0)
  }

  onClose(callback: () => void): void {
    this.#lifecycle.onClose(callback)
  }

  setReadTimeout(milliseconds: number): void {
    const limit = this.socket.setReadTimeout(milliseconds)
    if (this.#stream !== undefined) this.#stream.readTimeout = limit
  }

  setIdleTimeout(milliseconds: number): void {
    this.socket.setIdleTimeout(milliseconds)
    this.#silence ??= new Silence(this.group.poller)
    this.#stream?.watchSilence()
  }

  /** Whether the end of what keeps the user's code busy has to be told. */
  get watchesSilence(): boolean {
    return this.#silence !== undefined
  }

  /** The user's code was busy with it until now. The hot path: one comparison where there is no `idleTimeout`. */
  wasBusy(): void {
    this.#silence?.wasBusy()
  }

  ref(): void {
    this.retention.isReferenced = true
  }

  unref(): void {
    this.retention.isReferenced = false
  }

  /** Whether it keeps the process alive: it does from the beginning. */
  get retention(): Retention {
    this.#retention ??= new Retention(this.group.poller, this.life)
    return this.#retention
  }

  get socket(): Socket {
    this.#socket ??= new Socket(this, this.group.poller)
    return this.#socket
  }

  get closing(): Closing {
    this.#closing ??= new Closing(this, this.life, this.group.poller.commandQueue)
    return this.#closing
  }

  /** Its calls, and how replies find them. */
  get calls(): Calls {
    this.#calls ??= createCalls(this, this.group)
    return this.#calls
  }

  /** What it sends beside replies. */
  get sendQueue(): SendQueue {
    this.#sendQueue ??= new SendQueue(this, this.group)
    return this.#sendQueue
  }

  /** For what reasons nothing is read. */
  get readPause(): ReadPause {
    this.#readPause ??= new ReadPause(
      this.group.poller.commandQueue,
      this,
      this.group.startsHeld ? PauseReason.Hook : 0,
    )
    return this.#readPause
  }

  /** The timer of its calls and reads. */
  get deadlineTimer(): DeadlineTimer {
    this.#deadlineTimer ??= new DeadlineTimer(this.group.poller, this)
    return this.#deadlineTimer
  }

  /** Whether it is established, and was not closed. */
  get isOpen(): boolean {
    return this.life.isOpen
  }

  /** Whether it is gone. */
  get isOver(): boolean {
    return this.life.isClosed
  }

  /** Whether its next user finds nothing of those before: nothing asked, unread or unsent. */
  get isClean(): boolean {
    return (
      this.life.isUntouched &&
      (this.#calls === undefined || this.#calls.isClean) &&
      (this.#writer === undefined || isEmptyWriter(this.#writer)) &&
      (this.#stream === undefined || this.#stream.isUntouched) &&
      (this.#dispatcher === undefined || this.#dispatcher.isUntouched) &&
      this.#readPause?.isPausedFor(PauseReason.User) !== true
    )
  }

  /** Whether the system does not take now what was sent on it. */
  get hasUnsent(): boolean {
    const mayReply = this.#onRequest !== undefined || this.group.hooks.onMessage !== undefined
    if (this.#sendQueue === undefined && !mayReply) return false
    return this.sendQueue.isBehind(mayReply)
  }

  /** Whether it takes calls, as far as those go that were given up on it. */
  get takesCalls(): boolean {
    return this.#calls?.isWornOut !== true
  }

  /** Whether the hooks that come before messages are still running. */
  get isOpening(): boolean {
    return this.#lifecycle.isOpening
  }

  /** A hook that comes before messages calls: replies come from now on, and messages wait for it to be done. */
  holdBack(): void {
    this.#messages().holdBack()
  }

  /** Runs the hooks that come before messages; a promise while `onConnect` takes its time. */
  open(): void | Promise<void> {
    return this.#lifecycle.open()
  }

  /** The hooks are done: messages may come. */
  begin(): void {
    this.wasBusy()
    this.#stream?.begin()
    this.#dispatcher?.begin()
    if (this.group.startsHeld) this.readPause.resume(PauseReason.Hook)
  }

  /** Asks the peer to leave, which is served until it has. One that cannot be asked is answered what was read. */
  askToLeave(goAway: GoAway): void {
    askToLeave(this, this.life, goAway)
  }

  /** From now on calls of ours go elsewhere, and the end of the last one closes it. */
  beginNoMoreCalls(): void {
    if (!this.life.askedToLeave()) return
    this.owner?.leaving()
    if (this.#calls?.isAwaited !== true) this.callsEnded()
  }

  /** No call waits any more. Where the peer has asked to leave it still may wait, for answers of ours. */
  callsEnded(): void {
    if (!this.life.isLeaving) return
    if (this.#countsMessages || this.#stream !== undefined) this.finish()
    else void this.close()
  }

  /** Answers what was read, then closes. */
  finish(): void {
    // The user of the stream ends it.
    if (this.#duplex !== undefined || !this.life.finish()) return
    this.group.poller.commandQueue.command(Operation.Finish, this)
    this.#stream?.finish()
  }

  /** A message, or bytes of a stream, arrived. The hot path: one view for a message, none by cursor and for a stream. */
  receive(chunk: Chunk, start: number, length: number): void {
    if (this.life.isClosing) return
    if (this.#stream !== undefined) {
      this.#stream.receive(chunk.bytes, start, length)
      return
    }
    const calls = this.#calls
    if (calls !== undefined) {
      this.#receiveBeside(calls, messageAs(this.group.bytes, chunk, start, length))
      return
    }
    if (this.group.readsByCursor && this.#messages().receiveAt(chunk, start, length)) return
    this.#unasked(messageAs(this.group.bytes, chunk, start, length))
  }

  /** A message on a connection that has made calls. */
  #receiveBeside(calls: Calls, message: Buffer): void {
    const isReply = this.#answered(calls, message)
    // The user's function that has looked for its id may have closed the connection.
    if (!isReply && this.life.takesReplies) this.#unasked(message)
    if (isReply && this.#countsMessages) {
      this.group.poller.commandQueue.command(Operation.Acknowledge, this)
    }
  }

  /** A message that answers no call. */
  #unasked(message: Buffer): void {
    const { isGoAway, poller } = this.group
    if (isGoAway === undefined || !saysGoAway(this, isGoAway, message)) {
      // The user's function may have closed the connection, or thrown.
      if (isGoAway === undefined || this.life.takesReplies) this.#messages().receive(message)
      return
    }
    if (this.#countsMessages) poller.commandQueue.command(Operation.Acknowledge, this)
    this.beginNoMoreCalls()
  }

  /** The id of the message that is received next, in two words. */
  identify(low: number, high: number): void {
    this.#calls?.identify(low, high)
  }

  connected(): void {
    if (this.life.connected()) this.group.opened(this)
  }

  /** The peer has gone, or was refused: `code` says why, and `call` by which system call it was found. */
  inactive(code: number, call: number, excerpt: Excerpt | undefined): void {
    this.life.peerGone(this.group.allowHalfOpen)
    this.owner?.inactive()
    // What the system says is told with the end, which follows at once.
    const error = isOwnReason(code) ? reasonError(code, call, this.#refused(excerpt)) : undefined
    if (error !== undefined) this.closing.refused(error, enderOf(code))
    else if (this.#signal !== undefined && this.life.isGone) setImmediate(() => this.abortSignal())
  }

  /** Everything that the peer sent was handed over. */
  ended(): void {
    if (this.life.peerEnded()) this.owner?.inactive()
    // Where it closes at once, its last record comes in the same batch, and says more. Promises run within a batch.
    if (this.life.isHalfOpen || this.#calls?.isAwaited === true) setImmediate(() => this.closing.unanswered())
    this.closing.peerEnded()
    // It has left, as it was asked to. With `allowHalfOpen` nothing else would end our direction.
    if (this.life.isAsked && this.group.allowHalfOpen) this.finish()
  }

  congested(): void {
    this.sendQueue.congested()
  }

  /** At most half of the high-water mark waits to be sent. */
  drained(): void {
    if (this.#sendQueue?.isCongested !== true) return
    this.#sendQueue.relieved()
    const { onDrain } = this.group.hooks
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
    this.group.poller.commandQueue.command(Operation.TellFlushed, this, number)
  }

  /** Nothing waits to be sent any more. */
  flushed(number: number): void {
    this.#stream?.consumer?.flushed(number)
  }

  /** The last plaintext has left, and nothing is read any more. */
  plainEnded(): void {
    this.upgrade?.plainEnded()
  }

  /** TLS has taken the place of plaintext. */
  secured(): void {
    this.upgrade?.secured()
  }

  /** Its TLS keys are about to be exhausted. Our calls go elsewhere from now on, and others are asked to leave. */
  wornOut(): void {
    const { role, goAway } = this.group
    if (role === 'client') this.retire()
    else if (goAway !== undefined) this.askToLeave(goAway)
    else this.finish()
  }

  /** Nothing was read or written for the idle timeout, and the core knows of nothing in handling. */
  idle(): void {
    const consumer = this.#stream?.consumer
    if (consumer !== undefined) consumer.idle()
    else if (!this.#isInUse) this.#silence?.confirm(this)
  }

  /** The same, and nothing has come in between since that was said last. */
  idleConfirmed(): void {
    if (this.#stream?.consumer !== undefined || this.#silence === undefined || this.#isInUse) return
    if (!this.#silence.isConfirmed) this.#silence.confirm(this)
    // What the user has done with it since that was told, the core may not have known. Asked once, right before it closes.
    else if ((this.life.isOpen || this.upgrade !== undefined) && this.socket.isSilent) this.closing.timedOut()
  }

  /** Whether the user's code is busy with it, or a call waits, or the peer waits for us: what it has sent is unread. */
  get #isInUse(): boolean {
    // Its user waits for the peer.
    if (this.upgrade !== undefined) return false
    const stream = this.#stream
    if (this.#calls?.isAwaited === true || this.#lifecycle.isOpening) return true
    if (stream !== undefined) return stream.isBusy || stream.hasUnread
    return this.#dispatcher?.isBusy === true || this.#dispatcher?.hasUnread === true
  }

  /** The deadline timer has gone off. */
  timerFired(number: number, late: number): void {
    this.deadlineTimer.fired(number, late)
  }

  /** Gives up the calls and reads whose time is over at `due`, as {@link DeadlineTimer} asks for. */
  expire(due: number): number {
    const calls = this.#calls?.expire(due) ?? Number.POSITIVE_INFINITY
    const reads = this.#stream?.expire(due) ?? Number.POSITIVE_INFINITY
    return Math.min(calls, reads)
  }

  /** How much went through it, told right before its last record. */
  totals(part: 'read' | 'written', bytes: number): void {
    this.socket.totals(part, bytes)
  }

  /** The slot's last record. */
  closed(code: number, call: number, excerpt: Excerpt | undefined): void {
    // Its hooks are told later, and the core has forgotten it then.
    if (this.#lifecycle.isOpening) this.socket.keepAddress()
    this.life.closed()
    this.retention.follow()
    const unreported =
      this.closing.error === undefined ? reasonError(code, call, this.#refused(excerpt)) : undefined
    const gone = this.closing.over(unreported, enderOf(code))
    const { error } = this.closing
    this.closing.tellEach([
      () => endCalls(this.#calls, gone, this.socket.writtenInAll),
      () => this.#sendQueue?.end(gone),
      () => this.upgrade?.failed(gone()),
      () => this.inputEnded(gone, error),
      () => this.#stream?.consumer?.closed(error),
      () => this.#stream?.gone(),
      () => this.owner?.closed(),
      () => this.abortSignal(),
      () => {
        if (this.group.closed(this, error)) this.#lifecycle.closed({ error, unreported })
      },
    ])
  }

  #refused(excerpt: Excerpt | undefined): RefusedOfConnection | undefined {
    return excerpt && { excerpt, maxLength: this.group.framing.native.maxLength }
  }

  /** Reports an error that does not end it. */
  tell(error: unknown): void {
    this.group.failed(error, this)
  }

  /** Reports `error`, and closes once the replies before it have left. */
  fail(error: unknown): void {
    this.closing.fail(error)
  }

  get isDuplex(): boolean {
    return this.#stream?.consumer !== undefined
  }

  /** Whether the user was told `error` at the end of what is read, or by the signal. */
  isTold(error: unknown): boolean {
    return this.#stream?.hasEndedBy(error) === true || this.#signal?.isToldBy(error) === true
  }

  /** Nothing of the peer is taken any more, so no reply comes: the callers need not wait for the end. */
  failCalls(error: NetpollError): void {
    this.#calls?.failAll(error)
    this.owner?.callsFailed()
  }

  /** No late reply is waited for. */
  forgetLostCalls(): void {
    this.#calls?.forgetLost()
  }

  /** A reader gets `error`; a loop over messages gets `failure`, or just their end. */
  inputEnded(error: () => NetpollError, failure?: NetpollError): void {
    if (this.#stream === undefined) this.#messages().end(failure)
    else if (!this.#stream.hasEnded) this.#stream.end(error())
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

  #messages(): Dispatcher {
    this.#dispatcher ??= new Dispatcher(this, this.group)
    return this.#dispatcher
  }
}
