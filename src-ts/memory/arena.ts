import { constants } from 'node:buffer'

import { allocate } from './allocation'
import { offsetOf } from '../checks/bytes'
import { messageView } from './chunk'
import { NetpollError, outOfMemory } from '../errors'
import { GarbagePace } from './garbage-pace'
import type { NativeMemory } from '../native/binding'
import { setTimeout } from '../time/timers'
import { checkInteger } from '../checks/arguments'
import { OutgoingChunk, outgoingChunkOf } from './outgoing-chunk'
import { OutgoingRing } from './outgoing-ring'

/** A framing, as far as the arena leaves room for it. */
export interface HeaderLength {
  /** @internal */
  headerLength(length: number): number
}

/** `[cursor, handle, holds, loops with commands, turns of the event loop, period]`, shared with the core. */
export const arenaWords = 6

/** Where the core counts how often the event loop of this thread has turned. */
export const turnsWord = 4

/** Changes whenever no command waits that the core has not seen, between two messages. */
const periodWord = 5

/** Bytes of an ordinary chunk, unless those of the process are larger. */
const chunkSize = 256 * 1024

/** Most bytes that may be asked for. */
const maxBuffer = constants.MAX_LENGTH

/** Most bytes that {@link Arena.allocate} takes from memory that is sent from. */
const maxAllocated = 16 * 1024 * 1024

/** Up to here a message may be in parts. A larger one is whole: either there is memory for it, or none of it is taken. */
const maxInParts = 4 * 1024 * 1024

/** Most bytes that the header may take, for which room is left before what is allocated. */
const maxRoom = 254

/** Milliseconds after which chunks are given back that were not used meanwhile, nor in the time before. */
const sweepInterval = 200

/** Where a part of a message is written to. */
export interface OutgoingPart {
  readonly memory: Buffer
  /** How commands name {@link memory}. */
  readonly handle: number
  readonly start: number
  readonly length: number
}

/** What keeps chunks from being written to again. */
export type Hold = readonly OutgoingChunk[]

/**
 * Memory that outgoing bytes are written to. All event loops of a thread share it, so that bytes written for one connection
 * may leave on any other. It is a chunk at a time. Where that is full, another takes its place that was in use before, and
 * whose bytes have been sent. There are as many as are needed for what is on its way.
 */
export class Arena {
  readonly #words: Int32Array
  readonly #native: NativeMemory
  /** Asks for collections: of what is sent, most is garbage then. */
  readonly garbage: GarbagePace
  /** Bytes of an ordinary chunk. */
  #size = chunkSize
  #current: OutgoingChunk
  /** Where the last bytes were taken. */
  #taken: OutgoingChunk
  /** Those that were current. One with a hold is not among them: unless what holds it lives, it is collected. */
  readonly #ring: OutgoingRing
  /** As {@link #ring}, of larger ones, each for a piece that has to be whole. */
  readonly #large: OutgoingRing
  /** What was allocated and not handed over; what was collected counts as well. */
  #outstanding = 0
  #sweep = 0
  #isSwept = false

  /** `collect` collects short-lived garbage. */
  constructor(words: Int32Array, native: NativeMemory, collect: () => void) {
    this.#words = words
    // There is no chunk so far, so not even nothing fits into it: what is sent has to lie in one. No chunk has this handle.
    words[0] = 1
    words[1] = -1
    this.#native = native
    this.garbage = new GarbagePace(collect)
    this.#current = new OutgoingChunk(0, new ArrayBuffer(0))
    this.#taken = this.#current
    this.#ring = new OutgoingRing(native)
    this.#large = new OutgoingRing(native)
  }

  /** Where {@link take} has just taken bytes. */
  get memory(): Buffer {
    return this.#taken.bytes
  }

  /** How commands name {@link memory}. */
  get handle(): number {
    return this.#taken.handle
  }

  /** Bytes that are left of the chunk that bytes are taken from now. */
  get room(): number {
    return this.#current.bytes.length - (this.#words[0] as number)
  }

  /**
   * Room for `length` bytes in {@link memory}, which {@link handle} names; returns where.
   *
   * @throws NetpollError `ERR_FRAME_TOO_LARGE`, see {@link checkLent}; `ENOMEM`: nothing is taken
   */
  take(length: number): number {
    const words = this.#words
    const current = this.#current
    // The core sets the cursor back once everything in the chunk has been sent.
    const at = words[0] as number
    if (at + length <= current.bytes.length) {
      words[0] = at + length
      this.#taken = current
      return at
    }
    checkLent(length)
    if (length > this.#size / 2) {
      this.#taken = this.#another(length)
      this.#keep(this.#taken)
    } else {
      this.#begin()
      words[0] = length
    }
    return 0
  }

  /** Gives back what {@link take} took last of `memory`, from `at` to `end`, unless more was taken since. */
  giveBack(memory: Buffer, at: number, end: number): void {
    const words = this.#words
    if (memory === this.#current.bytes && words[0] === end) words[0] = at
  }

  /** Whether {@link take} takes so many bytes, in whatever pieces, from the chunk as it is: then it cannot fail. */
  hasRoom(length: number): boolean {
    return (this.#words[0] as number) + length <= this.#current.bytes.length
  }

  /**
   * As {@link hasRoom}, for bytes that fit into a chunk that is begun.
   *
   * @throws NetpollError `ENOMEM`
   */
  makeRoom(length: number): boolean {
    if (length > this.#size) return false
    if (!this.hasRoom(length)) this.#begin()
    return true
  }

  /**
   * Room for `length` bytes in several places, of which the first is used up before the next. What is left of a chunk is one
   * if it has `least` bytes.
   *
   * @throws NetpollError `ERR_FRAME_TOO_LARGE`, `ENOMEM`: nothing is taken
   */
  takeInParts(length: number, least: number): OutgoingPart[] {
    // So a lack of memory costs no other message.
    if (length > maxInParts) return [this.#part(length)]
    const inCurrent = this.room < Math.min(least, length) ? 0 : Math.min(this.room, length)
    const chunks = this.#several(length - inCurrent)
    const parts: OutgoingPart[] = []
    if (inCurrent > 0) parts.push(this.#part(inCurrent))
    let rest = length - inCurrent
    for (const chunk of chunks) {
      this.#beginWith(chunk)
      const count = Math.min(rest, chunk.bytes.length)
      parts.push(this.#part(count))
      rest -= count
    }
    return parts
  }

  #part(length: number): OutgoingPart {
    const start = this.take(length)
    return { memory: this.memory, handle: this.handle, start, length }
  }

  /** Ordinary chunks for so many bytes, or none of them. */
  #several(bytes: number): OutgoingChunk[] {
    const chunks: OutgoingChunk[] = []
    try {
      for (let rest = bytes; rest > 0; rest -= this.#size) chunks.push(this.#another(this.#size))
    } catch (error) {
      // Nothing was written to them.
      for (const chunk of chunks) this.#ring.add(chunk, chunk.period, this.#sweep)
      throw error
    }
    return chunks
  }

  #begin(): void {
    this.#beginWith(this.#another(this.#size))
  }

  #beginWith(next: OutgoingChunk): void {
    const words = this.#words
    const before = this.#current
    this.#current = next
    this.#taken = next
    words[0] = 0
    words[1] = next.handle
    words[2] = 0
    if (before.holds === 0) this.#keep(before)
  }

  /** A chunk of at least so many bytes in which nothing waits to be sent. */
  #another(length: number): OutgoingChunk {
    const period = this.#words[periodWord] as number
    if (length <= this.#size) {
      const chunk = this.#ring.reuse(this.#size, period) ?? this.#lend(this.#size)
      this.#size = chunk.bytes.length
      return chunk
    }
    const capacity = roundedUp(length)
    return this.#large.reuse(capacity, period) ?? this.#lend(capacity)
  }

  /** From now on it is written to again once what is in it has been sent. */
  #keep(chunk: OutgoingChunk): void {
    if (!chunk.isThere) return
    this.#ringOf(chunk).add(chunk, this.#words[periodWord] as number, this.#sweep)
    this.#sweepLater()
  }

  #ringOf(chunk: OutgoingChunk): OutgoingRing {
    return chunk.bytes.length > this.#size ? this.#large : this.#ring
  }

  /** A new chunk of at least so many bytes. */
  #lend(bytes: number): OutgoingChunk {
    this.garbage.add(Math.max(bytes, chunkSize))
    const lent = this.#native.lendChunk(bytes)
    if (lent === null) throw outOfMemory(`${bytes} bytes to send could not be allocated`)
    const chunk = new OutgoingChunk(lent.handle, lent.buffer)
    chunk.period = (this.#words[periodWord] as number) - 1
    return chunk
  }

  /**
   * `length` bytes for the user to fill, which leave without a copy, behind the header of a message: see {@link handOver}.
   *
   * @throws TypeError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`; NetpollError `ENOMEM`
   */
  allocate(length: number, framing: HeaderLength): Buffer {
    checkInteger('length', length, 0, maxBuffer)
    const room = framing.headerLength(length)
    if (length > maxAllocated || room > maxRoom || room + length === 0) return allocate(length)
    // Nothing between one message and the next, so that many leave in one piece.
    const at = this.take(room + length)
    const chunk = this.#taken
    chunk.allocated(at, room)
    this.#outstanding += 1
    this.#addHold(chunk)
    return messageView(chunk, at + room, length)
  }

  /**
   * Whether `bytes` begin what was allocated here and not handed over before, with room for a header of `before`
   * bytes. If so they are handed over: {@link memory} and {@link handle} name their chunk, and the caller sends them from
   * there.
   */
  handOver(bytes: Uint8Array, before: number): boolean {
    // While nothing is allocated, the view is not even asked for its memory, which is a call into the engine.
    if (this.#outstanding === 0) return false
    const chunk = outgoingChunkOf(bytes)
    if (chunk === undefined || !chunk.handOver(offsetOf(bytes), before)) return false
    this.#outstanding -= 1
    this.#endHoldOf(chunk)
    this.#taken = chunk
    return true
  }

  /** A loop has commands that the core has not seen, which may name bytes in the arena. The core undoes it. */
  commanded(): void {
    this.#words[3] = (this.#words[3] as number) + 1
  }

  /**
   * To be called where no message is written in part. If the core has seen all commands, it knows what of chunks waits to be
   * sent, and nothing else does. The core does the same between two tasks.
   */
  settle(): void {
    const words = this.#words
    if (words[3] === 0) words[periodWord] = (words[periodWord] as number) + 1
  }

  /**
   * Keeps the bytes that were just taken until they are sent, or until {@link endHold}. The core knows only of sent bytes.
   * `previous` is what the same writer holds.
   */
  hold(previous: Hold | undefined): Hold {
    const chunk = this.#taken
    if (previous?.includes(chunk) === true) return previous
    this.#addHold(chunk)
    return previous === undefined ? chunk.alone : [...previous, chunk]
  }

  /** Ends a hold. */
  endHold(hold: Hold): void {
    for (const chunk of hold) this.#endHoldOf(chunk)
    this.settle()
  }

  /** Makes two holds one. */
  joinHolds(one: Hold, other: Hold): Hold {
    const further: OutgoingChunk[] = []
    for (const chunk of other) {
      if (one.includes(chunk)) this.#endHoldOf(chunk)
      else further.push(chunk)
    }
    return further.length === 0 ? one : [...one, ...further]
  }

  #addHold(chunk: OutgoingChunk): void {
    chunk.holds += 1
    if (chunk === this.#current) this.#words[2] = chunk.holds
    else if (chunk.holds === 1) this.#ringOf(chunk).remove(chunk)
  }

  #endHoldOf(chunk: OutgoingChunk): void {
    chunk.holds -= 1
    if (chunk === this.#current) this.#words[2] = chunk.holds
    else if (chunk.holds === 0) this.#keep(chunk)
  }

  /** An idle thread keeps the chunk that it writes to, and has no timer. */
  #sweepLater(): void {
    if (this.#isSwept) return
    this.#isSwept = true
    setTimeout(this.#sweepRings, sweepInterval).unref()
  }

  readonly #sweepRings = (): void => {
    this.#isSwept = false
    this.#sweep += 1
    this.#taken = this.#current
    this.settle()
    const period = this.#words[periodWord] as number
    this.#ring.sweep(this.#sweep, period)
    this.#large.sweep(this.#sweep, period)
    if (this.#ring.count + this.#large.count > 0) this.#sweepLater()
  }
}

/** Most bytes of one chunk: a word says how many. */
const maxInChunk = 2 ** 32 - 1

/** The size of a chunk for so many bytes: a few for each power of two, so that it serves others as well. */
function roundedUp(length: number): number {
  const step = 2 ** (Math.floor(Math.log2(length)) - 2)
  return Math.min(Math.ceil(length / step) * step, maxInChunk)
}

/**
 * Checks that so many bytes fit into one chunk. A list has to be checked before its header is queued.
 *
 * @throws NetpollError `ERR_FRAME_TOO_LARGE`
 */
export function checkLent(bytes: number): void {
  if (bytes <= maxInChunk) return
  const problem = `${bytes} bytes in one piece cannot be copied to be sent`
  throw new NetpollError('ERR_FRAME_TOO_LARGE', `${problem}; writeDirect sends them from where they lie`)
}
