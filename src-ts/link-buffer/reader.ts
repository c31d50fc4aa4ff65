import { allocate } from '../memory/allocation'
import { bufferView, chunkHandle } from '../memory/chunk'
import { NetpollError } from '../errors'
import { optionNames, takeOptions } from '../checks/known-options'
import { stepBudget } from '../time/step-budget'
import { delimiterBytes, find } from './search'
import { checkAttached, noChunk, type Segment } from './segments'
import type { SmallPieces } from './small-pieces'
import { checkInteger } from '../checks/arguments'
import { checkOwn, own } from '../checks/own-constructor'

const maxLengthNames = optionNames<{ readonly maxLength?: number }>({ maxLength: true })

/** Byte order of a number. */
export type Endian = 'big' | 'little'

/** How many bytes a number may have. */
export type UintSize = 1 | 2 | 3 | 4 | 5 | 6

/** The listener of a connection's reader. */
export interface ReaderOwner {
  /** Bytes were consumed. Asked for only while `notifyConsumed` is set. */
  consumed(): void
  /** A caller waits until so many bytes have arrived. */
  awaited(length: number): void
}

/** What only the owner of a reader does with it: users have the reader, and may replace what they see of it. */
interface Feed {
  /** Appends `length` bytes of `chunk`. */
  push(reader: Reader, chunk: Buffer, start: number, length: number): void
  /** Whether the last bytes that are there lie right before `start` in `chunk`. */
  endsAt(reader: Reader, chunk: Buffer, start: number): boolean
  /** Nothing more will come. What is there may still be read. */
  end(reader: Reader, error: unknown): void
  /** Rejects the waiting caller with `error`. */
  interrupt(reader: Reader, error: unknown): void
  /** Whether the owner wants to know that bytes were consumed. */
  notifyConsumed(reader: Reader, wanted: boolean): void
  /** How many bytes are there. */
  length(reader: Reader): number
  /** Bytes taken since the start. */
  consumed(reader: Reader): number
  /** How many bytes a caller waits for; 0 if none waits. */
  awaited(reader: Reader): number
  /** What lies in one piece at the front, consumed. */
  nextPiece(reader: Reader): Buffer
  /** Copies what is left in `chunk`, if it is at most `maxLength` bytes in one piece: a view would keep all of the chunk. */
  leave(reader: Reader, chunk: Buffer, maxLength: number, pieces: SmallPieces): void
  /** Whether what is there lies in one piece, of memory that is no chunk. */
  isCopied(reader: Reader): boolean
  /** Drops the unread bytes: no code will read them. */
  drop(reader: Reader): void
}

/** @internal */
export let feed: Feed

/** @internal Makes a reader for its owner. */
export let newReader: (owner?: ReaderOwner) => Reader

interface PendingRead {
  /** How many bytes have to be there; for a delimiter one more than there were. */
  needed: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/**
 * Bytes that have arrived, as the chunks that they arrived in. Views share that memory and stay valid as
 * long as they are held, also after the connection has closed. They never change; do not write to them.
 *
 * All methods but {@link fill} and {@link fillUntil} are synchronous, and work on the bytes that have arrived. If these
 * are too few, they throw `ERR_NOT_ENOUGH_DATA` and consume nothing. They throw `ERR_BUFFER_DETACHED` when the user has
 * transferred away memory that unread bytes lie in. A view that reaches over the end of a chunk is made by copying both
 * sides into one piece, once; every other view copies nothing.
 *
 * The contract is that of the reader of CloudWeGo's Netpoll (`nocopy.go`).
 *
 * @example
 * ```ts
 * import { readerFrom } from 'netpoll'
 *
 * const reader = readerFrom([Buffer.from([0, 0, 0, 2]), Buffer.from('okay')])
 * await reader.fill(4)
 * const size = reader.readUint(4)
 * await reader.fill(size)
 * console.log(reader.readString(size), reader.length) // ok 2
 * ```
 */
export class Reader {
  /** The first segment, taken apart: nearly always the only one. */
  #chunk: Buffer = noChunk
  #at = 0
  #end = 0
  /** The segments after it. */
  #next: Segment | undefined
  #last: Segment | undefined
  #length = 0
  #consumed = 0
  /** The first chunk, if bytes were joined there: what is behind {@link #end} in it is room for more. */
  #joined: Buffer = noChunk
  #owner: ReaderOwner | undefined
  #waiter: PendingRead | undefined
  /** What {@link consumed} was when a wait was over at once, and how many more were since. */
  #consumedBefore = 0
  #vain = 0
  /** Why nothing more comes. */
  #ended: unknown
  /** Whether the owner wants to know that bytes were consumed. */
  #notifyConsumed = false

  static {
    newReader = (owner) => new Reader(own, owner)
    feed = {
      push: (reader, chunk, start, length) => reader.#push(chunk, start, length),
      endsAt: (reader, chunk, start) => reader.#endsAt(chunk, start),
      end: (reader, error) => reader.#finish(error),
      interrupt: (reader, error) => reader.#interrupt(error),
      notifyConsumed: (reader, wanted) => {
        reader.#notifyConsumed = wanted
      },
      length: (reader) => reader.#length,
      consumed: (reader) => reader.#consumed,
      awaited: (reader) => reader.#waiter?.needed ?? 0,
      nextPiece: (reader) => reader.#nextPiece(),
      leave: (reader, chunk, maxLength, pieces) => reader.#leave(chunk, maxLength, pieces),
      isCopied: (reader) => reader.#isCopied,
      drop: (reader) => reader.#consume(reader.#length),
    }
  }

  private constructor(given: typeof own, owner?: ReaderOwner) {
    checkOwn(given, 'Readers come from connections, slice and readerFrom')
    this.#owner = owner
  }

  /** The number of unread bytes. */
  get length(): number {
    return this.#length
  }

  /**
   * The next `length` bytes, consumed.
   *
   * @throws NetpollError `ERR_NOT_ENOUGH_DATA`; TypeError `ERR_INVALID_ARG_VALUE` for what is no whole
   * number from 0 on
   */
  next(length: number): Buffer {
    const at = this.#at
    const isThere = length > 0 && length <= this.#end - at && this.#end <= this.#chunk.length
    if (isThere && Number.isInteger(length)) {
      const view = bufferView(this.#chunk, at, length)
      this.#consume(length)
      return view
    }
    const view = this.peek(length)
    this.#consume(length)
    return view
  }

  /** The next `length` bytes, which stay. Throws as {@link next}. */
  peek(length: number): Buffer {
    this.#require(length)
    if (length > this.#end - this.#at) this.#join(length)
    return bufferView(this.#chunk, this.#at, length)
  }

  /** Drops the next `length` bytes. Throws as {@link next}. */
  skip(length: number): void {
    this.#require(length)
    this.#consume(length)
  }

  /**
   * Everything up to and including the first `delimiter`, consumed. `delimiter` is a byte, or several.
   *
   * @throws NetpollError `ERR_NOT_ENOUGH_DATA` if none has arrived yet
   */
  until(delimiter: number | string | Uint8Array): Buffer {
    const bytes = delimiterBytes(delimiter)
    const at = this.#find(bytes, 0)
    if (at < 0) throw new NetpollError('ERR_NOT_ENOUGH_DATA', 'The delimiter has not arrived')
    return this.next(at + bytes.length)
  }

  /** The place of the first `delimiter` at or after `from`, counted from the next byte; −1 if there is none. */
  indexOf(delimiter: number | string | Uint8Array, from = 0): number {
    checkInteger('from', from, 0, Number.MAX_SAFE_INTEGER)
    return this.#find(delimiterBytes(delimiter), from)
  }

  /** The next `length` bytes as text, consumed. Throws as {@link next}. */
  readString(length: number, encoding: BufferEncoding = 'utf8'): string {
    this.#require(length)
    if (length > this.#end - this.#at) this.#join(length)
    const text = this.#chunk.toString(encoding, this.#at, this.#at + length)
    this.#consume(length)
    return text
  }

  /**
   * A copy of the next `length` bytes, consumed. Unlike a view it keeps no chunk alive: the way to keep a few
   * bytes for long. Throws as {@link next}.
   */
  readBinary(length: number): Buffer {
    this.#require(length)
    const copy = allocate(length)
    this.#copy(copy, length)
    this.#consume(length)
    return copy
  }

  /** The next byte, consumed. Throws as {@link next}. */
  readByte(): number {
    this.#require(1)
    const byte = this.#chunk[this.#at] as number
    this.#consume(1)
    return byte
  }

  /** The next `size` bytes as a number without sign, consumed. Throws as {@link next}. */
  readUint(size: UintSize, endian: Endian = 'big'): number {
    const value = this.peekUint(size, 0, endian)
    this.#consume(size)
    return value
  }

  /**
   * `size` bytes, `offset` bytes from the next, as a number without sign; consumes nothing. Makes no view: the
   * cheapest way to look at a header.
   *
   * @throws NetpollError `ERR_NOT_ENOUGH_DATA`; TypeError `ERR_INVALID_ARG_VALUE`
   */
  peekUint(size: UintSize, offset = 0, endian: Endian = 'big'): number {
    const isSize = size >>> 0 === size && size >= 1 && size <= 6
    const isThere = offset + size <= this.#length && this.#end <= this.#chunk.length
    if (!isSize || offset >>> 0 !== offset || !isThere) {
      checkInteger('size', size, 1, 6)
      checkInteger('offset', offset, 0, Number.MAX_SAFE_INTEGER)
      this.#require(offset + size)
    }
    if (offset + size > this.#end - this.#at) return this.#gatherUint(size, offset, endian)
    const chunk = this.#chunk
    const at = this.#at + offset
    if (size === 4) return endian === 'big' ? chunk.readUInt32BE(at) : chunk.readUInt32LE(at)
    return endian === 'big' ? chunk.readUIntBE(at, size) : chunk.readUIntLE(at, size)
  }

  /** The next `length` bytes as a reader of their own, which shares their memory; consumed. Throws as {@link next}. */
  slice(length: number): Reader {
    this.#require(length)
    const slice = new Reader(own)
    while (slice.#length < length) {
      const piece = Math.min(length - slice.#length, this.#end - this.#at)
      slice.#push(this.#chunk, this.#at, piece)
      this.#consume(piece)
    }
    return slice
  }

  /**
   * Says that consumed bytes are not needed any more, which Netpoll's readers require. Here it changes nothing: chunks
   * whose bytes were consumed are released at once, unless a view refers to them. Unread bytes stay.
   */
  release(): void {
    // Nothing is held that could be given back.
  }

  /**
   * Waits until at least `length` bytes have arrived; resolves at once if they have. A number over `highWaterMark` raises
   * that mark as long as the wait lasts.
   *
   * @throws NetpollError (as a rejection) `ERR_EOF` when the peer ends before, `ERR_READ_TIMEOUT` after `readTimeout`.
   * `ERR_CONN_CLOSED` or the system's code when the connection closes before.
   * `ERR_CONCURRENT_ACCESS` while another caller waits.
   * @throws TypeError (as a rejection) `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
   */
  fill(length: number): Promise<void> {
    if (length >>> 0 === length && length <= this.#length) return this.#inVain() ?? filled
    try {
      checkInteger('length', length, 0, 2 ** 31 - 1)
    } catch (error) {
      return stepBudget.refuse(error)
    }
    return this.#wait(length)
  }

  /**
   * Waits until `delimiter` has arrived.
   *
   * @param options.maxLength bytes within which it must be found. Default 1 MiB
   * @returns the number of bytes up to and including the delimiter, for {@link next}
   * @throws NetpollError (as a rejection) `ERR_FRAME_TOO_LARGE` when it does not come within `maxLength` bytes; as
   * {@link fill}
   */
  async fillUntil(
    delimiter: number | string | Uint8Array,
    options: { readonly maxLength?: number | undefined } = {},
  ): Promise<number> {
    const bytes = delimiterBytes(delimiter)
    const { maxLength = 1024 * 1024 } = takeOptions('options', options, maxLengthNames)
    checkInteger('options.maxLength', maxLength, 1, 2 ** 31 - 1)
    for (let searched = 0; ; ) {
      const at = this.#find(bytes, searched)
      const end = at + bytes.length
      if (at >= 0 && end <= maxLength) {
        await this.#inVain()
        return end
      }
      if (at >= 0 || this.#length >= maxLength) {
        return stepBudget.refuse(
          new NetpollError('ERR_FRAME_TOO_LARGE', `No delimiter within ${maxLength} bytes`),
        )
      }
      searched = Math.max(0, this.#length - bytes.length + 1)
      await this.#wait(this.#length + 1)
    }
  }

  /**
   * The bytes, piece by piece as they arrived, until nothing more comes.
   *
   * @throws as {@link fill}, but ends with `ERR_EOF`
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      if (this.#length > 0) {
        yield this.#nextPiece()
        continue
      }
      try {
        await this.fill(1)
      } catch (error) {
        if (error instanceof NetpollError && error.code === 'ERR_EOF') return
        throw error
      }
    }
  }

  /** Appends `length` bytes of `chunk`. */
  #push(chunk: Buffer, start: number, length: number): void {
    if (this.#length === 0) {
      this.#chunk = chunk
      this.#at = start
      this.#end = start + length
    } else {
      this.#append(chunk, start, start + length)
    }
    this.#length += length
    const waiter = this.#waiter
    if (waiter !== undefined && waiter.needed <= this.#length) {
      this.#waiter = undefined
      waiter.resolve()
    }
  }

  /** Whether the last bytes that are there lie right before `start` in `chunk`. */
  #endsAt(chunk: Buffer, start: number): boolean {
    const { chunk: last, end } = this.#last ?? { chunk: this.#chunk, end: this.#end }
    return last === chunk && end === start
  }

  /**
   * Copies the bytes that lie in one piece at the front, if that is in `chunk` and they are at most `maxLength`. So unread
   * bytes keep no chunk for good.
   */
  #leave(chunk: Buffer, maxLength: number, pieces: SmallPieces): void {
    const length = this.#end - this.#at
    if (this.#chunk !== chunk || length > maxLength || this.#end > chunk.length) return
    const at = pieces.add(chunk, this.#at, length)
    this.#chunk = pieces.memory
    this.#at = at
    this.#end = at + length
  }

  /** Whether what is there lies in one piece, of memory that is no chunk. */
  get #isCopied(): boolean {
    return this.#next === undefined && chunkHandle(this.#chunk) === undefined
  }

  /** Nothing more will come. What is there may still be read. */
  #finish(error: unknown): void {
    this.#ended ??= error
    this.#interrupt(error)
  }

  /** Rejects the waiting caller with `error`. */
  #interrupt(error: unknown): void {
    const waiter = this.#waiter
    this.#waiter = undefined
    waiter?.reject(error)
  }

  /** What lies in one piece at the front, consumed. */
  #nextPiece(): Buffer {
    const length = this.#end - this.#at
    checkAttached(this.#chunk, this.#end)
    const view = bufferView(this.#chunk, this.#at, length)
    this.#consume(length)
    return view
  }

  #wait(needed: number): Promise<void> {
    if (this.#waiter !== undefined) {
      return stepBudget.refuse(
        new NetpollError('ERR_CONCURRENT_ACCESS', 'Another caller waits for this reader'),
      )
    }
    const ended = this.#ended ?? (this.#owner === undefined ? endOfSlice() : undefined)
    if (ended !== undefined) return stepBudget.refuse(ended)
    return new Promise((resolve, reject) => {
      this.#waiter = { needed, resolve, reject }
      this.#owner?.awaited(needed)
    })
  }

  /**
   * For a wait that is over at once: what to wait for, if many before it were as well and nothing was consumed between
   * them. A caller that consumes comes to the end of the bytes that have arrived.
   */
  #inVain(): Promise<void> | undefined {
    if (this.#consumed !== this.#consumedBefore) {
      this.#consumedBefore = this.#consumed
      this.#vain = 0
      return undefined
    }
    this.#vain += 1
    return this.#vain > maxInVain ? stepBudget.pass() : undefined
  }

  #append(chunk: Buffer, start: number, end: number): void {
    const last = this.#last
    if (last === undefined) {
      if (this.#chunk === chunk && this.#end === start) {
        this.#end = end
        return
      }
      this.#next = this.#last = { chunk, start, end, next: undefined }
    } else if (last.chunk === chunk && last.end === start) {
      last.end = end
    } else {
      this.#last = last.next = { chunk, start, end, next: undefined }
    }
  }

  #consume(length: number): void {
    this.#length -= length
    this.#consumed += length
    let rest = length
    while (rest >= this.#end - this.#at) {
      rest -= this.#end - this.#at
      if (!this.#shift()) break
    }
    this.#at += rest
    if (this.#notifyConsumed && length > 0) this.#owner?.consumed()
  }

  /** Makes the next segment the first one; false, and no chunk held, where there is none. */
  #shift(): boolean {
    const next = this.#next
    this.#joined = noChunk
    if (next === undefined) {
      this.#chunk = noChunk
      this.#at = 0
      this.#end = 0
      return false
    }
    this.#chunk = next.chunk
    this.#at = next.start
    this.#end = next.end
    this.#advance(next)
    return true
  }

  /**
   * Makes the next `length` bytes lie in one piece. A joined piece is continued where it ends. When it is full, it moves to
   * twice the room: looking ahead a byte more each time must not copy everything each time.
   */
  #join(length: number): void {
    const isJoined = this.#chunk === this.#joined
    if (!isJoined || this.#at + length > this.#joined.length) {
      const joined = allocate(isJoined ? 2 * length : length)
      const first = this.#chunk.copy(joined, 0, this.#at, this.#end)
      this.#chunk = this.#joined = joined
      this.#at = 0
      this.#end = first
    }
    while (this.#end - this.#at < length && this.#next !== undefined) {
      const next = this.#next
      const piece = Math.min(length - (this.#end - this.#at), next.end - next.start)
      next.chunk.copy(this.#chunk, this.#end, next.start, next.start + piece)
      this.#end += piece
      next.start += piece
      if (next.start < next.end) break
      this.#advance(next)
    }
  }

  /** Takes the next segment out. Linked to what follows, it would have V8 take all of that for as long-lived as itself. */
  #advance(next: Segment): void {
    this.#next = next.next
    if (next.next === undefined) this.#last = undefined
    next.next = undefined
  }

  /** A number that lies across chunks, put together without joining them. */
  #gatherUint(size: number, offset: number, endian: Endian): number {
    this.#checkAttached(offset + size)
    const bytes = Buffer.allocUnsafe(size)
    let skipped = offset
    let filled = 0
    for (let segment: Segment | undefined = this.#segments(); segment !== undefined; segment = segment.next) {
      const from = segment.start + Math.min(skipped, segment.end - segment.start)
      filled += segment.chunk.copy(bytes, filled, from, segment.end)
      if (filled === size) break
      skipped -= from - segment.start
    }
    return endian === 'big' ? bytes.readUIntBE(0, size) : bytes.readUIntLE(0, size)
  }

  #copy(target: Buffer, length: number): void {
    let done = Math.min(length, this.#end - this.#at)
    this.#chunk.copy(target, 0, this.#at, this.#at + done)
    for (let next = this.#next; done < length && next !== undefined; next = next.next) {
      const piece = Math.min(length - done, next.end - next.start)
      next.chunk.copy(target, done, next.start, next.start + piece)
      done += piece
    }
  }

  #find(delimiter: Uint8Array, from: number): number {
    return find(this.#segments(), delimiter, from)
  }

  #segments(): Segment {
    return { chunk: this.#chunk, start: this.#at, end: this.#end, next: this.#next }
  }

  #require(length: number): void {
    if (length >= 0 && length <= this.#length && Number.isInteger(length)) {
      this.#checkAttached(length)
      return
    }
    checkInteger('length', length, 0, Number.MAX_SAFE_INTEGER)
    throw new NetpollError('ERR_NOT_ENOUGH_DATA', `${length} bytes were asked for, ${this.#length} are there`)
  }

  /** @throws NetpollError `ERR_BUFFER_DETACHED` when one of the next `length` bytes was taken away */
  #checkAttached(length: number): void {
    checkAttached(this.#chunk, this.#end)
    let rest = length - (this.#end - this.#at)
    for (let next = this.#next; rest > 0 && next !== undefined; next = next.next) {
      checkAttached(next.chunk, next.end)
      rest -= next.end - next.start
    }
  }
}

const filled = Promise.resolve()

/** Waits in a row that may be over at once and consume nothing, as for a header and then for a body: no step each. */
const maxInVain = 8

function endOfSlice(): NetpollError {
  return new NetpollError('ERR_EOF', 'Nothing more comes to a slice')
}
