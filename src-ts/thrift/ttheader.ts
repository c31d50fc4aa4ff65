import { type Message, RpcError } from '../rpc/index'
import type { Cursor } from './cursor'
import { type Header, HeaderCodec, protocolOf, toTimeout } from './header-codec'
import type { HeaderWriter } from './header-writer'
import type { ThriftInput } from './input'
import { TApplicationException } from './library'
import { ReceivedMetadata } from './limits'
import type { OutputProtocol } from './output'
import { ApplicationError } from './wire'

/** Kinds of entries. */
const Info = { Padding: 0, Texts: 0x01, Numbered: 0x10, AccessToken: 0x11 } as const

/** Metadata with a name of this kind travels as an entry with a number for a name. */
const numberedName = /^int:(\d{1,5})$/

/** The number under which a caller tells how many milliseconds it waits. */
const timeoutNumber = 12

/** Under these names Kitex sends errors of an application, beside a reply that is empty. */
const status = 'biz-status'
const statusMessage = 'biz-message'

/** With this a server says that the connection is to be used no more. */
const readyToReset = 'crrst'

/**
 * TTHeader of Kitex (its specification: "TTHeader" in Kitex's reference). Its entries with a number for a name, such as
 * the names of caller and callee, are metadata named `int:` and the number.
 */
export class TTHeaderCodec extends HeaderCodec {
  protected readonly magic = 0x1000

  protected override toMessage(input: ThriftInput, header: Header): Message<ThriftInput> {
    const message = super.toMessage(input, header)
    const code = message.metadata[status]
    if (message.kind !== 'reply' || code === undefined || code === '0') return message
    const { id, method, metadata } = message
    const error = new RpcError(code, metadata[statusMessage] ?? '')
    return { kind: 'error', id, method, metadata, error }
  }

  /** Kitex may put the message into a frame of its own. */
  protected override messageAt(bytes: Buffer, headerEnd: number, end: number): number {
    const rest = end - headerEnd - 4
    return rest > 0 && bytes.readUInt32BE(headerEnd) === rest ? headerEnd + 4 : headerEnd
  }

  /** The control frame of a Kitex server that shuts down. */
  isGoAway(message: Message<ThriftInput>): boolean {
    return message.metadata[readyToReset] === '1'
  }

  protected readHeader(cursor: Cursor): Header {
    const protocol = protocolOf(cursor.byte())
    if (cursor.byte() !== 0) {
      throw new TApplicationException(ApplicationError.InvalidTransform, 'TTHeader has no transforms')
    }
    const received = new ReceivedMetadata()
    while (cursor.remaining > 0) readInfo(cursor, received)
    const metadata = received.entries
    const timeoutName = `int:${timeoutNumber}`
    const timeout = toTimeout(metadata[timeoutName])
    delete metadata[timeoutName]
    return { protocol, metadata, timeout, transform: 'none' }
  }

  protected writeHeader(header: HeaderWriter, protocol: OutputProtocol, message: Message<Uint8Array>): void {
    header.byte(protocol.id)
    header.byte(0)
    const texts: [string, string][] = []
    const numbered: [number, string][] = []
    for (const [name, value] of Object.entries(message.metadata)) {
      const number = Number(numberedName.exec(name)?.[1])
      if (number <= 0xffff) numbered.push([number, value])
      else texts.push([name, value])
    }
    if ('timeout' in message && message.timeout > 0) numbered.push([timeoutNumber, String(message.timeout)])
    if (texts.length > 0) {
      header.byte(Info.Texts)
      header.uint16(texts.length)
      for (const entry of texts) for (const text of entry) writeText(header, text)
    }
    if (numbered.length > 0) {
      header.byte(Info.Numbered)
      header.uint16(numbered.length)
      for (const [number, text] of numbered) {
        header.uint16(number)
        writeText(header, text)
      }
    }
  }
}

function readInfo(cursor: Cursor, metadata: ReceivedMetadata): void {
  const kind = cursor.byte()
  switch (kind) {
    case Info.Padding:
      break
    case Info.Texts:
      for (let count = cursor.uint16(); count > 0; count -= 1) {
        const name = cursor.text(cursor.uint16())
        metadata.add(name, cursor.text(cursor.uint16()))
      }
      break
    case Info.Numbered:
      for (let count = cursor.uint16(); count > 0; count -= 1) {
        const name = `int:${cursor.uint16()}`
        metadata.add(name, cursor.text(cursor.uint16()))
      }
      break
    case Info.AccessToken:
      cursor.advance(cursor.uint16())
      break
    default:
      // It has no length, so what comes after it cannot be told.
      cursor.advance(cursor.remaining)
  }
}

function writeText(header: HeaderWriter, text: string): void {
  const length = Buffer.byteLength(text)
  header.uint16(length)
  header.text(text, length)
}
