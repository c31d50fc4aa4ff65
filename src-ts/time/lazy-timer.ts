import * as clock from './clock'
import { maxTimeout } from './time-limits'
import { clearTimeout, setImmediate, setTimeout } from './timers'

/** A timer that acts once, and then never again. */
export function onceTimer(act: () => void): LazyTimer {
  return new LazyTimer(() => {
    act()
    return Number.POSITIVE_INFINITY
  })
}

/**
 * One timer for many deadlines. As {@link DeadlineTimer} it is rarely armed and never disarmed: when it fires, its owner looks
 * which deadlines have passed and arms it for the next. It keeps no process alive: whatever it limits does.
 */
export class LazyTimer {
  readonly #fired: (now: number) => number
  #timer: NodeJS.Timeout | undefined
  /** When it fires, on our clock. */
  #armed = Number.POSITIVE_INFINITY

  /** `fired` acts on the deadlines that have passed at `now`, and returns the next one, `Infinity` for none. */
  constructor(fired: (now: number) => number) {
    this.#fired = fired
  }

  /** Sees to it that it fires no later than right after `deadline`. */
  arm(deadline: number): void {
    if (deadline >= this.#armed) return
    this.#armed = deadline
    clearTimeout(this.#timer)
    // Acts only after a look at the sockets: what has come during a stall of the process counts before the deadline.
    const look = (): void => void setImmediate(this.#act)
    const left = Math.min(maxTimeout, Math.max(1, Math.ceil(deadline - clock.now())))
    this.#timer = setTimeout(look, left)
    this.#timer.unref()
  }

  /** Nothing has to be looked at any more. */
  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#armed = Number.NEGATIVE_INFINITY
  }

  readonly #act = (): void => {
    if (this.#armed === Number.NEGATIVE_INFINITY) return
    this.#armed = Number.POSITIVE_INFINITY
    this.arm(this.#fired(clock.now()))
  }
}
