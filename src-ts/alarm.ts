import * as clock from './clock'
import type { NativeEventLoop } from './native'
import type { Outbox, Target } from './outbox'

/** The poller of an alarm, as far as that needs it. */
export interface AlarmLoop {
  readonly outbox: Pick<Outbox, 'alarm'>
  readonly native: Pick<NativeEventLoop, 'now'>
}

/**
 * The one timer of a connection in the poller's wheel, for everything that JavaScript times: calls and reads. It
 * is never disarmed and rarely armed: when it fires, its owner looks which deadlines have passed, and arms it for the
 * next. So a call with a timeout that is answered in time costs a comparison.
 */
export class Alarm {
  readonly #loop: AlarmLoop
  readonly #target: Target
  /** When it fires, on our clock. */
  #armed = Number.POSITIVE_INFINITY
  /** Which of its armings is meant. */
  #number = 0

  constructor(loop: AlarmLoop, target: Target) {
    this.#loop = loop
    this.#target = target
  }

  /** Sees to it that the owner is told no later than right after `deadline`. */
  arm(deadline: number): void {
    if (deadline >= this.#armed) return
    this.#armed = deadline
    this.#number = (this.#number + 1) | 0
    // On the poller's clock, because the command may be carried out much later. It is asked each time: ours may go on
    // while the machine sleeps.
    const left = deadline - clock.now()
    const time = Math.max(0, Math.ceil(this.#loop.native.now() + left))
    this.#loop.outbox.alarm(this.#target, this.#number, time)
  }

  /**
   * It has fired, and is to be armed anew; `late` is how many microseconds after its time the socket was looked at last, and
   * everything handed over that had come by then. Returns up to where deadlines have passed: for later ones nobody has
   * looked at the socket, and a process that stalled might take what came meanwhile for late. `undefined` when it is not the
   * one that was armed last, which is still to come.
   */
  fired(number: number, late: number): number | undefined {
    if (number !== this.#number || this.#armed === Number.POSITIVE_INFINITY) return undefined
    const due = Math.min(this.#armed + (late >>> 0) / 1_000, clock.now())
    this.#armed = Number.POSITIVE_INFINITY
    return due
  }
}
