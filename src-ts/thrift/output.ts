import { allocate, bufferView } from '../extension'
import { isUint8Array } from '../checks/bytes'
import { invalidType } from '../errors'
import type { I64 } from './int64'
import { TProtocolException } from './library'
import { depthLimit, ProtocolError } from './wire'

/** Whom an output belongs to, as generated code sees it: it is flushed when the message is complete. */
export interface OutputOwner {
  output: ThriftOutput | undefined
  flush(): void
}

/** A protocol, as messages are written in it. */
export interface OutputProtocol {
  readonly name: 'binary' | 'compact'
  /** The number by which THeader and TTHeader call it. */
  readonly id: 0 | 2
  /** What generated code writes a message with. */
  readonly Output: new (
    owner?: OutputOwner,
  ) => ThriftOutput
  /** Bytes of the head of a message. */
  headLength(name: string, id: number): number
  /** Writes it at `at`, where so many bytes are free. */
  writeHead(target: Buffer, at: number, name: string, type: number, id: number): void
}

/** Bytes of memory that is taken at once. */
const slabSize = 64 * 1024

const noMemory: Buffer = Buffer.alloc(0)

/** The rest of the memory that was written to last, unless an output is writing to it. */
let spare: { readonly memory: Buffer; readonly at: number } = { memory: noMemory, at: 0 }

/**
 * What generated code writes a message with. The head of the message is kept apart, because its id is the transport's:
 * {@link take} gives the struct after it.
 *
 * Names and behaviour of the methods are those of protocols in Thrift's library for Node.js.
 */
export abstract class ThriftOutput {
  name = ''
  type = 0
  seqid = 0
  protected memory: Buffer = noMemory
  protected at = 0
  readonly #owner: OutputOwner | undefined
  #start = 0
  #depth = 0

  constructor(owner?: OutputOwner) {
    this.#owner = owner
    if (owner !== undefined) owner.output = this
  }

  /** What was written since {@link writeMessageBegin}: bytes that stay as they are. */
  take(): Buffer {
    const { memory, at } = this
    this.memory = noMemory
    this.at = 0
    spare = { memory, at }
    return bufferView(memory, this.#start, at - this.#start)
  }

  /** Begins anew: what was written before is dropped, if it was not taken. */
  writeMessageBegin(name: string, type: number, seqid: number): void {
    this.name = name
    this.type = type
    this.seqid = seqid
    this.#depth = 0
    if (this.memory === noMemory) {
      // Written without a pause, so that no other output needs it meanwhile; one that does all the same gets other memory.
      const { memory, at } = spare
      spare = { memory: noMemory, at: 0 }
      this.memory = memory
      this.#start = at
    }
    this.at = this.#start
  }

  flush(): void {
    this.#owner?.flush()
  }

  incrementRecursionDepth(): void {
    this.#depth += 1
    if (this.#depth > depthLimit) throw tooDeep()
  }

  decrementRecursionDepth(): void {
    this.#depth -= 1
  }

  writeMessageEnd(): void {}
  writeStructBegin(_name: string): void {}
  writeStructEnd(): void {}
  writeFieldEnd(): void {}
  writeMapEnd(): void {}
  writeListEnd(): void {}
  writeSetEnd(): void {}

  abstract writeFieldBegin(name: string, type: number, id: number): void
  abstract writeMapBegin(keyType: number, valueType: number, size: number): void
  abstract writeListBegin(type: number, size: number): void
  abstract writeBool(value: boolean): void
  abstract writeI16(value: number): void
  abstract writeI32(value: number): void
  abstract writeI64(value: I64): void
  abstract writeDouble(value: number): void
  /** A string that is known to be one, with its length. */
  protected abstract writeText(text: string, encoding: BufferEncoding): void
  protected abstract writeLength(length: number): void

  writeSetBegin(type: number, size: number): void {
    this.writeListBegin(type, size)
  }

  writeFieldStop(): void {
    this.writeByte(0)
  }

  writeByte(value: number): void {
    const at = this.reserve(1)
    this.memory[at] = value
  }

  writeString(value: string | Uint8Array): void {
    if (typeof value === 'string') this.writeText(value, 'utf8')
    else this.#writeBytes(value)
  }

  writeBinary(value: string | Uint8Array): void {
    if (typeof value === 'string') this.writeText(value, 'latin1')
    else this.#writeBytes(value)
  }

  /** @param value as it is commonly written, with or without dashes */
  writeUuid(value: string): void {
    const bytes = Buffer.from(value.replaceAll('-', ''), 'hex')
    if (bytes.length !== 16) throw new TProtocolException(ProtocolError.InvalidData, `${value} is no UUID`)
    const at = this.reserve(16)
    this.memory.set(bytes, at)
  }

  /** Room for `length` bytes of {@link memory}; returns where. */
  protected reserve(length: number): number {
    const at = this.at
    if (at + length > this.memory.length) return this.#grow(length)
    this.at = at + length
    return at
  }

  #grow(length: number): number {
    const written = this.at - this.#start
    const memory = allocate(Math.max(slabSize, 2 * written + length))
    this.memory.copy(memory, 0, this.#start, this.at)
    this.memory = memory
    this.#start = 0
    this.at = written + length
    return written
  }

  #writeBytes(bytes: Uint8Array): void {
    if (!isUint8Array(bytes)) throw invalidType('value', 'a string or an instance of Uint8Array', bytes)
    this.writeLength(bytes.length)
    const at = this.reserve(bytes.length)
    this.memory.set(bytes, at)
  }
}

/** Says that structs lie too deep in each other. */
export function tooDeep(): Error {
  return new TProtocolException(
    ProtocolError.DepthLimit,
    `Structs lie more than ${depthLimit} deep in each other`,
  )
}
