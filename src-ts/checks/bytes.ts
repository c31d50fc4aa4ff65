import { types } from 'node:util'

/**
 * Whether a user's value is a `Uint8Array`, of any realm or subclass. Runs no user code, as `instanceof` would with a
 * proxy.
 */
export const { isUint8Array } = types

const members = Object.getOwnPropertyDescriptors(Object.getPrototypeOf(Uint8Array.prototype) as Uint8Array)

type Getter<Value> = (this: Uint8Array) => Value

const bufferGetter = members.buffer.get as Getter<ArrayBufferLike>
const lengthGetter = members.length.get as Getter<number>
const offsetGetter = members.byteOffset.get as Getter<number>

/** The memory of a user's array, whatever it says of itself. */
export function bufferOf(bytes: Uint8Array): ArrayBufferLike {
  return bufferGetter.call(bytes)
}

/** How many bytes a user's array has, whatever it says of itself. */
export function lengthOf(bytes: Uint8Array): number {
  return lengthGetter.call(bytes)
}

/** Where in its memory a user's array begins, whatever it says of itself. */
export function offsetOf(bytes: Uint8Array): number {
  return offsetGetter.call(bytes)
}

/** Whether bytes may be changed by other threads, or their memory may shrink while it stays. */
export function mayChangeByItself(bytes: Uint8Array): boolean {
  const buffer = bufferOf(bytes) as ArrayBufferLike & { readonly resizable?: boolean }
  return types.isSharedArrayBuffer(buffer) || buffer.resizable === true
}
