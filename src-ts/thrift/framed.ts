import type { MessageReader } from '../index'
import { type Message, noMetadata } from '../rpc/index'
import { binary } from './binary'
import { ThriftCodec, toMessage, writeMessage } from './codec'
import type { MessageTarget } from './message-target'
import { compact } from './compact'
import type { ThriftInput } from './input'
import { TProtocolException } from './library'
import type { OutputProtocol } from './output'
import type { Protocol } from './protocol'
import { ProtocolError } from './wire'

/** Frames that hold a message and nothing else. They carry neither metadata nor deadlines. */
export class FramedCodec extends ThriftCodec {
  readonly id = (bytes: Buffer): number | undefined => protocolOf(bytes, 0, bytes.length)?.idOf(bytes)

  recognizes(bytes: Buffer, at: number, end: number): boolean {
    return protocolOf(bytes, at, end) !== undefined
  }

  read(bytes: Buffer, at: number, end: number, reader?: MessageReader): Message<ThriftInput> {
    const protocol = protocolOf(bytes, at, end)
    if (protocol === undefined) {
      throw new TProtocolException(
        ProtocolError.BadVersion,
        'A frame of neither the binary nor the compact protocol',
      )
    }
    const input = protocol.open(bytes, at, end)
    input.maxElements = this.limits.maxElements
    if (reader !== undefined) input.borrow(reader)
    return toMessage(input, noMetadata, 0)
  }

  protected write(message: Message<Uint8Array>, protocol: OutputProtocol, writer: MessageTarget): void {
    writeMessage(message, protocol, writer)
  }
}

/** The hot path: of each message, on both sides. */
function protocolOf(bytes: Buffer, at: number, end: number): Protocol | undefined {
  if (binary.recognizes(bytes, at, end)) return binary
  return compact.recognizes(bytes, at, end) ? compact : undefined
}
