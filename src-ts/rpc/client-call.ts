import { optionNames } from '../checks/known-options'
import { takeSignal, systemTimeOf } from '../extension'
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
  /** Travels with the request, as far as the protocol carries it. */
  readonly metadata?: Metadata | undefined
}

/** Of one call. */
export const callOptionNames = optionNames<RpcCallOptions>({
  timeout: true,
  deadline: true,
  signal: true,
  metadata: true,
})

/** A call, as the client's middleware sees it. */
export class ClientCall<Body = unknown> {
  /** Whether a reply is awaited. */
  readonly kind: 'call' | 'oneway'
  /** Name of the method. */
  readonly method: string
  /** What the codec encodes. */
  readonly body: Body
  /** When it is given up, in milliseconds since the epoch; `Infinity` for never. The server is told, if it can be. */
  readonly deadline: number
  /** @internal The same on our clock, which does not follow when the system's is set. */
  readonly end: number
  /** Gives the call up. */
  readonly signal: AbortSignal | undefined
  /** Travels with the request. Middleware may replace it. */
  metadata: Metadata
  /** What came with the reply or error; empty before. */
  replyMetadata: Metadata = noMetadata

  /** @internal Counts what the reply was inflated to. */
  claim: Claim | undefined

  /** @internal */
  constructor(
    kind: 'call' | 'oneway',
    method: string,
    body: Body,
    end: number,
    { signal, metadata = noMetadata }: RpcCallOptions,
  ) {
    this.kind = kind
    this.method = method
    this.body = body
    this.deadline = systemTimeOf(end)
    this.end = end
    this.signal = takeSignal(signal)
    this.metadata = metadata
  }
}
