import { joinBytes, textBytes } from '../memory/allocation'
import { NetpollError } from '../errors'
import type { NativeFraming } from '../native/binding'
import type { Payload } from '../memory/payload'
import type { LengthFieldOptions, MaxLengthOptions } from './options'

/** Largest message that is accepted unless `maxLength` says otherwise: 16 MiB. */
export const defaultMaxLength = 16 * 1024 * 1024

/** How messages are cut, and what is written around them: what a `Framing` stands for, which is all that users have. */
export abstract class FramingRules {
  /** What the core cuts by. */
  abstract readonly native: NativeFraming

  /** Bytes that go before a message of `length` bytes. */
  abstract headerLength(length: number): number

  /** Writes those bytes. */
  abstract writeHeader(target: Uint8Array, at: number, length: number): void

  /** Whether those bytes stand at `at` already: so an echo is sent from where it arrived. */
  abstract hasHeader(source: Uint8Array, at: number, length: number): boolean

  /** Whether nothing is cut. */
  readonly isStream: boolean = false

  /** Bytes that go after every message. */
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

export class LengthField extends FramingRules {
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
        // The operators below take any number for one of 32 bits.
        rest >= 0 &&
        rest <= this.#maxValue &&
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

export class Varint extends FramingRules {
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

export class Delimiter extends FramingRules {
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

/** No framing: bytes as they arrive. */
class Stream extends FramingRules {
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

/** The rules of connections without a framing. */
export const streamRules: FramingRules = new Stream()

/** The rules as another thread describes them. */
export function rulesFrom(native: NativeFraming): FramingRules {
  const { kind, maxLength, delimiter, littleEndian, size, ...rest } = native
  switch (kind) {
    case 'lengthField':
      return new LengthField({
        ...rest,
        maxLength,
        size: size as LengthFieldOptions['size'],
        endian: littleEndian ? 'little' : 'big',
      })
    case 'delimiter':
      return new Delimiter(Uint8Array.from(delimiter), { maxLength })
    case 'varint':
      return new Varint({ maxLength })
    default:
      return streamRules
  }
}

/** Header, `payload` and trailer in one piece. */
export function frame(rules: FramingRules, payload: Payload): Buffer {
  const list = Array.isArray(payload) ? payload : [payload as Uint8Array | string]
  const body = joinBytes(list.map((piece) => (typeof piece === 'string' ? textBytes(piece) : piece)))
  const header = Buffer.alloc(rules.headerLength(body.length))
  rules.writeHeader(header, 0, body.length)
  return joinBytes([header, body, rules.trailer])
}
