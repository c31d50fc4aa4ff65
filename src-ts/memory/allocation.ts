import { types } from 'node:util'

import { outOfMemory } from '../errors'

/**
 * `length` bytes, a number that a peer or user has decided; what is in them is undefined.
 *
 * @throws NetpollError `ENOMEM` where there is no memory for them
 */
export function allocate(length: number): Buffer {
  try {
    return Buffer.allocUnsafeSlow(length)
  } catch (error) {
    throw asShortage(error)
  }
}

/** A copy of `bytes`. Throws as {@link allocate}. */
export function copyBytes(bytes: Uint8Array): Buffer {
  try {
    return Buffer.copyBytesFrom(bytes)
  } catch (error) {
    throw asShortage(error)
  }
}

/** `pieces` in one. Throws as {@link allocate}. */
export function joinBytes(pieces: readonly Uint8Array[]): Buffer {
  try {
    return Buffer.concat(pieces)
  } catch (error) {
    throw asShortage(error)
  }
}

/** `text` as UTF-8. Throws as {@link allocate}. */
export function textBytes(text: string): Buffer {
  try {
    return Buffer.from(text)
  } catch (error) {
    throw asShortage(error)
  }
}

/** What an allocation has thrown, as it is reported: V8 tells of a lack of memory by a `RangeError` without a code. */
export function asShortage(error: unknown): unknown {
  if (!types.isNativeError(error)) return error
  const { name, code } = error as { readonly name: unknown; readonly code?: unknown }
  const isShortage = code === 'ERR_MEMORY_ALLOCATION_FAILED' || (name === 'RangeError' && code === undefined)
  return isShortage ? outOfMemory('Memory could not be allocated', error) : error
}
