import type { Writer } from '../index'
import { type Message, noMetadata } from '../rpc/index'
import { binary } from './binary'
import { ThriftCodec, toMessage, writeMessage } from './codec'
import { compact } from './compact'
import type { ThriftInput } from './input'
import { TProtocolException } from './library'
import type { OutputProtocol } from './output'
import type { Protocol } from './protocol'
import { ProtocolError } from './wire'

/** Frames that hold a message and nothing else. They carry neither metadata nor deadlines. */
export class FramedCodec extends ThriftCodec {
  readonly id = (bytes: Buffer): number | undefined => protocolOf(bytes)?.idOf(bytes)

  recognizes(bytes: Buffer): boolean {
    return protocolOf(bytes) !== undefined
  }

  decode(bytes: Buffer): Message<ThriftInput> {
    const protocol = protocolOf(bytes)
    if (protocol === undefined) {
      throw new TProtocolException(
        ProtocolError.BadVersion,
        'A frame of neither the binary nor the compact protocol',
      )
    }
    const input = protocol.open(bytes, 0)
    input.maxElements = this.limits.maxElements
    return toMessage(input, noMetadata, 0)
  }

  protected write(message: Message<Uint8Array>, protocol: OutputProtocol, writer: Writer): void {
    writeMessage(message, protocol, writer)
  }
}

function protocolOf(bytes: Buffer): Protocol | undefined {
  return [binary, compact].find((protocol) => protocol.recognizes(bytes, 0))
}
