import { checkBoolean } from '../checks/arguments'
import { invalidType } from '../errors'
import { checkMembers, optionNames } from '../checks/known-options'
import { deadlineOf, takeSignal, systemTimeOf } from '../extension'
import { checkOwn, own } from '../checks/own-constructor'
import type { Claim } from './inflater'
import { type Metadata, noMetadata } from './message'

/** Options of one call. */
export interface RpcCallOptions {
  /** Milliseconds until the call rejects with `ERR_REQUEST_TIMEOUT`, 0 for never. Default: `requestTimeout`. */
  readonly timeout?: number | undefined
  /**
   * The latest time at which the call is given up: a `Date` or milliseconds since the epoch. It may be the deadline of a
   * `ServerCall` whose handler makes this call. The earlier of it and `timeout` counts. A call whose deadline has passed
   * rejects at once. Default: none.
   */
  readonly deadline?: Date | number | undefined
  /** Rejects the call with the signal's reason. */
  readonly signal?: AbortSignal | null | undefined
  /** Metadata of the request, if the protocol transmits it. */
  readonly metadata?: Metadata | undefined
  /** Of a client of several servers: what `consistentHash` chooses the server by. */
  readonly key?: string | undefined
  /** Of a client of several servers: whether the call may be carried out more than once, as of `cluster.call`. Default false. */
  readonly idempotent?: boolean | undefined
}

/** Of one call. */
export const callOptionNames = optionNames<RpcCallOptions>({
  timeout: true,
  deadline: true,
  signal: true,
  metadata: true,
  key: true,
  idempotent: true,
})

/** @internal */
export let newClientCall: <Body>(
  kind: 'call' | 'oneway',
  method: string,
  body: Body,
  end: number,
  options: RpcCallOptions,
) => ClientCall<Body>

/** @internal When a call is given up, on our clock, which does not follow when the system's is set. */
export let endOfCall: (call: ClientCall) => number

/**
 * @internal Has `claim` count the bytes of the inflated reply until the call is over. It takes the place of the claim of an
 * earlier reply: middleware may call more than once. False where `call` is an object that middleware has made.
 */
export let holdClaim: (call: ClientCall, claim: Claim) => boolean

/** @internal The call is over: its reply is the caller's. */
export let releaseClaim: (call: ClientCall) => void

/**
 * A call, as the client's middleware sees it.
 *
 * @example
 * ```ts
 * import type { ClientCall, Middleware } from 'netpoll/rpc'
 *
 * const traced: Middleware<ClientCall, unknown> = (next) => async (call) => {
 *   call.metadata = { ...call.metadata, trace: crypto.randomUUID() }
 *   return await next(call)
 * }
 * ```
 */
export class ClientCall<Body = unknown> {
  /** Whether a reply is awaited. */
  readonly kind: 'call' | 'oneway'
  /** Name of the method. */
  readonly method: string
  /** What the codec encodes. */
  readonly body: Body
  /** When the call is given up, in milliseconds since the epoch; `Infinity` for never. The protocol may tell the server. */
  readonly deadline: number
  /** Gives the call up. */
  readonly signal: AbortSignal | undefined
  /** What the server is chosen by, if there are several. */
  readonly key: string | undefined
  /** Whether the call may be carried out more than once. */
  readonly idempotent: boolean
  /** Metadata of the request. Middleware may replace it. */
  metadata: Metadata
  /** Metadata of the reply or error; empty before it arrives. */
  replyMetadata: Metadata = noMetadata

  readonly #end: number
  #claim: Claim | undefined

  static {
    newClientCall = (kind, method, body, end, options) =>
      new ClientCall(own, kind, method, body, end, options)
    // Middleware may call with an object of its own in place of the call, such as a copy with another body.
    endOfCall = (call: Pick<ClientCall, 'deadline'>) =>
      #end in call ? call.#end : deadlineOf('call.deadline', call.deadline)
    holdClaim = (call, claim) => {
      if (!(#claim in call)) return false
      call.#claim?.release()
      call.#claim = claim
      return true
    }
    releaseClaim = (call) => call.#claim?.release()
  }

  private constructor(
    given: typeof own,
    kind: 'call' | 'oneway',
    method: string,
    body: Body,
    end: number,
    { signal, metadata = noMetadata, key, idempotent }: RpcCallOptions,
  ) {
    checkOwn(given, 'Calls come from clients')
    this.kind = kind
    this.method = method
    this.body = body
    this.deadline = systemTimeOf(end)
    this.#end = end
    this.signal = takeSignal(signal)
    if (metadata !== noMetadata) checkMembers('options.metadata', metadata)
    this.metadata = metadata
    if (key !== undefined && typeof key !== 'string') throw invalidType('options.key', 'of type string', key)
    checkBoolean('idempotent', idempotent)
    this.key = key
    this.idempotent = idempotent === true
  }
}
