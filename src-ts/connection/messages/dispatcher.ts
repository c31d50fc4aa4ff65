import { PendingRequests } from './pending-requests'
import type { Context } from '../../process/async-context'
import { channels } from '../../process/diagnostics'
import { requests } from '../../process/tracing'
import { type NetpollError, replyError, unexpectedMessage } from '../../errors'
import { type ReadPause, PauseReason } from '../read-pause'
import { Cursor, type CursorReplies } from './cursor'
import { MessageIterator } from './message-iterator'
import type { CursorHandler, Facade, MessageHandler } from '../hooks'
import type { Life } from '../life'
import { Operation } from '../../native/protocol-numbers'
import type { CommandTarget } from '../../poller/command-queue'
import { type MessageWriter, messageWriting, revoke } from '../../link-buffer/message-writer'
import { Chunk } from '../../memory/chunk'
import { keepPayload, type Payload } from '../../memory/payload'
import { refusePromise } from '../../process/report'
import type { GroupSettings } from '../group-settings'
import { hasFailed, PendingReply, type ReplyOwner, ReplyQueue } from './reply-queue'
import { microtask } from '../../time/timers'
import { isThenable, whenReturned, whenSettled } from '../../checks/thenables'

/** A connection, as far as its messages need it. */
export interface DispatcherConnection extends CommandTarget {
  readonly facade: Facade
  readonly context: Context
  readonly readPause: ReadPause
  readonly onRequest: MessageHandler | undefined
  /** Whether the hooks that come before messages are still running. */
  readonly isOpening: boolean
  /** Whether it is gone. */
  readonly isOver: boolean
  readonly life: Pick<Life, 'sendsReplies' | 'takesReplies'>
  /** Reports `error`, and closes once the replies before it have left. */
  fail(error: unknown): void
  /** The user's code was busy with it until now. */
  wasBusy(): void
}

type DispatcherSettings = Pick<
  GroupSettings,
  | 'asyncHandler'
  | 'counts'
  | 'countsMessages'
  | 'framing'
  | 'highWaterMark'
  | 'hooks'
  | 'ids'
  | 'poller'
  | 'madeAt'
  | 'maxInFlight'
  | 'ordered'
>

/** The messages of a framed connection: their handler, and the order of its replies. */
export class Dispatcher implements ReplyOwner, CursorReplies<PendingReply> {
  readonly #connection: DispatcherConnection
  readonly #group: DispatcherSettings
  #replies: ReplyQueue | undefined
  #queue: MessageIterator | undefined
  #pendingRequests: PendingRequests | undefined
  /** Handlers that have not returned: more than one where a handler turns the event loop. */
  #running = 0
  /** Their places among the replies, of all but the innermost. */
  #runningPlaces: PendingReply[] | undefined
  /** Handlers that answer later, and have not. */
  #unanswered = 0
  /** Nothing more will come, and why, where that is not in order. */
  #end: { readonly failure: NetpollError | undefined } | undefined
  /** Whether a handler has thrown: the connection closes once the replies before it have left. */
  #isFailing = false

  constructor(connection: DispatcherConnection, group: DispatcherSettings) {
    this.#connection = connection
    this.#group = group
    if (group.ids !== undefined && group.countsMessages) this.#pendingRequests = this.#newPendingRequests()
  }

  /**
   * A message that no call awaits. The hot path: the handler, and for an asynchronous one a recycled place among the
   * replies.
   */
  receive(message: Buffer): void {
    if (this.#isFailing) return
    const { onRequest } = this.#connection
    const waits = this.#queue !== undefined || this.#pendingRequests !== undefined
    if (onRequest !== undefined && !waits) this.#handle(onRequest, message)
    else this.#receiveOtherwise(message)
  }

  #receiveOtherwise(message: Buffer): void {
    const handler = this.#connection.onRequest ?? this.#onMessage
    if (handler === undefined || this.#queue !== undefined) this.#keep(message)
    else if (this.#pendingRequests === undefined) this.#handleView(message)
    else this.#pendingRequests.push(message)
  }

  /**
   * As {@link receive}, without a view of the message. Returns whether it was handled: another way has to keep it. The hot
   * path: the handler, and for a reply that comes later a recycled place.
   */
  receiveAt(chunk: Chunk, start: number, length: number): boolean {
    if (this.#isFailing) return true
    const handler = this.#onMessage
    if (handler === undefined || this.#queue !== undefined) return false
    if (this.#pendingRequests !== undefined && !this.#pendingRequests.begin()) return false
    const { poller } = this.#group
    const { batch } = poller
    if (this.#handleAt(handler, chunk, start, length)) poller.releaseMessage(batch)
    return true
  }

  /** The handler that reads by cursor, unless another one was set. */
  get #onMessage(): CursorHandler | undefined {
    return this.#connection.onRequest === undefined ? this.#group.hooks.onMessage : undefined
  }

  /** Handles a message of which there is a view. */
  #handleView(message: Buffer): void {
    const { onRequest } = this.#connection
    const onMessage = this.#onMessage
    if (onRequest !== undefined) this.#handle(onRequest, message)
    else if (onMessage !== undefined) this.#handleAt(onMessage, ownChunk(message), 0, message.length)
  }

  /** A hook that comes before messages calls: messages come from now on, and wait here for it to be done. */
  holdBack(): void {
    this.#pendingRequests ??= this.#newPendingRequests()
    this.#connection.readPause.resume(PauseReason.Hook)
  }

  #handle(first: MessageHandler, message: Buffer): void {
    let handler = first
    const outer = this.#running
    if (outer > 0 && this.#group.ordered) this.#keepPlace(outer)
    this.#running = outer + 1
    this.#group.counts.requests += 1
    if (channels.request.hasSubscribers) handler = announced(handler)
    if (requests.hasSubscribers) handler = traced(handler)
    let result: unknown
    let pending: PromiseLike<unknown> | undefined
    try {
      result = this.#connection.context.run(handler, message, this.#connection.facade)
      if (handler === this.#group.asyncHandler || isThenable(result)) pending = result as PromiseLike<unknown>
    } catch (error) {
      this.#running = outer
      this.#threw(error, this.#runningPlaces === undefined ? undefined : this.#placeKept(outer))
      return
    }
    this.#running = outer
    const kept = this.#runningPlaces === undefined ? undefined : this.#placeKept(outer)
    if (pending !== undefined) {
      const place = kept ?? this.#newPlace()
      if (handler === this.#group.asyncHandler) whenReturned(pending, place.fulfilled, place.rejected)
      else whenSettled(pending, place.fulfilled, place.rejected)
    } else if (kept !== undefined) {
      kept.fulfilled(result)
    } else if (this.#replies === undefined || this.#replies.isEmpty || !this.#group.ordered) {
      this.#reply(result)
    } else {
      this.#newPlace().fulfilled(result)
    }
  }

  /** Returns whether nothing refers to the message any more. */
  #handleAt(handler: CursorHandler, chunk: Chunk, start: number, length: number): boolean {
    const { counts, framing, ordered, poller } = this.#group
    const { context, facade } = this.#connection
    const outer = this.#running
    if (outer > 0 && ordered) this.#keepPlace(outer)
    this.#running = outer + 1
    counts.requests += 1
    const { arena } = poller.memory
    const cursor = Cursor.over<PendingReply>(handler, chunk, start, length, this, outer, framing, arena)
    try {
      const isTold = channels.request.hasSubscribers || requests.hasSubscribers
      context.run(isTold ? Cursor.tell : Cursor.call, cursor as Cursor, facade)
    } catch (error) {
      this.#running = outer
      const kept = this.#runningPlaces === undefined ? undefined : this.#placeKept(outer)
      const { leftFor } = cursor
      const isFree = cursor.close()
      this.#threw(error, leftFor === undefined ? kept : revoke(leftFor))
      return isFree
    }
    this.#running = outer
    const kept = this.#runningPlaces === undefined ? undefined : this.#placeKept(outer)
    if (cursor.leftFor === undefined) {
      const { writer } = cursor
      if (kept === undefined && (this.#replies === undefined || this.#replies.isEmpty || !ordered)) {
        this.#replyBy(writer)
      } else {
        this.#settleBy(kept ?? this.#newPlace(), writer)
      }
    }
    return cursor.close()
  }

  /** Sends what was written, if anything was. */
  #replyBy(writer: MessageWriter): void {
    if (!messageWriting.isBegun(writer)) {
      this.#reply(undefined)
    } else if (this.#connection.life.sendsReplies) {
      this.#sendBy(writer)
      this.#pendingRequests?.done()
    }
  }

  #sendBy(writer: MessageWriter): void {
    try {
      messageWriting.send(writer, this.#group.poller.commandQueue, this.#connection)
    } catch (error) {
      this.#connection.fail(replyError(error))
    }
  }

  #settleBy(place: PendingReply, writer: MessageWriter): void {
    let result: unknown
    try {
      result = this.#resultOf(place, writer)
    } catch (error) {
      // A place without a result would hold up all replies behind it.
      place.rejected(replyError(error))
      return
    }
    place.fulfilled(result)
  }

  /**
   * What a place gets for its result. What was written is copied where it has to wait for the replies before it: its memory is
   * not for that.
   *
   * @throws NetpollError `ENOMEM`
   */
  #resultOf(place: PendingReply, writer: MessageWriter): unknown {
    if (!messageWriting.isBegun(writer)) return undefined
    if (!this.#isNext(place)) return messageWriting.take(writer)
    written = writer
    return inWriter
  }

  /** Whether a place is answered as soon as it has its result. */
  #isNext(place: PendingReply): boolean {
    return !this.#group.ordered || this.#replies?.isOldest(place) === true
  }

  placeLater(depth: number): PendingReply {
    if (!this.#group.ordered) return this.#newPlace()
    this.#keepPlace(depth + 1)
    return this.#runningPlaces?.[depth] as PendingReply
  }

  sendLater(place: PendingReply, message: unknown): void {
    let kept = message
    try {
      if (message !== undefined && message !== null && !this.#isNext(place))
        kept = keepPayload(message as Payload)
    } catch (error) {
      // As where it is sent at once. Without an answer all that come behind it would wait for good.
      place.rejected(replyError(error))
      return
    }
    place.fulfilled(kept)
  }

  writeLater(place: PendingReply, write: (writer: MessageWriter) => unknown): void {
    const { framing, poller } = this.#group
    const cursor = Cursor.toWrite(framing, poller.memory.arena)
    try {
      refusePromise('write', write(cursor.writer))
      place.fulfilled(this.#resultOf(place, cursor.writer))
    } finally {
      cursor.close()
    }
  }

  failLater(place: PendingReply, error: unknown): void {
    place.rejected(error)
  }

  /** Nothing that came behind this message is handled, also of the same batch. */
  #threw(error: unknown, kept: PendingReply | undefined): void {
    this.#isFailing = true
    if (kept !== undefined) {
      kept.rejected(error)
    } else if (this.#replies === undefined || this.#replies.isEmpty || !this.#group.ordered) {
      this.#connection.fail(error)
    } else {
      this.#newPlace().rejected(error)
    }
  }

  /** A handler is called within another one, which is to be answered first. */
  #keepPlace(outer: number): void {
    this.#runningPlaces ??= []
    const places = this.#runningPlaces
    if (places.length < outer) places.push(this.#newPlace())
  }

  /** The place that was kept for a handler within so many others, which has returned now. */
  #placeKept(outer: number): PendingReply | undefined {
    const places = this.#runningPlaces
    if (places === undefined || places.length <= outer) return undefined
    if (outer === 0) this.#runningPlaces = undefined
    return places.pop()
  }

  get isOver(): boolean {
    return this.#connection.isOver
  }

  get madeAt(): string | undefined {
    return this.#group.madeAt
  }

  /** A place among the replies has its result. */
  settled(place: PendingReply): void {
    if (!this.#group.ordered) {
      this.#answer(place)
      return
    }
    const replies = this.#replies as ReplyQueue
    for (let next = replies.shiftSettled(); next !== undefined; next = replies.shiftSettled()) {
      this.#answer(next)
    }
  }

  /** The hooks are done: messages that came before go to their handler. */
  begin(): void {
    this.#pendingRequests?.release()
    this.#handOver()
  }

  /** The handler was replaced: what waits is for it. */
  handlerChanged(): void {
    if (this.#queue === undefined) return
    // After the code that sets it, which may have more to prepare.
    microtask(() => this.#left())
  }

  #left(): void {
    if (!this.#connection.isOpening) this.#handOver()
  }

  /** Gives what waits for loops to the handler, where there is one and no loop iterates. */
  #handOver(): void {
    const queue = this.#queue
    if (queue === undefined || queue.isIterated) return
    if (queue.isForLoops && this.#connection.onRequest === undefined && this.#onMessage === undefined) {
      if (this.#end !== undefined) this.#leave(queue)
      return
    }
    this.#queue = undefined
    for (const message of queue.takeAll()) {
      // The handler of one may have closed the connection.
      if (this.#connection.life.takesReplies) this.receive(message)
    }
  }

  /** What is left is for a loop that may never begin. The connection need not wait for it in order to close. */
  #leave({ length }: MessageIterator): void {
    if (length > 0) this.#group.poller.commandQueue.command(Operation.Acknowledge, this.#connection, length)
  }

  /** Whether a handler or the body of a loop is at work. Where the core counts messages it knows as well. */
  get isBusy(): boolean {
    return this.#unanswered > 0 || this.#queue?.isBusy === true
  }

  /** Whether messages wait for a handler or loop. */
  get hasUnread(): boolean {
    return this.#queue?.isEmpty === false || this.#pendingRequests?.isEmpty === false
  }

  /** Whether no message waits for a handler or loop, and no loop iterates over them or has. */
  get isUntouched(): boolean {
    return this.#queue === undefined
  }

  /** Messages one after the other. While a loop iterates the handler gets none. */
  messages(): AsyncGenerator<Buffer, void, undefined> {
    this.#queue ??= this.#newQueue()
    // Within a hook that comes before messages: it would wait for them, and they for it.
    this.#connection.readPause.resume(PauseReason.Hook)
    return this.#queue.messages()
  }

  /** Nothing more will come; `failure` says why, where that is not in order. */
  end(failure: NetpollError | undefined): void {
    if (!this.#connection.life.takesReplies) this.#pendingRequests?.clear()
    const isFirst = this.#end === undefined
    this.#end ??= { failure }
    const queue = this.#queue
    if (queue === undefined) return
    queue.end(failure)
    if (isFirst && !queue.isIterated && queue.isForLoops && !this.#connection.isOver) this.#leave(queue)
  }

  #newQueue(): MessageIterator {
    const queue = new MessageIterator(this.#connection.readPause, this.#group, {
      done: () => {
        this.#group.poller.commandQueue.command(Operation.Acknowledge, this.#connection)
        this.#connection.wasBusy()
      },
      left: () => this.#left(),
    })
    if (this.#end !== undefined) queue.end(this.#end.failure)
    return queue
  }

  #newPendingRequests(): PendingRequests {
    const connection = this.#connection
    return new PendingRequests(connection.readPause, this.#group, connection.isOpening, (message) => {
      // It may have been taken away, or the connection closed, since the message came.
      const handler = connection.onRequest ?? this.#onMessage
      if (!connection.life.takesReplies || this.#isFailing) return
      if (handler !== undefined) this.#handleView(message)
      else {
        this.#pendingRequests?.done()
        this.#keep(message)
      }
    })
  }

  #keep(message: Buffer): void {
    if (this.#queue === undefined && !this.#connection.isOpening) {
      this.#connection.fail(unexpectedMessage())
      return
    }
    this.#queue ??= this.#newQueue()
    this.#queue.push(message)
  }

  #newPlace(): PendingReply {
    this.#unanswered += 1
    const place = PendingReply.take(this)
    if (this.#group.ordered) {
      this.#replies ??= new ReplyQueue()
      this.#replies.append(place)
    }
    return place
  }

  #answer(place: PendingReply): void {
    this.#unanswered -= 1
    const { value } = place
    const failed = hasFailed(place)
    place.recycle()
    if (failed) this.#connection.fail(value)
    else this.#reply(value)
  }

  #reply(value: unknown): void {
    if (!this.#connection.life.sendsReplies) return
    if (!this.#group.countsMessages) this.#connection.wasBusy()
    this.#send(value)
    this.#pendingRequests?.done()
  }

  #send(value: unknown): void {
    const { poller, framing } = this.#group
    try {
      if (value === inWriter) {
        this.#sendBy(written as MessageWriter)
      } else if (value === undefined || value === null) {
        poller.commandQueue.command(Operation.Acknowledge, this.#connection)
      } else {
        poller.commandQueue.message(Operation.Reply, this.#connection, framing, value as Payload)
      }
    } catch (error) {
      this.#connection.fail(replyError(error))
    }
  }
}

/** As the value of a place: what {@link written} has is the reply. */
const inWriter = Symbol('netpoll.written')

let written: MessageWriter | undefined

/** A message of which there is a view, as a chunk. */
function ownChunk(message: Uint8Array): Chunk {
  return new Chunk(Buffer.from(message.buffer, message.byteOffset, message.length))
}

/** As `handler`, told to subscribers first. */
function announced(handler: MessageHandler): MessageHandler {
  return (request, connection) => {
    channels.request.publish({ connection, request })
    return handler(request, connection)
  }
}

/** As `handler`, whose begin and end subscribers are told. */
function traced(handler: MessageHandler): MessageHandler {
  return (request, connection) => requests.result({ connection, request }, () => handler(request, connection))
}
