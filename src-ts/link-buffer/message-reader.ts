import { checkInteger } from '../checks/arguments'
import { checkOwn, own } from '../checks/own-constructor'
import { NetpollError } from '../errors'
import { allocate } from '../memory/allocation'
import { bufferView, type Chunk } from '../memory/chunk'
import { cursorExpired } from './expired'
import { type Endian, feed, newReader, type Reader, type UintSize } from './reader'
import { delimiterBytes, find } from './search'
import { checkAttached, noChunk } from './segments'

/** What only the code that calls a handler does with its reader: users have the reader, and may replace what they see of it. */
interface MessageReading {
  /** From now on it reads `length` bytes from `start` on in `chunk`. */
  open(reader: MessageReader, chunk: Chunk, start: number, length: number): void
  /** A view of the whole message, whatever was read of it. */
  whole(reader: MessageReader): Buffer
  /** Goes on by `length` bytes; returns where they begin. Throws as its methods. */
  advance(reader: MessageReader, length: number): number
  /** Copies `length` bytes from `from` on, which were advanced over, to `at` in `target`. */
  copy(reader: MessageReader, target: Buffer, at: number, from: number, length: number): void
  /** It expires. Returns whether a view was made, which keeps the memory. */
  close(reader: MessageReader): boolean
}

/** @internal */
export let messageReading: MessageReading

/** @internal Makes a reader that has expired already. */
export let newMessageReader: () => MessageReader

/** As its end: of a reader that has no message. Then no length fits, so that what is there need not be asked for. */
const expired = -1

/**
 * The message that a handler got, see {@link CursorHandler}. It is read from front to back where it lies. There is one
 * for all messages: numbers, texts and copies are read without a view. What {@link next}, {@link peek}, {@link until} and
 * {@link slice} return are views. They keep their memory, and stay valid as long as they are held.
 *
 * The methods are those of {@link Reader}. They throw `ERR_NOT_ENOUGH_DATA` and consume nothing where the message has fewer
 * bytes, and `ERR_CURSOR_EXPIRED` once the handler has returned. Within a later handler a reader that was kept reads that
 * handler's message. `NETPOLL_TEST_CURSORS=1` makes one for each message, so that a test sees it.
 *
 * @example
 * ```ts
 * import { createServer, Dialer, lengthField } from 'netpoll'
 *
 * const framing = lengthField({ size: 4 })
 * const server = createServer({
 *   framing,
 *   onMessage(reader, writer) {
 *     const times = reader.readUint(1)
 *     writer.writeString(reader.readString(reader.length).repeat(times))
 *   },
 * })
 * await server.listen({ host: '127.0.0.1', port: 8000 })
 *
 * const connection = await new Dialer({ framing }).dial({ host: '127.0.0.1', port: 8000 })
 * console.log((await connection.call(['\u0002', 'ab'])).toString()) // abab
 * ```
 */
export class MessageReader {
  #bytes: Buffer = noChunk
  #start = 0
  #at = 0
  #end = expired
  #hasViews = false

  static {
    newMessageReader = () => new MessageReader(own)
    messageReading = {
      open: (reader, chunk, start, length) => {
        reader.#bytes = chunk.bytes
        reader.#start = start
        reader.#at = start
        reader.#end = start + length
        reader.#hasViews = false
      },
      whole: (reader) => reader.#view(reader.#start, reader.#end - reader.#start),
      advance: (reader, length) => reader.#advance(length),
      copy: (reader, target, at, from, length) => {
        reader.#bytes.copy(target, at, from, from + length)
      },
      close: (reader) => {
        reader.#end = expired
        // Kept, it would keep a chunk of an idle thread.
        reader.#bytes = noChunk
        return reader.#hasViews
      },
    }
  }

  private constructor(given: typeof own) {
    checkOwn(given, 'Readers of messages come from onMessage')
  }

  /** The number of unread bytes. */
  get length(): number {
    return this.end - this.#at
  }

  /**
   * Memory that the message lies in, among others: unread is what lies from {@link start} to {@link end}. For codecs that
   * decode by themselves, without a view of each message. {@link skip} says how far they have come.
   *
   * The bytes are overwritten once the handler has returned. So neither keep them, nor a view of them, nor write to them.
   */
  get bytes(): Buffer {
    this.#require(0)
    return this.#bytes
  }

  /** Where in {@link bytes} the next byte lies. */
  get start(): number {
    this.#require(0)
    return this.#at
  }

  /** Where in {@link bytes} the message ends. */
  get end(): number {
    this.#require(0)
    return this.#end
  }

  /** A view of the next `length` bytes, consumed. */
  next(length: number): Buffer {
    return this.#view(this.#advance(length), length)
  }

  /** A view of the next `length` bytes, which stay. */
  peek(length: number): Buffer {
    this.#require(length)
    return this.#view(this.#at, length)
  }

  /** Drops the next `length` bytes. */
  skip(length: number): void {
    this.#advance(length)
  }

  /** A view of everything up to and including the first `delimiter`, consumed. `delimiter` is a byte, or several. */
  until(delimiter: number | string | Uint8Array): Buffer {
    const bytes = delimiterBytes(delimiter)
    const at = this.#find(bytes, 0)
    if (at < 0) throw new NetpollError('ERR_NOT_ENOUGH_DATA', 'The message has no such delimiter')
    return this.next(at + bytes.length)
  }

  /** The place of the first `delimiter` at or after `from`, counted from the next byte; −1 if there is none. */
  indexOf(delimiter: number | string | Uint8Array, from = 0): number {
    checkInteger('from', from, 0, Number.MAX_SAFE_INTEGER)
    return this.#find(delimiterBytes(delimiter), from)
  }

  /** The next `length` bytes as text, consumed. */
  readString(length: number, encoding: BufferEncoding = 'utf8'): string {
    const at = this.#advance(length)
    return this.#bytes.toString(encoding, at, at + length)
  }

  /** A copy of the next `length` bytes, consumed. */
  readBinary(length: number): Buffer {
    this.#require(length)
    const copy = allocate(length)
    const at = this.#advance(length)
    this.#bytes.copy(copy, 0, at, at + length)
    return copy
  }

  /** The next byte, consumed. */
  readByte(): number {
    const at = this.#advance(1)
    return this.#bytes[at] as number
  }

  /** The next `size` bytes as a number without sign, consumed. */
  readUint(size: UintSize, endian: Endian = 'big'): number {
    checkSize(size)
    return this.#uint(this.#advance(size), size, endian)
  }

  /** `size` bytes, `offset` bytes from the next, as a number without sign; consumes nothing. */
  peekUint(size: UintSize, offset = 0, endian: Endian = 'big'): number {
    checkSize(size)
    if (offset >>> 0 !== offset) checkInteger('offset', offset, 0, Number.MAX_SAFE_INTEGER)
    this.#require(offset + size)
    return this.#uint(this.#at + offset, size, endian)
  }

  /** The next `length` bytes as a reader of their own, which shares their memory and does not expire; consumed. */
  slice(length: number): Reader {
    const at = this.#advance(length)
    const slice = newReader()
    if (length > 0) {
      this.#hasViews = true
      feed.push(slice, this.#bytes, at, length)
    }
    return slice
  }

  /** Goes on by `length` bytes; returns where they begin. The hot path: nothing is called for bytes that are there. */
  #advance(length: number): number {
    const at = this.#at
    const next = at + length
    const isThere = length >>> 0 === length && next <= this.#end && next <= this.#bytes.length
    if (!isThere) this.#require(length)
    this.#at = next
    return at
  }

  #view(at: number, length: number): Buffer {
    this.#hasViews = true
    return bufferView(this.#bytes, at, length)
  }

  #uint(at: number, size: UintSize, endian: Endian): number {
    const bytes = this.#bytes
    if (size === 4) return endian === 'big' ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at)
    return endian === 'big' ? bytes.readUIntBE(at, size) : bytes.readUIntLE(at, size)
  }

  #find(delimiter: Uint8Array, from: number): number {
    this.#require(0)
    const whole = { chunk: this.#bytes, start: this.#at, end: this.#end, next: undefined }
    return find(whole, delimiter, from)
  }

  /** @throws NetpollError, TypeError: where so many bytes cannot be read */
  #require(length: number): void {
    if (this.#end === expired) throw cursorExpired('reader')
    const left = this.#end - this.#at
    if (length >>> 0 === length && length <= left) {
      checkAttached(this.#bytes, this.#end)
      return
    }
    checkInteger('length', length, 0, Number.MAX_SAFE_INTEGER)
    throw new NetpollError('ERR_NOT_ENOUGH_DATA', `${length} bytes were asked for, ${left} are there`)
  }
}

function checkSize(size: number): void {
  if (size >>> 0 !== size || size < 1 || size > 6) checkInteger('size', size, 1, 6)
}
