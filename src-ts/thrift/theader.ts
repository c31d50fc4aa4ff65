import type { Message } from '../rpc/index'
import { type Cursor, negativeSize } from './cursor'
import { type Header, HeaderCodec, protocolOf, toTimeout } from './header-codec'
import type { HeaderWriter } from './header-writer'
import { TApplicationException } from './library'
import { ReceivedMetadata } from './limits'
import type { OutputProtocol } from './output'
import { ApplicationError } from './wire'

/** The one kind of entries: pairs of texts. */
const keyValues = 1

/** The transform that all libraries support: the message is compressed. */
const zlib = 1

/** The entry by which fbthrift tells how long a caller waits, in milliseconds; Apache's format has none of its own. */
const timeoutKey = 'client_timeout'

/** THeader of Apache Thrift (its specification: `HeaderFormat.md`). Compressed messages are read, none are written. */
export class THeaderCodec extends HeaderCodec {
  protected readonly magic = 0x0fff

  protected readHeader(cursor: Cursor): Header {
    const protocol = protocolOf(cursor.varint())
    const transform = readTransform(cursor)
    const received = new ReceivedMetadata()
    // Anything else is padding, or newer than this: nothing after it can be understood.
    while (cursor.remaining > 0 && cursor.varint() === keyValues) readPairs(cursor, received)
    const metadata = received.entries
    const timeout = toTimeout(metadata[timeoutKey])
    delete metadata[timeoutKey]
    return { protocol, metadata, timeout, transform }
  }

  protected writeHeader(header: HeaderWriter, protocol: OutputProtocol, message: Message<Uint8Array>): void {
    header.varint(protocol.id)
    header.varint(0)
    const entries = Object.entries(message.metadata)
    if ('timeout' in message && message.timeout > 0) entries.push([timeoutKey, String(message.timeout)])
    if (entries.length === 0) return
    header.varint(keyValues)
    header.varint(entries.length)
    for (const entry of entries) for (const text of entry) writeText(header, text)
  }
}

/** What was done to the message: nothing, or one thing. What is compressed twice could become a thousand times a thousand times as much. */
function readTransform(cursor: Cursor): Header['transform'] {
  const count = cursor.varint()
  if (count === 0) return 'none'
  if (count !== 1) throw invalidTransform(`${count} transforms, of which a message may have one`)
  const transform = cursor.varint()
  if (transform !== zlib) throw invalidTransform(`There is no transform ${transform}`)
  return 'zlib'
}

function invalidTransform(problem: string): Error {
  return new TApplicationException(ApplicationError.InvalidTransform, problem)
}

function readPairs(cursor: Cursor, metadata: ReceivedMetadata): void {
  const count = cursor.varint()
  if (count < 0) throw negativeSize(count)
  for (let index = 0; index < count; index += 1) {
    const name = cursor.text(cursor.varint())
    metadata.add(name, cursor.text(cursor.varint()))
  }
}

function writeText(header: HeaderWriter, text: string): void {
  const length = Buffer.byteLength(text)
  header.varint(length)
  header.text(text, length)
}
