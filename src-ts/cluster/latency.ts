/** Milliseconds in which an old latency counts for 1/e of what it did. */
const decay = 10_000
/** Milliseconds that a failure counts for at least, and at most. */
const minPenalty = 10
const maxPenalty = 10_000
/** Calls that a process is slower for, because its code is not compiled yet: they say little of the later ones. */
const warmUp = 5

/**
 * How long calls to one server take. The average follows a slower call at once. It forgets that slowly, also while no call is
 * made (Finagle's peak EWMA).
 */
export class PeakLatency {
  #value = 0
  #at = 0
  #observed = 0

  /** Whether enough calls have ended to say something, or one has failed. */
  get isKnown(): boolean {
    return this.#observed >= warmUp
  }

  /** Milliseconds, at `now`. */
  at(now: number): number {
    const elapsed = now - this.#at
    // An exponential takes as long as all else of a choice.
    if (elapsed < 1) return this.#value
    return this.#value * Math.exp(-elapsed / decay)
  }

  /** A call has taken so many milliseconds. */
  observe(milliseconds: number, now: number): void {
    if (milliseconds >= this.#value || this.#observed < warmUp) {
      this.#value = milliseconds
      this.#observed += 1
    } else {
      const weight = Math.exp(-(now - this.#at) / decay)
      this.#value = this.#value * weight + milliseconds * (1 - weight)
    }
    this.#at = now
  }

  /** A call was given up after so many milliseconds: its server is no faster than that. */
  exceed(milliseconds: number, now: number): void {
    if (milliseconds <= this.at(now)) return
    this.#observed = warmUp
    this.observe(milliseconds, now)
  }

  /** A call has failed, however soon: so a server that fails at once attracts none. */
  fail(milliseconds: number, now: number): void {
    this.#observed = warmUp
    this.observe(Math.min(maxPenalty, Math.max(milliseconds, 10 * this.at(now), minPenalty)), now)
  }

  /** Another process may answer from now on. */
  forget(): void {
    this.#value = 0
    this.#observed = 0
  }
}
