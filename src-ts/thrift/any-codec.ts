import { type Framing, lengthField, type MessageReader, type MessageWriter, type Writer } from '../index'
import type { Codec, CompressedMessage, Message } from '../rpc/index'
import { binary } from './binary'
import type { ThriftCodec } from './codec'
import { FramedCodec } from './framed'
import type { ThriftInput } from './input'
import { TProtocolException } from './library'
import type { CheckedLimits } from './limits'
import { THeaderCodec } from './theader'
import { TTHeaderCodec } from './ttheader'
import { ProtocolError } from './wire'

/** What a server speaks: each request may come in any format and protocol, and is answered in the same. */
export class AnyCodec implements Codec<Uint8Array, ThriftInput> {
  readonly framing: Framing
  readonly #codecs: readonly ThriftCodec[]

  constructor(limits: CheckedLimits) {
    this.framing = lengthField({ size: 4, maxLength: limits.maxLength })
    this.#codecs = [FramedCodec, THeaderCodec, TTHeaderCodec].map((Format) => new Format(binary, limits))
  }

  encode(message: Message<Uint8Array>, writer: Writer, request: Message<ThriftInput>): void {
    if (request.kind !== 'error') request.body.codec?.encode(message, writer, request)
  }

  encodeTo(message: Message<Uint8Array>, writer: MessageWriter, request: Message<ThriftInput>): void {
    if (request.kind !== 'error') request.body.codec?.encode(message, writer, request)
  }

  decode(bytes: Buffer): Message<ThriftInput> | CompressedMessage<ThriftInput> {
    return this.#read(bytes, 0, bytes.length)
  }

  decodeFrom(reader: MessageReader): Message<ThriftInput> | CompressedMessage<ThriftInput> {
    const { bytes, start, end } = reader
    return this.#read(bytes, start, end, reader)
  }

  keep(message: Message<ThriftInput>): void {
    if (message.kind !== 'error') message.body.keep()
  }

  #read(
    bytes: Buffer,
    at: number,
    end: number,
    reader?: MessageReader,
  ): Message<ThriftInput> | CompressedMessage<ThriftInput> {
    const codec = this.#codecOf(bytes, at, end)
    const message = codec.read(bytes, at, end, reader)
    if (message.kind !== 'compressed') return cameIn(codec, message)
    return { ...message, open: (inflated) => cameIn(codec, message.open(inflated)) }
  }

  #codecOf(bytes: Buffer, at: number, end: number): ThriftCodec {
    for (const codec of this.#codecs) if (codec.recognizes(bytes, at, end)) return codec
    throw new TProtocolException(ProtocolError.BadVersion, 'A frame that begins as none of Thrift does')
  }
}

function cameIn(codec: ThriftCodec, message: Message<ThriftInput>): Message<ThriftInput> {
  if (message.kind !== 'error') message.body.codec = codec
  return message
}
