import type { MessageReader } from '../index'
import type { Message } from '../rpc/index'
import { Cursor, negativeSize, truncated } from './cursor'
import { type Int64, TProtocolException } from './library'
import type { MessageTarget } from './message-target'
import { defaultMaxElements, tooManyElements } from './limits'
import { type OutputProtocol, tooDeep } from './output'
import { depthLimit, ProtocolError, Type } from './wire'

/** The head of a message. */
export interface MessageHead {
  readonly fname: string
  readonly mtype: number
  readonly rseqid: number
}

/** Of what is no message. */
export const noHead: MessageHead = { fname: '', mtype: 0, rseqid: 0 }

/** The protocol of a message, as its answer needs it. */
export interface InputProtocol extends OutputProtocol {
  /** Reads a struct that stands alone. */
  openBody(bytes: Buffer): ThriftInput
}

/** What writes the answer to a message. */
export interface AnswerCodec {
  encode(message: Message<Uint8Array>, writer: MessageTarget, request: Message<ThriftInput>): void
}

/** A field's head. There is one for each input, which is used again. */
export interface FieldHead {
  fname: string
  ftype: number
  fid: number
}

export interface MapHead {
  readonly ktype: number
  readonly vtype: number
  readonly size: number
}

export interface ListHead {
  readonly etype: number
  readonly size: number
}

/**
 * What generated code reads a message with, after its head. Names and behaviour of the methods are those of protocols
 * in Thrift's library for Node.js. What is not there, or makes no sense, throws a `TProtocolException`.
 */
export abstract class ThriftInput extends Cursor {
  abstract readonly protocol: InputProtocol
  /** The sequence number in the header around the message, where there is one. An answer has the same. */
  sequence: number | undefined
  /** In what it came, where that may be one or another. An answer goes out in the same. */
  codec: AnswerCodec | undefined
  /** Most elements that its containers may have together, with the fields that are unknown. */
  maxElements: number = defaultMaxElements
  protected readonly field: FieldHead = { fname: '', ftype: 0, fid: 0 }
  readonly #head: MessageHead
  #elements = 0
  /** As generated code counts it, where it does. */
  #depth = 0
  #structs = 0

  /** The handler's reader whose message this is, until that was read: see {@link borrow}. */
  #reader: MessageReader | undefined

  constructor(bytes: Buffer, at: number, end: number, head: MessageHead) {
    super(bytes, at, end)
    this.#head = head
  }

  /** It lies in memory of `reader`, which has consumed nothing of it, until it was read or {@link keep} is called. */
  borrow(reader: MessageReader): void {
    this.#reader = reader
  }

  /** The reader is about to expire: what was not read yet is kept by a view. */
  keep(): void {
    const reader = this.#reader
    if (reader === undefined) return
    this.#reader = undefined
    const { start, length } = reader
    this.bytes = reader.next(length)
    this.at -= start
    this.end -= start
  }

  readMessageBegin(): MessageHead {
    return this.#head
  }

  incrementRecursionDepth(): void {
    this.#depth += 1
    if (this.#depth > depthLimit) throw tooDeep()
  }

  decrementRecursionDepth(): void {
    this.#depth -= 1
  }

  readMessageEnd(): void {
    if (this.#reader === undefined) return
    this.#reader = undefined
    this.bytes = noBytes
    this.at = 0
    this.end = 0
  }

  readStructBegin(): { readonly fname: string } {
    this.#structs += 1
    if (this.#structs > depthLimit) throw tooDeep()
    return noName
  }
  readStructEnd(): void {
    this.#structs -= 1
  }
  readFieldEnd(): void {}
  readMapEnd(): void {}
  readListEnd(): void {}
  readSetEnd(): void {}

  abstract readFieldBegin(): FieldHead
  abstract readMapBegin(): MapHead
  abstract readListBegin(): ListHead
  abstract readBool(): boolean
  abstract readI16(): number
  abstract readI32(): number
  abstract readI64(): Int64
  abstract readDouble(): number
  protected abstract readLength(): number

  readSetBegin(): ListHead {
    return this.readListBegin()
  }

  readByte(): number {
    return (this.byte() << 24) >> 24
  }

  readString(): string {
    return this.text(this.readLength())
  }

  /** A view of the message, which keeps its memory as long as it is held; of a few bytes in a handler's reader, a copy. */
  readBinary(): Buffer {
    const length = this.readLength()
    if (this.#reader !== undefined) {
      if (length <= copied) return this.#copy(length)
      this.keep()
    }
    const at = this.advance(length)
    return this.bytes.subarray(at, at + length)
  }

  #copy(length: number): Buffer {
    const at = this.advance(length)
    const copy = Buffer.allocUnsafe(length)
    this.bytes.copy(copy, 0, at, at + length)
    return copy
  }

  readUuid(): string {
    const at = this.advance(16)
    const digits = this.bytes.toString('hex', at, at + 16)
    return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  }

  /** Reads over a field of `type`. */
  skip(type: number): void {
    this.#count(1)
    this.#skip(type, 0)
  }

  #skip(type: number, depth: number): void {
    if (depth >= depthLimit) throw tooDeep()
    switch (type) {
      case Type.Bool:
        this.readBool()
        break
      case Type.Byte:
        this.advance(1)
        break
      case Type.I16:
        this.readI16()
        break
      case Type.I32:
        this.readI32()
        break
      case Type.I64:
        this.readI64()
        break
      case Type.Double:
        this.advance(8)
        break
      case Type.String:
        this.advance(this.readLength())
        break
      case Type.Uuid:
        this.advance(16)
        break
      case Type.Struct:
        this.#skipStruct(depth)
        break
      case Type.Map:
        this.#skipMap(depth)
        break
      case Type.Set:
      case Type.List:
        this.#skipList(depth)
        break
      default:
        throw new TProtocolException(ProtocolError.InvalidData, `There is no type ${type}`)
    }
  }

  /** Checks a number of elements, each of which takes `minLength` bytes or more, and counts them before they are made. */
  protected checkSize(size: number, minLength: number): number {
    if (size < 0) throw negativeSize(size)
    if (size * minLength > this.remaining) throw truncated()
    this.#count(size)
    return size
  }

  #count(elements: number): void {
    this.#elements += elements
    if (this.#elements > this.maxElements) throw tooManyElements(this.maxElements)
  }

  #skipStruct(depth: number): void {
    this.readStructBegin()
    for (;;) {
      const { ftype } = this.readFieldBegin()
      if (ftype === Type.Stop) break
      this.#count(1)
      this.#skip(ftype, depth + 1)
      this.readFieldEnd()
    }
    this.readStructEnd()
  }

  #skipMap(depth: number): void {
    const { ktype, vtype, size } = this.readMapBegin()
    for (let index = 0; index < size; index += 1) {
      this.#skip(ktype, depth + 1)
      this.#skip(vtype, depth + 1)
    }
    this.readMapEnd()
  }

  #skipList(depth: number): void {
    const { etype, size } = this.readListBegin()
    for (let index = 0; index < size; index += 1) this.#skip(etype, depth + 1)
    this.readListEnd()
  }
}

const noName = { fname: '' }

const noBytes = Buffer.alloc(0)

/** Up to so many bytes, a copy costs less than a view, which keeps all of a chunk. */
const copied = 256
