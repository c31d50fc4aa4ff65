import type { ThriftInput } from './input'
import type { OutputOwner, ThriftOutput } from './output'

/** How values become bytes: binary or compact. */
export interface Protocol {
  readonly name: 'binary' | 'compact'
  /** The number by which THeader and TTHeader call it. */
  readonly id: 0 | 2
  /** What generated code writes a message with. */
  readonly Output: new (
    owner?: OutputOwner,
  ) => ThriftOutput
  /** Whether a message of this protocol may begin at `at`. */
  recognizes(bytes: Buffer, at: number): boolean
  /** Reads the head of the message that begins at `at`. Throws a `TProtocolException`. */
  open(bytes: Buffer, at: number): ThriftInput
  /** Reads a struct that stands alone. */
  openBody(bytes: Buffer): ThriftInput
  /** The id of a message; undefined where it is too short to have one. */
  idOf(bytes: Buffer): number | undefined
  /** Bytes of the head of a message. */
  headLength(name: string, id: number): number
  /** Writes it at `at`, where so many bytes are free. */
  writeHead(target: Buffer, at: number, name: string, type: number, id: number): void
}
