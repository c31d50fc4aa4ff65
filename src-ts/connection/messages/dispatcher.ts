import { Backlog } from './pending-requests'
import type { Context } from '../../process/async-context'
import { channels } from '../../process/diagnostics'
import { type NetpollError, replyError, unexpectedMessage } from '../../errors'
import { type Flow, Hold } from '../read-pause'
import { MessageQueue } from './message-iterator'
import type { Facade, MessageHandler } from '../hooks'
import type { Life } from '../life'
import { Operation } from '../../native/protocol-numbers'
import type { Target } from '../../poller/command-queue'
import type { Payload } from '../../memory/payload'
import type { GroupSettings } from '../group-settings'
import { hasFailed, PendingReply, type ReplyOwner, ReplyQueue } from './reply-queue'
import { microtask } from '../../time/timers'
import { isThenable, whenReturned, whenSettled } from '../../checks/thenables'

/** A connection, as far as its messages need it. */
export interface RequestsConnection extends Target {
  readonly facade: Facade
  readonly context: Context
  readonly flow: Flow
  readonly onRequest: MessageHandler | undefined
  /** Whether the hooks that come before messages are still running. */
  readonly isOpening: boolean
  readonly life: Pick<Life, 'sendsReplies' | 'takesReplies'>
  /** Reports `error`, and closes once the replies before it have left. */
  fail(error: unknown): void
}

type RequestsSettings = Pick<
  GroupSettings,
  | 'asyncHandler'
  | 'counts'
  | 'countsMessages'
  | 'framing'
  | 'highWaterMark'
  | 'ids'
  | 'loop'
  | 'maxInFlight'
  | 'ordered'
>

/** The messages of a framed connection: their handler, and the order of its replies. */
export class Requests implements ReplyOwner {
  readonly #connection: RequestsConnection
  readonly #profile: RequestsSettings
  #replies: ReplyQueue | undefined
  #queue: MessageQueue | undefined
  #backlog: Backlog | undefined
  /** Handlers that have not returned: more than one where a handler turns the event loop. */
  #running = 0
  /** Their places among the replies, of all but the innermost. */
  #runningPlaces: PendingReply[] | undefined
  /** Nothing more will come, and why, where that is not in order. */
  #end: { readonly failure: NetpollError | undefined } | undefined
  /** Whether a handler has thrown: the connection closes once the replies before it have left. */
  #isFailing = false

  constructor(connection: RequestsConnection, profile: RequestsSettings) {
    this.#connection = connection
    this.#profile = profile
    if (profile.ids !== undefined && profile.countsMessages) this.#backlog = this.#newBacklog()
  }

  /**
   * A message that no call awaits. The hot path: the handler, and for an asynchronous one a recycled place among the
   * replies.
   */
  receive(message: Buffer): void {
    if (this.#isFailing) return
    const handler = this.#connection.onRequest
    if (handler === undefined || this.#queue !== undefined) this.#keep(message)
    else if (this.#backlog === undefined) this.#handle(handler, message)
    else this.#backlog.push(message)
  }

  /** A hook that comes before messages calls: messages come from now on, and wait here for it to be done. */
  holdBack(): void {
    this.#backlog ??= this.#newBacklog()
    this.#connection.flow.release(Hold.Hook)
  }

  #handle(first: MessageHandler, message: Buffer): void {
    let handler = first
    const outer = this.#running
    if (outer > 0 && this.#profile.ordered) this.#keepPlace(outer)
    this.#running = outer + 1
    this.#profile.counts.requests += 1
    if (channels.request.hasSubscribers) handler = announced(handler)
    let result: unknown
    let pending: PromiseLike<unknown> | undefined
    try {
      result = this.#connection.context.run(handler, message, this.#connection.facade)
      if (handler === this.#profile.asyncHandler || isThenable(result))
        pending = result as PromiseLike<unknown>
    } catch (error) {
      this.#running = outer
      this.#threw(error, this.#runningPlaces === undefined ? undefined : this.#placeKept(outer))
      return
    }
    this.#running = outer
    const kept = this.#runningPlaces === undefined ? undefined : this.#placeKept(outer)
    if (pending !== undefined) {
      const place = kept ?? this.#newPlace()
      if (handler === this.#profile.asyncHandler) whenReturned(pending, place.fulfilled, place.rejected)
      else whenSettled(pending, place.fulfilled, place.rejected)
    } else if (kept !== undefined) {
      kept.fulfilled(result)
    } else if (this.#replies === undefined || this.#replies.isEmpty || !this.#profile.ordered) {
      this.#reply(result)
    } else {
      this.#newPlace().fulfilled(result)
    }
  }

  /** Nothing that came behind this message is handled, also of the same batch. */
  #threw(error: unknown, kept: PendingReply | undefined): void {
    this.#isFailing = true
    if (kept !== undefined) {
      kept.rejected(error)
    } else if (this.#replies === undefined || this.#replies.isEmpty || !this.#profile.ordered) {
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

  /** A place among the replies has its result. */
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

  /** The hooks are done: messages that came before go to their handler. */
  begin(): void {
    this.#backlog?.release()
    this.#handOver()
  }

  /** The handler was replaced: what waits is for it. */
  handlerChanged(): void {
    if (this.#queue === undefined) return
    // After whoever sets it, who may have more to prepare.
    microtask(() => this.#left())
  }

  #left(): void {
    if (!this.#connection.isOpening) this.#handOver()
  }

  /** Gives what waits for loops to the handler, where there is one and nobody iterates. */
  #handOver(): void {
    const queue = this.#queue
    if (queue === undefined || queue.isIterated) return
    if (queue.isForLoops && this.#connection.onRequest === undefined) return
    this.#queue = undefined
    for (const message of queue.takeAll()) {
      // The handler of one may have closed the connection.
      if (this.#connection.life.takesReplies) this.receive(message)
    }
  }

  /** Whether messages wait for a handler or loop. */
  get hasUnread(): boolean {
    return this.#queue?.isEmpty === false || this.#backlog?.isEmpty === false
  }

  /** Whether no message waits for a handler or loop, and nobody iterates over them or has. */
  get isUntouched(): boolean {
    return this.#queue === undefined
  }

  /** Messages one after the other. While somebody iterates the handler gets none. */
  messages(): AsyncGenerator<Buffer, void, undefined> {
    this.#queue ??= this.#newQueue()
    // Within a hook that comes before messages: it would wait for them, and they for it.
    this.#connection.flow.release(Hold.Hook)
    return this.#queue.messages()
  }

  /** Nothing more will come; `failure` says why, where that is not in order. */
  end(failure: NetpollError | undefined): void {
    if (!this.#connection.life.takesReplies) this.#backlog?.clear()
    this.#end ??= { failure }
    this.#queue?.end(failure)
  }

  #newQueue(): MessageQueue {
    const queue = new MessageQueue(this.#connection.flow, this.#profile, {
      done: () => this.#profile.loop.outbox.command(Operation.Acknowledge, this.#connection),
      left: () => this.#left(),
    })
    if (this.#end !== undefined) queue.end(this.#end.failure)
    return queue
  }

  #newBacklog(): Backlog {
    const connection = this.#connection
    return new Backlog(connection.flow, this.#profile, connection.isOpening, (message) => {
      // It may have been taken away, or the connection closed, since the message came.
      const handler = connection.onRequest
      if (!connection.life.takesReplies || this.#isFailing) return
      if (handler !== undefined) this.#handle(handler, message)
      else {
        this.#backlog?.done()
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
    const place = PendingReply.take(this)
    if (this.#profile.ordered) {
      this.#replies ??= new ReplyQueue()
      this.#replies.append(place)
    }
    return place
  }

  #answer(place: PendingReply): void {
    const { value } = place
    const failed = hasFailed(place)
    place.recycle()
    if (failed) this.#connection.fail(value)
    else this.#reply(value)
  }

  #reply(value: unknown): void {
    if (!this.#connection.life.sendsReplies) return
    this.#send(value)
    this.#backlog?.done()
  }

  #send(value: unknown): void {
    const { loop, framing } = this.#profile
    try {
      if (value === undefined || value === null) {
        loop.outbox.command(Operation.Acknowledge, this.#connection)
      } else {
        loop.outbox.message(Operation.Reply, this.#connection, framing, value as Payload)
      }
    } catch (error) {
      this.#connection.fail(replyError(error))
    }
  }
}

/** As `handler`, told to subscribers first. */
function announced(handler: MessageHandler): MessageHandler {
  return (request, connection) => {
    channels.request.publish({ connection, request })
    return handler(request, connection)
  }
}
