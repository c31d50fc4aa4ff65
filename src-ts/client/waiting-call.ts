import type { CallOwner, PendingCall } from '../connection/calls/pending-call'
import { foreignErrorForCall, NetpollError } from '../errors'
import { keepPayload, type Payload } from '../memory/payload'
import { Waiter, type WaitQueue } from './wait-queue'

/** What calls wait for: a connection, as its pool or mux knows it. */
export interface Place {
  /** Sends the request of a call, which is the place's from then on. */
  start(call: PendingCall, request: Payload): void
}

/** Somebody who waits for a place. */
export abstract class Waiting<P extends Place> extends Waiter {
  abstract serve(place: P): void
  abstract fail(error: unknown): void
}

/** A call that waits for a place. */
export class WaitingCall<P extends Place> extends Waiting<P> implements CallOwner {
  readonly deadline: number
  readonly #queue: WaitQueue<Waiting<P>>
  readonly #call: PendingCall
  readonly #request: Payload
  readonly #expired: (call: PendingCall, now: number) => void

  /**
   * `expired` is told when `deadline` has passed, which is no later than the call's own.
   *
   * @throws TypeError with `ERR_INVALID_ARG_TYPE` when `request` is no payload
   */
  constructor(
    queue: WaitQueue<Waiting<P>>,
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

  serve(place: P): void {
    place.start(this.#call, this.#request)
  }

  fail(error: unknown): void {
    this.#call.fail(NetpollError.isOne(error) ? error : foreignErrorForCall(error))
  }

  expire(now: number): void {
    this.#expired(this.#call, now)
  }

  /** Its caller no longer waits. */
  gaveUp(): void {
    this.#queue.leave(this)
  }

  answered(): void {}
}
