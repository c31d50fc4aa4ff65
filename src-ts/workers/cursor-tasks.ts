import { Cursor, type CursorReplies } from '../connection/messages/cursor'
import type { CursorHandler } from '../connection/hooks'
import { replyError } from '../errors'
import type { FramingRules } from '../framing/rules'
import {
  type MessageWriter,
  messageWriting,
  type OutgoingMemory,
  revoke,
} from '../link-buffer/message-writer'
import { leaks } from '../leaks/watch-list'
import { alwaysOwed, type Look, type Watched, WatchedDebt } from '../leaks/watched'
import type { Chunk } from '../memory/chunk'
import { Operation } from '../native/protocol-numbers'
import type { CommandQueue, CommandTarget } from '../poller/command-queue'
import type { Context } from '../process/async-context'
import { refusePromise } from '../process/report'
import { requests } from '../process/tracing'
import type { Source, WorkerCursorHandler } from './handler'

/** A request that is answered later. */
export interface LaterTask {
  readonly target: CommandTarget
  readonly source: Source
  watched: Watched | undefined
}

/** What answers requests. */
export interface TaskAnswers {
  reply(target: CommandTarget, value: unknown, source: Source): void
  fail(target: CommandTarget, error: unknown, source: Source): void
  /** Something went wrong after the reply was given. */
  report(error: unknown, source: Source): void
}

/**
 * Requests of a worker that are handled by cursor. The core puts their answers in order, so that each is sent as soon as it is
 * given.
 */
export class CursorTasks implements CursorReplies<LaterTask> {
  readonly #handler: CursorHandler
  readonly #framing: FramingRules
  readonly #memory: OutgoingMemory
  readonly #commandQueue: CommandQueue
  readonly #context: Context
  readonly #answers: TaskAnswers
  /** The sources of requests by their slot, which those have until they are answered. */
  readonly #sources: Source[] = []
  /** Used again for each reply that is given at once. */
  readonly #target = { slot: 0, generation: 0 }

  constructor(
    handler: WorkerCursorHandler,
    framing: FramingRules,
    memory: OutgoingMemory,
    commandQueue: CommandQueue,
    context: Context,
    answers: TaskAnswers,
  ) {
    this.#handler = handler as unknown as CursorHandler
    this.#framing = framing
    this.#memory = memory
    this.#commandQueue = commandQueue
    this.#context = context
    this.#answers = answers
  }

  /** Whatever the handler throws costs the connection of this request. */
  handle(slot: number, chunk: Chunk, start: number, length: number, source: Source): void {
    this.#sources[slot] = source
    const cursor = Cursor.over<LaterTask>(
      this.#handler,
      chunk,
      start,
      length,
      this,
      slot,
      this.#framing,
      this.#memory,
    )
    try {
      this.#context.run(requests.hasSubscribers ? Cursor.tellOfSource : Cursor.call, cursor as Cursor, source)
      if (cursor.leftFor === undefined) this.#answer(this.#targetOf(slot), cursor.writer, source)
    } catch (error) {
      const { leftFor } = cursor
      // The slot of a request that was answered may be another's.
      const task = leftFor && revoke(leftFor)
      const isGiven = leftFor !== undefined && task === undefined
      leaks?.remove(task?.watched)
      if (isGiven) this.#answers.report(error, source)
      else this.#answers.fail(this.#targetOf(slot), error, source)
    } finally {
      cursor.close()
    }
  }

  placeLater(slot: number): LaterTask {
    const source = this.#sources[slot] as Source
    const watched = leaks?.add(new WatchedDebt({}, alwaysOwed, lookAt))
    return { target: { slot, generation: 0 }, source, watched }
  }

  sendLater({ target, source, watched }: LaterTask, message: unknown): void {
    leaks?.remove(watched)
    this.#answers.reply(target, message, source)
  }

  writeLater({ target, source, watched }: LaterTask, write: (writer: MessageWriter) => unknown): void {
    leaks?.remove(watched)
    const cursor = Cursor.toWrite(this.#framing, this.#memory)
    try {
      refusePromise('write', write(cursor.writer))
      this.#answer(target, cursor.writer, source)
    } finally {
      cursor.close()
    }
  }

  failLater({ target, source, watched }: LaterTask, error: unknown): void {
    leaks?.remove(watched)
    this.#answers.fail(target, error, source)
  }

  #targetOf(slot: number): CommandTarget {
    this.#target.slot = slot
    return this.#target
  }

  #answer(target: CommandTarget, writer: MessageWriter, source: Source): void {
    if (!messageWriting.isBegun(writer)) {
      this.#commandQueue.command(Operation.Acknowledge, target)
      return
    }
    try {
      messageWriting.send(writer, this.#commandQueue, target)
    } catch (error) {
      this.#answers.fail(target, replyError(error), source)
    }
  }
}

function lookAt(): Look {
  return { what: 'of a worker waits for its later reply', certainty: 'certain' }
}
