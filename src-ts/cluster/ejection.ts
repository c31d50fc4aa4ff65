/** {@link EjectionOptions} after checking. */
export interface CheckedEjection {
  /** Failures in a row, `Infinity` for never. */
  readonly failures: number
  readonly min: number
  readonly max: number
  readonly share: number
}

/** Whether a server has failed too often to get calls, and until when. */
export class Ejection {
  readonly #options: CheckedEjection
  #failures = 0
  #pause: number
  #isOut = false
  /** When the next probe is due. */
  #due = Number.POSITIVE_INFINITY
  /** When the last probe began. What began before that says nothing while it is out. */
  #probed = Number.POSITIVE_INFINITY
  #backSince = Number.NEGATIVE_INFINITY

  constructor(options: CheckedEjection) {
    this.#options = options
    this.#pause = options.min
  }

  /** Whether it gets no calls but probes. */
  get isOut(): boolean {
    return this.#isOut
  }

  /** When the next probe may be made, `Infinity` while it is not out. */
  get due(): number {
    return this.#due
  }

  /** A call that began at `began` has failed. Returns whether the server should get no more calls, or for longer. */
  failed(began: number): boolean {
    this.#failures += 1
    return this.#isOut ? began >= this.#probed : this.#failures >= this.#options.failures
  }

  /** It gets no more calls: for longer each time, unless it was of use for long. */
  eject(now: number): void {
    const { min, max } = this.#options
    if (!this.#isOut && now - this.#backSince > max) this.#pause = min
    this.#isOut = true
    this.#due = now + this.#pause
    this.#probed = Number.POSITIVE_INFINITY
    this.#pause = Math.min(max, 2 * this.#pause)
  }

  /** A probe begins. If nothing is heard of it, there will be another. */
  probe(now: number): void {
    this.#probed = now
    this.#due = now + this.#options.max
  }

  /** A call that began at `began` was answered. Returns whether the server is back by that. */
  answered(began: number, now: number): boolean {
    this.#failures = 0
    if (!this.#isOut || began < this.#probed) return false
    this.#isOut = false
    this.#due = Number.POSITIVE_INFINITY
    this.#backSince = now
    return true
  }
}
