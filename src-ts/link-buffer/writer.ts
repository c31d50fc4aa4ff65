import { types } from 'node:util'

import { copyBytes } from '../memory/allocation'
import type { Hold } from '../memory/arena'
import { isUint8Array, lengthOf, offsetOf } from '../checks/bytes'
import { bufferView, chunkHandle } from '../memory/chunk'
import { invalidType, invalidValue, NetpollError, withoutStack } from '../errors'
import { refuseAt } from '../process/call-site'
import { copyLimit, directLimit, foreign, largestUint, type Piece, type Written } from './pieces'
import type { Endian, UintSize } from './reader'
import { checkInteger } from '../checks/arguments'
import { checkOwn, own } from '../checks/own-constructor'

/** Where a writer gets what {@link Writer.malloc} hands out: the arena, or memory that no connection sends from. */
export interface WriterMemory {
  /** What {@link take} has just taken bytes of. */
  readonly memory: Buffer
  /** How pieces name {@link memory}. */
  readonly handle: number
  /** Room for `length` bytes in {@link memory}; returns where. */
  take(length: number): number
  /** Keeps what was just taken until {@link endHold}; `previous` is what the same writer holds. */
  hold(previous: Hold | undefined): Hold | undefined
  endHold(hold: Hold): void
  /** Makes two holds one. */
  joinHolds(one: Hold, other: Hold): Hold
}

/** @internal Whether nothing waits to be flushed, whatever users have made of the writer. */
export let isEmptyWriter: (writer: Writer) => boolean

/** @internal Makes a writer that takes memory from there, and sends by `flush`. */
export let newWriter: (memory: WriterMemory, flush?: Flush) => Writer

/** Sends what was written; resolves when more may be written. */
export type Flush = (written: Written) => Promise<void>

/**
 * Bytes to send, collected until {@link flush}. {@link malloc} hands out a part of the memory that is sent from.
 * Received bytes are sent from where they lie, and {@link writeDirect} sends the user's own memory.
 *
 * On a framed connection everything between two flushes is one message.
 *
 * The contract is that of the writer of CloudWeGo's Netpoll (`nocopy.go`).
 *
 * @example
 * ```ts
 * import { createServer, Dialer } from 'netpoll'
 *
 * const server = createServer({
 *   onData({ reader, writer }) {
 *     const header = writer.malloc(2)
 *     header.writeUInt16BE(reader.length)
 *     writer.writeBinary(reader.next(reader.length)) // sent from where it arrived
 *     void writer.flush()
 *   },
 * })
 * await server.listen({ host: '127.0.0.1', port: 8000 })
 *
 * const { reader, writer } = await new Dialer().dial({ host: '127.0.0.1', port: 8000 })
 * writer.writeString('hello')
 * await writer.flush()
 * await reader.fill(7)
 * console.log(reader.readUint(2), reader.readString(5)) // 5 hello
 * ```
 */
export class Writer {
  readonly #arena: WriterMemory
  readonly #flush: Flush | undefined
  #first: Piece | undefined
  #last: Piece | undefined
  #length = 0
  /** The memory that our pieces keep from being used again. */
  #held: Hold | undefined

  static {
    newWriter = (memory, flush) => new Writer(own, memory, flush)
    isEmptyWriter = (writer) => writer.#length === 0
  }

  private constructor(given: typeof own, arena: WriterMemory, flush?: Flush) {
    checkOwn(given, 'Writers come from connections, createWriter and writerTo')
    this.#arena = arena
    this.#flush = flush
  }

  /** Bytes written since the last {@link flush}. */
  get mallocLength(): number {
    return this.#length
  }

  /**
   * `length` bytes to fill before the next {@link flush}; their initial content is undefined. Do not touch them
   * afterwards.
   *
   * @throws TypeError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
   */
  malloc(length: number): Buffer {
    checkInteger('length', length, 0, 2 ** 31 - 1)
    const start = this.#reserve(length)
    return bufferView(this.#arena.memory, start, length)
  }

  /**
   * Keeps the first `length` bytes that were written since the last flush, and drops the rest.
   *
   * @throws TypeError `ERR_INVALID_ARG_VALUE` for more than {@link mallocLength}
   */
  mallocAck(length: number): void {
    checkInteger('length', length, 0, this.#length)
    this.#length = length
    let rest = length
    let piece = this.#first
    this.#last = undefined
    while (piece !== undefined && rest > 0) {
      piece.length = Math.min(piece.length, rest)
      rest -= piece.length
      this.#last = piece
      piece = piece.next
    }
    if (this.#last === undefined) this.#first = undefined
    else this.#last.next = undefined
  }

  /** Writes `text` as UTF-8; returns the number of bytes. */
  writeString(text: string): number {
    if (typeof text !== 'string') throw invalidType('text', 'of type string', text)
    const length = Buffer.byteLength(text)
    const start = this.#reserve(length)
    this.#arena.memory.write(text, start)
    return length
  }

  /**
   * Writes `bytes`, copied before this returns, unless they lie in memory of a received message. Such memory is sent from
   * where it lies, so do not change it afterwards. Returns the number of bytes.
   *
   * @throws NetpollError `ERR_FRAME_TOO_LARGE` for 4 GiB or more; TypeError `ERR_INVALID_ARG_TYPE`
   */
  writeBinary(bytes: Uint8Array): number {
    if (!isUint8Array(bytes)) throw invalidType('bytes', 'an instance of Uint8Array', bytes)
    const length = lengthOf(bytes)
    const handle = length > copyLimit ? chunkHandle(bytes) : undefined
    if (handle === undefined) {
      const start = this.#reserve(length)
      this.#arena.memory.set(bytes, start)
    } else {
      this.#add(bytes, handle, offsetOf(bytes), length)
    }
    return length
  }

  /** Writes one byte, 0 to 255. */
  writeByte(byte: number): void {
    checkInteger('byte', byte, 0, 255)
    const start = this.#reserve(1)
    this.#arena.memory[start] = byte
  }

  /** Writes `value` as a number of `size` bytes without sign. */
  writeUint(value: number, size: UintSize, endian: Endian = 'big'): void {
    checkInteger('size', size, 1, 6)
    checkInteger('value', value, 0, largestUint[size] as number)
    const start = this.#reserve(size)
    const memory = this.#arena.memory
    if (endian === 'big') memory.writeUIntBE(value, start, size)
    else memory.writeUIntLE(value, start, size)
  }

  /**
   * Sends `bytes` from where they are, without a copy. They are kept alive until they have left; do not change
   * them before they have been sent. Transferring their `ArrayBuffer` away, or shrinking it, fails the
   * connection with `ERR_BUFFER_DETACHED`. Worth it from some 10 KiB on. A `SharedArrayBuffer`, which other threads may
   * write to, is copied.
   *
   * @param remaining how many of the bytes written last come after `bytes` and not before
   */
  writeDirect(bytes: Uint8Array, remaining = 0): void {
    if (!isUint8Array(bytes)) throw invalidType('bytes', 'an instance of Uint8Array', bytes)
    checkInteger('remaining', remaining, 0, this.#length)
    const length = lengthOf(bytes)
    if (length > directLimit) {
      for (let at = 0; at < length; at += directLimit) {
        this.writeDirect(bytes.subarray(at, at + directLimit), remaining)
      }
      return
    }
    if (length === 0) return
    const handle = chunkHandle(bytes)
    const start = handle === undefined ? 0 : offsetOf(bytes)
    // What another thread may write to while it is sent is sent as it is now.
    const memory = types.isSharedArrayBuffer(bytes.buffer) ? copyBytes(bytes) : bytes
    const piece: Piece = { memory, handle: handle ?? foreign, start, length, next: undefined }
    const before = this.#pieceBefore(this.#length - remaining)
    this.#length += length
    if (before === undefined) {
      piece.next = this.#first
      this.#first = piece
    } else {
      piece.next = before.next
      before.next = piece
    }
    if (piece.next === undefined) this.#last = piece
  }

  /**
   * Takes over everything that `other` has written, in constant time; `other` is empty
   * afterwards.
   *
   * @throws TypeError `ERR_INVALID_ARG_TYPE` when it is no writer, `ERR_INVALID_ARG_VALUE` when it is this one
   */
  append(other: Writer): void {
    if (!(other instanceof Writer)) throw invalidType('other', 'an instance of Writer', other)
    if (other === this) throw invalidValue('other', 'must be another writer', 'the writer itself')
    if (other.#first === undefined) return
    if (this.#last === undefined) this.#first = other.#first
    else this.#last.next = other.#first
    this.#last = other.#last
    this.#length += other.#length
    if (this.#held === undefined) this.#held = other.#held
    else if (other.#held !== undefined) this.#held = this.#arena.joinHolds(this.#held, other.#held)
    other.#forget()
  }

  /**
   * Sends everything that was written since the last flush.
   *
   * @returns a promise that resolves when more may be written: at once, or later, as that of `connection.send`
   * @throws NetpollError (as a rejection) `ERR_CONN_CLOSED`; `ERR_FRAME_TOO_LARGE`; `ERR_UNSUPPORTED` for a writer
   * that belongs to no connection, which keeps its bytes
   */
  flush(): Promise<void> {
    const flush = this.#flush
    if (flush === undefined) {
      return refuseAt(unconnected(), Writer.prototype.flush)
    }
    const written = { first: this.#first, length: this.#length }
    const held = this.#held
    this.#forget()
    try {
      return flush(written)
    } finally {
      if (held !== undefined) this.#arena.endHold(held)
    }
  }

  #forget(): void {
    this.#first = undefined
    this.#last = undefined
    this.#length = 0
    this.#held = undefined
  }

  /** `length` bytes of the arena's memory, added to what is written; returns where they start. */
  #reserve(length: number): number {
    const arena = this.#arena
    const start = arena.take(length)
    this.#held = arena.hold(this.#held)
    if (length > 0) this.#add(arena.memory, arena.handle, start, length)
    return start
  }

  #add(memory: Uint8Array, handle: number, start: number, length: number): void {
    this.#length += length
    const last = this.#last
    if (last !== undefined && last.handle === handle && last.start + last.length === start) {
      last.length += length
      return
    }
    const piece: Piece = { memory, handle, start, length, next: undefined }
    if (last === undefined) this.#first = piece
    else last.next = piece
    this.#last = piece
  }

  /** The piece that ends after `length` bytes, made by cutting one in two where none does. */
  #pieceBefore(length: number): Piece | undefined {
    if (length === 0) return undefined
    if (length === this.#length) return this.#last
    let rest = length
    let piece = this.#first as Piece
    while (rest > piece.length) {
      rest -= piece.length
      piece = piece.next as Piece
    }
    if (rest < piece.length) {
      const { memory, handle, start, next } = piece
      const second: Piece = { memory, handle, start: start + rest, length: piece.length - rest, next }
      if (next === undefined) this.#last = second
      piece.length = rest
      piece.next = second
    }
    return piece
  }
}

function unconnected(): NetpollError {
  return withoutStack(() => new NetpollError('ERR_UNSUPPORTED', 'This writer belongs to no connection'))
}
