import * as clock from './clock'
import { Operation, type Outbox, type Target } from './outbox'

/**
 * The one timer of a connection in the poller's wheel, for everything that JavaScript times: calls and reads. It
 * is never disarmed and rarely armed: when it fires, its owner looks which deadlines have passed, and arms it for the
 * next. So a call with a timeout that is answered in time costs a comparison.
 */
export class Alarm {
  readonly #outbox: Outbox
  readonly #target: Target
  /** When it fires, on our clock. */
  #armed = Number.POSITIVE_INFINITY

  constructor(outbox: Outbox, target: Target) {
    this.#outbox = outbox
    this.#target = target
  }

  /** Sees to it that the owner is told no later than right after `deadline`. */
  arm(deadline: number): void {
    if (deadline >= this.#armed) return
    this.#armed = deadline
    const left = Math.ceil(deadline - clock.now())
    this.#outbox.command(Operation.Alarm, this.#target, Math.max(1, left))
  }

  /**
   * Which deadlines have passed, now that it has fired: up to the one that it was armed for. For later ones nobody has
   * looked at the socket since, and a process that stalled might take what came meanwhile for late.
   */
  due(now: number): number {
    return Math.min(this.#armed, now)
  }

  /** It has fired; `next` is when it is needed again. */
  fired(next: number): void {
    this.#armed = Number.POSITIVE_INFINITY
    this.arm(next)
  }
}
