import { inflateSync } from 'node:zlib'

import type { Message } from '../rpc/message'
import { type Cursor, negativeSize } from './cursor'
import { emptyMetadata, type Header, HeaderCodec, protocolOf, toTimeout } from './header-codec'
import type { HeaderWriter } from './header-writer'
import { TApplicationException } from './library'
import type { Protocol } from './protocol'
import { ApplicationError } from './wire'

/** The one kind of entries: pairs of texts. */
const keyValues = 1

/** The transform that is done by everyone: the message is compressed. */
const zlib = 1

/** More than anyone does to a message. */
const mostTransforms = 4

/** The entry by which fbthrift tells how long a caller waits, in milliseconds; Apache's format has none of its own. */
const timeoutKey = 'client_timeout'

/** THeader of Apache Thrift (its specification: `HeaderFormat.md`). Compressed messages are read, none are written. */
export class THeaderCodec extends HeaderCodec {
  protected readonly magic = 0x0fff

  protected readHeader(cursor: Cursor): Header {
    const protocol = protocolOf(cursor.varint())
    const unpack = this.#readTransforms(cursor)
    const metadata = emptyMetadata()
    // Anything else is padding, or newer than this: nothing after it can be understood.
    while (cursor.remaining > 0 && cursor.varint() === keyValues) readPairs(cursor, metadata)
    const timeout = toTimeout(metadata[timeoutKey])
    delete metadata[timeoutKey]
    return { protocol, metadata, timeout, unpack }
  }

  protected writeHeader(header: HeaderWriter, protocol: Protocol, message: Message<Uint8Array>): void {
    header.varint(protocol.id)
    header.varint(0)
    const entries = Object.entries(message.metadata)
    if ('timeout' in message && message.timeout > 0) entries.push([timeoutKey, String(message.timeout)])
    if (entries.length === 0) return
    header.varint(keyValues)
    header.varint(entries.length)
    for (const entry of entries) for (const text of entry) writeText(header, text)
  }

  /** What has to be done to the message before it is read, in the reverse of the order in which it was done. */
  #readTransforms(cursor: Cursor): Header['unpack'] {
    const count = cursor.varint()
    if (count === 0) return undefined
    // Bytes that become themselves again could be decompressed for ever.
    if (count < 0 || count > mostTransforms) throw invalidTransform(`${count} transforms`)
    for (let index = 0; index < count; index += 1) {
      const transform = cursor.varint()
      if (transform === zlib) continue
      throw invalidTransform(`There is no transform ${transform}`)
    }
    return (payload) => {
      let message = payload
      for (let index = 0; index < count; index += 1) {
        message = inflateSync(message, { maxOutputLength: this.maxLength })
      }
      return message
    }
  }
}

function invalidTransform(problem: string): Error {
  return new TApplicationException(ApplicationError.InvalidTransform, problem)
}

function readPairs(cursor: Cursor, metadata: Record<string, string>): void {
  const count = cursor.varint()
  if (count < 0) throw negativeSize(count)
  for (let index = 0; index < count; index += 1) {
    const name = cursor.text(cursor.varint())
    metadata[name] = cursor.text(cursor.varint())
  }
}

function writeText(header: HeaderWriter, text: string): void {
  const length = Buffer.byteLength(text)
  header.varint(length)
  header.text(text, length)
}
