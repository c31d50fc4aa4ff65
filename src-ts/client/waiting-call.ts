import type { CallOwner, PendingCall } from '../connection/calls/pending-call'
import { foreignErrorForCall, isNetpollError } from '../errors'
import { keepPayload, type Payload } from '../memory/payload'
import { QueueEntry, type WaitQueue } from './wait-queue'

/** What calls wait for: a connection, as its pool or mux knows it. */
export interface CallTarget {
  /** Sends the request of a call, which is the connection's from then on. */
  start(call: PendingCall, request: Payload): void
}

/** A caller that waits for a connection. */
export abstract class ConnectionWaiter<P extends CallTarget> extends QueueEntry {
  /** Whether it waits for the next dial where one fails, although calls do not. */
  get isPatient(): boolean {
    return false
  }

  abstract serve(target: P): void
  abstract fail(error: unknown): void
}

/** A call that waits for a connection. */
export class WaitingCall<P extends CallTarget> extends ConnectionWaiter<P> implements CallOwner {
  readonly deadline: number
  readonly #queue: WaitQueue<ConnectionWaiter<P>>
  readonly #call: PendingCall
  /** Let go of once it waits no longer: the queue may know it for a while by its deadline. */
  #request: Payload
  readonly #expired: (call: PendingCall, now: number) => void

  /**
   * `expired` is told when `deadline` has passed, which is no later than the call's own.
   *
   * @throws TypeError with `ERR_INVALID_ARG_TYPE` when `request` is no payload
   */
  constructor(
    queue: WaitQueue<ConnectionWaiter<P>>,
    call: PendingCall,
    request: Payload,
    deadline: number,
    expired: (call: PendingCall, now: number) => void,
  ) {
    super()
    this.#queue = queue
    this.#call = call
    this.#request = keepPayload(request)
    this.deadline = deadline
    this.#expired = expired
    call.owner = this
  }

  serve(target: P): void {
    target.start(this.#call, this.#takeRequest())
  }

  fail(error: unknown): void {
    this.#takeRequest()
    this.#call.fail(isNetpollError(error) ? error : foreignErrorForCall(error))
  }

  expire(now: number): void {
    this.#takeRequest()
    this.#expired(this.#call, now)
  }

  /** Its caller no longer waits. */
  gaveUp(): void {
    this.#takeRequest()
    this.#queue.leave(this)
  }

  answered(): void {}

  #takeRequest(): Payload {
    const request = this.#request
    this.#request = ''
    return request
  }
}
