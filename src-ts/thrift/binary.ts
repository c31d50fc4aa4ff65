import { negativeSize, truncated } from './cursor'
import { type FieldHead, type ListHead, type MapHead, noHead, ThriftInput } from './input'
import { getI64, type I64, putI32, putI64 } from './int64'
import { type Int64, TProtocolException } from './library'
import { ThriftOutput } from './output'
import type { Protocol } from './protocol'
import { ProtocolError, Type } from './wire'

/** The first half word of a message: version 1. */
const version = 0x8001

/** Up to so many characters, room for the most that a text may take costs less than to find out what it takes. */
const shortText = 4096

class BinaryOutput extends ThriftOutput {
  writeFieldBegin(_name: string, type: number, id: number): void {
    const at = this.reserve(3)
    const { memory } = this
    memory[at] = type
    memory[at + 1] = id >> 8
    memory[at + 2] = id
  }

  writeMapBegin(keyType: number, valueType: number, size: number): void {
    this.writeByte(keyType)
    this.writeByte(valueType)
    this.writeI32(size)
  }

  writeListBegin(type: number, size: number): void {
    this.writeByte(type)
    this.writeI32(size)
  }

  writeBool(value: boolean): void {
    this.writeByte(value ? 1 : 0)
  }

  writeI16(value: number): void {
    const at = this.reserve(2)
    this.memory[at] = value >> 8
    this.memory[at + 1] = value
  }

  writeI32(value: number): void {
    const at = this.reserve(4)
    putI32(this.memory, at, value)
  }

  writeI64(value: I64): void {
    const at = this.reserve(8)
    putI64(this.memory, at, value)
  }

  writeDouble(value: number): void {
    const at = this.reserve(8)
    this.memory.writeDoubleBE(value, at)
  }

  protected writeText(text: string, encoding: BufferEncoding): void {
    const maxLength = text.length > shortText ? Buffer.byteLength(text, encoding) : 3 * text.length
    const at = this.reserve(4 + maxLength)
    const length = this.memory.write(text, at + 4, maxLength, encoding)
    putI32(this.memory, at, length)
    this.at = at + 4 + length
  }

  protected writeLength(length: number): void {
    this.writeI32(length)
  }
}

class BinaryInput extends ThriftInput {
  readonly protocol = binary

  readFieldBegin(): FieldHead {
    const { field } = this
    const type = this.byte()
    field.ftype = type
    field.fid = type === Type.Stop ? 0 : this.readI16()
    return field
  }

  readMapBegin(): MapHead {
    const ktype = this.readByte()
    const vtype = this.readByte()
    return { ktype, vtype, size: this.checkSize(this.readI32(), 2) }
  }

  readListBegin(): ListHead {
    const etype = this.readByte()
    return { etype, size: this.checkSize(this.readI32(), 1) }
  }

  readBool(): boolean {
    return this.byte() !== 0
  }

  readI16(): number {
    const at = this.advance(2)
    const { bytes } = this
    return (((bytes[at] as number) << 24) >> 16) | (bytes[at + 1] as number)
  }

  readI32(): number {
    return this.bytes.readInt32BE(this.advance(4))
  }

  readI64(): Int64 {
    return getI64(this.bytes, this.advance(8))
  }

  readDouble(): number {
    return this.bytes.readDoubleBE(this.advance(8))
  }

  protected readLength(): number {
    const length = this.readI32()
    if (length < 0) throw negativeSize(length)
    return length
  }
}

/** Thrift's binary protocol (its specification: `thrift-binary-protocol.md`): numbers of fixed size, big-endian. */
export const binary: Protocol = {
  name: 'binary',
  id: 0,
  Output: BinaryOutput,

  /** The version of today, or, as the format of before has it, the length of a name. */
  recognizes: (bytes, at, end = bytes.length) =>
    at < end && ((bytes[at] === 0x80 && at + 1 < end && bytes[at + 1] === 0x01) || bytes[at] === 0),

  open(bytes, at, limit = bytes.length) {
    if (limit < at + 9) throw truncated()
    const first = bytes.readInt32BE(at)
    if (first >= 0) return openOldMessage(bytes, at, limit, first)
    if (first >>> 16 !== version) {
      throw new TProtocolException(ProtocolError.BadVersion, 'A message of another version of the protocol')
    }
    const nameLength = bytes.readInt32BE(at + 4)
    const end = at + 8 + nameLength
    if (nameLength < 0) throw negativeSize(nameLength)
    if (end + 4 > limit) throw truncated()
    const fname = bytes.toString('utf8', at + 8, end)
    const head = { fname, mtype: first & 0xff, rseqid: bytes.readInt32BE(end) }
    return new BinaryInput(bytes, end + 4, limit, head)
  },

  openBody: (bytes) => new BinaryInput(bytes, 0, bytes.length, noHead),

  idOf(bytes) {
    const first = i32At(bytes, 0)
    const nameLength = first < 0 ? i32At(bytes, 4) : first
    const id = i32At(bytes, first < 0 ? 8 + nameLength : 5 + nameLength)
    return Number.isNaN(id) ? undefined : id
  },

  headLength: (name) => 12 + Buffer.byteLength(name),

  writeHead(target, at, name, type, id) {
    putI32(target, at, (version << 16) | type)
    const length = target.write(name, at + 8)
    putI32(target, at + 4, length)
    putI32(target, at + 8 + length, id)
  },
}

/** A number; `NaN` where there is none. */
function i32At(bytes: Buffer, at: number): number {
  return at >= 0 && at + 4 <= bytes.length ? bytes.readInt32BE(at) : Number.NaN
}

/** A message without a version: name, type, id. */
function openOldMessage(bytes: Buffer, at: number, limit: number, nameLength: number): ThriftInput {
  const end = at + 4 + nameLength
  if (end + 5 > limit) throw truncated()
  const fname = bytes.toString('utf8', at + 4, end)
  return new BinaryInput(bytes, end + 5, limit, {
    fname,
    mtype: bytes[end] as number,
    rseqid: bytes.readInt32BE(end + 1),
  })
}
