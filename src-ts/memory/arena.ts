import { constants } from 'node:buffer'

import { allocate } from './allocation'
import { bufferOf, offsetOf } from '../checks/bytes'
import { Chunk, messageView } from './chunk'
import { NetpollError, outOfMemory } from '../errors'
import type { NativeMemory } from '../native/binding'
import { microtask } from '../time/timers'
import { checkInteger } from '../checks/arguments'

/** A framing, as far as the arena leaves room for it. */
export interface HeaderLength {
  /** @internal */
  headerLength(length: number): number
}

/** `[cursor, handle, holds, loops with commands, turns of the event loop]`, shared with the core. */
export const arenaWords = 5

/** Where the core counts how often the event loop of this thread has turned. */
export const turnsWord = 4

/** Bytes of a lent chunk. Messages over half of it get one of their own, unless they still fit. */
const arenaSize = 256 * 1024

/** Bytes of lent chunks after which garbage is collected: what has been sent would stay until V8 has seen twice as much. */
const maxLent = 24 * 1024 * 1024

/** Most bytes that may be asked for. */
const maxBuffer = constants.MAX_LENGTH

/** Most bytes that {@link Arena.allocate} takes from the arena. */
const maxAllocated = 32 * 1024

/** Most bytes that the header may take, for which room is left before what is allocated. */
const maxRoom = 254

/**
 * Memory that outgoing bytes are written to. All event loops of a thread share it, so that bytes written for one connection
 * may leave on any other. The core begins it anew once nothing in it waits to be sent.
 */
export class Arena {
  readonly #words: Int32Array
  readonly #native: NativeMemory
  readonly #collect: () => void
  /** Bytes lent since garbage was collected. */
  #lent = 0
  #arena = new Chunk(Buffer.alloc(0))
  /** By start in the arena: one more than the room before what was allocated there and not handed over; else 0. */
  #allocated: Uint8Array | undefined
  /** How many arenas there were. */
  #generation = 0
  /** Where the last bytes were taken: the arena, or a chunk of their own. */
  #memory: Buffer = this.#arena.bytes
  #handle = 0

  /** `collect` collects short-lived garbage. */
  constructor(words: Int32Array, native: NativeMemory, collect: () => void) {
    this.#words = words
    this.#native = native
    this.#collect = collect
  }

  /** Where {@link take} has just taken bytes. */
  get memory(): Buffer {
    return this.#memory
  }

  /** How commands name {@link memory}. */
  get handle(): number {
    return this.#handle
  }

  /**
   * Room for `length` bytes in {@link memory}, which {@link handle} names; returns where.
   *
   * @throws NetpollError `ERR_FRAME_TOO_LARGE`, see {@link checkLent}; `ENOMEM`: nothing is taken
   */
  take(length: number): number {
    const words = this.#words
    // The core sets the cursor back once everything in the arena has been sent.
    const at = words[0] as number
    if (at + length <= this.#arena.bytes.length) {
      words[0] = at + length
      this.#memory = this.#arena.bytes
      this.#handle = words[1] as number
      return at
    }
    checkLent(length)
    if (length > arenaSize / 2) {
      this.#lend(length)
      // What was taken is written and named in the same task. Later this would keep the memory until the next is taken.
      microtask(this.#leaveLarge)
    } else {
      this.#begin()
      words[0] = length
    }
    return 0
  }

  /** Gives back what {@link take} took last of `memory`, from `at` to `end`, unless more was taken since. */
  giveBack(memory: Buffer, at: number, end: number): void {
    const words = this.#words
    if (memory === this.#arena.bytes && words[0] === end) words[0] = at
  }

  /** Whether {@link take} takes so many bytes, in whatever pieces, from the arena as it is: then it cannot fail. */
  hasRoom(length: number): boolean {
    return (this.#words[0] as number) + length <= this.#arena.bytes.length
  }

  /**
   * As {@link hasRoom}, for bytes that fit into an arena that is begun.
   *
   * @throws NetpollError `ENOMEM`
   */
  makeRoom(length: number): boolean {
    if (length > arenaSize) return false
    if (!this.hasRoom(length)) this.#begin()
    return true
  }

  #begin(): void {
    const words = this.#words
    this.#lend(arenaSize)
    this.#arena = new Chunk(this.#memory)
    if (this.#allocated?.length === this.#memory.length) this.#allocated.fill(0)
    else this.#allocated = undefined
    this.#generation += 1
    words[0] = 0
    words[1] = this.#handle
    words[2] = 0
  }

  readonly #leaveLarge = (): void => {
    this.#memory = this.#arena.bytes
    this.#handle = this.#words[1] as number
  }

  /** Has {@link memory} and {@link handle} be a chunk of at least so many bytes. */
  #lend(bytes: number): void {
    this.#lent += Math.max(bytes, arenaSize)
    if (this.#lent > maxLent) {
      this.#lent = 0
      this.#collect()
    }
    const lent = this.#native.lendChunk(bytes)
    if (lent === null) throw outOfMemory(`${bytes} bytes to send could not be allocated`)
    this.#memory = Buffer.from(lent.buffer)
    this.#handle = lent.handle
  }

  /**
   * `length` bytes for the user to fill, which leave without a copy, behind the header of a message: see {@link handOver}.
   *
   * @throws TypeError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`; NetpollError `ENOMEM`
   */
  allocate(length: number, framing: HeaderLength): Buffer {
    checkInteger('length', length, 0, maxBuffer)
    const room = framing.headerLength(length)
    if (length > maxAllocated || room > maxRoom) return allocate(length)
    // Nothing between one message and the next, so that many leave in one piece.
    const start = this.take(room + length) + room
    this.#allocated ??= new Uint8Array(this.#arena.bytes.length)
    this.#allocated[start] = room + 1
    this.#words[2] = (this.#words[2] as number) + 1
    return messageView(this.#arena, start, length)
  }

  /**
   * Whether `bytes` begin what was allocated in the arena and not handed over before, with room for a header of `before`
   * bytes. If so they are handed over: {@link memory} and {@link handle} name the arena, and the caller sends them from
   * there.
   */
  handOver(bytes: Uint8Array, before: number): boolean {
    const words = this.#words
    const allocated = this.#allocated
    // While nothing is allocated, the view is not even asked for its memory, which is a call into the engine.
    if (allocated === undefined || words[2] === 0 || bufferOf(bytes) !== this.#arena.buffer) return false
    const start = offsetOf(bytes)
    if ((allocated[start] as number) <= before) return false
    allocated[start] = 0
    words[2] = (words[2] as number) - 1
    this.#memory = this.#arena.bytes
    this.#handle = words[1] as number
    return true
  }

  /** A loop has commands that the core has not seen, which may name bytes in the arena. The core undoes it. */
  commanded(): void {
    this.#words[3] = (this.#words[3] as number) + 1
  }

  /**
   * Keeps the bytes that were just taken until they are sent, or until {@link endHold}. The core begins the arena anew once
   * nothing in it waits to be sent, and knows only of sent bytes. `previous` is what the same writer holds.
   */
  hold(previous: number | undefined): number | undefined {
    const generation = this.#generation
    if (previous === generation || this.#memory !== this.#arena.bytes) return previous
    this.#words[2] = (this.#words[2] as number) + 1
    return generation
  }

  /** Ends a hold. One on an arena of before has ended by itself: that is never used again. */
  endHold(generation: number): void {
    if (generation === this.#generation) this.#words[2] = (this.#words[2] as number) - 1
  }

  /** Makes two holds one. */
  joinHolds(one: number, other: number): number {
    if (one === other) this.endHold(other)
    return Math.max(one, other)
  }
}

/** Most bytes of one chunk: a word says how many. */
const maxInChunk = 2 ** 32 - 1

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
