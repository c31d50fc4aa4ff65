import * as clock from '../../time/clock'
import type { DeadlineTimer } from '../../poller/deadline-timer'
import type { Context } from '../../process/async-context'
import { NetpollError } from '../../errors'
import { type ReadPause, PauseReason } from '../read-pause'
import type { Facade, StreamHandler } from '../hooks'
import type { Closing } from '../closing'
import type { Life } from '../life'
import { feed, newReader, type Reader } from '../../link-buffer/reader'
import { SmallPieces } from '../../link-buffer/small-pieces'
import { Operation } from '../../native/protocol-numbers'
import type { CommandTarget } from '../../poller/command-queue'
import { resolved } from '../send-queue'
import { stepBudget } from '../../time/step-budget'
import type { GroupSettings } from '../group-settings'
import type { Leftover } from '../../memory/thread-memory'
import { microtask } from '../../time/timers'
import { isThenable, whenSettled } from '../../checks/thenables'

/** A connection, as far as its bytes need it. */
export interface StreamConnection extends CommandTarget {
  readonly facade: Facade
  readonly context: Context
  readonly readPause: ReadPause
  readonly deadlineTimer: DeadlineTimer
  readonly onData: StreamHandler | undefined
  readonly life: Pick<Life, 'takesReplies'>
  /** Reports `error`, and closes once what was accepted before it has left. */
  fail(error: unknown): void
  /** Whether the end of what keeps the user's code busy has to be told, by {@link wasBusy}. */
  readonly watchesSilence: boolean
  wasBusy(): void
  readonly closing: Pick<Closing, 'refuse'>
}

type StreamSettings = Pick<
  GroupSettings,
  'counts' | 'highWaterMark' | 'poller' | 'maxBufferedBytes' | 'readTimeout'
>

/** Takes a stream over from its reader: what `toDuplex` is made of. */
export interface StreamConsumer {
  /** It is the one from now on; `consumed` bytes were read before, by others. */
  begins(consumed: number): void
  /** Bytes have arrived, `length` of them from `start` in `chunk`. */
  received(chunk: Buffer, start: number, length: number): void
  /** The peer will send nothing more; `failure` says why, where it may have had more to send. The connection stays. */
  ended(failure: NetpollError | undefined): void
  /** Our direction has ended, with everything sent. */
  endSent(): void
  /** Nothing waits to be sent any more, as was asked with `number`. */
  flushed(number: number): void
  /** Nothing was sent or received for `idleTimeout`. */
  idle(): void
  /** The connection is gone; `error` says why, where it was not in order. */
  closed(error: NetpollError | undefined): void
}

/** Which reader gets the bytes of a stream. */
const State = {
  /** `onConnect` is not done. A reader is served; `onData` waits. */
  Opening: 0,
  /** `onData` waits for bytes, or there is none and a reader reads. */
  Idle: 1,
  /** `onData` runs. */
  Running: 2,
} as const

type State = (typeof State)[keyof typeof State]

/** Pieces after which the core is told of them, although nothing waits for it: it counts in 32 bits. */
const maxUnacknowledged = 1_000_000

/** Up to here a piece is copied if others wait before it: kept where it is, each could keep a chunk of its own. */
const smallBehindOthers = 16 * 1024
/** The same for a consumer, of which no code knows how long it keeps what it gets. */
const smallForConsumer = 1024

/**
 * The bytes of a connection without framing: its reader, and when `onData` runs.
 *
 * Every piece that the core hands up counts as a message in flight. So a graceful close waits for handlers as it does
 * on framed connections. The core is told only once it matters: when nothing more will come.
 */
export class StreamInput implements Leftover {
  readonly reader: Reader
  readonly #connection: StreamConnection
  readonly #group: StreamSettings
  #state: State = State.Opening
  #consumer: StreamConsumer | undefined
  /** What is kept for a TLS handshake, or refused. */
  #unread: Buffer[] | undefined
  #smallPieces: SmallPieces | undefined
  /** Pieces received so far. */
  #received = 0
  #unacknowledged = 0
  /** Unread bytes that count against `maxBufferedBytes`. */
  #claimed = 0
  #iterating = false
  /** Whether we are told of chunks in which nothing more comes. */
  #isWatching = false
  /** Whether the body of a loop over the stream has a piece. */
  #isLooping = false
  /** Milliseconds that a read may wait; 0 for ever. */
  readTimeout: number
  /** When the read that waits is given up. */
  #readDeadline = Number.POSITIVE_INFINITY
  #ended: NetpollError | undefined
  /** Whether the core waits for us to be done with what came. */
  #draining = false
  /** Whether the server closes, which waits for answers. */
  #finishing = false

  constructor(connection: StreamConnection, group: StreamSettings) {
    this.#connection = connection
    this.#group = group
    this.readTimeout = group.readTimeout
    this.reader = newReader({
      consumed: () => this.#consumed(),
      awaited: () => this.#awaited(),
    })
    if (connection.watchesSilence) this.watchSilence()
  }

  /** From now on the end of what keeps the user's code busy is told, reading included. */
  watchSilence(): void {
    feed.notifyConsumed(this.reader, true)
  }

  /** Bytes have arrived: once per read of the socket. */
  receive(chunk: Buffer, start: number, length: number): void {
    this.#received += 1
    this.#unacknowledged += 1
    if (this.#isSmall(chunk, start, length)) {
      this.#smallPieces ??= new SmallPieces()
      const at = this.#smallPieces.add(chunk, start, length)
      this.#take(this.#smallPieces.memory, at, length)
    } else {
      this.#take(chunk, start, length)
    }
    if (feed.length(this.reader) > 0 && !this.#isWatching) {
      this.#isWatching = true
      this.#group.poller.memory.watch(this)
    }
  }

  /** The connection is gone. What is left unread is kept by the owner of the reader, and by nothing else. */
  gone(): void {
    if (this.#claimed > 0) this.#claim(0)
    if (!this.#isWatching) return
    this.#isWatching = false
    this.#group.poller.memory.unwatch(this)
  }

  /** Nothing more comes in `chunk`. A few bytes that are left unread there are copied: a view would keep all of it. */
  retired(chunk: Buffer): boolean {
    const { reader } = this
    this.#smallPieces ??= new SmallPieces()
    feed.leave(reader, chunk, smallBehindOthers, this.#smallPieces)
    this.#isWatching = feed.length(reader) > 0 && !feed.isCopied(reader)
    return this.#isWatching
  }

  #isSmall(chunk: Buffer, start: number, length: number): boolean {
    if (this.#consumer !== undefined) return length <= smallForConsumer
    return (
      length <= smallBehindOthers && feed.length(this.reader) > 0 && !feed.endsAt(this.reader, chunk, start)
    )
  }

  #take(chunk: Buffer, start: number, length: number): void {
    if (this.#consumer !== undefined) {
      this.#consumer.received(chunk, start, length)
      return
    }
    if (this.#unread !== undefined) {
      this.#unread.push(Buffer.from(chunk.subarray(start, start + length)))
      return
    }
    feed.push(this.reader, chunk, start, length)
    if (this.#state === State.Idle) this.#run()
    if (feed.length(this.reader) < this.#group.highWaterMark) return
    feed.notifyConsumed(this.reader, true)
    if (feed.length(this.reader) < feed.awaited(this.reader) || this.#wantsMore)
      this.#claim(feed.length(this.reader))
    else this.#connection.readPause.pause(PauseReason.Full)
  }

  /** What is read beyond the high-water mark, because a reader waits for more, counts against a bound for all. */
  #claim(bytes: number): void {
    const { counts, maxBufferedBytes } = this.#group
    const before = this.#claimed
    this.#claimed = bytes
    counts.buffered += bytes - before
    if (bytes <= before || counts.buffered <= maxBufferedBytes) return
    const message = 'Unread bytes of all connections exceed maxBufferedBytes'
    const error = new NetpollError('ERR_BUFFER_LIMIT', message)
    feed.interrupt(this.reader, error)
    this.#connection.closing.refuse(error)
    // What is not counted any more must not be kept until the peer has gone.
    feed.drop(this.reader)
  }

  /** Whether `onData` has seen everything that is there, and left it: it waits for the rest of something. */
  get #wantsMore(): boolean {
    return this.#state === State.Idle && this.#connection.onData !== undefined && !this.#iterating
  }

  /** The hooks are done: `onData` may run. */
  begin(): void {
    if (this.#state !== State.Opening) return
    this.#state = State.Idle
    if (feed.length(this.reader) > 0 && this.#consumer === undefined) this.#run()
    else this.#settle()
  }

  /** `onData` was replaced: what is there already is for it. */
  handlerChanged(): void {
    if (feed.length(this.reader) === 0) return
    // After the code that sets it, which may have more to prepare; two handlers that set each other may do so for ever.
    stepBudget.settle(() =>
      microtask(() => {
        if (this.#state === State.Idle && this.#consumer === undefined && feed.length(this.reader) > 0)
          this.#run()
      }),
    )
  }

  /** Nothing more will come. What is there can still be read. */
  end(error: NetpollError): void {
    if (this.hasEnded) return
    this.#ended = error
    feed.end(this.reader, error)
    this.#tellEnd()
    this.#drain()
  }

  /** Whether a reader knows the end. */
  get hasEnded(): boolean {
    return this.#ended !== undefined
  }

  /** Whether `error` is what a reader is told at the end. */
  hasEndedBy(error: unknown): boolean {
    return this.#ended !== undefined && error === this.#ended
  }

  /** The server closes: nothing more is read, and the connection ends once what came is answered. */
  finish(): void {
    this.#finishing = true
    this.#drain()
  }

  /** The core waits for us to be done with what came. */
  #drain(): void {
    this.#draining = true
    feed.notifyConsumed(this.reader, true)
    this.#settle()
  }

  /** The read timeout may have passed; returns when to look again. */
  expire(now: number): number {
    if (feed.awaited(this.reader) === 0) this.#readDeadline = Number.POSITIVE_INFINITY
    if (this.#readDeadline > now) return this.#readDeadline
    this.#readDeadline = Number.POSITIVE_INFINITY
    feed.interrupt(
      this.reader,
      new NetpollError('ERR_READ_TIMEOUT', `Too little arrived within ${this.readTimeout} ms`),
    )
    return this.#readDeadline
  }

  /** Whether the stream is in use, so that silence on the wire does not mean that no user needs it. */
  get isBusy(): boolean {
    return this.#state !== State.Idle || this.#isLooping
  }

  /** Whether something is left to read. */
  get hasUnread(): boolean {
    return feed.length(this.reader) > 0
  }

  /** Whether no reader reads, and nothing is left to read. */
  get isUntouched(): boolean {
    const length = feed.length(this.reader)
    const awaited = feed.awaited(this.reader)
    const isTaken = this.#consumer !== undefined || this.#iterating || this.#state === State.Running
    return length === 0 && awaited === 0 && !isTaken
  }

  /** Whether a user that has read without `onData` may still answer: until it waits for more. */
  get #isAnswering(): boolean {
    return this.#finishing && this.#connection.onData === undefined
  }

  /** From now on `consumer` gets the bytes, those that are there first. */
  takeOver(consumer: StreamConsumer): void {
    if (this.#consumer !== undefined || feed.awaited(this.reader) > 0 || this.#iterating)
      throw readElsewhere()
    this.#consumer = consumer
    this.#group.poller.commandQueue.command(Operation.TakeOver, this.#connection)
    const { reader } = this
    consumer.begins(feed.consumed(reader))
    while (feed.length(reader) > 0) {
      const piece = feed.nextPiece(reader)
      consumer.received(piece, 0, piece.length)
    }
    feed.end(reader, readElsewhere())
    this.#tellEnd()
  }

  /** Of any other end the consumer learns as the connection closes. After one of these the connection stays until the consumer ends or destroys it. */
  #tellEnd(): void {
    const code = this.#ended?.code
    if (code === 'ERR_EOF' || code === 'ERR_TLS_TRUNCATED') this.#consumer?.ended(this.failure)
  }

  /**
   * No reader gets what has arrived, and what still does, before {@link takeUnread}.
   *
   * @throws NetpollError `ERR_CONCURRENT_ACCESS` while a reader waits for more, `ERR_UNSUPPORTED` where a duplex reads
   */
  stop(): void {
    if (this.#consumer !== undefined) {
      throw new NetpollError('ERR_UNSUPPORTED', 'A connection that is a duplex goes over to nothing else')
    }
    if (feed.awaited(this.reader) > 0) throw readElsewhere()
    this.#unread = []
    while (feed.length(this.reader) > 0) this.#unread.push(Buffer.from(feed.nextPiece(this.reader)))
  }

  /** What has arrived since {@link stop}, and before it and was not read. What arrives from now on is read. */
  takeUnread(): Buffer {
    const unread = Buffer.concat(this.#unread ?? [])
    this.#unread = undefined
    return unread
  }

  /** Why nothing more comes, where that is no orderly end. */
  get failure(): NetpollError | undefined {
    const code = this.#ended?.code
    return code === 'ERR_EOF' || code === 'ERR_CONN_CLOSED' ? undefined : this.#ended
  }

  get consumer(): StreamConsumer | undefined {
    return this.#consumer
  }

  /** The bytes, piece by piece as they arrived. */
  async *pieces(): AsyncGenerator<Buffer, void, undefined> {
    if (this.#iterating || this.#consumer !== undefined) return stepBudget.refuse(readElsewhere())
    this.#iterating = true
    try {
      for (;;) {
        if (feed.length(this.reader) === 0) {
          if (this.#ended !== undefined) break
          this.#settle()
          await this.#more()
        } else {
          this.#isLooping = true
          yield feed.nextPiece(this.reader)
          this.#isLooping = false
          this.#connection.wasBusy()
        }
      }
    } finally {
      this.#iterating = false
      this.#isLooping = false
      this.#connection.wasBusy()
      if (this.#state === State.Idle && feed.length(this.reader) > 0) this.#run()
      else this.#settle()
    }
    await stepBudget.pass()
    if (this.failure !== undefined) throw this.failure
  }

  /** Waits for bytes, or for the end. */
  async #more(): Promise<void> {
    try {
      await this.reader.fill(1)
    } catch (error) {
      if (this.#ended === undefined) throw error
    }
  }

  /** Runs `onData` as long as it takes something and something is left. */
  #run(): void {
    const connection = this.#connection
    while (connection.onData !== undefined && connection.life.takesReplies && !this.#iterating) {
      const consumed = feed.consumed(this.reader)
      const received = this.#received
      this.#state = State.Running
      let pending: PromiseLike<unknown> | undefined
      this.#group.counts.requests += 1
      try {
        const result: unknown = connection.context.run(connection.onData, connection.facade, undefined)
        // A flush that need not be waited for costs no turn of the microtask queue.
        if (result !== resolved && isThenable(result)) pending = result
      } catch (error) {
        this.#failed(error)
        return
      }
      if (pending !== undefined) {
        whenSettled(
          pending,
          () => {
            this.#state = State.Idle
            connection.wasBusy()
            if (this.#goesOn(consumed, received)) this.#run()
            else this.#settle()
          },
          (error) => this.#failed(error),
        )
        return
      }
      this.#state = State.Idle
      connection.wasBusy()
      if (!this.#goesOn(consumed, received)) break
    }
    this.#settle()
  }

  /** Whether bytes are left, and something has changed since `onData` was called: otherwise it wants more first. */
  #goesOn(consumed: number, received: number): boolean {
    if (feed.length(this.reader) === 0 || !this.#connection.life.takesReplies) return false
    return feed.consumed(this.reader) !== consumed || this.#received !== received
  }

  #failed(error: unknown): void {
    this.#state = State.Idle
    this.#connection.fail(error)
  }

  /** No reader reads right now. Tells the core that what it handed up is done with, when it matters. */
  #settle(): void {
    if (this.#wantsMore) this.#connection.readPause.resume(PauseReason.Full)
    if (!this.#draining && this.#unacknowledged < maxUnacknowledged) return
    if (this.#unacknowledged === 0 || this.#consumer !== undefined) return
    // A reader that waits has to learn that nothing more comes: the core tells that once it has nothing to wait for.
    const waits = feed.awaited(this.reader) > 0
    if (!waits && (this.isBusy || this.#isAnswering || (feed.length(this.reader) > 0 && !this.#wantsMore)))
      return
    this.#group.poller.commandQueue.command(Operation.Acknowledge, this.#connection, this.#unacknowledged)
    this.#unacknowledged = 0
  }

  #consumed(): void {
    const { reader } = this
    if (this.#claimed > 0)
      this.#claim(feed.length(reader) < this.#group.highWaterMark ? 0 : feed.length(reader))
    if (feed.length(reader) <= Math.max(this.#group.highWaterMark, feed.awaited(reader)) / 2) {
      feed.notifyConsumed(reader, this.#draining || this.#connection.watchesSilence)
      this.#connection.readPause.resume(PauseReason.Full)
    }
    if (feed.length(reader) > 0) return
    this.#settle()
    if (!this.isBusy) this.#connection.wasBusy()
  }

  #awaited(): void {
    // Also for less than the high-water mark: held at that, reading resumes only at half of it.
    this.#connection.readPause.resume(PauseReason.Full)
    this.#settle()
    if (this.readTimeout > 0) {
      this.#readDeadline = clock.now() + this.readTimeout
      this.#connection.deadlineTimer.arm(this.#readDeadline)
    }
  }
}

function readElsewhere(): NetpollError {
  return new NetpollError('ERR_CONCURRENT_ACCESS', 'Another caller reads from this connection')
}
