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
  /** Metadata of the request, if the protocol transmits it. */
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
  /** When the call is given up, in milliseconds since the epoch; `Infinity` for never. The protocol may tell the server. */
  readonly deadline: number
  /** @internal The same on our clock, which does not follow when the system's is set. */
  readonly end: number
  /** Gives the call up. */
  readonly signal: AbortSignal | undefined
  /** Metadata of the request. Middleware may replace it. */
  metadata: Metadata
  /** Metadata of the reply or error; empty before it arrives. */
  replyMetadata: Metadata = noMetadata

  /** @internal Counts the bytes of the inflated reply. */
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
