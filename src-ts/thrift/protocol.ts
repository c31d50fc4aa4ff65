import type { InputProtocol, ThriftInput } from './input'

/** How values become bytes, and bytes values: binary or compact. */
export interface Protocol extends InputProtocol {
  /** Whether a message of this protocol may begin at `at`. */
  recognizes(bytes: Buffer, at: number, end?: number): boolean
  /** Reads the head of the message from `at` to `end`, which is by default that of `bytes`. Throws a `TProtocolException`. */
  open(bytes: Buffer, at: number, end?: number): ThriftInput
  /** The id of a message; undefined where it is too short to have one. */
  idOf(bytes: Buffer): number | undefined
}
