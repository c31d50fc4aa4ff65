import {
  batchHeader,
  batchWords,
  firstRecord,
  leaveBatch,
  recordWords,
  releasedWord,
  sliceWord,
  underWay,
  unsettledWord,
} from '../native/protocol'
import { leaks } from '../leaks/watch-list'
import type { Chunk } from '../memory/chunk'
import * as clock from '../time/clock'
import type { PolledConnection } from './polled-connection'
import { NetpollError, pollerFailed, systemError } from '../errors'
import { sendAtExit, sendNothingAtExit } from '../process/exit'
import { Excerpt } from '../native/excerpt'
import { guarded, logFailure } from '../process/report'
import { type NativeBinding, type NativePoller, type NativeId, nativeBinding } from '../native/binding'
import { Operation, RecordKind } from '../native/protocol-numbers'
import { commandWords, CommandQueue } from './command-queue'
import type { ThreadMemory } from '../memory/thread-memory'
import { microtask, nextTick, setImmediate } from '../time/timers'
import { pollerGone } from '../native/reasons'
import { type Acceptor, isAcceptance, isOfListener, tellAcceptor } from './acceptor'

export type { Acceptor } from './acceptor'

/** Where a poller runs. */
export type Placement = 'inline' | 'thread'

/** Words of the records between two looks at the clock, which costs as little as a few of them. */
const wordsBetweenLooks = 16 * recordWords
/** Milliseconds after which the rest of a batch is left to the caller, which lets the event loop turn. */
const maxSliceTime = 10

/**
 * A poller, as JavaScript sees it: batches of records up, commands down.
 *
 * Four things keep the way of a message short. One call hands over all messages of a turn. Records and commands are
 * words in shared memory. Connections and chunks are found by index. A message costs one view.
 */
export class Poller {
  readonly memory: ThreadMemory
  readonly native: NativePoller
  readonly commandQueue: CommandQueue
  /** Calls of its connections that were given up, and can still be answered. */
  lostCalls = 0
  readonly #batch = new Int32Array(batchWords)
  readonly #connections: (PolledConnection | undefined)[] = []
  /** By tag. */
  readonly #acceptors = new Map<number, Acceptor>()
  readonly #turnChunks: (Chunk | undefined)[] = []
  /** Where in the batch the record lies that is delivered next: a loop that turns within a handler goes on from there. */
  #next = firstRecord
  /** Where the last record ends. */
  #end = firstRecord
  /** Where the last record ends that is delivered now, and where the last before the next look at the clock. */
  #sliceEnd = firstRecord
  #stop = firstRecord
  /** The time at which the slice ends all the same; 0 until the clock was looked at. */
  #late = 0
  /** The connection whose message is delivered. */
  #receiver: PolledConnection | undefined
  /** For the detector of leaks. A function within a method would be made at each call. */
  readonly #receiverNow = (): PolledConnection | undefined => this.#receiver
  /** How many of {@link #turnChunks} the batch has. */
  #chunkCount = 0
  /** Has the core look for commands once all of the current task and of its microtasks are done, where it would not itself. */
  readonly #flushLater: (() => void) | undefined
  #isFlushDue = false
  #references = 0
  #connectionCount = 0
  #batches = 0
  #batchUnderWay = 0
  /** Of the frame whose refusal the next record tells. */
  #excerpt: Excerpt | undefined
  #hasFailed = false
  #hasEnded = false
  readonly #becameIdle: () => void

  /**
   * `becameIdle` is called when the last that was open is not any more.
   *
   * @throws NetpollError `ERR_UNSUPPORTED` inline, where the host's event loop is not that of Node.js; the system's code,
   * where it has no descriptor or thread left
   */
  constructor(placement: Placement, memory: ThreadMemory, becameIdle: () => void) {
    this.memory = memory
    this.#becameIdle = becameIdle
    const commands = new Int32Array(commandWords)
    this.native = openNative(
      placement,
      memory.native,
      this.#batch,
      commands,
      {
        receiver: this,
        dispatch: () => this.#dispatch(),
      },
      (reason) => this.#fail(pollerFailed(reason)),
    )
    // Inline, the core looks for commands after every turn. A thread has to be told of them: once all of the current
    // JavaScript task and of its microtasks have written theirs.
    const flush = (): void => {
      this.#isFlushDue = false
      this.#batch[unsettledWord] = 0
      this.native.flush()
    }
    const flushAfterMicrotasks = (): void => nextTick(flush)
    const flushLater = (): void => {
      if (this.#isFlushDue) return
      this.#isFlushDue = true
      microtask(flushAfterMicrotasks)
    }
    this.#flushLater = placement === 'inline' ? undefined : flushLater
    const direct = placement === 'inline' ? this.native : undefined
    this.commandQueue = new CommandQueue(commands, this.native, memory, this.#flushLater, direct)
  }

  /** From now on records of this slot are for `connection`. */
  attach(connection: PolledConnection): void {
    this.#connections[connection.slot] = connection
    this.#connectionCount += 1
    if (this.#connectionCount === 1) sendAtExit(this)
  }

  /** Its slot has nothing more to tell, or belongs to another connection from now on. */
  forget(connection: PolledConnection): void {
    if (this.#connections[connection.slot] !== connection) return
    this.#connections[connection.slot] = undefined
    this.#connectionCount -= 1
    if (this.#connectionCount > 0) return
    sendNothingAtExit(this)
    this.#followIdleness()
  }

  /** Whether the batch that is being delivered has more bytes for `connection`. */
  hasUndelivered(connection: PolledConnection): boolean {
    const batch = this.#batch
    for (let at = this.#next; at < this.#end; at += recordWords) {
      if (batch[at] === connection.slot && ((batch[at + 1] as number) & 0xff) === RecordKind.Message)
        return true
    }
    return false
  }

  /** From now on connections that records give this tag are for `acceptor`. */
  attachAcceptor(tag: number, acceptor: Acceptor): void {
    this.#acceptors.set(tag, acceptor)
  }

  /** Lets go of an acceptor whose listener was stopped, once nothing of this turn can be for it any more. */
  detachAcceptor(tag: number): void {
    setImmediate(() => {
      if (this.#next < this.#end) {
        this.detachAcceptor(tag)
        return
      }
      this.#acceptors.delete(tag)
      this.#followIdleness()
    })
  }

  /** The connection of this slot and generation, if it is there. */
  find({ slot, generation }: NativeId): PolledConnection | undefined {
    const connection = this.#connections[slot]
    return connection?.generation === generation ? connection : undefined
  }

  /** Whether nothing is open. */
  get isIdle(): boolean {
    return this.#connectionCount === 0 && this.#acceptors.size === 0
  }

  /** Whether the poller is gone: it has ended, or could not go on and has told its users. It takes nothing more. */
  get isOver(): boolean {
    return this.#hasEnded || this.#hasFailed
  }

  /**
   * Ends the poller, which has nothing open. What is kept of it, such as by a connection that is gone, learns nothing
   * more from it. Returns false where there is still something to be told: then it goes on.
   */
  end(): boolean {
    if (!this.native.end()) return false
    this.commandQueue.close()
    this.#hasEnded = true
    return true
  }

  /** Of an asynchronous resource: whether it keeps the process alive. */
  hasRef(): boolean {
    return this.#references > 0
  }

  #followIdleness(): void {
    if (this.isIdle) this.#becameIdle()
  }

  /** The number of the batch that is being delivered, which no other has; 0 between batches. */
  get batch(): number {
    return this.#batchUnderWay
  }

  /** Nothing refers any more to a message of this batch: its memory may be read into again, if that holds for all of them. */
  releaseMessage(batch: number): void {
    if (batch !== this.#batchUnderWay) return
    this.#batch[releasedWord] = (this.#batch[releasedWord] as number) + 1
  }

  /** Connections of this poller, those that are being dialed or closed included. */
  get connections(): number {
    return this.#connectionCount
  }

  /** Keeps the process alive until it is released. */
  retain(): void {
    this.#references += 1
    if (this.#references === 1) this.native.ref()
  }

  /** Undoes one {@link retain}. */
  release(): void {
    this.#references -= 1
    if (this.#references === 0) this.native.unref()
  }

  /** The poller has gone: no connection or server may wait for anything of it. */
  #fail(error: NetpollError): void {
    this.#hasFailed = true
    this.commandQueue.close()
    // No caller asks for the rest of a batch any more.
    this.#next = this.#end
    this.#leave()
    const acceptors = [...this.#acceptors.values()]
    for (const acceptor of acceptors) this.#tellFailure(() => acceptor.failed(error))
    for (const connection of [...this.#connections]) {
      if (connection === undefined) continue
      this.forget(connection)
      this.#tellFailure(() => connection.closed(pollerGone, 0, undefined))
    }
    if (acceptors.length === 0) logFailure(error)
  }

  /** What one of them does with it does not keep the others from being told. */
  #tellFailure(tell: () => void): void {
    guarded(tell, (error) => logFailure(error))
  }

  /**
   * Called once per turn, with all of its records; where those take long, again for the rest. When a handler turns the event
   * loop, called within that handler: with what is left of its batch, and then with the next one.
   */
  #dispatch(): void {
    const batch = this.#batch
    const outer = this.#receiver
    const records = batch[0] as number
    if (records > 0) {
      this.#next = firstRecord
      this.#end = firstRecord + records * recordWords
      this.#chunkCount = this.memory.findChunks(batch, this.#turnChunks)
      this.#batches += 1
    }
    batch[0] = underWay
    this.memory.sweepWhenQuiet()
    this.#batchUnderWay = this.#batches
    this.#sliceEnd = this.#withEnd(this.#next + (batch[sliceWord] as number) * recordWords, this.#end)
    this.#late = 0
    if (leaks !== undefined) leaks.delivering(this.#receiverNow)
    // Nearly always all of them belong to one server.
    const context = this.#connections[batch[this.#next] as number]?.context
    if (context === undefined) this.#deliver()
    else context.around(this.#deliver)
    this.#receiver = outer
    this.#leave()
    if (this.#flushLater === undefined) return
    // A handler that begins with `await` may turn the event loop before.
    batch[unsettledWord] = 1
    // Also where there are no commands: then the core knows how long this has taken, with all that it made due.
    this.#flushLater()
  }

  #takeExcerpt(): Excerpt | undefined {
    const excerpt = this.#excerpt
    this.#excerpt = undefined
    return excerpt
  }

  /** Says how much of the batch is left. */
  #leave(): void {
    // A handler that turns the event loop is in the midst of this slice still: it is over.
    this.#stop = this.#sliceEnd = this.#next
    this.#batchUnderWay = 0
    if (leaveBatch(this.#batch, this.#next, this.#end) > 0) return
    this.memory.forgetChunks(this.#turnChunks, this.#chunkCount)
    this.#chunkCount = 0
  }

  /**
   * Whether records are to be delivered up to `#stop`. Handlers that are slower than those before end the slice, as far as
   * they do their work at once.
   */
  #goesOn(): boolean {
    const left = this.#sliceEnd - this.#next
    if (left <= 0) return false
    if (left > wordsBetweenLooks || this.#late > 0) {
      const now = clock.now()
      if (this.#late === 0) this.#late = now + maxSliceTime
      else if (now >= this.#late) return false
    }
    this.#stop = this.#withEnd(this.#next + wordsBetweenLooks, this.#sliceEnd)
    return true
  }

  /**
   * Where to stop: `at`, or behind what is told there of the connection before. Promises run then, which may use a
   * connection whose end is known.
   */
  #withEnd(at: number, limit: number): number {
    const batch = this.#batch
    let stop = at
    while (stop < limit && batch[stop] === batch[stop - recordWords] && isOfLife(batch[stop + 1] as number))
      stop += recordWords
    return Math.min(stop, limit)
  }

  /**
   * Whatever is thrown costs the connection that it is about: everything else of the batch is delivered. The guard
   * stands around many records, so that a message pays nothing for it. It is in a function of its own: within a `try`
   * V8 makes a view by three calls, and without one inline.
   */
  readonly #deliver = (): void => {
    while (this.#goesOn()) {
      try {
        this.#deliverRecords()
      } catch (error) {
        this.#undelivered(this.#receiver, error)
      }
    }
  }

  #deliverRecords(): void {
    const batch = this.#batch
    while (this.#next < this.#stop) {
      const at = this.#next
      this.#next = at + recordWords
      const slot = batch[at] as number
      const kind = batch[at + 1] as number
      const start = batch[at + 2] as number
      const length = batch[at + 3] as number
      if ((kind & 0xff) === RecordKind.Message) {
        const connection = this.#connections[slot]
        // Nothing comes for a connection after its end.
        if (connection === undefined) continue
        this.#receiver = connection
        const chunk = this.#turnChunks[kind >>> 8]
        if (chunk !== undefined && chunk.bytes.length > 0) connection.receive(chunk, start, length)
        else this.#receiveCopy(connection, batch[batchHeader + (kind >>> 8)] as number, start, length)
      } else if (kind === RecordKind.Correlation) {
        const connection = this.#connections[slot]
        this.#receiver = connection
        connection?.identify(start, length)
      } else {
        this.#deliverLife(kind, slot, start, length)
      }
    }
  }

  /** A record that brings no message. */
  #deliverLife(kind: number, slot: number, start: number, length: number): void {
    const connection = isOfListener(kind) ? undefined : this.#connections[slot]
    try {
      this.#lifecycle(kind, slot, start, length)
    } catch (error) {
      this.#undelivered(connection ?? this.#accepted(kind, slot, length), error)
    }
  }

  /** A record's delivery has thrown, where no guard of its own stands. */
  #undelivered(connection: PolledConnection | undefined, error: unknown): void {
    try {
      // A handler may have turned the event loop until the connection had gone, and its slot belonged to another.
      if (connection === undefined || this.#connections[connection.slot] !== connection) logFailure(error)
      else connection.fail(error)
    } catch (second) {
      logFailure(second)
    }
  }

  /** The connection that a record has told of, which is ended where nothing stands for it: nothing else would ever do it. */
  #accepted(kind: number, slot: number, generation: number): PolledConnection | undefined {
    if (!isAcceptance(kind)) return undefined
    const connection = this.find({ slot, generation })
    if (connection === undefined) this.commandQueue.command(Operation.Destroy, { slot, generation })
    return connection
  }

  /** User code has detached the chunk, by transferring `.buffer` of a message. */
  #receiveCopy(connection: PolledConnection, handle: number, start: number, length: number): void {
    connection.receive(this.memory.copy(handle, start, length), 0, length)
  }

  #lifecycle(kind: number, slot: number, start: number, length: number): void {
    if (isAcceptance(kind)) {
      const acceptor = this.#acceptors.get(start)
      if (acceptor === undefined) {
        // It came over from another thread while its server closed.
        this.commandQueue.command(Operation.Destroy, { slot, generation: length })
        return
      }
      const id = { slot, generation: length }
      const connection = kind === RecordKind.Excess ? acceptor.exceeded(id) : acceptor.accepted(id)
      this.attach(connection)
      connection.open()
      return
    }
    if (isOfListener(kind)) {
      tellAcceptor(this.#acceptors.get(slot), kind, start, length, this.#takeExcerpt())
      return
    }
    // They stand right before the record that takes what they tell, whosever it is.
    if ((kind & 0xff) === RecordKind.RefusedBytes) {
      this.#excerpt ??= new Excerpt()
      this.#excerpt.append(kind >>> 8, start, length)
      return
    }
    if (kind === RecordKind.RefusedLength) {
      this.#excerpt = new Excerpt()
      this.#excerpt.announce(start, length)
      return
    }
    const connection = this.#connections[slot]
    if (connection === undefined) {
      this.#excerpt = undefined
      return
    }
    switch (kind) {
      case RecordKind.Connected:
        connection.connected()
        break
      case RecordKind.Inactive:
        connection.inactive(start, length, this.#takeExcerpt())
        break
      case RecordKind.Ended:
        connection.ended()
        break
      case RecordKind.Congested:
        connection.congested()
        break
      case RecordKind.Drained:
        connection.drained()
        break
      case RecordKind.Idle:
        connection.idle()
        break
      case RecordKind.IdleConfirmed:
        connection.idleConfirmed()
        break
      case RecordKind.DeadlineTimer:
        connection.timerFired(start, length)
        break
      case RecordKind.BytesRead:
        connection.totals('read', wide(start, length))
        break
      case RecordKind.BytesWritten:
        connection.totals('written', wide(start, length))
        break
      case RecordKind.EndSent:
        connection.endSent()
        break
      case RecordKind.Flushed:
        connection.flushed(start)
        break
      case RecordKind.PlainEnded:
        connection.plainEnded()
        break
      case RecordKind.Secured:
        connection.secured()
        break
      case RecordKind.WornOut:
        connection.wornOut()
        break
      case RecordKind.Closed:
        this.forget(connection)
        connection.closed(start, length, this.#takeExcerpt())
        break
    }
  }
}

/** Whether a record brings no message. */
function isOfLife(kind: number): boolean {
  return (kind & 0xff) !== RecordKind.Message && kind !== RecordKind.Correlation
}

/** A number of two words. */
function wide(low: number, high: number): number {
  return (low >>> 0) + (high >>> 0) * 2 ** 32
}

type NativeArguments = ConstructorParameters<NativeBinding['EventLoop']>

function openNative(...given: NativeArguments): NativePoller {
  const { EventLoop: Native } = nativeBinding()
  try {
    return new Native(...given)
  } catch (cause) {
    // A shortage passes: the same call may succeed later, and says so by the system's code.
    const errno = Number((cause as { readonly code?: unknown }).code)
    if (errno > 0) throw systemError(errno, 'poll')
    throw new NetpollError('ERR_UNSUPPORTED', 'netpoll cannot poll in this event loop', { cause })
  }
}

let tags = 0

/** A name for a listener, that no other of this thread has had lately. */
export function nextTag(): number {
  tags = (tags + 1) % 2 ** 31
  return tags
}
