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
export let newServerCall: <Body>(
  request: RequestMessage<Body>,
  connection: Connection,
  cancellation: Cancellation | undefined,
) => ServerCall<Body>
let abandon: (call: ServerCall) => void
let cancelCall: (call: ServerCall) => void

/** Calls whose callers can cancel them. */
export interface CancellationStats {
  /** Calls that run, and that a message can cancel. */
  readonly watched: number
  /** Calls that a message has cancelled since the start. */
  readonly cancelled: number
}

/** @internal Finds the calls of a server that are cancelled. Cancels of calls that do not run are dropped. */
export class Cancellation {
  #watched = 0
  #cancelled = 0

  stats(): CancellationStats {
    return { watched: this.#watched, cancelled: this.#cancelled }
  }

  /** Of two calls of one connection with one id, the last can be cancelled. */
  begin(call: ServerCall, core: ConnectionCore): void {
    const calls = callsOf(core)
    calls.cancellation = this
    if (!calls.byId.has(call.request.id)) this.#watched += 1
    calls.byId.set(call.request.id, call)
  }

  end(call: ServerCall, core: ConnectionCore): void {
    const { byId } = callsOf(core)
    if (byId.get(call.request.id) !== call) return
    byId.delete(call.request.id)
    this.#watched -= 1
  }

  cancel(id: number, connection: Connection): void {
    const core = coreOf(connection)
    const call = core === undefined ? undefined : callsOf(core).byId.get(id)
    if (core === undefined || call === undefined) return
    this.end(call, core)
    this.#cancelled += 1
    cancelCall(call)
  }

  /** No message of a connection comes any more. */
  endAll({ byId }: ConnectionCalls): void {
    this.#watched -= byId.size
    byId.clear()
  }
}

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
  /** Where its caller can cancel it. */
  readonly #cancellation: Cancellation | undefined
  #isCancelled = false
  #controller: AbortController | undefined
  #timer: NodeJS.Timeout | undefined

  static {
    newServerCall = (request, connection, cancellation) =>
      new ServerCall(own, request, connection, cancellation)
    finishCall = (call) => call.#finish()
    abandon = (call) => call.#abandon()
    cancelCall = (call) => call.#cancel()
  }

  private constructor(
    given: typeof own,
    request: RequestMessage<Body>,
    connection: Connection,
    cancellation: Cancellation | undefined,
  ) {
    checkOwn(given, 'Calls come from servers')
    this.request = request
    this.connection = connection
    this.#core = coreOf(connection)
    this.expectsReply = request.kind === 'call'
    this.#end = request.timeout > 0 ? clock.now() + request.timeout : Number.POSITIVE_INFINITY
    this.deadline = systemTimeOf(this.#end)
    this.#cancellation = this.#core !== undefined && this.expectsReply ? cancellation : undefined
    if (this.#core !== undefined) this.#cancellation?.begin(this, this.#core)
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
   * caller's connection ends. Where the codec has `encodeCancel`, also when the caller gives the call up. It costs something
   * only for handlers that read it.
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

  /** The caller waits no longer. Its connection goes on. */
  #cancel(): void {
    this.#isCancelled = true
    this.#controller?.abort(requestAborted())
    clearTimeout(this.#timer)
  }

  #finish(): void {
    if (this.#core !== undefined) this.#cancellation?.end(this, this.#core)
    if (this.#controller === undefined) return
    clearTimeout(this.#timer)
    if (this.#core !== undefined) callsOf(this.#core).watched.delete(this)
  }

  #watch(): AbortController {
    const controller = new OwnController()
    this.#controller = controller
    if (this.#core === undefined || this.#core.life.isGone) {
      this.#abandon()
      return controller
    }
    if (this.#isCancelled) {
      this.#cancel()
      return controller
    }
    callsOf(this.#core).watched.add(this)
    const left = this.#end - clock.now()
    if (left <= maxTimeout) {
      this.#timer = setTimeout(() => {
        controller.abort(new NetpollError('ERR_REQUEST_TIMEOUT', 'The caller waits no longer'))
      }, left)
    }
    return controller
  }
}

function requestAborted(): NetpollError {
  return new NetpollError('ERR_REQUEST_ABORTED', 'The caller has given the call up')
}

/** The calls of one connection that are told something of their caller. */
class ConnectionCalls implements ConnectionOwner {
  /** Those whose handlers want to know when it ends. */
  readonly watched = new Set<ServerCall>()
  /** Those that can be cancelled: no more than `maxInFlight`. */
  readonly byId = new Map<number, ServerCall>()
  cancellation: Cancellation | undefined

  inactive(): void {
    this.cancellation?.endAll(this)
    for (const call of this.watched) abandon(call)
    this.watched.clear()
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

function callsOf(connection: ConnectionCore): ConnectionCalls {
  if (connection.owner instanceof ConnectionCalls) return connection.owner
  const calls = new ConnectionCalls()
  connection.owner = calls
  return calls
}
