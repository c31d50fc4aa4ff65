import {
  type Address,
  type CloseOptions,
  type Connection,
  type ListenOptions,
  type MessageReader,
  type MessageWriter,
  type Payload,
  createServer,
  type Server,
  type ServerStats,
  type ServerTlsOptions,
  type TlsCredentials,
  type AcceptOptions,
} from '../index'
import {
  coreOf,
  type ErrorListener,
  report,
  announceBy,
  boundOfServer,
  isAborted,
  refusePromise,
  takeSignal,
  serverOptionNames,
} from '../extension'
import { invalidValue } from '../errors'
import { optionNames, takeOptions } from '../checks/known-options'
import { whenOver } from '../checks/promises'
import { isThenable, whenSettled } from '../checks/thenables'
import { type Codec, checkCodec, decodeFrom, decodeMessage } from './codec'
import { type AnsweringHandler, answersBy, type AnswerWriter, CursorCall, writePayload } from './cursor-call'
import { Encoder } from './encoder'
import { chain, type Endpoint, type Middleware } from './endpoint'
import { CompressedCalls } from './compressed-calls'
import { RpcError } from './errors'
import type { InflationStats } from './inflater'
import type { CancelMessage, Message, RequestMessage } from './message'
import type { Method } from './method'
import { requests } from './tracing'
import {
  Cancellation,
  type CancellationStats,
  finishCall,
  newServerCall,
  type ServerCall,
} from './server-call'

/** What a framework does with connections and calls. */
export interface TransportHandler<Sent = unknown, Received = Sent> {
  /** A request has arrived. Returns the reply's body; of a one-way call it is dropped. What it throws is the reply. */
  onRequest(call: ServerCall<Received>): Sent | PromiseLike<Sent>
  /** A connection is established; its requests wait until this is done. `connection.destroy()` refuses it. */
  readonly onConnect?: Method<[connection: Connection], void | PromiseLike<void>> | undefined
  /** A connection has gone; `error` says why, where that was not in order. */
  readonly onDisconnect?: Method<[connection: Connection, error: Error | undefined], void> | undefined
  /**
   * Something went wrong that no caller hears of: bytes that are no message, a one-way call, a peer's reset. Without it
   * each becomes a line on stderr, except what the system reports of a connection.
   */
  readonly onError?: Method<[error: unknown, connection: Connection | undefined], void> | undefined
}

/** What {@link TransportServer} takes beside a codec and a handler: limits and times as of `createServer`. */
export interface TransportServerOptions<Sent = unknown, Received = Sent>
  extends Omit<
    AcceptOptions,
    'framing' | 'bytes' | 'onConnect' | 'onRequest' | 'onMessage' | 'onData' | 'onDisconnect' | 'onError'
  > {
  /** Runs around {@link TransportHandler.onRequest}, the first outermost. */
  readonly middleware?: readonly Middleware<ServerCall<Received>, Sent>[] | undefined
  /** Whether replies leave in the order of their requests. Default: where the codec has no ids. */
  readonly ordered?: boolean | undefined
}

const {
  framing,
  id,
  bytes,
  onConnect,
  onRequest,
  onMessage,
  onData,
  onDisconnect,
  onError,
  workers,
  ...others
} = serverOptionNames

/** Of `new TransportServer`. */
export const transportServerNames = optionNames<TransportServerOptions>({ ...others, middleware: true })

/** What a server has done and holds. */
export interface TransportServerStats extends ServerStats {
  /** What compressed messages have become. */
  readonly inflation: InflationStats
  /** Of a codec with `encodeCancel`. */
  readonly cancellation: CancellationStats
}

/**
 * Serves calls: decodes requests, runs their handler, encodes what it returns or throws.
 *
 * @example
 * ```ts
 * import { lengthField } from 'netpoll'
 * import { type Codec, TransportServer } from 'netpoll/rpc'
 *
 * const codec: Codec<string> = {
 *   framing: lengthField({ size: 4 }),
 *   encode: (message, writer) => void writer.writeString(JSON.stringify(message)),
 *   decode: (bytes) => JSON.parse(String(bytes)),
 * }
 * const server = new TransportServer(codec, {
 *   onRequest: (call) => `${call.method} of ${call.body}`,
 *   onError: (error) => console.log(error),
 * })
 * await server.listen({ host: '127.0.0.1', port: 8000 })
 * console.log(server.stats().connections) // 0
 * await server.close({ timeout: 5_000 })
 * ```
 */
export class TransportServer<Sent = unknown, Received = Sent> {
  readonly #codec: Codec<Sent, Received>
  readonly #encoder: Encoder<Sent, Received>
  readonly #onError: ErrorListener<Connection>
  readonly #endpoint: Endpoint<ServerCall<Received>, Sent>
  readonly #server: Server
  readonly #compressed: CompressedCalls<Received, Payload | undefined>
  /** Where a handler answers by calling back, and no middleware is in between. */
  readonly #answersBy: AnsweringHandler<Sent, Received>[typeof answersBy]
  /** What calls that are read by cursor are answered by. */
  readonly #answers: AnswerWriter<Sent, Received> = {
    writeReply: (writer, call, body) => this.#writeReply(writer, call, body),
    writeError: (writer, call, error) => this.#writeError(writer, call, error),
    onewayFailed: (error, { connection }) => this.#report(error, connection),
  }
  readonly #cancellation = new Cancellation()
  readonly #whenDown: (() => void)[] = []

  /** @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE` */
  constructor(
    codec: Codec<Sent, Received>,
    handler: TransportHandler<Sent, Received>,
    options: TransportServerOptions<Sent, Received> = {},
  ) {
    checkCodec(codec)
    const taken = takeOptions('options', options, transportServerNames)
    const { middleware = [], ordered = codec.id === undefined, ...connectionOptions } = taken
    this.#codec = codec
    this.#encoder = new Encoder(codec)
    const hooks = hooksOf(handler)
    this.#onError = hooks.onError
    this.#endpoint = chain(middleware, (call) => handler.onRequest(call))
    this.#answersBy =
      middleware.length > 0 ? undefined : (handler as AnsweringHandler<Sent, Received>)[answersBy]
    this.#server = createServer({
      ...connectionOptions,
      ordered,
      framing: codec.framing,
      ...(codec.decodeFrom === undefined
        ? { onRequest: (bytes, connection) => this.#receive(bytes, connection) }
        : { onMessage: (...by) => this.#receiveFrom(...by) }),
      ...hooks,
    })
    if (codec.encodeGoAway !== undefined) {
      if (codec.id === undefined) throw invalidValue('codec.encodeGoAway', 'needs codec.id', 'a function')
      announceBy(this.#server, () => this.#encoder.encodeGoAway())
    }
    this.#compressed = new CompressedCalls(boundOfServer(this.#server), {
      decode: (bytes) => decodeMessage(codec, bytes),
      begin: (message, connection) => this.#begin(message, connection),
    })
  }

  /** Listens; resolves once it does. As `server.listen`, with its errors. */
  async listen(options: ListenOptions): Promise<this> {
    await this.#server.listen(options)
    return this
  }

  /**
   * Listens, and resolves once the server has closed: by {@link close}, or by `options.signal`. Rejects as
   * {@link listen}.
   */
  async serve(options: ListenOptions): Promise<void> {
    await this.listen(options)
    await new Promise<void>((resolve) => {
      this.#whenDown.push(resolve)
      const signal = takeSignal(options.signal)
      if (isAborted(signal)) void this.close()
      else signal?.addEventListener('abort', () => void this.close(), { once: true })
    })
  }

  /** Where the server listens, as Node.js gives it; `null` when it does not. */
  address(): Address | null {
    return this.#server.address()
  }

  /**
   * As `server.setSecureContext`: replaces options of TLS. Connections that begin from now on go by them; those that stand are
   * left as they are.
   *
   * @throws NetpollError `ERR_UNSUPPORTED` without `tls`; TypeError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, and
   * then nothing has changed
   *
   * @example
   * ```ts
   * import { readFileSync } from 'node:fs'
   * import { lengthField } from 'netpoll'
   * import { type Codec, TransportServer } from 'netpoll/rpc'
   *
   * const codec: Codec<string> = {
   *   framing: lengthField({ size: 4 }),
   *   encode: (message, writer) => void writer.writeString(JSON.stringify(message)),
   *   decode: (bytes) => JSON.parse(String(bytes)),
   * }
   * const identity = () => ({ key: readFileSync('key.pem'), cert: readFileSync('certificate.pem') })
   * const server = new TransportServer(codec, { onRequest: ({ body }) => body }, { tls: identity() })
   * server.setSecureContext(identity()) // once the files are others
   * server.addContext('*.example.org', identity())
   * ```
   */
  setSecureContext(options: ServerTlsOptions): void {
    this.#server.setSecureContext(options)
  }

  /**
   * As `server.addContext`: shows these to clients that ask for `name` from now on, which may begin with `*.`.
   *
   * @throws as {@link setSecureContext}
   */
  addContext(name: string, credentials: TlsCredentials): void {
    this.#server.addContext(name, credentials)
  }

  /** What the server has done and holds. */
  stats(): TransportServerStats {
    return {
      ...this.#server.stats(),
      inflation: this.#compressed.stats(),
      cancellation: this.#cancellation.stats(),
    }
  }

  /**
   * Stops listening, answers the requests that were read, and closes the connections. With `codec.encodeGoAway`
   * clients are asked to leave, and served until they have, for at most `maxCloseTime`. TLS handshakes are closed at once,
   * with `codec.encodeGoAway` once that time or `timeout` is over.
   *
   * @param options.timeout milliseconds after which connections that are left are destroyed. Default: never
   * @returns a promise that resolves when the last connection is gone
   */
  async close(options: CloseOptions = {}): Promise<void> {
    await this.#server.close(options)
    for (const resolve of this.#whenDown.splice(0)) resolve()
  }

  /** As {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #receive(bytes: Buffer, connection: Connection): Promise<Payload | undefined> | undefined {
    const queue = this.#compressed.queueOf(connection)
    if (queue !== undefined) return this.#compressed.follow(queue, bytes, connection)
    const message = decodeMessage(this.#codec, bytes)
    if (message.kind === 'compressed') return this.#compressed.begin(message, connection)
    return this.#begin(message, connection)
  }

  /** As {@link #receive}, for a codec that reads from a handler's reader. */
  #receiveFrom(reader: MessageReader, writer: MessageWriter, connection: Connection): void {
    const queue = this.#compressed.queueOf(connection)
    if (queue !== undefined) {
      answerLater(writer, this.#compressed.follow(queue, reader.next(reader.length), connection))
      return
    }
    const message = decodeFrom(this.#codec, reader)
    if (message.kind === 'compressed') answerLater(writer, this.#compressed.begin(message, connection))
    else if (!this.#cancels(message, connection)) this.#beginBy(asRequest(message), writer, connection)
  }

  #beginBy(request: RequestMessage<Received>, writer: MessageWriter, connection: Connection): void {
    const call = newServerCall(request, connection, this.#watching)
    const { answered, failed, leave } = new CursorCall(call, this.#answers, writer)
    try {
      const isTraced = requests.hasSubscribers
      if (isTraced || this.#answersBy === undefined) {
        const body = isTraced ? this.#traced(call) : this.#endpoint(call)
        if (isThenable(body)) whenSettled(body, answered as (body: unknown) => void, failed)
        else answered(body)
      } else {
        this.#answersBy(call, { answered, failed })
      }
    } catch (error) {
      failed(error)
    }
    this.#codec.keep?.(request)
    leave()
  }

  #writeReply(writer: MessageWriter, call: ServerCall<Received>, body: Sent): void {
    const { id, method } = call.request
    try {
      this.#write(writer, { kind: 'reply', id, method, metadata: call.replyMetadata, body }, call.request)
    } catch (error) {
      this.#writeError(writer, call, error)
    }
  }

  #writeError(writer: MessageWriter, call: ServerCall<Received>, error: unknown): void {
    const { id, method } = call.request
    writer.mallocAck(0)
    this.#write(writer, { kind: 'error', id, method, metadata: call.replyMetadata, error }, call.request)
  }

  #write(writer: MessageWriter, message: Message<Sent>, request: RequestMessage<Received>): void {
    if (this.#codec.encodeTo === undefined) writePayload(writer, this.#encoder.encode(message, request))
    else refusePromise('codec.encodeTo', this.#codec.encodeTo(message, writer, request))
  }

  #begin(
    message: Message<Received> | CancelMessage,
    connection: Connection,
  ): Promise<Payload | undefined> | undefined {
    if (this.#cancels(message, connection)) return undefined
    const request = asRequest(message)
    return this.#answer(request, newServerCall(request, connection, this.#watching), connection)
  }

  /** What finds the calls that are cancelled, where the codec can say which. */
  get #watching(): Cancellation | undefined {
    return this.#codec.encodeCancel === undefined ? undefined : this.#cancellation
  }

  /** Whether a message cancels a call; that is done then. */
  #cancels(message: Message<Received> | CancelMessage, connection: Connection): boolean {
    if (message.kind !== 'cancel' || this.#watching === undefined) return false
    this.#cancellation.cancel(message.id, connection)
    return true
  }

  async #answer(
    request: RequestMessage<Received>,
    call: ServerCall<Received>,
    connection: Connection,
  ): Promise<Payload | undefined> {
    const { id, method } = request
    try {
      const body = await (requests.hasSubscribers ? this.#traced(call) : this.#endpoint(call))
      return this.#encode({ kind: 'reply', id, method, metadata: call.replyMetadata, body }, request, call)
    } catch (error) {
      if (!call.expectsReply) this.#report(error, connection)
      return this.#encode({ kind: 'error', id, method, metadata: call.replyMetadata, error }, request, call)
    } finally {
      finishCall(call)
    }
  }

  /** Apart, because a function that contains another one allocates for it, whether or not it comes to that. */
  #traced(call: ServerCall<Received>): Sent | PromiseLike<Sent> {
    return requests.result({ call }, () => this.#endpoint(call)) as Sent | PromiseLike<Sent>
  }

  /** No caller waits for the answer to a one-way call. */
  #encode(
    message: Message<Sent>,
    request: RequestMessage<Received>,
    { expectsReply }: ServerCall<Received>,
  ): Payload | undefined {
    return expectsReply ? this.#encoder.encode(message, request) : undefined
  }

  #report(error: unknown, connection: Connection): void {
    const context = coreOf(connection)?.context
    if (context !== undefined) report(this.#onError, error, connection, context)
  }
}

/** @throws RpcError where a server is not sent such a message */
function asRequest<Received>(message: Message<Received> | CancelMessage): RequestMessage<Received> {
  if (message.kind === 'call' || message.kind === 'oneway') return message
  throw new RpcError('ERR_RPC_INVALID_MESSAGE', `A server got a message of kind ${message.kind}`)
}

function answerLater(writer: MessageWriter, answer: Promise<Payload | undefined>): void {
  const later = writer.later()
  whenOver(
    answer,
    (payload) => later.send(payload),
    (error) => later.fail(error),
  )
}

/** What of a handler a server calls by itself. A hook that the handler lacks is none: nothing waits for it. */
function hooksOf<Sent, Received>(
  handler: TransportHandler<Sent, Received>,
): Pick<AcceptOptions, 'onConnect' | 'onDisconnect' | 'onError'> {
  const { onConnect, onDisconnect, onError } = handler
  return {
    ...(onConnect && { onConnect: onConnect.bind(handler) }),
    ...(onDisconnect && { onDisconnect: onDisconnect.bind(handler) }),
    ...(onError && { onError: onError.bind(handler) }),
  }
}
