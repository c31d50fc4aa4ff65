import { Int64 } from './library'

/** What generated code writes as an i64: a number, an `Int64`, a bigint, or hexadecimal digits. */
export type I64 =
  | number
  | bigint
  | string
  | { readonly buffer: Uint8Array; readonly offset?: number | undefined }

/** Writes an i64, big-endian. */
export function putI64(target: Buffer, at: number, value: I64): void {
  if (typeof value === 'number') {
    const whole = Math.trunc(value)
    putI32(target, at, Math.floor(whole / 2 ** 32))
    putI32(target, at + 4, whole)
  } else if (typeof value === 'bigint') {
    target.writeBigInt64BE(BigInt.asIntN(64, value), at)
  } else {
    const { buffer, offset = 0 } = typeof value === 'string' ? new Int64(value) : value
    target.set(buffer.subarray(offset, offset + 8), at)
  }
}

/** Reads an i64, big-endian, into memory of its own. */
export function getI64(source: Buffer, at: number): Int64 {
  const bytes = Buffer.allocUnsafe(8)
  source.copy(bytes, 0, at, at + 8)
  return new Int64(bytes)
}

/** Writes an i32, big-endian: the low 32 bits of any number. */
export function putI32(target: Buffer, at: number, value: number): void {
  target[at] = value >>> 24
  target[at + 1] = value >>> 16
  target[at + 2] = value >>> 8
  target[at + 3] = value
}
