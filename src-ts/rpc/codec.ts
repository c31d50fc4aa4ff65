import { invalidType, invalidValue } from '../errors'
import type { Framing, MessageReader, MessageWriter, Writer, IdField, IdFunction } from '../index'
import { refusePromise, checkFraming } from '../extension'
import type { CancelMessage, CompressedMessage, Message } from './message'
import type { Method } from './method'
import { checkObject } from '../checks/arguments'

/**
 * A protocol: how messages are cut from the stream, and what their bytes mean. It keeps no state of a connection.
 *
 * @typeParam Sent bodies as they are given to {@link encode}: arguments of a call, result of a handler
 * @typeParam Received bodies as {@link decode} makes them
 *
 * @example
 * ```ts
 * import { lengthField } from 'netpoll'
 * import { type Codec, TransportClient, TransportServer } from 'netpoll/rpc'
 *
 * const codec: Codec<string> = {
 *   framing: lengthField({ size: 4 }),
 *   encode: (message, writer) => void writer.writeString(JSON.stringify(message)),
 *   decode: (bytes) => JSON.parse(String(bytes)),
 * }
 * const server = new TransportServer(codec, { onRequest: ({ method, body }) => `${method} ${body}` })
 * await server.listen({ host: '127.0.0.1', port: 8000 })
 *
 * const client = new TransportClient({ host: '127.0.0.1', port: 8000 }, codec)
 * console.log(await client.call('greet', 'you')) // greet you
 * await client.close()
 * ```
 */
export interface Codec<Sent = unknown, Received = Sent> {
  /** How bytes are cut into messages. */
  readonly framing: Framing
  /** How messages carry their ids, as of `ConnectionOptions`. Without it replies answer calls in their order. */
  readonly id?: IdField | IdFunction | undefined
  /**
   * Writes a message, without the header of the framing.
   *
   * @param request the request that a reply or an error answers, for protocols whose replies take the form of their
   * requests; undefined for requests
   * @throws any error: the call rejects with it, or the handler's caller gets it
   */
  encode(message: Message<Sent>, writer: Writer, request?: Message<Received>): void
  /**
   * Reads a message, or returns how to read it once it is inflated. `bytes` is a view that stays valid as long as it is held.
   * Do not write to it.
   *
   * @throws if the bytes are no message: a server closes its connection, a call rejects with the error
   */
  decode(bytes: Buffer): Message<Received> | CompressedMessage<Received> | CancelMessage
  /**
   * As {@link decode}, from the reader of a handler: for a server, which then makes no view of each message. What the
   * message keeps of the bytes are views or copies that the reader has made.
   */
  readonly decodeFrom?:
    | Method<[reader: MessageReader], Message<Received> | CompressedMessage<Received> | CancelMessage>
    | undefined
  /**
   * Goes with {@link decodeFrom}, where the body of `message` goes on reading: the call has begun, and the reader expires.
   * What may still be read is to be kept, by a view.
   */
  readonly keep?: Method<[message: Message<Received>], void> | undefined
  /** As {@link encode}, straight into the memory that is sent from: for a server with {@link decodeFrom}. */
  readonly encodeTo?:
    | Method<[message: Message<Sent>, writer: MessageWriter, request: Message<Received>], void>
    | undefined
  /**
   * Whether a message that answers no call asks the client to leave. The client then makes no further calls on that
   * connection, and waits for its earlier calls. If this returns false, or is missing, a message that answers no call closes
   * its connection. Needs {@link id}.
   */
  readonly isGoAway?: Method<[message: Message<Received>], boolean> | undefined
  /**
   * Writes the message that asks a client to leave, as {@link encode} writes a message. A server that is shut down sends it
   * on each connection, then serves until its clients have left. Needs {@link id}; the message has an id that no call has.
   */
  readonly encodeGoAway?: Method<[writer: Writer], void> | undefined
  /**
   * Writes the message that cancels a call, as {@link encode} writes a message. A client sends it for a call that it gives up,
   * because its signal was aborted or its time is over. The `signal` of the handler aborts once {@link decode} has read it. If
   * this writes nothing, nothing is sent. Needs {@link id}.
   */
  readonly encodeCancel?: Method<[message: CancelMessage, writer: Writer], void> | undefined
  /**
   * Whether a reply says that its server cannot serve at present. A client of several servers asks it of each reply, before
   * {@link decode}. Such a reply counts as a failure of the server, and an idempotent call is made again. Default: no reply
   * does.
   */
  readonly isUnavailable?: Method<[bytes: Buffer], boolean> | undefined
}

/**
 * What the bytes of a message say.
 *
 * @throws what the codec throws; TypeError `ERR_INVALID_ARG_VALUE` where it is asynchronous
 */
export function decodeMessage<Received>(
  codec: Codec<never, Received>,
  bytes: Buffer,
): Message<Received> | CompressedMessage<Received> | CancelMessage {
  const message = codec.decode(bytes)
  refusePromise('codec.decode', message)
  return message
}

/** As {@link decodeMessage}, from a reader. */
export function decodeFrom<Received>(
  codec: Codec<never, Received>,
  reader: MessageReader,
): Message<Received> | CompressedMessage<Received> | CancelMessage {
  const message = codec.decodeFrom?.(reader) ?? codec.decode(reader.next(reader.length))
  refusePromise('codec.decodeFrom', message)
  return message
}

/**
 * Checks what every client and server needs of a codec. Its id is checked with the options of its connections.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`
 */
export function checkCodec<Sent, Received>(codec: Codec<Sent, Received>): void {
  checkObject('codec', codec)
  checkFraming('codec.framing', codec.framing)
  for (const name of ['encode', 'decode'] as const) {
    if (typeof codec[name] !== 'function') throw invalidType(`codec.${name}`, 'of type function', codec[name])
  }
  for (const name of ['decodeFrom', 'keep', 'encodeTo'] as const) {
    const method: unknown = codec[name]
    if (method !== undefined && typeof method !== 'function') {
      throw invalidType(`codec.${name}`, 'of type function', method)
    }
  }
  const { encodeCancel } = codec
  if (encodeCancel === undefined) return
  if (typeof encodeCancel !== 'function')
    throw invalidType('codec.encodeCancel', 'of type function', encodeCancel)
  if (codec.id === undefined) throw invalidValue('codec.encodeCancel', 'needs codec.id', 'a function')
}
