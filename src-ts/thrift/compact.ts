import { Cursor, negativeSize } from './cursor'
import { type FieldHead, type ListHead, type MapHead, noHead, ThriftInput } from './input'
import { type I64, putI64 } from './int64'
import { Int64, TProtocolException } from './library'
import { ThriftOutput } from './output'
import type { Protocol } from './protocol'
import { putVarint, varintLength } from './varint'
import { ProtocolError, Type } from './wire'

const protocolId = 0x82
const version = 1

/** The numbers of types in this protocol; a field that is a boolean has its value for a type. */
const Compact = {
  Stop: 0,
  True: 1,
  False: 2,
  Byte: 3,
  I16: 4,
  I32: 5,
  I64: 6,
  Double: 7,
  Binary: 8,
  List: 9,
  Set: 10,
  Map: 11,
  Struct: 12,
  Uuid: 13,
} as const

/** By the number that generated code uses. */
const toCompact: readonly number[] = Object.assign(new Array<number>(17).fill(0), {
  [Type.Bool]: Compact.True,
  [Type.Byte]: Compact.Byte,
  [Type.Double]: Compact.Double,
  [Type.I16]: Compact.I16,
  [Type.I32]: Compact.I32,
  [Type.I64]: Compact.I64,
  [Type.String]: Compact.Binary,
  [Type.Struct]: Compact.Struct,
  [Type.Map]: Compact.Map,
  [Type.Set]: Compact.Set,
  [Type.List]: Compact.List,
  [Type.Uuid]: Compact.Uuid,
})

/** By the number in this protocol. */
const fromCompact: readonly number[] = [
  Type.Stop,
  Type.Bool,
  Type.Bool,
  Type.Byte,
  Type.I16,
  Type.I32,
  Type.I64,
  Type.Double,
  Type.String,
  Type.List,
  Type.Set,
  Type.Map,
  Type.Struct,
  Type.Uuid,
]

/** A boolean that is no field, or whose field's head is written already. Ids have 16 bits, and those below 0 are ids, too. */
const noField = 1 << 16

const words = Buffer.alloc(8)

class CompactOutput extends ThriftOutput {
  /** The field that was written last in the struct, and in those around it. */
  #lastField = 0
  #outerFields: number[] = []
  /** The field whose head waits for its boolean. */
  #booleanField = noField

  override writeMessageBegin(name: string, type: number, seqid: number): void {
    super.writeMessageBegin(name, type, seqid)
    this.#lastField = 0
    this.#outerFields = []
    this.#booleanField = noField
  }

  override writeStructBegin(): void {
    this.#outerFields.push(this.#lastField)
    this.#lastField = 0
  }

  override writeStructEnd(): void {
    this.#lastField = this.#outerFields.pop() ?? 0
  }

  writeFieldBegin(_name: string, type: number, id: number): void {
    if (type === Type.Bool) this.#booleanField = id
    else this.#writeFieldHead(toCompact[type] ?? 0, id)
  }

  writeMapBegin(keyType: number, valueType: number, size: number): void {
    this.#writeVarint(size)
    if (size > 0) this.writeByte(((toCompact[keyType] ?? 0) << 4) | (toCompact[valueType] ?? 0))
  }

  writeListBegin(type: number, size: number): void {
    const element = toCompact[type] ?? 0
    if (size < 15) {
      this.writeByte((size << 4) | element)
    } else {
      this.writeByte(0xf0 | element)
      this.#writeVarint(size)
    }
  }

  writeBool(value: boolean): void {
    const compact = value ? Compact.True : Compact.False
    if (this.#booleanField === noField) {
      this.writeByte(compact)
    } else {
      this.#writeFieldHead(compact, this.#booleanField)
      this.#booleanField = noField
    }
  }

  writeI16(value: number): void {
    this.writeI32((value << 16) >> 16)
  }

  writeI32(value: number): void {
    this.#writeVarint((value << 1) ^ (value >> 31))
  }

  writeI64(value: I64): void {
    putI64(words, 0, value)
    const high = words.readInt32BE(0)
    const low = words.readInt32BE(4)
    const sign = high >> 31
    let zigzagHigh = ((high << 1) | (low >>> 31)) ^ sign
    let zigzagLow = (low << 1) ^ sign
    while (zigzagHigh !== 0) {
      this.writeByte((zigzagLow & 0x7f) | 0x80)
      zigzagLow = (zigzagLow >>> 7) | (zigzagHigh << 25)
      zigzagHigh >>>= 7
    }
    this.#writeVarint(zigzagLow)
  }

  writeDouble(value: number): void {
    const at = this.reserve(8)
    this.memory.writeDoubleLE(value, at)
  }

  protected writeText(text: string, encoding: BufferEncoding): void {
    const length = Buffer.byteLength(text, encoding)
    this.#writeVarint(length)
    const at = this.reserve(length)
    this.memory.write(text, at, length, encoding)
  }

  protected writeLength(length: number): void {
    this.#writeVarint(length)
  }

  /** The low 32 bits of `value`. */
  #writeVarint(value: number): void {
    let rest = value >>> 0
    for (; rest > 0x7f; rest >>>= 7) this.writeByte((rest & 0x7f) | 0x80)
    this.writeByte(rest)
  }

  #writeFieldHead(compact: number, id: number): void {
    const difference = id - this.#lastField
    if (difference > 0 && difference <= 15) {
      this.writeByte((difference << 4) | compact)
    } else {
      this.writeByte(compact)
      this.writeI16(id)
    }
    this.#lastField = id
  }
}

class CompactInput extends ThriftInput {
  readonly protocol = compact
  #lastField = 0
  readonly #outerFields: number[] = []
  /** The boolean whose field's head was read. */
  #boolean: boolean | undefined

  override readStructBegin(): { readonly fname: string } {
    this.#outerFields.push(this.#lastField)
    this.#lastField = 0
    return super.readStructBegin()
  }

  override readStructEnd(): void {
    super.readStructEnd()
    this.#lastField = this.#outerFields.pop() ?? 0
  }

  readFieldBegin(): FieldHead {
    const { field } = this
    const first = this.byte()
    const kind = first & 0x0f
    field.ftype = typeOf(kind)
    if (kind === Compact.Stop) {
      field.fid = 0
      return field
    }
    const difference = first >>> 4
    field.fid = difference === 0 ? this.readI16() : this.#lastField + difference
    this.#lastField = field.fid
    if (field.ftype === Type.Bool) this.#boolean = kind === Compact.True
    return field
  }

  readMapBegin(): MapHead {
    const size = this.checkSize(this.readLength(), 2)
    if (size === 0) return { ktype: 0, vtype: 0, size }
    const types = this.byte()
    return { ktype: typeOf(types >>> 4), vtype: typeOf(types & 0x0f), size }
  }

  readListBegin(): ListHead {
    const first = this.byte()
    const size = first >>> 4
    return { etype: typeOf(first & 0x0f), size: this.checkSize(size === 15 ? this.readLength() : size, 1) }
  }

  readBool(): boolean {
    const known = this.#boolean
    this.#boolean = undefined
    return known ?? this.byte() === Compact.True
  }

  readI16(): number {
    return (this.readI32() << 16) >> 16
  }

  readI32(): number {
    const zigzag = this.varint()
    return (zigzag >>> 1) ^ -(zigzag & 1)
  }

  readI64(): Int64 {
    let low = 0
    let high = 0
    for (let shift = 0; ; shift += 7) {
      if (shift > 63) throw new TProtocolException(ProtocolError.InvalidData, 'A number without an end')
      const byte = this.byte()
      const bits = byte & 0x7f
      if (shift < 32) low |= bits << shift
      // The bits of one byte may belong to both halves.
      if (shift >= 32) high |= bits << (shift - 32)
      else if (shift > 25) high |= bits >>> (32 - shift)
      if (byte < 0x80) break
    }
    const sign = -(low & 1)
    const bytes = Buffer.allocUnsafe(8)
    bytes.writeInt32BE((high >>> 1) ^ sign, 0)
    bytes.writeInt32BE(((low >>> 1) | (high << 31)) ^ sign, 4)
    return new Int64(bytes)
  }

  readDouble(): number {
    return this.bytes.readDoubleLE(this.advance(8))
  }

  protected readLength(): number {
    const length = this.varint()
    if (length < 0) throw negativeSize(length)
    return length
  }
}

function typeOf(compact: number): number {
  const type = fromCompact[compact]
  if (type === undefined)
    throw new TProtocolException(ProtocolError.InvalidData, `There is no type ${compact}`)
  return type
}

/** Thrift's compact protocol (its specification: `thrift-compact-protocol.md`): varints, and little else. */
export const compact: Protocol = {
  name: 'compact',
  id: 2,
  Output: CompactOutput,

  recognizes: (bytes, at, end = bytes.length) => at < end && bytes[at] === protocolId,

  open(bytes, at, end = bytes.length) {
    const cursor = new Cursor(bytes, at, end)
    const id = cursor.byte()
    const kind = cursor.byte()
    if (id !== protocolId || (kind & 0x1f) !== version) {
      throw new TProtocolException(ProtocolError.BadVersion, 'A message of another protocol')
    }
    const rseqid = cursor.varint()
    const fname = cursor.text(cursor.varint())
    return new CompactInput(bytes, cursor.at, end, { fname, mtype: kind >>> 5, rseqid })
  },

  openBody: (bytes) => new CompactInput(bytes, 0, bytes.length, noHead),

  idOf(bytes) {
    let id = 0
    for (let index = 0; index < 5; index += 1) {
      const byte = bytes[2 + index]
      if (byte === undefined) break
      id |= (byte & 0x7f) << (7 * index)
      if (byte < 0x80) return id
    }
    return undefined
  },

  headLength(name, id) {
    const length = Buffer.byteLength(name)
    return 2 + varintLength(id) + varintLength(length) + length
  },

  writeHead(target, at, name, type, id) {
    target[at] = protocolId
    target[at + 1] = (type << 5) | version
    const afterId = putVarint(target, at + 2, id)
    target.write(name, putVarint(target, afterId, Buffer.byteLength(name)))
  },
}
