import { invalidType, invalidValue, NetpollError, withoutStack } from '../errors'
import { maxLengthLimit } from '../extension'
import type { OptionNames } from '../checks/known-options'
import { TProtocolException } from './library'
import { ProtocolError } from './wire'
import { checkInteger } from '../checks/arguments'

/** The maximum cost of one message, for servers and clients alike: replies are as untrusted as requests. */
export interface ThriftLimits {
  /** Most bytes of a received frame. Default 4,194,304 of servers, 16,384,000 of clients. */
  readonly maxLength?: number | undefined
  /**
   * Most elements of all lists, sets and maps of a message together; `Infinity` for any number. Fields that generated code
   * does not know, and their elements, count as well. An entry of a map counts once. Default 65,536.
   */
  readonly maxElements?: number | undefined
  /** Most bytes of a message once inflated; 0 refuses compressed messages. Default: `maxLength`. */
  readonly maxInflatedLength?: number | undefined
  /**
   * Most bytes of a message once inflated, as a multiple of its compressed bytes, at least 1. It counts above 1 MiB;
   * `Infinity` allows any ratio. Default 100.
   */
  readonly maxInflationRatio?: number | undefined
}

/** Of servers and clients alike. */
export const limitNames: OptionNames<ThriftLimits> = {
  maxLength: true,
  maxElements: true,
  maxInflatedLength: true,
  maxInflationRatio: true,
}

/** Limits after checking: nothing is optional any more. */
export type CheckedLimits = { readonly [Name in keyof ThriftLimits]-?: NonNullable<ThriftLimits[Name]> }

/** Most bytes of a frame that a server takes. A request is seldom large, and a frame of zeros becomes ten times as much. */
export const serverMaxLength = 4 * 1024 * 1024

/** Most bytes of a frame that a client takes: what other implementations of Thrift accept. */
export const clientMaxLength = 16_384_000

/** Where nothing else is said. */
export const defaultMaxElements = 65_536

const defaultMaxInflationRatio = 100

/** Up to here it does not matter how well a message was compressed. */
const anyRatio = 1024 * 1024

/** Entries of a header's metadata: each costs ten times its bytes. */
const maxEntries = 1_000

/** @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE` */
export function checkLimits(limits: ThriftLimits, defaultMaxLength: number): CheckedLimits {
  const {
    maxLength = defaultMaxLength,
    maxElements = defaultMaxElements,
    maxInflatedLength = maxLength,
    maxInflationRatio = defaultMaxInflationRatio,
  } = limits
  checkInteger('options.maxLength', maxLength, 0, maxLengthLimit)
  if (maxElements !== Number.POSITIVE_INFINITY) {
    checkInteger('options.maxElements', maxElements, 0, Number.MAX_SAFE_INTEGER)
  }
  checkInteger('options.maxInflatedLength', maxInflatedLength, 0, maxLengthLimit)
  if (typeof maxInflationRatio !== 'number') {
    throw invalidType('options.maxInflationRatio', 'of type number', maxInflationRatio)
  }
  // Not a number is none of them.
  if (!(maxInflationRatio >= 1)) {
    throw invalidValue('options.maxInflationRatio', 'must be at least 1', maxInflationRatio)
  }
  return { maxLength, maxElements, maxInflatedLength, maxInflationRatio }
}

/** Most bytes that `length` compressed ones may become, and the error that says that they become more. */
export function inflationLimit(
  { maxInflatedLength, maxInflationRatio }: CheckedLimits,
  length: number,
): { readonly maxInflatedLength: number; readonly tooLarge: () => Error } {
  const byRatio = Math.max(anyRatio, Math.floor(length * maxInflationRatio))
  const most = Math.min(maxInflatedLength, byRatio)
  const limit =
    most === maxInflatedLength
      ? `maxInflatedLength, ${maxInflatedLength} bytes`
      : `maxInflationRatio, ${maxInflationRatio} times its ${length} bytes`
  const problem = `A compressed message becomes more than ${limit}`
  const tooLarge = (): Error => withoutStack(() => new NetpollError('ERR_INFLATED_TOO_LARGE', problem))
  return { maxInflatedLength: most, tooLarge }
}

/** Says that a message has more elements than it may. */
export function tooManyElements(maxElements: number): Error {
  return new TProtocolException(
    ProtocolError.SizeLimit,
    `A message has more than maxElements, ${maxElements} elements of lists, sets and maps`,
  )
}

/** The metadata of a header, read entry by entry. */
export class ReceivedMetadata {
  /** A name may be any text. */
  readonly entries = Object.create(null) as Record<string, string>
  #count = 0

  add(name: string, value: string): void {
    this.#count += 1
    if (this.#count > maxEntries) {
      throw new TProtocolException(ProtocolError.SizeLimit, `A header has more than ${maxEntries} entries`)
    }
    this.entries[name] = value
  }
}
