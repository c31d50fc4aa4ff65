/** Seconds that calls and retries are counted for. */
const windowSeconds = 10

/**
 * How many retries calls may have: a share of all calls, and some each second, over ten seconds. So servers that fail
 * do not get a multiple of their load.
 */
export class RetryBudget {
  readonly #ratio: number
  readonly #reserve: number
  readonly #calls = new Float64Array(windowSeconds)
  readonly #retries = new Float64Array(windowSeconds)
  #allCalls = 0
  #allRetries = 0
  #second = Number.NEGATIVE_INFINITY
  #slot = 0

  constructor({ ratio, perSecond }: { readonly ratio: number; readonly perSecond: number }) {
    this.#ratio = ratio
    this.#reserve = perSecond * windowSeconds
  }

  /** A call is made, at `now` on our clock. */
  deposit(now: number): void {
    if (now >= this.#second + 1_000) this.#turn(now)
    this.#calls[this.#slot] = (this.#calls[this.#slot] as number) + 1
    this.#allCalls += 1
  }

  /** Whether one more try is allowed, which counts from now on. */
  withdraw(now: number): boolean {
    if (now >= this.#second + 1_000) this.#turn(now)
    if (this.#allRetries + 1 > this.#reserve + this.#ratio * this.#allCalls) return false
    this.#retries[this.#slot] = (this.#retries[this.#slot] as number) + 1
    this.#allRetries += 1
    return true
  }

  /** Forgets what was longer ago than the window. */
  #turn(now: number): void {
    const passed = Math.floor((now - this.#second) / 1_000)
    if (!(passed < windowSeconds)) {
      this.#calls.fill(0)
      this.#retries.fill(0)
      this.#allCalls = 0
      this.#allRetries = 0
      this.#second = now
      return
    }
    for (let left = passed; left > 0; left -= 1) {
      this.#slot = (this.#slot + 1) % windowSeconds
      this.#allCalls -= this.#calls[this.#slot] as number
      this.#allRetries -= this.#retries[this.#slot] as number
      this.#calls[this.#slot] = 0
      this.#retries[this.#slot] = 0
    }
    this.#second += passed * 1_000
  }
}
