import { isUint8Array } from '../checks/bytes'
import { invalidType, invalidValue } from '../errors'
import { optionNames, takeOptions } from '../checks/known-options'
import { checkInteger } from '../checks/arguments'
import { checkOwn, own } from '../checks/own-constructor'
import type { LengthFieldOptions, MaxLengthOptions } from './options'
import { Delimiter, type FramingRules, LengthField, Varint } from './rules'

/** Largest `maxLength`: offsets into a message are 31-bit numbers. */
export const maxLengthLimit = 2 ** 31 - 1 - 64

const lengthFieldNames = optionNames<LengthFieldOptions>({
  size: true,
  offset: true,
  adjustment: true,
  strip: true,
  endian: true,
  maxLength: true,
})

const maxLengthNames = optionNames<MaxLengthOptions>({ maxLength: true })

/** @internal What a framing stands for; `undefined` if it is none. */
export let rulesOf: (framing: unknown) => FramingRules | undefined

let newFraming: (rules: FramingRules) => Framing

/**
 * How a byte stream is cut into messages, and what surrounds a message on the wire. Made by
 * {@link lengthField}, {@link delimiter} or {@link varint}. It cannot be changed, and any number of servers and dialers may
 * share it.
 *
 * @example
 * ```ts
 * import { createServer, Dialer, lengthField } from 'netpoll'
 *
 * const framing = lengthField({ size: 4, maxLength: 64 * 1024 })
 * const server = createServer({ framing }, (request) => request)
 * const dialer = new Dialer({ framing })
 * ```
 */
export class Framing {
  readonly #rules: FramingRules

  static {
    rulesOf = (framing) =>
      typeof framing === 'object' && framing !== null && #rules in framing ? framing.#rules : undefined
    newFraming = (rules) => new Framing(own, rules)
  }

  private constructor(given: typeof own, rules: FramingRules) {
    checkOwn(given, 'Framings are made by lengthField, delimiter and varint')
    this.#rules = rules
    Object.freeze(this)
  }
}

// User code holds framings.
Object.freeze(Framing.prototype)

/**
 * Messages behind a length in a header of fixed size.
 *
 * @throws TypeError with `ERR_INVALID_ARG_VALUE` when the numbers describe no frame
 *
 * @example
 * ```ts
 * import { lengthField } from 'netpoll'
 *
 * // Four bytes of length, then the message.
 * lengthField({ size: 4 })
 * // A length that counts its own two bytes, in little-endian order.
 * lengthField({ size: 2, adjustment: -2, endian: 'little' })
 * // MySQL: a length of three bytes, then a sequence number that it does not count, and that is the message's first byte.
 * lengthField({ size: 3, adjustment: 1, endian: 'little' })
 * ```
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
  return newFraming(new LengthField(taken))
}

/**
 * Messages that end with `bytes`, such as a line end. The delimiter is no part of the message, and a
 * reply must not contain it.
 *
 * @throws TypeError with `ERR_INVALID_ARG_VALUE` when `bytes` is empty
 *
 * @example
 * ```ts
 * import { createServer, Dialer, delimiter } from 'netpoll'
 *
 * const framing = delimiter('\n', { maxLength: 8 * 1024 })
 * const server = createServer({ framing }, (line) => String(line).toUpperCase())
 * await server.listen({ host: '127.0.0.1', port: 8000 })
 *
 * const connection = await new Dialer({ framing }).dial({ host: '127.0.0.1', port: 8000 })
 * console.log(String(await connection.call('a line'))) // A LINE
 * ```
 */
export function delimiter(bytes: Uint8Array | string, options: MaxLengthOptions = {}): Framing {
  if (typeof bytes !== 'string' && !isUint8Array(bytes)) {
    throw invalidType('bytes', 'a string or an instance of Uint8Array', bytes)
  }
  const raw = typeof bytes === 'string' ? Buffer.from(bytes) : bytes
  if (raw.length === 0) throw invalidValue('bytes', 'must not be empty', "''")
  return newFraming(new Delimiter(raw, takeMaxLength(options)))
}

/**
 * Messages behind a protobuf base-128 varint that counts their bytes.
 *
 * @example
 * ```ts
 * import { createServer, varint } from 'netpoll'
 *
 * const server = createServer({ framing: varint({ maxLength: 1024 ** 2 }) }, (message) => message)
 * ```
 */
export function varint(options: MaxLengthOptions = {}): Framing {
  return newFraming(new Varint(takeMaxLength(options)))
}

function takeMaxLength(options: MaxLengthOptions): MaxLengthOptions {
  const taken = takeOptions('options', options, maxLengthNames)
  checkMaxLength(taken.maxLength)
  return taken
}

function checkMaxLength(value: number | undefined): void {
  if (value !== undefined) checkInteger('options.maxLength', value, 0, maxLengthLimit)
}
