import { type Framing, lengthField, type MessageReader, type IdField, type IdFunction } from '../index'
import type { Codec, CompressedMessage, Message, Metadata } from '../rpc/index'
import { exceptionBytes, readException, toApplicationException } from './exceptions'
import type { ThriftInput } from './input'
import { TApplicationException } from './library'
import type { CheckedLimits } from './limits'
import type { MessageTarget } from './message-target'
import type { OutputProtocol } from './output'
import { ApplicationError, MessageType } from './wire'

/**
 * A way to put Thrift messages on the wire: in frames with their length in front, each with a header or without.
 *
 * Bodies are structs without the head of their message: bytes to send, or an input that generated code reads.
 */
export abstract class ThriftCodec implements Codec<Uint8Array, ThriftInput> {
  readonly framing: Framing
  protected readonly limits: CheckedLimits
  readonly #protocol: OutputProtocol

  /** @param protocol what requests are written in; replies are written in what their request was written in */
  constructor(protocol: OutputProtocol, limits: CheckedLimits) {
    this.framing = lengthField({ size: 4, maxLength: limits.maxLength })
    this.limits = limits
    this.#protocol = protocol
  }

  abstract readonly id: IdField | IdFunction

  /** Whether the bytes from `at` to `end` are a frame of this kind. */
  abstract recognizes(bytes: Buffer, at: number, end: number): boolean

  /** Reads a frame from `at` to `end`; `reader` is the handler's that it lies in, if it does. */
  abstract read(
    bytes: Buffer,
    at: number,
    end: number,
    reader?: MessageReader,
  ): Message<ThriftInput> | CompressedMessage<ThriftInput>

  decode(bytes: Buffer): Message<ThriftInput> | CompressedMessage<ThriftInput> {
    return this.read(bytes, 0, bytes.length)
  }

  encode(message: Message<Uint8Array>, writer: MessageTarget, request?: Message<ThriftInput>): void {
    const asked = request?.kind === 'call' ? request.body : undefined
    this.write(message, asked?.protocol ?? this.#protocol, writer, asked)
  }

  /** @param asked what the message answers, if it does */
  protected abstract write(
    message: Message<Uint8Array>,
    protocol: OutputProtocol,
    writer: MessageTarget,
    asked: ThriftInput | undefined,
  ): void
}

/** Writes head and body of a message. */
export function writeMessage(
  message: Message<Uint8Array>,
  protocol: OutputProtocol,
  writer: MessageTarget,
): void {
  const { kind, id, method } = message
  const head = writer.malloc(protocol.headLength(method, id))
  if (kind === 'error') {
    protocol.writeHead(head, 0, method, MessageType.Exception, id)
    writer.writeBinary(exceptionBytes(toApplicationException(message.error), protocol))
  } else {
    protocol.writeHead(head, 0, method, types[kind], id)
    writer.writeBinary(message.body)
  }
}

const types = {
  call: MessageType.Call,
  oneway: MessageType.Oneway,
  reply: MessageType.Reply,
} as const

/**
 * What a message is, whose head was read.
 *
 * @param timeout milliseconds that its caller waits; 0 when it does not say
 * @throws TApplicationException when it is none of the kinds
 */
export function toMessage(input: ThriftInput, metadata: Metadata, timeout: number): Message<ThriftInput> {
  const { fname: method, mtype, rseqid: id } = input.readMessageBegin()
  switch (mtype) {
    case MessageType.Call:
      return { kind: 'call', id, method, metadata, timeout, body: input }
    case MessageType.Oneway:
      return { kind: 'oneway', id, method, metadata, timeout, body: input }
    case MessageType.Reply:
      return { kind: 'reply', id, method, metadata, body: input }
    case MessageType.Exception:
      return { kind: 'error', id, method, metadata, error: readException(input) }
    default:
      throw new TApplicationException(
        ApplicationError.InvalidMessageType,
        `There is no message of type ${mtype}`,
      )
  }
}
