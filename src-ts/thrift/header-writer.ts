import { TProtocolException } from './library'
import { ProtocolError } from './wire'
import { putVarint } from './varint'

/** Most bytes of a header: what Kitex accepts. */
const maxBytes = 65_532

/** A header that is being written, in memory that is used again for the next. */
export class HeaderWriter {
  readonly #bytes = Buffer.alloc(maxBytes)
  #at = 0

  /** Begins a header. */
  begin(): void {
    this.#at = 0
  }

  /** Fills it up to whole words of four bytes, and gives it. Valid until the next one begins. */
  end(): Buffer {
    while (this.#at % 4 !== 0) this.byte(0)
    return this.#bytes.subarray(0, this.#at)
  }

  byte(value: number): void {
    this.#bytes[this.#advance(1)] = value
  }

  uint16(value: number): void {
    if (value > 0xffff) throw tooLong()
    this.#bytes.writeUInt16BE(value, this.#advance(2))
  }

  varint(value: number): void {
    // The most that one takes.
    const at = this.#advance(5)
    this.#at = putVarint(this.#bytes, at, value)
  }

  /** The text alone; `length` is that of its UTF-8. */
  text(value: string, length: number): void {
    this.#bytes.write(value, this.#advance(length))
  }

  #advance(length: number): number {
    const at = this.#at
    if (at + length > maxBytes) throw tooLong()
    this.#at = at + length
    return at
  }
}

function tooLong(): Error {
  return new TProtocolException(ProtocolError.SizeLimit, `Metadata of more than ${maxBytes} bytes`)
}
