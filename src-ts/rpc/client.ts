import {
  deadlinePassed,
  follow,
  markFollowed,
  siteOf,
  clock,
  stepBudget,
  isAborted,
  throwIfAborted,
  deadlineOf,
  endOf,
  timeLimit,
  alwaysOwed,
  leaks,
  type Look,
  originOf,
  overdue,
  type Watched,
  WatchedDebt,
  type WatchList,
} from '../extension'
import type { ClientTlsOptions, CloseOptions, DialTarget, Payload, PoolStats } from '../index'
import type { ClusterStats, Resolver } from '../cluster/index'
import { NetpollError } from '../errors'
import { type OptionNames, refuseUnknown, takeOptions } from '../checks/known-options'
import {
  callOptionNames,
  type ClientCall,
  endOfCall,
  holdClaim,
  newClientCall,
  releaseClaim,
  type RpcCallOptions,
} from './client-call'
import { type Codec, checkCodec, decodeMessage } from './codec'
import { Encoder } from './encoder'
import { chain, type Endpoint, type Middleware } from './endpoint'
import { isRpcError, RpcError } from './errors'
import { type Claim, Inflater, type InflationStats } from './inflater'
import { type ClusterLinkOptions, type Link, type LinkOptions, linkNames, openLink } from './link'
import type { CancelMessage, CompressedMessage, Message } from './message'
import { refusedReply } from './refused-reply'
import { calls } from './tracing'

/** Ids that are tried for one call: as many as a byte has. */
const maxAttempts = 256

/** What {@link TransportClient} takes beside an address and a codec: the options of `Mux`, or of `Pool`. */
export type TransportClientOptions<Sent = unknown, Received = Sent> = LinkOptions & Around<Sent, Received>

/** What {@link TransportClient} takes beside a resolver and a codec: the options of `Cluster`. */
export type ClusterClientOptions<Sent = unknown, Received = Sent> = ClusterLinkOptions &
  Around<Sent, Received>

interface Around<Sent, Received> {
  /** Runs around every call, the first outermost. The result of a one-way call is undefined. */
  readonly middleware?: readonly Middleware<ClientCall<Sent>, Received | undefined>[] | undefined
}

/** The names of options that mean something for their `kind`. */
export function clientNames<Sent, Received>(
  address: DialTarget | Resolver,
  options: TransportClientOptions<Sent, Received> | ClusterClientOptions<Sent, Received>,
): Partial<OptionNames<TransportClientOptions>> {
  return { ...linkNames(address, options), middleware: true }
}

/** What a client holds now. */
export interface TransportClientStats extends PoolStats {
  /** Bytes of inflated replies. */
  readonly inflation: InflationStats
  /** Of a client of several servers: what its cluster holds. */
  readonly cluster?: ClusterStats | undefined
}

/**
 * Makes calls to one address. It never retries: only the caller knows whether a retry is safe.
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
 * const server = new TransportServer(codec, { onRequest: ({ body }) => body })
 * await server.listen({ host: '127.0.0.1', port: 8000 })
 *
 * const client = new TransportClient({ host: '127.0.0.1', port: 8000 }, codec, { kind: 'pool', connections: 10 })
 * console.log(await client.call('echo', 'hello', { timeout: 1_000 })) // hello
 * await client.send('note', 'not answered')
 * await client.close()
 * ```
 */
export class TransportClient<Sent = unknown, Received = Sent> {
  readonly #codec: Codec<Sent, Received>
  readonly #encoder: Encoder<Sent, Received>
  readonly #endpoint: Endpoint<ClientCall<Sent>, Received | undefined>
  readonly #link: Link
  readonly #hasMiddleware: boolean
  readonly #inflater: Inflater
  readonly #requestTimeout: number
  #lastId = 0

  /**
   * @param address the server's address: `{ host, port }` or `{ path }`
   * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`
   */
  constructor(
    address: DialTarget,
    codec: Codec<Sent, Received>,
    options?: TransportClientOptions<Sent, Received>,
  )
  /**
   * @param resolver finds the servers; each call goes to one of them
   * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`
   */
  constructor(
    resolver: Resolver,
    codec: Codec<Sent, Received>,
    options?: ClusterClientOptions<Sent, Received>,
  )
  constructor(
    address: DialTarget | Resolver,
    codec: Codec<Sent, Received>,
    options: TransportClientOptions<Sent, Received> | ClusterClientOptions<Sent, Received> = {},
  ) {
    const taken = takeOptions<TransportClientOptions<Sent, Received> | ClusterClientOptions<Sent, Received>>(
      'options',
      options,
      clientNames(address, options),
    )
    const { middleware = [], ...linkOptions } = taken
    checkCodec(codec)
    this.#codec = codec
    this.#encoder = new Encoder(codec)
    this.#hasMiddleware = middleware.length > 0
    this.#endpoint = chain<ClientCall<Sent>, Received | undefined>(middleware, (call) =>
      call.kind === 'call' ? this.#exchange(call) : this.#send(call),
    )
    const { link, bound } = openLink(address, codec, linkOptions)
    this.#link = link
    this.#inflater = new Inflater(bound)
    this.#requestTimeout = timeLimit('options.requestTimeout', taken.requestTimeout, 0)
  }

  /**
   * Calls a method.
   *
   * @returns the reply's body
   * @throws (as a rejection) the codec's form of an error that the server sent, such as an `RpcError`, or what encoding or
   * decoding throws. NetpollError `ERR_REQUEST_TIMEOUT`, and what `mux.call` or `pool.call` reject with. The signal's
   * reason
   */
  async call(method: string, body: Sent, options: RpcCallOptions = {}): Promise<Received> {
    const site = siteOf(callEntry)
    let call: ClientCall<Sent> | undefined
    try {
      call = newClientCall('call', method, body, this.#end(options), options)
      leaks?.callers.set(call, originOf())
      if (calls.hasSubscribers) return (await this.#traced(call)) as Received
      if (this.#hasMiddleware) return (await this.#endpoint(call)) as Received
      // What the endpoint does. Each asynchronous function between would cost two promises.
      let reply: Buffer
      try {
        reply = await this.#requestOnce(call)
      } catch (error) {
        if (!isTaken(error)) throw error
        reply = await this.#request(call)
      }
      const message = decodeMessage(this.#codec, reply)
      return this.#bodyOf(message.kind === 'compressed' ? await this.#inflate(message, call) : message, call)
    } catch (error) {
      follow(error, callEntry, site)
      return await stepBudget.refuse(error)
    } finally {
      if (call !== undefined) releaseClaim(call)
    }
  }

  /**
   * Sends a one-way call: the server does not answer it, so the client does not learn whether it was received.
   *
   * @throws (as a rejection) what encoding throws, or `mux.send` or `connection.send` reject with
   */
  async send(method: string, body: Sent, options: RpcCallOptions = {}): Promise<void> {
    const site = siteOf(sendEntry)
    try {
      const end = this.#end(options)
      const call = newClientCall('oneway', method, body, end, options)
      await (calls.hasSubscribers ? this.#traced(call) : this.#endpoint(call))
    } catch (error) {
      follow(error, sendEntry, site)
      return await stepBudget.refuse(error)
    }
  }

  /**
   * As `setSecureContext` of a mux, pool or cluster: replaces options of TLS. Connections that are dialed from now on go by
   * them.
   *
   * @throws NetpollError `ERR_UNSUPPORTED` without `tls`; TypeError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, and
   * then nothing has changed
   *
   * @example
   * ```ts
   * import { readFileSync } from 'node:fs'
   * import { lengthField } from 'netpoll'
   * import { type Codec, TransportClient } from 'netpoll/rpc'
   *
   * const codec: Codec<string> = {
   *   framing: lengthField({ size: 4 }),
   *   encode: (message, writer) => void writer.writeString(JSON.stringify(message)),
   *   decode: (bytes) => JSON.parse(String(bytes)),
   * }
   * const identity = () => ({ key: readFileSync('key.pem'), cert: readFileSync('certificate.pem') })
   * const client = new TransportClient({ host: '127.0.0.1', port: 8000 }, codec, { tls: identity() })
   * client.setSecureContext(identity()) // once the files are others
   * await client.close()
   * ```
   */
  setSecureContext(options: ClientTlsOptions): void {
    this.#link.setSecureContext(options)
  }

  /** What the mux or pool holds now. */
  stats(): TransportClientStats {
    return { ...this.#link.stats(), inflation: this.#inflater.stats() }
  }

  /**
   * Takes no more calls, and closes once all earlier calls are answered or given up.
   *
   * @param options.timeout milliseconds after which connections that are left are destroyed. Default: never
   */
  close(options: CloseOptions = {}): Promise<void> {
    return this.#link.close(options)
  }

  /** As {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** When a call is given up, on our clock. */
  #end(options: RpcCallOptions): number {
    refuseUnknown('options', options, callOptionNames)
    const timeout = timeLimit('options.timeout', options.timeout, this.#requestTimeout)
    return Math.min(endOf(timeout), deadlineOf('options.deadline', options.deadline))
  }

  /** Apart, because a function that contains another one allocates for it, whether or not it comes to that. */
  #traced(call: ClientCall<Sent>): unknown {
    return calls.result({ call }, () => this.#endpoint(call))
  }

  async #exchange(call: ClientCall<Sent>): Promise<Received> {
    const message = decodeMessage(this.#codec, await this.#request(call))
    return this.#bodyOf(message.kind === 'compressed' ? await this.#inflate(message, call) : message, call)
  }

  #bodyOf(answer: Message<Received> | CancelMessage, call: ClientCall<Sent>): Received {
    if (answer.kind === 'cancel') throw wrongKind(answer.kind)
    call.replyMetadata = answer.metadata
    switch (answer.kind) {
      case 'reply':
        return answer.body
      case 'error':
        if (isRpcError(answer.error)) markFollowed(answer.error)
        throw answer.error
      default:
        throw wrongKind(answer.kind)
    }
  }

  async #inflate(message: CompressedMessage<Received>, call: ClientCall<Sent>): Promise<Message<Received>> {
    const claim = this.#inflater.newClaim()
    const end = endOfCall(call)
    const isHeld = holdClaim(call, claim)
    const watched = leaks && watch(leaks, call, end)
    try {
      const isWanted = (): boolean => !isAborted(call.signal) && clock.now() < end
      if (await this.#inflated(message, claim, isWanted)) return message.open(claim.take())
      throwIfAborted(call.signal)
      throw inflatedTooLate()
    } finally {
      leaks?.remove(watched)
      if (!isHeld) claim.release()
    }
  }

  async #inflated(
    message: CompressedMessage<Received>,
    claim: Claim,
    isWanted: () => boolean,
  ): Promise<boolean> {
    try {
      return await this.#inflater.inflate(message, claim, isWanted)
    } catch (error) {
      throw refusedReply(error)
    }
  }

  #requestOnce(call: ClientCall<Sent>): Promise<Buffer> {
    const { signal } = call
    const timeout = timeLeft(call)
    const id = this.#nextId()
    const request = this.#encode(call, id, timeout)
    return this.#link.call(request, { timeout, signal }, this.#cancellation(id), call)
  }

  /** Ids that are taken, by a call that waits for long, are left out: a codec may have but few. */
  async #request(call: ClientCall<Sent>): Promise<Buffer> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#requestOnce(call)
      } catch (error) {
        if (!isTaken(error) || attempt === maxAttempts) throw error
      }
    }
  }

  async #send(call: ClientCall<Sent>): Promise<undefined> {
    const timeout = timeLeft(call)
    const { signal } = call
    throwIfAborted(signal)
    await this.#link.send(this.#encode(call, this.#nextId(), timeout), { timeout, signal }, call)
    return undefined
  }

  #nextId(): number {
    this.#lastId = (this.#lastId + 1) & 0x7fff_ffff
    return this.#lastId
  }

  #encode({ kind, method, metadata, body }: ClientCall<Sent>, id: number, timeout: number): Payload {
    return this.#encoder.encode({ kind, id, method, metadata, timeout, body })
  }

  /** What makes the message that cancels a call, where the protocol has one. */
  #cancellation(id: number): (() => Payload) | undefined {
    return this.#codec.encodeCancel === undefined ? undefined : cancellation(this.#encoder, id)
  }
}

/** Watches a call whose reply has come, and is not inflated. */
function watch<Body>(list: WatchList, call: ClientCall<Body>, end: number): Watched {
  const look = (): Look => overdue(end, 'waits for its reply to be inflated')
  return list.add(new WatchedDebt(call, alwaysOwed, look, originOf(undefined, list.callers.get(call))))
}

function isTaken(error: unknown): boolean {
  return error instanceof NetpollError && error.code === 'ERR_DUPLICATE_ID'
}

/** Where users call. */
const { call: callEntry, send: sendEntry } = TransportClient.prototype

function cancellation<Sent, Received>(encoder: Encoder<Sent, Received>, id: number): () => Payload {
  return () => encoder.encodeCancel({ kind: 'cancel', id })
}

function wrongKind(kind: string): RpcError {
  return markFollowed(new RpcError('ERR_RPC_INVALID_MESSAGE', `A client got a message of kind ${kind}`))
}

/** An error whose stack is made anew where the call is awaited. */
function tooLate(): NetpollError {
  return markFollowed(deadlinePassed())
}

/** As {@link tooLate}, of a call whose server has carried it out. */
function inflatedTooLate(): NetpollError {
  const problem = 'The deadline had passed before the reply was inflated'
  return markFollowed(new NetpollError('ERR_REQUEST_TIMEOUT', problem, { sent: true }))
}

/** Milliseconds until the deadline, 0 for ever. */
function timeLeft(call: ClientCall): number {
  const end = endOfCall(call)
  if (end === Number.POSITIVE_INFINITY) return 0
  const left = Math.ceil(end - clock.now())
  if (left > 0) return left
  throw tooLate()
}
