import { requests } from '../process/tracing'
import {
  batchHeader,
  batchWords,
  firstRecord,
  leaveBatch,
  recordWords,
  sliceWord,
  underWay,
  unsettledWord,
} from '../native/protocol'
import { leaks, type WatchList } from '../leaks/watch-list'
import { alwaysOwed, type Look, WatchedDebt } from '../leaks/watched'
import { type Chunk, messageAs } from '../memory/chunk'
import { captureContext } from '../process/async-context'
import { replyError } from '../errors'
import type { FramingRules } from '../framing/rules'
import { logFailure } from '../process/report'
import type { BytesOption } from '../memory/message-types'
import { type NativeWorkerQueue, nativeBinding } from '../native/binding'
import { Operation, RecordKind } from '../native/protocol-numbers'
import { commandWords, CommandQueue, type CommandTarget } from '../poller/command-queue'
import type { Payload } from '../memory/payload'
import { threadMemory } from '../memory/thread-memory'
import { microtask, nextTick } from '../time/timers'
import { CursorTasks } from './cursor-tasks'
import { type Origin, originOf, Source, type WorkerCursorHandler, type WorkerHandler } from './handler'
import { isThenable, whenSettled } from '../checks/thenables'

/** How often requests are taken before other work of the thread, such as timers and sockets, has its turn. */
const maxInTurn = 8

/** What a worker’s queue works with. */
export interface WorkerQueueOptions {
  readonly pool: number
  readonly framing: FramingRules
  readonly bytes: BytesOption
  readonly handler?: WorkerHandler | undefined
  /** In the place of {@link handler}. */
  readonly onMessage?: WorkerCursorHandler | undefined
  /** A handler has failed. */
  readonly failed: (error: unknown, origin: Origin) => void
}

/**
 * A worker thread's place at its pool: requests come natively, and replies go back natively. Batches and commands are those
 * of an event loop, with a request in the place of a connection.
 */
export class WorkerQueue {
  readonly #batch = new Int32Array(batchWords)
  readonly #memory = threadMemory()
  readonly #native: NativeWorkerQueue
  readonly #commandQueue: CommandQueue
  readonly #options: WorkerQueueOptions
  readonly #context = captureContext()
  readonly #allocate = (length: number): Buffer => this.#memory.arena.allocate(length, this.#options.framing)
  /** Where in the batch the record lies that is handled next: a loop that turns within a handler goes on from there. */
  #next = firstRecord
  /** Where the last record ends. */
  #end = firstRecord
  /** Where the last record ends that is handled now. */
  #sliceEnd = firstRecord
  /** The chunks of the batch, by their index in it. */
  readonly #chunks: (Chunk | undefined)[] = []
  #chunkCount = 0
  #isFlushDue = false
  /** Calls of {@link #dispatch} that are not over: more than one where a handler turns the event loop. */
  #dispatches = 0
  #source: Source
  readonly #cursorTasks: CursorTasks | undefined
  /** Requests so far. */
  #taken = 0
  /** How often requests were taken since the event loop has turned. */
  #inTurn = 0

  /** @throws Error when the pool is closed */
  constructor(options: WorkerQueueOptions) {
    this.#options = options
    this.#memory.keep()
    leaks?.opened()
    this.#source = new Source({ poller: 0, slot: 0, generation: 0 }, this.#allocate)
    const commands = new Int32Array(commandWords)
    const { WorkerQueue: Native } = nativeBinding()
    this.#native = new Native(options.pool, this.#memory.native, this.#batch, commands, {
      receiver: this,
      dispatch: () => {
        this.#inTurn = 0
        this.#dispatch()
      },
    })
    this.#commandQueue = new CommandQueue(commands, this.#native, this.#memory, this.#flushLater)
    const { onMessage, framing } = options
    this.#cursorTasks =
      onMessage &&
      new CursorTasks(onMessage, framing, this.#memory.arena, this.#commandQueue, this.#context, {
        reply: (target, value, source) => this.#reply(target, value, source),
        fail: (target, error, source) => this.#fail(target, error, source),
        report: (error, source) => this.#report(error, source),
      })
  }

  readonly #flushLater = (): void => {
    if (this.#isFlushDue) return
    this.#isFlushDue = true
    microtask(this.#flushAfterMicrotasks)
  }

  readonly #flushAfterMicrotasks = (): void => nextTick(this.#flush)

  /** Replies leave, and what has been assigned meanwhile is handled: that the next turn brings it would cost more. */
  readonly #flush = (): void => {
    this.#isFlushDue = false
    this.#batch[unsettledWord] = this.#dispatches
    if (!this.#native.flush()) return
    this.#inTurn += 1
    if (this.#inTurn >= maxInTurn) this.#native.wake()
    else if (this.#native.receive()) this.#dispatch()
  }

  /** Requests taken so far. */
  get taken(): number {
    return this.#taken
  }

  /** Leaves the pool, if there is nothing to do and others are left. Returns whether it has. */
  retire(): boolean {
    const isOver = this.#native.retire()
    if (isOver) leaks?.closed()
    return isOver
  }

  /**
   * Called with a batch, or with the rest of the last one, because that takes long or one of its handlers turns the event
   * loop.
   */
  #dispatch(): void {
    const batch = this.#batch
    const records = batch[0] as number
    if (records > 0) {
      this.#next = firstRecord
      this.#end = firstRecord + records * recordWords
      this.#chunkCount = this.#memory.findChunks(batch, this.#chunks)
    }
    batch[0] = underWay
    this.#dispatches += 1
    // Until the flush, because a handler that begins with `await` may turn the event loop before.
    batch[unsettledWord] = this.#dispatches
    this.#memory.sweepWhenQuiet()
    this.#sliceEnd = Math.min(this.#end, this.#next + (batch[sliceWord] as number) * recordWords)
    this.#handleAll()
    this.#dispatches -= 1
    // A handler that turns the event loop is in the midst of this slice still: it is over.
    this.#sliceEnd = this.#next
    const left = leaveBatch(batch, this.#next, this.#end)
    if (left === 0) {
      this.#memory.forgetChunks(this.#chunks, this.#chunkCount)
      this.#chunkCount = 0
    }
    // Also where there are no replies: then the core knows how long this has taken, with all that it made due.
    this.#flushLater()
  }

  #handleAll(): void {
    const batch = this.#batch
    while (this.#next < this.#sliceEnd) {
      const at = this.#next
      this.#next = at + recordWords
      const slot = batch[at] as number
      const kind = batch[at + 1] as number
      const start = batch[at + 2] as number
      const length = batch[at + 3] as number
      if (kind === RecordKind.Source)
        this.#source = new Source({ poller: slot, slot: start, generation: length }, this.#allocate)
      else this.#handle(slot, kind >>> 8, start, length)
    }
  }

  #view(index: number, start: number, length: number): Buffer {
    const { bytes } = this.#options
    const chunk = this.#chunkAt(index)
    return chunk === undefined
      ? messageAs(bytes, this.#copy(index, start, length), 0, length)
      : messageAs(bytes, chunk, start, length)
  }

  /** `undefined` where user code has detached the chunk, by transferring `.buffer` of a request. */
  #chunkAt(index: number): Chunk | undefined {
    const chunk = this.#chunks[index]
    return chunk !== undefined && chunk.bytes.length > 0 ? chunk : undefined
  }

  #copy(index: number, start: number, length: number): Chunk {
    return this.#memory.copy(this.#batch[batchHeader + index] as number, start, length)
  }

  /** Whatever is thrown costs the connection of this request. */
  #handle(slot: number, chunk: number, start: number, length: number): void {
    this.#taken += 1
    const source = this.#source
    const target: CommandTarget = { slot, generation: 0 }
    const cursorTasks = this.#cursorTasks
    try {
      if (cursorTasks !== undefined) {
        const there = this.#chunkAt(chunk)
        if (there !== undefined) cursorTasks.handle(slot, there, start, length, source)
        else cursorTasks.handle(slot, this.#copy(chunk, start, length), 0, length, source)
        return
      }
      const request = this.#view(chunk, start, length)
      const handler = this.#options.handler as WorkerHandler
      const work = requests.hasSubscribers ? traced(handler) : handler
      const result: unknown = this.#context.run(work, request, source)
      if (isThenable(result)) {
        whenAnswered(
          result,
          (reply) => this.#reply(target, reply, source),
          (error) => this.#fail(target, error, source),
        )
      } else {
        this.#reply(target, result, source)
      }
    } catch (error) {
      this.#fail(target, error, source)
    }
  }

  #reply(target: CommandTarget, value: unknown, source: Source): void {
    try {
      if (value === undefined || value === null) {
        this.#commandQueue.command(Operation.Acknowledge, target)
      } else {
        this.#commandQueue.message(Operation.Reply, target, this.#options.framing, value as Payload)
      }
    } catch (error) {
      this.#fail(target, replyError(error), source)
    }
  }

  #fail(target: CommandTarget, error: unknown, source: Source): void {
    this.#commandQueue.command(Operation.Destroy, target)
    this.#report(error, source)
  }

  #report(error: unknown, source: Source): void {
    try {
      this.#options.failed(error, originOf(source))
    } catch (second) {
      logFailure(error)
      logFailure(second)
    }
  }
}

/** A request that has its answer when its promise is settled. */
const whenAnswered = leaks === undefined ? whenSettled : watchingAnswers(leaks)

function watchingAnswers(list: WatchList): typeof whenSettled {
  return (result, fulfilled, rejected) => {
    const watched = list.add(new WatchedDebt({}, alwaysOwed, lookAtRequest))
    whenSettled(
      result,
      (value) => {
        list.remove(watched)
        fulfilled(value)
      },
      (error) => {
        list.remove(watched)
        rejected(error)
      },
    )
  }
}

function lookAtRequest(): Look {
  return { what: 'of a worker waits for its handler', certainty: 'certain' }
}

/** As `handler`, whose begin and end subscribers of this thread are told. */
function traced(handler: WorkerHandler): WorkerHandler {
  return (request, source) =>
    requests.result({ source, request }, () => handler(request, source)) as ReturnType<WorkerHandler>
}
