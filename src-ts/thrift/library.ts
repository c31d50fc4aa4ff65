/**
 * The only importer of the package `thrift`, an optional peer. The code that its compiler generates needs it, and errors
 * are reported by its exceptions.
 */
import { Int64 as LibraryInt64, Thrift } from 'thrift'

/** An i64, as generated code has it. */
export interface Int64 {
  readonly buffer: Buffer
  readonly offset: number
}

/** An exception that travels, as generated clients know it. */
export interface TApplicationException extends Error {
  type: number
  read(input: object): void
}

interface Exceptions {
  readonly TApplicationException: new (type?: number, message?: string) => TApplicationException
  readonly TProtocolException: new (type: number, message: string) => Error & { readonly type: number }
}

/** Takes eight bytes, big-endian, or hexadecimal digits. */
export const Int64 = LibraryInt64 as new (value: Buffer | string) => Int64

/** What a call of a peer fails with, and what bytes that are no Thrift are refused with. */
export const { TApplicationException, TProtocolException } = Thrift as Exceptions
