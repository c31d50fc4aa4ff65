import { joinBytes, textBytes } from '../memory/allocation'
import { isUint8Array } from '../checks/bytes'
import { invalidType, invalidValue, NetpollError } from '../errors'
import { optionNames, takeOptions } from '../checks/known-options'
import type { NativeFraming } from '../native/binding'
import type { Payload } from '../memory/payload'
import { checkInteger } from '../checks/arguments'

/** Largest message that is accepted unless `maxLength` says otherwise: 16 MiB. */
export const defaultMaxLength = 16 * 1024 * 1024

/** Largest `maxLength`: offsets into a message are 31-bit numbers. */
export const maxLengthLimit = 2 ** 31 - 1 - 64

/** Options of {@link lengthField}, in the vocabulary of Netty's `LengthFieldBasedFrameDecoder`. */
export interface LengthFieldOptions {
  /** Bytes of the length field. */
  readonly size: 1 | 2 | 3 | 4 | 8
  /** Bytes before the field. Default 0. */
  readonly offset?: number | undefined
  /**
   * Added to the field's value to get the number of bytes that follow the field. Default 0; a length
   * that counts its own four bytes has an adjustment of −4.
   */
  readonly adjustment?: number | undefined
  /**
   * Bytes at the front of a frame that are no part of the message. Default: up to the field's end.
   * The stripped bytes are put before replies again: the length, and zeros around it. With 0 the handler
   * gets whole frames and replies with whole frames.
   */
  readonly strip?: number | undefined
  /** Byte order of the field. Default `'big'`. */
  readonly endian?: 'big' | 'little' | undefined
  /** Most bytes that may follow the field. Default 16 MiB. */
  readonly maxLength?: number | undefined
}

/** Options of {@link delimiter} and {@link varint}. */
export interface MaxLengthOptions {
  /** Most bytes of a message, without delimiter or length. Default 16 MiB. */
  readonly maxLength?: number | undefined
}

const lengthFieldNames = optionNames<LengthFieldOptions>({
  size: true,
  offset: true,
  adjustment: true,
  strip: true,
  endian: true,
  maxLength: true,
})

const maxLengthNames = optionNames<MaxLengthOptions>({ maxLength: true })

/**
 * How a byte stream is cut into messages, and what surrounds a message on the wire. Made by
 * {@link lengthField}, {@link delimiter} or {@link varint}.
 */
export abstract class Framing {
  /** @internal What the core cuts by. */
  abstract readonly native: NativeFraming

  /** @internal Bytes that go before a message of `length` bytes. */
  abstract headerLength(length: number): number

  /** @internal Writes those bytes. */
  abstract writeHeader(target: Uint8Array, at: number, length: number): void

  /** @internal Whether those bytes stand at `at` already: so an echo is sent from where it arrived. */
  abstract hasHeader(source: Uint8Array, at: number, length: number): boolean

  /** @internal Whether nothing is cut. */
  readonly isStream: boolean = false

  /** @internal Bytes that go after every message. */
  readonly trailer: Uint8Array = emptyTrailer
}

const emptyTrailer = new Uint8Array(0)

const nothing = {
  offset: 0,
  size: 0,
  adjustment: 0,
  strip: 0,
  littleEndian: false,
  delimiter: [],
} as const satisfies Partial<NativeFraming>

class LengthField extends Framing {
  readonly native: NativeFraming
  readonly #strip: number
  readonly #offset: number
  readonly #size: number
  readonly #littleEndian: boolean
  /** The field's value is the message's length plus this. */
  readonly #difference: number
  readonly #maxValue: number

  constructor(options: LengthFieldOptions) {
    super()
    const { size, offset = 0, adjustment = 0, endian = 'big' } = options
    const strip = options.strip ?? offset + size
    this.#strip = strip
    this.#offset = offset
    this.#size = size
    this.#littleEndian = endian === 'little'
    this.#difference = strip - offset - size - adjustment
    this.#maxValue = size === 8 ? Number.MAX_SAFE_INTEGER : 2 ** (8 * size) - 1
    this.native = {
      ...nothing,
      kind: 'lengthField',
      maxLength: options.maxLength ?? defaultMaxLength,
      offset,
      size,
      adjustment,
      strip,
      littleEndian: this.#littleEndian,
    }
  }

  headerLength(): number {
    return this.#strip
  }

  writeHeader(target: Uint8Array, at: number, length: number): void {
    const strip = this.#strip
    if (strip <= this.#offset) {
      // The length is part of the message; only what stands before it was stripped.
      target.fill(0, at, at + strip)
      return
    }
    const value = length + this.#difference
    if (value < 0 || value > this.#maxValue) throw unrepresentable(length)
    if (strip === 4 && this.#size === 4 && !this.#littleEndian) {
      // The header that nearly every protocol has.
      target[at] = value >>> 24
      target[at + 1] = value >>> 16
      target[at + 2] = value >>> 8
      target[at + 3] = value
      return
    }
    target.fill(0, at, at + this.#offset)
    for (let index = 0, rest = value; index < this.#size; index += 1) {
      target[at + this.#offset + this.#place(index)] = rest % 256
      rest = Math.floor(rest / 256)
    }
  }

  hasHeader(source: Uint8Array, at: number, length: number): boolean {
    const strip = this.#strip
    let rest = length + this.#difference
    if (strip === 4 && this.#size === 4 && !this.#littleEndian) {
      return (
        source[at + 3] === (rest & 0xff) &&
        source[at + 2] === ((rest >>> 8) & 0xff) &&
        source[at + 1] === ((rest >>> 16) & 0xff) &&
        source[at] === rest >>> 24
      )
    }
    for (let index = 0; index < Math.min(strip, this.#offset); index += 1) {
      if (source[at + index] !== 0) return false
    }
    if (strip <= this.#offset) return true
    for (let index = 0; index < this.#size; index += 1) {
      if (source[at + this.#offset + this.#place(index)] !== rest % 256) return false
      rest = Math.floor(rest / 256)
    }
    return rest === 0
  }

  /** Where the field's `index`th least significant byte stands. */
  #place(index: number): number {
    return this.#littleEndian ? index : this.#size - 1 - index
  }
}

class Varint extends Framing {
  readonly native: NativeFraming

  constructor(options: MaxLengthOptions) {
    super()
    this.native = { ...nothing, kind: 'varint', maxLength: options.maxLength ?? defaultMaxLength }
  }

  headerLength(length: number): number {
    let bytes = 1
    for (let rest = Math.floor(length / 128); rest > 0; rest = Math.floor(rest / 128)) bytes += 1
    return bytes
  }

  writeHeader(target: Uint8Array, at: number, length: number): void {
    let rest = length
    let place = at
    for (; rest >= 128; rest = Math.floor(rest / 128)) {
      target[place] = (rest % 128) | 128
      place += 1
    }
    target[place] = rest
  }

  hasHeader(source: Uint8Array, at: number, length: number): boolean {
    let rest = length
    let place = at
    for (; rest >= 128; rest = Math.floor(rest / 128)) {
      if (source[place] !== ((rest % 128) | 128)) return false
      place += 1
    }
    return source[place] === rest
  }
}

class Delimiter extends Framing {
  readonly native: NativeFraming
  override readonly trailer: Uint8Array

  constructor(bytes: Uint8Array, options: MaxLengthOptions) {
    super()
    this.trailer = Uint8Array.from(bytes)
    this.native = {
      ...nothing,
      kind: 'delimiter',
      maxLength: options.maxLength ?? defaultMaxLength,
      delimiter: [...bytes],
    }
  }

  headerLength(): number {
    return 0
  }

  writeHeader(): void {}

  hasHeader(): boolean {
    return true
  }
}

function unrepresentable(length: number): NetpollError {
  return new NetpollError('ERR_FRAME_TOO_LARGE', `No length field of this size can say ${length} bytes`)
}

/**
 * Messages behind a length in a header of fixed size.
 *
 * @throws TypeError with `ERR_INVALID_ARG_VALUE` when the numbers describe no frame
 */
export function lengthField(options: LengthFieldOptions): Framing {
  const taken = takeOptions('options', options, lengthFieldNames)
  const { size, offset = 0, adjustment = 0, endian = 'big', maxLength } = taken
  if (![1, 2, 3, 4, 8].includes(size)) throw invalidValue('options.size', 'must be 1, 2, 3, 4 or 8', size)
  checkInteger('options.offset', offset, 0, 65_536)
  checkInteger('options.adjustment', adjustment, -maxLengthLimit, maxLengthLimit)
  if (endian !== 'big' && endian !== 'little') {
    throw invalidValue('options.endian', "must be 'big' or 'little'", endian)
  }
  const { strip = offset + size } = taken
  checkInteger('options.strip', strip, 0, offset + size)
  if (strip > offset && strip < offset + size) {
    throw invalidValue('options.strip', 'must not end within the length field', strip)
  }
  checkMaxLength(maxLength)
  return Object.freeze(new LengthField(taken))
}

/** No framing: bytes as they arrive. */
class Stream extends Framing {
  readonly native: NativeFraming = { ...nothing, kind: 'stream', maxLength: 0 }
  override readonly isStream = true

  headerLength(): number {
    return 0
  }

  writeHeader(): void {}

  hasHeader(): boolean {
    return true
  }
}

/** A framing as another thread describes it. */
export function framingFrom(native: NativeFraming): Framing {
  const { kind, maxLength, delimiter: bytes, littleEndian, size, ...rest } = native
  switch (kind) {
    case 'lengthField':
      return lengthField({
        ...rest,
        maxLength,
        size: size as LengthFieldOptions['size'],
        endian: littleEndian ? 'little' : 'big',
      })
    case 'delimiter':
      return delimiter(Uint8Array.from(bytes), { maxLength })
    case 'varint':
      return varint({ maxLength })
    default:
      return streamFraming
  }
}

/** Header, `payload` and trailer in one piece. */
export function frame(framing: Framing, payload: Payload): Buffer {
  const list = Array.isArray(payload) ? payload : [payload as Uint8Array | string]
  const body = joinBytes(list.map((piece) => (typeof piece === 'string' ? textBytes(piece) : piece)))
  const header = Buffer.alloc(framing.headerLength(body.length))
  framing.writeHeader(header, 0, body.length)
  return joinBytes([header, body, framing.trailer])
}

/** The framing of connections without one. */
export const streamFraming: Framing = Object.freeze(new Stream())

// User code holds framings, and every message of every connection asks one.
for (const { prototype } of [Framing, LengthField, Varint, Delimiter, Stream]) Object.freeze(prototype)

/**
 * Messages that end with `bytes`, such as a line end. The delimiter is no part of the message, and a
 * reply must not contain it.
 *
 * @throws TypeError with `ERR_INVALID_ARG_VALUE` when `bytes` is empty
 */
export function delimiter(bytes: Uint8Array | string, options: MaxLengthOptions = {}): Framing {
  if (typeof bytes !== 'string' && !isUint8Array(bytes)) {
    throw invalidType('bytes', 'a string or an instance of Uint8Array', bytes)
  }
  const raw = typeof bytes === 'string' ? Buffer.from(bytes) : bytes
  if (raw.length === 0) throw invalidValue('bytes', 'must not be empty', "''")
  return Object.freeze(new Delimiter(raw, takeMaxLength(options)))
}

/** Messages behind a protobuf base-128 varint that counts their bytes. */
export function varint(options: MaxLengthOptions = {}): Framing {
  return Object.freeze(new Varint(takeMaxLength(options)))
}

function takeMaxLength(options: MaxLengthOptions): MaxLengthOptions {
  const taken = takeOptions('options', options, maxLengthNames)
  checkMaxLength(taken.maxLength)
  return taken
}

function checkMaxLength(value: number | undefined): void {
  if (value !== undefined) checkInteger('options.maxLength', value, 0, maxLengthLimit)
}
