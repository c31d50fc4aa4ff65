import { chunkHandle } from './chunk'
import { invalidType } from './errors'
import type { Framing } from './framing'
import { copyLimit, foreign, type Written } from './link-buffer/pieces'
import type { NativeEventLoop } from './native'

/** What a command asks of the core. The numbers are those of `shared_words.rs`. */
export const Operation = {
  Send: 0,
  Reply: 1,
  Acknowledge: 2,
  Close: 3,
  Finish: 4,
  Destroy: 5,
  Reset: 6,
  Pause: 7,
  Resume: 8,
  End: 9,
  Alarm: 10,
  ReadTimeout: 11,
  WriteTimeout: 12,
  IdleTimeout: 13,
  SendForeign: 14,
  TakeOver: 15,
} as const

export type Operation = (typeof Operation)[keyof typeof Operation]

/** Whom a command is for. */
export interface Target {
  readonly slot: number
  readonly generation: number
}

/** Bytes to send: one piece, or several that are sent one after the other as one message. */
export type Payload = Uint8Array | string | readonly (Uint8Array | string)[]

const header = 4
const words = 6
const capacity = 4096

/** Words that the commands take: `[count, arena cursor, arena handle, holds on the arena, commands…]`. */
export const commandWords = header + words * capacity

/** Bytes of a lent chunk. Messages over half of it get one of their own, unless they still fit. */
const arenaSize = 256 * 1024

/**
 * What leaves for the core. A command is six words in shared memory, and no call: the core carries
 * them out after the turn that they were written in, or before the loop waits.
 */
export class Outbox {
  readonly #commands: Int32Array
  readonly #native: NativeEventLoop
  /** Chunks that messages arrive in, by handle. */
  readonly #chunks: readonly (Buffer | undefined)[]
  #arena: Buffer = Buffer.alloc(0)
  /** How many arenas there were. */
  #generation = 0
  /** Where the last bytes were taken: the arena, or a chunk of their own. */
  #memory: Buffer = this.#arena
  #handle = 0

  constructor(commands: Int32Array, native: NativeEventLoop, chunks: readonly (Buffer | undefined)[]) {
    this.#commands = commands
    this.#native = native
    this.#chunks = chunks
  }

  /** Where {@link take} has just taken bytes. */
  get memory(): Buffer {
    return this.#memory
  }

  /** How commands name {@link memory}. */
  get handle(): number {
    return this.#handle
  }

  /** Adds a command without bytes; `value` is a count or a time, for those that have one. */
  command(operation: Operation, target: Target, value = 0): void {
    this.#push(operation, target, 0, 0, value)
  }

  /**
   * Adds a whole message, framed. `last` is the operation of its last piece.
   *
   * @returns how many bytes will be sent
   * @throws NetpollError `ERR_FRAME_TOO_LARGE` when its length cannot be said; TypeError
   * `ERR_INVALID_ARG_TYPE` when it is no payload; either before anything is added
   */
  message(last: Operation, target: Target, framing: Framing, payload: Payload): number {
    if (typeof payload === 'string') return this.#string(last, target, framing, payload)
    if (payload instanceof Uint8Array) return this.#bytes(last, target, framing, payload)
    if (Array.isArray(payload)) return this.#pieces(last, target, framing, payload)
    throw notPayload(payload)
  }

  /** Adds what a writer has collected, as one message. */
  written(target: Target, framing: Framing, { first, length }: Written): number {
    const before = framing.headerLength(length)
    const trailer = framing.trailer
    this.#header(target, framing, before, length)
    for (let piece = first; piece !== undefined; piece = piece.next) {
      if (piece.handle !== foreign) {
        this.#push(Operation.Send, target, piece.handle, piece.start, piece.length)
      } else {
        const handle = this.#native.attachForeign(piece.memory)
        this.#push(Operation.SendForeign, target, handle, piece.start, piece.length)
      }
    }
    if (trailer.length > 0) this.#copy(Operation.Send, target, trailer)
    return before + length + trailer.length
  }

  /**
   * Keeps the bytes that were just taken until they are sent or {@link endHold}: the core begins the arena anew once
   * nothing in it waits to be sent, and knows only of what was sent. `previous` is what the same writer holds.
   */
  hold(previous: number | undefined): number | undefined {
    const generation = this.#generation
    if (previous === generation || this.#memory !== this.#arena) return previous
    this.#commands[3] = (this.#commands[3] as number) + 1
    return generation
  }

  /** Ends a hold. One on an arena of before has ended by itself: that is never used again. */
  endHold(generation: number): void {
    if (generation === this.#generation) this.#commands[3] = (this.#commands[3] as number) - 1
  }

  /** Makes two holds one. */
  joinHolds(one: number, other: number): number {
    if (one === other) this.endHold(other)
    return Math.max(one, other)
  }

  #bytes(last: Operation, target: Target, framing: Framing, bytes: Uint8Array): number {
    const length = bytes.length
    const handle = chunkHandle(bytes)
    const before = framing.headerLength(length)
    const trailer = framing.trailer
    const total = before + length + trailer.length
    if (handle !== undefined && length > 0) {
      const start = bytes.byteOffset - before
      // An echo stands in its chunk framed already: it leaves as it came, in one piece.
      if (start >= 0 && isFramed(framing, this.#chunks[handle], bytes, before)) {
        this.#push(last, target, handle, start, total)
        return total
      }
      if (length > copyLimit) {
        this.#header(target, framing, before, length)
        const ends = trailer.length === 0
        this.#push(ends ? last : Operation.Send, target, handle, bytes.byteOffset, length)
        if (!ends) this.#copy(last, target, trailer)
        return total
      }
    }
    const at = this.take(total)
    framing.writeHeader(this.#memory, at, length)
    this.#memory.set(bytes, at + before)
    this.#end(last, target, trailer, at, total)
    return total
  }

  #string(last: Operation, target: Target, framing: Framing, text: string): number {
    const length = Buffer.byteLength(text)
    const before = framing.headerLength(length)
    const trailer = framing.trailer
    const total = before + length + trailer.length
    const at = this.take(total)
    framing.writeHeader(this.#memory, at, length)
    this.#memory.write(text, at + before)
    this.#end(last, target, trailer, at, total)
    return total
  }

  #pieces(
    last: Operation,
    target: Target,
    framing: Framing,
    pieces: readonly (Uint8Array | string)[],
  ): number {
    let length = 0
    for (const piece of pieces) {
      if (typeof piece === 'string') length += Buffer.byteLength(piece)
      else if (piece instanceof Uint8Array) length += piece.length
      else throw notPayload(piece)
    }
    const before = framing.headerLength(length)
    const trailer = framing.trailer
    this.#header(target, framing, before, length)
    for (const piece of pieces) this.#piece(target, piece)
    // The message's end as a piece of its own, so that whatever it consists of is added the same way.
    this.#copy(last, target, trailer)
    return before + length + trailer.length
  }

  #piece(target: Target, piece: Uint8Array | string): void {
    if (typeof piece !== 'string') {
      const handle = chunkHandle(piece)
      if (handle !== undefined && piece.length > copyLimit) {
        this.#push(Operation.Send, target, handle, piece.byteOffset, piece.length)
        return
      }
    }
    this.#copy(Operation.Send, target, piece)
  }

  #header(target: Target, framing: Framing, before: number, length: number): void {
    if (before === 0) return
    const at = this.take(before)
    framing.writeHeader(this.#memory, at, length)
    this.#push(Operation.Send, target, this.#handle, at, before)
  }

  #copy(operation: Operation, target: Target, piece: Uint8Array | string): void {
    const length = typeof piece === 'string' ? Buffer.byteLength(piece) : piece.length
    const at = this.take(length)
    if (typeof piece === 'string') this.#memory.write(piece, at)
    else this.#memory.set(piece, at)
    this.#push(operation, target, this.#handle, at, length)
  }

  /** Completes a message of `total` bytes that begins at `at`. */
  #end(last: Operation, target: Target, trailer: Uint8Array, at: number, total: number): void {
    if (trailer.length > 0) this.#memory.set(trailer, at + total - trailer.length)
    this.#push(last, target, this.#handle, at, total)
  }

  /** Room for `length` bytes in {@link memory}, which {@link handle} names; returns where. */
  take(length: number): number {
    const commands = this.#commands
    // The core sets the cursor back once everything in the arena has been sent.
    const at = commands[1] as number
    if (at + length <= this.#arena.length) {
      commands[1] = at + length
      this.#memory = this.#arena
      this.#handle = commands[2] as number
      return at
    }
    const isLarge = length > arenaSize / 2
    const lent = this.#native.lendChunk(isLarge ? length : arenaSize)
    this.#memory = Buffer.from(lent.buffer)
    this.#handle = lent.handle
    if (!isLarge) {
      this.#arena = this.#memory
      this.#generation += 1
      commands[1] = length
      commands[2] = lent.handle
      commands[3] = 0
    }
    return 0
  }

  #push(operation: Operation, target: Target, handle: number, start: number, length: number): void {
    const commands = this.#commands
    let count = commands[0] as number
    if (count === capacity) {
      this.#native.carryOut()
      count = 0
    }
    const at = header + count * words
    commands[at] = operation
    commands[at + 1] = target.slot
    commands[at + 2] = target.generation
    commands[at + 3] = handle
    commands[at + 4] = start
    commands[at + 5] = length
    commands[0] = count + 1
  }
}

function notPayload(actual: unknown): TypeError {
  return invalidType('message', 'bytes (Uint8Array), a string, or a list of them', actual)
}

/** Whether header and trailer stand around `bytes` in their chunk already. */
function isFramed(framing: Framing, chunk: Buffer | undefined, bytes: Uint8Array, before: number): boolean {
  if (chunk === undefined) return false
  const start = bytes.byteOffset
  if (!framing.hasHeader(chunk, start - before, bytes.length)) return false
  const trailer = framing.trailer
  const end = start + bytes.length
  for (let index = 0; index < trailer.length; index += 1) {
    if (chunk[end + index] !== trailer[index]) return false
  }
  return true
}
