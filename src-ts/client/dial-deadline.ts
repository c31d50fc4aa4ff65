import * as clock from '../time/clock'
import { maxTimeout } from '../time/time-limits'

/** The end of a dial's time. */
export class DialDeadline {
  readonly #end: number

  /** `end` on our clock, `Infinity` for none. */
  constructor(end: number) {
    this.#end = end
  }

  /** Whether it has passed. */
  get isOver(): boolean {
    return clock.now() >= this.#end
  }

  /** Milliseconds left, at least 1, and at most what a timer takes; 0 for no end. */
  remaining(): number {
    return this.#end === Number.POSITIVE_INFINITY ? 0 : Math.ceil(this.within(maxTimeout))
  }

  /** So many milliseconds, or as many as are left where those are fewer, at least 1. */
  within(milliseconds: number): number {
    return Math.max(1, Math.min(milliseconds, this.#end - clock.now()))
  }
}
