import type { IdField, MessageReader } from '../index'
import type { CompressedMessage, Message, Metadata } from '../rpc/index'
import { binary } from './binary'
import { ThriftCodec, toMessage, writeMessage } from './codec'
import type { MessageTarget } from './message-target'
import { compact } from './compact'
import { Cursor, truncated } from './cursor'
import { HeaderWriter } from './header-writer'
import type { ThriftInput } from './input'
import { putI32 } from './int64'
import { TApplicationException } from './library'
import { inflationLimit } from './limits'
import type { OutputProtocol } from './output'
import type { Protocol } from './protocol'
import { ApplicationError } from './wire'

/** Magic, flags, sequence number, size of the rest of the header in words of four bytes. */
const fixedLength = 10

/** What a header says. */
export interface Header {
  readonly protocol: Protocol
  readonly metadata: Metadata
  /** Milliseconds that the caller waits; 0 when it does not say. */
  readonly timeout: number
  /** What was done to the message after it was written. */
  readonly transform: 'none' | 'zlib'
}

/** What THeader and TTHeader have in common: a sequence number, a protocol's number, and entries of metadata. */
export abstract class HeaderCodec extends ThriftCodec {
  protected abstract readonly magic: number
  readonly id: IdField = { offset: 4, size: 4 }
  readonly #header = new HeaderWriter()

  recognizes(bytes: Buffer, at: number, end: number): boolean {
    return end - at >= 2 && bytes.readUInt16BE(at) === this.magic
  }

  read(
    bytes: Buffer,
    at: number,
    end: number,
    reader?: MessageReader,
  ): Message<ThriftInput> | CompressedMessage<ThriftInput> {
    if (end - at < fixedLength) throw truncated()
    const headerEnd = at + fixedLength + 4 * bytes.readUInt16BE(at + 8)
    if (headerEnd > end) throw truncated()
    // An end of its own keeps a header from reaching into the message.
    const header = this.readHeader(new Cursor(bytes, at + fixedLength, headerEnd))
    const sequence = bytes.readInt32BE(at + 4)
    if (header.transform === 'none') {
      const input = header.protocol.open(bytes, this.messageAt(bytes, headerEnd, end), end)
      if (reader !== undefined) input.borrow(reader)
      return this.#opened(input, header, sequence)
    }
    // It is inflated when the handler has returned.
    reader?.skip(headerEnd - at)
    const payload = reader?.next(end - headerEnd) ?? bytes.subarray(headerEnd, end)
    return {
      kind: 'compressed',
      payload,
      ...inflationLimit(this.limits, payload.length),
      open: (inflated) => this.#opened(header.protocol.open(inflated, 0, inflated.length), header, sequence),
    }
  }

  #opened(input: ThriftInput, header: Header, sequence: number): Message<ThriftInput> {
    input.sequence = sequence
    input.maxElements = this.limits.maxElements
    return this.toMessage(input, header)
  }

  protected toMessage(input: ThriftInput, { metadata, timeout }: Header): Message<ThriftInput> {
    return toMessage(input, metadata, timeout)
  }

  /** Where the message begins, which ends at `end`. */
  protected messageAt(_bytes: Buffer, headerEnd: number, _end: number): number {
    return headerEnd
  }

  protected write(
    message: Message<Uint8Array>,
    protocol: OutputProtocol,
    writer: MessageTarget,
    asked: ThriftInput | undefined,
  ): void {
    const header = this.#header
    header.begin()
    this.writeHeader(header, protocol, message)
    const rest = header.end()
    const target = writer.malloc(fixedLength + rest.length)
    putI32(target, 0, this.magic << 16)
    putI32(target, 4, asked?.sequence ?? message.id)
    target.writeUInt16BE(rest.length / 4, 8)
    target.set(rest, fixedLength)
    writeMessage(message, protocol, writer)
  }

  /** Reads what comes after the fixed part, up to the cursor's end. */
  protected abstract readHeader(cursor: Cursor): Header

  protected abstract writeHeader(
    header: HeaderWriter,
    protocol: OutputProtocol,
    message: Message<Uint8Array>,
  ): void
}

/** The protocol that a header names. */
export function protocolOf(id: number): Protocol {
  const protocol = [binary, compact].find((candidate) => candidate.id === id)
  if (protocol !== undefined) return protocol
  throw new TApplicationException(ApplicationError.InvalidProtocol, `There is no protocol ${id}`)
}

/** Milliseconds as headers have them: decimal digits, or nothing that counts. */
export function toTimeout(text: string | undefined): number {
  const milliseconds = Number(text)
  return Number.isSafeInteger(milliseconds) && milliseconds > 0 ? milliseconds : 0
}
