import {
  clock,
  type ConnectionCore,
  coreOf,
  type ConnectionOwner,
  OwnController,
  maxTimeout,
  systemTimeOf,
  clearTimeout,
  setTimeout,
} from '../extension'
import type { Connection } from '../index'
import { NetpollError } from '../errors'
import { checkOwn, own } from '../checks/own-constructor'
import { type Metadata, noMetadata, type RequestMessage } from './message'

/** @internal The handler of a call is done, whatever it has made of the call. */
export let finishCall: <Body>(call: ServerCall<Body>) => void
/** @internal */
export let newServerCall: <Body>(request: RequestMessage<Body>, connection: Connection) => ServerCall<Body>
let abandon: (call: ServerCall) => void

/**
 * A call, as its handler and the server's middleware see it.
 *
 * @typeParam Body what the codec makes of the request
 *
 * @example
 * ```ts
 * import { setTimeout } from 'node:timers/promises'
 * import type { TransportHandler } from 'netpoll/rpc'
 *
 * const handler: TransportHandler<string> = {
 *   onRequest: async ({ body, signal }) => await setTimeout(1_000, body, { signal }), // ends when the caller gives up
 * }
 * ```
 */
export class ServerCall<Body = unknown> {
  /** The decoded body of the request. */
  readonly request: RequestMessage<Body>
  /** The connection of the request. */
  readonly connection: Connection
  /**
   * When the caller gives up, in milliseconds since the epoch; `Infinity` for never. Calls that the handler makes can be
   * given the same.
   */
  readonly deadline: number
  /** Whether the caller waits for an answer. A handler that knows more than the message says may change it. */
  expectsReply: boolean
  /** Metadata of the reply or the error, if the protocol transmits it. */
  replyMetadata: Metadata = noMetadata
  /** The deadline on our clock. */
  readonly #end: number
  readonly #core: ConnectionCore | undefined
  #controller: AbortController | undefined
  #timer: NodeJS.Timeout | undefined

  static {
    newServerCall = (request, connection) => new ServerCall(own, request, connection)
    finishCall = (call) => call.#finish()
    abandon = (call) => call.#abandon()
  }

  private constructor(given: typeof own, request: RequestMessage<Body>, connection: Connection) {
    checkOwn(given, 'Calls come from servers')
    this.request = request
    this.connection = connection
    this.#core = coreOf(connection)
    this.expectsReply = request.kind === 'call'
    this.#end = request.timeout > 0 ? clock.now() + request.timeout : Number.POSITIVE_INFINITY
    this.deadline = systemTimeOf(this.#end)
  }

  /** Name of the method. */
  get method(): string {
    return this.request.method
  }

  /** The arguments of the method. */
  get body(): Body {
    return this.request.body
  }

  /** The metadata of the request. */
  get metadata(): Metadata {
    return this.request.metadata
  }

  /**
   * Aborts while the handler runs when no caller waits for its reply any more: at the {@link deadline}, and when the
   * caller's connection ends. It costs something only for handlers that read it.
   */
  get signal(): AbortSignal {
    this.#controller ??= this.#watch()
    return this.#controller.signal
  }

  /** The caller has gone. */
  #abandon(): void {
    this.#controller?.abort(new NetpollError('ERR_CONN_CLOSED', 'The caller has gone'))
    clearTimeout(this.#timer)
  }

  #finish(): void {
    if (this.#controller === undefined) return
    clearTimeout(this.#timer)
    if (this.#core !== undefined) callsOf(this.#core).delete(this)
  }

  #watch(): AbortController {
    const controller = new OwnController()
    this.#controller = controller
    if (this.#core === undefined || this.#core.life.isGone) {
      this.#abandon()
      return controller
    }
    callsOf(this.#core).add(this)
    const left = this.#end - clock.now()
    if (left <= maxTimeout) {
      this.#timer = setTimeout(() => {
        controller.abort(new NetpollError('ERR_REQUEST_TIMEOUT', 'The caller waits no longer'))
      }, left)
    }
    return controller
  }
}

/** The calls of one connection whose handlers want to know when it ends. */
class WatchedCalls extends Set<ServerCall> implements ConnectionOwner {
  inactive(): void {
    for (const call of this) abandon(call)
    this.clear()
  }

  finishing(): void {}

  answeredLate(): void {}

  leaving(): void {}

  callsFailed(): void {
    this.inactive()
  }

  closed(): void {
    this.inactive()
  }
}

function callsOf(connection: ConnectionCore): WatchedCalls {
  if (connection.owner instanceof WatchedCalls) return connection.owner
  const calls = new WatchedCalls()
  connection.owner = calls
  return calls
}
