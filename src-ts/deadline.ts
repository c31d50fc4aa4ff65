import * as clock from './clock'
/** The end of a dial's time. */
export class Deadline {
  readonly #end: number

  /** `timeout` in milliseconds, 0 for none. */
  constructor(timeout: number) {
    this.#end = timeout === 0 ? Number.POSITIVE_INFINITY : clock.now() + timeout
  }

  /** Whether it has passed. */
  get isOver(): boolean {
    return clock.now() >= this.#end
  }

  /** Milliseconds left, at least 1; 0 for no end. */
  remaining(): number {
    return this.#end === Number.POSITIVE_INFINITY ? 0 : Math.ceil(this.within(Number.POSITIVE_INFINITY))
  }

  /** So many milliseconds, or as many as are left where those are fewer, at least 1. */
  within(milliseconds: number): number {
    return Math.max(1, Math.min(milliseconds, this.#end - clock.now()))
  }
}
