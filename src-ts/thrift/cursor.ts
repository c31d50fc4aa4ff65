import { TProtocolException } from './library'
import { ProtocolError } from './wire'

/** A place in bytes that are read from front to back, up to `end`. What is not there throws a `TProtocolException`. */
export class Cursor {
  bytes: Buffer
  at: number
  /** Where they end. */
  end: number

  constructor(bytes: Buffer, at: number, end: number) {
    this.bytes = bytes
    this.at = at
    this.end = end
  }

  get remaining(): number {
    return this.end - this.at
  }

  /** Goes on by `length` bytes; returns where they begin. */
  advance(length: number): number {
    const at = this.at
    if (at + length > this.end) throw truncated()
    this.at = at + length
    return at
  }

  /** The next byte, 0 to 255. */
  byte(): number {
    const at = this.advance(1)
    return this.bytes[at] as number
  }

  /** A number of two bytes, big-endian. */
  uint16(): number {
    return this.bytes.readUInt16BE(this.advance(2))
  }

  /** A varint of up to 32 bits, as a number with sign. */
  varint(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte()
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
    throw new TProtocolException(ProtocolError.InvalidData, 'A number without an end')
  }

  /** The next `length` bytes as UTF-8. */
  text(length: number): string {
    if (length < 0) throw negativeSize(length)
    const at = this.advance(length)
    return this.bytes.toString('utf8', at, at + length)
  }
}

/** Says that a message ends too early. */
export function truncated(): Error {
  return new TProtocolException(ProtocolError.InvalidData, 'The message ends within a value')
}

/** Says that a length is less than nothing. */
export function negativeSize(size: number): Error {
  return new TProtocolException(ProtocolError.NegativeSize, `A size of ${size}`)
}
