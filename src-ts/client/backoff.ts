/** Milliseconds between attempts to connect: the least, and what it grows to. */
export interface BackoffOptions {
  /** Before the second attempt, at most. Default 100. */
  readonly min?: number | undefined
  /** What the doubled times end at. Default 10,000. */
  readonly max?: number | undefined
}

/** {@link BackoffOptions} after checking. */
export interface CheckedBackoff {
  readonly min: number
  readonly max: number
}

/**
 * How long to wait before the next attempt: twice as long each time, and between a half and all of it by chance. So
 * clients that lost the same server do not come back at once.
 */
export class Backoff {
  readonly #min: number
  readonly #max: number
  readonly #random: () => number
  #next: number

  constructor({ min, max }: CheckedBackoff, random: () => number = Math.random) {
    this.#min = min
    this.#max = max
    this.#random = random
    this.#next = min
  }

  /** Milliseconds until the next attempt. */
  delay(): number {
    const max = this.#next
    this.#next = Math.min(this.#max, 2 * max)
    return max / 2 + (this.#random() * max) / 2
  }

  /** All is well: the next attempt comes soon again. */
  reset(): void {
    this.#next = this.#min
  }
}
