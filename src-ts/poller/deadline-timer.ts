import { ownOriginOf } from '../leaks/origin'
import { leaks } from '../leaks/watch-list'
import type { Look } from '../leaks/watched'
import * as clock from '../time/clock'
import type { NativePoller } from '../native/binding'
import type { CommandQueue, CommandTarget } from './command-queue'
import { setImmediate } from '../time/timers'

/** The poller of a deadline timer, as far as that needs it. */
export interface TimerPoller {
  readonly commandQueue: Pick<CommandQueue, 'setTimer'>
  readonly native: Pick<NativePoller, 'now'>
}

/** The object whose deadlines it watches. */
export interface TimerOwner extends CommandTarget {
  /** Whether it has ended, so that the poller knows nothing of its timer any more. */
  readonly isOver: boolean
  /**
   * Acts on the deadlines that have passed at `due`, and returns the next one, `Infinity` for none. Where it has left some
   * of them, that one has passed, too.
   */
  expire(due: number): number
}

/**
 * The one timer of a connection in the poller's wheel, for everything that JavaScript times: calls and reads. It
 * is never disarmed and rarely armed: when it fires, its owner looks which deadlines have passed, and arms it for the
 * next. So a call with a timeout that is answered in time costs a comparison.
 */
export class DeadlineTimer {
  readonly #poller: TimerPoller
  readonly #owner: TimerOwner
  /** When it fires, on our clock. */
  #armed = Number.POSITIVE_INFINITY
  /** Which of its armings is meant. */
  #number = 0
  /** Up to where deadlines have passed of which the owner has left some. */
  #rest = Number.NEGATIVE_INFINITY

  constructor(poller: TimerPoller, owner: TimerOwner) {
    this.#poller = poller
    this.#owner = owner
    leaks?.watch<DeadlineTimer>('timer', this, DeadlineTimer.#look, ownOriginOf())
  }

  static #look(timer: DeadlineTimer): Look {
    if (timer.#owner.isOver) return 'over'
    if (clock.now() <= timer.#armed) return 'fine'
    return { what: 'of a connection has not fired in time', certainty: 'certain' }
  }

  /** Sees to it that the owner is told no later than right after `deadline`. */
  arm(deadline: number): void {
    if (deadline >= this.#armed) return
    this.#armed = deadline
    this.#number = (this.#number + 1) | 0
    // On the poller's clock, because the command may be carried out much later. It is asked each time: ours may go on
    // while the machine sleeps.
    const left = deadline - clock.now()
    const time = Math.max(0, Math.ceil(this.#poller.native.now() + left))
    this.#poller.commandQueue.setTimer(this.#owner, this.#number, time)
  }

  /**
   * It has fired. `late` is how many microseconds after its time the socket was looked at last; everything that had
   * come by then was handed over. Deadlines have passed up to there. For later ones the core has not looked at the
   * socket, and a process that stalled might take what came meanwhile for late. Nothing is done when it is not the one
   * that was armed last, which is still to come.
   */
  fired(number: number, late: number): void {
    if (number !== this.#number || this.#armed === Number.POSITIVE_INFINITY) return
    const due = Math.min(this.#armed + (late >>> 0) / 1_000, clock.now())
    this.#armed = Number.POSITIVE_INFINITY
    this.#expire(due)
  }

  #expire(due: number): void {
    const next = this.#owner.expire(due)
    if (next > due) {
      this.arm(next)
      return
    }
    if (this.#rest === Number.NEGATIVE_INFINITY) setImmediate(this.#goOn)
    this.#rest = due
  }

  readonly #goOn = (): void => {
    const due = this.#rest
    this.#rest = Number.NEGATIVE_INFINITY
    this.#expire(due)
  }
}
