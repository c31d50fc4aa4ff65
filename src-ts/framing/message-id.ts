import { joinBytes, textBytes } from '../memory/allocation'
import { bufferOf, isUint8Array, lengthOf, offsetOf } from '../checks/bytes'
import { invalidType, invalidValue, NetpollError } from '../errors'
import { refusePromise } from '../process/report'
import { optionNames, takeOptions } from '../checks/known-options'
import type { BytesOption, MessageTypes } from '../memory/message-types'
import type { NativeIdField } from '../native/binding'
import { notPayload, type Payload } from '../memory/payload'
import { checkInteger } from '../checks/arguments'

/** Where a message carries its id: an unsigned number. The core reads it while it cuts the message. */
export interface IdField {
  /** Bytes of the message, as the handler sees it, before the id. */
  readonly offset: number
  /** Bytes of the id. */
  readonly size: 1 | 2 | 4 | 8
  /** Byte order of the id. Default `'big'`. */
  readonly endian?: 'big' | 'little' | undefined
}

/** The members that the option `id` may have. */
export const idNames = optionNames<IdField>({ offset: true, size: true, endian: true })

/** The id of a call: a number up to 2⁵³ − 1, a `bigint` beyond, or any value that the user's function returns. */
export type MessageId = number | bigint | string

/** Finds the id of a message, a request or a reply; `undefined` if it has none. */
export type IdFunction<Bytes extends BytesOption = 'buffer'> = (
  message: MessageTypes[Bytes],
) => MessageId | undefined

/** How the ids of messages are found. */
export abstract class Ids {
  /** What the core reads; `undefined` where it reads nothing. */
  abstract readonly native: NativeIdField | undefined

  /** The number of possible ids; `Infinity` if only the user knows it. */
  abstract readonly count: number

  /** The id of a request that is to be sent. */
  abstract ofRequest(request: Payload): MessageId | undefined

  /** The id of a received message; `fromCore` is what the core has read. */
  abstract ofMessage(message: Buffer, fromCore: MessageId | undefined): MessageId | undefined
}

class FieldIds extends Ids {
  readonly native: NativeIdField
  readonly count: number
  readonly #offset: number
  readonly #size: number
  readonly #end: number

  constructor({ offset, size, endian = 'big' }: IdField) {
    super()
    this.native = { offset, size, littleEndian: endian === 'little' }
    this.count = 2 ** (8 * size)
    this.#offset = offset
    this.#size = size
    this.#end = offset + size
  }

  ofRequest(request: Payload): MessageId | undefined {
    const bytes = isUint8Array(request) ? request : front(request, this.#end)
    if (lengthOf(bytes) < this.#end) return undefined
    if (this.#size < 8) return this.#number(bytes, this.#offset, this.#size)
    const first = this.#number(bytes, this.#offset, 4)
    const second = this.#number(bytes, this.#offset + 4, 4)
    return this.native.littleEndian ? idOf(first, second) : idOf(second, first)
  }

  ofMessage(_message: Buffer, fromCore: MessageId | undefined): MessageId | undefined {
    return fromCore
  }

  #number(bytes: Uint8Array, at: number, size: number): number {
    let value = 0
    for (let index = 0; index < size; index += 1) {
      const place = this.native.littleEndian ? at + size - 1 - index : at + index
      value = value * 256 + (bytes[place] as number)
    }
    return value
  }
}

class ComputedIds extends Ids {
  readonly native = undefined
  readonly count = Number.POSITIVE_INFINITY
  readonly #compute: IdFunction

  constructor(compute: IdFunction) {
    super()
    this.#compute = compute
  }

  ofRequest(request: Payload): MessageId | undefined {
    return this.ofMessage(isOwnBuffer(request) ? request : whole(request))
  }

  ofMessage(message: Buffer): MessageId | undefined {
    const id: unknown = this.#compute(message)
    if (id === undefined || typeof id === 'number' || typeof id === 'string') return id
    refusePromise('options.id', id)
    if (typeof id !== 'bigint') throw invalidValue('options.id', 'must return a number, bigint or string', id)
    return id >= 0n && id <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(id) : id
  }
}

/** The id of two words. */
export function idOf(low: number, high: number): MessageId {
  const lowest = low >>> 0
  const highest = high >>> 0
  if (highest < 2 ** 21) return highest * 2 ** 32 + lowest
  return (BigInt(highest) << 32n) | BigInt(lowest)
}

/**
 * Checks the option.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`
 */
export function checkIds(id: unknown): Ids | undefined {
  if (id === undefined) return undefined
  if (typeof id === 'function') return new ComputedIds(id as IdFunction)
  if (typeof id !== 'object' || id === null) throw invalidType('options.id', 'an IdField or a function', id)
  const {
    offset,
    size,
    endian = 'big',
  } = takeOptions<IdField>('options.id', id as IdField, idNames) as Partial<IdField>
  checkInteger('options.id.offset', offset, 0, 2 ** 31 - 1)
  if (size !== 1 && size !== 2 && size !== 4 && size !== 8) {
    throw invalidValue('options.id.size', 'must be 1, 2, 4 or 8', size)
  }
  if (endian !== 'big' && endian !== 'little') {
    throw invalidValue('options.id.endian', "must be 'big' or 'little'", endian)
  }
  return new FieldIds({ offset: offset as number, size, endian })
}

/** The first `length` bytes of a payload, or somewhat more; fewer where it has fewer. */
function front(payload: Exclude<Payload, Uint8Array>, length: number): Uint8Array {
  // A character takes a byte at least, and one more character keeps the last of them from being torn.
  if (typeof payload === 'string') return Buffer.from(payload.slice(0, length + 1))
  if (!Array.isArray(payload)) throw notPayload(payload)
  const pieces: Uint8Array[] = []
  let rest = length
  for (const piece of payload) {
    const bytes = typeof piece === 'string' ? Buffer.from(piece.slice(0, rest + 1)) : piece
    if (!isUint8Array(bytes)) throw notPayload(bytes)
    const view = bufferFrom(bytes)
    pieces.push(view.subarray(0, rest))
    rest -= view.length
    if (rest <= 0) break
  }
  return joinBytes(pieces)
}

/** Whether a payload is a `Buffer` that a user has given no members of its own: it is what it says it is. */
function isOwnBuffer(payload: Payload): payload is Buffer {
  return isUint8Array(payload) && getPrototypeOf(payload) === bufferPrototype && !hasOwn(payload, 'length')
}

const bufferPrototype: unknown = Buffer.prototype
const { getPrototypeOf, hasOwn } = Object

/** All bytes of a payload. */
function whole(payload: Payload): Buffer {
  if (typeof payload === 'string') return textBytes(payload)
  if (isUint8Array(payload)) return bufferFrom(payload)
  if (!Array.isArray(payload)) throw notPayload(payload)
  return joinBytes(payload.map(whole))
}

/** The same bytes, even if a user's array reports others. */
function bufferFrom(bytes: Uint8Array): Buffer {
  return Buffer.from(bufferOf(bytes), offsetOf(bytes), lengthOf(bytes))
}

/** Says that a call's request has no id. */
export function withoutId(): NetpollError {
  return new NetpollError('ERR_NO_ID', 'The request has no id by which its reply could be found')
}
